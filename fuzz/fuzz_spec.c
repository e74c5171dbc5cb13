/* Net specs: the first byte chooses the inputs, the rest is the text. What is accepted has one form, and runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 20000 /* numbers of a net: more only costs time */

static void require(int fine)
{
    if (!fine) abort();
}

static void run(const zo_net *net)
{
    float *x = calloc((size_t)net->inputs, sizeof *x), *y = calloc((size_t)net->outputs, sizeof *y);
    require(x && y && !zo_net_forward(net, 1, x, y));
    for (int i = 0; i < net->outputs; i++) require(isfinite(y[i]));
    free(x);
    free(y);
}

/* The canonical form means the same net, and is its own canonical form. */
static void read_again(zo_context *ctx, const zo_net *net)
{
    zo_net *again;
    require(!zo_net_parse(ctx, zo_net_spec(net), net->inputs, net->outputs, MOST, &again));
    require(!strcmp(zo_net_spec(again), zo_net_spec(net)));
    require(again->parameters == net->parameters && again->outputs == net->outputs);
    zo_net_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    zo_net *net;
    if (!size) return 0;
    def.threads = 1;
    if (zo_context_create(&def, &ctx)) return 0;
    char *text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    zo_status status = zo_net_parse(ctx, text, data[0] + 1, 0, MOST, &net);
    if (!status) {
        run(net);
        read_again(ctx, net);
        zo_net_destroy(net);
    } else {
        require(!net && status == ZO_USAGE && *zo_last_error(ctx));
        require(!strchr(zo_last_error(ctx), '\n'));
    }
    free(text);
    zo_context_destroy(ctx);
    return 0;
}

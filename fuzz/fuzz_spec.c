/* Net specs: the first byte chooses the inputs, the rest is the text. What is accepted has one form, and runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 20000          /* numbers of a net ... */
#define MOST_FLOATS 1000000 /* ... and of its activations: more only costs time */

static void require(int fine)
{
    if (!fine) abort();
}

/* 0 to 127: a table of one column more; above, three bits for the height, three for the width, one for the channels. */
static zo_shape inputs_of(uint8_t b)
{
    if (b < 128) return (zo_shape){.height = 1, .width = 1, .channels = b + 1};
    return (zo_shape){.height = 1 + (b & 7), .width = 1 + (b >> 3 & 7), .channels = b & 64 ? 3 : 1};
}

static void run(const zo_net *net)
{
    if (net->widest * (size_t)net->slots > MOST_FLOATS) return;
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
    require(!zo_net_parse(ctx, zo_net_spec(net), net->in, net->outputs, MOST, &again));
    require(!strcmp(zo_net_spec(again), zo_net_spec(net)));
    require(again->parameters == net->parameters && again->outputs == net->outputs);
    require(again->cost == net->cost && again->stages == net->stages);
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
    zo_status status = zo_net_parse(ctx, text, inputs_of(data[0]), 0, MOST, &net);
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

/* Model files. What is accepted can be run and copied. */
#include <stdlib.h>
#include <string.h>

#include "nn/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int fine)
{
    if (!fine) abort();
}

static void use(const zo_net *net)
{
    zo_net *copy;
    float *x = calloc((size_t)net->inputs, sizeof *x), *y = calloc((size_t)net->outputs, sizeof *y);
    require(x && y && !zo_net_forward(net, 1, x, y));
    require(!zo_net_copy(net, &copy));
    require(!strcmp(zo_net_spec(copy), zo_net_spec(net)));
    require(!memcmp(copy->params, net->params, net->arena * sizeof(float)));
    zo_net_destroy(copy);
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    zo_net *net;
    def.threads = 1;
    if (zo_context_create(&def, &ctx)) return 0;
    zo_status status = zo_net_from_bytes(ctx, "fuzz", (const char *)data, size, &net);
    if (!status) {
        use(net);
        zo_net_destroy(net);
    } else {
        require(!net && status == ZO_FORMAT && *zo_last_error(ctx));
        require(!strchr(zo_last_error(ctx), '\n'));
    }
    zo_context_destroy(ctx);
    return 0;
}

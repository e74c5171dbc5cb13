/* What a user's first program does: it is built against the installed library only. */
#include <stdio.h>
#include <string.h>
#include <zeroth/zeroth.h>

int main(void)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx = NULL;
    zo_net *net = NULL;
    float x[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}}, y[2][3];

    def.threads = 2;
    zo_net_def shape = zo_net_default_def();
    shape.spec = "dense8 relu dense3";
    shape.inputs = 4;
    zo_status status = zo_context_create(&def, &ctx);
    if (!status) status = zo_net_create(ctx, &shape, &net);
    if (!status) status = zo_net_forward(net, 2, &x[0][0], &y[0][0]);
    printf("%s %s %lld\n", zo_version(), status ? zo_last_error(ctx) : zo_net_spec(net),
           status ? 0LL : (long long)zo_net_parameters(net));
    zo_net_destroy(net);
    zo_context_destroy(ctx);
    return status || strcmp(zo_version(), ZO_VERSION_STRING) != 0;
}

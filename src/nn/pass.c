/* Forward passes: packing, single stages, tails, and the public zo_net_forward(). */
#include <math.h>
#include <string.h>

#include "nn/net.h"

static int64_t stage_panels(const zo_stage *s)
{
    return ((int64_t)s->columns + ZO_PANEL - 1) / ZO_PANEL;
}

typedef struct pack_job {
    const zo_net *net;
    const float *params;
    float *image;
} pack_job;

static void pack_panel(void *arg, int64_t panel, int worker)
{
    (void)worker;
    const pack_job *job = arg;
    const zo_stage *s = job->net->stage;
    while (panel >= stage_panels(s)) panel -= stage_panels(s++);
    s->layer->pack(job->net->ctx->kernels, s, job->image + s->image, job->params + s->weight, panel,
                   0, NULL, 0, NULL, 0);
    if (panel == 0)
        memcpy(job->image + s->image_bias, job->params + s->bias, s->ld_out * sizeof(float));
}

void zo_net_pack(const zo_net *net, const float *params, float *image)
{
    pack_job job = {net, params, image};
    int64_t panels = 0;
    for (int i = 0; i < net->stages; i++) panels += stage_panels(net->stage + i);
    zo_parallel(net->ctx, panels, pack_panel, &job);
}

int zo_net_largest(const float *y, int n)
{
    int at = 0;
    for (int j = 0; j < n; j++) {
        if (isnan(y[j])) return -1;
        if (y[j] > y[at]) at = j;
    }
    return at;
}

void zo_stage_forward(const zo_net *net, const zo_stage *s, const float *image, size_t m,
                      const float *in, size_t ld, float *z, float *h, const zo_epilogue *noise)
{
    s->layer->forward(net->ctx->kernels, s, image + s->image, image + s->image_bias, m, in, ld, z,
                      h, noise);
}

const float *zo_net_tail(const zo_net *net, const float *image, int from, size_t m, const float *h,
                         size_t ld, float *scratch)
{
    float *spare = scratch + m * net->widest;
    for (int i = from; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        float *to = h == scratch ? spare : scratch;
        zo_stage_forward(net, s, image, m, h, ld, NULL, to, NULL);
        h = to;
        ld = s->ld_out;
    }
    return h;
}

double zo_net_tail_cost(const zo_net *net, int from)
{
    double cost = 0;
    for (int i = from; i < net->stages; i++) cost += net->stage[i].cost;
    return cost;
}

#define TILE                                                                                       \
    64 /* examples of one item: enough rows for the product, few enough to share among threads */

typedef struct forward_job {
    const zo_net *net;
    float *image, *arena;
    size_t arena_size;
    int64_t n;
    const float *x;
    float *y;
} forward_job;

static void forward_item(void *arg, int64_t item, int worker)
{
    forward_job *job = arg;
    const zo_net *net = job->net;
    size_t first = (size_t)item * TILE,
           m = (size_t)job->n - first < TILE ? (size_t)job->n - first : TILE;
    size_t inputs = (size_t)net->inputs, outputs = (size_t)net->outputs, ld = net->stage[0].ld_in;
    float *in = job->arena + (size_t)worker * job->arena_size, *scratch = in + TILE * ld;
    for (size_t i = 0; i < m; i++) {
        const float *x = job->x + (first + i) * inputs;
        for (size_t j = 0; j < inputs; j++) in[i * ld + j] = (x[j] - net->shift[j]) * net->scale[j];
    }
    const float *y = zo_net_tail(net, job->image, 0, m, in, ld, scratch);
    size_t ld_y = net->stage[net->stages - 1].ld_out;
    for (size_t i = 0; i < m; i++) {
        float *to = job->y + (first + i) * outputs;
        for (size_t j = 0; j < outputs; j++)
            to[j] = y[i * ld_y + j] * net->out_scale[j] + net->out_shift[j];
    }
}

zo_status zo_net_forward(const zo_net *net, int64_t n, const float *x, float *y)
{
    const zo_context *ctx = net->ctx;
    if (n < 0 || (n > 0 && (!x || !y)))
        return zo_fail(ctx, ZO_USAGE, "zo_net_forward: n < 0, or x or y is NULL");
    if (n == 0) return ZO_OK;
    forward_job job = {.net = net, .n = n, .x = x, .y = y};
    job.arena_size = TILE * (net->stage[0].ld_in + 2 * net->widest);
    job.image = zo_alloc(ctx, net->image * sizeof(float));
    job.arena = zo_alloc_zero(ctx, job.arena_size * (size_t)zo_context_threads(ctx), sizeof(float));
    zo_status status = job.image && job.arena ? ZO_OK : ZO_NO_MEMORY;
    if (!status) {
        zo_net_pack(net, net->params, job.image);
        zo_parallel(ctx, (n + TILE - 1) / TILE, forward_item, &job);
    }
    zo_free(ctx, job.image);
    zo_free(ctx, job.arena);
    return status;
}

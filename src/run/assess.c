#include "run/assess.h"

#include <math.h>
#include <string.h>

#define TILE                                                                                       \
    128 /* examples whose sums are added together: fixed, so that no bits depend on threads */
#define SUMS 3 /* of a tile: losses, right answers, examples that have a loss */

static size_t ld_y(const zo_net *net) { return net->stage[net->stages - 1].ld_out; }

/* Room for the outputs of all examples of the parts that are looked at. */
static zo_status init_whole(zo_assessor *a)
{
    const zo_context *ctx = a->net->ctx;
    const zo_examples *part = a->task->part;
    int64_t most = part[ZO_VALIDATION].n;
    if (part[ZO_TEST].n > most) most = part[ZO_TEST].n;
    a->y = zo_alloc_zero(ctx, (size_t)most * ld_y(a->net) + 1, sizeof(float));
    a->loss_room = zo_alloc_zero(ctx, zo_loss_room((size_t)most, (size_t)a->net->outputs),
                                 sizeof *a->loss_room);
    return a->y && a->loss_room ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_assessor_init(zo_assessor *a, const zo_task *task, const zo_net *net)
{
    const zo_context *ctx = net->ctx;
    int64_t most = 1;
    for (int p = 0; p < ZO_PARTS; p++) {
        if (task->part[p].n > most) most = task->part[p].n;
    }
    a->task = task;
    a->net = net;
    if (!a->loss || !a->loss->batch)
        a->loss = task->classes ? &zo_loss_cross_entropy : &zo_loss_squared_error;
    a->whole = a->batch_fn || (!a->loss_fn && a->loss->batch);
    a->rows = TILE;
    while (a->rows > 8 && a->rows * net->widest > 131072) a->rows /= 2;
    a->arena_size = zo_round16(zo_net_scratch(net, a->rows));
    a->arena = zo_alloc_zero(ctx, a->arena_size * (size_t)zo_context_threads(ctx), sizeof(float));
    a->sums = zo_alloc_zero(ctx, SUMS * (size_t)((most + TILE - 1) / TILE), sizeof(double));
    if (!a->arena || !a->sums) return ZO_NO_MEMORY;
    return a->whole ? init_whole(a) : ZO_OK;
}

void zo_assessor_fini(zo_assessor *a)
{
    if (!a->net) return;
    zo_free(a->net->ctx, a->arena);
    zo_free(a->net->ctx, a->sums);
    zo_free(a->net->ctx, a->y);
    zo_free(a->net->ctx, a->loss_room);
}

typedef struct work {
    zo_assessor *a;
    const zo_net *net;
    const zo_examples *part;
} work;

/* losses of m rows, or no loss yet */
static void losses(const zo_assessor *a, const float *y, size_t m, const int32_t *label,
                   const float *target, float *loss)
{
    const zo_net *net = a->net;
    size_t ld = ld_y(net), outputs = (size_t)net->outputs;
    if (a->whole)
        memset(loss, 0, m * sizeof *loss);
    else if (a->loss_fn)
        a->loss_fn(a->loss_user, (int)m, net->outputs, y, (int)ld, label, target, loss);
    else
        net->ctx->kernels->loss[a->loss->kind](loss, y, ld, m, outputs, label, target, outputs);
}

/* The loss of all examples of a part, whose outputs are known. */
static double whole_loss(const zo_assessor *a, const zo_examples *part)
{
    const zo_net *net = a->net;
    size_t ld = ld_y(net), outputs = (size_t)net->outputs;
    if (a->batch_fn)
        return a->batch_fn(a->loss_user, (int)part->n, net->outputs, a->y, (int)ld, part->label,
                           part->target);
    return a->loss->batch(net->ctx->kernels, a->y, ld, (size_t)part->n, outputs, part->label,
                          part->target, outputs, a->loss_room);
}

/* Sums over `m` examples from `first` on, at most as many as the arena is for. */
static void assess_rows(work *w, size_t first, size_t m, float *scratch, double sums[SUMS])
{
    const zo_net *net = w->net;
    const zo_task *task = w->a->task;
    size_t ld = (size_t)task->stride, to = ld_y(net), outputs = (size_t)net->outputs;
    float loss[TILE];
    zo_tail tail = {.params = net->params,
                    .m = m,
                    .in = w->part->x + first * ld,
                    .ld = ld,
                    .scratch = scratch,
                    .most = w->a->rows};
    const float *y = zo_net_tail(net, &tail);
    const int32_t *label = w->part->label ? w->part->label + first : NULL;
    const float *target = w->part->target ? w->part->target + first * outputs : NULL;
    losses(w->a, y, m, label, target, loss);
    if (w->a->whole) memcpy(w->a->y + first * to, y, m * to * sizeof *y);
    for (size_t i = 0; i < m; i++) {
        sums[0] += isfinite(loss[i]) ? loss[i] : 0;
        sums[1] += label && zo_net_largest(y + i * to, net->outputs) == label[i];
        sums[2] += isfinite(loss[i]);
    }
}

static void assess_tile(void *arg, int64_t tile, int worker)
{
    work *w = arg;
    size_t first = (size_t)tile * TILE, n = (size_t)w->part->n,
           last = n - first < TILE ? n : first + TILE;
    double *sums = w->a->sums + SUMS * tile;
    for (int i = 0; i < SUMS; i++) sums[i] = 0;
    for (size_t rows; first < last; first += rows) {
        rows = last - first < w->a->rows ? last - first : w->a->rows;
        assess_rows(w, first, rows, w->a->arena + (size_t)worker * w->a->arena_size, sums);
    }
}

void zo_assess(zo_assessor *a, const zo_net *net, zo_part part, double *loss, double *accuracy)
{
    work w = {a, net, &a->task->part[part]};
    int64_t n = w.part->n, tiles = (n + TILE - 1) / TILE;
    *loss = *accuracy = NAN;
    if (!n) return;
    zo_parallel(net->ctx, tiles, assess_tile, &w);
    double sum = 0, right = 0, known = 0;
    for (int64_t i = 0; i < tiles; i++) {
        sum += a->sums[SUMS * i];
        right += a->sums[SUMS * i + 1];
        known += a->sums[SUMS * i + 2];
    }
    *loss = known > 0 ? sum / known : NAN;
    if (a->whole) *loss = whole_loss(a, w.part);
    if (w.part->label) *accuracy = right / (double)n;
}

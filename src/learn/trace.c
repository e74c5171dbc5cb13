#include "learn/trace.h"

#include <math.h>
#include <string.h>

#define TILE_ROWS                                                                                  \
    56 /* rows of weights in a direction tile: a multiple of every kernel's block, or nearly */

static size_t sum_tiles(const zo_trace *t)
{
    return ((size_t)t->l->batch + ZO_SUM_TILE - 1) / ZO_SUM_TILE;
}

static float **rows_of_stages(const zo_learner *l, size_t batch)
{
    int stages = l->net->stages;
    float **rows = zo_alloc_zero(l->ctx, (size_t)stages, sizeof *rows);
    for (int i = 0; rows && i < stages; i++) {
        rows[i] = zo_alloc_zero(l->ctx, batch * l->net->stage[i].ld_out, sizeof(float));
        if (!rows[i]) { /* fini frees the others */
            break;
        }
    }
    return rows;
}

static bool complete(const zo_learner *l, float *const *rows)
{
    bool all = rows != NULL;
    for (int i = 0; all && i < l->net->stages; i++) all = rows[i] != NULL;
    return all;
}

zo_status zo_trace_init(zo_trace *t, const zo_learner *l)
{
    size_t batch = (size_t)l->batch;
    t->l = l;
    t->x = zo_alloc_zero(l->ctx, batch * l->net->stage[0].ld_in, sizeof(float));
    t->z = rows_of_stages(l, batch);
    t->h = rows_of_stages(l, batch);
    t->e = rows_of_stages(l, batch);
    t->packed = rows_of_stages(l, batch);
    t->arena_size = TILE_ROWS * l->net->widest;
    t->arena = zo_alloc(l->ctx, t->arena_size * (size_t)zo_context_threads(l->ctx) * sizeof(float));
    bool all = t->x && t->arena && complete(l, t->z) && complete(l, t->h) && complete(l, t->e) &&
               complete(l, t->packed);
    return all ? ZO_OK : ZO_NO_MEMORY;
}

void zo_trace_fini(zo_trace *t)
{
    if (!t->l) return;
    float **all[] = {t->z, t->h, t->e, t->packed};
    for (int a = 0; a < 4; a++) {
        for (int i = 0; all[a] && i < t->l->net->stages; i++) zo_free(t->l->ctx, all[a][i]);
        zo_free(t->l->ctx, all[a]);
    }
    zo_free(t->l->ctx, t->x);
    zo_free(t->l->ctx, t->arena);
}

const float *zo_trace_inputs(const zo_trace *t, int stage, size_t *ld)
{
    *ld = t->l->net->stage[stage].ld_in;
    return stage ? t->h[stage - 1] : t->x;
}

/* An example without a finite loss gets errors 0; its activations must not turn them into NaN. */
static void leave_out(zo_trace *t, size_t b)
{
    const zo_net *net = t->l->net;
    memset(t->x + b * net->stage[0].ld_in, 0, net->stage[0].ld_in * sizeof *t->x);
    for (int i = 0; i < net->stages; i++)
        memset(t->h[i] + b * net->stage[i].ld_out, 0, net->stage[i].ld_out * sizeof(float));
}

void zo_trace_clean(zo_trace *t, size_t first, size_t m, float *loss)
{
    const zo_learner *l = t->l;
    const zo_net *net = l->net;
    const zo_examples *from = &l->task->part[ZO_TRAIN];
    size_t ld = net->stage[0].ld_in, outputs = (size_t)net->outputs;
    for (size_t i = first; i < first + m; i++)
        memcpy(t->x + i * ld, from->x + (size_t)l->example[i] * ld, ld * sizeof *t->x);
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        const float *in = zo_trace_inputs(t, i, &ld);
        zo_stage_forward(net, s, l->image, m, in + first * ld, ld, t->z[i] + first * s->ld_out,
                         t->h[i] + first * s->ld_out, NULL);
    }
    size_t ld_y = net->stage[net->stages - 1].ld_out;
    zo_learner_losses(l, loss, t->h[net->stages - 1] + first * ld_y, m,
                      l->label ? l->label + first : NULL,
                      l->target ? l->target + first * outputs : NULL);
    for (size_t i = 0; i < m; i++) {
        if (!isfinite(loss[i])) leave_out(t, first + i);
    }
}

int64_t zo_trace_parts(const zo_trace *t) { return t->l->net->stages * (int64_t)sum_tiles(t); }

void zo_trace_part(const zo_trace *t, int64_t part, int *stage, size_t *first, size_t *m)
{
    size_t tiles = sum_tiles(t), batch = (size_t)t->l->batch;
    *stage = (int)((size_t)part / tiles);
    *first = (size_t)part % tiles * ZO_SUM_TILE;
    *m = batch - *first < ZO_SUM_TILE ? batch - *first : ZO_SUM_TILE;
}

void zo_trace_pack(zo_trace *t, int stage, size_t first, size_t m)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t at = first * s->ld_out;
    t->l->k->pack(t->packed[stage] + at, t->e[stage] + at, s->ld_out, m, (size_t)s->outputs, 0,
                  NULL, 0, NULL, 0);
}

static int64_t stage_tiles(const zo_stage *s)
{
    return ((int64_t)s->rows + TILE_ROWS - 1) / TILE_ROWS;
}

int64_t zo_trace_tiles(const zo_trace *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->l->net->stages; i++) n += stage_tiles(t->l->net->stage + i);
    return n;
}

/* g[m][ld_out] = a^T e over the batch, sum tile by sum tile; element (i, b) of a^T lies at a[i * a_row + b * a_k]. */
static void sum_over_batch(const zo_trace *t, int stage, float *g, const float *a, size_t a_row,
                           size_t a_k, size_t m)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t batch = (size_t)t->l->batch;
    for (size_t b = 0; b < batch; b += ZO_SUM_TILE) {
        size_t k = batch - b < ZO_SUM_TILE ? batch - b : ZO_SUM_TILE;
        zo_epilogue e = {.accumulate = b > 0};
        t->l->k->product(g, s->ld_out, a + b * a_k, a_row, a_k, t->packed[stage] + b * s->ld_out, m,
                         s->columns, k, &e);
    }
}

void zo_trace_direction(zo_trace *t, const zo_update *u, int64_t tile, int worker)
{
    const zo_net *net = t->l->net;
    int stage = 0;
    while (tile >= stage_tiles(net->stage + stage)) tile -= stage_tiles(net->stage + stage++);
    const zo_stage *s = net->stage + stage;
    size_t first = (size_t)tile * TILE_ROWS,
           m = s->rows - first < TILE_ROWS ? s->rows - first : TILE_ROWS, ld;
    float *g = t->arena + (size_t)worker * t->arena_size;
    const float *in = zo_trace_inputs(t, stage, &ld);
    sum_over_batch(t, stage, g, in + first, 1, ld, m);
    if (s->ld_out == s->columns) {
        zo_update_apply(u, s->weight + first * s->columns, g, m * s->columns);
    } else {
        for (size_t i = 0; i < m; i++)
            zo_update_apply(u, s->weight + (first + i) * s->columns, g + i * s->ld_out, s->columns);
    }
    if (first == 0) {
        static const float one = 1;
        sum_over_batch(t, stage, g, &one, 0, 0, 1);
        zo_update_apply(u, s->bias, g, s->columns);
    }
}

double zo_trace_cost(const zo_trace *t)
{
    return t->l->batch * (t->l->net->cost + (double)t->l->net->parameters);
}

#include "learn/trace.h"

#include <math.h>
#include <string.h>

static size_t sum_tiles(const zo_trace *t, int stage)
{
    return ((size_t)t->examples[stage] + ZO_SUM_TILE - 1) / ZO_SUM_TILE;
}

/* e as it lies is packed: one panel, without gaps. */
static bool lies_packed(const zo_stage *s) { return s->columns <= ZO_PANEL; }

static zo_status rows_of_stage(zo_trace *t, int i)
{
    const zo_learner *l = t->l;
    const zo_stage *s = l->net->stage + i;
    size_t n = (size_t)t->examples[i] * s->ld_out;
    t->h[i] = zo_alloc_zero(l->ctx, (size_t)l->batch * s->ld_out, sizeof(float));
    t->tensor[i + 1] = t->h[i];
    if (!t->h[i]) return ZO_NO_MEMORY;
    for (int w = 0; w < zo_context_threads(l->ctx) && s->activation; w++) {
        float **z = t->z + w * l->net->stages + i;
        *z = zo_alloc_zero(l->ctx, ZO_ITEM * s->ld_out, sizeof(float));
        if (!*z) return ZO_NO_MEMORY;
    }
    if (!n) return ZO_OK;
    t->e[i] = zo_alloc_zero(l->ctx, n, sizeof(float));
    if (!t->e[i]) return ZO_NO_MEMORY;
    if (!s->layer->product) return ZO_OK;
    t->packed[i] = lies_packed(s) ? t->e[i] : zo_alloc_zero(l->ctx, n, sizeof(float));
    return t->packed[i] ? ZO_OK : ZO_NO_MEMORY;
}

static size_t tile_floats(const zo_stage *s)
{
    size_t n = s->layer->product ? (s->tile_rows < s->rows ? s->tile_rows : s->rows) * ZO_PANEL
                                 : s->weight_floats;
    return n > s->bias_floats ? n : s->bias_floats;
}

zo_status zo_trace_init(zo_trace *t, const zo_learner *l, const int *examples)
{
    const zo_net *net = l->net;
    size_t stages = (size_t)net->stages, workers = (size_t)zo_context_threads(l->ctx), most = 0;
    t->l = l;
    t->tensor = zo_alloc_zero(l->ctx, stages + 1, sizeof *t->tensor);
    t->h = zo_alloc_zero(l->ctx, stages, sizeof *t->h);
    t->examples = zo_alloc_zero(l->ctx, stages, sizeof *t->examples);
    t->e = zo_alloc_zero(l->ctx, stages, sizeof *t->e);
    t->packed = zo_alloc_zero(l->ctx, stages, sizeof *t->packed);
    t->z = zo_alloc_zero(l->ctx, stages * workers, sizeof *t->z);
    if (!t->tensor || !t->h || !t->examples || !t->e || !t->packed || !t->z) return ZO_NO_MEMORY;
    t->tensor[0] = l->x;
    for (int i = 0; i < net->stages; i++) {
        if (net->stage[i].rows) t->examples[i] = examples ? examples[i] : l->batch;
        zo_status status = rows_of_stage(t, i);
        if (status) return status;
        if (t->e[i] && tile_floats(net->stage + i) > most) most = tile_floats(net->stage + i);
    }
    t->arena_size = zo_round16(net->padded) + most;
    t->arena = zo_alloc_zero(l->ctx, t->arena_size * workers + 16, sizeof(float));
    return t->arena ? ZO_OK : ZO_NO_MEMORY;
}

void zo_trace_fini(zo_trace *t)
{
    if (!t->l) return;
    const zo_context *ctx = t->l->ctx;
    int stages = t->l->net->stages;
    for (int i = 0; i < stages; i++) {
        if (t->packed && t->e && t->packed[i] != t->e[i]) zo_free(ctx, t->packed[i]);
        if (t->e) zo_free(ctx, t->e[i]);
        if (t->h) zo_free(ctx, t->h[i]);
    }
    for (int i = 0; t->z && i < stages * zo_context_threads(ctx); i++) zo_free(ctx, t->z[i]);
    void *all[] = {(void *)t->tensor, t->h, t->examples, t->e, t->packed, t->z, t->arena};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
}

float *zo_trace_z(const zo_trace *t, int stage, size_t first, int worker)
{
    float *z = t->z[worker * t->l->net->stages + stage];
    return z ? z : t->h[stage] + first * t->l->net->stage[stage].ld_out;
}

/* An example without a finite loss gets errors 0; its activations must not turn them into NaN. */
static void leave_out(zo_trace *t, size_t b)
{
    const zo_net *net = t->l->net;
    for (int i = 0; i < net->stages; i++)
        memset(t->h[i] + b * net->stage[i].ld_out, 0, net->stage[i].ld_out * sizeof(float));
}

void zo_trace_clean(zo_trace *t, size_t first, size_t m, float *loss, int worker)
{
    const zo_learner *l = t->l;
    const zo_net *net = l->net;
    size_t outputs = (size_t)net->outputs;
    zo_room room = {t->arena + (size_t)worker * t->arena_size};
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        zo_rows rows = {.m = m,
                        .in = t->tensor[i] + first * s->ld_in,
                        .ld = s->ld_in,
                        .z = t->z[worker * net->stages + i],
                        .h = t->h[i] + first * s->ld_out};
        if (s->layer->residual) rows.other = t->tensor[s->skip] + first * s->ld_other;
        zo_stage_forward(net, s, &room, zo_stage_weight(s, net->params),
                         zo_stage_bias(s, net->params), &rows);
    }
    size_t ld_y = net->stage[net->stages - 1].ld_out;
    zo_learner_losses(l, loss, t->h[net->stages - 1] + first * ld_y, m,
                      l->label ? l->label + first : NULL,
                      l->target ? l->target + first * outputs : NULL);
    for (size_t i = 0; i < m; i++) {
        if (!isfinite(loss[i])) leave_out(t, first + i);
    }
}

int64_t zo_trace_parts(const zo_trace *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->l->net->stages; i++) n += (int64_t)sum_tiles(t, i);
    return n;
}

void zo_trace_part(const zo_trace *t, int64_t part, int *stage, size_t *first, size_t *m)
{
    size_t tile = (size_t)part;
    for (*stage = 0; tile >= sum_tiles(t, *stage); ++*stage) tile -= sum_tiles(t, *stage);
    size_t examples = (size_t)t->examples[*stage];
    *first = tile * ZO_SUM_TILE;
    *m = examples - *first < ZO_SUM_TILE ? examples - *first : ZO_SUM_TILE;
}

void zo_trace_pack(zo_trace *t, int stage, size_t first, size_t m)
{
    const zo_stage *s = t->l->net->stage + stage;
    if (t->packed[stage] == t->e[stage] || !s->layer->product) return;
    size_t tile = s->tile_examples, pixels = zo_shape_pixels(&s->out);
    for (size_t b = first; b < first + m; b += tile) {
        size_t n = first + m - b < tile ? first + m - b : tile;
        t->l->k->pack(t->packed[stage] + b * s->ld_out, t->e[stage] + b * s->ld_out, s->out.pitch,
                      n * pixels, s->columns);
    }
}

/* ---- the direction ---- */

static size_t panels(const zo_stage *s) { return (s->columns + ZO_PANEL - 1) / ZO_PANEL; }

static size_t row_tiles(const zo_stage *s) { return (s->rows + s->tile_rows - 1) / s->tile_rows; }

static int64_t stage_tiles(const zo_trace *t, int stage)
{
    const zo_stage *s = t->l->net->stage + stage;
    if (!t->e[stage]) return 0;
    return s->layer->product ? (int64_t)(panels(s) * row_tiles(s)) : 1;
}

int64_t zo_trace_tiles(const zo_trace *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->l->net->stages; i++) n += stage_tiles(t, i);
    return n;
}

/* g = left side^T e over the examples, sum tile by sum tile, for `n` columns from `column` on; the left side is that of weight rows l.., or,
 * with l = rows, ones: the bias. */
static void sum_over_batch(const zo_trace *t, int stage, const zo_room *room, float *g, size_t ld,
                           size_t l, size_t column, size_t n)
{
    static const float one = 1;
    const zo_stage *s = t->l->net->stage + stage;
    size_t examples = (size_t)t->examples[stage], pixels = zo_shape_pixels(&s->out);
    for (size_t b = 0; b < examples; b += s->tile_examples) {
        size_t m = examples - b < s->tile_examples ? examples - b : s->tile_examples;
        zo_operand a = zo_transposed(&one, 0, 1, m * pixels);
        if (l < s->rows)
            a = s->layer->inputs(t->l->k, s, room, t->tensor[stage] + b * s->ld_in, s->ld_in, m, l);
        t->l->k->product(g, ld, 0, &a, t->packed[stage] + b * s->ld_out + column * m * pixels, n,
                         &(zo_epilogue){.accumulate = b > 0});
    }
}

static void product_tile(zo_trace *t, int stage, size_t tile, const zo_update *u,
                         const zo_room *room, float *g)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t column = tile / row_tiles(s) * ZO_PANEL, l = tile % row_tiles(s) * s->tile_rows,
           n = s->columns - column < ZO_PANEL ? s->columns - column : ZO_PANEL,
           width = zo_round16(n), m = s->rows - l < s->tile_rows ? s->rows - l : s->tile_rows;
    sum_over_batch(t, stage, room, g, width, l, column, n);
    zo_update_apply(u, s->weight + column * s->rows + l * width, g, m * width);
    if (l > 0 || !s->has_bias) return;
    sum_over_batch(t, stage, room, g, width, s->rows, column, n);
    zo_update_apply(u, s->bias + column, g, width);
}

/* A layer with few weights of its own kind, whole. */
static void whole_stage(zo_trace *t, int stage, const zo_update *u, float *g)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t examples = (size_t)t->examples[stage], pixels = zo_shape_pixels(&s->out);
    memset(g, 0, s->weight_floats * sizeof *g);
    s->layer->direction(t->l->k, s, examples, t->tensor[stage], s->ld_in, t->e[stage], g);
    zo_update_apply(u, s->weight, g, s->weight_floats);
    if (!s->has_bias) return;
    memset(g, 0, s->bias_floats * sizeof *g);
    for (size_t b = 0; b < examples; b++) {
        for (size_t p = 0; p < pixels; p++)
            t->l->k->add(g, g, t->e[stage] + b * s->ld_out + p * s->out.pitch, s->bias_floats);
    }
    zo_update_apply(u, s->bias, g, s->bias_floats);
}

void zo_trace_direction(zo_trace *t, const zo_update *u, int64_t tile, int worker)
{
    const zo_net *net = t->l->net;
    int stage = 0;
    while (tile >= stage_tiles(t, stage)) tile -= stage_tiles(t, stage++);
    float *arena = t->arena + (size_t)worker * t->arena_size, *g = arena + zo_round16(net->padded);
    zo_room room = {arena};
    if (net->stage[stage].layer->product)
        product_tile(t, stage, (size_t)tile, u, &room, g);
    else
        whole_stage(t, stage, u, g);
}

double zo_trace_cost(const zo_trace *t)
{
    double direction = 0;
    for (int i = 0; i < t->l->net->stages; i++) {
        const zo_stage *s = t->l->net->stage + i;
        direction += t->examples[i] * (s->cost + (s->has_bias ? s->outputs : 0));
    }
    return t->l->batch * t->l->net->cost + direction;
}

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
    t->most = zo_alloc_zero(l->ctx, stages, sizeof *t->most);
    t->e = zo_alloc_zero(l->ctx, stages, sizeof *t->e);
    t->packed = zo_alloc_zero(l->ctx, stages, sizeof *t->packed);
    t->z = zo_alloc_zero(l->ctx, stages * workers, sizeof *t->z);
    if (!t->tensor || !t->h || !t->examples || !t->most || !t->e || !t->packed || !t->z)
        return ZO_NO_MEMORY;
    t->tensor[0] = l->x;
    for (int i = 0; i < net->stages; i++) {
        if (net->stage[i].rows) t->examples[i] = examples ? examples[i] : l->batch;
        t->most[i] = t->examples[i];
        zo_status status = rows_of_stage(t, i);
        if (status) return status;
        if (t->e[i] && tile_floats(net->stage + i) > most) most = tile_floats(net->stage + i);
    }
    t->arena_size = zo_round16(net->padded) + 2 * zo_round16(most);
    t->arena = zo_alloc_zero(l->ctx, t->arena_size * workers + 16, sizeof(float));
    t->halves = zo_alloc_zero(l->ctx, (size_t)zo_trace_tiles(t) + 1, sizeof *t->halves);
    return t->arena && t->halves ? ZO_OK : ZO_NO_MEMORY;
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
    void *all[] = {(void *)t->tensor, t->h, t->examples, t->most,  t->e,
                   t->packed,         t->z, t->arena,    t->halves};
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

/* Sixteen lanes, so that vectors add them; their sum in order. */
zo_halves zo_halves_join(float *restrict a, const float *restrict b, size_t n)
{
    enum { LANES = 16 };
    float aa[LANES] = {0}, ab[LANES] = {0}, bb[LANES] = {0};
    zo_halves sum = {0};
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            aa[j] += a[i + j] * a[i + j];
            ab[j] += a[i + j] * b[i + j];
            bb[j] += b[i + j] * b[i + j];
            a[i + j] += b[i + j];
        }
    }
    for (size_t j = 0; j < LANES; j++) {
        sum.aa += (double)aa[j];
        sum.ab += (double)ab[j];
        sum.bb += (double)bb[j];
    }
    return sum;
}

zo_halves zo_trace_halves(const zo_trace *t, int stage)
{
    int64_t from = 0;
    for (int i = 0; i < stage; i++) from += stage_tiles(t, i);
    zo_halves sum = {0};
    for (int64_t i = from; i < from + stage_tiles(t, stage); i++) {
        sum.aa += t->halves[i].aa;
        sum.ab += t->halves[i].ab;
        sum.bb += t->halves[i].bb;
    }
    return sum;
}

void zo_trace_use(zo_trace *t, int stage, int examples)
{
    t->examples[stage] = examples < t->most[stage] ? examples : t->most[stage];
}

int64_t zo_trace_tiles(const zo_trace *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->l->net->stages; i++) n += stage_tiles(t, i);
    return n;
}

/* What a thread needs for a tile of a direction: g receives it, and `half` what the second half of the examples gave. */
typedef struct desk {
    const zo_update *update;
    zo_room room;
    float *g, *half;
    zo_halves *halves; /* NULL: nobody listens */
} desk;

/* The first example of the second half. */
static size_t middle(const zo_trace *t, int stage) { return (size_t)t->examples[stage] / 2; }

/* Hands on what of w->g, or of both halves, became of n numbers from `at` on. */
static void apply(const desk *w, size_t at, size_t n)
{
    if (w->halves) {
        zo_halves h = zo_halves_join(w->g, w->half, n);
        w->halves->aa += h.aa, w->halves->ab += h.ab, w->halves->bb += h.bb;
    }
    zo_update_apply(w->update, at, w->g, n);
}

/* g = left side^T e over examples [from, to), sum tile by sum tile, for `n` columns of a panel from `column` on; the left side is that of weight
 * rows l.., or, with l = rows, ones: the bias. */
static void sum_over_batch(const zo_trace *t, int stage, const zo_room *room, float *g, size_t ld,
                           size_t l, size_t column, size_t n, size_t from, size_t to)
{
    static const float one = 1;
    const zo_stage *s = t->l->net->stage + stage;
    size_t examples = (size_t)t->examples[stage], pixels = zo_shape_pixels(&s->out), m;
    for (size_t b = from; b < to; b += m) {
        size_t tile = b - b % s->tile_examples,
               in_tile = examples - tile < s->tile_examples ? examples - tile : s->tile_examples;
        m = (to < tile + in_tile ? to : tile + in_tile) - b;
        zo_operand a = zo_transposed(&one, 0, 1, m * pixels);
        if (l < s->rows)
            a = s->layer->inputs(t->l->k, s, room, t->tensor[stage] + b * s->ld_in, s->ld_in, m, l);
        const float *e = t->packed[stage] + tile * s->ld_out + column * in_tile * pixels +
                         (b - tile) * pixels * zo_round16(n);
        t->l->k->product(g, ld, 0, &a, e, n, &(zo_epilogue){.accumulate = b > from});
    }
}

static void sum_columns(const zo_trace *t, int stage, const desk *w, size_t width, size_t l,
                        size_t column, size_t n)
{
    size_t examples = (size_t)t->examples[stage], half = w->halves ? middle(t, stage) : examples;
    sum_over_batch(t, stage, &w->room, w->g, width, l, column, n, 0, half);
    if (w->halves) sum_over_batch(t, stage, &w->room, w->half, width, l, column, n, half, examples);
}

static void product_tile(zo_trace *t, int stage, size_t tile, const desk *w)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t column = tile / row_tiles(s) * ZO_PANEL, l = tile % row_tiles(s) * s->tile_rows,
           n = s->columns - column < ZO_PANEL ? s->columns - column : ZO_PANEL,
           width = zo_round16(n), m = s->rows - l < s->tile_rows ? s->rows - l : s->tile_rows;
    sum_columns(t, stage, w, width, l, column, n);
    apply(w, s->weight + column * s->rows + l * width, m * width);
    if (l > 0 || !s->has_bias) return;
    sum_columns(t, stage, w, width, s->rows, column, n);
    apply(w, s->bias + column, width);
}

/* A layer with few weights of its own kind, whole. */
static void sum_weights(const zo_trace *t, int stage, float *g, size_t from, size_t to)
{
    const zo_stage *s = t->l->net->stage + stage;
    memset(g, 0, s->weight_floats * sizeof *g);
    s->layer->direction(t->l->k, s, to - from, t->tensor[stage] + from * s->ld_in, s->ld_in,
                        t->e[stage] + from * s->ld_out, g);
}

static void sum_bias(const zo_trace *t, int stage, float *g, size_t from, size_t to)
{
    const zo_stage *s = t->l->net->stage + stage;
    memset(g, 0, s->bias_floats * sizeof *g);
    for (size_t b = from; b < to; b++) {
        for (size_t p = 0; p < zo_shape_pixels(&s->out); p++)
            t->l->k->add(g, g, t->e[stage] + b * s->ld_out + p * s->out.pitch, s->bias_floats);
    }
}

static void whole_stage(const zo_trace *t, int stage, const desk *w)
{
    const zo_stage *s = t->l->net->stage + stage;
    size_t examples = (size_t)t->examples[stage], half = w->halves ? middle(t, stage) : examples;
    sum_weights(t, stage, w->g, 0, half);
    if (w->halves) sum_weights(t, stage, w->half, half, examples);
    apply(w, s->weight, s->weight_floats);
    if (!s->has_bias) return;
    sum_bias(t, stage, w->g, 0, half);
    if (w->halves) sum_bias(t, stage, w->half, half, examples);
    apply(w, s->bias, s->bias_floats);
}

void zo_trace_direction(zo_trace *t, const zo_update *u, int64_t tile, int worker)
{
    const zo_net *net = t->l->net;
    int stage = 0;
    zo_halves *halves = t->halves + tile;
    while (tile >= stage_tiles(t, stage)) tile -= stage_tiles(t, stage++);
    float *arena = t->arena + (size_t)worker * t->arena_size, *g = arena + zo_round16(net->padded),
          *end = arena + t->arena_size;
    desk w = {.update = u, .room = {arena}, .g = g, .half = g + (end - g) / 2};
    *halves = (zo_halves){0};
    if (t->listen && t->examples[stage] > 1) w.halves = halves;
    if (net->stage[stage].layer->product)
        product_tile(t, stage, (size_t)tile, &w);
    else
        whole_stage(t, stage, &w);
}

double zo_trace_cost(const zo_trace *t)
{
    double direction = 0;
    for (int i = 0; i < t->l->net->stages; i++) {
        const zo_stage *s = t->l->net->stage + i;
        double again = s->layer->product ? (double)(panels(s) * row_tiles(s)) - 1 : 0;
        direction +=
            t->examples[i] * (s->cost + again * s->form_cost + (s->has_bias ? s->outputs : 0));
    }
    return t->l->batch * t->l->net->cost + direction;
}

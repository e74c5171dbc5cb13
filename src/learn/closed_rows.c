/* Rows through the fixed part of the net. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed_modules.h"
#include "learn/closed_sketch.h"

enum { STATISTICS_ROWS = 10000, WEIGHTS_NEAR = 131072 };
#define DEVIATION_LEAST 1e-2 /* added to it: features that hardly move are not blown up */

int64_t zo_closed_all_rows(const zo_closed *c)
{
    return c->task->part[ZO_TRAIN].n * (1 + c->set.copies);
}

int64_t zo_closed_place(const zo_closed *c, int64_t row)
{
    return c->order[row % c->task->part[ZO_TRAIN].n];
}

/* As many as the caches hold; but all of an item where weights are read anew for each call, which costs more than what lies further away, and
 * of modules, which have an item's features at a time. */
static size_t rows_together(const zo_closed *c)
{
    size_t rows = ZO_CLOSED_ROWS_ITEM, weights = 0;
    for (int i = 0; i < c->last; i++) weights += c->net->stage[i].weight_floats;
    if (c->modules || weights >= WEIGHTS_NEAR) return rows;
    while (rows > 1 && rows * c->net->widest > 262144) rows /= 2;
    return rows;
}

double zo_closed_rows_bytes(const zo_closed *c)
{
    double workers = zo_context_threads(c->ctx), n = (double)c->task->part[ZO_TRAIN].n,
           floats = ZO_CLOSED_ROWS_ITEM * (double)c->net->stage[0].ld_in +
                    (double)zo_net_scratch(c->net, rows_together(c)),
           out = ZO_CLOSED_TILE * (double)c->net->stage[c->last].ld_out;
    return 4 * (workers * floats + n + out + (double)c->net->arena);
}

zo_status zo_closed_rows_init(zo_closed *c)
{
    if (c->order) return ZO_OK;
    const zo_context *ctx = c->ctx;
    const zo_net *net = c->net;
    size_t n = (size_t)c->task->part[ZO_TRAIN].n, workers = (size_t)zo_context_threads(ctx);
    c->rows = rows_together(c);
    c->x_floats = ZO_CLOSED_ROWS_ITEM * net->stage[0].ld_in;
    c->scratch_floats = zo_round16(zo_net_scratch(net, c->rows));
    c->x = zo_alloc_zero(ctx, workers * c->x_floats, sizeof *c->x);
    c->scratch = zo_alloc_zero(ctx, workers * c->scratch_floats, sizeof *c->scratch);
    int32_t *order = zo_alloc(ctx, n * sizeof *order);
    if (!c->x || !c->scratch || !order) {
        zo_free(ctx, c->x);
        zo_free(ctx, c->scratch);
        zo_free(ctx, order);
        c->x = c->scratch = NULL;
        return ZO_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    zo_random r = zo_random_at(c->seed, ZO_FOR_BATCHES, 0, 0);
    zo_random_shuffle(&r, (uint32_t)n, order);
    c->order = order;
    return ZO_OK;
}

void zo_closed_rows_free(zo_closed *c)
{
    void *all[] = {c->order, c->x, c->scratch, c->h, c->y, c->w, c->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    c->order = NULL;
    c->x = c->scratch = c->h = c->y = c->w = c->out = NULL;
}

void zo_closed_gather(const zo_closed_rows *rows, int64_t row, float *to)
{
    const zo_closed *c = rows->c;
    const zo_examples *part = &c->task->part[rows->part];
    size_t ld = (size_t)c->task->stride;
    if (rows->part != ZO_TRAIN) {
        memcpy(to, part->x + (size_t)row * ld, ld * sizeof *to);
        return;
    }
    int64_t at = zo_closed_place(c, row), copy = row / part->n;
    const float *x = part->x + (size_t)at * ld;
    if (copy)
        zo_augment_example(&c->augment, copy, (int)at, x, to);
    else
        memcpy(to, x, ld * sizeof *to);
}

static void run_item(void *arg, int64_t item, int worker)
{
    const zo_closed_rows *rows = arg;
    const zo_closed *c = rows->c;
    const zo_net *net = c->net;
    if (!rows->whole && zo_cancelled(c->ctx)) return; /* what is missing is not used then */
    float *x = c->x + (size_t)worker * c->x_floats,
          *scratch = c->scratch + (size_t)worker * c->scratch_floats;
    int64_t first = item * ZO_CLOSED_ROWS_ITEM,
            end = first + ZO_CLOSED_ROWS_ITEM < rows->n ? first + ZO_CLOSED_ROWS_ITEM : rows->n;
    size_t ld_in = net->stage[0].ld_in, copied = rows->ld,
           ld = rows->to < net->stages ? net->stage[rows->to].ld_in
                                       : net->stage[net->stages - 1].ld_out;
    if (copied > ld) copied = ld;
    for (int64_t at = first; at < end;) {
        size_t m = (size_t)(end - at) < c->rows ? (size_t)(end - at) : c->rows;
        for (size_t i = 0; i < m; i++) {
            int64_t of = at + (int64_t)i;
            zo_closed_gather(rows, rows->row ? rows->row[of] : rows->first + of, x + i * ld_in);
        }
        zo_tail tail = {.params = net->params,
                        .m = m,
                        .in = x,
                        .ld = ld_in,
                        .scratch = scratch,
                        .most = c->rows,
                        .to = rows->to};
        const float *y = rows->to ? zo_net_tail(net, &tail) : x;
        for (size_t i = 0; i < m; i++, at++) {
            float *to = rows->out + (size_t)at * rows->ld;
            if (c->sketch && rows->to == c->last)
                zo_closed_sketch_row(c, y + i * ld, to);
            else
                memcpy(to, y + i * ld, copied * sizeof *y);
        }
    }
}

void zo_closed_run(const zo_closed_rows *rows)
{
    zo_closed *c = rows->c;
    int64_t items = (rows->n + ZO_CLOSED_ROWS_ITEM - 1) / ZO_CLOSED_ROWS_ITEM;
    zo_parallel(c->ctx, items, run_item, (void *)rows);
    c->cost += (double)rows->n * zo_net_stages_cost(c->net, 0, rows->to);
    if (c->sketch && rows->to == c->last) c->cost += (double)rows->n * (double)c->width;
}

void zo_closed_features(zo_closed *c, zo_part part, int64_t first, int64_t n)
{
    zo_closed_rows rows = {
        .c = c, .part = part, .to = c->last, .first = first, .n = n, .out = c->h, .ld = c->p};
    if (c->modules)
        zo_modules_run(&rows);
    else
        zo_closed_run(&rows);
}

/* ---- scale layers ---- */

int zo_closed_next_scale(const zo_closed *c, int from)
{
    for (int i = from; i < c->last; i++) {
        const zo_stage *s = c->net->stage + i;
        if (!strcmp(s->layer->info.name, "scale") && zo_shape_pixels(&s->in) == 1) return i;
    }
    return -1;
}

typedef struct column_sums {
    const float *h; /* a tile */
    size_t rows, width, ld;
    const float *base;    /* [width] the first row: about it large means lose nothing */
    double *sum, *square; /* [width] of all tiles so far */
} column_sums;

/* Columns of a block, row after row. */
static void add_columns(void *arg, int64_t block, int worker)
{
    (void)worker;
    const column_sums *s = arg;
    size_t first = (size_t)block * 64, end = first + 64 < s->width ? first + 64 : s->width;
    for (size_t i = 0; i < s->rows; i++) {
        for (size_t j = first; j < end; j++) {
            double d = (double)s->h[i * s->ld + j] - (double)s->base[j];
            s->sum[j] += d;
            s->square[j] += d * d;
        }
    }
}

/* Sums of the first n rows; h [TILE][ld], base [width]. */
static void add_tiles(zo_closed *c, int stage, int64_t n, float *h, float *base, column_sums *a)
{
    for (int64_t first = 0; first < n; first += (int64_t)a->rows) {
        a->rows = n - first < ZO_CLOSED_TILE ? (size_t)(n - first) : ZO_CLOSED_TILE;
        zo_closed_run(&(zo_closed_rows){.c = c,
                                        .part = ZO_TRAIN,
                                        .to = stage,
                                        .first = first,
                                        .n = (int64_t)a->rows,
                                        .out = h,
                                        .ld = a->ld});
        if (zo_cancelled(c->ctx)) return; /* rows may be missing */
        if (!first) memcpy(base, h, a->width * sizeof *h);
        zo_parallel(c->ctx, (int64_t)((a->width + 63) / 64), add_columns, a);
    }
    c->cost += 2.0 * (double)n * (double)a->width;
}

static void set_scale(zo_closed *c, const zo_stage *s, const column_sums *a, double n)
{
    float *gain = c->net->params + s->weight, *shift = c->net->params + s->bias;
    for (size_t j = 0; j < s->columns; j++) {
        double off = a->sum[j] / n, mean = (double)a->base[j] + off,
               variance = a->square[j] / n - off * off,
               g = 1 / (sqrt(fmax(variance, 0)) + DEVIATION_LEAST);
        gain[j] = (float)g;
        if (s->has_bias) shift[j] = (float)(-mean * g);
    }
}

zo_status zo_closed_scale(zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    int64_t n = c->task->part[ZO_TRAIN].n;
    if (n > STATISTICS_ROWS) n = STATISTICS_ROWS;
    float *h = zo_alloc(c->ctx, (ZO_CLOSED_TILE + 1) * s->ld_in * sizeof *h);
    double *sums = zo_alloc_zero(c->ctx, 2 * s->columns, sizeof *sums);
    zo_status status = h && sums ? ZO_OK : ZO_NO_MEMORY;
    if (!status) {
        float *base = h + ZO_CLOSED_TILE * s->ld_in;
        column_sums a = {h, 0, s->columns, s->ld_in, base, sums, sums + s->columns};
        add_tiles(c, stage, n, h, base, &a);
        bool finite = true;
        for (size_t j = 0; j < s->columns; j++) finite &= isfinite(a.square[j]) != 0;
        status = zo_check_cancelled(c->ctx);
        if (!status && !finite)
            status = zo_fail(c->ctx, ZO_FORMAT, "%s: what comes into \"%s\" is not finite",
                             c->info->name, c->net->word[s->word]);
        if (!status) set_scale(c, s, &a, (double)n);
    }
    zo_free(c->ctx, h);
    zo_free(c->ctx, sums);
    return status;
}

/* ---- tiles ---- */

static void fill_targets(const zo_closed *c, int64_t row, size_t i)
{
    const zo_examples *part = &c->task->part[ZO_TRAIN];
    size_t at = (size_t)zo_closed_place(c, row), q = c->q;
    if (!part->label) {
        memcpy(c->y + i * q, part->target + at * q, q * sizeof *c->y);
        return;
    }
    for (size_t j = 0; j < q; j++) c->y[i * q + j] = part->label[at] == (int32_t)j ? 1 : -1;
    if (c->w) c->w[i] = c->class_weight[part->label[at]];
}

unsigned zo_closed_sums(const zo_closed *c)
{
    bool rounded = c->set.precision == ZO_CLOSED_AUTO ? c->most >= ZO_CLOSED_MANY
                                                      : c->set.precision == ZO_CLOSED_BFLOAT16;
    return (zo_closed_weighted(c) ? ZO_GRAM_WEIGHTED : 0) | (rounded ? ZO_GRAM_BFLOAT16 : 0);
}

zo_status zo_closed_tile_init(zo_closed *c)
{
    bool weighted = zo_closed_weighted(c);
    size_t ld_out = c->net->stage[c->last].ld_out;
    if (!c->h) c->h = zo_alloc_zero(c->ctx, ZO_CLOSED_TILE * c->most, sizeof *c->h);
    if (!c->y) c->y = zo_alloc_zero(c->ctx, ZO_CLOSED_TILE * c->q, sizeof *c->y);
    if (!c->out) c->out = zo_alloc_zero(c->ctx, ZO_CLOSED_TILE * ld_out, sizeof *c->out);
    if (weighted && !c->w) c->w = zo_alloc_zero(c->ctx, ZO_CLOSED_TILE, sizeof *c->w);
    if (!c->h || !c->y || !c->out || (weighted && !c->w)) return ZO_NO_MEMORY;
    return c->modules ? zo_modules_init(c) : ZO_OK;
}

zo_status zo_closed_tile(zo_closed *c)
{
    int64_t n = c->task->part[ZO_TRAIN].n, left = n - c->position % n, m = left;
    if (m > ZO_CLOSED_TILE) m = ZO_CLOSED_TILE;
    zo_status status = zo_closed_tile_init(c);
    if (!status && !c->gram)
        status = zo_gram_create(c->ctx, c->p, c->q, zo_closed_sums(c), &c->gram);
    if (status) return status;
    zo_closed_features(c, ZO_TRAIN, c->position, m);
    status = zo_check_cancelled(c->ctx);
    if (status) return status;
    if (zo_closed_is_logistic(c))
        status = zo_closed_logistic_tile(c, c->position, (size_t)m);
    else
        for (int64_t i = 0; i < m; i++) fill_targets(c, c->position + i, (size_t)i);
    if (c->modules) zo_modules_targets(c, m);
    if (!status) status = zo_gram_add(c->gram, (size_t)m, c->h, c->p, c->y, c->q, c->w);
    double p = (double)c->p, q = (double)c->q;
    c->cost += (double)m * (p * p / 2 + p * q);
    if (status) return status;
    if (c->modules) zo_modules_taken(c, m);
    c->position += m;
    if (m == left) zo_gram_close(c->gram);
    return ZO_OK;
}

/* lowrank: evolution strategies whose noise is a matrix of low rank (EGGROLL, Sarkar et al. 2025, arXiv 2511.16652).
 *
 * For weights W [n inputs][m outputs] a draw is A [m][r] and B [n][r] of independent signs or normal numbers:
 *
 *   E = sigma / sqrt(r) B A^T,     x (W + E) = x W + sigma / sqrt(r) (x B) A^T
 *   direction = 1/(d sigma N sqrt(r)) sum over pairs i of w_i B_i A_i^T,     w_i the shaped difference of the pair, d its sides
 *
 * so that a dense layer needs one product for all members: of the first layer, once a step for the whole population; behind it, in the
 * products of members that run together. E exists nowhere. Weights of convolutions are few and used often: there E enters them. Biases, and
 * layers that are no product, get a number of noise for each of theirs.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/population.h"

#define TILE_ROWS                                                                                  \
    112 /* of weights in a tile of the direction: full blocks for every kernel, and whole words of signs */
#define TILE_COLUMNS 128
#define TILE_FLOATS 4096 /* in a tile of what gets full noise */
#define RANK_MOST 64

typedef enum side_kind { SIDES_AUTO, SIDES_ONE, SIDES_TWO } side_kind;

typedef struct settings {
    int64_t population, rank, examples;
    double sigma, sigma_jump;
    int sides, noise, shaping;
} settings;

/* Where a stage's noise lies, in units of sixteen numbers. Of a product: B [pairs][rank][b_units], and A [pairs][rank][a_units] with the noise
 * of the bias as one more row. Of other stages `a` holds the noise of weights and bias, one row. */
typedef struct factors {
    size_t b, b_units, a, a_units, a_rows;
} factors;

typedef struct worker {
    float *lift;  /* [rows of a chunk][rank + 1] */
    char *units;  /* [record] all noise of a pair, as drawn */
    float *a, *b; /* [ZO_SUM_TILE][TILE_COLUMNS], packed; [ZO_SUM_TILE][TILE_ROWS] */
    float *g;     /* [TILE_ROWS][TILE_COLUMNS], panel by panel */
} worker;

typedef struct state {
    zo_population p;
    size_t rank;
    factors *factors; /* [stages] */
    char *noise;      /* all pairs' */
    size_t unit;      /* bytes of sixteen numbers */
    size_t record;    /* units of a pair */
    worker *worker;   /* [threads] */
} state;

static bool gaussian(const state *s) { return s->p.set.noise == ZO_NOISE_GAUSSIAN; }

static size_t units_of(size_t numbers) { return (numbers + 15) / 16; }

/* Whether products of the unperturbed weights serve all members. */
static bool shared(const zo_stage *s) { return s->layer->product && s->layer->flat; }

static zo_draw units_at(const state *s, size_t at)
{
    const char *from = s->noise + at * s->unit;
    return gaussian(s) ? (zo_draw){.numbers = (const float *)(const void *)from}
                       : (zo_draw){.signs = (const uint16_t *)(const void *)from};
}

/* Row q of the factors of a pair. Row `rank` of A is the bias's noise. */
static zo_draw row_of_a(const state *s, int stage, size_t pair, size_t q)
{
    const factors *f = s->factors + stage;
    return units_at(s, f->a + (pair * f->a_rows + q) * f->a_units);
}

static zo_draw row_of_b(const state *s, int stage, size_t pair, size_t q)
{
    const factors *f = s->factors + stage;
    return units_at(s, f->b + (pair * s->rank + q) * f->b_units);
}

/* ---- sizes ---- */

static size_t place_factors(state *s)
{
    const zo_net *net = s->p.l->net;
    size_t pairs = s->p.pairs, at = 0;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *st = net->stage + i;
        factors *f = s->factors + i;
        bool product = st->layer->product;
        f->b_units = product ? units_of(st->rows) : 0;
        f->a_units = product ? units_of(st->columns) : (st->weight_floats + st->bias_floats) / 16;
        f->a_rows = product ? s->rank + st->has_bias : 1;
        f->b = at;
        f->a = at + pairs * s->rank * f->b_units;
        at = f->a + pairs * f->a_rows * f->a_units;
        s->record += s->rank * f->b_units + f->a_rows * f->a_units;
    }
    return at;
}

static zo_status init_worker(worker *w, const state *s)
{
    const zo_context *ctx = s->p.l->ctx;
    w->lift = zo_alloc(ctx, s->p.rows * (s->rank + 1) * sizeof(float));
    w->units = zo_alloc(ctx, (s->record + 8) * s->unit);
    w->a = zo_alloc(ctx, ZO_SUM_TILE * TILE_COLUMNS * sizeof(float));
    w->b = zo_alloc(ctx, (gaussian(s) ? 1 : ZO_SUM_TILE * TILE_ROWS) * sizeof(float));
    w->g = zo_alloc(ctx, TILE_ROWS * TILE_COLUMNS * sizeof(float));
    return w->lift && w->units && w->a && w->b && w->g ? ZO_OK : ZO_NO_MEMORY;
}

static const zo_population_kind kind, kind_of_ranks;

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    const settings *given = set;
    bool jump = zo_learner_jumps(l, -1);
    zo_population_settings of = {.population = given->population,
                                 .examples = given->examples,
                                 .sigma = jump ? given->sigma_jump : given->sigma,
                                 .two_sided =
                                     given->sides == SIDES_AUTO ? jump : given->sides == SIDES_TWO,
                                 .noise = given->noise,
                                 .shaping = given->shaping};
    s->rank = (size_t)given->rank;
    size_t most = (size_t)given->population / 64; /* enough items for many threads */
    zo_status status = zo_population_init(&s->p, s->rank > 1 ? &kind_of_ranks : &kind, &of, l, most);
    if (status) return status;
    int workers = zo_context_threads(l->ctx);
    s->unit = 16 * sizeof(float);
    if (!gaussian(s)) s->unit = sizeof(uint16_t);
    s->factors = zo_alloc_zero(l->ctx, (size_t)l->net->stages, sizeof *s->factors);
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    if (!s->factors || !s->worker) return ZO_NO_MEMORY;
    s->noise = zo_alloc_zero(l->ctx, place_factors(s), s->unit);
    if (!s->noise) return ZO_NO_MEMORY;
    for (int i = 0; i < workers && !status; i++) status = init_worker(s->worker + i, s);
    return status;
}

/* ---- noise ---- */

/* Numbers behind the last row of weights must not count in project(). */
static void clear_behind(const state *s, int stage, size_t pair)
{
    const zo_stage *st = s->p.l->net->stage + stage;
    const factors *f = s->factors + stage;
    size_t extra = 16 * f->b_units - st->rows;
    if (!f->b_units || !gaussian(s)) return;
    for (size_t q = 0; q < s->rank; q++) {
        size_t end = f->b + (pair * s->rank + q + 1) * f->b_units;
        memset(s->noise + end * s->unit - extra * sizeof(float), 0, extra * sizeof(float));
    }
}

/* Draws a pair's noise, one stream for all of it, and puts it where the stages look for it. */
static void draw_pair(void *arg, int64_t pair, int worker_index)
{
    state *s = arg;
    const zo_learner *l = s->p.l;
    zo_stream stream = zo_stream_at(l->seed, ZO_FOR_NOISE, (uint64_t)l->step, (uint32_t)pair);
    char *from = s->worker[worker_index].units;
    if (gaussian(s))
        zo_noise_normal(l->k, &stream, 0, 16 * s->record, (float *)(void *)from);
    else
        zo_noise_signs(l->k, &stream, 0, s->record, (uint16_t *)(void *)from);
    for (int i = 0; i < l->net->stages; i++) {
        const factors *f = s->factors + i;
        size_t b = s->rank * f->b_units, a = f->a_rows * f->a_units, at = (size_t)pair;
        memcpy(s->noise + (f->b + at * b) * s->unit, from, b * s->unit);
        from += b * s->unit;
        memcpy(s->noise + (f->a + at * a) * s->unit, from, a * s->unit);
        from += a * s->unit;
        clear_behind(s, i, at);
    }
}

static bool bit(const uint16_t *signs, size_t i) { return signs[i / 16] >> i % 16 & 1; }

/* One product of factors, signs: [rows] of the panels from `column` on; n numbers. */
static void multiply_signs(const zo_stage *s, const uint16_t *a, const uint16_t *b, size_t column,
                           size_t n, uint16_t *out)
{
    const uint16_t *end = out + n / 16;
    for (; out < end; column += ZO_PANEL) {
        size_t width = s->columns - column > 16 ? 2 : 1;
        for (size_t l = 0; l < s->rows; l++) {
            uint16_t flip = bit(b, l) ? 0xffff : 0;
            for (size_t j = 0; j < width; j++) *out++ = a[column / 16 + j] ^ flip;
        }
    }
}

/* The same of numbers: out += by * B A^T, or = if `first`. */
static void multiply_numbers(const zo_kernels *k, const zo_stage *s, const float *a, const float *b,
                             size_t column, size_t n, float by, bool first, float *out)
{
    const float *end = out + n;
    for (; out < end; column += ZO_PANEL) {
        size_t width = s->columns - column > 16 ? ZO_PANEL : 16;
        for (size_t l = 0; l < s->rows; l++, out += width)
            k->add_noise(out, first ? NULL : out, width, by * b[l], NULL, a + column);
    }
}

/* The noise of a piece of a convolution's weights. */
static zo_draw draw_product(const state *s, zo_chunk *c, size_t pair, int i, size_t column, size_t n)
{
    const zo_kernels *k = s->p.l->k;
    const zo_stage *st = s->p.l->net->stage + i;
    float by = (float)(1 / sqrt((double)s->rank));
    for (size_t q = 0; q < s->rank; q++) {
        zo_draw a = row_of_a(s, i, pair, q), b = row_of_b(s, i, pair, q);
        if (a.numbers) {
            multiply_numbers(k, st, a.numbers, b.numbers, column, n, by, q == 0, c->numbers);
            continue;
        }
        multiply_signs(st, a.signs, b.signs, column, n, c->signs);
        if (s->rank == 1) return (zo_draw){.signs = c->signs};
        k->add_noise(c->numbers, q ? c->numbers : NULL, n, by, c->signs, NULL);
    }
    return (zo_draw){.numbers = c->numbers};
}

static zo_draw draw(const zo_population *p, zo_chunk *c, int64_t pair, int i, size_t at, size_t n)
{
    const state *s = (const state *)p;
    const zo_stage *st = p->l->net->stage + i;
    if (!st->layer->product)
        return units_at(s, s->factors[i].a + (size_t)pair * s->factors[i].a_units + at / 16);
    if (at == st->weight_floats) return row_of_a(s, i, (size_t)pair, s->rank);
    return draw_product(s, c, (size_t)pair, i, at / st->rows, n);
}

/* ---- stages whose products serve all members ---- */

/* lift[n][rank + 1] for n rows x: what the rows of the pair's A, and the noise of its bias, are multiplied by. */
static void lift_rows(const state *s, int i, size_t pair, const float *x, size_t n, float *lift)
{
    const zo_learner *l = s->p.l;
    const zo_stage *st = l->net->stage + i;
    size_t ld = s->factors[i].a_rows;
    float sigma = (float)s->p.set.sigma, by = (float)(s->p.set.sigma / sqrt((double)s->rank));
    for (size_t q = 0; q < s->rank; q++) {
        zo_draw b = row_of_b(s, i, pair, q);
        l->k->project(lift + q, ld, x, st->ld_in, n, st->rows, b.signs, b.numbers, by);
    }
    for (size_t r = 0; r < n && st->has_bias; r++) lift[r * ld + s->rank] = sigma;
}

static void negate(float *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = -in[i];
}

/* The epilogue of rows from `row` on, that belong to pairs from `pair` on. */
static zo_epilogue lifted(const state *s, const float *lift, int i, size_t pair)
{
    zo_draw a = row_of_a(s, i, pair, 0);
    const factors *f = s->factors + i;
    return (zo_epilogue){.lift = lift,
                         .rank = f->a_rows,
                         .factor_signs = a.signs,
                         .factor = a.numbers,
                         .ld_factor = 16 * f->a_units};
}

/* h = f(z + lifted noise) for rows that lie together in the batch: a product over no terms. */
static void run_first_rows(const state *s, zo_chunk *c, size_t row, size_t n, size_t pair,
                           const float *lift)
{
    const zo_learner *l = s->p.l;
    const zo_stage *st = l->net->stage;
    float *h = zo_chunk_tensor(&s->p, c, 1) + row * st->ld_out;
    zo_epilogue e = lifted(s, lift, 0, pair);
    zo_operand nothing = zo_matrix(s->p.z, 0, n, 0);
    e.noise = s->p.z + (size_t)c->example[row] * st->ld_out;
    e.ld_noise = st->ld_out;
    e.sigma = 1;
    if (st->activation && !zo_stage_grouped(st)) {
        e.activate = zo_stage_activate(l->k, st);
        e.number = st->number;
    }
    l->k->product(h, st->ld_out, 0, &nothing, l->net->params + st->weight, st->columns, &e);
}

/* The first stage: z is known for each example of the batch, and both members of a pair see the same x. */
static void run_first(const state *s, zo_chunk *c, float *lift)
{
    const zo_learner *l = s->p.l;
    const zo_stage *st = l->net->stage;
    size_t ld = s->factors[0].a_rows;
    for (size_t pair = 0; pair < c->pairs; pair++) {
        size_t draw_of = (size_t)c->pair + pair, row = zo_chunk_row(c, pair, 0), m;
        for (size_t e = 0; e < c->examples; e += m) {
            m = zo_chunk_run(&s->p, c, row + e);
            lift_rows(s, 0, draw_of, l->x + (size_t)c->example[row + e] * st->ld_in, m, lift);
            run_first_rows(s, c, row + e, m, draw_of, lift);
            if (c->sides == 1) continue;
            negate(lift, lift, m * ld);
            run_first_rows(s, c, zo_chunk_row(c, pair, 1) + e, m, draw_of, lift);
        }
    }
}

static void run_later(const state *s, zo_chunk *c, int i, float *lift)
{
    const zo_learner *l = s->p.l;
    const zo_stage *st = l->net->stage + i;
    const float *in = zo_chunk_tensor(&s->p, c, i);
    size_t ld = s->factors[i].a_rows, n = c->examples * ld;
    for (size_t pair = 0; pair < c->pairs; pair++) {
        size_t row = zo_chunk_row(c, pair, 0);
        float *minus = lift + zo_chunk_row(c, pair, 1) * ld;
        lift_rows(s, i, (size_t)c->pair + pair, in + row * st->ld_in, c->sides * c->examples,
                  lift + row * ld);
        if (c->sides == 2) negate(minus, minus, n);
    }
    zo_epilogue e = lifted(s, lift, i, (size_t)c->pair);
    zo_rows rows = {.m = c->m,
                    .in = in,
                    .ld = st->ld_in,
                    .h = zo_chunk_tensor(&s->p, c, i + 1),
                    .noise = &e,
                    .groups = c->pairs};
    st->layer->forward(l->k, st, &c->room, zo_stage_weight(st, l->net->params),
                       zo_stage_bias(st, l->net->params), 0, st->columns, &rows);
}

static void run(const zo_population *p, zo_chunk *c, int i)
{
    const state *s = (const state *)p;
    const zo_stage *st = p->l->net->stage + i;
    float *lift = s->worker[c - p->worker].lift, *h = zo_chunk_tensor(p, c, i + 1);
    if (i)
        run_later(s, c, i, lift);
    else
        run_first(s, c, lift);
    if (zo_stage_grouped(st)) zo_stage_activation(p->l->net, st, c->m, h, h);
}

static const zo_population_kind kind = {.draw = draw, .own = shared, .run = run, .centred = true},
                                kind_of_ranks = {.draw = draw,
                                                 .own = shared,
                                                 .run = run,
                                                 .centred = true,
                                                 .numbers = true};

/* ---- the direction ---- */

/* A tile of a product's weights: rows [row, row + m), columns [column, column + n). */
typedef struct tile {
    int stage;
    size_t row, m, column, n;
} tile;

static size_t parts_of(size_t n, size_t part) { return (n + part - 1) / part; }

static size_t product_tiles(const zo_stage *s)
{
    if (!s->layer->product) return 0;
    return parts_of(s->rows, TILE_ROWS) * parts_of(s->columns, TILE_COLUMNS);
}

/* What gets full noise: numbers from here on of a stage's [weights][bias]. */
static size_t first_full(const zo_stage *s) { return s->layer->product ? s->weight_floats : 0; }

static size_t full_tiles(const zo_stage *s)
{
    return parts_of(s->weight_floats + s->bias_floats - first_full(s), TILE_FLOATS);
}

/* Factors of n draws from number `first` on, as floats: B^T as an operand, A with its weights as a packed matrix. */
static zo_operand make_factors(const state *s, worker *w, const tile *t, size_t first, size_t n)
{
    const zo_kernels *k = s->p.l->k;
    const zo_stage *st = s->p.l->net->stage + t->stage;
    double by = 1 / sqrt((double)s->rank);
    size_t padded = zo_round16(t->m);
    zo_draw b = {0};
    for (size_t i = 0; i < n; i++) {
        size_t pair = (first + i) / s->rank, q = (first + i) % s->rank;
        zo_draw a = row_of_a(s, t->stage, pair, q);
        b = row_of_b(s, t->stage, pair, q);
        if (b.signs)
            k->add_noise(w->b + i * TILE_ROWS, NULL, padded, 1, b.signs + t->row / 16, NULL);
        for (size_t column = 0; column < t->n; column += ZO_PANEL) {
            size_t at = t->column + column, width = st->columns - at > 16 ? ZO_PANEL : 16;
            k->add_noise(w->a + column * n + i * width, NULL, width, (float)(s->p.weight[pair] * by),
                         a.signs ? a.signs + at / 16 : NULL, a.numbers ? a.numbers + at : NULL);
        }
    }
    if (b.signs) return zo_transposed(w->b, TILE_ROWS, t->m, n);
    size_t ld = 16 * s->factors[t->stage].b_units;
    return zo_transposed(row_of_b(s, t->stage, 0, 0).numbers + first * ld + t->row, ld, t->m, n);
}

static void product_direction(const state *s, worker *w, const tile *t)
{
    const zo_kernels *k = s->p.l->k;
    const zo_stage *st = s->p.l->net->stage + t->stage;
    size_t draws = s->p.pairs * s->rank;
    for (size_t i = 0; i < draws; i += ZO_SUM_TILE) {
        size_t n = draws - i < ZO_SUM_TILE ? draws - i : ZO_SUM_TILE;
        zo_operand b = make_factors(s, w, t, i, n);
        zo_epilogue e = {.accumulate = i > 0};
        for (size_t column = 0; column < t->n; column += ZO_PANEL) {
            size_t left = t->n - column, width = left > 16 ? ZO_PANEL : 16;
            k->product(w->g + column * t->m, width, 0, &b, w->a + column * n,
                       left < ZO_PANEL ? left : ZO_PANEL, &e);
        }
    }
    for (size_t column = 0; column < t->n; column += ZO_PANEL) {
        size_t at = t->column + column, width = st->columns - at > 16 ? ZO_PANEL : 16;
        zo_population_apply(&s->p, st, at * st->rows + t->row * width, t->m * width,
                            w->g + column * t->m);
    }
}

/* Numbers from `at` on of a stage's full noise. */
static void full_direction(const state *s, worker *w, int stage, size_t at)
{
    const zo_learner *l = s->p.l;
    const zo_stage *st = l->net->stage + stage;
    const factors *f = s->factors + stage;
    size_t end = st->weight_floats + st->bias_floats,
           n = end - at < TILE_FLOATS ? end - at : TILE_FLOATS;
    memset(w->g, 0, n * sizeof *w->g);
    for (size_t i = 0; i < s->p.pairs; i++) {
        size_t row = st->layer->product ? s->rank : 0;
        zo_draw d =
            units_at(s, f->a + (i * f->a_rows + row) * f->a_units + (at - first_full(st)) / 16);
        if (d.signs)
            l->k->add_signs(w->g, d.signs, n, (float)s->p.weight[i]);
        else
            l->k->add_scaled(w->g, d.numbers, n, (float)s->p.weight[i]);
    }
    zo_population_apply(&s->p, st, at, n, w->g);
}

static int64_t stage_tiles(const state *s, int stage)
{
    const zo_stage *st = s->p.l->net->stage + stage;
    if (zo_learner_frozen(s->p.l, stage)) return 0;
    return (int64_t)(product_tiles(st) + full_tiles(st));
}

static void direction(void *st, const double *results, int64_t index, int worker_index)
{
    (void)results;
    const state *s = st;
    worker *w = s->worker + worker_index;
    int i = 0;
    while (index >= stage_tiles(s, i)) index -= stage_tiles(s, i++);
    const zo_stage *stage = s->p.l->net->stage + i;
    size_t at = (size_t)index, products = product_tiles(stage);
    if (at >= products) {
        full_direction(s, w, i, first_full(stage) + (at - products) * TILE_FLOATS);
        return;
    }
    size_t down = parts_of(stage->rows, TILE_ROWS);
    tile t = {.stage = i, .row = at % down * TILE_ROWS, .column = at / down * TILE_COLUMNS};
    t.m = stage->rows - t.row < TILE_ROWS ? stage->rows - t.row : TILE_ROWS;
    t.n = stage->columns - t.column < TILE_COLUMNS ? stage->columns - t.column : TILE_COLUMNS;
    product_direction(s, w, &t);
}

/* ---- the class ---- */

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = s->p.l;
    zo_parallel(l->ctx, (int64_t)s->p.pairs, draw_pair, s);
    zo_job j = zo_population_job(&s->p, update);
    for (int i = 0; i < l->net->stages; i++) j.tiles += stage_tiles(s, i);
    j.direction = direction;
    return j;
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    const zo_population *p = &s->p;
    double seen = (double)p->seen, sides = (double)p->sides, rank = (double)s->rank, pair = 0;
    for (int i = 0; i < p->l->net->stages; i++) {
        const zo_stage *stage = p->l->net->stage + i;
        double weights = (double)stage->rows * (double)stage->columns,
               lifts = (rank + stage->has_bias) * (double)stage->columns,
               project = rank * (double)stage->rows;
        if (zo_learner_frozen(p->l, i)) continue;
        pair += stage->layer->product ? (double)stage->parameters + (rank - 1) * weights
                                      : (double)stage->parameters; /* the direction */
        if (!shared(stage)) continue;
        pair += i ? sides * seen * (stage->cost + project + lifts)
                  : seen * project + sides * seen * lifts;
    }
    zo_population_report(p, results, out);
    out->cost = zo_population_cost(p) + (double)p->pairs * pair;
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    const zo_population *p = &s->p;
    if (index) return false;
    snprintf(
        out, room,
        "all weights at once: %zu %s of rank %zu, sigma %g, each on %zu of a batch of %d examples",
        p->pairs, p->sides == 2 ? "pairs" : "members against the clean loss", s->rank, p->set.sigma,
        p->seen, p->l->batch);
    return true;
}

static void fini(void *st)
{
    state *s = st;
    if (!s->p.l) return;
    const zo_context *ctx = s->p.l->ctx;
    for (int i = 0; s->worker && i < zo_context_threads(ctx); i++) {
        worker *w = s->worker + i;
        void *all[] = {w->lift, w->units, w->a, w->b, w->g};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++) zo_free(ctx, all[a]);
    }
    zo_free(ctx, s->worker);
    zo_free(ctx, s->factors);
    zo_free(ctx, s->noise);
    zo_population_fini(&s->p);
}

static const zo_param params[] = {
    ZO_PARAM_INT_ROW(settings, population, 1024, 1, 1 << 20,
                     "draws a step; each is a pair of members when two-sided"),
    ZO_PARAM_INT_ROW(
        settings, examples, 32, 0, 65536,
        "examples that a draw sees, one draw after the other through the batch; 0: all"),
    ZO_PARAM_INT_ROW(settings, rank, 1, 1, RANK_MOST, "rank of the noise of a layer's weights"),
    ZO_PARAM_REAL_ROW(settings, sigma, 0.005, 1e-6, 100, "deviation of the noise in the weights"),
    ZO_PARAM_REAL_ROW(settings, sigma_jump, 0.02, 1e-6, 100,
                      "the same where an activation or the loss jumps"),
    ZO_PARAM_CHOICE_ROW(
        settings, sides, SIDES_AUTO, "auto|one|two",
        "one: against the clean loss; two: against the opposite draw; auto: two where "
        "an activation or the loss jumps"),
    ZO_PARAM_CHOICE_ROW(settings, noise, ZO_NOISE_RADEMACHER, ZO_NOISE_CHOICES,
                        "distribution of the draws"),
    ZO_PARAM_CHOICE_ROW(settings, shaping, ZO_SHAPE_CENTRED_RANK, ZO_SHAPING_CHOICES,
                        "what becomes of the differences of the pairs"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_lowrank = {
    .info =
        {"lowrank",
         "moves all weights at once by noise of low rank, so that one product serves many members; "
         "rules begin with 1.5 times their lr",
         "Sarkar et al. 2025, arXiv 2511.16652", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 1.5,
    .whole = true,
    .init = init,
    .job = job,
    .report = report,
    .pack = zo_population_pack,
    .unpack = zo_population_unpack,
    .weights = zo_population_weights,
    .plan = plan,
    .reseeds = true,
    .fini = fini,
};

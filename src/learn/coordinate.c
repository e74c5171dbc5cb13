/* coordinate: finite differences of single parameters (DeepZero: Chen et al. 2024, arXiv 2310.02025; Kiefer & Wolfowitz 1952).
 *
 *   direction_c = (L(w + sigma unit_c) - L-) / (d sigma),  L- = L(w - sigma unit_c) and d = 2 two-sided, L- = L(w) and d = 1 one-sided
 *
 * on the step's batch, for a block of coordinates c; the others' direction is 0. Activations of the unperturbed network are cached. A weight
 * changes one output of its layer, of a convolution one channel: z + sigma x input. From there on the network runs again: a single number by
 * partial passes (nn/partial.h), others as whole rows; an example whose activations do not change costs nothing.
 *
 * Coordinates count as the parameters lie in the arena, without pads. The block of step k is [k block, (k + 1) block), around the end, in a
 * random order of all: it is a part of a sweep that leaves none out.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/complete.h"

#define GROUP 32         /* coordinates of an item */
#define ROWS 256         /* examples whose losses wait together */
#define TILE_FLOATS 4096 /* of the direction */

typedef struct settings {
    int64_t block;
    double sigma, sigma_jump;
    int sides;
} settings;

/* A parameter: weight [l][j] of a stage, or bias j where l is its number of rows. */
typedef struct coordinate {
    int stage;
    size_t l, j;
    size_t at; /* among [weights][bias] as they lie in the arena */
} coordinate;

/* What a worker has to hand. */
typedef struct desk {
    zo_moves moves;
    zo_complete complete;
    float *line;          /* [ROWS] moved outputs */
    float *g;             /* [TILE_FLOATS] */
    double *plus, *minus; /* [GROUP][ROWS] losses */
    int stage;            /* whose moved rows wait; -1: none do */
} desk;

typedef struct state {
    settings set;
    zo_trace trace;
    float *sigma;    /* [stages] */
    zo_way *way;     /* [stages] of those with one pixel; rows 0: whole rows run on */
    float **own;     /* [stages] of [batch][ld_out] or NULL: */
    const float **z; /* [stages]: z of all examples; what has no activation has it in the trace */
    float *clean;    /* [batch] losses */
    int32_t *place; /* [parameters]: where a coordinate stands in the order of sweeps; NULL: all are in the block */
    int32_t *chosen; /* [count], ascending */
    size_t count;
    double *weight; /* [count]: the direction */
    double loss;
    int64_t dropped;
    desk *worker; /* [workers] */
    const zo_update *update;
} state;

static const zo_learner *learner(const state *s) { return s->trace.l; }

/* ---- coordinates ---- */

/* Weights of a stage by panels, as they are packed. */
static void weight_at(const zo_stage *s, size_t n, coordinate *c)
{
    size_t width = s->layer->product ? ZO_PANEL : s->columns, panel = n / (s->rows * width);
    size_t first = panel * width, columns = s->columns - first < width ? s->columns - first : width;
    n -= panel * s->rows * width;
    c->l = n / columns;
    c->j = first + n % columns;
    c->at = zo_stage_at(s, c->l, c->j);
}

static coordinate coordinate_at(const zo_learner *l, int64_t n)
{
    coordinate c = {0};
    while (n >= zo_learner_moving(l, c.stage)) n -= zo_learner_moving(l, c.stage++);
    const zo_stage *s = l->net->stage + c.stage;
    size_t i = (size_t)n, weights = s->rows * s->columns;
    if (i < weights) {
        weight_at(s, i, &c);
    } else {
        c.l = s->rows;
        c.j = i - weights;
        c.at = s->weight_floats + c.j;
    }
    return c;
}

/* Fills the step's block, ascending. */
static void choose(state *s)
{
    int64_t all = zo_learner_moving_all(learner(s));
    if (!s->place) return;
    int64_t count = (int64_t)s->count, n = 0,
            first = learner(s)->step % all * count % all; /* below 2^62 */
    for (int64_t i = 0; i < all; i++) {
        int64_t from = s->place[i] - first;
        if ((from < 0 ? from + all : from) < count) s->chosen[n++] = (int32_t)i;
    }
}

/* ---- sizes ---- */

static zo_status init_order(state *s)
{
    const zo_learner *l = learner(s);
    size_t all = (size_t)zo_learner_moving_all(l);
    s->count = s->set.block && (size_t)s->set.block < all ? (size_t)s->set.block : all;
    s->chosen = zo_alloc(l->ctx, s->count * sizeof *s->chosen);
    s->weight = zo_alloc_zero(l->ctx, s->count, sizeof *s->weight);
    if (!s->chosen || !s->weight) return ZO_NO_MEMORY;
    for (size_t i = 0; i < s->count; i++) s->chosen[i] = (int32_t)i;
    if (s->count == all) return ZO_OK;
    s->place = zo_alloc(l->ctx, all * sizeof *s->place);
    if (!s->place) return ZO_NO_MEMORY;
    for (size_t i = 0; i < all; i++) s->place[i] = (int32_t)i;
    zo_random r = zo_random_at(l->seed, ZO_FOR_NOISE, 0, 0);
    zo_random_shuffle(&r, (uint32_t)all, s->place);
    return ZO_OK;
}

static zo_status init_stages(state *s)
{
    const zo_learner *l = learner(s);
    const zo_net *net = l->net;
    size_t stages = (size_t)net->stages;
    s->sigma = zo_alloc_zero(l->ctx, stages, sizeof *s->sigma);
    s->way = zo_alloc_zero(l->ctx, stages, sizeof *s->way);
    s->own = zo_alloc_zero(l->ctx, stages, sizeof *s->own);
    s->z = zo_alloc_zero(l->ctx, stages, sizeof *s->z);
    if (!s->sigma || !s->way || !s->own || !s->z) return ZO_NO_MEMORY;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *st = net->stage + i;
        s->sigma[i] = (float)(zo_learner_jumps(l, i) ? s->set.sigma_jump : s->set.sigma);
        s->z[i] = s->trace.h[i];
        if (st->layer->product && zo_shape_pixels(&st->out) == 1)
            zo_complete_plan(s->way + i, net, i);
        if (s->way[i].pixels) s->way[i].rows = 0;
        if (!st->activation) continue;
        s->own[i] = zo_alloc_zero(l->ctx, (size_t)l->batch * st->ld_out, sizeof(float));
        if (!s->own[i]) return ZO_NO_MEMORY;
        s->z[i] = s->own[i];
    }
    return ZO_OK;
}

static zo_status init_worker(desk *w, const state *s)
{
    const zo_learner *l = learner(s);
    size_t weights = 0;
    for (int i = 0; i < l->net->stages; i++) {
        const zo_stage *st = l->net->stage + i;
        if (!st->layer->product && st->weight_floats + st->bias_floats > weights)
            weights = st->weight_floats + st->bias_floats;
    }
    zo_status status = zo_moves_init(&w->moves, &s->trace, ZO_NOISE_RADEMACHER, 16, weights, 0);
    if (!status) status = zo_complete_init(&w->complete, &w->moves, s->way);
    w->line = zo_alloc_zero(l->ctx, ROWS, sizeof(float));
    w->g = zo_alloc_zero(l->ctx, TILE_FLOATS, sizeof(float));
    w->plus = zo_alloc_zero(l->ctx, GROUP * ROWS, sizeof(double));
    w->minus = zo_alloc_zero(l->ctx, GROUP * ROWS, sizeof(double));
    w->stage = -1;
    if (!w->line || !w->g || !w->plus || !w->minus) return ZO_NO_MEMORY;
    for (int i = 0; i < l->net->stages && w->complete.z; i++) w->complete.z[i] = s->z[i];
    return status;
}

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->set = *(const settings *)set;
    s->trace.l = l;
    if (zo_learner_moving_all(l) > INT32_MAX)
        return zo_fail(l->ctx, ZO_UNSUPPORTED,
                       "coordinate moves single parameters, and %lld are too many: use nodes",
                       (long long)zo_learner_moving_all(l));
    int workers = zo_context_threads(l->ctx);
    size_t stages = (size_t)l->net->stages;
    int *examples = zo_alloc_zero(l->ctx, stages, sizeof *examples); /* none has errors */
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    s->clean = zo_alloc_zero(l->ctx, (size_t)l->batch, sizeof *s->clean);
    zo_status status =
        examples && s->worker && s->clean ? zo_trace_init(&s->trace, l, examples) : ZO_NO_MEMORY;
    zo_free(l->ctx, examples);
    if (!status) status = init_order(s);
    if (!status) status = init_stages(s);
    for (int i = 0; i < workers && !status; i++) status = init_worker(s->worker + i, s);
    return status;
}

static void fini(void *st)
{
    state *s = st;
    const zo_learner *l = learner(s);
    if (!l) return;
    for (int i = 0; s->worker && i < zo_context_threads(l->ctx); i++) {
        desk *w = s->worker + i;
        zo_complete_fini(&w->complete);
        zo_moves_fini(&w->moves);
        void *all[] = {w->line, w->g, w->plus, w->minus};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++) zo_free(l->ctx, all[a]);
    }
    for (int i = 0; s->own && i < l->net->stages; i++) zo_free(l->ctx, s->own[i]);
    void *all[] = {s->worker,    s->clean, s->sigma,  s->way,   s->own,
                   (void *)s->z, s->place, s->chosen, s->weight};
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) zo_free(l->ctx, all[a]);
    zo_trace_fini(&s->trace);
}

/* ---- the unperturbed network ---- */

static void clean_part(void *arg, int64_t part, int worker)
{
    state *s = arg;
    const zo_learner *l = learner(s);
    size_t first = (size_t)part * ZO_ITEM, left = (size_t)l->batch - first,
           m = left < ZO_ITEM ? left : ZO_ITEM;
    zo_trace_clean(&s->trace, first, m, s->clean + first, worker);
    for (int i = 0; i < l->net->stages; i++) {
        size_t ld = l->net->stage[i].ld_out;
        if (s->own[i])
            memcpy(s->own[i] + first * ld, zo_trace_z(&s->trace, i, first, worker),
                   m * ld * sizeof(float));
    }
}

/* ---- moves ---- */

/* Runs on what waits. */
static void finish(const state *s, desk *w)
{
    if (w->stage >= 0 && s->way[w->stage].rows)
        zo_complete_points(&w->complete, s->way + w->stage, 0, 0, 0);
    else if (w->stage >= 0)
        zo_moves_run(&w->moves, w->stage);
    w->stage = -1;
}

/* A stage with one pixel: its output j moves alone, in examples [first, first + n). An example whose output does not change, or that has no
 * loss, is overwritten by the next. */
static void move_number(const state *s, desk *w, const coordinate *at, float by, size_t first,
                        size_t n, double *to)
{
    const zo_net *net = learner(s)->net;
    const zo_stage *st = net->stage + at->stage;
    const float *in = s->trace.tensor[at->stage] + first * st->ld_in,
                *z = s->z[at->stage] + first * st->ld_out + at->j,
                *h = s->trace.h[at->stage] + first * st->ld_out + at->j;
    zo_complete *c = &w->complete;
    bool bias = at->l == st->rows;
    for (size_t r = 0; r < n; r++)
        w->line[r] = z[r * st->ld_out] + by * (bias ? 1 : in[r * st->ld_in + at->l]);
    if (!bias) w->moves.cost += (double)n;
    if (st->activation)
        zo_stage_activate(net->ctx->kernels, st)(w->line, ROWS, w->line, ROWS, 1, n, st->number);
    for (size_t r = 0; r < n; r++) {
        float change = w->line[r] - h[r * st->ld_out];
        c->move[c->n] = (zo_move){(int32_t)(first + r), (int32_t)at->j, change};
        c->to[c->n] = to + r;
        c->n += change != 0 && isfinite(s->clean[first + r]);
        if (c->n == ZO_COMPLETE_POINTS) zo_complete_points(c, s->way + at->stage, 0, 0, 0);
    }
}

/* z[..] += by x what weight [l][j] of a product sees, or by x 1 for a bias, at every pixel of example b. */
static double add_inputs(const state *s, desk *w, const coordinate *at, float by, size_t b, float *z)
{
    const zo_stage *st = learner(s)->net->stage + at->stage;
    size_t pixels = zo_shape_pixels(&st->out), pitch = st->out.pitch;
    if (at->l == st->rows) {
        for (size_t p = 0; p < pixels; p++) z[p * pitch + at->j] += by;
        return 0;
    }
    zo_room room = zo_net_room(learner(s)->net, w->moves.scratch);
    size_t row = at->l % st->tile_rows;
    zo_operand x =
        st->layer->inputs(learner(s)->k, st, &room, s->trace.tensor[at->stage] + b * st->ld_in,
                          st->ld_in, 1, at->l - row);
    const float *a = x.a + row * x.row;
    for (size_t run = 0; run < x.runs; run++) {
        size_t start = x.start ? x.start[run] : 0;
        for (size_t i = 0; i < x.run; i++, z += pitch) z[at->j] += by * a[start + i * x.step];
    }
    return (double)pixels + st->form_cost;
}

/* z of example b, with the parameter moved. Returns the multiply-adds. */
static double moved_outputs(const state *s, desk *w, const coordinate *at, float by, size_t b,
                            float *z)
{
    const zo_net *net = learner(s)->net;
    const zo_stage *st = net->stage + at->stage;
    if (st->layer->product || at->l == st->rows) {
        memcpy(z, s->z[at->stage] + b * st->ld_out, st->ld_out * sizeof *z);
        return add_inputs(s, w, at, by, b, z);
    }
    zo_room room = zo_net_room(net, w->moves.scratch);
    zo_rows rows = {
        .m = 1, .in = s->trace.tensor[at->stage] + b * st->ld_in, .ld = st->ld_in, .z = z, .h = z};
    st->layer->forward(net->ctx->kernels, st, &room, w->moves.weights,
                       st->has_bias ? w->moves.weights + st->weight_floats : NULL, 0, st->columns,
                       &rows);
    return st->cost;
}

static bool differs(const zo_stage *s, const float *a, const float *b)
{
    size_t pitch = s->out.pitch, bytes = (size_t)s->out.channels * sizeof *a, differ = 0;
    for (size_t p = 0; p < zo_shape_pixels(&s->out) && !differ; p++)
        differ = memcmp(a + p * pitch, b + p * pitch, bytes) != 0;
    return differ;
}

/* Any other stage: rows of all its outputs. */
static void move_rows(const state *s, desk *w, const coordinate *at, float by, size_t first,
                      size_t n, double *to)
{
    const zo_net *net = learner(s)->net;
    const zo_stage *st = net->stage + at->stage;
    zo_moves *m = &w->moves;
    if (!st->layer->product && at->l < st->rows) {
        memcpy(m->weights, net->params + st->weight,
               (st->weight_floats + st->bias_floats) * sizeof(float));
        m->weights[at->at] += by;
    }
    for (size_t b = first; b < first + n; b++) {
        if (!isfinite(s->clean[b])) continue;
        float *row = zo_moves_waiting(m, at->stage) + m->n * st->ld_out;
        m->cost += moved_outputs(s, w, at, by, b, row);
        zo_stage_activation(net, st, 1, row, row);
        if (!differs(st, row, s->trace.h[at->stage] + b * st->ld_out)) continue;
        zo_moves_add_row(m, b, to + (b - first));
        if (m->n == m->rows) zo_moves_run(m, at->stage);
    }
}

static void move(const state *s, desk *w, const coordinate *at, float by, size_t first, size_t n,
                 double *to)
{
    if (w->stage != at->stage) finish(s, w);
    w->stage = at->stage;
    if (s->way[at->stage].rows)
        move_number(s, w, at, by, first, n, to);
    else
        move_rows(s, w, at, by, first, n, to);
}

/* Examples [first, first + n) of all the item's coordinates: adds the differences to diff[]. */
static void add_differences(const state *s, desk *w, const coordinate *at, size_t count,
                            size_t first, size_t n, double *diff)
{
    for (size_t i = 0; i < count; i++) {
        float sigma = s->sigma[at[i].stage];
        double *plus = w->plus + i * ROWS, *minus = w->minus + i * ROWS;
        /* what is not evaluated does not differ */
        for (size_t r = 0; r < n; r++) plus[r] = minus[r] = s->clean[first + r];
        move(s, w, at + i, sigma, first, n, plus);
        if (s->set.sides) move(s, w, at + i, -sigma, first, n, minus);
    }
    finish(s, w);
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < n; r++) {
            if (isfinite(s->clean[first + r]))
                diff[i] += w->plus[i * ROWS + r] - w->minus[i * ROWS + r];
        }
    }
}

/* Results of an item: multiply-adds, then the mean difference of each coordinate, infinite or NaN where a loss is missing. */
static void evaluate_item(const state *s, size_t item, double *results, desk *w)
{
    const zo_learner *l = learner(s);
    coordinate at[GROUP];
    size_t first = item * GROUP, count = s->count - first < GROUP ? s->count - first : GROUP;
    memset(results, 0, (1 + GROUP) * sizeof *results);
    for (size_t i = 0; i < count; i++) at[i] = coordinate_at(l, s->chosen[first + i]);
    w->moves.cost = 0;
    for (size_t b = 0, n; b < (size_t)l->batch; b += n) {
        n = (size_t)l->batch - b < ROWS ? (size_t)l->batch - b : ROWS;
        add_differences(s, w, at, count, b, n, results + 1);
    }
    results[0] = w->moves.cost;
}

/* ---- the job ---- */

static size_t groups(const state *s) { return (s->count + GROUP - 1) / GROUP; }

/* The last item is the unperturbed network: its loss, and how many examples have none. */
static size_t clean_at(const state *s) { return groups(s) * (1 + GROUP); }

static double difference(const double *results, size_t i)
{
    return results[i / GROUP * (1 + GROUP) + 1 + i % GROUP];
}

static double finite_examples(const state *s, double *sum)
{
    double n = 0;
    *sum = 0;
    for (int b = 0; b < learner(s)->batch; b++) {
        if (!isfinite(s->clean[b])) continue;
        *sum += s->clean[b];
        n++;
    }
    return n;
}

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    const state *s = st;
    double sum, finite = finite_examples(s, &sum);
    for (int64_t i = first; i < first + n; i++, results += 1 + GROUP) {
        if (i < (int64_t)groups(s)) {
            evaluate_item(s, (size_t)i, results, s->worker + worker);
            for (int k = 1; k <= GROUP && finite > 0; k++) results[k] /= finite;
            continue;
        }
        memset(results, 0, (1 + GROUP) * sizeof *results);
        results[0] = finite > 0 ? sum / finite : NAN;
        results[1] = learner(s)->batch - finite;
    }
}

static zo_status check(void *st, const double *results)
{
    const state *s = st;
    if (isfinite(results[clean_at(s)])) return ZO_OK;
    return zo_fail(learner(s)->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

static void settle(void *st, const double *results, int64_t part, int worker)
{
    (void)part, (void)worker;
    state *s = st;
    s->loss = results[clean_at(s)];
    s->dropped = (int64_t)results[clean_at(s) + 1];
    for (size_t i = 0; i < s->count; i++) {
        double d = difference(results, i), sides = s->set.sides ? 2 : 1;
        float sigma = s->sigma[coordinate_at(learner(s), s->chosen[i]).stage];
        s->weight[i] = isfinite(d) ? d / (sides * (double)sigma) : 0;
        s->dropped += !isfinite(d);
    }
}

static int64_t stage_tiles(const state *s, int stage)
{
    const zo_stage *st = learner(s)->net->stage + stage;
    if (zo_learner_frozen(learner(s), stage)) return 0;
    return (int64_t)((st->weight_floats + st->bias_floats + TILE_FLOATS - 1) / TILE_FLOATS);
}

/* The first of the block that is at or behind number `at` of a stage. */
static size_t chosen_from(const state *s, int stage, size_t at)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        coordinate c = coordinate_at(learner(s), s->chosen[middle]);
        if (c.stage < stage || (c.stage == stage && c.at < at))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void direction(void *st, const double *results, int64_t tile, int worker)
{
    (void)results;
    state *s = st;
    const zo_net *net = learner(s)->net;
    float *g = s->worker[worker].g;
    int i = 0;
    while (tile >= stage_tiles(s, i)) tile -= stage_tiles(s, i++);
    const zo_stage *stage = net->stage + i;
    size_t at = (size_t)tile * TILE_FLOATS, left = stage->weight_floats + stage->bias_floats - at,
           n = left < TILE_FLOATS ? left : TILE_FLOATS, end = chosen_from(s, i, at + n);
    memset(g, 0, n * sizeof *g);
    for (size_t k = chosen_from(s, i, at); k < end; k++)
        g[coordinate_at(learner(s), s->chosen[k]).at - at] = (float)s->weight[k];
    zo_update_apply(s->update, stage->weight + at, g, n);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = learner(s);
    s->update = update;
    choose(s);
    if (l->example) /* else the results are known, or only their number is asked for */
        zo_parallel(l->ctx, (l->batch + ZO_ITEM - 1) / ZO_ITEM, clean_part, s);
    zo_job j = {.state = s,
                .items = (int64_t)groups(s) + 1,
                .results = 1 + GROUP,
                .evaluate = evaluate,
                .check = check,
                .parts = 1,
                .settle = settle,
                .direction = direction};
    for (int i = 0; i < l->net->stages; i++) j.tiles += stage_tiles(s, i);
    return j;
}

/* Of the results, since a step that diverges has nothing else. */
static double passes_cost(const state *s, const double *results)
{
    double cost = 0;
    for (size_t i = 0; i < groups(s); i++) cost += results[i * (1 + GROUP)];
    return cost;
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    out->loss = s->loss;
    out->dropped = s->dropped;
    out->cost = learner(s)->batch * learner(s)->net->cost + passes_cost(s, results);
}

/* Loss, examples without one, multiply-adds; then a difference for each coordinate. */
static size_t pack(const void *st, const double *results, double *out)
{
    const state *s = st;
    size_t n = 0;
    out[n++] = results[clean_at(s)];
    out[n++] = results[clean_at(s) + 1];
    out[n++] = passes_cost(s, results);
    for (size_t i = 0; i < s->count; i++) out[n++] = difference(results, i);
    return n;
}

static bool unpack(const void *st, const double *in, size_t n, double *results)
{
    const state *s = st;
    if (n != 3 + s->count || !(in[1] >= 0 && in[1] <= learner(s)->batch)) return false;
    memset(results, 0, (groups(s) + 1) * (1 + GROUP) * sizeof *results);
    results[clean_at(s)] = in[0];
    results[clean_at(s) + 1] = in[1];
    results[0] = in[2];
    for (size_t i = 0; i < s->count; i++)
        results[i / GROUP * (1 + GROUP) + 1 + i % GROUP] = in[3 + i];
    return true;
}

static double *weights(void *st, size_t *n)
{
    state *s = st;
    *n = s->count;
    return s->weight;
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    int first = 0;
    if (index) return false;
    while (first + 1 < learner(s)->net->stages && !zo_learner_moving(learner(s), first)) first++;
    snprintf(out, room,
             "%zu of %lld parameters one by one: %s-sided, sigma %g, on one batch of %d examples",
             s->count, (long long)zo_learner_moving_all(learner(s)), s->set.sides ? "two" : "one",
             (double)s->sigma[first], learner(s)->batch);
    return true;
}

/* The other parameters of a block's step have no part in it, which is no noise. */
static bool theory(const void *st, int stage, zo_theory *out)
{
    (void)stage;
    *out = (zo_theory){0};
    return !((const state *)st)->place;
}

static const zo_param params[] = {
    ZO_PARAM_INT_ROW(settings, block, 0, 0, INT32_MAX,
                     "parameters moved in a step, of all in a random order; 0: all"),
    ZO_PARAM_REAL_ROW(settings, sigma, 0.01, 1e-6, 100, "size of the move of a parameter"),
    ZO_PARAM_REAL_ROW(settings, sigma_jump, 0.3, 1e-6, 100,
                      "the same where an activation behind it or the loss jumps"),
    ZO_PARAM_CHOICE_ROW(settings, sides, 1, "one|two",
                        "one: forward differences, from the clean loss; two: central ones"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_coordinate = {
    .info = {"coordinate",
             "finite differences of single parameters on a step's batch, from cached activations; "
             "for small networks; rules begin with 5 times their lr",
             "Kiefer & Wolfowitz 1952; Chen et al. 2024, arXiv 2310.02025", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 5,
    .init = init,
    .job = job,
    .report = report,
    .pack = pack,
    .unpack = unpack,
    .weights = weights,
    .plan = plan,
    .theory = theory,
    .fini = fini,
};

/* nodes: noise in layers, per example; from a moved layer on the network runs again from cached activations.
 *
 * For a site with outputs z and moved losses L+ and L- (L- is the clean loss when draws are one-sided):
 *   random    e = 1/(d sigma K) sum over draws k of (L+ - L-) xi_k,  d = 1 one-sided, 2 two-sided
 *             Noise enters only where it can act (entry.h).
 *   complete  e_j = (L(z + sigma unit_j) - L-) / (d sigma), every output in turn, by partial passes (nn/partial.h): only what a moved output
 *             changes is computed again; an output whose activation does not change, or is not the largest of its window, costs nothing.
 * The direction of the layer is then e^T x / examples. Where a complete set is costly it is taken for some examples of the batch: that has
 * less variance than random draws for all of them at the same cost, as long as moving one output alone costs no more than a draw.
 * weights      the layer's weights are moved, per example: the same sum over draws, xi in the weights, is its direction. Better for a layer with
 *             few weights and many outputs that each change much.
 * Every number is a difference of the true loss; no error is chained from layer to layer.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/complete.h"
#include "learn/shaping.h"

#define GROUP 64 /* draws whose losses wait together, where shaping does not want all of them */

typedef enum set_kind { SET_AUTO, SET_COMPLETE, SET_RANDOM } set_kind;
typedef enum side_kind { SIDES_AUTO, SIDES_ONE, SIDES_TWO } side_kind;
typedef enum place_kind { PLACE_AUTO, PLACE_OUTPUTS, PLACE_WEIGHTS } place_kind;

typedef struct settings {
    int set, place, sides, noise, shaping;
    int64_t draws;
    double sigma, sigma_jump, sigma_weights, limit;
} settings;

/* How a stage is treated; count 0: it has no parameters. */
typedef struct site {
    bool complete, weights;
    int entry; /* of draws, as in zo_place */
    int sides;
    int examples; /* of the batch */
    float sigma;
    size_t count;  /* outputs or draws */
    size_t floats; /* of a draw, pads included */
    size_t results; /* where its numbers begin: errors of an example, or a direction among the item's */
    double cost; /* forward-equivalents an example, about */
} site;

/* What a worker has to hand. */
typedef struct desk {
    zo_moves moves;
    zo_complete complete;
    float *errors;        /* [most floats]: of an example, or of a stage's weights */
    double *plus, *minus; /* [rows of an item][that wait together] losses */
    double *weight;       /* [most that wait together] */
    int32_t *order;       /* [2 x the same] */
} desk;

typedef struct state {
    settings set;
    zo_trace trace;
    site *site;     /* [stages] */
    zo_way *way;    /* [stages] of complete sets; rows 0: none */
    size_t group;   /* most draws whose losses wait together */
    size_t numbers; /* results of an example: loss, dropped, errors */
    size_t of_item; /* results of an item besides: directions of weights */
    desk *worker;   /* [workers] */
    const zo_update *update;
} state;

static const zo_learner *learner(const state *s) { return s->trace.l; }

/* ---- the plan ---- */

/* The examples whose complete sets of that cost spend `limit` on the mean of the batch; whole items of work where that are several. */
static int part_of_batch(const state *s, double cost)
{
    int batch = learner(s)->batch;
    double n = ceil(batch * s->set.limit / cost);
    if (n > ZO_ITEM) n = ceil(n / ZO_ITEM) * ZO_ITEM;
    return n < batch ? (int)n : batch;
}

static void plan_site(state *s, int i)
{
    const zo_learner *l = learner(s);
    const zo_net *net = l->net;
    const zo_stage *st = net->stage + i;
    site *p = s->site + i;
    bool jump = zo_learner_jumps(l, i), last = i + 1 == net->stages;
    /* At the last stage a second side costs no multiply-add, and takes away the error of first order. */
    p->sides = s->set.sides == SIDES_AUTO ? 1 + (jump || last) : s->set.sides;
    bool complete = s->set.place != PLACE_WEIGHTS &&
                    (s->set.set == SET_COMPLETE || (s->set.set == SET_AUTO && s->set.limit > 0));
    if (complete) zo_complete_plan(s->way + i, net, i);
    /* Cost x variance, which is as many draws as there are numbers, of what is there to choose from. */
    double whole = s->way[i].cost * p->sides / net->cost,
           by_weights = (double)st->parameters * zo_moves_draw_cost(net, i, true) / net->cost,
           by_outputs = (double)net->stage[zo_moves_entry(net, i, false)].outputs *
                        zo_moves_draw_cost(net, i, false) / net->cost;
    p->weights = s->set.place == PLACE_WEIGHTS ||
                 (s->set.place == PLACE_AUTO && s->set.set != SET_COMPLETE &&
                  by_weights < (complete ? whole / p->sides : by_outputs));
    p->complete = complete && !p->weights;
    p->examples = l->batch;
    if (p->complete && s->set.set == SET_AUTO) p->examples = part_of_batch(s, whole);
    if (!p->complete) s->way[i].rows = 0;
    p->sigma = (float)(jump ? s->set.sigma_jump : p->weights ? s->set.sigma_weights : s->set.sigma);
    if (p->weights && jump) p->sigma = (float)(s->set.sigma_jump / sqrt(st->fan_in + 1));
    p->count = p->complete ? (size_t)st->outputs : (size_t)s->set.draws;
    p->entry = zo_moves_entry(net, i, p->weights);
    p->floats = zo_moves_floats(net, i, p->weights);
    p->cost = p->complete ? whole * p->examples / l->batch
                          : (double)s->set.draws * zo_moves_draw_cost(net, i, p->weights) *
                                p->sides / net->cost;
    size_t *end = p->weights ? &s->of_item : &s->numbers;
    p->results = *end;
    *end += p->weights ? p->floats : (size_t)st->outputs;
}

static zo_status init_worker(desk *w, const state *s)
{
    const zo_learner *l = learner(s);
    size_t waiting = s->group, losses = s->group * ZO_ITEM, most = 16, drawn = 16, weights = 0,
           pooled = 0;
    for (int i = 0; i < l->net->stages; i++) {
        const site *p = s->site + i;
        if (p->count && p->floats > most) most = p->floats;
        if (p->count && !p->complete && p->floats > drawn) drawn = p->floats;
        if (p->weights && p->floats > weights) weights = p->floats;
        if (p->count && !p->complete && p->entry > i && p->floats > pooled) pooled = p->floats;
        size_t rows = p->examples < ZO_ITEM ? (size_t)p->examples : ZO_ITEM;
        if (p->complete && p->count > waiting) waiting = p->count;
        if (p->complete && p->count * rows > losses) losses = p->count * rows;
    }
    zo_status status = zo_moves_init(&w->moves, &s->trace, (zo_noise_kind)s->set.noise,
                                     (size_t)s->set.draws, drawn, weights, pooled);
    if (!status) status = zo_complete_init(&w->complete, &w->moves, s->way);
    w->errors = zo_alloc_zero(l->ctx, most, sizeof(float));
    w->plus = zo_alloc_zero(l->ctx, losses, sizeof(double));
    w->minus = zo_alloc_zero(l->ctx, losses, sizeof(double));
    w->weight = zo_alloc_zero(l->ctx, waiting, sizeof(double));
    w->order = zo_alloc_zero(l->ctx, 2 * waiting, sizeof(int32_t));
    bool all = w->errors && w->plus && w->minus && w->weight && w->order;
    return status ? status : all ? ZO_OK : ZO_NO_MEMORY;
}

static void fini_worker(desk *w, const zo_context *ctx)
{
    void *all[] = {w->errors, w->plus, w->minus, w->weight, w->order};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    zo_complete_fini(&w->complete);
    zo_moves_fini(&w->moves);
}

static zo_status plan_sites(state *s)
{
    const zo_learner *l = learner(s);
    s->numbers = 2;
    for (int i = 0; i < l->net->stages; i++) {
        if (!l->net->stage[i].rows) continue;
        plan_site(s, i);
        const site *p = s->site + i;
        double blocks = zo_moves_blocks((zo_noise_kind)s->set.noise, p->floats, p->count);
        if (!p->complete && blocks > UINT32_MAX)
            return zo_fail(l->ctx, ZO_USAGE, "draws=%zu: too many for a layer of %zu numbers",
                           p->count, p->floats);
    }
    /* Sums over all losses of an example need all of them; raw differences come in groups. */
    size_t draws = (size_t)s->set.draws;
    s->group = s->set.shaping == ZO_SHAPE_RAW && draws > GROUP ? GROUP : draws;
    return ZO_OK;
}

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->set = *(const settings *)set;
    int workers = zo_context_threads(l->ctx), stages = l->net->stages;
    s->trace.l = l;
    s->site = zo_alloc_zero(l->ctx, (size_t)stages, sizeof *s->site);
    s->way = zo_alloc_zero(l->ctx, (size_t)stages, sizeof *s->way);
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    int *examples = zo_alloc_zero(l->ctx, (size_t)stages, sizeof *examples);
    zo_status status = s->site && s->way && s->worker && examples ? plan_sites(s) : ZO_NO_MEMORY;
    for (int i = 0; i < stages && !status; i++)
        examples[i] = s->site[i].count && !s->site[i].weights ? s->site[i].examples : 0;
    if (!status) status = zo_trace_init(&s->trace, l, examples);
    zo_free(l->ctx, examples);
    for (int i = 0; i < workers && !status; i++) status = init_worker(s->worker + i, s);
    return status;
}

/* ---- from losses to errors ---- */

/* A pair with a loss that is not finite becomes no difference at all, and so do all pairs of an example whose clean loss is not finite.
 * Returns how many. */
static int64_t drop_pairs(double *plus, double *minus, size_t n, double clean)
{
    int64_t dropped = 0;
    for (size_t i = 0; i < n; i++) {
        if (fabs(clean) <= DBL_MAX && fabs(plus[i]) <= DBL_MAX && fabs(minus[i]) <= DBL_MAX)
            continue;
        plus[i] = minus[i] = fabs(clean) <= DBL_MAX ? clean : 0;
        dropped++;
    }
    return dropped;
}

/* w->weight[n] of the waiting losses of row r; returns how many pairs were dropped. */
static int64_t weigh(const state *s, desk *w, const site *p, size_t r, size_t n, double clean)
{
    double *plus = w->plus + r * n, *minus = w->minus + r * n,
           scale = 1 / ((double)p->sigma * p->sides * (p->complete ? 1 : (double)p->count) *
                        p->examples);
    int64_t dropped = drop_pairs(plus, minus, n, clean);
    zo_shaping_apply((zo_shaping)s->set.shaping, n, plus, minus, w->weight, w->order);
    for (size_t i = 0; i < n; i++) w->weight[i] *= scale;
    return dropped;
}

/* All waiting losses are the clean one at first: what is not evaluated does not differ. */
static void clear_losses(desk *w, size_t rows, size_t n, const double *results, size_t numbers)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < n; k++)
            w->plus[r * n + k] = w->minus[r * n + k] = results[r * numbers];
    }
}

static void complete_site(const state *s, desk *w, const zo_place *at, double *results)
{
    const site *p = s->site + at->stage;
    clear_losses(w, at->m, p->count, results, s->numbers);
    const zo_way *way = s->way + at->stage;
    zo_complete_run(&w->complete, at, way, p->sigma, w->plus);
    if (p->sides == 2) zo_complete_run(&w->complete, at, way, -p->sigma, w->minus);
    for (size_t r = 0; r < at->m; r++) {
        double *of = results + r * s->numbers;
        of[1] += (double)weigh(s, w, p, r, p->count, of[0]);
        memcpy(of + p->results, w->weight, p->count * sizeof *of);
    }
}

/* Errors of one example's outputs, as they lie in a pass, from and to results, which have no pads. */
static void take_errors(const zo_stage *st, const double *from, float *e)
{
    size_t c = (size_t)st->out.channels, pitch = st->out.pitch;
    for (size_t i = 0; i < zo_shape_pixels(&st->out); i++, from += c, e += pitch) {
        for (size_t j = 0; j < c; j++) e[j] = (float)from[j];
    }
}

static void give_errors(const zo_stage *st, const float *e, double *to)
{
    size_t c = (size_t)st->out.channels, pitch = st->out.pitch;
    for (size_t i = 0; i < zo_shape_pixels(&st->out); i++, to += c, e += pitch) {
        for (size_t j = 0; j < c; j++) to[j] = e[j];
    }
}

/* Adds to the errors of row r what its waiting losses come to. */
static void add_errors(const state *s, desk *w, const zo_place *at, size_t r, size_t k, size_t n,
                       double *of)
{
    const site *p = s->site + at->stage;
    const zo_stage *st = learner(s)->net->stage + at->stage;
    bool pooled = at->entry > at->stage;
    memset(w->errors, 0, p->floats * sizeof *w->errors);
    if (k > 0 && pooled) zo_entry_take(&w->moves.entry, at->stage, r, of + p->results, w->errors);
    if (k > 0 && !pooled) take_errors(st, of + p->results, w->errors);
    zo_moves_add(&w->moves, at, r, k, n, w->weight, w->errors);
    zo_moves_silence(&w->moves, at, r, p->sigma, w->errors);
    if (pooled)
        zo_entry_give(&w->moves.entry, at->stage, r, w->errors, of + p->results);
    else
        give_errors(st, w->errors, of + p->results);
}

/* The same for the item's direction of moved weights. */
static void add_weights(const state *s, desk *w, const zo_place *at, size_t r, size_t k, size_t n,
                        double *item)
{
    const site *p = s->site + at->stage;
    double *to = item + ZO_ITEM * s->numbers + p->results;
    for (size_t j = 0; j < p->floats; j++) w->errors[j] = k > 0 || r > 0 ? (float)to[j] : 0;
    zo_moves_add(&w->moves, at, r, k, n, w->weight, w->errors);
    for (size_t j = 0; j < p->floats; j++) to[j] = w->errors[j];
}

static void random_site(const state *s, desk *w, const zo_place *at, double *results)
{
    const site *p = s->site + at->stage;
    zo_moves_enter(&w->moves, at);
    for (size_t k = 0; k < p->count; k += s->group) {
        size_t n = p->count - k < s->group ? p->count - k : s->group,
               most = zo_moves_batch(&w->moves, at, n);
        clear_losses(w, at->m, n, results, s->numbers);
        for (size_t row = 0, rows; row < at->m; row += rows) {
            rows = at->m - row < most ? at->m - row : most;
            zo_moves_draw(&w->moves, at, row, rows, k, n, p->sigma, w->plus,
                          p->sides == 2 ? w->minus : NULL);
            for (size_t r = row; r < row + rows; r++) {
                double *of = results + r * s->numbers;
                of[1] += (double)weigh(s, w, p, r, n, of[0]);
                if (p->weights)
                    add_weights(s, w, at, r, k, n, results);
                else
                    add_errors(s, w, at, r, k, n, of);
            }
        }
    }
}

static void evaluate_item(state *s, int64_t item, double *results, int worker)
{
    const zo_learner *l = learner(s);
    size_t first = (size_t)item * ZO_ITEM, batch = (size_t)l->batch,
           m = batch - first < ZO_ITEM ? batch - first : ZO_ITEM;
    float loss[ZO_ITEM];
    if (m < ZO_ITEM) memset(results, 0, ZO_ITEM * s->numbers * sizeof *results);
    zo_trace_clean(&s->trace, first, m, loss, worker);
    for (size_t r = 0; r < m; r++) {
        results[r * s->numbers] = loss[r];
        results[r * s->numbers + 1] = 0;
    }
    for (int i = 0; i < l->net->stages; i++) {
        const site *p = s->site + i;
        if (!p->count || first >= (size_t)p->examples) continue;
        size_t some = (size_t)p->examples - first < m ? (size_t)p->examples - first : m;
        zo_place at = {i, worker, first, some, p->weights, p->entry, p->floats};
        if (p->complete)
            complete_site(s, s->worker + worker, &at, results);
        else
            random_site(s, s->worker + worker, &at, results);
    }
}

static size_t item_results(const state *s) { return ZO_ITEM * s->numbers + s->of_item; }

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    state *s = st;
    for (int64_t i = 0; i < n; i++)
        evaluate_item(s, first + i, results + (size_t)i * item_results(s), worker);
}

/* ---- the job ---- */

static size_t items(const state *s) { return ((size_t)learner(s)->batch + ZO_ITEM - 1) / ZO_ITEM; }

/* The numbers of example b. */
static const double *example_results(const state *s, const double *results, size_t b)
{
    return results + b / ZO_ITEM * item_results(s) + b % ZO_ITEM * s->numbers;
}

static zo_status check(void *st, const double *results)
{
    const state *s = st;
    const zo_learner *l = learner(s);
    for (size_t b = 0; b < (size_t)l->batch; b++) {
        if (isfinite(example_results(s, results, b)[0])) return ZO_OK;
    }
    return zo_fail(l->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

static void settle(void *st, const double *results, int64_t part, int worker)
{
    (void)worker;
    state *s = st;
    int i;
    size_t first, m;
    zo_trace_part(&s->trace, part, &i, &first, &m);
    const zo_stage *stage = learner(s)->net->stage + i;
    for (size_t b = first; b < first + m; b++)
        take_errors(stage, example_results(s, results, b) + s->site[i].results,
                    s->trace.e[i] + b * stage->ld_out);
    zo_trace_pack(&s->trace, i, first, m);
}

/* The direction of a stage whose weights were moved: the sum of the items', in order. */
static void weights_direction(state *s, const double *results, int64_t nth, int worker)
{
    const zo_net *net = learner(s)->net;
    float *g = s->worker[worker].errors;
    int i = 0;
    for (; !s->site[i].weights || nth > 0; i++) nth -= s->site[i].weights;
    const site *p = s->site + i;
    const zo_stage *st = net->stage + i;
    for (size_t j = 0; j < p->floats; j++) {
        double sum = 0;
        for (size_t item = 0; item < items(s); item++)
            sum += results[item * item_results(s) + ZO_ITEM * s->numbers + p->results + j];
        g[j] = (float)sum;
    }
    zo_stage_clear_pads(st, 0, p->floats, g);
    zo_update_apply(s->update, st->weight, g, p->floats);
}

static void direction(void *st, const double *results, int64_t tile, int worker)
{
    state *s = st;
    int64_t tiles = zo_trace_tiles(&s->trace);
    if (tile < tiles)
        zo_trace_direction(&s->trace, s->update, tile, worker);
    else
        weights_direction(s, results, tile - tiles, worker);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = learner(s);
    s->update = update;
    for (int i = 0; i < zo_context_threads(l->ctx); i++) s->worker[i].moves.cost = 0;
    int64_t weights = 0;
    for (int i = 0; i < l->net->stages; i++) weights += s->site[i].weights;
    return (zo_job){.state = s,
                    .items = (int64_t)items(s),
                    .results = item_results(s),
                    .evaluate = evaluate,
                    .check = check,
                    .parts = zo_trace_parts(&s->trace),
                    .settle = settle,
                    .tiles = zo_trace_tiles(&s->trace) + weights,
                    .direction = direction};
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    const zo_learner *l = learner(s);
    double sum = 0, known = 0;
    for (size_t b = 0; b < (size_t)l->batch; b++) {
        const double *of = example_results(s, results, b);
        out->dropped += (int64_t)of[1];
        if (!isfinite(of[0])) continue;
        sum += of[0];
        known++;
    }
    out->loss = known > 0 ? sum / known : NAN;
    out->cost = zo_trace_cost(&s->trace);
    for (int i = 0; i < zo_context_threads(l->ctx); i++)
        out->cost += s->worker[i].moves.cost; /* whole numbers: any order */
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    const zo_net *net = learner(s)->net;
    int i = 0;
    for (; i < net->stages && (!s->site[i].count || index > 0); i++) index -= s->site[i].count > 0;
    if (i == net->stages) return false;
    const site *p = s->site + i;
    char how[112], some[48] = "";
    if (p->examples < learner(s)->batch)
        snprintf(some, sizeof some, " for %d of %d examples", p->examples, learner(s)->batch);
    if (p->complete)
        snprintf(how, sizeof how, "complete set of %zu outputs%s", p->count, some);
    else
        snprintf(how, sizeof how, "%zu random draws%s", p->count,
                 p->entry > i ? " at the largest of each window" : "");
    snprintf(out, room,
             "%d %s %s: %s, %s-sided, sigma %g, about %.3g forward-equivalents an example",
             net->stage[i].word, net->word[net->stage[i].word], p->weights ? "weights" : "outputs",
             how, p->sides == 1 ? "one" : "two", (double)p->sigma, p->cost);
    return true;
}

/* Of n of B examples, drawn without putting back; and of K draws in d numbers for each of them, whose errors are the other draws' numbers. */
static bool theory(const void *st, int stage, zo_theory *out)
{
    const state *s = st;
    const zo_stage *of = learner(s)->net->stage + stage;
    const site *p = s->site + stage;
    double n = p->examples, batch = learner(s)->batch,
           d = p->weights ? (double)of->parameters : of->outputs;
    *out = (zo_theory){0};
    if (s->set.shaping != ZO_SHAPE_RAW) return false;
    if (!p->complete) {
        out->rho = (d + (s->set.noise == ZO_NOISE_GAUSSIAN ? 1 : -1)) / ((double)p->count * n);
        return p->weights || (of->layer->flat && of->layer->product); /* else pixels share weights */
    }
    if (n < batch) out->rho = batch / (batch - 1) * (1 / n - 1 / batch);
    out->constant = -out->rho;
    return true;
}

/* The numbers of moved weights are those of whole items. */
static void halve(const void *st, bool odd, double *results)
{
    const state *s = st;
    for (size_t i = 0; i < items(s); i++, results += item_results(s)) {
        for (size_t r = !odd; r < ZO_ITEM; r += 2)
            memset(results + r * s->numbers + 2, 0, (s->numbers - 2) * sizeof *results);
        if (i % 2 != odd) memset(results + ZO_ITEM * s->numbers, 0, s->of_item * sizeof *results);
    }
}

static void fini(void *st)
{
    state *s = st;
    const zo_learner *l = learner(s);
    if (!l) return;
    for (int i = 0; s->worker && i < zo_context_threads(l->ctx); i++)
        fini_worker(s->worker + i, l->ctx);
    zo_free(l->ctx, s->worker);
    zo_free(l->ctx, s->site);
    zo_free(l->ctx, s->way);
    zo_trace_fini(&s->trace);
}

static const zo_param params[] = {
    ZO_PARAM_CHOICE_ROW(settings, set, SET_AUTO, "auto|complete|random",
                        "directions at a site; auto: complete, within `limit`"),
    ZO_PARAM_CHOICE_ROW(
        settings, place, PLACE_AUTO, "auto|outputs|weights",
        "where noise enters; auto: the weights of a layer where so many draws of them cost "
        "less than a complete set of its outputs"),
    ZO_PARAM_INT_ROW(settings, draws, 16, 1, 4096, "random draws per example and site"),
    ZO_PARAM_CHOICE_ROW(
        settings, sides, SIDES_AUTO, "auto|one|two",
        "one: against the clean loss; two: against the opposite draw; auto: two where "
        "something jumps, and at the last layer"),
    ZO_PARAM_REAL_ROW(settings, sigma, 0.01, 1e-6, 100, "size of a move of a layer's outputs"),
    ZO_PARAM_REAL_ROW(
        settings, sigma_jump, 1, 1e-6, 100,
        "the same where an activation or the loss behind it jumps; weights are moved by "
        "this over the root of the inputs"),
    ZO_PARAM_REAL_ROW(settings, sigma_weights, 0.01, 1e-6, 100,
                      "size of a move of a layer's weights"),
    ZO_PARAM_REAL_ROW(
        settings, limit, 0.3, 0, 1e9,
        "forward-equivalents an example that auto spends on a layer's complete set: a costlier "
        "one is taken for a part of the batch; 0: none is taken"),
    ZO_PARAM_CHOICE_ROW(
        settings, noise, ZO_NOISE_RADEMACHER, ZO_NOISE_ALL_CHOICES,
        "distribution of random draws; hadamard: signs, orthogonal over an example's draws"),
    ZO_PARAM_CHOICE_ROW(settings, shaping, ZO_SHAPE_RAW, ZO_SHAPING_CHOICES,
                        "what becomes of an example's losses at a site"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_nodes = {
    .info = {"nodes",
             "moves the outputs of layers (or few weights), per example; complete sets by updating "
             "one column, or random draws",
             "Widrow & Lehr 1990; Flower & Jabri 1993; Dalm et al. 2023, arXiv 2310.00965",
             ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 1,
    .init = init,
    .job = job,
    .report = report,
    .plan = plan,
    .theory = theory,
    .halve = halve,
    .fini = fini,
};

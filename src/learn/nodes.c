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
#include "learn/nodes.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GROUP 64 /* draws whose losses wait together, where shaping does not want all of them */

static const zo_learner *learner(const zo_nodes *s) { return s->trace.l; }

/* Sums over all losses of an example need all of them; raw differences come in groups. */
static size_t group_of(const zo_site_plan *p, size_t draws)
{
    return p->shaping == ZO_SHAPE_RAW && draws > GROUP ? GROUP : draws;
}

static zo_status init_worker(zo_nodes_desk *w, const zo_nodes *s)
{
    const zo_learner *l = learner(s);
    size_t waiting = 1, losses = ZO_ITEM, most = 16, drawn = 16, weights = 0, pooled = 0;
    for (int i = 0; i < l->net->stages; i++) {
        const zo_site_plan *p = s->site + i;
        if (p->count && p->floats > most) most = p->floats;
        if (p->count && !p->complete && p->floats > drawn) drawn = p->floats;
        if (p->weights && p->floats > weights) weights = p->floats;
        if (p->count && !p->complete && p->entry > i && p->floats > pooled) pooled = p->floats;
        size_t rows = p->most_examples < ZO_ITEM ? (size_t)p->most_examples : ZO_ITEM,
               together = p->complete ? p->most_count : group_of(p, p->most_count);
        if (p->count && together > waiting) waiting = together;
        if (p->count && together * rows > losses) losses = together * rows;
    }
    zo_status status = zo_moves_init(&w->moves, &s->trace, s->noise, drawn, weights, pooled);
    if (!status) status = zo_complete_init(&w->complete, &w->moves, s->way);
    w->errors = zo_alloc_zero(l->ctx, most, sizeof(float));
    w->half = zo_alloc_zero(l->ctx, weights + 16, sizeof(float));
    w->plus = zo_alloc_zero(l->ctx, losses, sizeof(double));
    w->minus = zo_alloc_zero(l->ctx, losses, sizeof(double));
    w->weight = zo_alloc_zero(l->ctx, waiting, sizeof(double));
    w->order = zo_alloc_zero(l->ctx, 2 * waiting, sizeof(int32_t));
    bool all = w->errors && w->half && w->plus && w->minus && w->weight && w->order;
    return status ? status : all ? ZO_OK : ZO_NO_MEMORY;
}

static void fini_worker(zo_nodes_desk *w, const zo_context *ctx)
{
    void *all[] = {w->errors, w->half, w->plus, w->minus, w->weight, w->order};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    zo_complete_fini(&w->complete);
    zo_moves_fini(&w->moves);
}

static zo_status plan_sites(zo_nodes *s, const void *settings, size_t stride, bool adapts)
{
    const zo_learner *l = learner(s);
    s->numbers = 2;
    for (int i = 0; i < l->net->stages; i++) {
        const zo_sites_settings *set = (const void *)((const char *)settings + (size_t)i * stride);
        zo_site_plan *p = s->site + i;
        s->noise = (zo_noise_kind)set->noise;
        if (!zo_learner_moving(l, i)) continue;
        zo_site_plan_make(p, s->way + i, l, i, set, adapts);
        size_t *end = p->weights ? &s->of_item : &s->numbers;
        s->begin[i] = *end;
        *end += p->weights ? p->floats : (size_t)l->net->stage[i].outputs;
        if (!p->complete && zo_moves_blocks(s->noise, p->floats, p->most_count) > UINT32_MAX)
            return zo_fail(l->ctx, ZO_USAGE, "draws=%zu: too many for a layer of %zu numbers",
                           p->count, p->floats);
    }
    return ZO_OK;
}

/* The traces of sites that move outputs. */
static zo_status init_trace(zo_nodes *s)
{
    const zo_learner *l = learner(s);
    int *examples = zo_alloc_zero(l->ctx, (size_t)l->net->stages, sizeof *examples);
    if (!examples) return ZO_NO_MEMORY;
    for (int i = 0; i < l->net->stages; i++)
        examples[i] = s->site[i].count && !s->site[i].weights ? s->site[i].most_examples : 0;
    zo_status status = zo_trace_init(&s->trace, l, examples);
    zo_free(l->ctx, examples);
    for (int i = 0; i < l->net->stages && !status; i++) {
        if (s->trace.examples[i]) zo_trace_use(&s->trace, i, s->site[i].examples);
    }
    return status;
}

zo_status zo_nodes_init(zo_nodes *s, const void *settings, size_t stride, const zo_learner *l,
                        bool adapts)
{
    int workers = zo_context_threads(l->ctx);
    size_t stages = (size_t)l->net->stages;
    s->trace.l = l;
    s->site = zo_alloc_zero(l->ctx, stages, sizeof *s->site);
    s->way = zo_alloc_zero(l->ctx, stages, sizeof *s->way);
    s->begin = zo_alloc_zero(l->ctx, stages, sizeof *s->begin);
    s->halves = zo_alloc_zero(l->ctx, stages, sizeof *s->halves);
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    if (!s->site || !s->way || !s->begin || !s->halves || !s->worker) return ZO_NO_MEMORY;
    zo_status status = plan_sites(s, settings, stride, adapts);
    if (!status) status = init_trace(s);
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

/* w->weight[n] of the waiting losses of row r, moves of sigma; returns how many pairs were dropped. */
static int64_t weigh(zo_nodes_desk *w, const zo_site_plan *p, size_t r, size_t n, float sigma,
                     double clean)
{
    double *plus = w->plus + r * n, *minus = w->minus + r * n,
           scale =
               1 / ((double)sigma * p->sides * (p->complete ? 1 : (double)p->count) * p->examples);
    int64_t dropped = drop_pairs(plus, minus, n, clean);
    zo_shaping_apply((zo_shaping)p->shaping, n, plus, minus, w->weight, w->order);
    for (size_t i = 0; i < n; i++) w->weight[i] *= scale;
    return dropped;
}

/* All waiting losses are the clean one at first: what is not evaluated does not differ. */
static void clear_losses(zo_nodes_desk *w, size_t rows, size_t n, const double *results,
                         size_t numbers)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < n; k++)
            w->plus[r * n + k] = w->minus[r * n + k] = results[r * numbers];
    }
}

/* The size of the moves of row r: outputs that are all zero have no scale of their own. */
static float sigma_of(const zo_nodes *s, const zo_nodes_desk *w, const zo_place *at, size_t r)
{
    const zo_site_plan *p = s->site + at->stage;
    const zo_stage *st = learner(s)->net->stage + at->stage;
    const float *z = zo_moves_z(&w->moves, at, r);
    double sum = 0;
    if (!p->relative) return p->sigma;
    for (size_t i = 0; i < zo_shape_pixels(&st->out); i++, z += st->out.pitch) {
        for (size_t j = 0; j < (size_t)st->out.channels; j++) sum += (double)z[j] * (double)z[j];
    }
    double scale = sqrt(sum / st->outputs);
    return scale > 1e-6 && scale < 1e6 ? p->sigma * (float)scale : p->sigma;
}

static void complete_site(const zo_nodes *s, zo_nodes_desk *w, const zo_place *at, double *results)
{
    const zo_site_plan *p = s->site + at->stage;
    clear_losses(w, at->m, p->count, results, s->numbers);
    const zo_way *way = s->way + at->stage;
    float move[ZO_ITEM], back[ZO_ITEM];
    for (size_t r = 0; r < at->m; r++) {
        move[r] = sigma_of(s, w, at, r);
        back[r] = -move[r];
    }
    zo_complete_run(&w->complete, at, way, move, w->plus);
    if (p->sides == 2) zo_complete_run(&w->complete, at, way, back, w->minus);
    for (size_t r = 0; r < at->m; r++) {
        double *of = results + r * s->numbers;
        of[1] += (double)weigh(w, p, r, p->count, move[r], of[0]);
        memcpy(of + s->begin[at->stage], w->weight, p->count * sizeof *of);
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
static void add_errors(const zo_nodes *s, zo_nodes_desk *w, const zo_place *at, size_t r, size_t k,
                       size_t n, float sigma, double *of)
{
    const zo_site_plan *p = s->site + at->stage;
    const zo_stage *st = learner(s)->net->stage + at->stage;
    bool pooled = at->entry > at->stage;
    memset(w->errors, 0, p->floats * sizeof *w->errors);
    if (k > 0 && pooled)
        zo_entry_take(&w->moves.entry, at->stage, r, of + s->begin[at->stage], w->errors);
    if (k > 0 && !pooled) take_errors(st, of + s->begin[at->stage], w->errors);
    zo_moves_add(&w->moves, at, r, k, n, w->weight, w->errors);
    zo_moves_silence(&w->moves, at, r, sigma, w->errors);
    if (pooled)
        zo_entry_give(&w->moves.entry, at->stage, r, w->errors, of + s->begin[at->stage]);
    else
        give_errors(st, w->errors, of + s->begin[at->stage]);
}

/* The same for the item's direction of moved weights. */
static void add_weights(const zo_nodes *s, zo_nodes_desk *w, const zo_place *at, size_t r, size_t k,
                        size_t n, double *item)
{
    const zo_site_plan *p = s->site + at->stage;
    double *to = item + ZO_ITEM * s->numbers + s->begin[at->stage];
    for (size_t j = 0; j < p->floats; j++) w->errors[j] = k > 0 || r > 0 ? (float)to[j] : 0;
    zo_moves_add(&w->moves, at, r, k, n, w->weight, w->errors);
    for (size_t j = 0; j < p->floats; j++) to[j] = w->errors[j];
}

static void random_site(const zo_nodes *s, zo_nodes_desk *w, const zo_place *at, double *results)
{
    const zo_site_plan *p = s->site + at->stage;
    zo_moves_enter(&w->moves, at);
    size_t group = group_of(p, p->count);
    for (size_t k = 0; k < p->count; k += group) {
        size_t n = p->count - k < group ? p->count - k : group,
               most = p->relative ? 1 : zo_moves_batch(&w->moves, at, n);
        clear_losses(w, at->m, n, results, s->numbers);
        for (size_t row = 0, rows; row < at->m; row += rows) {
            rows = at->m - row < most ? at->m - row : most;
            float sigma = sigma_of(s, w, at, row); /* of all rows: relative ones come alone */
            zo_moves_draw(&w->moves, at, row, rows, k, n, sigma, w->plus,
                          p->sides == 2 ? w->minus : NULL);
            for (size_t r = row; r < row + rows; r++) {
                double *of = results + r * s->numbers;
                of[1] += (double)weigh(w, p, r, n, sigma, of[0]);
                if (p->weights)
                    add_weights(s, w, at, r, k, n, results);
                else
                    add_errors(s, w, at, r, k, n, sigma, of);
            }
        }
    }
}

static void evaluate_item(zo_nodes *s, int64_t item, double *results, int worker)
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
        const zo_site_plan *p = s->site + i;
        if (!p->count || first >= (size_t)p->examples) continue;
        size_t some = (size_t)p->examples - first < m ? (size_t)p->examples - first : m;
        zo_place at = {i, worker, first, some, p->weights, p->entry, p->floats, p->count};
        if (p->complete)
            complete_site(s, s->worker + worker, &at, results);
        else
            random_site(s, s->worker + worker, &at, results);
    }
}

static size_t item_results(const zo_nodes *s) { return ZO_ITEM * s->numbers + s->of_item; }

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    zo_nodes *s = st;
    for (int64_t i = 0; i < n; i++)
        evaluate_item(s, first + i, results + (size_t)i * item_results(s), worker);
}

/* ---- the job ---- */

static size_t items(const zo_nodes *s)
{
    return ((size_t)learner(s)->batch + ZO_ITEM - 1) / ZO_ITEM;
}

/* The numbers of example b. */
static const double *example_results(const zo_nodes *s, const double *results, size_t b)
{
    return results + b / ZO_ITEM * item_results(s) + b % ZO_ITEM * s->numbers;
}

static zo_status check(void *st, const double *results)
{
    const zo_nodes *s = st;
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
    zo_nodes *s = st;
    int i;
    size_t first, m;
    zo_trace_part(&s->trace, part, &i, &first, &m);
    const zo_stage *stage = learner(s)->net->stage + i;
    for (size_t b = first; b < first + m; b++)
        take_errors(stage, example_results(s, results, b) + s->begin[i],
                    s->trace.e[i] + b * stage->ld_out);
    zo_trace_pack(&s->trace, i, first, m);
}

/* The first item of the second half. */
static size_t middle(const zo_nodes *s) { return items(s) / 2; }

/* What items [from, to) say of a stage whose weights were moved. */
static void sum_items(const zo_nodes *s, int stage, const double *results, size_t from, size_t to,
                      float *g)
{
    for (size_t j = 0; j < s->site[stage].floats; j++) {
        double sum = 0;
        for (size_t item = from; item < to; item++)
            sum += results[item * item_results(s) + ZO_ITEM * s->numbers + s->begin[stage] + j];
        g[j] = (float)sum;
    }
}

/* The direction of a stage whose weights were moved: the sum of the items', in order. */
static void weights_direction(zo_nodes *s, const double *results, int64_t nth, int worker)
{
    const zo_net *net = learner(s)->net;
    float *g = s->worker[worker].errors, *half = s->worker[worker].half;
    int i = 0;
    for (; !s->site[i].weights || nth > 0; i++) nth -= s->site[i].weights;
    const zo_site_plan *p = s->site + i;
    const zo_stage *st = net->stage + i;
    bool listen = s->trace.listen;
    sum_items(s, i, results, 0, listen ? middle(s) : items(s), g);
    zo_stage_clear_pads(st, 0, p->floats, g);
    if (listen) {
        sum_items(s, i, results, middle(s), items(s), half);
        zo_stage_clear_pads(st, 0, p->floats, half);
        s->halves[i] = zo_halves_join(g, half, p->floats);
    }
    zo_update_apply(s->update, st->weight, g, p->floats);
}

zo_halves zo_nodes_halves(const zo_nodes *s, int stage, double *first, double *second)
{
    const zo_site_plan *p = s->site + stage;
    size_t n = (size_t)p->examples, half = p->weights ? middle(s) * ZO_ITEM : n / 2;
    *first = (double)half;
    *second = (double)(n - half);
    return p->weights ? s->halves[stage] : zo_trace_halves(&s->trace, stage);
}

static void direction(void *st, const double *results, int64_t tile, int worker)
{
    zo_nodes *s = st;
    int64_t tiles = zo_trace_tiles(&s->trace);
    if (tile < tiles)
        zo_trace_direction(&s->trace, s->update, tile, worker);
    else
        weights_direction(s, results, tile - tiles, worker);
}

zo_job zo_nodes_job(void *st, const zo_update *update)
{
    zo_nodes *s = st;
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

void zo_nodes_report(const void *st, const double *results, zo_step_info *out)
{
    const zo_nodes *s = st;
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
    for (int i = 0; i < l->net->stages; i++) {
        const zo_site_plan *p = s->site + i;
        if (p->relative) out->cost += (double)p->examples * l->net->stage[i].outputs;
        if (s->trace.listen && p->count) out->cost += 3 * (double)l->net->stage[i].parameters;
    }
}

bool zo_nodes_plan(const void *st, int index, char *out, size_t room)
{
    const zo_nodes *s = st;
    const zo_net *net = learner(s)->net;
    int i = 0;
    for (; i < net->stages && (!s->site[i].count || index > 0); i++) index -= s->site[i].count > 0;
    if (i == net->stages) return false;
    zo_site_plan_show(s->site + i, learner(s), i, out, room);
    return true;
}

/* Of n of B examples, drawn without putting back; and of K draws in d numbers for each of them, whose errors are the other draws' numbers. */
bool zo_nodes_theory(const void *st, int stage, zo_theory *out)
{
    const zo_nodes *s = st;
    const zo_stage *of = learner(s)->net->stage + stage;
    const zo_site_plan *p = s->site + stage;
    double n = p->examples, batch = learner(s)->batch;
    *out = (zo_theory){0};
    if (p->shaping != ZO_SHAPE_RAW) return false;
    if (!p->complete) {
        out->rho = zo_site_spread(p, s->noise, p->count) / n;
        return p->weights || (of->layer->flat && of->layer->product); /* else pixels share weights */
    }
    if (n < batch) out->rho = batch / (batch - 1) * (1 / n - 1 / batch);
    out->constant = -out->rho;
    return true;
}

/* The numbers of moved weights are those of whole items. */
void zo_nodes_halve(const void *st, bool odd, double *results)
{
    const zo_nodes *s = st;
    for (size_t i = 0; i < items(s); i++, results += item_results(s)) {
        for (size_t r = !odd; r < ZO_ITEM; r += 2)
            memset(results + r * s->numbers + 2, 0, (s->numbers - 2) * sizeof *results);
        if (i % 2 != odd) memset(results + ZO_ITEM * s->numbers, 0, s->of_item * sizeof *results);
    }
}

void zo_nodes_fini(void *st)
{
    zo_nodes *s = st;
    const zo_learner *l = learner(s);
    if (!l) return;
    for (int i = 0; s->worker && i < zo_context_threads(l->ctx); i++)
        fini_worker(s->worker + i, l->ctx);
    zo_free(l->ctx, s->worker);
    zo_free(l->ctx, s->site);
    zo_free(l->ctx, s->way);
    zo_free(l->ctx, s->begin);
    zo_free(l->ctx, s->halves);
    zo_trace_fini(&s->trace);
}

/* ---- the class ---- */

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    return zo_nodes_init(st, set, sizeof(zo_sites_settings), l, false);
}

static const zo_param params[] = {
    ZO_SITES_ROWS("forward-equivalents an example that auto spends on a layer's complete set: a "
                  "costlier one is taken for a part of the batch; 0: none is taken"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_nodes = {
    .info = {"nodes",
             "moves the outputs of layers (or few weights), per example; complete sets by updating "
             "one column, or random draws",
             "Widrow & Lehr 1990; Flower & Jabri 1993; Dalm et al. 2023, arXiv 2310.00965",
             ZO_USES_LOSS, params},
    .settings_size = sizeof(zo_sites_settings),
    .layered = ZO_SITES_LAYERED,
    .state_size = sizeof(zo_nodes),
    .lr = 1,
    .init = init,
    .job = zo_nodes_job,
    .report = zo_nodes_report,
    .plan = zo_nodes_plan,
    .theory = zo_nodes_theory,
    .halve = zo_nodes_halve,
    .fini = zo_nodes_fini,
};

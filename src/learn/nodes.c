/* nodes: noise in the outputs of layers, per example; from a moved layer on the network runs again from cached activations.
 *
 * For a site with outputs z and moved losses L+ and L- (L- is the clean loss when draws are one-sided):
 *   random    e = 1/(d sigma K) sum over draws k of (L+ - L-) xi_k,  d = 1 one-sided, 2 two-sided
 *   complete  e_j = (L(z + sigma unit_j) - L-) / (d sigma), every unit in turn. A moved unit changes one column of the next product, so the
 *             next layer is updated and not computed again; a unit whose activation does not change costs nothing.
 * The direction of the layer is then e^T x / batch. Every number is a difference of the true loss; no error is chained from layer to layer.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/noise.h"
#include "learn/shaping.h"
#include "learn/trace.h"

#define CHUNK                                                                                      \
    112 /* rows that run on together: full blocks for every kernel, small enough to stay in the near caches */

typedef enum set_kind { SET_AUTO, SET_COMPLETE, SET_RANDOM } set_kind;
typedef enum side_kind { SIDES_AUTO, SIDES_ONE, SIDES_TWO } side_kind;

typedef struct settings {
    int set, sides, noise, shaping;
    int64_t draws;
    double sigma, sigma_jump, limit;
} settings;

/* How a site is treated. */
typedef struct site {
    bool complete;
    int sides;
    float sigma;
    size_t count; /* units or draws */
    size_t results; /* where its numbers begin among an example's: plus[count], and minus[count] if two-sided */
    double cost; /* forward-equivalents an example, at most */
} site;

/* Rows that wait to be run on from stage `from`. */
typedef struct chunk {
    size_t n;
    zo_move move[CHUNK];
    int32_t example[CHUNK]; /* batch rows */
    int32_t label[CHUNK];
    double *to[CHUNK]; /* where each row's loss goes */
    float loss[CHUNK];
    float *h; /* [CHUNK][widest]: activations of random draws, or moved outputs of the last stage */
    float *next;                   /* [CHUNK][widest]: the stage behind a moved unit */
    float *scratch;                /* [2][CHUNK][widest] */
    float *target;                 /* [CHUNK][outputs] */
    float *row;                    /* [widest] */
    uint16_t *signs;               /* [widest / 16, rounded up to 8] */
    double *plus, *minus, *weight; /* [most count] */
    int32_t *order;                /* [2 * most count] */
    double cost;                   /* multiply-adds done by this worker in the present step */
} chunk;

typedef struct state {
    settings set;
    zo_trace trace;
    site *site;       /* [stages] */
    size_t numbers;   /* results of an example */
    chunk *worker;    /* [workers] */
    int64_t *dropped; /* [parts] */
    const zo_update *update;
} state;

static const zo_learner *learner(const state *s) { return s->trace.l; }

/* Whether a small move at this stage's outputs can leave the loss unchanged. */
static bool jumps(const zo_learner *l, int stage)
{
    bool any = l->loss_jumps;
    for (int i = stage; i < l->net->stages; i++)
        any |= l->net->stage[i].activation && l->net->stage[i].activation->jumps;
    return any;
}

static void plan_site(state *s, int i)
{
    const zo_learner *l = learner(s);
    const zo_net *net = l->net;
    site *p = s->site + i;
    bool jump = jumps(l, i), last = i + 1 == net->stages;
    /* At the last stage a second side costs no multiply-add, and takes away the error of first order. */
    p->sides = s->set.sides == SIDES_AUTO ? 1 + (jump || last) : s->set.sides;
    p->sigma = (float)(jump ? s->set.sigma_jump : s->set.sigma);
    double move = last ? 0 : net->stage[i + 1].move_cost + zo_net_tail_cost(net, i + 2);
    double whole = net->stage[i].outputs * move * p->sides / net->cost,
           draws = (double)s->set.draws * zo_net_tail_cost(net, i + 1) * p->sides / net->cost;
    p->complete = s->set.set == SET_COMPLETE || (s->set.set == SET_AUTO && whole <= s->set.limit);
    p->count = p->complete ? (size_t)net->stage[i].outputs : (size_t)s->set.draws;
    p->cost = p->complete ? whole : draws;
    p->results = s->numbers;
    s->numbers += (size_t)p->sides * p->count;
}

static zo_status init_chunk(chunk *c, const zo_learner *l, size_t most)
{
    const zo_net *net = l->net;
    size_t widest = net->widest;
    *c = (chunk){
        .h = zo_alloc_zero(l->ctx, CHUNK * widest, sizeof(float)),
        .next = zo_alloc_zero(l->ctx, CHUNK * widest, sizeof(float)),
        .scratch = zo_alloc_zero(l->ctx, 2 * CHUNK * widest, sizeof(float)),
        .target = zo_alloc_zero(l->ctx, CHUNK * (size_t)net->outputs, sizeof(float)),
        .row = zo_alloc_zero(l->ctx, widest, sizeof(float)),
        .signs = zo_alloc_zero(l->ctx, widest / 16 + 8, sizeof(uint16_t)),
        .plus = zo_alloc_zero(l->ctx, most, sizeof(double)),
        .minus = zo_alloc_zero(l->ctx, most, sizeof(double)),
        .weight = zo_alloc_zero(l->ctx, most, sizeof(double)),
        .order = zo_alloc_zero(l->ctx, 2 * most, sizeof(int32_t)),
    };
    bool all = c->h && c->next && c->scratch && c->target && c->row && c->signs && c->plus &&
               c->minus && c->weight && c->order;
    return all ? ZO_OK : ZO_NO_MEMORY;
}

static void fini_chunk(chunk *c, const zo_context *ctx)
{
    void *all[] = {c->h,     c->next, c->scratch, c->target, c->row,
                   c->signs, c->plus, c->minus,   c->weight, c->order};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
}

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->set = *(const settings *)set;
    zo_status status = zo_trace_init(&s->trace, l);
    if (status) return status;
    int workers = zo_context_threads(l->ctx);
    s->site = zo_alloc_zero(l->ctx, (size_t)l->net->stages, sizeof *s->site);
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    s->dropped = zo_alloc_zero(l->ctx, (size_t)zo_trace_parts(&s->trace), sizeof *s->dropped);
    if (!s->site || !s->worker || !s->dropped) return ZO_NO_MEMORY;
    s->numbers = 1;
    size_t most = 0;
    for (int i = 0; i < l->net->stages; i++) {
        plan_site(s, i);
        if (s->site[i].count > most) most = s->site[i].count;
    }
    for (int i = 0; i < workers && !status; i++) status = init_chunk(s->worker + i, l, most);
    return status;
}

/* Losses of the waiting rows, whose outputs are y. */
static void finish_rows(const state *s, chunk *c, const float *y)
{
    const zo_learner *l = learner(s);
    size_t outputs = (size_t)l->net->outputs;
    for (size_t r = 0; r < c->n; r++) {
        if (l->label)
            c->label[r] = l->label[c->example[r]];
        else
            memcpy(c->target + r * outputs, l->target + (size_t)c->example[r] * outputs,
                   outputs * sizeof(float));
    }
    zo_learner_losses(l, c->loss, y, c->n, l->label ? c->label : NULL, l->label ? NULL : c->target);
    for (size_t r = 0; r < c->n; r++) *c->to[r] = c->loss[r];
    c->n = 0;
}

/* Runs rows h from stage `from` on. */
static void run_rows(const state *s, chunk *c, int from, const float *h)
{
    if (!c->n) return;
    const zo_net *net = learner(s)->net;
    c->cost += (double)c->n * zo_net_tail_cost(net, from);
    finish_rows(s, c,
                zo_net_tail(net, learner(s)->image, from, c->n, h, net->stage[from - 1].ld_out,
                            c->scratch));
}

/* Runs moved units of stage i: the next stage by its column update, then the rest. */
static void run_moves(const state *s, chunk *c, int i)
{
    if (!c->n) return;
    const zo_learner *l = learner(s);
    const zo_stage *next = l->net->stage + i + 1;
    next->layer->moved(l->k, next, l->image + next->image, c->move, c->n, s->trace.z[i + 1],
                       c->next);
    c->cost += (double)c->n * next->move_cost;
    run_rows(s, c, i + 2, c->next);
}

/* c->row = the activations of example b's stage i with every output moved by `move`. */
static void move_all(const state *s, chunk *c, int i, size_t b, float move)
{
    const zo_stage *st = learner(s)->net->stage + i;
    const float *z = s->trace.z[i] + b * st->ld_out;
    for (size_t j = 0; j < st->ld_out; j++) c->row[j] = z[j] + move;
    zo_activate_fn f = zo_stage_activate(learner(s)->k, st);
    if (f) f(c->row, st->ld_out, c->row, st->ld_out, 1, (size_t)st->outputs);
}

static void complete_hidden(const state *s, chunk *c, int i, size_t b, float move, double *to)
{
    const zo_stage *st = learner(s)->net->stage + i;
    const float *h = s->trace.h[i] + b * st->ld_out;
    move_all(s, c, i, b, move);
    for (int32_t j = 0; j < st->outputs; j++) {
        float change = c->row[j] - h[j];
        c->move[c->n] = (zo_move){(int32_t)b, j, change};
        c->example[c->n] = (int32_t)b;
        c->to[c->n] = to + j;
        /* No change: the loss stays the clean one. Not a branch, for it could not be foreseen. */
        c->n += change != 0;
        if (c->n == CHUNK) run_moves(s, c, i);
    }
}

static void complete_last(const state *s, chunk *c, int i, size_t b, float move, double *to)
{
    const zo_stage *st = learner(s)->net->stage + i;
    const float *h = s->trace.h[i] + b * st->ld_out;
    move_all(s, c, i, b, move);
    for (int32_t j = 0; j < st->outputs; j++) {
        if (c->row[j] == h[j]) continue;
        float *y = c->h + c->n * st->ld_out;
        memcpy(y, h, st->ld_out * sizeof *y);
        y[j] = c->row[j];
        c->example[c->n] = (int32_t)b;
        c->to[c->n++] = to + j;
        if (c->n == CHUNK) finish_rows(s, c, c->h);
    }
}

/* The stream of an example's noise at site i, and the block where draw k begins. */
static zo_stream noise_stream(const state *s, int i, size_t b)
{
    const zo_learner *l = learner(s);
    uint32_t item = (uint32_t)(b * (size_t)l->net->stages + (size_t)i); /* at most 2^16 x 2^12 */
    return zo_stream_at(l->seed, ZO_FOR_NOISE, (uint64_t)l->step, item);
}

static uint32_t noise_block(const state *s, int i, size_t k)
{
    const zo_stage *st = learner(s)->net->stage + i;
    bool gaussian = s->set.noise == ZO_NOISE_GAUSSIAN;
    return (uint32_t)(k * (gaussian ? st->ld_out / 4 : (st->ld_out / 16 + 7) / 8));
}

/* sum[outputs] += weight * (draw k of site i for example b) */
static void add_noise(const state *s, chunk *c, int i, size_t b, size_t k, float weight, float *sum)
{
    const zo_stage *st = learner(s)->net->stage + i;
    zo_stream stream = noise_stream(s, i, b);
    if (s->set.noise == ZO_NOISE_GAUSSIAN) {
        zo_noise_normal(learner(s)->k, &stream, noise_block(s, i, k), (size_t)st->outputs, c->row);
        learner(s)->k->add_scaled(sum, c->row, (size_t)st->outputs, weight);
    } else {
        zo_noise_signs(learner(s)->k, &stream, noise_block(s, i, k), st->ld_out / 16, c->signs);
        learner(s)->k->add_signs(sum, c->signs, (size_t)st->outputs, weight);
    }
}

static void random_draw(const state *s, chunk *c, int i, size_t b, size_t k, float move, double *to)
{
    const zo_net *net = learner(s)->net;
    const zo_stage *st = net->stage + i;
    float *h = c->h + c->n * st->ld_out;
    memcpy(h, s->trace.z[i] + b * st->ld_out, st->ld_out * sizeof *h);
    add_noise(s, c, i, b, k, move, h);
    zo_activate_fn f = zo_stage_activate(learner(s)->k, st);
    if (f) f(h, st->ld_out, h, st->ld_out, 1, (size_t)st->outputs);
    c->example[c->n] = (int32_t)b;
    c->to[c->n++] = to + k;
    if (c->n == CHUNK) run_rows(s, c, i + 1, c->h);
}

/* All moves of site i for batch rows [first, first + m); `results` are the item's. */
static void evaluate_site(const state *s, chunk *c, int i, size_t first, size_t m, double *results)
{
    const site *p = s->site + i;
    bool last = i + 1 == learner(s)->net->stages;
    for (size_t r = 0; r < m; r++) {
        double *plus = results + r * s->numbers + p->results, *minus = plus + p->count;
        for (int side = 0; side < p->sides; side++) {
            float move = side ? -p->sigma : p->sigma;
            double *to = side ? minus : plus;
            if (p->complete && last)
                complete_last(s, c, i, first + r, move, to);
            else if (p->complete)
                complete_hidden(s, c, i, first + r, move, to);
            for (size_t k = 0; !p->complete && k < p->count; k++)
                random_draw(s, c, i, first + r, k, move, to);
        }
    }
    if (p->complete && last)
        finish_rows(s, c, c->h);
    else if (p->complete)
        run_moves(s, c, i);
    else
        run_rows(s, c, i + 1, c->h);
}

static void evaluate_item(state *s, int64_t item, double *results, int worker)
{
    const zo_learner *l = learner(s);
    size_t first = (size_t)item * ZO_ITEM, batch = (size_t)l->batch,
           m = batch - first < ZO_ITEM ? batch - first : ZO_ITEM;
    float loss[ZO_ITEM];
    zo_trace_clean(&s->trace, first, m, loss);
    for (size_t r = 0; r < m; r++) {
        for (size_t i = 0; i < s->numbers; i++) results[r * s->numbers + i] = loss[r];
    }
    for (int i = 0; i < l->net->stages; i++)
        evaluate_site(s, s->worker + worker, i, first, m, results);
}

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    state *s = st;
    for (int64_t i = 0; i < n; i++)
        evaluate_item(s, first + i, results + (size_t)i * ZO_ITEM * s->numbers, worker);
}

static zo_status check(void *st, const double *results)
{
    const state *s = st;
    const zo_learner *l = learner(s);
    for (size_t b = 0; b < (size_t)l->batch; b++) {
        if (isfinite(results[b * s->numbers])) return ZO_OK;
    }
    return zo_fail(l->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

/* Copies the pairs of an example to the worker's scratch; a pair with a loss that is not finite becomes no difference at all, and so do
 * all pairs of an example whose clean loss is not finite. */
static int64_t copy_pairs(const site *p, chunk *c, const double *plus, double clean)
{
    int64_t dropped = 0;
    bool any = fabs(clean) <= DBL_MAX;
    for (size_t i = 0; i < p->count; i++) {
        double a = plus[i], b = p->sides == 2 ? plus[p->count + i] : clean;
        bool good = any && fabs(a) <= DBL_MAX && fabs(b) <= DBL_MAX;
        c->plus[i] = good ? a : 0;
        c->minus[i] = good ? b : 0;
        dropped += !good;
    }
    return dropped;
}

static void settle(void *st, const double *results, int64_t part, int worker)
{
    state *s = st;
    const zo_learner *l = learner(s);
    chunk *c = s->worker + worker;
    int i;
    size_t first, m;
    zo_trace_part(&s->trace, part, &i, &first, &m);
    const site *p = s->site + i;
    const zo_stage *stage = l->net->stage + i;
    double scale =
        1 / ((double)p->sigma * p->sides * (p->complete ? 1 : (double)p->count) * l->batch);
    s->dropped[part] = 0;
    for (size_t b = first; b < first + m; b++) {
        float *e = s->trace.e[i] + b * stage->ld_out;
        s->dropped[part] +=
            copy_pairs(p, c, results + b * s->numbers + p->results, results[b * s->numbers]);
        zo_shape((zo_shaping)s->set.shaping, p->count, c->plus, c->minus, c->weight, c->order);
        if (!p->complete) memset(e, 0, stage->ld_out * sizeof *e);
        for (size_t k = 0; k < p->count; k++) {
            if (p->complete)
                e[k] = (float)(c->weight[k] * scale);
            else
                add_noise(s, c, i, b, k, (float)(c->weight[k] * scale), e);
        }
    }
    zo_trace_pack(&s->trace, i, first, m);
}

static void direction(void *st, const double *results, int64_t tile, int worker)
{
    (void)results;
    state *s = st;
    zo_trace_direction(&s->trace, s->update, tile, worker);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = learner(s);
    s->update = update;
    for (int i = 0; i < zo_context_threads(l->ctx); i++) s->worker[i].cost = 0;
    return (zo_job){s,
                    (l->batch + ZO_ITEM - 1) / ZO_ITEM,
                    ZO_ITEM * s->numbers,
                    evaluate,
                    check,
                    zo_trace_parts(&s->trace),
                    settle,
                    zo_trace_tiles(&s->trace),
                    direction};
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    const zo_learner *l = learner(s);
    int64_t left_out; /* their pairs are counted */
    out->loss = zo_learner_mean(results, s->numbers, l->batch, &left_out);
    out->cost = zo_trace_cost(&s->trace);
    for (int i = 0; i < zo_context_threads(l->ctx); i++)
        out->cost += s->worker[i].cost; /* whole numbers: any order */
    for (int64_t i = 0; i < zo_trace_parts(&s->trace); i++) out->dropped += s->dropped[i];
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    const zo_net *net = learner(s)->net;
    if (index >= net->stages) return false;
    const site *p = s->site + index;
    char how[64];
    if (p->complete)
        snprintf(how, sizeof how, "complete set of %zu units", p->count);
    else
        snprintf(how, sizeof how, "%zu random draws", p->count);
    snprintf(out, room,
             "%d %s outputs: %s, %s-sided, sigma %g, at most %.3g forward-equivalents an example",
             net->stage[index].word, net->word[net->stage[index].word], how,
             p->sides == 1 ? "one" : "two", (double)p->sigma, p->cost);
    return true;
}

static void fini(void *st)
{
    state *s = st;
    const zo_learner *l = learner(s);
    if (!l) return;
    for (int i = 0; s->worker && i < zo_context_threads(l->ctx); i++)
        fini_chunk(s->worker + i, l->ctx);
    zo_free(l->ctx, s->worker);
    zo_free(l->ctx, s->site);
    zo_free(l->ctx, s->dropped);
    zo_trace_fini(&s->trace);
}

static const zo_param params[] = {
    ZO_PARAM_CHOICE_ROW(settings, set, SET_AUTO, "auto|complete|random",
                        "directions at a site; auto: complete where it costs at most `limit`"),
    ZO_PARAM_INT_ROW(settings, draws, 16, 1, 4096, "random draws per example and site"),
    ZO_PARAM_CHOICE_ROW(
        settings, sides, SIDES_AUTO, "auto|one|two",
        "one: against the clean loss; two: against the opposite draw; auto: two where "
        "something jumps, and at the last layer"),
    ZO_PARAM_REAL_ROW(settings, sigma, 0.01, 1e-6, 100, "size of a move of a layer's outputs"),
    ZO_PARAM_REAL_ROW(settings, sigma_jump, 1, 1e-6, 100,
                      "the same where an activation or the loss behind it jumps"),
    ZO_PARAM_REAL_ROW(settings, limit, 16, 0, 1e9,
                      "most forward-equivalents an example that auto spends on a complete set"),
    ZO_PARAM_CHOICE_ROW(settings, noise, ZO_NOISE_RADEMACHER, ZO_NOISE_CHOICES,
                        "distribution of random draws"),
    ZO_PARAM_CHOICE_ROW(settings, shaping, ZO_SHAPE_RAW, ZO_SHAPING_CHOICES,
                        "what becomes of an example's losses at a site"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_nodes = {
    .info = {"nodes", "moves the outputs of layers, per example; complete sets by updating one column, or random draws",
             "Widrow & Lehr 1990; Flower & Jabri 1993; Dalm et al. 2023, arXiv 2310.00965",
             ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 1,
    .init = init,
    .job = job,
    .report = report,
    .plan = plan,
    .fini = fini,
};

/* auto: node perturbation that finds out how many examples, or draws, each layer is worth.
 *
 * Every LISTEN-th step the direction is made of two halves of its examples, a + b. For n examples, of which the halves have n1 and n2, and
 * with q the variance of what one example says (its draws included),
 *   a.b         has the mean  n1 n2 / n^2 |g|^2
 *   |a|^2+|b|^2 has the mean  (n1^2 + n2^2) / n^2 |g|^2 + q / n,
 * so that both |g|^2 and q follow from losses alone; means over about MEMORY of such steps are kept. q + |g|^2 = mean |g_b|^2 (1 + (d - 1)/K)
 * for K draws in d numbers, so that rho = mean |g_b|^2 / |g|^2 is known, and the variance of any other choice (learn/sites.h). From time to
 * time the choice is made anew (learn/spend.h). A layer whose settings say how much it gets (`examples`, or a `set` of its own) keeps that, and so
 * does one of which nothing could be heard: halves take two examples, or two items of moved weights. Of draws for all pixels of a convolution
 * the factor is an upper bound, since pixels share weights.
 */
#include <math.h>
#include <string.h>

#include "learn/nodes.h"
#include "learn/spend.h"

enum {
    LISTEN = 8,    /* steps between two that are listened to: */
    MEMORY = 32,   /* so many are averaged, */
    CHOOSE = 8,    /* and after so many the choice is made anew */
    OPTIONS = 32,  /* at most, of a layer */
    DOUBLINGS = 16 /* of examples or draws, at most */
};
#define MOST_HEARD ((int64_t)1 << 40)
#define RHO_MOST 1e6 /* what is no signal at all counts as this */

typedef struct settings {
    zo_sites_settings sites;
    double tolerance;
} settings;

/* What has been learned of a layer, and the choice that follows. Plain bytes that are saved. */
typedef struct heard {
    double signal, square; /* means of |g|^2 and of |g_b|^2, times the share of what is known yet */
    int64_t examples, count;
} heard;

typedef struct option {
    int examples;
    size_t count;
} option;

typedef struct state {
    zo_nodes nodes;
    double tolerance;
    bool *free;   /* [stages] whose choice is ours */
    heard *heard; /* [stages], then one whose `count` says how often there was something to hear */
    option *option;          /* [stages][OPTIONS] */
    double *variance, *cost; /* the same */
    zo_spend *spend;         /* [stages] that have a choice, and */
    int *which;              /* which they are */
} state;

static const zo_learner *learner(const state *s) { return s->nodes.trace.l; }

static int stages_of(const state *s) { return learner(s)->net->stages; }

/* ---- what there is to choose from ---- */

/* The noise of K draws, of what a complete set has. */
static double draws_factor(const state *s, const zo_site_plan *p, size_t count)
{
    return p->complete ? 1 : 1 + zo_site_spread(p, s->nodes.noise, count);
}

static double variance_of(const state *s, const zo_site_plan *p, const option *o, double rho)
{
    double v = (rho * draws_factor(s, p, o->count) - 1) / o->examples;
    return v > 0 ? v : 0;
}

/* Multiply-adds of the choice in a step, the direction included. */
static double cost_of(const state *s, int stage, const option *o)
{
    const zo_site_plan *p = s->nodes.site + stage;
    const zo_stage *st = learner(s)->net->stage + stage;
    double sets = p->complete ? 1 : (double)o->count;
    return o->examples * (sets * p->set_cost + (p->weights ? 0 : st->cost));
}

/* Whether there is anything to go by. */
static bool is_heard(const heard *h) { return h->signal != 0 || h->square != 0; }

/* Fills the options of a stage: 2, 4, ... examples of a complete set up to all, so that there are halves; or 1, 2, ... draws for all examples. */
static int list_options(state *s, int stage)
{
    const zo_site_plan *p = s->nodes.site + stage;
    option *o = s->option + (size_t)stage * OPTIONS, now = {p->examples, p->count};
    int n = 0;
    if (!s->free[stage] || !is_heard(s->heard + stage)) {
        o[n++] = now;
        return n;
    }
    for (int i = 0; i <= DOUBLINGS; i++) {
        option next = {p->most_examples, p->most_count};
        if (p->complete)
            next.examples = zo_site_examples(learner(s), 2 << i);
        else if ((size_t)1 << i < next.count)
            next.count = (size_t)1 << i;
        if (next.examples > p->most_examples) next.examples = p->most_examples;
        if (n && o[n - 1].examples == next.examples && o[n - 1].count == next.count) break;
        o[n++] = next;
    }
    return n;
}

/* ---- listening ---- */

/* Of a sum over n numbers in two parts, as above. */
static void hear(const state *s, int stage, zo_halves v, double first, double second)
{
    heard *h = s->heard + stage;
    const zo_site_plan *p = s->nodes.site + stage;
    double n = first + second, signal = v.ab * n * n / (first * second),
           noise = n * (v.aa + v.bb - (first * first + second * second) / (first * second) * v.ab);
    double share = 1.0 / MEMORY, square = (noise + signal) / draws_factor(s, p, p->count);
    if (!isfinite(square)) return; /* numbers too large for their squares */
    h->signal += (signal - h->signal) * share;
    h->square += (square - h->square) * share;
}

static double rho_of(const heard *h)
{
    double rho = h->signal > 0 ? h->square / h->signal : RHO_MOST;
    return rho < 1 ? 1 : rho < RHO_MOST ? rho : RHO_MOST;
}

static bool listens(const state *s) { return learner(s)->step % LISTEN == 0; }

static void choose(state *s)
{
    const zo_learner *l = learner(s);
    int n = 0;
    double base = l->batch * l->net->cost;
    for (int i = 0; i < stages_of(s); i++) {
        const zo_site_plan *p = s->nodes.site + i;
        if (!p->count) continue;
        size_t at = (size_t)i * OPTIONS;
        zo_spend *spend = s->spend + n;
        *spend = (zo_spend){
            .options = list_options(s, i), .variance = s->variance + at, .cost = s->cost + at};
        for (int o = 0; o < spend->options; o++) {
            const option *of = s->option + at + o;
            s->variance[at + (size_t)o] = variance_of(s, p, of, rho_of(s->heard + i));
            s->cost[at + (size_t)o] = cost_of(s, i, of);
        }
        s->which[n++] = i;
    }
    zo_spend_choose(s->spend, n, base, s->tolerance);
    for (int i = 0; i < n; i++) {
        heard *h = s->heard + s->which[i];
        const option *o = s->option + (size_t)s->which[i] * OPTIONS + s->spend[i].chosen;
        h->examples = o->examples;
        h->count = (int64_t)o->count;
    }
}

/* The choice becomes the plan. */
static void follow(state *s)
{
    for (int i = 0; i < stages_of(s); i++) {
        zo_site_plan *p = s->nodes.site + i;
        if (!p->count) continue;
        p->examples = (int)s->heard[i].examples;
        p->count = (size_t)s->heard[i].count;
        if (!p->weights) zo_trace_use(&s->nodes.trace, i, p->examples);
    }
}

static void after(void *st)
{
    state *s = st;
    heard *all = s->heard + stages_of(s);
    if (!s->nodes.trace.listen) return;
    for (int i = 0; i < stages_of(s); i++) {
        double first, second;
        const zo_site_plan *p = s->nodes.site + i;
        if (!p->count) continue;
        zo_halves v = zo_nodes_halves(&s->nodes, i, &first, &second);
        if (first > 0 && second > 0) hear(s, i, v, first, second);
    }
    if (++all->count % CHOOSE) return;
    choose(s);
    follow(s);
}

static void *learned(void *st, size_t *n)
{
    const state *s = st;
    *n = (size_t)(stages_of(s) + 1) * sizeof *s->heard;
    return s->heard;
}

/* Whether a plan can have come to be so: what is not ours, and what complete sets and draws leave alone, is as it began. */
static bool possible(const state *s, int stage, const heard *h)
{
    const zo_site_plan *p = s->nodes.site + stage;
    bool examples = s->free[stage] && p->complete, count = s->free[stage] && !p->complete;
    int least = examples && p->most_examples > 2 ? 2 : p->most_examples;
    if (h->examples < least || h->examples > p->most_examples) return false;
    return h->count >= (count ? 1 : (int64_t)p->most_count) && h->count <= (int64_t)p->most_count;
}

static bool relearn(void *st, const void *bytes)
{
    state *s = st;
    int n = stages_of(s);
    heard h;
    for (int i = 0; i <= n; i++) {
        memcpy(&h, (const char *)bytes + (size_t)i * sizeof h, sizeof h);
        if (!isfinite(h.signal) || !isfinite(h.square)) return false;
        if (h.count < 0 || h.count > MOST_HEARD) return false;
        if (i < n && s->nodes.site[i].count && !possible(s, i, &h)) return false;
    }
    memcpy(s->heard, bytes, (size_t)(n + 1) * sizeof h);
    follow(s);
    return true;
}

/* ---- the class ---- */

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    zo_status status = zo_nodes_init(&s->nodes, set, sizeof(settings), l, true);
    if (status) return status;
    size_t n = (size_t)l->net->stages;
    s->tolerance = ((const settings *)set)->tolerance;
    s->free = zo_alloc_zero(l->ctx, n, sizeof *s->free);
    s->heard = zo_alloc_zero(l->ctx, n + 1, sizeof *s->heard);
    s->option = zo_alloc_zero(l->ctx, n * OPTIONS, sizeof *s->option);
    s->variance = zo_alloc_zero(l->ctx, n * OPTIONS, sizeof *s->variance);
    s->cost = zo_alloc_zero(l->ctx, n * OPTIONS, sizeof *s->cost);
    s->spend = zo_alloc_zero(l->ctx, n, sizeof *s->spend);
    s->which = zo_alloc_zero(l->ctx, n, sizeof *s->which);
    if (!s->free || !s->heard || !s->option || !s->variance || !s->cost || !s->spend || !s->which)
        return ZO_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const settings *of = (const settings *)set + i;
        const zo_site_plan *p = s->nodes.site + i;
        s->free[i] = zo_site_is_free(p, &of->sites);
        s->heard[i].examples = p->examples;
        s->heard[i].count = (int64_t)p->count;
    }
    return ZO_OK;
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    s->nodes.trace.listen = listens(s);
    return zo_nodes_job(s, update);
}

static void fini(void *st)
{
    state *s = st;
    if (!learner(s)) return;
    void *all[] = {s->free, s->heard, s->option, s->variance, s->cost, s->spend, s->which};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(learner(s)->ctx, all[i]);
    zo_nodes_fini(s);
}

static const zo_param params[] = {
    ZO_SITES_ROWS("forward-equivalents an example that a layer's complete set gets at first, "
                  "before anything is known; 0: none is taken"),
    ZO_PARAM_REAL_ROW(settings, tolerance, 0.25, 0.001, 1e6,
                      "variance of a layer's direction, over the squared length of its mean, that "
                      "halves what a step is worth: the more, the less is spent on each step"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_auto = {
    .info = {"auto",
             "nodes, with as many examples or draws for each layer as its measured signal to noise "
             "makes worth their cost",
             "", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .layered = ZO_SITES_LAYERED,
    .state_size = sizeof(state),
    .lr = 1,
    .init = init,
    .job = job,
    .report = zo_nodes_report,
    .after = after,
    .learned = learned,
    .relearn = relearn,
    .plan = zo_nodes_plan,
    .theory = zo_nodes_theory,
    .halve = zo_nodes_halve,
    .fini = fini,
};

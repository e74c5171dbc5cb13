/* The reference: errors by the chain rule. USES GRADIENTS; here to compare with, never a default. straight-through is the same with an
 * invented slope where an activation has none.
 */
#include <math.h>
#include <string.h>

#include "learn/trace.h"
#include "nn/backward.h"

typedef struct settings {
    char unused;
} settings;

typedef struct state {
    zo_trace trace;
    int lowest;       /* stage whose parameters move: nothing goes back further */
    float *image;     /* repacked weights */
    const float **in; /* [workers][stages]: where an item's tensors begin */
    float **z, **e;   /* [workers][stages]: its z and errors */
    float **own; /* [workers][stages] of [ZO_ITEM][ld_out]: errors of stages without parameters */
    float *room; /* [workers][room_floats()] */
    const zo_update *update;
} state;

static zo_status refuse(const zo_learner *l, const char *what, const char *name, const char *try)
{
    return zo_fail(
        l->ctx, ZO_UNSUPPORTED,
        "%s \"%s\" has no useful derivative; the estimators %snodes, weights and lowrank train it",
        what, name, try);
}

/* Floats of a worker's zo_room. */
static size_t room_floats(const zo_net *net)
{
    return zo_round16(net->padded > net->spread ? net->padded : net->spread);
}

static zo_status allocate(state *s)
{
    const zo_learner *l = s->trace.l;
    size_t workers = (size_t)zo_context_threads(l->ctx), n = workers * (size_t)l->net->stages;
    s->image = zo_alloc_zero(l->ctx, zo_backward_image(l->net) + 16, sizeof(float));
    s->room = zo_alloc_zero(l->ctx, workers * room_floats(l->net) + 16, sizeof(float));
    s->in = zo_alloc_zero(l->ctx, n, sizeof *s->in);
    s->z = zo_alloc_zero(l->ctx, n, sizeof *s->z);
    s->e = zo_alloc_zero(l->ctx, n, sizeof *s->e);
    s->own = zo_alloc_zero(l->ctx, n, sizeof *s->own);
    if (!s->image || !s->room || !s->in || !s->z || !s->e || !s->own) return ZO_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        size_t stage = i % (size_t)l->net->stages;
        if (s->trace.e[stage]) continue;
        s->own[i] = zo_alloc_zero(l->ctx, ZO_ITEM * l->net->stage[stage].ld_out, sizeof(float));
        if (!s->own[i]) return ZO_NO_MEMORY;
    }
    return ZO_OK;
}

static zo_status init_any(state *s, const zo_learner *l, bool straight_through)
{
    const char *jump = zo_backward_jump(l->net);
    if (jump && !straight_through)
        return refuse(l, "backprop: the activation", jump, "straight-through, ");
    if (l->loss_fn || !l->k->loss_slope[l->loss->kind])
        return refuse(l, straight_through ? "straight-through: the loss" : "backprop: the loss",
                      l->loss_fn ? "of your own" : l->loss->info.name, "");
    int *examples = zo_alloc_zero(l->ctx, (size_t)l->net->stages, sizeof *examples);
    if (!examples) return ZO_NO_MEMORY;
    s->lowest = -1;
    for (int i = 0; i < l->net->stages; i++) {
        if (!zo_learner_moving(l, i)) continue;
        if (s->lowest < 0) s->lowest = i;
        examples[i] = l->batch;
    }
    s->lowest = s->lowest < 0 ? 0 : s->lowest;
    const char *end = zo_backward_end(l->net, s->lowest);
    if (end) {
        zo_free(l->ctx, examples);
        return refuse(l, straight_through ? "straight-through: the layer" : "backprop: the layer",
                      end, "");
    }
    zo_status status = zo_trace_init(&s->trace, l, examples);
    zo_free(l->ctx, examples);
    return status ? status : allocate(s);
}

static zo_status init(void *st, const void *settings_, const zo_learner *l)
{
    (void)settings_;
    return init_any(st, l, false);
}

static zo_status init_straight_through(void *st, const void *settings_, const zo_learner *l)
{
    (void)settings_;
    return init_any(st, l, true);
}

/* Where the item's numbers lie; returns its own part of the tables. */
static size_t find_rows(state *s, size_t first, int worker)
{
    const zo_net *net = s->trace.l->net;
    size_t base = (size_t)worker * (size_t)net->stages;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *st = net->stage + i;
        size_t at = base + (size_t)i;
        s->in[at] = s->trace.tensor[i] + first * st->ld_in;
        s->z[at] = zo_trace_z(&s->trace, i, first, worker);
        s->e[at] = s->trace.e[i] ? s->trace.e[i] + first * st->ld_out : s->own[at];
    }
    return base;
}

static void evaluate_item(state *s, int64_t item, double *results, int worker)
{
    const zo_learner *l = s->trace.l;
    const zo_net *net = l->net;
    size_t first = (size_t)item * ZO_ITEM, batch = (size_t)l->batch,
           m = batch - first < ZO_ITEM ? batch - first : ZO_ITEM;
    size_t outputs = (size_t)net->outputs, ld = net->stage[net->stages - 1].ld_out;
    float loss[ZO_ITEM], mean = 1.0f / (float)l->batch;
    zo_trace_clean(&s->trace, first, m, loss, worker);
    for (size_t i = 0; i < m; i++) results[i] = loss[i];
    size_t base = find_rows(s, first, worker);
    float **e = s->e + base, *last = e[net->stages - 1];
    l->k->loss_slope[l->loss->kind](last, ld, s->trace.h[net->stages - 1] + first * ld, ld, m,
                                    outputs, l->label ? l->label + first : NULL,
                                    l->target ? l->target + first * outputs : NULL, outputs);
    for (size_t i = 0; i < m * ld; i++) last[i] *= mean;
    zo_room room = {s->room + (size_t)worker * room_floats(net)};
    zo_backward(net, s->lowest, s->image, &room, m, s->in + base, s->z + base, e);
    for (size_t i = 0; i < m; i++) { /* left out, as the estimators do */
        for (int k = s->lowest; k < net->stages && !isfinite(loss[i]); k++)
            memset(e[k] + i * net->stage[k].ld_out, 0, net->stage[k].ld_out * sizeof(float));
    }
}

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    for (int64_t i = 0; i < n; i++) evaluate_item(st, first + i, results + i * ZO_ITEM, worker);
}

static zo_status check(void *st, const double *results)
{
    const zo_learner *l = ((state *)st)->trace.l;
    for (int i = 0; i < l->batch; i++) {
        if (isfinite(results[i])) return ZO_OK;
    }
    return zo_fail(l->ctx, ZO_DIVERGED, "no loss of the batch is finite any more; try a smaller lr");
}

static void settle(void *st, const double *results, int64_t part, int worker)
{
    (void)results, (void)worker;
    state *s = st;
    int stage;
    size_t first, m;
    zo_trace_part(&s->trace, part, &stage, &first, &m);
    zo_trace_pack(&s->trace, stage, first, m);
}

static void direction(void *st, const double *results, int64_t tile, int worker)
{
    (void)results;
    state *s = st;
    zo_trace_direction(&s->trace, s->update, tile, worker);
}

static void repack_stage(void *arg, int64_t stage, int worker)
{
    (void)worker;
    state *s = arg;
    const zo_net *net = s->trace.l->net;
    if (stage > s->lowest) zo_backward_repack(net, s->image, (int)stage);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = s->trace.l;
    s->update = update;
    zo_parallel(l->ctx, l->net->stages, repack_stage, s);
    return (zo_job){.state = s,
                    .items = (l->batch + ZO_ITEM - 1) / ZO_ITEM,
                    .results = ZO_ITEM,
                    .evaluate = evaluate,
                    .check = check,
                    .parts = zo_trace_parts(&s->trace),
                    .settle = settle,
                    .tiles = zo_trace_tiles(&s->trace),
                    .direction = direction};
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    const zo_learner *l = s->trace.l;
    out->loss = zo_learner_mean(results, 1, l->batch, &out->dropped);
    /* the backward pass multiplies by the weights behind the lowest stage once more */
    out->cost = zo_trace_cost(&s->trace) +
                l->batch * zo_net_stages_cost(l->net, s->lowest + 1, l->net->stages);
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    (void)st, (void)out, (void)room, (void)index;
    return false;
}

static bool theory(const void *st, int stage, zo_theory *out)
{
    (void)st, (void)stage;
    *out = (zo_theory){0};
    return true;
}

static void fini(void *st)
{
    state *s = st;
    const zo_learner *l = s->trace.l;
    if (!l) return;
    int n = l->net->stages * zo_context_threads(l->ctx);
    for (int i = 0; s->own && i < n; i++) zo_free(l->ctx, s->own[i]);
    void *all[] = {s->image, s->room, (void *)s->in, s->z, s->e, s->own};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(l->ctx, all[i]);
    zo_trace_fini(&s->trace);
}

#define BACKPROP(begin)                                                                            \
    .settings_size = sizeof(settings), .state_size = sizeof(state), .lr = 1, .init = begin,        \
    .job = job, .report = report, .plan = plan, .theory = theory, .fini = fini

const zo_estimator_class zo_estimator_backprop = {
    .info = {"backprop", "REFERENCE, uses gradients: errors by the chain rule through every layer",
             "Rumelhart, Hinton & Williams 1986", ZO_USES_GRADIENTS, zo_no_params},
    BACKPROP(init),
};

const zo_estimator_class zo_estimator_straight_through = {
    .info =
        {"straight-through",
         "REFERENCE, uses gradients and, through an activation that has none, an invented slope",
         "Bengio et al. 2013, arXiv 1308.3432; Hubara et al. 2016, arXiv 1602.02830",
         ZO_USES_STRAIGHT_THROUGH, zo_no_params},
    BACKPROP(init_straight_through),
};

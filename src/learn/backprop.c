/* The reference: errors by the chain rule. USES GRADIENTS; here to compare with, never a default. */
#include <math.h>
#include <string.h>

#include "learn/trace.h"
#include "nn/backward.h"

typedef struct settings {
    char unused;
} settings;

typedef struct state {
    zo_trace trace;
    float *image; /* packed transposes */
    float **rows; /* [workers][2 * stages]: where an item's z and e begin */
    const zo_update *update;
} state;

static zo_status init(void *st, const void *settings_, const zo_learner *l)
{
    (void)settings_;
    state *s = st;
    const char *layer = zo_backward_refuses(l->net);
    if (layer) {
        return zo_fail(l->ctx, ZO_UNSUPPORTED,
                       "backprop: the activation \"%s\" has no useful derivative; the estimators "
                       "nodes and weights train it",
                       layer);
    }
    if (l->loss_fn || !l->k->loss_slope[l->loss->kind]) {
        return zo_fail(l->ctx, ZO_UNSUPPORTED,
                       "backprop: the loss \"%s\" has no useful derivative; the estimators nodes "
                       "and weights train it",
                       l->loss_fn ? "of your own" : l->loss->info.name);
    }
    zo_status status = zo_trace_init(&s->trace, l);
    if (status) return status;
    s->image = zo_alloc(l->ctx, zo_backward_image(l->net) * sizeof(float));
    s->rows = zo_alloc_zero(l->ctx, 2 * (size_t)l->net->stages * (size_t)zo_context_threads(l->ctx),
                            sizeof *s->rows);
    return s->image && s->rows ? ZO_OK : ZO_NO_MEMORY;
}

static void evaluate_item(state *s, int64_t item, double *results, int worker)
{
    const zo_learner *l = s->trace.l;
    const zo_net *net = l->net;
    size_t first = (size_t)item * ZO_ITEM, batch = (size_t)l->batch,
           m = batch - first < ZO_ITEM ? batch - first : ZO_ITEM;
    size_t outputs = (size_t)net->outputs, ld = net->stage[net->stages - 1].ld_out;
    float loss[ZO_ITEM], mean = 1.0f / (float)l->batch, **z = s->rows + 2 * net->stages * worker,
                         **e = z + net->stages;
    zo_trace_clean(&s->trace, first, m, loss);
    for (size_t i = 0; i < m; i++) results[i] = loss[i];
    for (int i = 0; i < net->stages; i++) {
        z[i] = s->trace.z[i] + first * net->stage[i].ld_out;
        e[i] = s->trace.e[i] + first * net->stage[i].ld_out;
    }
    float *last = e[net->stages - 1];
    l->k->loss_slope[l->loss->kind](last, ld, s->trace.h[net->stages - 1] + first * ld, ld, m,
                                    outputs, l->label ? l->label + first : NULL,
                                    l->target ? l->target + first * outputs : NULL, outputs);
    for (size_t i = 0; i < m * ld; i++) last[i] *= mean;
    zo_backward(net, s->image, m, z, e);
    for (size_t i = 0; i < m; i++) { /* left out, as the estimators do */
        for (int k = 0; k < net->stages && !isfinite(loss[i]); k++)
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

static void pack_stage(void *arg, int64_t stage, int worker)
{
    (void)worker;
    state *s = arg;
    const zo_net *net = s->trace.l->net;
    if (stage)
        zo_backward_pack(net, net->params, s->image,
                         (int)stage); /* nothing goes back through the first */
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    const zo_learner *l = s->trace.l;
    s->update = update;
    zo_parallel(l->ctx, l->net->stages, pack_stage, s);
    return (zo_job){
        s,        (l->batch + ZO_ITEM - 1) / ZO_ITEM, ZO_ITEM, evaluate,
        check,    zo_trace_parts(&s->trace),          settle,  zo_trace_tiles(&s->trace),
        direction};
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    const state *s = st;
    const zo_learner *l = s->trace.l;
    out->loss = zo_learner_mean(results, 1, l->batch, &out->dropped);
    /* the backward pass multiplies by the weights of all but the first stage once more */
    out->cost = zo_trace_cost(&s->trace) + l->batch * zo_net_tail_cost(l->net, 1);
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    (void)st, (void)out, (void)room, (void)index;
    return false;
}

static void fini(void *st)
{
    state *s = st;
    if (s->trace.l) {
        zo_free(s->trace.l->ctx, s->image);
        zo_free(s->trace.l->ctx, s->rows);
    }
    zo_trace_fini(&s->trace);
}

const zo_estimator_class zo_estimator_backprop = {
    .info = {"backprop", "REFERENCE, uses gradients: errors by the chain rule through every layer",
             "Rumelhart, Hinton & Williams 1986", ZO_USES_GRADIENTS, zo_no_params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 1,
    .init = init,
    .job = job,
    .report = report,
    .plan = plan,
    .fini = fini,
};

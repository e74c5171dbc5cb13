#include "eval/evaluator.h"

typedef struct shared {
    zo_context *ctx;
    const zo_job *job;
    const double *results;
} shared;

typedef struct evaluating {
    zo_context *ctx;
    const zo_job *job;
    double *results;
} evaluating;

static void evaluate(void *arg, int64_t item, int worker)
{
    const evaluating *s = arg;
    if (zo_cancelled(s->ctx)) return; /* the results are not used then */
    s->job->evaluate(s->job->state, item, 1, s->results + (size_t)item * s->job->results, worker);
}

static void settle(void *arg, int64_t part, int worker)
{
    const shared *s = arg;
    s->job->settle(s->job->state, s->results, part, worker);
}

static void direction(void *arg, int64_t tile, int worker)
{
    const shared *s = arg;
    s->job->direction(s->job->state, s->results, tile, worker);
}

zo_status zo_job_finish(zo_context *ctx, const zo_job *job, const double *results)
{
    shared s = {ctx, job, results};
    zo_status status = job->check(job->state, results);
    if (status) return status;
    zo_parallel(ctx, job->parts, settle, &s);
    zo_timer_lap(job->timer, ZO_PHASE_SETTLE);
    zo_parallel(ctx, job->tiles, direction, &s);
    zo_timer_lap(job->timer, ZO_PHASE_DIRECTION);
    return ZO_OK;
}

static zo_status run(zo_context *ctx, const zo_job *job, double *results)
{
    evaluating e = {ctx, job, results};
    zo_parallel(ctx, job->items, evaluate, &e);
    zo_timer_lap(job->timer, ZO_PHASE_PASSES);
    if (zo_cancelled(ctx)) return zo_fail(ctx, ZO_CANCELLED, "stopped on request");
    return zo_job_finish(ctx, job, results);
}

const zo_evaluator_class zo_evaluator_threads = {
    .info = {"threads", "the threads of this process", "", ZO_USES_NOTHING, zo_no_params},
    .run = run,
};

/* Evaluators: where the work of a step runs.
 *
 * A step is a job in three phases. evaluate() gives the results of an item (losses, loss differences); items depend on nothing but the
 * job. settle() turns all results into what the direction needs (weights of draws, estimated errors). direction() forms one tile of
 * parameters' direction and applies the rule to it. Whoever holds the results can do the last two: an evaluator moves ranges of items and
 * their results, and knows nothing of networks.
 */
#ifndef ZO_EVAL_EVALUATOR_H
#define ZO_EVAL_EVALUATOR_H

#include <zeroth/classes.h>

#include "base/context.h"
#include "base/params.h"

typedef enum zo_phase {
    ZO_PHASE_BATCH, /* before the job: its examples are gathered */
    ZO_PHASE_PASSES,
    ZO_PHASE_SETTLE,
    ZO_PHASE_DIRECTION, /* the rule with it */
    ZO_PHASES
} zo_phase;

/* Where the time of steps goes, by the clock of whoever asks. */
typedef struct zo_timer {
    double (*clock)(void);
    double last, seconds[ZO_PHASES];
} zo_timer;

/* What has passed since the last lap was of this phase; NULL: nobody asks. */
static inline void zo_timer_lap(zo_timer *t, zo_phase phase)
{
    if (!t) return;
    double now = t->clock();
    t->seconds[phase] += now - t->last;
    t->last = now;
}

typedef struct zo_job {
    void *state;
    int64_t items;
    size_t results; /* numbers an item gives */
    /* Evaluates items first .. first + n - 1 into results[n][job results]. Runs on any thread or process, for disjoint ranges at once. */
    void (*evaluate)(void *state, int64_t first, int64_t n, double *results, int worker);
    /* Looks at all results, on the calling thread: DIVERGED stops the step before anything has changed. */
    zo_status (*check)(void *state, const double *results);
    int64_t parts;
    void (*settle)(void *state, const double *results, int64_t part, int worker);
    int64_t tiles;
    void (*direction)(void *state, const double *results, int64_t tile, int worker);
    zo_timer *timer; /* of the phases, or NULL */
} zo_job;

typedef struct zo_evaluator_class {
    zo_class_info info;
    /* Runs the phases one after the other. `results` has room for items * job->results numbers. CANCELLED if the
     * context was cancelled before settle() began (nothing has changed then); after that the step is finished first. */
    zo_status (*run)(zo_context *ctx, const zo_job *job, double *results);
} zo_evaluator_class;

/* The phases after evaluate(), on the threads of the context, for results from wherever. */
zo_status zo_job_finish(zo_context *ctx, const zo_job *job, const double *results);

/* The threads of the context. */
extern const zo_evaluator_class zo_evaluator_threads;

#endif

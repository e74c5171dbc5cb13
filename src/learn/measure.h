/* How near an estimator comes to the gradient: USES GRADIENTS, to measure with and for nothing else. A twin of the trainer, with the same
 * definition, makes the direction of a step without taking it, and the reference makes that of the same loss, parameters and batch: nothing of
 * the trainer is touched.
 */
#ifndef ZO_LEARN_MEASURE_H
#define ZO_LEARN_MEASURE_H

#include <zeroth/run.h>

#include "learn/trainer.h"

/* What makes a direction, and room for its results. */
typedef struct zo_measure_maker {
    const zo_estimator_class *class;
    const zo_learner *l;
    void *state;
    double *results;
} zo_measure_maker;

typedef struct zo_measure {
    zo_context *ctx;
    zo_trainer *twin;
    zo_learner *learner; /* the twin's */
    zo_learner one;      /* the same with a batch of one example */
    zo_measure_maker own, reference, of_one;
    double *halves; /* results of half of the examples */
    float *found, *wanted, *half,
        *of;          /* [arena] directions: the estimate, the reference's; others */
    double *squares;  /* [layers] mean |g_b|^2 */
    zo_update update; /* collects, and moves nothing */
    bool jumps;       /* the reference invents slopes */
    int layers;
    int *stage;               /* [layers] with parameters */
    zo_measured *layer;       /* [layers] what the last measurement came to */
    double cosine, predicted; /* the same of all layers together */
} zo_measure;

/* The words for zo_train_def.measure. Errors: USAGE, with the nearest right one. */
zo_status zo_measure_check(const zo_context *ctx, const char *what);

/* For trainers with that definition; `net` stands for def->net. Errors: as zo_trainer_create(), and UNSUPPORTED: no reference. *out is NULL then. */
zo_status zo_measure_create(zo_context *ctx, const zo_trainer_def *def, const char *what,
                            zo_measure **out);
void zo_measure_destroy(zo_measure *m);

/* The next measurements are made as that trainer, of the same definition, has learned to make its steps. */
void zo_measure_learn(zo_measure *m, const zo_trainer *trainer);

/* Measures the direction that the step after `steps` steps has at the parameters of `net`. Errors: CANCELLED, DIVERGED. */
zo_status zo_measure_at(zo_measure *m, const zo_net *net, int64_t steps, double progress);

#endif

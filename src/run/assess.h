/* Loss and accuracy of a network on a part of a task. */
#ifndef ZO_RUN_ASSESS_H
#define ZO_RUN_ASSESS_H

#include <zeroth/trainer.h>

#include "nn/loss.h"
#include "nn/net.h"
#include "task/task.h"

/* Buffers made once, so that assessing during a run allocates nothing. */
typedef struct zo_assessor {
    const zo_task *task;
    const zo_net *net; /* of the run's shape; the one passed to zo_assess() may be another of the same spec */
    const zo_loss_class *loss;
    zo_loss_fn loss_fn; /* the user's, instead; or NULL */
    void *loss_user;
    float *arena;            /* [workers][arena_size] */
    size_t arena_size, rows; /* rows that run together */
    double *sums;            /* [tiles][3] */
} zo_assessor;

zo_status zo_assessor_init(zo_assessor *a, const zo_task *task, const zo_net *net);
void zo_assessor_fini(zo_assessor *a);

/* Mean loss (the user's, else cross-entropy for classes, squared error for numbers) of a part's examples, those that have none (NaN) left
 * out, and share of right answers (NaN for numbers); both NaN if nothing is there. The bits do not depend on threads. */
void zo_assess(zo_assessor *a, const zo_net *net, zo_part part, double *loss, double *accuracy);

#endif

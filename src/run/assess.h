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
    zo_loss_fn loss_fn;        /* the user's, instead; or NULL */
    zo_batch_loss_fn batch_fn; /* the same, of a whole batch */
    void *loss_user;
    bool whole;              /* the loss is of all examples of a part together */
    float *arena;            /* [workers][arena_size] */
    size_t arena_size, rows; /* rows that run together */
    double *sums;            /* [tiles][3] */
    float *y;            /* whole: outputs of all examples of a part, rows as of the last stage */
    uint64_t *loss_room; /* whole: room for the loss, zo_loss_room() */
} zo_assessor;

/* The user's loss, if there is one, and `loss` are set before. `loss` is taken if it is one of a whole batch; else it becomes
 * cross-entropy for classes, squared error for numbers. Errors: NO_MEMORY; fini is due also then. */
zo_status zo_assessor_init(zo_assessor *a, const zo_task *task, const zo_net *net);
void zo_assessor_fini(zo_assessor *a);

/* Mean loss of a part's examples, those that have none (NaN) left out, or their loss together; and share of right answers (NaN for
 * numbers). Both NaN if nothing is there. The bits do not depend on threads. */
void zo_assess(zo_assessor *a, const zo_net *net, zo_part part, double *loss, double *accuracy);

#endif

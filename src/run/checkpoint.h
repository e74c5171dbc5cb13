/* Checkpoints: the state of a run after some step, whole or not at all.
 *
 *     16 bytes "zeroth state 2", u64 definition, the zo_course, the kept network's numbers, the trainer's state, the state that it would go back
 *     to if it keeps one, u64 xxh3 of all that
 */
#ifndef ZO_RUN_CHECKPOINT_H
#define ZO_RUN_CHECKPOINT_H

#include "learn/trainer.h"

/* Where a run stands, beside its networks. Only numbers of eight bytes: it is saved as it lies. */
typedef struct zo_course {
    int64_t step, dropped;   /* steps done; pairs dropped */
    int64_t assessed, since; /* step of the last look at validation; steps since */
    int64_t kept;            /* step of the kept network */
    int64_t back;            /* step after which the run went back; 0: it did not */
    int64_t any, sound,
        reached; /* something is kept; the last validation loss was finite; the target is reached */
    double start;                    /* size of the losses that the run began with */
    double cost, examples;           /* of all steps */
    double assessed_cost;            /* cost at the last look */
    double loss_sum;                 /* of the steps since */
    double train_loss;               /* mean over the steps before the last look that had any */
    double look_loss, look_accuracy; /* of the last look */
    double best_loss, best;          /* validation loss and accuracy of the kept network */
    double seconds;                  /* of training */
    double seconds_target;           /* of training when the target was reached, or NaN */
} zo_course;

/* Where every run begins. */
void zo_course_begin(zo_course *course);

/* Writes `path`; what was there becomes `previous`. Errors: IO. */
zo_status zo_checkpoint_save(const char *path, const char *previous, uint64_t definition,
                             const zo_course *course, const zo_net *kept, const zo_trainer *trainer);

/* Reads it back into `course`, `kept` and `trainer`. `any`: of whatever definition, as long as the sizes fit. Errors: NOT_FOUND, IO, FORMAT
 * (damaged, or of another definition), NO_MEMORY; nothing has changed then. */
zo_status zo_checkpoint_load(const char *path, uint64_t definition, bool any, zo_course *course,
                             zo_net *kept, zo_trainer *trainer);

#endif

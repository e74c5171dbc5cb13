/* The contract of a loss class, always minimised: a loss of each example, or of a whole batch where no example has one of its own. */
#ifndef ZO_NN_LOSS_H
#define ZO_NN_LOSS_H

#include "kernels/kernels.h"

/* The loss of m examples together; arguments as of zo_loss_kernel, m and n at least 1. NaN: they have none. room[zo_loss_room(m, n)].
 * The bits do not depend on the kernels. */
typedef double (*zo_batch_loss)(const zo_kernels *k, const float *y, size_t ldy, size_t m, size_t n,
                                const int32_t *label, const float *target, size_t ld_target,
                                uint64_t *room);

typedef struct zo_loss_class {
    zo_class_info info;
    zo_loss_kind kind;               /* of each example; means nothing beside `batch` */
    zo_batch_loss batch;             /* NULL: each example has a loss */
    bool classification, regression; /* which tasks it serves */
    bool jumps;                      /* piecewise constant */
} zo_loss_class;

/* Numbers of room for the loss of m examples of n outputs together. */
size_t zo_loss_room(size_t m, size_t n);

/* NULL-terminated; each is the `info` of a zo_loss_class. */
extern const zo_class_info *const zo_loss_classes[];

extern const zo_loss_class zo_loss_cross_entropy, zo_loss_squared_error, zo_loss_zero_one,
    zo_loss_huber, zo_loss_hinge, zo_loss_f1, zo_loss_auc;

#endif

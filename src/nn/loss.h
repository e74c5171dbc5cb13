/* The contract of a loss class: per example, always minimised. */
#ifndef ZO_NN_LOSS_H
#define ZO_NN_LOSS_H

#include "kernels/kernels.h"

typedef struct zo_loss_class {
    zo_class_info info;
    zo_loss_kind kind;
    bool classification, regression; /* which tasks it serves */
    bool jumps;                      /* piecewise constant */
} zo_loss_class;

/* NULL-terminated; each is the `info` of a zo_loss_class. */
extern const zo_class_info *const zo_loss_classes[];

extern const zo_loss_class zo_loss_cross_entropy, zo_loss_squared_error, zo_loss_zero_one,
    zo_loss_huber, zo_loss_hinge;

#endif

/* Augmentation: each time a training image is seen it is moved, mirrored, turned, or has a square cut out, at random. Which way depends on seed,
 * step and place in the batch alone.
 */
#ifndef ZO_LEARN_AUGMENT_H
#define ZO_LEARN_AUGMENT_H

#include "base/params.h"
#include "task/task.h"

typedef struct zo_augment {
    const zo_task *task;
    uint64_t seed;
    int64_t shift, cutout;
    bool flip, any; /* any: images change at all */
    bool one_scale; /* of all features: moves by whole pixels are copies */
    double rotate;
} zo_augment;

/* The settings, for a block of parameters. */
typedef struct zo_augment_settings {
    int64_t shift, cutout;
    bool flip;
    double rotate;
} zo_augment_settings;

extern const zo_class_info zo_augment_info, *const zo_augment_classes[];

/* Errors: USAGE (a task without images, or images that a setting does not fit). */
zo_status zo_augment_init(zo_augment *a, const zo_augment_settings *set, const zo_task *task,
                          uint64_t seed);

/* out[inputs] = features x[inputs] of the task's training part as place `item` of the batch of step `step` sees them. What comes in from outside
 * an image is raw 0; what is cut out is the mean of the feature. */
void zo_augment_example(const zo_augment *a, int64_t step, int item, const float *x, float *out);

#endif

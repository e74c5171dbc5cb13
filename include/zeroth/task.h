/* Tasks: what a network learns. A task holds three parts: training, validation (taken from the training
 * examples: stratified, seeded) and test (looked at once, at the end of a run).
 */
#ifndef ZEROTH_TASK_H
#define ZEROTH_TASK_H

#include <stdint.h>
#include <zeroth/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where data sets lie when no folder is named. */
#define ZO_DATA_FOLDER "/usr/share/datasets"

/** Opaque; made by zo_task_create() or zo_task_from_data(). */
typedef struct zo_task zo_task;

/** Start from zo_task_default_def() and change fields. */
typedef struct zo_task_def {
    const char *name; /**< a registered task, or the path of a table; required */
    const char *data; /**< folder that holds the data set, or its parent; NULL: ZO_DATA_FOLDER */
    uint64_t seed;    /**< decides the splits, and the data of synthetic tasks */
    const char *const
        *settings; /**< "key=value" texts for the task's parameters, NULL-terminated; NULL: none */
} zo_task_def;

/** {NULL, NULL, 0, NULL}. */
ZO_API zo_task_def zo_task_default_def(void);

/** Loads or makes the data. Errors: USAGE (unknown name with the nearest one, unknown or bad setting, a set
 *  that needs `data`), NOT_FOUND (where it looked, what has it), FORMAT (file and place), IO, NO_MEMORY. On failure
 *  *out is NULL. */
ZO_API zo_status zo_task_create(zo_context *ctx, const zo_task_def *def, zo_task **out);

/** The name of the task class that zo_task_create() uses for `name`: that of a registered task, or "csv" for the path
 *  of a file. Static text; NULL if it has none. */
ZO_API const char *zo_task_class_of(const char *name);

/** The folder that zo_task_create() reads the data set `name` from, given zo_task_def.data; all its files are there.
 *  folder[room] receives its path. Errors: NOT_FOUND (where it looked, what has it), UNSUPPORTED (a task that reads
 *  nothing from a data folder: a table, data that are made), USAGE (an unknown name with the nearest one; a set that
 *  needs `data`; a folder longer than `room`). */
ZO_API zo_status zo_task_find(zo_context *ctx, const char *name, const char *data, char *folder,
                              size_t room);

/** Data of your own. Start from zo_data_default_def(). All arrays are copied. Features and targets are finite and at
 *  most 1e30 in size. */
typedef struct zo_data_def {
    const char *name;          /**< shown in the run; "data" if NULL */
    int inputs;                /**< features of an example; required */
    int height;                /**< of an image, channels last; 0 (all three): no image */
    int width;                 /**< of the image */
    int channels;              /**< of the image; height x width x channels = inputs */
    int classes;               /**< >= 2: classification by labels; 0: regression by targets */
    int targets;               /**< numbers to predict per example; regression only */
    int64_t n;                 /**< training examples (validation is taken from them); required */
    const float *x;            /**< [n][inputs], finite */
    const int32_t *label;      /**< [n], 0 <= label < classes; classification only */
    const float *target;       /**< [n][targets], finite; regression only */
    int64_t n_test;            /**< test examples; 0: the run reports validation */
    const float *x_test;       /**< [n_test][inputs] */
    const int32_t *label_test; /**< [n_test] */
    const float *target_test;  /**< [n_test][targets] */
    bool standardise; /**< give each feature, and each target of a regression, mean 0 and deviation 1 on the training part */
    double validation; /**< share of n held out for validation, > 0 and <= 0.5 */
    uint64_t seed;     /**< decides the split */
} zo_data_def;

/** Zero but standardise = true and validation = 1/12. */
ZO_API zo_data_def zo_data_default_def(void);

/** Makes a task of arrays. Errors: USAGE (which field), FORMAT (which example is non-finite or has a bad label),
 *  NO_MEMORY. */
ZO_API zo_status zo_task_from_data(zo_context *ctx, const zo_data_def *def, zo_task **out);

/** Frees the task. NULL is legal. */
ZO_API void zo_task_destroy(zo_task *task);

/** What a task is. */
typedef struct zo_task_info {
    const char *name;     /**< owned by the task */
    int inputs;           /**< features of an example */
    int height;           /**< of an image, channels last; 0 (all three): no image */
    int width;            /**< of the image */
    int channels;         /**< of the image */
    int outputs;          /**< classes, or targets of a regression: what the net must give */
    int classes;          /**< 0 for regression */
    int64_t n_train;      /**< training examples, validation taken out */
    int64_t n_validation; /**< examples held out for choices */
    int64_t n_test;       /**< examples looked at once; may be 0 */
    const char *net;      /**< the net spec used when none is given; owned by the task */
    uint64_t checksum;    /**< xxh3 of the data as read, whatever the seed */
} zo_task_info;

/** Describes the task. */
ZO_API zo_task_info zo_task_describe(const zo_task *task);

/** The name of a class of the task, e.g. "setosa"; "" outside 0..classes-1. Owned by the task. */
ZO_API const char *zo_task_class_name(const zo_task *task, int label);

#ifdef __cplusplus
}
#endif
#endif

/* The inside of a task, and the contract of a task class.
 *
 * Features are stored ready for training: (raw - shift[f]) * scale[f], float32, rows `stride`
 * floats apart with zeros in the pad. The network keeps shift and scale and so takes raw features
 * when it predicts. */
#ifndef ZO_TASK_TASK_H
#define ZO_TASK_TASK_H

#include <limits.h>
#include <zeroth/classes.h>
#include <zeroth/task.h>

#include "base/context.h"
#include "base/params.h"

/* Larger features and targets are refused: their squares and differences must stay finite. */
#define ZO_FEATURE_MOST 1e30f

typedef enum zo_part { ZO_TRAIN, ZO_VALIDATION, ZO_TEST, ZO_PARTS } zo_part;

/* One part of the examples, in the order of the data. Exactly one of label and target is there. */
typedef struct zo_examples {
    int64_t n;
    float *x;       /* [n][stride] */
    int32_t *label; /* [n], 0 <= label < classes */
    float *target;  /* [n][outputs] */
} zo_examples;

struct zo_task {
    zo_context *ctx;
    char *name;
    int inputs, outputs,
        classes; /* classes 0: regression, then outputs = targets; else outputs = classes */
    int height, width, channels; /* of an image; 0, 0, 0: no image */
    int stride;                  /* inputs rounded up to 16 */
    zo_examples part[ZO_PARTS];
    float *shift, *scale; /* [inputs] */
    float *target_shift,
        *target_scale; /* [outputs] regression: raw target = stored * scale + shift; else NULL */
    char **class_name; /* [classes], made by zo_names(); NULL for regression */
    char *encoder; /* JSON text that turns a user's file into features, saved with the model; NULL: none; see encoder.h */
    char *net;     /* the default net spec */
    uint64_t checksum;
    char *config; /* JSON object text: task, data, seed, settings (texts), checksum; for config.json */
};

/* What a task class delivers: raw features of all examples, before splitting and scaling.
 * Everything is zo_alloc'ed and is taken over (or freed) by the caller, also when load() failed
 * half-way. Features are floats (x) or bytes (pixels), never both. */
typedef struct zo_raw {
    int inputs, classes, targets;
    int height, width, channels; /* of an image; 0, 0, 0: no image */
    int64_t n; /* examples that training and validation are taken from (and test, if n_test is 0 and test_share > 0) */
    float *x;  /* [n][inputs] */
    uint8_t *pixels;      /* [n][inputs]; the feature is pixel / 255 */
    int32_t *label;       /* [n] */
    float *target;        /* [n][targets], each less target_offset */
    double target_offset; /* of a test set of its own too */
    int64_t n_test;       /* a test set of its own */
    float *x_test;        /* [n_test][inputs] */
    uint8_t *pixels_test; /* [n_test][inputs] */
    int32_t *label_test;  /* [n_test] */
    float *target_test;   /* [n_test][targets] */
    uint64_t checksum;    /* of what was read; 0: of the arrays above */
    double test_share; /* taken stratified out of n when there is no test set of its own; 0: none */
    bool one_scale;    /* one common scale for all features (images), else one per feature */
    char **class_name; /* [classes], made by zo_names(), or NULL: the numbers themselves */
    char *encoder;     /* JSON text, or NULL */
    const char *net; /* default net spec without the last layer, e.g. "dense128 relu dense128 relu"; static text */
} zo_raw;

/* A task class: one const instance, listed in builtin.c. Its settings struct begins with `double
 * validation`. */
typedef struct zo_task_class {
    zo_class_info info;
    size_t settings_size;
    /* Reads or makes the data into *raw (zeroed before). `settings` is filled from info.params. */
    zo_status (*load)(zo_context *ctx, const zo_task_def *def, const void *settings, zo_raw *raw);
    /* Where load() finds the files of a data set, given def->data. Errors: NOT_FOUND (where it
     * looked, what has it), USAGE. NULL: the task reads nothing from a data folder. */
    zo_status (*find)(const zo_context *ctx, const char *data, char folder[PATH_MAX]);
} zo_task_class;

/* The first row of every class's table. */
#define ZO_VALIDATION_ROW(type)                                                                    \
    ZO_PARAM_REAL_ROW(type, validation, 1.0 / 12, 0.001, 0.5,                                      \
                      "share of the training examples held out for validation")

/* NULL-terminated. Each entry is the `info` at the start of a zo_task_class. */
extern const zo_class_info *const zo_task_classes[];

/* Which part each of n examples belongs to: part[n] gets ZO_TEST for `test_share` of them (0:
 * none), ZO_VALIDATION for `validation` of the others, else ZO_TRAIN. The same arguments give the
 * same parts. With labels each class is shared out alike, to rounding, and keeps an example for
 * training where it can. `label` NULL: no classes. Errors: USAGE (a share outside 0..0.5), FORMAT
 * (too few examples to fill the parts), NO_MEMORY. */
zo_status zo_split_parts(const zo_context *ctx, uint64_t seed, double validation, double test_share,
                         int classes, const int32_t *label, int64_t n, uint8_t *part);

/* Splits and standardises (see build.c) and takes over what raw holds; raw is empty afterwards,
 * also on failure. `standardise` false: shift 0, scale 1. Errors: as zo_split_parts(). */
zo_status zo_task_build(zo_context *ctx, const char *name, uint64_t seed, double validation,
                        bool standardise, zo_raw *raw, zo_task **out);

/* The same, but the arrays of examples stay the caller's; only class_name and encoder are taken
 * over. */
zo_status zo_task_split(zo_context *ctx, const char *name, uint64_t seed, double validation,
                        bool standardise, zo_raw *raw, zo_task **out);

/* A task of these sizes, said to have n training examples but without data, for trainers that take their steps from a journal. */
zo_status zo_task_hollow(zo_context *ctx, int inputs, int outputs, int classes, int64_t n,
                         zo_task **out);

/* Frees everything raw holds and empties it. */
void zo_raw_free(const zo_context *ctx, zo_raw *raw);

/* n texts in one block, freed by one zo_free(); name(of, i) gives text i. NULL: out of memory. */
char **zo_names(const zo_context *ctx, int n, const char *(*name)(const void *of, int i),
                const void *of);

/* Reads rows of a user's file for prediction: raw features [n][inputs], zo_alloc'ed. Images must be `height` x `width`, where these are
 * those of an image, not 1. `encoder` is
 * the text saved with the model; it is not trusted. *label gets the right answers of a
 * classification where the file has them all (-1: a class the model does not know), else NULL.
 * Errors: NOT_FOUND, IO, FORMAT, USAGE, NO_MEMORY with path and place; nothing is then allocated. */
zo_status zo_task_encode(zo_context *ctx, const char *encoder, const char *path, int inputs,
                         int height, int width, int64_t *n, float **x, int32_t **label);

/* The class names in an encoder text: [*classes] in one block, freed by one zo_free(); NULL and 0
 * for regression. Errors: FORMAT, NO_MEMORY. */
zo_status zo_task_encoder_classes(zo_context *ctx, const char *encoder, int *classes,
                                  char ***class_name);

#endif

/* The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one or two label bytes, then 3,072 bytes, the red, the green and
 * the blue plane of an image of 32 x 32, line by line. No header. Plain or gzip. */
#ifndef ZO_TASK_CIFAR_H
#define ZO_TASK_CIFAR_H

#include "base/context.h"

enum { ZO_CIFAR_SIDE = 32, ZO_CIFAR_CHANNELS = 3, ZO_CIFAR_INPUTS = 3072, ZO_CIFAR_LABELS = 2 };

/* What precedes the pixels of a record. */
typedef struct zo_cifar_layout {
    int labels;                   /* label bytes, 1 or 2 */
    int classes[ZO_CIFAR_LABELS]; /* each label byte is below this */
    int answer;                   /* which of them is the label */
} zo_cifar_layout;

typedef struct zo_cifar {
    int64_t n, room;
    uint8_t *pixels; /* [room][32][32][3], channels last as everywhere inside; zo_alloc'ed, the caller's */
    int32_t *label; /* [room] the same */
} zo_cifar;

/* Adds the records of a file, given its `size` bytes, to those in *out, which begins zeroed; `where` is its name in messages. Memory grows
 * with what has really been there. Errors: FORMAT (empty, cut, a label out of range, damaged gzip), NO_MEMORY; *out then still holds what is
 * to be freed. */
zo_status zo_cifar_parse(const zo_context *ctx, const char *where, const uint8_t *bytes,
                         size_t size, const zo_cifar_layout *layout, zo_cifar *out);

/* The same for the file at `path`. Errors: also NOT_FOUND, IO. */
zo_status zo_cifar_read(const zo_context *ctx, const char *path, const zo_cifar_layout *layout,
                        zo_cifar *out);

#endif

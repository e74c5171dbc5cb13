/* IDX files, the format of MNIST and its kin: the bytes 00 00 08 rank, one big-endian 32-bit size
 * per dimension, then unsigned bytes. Plain or gzip, told apart by the first two bytes. */
#ifndef ZO_TASK_IDX_H
#define ZO_TASK_IDX_H

#include "base/context.h"

/* What a file of that rank holds. */
enum { ZO_IDX_LABELS = 1, ZO_IDX_IMAGES = 3 };

typedef struct zo_idx {
    int64_t n;         /* images or labels, 1 to 2^31 - 1 */
    int inputs;        /* bytes of one of them: height x width, or 1 */
    int height, width; /* of an image; 1, 1 for labels */
    uint8_t *data;     /* [n][inputs], zo_alloc'ed, the caller's */
} zo_idx;

/* Reads `size` bytes of a file; `where` is its name in messages. Never allocates more than the
 * bytes can hold. Errors: FORMAT (truncated or damaged gzip, wrong magic, sizes that are zero, too
 * large or not those of the data, bytes left over), NO_MEMORY; then out->data is NULL. */
zo_status zo_idx_parse(const zo_context *ctx, const char *where, const uint8_t *bytes, size_t size,
                       int rank, zo_idx *out);

/* The same for the file at `path`. Errors: also NOT_FOUND, IO. */
zo_status zo_idx_read(const zo_context *ctx, const char *path, int rank, zo_idx *out);

#endif

/* For fuzz targets of tables. */
#ifndef FUZZ_TABLES_H
#define FUZZ_TABLES_H

#include <stdlib.h>
#include <string.h>

#include "task/encoder.h"
#include "task/table.h"

/* `size` bytes and a 0 behind them, to be freed: readers of tables change their text. */
static inline char *copy_of(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1);
    if (!bytes) abort();
    if (size) memcpy(bytes, data, size);
    bytes[size] = 0;
    return bytes;
}

/* What can be learned from comes out of prediction with the same features. */
static inline void predict_again(zo_context *ctx, const zo_raw *raw, const uint8_t *data,
                                 size_t size)
{
    zo_encoder e;
    char *bytes = copy_of(data, size);
    int64_t n;
    float *x;
    int32_t *label;
    if (zo_encoder_read(ctx, raw->encoder, &e)) abort();
    if (zo_encoder_table(ctx, &e, "fuzz", bytes, size, &n, &x, &label)) abort();
    if (n != raw->n || memcmp(x, raw->x, (size_t)(n * raw->inputs) * sizeof *x)) abort();
    if (raw->label && memcmp(label, raw->label, (size_t)n * sizeof *label)) abort();
    zo_free(ctx, x);
    zo_free(ctx, label);
    zo_encoder_free(ctx, &e);
    free(bytes);
}

#endif

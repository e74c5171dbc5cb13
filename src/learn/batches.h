/* Batches: the training examples in a new random order each epoch, cut into steps. */
#ifndef ZO_LEARN_BATCHES_H
#define ZO_LEARN_BATCHES_H

#include "base/random.h"
#include "learn/learner.h"

typedef struct zo_batches {
    zo_context *ctx;
    uint64_t seed;
    int64_t n, epoch; /* examples; epoch that `order` belongs to, -1: none */
    int batch;
    int32_t *order;   /* [n] */
    int32_t *example; /* [batch] */
} zo_batches;

zo_status zo_batches_init(zo_batches *b, zo_context *ctx, uint64_t seed, int64_t n, int batch);
void zo_batches_fini(zo_batches *b);

/* The examples of step `step` (from 0): depends on seed, n, batch and step alone. Valid until the next call. */
const int32_t *zo_batches_at(zo_batches *b, int64_t step);

#endif

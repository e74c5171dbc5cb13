#include "learn/batches.h"

zo_status zo_batches_init(zo_batches *b, zo_context *ctx, uint64_t seed, int64_t n, int batch)
{
    *b = (zo_batches){.ctx = ctx, .seed = seed, .n = n, .epoch = -1, .batch = batch};
    b->order = zo_alloc(ctx, (size_t)n * sizeof *b->order);
    b->example = zo_alloc(ctx, (size_t)batch * sizeof *b->example);
    return b->order && b->example ? ZO_OK : ZO_NO_MEMORY;
}

void zo_batches_fini(zo_batches *b)
{
    if (!b->ctx) return;
    zo_free(b->ctx, b->order);
    zo_free(b->ctx, b->example);
}

static void turn_to(zo_batches *b, int64_t epoch)
{
    if (b->epoch == epoch) return;
    for (int64_t i = 0; i < b->n; i++) b->order[i] = (int32_t)i;
    zo_random r = zo_random_at(b->seed, ZO_FOR_BATCHES, (uint64_t)epoch, 0);
    zo_random_shuffle(&r, (uint32_t)b->n, b->order);
    b->epoch = epoch;
}

const int32_t *zo_batches_at(zo_batches *b, int64_t step)
{
    int64_t at = step * b->batch;
    for (int i = 0; i < b->batch; i++, at++) {
        turn_to(b, at / b->n);
        b->example[i] = b->order[at % b->n];
    }
    return b->example;
}

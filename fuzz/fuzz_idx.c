/* IDX files, plain and gzip, as images and as labels. */
#include "task/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    def.threads = 1;
    if (zo_context_open(&def, &ctx)) return 0;
    for (int rank = ZO_IDX_LABELS; rank <= ZO_IDX_IMAGES; rank += 2) {
        zo_idx idx;
        unsigned sum = 0;
        if (zo_idx_parse(ctx, "fuzz", data, size, rank, &idx)) continue;
        for (int64_t i = 0; i < idx.n * idx.inputs; i++)
            sum += idx.data[i]; /* every byte that is promised can be read */
        (void)sum;
        zo_free(ctx, idx.data);
    }
    zo_context_destroy(ctx);
    return 0;
}

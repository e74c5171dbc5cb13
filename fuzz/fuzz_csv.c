/* Tables: the first byte picks the settings. What can be learned from must come out of prediction
 * with the same features. */
#include <math.h>

#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static zo_table_settings settings_of(uint8_t pick)
{
    zo_table_settings s = {.validation = 1.0 / 12, .test = pick & 1 ? 0.2 : 0};
    strcpy(s.label, pick & 2 ? "y" : "1");
    s.missing = pick >> 2 & 1;
    s.kind = (pick >> 3 & 3) % 3;
    s.header = (pick >> 5 & 3) % 3;
    s.separator = pick >> 7 ? 0 : 2;
    return s;
}

static void build(zo_context *ctx, double validation, zo_raw *raw)
{
    zo_task *task;
    if (zo_task_build(ctx, "fuzz", 1, validation, true, raw, &task)) return;
    for (int p = 0; p < ZO_PARTS; p++) {
        for (int64_t i = 0; i < task->part[p].n * task->stride; i++) {
            if (!isfinite(task->part[p].x[i])) abort();
        }
    }
    zo_task_destroy(task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    zo_raw raw = {0};
    def.threads = 1;
    if (!size || zo_context_open(&def, &ctx)) return 0;
    const zo_table_settings s = settings_of(data[0]);
    char *bytes = copy_of(data + 1, size - 1);
    zo_status status = zo_table_load(ctx, "fuzz", bytes, size - 1, 1, &s, &raw);
    if (!status) {
        predict_again(ctx, &raw, data + 1, size - 1);
        build(ctx, s.validation, &raw);
    } else if (status == ZO_NO_MEMORY || strchr(zo_last_error(ctx), '\n')) {
        abort();
    }
    zo_raw_free(ctx, &raw);
    free(bytes);
    zo_context_destroy(ctx);
    return 0;
}

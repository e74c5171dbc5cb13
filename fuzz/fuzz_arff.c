/* ARFF files: every cell that is promised can be read, and what can be learned from comes out of prediction with the same features. The first
 * byte picks settings. */
#include "tables.h"
#include "task/arff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const zo_context *ctx, const uint8_t *data, size_t size)
{
    char *bytes = copy_of(data, size);
    zo_csv csv;
    size_t sum = 0;
    if (zo_arff_parse(ctx, "fuzz", bytes, size, &csv)) {
        if (strchr(zo_last_error(ctx), '\n')) abort();
    } else {
        for (int64_t i = 0; i < csv.rows * csv.columns; i++) sum += strlen(csv.cell[i]);
        if (sum > size) abort();
        zo_csv_free(ctx, &csv);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    zo_raw raw = {0};
    def.threads = 1;
    if (!size || zo_context_open(&def, &ctx)) return 0;
    zo_table_settings s = {.validation = 1.0 / 12, .test = data[0] & 1 ? 0.2 : 0};
    s.missing = data[0] >> 1 & 1;
    s.kind = (data[0] >> 2 & 3) % 3;
    char *bytes = copy_of(data + 1, size - 1);
    parse(ctx, data + 1, size - 1);
    zo_status status = zo_table_load(ctx, "fuzz", bytes, size - 1, 1, &s, &raw);
    if (!status)
        predict_again(ctx, &raw, data + 1, size - 1);
    else if (status == ZO_NO_MEMORY || strchr(zo_last_error(ctx), '\n'))
        abort();
    zo_raw_free(ctx, &raw);
    free(bytes);
    zo_context_destroy(ctx);
    return 0;
}

/* Encoder texts, as they come in a model file, and a table behind the first zero byte. */
#include <stdlib.h>
#include <string.h>

#include "task/encoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const zo_context *ctx, const zo_encoder *e, char *bytes, size_t size)
{
    int64_t n;
    float *x;
    int32_t *label;
    if (zo_encoder_table(ctx, e, "fuzz", bytes, size, &n, &x, &label)) {
        if (strchr(zo_last_error(ctx), '\n')) abort();
        return;
    }
    for (int64_t i = 0; label && i < n; i++) {
        if (label[i] < -1 || label[i] >= e->classes) abort();
    }
    zo_free(ctx, x);
    zo_free(ctx, label);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    zo_encoder e;
    def.threads = 1;
    if (zo_context_open(&def, &ctx)) return 0;
    char *text = malloc(size + 2);
    if (!text) abort();
    if (size) memcpy(text, data, size);
    text[size] = text[size + 1] = 0;
    size_t length = strlen(text);
    if (!zo_encoder_read(ctx, text, &e)) {
        if (!e.images && length < size) encode(ctx, &e, text + length + 1, size - length - 1);
        zo_encoder_free(ctx, &e);
    }
    free(text);
    zo_context_destroy(ctx);
    return 0;
}

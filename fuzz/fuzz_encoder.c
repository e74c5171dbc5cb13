/* Encoder texts, as they come in a model file, and behind the first zero byte a table, or a file of records where the text speaks of these. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "task/encoder.h"
#include "task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(zo_context *ctx, const zo_encoder *e, int64_t n, float *x, int32_t *label)
{
    for (int64_t i = 0; label && i < n; i++) {
        if (label[i] < -1 || label[i] >= e->classes) abort();
    }
    zo_free(ctx, x);
    zo_free(ctx, label);
}

static void encode_records(zo_context *ctx, const zo_encoder *e, const char *text,
                           const char *bytes, size_t size)
{
    char path[32];
    int64_t n;
    float *x;
    int32_t *label;
    int file = memfd_create("records", 0);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (!zo_task_encode(ctx, text, path, e->inputs, 32, 32, &n, &x, &label)) {
        if (!label) abort();
        check(ctx, e, n, x, label);
    } else if (strchr(zo_last_error(ctx), '\n')) {
        abort();
    }
    close(file);
}

static void encode(zo_context *ctx, const zo_encoder *e, char *bytes, size_t size)
{
    int64_t n;
    float *x;
    int32_t *label;
    if (zo_encoder_table(ctx, e, "fuzz", bytes, size, &n, &x, &label)) {
        if (strchr(zo_last_error(ctx), '\n')) abort();
        return;
    }
    check(ctx, e, n, x, label);
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
        size_t left = length < size ? size - length - 1 : 0;
        if (left && e.records.labels) encode_records(ctx, &e, text, text + length + 1, left);
        if (length < size && !e.images) encode(ctx, &e, text + length + 1, left);
        zo_encoder_free(ctx, &e);
    }
    free(text);
    zo_context_destroy(ctx);
    return 0;
}

/* CIFAR's records, plain and gzip, of one label byte and of two; twice, as files follow each other. */
#include <stdlib.h>
#include <string.h>

#include "task/cifar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const zo_cifar *c, const zo_cifar_layout *layout)
{
    unsigned sum = 0;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->label[i] < 0 || c->label[i] >= layout->classes[layout->answer]) abort();
    }
    for (int64_t i = 0; i < c->n * ZO_CIFAR_INPUTS; i++)
        sum += c->pixels[i]; /* every byte that is promised can be read */
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const zo_cifar_layout layouts[] = {
        {.labels = 1, .classes = {10}},
        {.labels = 2, .classes = {20, 100}, .answer = 0},
        {.labels = 2, .classes = {20, 100}, .answer = 1},
    };
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    def.threads = 1;
    if (zo_context_open(&def, &ctx)) return 0;
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        zo_cifar c = {0};
        zo_status status = zo_cifar_parse(ctx, "fuzz", data, size, &layouts[k], &c);
        int64_t n = c.n;
        if (!status && (zo_cifar_parse(ctx, "fuzz", data, size, &layouts[k], &c) || c.n != 2 * n))
            abort();
        if (status && strchr(zo_last_error(ctx), '\n')) abort();
        check(&c, &layouts[k]);
        zo_free(ctx, c.pixels);
        zo_free(ctx, c.label);
    }
    zo_context_destroy(ctx);
    return 0;
}

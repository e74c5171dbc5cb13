/* The dense forward product of every kernel set against the multiply-add peak that the same core reaches in the same run, with and
 * without packing the weights. One core; the median of several bursts. CSV on stdout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

#define BURSTS 9

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 63) / 64 * 64);
    if (!p) exit(1);
    for (size_t i = 0; i < n; i++) p[i] = (float)((i * 2654435761u >> 8) % 1000) / 1000 - 0.5f;
    return p;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}

typedef struct shape {
    size_t m, k, n;
} shape;

/* Seconds of one product, bias and relu included; with packing if asked for. */
static double product_time(const zo_kernels *set, const shape *s, bool pack, float *const *mem,
                           int turns)
{
    size_t ld = zo_round16(s->n);
    zo_epilogue e = {.bias = mem[3], .activate = set->activation[ZO_RELU].activate};
    double start = now();
    for (int i = 0; i < turns; i++) {
        if (pack) set->pack(mem[2], mem[1], s->n, s->k, s->n, 0, NULL, 0, NULL, 0);
        set->product(mem[4], ld, mem[0], s->k, 1, mem[2], s->m, s->n, s->k, &e);
    }
    return (now() - start) / turns;
}

static void measure(const zo_kernels *set, const shape *s)
{
    size_t ld = zo_round16(s->n);
    float *mem[] = {numbers(s->m * s->k), numbers(s->k * s->n), numbers(zo_packed_size(s->k, s->n)),
                    numbers(ld), numbers(s->m * ld)};
    double work = (double)s->m * (double)s->k * (double)s->n, peak[BURSTS], plain[BURSTS],
           packed[BURSTS];
    float sink = 0;
    int turns = (int)(5e8 / work) + 1;
    for (int i = 0; i < BURSTS; i++) { /* side by side, so that all see the same machine */
        double start = now(), done = set->spin(40, &sink);
        peak[i] = done / (now() - start);
        plain[i] = work / product_time(set, s, false, mem, turns) / peak[i];
        packed[i] = work / product_time(set, s, true, mem, turns) / peak[i];
    }
    printf("%s,%zu,%zu,%zu,%.1f,%.3f,%.3f\n", set->info.name, s->m, s->k, s->n,
           median(peak, BURSTS) * 2e-9, median(plain, BURSTS), median(packed, BURSTS));
    fflush(stdout);
    for (int i = 0; i < 5; i++) free(mem[i]);
}

int main(void)
{
    static const shape shapes[] = {{512, 784, 128},   {512, 128, 128},    {512, 784, 512},
                                   {1024, 784, 1024}, {1024, 1024, 1024}, {512, 2048, 512},
                                   {2048, 784, 128},  {2048, 2048, 2048}, {32, 784, 128},
                                   {112, 128, 10}};
    printf("kernels,rows,inputs,units,peak_gflops,share_of_peak,share_with_packing\n");
    for (int i = 0; zo_kernel_classes[i]; i++) {
        const zo_kernels *set = (const zo_kernels *)zo_kernel_classes[i];
        if (!set->available() || set == &zo_kernels_ref) continue;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) measure(set, shapes + s);
    }
    return 0;
}

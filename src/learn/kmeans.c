#include "learn/kmeans.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "kernels/kernels.h"

enum { CHUNK = 256 }; /* rows of one product: their dot products stay near the core */

typedef struct state {
    const zo_context *ctx;
    const zo_kmeans *of;
    float *direction;        /* [k][d] */
    float *across, *packed;  /* [d][k], and as the product takes it */
    float *dots;             /* [workers][CHUNK][ld], ld = k rounded up */
    double *sum;             /* [workers][d] */
    int32_t *owner, *sorted; /* [n] the direction of each row; rows by direction */
    float *along;            /* [n] dot product with it */
    size_t *first;           /* [k + 1] where a direction begins there */
    int round;
} state;

/* Direction j = a random row, made 1 long; one that is not 0, if eight draws find one. */
static void draw(const state *s, size_t j)
{
    const zo_kmeans *of = s->of;
    zo_random r = zo_random_at(of->seed, ZO_FOR_FEATURES, of->stream,
                               (uint32_t)((size_t)s->round * of->k + j));
    float *to = s->direction + j * of->d;
    double square = 0;
    for (int tries = 0; tries < 8 && square == 0; tries++) {
        memcpy(to, of->x + zo_random_below(&r, (uint32_t)of->n) * of->d, of->d * sizeof *to);
        for (size_t i = 0; i < of->d; i++) square += (double)to[i] * (double)to[i];
    }
    double scale = square > 0 ? 1 / sqrt(square) : 0;
    for (size_t i = 0; i < of->d; i++) to[i] = (float)(scale * (double)to[i]);
}

/* The first of the largest |x|, for numbers that are no NaN: their order is that of their bits, which compilers turn into vectors. */
static size_t largest(const float *x, size_t n)
{
    uint32_t most = 0, bits;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    for (;; at++) {
        memcpy(&bits, x + at, sizeof bits);
        if ((bits & 0x7fffffff) == most) return at;
    }
}

static void assign(void *arg, int64_t item, int worker)
{
    const state *s = arg;
    const zo_kmeans *of = s->of;
    size_t first = (size_t)item * CHUNK, m = of->n - first < CHUNK ? of->n - first : CHUNK,
           ld = zo_round16(of->k);
    float *dots = s->dots + (size_t)worker * CHUNK * ld;
    zo_operand rows = zo_matrix(of->x + first * of->d, of->d, m, of->d);
    s->ctx->kernels->product(dots, ld, 0, &rows, s->packed, of->k, &(zo_epilogue){0});
    for (size_t i = 0; i < m; i++, dots += ld) {
        size_t best = largest(dots, of->k);
        s->owner[first + i] = (int32_t)best;
        s->along[first + i] = dots[best];
    }
}

/* Rows by direction, each in their order. Returns the mean of |dot products|. */
static double sort(const state *s)
{
    const zo_kmeans *of = s->of;
    double sum = 0;
    memset(s->first, 0, (of->k + 1) * sizeof *s->first);
    for (size_t i = 0; i < of->n; i++) {
        s->first[s->owner[i] + 1]++;
        sum += fabs((double)s->along[i]);
    }
    for (size_t j = 0; j < of->k; j++) s->first[j + 1] += s->first[j];
    for (size_t i = of->n; i-- > 0;) s->sorted[--s->first[s->owner[i] + 1]] = (int32_t)i;
    /* every beginning now stands one place behind */
    memmove(s->first, s->first + 1, of->k * sizeof *s->first);
    s->first[of->k] = of->n;
    return sum / (double)of->n;
}

/* Direction j = the sum of its rows with their signs, made 1 long; or another row where that is nothing. */
static void update(void *arg, int64_t item, int worker)
{
    const state *s = arg;
    const zo_kmeans *of = s->of;
    size_t j = (size_t)item;
    double *sum = s->sum + (size_t)worker * of->d, square = 0;
    memset(sum, 0, of->d * sizeof *sum);
    for (size_t at = s->first[j]; at < s->first[j + 1]; at++) {
        size_t row = (size_t)s->sorted[at];
        const float *x = of->x + row * of->d;
        double sign = s->along[row] < 0 ? -1 : 1;
        for (size_t i = 0; i < of->d; i++) sum[i] += sign * (double)x[i];
    }
    for (size_t i = 0; i < of->d; i++) square += sum[i] * sum[i];
    if (!(square > 0)) {
        draw(s, j);
        return;
    }
    double scale = 1 / sqrt(square);
    for (size_t i = 0; i < of->d; i++) s->direction[j * of->d + i] = (float)(scale * sum[i]);
}

static void pack(const state *s)
{
    const zo_kmeans *of = s->of;
    for (size_t j = 0; j < of->k; j++)
        for (size_t i = 0; i < of->d; i++) s->across[i * of->k + j] = s->direction[j * of->d + i];
    s->ctx->kernels->pack(s->packed, s->across, of->k, of->d, of->k);
}

static zo_status allocate(state *s)
{
    const zo_context *ctx = s->ctx;
    size_t n = s->of->n, d = s->of->d, k = s->of->k, workers = (size_t)zo_context_threads(ctx);
    s->across = zo_alloc(ctx, d * k * sizeof *s->across);
    s->packed = zo_alloc_zero(ctx, zo_packed_size(d, k), sizeof *s->packed);
    s->dots = zo_alloc_zero(ctx, workers * CHUNK * zo_round16(k), sizeof *s->dots);
    s->sum = zo_alloc(ctx, workers * d * sizeof *s->sum);
    s->owner = zo_alloc(ctx, 2 * n * sizeof *s->owner);
    s->along = zo_alloc(ctx, n * sizeof *s->along);
    s->first = zo_alloc(ctx, (k + 1) * sizeof *s->first);
    if (!s->across || !s->packed || !s->dots || !s->sum || !s->owner || !s->along || !s->first)
        return ZO_NO_MEMORY;
    s->sorted = s->owner + n;
    return ZO_OK;
}

zo_status zo_kmeans_run(const zo_context *ctx, const zo_kmeans *what, float *direction, double *gain)
{
    state s = {.ctx = ctx, .of = what, .direction = direction};
    zo_status status = allocate(&s);
    int64_t chunks = (int64_t)((what->n + CHUNK - 1) / CHUNK);
    for (size_t j = 0; j < what->k && !status; j++) draw(&s, j);
    for (; s.round < what->rounds && !status;) {
        pack(&s);
        zo_parallel(ctx, chunks, assign, &s);
        double mean = sort(&s);
        if (gain) gain[s.round] = mean;
        s.round++; /* what is drawn now is of the next */
        zo_parallel(ctx, (int64_t)what->k, update, &s);
        status = zo_check_cancelled(ctx);
    }
    void *all[] = {s.across, s.packed, s.dots, s.sum, s.owner, s.along, s.first};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    return status;
}

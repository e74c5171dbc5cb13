/* What the tests of src/linear/ share: rows to learn from, and a solver of their own in long double. */
#ifndef ZO_TESTS_LINEAR_SUPPORT_H
#define ZO_TESTS_LINEAR_SUPPORT_H

#include "support.h"

#include "linear/gram.h"

/* m rows of p features and q outputs, which are sums of features and noise. */
typedef struct table {
    size_t m, p, q;
    float *h, *y, *weight;
} table;

/* Features about `centre`, with deviations about 1; weights in [0.5, 2). */
static inline table make_table(size_t m, size_t p, size_t q, double centre)
{
    uint64_t seed = 77 + m + 1000 * p;
    table t = {m, p, q, floats(m * p), floats(m * q), floats(m)};
    draw_many(&seed, t.h, m * p, centre - 2, centre + 2);
    draw_many(&seed, t.weight, m, 0.5, 2);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < q; j++) {
            float *y = t.y + i * q + j;
            *y = draw(&seed, 2, 3);
            for (size_t k = j; k < p; k += q) *y += (float)(1 + k % 3) * t.h[i * p + k] / 4;
        }
    }
    return t;
}

static inline void free_table(table *t) { free(t->h), free(t->y), free(t->weight); }

/* With the weights of the table if the flags say so. */
static inline zo_gram *gram_of(zo_context *ctx, const table *t, unsigned flags)
{
    zo_gram *g = NULL;
    assert_int_equal(zo_gram_create(ctx, t->p, t->q, flags, &g), ZO_OK);
    assert_int_equal(
        zo_gram_add(g, t->m, t->h, t->p, t->y, t->q, flags & ZO_GRAM_WEIGHTED ? t->weight : NULL),
        ZO_OK);
    return g;
}

/* a x = b in long double, by elimination with pivots: a [n][n] and b [n][q] are spoilt, b becomes x. */
static inline void eliminate(long double *a, long double *b, size_t n, size_t q)
{
    for (size_t k = 0; k < n; k++) {
        size_t best = k;
        for (size_t i = k; i < n; i++)
            if (fabsl(a[i * n + k]) > fabsl(a[best * n + k])) best = i;
        for (size_t j = 0; j < n; j++) {
            long double x = a[k * n + j];
            a[k * n + j] = a[best * n + j], a[best * n + j] = x;
        }
        for (size_t j = 0; j < q; j++) {
            long double x = b[k * q + j];
            b[k * q + j] = b[best * q + j], b[best * q + j] = x;
        }
        for (size_t i = 0; i < n; i++) {
            long double f = i == k ? 0 : a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n && f != 0; j++) a[i * n + j] -= f * a[k * n + j];
            for (size_t j = 0; j < q && f != 0; j++) b[i * q + j] -= f * b[k * q + j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < q; j++) b[i * q + j] /= a[i * n + i];
    }
}

static inline long double *long_doubles(size_t n)
{
    long double *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Weighted means of n columns of x [m][n]; zeros if not `centred`. */
static inline void means_of(long double *mean, const float *x, size_t m, size_t n,
                            const float *weight, bool centred)
{
    for (size_t j = 0; j < n; j++) {
        long double sum = 0, all = 0;
        for (size_t i = 0; i < m; i++) {
            long double w = weight ? (long double)weight[i] : 1;
            sum += w * (long double)x[i * n + j], all += w;
        }
        mean[j] = centred ? sum / all : 0;
    }
}

/* Ridge weights w [p][q] and intercepts b [q] of a table, straight from the definition. `scale`: lambda is multiplied by the mean of the
 * diagonal. */
static inline void ridge_of(const table *t, const float *weight, double lambda, bool scale,
                            bool intercept, long double *w, long double *b)
{
    size_t p = t->p, q = t->q;
    long double *a = long_doubles(p * p), *mean = long_doubles(p + q), trace = 0;
    means_of(mean, t->h, t->m, p, weight, intercept);
    means_of(mean + p, t->y, t->m, q, weight, intercept);
    memset(w, 0, p * q * sizeof *w);
    for (size_t i = 0; i < t->m; i++) {
        long double f = weight ? (long double)weight[i] : 1;
        for (size_t r = 0; r < p; r++) {
            long double x = f * ((long double)t->h[i * p + r] - mean[r]);
            for (size_t c = 0; c < p; c++)
                a[r * p + c] += x * ((long double)t->h[i * p + c] - mean[c]);
            for (size_t c = 0; c < q; c++)
                w[r * q + c] += x * ((long double)t->y[i * q + c] - mean[p + c]);
        }
    }
    for (size_t r = 0; r < p; r++) trace += a[r * p + r];
    for (size_t r = 0; r < p; r++)
        a[r * p + r] += (long double)lambda * (scale ? trace / (long double)p : 1);
    eliminate(a, w, p, q);
    for (size_t j = 0; j < q; j++) {
        b[j] = mean[p + j];
        for (size_t r = 0; r < p; r++) b[j] -= mean[r] * w[r * q + j];
    }
    free(a), free(mean);
}

/* |got - want| / |want|, got [m][ld] */
static inline double distance(const float *got, size_t ld, const long double *want, size_t m,
                              size_t n)
{
    long double off = 0, all = 0;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            long double d = (long double)got[i * ld + j] - want[i * n + j];
            off += d * d, all += want[i * n + j] * want[i * n + j];
        }
    }
    return (double)sqrtl(off / all);
}

/* work(ctx, arg, out) gives n floats: the same bits for 1, 2 and 3 threads and every kernel set; ref alone is left out if `large`. */
static inline void same_everywhere(void (*work)(zo_context *ctx, void *arg, float *out), void *arg,
                                   size_t n, bool large)
{
    float *want = floats(n), *got = floats(n);
    bool first = true;
    for (int i = 0; kernel_set(i); i++) {
        for (int threads = 1; threads <= 3; threads++) {
            const zo_kernels *k = kernel_set(i);
            if (k == &zo_kernels_ref && kernel_set(1) && (large || threads == 3)) continue;
            zo_context *ctx = make_context(threads, k->info.name, NULL);
            work(ctx, arg, first ? want : got);
            if (!first) assert_same_floats(got, want, n, k->info.name);
            first = false;
            zo_context_destroy(ctx);
        }
    }
    free(want), free(got);
}

#endif

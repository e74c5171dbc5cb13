/* Which directions of whitened patches become filters: patches themselves (Coates & Ng 2011), centres of k-means (Coates & Ng 2012), or the
 * leading directions of the covariance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed_patches.h"
#include "learn/kmeans.h"
#include "linear/eigen.h"

enum { CANDIDATES = 4096, ROUNDS = 10 };

/* A number and whose it is. */
typedef struct entry {
    double size;
    int32_t of;
} entry;

static int by_size(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->of > y->of) - (x->of < y->of);
}

/* ---- patches ---- */

/* Every so many-th patch, those longer than the median, in random order: patches without contrast say nothing. */
static zo_status choose_patches(const zo_patch_set *a, double *f)
{
    size_t n = a->n < CANDIDATES ? a->n : CANDIDATES, d = a->terms, half = n / 2;
    entry *all = zo_alloc(a->c->ctx, n * sizeof *all);
    int32_t *order = zo_alloc(a->c->ctx, n * sizeof *order);
    zo_status status = all && order ? ZO_OK : ZO_NO_MEMORY;
    for (size_t i = 0; i < n && !status; i++) {
        size_t at = i * a->n / n;
        const float *x = a->patch + at * d;
        double square = 0;
        for (size_t j = 0; j < d; j++) square += (double)x[j] * (double)x[j];
        all[i] = (entry){square, (int32_t)at};
    }
    if (!status) {
        qsort(all, n, sizeof *all, by_size);
        for (size_t i = half; i < n; i++) order[i - half] = (int32_t)i;
        zo_random r = zo_random_at(a->c->seed, ZO_FOR_FEATURES, ZO_DRAW_ORDER + (uint64_t)a->stage,
                                   (uint32_t)a->group);
        zo_random_shuffle(&r, (uint32_t)(n - half), order);
    }
    for (size_t k = 0; k < a->end - a->column && !status; k++) {
        const entry *e = all + order[k % (n - half)];
        const float *x = a->patch + (size_t)e->of * d;
        double scale = e->size > 0 ? 1 / sqrt(e->size) : 0;
        for (size_t j = 0; j < d; j++) f[k * d + j] = scale * (double)x[j];
    }
    zo_free(a->c->ctx, all);
    zo_free(a->c->ctx, order);
    return status;
}

/* ---- k-means ---- */

static zo_status choose_means(const zo_patch_set *a, double *f)
{
    size_t d = a->terms, k = a->end - a->column;
    zo_kmeans means = {.x = a->patch,
                       .n = a->n,
                       .d = d,
                       .k = k,
                       .rounds = ROUNDS,
                       .seed = a->c->seed,
                       .stream = ZO_DRAW_MEANS + (uint64_t)a->stage + ((uint64_t)a->group << 32)};
    float *direction = zo_alloc(a->c->ctx, k * d * sizeof *direction);
    zo_status status = direction ? zo_kmeans_run(a->c->ctx, &means, direction, NULL) : ZO_NO_MEMORY;
    for (size_t i = 0; i < k * d && !status; i++) f[i] = (double)direction[i];
    zo_free(a->c->ctx, direction);
    a->c->cost += (double)ROUNDS * (double)a->n * (double)d * (double)(k + 1);
    return status;
}

zo_status zo_patches_choose(const zo_patch_set *a, double *f)
{
    if (a->c->set.filters == ZO_CLOSED_KMEANS) return choose_means(a, f);
    if (a->c->set.filters != ZO_CLOSED_PCA) return choose_patches(a, f);
    zo_eigen_leading(a->vector, a->value, a->terms, a->end - a->column, f);
    return ZO_OK;
}

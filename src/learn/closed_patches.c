/* Filters that are whitened patches of the training images (Coates & Ng 2011): with patches p as the layer sees them, their mean mu and
 * covariance C, Z = (C + w I)^(-1/2), a filter is Z f where f = Z (p - mu) of a random patch whose f is longer than the median, made 1 long; its
 * bias is -mu Z f, so that the layer gives f . Z (p - mu). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed.h"
#include "linear/eigen.h"

enum {
    TERMS_MOST = 512,
    IMAGES_MOST = 5000,
    CHUNK = 256,
    CANDIDATES = 4096,
    PATCHES_OF_IMAGE = 40
};
#define FLOATS_MOST 2e7 /* of all patches together */

typedef struct patches {
    zo_closed *c;
    const zo_stage *s;
    int stage;
    size_t terms, images, each;              /* each: patches of an image */
    float *image;                            /* [CHUNK][ld_in] what comes into the stage */
    float *patch;                            /* [images * each][terms] */
    double *cov, *vector, *value, *z, *mean; /* z [terms][terms] */
    double *f, *length, *sorted;             /* f [candidates][terms] */
    int32_t *order;
    size_t first; /* image of the chunk at hand */
} patches;

/* The number that term t of the patch at output (y, x) is. */
static float term(const zo_stage *s, const float *image, size_t y, size_t x, size_t t)
{
    const zo_window *w = &s->window;
    size_t c = (size_t)s->in.channels, tap = t / c,
           row = y * w->stride + tap / w->width * w->dilation,
           column = x * w->stride + tap % w->width * w->dilation;
    if (row < w->top || column < w->left || row - w->top >= w->in_height ||
        column - w->left >= w->in_width)
        return 0;
    return image[((row - w->top) * w->in_width + column - w->left) * s->in.pitch + t % c];
}

static void even_contrast(float *p, size_t n, double eps)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) mean += (double)p[i] / (double)n;
    for (size_t i = 0; i < n; i++) square += ((double)p[i] - mean) * ((double)p[i] - mean);
    double inverse = 1 / sqrt(square / (double)n + eps);
    for (size_t i = 0; i < n; i++) p[i] = (float)(((double)p[i] - mean) * inverse);
}

static void cut_patches(void *arg, int64_t item, int worker)
{
    (void)worker;
    const patches *a = arg;
    const zo_stage *s = a->s;
    size_t at = a->first + (size_t)item;
    zo_random r = zo_random_at(a->c->seed, ZO_FOR_FEATURES, 1000 + (uint64_t)a->stage, (uint32_t)at);
    const float *image = a->image + (size_t)item * s->ld_in;
    bool contrast = !strcmp(s->layer->info.name, "patch");
    for (size_t i = 0; i < a->each; i++) {
        size_t y = zo_random_below(&r, (uint32_t)s->window.out_height),
               x = zo_random_below(&r, (uint32_t)s->window.out_width);
        float *p = a->patch + (at * a->each + i) * a->terms;
        for (size_t t = 0; t < a->terms; t++) p[t] = term(s, image, y, x, t);
        if (contrast) even_contrast(p, a->terms, (double)s->decimal);
    }
}

static void collect(patches *a)
{
    for (a->first = 0; a->first < a->images && !zo_cancelled(a->c->ctx); a->first += CHUNK) {
        size_t n = a->images - a->first < CHUNK ? a->images - a->first : CHUNK;
        zo_closed_run(&(zo_closed_rows){a->c, ZO_TRAIN, a->stage, (int64_t)a->first, (int64_t)n,
                                        a->image, a->s->ld_in, false});
        zo_parallel(a->c->ctx, (int64_t)n, cut_patches, a);
    }
}

/* cov and mean of all patches. */
static zo_status covariance(patches *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t n = a->images * a->each, d = a->terms;
    zo_gram *gram;
    zo_normal normal = {0};
    zo_status status = zo_gram_create(a->c->ctx, d, 1, false, &gram);
    float *none = zo_alloc_zero(ctx, n, sizeof *none);
    if (!status && !none) status = ZO_NO_MEMORY;
    if (!status) status = zo_gram_add(gram, n, a->patch, d, none, 1, NULL);
    if (!status) {
        zo_moments m = zo_gram_close(gram);
        status = zo_normal_init(&normal, ctx, &m, true);
        if (!status) {
            zo_normal_matrix64(&normal, a->cov);
            double over = m.weight > 1 ? m.weight - 1 : 1;
            for (size_t i = 0; i < d * d; i++) a->cov[i] /= over;
            for (size_t i = 0; i < d; i++)
                a->mean[i] = (double)m.shift_h[i] + m.sum_h[i] / m.weight;
        }
        zo_normal_fini(&normal);
    }
    zo_gram_destroy(gram);
    zo_free(ctx, none);
    return status;
}

static void whiten_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const patches *a = arg;
    size_t d = a->terms;
    double *z = a->z + (size_t)i * d;
    memset(z, 0, d * sizeof *z);
    for (size_t k = 0; k < d; k++) {
        const double *v = a->vector + k * d;
        double g = v[i] / sqrt(fmax(a->value[k], 0) + a->c->set.whiten);
        for (size_t j = 0; j < d; j++) z[j] += g * v[j];
    }
}

static size_t candidates(const patches *a)
{
    size_t n = a->images * a->each;
    return n < CANDIDATES ? n : CANDIDATES;
}

/* f = Z (p - mu) and its length. */
static void whiten(void *arg, int64_t i, int worker)
{
    (void)worker;
    const patches *a = arg;
    size_t d = a->terms, at = (size_t)i * (a->images * a->each) / candidates(a);
    const float *p = a->patch + at * d;
    double *f = a->f + (size_t)i * d, square = 0;
    memset(f, 0, d * sizeof *f);
    for (size_t k = 0; k < d; k++) {
        double x = (double)p[k] - a->mean[k];
        for (size_t j = 0; j < d; j++) f[j] += x * a->z[k * d + j];
    }
    for (size_t j = 0; j < d; j++) square += f[j] * f[j];
    a->length[i] = sqrt(square);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Those longer than the median, or all where none is, in random order. */
static size_t choose(const patches *a)
{
    size_t n = candidates(a), chosen = 0;
    memcpy(a->sorted, a->length, n * sizeof *a->sorted);
    qsort(a->sorted, n, sizeof *a->sorted, by_size);
    double median = a->sorted[n / 2];
    for (size_t i = 0; i < n; i++)
        if (a->length[i] > median) a->order[chosen++] = (int32_t)i;
    for (size_t i = 0; !chosen && i < n; i++) a->order[i] = (int32_t)i;
    if (!chosen) chosen = n;
    zo_random r = zo_random_at(a->c->seed, ZO_FOR_FEATURES, 2000 + (uint64_t)a->stage, 0);
    zo_random_shuffle(&r, (uint32_t)chosen, a->order);
    return chosen;
}

static void set_filters(const patches *a)
{
    const zo_stage *s = a->s;
    float *params = a->c->net->params;
    size_t d = a->terms, chosen = choose(a);
    for (size_t j = 0; j < s->columns; j++) {
        size_t at = (size_t)a->order[j % chosen];
        const double *f = a->f + at * d;
        double scale = a->length[at] > 0 ? 1 / a->length[at] : 0, bias = 0;
        for (size_t i = 0; i < d; i++) {
            double w = 0;
            for (size_t k = 0; k < d; k++) w += a->z[i * d + k] * f[k];
            w *= scale;
            bias -= a->mean[i] * w;
            params[s->weight + zo_stage_at(s, i, j)] = (float)w;
        }
        if (s->has_bias) params[s->bias + j] = (float)bias;
    }
}

static zo_status allocate(patches *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t d = a->terms, n = candidates(a);
    a->image = zo_alloc_zero(ctx, CHUNK * a->s->ld_in, sizeof *a->image);
    a->patch = zo_alloc(ctx, a->images * a->each * d * sizeof *a->patch);
    a->cov = zo_alloc_zero(ctx, 3 * d * d + 2 * d, sizeof *a->cov);
    a->f = zo_alloc_zero(ctx, n * (d + 2), sizeof *a->f);
    a->order = zo_alloc_zero(ctx, n, sizeof *a->order);
    if (!a->image || !a->patch || !a->cov || !a->f || !a->order) return ZO_NO_MEMORY;
    a->vector = a->cov + d * d, a->z = a->vector + d * d;
    a->value = a->z + d * d, a->mean = a->value + d;
    a->length = a->f + n * d, a->sorted = a->length + n;
    return ZO_OK;
}

zo_status zo_closed_patches(zo_closed *c, int stage)
{
    patches a = {.c = c, .s = c->net->stage + stage, .stage = stage};
    int64_t n = c->task->part[ZO_TRAIN].n;
    a.terms = a.s->rows;
    if (a.terms > TERMS_MOST)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: filters=patches is for windows of up to %d numbers, \"%s\" has %zu: "
                       "use filters=random",
                       c->info->name, TERMS_MOST, c->net->word[a.s->word], a.terms);
    a.images = n < IMAGES_MOST ? (size_t)n : IMAGES_MOST;
    double each = FLOATS_MOST / ((double)a.images * (double)a.terms);
    a.each = each < 4 ? 4 : each < PATCHES_OF_IMAGE ? (size_t)each : PATCHES_OF_IMAGE;
    zo_status status = allocate(&a);
    if (!status) {
        collect(&a);
        status = zo_check_cancelled(c->ctx);
        if (!status) status = covariance(&a);
    }
    if (!status) {
        zo_eigen_symmetric(a.cov, a.terms, a.vector, a.value);
        zo_parallel(c->ctx, (int64_t)a.terms, whiten_row, &a);
        zo_parallel(c->ctx, (int64_t)candidates(&a), whiten, &a);
        set_filters(&a);
        double d = (double)a.terms, all = (double)(a.images * a.each);
        c->cost += all * (d * d / 2 + 4 * d) + 21 * d * d * d +
                   d * d * (double)(candidates(&a) + a.s->columns);
    }
    void *all[] = {a.image, a.patch, a.cov, a.f, a.order};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

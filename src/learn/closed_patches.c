/* Patches of what comes into a stage, whitened, and its filters from them; where a patch has too many numbers, in groups of channels. */
#include "learn/closed_patches.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "linear/eigen.h"

/* Patches of up to TERMS_MOST numbers are whitened whole. Of others a group of filters sees some of the channels, about GROUP_TERMS numbers. */
enum {
    TERMS_MOST = 512,
    GROUP_TERMS = 256,
    IMAGES_MOST = 5000,
    CHUNK = 256,
    PATCHES_OF_IMAGE = 40
};
#define FLOATS_MOST 2e7 /* of all patches together */

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

/* Patches from the images of a chunk. */
typedef struct cutting {
    zo_patch_set *a;
    size_t first; /* its first image */
    float *whole; /* [workers][rows of the stage] */
} cutting;

static void cut_patches(void *arg, int64_t item, int worker)
{
    const cutting *w = arg;
    const zo_patch_set *a = w->a;
    const zo_stage *s = a->s;
    size_t at = w->first + (size_t)item;
    zo_random r = zo_random_at(a->c->seed, ZO_FOR_FEATURES, ZO_DRAW_PLACES + (uint64_t)a->stage,
                               (uint32_t)at);
    const float *image = a->image + (size_t)item * s->ld_in;
    bool contrast = !strcmp(s->layer->info.name, "patch");
    float *whole = w->whole + (size_t)worker * s->rows;
    for (size_t i = 0; i < a->each; i++) {
        size_t y = zo_random_below(&r, (uint32_t)s->window.out_height),
               x = zo_random_below(&r, (uint32_t)s->window.out_width);
        float *p = a->patch + (at * a->each + i) * a->terms;
        for (size_t t = 0; t < s->rows; t++) whole[t] = term(s, image, y, x, t);
        if (contrast) even_contrast(whole, s->rows, (double)s->decimal);
        for (size_t t = 0; t < a->terms; t++) p[t] = whole[a->term[t]];
    }
}

static zo_status collect(zo_patch_set *a)
{
    const zo_context *ctx = a->c->ctx;
    cutting w = {.a = a};
    w.whole = zo_alloc(ctx, (size_t)zo_context_threads(ctx) * a->s->rows * sizeof *w.whole);
    if (!w.whole) return ZO_NO_MEMORY;
    for (; w.first < a->images && !zo_cancelled(ctx); w.first += CHUNK) {
        size_t n = a->images - w.first < CHUNK ? a->images - w.first : CHUNK;
        zo_closed_run(&(zo_closed_rows){.c = a->c,
                                        .part = ZO_TRAIN,
                                        .to = a->stage,
                                        .first = (int64_t)w.first,
                                        .n = (int64_t)n,
                                        .out = a->image,
                                        .ld = a->s->ld_in});
        zo_parallel(ctx, (int64_t)n, cut_patches, &w);
    }
    zo_free(ctx, w.whole);
    return zo_check_cancelled(ctx);
}

/* cov and mean of all patches. */
static zo_status covariance(const zo_patch_set *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t n = a->n, d = a->terms;
    zo_gram *gram;
    zo_normal normal = {0};
    zo_status status = zo_gram_create(a->c->ctx, d, 1, 0, &gram);
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
    const zo_patch_set *a = arg;
    size_t d = a->terms;
    double *z = a->z + (size_t)i * d;
    memset(z, 0, d * sizeof *z);
    for (size_t k = 0; k < d; k++) {
        const double *v = a->vector + k * d;
        double g = v[i] / sqrt(fmax(a->value[k], 0) + a->c->set.whiten);
        for (size_t j = 0; j < d; j++) z[j] += g * v[j];
    }
}

/* A chunk of patches becomes Z (p - mu). */
typedef struct whitening {
    const zo_patch_set *a;
    float *packed, *bias, *room; /* of z; -Z mu; [workers][CHUNK][terms, rounded up] */
} whitening;

static void whiten_chunk(void *arg, int64_t item, int worker)
{
    const whitening *w = arg;
    const zo_patch_set *a = w->a;
    size_t first = (size_t)item * CHUNK, m = a->n - first < CHUNK ? a->n - first : CHUNK,
           d = a->terms, ld = zo_round16(d);
    float *p = a->patch + first * d, *out = w->room + (size_t)worker * CHUNK * ld;
    zo_operand rows = zo_matrix(p, d, m, d);
    a->c->ctx->kernels->product(out, ld, 0, &rows, w->packed, d, &(zo_epilogue){.bias = w->bias});
    for (size_t i = 0; i < m; i++) memcpy(p + i * d, out + i * ld, d * sizeof *p);
}

static void pack_whitening(const whitening *w, float *flat)
{
    const zo_patch_set *a = w->a;
    size_t d = a->terms;
    for (size_t i = 0; i < d * d; i++) flat[i] = (float)a->z[i];
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t k = 0; k < d; k++) sum -= a->z[i * d + k] * a->mean[k];
        w->bias[i] = (float)sum;
    }
    a->c->ctx->kernels->pack(w->packed, flat, d, d, d);
}

static zo_status whiten(zo_patch_set *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t d = a->terms, workers = (size_t)zo_context_threads(ctx);
    whitening w = {.a = a};
    float *flat = zo_alloc(ctx, d * d * sizeof *flat);
    w.packed = zo_alloc_zero(ctx, zo_packed_size(d, d), sizeof *w.packed);
    w.bias = zo_alloc_zero(ctx, zo_round16(d), sizeof *w.bias);
    w.room = zo_alloc_zero(ctx, workers * CHUNK * zo_round16(d), sizeof *w.room);
    bool there = flat && w.packed && w.bias && w.room;
    if (there) {
        zo_eigen_symmetric(a->cov, d, a->vector, a->value);
        zo_parallel(ctx, (int64_t)d, whiten_row, a);
        pack_whitening(&w, flat);
        zo_parallel(ctx, (int64_t)((a->n + CHUNK - 1) / CHUNK), whiten_chunk, &w);
        a->c->cost += (double)d * (double)d * ((double)a->n * 1.5 + 7 * (double)d);
    }
    void *all[] = {flat, w.packed, w.bias, w.room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    return there ? ZO_OK : ZO_NO_MEMORY;
}

/* Columns of the stage from unit vectors f. */
static void set_filters(const zo_patch_set *a, const double *f)
{
    const zo_stage *s = a->s;
    float *params = a->c->net->params;
    size_t d = a->terms;
    for (size_t j = a->column; j < a->end; j++, f += d) {
        double bias = 0;
        for (size_t i = 0; i < s->rows; i++) params[s->weight + zo_stage_at(s, i, j)] = 0;
        for (size_t i = 0; i < d; i++) {
            double w = 0;
            for (size_t k = 0; k < d; k++) w += a->z[i * d + k] * f[k];
            bias -= a->mean[i] * w;
            params[s->weight + zo_stage_at(s, a->term[i], j)] = (float)w;
        }
        if (s->has_bias) params[s->bias + j] = (float)bias;
    }
}

static zo_status fill_set(zo_patch_set *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t d = a->terms, filters = a->end - a->column;
    double each = FLOATS_MOST / ((double)a->images * (double)d);
    a->each = each < 4 ? 4 : each < PATCHES_OF_IMAGE ? (size_t)each : PATCHES_OF_IMAGE;
    a->n = a->images * a->each;
    a->patch = zo_alloc(ctx, a->n * d * sizeof *a->patch);
    a->cov = zo_alloc_zero(ctx, 3 * d * d + 2 * d, sizeof *a->cov);
    double *f = zo_alloc(ctx, filters * d * sizeof *f);
    zo_status status = a->patch && a->cov && f ? ZO_OK : ZO_NO_MEMORY;
    if (!status) {
        a->vector = a->cov + d * d, a->z = a->vector + d * d;
        a->value = a->z + d * d, a->mean = a->value + d;
        status = collect(a);
    }
    if (!status) status = covariance(a);
    if (!status) status = whiten(a);
    if (!status) status = zo_patches_choose(a, f);
    if (!status) set_filters(a, f);
    a->c->cost += (double)d * (double)d * (double)filters;
    zo_free(ctx, a->patch);
    zo_free(ctx, a->cov);
    zo_free(ctx, f);
    return status;
}

/* ---- groups ---- */

static size_t taps(const zo_stage *s) { return s->window.height * s->window.width; }

/* Groups of channels that filters see: one where patches are small. */
static size_t groups_of(const zo_stage *s)
{
    size_t channels = (size_t)s->in.channels, of_group = GROUP_TERMS / taps(s);
    if (s->rows <= TERMS_MOST) return 1;
    if (of_group < 1) of_group = 1;
    size_t n = (channels + of_group - 1) / of_group;
    return n < s->columns ? n : s->columns;
}

/* Random where there are groups, so that a group is no neighbourhood of filters. */
static void order_channels(const zo_patch_set *a, size_t groups, int32_t *order)
{
    uint32_t n = (uint32_t)a->s->in.channels;
    zo_random r =
        zo_random_at(a->c->seed, ZO_FOR_FEATURES, ZO_DRAW_CHANNELS + (uint64_t)a->stage, 0);
    for (uint32_t i = 0; i < n; i++) order[i] = (int32_t)i;
    if (groups > 1) zo_random_shuffle(&r, n, order);
}

/* Group g of the channels in `order`: which terms of a patch are theirs. */
static void choose_terms(zo_patch_set *a, size_t groups, size_t g, const int32_t *order)
{
    size_t c = (size_t)a->s->in.channels;
    a->group = g;
    a->column = g * a->s->columns / groups, a->end = (g + 1) * a->s->columns / groups;
    a->terms = 0;
    for (size_t tap = 0; tap < taps(a->s); tap++)
        for (size_t i = g * c / groups; i < (g + 1) * c / groups; i++)
            a->term[a->terms++] = tap * c + (size_t)order[i];
}

zo_status zo_closed_patches_check(const zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    size_t groups = groups_of(s), channels = ((size_t)s->in.channels + groups - 1) / groups,
           terms = taps(s) * channels, least = taps(s) * ((size_t)s->in.channels / groups);
    const char *word = c->net->word[s->word], *name = c->info->name;
    if (terms > TERMS_MOST)
        return zo_fail(
            c->ctx, ZO_USAGE,
            "%s: filters of patches are for windows of up to %d numbers, \"%s\" has %zu: "
            "use filters=random, or a smaller window",
            name, TERMS_MOST, word, terms);
    if (c->set.filters == ZO_CLOSED_PCA && (s->columns + groups - 1) / groups > least)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: filters=pca gives %zu filters to \"%s\" at the most: use fewer, or "
                       "filters=kmeans",
                       name, least * groups, word);
    return ZO_OK;
}

zo_status zo_closed_patches(zo_closed *c, int stage)
{
    const zo_context *ctx = c->ctx;
    zo_patch_set a = {.c = c, .s = c->net->stage + stage, .stage = stage};
    int64_t n = c->task->part[ZO_TRAIN].n;
    size_t channels = (size_t)a.s->in.channels, groups = groups_of(a.s);
    a.images = n < IMAGES_MOST ? (size_t)n : IMAGES_MOST;
    int32_t *order = zo_alloc(ctx, channels * sizeof *order);
    a.term = zo_alloc(ctx, a.s->rows * sizeof *a.term);
    a.image = zo_alloc_zero(ctx, CHUNK * a.s->ld_in, sizeof *a.image);
    zo_status status = order && a.term && a.image ? ZO_OK : ZO_NO_MEMORY;
    if (!status) order_channels(&a, groups, order);
    for (size_t g = 0; g < groups && !status; g++) {
        choose_terms(&a, groups, g, order);
        status = fill_set(&a);
    }
    void *all[] = {order, a.term, a.image};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    return status;
}

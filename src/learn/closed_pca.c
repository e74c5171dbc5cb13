/* Filters that are leading eigenvectors of patches (PCA filters; Chan et al. 2015, arXiv 1404.3606, eq. 3 and 5): of what comes into a conv stage
 * patches of all channels, of what comes into an eachconv stage patches of any one of them. Every patch is freed of its mean, channel by channel,
 * and the eigenvectors are those of the sum of p p^T.
 *
 * The layer does not take the mean away, and need not: 1 (on a channel) is an eigenvector of eigenvalue 0, the others are at right angles to it, so
 * that a filter gives the same of p and of p + 1 m. That also holds at the edges of an image with zeros around, whose zeros the mean counts.
 *
 * Of what comes into an eachdense stage groups of channels at single pixels are taken as they are, and the eigenvectors are those of their covariance.
 */
#include "learn/closed_pca.h"

#include <string.h>

#include "base/random.h"
#include "linear/eigen.h"

enum { TERMS_MOST = 512, IMAGES_MOST = 5000, CHUNK = 256, PATCHES_OF_IMAGE = 80 };
#define FLOATS_MOST 2e7 /* of all patches together */

typedef struct cutting {
    zo_closed *c;
    const zo_stage *s;
    int stage;
    size_t channels, terms, images, each; /* of a patch; each: patches of an image */
    bool whole,
        groups;   /* a patch has all channels of what comes in; is a group of channels of a pixel */
    float *image; /* [CHUNK][ld_in] what comes into the stage */
    float *patch; /* [CHUNK * each][terms] */
    float *none;  /* [CHUNK * each] zeros: outputs that nobody asks for */
    double *second, *vector, *value, *filter;
    size_t first; /* image of the chunk at hand */
} cutting;

/* One side of where a window may begin: inside the image where it fits. */
static size_t begin(zo_random *r, size_t size, size_t window, size_t dilation)
{
    size_t reach = (window - 1) * dilation + 1;
    return size > reach ? zo_random_below(r, (uint32_t)(size - reach + 1)) : 0;
}

static void cut(const cutting *a, const float *image, zo_random *r, float *p)
{
    const zo_window *w = &a->s->window;
    size_t c = a->channels, y = begin(r, w->in_height, w->height, w->dilation),
           x = begin(r, w->in_width, w->width, w->dilation),
           channel = a->whole ? 0 : zo_random_below(r, (uint32_t)a->s->in.channels);
    for (size_t k = 0; k < c; k++) {
        double mean = 0;
        for (size_t t = k; t < a->terms; t += c) {
            size_t row = y + t / c / w->width * w->dilation,
                   column = x + t / c % w->width * w->dilation;
            bool outside = row >= w->in_height || column >= w->in_width;
            p[t] = outside ? 0 : image[(row * w->in_width + column) * a->s->in.pitch + channel + k];
            mean += (double)p[t];
        }
        mean /= (double)(a->terms / c);
        for (size_t t = k; t < a->terms; t += c) p[t] = (float)((double)p[t] - mean);
    }
}

static void take_group(const cutting *a, const float *image, zo_random *r, float *p)
{
    const zo_shape *in = &a->s->in;
    size_t pixel = zo_random_below(r, (uint32_t)zo_shape_pixels(in)),
           group = zo_random_below(r, (uint32_t)((size_t)in->channels / a->terms));
    memcpy(p, image + pixel * in->pitch + group * a->terms, a->terms * sizeof *p);
}

static void cut_image(void *arg, int64_t item, int worker)
{
    (void)worker;
    const cutting *a = arg;
    zo_random r = zo_random_at(a->c->seed, ZO_FOR_FEATURES, 3000 + (uint64_t)a->stage,
                               (uint32_t)(a->first + (size_t)item));
    float *p = a->patch + (size_t)item * a->each * a->terms;
    for (size_t i = 0; i < a->each; i++, p += a->terms)
        (a->groups ? take_group : cut)(a, a->image + (size_t)item * a->s->ld_in, &r, p);
}

/* a->second = sum of p p^T over all patches; about their mean, of groups. */
static zo_status collect(cutting *a, zo_gram *gram)
{
    zo_closed *c = a->c;
    zo_status status = ZO_OK;
    zo_normal normal = {0};
    for (a->first = 0; a->first < a->images && !status; a->first += CHUNK) {
        size_t n = a->images - a->first < CHUNK ? a->images - a->first : CHUNK;
        zo_closed_run(&(zo_closed_rows){.c = c,
                                        .part = ZO_TRAIN,
                                        .to = a->stage,
                                        .first = (int64_t)a->first,
                                        .n = (int64_t)n,
                                        .out = a->image,
                                        .ld = a->s->ld_in});
        zo_parallel(c->ctx, (int64_t)n, cut_image, a);
        status = zo_check_cancelled(c->ctx);
        if (!status) status = zo_gram_add(gram, n * a->each, a->patch, a->terms, a->none, 1, NULL);
    }
    if (status) return status;
    zo_moments m = zo_gram_close(gram);
    status = zo_normal_init(&normal, c->ctx, &m, a->groups);
    if (!status) zo_normal_matrix64(&normal, a->second);
    zo_normal_fini(&normal);
    return status;
}

static zo_status allocate(cutting *a)
{
    const zo_context *ctx = a->c->ctx;
    size_t d = a->terms, n = CHUNK * a->each;
    a->image = zo_alloc_zero(ctx, CHUNK * a->s->ld_in, sizeof *a->image);
    a->patch = zo_alloc_zero(ctx, n * d, sizeof *a->patch);
    a->none = zo_alloc_zero(ctx, n, sizeof *a->none);
    a->second = zo_alloc_zero(ctx, 3 * d * d + d, sizeof *a->second);
    if (!a->image || !a->patch || !a->none || !a->second) return ZO_NO_MEMORY;
    a->vector = a->second + d * d, a->filter = a->vector + d * d;
    a->value = a->filter + d * d;
    return ZO_OK;
}

static void write_filters(const cutting *a)
{
    const zo_stage *s = a->s;
    float *params = a->c->net->params;
    zo_eigen_symmetric(a->second, a->terms, a->vector, a->value);
    zo_eigen_leading(a->vector, a->value, a->terms, s->columns, a->filter);
    for (size_t j = 0; j < s->columns; j++)
        for (size_t t = 0; t < a->terms; t++)
            params[s->weight + zo_stage_at(s, t, j)] = (float)a->filter[j * a->terms + t];
    if (s->has_bias) memset(params + s->bias, 0, s->bias_floats * sizeof *params);
}

bool zo_closed_pca_serves(const zo_stage *s)
{
    const char *name = s->layer->info.name;
    return !strcmp(name, "conv") || !strcmp(name, "eachconv") || !strcmp(name, "eachdense");
}

static bool is_dense(const zo_stage *s) { return !strcmp(s->layer->info.name, "eachdense"); }

/* Channels of a patch. */
static size_t channels_of(const zo_stage *s)
{
    return is_dense(s) ? 1 : s->rows / (s->window.height * s->window.width);
}

/* Channels have as many vectors as pixels of the window, but the constant ones, which groups have too. */
zo_status zo_closed_pca_check(const zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    size_t most = s->rows - (is_dense(s) ? 0 : channels_of(s));
    const char *name = c->info->name, *word = c->net->word[s->word];
    if (s->rows > TERMS_MOST)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: filters=pca is for windows of up to %d numbers, \"%s\" has %zu", name,
                       TERMS_MOST, word, s->rows);
    if (s->columns > most)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: \"%s\" has %zu filters, patches of %zu numbers have %zu leading "
                       "vectors besides constants: take a larger window, or fewer filters",
                       name, word, s->columns, s->rows, most);
    return ZO_OK;
}

zo_status zo_closed_pca(zo_closed *c, int stage)
{
    cutting a = {.c = c, .s = c->net->stage + stage, .stage = stage};
    int64_t n = c->task->part[ZO_TRAIN].n;
    a.terms = a.s->rows;
    a.groups = is_dense(a.s);
    a.whole = !strcmp(a.s->layer->info.name, "conv");
    a.channels = channels_of(a.s);
    a.images = n < IMAGES_MOST ? (size_t)n : IMAGES_MOST;
    double each = FLOATS_MOST / ((double)a.images * (double)a.terms);
    a.each = each < 4 ? 4 : each < PATCHES_OF_IMAGE ? (size_t)each : PATCHES_OF_IMAGE;
    zo_gram *gram = NULL;
    zo_status status = allocate(&a);
    if (!status) status = zo_gram_create(c->ctx, a.terms, 1, 0, &gram);
    if (!status) status = collect(&a, gram);
    if (!status) {
        write_filters(&a);
        double d = (double)a.terms;
        c->cost += (double)(a.images * a.each) * d * d / 2 + 7 * d * d * d;
    }
    zo_gram_destroy(gram);
    void *all[] = {a.image, a.patch, a.none, a.second};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

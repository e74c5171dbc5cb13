/* The fixed weights of a closed form: random units, possibly of what the classes look like (McDonnell et al. 2015, arXiv 1412.8307), and
 * filters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed_pca.h"

enum { FIELD_LEAST = 10, SUMMED_MOST = 128, EXAMPLES_MOST = 4096 };
#define FLOATS_MOST 2e7 /* of the features of examples */

static bool is_layer(const zo_stage *s, const char *name)
{
    return !strcmp(s->layer->info.name, name);
}

/* Whether a stage's columns are units on features, which a scale layer before it has made alike: random, whether each sees all of them or, as a
 * convolution's, a part. */
static bool has_units(const zo_closed *c, int stage)
{
    if (is_layer(c->net->stage + stage, "dense")) return true;
    int scale = zo_closed_next_scale(c, 0);
    return is_layer(c->net->stage + stage, "conv") && scale >= 0 && scale < stage;
}

/* Whether the weights of a stage are leading eigenvectors of what comes in as it is, and whether they are made of whitened patches. */
static bool from_pca(const zo_closed *c, int stage)
{
    return c->set.filters == ZO_CLOSED_PCA && !has_units(c, stage) &&
           zo_closed_pca_serves(c->net->stage + stage);
}

static bool from_patches(const zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    return c->set.filters != ZO_CLOSED_RANDOM && !has_units(c, stage) && !from_pca(c, stage) &&
           (is_layer(s, "conv") || is_layer(s, "patch"));
}

zo_status zo_closed_fill_check(const zo_closed *c)
{
    const zo_task *t = c->task;
    const char *name = c->info->name;
    bool dense = false, classes = c->set.weights;
    if (c->set.body == ZO_CLOSED_KEEP) return ZO_OK;
    for (int i = 0; i < c->last; i++) dense |= is_layer(c->net->stage + i, "dense");
    if (classes && !dense)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: weights is for a net with a dense layer before the last one", name);
    if (c->set.fields && !(c->last > 0 && is_layer(c->net->stage, "dense")))
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: fields is for a net that begins with a dense layer before the last one",
                       name);
    if (classes && !t->classes)
        return zo_fail(c->ctx, ZO_USAGE, "%s: weights of classes need classes: use weights=normal",
                       name);
    if (c->set.fields && t->height < 1)
        return zo_fail(c->ctx, ZO_USAGE, "%s: fields are for images, the task \"%s\" has none",
                       name, t->name);
    zo_status status = ZO_OK;
    for (int i = 0; i < c->last && !status; i++) {
        if (from_patches(c, i)) status = zo_closed_patches_check(c, i);
        if (from_pca(c, i)) status = zo_closed_pca_check(c, i);
    }
    return status;
}

int zo_closed_unit_words(int64_t n, int down, int across, bool all, char *out, size_t room)
{
    int part = (down < across ? down : across) - 1;
    int64_t parts = (int64_t)(down - part + 1) * (across - part + 1);
    char image[32] = "";
    if (all || part < 1) return snprintf(out, room, "{ dense%lld relu }cat", (long long)n);
    if (down != across) snprintf(image, sizeof image, "%dx", down);
    return snprintf(out, room, "{ image%s%d conv%dx%lld relu flatten }cat", image, across, part,
                    (long long)((n + parts - 1) / parts));
}

/* Units of one stage, and examples of what comes into it: of the first stage all training rows, of others the features of some. */
typedef struct units {
    zo_closed *c;
    int stage;
    bool raw;    /* its inputs are those of the net */
    int weights; /* zo_closed_weights; a convolution's units see no examples whole: normal ones */
    float *room; /* [workers][rows] */
    int64_t examples;
    const float *x; /* [examples][ld]; a reference */
    size_t ld;
    int64_t *row;         /* [examples] of the run; NULL where they are all, in their own order */
    float *features;      /* [examples][ld]; NULL where they are the inputs */
    int32_t *by_class;    /* [examples] class by class; NULL: not needed */
    int64_t *first;       /* [classes + 1] where a class begins there */
    int32_t *with, withs; /* classes that have examples */
} units;

static const float *example_of(const units *u, int64_t at)
{
    return u->x + (size_t)u->by_class[at] * u->ld;
}

static int32_t label_of(const units *u, int64_t example)
{
    const zo_examples *part = &u->c->task->part[ZO_TRAIN];
    return part->label[u->row ? zo_closed_place(u->c, u->row[example]) : example];
}

static int64_t any_of(const units *u, int class, zo_random *r)
{
    int64_t n = u->first[class + 1] - u->first[class];
    return u->first[class] + (int64_t)zo_random_below(r, (uint32_t)n);
}

/* Differences of two examples of different classes; C of the paper. */
static void draw_difference(const units *u, zo_random *r, float *w, size_t n)
{
    uint32_t a = zo_random_below(r, (uint32_t)u->withs),
             b = zo_random_below(r, (uint32_t)u->withs - 1);
    b += b >= a;
    const float *x = example_of(u, any_of(u, u->with[a], r)),
                *y = example_of(u, any_of(u, u->with[b], r));
    for (size_t i = 0; i < n; i++) w[i] = x[i] - y[i];
}

/* Sums of examples of one class with random signs; CIW. Examples beyond SUMMED_MOST add work, and nothing to a sum that is normal by then. */
static void draw_sum(const units *u, int64_t unit, zo_random *r, float *w, size_t n)
{
    int class = u->with[unit % u->withs];
    int64_t first = u->first[class], count = u->first[class + 1] - first;
    memset(w, 0, n * sizeof *w);
    for (int64_t e = 0; e < count && e < SUMMED_MOST; e++) {
        int64_t at = count > SUMMED_MOST ? any_of(u, class, r) : first + e;
        const float *x = example_of(u, at), sign = zo_random_below(r, 2) ? 1.0f : -1.0f;
        for (size_t i = 0; i < n; i++) w[i] += sign * x[i];
    }
}

/* [low, high] of two different numbers below n, or of one where there is no second. */
static void draw_side(zo_random *r, uint32_t n, uint32_t *low, uint32_t *high)
{
    *low = zo_random_below(r, n);
    *high = n > 1 ? zo_random_below(r, n - 1) : 0;
    *high += *high >= *low && n > 1;
    if (*high > *low) return;
    uint32_t t = *low;
    *low = *high, *high = t;
}

/* Zero outside a random rectangle, which keeps from the edge as far as a ninth of the side: as the authors' code does it, which leaves 3 pixels
 * of 28. Rectangles of less than FIELD_LEAST are drawn again, sides counted between the middles of pixels. */
static void mask(const zo_task *t, zo_random *r, float *w)
{
    uint32_t down = (uint32_t)t->height / 9, across = (uint32_t)t->width / 9, area = 0, top = 0,
             bottom = 0, left = 0, right = 0;
    for (int tries = 0; tries < 64 && area < FIELD_LEAST; tries++) {
        draw_side(r, (uint32_t)t->height - 2 * down, &top, &bottom);
        draw_side(r, (uint32_t)t->width - 2 * across, &left, &right);
        area = (bottom - top) * (right - left);
    }
    for (uint32_t y = 0; y < (uint32_t)t->height; y++) {
        for (uint32_t x = 0; x < (uint32_t)t->width; x++) {
            bool inside =
                y >= top + down && y <= bottom + down && x >= left + across && x <= right + across;
            for (int k = 0; k < t->channels; k++, w++)
                if (!inside) *w = 0;
        }
    }
}

/* What is added to the bias of unit w so that it passes through black, the zero of raw pixels, as in the paper: standardised inputs have their
 * zero at the mean image, and units through that are worse (docs/closed-form.md). */
static double through_black(const zo_task *t, const float *w)
{
    double sum = 0;
    for (int i = 0; i < t->inputs; i++)
        sum += (double)w[i] * (double)t->shift[i] * (double)t->scale[i];
    return sum;
}

/* One unit: weights of length 1, so that inputs of variance 1 give about as much. */
static void draw_unit(void *arg, int64_t unit, int worker)
{
    const units *u = arg;
    const zo_closed *c = u->c;
    const zo_stage *s = c->net->stage + u->stage;
    size_t n = s->rows;
    if (zo_cancelled(c->ctx)) return;
    float *w = u->room + (size_t)worker * n;
    zo_random r = zo_random_at(c->seed, ZO_FOR_FEATURES, (uint64_t)u->stage, (uint32_t)unit);
    double square = 0;
    for (int tries = 0; tries < 8 && square == 0; tries++) {
        if (u->weights == ZO_CLOSED_NORMAL)
            for (size_t i = 0; i < n; i++) w[i] = (float)zo_random_normal(&r);
        else if (u->weights == ZO_CLOSED_CLASS)
            draw_difference(u, &r, w, n);
        else
            draw_sum(u, unit, &r, w, n);
        if (u->raw && c->set.fields) mask(c->task, &r, w);
        for (size_t i = 0; i < n; i++) square += (double)w[i] * (double)w[i];
    }
    double scale = square > 0 ? 1 / sqrt(square) : 0, bias = c->set.bias * zo_random_normal(&r);
    if (u->raw && u->weights != ZO_CLOSED_NORMAL && c->task->height > 0)
        bias += scale * through_black(c->task, w);
    float *to = c->net->params + s->weight;
    for (size_t i = 0; i < n; i++)
        to[zo_stage_at(s, i, (size_t)unit)] = (float)(scale * (double)w[i]);
    if (s->has_bias) c->net->params[s->bias + (size_t)unit] = (float)bias;
}

/* Examples of what comes into the stage, equally many of each class as far as they are there, and their features. */
static zo_status take_examples(units *u)
{
    zo_closed *c = u->c;
    const zo_task *t = c->task;
    const zo_examples *part = &t->part[ZO_TRAIN];
    double most = FLOATS_MOST / (double)u->ld;
    int64_t n = most < EXAMPLES_MOST ? (int64_t)most : EXAMPLES_MOST;
    if (n < 64) n = 64;
    int64_t each = (n + t->classes - 1) / t->classes,
            *taken = zo_alloc_zero(c->ctx, (size_t)t->classes, sizeof *taken);
    u->row = zo_alloc(c->ctx, (size_t)n * sizeof *u->row);
    u->features = zo_alloc_zero(c->ctx, (size_t)n * u->ld, sizeof *u->features);
    zo_status status = taken && u->row && u->features ? ZO_OK : ZO_NO_MEMORY;
    for (int64_t r = 0; r < part->n && u->examples < n && !status; r++) {
        if (taken[part->label[zo_closed_place(c, r)]]++ < each) u->row[u->examples++] = r;
    }
    zo_free(c->ctx, taken);
    if (status) return status;
    zo_closed_run(&(zo_closed_rows){.c = c,
                                    .part = ZO_TRAIN,
                                    .to = u->stage,
                                    .n = u->examples,
                                    .out = u->features,
                                    .ld = u->ld,
                                    .row = u->row});
    u->x = u->features;
    return zo_check_cancelled(c->ctx);
}

/* Examples by class. */
static zo_status sort_classes(units *u)
{
    const zo_task *t = u->c->task;
    u->by_class = zo_alloc(t->ctx, (size_t)u->examples * sizeof *u->by_class);
    u->first = zo_alloc_zero(t->ctx, (size_t)t->classes + 2, sizeof *u->first);
    u->with = zo_alloc(t->ctx, (size_t)t->classes * sizeof *u->with);
    if (!u->by_class || !u->first || !u->with) return ZO_NO_MEMORY;
    int64_t at = 0;
    for (int k = 0; k < t->classes; k++) {
        u->first[k] = at;
        for (int64_t i = 0; i < u->examples; i++)
            if (label_of(u, i) == k) u->by_class[at++] = (int32_t)i;
        if (at > u->first[k]) u->with[u->withs++] = k;
    }
    u->first[t->classes] = at;
    return ZO_OK;
}

static zo_status fill_units(zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    const zo_task *t = c->task;
    const zo_examples *part = &t->part[ZO_TRAIN];
    bool raw = stage == 0, classes = is_layer(s, "dense") && c->set.weights != ZO_CLOSED_NORMAL;
    units u = {.c = c, .stage = stage, .raw = raw, .ld = s->rows};
    u.weights = classes ? c->set.weights : ZO_CLOSED_NORMAL;
    u.room = zo_alloc_zero(c->ctx, (size_t)zo_context_threads(c->ctx) * s->rows, sizeof *u.room);
    zo_status status = u.room ? ZO_OK : ZO_NO_MEMORY;
    if (classes && raw) u.x = part->x, u.ld = (size_t)t->stride, u.examples = part->n;
    if (classes && !raw && !status) status = take_examples(&u);
    if (classes && !status) status = sort_classes(&u);
    if (!status) zo_parallel(c->ctx, (int64_t)s->columns, draw_unit, &u);
    double terms = u.weights == ZO_CLOSED_CLASS_SUMS ? SUMMED_MOST : 2;
    c->cost += terms * (double)s->rows * (double)s->columns;
    void *all[] = {u.room, u.row, u.features, u.by_class, u.first, u.with};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

zo_status zo_closed_fill(zo_closed *c, int from)
{
    zo_status status = ZO_OK;
    int scale = zo_closed_next_scale(c, from), end = scale < 0 ? c->last : scale;
    for (int i = from; i < end && c->set.body == ZO_CLOSED_FILL && !status; i++) {
        if (has_units(c, i))
            status = fill_units(c, i);
        else if (from_pca(c, i))
            status = zo_closed_pca(c, i);
        else if (from_patches(c, i))
            status = zo_closed_patches(c, i);
        if (!status) status = zo_check_cancelled(c->ctx);
    }
    return status;
}

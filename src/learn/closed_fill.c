/* The fixed weights of a closed form: random units, possibly of what the classes look like (McDonnell et al. 2015, arXiv 1412.8307), and
 * filters. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed.h"

enum { FIELD_LEAST = 10, SUMMED_MOST = 1000 };

static bool is_layer(const zo_stage *s, const char *name)
{
    return !strcmp(s->layer->info.name, name);
}

static bool has_filters(const zo_stage *s) { return is_layer(s, "conv") || is_layer(s, "patch"); }

zo_status zo_closed_fill_check(const zo_closed *c)
{
    const zo_task *t = c->task;
    const char *name = c->info->name;
    bool raw = c->last > 0 && is_layer(c->net->stage, "dense"), classes = c->set.weights;
    if (c->set.body == ZO_CLOSED_KEEP) return ZO_OK;
    if ((classes || c->set.fields) && !raw)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: %s is for a net that begins with a dense layer before the last one",
                       name, classes ? "weights" : "fields");
    if (classes && !t->classes)
        return zo_fail(c->ctx, ZO_USAGE, "%s: weights of classes need classes: use weights=normal",
                       name);
    if (c->set.fields && t->height < 1)
        return zo_fail(c->ctx, ZO_USAGE, "%s: fields are for images, the task \"%s\" has none",
                       name, t->name);
    return ZO_OK;
}

/* Units of one dense stage. */
typedef struct units {
    const zo_closed *c;
    int stage;
    bool raw;             /* its inputs are those of the net */
    float *room;          /* [workers][rows] */
    int32_t *by_class;    /* [n] places in the training part, class by class; NULL: not needed */
    int64_t *first;       /* [classes + 1] where a class begins there */
    int32_t *with, withs; /* classes that have examples */
} units;

static const float *example_of(const units *u, int64_t at)
{
    const zo_task *t = u->c->task;
    return t->part[ZO_TRAIN].x + (size_t)u->by_class[at] * (size_t)t->stride;
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

static uint32_t side_of(zo_random *r, int most)
{
    uint32_t least = most < FIELD_LEAST ? (uint32_t)most : FIELD_LEAST;
    return least + zo_random_below(r, (uint32_t)most - least + 1);
}

/* Zero outside a random rectangle. */
static void mask(const zo_task *t, zo_random *r, float *w)
{
    uint32_t high = side_of(r, t->height), wide = side_of(r, t->width),
             top = zo_random_below(r, (uint32_t)t->height - high + 1),
             left = zo_random_below(r, (uint32_t)t->width - wide + 1);
    for (uint32_t y = 0; y < (uint32_t)t->height; y++) {
        for (uint32_t x = 0; x < (uint32_t)t->width; x++) {
            bool inside = y >= top && y < top + high && x >= left && x < left + wide;
            for (int k = 0; k < t->channels; k++, w++)
                if (!inside) *w = 0;
        }
    }
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
        if (!u->raw || c->set.weights == ZO_CLOSED_NORMAL)
            for (size_t i = 0; i < n; i++) w[i] = (float)zo_random_normal(&r);
        else if (c->set.weights == ZO_CLOSED_CLASS)
            draw_difference(u, &r, w, n);
        else
            draw_sum(u, unit, &r, w, n);
        if (u->raw && c->set.fields) mask(c->task, &r, w);
        for (size_t i = 0; i < n; i++) square += (double)w[i] * (double)w[i];
    }
    double scale = square > 0 ? 1 / sqrt(square) : 0;
    float *to = c->net->params + s->weight;
    for (size_t i = 0; i < n; i++)
        to[zo_stage_at(s, i, (size_t)unit)] = (float)(scale * (double)w[i]);
    if (s->has_bias)
        c->net->params[s->bias + (size_t)unit] = (float)(c->set.bias * zo_random_normal(&r));
}

/* The training part by class. */
static zo_status sort_classes(units *u)
{
    const zo_task *t = u->c->task;
    const zo_examples *part = &t->part[ZO_TRAIN];
    u->by_class = zo_alloc(t->ctx, (size_t)part->n * sizeof *u->by_class);
    u->first = zo_alloc_zero(t->ctx, (size_t)t->classes + 2, sizeof *u->first);
    u->with = zo_alloc(t->ctx, (size_t)t->classes * sizeof *u->with);
    if (!u->by_class || !u->first || !u->with) return ZO_NO_MEMORY;
    int64_t at = 0;
    for (int k = 0; k < t->classes; k++) {
        u->first[k] = at;
        for (int64_t i = 0; i < part->n; i++)
            if (part->label[i] == k) u->by_class[at++] = (int32_t)i;
        if (at > u->first[k]) u->with[u->withs++] = k;
    }
    u->first[t->classes] = at;
    return ZO_OK;
}

static zo_status fill_dense(zo_closed *c, int stage)
{
    const zo_stage *s = c->net->stage + stage;
    units u = {.c = c, .stage = stage, .raw = stage == 0};
    u.room = zo_alloc_zero(c->ctx, (size_t)zo_context_threads(c->ctx) * s->rows, sizeof *u.room);
    zo_status status = u.room ? ZO_OK : ZO_NO_MEMORY;
    if (!status && u.raw && c->set.weights != ZO_CLOSED_NORMAL) status = sort_classes(&u);
    if (!status) zo_parallel(c->ctx, (int64_t)s->columns, draw_unit, &u);
    double terms = u.raw && c->set.weights == ZO_CLOSED_CLASS_SUMS ? SUMMED_MOST : 2;
    c->cost += terms * (double)s->rows * (double)s->columns;
    void *all[] = {u.room, u.by_class, u.first, u.with};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

static zo_status fill(zo_closed *c)
{
    zo_status status = ZO_OK;
    for (int i = 0; i < c->last && c->set.body == ZO_CLOSED_FILL && !status; i++) {
        const zo_stage *s = c->net->stage + i;
        if (is_layer(s, "dense"))
            status = fill_dense(c, i);
        else if (has_filters(s) && c->set.filters == ZO_CLOSED_PATCHES)
            status = zo_closed_patches(c, i);
        if (!status) status = zo_check_cancelled(c->ctx);
    }
    return status;
}

/* A fill that is stopped leaves the weights as they were: the state is that before the step. */
zo_status zo_closed_fill(zo_closed *c)
{
    size_t bytes = c->net->arena * sizeof(float);
    float *before = zo_alloc(c->ctx, bytes);
    if (!before) return ZO_NO_MEMORY;
    memcpy(before, c->net->params, bytes);
    zo_status status = fill(c);
    if (status) memcpy(c->net->params, before, bytes);
    zo_free(c->ctx, before);
    return status;
}

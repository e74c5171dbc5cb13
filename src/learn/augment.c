#include "learn/augment.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

static const zo_param params[] = {
    ZO_PARAM_INT_ROW(zo_augment_settings, shift, 0, 0, 1024,
                     "images: moved by up to so many pixels, down and across"),
    ZO_PARAM_BOOL_ROW(zo_augment_settings, flip, 0,
                      "images: mirrored left to right, every second one"),
    ZO_PARAM_REAL_ROW(zo_augment_settings, rotate, 0, 0, 180,
                      "images: turned about their centre by up to so many degrees either way"),
    ZO_PARAM_INT_ROW(zo_augment_settings, cutout, 0, 0, 1024,
                     "images: a square of so many pixels a side, anywhere, is set to the mean"),
    ZO_PARAM_END,
};

const zo_class_info *const zo_augment_classes[] = {&zo_augment_info, NULL};

const zo_class_info zo_augment_info = {"augment", "training images change each time they are seen",
                                       "LeCun et al. 1998; DeVries & Taylor 2017, arXiv 1708.04552",
                                       ZO_USES_NOTHING, params};

zo_status zo_augment_init(zo_augment *a, const zo_augment_settings *set, const zo_task *task,
                          uint64_t seed)
{
    *a = (zo_augment){.task = task,
                      .seed = seed,
                      .shift = set->shift,
                      .cutout = set->cutout,
                      .flip = set->flip,
                      .rotate = set->rotate};
    a->any = a->shift || a->cutout || a->flip || a->rotate > 0;
    const char *what = a->shift ? "shift" : a->cutout ? "cutout" : a->flip ? "flip" : "rotate";
    if (!a->any || !task->part[ZO_TRAIN].x) return ZO_OK; /* nothing to change */
    if (task->height < 1)
        return zo_fail(task->ctx, ZO_USAGE, "%s is for images, the task \"%s\" has none", what,
                       task->name);
    a->one_scale = true;
    for (int i = 1; i < task->inputs; i++) a->one_scale &= task->scale[i] == task->scale[0];
    int least = task->height < task->width ? task->height : task->width;
    if (a->shift >= least || a->cutout > least)
        return zo_fail(task->ctx, ZO_USAGE, "%s=%lld is too much for images of %d x %d",
                       a->shift >= least ? "shift" : "cutout",
                       (long long)(a->shift >= least ? a->shift : a->cutout), task->height,
                       task->width);
    return ZO_OK;
}

/* How one image changes. The pixel (y, x) of the result shows the place (y, x) - shift, turned about the centre, mirrored. */
typedef struct change {
    double down, across, cosine, sine;
    bool mirrored;
    int top, left, end_y, end_x; /* of what is cut out */
} change;

static double within(zo_random *r, int64_t most)
{
    return (double)zo_random_below(r, (uint32_t)(2 * most + 1)) - (double)most;
}

/* A square whose centre is anywhere: part of it may lie outside. */
static void cut(const zo_augment *a, zo_random *r, change *c)
{
    int side = (int)a->cutout;
    c->top = (int)zo_random_below(r, (uint32_t)a->task->height) - side / 2;
    c->left = (int)zo_random_below(r, (uint32_t)a->task->width) - side / 2;
    c->end_y = c->top + side, c->end_x = c->left + side;
}

/* Numbers are drawn for what is asked for only, in this order. */
static change draw(const zo_augment *a, int64_t step, int item)
{
    zo_random r = zo_random_at(a->seed, ZO_FOR_AUGMENT, (uint64_t)step, (uint32_t)item);
    change c = {.cosine = 1};
    if (a->shift) c.down = within(&r, a->shift), c.across = within(&r, a->shift);
    if (a->flip) c.mirrored = zo_random_below(&r, 2);
    if (a->rotate > 0) {
        double turn = a->rotate / 360 * (2 * zo_random_uniform(&r) - 1);
        zo_turn64(turn < 0 ? turn + 1 : turn, &c.cosine, &c.sine);
    }
    if (a->cutout) cut(a, &r, &c);
    return c;
}

/* The raw number of channel k at pixel (y, x): 0 outside the image. */
static double raw_at(const zo_task *t, const float *x, double y, double across, int k)
{
    if (y < 0 || across < 0 || y >= t->height || across >= t->width) return 0;
    size_t f = ((size_t)y * (size_t)t->width + (size_t)across) * (size_t)t->channels + (size_t)k;
    return (double)x[f] / (double)t->scale[f] + (double)t->shift[f];
}

/* Between pixels: the four around, by their distance. */
static double sample(const zo_task *t, const float *x, double y, double across, int k)
{
    double top = floor(y), left = floor(across), below = y - top, right = across - left, sum = 0;
    sum += (1 - below) * (1 - right) * raw_at(t, x, top, left, k);
    if (right > 0) sum += (1 - below) * right * raw_at(t, x, top, left + 1, k);
    if (below > 0) sum += below * (1 - right) * raw_at(t, x, top + 1, left, k);
    if (below > 0 && right > 0) sum += below * right * raw_at(t, x, top + 1, left + 1, k);
    return sum;
}

static void pixel(const zo_augment *a, const change *c, const float *x, int y, int across,
                  float *out)
{
    const zo_task *t = a->task;
    double middle_y = (t->height - 1) / 2.0, middle_x = (t->width - 1) / 2.0,
           dy = y - c->down - middle_y, dx = across - c->across - middle_x,
           from_y = c->cosine * dy - c->sine * dx + middle_y,
           from_x = c->sine * dy + c->cosine * dx + middle_x;
    if (c->mirrored) from_x = t->width - 1 - from_x;
    size_t f = ((size_t)y * (size_t)t->width + (size_t)across) * (size_t)t->channels;
    for (int k = 0; k < t->channels; k++, f++) {
        double raw = sample(t, x, from_y, from_x, k);
        out[f] = (float)((raw - (double)t->shift[f]) * (double)t->scale[f]);
    }
}

/* Features of n raw zeros. */
static void clear(const zo_task *t, size_t f, size_t n, float *out)
{
    for (size_t i = f; i < f + n; i++) out[i] = -t->shift[i] * t->scale[i];
}

/* Features f .. of pixels whose raw numbers are those of features `from` .., one pixel after or before the other, in images of one scale: what
 * differs is where a feature's mean lies. */
static void copy(const zo_task *t, const float *x, size_t f, size_t from, size_t pixels, bool back,
                 float *out)
{
    size_t n = (size_t)t->channels, all = pixels * n;
    const float *shift = t->shift, scale = t->scale[0];
    if (!back) {
        for (size_t i = 0; i < all; i++)
            out[f + i] = x[from + i] + (shift[from + i] - shift[f + i]) * scale;
        return;
    }
    for (size_t i = 0; i < pixels; i++, f += n, from -= n) {
        for (size_t k = 0; k < n; k++)
            out[f + k] = x[from + k] + (shift[from + k] - shift[f + k]) * scale;
    }
}

/* Whole pixels, line by line. */
static void move_whole(const zo_augment *a, const change *c, const float *x, float *out)
{
    const zo_task *t = a->task;
    int down = (int)c->down, across = (int)c->across, width = t->width,
        first = across > 0 ? across : 0, end = across < 0 ? width + across : width;
    size_t n = (size_t)t->channels, line = (size_t)width * n;
    for (int y = 0; y < t->height; y++) {
        size_t f = (size_t)y * line, pixels = (size_t)(end - first);
        if (y < down || y - down >= t->height) {
            clear(t, f, line, out);
            continue;
        }
        size_t from = (size_t)(y - down) * line,
               at = (size_t)(c->mirrored ? width - 1 - (first - across) : first - across) * n;
        clear(t, f, (size_t)first * n, out);
        copy(t, x, f + (size_t)first * n, from + at, pixels, c->mirrored, out);
        clear(t, f + (size_t)end * n, (size_t)(width - end) * n, out);
    }
}

static void cut_out(const zo_augment *a, const change *c, float *out)
{
    const zo_task *t = a->task;
    for (int y = c->top > 0 ? c->top : 0; y < c->end_y && y < t->height; y++) {
        int from = c->left > 0 ? c->left : 0, end = c->end_x < t->width ? c->end_x : t->width;
        if (from < end)
            memset(out + (y * t->width + from) * t->channels, 0,
                   (size_t)((end - from) * t->channels) * sizeof *out);
    }
}

void zo_augment_example(const zo_augment *a, int64_t step, int item, const float *x, float *out)
{
    const zo_task *t = a->task;
    change c = draw(a, step, item);
    bool still = !(c.down != 0 || c.across != 0 || c.mirrored || c.sine != 0);
    if (still)
        memcpy(out, x, (size_t)t->inputs * sizeof *out);
    else if (c.sine == 0 && a->one_scale)
        move_whole(a, &c, x, out);
    else
        for (int y = 0; y < t->height; y++) {
            for (int i = 0; i < t->width; i++) pixel(a, &c, x, y, i, out);
        }
    cut_out(a, &c, out);
}

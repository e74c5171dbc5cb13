/* pool, meanpool, global-max, global-mean: the largest or the mean of each window, channel by channel. */
#include <string.h>

#include "nn/window.h"

static const char *finish_shape(zo_stage *s)
{
    const zo_window *v = &s->window;
    size_t c = (size_t)s->in.channels;
    s->out = (zo_shape){(int)v->out_height, (int)v->out_width, (int)c, zo_round16(c)};
    s->cost = 0; /* no multiply-adds */
    return NULL;
}

/* Windows lie side by side unless a stride is given. */
static const char *shape(zo_stage *s, const zo_word *w)
{
    zo_word word = *w;
    if (!word.stride) word.stride = word.number[0];
    const char *why = zo_window_fill(s, &word, (size_t)w->number[0], (size_t)w->number[0]);
    return why ? why : finish_shape(s);
}

static const char *shape_global(zo_stage *s, const zo_word *w)
{
    const char *why = zo_window_fill(s, w, (size_t)s->in.height, (size_t)s->in.width);
    return why ? why : finish_shape(s);
}

static void pool(const zo_kernels *k, const zo_stage *s, const zo_rows *r, bool largest)
{
    for (size_t i = 0; i < r->m; i++)
        k->pool(r->z + i * s->ld_out, r->in + i * r->ld, &s->window, largest);
}

static void forward_max(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                        const float *weight, const float *bias, size_t column, size_t n,
                        const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    pool(k, s, r, true);
}

static void forward_mean(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *weight, const float *bias, size_t column, size_t n,
                         const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    pool(k, s, r, false);
}

/* The part of a window that lies in the image: rows [y, y_end), columns [x, x_end). */
typedef struct part {
    size_t y, y_end, x, x_end;
} part;

static size_t from_edge(size_t at, size_t outside) { return at > outside ? at - outside : 0; }

static part window_at(const zo_window *w, size_t out)
{
    size_t y = out / w->out_width * w->stride, x = out % w->out_width * w->stride;
    part p = {from_edge(y, w->top), from_edge(y + w->height, w->top), from_edge(x, w->left),
              from_edge(x + w->width, w->left)};
    if (p.y_end > w->in_height) p.y_end = w->in_height;
    if (p.x_end > w->in_width) p.x_end = w->in_width;
    return p;
}

/* The errors of one window and channel go to the first of its largest, or in equal parts to all. */
static void share(const zo_window *w, const part *p, const float *in, float e, float *to,
                  bool largest)
{
    size_t best = (p->y * w->in_width + p->x) * w->pitch;
    float each = e / (float)((p->y_end - p->y) * (p->x_end - p->x));
    for (size_t y = p->y; y < p->y_end; y++) {
        for (size_t x = p->x; x < p->x_end; x++) {
            size_t at = (y * w->in_width + x) * w->pitch;
            if (largest)
                best = in[at] > in[best] ? at : best;
            else
                to[at] += each;
        }
    }
    if (largest) to[best] += e;
}

static void backward(const zo_stage *s, size_t m, const float *in, size_t ld, const float *e,
                     float *in_e, bool add, bool largest)
{
    const zo_window *w = &s->window;
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out, in_e += s->ld_in) {
        if (!add) memset(in_e, 0, s->ld_in * sizeof *in_e);
        for (size_t o = 0; o < w->out_height * w->out_width; o++) {
            part p = window_at(w, o);
            for (size_t c = 0; c < w->channels; c++)
                share(w, &p, in + c, e[o * s->out.pitch + c], in_e + c, largest);
        }
    }
}

static void backward_max(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *weight, const float *repacked, size_t m, const float *in,
                         size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked;
    backward(s, m, in, ld, e, in_e, add, true);
}

static void backward_mean(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                          const float *weight, const float *repacked, size_t m, const float *in,
                          size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked;
    backward(s, m, in, ld, e, in_e, add, false);
}

#define POOLS_max ZO_POOLS_LARGEST
#define POOLS_mean ZO_POOLS_MEAN

#define POOL(id, name, summary, kind, ...)                                                         \
    const zo_layer_class zo_layer_##id = {                                                         \
        .info = {name, summary, "", ZO_USES_NOTHING, zo_no_params},                                \
        .forward = forward_##kind,                                                                 \
        .backward = backward_##kind,                                                               \
        .reach = ZO_REACH_WINDOW,                                                                  \
        .pools = POOLS_##kind,                                                                     \
        __VA_ARGS__}

#define WINDOWED                                                                                   \
    .least_numbers = 1, .most_numbers = 1, .most = 1 << 16,                                        \
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE, .gives = ZO_WINDOW_GIVES " x channels",          \
    .shape = shape

POOL(pool, "pool", "poolK: the largest of each K x K window; windows lie side by side, or strideN",
     max, WINDOWED, .example = "pool2");
POOL(meanpool, "meanpool", "meanpoolK: the mean of each K x K window", mean, WINDOWED,
     .example = "meanpool2");
POOL(global_max, "global-max", "the largest of all pixels", max, .gives = "channels",
     .shape = shape_global);
POOL(global_mean, "global-mean", "the mean of all pixels", mean, .gives = "channels",
     .shape = shape_global);

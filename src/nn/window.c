#include "nn/window.h"

#include <string.h>

#include <stdio.h>

static size_t reach(size_t window, size_t dilation) { return (window - 1) * dilation + 1; }

size_t zo_window_rows(const zo_window *w)
{
    return (w->out_height - 1) * w->stride + reach(w->height, w->dilation);
}

size_t zo_window_columns(const zo_window *w)
{
    return (w->out_width - 1) * w->stride + reach(w->width, w->dilation);
}

/* Windows along one side, and how many pixels of the first lie outside. */
static size_t count(size_t size, size_t window, size_t stride, bool same, size_t pad,
                    size_t *outside)
{
    *outside = pad;
    if (!same) return (size + 2 * pad - window) / stride + 1;
    *outside = 0;
    size_t n = (size + stride - 1) / stride, seen = (n - 1) * stride + window;
    if (seen > size) *outside = (seen - size) / 2;
    return n;
}

const char *zo_window_fill(zo_stage *s, const zo_word *w, size_t height, size_t width)
{
    size_t dilation = w->dilation ? (size_t)w->dilation : 1,
           stride = w->stride ? (size_t)w->stride : 1, pad = (size_t)w->pad;
    zo_window *v = &s->window;
    *v = (zo_window){.in_height = (size_t)s->in.height,
                     .in_width = (size_t)s->in.width,
                     .pitch = s->in.pitch,
                     .channels = (size_t)s->in.channels,
                     .height = height,
                     .width = width,
                     .stride = stride,
                     .dilation = dilation};
    size_t down = reach(height, dilation), across = reach(width, dilation);
    if (pad && w->same) return ",same and ,padN exclude each other";
    if (pad && (pad >= down || pad >= across)) return "a window must be larger than its ,padN";
    if (w->same ? down > 2 * v->in_height + 1 || across > 2 * v->in_width + 1
                : down > v->in_height + 2 * pad || across > v->in_width + 2 * pad) {
        snprintf(s->why, sizeof s->why,
                 "a window of %zu x %zu does not fit an image of %d x %d (%d channels)%s", down,
                 across, s->in.height, s->in.width, s->in.channels,
                 s->in.height * s->in.width == 1 ? "; is the input an image?" : "");
        return s->why;
    }
    v->out_height = count(v->in_height, down, stride, w->same, pad, &v->top);
    v->out_width = count(v->in_width, across, stride, w->same, pad, &v->left);
    return NULL;
}

/* Along one side: the outputs that see any of [at, at + n). */
static void reach_side(int at, int n, size_t window, const zo_window *w, size_t outside,
                       size_t outputs, int *first, int *count)
{
    int stride = (int)w->stride, begin = at + (int)outside,
        least = begin - (int)reach(window, w->dilation) + 1, last = (begin + n - 1) / stride;
    *first = least > 0 ? (least + stride - 1) / stride : 0;
    if (last >= (int)outputs) last = (int)outputs - 1;
    *count = last - *first + 1;
}

zo_patch zo_window_reach(const zo_window *w, zo_patch in)
{
    zo_patch out;
    reach_side(in.y, in.height, w->height, w, w->top, w->out_height, &out.y, &out.height);
    reach_side(in.x, in.width, w->width, w, w->left, w->out_width, &out.x, &out.width);
    return out;
}

zo_patch zo_window_extent(const zo_window *w, zo_patch out)
{
    int stride = (int)w->stride;
    return (zo_patch){out.y * stride - (int)w->top, out.x * stride - (int)w->left,
                      (out.height - 1) * stride + (int)reach(w->height, w->dilation),
                      (out.width - 1) * stride + (int)reach(w->width, w->dilation)};
}

zo_patch zo_patch_inside(zo_patch p, const zo_shape *shape)
{
    int y = p.y > 0 ? p.y : 0, x = p.x > 0 ? p.x : 0, down = p.y + p.height, across = p.x + p.width;
    if (down > shape->height) down = shape->height;
    if (across > shape->width) across = shape->width;
    return (zo_patch){y, x, down > y ? down - y : 0, across > x ? across - x : 0};
}

/* The last cell that begins at pixel `at` or before. */
static int cell_of(int at, int size, int cells) { return ((at + 1) * cells - 1) / size; }

static int edge(int cell, int size, int cells) { return (int)((int64_t)cell * size / cells); }

zo_patch zo_grid_reach(const zo_grid *g, zo_patch in)
{
    int y = cell_of(in.y, g->height, g->lines), x = cell_of(in.x, g->width, g->columns);
    return (zo_patch){y, x, cell_of(in.y + in.height - 1, g->height, g->lines) - y + 1,
                      cell_of(in.x + in.width - 1, g->width, g->columns) - x + 1};
}

zo_patch zo_grid_extent(const zo_grid *g, zo_patch out)
{
    int y = edge(out.y, g->height, g->lines), x = edge(out.x, g->width, g->columns);
    return (zo_patch){y, x, edge(out.y + out.height, g->height, g->lines) - y,
                      edge(out.x + out.width, g->width, g->columns) - x};
}

static void each_tap(const zo_stage *s, zo_tap_fn f, const zo_tap_sums *a)
{
    const zo_window *w = &s->window;
    for (size_t o = 0; o < w->out_height * w->out_width; o++) {
        for (size_t t = 0; t < w->height * w->width; t++) {
            size_t y = o / w->out_width * w->stride + t / w->width * w->dilation,
                   x = o % w->out_width * w->stride + t % w->width * w->dilation;
            if (y < w->top || x < w->left || y - w->top >= w->in_height ||
                x - w->left >= w->in_width)
                continue;
            f(s, a, o, (y - w->top) * w->in_width + x - w->left, t);
        }
    }
}

void zo_window_direction(const zo_stage *s, zo_tap_fn f, size_t m, const float *in, size_t ld,
                         const float *e, float *g)
{
    for (size_t i = 0; i < m; i++)
        each_tap(s, f, &(zo_tap_sums){.in = in + i * ld, .e = e + i * s->ld_out, .to = g});
}

void zo_window_backward(const zo_stage *s, zo_tap_fn f, const float *weight, size_t m,
                        const float *e, float *in_e, bool add)
{
    for (size_t i = 0; i < m; i++) {
        zo_tap_sums a = {.e = e + i * s->ld_out, .weight = weight, .to = in_e + i * s->ld_in};
        if (!add) memset(a.to, 0, s->ld_in * sizeof *a.to);
        each_tap(s, f, &a);
    }
}

zo_epilogue zo_window_epilogue(const zo_kernels *k, const zo_stage *s, const zo_rows *r,
                               const float *bias, size_t column, size_t done, size_t pixel)
{
    zo_epilogue e = r->noise ? *r->noise : (zo_epilogue){0};
    size_t row = done * zo_shape_pixels(&s->out) + pixel;
    if (e.signs) e.signs += row * e.ld_signs;
    if (e.noise) e.noise += row * e.ld_noise;
    if (e.lift) e.lift += row * e.rank;
    if (e.factor) e.factor += done * e.rank * e.ld_factor;
    if (e.factor_signs) e.factor_signs += done * e.rank * e.ld_factor / 16;
    e.bias = bias;
    e.pre = r->z && r->z != r->h ? r->z + done * s->ld_out + pixel * s->out.pitch + column : NULL;
    if (s->activation && !zo_stage_grouped(s)) {
        e.activate = zo_stage_activate(k, s);
        e.number = s->number;
    }
    return e;
}

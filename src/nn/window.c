#include "nn/window.h"

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
static size_t count(size_t size, size_t window, size_t stride, bool same, size_t *outside)
{
    *outside = 0;
    if (!same) return (size - window) / stride + 1;
    size_t n = (size + stride - 1) / stride, seen = (n - 1) * stride + window;
    if (seen > size) *outside = (seen - size) / 2;
    return n;
}

const char *zo_window_fill(zo_stage *s, const zo_word *w, size_t height, size_t width)
{
    size_t dilation = w->dilation ? (size_t)w->dilation : 1,
           stride = w->stride ? (size_t)w->stride : 1;
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
    if (w->same ? down > 2 * v->in_height + 1 || across > 2 * v->in_width + 1
                : down > v->in_height || across > v->in_width) {
        snprintf(s->why, sizeof s->why,
                 "a window of %zu x %zu does not fit an image of %d x %d (%d channels)%s", down,
                 across, s->in.height, s->in.width, s->in.channels,
                 s->in.height * s->in.width == 1 ? "; is the input an image?" : "");
        return s->why;
    }
    v->out_height = count(v->in_height, down, stride, w->same, &v->top);
    v->out_width = count(v->in_width, across, stride, w->same, &v->left);
    return NULL;
}

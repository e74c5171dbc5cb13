/* cells: the mean or the largest of each cell of a grid. The image is cut at the whole parts of i H / G and of i W / G, so that cells are
 * disjoint, cover it, and differ by a pixel at most. (PyTorch's adaptive pooling rounds the far edges up: its cells overlap where G does not
 * divide H.)
 */
#include <stdio.h>
#include <string.h>

#include "nn/window.h"

static const char *shape(zo_stage *s, const zo_word *w)
{
    int grid = (int)w->number[0];
    if (grid > s->in.height || grid > s->in.width) {
        snprintf(s->why, sizeof s->why, "a grid of %d x %d does not fit an image of %d x %d%s",
                 grid, grid, s->in.height, s->in.width,
                 s->in.height * s->in.width == 1 ? "; is the input an image?" : "");
        return s->why;
    }
    s->out = s->in;
    s->out.height = s->out.width = grid;
    s->out.pitch = zo_round16((size_t)s->in.channels);
    s->grid =
        (zo_grid){.height = s->in.height, .width = s->in.width, .lines = grid, .columns = grid};
    s->largest = w->max;
    s->cost = 0; /* no multiply-adds */
    return NULL;
}

/* The pixels of cell (y, x) of the stage, from its own first pixel on. */
static zo_patch cell(const zo_stage *s, size_t y, size_t x)
{
    const zo_grid *g = &s->grid;
    zo_patch first = zo_grid_extent(g, (zo_patch){g->y, g->x, 1, 1}),
             p = zo_grid_extent(g, (zo_patch){g->y + (int)y, g->x + (int)x, 1, 1});
    p.y -= first.y, p.x -= first.x;
    return p;
}

static size_t place(const zo_stage *s, const zo_patch *p)
{
    return ((size_t)p->y * (size_t)s->in.width + (size_t)p->x) * s->in.pitch;
}

/* A line of cells. Those that are equally wide lie side by side like the windows of a pooling. */
static void pool_line(const zo_kernels *k, const zo_stage *s, size_t y, const float *in, float *out)
{
    size_t cells = (size_t)s->out.width;
    for (size_t x = 0, n; x < cells; x += n, out += n * s->out.pitch) {
        zo_patch p = cell(s, y, x);
        for (n = 1; x + n < cells && cell(s, y, x + n).width == p.width;) n++;
        zo_window w = {.in_height = (size_t)p.height,
                       .in_width = (size_t)s->in.width,
                       .pitch = s->in.pitch,
                       .channels = (size_t)s->in.channels,
                       .out_height = 1,
                       .out_width = n,
                       .height = (size_t)p.height,
                       .width = (size_t)p.width,
                       .stride = (size_t)p.width,
                       .dilation = 1};
        k->pool(out, in + place(s, &p), &w, s->largest);
    }
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++) {
        for (size_t y = 0; y < (size_t)s->out.height; y++)
            pool_line(k, s, y, r->in + i * r->ld,
                      r->z + i * s->ld_out + y * (size_t)s->out.width * s->out.pitch);
    }
}

/* Adds the errors of cell (y, x), in equal parts, to those of its pixels. */
static void share(const zo_stage *s, zo_patch p, const float *e, float *in_e)
{
    float parts = (float)(p.height * p.width);
    for (int left = p.height; left > 0; left--, p.y++) {
        float *to = in_e + place(s, &p);
        for (int i = 0; i < p.width; i++, to += s->in.pitch) {
            for (size_t c = 0; c < (size_t)s->in.channels; c++) to[c] += e[c] / parts;
        }
    }
}

/* Adds them to those of the first of its largest, channel by channel. */
static void hand_on(const zo_stage *s, zo_patch p, const float *in, const float *e, float *in_e)
{
    size_t first = place(s, &p), line = (size_t)s->in.width * s->in.pitch;
    for (size_t c = 0; c < (size_t)s->in.channels; c++) {
        size_t best = first + c;
        for (size_t y = 0; y < (size_t)p.height; y++) {
            for (size_t x = 0; x < (size_t)p.width; x++) {
                size_t at = first + y * line + x * s->in.pitch + c;
                best = in[at] > in[best] ? at : best;
            }
        }
        in_e[best] += e[c];
    }
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked;
    if (!add) memset(in_e, 0, m * s->ld_in * sizeof *in_e);
    for (size_t i = 0; i < m; i++, in += ld, in_e += s->ld_in) {
        for (size_t y = 0; y < (size_t)s->out.height; y++) {
            for (size_t x = 0; x < (size_t)s->out.width; x++, e += s->out.pitch) {
                if (s->largest)
                    hand_on(s, cell(s, y, x), in, e, in_e);
                else
                    share(s, cell(s, y, x), e, in_e);
            }
        }
    }
}

const zo_layer_class zo_layer_cells = {
    .info = {"cells",
             "cellsG: the mean, or with ,max the largest, of each cell of a G x G grid over the "
             "image, whatever its size",
             "", ZO_USES_NOTHING, zo_no_params},
    .least_numbers = 1,
    .most_numbers = 1,
    .most = 1 << 16,
    .options = ZO_OPTION_MAX,
    .example = "cells4",
    .gives = "G x G x channels",
    .shape = shape,
    .forward = forward,
    .reach = ZO_REACH_CELL,
    .backward = backward,
};

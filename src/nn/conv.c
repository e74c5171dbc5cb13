/* conv: every filter looks at a window of all channels. z = patches W + b, W [height x width x channels of the window][filters]; the patches
 * are read where they lie, and copied nowhere but to surround an image with zeros.
 */
#include <stdio.h>
#include <string.h>

#include "nn/window.h"

#define GROUP_FLOATS                                                                               \
    32768 /* of images that are surrounded by zeros together: they stay in the near caches */
#define GROUP_MOST 16

/* ---- the image as passes read it: where it lies, or a copy with zeros around ---- */

static bool copied(const zo_stage *s)
{
    const zo_window *w = &s->window;
    return w->top || w->left || zo_window_rows(w) > w->in_height ||
           zo_window_columns(w) > w->in_width;
}

/* Floats between pixels and lines of what is read, and floats of it. */
static size_t pitch_read(const zo_stage *s)
{
    return copied(s) ? (size_t)s->in.channels : s->in.pitch;
}

static size_t line_read(const zo_stage *s)
{
    size_t columns = copied(s) ? zo_window_columns(&s->window) : s->window.in_width;
    return columns * pitch_read(s);
}

static size_t image_read(const zo_stage *s)
{
    return copied(s) ? zo_window_rows(&s->window) * line_read(s) : s->ld_in;
}

static size_t group(const zo_stage *s)
{
    size_t n = GROUP_FLOATS / image_read(s);
    return n < 1 ? 1 : n < GROUP_MOST ? n : GROUP_MOST;
}

/* to[rows][columns][c] = the image, zeros around it. */
static void surround(const zo_stage *s, const float *image, float *to)
{
    const zo_window *w = &s->window;
    size_t c = (size_t)s->in.channels, line = line_read(s), rows = zo_window_rows(w),
           columns = zo_window_columns(w);
    memset(to, 0, rows * line * sizeof *to);
    for (size_t y = 0; y < w->in_height && y + w->top < rows; y++) {
        float *into = to + (y + w->top) * line + w->left * c;
        const float *from = image + y * w->in_width * s->in.pitch;
        size_t n = columns - w->left < w->in_width ? columns - w->left : w->in_width;
        if (s->in.pitch == c) {
            memcpy(into, from, n * c * sizeof *to);
            continue;
        }
        for (size_t x = 0; x < n; x++) memcpy(into + x * c, from + x * s->in.pitch, c * sizeof *to);
    }
}

/* ---- shape ---- */

/* Whether the pixels of a line of a window lie side by side. */
static bool joined(const zo_stage *s)
{
    return s->window.dilation == 1 && pitch_read(s) == (size_t)s->in.channels;
}

/* The errors' image of the backward pass: spread by the stride, zeros around; the flipped window runs over it. */
static size_t spread_columns(const zo_stage *s)
{
    const zo_window *w = &s->window;
    return w->left + w->in_width + (w->width - 1) * w->dilation;
}
static size_t spread_rows(const zo_stage *s)
{
    const zo_window *w = &s->window;
    return w->top + w->in_height + (w->height - 1) * w->dilation;
}

/* Runs of a patch, and the entries of the table: of runs, of lines of the outputs, of taps of the backward pass. */
static void refit(zo_stage *s)
{
    const zo_window *w = &s->window;
    size_t c = (size_t)s->in.channels;
    s->tile_rows = joined(s) ? w->width * c : c;
    s->starts = s->rows / s->tile_rows + w->out_height + w->height * w->width;
}

static const char *shape(zo_stage *s, const zo_word *w)
{
    bool square = w->numbers == 2;
    size_t filters = (size_t)w->number[w->numbers - 1];
    const char *why = zo_window_fill(s, w, (size_t)w->number[0], (size_t)w->number[square ? 0 : 1]);
    if (why) return why;
    zo_window *v = &s->window;
    size_t c = (size_t)s->in.channels, taps = v->height * v->width;
    s->out = (zo_shape){(int)v->out_height, (int)v->out_width, (int)filters, zo_round16(filters)};
    s->rows = taps * c;
    s->columns = filters;
    s->has_bias = !w->nobias;
    s->fan_in = (double)s->rows;
    s->fan_out = (double)(taps * filters);
    s->cost = (double)(v->out_height * v->out_width) * (double)s->rows * (double)filters;
    s->tile_examples = 1;
    s->repacked = zo_packed_size(taps * filters, c);
    s->padded = copied(s) ? group(s) * image_read(s) : 0;
    s->spread = spread_rows(s) * spread_columns(s) * filters;
    refit(s);
    return NULL;
}

/* Where the runs of a patch begin; the lines of the outputs; the taps of the backward pass. */
static void place(zo_stage *s)
{
    const zo_window *w = &s->window;
    size_t runs = s->rows / s->tile_rows, across = joined(s) ? 1 : w->width, *to = s->start;
    for (size_t i = 0; i < runs; i++) {
        size_t y = i / across, x = i % across;
        *to++ = y * w->dilation * line_read(s) + x * w->dilation * pitch_read(s);
    }
    for (size_t y = 0; y < w->out_height; y++) *to++ = y * w->stride * line_read(s);
    for (size_t i = 0; i < w->height * w->width; i++) {
        size_t y = i / w->width, x = i % w->width;
        *to++ = (y * spread_columns(s) + x) * w->dilation * (size_t)s->out.channels;
    }
}

/* ---- passes ---- */

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    const zo_window *w = &s->window;
    bool copy = copied(s);
    size_t step = copy ? group(s) : r->m, floats = image_read(s);
    for (size_t i = 0; i < r->m; i += step) {
        size_t m = r->m - i < step ? r->m - i : step;
        for (size_t g = 0; g < m && copy; g++)
            surround(s, r->in + (i + g) * r->ld, room->padded + g * floats);
        zo_operand a = {
            .a = copy ? room->padded : r->in,
            .rows = w->out_width,
            .lines = w->out_height,
            .images = m,
            .row = w->stride * pitch_read(s),
            .line = w->stride * line_read(s),
            .image = copy ? floats : r->ld,
            .runs = s->rows / s->tile_rows,
            .run = s->tile_rows,
            .step = 1,
            .start = s->start,
        };
        zo_epilogue e = zo_window_epilogue(k, s, r, bias, column, i, 0);
        k->product(r->h + i * s->ld_out + column, s->out.pitch, s->ld_out, &a, weight, n, &e);
    }
}

enum { MOVES = 256 }; /* pixels that are updated together */

/* Moves of pixels: a column of the window's taps for each. */
typedef struct pixel_moves {
    const zo_kernels *k;
    const zo_stage *s;
    const float *weight, *z;
    float *h;
    size_t n;
    zo_move move[MOVES];
} pixel_moves;

static void update_pixels(pixel_moves *p)
{
    const zo_stage *s = p->s;
    bool grouped = zo_stage_grouped(s);
    zo_activate_fn f = zo_stage_activate(p->k, s);
    size_t pitch = s->out.pitch;
    p->k->column_update(p->h, pitch, p->move, p->n, p->z, pitch, p->weight, s->rows, s->columns,
                        grouped ? NULL : f, s->number);
    if (grouped) f(p->h, pitch, p->h, pitch, p->n, s->columns, s->number);
    p->h += p->n * pitch;
    p->n = 0;
}

/* The tap of a window that falls on the moved pixel, along one side; -1: none does, the dilated window has a gap there. */
static int tap(int at, size_t outside, int out, const zo_window *w, size_t size)
{
    int from = at + (int)outside - out * (int)w->stride, step = (int)w->dilation;
    return from < 0 || from % step || from / step >= (int)size ? -1 : from / step;
}

static void moved(const zo_kernels *k, const zo_stage *s, const float *weight, const zo_move *moves,
                  size_t m, zo_patch at, zo_patch out, const float *z, float *h)
{
    const zo_window *w = &s->window;
    int c = s->in.channels, pixels = (int)zo_shape_pixels(&s->out);
    pixel_moves p = {.k = k, .s = s, .weight = weight, .z = z, .h = h};
    for (size_t r = 0; r < m; r++) {
        int channel = moves[r].unit % c;
        for (int y = out.y; y < out.y + out.height; y++) {
            int down = tap(at.y, w->top, y, w, w->height);
            int32_t line = moves[r].example * pixels + y * s->out.width;
            for (int x = out.x; x < out.x + out.width; x++) {
                int across = tap(at.x, w->left, x, w, w->width);
                bool seen = down >= 0 && across >= 0;
                int unit = seen ? (down * (int)w->width + across) * c + channel : 0;
                p.move[p.n++] = (zo_move){line + x, unit, seen ? moves[r].change : 0};
                if (p.n == MOVES) update_pixels(&p);
            }
        }
    }
    update_pixels(&p);
}

/* One example: rows are the terms of one run of a patch, terms the pixels of the outputs. */
static zo_operand inputs(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *in, size_t ld, size_t m, size_t l)
{
    (void)k;
    (void)ld, (void)m;
    const zo_window *w = &s->window;
    if (copied(s)) surround(s, in, room->padded);
    return (zo_operand){
        .a = (copied(s) ? room->padded : in) + s->start[l / s->tile_rows],
        .rows = s->tile_rows,
        .lines = 1,
        .images = 1,
        .row = 1,
        .runs = w->out_height,
        .run = w->out_width,
        .step = w->stride * pitch_read(s),
        .start = s->start + s->rows / s->tile_rows,
    };
}

/* ---- reference ---- */

/* [flipped tap x filter][channel] */
static void repack(const zo_kernels *k, const zo_stage *s, const float *weight, float *repacked)
{
    (void)k;
    size_t taps = s->window.height * s->window.width, c = (size_t)s->in.channels, f = s->columns;
    for (size_t t = 0; t < taps; t++) {
        for (size_t i = 0; i < c; i++) {
            size_t panel = i / ZO_PANEL * ZO_PANEL, width = c - panel > 16 ? ZO_PANEL : 16;
            for (size_t j = 0; j < f; j++) {
                repacked[panel * taps * f + ((taps - 1 - t) * f + j) * width + i - panel] =
                    weight[zo_stage_at(s, t * c + i, j)];
            }
        }
    }
}

/* One image of errors, spread by the stride. */
static void spread(const zo_stage *s, const float *e, float *to)
{
    const zo_window *w = &s->window;
    size_t f = s->columns, line = spread_columns(s) * f;
    size_t above = (w->height - 1) * w->dilation, before = (w->width - 1) * w->dilation;
    memset(to, 0, spread_rows(s) * line * sizeof *to);
    for (size_t y = 0; y < w->out_height; y++) {
        for (size_t x = 0; x < w->out_width; x++) {
            size_t row = y * w->stride + above, column = x * w->stride + before;
            if (row >= spread_rows(s) || column >= spread_columns(s)) continue; /* saw zeros only */
            memcpy(to + row * line + column * f, e + (y * w->out_width + x) * s->out.pitch,
                   f * sizeof *to);
        }
    }
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)weight, (void)in, (void)ld;
    const zo_window *w = &s->window;
    size_t f = s->columns, line = spread_columns(s) * f;
    zo_operand a = {
        .a = room->padded + w->top * line + w->left * f,
        .rows = w->in_width,
        .lines = w->in_height,
        .images = 1,
        .row = f,
        .line = line,
        .runs = w->height * w->width,
        .run = f,
        .step = 1,
        .start = s->start + s->rows / s->tile_rows + w->out_height,
    };
    for (size_t i = 0; i < m; i++) {
        spread(s, e + i * s->ld_out, room->padded);
        k->product(in_e + i * s->ld_in, s->in.pitch, 0, &a, repacked, (size_t)s->in.channels,
                   &(zo_epilogue){.accumulate = add});
    }
}

const zo_layer_class zo_layer_conv = {
    .info = {"conv", "convKxN: N filters of K x K (convHxWxN: of H x W) over all channels", "",
             ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 2,
    .most_numbers = 3,
    .most = 1 << 16,
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE | ZO_OPTION_DILATION | ZO_OPTION_NOBIAS,
    .example = "conv5x8 (8 filters of 5 x 5) or conv3x5x8",
    .gives = ZO_WINDOW_GIVES " x N",
    .work = "outputs x window x channels",
    .product = true,
    .shape = shape,
    .place = place,
    .forward = forward,
    .reach = ZO_REACH_WINDOW,
    .refit = refit,
    .moved = moved,
    .inputs = inputs,
    .repack = repack,
    .backward = backward,
};

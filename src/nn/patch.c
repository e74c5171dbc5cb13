/* patch: filters over patches that are made mean 0 and variance 1 first. z = P W + b, where row P of a pixel is (p - mean(p)) / sqrt(variance(p)
 * + eps) of its window p, over all pixels and channels of the window (Coates & Ng 2011). W [height x width x channels][filters], as of conv.
 * What lies outside the image is zeros, and counts as these.
 *
 * P is formed a few lines at a time, transposed, sixteen pixels at once, and multiplied while it is near. That costs about four operations a
 * term where the product costs one a filter, keeps the digits of images far from zero, which a correction of F p by mean(p) sum(F) would
 * lose, and leaves the product's epilogue to noise and activation as elsewhere.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/window.h"

#define CHUNK_FLOATS 16384 /* of P: with a panel of filters it stays in the near caches */
#define TILE_ROWS 112      /* of a direction: full blocks for every kernel */
#define EPSILON 0.01f

/* ---- room: the image in planes, then P ---- */

/* A line of a plane is cut into one part for each remainder of the column by the stride, so that the pixels that one term of neighbouring
 * patches sees lie side by side. */
static size_t part_floats(const zo_window *w)
{
    return zo_round16(w->out_width) + (w->width - 1) / w->stride + 1;
}

/* Parts behind the width of a window are never read. */
static size_t parts(const zo_window *w) { return w->stride < w->width ? w->stride : w->width; }

static size_t line_floats(const zo_window *w) { return parts(w) * part_floats(w); }

static size_t plane_floats(const zo_window *w) { return zo_window_rows(w) * line_floats(w); }

static size_t planes_floats(const zo_stage *s)
{
    return zo_round16((size_t)s->in.channels * plane_floats(&s->window));
}

/* Floats from term to term of P for so many lines; terms must not push each other out of the cache. */
static size_t term_floats(const zo_window *w, size_t lines)
{
    size_t n = lines * zo_round16(w->out_width);
    return n % 256 ? n : n + 16;
}

/* Lines of outputs that are multiplied together. */
static size_t chunk_lines(const zo_stage *s)
{
    size_t n = CHUNK_FLOATS / (s->rows * zo_round16(s->window.out_width));
    return n < 1 ? 1 : n < s->window.out_height ? n : s->window.out_height;
}

/* No less than a chunk takes, and no more for a part of the image than for all of it. */
static size_t chunk_floats(const zo_stage *s)
{
    size_t line = s->rows * zo_round16(s->window.out_width), all = line * s->window.out_height,
           most = line > CHUNK_FLOATS ? line : CHUNK_FLOATS;
    return (most < all ? most : all) + 16 * s->rows;
}

static void refit(zo_stage *s)
{
    const zo_window *w = &s->window;
    size_t chunk = chunk_floats(s), tile = s->tile_rows * term_floats(w, w->out_height);
    s->padded = planes_floats(s) + (chunk > tile ? chunk : tile);
    s->starts = s->rows + w->out_height;
}

static const char *shape(zo_stage *s, const zo_word *w)
{
    size_t filters = (size_t)w->number[w->numbers - 1];
    const char *why =
        zo_window_fill(s, w, (size_t)w->number[0], (size_t)w->number[w->numbers == 2 ? 0 : 1]);
    if (why) return why;
    const zo_window *v = &s->window;
    size_t pixels = v->out_height * v->out_width;
    s->out = (zo_shape){(int)v->out_height, (int)v->out_width, (int)filters, zo_round16(filters)};
    s->rows = v->height * v->width * (size_t)s->in.channels;
    s->columns = filters;
    s->has_bias = !w->nobias;
    s->decimal = w->eps ? (float)((double)w->eps / ZO_MILLION) : EPSILON;
    s->fan_in = (double)s->rows;
    s->fan_out = (double)(v->height * v->width * filters);
    s->form_cost = 4 * (double)pixels * (double)s->rows; /* moments, and numbers made of them */
    s->cost = (double)pixels * (double)s->rows * (double)filters + s->form_cost;
    s->tile_rows = s->rows < TILE_ROWS ? s->rows : TILE_ROWS;
    s->tile_examples = 1;
    s->repacked = zo_packed_size(s->columns, s->rows);
    s->spread = pixels * zo_round16(s->rows);
    refit(s);
    return NULL;
}

/* Where the terms of a patch begin in the planes; where the lines of outputs begin in a term of P. */
static void place(zo_stage *s)
{
    const zo_window *w = &s->window;
    size_t c = (size_t)s->in.channels, *to = s->start;
    for (size_t t = 0; t < s->rows; t++) {
        size_t y = t / c / w->width, x = t / c % w->width;
        *to++ = t % c * plane_floats(w) + y * line_floats(w) + x % w->stride * part_floats(w) +
                x / w->stride;
    }
    for (size_t y = 0; y < w->out_height; y++) *to++ = y * zo_round16(w->out_width);
}

/* ---- passes ---- */

/* One part of a line: every stride-th column from `column` on, one channel of the image's line, zeros around. */
static void fill_part(const zo_stage *s, const float *line, size_t column, float *to)
{
    const zo_window *w = &s->window;
    size_t n = part_floats(w), i = 0;
    for (; i < n && column + i * w->stride < w->left; i++) to[i] = 0;
    for (; i < n && column + i * w->stride < w->left + w->in_width; i++)
        to[i] = line[(column + i * w->stride - w->left) * s->in.pitch];
    for (; i < n; i++) to[i] = 0;
}

static void fill_planes(const zo_stage *s, const float *image, float *to)
{
    const zo_window *w = &s->window;
    for (size_t c = 0; c < (size_t)s->in.channels; c++) {
        for (size_t y = 0; y < zo_window_rows(w); y++, to += line_floats(w)) {
            bool outside = y < w->top || y >= w->top + w->in_height;
            if (outside) {
                memset(to, 0, line_floats(w) * sizeof *to);
                continue;
            }
            const float *line = image + (y - w->top) * w->in_width * s->in.pitch + c;
            for (size_t part = 0; part < parts(w); part++)
                fill_part(s, line, part, to + part * part_floats(w));
        }
    }
}

/* The patches of `lines` lines of outputs from line y on. */
static zo_patches patches_at(const zo_stage *s, const float *planes, size_t y, size_t lines)
{
    size_t line = s->window.stride * line_floats(&s->window);
    return (zo_patches){.image = planes + y * line,
                        .lines = lines,
                        .columns = s->window.out_width,
                        .line = line,
                        .start = s->start,
                        .terms = s->rows};
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    const zo_window *w = &s->window;
    float *planes = room->padded, *p = planes + planes_floats(s);
    size_t step = chunk_lines(s);
    for (size_t i = 0; i < r->m; i++) {
        fill_planes(s, r->in + i * r->ld, planes);
        for (size_t y = 0; y < w->out_height; y += step) {
            size_t lines = w->out_height - y < step ? w->out_height - y : step,
                   term = term_floats(w, lines), pixel = y * w->out_width;
            zo_patches patches = patches_at(s, planes, y, lines);
            k->contrast(p, term, &patches, 0, s->rows, s->decimal);
            zo_operand a = {.a = p,
                            .rows = w->out_width,
                            .lines = lines,
                            .images = 1,
                            .row = 1,
                            .line = zo_round16(w->out_width),
                            .runs = 1,
                            .run = s->rows,
                            .step = term};
            zo_epilogue e = zo_window_epilogue(k, s, r, bias, column, i, pixel);
            k->product(r->h + i * s->ld_out + pixel * s->out.pitch + column, s->out.pitch, 0, &a,
                       weight, n, &e);
        }
    }
}

/* One example: rows are terms of P, terms the pixels of the outputs. */
static zo_operand inputs(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *in, size_t ld, size_t m, size_t l)
{
    (void)ld, (void)m;
    const zo_window *w = &s->window;
    size_t n = s->rows - l < s->tile_rows ? s->rows - l : s->tile_rows,
           term = term_floats(w, w->out_height);
    float *planes = room->padded, *p = planes + planes_floats(s);
    fill_planes(s, in, planes);
    zo_patches patches = patches_at(s, planes, 0, w->out_height);
    k->contrast(p, term, &patches, l, n, s->decimal);
    return (zo_operand){.a = p,
                        .rows = n,
                        .lines = 1,
                        .images = 1,
                        .row = term,
                        .runs = w->out_height,
                        .run = w->out_width,
                        .step = 1,
                        .start = s->start + s->rows};
}

/* ---- reference ---- */

static void repack(const zo_kernels *k, const zo_stage *s, const float *weight, float *repacked)
{
    k->repack(repacked, weight, s->rows, s->columns);
}

/* Where term t of the patch of a pixel lies in the image; false: outside. */
static bool seen(const zo_stage *s, size_t pixel, size_t t, size_t *at)
{
    const zo_window *w = &s->window;
    size_t c = (size_t)s->in.channels, tap = t / c,
           y = pixel / w->out_width * w->stride + tap / w->width,
           x = pixel % w->out_width * w->stride + tap % w->width;
    if (y < w->top || x < w->left || y - w->top >= w->in_height || x - w->left >= w->in_width)
        return false;
    *at = ((y - w->top) * w->in_width + x - w->left) * s->in.pitch + t % c;
    return true;
}

static double value(const zo_stage *s, const float *in, size_t pixel, size_t t)
{
    size_t at;
    return seen(s, pixel, t, &at) ? (double)in[at] : 0;
}

/* As the backward pass of norm: with d the errors of row P, in_e += inverse (d - mean(d) - P mean(d P)). */
static void add_errors(const zo_stage *s, const float *in, size_t pixel, const float *d, float *in_e)
{
    double n = (double)s->rows, mean = 0, square = 0, plain = 0, along = 0;
    for (size_t t = 0; t < s->rows; t++) mean += value(s, in, pixel, t) / n;
    for (size_t t = 0; t < s->rows; t++) {
        double x = value(s, in, pixel, t) - mean;
        square += x * x;
        plain += (double)d[t];
        along += (double)d[t] * x;
    }
    double inverse = 1 / sqrt(square / n + (double)s->decimal);
    for (size_t t = 0; t < s->rows; t++) {
        size_t at;
        if (!seen(s, pixel, t, &at)) continue;
        double x = ((double)in[at] - mean) * inverse;
        in_e[at] += (float)(inverse * ((double)d[t] - plain / n - x * along * inverse / n));
    }
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)weight;
    size_t pixels = zo_shape_pixels(&s->out), width = zo_round16(s->rows);
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out, in_e += s->ld_in) {
        zo_operand a = zo_matrix(e, s->out.pitch, pixels, s->columns);
        k->product(room->padded, width, 0, &a, repacked, s->rows, &(zo_epilogue){0});
        if (!add) memset(in_e, 0, s->ld_in * sizeof *in_e);
        for (size_t p = 0; p < pixels; p++) add_errors(s, in, p, room->padded + p * width, in_e);
    }
}

const zo_layer_class zo_layer_patch = {
    .info = {"patch",
             "patchKxN: N filters of K x K (patchHxWxN: of H x W) over patches made mean 0, "
             "variance 1 (to which eps is added: 0.01); zeros outside the image count",
             "Coates & Ng 2011", ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 2,
    .most_numbers = 3,
    .most = 1 << 16,
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE | ZO_OPTION_PAD | ZO_OPTION_EPS | ZO_OPTION_NOBIAS,
    .example = "patch5x8 (8 filters of 5 x 5) or patch3x5x8",
    .gives = "((H + 2 pad - K)/stride + 1, or H/stride with ,same) x (the same of W) x N",
    .work = "outputs x window x channels, and 4 x window x channels for each place",
    .product = true,
    .shape = shape,
    .place = place,
    .forward = forward,
    .reach = ZO_REACH_WINDOW,
    .refit = refit,
    .cut_room = true,
    .inputs = inputs,
    .repack = repack,
    .backward = backward,
};

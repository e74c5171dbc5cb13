/* eachconv: the same N filters over every channel by itself: channel c gives the outputs c N .. c N + N - 1. Weights [height x width of the
 * window][N], no biases: the second stage of PCANet (Chan et al. 2015, section II.B).
 *
 * A channel's plane, copied out with zeros around it, is an image of one channel whose patches the product kernel reads where they lie. Up
 * to ZO_PANEL filters are one packed panel, so that weights lie as rows here and as a panel there.
 */
#include <string.h>

#include "nn/window.h"

enum {
    CHUNK_FLOATS = 16384
}; /* of outputs of a channel that are multiplied together: they stay in the near caches */

static size_t plane_floats(const zo_window *w) { return zo_window_rows(w) * zo_window_columns(w); }

/* Lines of outputs that are multiplied together. */
static size_t chunk_lines(const zo_stage *s)
{
    size_t n = CHUNK_FLOATS / (s->window.out_width * zo_round16(s->columns));
    return n < 1 ? 1 : n < s->window.out_height ? n : s->window.out_height;
}

/* No less than these take, and no more for a part of the image than for all of it. */
static size_t chunk_floats(const zo_stage *s)
{
    size_t line = s->window.out_width * zo_round16(s->columns), all = line * s->window.out_height,
           most = line > CHUNK_FLOATS ? line : CHUNK_FLOATS;
    return most < all ? most : all;
}

static bool joined(const zo_stage *s) { return s->window.dilation == 1; }

static void refit(zo_stage *s)
{
    const zo_window *w = &s->window;
    s->starts = joined(s) ? w->height : s->rows;
    s->padded = zo_round16(plane_floats(w)) + chunk_floats(s);
}

static const char *shape(zo_stage *s, const zo_word *w)
{
    size_t filters = (size_t)w->number[w->numbers - 1];
    const char *why =
        zo_window_fill(s, w, (size_t)w->number[0], (size_t)w->number[w->numbers == 2 ? 0 : 1]);
    if (why) return why;
    const zo_window *v = &s->window;
    int channels = s->in.channels * (int)filters;
    s->out =
        (zo_shape){(int)v->out_height, (int)v->out_width, channels, zo_round16((size_t)channels)};
    s->rows = v->height * v->width;
    s->columns = filters;
    s->fan_in = (double)s->rows;
    s->fan_out = (double)(s->rows * filters);
    s->cost = (double)(v->out_height * v->out_width) * (double)s->rows * (double)channels;
    refit(s);
    return NULL;
}

/* Where the runs of a patch begin in a plane. */
static void place(zo_stage *s)
{
    const zo_window *w = &s->window;
    size_t across = joined(s) ? 1 : w->width;
    for (size_t i = 0; i < s->starts; i++)
        s->start[i] = (i / across * zo_window_columns(w) + i % across) * w->dilation;
}

/* to[rows][columns] = the channel at `from`, zeros around it. */
static void fill_plane(const zo_stage *s, const float *from, float *to)
{
    const zo_window *w = &s->window;
    size_t rows = zo_window_rows(w), columns = zo_window_columns(w);
    memset(to, 0, rows * columns * sizeof *to);
    for (size_t y = 0; y < w->in_height && y + w->top < rows; y++) {
        float *line = to + (y + w->top) * columns + w->left;
        for (size_t x = 0; x < w->in_width && x + w->left < columns; x++)
            line[x] = from[(y * w->in_width + x) * s->in.pitch];
    }
}

/* Lines [y, y + lines) of what channel c gives. */
static void filter_lines(const zo_kernels *k, const zo_stage *s, const float *plane,
                         const float *weight, size_t c, size_t y, size_t lines, float *room,
                         float *out)
{
    const zo_window *w = &s->window;
    size_t n = s->columns, ld = zo_round16(n), line = w->stride * zo_window_columns(w);
    zo_operand a = {.a = plane + y * line,
                    .rows = w->out_width,
                    .lines = lines,
                    .images = 1,
                    .row = w->stride,
                    .line = line,
                    .runs = s->starts,
                    .run = s->rows / s->starts,
                    .step = 1,
                    .start = s->start};
    k->product(room, ld, 0, &a, weight, n, &(zo_epilogue){0});
    out += y * w->out_width * s->out.pitch + c * n;
    for (size_t i = 0; i < lines * w->out_width; i++)
        memcpy(out + i * s->out.pitch, room + i * ld, n * sizeof *out);
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)bias, (void)column, (void)n;
    const zo_window *w = &s->window;
    float *plane = room->padded, *product = plane + zo_round16(plane_floats(w));
    size_t step = chunk_lines(s);
    for (size_t i = 0; i < r->m; i++) {
        for (size_t c = 0; c < (size_t)s->in.channels; c++) {
            fill_plane(s, r->in + i * r->ld + c, plane);
            for (size_t y = 0; y < w->out_height; y += step)
                filter_lines(k, s, plane, weight, c, y,
                             w->out_height - y < step ? w->out_height - y : step, product,
                             r->z + i * s->ld_out);
        }
    }
}

static void add_weights(const zo_stage *s, const zo_tap_sums *a, size_t out, size_t in, size_t tap)
{
    const float *e = a->e + out * s->out.pitch, *x = a->in + in * s->in.pitch;
    float *g = a->to + tap * zo_round16(s->columns);
    for (size_t c = 0; c < (size_t)s->in.channels; c++, e += s->columns)
        for (size_t j = 0; j < s->columns; j++) g[j] += x[c] * e[j];
}

static void direction(const zo_kernels *k, const zo_stage *s, size_t m, const float *in, size_t ld,
                      const float *e, float *g)
{
    (void)k;
    zo_window_direction(s, add_weights, m, in, ld, e, g);
}

static void add_errors(const zo_stage *s, const zo_tap_sums *a, size_t out, size_t in, size_t tap)
{
    const float *e = a->e + out * s->out.pitch, *weight = a->weight + tap * zo_round16(s->columns);
    float *to = a->to + in * s->in.pitch;
    for (size_t c = 0; c < (size_t)s->in.channels; c++, e += s->columns)
        for (size_t j = 0; j < s->columns; j++) to[c] += weight[j] * e[j];
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)repacked, (void)in, (void)ld;
    zo_window_backward(s, add_errors, weight, m, e, in_e, add);
}

const zo_layer_class zo_layer_eachconv = {
    .info = {"eachconv",
             "eachconvKxN: the same N filters of K x K (eachconvHxWxN: of H x W) over every "
             "channel by itself, without biases",
             "Chan et al. 2015, arXiv 1404.3606", ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 2,
    .most_numbers = 3,
    .most = ZO_PANEL,
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE | ZO_OPTION_DILATION,
    .example = "eachconv7x8 (8 filters of 7 x 7) or eachconv3x5x8",
    .gives = ZO_WINDOW_GIVES " x (channels x N)",
    .work = "outputs x window",
    .shape = shape,
    .place = place,
    .forward = forward,
    .reach = ZO_REACH_WINDOW,
    .refit = refit,
    .cut_room = true,
    .direction = direction,
    .backward = backward,
};

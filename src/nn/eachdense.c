/* eachdense: the same N sums over every group of G channels of every pixel: group g gives the outputs g N .. g N + N - 1. Weights [G][N], no
 * biases. Behind hashhist a group is the histogram of one map in one block; N sums of it are what is left of its 2^B counts.
 */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

static size_t groups_of(const zo_stage *s) { return (size_t)s->in.channels / s->rows; }

/* Rows of an example: groups of pixels. */
static void refit(zo_stage *s)
{
    s->padded = zo_shape_pixels(&s->out) * groups_of(s) * zo_round16(s->columns);
}

static const char *shape(zo_stage *s, const zo_word *w)
{
    int group = (int)w->number[0], n = (int)w->number[1];
    if (s->in.channels % group) {
        snprintf(s->why, sizeof s->why, "%d channels come in, which are no groups of %d",
                 s->in.channels, group);
        return s->why;
    }
    int channels = s->in.channels / group * n;
    s->out = s->in;
    s->out.channels = channels;
    s->out.pitch = zo_round16((size_t)channels);
    s->rows = (size_t)group;
    s->columns = (size_t)n;
    s->fan_in = (double)group;
    s->fan_out = (double)n;
    s->cost = (double)zo_shape_pixels(&s->in) * (double)s->in.channels * (double)n;
    refit(s);
    return NULL;
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)bias, (void)column, (void)n;
    size_t pixels = zo_shape_pixels(&s->in), groups = groups_of(s), ld = zo_round16(s->columns);
    for (size_t i = 0; i < r->m; i++) {
        zo_operand a = {.a = r->in + i * r->ld,
                        .rows = groups,
                        .lines = pixels,
                        .images = 1,
                        .row = s->rows,
                        .line = s->in.pitch,
                        .runs = 1,
                        .run = s->rows,
                        .step = 1};
        k->product(room->padded, ld, 0, &a, weight, s->columns, &(zo_epilogue){0});
        const float *from = room->padded;
        for (size_t p = 0; p < pixels; p++) {
            float *to = r->z + i * s->ld_out + p * s->out.pitch;
            for (size_t g = 0; g < groups; g++, from += ld, to += s->columns)
                memcpy(to, from, s->columns * sizeof *to);
        }
    }
}

static void direction(const zo_kernels *k, const zo_stage *s, size_t m, const float *in, size_t ld,
                      const float *e, float *g)
{
    (void)k;
    size_t ldg = zo_round16(s->columns);
    for (size_t at = 0; at < m * zo_shape_pixels(&s->in); at++) {
        size_t i = at / zo_shape_pixels(&s->in), p = at % zo_shape_pixels(&s->in);
        const float *x = in + i * ld + p * s->in.pitch,
                    *error = e + i * s->ld_out + p * s->out.pitch;
        for (size_t group = 0; group < groups_of(s); group++, x += s->rows, error += s->columns)
            for (size_t l = 0; l < s->rows; l++)
                for (size_t j = 0; j < s->columns; j++) g[l * ldg + j] += x[l] * error[j];
    }
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)repacked, (void)in, (void)ld;
    size_t ldw = zo_round16(s->columns);
    if (!add) memset(in_e, 0, m * s->ld_in * sizeof *in_e);
    for (size_t at = 0; at < m * zo_shape_pixels(&s->in); at++) {
        size_t i = at / zo_shape_pixels(&s->in), p = at % zo_shape_pixels(&s->in);
        float *to = in_e + i * s->ld_in + p * s->in.pitch;
        const float *error = e + i * s->ld_out + p * s->out.pitch;
        for (size_t group = 0; group < groups_of(s); group++, to += s->rows, error += s->columns)
            for (size_t l = 0; l < s->rows; l++)
                for (size_t j = 0; j < s->columns; j++) to[l] += weight[l * ldw + j] * error[j];
    }
}

const zo_layer_class zo_layer_eachdense = {
    .info = {"eachdense",
             "eachdenseGxN: the same N sums over every group of G channels of a pixel, without "
             "biases",
             "", ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 2,
    .most_numbers = 2,
    .most = ZO_PANEL, /* rows of weights are then a packed panel too */
    .example = "eachdense256x16",
    .gives = "H x W x (channels/G x N)",
    .work = "channels x N for each pixel",
    .shape = shape,
    .forward = forward,
    .reach = ZO_REACH_PIXEL,
    .refit = refit,
    .cut_room = true,
    .direction = direction,
    .backward = backward,
};

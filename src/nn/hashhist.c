/* hashhist: the signs of N channels are the binary digits of a code, and each block of pixels gives the counts of all 2^N codes: binary hashing
 * and block-wise histograms of PCANet (Chan et al. 2015, section II.C). Channels come in groups of N; digit i, worth 2^i, is 1 where channel i of the
 * group is above 0. Of the outputs of a block, code k of group g is channel g 2^N + k.
 *
 * A NaN has no sign: its code counts as NaN at 0, so that divergence is not hidden.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/window.h"

enum { DIGITS_MOST = 12, CHANNELS_MOST = 1 << 22 };

static void refit(zo_stage *s)
{
    const zo_window *w = &s->window;
    s->padded = zo_round16(w->in_height * w->in_width * (size_t)s->in.channels / s->digits);
}

/* Blocks lie side by side unless a stride is given. */
static const char *shape(zo_stage *s, const zo_word *w)
{
    zo_word word = *w;
    int n = (int)w->number[1], groups = s->in.channels / n;
    if (!word.stride) word.stride = word.number[0];
    if (s->in.channels % n) {
        snprintf(s->why, sizeof s->why,
                 "%d channels come in, which are no groups of %d: each is a code of %d digits",
                 s->in.channels, n, n);
        return s->why;
    }
    if (groups > CHANNELS_MOST >> n) return "too large for a layer";
    const char *why = zo_window_fill(s, &word, (size_t)w->number[0], (size_t)w->number[0]);
    if (why) return why;
    const zo_window *v = &s->window;
    size_t c = (size_t)groups << n;
    s->out = (zo_shape){(int)v->out_height, (int)v->out_width, (int)c, zo_round16(c)};
    s->digits = (size_t)n;
    s->cost = 0; /* no multiply-adds */
    refit(s);
    return NULL;
}

static float code_of(const float *z, size_t n)
{
    unsigned code = 0;
    bool numbers = true;
    for (size_t i = 0; i < n; i++) {
        code |= (unsigned)(z[i] > 0) << i;
        numbers &= !isnan(z[i]);
    }
    return numbers ? (float)code : NAN;
}

/* code[pixels][groups] */
static void hash(const zo_stage *s, const float *in, float *code)
{
    size_t n = s->digits, groups = (size_t)s->in.channels / n;
    for (size_t p = 0; p < s->window.in_height * s->window.in_width; p++, in += s->in.pitch)
        for (size_t g = 0; g < groups; g++) *code++ = code_of(in + g * n, n);
}

/* out[groups][2^n] += what a line of pixels of a block has. */
static void count_line(const zo_stage *s, const float *code, size_t pixels, float *out)
{
    size_t n = s->digits, groups = (size_t)s->in.channels / n;
    for (size_t i = 0; i < pixels; i++) {
        for (size_t g = 0; g < groups; g++, code++) {
            float *bin = out + (g << n);
            if (isnan(*code))
                *bin = *code;
            else
                bin[(size_t)*code]++;
        }
    }
}

/* The first and last + 1 place inside the image of a block that begins at `at`, of which `outside` lie before it. */
static size_t inside(size_t at, size_t outside, size_t size, size_t length, size_t *end)
{
    *end = at + size > outside ? at + size - outside : 0;
    if (*end > length) *end = length;
    return at > outside ? at - outside : 0;
}

static void count(const zo_stage *s, const float *code, float *out)
{
    const zo_window *w = &s->window;
    size_t groups = (size_t)s->in.channels / s->digits;
    memset(out, 0, s->ld_out * sizeof *out);
    for (size_t b = 0; b < w->out_height * w->out_width; b++, out += s->out.pitch) {
        size_t down, across,
            y = inside(b / w->out_width * w->stride, w->top, w->height, w->in_height, &down),
            x = inside(b % w->out_width * w->stride, w->left, w->width, w->in_width, &across);
        for (; y < down && x < across; y++)
            count_line(s, code + (y * w->in_width + x) * groups, across - x, out);
    }
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)k, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++) {
        hash(s, r->in + i * r->ld, room->padded);
        count(s, room->padded, r->z + i * s->ld_out);
    }
}

const zo_layer_class zo_layer_hashhist = {
    .info =
        {"hashhist",
         "hashhistKxN: the signs of N channels are a code of N binary digits; how often each of "
         "the 2^N codes is in each K x K block of pixels; blocks lie side by side, or strideN",
         "Chan et al. 2015, arXiv 1404.3606", ZO_USES_NOTHING, zo_no_params},
    .least_numbers = 2,
    .most_numbers = 2,
    .most = DIGITS_MOST,
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE,
    .example = "hashhist7x8",
    .gives = ZO_WINDOW_GIVES " x (channels/N x 2^N)",
    .jumps = true,
    .shape = shape,
    .forward = forward,
    .reach = ZO_REACH_WINDOW,
    .refit = refit,
    .cut_room = true,
};

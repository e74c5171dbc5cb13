/* flatten: the numbers of an image as one row; it copies only where pixels have pads. image: a row as an image. spread, pixels with pads, has no
 * word: it stands between a network's inputs and a layer that takes them so. */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

static const char *shape_flat(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = (zo_shape){1, 1, s->inputs, zo_round16((size_t)s->inputs)};
    return NULL;
}

static const char *shape_spread(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = s->in;
    s->out.pitch = zo_round16((size_t)s->in.channels);
    return NULL;
}

static const char *shape_image(zo_stage *s, const zo_word *w)
{
    int64_t height = w->number[0], width = w->number[w->numbers - 1];
    if (s->inputs % (height * width)) {
        snprintf(s->why, sizeof s->why, "%d numbers are no image of %lld x %lld pixels", s->inputs,
                 (long long)height, (long long)width);
        return s->why;
    }
    int channels = (int)(s->inputs / (height * width));
    s->out = (zo_shape){(int)height, (int)width, channels, zo_round16((size_t)channels)};
    return NULL;
}

/* Pixels of c numbers from rows of `from` floats to rows of `to` floats. */
static void copy(float *out, size_t to, const float *in, size_t from, size_t pixels, size_t c,
                 bool add)
{
    for (size_t p = 0; p < pixels; p++) {
        for (size_t j = 0; j < c; j++)
            out[p * to + j] = add ? out[p * to + j] + in[p * from + j] : in[p * from + j];
    }
}

/* The pixels that move, and how many floats apart they lie on both sides. */
typedef struct plan {
    size_t pixels, channels, in, out;
} plan;

extern const zo_layer_class zo_layer_image;

/* Numbers that are to be an image lie without gaps, but may have been other pixels: inputs of a network, or pixels of 16 channels. */
static plan plan_of(const zo_stage *s)
{
    size_t from = (size_t)s->in.channels, to = (size_t)s->out.channels;
    if (s->layer == &zo_layer_image) return (plan){zo_shape_pixels(&s->out), to, to, s->out.pitch};
    return (plan){zo_shape_pixels(&s->in), from, s->in.pitch,
                  zo_shape_pixels(&s->out) == 1 ? from : s->out.pitch};
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)k, (void)room, (void)weight, (void)bias, (void)column, (void)n;
    plan p = plan_of(s);
    for (size_t i = 0; i < r->m; i++)
        copy(r->z + i * s->ld_out, p.out, r->in + i * r->ld, p.in, p.pixels, p.channels, false);
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked, (void)in, (void)ld;
    plan p = plan_of(s);
    for (size_t i = 0; i < m; i++)
        copy(in_e + i * s->ld_in, p.in, e + i * s->ld_out, p.out, p.pixels, p.channels, add);
}

const zo_layer_class zo_layer_flatten = {
    .info = {"flatten", "the numbers of an image as one row: lines, pixels, channels", "",
             ZO_USES_NOTHING, zo_no_params},
    .gives = "inputs",
    .copies = true,
    .shape = shape_flat,
    .forward = forward,
    .backward = backward,
};

const zo_layer_class zo_layer_image = {
    .info = {"image", "imageHxW: a row of numbers as an image of lines, pixels, channels", "",
             ZO_USES_NOTHING, zo_no_params},
    .least_numbers = 1,
    .most_numbers = 2,
    .most = 1 << 12,
    .example = "image4x4",
    .gives = "H x W x inputs / (H W)",
    .flat = true,
    .shape = shape_image,
    .forward = forward,
    .backward = backward,
};

const zo_layer_class zo_layer_spread = {
    .info = {"spread", "pixels with pads", "", ZO_USES_NOTHING, zo_no_params},
    .shape = shape_spread,
    .forward = forward,
    .backward = backward,
};

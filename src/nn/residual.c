/* Blocks. { ... }+: what comes into a block is added to what comes out of it. { ... }cat: the channels of what comes in, and behind them those
 * of what comes out.
 */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

static const char *bad_block(zo_stage *s, const char *must)
{
    const zo_shape *in = &s->in, *into = &s->other;
    snprintf(s->why, sizeof s->why, "the block makes %d x %d x %d of %d x %d x %d; %s", in->height,
             in->width, in->channels, into->height, into->width, into->channels, must);
    return s->why;
}

static bool same_pixels(const zo_stage *s)
{
    return s->in.height == s->other.height && s->in.width == s->other.width;
}

/* ---- }+ ---- */

static const char *shape_add(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = s->in;
    if (!same_pixels(s) || s->in.channels != s->other.channels || s->in.pitch != s->other.pitch)
        return bad_block(s, "a block that is added must keep the shape");
    return NULL;
}

/* What came into the block of row i. */
static const float *other_of(const zo_stage *s, const zo_rows *r, size_t i)
{
    return r->other + (r->example ? (size_t)r->example[i] : i) * s->ld_other;
}

static void forward_add(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                        const float *weight, const float *bias, size_t column, size_t n,
                        const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++)
        k->add(r->z + i * s->ld_out, r->in + i * r->ld, other_of(s, r, i), s->ld_out);
}

static void backward_add(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *weight, const float *repacked, size_t m, const float *in,
                         size_t ld, const float *e, float *in_e, bool add)
{
    (void)room, (void)weight, (void)repacked, (void)in, (void)ld;
    if (add)
        k->add(in_e, in_e, e, m * s->ld_out);
    else
        memcpy(in_e, e, m * s->ld_out * sizeof *e);
}

static void past_add(const zo_kernels *k, const zo_stage *s, size_t m, const float *e,
                     float *other_e)
{
    k->add(other_e, other_e, e, m * s->ld_out);
}

/* ---- }cat ---- */

static const char *shape_cat(zo_stage *s, const zo_word *w)
{
    (void)w;
    if (!same_pixels(s))
        return bad_block(s, "a block that is concatenated must keep height and width; flatten "
                            "before { makes one pixel");
    s->out = s->in;
    s->out.channels += s->other.channels;
    s->out.pitch = zo_round16((size_t)s->out.channels);
    return NULL;
}

static void forward_cat(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                        const float *weight, const float *bias, size_t column, size_t n,
                        const zo_rows *r)
{
    (void)k, (void)room, (void)weight, (void)bias, (void)column, (void)n;
    size_t before = (size_t)s->other.channels, c = (size_t)s->in.channels;
    for (size_t i = 0; i < r->m; i++) {
        const float *other = other_of(s, r, i), *in = r->in + i * r->ld;
        float *to = r->z + i * s->ld_out;
        for (size_t p = 0; p < zo_shape_pixels(&s->out); p++, to += s->out.pitch) {
            memcpy(to, other + p * s->other.pitch, before * sizeof *to);
            memcpy(to + before, in + p * s->in.pitch, c * sizeof *to);
        }
    }
}

/* to = (or +=) channels [first, first + channels of `shape`) of e; `ld`: floats of an example of `to`. */
static void take_channels(const zo_stage *s, size_t m, const float *e, size_t first, float *to,
                          const zo_shape *shape, size_t ld, bool add)
{
    for (size_t i = 0; i < m; i++, e += s->ld_out, to += ld) {
        for (size_t p = 0; p < zo_shape_pixels(shape); p++) {
            const float *from = e + p * s->out.pitch + first;
            float *into = to + p * shape->pitch;
            for (size_t j = 0; j < (size_t)shape->channels; j++)
                into[j] = add ? into[j] + from[j] : from[j];
        }
    }
}

static void backward_cat(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *weight, const float *repacked, size_t m, const float *in,
                         size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked, (void)in, (void)ld;
    take_channels(s, m, e, (size_t)s->other.channels, in_e, &s->in, s->ld_in, add);
}

static void past_cat(const zo_kernels *k, const zo_stage *s, size_t m, const float *e,
                     float *other_e)
{
    (void)k;
    take_channels(s, m, e, 0, other_e, &s->other, s->ld_other, true);
}

const zo_layer_class zo_layer_open = {
    .info = {"{", "begins a block that }+ or }cat ends", "", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_LAYER_OPEN,
};

const zo_layer_class zo_layer_residual = {
    .info = {"}+", "ends a block: adds what came into it to what comes out",
             "He et al. 2016, arXiv 1512.03385", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .reach = ZO_REACH_PIXEL,
    .shape = shape_add,
    .forward = forward_add,
    .backward = backward_add,
    .past = past_add,
};

const zo_layer_class zo_layer_concatenate = {
    .info = {"}cat", "ends a block: the channels of what came into it, then those of what comes out",
             "Huang et al. 2017, arXiv 1608.06993", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .gives = "H x W x (channels before the block + channels at its end)",
    .reach = ZO_REACH_PIXEL,
    .shape = shape_cat,
    .forward = forward_cat,
    .backward = backward_cat,
    .past = past_cat,
};

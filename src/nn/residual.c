/* Blocks. { B }+: what comes into a block is added to what comes out of it. { B }cat: the channels of what comes in, and behind them those
 * of what comes out. { A | B }+ and { A | B }cat: the same with what comes out of A, a first branch, instead of what comes in; both
 * branches take what comes in.
 */
#include <stdio.h>
#include <string.h>

#include "nn/layer.h"

static const char *bad_block(zo_stage *s, const char *block_must, const char *branches_must)
{
    const zo_shape *in = &s->in, *other = &s->other;
    if (s->branched)
        snprintf(s->why, sizeof s->why,
                 "the branches make %d x %d x %d and %d x %d x %d; branches that are %s",
                 other->height, other->width, other->channels, in->height, in->width, in->channels,
                 branches_must);
    else
        snprintf(s->why, sizeof s->why,
                 "the block makes %d x %d x %d of %d x %d x %d; a block that is %s", in->height,
                 in->width, in->channels, other->height, other->width, other->channels, block_must);
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
        return bad_block(s, "added must keep the shape", "added must make the same shape");
    return NULL;
}

/* The second tensor of row i. */
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
        return bad_block(s,
                         "concatenated must keep height and width; flatten before { makes one "
                         "pixel",
                         "concatenated must make the same height and width; flatten at their end "
                         "makes one pixel");
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

/* ---- | ---- */

static const char *shape_branch(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = s->other;
    return NULL;
}

static void forward_branch(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                           const float *weight, const float *bias, size_t column, size_t n,
                           const zo_rows *r)
{
    (void)k, (void)room, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++)
        memcpy(r->z + i * s->ld_out, other_of(s, r, i), s->ld_out * sizeof *r->z);
}

/* The first branch has its errors from the end of the block alone. */
static void backward_branch(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                            const float *weight, const float *repacked, size_t m, const float *in,
                            size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked, (void)in, (void)ld, (void)e;
    if (!add) memset(in_e, 0, m * s->ld_in * sizeof *in_e);
}

const zo_layer_class zo_layer_open = {
    .info = {"{", "begins a block that }+ or }cat ends", "", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_LAYER_OPEN,
};

/* `reach`: a patch of the first branch ends here, for nothing of the second depends on it. */
const zo_layer_class zo_layer_branch = {
    .info = {"|",
             "begins the second branch of a block, which takes what came into the block again: "
             "{ A | B }+ gives A + B, { A | B }cat the channels of A, then those of B; each branch "
             "has a layer at least, and more branches nest: { { A | B }+ | C }+",
             "Szegedy et al. 2015, arXiv 1409.4842", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .branches = true,
    .gives = "what came into the block",
    .reach = ZO_REACH_ALL,
    .shape = shape_branch,
    .forward = forward_branch,
    .backward = backward_branch,
    .past = past_add,
};

const zo_layer_class zo_layer_residual = {
    .info = {"}+",
             "ends a block: adds what came into it, or out of its first branch, to what comes out",
             "He et al. 2016, arXiv 1512.03385", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .reach = ZO_REACH_PIXEL,
    .shape = shape_add,
    .forward = forward_add,
    .backward = backward_add,
    .past = past_add,
};

const zo_layer_class zo_layer_concatenate = {
    .info = {"}cat",
             "ends a block: the channels of what came into it, or out of its first branch, then "
             "those of what comes out",
             "Huang et al. 2017, arXiv 1608.06993", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .gives = "H x W x (channels before the block, or of its first branch + channels at its end)",
    .reach = ZO_REACH_PIXEL,
    .shape = shape_cat,
    .forward = forward_cat,
    .backward = backward_cat,
    .past = past_cat,
};

/* { ... }+: what comes into a block is added to what comes out of it. */
#include <string.h>

#include "nn/layer.h"

static const char *shape(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = s->in;
    return NULL;
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++) {
        size_t other = r->example ? (size_t)r->example[i] : i;
        k->add(r->z + i * s->ld_out, r->in + i * r->ld, r->other + other * s->ld_out, s->ld_out);
    }
}

/* The way through the block; that past it is zo_backward()'s. */
static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)room, (void)weight, (void)repacked, (void)in, (void)ld;
    if (add)
        k->add(in_e, in_e, e, m * s->ld_out);
    else
        memcpy(in_e, e, m * s->ld_out * sizeof *e);
}

const zo_layer_class zo_layer_open = {
    .info = {"{", "begins a block that }+ ends", "", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_LAYER_OPEN,
};

const zo_layer_class zo_layer_residual = {
    .info = {"}+", "ends a block: adds what came into it to what comes out",
             "He et al. 2016, arXiv 1512.03385", ZO_USES_NOTHING, zo_no_params},
    .residual = true,
    .reach = ZO_REACH_PIXEL,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};

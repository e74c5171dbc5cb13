/* twosided: what of x is above the threshold t, and what of -x: two channels for one, max(x - t, 0) of all of them and then
 * max(-x - t, 0). A filter and its negative are then two features, and small responses none (Coates & Ng 2011).
 */
#include "nn/layer.h"

static const char *shape(zo_stage *s, const zo_word *w)
{
    (void)w;
    s->out = s->in;
    s->out.channels *= 2;
    s->out.pitch = zo_round16((size_t)s->out.channels);
    return NULL;
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)room, (void)weight, (void)bias, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++)
        k->two_sided(r->z + i * s->ld_out, s->out.pitch, r->in + i * r->ld, s->in.pitch,
                     zo_shape_pixels(&s->in), (size_t)s->in.channels, s->decimal);
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)weight, (void)repacked;
    size_t c = (size_t)s->in.channels;
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out, in_e += s->ld_in) {
        for (size_t p = 0; p < zo_shape_pixels(&s->in); p++) {
            const float *x = in + p * s->in.pitch, *up = e + p * s->out.pitch, *down = up + c;
            float *to = in_e + p * s->in.pitch;
            for (size_t j = 0; j < c; j++) {
                float error = x[j] > s->decimal ? up[j] : -x[j] > s->decimal ? -down[j] : 0;
                to[j] = add ? to[j] + error : error;
            }
        }
    }
}

const zo_layer_class zo_layer_twosided = {
    .info = {"twosided", "twosidedT: max(x - T, 0) of all channels, then max(-x - T, 0) of all",
             "Coates & Ng 2011", ZO_USES_NOTHING, zo_no_params},
    .decimal = true,
    .most = 1000,
    .example = "twosided0.25",
    .gives = "H x W x 2 channels",
    .padded = true,
    .shape = shape,
    .forward = forward,
    .reach = ZO_REACH_PIXEL,
    .backward = backward,
};

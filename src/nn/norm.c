/* norm and scale: gain x + shift for each channel, norm after it made mean 0 and variance 1 over all numbers of the example. */
#include <math.h>

#include "nn/layer.h"

static const char *shape(zo_stage *s, const zo_word *w)
{
    s->out = s->in;
    s->out.pitch = zo_round16((size_t)s->in.channels);
    s->rows = 1;
    s->columns = (size_t)s->in.channels;
    s->has_bias = !w->nobias;
    s->cost = s->inputs;
    return NULL;
}

static const char *shape_norm(zo_stage *s, const zo_word *w)
{
    shape(s, w);
    s->cost = 4.0 * s->inputs; /* two sums, two multiply-adds */
    return NULL;
}

static void forward_norm(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *weight, const float *bias, size_t column, size_t n,
                         const zo_rows *r)
{
    (void)room, (void)column;
    for (size_t i = 0; i < r->m; i++)
        k->normalise(r->z + i * s->ld_out, s->out.pitch, r->in + i * r->ld, s->out.pitch,
                     zo_shape_pixels(&s->in), n, weight, bias, NULL);
}

static void forward_scale(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                          const float *weight, const float *bias, size_t column, size_t n,
                          const zo_rows *r)
{
    (void)room, (void)column;
    for (size_t i = 0; i < r->m; i++)
        k->scale(r->z + i * s->ld_out, s->out.pitch, r->in + i * r->ld, s->out.pitch,
                 zo_shape_pixels(&s->in), n, weight, bias);
}

/* Mean and 1 / deviation of an example as the kernel has them. */
static void moments_of(const zo_stage *s, const float *in, double *mean, double *inverse)
{
    size_t pixels = zo_shape_pixels(&s->in), c = s->columns;
    double sum = 0, square = 0;
    for (size_t p = 0; p < pixels; p++) {
        for (size_t j = 0; j < c; j++) sum += (double)in[p * s->out.pitch + j];
    }
    *mean = sum / (double)(pixels * c);
    for (size_t p = 0; p < pixels; p++) {
        for (size_t j = 0; j < c; j++) {
            double d = (double)in[p * s->out.pitch + j] - *mean;
            square += d * d;
        }
    }
    *inverse = 1 / sqrt(square / (double)(pixels * c) + 1e-5);
}

static void direction_norm(const zo_kernels *k, const zo_stage *s, size_t m, const float *in,
                           size_t ld, const float *e, float *g)
{
    (void)k;
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out) {
        double mean, inverse;
        moments_of(s, in, &mean, &inverse);
        for (size_t p = 0; p < zo_shape_pixels(&s->in); p++) {
            for (size_t j = 0; j < s->columns; j++) {
                size_t at = p * s->out.pitch + j;
                g[j] += (float)(((double)in[at] - mean) * inverse) * e[at];
            }
        }
    }
}

static void direction_scale(const zo_kernels *k, const zo_stage *s, size_t m, const float *in,
                            size_t ld, const float *e, float *g)
{
    (void)k;
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out) {
        for (size_t p = 0; p < zo_shape_pixels(&s->in); p++) {
            for (size_t j = 0; j < s->columns; j++)
                g[j] += in[p * s->out.pitch + j] * e[p * s->out.pitch + j];
        }
    }
}

/* With d = gain x e and x' the normalised input: in_e = inverse x (d - mean(d) - x' mean(d x')) (Ba et al. 2016). */
static void backward_norm(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                          const float *weight, const float *repacked, size_t m, const float *in,
                          size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)repacked;
    size_t pixels = zo_shape_pixels(&s->in), c = s->columns;
    for (size_t i = 0; i < m; i++, in += ld, e += s->ld_out, in_e += s->ld_in) {
        double mean, inverse, plain = 0, along = 0, n = (double)(pixels * c);
        moments_of(s, in, &mean, &inverse);
        for (size_t p = 0; p < pixels; p++) {
            for (size_t j = 0; j < c; j++) {
                size_t at = p * s->out.pitch + j;
                double d = (double)weight[j] * (double)e[at];
                plain += d;
                along += d * ((double)in[at] - mean) * inverse;
            }
        }
        for (size_t p = 0; p < pixels; p++) {
            for (size_t j = 0; j < c; j++) {
                size_t at = p * s->out.pitch + j;
                double d = (double)weight[j] * (double)e[at], x = ((double)in[at] - mean) * inverse;
                float error = (float)(inverse * (d - plain / n - x * along / n));
                in_e[at] = add ? in_e[at] + error : error;
            }
        }
    }
}

static void backward_scale(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                           const float *weight, const float *repacked, size_t m, const float *in,
                           size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)repacked, (void)in, (void)ld;
    for (size_t i = 0; i < m; i++, e += s->ld_out, in_e += s->ld_in) {
        for (size_t p = 0; p < zo_shape_pixels(&s->in); p++) {
            for (size_t j = 0; j < s->columns; j++) {
                size_t at = p * s->out.pitch + j;
                in_e[at] = weight[j] * e[at] + (add ? in_e[at] : 0);
            }
        }
    }
}

const zo_layer_class zo_layer_norm = {
    .info = {"norm",
             "layer norm: mean 0, variance 1 over the example, then gain and shift per channel (of "
             "an image: group norm with one group)",
             "Ba et al. 2016, arXiv 1607.06450; Wu & He 2018, arXiv 1803.08494", ZO_USES_NOTHING,
             zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .options = ZO_OPTION_NOBIAS,
    .first_weight = 1,
    .padded = true,
    .work = "4 x inputs",
    .shape = shape_norm,
    .forward = forward_norm,
    .direction = direction_norm,
    .backward = backward_norm,
};

const zo_layer_class zo_layer_scale = {
    .info = {"scale", "gain and shift per channel (behind flatten: per number)",
             "Touvron et al. 2021, arXiv 2103.17239", ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .options = ZO_OPTION_NOBIAS,
    .first_weight = 1,
    .padded = true,
    .work = "inputs",
    .shape = shape,
    .forward = forward_scale,
    .reach = ZO_REACH_PIXEL,
    .direction = direction_scale,
    .backward = backward_scale,
};

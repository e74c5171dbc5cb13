/* dwconv: every channel has a filter of its own. Weights [height x width of the window][channels]. */
#include "nn/window.h"

static const char *shape(zo_stage *s, const zo_word *w)
{
    const char *why = zo_window_fill(s, w, (size_t)w->number[0], (size_t)w->number[w->numbers - 1]);
    if (why) return why;
    const zo_window *v = &s->window;
    size_t c = (size_t)s->in.channels;
    s->out = (zo_shape){(int)v->out_height, (int)v->out_width, (int)c, zo_round16(c)};
    s->rows = v->height * v->width;
    s->columns = c;
    s->has_bias = !w->nobias;
    s->fan_in = s->fan_out = (double)s->rows;
    s->cost = (double)(v->out_height * v->out_width) * (double)(s->rows * c);
    return NULL;
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)room, (void)column, (void)n;
    for (size_t i = 0; i < r->m; i++)
        k->depthwise(r->z + i * s->ld_out, r->in + i * r->ld, weight, bias, &s->window);
}

static void add_weights(const zo_stage *s, const zo_tap_sums *a, size_t out, size_t in, size_t tap)
{
    out *= s->out.pitch, in *= s->in.pitch, tap *= zo_round16(s->columns);
    for (size_t c = 0; c < s->columns; c++) a->to[tap + c] += a->in[in + c] * a->e[out + c];
}

static void direction(const zo_kernels *k, const zo_stage *s, size_t m, const float *in, size_t ld,
                      const float *e, float *g)
{
    (void)k;
    zo_window_direction(s, add_weights, m, in, ld, e, g);
}

static void add_errors(const zo_stage *s, const zo_tap_sums *a, size_t out, size_t in, size_t tap)
{
    out *= s->out.pitch, in *= s->in.pitch, tap *= zo_round16(s->columns);
    for (size_t c = 0; c < s->columns; c++) a->to[in + c] += a->weight[tap + c] * a->e[out + c];
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)k, (void)room, (void)repacked, (void)in, (void)ld;
    zo_window_backward(s, add_errors, weight, m, e, in_e, add);
}

const zo_layer_class zo_layer_dwconv = {
    .info = {"dwconv", "dwconvK: a K x K filter for each channel (dwconvHxW: H x W)",
             "Howard et al. 2017, arXiv 1704.04861", ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 1,
    .most_numbers = 2,
    .most = 1 << 16,
    .options = ZO_OPTION_SAME | ZO_OPTION_STRIDE | ZO_OPTION_DILATION | ZO_OPTION_NOBIAS,
    .example = "dwconv3 (3 x 3) or dwconv3x5",
    .gives = ZO_WINDOW_GIVES " x channels",
    .work = "outputs x window",
    .shape = shape,
    .forward = forward,
    .reach = ZO_REACH_WINDOW,
    .direction = direction,
    .backward = backward,
};

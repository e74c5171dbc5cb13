/* dense: z = x W + b, W [inputs][units]. */
#include "nn/layer.h"

static void shape(zo_stage *s)
{
    s->rows = (size_t)s->inputs;
    s->columns = (size_t)s->outputs;
    s->cost = (double)s->inputs * s->outputs;
    s->move_cost = s->outputs;
}

static void pack(const zo_kernels *k, const zo_stage *s, float *packed, const float *w, int64_t p,
                 float sigma, const uint16_t *signs, size_t ld_signs, const float *noise,
                 size_t ld_noise)
{
    size_t column = (size_t)p * ZO_PANEL, left = s->columns - column;
    k->pack(packed + column * s->rows, w + column, s->columns, s->rows,
            left < ZO_PANEL ? left : ZO_PANEL, sigma, signs ? signs + column / 16 : NULL, ld_signs,
            noise ? noise + column : NULL, ld_noise);
}

static void forward(const zo_kernels *k, const zo_stage *s, const float *packed, const float *bias,
                    size_t m, const float *in, size_t ld, float *z, float *h,
                    const zo_epilogue *noise)
{
    zo_epilogue e = noise ? *noise : (zo_epilogue){0};
    e.bias = bias;
    e.pre = z;
    e.ld_pre = s->ld_out;
    e.activate = zo_stage_activate(k, s);
    k->product(h, s->ld_out, in, ld, 1, packed, m, s->columns, s->rows, &e);
}

static void moved(const zo_kernels *k, const zo_stage *s, const float *packed, const zo_move *moves,
                  size_t m, const float *z, float *h)
{
    k->column_update(h, s->ld_out, moves, m, z, s->ld_out, packed, s->rows, s->columns,
                     zo_stage_activate(k, s));
}

static void backward(const zo_kernels *k, const zo_stage *s, const float *packed_t, size_t m,
                     const float *e, float *in_e, size_t ld)
{
    k->product(in_e, ld, e, s->ld_out, 1, packed_t, m, s->rows, s->columns, &(zo_epilogue){0});
}

const zo_layer_class zo_layer_dense = {
    .info = {"dense", "denseN: N units, each a weighted sum of all inputs plus a bias", "",
             ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .most = 1 << 20,
    .shape = shape,
    .pack = pack,
    .forward = forward,
    .moved = moved,
    .backward = backward,
};

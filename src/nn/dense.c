/* dense: z = x W + b, W [inputs][units]. */
#include <string.h>

#include "nn/layer.h"

#define TILE_ROWS 112     /* rows of a direction tile: full blocks for every kernel */
#define TILE_EXAMPLES 128 /* fixed, so that no bits depend on threads */

static const char *shape(zo_stage *s, const zo_word *w)
{
    int units = (int)w->number[0];
    s->out = (zo_shape){1, 1, units, zo_round16((size_t)units)};
    s->rows = (size_t)s->inputs;
    s->columns = (size_t)units;
    s->has_bias = !w->nobias;
    s->fan_in = s->inputs;
    s->fan_out = units;
    s->cost = (double)s->inputs * units;
    s->move_cost = units;
    s->tile_rows = TILE_ROWS;
    s->tile_examples = TILE_EXAMPLES;
    s->repacked = zo_packed_size(s->columns, s->rows);
    return NULL;
}

static zo_operand rows_of(const zo_stage *s, const zo_rows *r)
{
    zo_operand a = zo_matrix(r->in, r->ld, r->m, s->rows);
    if (r->groups > 1) {
        a.images = r->groups;
        a.rows = r->m / r->groups;
        a.image = a.rows * r->ld;
    }
    return a;
}

static void forward(const zo_kernels *k, const zo_stage *s, const zo_room *room, const float *weight,
                    const float *bias, size_t column, size_t n, const zo_rows *r)
{
    (void)room;
    zo_epilogue e = r->noise ? *r->noise : (zo_epilogue){0};
    zo_operand a = rows_of(s, r);
    e.bias = bias;
    e.pre = r->z && r->z != r->h ? r->z + column : NULL;
    if (s->activation && !zo_stage_grouped(s)) {
        e.activate = zo_stage_activate(k, s);
        e.number = s->number;
    }
    k->product(r->h + column, s->ld_out, a.rows * s->ld_out, &a, weight, n, &e);
}

static void moved(const zo_kernels *k, const zo_stage *s, const float *weight, const zo_move *moves,
                  size_t m, zo_patch at, zo_patch out, const float *z, float *h)
{
    (void)at, (void)out;
    bool grouped = zo_stage_grouped(s);
    zo_activate_fn f = zo_stage_activate(k, s);
    k->column_update(h, s->ld_out, moves, m, z, s->ld_out, weight, s->rows, s->columns,
                     grouped ? NULL : f, s->number);
    if (grouped) f(h, s->ld_out, h, s->ld_out, m, s->columns, s->number);
}

static void changed(const zo_kernels *k, const zo_stage *s, const float *weight, size_t first,
                    size_t run, size_t runs, size_t apart, size_t m, const float *change, size_t ld,
                    float *room, float *h)
{
    size_t terms = run * runs;
    for (size_t panel = 0; panel < s->columns; panel += ZO_PANEL) {
        size_t width = s->columns - panel > 16 ? ZO_PANEL : 16;
        for (size_t i = 0; i < runs; i++)
            memcpy(room + panel * terms + i * run * width,
                   weight + panel * s->rows + (first + i * apart) * width,
                   run * width * sizeof *room);
    }
    zo_operand a = zo_matrix(change, ld, m, terms);
    zo_epilogue e = {.accumulate = true, .number = s->number};
    bool grouped = zo_stage_grouped(s);
    zo_activate_fn f = zo_stage_activate(k, s);
    if (!grouped) e.activate = f;
    k->product(h, s->ld_out, 0, &a, room, s->columns, &e);
    if (grouped) f(h, s->ld_out, h, s->ld_out, m, s->columns, s->number);
}

static zo_operand inputs(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                         const float *in, size_t ld, size_t m, size_t l)
{
    (void)k;
    (void)room;
    size_t n = s->rows - l < s->tile_rows ? s->rows - l : s->tile_rows;
    return zo_transposed(in + l, ld, n, m);
}

static void repack(const zo_kernels *k, const zo_stage *s, const float *weight, float *repacked)
{
    k->repack(repacked, weight, s->rows, s->columns);
}

static void backward(const zo_kernels *k, const zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add)
{
    (void)room, (void)weight, (void)in, (void)ld;
    zo_operand a = zo_matrix(e, s->ld_out, m, s->columns);
    k->product(in_e, s->ld_in, 0, &a, repacked, s->rows, &(zo_epilogue){.accumulate = add});
}

const zo_layer_class zo_layer_dense = {
    .info = {"dense", "denseN: N units, each a weighted sum of all inputs plus a bias", "",
             ZO_USES_NOTHING, zo_no_params},
    .sites = ZO_SITE_WEIGHTS | ZO_SITE_OUTPUTS,
    .least_numbers = 1,
    .most_numbers = 1,
    .most = 1 << 20,
    .options = ZO_OPTION_NOBIAS,
    .example = "dense128",
    .gives = "N",
    .work = "inputs x N",
    .product = true,
    .flat = true,
    .shape = shape,
    .forward = forward,
    .moved = moved,
    .changed = changed,
    .inputs = inputs,
    .repack = repack,
    .backward = backward,
};

#include "learn/moves.h"

#include <string.h>

#define ROWS_LEAST 8
#define ROWS_FLOATS 65536 /* of the widest activations: half of what a core keeps near it */
#define KEPT_BLOCKS 2048  /* of noise, 16 bytes each, that stay from the draws to their sum */

static bool grouped(const zo_stage *s) { return s->activation && s->activation->grouped; }

/* Whether a moved output of stage i is a column of what follows, and of nothing else: what a block adds again moves too. */
static bool by_column(const zo_net *net, int i)
{
    const zo_stage *next = net->stage + i + 1;
    return i + 1 < net->stages && next->layer->moved && !next->shared && !grouped(net->stage + i);
}

double zo_moves_output_cost(const zo_net *net, int i)
{
    if (by_column(net, i)) return net->stage[i + 1].move_cost + zo_net_tail_cost(net, i + 2);
    return zo_net_tail_cost(net, i + 1);
}

double zo_moves_draw_cost(const zo_net *net, int i, bool weights)
{
    return zo_net_tail_cost(net, i + 1) + (weights ? net->stage[i].cost : 0);
}

size_t zo_moves_floats(const zo_net *net, int i, bool weights)
{
    const zo_stage *s = net->stage + i;
    return weights ? s->weight_floats + s->bias_floats : s->ld_out;
}

static size_t blocks_of(zo_noise_kind noise, size_t floats)
{
    return noise == ZO_NOISE_GAUSSIAN ? floats / 4 : (floats / 16 + 7) / 8;
}

double zo_moves_blocks(zo_noise_kind noise, size_t floats, size_t n)
{
    return (double)blocks_of(noise, floats) * (double)n;
}

zo_status zo_moves_init(zo_moves *m, const zo_trace *trace, zo_noise_kind noise, size_t most,
                        size_t weights)
{
    const zo_learner *l = trace->l;
    const zo_net *net = l->net;
    bool gaussian = noise == ZO_NOISE_GAUSSIAN;
    size_t rows = ROWS_FLOATS / net->widest, blocks = blocks_of(noise, most);
    *m = (zo_moves){.trace = trace, .noise = noise};
    m->rows = rows < ROWS_LEAST ? ROWS_LEAST : rows < ZO_MOVES_ROWS ? rows : ZO_MOVES_ROWS;
    m->scratch = zo_alloc_zero(l->ctx, zo_net_scratch(net, m->rows) + 16, sizeof(float));
    m->target = zo_alloc_zero(l->ctx, ZO_MOVES_ROWS * (size_t)net->outputs, sizeof(float));
    m->row = zo_alloc_zero(l->ctx, net->widest, sizeof(float));
    m->weights = zo_alloc_zero(l->ctx, weights + 16, sizeof(float));
    m->blocks = blocks * ZO_MOVES_DRAWS * ZO_ITEM;
    if (m->blocks > KEPT_BLOCKS) m->blocks = KEPT_BLOCKS;
    if (m->blocks < blocks * ZO_MOVES_DRAWS) m->blocks = blocks * ZO_MOVES_DRAWS;
    m->signs = zo_alloc_zero(l->ctx, (gaussian ? 1 : m->blocks) * 8, sizeof(uint16_t));
    m->normal = zo_alloc_zero(l->ctx, (gaussian ? m->blocks : 1) * 4, sizeof(float));
    bool all = m->scratch && m->target && m->row && m->weights && m->signs && m->normal;
    return all ? ZO_OK : ZO_NO_MEMORY;
}

void zo_moves_fini(zo_moves *m)
{
    if (!m->trace) return;
    void *all[] = {m->scratch, m->target, m->row, m->weights, m->signs, m->normal};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(m->trace->l->ctx, all[i]);
}

/* ---- rows that wait ---- */

/* Losses of the waiting rows, whose outputs are y. */
static void finish_rows(zo_moves *c, const float *y)
{
    const zo_learner *l = c->trace->l;
    size_t outputs = (size_t)l->net->outputs;
    for (size_t r = 0; r < c->n; r++) {
        if (l->label)
            c->label[r] = l->label[c->example[r]];
        else
            memcpy(c->target + r * outputs, l->target + (size_t)c->example[r] * outputs,
                   outputs * sizeof(float));
    }
    zo_learner_losses(l, c->loss, y, c->n, l->label ? c->label : NULL, l->label ? NULL : c->target);
    for (size_t r = 0; r < c->n; r++) *c->to[r] = c->loss[r];
    c->n = 0;
}

/* Where the rows of stage i's outputs wait. */
static float *waiting(zo_moves *c, int i)
{
    return zo_net_slot(c->trace->l->net, c->scratch, c->rows, i);
}

/* Runs the rows on that wait behind stage i. */
static void run_rows(zo_moves *c, int i)
{
    if (!c->n) return;
    const zo_net *net = c->trace->l->net;
    c->cost += (double)c->n * zo_net_tail_cost(net, i + 1);
    zo_tail tail = {.params = net->params,
                    .from = i + 1,
                    .m = c->n,
                    .in = waiting(c, i),
                    .ld = net->stage[i].ld_out,
                    .cache = c->trace->tensor,
                    .example = c->example,
                    .scratch = c->scratch,
                    .most = c->rows};
    finish_rows(c, zo_net_tail(net, &tail));
}

/* Runs moved outputs of stage i: the next stage by its column update, then the rest. */
static void run_moves(zo_moves *c, int i, size_t first, int worker)
{
    if (!c->n) return;
    const zo_learner *l = c->trace->l;
    const zo_stage *next = l->net->stage + i + 1;
    const float *z = zo_trace_z(c->trace, i + 1, first, worker);
    next->layer->moved(l->k, next, zo_stage_weight(next, l->net->params), c->move, c->n, z,
                       waiting(c, i + 1));
    c->cost += (double)c->n * next->move_cost;
    run_rows(c, i + 1);
}

static void add_row(zo_moves *c, size_t b, double *to)
{
    c->example[c->n] = (int32_t)b;
    c->to[c->n++] = to;
}

/* z of row r of what is moved. */
static const float *z_of(const zo_moves *c, const zo_place *at, size_t r)
{
    return zo_trace_z(c->trace, at->stage, at->first, at->worker) +
           r * c->trace->l->net->stage[at->stage].ld_out;
}

/* ---- complete sets ---- */

/* By the column update of the next stage. */
static void complete_by_column(zo_moves *c, const zo_place *at, float move, double *to)
{
    const zo_net *net = c->trace->l->net;
    const zo_stage *st = net->stage + at->stage;
    for (size_t r = 0; r < at->m; r++) {
        const float *h = c->trace->h[at->stage] + (at->first + r) * st->ld_out, *z = z_of(c, at, r);
        for (size_t j = 0; j < st->ld_out; j++) c->row[j] = z[j] + move;
        zo_stage_activation(net, st, 1, c->row, c->row);
        for (int32_t j = 0; j < st->outputs; j++) {
            float change = c->row[j] - h[j];
            c->move[c->n] = (zo_move){(int32_t)r, j, change};
            c->example[c->n] = (int32_t)(at->first + r);
            c->to[c->n] = to + r * (size_t)st->outputs + (size_t)j;
            /* No change: the loss stays the clean one. Not a branch, for it could not be foreseen. */
            c->n += change != 0;
            if (c->n == c->rows) run_moves(c, at->stage, at->first, at->worker);
        }
    }
    run_moves(c, at->stage, at->first, at->worker);
}

/* Where output j of a stage lies among the floats of an example. */
static size_t place_of(const zo_stage *s, size_t j)
{
    size_t c = (size_t)s->out.channels;
    return j / c * s->out.pitch + j % c;
}

/* By passes from the moved outputs on. */
static void complete_by_row(zo_moves *c, const zo_place *at, float move, double *to)
{
    const zo_net *net = c->trace->l->net;
    const zo_stage *st = net->stage + at->stage;
    size_t ld = st->ld_out, bytes = ld * sizeof(float);
    for (size_t r = 0; r < at->m; r++) {
        const float *h = c->trace->h[at->stage] + (at->first + r) * ld, *z = z_of(c, at, r);
        for (size_t j = 0; j < (size_t)st->outputs; j++) {
            size_t output = place_of(st, j), pixel = output / st->out.pitch * st->out.pitch;
            float *row = waiting(c, at->stage) + c->n * ld;
            memcpy(row, h, bytes);
            memcpy(row + pixel, z + pixel, (size_t)st->out.channels * sizeof *row);
            row[output] = z[output] + move;
            if (st->activation)
                zo_stage_activate(c->trace->l->k, st)(row + pixel, st->out.pitch, row + pixel,
                                                      st->out.pitch, 1, (size_t)st->out.channels,
                                                      st->number);
            if (!memcmp(row + pixel, h + pixel, (size_t)st->out.channels * sizeof *row)) continue;
            add_row(c, at->first + r, to + r * (size_t)st->outputs + j);
            if (c->n == c->rows) run_rows(c, at->stage);
        }
    }
    run_rows(c, at->stage);
}

void zo_moves_complete(zo_moves *c, const zo_place *at, float move, double *to)
{
    if (by_column(c->trace->l->net, at->stage))
        complete_by_column(c, at, move, to);
    else
        complete_by_row(c, at, move, to);
}

/* ---- random draws ---- */

/* Where the noise of draw d of row r lies, of those that a call is about, in blocks. */
static size_t noise_at(const zo_moves *c, const zo_place *at, size_t r, size_t d)
{
    return (c->kept ? (r - c->kept_row) * c->kept_draws + d : d % ZO_MOVES_DRAWS) *
           blocks_of(c->noise, at->floats);
}

/* The noise of draws [k + d, k + d + n) of row r, n <= ZO_MOVES_DRAWS, from the stream of the example at this stage. */
static void make_noise(zo_moves *c, const zo_place *at, size_t r, size_t k, size_t d, size_t n)
{
    const zo_learner *l = c->trace->l;
    size_t b = at->first + r, blocks = blocks_of(c->noise, at->floats), to = noise_at(c, at, r, d);
    uint32_t item =
        (uint32_t)(b * (size_t)l->net->stages + (size_t)at->stage); /* at most 2^16 x 2^13 */
    zo_stream stream = zo_stream_at(l->seed, ZO_FOR_NOISE, (uint64_t)l->step, item);
    uint32_t from = (uint32_t)((k + d) * blocks);
    if (c->noise == ZO_NOISE_GAUSSIAN)
        zo_noise_normal(l->k, &stream, from, n * 4 * blocks, c->normal + 4 * to);
    else
        zo_noise_signs(l->k, &stream, from, n * 8 * blocks, c->signs + 8 * to);
}

/* That noise, as signs or as numbers; the other is NULL. */
static const uint16_t *signs_of(const zo_moves *c, const zo_place *at, size_t r, size_t d)
{
    return c->noise == ZO_NOISE_GAUSSIAN ? NULL : c->signs + 8 * noise_at(c, at, r, d);
}

static const float *normal_of(const zo_moves *c, const zo_place *at, size_t r, size_t d)
{
    return c->noise == ZO_NOISE_GAUSSIAN ? c->normal + 4 * noise_at(c, at, r, d) : NULL;
}

/* Rows of draws [d, end) of one example, noise made: outputs of the stage moved along each. to[d] receives the loss of draw d. */
static void draw_outputs(zo_moves *c, const zo_place *at, size_t r, size_t d, size_t end,
                         float move, double *to)
{
    const zo_net *net = c->trace->l->net;
    const zo_stage *st = net->stage + at->stage;
    zo_activate_fn f = grouped(st) ? NULL : zo_stage_activate(c->trace->l->k, st);
    static const int32_t same[ZO_MOVES_DRAWS];
    for (size_t m; d < end; d += m) {
        m = c->rows - c->n < end - d ? c->rows - c->n : end - d;
        float *rows = waiting(c, at->stage) + c->n * st->ld_out;
        c->trace->l->k->disturb(rows, st->ld_out, z_of(c, at, r), st->ld_out, same, m, st->ld_out,
                                move, signs_of(c, at, r, d), 8 * blocks_of(c->noise, st->ld_out),
                                normal_of(c, at, r, d), 4 * blocks_of(c->noise, st->ld_out), f,
                                st->number);
        if (grouped(st)) zo_stage_activation(net, st, m, rows, rows);
        for (size_t x = 0; x < m; x++) add_row(c, at->first + r, to + d + x);
        if (c->n == c->rows) run_rows(c, at->stage);
    }
}

/* The same with the weights moved: a small pass of the stage for each draw. */
static void draw_weights(zo_moves *c, const zo_place *at, size_t r, size_t d, size_t end,
                         float move, double *to)
{
    const zo_net *net = c->trace->l->net;
    const zo_stage *st = net->stage + at->stage;
    zo_room room = zo_net_room(net, c->scratch);
    zo_rows rows = {
        .m = 1, .in = c->trace->tensor[at->stage] + (at->first + r) * st->ld_in, .ld = st->ld_in};
    for (; d < end; d++) {
        c->trace->l->k->add_noise(c->weights, net->params + st->weight, at->floats, move,
                                  signs_of(c, at, r, d), normal_of(c, at, r, d));
        rows.h = waiting(c, at->stage) + c->n * st->ld_out;
        zo_stage_forward(net, st, &room, c->weights,
                         st->has_bias ? c->weights + st->weight_floats : NULL, &rows);
        c->cost += st->cost + (double)st->parameters;
        add_row(c, at->first + r, to + d);
        if (c->n == c->rows) run_rows(c, at->stage);
    }
}

size_t zo_moves_batch(const zo_moves *c, const zo_place *at, size_t n)
{
    size_t rows = c->blocks / (n * blocks_of(c->noise, at->floats));
    /* Few rows would leave the products half empty: rather make the noise twice. */
    return rows >= at->m || rows * n < 2 * c->rows ? at->m : rows;
}

void zo_moves_draw(zo_moves *c, const zo_place *at, size_t row, size_t rows, size_t k, size_t n,
                   float sigma, double *plus, double *minus)
{
    c->kept_row = row;
    c->kept_draws = n;
    c->kept = rows * n * blocks_of(c->noise, at->floats) <= c->blocks;
    for (size_t r = row; r < row + rows; r++) {
        for (size_t d = 0; d < n; d += ZO_MOVES_DRAWS) {
            size_t end = d + ZO_MOVES_DRAWS < n ? d + ZO_MOVES_DRAWS : n;
            make_noise(c, at, r, k, d, end - d);
            for (int side = 0; side < (minus ? 2 : 1); side++) {
                double *to = (side ? minus : plus) + r * n;
                if (at->weights)
                    draw_weights(c, at, r, d, end, side ? -sigma : sigma, to);
                else
                    draw_outputs(c, at, r, d, end, side ? -sigma : sigma, to);
            }
        }
    }
    run_rows(c, at->stage);
}

void zo_moves_add(zo_moves *c, const zo_place *at, size_t r, size_t k, size_t n,
                  const double *weight, float *sum)
{
    const zo_kernels *kernels = c->trace->l->k;
    float weights[ZO_MOVES_DRAWS];
    for (size_t d = 0; d < n; d += ZO_MOVES_DRAWS) {
        size_t m = n - d < ZO_MOVES_DRAWS ? n - d : ZO_MOVES_DRAWS;
        if (!c->kept) make_noise(c, at, r, k, d, m);
        for (size_t x = 0; x < m; x++) weights[x] = (float)weight[d + x];
        if (c->noise == ZO_NOISE_GAUSSIAN) {
            for (size_t x = 0; x < m; x++)
                kernels->add_scaled(sum, normal_of(c, at, r, d + x), at->floats, weights[x]);
        } else {
            kernels->add_draws(sum, signs_of(c, at, r, d), 8 * blocks_of(c->noise, at->floats), m,
                               at->floats, weights);
        }
    }
}

#include "learn/moves.h"

#include <string.h>

#define ROWS_LEAST 8
#define ROWS_FLOATS 65536 /* of the widest activations: half of what a core keeps near it */
#define KEPT_BLOCKS 2048  /* of noise, 16 bytes each, that stay from the draws to their sum */
#define FARTHEST 4        /* deviations: normal numbers beyond are left out of account */

double zo_moves_draw_cost(const zo_net *net, int i, bool weights)
{
    return zo_net_tail_cost(net, zo_moves_entry(net, i, weights) + 1) +
           (weights ? net->stage[i].cost : 0);
}

int zo_moves_entry(const zo_net *net, int i, bool weights)
{
    return weights ? i : zo_entry_stage(net, i);
}

size_t zo_moves_floats(const zo_net *net, int i, bool weights)
{
    const zo_stage *s = net->stage + i;
    return weights ? s->weight_floats + s->bias_floats : net->stage[zo_entry_stage(net, i)].ld_out;
}

static size_t blocks_of(zo_noise_kind noise, size_t floats)
{
    return noise == ZO_NOISE_GAUSSIAN ? floats / 4 : (floats / 16 + 7) / 8;
}

double zo_moves_blocks(zo_noise_kind noise, size_t floats, size_t n)
{
    return (double)blocks_of(noise, floats) * (double)n;
}

size_t zo_moves_rows(const zo_net *net)
{
    size_t rows = ROWS_FLOATS / net->widest;
    return rows < ROWS_LEAST ? ROWS_LEAST : rows < ZO_MOVES_ROWS ? rows : ZO_MOVES_ROWS;
}

zo_status zo_moves_init(zo_moves *m, const zo_trace *trace, zo_noise_kind noise, size_t most,
                        size_t weights, size_t pooled)
{
    const zo_learner *l = trace->l;
    const zo_net *net = l->net;
    bool gaussian = noise == ZO_NOISE_GAUSSIAN;
    size_t blocks = blocks_of(noise, most);
    *m = (zo_moves){.trace = trace, .noise = noise, .rows = zo_moves_rows(net)};
    m->scratch = zo_alloc_zero(l->ctx, zo_net_scratch(net, m->rows) + 16, sizeof(float));
    m->target = zo_alloc_zero(l->ctx, ZO_MOVES_ROWS * (size_t)net->outputs, sizeof(float));
    m->weights = zo_alloc_zero(l->ctx, weights + 16, sizeof(float));
    m->blocks = blocks * ZO_MOVES_DRAWS * ZO_ITEM;
    if (m->blocks > KEPT_BLOCKS) m->blocks = KEPT_BLOCKS;
    if (m->blocks < blocks * ZO_MOVES_DRAWS) m->blocks = blocks * ZO_MOVES_DRAWS;
    m->signs = zo_alloc_zero(l->ctx, (gaussian ? 1 : m->blocks) * 8, sizeof(uint16_t));
    m->normal = zo_alloc_zero(l->ctx, (gaussian ? m->blocks : 1) * 4, sizeof(float));
    size_t pattern = noise == ZO_NOISE_HADAMARD ? zo_hadamard_words(8 * blocks) : 1;
    m->hadamard.pattern = zo_alloc_zero(l->ctx, pattern, sizeof(uint16_t));
    bool all = m->scratch && m->target && m->weights && m->signs && m->normal && m->hadamard.pattern;
    if (!all) return ZO_NO_MEMORY;
    return zo_entry_init(&m->entry, trace, most < net->widest ? most : net->widest, pooled);
}

void zo_moves_fini(zo_moves *m)
{
    if (!m->trace) return;
    void *all[] = {m->scratch, m->target, m->weights, m->signs, m->normal, m->hadamard.pattern};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(m->trace->l->ctx, all[i]);
    zo_entry_fini(&m->entry);
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

float *zo_moves_waiting(zo_moves *c, int i)
{
    return zo_net_slot(c->trace->l->net, c->scratch, c->rows, i);
}

void zo_moves_run(zo_moves *c, int i)
{
    if (!c->n) return;
    const zo_net *net = c->trace->l->net;
    c->cost += (double)c->n * zo_net_tail_cost(net, i + 1);
    zo_tail tail = {.params = net->params,
                    .from = i + 1,
                    .m = c->n,
                    .in = zo_moves_waiting(c, i),
                    .ld = net->stage[i].ld_out,
                    .cache = c->trace->tensor,
                    .all = true,
                    .example = c->example,
                    .scratch = c->scratch,
                    .most = c->rows};
    finish_rows(c, zo_net_tail(net, &tail));
}

void zo_moves_add_row(zo_moves *c, size_t b, double *to)
{
    c->example[c->n] = (int32_t)b;
    c->to[c->n++] = to;
}

const float *zo_moves_z(const zo_moves *c, const zo_place *at, size_t r)
{
    return zo_trace_z(c->trace, at->stage, at->first, at->worker) +
           r * c->trace->l->net->stage[at->stage].ld_out;
}

/* ---- random draws ---- */

/* Where the noise of draw d of row r lies, of those that a call is about, in blocks. */
static size_t noise_at(const zo_moves *c, const zo_place *at, size_t r, size_t d)
{
    return (c->kept ? (r - c->kept_row) * c->kept_draws + d : d % ZO_MOVES_DRAWS) *
           blocks_of(c->noise, at->floats);
}

/* Orthogonal signs of draws [d, d + n), over the numbers that are no pads. */
static void make_hadamard(zo_moves *c, const zo_place *at, const zo_stream *stream, size_t d,
                          size_t n, uint16_t *out)
{
    const zo_shape *shape = &c->trace->l->net->stage[at->entry].out;
    size_t words = 8 * blocks_of(c->noise, at->floats);
    zo_hadamard_begin(&c->hadamard, c->trace->l->k, stream, at->draws,
                      at->weights ? at->floats : (size_t)shape->channels,
                      at->weights ? at->floats : shape->pitch, words);
    for (size_t i = 0; i < n; i++) zo_hadamard_draw(&c->hadamard, d + i, out + i * words);
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
    else if (c->noise == ZO_NOISE_HADAMARD)
        make_hadamard(c, at, &stream, k + d, n, c->signs + 8 * to);
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
    zo_activate_fn f = zo_stage_grouped(st) ? NULL : zo_stage_activate(c->trace->l->k, st);
    static const int32_t same[ZO_MOVES_DRAWS];
    const float *z = zo_entry_z(&c->entry, at->stage, at->first, r, at->worker),
                *floor = zo_entry_floor(&c->entry, at->stage, r);
    size_t ld = at->floats;
    for (size_t m; d < end; d += m) {
        m = c->rows - c->n < end - d ? c->rows - c->n : end - d;
        float *rows = zo_moves_waiting(c, at->entry) + c->n * ld;
        c->trace->l->k->disturb(rows, ld, z, ld, floor, same, m, ld, move, signs_of(c, at, r, d),
                                8 * blocks_of(c->noise, ld), normal_of(c, at, r, d),
                                4 * blocks_of(c->noise, ld), f, st->number);
        if (zo_stage_grouped(st)) zo_stage_activation(net, st, m, rows, rows);
        for (size_t x = 0; x < m; x++) zo_moves_add_row(c, at->first + r, to + d + x);
        if (c->n == c->rows) zo_moves_run(c, at->entry);
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
        rows.h = zo_moves_waiting(c, at->stage) + c->n * st->ld_out;
        zo_stage_forward(net, st, &room, c->weights,
                         st->has_bias ? c->weights + st->weight_floats : NULL, &rows);
        c->cost += st->cost + (double)st->parameters;
        zo_moves_add_row(c, at->first + r, to + d);
        if (c->n == c->rows) zo_moves_run(c, at->stage);
    }
}

void zo_moves_enter(zo_moves *c, const zo_place *at)
{
    if (!at->weights) zo_entry_find(&c->entry, at->stage, at->first, at->m, at->worker);
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
    zo_moves_run(c, at->entry);
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

void zo_moves_silence(zo_moves *c, const zo_place *at, size_t r, float sigma, float *errors)
{
    float move = c->noise == ZO_NOISE_GAUSSIAN ? FARTHEST * sigma : sigma;
    zo_entry_silence(&c->entry, at->stage, at->first, r, at->worker, move, errors);
}

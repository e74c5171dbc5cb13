/* Forward passes: single stages, tails, and the public zo_net_forward(). */
#include <math.h>
#include <string.h>

#include "nn/net.h"

int zo_net_largest(const float *y, int n)
{
    int at = 0;
    for (int j = 0; j < n; j++) {
        if (isnan(y[j])) return -1;
        if (y[j] > y[at]) at = j;
    }
    return at;
}

void zo_stage_activation(const zo_net *net, const zo_stage *s, size_t m, const float *z, float *h)
{
    size_t pixels = m * zo_shape_pixels(&s->out), pitch = s->out.pitch;
    if (s->activation)
        zo_stage_activate(net->ctx->kernels, s)(h, pitch, z, pitch, pixels, (size_t)s->out.channels,
                                                s->number);
    else if (h != z)
        memcpy(h, z, m * s->ld_out * sizeof *h);
}

/* Zeroes numbers [first, first + n) of g, which begins at number `at`. */
static void clear(float *g, size_t at, size_t end, size_t first, size_t n)
{
    size_t from = first > at ? first : at, to = first + n < end ? first + n : end;
    if (from < to) memset(g + from - at, 0, (to - from) * sizeof *g);
}

void zo_stage_clear_pads(const zo_stage *s, size_t at, size_t n, float *g)
{
    size_t panel = s->layer->product && s->columns ? (s->columns - 1) / ZO_PANEL * ZO_PANEL : 0,
           width = zo_round16(s->columns) - panel, real = s->columns - panel, end = at + n;
    if (real < width) {
        /* rows of the last panel, or of all there is */
        size_t base = panel * s->rows, row = at > base ? (at - base) / width : 0;
        for (; row < s->rows && base + row * width < end; row++)
            clear(g, at, end, base + row * width + real, width - real);
    }
    if (s->bias_floats)
        clear(g, at, end, s->weight_floats + s->columns, s->bias_floats - s->columns);
}

void zo_net_clear_pads(const zo_net *net, size_t at, size_t n, float *g)
{
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i; /* its bias lies behind its weights */
        size_t first = at > s->weight ? at : s->weight,
               end = s->weight + s->weight_floats + s->bias_floats;
        if (end > at + n) end = at + n;
        if (first < end) zo_stage_clear_pads(s, first - s->weight, end - first, g + (first - at));
    }
}

void zo_stage_forward(const zo_net *net, const zo_stage *s, const zo_room *room,
                      const float *weight, const float *bias, const zo_rows *r)
{
    zo_rows rows = *r;
    bool product = s->layer->product, grouped = zo_stage_grouped(s);
    if (!product && !rows.z) rows.z = rows.h;
    s->layer->forward(net->ctx->kernels, s, room, weight, bias, 0, s->columns, &rows);
    if (!product)
        zo_stage_activation(net, s, r->m, rows.z, rows.h);
    else if (grouped)
        zo_stage_activation(net, s, r->m, rows.h, rows.h);
}

size_t zo_net_scratch(const zo_net *net, size_t most)
{
    return zo_round16(net->padded) + (size_t)net->slots * most * net->widest;
}

zo_room zo_net_room(const zo_net *net, float *scratch)
{
    (void)net;
    return (zo_room){scratch};
}

float *zo_net_slot(const zo_net *net, float *scratch, size_t most, int stage)
{
    return scratch + zo_round16(net->padded) + (size_t)net->stage[stage].slot * most * net->widest;
}

/* The second input of residual stage s: a tensor of this tail, or one that was cached before it. */
static void find_other(const zo_net *net, const zo_tail *t, const zo_stage *s, zo_rows *rows)
{
    if (s->skip < t->from) {
        rows->other = t->cache[s->skip];
        rows->example = t->example;
    } else {
        rows->other =
            s->skip == t->from ? t->in : zo_net_slot(net, t->scratch, t->most, s->skip - 1);
    }
}

/* Whether what comes into stage s, which ends a block, is clean: the tail began in the first branch. */
static bool takes_clean(const zo_net *net, const zo_tail *t, const zo_stage *s)
{
    return t->all && s->branched && s->skip >= t->from && net->stage[s->skip].skip < t->from;
}

/* The clean values of tensor i, a row for each of the tail's. */
static const float *clean_rows(const zo_net *net, const zo_tail *t, int i)
{
    size_t ld = net->stage[i].ld_in;
    float *to = zo_net_slot(net, t->scratch, t->most, i - 1);
    for (size_t r = 0; r < t->m; r++) {
        size_t example = t->example ? (size_t)t->example[r] : r;
        memcpy(to + r * ld, t->cache[i] + example * ld, ld * sizeof *to);
    }
    return to;
}

static int after(const zo_net *net, const zo_tail *t, int i)
{
    return t->all ? zo_net_after(net, t->from, i) : i + 1;
}

const float *zo_net_tail(const zo_net *net, const zo_tail *t)
{
    zo_room room = zo_net_room(net, t->scratch);
    const float *in = t->in;
    size_t ld = t->ld;
    int to = t->to ? t->to : net->stages;
    for (int i = after(net, t, t->from - 1); i < to; i = after(net, t, i)) {
        const zo_stage *s = net->stage + i;
        if (takes_clean(net, t, s)) in = clean_rows(net, t, i), ld = s->ld_in;
        zo_rows rows = {.m = t->m, .in = in, .ld = ld, .h = zo_net_slot(net, t->scratch, t->most, i)};
        if (s->layer->residual) find_other(net, t, s, &rows);
        zo_stage_forward(net, s, &room, zo_stage_weight(s, t->params), zo_stage_bias(s, t->params),
                         &rows);
        in = rows.h;
        ld = s->ld_out;
    }
    return in;
}

int zo_net_after(const zo_net *net, int from, int i)
{
    int next = i + 1;
    if (next >= net->stages || !net->stage[next].layer->branches || net->stage[next].skip >= from)
        return next;
    for (i = next; net->stage[next].skip != i;) next++;
    return next;
}

double zo_net_tail_cost(const zo_net *net, int from)
{
    double cost = 0;
    for (int i = zo_net_after(net, from, from - 1); i < net->stages; i = zo_net_after(net, from, i))
        cost += net->stage[i].cost;
    return cost;
}

double zo_net_stages_cost(const zo_net *net, int from, int to)
{
    double cost = 0;
    for (int i = from; i < to; i++) cost += net->stage[i].cost;
    return cost;
}

size_t zo_net_rows(const zo_net *net)
{
    size_t ld = net->stage[0].ld_in, most = (1 << 16) / (ld > net->widest ? ld : net->widest);
    return most < 8 ? 8 : most < 128 ? most : 128;
}

/* Examples of one item: enough rows for the product, few enough for the caches, and where there are few items the same number for each
 * thread, if that leaves rows enough. Rows do not touch each other, so that no bit depends on this. */
static size_t tile_rows(const zo_net *net, size_t n)
{
    size_t threads = (size_t)zo_context_threads(net->ctx), most = zo_net_rows(net);
    size_t items = (n + most - 1) / most;
    size_t alike = (items + threads - 1) / threads * threads;
    size_t least = alike < n / 16 ? alike : n / 16;
    if (items < 8 * threads && items < least) items = least;
    return (n + items - 1) / items;
}

/* Like the error text, room may change behind a const: calls with one network do not overlap. */
static float *forward_room(const zo_net *net, size_t floats)
{
    zo_net *owner = (zo_net *)net;
    if (net->room_floats >= floats) return net->room;
    zo_free(net->ctx, owner->room);
    owner->room = zo_alloc_zero(net->ctx, floats, sizeof(float));
    owner->room_floats = owner->room ? floats : 0;
    return owner->room;
}

/* Whether examples can be read where they lie: nothing to scale, no pads. */
static bool read_in_place(const zo_net *net)
{
    if (net->stage[0].ld_in != (size_t)net->inputs) return false;
    for (int i = 0; i < net->inputs; i++) {
        if (net->shift[i] != 0 || net->scale[i] != 1) return false;
    }
    return true;
}

typedef struct forward_job {
    const zo_net *net;
    bool in_place;
    float *arena;
    size_t arena_size, standard,
        tile; /* floats of a worker, of them for scaled inputs; examples of an item */
    int64_t n;
    const float *x;
    float *y;
} forward_job;

static void forward_item(void *arg, int64_t item, int worker)
{
    forward_job *job = arg;
    const zo_net *net = job->net;
    size_t first = (size_t)item * job->tile,
           m = (size_t)job->n - first < job->tile ? (size_t)job->n - first : job->tile;
    size_t inputs = (size_t)net->inputs, outputs = (size_t)net->outputs, ld = net->stage[0].ld_in;
    float *room = job->arena + (size_t)worker * job->arena_size, *standard = room;
    const float *x = job->x + first * inputs;
    for (size_t i = 0; !job->in_place && i < m; i++)
        net->ctx->kernels->standardise(standard + i * ld, x + i * inputs, inputs, net->shift,
                                       net->scale);
    zo_tail tail = {.params = net->params,
                    .m = m,
                    .in = job->in_place ? x : standard,
                    .ld = ld,
                    .scratch = room + job->standard,
                    .most = job->tile};
    const float *y = zo_net_tail(net, &tail);
    size_t ld_y = net->stage[net->stages - 1].ld_out;
    for (size_t i = 0; i < m; i++) {
        float *to = job->y + (first + i) * outputs;
        for (size_t j = 0; j < outputs; j++)
            to[j] = y[i * ld_y + j] * net->out_scale[j] + net->out_shift[j];
    }
}

zo_status zo_net_forward(const zo_net *net, int64_t n, const float *x, float *y)
{
    const zo_context *ctx = net->ctx;
    if (n < 0 || (n > 0 && (!x || !y)))
        return zo_fail(ctx, ZO_USAGE, "zo_net_forward: n < 0, or x or y is NULL");
    if (n == 0) return ZO_OK;
    forward_job job = {.net = net, .n = n, .x = x, .y = y};
    job.tile = tile_rows(net, (size_t)n);
    job.in_place = read_in_place(net);
    job.standard = job.in_place ? 0 : job.tile * net->stage[0].ld_in;
    job.arena_size = zo_round16(job.standard + zo_net_scratch(net, job.tile)) + 16;
    job.arena = forward_room(net, job.arena_size * (size_t)zo_context_threads(ctx));
    if (!job.arena) return ZO_NO_MEMORY;
    zo_parallel(ctx, (n + (int64_t)job.tile - 1) / (int64_t)job.tile, forward_item, &job);
    return ZO_OK;
}

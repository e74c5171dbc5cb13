/* Modules: their plan, and the features of each. */
#include "learn/closed_modules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WHOLE = ZO_PANEL, /* modules are made of whole panels of packed weights */
    LEAST = 64        /* units of a module that nobody asked for */
};

/* ---- the plan ---- */

static bool is_layer(const zo_stage *s, const char *name)
{
    return !strcmp(s->layer->info.name, name);
}

/* The stage of the units, and the tensor beside them; false where no part of the units can be had without the rest. */
static bool find_units(const zo_closed *c, zo_modules *m)
{
    const zo_net *net = c->net;
    const zo_stage *end = net->stage + c->last - 1;
    bool beside = c->last > 1 && end->layer->residual && is_layer(end, "}cat");
    if (c->last < 1 || (beside && end->branched)) return false;
    m->skip = beside ? end->skip : -1;
    m->dense = c->last - 1 - beside;
    const zo_stage *s = net->stage + m->dense;
    if (!is_layer(s, "dense") || zo_stage_grouped(s)) return false;
    m->units = s->columns;
    m->all = net->stage[c->last].rows;
    m->others = m->all - m->units;
    return !beside || m->skip <= m->dense;
}

static size_t round_up(size_t n) { return (n + WHOLE - 1) / WHOLE * WHOLE; }

size_t zo_modules_whole(size_t n) { return n / WHOLE * WHOLE; }

static void set_size(zo_closed *c, zo_modules *m, size_t size)
{
    m->size = round_up(size);
    m->count = (m->units + m->size - 1) / m->size;
    c->most = m->others + m->size;
}

/* Modules of equal size, as few as fit. */
static bool fit(zo_closed *c, zo_modules *m, double room)
{
    for (size_t count = 2;; count++) {
        size_t size = round_up((m->units + count - 1) / count);
        if (size < LEAST) return false;
        set_size(c, m, size);
        if (zo_closed_bytes(c, c->most) + zo_modules_bytes(c) <= room) return true;
    }
}

static zo_status no_modules(zo_closed *c)
{
    zo_modules_fini(c);
    c->p = c->most = c->net->stage[c->last].rows;
    return ZO_OK;
}

/* The sums of a sketch have no units; rows of an iteration would be weighed by outputs of all modules. */
static zo_status check_others(const zo_closed *c)
{
    if (c->set.sketch)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: module is for units, sketch=%lld solves for sums of them: set "
                       "sketch=0, or no module",
                       c->info->name, (long long)c->set.sketch);
    if (zo_closed_is_logistic(c))
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: module is for least squares, not for loss=logistic: use loss=squared",
                       c->info->name);
    return ZO_OK;
}

zo_status zo_modules_plan(zo_closed *c, double room)
{
    size_t asked = (size_t)c->set.module;
    bool others = c->set.sketch || zo_closed_is_logistic(c) || c->set.ensemble > 1;
    if (asked && check_others(c)) return ZO_USAGE;
    if (!asked && (others || zo_closed_bytes(c, c->p) <= room)) return ZO_OK;
    c->modules = zo_alloc_zero(c->ctx, 1, sizeof *c->modules);
    if (!c->modules) return ZO_NO_MEMORY;
    zo_modules *m = c->modules;
    m->errors = m->squares = INFINITY;
    if (!find_units(c, m)) {
        no_modules(c);
        if (!asked) return ZO_OK;
        return zo_fail(c->ctx, ZO_UNSUPPORTED,
                       "%s: modules are made of units of a dense layer right before the last; "
                       "\"%s\" has none",
                       c->info->name, c->net->spec);
    }
    if (asked >= m->units || (!asked && !fit(c, m, room))) return no_modules(c);
    if (asked) set_size(c, m, asked);
    m->by_itself = !asked;
    c->set.module = (int64_t)m->size;
    zo_modules_enter(c);
    return ZO_OK;
}

static double rows_bytes(const zo_closed *c)
{
    return 4.0 * (double)(zo_closed_all_rows(c) + 2 * c->task->part[ZO_VALIDATION].n) * (double)c->q;
}

double zo_modules_bytes(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    double q = (double)zo_round16(c->q), workers = zo_context_threads(c->ctx);
    return rows_bytes(c) + 4 * q * (2.0 * (double)c->most + (double)m->all + (double)m->count) +
           4 * ZO_CLOSED_TILE * q + 4 * workers * ZO_CLOSED_ROWS_ITEM * (double)zo_round16(m->size);
}

void zo_modules_fini(zo_closed *c)
{
    zo_modules *m = c->modules;
    if (!m) return;
    void *all[] = {m->train, m->held, m->bias,   m->kept,      m->w,
                   m->b,     m->out,  m->packed, m->units_room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    zo_free(c->ctx, m);
    c->modules = NULL;
}

zo_status zo_modules_init(zo_closed *c)
{
    zo_modules *m = c->modules;
    size_t q = c->q, wide = zo_round16(q), rows = (size_t)zo_closed_all_rows(c),
           held = (size_t)c->task->part[ZO_VALIDATION].n,
           workers = (size_t)zo_context_threads(c->ctx);
    const struct {
        float **at;
        size_t n;
    } all[] = {{&m->train, rows * q},
               {&m->held, held * q},
               {&m->bias, m->count * q},
               {&m->kept, (m->all + 1) * q},
               {&m->w, c->most * q},
               {&m->b, wide},
               {&m->packed, zo_packed_size(c->most, q)},
               {&m->out, ZO_CLOSED_TILE * wide},
               {&m->units_room, workers * ZO_CLOSED_ROWS_ITEM * zo_round16(m->size)}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i].at) continue;
        *all[i].at = zo_alloc_zero(c->ctx, all[i].n, sizeof(float));
        if (!*all[i].at) return ZO_NO_MEMORY;
    }
    return ZO_OK;
}

/* ---- the present module ---- */

static size_t first_unit(const zo_modules *m) { return (size_t)m->at * m->size; }

static size_t units_of(const zo_modules *m)
{
    size_t left = m->units - first_unit(m);
    return left < m->size ? left : m->size;
}

/* Of the features before its units. */
static size_t before(const zo_modules *m) { return m->at ? 0 : m->others; }

/* Its first row of the last layer. */
size_t zo_modules_first_row(const zo_modules *m) { return m->at ? m->others + first_unit(m) : 0; }

size_t zo_modules_features(const zo_modules *m, int64_t at)
{
    zo_modules other = *m;
    other.at = at;
    return before(&other) + units_of(&other);
}

void zo_modules_enter(zo_closed *c) { c->p = zo_modules_features(c->modules, c->modules->at); }

/* Rows [at, at + n) of `rows`: y, what comes into the units; other: what stands beside them, or NULL. */
static void write_rows(const zo_closed_rows *rows, size_t at, size_t n, const float *y,
                       const float *other, size_t ld_other, float *room)
{
    const zo_closed *c = rows->c;
    const zo_modules *m = c->modules;
    const zo_stage *s = c->net->stage + m->dense;
    size_t units = units_of(m), ld = zo_round16(units), first = first_unit(m), place = before(m);
    zo_operand a = zo_matrix(y, s->ld_in, n, s->rows);
    zo_epilogue e = {.bias = s->has_bias ? c->net->params + s->bias + first : NULL,
                     .activate = zo_stage_activate(c->ctx->kernels, s),
                     .number = s->number};
    c->ctx->kernels->product(room, ld, 0, &a, c->net->params + s->weight + first * s->rows, units,
                             &e);
    for (size_t i = 0; i < n; i++) {
        float *to = rows->out + (at + i) * rows->ld;
        if (place) memcpy(to, other + i * ld_other, place * sizeof *to);
        memcpy(to + place, room + i * ld, units * sizeof *to);
    }
}

static void run_item(void *arg, int64_t item, int worker)
{
    const zo_closed_rows *rows = arg;
    const zo_closed *c = rows->c;
    const zo_modules *m = c->modules;
    const zo_net *net = c->net;
    float *x = c->x + (size_t)worker * c->x_floats,
          *scratch = c->scratch + (size_t)worker * c->scratch_floats,
          *room = m->units_room + (size_t)worker * ZO_CLOSED_ROWS_ITEM * zo_round16(m->size);
    int64_t first = item * ZO_CLOSED_ROWS_ITEM, left = rows->n - first;
    size_t n = left < ZO_CLOSED_ROWS_ITEM ? (size_t)left : ZO_CLOSED_ROWS_ITEM,
           ld_in = net->stage[0].ld_in;
    if (zo_cancelled(c->ctx)) return;
    for (size_t i = 0; i < n; i++)
        zo_closed_gather(rows, rows->first + first + (int64_t)i, x + i * ld_in);
    zo_tail tail = {.params = net->params,
                    .m = n,
                    .in = x,
                    .ld = ld_in,
                    .scratch = scratch,
                    .most = c->rows,
                    .to = m->dense};
    const float *y = m->dense ? zo_net_tail(net, &tail) : x, *other = NULL;
    if (m->skip >= 0) other = m->skip ? zo_net_slot(net, scratch, c->rows, m->skip - 1) : x;
    write_rows(rows, (size_t)first, n, y, other, m->skip >= 0 ? net->stage[m->skip].ld_in : 0, room);
}

void zo_modules_run(const zo_closed_rows *rows)
{
    zo_closed *c = rows->c;
    const zo_modules *m = c->modules;
    int64_t items = (rows->n + ZO_CLOSED_ROWS_ITEM - 1) / ZO_CLOSED_ROWS_ITEM;
    zo_parallel(c->ctx, items, run_item, (void *)rows);
    c->cost += (double)rows->n * (zo_net_tail_cost(c->net, 0) - zo_net_tail_cost(c->net, m->dense) +
                                  (double)c->net->stage[m->dense].rows * (double)units_of(m));
}

void zo_modules_write(zo_closed *c, const float *w, size_t ldw, const float *b)
{
    zo_modules *m = c->modules;
    const zo_stage *s = c->net->stage + c->last;
    float *params = c->net->params;
    size_t first = zo_modules_first_row(m);
    if (!m->sweep && !m->at) memset(params + s->weight, 0, s->weight_floats * sizeof *params);
    for (size_t i = 0; i < c->p; i++) {
        for (size_t j = 0; j < c->q; j++)
            params[s->weight + zo_stage_at(s, first + i, j)] = w[i * ldw + j];
    }
    memcpy(m->bias + (size_t)m->at * c->q, b, c->q * sizeof *b);
    for (size_t j = 0; s->has_bias && j < c->q; j++) {
        double sum = 0;
        for (size_t k = 0; k < m->count; k++) sum += (double)m->bias[k * c->q + j];
        params[s->bias + j] = (float)sum;
    }
}

void zo_modules_say(const zo_closed *c, char *out, size_t room)
{
    const zo_modules *m = c->modules;
    char sweeps[64] = "sweeps until validation gains no more";
    int64_t n = c->phase == ZO_CLOSED_DONE ? m->sweep + 1 : c->set.sweeps;
    if (n) snprintf(sweeps, sizeof sweeps, "%lld sweep%s", (long long)n, n > 1 ? "s" : "");
    snprintf(out, room, "%zu units in %zu modules of %zu, %s%s", m->units, m->count, m->size,
             sweeps, m->by_itself ? ": they do not fit into memory at once" : "");
}

#include "learn/closed_modules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WHOLE = ZO_PANEL, /* modules are made of whole panels of packed weights */
    LEAST = 64,       /* units of a module that nobody asked for */
    PREDICTED = 128,  /* rows of an item */
    CHOSEN = 8,       /* most sweeps where they are chosen */
    UNCHOSEN = 2      /* sweeps where nothing can choose them */
};

static int64_t all_rows(const zo_closed *c) { return zo_closed_all_rows(c); }

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
    if (c->last < 1) return false;
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

zo_status zo_modules_plan(zo_closed *c, double room)
{
    size_t asked = (size_t)c->set.module;
    if (!asked && zo_closed_bytes(c, c->p) <= room) return ZO_OK;
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
    return 4.0 * (double)(all_rows(c) + 2 * c->task->part[ZO_VALIDATION].n) * (double)c->q;
}

double zo_modules_bytes(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    double q = (double)zo_round16(c->q), workers = zo_context_threads(c->ctx);
    return rows_bytes(c) + 4 * q * (2.0 * (double)c->most + (double)m->all + (double)m->count) +
           4 * ZO_CLOSED_TILE * q + 4 * ZO_MODULES_LOOK * (double)m->all +
           4 * workers * ZO_CLOSED_ROWS_ITEM * (double)zo_round16(m->size);
}

void zo_modules_fini(zo_closed *c)
{
    zo_modules *m = c->modules;
    if (!m) return;
    void *all[] = {m->train, m->held,   m->bias, m->kept,       m->w,
                   m->b,     m->packed, m->out,  m->units_room, m->look};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    zo_free(c->ctx, m);
    c->modules = NULL;
}

zo_status zo_modules_init(zo_closed *c)
{
    zo_modules *m = c->modules;
    size_t q = c->q, wide = zo_round16(q), rows = (size_t)all_rows(c),
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
               {&m->units_room, workers * ZO_CLOSED_ROWS_ITEM * zo_round16(m->size)},
               {&m->look, ZO_MODULES_LOOK * m->all}};
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
static size_t first_row(const zo_modules *m) { return m->at ? m->others + first_unit(m) : 0; }

void zo_modules_enter(zo_closed *c) { c->p = before(c->modules) + units_of(c->modules); }

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
    size_t first = first_row(m);
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

/* ---- predictions ---- */

static void pack_weights(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    const zo_stage *s = c->net->stage + c->last;
    size_t first = first_row(m), q = c->q;
    for (size_t i = 0; i < c->p; i++) {
        for (size_t j = 0; j < q; j++)
            m->w[i * q + j] = c->net->params[s->weight + zo_stage_at(s, first + i, j)];
    }
    c->ctx->kernels->pack(m->packed, m->w, q, c->p, q);
    memcpy(m->b, m->bias + (size_t)m->at * q, q * sizeof *m->b);
}

typedef struct tile {
    const zo_closed *c;
    size_t rows;
} tile;

static void predict_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const tile *t = arg;
    const zo_closed *c = t->c;
    const zo_modules *m = c->modules;
    size_t first = (size_t)item * PREDICTED, left = t->rows - first, ld = zo_round16(c->q);
    zo_operand a = zo_matrix(c->h + first * c->p, c->p, left < PREDICTED ? left : PREDICTED, c->p);
    c->ctx->kernels->product(m->out + first * ld, ld, 0, &a, m->packed, c->q,
                             &(zo_epilogue){.bias = m->b});
}

/* to [n][q] += sign times what the present module makes of the n rows whose features are in c->h. */
static void predict(zo_closed *c, int64_t n, float sign, float *to)
{
    const zo_modules *m = c->modules;
    size_t ld = zo_round16(c->q);
    tile t = {c, (size_t)n};
    pack_weights(c);
    zo_parallel(c->ctx, (n + PREDICTED - 1) / PREDICTED, predict_item, &t);
    for (size_t i = 0; i < (size_t)n; i++) {
        for (size_t j = 0; j < c->q; j++) to[i * c->q + j] += sign * m->out[i * ld + j];
    }
    c->cost += (double)n * (double)c->p * (double)c->q;
}

void zo_modules_targets(zo_closed *c, int64_t n)
{
    zo_modules *m = c->modules;
    float *others = m->train + (size_t)c->position * c->q;
    if (m->sweep) predict(c, n, -1, others);
    for (size_t i = 0; i < (size_t)n * c->q; i++) c->y[i] -= others[i];
}

/* m->held += sign times what the present module makes of the validation part: all of it or, when it is stopped, nothing. */
static zo_status predict_held(zo_closed *c, float sign)
{
    zo_modules *m = c->modules;
    int64_t all = c->task->part[ZO_VALIDATION].n, n;
    size_t floats = (size_t)all * c->q;
    float *now = zo_alloc(c->ctx, floats * sizeof *now);
    zo_status status = now ? ZO_OK : ZO_NO_MEMORY;
    if (now) memcpy(now, m->held, floats * sizeof *now);
    for (int64_t first = 0; first < all && !status; first += n) {
        n = all - first < ZO_CLOSED_TILE ? all - first : ZO_CLOSED_TILE;
        zo_closed_features(c, ZO_VALIDATION, first, n);
        status = zo_check_cancelled(c->ctx);
        if (!status) predict(c, n, sign, now + (size_t)first * c->q);
    }
    if (!status) memcpy(m->held, now, floats * sizeof *now);
    zo_free(c->ctx, now);
    return status;
}

/* ---- sweeps ---- */

static void score(const zo_closed *c, double *errors, double *squares)
{
    const zo_examples *part = &c->task->part[ZO_VALIDATION];
    *errors = *squares = 0;
    for (size_t i = 0; i < (size_t)part->n; i++) {
        const float *out = c->modules->held + i * c->q;
        if (part->label) *errors += zo_net_largest(out, (int)c->q) != part->label[i];
        for (size_t j = 0; j < c->q; j++) {
            double want = !part->label                   ? (double)part->target[i * c->q + j]
                          : part->label[i] == (int32_t)j ? 1
                                                         : -1,
                   off = (double)out[j] - want;
            *squares += off * off;
        }
    }
}

/* The last layer, weights row after row and then biases, to or from `kept`. */
static void keep(zo_closed *c, bool restore)
{
    const zo_modules *m = c->modules;
    const zo_stage *s = c->net->stage + c->last;
    float *params = c->net->params;
    for (size_t i = 0; i <= m->all; i++) {
        for (size_t j = 0; j < c->q; j++) {
            float *kept = m->kept + i * c->q + j,
                  *at = params + (i < m->all ? s->weight + zo_stage_at(s, i, j) : s->bias + j);
            if (i == m->all && !s->has_bias) continue;
            *(restore ? at : kept) = *(restore ? kept : at);
        }
    }
}

/* So many sweeps at most; where they are chosen, one that gains nothing ends it before. */
static int64_t most_sweeps(const zo_closed *c)
{
    if (c->set.sweeps) return c->set.sweeps;
    return c->task->part[ZO_VALIDATION].n ? CHOSEN : UNCHOSEN;
}

/* Whether the sweep that just ended was the last. */
static bool end_sweep(zo_closed *c)
{
    zo_modules *m = c->modules;
    bool last = m->sweep + 1 >= most_sweeps(c);
    double errors, squares;
    if (c->set.sweeps || !c->task->part[ZO_VALIDATION].n) return last;
    score(c, &errors, &squares);
    bool better = errors < m->errors || (errors == m->errors && squares < m->squares);
    if (better) m->errors = errors, m->squares = squares;
    keep(c, !better);
    return last || !better;
}

static bool is_last(const zo_modules *m) { return (size_t)m->at + 1 == m->count; }

static void next_module(zo_closed *c)
{
    zo_modules *m = c->modules;
    if (is_last(m)) m->sweep++;
    m->at = is_last(m) ? 0 : m->at + 1;
    zo_modules_enter(c);
    c->position = 0;
    c->phase = m->sweep ? ZO_CLOSED_AT_OTHERS : ZO_CLOSED_AT_ROWS;
}

void zo_modules_solved(zo_closed *c)
{
    const zo_modules *m = c->modules;
    bool last = is_last(m) && c->set.sweeps && m->sweep + 1 == c->set.sweeps;
    zo_gram_destroy(c->gram);
    c->gram = NULL;
    c->position = 0;
    c->phase = last ? ZO_CLOSED_DONE : ZO_CLOSED_AT_UPDATE;
}

static zo_status update(zo_closed *c)
{
    zo_modules *m = c->modules;
    int64_t first = c->position - 1, left = all_rows(c) - first;
    if (c->position == 0) {
        zo_status status = predict_held(c, 1);
        if (status) return status;
        c->position = 1;
        if (is_last(m) && end_sweep(c)) c->phase = ZO_CLOSED_DONE;
        return ZO_OK;
    }
    int64_t n = left < ZO_CLOSED_TILE ? left : ZO_CLOSED_TILE;
    zo_closed_features(c, ZO_TRAIN, first, n);
    zo_status status = zo_check_cancelled(c->ctx);
    if (status) return status;
    predict(c, n, 1, m->train + (size_t)first * c->q);
    c->position += n;
    if (n == left) next_module(c);
    return ZO_OK;
}

zo_status zo_modules_advance(zo_closed *c)
{
    zo_status status = zo_closed_tile_init(c);
    if (status || c->phase == ZO_CLOSED_AT_UPDATE) return status ? status : update(c);
    status = predict_held(c, -1);
    if (!status) c->phase = ZO_CLOSED_AT_ROWS;
    return status;
}

double zo_modules_progress(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    double passes = 2 * ((double)m->sweep * (double)m->count + (double)m->at),
           all = 2 * (double)most_sweeps(c) * (double)m->count;
    passes += c->phase == ZO_CLOSED_AT_UPDATE;
    return (passes + (double)c->position / (double)(all_rows(c) + 1)) / all;
}

/* ---- state ---- */

typedef struct fixed {
    int64_t at, sweep;
    double unit, errors, squares;
} fixed;

static size_t saved_floats(const zo_closed *c, const zo_modules *m, size_t floats[4])
{
    floats[0] = (size_t)all_rows(c) * c->q;
    floats[1] = (size_t)c->task->part[ZO_VALIDATION].n * c->q;
    floats[2] = m->count * c->q;
    floats[3] = (m->all + 1) * c->q;
    return floats[0] + floats[1] + floats[2] + floats[3];
}

size_t zo_modules_saved(const zo_closed *c)
{
    size_t floats[4];
    return c->modules ? sizeof(fixed) + 4 * saved_floats(c, c->modules, floats) : 0;
}

void zo_modules_save(const zo_closed *c, zo_file_out *out)
{
    const zo_modules *m = c->modules;
    static const char zeros[4096];
    size_t floats[4];
    if (!m) return;
    fixed f = {m->at, m->sweep, m->unit, m->errors, m->squares};
    const float *array[] = {m->train, m->held, m->bias, m->kept};
    saved_floats(c, m, floats);
    zo_file_out_add(out, &f, sizeof f);
    for (int i = 0; i < 4; i++) {
        size_t left = 4 * floats[i];
        if (array[i]) zo_file_out_add(out, array[i], left);
        for (size_t n; !array[i] && left; left -= n) { /* before the first tile */
            n = left < sizeof zeros ? left : sizeof zeros;
            zo_file_out_add(out, zeros, n);
        }
    }
}

static size_t features_at(const zo_modules *m, int64_t at)
{
    zo_modules other = *m;
    other.at = at;
    return before(&other) + units_of(&other);
}

bool zo_modules_check(const zo_closed *c, zo_reader in, size_t *p)
{
    const zo_modules *m = c->modules;
    fixed f;
    zo_reader_take(&in, &f, sizeof f);
    bool fine = !in.failed && f.at >= 0 && (size_t)f.at < m->count && f.sweep >= 0 &&
                f.sweep < ZO_CLOSED_SWEEPS && f.unit >= 0 && isfinite(f.unit) && f.errors >= 0 &&
                f.squares >= 0;
    if (fine) *p = features_at(m, f.at);
    return fine;
}

bool zo_modules_load(zo_closed *c, zo_reader *in)
{
    zo_modules *m = c->modules;
    size_t floats[4];
    fixed f;
    if (zo_modules_init(c)) return false;
    float *array[] = {m->train, m->held, m->bias, m->kept};
    saved_floats(c, m, floats);
    zo_reader_take(in, &f, sizeof f);
    for (int i = 0; i < 4; i++) zo_reader_take(in, array[i], 4 * floats[i]);
    m->at = f.at, m->sweep = f.sweep, m->unit = f.unit;
    m->errors = f.errors, m->squares = f.squares;
    zo_modules_enter(c);
    return !in->failed;
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

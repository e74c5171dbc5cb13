/* Sweeps over modules: predictions of the others, validation, state. */
#include <math.h>
#include <string.h>

#include "learn/closed_modules.h"

enum {
    PREDICTED = 128, /* rows of an item */
    CHOSEN = 8,      /* most sweeps where they are chosen */
    UNCHOSEN = 2     /* sweeps where nothing can choose them */
};

/* ---- predictions ---- */

static void pack_weights(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    const zo_stage *s = c->net->stage + c->last;
    size_t first = zo_modules_first_row(m), q = c->q;
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
    const zo_modules *m = c->modules;
    size_t floats = (size_t)n * c->q;
    memcpy(c->out, m->train + (size_t)c->position * c->q, floats * sizeof *c->out);
    if (m->sweep) predict(c, n, -1, c->out);
    for (size_t i = 0; i < floats; i++) c->y[i] -= c->out[i];
}

void zo_modules_taken(zo_closed *c, int64_t n)
{
    memcpy(c->modules->train + (size_t)c->position * c->q, c->out,
           (size_t)n * c->q * sizeof *c->out);
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
    int64_t first = c->position - 1, left = zo_closed_all_rows(c) - first;
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

bool zo_modules_any(const zo_closed *c)
{
    return c->modules->at || c->modules->sweep || c->phase >= ZO_CLOSED_AT_UPDATE;
}

double zo_modules_progress(const zo_closed *c)
{
    const zo_modules *m = c->modules;
    double passes = 2 * ((double)m->sweep * (double)m->count + (double)m->at),
           all = 2 * (double)most_sweeps(c) * (double)m->count;
    passes += c->phase == ZO_CLOSED_AT_UPDATE;
    return (passes + (double)c->position / (double)(zo_closed_all_rows(c) + 1)) / all;
}

/* ---- state ---- */

typedef struct fixed {
    int64_t at, sweep;
    double unit, errors, squares;
} fixed;

static size_t saved_floats(const zo_closed *c, const zo_modules *m, size_t floats[4])
{
    floats[0] = (size_t)zo_closed_all_rows(c) * c->q;
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

bool zo_modules_check(const zo_closed *c, zo_reader in, size_t *p)
{
    const zo_modules *m = c->modules;
    fixed f;
    zo_reader_take(&in, &f, sizeof f);
    bool fine = !in.failed && f.at >= 0 && (size_t)f.at < m->count && f.sweep >= 0 &&
                f.sweep < ZO_CLOSED_SWEEPS && f.unit >= 0 && isfinite(f.unit) && f.errors >= 0 &&
                f.squares >= 0;
    if (fine) *p = zo_modules_features(m, f.at);
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

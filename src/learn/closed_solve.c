/* The last layer: lambda from the ridge path, then the solve. */
#include <math.h>
#include <string.h>

#include "learn/closed_modules.h"
#include "linear/path.h"
#include "linear/ridge.h"

#define LAMBDA_LEAST 1e-6
#define LAMBDA_MOST 0.1

enum { SCORED = 128 }; /* rows of an item of scores */

/* All solutions of the path, side by side: features of the validation part are then needed once, a tile at a time, and nowhere kept. */
typedef struct solving {
    zo_closed *c;
    size_t n; /* lambdas */
    double lambda[ZO_CLOSED_LAMBDAS], loss[ZO_CLOSED_LAMBDAS];
    bool there[ZO_CLOSED_LAMBDAS];
    float *all, *b, *packed; /* [p][n * q], [n * q], the same packed */
    float *y;                /* [TILE][round16(n * q)] */
    double *sums;            /* [items][n][2]: errors, squares */
    const float *base;       /* [validation][q]: added to every solution's; NULL: nothing */
    int64_t first, rows;     /* of the tile at hand */
} solving;

/* Rows that the training loss is of. */
static int64_t looked_at(const zo_closed *c)
{
    int64_t n = c->task->part[ZO_TRAIN].n;
    return n < ZO_CLOSED_TILE ? n : ZO_CLOSED_TILE;
}

double zo_closed_bytes(const zo_closed *c, size_t p)
{
    size_t q = c->q, n = c->set.lambda > 0 ? 1 : (size_t)c->set.lambdas;
    double solutions = 8.0 * (double)p * (double)zo_round16(n * q),
           path = c->set.lambda > 0 ? 0 : zo_path_bytes(p, q, n) + solutions,
           ridge = zo_ridge_bytes(p, q), tile = 4.0 * ZO_CLOSED_TILE * (double)(p + q + 1);
    return zo_closed_rows_bytes(c) + zo_gram_bytes(p, q, c->set.balance) + tile +
           (path > ridge ? path : ridge) + 4.0 * ZO_CLOSED_TILE * (double)zo_round16(n * q);
}

/* Evenly spaced on a logarithmic scale, without a library's pow(): the bits of a run depend on it. */
static void list_lambdas(solving *s)
{
    s->n = (size_t)s->c->set.lambdas;
    double root = 1, ratio = LAMBDA_MOST / LAMBDA_LEAST;
    if (s->n > 1) {
        double low = 1, high = ratio; /* root^(n - 1) = ratio */
        for (int i = 0; i < 200; i++) {
            double power = 1;
            root = (low + high) / 2;
            for (size_t k = 0; k + 1 < s->n; k++) power *= root;
            if (power > ratio)
                high = root;
            else
                low = root;
        }
    }
    s->lambda[0] = s->n > 1 ? LAMBDA_LEAST : 1e-4;
    for (size_t i = 1; i < s->n; i++) s->lambda[i] = s->lambda[i - 1] * root;
}

/* Of the path: only keeps the solution. */
static double keep(void *user, size_t index, double lambda, const float *w, size_t ldw,
                   const float *b)
{
    (void)lambda;
    solving *s = user;
    size_t q = s->c->q, wide = s->n * q;
    for (size_t i = 0; i < s->c->p; i++)
        memcpy(s->all + i * wide + index * q, w + i * ldw, q * sizeof *w);
    memcpy(s->b + index * q, b, q * sizeof *b);
    s->there[index] = true;
    return 0;
}

/* ---- scores ---- */

static void score_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const solving *s = arg;
    const zo_closed *c = s->c;
    const zo_examples *part = &c->task->part[ZO_VALIDATION];
    size_t q = c->q, wide = s->n * q, ld = zo_round16(wide), first = (size_t)item * SCORED,
           n = (size_t)s->rows;
    size_t m = n - first < SCORED ? n - first : SCORED;
    zo_operand a = zo_matrix(c->h + first * c->p, c->p, m, c->p);
    float *y = s->y + first * ld;
    c->ctx->kernels->product(y, ld, 0, &a, s->packed, wide, &(zo_epilogue){.bias = s->b});
    for (size_t k = 0; k < s->n; k++) {
        double *sum = s->sums + ((size_t)item * s->n + k) * 2;
        sum[0] = sum[1] = 0;
        for (size_t i = 0; i < m; i++) {
            size_t at = (size_t)s->first + first + i;
            float *out = y + i * ld + k * q;
            for (size_t j = 0; s->base && j < q; j++) out[j] += s->base[at * q + j];
            if (part->label) sum[0] += zo_net_largest(out, (int)q) != part->label[at];
            for (size_t j = 0; j < q; j++) {
                double want = !part->label                    ? (double)part->target[at * q + j]
                              : part->label[at] == (int32_t)j ? 1
                                                              : -1,
                       off = (double)out[j] - want;
                sum[1] += off * off;
            }
        }
    }
}

/* errors, squares [n]: sums over the validation part. */
static void score_all(solving *s, double *errors, double *squares)
{
    zo_closed *c = s->c;
    int64_t n = c->task->part[ZO_VALIDATION].n;
    for (s->first = 0; s->first < n && !zo_cancelled(c->ctx); s->first += s->rows) {
        s->rows = n - s->first < ZO_CLOSED_TILE ? n - s->first : ZO_CLOSED_TILE;
        int64_t items = (s->rows + SCORED - 1) / SCORED;
        zo_closed_features(c, ZO_VALIDATION, s->first, s->rows);
        zo_parallel(c->ctx, items, score_item, s);
        for (int64_t i = 0; i < items; i++) {
            for (size_t k = 0; k < s->n; k++) {
                errors[k] += s->sums[((size_t)i * s->n + k) * 2];
                squares[k] += s->sums[((size_t)i * s->n + k) * 2 + 1];
            }
        }
    }
    c->cost += (double)n * (double)c->p * (double)(s->n * c->q);
}

/* The place of the best lambda: least errors, squares between equals, then the larger one. */
static zo_status choose(solving *s, size_t *best)
{
    double errors[ZO_CLOSED_LAMBDAS] = {0}, squares[ZO_CLOSED_LAMBDAS] = {0};
    zo_closed *c = s->c;
    double n = (double)c->task->part[ZO_VALIDATION].n;
    score_all(s, errors, squares);
    zo_status status = zo_check_cancelled(c->ctx);
    if (status) return status;
    *best = s->n;
    for (size_t k = 0; k < s->n; k++) {
        if (!s->there[k] || !isfinite(squares[k])) continue;
        bool better = *best == s->n || errors[k] < errors[*best] ||
                      (errors[k] == errors[*best] && squares[k] <= squares[*best]);
        if (better) *best = k;
    }
    if (*best == s->n)
        return zo_fail(c->ctx, ZO_FORMAT, "%s: no lambda gives finite errors on validation",
                       c->info->name);
    c->error = c->task->classes ? errors[*best] / n : squares[*best] / (2 * n);
    return ZO_OK;
}

static zo_status allocate(solving *s)
{
    const zo_closed *c = s->c;
    const zo_context *ctx = c->ctx;
    size_t wide = s->n * c->q;
    s->all = zo_alloc_zero(ctx, c->p * wide, sizeof *s->all);
    s->b = zo_alloc_zero(ctx, zo_round16(wide), sizeof *s->b);
    s->packed = zo_alloc_zero(ctx, zo_packed_size(c->p, wide), sizeof *s->packed);
    s->y = zo_alloc_zero(ctx, ZO_CLOSED_TILE * zo_round16(wide), sizeof *s->y);
    s->sums = zo_alloc_zero(ctx, ZO_CLOSED_TILE / SCORED * s->n * 2, sizeof *s->sums);
    return s->all && s->b && s->packed && s->y && s->sums ? ZO_OK : ZO_NO_MEMORY;
}

/* unit: what lambda is in units of; 0: what the moments say. */
static zo_status search(zo_closed *c, const zo_moments *m, bool intercept, double unit,
                        double *lambda)
{
    solving s = {.c = c, .base = c->modules ? c->modules->held : NULL};
    double absolute[ZO_CLOSED_LAMBDAS];
    zo_path_def def = zo_path_default_def();
    zo_path_result result = {0};
    size_t best = 0;
    list_lambdas(&s);
    for (size_t i = 0; i < s.n; i++) absolute[i] = s.lambda[i] * unit;
    def.lambda = unit > 0 ? absolute : s.lambda, def.n = s.n;
    def.relative = !(unit > 0);
    def.intercept = intercept;
    def.score = keep;
    def.user = &s;
    zo_status status = allocate(&s);
    if (!status) status = zo_ridge_path(c->ctx, m, &def, s.loss, &result);
    c->cost += result.cost;
    if (!status) {
        c->ctx->kernels->pack(s.packed, s.all, s.n * c->q, c->p, s.n * c->q);
        status = choose(&s, &best);
        *lambda = s.lambda[best];
    }
    void *all[] = {s.all, s.b, s.packed, s.y, s.sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

double zo_closed_solve_cost(const zo_closed *c)
{
    solving s = {.c = (zo_closed *)c};
    zo_path_def def = zo_path_default_def();
    double p = (double)c->p, q = (double)c->q, validation = (double)c->task->part[ZO_VALIDATION].n;
    double features = zo_net_tail_cost(c->net, 0) - c->net->stage[c->last].cost,
           sum = p * p * p / 6 + 4 * p * p * q + features * (double)looked_at(c);
    if (c->set.lambda > 0) return sum;
    list_lambdas(&s);
    def.lambda = s.lambda, def.n = s.n;
    return sum + zo_path_estimate(&def, c->p, c->q) + validation * (features + p * q * (double)s.n);
}

/* ---- the layer ---- */

static zo_status write_layer(zo_closed *c, const float *w, size_t ldw, const float *b)
{
    const zo_stage *s = c->net->stage + c->last;
    bool finite = zo_all_finite(b, c->q);
    for (size_t i = 0; i < c->p; i++) finite &= zo_all_finite(w + i * ldw, c->q);
    if (!finite)
        return zo_fail(c->ctx, ZO_DIVERGED, "%s: the solution is not finite", c->info->name);
    if (c->modules) {
        zo_modules_write(c, w, ldw, b);
        return ZO_OK;
    }
    for (size_t i = 0; i < c->p; i++) {
        for (size_t j = 0; j < c->q; j++)
            c->net->params[s->weight + zo_stage_at(s, i, j)] = w[i * ldw + j];
    }
    if (s->has_bias) memcpy(c->net->params + s->bias, b, c->q * sizeof *b);
    return ZO_OK;
}

/* The sum of the losses of n rows from `first` on, h their features; the loss is that of runs: run.h. */
static double losses_of(zo_closed *c, int64_t first, int64_t n, const float *h, size_t ld)
{
    const zo_stage *s = c->net->stage + c->last;
    const zo_examples *part = &c->task->part[ZO_TRAIN];
    const zo_kernels *k = c->ctx->kernels;
    float y[4096], loss = 0;
    double sum = 0;
    if (s->ld_out > sizeof y / sizeof *y) return NAN; /* more outputs than anyone looks at */
    c->cost += (double)n * s->cost;
    for (int64_t i = 0; i < n; i++) {
        size_t at = (size_t)zo_closed_place(c, first + i);
        zo_operand a = zo_matrix(h + (size_t)i * ld, ld, 1, s->rows);
        zo_epilogue e = {.bias = s->has_bias ? c->net->params + s->bias : NULL};
        k->product(y, s->ld_out, 0, &a, c->net->params + s->weight, c->q, &e);
        k->loss[part->label ? ZO_CROSS_ENTROPY : ZO_SQUARED_ERROR](
            &loss, y, s->ld_out, 1, c->q, part->label ? part->label + at : NULL,
            part->target ? part->target + at * c->q : NULL, c->q);
        sum += (double)loss;
    }
    return sum;
}

double zo_closed_loss(zo_closed *c)
{
    int64_t all = looked_at(c), n;
    size_t ld = c->net->stage[c->last].rows;
    double sum = 0;
    for (int64_t first = 0; first < all; first += n) {
        n = all - first < ZO_MODULES_LOOK ? all - first : ZO_MODULES_LOOK;
        zo_closed_run(&(zo_closed_rows){c, ZO_TRAIN, c->last, first, n, c->modules->look, ld, true});
        sum += losses_of(c, first, n, c->modules->look, ld);
    }
    return sum / (double)all;
}

/* What lambda is in units of where module 0 says it; 0 without modules. */
static zo_status find_unit(zo_closed *c, const zo_moments *m, bool intercept, double *unit)
{
    zo_normal normal = {0};
    *unit = c->modules ? c->modules->unit : 0;
    if (!c->modules || *unit > 0) return ZO_OK;
    zo_status status = zo_normal_init(&normal, c->ctx, m, intercept);
    if (!status) *unit = zo_normal_scale(&normal);
    if (!(*unit > 0)) *unit = 1; /* nothing moves: any lambda gives weights of 0 */
    zo_normal_fini(&normal);
    return status;
}

static zo_status layer(zo_closed *c, const zo_moments *m, float *w, float *b)
{
    zo_ridge_def def = zo_ridge_default_def();
    zo_ridge_result result;
    bool intercept = c->net->stage[c->last].has_bias;
    double lambda = c->set.lambda, p = (double)c->p, q = (double)c->q, unit;
    zo_status status = find_unit(c, m, intercept, &unit);
    if (!status && !(lambda > 0)) status = search(c, m, intercept, unit, &lambda);
    def.lambda = unit > 0 ? lambda * unit : lambda;
    def.relative = !(unit > 0);
    def.intercept = intercept;
    if (!status) status = zo_ridge_solve(c->ctx, m, &def, w, c->q, intercept ? b : NULL, &result);
    if (!status && !c->modules) zo_closed_features(c, ZO_TRAIN, 0, looked_at(c));
    if (!status) status = zo_check_cancelled(c->ctx); /* from here on nothing stops it */
    if (!status) status = write_layer(c, w, c->q, b);
    if (status) return status;
    c->lambda = lambda;
    c->cost += p * p * p / 6 + (1 + result.refined) * p * p * q;
    if (c->modules) c->modules->unit = unit;
    if (result.raised)
        zo_log(c->ctx, ZO_LOG_WARNING, "%s: lambda was raised to %.3g, less has no solution",
               c->info->name, result.lambda);
    return ZO_OK;
}

zo_status zo_closed_solve(zo_closed *c, double *loss)
{
    zo_status status = zo_closed_tile_init(c); /* not there in a run that was resumed here */
    if (status) return status;
    zo_moments m = zo_gram_close(c->gram);
    float *w = zo_alloc_zero(c->ctx, c->p * c->q, sizeof *w),
          *b = zo_alloc_zero(c->ctx, c->q, sizeof *b);
    status = w && b ? layer(c, &m, w, b) : ZO_NO_MEMORY;
    if (!status && !c->modules)
        *loss = losses_of(c, 0, looked_at(c), c->h, c->p) / (double)looked_at(c);
    zo_free(c->ctx, w);
    zo_free(c->ctx, b);
    return status;
}

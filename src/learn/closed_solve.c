/* The last layer: lambda from the ridge path, then the solve. */
#include <math.h>
#include <string.h>

#include "learn/closed_modules.h"
#include "learn/closed_sketch.h"
#include "learn/closed_walk.h"
#include "linear/path.h"
#include "linear/ridge.h"

enum { SCORED = 128, SUMS = 2 + ZO_CLOSED_STEPS }; /* rows of an item of scores; sums */

/* With so many features a factor takes longer than features of the validation part: lambdas are then tried a few at a time. */
enum { WALK_FROM = 4096, WALK = 5 };

/* All solutions of the lambdas at hand lie side by side: features of the validation part are then needed once, a tile at a time, and nowhere kept. */
typedef struct solving {
    zo_closed *c;
    zo_walk walk; /* which of the lambdas are at hand */
    double lambda[ZO_CLOSED_LAMBDAS], loss[ZO_CLOSED_LAMBDAS];
    bool there[ZO_CLOSED_LAMBDAS];
    double totals[ZO_CLOSED_LAMBDAS][SUMS]; /* over the validation part */
    float *all, *b, *packed;                /* [p][n * q], [n * q], the same packed */
    float *y;                               /* [TILE][round16(n * q)] */
    float *room;         /* [TILE][2 round16(q)] for the logistic loss; else NULL */
    double *sums;        /* [items][n][SUMS]: errors, squares, cross-entropies of steps */
    const float *base;   /* [validation][q]: added to every solution's; NULL: nothing */
    int64_t first, rows; /* of the tile at hand */
} solving;

/* Rows that the training loss is of. */
static int64_t looked_at(const zo_closed *c)
{
    int64_t n = c->task->part[ZO_TRAIN].n;
    return n < ZO_CLOSED_TILE ? n : ZO_CLOSED_TILE;
}

/* Of the statistics of the widest scale layer, which come before all sums. One behind the units is as much narrower as p features are fewer. */
static double scale_bytes(const zo_closed *c, size_t p)
{
    double most = 0;
    size_t all = c->net->stage[c->last].rows, less = 0;
    for (int i = 0; i < c->last; i++) {
        const zo_stage *s = c->net->stage + i;
        if (!strcmp(s->layer->info.name, "dense")) less = !c->sketch && p < all ? all - p : 0;
        if (zo_closed_next_scale(c, i) != i) continue;
        double width = s->ld_in > less ? (double)(s->ld_in - less) : 0,
               bytes = (4.0 * (ZO_CLOSED_TILE + 1) + 16) * width;
        if (bytes > most) most = bytes;
    }
    return most;
}

double zo_closed_bytes(const zo_closed *c, size_t p)
{
    size_t q = c->q, n = c->set.lambda > 0 ? 1 : (size_t)c->set.lambdas;
    double solutions = 8.0 * (double)p * (double)zo_round16(n * q),
           path = c->set.lambda > 0 ? 0 : zo_path_bytes(p, q, n) + solutions,
           ridge = zo_ridge_bytes(p, q), tile = 4.0 * ZO_CLOSED_TILE * (double)(p + q + 1);
    double solve = zo_gram_bytes(p, q, zo_closed_sums(c)) + zo_closed_logistic_bytes(c, p) + tile +
                   (path > ridge ? path : ridge) + 4.0 * ZO_CLOSED_TILE * (double)zo_round16(n * q) +
                   4.0 * (double)(p + 1) * (double)q,
           scale = scale_bytes(c, p);
    return zo_closed_rows_bytes(c) + (scale > solve ? scale : solve) +
           (c->sketch ? 4.0 * (double)c->width : 0);
}

/* Evenly spaced on a logarithmic scale, without a library's pow(): the bits of a run depend on it. */
static void list_lambdas(solving *s)
{
    size_t n = (size_t)s->c->set.lambdas;
    double least = s->c->set.lambda_least, root = 1, ratio = s->c->set.lambda_most / least;
    if (n > 1) {
        double low = 1, high = ratio; /* root^(n - 1) = ratio */
        for (int i = 0; i < 200; i++) {
            double power = 1;
            root = (low + high) / 2;
            for (size_t k = 0; k + 1 < n; k++) power *= root;
            if (power > ratio)
                high = root;
            else
                low = root;
        }
    }
    s->lambda[0] = least;
    for (size_t i = 1; i < n; i++) s->lambda[i] = s->lambda[i - 1] * root;
}

/* Of the path: only keeps the solution. */
static double keep(void *user, size_t index, double lambda, const float *w, size_t ldw,
                   const float *b)
{
    (void)lambda;
    solving *s = user;
    size_t q = s->c->q, wide = s->walk.n * q;
    for (size_t i = 0; i < s->c->p; i++)
        memcpy(s->all + i * wide + index * q, w + i * ldw, q * sizeof *w);
    memcpy(s->b + index * q, b, q * sizeof *b);
    s->there[s->walk.begin + index] = true;
    return 0;
}

/* ---- scores ---- */

static void score_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const solving *s = arg;
    const zo_closed *c = s->c;
    const zo_examples *part = &c->task->part[ZO_VALIDATION];
    size_t q = c->q, wide = s->walk.n * q, ld = zo_round16(wide), first = (size_t)item * SCORED,
           n = (size_t)s->rows;
    size_t m = n - first < SCORED ? n - first : SCORED;
    zo_operand a = zo_matrix(c->h + first * c->p, c->p, m, c->p);
    float *y = s->y + first * ld;
    c->ctx->kernels->product(y, ld, 0, &a, s->packed, wide, &(zo_epilogue){.bias = s->b});
    float *eta = s->room ? s->room + first * 2 * zo_round16(q) : NULL;
    if (eta) zo_closed_logistic_present(c, first, m, eta);
    for (size_t k = 0; k < s->walk.n; k++) {
        double *sum = s->sums + ((size_t)item * s->walk.n + k) * SUMS;
        memset(sum, 0, SUMS * sizeof *sum);
        if (eta)
            zo_closed_logistic_score(c, m, part->label + s->first + (int64_t)first, eta, y + k * q,
                                     ld, eta + m * zo_round16(q), sum + 2);
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

static void score_all(solving *s)
{
    zo_closed *c = s->c;
    double *totals = s->totals[s->walk.begin];
    int64_t n = c->task->part[ZO_VALIDATION].n;
    for (s->first = 0; s->first < n && !zo_cancelled(c->ctx); s->first += s->rows) {
        s->rows = n - s->first < ZO_CLOSED_TILE ? n - s->first : ZO_CLOSED_TILE;
        int64_t items = (s->rows + SCORED - 1) / SCORED;
        zo_closed_features(c, ZO_VALIDATION, s->first, s->rows);
        zo_parallel(c->ctx, items, score_item, s);
        for (int64_t i = 0; i < items; i++) {
            for (size_t k = 0; k < s->walk.n * SUMS; k++)
                totals[k] += s->sums[(size_t)i * s->walk.n * SUMS + k];
        }
    }
    c->cost += (double)n * (double)c->p * (double)((s->walk.n + (s->room != NULL)) * c->q);
}

/* Whether a lambda with these totals is no worse than another: least errors, squares between equals. With the logistic loss: least cross-entropy, each
 * with the step that suits it. */
static bool is_better(const solving *s, const double *a, const double *b)
{
    if (!s->room) return a[0] < b[0] || (a[0] == b[0] && a[1] <= b[1]);
    a += 2, b += 2;
    return a[zo_closed_logistic_best(a)] <= b[zo_closed_logistic_best(b)];
}

/* The place of the best lambda so far, the larger one of equals; s->walk.listed where none has finite errors. */
static size_t best_of(const solving *s)
{
    size_t best = s->walk.listed;
    for (size_t k = 0; k < s->walk.listed; k++) {
        if (!s->there[k] || !isfinite(s->totals[k][1])) continue;
        if (best == s->walk.listed || is_better(s, s->totals[k], s->totals[best])) best = k;
    }
    return best;
}

static zo_status allocate(solving *s)
{
    const zo_closed *c = s->c;
    const zo_context *ctx = c->ctx;
    size_t wide = s->walk.n * c->q;
    s->all = zo_alloc_zero(ctx, c->p * wide, sizeof *s->all);
    s->b = zo_alloc_zero(ctx, zo_round16(wide), sizeof *s->b);
    s->packed = zo_alloc_zero(ctx, zo_packed_size(c->p, wide), sizeof *s->packed);
    s->y = zo_alloc_zero(ctx, ZO_CLOSED_TILE * zo_round16(wide), sizeof *s->y);
    s->sums = zo_alloc_zero(ctx, ZO_CLOSED_TILE / SCORED * s->walk.n * SUMS, sizeof *s->sums);
    if (!s->all || !s->b || !s->packed || !s->y || !s->sums) return ZO_NO_MEMORY;
    if (!zo_closed_is_logistic(c)) return ZO_OK;
    s->room = zo_alloc_zero(ctx, ZO_CLOSED_TILE * 2 * zo_round16(c->q), sizeof *s->room);
    return s->room ? ZO_OK : ZO_NO_MEMORY;
}

/* ---- the search ---- */

/* Solves for the lambdas at hand, and scores them. unit: what lambda is in units of; 0: what the moments say. */
static zo_status try_lambdas(solving *s, const zo_moments *m, bool intercept, double unit)
{
    zo_closed *c = s->c;
    double absolute[ZO_CLOSED_LAMBDAS];
    zo_path_def def = zo_path_default_def();
    zo_path_result result = {0};
    for (size_t i = 0; i < s->walk.n; i++) absolute[i] = s->lambda[s->walk.begin + i] * unit;
    def.lambda = unit > 0 ? absolute : s->lambda + s->walk.begin, def.n = s->walk.n;
    def.relative = !(unit > 0);
    def.intercept = intercept;
    def.score = keep;
    def.user = s;
    zo_status status = zo_ridge_path(c->ctx, m, &def, s->loss, &result);
    c->cost += result.cost;
    bool small =
        status == ZO_FORMAT && (size_t)result.failed == s->walk.n && s->walk.to < s->walk.listed;
    if (status) return small ? ZO_OK : status; /* larger ones may have solutions */
    c->ctx->kernels->pack(s->packed, s->all, s->walk.n * c->q, c->p, s->walk.n * c->q);
    score_all(s);
    return zo_check_cancelled(c->ctx);
}

/* Whether a lambda is so much better than the middle of those at hand that it is no chance: by more than half a standard deviation of a count of errors, or
 * a hundredth of a loss. */
static bool is_better_by_far(const solving *s, size_t best)
{
    size_t middle = s->walk.begin + s->walk.n / 2;
    if (!s->there[middle]) return s->there[best];
    const double *a = s->totals[best], *b = s->totals[middle];
    if (s->room)
        return a[2 + zo_closed_logistic_best(a + 2)] < 0.99 * b[2 + zo_closed_logistic_best(b + 2)];
    if (s->c->task->part[ZO_VALIDATION].label) return a[0] + sqrt(a[0]) / 2 < b[0];
    return a[1] < 0.99 * b[1];
}

static zo_status search(zo_closed *c, const zo_moments *m, bool intercept, double unit,
                        double *lambda)
{
    solving s = {.c = c, .base = c->modules ? c->modules->held : NULL};
    list_lambdas(&s);
    s.walk = zo_walk_start(s.lambda, (size_t)c->set.lambdas,
                           c->p < WALK_FROM ? ZO_CLOSED_LAMBDAS : WALK);
    zo_status status = allocate(&s);
    size_t best = s.walk.listed;
    do {
        if (!status) status = try_lambdas(&s, m, intercept, unit);
        best = best_of(&s);
    } while (!status &&
             zo_walk_on(&s.walk, best, best < s.walk.listed && is_better_by_far(&s, best)));
    if (!status && best == s.walk.listed)
        status = zo_fail(c->ctx, ZO_FORMAT, "%s: no lambda gives finite errors on validation",
                         c->info->name);
    if (!status && s.room) zo_closed_logistic_choose(c, s.totals[best] + 2);
    if (!status) *lambda = s.lambda[best];
    void *all[] = {s.all, s.b, s.packed, s.y, s.sums, s.room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

double zo_closed_solve_cost(const zo_closed *c)
{
    solving s = {.c = (zo_closed *)c};
    zo_path_def def = zo_path_default_def();
    double p = (double)c->p, q = (double)c->q, validation = (double)c->task->part[ZO_VALIDATION].n;
    double features = zo_net_tail_cost(c->net, 0) - c->net->stage[c->last].cost,
           looks = (double)looked_at(c) + zo_closed_logistic_looks(c),
           sum = p * p * p / 6 + 4 * p * p * q + features * looks;
    if (c->set.lambda > 0) return sum;
    list_lambdas(&s);
    def.lambda = s.lambda, def.n = (size_t)c->set.lambdas;
    return sum + zo_path_estimate(&def, c->p, c->q) +
           validation * (features + p * q * (double)def.n);
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
    for (size_t i = 0; i < c->width; i++) {
        for (size_t j = 0; j < c->q; j++)
            c->net->params[s->weight + zo_stage_at(s, i, j)] =
                zo_closed_sketch_weight(c, i, w, ldw, j);
    }
    if (s->has_bias) memcpy(c->net->params + s->bias, b, c->q * sizeof *b);
    return ZO_OK;
}

/* What lambda is in units of; 0: what the moments say, and it is relative. Modules have the unit of module 0, so that a lambda is the same for all,
 * and iterations that of the first. */
static zo_status find_unit(zo_closed *c, const zo_moments *m, bool intercept, double *unit)
{
    zo_normal normal = {0};
    *unit = c->modules ? c->modules->unit : 0;
    if (zo_closed_is_logistic(c)) return zo_closed_logistic_unit(c, m, intercept, unit);
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
    if (!status) status = zo_closed_logistic_step(c, result.lambda, w, c->q, b);
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

zo_status zo_closed_solve(zo_closed *c)
{
    zo_status status = zo_closed_tile_init(c); /* not there in a run that was resumed here */
    if (status) return status;
    zo_moments m = zo_gram_close(c->gram);
    float *w = zo_alloc_zero(c->ctx, c->p * c->q, sizeof *w),
          *b = zo_alloc_zero(c->ctx, c->q, sizeof *b);
    status = w && b ? layer(c, &m, w, b) : ZO_NO_MEMORY;
    zo_free(c->ctx, w);
    zo_free(c->ctx, b);
    return status;
}

/* Of the whole network: what the solve saw may be a sketch, or a module. */
double zo_closed_loss_of_rows(zo_closed *c)
{
    const zo_examples *part = &c->task->part[ZO_TRAIN];
    int64_t n = looked_at(c);
    size_t ld = c->net->stage[c->last].ld_out;
    double sum = 0;
    zo_closed_run(&(zo_closed_rows){
        .c = c, .part = ZO_TRAIN, .to = c->net->stages, .n = n, .out = c->out, .ld = ld, .whole = true});
    for (int64_t i = 0; i < n; i++) {
        size_t at = (size_t)zo_closed_place(c, i);
        float of_row;
        c->ctx->kernels->loss[part->label ? ZO_CROSS_ENTROPY : ZO_SQUARED_ERROR](
            &of_row, c->out + (size_t)i * ld, ld, 1, c->q, part->label ? part->label + at : NULL,
            part->target ? part->target + at * c->q : NULL, c->q);
        sum += (double)of_row;
    }
    return sum / (double)n;
}

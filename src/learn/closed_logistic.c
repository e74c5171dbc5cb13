/* Logistic loss of classes, multinomial, by iteratively reweighted least squares (Green 1984).
 *
 *     F(W) = sum c CE(softmax(eta), y) + lambda / 2 |W|^2,   eta = W^T h + b,   c the weight of the row's class.
 *
 * About the present outputs of a row, with p = softmax(eta) and y one-hot,
 *     CE = const + w / 2 |eta' - z|^2,   z = eta + (y - p) / w,
 * has the true derivative p - y, and instead of the curvature diag(p) - p p^T its largest eigenvalue w in all directions: one matrix of sums
 * then serves all classes. (Bohning 1992 and Krishnapuram et al. 2005 bound the curvature of all outputs at once, by 1/2, and need no new matrix,
 * but many more iterations.) Of two classes w = 2 p (1 - p) is the curvature itself along the only direction that changes anything: the
 * iteration is then Newton's.
 *
 * An iteration is a pass over the rows and a ridge solve; the first starts from the shares of the classes as probabilities (without a bias, from
 * outputs of 0), where all rows weigh the same: least squares. A solution is a direction, and of several lengths of step one is taken, 0 among
 * them. Where lambda is chosen on the validation part, lambda and step are the pair with the least cross-entropy there, which so never rises; a
 * step of 0 ends the run. Where lambda is given, the step has the least F on some tiles of rows, and where these are all rows F never rises.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed.h"

enum { ITEM = 128, TILES = 4, STEPS = ZO_CLOSED_STEPS, HALVINGS = 16, NONE = STEPS - 1 };
static const float step_length[STEPS] = {4, 2, 1, 0.5F, 0.25F, 0.125F, 0.0625F, 0};

#define WEIGHT_LEAST 1e-3 /* of a row: nothing is as sure as its probability says */
#define FALL_LEAST 1e-7   /* of F, relative: less ends the iteration */

bool zo_closed_is_logistic(const zo_closed *c) { return c->set.loss == ZO_CLOSED_LOGISTIC; }

zo_status zo_closed_logistic_check(const zo_closed *c)
{
    if (!zo_closed_is_logistic(c)) return ZO_OK;
    if (c->set.sketch) /* the present outputs are those of a layer on the inputs */
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: loss=logistic is for the last layer's inputs, sketch=%lld solves for "
                       "sums of them: set sketch=0, or use loss=squared",
                       c->info->name, (long long)c->set.sketch);
    if (c->task->classes) return ZO_OK;
    return zo_fail(c->ctx, ZO_USAGE,
                   "%s: loss=logistic is for classes, the answers of \"%s\" are numbers: use "
                   "loss=squared",
                   c->info->name, c->task->name);
}

double zo_closed_logistic_bytes(const zo_closed *c, size_t p)
{
    double q = (double)zo_round16(c->q);
    return zo_closed_is_logistic(c) ? 4 * q * (4.0 * ZO_CLOSED_TILE + (double)p) : 0;
}

static double class_weight(const zo_closed *c, int32_t label)
{
    return c->class_weight ? (double)c->class_weight[label] : 1;
}

/* ---- outputs ---- */

/* A tile's labels and outputs, some rows an item. */
typedef struct outputs {
    const zo_closed *c;
    int64_t first; /* row of the run */
    size_t rows, ld;
    float *eta;
    /* Of the line search: */
    const float *packed, *bias; /* the solution */
    float *other, *mixed;       /* as eta: its outputs, and those of a step */
    double *sums;               /* [items][STEPS] */
} outputs;

/* Rows and labels of an item; returns how many. */
static size_t labels_of(const outputs *o, int64_t item, int32_t *label)
{
    const zo_closed *c = o->c;
    size_t first = (size_t)item * ITEM, n = o->rows - first < ITEM ? o->rows - first : ITEM;
    for (size_t i = 0; i < n; i++)
        label[i] =
            c->task->part[ZO_TRAIN].label[zo_closed_place(c, o->first + (int64_t)(first + i))];
    return n;
}

void zo_closed_logistic_present(const zo_closed *c, size_t first, size_t m, float *eta)
{
    const zo_stage *s = c->net->stage + c->last;
    zo_operand a = zo_matrix(c->h + first * c->p, c->p, m, c->p);
    zo_epilogue e = {.bias = s->has_bias ? c->net->params + s->bias : NULL};
    c->ctx->kernels->product(eta, zo_round16(c->q), 0, &a, c->net->params + s->weight, c->q, &e);
}

/* The layer before the first solution: weights of 0, log shares of the classes as biases; a class without rows counts as half a row. So rare classes
 * need not come down from shares of 1 / q, which takes many iterations: their outputs move with the weights of rows that others decide. */
static void begin(zo_closed *c)
{
    const zo_stage *s = c->net->stage + c->last;
    const zo_examples *part = &c->task->part[ZO_TRAIN];
    float *bias = c->net->params + s->bias;
    double all = 0;
    for (int64_t i = 0; i < part->n; i++) all += class_weight(c, part->label[i]);
    for (size_t i = 0; i < c->p; i++)
        for (size_t j = 0; j < c->q; j++) c->net->params[s->weight + zo_stage_at(s, i, j)] = 0;
    for (size_t k = 0; k < c->q && s->has_bias; k++) {
        double rows = 0;
        for (int64_t i = 0; i < part->n; i++) rows += part->label[i] == (int32_t)k;
        if (rows < 1) rows = 0.5;
        bias[k] = (float)zo_log64(rows * class_weight(c, (int32_t)k) / all);
    }
}

/* ---- rows of an iteration ---- */

/* The largest eigenvalue of diag(p) - p p^T from e = p - onehot(label): the root x of sum p_k^2 / (p_k - x) = 1 between the second
 * largest p and the largest (Golub 1973), which the trace bounds too. Somewhat above it, never below. */
static double curvature(const float *e, size_t q, int32_t label)
{
    double most = 0, low = 0, trace = 0;
    for (size_t k = 0; k < q; k++) {
        bool own = (int32_t)k == label;
        double p = own ? 1 + (double)e[k] : (double)e[k];
        trace += p * (own ? -(double)e[k] : 1 - p);
        if (p > most)
            low = most, most = p;
        else if (p > low)
            low = p;
    }
    double high = trace < most ? trace : most;
    for (int i = 0; i < HALVINGS && low < high; i++) {
        double x = (low + high) / 2, sum = 0;
        for (size_t k = 0; k < q; k++) {
            double p = (int32_t)k == label ? 1 + (double)e[k] : (double)e[k];
            sum += p * p / (p - x);
        }
        if (sum < 1)
            low = x;
        else
            high = x;
    }
    return high;
}

static void reweigh(void *arg, int64_t item, int worker)
{
    (void)worker;
    const outputs *o = arg;
    const zo_closed *c = o->c;
    int32_t label[ITEM];
    size_t first = (size_t)item * ITEM, q = c->q, n = labels_of(o, item, label);
    float *e = o->other + first * o->ld, *eta = o->eta + first * o->ld;
    zo_closed_logistic_present(c, first, n, eta);
    c->ctx->kernels->loss_slope[ZO_CROSS_ENTROPY](e, o->ld, eta, o->ld, n, q, label, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        double w = fmax(curvature(e + i * o->ld, q, label[i]), WEIGHT_LEAST);
        float *z = c->y + (first + i) * q;
        for (size_t k = 0; k < q; k++)
            z[k] = (float)((double)eta[i * o->ld + k] - (double)e[i * o->ld + k] / w);
        c->w[first + i] = (float)(w * class_weight(c, label[i]));
    }
}

zo_status zo_closed_logistic_tile(zo_closed *c, int64_t first, size_t rows)
{
    size_t ld = zo_round16(c->q);
    float *eta = zo_alloc(c->ctx, 2 * ZO_CLOSED_TILE * ld * sizeof *eta);
    if (!eta) return ZO_NO_MEMORY;
    if (!c->logistic.iteration && !first) begin(c);
    outputs o = {.c = c, .first = first, .rows = rows, .ld = ld, .eta = eta};
    o.other = eta + ZO_CLOSED_TILE * ld;
    zo_parallel(c->ctx, (int64_t)((rows + ITEM - 1) / ITEM), reweigh, &o);
    c->cost += (double)rows * (double)c->q * (double)c->p;
    zo_free(c->ctx, eta);
    return ZO_OK;
}

/* ---- lambda ---- */

/* The w that all rows have before the first solution. */
static double first_weight(const zo_closed *c)
{
    const zo_stage *s = c->net->stage + c->last;
    size_t q = c->q, ld = zo_round16(q);
    int32_t label = 0;
    float *e = zo_alloc_zero(c->ctx, 2 * ld, sizeof *e), *eta = e + ld;
    if (!e) return NAN;
    if (s->has_bias) memcpy(eta, c->net->params + s->bias, q * sizeof *eta);
    c->ctx->kernels->loss_slope[ZO_CROSS_ENTROPY](e, ld, eta, ld, 1, q, &label, NULL, 0);
    double w = fmax(curvature(e, q, label), WEIGHT_LEAST);
    zo_free(c->ctx, e);
    return w;
}

/* The unit of lambda is that of least squares: the mean variance of features, each row with the weight of its class. It stays for good, so that a
 * lambda means the same in each iteration. */
zo_status zo_closed_logistic_unit(zo_closed *c, const zo_moments *m, bool intercept, double *unit)
{
    zo_normal s;
    double rows = (double)c->position;
    if (!c->logistic.iteration) {
        double w = first_weight(c);
        if (isnan(w)) return ZO_NO_MEMORY;
        zo_status status = zo_normal_init(&s, c->ctx, m, intercept);
        c->logistic.unit = status ? 0 : zo_normal_scale(&s) / (w * rows);
        zo_normal_fini(&s);
        if (status) return status;
        if (!(c->logistic.unit > 0)) c->logistic.unit = 1; /* features that never move */
    }
    *unit = c->logistic.unit * rows;
    return ZO_OK;
}

/* ---- the step ---- */

void zo_closed_logistic_score(const zo_closed *c, size_t m, const int32_t *label, const float *eta,
                              const float *y, size_t ldy, float *mixed, double *sum)
{
    size_t q = c->q, ld = zo_round16(q);
    float loss[ITEM];
    for (int s = 0; s < STEPS; s++) {
        float t = step_length[s];
        for (size_t i = 0; i < m; i++) {
            const float *from = eta + i * ld, *to = y + i * ldy;
            for (size_t k = 0; k < q; k++) mixed[i * ld + k] = from[k] + t * (to[k] - from[k]);
        }
        c->ctx->kernels->loss[ZO_CROSS_ENTROPY](loss, mixed, ld, m, q, label, NULL, 0);
        for (size_t i = 0; i < m; i++) sum[s] += (double)loss[i] * class_weight(c, label[i]);
    }
}

int zo_closed_logistic_best(const double *sum)
{
    int best = 0;
    for (int t = 1; t < NONE; t++)
        if (sum[t] < sum[best]) best = t;
    return best;
}

/* Relative; a loss of exactly 0 cannot fall. */
static double fall_of(double before, double after)
{
    return before > 0 ? (before - after) / before : 0;
}

void zo_closed_logistic_choose(zo_closed *c, const double *sum)
{
    double n = (double)c->task->part[ZO_VALIDATION].n;
    int best = zo_closed_logistic_best(sum);
    c->logistic.step = sum[best] < sum[NONE] ? best : NONE;
    c->logistic.loss = sum[c->logistic.step] / n;
    c->logistic.fall = fall_of(sum[NONE], sum[c->logistic.step]);
}

static void try_steps(void *arg, int64_t item, int worker)
{
    (void)worker;
    const outputs *o = arg;
    const zo_closed *c = o->c;
    int32_t label[ITEM];
    size_t first = (size_t)item * ITEM, at = first * o->ld, n = labels_of(o, item, label);
    double *sum = o->sums + item * STEPS;
    zo_closed_logistic_present(c, first, n, o->eta + at);
    zo_operand a = zo_matrix(c->h + first * c->p, c->p, n, c->p);
    zo_epilogue e = {.bias = o->bias};
    c->ctx->kernels->product(o->other + at, o->ld, 0, &a, o->packed, c->q, &e);
    memset(sum, 0, STEPS * sizeof *sum);
    zo_closed_logistic_score(c, n, label, o->eta + at, o->other + at, o->ld, o->mixed + at, sum);
}

/* total [STEPS]: mean losses over a few tiles, spread over all rows, which are all of them where there are few. */
static void losses_of_steps(zo_closed *c, outputs *o, double *total)
{
    int64_t all = zo_closed_all_rows(c), tiles = (all + ZO_CLOSED_TILE - 1) / ZO_CLOSED_TILE,
            rows = 0;
    bool few = tiles <= TILES;
    if (!few) tiles = TILES;
    for (int64_t i = 0; i < tiles; i++, rows += (int64_t)o->rows) {
        o->first = few ? i * ZO_CLOSED_TILE : i * (all - ZO_CLOSED_TILE) / (tiles - 1);
        int64_t left = all - o->first;
        o->rows = left < ZO_CLOSED_TILE ? (size_t)left : ZO_CLOSED_TILE;
        int64_t items = ((int64_t)o->rows + ITEM - 1) / ITEM;
        zo_closed_features(c, ZO_TRAIN, o->first, (int64_t)o->rows);
        zo_parallel(c->ctx, items, try_steps, o);
        for (int64_t j = 0; j < items * STEPS; j++) total[j % STEPS] += o->sums[j];
    }
    for (int t = 0; t < STEPS; t++) total[t] /= (double)rows;
    c->cost += 2 * (double)rows * (double)c->p * (double)c->q;
}

/* Element i, j of the present layer. */
static double old_weight(const zo_closed *c, size_t i, size_t j)
{
    const zo_stage *s = c->net->stage + c->last;
    return (double)c->net->params[s->weight + zo_stage_at(s, i, j)];
}

/* |W + t (V - W)|^2 = square[0] + 2 t square[1] + t^2 square[2], V [p][ldv] the solution. */
static void squares_of(const zo_closed *c, const float *v, size_t ldv, double square[3])
{
    square[0] = square[1] = square[2] = 0;
    for (size_t i = 0; i < c->p; i++) {
        for (size_t j = 0; j < c->q; j++) {
            double w = old_weight(c, i, j), d = (double)v[i * ldv + j] - w;
            square[0] += w * w;
            square[1] += w * d;
            square[2] += d * d;
        }
    }
}

static void best_step(zo_closed *c, const double *loss, double lambda, const double square[3])
{
    int best = NONE;
    double f[STEPS];
    for (int i = NONE; i >= 0; i--) {
        double t = (double)step_length[i];
        f[i] = loss[i] + lambda / 2 * (square[0] + 2 * t * square[1] + t * t * square[2]);
        if (f[i] < f[best]) best = i;
    }
    c->logistic.step = best;
    c->logistic.loss = f[best];
    c->logistic.fall = fall_of(f[NONE], f[best]);
}

/* w, b = the present layer + t (w, b - the present layer). */
static void shorten(const zo_closed *c, float t, float *w, size_t ldw, float *b)
{
    const zo_stage *s = c->net->stage + c->last;
    if (t == 1) return;
    for (size_t i = 0; i < c->p; i++) {
        for (size_t j = 0; j < c->q; j++) {
            double old = old_weight(c, i, j);
            w[i * ldw + j] = (float)(old + (double)t * ((double)w[i * ldw + j] - old));
        }
    }
    for (size_t j = 0; j < c->q && s->has_bias; j++) {
        double old = (double)c->net->params[s->bias + j];
        b[j] = (float)(old + (double)t * ((double)b[j] - old));
    }
}

static zo_status allocate(const zo_closed *c, outputs *o, float **packed, float **bias)
{
    size_t tile = ZO_CLOSED_TILE * o->ld;
    o->eta = zo_alloc_zero(c->ctx, 3 * tile, sizeof *o->eta);
    o->sums = zo_alloc_zero(c->ctx, ZO_CLOSED_TILE / ITEM * STEPS, sizeof *o->sums);
    *packed = zo_alloc_zero(c->ctx, zo_packed_size(c->p, c->q), sizeof **packed);
    *bias = zo_alloc_zero(c->ctx, o->ld, sizeof **bias);
    if (!o->eta || !o->sums || !*packed || !*bias) return ZO_NO_MEMORY;
    o->other = o->eta + tile;
    o->mixed = o->other + tile;
    o->packed = *packed;
    o->bias = *bias;
    return ZO_OK;
}

/* For a lambda that is given (absolute). */
static zo_status search_step(zo_closed *c, double lambda, const float *w, size_t ldw, const float *b)
{
    outputs o = {.c = c, .ld = zo_round16(c->q)};
    float *packed, *bias;
    double loss[STEPS] = {0}, square[3];
    zo_status status = allocate(c, &o, &packed, &bias);
    if (!status) {
        c->ctx->kernels->pack(packed, w, ldw, c->p, c->q);
        memcpy(bias, b, c->q * sizeof *b);
        losses_of_steps(c, &o, loss);
        squares_of(c, w, ldw, square);
        best_step(c, loss, lambda / (double)c->position, square);
    }
    void *all[] = {o.eta, o.sums, packed, bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->ctx, all[i]);
    return status;
}

zo_status zo_closed_logistic_step(zo_closed *c, double lambda, float *w, size_t ldw, float *b)
{
    if (!zo_closed_is_logistic(c)) return ZO_OK;
    zo_status status = c->set.lambda > 0 ? search_step(c, lambda, w, ldw, b) : ZO_OK;
    if (status) return status;
    shorten(c, step_length[c->logistic.step], w, ldw, b);
    c->logistic.lambda = lambda / (c->logistic.unit * (double)c->position);
    return ZO_OK;
}

/* ---- the end ---- */

bool zo_closed_logistic_more(zo_closed *c, bool last)
{
    if (!zo_closed_is_logistic(c)) return false;
    c->logistic.iteration++;
    if (c->logistic.iteration >= c->set.iterations || c->logistic.fall < FALL_LEAST) return false;
    if (last && c->position == zo_closed_all_rows(c))
        zo_log(c->ctx, ZO_LOG_WARNING, "%s: the budget ended after iteration %lld of %lld",
               c->info->name, (long long)c->logistic.iteration, (long long)c->set.iterations);
    if (last) return false;
    zo_gram_destroy(c->gram);
    c->gram = NULL;
    c->position = 0;
    return true;
}

bool zo_closed_logistic_stays(const zo_closed *c)
{
    return c->logistic.iteration > 0 && 2 * c->position < zo_closed_all_rows(c);
}

void zo_closed_logistic_stay(zo_closed *c)
{
    zo_log(c->ctx, ZO_LOG_WARNING,
           "%s: the budget ended in iteration %lld of %lld, with %lld of %lld rows: the solution "
           "of the iteration before is kept",
           c->info->name, (long long)c->logistic.iteration + 1, (long long)c->set.iterations,
           (long long)c->position, (long long)zo_closed_all_rows(c));
    c->position = zo_closed_all_rows(c);
}

double zo_closed_logistic_looks(const zo_closed *c)
{
    double all = (double)zo_closed_all_rows(c), most = TILES * ZO_CLOSED_TILE;
    if (!zo_closed_is_logistic(c) || !(c->set.lambda > 0)) return 0;
    return all < most ? all : most;
}

/* ---- what the trainer asks ---- */

double zo_closed_logistic_share(const zo_closed *c, double rows)
{
    if (!zo_closed_is_logistic(c)) return rows;
    return ((double)c->logistic.iteration + rows) / (double)c->set.iterations;
}

bool zo_closed_logistic_can_be(const zo_closed *c, const zo_closed_iterations *saved)
{
    int64_t most = zo_closed_is_logistic(c) ? c->set.iterations : 0;
    return saved->iteration >= 0 && saved->iteration <= most && isfinite(saved->unit) &&
           (saved->iteration == 0 || saved->unit > 0);
}

/* Rows before the end are those of the next iteration. */
void zo_closed_logistic_plan(const zo_closed *c, char *out, size_t room)
{
    int64_t rows = c->phase == ZO_CLOSED_DONE ? c->position : zo_closed_all_rows(c);
    snprintf(out, room, "iteration %lld of %lld, lambda %.3g%s, %lld rows, %s %.4g",
             (long long)c->logistic.iteration, (long long)c->set.iterations, c->logistic.lambda,
             c->set.lambda > 0 ? "" : ", chosen on validation", (long long)rows,
             c->set.lambda > 0 ? "penalised loss" : "validation loss", c->logistic.loss);
}

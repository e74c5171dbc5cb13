#include "linear/path.h"

#include <math.h>

#include "linear/cholesky.h"
#include "linear/krylov.h"

#define LEAST_PIVOT 0x1p-21f
#define MOST_STEPS 400
/* A pair of triangular solves reads the factor from memory twice: columns below so many cost what so many do. */
#define READING 24

/* A path under way. The list is sorted by lambda. */
typedef struct path {
    const zo_context *ctx;
    const zo_path_def *def;
    zo_path_result *out;
    zo_normal s;
    zo_krylov k;
    size_t p, q, ld, width;
    double *lambda;                /* [n], absolute, ascending */
    size_t *index;                 /* [n], of the caller's list */
    size_t failed;                 /* so many of the smallest cannot be solved for */
    float *a, *room, *vectors, *b; /* factor; all [p][ld] of the Krylov space; intercepts */
    double *wide, *numbers;        /* [p][width]; what the Krylov space keeps for each column */
    double *loss;
} path;

zo_path_def zo_path_default_def(void)
{
    return (zo_path_def){.relative = true, .intercept = true, .tolerance = 1e-3};
}

/* ---- the plan ---- */

/* How far lambda and mu are apart: the condition of the system between them. */
static double apart(double lambda, double mu) { return lambda > mu ? lambda / mu : mu / lambda; }

/* The residual that leaves `tolerance` of a solution. */
static double tolerance(const path *t, double lambda, double mu)
{
    return t->def->tolerance / apart(lambda, mu);
}

/* The bound for conjugate gradients; what the spectrum gives is mostly less. The logarithm is one of ours: the plan decides over bits, and no
 * two libraries have the same log(). */
static double steps_bound(const path *t, double lambda, double mu)
{
    double c = apart(lambda, mu), digits = 0.69 * (1.0 + ilogb(2 / tolerance(t, lambda, mu)));
    return c > 1 ? 1 + sqrt(c) / 2 * digits : 0;
}

static size_t group_begin(const path *t, size_t group, size_t groups)
{
    return group * t->def->n / groups;
}

static double centre(const path *t, size_t begin, size_t end)
{
    return sqrt(t->lambda[begin]) * sqrt(t->lambda[end - 1]);
}

/* Multiply-adds, or what takes as long. */
static double estimate(const path *t, size_t groups)
{
    double p = (double)t->p, cost = 0;
    for (size_t g = 0; g < groups; g++) {
        size_t begin = group_begin(t, g, groups), end = group_begin(t, g + 1, groups);
        double steps = 1 + steps_bound(t, t->lambda[begin], centre(t, begin, end));
        cost += p * p * p / 6 + steps * p * p * (double)(t->q + READING);
    }
    return cost;
}

static size_t plan(const path *t)
{
    size_t best = 1;
    for (size_t groups = 2; groups <= t->def->n; groups++) {
        if (estimate(t, groups) < estimate(t, best)) best = groups;
    }
    return best;
}

double zo_path_estimate(const zo_path_def *def, size_t p, size_t q)
{
    path t = {.def = def, .p = p, .q = q, .lambda = (double *)def->lambda};
    return estimate(&t, plan(&t));
}

/* ---- one group ---- */

static bool factor(path *t, double lambda)
{
    double p = (double)t->p;
    if (zo_cancelled(t->ctx)) return false;
    t->s.lambda = lambda;
    t->out->factorisations++;
    t->out->cost += p * p * p / 6;
    zo_normal_matrix(&t->s, t->a);
    return zo_cholesky(t->ctx, t->a, zo_square_ld(t->p), t->p, 0, LEAST_PIVOT, t->room) == t->p;
}

/* now = the right side over its largest number, which is returned. */
static double start(path *t)
{
    double most = 0;
    zo_normal_right(&t->s, t->wide);
    for (size_t i = 0; i < t->p * t->width; i++) most = fmax(most, fabs(t->wide[i]));
    for (size_t i = 0; i < t->p; i++) {
        for (size_t j = 0; j < t->q; j++)
            t->k.now[i * t->ld + j] = most > 0 ? (float)(t->wide[i * t->width + j] / most) : 0;
    }
    return most;
}

/* w times `scale`, the intercepts that go with it, and what the caller says of them. */
static void score(path *t, size_t at, float *w, double scale)
{
    bool finite = true;
    for (size_t i = 0; i < t->p; i++) {
        for (size_t j = 0; j < t->q; j++) {
            double x = scale * (double)w[i * t->ld + j];
            finite &= isfinite(x) != 0;
            t->wide[i * t->width + j] = x;
            w[i * t->ld + j] = (float)x;
        }
    }
    for (size_t j = 0; j < t->q; j++) t->b[j] = (float)zo_normal_intercept(&t->s, t->wide, j);
    double loss = INFINITY;
    if (finite)
        loss = t->def->score(t->def->user, t->index[at], t->lambda[at], w, t->ld, t->b);
    else
        t->out->failed++;
    t->loss[t->index[at]] = isnan(loss) ? INFINITY : loss;
}

/* Lambdas below `end` cannot be solved for. */
static void fail_below(path *t, size_t end)
{
    for (; t->failed < end; t->failed++) {
        t->loss[t->index[t->failed]] = INFINITY;
        t->out->failed++;
    }
}

/* lambda by itself, also where the Krylov space did not reach it. */
static void solve_alone(path *t, size_t at)
{
    if (!factor(t, t->lambda[at])) {
        fail_below(t, at + 1);
        return;
    }
    double scale = start(t), p = (double)t->p;
    zo_cholesky_solve(t->ctx, t->a, zo_square_ld(t->p), t->p, t->k.now, t->ld, t->q, t->k.room);
    t->out->steps++;
    t->out->cost += p * p * (double)t->q;
    score(t, at, t->k.now, scale);
}

static void set_shifts(path *t, size_t begin, size_t end, double mu)
{
    t->k.shifts = end - begin;
    for (size_t i = begin; i < end; i++) {
        t->k.shift[i - begin].shift = t->lambda[i] - mu;
        t->k.shift[i - begin].tolerance = tolerance(t, t->lambda[i], mu);
    }
}

/* What has no factor leaves none to smaller lambdas. */
static void run_group(path *t, size_t begin, size_t end)
{
    double mu, p = (double)t->p;
    for (;; fail_below(t, begin)) {
        begin = begin > t->failed ? begin : t->failed;
        if (begin >= end) return;
        mu = centre(t, begin, end);
        if (end - begin == 1 || factor(t, mu)) break;
        do begin++; /* mu is rounded: at least one */
        while (begin < end && t->lambda[begin] <= mu);
    }
    if (end - begin == 1) {
        solve_alone(t, begin);
        return;
    }
    double scale = start(t), bound = 2 * steps_bound(t, t->lambda[begin], mu) + 10;
    set_shifts(t, begin, end, mu);
    int steps = zo_krylov_run(&t->k, bound < MOST_STEPS ? (int)bound : MOST_STEPS);
    t->out->steps += steps;
    t->out->cost += steps * p * p * (double)t->q;
    for (size_t i = begin; i < end; i++) {
        if (t->k.shift[i - begin].done) score(t, i, t->k.shift[i - begin].w, scale);
    }
    for (size_t i = end; i-- > begin;) {
        if (!t->k.shift[i - begin].done && i >= t->failed) solve_alone(t, i);
    }
}

/* ---- all of it ---- */

double zo_path_bytes(size_t p, size_t q, size_t n)
{
    double wide = (double)p * (double)zo_round16(q), lists = 3.0 * (double)(n + 1) * (double)q;
    double floats = (double)zo_square_floats(p) + (double)zo_cholesky_room(p) +
                    (double)zo_solve_room(q) + wide * (3 + 2 * (double)n) + (double)q;
    double doubles = (double)p * (double)zo_normal_width(q) + lists +
                     (double)zo_krylov_chunks(p) * (double)q + 2.0 * (double)(p + q);
    return 4 * floats + 8 * doubles + (double)n * (16 + sizeof(zo_shift));
}

static void share_out(path *t)
{
    zo_krylov *k = &t->k;
    size_t floats = t->p * t->ld, q = t->q;
    float *v = t->vectors;
    double *d = t->numbers;
    k->now = v, k->before = v + floats, k->next = v + 2 * floats;
    k->first = d, k->alpha = d + q, k->beta = d + 2 * q;
    v += 3 * floats, d += 3 * q;
    for (size_t i = 0; i < t->def->n; i++, v += 2 * floats, d += 3 * q) {
        zo_shift *s = k->shift + i;
        s->w = v, s->along = v + floats;
        s->pivot = d, s->size = d + q, s->ratio = d + 2 * q;
    }
    k->partial = d;
}

static zo_status allocate(path *t)
{
    const zo_context *ctx = t->ctx;
    size_t n = t->def->n, chunks = zo_krylov_chunks(t->p);
    t->k = (zo_krylov){.ctx = ctx, .p = t->p, .q = t->q, .ld = t->ld};
    t->lambda = zo_alloc_zero(ctx, n, sizeof *t->lambda);
    t->index = zo_alloc_zero(ctx, n, sizeof *t->index);
    t->a = zo_alloc_zero(ctx, zo_square_floats(t->p), sizeof *t->a);
    t->room = zo_alloc_zero(ctx, zo_cholesky_room(t->p), sizeof *t->room);
    t->vectors = zo_alloc_zero(ctx, t->p * t->ld, (3 + 2 * n) * sizeof *t->vectors);
    t->b = zo_alloc_zero(ctx, t->q, sizeof *t->b);
    t->wide = zo_alloc_zero(ctx, t->p * t->width, sizeof *t->wide);
    t->numbers = zo_alloc_zero(ctx, (3 * (n + 1) + chunks) * t->q, sizeof *t->numbers);
    t->k.room = zo_alloc_zero(ctx, zo_solve_room(t->q), sizeof *t->k.room);
    t->k.shift = zo_alloc_zero(ctx, n, sizeof *t->k.shift);
    t->k.l = t->a;
    bool all_there = t->lambda && t->index && t->a && t->room && t->vectors && t->b && t->wide &&
                     t->numbers && t->k.room && t->k.shift;
    if (!all_there) return ZO_NO_MEMORY;
    share_out(t);
    return ZO_OK;
}

static void release(path *t)
{
    zo_normal_fini(&t->s);
    void *all[] = {t->lambda, t->index, t->a,       t->room,   t->vectors,
                   t->b,      t->wide,  t->numbers, t->k.room, t->k.shift};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(t->ctx, all[i]);
}

static void sort(path *t)
{
    double unit = t->def->relative ? zo_normal_scale(&t->s) : 1;
    if (!(unit > 0)) unit = 1; /* nothing moves: any lambda gives weights of 0 */
    for (size_t i = 0; i < t->def->n; i++) {
        double lambda = t->def->lambda[i] * unit;
        size_t at = i;
        for (; at > 0 && t->lambda[at - 1] > lambda; at--) {
            t->lambda[at] = t->lambda[at - 1];
            t->index[at] = t->index[at - 1];
        }
        t->lambda[at] = lambda;
        t->index[at] = i;
    }
}

/* The largest lambda. */
static zo_status check_size(const path *t)
{
    double most = t->lambda[t->def->n - 1];
    if (zo_normal_fits(&t->s, most)) return ZO_OK;
    return zo_fail(t->ctx, ZO_USAGE, "ridge path: a lambda of %g is too large for these features",
                   most);
}

static zo_status choose(path *t)
{
    double least = INFINITY;
    for (size_t i = 0; i < t->def->n; i++) {
        double loss = t->loss[t->index[i]];
        if (!(loss <= least) || isinf(loss)) continue;
        least = loss;
        t->out->best = t->index[i];
        t->out->lambda = t->lambda[i];
    }
    if (isfinite(least)) return ZO_OK;
    return zo_fail(t->ctx, ZO_FORMAT,
                   "no lambda of %zu gives a finite loss; %d are too small to be solved for",
                   t->def->n, t->out->failed);
}

static zo_status check(const zo_context *ctx, const zo_moments *m, const zo_path_def *def)
{
    bool fine = def->n > 0 && def->score && m->q > 0 && def->tolerance > 0;
    for (size_t i = 0; i < def->n; i++) fine &= def->lambda[i] > 0 && isfinite(def->lambda[i]);
    return fine ? ZO_OK
                : zo_fail(ctx, ZO_USAGE,
                          "ridge path: %zu lambdas, %zu outputs; lambdas must be above 0", def->n,
                          m->q);
}

zo_status zo_ridge_path(const zo_context *ctx, const zo_moments *m, const zo_path_def *def,
                        double *loss, zo_path_result *out)
{
    *out = (zo_path_result){0};
    zo_status status = check(ctx, m, def);
    if (status) return status;
    path t = {.ctx = ctx, .def = def, .out = out, .p = m->p, .q = m->q, .loss = loss};
    t.ld = zo_round16(m->q);
    t.width = zo_normal_width(m->q);
    status = zo_normal_init(&t.s, ctx, m, def->intercept);
    if (!status) status = allocate(&t);
    if (!status) {
        sort(&t);
        status = check_size(&t);
    }
    if (!status) {
        size_t groups = plan(&t);
        for (size_t g = groups; g-- > 0;)
            run_group(&t, group_begin(&t, g, groups), group_begin(&t, g + 1, groups));
        status = zo_check_cancelled(ctx); /* then groups ended early, as if they had failed */
        if (!status) status = choose(&t);
    }
    release(&t);
    return status;
}

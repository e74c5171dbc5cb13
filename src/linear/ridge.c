#include "linear/ridge.h"

#include <math.h>
#include <string.h>

#include "linear/cholesky.h"
#include "linear/cholesky64.h"

/* A pivot is what is left of a feature once all before it are known; below a few roundings of the whole it is noise. */
#define LEAST_PIVOT 0x1p-21f
/* Refinement repairs what the factor loses, not what float32 sums have lost before it: only where the factor alone would leave fewer than
 * four digits. */
#define FEW_DIGITS 1e-4
/* A solve whose residual is larger has failed; where refinement stops above the second, another factor may do better. */
#define MOST_RESIDUAL 1e-2
#define FINE_RESIDUAL 1e-6
#define MOST_STEPS 20
#define LAST_CORRECTION 1e-6

/* A solve under way. */
typedef struct work {
    const zo_context *ctx;
    zo_normal s;
    size_t p, q, ld, ldb, width;
    float *a, *room, *b, *solve_room; /* factor; right side */
    double *w, *r, *kept;             /* [p][width]; r has a row more */
    double *a64;                      /* factor, where float64 is needed */
    bool float64;
} work;

zo_ridge_def zo_ridge_default_def(void)
{
    return (zo_ridge_def){.lambda = 1e-4, .relative = true, .intercept = true, .refine = -1};
}

double zo_ridge_bytes(size_t p, size_t q)
{
    double wide = (double)p * (double)zo_normal_width(q);
    double floats = (double)zo_square_floats(p) + (double)zo_cholesky_room(p) +
                    (double)p * (double)zo_round16(q) + (double)zo_solve_room(q);
    double small = p <= ZO_RIDGE_SMALL ? 8.0 * (double)p * (double)p : 0;
    return 4 * floats + 8 * (3 * wide + 2.0 * (double)(p + q)) + small;
}

static zo_status allocate(work *k)
{
    const zo_context *ctx = k->ctx;
    k->a = zo_alloc_zero(ctx, zo_square_floats(k->p), sizeof *k->a);
    k->room = zo_alloc_zero(ctx, zo_cholesky_room(k->p), sizeof *k->room);
    k->b = zo_alloc_zero(ctx, k->p * k->ldb, sizeof *k->b);
    k->solve_room = zo_alloc_zero(ctx, zo_solve_room(k->q), sizeof *k->solve_room);
    k->w = zo_alloc_zero(ctx, k->p * k->width, sizeof *k->w);
    k->r = zo_alloc_zero(ctx, (k->p + 1) * k->width, sizeof *k->r);
    k->kept = zo_alloc_zero(ctx, k->p * k->width, sizeof *k->kept);
    return k->a && k->room && k->b && k->solve_room && k->w && k->r && k->kept ? ZO_OK
                                                                               : ZO_NO_MEMORY;
}

static void release(work *k)
{
    zo_normal_fini(&k->s);
    void *all[] = {k->a, k->room, k->b, k->solve_room, k->w, k->r, k->kept, k->a64};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(k->ctx, all[i]);
}

/* ---- one solve, and its refinement ---- */

static double length(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* r = solution for the right side r. In float32 it is scaled to 1, so that small residuals do not fade away. */
static void solve_once(work *k)
{
    if (k->float64) {
        zo_cholesky64_solve(k->a64, k->p, k->r, k->width, k->width);
        return;
    }
    double most = 0;
    for (size_t i = 0; i < k->p * k->width; i++) most = fmax(most, fabs(k->r[i]));
    for (size_t i = 0; i < k->p && most > 0; i++) {
        for (size_t j = 0; j < k->q; j++)
            k->b[i * k->ldb + j] = (float)(k->r[i * k->width + j] / most);
    }
    if (most > 0) zo_cholesky_solve(k->ctx, k->a, k->ld, k->p, k->b, k->ldb, k->q, k->solve_room);
    for (size_t i = 0; i < k->p && most > 0; i++) {
        for (size_t j = 0; j < k->q; j++)
            k->r[i * k->width + j] = most * (double)k->b[i * k->ldb + j];
    }
}

/* w += solution for the right side r; how long that is as a share of w. */
static double correct(work *k)
{
    size_t n = k->p * k->width;
    solve_once(k);
    for (size_t i = 0; i < n; i++) k->w[i] += k->r[i];
    double whole = length(k->w, n);
    return whole > 0 ? length(k->r, n) / whole : 0;
}

static double norm(const work *k, size_t columns)
{
    double sum = 0;
    for (size_t i = 0; i < k->p; i++) {
        for (size_t j = 0; j < columns; j++) sum += k->r[i * k->width + j] * k->r[i * k->width + j];
    }
    return sqrt(sum);
}

/* r = right side - matrix w; its length as a share of the right side's. */
static double residual(work *k, size_t columns)
{
    zo_normal_right(&k->s, k->r);
    double whole = norm(k, columns);
    zo_normal_residual(&k->s, k->r, k->w, columns);
    return whole > 0 ? norm(k, columns) / whole : 0;
}

/* Refines until corrections no longer show in float32, or the residual stops falling. */
static void refine(work *k, int most, zo_ridge_result *out)
{
    size_t bytes = k->p * k->width * sizeof *k->w;
    double moved = 1, before = INFINITY;
    while (out->refined < most && moved > LAST_CORRECTION && out->residual < before / 2 &&
           !zo_cancelled(k->ctx)) {
        before = out->residual;
        memcpy(k->kept, k->w, bytes);
        moved = correct(k);
        out->residual = residual(k, k->width);
        if (out->residual < before) {
            out->refined++;
            continue;
        }
        memcpy(k->w, k->kept, bytes);
        out->residual = before;
    }
}

static void solve(work *k, int most, zo_ridge_result *out)
{
    memset(k->w, 0, k->p * k->width * sizeof *k->w);
    zo_normal_right(&k->s, k->r);
    correct(k);
    out->refined = 0;
    out->residual = residual(k, most > 0 ? k->width : k->width < 8 ? k->width : 8);
    refine(k, most, out);
}

/* ---- factors ---- */

/* How much the inverse lengthens a vector that it has been given before: at most 1 / the smallest eigenvalue, and not far from it. */
static double inverse_norm(work *k)
{
    double size = sqrt((double)k->p);
    for (size_t i = 0; i < k->p; i++) /* far from smooth, as the smallest eigenvectors are */
        k->b[i * k->ldb] = (uint32_t)(i * 2654435761u) >> 31 ? 1 : -1;
    for (int times = 0; times < 2; times++) {
        for (size_t i = 0; i < k->p; i++)
            k->b[i * k->ldb] = (float)((double)k->b[i * k->ldb] / size);
        zo_cholesky_solve(k->ctx, k->a, k->ld, k->p, k->b, k->ldb, 1, k->solve_room);
        double sum = 0;
        for (size_t i = 0; i < k->p; i++)
            sum += (double)k->b[i * k->ldb] * (double)k->b[i * k->ldb];
        size = sqrt(sum);
    }
    return size;
}

static size_t factor32(work *k, zo_ridge_result *out)
{
    double norm = zo_normal_matrix(&k->s, k->a);
    size_t column = zo_cholesky(k->ctx, k->a, k->ld, k->p, 0, LEAST_PIVOT, k->room);
    k->float64 = false;
    if (column == k->p) out->condition = norm * inverse_norm(k);
    return column;
}

static zo_status factor64(work *k, size_t *column)
{
    if (!k->a64) k->a64 = zo_alloc(k->ctx, k->p * k->p * sizeof *k->a64);
    if (!k->a64) return ZO_NO_MEMORY;
    zo_normal_matrix64(&k->s, k->a64);
    *column = zo_cholesky64(k->a64, k->p);
    k->float64 = true;
    return ZO_OK;
}

static int steps(const zo_ridge_def *def, double condition)
{
    if (def->refine >= 0) return def->refine;
    return condition * 0x1p-24 > FEW_DIGITS ? MOST_STEPS : 0;
}

static bool good(const work *k, double residual, double most)
{
    bool fine = residual <= most;
    for (size_t i = 0; i < k->p * k->width; i++) fine &= fabs(k->w[i]) < 1e30;
    return fine;
}

/* With the lambda of k->s: float32, then float64 if p is small. *done: w is good. */
static zo_status attempt(work *k, const zo_ridge_def *def, zo_ridge_result *out, bool *done)
{
    size_t column = factor32(k, out);
    bool small = k->p <= ZO_RIDGE_SMALL;
    if (column == k->p) {
        int most = steps(def, out->condition);
        solve(k, most, out);
        *done = good(k, out->residual, small && most > 0 ? FINE_RESIDUAL : MOST_RESIDUAL);
    }
    if (out->column == k->p) out->column = column;
    if (*done || !small) return ZO_OK;
    zo_status status = factor64(k, &column);
    if (status || column < k->p) return status;
    solve(k, def->refine < 0 ? 1 : def->refine, out);
    *done = good(k, out->residual, MOST_RESIDUAL);
    return ZO_OK;
}

/* Raises lambda until there is a solution. */
static zo_status search(work *k, const zo_ridge_def *def, zo_ridge_result *out)
{
    double scale = zo_normal_scale(&k->s);
    k->s.lambda = def->lambda * (def->relative ? scale : 1);
    if (k->p > ZO_RIDGE_SMALL && !zo_normal_fits(&k->s, k->s.lambda))
        return zo_fail(k->ctx, ZO_USAGE, "ridge: a lambda of %g is too large for these features",
                       k->s.lambda);
    for (bool done = false; !out->raised || (scale > 0 && k->s.lambda <= 1e3 * scale);) {
        zo_status status = attempt(k, def, out, &done);
        if (!status) status = zo_check_cancelled(k->ctx);
        if (status) return status;
        out->lambda = k->s.lambda;
        out->float64 = k->float64;
        if (done) return ZO_OK;
        k->s.lambda = fmax(10 * k->s.lambda, 1e-6 * scale);
        out->raised = true;
    }
    return zo_fail(k->ctx, ZO_FORMAT,
                   "the sums of products are not those of any rows (feature %zu): were rows taken "
                   "away that had not been added?",
                   out->column);
}

static void hand_over(const work *k, float *w, size_t ldw, float *b)
{
    for (size_t i = 0; i < k->p; i++) {
        for (size_t j = 0; j < k->q; j++) w[i * ldw + j] = (float)k->w[i * k->width + j];
    }
    for (size_t j = 0; b && j < k->q; j++) b[j] = (float)zo_normal_intercept(&k->s, k->w, j);
}

zo_status zo_ridge_solve(const zo_context *ctx, const zo_moments *m, const zo_ridge_def *def,
                         float *w, size_t ldw, float *b, zo_ridge_result *out)
{
    zo_ridge_result unseen;
    if (!out) out = &unseen;
    *out = (zo_ridge_result){.column = m->p, .condition = INFINITY};
    if (!(def->lambda >= 0 && isfinite(def->lambda)) || m->q == 0)
        return zo_fail(ctx, ZO_USAGE, "ridge: lambda %g, %zu outputs; lambda must be 0 or more",
                       def->lambda, m->q);
    work k = {.ctx = ctx, .p = m->p, .q = m->q};
    k.ld = zo_square_ld(k.p);
    k.ldb = zo_round16(k.q);
    k.width = zo_normal_width(k.q);
    zo_status status = zo_normal_init(&k.s, ctx, m, def->intercept);
    if (!status) status = allocate(&k);
    if (!status) status = search(&k, def, out);
    if (!status) hand_over(&k, w, ldw, b);
    release(&k);
    return status;
}

#include "linear/dual.h"

#include <math.h>

#include "linear/gram.h"

enum {
    BLOCK = ZO_GRAM_TILE, /* features that are taken together */
    ITEM = ZO_PANEL,      /* features of an item of work */
};

typedef struct dual {
    zo_context *ctx;
    const zo_rows_of *rows;
    bool intercept;
    size_t first, n; /* the block's features */
    size_t ldq;
    float *block;         /* [BLOCK][m]: features about their means, one a row */
    float *mean;          /* [BLOCK], of the block's features */
    float *y, *alpha;     /* [m][ldq]: outputs about their means; solution */
    float *packed, *sums; /* alpha; [BLOCK][ldq] */
    double *centre;       /* [q]: means of outputs, later intercepts */
    zo_gram *gram;
} dual;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static double mean_of(const float *x, size_t ld, size_t m)
{
    double sum = 0;
    for (size_t i = 0; i < m; i++) sum += (double)x[i * ld];
    return sum / (double)m;
}

/* Features of an item, turned and centred. */
static void turn(void *arg, int64_t item, int worker)
{
    (void)worker;
    dual *d = arg;
    size_t m = d->rows->m, begin = (size_t)item * ITEM, end = least(begin + ITEM, d->n);
    const float *h = d->rows->h + d->first;
    for (size_t f = begin; f < end; f++) {
        double mean = mean_of(h + f, d->rows->ldh, m); /* not finite where a number is not */
        d->mean[f] = d->intercept || !isfinite(mean) ? (float)mean : 0;
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t f = begin; f < end; f++)
            d->block[f * m + i] = h[i * d->rows->ldh + f] - d->mean[f];
    }
}

static void take_block(dual *d, size_t first)
{
    d->first = first;
    d->n = least(BLOCK, d->rows->p - first);
    zo_parallel(d->ctx, (int64_t)((d->n + ITEM - 1) / ITEM), turn, d);
}

/* Rows against rows: the features are what is summed over. */
static zo_status sum_features(dual *d)
{
    for (size_t first = 0; first < d->rows->p; first += BLOCK) {
        take_block(d, first);
        for (size_t f = 0; f < d->n; f++) {
            if (!isfinite(d->mean[f]))
                return zo_fail(d->ctx, ZO_FORMAT, "feature %zu is not finite", first + f);
        }
        zo_status status = zo_gram_add(d->gram, d->n, d->block, d->rows->m, NULL, 0, NULL);
        if (status) return status;
    }
    return ZO_OK;
}

static zo_status centre_outputs(dual *d)
{
    const zo_rows_of *r = d->rows;
    for (size_t j = 0; j < r->q; j++) {
        double mean = mean_of(r->y + j, r->ldy, r->m);
        if (!isfinite(mean)) return zo_fail(d->ctx, ZO_FORMAT, "output %zu is not finite", j);
        d->centre[j] = d->intercept ? mean : 0;
        for (size_t i = 0; i < r->m; i++)
            d->y[i * d->ldq + j] = (float)((double)r->y[i * r->ldy + j] - d->centre[j]);
    }
    return ZO_OK;
}

/* alpha. A relative lambda is relative to the mean over features, not over rows: the trace is the same. */
static zo_status solve(dual *d, const zo_ridge_def *def, zo_ridge_result *out)
{
    zo_moments m = zo_gram_close(d->gram);
    zo_ridge_def about_zero = *def;
    zo_normal s;
    m.q = d->rows->q, m.c = d->y, m.ldc = d->ldq, m.sum_y = NULL, m.shift_y = NULL;
    about_zero.intercept = about_zero.relative = false;
    zo_status status = zo_normal_init(&s, d->ctx, &m, false);
    if (!status && def->relative)
        about_zero.lambda *= zo_normal_scale(&s) * (double)d->rows->m / (double)d->rows->p;
    zo_normal_fini(&s);
    if (status) return status;
    return zo_ridge_solve(d->ctx, &m, &about_zero, d->alpha, d->ldq, NULL, out);
}

static void form_rows(void *arg, int64_t item, int worker)
{
    (void)worker;
    dual *d = arg;
    size_t m = d->rows->m, begin = (size_t)item * ITEM;
    zo_operand x = zo_matrix(d->block + begin * m, m, least(ITEM, d->n - begin), m);
    d->ctx->kernels->product(d->sums + begin * d->ldq, d->ldq, 0, &x, d->packed, d->rows->q,
                             &(zo_epilogue){0});
}

/* W = X^T alpha, block by block; and what the means take from the intercepts. */
static void form_weights(dual *d, float *w, size_t ldw)
{
    size_t q = d->rows->q;
    d->ctx->kernels->pack(d->packed, d->alpha, d->ldq, d->rows->m, q);
    for (size_t first = 0; first < d->rows->p; first += BLOCK) {
        take_block(d, first);
        zo_parallel(d->ctx, (int64_t)((d->n + ITEM - 1) / ITEM), form_rows, d);
        for (size_t f = 0; f < d->n; f++) {
            for (size_t j = 0; j < q; j++) {
                float x = d->sums[f * d->ldq + j];
                w[(first + f) * ldw + j] = x;
                d->centre[j] -= (double)d->mean[f] * (double)x;
            }
        }
    }
}

double zo_dual_bytes(size_t m, size_t q)
{
    double ldq = (double)zo_round16(q), rows = (double)m;
    double floats = BLOCK * rows + 3 * rows * ldq + BLOCK * (1 + ldq);
    return zo_gram_bytes(m, 0, 0) + zo_ridge_bytes(m, q) + 4 * floats + 8.0 * (double)q;
}

static zo_status allocate(dual *d)
{
    const zo_context *ctx = d->ctx;
    size_t m = d->rows->m;
    d->block = zo_alloc_zero(ctx, BLOCK * m, sizeof *d->block);
    d->mean = zo_alloc_zero(ctx, BLOCK, sizeof *d->mean);
    d->y = zo_alloc_zero(ctx, m * d->ldq, sizeof *d->y);
    d->alpha = zo_alloc_zero(ctx, m * d->ldq, sizeof *d->alpha);
    d->packed = zo_alloc_zero(ctx, m * d->ldq, sizeof *d->packed);
    d->sums = zo_alloc_zero(ctx, BLOCK * d->ldq, sizeof *d->sums);
    d->centre = zo_alloc_zero(ctx, d->rows->q, sizeof *d->centre);
    bool all_there = d->block && d->mean && d->y && d->alpha && d->packed && d->sums && d->centre;
    return all_there ? zo_gram_create(d->ctx, m, 0, 0, &d->gram) : ZO_NO_MEMORY;
}

static void release(dual *d)
{
    void *all[] = {d->block, d->mean, d->y, d->alpha, d->packed, d->sums, d->centre};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(d->ctx, all[i]);
    zo_gram_destroy(d->gram);
}

zo_status zo_ridge_dual(zo_context *ctx, const zo_rows_of *rows, const zo_ridge_def *def, float *w,
                        size_t ldw, float *b, zo_ridge_result *out)
{
    if (!rows->m || !rows->p || !rows->q)
        return zo_fail(ctx, ZO_USAGE, "ridge: %zu rows, %zu features, %zu outputs", rows->m,
                       rows->p, rows->q);
    dual d = {.ctx = ctx, .rows = rows, .intercept = def->intercept, .ldq = zo_round16(rows->q)};
    zo_status status = allocate(&d);
    if (!status) status = centre_outputs(&d);
    if (!status) status = sum_features(&d);
    if (!status) status = solve(&d, def, out);
    if (!status) form_weights(&d, w, ldw);
    for (size_t j = 0; !status && b && j < rows->q; j++)
        b[j] = def->intercept ? (float)d.centre[j] : 0;
    release(&d);
    return status;
}

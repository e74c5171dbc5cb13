#include "linear/moments.h"

#include <math.h>

enum { TILE = 64 };

static double or_zero(const double *x, size_t i) { return x ? x[i] : 0; }
static double or_zero_f(const float *x, size_t i) { return x ? (double)x[i] : 0; }

static zo_status bad_column(const zo_normal *s, const char *what, size_t column)
{
    return zo_fail(s->ctx, ZO_FORMAT,
                   "%s %zu is not finite, or too large to be squared in float32: leave it out or "
                   "scale it",
                   what, column);
}

static zo_status check(const zo_normal *s)
{
    const zo_moments *m = s->m;
    if (!(m->weight > 0 && isfinite(m->weight)))
        return zo_fail(s->ctx, ZO_FORMAT,
                       "the weights of the rows sum to %g; more than 0 is needed", m->weight);
    for (size_t i = 0; i < m->p; i++) {
        if (!zo_all_finite(m->g + i * m->ld, i + 1) || !isfinite(or_zero(m->sum_h, i)))
            return bad_column(s, "feature", i);
        for (size_t j = 0; j < m->q; j++) {
            if (!isfinite(m->c[i * m->ldc + j])) return bad_column(s, "output", j);
        }
    }
    for (size_t j = 0; j < m->q; j++) {
        if (!isfinite(or_zero(m->sum_y, j))) return bad_column(s, "output", j);
    }
    return ZO_OK;
}

static void centres(double *off, double *mean, size_t n, const double *sum, const float *shift,
                    double weight)
{
    double root = sqrt(weight);
    for (size_t i = 0; i < n; i++) {
        off[i] = or_zero(sum, i) / root;
        mean[i] = or_zero_f(shift, i) * root + off[i];
    }
}

zo_status zo_normal_init(zo_normal *s, const zo_context *ctx, const zo_moments *m, bool intercept)
{
    *s = (zo_normal){.ctx = ctx, .m = m, .intercept = intercept};
    zo_status status = check(s);
    if (status) return status;
    s->off = zo_alloc(ctx, m->p * sizeof *s->off);
    s->mean = zo_alloc(ctx, m->p * sizeof *s->mean);
    s->off_y = zo_alloc(ctx, m->q * sizeof *s->off_y);
    s->mean_y = zo_alloc(ctx, m->q * sizeof *s->mean_y);
    s->squares = zo_alloc(ctx, (m->p / TILE + 1) * sizeof *s->squares);
    if (!s->off || !s->mean || !s->off_y || !s->mean_y || !s->squares) return ZO_NO_MEMORY;
    centres(s->off, s->mean, m->p, m->sum_h, m->shift_h, m->weight);
    centres(s->off_y, s->mean_y, m->q, m->sum_y, m->shift_y, m->weight);
    return ZO_OK;
}

void zo_normal_fini(zo_normal *s)
{
    zo_free(s->ctx, s->off);
    zo_free(s->ctx, s->mean);
    zo_free(s->ctx, s->off_y);
    zo_free(s->ctx, s->mean_y);
    zo_free(s->ctx, s->squares);
    *s = (zo_normal){0};
}

/* Element i, j of A, i >= j. */
static double element(const zo_normal *s, size_t i, size_t j)
{
    double a = (double)s->m->g[i * s->m->ld + j] - s->off[i] * s->off[j];
    return s->intercept ? a : a + s->mean[i] * s->mean[j];
}

double zo_normal_diagonal(const zo_normal *s, size_t i)
{
    double a = element(s, i, i);
    return a > 0 ? a : 0;
}

double zo_normal_scale(const zo_normal *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->m->p; i++) sum += zo_normal_diagonal(s, i);
    return s->m->p ? sum / (double)s->m->p : 0;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Rows i.. and columns j.. of A + lambda I, at or below the diagonal, as t[TILE][TILE]; a tile on the diagonal is whole. */
static void fetch(const zo_normal *s, size_t i, size_t j, double t[TILE][TILE])
{
    size_t rows = least(TILE, s->m->p - i), columns = least(TILE, s->m->p - j);
    for (size_t r = 0; r < rows; r++) {
        size_t end = i == j ? r + 1 : columns;
        for (size_t c = 0; c < end; c++) t[r][c] = element(s, i + r, j + c);
        if (i != j) continue;
        double d = zo_normal_diagonal(s, i + r) + s->lambda;
        t[r][r] = d > 0 ? d : 1; /* a feature that never moves, its row all zeros: weight 0 */
        for (size_t c = 0; c < r; c++) t[c][r] = t[r][c];
    }
}

typedef struct fill {
    const zo_normal *s;
    float *a;
} fill;

/* A tile of rows; what lies left of the diagonal stands for two elements. */
static void fill_rows(void *arg, int64_t item, int worker)
{
    (void)worker;
    const fill *f = arg;
    size_t p = f->s->m->p, ld = zo_square_ld(p), i = (size_t)item * TILE;
    double t[TILE][TILE], sum = 0;
    for (size_t j = 0; j <= i; j += TILE) {
        fetch(f->s, i, j, t);
        for (size_t r = 0; r < least(TILE, p - i); r++) {
            for (size_t c = 0; c < least(TILE, p - j); c++) {
                f->a[(i + r) * ld + j + c] = (float)t[r][c];
                sum += (i == j ? 1 : 2) * t[r][c] * t[r][c];
            }
        }
    }
    f->s->squares[item] = sum;
}

double zo_normal_matrix(const zo_normal *s, float *a)
{
    fill f = {s, a};
    size_t items = (s->m->p + TILE - 1) / TILE;
    double sum = 0;
    zo_parallel(s->ctx, (int64_t)items, fill_rows, &f);
    for (size_t i = 0; i < items; i++) sum += s->squares[i];
    return sqrt(sum);
}

void zo_normal_matrix64(const zo_normal *s, double *a)
{
    size_t p = s->m->p;
    double t[TILE][TILE];
    for (size_t i = 0; i < p; i += TILE) {
        for (size_t j = 0; j <= i; j += TILE) {
            fetch(s, i, j, t);
            for (size_t r = 0; r < least(TILE, p - i); r++) {
                for (size_t c = 0; c < least(TILE, p - j); c++)
                    a[(i + r) * p + j + c] = a[(j + c) * p + i + r] = t[r][c];
            }
        }
    }
}

void zo_normal_right(const zo_normal *s, double *r)
{
    const zo_moments *m = s->m;
    size_t width = zo_normal_width(m->q);
    for (size_t i = 0; i < m->p; i++) {
        for (size_t j = 0; j < width; j++) {
            double b = j < m->q ? (double)m->c[i * m->ldc + j] - s->off[i] * s->off_y[j] : 0;
            if (j < m->q && !s->intercept) b += s->mean[i] * s->mean_y[j];
            r[i * width + j] = b;
        }
    }
}

/* ---- the residual ---- */

typedef struct product {
    const zo_normal *s;
    double *r;
    const double *w;
    size_t width, columns;
} product;

static void transpose(double t[TILE][TILE])
{
    for (size_t i = 0; i < TILE; i++) {
        for (size_t j = 0; j < i; j++) {
            double x = t[i][j];
            t[i][j] = t[j][i], t[j][i] = x;
        }
    }
}

/* Eight sums at a time stay in registers. */
static void subtract_row(double *r, const double *t, const double *w, size_t terms, size_t width,
                         size_t columns)
{
    for (size_t c = 0; c < columns; c += 8) {
        double sum[8];
        for (size_t k = 0; k < 8; k++) sum[k] = r[c + k];
        for (size_t j = 0; j < terms; j++) {
            const double *from = w + j * width + c;
            for (size_t k = 0; k < 8; k++) sum[k] -= t[j] * from[k];
        }
        for (size_t k = 0; k < 8; k++) r[c + k] = sum[k];
    }
}

static void subtract_rows(void *arg, int64_t item, int worker)
{
    (void)worker;
    const product *f = arg;
    size_t p = f->s->m->p, i = (size_t)item * TILE, rows = least(TILE, p - i);
    double t[TILE][TILE] = {{0}};
    for (size_t j = 0; j < p; j += TILE) {
        fetch(f->s, i > j ? i : j, i > j ? j : i, t);
        if (j > i) transpose(t);
        for (size_t r = 0; r < rows; r++)
            subtract_row(f->r + (i + r) * f->width, t[r], f->w + j * f->width, least(TILE, p - j),
                         f->width, f->columns);
    }
}

void zo_normal_residual(const zo_normal *s, double *r, const double *w, size_t columns)
{
    product f = {s, r, w, zo_normal_width(s->m->q), columns};
    zo_parallel(s->ctx, (int64_t)((s->m->p + TILE - 1) / TILE), subtract_rows, &f);
}

double zo_normal_intercept(const zo_normal *s, const double *w, size_t j)
{
    if (!s->intercept) return 0;
    double root = sqrt(s->m->weight), sum = s->mean_y[j] / root;
    size_t width = zo_normal_width(s->m->q);
    for (size_t i = 0; i < s->m->p; i++) sum -= s->mean[i] / root * w[i * width + j];
    return sum;
}

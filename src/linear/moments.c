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
    s->along = zo_alloc(ctx, 2 * zo_normal_width(m->q) * sizeof *s->along);
    s->squares = zo_alloc(ctx, (m->p / TILE + 1) * sizeof *s->squares);
    if (!s->off || !s->mean || !s->off_y || !s->mean_y || !s->along || !s->squares)
        return ZO_NO_MEMORY;
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
    zo_free(s->ctx, s->along);
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

bool zo_normal_fits(const zo_normal *s, double lambda)
{
    double most = 0;
    for (size_t i = 0; i < s->m->p; i++) most = fmax(most, zo_normal_diagonal(s, i));
    return most + lambda < 1e37;
}

double zo_normal_scale(const zo_normal *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->m->p; i++) sum += zo_normal_diagonal(s, i);
    return s->m->p ? sum / (double)s->m->p : 0;
}

/* The same with lambda. A feature that never moves, its row all zeros, has 1 there: weight 0. */
static double diagonal(const zo_normal *s, size_t i)
{
    double d = zo_normal_diagonal(s, i) + s->lambda;
    return d > 0 ? d : 1;
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
        t[r][r] = diagonal(s, i + r);
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
    double *along; /* [2][width]: off . w and mean . w */
    size_t width, columns;
} product;

/* Rows i.. and columns j.. of g, symmetric, as t[TILE][TILE]. */
static void fetch_sums(const zo_moments *m, size_t i, size_t j, double t[TILE][TILE])
{
    size_t rows = least(TILE, m->p - i), columns = least(TILE, m->p - j);
    if (j > i) {
        for (size_t c = 0; c < columns; c++) {
            for (size_t r = 0; r < rows; r++) t[r][c] = (double)m->g[(j + c) * m->ld + i + r];
        }
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        size_t end = i == j ? r + 1 : columns;
        for (size_t c = 0; c < end; c++) t[r][c] = (double)m->g[(i + r) * m->ld + j + c];
        for (size_t c = 0; i == j && c < r; c++) t[c][r] = t[r][c];
    }
}

/* Two float64 numbers of a row: what every compiler keeps in one register, elementwise, so with the same bits. */
typedef double pair __attribute__((vector_size(16), may_alias));

/* Two rows of t against `n` pairs of columns, whose sums stay in registers; n is a constant where this is called. */
static inline __attribute__((always_inline)) void subtract_some(double *r, const double *t,
                                                                const double *w, size_t terms,
                                                                size_t width, const size_t n)
{
    pair first[4], second[4], *to = (pair *)r, *below = (pair *)(r + width);
    for (size_t k = 0; k < n; k++) first[k] = to[k], second[k] = below[k];
    for (size_t j = 0; j < terms; j++, w += width) {
        const pair *from = (const pair *)w, x = {t[j], t[j]}, y = {t[TILE + j], t[TILE + j]};
        for (size_t k = 0; k < n; k++) {
            first[k] -= x * from[k];
            second[k] -= y * from[k];
        }
    }
    for (size_t k = 0; k < n; k++) to[k] = first[k], below[k] = second[k];
}

static void subtract_two(double *r, const double *t, const double *w, size_t terms, size_t width,
                         size_t columns)
{
    size_t c = 0;
    for (; c + 8 <= columns; c += 8) subtract_some(r + c, t, w + c, terms, width, 4);
    for (; c < columns; c += 2) subtract_some(r + c, t, w + c, terms, width, 1);
}

/* The diagonal is what zo_normal_matrix() makes of it; the rest of A is g and two products of vectors. */
static void subtract_rest(const product *f, size_t i)
{
    const zo_normal *s = f->s;
    double *r = f->r + i * f->width, own = element(s, i, i), extra = diagonal(s, i) - own;
    for (size_t c = 0; c < f->columns; c++) {
        r[c] += s->off[i] * f->along[c] - extra * f->w[i * f->width + c];
        if (!s->intercept) r[c] -= s->mean[i] * f->along[f->width + c];
    }
}

static void subtract_rows(void *arg, int64_t item, int worker)
{
    (void)worker;
    const product *f = arg;
    size_t p = f->s->m->p, i = (size_t)item * TILE, rows = least(TILE, p - i);
    double t[TILE][TILE];
    for (size_t j = 0; j < p; j += TILE) {
        fetch_sums(f->s->m, i, j, t);
        for (size_t r = 0; r < rows; r += 2)
            subtract_two(f->r + (i + r) * f->width, t[r], f->w + j * f->width, least(TILE, p - j),
                         f->width, f->columns);
    }
    for (size_t r = 0; r < rows; r++) subtract_rest(f, i + r);
}

void zo_normal_residual(const zo_normal *s, double *r, const double *w, size_t columns)
{
    size_t width = zo_normal_width(s->m->q);
    product f = {s, r, w, s->along, width, columns};
    memset(s->along, 0, 2 * width * sizeof *s->along);
    for (size_t i = 0; i < s->m->p; i++) {
        for (size_t c = 0; c < columns; c++) {
            s->along[c] += s->off[i] * w[i * width + c];
            s->along[width + c] += s->mean[i] * w[i * width + c];
        }
    }
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

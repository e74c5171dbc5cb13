/* What a ridge problem needs to know of its rows: sums of products about a shift, and the sums that move them to another centre.
 *
 * n rows (h, y) with weights w, p features and q outputs. With x = h - shift_h and t = y - shift_y, both float32:
 *     g = sum w x x^T,   c = sum w x t^T,   sum_h = sum w x,   sum_y = sum w t,   weight = sum w.
 * The matrices that are solved follow exactly in float64, element by element: about the mean (with an intercept) it is
 *     g - weight d d^T,   d = sum_h / weight,
 * and about zero (without one) that plus weight m m^T, m = shift_h + d. Where the shift lies near the mean, d is small and nothing cancels.
 */
#ifndef ZO_LINEAR_MOMENTS_H
#define ZO_LINEAR_MOMENTS_H

#include <string.h>

#include "base/context.h"
#include "kernels/kernels.h"

/* Distance of rows, in floats, of a square matrix of n columns here: whole panels, and never a multiple of 256, which would crowd all rows of
 * a tile into a few sets of a cache. There are zo_square_rows(n) rows. */
static inline size_t zo_square_rows(size_t n) { return (n + ZO_PANEL - 1) / ZO_PANEL * ZO_PANEL; }
static inline size_t zo_square_ld(size_t n)
{
    size_t ld = zo_square_rows(n);
    return ld % 256 ? ld : ld + ZO_PANEL;
}
/* Floats of such a matrix. A full square although only the lower triangle is used: rows are then plain rows for the product kernel, and
 * neighbours in memory; packed triangles of tiles would save half and cost every reader an index. */
static inline size_t zo_square_floats(size_t n) { return zo_square_rows(n) * zo_square_ld(n); }

/* Whether all of n numbers are finite. In integers, which compilers turn into vectors: the exponent of what is not is all ones. */
static inline bool zo_all_finite(const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

/* A view: nothing is owned. */
typedef struct zo_moments {
    size_t p, q, ld, ldc;
    double weight;
    const float *g;                 /* [p][ld], the lower triangle alone is read */
    const float *c;                 /* [p][ldc] */
    const double *sum_h, *sum_y;    /* [p], [q]; NULL: zeros */
    const float *shift_h, *shift_y; /* [p], [q]; NULL: zeros */
} zo_moments;

/* The system (A + lambda I) W = B of a ridge problem, about the mean or about zero. */
typedef struct zo_normal {
    const zo_context *ctx;
    const zo_moments *m;
    bool intercept;
    double lambda;          /* absolute, added to the diagonal */
    double *off, *mean;     /* [p]: d and m above, times sqrt(weight); owned */
    double *off_y, *mean_y; /* [q]: the same of the outputs; owned */
    double *along,
        *squares; /* room for products with vectors, and for sums of tiles of rows; owned */
} zo_normal;

/* `m` is borrowed. Errors: FORMAT (not finite, and in which column; weights whose sum is not positive), NO_MEMORY. fini() is legal after a
 * failure, and on zeros. */
zo_status zo_normal_init(zo_normal *s, const zo_context *ctx, const zo_moments *m, bool intercept);
void zo_normal_fini(zo_normal *s);

/* Element i, i of A, without lambda; never below 0, rounding may not make it so. */
double zo_normal_diagonal(const zo_normal *s, size_t i);
/* Whether A + lambda I is within float32, with room for sums. */
bool zo_normal_fits(const zo_normal *s, double lambda);
/* Their mean over i: what a relative lambda is relative to. */
double zo_normal_scale(const zo_normal *s);

/* a = A + lambda I in float32, the lower triangle (what lies above it in a tile of 64 may be written too); a [zo_square_floats(p)]. Returns its
 * Frobenius norm. */
double zo_normal_matrix(const zo_normal *s, float *a);
/* The same in float64, whole, a [p][p]; on the calling thread: for small p. */
void zo_normal_matrix64(const zo_normal *s, double *a);

/* Doubles between rows of what follows: outputs in pairs. */
static inline size_t zo_normal_width(size_t q) { return (q + 1) / 2 * 2; }
/* r = B, in float64, zeros in the pad; r [p][zo_normal_width(q)]. */
void zo_normal_right(const zo_normal *s, double *r);
/* r -= (A + lambda I) w in float64, for the first `columns` columns, an even number; w and r as above, but r has one row more, of no
 * meaning. Sums run in a fixed order: no bit depends on threads. About p^2 * columns multiply-adds. */
void zo_normal_residual(const zo_normal *s, double *r, const double *w, size_t columns);
/* Mean of output j minus (mean of h) . w: what is added to every prediction; 0 without an intercept. */
double zo_normal_intercept(const zo_normal *s, const double *w, size_t j);

#endif

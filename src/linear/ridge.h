/* Ridge regression from sums of products: the W and b that minimise  sum w |y - W^T h - b|^2 + lambda |W|^2.
 *
 * One float32 Cholesky factor, in tiles, and where the condition says that it leaves too few digits, refinement: residuals in float64,
 * corrections through the same factor, until they stop falling. Weights are always finite. Features that never move get weight 0.
 */
#ifndef ZO_LINEAR_RIDGE_H
#define ZO_LINEAR_RIDGE_H

#include "linear/moments.h"

/* Up to so many features a system that float32 cannot factor is tried in float64 before lambda is raised. */
#define ZO_RIDGE_SMALL 1024

typedef struct zo_ridge_def {
    double lambda; /* >= 0 */
    bool relative; /* in units of the mean variance of features times the rows: the mean of the diagonal of the matrix solved */
    bool intercept; /* about the mean, with a b that is not penalised; else about zero, b = 0 */
    int refine;     /* most steps of refinement; -1: as the condition asks, up to 20; 0: none */
} zo_ridge_def;

/* relative lambda 1e-4, an intercept, refinement as needed. */
zo_ridge_def zo_ridge_default_def(void);

typedef struct zo_ridge_result {
    double lambda; /* absolute, the one that was used */
    bool raised;   /* larger than what was asked for, because that could not be solved */
    bool float64;  /* factored in float64 */
    size_t column; /* feature at which float32 failed first; p: it did not */
    double condition; /* about, from a few solves with the float32 factor; infinity where there is none */
    int refined; /* steps of refinement kept */
    double residual; /* |right side - matrix W| / |right side|; of the first 8 outputs where nothing was refined */
} zo_ridge_result;

/* Bytes that a solve allocates besides the moments: about 4 p^2 + 28 p (q + 37), and 8 p^2 where p is small and float32 fails. */
double zo_ridge_bytes(size_t p, size_t q);

/* w [p][ldw], q columns, and b [q] (NULL where there is no intercept). The moments are only read. About p^3 / 6 + p^2 q multiply-adds, and as
 * much as p^2 q for each residual. out may be NULL.
 * Errors: USAGE (a lambda that is negative, not finite or, for many features, too large for float32; no outputs), FORMAT (moments that are not finite, and which column; that no lambda
 * makes positive definite; rows whose weights do not sum to more than 0), NO_MEMORY, CANCELLED. */
zo_status zo_ridge_solve(const zo_context *ctx, const zo_moments *m, const zo_ridge_def *def,
                         float *w, size_t ldw, float *b, zo_ridge_result *out);

#endif

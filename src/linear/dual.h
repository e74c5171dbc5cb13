/* Ridge regression where there are fewer rows than features: the same W and b as ridge.h, from the m x m matrix of rows against rows.
 *
 *     W = X^T (X X^T + lambda I)^-1 (Y - mean),   X = H - mean,
 * costs m^2 p / 2 + m^3 / 6 + 2 m p q multiply-adds where sums over features cost m p^2 / 2 + p^3 / 6.
 */
#ifndef ZO_LINEAR_DUAL_H
#define ZO_LINEAR_DUAL_H

#include "linear/ridge.h"

/* m rows h [m][p] and y [m][q], in memory; borrowed. */
typedef struct zo_rows_of {
    size_t m, p, q, ldh, ldy;
    const float *h, *y;
} zo_rows_of;

/* w [p][ldw], q columns, and b [q] (NULL where there is no intercept). Everything in `def` means what it means for zo_ridge_solve(), so does
 * what comes out, but `column` counts rows, m of them, and the condition is that of the m x m matrix. Means are rounded to float32 before rows
 * are taken about them. out may be NULL.
 * Errors: USAGE (a bad lambda, no rows, features or outputs), FORMAT (a feature or output that is not finite), NO_MEMORY. */
zo_status zo_ridge_dual(zo_context *ctx, const zo_rows_of *rows, const zo_ridge_def *def, float *w,
                        size_t ldw, float *b, zo_ridge_result *out);

/* Bytes that it allocates: about 8 m^2 + 4 (2 m q + 800 m), and what zo_ridge_bytes() says of small m. */
double zo_dual_bytes(size_t m, size_t q);

#endif

/* Small triangular systems, the diagonal blocks of cholesky.c and solve.c: one panel of right sides against one block of L.
 *
 * Substitution in steps of ZO_STEP rows; between steps the product kernel takes what is already solved. Its right side is minus the
 * solution, packed, because the kernel adds.
 */
#ifndef ZO_LINEAR_TRIANGLE_H
#define ZO_LINEAR_TRIANGLE_H

#include "kernels/kernels.h"

#define ZO_STEP 16

static inline size_t zo_least(size_t a, size_t b) { return a < b ? a : b; }

/* x = L^-1 x and minus = -x, for n <= ZO_PANEL columns; l [m][ld], x [m][ldx] padded, minus [m][32, or 16 where n is no more]. */
void zo_panel_lower(const zo_kernels *k, const float *l, size_t ld, size_t m, float *x, size_t ldx,
                    size_t n, float *minus);
/* The same for L^-T. */
void zo_panel_upper(const zo_kernels *k, const float *l, size_t ld, size_t m, float *x, size_t ldx,
                    size_t n, float *minus);

#endif

/* Cholesky factors of large matrices in float32, in tiles, on all threads, and the solves that go with them.
 *
 * a [n][ld] is symmetric, its lower triangle is used; ld = zo_square_ld(n), zo_square_rows(n) rows are there. What is above the diagonal may
 * be overwritten. Tiles, blocks and so every chain are fixed by n: the bits depend neither on threads nor on the kernel set.
 */
#ifndef ZO_LINEAR_CHOLESKY_H
#define ZO_LINEAR_CHOLESKY_H

#include "linear/moments.h"

/* Floats of `room` below. */
size_t zo_cholesky_room(size_t n);
/* a = L with L L^T = a + ridge I. Returns n when done, or the column whose pivot is not above `least` times its diagonal (or not finite): the
 * matrix is not positive definite, or numerically not; a is then spoilt. least = 0: not above 0. Ends
 * early, as if a pivot had failed, after zo_cancel(): callers ask. About n^3 / 6 multiply-adds. */
size_t zo_cholesky(const zo_context *ctx, float *a, size_t ld, size_t n, double ridge, float least,
                   float *room);

/* Floats of `room` below. */
size_t zo_solve_room(size_t q);
/* b = L^-1 b, b = L^-T b, and both, the solution of L L^T x = b; b [n][ldb], padded rows, ldb >= zo_round16(q). n^2 q / 2 multiply-adds for
 * each of the two. L is read once for all columns. */
void zo_solve_lower(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                    size_t ldb, size_t q, float *room);
void zo_solve_upper(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                    size_t ldb, size_t q, float *room);
void zo_cholesky_solve(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                       size_t ldb, size_t q, float *room);

#endif

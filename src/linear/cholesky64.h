/* Cholesky in float64 for small matrices that float32 cannot factor. Plain loops on the calling thread. */
#ifndef ZO_LINEAR_CHOLESKY64_H
#define ZO_LINEAR_CHOLESKY64_H

#include <stddef.h>

/* a [n][n] = U with U^T U = a; only the upper triangle is read and written. Returns n, or the column whose pivot is not above n times the
 * rounding of its diagonal, or not finite: a is then spoilt. */
size_t zo_cholesky64(double *a, size_t n);
/* b = a^-1 b, b [n][ldb], q columns. */
void zo_cholesky64_solve(const double *u, size_t n, double *b, size_t ldb, size_t q);

#endif

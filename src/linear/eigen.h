/* Eigenvalues and vectors of small symmetric matrices, in plain float64 loops: the same bits everywhere, which LAPACK does not promise. */
#ifndef ZO_LINEAR_EIGEN_H
#define ZO_LINEAR_EIGEN_H

#include <stddef.h>

/* a [n][n] = V diag(value) V^T by Householder reflections and implicit QL (Golub & Van Loan, Matrix Computations, 8.3). a is spoilt; row i of
 * v [n][n] is the vector of value[i]; in no order. About 6 n^3 multiply-adds. */
void zo_eigen_symmetric(double *a, size_t n, double *v, double *value);

/* to [k][n] = the vectors of the k largest values, k <= n, largest first, of equals the first; signs so that the largest component, the first of
 * equals, is not negative: nothing hangs on the last digit. */
void zo_eigen_leading(const double *v, const double *value, size_t n, size_t k, double *to);

#endif

#include "linear/cholesky64.h"

#include <math.h>

/* y -= f x */
static void subtract(double *restrict y, const double *restrict x, double f, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] -= f * x[i];
}

static void divide(double *x, double f, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] /= f;
}

/* Row j takes what rows above it have to give, all at once: its own first number tells what is left of its diagonal. */
size_t zo_cholesky64(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double *row = a + j * n, whole = row[j];
        for (size_t k = 0; k < j; k++) subtract(row + j, a + k * n + j, a[k * n + j], n - j);
        if (!(row[j] > (double)n * 0x1p-53 * whole) || !isfinite(row[j])) return j;
        double pivot = sqrt(row[j]);
        row[j] = pivot;
        divide(row + j + 1, pivot, n - j - 1);
    }
    return n;
}

void zo_cholesky64_solve(const double *u, size_t n, double *b, size_t ldb, size_t q)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) subtract(b + i * ldb, b + k * ldb, u[k * n + i], q);
        divide(b + i * ldb, u[i * n + i], q);
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) subtract(b + i * ldb, b + k * ldb, u[i * n + k], q);
        divide(b + i * ldb, u[i * n + i], q);
    }
}

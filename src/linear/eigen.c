#include "linear/eigen.h"

#include <math.h>

enum { SWEEPS_MOST = 60 };

/* The sum of squares off the diagonal, and of all. */
static double off_diagonal(const double *a, size_t n, double *all)
{
    double off = 0;
    *all = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double square = a[i * n + j] * a[i * n + j];
            *all += square;
            off += i == j ? 0 : square;
        }
    }
    return off;
}

/* x, y = c x - s y, s x + c y */
static void rotate(double *x, double *y, size_t step, size_t n, double c, double s)
{
    for (size_t i = 0; i < n; i++, x += step, y += step) {
        double p = *x, q = *y;
        *x = c * p - s * q;
        *y = s * p + c * q;
    }
}

/* Makes a[p][q] zero. */
static void annihilate(double *a, size_t n, double *v, size_t p, size_t q)
{
    double apq = a[p * n + q];
    if (apq == 0) return;
    double tau = (a[q * n + q] - a[p * n + p]) / (2 * apq),
           t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t),
           s = t * c;
    rotate(a + p, a + q, n, n, c, s);
    rotate(a + p * n, a + q * n, 1, n, c, s);
    rotate(v + p * n, v + q * n, 1, n, c, s);
    a[p * n + q] = a[q * n + p] = 0;
}

void zo_eigen_symmetric(double *a, size_t n, double *v, double *value)
{
    double all;
    for (size_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < SWEEPS_MOST; sweep++) {
        if (off_diagonal(a, n, &all) <= 1e-28 * all) break;
        for (size_t p = 0; p + 1 < n; p++) {
            for (size_t q = p + 1; q < n; q++) annihilate(a, n, v, p, q);
        }
    }
    for (size_t i = 0; i < n; i++) value[i] = a[i * n + i];
}

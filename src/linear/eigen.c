#include "linear/eigen.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { SWEEPS_MOST = 60 }; /* for each value; two or three are usual */

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* x [n] = v of the reflection I - f v v^T that takes x to (first, 0, ...); returns f, 0 where it is so already. */
static double reflection(double *x, size_t n, double *first)
{
    double rest = dot(x + 1, x + 1, n - 1), length = sqrt(x[0] * x[0] + rest);
    *first = x[0];
    if (rest == 0) return 0;
    *first = x[0] > 0 ? -length : length;
    x[0] -= *first;
    return 2 / (x[0] * x[0] + rest);
}

/* The trailing m x m block of a, rows n apart, = H a H with H = I - f v v^T: a - v w^T - w v^T, w = f a v - (f^2 / 2) (v^T a v) v. */
static void reflect_both(double *a, size_t n, size_t m, const double *v, double f, double *w)
{
    for (size_t i = 0; i < m; i++) w[i] = f * dot(a + i * n, v, m);
    double half = f / 2 * dot(v, w, m);
    for (size_t i = 0; i < m; i++) w[i] -= half * v[i];
    for (size_t i = 0; i < m; i++) {
        double *row = a + i * n;
        for (size_t j = 0; j < m; j++) row[j] -= v[i] * w[j] + w[i] * v[j];
    }
}

/* a = Q T Q^T with T tridiagonal: value is its diagonal, what stands beside value[k] and value[k + 1] goes to row 0 of a; v = Q^T. Until then the
 * reflection of step k lies in row k of a, its f in the diagonal, T beside it below; rows of v are room. */
static void make_tridiagonal(double *a, size_t n, double *v, double *value)
{
    for (size_t k = 0; k + 1 < n; k++) {
        size_t m = n - k - 1;
        double *x = a + k * n + k + 1, f = reflection(x, m, x + n - 1);
        value[k] = x[-1];
        if (f > 0) reflect_both(x + n, n, m, x, f, v);
        x[-1] = f;
    }
    value[n - 1] = a[n * n - 1];
    memset(v, 0, n * n * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i * n + i] = 1;
    for (size_t k = n - 1; k-- > 0;) {
        const double *x = a + k * n + k + 1;
        for (size_t i = k + 1; i < n; i++) {
            double *row = v + i * n + k + 1, t = x[-1] * dot(row, x, n - k - 1);
            for (size_t j = 0; j < n - k - 1; j++) row[j] -= t * x[j];
        }
    }
    for (size_t k = 0; k + 1 < n; k++) a[k] = a[(k + 1) * n + k];
    a[n - 1] = 0;
}

/* x, y = c x - s y, s x + c y */
static void rotate(double *x, double *y, size_t n, double c, double s)
{
    for (size_t i = 0; i < n; i++) {
        double p = x[i], q = y[i];
        x[i] = c * p - s * q;
        y[i] = s * p + c * q;
    }
}

/* The first place from l on behind which nothing is left beside the diagonal. NaN counts as nothing: the loop must end. */
static size_t end_of_block(const double *value, const double *off, size_t l, size_t n)
{
    size_t m = l;
    while (m + 1 < n && fabs(off[m]) > DBL_EPSILON * (fabs(value[m]) + fabs(value[m + 1]))) m++;
    return m;
}

/* One sweep of implicit QL with Wilkinson's shift over values l to m. */
static void sweep(double *value, double *off, size_t l, size_t m, double *v, size_t n)
{
    double half = (value[l + 1] - value[l]) / (2 * off[l]), r = sqrt(half * half + 1),
           g = value[m] - value[l] + off[l] / (half + (half >= 0 ? r : -r)), s = 1, c = 1, p = 0;
    for (size_t i = m; i-- > l;) {
        double f = s * off[i], b = c * off[i];
        off[i + 1] = r = sqrt(f * f + g * g);
        if (r == 0) { /* it fell apart by itself */
            value[i + 1] -= p;
            off[m] = 0;
            return;
        }
        s = f / r, c = g / r;
        g = value[i + 1] - p;
        r = (value[i] - g) * s + 2 * c * b;
        p = s * r;
        value[i + 1] = g + p;
        g = c * r - b;
        rotate(v + i * n, v + (i + 1) * n, n, c, s);
    }
    value[l] -= p;
    off[l] = g;
    off[m] = 0;
}

void zo_eigen_symmetric(double *a, size_t n, double *v, double *value)
{
    if (n == 0) return;
    make_tridiagonal(a, n, v, value);
    for (size_t l = 0; l < n; l++) {
        size_t m = end_of_block(value, a, l, n);
        for (int tries = 0; m > l && tries < SWEEPS_MOST; tries++) {
            sweep(value, a, l, m, v, n);
            m = end_of_block(value, a, l, n);
        }
    }
}

void zo_eigen_leading(const double *v, const double *value, size_t n, size_t k, double *to)
{
    size_t last = n;
    for (size_t i = 0; i < k; i++, to += n) {
        size_t best = n, most = 0;
        for (size_t j = 0; j < n; j++) {
            bool taken =
                last < n && (value[j] > value[last] || (value[j] == value[last] && j <= last));
            if (!taken && (best == n || value[j] > value[best])) best = j;
        }
        last = best;
        memcpy(to, v + best * n, n * sizeof *to);
        for (size_t j = 1; j < n; j++) most = fabs(to[j]) > fabs(to[most]) ? j : most;
        for (size_t j = 0; j < n && v[best * n + most] < 0; j++) to[j] = -to[j];
    }
}

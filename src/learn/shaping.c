#include "learn/shaping.h"

#include <math.h>

typedef struct pairs {
    const double *plus, *minus;
    size_t n;
} pairs;

static double value(const pairs *p, size_t i) { return i < p->n ? p->plus[i] : p->minus[i - p->n]; }

static double deviation(const pairs *p)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < 2 * p->n; i++) mean += value(p, i);
    mean /= 2 * (double)p->n;
    for (size_t i = 0; i < 2 * p->n; i++) square += (value(p, i) - mean) * (value(p, i) - mean);
    return sqrt(square / (2 * (double)p->n));
}

/* heap sort of 2n places by value: no recursion, no allocation, no dependence on the host's qsort */
static void sift(const pairs *p, int32_t *order, size_t root, size_t end)
{
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && value(p, (size_t)order[child]) < value(p, (size_t)order[child + 1]))
            child++;
        if (value(p, (size_t)order[root]) >= value(p, (size_t)order[child])) return;
        int32_t t = order[root];
        order[root] = order[child];
        order[child] = t;
    }
}

static void sort(const pairs *p, int32_t *order)
{
    size_t n = 2 * p->n;
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    for (size_t i = n / 2; i-- > 0;) sift(p, order, i, n);
    for (size_t end = n; end-- > 1;) {
        int32_t t = order[0];
        order[0] = order[end];
        order[end] = t;
        sift(p, order, 0, end);
    }
}

static void add_ranks(const pairs *p, double *weight, int32_t *order)
{
    size_t n = 2 * p->n;
    sort(p, order);
    for (size_t i = 0; i < p->n; i++) weight[i] = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && value(p, (size_t)order[j]) == value(p, (size_t)order[i]);) j++;
        double rank = ((double)(i + j - 1) / 2) / (double)(n - 1) - 0.5;
        for (size_t k = i; k < j; k++) {
            size_t at = (size_t)order[k];
            if (at < p->n)
                weight[at] += rank;
            else
                weight[at - p->n] -= rank;
        }
    }
}

void zo_shaping_apply(zo_shaping kind, size_t n, const double *plus, const double *minus,
                      double *weight, int32_t *order)
{
    pairs p = {plus, minus, n};
    double scale = 1;
    if (kind == ZO_SHAPE_CENTRED_RANK) {
        add_ranks(&p, weight, order);
        return;
    }
    if (kind == ZO_SHAPE_Z_SCORE) {
        double d = deviation(&p);
        scale = d > 0 ? 1 / d : 0;
    }
    for (size_t i = 0; i < n; i++) {
        double d = plus[i] - minus[i];
        weight[i] = kind == ZO_SHAPE_SIGN ? (double)(d > 0) - (double)(d < 0) : d * scale;
    }
}

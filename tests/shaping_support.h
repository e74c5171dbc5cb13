/* What the losses of pairs weigh, from the definitions alone: ranks are counted one against all, a deviation is that of all differences. */
#ifndef ZO_TESTS_SHAPING_SUPPORT_H
#define ZO_TESTS_SHAPING_SUPPORT_H

#include "support.h"

#include "learn/shaping.h"

/* The words by which users choose. */
static const char *const shapings[] = {[ZO_SHAPE_RAW] = "raw",
                                       [ZO_SHAPE_Z_SCORE] = "z-score",
                                       [ZO_SHAPE_CENTRED_RANK] = "centred-rank",
                                       [ZO_SHAPE_SIGN] = "sign"};
enum { SHAPINGS = sizeof shapings / sizeof *shapings };

/* Salimans et al. 2017: ranks of all n losses, from -1/2 to 1/2; ties share the mean of their ranks. */
static inline double centred_rank(const double *all, size_t n, size_t at)
{
    double below = 0, equal = 0;
    for (size_t i = 0; i < n; i++) {
        below += all[i] < all[at];
        equal += all[i] == all[at];
    }
    return (below + (equal - 1) / 2) / (double)(n - 1) - 0.5;
}

static inline double deviation(const double *all, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) sum += (all[i] - all[j]) * (all[i] - all[j]);
    }
    return sqrt(sum / 2) / (double)n; /* the variance is half the mean squared difference of two */
}

/* Pair i of n, whose losses are all[i] and all[n + i]. */
static inline double shaped(zo_shaping kind, const double *all, size_t n, size_t i)
{
    double d = all[i] - all[n + i], spread = 0;
    switch (kind) {
    case ZO_SHAPE_RAW: return d;
    case ZO_SHAPE_Z_SCORE: spread = deviation(all, 2 * n); return spread > 0 ? d / spread : 0;
    case ZO_SHAPE_CENTRED_RANK:
        return centred_rank(all, 2 * n, i) - centred_rank(all, 2 * n, n + i);
    case ZO_SHAPE_SIGN: return d > 0 ? 1 : d < 0 ? -1 : 0;
    }
    return NAN;
}
#endif

/* Loss shaping: what becomes of the losses of pairs before they weigh draws. */
#ifndef ZO_LEARN_SHAPING_H
#define ZO_LEARN_SHAPING_H

#include <stddef.h>
#include <stdint.h>

typedef enum zo_shaping {
    ZO_SHAPE_RAW,
    ZO_SHAPE_Z_SCORE,
    ZO_SHAPE_CENTRED_RANK,
    ZO_SHAPE_SIGN
} zo_shaping;

/* The words for a parameter table, in the order of the enum. */
#define ZO_SHAPING_CHOICES "raw|z-score|centred-rank|sign"

/* weight[i] of pair i from its two losses (for one-sided draws `minus` is the clean loss):
 *   raw           plus - minus
 *   z-score       the same over the deviation of all 2n losses (0 if they are all equal)
 *   centred-rank  rank(plus) - rank(minus) among all 2n losses, ranks from -1/2 to 1/2, ties averaged (Salimans et al. 2017)
 *   sign          sign(plus - minus)
 * Losses are finite. `order` holds 2n numbers of scratch (centred-rank only). */
void zo_shaping_apply(zo_shaping kind, size_t n, const double *plus, const double *minus,
                      double *weight, int32_t *order);

#endif

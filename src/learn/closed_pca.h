/* PCA filters for closed forms. */
#ifndef ZO_LEARN_CLOSED_PCA_H
#define ZO_LEARN_CLOSED_PCA_H

#include "learn/closed.h"

/* to [k][d] = the unit vectors of the k largest eigenvalues of the symmetric matrix second [d][d], largest first, of equals the one that the
 * solver leaves first; signs so that the largest component (the first of equals) is positive. second is spoilt; vector [d][d] and
 * value [d] are room. k <= d. */
void zo_pca_leading(double *second, size_t d, size_t k, double *vector, double *value, double *to);

bool zo_closed_pca_serves(const zo_stage *s);
/* Whether there are so many vectors. Errors: USAGE (too large a window, more filters than vectors). */
zo_status zo_closed_pca_check(const zo_closed *c, int stage);
/* Leading eigenvectors of patches of what comes into a conv or eachconv stage as its filters, or of groups of channels of what comes into an
 * eachdense stage. The check comes first. Errors: NO_MEMORY. */
zo_status zo_closed_pca(zo_closed *c, int stage);

#endif

/* PCA filters for closed forms. */
#ifndef ZO_LEARN_CLOSED_PCA_H
#define ZO_LEARN_CLOSED_PCA_H

#include "learn/closed.h"

/* Whether a stage has such filters: conv, eachconv, eachdense. */
bool zo_closed_pca_serves(const zo_stage *s);
/* Whether there are so many vectors. Errors: USAGE (too large a window, more filters than vectors). */
zo_status zo_closed_pca_check(const zo_closed *c, int stage);
/* Leading eigenvectors of patches of what comes into a conv or eachconv stage as its filters, or of groups of channels of what comes into an
 * eachdense stage. The check comes first. Errors: NO_MEMORY. */
zo_status zo_closed_pca(zo_closed *c, int stage);

#endif

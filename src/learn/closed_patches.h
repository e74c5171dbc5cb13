/* Whitened patches of what comes into a conv or patch stage, and filters made of them: shared by closed_patches.c and closed_filters.c.
 *
 * With patches p as the layer sees them, their mean mu and covariance C, Z = (C + w I)^(-1/2), a filter is Z f for a unit vector f, and its bias
 * -mu Z f, so that the layer gives f . Z (p - mu).
 */
#ifndef ZO_LEARN_CLOSED_PATCHES_H
#define ZO_LEARN_CLOSED_PATCHES_H

#include "learn/closed.h"

/* Random numbers for what, in the `step` of their stream, the stage added. */
enum {
    ZO_DRAW_PLACES = 1 << 20,
    ZO_DRAW_ORDER = 2 << 20,
    ZO_DRAW_MEANS = 3 << 20,
    ZO_DRAW_CHANNELS = 4 << 20
};

/* Of the filters [column, end) of a stage: all of them, or a group that sees some of the channels. */
typedef struct zo_patch_set {
    zo_closed *c;
    const zo_stage *s;
    int stage;
    size_t column, end, group;
    size_t *term, terms;    /* [terms] places of their numbers among those of the whole patch */
    size_t images, each, n; /* each: patches of an image; n of all */
    float *image; /* what came into the stage, a chunk of images; not needed after whitening */
    float *patch; /* [n][terms] whitened in the end */
    double *cov, *vector, *value, *z, *mean; /* vector of value i is row i; z [terms][terms] */
} zo_patch_set;

/* f [end - column][terms] = unit vectors, as filters= says, from whitened patches. Errors: NO_MEMORY. */
zo_status zo_patches_choose(const zo_patch_set *a, double *f);

#endif

/* Spherical k-means, for dictionaries of filters (Coates & Ng 2012, "Learning feature representations with k-means"). */
#ifndef ZO_LEARN_KMEANS_H
#define ZO_LEARN_KMEANS_H

#include "base/context.h"

/* n rows x [n][d], borrowed, finite; k directions from them. */
typedef struct zo_kmeans {
    const float *x;
    size_t n, d, k;
    int rounds;
    uint64_t seed,
        stream; /* names the random rows that directions begin as, and that replace those no row follows */
} zo_kmeans;

/* direction [k][d] = unit vectors. A round gives each row to the direction with the largest |dot product|, the first of equals; a direction
 * then becomes the sum of its rows, each with the sign of its product, made 1 long. So a filter and its negative are one direction, as they are
 * for what looks at both sides. gain [rounds] (NULL: not wanted) receives the mean |dot product| that a round found: it never falls while no direction
 * is replaced. The bits depend neither on threads nor on the kernel set. About rounds n d k multiply-adds. Errors: NO_MEMORY,
 * CANCELLED. */
zo_status zo_kmeans_run(const zo_context *ctx, const zo_kmeans *what, float *direction,
                        double *gain);

#endif

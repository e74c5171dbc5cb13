/* The sketch between the last layer's inputs and the solve; see closed_sketch.c. */
#ifndef ZO_LEARN_CLOSED_SKETCH_H
#define ZO_LEARN_CLOSED_SKETCH_H

#include "learn/closed.h"

/* Deals out places where the settings ask for fewer sums than the last layer has inputs: then c->p, which is that count before, becomes the number
 * of sums. Errors: NO_MEMORY. */
zo_status zo_closed_sketch_init(zo_closed *c);
/* to [p] = the sketch of h [width]; there must be one. */
void zo_closed_sketch_row(const zo_closed *c, const float *h, float *to);
/* Weight [i][j] of the layer, i < width, that a solution w [p][ldw] means; w itself where there is no sketch. */
float zo_closed_sketch_weight(const zo_closed *c, size_t i, const float *w, size_t ldw, size_t j);

#endif

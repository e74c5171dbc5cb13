/* The activations of a batch, and the direction that follows from errors at the layers' outputs: (errors)^T x inputs, fused with the rule. Used
 * by every estimator that gives one error per example and unit.
 */
#ifndef ZO_LEARN_TRACE_H
#define ZO_LEARN_TRACE_H

#include "learn/learner.h"

typedef struct zo_trace {
    const zo_learner *l;
    float *x;       /* [batch][ld_in of stage 0] */
    float **z, **h; /* [stages] of [batch][ld_out] */
    float **e;      /* [stages] of [batch][ld_out]: errors, the mean over the batch already taken */
    float **packed; /* [stages] of e packed by sum tiles */
    float *arena;   /* [workers][arena_size]: a tile of the direction */
    size_t arena_size;
} zo_trace;

zo_status zo_trace_init(zo_trace *t, const zo_learner *l);
void zo_trace_fini(zo_trace *t);

/* Clean passes of batch rows [first, first + m): fills x, z, h, and loss[m]. Where the loss is not finite x and h become 0: the example is
 * left out of the direction, and its pairs must be dropped. */
void zo_trace_clean(zo_trace *t, size_t first, size_t m, float *loss);

/* The inputs of stage s for the whole batch, and their row distance. */
const float *zo_trace_inputs(const zo_trace *t, int stage, size_t *ld);

/* Settling: part (stage, sum tile) covers rows [first, first + m) of e[stage]; fill them, then pack. */
int64_t zo_trace_parts(const zo_trace *t);
void zo_trace_part(const zo_trace *t, int64_t part, int *stage, size_t *first, size_t *m);
void zo_trace_pack(zo_trace *t, int stage, size_t first, size_t m);

/* Direction tiles: rows of a stage's weights (the first tile of a stage also does its biases). */
int64_t zo_trace_tiles(const zo_trace *t);
void zo_trace_direction(zo_trace *t, const zo_update *u, int64_t tile, int worker);

/* Multiply-adds of one clean pass of the batch, and of its direction. */
double zo_trace_cost(const zo_trace *t);

#endif

/* The activations of a batch, and the direction that follows from errors at the layers' outputs: (errors)^T x inputs, fused with the rule. Used
 * by every estimator that gives one error per example and output.
 */
#ifndef ZO_LEARN_TRACE_H
#define ZO_LEARN_TRACE_H

#include "learn/learner.h"

/* A direction is the sum of what two halves of its examples gave, a and b, which have noise of their own: products of each with each. */
typedef struct zo_halves {
    double aa, ab, bb;
} zo_halves;

typedef struct zo_trace {
    const zo_learner *l;
    const float **tensor; /* [stages + 1] of [batch][floats]: what comes into each stage; the last: the outputs */
    float **h; /* [stages] of [batch][ld_out]: tensor i + 1 */
    int *examples,
        *most; /* [stages]: the first so many of the batch have errors at the stage, now and at most */
    float **e; /* [stages] of [examples][ld_out]: errors of stages with parameters, the mean over the examples already taken, pads 0; NULL: none */
    float **packed; /* [stages] of e packed by sum tiles; e itself where that is the same */
    float **z;      /* [workers][stages] of [ZO_ITEM][ld_out], or NULL: h has the same numbers */
    float *arena;   /* [workers][arena_size]: room, then a tile of a direction, twice */
    size_t arena_size;
    bool listen;       /* takes note of halves of the direction: */
    zo_halves *halves; /* [tiles] */
} zo_trace;

/* examples: how many of the batch get errors at each stage, 0: none (NULL: all, at stages with parameters). */
zo_status zo_trace_init(zo_trace *t, const zo_learner *l, const int *examples);
void zo_trace_fini(zo_trace *t);

/* So many examples have errors at the stage from now on, at most as many as at first. */
void zo_trace_use(zo_trace *t, int stage, int examples);

/* The halves of a stage's direction; and of floats a[n] and b[n], n a multiple of 16, of which a receives a + b. */
zo_halves zo_trace_halves(const zo_trace *t, int stage);
zo_halves zo_halves_join(float *a, const float *b, size_t n);

/* Clean passes of batch rows [first, first + m), m <= ZO_ITEM: fills h, the worker's z, and loss[m]. Where the loss is not finite h becomes 0:
 * the example is left out of the direction, and its pairs must be dropped. */
void zo_trace_clean(zo_trace *t, size_t first, size_t m, float *loss, int worker);

/* z of stage i for those rows. */
float *zo_trace_z(const zo_trace *t, int stage, size_t first, int worker);

/* Settling: part (stage, sum tile) covers rows [first, first + m) of e[stage]; fill them, then pack. Stages without e have none. */
int64_t zo_trace_parts(const zo_trace *t);
void zo_trace_part(const zo_trace *t, int64_t part, int *stage, size_t *first, size_t *m);
void zo_trace_pack(zo_trace *t, int stage, size_t first, size_t m);

/* Direction tiles of the stages with e: parts of the weights (the first tile of a stage also does its biases). */
int64_t zo_trace_tiles(const zo_trace *t);
void zo_trace_direction(zo_trace *t, const zo_update *u, int64_t tile, int worker);

/* Multiply-adds of one clean pass of the batch, and of its direction. */
double zo_trace_cost(const zo_trace *t);

#endif

/* Where noise in the outputs of a stage enters: only where it can act. Behind a pooling of the largest whose windows lie side by side that is
 * the largest output of each window and channel: a draw then has as many numbers as the pooled tensor, and its rows begin there. An output
 * whose move changes nothing behind its activation, and the pooling, has no error. One zo_entry for each thread.
 */
#ifndef ZO_LEARN_ENTRY_H
#define ZO_LEARN_ENTRY_H

#include "learn/trace.h"

typedef struct zo_entry {
    const zo_trace *trace;
    /* [ZO_ITEM][ld_out of the pooling]: of the largest outputs, which they are (pads not counted; -1: a pad), z, and what their windows
     * hold without them. Of poolings only. */
    int32_t *which;
    float *z, *others;
    float *moved; /* [2][floats of a draw] */
} zo_entry;

/* The stage whose outputs the draws of stage i's outputs have numbers for: i, or the pooling behind it. */
int zo_entry_stage(const zo_net *net, int i);

/* Sizes everything for draws of at most `most` floats, of which those behind a pooling take `pooled`. Errors: NO_MEMORY; fini is due all the
 * same. */
zo_status zo_entry_init(zo_entry *e, const zo_trace *trace, size_t most, size_t pooled);
void zo_entry_fini(zo_entry *e);

/* Finds the largest outputs of stage i, of batch rows [first, first + m), m <= ZO_ITEM, by the worker that made their clean passes. */
void zo_entry_find(zo_entry *e, int i, size_t first, size_t m, int worker);

/* Of the numbers of a draw of row r of those: z, and the least that their activations become (NULL: any). */
const float *zo_entry_z(const zo_entry *e, int i, size_t first, size_t r, int worker);
const float *zo_entry_floor(const zo_entry *e, int i, size_t r);

/* errors[floats of a draw] of row r = 0 where neither a move by `move` nor its opposite changes anything. */
void zo_entry_silence(zo_entry *e, int i, size_t first, size_t r, int worker, float move,
                      float *errors);

/* Behind a pooling: errors of a draw's numbers of row r, from and to those of the stage's outputs, which have no pads; others are 0. */
void zo_entry_take(const zo_entry *e, int i, size_t r, const double *from, float *errors);
void zo_entry_give(const zo_entry *e, int i, size_t r, const float *errors, double *to);

#endif

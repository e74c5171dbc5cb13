/* Complete sets: the losses of a batch's examples after each output of a stage moved alone, by partial passes (nn/partial.h) from the cached
 * activations of a trace. One zo_complete for each thread.
 */
#ifndef ZO_LEARN_COMPLETE_H
#define ZO_LEARN_COMPLETE_H

#include "learn/moves.h"
#include "nn/partial.h"

#define ZO_COMPLETE_POINTS                                                                         \
    896 /* moves that wait together: eight times the rows that run together */

typedef struct zo_complete {
    zo_moves *moves; /* runs the rows, and counts */
    zo_move *move;   /* [ZO_COMPLETE_POINTS] moves that wait, and where their losses go: */
    double **to;
    size_t n;
    float *line;     /* [ZO_ITEM][floats of a line of windows]: moved activations */
    float *pixel;    /* [3][pitch]: the largest and the next of a window; changes */
    float *room;     /* of partial passes */
    const float **z; /* [stages]: where those of the present item begin */
} zo_complete;

/* The way of complete sets of stage i: as many rows run together as moves have room for. */
void zo_complete_plan(zo_way *way, const zo_net *net, int i);

/* Sizes everything for the ways [stages] that have rows. Errors: NO_MEMORY; fini is due all the same. */
zo_status zo_complete_init(zo_complete *c, zo_moves *moves, const zo_way *ways);
void zo_complete_fini(zo_complete *c);

/* Every output of stage at->stage moved, those of row r by move[r]. The loss of output j of row r goes to to[r * outputs + j]; where nothing behind the
 * activation changes it is left alone. */
void zo_complete_run(zo_complete *c, const zo_place *at, const zo_way *way, const float *move,
                     double *to);

/* Runs the c->n moves on that wait at pixel (y, x) of tensor way->point, in parts of about the same size: their losses go where c->to says.
 * c->z must be set; their examples count from row `first` of the batch. */
void zo_complete_points(zo_complete *c, const zo_way *way, size_t first, int y, int x);

#endif

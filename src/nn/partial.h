/* Partial passes: what a pass gives after one output of a stage moved, at the cost of what that changes.
 *
 * A moved output stays one number through its activation and through a pooling whose windows lie side by side. The stage behind is updated
 * by one column; from there on rows carry a patch, the rectangle of pixels that differs from the cached clean pass, which grows with every
 * window. Where all outputs depend on it rows are whole again: a dense layer is updated by what changed in the patch; before anything else
 * the patch is laid into the clean tensor. Structure is used, and nothing is approximated: every number is what a whole pass gives, but for
 * rounding.
 */
#ifndef ZO_NN_PARTIAL_H
#define ZO_NN_PARTIAL_H

#include "nn/net.h"

/* How moved outputs of a stage run on; tensor i is what comes into stage i. */
typedef struct zo_way {
    int site;    /* the stage whose outputs move */
    bool pixels; /* its activation looks at several channels: a move changes a pixel, and rows are whole from there on */
    bool pooled; /* stage site + 1 pools them */
    int point;   /* the tensor up to which a move is one number */
    int first;   /* the stage that takes it in: stage `point`, or the one behind a flattening */
    bool column; /* stage `first` is updated by one column: */
    bool whole; /* a dense one, so that there are no patches, and moves in any pixels run together */
    int last;   /* stages point .. last - 1 run on patches */
    int sum;    /* the dense stage that is updated by what changed in tensor `last`; 0: none */
    int tail;   /* from this stage on rows are whole */
    size_t rows; /* most that should run on together */
    size_t room; /* floats of zo_partial.room that they take */
    double cost; /* multiply-adds of a complete set of an example, about: behind a pooling of the largest one output of each window counts */
} zo_way;

/* Whether a pooling behind stage `site` takes each of its outputs at most once, as one number: windows lie side by side, nothing else sees
 * the tensor between, and no activation looks at several channels. */
bool zo_way_pools(const zo_net *net, int site);

/* The way of stage `site`. `most`: rows that a caller can hold, `floats`: of whole rows that it has room for. */
void zo_way_plan(zo_way *way, const zo_net *net, int site, size_t most, size_t floats);

/* The outputs of the site that pass through pixel (y, x) of tensor `point`: a rectangle of the site's pixels. */
zo_patch zo_way_window(const zo_way *way, const zo_net *net, int y, int x);

/* Rows whose examples moved in one pixel of tensor `point`. */
typedef struct zo_partial {
    const zo_net *net;
    size_t m;
    int y, x;                   /* `whole`: any */
    const zo_move *move;        /* [m]; example: of z; unit: of tensor `point`, without pads */
    const int32_t *example;     /* [m]: of the tensors */
    const float *const *tensor; /* clean: tensor i of example b at tensor[i] + b * its floats */
    const float *const *z;      /* clean z of stage i, of the examples that moves name */
    float *room;                /* [way->room] */
} zo_partial;

/* h[m][ld_out of stage tail - 1] = what a pass has there. Not for ways with `pixels`. Returns the multiply-adds of a row; -1:
 * nobody sees the pixel, and h is not written. */
double zo_partial_run(const zo_partial *p, const zo_way *way, float *h);

#endif

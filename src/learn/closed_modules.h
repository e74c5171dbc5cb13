/* Modules: where the sums of all features do not fit into memory, the units of the last fixed dense layer are taken `size` at a time, in nets
 * like `dense40000 relu dense10` and `{ dense40000 relu }cat dense10`. Module 0 has the features that come from no unit too.
 *
 * Each module is a ridge problem of its own, on what all others leave of the targets: block Gauss-Seidel on the normal equations of the whole
 * (backfitting; Hastie & Tibshirani 1986). One sweep over the modules grows the network; sweeps converge to the solution of the whole. Lambda
 * is in units of the mean variance of the features of module 0 times the rows, for every module: with the same lambda all over, that is one
 * absolute lambda of the whole. Where it is chosen, each module chooses anew, predictions of the others added.
 *
 *     rows       as without modules; targets less the predictions of the other modules
 *     update     predictions of this module are added: of the validation part (place 0), then of the training rows (places 1 + row)
 *     others     from the second sweep on: those of the next one are taken away again, of the validation part; of training rows as they come
 *
 * Predictions of all rows lie in memory; features are computed anew for each module, twice a sweep. The last layer of the network always holds
 * what has been solved for so far, so that it can be left at any time.
 *
 * There are none of a sketch or with the logistic loss; members of an ensemble have them where the settings say so.
 */
#ifndef ZO_LEARN_CLOSED_MODULES_H
#define ZO_LEARN_CLOSED_MODULES_H

#include "learn/closed.h"

typedef struct zo_modules {
    int dense, skip; /* stage of the units; tensor whose numbers stand before theirs, or -1 */
    size_t units, others, all; /* units; features before theirs; features in all */
    size_t size, count;        /* units of a module, modules; the last may be smaller */
    bool by_itself;            /* not asked for */
    /* What is saved: */
    int64_t at, sweep;
    double unit;            /* what lambda is relative to; 0 before the first solve */
    double errors, squares; /* on validation, after the best sweep; infinite before */
    float *train, *held;    /* [rows][q], [validation][q]: predictions */
    float *bias;            /* [count][q] */
    float *kept;            /* [all + 1][q]: weights and biases after the best sweep */
    /* What is not: */
    float *w, *b, *packed, *out; /* [features][q], [q]; w packed; [TILE][round16(q)] */
    float *units_room;           /* [workers][ROWS_ITEM][round16(size)] */
} zo_modules;

/* Settings and net -> c->modules, also because `room` bytes are less than what the whole problem takes; c->p and c->most become those of
 * modules. Not there: nothing changes. Errors: USAGE (modules are asked for, and a sketch or the logistic loss too), UNSUPPORTED (they are asked for, and the net has no units to take in parts), NO_MEMORY. */
zo_status zo_modules_plan(zo_closed *c, double room);
void zo_modules_fini(zo_closed *c);
/* The most units that a module of at most n has, modules being of whole panels; 0: none fits. */
size_t zo_modules_whole(size_t n);
/* Bytes for modules beside those of one problem. */
double zo_modules_bytes(const zo_closed *c);
/* Predictions and room, once; all is zero at first. Errors: NO_MEMORY. */
zo_status zo_modules_init(zo_closed *c);
/* Features of module `at`; the present module's first row of the last layer. */
size_t zo_modules_features(const zo_modules *m, int64_t at);
size_t zo_modules_first_row(const zo_modules *m);
/* Sets c->p to the features of the present module. */
void zo_modules_enter(zo_closed *c);

/* zo_closed_run() for the features of the present module. */
void zo_modules_run(const zo_closed_rows *rows);
/* c->y less what the other modules predict for the rows of the tile at hand, m of them from c->position on; c->out is room for that. Once the
 * tile is in the sums: these are the predictions. A tile that fails so changes none. */
void zo_modules_targets(zo_closed *c, int64_t m);
void zo_modules_taken(zo_closed *c, int64_t m);
/* Writes the present module's w [p][ldw] and b [q] into the last layer. */
void zo_modules_write(zo_closed *c, const float *w, size_t ldw, const float *b);
/* After a module was solved for: DONE where nothing is left to do, else UPDATE. */
void zo_modules_solved(zo_closed *c);
/* A step of UPDATE or OTHERS. */
zo_status zo_modules_advance(zo_closed *c);
/* Whether any module was solved for. */
bool zo_modules_any(const zo_closed *c);
/* Of all work, at most: what is done. */
double zo_modules_progress(const zo_closed *c);

size_t zo_modules_saved(const zo_closed *c);
void zo_modules_save(const zo_closed *c, zo_file_out *out);
/* Whether a trainer can have written this, and the features of the module it was at; `in` is not moved. Then, for these bytes: load, which
 * fails where memory does. */
bool zo_modules_check(const zo_closed *c, zo_reader in, size_t *p);
bool zo_modules_load(zo_closed *c, zo_reader *in);
/* "40,000 units in 8 modules of 5,000, 2 sweeps". */
void zo_modules_say(const zo_closed *c, char *out, size_t room);

#endif

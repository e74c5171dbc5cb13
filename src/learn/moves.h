/* Moved passes: losses of a batch's examples after moves in one stage, run on from the cached activations of a trace. Rows wait until there
 * are enough for the products. One zo_moves for each thread.
 */
#ifndef ZO_LEARN_MOVES_H
#define ZO_LEARN_MOVES_H

#include "learn/entry.h"
#include "learn/noise.h"

#define ZO_MOVES_ROWS 112 /* most rows that run on together: full blocks for every kernel */
#define ZO_MOVES_DRAWS 16 /* draws whose noise is made together */

typedef struct zo_moves {
    const zo_trace *trace;
    zo_noise_kind noise;
    size_t rows; /* that run on together: fewer of large activations, so that they stay in the near caches */
    double cost; /* multiply-adds done since it was set to 0 */

    size_t n; /* rows that wait */
    int32_t example[ZO_MOVES_ROWS], label[ZO_MOVES_ROWS];
    double *to[ZO_MOVES_ROWS]; /* where each row's loss goes */
    float loss[ZO_MOVES_ROWS];
    float *scratch;  /* of a pass, see zo_net_scratch() */
    float *target;   /* [ZO_MOVES_ROWS][outputs] */
    float *weights;  /* moved weights and bias of a stage */
    uint16_t *signs; /* [blocks][8]; or, for normal numbers: */
    float *normal;   /* [blocks][4] */
    zo_hadamard hadamard;
    zo_entry entry; /* of moved outputs */
    size_t blocks;  /* of noise that there is room for: ZO_MOVES_DRAWS draws at the least */
    bool kept; /* the noise of all rows of the last zo_moves_draw() is there, from `kept_row` on, `kept_draws` for each */
    size_t kept_row, kept_draws;
} zo_moves;

/* What is moved: stage `stage` for rows [first, first + m) of the batch, m <= ZO_ITEM, by the worker that made their clean passes. */
typedef struct zo_place {
    int stage, worker;
    size_t first, m;
    bool weights;  /* its weights and bias are moved, not its outputs */
    int entry;     /* rows begin with the outputs of this stage: zo_moves_entry() */
    size_t floats; /* of a draw, pads included: zo_moves_floats() */
    size_t draws;  /* of an example, all of them */
} zo_place;

/* The stage with whose outputs the rows of draws of stage i begin: i, or a pooling behind it (entry.h). */
int zo_moves_entry(const zo_net *net, int i, bool weights);

/* Floats of a draw of stage i. */
size_t zo_moves_floats(const zo_net *net, int i, bool weights);

/* Blocks of the noise stream that n draws of that many floats take. */
double zo_moves_blocks(zo_noise_kind noise, size_t floats, size_t n);

/* Multiply-adds of one draw. */
double zo_moves_draw_cost(const zo_net *net, int i, bool weights);

/* Sizes everything for draws of at most `most` floats, of which moved weights take `weights`, and those behind a pooling `pooled`. Errors:
 * NO_MEMORY; fini is due all the same. */
zo_status zo_moves_init(zo_moves *m, const zo_trace *trace, zo_noise_kind noise, size_t most,
                        size_t weights, size_t pooled);
void zo_moves_fini(zo_moves *m);

/* Rows that may wait, for a net of such activations. */
size_t zo_moves_rows(const zo_net *net);

/* Where the rows of stage i's outputs wait; one more of batch row b, whose loss goes to *to; and what runs all on that wait behind stage i. */
float *zo_moves_waiting(zo_moves *m, int i);
void zo_moves_add_row(zo_moves *m, size_t b, double *to);
void zo_moves_run(zo_moves *m, int i);

/* z of row r of what is moved. */
const float *zo_moves_z(const zo_moves *m, const zo_place *at, size_t r);

/* Once for the draws of a place, before they are made. */
void zo_moves_enter(zo_moves *m, const zo_place *at);

/* Most rows for which zo_moves_draw() of `n` draws should be called at once: zo_moves_add() then finds their noise made. */
size_t zo_moves_batch(const zo_moves *m, const zo_place *at, size_t n);

/* Moves along `n` draws from draw k on, of `rows` rows from `row` on: the loss of draw k + d of row r goes to plus[r * n + d], and that of
 * its opposite to minus[r * n + d] unless minus is NULL. */
void zo_moves_draw(zo_moves *m, const zo_place *at, size_t row, size_t rows, size_t k, size_t n,
                   float sigma, double *plus, double *minus);

/* sum[floats] += weight[d] * draw k + d of row r, d < n: a row of the last zo_moves_draw(), and its draws. */
void zo_moves_add(zo_moves *m, const zo_place *at, size_t r, size_t k, size_t n,
                  const double *weight, float *sum);

/* errors[floats] of moved outputs of row r = 0 where moves of that sigma change nothing, whatever else moves: there the losses are noise. */
void zo_moves_silence(zo_moves *m, const zo_place *at, size_t r, float sigma, float *errors);

#endif

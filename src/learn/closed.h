/* Closed form: everything before the last layer of a net stays fixed, and the last one, a plain dense layer, is solved for by least squares.
 *
 *     fill       the body's weights: whitened patches, random units (closed_fill.c)
 *     statistics of what comes into each `scale` layer of one pixel, which then makes it mean 0, deviation 1 (closed_rows.c)
 *     rows       a tile of training rows at a time through the body, into sums of products (linear/gram.h)
 *     solve      lambda chosen on the validation part along the ridge path, then the solve (closed_solve.c)
 *
 * Where features are too many for that, they are taken in modules of units, one problem after the other: closed_modules.h (closed_modules.c, closed_sweeps.c).
 *
 * Each is a step of its own, rows one for each tile. Which rows lie in a tile depends on the seed alone, sums run in a fixed order: the bits
 * depend neither on threads nor on the kernel set.
 */
#ifndef ZO_LEARN_CLOSED_H
#define ZO_LEARN_CLOSED_H

#include "learn/augment.h"
#include "learn/trainer.h"
#include "linear/gram.h"

enum {
    ZO_CLOSED_TILE = 2048,
    ZO_CLOSED_ROWS_ITEM = 32,
    ZO_CLOSED_LAMBDAS = 64,
    ZO_CLOSED_SWEEPS = 1000
};

typedef enum zo_closed_weights {
    ZO_CLOSED_NORMAL,
    ZO_CLOSED_CLASS,
    ZO_CLOSED_CLASS_SUMS
} zo_closed_weights;
typedef enum zo_closed_filters { ZO_CLOSED_PATCHES, ZO_CLOSED_RANDOM } zo_closed_filters;
typedef enum zo_closed_body { ZO_CLOSED_FILL, ZO_CLOSED_KEEP } zo_closed_body;
typedef enum zo_closed_keeps {
    ZO_CLOSED_KEEP_SMALL,
    ZO_CLOSED_KEEP_ALL,
    ZO_CLOSED_KEEP_NONE
} zo_closed_keeps;
typedef enum zo_closed_preset { ZO_CLOSED_FAST, ZO_CLOSED_BEST } zo_closed_preset;

/* Of both classes; a class's table has those that mean something to it. */
typedef struct zo_closed_settings {
    double lambda, bias, whiten;
    int64_t lambdas, copies, units, module, sweeps;
    int weights, filters, body, preset, keep;
    bool fields, balance;
} zo_closed_settings;

/* clang-format off */
#define ZO_CLOSED_ROWS                                                                             \
    ZO_PARAM_REAL_ROW(zo_closed_settings, lambda, 0, 0, 1e6, "ridge, in units of the mean variance of features times the rows; 0: chosen on validation"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, lambdas, 11, 1, ZO_CLOSED_LAMBDAS, "lambdas tried, from 1e-6 to 0.1"), \
    ZO_PARAM_REAL_ROW(zo_closed_settings, bias, 0.3, 0, 1e3, "deviation of the biases of fixed dense layers"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, copies, 0, 0, 1000, "images: rows added for each training row, changed as shift, flip, rotate and cutout say"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, module, 0, 0, 1000000, "units of the last fixed dense layer that are solved for at a time; 0: all, or what fits into memory"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, sweeps, 0, 0, ZO_CLOSED_SWEEPS, "of modules: how often each is solved for; 0: until validation gains no more"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, keep, ZO_CLOSED_KEEP_SMALL, "small|yes|no", "of a run that is done: its sums stay in its folder, so that 'zeroth resume' can add copies or choose lambda anew; small: up to 256 MiB"), \
    ZO_PARAM_BOOL_ROW(zo_closed_settings, balance, 0, "all classes weigh the same, however many rows they have"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, body, ZO_CLOSED_FILL, "fill|keep", "weights before the last layer: filled as the other settings say, or kept as they come (--init)")
/* clang-format on */

typedef enum zo_closed_phase {
    ZO_CLOSED_AT_FILL,
    ZO_CLOSED_AT_STATISTICS,
    ZO_CLOSED_AT_ROWS,
    ZO_CLOSED_AT_UPDATE, /* of modules, see there */
    ZO_CLOSED_AT_OTHERS,
    ZO_CLOSED_DONE
} zo_closed_phase;

typedef struct zo_closed {
    zo_context *ctx;
    const zo_class_info *info;
    const zo_task *task;
    zo_net *net;
    uint64_t seed;
    zo_closed_settings set;
    zo_augment_settings augment_set;
    zo_augment augment;
    size_t p, q;                /* features, outputs of the problem at hand */
    size_t most;                /* features of the largest problem; without modules there is one */
    int last;                   /* stage that is solved for */
    struct zo_modules *modules; /* NULL: none */
    /* What is saved: */
    int64_t step, phase, position; /* position: the scale layer whose turn it is, or rows so far */
    zo_gram *gram;                 /* NULL before the first tile */
    /* What is not: */
    int32_t *order;      /* [n] of the training part; NULL before the first step */
    float *class_weight; /* [classes]; NULL: none */
    float *h, *y, *w;    /* a tile: features [TILE][p], targets [TILE][q], weights [TILE] */
    float *x, *scratch;  /* [workers][..] */
    size_t x_floats, scratch_floats, rows; /* of one worker; examples that run together */
    double cost;                           /* multiply-adds of the present step */
    double lambda, error;                  /* once done: the one chosen; validation error or loss */
    char line[ZO_TEXT_MAX + 64];
} zo_closed;

/* The operations of a class whose state is a zo_closed, but init and spec. */
zo_status zo_closed_init(zo_closed *c, zo_context *ctx, const zo_trainer_def *def,
                         const zo_method *method, zo_net *net, const zo_class_info *info);
zo_status zo_closed_step(void *state, double progress, zo_step_info *out);
const zo_net *zo_closed_net(const void *state);
double zo_closed_progress(const void *state);
double zo_closed_ending(const void *state);
zo_uses zo_closed_uses(const void *state);
void zo_closed_save(const void *state, zo_file_out *out);
size_t zo_closed_saved(const void *state);
bool zo_closed_load(void *state, zo_reader *in);
const char *zo_closed_setting(const void *state, int index);
const char *zo_closed_plan(const void *state, int index);
bool zo_closed_kept(const void *state);
bool zo_closed_grows(const void *state, const char *const *began);
void zo_closed_reopen(void *state);
void zo_closed_fini(void *state);

#define ZO_CLOSED_OPERATIONS                                                                       \
    .state_size = sizeof(zo_closed), .late = true, .step = zo_closed_step, .net = zo_closed_net,   \
    .progress = zo_closed_progress, .ending = zo_closed_ending, .uses = zo_closed_uses,            \
    .save = zo_closed_save, .saved = zo_closed_saved, .load = zo_closed_load,                      \
    .kept = zo_closed_kept, .grows = zo_closed_grows, .reopen = zo_closed_reopen,                  \
    .setting = zo_closed_setting, .plan = zo_closed_plan, .fini = zo_closed_fini

/* Reads the settings of `info` alone into *set, for spec(). */
zo_status zo_closed_settings_read(const zo_context *ctx, const zo_class_info *info,
                                  const char *const *given, zo_closed_settings *set);

/* ---- closed_memory.c ---- */

/* Bytes that this process, and its context, may still take, less what a run takes around the trainer. */
double zo_closed_room(const zo_closed *c);
/* Errors: NO_MEMORY, with what is needed and what would fit. */
zo_status zo_closed_memory(const zo_closed *c, double room);

/* ---- closed_rows.c ---- */

/* Rows of tensor `to` of the net (what comes into stage `to`), floats_of() apart and without pads at the end where it has one pixel. Row r of the
 * training part in the order of the run, copies behind all rows; `part` another: in its own order. out [n][ld]; ld >= its floats without pads. */
typedef struct zo_closed_rows {
    zo_closed *c;
    zo_part part;
    int to;
    int64_t first, n;
    float *out;
    size_t ld;
    bool whole; /* zo_cancel() does not stop it */
} zo_closed_rows;
/* The inputs of row `row`, possibly changed. */
void zo_closed_gather(const zo_closed_rows *rows, int64_t row, float *to);
/* After zo_cancel() rows may be missing: callers ask before they use them, and change nothing. */
void zo_closed_run(const zo_closed_rows *rows);
/* c->h = what the solve sees of rows [first, first + n), n at most a tile; zo_closed_tile_init() comes first. */
void zo_closed_features(zo_closed *c, zo_part part, int64_t first, int64_t n);

/* Buffers; also the order of the training rows. Errors: NO_MEMORY. */
zo_status zo_closed_rows_init(zo_closed *c);
/* Sets gain and shift of scale layer `stage` from up to 10,000 training rows. */
zo_status zo_closed_scale(zo_closed *c, int stage);
/* The first scale layer of the body of one pixel from stage `from` on, or -1. */
int zo_closed_next_scale(const zo_closed *c, int from);
/* All training rows, copies included; and the place of row r in the training part. */
int64_t zo_closed_all_rows(const zo_closed *c);
int64_t zo_closed_place(const zo_closed *c, int64_t row);
/* Makes room for a tile, once. Errors: NO_MEMORY. */
zo_status zo_closed_tile_init(zo_closed *c);
/* Adds the next tile to the sums. No tile has rows of two copies, and no row waits (gram.h) behind the last of a copy: sums of fewer copies are
 * those that more copies begin with. */
zo_status zo_closed_tile(zo_closed *c);

/* ---- closed_fill.c, closed_patches.c ---- */

/* What the settings ask for that this net or task has not. Errors: USAGE. */
zo_status zo_closed_fill_check(const zo_closed *c);
zo_status zo_closed_fill(zo_closed *c);
/* Whitened patches of what comes into a conv or patch stage as its filters. */
zo_status zo_closed_patches(zo_closed *c, int stage);

/* ---- closed_solve.c ---- */

/* Bytes that the run holds at its most for so many features, the net left out. */
double zo_closed_bytes(const zo_closed *c, size_t p);
/* Of buffers that do not depend on the problem's size. */
double zo_closed_rows_bytes(const zo_closed *c);
/* Multiply-adds of a solve, before it is made. */
double zo_closed_solve_cost(const zo_closed *c);
/* The mean loss of the present network on the first training rows. */
double zo_closed_loss(zo_closed *c);
/* Chooses lambda and solves; *loss: of the new network on the first training rows, without modules. */
zo_status zo_closed_solve(zo_closed *c, double *loss);

#endif

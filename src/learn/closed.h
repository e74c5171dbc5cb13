/* Closed form: everything before the last layer of a net stays fixed, and the last one, a plain dense layer, is solved for by least squares.
 *
 *     fill       the body's weights: filters from patches, random units (closed_fill.c)
 *     statistics of what comes into each `scale` layer of one pixel, which then makes it mean 0, deviation 1 (closed_rows.c); what lies behind
 *                it is filled then, so that units may be made of features
 *     rows       a tile of training rows at a time through the body, sketched (closed_sketch.c), into sums of products (linear/gram.h)
 *     solve      lambda chosen on the validation part along the ridge path, then the solve (closed_solve.c)
 *
 * With the logistic loss rows and solve come again, the rows with other weights and targets (closed_logistic.c).
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
    ZO_CLOSED_STEPS = 8,
    ZO_CLOSED_MEMBERS = 64,
    ZO_CLOSED_MANY = 2000, /* features that are rounded unless the settings say otherwise */
    ZO_CLOSED_SWEEPS = 1000
};

typedef enum zo_closed_weights {
    ZO_CLOSED_NORMAL,
    ZO_CLOSED_CLASS,
    ZO_CLOSED_CLASS_SUMS
} zo_closed_weights;
typedef enum zo_closed_filters {
    ZO_CLOSED_PATCHES,
    ZO_CLOSED_KMEANS,
    ZO_CLOSED_PCA,
    ZO_CLOSED_RANDOM
} zo_closed_filters;
typedef enum zo_closed_pooling { ZO_CLOSED_MEAN, ZO_CLOSED_MAX } zo_closed_pooling;
typedef enum zo_closed_body { ZO_CLOSED_FILL, ZO_CLOSED_KEEP } zo_closed_body;
typedef enum zo_closed_loss { ZO_CLOSED_SQUARED, ZO_CLOSED_LOGISTIC } zo_closed_loss;
typedef enum zo_closed_precision {
    ZO_CLOSED_AUTO,
    ZO_CLOSED_BFLOAT16,
    ZO_CLOSED_FLOAT32
} zo_closed_precision;
typedef enum zo_closed_keeps {
    ZO_CLOSED_KEEP_SMALL,
    ZO_CLOSED_KEEP_ALL,
    ZO_CLOSED_KEEP_NONE
} zo_closed_keeps;
typedef enum zo_closed_preset { ZO_CLOSED_FAST, ZO_CLOSED_BEST } zo_closed_preset;

/* Of all classes; a class's table has those that mean something to it. */
typedef struct zo_closed_settings {
    double lambda, lambda_least, lambda_most, bias, whiten;
    int64_t lambdas, copies, units, iterations, stages, ensemble, sketch, maps, components;
    int64_t module, sweeps;
    int weights, filters, pooling, body, preset, loss, precision, keep;
    bool fields, balance;
    char class_weights[ZO_TEXT_MAX];
} zo_closed_settings;

/* clang-format off */
#define ZO_CLOSED_ROWS ZO_CLOSED_ROWS_OF(9, 1e-5, 0.1)
#define ZO_CLOSED_ROWS_OF(count, least, most)                                                        \
    ZO_PARAM_REAL_ROW(zo_closed_settings, lambda, 0, 0, 1e6, "ridge, in units of the mean variance of features times the rows; 0: chosen on validation"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, lambdas, count, 1, ZO_CLOSED_LAMBDAS, "lambdas tried, from lambda_least to lambda_most"), \
    ZO_PARAM_REAL_ROW(zo_closed_settings, lambda_least, least, 1e-9, 1e6, "the smallest lambda tried"), \
    ZO_PARAM_REAL_ROW(zo_closed_settings, lambda_most, most, 1e-9, 1e6, "the largest lambda tried"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, loss, ZO_CLOSED_SQUARED, "squared|logistic", "least squares of +1 and -1, or for classes the cross-entropy, by reweighted least squares"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, iterations, 5, 1, 1000, "loss=logistic: most passes over the rows, a solve after each"), \
    ZO_PARAM_REAL_ROW(zo_closed_settings, bias, 0.3, 0, 1e3, "deviation of the biases of units: fixed dense layers, and convolutions behind a scale layer"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, copies, 0, 0, 1000, "images: rows added for each training row, changed as shift, flip, rotate and cutout say"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, module, 0, 0, 1000000, "units of the last fixed dense layer that are solved for at a time; 0: all, or what fits into memory"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, sweeps, 1, 0, ZO_CLOSED_SWEEPS, "of modules: how often each is solved for; 0: until validation gains no more"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, keep, ZO_CLOSED_KEEP_SMALL, "small|yes|no", "of a run that is done: its sums stay in its folder, so that 'zeroth resume' can add copies or choose lambda anew; small: up to 256 MiB"), \
    ZO_PARAM_BOOL_ROW(zo_closed_settings, balance, 0, "all classes weigh the same, however many rows they have"), \
    ZO_PARAM_TEXT_ROW(zo_closed_settings, class_weights, "", "class:weight,class:weight: rows of these classes, by name or number from 0, weigh so much, others 1; balance comes on top"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, precision, ZO_CLOSED_AUTO, "auto|bfloat16|float32", "features about their mean, as sums of products see them: rounded to bfloat16, which is faster, or as they are; auto: rounded from 2,000 features on"), \
    ZO_PARAM_INT_ROW(zo_closed_settings, ensemble, 1, 1, ZO_CLOSED_MEMBERS, "members, each with a seed of its own, solved one after the other; their outputs are averaged"), \
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, body, ZO_CLOSED_FILL, "fill|keep", "weights before the last layer: filled as the other settings say, or kept as they come (--init)")
#define ZO_CLOSED_SKETCH_ROW(standard)                                                             \
    ZO_PARAM_INT_ROW(zo_closed_settings, sketch, standard, 0, 1000000, "the solve sees so many sums of the last layer's inputs, each added with a random sign to a random one; 0: the inputs")
/* clang-format on */

typedef enum zo_closed_phase {
    ZO_CLOSED_AT_FILL,
    ZO_CLOSED_AT_STATISTICS,
    ZO_CLOSED_AT_ROWS,
    ZO_CLOSED_AT_UPDATE, /* of modules, see there */
    ZO_CLOSED_AT_OTHERS,
    ZO_CLOSED_DONE
} zo_closed_phase;

/* Of the logistic loss; it is saved as it lies. The last four are of the last iteration. */
typedef struct zo_closed_iterations {
    int64_t iteration; /* done */
    double unit;       /* of lambda, for one row */
    double lambda;     /* in those units */
    double loss, fall; /* that chose the step; how much less than before, relative */
    int64_t step;      /* index of its length */
} zo_closed_iterations;

typedef struct zo_closed {
    zo_context *ctx;
    const zo_class_info *info;
    const zo_task *task;
    zo_net *net;
    uint64_t seed;
    zo_closed_settings set;
    zo_augment_settings augment_set;
    zo_augment augment;
    size_t p, q;     /* features that the solve sees, of the problem at hand; outputs */
    size_t most;     /* features of the largest problem; without modules there is one */
    size_t width;    /* inputs of the last layer: p, unless they are sketched or come in modules */
    int32_t *sketch; /* [width] where input i is added, ~ where it is subtracted; NULL: p = width */
    int last;        /* stage that is solved for */
    struct zo_modules *modules; /* NULL: none */
    /* What is saved: */
    int64_t step, phase, position; /* position: the scale layer whose turn it is, or rows so far */
    zo_closed_iterations logistic;
    double lambda; /* of the last solve; 0 before */
    zo_gram *gram; /* NULL before the first tile */
    /* What is not: */
    int32_t *order;      /* [n] of the training part; NULL before the first step */
    float *class_weight; /* [classes]; NULL: none */
    float *h, *y, *w;    /* a tile: features [TILE][most], targets [TILE][q], weights [TILE] */
    float *out;          /* [TILE][ld_out]: outputs of the network */
    float *x, *scratch;  /* [workers][..] */
    size_t x_floats, scratch_floats, rows; /* of one worker; examples that run together */
    double cost;                           /* multiply-adds of the present step */
    char line[ZO_TEXT_MAX + 64];
} zo_closed;

/* What a trainer does, for one closed form; closed_ensemble.h makes a class of it. */
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

/* out = "{ ... }cat", the words of n random units beside what comes from down x across cells: those of a convolution that sees all but one line and one column, whose
 * weights serve all such parts; or, of fewer than 2 x 2 cells or where asked for, units that see all cells. Returns its length. */
int zo_closed_unit_words(int64_t n, int down, int across, bool all, char *out, size_t room);

/* Reads the settings of `info` alone into *set, for spec(). */
zo_status zo_closed_settings_read(const zo_context *ctx, const zo_class_info *info,
                                  const char *const *given, zo_closed_settings *set);

/* ---- closed_memory.c ---- */

/* Bytes that this process, and its context, may still take, less what a run takes around the trainer. */
double zo_closed_room(const zo_closed *c);
/* Errors: NO_MEMORY, with what is needed and what would fit. */
zo_status zo_closed_memory(const zo_closed *c, double room);

/* ---- closed_rows.c ---- */

/* Rows of tensor `to` of the net (what comes into stage `to`; net->stages: what comes out), floats_of() apart and without pads at the end where it
 * has one pixel. Row r of the training part in the order of the run, copies behind all rows; `part` another: in its own order. out [n][ld]; ld >=
 * its floats without pads. Tensor c->last comes as the solve sees it, p sums where there is a sketch. */
typedef struct zo_closed_rows {
    zo_closed *c;
    zo_part part;
    int to;
    int64_t first, n;
    float *out;
    size_t ld;
    const int64_t *row; /* [n] which rows instead; NULL: n rows from `first` on */
    bool whole;         /* zo_cancel() does not stop it */
} zo_closed_rows;
/* The inputs of row `row`, possibly changed. */
void zo_closed_gather(const zo_closed_rows *rows, int64_t row, float *to);
/* After zo_cancel() rows may be missing: callers ask before they use them, and change nothing. */
void zo_closed_run(const zo_closed_rows *rows);
/* c->h = what the solve sees of rows [first, first + n), n at most a tile; zo_closed_tile_init() comes first. */
void zo_closed_features(zo_closed *c, zo_part part, int64_t first, int64_t n);

/* Buffers; also the order of the training rows. Errors: NO_MEMORY. */
zo_status zo_closed_rows_init(zo_closed *c);
/* Gives back what rows_init() and tile_init() make, which make it again where it is needed; modules keep theirs. */
void zo_closed_rows_free(zo_closed *c);
/* Sets gain and shift of scale layer `stage` from up to 10,000 training rows. */
zo_status zo_closed_scale(zo_closed *c, int stage);
/* The first scale layer of the body of one pixel from stage `from` on, or -1. */
int zo_closed_next_scale(const zo_closed *c, int from);
/* All training rows, copies included; and the place of row r in the training part. */
int64_t zo_closed_all_rows(const zo_closed *c);
int64_t zo_closed_place(const zo_closed *c, int64_t row);
/* Whether rows have weights. */
static inline bool zo_closed_weighted(const zo_closed *c)
{
    return c->set.balance || *c->set.class_weights || c->set.loss == ZO_CLOSED_LOGISTIC;
}
/* How sums are made: flags of gram.h. Few features are never worth rounding: their sums take no time. */
unsigned zo_closed_sums(const zo_closed *c);
/* Makes room for a tile, once. Errors: NO_MEMORY. */
zo_status zo_closed_tile_init(zo_closed *c);
/* Adds the next tile to the sums. No tile has rows of two copies, and no row waits (gram.h) behind the last of a copy: sums of fewer copies are
 * those that more copies begin with. */
zo_status zo_closed_tile(zo_closed *c);

/* ---- closed_fill.c, closed_patches.c, closed_filters.c ---- */

/* What the settings ask for that this net or task has not. Errors: USAGE. */
zo_status zo_closed_fill_check(const zo_closed *c);
/* Fills stages from `from` on, up to the next scale layer of one pixel: what lies behind it may look at what it gives.
 * Of a stage that fails or is stopped some weights may be changed. */
zo_status zo_closed_fill(zo_closed *c, int from);
/* Whether filters can be made of patches of what comes into a conv or patch stage. Errors: USAGE. */
zo_status zo_closed_patches_check(const zo_closed *c, int stage);
/* Fills the stage with them. */
zo_status zo_closed_patches(zo_closed *c, int stage);

/* ---- closed_classes.c ---- */

/* Multiplies c->class_weight [classes] as class_weights says. Errors: USAGE. */
zo_status zo_closed_weigh_classes(const zo_closed *c);

/* ---- closed_solve.c ---- */

/* Bytes that the run holds at its most for so many features, the net left out. */
double zo_closed_bytes(const zo_closed *c, size_t p);
/* Of buffers that do not depend on the problem's size. */
double zo_closed_rows_bytes(const zo_closed *c);
/* Multiply-adds of a solve, before it is made. */
double zo_closed_solve_cost(const zo_closed *c);
/* Chooses lambda and solves: all of it, or nothing. */
zo_status zo_closed_solve(zo_closed *c);
/* The mean loss, which is that of runs (run.h), of the present network on the first training rows; nothing stops it. zo_closed_tile_init() comes
 * first. */
double zo_closed_loss_of_rows(zo_closed *c);

/* ---- closed_logistic.c ---- */

bool zo_closed_is_logistic(const zo_closed *c);
/* Errors: USAGE (answers are no classes, a sketch). */
zo_status zo_closed_logistic_check(const zo_closed *c);
/* Bytes beside those of least squares with weights; 0 for least squares. */
double zo_closed_logistic_bytes(const zo_closed *c, size_t p);
/* Targets c->y and weights c->w of `rows` rows of the run from `first` on, whose features are in c->h. Errors: NO_MEMORY. */
zo_status zo_closed_logistic_tile(zo_closed *c, int64_t first, size_t rows);
/* What lambda is in units of, for the rows so far; set by the sums of the first iteration. Errors: as zo_normal_init(). */
zo_status zo_closed_logistic_unit(zo_closed *c, const zo_moments *m, bool intercept, double *unit);
/* eta [m][round16(q)] = outputs of the present layer for m rows of c->h from `first` on. On any thread. */
void zo_closed_logistic_present(const zo_closed *c, size_t first, size_t m, float *eta);
/* Adds to sum [STEPS] the cross-entropies of steps from these outputs towards those of a solution, y [m][ldy]; m <= 128 rows with these labels.
 * mixed: room, as eta. On any thread. */
void zo_closed_logistic_score(const zo_closed *c, size_t m, const int32_t *label, const float *eta,
                              const float *y, size_t ldy, float *mixed, double *sum);
/* Index of the least of such sums, a step of 0 left out; and with the sums of the lambda that is chosen: which step is taken. */
int zo_closed_logistic_best(const double *sum);
void zo_closed_logistic_choose(zo_closed *c, const double *sum);
/* Replaces a solution w [p][ldw], b [q] for this lambda (absolute) by the best step towards it from the present layer. Nothing for least squares.
 * Errors: NO_MEMORY. */
zo_status zo_closed_logistic_step(zo_closed *c, double lambda, float *w, size_t ldw, float *b);
/* After a solve, the last one in any case or not: whether rows come again, from the first one on. */
bool zo_closed_logistic_more(zo_closed *c, bool last);
/* Whether a budget that ends here leaves the layer as the last solve made it: too few rows for another one. stay() says so,
 * and the rows of that solve count again. */
bool zo_closed_logistic_stays(const zo_closed *c);
void zo_closed_logistic_stay(zo_closed *c);
/* Rows that a solve looks at besides the validation part and those of the loss. */
double zo_closed_logistic_looks(const zo_closed *c);
/* Share of the whole, from the share of rows of this pass; the same for least squares. */
double zo_closed_logistic_share(const zo_closed *c, double rows);
/* Whether a saved state may say this. */
bool zo_closed_logistic_can_be(const zo_closed *c, const zo_closed_iterations *saved);
/* A line of the plan, after the first iteration. */
void zo_closed_logistic_plan(const zo_closed *c, char *out, size_t room);

#endif

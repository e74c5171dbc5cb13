/* What estimators share whose draws move the whole network: the passes of pairs of members, and what becomes of their losses.
 *
 * A pair is a draw and its opposite; one-sided, a draw and the unperturbed network. Its outcome is two mean losses on the examples that the
 * pair sees. An example without a finite loss is left out; a member that loses others than the unperturbed network does is dropped, and its
 * pair with it: it keeps its place among the pairs, at the clean loss or as no difference, and weighs nothing. Where the loss is one of a
 * whole batch, the outcome is that of all examples that the pair sees, whose outputs wait for each other; a member without one is dropped. No
 * perturbed network exists as a whole: a stage is run from one piece of noisy weights after the other.
 *
 * The state of an estimator begins with a zo_population, so that functions with `void *st` can stand in its class.
 */
#ifndef ZO_LEARN_POPULATION_H
#define ZO_LEARN_POPULATION_H

#include "learn/learner.h"
#include "learn/noise.h"
#include "learn/shaping.h"

typedef struct zo_population_settings {
    int64_t population; /* pairs */
    int64_t examples;   /* of the batch that a pair sees; 0: all of it */
    double sigma;
    int two_sided;
    int noise;   /* zo_noise_kind */
    int shaping; /* zo_shaping */
    bool alone; /* one two-sided pair in no more room than inference takes, and no unperturbed pass: see pair.h */
} zo_population_settings;

/* Noise of a stretch of parameters: signs, sixteen a word, or numbers. The other is NULL. */
typedef struct zo_draw {
    const uint16_t *signs;
    const float *numbers;
} zo_draw;

/* The rows that a worker runs together, [pair][side][example], and its room. */
typedef struct zo_chunk {
    int64_t pair; /* the first */
    size_t pairs, sides, examples, m;
    size_t first;     /* `examples` are those from here on, of those that a pair sees */
    int32_t *example; /* [m] rows of the batch */

    zo_room room;
    float *scratch; /* activations, see zo_chunk_tensor() */
    float *weight;  /* [piece] noisy weights */
    float *bias[2]; /* [most bias_floats] noisy biases of both sides */
    float *moved; /* [examples][ld_out of stage 0]: what noise adds to the outputs of the first stage */
    uint16_t *signs; /* for draws: [piece / 16, and a block at either end] */
    float *numbers;  /* for draws: [piece] */
    int32_t *label;  /* [m]; [seen] where the loss is of a whole batch */
    float *loss, *target;
    float *y; /* whole: outputs of the members [pair][side][seen], rows as of the last stage */
    uint64_t *loss_room; /* whole: room for the loss, zo_loss_room() */
} zo_chunk;

struct zo_population;

/* Where an estimator differs. */
typedef struct zo_population_kind {
    /* The noise of n parameters of a stage, from number `at` on among [weights][bias] as they lie in the arena (not across both; `at` begins
     * a panel or a block of 128 numbers). May use the chunk's signs and numbers; valid until the next call. */
    zo_draw (*draw)(const struct zo_population *p, zo_chunk *c, int64_t pair, int stage, size_t at,
                    size_t n);
    /* Whether the class runs the stage in a way of its own: then run() takes it from tensor `stage` to `stage` + 1. NULL: none. */
    bool (*own)(const zo_stage *s);
    void (*run)(const struct zo_population *p, zo_chunk *c, int stage);
    bool numbers; /* draw() needs zo_chunk.numbers for signs too */
    bool centred; /* shape the differences alone: pairs see different examples */
} zo_population_kind;

typedef struct zo_population {
    const zo_learner *l;
    const zo_population_kind *kind;
    zo_population_settings set;
    size_t pairs, sides, seen; /* seen: examples of a pair */
    size_t group;              /* pairs of an item */
    size_t chunk, chunks;      /* examples that run together, and how often it takes */
    size_t rows;               /* at most in a chunk */
    zo_chunk *worker;          /* [threads] */
    float *z;                  /* [batch][ld_out of stage 0] unperturbed, or NULL: not kept */
    float *clean; /* [batch] losses of the unperturbed network, of no use to one that is alone; or, */
    bool whole;   /* the loss being of a whole batch, */
    float *y;     /* [batch] its outputs, rows as of the last stage, */
    double clean_whole;            /* and their loss */
    double *plus, *minus, *weight; /* [pairs] */
    int32_t *order;                /* [2 * pairs] */
    double loss;
    int64_t dropped;
    const zo_update *update;
} zo_population;

/* Sizes everything; `most` pairs may share an item. Errors: NO_MEMORY. fini is due also after a failure. */
zo_status zo_population_init(zo_population *p, const zo_population_kind *kind,
                             const zo_population_settings *set, const zo_learner *l, size_t most);
void zo_population_fini(zo_population *p);

/* Runs the unperturbed network on the batch, and returns the job but for its tiles. */
zo_job zo_population_job(zo_population *p, const zo_update *update);

/* Examples [c->first, + c->examples) of pairs [c->pair, + c->pairs) through their members: c->loss[c->m], or the outputs only where the loss is of a whole batch. */
void zo_population_run(const zo_population *p, zo_chunk *c);

/* Members of the class zo_estimator_class. report() leaves the cost to the class. */
void zo_population_report(const void *st, const double *results, zo_step_info *out);
size_t zo_population_pack(const void *st, const double *results, double *out);
bool zo_population_unpack(const void *st, const double *in, size_t n, double *results);
double *zo_population_weights(void *st, size_t *n);

/* Multiply-adds of a step: the clean pass, if there is one, and what zo_population does at stages that the class does not run. */
double zo_population_cost(const zo_population *p);

/* For run(). Tensor i of the chunk's rows, i >= 1: [m][floats of an example]. */
float *zo_chunk_tensor(const zo_population *p, const zo_chunk *c, int tensor);
/* Row of the chunk where a member begins. */
static inline size_t zo_chunk_row(const zo_chunk *c, size_t pair, size_t side)
{
    return (pair * c->sides + side) * c->examples;
}
/* How many examples from row r on lie side by side in the batch, within the member. */
size_t zo_chunk_run(const zo_population *p, const zo_chunk *c, size_t r);

/* Applies the direction g of n numbers from `at` on of a stage's [weights][bias]; clears its pads first. */
void zo_population_apply(const zo_population *p, const zo_stage *s, size_t at, size_t n, float *g);

#endif

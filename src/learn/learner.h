/* What the parts of a perturbation trainer share: the network, the task, the loss, the batch; and the contracts of estimators, rules and
 * schedules.
 */
#ifndef ZO_LEARN_LEARNER_H
#define ZO_LEARN_LEARNER_H

#include <zeroth/trainer.h>

#include "base/files.h"
#include "base/params.h"
#include "eval/evaluator.h"
#include "kernels/kernels.h"
#include "nn/loss.h"
#include "nn/net.h"
#include "task/task.h"

/* Examples of one tile of the sums over examples; and examples of one work item. Fixed, so that no bits depend on threads. */
#define ZO_SUM_TILE 128
#define ZO_ITEM 32

typedef struct zo_learner {
    zo_context *ctx;
    const zo_kernels *k;
    const zo_task *task;
    zo_net *net; /* trained in place */
    const zo_loss_class *loss;
    zo_loss_fn loss_fn;        /* the user's, instead of `loss`; or NULL */
    zo_batch_loss_fn batch_fn; /* the same, of a whole batch */
    void *loss_user;
    bool loss_jumps; /* piecewise constant, whichever of the two it is */
    uint64_t seed;
    int batch;          /* examples of a step */
    const bool *frozen; /* [stages] whose parameters stay; NULL: none */

    /* The present step, set before the job runs. */
    int64_t step;
    const int32_t *example; /* [batch] places in the training part */
    int32_t *label;         /* [batch], or NULL */
    float *target;          /* [batch][outputs], or NULL */
    float *x;               /* [batch][ld_in of stage 0]: the inputs of the examples */
} zo_learner;

/* Losses of m rows of y; label and target as in zo_loss_kernel, targets unpadded. */
void zo_learner_losses(const zo_learner *l, float *loss, const float *y, size_t m,
                       const int32_t *label, const float *target);

/* Whether the loss is one of a whole batch: then no example has one of its own. */
bool zo_learner_whole(const zo_learner *l);
/* That loss, of m rows of y together; NaN: none. room[zo_loss_room(m, outputs)]. */
double zo_learner_batch_loss(const zo_learner *l, const float *y, size_t m, const int32_t *label,
                             const float *target, uint64_t *room);

/* The mean of the finite ones among n losses that lie `stride` apart; NaN if there is none. *left_out receives how many are not. */
double zo_learner_mean(const double *loss, size_t stride, int n, int64_t *left_out);

/* Whether the parameters of a stage stay; and how many of it, and of all stages, may move. */
bool zo_learner_frozen(const zo_learner *l, int stage);
int64_t zo_learner_moving(const zo_learner *l, int stage);
int64_t zo_learner_moving_all(const zo_learner *l);

/* Whether a small move at the outputs of a stage, or of its weights, can leave the loss unchanged: an activation, a layer or the loss jumps.
 * Stage -1: anywhere in the net. */
bool zo_learner_jumps(const zo_learner *l, int stage);
/* How far a move must go there to be seen: 1 for a step function or a loss that jumps; 0 where nothing does. */
double zo_learner_stride(const zo_learner *l, int stage);

struct zo_update;

/* Turns a direction into a step. One file each. */
typedef struct zo_rule_class {
    zo_class_info info;
    size_t settings_size; /* the settings begin with `double lr` */
    int slots;            /* numbers remembered per parameter, at most 4; they start at zero */
    bool whole;           /* looks at u->sums: is not applied before the direction is complete */
    double cost;          /* multiply-adds per parameter */
    /* p[n] moves against g[n]: places at .. at + n - 1 of the arena; slot[i][n] is this range's memory. No number may depend on how the
     * arena is cut into ranges. The direction of pads is zero, and their step must be. */
    void (*apply)(const struct zo_update *u, size_t at, float *p, float *const *slot,
                  const float *g, size_t n);
} zo_rule_class;

/* The step size over a run. */
typedef struct zo_schedule_class {
    zo_class_info info;
    size_t settings_size;
    double (*at)(const void *settings, double progress); /* factor on lr */
} zo_schedule_class;

/* Products of the whole direction g and the first memory v of the rule, each with each. */
typedef struct zo_sums {
    double gg, gv, vv;
} zo_sums;

/* A rule at work on the network's arena. */
typedef struct zo_update {
    const zo_kernels *k;
    const zo_rule_class *rule;
    const void *settings;
    zo_net *net;        /* what moves */
    const bool *frozen; /* [stages] of it that do not; NULL: none */
    uint64_t seed;
    double clip, weight_decay; /* 0: none */

    /* The present step. */
    int64_t step;  /* counts from 1 */
    int64_t drawn; /* the same for random streams: steps that were taken back count as well, so that no noise comes again */
    double progress;
    double rate; /* lr x schedule */

    float *slot[4]; /* [arena] each */
    /* Where something must be known of the whole direction first: it is collected here, [arena], and the rule waits. Else NULL. */
    float *direction;
    float scale; /* what the direction is clipped by */
    zo_sums sums, *tile;
} zo_update;

/* Allocates what an update with its settings and its network needs. Errors: NO_MEMORY. fini is called also after a failed init. */
zo_status zo_update_init(zo_update *u);
void zo_update_fini(zo_update *u);

/* Moves parameters [at, at + n) against g, or collects g. Disjoint ranges may run at once. Nobody calls it for a stage that is frozen. */
void zo_update_apply(const zo_update *u, size_t at, const float *g, size_t n);

/* After the whole direction went through zo_update_apply(): takes the step if it has not been taken. */
void zo_update_finish(zo_update *u);

/* Multiply-adds of a step. */
double zo_update_cost(const zo_update *u);

/* The step size of adam at the update's step: u->rate with the corrections of both means. */
double zo_adam_rate(const zo_update *u, double beta1, double beta2);

/* The variance of a stage's part of a direction over the squared length of its mean g, for small moves:
 *   constant + rho mean |g_b|^2 / |g|^2 + all |the g of all stages|^2 / |g|^2,     g_b that of example b */
typedef struct zo_theory {
    double constant, rho, all;
} zo_theory;

/* Turns losses of perturbed passes into a direction. One file each. */
typedef struct zo_estimator_class {
    zo_class_info info;
    size_t settings_size, state_size;
    size_t layered; /* bytes that its settings begin with which a layer may have of its own (key@layer=value); 0: none */
    double lr;      /* factor on the rule's default lr */
    bool whole;     /* serves losses of a whole batch */
    /* Sizes everything. settings: of each stage, one after the other; others than `layered` ones are the same in all. `l` stays valid. Errors:
     * USAGE, UNSUPPORTED, NO_MEMORY. fini is called also after a failed init. */
    zo_status (*init)(void *state, const void *settings, const zo_learner *l);
    /* The job of the learner's present step; `update` stays valid while it runs. */
    zo_job (*job)(void *state, const zo_update *update);
    /* After the job: loss, cost (without the rule) and dropped of *out. */
    void (*report)(const void *state, const double *results, zo_step_info *out);
    /* For steps that the seed and the job's results determine; the three are NULL else. pack() gives the numbers among the results that
     * matter, at most as many as there are; unpack() gives results with the same step and report, false if no step gave these numbers. */
    size_t (*pack)(const void *state, const double *results, double *out);
    bool (*unpack)(const void *state, const double *in, size_t n, double *results);
    /* What settle() leaves for direction(), and all that it needs besides seed and step. */
    double *(*weights)(void *state, size_t *n);
    /* Line `index` of how sites are treated; false past the last. */
    bool (*plan)(const void *state, int index, char *out, size_t room);
    /* After a step was taken: the next ones may be made otherwise. NULL: never. learned: what that depends on, [*n] bytes, always as many;
     * relearn: goes on from such bytes; false, and nothing has changed, if no run can have left them. NULL: nothing. */
    void (*after)(void *state);
    void *(*learned)(void *state, size_t *n);
    bool (*relearn)(void *state, const void *bytes);
    /* For measuring. theory: false where none is known, as NULL. halve: leaves in `results` what the examples of even or of odd place in the
     * batch gave, so that the direction is the sum of both; NULL: cannot. reseeds: another seed gives another estimate from the same batch. */
    bool (*theory)(const void *state, int stage, zo_theory *out);
    void (*halve)(const void *state, bool odd, double *results);
    bool reseeds;
    void (*fini)(void *state);
} zo_estimator_class;

/* NULL-terminated; the `info` of each class. */
extern const zo_class_info *const zo_rule_classes[],
    *const zo_schedule_classes[], *const zo_estimator_classes[], *const zo_trainer_classes[];

extern const zo_rule_class zo_rule_sgd, zo_rule_momentum, zo_rule_nesterov, zo_rule_adam,
    zo_rule_adamw, zo_rule_sign, zo_rule_coolmomentum, zo_rule_langevin, zo_rule_clipup;
extern const zo_schedule_class zo_schedule_constant, zo_schedule_linear, zo_schedule_cosine;
extern const zo_estimator_class zo_estimator_nodes, zo_estimator_weights, zo_estimator_lowrank,
    zo_estimator_auto, zo_estimator_spsa, zo_estimator_mezo, zo_estimator_coordinate,
    zo_estimator_backprop, zo_estimator_straight_through;

#endif

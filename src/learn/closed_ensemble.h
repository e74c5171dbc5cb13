/* An ensemble of closed forms: members are trained one after the other, each as a run of its own with a seed of its own, and the outputs are
 * averaged. The result is one network, { { M1 | M2 }+ | M3 }+ of copies of the member's net, where the last layers are divided by the number
 * of members. With ensemble=1 there is the one member, and nothing else.
 */
#ifndef ZO_LEARN_CLOSED_ENSEMBLE_H
#define ZO_LEARN_CLOSED_ENSEMBLE_H

#include "learn/closed.h"

/* What the plan says of a member that is done. */
typedef struct zo_closed_solved {
    double lambda;
    int64_t rows;
} zo_closed_solved;

typedef struct zo_closed_ensemble {
    zo_closed member; /* the one at hand */
    zo_net *whole;    /* NULL: ensemble=1, and what follows is not used */
    uint64_t seed;    /* of the run */
    zo_method method;
    char **settings; /* NULL at the end */
    /* What is saved, beside the member and the numbers of `whole`: */
    int64_t step, index, closed; /* index: of the member; closed: the mean is formed */
    zo_closed_solved *solved;    /* [members]; those before `index`, and it too where it is done */
    char line[ZO_TEXT_MAX + 64];
} zo_closed_ensemble;

/* The seed of member `index`; of the first it is the run's. */
uint64_t zo_closed_ensemble_seed(uint64_t seed, int64_t index);

/* The operations of a class whose state is a zo_closed_ensemble, but init and spec. */
zo_status zo_closed_ensemble_init(zo_closed_ensemble *e, zo_context *ctx, const zo_trainer_def *def,
                                  const zo_method *method, zo_net *net, const zo_class_info *info);
zo_status zo_closed_ensemble_step(void *state, double progress, zo_step_info *out);
const zo_net *zo_closed_ensemble_net(const void *state);
double zo_closed_ensemble_progress(const void *state);
double zo_closed_ensemble_ending(const void *state);
zo_uses zo_closed_ensemble_uses(const void *state);
void zo_closed_ensemble_save(const void *state, zo_file_out *out);
size_t zo_closed_ensemble_saved(const void *state);
bool zo_closed_ensemble_load(void *state, zo_reader *in);
const char *zo_closed_ensemble_setting(const void *state, int index);
const char *zo_closed_ensemble_plan(const void *state, int index);
/* Sums of a member that is done are not kept: more members have nothing to go on from. */
bool zo_closed_ensemble_kept(const void *state);
bool zo_closed_ensemble_grows(const void *state, const char *const *began);
void zo_closed_ensemble_reopen(void *state);
void zo_closed_ensemble_fini(void *state);

#define ZO_CLOSED_OPERATIONS                                                                       \
    .state_size = sizeof(zo_closed_ensemble), .late = true, .step = zo_closed_ensemble_step,       \
    .net = zo_closed_ensemble_net, .progress = zo_closed_ensemble_progress,                        \
    .ending = zo_closed_ensemble_ending, .uses = zo_closed_ensemble_uses,                          \
    .save = zo_closed_ensemble_save, .saved = zo_closed_ensemble_saved,                            \
    .load = zo_closed_ensemble_load, .kept = zo_closed_ensemble_kept,                              \
    .grows = zo_closed_ensemble_grows, .reopen = zo_closed_ensemble_reopen,                        \
    .setting = zo_closed_ensemble_setting, .plan = zo_closed_ensemble_plan,                        \
    .fini = zo_closed_ensemble_fini

#endif

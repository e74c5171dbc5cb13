/* The contract of a trainer class. */
#ifndef ZO_LEARN_TRAINER_H
#define ZO_LEARN_TRAINER_H

#include "learn/learner.h"

/* The setting `loss` where it is the user's batch_loss. */
#define ZO_LOSS_USER_BATCH "user-batch"

/* "estimator:rule" taken apart; empty parts were not given. */
typedef struct zo_method {
    char trainer[64], estimator[64], rule[64];
} zo_method;

/* Reads a method text. Errors: USAGE with the nearest name. NULL means the default. */
zo_status zo_method_read(const zo_context *ctx, const char *text, zo_method *out);

typedef struct zo_trainer_class {
    zo_class_info info;
    size_t state_size;
    bool late; /* its network is none before a step says that it is done: nobody looks at it until then. Where a budget ends before, one more
                * step with progress 1 is taken, which finishes with what there is and must be done */
    bool same_machine; /* its bits depend on the kernels and the machine (LAPACK); else they are portable */
    /* `net` is the trainer's own copy and becomes part of the state; it is freed by fini, which is called also after a failed init. */
    zo_status (*init)(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net);
    zo_status (*step)(void *state, double progress, zo_step_info *out);
    const zo_net *(*net)(const void *state);
    /* The net for a task where none is given; NULL: the task's own. */
    zo_status (*spec)(const zo_task *task, const char *const *settings, char *out, size_t room);
    /* Share of its own work done, below 1 until it is done; NULL: it has no end of its own. Both or neither with `late`. */
    double (*progress)(const void *state);
    /* With `late`: about the multiply-adds, or what takes as long, of the solve that a step with progress 1 ends with, so that it can be begun
     * before the budget ends. What such a step has to make up for first, a body that is not filled yet, is not in it. */
    double (*ending)(const void *state);
    /* A network of the mean of late parameters, that may be better; NULL, or gives NULL: none. */
    const zo_net *(*average)(const void *state);
    zo_uses (*uses)(const void *state);
    /* Everything the next step depends on, settings excluded. */
    void (*save)(const void *state, zo_file_out *out);
    /* The number of bytes save() writes; load() takes exactly these. False, and nothing has changed, if no trainer can have written them. */
    size_t (*saved)(const void *state);
    bool (*load)(void *state, zo_reader *in);
    /* Runs that are done and go on: kept: whether the state of one stays in its directory. grows: whether a trainer with these settings can go on
     * from the state of one that was done with the settings `began` ("key=value", NULL at the end), as if it had had its own from the start.
     * reopen: after load() of such a state. All three or none. */
    bool (*kept)(const void *state);
    bool (*grows)(const void *state, const char *const *began);
    void (*reopen)(void *state);
    /* After load(), of an earlier state: counts on as after `step` steps, with half the step size from here on. NULL: there is nothing to go back to, and no
     * state is kept for it. */
    void (*calm)(void *state, int64_t step);
    /* Steps that seed, progress and losses determine (all five NULL where no step of the class is so). numbers: the most that losses() gives,
     * 0 if the steps are not so. losses: of the last step. replay: the step that has these losses, without evaluating; FORMAT, and
     * nothing has changed, if none can have; DIVERGED as step. drawn: what the losses of the last step came to, the weights of its draws; redraw: the step that
     * has these weights. */
    size_t (*numbers)(const void *state);
    size_t (*losses)(const void *state, double *out);
    zo_status (*replay)(void *state, double progress, const double *losses, size_t n,
                        zo_step_info *out);
    const double *(*drawn)(const void *state, size_t *n);
    zo_status (*redraw)(void *state, double progress, const double *weight, size_t n);
    const char *(*setting)(const void *state, int index);
    const char *(*plan)(const void *state, int index);
    /* The names of the chosen classes. */
    const char *(*estimator)(const void *state), *(*rule)(const void *state);
    const zo_loss_class *(*loss)(const void *state); /* NULL: none by name */
    void (*time)(void *state,
                 zo_timer *timer); /* steps from now on take their laps; NULL: the class does not */
    void (*fini)(void *state);
} zo_trainer_class;

struct zo_trainer {
    zo_context *ctx;
    const zo_trainer_class *class;
    bool hollow; /* its task has no data: it can only replay; see zo_task_hollow() */
    char *spec;  /* of the net that it was created with; that of the present one may be another */
    uint64_t definition; /* checksum of what a saved state must agree with */
    void *state;
    char *good; /* a saved state in memory, of as many bytes as save() writes; NULL: none is kept */
};

extern const zo_trainer_class zo_trainer_perturb, zo_trainer_elm, zo_trainer_conv_elm,
    zo_trainer_pcanet;

/* The inside of a trainer of that class, for measuring. */
typedef struct zo_perturb_parts {
    zo_learner *learner;
    const zo_estimator_class *estimator;
    void *state; /* of the estimator */
    double *results;
    size_t results_size;
} zo_perturb_parts;
zo_perturb_parts zo_perturb_parts_of(zo_trainer *t);

/* What the estimator of another trainer of the same definition has learned goes to this one's. */
void zo_perturb_learn(zo_trainer *t, const zo_trainer *from);

/* Sets the learner's present step, and its batch. */
void zo_perturb_take_batch(zo_trainer *t, int64_t step);

/* Gives a net the transforms and the encoder of the task. Errors: NO_MEMORY, USAGE. */
zo_status zo_trainer_dress(zo_net *net, const zo_task *task);

/* Of the class; NULL: none. */
const zo_net *zo_trainer_average(const zo_trainer *t);

/* The bytes of the state, as the class says; and back: false if no trainer of this shape can have written them. */
size_t zo_trainer_state_size(const zo_trainer *t);
void zo_trainer_state_add(const zo_trainer *t, zo_file_out *out);
bool zo_trainer_state_take(zo_trainer *t, zo_reader *in);

/* Makes room for a good state, which keep() fills and go_back() returns to: after `step` steps with half the step size. go_back: false, and nothing
 * has changed, if what is kept came from a file that no trainer can have written. Where the class has nothing to go back to, the first two do
 * nothing, and the third must not be called. */
zo_status zo_trainer_keep_init(zo_trainer *t);
void zo_trainer_keep(zo_trainer *t);
bool zo_trainer_go_back(zo_trainer *t, int64_t step);

/* Of the class, as its contract says. numbers 0: the others must not be called. */
size_t zo_trainer_numbers(const zo_trainer *t);
size_t zo_trainer_losses(const zo_trainer *t, double *out);
zo_status zo_trainer_replay(zo_trainer *t, double progress, const double *losses, size_t n,
                            zo_step_info *out);
const double *zo_trainer_drawn(const zo_trainer *t, size_t *n);
zo_status zo_trainer_redraw(zo_trainer *t, double progress, const double *weight, size_t n);

/* The name of the trainer's estimator and rule, "" where it has none. */
const char *zo_trainer_estimator(const zo_trainer *t);
const char *zo_trainer_rule(const zo_trainer *t);

/* Of the class: whether it has a network only once it is done; its own progress, 0 where it has none. */
bool zo_trainer_late(const zo_trainer *t);
double zo_trainer_progress(const zo_trainer *t);

/* Of the class, ending(); 0 where it has none. */
double zo_trainer_ending(const zo_trainer *t);

/* Of the class, false where it has none of these; reopen must be called only where grows() was true. */
bool zo_trainer_kept(const zo_trainer *t);
bool zo_trainer_grows(const zo_trainer *t, const char *const *began);
void zo_trainer_reopen(zo_trainer *t);

/* The loss that it minimises, if that has a name, else NULL. */
const zo_loss_class *zo_trainer_loss(const zo_trainer *t);

#endif

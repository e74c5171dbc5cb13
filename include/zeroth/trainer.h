/* Trainers: methods that train a network on a task, one bounded step at a time.
 *
 * Most users want zo_train() of run.h, which drives a trainer, keeps the best network and writes a run directory.
 */
#ifndef ZEROTH_TRAINER_H
#define ZEROTH_TRAINER_H

#include <stdint.h>
#include <zeroth/classes.h>
#include <zeroth/net.h>
#include <zeroth/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque; made by zo_trainer_create(). */
typedef struct zo_trainer zo_trainer;

/** A loss of your own, per example; it need not be differentiable. Fills loss[n] from outputs y[n][outputs] (rows
 *  `stride` floats apart); example i has label[i] (classification) or target[i * outputs ...] (regression); the
 *  other is NULL. Called from several threads at once; must give the same numbers for the same inputs. A non-finite
 *  loss is dropped and counted. */
typedef void (*zo_loss_fn)(void *user, int n, int outputs, const float *y, int stride,
                           const int32_t *label, const float *target, float *loss);

/** A loss of your own of a whole batch, where examples have none of their own (a rank correlation, F1, what a decision on
 *  all of them costs). Arguments as of zo_loss_fn, and the same rules; returns the loss of the n examples together, NaN if they have
 *  none: then a member is dropped and counted. If the unperturbed network has none on the batch of a step, the step is DIVERGED and a
 *  run goes back: return a constant for a batch that says nothing. `n` is what a member sees, or all of the validation or the test part. */
typedef double (*zo_batch_loss_fn)(void *user, int n, int outputs, const float *y, int stride,
                                   const int32_t *label, const float *target);

/** Start from zo_trainer_default_def() and change fields. */
typedef struct zo_trainer_def {
    const char *method; /**< a trainer, an estimator ("nodes"), or estimator:rule ("backprop:adam"); NULL: the default */
    const zo_task *task; /**< required; borrowed until the trainer is destroyed */
    const zo_net *net;   /**< where to start; copied; required */
    uint64_t seed;       /**< the only source of randomness */
    const char *const *
        settings; /**< "key=value" texts for the parameters of the chosen classes, NULL-terminated; or NULL */
    zo_loss_fn loss; /**< NULL: the loss named by the settings */
    zo_batch_loss_fn
        batch_loss; /**< instead of loss, not beside it; only some estimators can serve it ("weights", "lowrank") */
    void *loss_user; /**< handed to loss or batch_loss */
    bool loss_jumps; /**< the loss of your own is piecewise constant, such as a count of errors: perturbations must be large */
} zo_trainer_def;

/** All NULL and 0. */
ZO_API zo_trainer_def zo_trainer_default_def(void);

/** Makes a trainer. Errors: USAGE (unknown method, setting or value, with the nearest right one; a method and a setting
 *  that name different classes; net and task that do not fit, or are of another context; two losses), UNSUPPORTED (a method that cannot serve this net or
 *  loss; says which can), NO_MEMORY. */
ZO_API zo_status zo_trainer_create(zo_context *ctx, const zo_trainer_def *def, zo_trainer **out);

/** Room for what zo_method_net() writes. */
#define ZO_METHOD_NET_MAX 4096

/** The net spec that `method` trains on `task` where none is given, into out[room], cut off where it does not fit: the task's own, unless the
 *  method has one of its own, as closed forms do. settings as in zo_trainer_def. Errors: USAGE (as zo_trainer_create(); a method that cannot
 *  serve the task). */
ZO_API zo_status zo_method_net(zo_context *ctx, const char *method, const zo_task *task,
                               const char *const *settings, char *out, size_t room);

/** Frees the trainer and its network. NULL is legal. */
ZO_API void zo_trainer_destroy(zo_trainer *trainer);

/** What one step did. */
typedef struct zo_step_info {
    int64_t step;     /**< steps done so far, this one included */
    int64_t examples; /**< examples seen by this step */
    double loss; /**< mean of the finite losses of the unperturbed network on the batch (base member for population methods); where the loss is one of a whole batch, that of this network */
    double cost; /**< multiply-adds of this step: passes, direction and rule */
    int64_t dropped; /**< pairs, or whole examples, left out of this step because a loss was not finite */
    bool done; /**< nothing is left to do: the run ends. Steps of methods that are done at some point may have a loss of NaN */
} zo_step_info;

/** One bounded step. `progress` in [0, 1] is the share of the budget spent; schedules depend on it and on nothing
 *  else. A method that is done at some point (zo_step_info.done) finishes in the step with progress 1 with what it has. Same seed, same progress values: same bits, for any threads and kernels. Errors: CANCELLED (nothing changed),
 *  DIVERGED (no finite loss in the batch; nothing changed, *out is filled with a loss of NaN), USAGE. `out` may be NULL. */
ZO_API zo_status zo_trainer_step(zo_trainer *trainer, double progress, zo_step_info *out);

/** The current network, valid until the next step or destroy. */
ZO_API const zo_net *zo_trainer_net(const zo_trainer *trainer);

/** What the trainer as configured looks at. */
ZO_API zo_uses zo_trainer_uses(const zo_trainer *trainer);

/** Writes everything that the next step depends on, network included; the file appears whole or not at all.
 *  Errors: IO, NO_MEMORY. */
ZO_API zo_status zo_trainer_save(const zo_trainer *trainer, const char *path);

/** Takes up the state that zo_trainer_save() wrote, in a trainer created with the same definition; the next steps give
 *  the same bits. Errors: NOT_FOUND, IO, FORMAT (damaged, or of another definition), NO_MEMORY; the trainer is then as before. */
ZO_API zo_status zo_trainer_load(zo_trainer *trainer, const char *path);

/** The `index`-th resolved setting as "key=value"; NULL past the last. Valid until the next call of this or of
 *  zo_trainer_plan(). */
ZO_API const char *zo_trainer_setting(const zo_trainer *trainer, int index);

/** How the trainer treats its sites, in lines such as "0 dense128 outputs: complete set of 128 units, one-sided, sigma 0.01, at most
 *  1.53 forward-equivalents an example"; NULL past the last. `weights` has one line for all, `backprop` has none.
 *  Valid until the next call of this or of zo_trainer_setting(). */
ZO_API const char *zo_trainer_plan(const zo_trainer *trainer, int index);

#ifdef __cplusplus
}
#endif
#endif

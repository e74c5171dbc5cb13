/* Runs: one training, and the directory that holds it.
 *
 *     config.json          everything needed to repeat it, but data and losses of your own
 *     metrics.jsonl        one object for each look at the validation part, and for what was measured there; the last one is the result
 *     journal              each step before it is taken: its progress and, where they determine the step, its losses
 *     checkpoint           the state after some step; checkpoint.previous the one before it
 *     model.safetensors    the network, best on validation
 *
 * A run that was stopped or killed continues from its checkpoint and journal to the same bits; docs/reliability.md says what
 * is promised under which faults.
 *
 * The losses of a regression are half the sum of squared errors of standardised targets: 0.5 for each target is what
 * predicting the mean gives, whatever the unit.
 *
 * The network kept is the one of most accuracy on the validation part, or of least loss: for a regression, where the loss is one of your own, and
 * where it is one of a whole batch ("f1", "auc"). Losses on validation and test are those of your own or of the whole part; under
 * every other loss they are cross-entropy for classes, squared error for numbers, so that runs can be compared. The loss on the training part
 * is the mean over steps of zo_step_info.loss.
 */
#ifndef ZEROTH_RUN_H
#define ZEROTH_RUN_H

#include <stdint.h>
#include <zeroth/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What was measured of one layer with parameters, see zo_train_def.measure. Numbers that are not known are NaN. */
typedef struct zo_measured {
    int layer;          /**< place of its word in the net spec */
    const char *word;   /**< that word */
    int64_t parameters; /**< numbers learned */
    double cosine;    /**< between the estimator's direction on the step's batch and the gradient */
    double predicted; /**< the root of what theory says of the mean squared cosine, for small moves */
    double snr; /**< signal to noise of the estimate, without the gradient; docs/measuring.md defines it */
} zo_measured;

/** How a run stands; handed to the report callback. Fields that do not apply are NaN. */
typedef struct zo_report {
    double progress;            /**< share of the budget spent, 0 to 1 */
    double seconds;             /**< of training so far */
    double seconds_left;        /**< estimate */
    int64_t step;               /**< steps done */
    double epochs;              /**< passes over the training part */
    double train_loss;          /**< mean over the steps since validation was last looked at */
    double validation_loss;     /**< when it was last looked at */
    double validation_accuracy; /**< the same; NaN for regression */
    double forwards;            /**< forward-equivalents of training so far */
    double forwards_per_second; /**< since validation was last looked at */
    int64_t dropped;            /**< pairs or examples dropped so far */
    const zo_measured *
        measured; /**< [measured_layers] what was measured at this look, until the callback returns; else NULL */
    int measured_layers; /**< 0: nothing was measured */
} zo_report;

/** Receives reports: on the calling thread, between steps; at each look at the validation part, and else about every 0.1 s. */
typedef void (*zo_report_fn)(void *user, const zo_report *report);

/** Start from zo_train_default_def() and change fields. */
typedef struct zo_train_def {
    const zo_task *task;   /**< required; borrowed for the call */
    const zo_net *init;    /**< start from this network; NULL: make one of `net` */
    const char *init_path; /**< where `init` came from, for config.json; NULL: not recorded */
    const char *net;       /**< net spec; NULL: the method's for this task, zo_method_net() */
    const char *method; /**< as in zo_trainer_def; NULL: the default, which uses forward passes only */
    const char *const *settings; /**< "key=value" texts, NULL-terminated, or NULL */
    zo_loss_fn loss;             /**< a loss of your own, or NULL */
    zo_batch_loss_fn batch_loss; /**< the same, of a whole batch; see zo_trainer_def */
    void *loss_user;             /**< handed to loss or batch_loss */
    bool loss_jumps;             /**< see zo_trainer_def */
    uint64_t seed;               /**< of weights, batches and noise */
    double seconds;  /**< training time; one of seconds, epochs and forwards ends the run, */
    double epochs;   /**< the first to be reached; all 0: 60 seconds, or until the method is done */
    double forwards; /**< forward-equivalents */
    double seconds_before; /**< what the host spent before this call (loading); counted in the result's `seconds` only */
    double target;   /**< stop when validation accuracy reaches this share; 0: never */
    const char *out; /**< run directory, made if missing; NULL: nothing is written */
    bool resume;     /**< continue the run in `out`, which was started with the same definition */
    bool force;      /**< with resume: also where data, code or budget differ; the record says so */
    double checkpoint; /**< seconds between saved states; 0: so far apart that they cost less than 1 % of the time */
    const char *measure; /**< NULL: nothing; "alignment": at each look, how near the direction of the next step is to the gradient on its batch, by
                          *   layer. USES GRADIENTS, to measure alone: training has the same bits without it, and its time and cost are not counted.
                          *   "alignment-straight-through": also where an activation has none, with an invented slope */
    zo_report_fn report; /**< NULL: none */
    void *report_user;   /**< handed to report */
} zo_train_def;

/** All NULL and 0. */
ZO_API zo_train_def zo_train_default_def(void);

/** What a run came to. Fields that do not apply are NaN. */
typedef struct zo_train_result {
    double seconds; /**< seconds_before + this call, without the last saving; and the training that was resumed */
    double seconds_training; /**< steps and validation, without loading and test; all parts of a resumed run */
    double seconds_target; /**< of training when `target` was reached; NaN if it was not */
    double cost;           /**< multiply-adds of all training steps */
    double forwards;       /**< the same in forward-equivalents */
    double epochs;         /**< passes over the training part */
    int64_t steps;         /**< steps done */
    int64_t dropped;       /**< pairs or examples without a finite loss */
    int64_t rolled_back; /**< 1: the losses exploded once; the run went back, and on with half the step size */
    int64_t resumed;            /**< how many times the run was continued */
    int64_t memory;             /**< most bytes held at once; see zo_context_memory() */
    double train_loss;          /**< mean over the steps before the last look at validation */
    double validation_loss;     /**< of the kept network */
    double validation_accuracy; /**< of the kept network */
    double test_loss;           /**< of the kept network; NaN without a test part */
    double test_accuracy;       /**< of the kept network */
    int64_t parameters;         /**< numbers learned */
    zo_uses uses;               /**< what the training looked at */
    char trainer[32];           /**< names of the chosen classes; "" where none */
    char estimator[32];         /**< see trainer */
    char rule[32];              /**< see trainer */
} zo_train_result;

/** Trains and, unless `out` is NULL, writes the run directory. The directory is claimed before training starts: EXISTS if it holds
 *  a run, BUSY if another process has it, IO if it cannot be written. zo_cancel() ends the run after the current step: the status is
 *  CANCELLED, state and model are saved and *result is filled. `net` (may be NULL) receives the kept network, which the caller
 *  destroys. If only the record could not be written at the end (IO), or the run has diverged (DIVERGED; the model saved is
 *  the best so far), both are filled all the same. The first time that losses explode or are no longer finite the run goes back to
 *  where its best network came from, and on with half the step size; the second time it ends. A disk that fails while training goes on is logged once and tried again. Other errors
 *  as in zo_trainer_create() and zo_trainer_step().
 *
 *  With `resume` the run in `out` goes on where it was stopped or killed, and ends with the bits of one that never was: steps after the
 *  last saved state are taken again as the journal says. Time spent and looks at validation count on. Threads and kernels may be others. If it is
 *  cancelled before it is where it was, nothing has changed, and *result is not filled.
 *  Errors: NOT_FOUND (no run there), CHANGED (data, version, net, settings, budget; says which; `force` goes on all the same, but for another net), BUSY,
 *  EXISTS (the run is done), FORMAT (its files are damaged beyond use). */
ZO_API zo_status zo_train(zo_context *ctx, const zo_train_def *def, zo_train_result *result,
                          zo_net **net);

/** Whether a process is training in the run directory now. */
ZO_API bool zo_run_busy(const char *run);

/** Whether the run has a journal that says what it is made of, and not how it ended: it was killed, or is at work. zo_train() with
 *  `resume` then goes on, even if a result was already recorded, as in a run that was killed between the two. False also where no
 *  journal can be read, and for NULL. */
ZO_API bool zo_run_lacks_end(zo_context *ctx, const char *run);

/** What zo_verify() found. */
typedef struct zo_verified {
    int64_t steps;           /**< taken again */
    int64_t from_losses;     /**< of these, from the journal's losses alone, without a pass */
    double seconds;          /**< that took */
    double seconds_training; /**< the run itself took, by its record; NaN if it has none */
    bool model;              /**< model.safetensors was there and was compared */
    bool checkpoint;   /**< checkpoint, or else checkpoint.previous, was there and was compared */
    int64_t numbers;   /**< compared in all */
    int64_t different; /**< whose bits differ */
} zo_verified;

/** Takes the steps of a run again, from its journal, and compares the bits with its model and its checkpoint. Where losses determine a
 *  step (as for `weights`), nothing is evaluated and no data are needed: `def` may be NULL. Else def->task and def->loss or
 *  def->batch_loss are those of the run, def->init its first network if it started from one; the other fields are not read. Errors: NOT_FOUND, USAGE
 *  (`def` must bring more), UNSUPPORTED (the journal has a gap, or was continued by force: says where), CHANGED (other data or version),
 *  FORMAT, BUSY, CANCELLED, NO_MEMORY. A difference is no error: see out->different. */
ZO_API zo_status zo_verify(zo_context *ctx, const char *run, const zo_train_def *def,
                           zo_verified *out);

/** A model as spec, seed and what the losses came to: the steps are taken again when it is loaded. */
typedef struct zo_seeds_info {
    int64_t steps;       /**< up to the kept network */
    int64_t bytes;       /**< of the file */
    int64_t model_bytes; /**< of the same network as model.safetensors */
    char method[96];     /**< such as "weights:adam" */
} zo_seeds_info;

/** Writes the kept network of a run as seeds to `path`. Errors: NOT_FOUND, UNSUPPORTED (losses do not determine the method's steps; a
 *  run with a gap in its journal, continued by force, that went back before its best network, or started from another network), FORMAT, BUSY, IO, NO_MEMORY. `info` may be NULL. */
ZO_API zo_status zo_seeds_save(zo_context *ctx, const char *run, const char *path,
                               zo_seeds_info *info);

/** Describes a seeds file without taking its steps. Errors: NOT_FOUND, IO, FORMAT. */
ZO_API zo_status zo_seeds_describe(zo_context *ctx, const char *path, zo_seeds_info *out);

/** The network of a run directory, a model.safetensors or a seeds file. Errors: NOT_FOUND, IO, FORMAT, CHANGED (seeds of another version
 *  of zeroth that would come to another network), CANCELLED, NO_MEMORY. */
ZO_API zo_status zo_model_load(zo_context *ctx, const char *path, zo_net **out);

/** Rows of a user's file through a saved model. */
typedef struct zo_predictions {
    int64_t n;         /**< rows */
    int outputs;       /**< numbers per row */
    float *y;          /**< [n][outputs], what the network gives (logits for classification) */
    int32_t *label;    /**< [n] the class of the largest output; NULL for regression */
    char **class_name; /**< [outputs] names; NULL for regression */
    double accuracy;   /**< if the file holds the right answers, else NaN */
} zo_predictions;

/** Reads `input` (CSV with the columns the model was trained on, or IDX images, plain or gzip) and runs `model`, which
 *  is anything that zo_model_load() takes. The caller frees *out with zo_predictions_destroy(). Errors: NOT_FOUND, FORMAT, IO,
 *  USAGE (columns or sizes that do not fit), UNSUPPORTED (a model of made-up data or of arrays), NO_MEMORY. */
ZO_API zo_status zo_predict(zo_context *ctx, const char *model, const char *input,
                            zo_predictions **out);

/** Frees predictions. NULL is legal. */
ZO_API void zo_predictions_destroy(zo_context *ctx, zo_predictions *predictions);

#ifdef __cplusplus
}
#endif
#endif

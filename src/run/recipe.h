/* What a run is made of, as JSON in its journal: enough to make its trainer again, and to tell whether it still is the same.
 *
 *     version kernels bits             the code: which, on which instructions, and whether its bits depend on them ("portable": no)
 *     trainer settings seed            all settings, as texts
 *     net inputs outputs classes       the network's spec and shape; parameters
 *     data examples definition         checksums of the data and of all that a trainer's state depends on; training examples
 *     init                             checksum of the first network's numbers, if the run did not draw them
 *     user_loss loss_jumps             a loss of the user's own
 *     seconds epochs forwards target   the budget
 *     forced                           in the entry of a run continued by force: what differed
 */
#ifndef ZO_RUN_RECIPE_H
#define ZO_RUN_RECIPE_H

#include <zeroth/run.h>

#include "base/json.h"
#include "learn/trainer.h"

/* The recipe as JSON text in *out, which is freed with zo_buffer_free() also on failure. `init` is the checksum of the first network where
 * the run began with one that need not be at hand any more, else NULL. `forced` NULL: not. */
zo_status zo_recipe_write(zo_context *ctx, const zo_train_def *def, const zo_trainer *trainer,
                          const char *init, const char *forced, zo_buffer *out);

/* All settings of a trainer as an object of texts. */
json_t *zo_recipe_settings(const zo_trainer *trainer, bool *failed);

/* Reads one. `where` is for error texts. NULL: FORMAT or NO_MEMORY is noted. Freed with json_decref(). */
json_t *zo_recipe_read(const zo_context *ctx, const char *where, const char *text, size_t size);

/* Whether two recipes have the same under a key, or both nothing. */
bool zo_recipe_same(const json_t *a, const json_t *b, const char *key);

/* Compares the recipe of a run with what would go on with it. CHANGED: why[room] says what differs first, as in "the data have changed". */
zo_status zo_recipe_compare(const json_t *began, const json_t *now, char *why, size_t room);

/* Whether the trainer, whose recipe is `now`, can go on from the state of a run that began so and is done: only settings differ, and such that
 * its class says so. */
bool zo_recipe_grows(const json_t *began, const json_t *now, const zo_trainer *trainer);

/* The trainer of a recipe. `def` may bring the task, the loss and the first network; without a task the trainer is hollow: it can only replay.
 * *task receives a hollow task, to be destroyed after the trainer, or NULL. Errors: FORMAT (a recipe that no run can have), UNSUPPORTED
 * (what `def` must bring), CHANGED (what it brings is not what the run had), NO_MEMORY. */
zo_status zo_recipe_trainer(zo_context *ctx, const char *where, const json_t *recipe,
                            const zo_train_def *def, zo_task **task, zo_trainer **out);

/* "estimator:rule" of its settings, or the trainer's name. */
void zo_recipe_method(const json_t *recipe, char *out, size_t room);

/* A checksum as a recipe writes it, and back; 0 for NULL. */
#define ZO_SUM_ROOM 24
const char *zo_recipe_sum(uint64_t sum, char *out);
uint64_t zo_recipe_hex(const char *text);

/* The checksum of a network's numbers. */
uint64_t zo_recipe_numbers(const zo_net *net);

#endif

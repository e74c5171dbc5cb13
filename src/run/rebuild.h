/* Taking the steps of a finished or stopped run again, from its journal alone or with its data. */
#ifndef ZO_RUN_REBUILD_H
#define ZO_RUN_REBUILD_H

#include "run/loop.h"
#include "run/recipe.h"

typedef struct zo_rebuild {
    zo_context *ctx;
    char *model, *checkpoint, *previous; /* paths */
    zo_journal journal;
    zo_survey survey;
    json_t *recipe;
    zo_train_def def;
    zo_task *hollow;
    zo_loop loop;
} zo_rebuild;

/* Opens a run for that. `def` as in zo_verify(). zo_rebuild_close() is due also after a failure. Errors: as zo_verify(); USAGE if `def` must
 * bring more. */
zo_status zo_rebuild_open(zo_rebuild *b, zo_context *ctx, const char *run, const zo_train_def *def);

/* Takes steps until `step` of them are done, at most as many as the run did: where it stood then. */
zo_status zo_rebuild_until(zo_rebuild *b, int64_t step);

/* Takes all steps, and the last look: the kept network is then the one that the run saved. */
zo_status zo_rebuild_all(zo_rebuild *b);

void zo_rebuild_close(zo_rebuild *b);

#endif

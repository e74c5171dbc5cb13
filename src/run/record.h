/* The files of a run directory; run.h describes them. */
#ifndef ZO_RUN_RECORD_H
#define ZO_RUN_RECORD_H

#include <zeroth/run.h>

#include "learn/trainer.h"

typedef struct zo_record {
    zo_context *ctx;
    char *config, *metrics, *model; /* paths */
    int fd;                         /* of metrics.jsonl */
    bool failed;                    /* a report could not be written: said once, training goes on */
} zo_record;

/* Claims the directory: makes it, refuses one that holds a run, writes config.json, starts metrics.jsonl. What it made is removed again
 * when it fails. */
zo_status zo_record_open(zo_record *r, zo_context *ctx, const zo_train_def *def,
                         const zo_trainer *trainer);

/* Adds a report. A failure is logged once and does not end the run. */
void zo_record_report(zo_record *r, const zo_report *report);

/* Writes the model and the result. `state` is "done", "stopped" or "diverged". */
zo_status zo_record_close(zo_record *r, const char *state, const zo_train_result *result,
                          const zo_net *net);

/* Frees and closes, without writing. */
void zo_record_fini(zo_record *r);

#endif

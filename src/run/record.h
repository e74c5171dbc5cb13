/* The files of a run directory, run.h describes them: claimed, written, and kept writing while the disk fails. With zo_train_def.out NULL all of
 * this does nothing.
 */
#ifndef ZO_RUN_RECORD_H
#define ZO_RUN_RECORD_H

#include <zeroth/run.h>

#include "run/checkpoint.h"
#include "run/journal.h"
#include "run/metrics.h"

typedef struct zo_record {
    zo_context *ctx; /* NULL: nothing is written */
    const char *out;
    char *config, *metrics, *model, *checkpoint, *previous; /* paths */
    zo_append lines;                                        /* metrics.jsonl */
    zo_journal journal;
    int64_t reported; /* steps up to this one have their line in metrics.jsonl */
    int64_t measured; /* the same of what was measured */
    int64_t planned;  /* and of changes of the plan */
    uint64_t plan;    /* checksum of the plan that was written last */
    bool back;        /* so has the step after which it went back */
    unsigned failing; /* which files could not be written last time */
    bool live;        /* entries are added; else the journal is being read */
    zo_survey survey; /* of the journal of a run that is resumed */
    char init[24];    /* checksum of the network that a resumed run began with, else "" */
    char forced[512]; /* what had changed, when that was overridden, or when the run grows; else "" */
    bool grown;       /* it was done, and goes on from its state with settings that this serves */
    double *losses;   /* of a step; NULL where they do not determine it */
    size_t numbers;
    size_t spare; /* bytes reserved, so that what comes after training keeps to the limit of memory */
} zo_record;

/* Claims the directory for a new run: makes it, refuses one that holds a run, writes config.json, begins the journal and metrics.jsonl. What it made
 * is removed again when it fails. */
zo_status zo_record_open(zo_record *r, zo_context *ctx, const zo_train_def *def,
                         const zo_trainer *trainer);

/* Takes up the run that the directory holds. The journal is at its first entry then, and to be read. Errors: as zo_train() says. */
zo_status zo_record_resume(zo_record *r, zo_context *ctx, const zo_train_def *def,
                           const zo_trainer *trainer);

/* Loads the newest state that is sound; none at all is fine as well, and leaves everything as it is. Errors: FORMAT (a run that began with
 * another network has none), NO_MEMORY. */
zo_status zo_record_state(const zo_record *r, const zo_train_def *def, zo_course *course,
                          zo_net *kept, zo_trainer *trainer);

/* The run goes on from here, live: drops what the journal holds beyond, and notes the resumption, if it is one. A run that grows saves its state
 * first. Errors: NO_MEMORY, IO (of that state, or of its settings). */
zo_status zo_record_go(zo_record *r, const zo_train_def *def, const zo_trainer *trainer,
                       const zo_course *course, const zo_net *kept);

/* Each of these adds to the record; what fails is logged once for a spell, and tried again. */
void zo_record_step(zo_record *r, int64_t step, double progress, double seconds);
void zo_record_losses(zo_record *r, int64_t step, const zo_trainer *trainer);
void zo_record_look(zo_record *r, zo_entry_type type, int64_t step, double loss, double accuracy,
                    bool averaged);
void zo_record_report(zo_record *r, const zo_report *report);
void zo_record_measure(zo_record *r, int64_t step, const char *what, const zo_measure *m,
                       const zo_times *times);
/* A line with the plan, if it has changed. */
void zo_record_plan(zo_record *r, int64_t step, const zo_trainer *trainer);
/* Step of the last line of what was measured, or -1. */
int64_t zo_record_measured(const zo_record *r);
/* After `step` the run went back to what it was after step `to`. */
void zo_record_back(zo_record *r, int64_t step, int64_t to, double loss);
/* Saves the state, with all that was recorded before it. False if it could not. */
bool zo_record_state_save(zo_record *r, const zo_course *course, const zo_net *kept,
                          const zo_trainer *trainer);

/* Writes the model, if there is one yet, and the result, and notes the end. keep: the state of a run that is done stays. Errors: IO. */
zo_status zo_record_close(zo_record *r, zo_end end, const zo_train_result *result,
                          const zo_net *net, bool model, bool keep);

/* Frees, closes and unlocks, without writing. */
void zo_record_fini(zo_record *r);

#endif

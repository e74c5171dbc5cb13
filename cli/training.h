/* One training as the user sees it, new or resumed: data, banner, progress, result. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "cli.h"
#include "progress.h"
#include "result.h"
#include "runs.h"
#include "train.h"

typedef struct training {
    train_plan plan;
    bool resume, force; /* go on with the run in plan.o.out */
    const char *net;    /* with resume: the net of a run that began with another network */
    cli_progress progress;
    zo_context *ctx;
    cli_place place;
    zo_task *task;
    zo_net *init;       /* NULL unless plan.o.init */
    char *method, *out; /* what is really used */
    char *net_text;     /* the net in a few words */
    bool announced;
    zo_train_result result;
    zo_net *network; /* that was kept */
} training;

/* Fills `plan` with what the run recorded; it borrows from `run`. Gives the exit status after printing
 * what is wrong. */
int training_read(training *t, const cli_run *run);

/* Finds and loads the data, and the network to start from. Gives the exit status after printing what is
 * wrong; training_free() is due either way. */
int training_load(training *t);

/* From `plan` to the result on stdout, and frees all. Gives the exit status. */
int training_run(training *t);

void training_free(training *t);

#endif

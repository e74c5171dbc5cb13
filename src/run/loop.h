/* The loop that drives a trainer: takes steps and looks at validation, first as the journal says, then live. Time becomes progress here and nowhere
 * else.
 */
#ifndef ZO_RUN_LOOP_H
#define ZO_RUN_LOOP_H

#include "learn/measure.h"
#include "run/assess.h"
#include "run/record.h"

typedef struct zo_loop {
    zo_context *ctx;
    const zo_train_def *def; /* budget, target, report, loss; its task is that of the trainer */
    const zo_task *task;
    int64_t examples; /* of the training part, also where the task has no data */
    bool by_loss;     /* the best network is the one of least loss, not of most accuracy */
    zo_trainer *trainer;
    zo_net *kept;      /* best on validation so far */
    bool kept_average; /* it is of averaged parameters */
    zo_course course;
    double progress;      /* of the last step */
    char why[96];         /* what had diverged */
    zo_assessor assessor; /* not needed where nothing is evaluated */
    zo_record *record;    /* NULL: none */
    zo_journal *journal;  /* being read; NULL once live */
    bool live;
    bool done;         /* the trainer has nothing left to do */
    bool only_journal; /* takes just `steps` steps, all from the journal */
    int64_t steps;
    int64_t again;       /* steps taken again; */
    int64_t from_losses; /* of these, from journaled losses */
    double training;     /* clock when training would have begun, had it been live all the time */
    double row_seconds,
        row_cost; /* of this process's steps that took examples: how long a multiply-add takes */
    double saved, saving; /* clock of the last saved state; how long that took */
    zo_report report;
    zo_measure *measure;   /* NULL: nothing is measured; else: */
    int64_t measured;      /* step of the last measurement of this process, or -1 */
    double measuring;      /* seconds that took, in all */
    zo_timer timer;        /* of steps since; */
    double looking, timed; /* seconds of looks since; clock then */
    double interval_start, interval_cost,
        reported; /* since the last look; clock of the last report */
} zo_loop;

/* Whether the loss decides which network is the best: the user's, or one of a whole batch. */
bool zo_loop_by_loss(const zo_trainer *trainer, bool user);

/* Seconds of a clock that only moves forward. */
double zo_loop_clock(void);

/* Until the budget is spent, the target is reached, or something ends it: CANCELLED, DIVERGED, or an error of a step. */
zo_status zo_loop_run(zo_loop *l);

/* Leaves the journal, dropping what it still holds, and goes on live. Nothing to do if it is live already. */
zo_status zo_loop_go_live(zo_loop *l);

/* What follows the last step: a last look, which is no part of the course. */
void zo_loop_last_look(zo_loop *l);

/* The last look of a run that is done, and what it says of the last steps. Errors: DIVERGED. */
zo_status zo_loop_end(zo_loop *l);

/* Keeps the present network, or that of the averaged parameters, if these validation figures are the best so far. */
void zo_loop_consider(zo_loop *l, double loss, double accuracy, bool averaged);

/* Seconds of training so far. */
double zo_loop_seconds(const zo_loop *l);

#endif

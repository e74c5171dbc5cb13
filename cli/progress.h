/* Progress on stderr: one live line on a terminal, plain lines otherwise, nothing when quiet. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <zeroth/zeroth.h>

typedef struct cli_progress {
    bool quiet;
    bool live;    /* stderr is a terminal that can redraw a line */
    bool shown;   /* a report was shown */
    bool waiting; /* `latest` was not shown yet */
    double last;  /* when a report was shown, in cli_seconds() */
    zo_report latest;
} cli_progress;

void cli_progress_start(cli_progress *p, bool quiet);

/* A line that stays. */
void cli_progress_say(cli_progress *p, const char *text);
/* What goes on now, until the next line. */
void cli_progress_busy(cli_progress *p, const char *text);
/* For zo_train_def.report; `user` is the cli_progress. */
void cli_progress_report(void *user, const zo_report *report);
/* For zo_context_def.log; `user` is the cli_progress. */
void cli_progress_log(void *user, zo_log_level level, const char *text);
/* Shows a report that still waits, and leaves a clean line. */
void cli_progress_end(cli_progress *p);

/* Wipes the live line if there is one. Async-signal-safe. */
void cli_progress_wipe(void);
/* Says on the live line, if there is one, that the run is about to stop. Async-signal-safe. */
void cli_progress_stopping(void);

#endif

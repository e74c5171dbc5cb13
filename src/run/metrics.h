/* The lines of metrics.jsonl. */
#ifndef ZO_RUN_METRICS_H
#define ZO_RUN_METRICS_H

#include <zeroth/run.h>

#include "base/json.h"
#include "learn/measure.h"
#include "run/checkpoint.h"
#include "run/journal.h"

/* {"event": "report"}: a look at the validation part. */
json_t *zo_metrics_report(const zo_report *report, bool *failed);
/* Seconds since the last measurement, without it; of looks; [ZO_PHASES] of steps. */
typedef struct zo_times {
    double all, looks;
    const double *phase;
} zo_times;

/* {"event": "measure"}: what was measured at a look. `what` is zo_train_def.measure. */
json_t *zo_metrics_measure(int64_t step, const char *what, const zo_measure *m,
                           const zo_times *times, bool *failed);
/* {"event": "plan"}: how the next steps are made, from this one on; and the lines of that. */
json_t *zo_metrics_plan(int64_t step, const zo_trainer *trainer, bool *failed);
json_t *zo_metrics_lines(const zo_trainer *trainer, bool *failed);
/* {"event": "resumed"}: the run goes on from here; `forced` tells what had changed, or is NULL. */
json_t *zo_metrics_resumed(const zo_context *ctx, const zo_course *course, const char *forced,
                           bool *failed);
/* {"event": "rolled back"}: after `step` the run went back to what it was after step `to`. */
json_t *zo_metrics_back(int64_t step, int64_t to, double loss, bool *failed);
/* {"event": "result"}: what the run came to. */
json_t *zo_metrics_result(zo_end end, const zo_train_result *result, const zo_net *net,
                          bool *failed);

#endif

/* Run directories, as their files tell. */
#ifndef CLI_RUNS_H
#define CLI_RUNS_H

#include <jansson.h>
#include <stdbool.h>

typedef struct cli_run {
    const char *path;        /* borrowed */
    char *fault;             /* one line: why the run cannot be read; NULL if it can */
    json_t *config;          /* NULL if damaged */
    json_t *last;            /* the last result or report; NULL if there is none */
    json_t *measured;        /* what was measured last; NULL if nothing was */
    json_t *plan;            /* the last change of the plan; NULL if it did not */
    bool ended;              /* `last` is a result, and the run was not continued after it */
    const char *state;       /* running, interrupted, stopped, done, diverged or damaged */
    bool resumable;          /* stopped or interrupted, with a journal to go on from */
    bool model;              /* model.safetensors is there */
    int lines, resumed;      /* of metrics.jsonl; how often the run was continued */
    int unreadable;          /* lines of it that are damaged */
    double started, changed; /* seconds since 1970 */
} cli_run;

/* Whether a folder holds a file that only runs have. */
bool cli_is_run(const char *path);

/* Reads the files of a run. False if they are damaged: then out->fault says so. cli_run_free() is due
 * either way. */
bool cli_run_read(const char *path, cli_run *out);
void cli_run_free(cli_run *run);

/* What lists and comparisons know of a run: name, run, state, task, method, net, seed, accuracy, loss, part (which these two
 * are of), forwards, cost, seconds, started, date; or name, run, state and fault. What is not known is left out. */
json_t *cli_run_row(const cli_run *run);

/* What a run has under a key: of its row, else of its settings, its config, its record, its result; '-' and '_' are alike. Borrowed;
 * NULL if it has none. */
const json_t *cli_run_value(const cli_run *run, const json_t *row, const char *key);

#endif

/* The result of a training: a table for people, an object for programs. */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include <jansson.h>
#include <stdio.h>
#include <zeroth/zeroth.h>

#include "runs.h"

/* What the result does not hold itself. */
typedef struct cli_run_facts {
    const char *task;
    const char *net; /* its spec */
    uint64_t seed;
    const char *kernels;
    int threads;
    const char *run; /* the run directory */
    bool stopped;    /* by the user */
} cli_run_facts;

/* What a run recorded as its result; all that `facts` points to belongs to the run. */
void cli_result_read(const cli_run *run, zo_train_result *result, cli_run_facts *facts);

void cli_result_print(FILE *f, int width, const zo_train_result *result, const cli_run_facts *facts);
json_t *cli_result_json(const zo_train_result *result, const cli_run_facts *facts);

#endif

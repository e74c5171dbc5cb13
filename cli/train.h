/* What `zeroth train` was asked to do, before the library sees it. */
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include "config.h"
#include "options.h"

typedef struct train_options {
    const char *method, *estimator, *rule, *schedule, *loss, *net, *data, *label, *missing;
    const char *config, *kernels, *out, *init, *measure;
    double seconds, epochs, forwards, target, checkpoint; /* 0: not given */
    uint64_t seed;
    int threads;    /* 0: not given */
    int64_t memory; /* 0: no limit */
    cli_list set;
    bool quiet, json;
} train_options;

extern const cli_option train_option_table[];

typedef struct train_plan {
    train_options o; /* command line over config file */
    const char *task;
    cli_list task_settings, settings; /* "key=value", in the order they apply */
    cli_config config;
} train_plan;

/* Reads the command line and the config file it names. Gives the exit status after printing what is
 * wrong; train_plan_free() is due either way. */
int train_plan_make(int argc, char **argv, train_plan *plan);
/* The same from the config.json of a run alone. */
int train_plan_read(const char *run, train_plan *plan);
void train_plan_free(train_plan *plan);

/* The library's error as the user would say it: of a setting given by an option of its own, such as --units, by that option; to be freed. */
char *train_plan_respell(const train_plan *plan, const char *error);

/* How the run's method is called, given the classes it uses: ESTIMATOR, or ESTIMATOR:RULE where a rule was
 * asked for; to be freed. */
char *train_plan_method(const train_plan *plan, const char *estimator, const char *rule);

/* runs/<task>-<method>-<N> with the next N; to be freed. */
char *train_plan_folder(const train_plan *plan, const char *method);

#endif

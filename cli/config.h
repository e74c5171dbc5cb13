/* Reading --config FILE: the config.json of an earlier run, or one written by hand. */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include <jansson.h>

#include "options.h"

typedef struct cli_config {
    const char *task;       /* NULL if the file names none */
    cli_list settings;      /* "key=value" of the trainer; of the task too unless split */
    cli_list task_settings; /* "key=value" */
    bool split;             /* the file tells the two apart */
    cli_list texts;         /* what the values of `values` point to */
} cli_config;

/* Reads the file, or config.json in it if it is a folder, and sets the options it names in `values`.
 * Zeros, empty texts and nulls count as absent. Gives the exit status after printing file, line and
 * fault; cli_config_free() is due either way. */
int cli_config_read(const char *path, const cli_option *table, void *values, cli_config *out);

void cli_config_free(cli_config *config);

#endif

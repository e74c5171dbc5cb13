/* What the files of the command share: subcommands, exit statuses, messages. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <zeroth/zeroth.h>

#include "options.h"

/* Exit statuses. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_STOPPED = 130 };

/* A subcommand: one const instance at the end of its file. */
typedef struct cli_command {
    const char *name;
    const char *usage;                /* what follows the name, e.g. "TASK [OPTION]..." */
    const char *summary;              /* one line */
    const cli_option *options;        /* ends with a row whose name is NULL */
    void (*more)(FILE *f, int width); /* what its help says beyond the options; may be NULL */
    int (*run)(int argc,
               char **argv); /* arguments after the subcommand's name; gives the exit status */
} cli_command;

extern const cli_command cli_train, cli_resume, cli_predict, cli_show, cli_verify, cli_export,
    cli_list_classes, cli_doctor;

/* NULL-terminated, in the order of the help. */
extern const cli_command *const cli_commands[];

/* Prints the help of one subcommand, or of all for NULL. */
void cli_help(FILE *f, const cli_command *command);
/* Prints the few lines that someone sees who typed no subcommand. */
void cli_help_short(FILE *f);

/* Seconds since the process started. */
double cli_seconds(void);

/* Prints "zeroth: ..." as exactly one line on stderr, and returns `status`. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints "zeroth: warning: ..." as exactly one line on stderr. */
void cli_warn(const char *text);

/* The exit status for a library status. */
int cli_exit_status(zo_status status);

/* The same; prints the context's error unless it is OK or CANCELLED. */
int cli_status(const zo_context *ctx, zo_status status);

/* What options say about a context; 0 and NULL: the library's choice. */
typedef struct cli_limits {
    int threads;
    const char *kernels;
    int64_t memory;
} cli_limits;

/* Makes a context, or prints why not and gives the exit status in *status. `limits` NULL: none. */
zo_context *cli_context(const cli_limits *limits, zo_log_fn log, void *log_user, int *status);

/* Once, when the process starts: neither a reader that leaves nor SIGUSR1 ends it. */
void cli_start_signals(void);
/* From now on the first SIGINT, SIGTERM or SIGHUP asks `ctx` to stop, a second SIGINT or SIGTERM ends the process with
 * status 130, and SIGUSR1 asks for a saved state. */
void cli_catch_signals(zo_context *ctx);
/* The handlers stay but no longer touch the context; call before it is destroyed. */
void cli_release_signals(void);

/* What would break a line or move the cursor becomes '?'; spaces at the end go. Returns `text`. */
char *cli_clean(char *text);

/* The text as a word for a shell; to be freed. */
char *cli_quote(const char *text);

/* Where a task's files are. */
typedef struct cli_place {
    const char *data;  /* for zo_task_def.data */
    char folder[4096]; /* that holds the files; "" if the task reads nothing from a data folder */
} cli_place;

/* Looks where --data says and nowhere else, or, with `data` NULL, where ZEROTH_DATA says and then in the
 * library's own folder. If it is in none of them, *fault says so in one line, to be freed; else it is
 * NULL. */
zo_status cli_find_data(zo_context *ctx, const char *task, const char *data, cli_place *out,
                        char **fault);

#endif

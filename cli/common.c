/* Messages, exit statuses, contexts and places. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "progress.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cli_seconds(void)
{
    static double start;
    if (start <= 0) start = now();
    return now() - start;
}

/* A path may hold anything. */
char *cli_clean(char *text)
{
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) text[--n] = 0;
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = *p == '\n' ? ' ' : '?';
    }
    return text;
}

char *cli_quote(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=.,/:@%";
    if (*text && *text != '-' && !text[strspn(text, plain)]) return cli_strdup(text);
    char *quoted = cli_alloc(4 * strlen(text) + 3), *to = quoted;
    *to++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') to = stpcpy(to, "'\\'");
        *to++ = *text;
    }
    *to = '\'';
    return quoted;
}

int cli_fail(int status, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_clean(text);
    cli_progress_wipe();
    fprintf(stderr, "zeroth: %s\n", text);
    return status;
}

void cli_warn(const char *text) { cli_fail(CLI_DONE, "warning: %s", text); }

int cli_exit_status(zo_status status)
{
    if (status == ZO_OK) return CLI_DONE;
    if (status == ZO_CANCELLED) return CLI_STOPPED;
    return status == ZO_USAGE || status == ZO_UNSUPPORTED ? CLI_USAGE : CLI_FAILED;
}

int cli_status(const zo_context *ctx, zo_status status)
{
    if (status == ZO_OK || status == ZO_CANCELLED) return cli_exit_status(status);
    const char *text = ctx ? zo_last_error(ctx) : "";
    return cli_fail(cli_exit_status(status), "%s", *text ? text : zo_status_text(status));
}

/* ---- context ---- */

static const char *kernel_name(const void *unused, int i)
{
    (void)unused;
    const zo_class_info *c = zo_class_at("kernels", i);
    return c ? c->name : NULL;
}

zo_context *cli_context(const cli_limits *limits, zo_log_fn log, void *log_user, int *status)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx = NULL;
    const char *kernels = limits ? limits->kernels : NULL;
    if (limits) def.threads = limits->threads;
    if (limits) def.memory = limits->memory;
    def.kernels = kernels;
    def.log = log;
    def.log_user = log_user;
    zo_status s = zo_context_create(&def, &ctx);
    if (!s) return ctx;
    *status = CLI_USAGE;
    const char *near = kernels ? cli_nearest(kernels, kernel_name, NULL) : NULL;
    if (s == ZO_UNSUPPORTED && kernels) {
        cli_fail(CLI_USAGE,
                 "--kernels %s: this processor cannot run them; 'zeroth doctor' shows which it can",
                 kernels);
    } else if (s == ZO_USAGE && near) {
        cli_fail(CLI_USAGE, "--kernels %s is not known: did you mean %s?", kernels, near);
    } else if (s == ZO_USAGE && kernels) {
        cli_fail(CLI_USAGE, "--kernels %s is not known: 'zeroth list kernels' names them", kernels);
    } else {
        *status = cli_status(NULL, s);
    }
    return NULL;
}

/* ---- paths ---- */

/* zo_task_find() in out->data; a task that reads no data folder gets "". */
static zo_status find_in(zo_context *ctx, const char *task, cli_place *out)
{
    zo_status status = zo_task_find(ctx, task, out->data, out->folder, sizeof out->folder);
    if (status) out->folder[0] = 0;
    return status == ZO_UNSUPPORTED ? ZO_OK : status;
}

zo_status cli_find_data(zo_context *ctx, const char *task, const char *data, cli_place *out,
                        char **fault)
{
    const char *named = getenv("ZEROTH_DATA");
    bool environment = !data && named && *named;
    out->data = environment ? named : data;
    *fault = NULL;
    zo_status status = find_in(ctx, task, out);
    if (!status && environment && !out->folder[0]) out->data = NULL;
    if (!status) return status;
    *fault = cli_strdup(zo_last_error(ctx));
    if (status != ZO_NOT_FOUND || !environment) return status;
    out->data = NULL;
    zo_status second = find_in(ctx, task, out);
    char *both = NULL;
    if (second == ZO_NOT_FOUND)
        both = cli_format("%s; %s does not have it either", *fault, ZO_DATA_FOLDER);
    if (!second || both) {
        free(*fault);
        *fault = both;
    }
    return second ? status : ZO_OK;
}

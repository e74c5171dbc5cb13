#include "output.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static bool refuse(const char *path)
{
    cli_fail(CLI_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    return false;
}

/* A temporary neighbour, with the permissions a plain open would give. */
static FILE *open_draft(char *draft)
{
    int fd = mkstemp(draft);
    if (fd < 0) return NULL;
    mode_t mask = umask(0);
    umask(mask);
    FILE *f = fchmod(fd, 0666 & ~mask) ? NULL : fdopen(fd, "w");
    if (!f) {
        close(fd);
        unlink(draft);
    }
    return f;
}

bool cli_output_open(cli_output *out, const char *path)
{
    struct stat s;
    *out = (cli_output){stdout, NULL, NULL};
    if (!path) return true;
    bool there = !stat(path, &s);
    char *target = there ? realpath(path, NULL) : NULL; /* a link stays a link */
    out->path = target ? target : cli_strdup(path);
    if (!there || S_ISREG(s.st_mode)) {
        out->draft = cli_format("%s.XXXXXX", out->path);
        out->file = open_draft(out->draft);
    } else {
        out->file = fopen(path, "w");
    }
    if (out->file) return true;
    refuse(path);
    free(out->draft);
    free(out->path);
    return false;
}

bool cli_output_close(cli_output *out, bool keep)
{
    if (!out->path) return true;
    bool ok = !ferror(out->file);
    if (fflush(out->file)) ok = false;
    if (ok && keep && out->draft && fsync(fileno(out->file))) ok = false;
    int reason = errno;
    if (fclose(out->file)) {
        reason = ok ? errno : reason;
        ok = false;
    }
    if (ok && keep && out->draft && rename(out->draft, out->path)) {
        reason = errno;
        ok = false;
    }
    if (out->draft && !(ok && keep)) unlink(out->draft);
    errno = reason;
    if (!ok) refuse(out->path);
    free(out->draft);
    free(out->path);
    return ok;
}

static bool reader_left(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

int cli_stdout_close(int status)
{
    bool bad = ferror(stdout) != 0;
    bool left = reader_left();
    errno = 0;
    if (fclose(stdout)) bad = true;
    if (!bad) return status;
    int failed = status ? status : CLI_FAILED;
    if (left || errno == EPIPE) return failed;
    return cli_fail(failed, "standard output cannot be written%s%s", errno ? ": " : "",
                    errno ? strerror(errno) : "");
}

bool cli_json_print(FILE *f, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(json);
    if (!text) return false;
    fprintf(f, "%s\n", text);
    free(text);
    return true;
}

/* jansson's setters take a NULL value for a failure: here it can only be lack of memory. */
static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value)) exit(cli_fail(CLI_FAILED, "out of memory"));
}

void cli_json_real(json_t *object, const char *key, double value)
{
    if (isfinite(value)) set(object, key, json_real(value));
}

void cli_json_text(json_t *object, const char *key, const char *value)
{
    json_t *text = json_string(value);
    set(object, key, text ? text : json_string("?")); /* not UTF-8 */
}

void cli_json_int(json_t *object, const char *key, long long value)
{
    set(object, key, json_integer(value));
}

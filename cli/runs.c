#include "runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zeroth/zeroth.h>

#include "cli.h"
#include "output.h"

#define LINE_MOST 65536       /* bytes of a line of metrics.jsonl */
#define CONFIG_MOST (1 << 20) /* bytes of config.json: JSON takes many times its text */

static char *inside(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return cli_format("%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

static bool holds(const char *folder, const char *name)
{
    char *path = inside(folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

bool cli_is_run(const char *path)
{
    static const char *const names[] = {"config.json", "metrics.jsonl", "journal", "checkpoint"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (holds(path, names[i])) return true;
    }
    return false;
}

/* ---- reading ---- */

static bool read_config(cli_run *r)
{
    json_error_t error;
    char *path = inside(r->path, "config.json");
    FILE *f = fopen(path, "r");
    struct stat st;
    if (f && !fstat(fileno(f), &st) && st.st_size > CONFIG_MOST) {
        r->fault = cli_format("%s: is too large for a config file", path);
        fclose(f);
    } else if (f) {
        r->config = json_loadf(f, JSON_REJECT_DUPLICATES, &error);
        if (!r->config)
            r->fault =
                cli_format("%s:%d: column %d: %s", path, error.line, error.column, error.text);
        else if (!json_is_object(r->config))
            r->fault = cli_format("%s:1: is no object", path);
        fclose(f);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        r->fault = cli_format("%s: cannot be read: %s", path, strerror(errno));
    } else {
        r->fault = access(r->path, F_OK) ? cli_format("%s: no such run", r->path)
                   : cli_is_run(r->path) ? cli_format("%s: is missing", path)
                                         : cli_format("%s: holds no run", r->path);
    }
    free(path);
    return !r->fault;
}

/* Takes the object over. A run that was continued has reports behind a result. */
static void note_line(cli_run *r, json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    bool result = event && !strcmp(event, "result"), report = event && !strcmp(event, "report");
    bool resumed = event && !strcmp(event, "resumed");
    bool measured = event && !strcmp(event, "measure");
    r->lines += result || report || resumed;
    r->resumed += resumed;
    if (result || report || resumed) r->ended = result;
    if (result || report) {
        json_decref(r->last);
        r->last = json_incref(line);
    }
    if (measured) {
        json_decref(r->measured);
        r->measured = json_incref(line);
    }
    if (event && !strcmp(event, "plan")) {
        json_decref(r->plan);
        r->plan = json_incref(line);
    }
    json_decref(line);
}

/* The lines of metrics.jsonl. A power failure may leave anything where lines were not yet synced, and sound ones behind it: what cannot be read
 * is passed over and counted. Nothing that a run depends on is in this file. */
static bool read_metrics(cli_run *r)
{
    char *path = inside(r->path, "metrics.jsonl"), *line = NULL;
    FILE *f = fopen(path, "r");
    size_t room = 0;
    ssize_t n;
    if (!f && errno != ENOENT)
        r->fault = cli_format("%s: cannot be read: %s", path, strerror(errno));
    while (f && (n = getline(&line, &room, f)) > 0) {
        json_t *object = n <= LINE_MOST ? json_loadb(line, (size_t)n, 0, NULL) : NULL;
        bool fine = json_is_object(object);
        if (fine)
            note_line(r, object);
        else
            json_decref(object);
        r->unreadable +=
            !fine && line[n - 1] == '\n'; /* the torn last line is nothing to speak of */
    }
    if (f) fclose(f);
    free(line);
    free(path);
    return !r->fault;
}

static double changed_at(const char *folder, const char *name)
{
    struct stat s;
    char *path = inside(folder, name);
    double at = stat(path, &s) ? 0 : (double)s.st_mtim.tv_sec + 1e-9 * (double)s.st_mtim.tv_nsec;
    free(path);
    return at;
}

static void read_times(cli_run *r)
{
    static const char *const names[] = {"config.json", "metrics.jsonl", "journal", "checkpoint"};
    r->started = changed_at(r->path, names[0]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double at = changed_at(r->path, names[i]);
        if (at > r->changed) r->changed = at;
    }
}

static const char *known_state(const char *state)
{
    static const char *const states[] = {"done", "stopped", "diverged"};
    for (size_t i = 0; state && i < sizeof states / sizeof *states; i++) {
        if (!strcmp(states[i], state)) return states[i];
    }
    return "interrupted";
}

bool cli_run_read(const char *path, cli_run *out)
{
    *out = (cli_run){.path = path, .state = "damaged"};
    read_times(out);
    /* In this order: what ends while its files are read is not taken for interrupted. */
    bool busy = zo_run_busy(path);
    if (!read_config(out) || !read_metrics(out)) {
        cli_clean(out->fault); /* it may quote the file */
        return false;
    }
    const json_t *state = out->ended ? json_object_get(out->last, "state") : NULL;
    out->state = busy ? "running" : known_state(json_string_value(state));
    bool open = !strcmp(out->state, "interrupted") || !strcmp(out->state, "stopped");
    out->model = holds(path, "model.safetensors");
    out->resumable = open && holds(path, "journal");
    return true;
}

void cli_run_free(cli_run *run)
{
    free(run->fault);
    json_decref(run->config);
    json_decref(run->last);
    json_decref(run->measured);
    json_decref(run->plan);
}

/* ---- values ---- */

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void copy(json_t *row, const char *key, const json_t *from, const char *source)
{
    json_t *value = json_object_get(from, source);
    if (value && !json_is_null(value)) json_object_set(row, key, value);
}

/* "nodes:adam", or the trainer where the run has no estimator. */
static void add_method(json_t *row, const json_t *config)
{
    const json_t *settings = json_object_get(config, "settings");
    const char *estimator = text_at(settings, "estimator"), *rule = text_at(settings, "rule");
    const char *trainer = text_at(config, "method");
    char *method = estimator && rule ? cli_format("%s:%s", estimator, rule)
                                     : cli_strdup(estimator ? estimator
                                                  : trainer ? trainer
                                                            : "?");
    cli_json_text(row, "method", method);
    free(method);
}

/* Of the test part if the run has looked at it, else of the validation part. */
static void add_scores(json_t *row, const json_t *last)
{
    bool test = json_is_number(json_object_get(last, "test_loss")) ||
                json_is_number(json_object_get(last, "test_accuracy"));
    copy(row, "accuracy", last, test ? "test_accuracy" : "validation_accuracy");
    copy(row, "loss", last, test ? "test_loss" : "validation_loss");
    if (last) cli_json_text(row, "part", test ? "test" : "validation");
}

static void add_time(json_t *row, const char *key, double seconds)
{
    char text[64];
    struct tm t;
    time_t at = (time_t)seconds;
    if (seconds <= 0 || !localtime_r(&at, &t)) return;
    if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &t)) cli_json_text(row, key, text);
}

static void add_name(json_t *row, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    const char *slash = memrchr(path, '/', n);
    size_t from = slash ? (size_t)(slash - path) + 1 : 0;
    char *name = cli_format("%.*s", (int)(n - from), path + from);
    cli_json_text(row, "name", name);
    free(name);
}

json_t *cli_run_row(const cli_run *r)
{
    json_t *row = json_object();
    const json_t *record = json_object_get(r->config, "record");
    add_name(row, r->path);
    cli_json_text(row, "run", r->path);
    cli_json_text(row, "state", r->state);
    if (r->fault) {
        cli_json_text(row, "fault", r->fault);
    } else {
        copy(row, "task", r->config, "task");
        add_method(row, r->config);
        copy(row, "net", record, "net");
        copy(row, "net", r->config, "net");
        copy(row, "net", r->last, "net");
        copy(row, "seed", r->config, "seed");
        add_scores(row, r->last);
        copy(row, "forwards", r->last, "forwards");
        copy(row, "cost", r->last, "cost");
        copy(row, "seconds", r->last, "seconds");
        copy(row, "seconds", r->last, "seconds_training"); /* a report's are those of training */
        if (r->resumed) cli_json_int(row, "resumed", r->resumed);
    }
    add_time(row, "started", r->started);
    add_time(row, "date", r->changed);
    return row;
}

static const json_t *value_in(const json_t *object, const char *key)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (cli_key_is(key, name)) return json_is_null(value) ? NULL : value;
    }
    return NULL;
}

const json_t *cli_run_value(const cli_run *r, const json_t *row, const char *key)
{
    const json_t *places[] = {row,
                              json_object_get(r->config, "settings"),
                              json_object_get(r->config, "task_settings"),
                              r->config,
                              json_object_get(r->config, "record"),
                              r->last};
    const json_t *value = NULL;
    for (size_t i = 0; !value && i < sizeof places / sizeof *places; i++)
        value = value_in(places[i], key);
    return value;
}

/* The runs in a folder: a table, sorted and filtered. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "filter.h"
#include "output.h"
#include "show.h"
#include "text.h"

typedef struct entry {
    char *path;
    cli_run run;
    json_t *row;
    const json_t *by; /* what it is sorted by; NULL if it has none */
} entry;

typedef struct collection {
    entry *entries;
    int n, room;
    int found; /* before filters */
} collection;

/* ---- reading ---- */

/* The path of the next run one level below, to be freed, or NULL. */
static char *next_run(DIR *folder, const char *path)
{
    struct dirent *d;
    size_t n = strlen(path);
    while ((d = readdir(folder))) {
        struct stat s;
        if (d->d_name[0] == '.') continue;
        char *inside = cli_format("%s%s%s", path, n && path[n - 1] == '/' ? "" : "/", d->d_name);
        if (!stat(inside, &s) && S_ISDIR(s.st_mode) && cli_is_run(inside)) return inside;
        free(inside);
    }
    return NULL;
}

bool show_holds_runs(const char *path)
{
    DIR *folder = opendir(path);
    char *run = folder ? next_run(folder, path) : NULL;
    bool any = run != NULL;
    free(run);
    if (folder) closedir(folder);
    return any;
}

static void add(collection *c, char *path)
{
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 16;
        c->entries = realloc(c->entries, (size_t)c->room * sizeof *c->entries);
        if (!c->entries) exit(cli_fail(CLI_FAILED, "out of memory"));
    }
    entry *e = &c->entries[c->n++];
    *e = (entry){.path = path};
    cli_run_read(path, &e->run);
    e->row = cli_run_row(&e->run);
}

static void drop(entry *e)
{
    json_decref(e->row);
    cli_run_free(&e->run);
    free(e->path);
}

static bool read_all(collection *c, const char *path)
{
    DIR *folder = opendir(path);
    char *run;
    if (!folder) {
        cli_fail(CLI_FAILED, "%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    while ((run = next_run(folder, path))) add(c, run);
    closedir(folder);
    c->found = c->n;
    return true;
}

/* ---- keys ---- */

/* What a run may have, though none here does. */
static const char *const keys[] = {"name",
                                   "state",
                                   "task",
                                   "method",
                                   "accuracy",
                                   "loss",
                                   "part",
                                   "forwards",
                                   "cost",
                                   "seconds",
                                   "date",
                                   "started",
                                   "net",
                                   "seed",
                                   "run",
                                   "fault",
                                   "resumed",
                                   "data",
                                   "init",
                                   "epochs",
                                   "target",
                                   "version",
                                   "kernels",
                                   "threads",
                                   "steps",
                                   "dropped",
                                   "memory",
                                   "parameters",
                                   "uses",
                                   "checksum",
                                   "train_loss",
                                   "validation_loss",
                                   "validation_accuracy",
                                   "test_loss",
                                   "test_accuracy",
                                   "seconds_training",
                                   "seconds_target",
                                   "step",
                                   "progress",
                                   NULL};

static const char *key_at(const void *unused, int i)
{
    (void)unused;
    return keys[i];
}

static bool is_key(const collection *c, const char *key)
{
    for (int i = 0; keys[i]; i++) {
        if (cli_key_is(key, keys[i])) return true;
    }
    for (int i = 0; i < c->n; i++) {
        if (cli_run_value(&c->entries[i].run, c->entries[i].row, key)) return true;
    }
    return cli_is_setting(key);
}

static bool check_key(const collection *c, const char *option, const char *key)
{
    if (is_key(c, key)) return true;
    const char *near = cli_nearest(key, key_at, NULL);
    if (near)
        cli_fail(CLI_USAGE, "--%s %s: no run has that: did you mean %s?", option, key, near);
    else
        cli_fail(CLI_USAGE, "--%s %s: no run has that; 'zeroth show RUN' shows what a run has",
                 option, key);
    return false;
}

/* ---- filters ---- */

static void keep(collection *c, const cli_filter *f)
{
    int kept = 0;
    for (int i = 0; i < c->n; i++) {
        entry *e = &c->entries[i];
        if (cli_filter_meets(f, cli_run_value(&e->run, e->row, f->key)))
            c->entries[kept++] = *e;
        else
            drop(e);
    }
    c->n = kept;
}

/* All keys are checked before anything is left out. */
static bool select_runs(collection *c, const cli_list *conditions)
{
    cli_filter *filters = cli_alloc((size_t)conditions->n * sizeof *filters);
    bool ok = true;
    int n = 0;
    while (ok && n < conditions->n) {
        ok = cli_filter_read(conditions->items[n], &filters[n]);
        n += ok;
        if (ok) ok = check_key(c, "filter", filters[n - 1].key);
    }
    for (int i = 0; i < n; i++) {
        if (ok) keep(c, &filters[i]);
        cli_filter_free(&filters[i]);
    }
    free(filters);
    return ok;
}

/* ---- order ---- */

/* Numbers before texts, each in its order; a number within a text counts as one: run-2 before run-10. */
static int compare_values(const json_t *a, const json_t *b)
{
    double x, y;
    bool m = cli_number(a, &x), n = cli_number(b, &y);
    if (m && n) return (x > y) - (x < y);
    if (m || n) return m ? -1 : 1;
    const char *s = json_string_value(a), *t = json_string_value(b);
    return strverscmp(s ? s : "", t ? t : "");
}

/* What has no value comes last, in either order. */
static int compare(const void *a, const void *b, void *reversed)
{
    const entry *x = a, *y = b;
    if (!x->by != !y->by) return x->by ? -1 : 1;
    int order = x->by ? compare_values(x->by, y->by) : 0;
    if (*(bool *)reversed) order = -order;
    return order ? order : strverscmp(x->path, y->path);
}

static bool sort(collection *c, const char *key)
{
    bool reversed = key && *key == '-';
    key = !key ? "name" : key + reversed;
    if (!check_key(c, "sort", key)) return false;
    for (int i = 0; i < c->n; i++)
        c->entries[i].by = cli_run_value(&c->entries[i].run, c->entries[i].row, key);
    if (c->n) qsort_r(c->entries, (size_t)c->n, sizeof *c->entries, compare, &reversed);
    return true;
}

/* ---- the table ---- */

static const cli_column columns[] = {
    {"name", false, 0},    {"state", false, 8},   {"task", false, 5},
    {"method", false, 6},  {"accuracy", true, 9}, {"loss", true, 7},
    {"forwards", true, 4}, {"seconds", true, 3},  {"date", false, 2},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static double real(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static char *text(const json_t *row, const char *key)
{
    const char *value = json_string_value(json_object_get(row, key));
    return cli_clean(cli_strdup(value ? value : ""));
}

/* Figures of the validation part are marked; the others are of the test part. A loss is shown where there is no
 * accuracy. */
static void score_cells(const json_t *row, char **accuracy, char **loss)
{
    char number[CLI_NUMBER];
    double share = real(row, "accuracy"), l = real(row, "loss");
    const char *part = json_string_value(json_object_get(row, "part"));
    const char *mark = part && !strcmp(part, "validation") ? "val " : "";
    *accuracy =
        isfinite(share) ? cli_format("%s%s", mark, cli_percent(share, number)) : cli_strdup("");
    *loss = isfinite(l) && !isfinite(share) ? cli_format("%s%s", mark, cli_plain(l, number))
                                            : cli_strdup("");
}

static char *number_cell(double value, bool unit)
{
    char number[CLI_NUMBER];
    if (!isfinite(value)) return cli_strdup("");
    return unit ? cli_strdup(cli_unit(value, number)) : cli_format("%.1f", value);
}

/* The file of a table is known by its name. */
static char *task_cell(const json_t *row)
{
    char *task = text(row, "task"), *slash = strrchr(task, '/');
    if (slash && slash[1]) memmove(task, slash + 1, strlen(slash));
    return task;
}

/* 2026-01-31T12:34:56+0100 without the seconds and what follows. */
static char *date_cell(const json_t *row)
{
    enum { MINUTES = 16, T = 10 };
    char *date = text(row, "date");
    if (strlen(date) > MINUTES) date[MINUTES] = 0;
    if (strlen(date) > T) date[T] = ' ';
    return date;
}

static void row_cells(const json_t *row, char **cells)
{
    cells[0] = text(row, "name");
    cells[1] = text(row, "state");
    cells[2] = task_cell(row);
    cells[3] = text(row, "method");
    score_cells(row, &cells[4], &cells[5]);
    cells[6] = number_cell(real(row, "forwards"), true);
    cells[7] = number_cell(real(row, "seconds"), false);
    cells[8] = date_cell(row);
}

static void print(const collection *c, const char *folder)
{
    if (!c->n) {
        char *text = cli_format("none of %d run%s in %s meets the conditions", c->found,
                                c->found == 1 ? "" : "s", folder);
        cli_wrap(stdout, cli_clean(text), 0, cli_width(stdout));
        free(text);
        return;
    }
    char **cells = cli_alloc((size_t)c->n * COLUMNS * sizeof *cells);
    for (int i = 0; i < c->n; i++) row_cells(c->entries[i].row, cells + i * COLUMNS);
    cli_grid(stdout, cli_width(stdout), columns, COLUMNS, cells, c->n);
    for (int i = 0; i < c->n * COLUMNS; i++) free(cells[i]);
    free(cells);
}

static void print_json(const collection *c, const char *folder)
{
    json_t *json = json_object(), *runs = json_array();
    cli_json_text(json, "folder", folder);
    for (int i = 0; i < c->n; i++) {
        const entry *e = &c->entries[i];
        json_t *row = json_incref(e->row);
        if (e->run.config) json_object_set(row, "config", e->run.config);
        if (e->run.last) json_object_set(row, e->run.ended ? "result" : "last_report", e->run.last);
        json_array_append_new(runs, row);
    }
    json_object_set_new(json, "runs", runs);
    cli_json_print(stdout, json);
}

int show_list(const show_options *o, const char *folder)
{
    collection c = {0};
    int status = CLI_FAILED;
    if (read_all(&c, folder)) {
        status = CLI_USAGE;
        if (select_runs(&c, &o->filters) && sort(&c, o->sort)) {
            status = CLI_DONE;
            if (o->json)
                print_json(&c, folder);
            else
                print(&c, folder);
        }
    }
    for (int i = 0; i < c.n; i++) drop(&c.entries[i]);
    free(c.entries);
    return status;
}

/* Runs side by side: what differs, and what they came to. */
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "show.h"
#include "text.h"

typedef struct comparison {
    int n;
    cli_run *runs;
    char **titles;    /* the shortest names that tell them apart */
    json_t **config;  /* what each run was asked to do, flat */
    json_t **results; /* what each came to */
} comparison;

/* ---- gathering ---- */

static const char *const none[] = {NULL};

static void add_all(json_t *to, const json_t *from, const char *const *but)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)from, key, value)
    {
        bool skip = json_is_object(value) || json_is_array(value) || json_is_null(value) ||
                    json_object_get(to, key);
        for (const char *const *b = but; *b; b++) skip = skip || !strcmp(key, *b);
        if (!skip) json_object_set(to, key, value);
    }
}

/* The settings name estimator and rule, so the method is not said twice; a net drawn from elsewhere is in the record. */
static json_t *flat_config(const cli_run *r)
{
    static const char *const about[] = {"schema", NULL}, *const copies[] = {"path", NULL};
    json_t *flat = json_object();
    add_all(flat, r->config, about);
    add_all(flat, json_object_get(r->config, "settings"), none);
    add_all(flat, json_object_get(r->config, "task_settings"), none);
    add_all(flat, json_object_get(r->config, "record"), copies);
    return flat;
}

static void rename_key(json_t *object, const char *from, const char *to)
{
    json_t *value = json_object_get(object, from);
    if (value) json_object_set(object, to, value);
    json_object_del(object, from);
}

/* What of a result or a report is compared, in this order; the rest stands in the config. */
static const char *const measured[] = {"state",
                                       "steps",
                                       "epochs",
                                       "forwards",
                                       "cost",
                                       "seconds",
                                       "seconds_training",
                                       "seconds_target",
                                       "train_loss",
                                       "validation_loss",
                                       "validation_accuracy",
                                       "test_loss",
                                       "test_accuracy",
                                       "dropped",
                                       "resumed",
                                       "memory",
                                       NULL};

static json_t *flat_result(const cli_run *r)
{
    json_t *flat = json_object();
    cli_json_text(flat, "state", r->state);
    add_all(flat, r->last, none);
    if (!r->ended) { /* a report says it in other words */
        rename_key(flat, "step", "steps");
        rename_key(flat, "seconds", "seconds_training");
    }
    return flat;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void name(comparison *c)
{
    bool unique = true;
    for (int i = 0; i < c->n; i++) {
        for (int j = 0; j < i; j++)
            unique = unique && strcmp(last_part(c->runs[i].path), last_part(c->runs[j].path)) != 0;
    }
    for (int i = 0; i < c->n; i++) {
        const char *path = c->runs[i].path;
        c->titles[i] = cli_clean(cli_strdup(unique ? last_part(path) : path));
    }
}

static int gather(comparison *c, const char *const *paths, int n)
{
    c->runs = cli_alloc((size_t)n * sizeof *c->runs);
    c->titles = cli_alloc((size_t)n * sizeof *c->titles);
    c->config = cli_alloc((size_t)n * sizeof *c->config);
    c->results = cli_alloc((size_t)n * sizeof *c->results);
    for (; c->n < n; c->n++) {
        cli_run *r = &c->runs[c->n];
        if (!cli_run_read(paths[c->n], r)) {
            int status = cli_fail(CLI_FAILED, "%s", r->fault);
            cli_run_free(r);
            return status;
        }
        c->config[c->n] = flat_config(r);
        c->results[c->n] = flat_result(r);
    }
    name(c);
    return CLI_DONE;
}

static void release(comparison *c)
{
    for (int i = 0; i < c->n; i++) {
        cli_run_free(&c->runs[i]);
        free(c->titles[i]);
        json_decref(c->config[i]);
        json_decref(c->results[i]);
    }
    free(c->runs);
    free(c->titles);
    free(c->config);
    free(c->results);
}

/* The keys of all objects: those of `only` in its order, or, with NULL, in the order of the first that has them. */
static json_t *keys_of(json_t *const *objects, int n, const char *const *only)
{
    json_t *keys = json_object(), *value;
    const char *key;
    for (int i = 0; i < n && !only; i++) {
        json_object_foreach(objects[i], key, value) json_object_set_new(keys, key, json_true());
    }
    for (; only && *only; only++) {
        for (int i = 0; i < n; i++) {
            if (json_object_get(objects[i], *only)) json_object_set_new(keys, *only, json_true());
        }
    }
    return keys;
}

static bool differs(json_t *const *objects, int n, const char *key)
{
    const json_t *first = json_object_get(objects[0], key);
    for (int i = 1; i < n; i++) {
        const json_t *other = json_object_get(objects[i], key);
        if (!first != !other || (first && !json_equal(first, other))) return true;
    }
    return false;
}

/* ---- for people ---- */

enum { KEY_COLUMN = 1 };

/* Each value on a line of its own, where they do not fit side by side. */
static void print_stacked(const comparison *c, char *const *cells, int rows, int width)
{
    int widest = 0, columns = c->n + KEY_COLUMN;
    for (int i = 0; i < c->n; i++) {
        int w = 2 + cli_columns(c->titles[i]);
        if (w > widest) widest = w;
    }
    for (int r = 0; r < rows; r++) {
        printf("%s\n", cells[r * columns]);
        for (int i = 0; i < c->n; i++) {
            char *label = cli_format("  %s", c->titles[i]);
            cli_row(stdout, width, widest, label, cells[r * columns + KEY_COLUMN + i]);
            free(label);
        }
    }
}

static void print_cells(const comparison *c, const char *title, char *const *cells, int rows)
{
    int n = c->n + KEY_COLUMN, width = cli_width(stdout), total = 0;
    cli_column *columns = cli_alloc((size_t)n * sizeof *columns);
    for (int i = 0; i < n; i++) {
        const char *heading = i ? c->titles[i - KEY_COLUMN] : title;
        int widest = cli_columns(heading);
        for (int r = 0; r < rows; r++) {
            int w = cli_columns(cells[r * n + i]);
            if (w > widest) widest = w;
        }
        columns[i] = (cli_column){heading, false, 0};
        total += widest + (i ? 2 : 0);
    }
    if (total <= width) {
        cli_grid(stdout, width, columns, n, cells, rows);
    } else {
        printf("%s\n", title);
        print_stacked(c, cells, rows, width);
    }
    free(columns);
}

static char *cell(const char *key, const json_t *value)
{
    char room[CLI_SHOWN];
    const char *text = value ? show_value(key, value, room) : NULL;
    return cli_clean(cli_strdup(text && *text ? text : "-"));
}

/* Prints the rows that differ, or all; gives how many were left out. */
static int print_part(const comparison *c, const char *title, json_t *const *objects,
                      const char *const *only, bool all)
{
    json_t *keys = keys_of(objects, c->n, only), *value;
    const char *key;
    int n = c->n + KEY_COLUMN, rows = 0, equal = 0;
    char **cells = cli_alloc(json_object_size(keys) * (size_t)n * sizeof *cells);
    json_object_foreach(keys, key, value)
    {
        if (!all && !differs(objects, c->n, key)) {
            equal++;
            continue;
        }
        cells[rows * n] = cli_strdup(key);
        for (int i = 0; i < c->n; i++)
            cells[rows * n + KEY_COLUMN + i] = cell(key, json_object_get(objects[i], key));
        rows++;
    }
    if (rows) print_cells(c, title, cells, rows);
    for (int i = 0; i < rows * n; i++) free(cells[i]);
    free(cells);
    json_decref(keys);
    return equal;
}

static void print(const comparison *c, bool all)
{
    int equal = print_part(c, "config", c->config, NULL, all);
    if (equal) {
        char *text = cli_format("%d more that are equal in all: --all shows them", equal);
        cli_wrap(stdout, text, 0, cli_width(stdout));
        free(text);
    }
    putchar('\n');
    print_part(c, "result", c->results, measured, true);
}

/* ---- for programs ---- */

enum { EQUAL = 1, DIFFERENT = 2 };

/* {"key": [value or null of each run]} of those keys. */
static json_t *part_json(const comparison *c, json_t *const *objects, const char *const *only,
                         int which)
{
    json_t *part = json_object(), *keys = keys_of(objects, c->n, only), *unused;
    const char *key;
    json_object_foreach(keys, key, unused)
    {
        if (!(which & (differs(objects, c->n, key) ? DIFFERENT : EQUAL))) continue;
        json_t *values = json_array();
        for (int i = 0; i < c->n; i++) {
            json_t *value = json_object_get(objects[i], key);
            json_array_append_new(values, value ? json_incref(value) : json_null());
        }
        json_object_set_new(part, key, values);
    }
    json_decref(keys);
    return part;
}

static void print_json(const comparison *c, bool all)
{
    json_t *json = json_object(), *paths = json_array();
    for (int i = 0; i < c->n; i++) json_array_append_new(paths, json_string(c->runs[i].path));
    json_object_set_new(json, "runs", paths);
    json_object_set_new(json, "different", part_json(c, c->config, NULL, DIFFERENT));
    if (all) json_object_set_new(json, "equal", part_json(c, c->config, NULL, EQUAL));
    json_object_set_new(json, "results", part_json(c, c->results, measured, EQUAL | DIFFERENT));
    cli_json_print(stdout, json);
}

int show_compare(const show_options *o, const char *const *paths, int n)
{
    comparison c = {0};
    int status = gather(&c, paths, n);
    if (!status && o->json)
        print_json(&c, o->all);
    else if (!status)
        print(&c, o->all);
    release(&c);
    return status;
}

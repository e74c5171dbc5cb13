/* One run: its state, config, result and layers. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "show.h"
#include "text.h"

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

const char *show_value(const char *key, const json_t *value, char *text)
{
    if (json_is_boolean(value)) return json_is_true(value) ? "yes" : "no";
    if (json_is_string(value)) return json_string_value(value);
    if (!json_is_number(value)) return NULL;
    double number = json_number_value(value);
    if (ends_with(key, "accuracy")) return cli_percent(number, text);
    if (!strcmp(key, "memory")) return cli_bytes(number, text);
    return json_is_integer(value) ? cli_count(number, text) : cli_plain(number, text);
}

static void print_object(const json_t *object, const char *title, int width)
{
    const char *key;
    json_t *value;
    char room[CLI_SHOWN];
    if (!json_object_size(object)) return;
    printf("\n%s\n", title);
    json_object_foreach((json_t *)object, key, value)
    {
        const char *text = show_value(key, value, room);
        if (!text || !*text || !strcmp(key, "schema") || !strcmp(key, "event")) continue;
        char *label = cli_format("  %s", key);
        cli_row(stdout, width, 21, label, text);
        free(label);
    }
}

static char *number_cell(const json_t *object, const char *key)
{
    char text[CLI_NUMBER];
    const json_t *value = json_object_get(object, key);
    return cli_format("%s", json_is_number(value) ? cli_plain(json_number_value(value), text) : "-");
}

/* The layers, and all of them together. */
static void print_layers(const json_t *m, int width)
{
    static const cli_column columns[] = {
        {"layer", false, 0}, {"cosine", true, 0}, {"predicted", true, 0}, {"snr", true, 1}};
    static const char *const keys[] = {"cosine", "predicted", "snr"};
    enum { COLUMNS = 4 };
    const json_t *layers = json_object_get(m, "layers");
    size_t n = json_array_size(layers), count = (n + 1) * COLUMNS;
    char **cells = cli_alloc(count * sizeof *cells), **cell = cells;
    for (size_t i = 0; i <= n; i++) {
        const json_t *of = i < n ? json_array_get(layers, i) : m;
        const char *word = json_string_value(json_object_get(of, "word"));
        *cell++ = i < n ? cli_format("%lld %s", json_integer_value(json_object_get(of, "layer")),
                                     word ? word : "")
                        : cli_strdup("all");
        cli_clean(cell[-1]);
        for (int k = 0; k < COLUMNS - 1; k++) *cell++ = number_cell(of, keys[k]);
    }
    cli_grid(stdout, width, columns, COLUMNS, cells, (int)n + 1);
    for (size_t i = 0; i < count; i++) free(cells[i]);
    free(cells);
}

static void print_measured(const json_t *m, int width)
{
    const char *reference = json_string_value(json_object_get(m, "reference")), *key;
    json_t *value;
    char text[CLI_NUMBER];
    char *title =
        cli_format("measured after step %lld, against %s: the measurement uses gradients",
                   json_integer_value(json_object_get(m, "step")), reference ? reference : "?");
    putchar('\n');
    puts(cli_clean(title));
    free(title);
    print_layers(m, width);
    json_object_foreach(json_object_get(m, "time"), key, value)
    {
        if (!json_is_number(value) || !strcmp(key, "seconds")) continue;
        char *label = cli_format("  time: %s", key);
        cli_row(stdout, width, 21, label, cli_percent(json_number_value(value), text));
        free(label);
    }
}

/* What the run would come to as seeds, if it was exported. */
static bool describe_seeds(zo_context *ctx, const char *run, zo_seeds_info *out)
{
    char *path = cli_format("%s/model.seeds", run);
    bool there = access(path, F_OK) == 0 && !zo_seeds_describe(ctx, path, out);
    free(path);
    return there;
}

/* ---- for people ---- */

static void print_state(const cli_run *r, int width)
{
    const char *times = r->resumed == 1 ? "once" : "times";
    char *text = !r->resumed       ? cli_strdup(r->state)
                 : r->resumed == 1 ? cli_format("%s, resumed once", r->state)
                                   : cli_format("%s, resumed %d %s", r->state, r->resumed, times);
    cli_row(stdout, width, 5, "state", text);
    free(text);
    if (!r->resumable) return;
    char *word = cli_quote(r->path);
    text = cli_format("zeroth resume %s", word);
    cli_row(stdout, width, 5, "go on", text);
    free(text);
    free(word);
}

/* How the layers are treated: at the last, where that was changed, else from the beginning. */
static const json_t *plan_of(const cli_run *r)
{
    const json_t *record = json_object_get(r->config, "record");
    return json_object_get(r->plan ? r->plan : record, "plan");
}

static void print_plan(const cli_run *r, int width)
{
    size_t i;
    json_t *line;
    const json_t *plan = plan_of(r);
    if (!json_array_size(plan)) return;
    char *title = r->plan ? cli_format("plan, as it was at step %lld",
                                       json_integer_value(json_object_get(r->plan, "step")))
                          : cli_strdup("plan");
    printf("\n%s\n", cli_clean(title));
    free(title);
    json_array_foreach((json_t *)plan, i, line)
    {
        if (!json_is_string(line)) continue;
        char *text = cli_strdup(json_string_value(line));
        cli_row(stdout, width, 0, " ", cli_clean(text));
        free(text);
    }
}

static void print_run(const cli_run *r, const zo_seeds_info *seeds, int width)
{
    cli_row(stdout, width, 5, "run", r->path);
    print_state(r, width);
    if (r->unreadable) {
        char *text = cli_format("%d lines of metrics.jsonl", r->unreadable);
        cli_row(stdout, width, 5, "damage", text);
        free(text);
    }
    if (seeds) {
        char *text = cli_smaller((double)seeds->bytes, (double)seeds->model_bytes);
        cli_row(stdout, width, 5, "seeds", text);
        free(text);
    }
    print_object(r->config, "config", width);
    print_object(json_object_get(r->config, "settings"), "settings", width);
    print_object(json_object_get(r->config, "task_settings"), "settings of the task", width);
    print_plan(r, width);
    if (r->last)
        print_object(r->last, r->ended ? "result" : "last report", width);
    else
        printf("\nno reports yet\n");
    if (r->measured) print_measured(r->measured, width);
}

/* ---- for programs ---- */

static int print_run_json(const cli_run *r, const zo_seeds_info *seeds, const zo_net *net)
{
    json_t *json = json_object();
    cli_json_text(json, "run", r->path);
    cli_json_text(json, "state", r->state);
    json_object_set_new(json, "resumable", json_boolean(r->resumable));
    if (r->resumed) cli_json_int(json, "resumed", r->resumed);
    json_object_set(json, "config", r->config);
    cli_json_int(json, "reports", r->lines);
    if (r->unreadable) cli_json_int(json, "unreadable", r->unreadable);
    if (r->last) json_object_set(json, r->ended ? "result" : "last_report", r->last);
    if (r->plan) json_object_set(json, "plan", r->plan);
    if (r->measured) json_object_set(json, "measurement", r->measured);
    if (seeds) cli_json_int(json, "seeds_bytes", seeds->bytes);
    if (seeds) cli_json_int(json, "model_bytes", seeds->model_bytes);
    if (net) show_add_net(json, net);
    return cli_json_print(stdout, json) ? CLI_DONE : CLI_FAILED;
}

/* ---- both ---- */

static int show_files(zo_context *ctx, const show_options *o, const cli_run *r)
{
    zo_seeds_info info;
    zo_net *net = NULL;
    /* A run that still goes on, or was killed, may have no model yet. */
    zo_status status = r->model ? zo_model_load(ctx, r->path, &net) : ZO_OK;
    if (status) return cli_status(ctx, status);
    const zo_seeds_info *seeds = describe_seeds(ctx, r->path, &info) ? &info : NULL;
    int result = CLI_DONE, width = cli_width(stdout);
    if (o->json) {
        result = print_run_json(r, seeds, net);
    } else {
        print_run(r, seeds, width);
        putchar('\n');
        if (net) show_print_net(net, width);
    }
    zo_net_destroy(net);
    return result;
}

int show_run(zo_context *ctx, const show_options *o, const char *path)
{
    cli_run r;
    int status =
        cli_run_read(path, &r) ? show_files(ctx, o, &r) : cli_fail(CLI_FAILED, "%s", r.fault);
    cli_run_free(&r);
    return status;
}

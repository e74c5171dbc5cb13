/* zeroth show: a run, a model file, or a net spec. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "output.h"
#include "text.h"

typedef struct show_options {
    const char *net;
    int inputs;
    bool json;
} show_options;

static const cli_option options[] = {
    {"net", "SPEC", CLI_TEXT, offsetof(show_options, net), 0, 0, "show the layers of a net spec"},
    {"inputs", "N", CLI_INT, offsetof(show_options, inputs), 1, 1048576,
     "features of an example, for --net"},
    {"json", NULL, CLI_FLAG, offsetof(show_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

/* ---- layers ---- */

static const cli_column columns[] = {
    {"", true, 3},          {"layer", false, 0},     {"inputs", true, 2},
    {"outputs", true, 4},   {"parameters", true, 6}, {"multiply-adds", true, 5},
    {"noise in", false, 1},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void layer_cells(const zo_layer_info *layer, int index, char **cells)
{
    char number[CLI_NUMBER];
    cells[0] = cli_format("%d", index);
    cells[1] = cli_strdup(layer->name);
    cells[2] = cli_strdup(cli_count(layer->inputs, number));
    cells[3] = cli_strdup(cli_count(layer->outputs, number));
    cells[4] = cli_strdup(cli_count((double)layer->parameters, number));
    cells[5] = cli_strdup(cli_count(layer->cost, number));
    cells[6] = cli_strdup(layer->sites);
}

static void print_layers(const zo_net *net, int width)
{
    int n = zo_net_layers(net);
    char **cells = cli_alloc((size_t)(n + 1) * COLUMNS * sizeof *cells);
    zo_layer_info total = {
        "total", zo_net_inputs(net), zo_net_outputs(net), zo_net_parameters(net), zo_net_cost(net),
        ""};
    for (int i = 0; i < n; i++) {
        zo_layer_info layer = {"?", 0, 0, 0, 0, ""};
        zo_net_layer(net, i, &layer);
        layer_cells(&layer, i, cells + i * COLUMNS);
    }
    layer_cells(&total, n, cells + n * COLUMNS);
    cells[n * COLUMNS][0] = 0; /* the total has no place in the spec */
    cli_grid(stdout, width, columns, COLUMNS, cells, n + 1);
    for (int i = 0; i < (n + 1) * COLUMNS; i++) free(cells[i]);
    free(cells);
}

static void add_net(json_t *json, const zo_net *net)
{
    json_t *layers = json_array();
    for (int i = 0; i < zo_net_layers(net); i++) {
        zo_layer_info layer;
        if (zo_net_layer(net, i, &layer)) continue;
        json_t *row = json_object();
        cli_json_text(row, "name", layer.name);
        cli_json_int(row, "inputs", layer.inputs);
        cli_json_int(row, "outputs", layer.outputs);
        cli_json_int(row, "parameters", layer.parameters);
        cli_json_real(row, "cost", layer.cost);
        cli_json_text(row, "sites", layer.sites);
        json_array_append_new(layers, row);
    }
    cli_json_text(json, "net", zo_net_spec(net));
    cli_json_int(json, "inputs", zo_net_inputs(net));
    cli_json_int(json, "outputs", zo_net_outputs(net));
    cli_json_int(json, "parameters", zo_net_parameters(net));
    cli_json_real(json, "cost", zo_net_cost(net));
    json_object_set_new(json, "layers", layers);
}

/* ---- the files of a run ---- */

static json_t *load_config(const char *run)
{
    json_error_t error;
    char *path = cli_format("%s/config.json", run);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json && error.line > 0)
        cli_fail(CLI_FAILED, "%s:%d: column %d: %s", path, error.line, error.column, error.text);
    else if (!json)
        cli_fail(CLI_FAILED, "%s: cannot be read: this folder holds no run", path);
    free(path);
    return json;
}

/* The reports of metrics.jsonl. A last line without its end was being written when the run died. */
static json_t *load_metrics(const char *run)
{
    char *path = cli_format("%s/metrics.jsonl", run), *line = NULL;
    FILE *f = fopen(path, "r");
    json_t *reports = json_array();
    size_t room = 0;
    ssize_t n;
    for (int at = 1; f && reports && (n = getline(&line, &room, f)) > 0; at++) {
        json_error_t error;
        json_t *report = json_loadb(line, (size_t)n, 0, &error);
        if (report) {
            json_array_append_new(reports, report);
        } else if (line[n - 1] == '\n') {
            cli_fail(CLI_FAILED, "%s:%d: column %d: %s", path, at, error.column, error.text);
            json_decref(reports);
            reports = NULL;
        }
    }
    if (f) fclose(f);
    free(line);
    free(path);
    return reports;
}

/* The scalar as text, or NULL for null, objects and lists. */
static const char *scalar(const json_t *value, char *number)
{
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_boolean(value)) return json_is_true(value) ? "yes" : "no";
    if (json_is_integer(value)) return cli_count((double)json_integer_value(value), number);
    if (json_is_real(value)) return cli_plain(json_real_value(value), number);
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void print_object(const json_t *object, const char *title, int width)
{
    const char *key, *text;
    json_t *value;
    char number[CLI_NUMBER];
    if (!json_object_size(object)) return;
    printf("\n%s\n", title);
    json_object_foreach((json_t *)object, key, value)
    {
        if (!(text = scalar(value, number)) || !*text || !strcmp(key, "schema") ||
            !strcmp(key, "event"))
            continue;
        if (ends_with(key, "accuracy") && json_is_number(value))
            text = cli_percent(json_number_value(value), number);
        char *label = cli_format("  %s", key);
        cli_row(stdout, width, 21, label, text);
        free(label);
    }
}

/* The last line of metrics.jsonl is the result, unless the run did not end. */
static const char *last_name(const json_t *reports)
{
    const json_t *last = json_array_get(reports, json_array_size(reports) - 1);
    const char *event = json_string_value(json_object_get(last, "event"));
    return event && !strcmp(event, "result") ? "result" : "last_report";
}

static void print_run(const char *run, const json_t *config, const json_t *reports, int width)
{
    size_t n = json_array_size(reports);
    cli_row(stdout, width, 5, "run", run);
    print_object(config, "config", width);
    print_object(json_object_get(config, "settings"), "settings", width);
    print_object(json_object_get(config, "task_settings"), "settings of the task", width);
    if (n)
        print_object(json_array_get(reports, n - 1), last_name(reports), width);
    else
        printf("\nno reports yet\n");
}

/* ---- what to show ---- */

static int show_net(const zo_net *net, const char *model, bool json, int width)
{
    if (json) {
        json_t *object = json_object();
        if (model) cli_json_text(object, "model", model);
        add_net(object, net);
        return cli_json_print(stdout, object) ? CLI_DONE : CLI_FAILED;
    }
    if (model) cli_row(stdout, width, 5, "model", model);
    cli_row(stdout, width, 5, "net", zo_net_spec(net));
    putchar('\n');
    print_layers(net, width);
    return CLI_DONE;
}

static int show_spec(zo_context *ctx, const show_options *o, const char *spec)
{
    zo_net *net = NULL;
    zo_net_def def = zo_net_default_def();
    if (!o->inputs)
        return cli_fail(CLI_USAGE, "--net needs --inputs N, the features of an example");
    def.spec = spec;
    def.inputs = o->inputs;
    zo_status status = zo_net_create(ctx, &def, &net);
    int result = status ? cli_status(ctx, status) : show_net(net, NULL, o->json, cli_width(stdout));
    zo_net_destroy(net);
    return result;
}

static int show_model(zo_context *ctx, const show_options *o, const char *path)
{
    zo_net *net = NULL;
    zo_status status = zo_net_load(ctx, path, &net);
    int result = status ? cli_status(ctx, status) : show_net(net, path, o->json, cli_width(stdout));
    zo_net_destroy(net);
    return result;
}

static int print_run_json(const char *run, json_t *config, json_t *reports, const zo_net *net)
{
    json_t *json = json_object();
    size_t n = json_array_size(reports);
    cli_json_text(json, "run", run);
    json_object_set(json, "config", config);
    cli_json_int(json, "reports", (long long)n);
    if (n) json_object_set(json, last_name(reports), json_array_get(reports, n - 1));
    if (net) add_net(json, net);
    return cli_json_print(stdout, json) ? CLI_DONE : CLI_FAILED;
}

/* A run that still goes on, or was killed, may have no model yet. */
static int show_run(zo_context *ctx, const show_options *o, const char *run)
{
    struct stat s;
    zo_net *net = NULL;
    int width = cli_width(stdout), result = CLI_FAILED;
    char *model = cli_model_path(run);
    json_t *config = load_config(run), *reports = config ? load_metrics(run) : NULL;
    zo_status status = ZO_OK;
    if (reports && !stat(model, &s)) status = zo_net_load(ctx, model, &net);
    if (status) {
        result = cli_status(ctx, status);
    } else if (reports && o->json) {
        result = print_run_json(run, config, reports, net);
    } else if (reports) {
        print_run(run, config, reports, width);
        putchar('\n');
        result = net ? show_net(net, NULL, false, width) : CLI_DONE;
    }
    zo_net_destroy(net);
    json_decref(config);
    json_decref(reports);
    free(model);
    return result;
}

static int show(zo_context *ctx, const show_options *o, const char *what)
{
    struct stat s;
    if (!what) return show_spec(ctx, o, o->net);
    if (!stat(what, &s))
        return S_ISDIR(s.st_mode) ? show_run(ctx, o, what) : show_model(ctx, o, what);
    if (o->inputs) return show_spec(ctx, o, what);
    return cli_fail(CLI_FAILED, "%s: no such run or model; a net spec is shown with --inputs N",
                    what);
}

static int run(int argc, char **argv)
{
    show_options o = {0};
    cli_words words = {.names = "a RUN, a model file or a net spec", .least = 0, .most = 1};
    int status = CLI_USAGE;
    if (!cli_parse("show", options, argc, argv, &o, &words)) return CLI_USAGE;
    if (!words.n == !o.net)
        return cli_fail(CLI_USAGE, "show needs a RUN, a model file, or --net SPEC --inputs N");
    zo_context *ctx = cli_context(0, NULL, NULL, NULL, &status);
    if (ctx) status = show(ctx, &o, words.n ? words.word[0] : NULL);
    zo_context_destroy(ctx);
    return status;
}

const cli_command cli_show = {
    .name = "show",
    .usage = "RUN|MODEL|--net SPEC --inputs N [--json]",
    .summary = "show a run, a model's layers, or the layers of a net spec",
    .options = options,
    .run = run,
};

/* zeroth doctor: what this machine offers, and which data sets are there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "output.h"
#include "text.h"

typedef struct doctor_options {
    const char *data;
    bool json;
} doctor_options;

static const cli_option options[] = {
    {"data", "DIR", CLI_TEXT, offsetof(doctor_options, data), 0, 0,
     "where to look for data sets (default: $ZEROTH_DATA, then the system's)"},
    {"json", NULL, CLI_FLAG, offsetof(doctor_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

enum { LABEL_WIDTH = 13 };

/* ---- data sets ---- */

typedef struct data_set {
    const char *name;
    const char *remedy;
} data_set;

static const char SYSTEM_DATA[] = "/usr/share/datasets";

static const data_set data_sets[] = {
    {"fashion-mnist", "apt-get install dataset-fashion-mnist"},
    {"mnist", "put its four IDX files, plain or gzip, into DIR/mnist and give --data DIR"},
};
enum { DATA_SETS = sizeof data_sets / sizeof *data_sets };

/* folder/part-kind-ubyte, plain or gzip, in either of the two spellings in use. */
static bool holds_file(const char *folder, const char *part, const char *kind)
{
    bool there = false;
    for (int i = 0; i < 4 && !there; i++) {
        char path[4096];
        bool dash = i < 2, gzip = i % 2;
        snprintf(path, sizeof path, "%s/%s%c%s-ubyte%s", folder, part, dash ? '-' : '.', kind,
                 gzip ? ".gz" : "");
        there = !access(path, R_OK);
    }
    return there;
}

static bool holds_idx(const char *folder)
{
    return holds_file(folder, "train-images", "idx3") &&
           holds_file(folder, "train-labels", "idx1") &&
           holds_file(folder, "t10k-images", "idx3") && holds_file(folder, "t10k-labels", "idx1");
}

static char *try_folder(char *folder)
{
    if (holds_idx(folder)) return folder;
    free(folder);
    return NULL;
}

/* The sets have files of the same names: a folder named after another set is not taken for this. */
static bool of_another(const char *folder, const char *name)
{
    char *copy = cli_strdup(folder);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    const char *slash = strrchr(copy, '/'), *last = slash ? slash + 1 : copy;
    bool other = false;
    for (int i = 0; i < DATA_SETS; i++) {
        if (!strcmp(last, data_sets[i].name) && strcmp(last, name) != 0) other = true;
    }
    free(copy);
    return other;
}

/* Where the data set lies, to be freed, or NULL. */
static char *find_data(const char *data, const char *name)
{
    char *found = NULL;
    if (data) found = try_folder(cli_format("%s/%s", data, name));
    if (!found && data && !of_another(data, name)) found = try_folder(cli_strdup(data));
    if (!found) found = try_folder(cli_format("%s/%s", SYSTEM_DATA, name));
    return found;
}

/* ---- kernels ---- */

static bool runs_here(const char *kernels)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx = NULL;
    def.threads = 1;
    def.kernels = kernels;
    zo_status status = zo_context_create(&def, &ctx);
    zo_context_destroy(ctx);
    return status == ZO_OK;
}

static char *kernel_text(const char *used)
{
    char *text = cli_strdup(used);
    const zo_class_info *c;
    for (int i = 0; (c = zo_class_at("kernels", i)); i++) {
        if (!strcmp(c->name, used)) continue;
        char *longer = cli_format("%s; %s %s", text, c->name,
                                  runs_here(c->name) ? "is possible" : "is not possible here");
        free(text);
        text = longer;
    }
    return text;
}

/* ---- output ---- */

static void print_data(const char *data, int width)
{
    for (int i = 0; i < DATA_SETS; i++) {
        char *found = find_data(data, data_sets[i].name);
        char *text = found ? cli_format("found in %s", found)
                           : cli_format("missing: %s", data_sets[i].remedy);
        cli_row(stdout, width, LABEL_WIDTH, data_sets[i].name, text);
        free(text);
        free(found);
    }
}

static void print_machine(const zo_machine_info *m, int threads, int width)
{
    char *text = cli_format("zeroth %s", zo_version());
    cli_row(stdout, width, LABEL_WIDTH, "version", text);
    free(text);
    cli_row(stdout, width, LABEL_WIDTH, "processor", m->cpu);
    text = kernel_text(m->kernels);
    cli_row(stdout, width, LABEL_WIDTH, "kernels", text);
    free(text);
    text = cli_format("%d of %d processors", threads, m->processors);
    cli_row(stdout, width, LABEL_WIDTH, "threads", text);
    free(text);
    text = m->memory ? cli_format("%.1f GiB", (double)m->memory / (1 << 30)) : cli_strdup("unknown");
    cli_row(stdout, width, LABEL_WIDTH, "memory", text);
    free(text);
    text = cli_format("%.1f GFLOP/s per core, float32 multiply-adds", 2e-9 * m->peak);
    cli_row(stdout, width, LABEL_WIDTH, "peak", text);
    free(text);
}

static json_t *kernels_json(void)
{
    json_t *list = json_array();
    const zo_class_info *c;
    for (int i = 0; (c = zo_class_at("kernels", i)); i++) {
        json_t *row = json_object();
        cli_json_text(row, "name", c->name);
        json_object_set_new(row, "available", json_boolean(runs_here(c->name)));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *data_json(const char *data)
{
    json_t *list = json_array();
    for (int i = 0; i < DATA_SETS; i++) {
        char *found = find_data(data, data_sets[i].name);
        json_t *row = json_object();
        cli_json_text(row, "name", data_sets[i].name);
        json_object_set_new(row, "found", json_boolean(found != NULL));
        cli_json_text(row, found ? "folder" : "remedy", found ? found : data_sets[i].remedy);
        json_array_append_new(list, row);
        free(found);
    }
    return list;
}

static bool print_json(const zo_machine_info *m, int threads, const char *data)
{
    json_t *json = json_object();
    cli_json_text(json, "version", zo_version());
    cli_json_text(json, "cpu", m->cpu);
    cli_json_int(json, "processors", m->processors);
    cli_json_int(json, "threads", threads);
    cli_json_int(json, "memory", m->memory);
    cli_json_text(json, "kernels", m->kernels);
    cli_json_real(json, "peak", m->peak);
    cli_json_real(json, "peak_gflops", 2e-9 * m->peak);
    json_object_set_new(json, "kernel_sets", kernels_json());
    json_object_set_new(json, "data", data_json(data));
    return cli_json_print(stdout, json);
}

static int examine(zo_context *ctx, const doctor_options *o)
{
    zo_machine_info m;
    const char *data = cli_data_folder(o->data);
    zo_status status = zo_machine(ctx, true, &m);
    if (status) return cli_status(ctx, status);
    int threads = zo_context_threads(ctx);
    if (o->json) return print_json(&m, threads, data) ? CLI_DONE : CLI_FAILED;
    print_machine(&m, threads, cli_width(stdout));
    print_data(data, cli_width(stdout));
    return CLI_DONE;
}

static int run(int argc, char **argv)
{
    doctor_options o = {0};
    cli_words words = {.names = "nothing", .least = 0, .most = 0};
    int status = CLI_USAGE;
    if (!cli_parse("doctor", options, argc, argv, &o, &words)) return CLI_USAGE;
    zo_context *ctx = cli_context(0, NULL, NULL, NULL, &status);
    if (ctx) status = examine(ctx, &o);
    zo_context_destroy(ctx);
    return status;
}

const cli_command cli_doctor = {
    .name = "doctor",
    .usage = "[--data DIR] [--json]",
    .summary = "show what this machine offers and which data sets are there",
    .options = options,
    .run = run,
};

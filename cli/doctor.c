/* zeroth doctor: what this machine offers, and which data sets are there. */
#include <stdlib.h>
#include <string.h>

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

/* Name of the index-th task that comes in files and has a place of its own to be looked for. */
static const char *data_set(zo_context *ctx, int index)
{
    const zo_class_info *c;
    for (int i = 0; (c = zo_class_at("tasks", i)); i++) {
        char folder[4096];
        zo_status status = zo_task_find(ctx, c->name, NULL, folder, sizeof folder);
        if ((!status || status == ZO_NOT_FOUND) && index-- == 0) return c->name;
    }
    return NULL;
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

static void print_data(zo_context *ctx, const char *asked, int width)
{
    const char *name;
    for (int i = 0; (name = data_set(ctx, i)); i++) {
        cli_place place;
        char *fault;
        cli_find_data(ctx, name, asked, &place, &fault);
        char *text =
            fault ? cli_format("missing: %s", fault) : cli_format("found in %s", place.folder);
        cli_row(stdout, width, LABEL_WIDTH, name, text);
        free(text);
        free(fault);
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

static json_t *data_json(zo_context *ctx, const char *asked)
{
    json_t *list = json_array();
    const char *name;
    for (int i = 0; (name = data_set(ctx, i)); i++) {
        cli_place place;
        char *fault;
        cli_find_data(ctx, name, asked, &place, &fault);
        json_t *row = json_object();
        cli_json_text(row, "name", name);
        json_object_set_new(row, "found", json_boolean(!fault));
        cli_json_text(row, fault ? "remedy" : "folder", fault ? fault : place.folder);
        json_array_append_new(list, row);
        free(fault);
    }
    return list;
}

static bool print_json(zo_context *ctx, const zo_machine_info *m, const char *asked)
{
    json_t *json = json_object();
    cli_json_text(json, "version", zo_version());
    cli_json_text(json, "cpu", m->cpu);
    cli_json_int(json, "processors", m->processors);
    cli_json_int(json, "threads", zo_context_threads(ctx));
    cli_json_int(json, "memory", m->memory);
    cli_json_text(json, "kernels", m->kernels);
    cli_json_real(json, "peak", m->peak);
    cli_json_real(json, "peak_gflops", 2e-9 * m->peak);
    json_object_set_new(json, "kernel_sets", kernels_json());
    json_object_set_new(json, "data", data_json(ctx, asked));
    return cli_json_print(stdout, json);
}

static int examine(zo_context *ctx, const doctor_options *o)
{
    zo_machine_info m;
    zo_status status = zo_machine(ctx, true, &m);
    if (status) return cli_status(ctx, status);
    if (o->json) return print_json(ctx, &m, o->data) ? CLI_DONE : CLI_FAILED;
    print_machine(&m, zo_context_threads(ctx), cli_width(stdout));
    print_data(ctx, o->data, cli_width(stdout));
    return CLI_DONE;
}

static int run(int argc, char **argv)
{
    doctor_options o = {0};
    cli_words words = {.names = "nothing", .least = 0, .most = 0};
    int status = CLI_USAGE;
    if (!cli_parse("doctor", options, argc, argv, &o, &words)) return CLI_USAGE;
    zo_context *ctx = cli_context(NULL, NULL, NULL, &status);
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

/* zeroth export: a trained network in another form. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "output.h"
#include "text.h"

typedef struct export_options {
    const char *to, *out;
    int64_t memory;
    int threads;
    bool force, json;
} export_options;

static const cli_option options[] = {
    {"to", "FORMAT", CLI_TEXT, offsetof(export_options, to), 0, 0, "one of the formats below"},
    {"out", "FILE", CLI_TEXT, offsetof(export_options, out), 0, 0,
     "the file to write (default: beside the model, with the format's name as its ending)"},
    {"force", NULL, CLI_FLAG, offsetof(export_options, force), 0, 0,
     "replace the file if it is there already"},
    {"threads", "N", CLI_INT, offsetof(export_options, threads), 1, ZO_THREADS_MAX,
     "1 to 1024 (default: one for each processor)"},
    {"memory", "SIZE", CLI_SIZE, offsetof(export_options, memory), 0, 0,
     "most memory to hold, such as 512M or 2GiB"},
    {"json", NULL, CLI_FLAG, offsetof(export_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

/* ---- formats ---- */

/* What a format's file came to. */
typedef struct exported {
    const char *from, *path;
    zo_seeds_info seeds; /* bytes 0: of another format */
    int64_t bytes;
} exported;

/* A way to write a network; its name is the ending of its files. */
typedef struct format {
    const char *name, *summary;
    zo_status (*write)(zo_context *ctx, exported *e);
} format;

static zo_status write_seeds(zo_context *ctx, exported *e)
{
    return zo_seeds_save(ctx, e->from, e->path, &e->seeds);
}

static zo_status write_safetensors(zo_context *ctx, exported *e)
{
    zo_net *net = NULL;
    zo_status status = zo_model_load(ctx, e->from, &net);
    if (!status && zo_cancelled(ctx)) status = ZO_CANCELLED;
    if (!status) status = zo_net_save(net, e->path);
    zo_net_destroy(net);
    return status;
}

static const format formats[] = {
    {"seeds",
     "net spec, seed and losses of a RUN, from which the steps are taken again when it is read",
     write_seeds},
    {"safetensors", "the numbers themselves, of a RUN or of a seeds file", write_safetensors},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const char *format_name(const void *unused, int i)
{
    (void)unused;
    return i < FORMATS ? formats[i].name : NULL;
}

static const format *find_format(const char *name)
{
    for (int i = 0; name && i < FORMATS; i++) {
        if (!strcmp(formats[i].name, name)) return &formats[i];
    }
    const char *near = name ? cli_nearest(name, format_name, NULL) : NULL;
    if (near)
        cli_fail(CLI_USAGE, "--to %s is not known: did you mean %s?", name, near);
    else
        cli_fail(CLI_USAGE, "%s%s: --to seeds or --to safetensors is expected",
                 name ? "--to " : "export", name ? name : "");
    return NULL;
}

/* ---- the work ---- */

/* RUN/model.FORMAT, or the file's name with the format as its ending; to be freed. */
static char *default_path(const char *from, const format *f)
{
    struct stat s;
    if (stat(from, &s) || S_ISDIR(s.st_mode)) {
        size_t n = strlen(from);
        return cli_format("%s%smodel.%s", from, n && from[n - 1] == '/' ? "" : "/", f->name);
    }
    const char *slash = strrchr(from, '/'), *dot = strrchr(slash ? slash : from, '.');
    size_t n = dot && dot != from && dot != slash + 1 ? (size_t)(dot - from) : strlen(from);
    return cli_format("%.*s.%s", (int)n, from, f->name);
}

static void print(const exported *e, const format *f, int width)
{
    char steps[CLI_NUMBER], bytes[CLI_NUMBER];
    bool seeds = e->seeds.bytes > 0;
    cli_row(stdout, width, 6, "from", e->from);
    cli_row(stdout, width, 6, "file", e->path);
    if (!seeds) {
        cli_row(stdout, width, 6, "format", f->name);
        cli_row(stdout, width, 6, "size", cli_bytes((double)e->bytes, bytes));
        return;
    }
    char *size = cli_smaller((double)e->seeds.bytes, (double)e->seeds.model_bytes);
    char *text = cli_format("%s, %s steps of %s", f->name, cli_count((double)e->seeds.steps, steps),
                            e->seeds.method);
    cli_row(stdout, width, 6, "format", text);
    cli_row(stdout, width, 6, "size", size);
    free(text);
    free(size);
}

static void print_json(const exported *e, const format *f)
{
    json_t *json = json_object();
    cli_json_text(json, "from", e->from);
    cli_json_text(json, "file", e->path);
    cli_json_text(json, "format", f->name);
    cli_json_int(json, "bytes", e->bytes);
    if (e->seeds.bytes > 0) {
        cli_json_int(json, "model_bytes", e->seeds.model_bytes);
        cli_json_int(json, "steps", e->seeds.steps);
        cli_json_text(json, "method", e->seeds.method);
    }
    cli_json_print(stdout, json);
}

static int write_file(zo_context *ctx, const export_options *o, const format *f, exported *e)
{
    zo_status status = f->write(ctx, e);
    int fault = cli_status(ctx, status);
    if (status)
        return fault == CLI_USAGE ? CLI_FAILED
                                  : fault; /* it is about the run, not about the usage */
    struct stat s;
    e->bytes = stat(e->path, &s) ? e->seeds.bytes : (int64_t)s.st_size;
    if (o->json)
        print_json(e, f);
    else
        print(e, f, cli_width(stdout));
    return CLI_DONE;
}

/* A file that is there is not replaced unasked: a model is nothing that can be had again by a command. */
static int export(const export_options *o, const format *f, const char *from)
{
    struct stat s;
    int status = CLI_FAILED;
    char *path = o->out ? cli_strdup(o->out) : default_path(from, f);
    exported e = {.from = from, .path = path};
    if (!o->force && !lstat(path, &s)) {
        cli_fail(CLI_FAILED, "%s: is there already; choose another by --out, or add --force", path);
        free(path);
        return CLI_FAILED;
    }
    cli_limits limits = {.threads = o->threads, .memory = o->memory};
    zo_context *ctx = cli_context(&limits, NULL, NULL, &status);
    if (ctx) {
        cli_catch_signals(ctx);
        status = write_file(ctx, o, f, &e);
        cli_release_signals();
    }
    zo_context_destroy(ctx);
    free(path);
    return status;
}

static int run(int argc, char **argv)
{
    export_options o = {0};
    cli_words words = {.names = "a RUN or a model file", .least = 1, .most = 1};
    if (!cli_parse("export", options, argc, argv, &o, &words)) return CLI_USAGE;
    const format *f = find_format(o.to);
    return f ? export(&o, f, words.word[0]) : CLI_USAGE;
}

static void more(FILE *f, int width)
{
    fprintf(f, "\nformats:\n");
    for (int i = 0; i < FORMATS; i++) {
        char *left = cli_format("  %s", formats[i].name);
        cli_row(f, width, 13, left, formats[i].summary);
        free(left);
    }
}

const cli_command cli_export = {
    .name = "export",
    .usage = "RUN|MODEL --to FORMAT [OPTION]...",
    .summary = "write a trained network in another form",
    .options = options,
    .more = more,
    .run = run,
};

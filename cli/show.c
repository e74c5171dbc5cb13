/* zeroth show: runs, a model file, or a net spec. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"
#include "show.h"
#include "text.h"

static const cli_option options[] = {
    {"sort", "KEY", CLI_TEXT, offsetof(show_options, sort), 0, 0,
     "order the runs of a folder by name, state, task, method, accuracy, loss, forwards, seconds, "
     "date "
     "or any other key of theirs; -KEY reverses (default: name)"},
    {"filter", "CONDITION", CLI_TEXTS, offsetof(show_options, filters), 0, 0,
     "only the runs of a folder that meet it, such as state=done, \"method=weights*\", lr=0.01, "
     "\"accuracy>0.9\" or \"forwards<1e6\"; may be repeated"},
    {"all", NULL, CLI_FLAG, offsetof(show_options, all), 0, 0, "compare RUNs in what is equal too"},
    {"net", "SPEC", CLI_TEXT, offsetof(show_options, net), 0, 0, "show the layers of a net spec"},
    {"inputs", "N", CLI_TEXT, offsetof(show_options, inputs), 0, 0,
     "for --net: features of an example, or an image as HEIGHTxWIDTHxCHANNELS"},
    {"json", NULL, CLI_FLAG, offsetof(show_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

/* ---- nets and models ---- */

/* "784" or "28x28x1"; false if it is neither. */
static bool read_inputs(const char *text, zo_net_def *def)
{
    int used = 0;
    if (text[strspn(text, "0123456789x")]) return false; /* sscanf() takes signs and spaces */
    if (sscanf(text, "%7d%n", &def->inputs, &used) == 1 && !text[used]) return def->inputs > 0;
    if (sscanf(text, "%7dx%7dx%7d%n", &def->height, &def->width, &def->channels, &used) != 3 ||
        text[used])
        return false;
    double inputs = (double)def->height * def->width * def->channels;
    def->inputs = inputs >= 1 && inputs <= 1 << 20 ? (int)inputs : 0;
    return def->height > 0 && def->width > 0 && def->channels > 0 && def->inputs > 0;
}

static int show_spec(zo_context *ctx, const show_options *o, const char *spec)
{
    zo_net *net = NULL;
    zo_net_def def = zo_net_default_def();
    if (!o->inputs)
        return cli_fail(CLI_USAGE,
                        "--net needs --inputs N, the features of an example, or an image "
                        "such as --inputs 28x28x1");
    if (!read_inputs(o->inputs, &def))
        return cli_fail(CLI_USAGE,
                        "--inputs %s: 1 to 1048576 features are expected, such as 784, or an image "
                        "such as 28x28x1",
                        o->inputs);
    def.spec = spec;
    def.init = "zero"; /* it is never run */
    zo_status status = zo_net_create(ctx, &def, &net);
    if (status) return cli_status(ctx, status);
    if (o->json) {
        json_t *json = json_object();
        show_add_net(json, net);
        cli_json_print(stdout, json);
    } else {
        show_print_net(net, cli_width(stdout));
    }
    zo_net_destroy(net);
    return CLI_DONE;
}

static void print_seeds(const zo_seeds_info *seeds, int width)
{
    char number[CLI_NUMBER];
    char *size = cli_smaller((double)seeds->bytes, (double)seeds->model_bytes);
    char *steps = cli_format("%s of %s", cli_count((double)seeds->steps, number), seeds->method);
    cli_row(stdout, width, 5, "steps", steps);
    cli_row(stdout, width, 5, "size", size);
    free(steps);
    free(size);
}

static void print_model_json(const char *path, const zo_seeds_info *seeds, const zo_net *net)
{
    json_t *json = json_object();
    cli_json_text(json, "model", path);
    if (seeds) {
        cli_json_text(json, "method", seeds->method);
        cli_json_int(json, "steps", seeds->steps);
        cli_json_int(json, "bytes", seeds->bytes);
        cli_json_int(json, "model_bytes", seeds->model_bytes);
        cli_json_real(json, "times_smaller", (double)seeds->model_bytes / (double)seeds->bytes);
    }
    show_add_net(json, net);
    cli_json_print(stdout, json);
}

static int show_model(zo_context *ctx, const show_options *o, const char *path)
{
    zo_seeds_info info;
    zo_net *net = NULL;
    const zo_seeds_info *seeds = zo_seeds_describe(ctx, path, &info) ? NULL : &info;
    zo_status status = zo_model_load(ctx, path, &net);
    if (!status && zo_cancelled(ctx)) status = ZO_CANCELLED;
    int width = cli_width(stdout);
    if (!status && o->json) {
        print_model_json(path, seeds, net);
    } else if (!status) {
        cli_row(stdout, width, 5, "model", path);
        if (seeds) print_seeds(seeds, width);
        show_print_net(net, width);
    }
    zo_net_destroy(net);
    return cli_status(ctx, status);
}

/* ---- what to show ---- */

static bool is_collection(const char *path)
{
    struct stat s;
    bool folder = !stat(path, &s) && S_ISDIR(s.st_mode);
    return folder && !cli_is_run(path) && show_holds_runs(path);
}

static int show(zo_context *ctx, const show_options *o, const char *what)
{
    struct stat s;
    if (!what) return show_spec(ctx, o, o->net);
    bool there = !stat(what, &s);
    if (there && !S_ISDIR(s.st_mode)) return show_model(ctx, o, what);
    if (there) return show_run(ctx, o, what);
    if (o->inputs) return show_spec(ctx, o, what);
    return cli_fail(CLI_FAILED,
                    "%s: no such run, folder of runs or model; a net spec is shown with --inputs N",
                    what);
}

/* An option that would be passed over in silence is refused. */
static bool fits(const show_options *o, bool several, bool list)
{
    if (!list && (o->sort || o->filters.n))
        return cli_fail(false, "--sort and --filter are for a folder of runs");
    if (!several && o->all) return cli_fail(false, "--all is for two RUNs or more");
    return true;
}

static int run_words(const show_options *o, const cli_words *words)
{
    int status = CLI_USAGE;
    bool one = words->n + (o->net != NULL) == 1;
    if (!words->n == !o->net)
        return cli_fail(
            CLI_USAGE,
            "show needs a RUN, a folder of runs, a model file, or --net SPEC --inputs N");
    bool list = one && words->n && is_collection(words->word[0]);
    if (!fits(o, !one, list)) return CLI_USAGE;
    if (!one) return show_compare(o, words->word, words->n);
    if (list) return show_list(o, words->word[0]);
    zo_context *ctx = cli_context(NULL, NULL, NULL, &status);
    if (ctx) status = show(ctx, o, words->n ? words->word[0] : NULL);
    zo_context_destroy(ctx);
    return status;
}

static int run(int argc, char **argv)
{
    show_options o = {0};
    cli_words words = {.names = "RUNs, a folder of runs, a model file or a net spec",
                       .least = 0,
                       .most = CLI_WORDS};
    int status = CLI_USAGE;
    if (cli_parse("show", options, argc, argv, &o, &words)) status = run_words(&o, &words);
    cli_list_free(&o.filters);
    return status;
}

const cli_command cli_show = {
    .name = "show",
    .usage = "RUN|FOLDER|MODEL|--net SPEC --inputs N [OPTION]..., or RUN RUN... [--all] [--json]",
    .summary =
        "show a run, compare runs, list a folder of runs, or show a model's or spec's layers",
    .options = options,
    .run = run,
};

/* zeroth verify: the steps of a run are taken again from its journal, and the bits compared. */
#include <math.h>
#include <stdlib.h>

#include "output.h"
#include "text.h"
#include "training.h"

typedef struct verify_options {
    const char *data, *kernels;
    int64_t memory;
    int threads;
    bool quiet, json;
} verify_options;

static const cli_option options[] = {
    {"data", "DIR", CLI_TEXT, offsetof(verify_options, data), 0, 0,
     "where the data set is now, if data are needed (default: where the run found it)"},
    {"threads", "N", CLI_INT, offsetof(verify_options, threads), 1, ZO_THREADS_MAX,
     "1 to 1024 (default: one for each processor); the result does not depend on it"},
    {"kernels", "K", CLI_TEXT, offsetof(verify_options, kernels), 0, 0,
     "ref, avx2, avx512 or avx512bf16 (default: the best); the result does not depend on it"},
    {"memory", "SIZE", CLI_SIZE, offsetof(verify_options, memory), 0, 0,
     "most memory to hold, such as 512M or 2GiB"},
    {"quiet", NULL, CLI_FLAG, offsetof(verify_options, quiet), 0, 0, "no progress"},
    {"json", NULL, CLI_FLAG, offsetof(verify_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

/* ---- output ---- */

enum { LABEL_WIDTH = 9 };

static double times_faster(const zo_verified *v) { return v->seconds_training / v->seconds; }

static void print_seconds(const zo_verified *v, int width)
{
    double times = times_faster(v);
    char *text =
        !isfinite(times) ? cli_format("%.2f", v->seconds)
        : times >= 1
            ? cli_format("%.2f, %.3g times faster than the training", v->seconds, times)
            : cli_format("%.2f, %.3g times slower than the training", v->seconds, 1 / times);
    cli_row(stdout, width, LABEL_WIDTH, "seconds", text);
    free(text);
}

static void print_steps(const zo_verified *v, int width)
{
    char steps[CLI_NUMBER], alone[CLI_NUMBER];
    char *text = v->from_losses == v->steps ? cli_format("%s, all from their losses alone",
                                                         cli_count((double)v->steps, steps))
                                            : cli_format("%s, %s of them from their losses alone",
                                                         cli_count((double)v->steps, steps),
                                                         cli_count((double)v->from_losses, alone));
    cli_row(stdout, width, LABEL_WIDTH, "steps", text);
    free(text);
}

static void print(const char *run, const zo_verified *v)
{
    int width = cli_width(stdout);
    char number[CLI_NUMBER];
    const char *what = v->model && v->checkpoint ? "model and checkpoint"
                       : v->model                ? "model"
                                                 : "checkpoint";
    cli_row(stdout, width, LABEL_WIDTH, "run", run);
    print_steps(v, width);
    print_seconds(v, width);
    char *text = cli_format("%s: %s numbers", what, cli_count((double)v->numbers, number));
    cli_row(stdout, width, LABEL_WIDTH, "compared", text);
    cli_row(stdout, width, LABEL_WIDTH, "same bits", v->different ? "no" : "yes");
    free(text);
}

static void print_json(const char *run, const zo_verified *v)
{
    json_t *json = json_object();
    cli_json_text(json, "run", run);
    cli_json_int(json, "steps", v->steps);
    cli_json_int(json, "from_losses", v->from_losses);
    cli_json_real(json, "seconds", v->seconds);
    cli_json_real(json, "seconds_training", v->seconds_training);
    cli_json_real(json, "times_faster", times_faster(v));
    json_object_set_new(json, "model", json_boolean(v->model));
    json_object_set_new(json, "checkpoint", json_boolean(v->checkpoint));
    cli_json_int(json, "numbers", v->numbers);
    cli_json_int(json, "different", v->different);
    json_object_set_new(json, "same", json_boolean(!v->different));
    cli_json_print(stdout, json);
}

/* ---- the work ---- */

/* What a run is cannot be wrong usage. */
static int fault_status(const zo_context *ctx, zo_status status)
{
    int result = cli_status(ctx, status);
    return result == CLI_USAGE ? CLI_FAILED : result;
}

/* Loads what the run learned from: its steps cannot be taken from the journal alone. */
static int verify_with_data(training *t, const cli_run *run, const verify_options *o,
                            zo_verified *out)
{
    int status = training_read(t, run);
    if (o->data) t->plan.o.data = o->data;
    if (!status) status = training_load(t);
    if (status) return status;
    zo_train_def def = zo_train_default_def();
    def.task = t->task;
    def.init = t->init;
    return fault_status(t->ctx, zo_verify(t->ctx, run->path, &def, out));
}

static int verify(training *t, const cli_run *run, const verify_options *o)
{
    zo_verified found;
    char *text = cli_format("verifying %s ...", run->path);
    cli_progress_busy(&t->progress, text);
    free(text);
    zo_status status = zo_verify(t->ctx, run->path, NULL, &found);
    int result =
        status == ZO_USAGE ? verify_with_data(t, run, o, &found) : fault_status(t->ctx, status);
    cli_progress_end(&t->progress);
    if (result) return result;
    if (o->json)
        print_json(run->path, &found);
    else
        print(run->path, &found);
    if (!found.different) return CLI_DONE;
    char different[CLI_NUMBER], numbers[CLI_NUMBER];
    return cli_fail(CLI_FAILED, "%s: %s of %s numbers differ from what its journal gives",
                    run->path, cli_count((double)found.different, different),
                    cli_count((double)found.numbers, numbers));
}

static int verify_in_context(const cli_run *run, const verify_options *o)
{
    training t = {0};
    int status;
    cli_progress_start(&t.progress, o->quiet);
    t.ctx = cli_context(&(cli_limits){o->threads, o->kernels, o->memory}, cli_progress_log,
                        &t.progress, &status);
    if (t.ctx) {
        cli_catch_signals(t.ctx);
        status = verify(&t, run, o);
        cli_release_signals();
    }
    training_free(&t);
    return status;
}

static int run(int argc, char **argv)
{
    verify_options o = {0};
    cli_words words = {.names = "a RUN", .least = 1, .most = 1};
    if (!cli_parse("verify", options, argc, argv, &o, &words)) return CLI_USAGE;
    cli_run r;
    int status = cli_run_read(words.word[0], &r) ? verify_in_context(&r, &o)
                                                 : cli_fail(CLI_FAILED, "%s", r.fault);
    cli_run_free(&r);
    return status;
}

const cli_command cli_verify = {
    .name = "verify",
    .usage = "RUN [OPTION]...",
    .summary = "take the steps of a run again from its journal, and compare the bits",
    .options = options,
    .run = run,
};

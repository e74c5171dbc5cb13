/* zeroth predict: rows of a file through a saved network. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "text.h"

typedef struct predict_options {
    const char *out;
    int threads;
    int64_t memory;
    bool json, probabilities, quiet;
} predict_options;

static const cli_option options[] = {
    {"out", "FILE", CLI_TEXT, offsetof(predict_options, out), 0, 0,
     "write to FILE, which appears whole or not at all"},
    {"probabilities", NULL, CLI_FLAG, offsetof(predict_options, probabilities), 0, 0,
     "CSV with a column for each class"},
    {"json", NULL, CLI_FLAG, offsetof(predict_options, json), 0, 0, "one JSON object"},
    {"threads", "N", CLI_INT, offsetof(predict_options, threads), 1, ZO_THREADS_MAX,
     "1 to 1024 (default: one for each processor)"},
    {"memory", "SIZE", CLI_SIZE, offsetof(predict_options, memory), 0, 0,
     "most memory to hold for rows and network, such as 512M"},
    {"quiet", NULL, CLI_FLAG, offsetof(predict_options, quiet), 0, 0,
     "no warnings and no accuracy on standard error"},
    CLI_OPTION_END,
};

/* p[n] = softmax of y[n]; outputs that are not finite give NaN. */
static void softmax(const float *y, int n, double *p)
{
    double most = y[0], sum = 0;
    for (int i = 1; i < n; i++) most = fmax(most, y[i]);
    for (int i = 0; i < n; i++) sum += p[i] = exp(y[i] - most);
    for (int i = 0; i < n; i++) p[i] /= sum;
}

static void print_field(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"') fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

static void print_probabilities(FILE *f, const zo_predictions *p, double *share)
{
    fputs("prediction", f);
    for (int c = 0; c < p->outputs; c++) {
        fputc(',', f);
        print_field(f, p->class_name[c]);
    }
    fputc('\n', f);
    for (int64_t i = 0; i < p->n; i++) {
        softmax(p->y + i * p->outputs, p->outputs, share);
        print_field(f, p->class_name[p->label[i]]);
        for (int c = 0; c < p->outputs; c++) fprintf(f, ",%.6g", share[c]);
        fputc('\n', f);
    }
}

static void print_plain(FILE *f, const zo_predictions *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        if (p->label) {
            fprintf(f, "%s\n", p->class_name[p->label[i]]);
            continue;
        }
        for (int c = 0; c < p->outputs; c++)
            fprintf(f, "%s%.9g", c ? "," : "", (double)p->y[i * p->outputs + c]);
        fputc('\n', f);
    }
}

/* null for what JSON cannot say. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *row_json(const zo_predictions *p, int64_t i)
{
    const float *y = p->y + i * p->outputs;
    if (p->label) return json_string(p->class_name[p->label[i]]);
    if (p->outputs == 1) return number((double)y[0]);
    json_t *row = json_array();
    for (int c = 0; c < p->outputs; c++) json_array_append_new(row, number((double)y[c]));
    return row;
}

static void add_probabilities(json_t *json, const zo_predictions *p, double *share)
{
    json_t *rows = json_array(), *names = json_array();
    for (int c = 0; c < p->outputs; c++)
        json_array_append_new(names, json_string(p->class_name[c]));
    for (int64_t i = 0; i < p->n; i++) {
        json_t *row = json_array();
        softmax(p->y + i * p->outputs, p->outputs, share);
        for (int c = 0; c < p->outputs; c++) json_array_append_new(row, number(share[c]));
        json_array_append_new(rows, row);
    }
    json_object_set_new(json, "classes", names);
    json_object_set_new(json, "probabilities", rows);
}

static bool print_json(FILE *f, const cli_words *words, const zo_predictions *p, double *share)
{
    json_t *json = json_object(), *rows = json_array();
    cli_json_text(json, "run", words->word[0]);
    cli_json_text(json, "input", words->word[1]);
    cli_json_int(json, "n", p->n);
    cli_json_real(json, "accuracy", p->accuracy);
    for (int64_t i = 0; i < p->n; i++) json_array_append_new(rows, row_json(p, i));
    json_object_set_new(json, "predictions", rows);
    if (share) add_probabilities(json, p, share);
    return cli_json_print(f, json);
}

static int write_rows(const predict_options *o, const cli_words *words, const zo_predictions *p)
{
    cli_output out;
    if (o->probabilities && !p->class_name) {
        return cli_fail(CLI_USAGE, "--probabilities: %s predicts numbers, not classes",
                        words->word[0]);
    }
    if (!cli_output_open(&out, o->out)) return CLI_FAILED;
    double *share = o->probabilities ? cli_alloc((size_t)p->outputs * sizeof *share) : NULL;
    bool ok = true;
    if (o->json)
        ok = print_json(out.file, words, p, share);
    else if (share)
        print_probabilities(out.file, p, share);
    else
        print_plain(out.file, p);
    free(share);
    if (!ok) cli_fail(CLI_FAILED, "out of memory");
    return cli_output_close(&out, ok) && ok ? CLI_DONE : CLI_FAILED;
}

static int predict(zo_context *ctx, const predict_options *o, const cli_words *words)
{
    zo_predictions *p = NULL;
    zo_status status = zo_predict(ctx, words->word[0], words->word[1], &p);
    if (!status && zo_cancelled(ctx)) status = ZO_CANCELLED;
    int result = status ? cli_status(ctx, status) : write_rows(o, words, p);
    if (!result && !o->quiet && isfinite(p->accuracy)) {
        char share[CLI_NUMBER], rows[CLI_NUMBER];
        fflush(stdout);
        fprintf(stderr, "accuracy %s on %s rows\n", cli_percent(p->accuracy, share),
                cli_count((double)p->n, rows));
    }
    zo_predictions_destroy(ctx, p);
    return result;
}

/* For zo_context_def.log; `user` is the predict_options. */
static void warn(void *user, zo_log_level level, const char *text)
{
    const predict_options *o = user;
    if (level == ZO_LOG_WARNING && !o->quiet) cli_warn(text);
}

static int run(int argc, char **argv)
{
    predict_options o = {0};
    cli_words words = {.names = "a RUN and an INPUT file", .least = 2, .most = 2};
    int status = CLI_USAGE;
    if (!cli_parse("predict", options, argc, argv, &o, &words)) return CLI_USAGE;
    zo_context *ctx =
        cli_context(&(cli_limits){.threads = o.threads, .memory = o.memory}, warn, &o, &status);
    if (!ctx) return status;
    cli_catch_signals(ctx);
    status = predict(ctx, &o, &words);
    cli_release_signals();
    zo_context_destroy(ctx);
    return status;
}

const cli_command cli_predict = {
    .name = "predict",
    .usage = "RUN|MODEL INPUT [OPTION]...",
    .summary = "run a trained network on the rows of a file",
    .options = options,
    .run = run,
};

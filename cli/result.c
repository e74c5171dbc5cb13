#include "result.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "text.h"

enum { LABEL_WIDTH = 19 };

static const char *uses_gradients(zo_uses uses)
{
    switch (uses) {
    case ZO_USES_NOTHING:
    case ZO_USES_LOSS: return "no";
    case ZO_USES_LOSS_DERIVATIVE: return "no (but the loss derivative at the output)";
    case ZO_USES_STRAIGHT_THROUGH: return "yes (straight-through)";
    case ZO_USES_GRADIENTS: return "yes";
    }
    return "?";
}

/* What --method takes to do the same again. */
static char *method_of(const zo_train_result *r)
{
    if (!*r->estimator) return cli_strdup(r->trainer);
    return cli_format("%s%s%s", r->estimator, *r->rule ? ":" : "", r->rule);
}

typedef struct table {
    FILE *f;
    int width;
} table;

static void row(const table *t, const char *label, const char *value)
{
    cli_row(t->f, t->width, LABEL_WIDTH, label, value);
}

static void percent_row(const table *t, const char *label, double share)
{
    char number[CLI_NUMBER];
    row(t, label, cli_percent(share, number));
}

static void loss_row(const table *t, const char *label, double loss)
{
    char number[CLI_NUMBER];
    if (isfinite(loss)) row(t, label, cli_plain(loss, number));
}

/* The figure people look for first: of the test part if there is one. */
static void score_rows(const table *t, const zo_train_result *r)
{
    if (isfinite(r->test_accuracy)) {
        percent_row(t, "test accuracy", r->test_accuracy);
    } else if (isfinite(r->test_loss)) {
        loss_row(t, "test loss", r->test_loss);
    } else if (isfinite(r->validation_accuracy)) {
        percent_row(t, "validation accuracy", r->validation_accuracy);
    } else {
        loss_row(t, "validation loss", r->validation_loss);
    }
    loss_row(t, "train loss", r->train_loss);
}

static void seconds_rows(const table *t, const zo_train_result *r)
{
    char text[80];
    snprintf(text, sizeof text, "%.1f (training %.1f)", r->seconds, r->seconds_training);
    row(t, "seconds", text);
    if (!isfinite(r->seconds_target)) return;
    snprintf(text, sizeof text, "reached after %.1f s of training", r->seconds_target);
    row(t, "target", text);
}

static void stopped_rows(const table *t, const char *run)
{
    char *word = cli_quote(run), *command = cli_format("zeroth resume %s", word);
    row(t, "ended", "stopped by the user");
    row(t, "go on", command);
    free(word);
    free(command);
}

void cli_result_print(FILE *f, int width, const zo_train_result *r, const cli_run_facts *facts)
{
    table t = {f, width};
    char number[CLI_NUMBER], times[CLI_NUMBER];
    snprintf(times, sizeof times, "%" PRId64 " times", r->resumed);
    char *method = method_of(r), *both = cli_format("%s/%s", r->trainer, method);
    row(&t, "task", facts->task);
    row(&t, "method", *r->estimator ? both : r->trainer);
    row(&t, "net", facts->net);
    row(&t, "parameters", cli_count((double)r->parameters, number));
    score_rows(&t, r);
    seconds_rows(&t, r);
    row(&t, "forward-equivalents", cli_unit(r->forwards, number));
    row(&t, "uses gradients", uses_gradients(r->uses));
    if (r->memory > 0) row(&t, "memory", cli_bytes((double)r->memory, number));
    if (r->resumed) row(&t, "resumed", r->resumed == 1 ? "once" : times);
    if (r->rolled_back) row(&t, "rolled back", "once, on with half the step size");
    if (r->dropped) row(&t, "dropped pairs", cli_count((double)r->dropped, number));
    row(&t, "run", facts->run);
    if (facts->stopped) stopped_rows(&t, facts->run);
    free(method);
    free(both);
}

static void add_scores(json_t *json, const zo_train_result *r)
{
    cli_json_real(json, "train_loss", r->train_loss);
    cli_json_real(json, "validation_loss", r->validation_loss);
    cli_json_real(json, "validation_accuracy", r->validation_accuracy);
    cli_json_real(json, "test_loss", r->test_loss);
    cli_json_real(json, "test_accuracy", r->test_accuracy);
}

static void add_costs(json_t *json, const zo_train_result *r)
{
    cli_json_real(json, "seconds", r->seconds);
    cli_json_real(json, "seconds_training", r->seconds_training);
    cli_json_real(json, "seconds_target", r->seconds_target);
    cli_json_real(json, "cost", r->cost);
    cli_json_real(json, "forwards", r->forwards);
    cli_json_real(json, "epochs", r->epochs);
    cli_json_int(json, "steps", r->steps);
    cli_json_int(json, "dropped", r->dropped);
    cli_json_int(json, "rolled_back", r->rolled_back);
    if (r->resumed) cli_json_int(json, "resumed", r->resumed);
    if (r->memory > 0) cli_json_int(json, "memory", r->memory);
}

json_t *cli_result_json(const zo_train_result *r, const cli_run_facts *facts)
{
    json_t *json = json_object();
    char *method = method_of(r), seed[32];
    bool gradients = r->uses == ZO_USES_GRADIENTS || r->uses == ZO_USES_STRAIGHT_THROUGH;
    snprintf(seed, sizeof seed, "%" PRIu64, facts->seed);
    cli_json_text(json, "task", facts->task);
    cli_json_text(json, "method", method);
    cli_json_text(json, "trainer", r->trainer);
    if (*r->estimator) cli_json_text(json, "estimator", r->estimator);
    if (*r->rule) cli_json_text(json, "rule", r->rule);
    cli_json_text(json, "net", facts->net);
    cli_json_int(json, "parameters", r->parameters);
    cli_json_text(json, "seed", seed);
    add_costs(json, r);
    add_scores(json, r);
    cli_json_text(json, "uses", zo_uses_text(r->uses));
    json_object_set_new(json, "uses_gradients", json_boolean(gradients));
    cli_json_text(json, "kernels", facts->kernels);
    cli_json_int(json, "threads", facts->threads);
    json_object_set_new(json, "stopped", json_boolean(facts->stopped));
    if (facts->run) cli_json_text(json, "run", facts->run);
    free(method);
    return json;
}

/* ---- from the record of a run ---- */

static double real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static int64_t whole(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static zo_uses uses_of(const char *name)
{
    for (int i = ZO_USES_NOTHING; i <= ZO_USES_GRADIENTS; i++) {
        if (!strcmp(zo_uses_text((zo_uses)i), name)) return (zo_uses)i;
    }
    return ZO_USES_NOTHING;
}

void cli_result_read(const cli_run *run, zo_train_result *result, cli_run_facts *facts)
{
    const json_t *last = run->last, *record = json_object_get(run->config, "record");
    *result = (zo_train_result){
        .seconds = real(last, "seconds"),
        .seconds_training = real(last, "seconds_training"),
        .seconds_target = real(last, "seconds_target"),
        .cost = real(last, "cost"),
        .forwards = real(last, "forwards"),
        .epochs = real(last, "epochs"),
        .steps = whole(last, "steps"),
        .dropped = whole(last, "dropped"),
        .rolled_back = whole(last, "rolled_back"),
        .resumed = run->resumed,
        .memory = whole(last, "memory"),
        .train_loss = real(last, "train_loss"),
        .validation_loss = real(last, "validation_loss"),
        .validation_accuracy = real(last, "validation_accuracy"),
        .test_loss = real(last, "test_loss"),
        .test_accuracy = real(last, "test_accuracy"),
        .parameters = whole(last, "parameters"),
        .uses = uses_of(text(last, "uses")),
    };
    snprintf(result->trainer, sizeof result->trainer, "%s", text(last, "method"));
    snprintf(result->estimator, sizeof result->estimator, "%s", text(last, "estimator"));
    snprintf(result->rule, sizeof result->rule, "%s", text(last, "rule"));
    *facts = (cli_run_facts){
        .task = text(run->config, "task"),
        .net = text(last, "net"),
        .seed = strtoull(text(run->config, "seed"), NULL, 10),
        .kernels = text(record, "kernels"),
        .threads = (int)whole(record, "threads"),
        .run = run->path,
    };
}

/* What the tests of runs share: runs in a folder of their own, and the files they leave. */
#ifndef ZO_TESTS_RUN_SUPPORT_H
#define ZO_TESTS_RUN_SUPPORT_H

#include <jansson.h>

#include "training_support.h"

static zo_context *ctx;
static char *folder;

static inline int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    folder = make_folder();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

enum { PATH_ROOM = 300 };

/* path = folder/name, in the caller's own room: the name of a run lives as long as its test. */
static inline const char *place(char path[PATH_ROOM], const char *in, const char *name)
{
    assert_true(snprintf(path, PATH_ROOM, "%s/%s", in, name) < PATH_ROOM);
    return path;
}

/* What a test's report callback keeps. */
typedef struct diary {
    int reports;
    zo_report first, last;
    bool in_order;       /* progress, steps and seconds never go back */
    int64_t cancel_from; /* -1: never; else zo_cancel() at the first report of this step or a later one */
} diary;

static inline void note(void *user, const zo_report *r)
{
    diary *d = user;
    if (!d->reports) d->first = *r;
    d->in_order = (!d->reports || d->in_order) && r->progress >= d->last.progress &&
                  r->step >= d->last.step && r->seconds >= d->last.seconds && r->progress <= 1 &&
                  r->forwards >= d->last.forwards;
    d->last = *r;
    d->reports++;
    if (d->cancel_from >= 0 && r->step >= d->cancel_from) zo_cancel(ctx);
}

/* A definition with small steps, so that a run has many of them. */
static inline zo_train_def small_run(const zo_task *task, const char *out, diary *d)
{
    static const char *const settings[] = {"batch=20", NULL};
    zo_train_def def = zo_train_default_def();
    if (d) *d = (diary){.cancel_from = -1};
    def.task = task;
    def.net = task->classes == 2 ? "dense12 tanh dense2" : NULL;
    def.settings = settings;
    def.seed = 18446744073709551615u;
    def.epochs = 5;
    def.out = out;
    def.report = d ? note : NULL;
    def.report_user = d;
    return def;
}

static inline zo_train_result run(const zo_train_def *def, zo_status want)
{
    zo_train_result result;
    zo_status status = zo_train(ctx, def, &result, NULL);
    if (status != want) fail_msg("%s: %s", zo_status_name(status), zo_last_error(ctx));
    return result;
}

/* The lines of metrics.jsonl, each one object; the last is the result. */
static inline int read_metrics(const char *out, json_t **lines, int most)
{
    size_t size;
    int n = 0;
    char path[PATH_ROOM], *text = get_file(place(path, out, "metrics.jsonl"), &size);
    assert_true(size > 0 && text[size - 1] == '\n');
    for (char *at = text, *end; *at && n < most; at = end + 1) {
        end = strchr(at, '\n');
        lines[n] = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(lines[n]));
        assert_int_equal(json_integer_value(json_object_get(lines[n], "schema")), 1);
        n++;
    }
    free(text);
    assert_true(n > 1 && n < most);
    return n;
}

static inline void free_lines(json_t **lines, int n)
{
    for (int i = 0; i < n; i++) json_decref(lines[i]);
}

static inline const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text) fail_msg("no text \"%s\"", key);
    return text;
}

/* A number, or NaN for null; the key must be there. */
static inline double number_of(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!v) fail_msg("no number \"%s\"", key);
    assert_true(json_is_number(v) || json_is_null(v));
    return json_is_null(v) ? NAN : json_number_value(v);
}

static inline zo_net *load_model(const char *out)
{
    zo_net *net;
    char path[PATH_ROOM];
    assert_int_equal(zo_net_load(ctx, place(path, out, "model.safetensors"), &net), ZO_OK);
    return net;
}

/* The network's outputs for a part's examples, by the public forward pass, in the units of training. malloc'ed. */
static inline float *outputs_of(zo_net *net, const zo_task *task, zo_part which)
{
    const zo_examples *part = task->part + which;
    size_t inputs = (size_t)task->inputs, outputs = (size_t)task->outputs;
    float *x = floats((size_t)part->n * inputs), *y = floats((size_t)part->n * outputs);
    for (int64_t i = 0; i < part->n; i++)
        memcpy(x + (size_t)i * inputs, part->x + i * task->stride, inputs * sizeof *x);
    assert_int_equal(zo_net_set_input(net, NULL, NULL), ZO_OK); /* these features are scaled */
    assert_int_equal(zo_net_set_output(net, NULL, NULL), ZO_OK);
    assert_int_equal(zo_net_forward(net, part->n, x, y), ZO_OK);
    free(x);
    return y;
}

/* Share of a part's examples whose largest output is the right one. */
static inline double accuracy_of(zo_net *net, const zo_task *task, zo_part which)
{
    const zo_examples *part = task->part + which;
    size_t outputs = (size_t)task->outputs;
    float *y = outputs_of(net, task, which);
    int64_t right = 0;
    for (int64_t i = 0; i < part->n; i++) {
        const float *row = y + (size_t)i * outputs;
        size_t best = 0;
        for (size_t j = 1; j < outputs; j++) best = row[j] > row[best] ? j : best;
        right += (int32_t)best == part->label[i];
    }
    free(y);
    return (double)right / (double)part->n;
}
#endif

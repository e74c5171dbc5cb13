/* zeroth train: a network learns a task. */
#include "train.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "classes.h"
#include "cli.h"
#include "output.h"
#include "progress.h"
#include "result.h"
#include "text.h"

typedef struct training {
    train_plan plan;
    cli_progress progress;
    zo_context *ctx;
    zo_task *task;
    zo_net *init; /* NULL unless --init */
    char *out;
    zo_train_result result;
} training;

static void say_task(training *t, const zo_task_info *info)
{
    char train[CLI_NUMBER], valid[CLI_NUMBER], test[CLI_NUMBER];
    char *kind = info->classes ? cli_format("%d classes", info->classes)
                               : cli_format("%d number(s) to predict", info->outputs);
    char *text = cli_format("%s: %s training, %s validation, %s test examples; %d inputs, %s",
                            info->name, cli_count((double)info->n_train, train),
                            cli_count((double)info->n_validation, valid),
                            cli_count((double)info->n_test, test), info->inputs, kind);
    cli_progress_say(&t->progress, text);
    free(text);
    free(kind);
}

static void say_method(training *t)
{
    char *method = train_plan_method(&t->plan);
    int threads = zo_context_threads(t->ctx);
    char *text = cli_format("%s; %s kernels, %d thread%s; %s", method, zo_context_kernels(t->ctx),
                            threads, threads == 1 ? "" : "s", t->out);
    cli_progress_say(&t->progress, text);
    free(text);
    free(method);
}

static void say_net(training *t, const zo_net *net)
{
    char number[CLI_NUMBER];
    char *text = cli_format("%s: %s parameters", zo_net_spec(net),
                            cli_count((double)zo_net_parameters(net), number));
    cli_progress_say(&t->progress, text);
    free(text);
}

/* Says what is about to happen. Making the network once here finds a spec that does not fit before a
 * folder is made. */
static zo_status announce(training *t)
{
    zo_task_info info = zo_task_describe(t->task);
    zo_net *net = NULL;
    zo_status status = ZO_OK;
    if (!t->init) {
        zo_net_def def = zo_net_default_def();
        def.spec = t->plan.o.net ? t->plan.o.net : info.net;
        def.inputs = info.inputs;
        def.outputs = info.outputs;
        status = zo_net_create(t->ctx, &def, &net);
    }
    if (!status) {
        say_task(t, &info);
        say_net(t, t->init ? t->init : net);
        say_method(t);
    }
    zo_net_destroy(net);
    return status;
}

static zo_status load(training *t)
{
    zo_task_def def = zo_task_default_def();
    def.name = t->plan.task;
    def.data = cli_data_folder(t->plan.o.data);
    def.seed = t->plan.o.seed;
    def.settings = (const char *const *)t->plan.task_settings.items;
    char *text = cli_format("loading %s ...", t->plan.task);
    cli_progress_busy(&t->progress, text);
    free(text);
    zo_status status = zo_task_create(t->ctx, &def, &t->task);
    if (!status && t->plan.o.init) {
        char *path = cli_model_path(t->plan.o.init);
        status = zo_net_load(t->ctx, path, &t->init);
        free(path);
    }
    if (!status && zo_cancelled(t->ctx)) status = ZO_CANCELLED;
    return status;
}

static zo_status learn(training *t)
{
    const train_options *o = &t->plan.o;
    zo_train_def def = zo_train_default_def();
    def.task = t->task;
    def.init = t->init;
    def.init_path = t->plan.o.init;
    def.net = o->net;
    def.method = o->method;
    def.settings = (const char *const *)t->plan.settings.items;
    def.seed = o->seed;
    def.seconds = o->seconds;
    def.epochs = o->epochs;
    def.forwards = o->forwards;
    def.target = o->target;
    def.out = t->out;
    def.report = cli_progress_report;
    def.report_user = &t->progress;
    def.seconds_before = cli_seconds();
    return zo_train(t->ctx, &def, &t->result, NULL);
}

/* Two commands may choose the same free number; the library lets only one of them have it. */
static zo_status learn_in_own_folder(training *t)
{
    enum { TRIES = 100 };
    if (t->plan.o.out) return learn(t);
    bool parent_is_new = access("runs", F_OK) != 0;
    zo_status status = ZO_EXISTS;
    for (int i = 0; i < TRIES && status == ZO_EXISTS; i++) {
        if (i) {
            free(t->out);
            t->out = train_plan_folder(&t->plan);
        }
        status = learn(t);
    }
    if (status && status != ZO_CANCELLED && parent_is_new) rmdir("runs"); /* if nothing is in it */
    return status;
}

static void show_result(training *t, bool stopped)
{
    zo_task_info info = zo_task_describe(t->task);
    cli_run_facts facts = {
        info.name, t->plan.o.seed, zo_context_kernels(t->ctx), zo_context_threads(t->ctx),
        t->out,    stopped};
    if (t->plan.o.json)
        cli_json_print(stdout, cli_result_json(&t->result, &facts));
    else
        cli_result_print(stdout, cli_width(stdout), &t->result, &facts);
}

static int finish(training *t, zo_status status)
{
    bool stopped = status == ZO_CANCELLED;
    bool done = *t->result.trainer != 0;
    cli_progress_end(&t->progress);
    if (stopped && !done) return cli_fail(CLI_STOPPED, "stopped before training began");
    if (status && !stopped) return cli_status(t->ctx, status);
    show_result(t, stopped);
    return stopped ? CLI_STOPPED : CLI_DONE;
}

static int train_in_context(training *t)
{
    zo_status status = load(t);
    if (!status) {
        t->out = t->plan.o.out ? cli_strdup(t->plan.o.out) : train_plan_folder(&t->plan);
        status = announce(t);
    }
    if (!status) status = learn_in_own_folder(t);
    int result = finish(t, status);
    zo_net_destroy(t->init);
    zo_task_destroy(t->task);
    free(t->out);
    return result;
}

static int run(int argc, char **argv)
{
    training t = {0};
    int status = train_plan_make(argc, argv, &t.plan);
    if (!status) {
        cli_progress_start(&t.progress, t.plan.o.quiet);
        const train_options *o = &t.plan.o;
        t.ctx = cli_context(o->threads, o->kernels, cli_progress_log, &t.progress, &status);
    }
    if (t.ctx) {
        cli_catch_signals(t.ctx);
        status = train_in_context(&t);
        cli_release_signals();
        zo_context_destroy(t.ctx);
    }
    train_plan_free(&t.plan);
    return status;
}

static void more(FILE *f, int width)
{
    static const char *const kinds[] = {"trainers", "estimators", "rules", "schedules",
                                        "losses",   "tasks",      NULL};
    for (int k = 0; kinds[k]; k++) {
        const zo_class_info *c;
        for (int i = 0; (c = zo_class_at(kinds[k], i)); i++) {
            if (!c->params || !c->params->name) continue;
            fprintf(f, "\nsettings of %s (%s):\n", c->name, kinds[k]);
            cli_params_print(f, width, c);
        }
    }
}

const cli_command cli_train = {
    .name = "train",
    .usage = "TASK [OPTION]...",
    .summary = "train a network on a data set or a table",
    .options = train_option_table,
    .more = more,
    .run = run,
};

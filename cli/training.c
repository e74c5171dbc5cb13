/* What train and resume have in common. */
#include "training.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "text.h"

/* Prints the error of `status`, and gives the exit status. */
static int fail(const training *t, zo_status status)
{
    if (status != ZO_USAGE) return cli_status(t->ctx, status);
    char *text = train_plan_respell(&t->plan, zo_last_error(t->ctx));
    cli_fail(CLI_USAGE, "%s", text);
    free(text);
    return CLI_USAGE;
}

/* ---- before the run ---- */

int training_read(training *t, const cli_run *run)
{
    const json_t *record = json_object_get(run->config, "record");
    const char *path = json_string_value(json_object_get(record, "path"));
    const char *net = json_string_value(json_object_get(record, "net"));
    const char *data = json_string_value(json_object_get(record, "data"));
    int status = train_plan_read(run->path, &t->plan);
    if (status) return status;
    /* Both are named as they were from the folder where the run was started. */
    if (path && access(t->plan.task, F_OK) != 0) t->plan.task = path;
    if (data && t->plan.o.data && access(t->plan.o.data, F_OK) != 0) t->plan.o.data = data;
    t->plan.o.out = run->path;
    t->net = net;
    return CLI_DONE;
}

/* Finds the data set, if the task is one. Gives the exit status after printing what is wrong. */
static int find_data(training *t)
{
    char *fault;
    zo_status status = cli_find_data(t->ctx, t->plan.task, t->plan.o.data, &t->place, &fault);
    if (fault) cli_fail(CLI_FAILED, "%s", fault);
    free(fault);
    return cli_exit_status(status);
}

static zo_status load_task(training *t)
{
    zo_task_def def = zo_task_default_def();
    def.name = t->plan.task;
    def.data = t->place.data;
    def.seed = t->plan.o.seed;
    def.settings = (const char *const *)t->plan.task_settings.items;
    char *text = cli_format("loading %s ...", t->plan.task);
    cli_progress_busy(&t->progress, text);
    free(text);
    return zo_task_create(t->ctx, &def, &t->task);
}

/* Whether the run holds a saved state, so that its first network is needed no more. */
static bool has_state(const char *run)
{
    char *now = cli_format("%s/checkpoint", run), *before = cli_format("%s.previous", now);
    bool there = access(now, F_OK) == 0 || access(before, F_OK) == 0;
    free(now);
    free(before);
    return there;
}

int training_load(training *t)
{
    int result = find_data(t);
    if (result) return result;
    zo_status status = load_task(t);
    bool needed = t->plan.o.init && !(t->resume && t->net && has_state(t->plan.o.out));
    if (!status && needed) status = zo_model_load(t->ctx, t->plan.o.init, &t->init);
    if (!status && zo_cancelled(t->ctx)) status = ZO_CANCELLED;
    if (status == ZO_CANCELLED) return cli_fail(CLI_STOPPED, "stopped before training began");
    return fail(t, status);
}

/* The value of a trainer's resolved setting, to be freed, or NULL. */
static char *setting_of(const zo_trainer *trainer, const char *key)
{
    const char *line;
    for (int i = 0; (line = zo_trainer_setting(trainer, i)); i++) {
        if (cli_key_is(line, key)) return cli_strdup(strchr(line, '=') + 1);
    }
    return NULL;
}

/* Notes the names of what the run will use. */
static void describe(training *t, const zo_net *net, const zo_trainer *trainer)
{
    char number[CLI_NUMBER];
    char *estimator = setting_of(trainer, "estimator"), *rule = setting_of(trainer, "rule");
    t->method = estimator && rule ? train_plan_method(&t->plan, estimator, rule)
                                  : cli_strdup(t->plan.o.method ? t->plan.o.method : "default");
    t->net_text = cli_format("%s: %s parameters", zo_net_spec(net),
                             cli_count((double)zo_net_parameters(net), number));
    t->out = t->plan.o.out ? cli_strdup(t->plan.o.out) : train_plan_folder(&t->plan, t->method);
    free(estimator);
    free(rule);
}

/* The net spec to train; NULL: the task's own. */
static const char *spec_of(const training *t)
{
    return t->plan.o.init && !t->init ? t->net : t->plan.o.net;
}

/* Making net and trainer once here finds what does not fit before a folder is named. */
static zo_status rehearse(training *t)
{
    zo_task_info info = zo_task_describe(t->task);
    zo_net_def of_net = zo_net_default_def();
    zo_trainer_def def = zo_trainer_default_def();
    zo_net *net = NULL;
    zo_trainer *trainer = NULL;
    char spec[ZO_METHOD_NET_MAX];
    zo_status status = ZO_OK;
    if (!t->init && !spec_of(t))
        status = zo_method_net(t->ctx, t->plan.o.method, t->task,
                               (const char *const *)t->plan.settings.items, spec, sizeof spec);
    if (status) return status;
    of_net.spec = spec_of(t) ? spec_of(t) : spec;
    of_net.inputs = info.inputs;
    of_net.height = info.height;
    of_net.width = info.width;
    of_net.channels = info.channels;
    of_net.outputs = info.outputs;
    of_net.init = "zero"; /* it is never run */
    if (!t->init) status = zo_net_create(t->ctx, &of_net, &net);
    def.method = t->plan.o.method;
    def.task = t->task;
    def.net = t->init ? t->init : net;
    def.seed = t->plan.o.seed;
    def.settings = (const char *const *)t->plan.settings.items;
    if (!status) status = zo_trainer_create(t->ctx, &def, &trainer);
    if (!status) describe(t, def.net, trainer);
    zo_trainer_destroy(trainer);
    zo_net_destroy(net);
    return status;
}

/* ---- the run ---- */

static void say_task(training *t)
{
    zo_task_info info = zo_task_describe(t->task);
    char train[CLI_NUMBER], valid[CLI_NUMBER], test[CLI_NUMBER];
    char *kind = info.classes ? cli_format("%d classes", info.classes)
                              : cli_format("%d number(s) to predict", info.outputs);
    char *text = cli_format("%s: %s training, %s validation, %s test examples; %d inputs, %s",
                            info.name, cli_count((double)info.n_train, train),
                            cli_count((double)info.n_validation, valid),
                            cli_count((double)info.n_test, test), info.inputs, kind);
    cli_progress_say(&t->progress, text);
    free(text);
    free(kind);
}

static void say_method(training *t)
{
    int threads = zo_context_threads(t->ctx);
    char *text = cli_format("%s; %s kernels, %d thread%s; %s", t->method,
                            zo_context_kernels(t->ctx), threads, threads == 1 ? "" : "s", t->out);
    cli_progress_say(&t->progress, text);
    free(text);
}

/* Reports begin where the run begins to be taken up again, which may be steps before it ended. */
static void say_step(training *t, int64_t step)
{
    char number[CLI_NUMBER];
    char *text = step ? cli_format("going on from the state saved after step %s",
                                   cli_count((double)step, number))
                      : cli_strdup("no state was saved: the steps are taken again from the first");
    cli_progress_say(&t->progress, text);
    free(text);
}

/* For zo_train_def.report; `user` is the training. With the first report it is certain that the run
 * goes ahead, and in which folder: what is refused leaves one line, not a banner. */
static void report(void *user, const zo_report *r)
{
    training *t = user;
    if (!t->announced) {
        say_task(t);
        cli_progress_say(&t->progress, t->net_text);
        say_method(t);
        if (t->resume) say_step(t, r->step);
    }
    t->announced = true;
    cli_progress_report(&t->progress, r);
}

static zo_status learn(training *t)
{
    const train_options *o = &t->plan.o;
    zo_train_def def = zo_train_default_def();
    def.task = t->task;
    def.init = t->init;
    def.init_path = o->init;
    def.net = spec_of(t);
    def.method = o->method;
    def.settings = (const char *const *)t->plan.settings.items;
    def.seed = o->seed;
    def.seconds = o->seconds;
    def.epochs = o->epochs;
    def.forwards = o->forwards;
    def.target = o->target;
    def.out = t->out;
    def.resume = t->resume;
    def.force = t->force;
    def.checkpoint = o->checkpoint;
    def.measure = o->measure;
    def.report = report;
    def.report_user = t;
    def.seconds_before = cli_seconds();
    return zo_train(t->ctx, &def, &t->result, &t->network);
}

/* Where all saved states are damaged, the first network and the journal still lead to where the run was. */
static zo_status learn_again(training *t)
{
    zo_status status = learn(t);
    bool left_out = t->plan.o.init && !t->init;
    if (status != ZO_FORMAT || !left_out || t->network) return status;
    zo_model_load(t->ctx, t->plan.o.init, &t->init);
    return learn(t); /* without it the fault is the same again */
}

/* Two commands may choose the same free number; the library lets only one of them have it. */
static zo_status learn_in_own_folder(training *t)
{
    enum { TRIES = 100 };
    if (t->resume) return learn_again(t);
    if (t->plan.o.out) return learn(t);
    bool parent_is_new = access("runs", F_OK) != 0;
    zo_status status = ZO_EXISTS;
    for (int i = 0; i < TRIES && (status == ZO_EXISTS || status == ZO_BUSY); i++) {
        if (i) {
            free(t->out);
            t->out = train_plan_folder(&t->plan, t->method);
        }
        status = learn(t);
    }
    if (status && status != ZO_CANCELLED && parent_is_new) rmdir("runs"); /* if nothing is in it */
    return status;
}

/* ---- after the run ---- */

static void show_result(training *t, bool stopped)
{
    cli_run_facts facts = {
        .task = zo_task_describe(t->task).name,
        .net = zo_net_spec(t->network),
        .seed = t->plan.o.seed,
        .kernels = zo_context_kernels(t->ctx),
        .threads = zo_context_threads(t->ctx),
        .run = t->out,
        .stopped = stopped,
    };
    if (t->plan.o.json)
        cli_json_print(stdout, cli_result_json(&t->result, &facts));
    else
        cli_result_print(stdout, cli_width(stdout), &t->result, &facts);
}

/* A result that could not be written is shown all the same: it is all that is left of the run. */
static int finish(training *t, zo_status status)
{
    bool stopped = status == ZO_CANCELLED;
    cli_progress_end(&t->progress);
    if (stopped && !t->network)
        return cli_fail(CLI_STOPPED,
                        t->resume ? "stopped before the run was where it had been: nothing is lost"
                                  : "stopped before training began");
    if (t->network && status != ZO_DIVERGED) show_result(t, stopped);
    return fail(t, status);
}

static int train_in_context(training *t)
{
    int result = training_load(t);
    if (result) return result;
    zo_status status = rehearse(t);
    if (!status) status = learn_in_own_folder(t);
    return finish(t, status);
}

int training_run(training *t)
{
    const train_options *o = &t->plan.o;
    int status;
    cli_progress_start(&t->progress, o->quiet);
    t->ctx = cli_context(&(cli_limits){o->threads, o->kernels, o->memory}, cli_progress_log,
                         &t->progress, &status);
    if (t->ctx) {
        cli_catch_signals(t->ctx);
        status = train_in_context(t);
        cli_release_signals();
    }
    training_free(t);
    return status;
}

void training_free(training *t)
{
    zo_net_destroy(t->network);
    zo_net_destroy(t->init);
    zo_task_destroy(t->task);
    free(t->method);
    free(t->net_text);
    free(t->out);
    zo_context_destroy(t->ctx);
    train_plan_free(&t->plan);
}

/* The loop that drives a trainer: time becomes progress here and nowhere else. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "run/assess.h"
#include "run/record.h"

#define ASSESS_COST                                                                                \
    30 /* training between two looks at the validation part, in passes over it: 3 % of the time */
#define ASSESS_STEPS 10 /* and at least so many steps, */
#define ASSESS_SHARE                                                                               \
    100 /* and at least this fraction of what was done so far, so that reports stay few */
#define REPORT_SECONDS 0.1

typedef struct run {
    zo_context *ctx;
    const zo_train_def *def;
    zo_trainer *trainer;
    zo_net *kept; /* best on validation so far */
    zo_assessor assessor;
    zo_record record;
    zo_train_result *result;
    double started, training; /* clock at the start of the call, and of the first step */
    double best, best_loss;   /* validation accuracy and loss of `kept` */
    bool any, sound;          /* something is kept; the last validation loss was finite */
    zo_report report;
    double cost, examples;
    double assessed_cost; /* when the validation part was last looked at */
    int64_t assessed_step;
    double loss_sum, interval_start, interval_cost, reported; /* since the last assessment */
    int64_t loss_steps;
    bool at_target, finished;
} run;

zo_train_def zo_train_default_def(void) { return (zo_train_def){0}; }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static zo_status check(const zo_context *ctx, const zo_train_def *def)
{
    if (!def || !def->task) return zo_fail(ctx, ZO_USAGE, "a run needs a task");
    const struct {
        const char *name;
        double value;
    } budget[] = {{"seconds", def->seconds}, {"epochs", def->epochs}, {"forwards", def->forwards}};
    for (int i = 0; i < 3; i++) {
        if (!isfinite(budget[i].value) || budget[i].value < 0)
            return zo_fail(ctx, ZO_USAGE, "%s must be a positive number", budget[i].name);
    }
    if (!(def->target >= 0 && def->target <= 1))
        return zo_fail(ctx, ZO_USAGE, "target is a validation accuracy above 0, at most 1");
    if (def->target > 0 && !def->task->classes) {
        return zo_fail(ctx, ZO_USAGE, "target is an accuracy, and the task \"%s\" predicts numbers",
                       def->task->name);
    }
    return ZO_OK;
}

static zo_status make_trainer(run *r)
{
    const zo_train_def *def = r->def;
    const zo_task *task = def->task;
    zo_net *net = NULL;
    zo_status status = ZO_OK;
    if (!def->init) {
        zo_net_def n = zo_net_default_def();
        n.spec = def->net ? def->net : task->net;
        n.inputs = task->inputs;
        n.outputs = task->outputs;
        n.seed = def->seed;
        status = zo_net_create(r->ctx, &n, &net);
    }
    zo_trainer_def t = zo_trainer_default_def();
    t.method = def->method;
    t.task = task;
    t.net = def->init ? def->init : net;
    t.seed = def->seed;
    t.settings = def->settings;
    t.loss = def->loss;
    t.loss_user = def->loss_user;
    t.loss_jumps = def->loss_jumps;
    if (!status) status = zo_trainer_create(r->ctx, &t, &r->trainer);
    zo_net_destroy(net);
    return status;
}

/* Share of the budget spent, before the next step. */
static double progress_of(const run *r)
{
    const zo_train_def *d = r->def;
    bool none = d->seconds == 0 && d->epochs == 0 && d->forwards == 0;
    double seconds = none ? 60 : d->seconds, p = 0, share;
    if (seconds > 0 && (share = (now() - r->training) / seconds) > p) p = share;
    if (d->epochs > 0 && (share = r->examples / (double)d->task->part[ZO_TRAIN].n / d->epochs) > p)
        p = share;
    if (d->forwards > 0 && (share = r->cost / zo_net_cost(r->kept) / d->forwards) > p) p = share;
    return p < 1 ? p : 1;
}

static void fill_report(run *r)
{
    zo_report *p = &r->report;
    double t = now(), interval = t - r->interval_start;
    p->progress = progress_of(r);
    p->seconds = t - r->training;
    p->seconds_left = p->progress > 0 ? p->seconds * (1 - p->progress) / p->progress : NAN;
    p->epochs = r->examples / (double)r->def->task->part[ZO_TRAIN].n;
    p->train_loss = r->loss_steps ? r->loss_sum / (double)r->loss_steps : NAN;
    p->forwards = r->cost / zo_net_cost(r->kept);
    p->forwards_per_second =
        interval > 0 ? (r->cost - r->interval_cost) / zo_net_cost(r->kept) / interval : NAN;
}

static void tell(run *r)
{
    if (r->def->report) r->def->report(r->def->report_user, &r->report);
    r->reported = now();
}

/* Looks at the validation part, keeps the network if it is the best so far, and reports. */
static void assess(run *r)
{
    const zo_net *net = zo_trainer_net(r->trainer);
    zo_report *p = &r->report;
    zo_assess(&r->assessor, net, ZO_VALIDATION, &p->validation_loss, &p->validation_accuracy);
    bool by_accuracy = r->def->task->classes > 0 && !r->def->loss;
    bool better = p->validation_loss <= r->best_loss || !isfinite(r->best_loss);
    if (by_accuracy)
        better = p->validation_accuracy > r->best || (p->validation_accuracy == r->best && better);
    r->sound = isfinite(p->validation_loss);
    if (!r->any || (better && r->sound)) {
        memcpy(r->kept->params, net->params, net->arena * sizeof(float));
        r->best = p->validation_accuracy;
        r->best_loss = p->validation_loss;
        r->any = true;
    }
    fill_report(r);
    zo_record_report(&r->record, p);
    if (r->loss_steps) r->result->train_loss = p->train_loss;
    if (r->def->target > 0 && p->validation_accuracy >= r->def->target) {
        r->at_target = true;
        r->result->seconds_target = now() - r->training;
    }
    tell(r);
    r->assessed_cost = r->cost;
    r->assessed_step = p->step;
    r->loss_sum = 0;
    r->loss_steps = 0;
    r->interval_start = now();
    r->interval_cost = r->cost;
}

static bool due(const run *r)
{
    double since = r->cost - r->assessed_cost;
    double validation = (double)r->def->task->part[ZO_VALIDATION].n * zo_net_cost(r->kept);
    return r->report.step - r->assessed_step >= ASSESS_STEPS && since >= ASSESS_COST * validation &&
           since >= r->cost / ASSESS_SHARE;
}

static zo_status diverged(const run *r)
{
    return zo_fail(r->ctx, ZO_DIVERGED,
                   "no loss on the validation part is finite any more; try a smaller lr");
}

static zo_status loop(run *r)
{
    r->training = r->interval_start = r->reported = now();
    assess(r);
    while (!r->at_target && r->sound) {
        double progress = progress_of(r);
        if (progress >= 1) break;
        zo_step_info step;
        zo_status status = zo_trainer_step(r->trainer, progress, &step);
        if (status) return status;
        r->report.step = step.step;
        r->report.dropped += step.dropped;
        r->cost += step.cost;
        r->examples += (double)step.examples;
        r->loss_sum += step.loss;
        r->loss_steps++;
        if (due(r)) {
            assess(r);
        } else if (now() - r->reported > REPORT_SECONDS) {
            fill_report(r);
            tell(r);
        }
    }
    return r->sound ? ZO_OK : diverged(r);
}

static void copy_name(char *to, size_t room, const char *name) { snprintf(to, room, "%s", name); }

/* Everything after the last step: the last look at validation, the one look at test, the numbers. */
static void finish(run *r, zo_status status)
{
    zo_train_result *v = r->result;
    if (status != ZO_DIVERGED && r->report.step > r->assessed_step) assess(r);
    v->seconds_training = now() - r->training;
    zo_assess(&r->assessor, r->kept, ZO_TEST, &v->test_loss, &v->test_accuracy);
    v->validation_loss = r->best_loss;
    v->validation_accuracy = r->best;
    v->cost = r->cost;
    v->forwards = r->cost / zo_net_cost(r->kept);
    v->epochs = r->examples / (double)r->def->task->part[ZO_TRAIN].n;
    v->steps = r->report.step;
    v->dropped = r->report.dropped;
    v->parameters = zo_net_parameters(r->kept);
    v->uses = zo_trainer_uses(r->trainer);
    copy_name(v->trainer, sizeof v->trainer, r->trainer->class->info.name);
    copy_name(v->estimator, sizeof v->estimator, zo_trainer_estimator(r->trainer));
    copy_name(v->rule, sizeof v->rule, zo_trainer_rule(r->trainer));
    v->seconds = r->def->seconds_before + now() - r->started;
    r->finished = true;
}

/* Trains, and closes the record. The error text of a run that diverged outlives the saving. */
static zo_status train_and_record(run *r)
{
    zo_status status = loop(r);
    if (status && status != ZO_CANCELLED && status != ZO_DIVERGED) return status;
    char why[sizeof r->ctx->error];
    snprintf(why, sizeof why, "%s", zo_last_error(r->ctx)); /* saving may write over it */
    finish(r, status);
    if (!status && !r->sound) {
        status = diverged(r);
        snprintf(why, sizeof why, "%s", zo_last_error(r->ctx));
    }
    zo_status saved = zo_record_close(&r->record,
                                      status == ZO_OK          ? "done"
                                      : status == ZO_CANCELLED ? "stopped"
                                                               : "diverged",
                                      r->result, r->kept);
    if (saved || !status) return saved;
    if (status == ZO_DIVERGED && r->def->out)
        return zo_fail(r->ctx, status, "%s (the best network so far is in %s)", why, r->def->out);
    return zo_fail(r->ctx, status, "%s", why);
}

zo_status zo_train(zo_context *ctx, const zo_train_def *def, zo_train_result *result, zo_net **net)
{
    zo_train_result unused;
    if (!result) result = &unused;
    if (net) *net = NULL;
    *result = (zo_train_result){
        .seconds_target = NAN, .train_loss = NAN, .validation_loss = NAN, .validation_accuracy = NAN};
    run r = {.ctx = ctx,
             .def = def,
             .result = result,
             .started = now(),
             .best = NAN,
             .best_loss = INFINITY};
    r.report.seconds_left = r.report.train_loss = r.report.validation_loss =
        r.report.validation_accuracy = NAN;
    r.record.fd = -1;
    zo_status status = check(ctx, def);
    if (!status) status = make_trainer(&r);
    if (!status) status = zo_net_copy(zo_trainer_net(r.trainer), &r.kept);
    if (!status) status = zo_assessor_init(&r.assessor, def->task, r.kept);
    if (!status) {
        r.assessor.loss_fn = def->loss;
        r.assessor.loss_user = def->loss_user;
    }
    if (!status) status = zo_record_open(&r.record, ctx, def, r.trainer);
    if (!status) status = train_and_record(&r);
    zo_record_fini(&r.record);
    zo_assessor_fini(&r.assessor);
    zo_trainer_destroy(r.trainer);
    if (net && r.finished) /* also when the record could not be written */
        *net = r.kept;
    else
        zo_net_destroy(r.kept);
    return status;
}

/* A run from its definition to its result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/loop.h"

typedef struct run {
    zo_context *ctx;
    const zo_train_def *def;
    zo_train_result *result;
    zo_loop loop;
    zo_record record;
    double started; /* clock at the start of the call */
    bool finished;  /* there is a result */
} run;

zo_train_def zo_train_default_def(void) { return (zo_train_def){0}; }

static zo_status check(const zo_context *ctx, const zo_train_def *def)
{
    if (!def || !def->task) return zo_fail(ctx, ZO_USAGE, "a run needs a task");
    const struct {
        const char *name;
        double value;
    } positive[] = {{"seconds", def->seconds},
                    {"epochs", def->epochs},
                    {"forwards", def->forwards},
                    {"checkpoint", def->checkpoint}};
    for (int i = 0; i < 4; i++) {
        if (!isfinite(positive[i].value) || positive[i].value < 0)
            return zo_fail(ctx, ZO_USAGE, "%s must be a positive number", positive[i].name);
    }
    if (def->resume && !def->out)
        return zo_fail(ctx, ZO_USAGE, "to resume a run, name its directory");
    if (!(def->target >= 0 && def->target <= 1))
        return zo_fail(ctx, ZO_USAGE, "target is a validation accuracy above 0, at most 1");
    if (def->target > 0 && !def->task->classes) {
        return zo_fail(ctx, ZO_USAGE, "target is an accuracy, and the task \"%s\" predicts numbers",
                       def->task->name);
    }
    return def->measure ? zo_measure_check(ctx, def->measure) : ZO_OK;
}

static zo_status make_trainer(run *r)
{
    const zo_train_def *def = r->def;
    const zo_task *task = def->task;
    zo_net *net = NULL;
    zo_status status = ZO_OK;
    char spec[ZO_METHOD_NET_MAX];
    if (!def->init && !def->net)
        status = zo_method_net(r->ctx, def->method, task, def->settings, spec, sizeof spec);
    if (!def->init && !status) {
        zo_net_def n = zo_net_default_def();
        n.spec = def->net ? def->net : spec;
        n.inputs = task->inputs;
        n.height = task->height;
        n.width = task->width;
        n.channels = task->channels;
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
    t.batch_loss = def->batch_loss;
    t.loss_user = def->loss_user;
    t.loss_jumps = def->loss_jumps;
    if (!status) status = zo_trainer_create(r->ctx, &t, &r->loop.trainer);
    if (!status && def->measure)
        status = zo_measure_create(r->ctx, &t, def->measure, &r->loop.measure);
    zo_net_destroy(net);
    return status;
}

static zo_status make_loop(run *r)
{
    zo_loop *l = &r->loop;
    *l = (zo_loop){.ctx = r->ctx,
                   .def = r->def,
                   .task = r->def->task,
                   .examples = r->def->task->part[ZO_TRAIN].n,
                   .record = &r->record,
                   .measured = -1,
                   .assessor = {.loss_fn = r->def->loss,
                                .batch_fn = r->def->batch_loss,
                                .loss_user = r->def->loss_user}};
    zo_course_begin(&l->course);
    zo_status status = make_trainer(r);
    if (!status) status = zo_trainer_keep_init(l->trainer);
    if (!status) status = zo_net_copy(zo_trainer_net(l->trainer), &l->kept);
    if (status) return status;
    l->by_loss = zo_loop_by_loss(l->trainer, r->def->loss || r->def->batch_loss);
    l->assessor.loss = zo_trainer_loss(l->trainer);
    return zo_assessor_init(&l->assessor, r->def->task, l->kept);
}

/* A new directory, or the state of the run in it. */
static zo_status open_record(run *r)
{
    zo_loop *l = &r->loop;
    const zo_train_def *def = r->def;
    if (!def->resume) return zo_record_open(&r->record, r->ctx, def, l->trainer);
    zo_status status = zo_record_resume(&r->record, r->ctx, def, l->trainer);
    if (status || r->record.live) return status;
    status = zo_record_state(&r->record, def, &l->course, l->kept, l->trainer);
    l->journal = &r->record.journal;
    if (!status && r->record.grown) { /* what the earlier solve found is no part of this one */
        zo_trainer_reopen(l->trainer);
        l->course.loss_sum = 0;
        l->course.since = 0;
    }
    return status;
}

static void copy_name(char *to, size_t room, const char *name) { snprintf(to, room, "%s", name); }

/* Everything after the last look at validation: the one look at test, the numbers. */
static void finish(run *r)
{
    zo_train_result *v = r->result;
    zo_loop *l = &r->loop;
    zo_course *c = &l->course;
    v->seconds_training = zo_loop_seconds(l);
    v->test_loss = v->test_accuracy = NAN;
    if (c->any) zo_assess(&l->assessor, l->kept, ZO_TEST, &v->test_loss, &v->test_accuracy);
    v->train_loss = c->train_loss;
    v->validation_loss = c->any ? c->best_loss : NAN;
    v->validation_accuracy = c->best;
    v->seconds_target = c->seconds_target;
    v->cost = c->cost;
    v->forwards = c->cost / zo_net_cost(l->kept);
    v->epochs = c->examples / (double)r->def->task->part[ZO_TRAIN].n;
    v->steps = c->step;
    v->dropped = c->dropped;
    v->rolled_back = c->back > 0;
    v->resumed = r->record.survey.resumed + (r->def->resume && r->record.survey.recipe.size);
    v->memory = zo_context_memory(r->ctx);
    v->parameters = zo_net_parameters(l->kept);
    v->uses = zo_trainer_uses(l->trainer);
    copy_name(v->trainer, sizeof v->trainer, l->trainer->class->info.name);
    copy_name(v->estimator, sizeof v->estimator, zo_trainer_estimator(l->trainer));
    copy_name(v->rule, sizeof v->rule, zo_trainer_rule(l->trainer));
    r->finished = true;
}

/* Trains, and closes the record. The error text of a run that diverged outlives the saving. */
static zo_status train_and_record(run *r)
{
    zo_loop *l = &r->loop;
    double before = zo_loop_clock();
    zo_status status = zo_loop_run(l);
    if (status && status != ZO_CANCELLED && status != ZO_DIVERGED) return status;
    if (status == ZO_CANCELLED && l->journal)
        return status; /* not yet where it was: all is as it was */
    char why[sizeof r->ctx->error];
    copy_name(why, sizeof why, zo_last_error(r->ctx)); /* saving may write over it */
    zo_status live = zo_loop_go_live(l);
    if (live) return live;
    bool keep = !status && zo_trainer_kept(l->trainer);
    if (status == ZO_CANCELLED || keep) { /* before the last look, which is no part of the course */
        l->course.seconds = zo_loop_seconds(l);
        bool saved = zo_record_state_save(&r->record, &l->course, l->kept, l->trainer);
        keep = keep && saved; /* an older state is not the end of this run */
    }
    double now = zo_loop_clock() - before - l->measuring;
    double earlier = fmax(0, zo_loop_seconds(l) - now);
    if (status == ZO_CANCELLED) zo_loop_last_look(l);
    if (!status) {
        status = zo_loop_end(l);
        copy_name(why, sizeof why, zo_last_error(r->ctx));
    }
    if (status && status != ZO_CANCELLED && status != ZO_DIVERGED) return status;
    finish(r);
    r->result->seconds = r->def->seconds_before + earlier + zo_loop_clock() - r->started;
    zo_status saved = zo_record_close(&r->record,
                                      status == ZO_OK          ? ZO_END_DONE
                                      : status == ZO_CANCELLED ? ZO_END_STOPPED
                                                               : ZO_END_DIVERGED,
                                      r->result, l->kept, l->course.any, keep);
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
    run r = {.ctx = ctx, .def = def, .result = result, .started = zo_loop_clock()};
    zo_status status = check(ctx, def);
    if (!status) status = make_loop(&r);
    if (!status) status = open_record(&r);
    if (!status) status = train_and_record(&r);
    zo_record_fini(&r.record);
    if (ctx)
        atomic_store(&ctx->checkpoint, false); /* asked for too late, or where nothing is saved */
    zo_assessor_fini(&r.loop.assessor);
    zo_measure_destroy(r.loop.measure);
    zo_trainer_destroy(r.loop.trainer);
    if (net && r.finished) /* also when the record could not be written */
        *net = r.loop.kept;
    else
        zo_net_destroy(r.loop.kept);
    return status;
}

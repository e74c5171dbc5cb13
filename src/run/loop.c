#include "run/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ASSESS_COST                                                                                \
    30 /* training between two looks at the validation part, in passes over it: 3 % of the time */
#define ASSESS_STEPS 10 /* and at least so many steps, */
#define ASSESS_SHARE                                                                               \
    100 /* and at least this fraction of what was done so far, so that reports stay few */
#define REPORT_SECONDS 0.1
#define SAVE_SECONDS 2 /* least time between two saved states, */
#define SAVE_SHARE 100 /* and at least so many times what saving one takes: 1 % */
#define SAVE_RATE                                                                                  \
    5e8 /* bytes per second, of a trainer with large states and an end of its own, before one was saved */

bool zo_loop_by_loss(const zo_trainer *trainer, bool user)
{
    const zo_loss_class *loss = zo_trainer_loss(trainer);
    return user || (loss && loss->batch);
}

double zo_loop_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double zo_loop_seconds(const zo_loop *l)
{
    return l->journal ? l->course.seconds : zo_loop_clock() - l->training;
}

/* Share of the budget that is spent, or that `ahead` multiply-adds more will have spent; or of its own work, where the trainer has an end and no
 * budget is given. */
static double share_of(const zo_loop *l, double ahead)
{
    const zo_train_def *d = l->def;
    const zo_course *c = &l->course;
    bool none = d->seconds == 0 && d->epochs == 0 && d->forwards == 0;
    double seconds = none ? 60 : d->seconds, p = 0, share;
    if (l->done) return 1;
    if (none && zo_trainer_late(l->trainer)) return zo_trainer_progress(l->trainer);
    double later = l->row_cost > 0 ? ahead * l->row_seconds / l->row_cost : 0;
    if (seconds > 0 && (share = (zo_loop_seconds(l) + later) / seconds) > p) p = share;
    if (d->epochs > 0 && (share = c->examples / (double)l->task->part[ZO_TRAIN].n / d->epochs) > p)
        p = share;
    if (d->forwards > 0 && (share = (c->cost + ahead) / zo_net_cost(l->kept) / d->forwards) > p)
        p = share;
    return p < 1 ? p : 1;
}

/* Before the next step: 1 as soon as what is left of the budget is what the trainer needs to finish. */
static double progress_of(const zo_loop *l)
{
    return share_of(l, l->done ? 0 : zo_trainer_ending(l->trainer));
}

/* ---- reports ---- */

static void fill_report(zo_loop *l)
{
    const zo_course *c = &l->course;
    zo_report *p = &l->report;
    double t = zo_loop_clock(), interval = t - l->interval_start, cost = zo_net_cost(l->kept);
    p->step = c->step;
    p->dropped = c->dropped;
    p->progress = share_of(l, 0);
    p->seconds = zo_loop_seconds(l);
    p->seconds_left = p->progress > 0 ? p->seconds * (1 - p->progress) / p->progress : NAN;
    p->epochs = c->examples / (double)l->task->part[ZO_TRAIN].n;
    p->train_loss = c->since ? c->loss_sum / (double)c->since : NAN;
    p->validation_loss = c->look_loss;
    p->validation_accuracy = c->look_accuracy;
    p->forwards = c->cost / cost;
    p->forwards_per_second = interval > 0 ? (c->cost - l->interval_cost) / cost / interval : NAN;
    p->measured = NULL;
    p->measured_layers = 0;
}

static void tell(zo_loop *l)
{
    if (l->def->report) l->def->report(l->def->report_user, &l->report);
    l->reported = zo_loop_clock();
}

/* ---- measuring ---- */

static void start_timing(zo_loop *l)
{
    l->timer = (zo_timer){.clock = zo_loop_clock};
    l->timed = zo_loop_clock();
    l->looking = 0;
    const zo_trainer *t = l->trainer;
    if (t->class->time) t->class->time(t->state, &l->timer);
}

/* Measures what the next step has before it, and keeps the clock of training back. A step that has no direction has nothing to measure. */
static void measure(zo_loop *l)
{
    double before = zo_loop_clock();
    int64_t step = l->course.step;
    if (!l->measure || step <= l->measured || (l->record && step <= zo_record_measured(l->record)))
        return;
    zo_measure_learn(l->measure, l->trainer);
    if (zo_measure_at(l->measure, zo_trainer_net(l->trainer), step, l->report.progress) == ZO_OK) {
        zo_times times = {before - l->timed, l->looking, l->timer.seconds};
        if (l->record) zo_record_measure(l->record, step, l->def->measure, l->measure, &times);
        l->report.measured = l->measure->layer;
        l->report.measured_layers = l->measure->layers;
        l->measured = step;
    }
    double took = zo_loop_clock() - before;
    l->training += took;
    l->measuring += took;
    start_timing(l);
}

/* ---- looking at validation ---- */

/* Whether these figures are better than those. */
static bool is_better(const zo_loop *l, double loss, double accuracy, double than_loss,
                      double than_accuracy)
{
    bool by_accuracy = l->task->classes > 0 && !l->by_loss;
    bool better = loss <= than_loss || !isfinite(than_loss);
    if (by_accuracy) better = accuracy > than_accuracy || (accuracy == than_accuracy && better);
    return better;
}

/* A step function may give finite losses of parameters that are not. */
static bool is_finite(const zo_net *net)
{
    float sum = 0; /* of zeros, and of NaN for each that is not */
    for (size_t i = 0; i < net->arena; i++) sum += net->params[i] * 0.0f;
    return sum == 0;
}

void zo_loop_consider(zo_loop *l, double loss, double accuracy, bool averaged)
{
    const zo_net *net = averaged ? zo_trainer_average(l->trainer) : zo_trainer_net(l->trainer);
    zo_course *c = &l->course;
    if (!net) net = zo_trainer_net(l->trainer); /* a journal of other settings */
    bool better = is_better(l, loss, accuracy, c->best_loss, c->best);
    c->sound = isfinite(loss) && is_finite(zo_trainer_net(l->trainer));
    c->look_loss = loss;
    c->look_accuracy = accuracy;
    if (!c->any && c->sound) c->start = fabs(loss);
    if (c->any && !(better && c->sound)) return;
    zo_trainer_keep(l->trainer);
    memcpy(l->kept->params, net->params, net->arena * sizeof(float));
    c->kept = c->step;
    l->kept_average = averaged;
    c->best = accuracy;
    c->best_loss = loss;
    c->any = true;
}

/* A look's figures are known: keeps the network if it is the best so far, and reports. */
static void look(zo_loop *l, double loss, double accuracy, bool averaged)
{
    zo_course *c = &l->course;
    zo_loop_consider(l, loss, accuracy, averaged);
    fill_report(l);
    if (l->record) zo_record_report(l->record, &l->report);
    if (l->record) zo_record_plan(l->record, c->step, l->trainer);
    measure(l);
    if (c->since) c->train_loss = l->report.train_loss;
    if (l->def->target > 0 && accuracy >= l->def->target && !c->reached) {
        c->reached = true;
        c->seconds_target = zo_loop_seconds(l);
    }
    tell(l);
    c->assessed_cost = c->cost;
    c->assessed = c->step;
    c->loss_sum = 0;
    c->since = 0;
    l->interval_start = zo_loop_clock();
    l->interval_cost = c->cost;
}

static void assess(zo_loop *l, zo_entry_type type)
{
    double loss, accuracy, other_loss, other, before = zo_loop_clock();
    const zo_net *average = zo_trainer_average(l->trainer);
    bool averaged = false;
    zo_assess(&l->assessor, zo_trainer_net(l->trainer), ZO_VALIDATION, &loss, &accuracy);
    if (average && isfinite(loss)) { /* else the run has diverged, whatever the mean still does */
        zo_assess(&l->assessor, average, ZO_VALIDATION, &other_loss, &other);
        averaged = isfinite(other_loss) && is_better(l, other_loss, other, loss, accuracy);
    }
    if (averaged) loss = other_loss, accuracy = other;
    l->looking += zo_loop_clock() - before;
    if (l->record) zo_record_look(l->record, type, l->course.step, loss, accuracy, averaged);
    look(l, loss, accuracy, averaged);
}

void zo_loop_last_look(zo_loop *l)
{
    if (zo_trainer_late(l->trainer) && !l->done) return; /* there is no network yet */
    if (l->course.step > l->course.assessed) assess(l, ZO_ENTRY_LAST_LOOK);
}

/* Where the last step was looked at before the time was up: the same figures again, at the end of the budget. */
static void tell_the_end(zo_loop *l)
{
    double loss = l->report.train_loss;
    if (l->course.reached || l->report.progress >= 1 || share_of(l, 0) < 1) return;
    fill_report(l);
    if (!l->course.since) l->report.train_loss = loss;
    tell(l);
}

static bool look_due(const zo_loop *l)
{
    const zo_course *c = &l->course;
    if (zo_trainer_late(l->trainer)) return false; /* the last look is the only one */
    double since = c->cost - c->assessed_cost;
    double validation = (double)l->task->part[ZO_VALIDATION].n * zo_net_cost(l->kept);
    if (!c->any) return true;
    return c->step - c->assessed >= ASSESS_STEPS && since >= ASSESS_COST * validation &&
           since >= c->cost / ASSESS_SHARE;
}

/* ---- going back ---- */

#define EXPLODED                                                                                   \
    1e5 /* times the mean loss that the run began with, or 1: steps that are just too large reach 4000, and come back */

/* Where the mean over all n examples is M and no loss is negative, no batch of B has more than M n / B: an outlier alone explodes nothing. What
 * the run began with stands for M, and not the latest losses, which would grow along with those that explode. */
static bool has_exploded(const zo_loop *l, const zo_step_info *s)
{
    double batches = (double)l->examples / (double)s->examples;
    return !(s->loss <= EXPLODED * (fmax(1, batches) * l->course.start + 1));
}

static zo_status diverged(const zo_loop *l)
{
    return zo_fail(l->ctx, ZO_DIVERGED, "step %lld: %s%s; try a smaller lr",
                   (long long)l->course.step, l->why, l->course.back ? ", for the second time" : "");
}

/* After l->why: the state of the best network, and half the step size. The steps since count, and their batches do not come again. Where that was
 * done before, or there is none, the course is not sound, which ends the run. */
static zo_status go_back(zo_loop *l, double loss)
{
    zo_course *c = &l->course;
    c->sound = false;
    if (c->back || !c->step || !l->trainer->class->calm) return ZO_OK;
    if (!zo_trainer_go_back(l->trainer, c->step))
        return zo_fail(l->ctx, ZO_FORMAT, "the state of step %lld is damaged", (long long)c->kept);
    c->sound = true;
    c->back = c->step;
    c->loss_sum = 0;
    c->since = 0;
    if (l->record) zo_record_back(l->record, c->step, c->kept, loss);
    if (l->live)
        zo_log(l->ctx, ZO_LOG_WARNING, "step %lld: %s; went back to step %lld, lr is halved",
               (long long)c->step, l->why, (long long)c->kept);
    return ZO_OK;
}

/* After a look at validation. */
static zo_status go_back_if_unsound(zo_loop *l)
{
    if (l->course.sound) return ZO_OK;
    bool finite = isfinite(l->course.look_loss);
    snprintf(l->why, sizeof l->why, "%s any more",
             finite ? "the parameters are not finite" : "no loss on the validation part is finite");
    return go_back(l, l->course.look_loss);
}

zo_status zo_loop_end(zo_loop *l)
{
    if (l->course.step <= l->course.assessed) {
        tell_the_end(l);
        return ZO_OK;
    }
    zo_loop_last_look(l);
    zo_status status = go_back_if_unsound(l);
    return status || l->course.sound ? status : diverged(l);
}

/* ---- from the journal to live ---- */

static bool entry_is(const zo_loop *l, zo_entry_type type, int64_t step)
{
    return l->journal && l->journal->entry.type == type && l->journal->entry.step == step;
}

static bool of_course(zo_entry_type type)
{
    return type == ZO_ENTRY_STEP || type == ZO_ENTRY_LOSSES || type == ZO_ENTRY_LOOK;
}

/* Whether the state has what this entry of the course tells: steps up to the present one, and looks up to the last one. */
static bool is_held(const zo_course *c, const zo_entry *e)
{
    if (e->step != c->step) return e->step < c->step;
    return e->type != ZO_ENTRY_LOOK || (c->any && c->assessed == c->step);
}

/* Whether the loop stops at this entry: what comes next, or a gap that the state is not beyond. */
static bool is_next(const zo_course *c, const zo_entry *e)
{
    if (!e->type) return true;
    if (of_course(e->type)) return !is_held(c, e);
    return e->type == ZO_ENTRY_GAP && e->step > c->step + 1;
}

/* Goes past entries that are no part of the course, or that the state already holds. */
static zo_status skip(zo_loop *l)
{
    zo_status status = ZO_OK;
    while (!status && l->journal && !is_next(&l->course, &l->journal->entry))
        status = zo_journal_take(l->journal);
    return status;
}

zo_status zo_loop_go_live(zo_loop *l)
{
    if (l->live) return ZO_OK;
    l->live = true;
    l->journal = NULL;
    l->training = zo_loop_clock() - l->course.seconds;
    /* At once: who is killed again and again must get on, and a first network may be gone the next time. */
    bool grown = l->record && l->record->grown; /* what was saved is of other settings */
    if (l->again || grown || (l->def->init && !l->def->resume)) l->saved = -INFINITY;
    return l->record ? zo_record_go(l->record, l->def, l->trainer, &l->course, l->kept) : ZO_OK;
}

/* A look that the journal knows, or one that is due. */
static zo_status look_now(zo_loop *l)
{
    zo_status status = skip(l);
    if (status) return status;
    if (entry_is(l, ZO_ENTRY_LOOK, l->course.step)) {
        look(l, l->journal->entry.a, l->journal->entry.b, l->journal->entry.averaged);
        return zo_journal_take(l->journal);
    }
    if (l->only_journal || !look_due(l)) return ZO_OK;
    status = zo_loop_go_live(l);
    if (!status) assess(l, ZO_ENTRY_LOOK);
    return status;
}

/* ---- steps ---- */

static void count(zo_loop *l, const zo_step_info *step)
{
    zo_course *c = &l->course;
    c->step = step->step;
    c->dropped += step->dropped;
    c->cost += step->cost;
    c->examples += (double)step->examples;
    l->done = step->done;
    if (zo_trainer_late(l->trainer) && isnan(step->loss)) return; /* a step without one */
    c->loss_sum += step->loss;
    c->since++;
}

/* After a step: `status` is OK, DIVERGED if it found no finite loss and changed nothing, or an error. */
static zo_status settle(zo_loop *l, zo_status status, const zo_step_info *step)
{
    if (status && status != ZO_DIVERGED) return status;
    count(l, step);
    if (l->course.step == 1 && !status) l->course.start = fmax(l->course.start, fabs(step->loss));
    if (!status && (zo_trainer_late(l->trainer) || !has_exploded(l, step))) return ZO_OK;
    if (status)
        snprintf(l->why, sizeof l->why, "no loss of the batch is finite any more");
    else
        snprintf(l->why, sizeof l->why, "the loss exploded (%.3g)", step->loss);
    return go_back(l, step->loss);
}

/* Losses say also that none was finite. */
static void record_losses(zo_loop *l, zo_status status, const zo_step_info *step)
{
    if (l->record && (!status || status == ZO_DIVERGED))
        zo_record_losses(l->record, step->step, l->trainer);
}

static zo_status step_live(zo_loop *l, double progress)
{
    zo_step_info step;
    l->progress = progress;
    if (l->record) zo_record_step(l->record, l->course.step + 1, progress, zo_loop_seconds(l));
    double before = zo_loop_clock();
    zo_status status = zo_trainer_step(l->trainer, progress, &step);
    if (!status && step.examples > 0) {
        l->row_seconds += zo_loop_clock() - before;
        l->row_cost += step.cost;
    }
    record_losses(l, status, &step);
    return settle(l, status, &step);
}

/* A step that was begun, and whose losses the journal does not have: it was cut off here. */
static zo_status step_cut_off(zo_loop *l, double progress, zo_step_info *step)
{
    zo_status status = zo_loop_go_live(l);
    if (status) return status;
    status = zo_trainer_step(l->trainer, progress, step);
    record_losses(l, status, step);
    return status;
}

/* The journal names the next step; where losses determine it, they follow. */
static zo_status step_again(zo_loop *l)
{
    zo_step_info step;
    double progress = l->journal->entry.a;
    bool by_losses = zo_trainer_numbers(l->trainer) > 0;
    l->progress = progress;
    l->course.seconds = l->journal->entry.b;
    l->again++;
    if (zo_cancelled(l->ctx)) return zo_fail(l->ctx, ZO_CANCELLED, "stopped on request");
    zo_status status = zo_journal_take(l->journal);
    if (!status) status = skip(l); /* who resumed a run in the middle of a step */
    if (status) return status;
    const zo_entry *e = &l->journal->entry;
    if (by_losses && entry_is(l, ZO_ENTRY_LOSSES, l->course.step + 1)) {
        status = zo_trainer_replay(l->trainer, progress, e->value, e->values, &step);
        l->from_losses += !status || status == ZO_DIVERGED;
    } else if (by_losses && !l->only_journal) {
        status = step_cut_off(l, progress, &step);
    } else {
        status = zo_trainer_step(l->trainer, progress, &step);
    }
    return settle(l, status, &step);
}

/* ---- saved states ---- */

static void save_if_due(zo_loop *l)
{
    if (!l->record || !l->record->ctx) return;
    bool asked = atomic_exchange(&l->ctx->checkpoint, false);
    double before = zo_loop_clock(), every = l->def->checkpoint;
    if (!(every > 0)) every = fmax(SAVE_SECONDS, SAVE_SHARE * l->saving);
    if (!asked && before - l->saved < every) return;
    l->course.seconds = zo_loop_seconds(l);
    bool fine = zo_record_state_save(l->record, &l->course, l->kept, l->trainer);
    l->saved = zo_loop_clock();
    l->saving = l->saved - before;
    if (asked && fine)
        zo_log(l->ctx, ZO_LOG_INFO, "state saved after step %lld", (long long)l->course.step);
}

/* One turn: *ended when the budget is spent, the target reached, the journal to follow at its end. */
static zo_status turn(zo_loop *l, bool *ended)
{
    zo_status status = look_now(l);
    if (!status) status = go_back_if_unsound(l);
    if (status) return status;
    *ended =
        l->course.reached || !l->course.sound || (l->only_journal && l->course.step >= l->steps);
    if (*ended) return ZO_OK;
    save_if_due(l);
    status = skip(l);
    if (!status && entry_is(l, ZO_ENTRY_STEP, l->course.step + 1)) {
        status = step_again(l);
    } else if (!status && l->only_journal) {
        *ended = true;
    } else if (!status) {
        status = zo_loop_go_live(l);
        double progress = progress_of(l);
        *ended = progress >= 1 && !zo_trainer_late(l->trainer);
        if (!status && !*ended) status = step_live(l, progress);
    }
    *ended |= !l->course.sound || l->done;
    if (zo_loop_clock() - l->reported <= REPORT_SECONDS || status || *ended || look_due(l))
        return status;
    fill_report(l);
    tell(l);
    return ZO_OK;
}

zo_status zo_loop_run(zo_loop *l)
{
    bool ended = false;
    l->saved = l->interval_start = l->reported = zo_loop_clock();
    l->interval_cost = l->course.cost;
    if (l->measure) start_timing(l);
    if (zo_trainer_late(l->trainer)) {
        if (!l->course.any) l->course.sound = true; /* there was no look yet, nor will be soon */
        l->saving = (double)zo_trainer_state_size(l->trainer) / SAVE_RATE;
    }
    zo_status status = skip(l);
    /* What the journal tells of another run's steps is no help to one that was changed by force. */
    bool live = !l->journal || (l->record && *l->record->forced);
    if (!status && live && !l->only_journal) status = zo_loop_go_live(l);
    while (!status && !ended) status = turn(l, &ended);
    return status || l->course.sound || l->only_journal ? status : diverged(l);
}

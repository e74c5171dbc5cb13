/* perturb: the perturbation trainer, an estimator x a rule x a schedule. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/augment.h"
#include "learn/batches.h"
#include "learn/layered.h"
#include "learn/trainer.h"

typedef struct settings {
    char estimator[ZO_TEXT_MAX], rule[ZO_TEXT_MAX], schedule[ZO_TEXT_MAX], loss[ZO_TEXT_MAX];
    char freeze[ZO_TEXT_MAX];
    int64_t batch;
    double warmup, clip, weight_decay, average;
} settings;

enum { BLOCKS = 5 }; /* perturb, estimator, rule, schedule, augmentation */

typedef struct state {
    zo_learner l;
    settings set;
    const zo_estimator_class *estimator;
    const zo_rule_class *rule;
    const zo_schedule_class *schedule;
    void *estimator_set, *rule_set, *schedule_set, *estimator_state;
    zo_layered layered; /* the estimator's settings, for each stage */
    zo_augment_settings augment_set;
    zo_augment augment;
    zo_block block[BLOCKS];
    zo_batches batches;
    bool *frozen; /* [stages] */
    zo_update update;
    zo_net *mean;   /* of late parameters; NULL: none */
    int64_t undone; /* steps that were gone back over: the rule and the mean do not count them */
    double share;   /* factor on the step size */
    double *results;
    size_t results_size;
    zo_timer *timer; /* NULL: nobody asks */
    char line[ZO_TEXT_MAX + 64];
} state;

static const zo_param params[] = {
    ZO_PARAM_TEXT_ROW(settings, estimator, "nodes",
                      "how losses become a direction ('zeroth list estimators')"),
    ZO_PARAM_TEXT_ROW(settings, rule, "adamw",
                      "how a direction becomes a step ('zeroth list rules')"),
    ZO_PARAM_TEXT_ROW(settings, schedule, "linear",
                      "the step size over the run ('zeroth list schedules')"),
    ZO_PARAM_TEXT_ROW(
        settings, loss, "auto",
        "auto: cross-entropy for classes, squared-error for numbers ('zeroth list losses')"),
    ZO_PARAM_TEXT_ROW(settings, freeze, ZO_FREEZE_NONE, ZO_FREEZE_HELP),
    ZO_PARAM_INT_ROW(settings, batch, 256, 1, 65536, "examples of a step; at most the training part"),
    ZO_PARAM_REAL_ROW(settings, average, 0, 0, 1,
                      "share of the steps so far whose parameters are averaged; the mean is kept "
                      "where it is better "
                      "on validation; 0: none"),
    ZO_PARAM_REAL_ROW(settings, warmup, 0, 0, 0.999,
                      "share of the run over which the step size grows from 0, times the schedule"),
    ZO_PARAM_REAL_ROW(settings, clip, 0, 0, 1e9,
                      "greatest length of the whole direction, which is scaled down to it; 0: any"),
    ZO_PARAM_REAL_ROW(
        settings, weight_decay, 0, 0, 1e3,
        "each step takes this, times the step size, off weights; not off biases and gains"),
    ZO_PARAM_END,
};

/* A method names the estimator or rule; a setting may repeat it, but not name another. */
static zo_status agree(const zo_context *ctx, const char *what, const char *method,
                       const char *setting)
{
    if (!*method || !setting || !strcmp(method, setting)) return ZO_OK;
    return zo_fail(ctx, ZO_USAGE,
                   "the method names the %s %s, and %s=%s names another: leave one out", what,
                   method, what, setting);
}

/* The settings that name classes are needed before the others can be read. */
static zo_status read_names(state *s, const zo_trainer_def *def, const zo_method *method)
{
    zo_params_default(params, &s->set);
    if (*method->estimator)
        snprintf(s->set.estimator, sizeof s->set.estimator, "%s", method->estimator);
    if (*method->rule) snprintf(s->set.rule, sizeof s->set.rule, "%s", method->rule);
    for (const zo_param *p = params; p->name; p++) {
        const char *value =
            p->type == ZO_PARAM_TEXT ? zo_settings_get(def->settings, p->name) : NULL;
        if (value) snprintf((char *)&s->set + p->offset, ZO_TEXT_MAX, "%s", value);
    }
    const zo_context *ctx = s->l.ctx;
    zo_status status =
        agree(ctx, "estimator", method->estimator, zo_settings_get(def->settings, "estimator"));
    if (!status) status = agree(ctx, "rule", method->rule, zo_settings_get(def->settings, "rule"));
    if (status) return status;
    s->estimator = zo_find(zo_estimator_classes, s->set.estimator);
    s->rule = zo_find(zo_rule_classes, s->set.rule);
    s->schedule = zo_find(zo_schedule_classes, s->set.schedule);
    if (!s->estimator)
        return zo_fail_unknown(ctx, "estimator", s->set.estimator, zo_estimator_classes);
    if (!s->rule) return zo_fail_unknown(ctx, "rule", s->set.rule, zo_rule_classes);
    if (!s->schedule) return zo_fail_unknown(ctx, "schedule", s->set.schedule, zo_schedule_classes);
    return ZO_OK;
}

/* Those that are not of single layers. */
static zo_status apply_plain(const state *s, const char *const *given)
{
    zo_status status = ZO_OK;
    for (; given && *given && !status; given++) {
        const char *const one[] = {*given, NULL};
        if (!zo_layered_is(*given)) status = zo_params_apply(s->l.ctx, one, s->block, BLOCKS);
    }
    return status;
}

static zo_status read_settings(state *s, const zo_trainer_def *def)
{
    zo_context *ctx = s->l.ctx;
    s->estimator_set = zo_alloc_zero(ctx, 1, s->estimator->settings_size);
    s->rule_set = zo_alloc_zero(ctx, 1, s->rule->settings_size);
    s->schedule_set = zo_alloc_zero(ctx, 1, s->schedule->settings_size);
    if (!s->estimator_set || !s->rule_set || !s->schedule_set) return ZO_NO_MEMORY;
    zo_params_default(s->estimator->info.params, s->estimator_set);
    zo_params_default(s->rule->info.params, s->rule_set);
    zo_params_default(s->schedule->info.params, s->schedule_set);
    *(double *)s->rule_set *= s->estimator->lr;
    s->block[0] = (zo_block){&zo_trainer_perturb.info, &s->set};
    s->block[1] = (zo_block){&s->estimator->info, s->estimator_set};
    s->block[2] = (zo_block){&s->rule->info, s->rule_set};
    s->block[3] = (zo_block){&s->schedule->info, s->schedule_set};
    s->block[4] = (zo_block){&zo_augment_info, &s->augment_set};
    zo_params_default(zo_augment_info.params, &s->augment_set);
    zo_status status = apply_plain(s, def->settings);
    if (status) return status;
    return zo_layered_init(&s->layered, s->l.net, &s->estimator->info, s->estimator->settings_size,
                           s->estimator->layered, s->estimator_set, def->settings);
}

/* A loss of a whole batch is for estimators that evaluate one. */
static zo_status check_whole(const state *s)
{
    char can[ZO_TEXT_MAX] = "";
    size_t n = 0;
    if (!zo_learner_whole(&s->l) || s->estimator->whole) return ZO_OK;
    for (int i = 0; zo_estimator_classes[i]; i++) {
        const zo_estimator_class *e = (const zo_estimator_class *)zo_estimator_classes[i];
        if (e->whole && n < sizeof can)
            n += (size_t)snprintf(can + n, sizeof can - n, "%s%s", n ? ", " : "", e->info.name);
    }
    return zo_fail(s->l.ctx, ZO_UNSUPPORTED,
                   "loss=%s is one of a whole batch, and %s needs one of each example; the "
                   "estimators that serve it: %s",
                   s->set.loss, s->estimator->info.name, can);
}

static zo_status choose_loss(state *s, const zo_trainer_def *def)
{
    const zo_context *ctx = s->l.ctx;
    bool classes = def->task->classes > 0, own = def->loss || def->batch_loss;
    if (def->loss && def->batch_loss)
        return zo_fail(ctx, ZO_USAGE, "loss and batch_loss are both given: leave one out");
    s->l.loss_fn = def->loss;
    s->l.batch_fn = def->batch_loss;
    s->l.loss_user = def->loss_user;
    const char *name = s->set.loss;
    if (!strcmp(name, "auto")) name = classes ? "cross-entropy" : "squared-error";
    s->l.loss = zo_find(zo_loss_classes, name);
    if (!s->l.loss) return zo_fail_unknown(ctx, "loss", name, zo_loss_classes);
    if (classes ? !s->l.loss->classification : !s->l.loss->regression) {
        return zo_fail(ctx, ZO_UNSUPPORTED,
                       "loss=%s does not serve this task: it predicts %s, use %s", name,
                       classes ? "classes" : "numbers", classes ? "cross-entropy" : "squared-error");
    }
    if (own) name = def->loss ? "user" : ZO_LOSS_USER_BATCH;
    if (name != s->set.loss) /* else it is there */
        snprintf(s->set.loss, sizeof s->set.loss, "%s", name);
    s->l.loss_jumps = own ? def->loss_jumps : s->l.loss->jumps;
    return check_whole(s);
}

static zo_status freeze(state *s)
{
    zo_learner *l = &s->l;
    s->frozen = zo_alloc_zero(l->ctx, (size_t)l->net->stages, sizeof *s->frozen);
    if (!s->frozen) return ZO_NO_MEMORY;
    zo_status status = zo_freeze_read(l->net, s->set.freeze, s->frozen);
    for (int i = 0; i < l->net->stages; i++) {
        if (s->frozen[i]) l->frozen = s->frozen;
    }
    return status;
}

static zo_status allocate(state *s)
{
    zo_learner *l = &s->l;
    size_t batch = (size_t)l->batch;
    if (l->task->classes)
        l->label = zo_alloc_zero(l->ctx, batch, sizeof *l->label);
    else
        l->target = zo_alloc_zero(l->ctx, batch * (size_t)l->net->outputs, sizeof *l->target);
    l->x = zo_alloc_zero(l->ctx, batch * l->net->stage[0].ld_in, sizeof *l->x);
    zo_status status = l->x && (l->label || l->target) ? ZO_OK : ZO_NO_MEMORY;
    if (!status && s->set.average > 0) status = zo_net_copy(l->net, &s->mean);
    if (!status)
        status = zo_batches_init(&s->batches, l->ctx, l->seed, l->task->part[ZO_TRAIN].n, l->batch);
    s->update = (zo_update){.k = l->k,
                            .rule = s->rule,
                            .settings = s->rule_set,
                            .net = l->net,
                            .frozen = l->frozen,
                            .seed = l->seed,
                            .clip = s->set.clip,
                            .weight_decay = s->set.weight_decay};
    return status ? status : zo_update_init(&s->update);
}

static zo_status init(void *st, zo_context *ctx, const zo_trainer_def *def, const zo_method *method,
                      zo_net *net)
{
    state *s = st;
    s->l = (zo_learner){
        .ctx = ctx, .k = ctx->kernels, .task = def->task, .net = net, .seed = def->seed};
    s->share = 1;
    zo_status status = read_names(s, def, method);
    if (!status) status = read_settings(s, def);
    if (!status) status = choose_loss(s, def);
    if (!status) status = freeze(s);
    if (!status) status = zo_augment_init(&s->augment, &s->augment_set, def->task, def->seed);
    if (status) return status;
    int64_t n = def->task->part[ZO_TRAIN].n;
    if (s->set.batch > n) s->set.batch = n;
    s->l.batch = (int)s->set.batch;
    status = allocate(s);
    if (status) return status;
    s->estimator_state = zo_alloc_zero(ctx, 1, s->estimator->state_size);
    if (!s->estimator_state) return ZO_NO_MEMORY;
    status = s->estimator->init(s->estimator_state, s->layered.sets, &s->l);
    if (status) return status;
    zo_job job = s->estimator->job(s->estimator_state, &s->update);
    s->results_size = (size_t)job.items * job.results;
    s->results = zo_alloc_zero(ctx, s->results_size, sizeof *s->results);
    return s->results ? ZO_OK : ZO_NO_MEMORY;
}

enum { GATHER = 64 };

/* Copies the inputs of GATHER examples of the batch. */
static void gather(void *arg, int64_t part, int worker)
{
    (void)worker;
    const state *s = arg;
    const zo_learner *l = &s->l;
    const zo_examples *from = &l->task->part[ZO_TRAIN];
    size_t ld = l->net->stage[0].ld_in;
    for (int64_t i = part * GATHER; i < l->batch && i < (part + 1) * GATHER; i++) {
        const float *x = from->x + (size_t)l->example[i] * ld;
        if (s->augment.any)
            zo_augment_example(&s->augment, l->step, (int)i, x, l->x + (size_t)i * ld);
        else
            memcpy(l->x + (size_t)i * ld, x, ld * sizeof *l->x);
    }
}

/* Sets the learner's present step. */
static void take_batch(state *s)
{
    zo_learner *l = &s->l;
    const zo_examples *from = &l->task->part[ZO_TRAIN];
    size_t outputs = (size_t)l->net->outputs;
    l->example = zo_batches_at(&s->batches, l->step);
    zo_parallel(l->ctx, (l->batch + GATHER - 1) / GATHER, gather, s);
    for (int i = 0; i < l->batch; i++) {
        size_t at = (size_t)l->example[i];
        if (l->label)
            l->label[i] = from->label[at];
        else
            memcpy(l->target + (size_t)i * outputs, from->target + at * outputs,
                   outputs * sizeof(float));
    }
}

/* For results that are already settled. */
static zo_status no_check(void *st, const double *results)
{
    (void)st, (void)results;
    return ZO_OK;
}

static zo_job begin(state *s, double progress)
{
    double warm = progress < s->set.warmup ? progress / s->set.warmup : 1;
    s->update.step = s->l.step - s->undone + 1;
    s->update.drawn = s->l.step + 1;
    s->update.progress = progress;
    s->update.rate =
        *(double *)s->rule_set * s->schedule->at(s->schedule_set, progress) * warm * s->share;
    return s->estimator->job(s->estimator_state, &s->update);
}

enum { MEAN_TILE = 8192 };

/* mean += (p - mean) w, of a tile of the arena. */
static void average_tile(void *arg, int64_t tile, int worker)
{
    (void)worker;
    const state *s = arg;
    size_t first = (size_t)tile * MEAN_TILE, arena = s->l.net->arena,
           end = arena - first < MEAN_TILE ? arena : first + MEAN_TILE;
    double w = 1 / (s->set.average * (double)(s->l.step - s->undone));
    const float *p = s->l.net->params, share = (float)(w < 1 ? w : 1);
    float *mean = s->mean->params;
    for (size_t i = first; i < end; i++) mean[i] += (p[i] - mean[i]) * share;
}

/* Polynomial-decay averaging (Shamir & Zhang 2013): the weight of step t in the mean after it is 1 / (average t), so that the mean reaches back
 * over the same share of the run at any time. */
static void add_to_mean(state *s)
{
    zo_parallel(s->l.ctx, (int64_t)((s->l.net->arena + MEAN_TILE - 1) / MEAN_TILE), average_tile, s);
}

/* After a job: the step is taken. */
static void finish(state *s)
{
    zo_update_finish(&s->update);
    s->l.step++;
    if (s->mean) add_to_mean(s);
}

static void report(state *s, zo_step_info *out)
{
    *out = (zo_step_info){.step = s->l.step, .examples = s->l.batch};
    s->estimator->report(s->estimator_state, s->results, out);
    out->cost += zo_update_cost(&s->update) + (s->mean ? (double)s->l.net->parameters : 0);
}

/* After a step that was not taken, since no loss was finite: what it was, and what it took. */
static void report_failed(state *s, zo_step_info *out)
{
    report(s, out);
    out->step++;
    out->loss = NAN;
    out->dropped = s->l.batch;
}

static zo_status step(void *st, double progress, zo_step_info *out)
{
    state *s = st;
    if (s->timer) s->timer->last = s->timer->clock();
    take_batch(s);
    zo_timer_lap(s->timer, ZO_PHASE_BATCH);
    zo_job job = begin(s, progress);
    job.timer = s->timer;
    zo_status status = zo_evaluator_threads.run(s->l.ctx, &job, s->results);
    if (status == ZO_DIVERGED) report_failed(s, out);
    if (status) return status;
    finish(s);
    zo_timer_lap(s->timer, ZO_PHASE_DIRECTION);
    report(s, out);
    if (s->estimator->after) s->estimator->after(s->estimator_state);
    return ZO_OK;
}

static size_t numbers(const void *st)
{
    const state *s = st;
    return s->estimator->pack ? s->results_size : 0;
}

static size_t losses(const void *st, double *out)
{
    const state *s = st;
    return s->estimator->pack(s->estimator_state, s->results, out);
}

static zo_status replay(void *st, double progress, const double *in, size_t n, zo_step_info *out)
{
    state *s = st;
    if (!s->estimator->unpack(s->estimator_state, in, n, s->results))
        return zo_fail(s->l.ctx, ZO_FORMAT, "no step of this trainer has %zu such losses", n);
    s->l.example = NULL; /* nothing is evaluated */
    zo_job job = begin(s, progress);
    zo_status status = zo_job_finish(s->l.ctx, &job, s->results);
    if (status == ZO_DIVERGED) report_failed(s, out);
    if (status) return status;
    finish(s);
    report(s, out);
    return ZO_OK;
}

static const double *drawn(const void *st, size_t *n)
{
    const state *s = st;
    return s->estimator->weights(s->estimator_state, n);
}

static zo_status redraw(void *st, double progress, const double *weight, size_t n)
{
    state *s = st;
    size_t expected;
    double *to = s->estimator->weights(s->estimator_state, &expected);
    if (n != expected)
        return zo_fail(s->l.ctx, ZO_FORMAT, "a step of this trainer has %zu draws, not %zu",
                       expected, n);
    memcpy(to, weight, n * sizeof *to);
    s->l.example = NULL; /* nothing is evaluated */
    zo_job job = begin(s, progress);
    job.parts = 0; /* settled */
    job.check = no_check;
    zo_status status = zo_job_finish(s->l.ctx, &job, s->results);
    if (!status) finish(s);
    return status;
}

static const zo_net *net_of(const void *st) { return ((const state *)st)->l.net; }

static const zo_net *mean_of(const void *st) { return ((const state *)st)->mean; }

static zo_uses uses(const void *st) { return ((const state *)st)->estimator->info.uses; }

/* What the estimator has learned. */
static void *learned_of(const state *s, size_t *n)
{
    *n = 0;
    return s->estimator->learned ? s->estimator->learned(s->estimator_state, n) : NULL;
}

static void save(const void *st, zo_file_out *out)
{
    const state *s = st;
    size_t n;
    const void *learned = learned_of(s, &n);
    zo_file_out_add(out, &s->l.step, sizeof s->l.step);
    zo_file_out_add(out, &s->undone, sizeof s->undone);
    zo_file_out_add(out, &s->share, sizeof s->share);
    if (n) zo_file_out_add(out, learned, n);
    zo_file_out_add(out, s->l.net->params, s->l.net->arena * sizeof(float));
    for (int i = 0; i < s->rule->slots; i++)
        zo_file_out_add(out, s->update.slot[i], s->l.net->arena * sizeof(float));
    if (s->mean) zo_file_out_add(out, s->mean->params, s->l.net->arena * sizeof(float));
}

static size_t saved(const void *st)
{
    const state *s = st;
    size_t arenas = 1 + (size_t)s->rule->slots + (s->mean ? 1 : 0), learned;
    learned_of(s, &learned);
    return sizeof s->l.step + sizeof s->undone + sizeof s->share +
           arenas * s->l.net->arena * sizeof(float) + learned;
}

#define MOST_STEPS ((int64_t)1 << 40) /* so that step * batch is a number */

static bool load_learned(state *s, zo_reader *in)
{
    size_t n;
    learned_of(s, &n);
    if (!n) return true;
    if (in->failed || (size_t)(in->end - in->at) < n) return false;
    const char *bytes = in->at;
    in->at += n;
    return s->estimator->relearn(s->estimator_state, bytes);
}

static bool load(void *st, zo_reader *in)
{
    state *s = st;
    int64_t steps, undone;
    double share;
    zo_reader_take(in, &steps, sizeof steps);
    zo_reader_take(in, &undone, sizeof undone);
    zo_reader_take(in, &share, sizeof share);
    if (steps < 0 || steps > MOST_STEPS || undone < 0 || undone > steps) return false;
    if (!(share > 0 && share <= 1) || !load_learned(s, in)) return false;
    s->l.step = steps;
    s->undone = undone;
    s->share = share;
    zo_reader_take(in, s->l.net->params, s->l.net->arena * sizeof(float));
    for (int i = 0; i < s->rule->slots; i++)
        zo_reader_take(in, s->update.slot[i], s->l.net->arena * sizeof(float));
    if (s->mean) zo_reader_take(in, s->mean->params, s->l.net->arena * sizeof(float));
    return true;
}

static void calm(void *st, int64_t step)
{
    state *s = st;
    if (step > s->l.step) s->undone += step - s->l.step;
    if (step > s->l.step) s->l.step = step;
    s->share /= 2;
}

static const char *setting(const void *st, int index)
{
    state *s = (state *)st; /* the line is scratch */
    for (int b = 0; b < BLOCKS; b++) {
        for (const zo_param *p = s->block[b].of->params; p->name; p++) {
            if (index-- > 0) continue;
            zo_param_show(p, s->block[b].values, s->line, sizeof s->line);
            return s->line;
        }
    }
    return zo_layered_show(&s->layered, index, s->line, sizeof s->line) ? s->line : NULL;
}

static const char *plan(const void *st, int index)
{
    state *s = (state *)st;
    return s->estimator->plan(s->estimator_state, index, s->line, sizeof s->line) ? s->line : NULL;
}

static const char *estimator_name(const void *st)
{
    return ((const state *)st)->estimator->info.name;
}

static const zo_loss_class *loss(const void *st)
{
    const zo_learner *l = &((const state *)st)->l;
    return l->loss_fn || l->batch_fn ? NULL : l->loss;
}

static void time_steps(void *st, zo_timer *timer) { ((state *)st)->timer = timer; }

zo_perturb_parts zo_perturb_parts_of(zo_trainer *t)
{
    state *s = t->state;
    return (zo_perturb_parts){&s->l, s->estimator, s->estimator_state, s->results, s->results_size};
}

void zo_perturb_learn(zo_trainer *t, const zo_trainer *from)
{
    const state *s = t->state;
    size_t n;
    const void *learned = learned_of(from->state, &n);
    if (n) s->estimator->relearn(s->estimator_state, learned);
}

void zo_perturb_take_batch(zo_trainer *t, int64_t step)
{
    state *s = t->state;
    s->l.step = step;
    take_batch(s);
}

static const char *rule_name(const void *st) { return ((const state *)st)->rule->info.name; }

static void fini(void *st)
{
    state *s = st;
    const zo_context *ctx = s->l.ctx;
    if (s->estimator_state) s->estimator->fini(s->estimator_state);
    zo_batches_fini(&s->batches);
    zo_layered_fini(&s->layered);
    zo_update_fini(&s->update);
    void *all[] = {s->estimator_state, s->estimator_set, s->rule_set, s->schedule_set, s->frozen,
                   s->results,         s->l.label,       s->l.target, s->l.x};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    zo_net_destroy(s->mean);
    zo_net_destroy(s->l.net);
}

const zo_trainer_class zo_trainer_perturb = {
    .info = {"perturb", "an estimator's direction from perturbed passes, a rule's step, a schedule",
             "", ZO_USES_LOSS, params},
    .state_size = sizeof(state),
    .init = init,
    .step = step,
    .net = net_of,
    .average = mean_of,
    .uses = uses,
    .save = save,
    .saved = saved,
    .load = load,
    .calm = calm,
    .numbers = numbers,
    .losses = losses,
    .replay = replay,
    .drawn = drawn,
    .redraw = redraw,
    .setting = setting,
    .plan = plan,
    .estimator = estimator_name,
    .rule = rule_name,
    .loss = loss,
    .time = time_steps,
    .fini = fini,
};

/* The public face of trainers: checks once, then calls the class. */
#include "learn/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

zo_trainer_def zo_trainer_default_def(void) { return (zo_trainer_def){0}; }

static const char *method_name(const void *of, int i)
{
    (void)of;
    for (int t = 0; zo_trainer_classes[t]; t++) {
        if (i-- == 0) return zo_trainer_classes[t]->name;
    }
    return zo_estimator_classes[i] ? zo_estimator_classes[i]->name : NULL;
}

zo_status zo_method_read(const zo_context *ctx, const char *text, zo_method *out)
{
    *out = (zo_method){.trainer = "perturb"};
    if (!text) return ZO_OK;
    size_t length = strcspn(text, ":");
    if (length >= sizeof out->estimator || strlen(text + length) > sizeof out->rule) {
        return zo_fail(ctx, ZO_USAGE,
                       "method \"%.40s...\" is not known ('zeroth list' names them all)", text);
    }
    char name[sizeof out->estimator];
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    if (text[length])
        snprintf(out->rule, sizeof out->rule, "%.*s", (int)sizeof out->rule - 1, text + length + 1);
    if (zo_find(zo_estimator_classes, name)) {
        memcpy(out->estimator, name, sizeof name);
    } else if (zo_find(zo_trainer_classes, name)) {
        memcpy(out->trainer, name, sizeof name);
    } else {
        const char *near = zo_nearest(name, method_name, NULL);
        return near
                   ? zo_fail(
                         ctx,
                         ZO_USAGE, "method \"%s\" is not known: did you mean %s? ('zeroth list' names them all)",
                         name, near)
                   : zo_fail(ctx, ZO_USAGE,
                             "method \"%s\" is not known ('zeroth list' names them all)", name);
    }
    if (text[length] && !zo_find(zo_rule_classes, out->rule))
        return zo_fail_unknown(ctx, "rule", out->rule, zo_rule_classes);
    return ZO_OK;
}

zo_status zo_method_net(zo_context *ctx, const char *method, const zo_task *task,
                        const char *const *settings, char *out, size_t room)
{
    zo_method m;
    zo_status status = zo_method_read(ctx, method, &m);
    if (status) return status;
    const zo_trainer_class *class = zo_find(zo_trainer_classes, m.trainer);
    if (class->spec) return class->spec(task, settings, out, room);
    snprintf(out, room, "%s", task->net);
    return ZO_OK;
}

static zo_status check(const zo_context *ctx, const zo_trainer_def *def)
{
    if (!def || !def->task || !def->net)
        return zo_fail(ctx, ZO_USAGE, "a trainer needs a task and a net");
    const zo_task *task = def->task;
    const zo_net *net = def->net;
    if (net->ctx != ctx || task->ctx != ctx)
        return zo_fail(ctx, ZO_USAGE, "the task, the net and the trainer must be of one context");
    if (net->inputs != task->inputs) {
        return zo_fail(ctx, ZO_USAGE, "the net takes %d inputs, the task \"%s\" has %d features",
                       net->inputs, task->name, task->inputs);
    }
    if (net->outputs != task->outputs) {
        return zo_fail(ctx, ZO_USAGE,
                       "the net gives %d outputs, the task \"%s\" needs %d: end it with dense%d",
                       net->outputs, task->name, task->outputs, task->outputs);
    }
    return ZO_OK;
}

/* What a saved state must agree with: the net's shape, every setting, the seed, the data and its split. */
static uint64_t definition_of(const zo_trainer *t, const zo_trainer_def *def)
{
    const zo_task *task = def->task;
    const zo_examples *part = &task->part[ZO_TRAIN];
    size_t n = (size_t)part->n;
    void *sum = zo_checksum_add(NULL, def->net->spec, strlen(def->net->spec));
    const zo_shape *in = &def->net->in;
    if (zo_shape_pixels(in) > 1) {
        const int32_t shape[] = {in->height, in->width, in->channels};
        sum = zo_checksum_add(sum, shape, sizeof shape);
    }
    sum = zo_checksum_add(sum, &def->seed, sizeof def->seed);
    sum = zo_checksum_add(sum, &task->checksum, sizeof task->checksum);
    if (part->label) sum = zo_checksum_add(sum, part->label, n * sizeof *part->label);
    if (part->target)
        sum = zo_checksum_add(sum, part->target, n * (size_t)task->outputs * sizeof *part->target);
    const char *line;
    for (int i = 0; (line = t->class->setting(t->state, i)); i++)
        sum = zo_checksum_add(sum, line, strlen(line));
    return zo_checksum_end(sum);
}

zo_status zo_trainer_dress(zo_net *net, const zo_task *task)
{
    zo_status status = zo_net_set_input(net, task->shift, task->scale);
    if (!status) status = zo_net_set_output(net, task->target_shift, task->target_scale);
    if (!status && task->encoder) status = zo_net_set_note(net, "task", task->encoder);
    return status;
}

zo_status zo_trainer_create(zo_context *ctx, const zo_trainer_def *def, zo_trainer **out)
{
    *out = NULL;
    zo_method method;
    zo_status status = check(ctx, def);
    if (!status) status = zo_method_read(ctx, def->method, &method);
    if (status) return status;
    const zo_trainer_class *class = zo_find(zo_trainer_classes, method.trainer);
    zo_trainer *t = zo_alloc_zero(ctx, 1, sizeof *t);
    void *state = zo_alloc_zero(ctx, 1, class->state_size);
    zo_net *net = NULL;
    status = t && state ? zo_net_copy(def->net, &net) : ZO_NO_MEMORY;
    if (status) {
        zo_free(ctx, t);
        zo_free(ctx, state);
        return status;
    }
    *t = (zo_trainer){.ctx = ctx, .class = class, .state = state};
    status = class->init(state, ctx, def, &method, net);
    if (!status) status = zo_trainer_dress(net, def->task);
    if (!status && !(t->spec = zo_strdup(ctx, def->net->spec))) status = ZO_NO_MEMORY;
    if (status) {
        zo_trainer_destroy(t);
        return status;
    }
    t->hollow = !def->task->part[ZO_TRAIN].x;
    t->definition = definition_of(t, def);
    *out = t;
    return ZO_OK;
}

void zo_trainer_destroy(zo_trainer *t)
{
    if (!t) return;
    t->class->fini(t->state);
    zo_free(t->ctx, t->good);
    zo_free(t->ctx, t->spec);
    zo_free(t->ctx, t->state);
    zo_free(t->ctx, t);
}

zo_status zo_trainer_step(zo_trainer *t, double progress, zo_step_info *out)
{
    zo_step_info info;
    if (!(progress >= 0 && progress <= 1))
        return zo_fail(t->ctx, ZO_USAGE, "progress is a number from 0 to 1");
    if (zo_cancelled(t->ctx)) return zo_fail(t->ctx, ZO_CANCELLED, "stopped on request");
    if (t->hollow) return zo_fail(t->ctx, ZO_UNSUPPORTED, "this trainer has no data to step on");
    return t->class->step(t->state, progress, out ? out : &info);
}

const zo_net *zo_trainer_net(const zo_trainer *t) { return t->class->net(t->state); }

const zo_net *zo_trainer_average(const zo_trainer *t)
{
    return t->class->average ? t->class->average(t->state) : NULL;
}

zo_uses zo_trainer_uses(const zo_trainer *t) { return t->class->uses(t->state); }

const char *zo_trainer_setting(const zo_trainer *t, int index)
{
    return index < 0 ? NULL : t->class->setting(t->state, index);
}

const char *zo_trainer_plan(const zo_trainer *t, int index)
{
    return index < 0 ? NULL : t->class->plan(t->state, index);
}

const char *zo_trainer_estimator(const zo_trainer *t)
{
    return t->class->estimator ? t->class->estimator(t->state) : "";
}

const char *zo_trainer_rule(const zo_trainer *t)
{
    return t->class->rule ? t->class->rule(t->state) : "";
}

const zo_loss_class *zo_trainer_loss(const zo_trainer *t)
{
    return t->class->loss ? t->class->loss(t->state) : NULL;
}

bool zo_trainer_late(const zo_trainer *t) { return t->class->late; }

double zo_trainer_progress(const zo_trainer *t)
{
    return t->class->progress ? t->class->progress(t->state) : 0;
}

double zo_trainer_ending(const zo_trainer *t)
{
    return t->class->ending ? t->class->ending(t->state) : 0;
}

bool zo_trainer_kept(const zo_trainer *t) { return t->class->kept && t->class->kept(t->state); }

bool zo_trainer_grows(const zo_trainer *t, const char *const *began)
{
    return t->class->grows && t->class->grows(t->state, began);
}

void zo_trainer_reopen(zo_trainer *t) { t->class->reopen(t->state); }

size_t zo_trainer_state_size(const zo_trainer *t) { return t->class->saved(t->state); }

void zo_trainer_state_add(const zo_trainer *t, zo_file_out *out) { t->class->save(t->state, out); }

bool zo_trainer_state_take(zo_trainer *t, zo_reader *in) { return t->class->load(t->state, in); }

zo_status zo_trainer_keep_init(zo_trainer *t)
{
    if (!t->class->calm) return ZO_OK;
    t->good = zo_alloc_zero(t->ctx, zo_trainer_state_size(t), 1);
    return t->good ? ZO_OK : ZO_NO_MEMORY;
}

void zo_trainer_keep(zo_trainer *t)
{
    zo_file_out f;
    if (!t->good) return;
    zo_file_out_to_memory(&f, t->ctx, t->good);
    zo_trainer_state_add(t, &f);
}

bool zo_trainer_go_back(zo_trainer *t, int64_t step)
{
    zo_reader in = {t->good, t->good + zo_trainer_state_size(t), false};
    if (!zo_trainer_state_take(t, &in)) return false;
    t->class->calm(t->state, step);
    return true;
}

size_t zo_trainer_numbers(const zo_trainer *t)
{
    return t->class->numbers ? t->class->numbers(t->state) : 0;
}

size_t zo_trainer_losses(const zo_trainer *t, double *out)
{
    return t->class->losses(t->state, out);
}

zo_status zo_trainer_replay(zo_trainer *t, double progress, const double *losses, size_t n,
                            zo_step_info *out)
{
    return t->class->replay(t->state, progress, losses, n, out);
}

const double *zo_trainer_drawn(const zo_trainer *t, size_t *n)
{
    return t->class->drawn(t->state, n);
}

zo_status zo_trainer_redraw(zo_trainer *t, double progress, const double *weight, size_t n)
{
    return t->class->redraw(t->state, progress, weight, n);
}

/* A state file: magic, version, definition, the class's bytes, and a checksum of all that. */
static const char magic[16] = "zeroth trainer 2";

zo_status zo_trainer_save(const zo_trainer *t, const char *path)
{
    zo_file_out f;
    zo_status status = zo_file_out_open(&f, t->ctx, path);
    if (status) return status;
    zo_file_out_add(&f, magic, sizeof magic);
    zo_file_out_add(&f, &t->definition, sizeof t->definition);
    zo_trainer_state_add(t, &f);
    zo_file_out_add_sum(&f);
    status = zo_file_out_close(&f, NULL);
    zo_file_out_drop(&f);
    return status;
}

static zo_status read_state(zo_trainer *t, const char *path, const char *data, size_t size)
{
    size_t frame = sizeof magic + 2 * sizeof(uint64_t);
    if (size < frame || memcmp(data, magic, sizeof magic))
        return zo_fail(t->ctx, ZO_FORMAT, "%s: not a saved trainer", path);
    uint64_t sum, definition;
    memcpy(&sum, data + size - sizeof sum, sizeof sum);
    memcpy(&definition, data + sizeof magic, sizeof definition);
    if (sum != zo_checksum(data, size - sizeof sum))
        return zo_fail(t->ctx, ZO_FORMAT, "%s: damaged: its checksum does not fit", path);
    if (definition != t->definition || size - frame != t->class->saved(t->state)) {
        return zo_fail(t->ctx, ZO_FORMAT,
                       "%s: saved by a trainer with another net, seed, setting or data", path);
    }
    zo_reader in = {data + sizeof magic + sizeof definition, data + size - sizeof sum, false};
    if (!t->class->load(t->state, &in))
        return zo_fail(t->ctx, ZO_FORMAT, "%s: damaged: no trainer can have written it", path);
    return ZO_OK;
}

zo_status zo_trainer_load(zo_trainer *t, const char *path)
{
    char *data;
    size_t size;
    zo_status status = zo_file_read(t->ctx, path, (size_t)1 << 40, &data, &size);
    if (!status) status = read_state(t, path, data, size);
    zo_free(t->ctx, data);
    return status;
}

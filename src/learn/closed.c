/* The trainer around a closed form: definition, phases, state. */
#include "learn/closed_modules.h"
#include "learn/closed_sketch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- definition ---- */

zo_status zo_closed_settings_read(const zo_context *ctx, const zo_class_info *info,
                                  const char *const *given, zo_closed_settings *set)
{
    zo_augment_settings augment;
    zo_block block[] = {{info, set}, {&zo_augment_info, &augment}};
    *set = (zo_closed_settings){.whiten = 0.05, .filters = ZO_CLOSED_RANDOM};
    zo_params_default(info->params, set);
    zo_params_default(zo_augment_info.params, &augment);
    return zo_params_apply(ctx, given, block, 2);
}

static zo_status read_settings(zo_closed *c, const zo_trainer_def *def, const zo_method *method)
{
    const char *name = c->info->name;
    if (*method->rule)
        return zo_fail(c->ctx, ZO_USAGE, "%s takes no steps along a direction: it has no rule",
                       name);
    if (def->loss || def->batch_loss)
        return zo_fail(
            c->ctx, ZO_UNSUPPORTED,
            "%s minimises the losses that its setting `loss` names: it cannot serve a loss of "
            "your own",
            name);
    zo_status status = zo_closed_settings_read(c->ctx, c->info, def->settings, &c->set);
    if (!status && c->set.lambda_least > c->set.lambda_most)
        return zo_fail(c->ctx, ZO_USAGE, "%s: lambda_least=%g is larger than lambda_most=%g", name,
                       c->set.lambda_least, c->set.lambda_most);
    zo_block augment = {&zo_augment_info, &c->augment_set};
    zo_params_default(zo_augment_info.params, &c->augment_set);
    for (const zo_param *p = zo_augment_info.params; p->name && !status; p++) {
        const char *value = zo_settings_get(def->settings, p->name);
        char text[ZO_TEXT_MAX];
        if (!value) continue;
        snprintf(text, sizeof text, "%s=%s", p->name, value);
        status = zo_params_apply(c->ctx, (const char *const[]){text, NULL}, &augment, 1);
    }
    if (!status) status = zo_augment_init(&c->augment, &c->augment_set, c->task, c->seed);
    if (status || c->augment.any == (c->set.copies > 0)) return status;
    return c->augment.any
               ? zo_fail(c->ctx, ZO_USAGE,
                         "%s: each row is seen once; shift, flip, rotate and cutout change "
                         "copies of it: set copies too",
                         name)
               : zo_fail(c->ctx, ZO_USAGE,
                         "%s: copies=%lld would be the same rows: set shift, flip, rotate or "
                         "cutout too",
                         name, (long long)c->set.copies);
}

static zo_status check_net(zo_closed *c)
{
    const zo_net *net = c->net;
    const zo_stage *s = net->stage + net->stages - 1;
    if (strcmp(s->layer->info.name, "dense") != 0 || s->activation)
        return zo_fail(
            c->ctx, ZO_UNSUPPORTED,
            "%s solves for a last layer that is dense, without an activation; \"%.200s%s\" "
            "does not end so: end it with dense%d",
            c->info->name, net->spec, strlen(net->spec) > 200 ? " ..." : "", net->outputs);
    c->last = net->stages - 1;
    c->p = c->most = s->rows;
    c->q = (size_t)net->outputs;
    return ZO_OK;
}

static zo_status check_classes(const zo_closed *c, int64_t *count)
{
    const zo_examples *part = &c->task->part[ZO_TRAIN];
    int there = 0;
    for (int64_t i = 0; i < part->n; i++) count[part->label[i]]++;
    for (int k = 0; k < c->task->classes; k++) there += count[k] > 0;
    for (int k = 0; k < c->task->classes && c->class_weight; k++) {
        c->class_weight[k] = 1;
        if (c->set.balance && count[k])
            c->class_weight[k] = (float)((double)part->n / ((double)there * (double)count[k]));
    }
    if (there > 1) return zo_closed_weigh_classes(c);
    return zo_fail(c->ctx, ZO_USAGE,
                   "%s: the training part of \"%s\" has one class only: nothing tells it from "
                   "others",
                   c->info->name, c->task->name);
}

static zo_status check_data(zo_closed *c)
{
    const zo_task *t = c->task;
    bool weighs = c->set.balance || *c->set.class_weights;
    if (weighs && !t->classes)
        return zo_fail(c->ctx, ZO_USAGE, "%s: %s for classes", c->info->name,
                       c->set.balance ? "balance is" : "class_weights are");
    if (!t->part[ZO_TRAIN].x) return ZO_OK; /* hollow: nothing is ever solved */
    if (!(c->set.lambda > 0) && t->part[ZO_VALIDATION].n < 1)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: there is no validation part to choose lambda on: set lambda",
                       c->info->name);
    if (!t->classes) return ZO_OK;
    int64_t *count = zo_alloc_zero(c->ctx, (size_t)t->classes, sizeof *count);
    if (weighs)
        c->class_weight = zo_alloc_zero(c->ctx, (size_t)t->classes, sizeof *c->class_weight);
    bool there = count && (c->class_weight || !weighs);
    zo_status status = there ? check_classes(c, count) : ZO_NO_MEMORY;
    zo_free(c->ctx, count);
    return status;
}

zo_status zo_closed_init(zo_closed *c, zo_context *ctx, const zo_trainer_def *def,
                         const zo_method *method, zo_net *net, const zo_class_info *info)
{
    *c = (zo_closed){.ctx = ctx, .info = info, .task = def->task, .net = net, .seed = def->seed};
    zo_status status = read_settings(c, def, method);
    if (!status) status = check_net(c);
    double room = status ? 0 : zo_closed_room(c);
    if (!status) status = check_data(c);
    if (!status) status = zo_closed_logistic_check(c);
    if (!status) status = zo_closed_fill_check(c);
    if (!status) status = zo_closed_sketch_init(c);
    if (!status) status = zo_modules_plan(c, room);
    return status ? status : zo_closed_memory(c, room);
}

void zo_closed_fini(void *state)
{
    zo_closed *c = state;
    const zo_context *ctx = c->ctx;
    if (!ctx) return;
    zo_closed_rows_free(c);
    zo_free(ctx, c->class_weight);
    zo_free(ctx, c->sketch);
    zo_modules_fini(c);
    zo_gram_destroy(c->gram);
    zo_net_destroy(c->net);
}

/* ---- steps ---- */

static zo_status take_rows(zo_closed *c, zo_step_info *out)
{
    int64_t before = c->position;
    zo_status status = zo_closed_tile(c);
    out->examples += c->position - before;
    return status;
}

static zo_status solve(zo_closed *c, bool last)
{
    zo_status status = zo_closed_solve(c);
    if (status) return status;
    if (zo_closed_logistic_more(c, last)) return ZO_OK;
    c->phase = ZO_CLOSED_DONE;
    if (c->modules) zo_modules_solved(c);
    return ZO_OK;
}

/* What one step does in its phase. */
static zo_status advance(zo_closed *c, zo_step_info *out)
{
    int scale;
    zo_status status = ZO_OK;
    switch ((zo_closed_phase)c->phase) {
    case ZO_CLOSED_AT_FILL:
        status = zo_closed_fill(c, 0);
        if (status) return status;
        c->phase = c->set.body == ZO_CLOSED_FILL ? ZO_CLOSED_AT_STATISTICS : ZO_CLOSED_AT_ROWS;
        c->position = 0;
        return ZO_OK;
    case ZO_CLOSED_AT_STATISTICS:
        scale = zo_closed_next_scale(c, (int)c->position);
        if (scale >= 0) status = zo_closed_scale(c, scale);
        if (scale >= 0 && !status) status = zo_closed_fill(c, scale + 1);
        if (status) return status;
        c->position = scale + 1;
        if (scale < 0 || zo_closed_next_scale(c, scale + 1) < 0) {
            c->phase = ZO_CLOSED_AT_ROWS;
            c->position = 0;
        }
        return ZO_OK;
    case ZO_CLOSED_AT_ROWS:
        return c->position < zo_closed_all_rows(c) ? take_rows(c, out) : solve(c, false);
    case ZO_CLOSED_AT_UPDATE:
    case ZO_CLOSED_AT_OTHERS: return zo_modules_advance(c);
    case ZO_CLOSED_DONE: return ZO_OK;
    }
    return ZO_OK;
}

/* What there is, and before it a tile, if there was none. */
static zo_status solve_early(zo_closed *c, zo_step_info *out)
{
    zo_status status = ZO_OK;
    while (!status && c->phase < ZO_CLOSED_AT_ROWS) status = advance(c, out);
    if (!status && c->position == 0) status = take_rows(c, out);
    if (!status && c->position < zo_closed_all_rows(c))
        zo_log(c->ctx, ZO_LOG_WARNING,
               "%s: the budget ended before all rows were in: solved with %lld of %lld",
               c->info->name, (long long)c->position, (long long)zo_closed_all_rows(c));
    if (!status) status = solve(c, true);
    if (!status) c->phase = ZO_CLOSED_DONE;
    return status;
}

/* Whether modules were solved for already, and rows of the next one are not all in. */
static bool leaves_modules(const zo_closed *c)
{
    if (!c->modules || !zo_modules_any(c)) return false;
    return c->phase != ZO_CLOSED_AT_ROWS || c->position < zo_closed_all_rows(c);
}

/* Whether a budget that ends now leaves the network as earlier solves made it. */
static bool leaves(const zo_closed *c) { return leaves_modules(c) || zo_closed_logistic_stays(c); }

/* The budget is spent. */
static zo_status finish(zo_closed *c, zo_step_info *out)
{
    if (c->modules && zo_modules_any(c))
        zo_log(c->ctx, ZO_LOG_WARNING, "%s: the budget ended in sweep %lld, at module %lld of %zu",
               c->info->name, (long long)c->modules->sweep + 1, (long long)c->modules->at + 1,
               c->modules->count);
    if (!leaves(c)) return solve_early(c, out);
    zo_status status = zo_closed_tile_init(c);
    if (status) return status;
    if (!c->modules) zo_closed_logistic_stay(c);
    c->phase = ZO_CLOSED_DONE;
    return ZO_OK;
}

/* A step that fails half-way, or is stopped, leaves the state of before it. What it may have changed: the body, the layer that the logistic loss
 * begins with, sums where there were none. The solution is written when nothing can stop the step any more. */
static zo_status step_whole(zo_closed *c, double progress, zo_step_info *out)
{
    zo_closed before = *c;
    bool begins = c->phase < ZO_CLOSED_AT_ROWS || (c->phase == ZO_CLOSED_AT_ROWS && !c->position);
    size_t bytes = begins ? c->net->arena * sizeof(float) : 0;
    float *params = zo_alloc(c->ctx, bytes);
    if (!params) return ZO_NO_MEMORY;
    memcpy(params, c->net->params, bytes);
    bool on = progress < 1 || c->phase == ZO_CLOSED_DONE;
    zo_status status = on ? advance(c, out) : finish(c, out);
    if (status) {
        memcpy(c->net->params, params, bytes);
        c->phase = before.phase, c->position = before.position, c->logistic = before.logistic;
        if (begins) {
            zo_gram_destroy(c->gram);
            c->gram = NULL;
        }
    }
    zo_free(c->ctx, params);
    return status;
}

zo_status zo_closed_step(void *state, double progress, zo_step_info *out)
{
    zo_closed *c = state;
    *out = (zo_step_info){.loss = NAN};
    c->cost = 0;
    int64_t before = c->phase;
    zo_status status = zo_closed_rows_init(c);
    if (!status && c->modules) status = zo_closed_tile_init(c);
    if (!status) status = step_whole(c, progress, out);
    if (status) return status;
    if (c->phase == ZO_CLOSED_DONE && before != ZO_CLOSED_DONE)
        out->loss = zo_closed_loss_of_rows(c);
    out->step = ++c->step;
    out->cost = c->cost;
    out->done = c->phase == ZO_CLOSED_DONE;
    return ZO_OK;
}

double zo_closed_progress(const void *state)
{
    const zo_closed *c = state;
    if (c->phase == ZO_CLOSED_DONE) return 1;
    if (c->phase < ZO_CLOSED_AT_ROWS) return 0.02 * (double)c->phase;
    if (c->modules) return 0.05 + 0.9 * zo_modules_progress(c);
    double rows = (double)c->position / (double)zo_closed_all_rows(c);
    return 0.05 + 0.8 * zo_closed_logistic_share(c, rows);
}

double zo_closed_ending(const void *state)
{
    const zo_closed *c = state;
    return c->phase == ZO_CLOSED_DONE || leaves(c) ? 0 : zo_closed_solve_cost(c);
}

const zo_net *zo_closed_net(const void *state) { return ((const zo_closed *)state)->net; }

zo_uses zo_closed_uses(const void *state)
{
    (void)state;
    return ZO_USES_LOSS_DERIVATIVE;
}

/* ---- state ---- */

/* Bytes of the arrays of the sums, as gram.h says. */
static size_t gram_bytes(const zo_closed *c)
{
    size_t p = c->most, q = c->q, t = ZO_GRAM_TILE,
           floats =
               zo_square_floats(p) + zo_square_rows(p) * zo_round16(q) + p + q + t * (p + q + 1);
    return 32 + floats * sizeof(float) + (p + q) * sizeof(double);
}

size_t zo_closed_saved(const void *state)
{
    const zo_closed *c = state;
    return 3 * sizeof c->step + sizeof c->logistic + sizeof c->lambda +
           c->net->arena * sizeof(float) + gram_bytes(c) + zo_modules_saved(c);
}

static void add_zeros(zo_file_out *out, size_t n)
{
    static const char zeros[4096];
    for (size_t part; n; n -= part) {
        part = n < sizeof zeros ? n : sizeof zeros;
        zo_file_out_add(out, zeros, part);
    }
}

static void save_gram(const zo_closed *c, zo_file_out *out)
{
    zo_gram_array array[ZO_GRAM_ARRAYS];
    size_t left = gram_bytes(c);
    if (c->gram) zo_gram_state(c->gram, array);
    for (int i = 0; c->gram && i < ZO_GRAM_ARRAYS; i++) {
        zo_file_out_add(out, array[i].data, array[i].bytes);
        left -= array[i].bytes;
    }
    add_zeros(out, left); /* before the first tile; smaller modules */
}

void zo_closed_save(const void *state, zo_file_out *out)
{
    const zo_closed *c = state;
    zo_file_out_add(out, &c->step, sizeof c->step);
    zo_file_out_add(out, &c->phase, sizeof c->phase);
    zo_file_out_add(out, &c->position, sizeof c->position);
    zo_file_out_add(out, &c->logistic, sizeof c->logistic);
    zo_file_out_add(out, &c->lambda, sizeof c->lambda);
    zo_file_out_add(out, c->net->params, c->net->arena * sizeof(float));
    save_gram(c, out);
    zo_modules_save(c, out);
}

/* Whether sums belong to this place. */
static bool has_sums(const zo_closed *c, int64_t phase, int64_t position)
{
    return (phase == ZO_CLOSED_DONE && !c->modules) || (phase == ZO_CLOSED_AT_ROWS && position > 0);
}

static bool load_gram(zo_closed *c, zo_reader in, size_t p)
{
    zo_gram_array array[ZO_GRAM_ARRAYS];
    zo_gram *gram;
    if (zo_gram_create(c->ctx, p, c->q, zo_closed_sums(c), &gram)) return false;
    zo_gram_state(gram, array);
    for (int i = 0; i < ZO_GRAM_ARRAYS; i++) zo_reader_take(&in, array[i].data, array[i].bytes);
    if (in.failed || zo_gram_loaded(gram)) {
        zo_gram_destroy(gram);
        return false;
    }
    zo_gram_destroy(c->gram);
    c->gram = gram;
    return true;
}

static bool load_numbers(zo_closed *c, zo_reader *in, bool sums)
{
    size_t params = c->net->arena * sizeof(float), p = c->p;
    const char *numbers = in->at;
    zo_reader gram = {numbers + params, in->end, false},
              modules = {gram.at + gram_bytes(c), in->end, false};
    if ((size_t)(in->end - in->at) < params + gram_bytes(c) + zo_modules_saved(c)) return false;
    if (c->modules && (!zo_modules_check(c, modules, &p) || zo_closed_tile_init(c))) return false;
    if (sums && !load_gram(c, gram, p)) return false;
    if (!sums) {
        zo_gram_destroy(c->gram);
        c->gram = NULL;
    }
    if (c->modules && !zo_modules_load(c, &modules)) return false;
    memcpy(c->net->params, numbers, params);
    in->at = modules.at;
    return true;
}

bool zo_closed_load(void *state, zo_reader *in)
{
    zo_closed *c = state;
    int64_t step, phase, position;
    zo_closed_iterations logistic;
    double lambda;
    zo_reader_take(in, &step, sizeof step);
    zo_reader_take(in, &phase, sizeof phase);
    zo_reader_take(in, &position, sizeof position);
    zo_reader_take(in, &logistic, sizeof logistic);
    zo_reader_take(in, &lambda, sizeof lambda);
    int64_t most = phase < ZO_CLOSED_AT_ROWS ? c->last + 1 : zo_closed_all_rows(c);
    if (phase == ZO_CLOSED_AT_UPDATE) most++;
    if (in->failed || step < 0 || phase < 0 || phase > ZO_CLOSED_DONE || position < 0 ||
        position > most)
        return false;
    if (!c->modules && (phase == ZO_CLOSED_AT_UPDATE || phase == ZO_CLOSED_AT_OTHERS)) return false;
    if (!(lambda >= 0) || isinf(lambda) || !zo_closed_logistic_can_be(c, &logistic)) return false;
    if (!load_numbers(c, in, has_sums(c, phase, position))) return false;
    c->step = step, c->phase = phase, c->position = position;
    c->logistic = logistic, c->lambda = lambda;
    return true;
}

/* ---- what it says of itself ---- */

const char *zo_closed_setting(const void *state, int index)
{
    zo_closed *c = (zo_closed *)state; /* the line is scratch */
    const zo_block block[] = {{c->info, &c->set}, {&zo_augment_info, &c->augment_set}};
    for (int b = 0; b < 2; b++) {
        for (const zo_param *p = block[b].of->params; p->name; p++) {
            if (index-- > 0) continue;
            zo_param_show(p, block[b].values, c->line, sizeof c->line);
            return c->line;
        }
    }
    return NULL;
}

static void say_layer(zo_closed *c)
{
    const zo_stage *s = c->net->stage + c->last;
    double bytes = zo_closed_bytes(c, c->most) + (c->modules ? zo_modules_bytes(c) : 0);
    snprintf(c->line, sizeof c->line,
             "%d %s: solved by %sleast squares for %zu %s%s, all before it fixed; %.3g GB", s->word,
             c->net->word[s->word], zo_closed_is_logistic(c) ? "reweighted " : "",
             c->modules ? s->rows : c->p, c->sketch ? "sums of its inputs" : "features",
             zo_closed_sums(c) & ZO_GRAM_BFLOAT16 ? " in bfloat16" : "", bytes / 1e9);
}

const char *zo_closed_plan(const void *state, int index)
{
    zo_closed *c = (zo_closed *)state;
    bool chosen = !(c->set.lambda > 0), solved = c->phase == ZO_CLOSED_DONE && c->lambda > 0;
    if (c->modules && index > 0) {
        if (index == 1) zo_modules_say(c, c->line, sizeof c->line);
        if (index == 1) return c->line;
        index--;
    }
    if (index == 0)
        say_layer(c);
    else if (index == 1 && c->logistic.iteration > 0)
        zo_closed_logistic_plan(c, c->line, sizeof c->line);
    else if (index == 1 && solved)
        snprintf(c->line, sizeof c->line, "lambda %.3g%s%s, %lld rows", c->lambda,
                 c->modules ? " for the last module" : "", chosen ? ", chosen on validation" : "",
                 (long long)(c->modules ? zo_closed_all_rows(c) : c->position));
    else
        return NULL;
    return c->line;
}

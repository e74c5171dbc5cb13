#include "learn/closed_ensemble.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "learn/closed_modules.h"

uint64_t zo_closed_ensemble_seed(uint64_t seed, int64_t index)
{
    if (!index) return seed;
    zo_random r = zo_random_at(seed, ZO_FOR_MEMBERS, 0, (uint32_t)index);
    uint64_t high = zo_random_word(&r);
    return high << 32 | zo_random_word(&r);
}

static int64_t members_of(const zo_closed_ensemble *e) { return e->member.set.ensemble; }

static int64_t done_of(const zo_closed_ensemble *e)
{
    return e->index + (e->member.phase == ZO_CLOSED_DONE);
}

/* ---- the network of all ---- */

/* { { M1 | M2 }+ | M3 }+: two halves, each again so; blocks lie as few as can be inside each other. */
static void put_members(zo_buffer *to, const char *spec, int64_t n)
{
    if (n == 1) {
        zo_buffer_add(to, spec, strlen(spec));
        return;
    }
    zo_buffer_add(to, "{ ", 2);
    put_members(to, spec, n - n / 2);
    zo_buffer_add(to, " | ", 3);
    put_members(to, spec, n / 2);
    zo_buffer_add(to, " }+", 3);
}

/* Rows of pixels without pads stay as they are where members take all of their numbers at once. */
static zo_status make_whole(zo_closed_ensemble *e)
{
    const zo_closed *c = &e->member;
    const zo_net *net = c->net;
    zo_buffer spec = {.ctx = c->ctx};
    if (net->stage[0].layer->flat && zo_shape_pixels(&net->in) > 1)
        zo_buffer_add(&spec, "flatten ", 8);
    put_members(&spec, net->spec, members_of(e));
    zo_buffer_add(&spec, "", 1);
    zo_status status = spec.status;
    if (!status) status = zo_net_parse(c->ctx, spec.data, net->in, net->outputs, 0, &e->whole);
    if (!status) status = zo_trainer_dress(e->whole, c->task);
    zo_buffer_free(&spec);
    return status;
}

static bool has_numbers(const zo_stage *s) { return s->weight_floats + s->bias_floats > 0; }

/* Stages with numbers of a member. */
static int64_t count_stages(const zo_closed_ensemble *e)
{
    const zo_net *net = e->member.net;
    int64_t n = 0;
    for (int i = 0; i < net->stages; i++) n += has_numbers(net->stage + i);
    return n;
}

/* The numbers of the member at hand to their place in the whole, whose stages come in the same order. */
static void take_numbers(zo_closed_ensemble *e)
{
    const zo_net *from = e->member.net;
    int64_t each = count_stages(e), at = 0;
    const zo_stage *s = from->stage;
    for (int i = 0; i < e->whole->stages; i++) {
        const zo_stage *to = e->whole->stage + i;
        if (!has_numbers(to) || at++ / each != e->index) continue;
        while (!has_numbers(s)) s++;
        memcpy(e->whole->params + to->weight, from->params + s->weight,
               s->weight_floats * sizeof(float));
        memcpy(e->whole->params + to->bias, from->params + s->bias, s->bias_floats * sizeof(float));
        s++;
    }
    const zo_closed *c = &e->member;
    e->solved[e->index] =
        (zo_closed_solved){c->lambda, c->modules ? zo_closed_all_rows(c) : c->position};
}

/* Sums become means. Members that are left out have numbers of zero, and so give zeros. */
static void form_mean(zo_closed_ensemble *e)
{
    int64_t each = count_stages(e), at = 0, n = done_of(e);
    for (int i = 0; i < e->whole->stages; i++) {
        const zo_stage *s = e->whole->stage + i;
        if (!has_numbers(s) || ++at % each) continue;
        float *w = e->whole->params + s->weight, *b = e->whole->params + s->bias;
        for (size_t j = 0; j < s->weight_floats; j++) w[j] /= (float)n;
        for (size_t j = 0; j < s->bias_floats; j++) b[j] /= (float)n;
    }
    e->closed = true;
    if (n < members_of(e))
        zo_log(e->member.ctx, ZO_LOG_WARNING,
               "%s: the budget ended after %lld of %lld members: the mean is that of %lld",
               e->member.info->name, (long long)n, (long long)members_of(e), (long long)n);
}

/* ---- definition ---- */

static zo_status copy_settings(zo_closed_ensemble *e, const char *const *settings)
{
    const zo_context *ctx = e->member.ctx;
    size_t n = 0;
    while (settings && settings[n]) n++;
    e->settings = zo_alloc_zero(ctx, n + 1, sizeof *e->settings);
    for (size_t i = 0; e->settings && i < n; i++) {
        e->settings[i] = zo_strdup(ctx, settings[i]);
        if (!e->settings[i]) return ZO_NO_MEMORY;
    }
    return e->settings ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_closed_ensemble_init(zo_closed_ensemble *e, zo_context *ctx, const zo_trainer_def *def,
                                  const zo_method *method, zo_net *net, const zo_class_info *info)
{
    zo_status status = zo_closed_init(&e->member, ctx, def, method, net, info);
    if (status || members_of(e) == 1) return status;
    if (e->member.set.body == ZO_CLOSED_KEEP)
        return zo_fail(ctx, ZO_USAGE,
                       "%s: with body=keep all members of an ensemble would be the same: set "
                       "ensemble=1",
                       info->name);
    e->seed = def->seed;
    e->method = *method;
    e->solved = zo_alloc_zero(ctx, (size_t)members_of(e), sizeof *e->solved);
    status = e->solved ? copy_settings(e, def->settings) : ZO_NO_MEMORY;
    if (!status) status = make_whole(e);
    if (status) return status;
    double kept = (double)e->whole->arena * sizeof(float); /* the run has a copy */
    return zo_closed_memory(&e->member, zo_closed_room(&e->member) - kept);
}

/* *out = member `index` at its start. fini is due also after an error. */
static zo_status begin(const zo_closed_ensemble *e, int64_t index, zo_closed *out)
{
    const zo_closed *c = &e->member;
    const zo_shape *in = &c->net->in;
    zo_net_def of_net = zo_net_default_def();
    zo_trainer_def def = zo_trainer_default_def();
    zo_net *net;
    *out = (zo_closed){0};
    def.seed = of_net.seed = zo_closed_ensemble_seed(e->seed, index);
    of_net.spec = c->net->spec;
    of_net.inputs = c->net->inputs, of_net.outputs = c->net->outputs;
    of_net.height = in->height, of_net.width = in->width, of_net.channels = in->channels;
    zo_status status = zo_net_create(c->ctx, &of_net, &net);
    if (status) return status;
    def.task = c->task;
    def.settings = (const char *const *)e->settings;
    return zo_closed_init(out, c->ctx, &def, &e->method, net, c->info);
}

void zo_closed_ensemble_fini(void *state)
{
    zo_closed_ensemble *e = state;
    const zo_context *ctx = e->member.ctx;
    for (char **s = e->settings; s && *s; s++) zo_free(ctx, *s);
    if (ctx) zo_free(ctx, e->settings);
    if (ctx) zo_free(ctx, e->solved);
    zo_net_destroy(e->whole);
    zo_closed_fini(&e->member);
}

/* ---- steps ---- */

/* What a member that is done needs no more makes room first. */
static zo_status go_on(zo_closed_ensemble *e)
{
    zo_closed next;
    zo_gram_destroy(e->member.gram);
    e->member.gram = NULL;
    zo_closed_rows_free(&e->member);
    zo_status status = begin(e, e->index + 1, &next);
    if (status) {
        zo_closed_fini(&next);
        return status;
    }
    zo_closed_fini(&e->member);
    e->member = next;
    e->index++;
    return ZO_OK;
}

/* Whether the member at hand has rows, or solutions of them, and is not done. */
static bool has_begun(const zo_closed *c)
{
    if (c->phase < ZO_CLOSED_AT_ROWS || c->phase == ZO_CLOSED_DONE) return false;
    bool solved = c->logistic.iteration > 0 || (c->modules && zo_modules_any(c));
    return c->position > 0 || solved;
}

/* Whether a budget that ends now leaves out the next member: others are done. */
static bool leaves_out(const zo_closed_ensemble *e)
{
    return done_of(e) > 0 && !has_begun(&e->member);
}

static zo_status step_member(zo_closed_ensemble *e, double progress, zo_step_info *out)
{
    zo_status status = e->member.phase == ZO_CLOSED_DONE ? go_on(e) : ZO_OK;
    if (!status) status = zo_closed_step(&e->member, progress, out);
    if (status || !out->done) return status;
    take_numbers(e);
    if (progress >= 1 || done_of(e) == members_of(e)) form_mean(e);
    return ZO_OK;
}

zo_status zo_closed_ensemble_step(void *state, double progress, zo_step_info *out)
{
    zo_closed_ensemble *e = state;
    zo_status status = ZO_OK;
    if (!e->whole) return zo_closed_step(&e->member, progress, out);
    *out = (zo_step_info){.loss = NAN};
    if (!e->closed && progress >= 1 && leaves_out(e))
        form_mean(e);
    else if (!e->closed)
        status = step_member(e, progress, out);
    if (status) return status;
    out->step = ++e->step;
    out->done = e->closed;
    return ZO_OK;
}

const zo_net *zo_closed_ensemble_net(const void *state)
{
    const zo_closed_ensemble *e = state;
    return e->whole ? e->whole : zo_closed_net(&e->member);
}

double zo_closed_ensemble_progress(const void *state)
{
    const zo_closed_ensemble *e = state;
    double own = zo_closed_progress(&e->member);
    if (!e->whole) return own;
    return e->closed ? 1 : ((double)e->index + own) / (double)members_of(e);
}

double zo_closed_ensemble_ending(const void *state)
{
    const zo_closed_ensemble *e = state;
    return e->whole && (e->closed || leaves_out(e)) ? 0 : zo_closed_ending(&e->member);
}

bool zo_closed_ensemble_kept(const void *state)
{
    const zo_closed_ensemble *e = state;
    return !e->whole && zo_closed_kept(&e->member);
}

bool zo_closed_ensemble_grows(const void *state, const char *const *began)
{
    const zo_closed_ensemble *e = state;
    return !e->whole && zo_closed_grows(&e->member, began);
}

void zo_closed_ensemble_reopen(void *state)
{
    zo_closed_ensemble *e = state;
    zo_closed_reopen(&e->member);
}

zo_uses zo_closed_ensemble_uses(const void *state)
{
    return zo_closed_uses(&((const zo_closed_ensemble *)state)->member);
}

/* ---- state ---- */

static size_t own_bytes(const zo_closed_ensemble *e)
{
    return 3 * sizeof e->step + (size_t)members_of(e) * sizeof *e->solved +
           e->whole->arena * sizeof(float);
}

size_t zo_closed_ensemble_saved(const void *state)
{
    const zo_closed_ensemble *e = state;
    return zo_closed_saved(&e->member) + (e->whole ? own_bytes(e) : 0);
}

void zo_closed_ensemble_save(const void *state, zo_file_out *out)
{
    const zo_closed_ensemble *e = state;
    if (e->whole) {
        zo_file_out_add(out, &e->step, sizeof e->step);
        zo_file_out_add(out, &e->index, sizeof e->index);
        zo_file_out_add(out, &e->closed, sizeof e->closed);
        zo_file_out_add(out, e->solved, (size_t)members_of(e) * sizeof *e->solved);
        zo_file_out_add(out, e->whole->params, e->whole->arena * sizeof(float));
    }
    zo_closed_save(&e->member, out);
}

/* The member at hand, or another one in its place. */
static bool load_member(zo_closed_ensemble *e, int64_t index, zo_reader *in)
{
    zo_closed other;
    if (index == e->index) return zo_closed_load(&e->member, in);
    bool fine = !begin(e, index, &other) && zo_closed_load(&other, in);
    zo_closed_fini(fine ? &e->member : &other);
    if (fine) e->member = other;
    return fine;
}

bool zo_closed_ensemble_load(void *state, zo_reader *in)
{
    zo_closed_ensemble *e = state;
    int64_t step, index, closed;
    if (!e->whole) return zo_closed_load(&e->member, in);
    zo_reader_take(in, &step, sizeof step);
    zo_reader_take(in, &index, sizeof index);
    zo_reader_take(in, &closed, sizeof closed);
    size_t solved = (size_t)members_of(e) * sizeof *e->solved,
           numbers = e->whole->arena * sizeof(float);
    if (in->failed || (size_t)(in->end - in->at) < solved + numbers) return false;
    if (step < 0 || index < 0 || index >= members_of(e) || closed < 0 || closed > 1) return false;
    const char *own = in->at;
    in->at += solved + numbers;
    if (!load_member(e, index, in)) return false;
    memcpy(e->solved, own, solved);
    memcpy(e->whole->params, own + solved, numbers);
    e->step = step, e->index = index, e->closed = closed;
    return true;
}

/* ---- what it says of itself ---- */

const char *zo_closed_ensemble_setting(const void *state, int index)
{
    return zo_closed_setting(&((const zo_closed_ensemble *)state)->member, index);
}

const char *zo_closed_ensemble_plan(const void *state, int index)
{
    zo_closed_ensemble *e = (zo_closed_ensemble *)state; /* the line is scratch */
    if (!e->whole || index == 0) return zo_closed_plan(&e->member, index);
    int64_t i = index - 1;
    if (i >= done_of(e)) return NULL;
    const zo_closed_solved *of = e->solved + i;
    snprintf(e->line, sizeof e->line, "member %lld of %lld, seed %llu: lambda %.3g%s, %lld rows",
             (long long)(i + 1), (long long)members_of(e),
             (unsigned long long)zo_closed_ensemble_seed(e->seed, i), of->lambda,
             e->member.set.lambda > 0 ? "" : ", chosen on validation", (long long)of->rows);
    return e->line;
}

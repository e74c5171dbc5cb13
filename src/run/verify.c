#include <math.h>
#include <string.h>
#include <unistd.h>

#include "run/rebuild.h"

/* The state that was saved, as a second trainer of the same recipe. */
typedef struct saved {
    bool there;
    zo_course course;
    zo_net *kept;
    zo_task *hollow;
    zo_trainer *trainer;
} saved;

/* A run killed while it saved, between two renames, has the previous state alone. */
static zo_status load_saved(zo_rebuild *b, const char *run, saved *s)
{
    const char *path = !access(b->checkpoint, F_OK) ? b->checkpoint : b->previous;
    if (access(path, F_OK)) return ZO_OK;
    zo_status status = zo_recipe_trainer(b->ctx, run, b->recipe, &b->def, &s->hollow, &s->trainer);
    if (!status) status = zo_trainer_keep_init(s->trainer);
    if (!status) status = zo_net_copy(zo_trainer_net(s->trainer), &s->kept);
    /* A hollow trainer cannot know the data's part of the definition; the recipe does. */
    const char *definition = json_string_value(json_object_get(b->recipe, "definition"));
    if (!status)
        status = zo_checkpoint_load(path, zo_recipe_hex(definition), false, &s->course, s->kept,
                                    s->trainer);
    s->there = !status;
    /* Its step was taken, even if nothing in the journal follows it. */
    if (s->there && s->course.step > b->survey.done) b->survey.done = s->course.step;
    return status;
}

static void free_saved(saved *s)
{
    zo_trainer_destroy(s->trainer);
    zo_net_destroy(s->kept);
    zo_task_destroy(s->hollow);
}

static void compare_numbers(zo_verified *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out->different += memcmp(a + i, b + i, sizeof *a) != 0;
    out->numbers += (int64_t)n;
}

static uint64_t digest(const zo_trainer *t)
{
    zo_file_out f;
    zo_file_out_sum_only(&f, t->ctx);
    zo_trainer_state_add(t, &f);
    return zo_file_out_digest(&f);
}

/* Where it stands, but for what the clock says. */
static bool same_course(zo_course a, zo_course b)
{
    a.seconds = b.seconds = a.seconds_target = b.seconds_target = 0;
    return !memcmp(&a, &b, sizeof a);
}

static void compare_state(const zo_rebuild *b, const saved *s, zo_verified *out)
{
    const zo_net *net = zo_trainer_net(b->loop.trainer), *then = zo_trainer_net(s->trainer);
    compare_numbers(out, net->params, then->params, net->arena);
    compare_numbers(out, b->loop.kept->params, s->kept->params, net->arena);
    out->different += digest(b->loop.trainer) != digest(s->trainer);
    out->different += !same_course(b->loop.course, s->course);
    const char *good = b->loop.trainer->good; /* NULL: the class keeps none */
    out->different += good && memcmp(good, s->trainer->good, zo_trainer_state_size(s->trainer)) != 0;
    out->numbers += 3;
    out->checkpoint = true;
}

/* The model of a run that went on after it was written is an earlier one. */
static zo_status compare_model(const zo_rebuild *b, zo_verified *out)
{
    zo_net *net;
    if (!b->survey.ended || access(b->model, F_OK)) return ZO_OK;
    zo_status status = zo_net_load(b->ctx, b->model, &net);
    if (status) return status;
    if (net->arena == b->loop.kept->arena)
        compare_numbers(out, b->loop.kept->params, net->params, net->arena);
    else
        out->different += net->parameters;
    out->model = true;
    zo_net_destroy(net);
    return ZO_OK;
}

static zo_status verify(zo_rebuild *b, const char *run, saved *s, zo_verified *out)
{
    zo_status status = load_saved(b, run, s);
    if (!status && s->there) status = zo_rebuild_until(b, s->course.step);
    if (!status && s->there) compare_state(b, s, out);
    if (!status) status = zo_rebuild_all(b);
    if (!status) status = compare_model(b, out);
    if (status || out->model || out->checkpoint) return status;
    return zo_fail(b->ctx, ZO_NOT_FOUND, "%s: neither a model nor a saved state to compare with",
                   run);
}

zo_status zo_verify(zo_context *ctx, const char *run, const zo_train_def *def, zo_verified *out)
{
    zo_rebuild b;
    saved s = {0};
    double start = zo_loop_clock();
    *out = (zo_verified){.seconds_training = NAN};
    if (!run) return zo_fail(ctx, ZO_USAGE, "which run is to be verified?");
    zo_status status = zo_rebuild_open(&b, ctx, run, def);
    if (!status) status = verify(&b, run, &s, out);
    out->steps = b.loop.course.step;
    out->from_losses = b.loop.from_losses;
    out->seconds = zo_loop_clock() - start;
    if (b.survey.named) out->seconds_training = b.survey.seconds;
    free_saved(&s);
    zo_rebuild_close(&b);
    return status;
}

#include "run/rebuild.h"

#include <math.h>
#include <string.h>

static zo_status check_survey(const zo_rebuild *b, const char *run)
{
    const zo_survey *s = &b->survey;
    if (!s->recipe.size) return zo_fail(b->ctx, ZO_FORMAT, "%s: its journal tells of no run", run);
    if (s->forced >= 0)
        return zo_fail(b->ctx, ZO_UNSUPPORTED,
                       "%s: after step %lld it was continued, by force or with more rows, as "
                       "something else, so "
                       "that its steps cannot be taken again",
                       run, (long long)s->forced);
    if (s->gap >= 0)
        return zo_fail(
            b->ctx, ZO_UNSUPPORTED,
            "%s: its journal has a gap before step %lld, from when it could not be written, "
            "so that its steps cannot be taken again",
            run, (long long)s->gap);
    return ZO_OK;
}

static zo_status check_recipe(const zo_rebuild *b, const char *run)
{
    const char *version = json_string_value(json_object_get(b->recipe, "version")),
               *data = json_string_value(json_object_get(b->recipe, "data")),
               *definition = json_string_value(json_object_get(b->recipe, "definition"));
    char now[ZO_SUM_ROOM];
    if (!version || strcmp(version, ZO_VERSION_STRING) != 0)
        return zo_fail(b->ctx, ZO_CHANGED,
                       "%s: zeroth %.40s took its steps, this is " ZO_VERSION_STRING, run,
                       version ? version : "?");
    if (b->hollow) return ZO_OK;
    zo_recipe_sum(b->def.task->checksum, now);
    if (!data || strcmp(data, now) != 0)
        return zo_fail(b->ctx, ZO_CHANGED, "%s: the data have changed: checksum %.20s, now %s", run,
                       data ? data : "?", now);
    zo_recipe_sum(b->loop.trainer->definition, now);
    if (definition && !strcmp(definition, now)) return ZO_OK;
    return zo_fail(b->ctx, ZO_CHANGED,
                   "%s: the examples are split, labelled or scaled in another way", run);
}

static zo_status read_journal(zo_rebuild *b, const char *run)
{
    char *path = zo_path_join(b->ctx, run, "journal");
    zo_status status = path ? ZO_OK : ZO_NO_MEMORY;
    if (!status && zo_append_busy(path))
        status = zo_fail(b->ctx, ZO_BUSY,
                         "%s: the run is still at work: wait for it, or stop it first", run);
    if (!status) status = zo_journal_read(&b->journal, b->ctx, path);
    if (status == ZO_NOT_FOUND)
        zo_fail(b->ctx, ZO_NOT_FOUND,
                "%s: no journal is there, so that its steps cannot be taken again", run);
    zo_free(b->ctx, path);
    if (!status) status = zo_journal_survey(&b->journal, &b->survey);
    return status ? status : check_survey(b, run);
}

static zo_status make_trainer(zo_rebuild *b, const char *run)
{
    b->recipe = zo_recipe_read(b->ctx, run, b->survey.recipe.data, b->survey.recipe.size);
    if (!b->recipe) return ZO_FORMAT;
    zo_status status =
        zo_recipe_trainer(b->ctx, run, b->recipe, &b->def, &b->hollow, &b->loop.trainer);
    if (status || !b->hollow || zo_trainer_numbers(b->loop.trainer)) return status;
    return zo_fail(b->ctx, ZO_UNSUPPORTED,
                   "%s: losses do not determine its steps: its task is needed", run);
}

zo_status zo_rebuild_open(zo_rebuild *b, zo_context *ctx, const char *run, const zo_train_def *def)
{
    *b = (zo_rebuild){.ctx = ctx, .journal.fd = -1};
    if (def) {
        b->def = (zo_train_def){.task = def->task,
                                .init = def->init,
                                .loss = def->loss,
                                .batch_loss = def->batch_loss,
                                .loss_user = def->loss_user};
    }
    b->model = zo_path_join(ctx, run, "model.safetensors");
    b->checkpoint = zo_path_join(ctx, run, "checkpoint");
    b->previous = zo_path_join(ctx, run, "checkpoint.previous");
    bool all = b->model && b->checkpoint && b->previous;
    zo_status status = all ? read_journal(b, run) : ZO_NO_MEMORY;
    if (!status) {
        status = make_trainer(b, run);
        if (status == ZO_UNSUPPORTED) status = ZO_USAGE; /* the caller can help */
    }
    if (!status) status = check_recipe(b, run);
    if (status) return status;
    zo_loop *l = &b->loop;
    l->ctx = ctx;
    l->def = &b->def;
    l->task = b->hollow ? b->hollow : b->def.task;
    l->examples = json_integer_value(json_object_get(b->recipe, "examples"));
    l->by_loss = zo_loop_by_loss(l->trainer, json_is_true(json_object_get(b->recipe, "user_loss")));
    l->journal = &b->journal;
    l->only_journal = true;
    zo_course_begin(&l->course);
    status = zo_trainer_keep_init(l->trainer);
    return status ? status : zo_net_copy(zo_trainer_net(l->trainer), &l->kept);
}

zo_status zo_rebuild_until(zo_rebuild *b, int64_t step)
{
    zo_loop *l = &b->loop;
    l->steps = step < b->survey.done ? step : b->survey.done;
    zo_status status = zo_loop_run(l);
    if (status == ZO_UNSUPPORTED ||
        (!status && l->course.step < l->steps)) /* no data to go on with */
        return zo_fail(b->ctx, ZO_FORMAT, "%s: lacks what step %lld needs", b->journal.file.path,
                       (long long)l->course.step + 1);
    return status;
}

zo_status zo_rebuild_all(zo_rebuild *b)
{
    const zo_survey *s = &b->survey;
    zo_status status = zo_rebuild_until(b, s->done);
    if (!status && s->looked) zo_loop_consider(&b->loop, s->loss, s->accuracy, s->averaged);
    return status;
}

void zo_rebuild_close(zo_rebuild *b)
{
    if (!b->ctx) return;
    zo_trainer_destroy(b->loop.trainer);
    zo_net_destroy(b->loop.kept);
    zo_task_destroy(b->hollow);
    zo_journal_close(&b->journal);
    zo_buffer_free(&b->survey.recipe);
    json_decref(b->recipe);
    zo_free(b->ctx, b->model);
    zo_free(b->ctx, b->checkpoint);
    zo_free(b->ctx, b->previous);
}

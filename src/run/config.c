#include "run/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/metrics.h"
#include "run/recipe.h"

/* Where a table or a data folder lies, whatever folder the run is continued from. */
static void add_path(json_t *o, const char *key, const char *path, bool *failed)
{
    char whole[PATH_MAX];
    if (path && realpath(path, whole) && zo_json_holds(whole))
        zo_json_set(o, key, json_string(whole), failed);
}

static bool is_table(const char *task)
{
    const char *class = task ? zo_task_class_of(task) : NULL;
    return class && !strcmp(class, "csv");
}

/* What is not needed to start the run again, but tells what it was. */
static json_t *about(const zo_train_def *def, const zo_trainer *t, bool *failed)
{
    const zo_net *net = zo_trainer_net(t);
    json_t *o = json_object(), *task = json_loads(def->task->config, 0, NULL);
    zo_json_set(o, "version", json_string(ZO_VERSION_STRING), failed);
    zo_json_set(o, "kernels", json_string(zo_context_kernels(net->ctx)), failed);
    zo_json_set(o, "threads", json_integer(zo_context_threads(net->ctx)), failed);
    zo_json_set(o, "parameters", json_integer(zo_net_parameters(net)), failed);
    zo_json_set(o, "inputs", json_integer(zo_net_inputs(net)), failed);
    zo_json_set(o, "net", json_string(t->spec), failed);
    if (is_table(json_string_value(json_object_get(task, "task"))))
        add_path(o, "path", json_string_value(json_object_get(task, "task")), failed);
    add_path(o, "data", json_string_value(json_object_get(task, "data")), failed);
    zo_json_set(o, "uses", json_string(zo_uses_text(zo_trainer_uses(t))), failed);
    zo_json_set(o, "bits", json_string("portable"), failed);
    zo_json_set(o, "checksum", json_incref(json_object_get(task, "checksum")), failed);
    zo_json_set(o, "plan", zo_metrics_lines(t, failed), failed);
    json_decref(task);
    return o;
}

static void set_positive(json_t *o, const char *key, double value, bool *failed)
{
    if (value > 0) zo_json_set(o, key, json_real(value), failed);
}

static json_t *config_of(const zo_train_def *def, const zo_trainer *t, bool *failed)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)def->seed);
    json_t *o = json_object(), *task = json_loads(def->task->config, 0, NULL);
    json_t *name = json_object_get(task, "task"), *data = json_object_get(task, "data"),
           *settings = json_object_get(task, "settings");
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "task", json_incref(name), failed);
    if (json_is_string(data)) zo_json_set(o, "data", json_incref(data), failed);
    zo_json_set(o, "method", json_string(t->class->info.name), failed);
    if (!def->init_path) zo_json_set(o, "net", json_string(t->spec), failed);
    zo_json_set(o, "seed", json_string(seed), failed);
    if (def->init_path) zo_json_set(o, "init", json_string(def->init_path), failed);
    set_positive(o, "seconds", def->seconds, failed);
    set_positive(o, "epochs", def->epochs, failed);
    set_positive(o, "forwards", def->forwards, failed);
    set_positive(o, "target", def->target, failed);
    if (def->measure) zo_json_set(o, "measure", json_string(def->measure), failed);
    zo_json_set(o, "settings", zo_recipe_settings(t, failed), failed);
    if (json_object_size(settings)) zo_json_set(o, "task_settings", json_incref(settings), failed);
    zo_json_set(o, "record", about(def, t, failed), failed);
    json_decref(task);
    return o;
}

/* A budget that is read back must be the same number. */
static size_t digits(const zo_train_def *def)
{
    const double number[] = {def->seconds, def->epochs, def->forwards, def->target};
    char text[32];
    for (int i = 0; i < 4; i++) {
        double back = 0;
        snprintf(text, sizeof text, "%.12g", number[i]);
        if (!zo_read_real(text, strlen(text), &back) || back != number[i])
            return JSON_REAL_PRECISION(17);
    }
    return JSON_REAL_PRECISION(12);
}

zo_status zo_config_text(const zo_context *ctx, json_t *json, bool failed, size_t flags,
                         zo_buffer *out)
{
    *out = (zo_buffer){.ctx = ctx};
    if (failed) out->status = zo_fail(ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    zo_json_text(json, flags, out);
    zo_buffer_add(out, "\n", 1);
    json_decref(json);
    return out->status;
}

zo_status zo_config_write(const zo_context *ctx, const char *path, const zo_train_def *def,
                          const zo_trainer *trainer)
{
    bool failed = false;
    zo_buffer text;
    json_t *config = config_of(def, trainer, &failed);
    zo_status status = zo_config_text(ctx, config, failed, JSON_INDENT(2) | digits(def), &text);
    if (!status) status = zo_file_write(ctx, path, text.data, text.size);
    zo_buffer_free(&text);
    return status;
}

#include "run/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"

static json_t *settings_of(const zo_trainer *t, bool *failed)
{
    json_t *all = json_object();
    const char *line;
    for (int i = 0; (line = zo_trainer_setting(t, i)); i++) {
        char key[64];
        size_t length = strcspn(line, "=");
        snprintf(key, sizeof key, "%.*s", (int)length, line);
        zo_json_set(all, key, json_string(line + length + 1), failed);
    }
    return all;
}

static json_t *plan_of(const zo_trainer *t, bool *failed)
{
    json_t *all = json_array();
    const char *line;
    for (int i = 0; (line = zo_trainer_plan(t, i)); i++)
        *failed |= json_array_append_new(all, json_string(line)) != 0;
    return all;
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
    zo_json_set(o, "uses", json_string(zo_uses_text(zo_trainer_uses(t))), failed);
    zo_json_set(o, "bits", json_string("portable"), failed);
    zo_json_set(o, "checksum", json_incref(json_object_get(task, "checksum")), failed);
    zo_json_set(o, "plan", plan_of(t, failed), failed);
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
    if (!def->init_path) zo_json_set(o, "net", json_string(zo_net_spec(zo_trainer_net(t))), failed);
    zo_json_set(o, "seed", json_string(seed), failed);
    if (def->init_path) zo_json_set(o, "init", json_string(def->init_path), failed);
    set_positive(o, "seconds", def->seconds, failed);
    set_positive(o, "epochs", def->epochs, failed);
    set_positive(o, "forwards", def->forwards, failed);
    set_positive(o, "target", def->target, failed);
    zo_json_set(o, "settings", settings_of(t, failed), failed);
    if (json_object_size(settings)) zo_json_set(o, "task_settings", json_incref(settings), failed);
    zo_json_set(o, "record", about(def, t, failed), failed);
    json_decref(task);
    return o;
}

/* The JSON as text, with numbers of 12 digits, followed by a line end. Takes `json` over. */
static zo_status text_of(const zo_record *r, json_t *json, bool failed, size_t flags, zo_buffer *out)
{
    *out = (zo_buffer){.ctx = r->ctx};
    if (failed) out->status = zo_fail(r->ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    zo_json_text(json, flags | JSON_REAL_PRECISION(12), out);
    zo_buffer_add(out, "\n", 1);
    json_decref(json);
    return out->status;
}

static zo_status write_config(zo_record *r, const zo_train_def *def, const zo_trainer *trainer)
{
    bool failed = false;
    zo_buffer text;
    json_t *config = config_of(def, trainer, &failed);
    zo_status status = text_of(r, config, failed, JSON_INDENT(2), &text);
    if (!status) status = zo_file_write(r->ctx, r->config, text.data, text.size);
    zo_buffer_free(&text);
    return status;
}

static zo_status undo(zo_record *r, const char *folder, size_t made, zo_status status)
{
    unlink(r->config);
    unlink(r->metrics);
    zo_folder_unmake(folder, made);
    return status;
}

zo_status zo_record_open(zo_record *r, zo_context *ctx, const zo_train_def *def,
                         const zo_trainer *trainer)
{
    *r = (zo_record){.ctx = ctx, .fd = -1};
    if (!def->out) return ZO_OK;
    r->config = zo_path_join(ctx, def->out, "config.json");
    r->metrics = zo_path_join(ctx, def->out, "metrics.jsonl");
    r->model = zo_path_join(ctx, def->out, "model.safetensors");
    if (!r->config || !r->metrics || !r->model) return ZO_NO_MEMORY;
    size_t made;
    zo_status status = zo_folder_make(ctx, def->out, &made);
    if (status) return status;
    /* metrics.jsonl is made anew or not at all: of two runs that want the folder, one gets it. */
    bool taken = access(r->config, F_OK) == 0 || access(r->model, F_OK) == 0;
    status = taken ? ZO_EXISTS : zo_lines_open(ctx, r->metrics, &r->fd);
    if (status == ZO_EXISTS) {
        return zo_fail(ctx, ZO_EXISTS,
                       "%s: holds a run already; choose another folder, or remove it", def->out);
    }
    if (!status) status = write_config(r, def, trainer);
    return status ? undo(r, def->out, made, status) : ZO_OK;
}

/* Takes the object over. */
static zo_status add_line(zo_record *r, json_t *object, bool failed)
{
    zo_buffer line;
    zo_status status = text_of(r, object, failed, JSON_COMPACT, &line);
    if (!status) status = zo_lines_add(r->ctx, r->metrics, r->fd, line.data, line.size);
    zo_buffer_free(&line);
    return status;
}

void zo_record_report(zo_record *r, const zo_report *p)
{
    if (r->fd < 0 || r->failed) return;
    bool failed = false;
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), &failed);
    zo_json_set(o, "event", json_string("report"), &failed);
    zo_json_set(o, "step", json_integer(p->step), &failed);
    zo_json_set(o, "progress", zo_json_real(p->progress), &failed);
    zo_json_set(o, "seconds", zo_json_real(p->seconds), &failed);
    zo_json_set(o, "epochs", zo_json_real(p->epochs), &failed);
    zo_json_set(o, "forwards", zo_json_real(p->forwards), &failed);
    zo_json_set(o, "forwards_per_second", zo_json_real(p->forwards_per_second), &failed);
    zo_json_set(o, "train_loss", zo_json_real(p->train_loss), &failed);
    zo_json_set(o, "validation_loss", zo_json_real(p->validation_loss), &failed);
    zo_json_set(o, "validation_accuracy", zo_json_real(p->validation_accuracy), &failed);
    zo_json_set(o, "dropped", json_integer(p->dropped), &failed);
    if (!add_line(r, o, failed)) return;
    r->failed = true;
    zo_log(r->ctx, ZO_LOG_WARNING, "%s; training goes on without it", zo_last_error(r->ctx));
}

static json_t *result_of(const char *state, const zo_train_result *v, const zo_net *net,
                         bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("result"), failed);
    zo_json_set(o, "state", json_string(state), failed);
    zo_json_set(o, "method", json_string(v->trainer), failed);
    zo_json_set(o, "estimator", json_string(v->estimator), failed);
    zo_json_set(o, "rule", json_string(v->rule), failed);
    zo_json_set(o, "net", json_string(zo_net_spec(net)), failed);
    zo_json_set(o, "parameters", json_integer(v->parameters), failed);
    zo_json_set(o, "uses", json_string(zo_uses_text(v->uses)), failed);
    zo_json_set(o, "steps", json_integer(v->steps), failed);
    zo_json_set(o, "dropped", json_integer(v->dropped), failed);
    const struct {
        const char *key;
        double value;
    } number[] = {
        {"seconds", v->seconds},
        {"seconds_training", v->seconds_training},
        {"seconds_target", v->seconds_target},
        {"cost", v->cost},
        {"forwards", v->forwards},
        {"epochs", v->epochs},
        {"train_loss", v->train_loss},
        {"validation_loss", v->validation_loss},
        {"validation_accuracy", v->validation_accuracy},
        {"test_loss", v->test_loss},
        {"test_accuracy", v->test_accuracy},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        zo_json_set(o, number[i].key, zo_json_real(number[i].value), failed);
    return o;
}

zo_status zo_record_close(zo_record *r, const char *state, const zo_train_result *result,
                          const zo_net *net)
{
    if (!r->model) return ZO_OK;
    zo_status status = zo_net_save(net, r->model);
    bool failed = false;
    json_t *o = result_of(state, result, net, &failed);
    zo_status line = add_line(r, o, failed);
    if (!status) status = line;
    line = zo_lines_close(r->ctx, r->metrics, r->fd);
    r->fd = -1;
    return status ? status : line;
}

void zo_record_fini(zo_record *r)
{
    if (!r->ctx) return;
    if (r->fd >= 0) close(r->fd);
    zo_free(r->ctx, r->config);
    zo_free(r->ctx, r->metrics);
    zo_free(r->ctx, r->model);
}

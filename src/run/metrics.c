#include "run/metrics.h"

json_t *zo_metrics_report(const zo_report *p, bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("report"), failed);
    zo_json_set(o, "step", json_integer(p->step), failed);
    zo_json_set(o, "progress", zo_json_real(p->progress), failed);
    zo_json_set(o, "seconds", zo_json_real(p->seconds), failed);
    zo_json_set(o, "epochs", zo_json_real(p->epochs), failed);
    zo_json_set(o, "forwards", zo_json_real(p->forwards), failed);
    zo_json_set(o, "forwards_per_second", zo_json_real(p->forwards_per_second), failed);
    zo_json_set(o, "train_loss", zo_json_real(p->train_loss), failed);
    zo_json_set(o, "validation_loss", zo_json_real(p->validation_loss), failed);
    zo_json_set(o, "validation_accuracy", zo_json_real(p->validation_accuracy), failed);
    zo_json_set(o, "dropped", json_integer(p->dropped), failed);
    return o;
}

static json_t *layers_of(const zo_measure *m, bool *failed)
{
    json_t *all = json_array();
    for (int i = 0; i < m->layers; i++) {
        const zo_measured *l = m->layer + i;
        json_t *o = json_object();
        zo_json_set(o, "layer", json_integer(l->layer), failed);
        zo_json_set(o, "word", json_string(l->word), failed);
        zo_json_set(o, "parameters", json_integer(l->parameters), failed);
        zo_json_set(o, "cosine", zo_json_real(l->cosine), failed);
        zo_json_set(o, "predicted", zo_json_real(l->predicted), failed);
        zo_json_set(o, "snr", zo_json_real(l->snr), failed);
        *failed |= json_array_append_new(all, o) != 0;
    }
    return all;
}

/* As shares of the whole. */
static json_t *shares_of(const zo_times *t, bool *failed)
{
    static const char *const phase[ZO_PHASES] = {"batch", "passes", "settle", "direction"};
    json_t *o = json_object();
    double left = t->all - t->looks;
    zo_json_set(o, "seconds", zo_json_real(t->all), failed);
    for (int i = 0; i < ZO_PHASES; i++) {
        zo_json_set(o, phase[i], zo_json_real(t->phase[i] / t->all), failed);
        left -= t->phase[i];
    }
    zo_json_set(o, "looks", zo_json_real(t->looks / t->all), failed);
    zo_json_set(o, "other", zo_json_real(left / t->all), failed);
    return o;
}

json_t *zo_metrics_measure(int64_t step, const char *what, const zo_measure *m,
                           const zo_times *times, bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("measure"), failed);
    zo_json_set(o, "step", json_integer(step), failed);
    zo_json_set(o, "measure", json_string(what), failed);
    zo_json_set(o, "measurement_uses_gradients", json_true(), failed);
    zo_json_set(o, "reference", json_string(m->reference.class->info.name), failed);
    zo_json_set(o, "cosine", zo_json_real(m->cosine), failed);
    zo_json_set(o, "predicted", zo_json_real(m->predicted), failed);
    zo_json_set(o, "layers", layers_of(m, failed), failed);
    zo_json_set(o, "time", shares_of(times, failed), failed);
    return o;
}

json_t *zo_metrics_lines(const zo_trainer *t, bool *failed)
{
    json_t *all = json_array();
    const char *line;
    for (int i = 0; (line = zo_trainer_plan(t, i)); i++)
        *failed |= json_array_append_new(all, json_string(line)) != 0;
    return all;
}

json_t *zo_metrics_plan(int64_t step, const zo_trainer *trainer, bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("plan"), failed);
    zo_json_set(o, "step", json_integer(step), failed);
    zo_json_set(o, "plan", zo_metrics_lines(trainer, failed), failed);
    return o;
}

json_t *zo_metrics_resumed(const zo_context *ctx, const zo_course *course, const char *forced,
                           bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("resumed"), failed);
    zo_json_set(o, "step", json_integer(course->step), failed);
    zo_json_set(o, "seconds", zo_json_real(course->seconds), failed);
    zo_json_set(o, "version", json_string(ZO_VERSION_STRING), failed);
    zo_json_set(o, "kernels", json_string(zo_context_kernels(ctx)), failed);
    zo_json_set(o, "threads", json_integer(zo_context_threads(ctx)), failed);
    if (forced) zo_json_set(o, "forced", json_string(forced), failed);
    return o;
}

json_t *zo_metrics_back(int64_t step, int64_t to, double loss, bool *failed)
{
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("rolled back"), failed);
    zo_json_set(o, "step", json_integer(step), failed);
    zo_json_set(o, "to", json_integer(to), failed);
    zo_json_set(o, "loss", zo_json_real(loss), failed);
    return o;
}

json_t *zo_metrics_result(zo_end end, const zo_train_result *v, const zo_net *net, bool *failed)
{
    static const char *const state[] = {"done", "stopped", "diverged"};
    json_t *o = json_object();
    zo_json_set(o, "schema", json_integer(1), failed);
    zo_json_set(o, "event", json_string("result"), failed);
    zo_json_set(o, "state", json_string(state[end]), failed);
    zo_json_set(o, "method", json_string(v->trainer), failed);
    zo_json_set(o, "estimator", json_string(v->estimator), failed);
    zo_json_set(o, "rule", json_string(v->rule), failed);
    zo_json_set(o, "net", json_string(zo_net_spec(net)), failed);
    zo_json_set(o, "parameters", json_integer(v->parameters), failed);
    zo_json_set(o, "uses", json_string(zo_uses_text(v->uses)), failed);
    zo_json_set(o, "steps", json_integer(v->steps), failed);
    zo_json_set(o, "dropped", json_integer(v->dropped), failed);
    zo_json_set(o, "rolled_back", json_integer(v->rolled_back), failed);
    zo_json_set(o, "resumed", json_integer(v->resumed), failed);
    zo_json_set(o, "memory", json_integer(v->memory), failed);
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

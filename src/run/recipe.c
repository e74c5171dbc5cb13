#include "run/recipe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX 1024 /* those of single layers included */

uint64_t zo_recipe_numbers(const zo_net *net)
{
    return zo_checksum(net->params, net->arena * sizeof *net->params);
}

uint64_t zo_recipe_hex(const char *text) { return text ? strtoull(text, NULL, 16) : 0; }

/* ---- writing ---- */

const char *zo_recipe_sum(uint64_t sum, char *out)
{
    snprintf(out, ZO_SUM_ROOM, "%016" PRIx64, sum);
    return out;
}

static json_t *hex(uint64_t value)
{
    char text[ZO_SUM_ROOM];
    return json_string(zo_recipe_sum(value, text));
}

json_t *zo_recipe_settings(const zo_trainer *t, bool *failed)
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

static void add_budget(json_t *o, const zo_train_def *def, bool *failed)
{
    const struct {
        const char *key;
        double value;
    } number[] = {{"seconds", def->seconds},
                  {"epochs", def->epochs},
                  {"forwards", def->forwards},
                  {"target", def->target}};
    for (int i = 0; i < 4; i++)
        if (number[i].value > 0) zo_json_set(o, number[i].key, json_real(number[i].value), failed);
}

static void add_code(json_t *o, const zo_context *ctx, const zo_trainer *t, bool *failed)
{
    zo_json_set(o, "version", json_string(ZO_VERSION_STRING), failed);
    zo_json_set(o, "kernels", json_string(zo_context_kernels(ctx)), failed);
    zo_json_set(o, "bits", json_string(t->class->same_machine ? "same-machine" : "portable"),
                failed);
}

static void add_net(json_t *o, const zo_train_def *def, const zo_trainer *t, const char *init,
                    bool *failed)
{
    const zo_net *net = zo_trainer_net(t);
    zo_json_set(o, "net", json_string(t->spec), failed);
    zo_json_set(o, "inputs", json_integer(net->inputs), failed);
    if (zo_shape_pixels(&net->in) > 1)
        zo_json_set(o, "shape",
                    json_pack("[i,i,i]", net->in.height, net->in.width, net->in.channels), failed);
    zo_json_set(o, "outputs", json_integer(net->outputs), failed);
    zo_json_set(o, "parameters", json_integer(net->parameters), failed);
    if (init || def->init)
        zo_json_set(o, "init", init ? json_string(init) : hex(zo_recipe_numbers(def->init)), failed);
}

zo_status zo_recipe_write(zo_context *ctx, const zo_train_def *def, const zo_trainer *t,
                          const char *init, const char *forced, zo_buffer *out)
{
    bool failed = false;
    char seed[24];
    json_t *o = json_object();
    snprintf(seed, sizeof seed, "%" PRIu64, def->seed);
    add_code(o, ctx, t, &failed);
    zo_json_set(o, "trainer", json_string(t->class->info.name), &failed);
    zo_json_set(o, "settings", zo_recipe_settings(t, &failed), &failed);
    zo_json_set(o, "seed", json_string(seed), &failed);
    add_net(o, def, t, init, &failed);
    zo_json_set(o, "classes", json_integer(def->task->classes), &failed);
    zo_json_set(o, "data", hex(def->task->checksum), &failed);
    zo_json_set(o, "examples", json_integer(def->task->part[ZO_TRAIN].n), &failed);
    zo_json_set(o, "definition", hex(t->definition), &failed);
    zo_json_set(o, "user_loss", json_boolean(def->loss || def->batch_loss), &failed);
    zo_json_set(o, "loss_jumps", json_boolean(def->loss_jumps), &failed);
    add_budget(o, def, &failed);
    if (forced) zo_json_set(o, "forced", json_string(forced), &failed);
    *out = (zo_buffer){.ctx = ctx};
    if (failed) out->status = zo_fail(ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    zo_json_text(o, JSON_COMPACT | JSON_REAL_PRECISION(17), out);
    json_decref(o);
    return out->status;
}

/* ---- reading ---- */

json_t *zo_recipe_read(const zo_context *ctx, const char *where, const char *text, size_t size)
{
    json_t *o = zo_json_parse(ctx, where, text, size);
    if (!o || json_is_object(o)) return o;
    zo_fail(ctx, ZO_FORMAT, "%s: does not say what the run is made of", where);
    json_decref(o);
    return NULL;
}

static long long whole_at(const json_t *array, size_t i)
{
    return (long long)json_integer_value(json_array_get(array, i));
}

/* A number, a text or a shape of a recipe as text; "none" where there is none. */
static const char *shown(const json_t *o, const char *key, char *room, size_t size)
{
    const json_t *value = json_object_get(o, key);
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_array(value))
        snprintf(room, size, "%lldx%lldx%lld", whole_at(value, 0), whole_at(value, 1),
                 whole_at(value, 2));
    else if (json_is_integer(value))
        snprintf(room, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(room, size, "%.12g", json_real_value(value));
    else
        snprintf(room, size, "%s",
                 json_is_true(value)    ? "yes"
                 : json_is_false(value) ? "no"
                                        : "none");
    return room;
}

bool zo_recipe_same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == y || json_equal(x, y);
}

static bool settings_differ(const json_t *began, const json_t *now, char *why, size_t room)
{
    const json_t *a = json_object_get(began, "settings"), *b = json_object_get(now, "settings");
    const char *key;
    json_t *value;
    char one[32], two[32];
    if (json_equal(a, b)) return false;
    snprintf(why, room, "the settings differ");
    json_object_foreach((json_t *)b, key, value)
    {
        if (zo_recipe_same(a, b, key)) continue;
        snprintf(why, room, "it began with %s=%s, this is %s=%s", key,
                 shown(a, key, one, sizeof one), key, shown(b, key, two, sizeof two));
        break;
    }
    return true;
}

zo_status zo_recipe_compare(const json_t *began, const json_t *now, char *why, size_t room)
{
    static const struct {
        const char *key, *before, *between,
            *after; /* what it began with lies before `between`, what is now after */
    } parts[] = {
        {"version", "zeroth ", " began it, this is ", ""},
        {"seed", "it began with seed ", ", this is ", ""},
        {"data", "the data have changed: checksum ", ", now ", ""},
        {"examples", "it began with ", " training examples, now there are ", ""},
        {"trainer", "the trainer ", " began it, this is ", ""},
        {"net", "its net is \"", "\", not \"", "\""},
        {"inputs", "its net takes ", " inputs, not ", ""},
        {"shape", "its net takes images of ", ", not ", ""},
        {"init", "its first network: ", " when it began, ", " now"},
        {"user_loss", "a loss of the user's own: ", " when it began, ", " now"},
        {"loss_jumps", "loss_jumps: ", " when it began, ", " now"},
        {"seconds", "its budget is seconds=", ", not ", ""},
        {"epochs", "its budget is epochs=", ", not ", ""},
        {"forwards", "its budget is forwards=", ", not ", ""},
        {"target", "its target is ", ", not ", ""},
        {"bits", "its bits are ", ", now ", ""},
    };
    char one[32], two[32];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *key = parts[i].key;
        if (zo_recipe_same(began, now, key)) continue;
        snprintf(why, room, "%s%s%s%s%s", parts[i].before, shown(began, key, one, sizeof one),
                 parts[i].between, shown(now, key, two, sizeof two), parts[i].after);
        return ZO_CHANGED;
    }
    if (settings_differ(began, now, why, room)) return ZO_CHANGED;
    const char *bits = json_string_value(json_object_get(began, "bits"));
    if (bits && strcmp(bits, "portable") != 0 && !zo_recipe_same(began, now, "kernels")) {
        snprintf(why, room, "its bits depend on the kernels: %s when it began, %s now",
                 shown(began, "kernels", one, sizeof one), shown(now, "kernels", two, sizeof two));
        return ZO_CHANGED;
    }
    if (zo_recipe_same(began, now, "definition")) return ZO_OK;
    snprintf(why, room, "the examples are split, labelled or scaled in another way");
    return ZO_CHANGED;
}

void zo_recipe_method(const json_t *recipe, char *out, size_t room)
{
    const json_t *settings = json_object_get(recipe, "settings");
    const char *estimator = json_string_value(json_object_get(settings, "estimator")),
               *rule = json_string_value(json_object_get(settings, "rule")),
               *trainer = json_string_value(json_object_get(recipe, "trainer"));
    if (estimator && rule)
        snprintf(out, room, "%s:%s", estimator, rule);
    else
        snprintf(out, room, "%s", trainer ? trainer : "?");
}

/* ---- making the trainer again ---- */

/* Stands for the user's loss where nothing is evaluated. */
static void no_loss(void *user, int n, int outputs, const float *y, int stride,
                    const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)outputs, (void)y, (void)stride, (void)label, (void)target;
    for (int i = 0; i < n; i++) loss[i] = 0;
}

static double no_batch_loss(void *user, int n, int outputs, const float *y, int stride,
                            const int32_t *label, const float *target)
{
    (void)user, (void)n, (void)outputs, (void)y, (void)stride, (void)label, (void)target;
    return 0;
}

typedef struct making {
    zo_context *ctx;
    const char *where;
    const json_t *recipe;
    const zo_train_def *def;
    const char *settings[SETTINGS_MAX + 1];
    zo_buffer texts;
} making;

static zo_status bad(const making *m, const char *what)
{
    return zo_fail(m->ctx, ZO_FORMAT, "%s: no run can have begun like this: %s", m->where, what);
}

/* "key=value" texts; a loss of the user's own is no setting that could be read. */
static zo_status read_settings(making *m)
{
    const char *key;
    json_t *value;
    size_t start[SETTINGS_MAX], n = 0;
    bool user = json_is_true(json_object_get(m->recipe, "user_loss"));
    m->texts = (zo_buffer){.ctx = m->ctx};
    json_object_foreach(json_object_get(m->recipe, "settings"), key, value)
    {
        const char *text = json_string_value(value);
        if (!text) return bad(m, "a setting is no text");
        if (user && !strcmp(key, "loss")) continue;
        if (n == SETTINGS_MAX) return bad(m, "too many settings");
        start[n++] = m->texts.size;
        zo_buffer_add(&m->texts, key, strlen(key));
        zo_buffer_add(&m->texts, "=", 1);
        zo_buffer_add(&m->texts, text, strlen(text) + 1);
    }
    for (size_t i = 0; i < n && !m->texts.status; i++) m->settings[i] = m->texts.data + start[i];
    return m->texts.status;
}

bool zo_recipe_grows(const json_t *began, const json_t *now, const zo_trainer *trainer)
{
    static const char *const may[] = {"settings", "definition", "kernels", "forced"};
    making m = {.ctx = trainer->ctx, .where = "", .recipe = began};
    json_t *rest = json_copy((json_t *)began), *other = json_copy((json_t *)now);
    for (size_t i = 0; i < sizeof may / sizeof *may; i++) {
        json_object_del(rest, may[i]);
        json_object_del(other, may[i]);
    }
    bool grows = rest && other && json_equal(rest, other) && !read_settings(&m) &&
                 zo_trainer_grows(trainer, m.settings);
    json_decref(rest);
    json_decref(other);
    zo_buffer_free(&m.texts);
    return grows;
}

static zo_status read_seed(const making *m, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(m->recipe, "seed"));
    char end;
    if (text && *text >= '0' && *text <= '9' && sscanf(text, "%" SCNu64 "%c", out, &end) == 1)
        return ZO_OK;
    return bad(m, "its seed is no number");
}

static zo_status make_task(const making *m, zo_task **out)
{
    int64_t inputs = zo_json_whole(m->recipe, "inputs", 1, 1 << 20),
            outputs = zo_json_whole(m->recipe, "outputs", 1, 1 << 20),
            classes = zo_json_whole(m->recipe, "classes", 0, 1 << 20),
            n = zo_json_whole(m->recipe, "examples", 1, INT32_MAX);
    if (inputs < 0 || outputs < 0 || classes < 0 || n < 0) return bad(m, "impossible sizes");
    int64_t batch = 65536; /* as many examples as any batch has; nothing is made for the others */
    return zo_task_hollow(m->ctx, (int)inputs, (int)outputs, (int)classes, n < batch ? n : batch,
                          out);
}

/* The first network: the user's, or drawn from the seed. */
static zo_status make_net(const making *m, uint64_t seed, zo_net **out)
{
    char sum[ZO_SUM_ROOM];
    const char *init = json_string_value(json_object_get(m->recipe, "init")),
               *spec = json_string_value(json_object_get(m->recipe, "net"));
    if (init && (!m->def || !m->def->init)) {
        return zo_fail(m->ctx, ZO_UNSUPPORTED,
                       "%s: the run started from another network, which is needed here", m->where);
    }
    if (init) {
        if (!strcmp(zo_recipe_sum(zo_recipe_numbers(m->def->init), sum), init))
            return zo_net_copy(m->def->init, out);
        return zo_fail(m->ctx, ZO_CHANGED, "%s: the network that the run started from has changed",
                       m->where);
    }
    zo_net_def n = zo_net_default_def();
    n.spec = spec;
    n.inputs = (int)zo_json_whole(m->recipe, "inputs", 1, 1 << 20);
    const json_t *shape = json_object_get(m->recipe, "shape");
    int *side[] = {&n.height, &n.width, &n.channels};
    for (size_t i = 0; i < 3 && json_is_array(shape); i++) {
        json_int_t x = json_integer_value(json_array_get(shape, i));
        *side[i] = x < 0 || x > 1 << 20 ? -1 : (int)x;
    }
    n.outputs = (int)zo_json_whole(m->recipe, "outputs", 1, 1 << 20);
    n.seed = seed;
    return spec ? zo_net_create(m->ctx, &n, out) : bad(m, "no net");
}

/* The loss of the user's own: the one that is given, or nothing's. */
static zo_status set_loss(const making *m, const zo_task *task, zo_trainer_def *t)
{
    const zo_train_def *def = m->def;
    const json_t *settings = json_object_get(m->recipe, "settings");
    const char *name = json_string_value(json_object_get(settings, "loss"));
    bool batch = name && !strcmp(name, ZO_LOSS_USER_BATCH),
         given = def && (batch ? def->batch_loss != NULL : def->loss != NULL);
    if (!json_is_true(json_object_get(m->recipe, "user_loss"))) return ZO_OK;
    if (!given && task->part[ZO_TRAIN].x)
        return zo_fail(m->ctx, ZO_UNSUPPORTED, "%s: the loss of the user's own is needed", m->where);
    if (batch)
        t->batch_loss = given ? def->batch_loss : no_batch_loss;
    else
        t->loss = given ? def->loss : no_loss;
    t->loss_user = given ? def->loss_user : NULL;
    return ZO_OK;
}

static zo_status make_trainer(const making *m, const zo_task *task, uint64_t seed,
                              const zo_net *net, zo_trainer **out)
{
    zo_trainer_def t = zo_trainer_default_def();
    t.method = json_string_value(json_object_get(m->recipe, "trainer"));
    t.task = task;
    t.net = net;
    t.seed = seed;
    t.settings = m->settings;
    t.loss_jumps = json_is_true(json_object_get(m->recipe, "loss_jumps"));
    zo_status status = set_loss(m, task, &t);
    return status ? status : zo_trainer_create(m->ctx, &t, out);
}

static zo_status make(making *m, zo_task **task, zo_trainer **out)
{
    uint64_t seed = 0;
    zo_net *net = NULL;
    const zo_task *given = m->def ? m->def->task : NULL;
    zo_status status = read_seed(m, &seed);
    if (!status) status = read_settings(m);
    if (!status && !given) status = make_task(m, task);
    if (!status) status = make_net(m, seed, &net);
    if (!status) status = make_trainer(m, given ? given : *task, seed, net, out);
    zo_net_destroy(net);
    return status;
}

zo_status zo_recipe_trainer(zo_context *ctx, const char *where, const json_t *recipe,
                            const zo_train_def *def, zo_task **task, zo_trainer **out)
{
    making m = {.ctx = ctx, .where = where, .recipe = recipe, .def = def};
    char why[512];
    *task = NULL;
    *out = NULL;
    zo_status status = make(&m, task, out);
    zo_buffer_free(&m.texts);
    if (status == ZO_USAGE) { /* of what the file says, not of what the caller does */
        snprintf(why, sizeof why, "%s", zo_last_error(ctx));
        status = bad(&m, why);
    }
    if (!status) return ZO_OK;
    zo_trainer_destroy(*out);
    zo_task_destroy(*task);
    *task = NULL;
    *out = NULL;
    return status;
}

/* The trials of the contract tests: every estimator with every rule, schedule, loss, activation, task and word of its own choices, read from
 * the registry. A new class is in all of them without a word here.
 */
#ifndef ZO_TESTS_CONTRACT_SUPPORT_H
#define ZO_TESTS_CONTRACT_SUPPORT_H

#include "training_support.h"

#include "base/params.h"

/* One combination to be put to the test. */
typedef struct trial {
    char name[192]; /* for messages */
    char method[80], spec[80];
    char setting[4][80]; /* the last is left out where it is empty or one of the others names its key */
    const char *settings[5];
    const char *task; /* registered name; NULL: the test's own data */
    bool regression, images;
    zo_loss_fn loss;
    zo_batch_loss_fn batch_loss;
    void *loss_user;
} trial;

static inline void put_setting(trial *t, int at, const char *key, const char *value)
{
    snprintf(t->setting[at], sizeof t->setting[at], "%s=%s", key, value);
}

/* "estimator:rule" with up to two settings beside batch=48, and a population that is not larger than it need be. */
static inline trial trial_of(const char *estimator, const char *rule)
{
    trial t = {.spec = "dense9 tanh dense20 leaky-relu dense3"};
    const zo_class_info *e = zo_class_find("estimators", estimator);
    for (const zo_param *p = e->params; p->name; p++) {
        if (!strcmp(p->name, "population") && p->standard > 64) put_setting(&t, 3, p->name, "64");
    }
    snprintf(t.method, sizeof t.method, "%s:%s", estimator, rule);
    put_setting(&t, 0, "batch", "48");
    put_setting(&t, 1, "batch", "48");
    put_setting(&t, 2, "batch", "48");
    return t;
}

/* Points the settings at their texts: a trial is copied by value. */
static inline const char *const *settings_of(trial *t)
{
    size_t key = strcspn(t->setting[3], "=");
    bool more = key > 0;
    for (int i = 0; i < 3; i++) {
        t->settings[i] = t->setting[i];
        more = more && strncmp(t->setting[i], t->setting[3], key + 1) != 0;
    }
    t->settings[3] = more ? t->setting[3] : NULL;
    t->settings[4] = NULL;
    return t->settings;
}

static inline zo_task *task_of(zo_context *ctx, const trial *t)
{
    if (t->task) return named_task(ctx, t->task, 5, SETTINGS("n=130"));
    if (t->images) return make_images(ctx, 14, 5, 5, 1, t->regression ? 0 : 3, 3);
    return make_task(ctx, 110, 6, t->regression ? 0 : 3, 3);
}

/* The spec of a trial ends as its task needs. */
static inline zo_net *net_of(zo_context *ctx, const trial *t, const zo_task *task)
{
    char spec[96];
    snprintf(spec, sizeof spec, "%s", t->spec);
    if (t->task) snprintf(spec, sizeof spec, "dense11 tanh dense%d", task->outputs);
    return make_net(ctx, task, spec, 3);
}

static inline zo_status create(zo_context *ctx, trial *t, const zo_task *task, const zo_net *net,
                               uint64_t seed, zo_trainer **out)
{
    zo_trainer_def def = zo_trainer_default_def();
    def.method = t->method;
    def.task = task;
    def.net = net;
    def.seed = seed;
    def.settings = settings_of(t);
    def.loss = t->loss;
    def.batch_loss = t->batch_loss;
    def.loss_user = t->loss_user;
    return zo_trainer_create(ctx, &def, out);
}

/* A task, a net and a trainer that live and die together. */
typedef struct house {
    zo_task *task;
    zo_net *net;
    zo_trainer *trainer;
} house;

static inline void pull_down(house *h)
{
    zo_trainer_destroy(h->trainer);
    zo_net_destroy(h->net);
    zo_task_destroy(h->task);
}

/* False where the combination is UNSUPPORTED; any other failure is a failure of the test. */
static inline bool build(zo_context *ctx, trial *t, uint64_t seed, house *h)
{
    *h = (house){.task = task_of(ctx, t)};
    h->net = net_of(ctx, t, h->task);
    zo_status status = create(ctx, t, h->task, h->net, seed, &h->trainer);
    if (!status) return true;
    if (status != ZO_UNSUPPORTED)
        fail_msg("%s: %s: %s", t->name, zo_status_name(status), zo_last_error(ctx));
    assert_null(h->trainer);
    assert_null(strchr(zo_last_error(ctx), '\n'));
    pull_down(h);
    return false;
}

/* Steps from .. to - 1 of a run of 8. */
static inline void walk(zo_context *ctx, const trial *t, zo_trainer *trainer, int from, int to)
{
    for (int i = from; i < to; i++) {
        zo_step_info info = {0};
        zo_status status = zo_trainer_step(trainer, i / 8.0, &info);
        if (status)
            fail_msg("%s: step %d: %s: %s", t->name, i, zo_status_name(status), zo_last_error(ctx));
        assert_int_equal(info.step, i + 1);
        assert_true(info.examples > 0 && info.cost > 0 && isfinite(info.loss));
    }
}

/* What a trainer holds: the parameters, malloc'ed, with their number. */
static inline float *copy_of(const zo_trainer *trainer, size_t *n)
{
    const zo_net *net = zo_trainer_net(trainer);
    float *p = floats(net->arena);
    memcpy(p, net->params, net->arena * sizeof *p);
    *n = net->arena;
    return p;
}

static inline bool holds(const zo_trainer *trainer, const float *p)
{
    const zo_net *net = zo_trainer_net(trainer);
    return !memcmp(net->params, p, net->arena * sizeof *p);
}

/* Whether a registered task makes its examples itself: then it can be told how many. */
static inline bool made_up(const zo_class_info *task)
{
    const zo_param *p = task->params;
    while (p->name && strcmp(p->name, "n")) p++;
    return p->name != NULL;
}

typedef void (*trial_fn)(trial *t);

/* Every estimator x rule. */
static inline void each_rule(trial_fn body)
{
    const zo_class_info *e, *r;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (int j = 0; (r = zo_class_at("rules", j)); j++) {
            trial t = trial_of(e->name, r->name);
            snprintf(t.name, sizeof t.name, "%s", t.method);
            body(&t);
        }
    }
}

/* Every estimator x rule x schedule. */
static inline void each_method(trial_fn body)
{
    const zo_class_info *e, *r, *s;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (int j = 0; (r = zo_class_at("rules", j)); j++) {
            for (int k = 0; (s = zo_class_at("schedules", k)); k++) {
                trial t = trial_of(e->name, r->name);
                put_setting(&t, 1, "schedule", s->name);
                snprintf(t.name, sizeof t.name, "%s, %s", t.method, s->name);
                body(&t);
            }
        }
    }
}

/* Every estimator x every word of its own choices. */
static inline void each_choice(trial_fn body)
{
    const zo_class_info *e, *rule = zo_class_at("rules", 0);
    char word[64];
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (const zo_param *p = e->params; p->name; p++) {
            for (int w = 0; p->type == ZO_PARAM_CHOICE && zo_choice(p->choices, w, word, 64); w++) {
                trial t = trial_of(e->name, rule->name);
                put_setting(&t, 1, p->name, word);
                snprintf(t.name, sizeof t.name, "%s, %s", t.method, t.setting[1]);
                body(&t);
            }
        }
    }
}

/* Every estimator x loss, on labels and on targets. */
static inline void each_loss(trial_fn body)
{
    const zo_class_info *e, *l, *rule = zo_class_at("rules", 0);
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (int j = 0; (l = zo_class_at("losses", j)); j++) {
            for (int regression = 0; regression < 2; regression++) {
                trial t = trial_of(e->name, rule->name);
                t.regression = regression;
                put_setting(&t, 1, "loss", l->name);
                snprintf(t.name, sizeof t.name, "%s, %s, %s", t.method, l->name,
                         regression ? "targets" : "labels");
                body(&t);
            }
        }
    }
}

/* Nets for layers whose example is for other images. */
static inline const char *spec_of_its_own(const char *layer)
{
    static const char *const own[][2] = {
        {"eachconv", "conv2x5,same tanh eachconv3x2 dense3"},
        {"hashhist", "conv2x4,same tanh hashhist3x2 dense3"},
        {"eachdense", "conv2x4,same tanh eachdense4x3 dense3"},
        {"image", "conv2x4,same tanh flatten image2 conv3x4,same dense3"}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(layer, own[i][0])) return own[i][1];
    return NULL;
}

/* A net of images with a layer in it: the word that its class shows as an example, or its name. */
static inline void spec_with(char *spec, size_t room, const zo_layer_class *layer)
{
    const char *own = spec_of_its_own(layer->info.name);
    if (own) {
        snprintf(spec, room, "%s", own);
        return;
    }
    const char *word = layer->example ? layer->example : layer->info.name;
    int length = (int)strcspn(word, " ");
    if (layer->residual || layer->kind == ZO_LAYER_OPEN)
        snprintf(spec, room, "conv2x5,same tanh { conv3x5,same %s dense3",
                 layer->branches   ? "| conv1x5 }+"
                 : layer->residual ? layer->info.name
                                   : "}+");
    else
        snprintf(spec, room, "conv2x5,same %s%.*s dense3",
                 layer->kind == ZO_LAYER_ACTIVATION ? "" : "tanh ", length, word);
}

/* Every estimator x layer. */
static inline void each_layer(trial_fn body)
{
    const zo_class_info *e, *l, *rule = zo_class_at("rules", 0);
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (int j = 0; (l = zo_class_at("layers", j)); j++) {
            trial t = trial_of(e->name, rule->name);
            t.images = true;
            for (int k = 0; k < 2; k++) put_setting(&t, k, "batch", "12");
            put_setting(&t, 2, "lr", "0.003");
            if (*t.setting[3]) put_setting(&t, 3, "population", "12");
            spec_with(t.spec, sizeof t.spec, (const zo_layer_class *)l);
            snprintf(t.name, sizeof t.name, "%s, %s", t.method, t.spec);
            body(&t);
        }
    }
}

/* Every estimator x task that needs no files. */
static inline void each_task(trial_fn body)
{
    const zo_class_info *e, *k, *rule = zo_class_at("rules", 0);
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        for (int j = 0; (k = zo_class_at("tasks", j)); j++) {
            if (!made_up(k)) continue;
            trial t = trial_of(e->name, rule->name);
            t.task = k->name;
            snprintf(t.name, sizeof t.name, "%s, task %s", t.method, k->name);
            body(&t);
        }
    }
}
#endif

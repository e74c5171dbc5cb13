/* Settings of single layers, key@layer=value: what is one and what is refused, that they act on their layer and on no other, and that a run
 * which has them goes on.
 */
#include "resume_support.h"

#include "learn/layered.h"

#define SPEC "conv2x4 tanh pool2 dense6 relu dense3"
#define PLAIN "batch=65536", "lr=1", "schedule=constant"

static zo_task *task;
static zo_net *net;

static int set_up_all(void **state)
{
    set_up(state);
    task = make_images(ctx, 40, 5, 5, 1, 3, 3);
    net = make_net(ctx, task, SPEC, 3);
    return 0;
}

static int tear_down_all(void **state)
{
    zo_net_destroy(net);
    zo_task_destroy(task);
    return tear_down(state);
}

/* ---- words ---- */

static void a_place_stands_before_the_equals_sign(void **state)
{
    (void)state;
    static const char *const layered[] = {"sigma@0=1", "@=", "a@", "set@12=complete", "x@1=a@b"};
    static const char *const plain[] = {"sigma=1", "", "sigma", "label=me@home", "=@", "a=1@0=2"};
    for (int i = 0; i < 5; i++) assert_true(zo_layered_is(layered[i]));
    for (int i = 0; i < 6; i++) assert_false(zo_layered_is(plain[i]));
}

/* The setting is refused in one line that holds these words. */
static void refused(const char *method, const char *setting, const char *a, const char *b)
{
    zo_trainer *t = NULL;
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = task;
    def.net = net;
    def.settings = SETTINGS("batch=8", setting);
    zo_status status = zo_trainer_create(ctx, &def, &t);
    if (status != ZO_USAGE)
        fail_msg("%s: %s: %s", setting, zo_status_name(status), zo_last_error(ctx));
    assert_null(t);
    error_says(ctx, a, b, NULL);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    char lengthy[700];
    memset(lengthy, '1', sizeof lengthy - 1);
    memcpy(lengthy, "sigma@0=", 8);
    lengthy[sizeof lengthy - 1] = 0;
    static const char *const no_layer[] = {
        "sigma@1=0.1",   "sigma@2=0.1",       "sigma@6=0.1",  "sigma@-1=0.1",
        "sigma@=0.1",    "sigma@conv=0.1",    "sigma@0x=0.1", "sigma@0.0=0.1",
        "sigma@0,3=0.1", "sigma@0@3=0.1",     "sigma@1e0=.1", "sigma@99999999999999=1",
        "sigma@ =0.1",   "sigma@4294967296=1"};
    for (int k = 0; k < 2; k++) {
        const char *method = k ? "auto:sgd" : "nodes";
        for (int i = 0; i < 14; i++)
            refused(method, no_layer[i], "is no layer with parameters",
                    "0 conv2x4, 3 dense6, 5 dense3");
        refused(method, "sigma@9999999999999999999999999=1", "sigma@", "too long");
        refused(method, lengthy, "sigma@0=", "too long");
        refused(method, "@0=0.1", "", "");
        refused(method, "sigma@0", "sigma", "");
        refused(method, "sigma@0=", "sigma", "");
        refused(method, "sigma@0=much", "sigma", "much");
        refused(method, "sigma@0=1e9", "sigma", "range");
        refused(method, "draws@3=0", "draws", "range");
        refused(method, "sigmma@0=0.1", "sigmma", "sigma");
        refused(method, "set@0=complet", "set", "complete");
        refused(method, "lr@0=0.1", "lr", "");
        refused(method, "batch@0=16", "batch", "");
        refused(method, "estimator@0=nodes", "estimator", "");
        refused(method, "noise@0=gaussian", "noise@0=gaussian", "one for all layers");
    }
    refused("auto", "tolerance@0=3", "tolerance", "one for all layers");
    static const char *const without[] = {
        "weights", "lowrank", "spsa", "mezo", "coordinate", "backprop", "straight-through"};
    for (int i = 0; i < 7; i++)
        refused(without[i], "sigma@0=0.1", "no settings of single layers", without[i]);
}

/* ---- lines ---- */

/* The settings that a trainer records, as SETTINGS; malloc'ed. */
static char **lines_of(const zo_trainer *t, int *layered)
{
    char **all = calloc(100, sizeof *all);
    const char *line;
    *layered = 0;
    for (int i = 0; (line = zo_trainer_setting(t, i)); i++) {
        all[i] = strdup(line);
        *layered += zo_layered_is(line);
    }
    return all;
}

static void free_lines(char **lines)
{
    for (int i = 0; lines[i]; i++) free(lines[i]);
    free(lines);
}

static bool has_line(char **lines, const char *want)
{
    for (int i = 0; lines[i]; i++) {
        if (!strcmp(lines[i], want)) return true;
    }
    return false;
}

static void settings_are_shown_and_shown_again(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        int layered;
        const char *const *given = SETTINGS("batch=9", "sigma@3=0.25", "sigma=0.5", "draws@0=5",
                                            "set@0=random", "scale@5=relative", "limit@3=0.125");
        zo_trainer *t = make_trainer(ctx, task, net, k ? "auto:adam" : "nodes:adam", 5, given);
        char **lines = lines_of(t, &layered), **again;
        assert_int_equal(layered, 5);
        for (int i = 0; given[i]; i++) {
            if (!has_line(lines, given[i])) fail_msg("%s is not shown", given[i]);
        }
        zo_trainer *twin = make_trainer(ctx, task, net, k ? "auto:adam" : "nodes:adam", 5,
                                        (const char *const *)lines);
        again = lines_of(twin, &layered);
        for (int i = 0; lines[i]; i++) assert_string_equal(again[i], lines[i]);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
            assert_int_equal(zo_trainer_step(twin, 0, NULL), ZO_OK);
        }
        assert_same_floats(zo_trainer_net(t)->params, zo_trainer_net(twin)->params, net->arena,
                           "settings as they are shown");
        free_lines(lines), free_lines(again);
        zo_trainer_destroy(t), zo_trainer_destroy(twin);
    }
}

static void lines_end(void **state)
{
    (void)state;
    zo_layered l;
    char line[80], half[12];
    const zo_class_info *nodes = zo_class_find("estimators", "nodes");
    const zo_estimator_class *of = (const zo_estimator_class *)nodes;
    void *base = calloc(1, of->settings_size);
    zo_params_default(nodes->params, base);
    assert_int_equal(zo_layered_init(&l, net, nodes, of->settings_size, of->layered, base,
                                     SETTINGS("sigma=9", "draws@5=7", "sigma@0=0.5")),
                     ZO_OK);
    assert_true(zo_layered_show(&l, 0, line, sizeof line));
    assert_string_equal(line, "draws@5=7");
    assert_true(zo_layered_show(&l, 1, line, sizeof line));
    assert_string_equal(line, "sigma@0=0.5");
    assert_true(zo_layered_show(&l, 1, half, sizeof half));
    assert_string_equal(half, "sigma@0=0.5");
    assert_false(zo_layered_show(&l, 2, line, sizeof line));
    zo_layered_fini(&l);
    assert_int_equal(zo_layered_init(&l, net, nodes, of->settings_size, of->layered, base, NULL),
                     ZO_OK);
    assert_false(zo_layered_show(&l, 0, line, sizeof line));
    zo_layered_fini(&l);
    free(base);
}

/* ---- what they do ---- */

static float *step_with(const char *const *settings)
{
    return direction_of(ctx, task, net, "nodes:sgd", 3, settings, NULL);
}

static void all_layers_singly_are_the_setting_of_all(void **state)
{
    (void)state;
    float *all = step_with(SETTINGS(PLAIN, "set=random", "draws=5", "sigma=0.25", "sides=two",
                                    "place=outputs", "shaping=centred-rank", "scale=relative")),
          *single = step_with(SETTINGS(
              PLAIN, "set@0=random", "set@3=random", "set@5=random", "draws@0=5", "draws@3=5",
              "draws@5=5", "sigma@0=0.25", "sigma@3=0.25", "sigma@5=0.25", "sides@0=two",
              "sides@3=two", "sides@5=two", "place@0=outputs", "place@3=outputs", "place@5=outputs",
              "shaping@0=centred-rank", "shaping@3=centred-rank", "shaping@5=centred-rank",
              "scale@0=relative", "scale@3=relative", "scale@5=relative")),
          *none = step_with(SETTINGS(PLAIN));
    assert_same_floats(single, all, net->arena, "each layer singly");
    assert_true(memcmp(single, none, net->arena * sizeof *none) != 0);
    free(all), free(single), free(none);
}

/* One setting, of one layer: its direction changes, and of no other layer a bit. */
static void check_alone(const char *key, const char *value, const char *const *settings)
{
    static const int word[] = {0, 3, 5};
    float *before = step_with(settings);
    for (int k = 0; k < 3; k++) {
        char setting[60];
        const char *with[9] = {setting};
        for (int i = 0; settings[i]; i++) with[i + 1] = settings[i];
        snprintf(setting, sizeof setting, "%s@%d=%s", key, word[k], value);
        float *after = step_with(with);
        for (int i = 0; i < net->stages; i++) {
            const zo_stage *s = net->stage + i;
            size_t n = s->weight_floats + s->bias_floats;
            if (!s->parameters) continue;
            bool same = !memcmp(before + s->weight, after + s->weight, n * sizeof *after);
            if (same != (s->word != word[k])) fail_msg("%s and stage %d", setting, i);
        }
        free(after);
    }
    free(before);
}

static void a_layer_has_its_own_alone(void **state)
{
    (void)state;
    check_alone("sigma", "0.3", SETTINGS(PLAIN, "set=random", "place=outputs"));
    check_alone("sigma", "0.3", SETTINGS(PLAIN, "set=complete", "sides=one"));
    check_alone("draws", "3", SETTINGS(PLAIN, "set=random", "place=outputs"));
    check_alone("draws", "3", SETTINGS(PLAIN, "set=random", "place=weights"));
    check_alone("draws", "3", SETTINGS(PLAIN, "set=random", "place=outputs", "noise=hadamard"));
    check_alone("place", "weights", SETTINGS(PLAIN, "set=random", "place=outputs"));
    check_alone("set", "complete", SETTINGS(PLAIN, "set=random", "place=outputs"));
    check_alone("examples", "7", SETTINGS(PLAIN, "set=complete"));
    check_alone("sides", "two", SETTINGS(PLAIN, "set=complete", "sides=one", "sigma=0.3"));
    check_alone("scale", "relative", SETTINGS(PLAIN, "set=complete", "sides=one", "sigma=0.3"));
}

static void plans_tell(void **state)
{
    (void)state;
    static const char *const want[] = {"0 conv2x4 outputs: 5 random draws",
                                       "3 dense6 outputs: complete set of 6 outputs for 7 of",
                                       "sigma 0.25 of their root mean square"};
    zo_trainer *t = make_trainer(ctx, task, net, "nodes", 1,
                                 SETTINGS("set@0=random", "draws@0=5", "examples@3=7", "draws=9",
                                          "place=outputs", "sigma@5=0.25", "scale@5=relative"));
    for (int i = 0; i < 3; i++) {
        const char *line = zo_trainer_plan(t, i);
        if (!line || !strstr(line, want[i])) fail_msg("\"%s\" is not in: %s", want[i], line);
        if (i < 2) assert_null(strstr(line, "root mean square"));
    }
    zo_trainer_destroy(t);
}

/* ---- runs ---- */

static void runs_go_on_with_them(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        char out[ROOM];
        long calls;
        course c = plain(k ? "auto" : "nodes", "adam");
        put_setting(&c.t, 1, "sigma@0", "0.375");
        put_setting(&c.t, 2, "examples@2", "5");
        outcome want = undisturbed(&c, &calls);
        interrupt(&c, fresh(out, "layered"), NULL, 1, calls / 2, NULL);
        course other = c;
        put_setting(&other.t, 1, "sigma@0", "0.5");
        expect_resumed(ctx, &other, out, ZO_CHANGED);
        error_says(ctx, "sigma@0", NULL);
        outcome got = resume_as(ctx, &c, out, ZO_OK);
        assert_same_outcome(&got, &want, c.t.name);
        verify_fine(&c, out, from_losses(&c));
        free(got.params), free(want.params);
    }
}

/* ---- memory ---- */

static zo_status create_layered(zo_context *in, void *arg)
{
    (void)arg;
    zo_task *of = NULL;
    zo_net *first = NULL;
    zo_trainer *t = NULL;
    zo_task_def task_def = zo_task_default_def();
    task_def.name = "spirals";
    task_def.settings = SETTINGS("n=50");
    zo_net_def net_def = zo_net_default_def();
    net_def.spec = "dense5 relu dense2";
    net_def.inputs = net_def.outputs = 2;
    zo_status status = zo_task_create(in, &task_def, &of);
    if (!status) status = zo_net_create(in, &net_def, &first);
    zo_trainer_def def = zo_trainer_default_def();
    def.method = "auto";
    def.task = of, def.net = first;
    def.settings = SETTINGS("sigma@0=0.5", "draws@2=3", "freeze=0");
    if (!status) status = zo_trainer_create(in, &def, &t);
    zo_trainer_destroy(t);
    zo_net_destroy(first);
    zo_task_destroy(of);
    return status;
}

static void no_memory_is_no_leak(void **state)
{
    (void)state;
    assert_true(refuse_each(create_layered, NULL) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_stands_before_the_equals_sign),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(settings_are_shown_and_shown_again),
        cmocka_unit_test(lines_end),
        cmocka_unit_test(all_layers_singly_are_the_setting_of_all),
        cmocka_unit_test(a_layer_has_its_own_alone),
        cmocka_unit_test(plans_tell),
        cmocka_unit_test(runs_go_on_with_them),
        cmocka_unit_test(no_memory_is_no_leak),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}

/* What the registry says of every class, and what its parameter tables accept: everything is found by walking the registry.
 * The rows themselves (reading and showing values) are tested in test_params.c.
 */
#include <ctype.h>

#include "training_support.h"

#include "base/params.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* ---- the registry ---- */

static void one_line(const char *text, bool needed, const char *of)
{
    if (!text || (needed && !*text) || strchr(text ? text : "", '\n'))
        fail_msg("%s: a text is missing or has more than one line", of);
}

static void is_complete(const char *kind, const zo_class_info *c)
{
    one_line(c->name, true, kind);
    one_line(c->summary, true, c->name);
    one_line(c->source, false, c->name);
    assert_non_null(c->params);
    assert_true(strlen(c->name) < 32);
    bool block = strchr("{|}", *c->name); /* they stand in net specs alone */
    assert_true(!block || !strcmp(kind, "layers"));
    for (const char *p = c->name; *p && !block; p++)
        assert_true(islower(*p) || isdigit(*p) || *p == '-');
    assert_ptr_equal(zo_class_find(kind, c->name), c);
    assert_true(c->uses == ZO_USES_NOTHING || *zo_uses_text(c->uses));
}

static void every_class_is_complete(void **state)
{
    (void)state;
    int kinds = 0;
    for (const char *kind; (kind = zo_kind_name(kinds)); kinds++) {
        int n = 0;
        for (const zo_class_info *c; (c = zo_class_at(kind, n)); n++) {
            is_complete(kind, c);
            for (int i = 0; i < n; i++)
                assert_string_not_equal(zo_class_at(kind, i)->name, c->name);
        }
        assert_true(n > 0);
        assert_null(zo_class_at(kind, -1));
        assert_null(zo_class_find(kind, "no-such-class"));
    }
    assert_true(kinds >= 8);
    assert_null(zo_kind_name(-1));
    assert_null(zo_class_at("no such kind", 0));
    assert_null(zo_class_at(NULL, 0));
}

/* A table that mixes gradients with the others would lie. */
static void only_the_references_use_gradients(void **state)
{
    (void)state;
    const zo_class_info *c;
    for (int i = 0; (c = zo_class_at("estimators", i)); i++) {
        bool invents = c->uses == ZO_USES_STRAIGHT_THROUGH;
        assert_int_equal(c->uses == ZO_USES_GRADIENTS, !strcmp(c->name, "backprop"));
        assert_int_equal(invents, !strcmp(c->name, "straight-through"));
        assert_true(c->uses != ZO_USES_NOTHING);
        if (c->uses == ZO_USES_GRADIENTS || invents)
            assert_non_null(strstr(c->summary, "uses gradients"));
        if (invents) assert_non_null(strstr(c->summary, "invented"));
    }
    zo_task *task = make_task(ctx, 60, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense5 relu dense3", 1);
    for (int i = -1; i < 0 || (c = zo_class_at("estimators", i)); i++) {
        zo_trainer *t = make_trainer(ctx, task, net, i < 0 ? NULL : c->name, 1, NULL);
        assert_int_equal(zo_trainer_uses(t), i < 0 ? ZO_USES_LOSS : c->uses);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- tables ---- */

static void row_is_sane(const char *of, const zo_param *p)
{
    char word[64];
    one_line(p->help, true, of);
    for (const char *c = p->name; *c; c++) assert_true(islower(*c) || isdigit(*c) || *c == '_');
    if (p->type == ZO_PARAM_INT || p->type == ZO_PARAM_REAL) {
        if (!(p->min < p->max && p->min <= p->standard && p->standard <= p->max))
            fail_msg("%s: %s: the default is outside the range", of, p->name);
        assert_true(p->type == ZO_PARAM_REAL || floor(p->standard) == p->standard);
    }
    if (p->type == ZO_PARAM_CHOICE) {
        assert_true(zo_choice(p->choices, (int)p->standard, word, sizeof word));
        assert_true(zo_choice(p->choices, 1, word, sizeof word));
    }
    if (p->type == ZO_PARAM_TEXT) assert_non_null(p->text);
}

static void every_row_is_sane(void **state)
{
    (void)state;
    int rows = 0;
    const zo_class_info *c;
    for (int k = 0; zo_kind_name(k); k++) {
        for (int i = 0; (c = zo_class_at(zo_kind_name(k), i)); i++) {
            for (const zo_param *p = c->params; p->name; p++, rows++) row_is_sane(c->name, p);
        }
    }
    assert_true(rows > 20);
}

/* How often a key stands in the tables of a list of classes. */
static int count_key(const zo_class_info *const *classes, int n, const char *key)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        for (const zo_param *p = classes[i]->params; p->name; p++) count += !strcmp(p->name, key);
    }
    return count;
}

static void keys_differ(const zo_class_info *const *classes, int n)
{
    for (int i = 0; i < n; i++) {
        for (const zo_param *p = classes[i]->params; p->name; p++) {
            if (count_key(classes, n, p->name) > 1)
                fail_msg("%s: %s is a key of its company too", classes[i]->name, p->name);
        }
    }
}

/* Every trainer with every estimator, rule, schedule, and the tasks of the same command. */
static void keys_are_unique_within_a_combination(void **state)
{
    (void)state;
    const zo_class_info *t, *e, *r, *s, *k;
    for (int a = 0; (t = zo_class_at("trainers", a)); a++) {
        for (int b = 0; (e = zo_class_at("estimators", b)); b++) {
            for (int c = 0; (r = zo_class_at("rules", c)); c++) {
                for (int d = 0; (s = zo_class_at("schedules", d)); d++) {
                    for (int i = 0; (k = zo_class_at("tasks", i)); i++)
                        keys_differ((const zo_class_info *const[]){t, e, r, s, k}, 5);
                }
            }
        }
    }
}

/* ---- settings ---- */

typedef zo_status (*create_fn)(const char *name, const char *const *settings);

static zo_task *small;
static zo_net *small_net;

static zo_status create_trainer(const char *method, const char *const *settings)
{
    zo_trainer *t = (zo_trainer *)&t;
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = small;
    def.net = small_net;
    def.settings = settings;
    zo_status status = zo_trainer_create(ctx, &def, &t);
    assert_int_equal(!status, t != NULL);
    zo_trainer_destroy(t);
    return status;
}

static char *folder; /* holds table.csv */

/* A class that reads tables is chosen by the ending of their names. */
static zo_status create_task(const char *name, const char *const *settings)
{
    zo_task *t = (zo_task *)&t;
    zo_task_def def = zo_task_default_def();
    const char *table = in_folder(folder, "table.");
    char path[4200];
    snprintf(path, sizeof path, "%s%s", table, name);
    def.name = access(path, F_OK) ? name : path;
    def.data = "/nonexistent";
    def.settings = settings;
    zo_status status = zo_task_create(ctx, &def, &t);
    assert_int_equal(!status, t != NULL);
    zo_task_destroy(t);
    return status;
}

/* A schedule or trainer is named by a setting, the others by the method. */
static zo_status create_scheduled(const char *name, const char *const *settings)
{
    char text[64];
    snprintf(text, sizeof text, "schedule=%s", name);
    return create_trainer(NULL, SETTINGS(text, settings[0]));
}

static zo_status create_ruled(const char *name, const char *const *settings)
{
    char text[64];
    snprintf(text, sizeof text, "rule=%s", name);
    return create_trainer(NULL, SETTINGS(settings[0], text));
}

/* key=value is refused in one line that names the key. */
static void refused(create_fn create, const char *name, const char *key, const char *value)
{
    char text[400];
    snprintf(text, sizeof text, "%s=%s", key, value);
    zo_status status = create(name, SETTINGS(text));
    if (status != ZO_USAGE)
        fail_msg("%s with %s: %s: %s", name, text, zo_status_name(status), zo_last_error(ctx));
    error_says(ctx, key, NULL);
}

static void refuses_outside(create_fn create, const char *name, const zo_param *p)
{
    char value[64];
    double step = p->type == ZO_PARAM_INT ? 1 : fabs(p->min) * 1e-3 + 1e-9;
    snprintf(value, sizeof value, "%.17g", p->min - step);
    refused(create, name, p->name, value);
    step = p->type == ZO_PARAM_INT ? 1 : fabs(p->max) * 1e-3 + 1e-9;
    snprintf(value, sizeof value, "%.17g", p->max + step);
    refused(create, name, p->name, value);
    error_says(ctx, "range", value, NULL);
    if (p->type == ZO_PARAM_INT) refused(create, name, p->name, "1.5");
    const char *const never[] = {"",      "abc",  "nan", "inf", "-inf",
                                 "1e999", "0x10", "3 ",  " 3",  "1,5"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        refused(create, name, p->name, never[i]);
}

static void refuses_bad_values(create_fn create, const char *name, const zo_param *p)
{
    char too_long[300];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    switch (p->type) {
    case ZO_PARAM_INT:
    case ZO_PARAM_REAL: refuses_outside(create, name, p); break;
    case ZO_PARAM_BOOL: refused(create, name, p->name, "perhaps"); break;
    case ZO_PARAM_CHOICE: refused(create, name, p->name, "perhaps"); break;
    case ZO_PARAM_TEXT: refused(create, name, p->name, too_long); break;
    }
}

static void refuses_unknown_keys(create_fn create, const char *name, const zo_class_info *c)
{
    refused(create, name, "no_such_key", "1");
    if (create(name, SETTINGS("no equals sign")) != ZO_USAGE) fail_msg("%s", name);
    for (const zo_param *p = c->params; p->name; p++) {
        if (strlen(p->name) < 5) continue;
        char wrong[64];
        snprintf(wrong, sizeof wrong, "%s", p->name);
        wrong[1] = wrong[1] == 'q' ? 'w' : 'q';
        refused(create, name, wrong, "1");
        error_says(ctx, "did you mean", p->name, NULL);
    }
}

static void refuses_bad_settings(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        create_fn create;
    } maker[] = {{"trainers", create_trainer},
                 {"estimators", create_trainer},
                 {"rules", create_ruled},
                 {"schedules", create_scheduled},
                 {"tasks", create_task}};
    static const char table[] = "a,b\n1,x\n2,y\n3,x\n4,y\n5,x\n6,y\n7,x\n8,y\n";
    folder = make_folder();
    put_file(in_folder(folder, "table.csv"), table, sizeof table - 1);
    small = make_task(ctx, 60, 4, 3, 3);
    small_net = make_net(ctx, small, "dense5 relu dense3", 1);
    const zo_class_info *c;
    for (int k = 0; k < 5; k++) {
        for (int i = 0; (c = zo_class_at(maker[k].kind, i)); i++) {
            for (const zo_param *p = c->params; p->name; p++)
                refuses_bad_values(maker[k].create, c->name, p);
            refuses_unknown_keys(maker[k].create, c->name, c);
        }
    }
    remove_folder(folder);
    zo_net_destroy(small_net);
    zo_task_destroy(small);
}

/* The ends of a range are inside it, and what was set is what is shown. */
static void shows(const char *name, const char *setting)
{
    zo_trainer *t = make_trainer(ctx, small, small_net, name, 1, SETTINGS(setting, "batch=4"));
    bool found = false;
    const char *line;
    for (int i = 0; (line = zo_trainer_setting(t, i)); i++) found |= !strcmp(line, setting);
    if (!found) fail_msg("%s: %s is not among the settings", name, setting);
    assert_null(zo_trainer_setting(t, -1));
    assert_null(zo_trainer_plan(t, -1));
    zo_trainer_destroy(t);
}

static void settings_are_shown_as_given(void **state)
{
    (void)state;
    small = make_task(ctx, 60, 4, 3, 3);
    small_net = make_net(ctx, small, "dense5 relu dense3", 1);
    const zo_class_info *c;
    char text[96], word[64];
    for (int i = 0; (c = zo_class_at("estimators", i)); i++) {
        for (const zo_param *p = c->params; p->name; p++) {
            for (int w = 0; p->type == ZO_PARAM_CHOICE && zo_choice(p->choices, w, word, 64); w++) {
                snprintf(text, sizeof text, "%s=%s", p->name, word);
                shows(c->name, text);
            }
            if (p->type != ZO_PARAM_INT && p->type != ZO_PARAM_REAL) continue;
            zo_write_real(p->min, word, sizeof word);
            snprintf(text, sizeof text, "%s=%s", p->name, word);
            shows(c->name, text);
        }
    }
    zo_net_destroy(small_net);
    zo_task_destroy(small);
}

/* Names that are not there: one line, with the nearest right one. */
static void unknown_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "nodez", "nodes:adm",
                                      "nodes:", ":adam", "nodes:adam:sgd"};
    small = make_task(ctx, 60, 4, 3, 3);
    small_net = make_net(ctx, small, "dense5 relu dense3", 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(create_trainer(bad[i], NULL), ZO_USAGE);
        error_says(ctx, "not known", NULL);
    }
    static const char *const key[] = {"estimator", "rule", "schedule", "loss"};
    for (int i = 0; i < 4; i++) refused(create_trainer, NULL, key[i], "unheard-of");
    zo_net *narrow = make_net(ctx, small, "dense5 relu dense3", 1);
    narrow->inputs = 3; /* as if made for another task */
    zo_net_destroy(small_net);
    small_net = narrow;
    assert_int_equal(create_trainer(NULL, NULL), ZO_USAGE);
    error_says(ctx, "3", "4", NULL);
    zo_net_destroy(narrow);
    zo_task_destroy(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_is_complete),
        cmocka_unit_test(only_the_references_use_gradients),
        cmocka_unit_test(every_row_is_sane),
        cmocka_unit_test(keys_are_unique_within_a_combination),
        cmocka_unit_test(refuses_bad_settings),
        cmocka_unit_test(settings_are_shown_as_given),
        cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Runs that would go on with something else than they began with: each difference is named and refused; by force they go on, and their
 * record says so from then on. Also runs bounded by time, and runs that diverge.
 */
#include "resume_support.h"

#include <jansson.h>

#include "journal_support.h"

/* ---- what differs ---- */

static void own_loss(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)target;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) loss[i] += fabsf(row[j] - (float)(label[i] == j));
    }
}

static void other_data(course *c) { c->data = "n=132"; }
static void other_seed(course *c) { c->seed++; }
static void other_net(course *c) { c->net = "dense8 tanh dense2"; }
static void other_activation(course *c) { c->net = "dense7 relu dense2"; }

static void other_batch(course *c)
{
    for (int i = 0; i < 3; i++) put_setting(&c->t, i, "batch", "17");
}

static void other_rate(course *c) { put_setting(&c->t, 1, "lr", "0.0123"); }
static void other_schedule(course *c) { put_setting(&c->t, 1, "schedule", "cosine"); }
static void other_rule(course *c) { memcpy(strchr(c->t.method, ':'), ":adam", 6); }
static void other_epochs(course *c) { c->epochs = 10; }
static void other_bound(course *c) { c->epochs = 0, c->forwards = 20000; }
static void a_time(course *c) { c->seconds = 3600; }
static void a_target(course *c) { c->target = 0.999; }
static void a_loss(course *c) { c->t.loss = own_loss; }
static void jumps(course *c) { c->jumps = true; }

static void other_estimator(course *c)
{
    snprintf(c->t.method, sizeof c->t.method, "%s",
             strncmp(c->t.method, "nodes", 5) ? "nodes:momentum" : "weights:momentum");
}

static void other_population(course *c)
{
    if (!strncmp(c->t.method, "weights", 7))
        put_setting(&c->t, 1, "population", "24");
    else
        put_setting(&c->t, 1, "shaping", "sign");
}

static const struct {
    void (*change)(course *c);
    const char *says[2];
} changes[] = {
    {other_data, {"data", "checksum"}},
    {other_seed, {"seed 11", "this is 12"}},
    {other_net, {"dense7", "dense8"}},
    {other_activation, {"tanh", "relu"}},
    {other_batch, {"batch=16", "batch=17"}},
    {other_rate, {"lr=", "lr=0.0123"}},
    {other_schedule, {"schedule=linear", "schedule=cosine"}},
    {other_rule, {"momentum", "adam"}},
    {other_estimator, {"nodes", "weights"}},
    {other_population, {"began with", "this is"}},
    {other_epochs, {"epochs=9", "10"}},
    {other_bound, {"epochs=9", "none"}},
    {a_time, {"seconds=none", "3600"}},
    {a_target, {"target", "0.999"}},
    {a_loss, {"loss", "own"}},
    {jumps, {"loss_jumps", "yes"}},
};

enum { CHANGES = sizeof changes / sizeof *changes };

static bool same_file(const char *a, const char *b)
{
    size_t n, m;
    char *x = get_file(a, &n), *y = get_file(b, &m);
    bool same = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

static void assert_same_folder(const char *a, const char *b)
{
    DIR *dir = opendir(a);
    assert_non_null(dir);
    assert_int_equal(entries(a), entries(b));
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        if (!same_file(in_folder(a, e->d_name), in_folder(b, e->d_name)))
            fail_msg("%s has changed", e->d_name);
    }
    closedir(dir);
}

/* A run killed without a saved state: its steps are taken again from the journal. */
static const char *killed_early(const course *c, char path[ROOM])
{
    char out[ROOM];
    long calls;
    outcome o = undisturbed(c, &calls);
    free(o.params);
    interrupt(c, fresh(out, "first"), NULL, 0, calls / 2, fresh(path, "early"));
    wipe(out);
    return path;
}

static void what_has_changed_is_named(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM], run[ROOM];
        course c = plain(estimator[e], "momentum");
        outcome want = undisturbed(&c, NULL), got;
        killed_run(&c, killed);
        copy_folder(killed, fresh(run, "changed"));
        for (int i = 0; i < CHANGES; i++) {
            course other = c;
            changes[i].change(&other);
            expect_resumed(ctx, &other, run, ZO_CHANGED);
            error_says(ctx, run, changes[i].says[0], changes[i].says[1],
                       other.net ? "net" : "--force", NULL);
            assert_same_folder(run, killed); /* as it was */
        }
        got = resume_as(ctx, &c, run, ZO_OK);
        assert_same_outcome(&got, &want, "after others were refused");
        free(got.params);
        free(want.params);
    }
}

/* The same numbers as images of another shape are another net, which cannot go on. */
static void another_shape_is_named(void **state)
{
    (void)state;
    char run[ROOM];
    course c = plain_images("weights", "momentum"), other;
    c.epochs = 3;
    killed_run(&c, run);
    for (int force = 0; force < 2; force++) {
        other = c;
        other.turned = true;
        other.force = force;
        expect_resumed(ctx, &other, run, ZO_CHANGED);
        error_says(ctx, run, "5x4x2", "4x5x2", NULL);
        assert_null(strstr(zo_last_error(ctx), "--force"));
    }
    expect_resumed(ctx, &c, run, ZO_OK);
}

/* ---- by force ---- */

/* The text under `key` of the entries that say so: in metrics.jsonl, and in the journal. */
static void check_forced(const char *run, const char *says)
{
    size_t size;
    int found = 0;
    char *text = get_file(in_folder(run, "metrics.jsonl"), &size);
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
        const char *forced = json_string_value(json_object_get(o, "forced"));
        found += forced && strstr(forced, says) &&
                 !strcmp(json_string_value(json_object_get(o, "event")), "resumed");
        json_decref(o);
    }
    free(text);
    assert_int_equal(found, 1);
    zo_journal j = read_journal(ctx, in_folder(run, "journal"));
    for (found = 0; j.entry.type; take(ctx, &j)) {
        if (j.entry.type != ZO_ENTRY_FORCE) continue;
        json_t *o = json_loadb(j.entry.data, j.entry.size, 0, NULL);
        const char *forced = json_string_value(json_object_get(o, "forced"));
        found += forced && strstr(forced, says);
        json_decref(o);
    }
    zo_journal_close(&j);
    assert_int_equal(found, 1);
}

static void force(const course *c, const char *from, int i)
{
    char run[ROOM];
    course other = *c;
    changes[i].change(&other);
    other.force = true;
    copy_folder(from, fresh(run, "forced"));
    zo_train_result r;
    course d = other;
    d.resume = true;
    outcome o;
    zo_status status = go(ctx, &d, run, &o);
    r = o.r;
    if (other.net) { /* it cannot take up the numbers of the one before */
        assert_int_equal(status, ZO_CHANGED);
        assert_same_folder(run, from);
        wipe(run);
        return;
    }
    if (status) fail_msg("%s, change %d: %s", c->t.name, i, zo_last_error(ctx));
    if (!(r.resumed == 1 && r.steps > 5 && isfinite(r.validation_loss)))
        fail_msg("%s, change %d: %d steps", c->t.name, i, (int)r.steps);
    free(o.params);
    check_forced(run, changes[i].says[0]);
    zo_verified v;
    zo_task *task;
    zo_net *init;
    zo_train_def def = plan(ctx, &other, NULL, &task, &init);
    assert_int_equal(zo_verify(ctx, run, &def, &v), ZO_UNSUPPORTED);
    error_says(ctx, run, "force", NULL);
    assert_int_equal(zo_seeds_save(ctx, run, in_folder(folder, "seeds"), NULL), ZO_UNSUPPORTED);
    zo_task_destroy(task);
    wipe(run);
}

/* Whatever differs but the net, with or without a saved state. */
static void anything_but_the_net_goes_by_force(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM], early[ROOM];
        course c = plain(estimator[e], "momentum");
        killed_run(&c, killed);
        killed_early(&c, early);
        for (int i = 0; i < CHANGES; i++) {
            force(&c, killed, i);
            force(&c, early, i);
        }
    }
}

/* Force alone changes nothing. */
static void force_without_a_change_is_no_force(void **state)
{
    char killed[ROOM];
    course c = plain("weights", "momentum");
    (void)state;
    outcome want = undisturbed(&c, NULL);
    killed_run(&c, killed);
    c.force = true;
    outcome got = resume_as(ctx, &c, killed, ZO_OK);
    assert_same_outcome(&got, &want, "force");
    zo_verified v;
    assert_int_equal(zo_verify(ctx, killed, NULL, &v), ZO_OK);
    assert_int_equal(v.different, 0);
    free(got.params);
    free(want.params);
}

/* ---- code ---- */

typedef struct replacement {
    const char *from, *to;
    char text[8192];
} replacement;

static bool replace(zo_entry *e, void *user)
{
    replacement *r = user;
    if (e->type != ZO_ENTRY_START) return true;
    const char *at = strstr(e->data, r->from);
    assert_non_null(at);
    e->size = (size_t)snprintf(r->text, sizeof r->text, "%.*s%s%s", (int)(at - e->data), e->data,
                               r->to, at + strlen(r->from));
    e->data = r->text;
    return true;
}

/* Replaces one text by another in the START of a journal. */
static void edit_start(const char *run, const char *from, const char *to)
{
    replacement r = {.from = from, .to = to};
    rewrite_journal(ctx, run, replace, &r);
}

static void other_code_is_refused(void **state)
{
    char killed[ROOM], run[ROOM], version[64];
    course c = plain("weights", "momentum");
    (void)state;
    outcome want = undisturbed(&c, NULL), got;
    killed_run(&c, killed);
    copy_folder(killed, fresh(run, "version"));
    snprintf(version, sizeof version, "\"version\":\"%s\"", zo_version());
    edit_start(run, version, "\"version\":\"0.0.7\"");
    expect_resumed(ctx, &c, run, ZO_CHANGED);
    error_says(ctx, run, "0.0.7", zo_version(), NULL);
    c.force = true;
    got = resume_as(ctx, &c, run, ZO_OK);
    assert_same_outcome(&got, &want, "another version"); /* which in truth is the same */
    free(got.params);
    check_forced(run, "0.0.7");
    c.force = false;
    copy_folder(killed, fresh(run, "bits"));
    edit_start(run, "\"bits\":\"portable\"", "\"bits\":\"same-machine\"");
    edit_start(run, zo_context_kernels(ctx), "sse2");
    expect_resumed(ctx, &c, run, ZO_CHANGED);
    error_says(ctx, run, "bits", NULL);
    copy_folder(killed, fresh(run, "kernels"));
    edit_start(run, zo_context_kernels(ctx), "sse2"); /* does not matter where bits are portable */
    got = resume_as(ctx, &c, run, ZO_OK);
    assert_same_outcome(&got, &want, "other kernels");
    free(got.params);
    free(want.params);
}

/* ---- the split ---- */

static zo_task *split_by(uint64_t seed)
{
    float x[120];
    int32_t label[60];
    zo_task *task;
    uint64_t draws = 1;
    draw_many(&draws, x, 120, -1, 1);
    for (int i = 0; i < 60; i++) label[i] = i % 2;
    zo_data_def def = zo_data_default_def();
    def.inputs = 2;
    def.classes = 2;
    def.n = 60;
    def.x = x;
    def.label = label;
    def.seed = seed;
    def.standardise = false;
    assert_int_equal(zo_task_from_data(ctx, &def, &task), ZO_OK);
    return task;
}

static void stop_early(void *user, const zo_report *report)
{
    (void)user;
    if (report->step > 12) zo_cancel(ctx);
}

static void another_split_is_refused(void **state)
{
    char run[ROOM];
    zo_task *one = split_by(1), *two = split_by(2);
    zo_train_def def = zo_train_default_def();
    (void)state;
    def.task = one;
    def.net = "dense4 tanh dense2";
    def.settings = SETTINGS("batch=5");
    def.epochs = 50;
    def.out = fresh(run, "split");
    def.report = stop_early;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_CANCELLED);
    zo_cancel_clear(ctx);
    def.resume = true;
    def.task = two;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_CHANGED);
    error_says(ctx, run, "split", NULL);
    zo_verified v;
    assert_int_equal(zo_verify(ctx, run, &def, &v), ZO_CHANGED);
    def.task = one;
    assert_int_equal(zo_verify(ctx, run, &def, &v), ZO_OK);
    assert_int_equal(v.different, 0);
    def.report = NULL;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    zo_task_destroy(one);
    zo_task_destroy(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_is_named),
        cmocka_unit_test(another_shape_is_named),
        cmocka_unit_test(anything_but_the_net_goes_by_force),
        cmocka_unit_test(force_without_a_change_is_no_force),
        cmocka_unit_test(other_code_is_refused),
        cmocka_unit_test(another_split_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Resumed runs that are bounded by time, and runs that diverge.
 */
#include "resume_support.h"

#include "journal_support.h"

/* ---- time ---- */

/* Progress and seconds never go back, and each step that was taken is there. */
static void check_time(const char *run, const zo_train_result *r)
{
    double progress = 0, seconds = 0;
    int64_t step = 0, again = 0;
    zo_journal j = read_journal(ctx, in_folder(run, "journal"));
    for (; j.entry.type; take(ctx, &j)) {
        const zo_entry *e = &j.entry;
        if (e->type != ZO_ENTRY_STEP) continue;
        again += e->step != step + 1;
        assert_true(e->a >= progress && e->a <= 1 && e->b >= seconds);
        step = e->step, progress = e->a, seconds = e->b;
    }
    zo_journal_close(&j);
    assert_int_equal(again, 0);
    assert_int_equal(step, r->steps);
    assert_true(seconds <= r->seconds_training && r->seconds_training <= r->seconds);
}

static void time_bounded(const char *estimator)
{
    char run[ROOM], killed[ROOM], what[64];
    course c = plain(estimator, "momentum");
    c.epochs = 0;
    c.seconds = 0.12;
    bool twice = false;
    for (int i = 0; i < 20 && !twice; i++) { /* a machine that is busy may end it earlier */
        c.resume = false;
        twice = interrupt(&c, fresh(run, "time"), NULL, 1, 50, fresh(killed, "time-killed"));
        c.resume = true;
        twice = twice && interrupt(&c, run, NULL, 0, 40, NULL);
        twice = twice && interrupt(&c, killed, NULL, 1, 40, NULL);
    }
    assert_true(twice);
    const char *const both[] = {run, killed};
    for (int i = 0; i < 2; i++) {
        outcome got = resume_as(ctx, &c, both[i], ZO_OK);
        snprintf(what, sizeof what, "%s, %d", estimator, i);
        if (!(got.r.seconds_training >= 0.12 && got.r.seconds_training < 20))
            fail_msg("%s: %g seconds", what, got.r.seconds_training);
        assert_int_equal(got.r.resumed, 2);
        check_time(both[i], &got.r);
        zo_verified v;
        zo_task *task;
        zo_net *init;
        course d = c;
        zo_train_def def = plan(ctx, &d, NULL, &task, &init);
        assert_int_equal(zo_verify(ctx, both[i], &def, &v), ZO_OK);
        assert_int_equal(v.different, 0);
        assert_int_equal(v.steps, got.r.steps);
        assert_int_equal(v.numbers, got.n);
        zo_task_destroy(task);
        free(got.params);
    }
}

static void runs_bounded_by_time_go_on(void **state)
{
    (void)state;
    time_bounded("nodes");
    time_bounded("weights");
    time_bounded("backprop");
}

/* ---- runs that diverge ---- */

static void runs_that_diverged_do_not_go_on(void **state)
{
    char run[ROOM], killed[ROOM];
    course c = plain("backprop", "momentum");
    host h;
    (void)state;
    c.t.task = "plane";
    c.net = "dense1";
    put_setting(&c.t, 0, "batch", "50");
    memcpy(strchr(c.t.method, ':'), ":sgd", 5);
    put_setting(&c.t, 1, "lr", "1000");
    put_setting(&c.t, 2, "schedule", "constant");
    c.epochs = 1000;
    zo_context *where = hosted(&h, NULL);
    outcome want = go_as(where, &c, NULL, ZO_DIVERGED);
    free(want.params);
    assert_true(h.calls > 3);
    h.run = fresh(run, "diverged");
    h.copy = fresh(killed, "diverged-killed");
    h.kill_at = h.calls + h.calls / 2;
    want = go_as(where, &c, run, ZO_DIVERGED);
    zo_context_destroy(where);
    expect_resumed(ctx, &c, run, ZO_EXISTS);
    error_says(ctx, run, "diverged", NULL);
    outcome got = resume_as(ctx, &c, killed, ZO_DIVERGED);
    assert_same_outcome(&got, &want, "diverged again");
    zo_task *task;
    zo_net *init;
    zo_verified v;
    zo_train_def def = plan(ctx, &c, NULL, &task, &init);
    const char *const both[] = {run, killed};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zo_verify(ctx, both[i], &def, &v), ZO_OK);
        assert_true(v.model && v.different == 0 && v.steps == want.r.steps);
    }
    zo_task_destroy(task);
    free(got.params);
    free(want.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_bounded_by_time_go_on),
        cmocka_unit_test(runs_that_diverged_do_not_go_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

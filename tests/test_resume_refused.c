/* Runs that cannot be resumed now, or at all; resumptions that are stopped at once; states on request.
 */
#include "resume_support.h"

#include "base/append.h"

/* ---- runs that cannot be resumed ---- */

static void runs_that_are_done_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop", "momentum");
    (void)state;
    expect(ctx, &c, fresh(run, "done"), ZO_OK);
    expect_resumed(ctx, &c, run, ZO_EXISTS);
    error_says(ctx, run, "done", NULL);
    c.force = true;
    expect_resumed(ctx, &c, run, ZO_EXISTS);
}

static void what_holds_no_run_is_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop", "momentum");
    (void)state;
    expect_resumed(ctx, &c, fresh(run, "nothing"), ZO_NOT_FOUND);
    error_says(ctx, run, NULL);
    assert_int_not_equal(access(run, F_OK), 0);
    assert_int_equal(mkdir(run, 0777), 0);
    expect_resumed(ctx, &c, run, ZO_NOT_FOUND);
    assert_int_equal(entries(run), 0);
    expect_resumed(ctx, &c, NULL, ZO_USAGE);
    error_says(ctx, "directory", NULL);
}

/* A run is not begun where another one lies, whatever is left of that. */
static void runs_are_not_begun_over_others(void **state)
{
    char killed[ROOM], run[ROOM];
    course c = plain("weights", "momentum");
    (void)state;
    killed_run(&c, killed);
    expect(ctx, &c, killed, ZO_EXISTS);
    error_says(ctx, killed, NULL);
    const char *const gone[] = {"journal", "metrics.jsonl", "config.json"};
    for (int i = 0; i < 3; i++) {
        unlink(in_folder(killed, gone[i]));
        zo_status status = go(ctx, &c, killed, NULL);
        /* Without config.json and metrics there is no run but a state that nobody can tell the run of. */
        if (i < 2) assert_int_equal(status, ZO_EXISTS);
    }
    assert_int_equal(mkdir(fresh(run, "claimed"), 0777), 0);
    put_file(in_folder(run, "journal"), "", 0); /* of a process that died at once */
    outcome o = go_as(ctx, &c, run, ZO_OK);
    free(o.params);
}

/* A second process; and a second context while the first trains. */
typedef struct rival {
    const course *c;
    const char *run;
    int tries;
} rival;

static void try_to_resume(void *user, const zo_report *report)
{
    rival *r = user;
    (void)report;
    if (r->tries++) return;
    assert_true(zo_run_busy(r->run));
    zo_context *where = make_context(1, NULL, NULL);
    expect_resumed(where, r->c, r->run, ZO_BUSY);
    error_says(where, r->run, "another process", NULL);
    zo_status status = go(where, r->c, r->run, NULL);
    assert_true(status == ZO_BUSY || status == ZO_EXISTS);
    zo_context_destroy(where);
}

static void runs_at_work_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop", "momentum");
    rival r = {&c, fresh(run, "busy"), 0};
    zo_task *task;
    zo_net *init;
    (void)state;
    assert_false(zo_run_busy(run));
    course d = c;
    zo_train_def def = plan(ctx, &d, run, &task, &init);
    def.report = try_to_resume;
    def.report_user = &r;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    assert_true(r.tries > 1);
    assert_false(zo_run_busy(run));
    zo_task_destroy(task);
    char path[ROOM], killed[ROOM];
    killed_run(&c, killed);
    zo_append held;
    bool empty;
    strcpy(path, in_folder(killed, "journal"));
    assert_int_equal(zo_append_open(&held, ctx, path, false, 8, &empty), ZO_OK);
    expect_resumed(ctx, &c, killed, ZO_BUSY);
    zo_append_close(&held);
    expect_resumed(ctx, &c, killed, ZO_OK);
}

/* Stopped before it is where it was: nothing has changed, and it can be resumed. */
static void a_resumption_can_be_stopped_at_once(void **state)
{
    char killed[ROOM], before[ROOM];
    const char *const name[] = {"journal", "metrics.jsonl", "checkpoint", "checkpoint.previous"};
    course c = plain("nodes", "momentum");
    (void)state;
    killed_run(&c, killed);
    copy_folder(killed, fresh(before, "before"));
    zo_cancel(ctx);
    expect_resumed(ctx, &c, killed, ZO_CANCELLED);
    zo_cancel_clear(ctx);
    assert_int_equal(entries(killed), entries(before));
    for (int i = 0; i < 4; i++) {
        size_t n, m;
        char *a = get_file(in_folder(killed, name[i]), &n),
             *b = get_file(in_folder(before, name[i]), &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
    outcome want = undisturbed(&c, NULL);
    outcome got = resume_as(ctx, &c, killed, ZO_OK);
    assert_same_outcome(&got, &want, "after a resumption that was stopped");
    free(got.params);
    free(want.params);
}

/* ---- states on request ---- */

static void states_are_saved_on_request(void **state)
{
    char run[ROOM];
    course c = plain("backprop", "momentum");
    (void)state;
    said = (book){.warnings = 0};
    zo_checkpoint(ctx);
    outcome got = go_as(ctx, &c, fresh(run, "asked"), ZO_OK);
    free(got.params);
    assert_int_equal(said.infos, 1);
    assert_non_null(strstr(said.text, "state saved after step 0"));
    assert_int_equal(said.warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_are_done_are_refused),
        cmocka_unit_test(what_holds_no_run_is_refused),
        cmocka_unit_test(runs_are_not_begun_over_others),
        cmocka_unit_test(runs_at_work_are_refused),
        cmocka_unit_test(a_resumption_can_be_stopped_at_once),
        cmocka_unit_test(states_are_saved_on_request),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

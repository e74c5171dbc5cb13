/* Closed forms that are stopped in the middle of a step: at once, with the state of before the step, and on to the same bits. Also the time that
 * the solve takes, which is part of a budget.
 */
#include "closed_support.h"

/* ---- a stop at the k-th piece of parallel work ---- */

enum {
    TILE = 40,
    SLOW = 50
}; /* pieces of a tile or a look, which are not left half-way; of what may be done after a stop */

typedef struct pieces {
    long done, stop; /* stop 0: never */
} pieces;

static pieces counted;

static void count_and_run(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    (void)user;
    if (++counted.done == counted.stop) zo_cancel(ctx);
    for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

static zo_trainer *train_to(zo_task *task, const zo_net *net, const char *method,
                            const char *const *settings, int steps)
{
    zo_trainer *t = make_trainer(ctx, task, net, method, 5, settings);
    for (int i = 0; i < steps; i++) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    return t;
}

static bool same_states(const zo_trainer *t, const char *path)
{
    size_t n, m;
    const char *now = in_folder(folder, "now");
    assert_int_equal(zo_trainer_save(t, now), ZO_OK);
    char *a = get_file(path, &n), *b = get_file(now, &m);
    bool same = n == m && !memcmp(a, b, n);
    free(a);
    free(b);
    return same;
}

/* Whether what is saved now can be taken up. */
static void take_up(zo_trainer *t)
{
    const char *now = in_folder(folder, "now");
    assert_int_equal(zo_trainer_save(t, now), ZO_OK);
    if (zo_trainer_load(t, now)) fail_msg("%s", zo_last_error(ctx));
}

/* One step, stopped at piece k of `all`; true if that stopped it. before: the state that it then has; NULL: another one that leads to the same,
 * as that of an ensemble whose next member has begun. */
static bool stop_at(zo_trainer *t, double progress, const char *before, long k, long all, long slow)
{
    counted = (pieces){.stop = k};
    zo_status status = zo_trainer_step(t, progress, NULL);
    counted.stop = 0;
    zo_cancel_clear(ctx);
    if (status == ZO_OK) {
        if (k < all / 2 && all > TILE) fail_msg("was not stopped at %ld of %ld", k, all);
        return false;
    }
    assert_int_equal(status, ZO_CANCELLED);
    if (counted.done > k + slow) fail_msg("%ld pieces after a stop at %ld", counted.done - k, k);
    if (before)
        assert_true(same_states(t, before));
    else
        take_up(t);
    return true;
}

/* Every step of a run is stopped at many places; then it goes on, and ends as it would have. */
static void check_stops_of(zo_task *task, const char *spec, const char *method,
                           const char *const *settings, int least, bool same)
{
    char before[PATH_ROOM];
    place(before, folder, "before");
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, method, 5, settings),
               *want = make_trainer(ctx, task, net, method, 5, settings);
    zo_step_info info = {0};
    int stopped = 0;
    for (int i = 0; !info.done; i++) {
        assert_true(i < 100);
        counted = (pieces){0};
        assert_int_equal(zo_trainer_step(want, 0, &info), ZO_OK);
        long all = counted.done;
        assert_int_equal(zo_trainer_save(t, before), ZO_OK);
        bool taken = false;
        for (long k = 1; k <= all && !taken; k += 1 + all / 16) {
            if (stop_at(t, 0, same ? before : NULL, k, all, SLOW))
                stopped++;
            else
                taken = true;
        }
        if (!taken) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    }
    if (stopped < least) fail_msg("%d stops", stopped);
    assert_same_floats(zo_trainer_net(t)->params, zo_trainer_net(want)->params, net->arena,
                       "after stops");
    zo_trainer_destroy(want);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

static void check_stops(zo_task *task, const char *spec, const char *method,
                        const char *const *settings, int least)
{
    check_stops_of(task, spec, method, settings, least, true);
}

/* The context of this test alone, so that its pieces are counted; the other one is returned. */
static zo_context *begin_counting(void)
{
    zo_context *before = ctx;
    zo_context_def def = zo_context_default_def();
    def.executor = (zo_executor){count_and_run, 1, NULL};
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    return before;
}

static void end_counting(zo_context *before)
{
    zo_context_destroy(ctx);
    ctx = before;
}

static void each_step_can_be_stopped(void **state)
{
    (void)state;
    zo_context *before = begin_counting();
    zo_task *task = make_task(ctx, 3000, 5, 3, 3), *images = make_images(ctx, 700, 6, 6, 1, 3, 3);
    check_stops(task, "dense700 relu dense3", "elm", SETTINGS("lambdas=4"), 16);
    check_stops(images, IMAGE_NET, "conv-elm", SETTINGS("lambdas=3", "copies=1", "shift=1"), 16);
    check_stops(task, "dense96 relu dense3", "elm", SETTINGS("lambdas=2", "module=32", "sweeps=2"),
                16);
    check_stops(task, "dense96 relu dense3", "elm", SETTINGS("lambdas=2", "sketch=40"), 4);
    check_stops(task, "dense96 relu dense3", "elm",
                SETTINGS("lambdas=2", "loss=logistic", "iterations=2"), 4);
    check_stops(task, "dense96 relu dense3", "elm",
                SETTINGS("lambda=0.01", "loss=logistic", "iterations=2"), 4);
    check_stops_of(task, "dense96 relu dense3", "elm", SETTINGS("lambdas=2", "ensemble=2"), 6,
                   false);
    zo_task_destroy(images);
    zo_task_destroy(task);
    end_counting(before);
}

/* The step that a budget forces, from each place that it may find. */
static void a_forced_end_can_be_stopped(void **state)
{
    (void)state;
    char saved[PATH_ROOM];
    zo_context *before = begin_counting();
    zo_task *task = make_images(ctx, 5000, 6, 6, 1, 3, 3);
    zo_net *net = make_net(ctx, task, IMAGE_NET, 1);
    const char *const *settings = SETTINGS("lambdas=3");
    place(saved, folder, "saved");
    for (int steps = 0; steps < 4; steps++) {
        zo_trainer *t = train_to(task, net, "conv-elm", settings, steps),
                   *want = train_to(task, net, "conv-elm", settings, steps);
        counted = (pieces){0};
        assert_int_equal(zo_trainer_step(want, 1, NULL), ZO_OK);
        long all = counted.done;
        assert_int_equal(zo_trainer_save(t, saved), ZO_OK);
        for (long k = 1; k < all / 2; k += 1 + all / 12)
            assert_true(stop_at(t, 1, saved, k, all, 8 * SLOW)); /* sums over patches */
        assert_int_equal(zo_trainer_step(t, 1, NULL), ZO_OK);
        assert_same_floats(zo_trainer_net(t)->params, zo_trainer_net(want)->params, net->arena,
                           "a forced end");
        zo_trainer_destroy(want);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
    end_counting(before);
}

/* ---- budgets ---- */

/* The solve of 700 units costs more than all rows do: of a budget in forward-equivalents both take their share, to within a tile. */
static void the_solve_is_part_of_a_budget(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 40000, 20, 3, 3);
    zo_train_def def = zo_train_default_def();
    zo_train_result whole, half;
    def.task = task;
    def.method = "elm";
    def.settings = SETTINGS("units=300");
    if (zo_train(ctx, &def, &whole, NULL)) fail_msg("%s", zo_last_error(ctx));
    assert_near(whole.epochs, 1, 0, 1e-12, "epochs");
    double tile = whole.forwards / (whole.epochs * 18), forwards = whole.forwards / 2;
    def.forwards = forwards;
    if (zo_train(ctx, &def, &half, NULL)) fail_msg("%s", zo_last_error(ctx));
    assert_true(half.epochs > 0.02 && half.epochs < 0.6);
    if (half.forwards > forwards + 2 * tile) fail_msg("%g forwards of %g", half.forwards, forwards);
    def.forwards = whole.forwards * 10;
    if (zo_train(ctx, &def, &half, NULL)) fail_msg("%s", zo_last_error(ctx));
    assert_near(half.epochs, 1, 0, 1e-12, "epochs of a budget that is never spent");
    def.forwards = 0;
    def.epochs = 1; /* a budget of rows: the solve takes none of it */
    if (zo_train(ctx, &def, &half, NULL)) fail_msg("%s", zo_last_error(ctx));
    assert_near(half.epochs, 1, 0, 1e-12, "epochs of a budget of one");
    zo_task_destroy(task);
}

/* Stopped anywhere and resumed, a bounded run ends at the same place. */
static void bounded_runs_have_the_same_bits(void **state)
{
    (void)state;
    zo_context *before = begin_counting();
    zo_task *task = make_task(ctx, 40000, 20, 3, 3);
    zo_train_def def = zo_train_default_def();
    zo_net *want, *got;
    def.task = task;
    def.method = "elm";
    def.settings = SETTINGS("units=300");
    def.forwards = 70000;
    counted = (pieces){0};
    assert_int_equal(zo_train(ctx, &def, NULL, &want), ZO_OK);
    long all = counted.done;
    for (int i = 1; i < 6; i++) {
        char path[PATH_ROOM];
        def.out = place(path, folder, "bounded");
        def.resume = false;
        counted = (pieces){.stop = all * i / 6};
        assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_CANCELLED);
        counted.stop = 0;
        zo_cancel_clear(ctx);
        def.resume = true;
        if (zo_train(ctx, &def, NULL, &got)) fail_msg("%s", zo_last_error(ctx));
        assert_same_floats(got->params, want->params, want->arena, "a bounded run");
        zo_net_destroy(got);
        remove_folder(strdup(path));
    }
    zo_net_destroy(want);
    zo_task_destroy(task);
    end_counting(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_can_be_stopped),
        cmocka_unit_test(a_forced_end_can_be_stopped),
        cmocka_unit_test(the_solve_is_part_of_a_budget),
        cmocka_unit_test(bounded_runs_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

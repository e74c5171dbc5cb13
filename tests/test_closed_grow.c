/* Closed forms that are done and go on with more copies of their rows, or another lambda: the sums serve again, and the network is that of a run
 * that had these settings from the start.
 */
#include "closed_support.h"

static zo_train_def run_of(const zo_task *task, const char *const *settings, const char *out)
{
    zo_train_def def = zo_train_default_def();
    def.task = task;
    def.method = "conv-elm";
    def.net = IMAGE_NET;
    def.settings = settings;
    def.seed = 3;
    def.out = out;
    return def;
}

static zo_net *net_of(const zo_train_def *def, zo_train_result *r)
{
    zo_net *net;
    if (zo_train(ctx, def, r, &net)) fail_msg("%s", zo_last_error(ctx));
    return net;
}

static const char *const one[] = {"lambdas=3", "copies=1", "shift=1", NULL};

/* Cancels at the first report of a step behind `from`. */
typedef struct stop {
    int64_t from;
} stop;

static void stop_behind(void *user, const zo_report *r)
{
    if (r->step >= ((const stop *)user)->from) zo_cancel(ctx);
}

/* begin, then `now`: the bits of `now` from the start. */
static void check_growth(const zo_task *task, const char *const *begin, const char *const *now)
{
    char path[PATH_ROOM];
    zo_train_result r, whole;
    zo_train_def fresh = run_of(task, now, NULL);
    zo_net *want = net_of(&fresh, &whole);
    for (int64_t from = -1; from < 8; from++) {
        zo_train_def def = run_of(task, begin, place(path, folder, "grown"));
        zo_net_destroy(net_of(&def, &r));
        double before = r.cost;
        int64_t steps = r.steps;
        stop s = {steps + from};
        def.settings = now;
        def.resume = true;
        def.report = from < 0 ? NULL : stop_behind;
        def.report_user = &s;
        zo_net *got;
        zo_status status = zo_train(ctx, &def, &r, &got);
        zo_cancel_clear(ctx);
        if (status == ZO_CANCELLED) {
            zo_net_destroy(got);
            def.report = NULL;
            status = zo_train(ctx, &def, &r, &got);
        }
        if (status) fail_msg("%s", zo_last_error(ctx));
        assert_same_floats(got->params, want->params, want->arena, "a run that grew");
        assert_true(r.train_loss == whole.train_loss && r.epochs == whole.epochs);
        assert_true(r.validation_accuracy == whole.validation_accuracy);
        if (!(r.cost - before < whole.cost)) fail_msg("all rows were taken again");
        zo_net_destroy(got);
        remove_folder(strdup(path));
    }
    zo_net_destroy(want);
}

static void more_copies_cost_their_own(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 5000, 6, 6, 1, 3, 3);
    check_growth(task, SETTINGS("lambdas=3"), one);
    check_growth(task, one, SETTINGS("lambdas=3", "copies=3", "shift=1"));
    zo_task_destroy(task);
}

static void lambda_costs_a_solve(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 3000, 6, 6, 1, 3, 3);
    check_growth(task, SETTINGS("lambdas=3"), SETTINGS("lambdas=5"));
    check_growth(task, SETTINGS("lambdas=3"), SETTINGS("lambdas=3", "lambda_least=0.0001"));
    check_growth(task, SETTINGS("lambda=0.01"), SETTINGS("lambda=0.002"));
    zo_task_destroy(task);
}

static void a_sketch_grows_too(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 3000, 6, 6, 1, 3, 3);
    check_growth(task, SETTINGS("lambdas=3", "sketch=30"),
                 SETTINGS("lambdas=3", "sketch=30", "copies=1", "shift=1"));
    zo_task_destroy(task);
}

/* The sums, which the library's own callers may add to as well. */
static void trainers_grow_without_a_run(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 3000, 6, 6, 1, 3, 3);
    zo_net *net = make_net(ctx, task, IMAGE_NET, 1);
    zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 4, SETTINGS("copies=1", "shift=1"));
    assert_true(zo_trainer_kept(t));
    const struct {
        const char *const *began;
        bool grows;
    } cases[] = {{SETTINGS("copies=0", "shift=0"), true},
                 {SETTINGS("copies=0", "shift=2"), true},
                 {SETTINGS("copies=2", "shift=1"), false},
                 {SETTINGS("copies=1", "shift=2"), false},
                 {SETTINGS("copies=1", "shift=1"), true},
                 {SETTINGS("copies=0", "balance=yes"), false},
                 {SETTINGS("copies=0", "whiten=1"), false},
                 {SETTINGS("copies=0", "lambda=1"), true},
                 {SETTINGS("copies=0", "lambda_least=1e-4"), true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *all[64], *line;
        char *texts[60];
        size_t n = 0;
        while ((line = zo_trainer_setting(t, (int)n))) texts[n] = strdup(line), n++;
        for (size_t k = 0; k < n; k++) all[k] = texts[k];
        all[n] = cases[i].began[0], all[n + 1] = cases[i].began[1], all[n + 2] = NULL;
        if (zo_trainer_grows(t, all) != cases[i].grows) fail_msg("case %zu", i);
        for (size_t k = 0; k < n; k++) free(texts[k]);
    }
    zo_trainer_destroy(t);
    static const char *const none[] = {"keep=no", "loss=logistic", "ensemble=2"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        t = make_trainer(ctx, task, net, "conv-elm", 4, SETTINGS(none[i]));
        assert_false(zo_trainer_kept(t));
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void expect(zo_train_def def, const char *const *settings, zo_status want, const char *says)
{
    def.settings = settings;
    def.resume = true;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), want);
    error_says(ctx, def.out, says, NULL);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    char path[PATH_ROOM], bare[PATH_ROOM];
    zo_train_result r;
    zo_task *task = make_images(ctx, 2000, 6, 6, 1, 3, 3);
    zo_train_def def = run_of(task, one, place(path, folder, "refused"));
    zo_net_destroy(net_of(&def, &r));
    expect(def, one, ZO_EXISTS, "the run is done");
    expect(def, SETTINGS("lambdas=3"), ZO_EXISTS, "does not serve");
    expect(def, SETTINGS("lambdas=3", "copies=2", "shift=2"), ZO_EXISTS, "does not serve");
    expect(def, SETTINGS("lambdas=3", "copies=2", "shift=1", "whiten=0.1"), ZO_EXISTS,
           "does not serve");
    def.seed = 4;
    expect(def, SETTINGS("lambdas=3", "copies=2", "shift=1"), ZO_EXISTS, "does not serve");
    zo_train_def other = run_of(task, SETTINGS("keep=no"), place(bare, folder, "bare"));
    zo_net_destroy(net_of(&other, &r));
    assert_int_not_equal(access(in_folder(bare, "checkpoint"), F_OK), 0);
    expect(other, SETTINGS("copies=2", "shift=1"), ZO_NOT_FOUND, "not kept");
    static const char *const none[] = {"loss=logistic", "ensemble=2"};
    for (size_t i = 0; i < 2; i++) {
        other = run_of(task, SETTINGS(none[i], "lambdas=2"), place(bare, folder, none[i]));
        zo_net_destroy(net_of(&other, &r));
        expect(other, SETTINGS(none[i], "lambdas=2", "copies=1", "shift=1"), ZO_EXISTS,
               "does not serve");
    }
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_copies_cost_their_own), cmocka_unit_test(lambda_costs_a_solve),
        cmocka_unit_test(a_sketch_grows_too),         cmocka_unit_test(trainers_grow_without_a_run),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

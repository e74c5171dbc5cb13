/* Runs: what ends them, what they report, what they keep. (The files they leave: test_run_files.c.) */
#include "run_support.h"

#include <stdatomic.h>
#include <time.h>

/* ---- budgets ---- */

static void the_first_budget_reached_ends_a_run(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    double n = (double)task->part[ZO_TRAIN].n;
    zo_train_def def = small_run(task, NULL, NULL);
    def.epochs = 2.5;
    zo_train_result r = run(&def, ZO_OK);
    assert_int_equal(r.steps, (int64_t)ceil(2.5 * n / 20));
    assert_near(r.epochs, (double)r.steps * 20 / n, 1e-12, 0, "epochs");

    def.forwards = r.forwards / 2;
    def.seconds = 1000;
    zo_train_result half = run(&def, ZO_OK);
    double step = 2 * r.forwards / (double)r.steps; /* none costs twice the mean */
    assert_true(half.forwards >= def.forwards && half.forwards < def.forwards + step);

    def.epochs = 1e9;
    def.forwards = 1e15;
    def.seconds = 0.25;
    r = run(&def, ZO_OK);
    assert_true(r.seconds_training >= 0.25 && r.seconds_training < 5);
    assert_true(r.seconds >= r.seconds_training);
    zo_task_destroy(task);
}

/* Exactly the steps that a budget allows: with forwards, the run ends with the step that reaches it. */
static void forwards_are_honoured_within_a_step(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "xor", 1, NULL);
    zo_train_def def = small_run(task, NULL, NULL);
    def.method = "backprop:adam"; /* every step costs the same */
    def.epochs = 3;
    zo_train_result all = run(&def, ZO_OK);
    double each = all.forwards / (double)all.steps;
    def.epochs = 0;
    const double ask[] = {0.5, 1, 1.001, 7, 7.5};
    const int64_t want[] = {1, 1, 2, 7, 8};
    for (int i = 0; i < 5; i++) {
        def.forwards = ask[i] * each;
        zo_train_result r = run(&def, ZO_OK);
        assert_int_equal(r.steps, want[i]);
        assert_near(r.forwards, each * (double)r.steps, 0, 1e-12, "forward-equivalents");
    }
    zo_task_destroy(task);
}

static void bad_budgets_are_refused(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "xor", 1, NULL), *plane = named_task(ctx, "plane", 1, NULL);
    const double bad[] = {-1, NAN, INFINITY, -INFINITY};
    char path[PATH_ROOM];
    const char *out = place(path, folder, "refused");
    for (int i = 0; i < 4; i++) {
        zo_train_def def[4];
        for (int k = 0; k < 4; k++) def[k] = small_run(task, out, NULL);
        def[0].seconds = def[1].epochs = def[2].forwards = def[3].target = bad[i];
        for (int k = 0; k < 4; k++) run(def + k, ZO_USAGE);
    }
    zo_train_def def = small_run(task, out, NULL);
    def.target = 1.5;
    run(&def, ZO_USAGE);
    def = small_run(plane, out, NULL);
    def.target = 0.5;
    run(&def, ZO_USAGE);
    error_says(ctx, "accuracy", "plane", NULL);
    assert_int_equal(zo_train(ctx, NULL, NULL, NULL), ZO_USAGE);
    assert_int_not_equal(access(out, F_OK), 0);
    zo_task_destroy(task);
    zo_task_destroy(plane);
}

/* Keeps a run waiting in each report until its time is up. */
static void wait_for_the_end(void *user, const zo_report *report)
{
    zo_report *last = user;
    if (report->step && report->progress < 1)
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    *last = *report;
}

/* Also where time runs out between the look at the last step and the next one. */
static void the_last_report_is_of_the_end(void **state)
{
    (void)state;
    zo_report last = {0};
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    zo_train_def def = small_run(task, NULL, NULL);
    def.seconds = 0.2;
    def.report = wait_for_the_end;
    def.report_user = &last;
    zo_train_result r = run(&def, ZO_OK);
    assert_true(last.progress == 1 && last.seconds >= 0.2 && last.step == r.steps);
    assert_true(isfinite(last.train_loss) && isfinite(last.validation_loss));
    zo_task_destroy(task);
}

/* ---- what ends a run early ---- */

static void a_target_ends_a_run(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "xor", 2, NULL);
    zo_train_def def = small_run(task, NULL, &d);
    def.epochs = 1000;
    def.target = 0.99;
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.epochs < 500 && r.validation_accuracy >= 0.99);
    assert_true(r.seconds_target > 0 && r.seconds_target <= r.seconds_training);
    assert_true(d.last.validation_accuracy >= 0.99 && d.last.progress < 1);
    def.epochs = 0.1;
    r = run(&def, ZO_OK);
    assert_true(isnan(r.seconds_target) && r.validation_accuracy < 0.99);
    zo_task_destroy(task);
}

static void a_user_can_stop_a_run(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "spirals", 2, NULL);
    for (int64_t from = 0; from < 60; from += 25) {
        char name[32], path[PATH_ROOM];
        snprintf(name, sizeof name, "stopped-%d", (int)from);
        const char *out = place(path, folder, name);
        zo_train_def def = small_run(task, out, &d);
        def.epochs = 0;
        def.seconds = 1000;
        d.cancel_from = from;
        zo_train_result r = run(&def, ZO_CANCELLED);
        zo_cancel_clear(ctx);
        error_says(ctx, "stopped", NULL);
        assert_true(r.steps >= from && (from > 0 || r.steps == 0));
        assert_true(isfinite(r.validation_accuracy) && isfinite(r.test_accuracy));
        assert_true(isfinite(r.validation_loss) && r.parameters > 0 && r.uses == ZO_USES_LOSS);
        zo_net *net = load_model(out);
        assert_near(accuracy_of(net, task, ZO_VALIDATION), r.validation_accuracy, 1e-12, 0, "model");
        zo_net_destroy(net);
        json_t *lines[400];
        int n = read_metrics(out, lines, 400);
        assert_string_equal(text_of(lines[n - 1], "state"), "stopped");
        free_lines(lines, n);
    }
    zo_task_destroy(task);
}

/* Steps so large that the losses overflow: the best network so far is kept, and the error says where. */
static void a_run_that_diverges_keeps_the_best(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "plane", 1, NULL);
    char path[PATH_ROOM];
    const char *out = place(path, folder, "diverged");
    zo_train_def def = small_run(task, out, NULL);
    def.net = "dense1";
    def.method =
        "backprop:sgd"; /* differences of huge losses round to 0: nodes would only stand still */
    def.settings = SETTINGS("batch=50", "lr=1000", "schedule=constant");
    def.epochs = 1000;
    zo_train_result r;
    zo_net *kept, *saved;
    assert_int_equal(zo_train(ctx, &def, &r, &kept), ZO_DIVERGED);
    error_says(ctx, "second time", "lr", out, NULL);
    assert_int_equal(r.rolled_back, 1);
    assert_true(r.steps > 0 && isfinite(r.validation_loss) && isfinite(r.test_loss));
    saved = load_model(out);
    for (size_t i = 0; i < kept->arena; i++) assert_true(isfinite(kept->params[i]));
    assert_same_floats(saved->params, kept->params, kept->arena, "saved and returned");
    json_t *lines[400];
    int n = read_metrics(out, lines, 400);
    assert_string_equal(text_of(lines[n - 1], "state"), "diverged");
    assert_int_equal(number_of(lines[n - 1], "rolled_back"), 1);
    free_lines(lines, n);
    zo_net_destroy(saved);
    zo_net_destroy(kept);
    zo_task_destroy(task);
}

/* ---- what is kept, and what is looked at ---- */

static void the_network_best_on_validation_is_kept(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "blobs", 3, SETTINGS("classes=2", "spread=1.5"));
    char path[PATH_ROOM];
    const char *out = place(path, folder, "best");
    zo_train_def def = small_run(task, out, &d);
    def.settings = SETTINGS("batch=20", "lr=0.1", "schedule=constant"); /* restless */
    def.epochs = 60;
    zo_train_result r = run(&def, ZO_OK);
    json_t *lines[400];
    int n = read_metrics(out, lines, 400), at = 0;
    double best = -1;
    for (int i = 0; i + 1 < n; i++) {
        double a = number_of(lines[i], "validation_accuracy");
        if (a > best) best = a, at = i;
    }
    assert_true(at > 0 && number_of(lines[n - 2], "validation_accuracy") < best); /* not the last */
    assert_near(r.validation_accuracy, best, 1e-9, 0, "best of the reports");
    zo_net *net = load_model(out);
    assert_near(accuracy_of(net, task, ZO_VALIDATION), best, 1e-9, 0, "kept network");
    assert_near(accuracy_of(net, task, ZO_TEST), r.test_accuracy, 1e-9, 0, "its test");
    assert_true(d.in_order && d.first.step == 0 && d.last.step == r.steps);
    assert_true(isnan(d.first.train_loss) && isfinite(d.last.train_loss) && d.last.progress == 1);
    assert_true(d.reports >= n - 1);
    zo_net_destroy(net);
    free_lines(lines, n);
    zo_task_destroy(task);
}

/* A loss that knows test examples by their targets, and counts them. */
static void counting_loss(void *user, int n, int outputs, const float *y, int stride,
                          const int32_t *label, const float *target, float *loss)
{
    (void)outputs, (void)label;
    for (int i = 0; i < n; i++) {
        loss[i] = fabsf(y[(size_t)i * (size_t)stride] - target[i]);
        if (target[i] > 1000) atomic_fetch_add((atomic_int *)user, 1);
    }
}

static void the_test_part_is_looked_at_once(void **state)
{
    (void)state;
    diary d;
    atomic_int looks = 0;
    zo_task *task = named_task(ctx, "plane", 1, NULL);
    zo_examples *test = task->part + ZO_TEST;
    for (int64_t i = 0; i < test->n; i++) test->target[i] = 5000;
    zo_train_def def = small_run(task, NULL, &d);
    def.net = "dense4 tanh dense1";
    def.loss = counting_loss;
    def.loss_user = &looks;
    zo_train_result r = run(&def, ZO_OK);
    assert_true(d.reports > 2);
    assert_int_equal(atomic_load(&looks), test->n);
    assert_true(r.test_loss > 4000 && r.validation_loss < 100);
    zo_task_destroy(task);
}

/* No answer below -1. */
static void partial_loss(void *user, int n, int outputs, const float *y, int stride,
                         const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)outputs, (void)label;
    for (int i = 0; i < n; i++)
        loss[i] = target[i] < -1 ? NAN : fabsf(y[(size_t)i * (size_t)stride] - target[i]);
}

/* Examples without a loss count neither in training nor where the best network is chosen. */
static void examples_without_a_loss_are_left_out(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "plane", 1, NULL);
    zo_train_def def = small_run(task, NULL, &d);
    def.net = "dense1";
    def.loss = partial_loss;
    def.settings = SETTINGS("batch=20", "lr=0.02");
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.dropped > 0 && isfinite(r.train_loss));
    assert_true(isfinite(r.test_loss) && isfinite(d.first.validation_loss));
    assert_true(r.validation_loss < d.first.validation_loss / 3);
    zo_task_destroy(task);
}

/* Validation losses that overflow are no figures to choose by. */
static void a_run_without_a_finite_validation_loss_has_diverged(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "plane", 1, NULL);
    zo_net *init = make_net(ctx, task, "dense1", 1), *kept;
    zo_train_def def = small_run(task, NULL, &d);
    init->params[init->stage[0].bias] = -1e20f; /* its square is too large for float32 */
    def.init = init;
    zo_train_result r;
    assert_int_equal(zo_train(ctx, &def, &r, &kept), ZO_DIVERGED);
    error_says(ctx, "finite", "lr", NULL);
    assert_true(!isfinite(r.validation_loss) && r.steps == 0 && d.reports == 1);
    assert_memory_equal(kept->params, init->params, init->arena * sizeof(float));
    zo_net_destroy(kept);
    zo_net_destroy(init);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_budget_reached_ends_a_run),
        cmocka_unit_test(forwards_are_honoured_within_a_step),
        cmocka_unit_test(bad_budgets_are_refused),
        cmocka_unit_test(the_last_report_is_of_the_end),
        cmocka_unit_test(a_target_ends_a_run),
        cmocka_unit_test(a_user_can_stop_a_run),
        cmocka_unit_test(a_run_that_diverges_keeps_the_best),
        cmocka_unit_test(the_network_best_on_validation_is_kept),
        cmocka_unit_test(the_test_part_is_looked_at_once),
        cmocka_unit_test(examples_without_a_loss_are_left_out),
        cmocka_unit_test(a_run_without_a_finite_validation_loss_has_diverged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

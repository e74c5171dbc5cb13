/* Measuring: the direction that is measured is the one of the next step, agrees with the gradient as theory says (over seeds 1 to 10), and
 * does not when it is that of another batch; and a run has the same bits with it and without, also when it was stopped.
 * labels: threads
 */
#include "float64_net.h"
#include "run_support.h"

#include "learn/measure.h"

#define COMMON "lr=1", "schedule=constant"

static zo_measure *make_measure(const zo_task *task, const zo_net *net, const char *method,
                                uint64_t seed, const char *const *settings)
{
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = task;
    def.net = net;
    def.seed = seed;
    def.settings = settings;
    zo_measure *m;
    if (zo_measure_create(ctx, &def, "alignment", &m)) fail_msg("%s", zo_last_error(ctx));
    return m;
}

static void measure_at(zo_measure *m, const zo_net *net, int64_t step)
{
    if (zo_measure_at(m, net, step, 0)) fail_msg("%s", zo_last_error(ctx));
}

static double cosine_of(const zo_measure *m, const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < m->learner->net->arena; i++) {
        double x = (double)a[i], y = (double)b[i];
        ab += x * y, aa += x * x, bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

/* ---- the direction ---- */

static void complete_sets_are_exact_and_other_batches_are_noticed(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 400, 5, 3, 3);
    zo_net *net = make_net(ctx, task, "dense20 tanh dense9 gelu dense3", 7);
    zo_measure *m =
        make_measure(task, net, "nodes:sgd", 1,
                     SETTINGS(COMMON, "batch=40", "set=complete", "sides=two", "sigma=0.002"));
    float *other = floats(net->arena);
    for (int64_t step = 0; step < 3; step++) {
        measure_at(m, net, step);
        assert_int_equal(m->layers, 3);
        for (int i = 0; i < m->layers; i++) {
            assert_true(m->layer[i].cosine > 0.999 && m->layer[i].cosine < 1 + 1e-9);
            assert_near(m->layer[i].predicted, 1, 0, 0, "predicted of a complete set");
        }
        assert_true(cosine_of(m, m->found, m->wanted) > 0.999);
        if (step) assert_true(cosine_of(m, m->found, other) < 0.99); /* the broken twin */
        memcpy(other, m->wanted, net->arena * sizeof *other);
    }
    free(other);
    zo_measure_destroy(m);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Measured before every step, and the step taken all the same. */
static void the_direction_is_that_of_the_next_step(void **state)
{
    (void)state;
    static const char *const methods[] = {"nodes:sgd", "weights:sgd",    "lowrank:sgd", "spsa:sgd",
                                          "mezo:sgd",  "coordinate:sgd", "backprop:sgd"};
    zo_task *task = make_task(ctx, 200, 5, 3, 3);
    zo_net *net = make_net(ctx, task, "dense12 tanh dense3", 7);
    float *before = floats(net->arena);
    for (int k = 0; k < 7; k++) {
        const char *const *settings = SETTINGS(COMMON, "batch=40");
        zo_trainer *trainer = make_trainer(ctx, task, net, methods[k], 3, settings),
                   *twin = make_trainer(ctx, task, net, methods[k], 3, settings);
        zo_measure *m = make_measure(task, net, methods[k], 3, settings);
        for (int64_t step = 0; step < 3; step++) {
            const zo_net *now = zo_trainer_net(trainer);
            memcpy(before, now->params, net->arena * sizeof *before);
            measure_at(m, now, step);
            assert_int_equal(zo_trainer_step(trainer, 0, NULL), ZO_OK);
            assert_int_equal(zo_trainer_step(twin, 0, NULL), ZO_OK);
            for (size_t i = 0; i < net->arena; i++)
                assert_near(before[i] - now->params[i], m->found[i], 1e-5, 1e-5, methods[k]);
            assert_memory_equal(now->params, zo_trainer_net(twin)->params,
                                net->arena * sizeof(float));
        }
        zo_measure_destroy(m);
        zo_trainer_destroy(trainer);
        zo_trainer_destroy(twin);
    }
    free(before);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Measures two steps in a context; out[10]: what that came to. */
static zo_status measure_twice(zo_context *in, double *out)
{
    zo_task *task = NULL;
    zo_net *net = NULL;
    zo_measure *m = NULL;
    zo_task_def of_task = zo_task_default_def();
    of_task.name = "spirals";
    of_task.settings = SETTINGS("n=150");
    zo_net_def of_net = zo_net_default_def();
    of_net.spec = "dense7 tanh dense18 relu dense2";
    of_net.inputs = of_net.outputs = 2;
    zo_trainer_def def = zo_trainer_default_def();
    def.settings = SETTINGS("batch=50", "limit=0.1");
    zo_status status = zo_task_create(in, &of_task, &task);
    if (!status) status = zo_net_create(in, &of_net, &net);
    def.task = task, def.net = net;
    if (!status) status = zo_measure_create(in, &def, "alignment", &m);
    for (int64_t step = 0; step < 2 && !status; step++) status = zo_measure_at(m, net, step, 0.1);
    for (int i = 0; i < 3 && !status; i++) {
        out[3 * i] = m->layer[i].cosine;
        out[3 * i + 1] = m->layer[i].predicted;
        out[3 * i + 2] = m->layer[i].snr;
    }
    if (!status) out[9] = m->predicted;
    zo_measure_destroy(m);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return status;
}

static zo_status measure_refused(zo_context *in, void *out) { return measure_twice(in, out); }

static void measuring_leaks_nothing_and_is_reproducible(void **state)
{
    (void)state;
    double want[10] = {0}, got[10] = {0};
    assert_true(refuse_each(measure_refused, want) > 50);
    for (int i = 0; i < 10; i++) assert_true(isfinite(want[i]));
    for (int threads = 1; threads <= 3; threads++) {
        zo_context *other = make_context(threads, threads == 2 ? NULL : "ref", NULL);
        assert_int_equal(measure_twice(other, got), ZO_OK);
        assert_memory_equal(got, want, sizeof want);
        zo_context_destroy(other);
    }
}

/* ---- theory ---- */

enum { SEEDS = 10 };

/* Mean squared cosines against those predicted, and those of all layers together. */
static void check_theory(const zo_task *task, const char *spec, const char *method,
                         const char *const *settings)
{
    zo_net *net = make_net(ctx, task, spec, 7);
    double got[MOST_LAYERS + 1] = {0}, want[MOST_LAYERS + 1] = {0};
    int layers = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_measure *m = make_measure(task, net, method, seed, settings);
        measure_at(m, net, 0);
        layers = m->layers;
        for (int i = 0; i <= layers; i++) {
            double c = i < layers ? m->layer[i].cosine : m->cosine,
                   p = i < layers ? m->layer[i].predicted : m->predicted;
            got[i] += c * c / SEEDS;
            want[i] += p * p / SEEDS;
        }
        zo_measure_destroy(m);
    }
    for (int i = 0; i <= layers; i++) {
        print_message("%s, %s, %d: cos^2 %.3f, predicted %.3f\n", method, settings[2], i, got[i],
                      want[i]);
        assert_near(got[i], want[i], 0.06, 0, "squared cosine");
    }
    zo_net_destroy(net);
}

static void cosines_follow_theory(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 300, 24, 6, 6), *images = make_images(ctx, 300, 7, 7, 1, 3, 3);
    const char *spec = "dense40 tanh dense19 tanh dense6";
    const char *all = "batch=65536", *small = "sigma=0.003";
    check_theory(task, spec, "nodes:sgd", SETTINGS(COMMON, "draws=1", all, small, "set=random"));
    check_theory(task, spec, "nodes:sgd", SETTINGS(COMMON, "draws=8", all, small, "set=random"));
    check_theory(task, spec, "nodes:sgd",
                 SETTINGS(COMMON, "noise=gaussian", all, small, "set=random", "draws=4"));
    check_theory(task, spec, "nodes:sgd",
                 SETTINGS(COMMON, "place=weights", all, "sigma_weights=0.003", "draws=128"));
    check_theory(task, spec, "nodes:sgd", SETTINGS(COMMON, "limit=0.2", all, small));
    check_theory(images, "conv3x4 tanh dense3", "nodes:sgd",
                 SETTINGS(COMMON, "place=weights", all, "sigma_weights=0.003", "draws=128"));
    check_theory(task, "dense9 tanh dense100 dense6", "weights:sgd",
                 SETTINGS(COMMON, "population=512", all, "sigma=0.001", "shaping=raw"));
    check_theory(task, "dense9 tanh dense100 dense6", "weights:sgd",
                 SETTINGS(COMMON, "noise=gaussian", all, "sigma=0.001", "shaping=raw",
                          "population=512", "sides=one"));
    zo_task_destroy(task);
    zo_task_destroy(images);
}

/* Halves of a batch differ by what its examples do: |a - b|^2 / |g|^2 = 1 / (snr + 1) is (rho - 1) / (B - 1) in the mean. */
static void signal_to_noise_is_that_of_the_examples(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 120, 24, 6, 6);
    zo_net *net = make_net(ctx, task, "dense40 tanh dense6", 7);
    net64 *oracle = net64_of(net);
    batch64 batch = {task, "cross-entropy"};
    double count = (double)task->part[ZO_TRAIN].n, mean[2] = {0}, rho;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_measure *m = make_measure(task, net, "nodes:sgd", seed,
                                     SETTINGS(COMMON, "batch=65536", "set=complete"));
        measure_at(m, net, 0);
        for (int i = 0; i < 2; i++) mean[i] += 1 / (m->layer[i].snr + 1) / SEEDS;
        zo_measure_destroy(m);
    }
    for (int i = 0; i < 2; i++) {
        free(layer_direction64(oracle, &batch, i, 1e-5, &rho));
        print_message("layer %d: %.3f, by its examples %.3f\n", i, mean[i], (rho - 1) / (count - 1));
        assert_near(mean[i], (rho - 1) / (count - 1), 0, 0.2, "noise of halves");
    }
    free(oracle);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Two estimates with noise of their own: 1 / snr is the variance that theory gives. */
static void signal_to_noise_is_that_of_the_draws(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 120, 5, 3, 3);
    zo_net *net = make_net(ctx, task, "dense12 tanh dense3", 7);
    double got[2] = {0}, want[2] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_measure *m = make_measure(
            task, net, "weights:sgd", seed,
            SETTINGS(COMMON, "batch=65536", "population=1024", "sigma=0.001", "shaping=raw"));
        measure_at(m, net, 0);
        for (int i = 0; i < 2; i++) {
            double p = m->layer[i].predicted;
            got[i] += 1 / m->layer[i].snr / SEEDS;
            want[i] += (1 / (p * p) - 1) / SEEDS;
        }
        zo_measure_destroy(m);
    }
    for (int i = 0; i < 2; i++) assert_near(got[i], want[i], 0, 0.2, "noise of draws");
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- runs ---- */

static int measurements(const char *out, const zo_task *task)
{
    json_t *lines[400];
    int n = read_metrics(out, lines, 400), measured = 0;
    int64_t last = -1;
    for (int i = 0; i < n; i++) {
        if (strcmp(text_of(lines[i], "event"), "measure")) continue;
        int64_t step = json_integer_value(json_object_get(lines[i], "step"));
        const json_t *layers = json_object_get(lines[i], "layers"),
                     *time = json_object_get(lines[i], "time");
        assert_true(json_is_true(json_object_get(lines[i], "measurement_uses_gradients")));
        assert_string_equal(text_of(lines[i], "reference"), "backprop");
        assert_true(step > last);
        assert_int_equal(json_array_size(layers), task->classes == 2 ? 2 : 1);
        double c = number_of(json_array_get(layers, 0), "cosine");
        assert_true(c > -1.001 && c < 1.001);
        double shares = number_of(time, "batch") + number_of(time, "passes") +
                        number_of(time, "settle") + number_of(time, "direction") +
                        number_of(time, "looks") + number_of(time, "other");
        assert_near(shares, 1, 1e-6, 0, "shares of time");
        last = step;
        measured++;
    }
    free_lines(lines, n);
    return measured;
}

/* Counts what the report callback is told. */
static void count_told(void *user, const zo_report *r)
{
    int *told = user;
    assert_true((r->measured != NULL) == (r->measured_layers > 0));
    if (!r->measured) return;
    assert_int_equal(r->measured[0].layer, 0);
    assert_string_equal(r->measured[0].word, "dense12");
    told[0]++;
}

static void assert_same_model(const char *a, const char *b)
{
    zo_net *one = load_model(a), *other = load_model(b);
    assert_memory_equal(one->params, other->params, one->arena * sizeof(float));
    zo_net_destroy(one);
    zo_net_destroy(other);
}

static void runs_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const methods[] = {"nodes:adam", "weights", "coordinate", "mezo:sgd",
                                          "auto:adam"};
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    for (int i = 0; i < 5; i++) {
        char name[64], plain[PATH_ROOM], measured[PATH_ROOM], resumed[PATH_ROOM];
        int told = 0;
        snprintf(name, sizeof name, "plain-%d", i);
        zo_train_def def = small_run(task, place(plain, folder, name), NULL);
        def.method = methods[i];
        def.checkpoint = 1e-9;
        zo_train_result want = run(&def, ZO_OK);

        snprintf(name, sizeof name, "measured-%d", i);
        def.out = place(measured, folder, name);
        def.measure = "alignment";
        def.report = count_told;
        def.report_user = &told;
        zo_train_result got = run(&def, ZO_OK);
        assert_same_model(plain, measured);
        assert_true(got.steps == want.steps && got.uses == want.uses);
        assert_near(got.cost, want.cost, 0, 0, "cost");
        assert_int_equal(measurements(measured, task), told);
        assert_true(told > 1);

        snprintf(name, sizeof name, "resumed-%d", i);
        diary d = {.cancel_from = 20};
        def.out = place(resumed, folder, name);
        def.report = note;
        def.report_user = &d;
        run(&def, ZO_CANCELLED);
        zo_cancel_clear(ctx);
        def.report = NULL;
        def.resume = true;
        run(&def, ZO_OK);
        assert_same_model(plain, resumed);
        assert_true(measurements(resumed, task) > 1);
    }
    zo_task_destroy(task);
}

static void measuring_is_no_training_time(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    zo_train_def def = small_run(task, NULL, NULL);
    def.epochs = 0;
    def.seconds = 0.3;
    def.measure = "alignment";
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.seconds_training >= 0.3 && r.seconds >= r.seconds_training);
    zo_task_destroy(task);
}

/* ---- what is refused ---- */

static void errors_of_a_user(void *user, int n, int outputs, const float *y, int stride,
                             const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)target, (void)label, (void)outputs;
    for (int i = 0; i < n; i++) loss[i] = y[(size_t)i * (size_t)stride] > 0;
}

static void what_has_no_derivative_is_refused(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    char path[PATH_ROOM];
    zo_train_def def = small_run(task, place(path, folder, "refused"), NULL), plain = def;
    def.measure = "aligment";
    run(&def, ZO_USAGE);
    error_says(ctx, "aligment", "did you mean alignment?", NULL);
    def.measure = "alignment";
    def.net = "dense8 step dense2";
    run(&def, ZO_UNSUPPORTED);
    error_says(ctx, "step", "alignment-straight-through", NULL);
    def.net = plain.net;
    def.loss = errors_of_a_user;
    run(&def, ZO_UNSUPPORTED);
    error_says(ctx, "user", "derivative", NULL);
    def.loss = NULL;
    def.settings = SETTINGS("loss=zero-one");
    run(&def, ZO_UNSUPPORTED);
    error_says(ctx, "zero-one", "derivative", NULL);
    def.method = "weights";
    def.settings = SETTINGS("loss=f1");
    run(&def, ZO_UNSUPPORTED);
    error_says(ctx, "f1", "derivative", NULL);
    assert_int_not_equal(access(path, F_OK), 0);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_sets_are_exact_and_other_batches_are_noticed),
        cmocka_unit_test(the_direction_is_that_of_the_next_step),
        cmocka_unit_test(measuring_leaks_nothing_and_is_reproducible),
        cmocka_unit_test(cosines_follow_theory),
        cmocka_unit_test(signal_to_noise_is_that_of_the_examples),
        cmocka_unit_test(signal_to_noise_is_that_of_the_draws),
        cmocka_unit_test(runs_have_the_same_bits),
        cmocka_unit_test(measuring_is_no_training_time),
        cmocka_unit_test(what_has_no_derivative_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

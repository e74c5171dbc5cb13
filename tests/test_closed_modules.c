/* Closed forms in modules: against block Gauss-Seidel and the joint solution in long double; bits, resumption, memory, refusals.
 * labels: threads
 */
#include "closed_support.h"

#include "run/assess.h"

/* ---- oracle ---- */

/* x = a^-1 b for a positive definite a [n][n], b [n][m]; both are spoilt, b becomes x. */
static void eliminate(real *a, real *b, size_t n, size_t m)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < n; i++) {
            if (i == k) continue;
            real f = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++) a[i * n + j] -= f * a[k * n + j];
            for (size_t j = 0; j < m; j++) b[i * m + j] -= f * b[k * m + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) b[i * m + j] /= a[i * n + i];
}

/* A ridge problem of centred rows. */
typedef struct problem {
    size_t n, p, q;
    real *x, *y, *mean_x, *mean_y; /* [n][p], [n][q], about their means */
} problem;

static void centre(real *x, real *mean, size_t n, size_t p)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) mean[j] += x[i * p + j] / (real)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) x[i * p + j] -= mean[j];
}

/* Of "denseU relu denseQ", or the same inside { }cat: inputs, then units. */
static problem problem_of(const zo_net *net, const zo_task *task)
{
    const zo_stage *s = net->stage;
    const zo_examples *part = &task->part[ZO_TRAIN];
    problem r = {
        .n = (size_t)part->n, .p = net->stage[net->stages - 1].rows, .q = (size_t)task->outputs};
    size_t others = r.p - s->columns;
    r.x = reals(r.n * r.p), r.y = reals(r.n * r.q), r.mean_x = reals(r.p), r.mean_y = reals(r.q);
    for (size_t i = 0; i < r.n; i++) {
        const float *x = part->x + i * (size_t)task->stride;
        for (size_t j = 0; j < others; j++) r.x[i * r.p + j] = (real)x[j];
        for (size_t j = 0; j < s->columns; j++) {
            real z = (real)net->params[s->bias + j];
            for (size_t l = 0; l < s->rows; l++)
                z += (real)x[l] * (real)net->params[s->weight + zo_stage_at(s, l, j)];
            r.x[i * r.p + others + j] = z > 0 ? z : 0;
        }
        for (size_t j = 0; j < r.q; j++)
            r.y[i * r.q + j] = !part->label                   ? (real)part->target[i * r.q + j]
                               : part->label[i] == (int32_t)j ? 1
                                                              : -1;
    }
    centre(r.x, r.mean_x, r.n, r.p);
    centre(r.y, r.mean_y, r.n, r.q);
    return r;
}

static void free_problem(problem *r) { free(r->x), free(r->y), free(r->mean_x), free(r->mean_y); }

static real mean_square(const problem *r, size_t p)
{
    real sum = 0;
    for (size_t i = 0; i < r->n; i++)
        for (size_t j = 0; j < p; j++) sum += r->x[i * r->p + j] * r->x[i * r->p + j];
    return sum / (real)p;
}

/* w of features [first, end) for what the others leave. */
static void fit(const problem *r, size_t first, size_t end, real lambda, real *w)
{
    size_t m = end - first, p = r->p, q = r->q;
    real *a = reals(m * m), *b = reals(m * q), *left = reals(r->n * q);
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < q; k++) {
            left[i * q + k] = r->y[i * q + k];
            for (size_t j = 0; j < p; j++)
                if (j < first || j >= end) left[i * q + k] -= r->x[i * p + j] * w[j * q + k];
        }
        for (size_t j = 0; j < m; j++) {
            for (size_t l = 0; l < m; l++)
                a[j * m + l] += r->x[i * p + first + j] * r->x[i * p + first + l];
            for (size_t k = 0; k < q; k++)
                b[j * q + k] += r->x[i * p + first + j] * left[i * q + k];
        }
    }
    for (size_t j = 0; j < m; j++) a[j * m + j] += lambda;
    eliminate(a, b, m, q);
    for (size_t j = 0; j < m * q; j++) w[first * q + j] = b[j];
    free(a), free(b), free(left);
}

/* sweeps 0: the joint solution. malloc'ed. */
static real *solution(const problem *r, size_t others, size_t size, int sweeps, real relative)
{
    size_t first_end = others + size < r->p ? others + size : r->p;
    real *w = reals(r->p * r->q), lambda = relative * mean_square(r, first_end);
    if (!sweeps) fit(r, 0, r->p, lambda, w);
    for (int s = 0; s < sweeps; s++) {
        for (size_t from = 0, to = first_end; from < r->p;
             from = to, to = to + size < r->p ? to + size : r->p)
            fit(r, from, to, lambda, w);
    }
    return w;
}

static void check_layer(const zo_net *net, const problem *r, const real *w, double tolerance)
{
    const zo_stage *s = net->stage + net->stages - 1;
    for (size_t k = 0; k < r->q; k++) {
        real bias = r->mean_y[k];
        for (size_t j = 0; j < r->p; j++) {
            bias -= r->mean_x[j] * w[j * r->q + k];
            assert_near((double)net->params[s->weight + zo_stage_at(s, j, k)],
                        (double)w[j * r->q + k], tolerance, 2 * tolerance, "a weight");
        }
        assert_near((double)net->params[s->bias + k], (double)bias, 2 * tolerance, 2 * tolerance,
                    "a bias");
    }
}

static void finish(zo_trainer *t)
{
    zo_step_info info = {0};
    while (!info.done)
        if (zo_trainer_step(t, zo_trainer_progress(t), &info)) fail_msg("%s", zo_last_error(ctx));
}

static void check_modules(uint64_t seed, int classes, const char *spec, size_t size,
                          const char *const *settings, int sweeps, real lambda, double tolerance)
{
    zo_task *task = make_task(ctx, 400, 5, classes, 2);
    zo_net *net = make_net(ctx, task, spec, seed);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", seed, settings);
    finish(t);
    const zo_net *now = zo_trainer_net(t);
    problem r = problem_of(now, task);
    real *w = solution(&r, r.p - now->stage->columns, size, sweeps, lambda);
    check_layer(now, &r, w, tolerance);
    free(w);
    free_problem(&r);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* One sweep: each module fits what those before it leave. */
static void sweeps_are_those_of_gauss_seidel(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (int classes = 0; classes <= 2; classes += 2) {
            check_modules(seed, classes, "dense64 relu dense2", 32,
                          SETTINGS("lambda=0.02", "module=32", "sweeps=1"), 1, 0.02L, 3e-4);
            check_modules(seed, classes, "{ dense80 relu }cat dense2", 32, /* 32, 32, 16 */
                          SETTINGS("lambda=0.02", "module=32", "sweeps=1"), 1, 0.02L, 3e-4);
            check_modules(seed, classes, "{ dense80 relu }cat dense2", 64, /* rounded up */
                          SETTINGS("lambda=0.02", "module=33", "sweeps=3"), 3, 0.02L, 3e-4);
        }
    }
}

static void many_sweeps_are_the_joint_solution(void **state)
{
    (void)state;
    check_modules(4, 0, "dense64 relu dense2", 32,
                  SETTINGS("lambda=0.5", "module=32", "sweeps=200"), 0, 0.5L, 1e-3);
    check_modules(5, 2, "{ dense40 relu }cat dense2", 32,
                  SETTINGS("lambda=0.5", "module=32", "sweeps=200"), 0, 0.5L, 1e-3);
}

/* ---- bits ---- */

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    closed_case c = {
        "conv-elm",
        "patch3x6,pad1 twosided0.25 cells2 sqrt flatten scale { dense100 relu }cat dense3",
        SETTINGS("copies=1", "shift=1", "lambdas=3", "module=64", "sweeps=2"),
        2600,
        6,
        6};
    check_bits(&c, 1);
}

/* ---- sweeps that are chosen ---- */

static double validation_loss(const zo_net *net, const zo_task *task)
{
    double loss, accuracy;
    zo_assessor a = {0};
    assert_int_equal(zo_assessor_init(&a, task, net), ZO_OK);
    zo_assess(&a, net, ZO_VALIDATION, &loss, &accuracy);
    zo_assessor_fini(&a);
    return loss;
}

/* The first sweep that gains nothing is taken back. */
static void sweeps_end_on_validation(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 300, 4, 0, 1);
    zo_net *net = make_net(ctx, task, "dense96 relu dense1", 1);
    double loss[9], chosen;
    int best = 1;
    for (int sweeps = 0; sweeps <= 8; sweeps++) {
        char text[32];
        snprintf(text, sizeof text, "sweeps=%d", sweeps);
        zo_trainer *t = make_trainer(ctx, task, net, "elm", 2, SETTINGS("module=32", text));
        finish(t);
        loss[sweeps] = validation_loss(zo_trainer_net(t), task);
        zo_trainer_destroy(t);
    }
    while (best < 8 && loss[best + 1] < loss[best]) best++;
    chosen = loss[0];
    assert_near(chosen, loss[best], 0, 1e-6, "the loss of the sweep chosen");
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- memory ---- */

static zo_status train_limited(int64_t most, const char *units, const char *module,
                               zo_train_result *r, char plan[200])
{
    zo_context *before = ctx;
    zo_context_def def = zo_context_default_def();
    def.memory = most;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    zo_task *task = make_task(ctx, 3000, 6, 3, 3);
    zo_train_def run = zo_train_default_def();
    char path[PATH_ROOM];
    run.task = task;
    run.method = "elm";
    run.settings = SETTINGS(units, module, "lambdas=3", "sweeps=1");
    run.out = place(path, folder, "limited");
    zo_status status = zo_train(ctx, &run, r, NULL);
    snprintf(plan, 200, "%s", zo_last_error(ctx));
    if (!status) {
        json_t *config = json_load_file(in_folder(path, "config.json"), 0, NULL);
        json_t *lines = json_object_get(json_object_get(config, "record"), "plan");
        snprintf(plan, 200, "%s", json_string_value(json_array_get(lines, 1)));
        json_decref(config);
        remove_folder(strdup(path));
    }
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    ctx = before;
    return status;
}

static void too_many_units_come_in_modules(void **state)
{
    (void)state;
    zo_train_result all, parts;
    char plan[200];
    const int64_t mib = 1 << 20;
    if (train_limited(0, "units=1500", "module=0", &all, plan)) fail_msg("%s", plan);
    if (train_limited(32 * mib, "units=1500", "module=0", &parts, plan)) fail_msg("%s", plan);
    assert_non_null(strstr(plan, "1500 units in"));
    assert_non_null(strstr(plan, "do not fit into memory"));
    assert_true(parts.memory <= 32 * mib);
    assert_true(parts.validation_accuracy > all.validation_accuracy - 0.05);
    assert_int_equal(train_limited(32 * mib, "units=1500", "module=1400", &parts, plan),
                     ZO_NO_MEMORY);
    assert_non_null(strstr(plan, "set module to"));
    for (int64_t most = 16; most > 5; most--) { /* refused before anything is allocated, or done */
        zo_status status = train_limited(most * mib, "units=1500", "module=0", &parts, plan);
        if (status && !strstr(plan, "GiB")) fail_msg("%d MiB: %s", (int)most, plan);
        assert_true(!status || most < 12);
    }
}

static void what_has_no_units_is_refused(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    static const char *const specs[] = {"dense64 wta4 dense3", "dense64 relu scale dense3",
                                        "dense4 { dense4 relu }+ dense3",
                                        "{ dense8 relu | dense64 relu }cat dense3"};
    for (int i = 0; i < 4; i++) {
        zo_net *net = make_net(ctx, task, specs[i], 1);
        zo_trainer_def def = zo_trainer_default_def();
        zo_trainer *t;
        def.method = "elm";
        def.task = task;
        def.net = net;
        def.settings = SETTINGS("module=32");
        assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_UNSUPPORTED);
        error_says(ctx, specs[i], "right before the last", NULL);
        zo_net_destroy(net);
    }
    zo_task_destroy(task);
}

static void what_has_other_sums_is_refused(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense64 relu dense3", 1);
    const char *const others[] = {"sketch=20", "loss=logistic"}, *const says[] = {"sketch=0",
                                                                                  "loss=squared"};
    for (int i = 0; i < 2; i++) {
        zo_trainer_def def = zo_trainer_default_def();
        zo_trainer *t;
        def.method = "elm";
        def.task = task;
        def.net = net;
        def.settings = SETTINGS("module=32", others[i]);
        assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_USAGE);
        error_says(ctx, others[i], says[i], NULL);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- budgets, failures ---- */

/* What has been solved for when a budget ends is a network. */
static void budgets_end_between_modules(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=9000"));
    zo_train_def def = zo_train_default_def();
    zo_train_result whole, r;
    def.task = task;
    def.method = "elm";
    def.settings = SETTINGS("units=128", "module=32", "sweeps=2", "lambdas=3");
    if (zo_train(ctx, &def, &whole, NULL)) fail_msg("%s", zo_last_error(ctx));
    for (int i = 1; i < 8; i++) {
        def.forwards = whole.forwards * i / 8;
        if (zo_train(ctx, &def, &r, NULL)) fail_msg("%s", zo_last_error(ctx));
        assert_true(r.validation_accuracy > 0.85 && isfinite(r.train_loss));
        if (r.forwards > def.forwards + whole.forwards / 8)
            fail_msg("%g forwards of %g", r.forwards, def.forwards);
    }
    zo_task_destroy(task);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    closed_case c = {"elm",
                     "{ dense40 relu }cat dense3",
                     SETTINGS("lambdas=2", "module=32", "sweeps=2", "balance=yes"),
                     0,
                     1,
                     4};
    assert_true(refuse_each(train_closed, &c) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweeps_are_those_of_gauss_seidel),
        cmocka_unit_test(many_sweeps_are_the_joint_solution),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(sweeps_end_on_validation),
        cmocka_unit_test(too_many_units_come_in_modules),
        cmocka_unit_test(what_has_no_units_is_refused),
        cmocka_unit_test(what_has_other_sums_is_refused),
        cmocka_unit_test(budgets_end_between_modules),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

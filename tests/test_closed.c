/* Closed forms: solutions against the normal equations in long double, filters against their formula, the same bits for any threads and
 * kernels and after a resumption, what is refused, and networks that others go on with.
 * labels: threads
 */
#include "run_support.h"

#include "learn/closed.h"
#include "linear/eigen.h"
#include "run/assess.h"

typedef long double real;

/* ---- oracle ---- */

/* x = a^-1 b by elimination with pivots; a [n][n], b [n][m]; both are spoilt, b becomes x. */
static void eliminate(real *a, real *b, size_t n, size_t m)
{
    for (size_t k = 0; k < n; k++) {
        size_t best = k;
        for (size_t i = k; i < n; i++)
            if (fabsl(a[i * n + k]) > fabsl(a[best * n + k])) best = i;
        for (size_t j = 0; j < n; j++) {
            real t = a[k * n + j];
            a[k * n + j] = a[best * n + j], a[best * n + j] = t;
        }
        for (size_t j = 0; j < m; j++) {
            real t = b[k * m + j];
            b[k * m + j] = b[best * m + j], b[best * m + j] = t;
        }
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

static real *reals(size_t n)
{
    real *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* relu(x W + b) of the first layer of "denseP relu denseQ". */
static real *features(const zo_net *net, const zo_task *task, size_t p)
{
    const zo_stage *s = net->stage;
    const zo_examples *part = &task->part[ZO_TRAIN];
    real *h = reals((size_t)part->n * p);
    for (size_t i = 0; i < (size_t)part->n; i++) {
        for (size_t j = 0; j < p; j++) {
            real z = (real)net->params[s->bias + j];
            for (size_t l = 0; l < s->rows; l++)
                z += (real)part->x[i * (size_t)task->stride + l] *
                     (real)net->params[s->weight + zo_stage_at(s, l, j)];
            h[i * p + j] = z > 0 ? z : 0;
        }
    }
    return h;
}

static real target_of(const zo_task *t, size_t i, size_t j)
{
    const zo_examples *part = &t->part[ZO_TRAIN];
    if (part->label) return part->label[i] == (int32_t)j ? 1 : -1;
    return (real)part->target[i * (size_t)t->outputs + j];
}

static real weight_of(const zo_task *t, size_t i, bool balance)
{
    const zo_examples *part = &t->part[ZO_TRAIN];
    int64_t same = 0;
    if (!balance) return 1;
    for (int64_t e = 0; e < part->n; e++) same += part->label[e] == part->label[i];
    return (real)part->n / ((real)t->classes * (real)same);
}

/* Weights of the last layer against the centred normal equations with lambda relative to the mean of the diagonal. */
static void check_solution(const zo_net *net, const zo_task *t, size_t p, double lambda,
                           bool balance)
{
    size_t n = (size_t)t->part[ZO_TRAIN].n, q = (size_t)t->outputs;
    const zo_stage *s = net->stage + net->stages - 1;
    real *h = features(net, t, p), *a = reals(p * p), *b = reals(p * q), *mean = reals(p + q);
    real all = 0, trace = 0;
    for (size_t i = 0; i < n; i++) {
        real w = weight_of(t, i, balance);
        all += w;
        for (size_t j = 0; j < p; j++) mean[j] += w * h[i * p + j];
        for (size_t j = 0; j < q; j++) mean[p + j] += w * target_of(t, i, j);
    }
    for (size_t j = 0; j < p + q; j++) mean[j] /= all;
    for (size_t i = 0; i < n; i++) {
        real w = weight_of(t, i, balance);
        for (size_t j = 0; j < p; j++) {
            real x = w * (h[i * p + j] - mean[j]);
            for (size_t k = 0; k < p; k++) a[j * p + k] += x * (h[i * p + k] - mean[k]);
            for (size_t k = 0; k < q; k++) b[j * q + k] += x * (target_of(t, i, k) - mean[p + k]);
        }
    }
    for (size_t j = 0; j < p; j++) trace += a[j * p + j];
    for (size_t j = 0; j < p; j++) a[j * p + j] += (real)lambda * trace / (real)p;
    eliminate(a, b, p, q);
    for (size_t k = 0; k < q; k++) {
        real bias = mean[p + k];
        for (size_t j = 0; j < p; j++) {
            bias -= mean[j] * b[j * q + k];
            assert_near((double)net->params[s->weight + zo_stage_at(s, j, k)], (double)b[j * q + k],
                        2e-4, 1e-3, "a weight");
        }
        assert_near((double)net->params[s->bias + k], (double)bias, 1e-3, 1e-3, "a bias");
    }
    free(h), free(a), free(b), free(mean);
}

/* Steps until it is done, and how many. */
static int solve(zo_trainer *t)
{
    zo_step_info info = {0};
    for (int i = 1; i < 100; i++) {
        if (zo_trainer_step(t, zo_trainer_progress(t) < 1 ? zo_trainer_progress(t) : 0.99, &info))
            fail_msg("step %d: %s", i, zo_last_error(ctx));
        assert_int_equal(info.step, i);
        assert_true(info.done || zo_trainer_progress(t) < 1);
        if (info.done) {
            assert_true(isfinite(info.loss) && info.cost > 0);
            return i;
        }
    }
    fail_msg("never done");
    return 0;
}

static void solutions_are_those_of_the_normal_equations(void **state)
{
    (void)state;
    for (int regression = 0; regression < 2; regression++) {
        for (int balance = 0; balance < 2 - regression; balance++) {
            zo_task *task = make_task(ctx, 400, 5, regression ? 0 : 3, regression ? 2 : 3);
            zo_net *net =
                make_net(ctx, task, regression ? "dense20 relu dense2" : "dense20 relu dense3", 1);
            zo_trainer *t =
                make_trainer(ctx, task, net, "elm", 4,
                             SETTINGS("lambda=0.01", balance ? "balance=yes" : "balance=no"));
            solve(t);
            check_solution(zo_trainer_net(t), task, 20, 0.01, balance);
            zo_trainer_destroy(t);
            zo_net_destroy(net);
            zo_task_destroy(task);
        }
    }
}

/* lambda is the one of least error on validation: no other gives less. */
static void lambda_is_chosen_on_validation(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 300, 4, 0, 1);
    zo_net *net = make_net(ctx, task, "dense150 relu dense1", 1);
    zo_trainer *chosen = make_trainer(ctx, task, net, "elm", 2, SETTINGS("lambdas=3"));
    double least = INFINITY, loss[4], accuracy;
    static const char *const lambdas[] = {"lambda=1e-6", "lambda=3.16227766e-4", "lambda=0.1"};
    zo_assessor a = {0};
    assert_int_equal(zo_assessor_init(&a, task, net), ZO_OK);
    solve(chosen);
    zo_assess(&a, zo_trainer_net(chosen), ZO_VALIDATION, &loss[3], &accuracy);
    for (int i = 0; i < 3; i++) {
        zo_trainer *t = make_trainer(ctx, task, net, "elm", 2, SETTINGS(lambdas[i]));
        solve(t);
        zo_assess(&a, zo_trainer_net(t), ZO_VALIDATION, &loss[i], &accuracy);
        if (loss[i] < least) least = loss[i];
        zo_trainer_destroy(t);
    }
    assert_near(loss[3], least, 0, 1e-3, "the loss of the lambda chosen");
    assert_non_null(strstr(zo_trainer_plan(chosen, 1), "chosen on validation"));
    zo_assessor_fini(&a);
    zo_trainer_destroy(chosen);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- eigenvectors, filters ---- */

static void eigenvectors_make_the_matrix_again(void **state)
{
    (void)state;
    enum { N = 23 };
    double a[N * N], copy[N * N], v[N * N], value[N];
    uint64_t seed = 3;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j <= i; j++) a[i * N + j] = a[j * N + i] = (double)draw(&seed, -1, 1);
    memcpy(copy, a, sizeof a);
    zo_eigen_symmetric(a, N, v, value);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            double sum = 0, dot = 0;
            for (size_t k = 0; k < N; k++) {
                sum += v[k * N + i] * value[k] * v[k * N + j];
                dot += v[i * N + k] * v[j * N + k];
            }
            assert_near(sum, copy[i * N + j], 1e-12, 0, "the matrix");
            assert_near(dot, i == j, 1e-12, 0, "a product of vectors");
        }
    }
}

/* What whitening promises: over the patches of the training images the outputs of all filters f . Z (p - mu) have mean 0, and with f a basis
 * the variances are those of C / (C + w). Filters are sqrt(w')-long images of unit vectors: (C + w I)^(1/2) W has columns of length 1. */
static void filters_are_whitened(void **state)
{
    (void)state;
    enum { D = 9, SIDE = 8 };
    zo_task *task = make_images(ctx, 1200, SIDE, SIDE, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "patch3x12 twosided0.25 cells2 sqrt flatten scale dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 4, NULL);
    zo_step_info info;
    assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
    const zo_net *now = zo_trainer_net(t);
    const zo_stage *s = now->stage;
    real c[D * D] = {0}, mean[D] = {0}, n = 0;
    for (int64_t e = 0; e < task->part[ZO_TRAIN].n; e++) {
        for (int y = 0; y + 3 <= SIDE; y++) {
            for (int x = 0; x + 3 <= SIDE; x++, n++) {
                real p[D], m = 0, v = 0;
                for (int i = 0; i < D; i++) {
                    p[i] = (real)task->part[ZO_TRAIN]
                               .x[e * task->stride + (y + i / 3) * SIDE + x + i % 3];
                    m += p[i] / D;
                }
                for (int i = 0; i < D; i++) v += (p[i] - m) * (p[i] - m) / D;
                for (int i = 0; i < D; i++) p[i] = (p[i] - m) / sqrtl(v + 0.01L);
                for (int i = 0; i < D; i++) {
                    mean[i] += p[i];
                    for (int j = 0; j < D; j++) c[i * D + j] += p[i] * p[j];
                }
            }
        }
    }
    for (int i = 0; i < D; i++) mean[i] /= n;
    for (size_t k = 0; k < 12; k++) {
        real w[D], length = 0, bias = 0;
        for (size_t i = 0; i < D; i++) {
            w[i] = (real)now->params[s->weight + zo_stage_at(s, i, k)];
            bias -= mean[i] * w[i];
        }
        for (size_t i = 0; i < D; i++) {
            for (size_t j = 0; j < D; j++)
                length += w[i] * w[j] * (c[i * D + j] / n - mean[i] * mean[j] + (i == j) * 0.05L);
        }
        /* the library's patches are a sample of these */
        assert_near((double)length, 1, 0.05, 0, "the whitened length of a filter");
        assert_near((double)now->params[s->bias + k], (double)bias, 0.05, 0, "its bias");
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- units ---- */

/* The weights of unit j. */
static void unit_of(const zo_net *net, size_t j, double *w)
{
    const zo_stage *s = net->stage;
    for (size_t i = 0; i < s->rows; i++)
        w[i] = (double)net->params[s->weight + zo_stage_at(s, i, j)];
}

/* Whether w is the difference of examples a and b, made 1 long. */
static bool is_difference(const zo_task *t, int64_t a, int64_t b, const double *w)
{
    const float *x = t->part[ZO_TRAIN].x + a * t->stride, *y = t->part[ZO_TRAIN].x + b * t->stride;
    double length = 0, off = 0;
    for (int i = 0; i < t->inputs; i++) {
        double d = (double)x[i] - (double)y[i];
        length += d * d;
    }
    for (int i = 0; i < t->inputs; i++) {
        double d = ((double)x[i] - (double)y[i]) / sqrt(length) - w[i];
        off += d * d;
    }
    return off < 1e-10;
}

static void units_of_classes_are_differences(void **state)
{
    (void)state;
    enum { UNITS = 20 };
    double w[6];
    zo_task *task = make_task(ctx, 60, 6, 3, 3);
    zo_net *net = make_net(ctx, task, "dense20 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("weights=class"));
    const zo_examples *part = &task->part[ZO_TRAIN];
    solve(t);
    for (size_t j = 0; j < UNITS; j++) {
        bool found = false;
        unit_of(zo_trainer_net(t), j, w);
        for (int64_t a = 0; a < part->n; a++)
            for (int64_t b = 0; b < part->n; b++)
                found |= part->label[a] != part->label[b] && is_difference(task, a, b, w);
        assert_true(found);
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Normal weights are never 0 by themselves: what is not 0 fills a rectangle. */
static void fields_are_rectangles(void **state)
{
    (void)state;
    enum { SIDE = 14, UNITS = 40 };
    double w[SIDE * SIDE];
    bool smaller = false;
    zo_task *task = make_images(ctx, 60, SIDE, SIDE, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "dense40 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("fields=yes"));
    solve(t);
    for (size_t j = 0; j < UNITS; j++) {
        int top = SIDE, left = SIDE, bottom = -1, right = -1, count = 0;
        double length = 0;
        unit_of(zo_trainer_net(t), j, w);
        for (int i = 0; i < SIDE * SIDE; i++) {
            length += w[i] * w[i];
            if (w[i] == 0) continue;
            int y = i / SIDE, x = i % SIDE;
            top = y < top ? y : top, bottom = y > bottom ? y : bottom;
            left = x < left ? x : left, right = x > right ? x : right;
            count++;
        }
        int height = bottom - top + 1, width = right - left + 1;
        assert_int_equal(count, height * width);
        assert_true(height >= 10 && width >= 10);
        assert_near(length, 1, 1e-5, 0, "the length of a unit");
        smaller |= count < SIDE * SIDE;
    }
    assert_true(smaller);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* gain = 1 / (deviation + 0.01), shift = -mean gain; more rows than a tile. */
static void scales_are_those_of_the_rows(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 5000, 7, 3, 3);
    zo_net *net = make_net(ctx, task, "scale dense20 relu dense3", 1);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t i = 0; i < part->n; i++) part->x[i * task->stride + 2] += 1000;
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, NULL);
    solve(t);
    const zo_net *now = zo_trainer_net(t);
    for (int j = 0; j < 7; j++) {
        real mean = 0, square = 0, n = (real)part->n;
        for (int64_t i = 0; i < part->n; i++) mean += (real)part->x[i * task->stride + j] / n;
        for (int64_t i = 0; i < part->n; i++) {
            real d = (real)part->x[i * task->stride + j] - mean;
            square += d * d / n;
        }
        real gain = 1 / (sqrtl(square) + 0.01L);
        assert_near((double)now->params[now->stage->weight + (size_t)j], (double)gain, 0, 1e-5,
                    "a gain");
        assert_near((double)now->params[now->stage->bias + (size_t)j], (double)(-mean * gain), 1e-5,
                    1e-5, "a shift");
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- bits ---- */

#define IMAGE_NET "patch3x6,pad1 twosided0.25 cells2 sqrt flatten scale { dense30 relu }cat dense3"

/* The parameters after a run of `threads`; stop: a trainer of its own goes on from there. malloc'ed. */
static float *copy_net(const zo_net *net, size_t *n)
{
    float *p = floats(*n = net->arena);
    memcpy(p, net->params, net->arena * sizeof *p);
    return p;
}

static float *parameters_of(int threads, const char *kernels, int stop, size_t *n)
{
    zo_context *own = make_context(threads, kernels, NULL), *before = ctx;
    ctx = own;
    zo_task *task = make_images(ctx, 5000, 6, 6, 1, 3, 3);
    zo_net *net = make_net(ctx, task, IMAGE_NET, 1);
    const char *const *settings = SETTINGS("copies=1", "shift=1", "lambdas=4");
    zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 7, settings);
    for (int i = 0; i < stop; i++) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    if (stop) {
        const char *path = in_folder(folder, "state");
        assert_int_equal(zo_trainer_save(t, path), ZO_OK);
        zo_trainer_destroy(t);
        t = make_trainer(ctx, task, net, "conv-elm", 7, settings);
        if (zo_trainer_load(t, path)) fail_msg("%s", zo_last_error(ctx));
    }
    zo_step_info info = {0};
    for (int i = stop; !info.done; i++) {
        assert_true(i < 20);
        assert_int_equal(zo_trainer_step(t, 0.5, &info), ZO_OK);
    }
    float *p = copy_net(zo_trainer_net(t), n);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(own);
    ctx = before;
    return p;
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    size_t n, m;
    float *want = parameters_of(1, NULL, 0, &n);
    for (int threads = 2; threads <= 3; threads++) {
        float *got = parameters_of(threads, NULL, 0, &m);
        assert_same_floats(got, want, n, "threads");
        free(got);
    }
    for (int i = 0; kernel_set(i); i++) {
        float *got = parameters_of(2, kernel_set(i)->info.name, 0, &m);
        assert_same_floats(got, want, n, "kernels");
        free(got);
    }
    free(want);
}

static void a_saved_trainer_goes_on(void **state)
{
    (void)state;
    size_t n, m;
    float *want = parameters_of(2, NULL, 0, &n);
    for (int stop = 1; stop <= 7; stop++) { /* fill, statistics, five tiles */
        float *got = parameters_of(2, NULL, stop, &m);
        assert_same_floats(got, want, n, "after a stop");
        free(got);
    }
    free(want);
}

/* ---- runs ---- */

static zo_train_def closed_run(const zo_task *task, const char *out, diary *d)
{
    static const char *const settings[] = {"units=40", NULL};
    zo_train_def def = zo_train_default_def();
    *d = (diary){.cancel_from = -1};
    def.task = task;
    def.method = "elm";
    def.settings = settings;
    def.seed = 3;
    def.out = out;
    def.report = note;
    def.report_user = d;
    return def;
}

static void runs_end_when_they_are_done(void **state)
{
    (void)state;
    char path[PATH_ROOM];
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=4000"));
    zo_train_def def = closed_run(task, place(path, folder, "done"), &d);
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.validation_accuracy > 0.85 && isfinite(r.train_loss) && isfinite(r.test_loss));
    assert_true(d.in_order && d.last.progress == 1);
    assert_near(r.epochs, 1, 0, 1e-12, "epochs");
    assert_int_equal(r.uses, ZO_USES_LOSS_DERIVATIVE);
    zo_verified v;
    zo_train_def again = zo_train_default_def();
    again.task = task;
    if (zo_verify(ctx, path, &again, &v)) fail_msg("%s", zo_last_error(ctx));
    assert_true(v.model && v.different == 0);
    zo_task_destroy(task);
}

/* A budget that ends before the rows do: solved with what there is. */
static void short_budgets_finish(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=20000"));
    zo_train_def def = closed_run(task, NULL, &d);
    def.epochs = 0.3;
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.epochs > 0.25 && r.epochs < 0.6 && r.validation_accuracy > 0.85);
    def.epochs = 0;
    def.forwards = 1e-9; /* not even one tile */
    r = run(&def, ZO_OK);
    assert_true(r.epochs > 0 && r.epochs < 0.5 && r.validation_accuracy > 0.85);
    zo_task_destroy(task);
}

/* Cancelled at each step; resumed, the same network. */
static void stopped_runs_go_on(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=9000"));
    diary d;
    zo_net *want, *got;
    zo_train_def def = closed_run(task, NULL, &d);
    assert_int_equal(zo_train(ctx, &def, NULL, &want), ZO_OK);
    char path[PATH_ROOM];
    def = closed_run(task, place(path, folder, "stopped"), &d);
    zo_train_result r;
    zo_cancel(ctx);
    assert_int_equal(zo_train(ctx, &def, &r, NULL), ZO_CANCELLED);
    zo_cancel_clear(ctx);
    assert_true(isnan(r.validation_accuracy) && isnan(r.test_accuracy));
    assert_int_not_equal(access(in_folder(path, "model.safetensors"), F_OK), 0);
    def.resume = true;
    if (zo_train(ctx, &def, &r, &got)) fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(r.resumed, 1);
    assert_same_floats(got->params, want->params, want->arena, "a resumed run");
    zo_net_destroy(want);
    zo_net_destroy(got);
    zo_task_destroy(task);
}

/* The result is a network like any other: nodes goes on with it, also with the last layer alone. */
static void others_go_on_with_the_network(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, NULL);
    zo_net *net, *later;
    zo_train_def def = closed_run(task, NULL, &d);
    zo_train_result first, r;
    assert_int_equal(zo_train(ctx, &def, &first, &net), ZO_OK);
    def.init = net;
    def.method = "nodes";
    def.settings = SETTINGS("freeze=body", "lr=0.0001");
    def.epochs = 1;
    assert_int_equal(zo_train(ctx, &def, &r, &later), ZO_OK);
    assert_true(r.validation_accuracy >= first.validation_accuracy);
    const zo_stage *s = net->stage;
    assert_same_floats(later->params + s->weight, net->params + s->weight, s->weight_floats, "body");
    zo_net_destroy(later);
    def.method = "elm";
    def.settings = SETTINGS("body=keep");
    def.epochs = 0;
    assert_int_equal(zo_train(ctx, &def, &r, &later), ZO_OK);
    assert_same_floats(later->params, net->params, net->arena, "solved again");
    zo_net_destroy(later);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- what is refused, and what is not ---- */

static void refused(const zo_task *task, const char *spec, const char *method,
                    const char *const *settings, zo_status want, const char *says)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer_def def = zo_trainer_default_def();
    zo_trainer *t;
    def.method = method;
    def.task = task;
    def.net = net;
    def.settings = settings;
    zo_status status = zo_trainer_create(ctx, &def, &t);
    if (status != want) fail_msg("%s: %s: %s", says, zo_status_name(status), zo_last_error(ctx));
    assert_null(t);
    error_says(ctx, says, NULL);
    zo_net_destroy(net);
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    (void)state;
    const char *const *none = NULL;
    zo_task *task = make_task(ctx, 100, 4, 3, 3), *numbers = make_task(ctx, 100, 4, 0, 1);
    refused(task, "dense9 relu dense3 relu", "elm", none, ZO_UNSUPPORTED, "end it with dense3");
    refused(task, "dense9 relu dense3", "elm:sgd", none, ZO_USAGE, "no rule");
    refused(task, "dense9 relu dense3", "elm", SETTINGS("fields=yes"), ZO_USAGE, "for images");
    refused(task, "dense9 relu dense3", "elm", SETTINGS("copies=2"), ZO_USAGE, "copies");
    refused(task, "dense3", "elm", SETTINGS("weights=class"), ZO_USAGE, "begins with a dense");
    refused(numbers, "dense9 relu dense1", "elm", SETTINGS("weights=class"), ZO_USAGE, "classes");
    refused(numbers, "dense9 relu dense1", "elm", SETTINGS("balance=yes"), ZO_USAGE, "classes");
    char spec[64];
    assert_int_equal(zo_method_net(ctx, "conv-elm", task, NULL, spec, sizeof spec), ZO_USAGE);
    int64_t held = task->part[ZO_VALIDATION].n;
    task->part[ZO_VALIDATION].n = 0;
    refused(task, "dense9 relu dense3", "elm", none, ZO_USAGE, "no validation part");
    task->part[ZO_VALIDATION].n = held;
    for (int64_t i = 0; i < task->part[ZO_TRAIN].n; i++) task->part[ZO_TRAIN].label[i] = 1;
    refused(task, "dense9 relu dense3", "elm", none, ZO_USAGE, "one class only");
    zo_task_destroy(numbers);
    zo_task_destroy(task);
}

static void too_many_units_are_refused_before_allocation(void **state)
{
    (void)state;
    zo_context *before = ctx;
    zo_context_def def = zo_context_default_def();
    def.memory = 32 << 20;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    refused(task, "dense6000 relu dense3", "elm", NULL, ZO_NO_MEMORY, "of the 6000 units fit");
    size_t fit = 0;
    assert_int_equal(sscanf(strstr(zo_last_error(ctx), "about "), "about %zu", &fit), 1);
    assert_true(fit > 100 && fit < 6000);
    char spec[64];
    snprintf(spec, sizeof spec, "dense%zu relu dense3", fit * 9 / 10);
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, NULL);
    solve(t);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    ctx = before;
}

static void check_finite(const zo_task *task, const char *spec, const char *method,
                         const char *const *settings)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, method, 1, settings);
    solve(t);
    const zo_net *now = zo_trainer_net(t);
    for (size_t i = 0; i < now->arena; i++) assert_true(isfinite(now->params[i]));
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

static void weights_are_always_finite(void **state)
{
    (void)state;
    zo_task *few = make_task(ctx, 40, 4, 3, 3), *images = make_images(ctx, 60, 12, 12, 1, 3, 3),
            *still = make_images(ctx, 60, 12, 12, 1, 3, 3);
    check_finite(few, "dense200 relu dense3", "elm", NULL); /* fewer examples than units */
    check_finite(few, "dense3", "elm", NULL);
    check_finite(images, "dense30 relu dense3", "elm", SETTINGS("weights=class", "fields=yes"));
    check_finite(images, "dense30 relu dense3", "elm", SETTINGS("weights=class-sums"));
    check_finite(images, "conv3x4 twosided cells2 flatten scale dense3", "conv-elm", NULL);
    check_finite(images, IMAGE_NET, "conv-elm", SETTINGS("filters=random"));
    for (int part = 0; part < ZO_PARTS; part++)
        for (int64_t i = 0; i < still->part[part].n * still->stride; i++)
            still->part[part].x[i] = 0;
    check_finite(still, IMAGE_NET, "conv-elm", NULL);
    check_finite(still, "dense30 relu dense3", "elm", SETTINGS("weights=class"));
    for (int i = 0; i < few->inputs; i++) few->part[ZO_TRAIN].x[i] = NAN;
    zo_net *net = make_net(ctx, few, "dense20 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, few, net, "elm", 1, NULL);
    assert_int_equal(zo_trainer_step(t, 1, NULL), ZO_FORMAT); /* never NaN weights */
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(few);
    zo_task_destroy(images);
    zo_task_destroy(still);
}

/* A whole run of a trainer; everything it makes is freed again. */
static zo_status train_once(zo_context *own, void *arg)
{
    (void)arg;
    zo_data_def data = zo_data_default_def();
    float x[60 * 36];
    int32_t label[60];
    uint64_t seed = 5;
    draw_many(&seed, x, 60 * 36, -1, 1);
    for (int i = 0; i < 60; i++) label[i] = i % 3;
    data.inputs = 36, data.height = data.width = 6, data.channels = 1;
    data.classes = 3, data.n = 60, data.x = x, data.label = label;
    zo_task *task = NULL;
    zo_net *net = NULL;
    zo_trainer *t = NULL;
    zo_status status = zo_task_from_data(own, &data, &task);
    zo_net_def of_net = zo_net_default_def();
    of_net.spec = IMAGE_NET;
    of_net.inputs = 36, of_net.height = of_net.width = 6, of_net.channels = 1;
    if (!status) status = zo_net_create(own, &of_net, &net);
    zo_trainer_def def = zo_trainer_default_def();
    def.method = "conv-elm";
    def.task = task;
    def.net = net;
    def.settings = SETTINGS("balance=yes", "lambdas=2");
    if (!status) status = zo_trainer_create(own, &def, &t);
    zo_step_info info = {0};
    while (!status && !info.done) status = zo_trainer_step(t, 0, &info);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return status;
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    assert_true(refuse_each(train_once, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_are_those_of_the_normal_equations),
        cmocka_unit_test(lambda_is_chosen_on_validation),
        cmocka_unit_test(eigenvectors_make_the_matrix_again),
        cmocka_unit_test(filters_are_whitened),
        cmocka_unit_test(units_of_classes_are_differences),
        cmocka_unit_test(fields_are_rectangles),
        cmocka_unit_test(scales_are_those_of_the_rows),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(a_saved_trainer_goes_on),
        cmocka_unit_test(runs_end_when_they_are_done),
        cmocka_unit_test(short_budgets_finish),
        cmocka_unit_test(stopped_runs_go_on),
        cmocka_unit_test(others_go_on_with_the_network),
        cmocka_unit_test(what_cannot_be_is_refused_in_one_line),
        cmocka_unit_test(too_many_units_are_refused_before_allocation),
        cmocka_unit_test(weights_are_always_finite),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The logistic loss of closed forms: solutions against Newton's method in long double, losses that never rise, classes that can be told apart,
 * the same bits for any threads and kernels and after a resumption, budgets that end in the middle.
 */
#include "linear_support.h" /* before the context that the others share */

#include "closed_support.h"

#include "run/assess.h"

/* ---- oracle ---- */

/* The penalised loss of W [p + 1][q], last row the biases: sum c CE + lambda unit / 2 |W|^2. */
typedef struct oracle {
    const zo_task *task;
    size_t n, p, q;
    real lambda, *c; /* absolute; weights [n] */
} oracle;

static oracle make_oracle(const zo_task *t, double lambda, bool balance)
{
    const zo_examples *part = &t->part[ZO_TRAIN];
    oracle o = {t, (size_t)part->n, (size_t)t->inputs, (size_t)t->classes, 0, NULL};
    real count[8] = {0}, all = 0, variance = 0;
    o.c = reals(o.n);
    for (size_t i = 0; i < o.n; i++) count[part->label[i]]++;
    for (size_t i = 0; i < o.n; i++) {
        o.c[i] = balance ? (real)o.n / ((real)o.q * count[part->label[i]]) : 1;
        all += o.c[i];
    }
    for (size_t j = 0; j < o.p; j++) {
        real mean = 0;
        for (size_t i = 0; i < o.n; i++)
            mean += o.c[i] * (real)part->x[i * (size_t)t->stride + j] / all;
        for (size_t i = 0; i < o.n; i++) {
            real d = (real)part->x[i * (size_t)t->stride + j] - mean;
            variance += o.c[i] * d * d / (real)o.p;
        }
    }
    o.lambda = (real)lambda * variance;
    return o;
}

static real input(const oracle *o, size_t i, size_t j)
{
    return j < o->p ? (real)o->task->part[ZO_TRAIN].x[i * (size_t)o->task->stride + j] : 1;
}

static size_t label(const oracle *o, size_t i) { return (size_t)o->task->part[ZO_TRAIN].label[i]; }

/* Returns the loss of a row; p [q] its probabilities. */
static real row_of(const oracle *o, const real *w, size_t i, real *p)
{
    real most = -INFINITY, sum = 0;
    for (size_t k = 0; k < o->q; k++) {
        p[k] = 0;
        for (size_t j = 0; j <= o->p; j++) p[k] += input(o, i, j) * w[j * o->q + k];
        most = fmaxl(most, p[k]);
    }
    real own = p[label(o, i)];
    for (size_t k = 0; k < o->q; k++) sum += p[k] = expl(p[k] - most);
    for (size_t k = 0; k < o->q; k++) p[k] /= sum;
    return most + logl(sum) - own;
}

static real loss_of(const oracle *o, const real *w)
{
    real sum = 0, p[8];
    for (size_t i = 0; i < o->n; i++) sum += o->c[i] * row_of(o, w, i, p);
    for (size_t j = 0; j < o->p * o->q; j++) sum += o->lambda / 2 * w[j] * w[j];
    return sum;
}

/* g [(p + 1) q]; hessian the square of that, or NULL. */
static void derivatives(const oracle *o, const real *w, real *g, real *hessian)
{
    size_t q = o->q, d = (o->p + 1) * q;
    real p[8];
    memset(g, 0, d * sizeof *g);
    if (hessian) memset(hessian, 0, d * d * sizeof *hessian);
    for (size_t i = 0; i < o->n; i++) {
        row_of(o, w, i, p);
        for (size_t a = 0; a < d; a++) {
            size_t j = a / q, k = a % q;
            real x = o->c[i] * input(o, i, j);
            g[a] += x * (p[k] - (k == label(o, i)));
            for (size_t b = 0; hessian && b < d; b++)
                hessian[a * d + b] += x * input(o, i, b / q) * p[k] * ((k == b % q) - p[b % q]);
        }
    }
    for (size_t a = 0; a < o->p * q; a++) {
        g[a] += o->lambda * w[a];
        if (hessian) hessian[a * d + a] += o->lambda;
    }
}

/* Newton's method with halved steps. All biases may move alike: a little ridge keeps them where they are. malloc'ed. */
static real *minimum(const oracle *o)
{
    size_t d = (o->p + 1) * o->q;
    real *w = reals(d), *g = reals(d), *h = reals(d * d), *to = reals(d);
    for (int i = 0; i < 60; i++) {
        derivatives(o, w, g, h);
        for (size_t a = o->p * o->q; a < d; a++) h[a * d + a] += 1e-9L;
        eliminate(h, g, d, 1);
        real t = 1, before = loss_of(o, w);
        for (int k = 0; k < 40; k++, t /= 2) {
            for (size_t a = 0; a < d; a++) to[a] = w[a] - t * g[a];
            if (loss_of(o, to) <= before) break;
        }
        memcpy(w, to, d * sizeof *w);
    }
    free(g), free(h), free(to);
    return w;
}

/* The last layer of a net; malloc'ed. */
static real *layer_of(const zo_net *net)
{
    const zo_stage *s = net->stage + net->stages - 1;
    real *w = reals((s->rows + 1) * s->columns);
    for (size_t j = 0; j < s->columns; j++) {
        for (size_t i = 0; i < s->rows; i++)
            w[i * s->columns + j] = (real)net->params[s->weight + zo_stage_at(s, i, j)];
        w[s->rows * s->columns + j] = (real)net->params[s->bias + j];
    }
    return w;
}

/* The last layer of "denseQ" after so many iterations; malloc'ed. */
static real *solved(const zo_task *task, const char *lambda, int iterations, bool balance)
{
    char spec[32], words[32];
    snprintf(spec, sizeof spec, "dense%d", task->classes);
    snprintf(words, sizeof words, "iterations=%d", iterations);
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(
        ctx, task, net, "elm", 4,
        SETTINGS("loss=logistic", lambda, words, balance ? "balance=yes" : "balance=no"));
    zo_step_info info = {0};
    for (int i = 0; !info.done; i++) {
        assert_true(i < 1000);
        if (zo_trainer_step(t, zo_trainer_progress(t), &info)) fail_msg("%s", zo_last_error(ctx));
    }
    real *w = layer_of(zo_trainer_net(t));
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    return w;
}

/* ---- solutions ---- */

static void check_solution(int classes, double lambda, bool balance)
{
    char words[32];
    snprintf(words, sizeof words, "lambda=%g", lambda);
    zo_task *task = make_task(ctx, 300, 4, classes, classes);
    oracle o = make_oracle(task, lambda, balance);
    size_t d = (o.p + 1) * o.q;
    real *want = minimum(&o), *got = solved(task, words, classes == 2 ? 12 : 300, balance),
         *g = reals(d), scale = 0.03L;
    derivatives(&o, want, g, NULL);
    for (size_t a = 0; a < d; a++) assert_true(fabsl(g[a]) < 1e-8L); /* the oracle is there */
    derivatives(&o, got, g, NULL);
    for (size_t a = 0; a < d; a++) assert_near((double)g[a], 0, (double)scale, 0, "the derivative");
    for (size_t a = 0; a < o.p * o.q; a++)
        assert_near((double)got[a], (double)want[a], 5e-3, 0, "a weight");
    for (size_t k = 1; k < o.q; k++) {
        const real *b = got + o.p * o.q, *c = want + o.p * o.q;
        assert_near((double)(b[k] - b[0]), (double)(c[k] - c[0]), 5e-3, 0, "a bias");
    }
    assert_near((double)loss_of(&o, got), (double)loss_of(&o, want), 0, 1e-5, "the loss");
    free(want), free(got), free(g), free(o.c);
    zo_task_destroy(task);
}

static void solutions_are_those_of_newton(void **state)
{
    (void)state;
    for (int balance = 0; balance < 2; balance++) {
        check_solution(2, 0.01, balance);
        check_solution(2, 0.0001, balance);
        check_solution(4, 0.01, balance);
    }
}

/* Of two classes the iteration is Newton's: a few are enough, also where rows are sure of their class and a bound of the curvature that is the
 * same for all is far too large. */
static void two_classes_converge_quickly(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 300, 4, 2, 2);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t i = 0; i < part->n; i++) {
        const float *x = part->x + i * task->stride;
        part->label[i] = x[0] + 0.3F * x[1] * x[2] > 0;
    }
    oracle o = make_oracle(task, 1e-4, false);
    real *want = minimum(&o), *got = solved(task, "lambda=1e-4", 8, false);
    assert_near((double)loss_of(&o, got), (double)loss_of(&o, want), 0, 1e-5, "the loss");
    free(want), free(got), free(o.c);
    zo_task_destroy(task);
}

/* Where the tiles of the line search are all rows. */
static void losses_never_rise(void **state)
{
    (void)state;
    for (int classes = 2; classes <= 5; classes++) {
        zo_task *task = make_task(ctx, 3000, 6, classes, classes);
        oracle o = make_oracle(task, 1e-5, false);
        real before = (real)o.n *
                      logl((real)classes); /* outputs of 0 are no better than what it begins with */
        for (int i = 1; i <= 5; i++) {
            real *w = solved(task, "lambda=1e-5", i, false), now = loss_of(&o, w);
            assert_true(now <= before * (1 + 1e-6L));
            before = now;
            free(w);
        }
        free(o.c);
        zo_task_destroy(task);
    }
}

/* Classes that a line parts have no finite solution without ridge. With it: lambda / 2 |W|^2 <= F(W) <= F(0) = n log q. */
static void separable_classes_stay_finite(void **state)
{
    (void)state;
    for (int classes = 2; classes <= 3; classes++) {
        zo_task *task = make_task(ctx, 400, 3, classes, classes);
        zo_examples *part = &task->part[ZO_TRAIN];
        for (int64_t i = 0; i < part->n; i++)
            part->x[i * task->stride] =
                (float)(5 * part->label[i]) + 0.1F * part->x[i * task->stride];
        oracle o = make_oracle(task, 1e-6, false);
        real *w = solved(task, "lambda=1e-6", 40, false), square = 0, p[8];
        for (size_t a = 0; a < (o.p + 1) * o.q; a++) assert_true(isfinite((double)w[a]));
        for (size_t a = 0; a < o.p * o.q; a++) square += w[a] * w[a];
        assert_true(o.lambda / 2 * square <= (real)o.n * logl((real)classes));
        for (size_t i = 0; i < o.n; i++) assert_true(row_of(&o, w, i, p) < 0.05L);
        free(w), free(o.c);
        zo_task_destroy(task);
    }
}

/* One of a class, and a class without rows: its outputs are never the largest. */
static void rare_classes_are_served(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 500, 4, 4, 4);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t i = 0; i < part->n; i++) part->label[i] = (int32_t)(i % 2);
    part->label[7] = 2;
    oracle o = make_oracle(task, 0.001, false);
    real *w = solved(task, "lambda=0.001", 60, false), p[8], sum[4] = {0};
    for (size_t i = 0; i < o.n; i++) {
        assert_true(isfinite((double)row_of(&o, w, i, p)));
        for (size_t k = 0; k < 4; k++) sum[k] += p[k];
    }
    /* the derivative by a bias is 0: probabilities sum to how many there are */
    assert_near((double)sum[2], 1, 0.1, 0, "rows of the rare class");
    assert_true(sum[3] < 0.5L); /* it began as half a row */
    free(w), free(o.c);
    zo_task_destroy(task);
}

/* ---- what it is for ---- */

/* Where lambda and step are chosen on the validation part, its loss never rises. The choice sees solutions of the path, which are good to 1e-3. */
static void check_validation(uint64_t seed)
{
    zo_task *task = named_task(ctx, "blobs", seed, SETTINGS("n=1000"));
    zo_net *net = make_net(ctx, task, "dense100 relu dense3", seed);
    zo_assessor a = {0};
    double before = INFINITY, loss, accuracy;
    assert_int_equal(zo_assessor_init(&a, task, net), ZO_OK);
    for (int i = 1; i <= 4; i++) {
        char words[32];
        snprintf(words, sizeof words, "iterations=%d", i);
        zo_trainer *t = make_trainer(ctx, task, net, "elm", seed, SETTINGS("loss=logistic", words));
        solve(t);
        zo_assess(&a, zo_trainer_net(t), ZO_VALIDATION, &loss, &accuracy);
        assert_true(loss <= before * 1.005);
        before = loss;
        zo_trainer_destroy(t);
    }
    zo_assessor_fini(&a);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void validation_loss_never_rises(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) check_validation(seed);
}

static void outputs_are_log_odds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_task *task = named_task(ctx, "blobs", seed, SETTINGS("n=3000"));
        zo_net *net = make_net(ctx, task, "dense60 relu dense3", seed);
        double loss[2], accuracy[2];
        zo_assessor a = {0};
        assert_int_equal(zo_assessor_init(&a, task, net), ZO_OK);
        for (int i = 0; i < 2; i++) {
            zo_trainer *t = make_trainer(ctx, task, net, "elm", seed,
                                         SETTINGS(i ? "loss=logistic" : "loss=squared"));
            solve(t);
            zo_assess(&a, zo_trainer_net(t), ZO_VALIDATION, loss + i, accuracy + i);
            zo_trainer_destroy(t);
        }
        assert_true(loss[1] < 0.8 * loss[0] && accuracy[1] > accuracy[0] - 0.02);
        zo_assessor_fini(&a);
        zo_net_destroy(net);
        zo_task_destroy(task);
    }
}

/* Rows that weigh twice as much are rows that come twice. */
static void classes_weigh_as_they_are_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        zo_task *task = make_task(ctx, 300, 4, 2, 2), *twice = make_task(ctx, 600, 4, 2, 2);
        zo_examples *a = &task->part[ZO_TRAIN], *b = &twice->part[ZO_TRAIN];
        int64_t n = 0;
        for (int64_t r = 0; r < a->n; r++) {
            for (int k = 0; k <= (a->label[r] == 1); k++, n++) {
                memcpy(b->x + n * twice->stride, a->x + r * task->stride, 4 * sizeof *a->x);
                b->label[n] = a->label[r];
            }
        }
        assert_true(n <= b->n);
        b->n = n;
        const char *loss = i ? "loss=logistic" : "loss=squared";
        zo_net *net = make_net(ctx, task, "dense2", 1);
        zo_trainer *t = make_trainer(ctx, task, net, "elm", 4,
                                     SETTINGS(loss, "lambda=0.01", "class-weights=0:1,1:2")),
                   *u = make_trainer(ctx, twice, net, "elm", 4, SETTINGS(loss, "lambda=0.01"));
        solve(t), solve(u);
        real *got = layer_of(zo_trainer_net(t)), *want = layer_of(zo_trainer_net(u));
        for (int j = 0; j < 10; j++)
            assert_near((double)got[j], (double)want[j], 2e-3, 0, "a weight");
        free(got), free(want);
        zo_trainer_destroy(t), zo_trainer_destroy(u);
        zo_net_destroy(net);
        zo_task_destroy(task), zo_task_destroy(twice);
    }
}

static void refused(const zo_task *task, int outputs, const char *setting, const char *says)
{
    char spec[32];
    snprintf(spec, sizeof spec, "dense%d", outputs);
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer_def def = zo_trainer_default_def();
    zo_trainer *t;
    def.method = "elm", def.task = task, def.net = net, def.settings = SETTINGS(setting);
    assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_USAGE);
    error_says(ctx, says, NULL);
    zo_net_destroy(net);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    zo_task *numbers = make_task(ctx, 100, 4, 0, 1), *task = make_task(ctx, 100, 4, 3, 3);
    refused(numbers, 1, "loss=logistic", "loss=squared");
    refused(numbers, 1, "class-weights=0:2", "for classes");
    refused(task, 3, "class-weights=3:2", "from 0 to 2");
    refused(task, 3, "class-weights=1", "class:weight");
    refused(task, 3, "class-weights=1:0", "above 0");
    refused(task, 3, "class-weights=1:2,0:nan", "above 0");
    refused(task, 3, "class-weights=1:1e-60", "above 0");
    refused(task, 3, "class-weights=1:1e-30,1:1e-30", "nearer to 1");
    refused(task, 3, "iterations=0", "iterations");
    zo_task_destroy(numbers);
    zo_task_destroy(task);
}

/* ---- bits ---- */

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    static const char *const lambdas[] = {"lambda=0.01", "lambda=0"}; /* given, chosen */
    for (int l = 0; l < 2; l++) {
        closed_case c = {"conv-elm",
                         IMAGE_NET,
                         SETTINGS("copies=1", "shift=1", "lambdas=4", "loss=logistic",
                                  "iterations=3", lambdas[l]),
                         2500,
                         6,
                         6};
        int steps = check_bits(&c, l ? 0 : 3);
        /* fill, statistics, four tiles and a solve three times */
        if (l == 0) assert_int_equal(steps, 2 + 3 * 5);
    }
}

/* ---- budgets ---- */

/* The parameters where the budget ends after so many steps. malloc'ed. */
static real *cut_off(const zo_task *task, const zo_net *net, int steps, const char *iterations)
{
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 4,
                                 SETTINGS("loss=logistic", "lambda=1e-4", iterations));
    zo_step_info info = {0};
    for (int i = 0; i < steps; i++) assert_int_equal(zo_trainer_step(t, 0.1, &info), ZO_OK);
    if (!info.done) assert_int_equal(zo_trainer_step(t, 1, &info), ZO_OK);
    assert_true(info.done && isfinite(info.loss));
    real *w = layer_of(zo_trainer_net(t));
    zo_trainer_destroy(t);
    return w;
}

static void budgets_end_in_the_middle(void **state)
{
    (void)state;
    enum { TILES = 4, BEFORE = 2 + TILES + 1 }; /* fill, statistics, tiles and the solve */
    zo_task *task = make_task(ctx, TILES * ZO_CLOSED_TILE * 12 / 11, 5, 4, 4);
    zo_net *net = make_net(ctx, task, "dense4", 1);
    oracle o = make_oracle(task, 1e-4, false);
    size_t d = (o.p + 1) * o.q;
    real *one = cut_off(task, net, BEFORE, "iterations=1"), first = loss_of(&o, one);
    for (int tiles = 0; tiles < 2; tiles++) { /* fewer than half: the first solution stays */
        real *w = cut_off(task, net, BEFORE + tiles, "iterations=5");
        for (size_t a = 0; a < d; a++) assert_true(w[a] == one[a]);
        free(w);
    }
    for (int tiles = 2; tiles <= TILES; tiles++) {
        real *w = cut_off(task, net, BEFORE + tiles, "iterations=5");
        assert_true(loss_of(&o, w) < first);
        free(w);
    }
    real *early = cut_off(task, net, 3, "iterations=5"); /* of one tile */
    assert_true(loss_of(&o, early) < (real)o.n * logl(4));
    free(early), free(one), free(o.c);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_are_those_of_newton),
        cmocka_unit_test(two_classes_converge_quickly),
        cmocka_unit_test(losses_never_rise),
        cmocka_unit_test(separable_classes_stay_finite),
        cmocka_unit_test(rare_classes_are_served),
        cmocka_unit_test(validation_loss_never_rises),
        cmocka_unit_test(outputs_are_log_odds),
        cmocka_unit_test(classes_weigh_as_they_are_told),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(budgets_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Closed forms: solutions against the normal equations in long double, of rounded features too; the same bits for any threads and kernels, and after a resumption.
 * labels: threads
 */
#include "closed_support.h"

#include "base/random.h"
#include "run/assess.h"

enum { SEED = 4 };

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

/* Features as gram.h rounds them: about the mean of the rows that come first, times the root of their weight. */
static void round_features(real *h, const zo_task *t, size_t p, bool balance)
{
    int32_t n = (int32_t)t->part[ZO_TRAIN].n, *order = calloc((size_t)n, sizeof *order);
    assert_true(order && n > ZO_GRAM_TILE);
    for (int32_t i = 0; i < n; i++) order[i] = i;
    zo_random r = zo_random_at(SEED, ZO_FOR_BATCHES, 0, 0);
    zo_random_shuffle(&r, (uint32_t)n, order);
    for (size_t j = 0; j < p; j++) {
        double sum = 0;
        for (size_t i = 0; i < ZO_GRAM_TILE; i++) sum += (double)(float)h[(size_t)order[i] * p + j];
        float shift = (float)(sum / ZO_GRAM_TILE);
        for (size_t i = 0; i < (size_t)n; i++) {
            float root = sqrtf((float)weight_of(t, i, balance)),
                  x = nearest_bfloat16(root * ((float)h[i * p + j] - shift));
            h[i * p + j] = (real)shift + (real)x / (real)root;
        }
    }
    free(order);
}

/* Weights of the last layer against the centred normal equations with lambda relative to the mean of the diagonal: the
 * largest difference, of which 1 is just tolerated. */
static double difference_of(const zo_net *net, const zo_task *t, size_t p, double lambda,
                            bool balance, bool rounded)
{
    size_t n = (size_t)t->part[ZO_TRAIN].n, q = (size_t)t->outputs;
    const zo_stage *s = net->stage + net->stages - 1;
    real *h = features(net, t, p), *a = reals(p * p), *b = reals(p * q), *mean = reals(p + q);
    real all = 0, trace = 0;
    double worst = 0;
    if (rounded) round_features(h, t, p, balance);
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
            double got = (double)net->params[s->weight + zo_stage_at(s, j, k)],
                   want = (double)b[j * q + k];
            worst = fmax(worst, fabs(got - want) / (2e-4 + 1e-3 * fabs(want)));
        }
        double got = (double)net->params[s->bias + k], want = (double)bias;
        worst = fmax(worst, fabs(got - want) / (1e-3 + 1e-3 * fabs(want)));
    }
    free(h), free(a), free(b), free(mean);
    return worst;
}

/* A solution is that of the features it was made of, and not of the others. */
static void solve_and_check(const zo_task *task, const char *spec, bool balance, bool rounded)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", SEED,
                                 SETTINGS("lambda=0.01", balance ? "balance=yes" : "balance=no",
                                          rounded ? "precision=bfloat16" : "precision=float32"));
    solve(t);
    double right = difference_of(zo_trainer_net(t), task, 20, 0.01, balance, rounded),
           wrong = difference_of(zo_trainer_net(t), task, 20, 0.01, balance, !rounded);
    if (!(right < 1 && wrong > 4 * right)) fail_msg("%.2g, to the others %.2g", right, wrong);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

static void solutions_are_those_of_the_normal_equations(void **state)
{
    (void)state;
    for (int regression = 0; regression < 2; regression++) {
        for (int balance = 0; balance < 2 - regression; balance++) {
            zo_task *task = make_task(ctx, 400, 5, regression ? 0 : 3, regression ? 2 : 3);
            const char *spec = regression ? "dense20 relu dense2" : "dense20 relu dense3";
            for (int rounded = 0; rounded < 2; rounded++)
                solve_and_check(task, spec, balance, rounded);
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
    zo_trainer *chosen =
        make_trainer(ctx, task, net, "elm", 2, SETTINGS("lambdas=3", "lambda_most=0.1"));
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

static void plan_says(const zo_task *task, const char *spec, const char *precision, bool rounded)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS(precision));
    const char *plan = zo_trainer_plan(t, 0);
    if (!strstr(plan, "bfloat16") == rounded) fail_msg("%s, %s: %s", spec, precision, plan);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

static void few_features_stay_as_they_are(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    plan_says(task, "dense1999 relu dense3", "precision=auto", false);
    plan_says(task, "dense2000 relu dense3", "precision=auto", true);
    plan_says(task, "dense2000 relu dense3", "precision=float32", false);
    plan_says(task, "dense20 relu dense3", "precision=bfloat16", true);
    zo_task_destroy(task);
}

/* ---- bits ---- */

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    closed_case c = {"conv-elm",
                     IMAGE_NET,
                     SETTINGS("copies=1", "shift=1", "lambdas=4", "filters=kmeans", "weights=class",
                              "precision=bfloat16"),
                     5000,
                     6,
                     6};
    assert_true(check_bits(&c, 1) >= 8); /* fill, statistics, tiles, the solve */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_are_those_of_the_normal_equations),
        cmocka_unit_test(lambda_is_chosen_on_validation),
        cmocka_unit_test(few_features_stay_as_they_are),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

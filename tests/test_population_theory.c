/* weights and lowrank against theory: the gradient is found as well as signs without correlation find it; a step costs what is counted by hand;
 * and a large network needs little memory beyond its weights.
 */
#include "population_support.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* ---- the gradient ---- */

static double cosine_of(const double *a, const double *b, size_t n, double *part)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    *part = ab / bb;
    return ab / sqrt(aa * bb);
}

/* The gradient by central differences of a float64 sum of losses, along each parameter: small nets only. */
static double *gradient_of(const definition *d)
{
    size_t all = (size_t)d->net->parameters, n = (size_t)d->task->part[ZO_TRAIN].n;
    double *g = calloc(all, sizeof *g), *one = calloc(all, sizeof *one),
           *loss = calloc(n, sizeof *loss);
    int32_t *order = calloc(n, sizeof *order);
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    for (size_t j = 0; j < all; j++) {
        one[j] = 1;
        for (int side = -1; side < 2; side += 2) {
            zo_net *net = member_of(d, one, side * 0.01);
            losses_of(d, net, order, n, loss);
            for (size_t i = 0; i < n; i++) g[j] += side * loss[i] / (0.02 * (double)n);
            zo_net_destroy(net);
        }
        one[j] = 0;
    }
    free(one);
    free(loss);
    free(order);
    return g;
}

/* Signs of rank one are uncorrelated, as all signs are: cos^2 = N / (N + d - 1) for both. */
static void check_theory(definition d, const double *gradient, int rank, int64_t population)
{
    size_t all = (size_t)d.net->parameters;
    double mean = 0, part, *sum = calloc(all, sizeof *sum);
    d.rank = rank;
    d.population = population;
    for (d.seed = 1; d.seed <= 10; d.seed++) {
        zo_step_info info;
        double *g = direction_by_step(&d, &info), cosine = cosine_of(g, gradient, all, &part);
        mean += cosine * cosine / 10;
        for (size_t i = 0; i < all; i++) sum[i] += g[i] / 10;
        free(g);
    }
    double n = (double)population, theory = n / (n + (double)all - 1),
           theory_all = 10 * n / (10 * n + (double)all - 1),
           whole = cosine_of(sum, gradient, all, &part);
    print_message("rank %2d, %4.0f pairs: cos^2 %.3f, theory %.3f; of the mean of ten %.3f, %.3f; "
                  "length along the gradient %.3f\n",
                  rank, n, mean, theory, whole * whole, theory_all, part);
    assert_near(mean, theory, 0.05, 0, "squared cosine");
    assert_near(whole * whole, theory_all, 0.08, 0, "squared cosine of the mean of ten");
    if (population > 500) assert_near(part, 1, 0.1, 0, "length along the gradient");
    free(sum);
}

static void the_gradient_is_found_as_theory_says(void **state)
{
    (void)state;
    static const char *const spec[] = {"dense5 tanh dense9 tanh dense3",
                                       "conv3x4 tanh norm pool2 dense3"};
    static const int64_t population[] = {16, 128, 1024};
    for (int s = 0; s < 2; s++) {
        definition d = {.ctx = ctx, .sigma = 0.003};
        d.task = make_task(ctx, 36, 72, 3, 3);
        d.net = image_net(ctx, spec[s], 6, 2);
        double *gradient = gradient_of(&d);
        for (int i = 0; i < 3; i++) {
            check_theory(d, gradient, 0, population[i]);
            check_theory(d, gradient, 1, population[i]);
            check_theory(d, gradient, 8, population[i]);
        }
        free(gradient);
        zo_net_destroy(d.net);
        zo_task_destroy(d.task);
    }
}

/* ---- cost and memory ---- */

static void check_cost(definition d, int rank, int64_t examples, double want)
{
    zo_step_info info;
    d.rank = rank;
    d.examples = examples;
    free(direction_by_step(&d, &info));
    assert_near(info.cost, want + (double)d.net->parameters, 0, 0, d.net->spec); /* sgd: one each */
}

/* Counted by hand for 72-20-3: what is really done, so that what members share counts once. */
static void cost_equals_a_count(void **state)
{
    (void)state;
    definition d = {.ctx = ctx, .seed = 3, .population = 4, .sigma = 0.01};
    d.task = make_task(ctx, 36, 72, 3, 3);
    d.net = image_net(ctx, "dense20 tanh dense3", 6, 2);
    double n = (double)d.task->part[ZO_TRAIN].n, first = 72 * 20, second = 20 * 3,
           clean = n * (first + second), numbers = first + 20 + second + 3;
    /* one product with the noise, added to z and taken from it; noise is made once for the first stage, for each side behind it */
    check_cost(d, 0, 0,
               clean + 4 * (n * (first + 2 * 20) + first + 20 + 2 * (n * second + second + 3)) +
                   4 * numbers);
    /* x B once for both sides; z + lift A and its bias; behind it the product, x B, lift A and bias */
    check_cost(d, 1, 0,
               clean + 4 * (n * (72 + 2 * 2 * 20) + 2 * n * (second + 20 + 2 * 3)) + 4 * numbers);
    check_cost(d, 3, 5,
               clean + 4 * (5 * (3 * 72 + 2 * 4 * 20) + 2 * 5 * (second + 3 * 20 + 4 * 3)) +
                   4 * (3 * (first + second) + 20 + 3));
    d.one_sided = true;
    check_cost(d, 0, 0, clean + 4 * (n * (first + second) + numbers) + 4 * numbers);
    check_cost(d, 1, 0, clean + 4 * n * (72 + 2 * 20 + second + 20 + 2 * 3) + 4 * numbers);
    zo_net_destroy(d.net);
    zo_task_destroy(d.task);
}

/* What a trainer holds beyond its network, as a share of it. */
static double memory_beyond(const char *spec, int inputs, const char *const *settings)
{
    memory m = {.left = -1};
    zo_context *in = make_context(2, NULL, &m);
    zo_task *task = make_task(in, 80, inputs, 3, 3);
    zo_net_def def = zo_net_default_def();
    def.spec = spec;
    def.inputs = inputs;
    def.init = "zero";
    zo_net *net = NULL;
    assert_int_equal(zo_net_create(in, &def, &net), ZO_OK);
    long long before = m.bytes, weights = (long long)(net->arena * sizeof(float));
    zo_trainer *t = make_trainer(in, task, net, "lowrank:sgd", 1, settings);
    double beyond = (double)(m.bytes - before - weights) / (double)weights;
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(in);
    return beyond;
}

static void little_memory_is_needed(void **state)
{
    (void)state;
    const char *spec =
        "dense2048 relu dense2048 relu dense2048 relu dense3"; /* 10 million numbers */
    double signs = memory_beyond(spec, 784, SETTINGS("batch=64", "population=64", "sides=two")),
           normal = memory_beyond(
               spec, 784, SETTINGS("batch=64", "population=64", "sides=two", "noise=gaussian"));
    print_message("beyond the weights: %.3f of them with signs, %.3f with normal numbers\n", signs,
                  normal);
    assert_true(signs < 0.1);
    assert_true(normal < 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_found_as_theory_says),
        cmocka_unit_test(cost_equals_a_count),
        cmocka_unit_test(little_memory_is_needed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

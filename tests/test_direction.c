/* Directions against an independent network in double precision: the reference against central differences of every parameter, complete
 * sets against the reference, random draws against the cosines that theory predicts (node and weight perturbation), and the reported cost.
 * labels: threads
 */
#include "float64_net.h"

#define COMMON "batch=65536", "lr=1", "schedule=constant"
#define TINY                                                                                       \
    1e-5 /* a move in double precision: errors of a central difference are far below 1e-6 */

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

/* A net on a task with a loss. */
typedef struct scene {
    zo_task *task;
    zo_net *net;
    net64 *oracle;
    batch64 batch;
    char loss[32]; /* "loss=..." */
} scene;

static scene set_scene(int n, const char *spec, int inputs, int classes, int outputs,
                       const char *loss)
{
    scene s = {.task = make_task(ctx, n, inputs, classes, outputs), .batch = {.loss = loss}};
    s.net = make_net(ctx, s.task, spec, 7);
    s.oracle = net64_of(s.net);
    s.batch.task = s.task;
    snprintf(s.loss, sizeof s.loss, "loss=%s", loss);
    return s;
}

static void clear_scene(scene *s)
{
    free(s->oracle);
    zo_net_destroy(s->net);
    zo_task_destroy(s->task);
}

static int layer_size(const scene *s, int layer)
{
    return (s->oracle->layer[layer].in + 1) * s->oracle->layer[layer].out;
}

/* Cosine and ratio of norms between a layer's part of a step's direction and a matrix of the oracle's. */
static double layer_cosine(const scene *s, const float *arena, const double *want, int layer,
                           double *ratio)
{
    double *got = layer_direction(s->net, arena, layer);
    double cosine = cosine64(got, want, (size_t)layer_size(s, layer), ratio);
    free(got);
    return cosine;
}

/* ---- the reference ---- */

static double central_difference(const scene *s, double *p)
{
    double kept = *p;
    *p = kept + TINY;
    double plus = mean_loss64(s->oracle, &s->batch);
    *p = kept - TINY;
    double minus = mean_loss64(s->oracle, &s->batch);
    *p = kept;
    return (plus - minus) / (2 * TINY);
}

/* Every number to 1e-3 of itself, or to what float32 parameters can show of a small one. */
static void check_every_parameter(const scene *s, const float *arena)
{
    for (int i = 0; i < s->oracle->layers; i++) {
        layer64 *l = s->oracle->layer + i;
        double *got = layer_direction(s->net, arena, i), *at = got;
        for (int r = 0; r <= l->in; r++) {
            for (int c = 0; c < l->out; c++) {
                double want = central_difference(s, r < l->in ? &l->w[r][c] : &l->b[c]);
                assert_near(*at++, want, 1e-6, 1e-3, s->net->spec);
            }
        }
        free(got);
    }
}

static void check_reference(int n, const char *spec, int classes, int outputs, const char *loss)
{
    scene s = set_scene(n, spec, 4, classes, outputs, loss);
    zo_step_info info;
    float *g = direction_of(ctx, s.task, s.net, "backprop:sgd", 1, SETTINGS(COMMON, s.loss), &info);
    assert_near(info.loss, mean_loss64(s.oracle, &s.batch), 1e-6, 1e-5, spec);
    check_every_parameter(&s, g);
    free(g);
    clear_scene(&s);
}

static void backprop_agrees_with_central_differences(void **state)
{
    (void)state;
    static const char *const activation[] = {"relu", "leaky-relu", "tanh", "sigmoid", "gelu"};
    for (int a = 0; a < 5; a++) {
        const char *f = activation[a], *h = activation[(a + 1) % 5];
        char spec[64];
        snprintf(spec, sizeof spec, "dense7 %s dense5 %s dense3", f, h);
        check_reference(72, spec, 3, 3, "cross-entropy");
        snprintf(spec, sizeof spec, "dense7 %s dense5 %s dense3 %s", f, h, f);
        check_reference(72, spec, 3, 3, "squared-error");
        snprintf(spec, sizeof spec, "dense7 %s dense5 %s dense2 %s", f, h, f);
        check_reference(72, spec, 0, 2, "squared-error");
    }
    /* more rows, columns and examples than the tiles that work is cut into */
    check_reference(145, "dense120 relu dense3", 3, 3, "cross-entropy");
}

/* ---- complete sets ---- */

/* The error of a one-sided difference grows with sigma, that of a two-sided one with its square; rounding with 1 / sigma. */
static void check_exact(const char *spec, int classes, int outputs, const char *loss,
                        const char *set, const char *sides)
{
    scene s = set_scene(72, spec, 5, classes, outputs, loss);
    const char *sigma = strstr(sides, "one") ? "sigma=0.0005" : "sigma=0.002";
    float *g = direction_of(ctx, s.task, s.net, "nodes:sgd", 1,
                            SETTINGS(COMMON, s.loss, set, "draws=3", sides, sigma), NULL),
          *reference =
              direction_of(ctx, s.task, s.net, "backprop:sgd", 1, SETTINGS(COMMON, s.loss), NULL);
    for (int i = 0; i < s.oracle->layers; i++) {
        double *want = layer_direction(s.net, reference, i), ratio;
        double cosine = layer_cosine(&s, g, want, i, &ratio);
        if (cosine < 0.9999 || fabs(ratio - 1) > 1e-3)
            fail_msg("%s, %s, %s, layer %d: cosine %.6f, ratio %.6f", spec, loss, sides, i, cosine,
                     ratio);
        free(want);
    }
    free(g);
    free(reference);
    clear_scene(&s);
}

static const char *const smooth[] = {
    "dense3",
    "dense20 tanh dense3",
    "dense8 dense4 dense3",
    "dense12 sigmoid dense3 tanh",
    "dense17 gelu dense9 sigmoid dense33 tanh dense3",
    "dense40 tanh dense5 dense16 gelu dense3 sigmoid",
};
enum { SMOOTH = sizeof smooth / sizeof *smooth };

static void complete_sets_agree_with_backprop(void **state)
{
    (void)state;
    for (int i = 0; i < SMOOTH; i++) {
        for (int side = 0; side < 2; side++) {
            const char *sides = side ? "sides=two" : "sides=one";
            check_exact(smooth[i], 3, 3, "cross-entropy", "set=complete", sides);
            check_exact(smooth[i], 3, 3, "squared-error", "set=complete", sides);
            check_exact(smooth[i], 0, 3, "squared-error", "set=complete", sides);
        }
    }
}

/* Where layers have one unit a sign is the whole direction: three draws are three times the same exact one. */
static void draws_of_one_unit_are_exact(void **state)
{
    (void)state;
    check_exact("dense1 tanh dense1 gelu dense1", 0, 1, "squared-error", "set=random", "sides=one");
    check_exact("dense1 tanh dense1 gelu dense1", 0, 1, "squared-error", "set=random", "sides=two");
}

/* Where nothing has a derivative the oracle is brute force: every unit of every example moved, the whole network run again. */
static void check_jumps(const char *spec, const char *loss)
{
    scene s = set_scene(72, spec, 5, 3, 3, loss);
    float *g = direction_of(
        ctx, s.task, s.net, "nodes:sgd", 1,
        SETTINGS(COMMON, s.loss, "set=complete", "sides=two", "sigma=0.4", "sigma_jump=0.4"), NULL);
    for (int i = 0; i < s.oracle->layers; i++) {
        double *want = layer_direction64(s.oracle, &s.batch, i, (double)0.4f, NULL),
               *got = layer_direction(s.net, g, i), sum = 0;
        for (int j = 0; j < layer_size(&s, i); j++) {
            assert_near(got[j], want[j], 2e-6, 1e-4, spec);
            sum += fabs(want[j]);
        }
        assert_true(sum > 0.01); /* the losses did change */
        free(want);
        free(got);
    }
    free(g);
    clear_scene(&s);
}

static void jumping_nets_agree_with_brute_force(void **state)
{
    (void)state;
    check_jumps("dense9 step dense7 sign dense3", "cross-entropy");
    check_jumps("dense21 sign dense3 step", "squared-error");
    check_jumps("dense18 relu dense7 leaky-relu dense3", "cross-entropy");
    check_jumps("dense9 tanh dense7 tanh dense3", "zero-one");
    check_jumps("dense9 step dense3", "zero-one");
}

/* ---- random draws ---- */

static double square(double x) { return x * x; }

/* What theory says of each layer of a scene, and what ten seeds gave. */
typedef struct noisy_layer {
    double *want, rho; /* the layer's direction, and the spread of the examples' */
    double mean,
        part;      /* mean squared cosine; mean part of `want` that was found: 1 if none is lost */
    double before; /* mean with fewer draws */
} noisy_layer;

static void measure_layers(const scene *s, noisy_layer *layers, const char *const *settings)
{
    for (int i = 0; i < s->oracle->layers; i++) layers[i].mean = layers[i].part = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        float *g = direction_of(ctx, s->task, s->net, "nodes:sgd", seed, settings, NULL);
        for (int i = 0; i < s->oracle->layers; i++) {
            double ratio, cosine = layer_cosine(s, g, layers[i].want, i, &ratio);
            layers[i].mean += square(cosine) / 10;
            layers[i].part += cosine * ratio / 10;
        }
        free(g);
    }
}

/* Node noise: cos^2 = 1 / (1 + (m - 1) rho / (K B)) for signs, m + 1 for normal noise. */
static void compare_layers(const scene *s, noisy_layer *layers, const char *noise, int draws)
{
    double count = (double)s->task->part[ZO_TRAIN].n, extra = strstr(noise, "gaussian") ? 1 : -1;
    for (int i = 0; i < s->oracle->layers; i++) {
        double m = s->oracle->layer[i].out, got = layers[i].mean,
               theory = 1 / (1 + (m + extra) * layers[i].rho / (draws * count));
        print_message("%s, %2d draws, layer %d of %2.0f units: cos^2 %.3f, theory %.3f\n", noise,
                      draws, i, m, got, theory);
        assert_near(got, theory, 0.05, 0, "squared cosine of node noise");
        assert_true(got > layers[i].before);
        if (draws >= 64) assert_near(layers[i].part, 1, 0.1, 0, "length along the direction");
        layers[i].before = got;
    }
}

static void check_node_noise(const scene *s, const char *noise, const char *sides)
{
    static const int draws[] = {1, 4, 16, 64};
    noisy_layer layers[MOST_LAYERS] = {0};
    for (int i = 0; i < s->oracle->layers; i++)
        layers[i].want = layer_direction64(s->oracle, &s->batch, i, TINY, &layers[i].rho);
    for (int k = 0; k < 4; k++) {
        char text[32];
        snprintf(text, sizeof text, "draws=%d", draws[k]);
        measure_layers(s, layers, SETTINGS(COMMON, "set=random", "sigma=0.003", noise, sides, text));
        compare_layers(s, layers, noise, draws[k]);
    }
    for (int i = 0; i < s->oracle->layers; i++) free(layers[i].want);
}

static void node_noise_follows_theory(void **state)
{
    (void)state;
    scene s = set_scene(120, "dense40 tanh dense19 tanh dense6", 24, 6, 6, "cross-entropy");
    check_node_noise(&s, "noise=rademacher", "sides=one");
    check_node_noise(&s, "noise=gaussian", "sides=one");
    check_node_noise(&s, "noise=rademacher", "sides=two");
    clear_scene(&s);
}

/* The whole arena as one layer would be: pads are zero in both. */
static double arena_cosine(const float *a, const float *b, size_t n, double *ratio)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        ab += x * y, aa += x * x, bb += y * y;
    }
    *ratio = sqrt(aa / bb);
    return ab / sqrt(aa * bb);
}

/* Weight noise: cos^2 = N / (N + d - 1) for signs, N / (N + d + 1) for normal noise, N draws in d dimensions; and the mean of ten
 * estimates is an estimate with ten times the draws. */
static void check_weight_noise(const scene *s, const float *gradient, const char *noise, int draws,
                               const char *sides)
{
    char text[32];
    snprintf(text, sizeof text, "population=%d", draws);
    float *sum = floats(s->net->arena);
    double mean = 0, ratio, d = (double)s->net->parameters,
           extra = strstr(noise, "gaussian") ? 1 : -1;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        float *g =
            direction_of(ctx, s->task, s->net, "weights:sgd", seed,
                         SETTINGS(COMMON, "shaping=raw", "sigma=0.001", noise, sides, text), NULL);
        mean += square(arena_cosine(g, gradient, s->net->arena, &ratio)) / 10;
        for (size_t i = 0; i < s->net->arena; i++) sum[i] += g[i];
        free(g);
    }
    double cosine = arena_cosine(sum, gradient, s->net->arena, &ratio), all = square(cosine);
    if (draws > 700) assert_near(cosine * ratio / 10, 1, 0.1, 0, "length along the gradient");
    double theory = draws / (draws + d + extra), theory_all = 10 * draws / (10 * draws + d + extra);
    print_message("%-10s %-3s %3d draws: cos^2 %.3f, theory %.3f; of the mean of ten %.3f, %.3f\n",
                  strchr(noise, '=') + 1, strchr(sides, '=') + 1, draws, mean, theory, all,
                  theory_all);
    assert_near(mean, theory, 0.05, 0, "squared cosine of weight noise");
    assert_near(all, theory_all, 0.08, 0, "squared cosine of the mean of ten");
    free(sum);
}

static void weight_noise_follows_theory(void **state)
{
    (void)state;
    static const int draws[] = {16, 128, 768};
    scene s = set_scene(72, "dense9 tanh dense100 dense3", 5, 3, 3, "cross-entropy");
    float *gradient = direction_of(ctx, s.task, s.net, "backprop:sgd", 1, SETTINGS(COMMON), NULL);
    for (int i = 0; i < 3; i++) {
        check_weight_noise(&s, gradient, "noise=rademacher", draws[i], "sides=two");
        check_weight_noise(&s, gradient, "noise=gaussian", draws[i], "sides=one");
    }
    free(gradient);
    clear_scene(&s);
}

/* ---- cost ---- */

/* Multiply-adds of one row through layers from .. last. */
static double tail(const net64 *n, int from)
{
    double sum = 0;
    for (int i = from; i < n->layers; i++) sum += n->layer[i].in * n->layer[i].out;
    return sum;
}

static double numbers(const net64 *n)
{
    double sum = 0;
    for (int i = 0; i < n->layers; i++) sum += (n->layer[i].in + 1) * n->layer[i].out;
    return sum;
}

static void check_cost(const scene *s, const char *method, const char *const *settings,
                       double per_example)
{
    zo_step_info info;
    free(direction_of(ctx, s->task, s->net, method, 1, settings, &info));
    double count = (double)s->task->part[ZO_TRAIN].n, all = numbers(s->oracle);
    assert_true(info.examples == (int64_t)count);
    assert_near(info.cost, count * per_example + all, 0, 1e-12, method); /* sgd: one each */
}

/* A clean pass and the direction are part of all; in a smooth net every moved unit changes its activation. */
static void cost_equals_a_count(void **state)
{
    (void)state;
    scene s =
        set_scene(72, "dense17 tanh dense9 sigmoid dense20 tanh dense3", 5, 3, 3, "cross-entropy");
    const net64 *n = s.oracle;
    double base = tail(n, 0) + numbers(n), moves = 0, draws = 0, count = (double)s.task->part[0].n;
    for (int i = 0; i < n->layers; i++) {
        if (i + 1 < n->layers) moves += n->layer[i].out * (n->layer[i + 1].out + tail(n, i + 2));
        draws += 5 * tail(n, i + 1);
    }
    check_cost(&s, "backprop:sgd", SETTINGS(COMMON), base + tail(n, 1));
    check_cost(&s, "nodes:sgd", SETTINGS(COMMON, "set=complete", "sides=one"), base + moves);
    check_cost(&s, "nodes:sgd", SETTINGS(COMMON, "set=complete", "sides=two"), base + 2 * moves);
    check_cost(&s, "nodes:sgd", SETTINGS(COMMON, "set=random", "draws=5", "sides=two"),
               base + 2 * draws);
    /* Of a pair, the first layer is run once unperturbed by noise, and what noise adds is added and taken away; the others are run twice. Noise
     * is a multiply-add for each parameter that it is added to, and again in the direction. */
    double first = n->layer[0].in * n->layer[0].out, shared = first + 2 * n->layer[0].out,
           noise = 2 * numbers(n) - (first + n->layer[0].out) + numbers(n);
    check_cost(&s, "weights:sgd", SETTINGS(COMMON, "population=5", "sides=two"),
               tail(n, 0) + 5 * (shared + 2 * tail(n, 1) + noise / count));
    clear_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backprop_agrees_with_central_differences),
        cmocka_unit_test(complete_sets_agree_with_backprop),
        cmocka_unit_test(draws_of_one_unit_are_exact),
        cmocka_unit_test(jumping_nets_agree_with_brute_force),
        cmocka_unit_test(node_noise_follows_theory),
        cmocka_unit_test(weight_noise_follows_theory),
        cmocka_unit_test(cost_equals_a_count),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* coordinate: central differences of every parameter of every kind of layer against those of a network in double precision; forward ones, and
 * those of nets that jump, against brute force; blocks, the cost, and missing losses. (That bits depend on nothing else: test_contract.c.)
 * labels: threads
 */
#include "images_training.h"

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

static const struct {
    const char *spec;
    size64 in;
} smooth[] = {
    {"dense3", {1, 1, 4}},
    {"conv3x4 tanh conv2x3 tanh dense3", {5, 5, 2}},
    {"conv3x4,same,stride2 gelu dense5 tanh dense3", {5, 4, 3}},
    {"conv2x3x17,dilation2 sigmoid conv1x3,nobias global-mean", {6, 5, 2}},
    {"conv1x17 tanh conv2x16,same tanh dense3", {3, 3, 2}},
    {"conv2x4 tanh dwconv3,same tanh dwconv2 tanh dense3", {4, 5, 2}},
    {"conv2x3 tanh eachconv3x2,same tanh eachconv2x1x3,dilation2 tanh dense3", {4, 5, 2}},
    {"conv2x5 tanh meanpool2,same norm tanh dense3", {5, 5, 2}},
    {"conv2x3 tanh global-mean dense6 tanh dense3", {5, 4, 2}},
    {"norm dense7 tanh norm,nobias dense3", {2, 3, 3}},
    {"scale tanh conv2x5 scale,nobias tanh dense3 tanh", {4, 4, 3}},
    {"dense39 tanh flatten dense8,nobias gelu dense3", {1, 1, 5}}, /* two panels, one broken */
    {"patch2x4,pad1 tanh conv1x3 tanh dense3", {4, 4, 2}},
    {"conv1x4 tanh patch3x5,same tanh patch2x3,stride2,eps.1 dense3", {5, 4, 2}},
    {"conv2x4 tanh { patch3x4,same tanh }+ cells2 scale dense3", {5, 5, 2}},
    {"conv2x3 sigmoid cells3 sqrt conv2x4 tanh dense3", {6, 5, 2}},
    {"dense5 tanh { dense4 tanh }cat dense6 tanh dense3", {1, 1, 4}},
    {"conv2x4 tanh { conv3x5,same tanh { conv1x3 }cat }cat dense3", {4, 4, 2}},
    {"dense5 tanh { dense4 tanh | dense6 tanh dense4 }+ dense3", {1, 1, 4}},
    {"conv2x4 tanh { conv3x5,same tanh | conv3x4,same tanh scale }cat conv2x2 tanh dense3",
     {4, 4, 2}},
    {"dense5 { dense5 tanh }+ dense3", {1, 1, 4}},
    {"dense6 tanh { dense6 tanh }+ dense4 tanh dense3", {1, 1, 4}},
    {"{ scale tanh { conv1x3 tanh }+ }+ { norm }+ conv1x3 global-mean", {4, 3, 3}},
    {"conv2x4 tanh { conv3x4,same gelu norm conv1x4 }+ tanh dense3", {4, 4, 2}},
    {"dense6 tanh { { { dense6 }+ tanh }+ tanh }+ { dense4 tanh dense6 }+ dense3", {1, 1, 5}},
};
enum { SMOOTH = sizeof smooth / sizeof *smooth };

/* ---- central differences ---- */

/* The smallest cosine of a stage, and how far its length is off at most. */
typedef struct likeness {
    double cosine, off;
} likeness;

static likeness likeness_of(const images_scene *s, const float *arena)
{
    likeness l = {1, 0};
    for (int i = 0; i < s->oracle->stages; i++) {
        int n = parameters64(s->oracle->stage + i);
        if (!n) continue;
        double *got = step_of(s, arena, i), *want = direction64(s, i, false), ratio,
               cosine = cosine64(got, want, (size_t)n, &ratio);
        l.cosine = fmin(l.cosine, cosine);
        l.off = fmax(l.off, fabs(ratio - 1));
        free(got), free(want);
    }
    return l;
}

/* The error of a two-sided difference grows with the square of sigma, rounding with 1 / sigma. Twins: a move of another size than is said, and
 * one side where two are. */
static void check_central(const char *spec, size64 in, size_t turn)
{
    images_scene s = set_images(ctx, 8, spec, in, turn % 3 ? 3 : 0, 3,
                                turn % 3 == 1 ? "cross-entropy" : "squared-error");
    float *arena = direction_of(ctx, s.task, s.net, "coordinate:sgd", 1,
                                SETTINGS(COMMON, s.loss, "sigma=0.01"), NULL),
          *coarse = direction_of(ctx, s.task, s.net, "coordinate:sgd", 1,
                                 SETTINGS(COMMON, s.loss, "sigma=0.4", "sides=one"), NULL);
    likeness good = likeness_of(&s, arena), bad = likeness_of(&s, coarse);
    if (!(good.cosine > 0.9999 && good.off < 2e-3))
        fail_msg("%s, %s: cosine %.6f, length %.6f off", spec, s.loss, good.cosine, good.off);
    assert_true(bad.cosine < 0.9999 || bad.off > 2e-3);
    check_pads(s.net, arena);
    for (size_t i = 0; i < s.net->arena; i++) arena[i] *= 2;
    assert_true(likeness_of(&s, arena).off > 0.9);
    free(arena);
    free(coarse);
    clear_images(&s);
}

static void every_layer_agrees_with_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMOOTH; i++) check_central(smooth[i].spec, smooth[i].in, i);
}

/* ---- brute force ---- */

/* Every parameter moved in double precision, every example run again from its stage on. */
static double *brute64(const images_scene *s, int stage, double by, int sides)
{
    stage64 *of = s->oracle->stage + stage;
    int n = parameters64(of);
    double *g = calloc((size_t)n + 1, sizeof *g);
    for (int b = 0; b < s->examples; b++) {
        double clean = example_loss(s, b, still);
        for (int i = 0; i < n; i++) {
            double *p = parameter64(of, i), kept = *p;
            *p = kept + by;
            double plus = loss_on(s, b, stage, still), minus = clean;
            *p = kept - by;
            if (sides == 2) minus = loss_on(s, b, stage, still);
            *p = kept;
            g[i] += (plus - minus) / (sides * by) / s->examples;
        }
    }
    return g;
}

static void check_brute(const char *spec, size64 in, const char *loss, int sides, const char *sigma)
{
    char setting[2][32];
    double sum = 0;
    images_scene s = set_images(ctx, 8, spec, in, 3, 3, loss);
    snprintf(setting[0], 32, "sigma=%s", sigma);
    snprintf(setting[1], 32, "sigma_jump=%s", sigma);
    float *arena = direction_of(
        ctx, s.task, s.net, "coordinate:sgd", 1,
        SETTINGS(COMMON, s.loss, setting[0], setting[1], sides == 1 ? "sides=one" : "sides=two"),
        NULL);
    for (int i = 0; i < s.oracle->stages; i++) {
        int n = parameters64(s.oracle->stage + i);
        if (!n) continue;
        double *want = brute64(&s, i, (double)(float)atof(sigma), sides),
               *got = step_of(&s, arena, i);
        for (int j = 0; j < n; j++) sum += fabs(want[j]);
        if (!(apart64(got, want, n) < 1e-4))
            fail_msg("%s, %s, stage %d: %g apart", spec, loss, i, apart64(got, want, n));
        free(want), free(got);
    }
    assert_true(sum > 0.01); /* the losses did change */
    free(arena);
    clear_images(&s);
}

/* Moves so large that rounding does not matter. */
static void forward_differences_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMOOTH; i++)
        check_brute(smooth[i].spec, smooth[i].in, i % 2 ? "cross-entropy" : "squared-error", 1,
                    "0.3");
}

static void other_nets_agree_with_brute_force(void **state)
{
    (void)state;
    check_brute("conv1x4 relu pool2 dense5 relu dense3", (size64){4, 4, 2}, "cross-entropy", 2,
                "0.2");
    check_brute("conv2x5 step conv2x3 sign dense3", (size64){4, 4, 2}, "cross-entropy", 2, "0.4");
    check_brute("dense9 step dense7 sign dense3", (size64){1, 1, 6}, "squared-error", 1, "0.4");
    check_brute("conv3x6,same wta3 dense6 wta2 dense3", (size64){3, 4, 2}, "cross-entropy", 2,
                "0.5");
    check_brute("dense9 quant3 dense7 wta4 dense3 quant2", (size64){1, 1, 5}, "squared-error", 2,
                "0.4");
    check_brute("dense9 tanh dense7 tanh dense3", (size64){1, 1, 5}, "zero-one", 2, "0.7");
}

/* More examples than wait together, and an item with coordinates of several stages. */
static void long_batches_agree_with_brute_force(void **state)
{
    (void)state;
    images_scene s =
        set_images(ctx, 330, "dense3 tanh dense3", (size64){1, 1, 2}, 3, 3, "cross-entropy");
    assert_true(s.examples > 256);
    float *arena = direction_of(ctx, s.task, s.net, "coordinate:sgd", 1,
                                SETTINGS(COMMON, "sigma=0.25", "sides=one"), NULL);
    for (int i = 0; i < 2; i++) {
        int n = parameters64(s.oracle->stage + i);
        double *want = brute64(&s, i, 0.25, 1), *got = step_of(&s, arena, i);
        assert_true(apart64(got, want, n) < 1e-4);
        free(want), free(got);
    }
    free(arena);
    clear_images(&s);
}

/* ---- blocks ---- */

/* Which parameters steps of a block moved: exactly `block` in each, none twice before all were, and what a step of all would do to them. */
static void check_block(const char *spec, size64 in, int block)
{
    char setting[32];
    snprintf(setting, sizeof setting, "block=%d", block);
    images_scene s = set_images(ctx, 8, spec, in, 0, 3, "squared-error");
    size_t n = s.net->arena;
    float *all = direction_of(ctx, s.task, s.net, "coordinate:sgd", 1, SETTINGS(COMMON), NULL),
          *before = floats(n);
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "coordinate:sgd", 1, SETTINGS(COMMON, setting));
    int *seen = calloc(n, sizeof *seen), parameters = (int)s.net->parameters,
        steps = (parameters + block - 1) / block;
    for (int k = 0; k < steps; k++) {
        int moved = 0;
        memcpy(before, zo_trainer_net(t)->params, n * sizeof *before);
        assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
        const float *after = zo_trainer_net(t)->params;
        for (size_t i = 0; i < n; i++) {
            if (after[i] == before[i]) continue;
            moved++;
            seen[i]++;
            if (k == 0) assert_true(before[i] - after[i] == all[i]);
        }
        if (moved != block) fail_msg("%s: a step moved %d of %d", spec, moved, block);
    }
    int missed = parameters, twice = 0;
    for (size_t i = 0; i < n; i++) missed -= seen[i] > 0, twice += seen[i] > 1;
    assert_int_equal(missed, 0);
    assert_int_equal(twice, steps * block - parameters);
    zo_trainer_destroy(t);
    free(all), free(before), free(seen);
    clear_images(&s);
}

static void blocks_visit_every_parameter(void **state)
{
    (void)state;
    static const int block[] = {1, 7, 32, 33, 50};
    for (int i = 0; i < 5; i++) {
        check_block("dense5 tanh dense3", (size64){1, 1, 4}, i < 2 ? block[i] : 20 + i);
        check_block("conv2x3 tanh dwconv2 norm tanh dense3", (size64){4, 4, 2}, block[i]);
    }
}

/* ---- cost ---- */

/* Of each parameter and side: what forms the moved outputs, and what runs on. Dense stages here are followed by dense ones. */
static void check_cost(const char *spec, size64 in, const double *of_weight, const double *of_bias)
{
    images_scene s = set_images(ctx, 12, spec, in, 0, 3, "squared-error");
    double sum = 0;
    for (int i = 0; i < s.oracle->stages; i++)
        sum += s.oracle->stage[i].weights * of_weight[i] + s.oracle->stage[i].biases * of_bias[i];
    for (int sides = 1; sides <= 2; sides++) {
        zo_step_info info;
        free(direction_of(ctx, s.task, s.net, "coordinate:sgd", 1,
                          SETTINGS(COMMON, sides == 1 ? "sides=one" : "sides=two"), &info));
        double want = s.examples * (s.net->cost + sides * sum) + (double)s.net->parameters;
        assert_near(info.cost, want, 0, 0, spec);
    }
    clear_images(&s);
}

static void cost_equals_a_count(void **state)
{
    (void)state;
    /* one column of the next layer, and the layers behind it; one multiply-add for z if it is a weight */
    check_cost("dense17 tanh dense9 sigmoid dense20 tanh dense3", (size64){1, 1, 5},
               (double[]){1 + 9 + 180 + 60, 1 + 20 + 60, 1 + 3, 1}, (double[]){249, 80, 3, 0});
    /* of a convolution one for each pixel; of a norm and a scale the stage; and all that follows */
    double dense = 32 * 3, scale = 32, norm = 4 * 32, after = dense + scale + norm;
    check_cost("conv3x2,same tanh norm scale dense3", (size64){4, 4, 2},
               (double[]){16 + after, norm + scale + dense, scale + dense, 1},
               (double[]){after, scale + dense, dense, 0});
}

/* A unit that is off costs nothing. */
static void what_does_not_change_costs_nothing(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 30, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense8 relu dense3", 1);
    for (size_t j = 0; j < 8; j++) net->params[net->stage[0].bias + j] = -100;
    zo_step_info info;
    free(direction_of(ctx, task, net, "coordinate:sgd", 1, SETTINGS(COMMON), &info));
    double m = (double)task->part[ZO_TRAIN].n;
    /* z of 32 weights; of the 27 parameters behind them only the biases change anything, for nothing */
    assert_near(info.cost, m * (32 + 24 + 2 * (32 + 24)) + 67, 0, 0, "multiply-adds");
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- losses that are missing ---- */

/* No number for label 2, and where the first output is above what `user` says. */
static void holes(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                  const float *target, float *loss)
{
    (void)outputs, (void)target;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = row[0] * row[0] + row[1] * row[2];
        if (label[i] == 2 || row[0] > *(const float *)user) loss[i] = NAN;
    }
}

/* A bias of the last layer that would push an output over the edge is dropped, and does not move. */
static void missing_losses_are_counted(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 60, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense3", 1);
    int64_t missing = 0;
    for (size_t i = 0; i < 4; i++) net->params[net->stage[0].weight + i * 16] = 0;
    net->params[net->stage[0].bias] = 1;
    for (int64_t i = 0; i < task->part[ZO_TRAIN].n; i++)
        missing += task->part[ZO_TRAIN].label[i] == 2;
    float edge = 1.05f;
    zo_trainer_def def = zo_trainer_default_def();
    def.method = "coordinate:sgd";
    def.task = task;
    def.net = net;
    def.settings = SETTINGS(COMMON, "sigma=0.1", "sides=one");
    def.loss = holes;
    def.loss_user = &edge;
    zo_trainer *t = NULL;
    zo_step_info info;
    assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_OK);
    assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
    /* the bias of output 0 and its four weights: they push some example over it */
    assert_int_equal(info.dropped, missing + 5);
    const float *after = zo_trainer_net(t)->params;
    assert_true(after[net->stage[0].bias] == 1);
    assert_true(after[net->stage[0].bias + 1] != net->params[net->stage[0].bias + 1]);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void the_plan_says_what_is_moved(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 30, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense5 tanh dense3", 1);
    static const char *const setting[] = {"block=7", "block=1000", "sides=one", "loss=zero-one"},
                             *const want[] = {"7 of 43 parameters", "43 of 43 parameters",
                                              "one-sided, sigma 0.01", "two-sided, sigma 0.3"};
    for (int i = 0; i < 4; i++) {
        zo_trainer *t = make_trainer(ctx, task, net, "coordinate", 1, SETTINGS(setting[i]));
        const char *line = zo_trainer_plan(t, 0);
        if (!line || !strstr(line, want[i])) fail_msg("\"%s\" is not in: %s", want[i], line);
        assert_null(zo_trainer_plan(t, 1));
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_agrees_with_central_differences),
        cmocka_unit_test(forward_differences_agree_with_brute_force),
        cmocka_unit_test(other_nets_agree_with_brute_force),
        cmocka_unit_test(long_batches_agree_with_brute_force),
        cmocka_unit_test(blocks_visit_every_parameter),
        cmocka_unit_test(cost_equals_a_count),
        cmocka_unit_test(what_does_not_change_costs_nothing),
        cmocka_unit_test(missing_losses_are_counted),
        cmocka_unit_test(the_plan_says_what_is_moved),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Complete sets of node perturbation on every kind of layer: directions against central differences in double precision, or, where something
 * jumps, against brute force; moved columns against moved rows. (Random draws: test_nodes_draws.c.)
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

/* ---- what is smooth ---- */

/* The error of a two-sided difference grows with the square of sigma, rounding with 1 / sigma. */
static void check_complete(const char *spec, size64 in, size_t turn)
{
    images_scene s = set_images(ctx, 8, spec, in, turn % 3 ? 3 : 0, 3,
                                turn % 3 == 1 ? "cross-entropy" : "squared-error");
    float *arena = direction_of(
        ctx, s.task, s.net, "nodes:sgd", 1,
        SETTINGS(COMMON, s.loss, "set=complete", "place=outputs", "sides=two", "sigma=0.004"), NULL);
    for (int i = 0; i < s.oracle->stages; i++) {
        int n = parameters64(s.oracle->stage + i);
        if (!n) continue;
        double *got = step_of(&s, arena, i), *want = direction64(&s, i, false), ratio,
               cosine = cosine64(got, want, (size_t)n, &ratio);
        if (cosine < 0.9999 || fabs(ratio - 1) > 2e-3)
            fail_msg("%s, %s, stage %d: cosine %.6f, ratio %.6f", spec, s.loss, i, cosine, ratio);
        free(got), free(want);
    }
    check_pads(s.net, arena);
    free(arena);
    clear_images(&s);
}

static const struct {
    const char *spec;
    size64 in;
} smooth[] = {
    {"conv3x4 tanh conv2x3 tanh dense3", {5, 5, 2}},
    {"conv3x4,same,stride2 gelu dense5 tanh dense3", {5, 4, 3}},
    {"conv2x3x17,dilation2 sigmoid conv1x3,nobias global-mean", {6, 5, 2}},
    {"conv1x17 tanh conv2x16,same tanh dense3", {3, 3, 2}}, /* without gaps before dense */
    {"conv2x4 tanh dwconv3,same tanh dwconv2 tanh dense3", {4, 5, 2}},
    {"conv2x4 tanh eachconv3x2,same tanh eachconv2x1x3,dilation2 tanh dense3", {4, 5, 2}},
    {"conv2x4 tanh eachdense2x3 tanh conv1x2 tanh dense3", {4, 5, 2}},
    {"conv2x5 tanh meanpool2,same norm tanh dense3", {5, 5, 2}},
    {"conv2x3 tanh global-mean dense6 tanh dense3", {5, 4, 2}},
    {"norm dense7 tanh norm,nobias dense3", {2, 3, 3}},
    {"scale tanh conv2x5 scale,nobias tanh dense3 tanh", {4, 4, 3}},
    {"dense9 tanh flatten dense8 gelu dense3", {1, 1, 5}},
    {"conv2x3 tanh conv2x4 tanh norm dense3", {4, 4, 2}},
    {"conv2x4 tanh conv2x4 { conv2x4,same norm conv1x4 }+ dense3", {4, 4, 2}},
    {"conv3x4 tanh conv2x3", {4, 4, 2}},
    {"conv2x5 norm tanh conv1x3 norm dense3", {4, 3, 2}},
    {"conv1x4 tanh conv2x3,dilation2,same tanh conv1x3 dense3", {5, 4, 2}},
    {"conv1x4 tanh conv2x3,stride3 tanh dense3", {7, 8, 2}},
    {"conv1x4 tanh conv5x3,same tanh conv2x2 dense40 tanh dense3", {3, 2, 2}},
    {"conv1x3 tanh conv3x1x4,same conv2x1x3 dense3", {6, 1, 2}},
    {"conv1x4 { conv3x4,same tanh }+ { conv3x4,same }+ meanpool2 tanh dense3", {4, 4, 2}},
    {"conv1x3 tanh conv3x4,same,stride2 tanh meanpool2,stride1,same gelu dense3", {5, 6, 1}},
    {"patch2x4,pad1 tanh conv1x3 tanh dense3", {4, 4, 2}},
    {"conv1x4 tanh patch3x5,same tanh patch2x3,stride2,eps.1 dense3", {5, 4, 2}},
    {"conv2x4 tanh { patch3x4,same tanh }+ cells2 dense3", {5, 5, 2}},
    {"conv2x3 sigmoid cells3 sqrt conv2x4 tanh dense3", {6, 5, 2}},
    {"dense9 tanh twosided dense8 tanh twosided0.000001 dense3", {1, 1, 5}},
    {"dense5 tanh { dense4 tanh }cat dense6 tanh dense3", {1, 1, 4}},
    {"dense24 tanh { image4x3 conv2x3 tanh flatten }cat dense3", {1, 1, 4}},
    {"conv1x16 tanh image2 conv1x3 tanh dense3", {4, 4, 1}},
    {"conv2x4 tanh { conv3x5,same tanh { conv1x3 }cat }cat conv2x2 tanh dense3", {4, 4, 2}},
    {"{ conv3x3,same tanh }cat meanpool2 flatten { dense5 tanh }cat dense3", {4, 4, 2}},
    {"dense5 tanh { dense4 tanh | dense6 tanh dense4 }+ dense3", {1, 1, 4}},
    {"{ { dense5 tanh dense3 | dense4 tanh dense3 }+ | dense6 tanh dense3 }+", {1, 1, 4}},
    {"dense5 tanh { dense4 tanh dense6 | { dense5 tanh | dense4 }cat tanh }cat dense3", {1, 1, 4}},
    {"conv2x4 tanh { conv3x5,same tanh | conv3x4,same tanh conv1x3 }cat conv2x2 tanh dense3",
     {4, 4, 2}},
    {"{ conv3x3,same tanh { conv1x3 tanh | scale }+ | conv1x3 tanh }+ tanh dense3", {4, 4, 2}},
    {"conv1x3 tanh { meanpool2 conv1x4 tanh | conv2x4,stride2 tanh norm }+ conv1x3 tanh dense3",
     {4, 4, 2}},
    {"conv2x3 tanh { flatten dense4 tanh | conv2x2 tanh flatten }cat dense3", {4, 4, 2}},
    {"dense5 { dense5 tanh }+ dense3", {1, 1, 4}},
    {"dense6 tanh { dense6 tanh }+ dense4 tanh dense3", {1, 1, 4}},
    {"{ conv3x2,same tanh }+ conv2x4 tanh dense3", {4, 4, 2}},
    {"{ scale tanh { conv1x3 tanh }+ }+ { norm }+ conv1x3 global-mean", {4, 3, 3}},
    {"conv2x4 tanh { conv3x4,same gelu norm conv1x4 }+ tanh dense3", {4, 4, 2}},
    {"dense6 tanh { { { dense6 }+ tanh }+ tanh }+ { dense4 tanh dense6 }+ dense3", {1, 1, 5}},
    {"conv1x5 { dwconv3,same tanh { conv1x5 tanh { scale }+ }+ conv1x5 }+ dense3", {3, 3, 2}},
};
enum { SMOOTH = sizeof smooth / sizeof *smooth };

static void complete_sets_agree_with_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMOOTH; i++) check_complete(smooth[i].spec, smooth[i].in, i);
}

/* Where most of a window is nothing but the largest, the move must be small against what lies between it and the next. */
static void largest_values_pass_moves_on(void **state)
{
    (void)state;
    check_complete("conv1x4 tanh pool2 dense3", (size64){4, 4, 2}, 2);
    check_complete("conv1x4 tanh cells3,max conv1x3 tanh cells2,max dense3", (size64){5, 4, 2}, 2);
    check_complete("conv1x5 tanh pool3,stride2,same conv1x3 global-max", (size64){5, 5, 2}, 2);
}

/* ---- brute force ---- */

/* Each output of an example moved in double precision, the net run again: the errors of a stage. */
static void errors_of(const images_scene *s, int stage, int b, double by, int sides, double *e)
{
    double clean = example_loss(s, b, still);
    for (int j = 0; j < count64(s->oracle->stage[stage].out); j++) {
        double plus = loss_on(s, b, stage, (moves64){stage, j, by, NULL}),
               minus = sides == 1 ? clean : loss_on(s, b, stage, (moves64){stage, j, -by, NULL});
        e[j] = (plus - minus) / (sides * by);
    }
}

/* g += what errors e of a stage's outputs mean for its parameters: each in turn is 1 and the others 0, and what then comes out is weighed. */
static void add_errors(const images_scene *s, int stage, int b, const double *e, double *g)
{
    images64 *n = s->oracle;
    stage64 *of = n->stage + stage;
    int parameters = parameters64(of);
    double *kept = calloc((size_t)parameters, sizeof *kept);
    run64(n, example_at(s, b), still);
    for (int i = 0; i < parameters; i++) kept[i] = *parameter64(of, i), *parameter64(of, i) = 0;
    for (int i = 0; i < parameters; i++) {
        *parameter64(of, i) = 1;
        layer_forward64(n, stage, n->z);
        for (int j = 0; j < count64(of->out); j++) g[i] += n->z[j] * e[j] / s->examples;
        *parameter64(of, i) = 0;
    }
    for (int i = 0; i < parameters; i++) *parameter64(of, i) = kept[i];
    free(kept);
}

static void check_brute(const char *spec, size64 in, const char *loss, int sides, const char *sigma)
{
    char setting[2][32];
    double sum = 0;
    images_scene s = set_images(ctx, 8, spec, in, 3, 3, loss);
    snprintf(setting[0], 32, "sigma=%s", sigma);
    snprintf(setting[1], 32, "sigma_jump=%s", sigma);
    float *arena = direction_of(ctx, s.task, s.net, "nodes:sgd", 1,
                                SETTINGS(COMMON, s.loss, "set=complete", setting[0], setting[1],
                                         sides == 1 ? "sides=one" : "sides=two", "place=outputs"),
                                NULL);
    for (int i = 0; i < s.oracle->stages; i++) {
        int n = parameters64(s.oracle->stage + i);
        if (!n) continue;
        double *e = calloc((size_t)count64(s.oracle->stage[i].out), sizeof *e),
               *want = calloc((size_t)n, sizeof *want), *got = step_of(&s, arena, i),
               stride = stride64(s.oracle, i, !strcmp(loss, "zero-one")),
               by = (double)(float)(atof(sigma) * (stride > 0 ? stride : 1));
        for (int b = 0; b < s.examples; b++) {
            errors_of(&s, i, b, by, sides, e);
            add_errors(&s, i, b, e, want);
        }
        for (int j = 0; j < n; j++) sum += fabs(want[j]);
        if (!(apart64(got, want, n) < 1e-4))
            fail_msg("%s, %s, stage %d: %g apart", spec, loss, i, apart64(got, want, n));
        free(e), free(want), free(got);
    }
    assert_true(sum > 0.01); /* the losses did change */
    free(arena);
    clear_images(&s);
}

/* Moves so large that rounding does not matter, from the clean loss on. */
static void one_side_agrees_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMOOTH; i++)
        check_brute(smooth[i].spec, smooth[i].in, i % 2 ? "cross-entropy" : "squared-error", 1,
                    "0.2");
}

static void jumping_nets_agree_with_brute_force(void **state)
{
    (void)state;
    check_brute("conv2x5 step conv2x3 sign dense3", (size64){4, 4, 2}, "cross-entropy", 2, "0.4");
    check_brute("conv3x6,same wta3 dense6 wta2 dense3", (size64){3, 4, 2}, "cross-entropy", 2,
                "0.5");
    check_brute("conv3x6,same wta2 pool2 dwconv2 quant2 dense3", (size64){4, 4, 2}, "squared-error",
                2, "0.3");
    check_brute("dense9 quant3 dense7 wta4 dense3 quant2", (size64){1, 1, 5}, "squared-error", 2,
                "0.4");
    check_brute("dense9 wta3 dense5 wta3 dense3", (size64){1, 1, 5}, "cross-entropy", 2, "0.4");
    check_brute("conv2x4 norm quant4 { conv3x4,same tanh scale quant3 }+ sign global-mean dense3",
                (size64){4, 4, 2}, "cross-entropy", 2, "0.4");
    check_brute("{ conv3x3,same relu }+ pool2 conv2x4 relu dense3", (size64){4, 4, 3}, "zero-one",
                2, "0.7");
    check_brute("conv2x4 relu global-max dense3", (size64){4, 4, 3}, "cross-entropy", 2, "0.3");
    check_brute("dense8 { dense8 step }+ dense6 sign dense3", (size64){1, 1, 4}, "cross-entropy", 2,
                "0.5");
}

/* ---- columns and rows ---- */

/* A moved output before `dense` is a column; behind a second pooling, of single pixels, it is a pixel whose numbers are all multiplied: the
 * same direction. */
static void check_columns(const char *columns, const char *rows, size64 in, const char *loss,
                          const char *sigma)
{
    images_scene a = set_images(ctx, 14, columns, in, 3, 3, loss),
                 b = set_images(ctx, 14, rows, in, 3, 3, loss);
    zo_step_info cost[2];
    const char *const settings[] = {"batch=65536",  "lr=1", "schedule=constant",
                                    "set=complete", a.loss, "sides=two",
                                    sigma,          NULL};
    for (int i = 0; i < zo_net_segments(a.net); i++) {
        float x[4000];
        assert_int_equal(zo_net_get(a.net, i, x), ZO_OK);
        assert_int_equal(zo_net_set(b.net, i, x), ZO_OK);
    }
    float *of_a = direction_of(ctx, a.task, a.net, "nodes:sgd", 1, settings, cost),
          *of_b = direction_of(ctx, b.task, b.net, "nodes:sgd", 1, settings, cost + 1);
    assert_true(cost[0].cost < cost[1].cost);
    for (int i = 0, j = 0; i < a.oracle->stages; i++, j++) {
        int n = parameters64(a.oracle->stage + i);
        while (strstr(b.oracle->stage[j].name, "pool")) j++;
        double *got = step_of(&a, of_a, i), *want = step_of(&b, of_b, j);
        if (n && !(apart64(got, want, n) < 1e-4))
            fail_msg("%s and %s, stage %d: %g apart", columns, rows, i, apart64(got, want, n));
        free(got), free(want);
    }
    free(of_a), free(of_b);
    clear_images(&a);
    clear_images(&b);
}

static void columns_agree_with_rows(void **state)
{
    size64 table = {1, 1, 5}, image = {2, 3, 2};
    (void)state;
    check_columns("dense40 tanh dense33 gelu dense3",
                  "dense40 tanh meanpool1 pool1 dense33 gelu meanpool1 pool1 dense3", table,
                  "cross-entropy", "sigma=0.3");
    check_columns("dense17 dense9 relu dense3",
                  "dense17 meanpool1 pool1 dense9 relu meanpool1 pool1 dense3", table,
                  "squared-error", "sigma=0.5");
    check_columns("conv1x16 tanh dense8 sigmoid dense3",
                  "conv1x16 tanh meanpool1 pool1 dense8 sigmoid meanpool1 pool1 dense3", image,
                  "cross-entropy", "sigma=0.3");
    check_columns("dense8 tanh dense8 wta3 dense3",
                  "dense8 tanh meanpool1 pool1 dense8 wta3 meanpool1 pool1 dense3", table,
                  "cross-entropy", "sigma_jump=0.5");
    check_columns("dense8 step dense8 sign dense3",
                  "dense8 step meanpool1 pool1 dense8 sign meanpool1 pool1 dense3", table,
                  "cross-entropy", "sigma_jump=0.6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_sets_agree_with_central_differences),
        cmocka_unit_test(largest_values_pass_moves_on),
        cmocka_unit_test(one_side_agrees_with_brute_force),
        cmocka_unit_test(jumping_nets_agree_with_brute_force),
        cmocka_unit_test(columns_agree_with_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

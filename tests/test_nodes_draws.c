/* Random draws of node perturbation, of a stage's outputs or of its weights, and complete sets of a part of the batch: against brute force in
 * double precision, with the same noise. (Variances: test_nodes_theory.c. Complete sets: test_nodes.c.)
 */
#include "draws_support.h"

static const struct {
    const char *spec;
    size64 in;
} nets[] = {
    {"conv3x4,same tanh conv2x17,stride2 gelu dense3", {4, 4, 2}},
    {"conv2x5,nobias relu pool2 dwconv2,same tanh norm dense3", {5, 5, 2}},
    {"{ conv3x2,same tanh { scale tanh }+ norm,nobias }+ conv1x33 global-mean dense3", {3, 4, 2}},
    {"dense9 tanh { dense9 gelu dense9 }+ meanpool1 dense3", {1, 1, 5}},
    {"conv2x3 tanh patch2x17,pad1 tanh pool2 twosided0.1 cells1 scale dense3", {4, 5, 2}},
    {"conv2x3 tanh { conv1x4 tanh }cat conv2x5 tanh { dwconv2,same }cat dense3", {4, 4, 2}},
    {"conv2x3 tanh { conv1x4 tanh | pool1 conv3x4,same tanh scale }+ dense3", {4, 4, 2}},
    {"dense9 tanh { dense9 gelu dense7 | dense5 tanh dense7 }cat dense3", {1, 1, 5}},
    {"conv3x4,same relu { pool2 conv1x3 tanh | conv2x4,stride2 relu pool1 }cat dense3", {6, 6, 2}},
    {"dense40 tanh dense9 relu dense3", {1, 1, 20}},
    /* noise at the largest of each window */
    {"conv3x6,same relu pool2 conv2x17 tanh pool2,same dense3", {7, 6, 2}},
    {"conv2x18 leaky-relu global-max dense9 relu dense3", {4, 4, 2}},
    {"conv2x4,same pool1,stride2 dwconv2,same relu pool2,stride3 dense3", {8, 8, 2}},
    /* and everywhere: windows overlap, of a mean, an activation behind, an input that is added elsewhere */
    {"conv2x4 relu pool3,stride2 conv1x3 relu meanpool2 dense3", {6, 6, 2}},
    {"conv2x4 tanh pool2 relu conv1x5 relu { pool1 conv1x5 }+ dense3", {5, 5, 2}},
};

/* The k-th of eight ways. */
static way way_of(int k, int draws, uint64_t seed)
{
    return (way){.weights = k & 1,
                 .gaussian = k >> 1 & 1,
                 .sides = 1 + (k >> 2),
                 .draws = draws,
                 .seed = seed};
}

/* More draws than are made together. */
static void draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        for (int k = 0; k < 8; k++) {
            way w = way_of(k, 19, 5);
            check_noise(nets[i].spec, nets[i].in, 8, &w);
        }
    }
}

/* More draws than wait together, and more examples than an item has: noise that stays, for some rows at a time or all, and noise that is
 * made again. */
static void many_draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        way w = way_of(k, 67, 5);
        check_noise("dense40 tanh dense9 relu dense3", (size64){1, 1, 20}, 44, &w);
    }
}

/* Draws in groups too, fewer than rows and as many. */
static void orthogonal_draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        way w = way_of(k & 1, 19, 5);
        w.hadamard = true, w.sides = 1 + (k >> 1);
        for (size_t i = 0; i < 4; i++) check_noise(nets[i].spec, nets[i].in, 8, &w);
        w.draws = 70;
        check_noise("conv2x20 relu pool2 dense90 relu dense3", (size64){5, 5, 2}, 8, &w);
    }
}

/* Members do not share examples draw by draw: they have no such noise. */
static void only_nodes_have_orthogonal_draws(void **state)
{
    static const char *const method[] = {"weights", "lowrank", "mezo"};
    zo_task *task = make_images(ctx, 26, 2, 2, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "dense3", 1);
    zo_trainer_def def = zo_trainer_default_def();
    (void)state;
    def.task = task, def.net = net, def.settings = SETTINGS("noise=hadamard");
    for (int i = 0; i < 3; i++) {
        zo_trainer *trainer = NULL;
        def.method = method[i];
        assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_USAGE);
        error_says(ctx, "hadamard", NULL);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* As many draws as rows, and no fewer than outputs: small moves give the gradient. Other signs do not. */
static void enough_orthogonal_draws_are_exact(void **state)
{
    images_scene s = set_images(ctx, 26, "conv2x3 tanh dense16 tanh conv1x9 relu dense3",
                                (size64){3, 3, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int hadamard = 0; hadamard < 2; hadamard++) {
        float *arena =
            direction_of(ctx, s.task, s.net, "nodes:sgd", 3,
                         SETTINGS(COMMON, "sigma=0.002", "set=random", "place=outputs", "draws=16",
                                  "sides=one", hadamard ? "noise=hadamard" : "noise=rademacher"),
                         NULL);
        for (int i = 0; i < s.oracle->stages; i++) {
            int n = parameters64(s.oracle->stage + i);
            if (!n) continue;
            double *got = step_of(&s, arena, i), *want = direction64(&s, i, false),
                   apart = apart64(got, want, n);
            print_message("stage %d: %g apart\n", i, apart);
            assert_true(hadamard ? apart < 0.02 : apart > 0.05);
            free(got), free(want);
        }
        free(arena);
    }
    clear_images(&s);
}

/* Seeds with which no number comes near a jump. */
static const struct {
    const char *spec;
    size64 in;
    uint64_t seed;
} jumping[] = {
    {"conv2x6 wta3 dense8 quant2 dense3", {4, 4, 2}, 2},
    {"conv2x5 step { conv3x5,same sign }+ dense7 wta4 dense3", {3, 4, 2}, 1},
    {"conv2x4 tanh dwconv2 quant3 conv1x18 wta4 global-mean dense3", {4, 4, 2}, 7},
    {"dense20 wta7 dense33 step dense18 wta18 dense3", {1, 1, 5}, 13},
    {"conv2x5 step pool2 dense7 tanh dense3", {5, 5, 2}, 2},
    {"conv2x4 quant2 pool2,same dense6 relu dense3", {4, 4, 2}, 1},
    {"conv2x5 wta5 pool2 conv1x9 quant3 global-max dense3", {5, 5, 2}, 1},
};

static void draws_of_jumping_nets_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof jumping / sizeof *jumping; i++) {
        for (int k = 0; k < 8; k++) {
            way w = way_of(k, 19, jumping[i].seed);
            check_noise(jumping[i].spec, jumping[i].in, 8, &w);
        }
    }
}

/* One example, so that a unit's weights show its error: that of a dead one is 0, whatever the draws. */
static void errors_of_dead_outputs_are_zero(void **state)
{
    images_scene s =
        set_images(ctx, 2, "dense24 relu dense3", (size64){1, 1, 2}, 3, 3, "cross-entropy");
    const stage64 *dense = s.oracle->stage;
    float bias[24];
    (void)state;
    for (int j = 0; j < 24; j++) dense->b[j] = bias[j] = (float)(j % 3) - 1.5f;
    zo_net_write_segment(s.net, 1, bias);
    assert_int_equal(s.examples, 1);
    for (int k = 0; k < 4; k++) {
        way w = {.gaussian = k & 1, .sides = 1 + (k >> 1), .draws = 7, .seed = 3};
        float *arena = drawn_step(&s, &w);
        double *got = step_of(&s, arena, 0);
        run64(s.oracle, example_at(&s, 0), still);
        moved64 moved = moved_of(s.oracle, 0, w.gaussian ? 1 : 0.25);
        int dead = 0;
        for (int j = 0; j < 24; j++) {
            dead += !moved.acts[j];
            for (int l = 0; l < 2; l++) assert_true(got[l * 24 + j] == 0 || moved.acts[j]);
            assert_true((got[dense->weights + j] != 0) == moved.acts[j]);
        }
        assert_true(dead > 4 && dead < 20);
        free_moved(&moved);
        free(got), free(arena);
    }
    clear_images(&s);
}

/* ---- complete sets of a part of the batch ---- */

/* The examples of stage i's complete set, as the plan says. */
static int planned(zo_trainer *t, const images_scene *s, int i)
{
    int some = s->examples, nth = 0;
    for (int k = 0; k < i; k++) nth += parameters64(s->oracle->stage + k) > 0;
    const char *line = zo_trainer_plan(t, nth), *at = strstr(line, " for ");
    assert_non_null(strstr(line, "complete set"));
    if (at) assert_int_equal(sscanf(at, " for %d of", &some), 1);
    return some;
}

/* The mean over these examples of what moving every output of a stage alone gives. malloc'ed. */
static double *part_of_complete(const images_scene *s, int i, const int32_t *example, int n)
{
    const way w = {.sides = 1, .draws = 1};
    int parameters = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out);
    double *g = calloc((size_t)parameters, sizeof *g), *unit = calloc((size_t)m, sizeof *unit),
           nearest = INFINITY;
    for (int row = 0; row < n; row++) {
        double clean = example_loss(s, example[row], still), *e = calloc((size_t)m, sizeof *e);
        for (int j = 0; j < m; j++) {
            unit[j] = 1;
            e[j] = (moved_loss(s, i, example[row], &w, unit, 0.25, &nearest) - clean) / (0.25 * n);
            unit[j] = 0;
        }
        double *jacobian = jacobian64(s, i, example[row]);
        for (int j = 0; j < parameters; j++) {
            for (int r = 0; r < m; r++) g[j] += jacobian[r * parameters + j] * e[r];
        }
        free(jacobian), free(e);
    }
    free(unit);
    return g;
}

static void check_part(const char *spec, size64 in, int images, const char *limit)
{
    const uint64_t seed = 3;
    const char *const settings[] = {COMMON, SIGMAS, limit, "place=outputs", "sides=one", NULL};
    images_scene s = set_images(ctx, images, spec, in, 3, 3, "cross-entropy");
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "nodes:sgd", seed, settings);
    float *arena = direction_of(ctx, s.task, s.net, "nodes:sgd", seed, settings, NULL);
    zo_batches batches = {0};
    int parts = 0;
    assert_int_equal(zo_batches_init(&batches, ctx, seed, s.examples, s.examples), ZO_OK);
    const int32_t *example = zo_batches_at(&batches, 0);
    for (int i = 0; i < s.oracle->stages; i++) {
        int n = parameters64(s.oracle->stage + i);
        if (!n) continue;
        int some = planned(t, &s, i), other = some < s.examples ? some : some / 2;
        double *got = step_of(&s, arena, i), *want = part_of_complete(&s, i, example, some),
               *twin = part_of_complete(&s, i, example + s.examples - other, other);
        if (!(apart64(got, want, n) < 1e-4))
            fail_msg("%s, stage %d, %d examples: %g apart", spec, i, some, apart64(got, want, n));
        assert_true(apart64(got, twin, n) > 0.02); /* a twin: other examples */
        parts += some < s.examples;
        free(got), free(want), free(twin);
    }
    assert_true(parts > 0);
    zo_batches_fini(&batches);
    zo_trainer_destroy(t);
    free(arena);
    clear_images(&s);
}

/* Fewer than an item of work has, and several items. */
static void parts_of_a_batch_agree_with_brute_force(void **state)
{
    (void)state;
    check_part("conv3x4,same tanh conv2x5 gelu dense3", (size64){5, 5, 2}, 12, "limit=1");
    check_part("conv2x3,nobias tanh meanpool2 dwconv2 tanh norm dense3", (size64){5, 5, 2}, 12,
               "limit=0.5");
    check_part("dense20 tanh dense40 tanh dense3", (size64){1, 1, 5}, 120, "limit=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_agree_with_brute_force),
        cmocka_unit_test(many_draws_agree_with_brute_force),
        cmocka_unit_test(orthogonal_draws_agree_with_brute_force),
        cmocka_unit_test(only_nodes_have_orthogonal_draws),
        cmocka_unit_test(enough_orthogonal_draws_are_exact),
        cmocka_unit_test(draws_of_jumping_nets_agree_with_brute_force),
        cmocka_unit_test(errors_of_dead_outputs_are_zero),
        cmocka_unit_test(parts_of_a_batch_agree_with_brute_force),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

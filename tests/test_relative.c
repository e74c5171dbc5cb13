/* Moves in units of the root mean square of an example's outputs (scale=relative): of complete sets and of random draws, against differences of
 * the same size in double precision.
 */
#include "draws_support.h"

#define SIGMA 0.5

typedef enum twin { NONE, ABSOLUTE, OF_THE_BATCH } twin;

/* e_j = (L(z + m unit_j) - L(z - m unit_j or z)) / (d m) for m = SIGMA x root mean square of z, as a direction. malloc'ed. */
static double *differences(const images_scene *s, int i, int sides, twin t)
{
    int n = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out);
    double *g = calloc((size_t)n, sizeof *g), mean = 0;
    for (int b = 0; b < s->examples; b++) mean += scale_of(s, i, b) / s->examples;
    for (int b = 0; b < s->examples; b++) {
        double *jacobian = jacobian64(s, i, b),
               by = SIGMA * (t == NONE           ? scale_of(s, i, b)
                             : t == OF_THE_BATCH ? mean
                                                 : 1),
               clean = example_loss(s, b, still);
        for (int r = 0; r < m; r++) {
            double plus = loss_on(s, b, i, (moves64){i, r, by, NULL}),
                   minus = sides == 2 ? loss_on(s, b, i, (moves64){i, r, -by, NULL}) : clean,
                   e = (plus - minus) / (sides * by * s->examples);
            for (int j = 0; j < n; j++) g[j] += jacobian[r * n + j] * e;
        }
        free(jacobian);
    }
    return g;
}

static void check_complete(const char *spec, size64 in, const char *loss, const char *method)
{
    images_scene s = set_images(ctx, 24, spec, in, loss[0] == 's' ? 0 : 3, 3, loss);
    for (int sides = 1; sides < 3; sides++) {
        float *arena =
            direction_of(ctx, s.task, s.net, method, 1,
                         SETTINGS(COMMON, s.loss, "set=complete", "sigma=0.5", "scale=relative",
                                  sides == 1 ? "sides=one" : "sides=two"),
                         NULL);
        for (int i = 0; i < s.oracle->stages; i++) {
            int n = parameters64(s.oracle->stage + i);
            if (!n) continue;
            double *got = step_of(&s, arena, i);
            for (int t = NONE; t <= OF_THE_BATCH; t++) {
                double *want = differences(&s, i, sides, (twin)t), apart = apart64(got, want, n);
                if (t == NONE ? !(apart < 1e-4) : sides == 1 && !(apart > 1e-3))
                    fail_msg("%s, stage %d, %d-sided, twin %d: %g apart", spec, i, sides, t, apart);
                free(want);
            }
            free(got);
        }
        check_pads(s.net, arena);
        free(arena);
    }
    clear_images(&s);
}

static void complete_sets_are_differences(void **state)
{
    (void)state;
    check_complete("dense6 tanh dense3", (size64){1, 1, 4}, "squared-error", "nodes:sgd");
    check_complete("dense6 tanh dense3", (size64){1, 1, 4}, "cross-entropy", "auto:sgd");
    check_complete("conv2x5 tanh dwconv2 norm tanh meanpool2 dense3", (size64){6, 5, 2},
                   "squared-error", "nodes:sgd");
    check_complete("conv3x4,same tanh { conv2x4,same scale }+ dense3", (size64){3, 3, 1},
                   "cross-entropy", "nodes:sgd");
}

static void draws_are_differences(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        way w = {.relative = true,
                 .sides = 1 + k % 2,
                 .draws = k / 4 ? 1 : 5,
                 .gaussian = k / 2 % 2,
                 .seed = 7 + (uint64_t)k};
        check_noise("dense6 tanh dense3", (size64){1, 1, 4}, 24, &w);
        check_noise("conv2x17 tanh meanpool2 dense3", (size64){5, 4, 2}, 24, &w);
        check_noise("dense9 relu dense3", (size64){1, 1, 5}, 36, &w);
    }
    way w = {.relative = true, .sides = 1, .draws = 4, .hadamard = true, .seed = 3};
    check_noise("dense6 tanh dense3", (size64){1, 1, 4}, 24, &w);
    check_noise("conv2x4 tanh pool2 dense3", (size64){5, 5, 1}, 24, &w);
}

/* Moved weights have no such scale: nothing changes. */
static void weights_are_moved_as_ever(void **state)
{
    (void)state;
    way w = {.weights = true, .sides = 1, .draws = 4, .seed = 5};
    images_scene s =
        set_images(ctx, 24, "dense6 tanh dense3", (size64){1, 1, 4}, 3, 3, "cross-entropy");
    float *want = drawn_step(&s, &w), *got;
    w.relative = true;
    got = drawn_step(&s, &w);
    assert_same_floats(got, want, s.net->arena, "weights");
    free(want), free(got);
    clear_images(&s);
}

/* Outputs that are all zero fall back to sigma itself, and so do such that are too small to tell anything. */
static void zeros_are_moved_by_sigma(void **state)
{
    (void)state;
    static const char *const how[] = {"set=complete", "set=random"};
    for (int tiny = 0; tiny < 2; tiny++) {
        for (int k = 0; k < 2; k++) {
            images_scene s =
                set_images(ctx, 24, "dense6 tanh dense3", (size64){1, 1, 4}, 3, 3, "cross-entropy");
            const zo_stage *st = s.net->stage;
            for (size_t i = 0; i < st->weight_floats + st->bias_floats; i++)
                s.net->params[st->weight + i] *= tiny ? 1e-8F : 0;
            float *step[2];
            for (int r = 0; r < 2; r++)
                step[r] =
                    direction_of(ctx, s.task, s.net, "nodes:sgd", 2,
                                 SETTINGS(COMMON, how[k], "place=outputs", "sides=one",
                                          "sigma=0.25", r ? "scale=relative" : "scale=absolute"),
                                 NULL);
            size_t n = st->weight_floats + st->bias_floats;
            assert_same_floats(step[1] + st->weight, step[0] + st->weight, n, how[k]);
            for (size_t i = 0; i < s.net->arena; i++) assert_true(isfinite(step[1][i]));
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += fabs((double)step[1][st->weight + i]);
            assert_true(sum > 1e-3);
            free(step[0]), free(step[1]);
            clear_images(&s);
        }
    }
}

/* Outputs k times as large that are taken 1/k times as much: moves grow with them, and the direction of their weights shrinks by k. */
static void the_scale_of_outputs_does_not_matter(void **state)
{
    (void)state;
    images_scene s = set_images(ctx, 24, "dense6 dense3", (size64){1, 1, 4}, 3, 3, "cross-entropy");
    const zo_stage *low = s.net->stage, *top = low + 1;
    float *step[2];
    for (int r = 0; r < 2; r++) {
        step[r] = direction_of(
            ctx, s.task, s.net, "nodes:sgd", 2,
            SETTINGS(COMMON, "set=complete", "sides=one", "scale=relative", "sigma=0.25"), NULL);
        for (size_t i = 0; i < low->weight_floats + low->bias_floats; i++)
            s.net->params[low->weight + i] *= 8;
        for (size_t i = 0; i < top->weight_floats; i++) s.net->params[top->weight + i] /= 8;
    }
    for (size_t i = 0; i < low->weight_floats; i++)
        assert_near(8 * (double)step[1][low->weight + i], (double)step[0][low->weight + i], 1e-5,
                    1e-3, "weights of larger outputs");
    free(step[0]), free(step[1]);
    clear_images(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_sets_are_differences),
        cmocka_unit_test(draws_are_differences),
        cmocka_unit_test(weights_are_moved_as_ever),
        cmocka_unit_test(zeros_are_moved_by_sigma),
        cmocka_unit_test(the_scale_of_outputs_does_not_matter),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Random draws of node perturbation against the cosines and lengths that theory predicts. */
#include "draws_support.h"

static double squared(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* What one draw adds to the expected square of the estimate, over that of an example's direction g = J^T e. In the weights: (d - 1) |g|^2 for
 * d numbers. In the outputs, with A = J J^T of those that act: |e|^2 tr A + |g|^2 - 2 sum of e_i^2 A_ii. Normal numbers: (d + 1) |g|^2, |e|^2 tr A + |g|^2. */
static double variance_of(const images_scene *s, int i, int b, const way *w, const double *g)
{
    int n = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out);
    double gg = squared(g, n), *e, *jacobian, all = 0, own = 0;
    if (w->weights) return (w->gaussian ? n + 1 : n - 1) * gg;
    e = calloc((size_t)m, sizeof *e);
    run64(s->oracle, example_at(s, b), still);
    for (int j = 0; j < m; j++)
        e[j] = (loss_on(s, b, i, (moves64){i, j, SMALL, NULL}) -
                loss_on(s, b, i, (moves64){i, j, -SMALL, NULL})) /
               (2 * SMALL);
    jacobian = jacobian64(s, i, b);
    run64(s->oracle, example_at(s, b), still);
    moved64 moved = moved_of(s->oracle, i, w->gaussian ? 4 * 0.003 : 0.003);
    bool *acts = calloc((size_t)m, sizeof *acts);
    for (int k = 0; k < moved.n; k++) acts[moved.unit[k]] = moved.acts[k];
    for (int j = 0; j < m; j++) {
        double a = acts[j] || w->blind ? squared(jacobian + j * n, n) : 0;
        all += a, own += e[j] * e[j] * a;
    }
    free_moved(&moved);
    free(acts);
    double variance = squared(e, m) * all + gg - (w->gaussian ? 0 : 2 * own);
    free(e), free(jacobian);
    return variance;
}

/* What SEEDS estimates of a stage's direction are like. */
typedef struct likeness {
    double cosine; /* mean square of it */
    double part;   /* mean part of the direction that is found: 1 if none is lost */
    double square; /* mean squared length, over that of the direction */
} likeness;

enum { SEEDS = 40 };

static likeness measure(const images_scene *s, int i, const way *w, const double *want)
{
    likeness l = {0, 0, 0};
    char text[32];
    snprintf(text, sizeof text, "draws=%d", w->draws);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        float *arena = direction_of(ctx, s->task, s->net, "nodes:sgd", seed,
                                    SETTINGS(COMMON, s->loss, "set=random", "sigma=0.003",
                                             "sigma_weights=0.002", text,
                                             w->weights ? "place=weights" : "place=outputs",
                                             w->gaussian ? "noise=gaussian" : "noise=rademacher"),
                                    NULL);
        double *got = step_of(s, arena, i), ratio,
               cosine = cosine64(got, want, (size_t)parameters64(s->oracle->stage + i), &ratio);
        l.cosine += cosine * cosine / SEEDS;
        l.part += cosine * ratio / SEEDS;
        l.square += ratio * ratio / SEEDS;
        free(got), free(arena);
    }
    return l;
}

/* The squared length of an estimate, over that of the direction `want`, the mean of `each` example's. */
static double theory_of(const images_scene *s, int i, const way *w, const double *each,
                        const double *want)
{
    int n = parameters64(s->oracle->stage + i);
    double spread = 0;
    for (int b = 0; b < s->examples; b++)
        spread +=
            variance_of(s, i, b, w, each + b * n) / (w->draws * (double)s->examples * s->examples);
    return 1 + spread / squared(want, n);
}

/* The expectation is the direction, and the variance what theory says; what lies across is spread over many directions. Returns what theory
 * says of a twin that is blind to what acts. */
static double check_theory(const images_scene *s, int i, const way *w)
{
    int n = parameters64(s->oracle->stage + i);
    way blind = *w;
    blind.blind = true;
    double *each = differences64(s, i, false), *want = mean64(s, each, n),
           square = theory_of(s, i, w, each, want), other = theory_of(s, i, &blind, each, want);
    likeness l = measure(s, i, w, want);
    print_message("%s, %s, %2d draws, stage %d of %2d: square %5.2f, theory %5.2f; part %.2f\n",
                  w->weights ? "weights" : "outputs", w->gaussian ? "gaussian" : "signs", w->draws,
                  i, n, l.square, square, l.part);
    assert_near(l.square, square, 0, 0.25, "squared length");
    assert_near(l.part, 1, 4 * sqrt((square - 1) / SEEDS), 0, "length along the direction");
    free(each), free(want);
    return (other - 1) / (square - 1);
}

static void draws_follow_theory(void **state)
{
    static const int draws[] = {2, 16, 64};
    images_scene s = set_images(ctx, 26, "conv3x4 tanh conv2x5 tanh dwconv2 norm dense3",
                                (size64){5, 5, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int k = 0; k < 4; k++) {
        for (int d = 0; d < 3; d++) {
            way w = {.weights = k & 1, .gaussian = k >> 1 & 1, .draws = draws[d]};
            for (int i = 0; i < s.oracle->stages; i++) check_theory(&s, i, &w);
        }
    }
    clear_images(&s);
}

/* Half of relu's outputs are dead, and one in four is the largest of its window: the variance falls with what acts. */
static void variance_counts_what_acts(void **state)
{
    images_scene s = set_images(ctx, 26, "conv2x6 relu pool2 dense20 relu dense3",
                                (size64){5, 5, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        way w = {.gaussian = gaussian, .draws = 16};
        double conv = check_theory(&s, 0, &w), dense = check_theory(&s, 2, &w);
        print_message("a blind twin's variance: %.2f, %.2f times that\n", conv, dense);
        assert_true(conv > 3 && dense > 1.5);
    }
    clear_images(&s);
}

/* One example, so that nothing but K draws of d numbers is averaged: the squared cosine is K / (K + d - 1), of normal noise K / (K + d + 1). */
static void one_example_follows_theory(void **state)
{
    static const int draws[] = {4, 20, 100};
    images_scene s =
        set_images(ctx, 2, "conv2x3 tanh dense3", (size64){4, 4, 1}, 0, 3, "squared-error");
    double *want = direction64(&s, 0, false), d = parameters64(s.oracle->stage);
    (void)state;
    assert_int_equal(s.examples, 1);
    for (int i = 0; i < 3; i++) {
        for (int gaussian = 0; gaussian < 2; gaussian++) {
            way w = {.weights = true, .gaussian = gaussian, .draws = draws[i]};
            double k = draws[i], got = measure(&s, 0, &w, want).cosine,
                   theory = k / (k + d + (gaussian ? 1 : -1));
            print_message("%3d draws: cos^2 %.3f, theory %.3f\n", draws[i], got, theory);
            assert_near(got, theory, 0.07, 0, "squared cosine");
        }
    }
    free(want);
    clear_images(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_theory),
        cmocka_unit_test(variance_counts_what_acts),
        cmocka_unit_test(one_example_follows_theory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

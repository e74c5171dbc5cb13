/* Loss shaping, schedules and rules against definitions: ranks counted pair by pair, closed forms, and numbers from
 * tests/oracles/rules.py.
 */
#include "shaping_support.h"

#include "base/params.h"
#include "learn/learner.h"

#include "oracles/rules.inc"

/* ---- shaping ---- */

enum { MOST = 40 };

static void check(const double *all, size_t n)
{
    double weight[MOST];
    int32_t order[2 * MOST];
    for (int k = ZO_SHAPE_RAW; k <= ZO_SHAPE_SIGN; k++) {
        zo_shaping_apply((zo_shaping)k, n, all, all + n, weight, order);
        for (size_t i = 0; i < n; i++)
            assert_near(weight[i], shaped((zo_shaping)k, all, n, i), 1e-14, 1e-12, "shape");
    }
}

static void shapes_follow_their_definitions(void **state)
{
    (void)state;
    uint64_t draws = 1;
    double all[2 * MOST];
    for (size_t n = 1; n <= MOST; n++) {
        for (int coarse = 0; coarse < 3; coarse++) {
            for (size_t i = 0; i < 2 * n; i++) {
                all[i] = (double)draw(&draws, -3, 3);
                if (coarse) all[i] = floor(all[i] * (coarse == 1 ? 1 : 0.3)); /* many ties */
            }
            check(all, n);
        }
    }
}

/* Worked by hand: the losses 1, 3 | 2, 4 have ranks -1/2, 1/6 | -1/6, 1/2; three equal ones of 5, 5 | 5, 9 share -1/6. */
static void known_ranks(void **state)
{
    (void)state;
    const double all[] = {1, 3, 2, 4}, ties[] = {5, 5, 5, 9}, huge[] = {-1e300, 7, 1e300, 7.5};
    double weight[2];
    int32_t order[4];
    zo_shaping_apply(ZO_SHAPE_CENTRED_RANK, 2, all, all + 2, weight, order);
    assert_near(weight[0], -1.0 / 3, 1e-15, 0, "first pair");
    assert_near(weight[1], -1.0 / 3, 1e-15, 0, "second pair");
    zo_shaping_apply(ZO_SHAPE_CENTRED_RANK, 2, ties, ties + 2, weight, order);
    assert_near(weight[0], 0, 0, 0, "a tie");
    assert_near(weight[1], -1.0 / 6 - 0.5, 1e-15, 0, "tie against the largest");
    zo_shaping_apply(ZO_SHAPE_CENTRED_RANK, 2, huge, huge + 2, weight, order);
    assert_near(weight[0], -1, 0, 0, "an outlier weighs no more than its rank");
    assert_near(weight[1], -1.0 / 3, 1e-15, 0, "the others keep theirs");
}

static void equal_losses_weigh_nothing(void **state)
{
    (void)state;
    double all[] = {2.5, 2.5, 2.5, 2.5, 2.5, 2.5}, weight[3];
    int32_t order[6];
    for (int k = ZO_SHAPE_RAW; k <= ZO_SHAPE_SIGN; k++) {
        zo_shaping_apply((zo_shaping)k, 3, all, all + 3, weight, order);
        for (int i = 0; i < 3; i++) assert_true(weight[i] == 0);
    }
}

/* All that users can choose is tested, here and in the steps of estimators. */
static void every_choice_has_a_definition(void **state)
{
    (void)state;
    char all[100] = "";
    for (int k = 0; k < SHAPINGS; k++) {
        if (k) strcat(all, "|");
        strcat(all, shapings[k]);
    }
    assert_string_equal(all, ZO_SHAPING_CHOICES);
}

/* ---- schedules ---- */

static double factor(const zo_schedule_class *c, double final, double progress)
{
    double settings[8] = {0};
    assert_true(c->settings_size <= sizeof settings);
    zo_params_default(c->info.params, settings);
    if (c->info.params->name) settings[0] = final;
    return c->at(settings, progress);
}

static void schedules_follow_their_definitions(void **state)
{
    (void)state;
    const double finals[] = {0, 0.02, 0.3, 1}, pi = acos(-1);
    for (int f = 0; f < 4; f++) {
        for (int i = 0; i <= 100; i++) {
            double p = i / 100.0, e = finals[f];
            assert_true(factor(&zo_schedule_constant, e, p) == 1);
            assert_near(factor(&zo_schedule_linear, e, p), 1 - p + e * p, 1e-15, 0, "linear");
            assert_near(factor(&zo_schedule_cosine, e, p), e + (1 - e) * (1 + cos(pi * p)) / 2,
                        1e-15, 0, "cosine");
        }
    }
}

/* ---- rules ---- */

/* A rule at work on N numbers that lie askew in larger arrays, whose other numbers must stay. */
typedef struct bench {
    double settings[8];
    float p[N + 32];
    zo_net net; /* nothing but an arena */
    zo_update u;
} bench;

static void set_rule(bench *b, const zo_kernels *k, const zo_rule_class *rule,
                     const char *const *settings)
{
    zo_context *ctx = make_context(1, NULL, NULL);
    *b = (bench){.net = {.ctx = ctx, .params = b->p, .arena = N + 32},
                 .u = {.k = k, .rule = rule, .settings = b->settings, .net = &b->net}};
    assert_true(rule->settings_size <= sizeof b->settings && rule->slots <= 4);
    zo_params_default(rule->info.params, b->settings);
    zo_block block = {&rule->info, b->settings};
    assert_int_equal(zo_params_apply(ctx, settings, &block, 1), ZO_OK);
    assert_int_equal(zo_update_init(&b->u), ZO_OK);
    for (int i = 0; i < N + 32; i++) b->p[i] = 77;
    for (int i = 0; i < N; i++) b->p[3 + i] = (float)start[i];
}

static void put_away(bench *b)
{
    zo_update_fini(&b->u);
    zo_context_destroy(b->net.ctx);
}

static void take_step(bench *b, int t, const float *g)
{
    b->u.step = t + 1;
    b->u.progress = (double)t / STEPS;
    b->u.rate = b->settings[0];
    zo_update_apply(&b->u, 3, g, N);
    zo_update_finish(&b->u);
}

/* The largest difference to what a paper comes to, in all steps. */
static double follow(const zo_kernels *k, const zo_rule_class *rule, const char *const *settings,
                     const double (*after)[N])
{
    bench b;
    double worst = 0;
    set_rule(&b, k, rule, settings);
    for (int t = 0; t < STEPS; t++) {
        float g[N];
        for (int i = 0; i < N; i++) g[i] = (float)direction[t][i];
        take_step(&b, t, g);
        for (int i = 0; i < N; i++) worst = fmax(worst, fabs((double)b.p[3 + i] - after[t][i]));
    }
    for (int i = 0; i < N + 32; i++) {
        bool inside = i >= 3 && i < 3 + N;
        assert_true(inside || b.p[i] == 77);
        for (int s = 0; s < rule->slots; s++) assert_true(inside || b.u.slot[s][i] == 0);
    }
    put_away(&b);
    return worst;
}

/* The rules but langevin, which has a test of its own (test_rules.c), each with a twin that has one setting wrong. */
static const struct {
    const zo_rule_class *rule;
    const char *settings[6], *wrong;
    const double (*after)[N];
} papers[] = {
    {&zo_rule_sgd, {RULE_SETTINGS}, "lr=0.051", after_sgd},
    {&zo_rule_momentum, {RULE_SETTINGS, MOMENTUM_SETTINGS}, "beta=0.81", after_momentum},
    {&zo_rule_nesterov, {RULE_SETTINGS, MOMENTUM_SETTINGS}, "beta=0.81", after_nesterov},
    {&zo_rule_adam, {RULE_SETTINGS, ADAM_SETTINGS}, "beta2=0.97", after_adam},
    {&zo_rule_adamw, {RULE_SETTINGS, ADAM_SETTINGS, DECAY_SETTINGS}, "decay=0.31", after_adamw},
    {&zo_rule_sign, {RULE_SETTINGS}, "lr=0.051", after_sign},
    {&zo_rule_coolmomentum, {RULE_SETTINGS, COOL_SETTINGS}, "rho0=0.91", after_coolmomentum},
    {&zo_rule_clipup, {RULE_SETTINGS, CLIPUP_SETTINGS}, "momentum=0.81", after_clipup_default},
    {&zo_rule_clipup,
     {RULE_SETTINGS, CLIPUP_SETTINGS, SPEED_SETTINGS},
     "max_speed=0.071",
     after_clipup},
};

static void rules_follow_their_papers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof papers / sizeof *papers; i++) {
        const char *name = papers[i].rule->info.name, *settings[7] = {0};
        int n = 0;
        for (; papers[i].settings[n]; n++) settings[n] = papers[i].settings[n];
        for (int k = 0; kernel_set(k); k++)
            assert_near(follow(kernel_set(k), papers[i].rule, settings, papers[i].after), 0, 4e-6,
                        0, name);
        settings[n] = papers[i].wrong;
        if (follow(kernel_set(0), papers[i].rule, settings, papers[i].after) < 1e-4)
            fail_msg("%s with %s is not told apart", name, papers[i].wrong);
    }
}

/* The first step of adam is lr in every coordinate, whatever the size of the direction. */
static void the_first_step_of_adam_is_lr(void **state)
{
    (void)state;
    bench b;
    const float g[] = {1e-3f, -7, 300, 1e4f, -0.02f};
    set_rule(&b, kernel_set(0), &zo_rule_adam, (const char *const[]){"lr=0.25", NULL});
    take_step(&b, 0, g);
    for (int i = 0; i < N; i++)
        assert_near(start[i] - (double)b.p[3 + i], g[i] > 0 ? 0.25 : -0.25, 0, 1e-3, "step");
    put_away(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_their_definitions),
        cmocka_unit_test(known_ranks),
        cmocka_unit_test(equal_losses_weigh_nothing),
        cmocka_unit_test(every_choice_has_a_definition),
        cmocka_unit_test(schedules_follow_their_definitions),
        cmocka_unit_test(rules_follow_their_papers),
        cmocka_unit_test(the_first_step_of_adam_is_lr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

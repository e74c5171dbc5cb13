/* Frozen layers: their parameters stay bit for bit, with every estimator and rule, and all others move as they would beside layers that
 * nobody ever looked at: in bits, in theory, in cost.
 */
#include "images_training.h"

#include "learn/measure.h"

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

/* ---- who stays ---- */

static const struct {
    const char *spec;
    size64 in;
    const char *freeze[6];
    int stays[6][4]; /* words, each + 1 */
} nets[] = {
    {"dense6 tanh dense5 relu dense3",
     {1, 1, 4},
     {"freeze=0", "freeze=2", "freeze=4", "freeze=4,0,4", "freeze=body"},
     {{1}, {3}, {5}, {1, 5}, {1, 3}}},
    {"conv2x4 tanh norm pool2 dense3",
     {5, 5, 1},
     {"freeze=0", "freeze=2", "freeze=0,2", "freeze=4,2", "freeze=body"},
     {{1}, {3}, {1, 3}, {3, 5}, {1, 3}}},
    {"conv3x4,same tanh { conv3x4,same scale }+ { dwconv2,same }+ global-mean dense3",
     {4, 4, 2},
     {"freeze=3", "freeze=0,4", "freeze=7", "freeze=0,3,4,10", "freeze=body"},
     {{4}, {1, 5}, {8}, {1, 4, 5, 11}, {1, 4, 5, 8}}},
    {"{ dense5 tanh dense3 | dense4 tanh dense3 }+",
     {1, 1, 4},
     {"freeze=1", "freeze=3,5", "freeze=7", "freeze=1,5,7", "freeze=body"},
     {{2}, {4, 6}, {8}, {2, 6, 8}, {2, 6}}},
};

static bool stays(int net, int freeze, int word)
{
    for (int i = 0; i < 4; i++) {
        if (nets[net].stays[freeze][i] == word + 1) return true;
    }
    return net == 2 && freeze == 4 && word < 10; /* the body */
}

static bool same_stage(const zo_net *a, const zo_net *b, int i)
{
    const zo_stage *s = a->stage + i;
    return !memcmp(a->params + s->weight, b->params + s->weight,
                   (s->weight_floats + s->bias_floats) * sizeof(float));
}

static void check_who_stays(const zo_trainer *t, const zo_net *before, int net, int freeze,
                            const char *what)
{
    const zo_net *all[] = {zo_trainer_net(t), zo_trainer_average(t)};
    for (int k = 0; k < 2 && all[k]; k++) {
        for (int i = 0; i < before->stages; i++) {
            const zo_stage *s = before->stage + i;
            if (!s->parameters) continue;
            if (same_stage(all[k], before, i) != stays(net, freeze, s->word))
                fail_msg("%s, %s, %s: %d %s", before->spec, what, nets[net].freeze[freeze], s->word,
                         before->word[s->word]);
        }
    }
}

/* With what works beside a rule, and with rules and clipping that wait for the whole direction. */
static const char *const rules[][3] = {{"sgd"},
                                       {"adamw"},
                                       {"langevin"},
                                       {"langevin", "clip=1e-3"},
                                       {"coolmomentum"},
                                       {"clipup"},
                                       {"sign", "weight_decay=0.5"},
                                       {"sgd", "clip=1e-3", "weight_decay=0.5"},
                                       {"adam", "clip=0.01", "average=0.5"}};

static void check_rules(const zo_class_info *estimator, int net, int freeze, const zo_task *task,
                        const zo_net *first)
{
    for (int r = 0; r < 9; r++) {
        char method[64], what[160];
        snprintf(method, sizeof method, "%s:%s", estimator->name, rules[r][0]);
        snprintf(what, sizeof what, "%s %s", method, rules[r][1] ? rules[r][1] : "");
        zo_trainer *t = make_trainer(ctx, task, first, method, 3,
                                     SETTINGS("batch=12", nets[net].freeze[freeze], "lr=0.01",
                                              rules[r][1] ? rules[r][1] : "warmup=0", rules[r][2]));
        for (int i = 0; i < 2; i++) assert_int_equal(zo_trainer_step(t, 0.25 * i, NULL), ZO_OK);
        check_who_stays(t, first, net, freeze, what);
        zo_trainer_destroy(t);
    }
}

/* A twin whose rule decays, or whose noise cools, all of the arena moves what is frozen; one that counts tiles otherwise moves what is not, from
 * the direction of another layer, or does not. */
static void frozen_layers_stay_and_others_move(void **state)
{
    (void)state;
    for (int n = 0; n < 4; n++) {
        zo_task *task = make_images(ctx, 30, nets[n].in.h, nets[n].in.w, nets[n].in.c, 3, 3);
        zo_net *net = make_net(ctx, task, nets[n].spec, 3);
        for (int e = 0; zo_estimator_classes[e]; e++) {
            for (int f = 0; f < 5; f++) check_rules(zo_estimator_classes[e], n, f, task, net);
        }
        zo_net_destroy(net);
        zo_task_destroy(task);
    }
}

static void what_leaves_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "freeze=1",     "freeze=5",      "freeze=-1",
        "freeze=all",   "freeze=",       "freeze=0,",
        "freeze=,0",    "freeze=0 2",    "freeze=0,1",
        "freeze=0;2",   "freeze=body,0", "freeze=heads",
        "freeze=0,2,4", "freeze=4,2,0",  "freeze=00000000000000000000"};
    zo_task *task = make_task(ctx, 30, 4, 3, 3);
    zo_net *net = make_net(ctx, task, nets[0].spec, 3), *one = make_net(ctx, task, "dense3", 3);
    zo_trainer_def def = zo_trainer_default_def();
    def.task = task;
    def.net = net;
    for (int i = 0; i < 15; i++) {
        zo_trainer *t = NULL;
        def.settings = SETTINGS(bad[i]);
        if (zo_trainer_create(ctx, &def, &t) != ZO_USAGE) fail_msg("%s is taken", bad[i]);
        assert_null(t);
        error_says(ctx, "freeze",
                   i == 12 || i == 13 ? "no layer is left to train" : "0 dense6, 2 dense5, 4 dense3",
                   NULL);
    }
    zo_trainer_destroy(make_trainer(ctx, task, one, "nodes", 1, SETTINGS("freeze=body")));
    zo_trainer_destroy(make_trainer(ctx, task, net, "nodes", 1, SETTINGS("freeze=none")));
    zo_net_destroy(net), zo_net_destroy(one);
    zo_task_destroy(task);
}

/* ---- the others ---- */

/* Estimators that say something of each layer by itself say the same of it. */
static void other_layers_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const method[][4] = {{"backprop:sgd"},
                                            {"straight-through:sgd"},
                                            {"nodes:sgd", "set=complete"},
                                            {"nodes:sgd", "set=random", "place=outputs"},
                                            {"nodes:sgd", "set=random", "place=weights"},
                                            {"nodes:sgd", "set=random", "noise=gaussian"},
                                            {"auto:sgd"}};
    for (int n = 0; n < 3; n++) {
        zo_task *task = make_images(ctx, 50, nets[n].in.h, nets[n].in.w, nets[n].in.c, 3, 3);
        zo_net *net = make_net(ctx, task, nets[n].spec, 3);
        for (int k = 0; k < 7; k++) {
            float *want = direction_of(
                ctx, task, net, method[k][0], 5,
                SETTINGS(COMMON, method[k][1] ? method[k][1] : "warmup=0", method[k][2]), NULL);
            for (int f = 0; f < 5; f++) {
                float *got =
                    direction_of(ctx, task, net, method[k][0], 5,
                                 SETTINGS(COMMON, nets[n].freeze[f],
                                          method[k][1] ? method[k][1] : "warmup=0", method[k][2]),
                                 NULL);
                for (int i = 0; i < net->stages; i++) {
                    const zo_stage *s = net->stage + i;
                    size_t floats_of = s->weight_floats + s->bias_floats;
                    if (!s->parameters || stays(n, f, s->word)) continue;
                    assert_same_floats(got + s->weight, want + s->weight, floats_of, method[k][0]);
                }
                free(got);
            }
            free(want);
        }
        zo_net_destroy(net);
        zo_task_destroy(task);
    }
}

/* One parameter after the other: those of frozen layers are no part of the order. */
static void coordinates_are_differences(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {
        images_scene s = set_images(ctx, 24, nets[n].spec, nets[n].in, 3, 3, "cross-entropy");
        for (int f = 0; f < 5; f++) {
            float *arena =
                direction_of(ctx, s.task, s.net, "coordinate:sgd", 1,
                             SETTINGS(COMMON, nets[n].freeze[f], "sides=two", "sigma=0.001"), NULL);
            for (int i = 0; i < s.oracle->stages; i++) {
                int parameters = parameters64(s.oracle->stage + i);
                if (!parameters) continue;
                double *got = step_of(&s, arena, i), *want = direction64(&s, i, false);
                if (stays(n, f, s.oracle->stage[i].word))
                    memset(want, 0, (size_t)parameters * sizeof *want);
                if (!(apart64(got, want, parameters) < 0.02))
                    fail_msg("%s, %s, stage %d", nets[n].spec, nets[n].freeze[f], i);
                free(got), free(want);
            }
            check_pads(s.net, arena);
            free(arena);
        }
        clear_images(&s);
    }
}

/* ---- theory ---- */

enum { SEEDS = 60 };

typedef struct vector64 {
    double *x;
    int n;
} vector64;

static double dot(const vector64 *a, const vector64 *b)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++) sum += a->x[i] * b->x[i];
    return sum;
}

/* All stages from `from` on, one behind the other: of a step, or with arena NULL of the oracle. */
static vector64 gather(const images_scene *s, const float *arena, int from)
{
    vector64 v = {.x = calloc((size_t)s->net->parameters, sizeof(double))};
    for (int i = from; i < s->oracle->stages; i++) {
        int n = parameters64(s->oracle->stage + i);
        if (!n) continue;
        double *g = arena ? step_of(s, arena, i) : direction64(s, i, false);
        memcpy(v.x + v.n, g, (size_t)n * sizeof *g);
        v.n += n;
        free(g);
    }
    return v;
}

/* N draws of signs in the d numbers that move: cos^2 = N/(N + d - 1), and the square of the length is 1 + (d - 1)/N of that of g. A twin that
 * moves the frozen layer too has the noise of |all g|^2 / |g|^2 times as much. */
static void check_theory(const images_scene *s, const char *method, double draws,
                         const char *const *settings)
{
    vector64 want = gather(s, NULL, 1), all = gather(s, NULL, 0);
    double d = want.n, square = 0, cosine = 0, gg = dot(&want, &want), theory = 1 + (d - 1) / draws,
           twin = 1 + (d * dot(&all, &all) / gg - 1) / draws;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        float *arena = direction_of(ctx, s->task, s->net, method, seed, settings, NULL);
        vector64 got = gather(s, arena, 1);
        double ab = dot(&got, &want), aa = dot(&got, &got);
        square += aa / gg / SEEDS;
        cosine += ab * ab / aa / gg / SEEDS;
        free(got.x), free(arena);
    }
    print_message("%s: square %.3f, theory %.3f, twin %.3f; cos^2 %.3f, theory %.3f\n", method,
                  square, theory, twin, cosine, draws / (draws + d - 1));
    assert_true(twin > 1.3 * theory);
    assert_near(square, theory, 0, draws > 1 ? 0.12 : 0.35, "squared length");
    assert_near(cosine, draws / (draws + d - 1), draws > 1 ? 0.04 : 0.03, 0, "squared cosine");
    free(want.x), free(all.x);
}

static void what_moves_follows_theory(void **state)
{
    (void)state;
    images_scene s = set_images(ctx, 36, "dense30 tanh dense4 tanh dense3", (size64){1, 1, 9}, 3, 3,
                                "cross-entropy");
    check_theory(
        &s, "weights:sgd", 64,
        SETTINGS(COMMON, "freeze=0", "population=64", "shaping=raw", "sigma=0.002", "sides=two"));
    check_theory(&s, "lowrank:sgd", 64,
                 SETTINGS(COMMON, "freeze=0", "population=64", "shaping=raw", "sigma=0.002",
                          "sides=two", "examples=0"));
    check_theory(&s, "spsa:sgd", 1, SETTINGS(COMMON, "freeze=0", "sigma=0.002"));
    check_theory(&s, "mezo:sgd", 1, SETTINGS(COMMON, "freeze=0", "sigma=0.002", "noise=rademacher"));
    clear_images(&s);
}

/* ---- cost ---- */

static double cost_of(const images_scene *s, const char *method, const char *freeze,
                      const char *more)
{
    zo_step_info info;
    free(direction_of(ctx, s->task, s->net, method, 1, SETTINGS(COMMON, freeze, more, "sides=two"),
                      &info));
    return info.cost;
}

/* By hand for 72-20-3, of which the first layer, or the second, stays; sgd is one for each number that moves. */
static void cost_equals_a_count(void **state)
{
    (void)state;
    images_scene s =
        set_images(ctx, 36, "dense20 tanh dense3", (size64){1, 1, 72}, 3, 3, "cross-entropy");
    double n = s.examples, first = 72 * 20, second = 20 * 3, clean = n * (first + second),
           low = first + 20, top = second + 3;
    const double got[] = {
        cost_of(&s, "nodes:sgd", "freeze=0", "set=complete"),
        cost_of(&s, "nodes:sgd", "freeze=2", "set=complete"),
        cost_of(&s, "weights:sgd", "freeze=0", "population=4"),
        cost_of(&s, "weights:sgd", "freeze=2", "population=4"),
        cost_of(&s, "weights:sgd", "freeze=none", "population=4"),
    };
    const double want[] = {clean + n * top + top,
                           clean + n * low + n * 2 * 20 * 3 + low, /* 20 columns of 3 for each side */
                           clean + 4 * 2 * (n * (first + second) + top) + 4 * top + top,
                           clean + 4 * (n * (first + 2 * 20) + low + 2 * n * second) + 4 * low + low,
                           clean + 4 * (n * (first + 2 * 20) + low + 2 * (n * second + top)) +
                               4 * (low + top) + low + top};
    for (int i = 0; i < 5; i++) assert_near(got[i], want[i], 0, 0, "cost");
    zo_step_info info;
    free(direction_of(ctx, s.task, s.net, "backprop:sgd", 1, SETTINGS(COMMON, "freeze=0"), &info));
    assert_near(info.cost, clean + n * top + top, 0, 0, "backprop goes nowhere");
    free(direction_of(ctx, s.task, s.net, "backprop:sgd", 1, SETTINGS(COMMON, "freeze=2"), &info));
    assert_near(info.cost, clean + n * low + n * second + low, 0, 0, "backprop goes down");
    clear_images(&s);
}

static void what_stays_costs_less(void **state)
{
    (void)state;
    images_scene s = set_images(ctx, 36, nets[2].spec, nets[2].in, 3, 3, "cross-entropy");
    for (int e = 0; zo_estimator_classes[e]; e++) {
        for (int f = 0; f < 5; f++) {
            char method[64];
            zo_step_info all, some;
            snprintf(method, sizeof method, "%s:sgd", zo_estimator_classes[e]->name);
            free(direction_of(ctx, s.task, s.net, method, 1, SETTINGS(COMMON), &all));
            free(direction_of(ctx, s.task, s.net, method, 1, SETTINGS(COMMON, nets[2].freeze[f]),
                              &some));
            assert_true(some.cost > 0 && some.cost < all.cost);
        }
    }
    clear_images(&s);
}

/* The length that is clipped is that of what moves. */
static void clipping_looks_at_what_moves(void **state)
{
    (void)state;
    static const char *const method[] = {"backprop:sgd", "nodes:sgd", "weights:sgd",
                                         "coordinate:sgd"};
    images_scene s = set_images(ctx, 36, nets[0].spec, nets[0].in, 3, 3, "cross-entropy");
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        float *g = direction_of(ctx, s.task, s.net, method[k], 1,
                                SETTINGS(COMMON, "freeze=0,2", "clip=0.01"), NULL);
        for (size_t i = 0; i < s.net->arena; i++) sum += (double)g[i] * (double)g[i];
        assert_near(sqrt(sum), 0.01, 0, 1e-4, method[k]);
        free(g);
    }
    clear_images(&s);
}

/* ---- measuring ---- */

static void what_stays_is_not_measured(void **state)
{
    (void)state;
    static const char *const method[] = {"nodes:sgd", "auto:sgd", "coordinate:sgd"};
    zo_task *task = make_task(ctx, 60, 4, 3, 3);
    zo_net *net = make_net(ctx, task, nets[0].spec, 3);
    for (int k = 0; k < 3; k++) {
        zo_measure *m;
        zo_trainer_def def = zo_trainer_default_def();
        def.method = method[k];
        def.task = task, def.net = net;
        def.settings = SETTINGS(COMMON, "freeze=2", "sides=two", k < 2 ? "set=complete" : "block=0",
                                "sigma=0.002");
        assert_int_equal(zo_measure_create(ctx, &def, "alignment", &m), ZO_OK);
        assert_int_equal(zo_measure_at(m, net, 0, 0), ZO_OK);
        assert_int_equal(m->layers, 2);
        assert_true(m->layer[0].layer == 0 && m->layer[1].layer == 4);
        for (int i = 0; i < 2; i++) assert_near(m->layer[i].cosine, 1, 0.005, 0, "of a layer");
        assert_near(m->cosine, 1, 0.005, 0, "of what moves");
        zo_measure_destroy(m);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_layers_stay_and_others_move),
        cmocka_unit_test(what_leaves_nothing_is_refused),
        cmocka_unit_test(other_layers_have_the_same_bits),
        cmocka_unit_test(coordinates_are_differences),
        cmocka_unit_test(what_moves_follows_theory),
        cmocka_unit_test(cost_equals_a_count),
        cmocka_unit_test(what_stays_costs_less),
        cmocka_unit_test(clipping_looks_at_what_moves),
        cmocka_unit_test(what_stays_is_not_measured),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

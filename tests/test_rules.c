/* Steps as a whole: directions that are clipped, weights that shrink, step sizes that warm up, noise that cools down; the same bits for all
 * threads and kernels, and for a direction that is collected first. (Rules against their papers: test_shaping.c.)
 * labels: threads
 */
#include "training_support.h"

static zo_context *ctx;
static zo_task *task;
static zo_net *net;

/* Two tiles of sums, pads, and gains. */
#define SPEC "dense300 tanh norm dense30 tanh dense3"

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    task = make_task(ctx, 60, 40, 3, 3);
    net = make_net(ctx, task, SPEC, 6);
    assert_true(net->arena > 1 << 14);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return 0;
}

/* What stands for a number, and not for a pad: 'w' a weight, 'o' a bias or a gain; else 0. */
static char *kinds(void)
{
    char *kind = calloc(net->arena, 1);
    assert_non_null(kind);
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        for (size_t l = 0; l < s->rows; l++) {
            for (size_t j = 0; j < s->columns; j++)
                kind[s->weight + zo_stage_at(s, l, j)] =
                    strcmp(s->layer->info.name, "dense") ? 'o' : 'w';
        }
        for (size_t j = 0; j < s->columns && s->has_bias; j++) kind[s->bias + j] = 'o';
    }
    return kind;
}

/* ---- the same bits ---- */

/* Four steps in a context of its own; the arena they lead to, malloc'ed. Pads must be zero. */
static float *walk(int threads, const char *kernels, const char *method, const char *const *settings)
{
    zo_context *in = make_context(threads, kernels, NULL);
    zo_task *t = make_task(in, 60, 40, 3, 3);
    zo_net *n = make_net(in, t, SPEC, 6);
    zo_trainer *trainer = make_trainer(in, t, n, method, 5, settings);
    for (int i = 0; i < 4; i++) assert_int_equal(zo_trainer_step(trainer, i / 4.0, NULL), ZO_OK);
    float *out = floats(n->arena);
    memcpy(out, zo_trainer_net(trainer)->params, n->arena * sizeof *out);
    char *kind = kinds();
    for (size_t i = 0; i < n->arena; i++) {
        if (!kind[i] && out[i] != 0) fail_msg("%s: pad %zu is %g", method, i, (double)out[i]);
    }
    free(kind);
    zo_trainer_destroy(trainer);
    zo_net_destroy(n);
    zo_task_destroy(t);
    zo_context_destroy(in);
    return out;
}

static const char *method_of(char name[64], const char *estimator, const zo_class_info *rule)
{
    snprintf(name, 64, "%s:%s", estimator, rule->name);
    return name;
}

static void threads_and_kernels_agree(void **state)
{
    (void)state;
    char name[64];
    const char *const *settings =
        SETTINGS("batch=20", "clip=0.01", "weight_decay=0.1", "warmup=0.6");
    for (int r = 0; zo_rule_classes[r]; r++) {
        method_of(name, "backprop", zo_rule_classes[r]);
        float *want = walk(1, "ref", name, settings);
        for (int threads = 1; threads <= 3; threads++) {
            const zo_kernels *k;
            for (int set = 0; (k = kernel_set(set)); set++) {
                float *got = walk(threads, k->info.name, name, settings);
                assert_same_floats(got, want, net->arena, name);
                free(got);
            }
        }
        free(want);
    }
}

/* A direction that is collected, and not clipped, leads where its tiles lead. */
static void collected_directions_are_the_same(void **state)
{
    (void)state;
    char name[64];
    static const char *const estimator[] = {"backprop", "nodes", "weights", "lowrank"};
    for (int e = 0; e < 4; e++) {
        const char *more = e < 2 ? "batch=20" : "population=6";
        for (int r = 0; zo_rule_classes[r]; r++) {
            method_of(name, estimator[e], zo_rule_classes[r]);
            float *a = walk(2, NULL, name, SETTINGS("batch=20", more, "weight_decay=0.1"));
            float *b =
                walk(2, NULL, name, SETTINGS("batch=20", more, "weight_decay=0.1", "clip=1e9"));
            assert_same_floats(a, b, net->arena, name);
            free(a);
            free(b);
        }
    }
}

/* ---- lengths ---- */

static double length_of(const float *x, const float *y)
{
    long double sum = 0;
    for (size_t i = 0; i < net->arena; i++) {
        long double d = (long double)x[i] - (y ? (long double)y[i] : 0);
        sum += d * d;
    }
    return (double)sqrtl(sum);
}

#define PLAIN "lr=1", "schedule=constant", "batch=65536"

/* With a step size as much larger the step is what it was. */
static void clipped_directions_keep_their_way(void **state)
{
    (void)state;
    zo_step_info all, clipped;
    float *g = direction_of(ctx, task, net, "backprop:sgd", 1, SETTINGS(PLAIN), &all);
    double length = length_of(g, NULL);
    const double share[] = {0.999, 0.25, 1e-3, 1.001};
    for (int i = 0; i < 4; i++) {
        char clip[64], lr[64];
        snprintf(clip, sizeof clip, "clip=%.17g", length * share[i]);
        snprintf(lr, sizeof lr, "lr=%.17g", share[i] < 1 ? 1 / share[i] : 1);
        float *h =
            direction_of(ctx, task, net, "backprop:sgd", 1, SETTINGS(PLAIN, clip, lr), &clipped);
        assert_near(length_of(h, NULL), length, 0, 1e-5, "length");
        for (size_t j = 0; j < net->arena; j++)
            assert_near((double)h[j], (double)g[j], 3e-7, 1e-5, "direction");
        assert_near(clipped.cost - all.cost, 2.0 * (double)net->parameters, 0, 0, "cost");
        free(h);
    }
    free(g);
}

/* A step of clipup has length lr at first, and is never longer than max_speed. */
static void speeds_are_limited(void **state)
{
    (void)state;
    const struct {
        const char *setting;
        double most;
    } limit[] = {{"max_speed=0.45", 0.45}, {"max_speed=0", 0.4}};
    for (int i = 0; i < 2; i++) {
        zo_trainer *t =
            make_trainer(ctx, task, net, "backprop:clipup", 1,
                         SETTINGS("lr=0.2", limit[i].setting, "schedule=constant", "batch=65536"));
        float *before = floats(net->arena);
        double longest = 0;
        for (int s = 0; s < 6; s++) {
            memcpy(before, zo_trainer_net(t)->params, net->arena * sizeof *before);
            assert_int_equal(zo_trainer_step(t, s / 6.0, NULL), ZO_OK);
            double step = length_of(zo_trainer_net(t)->params, before);
            if (s == 0) assert_near(step, 0.2, 0, 1e-4, "the first step");
            longest = fmax(longest, step);
        }
        assert_near(longest, limit[i].most, 0, 1e-4, "the longest step");
        free(before);
        zo_trainer_destroy(t);
    }
}

/* The room for a direction is taken where it is needed. */
static size_t held_by(const char *method, const char *setting)
{
    zo_trainer *t = make_trainer(ctx, task, net, method, 1, SETTINGS(setting));
    size_t held = ctx->held;
    zo_trainer_destroy(t);
    return held - ctx->held;
}

static void room_is_taken_where_needed(void **state)
{
    (void)state;
    size_t none = held_by("backprop:momentum", "clip=0"), room = net->arena * sizeof(float);
    size_t clip = held_by("backprop:momentum", "clip=1"),
           whole = held_by("backprop:clipup", "clip=0");
    assert_in_range(clip - none, room, room + 1024);
    assert_in_range(whole - none, room, room + 1024);
}

/* ---- step sizes and decay ---- */

/* Parameters before - after the first step, at a progress; malloc'ed. */
static float *step_at(double progress, const char *const *settings, double *cost)
{
    zo_step_info info;
    zo_trainer *t = make_trainer(ctx, task, net, "backprop:sgd", 1, settings);
    assert_int_equal(zo_trainer_step(t, progress, &info), ZO_OK);
    float *g = floats(net->arena);
    for (size_t i = 0; i < net->arena; i++) g[i] = net->params[i] - zo_trainer_net(t)->params[i];
    *cost = info.cost;
    zo_trainer_destroy(t);
    return g;
}

static void step_sizes_warm_up(void **state)
{
    (void)state;
    double cost;
    float *g = direction_of(ctx, task, net, "backprop:sgd", 1, SETTINGS(PLAIN), NULL);
    for (int i = 0; i <= 20; i++) {
        double progress = i / 20.0, warm = progress < 0.4 ? progress / 0.4 : 1;
        float *h = step_at(
            progress, SETTINGS("lr=1", "schedule=linear", "final=0.5", "batch=65536", "warmup=0.4"),
            &cost);
        for (size_t j = 0; j < net->arena; j++)
            assert_near((double)h[j], (double)g[j] * (1 - progress / 2) * warm, 3e-7, 1e-5, "step");
        free(h);
    }
    free(g);
}

/* p -= rate x weight_decay x p beside the step: of weights, not of biases and gains; clipped or not. */
static void weights_decay(void **state)
{
    (void)state;
    char *kind = kinds();
    static const char *const clips[] = {"clip=0", "clip=0.001"};
    for (int c = 0; c < 2; c++) {
        double plain, decayed, progress = 0.5, rate = 0.5 * (1 - progress / 2), weights = 0;
        float *g = step_at(
            progress, SETTINGS("lr=0.5", "schedule=linear", "final=0.5", "batch=65536", clips[c]),
            &plain);
        float *h = step_at(progress,
                           SETTINGS("lr=0.5", "schedule=linear", "final=0.5", "batch=65536",
                                    clips[c], "weight_decay=0.2"),
                           &decayed);
        for (size_t j = 0; j < net->arena; j++) {
            double shrinks = kind[j] == 'w' ? rate * 0.2 * (double)net->params[j] : 0;
            assert_near((double)h[j] - (double)g[j], shrinks, 3e-7, 1e-5, "decay");
            weights += kind[j] == 'w';
        }
        assert_true(weights == 300 * 40 + 300 * 30 + 30 * 3);
        assert_near(decayed - plain, weights, 0, 0, "cost");
        free(g);
        free(h);
    }
    free(kind);
}

/* ---- noise ---- */

enum { MANY = 100003 };

/* One step of langevin on numbers that are zero, in ranges of `cut`; malloc'ed. */
static float *bath(const zo_kernels *k, uint64_t seed, int64_t step, double progress,
                   const float *g, size_t cut)
{
    double settings[] = {0.05, 0.3}; /* lr, temperature */
    float *p = floats(MANY), *zeros = floats(MANY);
    zo_net stub = {.ctx = ctx, .params = p, .arena = MANY};
    zo_update u = {.k = k,
                   .rule = &zo_rule_langevin,
                   .settings = settings,
                   .net = &stub,
                   .seed = seed,
                   .step = step,
                   .drawn = step,
                   .progress = progress,
                   .rate = settings[0]};
    memset(p, 0, MANY * sizeof *p);
    memset(zeros, 0, MANY * sizeof *zeros);
    assert_int_equal(zo_update_init(&u), ZO_OK);
    for (size_t at = 0; at < MANY; at += cut)
        zo_update_apply(&u, at, (g ? g : zeros) + at, MANY - at < cut ? MANY - at : cut);
    zo_update_fini(&u);
    free(zeros);
    return p;
}

static double product(const float *x, const float *y)
{
    double sum = 0;
    for (size_t i = 0; i < MANY; i++) sum += (double)x[i] * (double)y[i];
    return sum / MANY;
}

static void noise_has_its_variance(void **state)
{
    (void)state;
    const double cool[] = {0, 0.4, 0.9, 1};
    for (int i = 0; i < 4; i++) {
        float *p = bath(kernel_set(0), 3, 7, cool[i], NULL, 4096);
        double mean = 0, fourth = 0, variance = 2 * 0.05 * 0.3 * (1 - cool[i]);
        for (size_t j = 0; j < MANY; j++) {
            mean += (double)p[j] / MANY;
            fourth += pow((double)p[j], 4) / MANY;
        }
        /* four deviations of what MANY normal numbers give */
        assert_near(mean, 0, 4 * sqrt(variance / MANY), 0, "mean");
        assert_near(product(p, p), variance, 4 * sqrt(2.0 / MANY) * variance, 0, "variance");
        assert_near(fourth, 3 * variance * variance, 4 * sqrt(96.0 / MANY) * variance * variance, 0,
                    "fourth moment");
        free(p);
    }
}

static void noise_is_named_by_seed_step_and_place(void **state)
{
    (void)state;
    const zo_kernels *k;
    float *want = bath(&zo_kernels_ref, 3, 7, 0, NULL, MANY);
    const size_t cut[] = {16, 37, 1024, 1 << 14};
    for (int set = 0; (k = kernel_set(set)); set++) {
        for (int i = 0; i < 4; i++) {
            float *got = bath(k, 3, 7, 0, NULL, cut[i]);
            assert_same_floats(got, want, MANY, "cut into ranges");
            free(got);
        }
    }
    float *other[] = {bath(kernel_set(0), 4, 7, 0, NULL, MANY),
                      bath(kernel_set(0), 3, 8, 0, NULL, MANY)};
    for (int i = 0; i < 2; i++) {
        assert_near(product(want, other[i]), 0, 4 * 0.03 / sqrt(MANY), 0,
                    "another seed, another step");
        free(other[i]);
    }
    free(want);
}

static void noise_comes_on_top_of_the_step(void **state)
{
    (void)state;
    float *g = floats(MANY), *still = bath(kernel_set(0), 3, 7, 0.2, NULL, MANY);
    uint64_t draws = 5;
    draw_many(&draws, g, MANY, -1, 1);
    float *p = bath(kernel_set(0), 3, 7, 0.2, g, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_near((double)p[i] - (double)still[i], -0.05 * (double)g[i], 1e-6, 0, "step");
    free(g);
    free(p);
    free(still);
}

/* ---- averages ---- */

/* The weight of step t in the mean is 1 / (average t), but never more than 1; a twin with another average is elsewhere. */
static void late_parameters_are_averaged(void **state)
{
    (void)state;
    zo_trainer *t = make_trainer(ctx, task, net, "backprop:sgd", 5,
                                 SETTINGS("batch=20", "lr=0.5", "average=0.3"));
    double *mean = calloc(net->arena, sizeof *mean), *twin = calloc(net->arena, sizeof *twin);
    for (int step = 1; step <= 12; step++) {
        zo_step_info info;
        double w = fmin(1, 1 / (0.3 * step)), other = fmin(1, 1 / (0.5 * step)), worst = 0,
               apart = 0;
        assert_int_equal(zo_trainer_step(t, 0.1, &info), ZO_OK);
        const float *p = zo_trainer_net(t)->params, *got = zo_trainer_average(t)->params;
        for (size_t i = 0; i < net->arena; i++) {
            mean[i] += w * ((double)p[i] - mean[i]);
            twin[i] += other * ((double)p[i] - twin[i]);
            worst = fmax(worst, fabs((double)got[i] - mean[i]));
            apart = fmax(apart, fabs((double)got[i] - twin[i]));
        }
        assert_true(worst < 1e-6);
        if (step > 3) assert_true(apart > 1e-3);
    }
    free(mean), free(twin);
    zo_trainer_destroy(t);
    t = make_trainer(ctx, task, net, "backprop:sgd", 5, SETTINGS("batch=20"));
    assert_null(zo_trainer_average(t));
    zo_trainer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_kernels_agree),
        cmocka_unit_test(collected_directions_are_the_same),
        cmocka_unit_test(clipped_directions_keep_their_way),
        cmocka_unit_test(speeds_are_limited),
        cmocka_unit_test(room_is_taken_where_needed),
        cmocka_unit_test(step_sizes_warm_up),
        cmocka_unit_test(weights_decay),
        cmocka_unit_test(noise_has_its_variance),
        cmocka_unit_test(noise_is_named_by_seed_step_and_place),
        cmocka_unit_test(noise_comes_on_top_of_the_step),
        cmocka_unit_test(late_parameters_are_averaged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

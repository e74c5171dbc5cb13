/* Steps of weights and lowrank: the same bits for all threads and kernels, the same from the losses or the weights of draws, pads that stay
 * zero, and larger moves where something jumps.
 * labels: threads
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

static const char *const specs[] = {
    "dense33 relu dense70 gelu dense3",
    "patch2x20,pad1 twosided0.25 cells2 sqrt flatten scale { dense24 relu }cat dense3",
    "conv3x5,same tanh norm { dwconv3,same relu scale conv1x5,nobias }+ pool2 dense24 wta4 dense3",
};

enum { SPECS = sizeof specs / sizeof *specs };

static const char *const methods[][4] = {
    {"weights:adam", "sides=two", "noise=rademacher", "population=9"},
    {"weights:adam", "sides=one", "noise=gaussian", "population=3"},
    {"lowrank:adam", "rank=1", "noise=rademacher", "population=70"},
    {"lowrank:adam", "rank=3", "noise=rademacher", "examples=5"},
    {"lowrank:adam", "rank=2", "noise=gaussian", "sides=one"},
    {"lowrank:adam", "rank=1", "sides=one", "examples=7"},
};
enum { METHODS = sizeof methods / sizeof *methods };

static zo_trainer *trainer_of(zo_context *in, zo_task **task, zo_net **net, int spec, int method)
{
    const char *const *m = methods[method];
    *task = make_task(in, 36, 72, 3, 3);
    *net = image_net(in, specs[spec], 6, 2);
    return make_trainer(in, *task, *net, m[0], 5,
                        SETTINGS("batch=20", "population=6", m[1], m[2], m[3]));
}

static void close_all(zo_trainer *t, zo_net *net, zo_task *task)
{
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- bits ---- */

/* Four steps; the arena they lead to, malloc'ed. */
static float *walk(int threads, const char *kernels, int spec, int method, size_t *n)
{
    zo_context *in = make_context(threads, kernels, NULL);
    zo_task *task;
    zo_net *net;
    zo_trainer *t = trainer_of(in, &task, &net, spec, method);
    for (int i = 0; i < 4; i++) assert_int_equal(zo_trainer_step(t, i / 4.0, NULL), ZO_OK);
    *n = net->arena;
    float *out = floats(*n);
    memcpy(out, zo_trainer_net(t)->params, *n * sizeof *out);
    close_all(t, net, task);
    zo_context_destroy(in);
    return out;
}

static void threads_and_kernels_agree(void **state)
{
    (void)state;
    for (int spec = 0; spec < SPECS; spec++) {
        for (int method = 0; method < METHODS; method++) {
            size_t n, m;
            float *want = walk(1, "ref", spec, method, &n);
            for (int threads = 1; threads <= 3; threads++) {
                const zo_kernels *k;
                for (int set = 0; (k = kernel_set(set)); set++) {
                    float *got = walk(threads, k->info.name, spec, method, &m);
                    assert_int_equal(m, n);
                    assert_memory_equal(got, want, n * sizeof *got);
                    free(got);
                }
            }
            free(want);
        }
    }
}

/* A step again from its losses, and from the weights of its draws, by trainers that have seen no data. */
static void losses_and_weights_determine_steps(void **state)
{
    (void)state;
    for (int spec = 0; spec < SPECS; spec++) {
        for (int method = 0; method < METHODS; method++) {
            zo_task *task[3];
            zo_net *net[3];
            zo_trainer *t[3];
            zo_step_info info, again;
            for (int i = 0; i < 3; i++) t[i] = trainer_of(ctx, task + i, net + i, spec, method);
            double *loss = calloc(zo_trainer_numbers(t[0]) + 1, sizeof *loss);
            for (int i = 0; i < 3; i++) {
                size_t draws;
                assert_int_equal(zo_trainer_step(t[0], i / 3.0, &info), ZO_OK);
                size_t n = zo_trainer_losses(t[0], loss);
                assert_true(n > 3 && n <= zo_trainer_numbers(t[0]));
                assert_int_equal(zo_trainer_replay(t[1], i / 3.0, loss, n - 1, &again), ZO_FORMAT);
                assert_int_equal(zo_trainer_replay(t[1], i / 3.0, loss, n + 1, &again), ZO_FORMAT);
                assert_int_equal(zo_trainer_replay(t[1], i / 3.0, loss, n, &again), ZO_OK);
                assert_memory_equal(&info, &again, sizeof info);
                const double *weight = zo_trainer_drawn(t[0], &draws);
                assert_int_equal(zo_trainer_redraw(t[2], i / 3.0, weight, draws), ZO_OK);
            }
            for (int i = 1; i < 3; i++)
                assert_memory_equal(zo_trainer_net(t[0])->params, zo_trainer_net(t[i])->params,
                                    net[0]->arena * sizeof(float));
            for (int i = 0; i < 3; i++) close_all(t[i], net[i], task[i]);
            free(loss);
        }
    }
}

/* What lies in the arena but in no tensor is zero before, and must be after. */
static void pads_stay_zero(void **state)
{
    (void)state;
    for (int spec = 0; spec < SPECS; spec++) {
        for (int method = 0; method < METHODS; method++) {
            zo_task *task;
            zo_net *net;
            zo_trainer *t = trainer_of(ctx, &task, &net, spec, method);
            for (int i = 0; i < 3; i++) assert_int_equal(zo_trainer_step(t, i / 4.0, NULL), ZO_OK);
            zo_net *copy = NULL;
            assert_int_equal(zo_net_copy(net, &copy), ZO_OK);
            memset(copy->params, 0, copy->arena * sizeof(float));
            for (int i = 0; i < zo_net_segments(net); i++) {
                float *x = floats((size_t)net->parameters);
                assert_int_equal(zo_net_get(zo_trainer_net(t), i, x), ZO_OK);
                assert_int_equal(zo_net_set(copy, i, x), ZO_OK);
                free(x);
            }
            assert_same_floats(zo_trainer_net(t)->params, copy->params, net->arena, "pads");
            zo_net_destroy(copy);
            close_all(t, net, task);
        }
    }
}

/* ---- what jumps ---- */

static void check_plan(const char *spec, const char *loss, const char *says)
{
    zo_task *task = make_task(ctx, 36, 72, 3, 3);
    zo_net *net = image_net(ctx, spec, 6, 2);
    zo_trainer *t = make_trainer(ctx, task, net, "lowrank:sgd", 1,
                                 SETTINGS(loss, "sigma=0.25", "sigma_jump=0.75"));
    const char *plan = zo_trainer_plan(t, 0);
    if (!plan || !strstr(plan, says)) fail_msg("%s, %s: %s", spec, loss, plan);
    assert_null(zo_trainer_plan(t, 1));
    close_all(t, net, task);
}

/* Where a small move may change nothing, moves are larger and two-sided. */
static void jumps_are_seen(void **state)
{
    (void)state;
    check_plan("dense9 tanh dense3", "loss=cross-entropy",
               "members against the clean loss of rank 1, sigma 0.25");
    check_plan("dense9 sign dense3", "loss=cross-entropy", "pairs of rank 1, sigma 0.75");
    check_plan("dense9 tanh dense3", "loss=zero-one", "pairs of rank 1, sigma 0.75");
    check_plan("conv3x4 quant2 dense3", "loss=squared-error", "pairs of rank 1, sigma 0.75");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_kernels_agree),
        cmocka_unit_test(losses_and_weights_determine_steps),
        cmocka_unit_test(pads_stay_zero),
        cmocka_unit_test(jumps_are_seen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

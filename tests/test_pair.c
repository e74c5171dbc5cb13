/* spsa and mezo: one pair of members a step. Against the definition with the noise made again, number by number; the gains of spsa; what theory
 * says of one pair; that mezo leaves nothing in the parameters but the step, and holds what inference holds; the cost; missing losses.
 * labels: threads
 */
#include "population_support.h"

#define COMMON "batch=65536", "lr=1", "schedule=constant"

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

/* ---- the definition ---- */

static definition define(const char *method, const char *spec, bool gaussian)
{
    definition d = {.ctx = ctx,
                    .method = method,
                    .seed = 11,
                    .population = 1,
                    .sigma = 0.1,
                    .gaussian = gaussian,
                    .shaping = ZO_SHAPE_RAW};
    d.task = make_task(ctx, 44, 72, 3, 3); /* two items of work */
    d.net = image_net(ctx, spec, 6, 2);
    return d;
}

static void clear(definition *d)
{
    zo_net_destroy(d->net);
    zo_task_destroy(d->task);
}

static const char *const specs[] = {
    "dense3",
    "dense33 relu dense70 gelu dense3",
    "dense24 wta4 dense12,nobias wta4 dense3",
    "conv3x40,same tanh pool2 conv3x18 tanh dense3",
    "norm conv3x5,same tanh scale meanpool2 dense3",
    "dwconv3,same tanh conv1x19 norm tanh global-mean dense3",
    "conv1x4 tanh { conv3x4,same tanh conv3x4,same }+ pool2 dense3",
    "{ conv3x4,same tanh | conv1x18 tanh }cat conv1x4 { dwconv3,same tanh | scale }+ dense3",
    "patch2x20,pad1 twosided0.25 cells2 sqrt flatten scale { dense9 relu }cat dense3",
};
enum { SPECS = sizeof specs / sizeof *specs };

static void check_definition(const char *method, const char *spec, bool gaussian)
{
    definition d = define(method, spec, gaussian);
    double error = error_of(&d);
    if (!(error < 2e-4)) fail_msg("%s, %s: off by %.2g of itself", method, spec, error);
    static const twin wrong[] = {NO_BIAS, NO_SCALE};
    for (int i = 0; i < 2; i++) {
        d.twin = wrong[i];
        if (!(error_of(&d) > 0.02)) fail_msg("%s: twin %d is not seen", method, wrong[i]);
    }
    clear(&d);
}

static void a_pair_follows_its_definition(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        check_definition("spsa:sgd", specs[i], false);
        check_definition("mezo:sgd", specs[i], false);
        check_definition("mezo:sgd", specs[i], true);
    }
}

/* ---- gains ---- */

/* y^3 of a net y = w x, x = 1: a central difference is 3 w^2 + c^2. */
static void cube(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                 const float *target, float *loss)
{
    (void)user, (void)outputs, (void)label, (void)target;
    for (int i = 0; i < n; i++) {
        float at = y[(size_t)i * (size_t)stride];
        loss[i] = at * at * at;
    }
}

static void check_gains(double gamma, const char *const *settings)
{
    zo_task *task = make_task(ctx, 12, 1, 0, 1);
    for (int i = 0; i < task->part[ZO_TRAIN].n; i++) task->part[ZO_TRAIN].x[i * task->stride] = 1;
    zo_net *net = make_net(ctx, task, "dense1,nobias", 1);
    net->params[0] = 0.5f;
    zo_trainer_def def = zo_trainer_default_def();
    def.method = "spsa:sgd";
    def.task = task;
    def.net = net;
    def.settings = settings;
    def.loss = cube;
    zo_trainer *t = NULL;
    assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_OK);
    for (int k = 0; k < 12; k++) {
        double before = (double)zo_trainer_net(t)->params[0];
        assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
        double g = (before - (double)zo_trainer_net(t)->params[0]) / 0.01,
               c = 0.8 / pow(k + 1, gamma);
        assert_near(g - 3 * before * before, c * c, 1e-4, 0, "the square of a gain of spsa");
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void moves_of_spsa_get_smaller(void **state)
{
    (void)state;
    check_gains(0.101, SETTINGS("lr=0.01", "schedule=constant", "sigma=0.8"));
    check_gains(0.5, SETTINGS("lr=0.01", "schedule=constant", "sigma=0.8", "gamma=0.5"));
    check_gains(2, SETTINGS("lr=0.01", "schedule=constant", "sigma=0.8", "gamma=2"));
    check_gains(0, SETTINGS("lr=0.01", "schedule=constant", "sigma=0.8", "gamma=0"));
}

/* ---- theory ---- */

/* One pair of signs in d dimensions: the mean of the squared cosine is 1 / d; of normal numbers about that. */
static void check_cosine(const zo_task *task, const zo_net *net, const char *method,
                         const char *noise)
{
    enum { SEEDS = 1500 };
    float *gradient = direction_of(ctx, task, net, "backprop:sgd", 1, SETTINGS(COMMON), NULL);
    double mean = 0, d = (double)net->parameters;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        float *g = direction_of(ctx, task, net, method, seed,
                                SETTINGS(COMMON, "sigma=0.002", noise), NULL);
        double ab = 0, aa = 0, bb = 0;
        for (size_t i = 0; i < net->arena; i++) {
            double x = (double)g[i], y = (double)gradient[i];
            ab += x * y, aa += x * x, bb += y * y;
        }
        mean += ab * ab / (aa * bb) / SEEDS;
        free(g);
    }
    print_message("%s, %s: cos^2 %.4f, theory %.4f\n", method, noise, mean, 1 / d);
    assert_near(mean, 1 / d, 0, 0.15, "squared cosine of one pair");
    free(gradient);
}

static void one_pair_follows_theory(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 30, 3, 3, 3);
    zo_net *net = make_net(ctx, task, "dense4 tanh dense3", 1);
    check_cosine(task, net, "spsa:sgd", "gamma=0.1");
    check_cosine(task, net, "mezo:sgd", "noise=gaussian");
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- in place ---- */

/* What a loss of the user's sees while members are evaluated. */
typedef struct witness {
    const zo_trainer *trainer;
    float *before;
    int calls, changed;
    bool flat;
} witness;

static void look(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                 const float *target, float *loss)
{
    (void)outputs, (void)target;
    witness *w = user;
    for (int i = 0; i < n; i++)
        loss[i] = w->flat ? 1 : fabsf(y[(size_t)i * (size_t)stride] - (float)label[i]);
    if (!w->trainer) return;
    const zo_net *net = zo_trainer_net(w->trainer);
    w->calls++;
    w->changed += memcmp(net->params, w->before, net->arena * sizeof(float)) != 0;
}

/* The parameters are as they were whenever a loss is taken, and after a step without a difference. */
static void check_trace(zo_context *where, const char *method, bool flat)
{
    zo_task *task = make_task(where, 44, 9, 3, 3);
    zo_net *net = make_net(where, task, "dense17 tanh dense3", 1);
    witness w = {.flat = flat, .before = floats(net->arena)};
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = task;
    def.net = net;
    def.loss = look;
    def.loss_user = &w;
    zo_trainer *t = NULL;
    assert_int_equal(zo_trainer_create(where, &def, &t), ZO_OK);
    w.trainer = t;
    for (int k = 0; k < 5; k++) {
        memcpy(w.before, zo_trainer_net(t)->params, net->arena * sizeof(float));
        assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
        bool same = !memcmp(w.before, zo_trainer_net(t)->params, net->arena * sizeof(float));
        assert_int_equal(same, flat);
    }
    assert_true(w.calls >= 5 && w.changed == 0);
    free(w.before);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void parameters_hold_still(void **state)
{
    (void)state;
    zo_context *one = make_context(1, NULL, NULL); /* what looks is not made for threads */
    for (int flat = 0; flat < 2; flat++) {
        check_trace(one, "mezo:sgd", flat);
        check_trace(one, "spsa:sgd", flat);
    }
    zo_context_destroy(one);
}

/* With the same noise both are one estimate. */
static void mezo_is_spsa_in_place(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        definition d = define(NULL, specs[i], false);
        float *a = direction_of(ctx, d.task, d.net, "mezo:sgd", 3,
                                SETTINGS(COMMON, "noise=rademacher", "sigma=0.01"), NULL),
              *b = direction_of(ctx, d.task, d.net, "spsa:sgd", 3,
                                SETTINGS(COMMON, "sigma=0.01", "gamma=1"), NULL);
        assert_same_floats(a, b, d.net->arena, specs[i]);
        free(a);
        free(b);
        clear(&d);
    }
}

/* ---- memory ---- */

/* Bytes of a trainer without the inputs of its batch, over those of a network that has run that batch. Inference with many threads cuts a
 * small batch into less than it has room for: so each thread gets examples enough. */
static double held(int threads, const char *spec, int side, int channels, int batch,
                   const char *method, const char *const *settings)
{
    memory m = {.left = -1};
    zo_context *where = make_context(threads, NULL, &m);
    int inputs = side * side * channels;
    zo_task *task = make_images(where, batch * 12 / 11 + 12, side, side, channels, 10, 10);
    long long start = m.bytes;
    zo_net *net = make_net(where, task, spec, 1);
    float *x = floats((size_t)batch * (size_t)inputs), *y = floats((size_t)batch * 10);
    assert_int_equal(zo_net_forward(net, batch, x, y), ZO_OK);
    long long inference = m.bytes - start;
    assert_true(net->parameters >= 1000000);
    zo_net *fresh = make_net(where, task, spec, 1);
    long long before = m.bytes;
    zo_trainer *t = make_trainer(where, task, fresh, method, 1, settings);
    long long bytes = m.bytes - before - (long long)batch * inputs * (long long)sizeof(float);
    m.left = 0; /* a step allocates nothing */
    assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    zo_trainer_destroy(t);
    zo_net_destroy(fresh);
    zo_net_destroy(net);
    zo_task_destroy(task);
    free(x);
    free(y);
    zo_context_destroy(where);
    double ratio = (double)bytes / (double)inference;
    print_message("%s, %d threads, batch %d, %s: %.3f of the memory of inference\n", spec, threads,
                  batch, method, ratio);
    return ratio;
}

static void mezo_takes_the_memory_of_inference(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int side, channels;
    } of[] = {
        {"dense1024 relu dense256 relu dense10", 28, 1},
        {"dense1024 relu dense1024 relu dense1024 relu dense10", 28, 1},
        {"conv5x16 relu pool2 conv5x32 relu pool2 dense2048 relu dense10", 28, 1},
        {"conv3x32,same relu { conv3x32,same relu conv3x32,same }+ pool4 dense2048 relu dense10",
         16, 3},
    };
    static const char *const batch[] = {"batch=256", "batch=512", "batch=768"};
    for (int i = 0; i < 4; i++) {
        for (int threads = 1; threads <= 3; threads++) {
            double ratio = held(threads, of[i].spec, of[i].side, of[i].channels, 256 * threads,
                                "mezo:sgd", SETTINGS(batch[threads - 1]));
            assert_true(ratio <= 1.05);
        }
    }
    /* what is not made for it takes more */
    assert_true(held(1, of[0].spec, 28, 1, 256, "weights:sgd",
                     SETTINGS("batch=256", "population=1")) > 1.2);
    assert_true(held(1, of[0].spec, 28, 1, 256, "mezo:momentum", SETTINGS("batch=256")) > 1.8);
}

/* ---- cost ---- */

/* Two passes, the noise of both in each item, and once more in the direction; and the rule. */
static void cost_is_two_passes(void **state)
{
    (void)state;
    static const int n[] = {30, 66};
    for (int i = 0; i < 2; i++) {
        zo_task *task = make_task(ctx, n[i], 9, 3, 3);
        zo_net *net = make_net(ctx, task, "dense17 tanh dense9,nobias tanh dense3", 1);
        double p = 9 * 17 + 17 + 17 * 9 + 9 * 3 + 3, pass = 9 * 17 + 17 * 9 + 9 * 3,
               examples = (double)task->part[ZO_TRAIN].n, items = ceil(examples / 32);
        static const char *const method[] = {"spsa:sgd", "mezo:sgd"};
        for (int k = 0; k < 2; k++) {
            zo_step_info info;
            free(direction_of(ctx, task, net, method[k], 1, SETTINGS(COMMON), &info));
            assert_near(info.cost, 2 * examples * pass + 2 * items * p + p + p, 0, 0, method[k]);
        }
        zo_net_destroy(net);
        zo_task_destroy(task);
    }
}

/* ---- losses that are missing ---- */

/* No number for label 2; with `user` only where the first output is below it. */
static void holes(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                  const float *target, float *loss)
{
    (void)outputs, (void)target;
    const float *below = user;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = row[0] * row[0] + row[1] * row[2];
        if (below ? row[0] < *below : label[i] == 2) loss[i] = NAN;
    }
}

static void missing_losses_are_counted(void **state)
{
    (void)state;
    definition d = define("spsa:sgd", "dense17 tanh dense3", false);
    int64_t missing = 0;
    for (int64_t i = 0; i < d.task->part[ZO_TRAIN].n; i++)
        missing += d.task->part[ZO_TRAIN].label[i] == 2;
    assert_true(missing > 3);
    d.loss = holes;
    assert_true(error_of(&d) < 2e-4); /* those that neither member has are left out */
    zo_step_info info;
    free(direction_by_step(&d, &info));
    assert_int_equal(info.dropped, missing);
    float below = 0.1f; /* which divides the members */
    d.loss_user = &below;
    double *g = direction_by_step(&d, &info);
    for (int64_t i = 0; i < d.net->parameters; i++) assert_true(g[i] == 0);
    assert_true(info.dropped >= 1 && isfinite(info.loss));
    free(g);
    clear(&d);
}

static void plans_say_what_is_done(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 30, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense5 step dense3", 1),
           *smooth = make_net(ctx, task, "dense5 tanh dense3", 1);
    static const char *const method[] = {"spsa", "mezo", "spsa", "mezo"},
                             *const want[] = {"1 pair, sigma 0.1 / step^0.101", "sigma 0.1,",
                                              "1 pair, sigma 0.02 / step^0.101", "sigma 0.001,"};
    for (int i = 0; i < 4; i++) {
        zo_trainer *t = make_trainer(ctx, task, i < 2 ? net : smooth, method[i], 1, NULL);
        const char *line = zo_trainer_plan(t, 0);
        if (!line || !strstr(line, want[i])) fail_msg("\"%s\" is not in: %s", want[i], line);
        assert_null(zo_trainer_plan(t, 1));
        assert_int_equal(zo_trainer_uses(t), ZO_USES_LOSS);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(smooth);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_follows_its_definition),
        cmocka_unit_test(moves_of_spsa_get_smaller),
        cmocka_unit_test(one_pair_follows_theory),
        cmocka_unit_test(parameters_hold_still),
        cmocka_unit_test(mezo_is_spsa_in_place),
        cmocka_unit_test(mezo_takes_the_memory_of_inference),
        cmocka_unit_test(cost_is_two_passes),
        cmocka_unit_test(missing_losses_are_counted),
        cmocka_unit_test(plans_say_what_is_done),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

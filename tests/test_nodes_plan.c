/* What node perturbation plans, counts and holds on images: the site of each layer, the multiply-adds, the bytes; and that bits depend on
 * neither threads nor kernels, whatever is moved.
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

/* ---- sites ---- */

/* A setting, and what is then said of conv3x4,same (256 outputs, 40 parameters) and of dense3 behind it. */
static void check_plan(const char *setting, const char *conv, const char *dense)
{
    zo_task *task = make_images(ctx, 30, 8, 8, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "conv3x4,same relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "nodes", 1, SETTINGS(setting));
    const char *want[] = {conv, dense};
    for (int i = 0; i < 2; i++) {
        const char *line = zo_trainer_plan(t, i);
        assert_non_null(line);
        if (!strstr(line, want[i])) fail_msg("%s: \"%s\" is not in: %s", setting, want[i], line);
    }
    assert_null(zo_trainer_plan(t, 2));
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* A complete set of the convolution is 256 columns of the dense layer, 768 of 2304 + 768 multiply-adds: a quarter of a forward-equivalent.
 * Draws of its 40 weights would cost more than 40. */
static void sites_are_planned(void **state)
{
    const char *complete = "2 dense3 outputs: complete set of 3 outputs, two-sided";
    (void)state;
    check_plan("limit=4", "0 conv3x4,same outputs: complete set of 256 outputs, one-sided",
               complete);
    check_plan("limit=4", "about 0.25 forward-equivalents an example", "about 0 forward");
    check_plan("limit=0.25", "complete set of 256 outputs, one-sided", complete);
    check_plan("limit=0.125", "complete set of 256 outputs for 14 of 27 examples, one-sided",
               complete);
    check_plan("limit=0.125", "about 0.13 forward-equivalents an example", complete);
    check_plan("limit=0.001", "complete set of 256 outputs for 1 of 27 examples", complete);
    check_plan("limit=0", "0 conv3x4,same weights: 16 random draws, one-sided",
               "2 dense3 outputs: 16 random draws, two-sided");
    check_plan("set=random", "0 conv3x4,same weights: 16 random draws",
               "2 dense3 outputs: 16 random draws, two-sided");
    check_plan("set=complete", "0 conv3x4,same outputs: complete set of 256 outputs,", complete);
    check_plan("place=outputs", "0 conv3x4,same outputs: complete set of 256 outputs", complete);
    check_plan("place=weights", "0 conv3x4,same weights: 16 random draws",
               "2 dense3 weights: 16 random draws");
    check_plan("sigma=0.25", "one-sided, sigma 0.25", "sigma 0.25");
    check_plan(
        "loss=zero-one",
        "0 conv3x4,same outputs: complete set of 256 outputs for 17 of 27 examples, two-sided",
        "sigma 1");
}

/* Draws begin behind a pooling: 4 x 4 of 16 x 16 pixels count where draws of 40 weights are weighed against them. */
static void poolings_make_draws_few(void **state)
{
    static const char *const spec[] = {"conv3x4,same relu pool4 dense3",
                                       "conv3x4,same relu pool4,stride2 dense3"};
    static const char *const want[] = {
        "outputs: 16 random draws at the largest of each window, one-sided", "weights: 16 random"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        zo_task *task = make_images(ctx, 30, 16, 16, 1, 3, 3);
        zo_net *net = make_net(ctx, task, spec[i], 1);
        zo_trainer *t = make_trainer(ctx, task, net, "nodes", 1, SETTINGS("set=random"));
        const char *line = zo_trainer_plan(t, 0);
        if (!strstr(line, want[i])) fail_msg("\"%s\" is not in: %s", want[i], line);
        zo_trainer_destroy(t);
        zo_net_destroy(net);
        zo_task_destroy(task);
    }
}

/* Few weights against outputs that each change much of what follows: 10 draws of the first layer's weights cost less than its complete set. */
static void few_weights_are_moved(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 30, 8, 8, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "conv3x1,same relu conv5x8,same conv5x8,same dense3", 1);
    const char *const settings[][3] = {{"limit=4"},
                                       {"limit=4", "sigma_weights=0.25"},
                                       {"limit=4", "draws=5"},
                                       {"limit=4", "loss=zero-one"},
                                       {"limit=4", "place=outputs"}};
    const char *const want[] = {"0 conv3x1,same weights: 16 random draws, one-sided, sigma 0.01",
                                "one-sided, sigma 0.25", "weights: 5 random draws",
                                "weights: 16 random draws, two-sided, sigma 0.316",
                                "0 conv3x1,same outputs: complete set of 64 outputs for"};
    for (int i = 0; i < 5; i++) {
        zo_trainer *t = make_trainer(ctx, task, net, "nodes", 1, settings[i]);
        const char *line = zo_trainer_plan(t, 0);
        if (!strstr(line, want[i])) fail_msg("\"%s\" is not in: %s", want[i], line);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- cost ---- */

static double cost64(const stage64 *s)
{
    double outputs = count64(s->out), taps = s->height * s->width;
    if (!strcmp(s->name, "dense")) return count64(s->in) * outputs;
    if (!strcmp(s->name, "conv")) return outputs * taps * s->in.c;
    if (!strcmp(s->name, "patch")) return outputs / s->out.c * (s->out.c + 4) * taps * s->in.c;
    if (!strcmp(s->name, "dwconv")) return outputs * taps;
    return !strcmp(s->name, "norm") ? 4 * outputs : !strcmp(s->name, "scale") ? outputs : 0;
}

/* Stages that see the outputs of stage from - 1. */
static double tail64(const images64 *n, int from)
{
    double sum = 0;
    for (int i = after64(n, from - 1, from - 1); i < n->stages; i = after64(n, from - 1, i))
        sum += cost64(n->stage + i);
    return sum;
}

enum { K = 5 };

/* How many pixels of a stage's outputs differ between the last run and `clean`. */
static int changed_pixels(const images64 *n, int stage, const double *clean)
{
    size64 out = n->stage[stage].out;
    int changed = 0;
    for (int p = 0; p < out.h * out.w; p++)
        changed += memcmp(n->tensor[stage + 1] + p * out.c, clean + p * out.c,
                          (size_t)out.c * sizeof *clean) != 0;
    return changed;
}

/* Multiply-adds that run an output of stage i on which moved alone, counted from what then differs: a column of the first layer with weights;
 * where pixels differ, those pixels; of a dense layer behind them, what they give to it; whole layers from there on, or from a norm on. */
static double partial_cost(const images_scene *s, int i, int j, double *const *clean)
{
    images64 *n = s->oracle;
    double sum = 0;
    bool first = true, whole = false;
    run_on64(n, i, (moves64){i, j, 0.3, NULL});
    for (int k = i + 1; k < n->stages; k++) {
        const stage64 *of = n->stage + k;
        int pixels = changed_pixels(n, k, clean[k + 1]), before = changed_pixels(n, k - 1, clean[k]);
        bool dense = !strcmp(of->name, "dense");
        if (pixels == 0) return 0; /* nobody sees it */
        whole |= !strcmp(of->name, "norm");
        if (whole)
            sum += cost64(of);
        else if (dense)
            sum += (first ? 1 : before * n->stage[k - 1].out.c) * of->out.c;
        else if (!strcmp(of->name, "conv") && first)
            sum += pixels * of->out.c;
        else
            sum += cost64(of) / (of->out.h * of->out.w) * pixels;
        whole |= dense;
        /* behind a block, or cells, it is a pixel */
        first &= cost64(of) == 0 && *of->name != '}' && strcmp(of->name, "cells") != 0;
    }
    return sum;
}

static double complete_cost(const images_scene *s, int i)
{
    images64 *n = s->oracle;
    double *clean[MOST_STAGES + 1], sum = 0;
    run64(n, example_at(s, 0), still);
    for (int k = 0; k <= n->stages; k++) {
        size_t bytes = (size_t)count64(k ? n->stage[k - 1].out : n->stage[0].in) * sizeof(double);
        clean[k] = malloc(bytes);
        memcpy(clean[k], n->tensor[k], bytes);
    }
    for (int j = 0; j < count64(n->stage[i].out); j++) sum += partial_cost(s, i, j, clean);
    for (int k = 0; k <= n->stages; k++) free(clean[k]);
    return sum;
}

/* Multiply-adds of a step of one example: a clean pass, the moves of each stage, the directions that errors need. */
static double step_cost(const images_scene *s, bool complete, bool weights, int sides)
{
    const images64 *n = s->oracle;
    double sum = tail64(n, 0);
    for (int i = 0; i < n->stages; i++) {
        const stage64 *of = n->stage + i;
        double outputs = count64(of->out), parameters = parameters64(of), moves = tail64(n, i + 1);
        if (parameters == 0) continue;
        if (weights) moves += cost64(of) + parameters;
        sum += sides * (complete ? complete_cost(s, i) : K * moves);
        if (!weights) sum += cost64(of) + (of->biases ? outputs : 0);
    }
    return sum;
}

static void check_costs(const char *spec, size64 in, int first)
{
    images_scene s = set_images(ctx, 12, spec, in, 3, 3, "cross-entropy");
    for (int k = first; k < 6; k++) {
        bool complete = k < 2, weights = k >= 4;
        int sides = 1 + k % 2;
        zo_step_info info;
        free(direction_of(ctx, s.task, s.net, "nodes:sgd", 1,
                          SETTINGS(COMMON, "draws=5", complete ? "set=complete" : "set=random",
                                   weights ? "place=weights" : "place=outputs",
                                   sides == 1 ? "sides=one" : "sides=two"),
                          &info));
        double all = (double)zo_net_parameters(s.net); /* sgd: one each */
        assert_near(info.cost, s.examples * step_cost(&s, complete, weights, sides) + all, 0, 0,
                    spec);
    }
    assert_true(zo_net_cost(s.net) == tail64(s.oracle, 0));
    clear_images(&s);
}

static void check_cost(const char *spec, size64 in) { check_costs(spec, in, 0); }

/* Random draws of a first branch do not run the second. */
static void branches_cost_what_they_move(void **state)
{
    (void)state;
    check_costs("{ { dense5 tanh dense3 | dense4 tanh dense3 }+ | dense6 tanh dense3 }+",
                (size64){1, 1, 4}, 2);
    check_costs("conv2x3 tanh { conv3x4,same tanh conv1x3 | conv2x5,same tanh }cat conv2x4 dense3",
                (size64){5, 5, 2}, 2);
}

/* In smooth nets every moved output changes what follows. */
static void cost_equals_a_count(void **state)
{
    (void)state;
    check_cost("conv3x4,same,stride2 tanh conv2x5,nobias tanh dense7 tanh dense3",
               (size64){6, 6, 2});
    check_cost("conv2x3 tanh meanpool2 dwconv2,same norm tanh scale dense3", (size64){5, 5, 2});
    check_cost("patch2x3,pad1 tanh patch3x4,same,stride2 tanh conv2x3 tanh cells2 dense3",
               (size64){6, 5, 2});
    check_cost("conv2x3 tanh { conv3x4,same tanh }cat conv2x4 tanh dense3", (size64){5, 5, 2});
    check_cost("conv2x3 tanh conv2x4 cells3 scale tanh cells2 conv2x3 tanh dense3",
               (size64){8, 7, 2});
    check_cost("conv1x3 tanh flatten dense5 sigmoid dense4 tanh dense3", (size64){2, 3, 2});
    check_cost("conv3x2 tanh conv3x5,same conv2x17 tanh meanpool2 dense6 tanh dense3",
               (size64){9, 8, 2});
    check_cost("conv2x3 tanh meanpool2 conv2x4 tanh conv2x4 meanpool2,stride1 dense9 tanh dense3",
               (size64){9, 9, 1});
    check_cost("conv3x4,same tanh { conv3x4,same tanh scale conv3x4,same }+ global-mean dense3",
               (size64){7, 8, 2});
}

/* What the plan says of a complete set is what its moves cost: of smooth nets whose poolings are means. `limit` is spent to within an item of
 * work, and not passed by more. */
static void plans_cost_what_they_say(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
    } of[] = {{"conv3x4,same tanh conv2x5 meanpool2 dense3", {9, 8, 2}},
              {"conv3x8,same tanh global-mean dense3", {8, 8, 1}},
              {"conv3x4 tanh conv3x4,same tanh conv3x4 global-mean dense3", {9, 9, 1}}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        images_scene s = set_images(ctx, 120, of[i].spec, of[i].in, 3, 3, "cross-entropy");
        double whole = complete_cost(&s, 0) / zo_net_cost(s.net);
        for (int k = 0; k < 2; k++) {
            char limit[32], want[64];
            double spend = k ? whole * 0.31 : whole * 1.01;
            int n = k ? 64 : s.examples; /* 0.31 of 110 is 35: two items */
            snprintf(limit, sizeof limit, "limit=%.6f", spend);
            snprintf(want, sizeof want, "about %.3g forward", whole * n / s.examples);
            zo_trainer *t = make_trainer(ctx, s.task, s.net, "nodes:sgd", 1,
                                         SETTINGS(COMMON, "place=outputs", "sides=one", limit));
            const char *line = zo_trainer_plan(t, 0);
            if (!strstr(line, want)) fail_msg("\"%s\" is not in: %s", want, line);
            if (k && !strstr(line, "for 64 of 110 examples")) fail_msg("64 examples: %s", line);
            zo_trainer_destroy(t);
        }
        clear_images(&s);
    }
}

/* Forty blocks behind each other, of which each is added before the next begins. */
static void many_blocks_are_nothing_special(void **state)
{
    char spec[1000] = "conv1x4";
    (void)state;
    for (int i = 0; i < 38; i++) strcat(spec, " { conv1x4 }+");
    strcat(spec, " dense3");
    zo_task *task = make_images(ctx, 30, 2, 2, 1, 3, 3);
    zo_net *net = make_net(ctx, task, spec, 1);
    float *a = direction_of(ctx, task, net, "nodes:sgd", 1, SETTINGS(COMMON, "set=complete"), NULL),
          *b = direction_of(ctx, task, net, "backprop:sgd", 1, SETTINGS(COMMON), NULL);
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < net->arena; i++)
        ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i],
            bb += (double)b[i] * (double)b[i];
    assert_true(ab / sqrt(aa * bb) > 0.9);
    free(a), free(b);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- memory ---- */

/* Bytes that a trainer holds, before and, with `step`, after a step. */
static long long bytes_of(int threads, const char *spec, size64 in, bool step,
                          const char *const *settings)
{
    memory m = {.left = -1};
    zo_context *where = make_context(threads, NULL, &m);
    zo_task *task = make_images(where, 40, in.h, in.w, in.c, 3, 3);
    zo_net *net = make_net(where, task, spec, 1);
    long long before = m.bytes;
    zo_trainer *t = make_trainer(where, task, net, "nodes:sgd", 1, settings);
    long long bytes = m.bytes - before;
    m.left = 0; /* a step allocates nothing */
    if (step) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    assert_true(m.bytes == before + bytes);
    zo_trainer_destroy(t);
    assert_true(m.bytes == before);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(where);
    return bytes;
}

static const struct {
    const char *spec;
    size64 in;
} nets[] = {
    {"conv5x8 relu pool2 conv3x16 relu dense20 relu dense3", {14, 14, 1}},
    {"conv3x5,same tanh { conv3x5,same norm relu }+ dwconv3 gelu global-mean dense3", {9, 9, 3}},
    {"dense64 relu dense48 relu dense3", {1, 1, 30}},
};

/* Draws are made when they are needed and forgotten: beyond those that wait together they take no room. */
static void draws_take_no_memory(void **state)
{
    static const char *const draws[] = {"draws=64", "draws=128", "draws=1000", "draws=4096"};
    static const char *const place[] = {"place=outputs", "place=weights"};
    static const char *const noise[] = {"noise=rademacher", "noise=gaussian", "noise=hadamard"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 6; k++) {
            long long first = 0;
            for (int d = 0; d < 4; d++) {
                long long bytes = bytes_of(
                    2, nets[i].spec, nets[i].in, d == 0,
                    SETTINGS("batch=2", "set=random", draws[d], place[k % 2], noise[k / 2]));
                if (d && bytes != first)
                    fail_msg("%s, %s, %s: %lld bytes, not %lld", nets[i].spec, place[k % 2],
                             draws[d], bytes, first);
                first = bytes;
            }
        }
    }
}

/* What a thread more takes: two tensors of the rows that run together, or one more for each block within a block; the room for padded
 * images, twice; z of an item, and where noise enters behind a pooling; 32 KiB of noise; and small things: losses that wait, a row. */
static void threads_take_little(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *const *settings =
            SETTINGS("batch=32", "set=random", "place=outputs", "draws=16");
        long long one = bytes_of(1, nets[i].spec, nets[i].in, true, settings),
                  more = bytes_of(3, nets[i].spec, nets[i].in, true, settings) - one;
        zo_net *net = make_images_net(ctx, nets[i].spec, nets[i].in, 1);
        size_t z = 0, slots = strstr(nets[i].spec, "{") ? 3 : 2, rows = 65536 / net->widest,
               tile = 0;
        for (int s = 0; s < net->stages; s++) {
            const zo_stage *st = net->stage + s;
            if (st->activation) z += ZO_ITEM * st->ld_out;
            if (!strcmp(st->layer->info.name, "pool")) z += 3 * ZO_ITEM * st->ld_out;
            if (st->tile_rows * ZO_PANEL > tile) tile = st->tile_rows * ZO_PANEL;
        }
        rows = rows < 8 ? 8 : rows < 112 ? rows : 112;
        double most = 4.0 * (double)(slots * rows * net->widest + 2 * net->padded + z + tile) +
                      32768 + 2 * ZO_ITEM * 16 * 8 + 16 * (double)net->widest + 30000;
        print_message("%s: %lld bytes, %lld for two threads more, at most %.0f\n", nets[i].spec,
                      one, more, 2 * most);
        assert_true((double)more <= 2 * most);
        assert_true(zo_net_scratch(net, rows) - zo_round16(net->padded) <=
                    slots * rows * net->widest);
        zo_net_destroy(net);
    }
}

/* ---- bits ---- */

static float *bits_of(zo_context *where, const char *spec, size64 in, const char *const *settings,
                      size_t *n)
{
    zo_task *task = make_images(where, 40, in.h, in.w, in.c, 3, 3);
    zo_net *net = make_net(where, task, spec, 1);
    zo_trainer *t = make_trainer(where, task, net, "nodes:adam", 1, settings);
    for (int step = 0; step < 2; step++) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    const zo_net *after = zo_trainer_net(t);
    float *p = floats(after->arena);
    memcpy(p, after->params, after->arena * sizeof *p);
    *n = after->arena;
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return p;
}

/* Each set of kernels with another number of threads, and the best once more with another. */
static void check_step_bits(const char *spec, size64 in, const char *const *settings)
{
    float *want = NULL;
    size_t n;
    for (int k = 0; k == 0 || kernel_set(k - 1); k++) {
        zo_context *where = make_context(1 + k, k ? kernel_set(k - 1)->info.name : NULL, NULL);
        float *got = bits_of(where, spec, in, settings, &n);
        if (want) assert_same_floats(got, want, n, spec);
        if (want) free(got);
        if (!want) want = got;
        zo_context_destroy(where);
    }
    free(want);
}

/* Two items of work, the second with one example. */
static void bits_depend_on_nothing_else(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
    } of[] = {
        {"conv3x8 relu pool2 conv2x16 relu dense9 relu dense3", {7, 7, 1}},
        {"conv3x5,same tanh { conv3x5,same norm relu }+ dwconv3 gelu global-mean dense3", {4, 3, 3}},
        {"dense33 wta4 { dense33 step }+ dense9 quant3 dense3", {1, 1, 20}},
        {"conv2x7,same gelu pool2,same conv1x18 quant3 global-max dense3", {5, 5, 2}},
    };
    static const char *const ways[][4] = {
        {"set=random", "place=outputs", "draws=7", "noise=rademacher"},
        {"set=random", "place=outputs", "draws=7", "noise=gaussian"},
        {"set=random", "place=weights", "draws=7", "noise=rademacher"},
        {"set=random", "place=weights", "draws=7", "noise=gaussian"},
        {"set=random", "place=outputs", "draws=7", "noise=hadamard"},
        {"set=random", "place=weights", "draws=7", "noise=hadamard"},
        {"set=complete", "place=outputs", "draws=1", "noise=rademacher"},
        {"set=auto", "place=auto", "draws=20", "noise=rademacher"},
    };
    (void)state;
    for (int i = 0; i < 4; i++) {
        for (int w = 0; w < 8; w++)
            check_step_bits(
                of[i].spec, of[i].in,
                SETTINGS("batch=33", "sides=two", ways[w][0], ways[w][1], ways[w][2], ways[w][3]));
    }
}

/* More draws than wait together. */
static void bits_of_many_draws_depend_on_nothing_else(void **state)
{
    static const char *const noise[] = {"noise=rademacher", "noise=gaussian", "noise=hadamard"};
    static const char *const place[] = {"place=outputs", "place=weights"};
    (void)state;
    for (int k = 0; k < 6; k++) {
        const char *const *settings =
            SETTINGS("batch=33", "sides=one", "set=random", "draws=67", noise[k % 3], place[k / 3]);
        check_step_bits("dense20 wta3 dense9 tanh dense3", (size64){1, 1, 12}, settings);
        check_step_bits("conv2x5 relu dwconv2,same gelu dense3", (size64){3, 3, 2}, settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_planned),
        cmocka_unit_test(few_weights_are_moved),
        cmocka_unit_test(poolings_make_draws_few),
        cmocka_unit_test(plans_cost_what_they_say),
        cmocka_unit_test(many_blocks_are_nothing_special),
        cmocka_unit_test(cost_equals_a_count),
        cmocka_unit_test(branches_cost_what_they_move),
        cmocka_unit_test(draws_take_no_memory),
        cmocka_unit_test(threads_take_little),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(bits_of_many_draws_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The reference on every kind of layer: directions against central differences of every parameter in double precision, which go through the
 * layers behind it; straight-through against the derivative of what it puts in the place of activations that jump. What is compared with a
 * twin that is wrong in one thing must differ.
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

/* The direction of one step of all stages. */
static void check_step(const images_scene *s, const char *method, bool rule)
{
    zo_step_info info;
    float *arena = direction_of(ctx, s->task, s->net, method, 1, SETTINGS(COMMON, s->loss), &info);
    double loss = 0;
    for (int b = 0; b < s->examples; b++) loss += example_loss(s, b, still) / s->examples;
    assert_near(info.loss, loss, 1e-6, 1e-5, s->net->spec);
    for (int i = 0; i < s->oracle->stages; i++) {
        int n = parameters64(s->oracle->stage + i);
        if (!n) continue;
        double *got = step_of(s, arena, i), *want = direction64(s, i, rule),
               apart = apart64(got, want, n);
        if (!(apart < 2e-4))
            fail_msg("%s: %s on %s, stage %d: %g apart", method, s->loss, s->net->spec, i, apart);
        free(got), free(want);
    }
    check_pads(s->net, arena);
    free(arena);
}

/* On labels with one of two losses, or on numbers, in turn. */
static void check_reference(const char *spec, size64 in, size_t turn)
{
    images_scene s = set_images(ctx, 8, spec, in, turn % 3 ? 3 : 0, 3,
                                turn % 3 == 1 ? "cross-entropy" : "squared-error");
    check_step(&s, "backprop:sgd", false);
    clear_images(&s);
}

static const struct {
    const char *spec;
    size64 in;
} nets[] = {
    {"conv3x4 tanh conv2x3 tanh dense3", {5, 5, 2}},
    {"conv1x5 gelu conv3x4,same,stride2 tanh dense3", {5, 4, 3}},
    {"conv2x3x4,dilation2 sigmoid conv3x2x5,same,dilation2 tanh conv1x3 global-mean", {6, 5, 2}},
    {"conv2x17,nobias tanh conv2x33,same,nobias gelu global-mean dense3", {3, 4, 1}},
    {"conv3x2,same,stride3 tanh conv4x3,same,stride2 tanh dense3", {7, 8, 1}},
    {"conv5x2,same tanh conv4x2,same tanh dense3", {3, 2, 3}}, /* windows larger than the image */
    {"conv2x3,stride3 tanh conv2x2,stride2 tanh dense3", {9, 9, 1}}, /* pixels that no window sees */
    {"conv2x4,same dwconv3,same tanh dwconv2,stride2 tanh dense3", {5, 5, 2}},
    {"dwconv3x2,same,dilation2 gelu dwconv2x3,nobias tanh conv1x3 global-mean", {5, 6, 17}},
    {"conv2x5 tanh pool2 dense3", {5, 5, 2}},
    {"conv1x5 tanh pool3,stride2 conv1x3 global-max", {6, 6, 2}}, /* windows that overlap */
    {"conv1x17 tanh pool2,same,stride1 meanpool3,same,stride2 dense3", {4, 5, 2}},
    {"conv1x4 tanh meanpool2,stride3 dense3", {5, 6, 3}},
    {"conv2x3 tanh global-max dense3", {5, 4, 2}},
    {"conv2x19 tanh global-mean dense3", {5, 4, 2}},
    {"conv2x5 norm tanh conv1x3 norm,nobias global-mean", {4, 4, 2}},
    {"norm dense7 norm tanh dense3", {2, 3, 3}},
    {"twosided0.25 conv2x5 twosided0.5 tanh dense3", {4, 4, 3}},
    {"dense9 twosided dense5 tanh twosided0.1 dense3", {1, 1, 5}},
    {"conv1x5 tanh cells3 conv1x3 tanh cells2 dense3", {5, 4, 2}},
    {"conv1x17 tanh cells3,max conv1x3 tanh cells2,max dense3", {5, 4, 2}},
    {"patch3x4 tanh patch2x3 tanh dense3", {5, 5, 2}},
    {"conv1x5 tanh patch3x4,same,stride2 tanh patch2x33,pad1,nobias,eps0.1 gelu dense3", {5, 4, 3}},
    {"dwconv2 patch3x2x17,eps.2 tanh patch1x5,stride2 global-mean dense3", {5, 6, 16}},
    {"scale tanh conv2x5 scale,nobias tanh scale dense3", {4, 4, 3}},
    {"conv1x5 tanh flatten scale tanh dense3", {3, 3, 2}}, /* copied together */
    {"image2 tanh conv2x3 tanh dense3",
     {4, 4, 1}}, /* pixels that come in are others than those that go out */
    {"image3x4 tanh conv2x3 tanh dense3", {2, 2, 3}},
    {"conv1x16 tanh image2 conv1x3 tanh dense3", {4, 4, 1}},
    {"conv1x16 tanh image8x4 tanh conv3x3 tanh dense3", {3, 2, 2}},
    {"dwconv2,same scale dense9 tanh dense3", {3, 3, 17}},
    {"conv2x3 tanh eachconv3x2x4,same,stride2 tanh eachconv2x17,dilation2,same tanh dense3",
     {5, 5, 2}},
    {"conv2x6 tanh eachdense3x4 tanh eachdense4x17 tanh eachdense34x2 dense3", {4, 3, 2}},
};
enum { NETS = sizeof nets / sizeof *nets };

static void layers_agree_with_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < NETS; i++) check_reference(nets[i].spec, nets[i].in, i);
}

static const struct {
    const char *spec;
    size64 in;
} blocks[] = {
    {"dense5 { dense5 tanh }+ dense3", {1, 1, 4}},
    {"{ conv3x2,same tanh }+ conv2x4 tanh dense3", {4, 4, 2}},
    {"{ scale tanh { conv1x3 tanh }+ }+ { norm }+ conv1x3 global-mean", {4, 3, 3}},
    {"conv2x4 tanh { conv3x4,same gelu norm conv1x4 }+ tanh dense3", {4, 4, 2}},
    {"conv1x5 { dwconv3,same tanh { conv1x5 tanh { scale }+ }+ conv1x5 }+ pool2 dense3", {4, 4, 2}},
    {"dense6 tanh { { { dense6 }+ tanh }+ tanh }+ { dense4 tanh dense6 }+ dense3", {1, 1, 5}},
    {"conv1x4 tanh { patch3x4,same tanh }+ { patch3x4,pad1,eps1 }+ dense3", {4, 4, 2}},
    {"dense5 tanh { dense4 tanh | dense6 tanh dense4 }+ dense3", {1, 1, 4}},
    {"{ { dense5 tanh dense3 | dense4 tanh dense3 }+ | dense6 tanh dense3 }+", {1, 1, 4}},
    {"dense5 tanh { dense4 tanh dense6 | { dense5 tanh | dense4 }cat tanh }cat dense3", {1, 1, 4}},
    {"conv2x4 tanh { conv3x5,same tanh | conv3x4,same tanh conv1x3 }cat conv2x2 tanh dense3",
     {4, 4, 2}},
    {"{ conv3x3,same tanh { conv1x3 tanh | scale }+ | conv1x3 tanh }+ tanh dense3", {4, 4, 2}},
    {"conv1x3 tanh { meanpool2 conv1x4 tanh | conv2x4,stride2 tanh norm }+ conv1x3 tanh dense3",
     {4, 4, 2}},
    {"conv2x3 tanh { flatten dense4 tanh | conv2x2 tanh flatten }cat dense3", {4, 4, 2}},
    {"dense5 { dense4 tanh }cat dense3", {1, 1, 4}},
    {"conv1x6 flatten scale { image4x2 conv2x3 tanh flatten }cat dense3", {4, 4, 1}},
    {"{ conv3x2,same tanh }cat conv2x4 tanh dense3", {4, 4, 2}},
    {"conv1x4 { { conv1x3 tanh }cat tanh conv3x17,same }cat tanh { scale }+ dense3", {4, 4, 2}},
    {"{ scale | conv3x2,same tanh }+ { dwconv3,same tanh | norm }+ pool2 dense3", {4, 4, 2}},
    {"conv2x4 tanh { cells3 }+ cells2 dense3", {4, 4, 2}},
    {"conv2x4 tanh { cells3,max }+ cells2 dense3", {4, 4, 2}},
    {"conv1x4 tanh { conv3x4,same tanh }+ { meanpool3,same,stride1 }+ dense3", {3, 3, 2}},
};

static void blocks_agree_with_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        check_reference(blocks[i].spec, blocks[i].in, i + 1);
}

/* Every smooth activation behind a convolution, on more examples than a tile of sums holds. */
static void activations_agree_with_central_differences(void **state)
{
    static const char *const smooth[] = {"relu", "leaky-relu", "tanh", "sigmoid", "gelu"};
    char spec[64];
    (void)state;
    for (int i = 0; i < 5; i++) {
        snprintf(spec, sizeof spec, "conv2x3 %s conv2x2,same %s dense3 %s", smooth[i],
                 smooth[(i + 1) % 5], smooth[i]);
        images_scene s = set_images(ctx, 150, spec, (size64){3, 3, 1}, 3, 3, "squared-error");
        check_step(&s, "backprop:sgd", false);
        clear_images(&s);
    }
}

/* sqrt where its slope is no more than what stands for it near zero: the sigmoid keeps away from there. */
static void square_roots_agree_with_central_differences(void **state)
{
    (void)state;
    check_reference("conv2x5 sigmoid meanpool1 sqrt conv2x4 tanh dense3", (size64){4, 4, 2}, 1);
    check_reference("dense9 sigmoid scale sqrt dense3", (size64){1, 1, 4}, 2);
}

/* ---- straight-through ---- */

static void straight_through_follows_its_rule(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
    } jumping[] = {
        {"dense9 step dense7 sign dense3", {1, 1, 5}},
        {"conv2x5 sign conv2x3,same step dense3", {4, 4, 2}},
        {"conv3x6,same wta3 conv2x5 wta2 dense3", {4, 4, 2}},
        {"dense8 quant2 dense6 quant1 dense3", {2, 2, 3}},
        {"conv2x4 norm quant4 { conv3x4,same tanh scale quant3 }+ sign global-mean dense3 quant8",
         {4, 4, 2}},
        {"conv2x5 tanh dense3", {4, 4, 2}}, /* where nothing jumps it is the derivative */
    };
    (void)state;
    for (size_t i = 0; i < sizeof jumping / sizeof *jumping; i++) {
        images_scene s = set_images(ctx, 10, jumping[i].spec, jumping[i].in, 3, 3, "squared-error");
        check_step(&s, "straight-through:sgd", true);
        clear_images(&s);
    }
}

static void what_has_no_derivative_is_refused(void **state)
{
    static const char *const jumping[] = {"dense5 step dense3", "dense5 sign dense3",
                                          "dense5 quant2 dense3", "dense5 wta2 dense3"};
    (void)state;
    zo_task *task = make_task(ctx, 40, 4, 3, 3);
    for (int i = 0; i < 4; i++) {
        zo_net *net = make_net(ctx, task, jumping[i], 1);
        zo_trainer *trainer;
        zo_trainer_def def = zo_trainer_default_def();
        def.task = task, def.net = net;
        def.method = "backprop";
        assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_UNSUPPORTED);
        error_says(ctx, "no useful derivative", "straight-through", NULL);
        def.method = "straight-through";
        def.settings = SETTINGS("loss=zero-one");
        assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_UNSUPPORTED);
        error_says(ctx, "zero-one", "nodes", NULL);
        zo_net_destroy(net);
    }
    zo_task_destroy(task);
}

/* ---- twins ---- */

/* The difference of the second stage's step from that of an oracle that something was done to. */
static double apart_from(const char *spec, size64 in, const char *method, bool rule,
                         void (*breaks)(images64 *))
{
    images_scene s = set_images(ctx, 8, spec, in, 3, 3, "cross-entropy");
    float *arena = direction_of(ctx, s.task, s.net, method, 1, SETTINGS(COMMON, s.loss), NULL);
    if (breaks) breaks(s.oracle);
    double *got = step_of(&s, arena, 0), *want = direction64(&s, 0, rule),
           apart = apart64(got, want, parameters64(s.oracle->stage));
    free(got), free(want), free(arena);
    clear_images(&s);
    return apart;
}

static void flip_second(images64 *n)
{
    stage64 *s = n->stage + 1;
    int each = s->weights / (s->height * s->width), last = s->weights - each;
    for (int i = 0; i < last - i; i += each) {
        for (int k = 0; k < each; k++) {
            double kept = s->w[i + k];
            s->w[i + k] = s->w[last - i + k];
            s->w[last - i + k] = kept;
        }
    }
}

static void move_second(images64 *n) { n->stage[1].top++; }
static void mean_for_most(images64 *n) { memcpy(n->stage[1].name, "meanpool", 9); }
static void forget_block(images64 *n) { n->stage[1].skip = 1; }
static void run_on(images64 *n) { n->stage[1].skip = 1; } /* the second branch behind the first */

static void broken_twins_are_noticed(void **state)
{
    static const struct {
        const char *spec;
        void (*breaks)(images64 *);
    } twins[] = {
        {"conv1x4 tanh conv3x4,same tanh dense3", flip_second},
        {"conv1x4 tanh dwconv3,same tanh dense3", flip_second},
        {"conv1x4 tanh conv2x4,same,stride2 tanh dense3", move_second},
        {"conv1x4 tanh pool2 dense3", mean_for_most},
        {"{ conv1x2 tanh }+ dense3", forget_block},
        {"{ conv1x2 tanh | scale tanh conv1x2 }+ dense3", run_on},
    };
    size64 in = {5, 5, 2};
    (void)state;
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        assert_true(apart_from(twins[i].spec, in, "backprop:sgd", false, NULL) < 2e-4);
        assert_true(apart_from(twins[i].spec, in, "backprop:sgd", false, twins[i].breaks) > 0.02);
    }
    /* nor is the rule the derivative, which is 0 */
    const char *spec = "conv1x4 sign conv3x4,same step dense3";
    assert_true(apart_from(spec, in, "straight-through:sgd", true, NULL) < 2e-4);
    assert_true(apart_from(spec, in, "straight-through:sgd", false, NULL) > 0.02);
    assert_true(apart_from(spec, in, "straight-through:sgd", true, flip_second) > 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_agree_with_central_differences),
        cmocka_unit_test(blocks_agree_with_central_differences),
        cmocka_unit_test(activations_agree_with_central_differences),
        cmocka_unit_test(square_roots_agree_with_central_differences),
        cmocka_unit_test(straight_through_follows_its_rule),
        cmocka_unit_test(what_has_no_derivative_is_refused),
        cmocka_unit_test(broken_twins_are_noticed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

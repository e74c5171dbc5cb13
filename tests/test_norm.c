/* norm and scale, and every activation behind every kind of layer: forward passes against double precision, twins that are wrong in one
 * thing, and bits.
 */
#include "images_support.h"

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

/* ---- norm and scale ---- */

static void norms_are_their_formula(void **state)
{
    static const char *const specs[] = {"norm",
                                        "norm,nobias",
                                        "scale",
                                        "scale,nobias",
                                        "conv1x5 norm tanh",
                                        "dense33 norm relu",
                                        "norm scale norm",
                                        "conv3x17,same norm gelu pool2,same",
                                        "flatten norm",
                                        "norm flatten dense3"};
    uint64_t seed = 41;
    (void)state;
    for (int i = 0; i < 400; i++) {
        size64 in = {pick(&seed, 1, 8), pick(&seed, 1, 8), pick_channels(&seed)};
        if (count64(in) < 3) continue; /* two numbers have the same norm whatever they are */
        check_spec(ctx, specs[i % 10], in, draw_bits(&seed));
    }
}

/* Numbers far from zero: a sum of squares would lose its digits. Numbers that are all equal have a norm: 0. */
static void norms_keep_their_digits(void **state)
{
    size64 in = {5, 5, 7};
    zo_net *net = make_images_net(ctx, "norm", in, 4);
    images64 *oracle = images64_of(net);
    int n = count64(in), compared;
    float *x = draw_examples(net, ROWS, 6), *y;
    (void)state;
    for (int i = 0; i < ROWS * n; i++) x[i] = 1000 + x[i] * 0.5f;
    double worst = worst64(net, oracle, ROWS, x, &compared);
    print_message("1000 +- 1: error %g\n", worst);
    assert_true(worst < 1e-3);
    for (int i = 0; i < ROWS * n; i++) x[i] = 3;
    y = answers_of(net, ROWS, x);
    for (int i = 0; i < ROWS * n; i++)
        assert_near((double)y[i], oracle->stage[0].b[i % 7], 1e-6, 0, "the norm of equal numbers");
    free(x), free(y);
    free64(oracle);
    zo_net_destroy(net);
}

/* ---- activations ---- */

/* Every activation behind every layer that gives numbers. */
static void activations_are_their_formula(void **state)
{
    static const char *const layers[] = {"conv3x5,same", "conv1x17",     "conv2x48,stride2",
                                         "dwconv3,same", "pool2,same",   "meanpool2",
                                         "global-mean",  "conv1x3 norm", "scale",
                                         "flatten",      "dense33",      "dense5"};
    const zo_class_info *l;
    char spec[96];
    int nets = 0;
    (void)state;
    for (int i = 0; (l = zo_class_at("layers", i)); i++) {
        const zo_layer_class *class = (const zo_layer_class *)l;
        if (class->kind != ZO_LAYER_ACTIVATION) continue;
        for (int at = 0; at < 12; at++) {
            for (int number = 1; number <= (class->most_numbers ? 8 : 1); number += 1 + number / 3) {
                char digits[16] = "";
                if (class->most_numbers) snprintf(digits, sizeof digits, "%d", number);
                snprintf(spec, sizeof spec, "%s %s%s conv1x3 tanh", layers[at], l->name, digits);
                check_spec(ctx, spec, (size64){4, 5, 3}, (uint64_t)(i + at));
                nets++;
            }
        }
    }
    assert_true(nets > 150);
}

/* Values that need no oracle: halves go to the even step, groups end where channels end, equals have one winner. */
static void numbered_activations_have_known_values(void **state)
{
    static const float z[] = {-1, 0.1f, 0.5f, 0.51f, 1, 7, 0.5f},
                       two[] = {0, 0, 2.0f / 3, 2.0f / 3, 1, 1, 2.0f / 3},
                       one[] = {0, 0, 0, 1, 1, 1, 0}, /* 0.5: to 0 */
        three[] = {0, 0, 1, 0, 0, 1, 1};              /* of 3, 3 and 1 */
    static const struct {
        const char *spec;
        const float *want;
    } known[] = {
        {"scale,nobias quant2", two}, {"scale,nobias quant1", one}, {"scale,nobias wta3", three}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        float y[14], x[14];
        zo_net *net = NULL;
        zo_net_def def = {
            .spec = known[i].spec, .inputs = 14, .height = 1, .width = 2, .channels = 7};
        assert_int_equal(zo_net_create(ctx, &def, &net), ZO_OK);
        memcpy(x, z, sizeof z), memcpy(x + 7, z, sizeof z);
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        assert_same_floats(y, known[i].want, 7, known[i].spec);
        assert_same_floats(y + 7, known[i].want, 7, known[i].spec); /* of the other pixel */
        zo_net_destroy(net);
    }
}

/* ---- twins ---- */

/* Each channel has the gain of the next. */
static void shift_gains(images64 *n)
{
    stage64 *s = n->stage;
    double first = s->w[0];
    memmove(s->w, s->w + 1, (size_t)(s->weights - 1) * sizeof *s->w);
    s->w[s->weights - 1] = first;
}

static void forget_shift(images64 *n) { n->stage[0].biases = 0; }
static void only_scale(images64 *n) { memcpy(n->stage[0].name, "scale", 6); }
static void larger_groups(images64 *n) { n->stage[0].number++; }
static void forget_activation(images64 *n) { n->stage[0].activation[0] = 0; }

static void broken_twins_are_noticed(void **state)
{
    size64 in = {4, 4, 6};
    (void)state;
    check_twin(ctx, "norm", in, shift_gains);
    check_twin(ctx, "norm", in, forget_shift);
    check_twin(ctx, "norm", in, only_scale);
    check_twin(ctx, "scale", in, shift_gains);
    check_twin(ctx, "scale", in, forget_shift);
    check_twin(ctx, "conv1x8 wta3", in, larger_groups);
    check_twin(ctx, "conv1x2 quant2", (size64){1, 2, 6}, larger_groups);
    check_twin(ctx, "scale gelu", in, forget_activation);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("norm conv3x17,same norm gelu scale dense3", (size64){7, 8, 3});
    check_bits("conv1x33 norm,nobias quant3 conv2x5,same wta3 norm dense5 quant8",
               (size64){5, 6, 2});
    check_bits("scale,nobias step conv3x48 sign dwconv2 norm leaky-relu", (size64){6, 6, 5});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_their_formula),
        cmocka_unit_test(norms_keep_their_digits),
        cmocka_unit_test(activations_are_their_formula),
        cmocka_unit_test(numbered_activations_have_known_values),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

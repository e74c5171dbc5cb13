/* Layers of fixed features: what their formula says in double precision, twins that are wrong in one thing, and bits.
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

/* ---- twosided ---- */

static void both_sides_are_their_formula(void **state)
{
    static const char *const specs[] = {"twosided0.25",
                                        "twosided",
                                        "conv1x5 twosided.5 tanh",
                                        "dense33 twosided0.1 dense7 twosided1 relu",
                                        "conv3x17,same twosided0.3 pool2,same twosided0.01",
                                        "flatten twosided1.5 norm",
                                        "twosided0.2 flatten dense3"};
    uint64_t seed = 71;
    (void)state;
    for (int i = 0; i < 210; i++) {
        size64 in = {pick(&seed, 1, 6), pick(&seed, 1, 6), pick_channels(&seed)};
        if (count64(in) < 3) continue;
        check_spec(ctx, specs[i % 7], in, draw_bits(&seed));
    }
}

/* Channels come in their order, those above the threshold first. */
static void both_sides_have_known_values(void **state)
{
    static const float x[6] = {-1, 0.25f, 2, 0.5f, -0.25f, -4},
                       want[12] = {0, 0, 1.75f, 0.75f, 0, 0, 0.25f, 0, 0, 0, 0, 3.75f};
    zo_net *net = make_images_net(ctx, "twosided0.25", (size64){1, 2, 3}, 1);
    float y[12];
    (void)state;
    assert_int_equal(net->outputs, 12);
    assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
    assert_same_floats(y, want, 12, "twosided0.25");
    zo_net_destroy(net);
}

/* ---- twins ---- */

static void forget_threshold(images64 *n) { n->stage[0].decimal = 0; }

static void broken_twins_are_noticed(void **state)
{
    size64 in = {4, 4, 6};
    (void)state;
    check_twin(ctx, "twosided0.25 tanh", in, forget_threshold);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("conv3x17 twosided0.25 sqrt conv1x3 twosided dense3", (size64){7, 8, 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_are_their_formula),
        cmocka_unit_test(both_sides_have_known_values),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

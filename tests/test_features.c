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

/* ---- patch ---- */

static void patches_are_their_formula(void **state)
{
    static const char *const specs[] = {"patch3x5",
                                        "patch2x3x33,same tanh",
                                        "patch3x17,stride2,pad1,nobias relu",
                                        "patch4x1x4,same,stride3,eps0.5 gelu",
                                        "conv1x5 tanh patch3x3,pad2,eps.001 wta2 dense3",
                                        "patch1x7 patch2x40,stride2 twosided0.1 cells1 dense3",
                                        "patch5x100,pad4,stride3"};
    uint64_t seed = 73;
    int nets = 0;
    (void)state;
    for (int i = 0; i < 420; i++) {
        size64 in = {pick(&seed, 1, 9), pick(&seed, 1, 20), pick_channels(&seed)};
        if (!in.h || count64(in) < 3) continue;
        zo_net *net = try_images(ctx, specs[i % 7], in, draw_bits(&seed));
        if (!net) continue;
        check_images(net, 5e-5);
        zo_net_destroy(net);
        nets++;
    }
    assert_true(nets > 250);
}

/* Images far from zero keep their digits; a patch without contrast gives the bias. */
static void patches_keep_their_digits(void **state)
{
    size64 in = {9, 9, 2};
    zo_net *net = make_images_net(ctx, "patch3x20", in, 4);
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
    for (int i = 0; i < net->outputs; i++)
        assert_near((double)y[i], oracle->stage[0].b[i % 20], 1e-6, 0, "a patch of equal numbers");
    free(x), free(y);
    free64(oracle);
    zo_net_destroy(net);
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

/* ---- cells ---- */

static void cells_are_their_formula(void **state)
{
    uint64_t seed = 72;
    (void)state;
    for (int i = 0; i < 300; i++) {
        size64 in = {pick(&seed, 1, 13), pick(&seed, 1, 13), pick_channels(&seed)};
        int most = in.h < in.w ? in.h : in.w, grid = pick(&seed, 1, most < 6 ? most : 6);
        char spec[64];
        snprintf(spec, sizeof spec, i % 3 ? "cells%d" : "scale cells%d tanh dense3", grid);
        check_spec(ctx, spec, in, draw_bits(&seed));
    }
}

/* The edges numpy has: numpy.linspace(0, side, grid + 1).astype(int), side by side. */
static void cells_begin_where_numpy_begins_them(void **state)
{
    static const struct {
        int side, grid, edge[9];
    } numpy[] = {{26, 4, {0, 6, 13, 19, 26}},           {22, 5, {0, 4, 8, 13, 17, 22}},
                 {23, 5, {0, 4, 9, 13, 18, 23}},        {7, 3, {0, 2, 4, 7}},
                 {10, 8, {0, 1, 2, 3, 5, 6, 7, 8, 10}}, {28, 7, {0, 4, 8, 12, 16, 20, 24, 28}}};
    (void)state;
    for (size_t i = 0; i < sizeof numpy / sizeof *numpy; i++) {
        int side = numpy[i].side, grid = numpy[i].grid;
        const int *edge = numpy[i].edge;
        char spec[32];
        snprintf(spec, sizeof spec, "cells%d", grid);
        zo_net *net = make_images_net(ctx, spec, (size64){side, side, 1}, 1);
        float *x = floats((size_t)(side * side)), y[64];
        for (int p = 0; p < side * side; p++) x[p] = (float)(p / side); /* the line */
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        for (int c = 0; c < grid * grid; c++) {
            double middle = (edge[c / grid] + edge[c / grid + 1] - 1) / 2.0;
            assert_near((double)y[c], middle, 1e-5, 0, spec);
        }
        for (int p = 0; p < side * side; p++) x[p] = (float)(p % side); /* the column */
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        for (int c = 0; c < grid * grid; c++) {
            double middle = (edge[c % grid] + edge[c % grid + 1] - 1) / 2.0;
            assert_near((double)y[c], middle, 1e-5, 0, spec);
        }
        free(x);
        zo_net_destroy(net);
    }
}

/* Where the grid divides the image cells are windows. */
static void even_cells_are_a_mean_pooling(void **state)
{
    size64 in = {12, 12, 5};
    zo_net *cells = make_images_net(ctx, "cells4", in, 1),
           *pool = make_images_net(ctx, "meanpool3", in, 1);
    float *x = draw_examples(cells, ROWS, 2), *a = answers_of(cells, ROWS, x),
          *b = answers_of(pool, ROWS, x);
    (void)state;
    assert_same_floats(a, b, (size_t)(ROWS * cells->outputs), "cells4");
    free(x), free(a), free(b);
    zo_net_destroy(cells), zo_net_destroy(pool);
}

/* ---- twins ---- */

static void other_epsilon(images64 *n) { n->stage[0].decimal *= 4; }
static void only_filter(images64 *n) { memcpy(n->stage[0].name, "conv", 5); }
static void leave_pad_out(images64 *n) { n->stage[0].top--, n->stage[0].left--; }
static void forget_threshold(images64 *n) { n->stage[0].decimal = 0; }

static void mean_of_windows(images64 *n)
{
    stage64 *s = n->stage;
    memcpy(s->name, "meanpool", 9);
    s->height = s->width = s->stride = 2, s->dilation = 1;
}

static void broken_twins_are_noticed(void **state)
{
    size64 in = {4, 4, 6};
    (void)state;
    check_twin(ctx, "patch3x5", in, only_filter);
    check_twin(ctx, "patch3x5,eps0.5", in, other_epsilon);
    check_twin(ctx, "patch3x5,pad2", in, leave_pad_out);
    check_twin(ctx, "twosided0.25 tanh", in, forget_threshold);
    check_twin(ctx, "cells2", (size64){5, 5, 3}, mean_of_windows);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("patch3x33,pad1 gelu patch2x5,same,stride2,eps0.1 wta3 dense3", (size64){9, 18, 3});
    check_bits("conv3x17 twosided0.25 cells3 sqrt conv1x3 twosided dense3", (size64){7, 8, 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_are_their_formula),
        cmocka_unit_test(patches_keep_their_digits),
        cmocka_unit_test(both_sides_are_their_formula),
        cmocka_unit_test(both_sides_have_known_values),
        cmocka_unit_test(cells_are_their_formula),
        cmocka_unit_test(cells_begin_where_numpy_begins_them),
        cmocka_unit_test(even_cells_are_a_mean_pooling),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

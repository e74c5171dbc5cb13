/* Convolutions, all channels together or each for itself: forward passes of many geometries against nested loops in double precision, twins
 * that are wrong in one thing, and bits.
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

/* ---- many geometries ---- */

typedef struct counts {
    int fit, same, strides, dilations, gaps, wide;
} counts;

/* Windows of all sizes from 1 to 7 on small images, alone, or behind a layer that leaves pads between pixels. */
static void random_window(uint64_t *state, bool depthwise, counts *n)
{
    char spec[160], options[48], before[32] = "", filters[16] = "";
    size64 in = {pick(state, 1, 11), pick(state, 1, 11), pick_channels(state)};
    bool gaps = pick(state, 0, 1);
    if (gaps) snprintf(before, sizeof before, "conv1x%d tanh ", pick_channels(state));
    put_options(state, true, options, sizeof options);
    if (!depthwise) snprintf(filters, sizeof filters, "x%d", pick_channels(state));
    int height = pick(state, 1, 7), width = pick(state, 1, 7);
    snprintf(spec, sizeof spec, "%s%s%dx%d%s%s", before, depthwise ? "dwconv" : "conv", height,
             width, filters, options);
    zo_net *net = try_images(ctx, spec, in, draw_bits(state));
    if (!net) return; /* the window is larger than the image */
    check_images(net, 2e-5);
    n->fit++;
    n->same += strstr(spec, "same") != NULL;
    n->strides += strstr(spec, "stride") != NULL;
    n->dilations += strstr(spec, "dilation") != NULL;
    n->gaps += gaps;
    n->wide += width > height;
    zo_net_destroy(net);
}

static void check_windows(bool depthwise, uint64_t seed)
{
    counts n = {0};
    for (int i = 0; i < 1500; i++) random_window(&seed, depthwise, &n);
    print_message("%d nets: %d same, %d with a stride, %d with a dilation, %d on pads, %d wide\n",
                  n.fit, n.same, n.strides, n.dilations, n.gaps, n.wide);
    assert_true(n.fit > 300 && n.same > 100 && n.strides > 100 && n.dilations > 50);
    assert_true(n.gaps > 100 && n.wide > 100);
}

static void convolutions_are_nested_loops(void **state)
{
    (void)state;
    check_windows(false, 21);
}

static void depthwise_convolutions_are_nested_loops(void **state)
{
    (void)state;
    check_windows(true, 22);
}

/* Each square window on each count of channels, so that none is missed by chance. */
static void each_size_and_count_is_right(void **state)
{
    static const int channels[] = {1, 2, 3, 5, 8, 16, 17, 33, 48};
    char spec[96];
    (void)state;
    for (int c = 0; c < 9; c++) {
        for (int k = 1; k <= 7; k++) {
            size64 in = {8, 7, channels[c]};
            snprintf(spec, sizeof spec, "conv%dx%d%s", k, channels[(c + k) % 9],
                     k % 2 ? ",same" : "");
            check_spec(ctx, spec, in, 3);
            snprintf(spec, sizeof spec, "scale dwconv%d%s conv1x%d", k,
                     k % 2 ? "" : ",same,stride2", channels[(c + k) % 9]);
            check_spec(ctx, spec, in, 4);
        }
    }
}

/* Windows that lie outside of an image with whole rows, and images of one line. */
static void odd_geometries_are_right(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
    } odd[] = {
        {"conv3x4,same", {1, 1, 5}},
        {"conv2x4,same", {1, 1, 5}},
        {"conv1x3x4,same", {1, 9, 2}},
        {"conv3x4,same,dilation2", {2, 2, 3}},
        {"conv2x3,same,dilation4", {2, 3, 3}}, /* no term inside for some windows */
        {"dwconv2,same,dilation4", {2, 3, 3}},
        {"dwconv3,same,stride5", {7, 9, 17}},
        {"conv1x3,stride4", {9, 10, 2}},
        {"conv5x2,stride3", {8, 8, 1}}, /* what is left over at the end is not seen */
        {"conv4x6,same,stride3", {7, 8, 4}},
        {"conv7x2,same conv7x2,same", {3, 3, 2}},
        {"conv9x9x5", {9, 9, 3}},
        {"conv1x64 conv3x64,same", {6, 6, 3}},
        {"conv3x96,same,nobias", {5, 5, 33}},
        {"dense48 conv1x5", {3, 3, 2}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        check_spec(ctx, odd[i].spec, odd[i].in, 6);
}

/* Images of a size that training uses: more lines than a group of images fits in a cache. */
static void larger_images_are_right(void **state)
{
    (void)state;
    check_spec(ctx, "conv5x8 relu conv5x16,same", (size64){28, 28, 1}, 7);
    check_spec(ctx, "conv3x33,same,stride2 gelu dwconv5,same", (size64){32, 32, 3}, 8);
    check_spec(ctx, "conv7x4,dilation3 conv3x4", (size64){40, 31, 17}, 9);
}

/* ---- twins ---- */

/* The kernel turned by half a turn: a convolution where a correlation is meant. */
static void flip(images64 *n)
{
    stage64 *s = n->stage;
    int each = s->weights / (s->height * s->width);
    for (int i = 0, j = s->weights - each; i < j; i += each, j -= each) {
        for (int k = 0; k < each; k++) {
            double kept = s->w[i + k];
            s->w[i + k] = s->w[j + k];
            s->w[j + k] = kept;
        }
    }
}

static void move_down(images64 *n) { n->stage[0].top++; }
static void move_left(images64 *n) { n->stage[0].left--; }
static void forget_bias(images64 *n) { n->stage[0].biases = 0; }
static void forget_dilation(images64 *n) { n->stage[0].dilation = 1; }

static void swap_sides(images64 *n)
{
    stage64 *s = n->stage;
    int height = s->height;
    s->height = s->width, s->width = height;
}

static void broken_twins_are_noticed(void **state)
{
    static void (*const breaks[])(images64 *) = {flip, move_down, move_left, forget_bias};
    (void)state;
    for (int i = 0; i < 4; i++) {
        check_twin(ctx, "conv3x5,same", (size64){6, 6, 3}, breaks[i]);
        check_twin(ctx, "conv4x5,same,stride2", (size64){6, 7, 3}, breaks[i]);
        check_twin(ctx, "dwconv3,same", (size64){6, 6, 3}, breaks[i]);
    }
    check_twin(ctx, "conv3x5,dilation2", (size64){9, 9, 2}, forget_dilation);
    check_twin(ctx, "dwconv3,dilation2", (size64){9, 9, 2}, forget_dilation);
    check_twin(ctx, "conv2x3x5", (size64){5, 5, 2}, flip);
    check_twin(ctx, "conv1x3x5,same", (size64){5, 5, 2}, swap_sides);
}

/* ---- bits ---- */

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("conv3x5,same relu conv3x17,stride2 tanh dense3", (size64){7, 8, 3});
    check_bits("conv1x33 dwconv3,same,stride2 gelu conv2x48,dilation2", (size64){6, 6, 2});
    check_bits("dwconv3x2,nobias sigmoid conv5x3,same leaky-relu", (size64){8, 5, 48});
    check_bits("conv5x8 relu conv5x16 relu dense10", (size64){14, 14, 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_nested_loops),
        cmocka_unit_test(depthwise_convolutions_are_nested_loops),
        cmocka_unit_test(each_size_and_count_is_right),
        cmocka_unit_test(odd_geometries_are_right),
        cmocka_unit_test(larger_images_are_right),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

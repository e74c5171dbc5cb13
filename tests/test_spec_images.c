/* Net specs of images: what is read, what is refused and where, what a network then is, and its first weights. (The rest: test_spec.c.) */
#include "images_support.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* ---- errors ---- */

static void refuse(const char *spec, size64 in, const char *place, const char *says)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = (zo_net *)&net;
    def.spec = spec;
    def.inputs = count64(in);
    def.height = in.h, def.width = in.w, def.channels = in.c;
    zo_status status = zo_net_create(ctx, &def, &net);
    if (status != ZO_USAGE) fail_msg("%s: %s", spec, zo_status_name(status));
    assert_null(net);
    error_says(ctx, place, says, NULL);
}

static void bad_words_are_named_with_their_place(void **state)
{
    static const struct {
        const char *spec, *place, *says;
    } bad[] = {
        {"con5x8", "word 1 \"con5x8\" (column 1)", "did you mean conv5x8?"},
        {"conv5x8 relu dwcnv3", "word 3 \"dwcnv3\" (column 14)", "did you mean dwconv3?"},
        {"conv5x8 meanpol2", "word 2", "did you mean meanpool2?"},
        {"conv5x8 global_mean", "word 2", "did you mean global-mean?"},
        {"flaten dense3", "word 1", "did you mean flatten?"},
        {"conv5", "word 1 \"conv5\" (column 1)", "conv5x8 (8 filters of 5 x 5)"},
        {"conv", "word 1", "conv5x8"},
        {"conv3x3x3x3", "word 1", "conv5x8"},
        {"conv3x", "word 1", "conv5x8"},
        {"convx8", "word 1", "did you mean conv"},
        {"conv3X8", "word 1", "conv5x8"},
        {"conv0x8", "word 1", "conv5x8"},
        {"conv3x0", "word 1", "conv5x8"},
        {"conv3x65537", "word 1", "conv5x8"},
        {"conv1048577x3x8", "word 1", "conv5x8"},
        {"conv99999999999999999999x8", "word 1", "conv5x8"},
        {"conv3x18446744073709551617", "word 1", "conv5x8"},
        {"conv5x8,strde2", "word 1 \"conv5x8,strde2\" (column 1)",
         "options: ,same ,strideN ,dilationN ,nobias"},
        {"conv5x8,", "word 1", "options:"},
        {"conv5x8,,same", "word 1", "options:"},
        {"conv5x8,same2", "word 1", "options:"},
        {"conv5x8,stride", "word 1", "options:"},
        {"conv5x8,stride0", "word 1", "options:"},
        {"conv5x8,stride1048577", "word 1", "options:"},
        {"conv5x8,stride2x2", "word 1", "options:"},
        {"conv5x8,dilation-1", "word 1", "options:"},
        {"conv5x8,same,same", "word 1", "options:"}, /* twice may be two different things */
        {"conv5x8,stride2,stride3", "word 1", "options:"},
        {"dwconv", "word 1", "dwconv3 (3 x 3)"},
        {"dwconv2x2x2", "word 1", "dwconv3 (3 x 3)"},
        {"pool", "word 1", "pool1 to pool65536"},
        {"pool2x2", "word 1", "options: ,same ,strideN"},
        {"pool2,nobias", "word 1", "options: ,same ,strideN"},
        {"meanpool0", "word 1", "meanpool1 to"},
        {"patch5", "word 1", "patch5x8 (8 filters of 5 x 5)"},
        {"patch3x4,dilation2", "word 1", "options: ,same ,strideN ,padN ,epsE ,nobias"},
        {"patch3x4,eps0", "word 1", "options:"},
        {"patch3x4,eps", "word 1", "options:"},
        {"patch3x4,eps.1,eps.2", "word 1", "options:"},
        {"patch3x4,pad0", "word 1", "options:"},
        {"patch3x4,pad1.5", "word 1", "options:"},
        {"conv3x4,pad1", "word 1", "options:"},
        {"conv3x4,eps0.1", "word 1", "options:"},
        {"patch3x4,same,pad1", "word 1", ",same and ,padN exclude each other"},
        {"patch3x4,pad3", "word 1", "must be larger than its ,padN"},
        {"patch11x4,pad1", "word 1", "11 x 11 does not fit an image of 8 x 8"},
        {"cells", "word 1", "cells1 to cells65536"},
        {"cells2,same", "word 1", "cells1 to cells65536; options: ,max"},
        {"cells2,max,max", "word 1", "options: ,max"},
        {"cells2,max3", "word 1", "options: ,max"},
        {"pool2,max", "word 1", "options: ,same ,strideN"},
        {"cells9", "word 1", "9 x 9 does not fit an image of 8 x 8"},
        {"dense3 cells2", "word 2", "is the input an image?"},
        {"global-max3", "word 1", "takes no number"},
        {"flatten2", "word 1", "takes no number"},
        {"image", "word 1", "image4x4"},
        {"dense12 image5", "word 2", "12 numbers are no image of 5 x 5 pixels"},
        {"image2x2x2", "word 1", "image4x4"},
        {"norm3", "word 1", "takes no number"},
        {"norm,same", "word 1", "options: ,nobias"},
        {"conv3x4 wta", "word 2", "wta1 to wta65536"},
        {"conv3x4 wta0", "word 2 \"wta0\" (column 9)", "wta1 to"},
        {"conv3x4 quant", "word 2", "quant1 to quant8"},
        {"conv3x4 quant9", "word 2", "quant1 to quant8"},
        {"dense0", "word 1", "dense1 to"},
        {"dense3,same", "word 1", "options: ,nobias"},
        {"wta4", "word 1", "follows a layer"},
        {"conv3x4 relu wta4", "word 3", "follows a layer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i].spec, (size64){8, 8, 2}, bad[i].place, bad[i].says);
}

static void windows_must_fit(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
        const char *place, *says;
    } bad[] = {
        {"conv9x4", {8, 8, 1}, "word 1 \"conv9x4\"", "9 x 9 does not fit an image of 8 x 8"},
        {"conv1x9x4", {9, 8, 1}, "word 1", "1 x 9 does not fit an image of 9 x 8"},
        {"conv3x4,dilation4", {8, 9, 1}, "word 1", "9 x 9 does not fit"},
        {"conv5x8 pool2 conv3x4",
         {8, 8, 1},
         "word 3 \"conv3x4\" (column 15)",
         "an image of 2 x 2 (8 channels)"},
        {"pool3", {2, 2, 1}, "word 1 \"pool3\"", "3 x 3 does not fit an image of 2 x 2"},
        {"pool65536", {2, 2, 1}, "word 1", "does not fit"},
        {"dwconv3", {2, 9, 1}, "word 1", "does not fit"},
        {"conv18x4,same", {8, 8, 1}, "word 1", "18 x 18 does not fit an image of 8 x 8"},
        {"conv1048576x1048576x1,same,dilation1048576", {8, 8, 1}, "word 1", "does not fit"},
        {"conv3x4", {1, 1, 4}, "word 1", "is the input an image?"}, /* a row of a table */
        {"dense64 conv3x4", {8, 8, 1}, "word 2", "is the input an image?"},
        {"global-mean pool2", {8, 8, 1}, "word 2", "is the input an image?"},
        {"conv1x65536 conv1x65536", {64, 64, 1}, "word 1", "too large"},
        {"conv1x65536 dense1048576", {8, 8, 1}, "word 2", "too large"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i].spec, bad[i].in, bad[i].place, bad[i].says);
}

static void blocks_must_close_and_keep_the_shape(void **state)
{
    static const struct {
        const char *spec, *place, *says;
    } bad[] = {
        {"conv3x4 }+", "word 2 \"}+\" (column 9)", "no { began"},
        {"}+", "word 1 \"}+\" (column 1)", "no { began"},
        {"{ conv3x2,same }+ }+", "word 4", "no { began"},
        {"{", "word 1", "end it with }+"},
        {"{ conv3x4,same", "word", "end it with }+"},
        {"{ { conv3x2,same }+", "word", "end it with }+"},
        {"{ }+", "word 2", "has no layer"},
        {"conv3x4 { }+", "word 3", "has no layer"},
        {"{ conv3x2 }+", "word 3 \"}+\" (column 11)", "makes 6 x 6 x 2 of 8 x 8 x 2"},
        {"{ conv3x4 }cat", "word 3 \"}cat\"", "makes 6 x 6 x 4 of 8 x 8 x 2"},
        {"{ dense9 }cat", "word 3", "flatten before {"},
        {"conv3x4 }cat", "word 2 \"}cat\" (column 9)", "no { began"},
        {"{ }cat", "word 2", "has no layer"},
        {"{ scale }cat2", "word 3 \"}cat2\"", "takes no number"},
        {"{ conv3x4,same", "word", "end it with }+ or }cat"},
        {"{ conv3x4,same }+", "word 3", "makes 8 x 8 x 4 of 8 x 8 x 2"},
        {"{ conv3x2,same,stride2 }+", "word 3", "makes 4 x 4 x 2 of 8 x 8 x 2"},
        {"{ flatten }+", "word 3", "makes 1 x 1 x 128 of 8 x 8 x 2"},
        {"{ dense128 }+", "word 3", "keep the shape"},
        {"conv3x4 { relu conv1x4 }+", "word 3 \"relu\"", "follows a layer"},
        {"{ relu }+", "word 2", "follows a layer"},
        {"{ scale }+ relu relu", "word 5", "follows a layer"},
        {"scale | scale", "word 2 \"|\" (column 7)", "stands in no block"},
        {"| scale", "word 1", "stands in no block"},
        {"{ scale }+ | scale", "word 4", "stands in no block"},
        {"{ | scale }+", "word 2", "the first branch has no layer"},
        {"{ scale | }+", "word 4", "the second branch has no layer"},
        {"{ scale | scale | scale }+", "word 5", "nest, as in { { A | B }+ | C }+"},
        {"{ scale | { scale }+ | scale }cat", "word 7", "nest"},
        {"{ scale | relu scale }+", "word 4", "follows a layer"},
        {"{ scale | scale", "word 1", "end it with }+"},
        {"{ scale |2 scale }+", "word 3", "takes no number"},
        {"{ scale|scale }+", "word 2", "not a layer"},
        {"{ conv3x4 | scale }+", "word 5",
         "the branches make 6 x 6 x 4 and 8 x 8 x 2; branches that are added"},
        {"{ scale | conv3x2 }cat", "word 5",
         "the branches make 8 x 8 x 2 and 6 x 6 x 2; branches that are concatenated"},
        {"{ scale }", "word 3 \"}\"", "not a layer"},
        {"{3 scale }+", "word 1 \"{3\"", "takes no number"},
        {"{ scale }+2", "word 3 \"}+2\"", "takes no number"},
        {"{scale }+", "word 1 \"{scale\"", "not a layer"},
    };
    char deep[400] = "";
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i].spec, (size64){8, 8, 2}, bad[i].place, bad[i].says);
    for (int i = 0; i < 33; i++) strcat(deep, "{ ");
    strcat(deep, "scale");
    for (int i = 0; i < 33; i++) strcat(deep, " }+");
    refuse(deep, (size64){2, 2, 1}, "word 33", "too many blocks");
    deep[strlen(deep) - 3] = 0;
    zo_net *net = make_images_net(ctx, deep + 2, (size64){2, 2, 1}, 1); /* 32 are not */
    check_images(net, 1e-4);
    zo_net_destroy(net);
}

static void shapes_of_the_inputs_must_fit(void **state)
{
    static const struct {
        int inputs, height, width, channels;
    } bad[] = {{12, 3, 4, 2}, {12, 3, 0, 4}, {12, 0, 0, 12}, {12, -3, -4, 1},    {12, 12, 1, 0},
               {12, 3, 4, 0}, {0, 0, 3, 3},  {0, 0, 0, 0},   {12, 1 << 30, 4, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zo_net *net = (zo_net *)&net;
        zo_net_def def = zo_net_default_def();
        def.spec = "dense3";
        def.inputs = bad[i].inputs;
        def.height = bad[i].height, def.width = bad[i].width, def.channels = bad[i].channels;
        assert_int_equal(zo_net_create(ctx, &def, &net), ZO_USAGE);
        assert_null(net);
        error_says(ctx, "inputs", NULL);
    }
}

/* ---- what a spec means ---- */

static void specs_have_one_form(void **state)
{
    static const char *const specs[][2] = {
        {"conv03x008,nobias,stride2,same", "conv3x8,same,stride2,nobias"},
        {" conv3x3x8,dilation2,same\t{ dwconv3x3,same\n}+ ",
         "conv3x3x8,same,dilation2 { dwconv3x3,same }+"},
        {"pool2,stride02,same wta04 norm,nobias", "pool2,same,stride2 wta4 norm,nobias"},
        {"dense4,nobias quant08", "dense4,nobias quant8"},
        {"{ { scale |\tdwconv03,same }+ | norm }cat", "{ { scale | dwconv3,same }+ | norm }cat"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        zo_net *net = make_images_net(ctx, specs[i][0], (size64){9, 9, 2}, 1),
               *again = make_images_net(ctx, specs[i][1], (size64){9, 9, 2}, 1), *copy;
        if (strstr(specs[i][0], "wta04")) assert_int_equal(zo_net_layers(net), 3);
        assert_string_equal(zo_net_spec(net), specs[i][1]);
        assert_string_equal(zo_net_spec(again), specs[i][1]);
        assert_int_equal(zo_net_copy(net, &copy), ZO_OK);
        assert_string_equal(zo_net_spec(copy), specs[i][1]);
        assert_true(copy->in.height == 9 && copy->in.width == 9 && copy->in.channels == 2);
        float *x = draw_examples(net, 3, 1), *y = answers_of(net, 3, x), *z = answers_of(copy, 3, x);
        assert_same_floats(z, y, (size_t)(3 * net->outputs), "copy");
        free(x), free(y), free(z);
        zo_net_destroy(net), zo_net_destroy(again), zo_net_destroy(copy);
    }
}

/* LeNet-like counts as textbooks have them, and words that stand for no stage or for two. */
static void layers_are_described(void **state)
{
    static const zo_layer_info wanted[] = {
        {"conv5x8", 784, 4608, {24, 24, 8}, 208, 24 * 24 * 25 * 8, "weights outputs"},
        {"relu", 4608, 4608, {24, 24, 8}, 0, 0, ""},
        {"pool2", 4608, 1152, {12, 12, 8}, 0, 0, ""},
        {"{", 1152, 1152, {12, 12, 8}, 0, 0, ""},
        {"dwconv3,same", 1152, 1152, {12, 12, 8}, 80, 12 * 12 * 9 * 8, "weights outputs"},
        {"norm", 1152, 1152, {12, 12, 8}, 16, 4 * 1152, "weights outputs"},
        {"}+", 1152, 1152, {12, 12, 8}, 0, 0, ""},
        {"conv3x5x16,same,stride2",
         1152,
         576,
         {6, 6, 16},
         15 * 8 * 16 + 16,
         36 * 15 * 8 * 16,
         "weights outputs"},
        {"meanpool2,same,stride1", 576, 576, {6, 6, 16}, 0, 0, ""},
        {"conv1x5,nobias", 576, 180, {6, 6, 5}, 80, 36 * 80, "weights outputs"},
        {"dense10", 180, 10, {1, 1, 10}, 1810, 1800, "weights outputs"},
    };
    enum { WORDS = sizeof wanted / sizeof *wanted };
    zo_net *net =
        make_images_net(ctx,
                        "conv5x8 relu pool2 { dwconv3,same norm }+ conv3x5x16,same,stride2 "
                        "meanpool2,same,stride1 conv1x5,nobias dense10",
                        (size64){28, 28, 1}, 1);
    int64_t parameters = 0;
    double cost = 0;
    (void)state;
    assert_int_equal(zo_net_layers(net), WORDS);
    for (int i = 0; i < WORDS; i++) {
        zo_layer_info info;
        assert_int_equal(zo_net_layer(net, i, &info), ZO_OK);
        assert_string_equal(info.name, wanted[i].name);
        assert_int_equal(info.inputs, wanted[i].inputs);
        assert_int_equal(info.outputs, wanted[i].outputs);
        assert_memory_equal(info.shape, wanted[i].shape, sizeof info.shape);
        assert_int_equal(info.parameters, wanted[i].parameters);
        assert_true(info.cost == wanted[i].cost);
        assert_string_equal(info.sites, wanted[i].sites);
        parameters += info.parameters, cost += info.cost;
    }
    assert_true(zo_net_parameters(net) == parameters && zo_net_cost(net) == cost);
    zo_net_destroy(net);
}

/* The outputs of a network that ends in an image are made to lie without gaps, by a stage that no word stands for. */
static void last_words_have_the_shape_of_their_image(void **state)
{
    static const char *const specs[] = {"conv3x8", "conv3x8 relu", "conv3x8 relu scale wta4"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        zo_net *net = make_images_net(ctx, specs[i], (size64){8, 8, 1}, 1);
        for (int w = 0; w < zo_net_layers(net); w++) {
            zo_layer_info info;
            assert_int_equal(zo_net_layer(net, w, &info), ZO_OK);
            assert_memory_equal(info.shape, ((const int[]){6, 6, 8}), sizeof info.shape);
            assert_int_equal(info.inputs, w ? 288 : 64);
            assert_int_equal(info.parameters, w == 0 ? 80 : w == 2 ? 16 : 0);
        }
        zo_net_destroy(net);
    }
}

static void segments_are_described(void **state)
{
    static const struct {
        const char *name;
        int rank;
        int64_t rows, columns;
    } wanted[] = {
        {"0.weight", 2, 18, 5}, {"0.bias", 1, 5, 0},   {"2.weight", 1, 5, 0}, {"2.bias", 1, 5, 0},
        {"4.weight", 2, 6, 5},  {"5.weight", 1, 5, 0}, {"6.weight", 2, 5, 3}, {"6.bias", 1, 3, 0},
    };
    zo_net *net =
        make_images_net(ctx, "conv3x5 relu scale pool2 dwconv2x3,same,nobias norm,nobias conv1x3",
                        (size64){6, 6, 2}, 1);
    (void)state;
    assert_int_equal(zo_net_segments(net), 8);
    for (int i = 0; i < 8; i++) {
        zo_segment s;
        assert_int_equal(zo_net_segment(net, i, &s), ZO_OK);
        assert_string_equal(s.name, wanted[i].name);
        assert_int_equal(s.rank, wanted[i].rank);
        assert_int_equal(s.shape[0], wanted[i].rows);
        if (s.rank == 2) assert_int_equal(s.shape[1], wanted[i].columns);
    }
    zo_net_destroy(net);
}

/* ---- first weights ---- */

/* The variance of the n numbers of a segment. */
static double variance_of(const zo_net *net, int segment, int n)
{
    zo_segment s;
    assert_int_equal(zo_net_segment(net, segment, &s), ZO_OK);
    assert_int_equal(s.shape[0] * (s.rank == 2 ? s.shape[1] : 1), n);
    float *x = floats((size_t)n);
    double sum = 0, square = 0;
    assert_int_equal(zo_net_get(net, segment, x), ZO_OK);
    for (int i = 0; i < n; i++) sum += (double)x[i], square += (double)x[i] * (double)x[i];
    free(x);
    return square / n - sum * sum / n / n;
}

/* What comes into a filter is its window, what goes out of a number is a window of all filters; a filter of one channel has that alone. */
static void first_weights_have_their_variance(void **state)
{
    static const struct {
        const char *spec, *init;
        int n;
        double variance;
    } nets[] = {
        {"conv5x32 relu", "auto", 25 * 8 * 32, 2.0 / 200},
        {"conv5x32 tanh", "auto", 25 * 8 * 32, 2.0 / (200 + 25 * 32)},
        {"conv3x4x64,stride2", "glorot", 12 * 8 * 64, 2.0 / (96 + 12 * 64)},
        {"conv1x200 wta4", "he", 8 * 200, 2.0 / 8},
        {"conv1x200 dwconv5 gelu", "auto", 25 * 200, 2.0 / 25},
        {"conv1x200 dwconv5 sign", "auto", 25 * 200, 2.0 / 50},
    };
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            zo_net *net;
            zo_net_def def = {.spec = nets[i].spec,
                              .inputs = 9 * 9 * 8,
                              .height = 9,
                              .width = 9,
                              .channels = 8,
                              .init = nets[i].init,
                              .seed = seed};
            assert_int_equal(zo_net_create(ctx, &def, &net), ZO_OK);
            int segment = strstr(nets[i].spec, "dwconv") ? 2 : 0;
            assert_near(variance_of(net, segment, nets[i].n), nets[i].variance, 0,
                        5 * sqrt(2.0 / nets[i].n), nets[i].spec);
            assert_true(variance_of(net, 1, net->stage[0].out.channels) == 0);
            zo_net_destroy(net);
        }
    }
}

/* Gains begin with one, whatever the others begin with: a norm in a fresh net is a norm. */
static void gains_begin_with_one(void **state)
{
    static const char *const init[] = {"auto", "he", "glorot", "zero"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        float x[5];
        zo_net *net;
        zo_net_def def = {.spec = "norm dense5 scale", .inputs = 5, .init = init[i], .seed = 3};
        assert_int_equal(zo_net_create(ctx, &def, &net), ZO_OK);
        for (int segment = 0; segment < 6; segment++) {
            if (segment == 2 || segment == 3) continue;
            assert_int_equal(zo_net_get(net, segment, x), ZO_OK);
            for (int j = 0; j < 5; j++) assert_true(x[j] == (segment % 2 ? 0 : 1));
        }
        zo_net_destroy(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_words_are_named_with_their_place),
        cmocka_unit_test(windows_must_fit),
        cmocka_unit_test(blocks_must_close_and_keep_the_shape),
        cmocka_unit_test(shapes_of_the_inputs_must_fit),
        cmocka_unit_test(specs_have_one_form),
        cmocka_unit_test(layers_are_described),
        cmocka_unit_test(last_words_have_the_shape_of_their_image),
        cmocka_unit_test(segments_are_described),
        cmocka_unit_test(first_weights_have_their_variance),
        cmocka_unit_test(gains_begin_with_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

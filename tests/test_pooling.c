/* Poolings and flattening: forward passes of many geometries against nested loops in double precision, twins that are wrong in one thing, and
 * bits. What is largest is exact.
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

static void random_pools(const char *name, uint64_t seed)
{
    int fit = 0, same = 0, strides = 0, gaps = 0;
    for (int i = 0; i < 800; i++) {
        char spec[160], options[48], before[32] = "";
        size64 in = {pick(&seed, 1, 9), pick(&seed, 1, 9), pick_channels(&seed)};
        bool padded = pick(&seed, 0, 1);
        if (padded) snprintf(before, sizeof before, "conv1x%d tanh ", pick_channels(&seed));
        put_options(&seed, false, options, sizeof options);
        snprintf(spec, sizeof spec, "%s%s%d%s", before, name, pick(&seed, 1, 5), options);
        zo_net *net = try_images(ctx, spec, in, draw_bits(&seed));
        if (!net) continue;
        check_images(net, 2e-5);
        zo_net_destroy(net);
        fit++, same += strstr(spec, "same") != NULL;
        strides += strstr(spec, "stride") != NULL, gaps += padded;
    }
    assert_true(fit > 400 && same > 200 && strides > 100 && gaps > 150);
}

static void poolings_are_nested_loops(void **state)
{
    (void)state;
    random_pools("pool", 31);
    random_pools("meanpool", 32);
}

static void global_poolings_are_nested_loops(void **state)
{
    static const char *const specs[] = {"global-max", "global-mean", "conv1x17 gelu global-max",
                                        "conv1x5 global-mean dense3",
                                        "global-mean conv1x5 global-max"};
    uint64_t seed = 33;
    (void)state;
    for (int i = 0; i < 100; i++) {
        size64 in = {pick(&seed, 1, 9), pick(&seed, 1, 9), pick_channels(&seed)};
        check_spec(ctx, specs[i % 5], in, draw_bits(&seed));
    }
}

/* Numbers that are all negative, and equal ones, have a largest too; a mean counts the pixels that are there. */
static void edges_have_values(void **state)
{
    zo_net *most = make_images_net(ctx, "pool3,same,stride1", (size64){2, 2, 1}, 1),
           *mean = make_images_net(ctx, "meanpool3,same,stride1", (size64){3, 3, 1}, 1);
    float x[9] = {-4, -3, -2, -1, -5, -6, -7, -8, -9}, y[9];
    (void)state;
    assert_int_equal(zo_net_forward(most, 1, x, y), ZO_OK);
    for (int i = 0; i < 4; i++) assert_true(y[i] == -1);
    assert_int_equal(zo_net_forward(mean, 1, x, y), ZO_OK);
    assert_near((double)y[0], (-4 - 3 - 1 - 5) / 4.0, 1e-6, 0, "the mean of a corner");
    assert_near((double)y[1], (-4 - 3 - 2 - 1 - 5 - 6) / 6.0, 1e-6, 0, "the mean of an edge");
    assert_near((double)y[4], -45 / 9.0, 1e-6, 0, "the mean of the middle");
    zo_net_destroy(most);
    zo_net_destroy(mean);
}

/* A NaN among what is looked at is not hidden. */
static void not_a_number_stays(void **state)
{
    static const char *const specs[] = {"pool2", "meanpool2", "global-max", "global-mean"};
    (void)state;
    for (int s = 0; s < 4; s++) {
        for (int place = 0; place < 4; place++) {
            float x[4] = {1, 2, 3, 4}, y;
            zo_net *net = make_images_net(ctx, specs[s], (size64){2, 2, 1}, 1);
            x[place] = NAN;
            assert_int_equal(zo_net_forward(net, 1, x, &y), ZO_OK);
            assert_true(isnan(y));
            zo_net_destroy(net);
        }
    }
}

/* ---- flattening ---- */

/* The numbers of an image come line by line, pixel by pixel, channel by channel: with a unit matrix behind it nothing changes. */
static void flattening_keeps_the_order(void **state)
{
    static const char *const specs[] = {
        "flatten", "flatten scale,nobias", "scale,nobias flatten", "scale,nobias",
        "pool1",   "meanpool1 flatten"};
    (void)state;
    for (int c = 1; c <= 33; c += 4) {
        for (int s = 0; s < 6; s++) {
            size64 in = {3, 4, c};
            zo_net *net = make_images_net(ctx, specs[s], in, 1);
            for (int i = 0; i < net->stages; i++) {
                for (size_t j = 0; j < net->stage[i].columns; j++)
                    net->params[net->stage[i].weight + j] = 1;
            }
            float *x = draw_examples(net, 3, 4), *y = answers_of(net, 3, x);
            assert_same_floats(y, x, (size_t)(3 * count64(in)), specs[s]);
            free(x), free(y);
            zo_net_destroy(net);
        }
    }
}

static void what_is_flat_feeds_dense_layers(void **state)
{
    uint64_t seed = 34;
    (void)state;
    for (int i = 0; i < 60; i++) {
        size64 in = {pick(&seed, 1, 5), pick(&seed, 1, 5), pick_channels(&seed)};
        char spec[96];
        snprintf(spec, sizeof spec, "%s %s%sdense%d", i % 3 ? "conv1x5 tanh" : "dwconv1",
                 i % 2 ? "flatten " : "", i % 4 == 1 ? "scale " : "", pick_channels(&seed));
        check_spec(ctx, spec, in, draw_bits(&seed));
    }
}

/* ---- twins ---- */

static void move_down(images64 *n) { n->stage[0].top++; }
static void widen(images64 *n) { n->stage[0].width++; }

static void exchange(images64 *n)
{
    memcpy(n->stage[0].name, strstr(n->stage[0].name, "mean") ? "pool" : "meanpool", 5);
}

/* Channels first: the weights of a dense layer behind an image in another order. */
static void turn_weights(images64 *n)
{
    stage64 *s = n->stage + n->stages - 1;
    int c = s->in.c, pixels = s->in.h * s->in.w, units = s->out.c;
    double *w = calloc((size_t)s->weights, sizeof *w);
    for (int i = 0; i < s->weights; i++) {
        int l = i / units, from = l % c * pixels + l / c;
        w[i] = s->w[from * units + i % units];
    }
    free(s->w);
    s->w = w;
}

static void broken_twins_are_noticed(void **state)
{
    (void)state;
    check_twin(ctx, "pool2", (size64){6, 6, 3}, exchange);
    check_twin(ctx, "meanpool2", (size64){6, 6, 3}, exchange);
    check_twin(ctx, "pool2,same", (size64){6, 5, 3}, move_down);
    check_twin(ctx, "meanpool3,same,stride2", (size64){6, 5, 3}, move_down);
    check_twin(ctx, "pool2", (size64){6, 6, 3}, widen);
    check_twin(ctx, "dense4", (size64){3, 3, 5}, turn_weights);
    check_twin(ctx, "conv1x5 dense4", (size64){3, 3, 5}, turn_weights);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("pool2 conv3x17,same tanh meanpool2,same flatten dense3", (size64){7, 8, 3});
    check_bits("meanpool3,stride2 conv1x33 gelu global-mean", (size64){9, 9, 5});
    check_bits("conv1x48 pool3,same,stride2 global-max", (size64){6, 6, 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poolings_are_nested_loops),
        cmocka_unit_test(global_poolings_are_nested_loops),
        cmocka_unit_test(edges_have_values),
        cmocka_unit_test(not_a_number_stays),
        cmocka_unit_test(flattening_keeps_the_order),
        cmocka_unit_test(what_is_flat_feeds_dense_layers),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

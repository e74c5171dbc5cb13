/* The layers of PCANet: the same filters on every channel, and histograms of hashed signs: against nested loops in double precision, known values,
 * twins that are wrong in one thing, files, what trains through them and what is refused, and bits.
 */
#include "images_support.h"
#include "training_support.h"

static zo_context *ctx;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    remove_folder(folder);
    return 0;
}

/* ---- formulas ---- */

static void filters_on_every_channel_are_nested_loops(void **state)
{
    (void)state;
    uint64_t seed = 41;
    int fit = 0, same = 0, strides = 0, dilations = 0, gaps = 0;
    for (int i = 0; i < 1500; i++) {
        static const int filters[] = {1, 2, 3, 8, 16, 17, 32};
        char spec[160], options[48], before[32] = "";
        size64 in = {pick(&seed, 1, 11), pick(&seed, 1, 11), pick_channels(&seed)};
        bool padded = pick(&seed, 0, 1);
        if (padded) snprintf(before, sizeof before, "conv1x%d tanh ", pick_channels(&seed));
        put_options(&seed, true, options, sizeof options);
        char *nobias = strstr(options, ",nobias");
        if (nobias) *nobias = 0;
        snprintf(spec, sizeof spec, "%seachconv%dx%dx%d%s", before, pick(&seed, 1, 7),
                 pick(&seed, 1, 7), filters[pick(&seed, 0, 6)], options);
        zo_net *net = try_images(ctx, spec, in, draw_bits(&seed));
        if (!net) continue;
        check_images(net, 2e-5);
        zo_net_destroy(net);
        fit++, same += strstr(spec, "same") != NULL, gaps += padded;
        strides += strstr(spec, "stride") != NULL, dilations += strstr(spec, "dilation") != NULL;
    }
    assert_true(fit > 400 && same > 150 && strides > 100 && dilations > 50 && gaps > 150);
}

static void sums_of_groups_are_nested_loops(void **state)
{
    (void)state;
    uint64_t seed = 43;
    for (int i = 0; i < 300; i++) {
        char spec[160];
        static const int sums[] = {1, 2, 3, 8, 16, 17, 32};
        int group = pick(&seed, 1, 20), groups = pick(&seed, 1, 5), n = sums[i % 7];
        size64 in = {pick(&seed, 1, 5), pick(&seed, 1, 5), group * groups};
        if (i % 2) {
            snprintf(spec, sizeof spec, "eachdense%dx%d", group, n);
        } else {
            in.c = pick_channels(&seed);
            snprintf(spec, sizeof spec, "conv1x%d tanh eachdense%dx%d tanh", group * groups, group,
                     n);
        }
        zo_net *net = make_images_net(ctx, spec, in, draw_bits(&seed));
        check_images(net, 2e-5);
        zo_net_destroy(net);
    }
}

/* Rows whose signs are uncertain in single precision are left out; of the rest most must be there. */
static void check_histogram(const char *spec, size64 in, uint64_t seed, int *rows)
{
    zo_net *net = try_images(ctx, spec, in, seed);
    if (!net) return;
    images64 *oracle = images64_of(net);
    float *x = draw_examples(net, ROWS, seed + 1);
    int compared;
    double worst = worst64(net, oracle, ROWS, x, &compared);
    if (!(worst < 2e-5)) fail_msg("%s on %dx%dx%d: %g", spec, in.h, in.w, in.c, worst);
    *rows += compared;
    free(x);
    free64(oracle);
    zo_net_destroy(net);
}

static void histograms_are_nested_loops(void **state)
{
    (void)state;
    uint64_t seed = 42;
    int rows = 0;
    for (int i = 0; i < 900; i++) {
        char spec[160], options[48], before[64] = "";
        int digits = pick(&seed, 1, 5), groups = pick(&seed, 1, 4);
        size64 in = {pick(&seed, 1, 9), pick(&seed, 1, 9), digits * groups};
        if (i % 3 == 0) {
            snprintf(before, sizeof before, "eachconv3x%d,same ", digits);
            in.c = groups;
        }
        put_options(&seed, false, options, sizeof options);
        snprintf(spec, sizeof spec, "%shashhist%dx%d%s%s", before, pick(&seed, 1, 6), digits,
                 options, i % 4 ? "" : " sqrt dense3");
        check_histogram(spec, in, draw_bits(&seed), &rows);
    }
    print_message("%d rows\n", rows);
    assert_true(rows > 2000);
    check_histogram("conv5x4,same,nobias eachconv5x8,same hashhist7x8,stride3 sqrt dense10",
                    (size64){15, 16, 1}, 3, &rows);
    check_histogram("hashhist2x12", (size64){3, 4, 24}, 4, &rows);
}

/* Two pixels of two groups of two digits: 0 and below are the digit 0. */
static void codes_have_known_values(void **state)
{
    (void)state;
    zo_net *net = make_images_net(ctx, "hashhist1x2", (size64){1, 2, 4}, 1);
    float x[8] = {1, -1, -2, 3, 0.5f, 2, 0, -0.0f}, y[16];
    float want[16] = {0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0};
    assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
    assert_same_floats(y, want, 16, "codes");
    x[1] = NAN;
    assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
    assert_true(isnan(y[0])); /* divergence is not hidden */
    zo_net_destroy(net);
    net = make_images_net(ctx, "hashhist2x1", (size64){2, 2, 1}, 1);
    float four[4] = {1, -1, 2, 3};
    assert_int_equal(zo_net_forward(net, 1, four, y), ZO_OK);
    assert_true(y[0] == 1 && y[1] == 3);
    zo_net_destroy(net);
}

/* ---- twins ---- */

static void turn_digits(images64 *n)
{
    stage64 *s = n->stage; /* the other order of filters, as if the first were the highest digit */
    int filters = s->weights / (s->height * s->width);
    for (int t = 0; t < s->height * s->width; t++) {
        for (int i = 0, j = filters - 1; i < j; i++, j--) {
            double kept = s->w[t * filters + i];
            s->w[t * filters + i] = s->w[t * filters + j];
            s->w[t * filters + j] = kept;
        }
    }
}

static void turn_window(images64 *n)
{
    stage64 *s = n->stage;
    int last = s->height * s->width - 1, filters = s->weights / (last + 1);
    for (int t = 0; t < (last + 1) / 2; t++) {
        for (int j = 0; j < filters; j++) {
            double kept = s->w[t * filters + j];
            s->w[t * filters + j] = s->w[(last - t) * filters + j];
            s->w[(last - t) * filters + j] = kept;
        }
    }
}

static void next_group(images64 *n)
{
    stage64 *s = n->stage; /* the first weight belongs to the last channel of the group */
    for (int i = 0; i < 5; i++) {
        double kept = s->w[i];
        s->w[i] = s->w[s->weights - 5 + i];
        s->w[s->weights - 5 + i] = kept;
    }
}

static void without_overlap(images64 *n) { n->stage[1].stride = n->stage[1].height; }
static void move_down(images64 *n) { n->stage[0].top++; }

static void broken_twins_are_noticed(void **state)
{
    (void)state;
    size64 in = {6, 6, 3};
    check_twin(ctx, "eachconv3x4,same", in, turn_window);
    check_twin(ctx, "eachconv3x4,same", in, turn_digits);
    check_twin(ctx, "eachconv3x4,same", in, move_down);
    check_twin(ctx, "eachdense3x5", in, next_group);
    in.c = 1;
    check_twin(ctx, "eachconv3x3,same hashhist3x3,stride2", in, turn_digits);
    check_twin(ctx, "eachconv3x3,same hashhist3x3,stride2", in, move_down);
    check_twin(ctx, "eachconv3x3,same hashhist3x3,stride3", in, turn_window);
    zo_net *net = make_images_net(ctx, "eachconv1x2 hashhist2x2,stride1", (size64){3, 2, 1}, 5);
    images64 *oracle = images64_of(net);
    float *x = draw_examples(net, ROWS, 3);
    int compared;
    without_overlap(
        oracle); /* the second block begins one pixel too low: outside there is nothing to count */
    assert_true(worst64(net, oracle, ROWS, x, &compared) > 1e-2);
    free(x);
    free64(oracle);
    zo_net_destroy(net);
}

/* ---- words and files ---- */

static void wrong_words_are_refused_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says;
    } wrong[] = {
        {"hashhist7", "like hashhist7x8"},
        {"conv3x6 hashhist2x4", "6 channels come in, which are no groups of 4"},
        {"conv3x4 hashhist9x4", "does not fit an image"},
        {"hashhist2x13", "like hashhist7x8"},
        {"eachconv3", "like eachconv7x8"},
        {"conv3x6 eachdense4x2", "6 channels come in, which are no groups of 4"},
        {"conv3x64 eachdense64x33", "like eachdense256x16"},
        {"eachdense1", "like eachdense256x16"},
        {"eachconv3x33", "like eachconv7x8"},
        {"eachconv3x8,nobias", "like eachconv7x8"},
        {"eachconv9x8", "does not fit an image"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(try_images(ctx, wrong[i].spec, (size64){5, 5, 1}, 1));
        error_says(ctx, wrong[i].says, NULL);
    }
}

static void files_bring_them_back(void **state)
{
    (void)state;
    zo_net *back,
        *net = make_images_net(
            ctx, "conv3x2,same eachconv2x3x4,same hashhist2x4,stride1 sqrt eachdense16x3 dense3",
            (size64){5, 6, 2}, 3);
    const char *path = in_folder(folder, "net.safetensors");
    assert_int_equal(zo_net_save(net, path), ZO_OK);
    assert_int_equal(zo_net_load(ctx, path, &back), ZO_OK);
    assert_string_equal(zo_net_spec(back), zo_net_spec(net));
    assert_same_floats(back->params, net->params, net->arena, "a net from a file");
    zo_net_destroy(back);
    zo_net_destroy(net);
}

/* ---- training ---- */

/* A step of a method moves parameters before the histogram, or behind it, or is refused in one line. */
static void step_of_method(const zo_task *task, const zo_net *net, const char *method,
                           const char *const *settings, const char *refusal)
{
    zo_trainer_def def = zo_trainer_default_def();
    zo_trainer *t;
    zo_step_info info;
    def.task = task;
    def.net = net;
    def.method = method;
    def.settings = settings;
    zo_status status = zo_trainer_create(ctx, &def, &t);
    if (refusal) {
        assert_int_equal(status, ZO_UNSUPPORTED);
        assert_null(t);
        error_says(ctx, refusal, NULL);
        return;
    }
    if (status) fail_msg("%s: %s", method, zo_last_error(ctx));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
        assert_true(isfinite(info.loss));
    }
    assert_true(memcmp(zo_trainer_net(t)->params, net->params, net->arena * sizeof(float)) != 0);
    zo_trainer_destroy(t);
}

static void what_needs_no_derivative_trains_them(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 200, 6, 6, 1, 3, 3);
    zo_net *net = make_net(ctx, task,
                           "conv3x2,same tanh eachconv3x3,same hashhist3x3 eachdense8x4 dense3", 1);
    static const char *const methods[] = {"nodes", "auto", "weights", "lowrank", "spsa", "mezo"};
    for (int i = 0; i < 6; i++) step_of_method(task, net, methods[i], NULL, NULL);
    const char *says = "the layer \"hashhist\" has no useful derivative";
    step_of_method(task, net, "backprop", NULL, says);
    step_of_method(task, net, "straight-through", NULL, says);
    step_of_method(task, net, "backprop", SETTINGS("freeze=body"), NULL); /* nothing goes so far */
    zo_net_destroy(net);
    net = make_net(ctx, task, "conv3x2,same tanh eachconv3x3,same tanh dense3", 1);
    step_of_method(task, net, "backprop", NULL, NULL);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("conv3x5,same tanh eachconv3x8,same,stride2 hashhist2x8,stride1 sqrt "
               "eachdense256x12 dense3",
               (size64){7, 8, 3});
    check_bits("eachconv2x17,dilation2 gelu eachconv3x1x32,same dense3", (size64){6, 6, 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_on_every_channel_are_nested_loops),
        cmocka_unit_test(sums_of_groups_are_nested_loops),
        cmocka_unit_test(histograms_are_nested_loops),
        cmocka_unit_test(codes_have_known_values),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(wrong_words_are_refused_in_one_line),
        cmocka_unit_test(files_bring_them_back),
        cmocka_unit_test(what_needs_no_derivative_trains_them),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Layers of fixed features: what their formula says in double precision, a whole net of them against numpy, training that goes on from it, twins
 * that are wrong in one thing, and bits.
 */
#include "images_support.h"

/* A net that makes features, and what goes on with them, as numpy has it: see oracles/features.py. */
typedef struct numpy_case {
    const char *features, *readout;
    int height, width, channels, units;
    const double *wanted, *outputs;
} numpy_case;

#include "oracles/features.inc"

enum { CASES = sizeof cases / sizeof *cases };

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

/* ---- image ---- */

/* Numbers keep their order: a row that was an image is the same image again, whatever its channels. */
static void rows_become_images(void **state)
{
    static const char *const specs[] = {
        "dense36 image3x4 conv2x5 relu dense3", "dense40 image2 pool2 twosided0.1",
        "flatten scale { image2x3 conv2x7 relu flatten }cat dense3", "image6x1 global-max dense2"};
    uint64_t seed = 75;
    (void)state;
    for (int i = 0; i < 80; i++) {
        size64 in = {2, 3, pick_channels(&seed)};
        check_spec(ctx, specs[i % 4], in, draw_bits(&seed));
    }
    float x[784], y[784];
    for (int i = 0; i < 784; i++) x[i] = (float)i;
    zo_net *net = make_images_net(ctx, "flatten image3x2", (size64){3, 2, 3}, 1);
    assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
    assert_same_floats(y, x, 18, "an image");
    zo_net_destroy(net);
    /* pixels of the inputs, or whole groups of 16 channels, lie without gaps: nothing stands before image, which makes fewer pixels, or more */
    static const char *const cut[] = {"image14 flatten", "image2x2", "image14x56 image49x4 flatten",
                                      "flatten image7x7 image28 flatten"};
    for (int i = 0; i < 4; i++) {
        net = make_images_net(ctx, cut[i], (size64){28, 28, 1}, 1);
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        assert_same_floats(y, x, 784, cut[i]);
        zo_net_destroy(net);
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
        const char *max = i % 2 ? ",max" : "";
        snprintf(spec, sizeof spec, i % 3 ? "cells%d%s" : "scale cells%d%s tanh dense3", grid, max);
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
static void even_cells_are_a_pooling(void **state)
{
    size64 in = {12, 12, 5};
    (void)state;
    for (int max = 0; max < 2; max++) {
        zo_net *cells = make_images_net(ctx, max ? "cells4,max" : "cells4", in, 1),
               *pool = make_images_net(ctx, max ? "pool3" : "meanpool3", in, 1);
        float *x = draw_examples(cells, ROWS, 2), *a = answers_of(cells, ROWS, x),
              *b = answers_of(pool, ROWS, x);
        assert_same_floats(a, b, (size_t)(ROWS * cells->outputs), "cells4");
        free(x), free(a), free(b);
        zo_net_destroy(cells), zo_net_destroy(pool);
    }
}

/* ---- a closed form's net ---- */

/* number() of features.py: stream 0 is the inputs, 1, 2, ... the tensors. */
static float *numbers(size_t stream, size_t n)
{
    float *x = floats(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((int)((i * i * 7919 + i * 104729 + stream * 10007) % 61) - 30) / 32;
    return x;
}

static size_t size_of(const zo_net *net, int segment)
{
    zo_segment s;
    assert_int_equal(zo_net_segment(net, segment, &s), ZO_OK);
    return (size_t)(s.shape[0] * (s.rank == 2 ? s.shape[1] : 1));
}

/* Tensor `segment` = numbers of the stream. */
static void set_numbers(zo_net *net, int segment, size_t stream)
{
    float *x = numbers(stream, size_of(net, segment));
    assert_int_equal(zo_net_set(net, segment, x), ZO_OK);
    free(x);
}

/* Filters, and as their bias what they make of the mean patch mu: -mu F. */
static void set_filters(zo_net *net)
{
    size_t filters = size_of(net, 1), terms = size_of(net, 0) / filters;
    float *f = numbers(1, terms * filters), *mu = numbers(11, terms), *bias = floats(filters);
    for (size_t j = 0; j < filters; j++) {
        double sum = 0;
        for (size_t t = 0; t < terms; t++) sum -= (double)mu[t] * (double)f[t * filters + j];
        bias[j] = (float)sum;
    }
    set_numbers(net, 0, 1);
    assert_int_equal(zo_net_set(net, 1, bias), ZO_OK);
    free(f), free(mu), free(bias);
}

/* (f - m) / s as gain 1 / s and shift -m / s. */
static void set_standard(zo_net *net)
{
    size_t n = size_of(net, 2);
    float *m = numbers(12, n), *s = numbers(13, n);
    for (size_t i = 0; i < n; i++) s[i] = 1 / (s[i] + 2), m[i] *= -s[i];
    assert_int_equal(zo_net_set(net, 2, s), ZO_OK);
    assert_int_equal(zo_net_set(net, 3, m), ZO_OK);
    free(m), free(s);
}

static void compare(const numpy_case *c, const char *spec, bool readout)
{
    zo_net *net = make_images_net(ctx, spec, (size64){c->height, c->width, c->channels}, 1);
    const double *want = readout ? c->outputs : c->wanted;
    set_filters(net);
    if (readout) {
        set_standard(net);
        for (int i = 4; i < 8; i++) set_numbers(net, i, (size_t)i);
    }
    float *x = numbers(0, (size_t)net->inputs), *y = answers_of(net, 1, x);
    for (int i = 0; i < net->outputs; i++) assert_near((double)y[i], want[i], 2e-5, 2e-5, spec);
    free(x), free(y);
    zo_net_destroy(net);
}

static void features_are_those_of_numpy(void **state)
{
    char spec[160];
    (void)state;
    for (int i = 0; i < CASES; i++) {
        compare(cases + i, cases[i].features, false);
        snprintf(spec, sizeof spec, "%s %s", cases[i].features, cases[i].readout);
        compare(cases + i, spec, true);
    }
}

/* Answers of the net, of one that was written and read again, and of the trained one's copy. */
static void check_file(const zo_net *net)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "model.safetensors");
    zo_net *back, *copy;
    float *x = draw_examples(net, ROWS, 9), *y = answers_of(net, ROWS, x);
    assert_int_equal(zo_net_save(net, path), ZO_OK);
    assert_int_equal(zo_net_load(ctx, path, &back), ZO_OK);
    assert_int_equal(zo_net_copy(net, &copy), ZO_OK);
    assert_string_equal(zo_net_spec(back), zo_net_spec(net));
    float *again = answers_of(back, ROWS, x), *copied = answers_of(copy, ROWS, x);
    assert_same_floats(again, y, (size_t)(ROWS * net->outputs), "the file");
    assert_same_floats(copied, y, (size_t)(ROWS * net->outputs), "the copy");
    free(x), free(y), free(again), free(copied);
    zo_net_destroy(back), zo_net_destroy(copy);
    remove_folder(folder);
}

/* Every estimator goes on from a net with all of these layers, and its loss falls where it sees the whole batch. */
static void every_estimator_trains_them(void **state)
{
    static const char *const spec = "patch3x20,pad1 twosided0.25 cells3 sqrt flatten scale "
                                    "{ dense24 relu }cat dense3";
    zo_task *task = make_images(ctx, 120, 8, 9, 2, 3, 3);
    const zo_class_info *e;
    (void)state;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        zo_net *net = make_net(ctx, task, spec, 3);
        zo_trainer *trainer = make_trainer(ctx, task, net, e->name, 1, SETTINGS("batch=65536"));
        zo_step_info info;
        double first = 0;
        bool surely = !strcmp(e->name, "nodes") || !strcmp(e->name, "backprop");
        for (int step = 0; step < (surely ? 30 : 2); step++) {
            assert_int_equal(zo_trainer_step(trainer, 0, &info), ZO_OK);
            if (!step) first = info.loss;
        }
        if (!(isfinite(info.loss) && (!surely || info.loss < 0.9 * first)))
            fail_msg("%s: loss %g, then %g", e->name, first, info.loss);
        assert_true(
            memcmp(zo_trainer_net(trainer)->params, net->params, net->arena * sizeof(float)) != 0);
        check_file(zo_trainer_net(trainer));
        zo_trainer_destroy(trainer);
        zo_net_destroy(net);
    }
    zo_task_destroy(task);
}

/* ---- twins ---- */

static void other_epsilon(images64 *n) { n->stage[0].decimal *= 4; }
static void only_filter(images64 *n) { memcpy(n->stage[0].name, "conv", 5); }
static void leave_pad_out(images64 *n) { n->stage[0].top--, n->stage[0].left--; }
static void forget_threshold(images64 *n) { n->stage[0].decimal = 0; }

static void forget_max(images64 *n) { n->stage[0].max = false; }

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
    check_twin(ctx, "cells2,max", (size64){5, 5, 3}, forget_max);
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    check_bits("patch3x33,pad1 gelu patch2x5,same,stride2,eps0.1 wta3 dense3", (size64){9, 18, 3});
    check_bits("conv3x17 twosided0.25 cells3 sqrt conv1x3 twosided dense3", (size64){7, 8, 3});
    check_bits("conv3x17 twosided0.25 cells3,max sqrt cells2,max dense3", (size64){7, 8, 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_are_their_formula),
        cmocka_unit_test(patches_keep_their_digits),
        cmocka_unit_test(both_sides_are_their_formula),
        cmocka_unit_test(rows_become_images),
        cmocka_unit_test(both_sides_have_known_values),
        cmocka_unit_test(cells_are_their_formula),
        cmocka_unit_test(cells_begin_where_numpy_begins_them),
        cmocka_unit_test(even_cells_are_a_pooling),
        cmocka_unit_test(features_are_those_of_numpy),
        cmocka_unit_test(every_estimator_trains_them),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

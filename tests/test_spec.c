/* Net specs: what is read, what is refused and where, what a network then is, and its first weights. */
#include "support.h"

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

static zo_net *make(const char *spec, int inputs, const char *init, uint64_t seed)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = NULL;
    def.spec = spec;
    def.inputs = inputs;
    def.init = init;
    def.seed = seed;
    if (zo_net_create(ctx, &def, &net)) fail_msg("%s: %s", spec, zo_last_error(ctx));
    return net;
}

/* How many numbers a segment has. */
static int count_of(const zo_net *net, int segment)
{
    zo_segment s;
    assert_int_equal(zo_net_segment(net, segment, &s), ZO_OK);
    return (int)(s.shape[0] * (s.rank == 2 ? s.shape[1] : 1));
}

/* A copy of its numbers; the caller's. */
static float *numbers_of(const zo_net *net, int segment)
{
    float *x = floats((size_t)count_of(net, segment));
    assert_int_equal(zo_net_get(net, segment, x), ZO_OK);
    return x;
}

/* ---- errors ---- */

static void refuse(const char *spec, int inputs, int outputs, const char *place, const char *says)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = (zo_net *)&net;
    def.spec = spec;
    def.inputs = inputs;
    def.outputs = outputs;
    assert_int_equal(zo_net_create(ctx, &def, &net), ZO_USAGE);
    assert_null(net);
    error_says(ctx, place, says, NULL);
}

static void bad_words_are_named_with_their_place(void **state)
{
    static const struct {
        const char *spec, *place, *says;
    } bad[] = {
        {"", "empty", "dense128 relu dense10"},
        {" \t\n ", "empty", "dense128"},
        {"dense", "word 1 \"dense\" (column 1)", "dense1 to dense1048576"},
        {"dense0", "word 1 \"dense0\" (column 1)", "dense1 to"},
        {"dense8 relu dense1048577", "word 3 \"dense1048577\" (column 13)", "dense1 to"},
        {"dense99999999999999999999", "column 1", "dense1 to"},
        {"dense18446744073709551617", "column 1", "dense1 to"},
        {"dense8x", "column 1", "dense1 to"},
        {"dense8.5", "column 1", "dense1 to"},
        {"dense-5", "word 1 \"dense-5\"", "did you mean dense5?"},
        {"dense8 relu9", "word 2 \"relu9\" (column 8)", "takes no number"},
        {"dense8   rleu\tdense3", "word 2 \"rleu\" (column 10)", "did you mean relu?"},
        {"dense8\n\ndens3", "word 2 \"dens3\" (column 9)", "did you mean dense3?"},
        {"dense8 convolution", "word 2 \"convolution\" (column 8)", "zeroth list layers"},
        {"Dense8", "word 1 \"Dense8\"", "did you mean dense8?"},
        {"8", "word 1 \"8\"", "not a layer"},
        {"relu", "word 1 \"relu\" (column 1)", "follows a layer"},
        {"relu dense8", "word 1 \"relu\" (column 1)", "follows a layer"},
        {"dense8 relu tanh", "word 3 \"tanh\" (column 13)", "follows a layer"},
        {"twosided1000.1", "word 1 \"twosided1000.1\"", "twosided0 to twosided1000"},
        {"dense4 twosided0.1234567", "word 2", "a decimal, twosided0 to twosided1000"},
        {"twosided1234567", "word 1", "like twosided0.25"},
        {"twosided1.", "word 1", "like twosided0.25"},
        {"twosided.", "word 1 \"twosided.\"", "like twosided0.25"},
        {"twosided-1", "word 1 \"twosided-1\"", "not a layer"},
        {"twosided1e3", "word 1", "like twosided0.25"},
        {"twosided0.2.5", "word 1", "like twosided0.25"},
        {"twosided0,5", "word 1", "like twosided0.25"},
        {"twosided2x2", "word 1", "like twosided0.25"},
        {"dense.5", "word 1", "dense1 to"},
        {"dense8,relu", "word 1 \"dense8,relu\"", "dense1 to"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i].spec, 4, 0, bad[i].place, bad[i].says);
}

static void outputs_must_fit(void **state)
{
    (void)state;
    refuse("dense8 relu dense3", 4, 10, "word 3 \"dense3\" (column 13)",
           "gives 3 outputs where the task needs 10: end the net with dense10");
    refuse("dense8 relu", 4, 10, "word 1 \"dense8\" (column 1)", "end the net with dense10");
    refuse("dense8", 0, 0, "inputs", "not 0");
    refuse("dense8", -3, 0, "inputs", "not -3");
    refuse("dense8", (1 << 20) + 1, 0, "inputs", "1048576");
    refuse(NULL, 4, 0, "a net needs a spec", "");
    zo_net *net = NULL;
    assert_int_equal(zo_net_create(ctx, NULL, &net), ZO_USAGE);
    zo_net_def def = {.spec = "dense3", .inputs = 2, .init = "He"};
    assert_int_equal(zo_net_create(ctx, &def, &net), ZO_USAGE);
    error_says(ctx, "init \"He\"", "auto, he, glorot, zero", NULL);
    zo_net_destroy(NULL);
}

static void long_specs_are_refused(void **state)
{
    char word[80], *many = malloc(4097 * 7 + 1);
    (void)state;
    memset(word, 'a', 79);
    word[79] = 0;
    refuse(word, 4, 0, "word 1 \"aaaa", "too long");
    word[63] = 0;
    refuse(word, 4, 0, "word 1 \"aaaa", "not a layer");
    for (int i = 0; i < 4097; i++) memcpy(many + 7 * i, "dense1 ", 8);
    refuse(many, 4, 0, "4097 words", "the most is 4096");
    many[4096 * 7] = 0;
    zo_net *net = make(many, 4, "zero", 0);
    assert_int_equal(zo_net_layers(net), 4096);
    zo_net_destroy(net);
    free(many);
}

/* ---- what a spec means ---- */

static void specs_have_one_form(void **state)
{
    static const char *const specs[][2] = {
        {"  dense8\t relu\n\ndense3 ", "dense8 relu dense3"},
        {"dense0008 dense3", "dense8 dense3"},
        {"dense1", "dense1"},
        {"twosided0.25 dense3", "twosided0.25 dense3"},
        {"twosided.25 dense3", "twosided0.25 dense3"},
        {"twosided000.250000 dense3", "twosided0.25 dense3"},
        {"twosided00001 twosided1000.000000 dense3", "twosided1 twosided1000 dense3"},
        {"twosided0.000001 twosided12.000340 dense3", "twosided0.000001 twosided12.00034 dense3"},
        {"twosided0 twosided.0 twosided dense3", "twosided twosided twosided dense3"},
        {"dense4 leaky-relu dense4 gelu dense4 step", "dense4 leaky-relu dense4 gelu dense4 step"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        zo_net *net = make(specs[i][0], 5, "auto", 1), *again = make(specs[i][1], 5, "auto", 1);
        assert_string_equal(zo_net_spec(net), specs[i][1]);
        assert_string_equal(zo_net_spec(again), specs[i][1]);
        zo_net_destroy(net);
        zo_net_destroy(again);
    }
}

static void layers_are_described(void **state)
{
    static const zo_layer_info wanted[] = {
        {"dense128", 784, 128, {1, 1, 128}, 100480, 100352, "weights outputs"},
        {"relu", 128, 128, {1, 1, 128}, 0, 0, ""},
        {"dense128", 128, 128, {1, 1, 128}, 16512, 16384, "weights outputs"},
        {"relu", 128, 128, {1, 1, 128}, 0, 0, ""},
        {"dense10", 128, 10, {1, 1, 10}, 1290, 1280, "weights outputs"},
    };
    zo_net *net = make("dense128 relu dense128 relu dense10", 784, "auto", 0);
    zo_layer_info info;
    (void)state;
    assert_int_equal(zo_net_inputs(net), 784);
    assert_int_equal(zo_net_outputs(net), 10);
    assert_int_equal(zo_net_parameters(net), 118282); /* the textbook's count of 784-128-128-10 */
    assert_true(zo_net_cost(net) == 784 * 128 + 128 * 128 + 128 * 10);
    assert_int_equal(zo_net_layers(net), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(zo_net_layer(net, i, &info), ZO_OK);
        assert_string_equal(info.name, wanted[i].name);
        assert_int_equal(info.inputs, wanted[i].inputs);
        assert_int_equal(info.outputs, wanted[i].outputs);
        assert_memory_equal(info.shape, wanted[i].shape, sizeof info.shape);
        assert_int_equal(info.parameters, wanted[i].parameters);
        assert_true(info.cost == wanted[i].cost);
        assert_string_equal(info.sites, wanted[i].sites);
    }
    assert_int_equal(zo_net_layer(net, -1, &info), ZO_USAGE);
    assert_int_equal(zo_net_layer(net, 5, &info), ZO_USAGE);
    error_says(ctx, "layer 5", "0 to 4", NULL);
    zo_net_destroy(net);
}

static void segments_are_described(void **state)
{
    static const struct {
        const char *name;
        int rank;
        int64_t rows, columns;
    } wanted[] = {
        {"0.weight", 2, 5, 17}, {"0.bias", 1, 17, 0}, {"2.weight", 2, 17, 3}, {"2.bias", 1, 3, 0}};
    zo_net *net = make("dense17 tanh dense3", 5, "auto", 0);
    zo_segment s;
    (void)state;
    assert_int_equal(zo_net_segments(net), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(zo_net_segment(net, i, &s), ZO_OK);
        assert_string_equal(s.name, wanted[i].name);
        assert_int_equal(s.rank, wanted[i].rank);
        assert_int_equal(s.shape[0], wanted[i].rows);
        if (s.rank == 2) assert_int_equal(s.shape[1], wanted[i].columns);
    }
    assert_int_equal(zo_net_segment(net, -1, &s), ZO_USAGE);
    assert_int_equal(zo_net_segment(net, 4, &s), ZO_USAGE);
    zo_net_destroy(net);
}

/* Numbers that are all different go in and come out: segments neither overlap nor lose an order. */
static void segments_are_copied(void **state)
{
    zo_net *net = make("dense17 tanh dense50 dense3", 5, "auto", 0);
    float in[2000], out[2000];
    int at = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) in[i] = (float)i;
    for (int i = 0; i < zo_net_segments(net); at += count_of(net, i++))
        assert_int_equal(zo_net_set(net, i, in + at), ZO_OK);
    assert_int_equal(at, zo_net_parameters(net));
    for (int i = at = 0; i < zo_net_segments(net); at += count_of(net, i++)) {
        assert_int_equal(zo_net_get(net, i, out), ZO_OK);
        assert_memory_equal(out, in + at, (size_t)count_of(net, i) * sizeof *out);
    }
    in[2] = NAN;
    assert_int_equal(zo_net_set(net, 5, in), ZO_USAGE);
    error_says(ctx, "\"3.bias\"", "number 2 is not finite", NULL);
    assert_int_equal(zo_net_get(net, 5, out), ZO_OK);
    assert_memory_equal(out, in + at - 3, 3 * sizeof *out); /* as before */
    assert_int_equal(zo_net_set(net, 6, in), ZO_USAGE);
    assert_int_equal(zo_net_get(net, -1, out), ZO_USAGE);
    error_says(ctx, "segment -1", "0 to 5", NULL);
    zo_net_destroy(net);
}

/* ---- first weights ---- */

typedef struct spread {
    double mean, variance, kurtosis, most;
} spread;

static spread spread_of(zo_net *net, int segment)
{
    spread r = {0, 0, 0, 0};
    int n = count_of(net, segment);
    float *x = numbers_of(net, segment);
    for (int i = 0; i < n; i++) r.mean += (double)x[i] / n;
    for (int i = 0; i < n; i++) {
        double d = (double)x[i] - r.mean;
        r.variance += d * d / n;
        r.kurtosis += d * d * d * d / n;
        r.most = fmax(r.most, fabs((double)x[i]));
    }
    r.kurtosis /= r.variance * r.variance;
    free(x);
    return r;
}

/* He: normal, variance 2 / inputs. Glorot: uniform, variance 2 / (inputs + outputs). Five deviations of each estimate. */
static void check_spread(zo_net *net, int segment, bool he, int inputs, int outputs)
{
    spread r = spread_of(net, segment), bias = spread_of(net, segment + 1);
    double n = inputs * outputs, want = he ? 2.0 / inputs : 2.0 / (inputs + outputs);
    double bound = sqrt(6.0 / (inputs + outputs));
    assert_near(r.mean, 0, 5 * sqrt(want / n), 0, "mean");
    assert_near(r.variance, want, 0, 5 * sqrt((he ? 2 : 0.8) / n), "variance");
    assert_near(r.kurtosis, he ? 3 : 1.8, 5 * sqrt((he ? 24 : 0.4) / n), 0, "kurtosis");
    assert_true(he ? r.most > 3 * sqrt(want) : r.most <= bound && r.most > 0.99 * bound);
    assert_true(bias.most == 0);
}

static void first_weights_have_their_distribution(void **state)
{
    static const struct {
        const char *spec, *init;
        bool he[2];
    } nets[] = {
        {"dense80 relu dense100", "auto", {true, false}},
        {"dense80 gelu dense100 leaky-relu", "auto", {true, true}},
        {"dense80 tanh dense100 sigmoid", "auto", {false, false}},
        {"dense80 step dense100 sign", "auto", {false, false}},
        {"dense80 dense100", NULL, {false, false}},
        {"dense80 tanh dense100", "he", {true, true}},
        {"dense80 relu dense100 relu", "glorot", {false, false}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            zo_net *net = make(nets[i].spec, 120, nets[i].init, seed);
            check_spread(net, 0, nets[i].he[0], 120, 80);
            check_spread(net, 2, nets[i].he[1], 80, 100);
            zo_net_destroy(net);
        }
    }
    zo_net *net = make("dense80 relu dense100", 120, "zero", 1);
    for (int i = 0; i < 4; i++) assert_true(spread_of(net, i).most == 0);
    zo_net_destroy(net);
}

/* Correlation of two segments' first numbers. */
static double correlation(zo_net *a, int i, zo_net *b, int j)
{
    float *s = numbers_of(a, i), *t = numbers_of(b, j);
    double both = 0, one = 0, other = 0;
    for (int k = 0; k < 3600; k++) {
        both += (double)s[k] * (double)t[k];
        one += (double)s[k] * (double)s[k];
        other += (double)t[k] * (double)t[k];
    }
    free(s), free(t);
    return both / sqrt(one * other);
}

static void seeds_decide_the_first_weights(void **state)
{
    const char *spec = "dense60 relu dense60 relu dense60 relu";
    zo_net *a = make(spec, 60, "auto", 5), *same = make(spec, 60, "auto", 5),
           *other = make(spec, 60, "auto", 6), *high = make(spec, 60, "auto", 5 + (1ull << 32));
    (void)state;
    for (int i = 0; i < 6; i += 2) {
        float *s = numbers_of(a, i), *t = numbers_of(same, i);
        assert_memory_equal(s, t, 3600 * sizeof *s);
        free(s), free(t);
        assert_true(fabs(correlation(a, i, other, i)) < 5.0 / 60);
        assert_true(fabs(correlation(a, i, high, i)) < 5.0 / 60);
        if (i) assert_true(fabs(correlation(a, 0, a, i)) < 5.0 / 60);
    }
    zo_net_destroy(a), zo_net_destroy(same), zo_net_destroy(other), zo_net_destroy(high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_words_are_named_with_their_place),
        cmocka_unit_test(outputs_must_fit),
        cmocka_unit_test(long_specs_are_refused),
        cmocka_unit_test(specs_have_one_form),
        cmocka_unit_test(layers_are_described),
        cmocka_unit_test(segments_are_described),
        cmocka_unit_test(segments_are_copied),
        cmocka_unit_test(first_weights_have_their_distribution),
        cmocka_unit_test(seeds_decide_the_first_weights),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

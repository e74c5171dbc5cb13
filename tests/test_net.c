/* Networks at work: forward passes, copies, notes, and refused memory.
 * labels: threads */
#include "support.h"

#include "nn/net.h"

static uint64_t seed = 3;

/* A net whose biases and transforms are drawn too: at zero they would hide mistakes. */
static zo_net *make(zo_context *ctx, const char *spec, int inputs)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = NULL;
    def.spec = spec;
    def.inputs = inputs;
    def.seed = 4;
    if (zo_net_create(ctx, &def, &net)) fail_msg("%s: %s", spec, zo_last_error(ctx));
    float *shift = floats(1000), *scale = floats(1000);
    uint64_t own = 9; /* the same numbers for the same spec */
    draw_many(&own, shift, 1000, -0.5, 0.5);
    draw_many(&own, scale, 1000, 0.5, 1.5);
    assert_int_equal(zo_net_set_input(net, shift, scale), ZO_OK);
    for (int i = 1; i < zo_net_segments(net); i += 2) {
        zo_segment s;
        zo_net_segment(net, i, &s);
        draw_many(&own, shift, (size_t)s.shape[0], -0.5, 0.5);
        assert_int_equal(zo_net_set(net, i, shift), ZO_OK);
    }
    free(shift), free(scale);
    return net;
}

/* ---- forward ---- */

static double activate(const char *name, double z)
{
    if (!strcmp(name, "relu")) return z > 0 ? z : 0;
    if (!strcmp(name, "leaky-relu")) return z < 0 ? z / 100 : z;
    if (!strcmp(name, "tanh")) return tanh(z);
    if (!strcmp(name, "sigmoid")) return 1 / (1 + exp(-z));
    if (!strcmp(name, "gelu")) return z * 0.5 * erfc(-z / sqrt(2));
    if (!strcmp(name, "step")) return z > 0;
    assert_string_equal(name, "sign");
    return z < 0 ? -1 : 1;
}

/* The network of one example in double precision, from what the public interface shows. x: features in, outputs out. */
static void forward64(zo_net *net, double *x)
{
    double z[400];
    int segment = 0;
    for (int i = 0; i < zo_net_layers(net); i++) {
        zo_layer_info info;
        assert_int_equal(zo_net_layer(net, i, &info), ZO_OK);
        if (!info.parameters) {
            for (int j = 0; j < info.outputs; j++) x[j] = activate(info.name, x[j]);
            continue;
        }
        float *w = floats((size_t)info.parameters), *b = w + info.inputs * info.outputs;
        assert_int_equal(zo_net_get(net, segment++, w), ZO_OK);
        assert_int_equal(zo_net_get(net, segment++, b), ZO_OK);
        for (int j = 0; j < info.outputs; j++) {
            z[j] = (double)b[j];
            for (int l = 0; l < info.inputs; l++) z[j] += x[l] * (double)w[l * info.outputs + j];
        }
        memcpy(x, z, (size_t)info.outputs * sizeof *x);
        free(w);
    }
}

static const struct {
    const char *spec;
    int inputs;
} nets[] = {
    {"dense1", 1},
    {"dense10", 784},
    {"dense33 relu dense17 tanh dense3", 50},
    {"dense64 sigmoid dense10", 100},
    {"dense31 gelu dense32 leaky-relu dense47 relu dense5", 13},
    {"dense40 dense7 tanh", 300},
    {"dense20 step dense20 sign dense2", 9},
};
enum { NETS = sizeof nets / sizeof *nets, ROWS = 130 };

static void forward_is_the_formula(void **state)
{
    zo_context *ctx = make_context(2, NULL, NULL);
    (void)state;
    for (int s = 0; s < NETS; s++) {
        zo_net *net = make(ctx, nets[s].spec, nets[s].inputs);
        size_t in = (size_t)nets[s].inputs, out = (size_t)zo_net_outputs(net);
        float *x = floats(70 * in), *y = floats(70 * out), shift[100], scale[100];
        draw_many(&seed, x, 70 * in, -2, 2);
        draw_many(&seed, shift, 100, -3, 3);
        draw_many(&seed, scale, 100, -3, 3);
        assert_int_equal(zo_net_set_output(net, shift, scale), ZO_OK);
        assert_int_equal(zo_net_forward(net, 70, x, y), ZO_OK);
        for (size_t i = 0; i < 70; i++) {
            double row[800];
            for (size_t j = 0; j < in; j++)
                row[j] = ((double)x[i * in + j] - (double)net->shift[j]) * (double)net->scale[j];
            forward64(net, row);
            for (size_t j = 0; j < out; j++)
                assert_near(y[i * out + j], row[j] * (double)scale[j] + (double)shift[j], 3e-5,
                            3e-5, nets[s].spec);
        }
        free(x), free(y);
        zo_net_destroy(net);
    }
    zo_context_destroy(ctx);
}

/* Outputs of ROWS rows, in one call. */
static float *outputs_of(const zo_net *net, const float *x)
{
    float *y = floats((size_t)ROWS * (size_t)zo_net_outputs(net));
    assert_int_equal(zo_net_forward(net, ROWS, x, y), ZO_OK);
    return y;
}

static void a_row_s_bits_do_not_depend_on_other_rows(void **state)
{
    zo_context *ctx = make_context(3, NULL, NULL);
    (void)state;
    for (int s = 0; s < NETS; s++) {
        zo_net *net = make(ctx, nets[s].spec, nets[s].inputs);
        size_t in = (size_t)nets[s].inputs, out = (size_t)zo_net_outputs(net);
        float *x = floats(ROWS * in), *y = floats(ROWS * out + 1);
        draw_many(&seed, x, ROWS * in, -2, 2);
        float *all = outputs_of(net, x);
        for (size_t n = 0; n <= ROWS; n++) {
            size_t first = (n * 7) % (ROWS - n + 1);
            y[n * out] = 12345;
            assert_int_equal(zo_net_forward(net, (int64_t)n, x + first * in, y), ZO_OK);
            assert_same_floats(y, all + first * out, n * out, nets[s].spec);
            assert_true(y[n * out] == 12345); /* no row too many */
        }
        free(x), free(y), free(all);
        zo_net_destroy(net);
    }
    zo_context_destroy(ctx);
}

static void bits_do_not_depend_on_threads_or_kernels(void **state)
{
    (void)state;
    for (int s = 0; s < NETS; s++) {
        size_t in = (size_t)nets[s].inputs;
        float *x = floats(ROWS * in), *first = NULL;
        draw_many(&seed, x, ROWS * in, -2, 2);
        for (int k = 0; kernel_set(k); k++) {
            for (int threads = 1; threads <= 3; threads++) {
                zo_context *ctx = make_context(threads, kernel_set(k)->info.name, NULL);
                zo_net *net = make(ctx, nets[s].spec, nets[s].inputs);
                float *y = outputs_of(net, x);
                if (first)
                    assert_same_floats(y, first, ROWS * (size_t)zo_net_outputs(net), nets[s].spec);
                if (first)
                    free(y);
                else
                    first = y;
                zo_net_destroy(net);
                zo_context_destroy(ctx);
            }
        }
        free(x), free(first);
    }
}

static void bad_calls_are_refused(void **state)
{
    zo_context *ctx = make_context(1, NULL, NULL);
    zo_net *net = make(ctx, "dense2", 3);
    float x[3] = {1, 2, 3}, y[2] = {7, 7};
    (void)state;
    assert_int_equal(zo_net_forward(net, -1, x, y), ZO_USAGE);
    assert_int_equal(zo_net_forward(net, 1, NULL, y), ZO_USAGE);
    assert_int_equal(zo_net_forward(net, 1, x, NULL), ZO_USAGE);
    assert_int_equal(zo_net_forward(net, 0, NULL, NULL), ZO_OK);
    assert_true(y[0] == 7 && y[1] == 7);
    zo_net_destroy(net);
    zo_context_destroy(ctx);
}

/* ---- transforms, notes, copies ---- */

static void transforms_must_be_finite(void **state)
{
    zo_context *ctx = make_context(1, NULL, NULL);
    zo_net *net = make(ctx, "dense2", 3);
    float good[3] = {1, 2, 3}, bad[3] = {1, 2, NAN}, huge[2] = {INFINITY, 1};
    (void)state;
    assert_int_equal(zo_net_set_input(net, good, good), ZO_OK);
    assert_int_equal(zo_net_set_input(net, bad, NULL), ZO_USAGE);
    error_says(ctx, "inputs", "finite", NULL);
    assert_int_equal(zo_net_set_input(net, NULL, bad), ZO_USAGE);
    assert_memory_equal(net->shift, good, sizeof good); /* as before */
    assert_int_equal(zo_net_set_output(net, huge, NULL), ZO_USAGE);
    error_says(ctx, "outputs", "finite", NULL);
    assert_int_equal(zo_net_set_input(net, NULL, NULL), ZO_OK);
    for (int i = 0; i < 3; i++) assert_true(net->shift[i] == 0 && net->scale[i] == 1);
    zo_net_destroy(net);
    zo_context_destroy(ctx);
}

static void notes_are_kept(void **state)
{
    static const char *const refused[] = {"",       "format", "version", "net",
                                          "inputs", "shape",  "caf\xe9"};
    zo_context *ctx = make_context(1, NULL, NULL);
    zo_net *net = make(ctx, "dense2", 3);
    (void)state;
    assert_null(zo_net_note(net, "task"));
    assert_int_equal(zo_net_set_note(net, "task", "flowers"), ZO_OK);
    assert_int_equal(zo_net_set_note(net, "author", "nobody \xe2\x98\x83"), ZO_OK);
    assert_int_equal(zo_net_set_note(net, "more", ""), ZO_OK);
    assert_int_equal(zo_net_set_note(net, "task", "digits"), ZO_OK);
    assert_string_equal(zo_net_note(net, "task"), "digits");
    assert_string_equal(zo_net_note(net, "author"), "nobody \xe2\x98\x83");
    assert_string_equal(zo_net_note(net, "more"), "");
    assert_int_equal(zo_net_set_note(net, "author", NULL), ZO_OK);
    assert_int_equal(zo_net_set_note(net, "absent", NULL), ZO_OK);
    assert_null(zo_net_note(net, "author"));
    assert_string_equal(zo_net_note(net, "more"), "");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(zo_net_set_note(net, refused[i], "x"), ZO_USAGE);
    assert_int_equal(zo_net_set_note(net, "task", "\xff"), ZO_USAGE);
    assert_string_equal(zo_net_note(net, "task"), "digits");
    zo_net_destroy(net);
    zo_context_destroy(ctx);
}

static void copies_are_equal_and_independent(void **state)
{
    zo_context *ctx = make_context(2, NULL, NULL);
    zo_net *net = make(ctx, nets[2].spec, nets[2].inputs), *copy = NULL;
    size_t in = (size_t)nets[2].inputs, out = 3;
    float *x = floats(ROWS * in), shift[3] = {1, 2, 3};
    (void)state;
    draw_many(&seed, x, ROWS * in, -2, 2);
    zo_net_set_output(net, shift, NULL);
    zo_net_set_note(net, "task", "flowers");
    float *before = outputs_of(net, x);
    assert_int_equal(zo_net_copy(net, &copy), ZO_OK);
    assert_string_equal(zo_net_spec(copy), zo_net_spec(net));
    assert_string_equal(zo_net_note(copy, "task"), "flowers");
    for (int i = 0; i < net->stages; i++) net->params[net->stage[i].weight] += 1;
    zo_net_set_input(net, NULL, NULL);
    zo_net_set_output(net, NULL, NULL);
    zo_net_set_note(net, "task", NULL);
    float *changed = outputs_of(net, x);
    assert_memory_not_equal(changed, before, ROWS * out * sizeof *before);
    zo_net_destroy(net);
    float *after = outputs_of(copy, x);
    assert_same_floats(after, before, ROWS * out, "copy");
    assert_string_equal(zo_net_note(copy, "task"), "flowers");
    zo_net_destroy(copy);
    free(x), free(before), free(after), free(changed);
    zo_context_destroy(ctx);
}

/* ---- refused memory ---- */

static zo_status create_and_note(zo_context *ctx, void *arg)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net;
    (void)arg;
    def.spec = "dense5 relu dense3 tanh";
    def.inputs = 4;
    zo_status status = zo_net_create(ctx, &def, &net);
    assert_true((net != NULL) == (status == ZO_OK));
    if (!status) status = zo_net_set_note(net, "key", "value");
    if (!status) status = zo_net_set_note(net, "key", "another");
    zo_net_destroy(net);
    return status;
}

/* Copies a net of another context's making: `net` is made again in this one, outside the refusals. */
typedef struct passage {
    const char *path;
    zo_status (*work)(const struct passage *p, zo_net *net);
} passage;

static zo_status copy_net(const passage *p, zo_net *net)
{
    zo_net *copy;
    (void)p;
    zo_status status = zo_net_copy(net, &copy);
    assert_true((copy != NULL) == (status == ZO_OK));
    zo_net_destroy(copy);
    return status;
}

static zo_status save_net(const passage *p, zo_net *net) { return zo_net_save(net, p->path); }

static zo_status load_net(const passage *p, zo_net *net)
{
    zo_net *loaded;
    zo_status status = zo_net_load(net->ctx, p->path, &loaded);
    assert_true((loaded != NULL) == (status == ZO_OK));
    zo_net_destroy(loaded);
    return status;
}

static zo_status forward_net(const passage *p, zo_net *net)
{
    float x[4 * 70] = {0}, y[3 * 70];
    (void)p;
    return zo_net_forward(net, 70, x, y);
}

/* At least `least` allocations, of which the net keeps `kept` until it is destroyed. */
static void check_passage(zo_status (*work)(const passage *, zo_net *), const char *path,
                          long least, long kept)
{
    passage p = {path, work};
    for (long k = 0;; k++) {
        memory m = {.left = -1};
        zo_context *ctx = make_context(2, NULL, &m);
        zo_net *net = make(ctx, "dense5 relu dense3 tanh", 4);
        assert_int_equal(zo_net_set_note(net, "key", "value"), ZO_OK);
        long before = m.live;
        m.left = k;
        zo_status status = work(&p, net);
        m.left = -1;
        if (m.live != before + (status ? 0 : kept))
            fail_msg("allocation %ld refused: %ld blocks are left", k, m.live - before);
        assert_true(status == ZO_OK || status == ZO_NO_MEMORY);
        zo_net_destroy(net);
        zo_context_destroy(ctx);
        assert_int_equal(m.live, 0);
        if (status) continue;
        assert_true(k >= least);
        return;
    }
}

static void refused_memory_leaks_nothing(void **state)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "net.safetensors");
    (void)state;
    assert_true(refuse_each(create_and_note, NULL) > 10);
    check_passage(copy_net, path, 10, 0);
    check_passage(save_net, path, 1, 0);
    assert_int_equal(entries(folder), 1); /* the one that succeeded */
    check_passage(load_net, path, 10, 0);
    check_passage(forward_net, path, 1, 1);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_formula),
        cmocka_unit_test(a_row_s_bits_do_not_depend_on_other_rows),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_kernels),
        cmocka_unit_test(bad_calls_are_refused),
        cmocka_unit_test(transforms_must_be_finite),
        cmocka_unit_test(notes_are_kept),
        cmocka_unit_test(copies_are_equal_and_independent),
        cmocka_unit_test(refused_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

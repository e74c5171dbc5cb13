/* Model files: what is written is read back, and files that are cut, wrong or lying are refused. */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "nn/net.h"

static zo_context *ctx;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

static zo_net *make_images(const char *spec, int height, int width, int channels)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = NULL;
    def.spec = spec;
    def.inputs = height * width * channels;
    def.height = height, def.width = width, def.channels = channels;
    def.seed = 2;
    assert_int_equal(zo_net_create(ctx, &def, &net), ZO_OK);
    return net;
}

static zo_net *make(const char *spec, int inputs) { return make_images(spec, 1, 1, inputs); }

/* ---- what is written ---- */

static void numbers_that_are_not_finite_are_not_written(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const char *path = in_folder(folder, "not-finite");
    (void)state;
    for (int i = 0; i < 3; i++) {
        zo_net *net = make("dense3 relu dense2", 4);
        net->params[net->stage[net->stages - 1].bias + 1] = bad[i]; /* zo_net_set() refuses it */
        assert_int_equal(zo_net_save(net, path), ZO_DIVERGED);
        assert_int_not_equal(access(path, F_OK), 0);
        zo_net_destroy(net);
    }
}

static void assert_equal_nets(zo_net *a, zo_net *b)
{
    assert_string_equal(zo_net_spec(a), zo_net_spec(b));
    assert_int_equal(zo_net_inputs(a), zo_net_inputs(b));
    assert_true(a->in.height == b->in.height && a->in.width == b->in.width);
    assert_true(a->in.channels == b->in.channels && a->in.pitch == b->in.pitch);
    for (int i = 0; i < zo_net_segments(a); i++) {
        zo_segment s, t;
        zo_net_segment(a, i, &s);
        zo_net_segment(b, i, &t);
        assert_string_equal(s.name, t.name);
        size_t n = (size_t)(s.shape[0] * (s.rank == 2 ? s.shape[1] : 1));
        float *x = floats(n), *y = floats(n);
        zo_net_get(a, i, x);
        zo_net_get(b, i, y);
        assert_memory_equal(x, y, n * sizeof *x);
        free(x), free(y);
    }
    assert_memory_equal(a->shift, b->shift, (size_t)a->inputs * sizeof(float));
    assert_memory_equal(a->scale, b->scale, (size_t)a->inputs * sizeof(float));
    assert_memory_equal(a->out_shift, b->out_shift, (size_t)a->outputs * sizeof(float));
    assert_memory_equal(a->out_scale, b->out_scale, (size_t)a->outputs * sizeof(float));
}

static void nets_come_back(void **state)
{
    static const char *const specs[] = {"dense1", "dense3 relu dense2",
                                        "dense17 gelu dense5 sign dense33 tanh"};
    const char *path = in_folder(folder, "net.safetensors");
    float numbers[64];
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        zo_net *net = make(specs[i % 3], 1 + (int)i * 4), *back;
        draw_many(&seed, numbers, 64, -1, 1);
        zo_net_set_input(net, numbers, numbers + 30);
        if (i >= 3) zo_net_set_output(net, numbers, numbers + 20);
        zo_net_set_note(net, "task", "{\"a\": \"\\\" \xe2\x98\x83\n\"}");
        zo_net_set_note(net, "data_offsets", "a strange name");
        assert_int_equal(zo_net_save(net, path), ZO_OK);
        assert_int_equal(zo_net_load(ctx, path, &back), ZO_OK);
        assert_equal_nets(net, back);
        assert_string_equal(zo_net_note(back, "task"), zo_net_note(net, "task"));
        assert_string_equal(zo_net_note(back, "data_offsets"), "a strange name");
        assert_null(zo_net_note(back, "net"));
        zo_net_destroy(net);
        zo_net_destroy(back);
    }
    assert_int_equal(entries(folder), 1);
}

/* The same of images, with layers of every kind: a file is in the order of the tensors, wherever the arena has them. */
static void nets_of_images_come_back(void **state)
{
    static const struct {
        const char *spec;
        int height, width, channels;
    } nets[] = {
        {"conv3x5 relu dense2", 4, 5, 1},
        {"conv2x3x40,same,stride2,nobias dwconv3x2,same norm scale,nobias dense33 dense3", 5, 4, 17},
        {"{ conv3x3,same { norm,nobias }+ }+ pool2 global-mean", 4, 4, 3},
        {"dense7 quant3 dense5 wta2", 1, 9, 1},
        {"{ { conv3x4,same relu | conv1x4 }+ | dwconv3,same conv1x3 }cat pool2 dense2", 4, 4, 3},
        {"patch3x2x30,pad1,eps0.125 twosided0.25 cells2,max sqrt flatten scale { dense7 relu }cat "
         "dense2",
         5, 4, 3},
    };
    const char *path = in_folder(folder, "images.safetensors");
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        zo_net *net = make_images(nets[i].spec, nets[i].height, nets[i].width, nets[i].channels),
               *back;
        uint64_t seed = 4;
        for (int s = 0; s < zo_net_segments(net); s++) {
            float numbers[8000];
            draw_many(&seed, numbers, 8000, -1, 1);
            assert_int_equal(zo_net_set(net, s, numbers), ZO_OK);
        }
        assert_int_equal(zo_net_save(net, path), ZO_OK);
        assert_int_equal(zo_net_load(ctx, path, &back), ZO_OK);
        assert_equal_nets(net, back);
        float x[5 * 4 * 17], y[100], z[100];
        draw_many(&seed, x, 5 * 4 * 17, -1, 1);
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        assert_int_equal(zo_net_forward(back, 1, x, z), ZO_OK);
        assert_same_floats(z, y, (size_t)zo_net_outputs(net), nets[i].spec);
        zo_net_destroy(net);
        zo_net_destroy(back);
    }
    remove(path);
}

static void same_net_same_bytes(void **state)
{
    zo_net *net = make("dense3 relu dense2", 4), *back;
    size_t n, m;
    (void)state;
    assert_int_equal(zo_net_save(net, in_folder(folder, "one")), ZO_OK);
    assert_int_equal(zo_net_load(ctx, in_folder(folder, "one"), &back), ZO_OK);
    assert_int_equal(zo_net_save(back, in_folder(folder, "two")), ZO_OK);
    char *one = get_file(in_folder(folder, "one"), &n),
         *two = get_file(in_folder(folder, "two"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
    uint64_t header;
    memcpy(&header, one, 8);
    assert_int_equal(header % 8, 0); /* the numbers are aligned */
    assert_int_equal(n, 8 + header + 4 * (4 * 3 + 3 + 3 * 2 + 2 + 2 * 4));
    free(one), free(two);
    zo_net_destroy(net), zo_net_destroy(back);
}

/* ---- files made by hand ---- */

#define META                                                                                       \
    "\"__metadata__\":{\"format\":\"zeroth\",\"version\":\"1\",\"net\":\"dense2\",\"inputs\":"     \
    "\"1\"}"
#define TENSOR(name, shape, begin, end)                                                            \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]" \
    "}"
#define WEIGHT TENSOR("0.weight", "1,2", 0, 8)
#define BIAS TENSOR("0.bias", "2", 8, 16)
#define SHIFT TENSOR("input.shift", "1", 16, 20)
#define SCALE TENSOR("input.scale", "1", 20, 24)
#define GOOD "{" META "," WEIGHT "," BIAS "," SHIFT "," SCALE "}"

/* A file of this header, with n numbers behind it; malloc'ed. */
static char *build(const char *header, size_t n, float value, size_t *size)
{
    uint64_t length = strlen(header);
    *size = 8 + length + 4 * n;
    char *bytes = malloc(*size);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n; i++) memcpy(bytes + 8 + length + 4 * i, &value, 4);
    return bytes;
}

/* Reads bytes that lie in a block of exactly their size, so that a sanitizer sees a step too far. */
static zo_status read_bytes(const char *bytes, size_t size)
{
    zo_net *net = (zo_net *)&net;
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    zo_status status = zo_net_from_bytes(ctx, "x.safetensors", copy, size, &net);
    free(copy);
    assert_true((net != NULL) == (status == ZO_OK));
    zo_net_destroy(net);
    return status;
}

static void refuse(const char *header, size_t n, float value, const char *says)
{
    size_t size;
    char *bytes = build(header, n, value, &size);
    zo_status status = read_bytes(bytes, size);
    free(bytes);
    if (status != ZO_FORMAT) fail_msg("%s: %s", header, zo_status_name(status));
    error_says(ctx, "x.safetensors", says, NULL);
}

static void good_files_are_accepted(void **state)
{
    static const char *const good[] = {
        GOOD,
        GOOD "    ",
        "{" SCALE "," SHIFT "," META "," BIAS "," WEIGHT "}", /* any order */
        "{" META "," TENSOR("0.weight", "1,2", 16, 24) "," TENSOR("0.bias", "2", 0, 8) "," TENSOR(
            "input.shift", "1", 12, 16) "," TENSOR("input.scale", "1", 8, 12) "}",
    };
    size_t size;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *bytes = build(good[i], 6, 1.5f, &size);
        if (read_bytes(bytes, size)) fail_msg("%s: %s", good[i], zo_last_error(ctx));
        free(bytes);
    }
}

static void wrong_tensors_are_refused(void **state)
{
#define WITH(t) "{" META "," t "," BIAS "," SHIFT "," SCALE "}"
    (void)state;
    refuse("{" META "," WEIGHT "," SHIFT "," SCALE "," TENSOR("0.baas", "2", 8, 16) "}", 6, 1,
           "\"0.bias\" is missing");
    refuse("{" META "," WEIGHT "," BIAS "," SHIFT "," SCALE "," TENSOR("extra", "1", 24, 28) "}", 7,
           1, "does not have");
    refuse("{" META "," WEIGHT "," BIAS "}", 4, 1, "is missing");
    refuse(WITH(TENSOR("0.weight", "2,1", 0, 8)), 6, 1, "does not have the shape");
    refuse(WITH(TENSOR("0.weight", "2", 0, 8)), 6, 1, "does not have the shape");
    refuse(WITH(TENSOR("0.weight", "1,2,1", 0, 8)), 6, 1, "does not have the shape");
    refuse(WITH(TENSOR("0.weight", "-1,-2", 0, 8)), 6, 1, "does not have the shape");
    refuse(WITH(TENSOR("0.weight", "1.0,2.0", 0, 8)), 6, 1, "");
    refuse(WITH("\"0.weight\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,8]}"), 6, 1,
           "not F32");
    refuse(WITH("\"0.weight\":{\"shape\":[1,2],\"data_offsets\":[0,8]}"), 6, 1, "not F32");
    refuse(WITH("\"0.weight\":[1,2]"), 6, 1, "");
    refuse(WITH("\"0.weight\":null"), 6, 1, "");
    refuse(GOOD, 6, NAN, "not finite");
    refuse(GOOD, 6, -INFINITY, "not finite");
}

static void lying_offsets_are_refused(void **state)
{
    (void)state;
    refuse(WITH(TENSOR("0.weight", "1,2", 0, 12)), 6, 1, "lies outside");
    refuse(WITH(TENSOR("0.weight", "1,2", 20, 28)), 6, 1, "lies outside");
    refuse(WITH(TENSOR("0.weight", "1,2", -8, 0)), 6, 1, "lies outside");
    refuse(WITH(TENSOR("0.weight", "1,2", 8, 0)), 6, 1, "lies outside");
    refuse(WITH(TENSOR("0.weight", "1,2", 9223372036854775800, 9223372036854775807)), 6, 1,
           "lies outside");
    refuse(WITH("\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0]}"), 6, 1,
           "lies outside");
    refuse(WITH("\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,2]}"), 6, 1, "lies outside");
    refuse(WITH(TENSOR("0.weight", "1,2", 8, 16)), 6, 1, "overlap");
    refuse(WITH(TENSOR("0.weight", "1,2", 2, 10)), 6, 1, "overlap");
    refuse(GOOD, 5, 1, "cut off");
    refuse(GOOD, 7, 1, "promises 6 numbers");
    refuse(WITH(TENSOR("0.weight", "4611686018427387904,4", 0, 8)), 6, 1, "promises");
    refuse(WITH(TENSOR("0.weight", "99999999999999999999,4", 0, 8)), 6, 1, "");
}

/* What the metadata says, "key":"value" pairs. */
static void refuse_meta(const char *meta, const char *says)
{
    char header[1000];
    snprintf(header, sizeof header,
             "{\"__metadata__\":{%s}," WEIGHT "," BIAS "," SHIFT "," SCALE "}", meta);
    refuse(header, 6, 1, says);
}

static void wrong_metadata_is_refused(void **state)
{
#define FORM "\"format\":\"zeroth\",\"version\":\"1\""
    (void)state;
    refuse("{" WEIGHT "," BIAS "," SHIFT "," SCALE "}", 6, 1, "no net spec");
    refuse_meta("", "no net spec");
    refuse_meta("\"format\":\"pt\",\"version\":\"1\",\"net\":\"dense2\",\"inputs\":\"1\"",
                "no net");
    refuse_meta("\"format\":\"zeroth\",\"version\":\"2\",\"net\":\"dense2\",\"inputs\":\"1\"",
                "version 2, this zeroth reads version 1");
    refuse_meta(FORM ",\"net\":\"dense2\"", "no net spec");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":1", "no net spec");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"0\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"-1\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"1x\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"1048577\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dense2\",\"inputs\":\"18446744073709551617\"", "inputs");
    refuse_meta(FORM ",\"net\":\"dens2\",\"inputs\":\"1\"", "did you mean dense2?");
    refuse_meta(FORM ",\"net\":\"\",\"inputs\":\"1\"", "empty");
    refuse_meta(FORM ",\"net\":\"dense3\",\"inputs\":\"1\"", "");
    refuse_meta(FORM ",\"net\":\"dense1048576 dense9999\",\"inputs\":\"1\"",
                "more numbers than are there");
    refuse("{\"__metadata__\":7," WEIGHT "," BIAS "," SHIFT "," SCALE "}", 6, 1, "no net spec");
}

/* dense2 of four numbers as an image; "shape" is left out where it is NULL. */
static zo_status read_shape(const char *net, const char *shape)
{
    char header[1000], entry[100] = "";
    size_t size;
    if (shape) snprintf(entry, sizeof entry, ",\"shape\":\"%s\"", shape);
    snprintf(header, sizeof header,
             "{\"__metadata__\":{" FORM
             ",\"net\":\"%s\",\"inputs\":\"4\"%s}," TENSOR("0.weight", "4,2", 0, 32) "," TENSOR(
                 "0.bias", "2", 32, 40) "," TENSOR("input.shift", "4", 40,
                                                   56) "," TENSOR("input.scale", "4", 56, 72) "}",
             net, entry);
    char *bytes = build(header, 18, 1, &size);
    zo_status status = read_bytes(bytes, size);
    free(bytes);
    return status;
}

static void wrong_shapes_are_refused(void **state)
{
    static const char *const good[] = {NULL, "1x1x4", "2x2x1", "4x1x1", "1x4x1", "1x2x2"};
    static const char *const bad[] = {"2x2x2",
                                      "1x1x3",
                                      "0x2x2",
                                      "2x0x2",
                                      "-2x-2x1",
                                      "-1x-4x1",
                                      "2x2",
                                      "2x2x",
                                      "2x2x1x1",
                                      "",
                                      "x",
                                      "2X2X1",
                                      "2x2x1 ",
                                      "2x2x1;",
                                      "99999999x1x1",
                                      "2147483648x2x1",
                                      "1000000x1000000x1000000"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (read_shape("dense2", good[i])) fail_msg("%s: %s", good[i], zo_last_error(ctx));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_shape("dense2", bad[i]) != ZO_FORMAT) fail_msg("%s is taken for a shape", bad[i]);
        error_says(ctx, "x.safetensors", NULL);
    }
    assert_int_equal(read_shape("conv2x2", "2x2x1"), ZO_OK); /* four numbers for each filter too */
    assert_int_equal(read_shape("conv2x2", "1x4x1"), ZO_FORMAT);
    error_says(ctx, "x.safetensors", "does not fit an image of 1 x 4", NULL);
    assert_int_equal(read_shape("conv2x2", NULL), ZO_FORMAT);
    error_says(ctx, "x.safetensors", "is the input an image?", NULL);
    assert_int_equal(read_shape("conv1x2", "1x1x4"), ZO_OK);
    assert_int_equal(read_shape("conv1x2", "2x2x1"), ZO_FORMAT);
    error_says(ctx, "\"0.weight\"", "does not have the shape", NULL);
}

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    refuse("", 6, 1, "line");
    refuse("[]", 6, 1, "not an object");
    refuse("{}", 0, 1, "no tensors");
    refuse("{" META "}", 0, 1, "no tensors");
    refuse("nonsense", 6, 1, "line 1, column");
    refuse("{" META "," WEIGHT "," WEIGHT "}", 6, 1, "duplicate");
    refuse("{" META ",\"a\":\"\xff\"}", 6, 1, "line 1");
    char *deep = malloc(60001);
    memset(deep, '[', 60000);
    deep[60000] = 0;
    refuse(deep, 0, 1, "line 1");
    free(deep);
}

static void huge_lengths_are_refused(void **state)
{
    static const uint64_t lengths[] = {
        UINT64_MAX, UINT64_MAX - 7, INT64_MAX, (uint64_t)1 << 32, (16u << 20) + 1, 500, 1};
    size_t size;
    char *bytes = build(GOOD, 6, 1, &size);
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], 8);
        assert_int_equal(read_bytes(bytes, size), ZO_FORMAT);
    }
    free(bytes);
}

/* Cut after any byte, or with a byte more: refused, with one line. */
static void cut_files_are_refused(void **state)
{
    const char *path = in_folder(folder, "cut");
    zo_net *net = make("dense3 relu dense2", 2), *back;
    size_t size;
    (void)state;
    assert_int_equal(zo_net_save(net, path), ZO_OK);
    char *bytes = get_file(path, &size);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(read_bytes(bytes, n), ZO_FORMAT);
        error_says(ctx, "x.safetensors", NULL);
    }
    assert_int_equal(read_bytes(bytes, size), ZO_OK);
    assert_int_equal(read_bytes(bytes, size + 1), ZO_FORMAT); /* get_file() adds a zero */
    put_file(path, bytes, size - 1);
    assert_int_equal(zo_net_load(ctx, path, &back), ZO_FORMAT);
    error_says(ctx, path, NULL);
    assert_int_equal(zo_net_load(ctx, in_folder(folder, "none"), &back), ZO_NOT_FOUND);
    assert_int_equal(zo_net_save(net, in_folder(folder, "none/x")), ZO_IO);
    free(bytes);
    zo_net_destroy(net);
}

/* Any one byte changed, in every way that flips a bit: read or refused, never worse. */
static void damaged_files_do_no_harm(void **state)
{
    size_t size;
    char *bytes = build(GOOD, 6, 1, &size);
    int accepted = 0;
    (void)state;
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (char)(1 << bit);
            zo_status status = read_bytes(bytes, size);
            assert_true(status == ZO_OK || status == ZO_FORMAT);
            accepted += status == ZO_OK;
            bytes[i] ^= (char)(1 << bit);
        }
    }
    assert_true(accepted > 100); /* changed numbers are numbers */
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nets_come_back),
        cmocka_unit_test(nets_of_images_come_back),
        cmocka_unit_test(numbers_that_are_not_finite_are_not_written),
        cmocka_unit_test(same_net_same_bytes),
        cmocka_unit_test(good_files_are_accepted),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(lying_offsets_are_refused),
        cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(wrong_shapes_are_refused),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(huge_lengths_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

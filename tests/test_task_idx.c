/* IDX files: bytes written by hand, every way they can be wrong, and the real data sets. */
#include "test_task_support.h"

#include <math.h>

#include "task/idx.h"

/* Two images of 2 x 3: the layout as the MNIST page gives it. */
static const uint8_t images[] = {0, 0, 8, 3,  0,  0,  0,  2,   0,   0,   0,   2,   0,   0,
                                 0, 3, 0, 10, 20, 30, 40, 255, 101, 102, 103, 104, 105, 106};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};
enum { HEADER = 16 };

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = context_with(1, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static void assert_images(const zo_idx *idx)
{
    assert_int_equal(idx->n, 2);
    assert_int_equal(idx->inputs, 6);
    assert_memory_equal(idx->data, images + HEADER, 12);
}

static void reads_plain(void **state)
{
    zo_idx idx;
    (void)state;
    assert_int_equal(zo_idx_parse(ctx, "f", images, sizeof images, ZO_IDX_IMAGES, &idx), ZO_OK);
    assert_images(&idx);
    zo_free(ctx, idx.data);
    assert_int_equal(zo_idx_parse(ctx, "f", labels, sizeof labels, ZO_IDX_LABELS, &idx), ZO_OK);
    assert_int_equal(idx.n, 2);
    assert_int_equal(idx.inputs, 1);
    assert_memory_equal(idx.data, "\7\11", 2);
    zo_free(ctx, idx.data);
}

static void reads_gzip(void **state)
{
    uint8_t *packed, *second, both[400];
    zo_idx idx;
    (void)state;
    size_t n = gzip(images, sizeof images, &packed);
    assert_int_equal(zo_idx_parse(ctx, "f", packed, n, ZO_IDX_IMAGES, &idx), ZO_OK);
    assert_images(&idx);
    zo_free(ctx, idx.data);
    free(packed);

    /* two members, as `cat a.gz b.gz` makes them */
    n = gzip(images, 20, &packed);
    size_t m = gzip(images + 20, sizeof images - 20, &second);
    assert_true(n + m < sizeof both);
    memcpy(both, packed, n);
    memcpy(both + n, second, m);
    assert_int_equal(zo_idx_parse(ctx, "f", both, n + m, ZO_IDX_IMAGES, &idx), ZO_OK);
    assert_images(&idx);
    zo_free(ctx, idx.data);
    free(packed);
    free(second);
}

/* 300 x 28 x 28 equal bytes pack 400 times smaller: the buffer grows several times. */
static void grows_with_the_data(void **state)
{
    size_t n = HEADER + 300 * 784;
    uint8_t *bytes = calloc(n, 1), *packed;
    zo_idx idx;
    (void)state;
    const uint8_t head[HEADER] = {0, 0, 8, 3, 0, 0, 1, 44, 0, 0, 0, 28, 0, 0, 0, 28};
    memcpy(bytes, head, HEADER);
    memset(bytes + HEADER, 77, n - HEADER);
    size_t m = gzip(bytes, n, &packed);
    assert_true(m < n / 300);
    assert_int_equal(zo_idx_parse(ctx, "f", packed, m, ZO_IDX_IMAGES, &idx), ZO_OK);
    assert_int_equal(idx.n, 300);
    assert_memory_equal(idx.data, bytes + HEADER, n - HEADER);
    zo_free(ctx, idx.data);
    free(bytes);
    free(packed);
}

static void refuse(const uint8_t *bytes, size_t n, int rank, const char *word, const char *second)
{
    zo_idx idx;
    assert_int_equal(zo_idx_parse(ctx, "file.gz", bytes, n, rank, &idx), ZO_FORMAT);
    assert_null(idx.data);
    error_says(ctx, "file.gz", word, second, NULL);
}

static void refuses_each_fault(void **state)
{
    uint8_t b[sizeof images + 1];
    (void)state;
    refuse(images, 0, ZO_IDX_IMAGES, "empty", "download");
    refuse(images, 3, ZO_IDX_IMAGES, "3 bytes are too few", "download");
    refuse(images, 15, ZO_IDX_IMAGES, "15 bytes are too few", "download");
    refuse(images, 20, ZO_IDX_IMAGES, "2 x 2 x 3", "4 follow");
    refuse(images, sizeof images, ZO_IDX_LABELS, "00000803", "00000801");
    refuse(labels, sizeof labels, ZO_IDX_IMAGES, "00000801", "which is a file of labels");
    refuse((const uint8_t *)"<html><body>", 12, ZO_IDX_IMAGES, "3c68746d", "00000803");
    memcpy(b, images, sizeof images);
    b[sizeof images] = 0;
    refuse(b, sizeof b, ZO_IDX_IMAGES, "more bytes follow", "2 x 2 x 3");
    for (int i = 0; i < 3; i++) {
        memcpy(b, images, sizeof images);
        b[7 + 4 * i] = 0;
        refuse(b, sizeof images, ZO_IDX_IMAGES, "nothing is in it", " 0");
    }
    memset(b + 4, 0xff, 12);
    refuse(b, sizeof images, ZO_IDX_IMAGES, "4294967295 x 4294967295", "accepted");
    b[4] = 0; /* 16777215 x 1 x 1: allowed, but not there, and not allocated */
    memcpy(b + 8, "\0\0\0\1\0\0\0\1", 8);
    refuse(b, sizeof images, ZO_IDX_IMAGES, "16777215 x 1 x 1", "12 follow");
}

static void refuses_bad_gzip(void **state)
{
    uint8_t *packed;
    zo_idx idx;
    (void)state;
    size_t n = gzip(images, sizeof images, &packed);
    for (size_t cut = 2; cut < n; cut++) {
        assert_int_equal(zo_idx_parse(ctx, "f.gz", packed, cut, ZO_IDX_IMAGES, &idx), ZO_FORMAT);
        error_says(ctx, "f.gz", "end early", "download the file again", NULL);
    }
    packed[n - 6] ^= 1; /* the stored CRC */
    refuse(packed, n, ZO_IDX_IMAGES, "damaged", "incorrect data check");
    packed[n - 6] ^= 1;
    packed[3] = 0xff; /* reserved flags */
    refuse(packed, n, ZO_IDX_IMAGES, "damaged", "download");
    free(packed);

    uint8_t longer[sizeof images + 1] = {0};
    memcpy(longer, images, sizeof images);
    n = gzip(longer, sizeof longer, &packed);
    refuse(packed, n, ZO_IDX_IMAGES, "more bytes follow", "2 x 2 x 3");
    free(packed);
    n = gzip(images, 20, &packed);
    refuse(packed, n, ZO_IDX_IMAGES, "2 x 2 x 3", "4 follow");
    free(packed);
}

/* A header that promises a terabyte costs no memory. */
static void a_lie_costs_nothing(void **state)
{
    const uint8_t lie[HEADER] = {0, 0, 8, 3, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 1, 0};
    uint8_t *packed;
    ration r = {-1, 0};
    zo_context *small = context_with(1, &r);
    zo_idx idx;
    (void)state;
    size_t n = gzip(lie, sizeof lie, &packed);
    assert_int_equal(zo_idx_parse(small, "f", packed, n, ZO_IDX_IMAGES, &idx), ZO_FORMAT);
    error_says(small, "2147483647 x 1 x 256", "0 follow", NULL);
    free(packed);
    zo_context_destroy(small);
}

static zo_status parse_packed(zo_context *c, void *arg)
{
    zo_idx idx;
    const uint8_t *bytes = (const uint8_t *)arg + sizeof(size_t);
    size_t n;
    memcpy(&n, arg, sizeof n);
    zo_status status = zo_idx_parse(c, "f", bytes, n, ZO_IDX_IMAGES, &idx);
    zo_free(c, idx.data);
    return status;
}

static void survives_lack_of_memory(void **state)
{
    uint8_t *packed, room[600];
    (void)state;
    size_t n = gzip(images, sizeof images, &packed);
    memcpy(room, &n, sizeof n);
    memcpy(room + sizeof n, packed, n);
    assert_true(refuse_each(parse_packed, room) >= 3);
    free(packed);
}

static void histogram(const zo_task *task, zo_part first, zo_part last, int count[10])
{
    memset(count, 0, 10 * sizeof *count);
    for (int p = (int)first; p <= (int)last; p++) {
        for (int64_t i = 0; i < task->part[p].n; i++) count[task->part[p].label[i]]++;
    }
}

static zo_task *load(const char *name, const char *data)
{
    zo_task_def def = zo_task_default_def();
    zo_task *task;
    def.name = name;
    def.data = data;
    if (zo_task_create(ctx, &def, &task)) fail_msg("%s", zo_last_error(ctx));
    return task;
}

/* Of the training part: mean 0 for each pixel, mean square 1 over all. */
static void assert_standard(const zo_task *task)
{
    const zo_examples *train = &task->part[ZO_TRAIN];
    double squares = 0, worst = 0;
    for (int f = 0; f < task->inputs; f++) {
        double sum = 0;
        for (int64_t i = 0; i < train->n; i++) {
            double x = train->x[i * task->stride + f];
            sum += x;
            squares += x * x;
        }
        worst = sum > worst ? sum : -sum > worst ? -sum : worst;
    }
    assert_true(worst / (double)train->n < 1e-5);
    assert_true(fabs(squares / (double)train->n / task->inputs - 1) < 1e-4);
}

/* Counts as published with the data; mean 0.1307 is the figure everyone normalises MNIST with. */
static void mnist_is_what_it_should_be(void **state)
{
    static const int train[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const int test[] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    const char *folder = data_folder("mnist/train-images-idx3-ubyte.gz");
    int count[10];
    (void)state;
    if (!folder) {
        print_message("SKIPPED: mnist is not there\n");
        skip();
    }
    zo_task *task = load("mnist", folder);
    histogram(task, ZO_TRAIN, ZO_VALIDATION, count);
    assert_memory_equal(count, train, sizeof train);
    histogram(task, ZO_TEST, ZO_TEST, count);
    assert_memory_equal(count, test, sizeof test);
    histogram(task, ZO_VALIDATION, ZO_VALIDATION, count);
    for (int c = 0; c < 10; c++) assert_true(abs(12 * count[c] - train[c]) < 12);
    zo_task_info info = zo_task_describe(task);
    assert_int_equal(info.n_train, 55000);
    assert_int_equal(info.n_validation, 5000);
    assert_int_equal(info.n_test, 10000);
    assert_string_equal(info.net, "dense128 relu dense128 relu dense10");
    double mean = 0;
    for (int f = 0; f < 784; f++) mean += task->shift[f] / 784;
    assert_true(fabs(mean - 0.1307) < 0.0005);
    assert_standard(task);
    zo_task_destroy(task);
}

/* The test images as a user's file give the features that the test part has. */
static void fashion_round_trip(void **state)
{
    const char *folder = data_folder("fashion-mnist/train-images-idx3-ubyte.gz");
    int count[10];
    char path[4200];
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    if (!folder) {
        print_message("SKIPPED: fashion-mnist is not there (package dataset-fashion-mnist)\n");
        skip();
    }
    zo_task *task = load("fashion-mnist", folder);
    histogram(task, ZO_TRAIN, ZO_VALIDATION, count);
    for (int c = 0; c < 10; c++) assert_int_equal(count[c], 6000);
    histogram(task, ZO_TEST, ZO_TEST, count);
    for (int c = 0; c < 10; c++) assert_int_equal(count[c], 1000);
    assert_string_equal(zo_task_class_name(task, 9), "ankle boot");
    snprintf(path, sizeof path, "%s/fashion-mnist/t10k-images-idx3-ubyte.gz", folder);
    assert_int_equal(zo_task_encode(ctx, task->encoder, path, 784, 14, 56, &n, &x, &label),
                     ZO_USAGE);
    assert_null(x);
    assert_int_equal(zo_task_encode(ctx, task->encoder, path, 784, 28, 28, &n, &x, &label), ZO_OK);
    assert_int_equal(n, 10000);
    assert_null(label);
    for (int64_t i = 0; i < n; i++) {
        for (int f = 0; f < 784; f++) {
            float seen = task->part[ZO_TEST].x[i * task->stride + f];
            assert_true((x[i * 784 + f] - task->shift[f]) * task->scale[f] == seen);
        }
    }
    zo_free(ctx, x);
    zo_task_destroy(task);
}

/* ---- a small data set of our own, in a folder called mnist ---- */

static char home[64];

static void put(const char *name, const uint8_t *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/mnist/%s", home, name);
    write_file(path, bytes, n);
}

/* 12 images of 2 x 2; image i is full of i, label i % 10. */
static void put_small_set(void)
{
    uint8_t x[16 + 48] = {0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 2};
    uint8_t y[8 + 12] = {0, 0, 8, 1, 0, 0, 0, 12};
    for (int i = 0; i < 12; i++) {
        memset(x + 16 + 4 * i, i, 4);
        y[8 + i] = (uint8_t)(i % 10);
    }
    put("train-images-idx3-ubyte", x, sizeof x);
    put("train-labels-idx1-ubyte", y, sizeof y);
    put("t10k-images.idx3-ubyte", x, sizeof x); /* the other spelling in use */
    put("t10k-labels.idx1-ubyte", y, sizeof y);
}

static int make_home(void **state)
{
    char path[128];
    set_up(state);
    strcpy(home, "idx-XXXXXX");
    if (!mkdtemp(home)) return 1;
    snprintf(path, sizeof path, "%s/mnist", home);
    if (mkdir(path, 0777)) return 1;
    put_small_set();
    return 0;
}

static int drop_home(void **state)
{
    static const char *const names[] = {
        "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images.idx3-ubyte",
        "t10k-labels.idx1-ubyte",  "t10k-labels-idx1-ubyte",  "",
    };
    char path[256];
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/mnist/%s", home, names[i]);
        remove(path);
    }
    remove(home);
    return tear_down(state);
}

static zo_status create_small(zo_context *c, void *data)
{
    zo_task_def def = zo_task_default_def();
    zo_task *task;
    def.name = "mnist";
    def.data = data;
    zo_status status = zo_task_create(c, &def, &task);
    zo_task_destroy(task);
    return status;
}

static void finds_the_folder(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/mnist", home);
    assert_int_equal(create_small(ctx, home), ZO_OK);
    assert_int_equal(create_small(ctx, path), ZO_OK);
    strcat(path, "/");
    assert_int_equal(create_small(ctx, path), ZO_OK);
    zo_task *task = load("mnist", home);
    assert_int_equal(task->part[ZO_TRAIN].n + task->part[ZO_VALIDATION].n, 12);
    for (int64_t i = 0; i < 12; i++) { /* image i holds i / 255 in every pixel */
        float x = ((float)i / 255.0f - task->shift[0]) * task->scale[0];
        assert_true(task->part[ZO_TEST].x[i * 16] == x);
        assert_true(task->part[ZO_TEST].x[i * 16 + 4] == 0); /* the pad */
        assert_int_equal(task->part[ZO_TEST].label[i], i % 10);
    }
    zo_task_destroy(task);
}

static void says_where_it_looked(void **state)
{
    zo_task_def def = zo_task_default_def();
    zo_task *task;
    char path[128];
    (void)state;
    def.name = "mnist";
    def.data = "nowhere/at-all/";
    assert_int_equal(zo_task_create(ctx, &def, &task), ZO_NOT_FOUND);
    error_says(ctx, "mnist", "(looked in nowhere/at-all/mnist, nowhere/at-all)", "--data DIR",
               "ZEROTH_DATA", NULL);
    /* The files of the one set are not taken for the other's, and a folder that lacks the set is not
     * made up for by the standard one. */
    def.name = "fashion-mnist";
    snprintf(path, sizeof path, "%s/mnist", home);
    def.data = path;
    assert_int_equal(zo_task_create(ctx, &def, &task), ZO_NOT_FOUND);
    error_says(ctx, "dataset-fashion-mnist", NULL);
    assert_null(strstr(zo_last_error(ctx), ZO_DATA_FOLDER));
    def.name = "mnist";
    def.data = NULL;
    if (!access(ZO_DATA_FOLDER "/mnist", F_OK)) return;
    assert_int_equal(zo_task_create(ctx, &def, &task), ZO_NOT_FOUND);
    error_says(ctx, "(looked in " ZO_DATA_FOLDER "/mnist)", NULL);
}

static void tells_the_folder(void **state)
{
    char path[128], found[128], missing[256];
    (void)state;
    snprintf(path, sizeof path, "%s/mnist", home);
    assert_int_equal(zo_task_find(ctx, "mnist", home, found, sizeof found), ZO_OK);
    assert_string_equal(found, path);
    assert_int_equal(zo_task_find(ctx, "mnist", path, found, sizeof found), ZO_OK);
    assert_string_equal(found, path);
    assert_int_equal(zo_task_find(ctx, "images", path, found, sizeof found), ZO_OK);
    assert_string_equal(found, path);
    assert_int_equal(zo_task_find(ctx, "mnist", home, found, strlen(path) + 1), ZO_OK);
    assert_int_equal(zo_task_find(ctx, "mnist", home, found, strlen(path)), ZO_USAGE);
    assert_int_equal(zo_task_find(ctx, "mnist", home, NULL, 0), ZO_USAGE);
    assert_int_equal(zo_task_find(ctx, "images", NULL, found, sizeof found), ZO_USAGE);
    assert_int_equal(zo_task_find(ctx, "fashion-mnist", path, found, sizeof found), ZO_NOT_FOUND);
    assert_int_equal(zo_task_find(ctx, "blobs", home, found, sizeof found), ZO_UNSUPPORTED);
    error_says(ctx, "blobs", NULL);
    assert_int_equal(zo_task_find(ctx, "minst", home, found, sizeof found), ZO_USAGE);
    error_says(ctx, "did you mean mnist", NULL);
    assert_int_equal(zo_task_find(ctx, NULL, home, found, sizeof found), ZO_USAGE);

    /* all four files must be there, and create agrees */
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"};
    for (int i = 0; i < 4; i++) {
        put_small_set();
        snprintf(missing, sizeof missing, "%s/%s", path, names[i]);
        remove(missing);
        assert_int_equal(zo_task_find(ctx, "mnist", home, found, sizeof found), ZO_NOT_FOUND);
        error_says(ctx, path, i % 2 ? "labels" : "images", i < 2 ? "train" : "t10k", "missing",
                   "--data", NULL);
        assert_int_equal(create_small(ctx, home), ZO_NOT_FOUND);
    }
    put_small_set();
}

static void refuses_broken_sets(void **state)
{
    static const uint8_t eleven[19] = {0, 0, 8, 1, 0, 0, 0, 11};
    static const uint8_t high[20] = {0, 0, 8, 1, 0, 0, 0, 12, 1, 2, 10};
    static const uint8_t wide[16 + 6] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};
    static const uint8_t one[9] = {0, 0, 8, 1, 0, 0, 0, 1, 4};
    char path[256];
    (void)state;
    put("t10k-labels.idx1-ubyte", eleven, sizeof eleven);
    assert_int_equal(create_small(ctx, home), ZO_FORMAT);
    error_says(ctx, "12 images", "11 labels", "download", NULL);
    put("t10k-labels.idx1-ubyte", high, sizeof high);
    assert_int_equal(create_small(ctx, home), ZO_FORMAT);
    error_says(ctx, "t10k-labels.idx1-ubyte", "label 3 of 12 is 10", "0 to 9", NULL);
    put("t10k-images.idx3-ubyte", wide, sizeof wide);
    put("t10k-labels.idx1-ubyte", one, sizeof one);
    assert_int_equal(create_small(ctx, home), ZO_FORMAT);
    error_says(ctx, "2 x 2 pixels", "2 x 3", "do not belong together", NULL);
    snprintf(path, sizeof path, "%s/mnist/t10k-labels.idx1-ubyte", home);
    remove(path);
    assert_int_equal(create_small(ctx, home), ZO_NOT_FOUND);
    error_says(ctx, "t10k-labels", "missing", "--data", NULL);
    put_small_set();
}

static void a_set_survives_lack_of_memory(void **state)
{
    (void)state;
    assert_true(refuse_each(create_small, home) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_gzip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(grows_with_the_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_each_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_bad_gzip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lie_costs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mnist_is_what_it_should_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fashion_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_the_folder, make_home, drop_home),
        cmocka_unit_test_setup_teardown(says_where_it_looked, make_home, drop_home),
        cmocka_unit_test_setup_teardown(tells_the_folder, make_home, drop_home),
        cmocka_unit_test_setup_teardown(refuses_broken_sets, make_home, drop_home),
        cmocka_unit_test_setup_teardown(a_set_survives_lack_of_memory, make_home, drop_home),
    };
    return cmocka_run_group_tests_name("idx", tests, NULL, NULL);
}

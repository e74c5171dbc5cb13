/* CIFAR's binary files: records written by hand, every way they can be wrong, folders, features and prediction. */
#include "test_task_support.h"

#include <ftw.h>
#include <math.h>

#include "learn/augment.h"
#include "task/cifar.h"

enum { ONE = 3073, TWO = 3074, PLANE = 1024 };

static const zo_cifar_layout ten = {.labels = 1, .classes = {10}};
static const zo_cifar_layout fine = {.labels = 2, .classes = {20, 100}, .answer = 1};
static const zo_cifar_layout coarse = {.labels = 2, .classes = {20, 100}, .answer = 0};

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

/* The byte of image i at a place: different for neighbours and channels. */
static uint8_t value_at(int i, int channel, int y, int x)
{
    return (uint8_t)(37 * i + 101 * channel + 7 * y + 3 * x);
}

/* Record i as the data's page describes it: labels, then red, green and blue, each line by line. */
static void put_record(uint8_t *to, int i, int labels, int first, int second)
{
    *to++ = (uint8_t)first;
    if (labels == 2) *to++ = (uint8_t)second;
    for (int channel = 0; channel < 3; channel++) {
        for (int y = 0; y < 32; y++) {
            for (int x = 0; x < 32; x++) *to++ = value_at(i, channel, y, x);
        }
    }
}

/* n records, malloc'ed: labels i % 10, or i % 20 and (7 * i) % 100. */
static uint8_t *make_records(int first, int n, int labels)
{
    size_t record = (size_t)labels + 3072;
    uint8_t *bytes = malloc((size_t)n * record);
    assert_non_null(bytes);
    for (int k = 0; k < n; k++) {
        int i = first + k;
        put_record(bytes + (size_t)k * record, i, labels, labels == 1 ? i % 10 : i % 20,
                   7 * i % 100);
    }
    return bytes;
}

static void assert_images(const zo_cifar *c, int n, int step, int most)
{
    assert_int_equal(c->n, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(c->label[i], step * i % most);
        for (int y = 0; y < 32; y++) {
            for (int x = 0; x < 32; x++) {
                for (int channel = 0; channel < 3; channel++)
                    assert_int_equal(c->pixels[((i * 32 + y) * 32 + x) * 3 + channel],
                                     value_at(i, channel, y, x));
            }
        }
    }
}

static void release(zo_cifar *c)
{
    zo_free(ctx, c->pixels);
    zo_free(ctx, c->label);
    *c = (zo_cifar){0};
}

/* ---- the reader ---- */

static void planes_become_pixels(void **state)
{
    uint8_t *bytes = make_records(0, 13, 1);
    zo_cifar c = {0};
    (void)state;
    assert_int_equal(zo_cifar_parse(ctx, "f", bytes, 13 * ONE, &ten, &c), ZO_OK);
    assert_images(&c, 13, 1, 10);
    release(&c);
    free(bytes);
}

static void either_of_two_labels(void **state)
{
    uint8_t *bytes = make_records(0, 30, 2);
    zo_cifar c = {0};
    (void)state;
    assert_int_equal(zo_cifar_parse(ctx, "f", bytes, 30 * TWO, &fine, &c), ZO_OK);
    assert_images(&c, 30, 7, 100);
    release(&c);
    assert_int_equal(zo_cifar_parse(ctx, "f", bytes, 30 * TWO, &coarse, &c), ZO_OK);
    assert_images(&c, 30, 1, 20);
    release(&c);
    free(bytes);
}

/* Files one behind the other, plain and gzip in turn, with more records than there is room at first. */
static void files_add_up(void **state)
{
    zo_cifar c = {0};
    (void)state;
    for (int file = 0; file < 4; file++) {
        int n = file % 2 ? 150 : 10, first = file / 2 * 160 + (file % 2 ? 10 : 0);
        uint8_t *bytes = make_records(first, n, 1), *packed = NULL;
        size_t size = (size_t)n * ONE;
        if (file % 2) size = gzip(bytes, size, &packed);
        assert_int_equal(zo_cifar_parse(ctx, "f", packed ? packed : bytes, size, &ten, &c), ZO_OK);
        free(bytes);
        free(packed);
    }
    assert_images(&c, 320, 1, 10);
    release(&c);
}

static void refuse(const uint8_t *bytes, size_t n, const zo_cifar_layout *layout, const char *word,
                   const char *second)
{
    zo_cifar c = {0};
    assert_int_equal(zo_cifar_parse(ctx, "some.bin", bytes, n, layout, &c), ZO_FORMAT);
    error_says(ctx, "some.bin", word, second, NULL);
    release(&c);
}

static void refuses_each_fault(void **state)
{
    uint8_t *bytes = make_records(0, 4, 1), *two = make_records(0, 4, 2);
    (void)state;
    refuse(bytes, 0, &ten, "empty", "download");
    refuse(bytes, 1, &ten, "record 1 ends after 1 of its 3073 bytes", "download");
    refuse(bytes, ONE - 1, &ten, "record 1 ends after 3072", "download");
    refuse(bytes, 3 * ONE + 5, &ten, "record 4 ends after 5", "download");
    refuse(two, 2 * TWO - 1, &fine, "record 2 ends after 3073 of its 3074", "download");
    bytes[2 * ONE] = 10;
    refuse(bytes, 4 * ONE, &ten, "record 3 has label 10", "0 to 9");
    refuse(two, 4 * TWO, &ten, "12296 bytes are records of 2 label bytes, as CIFAR-100", "1 is");
    refuse(bytes, 2 * ONE, &fine, "6146 bytes are records of 1 label byte, as CIFAR-10", "2 is");
    two[TWO] = 20;
    refuse(two, 4 * TWO, &fine, "record 2 has coarse label 20", "0 to 19");
    two[TWO] = 1;
    two[TWO + 1] = 100;
    refuse(two, 4 * TWO, &coarse, "record 2 has fine label 100", "0 to 99");
    free(bytes);
    free(two);
}

static void refuses_bad_gzip(void **state)
{
    uint8_t *bytes = make_records(0, 2, 1), *packed;
    (void)state;
    size_t n = gzip(bytes, 2 * ONE, &packed);
    for (size_t cut = 2; cut < n; cut += 7) refuse(packed, cut, &ten, "end early", "download");
    packed[n - 6] ^= 1; /* the stored CRC */
    refuse(packed, n, &ten, "damaged", "incorrect data check");
    packed[n - 6] ^= 1;
    packed[n] = 0; /* gzip() leaves room */
    refuse(packed, n + 1, &ten, "more bytes follow", "download");
    free(packed);
    n = gzip(bytes, 2 * ONE - 1, &packed);
    refuse(packed, n, &ten, "record 2 ends after 3072", "download");
    free(packed);
    n = gzip(bytes, 0, &packed);
    refuse(packed, n, &ten, "empty", "download");
    free(packed);
    free(bytes);
}

static zo_status parse_twice(zo_context *c, void *arg)
{
    zo_cifar out = {0};
    zo_status status = zo_cifar_parse(c, "f", arg, 3 * ONE, &ten, &out);
    if (!status) status = zo_cifar_parse(c, "f", arg, 3 * ONE, &ten, &out);
    zo_free(c, out.pixels);
    zo_free(c, out.label);
    return status;
}

static void survives_lack_of_memory(void **state)
{
    uint8_t *bytes = make_records(0, 3, 1);
    (void)state;
    assert_int_equal(refuse_each(parse_twice, bytes), 4);
    free(bytes);
}

/* ---- folders ---- */

static char home[64];

static const char *at(const char *name)
{
    static char path[4][400];
    static int turn;
    return snprintf(path[++turn % 4], sizeof path[0], "%s/%s", home, name), path[turn % 4];
}

static void put(const char *name, int first, int n, int labels)
{
    uint8_t *bytes = make_records(first, n, labels);
    write_file(at(name), bytes, (size_t)n * ((size_t)labels + 3072));
    free(bytes);
}

static void put_names(const char *name, int n)
{
    char text[2000] = "";
    for (int i = 0; i < n; i++) snprintf(text + strlen(text), 20, "thing %d\r\n", i);
    strcat(text, "\n");
    write_file(at(name), text, strlen(text));
}

/* cifar-10-batches-bin: 6 images in each batch, 8 to test with; cifar100: 40 and 10. */
static int make_home(void **state)
{
    char name[64];
    set_up(state);
    strcpy(home, "cifar-XXXXXX");
    if (!mkdtemp(home)) return 1;
    if (mkdir(at("cifar-10-batches-bin"), 0777) || mkdir(at("cifar100"), 0777)) return 1;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "cifar-10-batches-bin/data_batch_%d.bin", i + 1);
        put(name, 6 * i, 6, 1);
    }
    put("cifar-10-batches-bin/test_batch.bin", 100, 8, 1);
    put_names("cifar-10-batches-bin/batches.meta.txt", 10);
    put("cifar100/train.bin", 0, 40, 2);
    put("cifar100/test.bin", 40, 10, 2);
    put_names("cifar100/coarse_label_names.txt", 20);
    put_names("cifar100/fine_label_names.txt", 100);
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *where)
{
    (void)info, (void)flag, (void)where;
    return remove(path);
}

static int drop_home(void **state)
{
    nftw(home, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return tear_down(state);
}

static zo_status create(const char *name, const char *data, const char *setting, zo_task **task)
{
    zo_task_def def = zo_task_default_def();
    const char *const settings[] = {setting, NULL};
    def.name = name;
    def.data = data;
    def.settings = settings;
    return zo_task_create(ctx, &def, task);
}

static zo_task *load(const char *name, const char *data, const char *setting)
{
    zo_task *task;
    if (create(name, data, setting, &task)) fail_msg("%s", zo_last_error(ctx));
    return task;
}

static void refuse_set(const char *name, zo_status status, const char *word, const char *second)
{
    zo_task *task;
    assert_int_equal(create(name, home, NULL, &task), status);
    assert_null(task);
    error_says(ctx, word, second, NULL);
}

/* Test image i of the task, value by value, from the bytes that made it. */
static void assert_features(const zo_task *task, int first)
{
    const zo_examples *test = &task->part[ZO_TEST];
    for (int64_t i = 0; i < test->n; i++) {
        for (int f = 0; f < 3072; f++) {
            uint8_t byte = value_at(first + (int)i, f % 3, f / 96, f / 3 % 32);
            float wanted = ((float)byte / 255.0f - task->shift[f]) * task->scale[f];
            assert_true(test->x[i * task->stride + f] == wanted);
        }
    }
}

static void a_set_becomes_a_task(void **state)
{
    int seen[10] = {0};
    (void)state;
    zo_task *task = load("cifar10", home, NULL);
    zo_task_info info = zo_task_describe(task);
    assert_int_equal(info.n_train + info.n_validation, 30);
    assert_int_equal(info.n_test, 8);
    assert_int_equal(info.inputs, 3072);
    assert_int_equal(info.height, 32);
    assert_int_equal(info.width, 32);
    assert_int_equal(info.channels, 3);
    assert_int_equal(info.classes, 10);
    assert_string_equal(zo_task_class_name(task, 9), "thing 9");
    for (int p = ZO_TRAIN; p <= ZO_VALIDATION; p++) {
        for (int64_t i = 0; i < task->part[p].n; i++) seen[task->part[p].label[i]]++;
    }
    for (int c = 0; c < 10; c++) assert_int_equal(seen[c], 3);
    for (int f = 1; f < 3072; f++) assert_true(task->scale[f] == task->scale[0]);
    for (int i = 0; i < 8; i++) assert_int_equal(task->part[ZO_TEST].label[i], (100 + i) % 10);
    assert_features(task, 100);
    zo_task_destroy(task);
}

/* Whether `x` is the first test image, moved by (down, across), after it was mirrored: pixels, each with its three channels. */
static bool is_moved(const zo_task *task, const float *x, int down, int across, bool mirrored)
{
    for (int f = 0; f < 3072; f++) {
        int y = f / 96 - down, i = f / 3 % 32 - across;
        bool inside = y >= 0 && y < 32 && i >= 0 && i < 32;
        double raw = inside ? value_at(100, f % 3, y, mirrored ? 31 - i : i) / 255.0 : 0;
        double wanted = (raw - (double)task->shift[f]) * (double)task->scale[f];
        if (!(fabs((double)x[f] - wanted) < 1e-4)) return false;
    }
    return true;
}

static void colours_move_together(void **state)
{
    const zo_augment_settings set = {.flip = true, .shift = 1};
    float x[3072];
    int count[2] = {0};
    zo_augment a;
    (void)state;
    zo_task *task = load("cifar10", home, NULL);
    assert_int_equal(zo_augment_init(&a, &set, task, 3), ZO_OK);
    for (int item = 0; item < 100; item++) {
        int found = 0;
        zo_augment_example(&a, 1, item, task->part[ZO_TEST].x, x);
        for (int m = 0; m < 18; m++) {
            if (!is_moved(task, x, m / 6 - 1, m / 2 % 3 - 1, m % 2)) continue;
            count[m % 2]++;
            found++;
        }
        assert_int_equal(found, 1);
    }
    assert_in_range(count[1], 25, 75);
    zo_task_destroy(task);
}

static void labels_are_fine_or_coarse(void **state)
{
    zo_task *task;
    (void)state;
    task = load("cifar100", home, NULL);
    assert_int_equal(task->classes, 100);
    assert_string_equal(zo_task_class_name(task, 99), "thing 99");
    for (int i = 0; i < 10; i++) assert_int_equal(task->part[ZO_TEST].label[i], 7 * (40 + i) % 100);
    assert_features(task, 40);
    zo_task_destroy(task);
    task = load("cifar100", home, "labels=coarse");
    assert_int_equal(task->classes, 20);
    for (int i = 0; i < 10; i++) assert_int_equal(task->part[ZO_TEST].label[i], i);
    zo_task_destroy(task);
    assert_int_equal(create("cifar100", home, "labels=finer", &task), ZO_USAGE);
    error_says(ctx, "labels=finer", "did you mean fine", NULL);
    assert_int_equal(create("cifar10", home, "labels=fine", &task), ZO_USAGE);
}

static void class_names(void **state)
{
    const char *names = "cifar-10-batches-bin/batches.meta.txt";
    (void)state;
    put_names(names, 9);
    refuse_set("cifar10", ZO_FORMAT, names, "names 9 classes, where 10 are expected");
    put_names(names, 101);
    refuse_set("cifar10", ZO_FORMAT, names, "names 101 classes, where 10 are expected");
    write_file(at(names), "", 0);
    refuse_set("cifar10", ZO_FORMAT, names, "names 0 classes");
    write_file(at(names), "a\nb\n\xff", 5);
    refuse_set("cifar10", ZO_FORMAT, names, "UTF-8");
    write_file(at(names), "a\0b", 3);
    refuse_set("cifar10", ZO_FORMAT, names, "UTF-8");
    write_file(at(names), "a\nb\nc\n\nd\r\ne\nf\ng\nh\ni\nlast", 24);
    zo_task *task = load("cifar10", home, NULL);
    assert_string_equal(zo_task_class_name(task, 3), "d");
    assert_string_equal(zo_task_class_name(task, 9), "last");
    zo_task_destroy(task);
    remove(at(names));
    task = load("cifar10", home, NULL);
    assert_string_equal(zo_task_class_name(task, 9), "9");
    zo_task_destroy(task);
}

/* In the data folder under either name, or named itself; plain or gzip. */
static void finds_the_folder(void **state)
{
    char found[300];
    (void)state;
    const char *own = at("cifar-10-batches-bin");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zo_task_find(ctx, "cifar10", i ? own : home, found, sizeof found), ZO_OK);
        assert_string_equal(found, own);
    }
    assert_int_equal(rename(own, at("cifar10")), 0);
    assert_int_equal(zo_task_find(ctx, "cifar10", home, found, sizeof found), ZO_OK);
    assert_string_equal(found, at("cifar10"));
    uint8_t *bytes = make_records(100, 8, 1), *packed;
    size_t n = gzip(bytes, 8 * ONE, &packed);
    write_file(at("cifar10/test_batch.bin.gz"), packed, n);
    free(bytes);
    free(packed);
    remove(at("cifar10/test_batch.bin"));
    zo_task *task = load("cifar10", home, NULL);
    assert_features(task, 100);
    zo_task_destroy(task);
    assert_int_equal(zo_task_find(ctx, "cifar100", home, found, sizeof found), ZO_OK);
    assert_string_equal(found, at("cifar100"));
}

static void says_what_is_missing(void **state)
{
    static const char *const files[] = {"data_batch_1.bin", "data_batch_3.bin", "test_batch.bin"};
    char path[300], found[300];
    zo_task *task;
    (void)state;
    assert_int_equal(create("cifar10", "nowhere/", NULL, &task), ZO_NOT_FOUND);
    error_says(ctx, "(looked in nowhere/cifar10, nowhere/cifar-10-batches-bin, nowhere)",
               "cifar-10-binary.tar.gz", "--data DIR", "ZEROTH_DATA", NULL);
    assert_int_equal(create("cifar100", "nowhere", NULL, &task), ZO_NOT_FOUND);
    error_says(ctx, "nowhere/cifar100, nowhere/cifar-100-binary", "cifar-100-binary.tar.gz", NULL);
    for (int i = 2; i >= 0; i--) {
        snprintf(path, sizeof path, "cifar-10-batches-bin/%s", files[i]);
        remove(at(path));
        refuse_set("cifar10", ZO_NOT_FOUND, path, "is missing beside the other files");
        assert_int_equal(zo_task_find(ctx, "cifar10", home, found, sizeof found), ZO_NOT_FOUND);
    }
    remove(at("cifar100/test.bin"));
    refuse_set("cifar100", ZO_NOT_FOUND, "cifar100/test.bin is missing", "--data");
}

static void faults_name_the_file(void **state)
{
    (void)state;
    put("cifar-10-batches-bin/data_batch_4.bin", 0, 3, 2);
    refuse_set("cifar10", ZO_FORMAT, "data_batch_4.bin", "CIFAR-100");
    write_file(at("cifar-10-batches-bin/data_batch_2.bin"), "\1", 1);
    refuse_set("cifar10", ZO_FORMAT, "data_batch_2.bin", "record 1 ends after 1");
    write_file(at("cifar100/test.bin"), "", 0);
    refuse_set("cifar100", ZO_FORMAT, "cifar100/test.bin", "empty");
}

static zo_status create_small(zo_context *c, void *data)
{
    zo_task_def def = zo_task_default_def();
    zo_task *task;
    def.name = "cifar10";
    def.data = data;
    zo_status status = zo_task_create(c, &def, &task);
    zo_task_destroy(task);
    return status;
}

static void a_set_survives_lack_of_memory(void **state)
{
    (void)state;
    assert_true(refuse_each(create_small, home) > 20);
}

/* ---- prediction ---- */

static void a_file_round_trip(void **state)
{
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    zo_task *task = load("cifar100", home, "labels=coarse");
    const char *encoder = task->encoder, *path = at("cifar100/test.bin");
    assert_int_equal(zo_task_encode(ctx, encoder, path, 3072, 32, 32, &n, &x, &label), ZO_OK);
    assert_int_equal(n, 10);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(label[i], task->part[ZO_TEST].label[i]);
        for (int f = 0; f < 3072; f++) {
            float seen = task->part[ZO_TEST].x[i * task->stride + f];
            assert_true((x[i * 3072 + f] - task->shift[f]) * task->scale[f] == seen);
        }
    }
    zo_free(ctx, x);
    zo_free(ctx, label);
    assert_int_equal(zo_task_encode(ctx, encoder, path, 3072, 16, 64, &n, &x, &label), ZO_USAGE);
    error_says(ctx, path, "32 x 32", "16 x 64", NULL);
    path = at("cifar-10-batches-bin/test_batch.bin");
    assert_int_equal(zo_task_encode(ctx, encoder, path, 3072, 32, 32, &n, &x, &label), ZO_FORMAT);
    error_says(ctx, path, "as CIFAR-10 has them", NULL);
    assert_null(x);
    assert_null(label);
    path = at("cifar100/gone.bin");
    assert_int_equal(zo_task_encode(ctx, encoder, path, 3072, 32, 32, &n, &x, &label), ZO_NOT_FOUND);
    zo_task_destroy(task);
}

static void refuses_damaged_layouts(void **state)
{
    static const char *const layouts[] = {
        "\"inputs\":3071,\"labels\":[2],\"answer\":0",
        "\"inputs\":3072,\"labels\":2,\"answer\":0",
        "\"inputs\":3072,\"labels\":[],\"answer\":0",
        "\"inputs\":3072,\"labels\":[2,2,2],\"answer\":0",
        "\"inputs\":3072,\"labels\":[\"2\"],\"answer\":0",
        "\"inputs\":3072,\"labels\":[257],\"answer\":0",
        "\"inputs\":3072,\"labels\":[0],\"answer\":0",
        "\"inputs\":3072,\"labels\":[2]",
        "\"inputs\":3072,\"labels\":[2],\"answer\":1",
        "\"inputs\":3072,\"labels\":[2],\"answer\":-1",
        "\"inputs\":3072,\"labels\":[2,3],\"answer\":1",
    };
    char text[300], **names;
    int classes;
    (void)state;
    for (size_t i = 0; i <= sizeof layouts / sizeof *layouts; i++) {
        bool sound = i == sizeof layouts / sizeof *layouts;
        snprintf(text, sizeof text,
                 "{\"version\":1,\"kind\":\"images\",%s,\"classes\":[\"a\",\"b\"]}",
                 sound ? "\"inputs\":3072,\"labels\":[3,2],\"answer\":1" : layouts[i]);
        zo_status status = zo_task_encoder_classes(ctx, text, &classes, &names);
        if (status != (sound ? ZO_OK : ZO_FORMAT)) fail_msg("%d: %s", status, text);
        if (status) error_says(ctx, "train it again", NULL);
        zo_free(ctx, names);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(planes_become_pixels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(either_of_two_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_each_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_bad_gzip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_becomes_a_task, make_home, drop_home),
        cmocka_unit_test_setup_teardown(colours_move_together, make_home, drop_home),
        cmocka_unit_test_setup_teardown(labels_are_fine_or_coarse, make_home, drop_home),
        cmocka_unit_test_setup_teardown(class_names, make_home, drop_home),
        cmocka_unit_test_setup_teardown(finds_the_folder, make_home, drop_home),
        cmocka_unit_test_setup_teardown(says_what_is_missing, make_home, drop_home),
        cmocka_unit_test_setup_teardown(faults_name_the_file, make_home, drop_home),
        cmocka_unit_test_setup_teardown(a_set_survives_lack_of_memory, make_home, drop_home),
        cmocka_unit_test_setup_teardown(a_file_round_trip, make_home, drop_home),
        cmocka_unit_test_setup_teardown(refuses_damaged_layouts, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("cifar", tests, NULL, NULL);
}

/* labels: threads
 * Tasks as a whole: names, splits, standardising, data of one's own, and the synthetic tasks. */
#include "test_task_support.h"

#include <math.h>

#include "base/json.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = context_with(2, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static zo_status create(zo_context *c, const char *name, uint64_t seed, const char *const *settings,
                        zo_task **task)
{
    zo_task_def def = zo_task_default_def();
    def.name = name;
    def.seed = seed;
    def.settings = settings;
    return zo_task_create(c, &def, task);
}

static zo_task *must_create(zo_context *c, const char *name, uint64_t seed,
                            const char *const *settings)
{
    zo_task *task;
    if (create(c, name, seed, settings, &task)) fail_msg("%s", zo_last_error(c));
    return task;
}

/* ---- names ---- */

static void names_are_checked(void **state)
{
    zo_task *task;
    (void)state;
    assert_int_equal(zo_task_create(ctx, NULL, &task), ZO_USAGE);
    assert_int_equal(create(ctx, NULL, 0, NULL, &task), ZO_USAGE);
    assert_int_equal(create(ctx, "", 0, NULL, &task), ZO_USAGE);
    assert_int_equal(create(ctx, "blob", 0, NULL, &task), ZO_USAGE);
    error_says(ctx, "\"blob\"", "did you mean blobs", NULL);
    assert_int_equal(create(ctx, "fashionmnist", 0, NULL, &task), ZO_USAGE);
    error_says(ctx, "did you mean fashion-mnist", NULL);
    assert_int_equal(create(ctx, "qqqqqqqq", 0, NULL, &task), ZO_USAGE);
    error_says(ctx, "one of", "spirals", NULL);
    assert_int_equal(create(ctx, "csv", 0, NULL, &task), ZO_USAGE);
    error_says(ctx, "path", NULL);
    assert_int_equal(create(ctx, "none.csv", 0, NULL, &task), ZO_NOT_FOUND);
    error_says(ctx, "none.csv", "no such file", NULL);
    assert_int_equal(create(ctx, "nowhere/blobs", 0, NULL, &task), ZO_NOT_FOUND);
    assert_int_equal(create(ctx, "./", 0, NULL, &task), ZO_USAGE);
    error_says(ctx, "folder", NULL);
    assert_null(task);
}

/* The class is that which create would use. */
static void names_have_classes(void **state)
{
    static const char *const tables[] = {"a.csv", "a.tsv", "a.txt", "a-table", "./blobs"};
    char folder[] = "names-XXXXXX";
    (void)state;
    assert_string_equal(zo_task_class_of("blobs"), "blobs");
    assert_string_equal(zo_task_class_of("mnist"), "mnist");
    assert_null(zo_task_class_of(NULL));
    assert_null(zo_task_class_of(""));
    assert_null(zo_task_class_of("csv"));
    assert_null(zo_task_class_of("blob"));
    assert_null(zo_task_class_of("none.csv"));
    assert_null(zo_task_class_of("."));
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 5; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", folder, tables[i]);
        write_file(path, "", 0);
        assert_string_equal(zo_task_class_of(path), "csv");
        remove(path);
        assert_null(zo_task_class_of(path));
    }
    remove(folder);
}

static void every_class_is_complete(void **state)
{
    (void)state;
    for (int i = 0; zo_task_classes[i]; i++) {
        const zo_task_class *class = (const zo_task_class *)zo_task_classes[i];
        assert_true(class->info.name[0] && class->info.summary[0] && class->info.source);
        assert_non_null(class->load);
        assert_string_equal(class->info.params[0].name, "validation");
        assert_int_equal(class->info.params[0].offset, 0);
        for (const zo_param *p = class->info.params; p->name; p++)
            assert_true(p->help[0] && p->offset < class->settings_size);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(class->info.name, zo_task_classes[j]->name);
    }
}

static void settings_are_checked(void **state)
{
    static const char *const bad[] = {"n=0",       "n=-5",           "classes=1", "spread=x",
                                      "spread=-1", "validation=0.6", "inputs=0",  "sprad=1"};
    zo_task *task;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *settings[] = {bad[i], NULL};
        char key[16];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(bad[i], "="), bad[i]);
        assert_int_equal(create(ctx, "blobs", 0, settings, &task), ZO_USAGE);
        error_says(ctx, key, NULL);
    }
    const char *narrow[] = {"inputs=1", NULL};
    assert_int_equal(create(ctx, "blobs", 0, narrow, &task), ZO_USAGE);
    error_says(ctx, "classes=2", NULL);
}

static void config_repeats_the_task(void **state)
{
    const char *settings[] = {"n=100", "spread=0.1", NULL};
    zo_task *task = must_create(ctx, "blobs", UINT64_MAX, settings);
    json_t *json = json_loads(task->config, 0, NULL);
    (void)state;
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "task")), "blobs");
    assert_string_equal(json_string_value(json_object_get(json, "seed")), "18446744073709551615");
    assert_true(json_is_null(json_object_get(json, "data")));
    const char *sum = json_string_value(json_object_get(json, "checksum"));
    assert_int_equal(strlen(sum), 16);
    assert_true(strtoull(sum, NULL, 16) == zo_task_describe(task).checksum);

    /* the settings as texts give the same task again */
    const char *again[16] = {NULL}, *key;
    char text[16][64];
    int n = 0;
    json_t *value;
    json_object_foreach(json_object_get(json, "settings"), key, value)
    {
        snprintf(text[n], sizeof text[n], "%s=%s", key, json_string_value(value));
        again[n] = text[n];
        n++;
    }
    assert_int_equal(n, 5);
    zo_task *twin = must_create(ctx, "blobs", UINT64_MAX, again);
    assert_string_equal(task->config, twin->config);
    json_decref(json);
    zo_task_destroy(twin);
    zo_task_destroy(task);
}

/* ---- splits ---- */

static void count_parts(const uint8_t *part, const int32_t *label, int n, int count[3][3])
{
    memset(count, 0, 9 * sizeof(int));
    for (int i = 0; i < n; i++) count[part[i]][label[i]]++;
}

/* 60, 30 and 10 of 100. Test: a fifth, 12 6 2. Validation: 80 / 12 = 6.7 -> 7 of 48 24 8, that is 4.2 2.1 0.7: one
 * each by largest remainder, 4 2 1. */
static void classes_are_shared_out_alike(void **state)
{
    static const int expected[3][3] = {{44, 22, 7}, {4, 2, 1}, {12, 6, 2}};
    int32_t label[100];
    uint8_t part[100], again[100];
    int count[3][3], moved = 0;
    (void)state;
    for (int i = 0; i < 100; i++) label[i] = i % 10 < 6 ? 0 : i % 10 < 9 ? 1 : 2;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(zo_split_parts(ctx, seed, 1.0 / 12, 0.2, 3, label, 100, part), ZO_OK);
        count_parts(part, label, 100, count);
        assert_memory_equal(count, expected, sizeof expected);
        if (seed) moved += memcmp(part, again, 100) != 0;
        memcpy(again, part, 100);
        assert_int_equal(zo_split_parts(ctx, seed, 1.0 / 12, 0.2, 3, label, 100, part), ZO_OK);
        assert_memory_equal(part, again, 100);
    }
    assert_int_equal(moved, 19);
}

static void rare_classes_stay_in_training(void **state)
{
    int32_t label[40] = {0};
    uint8_t part[40];
    (void)state;
    label[3] = 1; /* one example */
    label[7] = label[9] = 2;
    for (uint64_t seed = 0; seed < 50; seed++) {
        assert_int_equal(zo_split_parts(ctx, seed, 0.5, 0.5, 4, label, 40, part), ZO_OK);
        assert_int_equal(part[3], ZO_TRAIN);
        assert_true(part[7] == ZO_TRAIN || part[9] == ZO_TRAIN);
    }
}

static void small_splits(void **state)
{
    int32_t label[3] = {0, 1, 2};
    uint8_t part[100];
    int count[3] = {0};
    (void)state;
    /* three examples of three classes: one for each part all the same */
    assert_int_equal(zo_split_parts(ctx, 0, 0.1, 0.1, 3, label, 3, part), ZO_OK);
    assert_int_equal(part[0] + part[1] + part[2], ZO_TRAIN + ZO_VALIDATION + ZO_TEST);
    assert_int_equal(zo_split_parts(ctx, 0, 0.1, 0.1, 3, label, 2, part), ZO_FORMAT);
    error_says(ctx, "2 examples are too few", NULL);
    assert_int_equal(zo_split_parts(ctx, 0, 0.1, 0, 3, label, 2, part), ZO_OK);
    assert_int_equal(zo_split_parts(ctx, 0, 0.1, 0, 3, label, 1, part), ZO_FORMAT);
    /* no classes */
    assert_int_equal(zo_split_parts(ctx, 0, 0.25, 0.2, 0, NULL, 100, part), ZO_OK);
    for (int i = 0; i < 100; i++) count[part[i]]++;
    assert_int_equal(count[ZO_TEST], 20);
    assert_int_equal(count[ZO_VALIDATION], 20);
    assert_int_equal(zo_split_parts(ctx, 0, 0, 0, 0, NULL, 100, part), ZO_USAGE);
    assert_int_equal(zo_split_parts(ctx, 0, NAN, 0, 0, NULL, 100, part), ZO_USAGE);
    assert_int_equal(zo_split_parts(ctx, 0, 0.1, 0.51, 0, NULL, 100, part), ZO_USAGE);
}

/* ---- data of one's own ---- */

enum { N = 1500, D = 19 };

typedef struct sample {
    float x[N * D], target[N * 2];
    int32_t label[N];
} sample;

/* Feature 0 never changes, feature 1 is huge, feature 2 is its row. */
static sample *make_sample(void)
{
    sample *s = calloc(1, sizeof *s);
    uint32_t r = 1;
    assert_non_null(s);
    for (int i = 0; i < N; i++) {
        for (int f = 0; f < D; f++) {
            r = r * 1664525 + 1013904223;
            s->x[i * D + f] = (float)(r >> 8) * 0x1p-20f - 3;
        }
        s->x[i * D] = 0.1f;
        s->x[i * D + 1] *= 1e28f;
        s->x[i * D + 2] = (float)i;
        s->label[i] = i % 5 ? 1 : 0;
        s->target[2 * i] = (float)i;
        s->target[2 * i + 1] = -(float)i;
    }
    return s;
}

static zo_data_def classify(const sample *s)
{
    zo_data_def d = zo_data_default_def();
    d.inputs = D;
    d.classes = 2;
    d.n = N;
    d.x = s->x;
    d.label = s->label;
    return d;
}

/* Mean and deviation computed in long double, straight from the definition. */
static void features_are_standardised(void **state)
{
    sample *s = make_sample();
    zo_data_def d = classify(s);
    zo_task *task;
    (void)state;
    assert_int_equal(zo_task_from_data(ctx, &d, &task), ZO_OK);
    const zo_examples *train = &task->part[ZO_TRAIN];
    assert_int_equal(train->n, N - N / 12);
    assert_int_equal(task->stride, 32);
    assert_string_equal(task->net, "dense64 relu dense64 relu dense2");
    assert_string_equal(zo_task_class_name(task, 1), "1");
    assert_string_equal(zo_task_class_name(task, 2), "");
    assert_string_equal(zo_task_class_name(task, -1), "");
    assert_string_equal(zo_task_describe(task).name, "data");

    static uint8_t part[N];
    assert_int_equal(zo_split_parts(ctx, 0, 1.0 / 12, 0, 2, s->label, N, part), ZO_OK);
    for (int f = 0; f < D; f++) {
        long double mean = 0, variance = 0;
        for (int i = 0; i < N; i++) mean += part[i] == ZO_TRAIN ? (long double)s->x[i * D + f] : 0;
        mean /= (long double)train->n;
        for (int i = 0; i < N; i++) {
            long double e = (long double)s->x[i * D + f] - mean;
            variance += part[i] == ZO_TRAIN ? e * e : 0;
        }
        long double scale = f ? 1 / sqrtl(variance / (long double)train->n) : 1;
        assert_true(fabsl((long double)task->shift[f] - mean) <= fabsl(mean) * 1e-7L);
        assert_true(fabsl((long double)task->scale[f] - scale) <= scale * 1e-7L);
    }
    int64_t at[3] = {0};
    for (int i = 0; i < N; i++) {
        const zo_examples *e = &task->part[part[i]];
        const float *row = e->x + at[part[i]] * task->stride;
        assert_int_equal(e->label[at[part[i]]++], s->label[i]);
        for (int f = 0; f < D; f++)
            assert_true(row[f] == (s->x[i * D + f] - task->shift[f]) * task->scale[f]);
        for (int f = D; f < task->stride; f++) assert_true(row[f] == 0);
        assert_true(row[0] == 0); /* the constant feature */
    }
    zo_task_destroy(task);
    free(s);
}

static void regression_with_a_test_set(void **state)
{
    sample *s = make_sample();
    zo_data_def d = classify(s);
    zo_task *task;
    (void)state;
    d.classes = 0;
    d.targets = 2;
    d.target = s->target;
    d.standardise = false;
    d.n_test = 3;
    d.x_test = s->x;
    d.target_test = s->target;
    d.name = "mine";
    assert_int_equal(zo_task_from_data(ctx, &d, &task), ZO_OK);
    zo_task_info info = zo_task_describe(task);
    assert_string_equal(info.name, "mine");
    assert_int_equal(info.classes, 0);
    assert_int_equal(info.outputs, 2);
    assert_int_equal(info.n_test, 3);
    assert_int_equal(info.n_train + info.n_validation, N);
    assert_null(task->part[ZO_TRAIN].label);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(task->part[ZO_TEST].x + i * 32, s->x + i * D, D * sizeof(float));
        assert_true(task->part[ZO_TEST].target[2 * i + 1] == (float)-i);
    }
    assert_string_equal(zo_task_class_name(task, 0), "");
    zo_task_destroy(task);
    free(s);
}

static void expect(zo_status status, const zo_data_def *d, const char *word)
{
    zo_task *task = (zo_task *)ctx;
    assert_int_equal(zo_task_from_data(ctx, d, &task), status);
    assert_null(task);
    error_says(ctx, word, NULL);
}

static void bad_data_are_refused(void **state)
{
    sample *s = make_sample();
    const zo_data_def good = classify(s);
    zo_task *task;
    zo_data_def d;
    (void)state;
    assert_int_equal(zo_task_from_data(ctx, NULL, &task), ZO_USAGE);
#define WITH(field, value) (d = good, d.field = value, &d)
    expect(ZO_USAGE, WITH(inputs, 0), "inputs=0");
    expect(ZO_USAGE, WITH(inputs, -3), "inputs=-3");
    expect(ZO_USAGE, WITH(inputs, 1 << 21), "inputs=2097152");
    expect(ZO_USAGE, WITH(classes, 1), "classes=1");
    expect(ZO_USAGE, WITH(classes, -1), "classes=-1");
    expect(ZO_USAGE, WITH(classes, 0), "targets=0");
    expect(ZO_USAGE, WITH(n, 0), "n=0");
    expect(ZO_USAGE, WITH(n, -1), "n=-1");
    expect(ZO_USAGE, WITH(n, (int64_t)1 << 40), "n=1099511627776");
    expect(ZO_USAGE, WITH(x, NULL), "x is NULL");
    expect(ZO_USAGE, WITH(label, NULL), "label is NULL");
    expect(ZO_USAGE, WITH(n_test, 5), "x_test is NULL");
    expect(ZO_USAGE, WITH(n_test, -5), "n_test=-5");
    expect(ZO_USAGE, WITH(validation, 0), "validation=0");
    expect(ZO_USAGE, WITH(validation, NAN), "validation=");
    s->x[7 * D + 3] = NAN;
    expect(ZO_FORMAT, &good, "x: example 7, number 3");
    s->x[7 * D + 3] = INFINITY;
    expect(ZO_FORMAT, &good, "x: example 7, number 3");
    s->x[7 * D + 3] = 0;
    s->label[9] = 2;
    expect(ZO_FORMAT, &good, "example 9 has label 2");
    s->label[9] = -1;
    expect(ZO_FORMAT, &good, "example 9 has label -1");
    free(s);
}

static zo_status build_sample(zo_context *c, void *data)
{
    zo_data_def d = classify(data);
    zo_task *task;
    zo_status status = zo_task_from_data(c, &d, &task);
    zo_task_destroy(task);
    return status;
}

static zo_status build_synthetic(zo_context *c, void *name)
{
    const char *settings[] = {"n=100", NULL};
    zo_task *task;
    zo_status status = create(c, name, 0, settings, &task);
    zo_task_destroy(task);
    return status;
}

static void survives_lack_of_memory(void **state)
{
    static const char *const names[] = {"blobs", "spirals", "xor", "plane"};
    sample *s = make_sample();
    (void)state;
    assert_true(refuse_each(build_sample, s) > 15);
    for (int i = 0; i < 4; i++) assert_true(refuse_each(build_synthetic, (void *)names[i]) > 15);
    free(s);
}

static void assert_same_task(const zo_task *a, const zo_task *b)
{
    size_t inputs = (size_t)a->inputs;
    assert_int_equal(a->checksum, b->checksum);
    assert_memory_equal(a->shift, b->shift, inputs * sizeof(float));
    assert_memory_equal(a->scale, b->scale, inputs * sizeof(float));
    for (int p = 0; p < ZO_PARTS; p++) {
        const zo_examples *x = &a->part[p], *y = &b->part[p];
        size_t n = (size_t)x->n;
        assert_int_equal(x->n, y->n);
        assert_memory_equal(x->x, y->x, n * (size_t)a->stride * sizeof(float));
        if (a->classes)
            assert_memory_equal(x->label, y->label, n * sizeof(int32_t));
        else
            assert_memory_equal(x->target, y->target, n * sizeof(float));
    }
}

/* Same seed, same bits, for 1, 2 and 3 threads; another seed, another task. */
static void threads_do_not_change_a_bit(void **state)
{
    static const char *const names[] = {"blobs", "spirals", "xor", "plane"};
    const char *settings[] = {"n=5000", NULL};
    (void)state;
    for (int i = 0; i < 4; i++) {
        zo_context *one = context_with(1, NULL);
        zo_task *task = must_create(one, names[i], 5, settings);
        for (int threads = 1; threads <= 3; threads++) {
            zo_context *c = context_with(threads, NULL);
            zo_task *twin = must_create(c, names[i], 5, settings);
            assert_same_task(task, twin);
            zo_task_destroy(twin);
            twin = must_create(c, names[i], 6, settings);
            assert_int_not_equal(task->checksum, twin->checksum);
            zo_task_destroy(twin);
            zo_context_destroy(c);
        }
        zo_task_destroy(task);
        zo_context_destroy(one);
    }
}

/* ---- synthetic tasks against their closed forms ---- */

static const zo_task_class *class_of(const char *name) { return zo_find(zo_task_classes, name); }

/* The raw data of a synthetic task. */
static zo_raw raw_of(const char *name, const char *const *settings)
{
    const zo_task_class *class = class_of(name);
    double room[16];
    zo_raw raw = {0};
    zo_task_def def = zo_task_default_def();
    const zo_block block = {&class->info, room};
    assert_true(class->settings_size <= sizeof room);
    def.name = name;
    def.seed = 11;
    zo_params_default(class->info.params, room);
    assert_int_equal(zo_params_apply(ctx, settings, &block, 1), ZO_OK);
    assert_int_equal(class->load(ctx, &def, room, &raw), ZO_OK);
    return raw;
}

/* Share of examples that the nearest centre names wrongly. */
static double blob_error(const zo_raw *raw)
{
    double turn = 2 * acos(-1.0) / raw->classes, radius = 1 / sin(turn / 2);
    int64_t wrong = 0;
    for (int64_t i = 0; i < raw->n; i++) {
        const float *x = raw->x + i * raw->inputs;
        int best = 0;
        double least = INFINITY;
        for (int c = 0; c < raw->classes; c++) {
            double dx = (double)x[0] - radius * cos(c * turn);
            double dy = raw->inputs > 1 ? (double)x[1] - radius * sin(c * turn) : 0;
            if (dx * dx + dy * dy < least) {
                least = dx * dx + dy * dy;
                best = c;
            }
        }
        wrong += best != raw->label[i];
    }
    return (double)wrong / (double)raw->n;
}

/* Phi(-1 / spread) for two; between that and its double for more. Four deviations of 200,000 draws: 0.004. */
static void blobs_have_their_error(void **state)
{
    const char *two[] = {"classes=2", "n=200000", "spread=0.8", "inputs=3", NULL};
    const char *line[] = {"classes=2", "n=200000", "spread=0.8", "inputs=1", NULL};
    const char *seven[] = {"classes=7", "n=200000", "spread=0.8", NULL};
    double bayes = 0.5 * erfc(1 / 0.8 / sqrt(2.0));
    (void)state;
    zo_raw raw = raw_of("blobs", two);
    assert_true(fabs(blob_error(&raw) - bayes) < 0.003);
    zo_raw_free(ctx, &raw);
    raw = raw_of("blobs", line);
    assert_true(fabs(blob_error(&raw) - bayes) < 0.003);
    zo_raw_free(ctx, &raw);
    raw = raw_of("blobs", seven);
    double error = blob_error(&raw);
    assert_true(error > bayes && error < 2 * bayes + 0.003);
    zo_raw_free(ctx, &raw);
}

static void spirals_lie_on_their_arms(void **state)
{
    const char *settings[] = {"arms=3", "n=3000", "spread=0", "turns=2", NULL};
    zo_raw raw = raw_of("spirals", settings);
    (void)state;
    for (int i = 0; i < 3000; i++) {
        double x = raw.x[2 * i], y = raw.x[2 * i + 1], t = hypot(x, y);
        double turn = atan2(y, x) / (2 * acos(-1.0)) - raw.label[i] / 3.0 - 2 * t;
        assert_true(t > 0.0999 && t < 1.0001);
        assert_true(fabs(turn - round(turn)) < 1e-5);
    }
    zo_raw_free(ctx, &raw);
}

static void xor_is_parity(void **state)
{
    const char *clean[] = {"bits=5", "n=2000", NULL};
    const char *noisy[] = {"bits=5", "n=40000", "flip=0.1", NULL};
    (void)state;
    for (int k = 0; k < 2; k++) {
        zo_raw raw = raw_of("xor", k ? noisy : clean);
        int64_t flipped = 0;
        for (int64_t i = 0; i < raw.n; i++) {
            float product = -1; /* an even number of ones among five bits: -1 to the fifth */
            for (int b = 0; b < 5; b++) {
                assert_true(raw.x[5 * i + b] == 1 || raw.x[5 * i + b] == -1);
                product *= raw.x[5 * i + b];
            }
            flipped += raw.label[i] != (product < 0);
        }
        assert_true(k ? fabs((double)flipped / (double)raw.n - 0.1) < 0.006 : !flipped);
        zo_raw_free(ctx, &raw);
    }
}

static void a_plane_is_flat(void **state)
{
    const char *settings[] = {"inputs=3", "n=40000", "spread=0.5", NULL};
    zo_raw raw = raw_of("plane", settings);
    double squares = 0, sum = 0;
    (void)state;
    for (int64_t i = 0; i < raw.n; i++) {
        const float *x = raw.x + 3 * i;
        double y = 0.5 + (double)x[0] / 3 - 2 * (double)x[1] / 3 + (double)x[2];
        double e = (double)raw.target[i] - y;
        squares += e * e;
        sum += e;
    }
    assert_true(fabs(squares / (double)raw.n - 0.25) < 4 * 0.25 * sqrt(2.0 / 40000));
    assert_true(fabs(sum / (double)raw.n) < 4 * 0.5 / 200);
    zo_raw_free(ctx, &raw);
}

/* A larger task begins with the examples of a smaller one. */
static void more_examples_keep_the_first(void **state)
{
    const char *few[] = {"n=100", NULL}, *many[] = {"n=1000", NULL};
    zo_raw a = raw_of("spirals", few), b = raw_of("spirals", many);
    (void)state;
    assert_memory_equal(a.x, b.x, 200 * sizeof(float));
    zo_raw_free(ctx, &a);
    zo_raw_free(ctx, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_have_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_class_is_complete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(config_repeats_the_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(classes_are_shared_out_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rare_classes_stay_in_training, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(features_are_standardised, set_up, tear_down),
        cmocka_unit_test_setup_teardown(regression_with_a_test_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_data_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_do_not_change_a_bit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blobs_have_their_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spirals_lie_on_their_arms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(xor_is_parity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plane_is_flat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_examples_keep_the_first, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}

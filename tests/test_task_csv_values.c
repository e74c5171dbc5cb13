/* Tables: missing values, offsets of numbers, categories; what is refused. */
#include "task_csv_support.h"

/* ---- missing values ---- */

static void missing_values_are_refused(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw;
    (void)state;
    assert_int_equal(load_text(ctx, gaps, &s, &raw), ZO_FORMAT);
    error_says(ctx, "t.csv", "line 4", "\"w\"", "missing", "missing=impute", NULL);
    zo_raw_free(ctx, &raw);
    strcpy(s.ignore, "w");
    assert_int_equal(load_text(ctx, gaps, &s, &raw), ZO_FORMAT);
    error_says(ctx, "line 3", "\"c\"", NULL);
    zo_raw_free(ctx, &raw);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static zo_raw load_seeded(const char *text, uint64_t seed, const zo_table_settings *s)
{
    char *bytes = copy_of(text);
    zo_raw raw = {0};
    assert_int_equal(zo_table_load(ctx, "t.csv", bytes, strlen(text), seed, s, &raw), ZO_OK);
    free(bytes);
    return raw;
}

static float median_of(const float *value, const uint8_t *part, int n)
{
    float known[16];
    size_t m = 0;
    for (int i = 0; i < n; i++) {
        if ((!part || part[i] == ZO_TRAIN) && !isnan(value[i])) known[m++] = value[i];
    }
    qsort(known, m, sizeof *known, by_value);
    return (known[(m - 1) / 2] + known[m / 2]) / 2;
}

/* The median is that of the training rows, computed here a second time; it is not that of all rows.
 * Numbers are counted from it. */
static void missing_values_are_imputed(void **state)
{
    static const float w[] = {1, 2, NAN, 4, NAN, 6, 7, 8, 9, 10, NAN, 12, 13, 14};
    zo_table_settings s = settings_for("y");
    uint8_t part[14];
    int differ = 0;
    (void)state;
    s.missing = 1;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_raw raw = load_seeded(gaps, seed, &s);
        assert_int_equal(zo_split_parts(ctx, seed, s.validation, s.test, 2, raw.label, 14, part),
                         ZO_OK);
        float median = median_of(w, part, 14);
        differ += median != median_of(w, NULL, 14);
        for (int i = 0; i < 14; i++)
            assert_true(raw.x[i * raw.inputs] == (isnan(w[i]) ? 0 : w[i] - median));
        zo_raw_free(ctx, &raw);
    }
    assert_true(differ > 0);

    zo_raw raw = must_load(gaps, &s);
    assert_int_equal(raw.inputs, 4); /* w, "", a, b */
    assert_true(raw.x[4 * 1 + 1] == 1 && raw.x[4 * 1 + 2] == 0 && raw.x[4 * 1 + 3] == 0);
    assert_true(raw.x[4 * 5 + 1] == 1);
    assert_true(raw.x[4 * 6 + 1] == 0 && raw.x[4 * 6 + 2] == 1);
    zo_raw_free(ctx, &raw);
}

/* n rows "time,value", the times `step` seconds apart from 1.7e9 on. */
static void times_of(char *out, size_t room, int n, int step, bool classes)
{
    size_t used = (size_t)snprintf(out, room, "x,y\n");
    for (int i = 0; i < n; i++) {
        int value = classes ? i % 2 : 1700000000 + 3 * i;
        used += (size_t)snprintf(out + used, room - used, "%d,%d\n", 1700000000 + step * i, value);
    }
}

/* In float32 all times below would be one number: its neighbours are 128 s away. */
static void large_numbers_keep_their_differences(void **state)
{
    enum { N = 60 };
    zo_table_settings s = settings_for("y");
    char text[4000];
    (void)state;
    times_of(text, sizeof text, N, 1, true);
    zo_raw raw = must_load(text, &s);
    for (int i = 1; i < N; i++) assert_true(raw.x[i] - raw.x[i - 1] == 1);
    assert_true(fabs(offset_of(raw.encoder, 0) - 1700000000 - N / 2) < N / 4);
    int64_t n;
    float *x;
    int32_t *label;
    predict(raw.encoder, "x\n1700000007\n1700000008.25\n", &n, &x, &label);
    assert_true(x[0] == raw.x[7] && x[1] == raw.x[7] + 1.25f);
    zo_free(ctx, x);
    zo_raw_free(ctx, &raw);
}

/* Targets too; the network's output transform gives the user's unit back as well as float32 can. */
static void large_targets_keep_their_differences(void **state)
{
    enum { N = 60 };
    zo_table_settings s = settings_for("y");
    char text[4000];
    zo_task *task;
    (void)state;
    times_of(text, sizeof text, N, 1, false);
    zo_raw raw = must_load(text, &s);
    assert_int_equal(raw.classes, 0);
    for (int i = 0; i < N; i++) assert_true(target_at(&raw, i) == 1700000000 + 3 * i);
    assert_int_equal(zo_task_build(ctx, "t.csv", 1, s.validation, true, &raw, &task), ZO_OK);
    const zo_examples *train = &task->part[ZO_TRAIN];
    double squares = 0;
    for (int64_t i = 0; i < train->n; i++)
        squares += (double)train->target[i] * (double)train->target[i];
    assert_true(fabs(squares / (double)train->n - 1) < 1e-5);
    assert_true(fabs((double)task->target_shift[0] - 1700000000 - 1.5 * N) <= 128);
    assert_true(fabs((double)task->target_scale[0] - 3 * N / sqrt(12)) < 5);
    assert_non_null(strstr(logged, "float32, which has steps of 128"));
    zo_task_destroy(task);

    logged[0] = 0; /* nothing to warn of where the differences are large enough */
    raw = must_load("x,y\n" TEN("1,1700000000\n2,1700090000\n") "3,1.5\n", &s);
    assert_int_equal(zo_task_build(ctx, "t.csv", 1, s.validation, true, &raw, &task), ZO_OK);
    assert_string_equal(logged, "");
    zo_task_destroy(task);
}

/* The split moves the offsets, but the data are the same; another choice of columns are other data. */
static void the_seed_is_not_in_the_checksum(void **state)
{
    zo_table_settings s = settings_for("y");
    (void)state;
    zo_raw a = load_seeded(flowers, 1, &s), b = load_seeded(flowers, 2, &s);
    for (uint64_t seed = 3; !strcmp(a.encoder, b.encoder); seed++) {
        zo_raw_free(ctx, &b);
        b = load_seeded(flowers, seed, &s);
    }
    strcpy(s.ignore, "x");
    zo_raw c = load_seeded(flowers, 1, &s);
    assert_true(a.checksum && a.checksum == b.checksum && a.checksum != c.checksum);
    zo_raw_free(ctx, &a);
    zo_raw_free(ctx, &b);
    zo_raw_free(ctx, &c);
}

/* A category that only a held-out row has is not known: "rare" stands in row 0. */
static void categories_are_those_of_training(void **state)
{
    zo_table_settings s = settings_for("y");
    uint8_t part[21];
    int held_out = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_raw raw = load_seeded("c,y\nrare,0\n" TEN("a,0\nb,1\n"), seed, &s);
        assert_int_equal(zo_split_parts(ctx, seed, s.validation, s.test, 2, raw.label, 21, part),
                         ZO_OK);
        held_out += part[0] != ZO_TRAIN;
        assert_int_equal(raw.inputs, part[0] == ZO_TRAIN ? 3 : 2);
        if (part[0] != ZO_TRAIN) assert_true(raw.x[0] == 0 && raw.x[1] == 0);
        zo_raw_free(ctx, &raw);
    }
    assert_true(held_out > 0 && held_out < 10);
}

/* ---- what is refused ---- */

typedef struct fault {
    const char *text;
    const char *settings[4];
    zo_status status;
    const char *says[4];
} fault;

static const fault faults[] = {
    {TEN("1,2\n"), {NULL}, ZO_USAGE, {"which column", "column1, column2"}},
    {flowers, {NULL}, ZO_USAGE, {"which column", "x, colour, y"}},
    {flowers, {"label=color"}, ZO_USAGE, {"\"color\"", "did you mean \"colour\""}},
    {flowers, {"label=species"}, ZO_USAGE, {"no column \"species\"", "x, colour, y"}},
    {flowers, {"label=4"}, ZO_USAGE, {"no column \"4\"", "3 columns"}},
    {flowers, {"label=0"}, ZO_USAGE, {"no column \"0\""}},
    {flowers, {"label=y", "ignore=y"}, ZO_USAGE, {"ignore=y", "label"}},
    {flowers, {"label=y", "ignore=x,colur"}, ZO_USAGE, {"\"colur\"", "\"colour\""}},
    {flowers, {"label=y", "ignore=x,colour"}, ZO_FORMAT, {"no column besides the label"}},
    {flowers, {"label=y", "kind=regression"}, ZO_FORMAT, {"line 2", "\"y\"", "\"no\"", "regression"}},
    {flowers, {"label=y", "separator=;"}, ZO_USAGE, {"no column \"y\""}},
    {flowers, {"label=y", "separator=tab"}, ZO_USAGE, {"no column \"y\""}},
    {flowers, {"label=y", "header=no"}, ZO_USAGE, {"column1, column2, column3"}},
    {flowers, {"label=y", "knd=auto"}, ZO_USAGE, {"knd", "kind"}},
    {flowers, {"label=y", "kind=clasification"}, ZO_USAGE, {"classification"}},
    {flowers, {"label=y", "test=0.9"}, ZO_USAGE, {"test=0.9", "0.5"}},
    {flowers, {"label=y", "validation=0"}, ZO_USAGE, {"validation=0"}},
    {flowers, {"label=y", "validation=-1"}, ZO_USAGE, {"validation=-1"}},
    {"a,b,a\n" TEN("1,2,3\n"), {"label=b"}, ZO_FORMAT, {"line 1", "columns 1 and 3", "\"a\""}},
    {"a,y\n" TEN("1,7\n"), {"label=y"}, ZO_FORMAT, {"\"y\"", "same value in every row"}},
    {"a,y\n" TEN("1,c\n"), {"label=y"}, ZO_FORMAT, {"\"y\"", "same value in every row"}},
    {"a,y\n" TEN("1,7\n") "3,NaN\n", {"label=y"}, ZO_FORMAT, {"line 12", "\"y\"", "\"NaN\"", "label"}},
    {"a,y\n" TEN("1,7\n") "3,\n",
     {"label=y", "missing=impute"},
     ZO_FORMAT,
     {"line 12", "\"y\"", "missing value", "label"}},
    {"a,y\n" TEN("1,7\n") "3,inf\n", {"label=y"}, ZO_FORMAT, {"line 12", "\"y\"", "infinite"}},
    {"a,y\n" TEN("1,7\n") "1e999,8\n", {"label=y"}, ZO_FORMAT, {"line 12", "\"a\"", "infinite"}},
    {"a,y\n" TEN("1,7\n") "-inf,8\n", {"label=y"}, ZO_FORMAT, {"line 12", "\"a\"", "infinite"}},
    {"a,y\n" TEN("1,7\n") "1e31,8\n", {"label=y"}, ZO_FORMAT, {"line 12", "\"a\"", "1e30"}},
    {"a,y\n1,2\n2,3\n", {"label=y"}, ZO_FORMAT, {"2 rows of data are too few", "10"}},
    {"a,y\n", {"label=y", "header=yes"}, ZO_FORMAT, {"0 rows of data are too few"}},
    {"a,y\n1,2\n1,2,3\n", {"label=y"}, ZO_FORMAT, {"line 3 has 3 fields", "line 1 has 2"}},
    {"y\n" TEN("1\n"), {"label=y"}, ZO_FORMAT, {"no column besides the label"}},
};

static void each_fault_is_named(void **state)
{
    const zo_task_class *class = zo_find(zo_task_classes, "csv");
    char path[32] = "csv-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const fault *f = &faults[i];
        char name[64];
        zo_task_def def = zo_task_default_def();
        zo_task *task;
        snprintf(name, sizeof name, "./%s", path);
        write_file(path, f->text, strlen(f->text));
        def.name = name;
        def.settings = f->settings;
        assert_int_equal(zo_task_create(ctx, &def, &task), f->status);
        assert_null(task);
        for (int w = 0; w < 4 && f->says[w]; w++) error_says(ctx, f->says[w], NULL);
    }
    assert_non_null(class);
    remove(path);
}

static void too_many_categories(void **state)
{
    zo_table_settings s = settings_for("y");
    char text[8000];
    zo_raw raw;
    (void)state;
    size_t used = (size_t)snprintf(text, sizeof text, "id,y\n");
    for (int i = 0; i < 256; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "user%d,%d\n", i, i % 2);
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    zo_raw_free(ctx, &raw);
    snprintf(text + used, sizeof text - used, "one more,0\n");
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_FORMAT);
    error_says(ctx, "\"id\"", "more than 256", "ignore=id", NULL);
    zo_raw_free(ctx, &raw);
}

/* A mistyped number turns a column to text, and the log says so. */
static void a_stray_word_is_noticed(void **state)
{
    zo_table_settings s = settings_for("y");
    (void)state;
    zo_raw raw = must_load("a,y\n1,0\n2,1\n3,0\n4,1\n5;5,0\n6,1\n7,0\n8,1\n9,0\n10,1\n", &s);
    assert_non_null(strstr(logged, "\"5;5\" in line 6"));
    zo_raw_free(ctx, &raw);
}

static zo_status learn_and_build(zo_context *c, void *text)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw;
    zo_task *task = NULL;
    s.missing = 1;
    zo_status status = load_text(c, text, &s, &raw);
    if (!status) status = zo_task_build(c, "t.csv", 1, s.validation, true, &raw, &task);
    zo_raw_free(c, &raw);
    zo_task_destroy(task);
    return status;
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    assert_true(refuse_each(learn_and_build, (void *)gaps) > 30);
    assert_true(refuse_each(learn_and_build, (void *)flowers) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing_values_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_values_are_imputed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_numbers_keep_their_differences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_targets_keep_their_differences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_seed_is_not_in_the_checksum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(categories_are_those_of_training, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_fault_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_categories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stray_word_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("csv values", tests, NULL, NULL);
}

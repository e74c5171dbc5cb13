/* Tables: rows for prediction, read as the training rows were. */
#include "task_csv_support.h"

/* ---- prediction ---- */

static void training_rows_are_encoded_as_they_were(void **state)
{
    static const char *const text[] = {flowers, gaps};
    (void)state;
    for (int i = 0; i < 2; i++) {
        zo_table_settings s = settings_for("y");
        int64_t n;
        float *x;
        int32_t *label;
        s.missing = i;
        zo_raw raw = must_load(text[i], &s);
        predict(raw.encoder, text[i], &n, &x, &label);
        assert_int_equal(n, raw.n);
        assert_memory_equal(x, raw.x, (size_t)(raw.n * raw.inputs) * sizeof *x);
        assert_memory_equal(label, raw.label, (size_t)raw.n * sizeof *label);
        zo_free(ctx, x);
        zo_free(ctx, label);
        zo_raw_free(ctx, &raw);
    }
}

static void columns_are_found_by_name(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(flowers, &s);
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    float from = (float)offset_of(raw.encoder, 0);
    /* another order, another separator, one column more, no label, a category never seen */
    predict(raw.encoder, "colour;extra;x\nred;;2.5\nmauve;z;-1\n", &n, &x, &label);
    assert_int_equal(n, 2);
    assert_null(label);
    assert_memory_equal(x, ((const float[]){2.5f - from, 0, 0, 1, -1 - from, 0, 0, 0}),
                        8 * sizeof *x);
    assert_non_null(strstr(logged, "\"mauve\" in line 3"));
    zo_free(ctx, x);

    predict(raw.encoder, "y,x,colour\nyes,1,red\nmaybe,1,red\n", &n, &x, &label);
    assert_int_equal(label[0], 1);
    assert_int_equal(label[1], -1);
    zo_free(ctx, x);
    zo_free(ctx, label);

    predict(raw.encoder, "y,x,colour\nyes,1,red\n,1,red\n", &n, &x, &label);
    assert_null(label); /* not all answers are there */
    zo_free(ctx, x);
    zo_raw_free(ctx, &raw);
}

/* The nameless first column that pandas writes. */
static void a_column_without_a_name(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(",y\n" TEN("1,2\n2,3\n"), &s);
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    predict(raw.encoder, ",y\n7,2\n", &n, &x, &label);
    assert_true(n == 1 && label[0] == 0 && x[0] == 7.0f - (float)offset_of(raw.encoder, 0));
    zo_free(ctx, x);
    zo_free(ctx, label);
    zo_raw_free(ctx, &raw);
}

static void columns_are_taken_in_order(void **state)
{
    zo_table_settings s = settings_for("2");
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    zo_raw raw = must_load(TEN("1,10,3\n2,20,4\n"), &s);
    float a = (float)offset_of(raw.encoder, 0), c = (float)offset_of(raw.encoder, 2);
    predict(raw.encoder, "5,20.0,6\n7,10,8\n", &n, &x, &label);
    assert_memory_equal(x, ((const float[]){5 - a, 6 - c, 7 - a, 8 - c}), 4 * sizeof *x);
    assert_int_equal(label[0], 1);
    assert_int_equal(label[1], 0);
    zo_free(ctx, x);
    zo_free(ctx, label);
    predict(raw.encoder, "5,6\n", &n, &x, &label); /* without the label */
    assert_memory_equal(x, ((const float[]){5 - a, 6 - c}), 2 * sizeof *x);
    assert_null(label);
    zo_free(ctx, x);
    zo_raw_free(ctx, &raw);
}

static void refuse_rows(const char *encoder, const char *text, zo_status expected, const char *word,
                        const char *second)
{
    zo_encoder e;
    char *bytes = copy_of(text);
    int64_t n;
    float *x;
    int32_t *label;
    assert_int_equal(zo_encoder_read(ctx, encoder, &e), ZO_OK);
    assert_int_equal(zo_encoder_table(ctx, &e, "p.csv", bytes, strlen(text), &n, &x, &label),
                     expected);
    assert_null(x);
    assert_null(label);
    error_says(ctx, "p.csv", word, second, NULL);
    zo_encoder_free(ctx, &e);
    free(bytes);
}

static void refuses_rows_that_do_not_fit(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(flowers, &s);
    (void)state;
    refuse_rows(raw.encoder, "x,y\n1,no\n", ZO_USAGE, "line 1", "\"colour\"");
    refuse_rows(raw.encoder, "1,red\n", ZO_USAGE, "\"x\", \"colour\"", "must name the columns");
    refuse_rows(raw.encoder, "x,colour\n", ZO_FORMAT, "no row", "header");
    refuse_rows(raw.encoder, "x,colour\nabc,red\n", ZO_FORMAT, "line 2, column \"x\"", "\"abc\"");
    refuse_rows(raw.encoder, "x,colour\n,red\n", ZO_FORMAT, "line 2, column \"x\"", "missing");
    refuse_rows(raw.encoder, "x,colour\n1,\n", ZO_FORMAT, "line 2, column \"colour\"", "missing");
    refuse_rows(raw.encoder, "x,colour\ninf,red\n", ZO_FORMAT, "line 2, column \"x\"", "infinite");
    zo_raw_free(ctx, &raw);
    s = settings_for("2");
    raw = must_load(TEN("1,10,3\n2,20,4\n"), &s);
    refuse_rows(raw.encoder, "1,2,3,4\n", ZO_USAGE, "4 fields", "3 (2 without the label)");
    zo_raw_free(ctx, &raw);
}

#define HEAD                                                                                       \
    "{\"version\":1,\"kind\":\"csv\",\"separator\":\",\",\"header\":true,\"missing\":\"refuse\","
#define COLS "\"columns\":[{\"name\":\"a\",\"kind\":\"number\"}],"
#define TAIL "\"answers\":\"texts\",\"classes\":[\"a\",\"b\"]}"

static void refuses_damaged_encoders(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\":2}",
        "{\"version\":1,\"kind\":\"video\"}",
        "{\"version\":1,\"kind\":\"images\"}",
        "{\"version\":1,\"kind\":\"images\",\"inputs\":0,\"classes\":[]}",
        "{\"version\":1,\"kind\":\"images\",\"inputs\":1e3,\"classes\":[]}",
        "{\"version\":1,\"kind\":\"images\",\"inputs\":4,\"classes\":[\"a\"]}",
        "{\"version\":1,\"kind\":\"images\",\"inputs\":4,\"classes\":[\"a\",2]}",
        HEAD TAIL,
        HEAD COLS "\"answers\":\"texts\",\"classes\":[\"b\",\"a\"]}",
        HEAD COLS "\"answers\":\"numbers\",\"classes\":[\"a\",\"b\"]}",
        HEAD COLS "\"answers\":\"numbers\",\"classes\":[\"10\",\"9\"]}",
        HEAD COLS "\"answers\":\"targets\",\"classes\":[\"a\",\"b\"]}",
        HEAD COLS "\"answers\":\"texts\",\"classes\":[]}",
        HEAD COLS "\"answers\":\"texts\"}",
        HEAD "\"columns\":[]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"number\",\"offset\":\"1\"}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"number\",\"offset\":1e31}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"label\",\"offset\":[]}]," TAIL,
        HEAD "\"columns\":[1]," TAIL,
        HEAD "\"columns\":{\"a\":1}," TAIL,
        HEAD "\"columns\":[{\"kind\":\"number\"}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"date\"}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"text\"}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"text\",\"categories\":[\"b\",\"b\"]}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"text\",\"categories\":[1]}]," TAIL,
        HEAD "\"columns\":[{\"name\":\"a\",\"kind\":\"label\"},{\"name\":\"b\",\"kind\":\"label\"}]"
             "," TAIL,
        "{\"version\":1,\"kind\":\"csv\",\"separator\":\",\",\"header\":true,\"missing\":"
        "\"impute\"," COLS TAIL,
        "{\"version\":1,\"kind\":\"csv\",\"separator\":\"x\",\"header\":true,\"missing\":"
        "\"refuse\"," COLS TAIL,
        "{\"version\":1,\"kind\":\"csv\",\"separator\":\",\",\"header\":1,\"missing\":"
        "\"refuse\"," COLS TAIL,
    };
    zo_encoder e;
    (void)state;
    assert_int_equal(zo_encoder_read(ctx, HEAD COLS TAIL, &e), ZO_OK);
    zo_encoder_free(ctx, &e);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (zo_encoder_read(ctx, bad[i], &e) != ZO_FORMAT) fail_msg("accepted: %s", bad[i]);
        assert_null(e.json);
        error_says(ctx, "description of its input", NULL);
    }
}

/* As models were written before there were offsets. */
static void no_offset_means_zero(void **state)
{
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    predict(HEAD COLS TAIL, "a\n1.5\n-3\n", &n, &x, &label);
    assert_int_equal(n, 2);
    assert_true(x[0] == 1.5f && x[1] == -3);
    zo_free(ctx, x);
}

static void names_travel_with_the_encoder(void **state)
{
    int classes;
    char **name;
    (void)state;
    assert_int_equal(zo_task_encoder_classes(ctx, HEAD COLS TAIL, &classes, &name), ZO_OK);
    assert_int_equal(classes, 2);
    assert_string_equal(name[1], "b");
    zo_free(ctx, name);
    assert_int_equal(zo_task_encoder_classes(
                         ctx, HEAD COLS "\"answers\":\"targets\",\"classes\":[]}", &classes, &name),
                     ZO_OK);
    assert_int_equal(classes, 0);
    assert_null(name);
}

static void files_are_encoded(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(flowers, &s);
    char path[32] = "csv-XXXXXX";
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, flowers, strlen(flowers));
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 4, 1, 1, &n, &x, &label), ZO_OK);
    assert_int_equal(n, 12);
    zo_free(ctx, x);
    zo_free(ctx, label);
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 5, 1, 1, &n, &x, &label), ZO_FORMAT);
    error_says(ctx, "4 features", "takes 5", NULL);
    assert_int_equal(zo_task_encode(ctx, NULL, path, 4, 1, 1, &n, &x, &label), ZO_USAGE);
    remove(path);
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 4, 1, 1, &n, &x, &label), ZO_NOT_FOUND);
    error_says(ctx, path, NULL);
    zo_raw_free(ctx, &raw);
}

typedef struct encode_work {
    const char *encoder, *text;
} encode_work;

static zo_status encode_once(zo_context *c, void *arg)
{
    const encode_work *work = arg;
    zo_encoder e;
    char *bytes = copy_of(work->text);
    int64_t n;
    float *x = NULL;
    int32_t *label = NULL;
    zo_status status = zo_encoder_read(c, work->encoder, &e);
    if (!status) status = zo_encoder_table(c, &e, "p.csv", bytes, strlen(bytes), &n, &x, &label);
    zo_encoder_free(c, &e);
    zo_free(c, x);
    zo_free(c, label);
    free(bytes);
    return status;
}

static void prediction_survives_lack_of_memory(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(flowers, &s);
    encode_work work = {raw.encoder, flowers};
    (void)state;
    assert_true(refuse_each(encode_once, &work) >= 7);
    zo_raw_free(ctx, &raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(training_rows_are_encoded_as_they_were, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_are_found_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_column_without_a_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_are_taken_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_rows_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_damaged_encoders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_offset_means_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_travel_with_the_encoder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_encoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prediction_survives_lack_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("csv prediction", tests, NULL, NULL);
}

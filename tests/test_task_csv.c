/* Tables: the text format, and what is learned from the columns. */
#include "task_csv_support.h"

/* ---- the text format ---- */

static void assert_cells(const char *text, char separator, int64_t rows, int columns,
                         const char *const *cell)
{
    char *bytes = copy_of(text);
    zo_csv csv;
    if (zo_csv_parse(ctx, "t.csv", bytes, strlen(text), 0, &csv))
        fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(csv.separator, separator);
    assert_int_equal(csv.rows, rows);
    assert_int_equal(csv.columns, columns);
    for (int64_t i = 0; i < rows * columns; i++) assert_string_equal(csv.cell[i], cell[i]);
    zo_csv_free(ctx, &csv);
    free(bytes);
}

/* Written by Python 3.11: csv.writer(f, quoting=QUOTE_ALL), then QUOTE_MINIMAL with ';' and '\n', then QUOTE_ALL
 * with '\t', each given the rows below. */
static void reads_what_python_writes(void **state)
{
    static const char *const all =
        "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\"cr\r\nlf\"\r\n"
        "\"\",\"\303\251;\303\274\",\"tab\there\",\"\"\"\"\r\n"
        "\",\",\"\"\"\"\"\",\"'single'\",\"#x\"\r\n\"1.5\",\" x \",\"?\",\"-0\"\r\n";
    static const char *const minimal = "a,b;\"say \"\"hi\"\"\";\"two\nlines\";\"cr\r\nlf\"\n"
                                       ";\"\303\251;\303\274\";tab\there;\"\"\"\"\n"
                                       ",;\"\"\"\"\"\";'single';#x\n1.5; x ;?;-0\n";
    static const char *const tabs =
        "\"a,b\"\t\"say \"\"hi\"\"\"\t\"two\nlines\"\t\"cr\r\nlf\"\r\n"
        "\"\"\t\"\303\251;\303\274\"\t\"tab\there\"\t\"\"\"\"\r\n"
        "\",\"\t\"\"\"\"\"\"\t\"'single'\"\t\"#x\"\r\n\"1.5\"\t\" x \"\t\"?\"\t\"-0\"\r\n";
    const char *cell[] = {
        "a,b",       "say \"hi\"", "two\nlines", "cr\r\nlf", "",         "\303\251;\303\274",
        "tab\there", "\"",         ",",          "\"\"",     "'single'", "#x",
        "1.5",       " x ",        "?",          "-0"};
    (void)state;
    assert_cells(all, ',', 4, 4, cell);
    assert_cells(tabs, '\t', 4, 4, cell);
    cell[13] = "x"; /* spaces around an unquoted field are dropped */
    assert_cells(minimal, ';', 4, 4, cell);
}

static void reads_every_line_end(void **state)
{
    static const char *const cell[] = {"a", "b", "1", "2", "3", ""};
    (void)state;
    assert_cells("a,b\n1,2\n3,\n", ',', 3, 2, cell);
    assert_cells("a,b\r\n1,2\r\n3,", ',', 3, 2, cell);
    assert_cells("a,b\r1,2\r3,\r", ',', 3, 2, cell);
    assert_cells("\357\273\277a,b\n1,2\n3,\n", ',', 3, 2, cell);
    assert_cells("\n\na , b\n \n1,  2\n\n3,\n\n   \n", ',', 3, 2, cell);
    assert_cells("a\tb\n1\t2\n3\t\n", '\t', 3, 2, cell);
    assert_cells(" \"a\" ,\"b\"\n1,2\n3,\"\"", ',', 3, 2, cell);
}

static void refuse_text(const char *text, size_t n, const char *word, const char *second)
{
    char *bytes = malloc(n + 1);
    zo_csv csv;
    memcpy(bytes, text, n);
    bytes[n] = 0;
    assert_int_equal(zo_csv_parse(ctx, "t.csv", bytes, n, 0, &csv), ZO_FORMAT);
    assert_null(csv.cell);
    error_says(ctx, "t.csv", word, second, NULL);
    free(bytes);
}

static void refuses_what_is_no_table(void **state)
{
    (void)state;
    refuse_text("", 0, "empty", "");
    refuse_text("\n \r\n", 4, "empty", "");
    refuse_text("\357\273\277", 3, "empty", "");
    refuse_text("a,b\n1,2\n3,4,5\n", 14, "line 3 has 3 fields", "line 1 has 2");
    refuse_text("a,b\n\n1\n", 7, "line 3 has 1 field,", "line 1 has 2");
    refuse_text("a,b\n\"x\ny\",2\n1\n", 14, "line 4 has 1 field,", "");
    refuse_text("a,b\r\"x\ry\r\nz\",2\r1\r", 17, "line 5 has 1 field,", "");
    refuse_text("a,b\n1,\"2\n3,4\n", 13, "line 2", "never closed");
    refuse_text("a,b\n1,\"2\"x\n", 11, "line 2", "closing quote");
    refuse_text("a,b\n1,2\n3,\0\n", 12, "line 3", "0x00");
    refuse_text("a,b\n\1,2\n", 8, "line 2", "0x01");
    refuse_text("a,b\n\351t\351,2\n", 10, "line 2", "not UTF-8");
    refuse_text("\300\200,b\n", 5, "line 1", "not UTF-8");
    refuse_text("\355\240\200,b\n", 6, "line 1", "not UTF-8");
    refuse_text("\377\376a\0", 4, "UTF-16", "UTF-8");
    refuse_text("\037\213\10\0", 4, "gzip", "unpack");
    refuse_text("\211PNG\r\n\032\n", 8, "line 1", "0x89");
}

/* ---- learning from a table ---- */

static void numbers_and_texts_become_features(void **state)
{
    zo_table_settings s = settings_for("y");
    zo_raw raw = must_load(flowers, &s);
    double offset = offset_of(raw.encoder, 0);
    (void)state;
    assert_int_equal(raw.n, 12);
    assert_int_equal(raw.inputs, 4); /* x, blue, green, red */
    assert_int_equal(raw.classes, 2);
    assert_string_equal(raw.class_name[0], "no");
    assert_string_equal(raw.class_name[1], "yes");
    for (int i = 0; i < 12; i++) {
        const float *x = raw.x + 4 * i;
        assert_true(x[0] == (float)(i + 1 - offset));
        assert_true(x[1] == (float)(i % 3 == 1)); /* blue */
        assert_true(x[2] == (float)(i % 3 == 2));
        assert_true(x[3] == (float)(i % 3 == 0));
        assert_int_equal(raw.label[i], i % 2);
    }
    assert_float_equal(raw.test_share, 0.2f, 1e-7f);
    zo_raw_free(ctx, &raw);
}

static void columns_by_number_and_left_out(void **state)
{
    zo_table_settings s = settings_for("3");
    (void)state;
    strcpy(s.ignore, "x");
    zo_raw raw = must_load(flowers, &s);
    assert_int_equal(raw.inputs, 3);
    zo_raw_free(ctx, &raw);
    strcpy(s.ignore, "2");
    raw = must_load(flowers, &s);
    assert_int_equal(raw.inputs, 1);
    zo_raw_free(ctx, &raw);
}

static void headers_are_seen(void **state)
{
    zo_table_settings s = settings_for("3");
    const char *body = strchr(flowers, '\n') + 1;
    (void)state;
    zo_raw raw = must_load(body, &s); /* a number in the first row: no header */
    assert_int_equal(raw.n, 12);
    zo_raw_free(ctx, &raw);
    s.header = 1;
    assert_int_equal(load_text(ctx, body, &s, &raw), ZO_OK);
    assert_int_equal(raw.n, 11);
    zo_raw_free(ctx, &raw);

    /* all text: a header only if its words do not come again */
    s = settings_for("2");
    raw = must_load("a,b\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\n", &s);
    assert_int_equal(raw.n, 10);
    zo_raw_free(ctx, &raw);
    raw = must_load("u,w\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\nu,v\nu,w\n", &s);
    assert_int_equal(raw.n, 11);
    zo_raw_free(ctx, &raw);

    /* a label's name among numbers makes a header too; a number may be a place and does not */
    s = settings_for("y");
    raw = must_load("1998,y\n" TEN("1,2\n2,3\n"), &s);
    assert_int_equal(raw.n, 20);
    zo_raw_free(ctx, &raw);
    s = settings_for("1999");
    s.header = 1;
    raw = must_load("1998,1999\n" TEN("1,2\n2,3\n"), &s);
    assert_int_equal(raw.n, 20);
    zo_raw_free(ctx, &raw);
}

/* n rows "i,value(i)". */
static void table_of(char *out, size_t room, int n, int (*value)(int), const char *format)
{
    size_t used = (size_t)snprintf(out, room, "x,y\n");
    for (int i = 0; i < n; i++) {
        used += (size_t)snprintf(out + used, room - used, "%d,", i);
        used += (size_t)snprintf(out + used, room - used, format, value(i));
        used += (size_t)snprintf(out + used, room - used, "\n");
    }
}

static int same(int i) { return i; }

static int modulo_20(int i) { return i % 20 - 3; }

static int modulo_21(int i) { return i % 21; }

static void kind_of_label_is_found(void **state)
{
    zo_table_settings s = settings_for("y");
    char text[4000];
    (void)state;
    table_of(text, sizeof text, 60, modulo_20, "%d.0"); /* "1.0" is the class 1 */
    zo_raw raw = must_load(text, &s);
    assert_int_equal(raw.classes, 20);
    assert_string_equal(raw.class_name[0], "-3");
    assert_string_equal(raw.class_name[19], "16");
    assert_int_equal(raw.label[21], 1);
    zo_raw_free(ctx, &raw);

    table_of(text, sizeof text, 60, modulo_21, "%d");
    raw = must_load(text, &s);
    assert_int_equal(raw.classes, 0);
    assert_int_equal(raw.targets, 1);
    assert_null(raw.class_name);
    assert_true(target_at(&raw, 22) == 1);
    zo_raw_free(ctx, &raw);
    s.kind = 1;
    raw = must_load(text, &s);
    assert_int_equal(raw.classes, 21);
    zo_raw_free(ctx, &raw);

    s.kind = 0;
    table_of(text, sizeof text, 12, same, "%d.5");
    raw = must_load(text, &s);
    assert_int_equal(raw.classes, 0);
    assert_true(target_at(&raw, 3) == 3.5);
    zo_raw_free(ctx, &raw);
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"};
    zo_table_settings s = settings_for("y");
    char text[4000];
    const char *set = NULL;
    (void)state;
    for (int i = 0; i < 4 && !set; i++) set = setlocale(LC_ALL, comma[i]);
    table_of(text, sizeof text, 12, same, "%d.25");
    zo_raw raw = must_load(text, &s);
    assert_true(target_at(&raw, 7) == 7.25);
    zo_raw_free(ctx, &raw);
    setlocale(LC_ALL, "C");
    if (!set) {
        print_message("SKIPPED: no locale with a decimal comma here\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_python_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_every_line_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_and_texts_become_features, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_by_number_and_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers_are_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kind_of_label_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_do_not_depend_on_the_locale, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}

/* ARFF files: what Weka's manual says of the format, what is learned from declared types, every way a file can be wrong. */
#include "task_csv_support.h"

#include "task/arff.h"

#define HEAD "@relation r\n@attribute a numeric\n@attribute b {x,y}\n@data\n"

static void assert_table(const char *text, int64_t rows, int columns, const char *const *cell,
                         const char *types)
{
    char *bytes = copy_of(text);
    zo_csv csv;
    assert_true(zo_arff_is(bytes, strlen(text)));
    if (zo_arff_parse(ctx, "t.arff", bytes, strlen(text), &csv))
        fail_msg("%s: %s", text, zo_last_error(ctx));
    assert_int_equal(csv.rows, rows);
    assert_int_equal(csv.columns, columns);
    for (int64_t i = 0; i < rows * columns; i++) assert_string_equal(csv.cell[i], cell[i]);
    for (int c = 0; c < columns; c++)
        assert_int_equal(csv.type[c], types[c] == 'n' ? ZO_CELL_NUMBER : ZO_CELL_TEXT);
    zo_csv_free(ctx, &csv);
    free(bytes);
}

/* The example of Weka's manual (chapter "ARFF"), shortened, with its comments, capitals and spaces. */
static void reads_the_manuals_example(void **state)
{
    static const char text[] =
        "% 1. Title: Iris Plants Database\n%\n% 2. Sources:\n"
        "@RELATION iris\n\n"
        "@ATTRIBUTE sepallength  NUMERIC\n"
        "@ATTRIBUTE sepalwidth   REAL\n"
        "@ATTRIBUTE class        {Iris-setosa,Iris-versicolor,Iris-virginica}\n"
        "\n@DATA\n5.1,3.5,Iris-setosa\n4.9,3.0,Iris-virginica\n"
        "% a comment\n4.4,?,?\n";
    static const char *const cell[] = {
        "sepallength", "sepalwidth", "class",          "5.1", "3.5", "Iris-setosa",
        "4.9",         "3.0",        "Iris-virginica", "4.4", "?",   "?"};
    (void)state;
    assert_table(text, 4, 3, cell, "nnt");
}

static void quotes_spaces_and_line_ends(void **state)
{
    static const char *const cell[] = {"the first", "b",   "c",   "x y", "it's",
                                       "1e3",       "50%", "a,b", "-2"};
    static const char *const texts[] = {
        "@relation 'a b'\n@attribute 'the first' string\n@attribute b {\"it's\", 'a,b'}\n"
        "@attribute c integer\n@data\n'x y',\"it's\",1e3\n'50%','a,b',-2\n",
        "@relation r\r\n@attribute \"the first\" STRING % what it is\r\n"
        "  @attribute\tb\t{ 'it\\'s' , \"a,b\" }\r\n@attribute c real [0,1]\r\n@data\r\n"
        "  'x y' , 'it\\'s'\t1e3   % the first\r\n\r\n\"50%\"  'a,b'  -2",
        "\357\273\277\n% none\n@Relation\n@attribute 'the first' date \"yyyy-MM-dd\"\n"
        "@attribute b{\"it's\" 'a,b'}\n@attribute c numeric\n@Data\n\"x y\",'it\\'s',1e3,\n"
        "\"50\\%\",'a\\,b',-2\n"};
    (void)state;
    for (int i = 0; i < 3; i++) assert_table(texts[i], 3, 3, cell, "ttn");
}

static void tells_arff_from_csv(void **state)
{
    (void)state;
    assert_true(zo_arff_is("  % x\n\n%\n@ReLaTiOn", 19));
    assert_true(zo_arff_is("@relation'a'", 12));
    assert_false(zo_arff_is("@relatio", 8));
    assert_false(zo_arff_is("@relationship,b\n1,2\n", 20));
    assert_false(zo_arff_is("@relation,b\n1,2\n", 16));
    assert_false(zo_arff_is("a,@relation\n1,2\n", 16));
    assert_false(zo_arff_is("% only", 6));
    assert_false(zo_arff_is("", 0));
}

static void refuses_each_fault(void **state)
{
    static const struct {
        const char *text, *word, *second;
    } cases[] = {
        {HEAD "1,x\n{0 1, 1 x}\n", "line 6", "sparse rows"},
        {HEAD "1,x\n1\n", "line 6 has 1 value, where 2", "attributes"},
        {HEAD "1,x,y\n", "line 5 has 3 values", "2 attributes"},
        {HEAD "1,z\n", "line 5, attribute \"b\": \"z\" is not among", "declaration"},
        {HEAD "1,'x\n", "line 5: a quote that opens here", "close it"},
        {"@relation r\n@attribute a\n", "line 2: an attribute has no type", "NAME TYPE"},
        {"@relation r\n@attribute % a\n", "line 2: an attribute has no name", "NAME TYPE"},
        {"@relation r\n@attribute a number\n", "line 2: the type", "numeric, real"},
        {"@relation r\n@attribute a relational\n", "line 2: the type", "numeric, real"},
        {"@relation r\n@attribute a {x,y\n", "line 2: a list of values is not closed", "}"},
        {"@relation r\n@attribute a { }\n", "line 2: a list of values is empty", "expected"},
        {"@relation r\n@attribute a {x {y}\n", "line 2: a list of values is not closed", "}"},
        {"@relation r\n@attribute{a,b}\n", "line 2: an attribute has no name", "NAME TYPE"},
        {"@relation r\n@attribute a {x,y} z\n", "line 2: more follows a list of values", "}"},
        {"@relation r\n% @data\n@attribute b {v1,v2,v3,v4,v5,v6,v7,v8,v9}\n@attribute\n",
         "line 4: an attribute has no name", "NAME TYPE"},
        {"@relation r\n@atribute a real\n", "line 2: this is no line of a header", "@attribute"},
        {"@relation r\n1,2,3\n", "line 2: this is no line of a header", "@data"},
        {"@relation r\n@data\n1\n", "line 2: no attribute", "@attribute"},
        {"@relation r\n\xff\n", "line 2", "UTF-8"},
        {"@relation r\n\1\n", "line 2", "another kind of file"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bytes = copy_of(cases[i].text);
        zo_csv csv;
        assert_int_equal(zo_arff_parse(ctx, "t.arff", bytes, strlen(bytes), &csv), ZO_FORMAT);
        error_says(ctx, "t.arff", cases[i].word, cases[i].second, NULL);
        assert_null(csv.cell);
        free(bytes);
    }
}

/* Room is reckoned from the header, whose end a comment or a name may seem to be. */
static void data_may_be_named_early(void **state)
{
    static const char *const cell[] = {"@data", "b", "1", "v9"};
    (void)state;
    assert_table("@relation r\n% @data\n@attribute '@data' real\n"
                 "@attribute b {v1,v2,v3,v4,v5,v6,v7,v8,v9}\n@data\n1,v9\n",
                 2, 2, cell, "nt");
    assert_table("@relation r\n% @data\n@attribute '@data' real\n"
                 "@attribute b {v1,v2,v3,v4,v5,v6,v7,v8,v9}\n",
                 1, 2, cell, "nt");
}

/* More values than there is room for at first, of every length, in no order: each is found, and nothing between two of them. */
static void long_lists_are_searched(void **state)
{
    enum { VALUES = 5000 };
    char *text = malloc(40 * VALUES), *at = text;
    zo_csv csv;
    (void)state;
    at += sprintf(at, "@relation r\n@attribute a {b}\n@attribute c {");
    for (int i = 0; i < VALUES; i++) at += sprintf(at, "%d ", i * 1877 % VALUES * 2);
    at += sprintf(at, "}\n@data\n");
    for (int i = 0; i < VALUES; i++) at += sprintf(at, "b,%d\n", 2 * i);
    char *twice = copy_of(text);
    assert_int_equal(zo_arff_parse(ctx, "t.arff", twice, strlen(twice), &csv), ZO_OK);
    assert_int_equal(csv.rows, VALUES + 1);
    zo_csv_free(ctx, &csv);
    strcpy(at, "b,4001\n");
    assert_int_equal(zo_arff_parse(ctx, "t.arff", text, strlen(text), &csv), ZO_FORMAT);
    error_says(ctx, "\"4001\" is not among", NULL);
    free(text), free(twice);
}

/* What stands for a missing value in CSV is a value like any other where it is declared; only ? is missing. */
static void declared_values_are_not_missing(void **state)
{
    static const char text[] =
        "@relation r\n@attribute a {None,NA,null,nan}\n"
        "@attribute kind {None,some}\n@data\n" TEN("None,None\nNA,some\nnull,some\nnan,None\n");
    zo_table_settings s = settings_for("");
    zo_raw raw;
    int64_t n;
    float *x;
    int32_t *label;
    (void)state;
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    assert_int_equal(raw.inputs, 4);
    assert_int_equal(raw.classes, 2);
    for (int64_t i = 0; i < raw.n; i++) { /* ascending: NA, None, nan, null; None, some */
        static const int place[] = {1, 0, 3, 2}, of[] = {0, 1, 1, 0};
        assert_int_equal(raw.label[i], of[i % 4]);
        for (int c = 0; c < 4; c++) assert_true(raw.x[4 * i + c] == (float)(c == place[i % 4]));
    }
    static const char *const again[] = {
        text, "kind,a\n" TEN("None,None\nsome,NA\nsome,null\nNone,nan\n")};
    for (int i = 0; i < 2; i++) {
        predict(raw.encoder, again[i], &n, &x, &label);
        assert_int_equal(n, raw.n);
        assert_memory_equal(x, raw.x, (size_t)n * 4 * sizeof *x);
        assert_memory_equal(label, raw.label, (size_t)n * sizeof *label);
        zo_free(ctx, x);
        zo_free(ctx, label);
    }
    zo_raw_free(ctx, &raw);
    char missing[sizeof text + 16];
    snprintf(missing, sizeof missing, "%s?,some\n", text);
    assert_int_equal(load_text(ctx, missing, &s, &raw), ZO_FORMAT);
    error_says(ctx, "line 45", "missing=impute", NULL);
    zo_raw_free(ctx, &raw);
}

/* The last attribute is the label; nominal ones are texts though they look like numbers, and numeric ones are quantities though they have
 * few values. */
static void declared_types_decide(void **state)
{
    static const char text[] = "@relation r\n@attribute size {1,2}\n@attribute w numeric\n"
                               "@attribute kind {0,1}\n@data\n" TEN("1,5,0\n2,7,1\n");
    zo_table_settings s = settings_for("");
    zo_raw raw;
    (void)state;
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    assert_int_equal(raw.classes, 2);
    assert_int_equal(raw.inputs, 3); /* one for each size, and w */
    for (int64_t i = 0; i < raw.n; i++) {
        assert_int_equal(raw.label[i], i % 2);
        assert_true(raw.x[3 * i] == (float)(i % 2 == 0) && raw.x[3 * i + 1] == (float)(i % 2));
    }
    zo_raw_free(ctx, &raw);
    strcpy(s.label, "w");
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    assert_int_equal(raw.classes, 0);
    assert_int_equal(raw.targets, 1);
    assert_int_equal(raw.inputs, 4);
    zo_raw_free(ctx, &raw);
    s.kind = 1;
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    assert_int_equal(raw.classes, 2);
    zo_raw_free(ctx, &raw);
    s = settings_for("kind");
    s.kind = 2;
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_FORMAT);
    error_says(ctx, "kind", "declared as texts", NULL);
    zo_raw_free(ctx, &raw);
}

static void numbers_must_be_numbers(void **state)
{
    zo_table_settings s = settings_for("");
    zo_raw raw;
    (void)state;
    assert_int_equal(load_text(ctx, HEAD TEN("1,x\n2,y\n") "three,x\n", &s, &raw), ZO_FORMAT);
    error_says(ctx, "line 25, column \"a\": \"three\" is no number", NULL);
    zo_raw_free(ctx, &raw);
    assert_int_equal(load_text(ctx, HEAD TEN("1,x\n2,y\n") "?,x\n", &s, &raw), ZO_FORMAT);
    error_says(ctx, "line 25", "missing=impute", NULL);
    zo_raw_free(ctx, &raw);
    s.missing = 1;
    assert_int_equal(load_text(ctx, HEAD TEN("1,x\n2,y\n") "?,x\n", &s, &raw), ZO_OK);
    zo_raw_free(ctx, &raw);
}

/* Features of the file itself, and of one whose attributes come in another order, and of a CSV file. */
static void prediction_reads_it_too(void **state)
{
    static const char text[] = HEAD TEN("1,x\n2,y\n");
    static const char *const again[] = {
        text, "@relation s\n@attribute b {y,x}\n@attribute a real\n@data\n" TEN("x,1\ny,2\n"),
        "b,a\n" TEN("x,1\ny,2\n")};
    zo_table_settings s = settings_for("");
    zo_raw raw;
    (void)state;
    assert_int_equal(load_text(ctx, text, &s, &raw), ZO_OK);
    for (int i = 0; i < 3; i++) {
        int64_t n;
        float *x;
        int32_t *label;
        predict(raw.encoder, again[i], &n, &x, &label);
        assert_int_equal(n, raw.n);
        assert_memory_equal(x, raw.x, (size_t)n * sizeof *x);
        assert_memory_equal(label, raw.label, (size_t)n * sizeof *label);
        zo_free(ctx, x);
        zo_free(ctx, label);
    }
    zo_raw_free(ctx, &raw);
}

static zo_status parse_text(zo_context *c, void *arg)
{
    char *bytes = copy_of(arg);
    zo_csv csv;
    zo_status status = zo_arff_parse(c, "t.arff", bytes, strlen(bytes), &csv);
    zo_csv_free(c, &csv);
    free(bytes);
    return status;
}

static void survives_lack_of_memory(void **state)
{
    char text[] = HEAD "1,x\n2,y\n";
    (void)state;
    assert_int_equal(refuse_each(parse_text, text), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_the_manuals_example, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quotes_spaces_and_line_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_arff_from_csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_each_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_may_be_named_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_lists_are_searched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(declared_values_are_not_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(declared_types_decide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_must_be_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prediction_reads_it_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("arff", tests, NULL, NULL);
}

/* Tables: the text format, what is learned from the columns, what is refused, and prediction. */
#include "test_task_support.h"

#include <locale.h>
#include <math.h>

#include "task/encoder.h"
#include "task/table.h"

static zo_context *ctx;
static char logged[2048];

static void keep_log(void *user, zo_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static int set_up(void **state)
{
    zo_context_def def = zo_context_default_def();
    (void)state;
    logged[0] = 0;
    def.threads = 1;
    def.log = keep_log;
    return zo_context_open(&def, &ctx) != ZO_OK;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

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

#define TEN(row) row row row row row row row row row row

static zo_table_settings settings_for(const char *label)
{
    zo_table_settings s;
    const zo_task_class *class = zo_find(zo_task_classes, "csv");
    zo_params_default(class->info.params, &s);
    strcpy(s.label, label);
    return s;
}

/* Twelve rows; x of the n-th row is n, colour goes round, y is text. */
static const char flowers[] =
    "x,colour,y\n"
    "1,red,no\n2,blue,yes\n3,green,no\n4,red,yes\n5,blue,no\n6,green,yes\n"
    "7,red,no\n8,blue,yes\n9,green,no\n10,red,yes\n11,blue,no\n12,green,yes\n";

static zo_status load_text(zo_context *c, const char *text, const zo_table_settings *s, zo_raw *raw)
{
    char *bytes = copy_of(text);
    *raw = (zo_raw){0};
    zo_status status = zo_table_load(c, "t.csv", bytes, strlen(text), 1, s, raw);
    free(bytes);
    return status;
}

static zo_raw must_load(const char *text, const zo_table_settings *s)
{
    zo_raw raw;
    if (load_text(ctx, text, s, &raw)) fail_msg("%s", zo_last_error(ctx));
    return raw;
}

/* What the numbers of a column are counted from. */
static double offset_of(const char *encoder, int column)
{
    zo_encoder e;
    assert_int_equal(zo_encoder_read(ctx, encoder, &e), ZO_OK);
    double offset = e.column[column].offset;
    zo_encoder_free(ctx, &e);
    return offset;
}

/* The targets in the user's unit. */
static double target_at(const zo_raw *raw, int64_t i)
{
    return (double)raw->target[i] + raw->target_offset;
}

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

/* ---- missing values ---- */

static const char gaps[] = "w,c,y\n1,a,0\n2,,1\n,b,0\n4,a,1\nNA,b,0\n6,?,1\n"
                           "7,a,0\n8,b,1\n9,a,0\n10,b,1\nnan,a,0\n12,b,1\n13,N/A,0\n14,b,1\n";

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

static void predict(const char *encoder, const char *text, int64_t *n, float **x, int32_t **label)
{
    zo_encoder e;
    char *bytes = copy_of(text);
    if (zo_encoder_read(ctx, encoder, &e)) fail_msg("%s", zo_last_error(ctx));
    if (zo_encoder_table(ctx, &e, "p.csv", bytes, strlen(text), n, x, label))
        fail_msg("%s", zo_last_error(ctx));
    zo_encoder_free(ctx, &e);
    free(bytes);
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
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 4, &n, &x, &label), ZO_OK);
    assert_int_equal(n, 12);
    zo_free(ctx, x);
    zo_free(ctx, label);
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 5, &n, &x, &label), ZO_FORMAT);
    error_says(ctx, "4 features", "takes 5", NULL);
    assert_int_equal(zo_task_encode(ctx, NULL, path, 4, &n, &x, &label), ZO_USAGE);
    remove(path);
    assert_int_equal(zo_task_encode(ctx, raw.encoder, path, 4, &n, &x, &label), ZO_NOT_FOUND);
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
        cmocka_unit_test_setup_teardown(reads_what_python_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_every_line_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_and_texts_become_features, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_by_number_and_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers_are_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kind_of_label_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_do_not_depend_on_the_locale, set_up, tear_down),
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
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}

/* Parameter tables: what is read, what is refused and how, numbers as text. */
#include "support.h"

#include <locale.h>

#include "base/params.h"

typedef struct settings {
    int64_t size;
    double step_size;
    bool fast;
    int colour;
    char name[ZO_TEXT_MAX];
} settings;

typedef struct more {
    int64_t depth;
    double size_of_all;
} more;

static const zo_param rows[] = {
    ZO_PARAM_INT_ROW(settings, size, 8, 1, 100, "whole"),
    ZO_PARAM_REAL_ROW(settings, step_size, 0.1, 1e-6, 1e3, "real"),
    ZO_PARAM_BOOL_ROW(settings, fast, true, "yes or no"),
    ZO_PARAM_CHOICE_ROW(settings, colour, 1, "red|dark-green|blue", "one of three"),
    ZO_PARAM_TEXT_ROW(settings, name, "none", "text"),
    ZO_PARAM_END,
};
static const zo_param more_rows[] = {
    ZO_PARAM_INT_ROW(more, depth, -3, -0x1p63, 0x1p63, "any"),
    ZO_PARAM_REAL_ROW(more, size_of_all, 0, -INFINITY, INFINITY, "any"),
    ZO_PARAM_END,
};
static const zo_class_info class = {"first", "", "", ZO_USES_NOTHING, rows},
                           other = {"second", "", "", ZO_USES_NOTHING, more_rows};

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static settings s;
static more t;

/* Defaults, then these settings. */
static zo_status apply(const char *one, const char *two)
{
    const char *list[] = {one, two, NULL};
    zo_block blocks[] = {{&class, &s}, {&other, &t}};
    memset(&s, 0xa5, sizeof s);
    zo_params_default(rows, &s);
    zo_params_default(more_rows, &t);
    return zo_params_apply(ctx, one ? list : NULL, blocks, 2);
}

static void accept(const char *one, const char *two)
{
    if (apply(one, two)) fail_msg("%s: %s", one, zo_last_error(ctx));
}

static void reset(void) { assert_int_equal(apply(NULL, NULL), ZO_OK); }

/* Refused as USAGE, with one line that holds these words; nothing has changed. */
static void refuse(const char *setting, const char *says, const char *also)
{
    settings before;
    reset();
    before = s;
    assert_int_equal(apply(setting, NULL), ZO_USAGE);
    error_says(ctx, says, also, NULL);
    assert_memory_equal(&before, &s, sizeof s);
}

static void defaults_are_the_table_s(void **state)
{
    (void)state;
    reset();
    assert_int_equal(s.size, 8);
    assert_true(s.step_size == 0.1);
    assert_true(s.fast);
    assert_int_equal(s.colour, 1);
    assert_string_equal(s.name, "none");
    assert_int_equal(t.depth, -3);
}

static void values_are_read(void **state)
{
    static const char *const yes[] = {"yes", "true", "1", "on"}, *const no[] = {"no", "false", "0",
                                                                                "off"};
    char setting[32];
    (void)state;
    accept("size=1", "step_size=1e3");
    assert_int_equal(s.size, 1);
    assert_true(s.step_size == 1e3);
    accept("size=100", "step-size=.000001");
    assert_int_equal(s.size, 100);
    assert_true(s.step_size == 1e-6);
    accept("depth=-9223372036854775808", "size-of_all=-1.5e300");
    assert_true(t.depth == INT64_MIN);
    assert_true(t.size_of_all == -1.5e300);
    for (int i = 0; i < 4; i++) {
        snprintf(setting, sizeof setting, "fast=%s", no[i]);
        accept(setting, NULL);
        assert_false(s.fast);
        snprintf(setting, sizeof setting, "fast=%s", yes[i]);
        accept("fast=no", setting); /* the last one wins */
        assert_true(s.fast);
    }
    accept("colour=blue", "name=a=b c");
    assert_int_equal(s.colour, 2);
    assert_string_equal(s.name, "a=b c");
    accept("colour=dark_green", "name=");
    assert_int_equal(s.colour, 1);
    assert_string_equal(s.name, "");
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    refuse("size=0", "size=0", "1 to 100");
    refuse("size=101", "outside its range", "1 to 100");
    refuse("size=-99999999999999999999", "size=", "whole number");
    refuse("size=", "size=", "whole number");
    refuse("size=3.0", "size=3.0", "whole number");
    refuse("size=3x", "size=3x", "whole number");
    refuse("size= 3", "size=", "whole number");
    refuse("size=\t3", "size=", "whole number");
    refuse("size=0x10", "size=0x10", "whole number");
    refuse("step_size=0", "step_size=0", "1e-06 to 1000");
    refuse("step_size=1e3x", "step_size=1e3x", "a number");
    refuse("step_size=nan", "step_size=nan", "a number");
    refuse("step_size=inf", "step_size=inf", "a number");
    refuse("step_size=1e999", "step_size=1e999", "a number");
    refuse("step_size=0,5", "step_size=0,5", "a number");
    refuse("size_of_all=nan", "a number", "");
    refuse("fast=maybe", "fast=maybe", "yes or no");
    refuse("colour=bleu", "did you mean blue?", "red|dark-green|blue");
    refuse("colour=", "colour=", "red|dark-green|blue");
    refuse("colour=zzzzzz", "is not known", "red|dark-green|blue");
}

static void bad_keys_are_refused(void **state)
{
    (void)state;
    refuse("siez=3", "siez", "did you mean size?");
    refuse("stepsize=3", "stepsize", "did you mean step_size?");
    refuse("dept=3", "dept", "did you mean depth?");
    refuse("xylophone=3", "xylophone", "first, second");
    refuse("size", "key=value", "size");
    refuse("=3", "key=value", "");
    refuse("", "key=value", "");
}

static void long_texts_are_refused(void **state)
{
    char setting[ZO_TEXT_MAX + 16] = "name=";
    (void)state;
    memset(setting + 5, 'x', ZO_TEXT_MAX - 1);
    accept(setting, NULL);
    assert_int_equal(strlen(s.name), ZO_TEXT_MAX - 1);
    setting[5 + ZO_TEXT_MAX - 1] = 'x';
    refuse(setting, "name", "255");
    memset(setting, 'k', sizeof setting - 1);
    setting[ZO_TEXT_MAX] = '=';
    refuse(setting, "there is no setting", "");
}

static void settings_can_be_looked_up(void **state)
{
    static const char *const list[] = {"a-b=1", "c=2", "a_b=3", "novalue", "ab=", NULL};
    (void)state;
    assert_string_equal(zo_settings_get(list, "a_b"), "3");
    assert_string_equal(zo_settings_get(list, "a-b"), "3");
    assert_string_equal(zo_settings_get(list, "c"), "2");
    assert_string_equal(zo_settings_get(list, "ab"), "");
    assert_null(zo_settings_get(list, "a"));
    assert_null(zo_settings_get(list, "novalue"));
    assert_null(zo_settings_get(NULL, "a"));
}

static void rows_are_shown(void **state)
{
    static const char *const wanted[] = {"size=8", "step_size=0.1", "fast=yes", "colour=dark-green",
                                         "name=none"};
    char line[400], word[8];
    (void)state;
    reset();
    for (int i = 0; i < 5; i++) {
        zo_param_show(rows + i, &s, line, sizeof line);
        assert_string_equal(line, wanted[i]);
    }
    zo_param_show(rows + 3, &s, word, sizeof word);
    assert_string_equal(word, "colour=");
    assert_true(zo_choice("red|blue", 1, word, sizeof word));
    assert_string_equal(word, "blue");
    assert_false(zo_choice("red|blue", 2, word, sizeof word));
}

/* ---- spelling ---- */

static const char *candidate(const void *of, int i) { return ((const char *const *)of)[i]; }

static void nearest_words_are_found(void **state)
{
    static const char *const words[] = {"dense", "relu", "leaky-relu", "sigmoid", "step", NULL};
    static const struct {
        const char *word, *near;
    } wanted[] = {
        {"dense", "dense"},     {"denes", "dense"}, {"dens", "dense"},
        {"rleu", "relu"},       {"rel", "relu"},    {"leakyrelu", "leaky-relu"},
        {"sigmiod", "sigmoid"}, {"sig", "sigmoid"}, {"stepp", "step"},
        {"convolution", NULL},  {"x", NULL},        {"tanh", NULL},
    };
    static const char *const none[] = {NULL};
    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *near = zo_nearest(wanted[i].word, candidate, words);
        if (!wanted[i].near != !near || (near && strcmp(near, wanted[i].near)))
            fail_msg("%s: %s, not %s", wanted[i].word, near ? near : "none",
                     wanted[i].near ? wanted[i].near : "none");
    }
    assert_null(zo_nearest("dense", candidate, none));
    char *huge = malloc(10001);
    memset(huge, 'q', 10000);
    huge[10000] = 0;
    zo_nearest(huge, candidate, words); /* bounded: 63 characters count */
    free(huge);
}

static void unknown_classes_are_named(void **state)
{
    static const zo_class_info *const classes[] = {&class, &other, NULL};
    (void)state;
    assert_ptr_equal(zo_find(classes, "second"), &other);
    assert_null(zo_find(classes, "secon"));
    assert_int_equal(zo_fail_unknown(ctx, "thing", "secnd", classes), ZO_USAGE);
    error_says(ctx, "thing \"secnd\"", "did you mean second?", NULL);
    assert_int_equal(zo_fail_unknown(ctx, "thing", "zzzzzzzzz", classes), ZO_USAGE);
    error_says(ctx, "thing \"zzzzzzzzz\"", "first, second", NULL);
}

/* ---- numbers as text ---- */

static void numbers_are_read_whole(void **state)
{
    int64_t whole;
    double real;
    (void)state;
    assert_true(zo_read_int("-12", &whole) && whole == -12);
    assert_true(zo_read_int("9223372036854775807", &whole) && whole == INT64_MAX);
    assert_false(zo_read_int("9223372036854775808", &whole));
    assert_false(zo_read_int("", &whole));
    assert_false(zo_read_int("-", &whole));
    assert_false(zo_read_int("1 ", &whole));
    assert_false(zo_read_int("\n1", &whole));
    assert_true(zo_read_real("1.5garbage", 3, &real) && real == 1.5);
    assert_true(zo_read_real("-.5e-3", 6, &real) && real == -0.5e-3);
    assert_true(zo_read_real("nan", 3, &real) && isnan(real));
    assert_true(zo_read_real("-inf", 4, &real) && real < -1e308);
    static const char *const bad[] = {"",  "e5",  "1e",    "1.2.3", " 1",     "1 ",    "0x1p3",
                                      "-", "1,5", "1_000", "--1",   "nan(7)", "infin", "1e5f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (zo_read_real(bad[i], strlen(bad[i]), &real)) fail_msg("\"%s\" was read", bad[i]);
    assert_false(zo_read_real("1\0002", 3, &real));
    char digits[80];
    memset(digits, '1', sizeof digits);
    assert_false(zo_read_real(digits, sizeof digits, &real)); /* longer than any number needs */
}

static void reals_round_trip_and_are_short(void **state)
{
    uint64_t seed = 3;
    char text[32];
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = draw_bits(&seed);
        double x, back;
        memcpy(&x, &bits, sizeof x);
        if (i % 3 == 0) x = (double)(int64_t)(bits >> 40) / 1000;
        zo_write_real(x, text, sizeof text);
        back = strtod(text, NULL); /* in the C locale */
        if (isnan(x) ? strcmp(text, "nan") != 0 : memcmp(&x, &back, sizeof x) != 0)
            fail_msg("%.17g was written as %s", x, text);
        if (i % 3 == 0 && strlen(text) > 10) fail_msg("%.17g was written as %s", x, text);
    }
    static const double value[] = {0.1, -0.0, 1, 1e22, 1.0 / 3, INFINITY, -INFINITY, -NAN};
    static const char *const wanted[] = {"0.1", "-0",   "1",  "1e+22", "0.3333333333333333",
                                         "inf", "-inf", "nan"};
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        zo_write_real(value[i], text, sizeof text);
        assert_string_equal(text, wanted[i]);
    }
}

/* A locale with a decimal comma: the machine's, or one that localedef makes in `folder`. */
static const char *comma_locale(const char *folder)
{
    char command[4200];
    const char *set = setlocale(LC_ALL, "de_DE.UTF-8");
    if (set) return set;
    snprintf(command, sizeof command,
             "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1", folder);
    if (system(command)) return NULL;
    setenv("LOCPATH", folder, 1);
    set = setlocale(LC_ALL, "de_DE.UTF-8");
    unsetenv("LOCPATH");
    return set;
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    char *folder = make_folder(), text[32], shown[32];
    const char *set = comma_locale(folder);
    double real = 0;
    (void)state;
    if (!set) {
        remove_folder(folder);
        print_message("SKIPPED: no locale with a decimal comma, and localedef cannot make one\n");
        skip();
    }
    snprintf(shown, sizeof shown, "%g", 0.5);
    zo_write_real(0.1, text, sizeof text);
    bool read = zo_read_real("2.25", 4, &real);
    bool comma = zo_read_real("2,25", 4, &real);
    zo_status status = apply("step_size=0.25", NULL);
    const char *after = setlocale(LC_ALL, NULL);
    bool kept = strcmp(after, "de_DE.UTF-8") == 0;
    setlocale(LC_ALL, "C");
    remove_folder(folder);
    assert_string_equal(shown, "0,5"); /* the locale was in force */
    assert_string_equal(text, "0.1");
    assert_true(read && real == 2.25);
    assert_false(comma);
    assert_int_equal(status, ZO_OK);
    assert_true(s.step_size == 0.25);
    assert_true(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_table_s),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(settings_can_be_looked_up),
        cmocka_unit_test(rows_are_shown),
        cmocka_unit_test(nearest_words_are_found),
        cmocka_unit_test(unknown_classes_are_named),
        cmocka_unit_test(numbers_are_read_whole),
        cmocka_unit_test(reals_round_trip_and_are_short),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

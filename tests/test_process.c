/* Pools of processes: items and replies, the program and its arguments, the lives of children.
 * labels: threads */
#include "process_support.h"

#include <fcntl.h>
#include <poll.h>

#include "eval/process.h"

/* ---- items and results ---- */

static void a_thousand_items_over_four_children(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", true);
    at.def.processes = 4;
    open_pool(&at);
    evaluate(&at, MANY, items, results);
    assert_memory_equal(results, answers, sizeof results);
    assert_counts(&at, (zo_process_counts){.items = MANY, .started = 4});
    evaluate(&at, MANY, items, results);
    assert_counts(&at, (zo_process_counts){.items = 2 * MANY, .started = 4});
    close_place(&at);
}

static void a_process_for_each_item(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", false);
    open_pool(&at);
    evaluate(&at, 50, items, results);
    assert_memory_equal(results, answers, 50 * sizeof *results);
    assert_counts(&at, (zo_process_counts){.items = 50, .started = 50});
    close_place(&at);
}

static void neither_children_nor_order_change_a_result(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        for (int n = 1; n <= 5; n++) {
            place at;
            set_place(&at, "jitter", stays); /* some items take longer than those behind them */
            at.def.processes = n;
            open_pool(&at);
            evaluate(&at, 40, items, results);
            assert_memory_equal(results, answers, 40 * sizeof *results);
            close_place(&at);
        }
    }
}

static void items_stand_in_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *argument, *item;
        double answer;
    } cases[] = {
        {"{x}", "12", 25}, {"{x}{x}", "12", 2425},  {"1{x}.5", "2", 26},
        {"7", "12", 15},   {"{x}", "$(echo 3)", 1}, /* no shell: no number, as strtod() has it */
    };
    place at;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_place(&at, "argument", false);
        at.argv[2] = cases[i].argument;
        open_pool(&at);
        evaluate(&at, 1, &cases[i].item, results);
        assert_true(results[0] == cases[i].answer);
        evaluate(&at, 1, (const char *[]){"a much longer item than the one before it"}, results);
        close_place(&at);
    }
}

static void several_results_for_an_item(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        place at;
        set_place(&at, "three", stays);
        at.def.results = 3;
        open_pool(&at);
        evaluate(&at, 20, items, results);
        for (int i = 0; i < 20; i++) {
            assert_true(results[3 * i] == 0.5 && results[3 * i + 1] == -1e-3);
            assert_true(results[3 * i + 2] == answers[i]);
        }
        close_place(&at);
        set_place(&at, "three", stays); /* three where one is asked for */
        open_pool(&at);
        evaluate(&at, 1, items, results);
        assert_true(results[0] == HUGE_VAL);
        assert_int_equal(zo_process_counted(at.pool).garbage, 2);
        close_place(&at);
        set_place(&at, "json", stays);
        open_pool(&at);
        evaluate(&at, 20, items, results);
        assert_memory_equal(results, answers, 20 * sizeof *results);
        close_place(&at);
    }
}

static void no_items_are_no_work(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", true);
    open_pool(&at);
    evaluate(&at, 0, NULL, NULL);
    assert_counts(&at, (zo_process_counts){.items = 0});
    close_place(&at);
    zo_process_counts none = zo_process_counted(NULL);
    assert_int_equal(none.items, 0);
    zo_process_destroy(NULL);
}

/* ---- replies ---- */

static void lines_are_read(void **state)
{
    (void)state;
    zo_context *ctx = make_context(1, NULL, NULL);
    static const struct {
        const char *line;
        int n; /* numbers asked for; 0: one, and the line is garbage */
        double x[2];
    } cases[] = {
        {"1.5", 1, {1.5}},
        {"  -2e-3\t\r", 1, {-2e-3}},
        {"+4", 1, {4}},
        {"[7]", 1, {7}},
        {" [ 1 , 2 ] ", 2, {1, 2}},
        {"{\"loss\": 3}", 1, {3}},
        {"{\"loss\": [3]}", 1, {3}},
        {"{\"x\": {\"loss\": 1}, \"loss\": [4, 5e300]}", 2, {4, 5e300}},
        {"{\"who\": \"NaN \\\"Infinity\", \"loss\": 6}", 1, {6}},
        {"nan", 1, {NAN}},
        {"null", 1, {NAN}},
        {"inf", 1, {INFINITY}},
        {"1e999", 1, {INFINITY}},
        {"[NaN, -Infinity]", 2, {NAN, NAN}},
        {"{\"loss\": Infinity}", 1, {NAN}},
        {"[null,1]", 2, {NAN, 1}},
        {"", 0, {0}},
        {"   ", 0, {0}},
        {"[", 0, {0}},
        {"{", 0, {0}},
        {"[1NaN]", 0, {0}},
        {"1 ]", 0, {0}},
        {"{\"loss\": {}}", 0, {0}},
        {"[1] x", 0, {0}},
        {"0x1p3", 0, {0}},
        {"nan(1)", 0, {0}},
        {"1e5 2", 0, {0}},
        {"{\"Loss\": 1}", 0, {0}},
        {"[\"1\"]", 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = cases[i].n ? cases[i].n : 1;
        char line[64], why[100] = "";
        double x[2];
        size_t size = strlen(cases[i].line);
        memcpy(line, cases[i].line, size); /* no zero behind it */
        bool good = zo_reply_read(ctx, line, size, n, x, why, sizeof why);
        if (good != (cases[i].n > 0)) fail_msg("%s: %s", cases[i].line, good ? "taken" : why);
        for (int k = 0; good && k < n; k++)
            assert_true(x[k] == cases[i].x[k] || (isnan(x[k]) && isnan(cases[i].x[k])));
        assert_true(good || *why);
    }
    zo_context_destroy(ctx);
}

/* Damaged lines are read without harm, in a buffer of just their size. */
static void any_bytes_are_read_without_harm(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\": \"N\\\"aN\", \"loss\": [1, NaN, -Infinity, 2.5e-3, null]}";
    zo_context *ctx = make_context(1, NULL, NULL);
    uint64_t draws = 5;
    char why[60];
    double x[5];
    int taken = 0;
    for (int i = 0; i < 20000; i++) {
        size_t size = 1 + draw_bits(&draws) % (sizeof whole - 1);
        if (i % 2) size = sizeof whole - 1;
        char *line = malloc(size);
        assert_non_null(line);
        memcpy(line, whole, size);
        for (int k = (int)(draw_bits(&draws) % 3); k > 0; k--)
            line[draw_bits(&draws) % size] = (char)(draw_bits(&draws) >> 30);
        taken += zo_reply_read(ctx, line, size, 5, x, why, sizeof why);
        free(line);
    }
    assert_in_range(taken, 1000, 15000);
    zo_context_destroy(ctx);
}

/* ---- the program ---- */

static void fails_to_open(place *at, zo_status want, const char *word)
{
    assert_int_equal(zo_process_create(at->ctx, &at->def, &at->pool), want);
    assert_null(at->pool);
    error_says(at->ctx, word, NULL);
}

static void the_program_is_found_or_the_nearest_named(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", true);
    char near[5000];
    snprintf(near, sizeof near, "did you mean %s/simulate?", at.folder);
    put_file(in_folder(at.folder, "simulate"), "#!/bin/sh\nread x; echo 5; read x\n", 33);
    chmod(in_folder(at.folder, "simulate"), 0755);
    put_file(in_folder(at.folder, "plain"), "5", 1);
    at.argv[0] = in_folder(at.folder, "simulat");
    fails_to_open(&at, ZO_NOT_FOUND, near);
    at.argv[0] = in_folder(at.folder, "plain");
    fails_to_open(&at, ZO_NOT_FOUND, "chmod +x");
    at.argv[0] = at.folder;
    fails_to_open(&at, ZO_NOT_FOUND, "folder");
    at.argv[0] = in_folder(at.folder, "plain/simulate");
    fails_to_open(&at, ZO_NOT_FOUND, "plain/simulate");
    at.argv[0] = "simulate-of-nobody";
    fails_to_open(&at, ZO_NOT_FOUND, "no such program in the folders of PATH");
    at.argv[0] = "";
    fails_to_open(&at, ZO_USAGE, "empty");

    char *path = strdup(getenv("PATH"));
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(here >= 0 && path && !chdir(at.folder));
    at.argv[0] = "simulate";
    fails_to_open(&at, ZO_NOT_FOUND, "did you mean ./simulate?");
    char mine[5000];
    snprintf(mine, sizeof mine, "/nowhere:%s:%s", at.folder, path);
    setenv("PATH", mine, 1);
    at.argv[0] = "simulat";
    fails_to_open(&at, ZO_NOT_FOUND, "did you mean simulate?");
    at.argv[0] = "./simulate";
    open_pool(&at);
    assert_int_equal(fchdir(here), 0); /* the host goes elsewhere; the program is still found */
    evaluate(&at, 1, items, results);
    assert_true(results[0] == 5);
    zo_process_destroy(at.pool);
    at.argv[0] = "simulate";
    open_pool(&at);
    evaluate(&at, 1, items, results);
    assert_true(results[0] == 5);
    setenv("PATH", path, 1);
    free(path);
    close(here);
    close_place(&at);
}

static void wrong_definitions_are_refused(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", true);
    zo_process_def good = at.def;
    const char *none[] = {NULL};
#define REFUSED(word, ...)                                                                         \
    do {                                                                                           \
        at.def = good;                                                                             \
        __VA_ARGS__;                                                                               \
        fails_to_open(&at, ZO_USAGE, word);                                                        \
    } while (0)
    REFUSED("argv", at.def.argv = NULL);
    REFUSED("argv", at.def.argv = none);
    REFUSED("processes", at.def.processes = -1);
    REFUSED("processes", at.def.processes = 1025);
    REFUSED("results", at.def.results = 0);
    REFUSED("seconds", at.def.seconds = 0);
    REFUSED("seconds", at.def.seconds = (double)NAN);
    REFUSED("seconds", at.def.seconds_start = -1);
    REFUSED("memory", at.def.memory = 512);
    REFUSED("memory", at.def.memory = -1);
    REFUSED("output", at.def.output = -1);
    REFUSED("output", at.def.output = (1ll << 30) + 1);
    at.argv[2] = "--at={x}";
    REFUSED("argument 2", (void)0);
#undef REFUSED
    assert_int_equal(zo_process_create(at.ctx, NULL, &at.pool), ZO_USAGE);
    at.argv[2] = NULL;
    at.def = good;
    at.def.seconds = HUGE_VAL;
    open_pool(&at);
    assert_int_equal(zo_process_evaluate(at.pool, -1, items, results), ZO_USAGE);
    assert_int_equal(zo_process_evaluate(at.pool, 1, NULL, results), ZO_USAGE);
    assert_int_equal(zo_process_evaluate(at.pool, 1, items, NULL), ZO_USAGE);
    const char *bad[] = {"1", "2\n3"};
    assert_int_equal(zo_process_evaluate(at.pool, 2, bad, results), ZO_USAGE);
    error_says(at.ctx, "item 1", NULL);
    bad[1] = NULL;
    assert_int_equal(zo_process_evaluate(at.pool, 2, bad, results), ZO_USAGE);
    assert_counts(&at, (zo_process_counts){.started = 0});
    evaluate(&at, 1, items, results);
    assert_true(results[0] == answers[0]);
    close_place(&at);
}

/* ---- lives of children ---- */

static void children_serve_on_and_leave_in_peace(void **state)
{
    (void)state;
    place at;
    set_place(&at, "pid", true);
    at.def.processes = 1;
    open_pool(&at);
    evaluate(&at, 3, items, results);
    evaluate(&at, 1, items, results + 3);
    assert_all(results, 4, results[0]);
    close_place(&at);
    set_place(&at, "good", true);
    open_pool(&at);
    evaluate(&at, 1, items, results);
    zo_process_destroy(at.pool);
    at.pool = NULL;
    struct stat st;
    assert_int_equal(stat(in_folder(at.folder, "left"), &st), 0); /* it saw the end of its input */
    close_place(&at);
    set_place(&at, "stays-on", true); /* ignores both the end of its input and SIGTERM */
    open_pool(&at);
    evaluate(&at, 3, items, results);
    double before = seconds_now();
    zo_process_destroy(at.pool);
    at.pool = NULL;
    assert_true(seconds_now() - before < 10);
    close_place(&at);
}

/* What a child that grew before its limit was set still holds is seen. */
static void growth_before_the_limit_is_seen(void **state)
{
    (void)state;
    char *argv[] = {(char *)CHILD, (char *)"grown", NULL}; /* 64 MiB, then a line */
    zo_child c = {.in = -1, .out = -1, .err = -1, .handle = -1};
    assert_int_equal(zo_child_start(&c, CHILD, argv), 0);
    assert_true(zo_child_limit(&c, 1ll << 30));
    struct pollfd line = {.fd = c.out, .events = POLLIN};
    assert_int_equal(poll(&line, 1, 20000), 1);
    assert_true(zo_child_limit(&c, 1ll << 29));
    assert_false(zo_child_limit(&c, 32 << 20));
    zo_child_signal(&c, SIGKILL);
    while (!zo_child_ended(&c)) usleep(1000);
    int status = zo_child_reap(&c);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_no_child_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_items_over_four_children),
        cmocka_unit_test(a_process_for_each_item),
        cmocka_unit_test(neither_children_nor_order_change_a_result),
        cmocka_unit_test(items_stand_in_arguments),
        cmocka_unit_test(several_results_for_an_item),
        cmocka_unit_test(no_items_are_no_work),
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(any_bytes_are_read_without_harm),
        cmocka_unit_test(the_program_is_found_or_the_nearest_named),
        cmocka_unit_test(wrong_definitions_are_refused),
        cmocka_unit_test(children_serve_on_and_leave_in_peace),
        cmocka_unit_test(growth_before_the_limit_is_seen),
    };
    return cmocka_run_group_tests(tests, make_items, NULL);
}

/* Children that crash, hang, babble, eat memory or leave: each costs its item, is counted exactly, and nothing
 * stays behind. labels: threads */
#include "process_support.h"

enum { N = 6 };

/* Each of the items fails twice, for this reason. */
static void all_fail(place *at, int n, const char *const *texts, size_t cause)
{
    zo_process_counts want = {.items = n, .failed = n, .retried = n};
    open_pool(at);
    evaluate(at, n, texts, results);
    assert_all(results, n, HUGE_VAL);
    *(int64_t *)((char *)&want + cause) = 2 * n;
    if (cause != offsetof(zo_process_counts, not_started)) want.started = 2 * n;
    assert_counts(at, want);
}

#define CAUSE(name) offsetof(zo_process_counts, name)

static const struct {
    const char *mode;
    size_t stays, once; /* the cause for a child that stays, for one process an item; 0: not tried */
} bad[] = {
    {"crash-abort", CAUSE(crashed), CAUSE(crashed)},
    {"crash-segfault", CAUSE(crashed), CAUSE(crashed)},
    {"crash-exit", CAUSE(crashed), CAUSE(crashed)},
    {"silent", CAUSE(crashed), CAUSE(crashed)},
    {"half", CAUSE(crashed), CAUSE(garbage)}, /* a line needs an end only where another may follow */
    {"no-output", CAUSE(crashed), CAUSE(timed_out)},
    {"hang", CAUSE(timed_out), CAUSE(timed_out)},
    {"deaf", CAUSE(timed_out), CAUSE(timed_out)},
    {"close-input", CAUSE(crashed), 0}, /* see below for the other kind */
    {"two", CAUSE(garbage), CAUSE(garbage)},
    {"endless", CAUSE(too_much), CAUSE(too_much)},
    {"endless-lines", CAUSE(garbage), CAUSE(too_much)},
};

static void bad_children_cost_their_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int stays = 0; stays < 2; stays++) {
            size_t cause = stays ? bad[i].stays : bad[i].once;
            if (!cause) continue;
            place at;
            set_place(&at, bad[i].mode, stays);
            if (cause == CAUSE(timed_out)) at.def.seconds = 0.05, at.def.seconds_start = 0.05;
            if (!strcmp(bad[i].mode, "close-input")) at.def.processes = 1;
            all_fail(&at, N, items, cause);
            assert_int_equal(at.lines, 11);
            close_place(&at);
        }
    }
}

/* A good reply and then a bad end: one process for an item must end well, a child that stays has answered. */
static void the_status_counts_where_it_ends_the_item(void **state)
{
    (void)state;
    place at;
    set_place(&at, "answer-exit", false);
    all_fail(&at, N, items, CAUSE(crashed));
    assert_non_null(strstr(at.log[0], "status 3"));
    close_place(&at);
    set_place(&at, "answer-exit", true);
    open_pool(&at);
    evaluate(&at, 3, items, results); /* one for each child */
    assert_memory_equal(results, answers, 3 * sizeof *results);
    assert_counts(&at, (zo_process_counts){.items = 3, .started = 3});
    close_place(&at);
}

static void a_second_attempt_may_succeed(void **state)
{
    (void)state;
    const char *modes[] = {"once-abort", "once-segfault", "once-exit"};
    for (int i = 0; i < 6; i++) {
        place at;
        set_place(&at, modes[i / 2], i % 2);
        open_pool(&at);
        evaluate(&at, N, items, results);
        assert_memory_equal(results, answers, N * sizeof *results);
        zo_process_counts want = {.items = N, .retried = N, .crashed = N};
        want.started = zo_process_counted(at.pool).started; /* good ones serve on */
        assert_in_range(want.started, N, i % 2 ? N + 3 : 2 * N);
        assert_counts(&at, want);
        close_place(&at);
    }
}

static void a_hang_may_be_overcome(void **state)
{
    (void)state;
    place at;
    double result;
    set_place(&at, "hang-once", true);
    at.def.seconds = 1.5;
    at.def.seconds_start = 0;
    open_pool(&at);
    evaluate(&at, 1, items, &result);
    assert_true(result == answers[0]);
    assert_counts(&at, (zo_process_counts){.items = 1, .retried = 1, .timed_out = 1, .started = 2});
    close_place(&at);
}

/* The time to start is given once to each child, and to those that stay alone. */
static void time_to_start_is_given_once(void **state)
{
    (void)state;
    place at;
    set_place(&at, "slow-start", true); /* 0.4 s */
    at.def.seconds = 0.3;
    at.def.seconds_start = 10;
    at.def.processes = 1;
    open_pool(&at);
    evaluate(&at, 2, items, results);
    assert_memory_equal(results, answers, 2 * sizeof *results);
    assert_counts(&at, (zo_process_counts){.items = 2, .started = 1});
    close_place(&at);
    set_place(&at, "hang-second", true);
    at.def.seconds = 0.1;
    at.def.seconds_start = 60;
    at.def.processes = 1;
    open_pool(&at);
    double before = seconds_now();
    evaluate(&at, 2, items, results);
    assert_true(seconds_now() - before < 30); /* the second item did not have the minute */
    assert_memory_equal(results, answers, 2 * sizeof *results);
    assert_counts(&at, (zo_process_counts){.items = 2, .retried = 1, .timed_out = 1, .started = 2});
    close_place(&at);
}

static void whole_groups_are_killed(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        place at;
        set_place(&at, "hang-hard", stays);
        at.def.seconds = 0.3;
        at.def.seconds_start = 0;
        adopt_orphans(true);
        all_fail(&at, 1, items, CAUSE(timed_out));
        assert_killed_orphans(2);
        adopt_orphans(false);
        close_place(&at);
    }
}

/* A process that ends well ends with all it started, though that holds the pipes open. */
static void nothing_runs_on_in_the_background(void **state)
{
    (void)state;
    place at;
    double result;
    set_place(&at, "background", false);
    open_pool(&at);
    adopt_orphans(true);
    evaluate(&at, 1, items, &result);
    assert_killed_orphans(1);
    adopt_orphans(false);
    assert_true(result == answers[0]);
    assert_counts(&at, (zo_process_counts){.items = 1, .started = 1});
    close_place(&at);
}

static void garbage_is_not_taken_for_a_loss(void **state)
{
    (void)state;
    const char *texts[] = {
        "",           "hello",  "1 2",  "1,5",     "0x10",  "1.5.2",
        "[1",         "[1, 2]", "[]",   "[\"a\"]", "{}",    "{\"loss\": \"a\"}",
        "{\"loss\"}", "[1] 2",  "true", "[[1]]",   "\"1\"", "{\"loss\": 1, \"loss\": 2}",
        "1e",         "--1"};
    for (int stays = 0; stays < 2; stays++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            place at;
            set_place(&at, "echo", stays);
            all_fail(&at, 1, &texts[i], CAUSE(garbage));
            close_place(&at);
        }
    }
}

static void losses_that_are_not_finite_are_the_worst(void **state)
{
    (void)state;
    const char *texts[] = {"nan", "-inf", "Infinity", "null", "[NaN]", "{\"loss\": -Infinity}"};
    for (int stays = 0; stays < 2; stays++) {
        place at;
        set_place(&at, "echo", stays);
        open_pool(&at);
        evaluate(&at, 6, texts, results);
        assert_all(results, 6, HUGE_VAL);
        assert_counts(&at,
                      (zo_process_counts){.items = 6, .not_finite = 6, .started = stays ? 3 : 6});
        assert_int_equal(at.lines, 0);
        close_place(&at);
    }
}

/* A reply of exactly as many bytes as allowed, its line end included, and of one more. */
static void output_is_limited_to_the_byte(void **state)
{
    (void)state;
    enum { MOST = 200 };
    char fits[MOST], longer[MOST + 1];
    memset(fits, ' ', sizeof fits);
    memset(longer, ' ', sizeof longer);
    fits[0] = longer[0] = '8';
    fits[MOST - 1] = longer[MOST] = 0;
    for (int stays = 0; stays < 2; stays++) {
        place at;
        double result;
        set_place(&at, "echo", stays);
        at.def.output = MOST;
        open_pool(&at);
        evaluate(&at, 1, (const char *[]){fits}, &result);
        assert_true(result == 8);
        evaluate(&at, 1, (const char *[]){longer}, &result);
        assert_true(result == HUGE_VAL);
        assert_counts(
            &at,
            (zo_process_counts){
                .items = 2, .failed = 1, .retried = 1, .too_much = 2, .started = stays ? 2 : 3});
        close_place(&at);
    }
}

static void memory_is_limited(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        place at;
        double result;
        set_place(&at, "memory", stays);
        at.def.memory = 64 << 20;
        all_fail(&at, 2, items, CAUSE(crashed));
        assert_non_null(strstr(at.log[0], "no memory left"));
        close_place(&at);
        set_place(&at, "memory", stays); /* half a gigabyte is there for those who may have it */
        open_pool(&at);
        evaluate(&at, 1, items, &result);
        assert_true(result == answers[0]);
        close_place(&at);
        set_place(&at, "limit", stays);
        at.def.memory = 77 << 20;
        open_pool(&at);
        evaluate(&at, 1, items, &result);
        assert_true(result == 77 << 20);
        close_place(&at);
        set_place(&at, "early", stays);
        at.def.memory = 32 << 20;
        all_fail(&at, 2, items, CAUSE(crashed));
        close_place(&at);
    }
}

/* Neither side waits for the other for ever: items larger than any pipe, and a child that does not read, or that
 * writes before it reads. */
static void large_items_do_not_deadlock(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    char *text = malloc(SIZE + 1);
    double result;
    assert_non_null(text);
    memset(text, '1', SIZE);
    text[SIZE] = 0;
    for (int stays = 0; stays < 2; stays++) {
        const char *modes[] = {"length", "deaf", "chatter", "close-input"};
        for (int i = 0; i < 4; i++) {
            place at;
            set_place(&at, modes[i], stays);
            if (i) at.def.seconds = 0.2, at.def.seconds_start = 0;
            at.def.output = SIZE;
            if (i) {
                bool closed = i == 3 && stays;
                all_fail(&at, 1, (const char *[]){text},
                         i == 2 && stays ? CAUSE(garbage)
                         : closed        ? CAUSE(crashed)
                                         : CAUSE(timed_out));
            } else {
                open_pool(&at);
                evaluate(&at, 1, (const char *[]){text}, &result);
                assert_true(result == SIZE);
            }
            close_place(&at);
        }
    }
    free(text);
}

/* A process that does not care for its input is no failure: it may have the item as an argument. */
static void input_may_be_left_unread(void **state)
{
    (void)state;
    place at;
    set_place(&at, "argument", false);
    at.argv[2] = "{x}";
    open_pool(&at);
    evaluate(&at, N, items, results);
    assert_memory_equal(results, answers, N * sizeof *results);
    assert_counts(&at, (zo_process_counts){.items = N, .started = N});
    close_place(&at);
}

/* A child may leave between items, close its input, or add a line when nobody asked: another takes its place. */
static void children_that_leave_are_replaced(void **state)
{
    (void)state;
    const char *modes[] = {"leave", "one-then-close", "late"};
    for (int i = 0; i < 3; i++) {
        place at;
        double result;
        set_place(&at, modes[i], true);
        at.def.processes = 1;
        open_pool(&at);
        for (int k = 0; k < 3; k++) {
            if (k) usleep(150000); /* it has done its worst by then */
            evaluate(&at, 1, items + k, &result);
            assert_true(result == answers[k]);
        }
        assert_counts(&at, (zo_process_counts){.items = 3, .started = 3});
        assert_int_equal(
            at.lines, i == 2 ? 2 : 0); /* a late line may have spoilt replies: the user is told */
        close_place(&at);
    }
    place at;
    set_place(&at, "leave", true);
    open_pool(&at);
    evaluate(&at, N, items,
             results); /* at once: whether it has left is seen or not, the results are right */
    assert_memory_equal(results, answers, N * sizeof *results);
    assert_int_equal(zo_process_counted(at.pool).failed, 0);
    close_place(&at);
}

static void programs_that_cannot_start_cost_their_items(void **state)
{
    (void)state;
    place at;
    set_place(&at, "good", false);
    const char *script = in_folder(at.folder, "script");
    put_file(script, "echo 1\n", 7); /* without its #! line */
    chmod(script, 0755);
    at.argv[0] = script;
    all_fail(&at, N, items, CAUSE(not_started));
    assert_non_null(strstr(at.log[0], "#!/bin/sh"));
    unlink(script);
    double result = 0;
    evaluate(&at, 1, items, &result);
    assert_true(result == HUGE_VAL);
    assert_non_null(strstr(at.log[at.lines - 1], "No such file"));
    close_place(&at);

    char *text = malloc(1 << 20); /* more than the system allows for an argument */
    assert_non_null(text);
    memset(text, '1', (1 << 20) - 1);
    text[(1 << 20) - 1] = 0;
    set_place(&at, "argument", false);
    at.argv[2] = "{x}";
    all_fail(&at, 1, (const char *[]){text}, CAUSE(not_started));
    close_place(&at);
    free(text);
}

static void failures_are_logged(void **state)
{
    (void)state;
    place at;
    const char *texts[20];
    for (int i = 0; i < 20; i++) texts[i] = items[0];
    set_place(&at, "words", true);
    at.def.processes = 1;
    open_pool(&at);
    evaluate(&at, 1, texts, results);
    assert_int_equal(at.lines, 2);
    for (int i = 0; i < 2; i++) {
        assert_non_null(strstr(at.log[i], "child: item 0 failed: it ended with status 3"));
        assert_non_null(strstr(at.log[i], "\"the tank is empty\""));
    }
    assert_non_null(strstr(at.log[0], "it is tried again"));
    assert_non_null(strstr(at.log[1], "it has the worst loss"));
    at.lines = 0;
    evaluate(&at, 20, texts, results);
    assert_int_equal(at.lines, 11);
    assert_non_null(strstr(at.log[9], "further failures of this call are only counted"));
    assert_non_null(strstr(at.log[10], "20 of 20 items failed"));
    assert_non_null(strstr(at.log[10], "40 crashed"));
    close_place(&at);
    set_place(&at, "crash-segfault", false);
    open_pool(&at);
    evaluate(&at, 1, texts, results);
    assert_non_null(strstr(at.log[0], "signal 11"));
    close_place(&at);
    set_place(&at, "echo", true); /* what a child says must not reach a terminal as it is */
    open_pool(&at);
    evaluate(&at, 1, (const char *[]){"\033[31mred"}, results);
    assert_null(strchr(at.log[0], 033));
    assert_non_null(strstr(at.log[0], "red"));
    close_place(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_children_cost_their_items),
        cmocka_unit_test(the_status_counts_where_it_ends_the_item),
        cmocka_unit_test(a_second_attempt_may_succeed),
        cmocka_unit_test(a_hang_may_be_overcome),
        cmocka_unit_test(time_to_start_is_given_once),
        cmocka_unit_test(whole_groups_are_killed),
        cmocka_unit_test(nothing_runs_on_in_the_background),
        cmocka_unit_test(garbage_is_not_taken_for_a_loss),
        cmocka_unit_test(losses_that_are_not_finite_are_the_worst),
        cmocka_unit_test(output_is_limited_to_the_byte),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(large_items_do_not_deadlock),
        cmocka_unit_test(input_may_be_left_unread),
        cmocka_unit_test(children_that_leave_are_replaced),
        cmocka_unit_test(programs_that_cannot_start_cost_their_items),
        cmocka_unit_test(failures_are_logged),
    };
    return cmocka_run_group_tests(tests, make_items, NULL);
}

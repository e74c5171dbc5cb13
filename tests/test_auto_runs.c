/* Runs of auto: stopped and killed after choices they go on to the same bits, and their plan is written down whenever it changed, and only then.
 * labels: threads
 */
#include <jansson.h>

#include "resume_support.h"

static course adapting(void)
{
    course c = plain("auto", "adam");
    put_setting(&c.t, 0, "batch", "16");
    put_setting(&c.t, 1, "tolerance", "0.05");
    put_setting(&c.t, 2, "place", "outputs");
    c.epochs = 60;
    return c;
}

/* The next line of metrics.jsonl that tells of a plan: its step, and *plan, the caller's. -1: there is none. */
static int64_t next_plan(char **at, char **plan)
{
    while (**at) {
        char *end = strchr(*at, '\n');
        json_t *line = json_loadb(*at, (size_t)(end - *at), 0, NULL);
        const char *event = json_string_value(json_object_get(line, "event"));
        bool found = !strcmp(event, "plan");
        int64_t step = json_integer_value(json_object_get(line, "step"));
        *plan = found ? json_dumps(json_object_get(line, "plan"), JSON_COMPACT) : NULL;
        json_decref(line);
        *at = end + 1;
        if (found) return step;
    }
    return -1;
}

/* The plan that config.json began with. */
static char *first_plan(const char *run)
{
    json_t *config = json_load_file(in_folder(run, "config.json"), 0, NULL);
    char *plan =
        json_dumps(json_object_get(json_object_get(config, "record"), "plan"), JSON_COMPACT);
    json_decref(config);
    return plan;
}

/* Each line differs from the one before it, and comes later. Returns how many there are; *last is the last plan, the caller's. */
static int plans_of(const char *run, char **last)
{
    size_t size;
    int n = 0;
    int64_t before = 0;
    char *lines = get_file(in_folder(run, "metrics.jsonl"), &size), *at = lines, *plan;
    *last = first_plan(run);
    for (int64_t step; (step = next_plan(&at, &plan)) >= 0; n++) {
        if (step <= before || !strcmp(plan, *last))
            fail_msg("%s: step %lld after %lld: %s", run, (long long)step, (long long)before, plan);
        before = step;
        free(*last);
        *last = plan;
    }
    free(lines);
    return n;
}

static void plans_are_written_when_they_change(void **state)
{
    (void)state;
    course c = adapting();
    char run[ROOM], *last, *first;
    expect(ctx, &c, fresh(run, "plans"), ZO_OK);
    assert_true(plans_of(run, &last) > 0);
    first = first_plan(run);
    assert_non_null(strstr(first, "complete set"));
    free(first), free(last);
    course fixed = plain("nodes", "adam");
    expect(ctx, &fixed, fresh(run, "fixed"), ZO_OK);
    assert_int_equal(plans_of(run, &last), 0);
    free(last);
}

static void plans_are_written_once(void **state)
{
    (void)state;
    course c = adapting();
    char run[ROOM], *want;
    long calls;
    outcome whole = undisturbed(&c, &calls);
    expect(ctx, &c, fresh(run, "whole"), ZO_OK);
    int n = plans_of(run, &want);
    for (int k = 1; k < 8; k++) {
        char stopped[ROOM], killed[ROOM], *last;
        interrupt(&c, fresh(stopped, "stopped"), NULL, k % 3, calls * k / 8,
                  fresh(killed, "killed"));
        const char *const runs[] = {stopped, killed};
        for (int i = 0; i < 2; i++) {
            outcome got = resume_as(ctx, &c, runs[i], ZO_OK);
            assert_same_outcome(&got, &whole, runs[i]);
            assert_int_equal(plans_of(runs[i], &last), n);
            assert_string_equal(last, want);
            free(last), free(got.params);
            verify_fine(&c, runs[i], from_losses(&c));
        }
    }
    free(want), free(whole.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_written_when_they_change),
        cmocka_unit_test(plans_are_written_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

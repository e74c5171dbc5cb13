/* Resumed runs and their files: damaged states, cut journals, changed definitions, runs that are done, busy, or not there.
 * (That undamaged ones come to the same bits: test_resume.c.)
 */
#include "resume_support.h"

#include <jansson.h>

#include "journal_support.h"

/* ---- what a run that was disturbed is put to ---- */

static void check_goes_on(const course *c, const char *run, const outcome *want, const char *what)
{
    said = (book){.warnings = 0};
    outcome got = resume_as(ctx, c, run, ZO_OK);
    assert_same_outcome(&got, want, what);
    free(got.params);
}

static void flip(const char *path, size_t at)
{
    size_t size;
    char *bytes = get_file(path, &size);
    bytes[at < size ? at : size - 1] ^= 4;
    put_file(path, bytes, size);
    free(bytes);
}

static size_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (size_t)st.st_size;
}

/* Numbers of a journal's STEP entries in [from, to). */
static int64_t steps_in(const char *run)
{
    zo_survey s;
    zo_journal j = read_journal(ctx, in_folder(run, "journal"));
    assert_int_equal(zo_journal_survey(&j, &s), ZO_OK);
    zo_buffer_free(&s.recipe);
    zo_journal_close(&j);
    return s.named;
}

/* ---- damaged states ---- */

typedef enum harm { FLIPPED, CUT, EMPTIED, REMOVED, HARMS } harm;

static void do_harm(const char *path, harm h)
{
    size_t size;
    if (h == FLIPPED) flip(path, size_of(path) / 2);
    if (h == REMOVED) unlink(path);
    if (h != CUT && h != EMPTIED) return;
    char *bytes = get_file(path, &size);
    put_file(path, bytes, h == CUT ? size - 1 : 0);
    free(bytes);
}

static void damaged_states_are_passed_over(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM], run[ROOM];
        course c = plain(estimator[e], "momentum");
        outcome want = undisturbed(&c, NULL);
        killed_run(&c, killed);
        assert_true(size_of(in_folder(killed, "checkpoint")) > 0);
        assert_true(size_of(in_folder(killed, "checkpoint.previous")) > 0);
        for (int h = 0; h < HARMS; h++) {
            copy_folder(killed, fresh(run, "damaged"));
            do_harm(in_folder(run, "checkpoint"), (harm)h);
            check_goes_on(&c, run, &want, "one state damaged");
            assert_int_equal(said.warnings, h != REMOVED);
            if (h != REMOVED) assert_non_null(strstr(said.text, in_folder(run, "checkpoint: ")));
            copy_folder(killed, fresh(run, "damaged"));
            do_harm(in_folder(run, "checkpoint"), (harm)h);
            do_harm(in_folder(run, "checkpoint.previous"), (harm)h);
            check_goes_on(&c, run, &want, "both states damaged");
            copy_folder(killed, fresh(run, "damaged"));
            do_harm(in_folder(run, "checkpoint.previous"), (harm)h);
            check_goes_on(&c, run, &want, "the state before damaged");
            assert_int_equal(said.warnings, 0);
        }
        free(want.params);
    }
}

/* A run that began with another network needs it where no state is left. */
static void first_networks_are_needed_without_a_state(void **state)
{
    char killed[ROOM], run[ROOM];
    course c = plain("weights", "momentum"), without;
    (void)state;
    c.init = true;
    without = c;
    without.init = false;
    outcome want = undisturbed(&c, NULL);
    killed_run(&c, killed);
    copy_folder(killed, fresh(run, "init"));
    check_goes_on(&without, run, &want, "a first network that is gone");
    copy_folder(killed, fresh(run, "init"));
    do_harm(in_folder(run, "checkpoint"), CUT);
    check_goes_on(&without, run, &want, "the same, with the state before the last");
    copy_folder(killed, fresh(run, "init"));
    do_harm(in_folder(run, "checkpoint"), FLIPPED);
    do_harm(in_folder(run, "checkpoint.previous"), REMOVED);
    expect_resumed(ctx, &without, run, ZO_FORMAT);
    error_says(ctx, run, "another network", NULL);
    check_goes_on(&c, run, &want, "a first network that is still there");
    free(want.params);
}

/* A damaged state is not what the next one leaves behind as the one before. */
static void damaged_states_are_not_kept(void **state)
{
    char killed[ROOM], again[ROOM];
    course c = plain("weights", "momentum"), without;
    (void)state;
    c.init = true;
    without = c;
    without.init = false;
    outcome want = undisturbed(&c, NULL);
    killed_run(&c, killed);
    size_t whole = size_of(in_folder(killed, "checkpoint"));
    do_harm(in_folder(killed, "checkpoint"), CUT);
    without.resume = true;
    for (long at = 1;; at++) { /* until it has saved the state once */
        char run[ROOM];
        copy_folder(killed, fresh(run, "run"));
        interrupt(&without, run, NULL, 0, at, fresh(again, "once-more"));
        if (size_of(in_folder(again, "checkpoint")) == whole) break;
        assert_true(at < 200);
    }
    do_harm(in_folder(again, "checkpoint"), REMOVED);
    check_goes_on(&without, again, &want, "the state before the one that followed a damaged one");
    free(want.params);
}

/* What it began with is remembered also if it was resumed without that network. */
static void first_networks_are_remembered(void **state)
{
    char killed[ROOM], again[ROOM];
    course c = plain("weights", "momentum"), without;
    (void)state;
    c.init = true;
    without = c;
    without.init = false;
    without.resume = true;
    killed_run(&c, killed);
    interrupt(&without, killed, NULL, 0, 20, fresh(again, "init"));
    do_harm(in_folder(again, "checkpoint"), REMOVED);
    do_harm(in_folder(again, "checkpoint.previous"), REMOVED);
    expect_resumed(ctx, &without, again, ZO_FORMAT);
    error_says(ctx, "another network", NULL);
}

static void other_first_networks_are_refused(void **state)
{
    char killed[ROOM];
    course c = plain("weights", "momentum");
    (void)state;
    killed_run(&c, killed);
    do_harm(in_folder(killed, "checkpoint"), REMOVED);
    do_harm(in_folder(killed, "checkpoint.previous"), REMOVED);
    c.init = true; /* it began with none of the user's */
    expect_resumed(ctx, &c, killed, ZO_CHANGED);
    error_says(ctx, killed, "network", NULL);
}

/* ---- damaged journals ---- */

static void cut_file(const char *path, size_t size)
{
    assert_int_equal(truncate(path, (off_t)size), 0);
}

/* Cut anywhere, a state or none beside it: the course is the same, only that more of it is done again. */
static void cut_journals_do_not_matter(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM], run[ROOM];
        course c = plain(estimator[e], "momentum");
        outcome want = undisturbed(&c, NULL);
        killed_run(&c, killed);
        size_t size = size_of(in_folder(killed, "journal"));
        for (size_t i = 0; i <= 16; i++) {
            copy_folder(killed, fresh(run, "cut"));
            cut_file(in_folder(run, "journal"), size * i / 16 - (i == 16));
            if (i % 2) do_harm(in_folder(run, "checkpoint"), REMOVED);
            check_goes_on(&c, run, &want, "a journal that was cut");
            wipe(run);
        }
        copy_folder(killed, fresh(run, "cut"));
        unlink(in_folder(run, "journal"));
        check_goes_on(&c, run, &want, "a journal that is gone");
        wipe(killed);
        free(want.params);
    }
}

/* A saved state is not thrown away because the journal is. */
static void a_state_outlives_its_journal(void **state)
{
    char killed[ROOM];
    course c = plain("backprop", "momentum");
    (void)state;
    killed_run(&c, killed);
    unlink(in_folder(killed, "journal"));
    c.checkpoint = 1e9;
    said = (book){.warnings = 0};
    outcome got = resume_as(ctx, &c, killed, ZO_OK);
    free(got.params);
    zo_journal j = read_journal(ctx, in_folder(killed, "journal"));
    while (j.entry.type && j.entry.type != ZO_ENTRY_STEP) take(ctx, &j);
    assert_true(j.entry.step > 10 ||
                said.warnings); /* else an hour's work is done again in silence */
    zo_journal_close(&j);
}

static void strange_journals_are_refused(void **state)
{
    char killed[ROOM];
    course c = plain("nodes", "momentum");
    static journal_bytes b;
    (void)state;
    killed_run(&c, killed);
    const char *const recipe[] = {"", "[]", "{", "3", "{\"settings\":3}"};
    for (int i = 0; i < 5; i++) {
        put_start(&b);
        put_text(&b, 1, recipe[i]);
        save_bytes(&b, in_folder(killed, "journal"));
        course u = c;
        u.resume = true;
        zo_status status = go(ctx, &u, killed, NULL);
        if (status != ZO_FORMAT && status != ZO_CHANGED && (status || *recipe[i]))
            fail_msg("%s: %s", recipe[i], zo_status_name(status));
    }
}

/* Steps before the last ones are missing, as after a disk that failed for a while. */
static bool lose_some(zo_entry *e, void *user)
{
    int64_t last = *(int64_t *)user;
    if (e->type == ZO_ENTRY_STEP && e->step == last - 3) e->type = ZO_ENTRY_GAP, e->step = last - 2;
    return e->type <= ZO_ENTRY_RESUME || e->type == ZO_ENTRY_GAP || e->step < last - 5 ||
           e->step >= last - 2;
}

static void a_gap_behind_the_state_is_filled(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM];
        course c = plain(estimator[e], "momentum");
        outcome want = undisturbed(&c, NULL);
        killed_run(&c, killed);
        int64_t last = steps_in(killed);
        rewrite_journal(ctx, killed, lose_some, &last);
        check_goes_on(&c, killed, &want, "a gap behind the state");
        free(want.params);
    }
}

/* What the journal lacks before a state is told, so that nobody verifies what cannot be. */
static void what_a_cut_journal_lacks_is_told(void **state)
{
    char killed[ROOM];
    course c = plain("weights", "momentum");
    zo_verified v;
    (void)state;
    killed_run(&c, killed);
    cut_file(in_folder(killed, "journal"), size_of(in_folder(killed, "journal")) / 3);
    outcome o = resume_as(ctx, &c, killed, ZO_OK);
    free(o.params);
    assert_int_equal(zo_verify(ctx, killed, NULL, &v), ZO_UNSUPPORTED);
    error_says(ctx, killed, "gap", NULL);
    assert_int_equal(zo_seeds_save(ctx, killed, in_folder(folder, "seeds"), NULL), ZO_UNSUPPORTED);
}

/* ---- metrics ---- */

static int report_lines(const char *run, json_t **line, int most)
{
    size_t size;
    char *text = get_file(in_folder(run, "metrics.jsonl"), &size);
    int n = 0;
    assert_true(size && text[size - 1] == '\n');
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_int_equal(json_integer_value(json_object_get(o, "schema")), 1);
        if (strcmp(json_string_value(json_object_get(o, "event")), "report")) {
            json_decref(o);
            continue;
        }
        assert_true(n < most);
        line[n++] = o;
    }
    free(text);
    return n;
}

/* Each look has its one line, as in a run that was never disturbed, also where a line was torn. */
static void reports_are_neither_lost_nor_doubled(void **state)
{
    static const char *const exact[] = {"step",       "epochs",          "forwards",
                                        "train_loss", "validation_loss", "validation_accuracy",
                                        "dropped",    "progress"};
    char plainly[ROOM], killed[ROOM];
    course c = plain("weights", "momentum");
    json_t *a[100], *b[100];
    (void)state;
    outcome want = go_as(ctx, &c, fresh(plainly, "plainly"), ZO_OK);
    killed_run(&c, killed);
    FILE *f = fopen(in_folder(killed, "metrics.jsonl"), "a");
    fprintf(f, "{\"schema\":1,\"event\":\"rep");
    fclose(f);
    check_goes_on(&c, killed, &want, "a torn line");
    int n = report_lines(plainly, a, 100);
    assert_int_equal(report_lines(killed, b, 100), n);
    assert_true(n > 3);
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof exact / sizeof *exact; k++) {
            json_t *x = json_object_get(a[i], exact[k]), *y = json_object_get(b[i], exact[k]);
            if (!json_equal(x, y)) fail_msg("line %d: %s differs", i, exact[k]);
        }
        json_decref(a[i]);
        json_decref(b[i]);
    }
    free(want.params);
}

/* Only a run whose model is there is done: a model that is gone is made again. */
static void a_model_that_is_gone_is_made_again(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char run[ROOM];
        size_t n, m;
        course c = plain(estimator[e], "momentum");
        outcome want = go_as(ctx, &c, fresh(run, "model"), ZO_OK);
        char *model = get_file(in_folder(run, "model.safetensors"), &n), *again;
        unlink(in_folder(run, "model.safetensors"));
        check_goes_on(&c, run, &want, "a model that is gone");
        again = get_file(in_folder(run, "model.safetensors"), &m);
        assert_int_equal(m, n);
        assert_memory_equal(again, model, n);
        free(model);
        free(again);
        free(want.params);
    }
}

/* What a process that was killed was writing is swept away; the user's own files are not. */
static void unfinished_files_are_swept_away(void **state)
{
    char killed[ROOM];
    course c = plain("nodes", "momentum");
    (void)state;
    killed_run(&c, killed);
    const char *const name[] = {"checkpoint.tmp.4711", "model.safetensors.tmp.1", "notes.tmp.x",
                                "notes.tmp.", "tmp.3"};
    for (int i = 0; i < 5; i++) put_file(in_folder(killed, name[i]), "x", 1);
    expect_resumed(ctx, &c, killed, ZO_OK);
    for (int i = 0; i < 5; i++) {
        if ((access(in_folder(killed, name[i]), F_OK) == 0) != (i >= 2)) fail_msg("%s", name[i]);
    }
    assert_int_equal(entries(killed), 4 + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_states_are_passed_over),
        cmocka_unit_test(first_networks_are_needed_without_a_state),
        cmocka_unit_test(damaged_states_are_not_kept),
        cmocka_unit_test(first_networks_are_remembered),
        cmocka_unit_test(other_first_networks_are_refused),
        cmocka_unit_test(cut_journals_do_not_matter),
        cmocka_unit_test(a_state_outlives_its_journal),
        cmocka_unit_test(strange_journals_are_refused),
        cmocka_unit_test(a_gap_behind_the_state_is_filled),
        cmocka_unit_test(what_a_cut_journal_lacks_is_told),
        cmocka_unit_test(reports_are_neither_lost_nor_doubled),
        cmocka_unit_test(a_model_that_is_gone_is_made_again),
        cmocka_unit_test(unfinished_files_are_swept_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

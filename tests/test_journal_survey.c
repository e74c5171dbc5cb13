/* What a journal tells as a whole, and what it says of entries that were lost while the disk failed.
 */
#include "journal_support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static zo_context *ctx;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

/* ---- as a whole ---- */

static void surveys_come_back_to_the_start(void **state)
{
    static journal_bytes b;
    const char *path = in_folder(folder, "survey-start");
    zo_survey s;
    (void)state;
    put_all_types(&b);
    save_bytes(&b, path);
    zo_journal j = read_journal(ctx, path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zo_journal_survey(&j, &s), ZO_OK);
        zo_buffer_free(&s.recipe);
        assert_int_equal(j.entry.type, ZO_ENTRY_START);
    }
    assert_int_equal(take_all(ctx, &j), b.entries);
    zo_journal_close(&j);
}

static zo_survey survey_of(const journal_bytes *b)
{
    const char *path = in_folder(folder, "survey");
    zo_survey s;
    save_bytes(b, path);
    zo_journal j = read_journal(ctx, path);
    assert_int_equal(zo_journal_survey(&j, &s), ZO_OK);
    zo_journal_close(&j);
    return s;
}

static void check_survey(const journal_bytes *b, const zo_survey *want, const char *recipe)
{
    zo_survey s = survey_of(b);
    assert_int_equal(s.recipe.size, strlen(recipe));
    if (*recipe) assert_memory_equal(s.recipe.data, recipe, strlen(recipe));
    assert_int_equal(s.named, want->named);
    assert_int_equal(s.done, want->done);
    assert_int_equal(s.resumed, want->resumed);
    assert_int_equal(s.forced, want->forced);
    assert_int_equal(s.gap, want->gap);
    assert_int_equal(s.ended, want->ended);
    if (want->ended) assert_int_equal(s.end, want->end);
    assert_int_equal(s.looked, want->looked);
    if (want->looked) assert_true(s.loss == want->loss && s.accuracy == want->accuracy);
    assert_true(s.seconds == want->seconds);
    zo_buffer_free(&s.recipe);
}

/* What each further entry of a run's life changes. */
static void surveys_tell_how_a_run_stands(void **state)
{
    static journal_bytes b;
    zo_survey w = {.forced = -1, .gap = -1};
    const char *one = "{\"seed\":\"1\"}", *two = "{\"seed\":\"1\",\"forced\":\"the data\"}";
    (void)state;
    put_start(&b);
    check_survey(&b, &w, "");
    put_text(&b, 1, one);
    put_numbers(&b, 5, 0, (double[]){1, 0.5}, 2);
    check_survey(&b, &w, one);
    put_step(&b, 1, 0, 0.5);
    w.named = 1, w.seconds = 0.5; /* begun, not known to be done */
    check_survey(&b, &w, one);
    put_numbers(&b, 4, 1, (double[]){1, 2, 3}, 3);
    w.done = 1;
    check_survey(&b, &w, one);
    put_step(&b, 2, 0.1, 0.75);
    put_step(&b, 3, 0.2, 1);
    w.named = 3, w.done = 2, w.seconds = 1;
    check_survey(&b, &w, one);
    put_numbers(&b, 6, 2, (double[]){0.25, 0.75}, 2); /* stopped within step 3 */
    w.looked = true, w.loss = 0.25, w.accuracy = 0.75;
    check_survey(&b, &w, one);
    put_end(&b, 2, 1);
    w.ended = true, w.end = ZO_END_STOPPED;
    check_survey(&b, &w, one);
    put_text(&b, 2, one);
    w.ended = false, w.resumed = 1;
    check_survey(&b, &w, one);
    put_step(&b, 4, 0.3, 2);
    w.named = 4, w.done = 3, w.looked = false, w.seconds = 2;
    check_survey(&b, &w, one);
    put_numbers(&b, 5, 4, (double[]){0.5, 0.5}, 2);
    w.done = 4;
    check_survey(&b, &w, one);
    put_text(&b, 9, two);
    w.resumed = 2, w.forced = 4;
    check_survey(&b, &w, two);
    put_text(&b, 9, two); /* the first that was forced counts */
    put_numbers(&b, 7, 8, NULL, 0);
    put_numbers(&b, 7, 9, NULL, 0);
    w.resumed = 3, w.gap = 8;
    check_survey(&b, &w, two);
    put_step(&b, 9, 0.9, 3);
    put_end(&b, 9, 0);
    w.named = w.done = 9, w.ended = true, w.end = ZO_END_DONE, w.seconds = 3;
    check_survey(&b, &w, two);
    put_end(&b, 9, 2);
    w.end = ZO_END_DIVERGED;
    check_survey(&b, &w, two);
}

/* ---- a disk that fails for long ---- */

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* Steps with losses of about a megabyte while nothing can be written, and some more when it can be again. */
static int lose_entries(const char *path, int *fine)
{
    static double value[20000];
    int step = 1;
    signal(SIGXFSZ, SIG_IGN);
    zo_journal j = write_journal(ctx, path, sizeof value + 8);
    zo_journal_turn(&j);
    zo_journal_add_text(&j, ZO_ENTRY_START, "{}", 2);
    zo_journal_push(&j);
    limit_files(100);
    for (; step <= 20; step++) {
        value[0] = step;
        zo_journal_add_step(&j, step, 0.01 * step, step);
        zo_journal_push(&j);
        zo_journal_add_losses(&j, step, value, 20000);
    }
    *fine = j.missing;
    limit_files(RLIM_INFINITY);
    for (; step <= 23; step++) {
        value[0] = step;
        zo_journal_add_step(&j, step, 0.01 * step, step);
        zo_journal_push(&j);
        zo_journal_add_losses(&j, step, value, 20000);
    }
    zo_journal_add_end(&j, 22, ZO_END_DONE);
    *fine = *fine && !j.missing && !zo_journal_sync(&j);
    return 0;
}

/* What fitted into memory is there whole and in order. A gap lies before every step whose forerunner is not, and before no other. */
static void check_loss(zo_journal *j)
{
    bool whole[25] = {true};
    int64_t step = 0, gap = 0;
    assert_int_equal(j->entry.type, ZO_ENTRY_START);
    take(ctx, j);
    for (; j->entry.type && j->entry.type != ZO_ENTRY_END; take(ctx, j)) {
        const zo_entry *e = &j->entry;
        if (e->type == ZO_ENTRY_GAP) {
            assert_int_equal(gap, 0);
            gap = e->step;
        } else if (e->type == ZO_ENTRY_STEP) {
            assert_int_equal(e->step, gap ? gap : step + 1);
            assert_int_equal(gap != 0, !whole[step] || e->step > step + 1);
            assert_true(e->a == 0.01 * (double)e->step);
            step = e->step;
            gap = 0;
        } else {
            assert_int_equal(e->type, ZO_ENTRY_LOSSES);
            assert_int_equal(e->step, step);
            assert_int_equal(e->values, 20000);
            assert_true(e->value[0] == (double)step);
            whole[step] = true;
        }
    }
    assert_int_equal(j->entry.type, ZO_ENTRY_END);
    assert_true(whole[1] && whole[2] && !whole[20] && whole[21] && whole[22] && whole[23]);
}

static void what_is_lost_is_told(void **state)
{
    const char *path = in_folder(folder, "gap");
    int status, fine = 0;
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        lose_entries(path, &fine);
        _exit(fine ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    zo_journal j = read_journal(ctx, path);
    check_loss(&j);
    zo_journal_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(surveys_come_back_to_the_start),
        cmocka_unit_test(surveys_tell_how_a_run_stands),
        cmocka_unit_test(what_is_lost_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Resumed runs and their files: damaged states, cut journals, changed definitions, runs that are done, busy, or not there.
 * (That undamaged ones come to the same bits: test_resume.c.)
 */
#include "resume_support.h"

#include <jansson.h>

#include "journal_support.h"

/* What was logged. */
typedef struct book {
    char text[2000];
    int warnings, infos;
} book;

static char *folder;
static zo_context *ctx;
static book said;

static void listen(void *user, zo_log_level level, const char *text)
{
    book *b = user;
    b->warnings += level == ZO_LOG_WARNING;
    b->infos += level == ZO_LOG_INFO;
    size_t n = strlen(b->text);
    snprintf(b->text + n, sizeof b->text - n, "%s\n", text);
}

static int set_up(void **state)
{
    (void)state;
    zo_context_def def = zo_context_default_def();
    def.threads = 2;
    def.log = listen;
    def.log_user = &said;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    folder = make_quick_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    remove_folder(folder);
    return 0;
}

static const char *fresh(char path[ROOM], const char *name) { return fresh_in(folder, path, name); }

static course plain(const char *estimator)
{
    trial t = trial_of(estimator, "momentum");
    snprintf(t.name, sizeof t.name, "%s", estimator);
    return course_of(&t);
}

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
        course c = plain(estimator[e]);
        outcome want = undisturbed(&c, NULL);
        killed_run(folder, &c, killed);
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
    course c = plain("weights"), without;
    (void)state;
    c.init = true;
    without = c;
    without.init = false;
    outcome want = undisturbed(&c, NULL);
    killed_run(folder, &c, killed);
    copy_folder(killed, fresh(run, "init"));
    check_goes_on(&without, run, &want, "a first network that is gone");
    copy_folder(killed, fresh(run, "init"));
    do_harm(in_folder(run, "checkpoint"), FLIPPED);
    do_harm(in_folder(run, "checkpoint.previous"), REMOVED);
    resume_as(ctx, &without, run, ZO_FORMAT);
    error_says(ctx, run, "another network", NULL);
    check_goes_on(&c, run, &want, "a first network that is still there");
    free(want.params);
}

/* What it began with is remembered also if it was resumed without that network. */
static void first_networks_are_remembered(void **state)
{
    char killed[ROOM], again[ROOM];
    course c = plain("weights"), without;
    (void)state;
    c.init = true;
    without = c;
    without.init = false;
    without.resume = true;
    killed_run(folder, &c, killed);
    interrupt(&without, killed, NULL, 0, 20, fresh(again, "init"));
    do_harm(in_folder(again, "checkpoint"), REMOVED);
    do_harm(in_folder(again, "checkpoint.previous"), REMOVED);
    resume_as(ctx, &without, again, ZO_FORMAT);
    error_says(ctx, "another network", NULL);
}

static void other_first_networks_are_refused(void **state)
{
    char killed[ROOM];
    course c = plain("weights");
    (void)state;
    killed_run(folder, &c, killed);
    do_harm(in_folder(killed, "checkpoint"), REMOVED);
    do_harm(in_folder(killed, "checkpoint.previous"), REMOVED);
    c.init = true; /* it began with none of the user's */
    resume_as(ctx, &c, killed, ZO_CHANGED);
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
        course c = plain(estimator[e]);
        outcome want = undisturbed(&c, NULL);
        killed_run(folder, &c, killed);
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
    course c = plain("backprop");
    (void)state;
    killed_run(folder, &c, killed);
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
    course c = plain("nodes");
    static journal_bytes b;
    (void)state;
    killed_run(folder, &c, killed);
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

/* A disk that failed for a while between the saved state and the end: steps are missing in between. */
static void a_gap_behind_the_state_is_filled(void **state)
{
    const char *const estimator[] = {"nodes", "weights"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        char killed[ROOM], path[ROOM], other[ROOM];
        course c = plain(estimator[e]);
        outcome want = undisturbed(&c, NULL);
        killed_run(folder, &c, killed);
        int64_t last = steps_in(killed);
        zo_journal from = read_journal(ctx, strcpy(path, in_folder(killed, "journal"))), to;
        to = write_journal(ctx, strcpy(other, in_folder(folder, "gap")), 4096);
        assert_int_equal(zo_journal_turn(&to), ZO_OK);
        for (; from.entry.type; take(ctx, &from)) {
            const zo_entry *x = &from.entry;
            if (x->type == ZO_ENTRY_START || x->type == ZO_ENTRY_RESUME)
                zo_journal_add_text(&to, x->type, x->data, x->size);
            if (x->type == ZO_ENTRY_STEP && x->step == last - 2) zo_journal_add_gap(&to, x->step);
            if (x->step >= last - 5 && x->step < last - 2) continue;
            if (x->type == ZO_ENTRY_STEP) zo_journal_add_step(&to, x->step, x->a, x->b);
            if (x->type == ZO_ENTRY_LOOK) zo_journal_add_look(&to, x->type, x->step, x->a, x->b);
            if (x->type == ZO_ENTRY_LOSSES)
                zo_journal_add_losses(&to, x->step, x->value, x->values);
        }
        assert_int_equal(zo_journal_sync(&to), ZO_OK);
        zo_journal_close(&from);
        zo_journal_close(&to);
        assert_int_equal(rename(other, path), 0);
        check_goes_on(&c, killed, &want, "a gap behind the state");
        free(want.params);
    }
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
    course c = plain("weights");
    json_t *a[100], *b[100];
    (void)state;
    outcome want = go_as(ctx, &c, fresh(plainly, "plainly"), ZO_OK);
    killed_run(folder, &c, killed);
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

/* What a process that was killed was writing is swept away; the user's own files are not. */
static void unfinished_files_are_swept_away(void **state)
{
    char killed[ROOM];
    course c = plain("nodes");
    (void)state;
    killed_run(folder, &c, killed);
    const char *const name[] = {"checkpoint.tmp.4711", "model.safetensors.tmp.1", "notes.tmp.x",
                                "notes.tmp.", "tmp.3"};
    for (int i = 0; i < 5; i++) put_file(in_folder(killed, name[i]), "x", 1);
    resume_as(ctx, &c, killed, ZO_OK);
    for (int i = 0; i < 5; i++) {
        if ((access(in_folder(killed, name[i]), F_OK) == 0) != (i >= 2)) fail_msg("%s", name[i]);
    }
    assert_int_equal(entries(killed), 4 + 3);
}

/* ---- runs that cannot be resumed ---- */

static void runs_that_are_done_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop");
    (void)state;
    go_as(ctx, &c, fresh(run, "done"), ZO_OK);
    resume_as(ctx, &c, run, ZO_EXISTS);
    error_says(ctx, run, "done", NULL);
    c.force = true;
    resume_as(ctx, &c, run, ZO_EXISTS);
}

static void what_holds_no_run_is_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop");
    (void)state;
    resume_as(ctx, &c, fresh(run, "nothing"), ZO_NOT_FOUND);
    error_says(ctx, run, NULL);
    assert_int_not_equal(access(run, F_OK), 0);
    assert_int_equal(mkdir(run, 0777), 0);
    resume_as(ctx, &c, run, ZO_NOT_FOUND);
    assert_int_equal(entries(run), 0);
    resume_as(ctx, &c, NULL, ZO_USAGE);
    error_says(ctx, "directory", NULL);
}

/* A second process; and a second context while the first trains. */
typedef struct rival {
    const course *c;
    const char *run;
    int tries;
} rival;

static void try_to_resume(void *user, const zo_report *report)
{
    rival *r = user;
    (void)report;
    if (r->tries++) return;
    assert_true(zo_run_busy(r->run));
    zo_context *where = make_context(1, NULL, NULL);
    resume_as(where, r->c, r->run, ZO_BUSY);
    error_says(where, r->run, "another process", NULL);
    zo_status status = go(where, r->c, r->run, NULL);
    assert_true(status == ZO_BUSY || status == ZO_EXISTS);
    zo_context_destroy(where);
}

static void runs_at_work_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("backprop");
    rival r = {&c, fresh(run, "busy"), 0};
    zo_task *task;
    zo_net *init;
    (void)state;
    assert_false(zo_run_busy(run));
    course d = c;
    zo_train_def def = plan(ctx, &d, run, &task, &init);
    def.report = try_to_resume;
    def.report_user = &r;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    assert_true(r.tries > 1);
    assert_false(zo_run_busy(run));
    zo_task_destroy(task);
    char path[ROOM], killed[ROOM];
    killed_run(folder, &c, killed);
    zo_append held;
    bool empty;
    strcpy(path, in_folder(killed, "journal"));
    assert_int_equal(zo_append_open(&held, ctx, path, false, 8, &empty), ZO_OK);
    resume_as(ctx, &c, killed, ZO_BUSY);
    zo_append_close(&held);
    resume_as(ctx, &c, killed, ZO_OK);
}

/* Stopped before it is where it was: nothing has changed, and it can be resumed. */
static void a_resumption_can_be_stopped_at_once(void **state)
{
    char killed[ROOM], before[ROOM];
    const char *const name[] = {"journal", "metrics.jsonl", "checkpoint", "checkpoint.previous"};
    course c = plain("nodes");
    (void)state;
    killed_run(folder, &c, killed);
    copy_folder(killed, fresh(before, "before"));
    zo_cancel(ctx);
    resume_as(ctx, &c, killed, ZO_CANCELLED);
    zo_cancel_clear(ctx);
    assert_int_equal(entries(killed), entries(before));
    for (int i = 0; i < 4; i++) {
        size_t n, m;
        char *a = get_file(in_folder(killed, name[i]), &n),
             *b = get_file(in_folder(before, name[i]), &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
    outcome want = undisturbed(&c, NULL);
    check_goes_on(&c, killed, &want, "after a resumption that was stopped");
    free(want.params);
}

/* ---- states on request ---- */

static void states_are_saved_on_request(void **state)
{
    char run[ROOM];
    course c = plain("backprop");
    (void)state;
    said = (book){.warnings = 0};
    zo_checkpoint(ctx);
    outcome got = go_as(ctx, &c, fresh(run, "asked"), ZO_OK);
    free(got.params);
    assert_int_equal(said.infos, 1);
    assert_non_null(strstr(said.text, "state saved after step 0"));
    assert_int_equal(said.warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_states_are_passed_over),
        cmocka_unit_test(first_networks_are_needed_without_a_state),
        cmocka_unit_test(first_networks_are_remembered),
        cmocka_unit_test(other_first_networks_are_refused),
        cmocka_unit_test(cut_journals_do_not_matter),
        cmocka_unit_test(a_state_outlives_its_journal),
        cmocka_unit_test(strange_journals_are_refused),
        cmocka_unit_test(a_gap_behind_the_state_is_filled),
        cmocka_unit_test(reports_are_neither_lost_nor_doubled),
        cmocka_unit_test(unfinished_files_are_swept_away),
        cmocka_unit_test(runs_that_are_done_are_refused),
        cmocka_unit_test(what_holds_no_run_is_refused),
        cmocka_unit_test(runs_at_work_are_refused),
        cmocka_unit_test(a_resumption_can_be_stopped_at_once),
        cmocka_unit_test(states_are_saved_on_request),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* zo_verify() finds every bit that is not what the journal leads to, and says what it cannot verify.
 */
#include "resume_support.h"

#include "journal_support.h"

/* ---- what is wrong ---- */

/* Flips the lowest bit of the byte that is `back` bytes before the end; a checkpoint's checksum is made right again. */
static void flip_back(const char *path, size_t back, bool mend)
{
    size_t size;
    char *data = get_file(path, &size);
    assert_true(back <= size);
    data[size - back] ^= 1;
    uint64_t sum = XXH3_64bits(data, size - 8);
    if (mend) memcpy(data + size - 8, &sum, 8);
    put_file(path, data, size);
    free(data);
}

static void a_flipped_bit_of_the_model_is_found(void **state)
{
    char run[ROOM];
    (void)state;
    for (int i = 0; i < 2; i++) {
        course c = plain(i ? "weights" : "backprop", "adam");
        outcome o = go_as(ctx, &c, fresh(run, "model"), ZO_OK);
        const char *model = in_folder(run, "model.safetensors");
        for (int64_t k = 1; k <= 5; k++) {
            flip_back(model, (size_t)(20 * k), false);
            zo_verified v = verify(&c, run, i, ZO_OK);
            assert_int_equal(v.different, k);
            assert_int_equal(v.numbers, o.n);
        }
        free(o.params);
    }
}

/* A state is the sum of its parts: the kept network, the present one, what adam remembers, and where the run stands. */
static void a_flipped_bit_of_the_state_is_found(void **state)
{
    char run[ROOM], copy[ROOM];
    long calls;
    course c = plain("weights", "adam");
    (void)state;
    outcome o = undisturbed(&c, &calls);
    size_t net = o.n * sizeof(float), all = 24 + 3 * net; /* of a trainer */
    const struct {
        size_t back;
        int64_t different;
    } places[] = {
        {8 + 4, 1},                        /* of what it would go back to */
        {8 + all + 4, 1},                  /* adam's second memory: of the state as a whole */
        {8 + all + net + 4, 1},            /* its first */
        {8 + all + 2 * net + 4, 2},        /* a parameter, and so the state as well */
        {8 + all + all + 4, 1},            /* the kept network */
        {8 + all + all + net + 5 * 8, 1},  /* where the run stands: its best loss */
        {8 + all + all + net + 15 * 8, 1}, /* whether anything is kept */
    };
    interrupt(&c, fresh(run, "state"), NULL, 1, calls / 2, NULL);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        copy_folder(run, fresh(copy, "state"));
        flip_back(in_folder(copy, "checkpoint"), places[i].back, true);
        zo_verified v = verify(&c, copy, true, ZO_OK);
        if (v.different != places[i].different)
            fail_msg("place %zu: %d differ, not %d", i, (int)v.different, (int)places[i].different);
        flip_back(in_folder(copy, "checkpoint"), places[i].back, false); /* damaged, not changed */
        flip_back(in_folder(copy, "checkpoint"), places[i].back + 4, false);
        verify(&c, copy, true, ZO_FORMAT);
    }
    free(o.params);
}

/* The n-th entry of a type is changed, or left out. */
typedef struct edition {
    zo_entry_type type;
    int n;
    bool (*edit)(zo_entry *e);
} edition;

static bool edit_one(zo_entry *e, void *user)
{
    edition *of = user;
    return e->type != of->type || of->n-- != 0 || of->edit(e);
}

static void edit_journal(const char *run, zo_entry_type type, int n, bool (*edit)(zo_entry *e))
{
    edition of = {type, n, edit};
    rewrite_journal(ctx, run, edit_one, &of);
    assert_true(of.n < 0);
}

static bool leave_out(zo_entry *e)
{
    (void)e;
    return false;
}

static bool change_progress(zo_entry *e)
{
    e->a = e->a * 0.875 + 0.0625;
    return true;
}

static bool change_losses(zo_entry *e)
{
    double *value = (double *)e->value; /* in the journal's own buffer */
    for (size_t i = 2; i < e->values; i++) value[i] = value[e->values - 1] + (double)i;
    return true;
}

static bool too_few_losses(zo_entry *e)
{
    e->values--;
    return true;
}

static bool worst_loss(zo_entry *e)
{
    e->a = 1e9;
    return true;
}

static bool add_gap(zo_entry *e)
{
    e->type = ZO_ENTRY_GAP;
    return true;
}

static bool force(zo_entry *e)
{
    e->type = ZO_ENTRY_FORCE;
    return true;
}

static bool other_version(zo_entry *e)
{
    static char text[8192];
    memcpy(text, e->data, e->size);
    char *at = strstr(text, "\"version\":\"");
    assert_non_null(at);
    at[strlen("\"version\":\"")]++;
    e->data = text;
    return true;
}

/* Journals that say something else than what was done: the model is another one, or cannot be made. */
static void journals_that_lie_are_found_out(void **state)
{
    static const struct {
        zo_entry_type type;
        int n;
        bool (*edit)(zo_entry *);
        zo_status want;
        const char *says;
    } lies[] = {
        {ZO_ENTRY_STEP, 10, change_progress, ZO_OK, NULL},
        {ZO_ENTRY_LOSSES, 10, change_losses, ZO_OK, NULL},
        {ZO_ENTRY_LOSSES, 10, too_few_losses, ZO_FORMAT, "losses"},
        {ZO_ENTRY_LOSSES, 10, leave_out, ZO_FORMAT, "step 11"},
        {ZO_ENTRY_STEP, 10, leave_out, ZO_FORMAT, "step 11"},
        {ZO_ENTRY_STEP, 10, add_gap, ZO_UNSUPPORTED, "step 11"},
        {ZO_ENTRY_RESUME, 0, force, ZO_UNSUPPORTED, "force"},
        {ZO_ENTRY_RESUME, 0, other_version, ZO_CHANGED, "zeroth"},
        {ZO_ENTRY_END, 1, leave_out, ZO_NOT_FOUND, "model"}, /* it may be an earlier one */
    };
    char run[ROOM], copy[ROOM];
    long calls;
    course c = plain("weights", "adam");
    (void)state;
    outcome o = undisturbed(&c, &calls);
    free(o.params);
    interrupt(&c, fresh(run, "lies"), NULL, 1, calls / 2, NULL);
    o = resume_as(ctx, &c, run, ZO_OK);
    free(o.params);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        copy_folder(run, fresh(copy, "lies"));
        edit_journal(copy, lies[i].type, lies[i].n, lies[i].edit);
        zo_verified v = verify(&c, copy, true, lies[i].want);
        if (!lies[i].want && !v.different) fail_msg("lie %zu is believed", i);
        if (lies[i].says) error_says(ctx, lies[i].says, NULL);
    }
}

/* Which network was kept follows from the looks: one that says another loss leads to another model. */
static void looks_that_lie_are_found_out(void **state)
{
    char run[ROOM];
    course c = plain("backprop", "adam");
    (void)state;
    c.t.task = "plane";
    outcome o = go_as(ctx, &c, fresh(run, "looks"), ZO_OK);
    free(o.params);
    verify_fine(&c, run, false);
    edit_journal(run, ZO_ENTRY_LAST_LOOK, 0, worst_loss); /* the model is that of the last look */
    assert_true(verify(&c, run, false, ZO_OK).different > 0);
}

static void other_data_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("nodes", "adam"), other = c;
    (void)state;
    expect(ctx, &c, fresh(run, "data"), ZO_OK);
    other.data = "n=131";
    verify(&other, run, false, ZO_CHANGED);
    error_says(ctx, run, "data", NULL);
    other.data = "validation=0.2";
    zo_verified v;
    course d = other;
    zo_task *task;
    zo_net *init;
    zo_train_def def = plan(ctx, &d, NULL, &task, &init);
    assert_int_equal(zo_verify(ctx, run, &def, &v), ZO_CHANGED);
    zo_task_destroy(task);
}

/* ---- what cannot be verified now ---- */

static void verify_at_work(void *user, const zo_report *report)
{
    zo_verified v;
    (void)report;
    zo_context *where = make_context(1, NULL, NULL);
    assert_int_equal(zo_verify(where, user, NULL, &v), ZO_BUSY);
    error_says(where, user, NULL);
    zo_context_destroy(where);
}

static void runs_at_work_are_refused(void **state)
{
    char run[ROOM];
    course c = plain("weights", "adam");
    zo_task *task;
    zo_net *init;
    zo_verified v;
    (void)state;
    zo_train_def def = plan(ctx, &c, fresh(run, "work"), &task, &init);
    def.report = verify_at_work;
    def.report_user = run;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    zo_task_destroy(task);
    zo_cancel(ctx);
    assert_int_equal(zo_verify(ctx, run, NULL, &v), ZO_CANCELLED);
    zo_cancel_clear(ctx);
    unlink(in_folder(run, "model.safetensors"));
    verify(&c, run, true, ZO_NOT_FOUND);
    unlink(in_folder(run, "journal"));
    verify(&c, run, true, ZO_NOT_FOUND);
    error_says(ctx, run, "journal", NULL);
    put_file(in_folder(run, "journal"), "", 0);
    verify(&c, run, true, ZO_FORMAT);
    assert_int_equal(zo_verify(ctx, NULL, NULL, &v), ZO_USAGE);
    assert_int_equal(zo_verify(ctx, in_folder(folder, "none"), NULL, &v), ZO_NOT_FOUND);
    assert_true(v.steps == 0 && !v.model && !v.checkpoint && isnan(v.seconds_training));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_of_the_model_is_found),
        cmocka_unit_test(a_flipped_bit_of_the_state_is_found),
        cmocka_unit_test(journals_that_lie_are_found_out),
        cmocka_unit_test(looks_that_lie_are_found_out),
        cmocka_unit_test(other_data_are_refused),
        cmocka_unit_test(runs_at_work_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

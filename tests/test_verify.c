/* zo_verify(): it finds every bit that is not what the journal leads to, and nothing where all is right; what it cannot verify it says.
 * labels: threads
 */
#include "resume_support.h"

#include "journal_support.h"

static char *folder;
static zo_context *ctx;
static int trials;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
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
    trial t = trial_of(estimator, "adam");
    snprintf(t.name, sizeof t.name, "%s", estimator);
    return course_of(&t);
}

/* Verifies with the course's task, loss and first network; `bare`: with nothing. */
static zo_verified verify(const course *like, const char *run, bool bare, zo_status want)
{
    course c = *like;
    zo_verified v;
    zo_task *task;
    zo_net *init;
    zo_train_def def = plan(ctx, &c, NULL, &task, &init);
    def.method = "of no matter";
    def.net = NULL;
    def.seed = 12345;
    zo_status status = zo_verify(ctx, run, bare ? NULL : &def, &v);
    if (status != want)
        fail_msg("%s: %s, not %s: %s", c.t.name, zo_status_name(status), zo_status_name(want),
                 zo_last_error(ctx));
    zo_task_destroy(task);
    zo_net_destroy(init);
    return v;
}

static zo_verified verify_fine(const course *c, const char *run, bool bare)
{
    zo_verified v = verify(c, run, bare, ZO_OK);
    if (v.different) fail_msg("%s: %d numbers differ", c->t.name, (int)v.different);
    assert_true(v.numbers > 0 && v.seconds >= 0);
    return v;
}

/* ---- what is right ---- */

static bool from_losses(const course *c) { return !strncmp(c->t.method, "weights", 7); }

static void check_done(const course *c, const char *run, const outcome *o)
{
    for (int bare = 0; bare < 1 + from_losses(c); bare++) {
        zo_verified v = verify_fine(c, run, bare);
        assert_int_equal(v.steps, o->r.steps);
        assert_int_equal(v.from_losses, from_losses(c) ? o->r.steps : 0);
        assert_true(v.model && !v.checkpoint);
        assert_int_equal(v.numbers, o->n);
        assert_true(v.seconds_training > 0 && v.seconds_training <= o->r.seconds_training);
    }
    if (from_losses(c)) return;
    verify(c, run, true, ZO_USAGE);
    error_says(ctx, run, "task", NULL);
}

/* Done, stopped, killed, and done after that. */
static void is_verified(const course *c)
{
    char done[ROOM], stopped[ROOM], killed[ROOM];
    long calls;
    outcome o = go_as(ctx, c, fresh(done, "done"), ZO_OK), again;
    check_done(c, done, &o);
    again = undisturbed(c, &calls);
    free(again.params);
    for (int i = 1; i <= 3; i++) {
        interrupt(c, fresh(stopped, "stopped"), NULL, i % 3, calls * i / 4, fresh(killed, "killed"));
        zo_verified v = verify_fine(c, stopped, from_losses(c));
        assert_true(v.model && v.checkpoint);
        assert_true(v.numbers > (int64_t)(3 * o.n));
        if (i % 3) { /* else there is nothing to compare with */
            v = verify_fine(c, killed, from_losses(c));
            assert_true(v.checkpoint && !v.model && v.steps < o.r.steps);
        } else {
            verify(c, killed, false, ZO_NOT_FOUND);
        }
        again = resume_as(ctx, c, stopped, ZO_OK);
        check_done(c, stopped, &again);
        free(again.params);
        again = resume_as(ctx, c, killed, ZO_OK);
        check_done(c, killed, &again);
        free(again.params);
        wipe(stopped);
        wipe(killed);
    }
    free(o.params);
    wipe(done);
    trials++;
}

static void rules_are_verified(trial *t)
{
    for (int regression = 0; regression < 2; regression++) {
        trial u = *t;
        u.regression = regression;
        course c = course_of(&u);
        is_verified(&c);
    }
}

static void choices_are_verified(trial *t)
{
    course c = course_of(t);
    is_verified(&c);
}

static void every_run_is_verified(void **state)
{
    (void)state;
    trials = 0;
    each_rule(rules_are_verified);
    each_choice(choices_are_verified);
    assert_true(trials >= 28);
}

/* Half the squared distance to one-hot, `user` times, and not finite where the outputs' bits say so. */
static void own_loss(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target, float *loss)
{
    (void)target;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) {
            float d = row[j] - (float)(label[i] == j);
            loss[i] += *(const float *)user * d * d / 2;
        }
        if (float_bits(row[0]) % 16 == 0) loss[i] = NAN;
    }
}

/* A loss of the user's own is needed for what is evaluated, and not for what is not. */
static void own_losses_are_verified(void **state)
{
    float factor[2] = {1, 1.5f};
    char run[ROOM];
    (void)state;
    for (int i = 0; i < 2; i++) {
        course c = plain(i ? "weights" : "nodes"), other;
        c.t.loss = own_loss;
        c.t.loss_user = factor;
        is_verified(&c);
        other = c;
        go_as(ctx, &c, fresh(run, "own"), ZO_OK);
        other.t.loss_user = factor + 1;
        zo_verified v = verify(&other, run, false, ZO_OK);
        assert_int_equal(v.different > 0, i == 0);
        other.t.loss = NULL;
        verify(&other, run, false, ZO_USAGE);
        error_says(ctx, "loss", NULL);
    }
}

static void first_networks_are_verified(void **state)
{
    char run[ROOM];
    (void)state;
    for (int i = 0; i < 2; i++) {
        course c = plain(i ? "weights" : "backprop"), without = c;
        c.init = true;

        outcome o = go_as(ctx, &c, fresh(run, "init"), ZO_OK);
        zo_verified v = verify_fine(&c, run, false);
        assert_true(v.model && v.steps == o.r.steps);
        verify(&without, run, false, ZO_USAGE);
        error_says(ctx, run, "network", NULL);
        verify(&without, run, true, ZO_USAGE);
        free(o.params);
    }
}

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
        course c = plain(i ? "weights" : "backprop");
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
    course c = plain("weights");
    (void)state;
    outcome o = undisturbed(&c, &calls);
    size_t net = o.n * sizeof(float);
    const struct {
        size_t back;
        int64_t different;
    } places[] = {
        {8 + 4, 1},                    /* adam's second memory: of the state as a whole */
        {8 + net + 4, 1},              /* its first */
        {8 + 2 * net + 4, 2},          /* a parameter, and so the state as well */
        {8 + 3 * net + 8 + 4, 1},      /* the kept network */
        {8 + 4 * net + 8 + 5 * 8, 1},  /* where the run stands: its best loss */
        {8 + 4 * net + 8 + 14 * 8, 1}, /* steps since the last look */
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

/* Writes the journal again, with the n-th entry of a type changed by `edit` or, if that says so, left out. */
static void edit_journal(const char *run, zo_entry_type type, int n, bool (*edit)(zo_entry *e))
{
    char path[ROOM], other[ROOM];
    bool empty;
    zo_journal to, from = read_journal(ctx, strcpy(path, in_folder(run, "journal")));
    assert_int_equal(zo_journal_open(&to, ctx, fresh(other, "edited"), true, 4096, &empty), ZO_OK);
    assert_int_equal(zo_journal_turn(&to), ZO_OK);
    for (; from.entry.type; take(ctx, &from)) {
        zo_entry e = from.entry;
        if (e.type == type && n-- == 0 && !edit(&e)) continue;
        if (e.type == ZO_ENTRY_START || e.type == ZO_ENTRY_RESUME)
            zo_journal_add_text(&to, e.type, e.data, e.size);
        if (e.type == ZO_ENTRY_STEP) zo_journal_add_step(&to, e.step, e.a, e.b);
        if (e.type == ZO_ENTRY_LOSSES) zo_journal_add_losses(&to, e.step, e.value, e.values);
        if (e.type == ZO_ENTRY_LOOK || e.type == ZO_ENTRY_LAST_LOOK)
            zo_journal_add_look(&to, e.type, e.step, e.a, e.b);
        if (e.type == ZO_ENTRY_GAP) zo_journal_add_gap(&to, e.step);
        if (e.type == ZO_ENTRY_END) zo_journal_add_end(&to, e.step, (zo_end)e.end);
    }
    assert_true(n < 0);
    assert_int_equal(zo_journal_sync(&to), ZO_OK);
    zo_journal_close(&from);
    zo_journal_close(&to);
    assert_int_equal(rename(other, path), 0);
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
    static char text[8192];
    assert_true(e->size + 32 < sizeof text);
    e->size = (size_t)snprintf(text, sizeof text, "%.*s,\"forced\":\"the data\"}", (int)e->size - 1,
                               e->data);
    e->data = text;
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
    course c = plain("weights");
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
    course c = plain("backprop");
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
    course c = plain("nodes"), other = c;
    (void)state;
    go_as(ctx, &c, fresh(run, "data"), ZO_OK);
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
    course c = plain("weights");
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
        cmocka_unit_test(every_run_is_verified),
        cmocka_unit_test(own_losses_are_verified),
        cmocka_unit_test(first_networks_are_verified),
        cmocka_unit_test(a_flipped_bit_of_the_model_is_found),
        cmocka_unit_test(a_flipped_bit_of_the_state_is_found),
        cmocka_unit_test(journals_that_lie_are_found_out),
        cmocka_unit_test(looks_that_lie_are_found_out),
        cmocka_unit_test(other_data_are_refused),
        cmocka_unit_test(runs_at_work_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

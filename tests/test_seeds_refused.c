/* Seeds files: runs that cannot be written as such, and files that cannot be read. */
#include "resume_support.h"

#include "journal_support.h"

static course small(void)
{
    trial t = trial_of("weights", "adam");
    snprintf(t.name, sizeof t.name, "weights");
    put_setting(&t, 1, "population", "6");
    return course_of(&t);
}

/* ---- what cannot be written ---- */

static void refuse(const char *run, const char *path, zo_status want, const char *says)
{
    zo_status status = zo_seeds_save(ctx, run, path, NULL);
    if (status != want) fail_msg("%s: %s: %s", run, zo_status_name(status), zo_last_error(ctx));
    if (says) error_says(ctx, says, NULL);
}

static void save_at_work(void *user, const zo_report *report)
{
    (void)report;
    zo_context *where = make_context(1, NULL, NULL);
    assert_int_equal(zo_seeds_save(where, user, in_folder(folder, "work"), NULL), ZO_BUSY);
    zo_context_destroy(where);
}

static void other_runs_are_refused(void **state)
{
    char run[ROOM], killed[ROOM], path[ROOM];
    course c = small();
    zo_task *task;
    zo_net *init;
    (void)state;
    fresh(path, "refused");
    refuse(in_folder(folder, "none"), path, ZO_NOT_FOUND, "none");
    for (int i = 0; i < 2; i++) {
        course other = c;
        snprintf(other.t.method, sizeof other.t.method, "%s", i ? "backprop" : "nodes");
        put_setting(&other.t, 1, "batch", "16");
        expect(ctx, &other, fresh(run, "other"), ZO_OK);
        refuse(run, path, ZO_UNSUPPORTED, "losses");
    }
    c.init = true;
    expect(ctx, &c, fresh(run, "init"), ZO_OK);
    refuse(run, path, ZO_UNSUPPORTED, "network");
    c.init = false;
    killed_run(&c, killed);
    refuse(killed, path, ZO_UNSUPPORTED, "ended");
    course d = c;
    zo_train_def def = plan(ctx, &d, fresh(run, "work"), &task, &init);
    def.report = save_at_work;
    def.report_user = run;
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    zo_task_destroy(task);
    assert_int_not_equal(access(path, F_OK), 0); /* none of these wrote anything */
    refuse(run, in_folder(folder, "no/where"), ZO_IO, "no/where");
    assert_int_equal(zo_seeds_save(ctx, NULL, path, NULL), ZO_USAGE);
    assert_int_equal(zo_seeds_save(ctx, run, NULL, NULL), ZO_USAGE);
    size_t size; /* a model that is not what the journal leads to */
    char *model = get_file(in_folder(run, "model.safetensors"), &size);
    model[size - 40] ^= 1;
    put_file(in_folder(run, "model.safetensors"), model, size);
    free(model);
    refuse(run, path, ZO_FORMAT, "journal");
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- what cannot be read ---- */

static void assert_refused(const char *path, size_t at)
{
    zo_net *net = (zo_net *)&net;
    zo_seeds_info info;
    zo_status status = zo_model_load(ctx, path, &net);
    if (status != ZO_FORMAT) fail_msg("byte %zu: %s", at, zo_status_name(status));
    assert_null(net);
    assert_null(strchr(zo_last_error(ctx), '\n'));
    assert_int_equal(zo_seeds_describe(ctx, path, &info), ZO_FORMAT);
    assert_int_equal(info.steps, 0);
}

static void damaged_seeds_are_refused(void **state)
{
    char run[ROOM], path[ROOM];
    course c = small();
    size_t size;
    zo_seeds_info info;
    (void)state;
    c.epochs = 2;
    expect(ctx, &c, fresh(run, "damaged"), ZO_OK);
    assert_int_equal(zo_seeds_save(ctx, run, fresh(path, "seeds"), NULL), ZO_OK);
    char *data = get_file(path, &size);
    assert_true(size > 500 && size < 5000);
    for (size_t i = 0; i < size; i++) {
        put_file(path, data, i);
        assert_refused(path, i);
        data[i] ^= (char)(1 << i % 8);
        put_file(path, data, size);
        assert_refused(path, i);
        data[i] ^= (char)(1 << i % 8);
    }
    put_file(path, data, size);
    assert_int_equal(zo_seeds_describe(ctx, path, &info), ZO_OK);
    assert_int_equal(zo_seeds_describe(ctx, in_folder(folder, "none"), &info), ZO_NOT_FOUND);
    assert_int_equal(zo_seeds_describe(ctx, in_folder(run, "model.safetensors"), &info), ZO_FORMAT);
    free(data);
}

/* Flipped and with the checksum made right: refused, unless the network is the same all the same; and never more memory than such a small
 * file is worth. */
static void mended_seeds_do_no_harm(void **state)
{
    char run[ROOM], path[ROOM];
    course c = small();
    size_t size;
    int count[ZO_CHANGED + 1] = {0};
    (void)state;
    c.epochs = 2;
    outcome want = go_as(ctx, &c, fresh(run, "mended"), ZO_OK);
    assert_int_equal(zo_seeds_save(ctx, run, fresh(path, "seeds"), NULL), ZO_OK);
    char *data = get_file(path, &size);
    zo_context_def def = zo_context_default_def();
    zo_context *where;
    def.threads = 1;
    def.memory = 32 << 20;
    assert_int_equal(zo_context_create(&def, &where), ZO_OK);
    for (size_t i = 16; i < size - 8; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            data[i] ^= (char)(1 << bit);
            uint64_t sum = XXH3_64bits(data, size - 8);
            memcpy(data + size - 8, &sum, 8);
            put_file(path, data, size);
            zo_net *net;
            zo_status status = zo_model_load(where, path, &net);
            count[status]++;
            if (!status) assert_same_floats(net->params, want.params, want.n, "mended seeds");
            zo_net_destroy(net);
            data[i] ^= (char)(1 << bit);
        }
    }
    int all = count[ZO_OK] + count[ZO_FORMAT] + count[ZO_CHANGED] + count[ZO_NO_MEMORY];
    assert_int_equal(all, 3 * (size - 24));
    assert_true(count[ZO_OK] > 10 && count[ZO_FORMAT] > 100 && count[ZO_CHANGED] > 10);
    assert_true(zo_context_memory(where) <= 32 << 20);
    zo_context_destroy(where);
    free(data);
    free(want.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_runs_are_refused),
        cmocka_unit_test(damaged_seeds_are_refused),
        cmocka_unit_test(mended_seeds_do_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

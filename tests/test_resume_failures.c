/* Memory that runs out at any allocation while a run is resumed, verified, or written and read as seeds: it is said, nothing is left behind,
 * and the run's files stay good enough to come to the right bits later.
 */
#include "resume_support.h"

/* A short run, and what it is put to. */
typedef struct victim {
    course c;
    outcome want;
    char run[ROOM], killed[ROOM], seeds[ROOM];
    long refused;
} victim;

static victim victim_of(const char *estimator)
{
    victim v = {.refused = 0};
    trial t = trial_of(estimator, "adam");
    snprintf(t.name, sizeof t.name, "%s", estimator);
    if (!strcmp(estimator, "weights")) put_setting(&t, 1, "population", "5");
    v.c = course_of(&t);
    v.c.epochs = 3;
    v.want = undisturbed(&v.c, NULL);
    outcome o = go_as(ctx, &v.c, fresh(v.run, "run"), ZO_OK);
    free(o.params);
    killed_run(&v.c, v.killed);
    fresh(v.seeds, "seeds");
    return v;
}

/* Resumes a copy; if that fails, once more with all the memory there is. */
static zo_status resume(zo_context *where, void *arg)
{
    victim *v = arg;
    char run[ROOM];
    course c = v->c;
    outcome o;
    c.resume = true;
    copy_folder(v->killed, fresh(run, "copy"));
    zo_status status = go(where, &c, run, &o);
    if (!status) {
        assert_same_outcome(&o, &v->want, "with all the memory it wants");
    } else {
        free(o.params);
        v->refused++;
        o = resume_as(ctx, &c, run, ZO_OK);
        assert_same_outcome(&o, &v->want, "after memory had run out");
    }
    free(o.params);
    wipe(run);
    return status;
}

static void resuming_survives_refused_memory(void **state)
{
    const char *const estimator[] = {"nodes", "weights", "backprop"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        victim v = victim_of(estimator[i]);
        assert_true(refuse_each(resume, &v) > 100);
        assert_true(v.refused > 100);
        free(v.want.params);
    }
}

/* ---- a single allocation that fails ---- */

typedef struct misser {
    long left; /* blocks until one is refused; < 0: none is any more */
    long live;
} misser;

static void *miss_alloc(void *user, size_t size, size_t align)
{
    misser *m = user;
    if (m->left-- == 0) return NULL;
    m->live++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void miss_free(void *user, void *ptr, size_t size)
{
    (void)size;
    ((misser *)user)->live--;
    free(ptr);
}

/* One refusal and then none: the run goes on to the right bits, or ends and does so when it is resumed. */
static void one_refusal_does_not_matter(void **state)
{
    (void)state;
    victim v = victim_of("weights");
    bool missed = true;
    long n = 0, went_on = 0;
    for (; missed; n++) {
        misser m = {.left = -1};
        zo_context *where;
        zo_context_def def = zo_context_default_def();
        def.threads = 1;
        def.allocator = (zo_allocator){miss_alloc, miss_free, &m};
        assert_int_equal(zo_context_create(&def, &where), ZO_OK);
        long before = m.live;
        m.left = n;
        zo_status status = resume(where, &v);
        missed = m.left < 0;
        went_on += missed && !status;
        if (status != ZO_OK && status != ZO_NO_MEMORY)
            fail_msg("allocation %ld: %s: %s", n, zo_status_name(status), zo_last_error(where));
        assert_int_equal(m.live, before);
        zo_context_destroy(where);
    }
    if (n < 100 || !went_on) fail_msg("%ld allocations, %ld times it went on", n, went_on);
    free(v.want.params);
}

static zo_status verify_runs(zo_context *where, void *arg)
{
    victim *v = arg;
    const char *const runs[] = {v->run, v->killed};
    zo_status status = ZO_OK;
    for (int i = 0; i < 2 && !status; i++) {
        zo_verified found;
        status = zo_verify(where, runs[i], NULL, &found);
        if (!status) assert_true(found.different == 0 && found.numbers > 0);
    }
    return status;
}

static void verifying_survives_refused_memory(void **state)
{
    (void)state;
    victim v = victim_of("weights");
    assert_true(refuse_each(verify_runs, &v) > 40);
    free(v.want.params);
}

static zo_status save_seeds(zo_context *where, void *arg)
{
    victim *v = arg;
    zo_status status = zo_seeds_save(where, v->run, v->seeds, NULL);
    if (status) assert_int_not_equal(access(v->seeds, F_OK), 0);
    return status;
}

static zo_status load_seeds(zo_context *where, void *arg)
{
    victim *v = arg;
    zo_net *net = (zo_net *)&net;
    zo_seeds_info info;
    zo_status status = zo_seeds_describe(where, v->seeds, &info);
    if (status) return status;
    status = zo_model_load(where, v->seeds, &net);
    if (status) assert_null(net);
    if (!status) assert_same_floats(net->params, v->want.params, v->want.n, "seeds");
    zo_net_destroy(net);
    return status;
}

static void seeds_survive_refused_memory(void **state)
{
    (void)state;
    victim v = victim_of("weights");
    assert_true(refuse_each(save_seeds, &v) > 40);
    assert_true(refuse_each(load_seeds, &v) > 40);
    free(v.want.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resuming_survives_refused_memory),
        cmocka_unit_test(one_refusal_does_not_matter),
        cmocka_unit_test(verifying_survives_refused_memory),
        cmocka_unit_test(seeds_survive_refused_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

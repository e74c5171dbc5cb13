/* Runs that diverge go back once, to all of the state they kept, with half the step size: to the same bits however they are stopped, killed,
 * verified and counted over threads.
 * labels: threads
 */
#include "resume_support.h"

/* ---- the trainer ---- */

/* The bytes of a trainer's state, malloc'ed. */
static char *state_of(const zo_trainer *t, size_t *size)
{
    zo_file_out f;
    *size = zo_trainer_state_size(t);
    char *bytes = malloc(*size);
    assert_non_null(bytes);
    zo_file_out_to_memory(&f, ctx, bytes);
    zo_trainer_state_add(t, &f);
    assert_int_equal(f.size, *size);
    return bytes;
}

static void take_steps(zo_trainer *t, int n)
{
    for (int i = 0; i < n; i++) assert_int_equal(zo_trainer_step(t, 0.25, NULL), ZO_OK);
}

enum { HEAD = 24 }; /* steps, steps undone, share */

/* Network, every memory of the rule and the mean are those that were kept; then each of them is changed, which must be seen. */
static void the_whole_state_comes_back(void **state)
{
    const char *const method[] = {"nodes:sgd", "nodes:adam", "weights:momentum", "lowrank:adamw",
                                  "backprop:coolmomentum"};
    (void)state;
    zo_task *task = make_task(ctx, 60, 3, 2, 2);
    zo_net *net = make_net(ctx, task, "dense4 tanh dense2", 4);
    for (int i = 0; i < 5; i++) {
        size_t size;
        int64_t head[2];
        double share;
        zo_trainer *t =
            make_trainer(ctx, task, net, method[i], 7, SETTINGS("batch=8", "average=0.5"));
        assert_int_equal(zo_trainer_keep_init(t), ZO_OK);
        take_steps(t, 3);
        zo_trainer_keep(t);
        char *kept = state_of(t, &size);
        take_steps(t, 4);
        char *later = state_of(t, &size);
        for (size_t at = HEAD; at < size; at += net->arena * sizeof(float)) /* else none is tested */
            assert_true(memcmp(kept + at, later + at, net->arena * sizeof(float)) != 0);
        assert_true(zo_trainer_go_back(t, 7));
        char *back = state_of(t, &size);
        assert_memory_equal(back + HEAD, kept + HEAD, size - HEAD);
        memcpy(head, back, sizeof head);
        memcpy(&share, back + sizeof head, sizeof share);
        assert_true(head[0] == 7 && head[1] == 4 && share == 0.5);
        free(kept), free(later), free(back);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* sgd: the step is the direction times the rate, so half of it to the bit. */
static void the_step_size_is_halved(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 60, 3, 2, 2);
    zo_net *net = make_net(ctx, task, "dense4 tanh dense2", 4);
    const char *const rate[] = {"lr=0.25", "lr=0.125"};
    zo_trainer *t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = make_trainer(ctx, task, net, "nodes:sgd", 7,
                            SETTINGS("batch=8", "schedule=constant", rate[i]));
        assert_int_equal(zo_trainer_keep_init(t[i]), ZO_OK);
        zo_trainer_keep(t[i]);
    }
    take_steps(t[0], 1); /* goes back to the start, and takes the second step from there */
    assert_true(zo_trainer_go_back(t[0], 1));
    size_t size;
    char *same = state_of(t[0], &size);
    const double share = 1;
    memcpy(same + 16, &share, sizeof share);
    zo_reader in = {same, same + size, false};
    assert_true(zo_trainer_state_take(t[1], &in));
    take_steps(t[0], 1);
    take_steps(t[1], 1);
    assert_same_floats(zo_trainer_net(t[0])->params, zo_trainer_net(t[1])->params, net->arena,
                       "lr/2");
    assert_true(memcmp(zo_trainer_net(t[0])->params, net->params, net->arena * sizeof(float)) != 0);
    free(same);
    zo_trainer_destroy(t[0]);
    zo_trainer_destroy(t[1]);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- runs ---- */

/* Half the squared error; the example whose target is *user has no loss. */
static void poisoned_loss(void *user, int n, int outputs, const float *y, int stride,
                          const int32_t *label, const float *target, float *loss)
{
    (void)label, (void)outputs;
    for (int i = 0; i < n; i++) {
        float d = y[(size_t)i * (size_t)stride] - target[i];
        loss[i] = float_bits(target[i]) == float_bits(*(float *)user) ? NAN : d * d / 2;
    }
}

/* One example a step, one of which has no loss: a pass over the data meets it once. */
static course poisoned(const char *estimator, const char *rule, float *poison)
{
    course c = plain(estimator, rule);
    c.t.task = "plane";
    c.t.loss = poisoned_loss;
    c.t.loss_user = poison;
    c.epochs = 1;
    put_setting(&c.t, 0, "batch", "1");
    put_setting(&c.t, 1, "average", "0.5");
    put_setting(&c.t, 2, "lr", "0.003");
    zo_task *task;
    zo_net *init;
    course copy = c;
    plan(ctx, &copy, NULL, &task, &init);
    *poison = task->part[ZO_TRAIN].target[70];
    zo_task_destroy(task);
    return c;
}

/* Stopped and killed before, at and after it, from states of any age: the same bits, and the journal agrees. */
static void goes_back_once(const char *estimator, const char *rule, long stride)
{
    float poison;
    char run[ROOM], killed[ROOM], what[256];
    long calls;
    course c = poisoned(estimator, rule, &poison);
    outcome want = undisturbed(&c, &calls);
    assert_int_equal(want.r.rolled_back, 1);
    assert_near(want.r.epochs, 1, 1e-9, 0, "steps that were gone back over count");
    for (long at = 2; at <= calls; at += stride) {
        snprintf(what, sizeof what, "%s at call %ld", c.t.name, at);
        c.checkpoint = at % 2 ? 1e-9 : 0;
        interrupt(&c, fresh(run, "back"), NULL, (int)(at % 3), at, fresh(killed, "back-killed"));
        if (access(killed, F_OK)) continue; /* before the run began */
        outcome got = resume_as(ctx, &c, killed, ZO_OK);
        assert_same_outcome(&got, &want, what);
        free(got.params);
        verify_fine(&c, killed, from_losses(&c));
        if (!access(in_folder(run, "checkpoint"), F_OK)) verify_fine(&c, run, from_losses(&c));
        wipe(run), wipe(killed);
    }
    free(want.params);
}

static void runs_go_back_once_and_on(void **state)
{
    (void)state;
    goes_back_once("nodes", "adam", 7);
    goes_back_once("auto", "adam", 19);
    goes_back_once("weights", "momentum", 5);
    goes_back_once("lowrank", "sgd", 19);
    goes_back_once("spsa", "sgd", 19);
    goes_back_once("coordinate", "adam", 19);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        float poison;
        course c = poisoned(i ? "weights" : "nodes", "adam", &poison);
        outcome want = undisturbed(&c, NULL);
        for (int threads = 1; threads < 4; threads++) {
            zo_context *where = make_context(threads, NULL, NULL);
            outcome got = go_as(where, &c, NULL, ZO_OK);
            assert_same_outcome(&got, &want, "threads");
            free(got.params);
            zo_context_destroy(where);
        }
        free(want.params);
    }
}

/* A second pass meets the example again. */
static void the_second_time_ends_a_run(void **state)
{
    float poison;
    char run[ROOM];
    size_t size, told = 0;
    (void)state;
    course c = poisoned("weights", "adam", &poison);
    c.epochs = 3;
    outcome o = go_as(ctx, &c, fresh(run, "twice"), ZO_DIVERGED);
    error_says(ctx, "step", "second time", run, NULL);
    assert_true(o.r.rolled_back == 1 && isfinite(o.r.validation_loss));
    for (size_t i = 0; i < o.n; i++) assert_true(isfinite(o.params[i]));
    char *lines = get_file(in_folder(run, "metrics.jsonl"), &size);
    for (const char *at = lines; (at = strstr(at, "\"rolled back\"")); at++) told++;
    assert_int_equal(told, 1);
    assert_non_null(strstr(lines, "\"state\":\"diverged\""));
    free(lines);
    verify_fine(&c, run, true);
    expect_resumed(ctx, &c, run, ZO_EXISTS);
    free(o.params);
}

/* Steps go on from where half of them is not too large. */
static void a_step_size_that_explodes_is_mended(void **state)
{
    zo_train_result r = {.steps = 0};
    bool mended = false;
    (void)state;
    for (double lr = 0.1; lr < 100 && !mended; lr *= 1.1) {
        char text[32];
        snprintf(text, sizeof text, "%g", lr);
        course c = plain("backprop", "sgd");
        c.t.task = "plane";
        c.net = "dense1";
        c.epochs = 400;
        put_setting(&c.t, 0, "batch", "200");
        put_setting(&c.t, 1, "lr", text);
        put_setting(&c.t, 2, "schedule", "constant");
        outcome o;
        mended = !go(ctx, &c, NULL, &o) && o.r.rolled_back;
        r = o.r;
        free(o.params);
    }
    assert_true(mended && r.validation_loss < 0.2);
}

/* Seeds tell of steps that all count; up to the best network they may. */
static void seeds_refuse_what_went_back(void **state)
{
    int refused = 0, written = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        float poison;
        char run[ROOM], file[ROOM];
        course c = poisoned("weights", "sgd", &poison);
        put_setting(&c.t, 2, "lr", i % 2 ? "1000" : "0.003");
        outcome o;
        zo_status ended = go(ctx, &c, fresh(run, "seeds"), &o);
        assert_true(ended == ZO_OK || (ended == ZO_DIVERGED && i == 1));
        assert_int_equal(o.r.rolled_back, 1);
        zo_status status = zo_seeds_save(ctx, run, fresh(file, "file"), NULL);
        if (status) {
            assert_int_equal(status, ZO_UNSUPPORTED);
            error_says(ctx, "went back", run, NULL);
        }
        refused += status != ZO_OK;
        written += !status;
        free(o.params);
    }
    assert_true(refused > 0 && written > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_state_comes_back),
        cmocka_unit_test(the_step_size_is_halved),
        cmocka_unit_test(runs_go_back_once_and_on),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(the_second_time_ends_a_run),
        cmocka_unit_test(a_step_size_that_explodes_is_mended),
        cmocka_unit_test(seeds_refuse_what_went_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

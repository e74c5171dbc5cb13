/* Runs that are stopped or killed and go on come to the same bits and figures as one that was never disturbed: over all estimators and
 * rules, with other threads and kernels, again and again. (What a resumed run refuses, and damaged files: test_resume_files.c.)
 * labels: threads
 */
#include "resume_support.h"

static zo_context *other[3]; /* 1, 2 and 3 threads */
static int trials;

static int set_up_all(void **state)
{
    for (int i = 0; i < 3; i++) other[i] = make_context(i + 1, NULL, NULL);
    return set_up(state);
}

static int tear_down_all(void **state)
{
    for (int i = 0; i < 3; i++) zo_context_destroy(other[i]);
    return tear_down(state);
}

/* The name of the i-th kernel set, counted round. */
static const char *kernels_at(int i)
{
    int n = 0;
    while (kernel_set(n)) n++;
    return kernel_set(i % n)->info.name;
}

/* ---- stopped and killed ---- */

/* Stops and kills the course at a parallel call; both must go on to what was to be. `turn` varies threads, kernels, and whether a state
 * was saved before. */
static void disturb(const course *c, const outcome *want, long at, int turn)
{
    char stopped[ROOM], killed[ROOM], what[256];
    fresh(stopped, "stopped");
    fresh(killed, "killed");
    interrupt(c, stopped, kernels_at(turn), turn % 3, at, killed);
    const char *run[] = {stopped, killed};
    for (int i = 0; i < 2; i++) {
        snprintf(what, sizeof what, "%s, %s at call %ld", c->t.name, i ? "killed" : "stopped", at);
        outcome got = resume_as(other[(turn + i) % 3], c, run[i], ZO_OK);
        assert_same_outcome(&got, want, what);
        assert_int_equal(got.r.resumed, 1);
        free(got.params);
        wipe(run[i]);
    }
}

static void goes_on(const course *c)
{
    long calls;
    outcome want = undisturbed(c, &calls);
    if (!(want.r.steps > 20 && want.r.cost > 0))
        fail_msg("%s: %d steps", c->t.name, (int)want.r.steps);
    assert_int_equal(want.r.rolled_back, 0);
    trials++;
    for (int i = 0; i < 3; i++)
        disturb(c, &want, 1 + calls * (3 * i + 1 + trials % 3) / 10, trials + i);
    free(want.params);
}

static void rules_go_on(trial *t)
{
    for (int regression = 0; regression < 2; regression++) {
        trial u = *t;
        u.regression = regression;
        course c = course_of(&u);
        goes_on(&c);
    }
}

static void all_estimators_and_rules_go_on(void **state)
{
    (void)state;
    trials = 0;
    each_rule(rules_go_on);
    assert_true(trials >= 18);
}

static void choices_go_on(trial *t)
{
    course c = course_of(t);
    put_setting(&c.t, 2, "schedule", trials % 2 ? "cosine" : "constant");
    goes_on(&c);
}

static void all_choices_go_on(void **state)
{
    (void)state;
    trials = 0;
    each_choice(choices_go_on);
    assert_true(trials >= 10);
}

/* What acts on steps beside the rule: each of these changes what a course comes to. */
static void clipped_and_decaying_steps_go_on(void **state)
{
    (void)state;
    const char *const estimator[] = {"nodes", "weights", "lowrank", "backprop"};
    const char *const set[][2] = {{"clip", "0.05"}, {"weight_decay", "0.3"}, {"warmup", "0.7"}};
    for (int i = 0; i < 4; i++) {
        course c = plain(estimator[i], i % 2 ? "momentum" : "langevin"), without = c;
        outcome a = undisturbed(&without, NULL);
        for (int j = 0; j < 3; j++) {
            put_setting(&c.t, 1, set[j][0], set[j][1]);
            put_setting(&c.t, 2, set[(j + 1) % 3][0], set[(j + 1) % 3][1]);
            outcome b = undisturbed(&c, NULL);
            assert_true(memcmp(a.params, b.params, a.n * sizeof *a.params) != 0);
            free(b.params);
            goes_on(&c);
        }
        free(a.params);
    }
}

/* Steps that go to and fro around what is best: the mean of them is kept, by the journal's word when it is taken up again. */
static void averaged_networks_go_on(void **state)
{
    (void)state;
    const char *const estimator[] = {"nodes", "weights", "lowrank", "backprop"};
    int averaged = 0;
    for (int i = 0; i < 4; i++) {
        course c = plain(estimator[i], "sgd");
        put_setting(&c.t, 1, "schedule", "constant");
        put_setting(&c.t, 2, "lr", i == 1 || i == 2 ? "3" : "0.8");
        course without = c;
        put_setting(&c.t, 3, "average", "0.4");
        outcome a = undisturbed(&without, NULL), b = undisturbed(&c, NULL);
        averaged += memcmp(a.params, b.params, a.n * sizeof *a.params) != 0;
        free(a.params), free(b.params);
        goes_on(&c);
    }
    assert_true(averaged >= 2);
}

/* Every estimator on images, with convolutions and a block. */
static void images_go_on(void **state)
{
    (void)state;
    const zo_class_info *e;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        course c = plain_images(e->name, i % 2 ? "adam" : "momentum");
        c.epochs = 16;
        goes_on(&c);
    }
}

/* ---- losses of the user's own ---- */

/* Half the squared distance to one-hot, or to the target; with `user` set not finite where the outputs' bits say so. */
static void own_loss(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target, float *loss)
{
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) {
            float d = row[j] - (label ? (float)(label[i] == j) : target[i * outputs + j]);
            loss[i] += d * d / 2;
        }
        if (user && float_bits(row[0]) % 16 == 0) loss[i] = i % 2 ? NAN : -INFINITY;
    }
}

static void own_losses_go_on(trial *t)
{
    static bool odd = true;
    if (!strncmp(t->method, "backprop", 8)) return; /* takes no loss of a user's own */
    for (int i = 0; i < 4; i++) {
        trial u = *t;
        u.regression = i % 2;
        u.loss = own_loss;
        u.loss_user = i / 2 ? &odd : NULL;
        course c = course_of(&u);
        c.jumps = i == 1;
        outcome want = undisturbed(&c, NULL);
        assert_int_equal(want.r.dropped > 0, i / 2); /* else nothing is tested */
        free(want.params);
        goes_on(&c);
    }
}

static void own_losses_and_dropped_ones_go_on(void **state)
{
    (void)state;
    const char *const estimator[] = {"nodes", "weights"};
    trials = 0;
    for (int i = 0; i < 2; i++) {
        trial t = trial_of(estimator[i], "adam");
        snprintf(t.name, sizeof t.name, "%s, a loss of one's own", estimator[i]);
        own_losses_go_on(&t);
    }
    assert_int_equal(trials, 8);
}

/* ---- first networks, targets, forwards ---- */

static void first_networks_of_ones_own_go_on(void **state)
{
    (void)state;
    const char *const estimator[] = {"nodes", "weights", "backprop"};
    for (int i = 0; i < 3; i++) {
        course c = plain(estimator[i], "momentum"), drawn = c;
        c.init = true;
        outcome a = undisturbed(&c, NULL), b = undisturbed(&drawn, NULL);
        assert_true(memcmp(a.params, b.params, a.n * sizeof *a.params) != 0);
        free(a.params);
        free(b.params);
        goes_on(&c);
    }
}

/* A run that is done when its target is reached is done after the same step however often it was stopped. */
static void targets_are_reached_at_the_same_step(void **state)
{
    (void)state;
    course c = plain("backprop", "momentum");
    c.t.task = "blobs";
    c.epochs = 1000;
    c.target = 0.9;
    outcome want = undisturbed(&c, NULL);
    assert_true(want.r.epochs < 500 && want.r.seconds_target >= 0);
    free(want.params);
    goes_on(&c);
}

static void forwards_end_a_resumed_run(void **state)
{
    (void)state;
    course c = plain("nodes", "momentum");
    c.epochs = 0;
    c.forwards = 7000;
    goes_on(&c);
}

/* ---- again and again ---- */

/* Stopped at many calls one after the other, each time on other kernels; copies of it, killed in between, go on as well. */
static void stopped_again_and_again(const char *estimator, double checkpoint)
{
    char run[ROOM], killed[ROOM];
    long calls;
    int stops = 0;
    course c = plain(estimator, "momentum");
    c.checkpoint = checkpoint;
    outcome want = undisturbed(&c, &calls), got;
    fresh(run, "again");
    zo_status status = ZO_CANCELLED;
    for (; status == ZO_CANCELLED; stops++) {
        host h;
        zo_context *where = hosted(&h, kernels_at(stops));
        h.run = run;
        h.copy = fresh(killed, "again-killed");
        h.kill_at = h.stop_at = 3 + calls / 7 + stops;
        c.resume = stops > 0;
        status = go(where, &c, run, &got);
        if (status == ZO_CANCELLED) {
            free(got.params);
            got = resume_as(other[stops % 3], &c, killed, ZO_OK);
            assert_same_outcome(&got, &want, "killed in between");
            assert_int_equal(got.r.resumed, stops + 1);
            free(got.params);
            wipe(killed);
        }
        zo_context_destroy(where);
    }
    assert_int_equal(status, ZO_OK);
    assert_true(stops > 5 && got.r.resumed == stops - 1);
    assert_same_outcome(&got, &want, "stopped again and again");
    wipe(run);
    free(got.params);
    free(want.params);
}

static void runs_may_be_stopped_again_and_again(void **state)
{
    (void)state;
    const char *const estimator[] = {"nodes", "weights", "backprop"};
    for (int i = 0; i < 3; i++) {
        stopped_again_and_again(estimator[i], 0);
        stopped_again_and_again(estimator[i], 1e-9); /* a state after each step */
    }
}

/* Killed at every single parallel call of a short run, with and without saved states before. */
static void killed_at_every_call(course c, double checkpoint)
{
    char run[ROOM], killed[ROOM], what[256];
    long calls;
    c.checkpoint = checkpoint;
    outcome want = undisturbed(&c, &calls);
    for (long at = 1; at <= calls; at++) {
        snprintf(what, sizeof what, "%s killed at call %ld", c.t.name, at);
        interrupt(&c, fresh(run, "every"), NULL, 0, at, fresh(killed, "every-killed"));
        if (access(killed, F_OK)) continue; /* before the run began */
        outcome got = resume_as(other[at % 3], &c, killed, ZO_OK);
        assert_same_outcome(&got, &want, what);
        free(got.params);
        wipe(run);
        wipe(killed);
    }
    free(want.params);
}

static course short_one(const char *estimator)
{
    course c = plain(estimator, "momentum");
    for (int i = 0; i < 3; i++) put_setting(&c.t, i, "batch", "50");
    return c;
}

static void runs_may_be_killed_at_any_call(void **state)
{
    (void)state;
    killed_at_every_call(short_one("nodes"), 0);
    killed_at_every_call(short_one("weights"), 0);
    killed_at_every_call(short_one("weights"), 1e-9);
    killed_at_every_call(short_one("backprop"), 1e-9);
    course c = short_one("nodes"); /* until it has reached what it was to reach */
    c.t.task = "blobs";
    c.epochs = 200;
    c.target = 0.7;
    outcome o = undisturbed(&c, NULL);
    assert_true(o.r.steps > 5 && o.r.steps < 60 && o.r.validation_accuracy >= 0.7);
    free(o.params);
    killed_at_every_call(c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_estimators_and_rules_go_on),
        cmocka_unit_test(all_choices_go_on),
        cmocka_unit_test(clipped_and_decaying_steps_go_on),
        cmocka_unit_test(averaged_networks_go_on),
        cmocka_unit_test(images_go_on),
        cmocka_unit_test(own_losses_and_dropped_ones_go_on),
        cmocka_unit_test(first_networks_of_ones_own_go_on),
        cmocka_unit_test(targets_are_reached_at_the_same_step),
        cmocka_unit_test(forwards_end_a_resumed_run),
        cmocka_unit_test(runs_may_be_stopped_again_and_again),
        cmocka_unit_test(runs_may_be_killed_at_any_call),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}

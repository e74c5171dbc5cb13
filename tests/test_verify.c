/* zo_verify() finds nothing where all is right: every method, done, stopped, killed and resumed. (What it finds: test_verify_faults.c.)
 * labels: threads
 */
#include "resume_support.h"

static int trials;

/* ---- what is right ---- */

static void rename_in(const char *run, const char *from, const char *to)
{
    assert_int_equal(rename(in_folder(run, from), in_folder(run, to)), 0);
}

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
            rename_in(killed, "checkpoint", "checkpoint.previous"); /* killed between two renames */
            zo_verified previous = verify_fine(c, killed, from_losses(c));
            assert_true(previous.checkpoint && previous.steps == v.steps);
            assert_int_equal(previous.numbers, v.numbers);
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

static void runs_on_images_are_verified(void **state)
{
    (void)state;
    const zo_class_info *e;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        course c = plain_images(e->name, "adam");
        c.epochs = 3;
        is_verified(&c);
    }
}

/* Half the squared distance to one-hot, `user` times, and not finite where the outputs' bits say so. Less than nothing times: to that of
 * the next class. */
static void own_loss(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target, float *loss)
{
    const float factor = *(const float *)user;
    (void)target;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        int right = factor < 0 ? (label[i] + 1) % outputs : label[i];
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) {
            float d = row[j] - (float)(right == j);
            loss[i] += fabsf(factor) * d * d / 2;
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
        course c = plain(i ? "weights" : "nodes", "adam"), other;
        c.t.loss = own_loss;
        c.t.loss_user = factor;
        is_verified(&c);
        other = c;
        expect(ctx, &c, fresh(run, "own"), ZO_OK);
        other.t.loss_user = factor + 1;
        zo_verified v = verify(&other, run, false, ZO_OK);
        assert_int_equal(v.different > 0, i == 0);
        other.t.loss = NULL;
        verify(&other, run, false, ZO_USAGE);
        error_says(ctx, "loss", NULL);
    }
}

/* The root of the mean squared distance to one-hot, `user` times. */
static double own_batch_loss(void *user, int n, int outputs, const float *y, int stride,
                             const int32_t *label, const float *target)
{
    (void)target;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < outputs; j++) {
            double d = (double)y[i * stride + j] - (label[i] == j);
            sum += d * d / n;
        }
    }
    return (double)*(const float *)user * sqrt(sum);
}

/* By name, and of the user's own; resumed, too, which is_verified() sees to. A loss of another kind is none that the run began with. */
static void losses_of_whole_batches_are_verified(void **state)
{
    float once = 1;
    char run[ROOM];
    (void)state;
    const char *const estimator[] = {"weights", "lowrank"};
    for (int i = 0; i < 2; i++) {
        course c = plain(estimator[i], "adam"), other = c;
        put_setting(&c.t, 2, "loss", i ? "auc" : "f1");
        is_verified(&c);
        c = other;
        c.t.batch_loss = own_batch_loss;
        c.t.loss_user = &once;
        is_verified(&c);
        expect(ctx, &c, fresh(run, "whole"), ZO_OK);
        verify(&c, run, false, ZO_OK);
        other.t.loss = own_loss;
        other.t.loss_user = &once;
        verify(&other, run, false, ZO_USAGE);
        error_says(ctx, "loss", NULL);
        wipe(run);
    }
}

static void note_first(void *user, const zo_report *report)
{
    double *accuracy = user;
    if (isnan(*accuracy)) *accuracy = report->validation_accuracy;
}

/* Which network is the best is a matter of the user's loss, not of accuracy: here the worse, the better. */
static void the_best_by_an_own_loss_is_verified(void **state)
{
    float factor = -1;
    (void)state;
    for (int i = 0; i < 2; i++) {
        course c = plain(i ? "weights" : "nodes", "adam");
        c.t.task = "blobs";
        c.t.loss = own_loss;
        c.t.loss_user = &factor;
        c.seed = i ? 4 : 1;
        c.epochs = 30;
        zo_task *task;
        zo_net *init;
        zo_train_result r;
        double first = NAN;
        zo_train_def def = plan(ctx, &c, NULL, &task, &init);
        def.report = note_first;
        def.report_user = &first;
        assert_int_equal(zo_train(ctx, &def, &r, NULL), ZO_OK);
        zo_task_destroy(task);
        if (!(r.validation_accuracy < first)) /* else nothing is tested */
            fail_msg("%s: accuracy %g, at first %g", c.t.name, r.validation_accuracy, first);
        is_verified(&c);
    }
}

static void first_networks_are_verified(void **state)
{
    char run[ROOM];
    (void)state;
    for (int i = 0; i < 2; i++) {
        course c = plain(i ? "weights" : "backprop", "adam"), without = c;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_is_verified),
        cmocka_unit_test(runs_on_images_are_verified),
        cmocka_unit_test(own_losses_are_verified),
        cmocka_unit_test(losses_of_whole_batches_are_verified),
        cmocka_unit_test(the_best_by_an_own_loss_is_verified),
        cmocka_unit_test(first_networks_are_verified),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

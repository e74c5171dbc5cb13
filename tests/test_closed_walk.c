/* Which lambdas are tried: against the least of all of them. */
#include "closed_support.h"

#include <math.h>

#include "learn/closed_walk.h"
#include "run/assess.h"

enum { MOST = 24, FEW = 5 };

/* Walks over a list of n lambdas from 1e-6 on, a decade for two, with these losses (NaN: no solution); how many were tried. *found: the best of them. */
static int tried(size_t n, const double *loss, size_t *found)
{
    double lambda[MOST];
    int times[MOST] = {0}, all = 0;
    for (size_t i = 0; i < n; i++) lambda[i] = pow(10, (double)i / 2 - 6);
    zo_walk w = zo_walk_start(lambda, n, FEW);
    size_t best;
    do {
        assert_true(w.n > 0 && w.n <= FEW && w.begin >= w.from && w.begin + w.n <= w.to);
        assert_true(w.to <= n);
        for (size_t i = 0; i < w.n; i++) assert_int_equal(++times[w.begin + i], 1);
        best = n;
        for (size_t i = w.from; i < w.to; i++) {
            assert_int_equal(times[i], 1);
            if (!isnan(loss[i]) && (best == n || loss[i] <= loss[best])) best = i;
        }
    } while (zo_walk_on(&w, best, best < n && !(loss[best] >= loss[w.begin + w.n / 2])));
    for (size_t i = 0; i < n; i++) all += times[i];
    *found = best;
    return all;
}

/* One valley, wherever it lies: its bottom is found. */
static void a_valley_is_found(void **state)
{
    (void)state;
    double loss[MOST];
    size_t found;
    for (size_t n = 1; n <= MOST; n++) {
        for (size_t bottom = 0; bottom < n; bottom++) {
            for (size_t i = 0; i < n; i++) loss[i] = fabs((double)i - (double)bottom);
            int all = tried(n, loss, &found);
            assert_int_equal(found, bottom);
            if (n > 2 * FEW && bottom == 6) assert_int_equal(all, FEW); /* 1e-3 */
        }
    }
}

static void what_is_level_is_tried_once(void **state)
{
    (void)state;
    double loss[MOST] = {0};
    size_t found;
    for (size_t n = 1; n <= MOST; n++)
        assert_int_equal(tried(n, loss, &found), n < FEW ? (int)n : FEW);
}

/* The smallest have no solution, up to any of them: the least of the others is found, or that there is none. */
static void what_fails_is_left_upwards(void **state)
{
    (void)state;
    double loss[MOST];
    size_t found;
    for (size_t failing = 0; failing <= MOST; failing++) {
        for (size_t i = 0; i < MOST; i++) loss[i] = i < failing ? NAN : (double)i;
        tried(MOST, loss, &found);
        assert_int_equal(found, failing);
    }
}

/* ---- in a closed form of so many features that not all lambdas are tried ---- */

static double validation_loss(const zo_task *task, const zo_net *net, const char *const *settings)
{
    zo_assessor a = {0};
    double loss, accuracy;
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 2, settings);
    solve(t);
    assert_int_equal(zo_assessor_init(&a, task, net), ZO_OK);
    zo_assess(&a, zo_trainer_net(t), ZO_VALIDATION, &loss, &accuracy);
    zo_assessor_fini(&a);
    zo_trainer_destroy(t);
    return loss;
}

/* Targets that are noise want a lambda above the first five, which end at 1e-2. */
static void lambdas_beyond_the_first_are_found(void **state)
{
    (void)state;
    uint64_t seed = 3;
    zo_task *task = make_task(ctx, 300, 4, 0, 1);
    zo_net *net = make_net(ctx, task, "dense4100 relu dense1", 1);
    for (int part = 0; part < ZO_TEST; part++)
        draw_many(&seed, task->part[part].target, (size_t)task->part[part].n, -1, 1);
    double best = validation_loss(task, net, SETTINGS("lambda=10")),
           first = validation_loss(task, net, SETTINGS("lambda=0.01")),
           chosen = validation_loss(task, net, NULL);
    if (!(best < 0.97 * first && chosen < 1.01 * best))
        fail_msg("%g, where %g is there, and %g among the first", chosen, best, first);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valley_is_found),
        cmocka_unit_test(what_is_level_is_tried_once),
        cmocka_unit_test(what_fails_is_left_upwards),
        cmocka_unit_test(lambdas_beyond_the_first_are_found),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

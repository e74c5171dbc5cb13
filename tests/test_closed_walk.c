/* Which lambdas are tried: against the least of all of them. */
#include "support.h"

#include <math.h>

#include "learn/closed_walk.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valley_is_found),
        cmocka_unit_test(what_is_level_is_tried_once),
        cmocka_unit_test(what_fails_is_left_upwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

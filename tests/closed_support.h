/* For tests of closed forms. */
#ifndef CLOSED_SUPPORT_H
#define CLOSED_SUPPORT_H

#include "run_support.h"

#include "learn/closed.h"

#define IMAGE_NET "patch3x6,pad1 twosided0.25 cells2 sqrt flatten scale { dense30 relu }cat dense3"

typedef long double real;

/* n zeros, to be freed. */
static inline real *reals(size_t n)
{
    real *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Steps until it is done, and how many. */
static inline int solve(zo_trainer *t)
{
    zo_step_info info = {0};
    for (int i = 1; i < 100; i++) {
        if (zo_trainer_step(t, zo_trainer_progress(t) < 1 ? zo_trainer_progress(t) : 0.99, &info))
            fail_msg("step %d: %s", i, zo_last_error(ctx));
        assert_int_equal(info.step, i);
        assert_true(info.done || zo_trainer_progress(t) < 1);
        if (info.done) {
            assert_true(isfinite(info.loss) && info.cost > 0);
            return i;
        }
    }
    fail_msg("never done");
    return 0;
}

#endif

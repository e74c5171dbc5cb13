/* Batches: every epoch shows every example once, in an order of its own that depends on the seed and the step alone. */
#include "support.h"

#include "learn/batches.h"

enum { MOST = 100 };

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* The first two epochs, whatever the batches' borders. */
static void read_epochs(uint64_t seed, int n, int batch, int32_t *out)
{
    zo_batches b;
    assert_int_equal(zo_batches_init(&b, ctx, seed, n, batch), ZO_OK);
    for (int step = 0; step * batch < 2 * n; step++) {
        const int32_t *example = zo_batches_at(&b, step);
        for (int i = 0; i < batch && step * batch + i < 2 * n; i++)
            out[step * batch + i] = example[i];
    }
    zo_batches_fini(&b);
}

static void an_epoch_shows_each_example_once(void **state)
{
    (void)state;
    for (int batch = 1; batch <= 97; batch += 8) {
        int32_t order[2 * 97];
        read_epochs(5, 97, batch, order);
        for (int epoch = 0; epoch < 2; epoch++) {
            int seen[97] = {0};
            for (int i = 0; i < 97; i++) {
                int32_t at = order[97 * epoch + i];
                assert_true(at >= 0 && at < 97 && !seen[at]++);
            }
        }
    }
}

/* Two random orders of 97 agree in about one place. */
static int agreements(const int32_t *a, const int32_t *b)
{
    int n = 0;
    for (int i = 0; i < 97; i++) n += a[i] == b[i];
    return n;
}

static void orders_differ(void **state)
{
    (void)state;
    int32_t one[2 * 97], two[2 * 97], cut[2 * 97], sorted[97];
    for (int i = 0; i < 97; i++) sorted[i] = i;
    read_epochs(1, 97, 10, one);
    read_epochs(2, 97, 10, two);
    read_epochs(1, 97, 13, cut);
    assert_true(agreements(one, sorted) < 10);
    assert_true(agreements(one, one + 97) < 10); /* epochs */
    assert_true(agreements(one, two) < 10);      /* seeds */
    assert_memory_equal(one, cut, sizeof one);   /* the size of a batch does not matter */
}

/* Taken up at any step, the batches go on as they would have. */
static void any_step_can_be_the_first(void **state)
{
    (void)state;
    zo_batches walk, jump;
    assert_int_equal(zo_batches_init(&walk, ctx, 3, MOST, 30), ZO_OK);
    for (int step = 0; step < 12; step++) {
        const int32_t *want = zo_batches_at(&walk, step);
        assert_int_equal(zo_batches_init(&jump, ctx, 3, MOST, 30), ZO_OK);
        assert_memory_equal(zo_batches_at(&jump, step), want, 30 * sizeof *want);
        zo_batches_fini(&jump);
    }
    zo_batches_fini(&walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_shows_each_example_once),
        cmocka_unit_test(orders_differ),
        cmocka_unit_test(any_step_can_be_the_first),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

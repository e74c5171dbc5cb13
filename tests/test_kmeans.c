/* Spherical k-means: against a second one in long double from the same start, its gain, what happens to directions without rows, bits, failures.
 * labels: threads
 */
#include "support.h"

#include "learn/kmeans.h"

typedef long double real;
enum { D = 7, K = 6, N = 700, ROUNDS = 6 };

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* Rows that are longer along some directions than along others, so that there is something to find. */
static float *make_rows(uint64_t seed, size_t n, size_t d)
{
    float *x = floats(n * d);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) x[i * d + j] = draw(&seed, -1, 1);
        x[i * d + i % d] *= 3;
    }
    return x;
}

static zo_kmeans of_rows(const float *x, uint64_t seed, int rounds)
{
    return (zo_kmeans){.x = x, .n = N, .d = D, .k = K, .rounds = rounds, .seed = seed, .stream = 9};
}

/* One round in long double; `both`: |dot products| and signs, as it should be. Returns the mean of the largest. */
static real round_of(const float *x, real *direction, bool both)
{
    real sum[K][D] = {{0}}, gain = 0;
    for (size_t i = 0; i < N; i++) {
        real best = -1, sign = 1;
        size_t of = 0;
        for (size_t k = 0; k < K; k++) {
            real dot = 0;
            for (size_t j = 0; j < D; j++) dot += (real)x[i * D + j] * direction[k * D + j];
            real size = both ? fabsl(dot) : dot;
            if (k && size <= best) continue;
            best = size, of = k, sign = both && dot < 0 ? -1 : 1;
        }
        gain += best / N;
        for (size_t j = 0; j < D; j++) sum[of][j] += sign * (real)x[i * D + j];
    }
    for (size_t k = 0; k < K; k++) {
        real square = 0;
        for (size_t j = 0; j < D; j++) square += sum[k][j] * sum[k][j];
        assert_true(square > 0);
        for (size_t j = 0; j < D; j++) direction[k * D + j] = sum[k][j] / sqrtl(square);
    }
    return gain;
}

static double farthest(const float *got, const real *want)
{
    double most = 0;
    for (size_t i = 0; i < K * D; i++) most = fmax(most, fabs((double)((real)got[i] - want[i])));
    return most;
}

static void rounds_are_those_of_long_double(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        float *x = make_rows(seed, N, D), start[K * D], got[K * D];
        double gain[ROUNDS];
        real want[K * D], twin[K * D];
        zo_kmeans first = of_rows(x, seed, 0), all = of_rows(x, seed, ROUNDS);
        assert_int_equal(zo_kmeans_run(ctx, &first, start, NULL), ZO_OK);
        assert_int_equal(zo_kmeans_run(ctx, &all, got, gain), ZO_OK);
        for (size_t i = 0; i < K * D; i++) want[i] = twin[i] = (real)start[i];
        for (int r = 0; r < ROUNDS; r++) {
            assert_near(gain[r], (double)round_of(x, want, true), 0, 1e-5, "a gain");
            round_of(x, twin, false);
            if (r) assert_true(gain[r] >= gain[r - 1]);
        }
        assert_true(farthest(got, want) < 1e-5);
        assert_true(farthest(got, twin) > 0.1); /* without signs they are others */
        assert_true(gain[ROUNDS - 1] > 1.05 * gain[0]);
        free(x);
    }
}

/* The start: rows, made 1 long. */
static void directions_begin_as_rows(void **state)
{
    (void)state;
    float *x = make_rows(3, N, D), start[K * D];
    zo_kmeans first = of_rows(x, 1, 0);
    assert_int_equal(zo_kmeans_run(ctx, &first, start, NULL), ZO_OK);
    for (size_t k = 0; k < K; k++) {
        double nearest = 1;
        for (size_t i = 0; i < N; i++) {
            double length = 0, off = 0;
            for (size_t j = 0; j < D; j++) length += pow((double)x[i * D + j], 2);
            for (size_t j = 0; j < D; j++)
                off += pow((double)x[i * D + j] / sqrt(length) - (double)start[k * D + j], 2);
            nearest = fmin(nearest, off);
        }
        assert_true(nearest < 1e-10);
    }
    free(x);
}

/* More directions than different rows, rows of zeros: unit vectors or zeros, never NaN. */
static void few_rows_are_enough(void **state)
{
    (void)state;
    for (int zeros = 0; zeros < 2; zeros++) {
        float *x = make_rows(5, 4, D), got[K * D];
        if (zeros) memset(x, 0, 4 * D * sizeof *x);
        zo_kmeans few = of_rows(x, 2, 4);
        few.n = 4;
        assert_int_equal(zo_kmeans_run(ctx, &few, got, NULL), ZO_OK);
        for (size_t k = 0; k < K; k++) {
            double length = 0;
            for (size_t j = 0; j < D; j++) length += pow((double)got[k * D + j], 2);
            assert_near(length, !zeros, 1e-5, 0, "the length of a direction");
        }
        free(x);
    }
}

/* Two rows, two directions that began as the same one: the one without rows becomes the other row. */
static void directions_without_rows_are_drawn_anew(void **state)
{
    (void)state;
    static const float x[4] = {1, 0, 0, 1};
    int again = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        zo_kmeans two = {.x = x, .n = 2, .d = 2, .k = 2, .rounds = 0, .seed = seed};
        float start[4], got[4];
        assert_int_equal(zo_kmeans_run(ctx, &two, start, NULL), ZO_OK);
        two.rounds = 12; /* each time anew with one half */
        assert_int_equal(zo_kmeans_run(ctx, &two, got, NULL), ZO_OK);
        again += start[0] == start[2];
        assert_true(got[0] != got[2]);
    }
    assert_true(again > 2);
}

static float *directions_of(int threads, const char *kernels)
{
    zo_context *own = make_context(threads, kernels, NULL);
    float *x = make_rows(8, 3000, 30), *got = floats(37 * 30);
    zo_kmeans means = {.x = x, .n = 3000, .d = 30, .k = 37, .rounds = 5, .seed = 4};
    assert_int_equal(zo_kmeans_run(own, &means, got, NULL), ZO_OK);
    free(x);
    zo_context_destroy(own);
    return got;
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    float *want = directions_of(1, NULL);
    for (int threads = 2; threads <= 4; threads++) {
        float *got = directions_of(threads, NULL);
        assert_same_floats(got, want, 37 * 30, "threads");
        free(got);
    }
    for (int i = 0; kernel_set(i); i++) {
        float *got = directions_of(2, kernel_set(i)->info.name);
        assert_same_floats(got, want, 37 * 30, "kernels");
        free(got);
    }
    free(want);
}

static zo_status run_once(zo_context *own, void *arg)
{
    float got[K * D];
    zo_kmeans means = of_rows(arg, 1, 2);
    return zo_kmeans_run(own, &means, got, NULL);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    float *x = make_rows(1, N, D);
    assert_true(refuse_each(run_once, x) >= 7);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_those_of_long_double),
        cmocka_unit_test(directions_begin_as_rows),
        cmocka_unit_test(few_rows_are_enough),
        cmocka_unit_test(directions_without_rows_are_drawn_anew),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

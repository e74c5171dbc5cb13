/* Random streams: published vectors, independence, distributions, and the functions they stand on. */
#include "support.h"

#include "base/random.h"

/* ---- the generator ---- */

/* Random123, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, result. */
static const struct {
    uint32_t counter[4], key[2], result[4];
} published[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void blocks_are_those_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const uint32_t *c = published[i].counter, *k = published[i].key;
        uint64_t seed = (uint64_t)k[1] << 32 | k[0], step = (uint64_t)(c[3] & 0xffffff) << 32 | c[2];
        zo_stream s = zo_stream_at(seed, (zo_purpose)(c[3] >> 24), step, c[1]);
        uint32_t out[4];
        zo_stream_block(&s, c[0], out);
        assert_memory_equal(out, published[i].result, sizeof out);
    }
}

static void many_blocks_are_single_blocks(void **state)
{
    zo_stream s = zo_stream_at(11, ZO_FOR_TESTS, 3, 5);
    uint32_t many[4 * 33 + 1], one[4];
    (void)state;
    many[4 * 33] = 0xdeadbeef;
    zo_stream_blocks(&s, 0xfffffff0u, 33, many); /* the block number goes round */
    for (uint32_t i = 0; i < 33; i++) {
        zo_stream_block(&s, 0xfffffff0u + i, one);
        assert_memory_equal(many + 4 * i, one, sizeof one);
    }
    assert_int_equal(many[4 * 33], 0xdeadbeef);
}

static void readers_walk_along_the_stream(void **state)
{
    zo_stream s = zo_stream_at(11, ZO_FOR_TESTS, 3, 5);
    zo_random r = zo_random_at(11, ZO_FOR_TESTS, 3, 5), u = r;
    uint32_t blocks[4 * 10];
    (void)state;
    zo_stream_blocks(&s, 0, 10, blocks);
    for (int i = 0; i < 40; i++) assert_int_equal(zo_random_word(&r), blocks[i]);
    for (int i = 0; i < 40; i += 2) {
        uint64_t bits = ((uint64_t)blocks[i] << 32 | blocks[i + 1]) >> 11;
        assert_true(zo_random_uniform(&u) == ldexp((double)bits, -53));
    }
}

/* Correlation of the bits of two streams: agreeing bits of 2^17, deviation sqrt(n) / 2 = 181. */
static void assert_independent(zo_stream a, zo_stream b)
{
    int agree = 0;
    for (uint32_t i = 0; i < 1024; i++) {
        uint32_t x[4], y[4];
        zo_stream_block(&a, i, x);
        zo_stream_block(&b, i, y);
        for (int j = 0; j < 4; j++) agree += 32 - __builtin_popcount(x[j] ^ y[j]);
    }
    if (abs(agree - (1 << 16)) > 6 * 181) fail_msg("%d of 131072 bits agree", agree);
}

static void streams_are_independent(void **state)
{
    zo_stream base = zo_stream_at(1, ZO_FOR_NOISE, 7, 9);
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        assert_independent(base, zo_stream_at(1 ^ 1ull << bit, ZO_FOR_NOISE, 7, 9));
    for (int bit = 0; bit < 56; bit++)
        assert_independent(base, zo_stream_at(1, ZO_FOR_NOISE, 7 ^ 1ull << bit, 9));
    for (int bit = 0; bit < 32; bit++)
        assert_independent(base, zo_stream_at(1, ZO_FOR_NOISE, 7, 9u ^ 1u << bit));
    for (int p = ZO_FOR_INIT; p <= ZO_FOR_TESTS; p++) {
        if (p != ZO_FOR_NOISE) assert_independent(base, zo_stream_at(1, (zo_purpose)p, 7, 9));
    }
}

/* ---- distributions ---- */

/* A chi-square sum over its degrees of freedom, as a normal deviate (Wilson & Hilferty 1931). */
static double chi_deviate(double chi, double freedom)
{
    double v = 2 / (9 * freedom);
    return (cbrt(chi / freedom) - (1 - v)) / sqrt(v);
}

static void assert_even(const int *count, int cells, int draws, const char *what)
{
    double chi = 0, wanted = (double)draws / cells;
    for (int i = 0; i < cells; i++) chi += (count[i] - wanted) * (count[i] - wanted) / wanted;
    double deviate = chi_deviate(chi, cells - 1);
    if (fabs(deviate) > 4.5) fail_msg("%s: chi-square %g of %d cells", what, chi, cells);
}

static void whole_numbers_are_uniform(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 5, 7, 10, 64, 100};
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            zo_random r = zo_random_at(seed, ZO_FOR_TESTS, 0, sizes[s]);
            int count[100] = {0};
            for (int i = 0; i < 20000; i++) {
                uint32_t x = zo_random_below(&r, sizes[s]);
                assert_true(x < sizes[s]);
                count[x]++;
            }
            if (sizes[s] > 1) assert_even(count, (int)sizes[s], 20000, "below");
        }
    }
}

/* For n = 3 * 2^30 a biased method (modulo, or multiply without rejection) gives some numbers twice as often as others. */
static void large_ranges_have_no_bias(void **state)
{
    const uint32_t n = 3u << 30;
    int modulo[3] = {0}, third[3] = {0};
    zo_random r = zo_random_at(4, ZO_FOR_TESTS, 0, 0);
    (void)state;
    for (int i = 0; i < 60000; i++) {
        uint32_t x = zo_random_below(&r, n);
        modulo[x % 3]++;
        third[x / (1u << 30)]++;
    }
    assert_even(modulo, 3, 60000, "modulo 3");
    assert_even(third, 3, 60000, "thirds");
    assert_true(zo_random_below(&r, UINT32_MAX) < UINT32_MAX);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's largest distance, times sqrt(n); above 1.95 with probability 0.001. */
static double largest_distance(double *x, int n, double (*cdf)(double))
{
    double most = 0;
    qsort(x, (size_t)n, sizeof *x, by_size);
    for (int i = 0; i < n; i++) {
        double f = cdf(x[i]);
        most = fmax(most, fmax(f - (double)i / n, (i + 1.0) / n - f));
    }
    return most * sqrt(n);
}

static double normal_cdf(double x) { return 0.5 * erfc(-x / sqrt(2)); }

static double uniform_cdf(double x) { return x; }

enum { DRAWS = 20000 };

static void normal_numbers_are_normal(void **state)
{
    static double x[DRAWS];
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_random r = zo_random_at(seed, ZO_FOR_TESTS, 1, 0);
        double moment[5] = {0};
        for (int i = 0; i < DRAWS; i++) {
            x[i] = zo_random_normal(&r);
            for (int k = 1; k <= 4; k++) moment[k] += pow(x[i], k) / DRAWS;
        }
        /* variances of the moments: 1, 2, 15, 96 over n; five deviations */
        assert_near(moment[1], 0, 5 * sqrt(1.0 / DRAWS), 0, "mean");
        assert_near(moment[2], 1, 5 * sqrt(2.0 / DRAWS), 0, "second moment");
        assert_near(moment[3], 0, 5 * sqrt(15.0 / DRAWS), 0, "third moment");
        assert_near(moment[4], 3, 5 * sqrt(96.0 / DRAWS), 0, "fourth moment");
        assert_true(largest_distance(x, DRAWS, normal_cdf) < 2.2);
    }
}

/* Box and Muller's formula of two uniform numbers, with the C library's functions. */
static void normal_numbers_are_their_formula(void **state)
{
    zo_random r = zo_random_at(3, ZO_FOR_TESTS, 1, 1), u = r;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double radius = sqrt(-2 * log1p(-zo_random_uniform(&u)));
        assert_near(zo_random_normal(&r), radius * cos(2 * acos(-1) * zo_random_uniform(&u)), 1e-14,
                    0, "normal");
    }
}

static void uniform_numbers_are_uniform(void **state)
{
    static double x[DRAWS];
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_random r = zo_random_at(seed, ZO_FOR_TESTS, 2, 0);
        for (int i = 0; i < DRAWS; i++) {
            x[i] = zo_random_uniform(&r);
            assert_true(x[i] >= 0 && x[i] < 1);
        }
        assert_true(largest_distance(x, DRAWS, uniform_cdf) < 2.2);
    }
}

/* ---- shuffling ---- */

static void shuffles_are_permutations(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 100; n++) {
        int32_t order[101];
        char seen[101] = {0};
        for (uint32_t i = 0; i <= n; i++) order[i] = (int32_t)i;
        zo_random r = zo_random_at(1, ZO_FOR_TESTS, n, 0);
        zo_random_shuffle(&r, n, order);
        assert_int_equal(order[n], n); /* past the end */
        for (uint32_t i = 0; i < n; i++) {
            assert_true(order[i] >= 0 && order[i] < (int32_t)n && !seen[order[i]]);
            seen[order[i]] = 1;
        }
    }
}

static void shuffles_of_four_are_uniform(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_random r = zo_random_at(seed, ZO_FOR_TESTS, 4, 0);
        int count[256] = {0}, used[24], n = 0;
        for (int i = 0; i < 12000; i++) {
            int32_t o[] = {0, 1, 2, 3};
            zo_random_shuffle(&r, 4, o);
            count[o[0] << 6 | o[1] << 4 | o[2] << 2 | o[3]]++;
        }
        for (int i = 0; i < 256; i++) {
            if (!count[i]) continue;
            assert_true(n < 24);
            used[n++] = count[i];
        }
        assert_int_equal(n, 24);
        assert_even(used, 24, 12000, "orders of four");
    }
}

/* ---- functions ---- */

/* Distance in units of the last place of the wanted number. */
static double ulps(double got, double want)
{
    return fabs(got - want) / (nextafter(fabs(want), INFINITY) - fabs(want));
}

static void logarithm_is_within_two_ulp(void **state)
{
    uint64_t s = 1;
    (void)state;
    for (int i = 0; i < 400000; i++) {
        double u = (double)((draw_bits(&s) >> 11) + 1) * 0x1p-53; /* (0, 1], as for normal numbers */
        double x = i % 4 == 0   ? u
                   : i % 4 == 1 ? 1 + ldexp(2 * u - 1, -i / 4 % 50 - 1)
                   : i % 4 == 2 ? ldexp(1 + u, i / 4 % 2045 - 1022)
                                : 0.6 + u;
        double got = zo_log64(x), want = log(x);
        if (x == 1 ? got != 0 : !(ulps(got, want) <= 2))
            fail_msg("log(%.17g): %.17g, not %.17g", x, got, want);
    }
    assert_true(zo_log64(1) == 0);
    assert_near(zo_log64(0x1p-53), -53 * 0.693147180559945309, 0, 1e-15, "log 2^-53");
    assert_near(zo_log64(0x1p-1022), -1022 * 0.693147180559945309, 0, 1e-15, "log 2^-1022");
}

static void turns_are_cosines_and_sines(void **state)
{
    const long double turn = 6.283185307179586476925286766559L;
    uint64_t s = 2;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        double u = i < 64 ? i / 64.0 : (double)(draw_bits(&s) >> 11) * 0x1p-53, c, d;
        if (i == 64) u = 1 - 0x1p-53;
        zo_turn64(u, &c, &d);
        assert_near(c, (double)cosl(turn * u), 1e-15, 0, "cosine");
        assert_near(d, (double)sinl(turn * u), 1e-15, 0, "sine");
        assert_near(c * c + d * d, 1, 1e-15, 0, "radius");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_published),
        cmocka_unit_test(many_blocks_are_single_blocks),
        cmocka_unit_test(readers_walk_along_the_stream),
        cmocka_unit_test(streams_are_independent),
        cmocka_unit_test(whole_numbers_are_uniform),
        cmocka_unit_test(large_ranges_have_no_bias),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(normal_numbers_are_their_formula),
        cmocka_unit_test(shuffles_are_permutations),
        cmocka_unit_test(shuffles_of_four_are_uniform),
        cmocka_unit_test(logarithm_is_within_two_ulp),
        cmocka_unit_test(turns_are_cosines_and_sines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

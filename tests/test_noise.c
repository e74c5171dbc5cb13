/* Noise of every kernel set: its bits against the generator of Random123, its normal numbers against float64 and against the normal
 * distribution.
 */
#include "support.h"

#include "base/random.h"
#include "kernels/kernels.h"

#define SEEDS 10
#define MANY (1 << 18)

static zo_stream stream(uint64_t seed) { return zo_stream_at(seed, ZO_FOR_TESTS, 7, 9); }

/* ---- blocks ---- */

static void blocks_are_those_of_the_generator(void **state)
{
    const zo_kernels *k;
    (void)state;
    for (int set = 0; (k = kernel_set(set)); set++) {
        for (size_t n = 0; n <= 50; n++) {
            zo_stream s = stream(n);
            uint32_t got[4 * 50 + 1], one[4], first = n % 2 ? 0xfffffff3u : (uint32_t)n * 1000;
            got[4 * n] = 0xdeadbeef;
            k->blocks(got, s.key, s.counter, first, n);
            for (uint32_t i = 0; i < n; i++) { /* the block number goes round */
                zo_stream_block(&s, first + i, one);
                assert_memory_equal(got + 4 * i, one, sizeof one);
            }
            assert_int_equal(got[4 * n], 0xdeadbeef);
        }
    }
}

/* ---- normal numbers ---- */

/* The four numbers of a block, in float64 by the C library. */
static void box_muller(const uint32_t word[4], double out[4])
{
    for (int pair = 0; pair < 2; pair++) {
        double u = ((double)word[2 * pair] + 0.5) * 0x1p-32, r = sqrt(-2 * log(u)),
               turn = 8 * atan(1) * (double)(word[2 * pair + 1] >> 8) * 0x1p-24;
        out[2 * pair] = r * cos(turn);
        out[2 * pair + 1] = r * sin(turn);
    }
}

static void normal_numbers_are_those_of_float64(void **state)
{
    enum { N = 4096 };
    const zo_kernels *k;
    (void)state;
    for (int set = 0; (k = kernel_set(set)); set++) {
        zo_stream s = stream(3);
        float *got = floats(N);
        k->normal(got, s.key, s.counter, 5, N);
        for (uint32_t i = 0; i < N; i += 4) {
            uint32_t word[4];
            double want[4];
            zo_stream_block(&s, 5 + i / 4, word);
            box_muller(word, want);
            for (int c = 0; c < 4; c++)
                assert_near((double)got[i + (uint32_t)c], want[c], 2e-6, 0, k->info.name);
        }
        free(got);
    }
}

/* The ends of both words: the longest and the shortest radius, and every quarter of a turn. Blocks with such words are rare, so the words
 * are searched for. */
static void no_word_gives_anything_wild(void **state)
{
    const zo_kernels *k;
    (void)state;
    for (int set = 0; (k = kernel_set(set)); set++) {
        float *got = floats(MANY);
        double largest = 0;
        for (uint64_t seed = 1; seed <= 3; seed++) {
            zo_stream s = stream(seed);
            k->normal(got, s.key, s.counter, 0, MANY);
            for (size_t i = 0; i < MANY; i++) {
                assert_true(isfinite(got[i]));
                largest = fmax(largest, fabs((double)got[i]));
            }
        }
        assert_true(largest > 4 && largest < 6.8); /* P(none of 786,432 beyond 4) < 1e-21 */
        free(got);
    }
}

static void sets_and_lengths_agree(void **state)
{
    const zo_kernels *ref = &zo_kernels_ref, *k;
    (void)state;
    for (int set = 0; (k = kernel_set(set)); set++) {
        for (size_t n = 0; n <= 150; n += n < 70 ? 1 : 13) {
            zo_stream s = stream(n);
            float want[256], got[151];
            ref->normal(want, s.key, s.counter, 11, 256);
            got[n] = -7;
            k->normal(got, s.key, s.counter, 11, n);
            assert_same_floats(got, want, n, k->info.name);
            assert_true(got[n] == -7);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Moments within five of their deviations; the largest gap to the normal distribution below the Kolmogorov-Smirnov value of 1e-6; numbers
 * of a pair, and of neighbouring blocks, not correlated. */
static void normal_numbers_are_normal(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    float *x = floats(MANY);
    const double n = MANY;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_stream s = stream(seed);
        double sum[5] = {0}, lag[4] = {0}, gap = 0;
        k->normal(x, s.key, s.counter, 0, MANY);
        for (size_t i = 0; i < MANY; i++) {
            double power = 1;
            for (int p = 0; p < 5; p++, power *= (double)x[i]) sum[p] += power;
            for (size_t l = 1; l < 4 && i + l < MANY; l++)
                lag[l] += (double)x[i] * (double)x[i + l];
        }
        assert_near(sum[1] / n, 0, 5 / sqrt(n), 0, "mean");
        assert_near(sum[2] / n, 1, 5 * sqrt(2 / n), 0, "square");
        assert_near(sum[3] / n, 0, 5 * sqrt(15 / n), 0, "cube");
        assert_near(sum[4] / n, 3, 5 * sqrt(96 / n), 0, "fourth power");
        for (int l = 1; l < 4; l++) assert_near(lag[l] / n, 0, 5 / sqrt(n), 0, "neighbours");
        qsort(x, MANY, sizeof *x, ascending);
        for (size_t i = 0; i < MANY; i++) {
            double below = 0.5 * erfc(-(double)x[i] / sqrt(2));
            gap = fmax(gap, fmax(fabs(below - (double)i / n), fabs(below - (double)(i + 1) / n)));
        }
        assert_true(gap < 2.7 / sqrt(n));
    }
    free(x);
}

/* One bit per number: ones are half of them, at each place of a word, and places do not go together. */
static void signs_are_fair(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    uint32_t *word = malloc(MANY * sizeof *word);
    assert_non_null(word);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_stream s = stream(seed);
        k->blocks(word, s.key, s.counter, 0, MANY / 4);
        for (int a = 0; a < 32; a++) {
            int b = (a * 7 + 3) % 32;
            double ones = 0, both = 0;
            for (size_t i = 0; i < MANY; i++) {
                ones += word[i] >> a & 1;
                both += (word[i] >> a & 1) == (word[i] >> b & 1);
            }
            assert_near(ones / MANY, 0.5, 2.5 / sqrt(MANY), 0, "ones");
            if (a != b) assert_near(both / MANY, 0.5, 2.5 / sqrt(MANY), 0, "pairs of places");
        }
    }
    free(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_of_the_generator),
        cmocka_unit_test(normal_numbers_are_those_of_float64),
        cmocka_unit_test(no_word_gives_anything_wild),
        cmocka_unit_test(sets_and_lengths_agree),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(signs_are_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Noise of every kernel set: its bits against the generator of Random123, its normal numbers against float64 and against the normal
 * distribution.
 */
#include "support.h"

#include "base/random.h"
#include "kernels/kernels.h"
#include "learn/noise.h"

#define SEEDS 10
#define MANY (1 << 18)

static zo_stream stream(uint64_t seed) { return zo_stream_at(seed, ZO_FOR_TESTS, 7, 9); }

/* ---- blocks ---- */

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

/* The block wherever it lies among its neighbours. */
static void blocks_are_those_published(void **state)
{
    const zo_kernels *k;
    (void)state;
    for (int set = 0; (k = kernel_set(set)); set++) {
        for (size_t i = 0; i < 3; i++) {
            const uint32_t *c = published[i].counter;
            for (uint32_t before = 0; before < 17; before++) {
                uint32_t out[4 * 20];
                k->blocks(out, published[i].key, c + 1, c[0] - before, 20);
                assert_memory_equal(out + (size_t)4 * before, published[i].result, 16);
            }
        }
    }
}

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

/* What the logarithm is taken of, as a number of float64 or as the nearest one of float32. */
static double uniform(uint32_t word, bool nearest)
{
    double u = ((double)word + 0.5) * 0x1p-32;
    return nearest ? (double)(float)u : u;
}

/* The four numbers of a block, in float64 by the C library. */
static void box_muller(const uint32_t word[4], bool nearest, double out[4])
{
    for (int pair = 0; pair < 2; pair++) {
        double r = sqrt(-2 * log(uniform(word[2 * pair], nearest))),
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
            box_muller(word, false, want);
            for (int c = 0; c < 4; c++)
                assert_near((double)got[i + (uint32_t)c], want[c], 2e-6, 0, k->info.name);
        }
        free(got);
    }
}

/* ---- rare words ---- */

typedef struct rare {
    uint32_t block[200];
    size_t n, longest, one, below_one, turns; /* blocks; words of each kind */
} rare;

static void keep(rare *found, const uint32_t word[4], uint32_t block)
{
    size_t longest = 0, one = 0, below_one = 0, turns = 0;
    for (int w = 0; w < 4; w += 2) {
        longest += word[w] < 0x100;
        one += word[w] >= 0xffffff80;
        below_one += word[w] >= 0xffffff00 && word[w] < 0xffffff80;
        turns += ((word[w + 1] + 0x100) & 0x1fffffff) < 0x200;
    }
    if (longest + one + below_one + turns == 0) return;
    assert_true(found->n < sizeof found->block / sizeof *found->block);
    found->block[found->n++] = block;
    found->longest += longest, found->one += one;
    found->below_one += below_one, found->turns += turns;
}

/* Searches for the ends of words. The longest radius comes from words below 0x100, the shortest from words that float32 rounds to 1 or to
 * the number below it. A turn has its ends around every eighth: there quarters meet, and x is 0 or at its largest. */
static rare find_rare(zo_stream s)
{
    enum { AT_ONCE = 4096 };
    rare found = {.n = 0};
    uint32_t *word = malloc(4 * AT_ONCE * sizeof *word);
    assert_non_null(word);
    for (uint32_t first = 0; first < 1 << 24; first += AT_ONCE) {
        kernel_set(0)->blocks(word, s.key, s.counter, first, AT_ONCE);
        for (uint32_t i = 0; i < AT_ONCE; i++) keep(&found, word + 4 * i, first + i);
    }
    free(word);
    return found;
}

/* Near 1 the rounding of u counts: at most 2^-25, which is 2^-24 in the square of a radius. From the rounded u on nothing may be lost. */
static void check_block(const zo_kernels *k, zo_stream s, uint32_t block)
{
    uint32_t word[4];
    double want[4], nearest[4];
    float got[4], ref[4];
    zo_stream_block(&s, block, word);
    box_muller(word, false, want);
    box_muller(word, true, nearest);
    k->normal(got, s.key, s.counter, block, 4);
    zo_kernels_ref.normal(ref, s.key, s.counter, block, 4);
    for (int c = 0; c < 4; c++) {
        double rounding = word[c / 2 * 2] >= 0xffffff00 ? 0x1p-12 : 0;
        assert_near((double)got[c], want[c], 2e-6 + rounding, 0, k->info.name);
        assert_near((double)got[c], nearest[c], 2e-6, 0, k->info.name);
    }
    assert_same_floats(got, ref, 4, k->info.name);
}

static void rare_words_give_what_float64_gives(void **state)
{
    (void)state;
    const zo_kernels *k;
    zo_stream s = stream(2);
    rare found = find_rare(s); /* of each end of a radius two are expected, of turns 32 */
    assert_true(found.longest && found.one && found.below_one && found.turns > 8);
    for (int set = 0; (k = kernel_set(set)); set++) {
        for (size_t i = 0; i < found.n; i++) check_block(k, s, found.block[i]);
    }
}

/* The longest radius is that of u = 2^-33, and no number is beyond it. */
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

/* ---- distributions ----
 *
 * Each check gives how far a statistic lies from what is expected, in units of a limit that chance passes with a probability below 1e-10:
 * seven deviations, or 3.6 of Kolmogorov & Smirnov's. Together they would reject good noise less than once in a million choices of
 * seeds. Each must reject noise that is wrong in one thing.
 */

static void note(double *worst, double deviations) { *worst = fmax(*worst, fabs(deviations) / 7); }

/* Of n fair coins `ones` fell on one side. */
static void note_coins(double *worst, double ones, double n)
{
    note(worst, (ones - n / 2) / (sqrt(n) / 2));
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Mean, and mean square, cube and fourth power. */
static double moments_of(const float *x, size_t n)
{
    double sum[5] = {0}, worst = 0, all = (double)n;
    for (size_t i = 0; i < n; i++) {
        double power = 1;
        for (int p = 0; p < 5; p++, power *= (double)x[i]) sum[p] += power;
    }
    note(&worst, sum[1] / sqrt(all));
    note(&worst, (sum[2] - all) / sqrt(2 * all));
    note(&worst, sum[3] / sqrt(15 * all));
    note(&worst, (sum[4] - 3 * all) / sqrt(96 * all));
    return worst;
}

/* Numbers, and their squares, do not go together with those of the same block, the next ones, or the same lane. */
static double neighbours_of(const float *x, size_t n)
{
    static const size_t distance[] = {1, 2, 3, 4, 5, 8, 16, 32, 64};
    double worst = 0;
    for (size_t d = 0; d < sizeof distance / sizeof *distance; d++) {
        double plain = 0, squares = 0, pairs = (double)(n - distance[d]);
        for (size_t i = 0; i + distance[d] < n; i++) {
            double a = (double)x[i], b = (double)x[i + distance[d]];
            plain += a * b, squares += (a * a - 1) * (b * b - 1);
        }
        note(&worst, plain / sqrt(pairs));
        note(&worst, squares / (2 * sqrt(pairs)));
    }
    return worst;
}

/* How many lie farther out than `reach`, on both sides together. */
static double tail_of(const float *x, size_t n, double reach)
{
    double beyond = 0, p = erfc(reach / sqrt(2)), worst = 0;
    for (size_t i = 0; i < n; i++) beyond += fabs((double)x[i]) > reach;
    note(&worst, (beyond - p * (double)n) / sqrt(p * (1 - p) * (double)n));
    return worst;
}

/* The largest gap between the distribution of x, which gets sorted, and the normal one. */
static double gap_of(float *x, size_t n)
{
    double gap = 0, all = (double)n;
    qsort(x, n, sizeof *x, ascending);
    for (size_t i = 0; i < n; i++) {
        double below = 0.5 * erfc(-(double)x[i] / sqrt(2));
        gap = fmax(gap, fmax(fabs(below - (double)i / all), fabs(below - (double)(i + 1) / all)));
    }
    return gap * sqrt(all) / 3.6;
}

static void normal_numbers_are_normal(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    float *x = floats(SEEDS * MANY);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_stream s = stream(seed);
        float *own = x + (seed - 1) * MANY;
        k->normal(own, s.key, s.counter, 0, MANY);
        assert_true(moments_of(own, MANY) < 1);
        assert_true(neighbours_of(own, MANY) < 1);
        assert_true(tail_of(own, MANY, 3) < 1);
    }
    assert_true(tail_of(x, SEEDS * MANY, 4) < 1); /* 166 of all are expected */
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        assert_true(gap_of(x + (seed - 1) * MANY, MANY) < 1);
    free(x);
}

static void wrong_normal_numbers_are_seen(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    zo_stream s = stream(1);
    float *x = floats(MANY), *y = floats(MANY);
    k->normal(x, s.key, s.counter, 0, MANY);
    for (size_t i = 0; i < MANY; i++) y[i] = x[i] * 1.02f; /* too wide */
    assert_true(moments_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) y[i] = x[i] + 0.02f; /* not in the middle */
    assert_true(moments_of(y, MANY) > 1);
    assert_true(gap_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) y[i] = x[i / 4 * 4 + i % 2]; /* half of each block twice */
    assert_true(neighbours_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++)
        y[i] = i % 2 ? copysignf(x[i - 1], x[i]) : x[i]; /* one radius */
    assert_true(neighbours_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) y[i] = fminf(3, fmaxf(-3, x[i])); /* no tails */
    assert_true(tail_of(y, MANY, 3) > 1);
    free(x), free(y);
}

/* Ones in every lane of sixteen blocks, and at every place of a word; each place against the next one, and against the same place of the
 * next word, of the next block and of the next sixteen blocks. */
static double bits_of(const uint32_t *word, size_t n)
{
    static const size_t distance[] = {0, 1, 4, 64};
    double worst = 0, lane[64] = {0};
    for (size_t i = 0; i < n; i++) lane[i % 64] += __builtin_popcount(word[i]);
    for (int l = 0; l < 64; l++) note_coins(&worst, lane[l], 32 * (double)(n / 64));
    for (int place = 0; place < 32; place++) {
        double ones = 0;
        for (size_t i = 0; i < n; i++) ones += word[i] >> place & 1;
        note_coins(&worst, ones, (double)n);
        for (int d = 0; d < 4; d++) {
            size_t pairs = n - distance[d], equal = 0;
            int other = distance[d] ? place : (place + 1) % 32;
            for (size_t i = 0; i < pairs; i++)
                equal += ~(word[i] >> place ^ word[i + distance[d]] >> other) & 1;
            note_coins(&worst, (double)equal, (double)pairs);
        }
    }
    return worst;
}

/* How often each word of 16 signs comes up: chi-square, made normal by Wilson & Hilferty (1931). */
static double words_of(const uint32_t *word, size_t n)
{
    enum { WORDS = 1 << 16 };
    uint32_t *count = calloc(WORDS, sizeof *count);
    assert_non_null(count);
    double chi = 0, worst = 0, expected = 2 * (double)n / WORDS, spread = 2.0 / (9 * (WORDS - 1));
    for (size_t i = 0; i < n; i++) count[word[i] & 0xffff]++, count[word[i] >> 16]++;
    for (int w = 0; w < WORDS; w++) chi += pow(count[w] - expected, 2) / expected;
    note(&worst, (cbrt(chi / (WORDS - 1)) - (1 - spread)) / sqrt(spread));
    free(count);
    return worst;
}

static void signs_are_fair(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    uint32_t *word = malloc(MANY * sizeof *word);
    assert_non_null(word);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_stream s = stream(seed);
        k->blocks(word, s.key, s.counter, 0, MANY / 4);
        assert_true(bits_of(word, MANY) < 1);
        assert_true(words_of(word, MANY) < 1);
    }
    free(word);
}

static void unfair_signs_are_seen(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    zo_stream s = stream(1);
    uint32_t *x = malloc(MANY * sizeof *x), *y = malloc(MANY * sizeof *y);
    assert_true(x && y);
    k->blocks(x, s.key, s.counter, 0, MANY / 4);
    for (size_t i = 0; i < MANY; i++) y[i] = x[i] | (i % 64 == 5 ? 8 : 0); /* one lane, one place */
    assert_true(bits_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) y[i] = (x[i] & 0x55555555) * 3; /* places in pairs */
    assert_true(bits_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) y[i] = x[i / 128 * 64 + i % 64]; /* everything twice */
    assert_true(bits_of(y, MANY) > 1);
    for (size_t i = 0; i < MANY; i++) /* one place is given by two others: only words show it */
        y[i] = (x[i] & 0xffff7fff) | ((x[i] ^ x[i] >> 1) & 1) << 15;
    assert_true(bits_of(y, MANY) < 1);
    assert_true(words_of(y, MANY) > 1);
    free(x), free(y);
}

/* Two streams side by side: bits that are equal, words that are equal, and their normal numbers. */
static double together(const zo_kernels *k, zo_stream s, zo_stream t)
{
    enum { N = 1 << 16 };
    uint32_t *word = malloc(2 * N * sizeof *word);
    float *x = floats(2 * N);
    double worst = 0, differ = 0, product = 0;
    int equal = 0;
    assert_non_null(word);
    k->blocks(word, s.key, s.counter, 0, N / 4), k->blocks(word + N, t.key, t.counter, 0, N / 4);
    k->normal(x, s.key, s.counter, 0, N), k->normal(x + N, t.key, t.counter, 0, N);
    for (size_t i = 0; i < N; i++) {
        differ += __builtin_popcount(word[i] ^ word[N + i]);
        product += (double)x[i] * (double)x[N + i];
        equal += word[i] == word[N + i];
    }
    note_coins(&worst, differ, 32.0 * N);
    note(&worst, product / sqrt(N));
    free(word), free(x);
    return equal > 4 ? INFINITY : worst; /* even one of 65,536 is rare */
}

/* Streams whose names differ as little as possible. */
static void streams_do_not_go_together(void **state)
{
    (void)state;
    const zo_kernels *k = kernel_set(0);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        zo_stream s = zo_stream_at(seed, ZO_FOR_NOISE, 7, 9);
        const zo_stream near[] = {
            zo_stream_at(seed + 1, ZO_FOR_NOISE, 7, 9),
            zo_stream_at(seed, ZO_FOR_TESTS, 7, 9),
            zo_stream_at(seed, ZO_FOR_NOISE, 8, 9),
            zo_stream_at(seed, ZO_FOR_NOISE, 7, 10),
            zo_stream_at(seed, ZO_FOR_NOISE, 7 + (1ull << 32), 9),
            zo_stream_at(seed + (1ull << 32), ZO_FOR_NOISE, 7, 9),
        };
        for (size_t i = 0; i < sizeof near / sizeof *near; i++)
            assert_true(together(k, s, near[i]) < 1);
        assert_true(together(k, s, s) > 1);
    }
}

/* ---- orthogonal signs ---- */

/* The signs of all draws at number j. malloc'ed: [draws] of 1 or -1. */
static int *signs_at(const zo_hadamard *h, size_t draws, size_t at)
{
    int *sign = calloc(draws, sizeof *sign);
    uint16_t *out = calloc(h->words, sizeof *out);
    for (size_t d = 0; d < draws; d++) {
        zo_hadamard_draw(h, d, out);
        sign[d] = out[at / 16] >> at % 16 & 1 ? -1 : 1;
    }
    free(out);
    return sign;
}

static int agreement(const int *a, const int *b, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Numbers of different columns: every two of as many as there are rows, pads between them not counted. And the same column, once more than
 * that: the same signs or the opposite ones. */
static void all_rows_are_orthogonal(void **state)
{
    enum { WORDS = 16, PITCH = 16 };
    uint16_t pattern[(1 + ZO_HADAMARD_MOST) * WORDS];
    (void)state;
    for (size_t channels = 5; channels <= 16; channels += 11) {
        for (int bits = 0; bits <= 6; bits++) {
            zo_hadamard h = {.pattern = pattern};
            zo_stream s = stream((uint64_t)bits);
            size_t draws = (size_t)1 << bits, n = WORDS * channels;
            int *sign[WORDS * PITCH];
            zo_hadamard_begin(&h, kernel_set(0), &s, draws, channels, PITCH, WORDS);
            assert_int_equal(h.bits, bits);
            for (size_t j = 0; j < n; j++)
                sign[j] = signs_at(&h, draws, j / channels * PITCH + j % channels);
            for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < n; j++) {
                    int want = i % draws == j % draws ? (int)draws : 0;
                    assert_int_equal(abs(agreement(sign[i], sign[j], draws)), want);
                }
            }
            for (size_t j = 0; j < n; j++) free(sign[j]);
        }
    }
}

/* Fewer draws than rows are different rows; signs are fair over streams, at each number and of every two. */
static void orthogonal_signs_are_fair(void **state)
{
    enum { STREAMS = 4000, DRAWS = 5, N = 16 };
    uint16_t pattern[(1 + ZO_HADAMARD_MOST) * 8], out[DRAWS][8];
    int sum[N] = {0}, both[N][N] = {{0}};
    (void)state;
    for (uint64_t seed = 0; seed < STREAMS; seed++) {
        zo_hadamard h = {.pattern = pattern};
        zo_stream s = stream(seed);
        zo_hadamard_begin(&h, kernel_set(0), &s, DRAWS, 16, 16, 8);
        for (size_t d = 0; d < DRAWS; d++) {
            zo_hadamard_draw(&h, d, out[d]);
            for (size_t e = 0; e < d; e++) assert_memory_not_equal(out[d], out[e], sizeof *out);
        }
        for (int i = 0; i < N; i++) {
            int a = out[3][0] >> i & 1 ? -1 : 1;
            sum[i] += a;
            for (int j = 0; j < i; j++) both[i][j] += a * (out[3][0] >> j & 1 ? -1 : 1);
        }
    }
    for (int i = 0; i < N; i++) {
        assert_true(abs(sum[i]) < 5 * sqrt(STREAMS));
        for (int j = 0; j < i; j++) assert_true(abs(both[i][j]) < 5 * sqrt(STREAMS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_published),
        cmocka_unit_test(blocks_are_those_of_the_generator),
        cmocka_unit_test(normal_numbers_are_those_of_float64),
        cmocka_unit_test(rare_words_give_what_float64_gives),
        cmocka_unit_test(no_word_gives_anything_wild),
        cmocka_unit_test(sets_and_lengths_agree),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(wrong_normal_numbers_are_seen),
        cmocka_unit_test(signs_are_fair),
        cmocka_unit_test(unfair_signs_are_seen),
        cmocka_unit_test(all_rows_are_orthogonal),
        cmocka_unit_test(orthogonal_signs_are_fair),
        cmocka_unit_test(streams_do_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

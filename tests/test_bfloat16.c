/* Numbers in bfloat16: rounding, against arithmetic and at its edges; products of pairs in each kernel set that has them, bit for bit; and sums of
 * products whose least squares problem is that of the rounded features.
 * labels: threads
 */
#include "linear_support.h"

#include "kernels/bfloat16.h"
#include "linear/ridge.h"

/* ---- rounding ---- */

static void check_rounding(uint32_t bits, uint32_t want)
{
    for (int sign = 0; sign < 2; sign++) {
        uint32_t minus = sign ? 0x80000000u : 0,
                 got = float_bits(zo_bfloat16(float_of(bits | minus)));
        if (!want) got &= 0x7fffffff; /* a zero of either sign */
        if (got != (want ? want | minus : 0))
            fail_msg("%08x became %08x, not %08x", bits | minus, got, want | minus);
    }
}

static void edges_are_rounded_as_defined(void **state)
{
    (void)state;
    check_rounding(0, 0);
    check_rounding(0x3f800000, 0x3f800000); /* 1 */
    check_rounding(0x3f807fff, 0x3f800000); /* below the middle, in it, above it */
    check_rounding(0x3f808000, 0x3f800000);
    check_rounding(0x3f808001, 0x3f810000);
    check_rounding(0x3f817fff, 0x3f810000);
    check_rounding(0x3f818000, 0x3f820000); /* the middle above an odd one */
    check_rounding(0x3fff8000, 0x40000000); /* into the next exponent */
    check_rounding(0x00000001, 0);          /* denormal */
    check_rounding(0x00800000, 0);
    check_rounding(0x237fffff, 0); /* just below 2^-56, which it would round to */
    check_rounding(0x23800000, 0x23800000);
    check_rounding(0x23808000, 0x23800000);
    check_rounding(0x7f7f0000, 0x7f7f0000); /* the largest */
    check_rounding(0x7f7f7fff, 0x7f7f0000);
    check_rounding(0x7f7f8000, 0x7f7f0000); /* would round to infinity */
    check_rounding(0x7f7fffff, 0x7f7f0000);
    check_rounding(0x7f800000, 0x7f7f0000);
}

static void rounding_is_to_the_nearest(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 1000000; i++) {
        float x = float_of((uint32_t)(draw_bits(&seed) >> 32));
        if (!isfinite(x)) continue;
        float got = zo_bfloat16(x), want = nearest_bfloat16(x);
        if (!(got == want)) fail_msg("%a became %a, not %a", (double)x, (double)got, (double)want);
        assert_int_equal(float_bits(got) & 0xffff, 0);
    }
}

static void pairs_hold_both_numbers(void **state)
{
    (void)state;
    uint32_t pair = zo_bfloat16_pair(-1.5f, 0x1p-3f);
    assert_int_equal(pair, 0xbfc03e00);
    assert_true(zo_bfloat16_first(pair) == -1.5f && zo_bfloat16_second(pair) == 0x1p-3f);
}

/* ---- products of pairs ---- */

/* Numbers with exponents from least on, `span` of them; some zeros of either sign. */
static uint32_t any_number(uint64_t *seed, uint32_t least, uint32_t span)
{
    uint32_t bits = (uint32_t)(draw_bits(seed) >> 32), sign = bits & 0x8000;
    if (bits >> 28 == 0) return sign;
    return sign | (127 + least + (bits >> 16) % span) << 7 | (bits & 0x7f);
}

/* Column j of rows in pairs, in panels: word l. */
static uint32_t word_at(const uint32_t *a, size_t pairs, size_t l, size_t j)
{
    return a[j / 32 * 32 * pairs + l * 32 + j % 32];
}

static float naive_chain(const uint32_t *a, size_t i, const uint32_t *b, size_t j, size_t pairs)
{
    float sum = 0;
    for (size_t l = 0; l < 2 * pairs; l++) {
        uint32_t x = word_at(a, pairs, l / 2, i), y = word_at(b, pairs, l / 2, j);
        x = l % 2 ? x << 16 : x >> 16 << 16; /* the high half is the row that comes first */
        y = l % 2 ? y << 16 : y >> 16 << 16;
        sum = fmaf(float_of(x), float_of(y), sum);
    }
    return sum;
}

static void check_pairs(size_t m, size_t n, size_t pairs, uint32_t least, uint32_t span)
{
    size_t ldc = n + 16 * (pairs % 3), floats_c = m * ldc + 16;
    uint64_t seed = 1000 * m + 10 * n + pairs + span;
    uint32_t *a = calloc(m * pairs, sizeof *a), *b = calloc(n * pairs, sizeof *b);
    float *start = floats(floats_c), *want = floats(floats_c), *got = floats(floats_c);
    assert_true(a && b);
    for (size_t i = 0; i < m * pairs; i++)
        a[i] = any_number(&seed, least, span) << 16 | any_number(&seed, least, span);
    for (size_t i = 0; i < n * pairs; i++)
        b[i] = any_number(&seed, least, span) << 16 | any_number(&seed, least, span);
    for (size_t j = 0; j < n; j++) b[j / 32 * 32 * pairs + (pairs - 1) * 32 + j % 32] &= 0xffff0000;
    draw_many(&seed, start, floats_c, -1, 1);
    memcpy(want, start, floats_c * sizeof *want);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) want[i * ldc + j] += naive_chain(a, i, b, j, pairs);
    }
    for (int s = 0; kernel_set(s); s++) {
        if (!kernel_set(s)->add_pairs) continue;
        memcpy(got, start, floats_c * sizeof *got);
        kernel_set(s)->add_pairs(got, ldc, a, m, b, n, pairs);
        assert_same_floats(got, want, floats_c, "products of pairs, and what lies between rows");
    }
    free(a), free(b), free(start), free(want), free(got);
}

static void products_of_pairs(void **state)
{
    (void)state;
    static const size_t pairs[] = {1, 2, 3, 7, 64, 129}, columns[] = {32, 64, 96, 160};
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 4; j++) {
            check_pairs(columns[j], columns[(i + j) % 4], pairs[i], 0, 1); /* cancels often */
            check_pairs(columns[j], columns[i % 4], pairs[i], (uint32_t)-6, 12);
            check_pairs(32, columns[j], pairs[i], (uint32_t)-56, 113); /* nothing is denormal */
        }
    }
}

/* ---- the problem that is solved ---- */

/* What gram.h says the features are: about the mean of the first tile, times the roots of weights, rounded. Weights are powers of four, so that
 * dividing by their roots is exact. */
static table rounded_table(const table *t)
{
    table r = {t->m, t->p, t->q, floats(t->m * t->p), t->y, t->weight};
    size_t first = t->m < ZO_GRAM_TILE ? t->m : ZO_GRAM_TILE;
    for (size_t j = 0; j < t->p; j++) {
        double sum = 0;
        for (size_t i = 0; i < first; i++) sum += (double)t->h[i * t->p + j];
        float shift = (float)(sum / (double)first);
        for (size_t i = 0; i < t->m; i++) {
            float root = sqrtf(t->weight[i]);
            r.h[i * t->p + j] = nearest_bfloat16(root * (t->h[i * t->p + j] - shift)) / root;
        }
    }
    return r;
}

/* The distance of a solution from that of a table in long double. */
static double off(const float *w, const table *of, const float *weight, double lambda)
{
    long double *want = long_doubles(of->p * of->q), *b = long_doubles(of->q);
    ridge_of(of, weight, lambda, true, true, want, b);
    double d = distance(w, of->q, want, of->p, of->q);
    free(want), free(b);
    return d;
}

static void check_problem(zo_context *ctx, size_t m, bool weighted)
{
    enum { P = 30, Q = 2 };
    table t = make_table(m, P, Q, 3);
    for (size_t i = 0; i < m; i++) t.weight[i] = weighted ? i % 3 == 0 ? 4 : 0.25f : 1;
    table r = rounded_table(&t);
    float w[P * Q], b[Q];
    zo_ridge_def def = zo_ridge_default_def();
    zo_gram *g = gram_of(ctx, &t, ZO_GRAM_BFLOAT16 | (weighted ? ZO_GRAM_WEIGHTED : 0));
    zo_moments s = zo_gram_close(g);
    assert_int_equal(zo_ridge_solve(ctx, &s, &def, w, Q, b, NULL), ZO_OK);
    zo_gram_destroy(g);
    double error = off(w, &r, t.weight, def.lambda), other = off(w, &t, t.weight, def.lambda);
    if (!(error < 1e-5)) fail_msg("%zu rows: off by %.2g", m, error);
    if (!(other > 4 * error)) fail_msg("%zu rows: near the features unrounded: %.2g", m, other);
    free(r.h);
    free_table(&t);
}

static void the_problem_is_that_of_the_rounded_features(void **state)
{
    (void)state;
    zo_context *ctx = make_context(2, NULL, NULL);
    for (size_t m = 300; m < 800; m += 50) {
        check_problem(ctx, m, false);
        check_problem(ctx, m, true);
    }
    zo_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_rounded_as_defined),
        cmocka_unit_test(rounding_is_to_the_nearest),
        cmocka_unit_test(pairs_hold_both_numbers),
        cmocka_unit_test(products_of_pairs),
        cmocka_unit_test(the_problem_is_that_of_the_rounded_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sums of products: bit for bit as gram.h defines them, near the truth in long double, whatever cuts the rows, in every kernel set and for any
 * number of threads; rows taken away again; saved and loaded; what is refused.
 * labels: threads
 */
#include "linear_support.h"

/* ---- the definition ---- */

/* Feature or output j of a row about the shift, as the left side of a chain has it, and as the right side does. */
static float left_of(const table *t, unsigned flags, size_t i, size_t j, const float *shift)
{
    float x = j < t->p ? t->h[i * t->p + j] : t->y[i * t->q + j - t->p];
    bool rounded = flags & ZO_GRAM_BFLOAT16 && j < t->p;
    float root = rounded && flags & ZO_GRAM_WEIGHTED ? sqrtf(fabsf(t->weight[i])) : 1;
    return rounded ? nearest_bfloat16(root * (x - shift[j])) : x - shift[j];
}

static float right_of(const table *t, unsigned flags, size_t i, size_t j, const float *shift)
{
    float x = left_of(t, flags, i, j, shift), w = t->weight[i], sign = w < 0 ? -1 : 1;
    if (!(flags & ZO_GRAM_WEIGHTED)) return x;
    if (!(flags & ZO_GRAM_BFLOAT16)) return w * x;
    return j < t->p ? sign * x : sign * sqrtf(fabsf(w)) * x;
}

/* g of a table, tile by tile, one chain for each element; and sums of x. */
static void define(const table *t, unsigned flags, float *g, float *c, double *sum_h)
{
    size_t p = t->p, q = t->q, first = t->m < ZO_GRAM_TILE ? t->m : ZO_GRAM_TILE;
    float *shift = floats(p + q);
    for (size_t j = 0; j < p + q; j++) {
        double sum = 0;
        for (size_t i = 0; i < first; i++)
            sum += (double)(j < p ? t->h[i * p + j] : t->y[i * q + j - p]);
        shift[j] = (float)(sum / (double)first);
    }
    for (size_t a = 0; a < p; a++) {
        for (size_t b = 0; b < p + q; b++) {
            float *to = b < p ? g + a * p + b : c + a * q + b - p;
            *to = 0;
            for (size_t tile = 0; tile < t->m; tile += ZO_GRAM_TILE) {
                float sum = 0;
                for (size_t i = tile; i < t->m && i < tile + ZO_GRAM_TILE; i++)
                    sum = fmaf(left_of(t, flags, i, a, shift), right_of(t, flags, i, b, shift), sum);
                *to += sum;
            }
        }
    }
    for (size_t j = 0; j < p; j++) {
        sum_h[j] = 0;
        for (size_t i = 0; i < t->m; i++) {
            double x = (double)left_of(t, flags, i, j, shift), w = (double)t->weight[i];
            if (flags & ZO_GRAM_BFLOAT16) w = copysign(sqrt(fabs(w)), w);
            sum_h[j] += flags & ZO_GRAM_WEIGHTED ? w * x : x;
        }
    }
    free(shift);
}

static void check_definition(size_t m, size_t p, size_t q, unsigned flags)
{
    table t = make_table(m, p, q, 3);
    float *g = floats(p * p), *c = floats(p * q);
    double *sum_h = calloc(p, sizeof *sum_h), weight = 0;
    assert_non_null(sum_h);
    for (size_t i = 0; i < m; i++) {
        if (i % 7 == 3) t.weight[i] *= -1;
        weight += flags & ZO_GRAM_WEIGHTED ? (double)t.weight[i] : 1;
    }
    define(&t, flags, g, c, sum_h);
    zo_context *ctx = make_context(2, NULL, NULL);
    zo_gram *gram = gram_of(ctx, &t, flags);
    zo_moments s = zo_gram_close(gram);
    assert_near(s.weight, weight, 1e-4, 0, "the sum of weights");
    for (size_t j = 0; j < p; j++) assert_near(s.sum_h[j], sum_h[j], 1e-4, 0, "a sum of x");
    assert_int_equal(zo_gram_count(gram), m);
    for (size_t i = 0; i < p; i++) {
        assert_same_floats(s.g + i * s.ld, g + i * p, i + 1, "sums of products");
        assert_same_floats(s.c + i * s.ldc, c + i * q, q, "sums of products with outputs");
    }
    zo_gram_destroy(gram);
    zo_context_destroy(ctx);
    free(g), free(c), free(sum_h);
    free_table(&t);
}

static void sums_follow_their_definition(void **state)
{
    (void)state;
    for (unsigned rounded = 0; rounded <= ZO_GRAM_BFLOAT16; rounded += ZO_GRAM_BFLOAT16) {
        check_definition(1, 1, 1, rounded);
        check_definition(300, 33, 3, rounded);
        check_definition(ZO_GRAM_TILE, 70, 20, rounded | ZO_GRAM_WEIGHTED);
        check_definition(2 * ZO_GRAM_TILE + 7, 150, 1, rounded | ZO_GRAM_WEIGHTED);
        check_definition(40, 300, 0, rounded);
    }
}

/* ---- the truth ---- */

/* The largest error of the matrix about the mean, relative to its diagonal. */
static double error_of(const table *t, const zo_normal *s)
{
    long double *mean = long_doubles(t->p);
    means_of(mean, t->h, t->m, t->p, t->weight, true);
    double worst = 0, *a = calloc(t->p * t->p, sizeof *a);
    assert_non_null(a);
    zo_normal_matrix64(s, a);
    for (size_t r = 0; r < t->p; r++) {
        for (size_t c = 0; c < t->p; c++) {
            long double sum = 0, diagonal = 0;
            for (size_t i = 0; i < t->m; i++) {
                long double x = (long double)t->h[i * t->p + r] - mean[r],
                            y = (long double)t->h[i * t->p + c] - mean[c],
                            w = (long double)t->weight[i];
                sum += w * x * y, diagonal += w * x * x;
            }
            worst = fmax(worst, fabs((double)((sum - (long double)a[r * t->p + c]) / diagonal)));
        }
    }
    free(a), free(mean);
    return worst;
}

/* Means a thousand times the deviations: sums about zero lose everything, sums about the first tile's mean nothing. */
static void means_do_not_hide_deviations(void **state)
{
    (void)state;
    zo_context *ctx = make_context(2, NULL, NULL);
    table t = make_table(1000, 20, 2, 4000);
    zo_gram *g = gram_of(ctx, &t, ZO_GRAM_WEIGHTED);
    zo_moments m = zo_gram_close(g);
    zo_normal s;
    assert_int_equal(zo_normal_init(&s, ctx, &m, true), ZO_OK);
    double error = error_of(&t, &s);
    if (!(error < 2e-6)) fail_msg("off by %.2g", error);
    zo_normal_fini(&s);

    float *g0 = floats(m.p * m.ld); /* the broken twin: float32 sums about zero */
    double *sum = calloc(m.p, sizeof *sum);
    for (size_t i = 0; i < t.m; i++) {
        for (size_t r = 0; r < t.p; r++) {
            sum[r] += (double)t.weight[i] * (double)t.h[i * t.p + r];
            for (size_t c = 0; c <= r; c++)
                g0[r * m.ld + c] += t.weight[i] * t.h[i * t.p + r] * t.h[i * t.p + c];
        }
    }
    zo_moments twin = {t.p, t.q, m.ld, m.ldc, m.weight, g0, m.c, sum, NULL, NULL, NULL};
    assert_int_equal(zo_normal_init(&s, ctx, &twin, true), ZO_OK);
    assert_true(error_of(&t, &s) > 1e-2);
    zo_normal_fini(&s);
    free(g0), free(sum);
    zo_gram_destroy(g);
    free_table(&t);
    zo_context_destroy(ctx);
}

/* ---- cuts, threads, kernel sets ---- */

typedef struct cutting {
    table t;
    size_t rows; /* at most so many a call, each call another number; 0: all at once */
    unsigned flags;
} cutting;

static size_t lower_floats(size_t p, size_t q) { return p * (p + 1) / 2 + p * q; }

static void copy_sums(const zo_moments *s, float *out)
{
    for (size_t i = 0; i < s->p; i++) {
        memcpy(out, s->g + i * s->ld, (i + 1) * sizeof *out);
        memcpy(out + i + 1, s->c + i * s->ldc, s->q * sizeof *out);
        out += i + 1 + s->q;
    }
}

static void add_cut(zo_gram *g, const table *t, size_t first, size_t end, size_t rows)
{
    for (size_t n, times = 0; first < end; first += n, times++) {
        n = rows ? 1 + times * 37 % rows : end;
        if (n > end - first) n = end - first;
        assert_int_equal(zo_gram_add(g, n, t->h + first * t->p, t->p, t->y + first * t->q, t->q,
                                     t->weight + first),
                         ZO_OK);
    }
}

static void sums_in_cuts(zo_context *ctx, void *arg, float *out)
{
    const cutting *c = arg;
    zo_gram *g = NULL;
    assert_int_equal(zo_gram_create(ctx, c->t.p, c->t.q, ZO_GRAM_WEIGHTED | c->flags, &g), ZO_OK);
    add_cut(g, &c->t, 0, c->t.m, c->rows);
    zo_moments s = zo_gram_close(g);
    copy_sums(&s, out);
    zo_gram_destroy(g);
}

static void cuts_do_not_matter(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 7, 255, 256, 257, 600, 1500};
    cutting c = {make_table(1700, 40, 3, 1), 0, 0};
    size_t n = lower_floats(40, 3);
    float *want = floats(n), *got = floats(n);
    zo_context *ctx = make_context(2, NULL, NULL);
    sums_in_cuts(ctx, &c, want);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c.rows = rows[i];
        sums_in_cuts(ctx, &c, got);
        assert_same_floats(got, want, n, "rows in other cuts");
    }
    zo_context_destroy(ctx);
    free(want), free(got);
    free_table(&c.t);
}

static void threads_and_sets_do_not_matter(void **state)
{
    (void)state;
    for (unsigned rounded = 0; rounded <= ZO_GRAM_BFLOAT16; rounded += ZO_GRAM_BFLOAT16) {
        cutting c = {make_table(300, 290, 11, 1), 100, rounded};
        same_everywhere(sums_in_cuts, &c, lower_floats(290, 11), false);
        free_table(&c.t);
        c = (cutting){make_table(260, 2100, 2, 1), 0, rounded}; /* large blocks */
        same_everywhere(sums_in_cuts, &c, lower_floats(2100, 2), true);
        free_table(&c.t);
    }
}

/* ---- fewer rows, and later ---- */

static void take_rows_away(unsigned flags)
{
    zo_context *ctx = make_context(2, NULL, NULL);
    table t = make_table(900, 50, 2, 2), rest = t;
    rest.m = 500;
    zo_gram *g = gram_of(ctx, &t, flags), *want = gram_of(ctx, &rest, flags);
    float *minus = floats(400);
    for (size_t i = 0; i < 400; i++) minus[i] = -t.weight[500 + i];
    assert_int_equal(zo_gram_add(g, 400, t.h + 500 * t.p, t.p, t.y + 500 * t.q, t.q, minus), ZO_OK);
    zo_moments a = zo_gram_close(g), b = zo_gram_close(want);
    assert_near(a.weight, b.weight, 1e-9, 0, "the sum of weights");
    for (size_t i = 0; i < t.p; i++) {
        assert_near(a.sum_h[i], b.sum_h[i], 1e-9, 0, "a sum of a feature");
        for (size_t j = 0; j <= i; j++)
            assert_near((double)a.g[i * a.ld + j], (double)b.g[i * b.ld + j], 4e-3, 0,
                        "a sum of products, of some 800");
    }
    free(minus);
    zo_gram_destroy(g), zo_gram_destroy(want);
    free_table(&t);
    zo_context_destroy(ctx);
}

static void rows_can_be_taken_away(void **state)
{
    (void)state;
    take_rows_away(ZO_GRAM_WEIGHTED);
    take_rows_away(ZO_GRAM_WEIGHTED | ZO_GRAM_BFLOAT16);
}

static void save_and_go_on(unsigned rounded)
{
    unsigned flags = ZO_GRAM_WEIGHTED | rounded;
    zo_context *ctx = make_context(2, NULL, NULL);
    table t = make_table(1100, 40, 3, 2);
    size_t n = lower_floats(t.p, t.q);
    float *want = floats(n), *got = floats(n);
    cutting all = {t, 0, rounded};
    sums_in_cuts(ctx, &all, want);
    static const size_t cut[] = {0, 1, 100, 256, 700};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        zo_gram *g = NULL, *later = NULL;
        zo_gram_array from[ZO_GRAM_ARRAYS], to[ZO_GRAM_ARRAYS];
        assert_int_equal(zo_gram_create(ctx, t.p, t.q, flags, &g), ZO_OK);
        add_cut(g, &t, 0, cut[i], 0);
        assert_int_equal(zo_gram_create(ctx, t.p, t.q, flags, &later), ZO_OK);
        zo_gram_state(g, from), zo_gram_state(later, to);
        for (int a = 0; a < ZO_GRAM_ARRAYS; a++) {
            assert_int_equal(from[a].bytes, to[a].bytes);
            memcpy(to[a].data, from[a].data, to[a].bytes);
        }
        assert_int_equal(from[0].bytes, 32);
        zo_gram_destroy(g);
        assert_int_equal(zo_gram_loaded(later), ZO_OK);
        add_cut(later, &t, cut[i], t.m, 0);
        zo_moments s = zo_gram_close(later);
        copy_sums(&s, got);
        assert_same_floats(got, want, n, "sums after loading");
        zo_gram_state(later, to);
        ((int64_t *)to[0].data)[1] = ZO_GRAM_TILE; /* more than can wait */
        assert_int_equal(zo_gram_loaded(later), ZO_FORMAT);
        zo_gram_destroy(later);
    }
    free(want), free(got);
    free_table(&t);
    zo_context_destroy(ctx);
}

static void saved_sums_go_on(void **state)
{
    (void)state;
    save_and_go_on(0);
    save_and_go_on(ZO_GRAM_BFLOAT16);
}

/* ---- refused ---- */

static void bad_rows_are_refused_whole(void **state)
{
    (void)state;
    zo_context *ctx = make_context(2, NULL, NULL);
    table t = make_table(300, 40, 3, 2);
    zo_gram *g = gram_of(ctx, &t, ZO_GRAM_WEIGHTED | ZO_GRAM_BFLOAT16);
    t.h[70 * 40 + 9] = NAN;
    assert_int_equal(zo_gram_add(g, 300, t.h, 40, t.y, 3, t.weight), ZO_FORMAT);
    error_says(ctx, "feature 9", "row 370", NULL);
    t.h[70 * 40 + 9] = 0;
    t.y[200 * 3 + 2] = INFINITY;
    assert_int_equal(zo_gram_add(g, 300, t.h, 40, t.y, 3, t.weight), ZO_FORMAT);
    error_says(ctx, "output 2", "row 500", NULL);
    t.y[200 * 3 + 2] = 0;
    t.weight[0] = -INFINITY;
    assert_int_equal(zo_gram_add(g, 300, t.h, 40, t.y, 3, t.weight), ZO_FORMAT);
    assert_int_equal(zo_gram_count(g), 300);
    assert_int_equal(zo_gram_add(g, 0, t.h, 40, t.y, 3, NULL), ZO_OK);
    zo_gram_destroy(g);
    assert_int_equal(zo_gram_create(ctx, 40, 3, 0, &g), ZO_OK);
    assert_int_equal(zo_gram_add(g, 1, t.h, 40, t.y, 3, t.weight), ZO_USAGE);
    zo_gram_destroy(g);
    assert_int_equal(zo_gram_create(ctx, 0, 3, 0, &g), ZO_USAGE);
    assert_null(g);
    zo_gram_destroy(NULL);
    free_table(&t);
    zo_context_destroy(ctx);
}

static zo_status make_sums(zo_context *ctx, void *arg)
{
    const table *t = arg;
    zo_gram *g = NULL;
    zo_status status = zo_gram_create(ctx, t->p, t->q, ZO_GRAM_WEIGHTED | ZO_GRAM_BFLOAT16, &g);
    if (!status) status = zo_gram_add(g, t->m, t->h, t->p, t->y, t->q, t->weight);
    zo_gram_destroy(g);
    return status;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    table t = make_table(300, 40, 3, 2);
    assert_true(refuse_each(make_sums, &t) > 10);
    free_table(&t);
}

static void bytes_are_known_before(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        memory m = {.left = -1};
        zo_context *ctx = make_context(1, NULL, &m);
        zo_gram *g = NULL;
        long long before = m.bytes;
        assert_int_equal(zo_gram_create(ctx, 200, 30, flags, &g), ZO_OK);
        assert_near((double)(m.bytes - before), zo_gram_bytes(200, 30, flags), 2000, 0,
                    "bytes of sums");
        zo_gram_destroy(g);
        zo_context_destroy(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_follow_their_definition),
        cmocka_unit_test(means_do_not_hide_deviations),
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(threads_and_sets_do_not_matter),
        cmocka_unit_test(rows_can_be_taken_away),
        cmocka_unit_test(saved_sums_go_on),
        cmocka_unit_test(bad_rows_are_refused_whole),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(bytes_are_known_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

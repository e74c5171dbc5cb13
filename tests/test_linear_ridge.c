/* Ridge solves: against the definition in long double, closed forms, systems that lose all digits without refinement, and everything that must
 * not give NaN: features that never move, twins, fewer rows than features, single rows.
 * labels: threads
 */
#include "linear_support.h"

#include "linear/ridge.h"

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

/* A solve of a table; w [p][q], b [q], malloc'ed. */
typedef struct solution {
    float *w, *b;
    zo_ridge_result r;
} solution;

static solution solve_table(const table *t, const zo_ridge_def *def, bool weighted)
{
    solution s = {.w = floats(t->p * t->q), .b = floats(t->q)};
    zo_gram *g = gram_of(ctx, t, weighted ? ZO_GRAM_WEIGHTED : 0);
    zo_moments m = zo_gram_close(g);
    if (zo_ridge_solve(ctx, &m, def, s.w, t->q, s.b, &s.r))
        fail_msg("ridge: %s", zo_last_error(ctx));
    zo_gram_destroy(g);
    for (size_t i = 0; i < t->p * t->q; i++) assert_true(isfinite(s.w[i]));
    for (size_t j = 0; j < t->q; j++) assert_true(isfinite(s.b[j]));
    return s;
}

static void free_solution(solution *s) { free(s->w), free(s->b); }

/* ---- the definition ---- */

static void check_definition(size_t m, size_t p, zo_ridge_def def, bool weighted, double centre)
{
    enum { Q = 3 };
    table t = make_table(m, p, Q, centre);
    long double *w = long_doubles(p * Q), b[Q];
    ridge_of(&t, weighted ? t.weight : NULL, def.lambda, def.relative, def.intercept, w, b);
    solution s = solve_table(&t, &def, weighted);
    double error = distance(s.w, Q, w, p, Q);
    if (!(error < 1e-4))
        fail_msg("%zu rows of %zu: off by %.2g (condition %.2g, refined %d)", m, p, error,
                 s.r.condition, s.r.refined);
    for (size_t j = 0; j < Q; j++)
        assert_near((double)s.b[j], def.intercept ? (double)b[j] : 0, 1e-3, 1e-4, "an intercept");
    assert_false(s.r.raised);
    assert_true(s.r.residual < 1e-4 && s.r.lambda > 0);
    free(w);
    free_solution(&s);
    free_table(&t);
}

static void weights_follow_their_definition(void **state)
{
    (void)state;
    zo_ridge_def def = zo_ridge_default_def();
    for (int i = 0; i < 8; i++) {
        def.relative = i & 1;
        def.intercept = i & 2;
        def.lambda = def.relative ? 0.01 : 3;
        check_definition(200, 30, def, i & 4, 1);
        check_definition(500, 70, def, i & 4, 20);
        check_definition(90, 130, def, i & 4, 0);
    }
}

/* Columns of +-1 that are orthogonal: w = x^T y / (n + lambda). */
static void orthogonal_designs(void **state)
{
    (void)state;
    enum { N = 64, P = 40 };
    table t = {N, P, 1, floats(N * P), floats(N), NULL};
    uint64_t seed = 3;
    draw_many(&seed, t.y, N, -1, 1);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < P; j++) t.h[i * P + j] = __builtin_parityll(i & (j + 1)) ? -1 : 1;
    }
    zo_ridge_def def = {.lambda = 5, .intercept = true, .refine = -1};
    solution s = solve_table(&t, &def, false);
    for (size_t j = 0; j < P; j++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++) sum += (double)t.h[i * P + j] * (double)t.y[i];
        assert_near((double)s.w[j], sum / (N + 5), 1e-6, 1e-6, "a weight of an orthogonal design");
    }
    assert_int_equal(s.r.refined, 0);
    free_solution(&s);
    free(t.h), free(t.y);
}

/* ---- few digits ---- */

/* How far the solution for the Hilbert matrix of n, rounded to float32, is from the truth. */
static double hilbert(size_t n, int refine, zo_ridge_result *r)
{
    size_t ld = zo_square_ld(n);
    float *g = floats(n * ld), *c = floats(n * 16), *w = floats(n);
    long double *a = long_doubles(n * n), *x = long_doubles(n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            g[i * ld + j] = 1 / (float)(i + j + 1);
            a[i * n + j] = a[j * n + i] = (long double)g[i * ld + j];
        }
        c[i * 16] = (float)(1 + i % 3);
        x[i] = (long double)c[i * 16];
    }
    zo_moments m = {.p = n, .q = 1, .ld = ld, .ldc = 16, .weight = 1, .g = g, .c = c};
    zo_ridge_def def = {.intercept = true, .refine = refine};
    assert_int_equal(zo_ridge_solve(ctx, &m, &def, w, 1, NULL, r), ZO_OK);
    eliminate(a, x, n, 1);
    double error = distance(w, 1, x, n, 1);
    free(g), free(c), free(w), free(a), free(x);
    return error;
}

static void refinement_finds_lost_digits(void **state)
{
    (void)state;
    zo_ridge_result r;
    for (size_t n = 5; n <= 6; n++) { /* conditions 5e5 and 1.5e7 */
        double without = hilbert(n, 0, &r);
        assert_true(r.refined == 0 && !r.float64 && !r.raised);
        double with = hilbert(n, -1, &r);
        if (!(without > 1e-4 && with < 1e-6))
            fail_msg("Hilbert matrix of %zu: off by %.2g and, refined, by %.2g", n, without, with);
        assert_true(r.refined > 0 && r.residual < 1e-6 && r.condition > 1e4);
    }
    double error = hilbert(8, -1, &r); /* 1.5e10: float32 cannot */
    assert_true(error < 1e-5 && r.float64 && !r.raised);
    hilbert(16, -1, &r); /* 1e22, and no longer positive definite once rounded */
    assert_true(r.raised && r.lambda > 0 && r.residual < 1e-2);
}

/* ---- no NaN ---- */

static double prediction_error(const table *t, const solution *s)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < t->m; i++) {
        for (size_t j = 0; j < t->q; j++) {
            double y = (double)t->y[i * t->q + j], sum = (double)s->b[j] - y;
            for (size_t k = 0; k < t->p; k++)
                sum += (double)t->h[i * t->p + k] * (double)s->w[k * t->q + j];
            off += sum * sum, all += y * y;
        }
    }
    return sqrt(off / all);
}

static void features_that_never_move(void **state)
{
    (void)state;
    table t = make_table(300, 40, 2, 1);
    for (size_t i = 0; i < t.m; i++) t.h[i * 40 + 7] = 1.7f, t.h[i * 40 + 39] = 0;
    zo_ridge_def def = {.lambda = 0, .intercept = true, .refine = -1};
    solution s = solve_table(&t, &def, false);
    assert_true(!s.r.raised && s.r.lambda == 0);
    for (size_t j = 0; j < 2; j++) {
        assert_true(s.w[7 * 2 + j] == 0);
        assert_true(s.w[39 * 2 + j] == 0);
    }
    free_solution(&s);
    for (size_t i = 0; i < t.m * 40; i++) t.h[i] = 3;
    def.lambda = 0.1, def.relative = true;
    s = solve_table(&t, &def, true); /* nothing moves at all: the mean is left */
    for (size_t k = 0; k < 80; k++) assert_true(s.w[k] == 0);
    assert_true(s.b[0] > 1);
    free_solution(&s);
    free_table(&t);
}

/* The last feature is the fourth once more: both together do what one does alone. */
static void check_twins(size_t m, size_t p)
{
    table t = make_table(m, p, 2, 1), alone = make_table(m, p, 2, 1);
    alone.p = p - 1;
    for (size_t i = 0; i < m; i++) {
        memmove(alone.h + i * (p - 1), t.h + i * p, (p - 1) * sizeof *t.h);
        t.h[i * p + p - 1] = t.h[i * p + 3];
    }
    zo_ridge_def def = {.lambda = 0, .intercept = true, .refine = -1};
    solution s = solve_table(&t, &def, false), want = solve_table(&alone, &def, false);
    assert_true(s.r.raised && s.r.lambda > 0 && s.r.column < p && !want.r.raised);
    assert_true(prediction_error(&t, &s) < 1.0001 * prediction_error(&alone, &want));
    for (size_t j = 0; j < 2; j++) {
        double one = (double)s.w[3 * 2 + j], other = (double)s.w[(p - 1) * 2 + j];
        assert_near(one, other, 0.02, 0, "a twin's weight");
        assert_near(one + other, (double)want.w[3 * 2 + j], 1e-3, 0, "the weight of both twins");
    }
    free_solution(&s), free_solution(&want);
    free_table(&t), free_table(&alone);
}

static void features_that_are_twins(void **state)
{
    (void)state;
    check_twins(300, 40);
    check_twins(1500, ZO_RIDGE_SMALL + 20);
}

static void fewer_rows_than_features(void **state)
{
    (void)state;
    for (int lambda = 0; lambda < 2; lambda++) {
        for (size_t m = 1; m <= 33; m += 16) {
            table t = make_table(m, 60, 2, 1);
            zo_ridge_def def = {.lambda = lambda * 1e-5, .relative = true, .intercept = true, -1};
            solution s = solve_table(&t, &def, false);
            assert_true(prediction_error(&t, &s) < 1e-3); /* enough freedom to meet all rows */
            if (m > 1 && !lambda) assert_true(s.r.raised);
            free_solution(&s);
            free_table(&t);
        }
    }
}

/* ---- refused ---- */

static void check_refused(zo_moments m, zo_ridge_def def, zo_status status, const char *word)
{
    float w[3], b[1];
    zo_ridge_result r;
    assert_int_equal(zo_ridge_solve(ctx, &m, &def, w, 1, b, &r), status);
    error_says(ctx, word, NULL);
}

static void what_cannot_be_solved_is_refused(void **state)
{
    (void)state;
    float g[3 * 32] = {0}, c[3 * 16] = {0};
    double sum[3] = {0};
    zo_ridge_def def = zo_ridge_default_def();
    zo_moments m = {.p = 3, .q = 1, .ld = 32, .ldc = 16, .weight = 2, .g = g, .c = c, .sum_h = sum};
    g[0] = g[33] = g[66] = 1;
    check_refused(m, (zo_ridge_def){.lambda = -1}, ZO_USAGE, "lambda");
    check_refused(m, (zo_ridge_def){.lambda = NAN}, ZO_USAGE, "lambda");
    m.q = 0;
    check_refused(m, def, ZO_USAGE, "0 outputs");
    m.q = 1;
    m.weight = 0;
    check_refused(m, def, ZO_FORMAT, "weights");
    m.weight = 2;
    g[33] = INFINITY;
    check_refused(m, def, ZO_FORMAT, "feature 1");
    g[33] = 1, g[65] = NAN;
    check_refused(m, def, ZO_FORMAT, "feature 2");
    g[65] = 0, c[16] = NAN;
    check_refused(m, def, ZO_FORMAT, "output 0");
    c[16] = 0, sum[2] = INFINITY;
    check_refused(m, def, ZO_FORMAT, "feature 2");
    sum[2] = 0, g[64] = -1e9f; /* no rows give that */
    check_refused(m, def, ZO_FORMAT, "feature 2");
    for (int i = 0; i < 9; i++)
        g[i / 3 * 32 + i % 3] = i % 4 ? 25 : -25; /* nor that, for any lambda */
    check_refused(m, def, ZO_FORMAT, "taken away");
}

static zo_status solve_anew(zo_context *of, void *arg)
{
    const table *t = arg;
    float w[600], b[2];
    zo_ridge_def def = {.lambda = 0, .intercept = true, .refine = -1};
    zo_gram *g = NULL;
    zo_status status = zo_gram_create(of, t->p, t->q, 0, &g);
    if (!status) status = zo_gram_add(g, t->m, t->h, t->p, t->y, t->q, NULL);
    if (!status) {
        zo_moments m = zo_gram_close(g);
        status = zo_ridge_solve(of, &m, &def, w, t->q, b, NULL);
    }
    zo_gram_destroy(g);
    return status;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    table t = make_table(30, 40, 2, 1); /* float64 and a larger lambda are tried too */
    assert_true(refuse_each(solve_anew, &t) > 20);
    free_table(&t);
}

static void bytes_are_known_before(void **state)
{
    (void)state;
    memory book = {.left = -1};
    zo_context *counted = make_context(1, NULL, &book);
    table t = make_table(800, 500, 20, 1);
    zo_gram *g = gram_of(counted, &t, 0);
    zo_moments m = zo_gram_close(g);
    zo_ridge_def def = zo_ridge_default_def();
    float *w = floats(t.p * t.q), *b = floats(t.q);
    int64_t before = book.bytes;
    assert_int_equal(zo_ridge_solve(counted, &m, &def, w, t.q, b, NULL), ZO_OK);
    double used = (double)(zo_context_memory(counted) - before);
    assert_true(used <= zo_ridge_bytes(t.p, t.q) + 4096);
    assert_true(used >=
                zo_ridge_bytes(t.p, t.q) - 8.0 * 500 * 500 - 4096); /* float64 was not needed */
    zo_gram_destroy(g);
    zo_context_destroy(counted);
    free(w), free(b);
    free_table(&t);
}

/* ---- the same everywhere ---- */

static void solve_into(zo_context *of, void *arg, float *out)
{
    const table *t = arg;
    zo_gram *g = gram_of(of, t, 0);
    zo_moments m = zo_gram_close(g);
    zo_ridge_def def = {.lambda = 1e-6, .relative = true, .intercept = true, .refine = 2};
    assert_int_equal(zo_ridge_solve(of, &m, &def, out, t->q, out + t->p * t->q, NULL), ZO_OK);
    zo_gram_destroy(g);
}

static void threads_and_sets_do_not_matter(void **state)
{
    (void)state;
    table t = make_table(350, 300, 11, 1);
    same_everywhere(solve_into, &t, 301 * 11, false);
    free_table(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_follow_their_definition),
        cmocka_unit_test(orthogonal_designs),
        cmocka_unit_test(refinement_finds_lost_digits),
        cmocka_unit_test(features_that_never_move),
        cmocka_unit_test(features_that_are_twins),
        cmocka_unit_test(fewer_rows_than_features),
        cmocka_unit_test(what_cannot_be_solved_is_refused),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(bytes_are_known_before),
        cmocka_unit_test(threads_and_sets_do_not_matter),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

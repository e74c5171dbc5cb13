/* Ridge from rows against rows: the same weights as the definition over features gives, in long double; what is refused.
 * labels: threads
 */
#include "linear_support.h"

#include "linear/dual.h"

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

static zo_rows_of rows_of(const table *t)
{
    return (zo_rows_of){t->m, t->p, t->q, t->p, t->q, t->h, t->y};
}

static void check_definition(size_t m, size_t p, zo_ridge_def def, double centre)
{
    enum { Q = 3 };
    table t = make_table(m, p, Q, centre);
    zo_rows_of rows = rows_of(&t);
    zo_ridge_result r;
    long double *want = long_doubles(p * Q), mean[Q];
    float *w = floats(p * Q), b[Q];
    ridge_of(&t, NULL, def.lambda, def.relative, def.intercept, want, mean);
    if (zo_ridge_dual(ctx, &rows, &def, w, Q, b, &r)) fail_msg("dual: %s", zo_last_error(ctx));
    double error = distance(w, Q, want, p, Q);
    if (!(error < 1e-4)) fail_msg("%zu rows of %zu: off by %.2g", m, p, error);
    for (size_t j = 0; j < Q; j++)
        assert_near((double)b[j], def.intercept ? (double)mean[j] : 0, 1e-3, 1e-4, "an intercept");
    assert_true(!r.raised && r.residual < 1e-4);
    free(want), free(w);
    free_table(&t);
}

static void weights_follow_their_definition(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        zo_ridge_def def = {.relative = i & 1, .intercept = i & 2, .refine = -1};
        def.lambda = def.relative ? 0.01 : 3;
        check_definition(30, 100, def, 1);
        check_definition(90, 130, def, 5);
        check_definition(65, 300, def, 0); /* more than a block of features */
        check_definition(50, 20, def, 1);  /* allowed, if not what it is for */
        check_definition(2, 5, def, 1);
    }
}

static void rows_are_met_where_lambda_is_small(void **state)
{
    (void)state;
    for (size_t m = 1; m <= 40; m += 39) {
        table t = make_table(m, 70, 2, 1);
        zo_rows_of rows = rows_of(&t);
        zo_ridge_def def = {.lambda = 0, .intercept = true, .refine = -1};
        zo_ridge_result r;
        float w[140], b[2];
        assert_int_equal(zo_ridge_dual(ctx, &rows, &def, w, 2, b, &r), ZO_OK);
        for (size_t i = 0; i < m; i++) {
            double y = (double)b[0];
            for (size_t k = 0; k < 70; k++) y += (double)t.h[i * 70 + k] * (double)w[k * 2];
            assert_near(y, (double)t.y[i * 2], 1e-3, 1e-3, "a row that is met");
        }
        free_table(&t);
    }
}

static void bad_rows_are_refused(void **state)
{
    (void)state;
    table t = make_table(20, 300, 2, 1);
    zo_rows_of rows = rows_of(&t), none = rows;
    zo_ridge_def def = zo_ridge_default_def();
    float w[600], b[2];
    none.m = 0;
    assert_int_equal(zo_ridge_dual(ctx, &none, &def, w, 2, b, NULL), ZO_USAGE);
    def.lambda = -1;
    assert_int_equal(zo_ridge_dual(ctx, &rows, &def, w, 2, b, NULL), ZO_USAGE);
    for (int intercept = 0; intercept < 2; intercept++) {
        def = zo_ridge_default_def();
        def.intercept = intercept;
        t.h[3 * 300 + 270] = INFINITY;
        assert_int_equal(zo_ridge_dual(ctx, &rows, &def, w, 2, b, NULL), ZO_FORMAT);
        error_says(ctx, "feature 270", NULL);
        t.h[3 * 300 + 270] = 1, t.y[5] = NAN;
        assert_int_equal(zo_ridge_dual(ctx, &rows, &def, w, 2, b, NULL), ZO_FORMAT);
        error_says(ctx, "output 1", NULL);
        t.y[5] = 1;
    }
    free_table(&t);
}

static zo_status solve_anew(zo_context *of, void *arg)
{
    zo_rows_of rows = rows_of(arg);
    zo_ridge_def def = {.lambda = 0, .intercept = true, .refine = -1};
    float w[600], b[2];
    return zo_ridge_dual(of, &rows, &def, w, 2, b, NULL);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    table t = make_table(20, 300, 2, 1);
    assert_true(refuse_each(solve_anew, &t) > 30);
    free_table(&t);
}

static void bytes_are_known_before(void **state)
{
    (void)state;
    memory book = {.left = -1};
    zo_context *counted = make_context(1, NULL, &book);
    table t = make_table(1100, 1200, 20, 1);
    zo_rows_of rows = rows_of(&t);
    zo_ridge_def def = zo_ridge_default_def();
    float *w = floats(1200 * 20), b[20];
    int64_t before = book.bytes;
    assert_int_equal(zo_ridge_dual(counted, &rows, &def, w, 20, b, NULL), ZO_OK);
    assert_near((double)(zo_context_memory(counted) - before), zo_dual_bytes(1100, 20), 8192, 0,
                "bytes of a dual solve");
    zo_context_destroy(counted);
    free(w);
    free_table(&t);
}

static void solve_into(zo_context *of, void *arg, float *out)
{
    const table *t = arg;
    zo_rows_of rows = rows_of(t);
    zo_ridge_def def = {.lambda = 1e-3, .relative = true, .intercept = true, .refine = 1};
    assert_int_equal(zo_ridge_dual(of, &rows, &def, out, t->q, out + t->p * t->q, NULL), ZO_OK);
}

static void threads_and_sets_do_not_matter(void **state)
{
    (void)state;
    table t = make_table(280, 350, 11, 1);
    same_everywhere(solve_into, &t, 351 * 11, false);
    free_table(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_follow_their_definition),
        cmocka_unit_test(rows_are_met_where_lambda_is_small),
        cmocka_unit_test(bad_rows_are_refused),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(bytes_are_known_before),
        cmocka_unit_test(threads_and_sets_do_not_matter),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

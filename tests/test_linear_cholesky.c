/* Cholesky factors and triangular solves: against long double, in every kernel set, for any number of threads; matrices that are not positive
 * definite, with their column.
 * labels: threads
 */
#include "linear_support.h"

#include "linear/cholesky.h"
#include "linear/cholesky64.h"

typedef struct matrix {
    size_t n, ld;
    float *a, *room;
} matrix;

/* Symmetric, well conditioned: random, with a diagonal that outweighs it. What is above the diagonal must not be read: NaN. */
static matrix make_matrix(size_t n)
{
    uint64_t seed = n;
    matrix m = {n, zo_square_ld(n), floats(zo_square_floats(n)), floats(zo_cholesky_room(n))};
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) m.a[i * m.ld + j] = j < i ? draw(&seed, -1, 1) : NAN;
        m.a[i * m.ld + i] = 2 * sqrtf((float)n) + draw(&seed, 0, 1);
    }
    return m;
}

static void free_matrix(matrix *m) { free(m->a), free(m->room); }

/* L of the lower triangle, row by row, in long double. */
static long double *factor_of(const matrix *m, double ridge)
{
    size_t n = m->n;
    long double *l = long_doubles(n * n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            long double sum = (long double)m->a[i * m->ld + j] + (i == j ? (long double)ridge : 0);
            for (size_t k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? sqrtl(sum) : sum / l[j * n + j];
        }
    }
    return l;
}

static const size_t sizes[] = {1,  2,  15,  16,  17,  31,  32,  33,  63,  64,
                               65, 97, 128, 200, 255, 256, 257, 300, 513, 600};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void check_factor(zo_context *ctx, size_t n, double ridge)
{
    matrix m = make_matrix(n);
    long double *l = factor_of(&m, ridge);
    assert_int_equal(zo_cholesky(ctx, m.a, m.ld, n, ridge, 1e-6f, m.room), n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++)
            assert_near((double)m.a[i * m.ld + j], (double)l[i * n + j], 2e-6, 2e-6,
                        "an element of a factor");
    }
    free(l);
    free_matrix(&m);
}

static void factors_are_right(void **state)
{
    (void)state;
    zo_context *ctx = make_context(2, NULL, NULL);
    for (size_t s = 0; s < SIZES; s++) check_factor(ctx, sizes[s], s % 2 ? 0.5 : 0);
    zo_context_destroy(ctx);
}

/* ---- solves ---- */

static void check_solves(zo_context *ctx, size_t n, size_t q)
{
    matrix m = make_matrix(n);
    uint64_t seed = n + q;
    size_t ldb = zo_round16(q) + 16 * (n % 2);
    float *b = floats(n * ldb), *room = floats(zo_solve_room(q));
    long double *x = long_doubles(n * q), *a = long_doubles(n * n);
    draw_many(&seed, b, n * ldb, -1, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            a[i * n + j] = (long double)(j <= i ? m.a[i * m.ld + j] : m.a[j * m.ld + i]);
        for (size_t j = 0; j < q; j++) x[i * q + j] = (long double)b[i * ldb + j];
    }
    eliminate(a, x, n, q);
    assert_int_equal(zo_cholesky(ctx, m.a, m.ld, n, 0, 0, m.room), n);
    zo_cholesky_solve(ctx, m.a, m.ld, n, b, ldb, q, room);
    double error = distance(b, ldb, x, n, q);
    if (!(error < 2e-6)) fail_msg("%zu unknowns, %zu right sides: off by %.2g", n, q, error);
    free(x), free(a), free(b), free(room);
    free_matrix(&m);
}

static void solves_are_right(void **state)
{
    (void)state;
    static const size_t columns[] = {1, 10, 16, 17, 33, 48, 70};
    zo_context *ctx = make_context(2, NULL, NULL);
    for (size_t s = 0; s < SIZES - 3; s++) check_solves(ctx, sizes[s], columns[s % 7]);
    check_solves(ctx, 300, 100);
    check_solves(ctx, 200, 300);
    zo_context_destroy(ctx);
}

/* L (L^-1 b) = b, and L^T (L^-T b) = b. */
static void halves_of_a_solve(void **state)
{
    (void)state;
    enum { N = 290, Q = 20, LDB = 32 };
    zo_context *ctx = make_context(2, NULL, NULL);
    matrix m = make_matrix(N);
    uint64_t seed = 1;
    float *b = floats(N * LDB), *x = floats(N * LDB), *room = floats(zo_solve_room(Q));
    draw_many(&seed, b, N * LDB, -1, 1);
    assert_int_equal(zo_cholesky(ctx, m.a, m.ld, N, 0, 0, m.room), N);
    for (int upper = 0; upper < 2; upper++) {
        memcpy(x, b, N * LDB * sizeof *x);
        (upper ? zo_solve_upper : zo_solve_lower)(ctx, m.a, m.ld, N, x, LDB, Q, room);
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < Q; j++) {
                double sum = 0;
                for (size_t k = upper ? i : 0; k < (upper ? N : i + 1); k++)
                    sum += (double)m.a[upper ? k * m.ld + i : i * m.ld + k] * (double)x[k * LDB + j];
                assert_near(sum, (double)b[i * LDB + j], 5e-6, 0, upper ? "L^T x" : "L x");
            }
        }
    }
    free(b), free(x), free(room);
    free_matrix(&m);
    zo_context_destroy(ctx);
}

/* ---- the same everywhere ---- */

static void factor_and_solve(zo_context *ctx, void *arg, float *out)
{
    size_t n = *(size_t *)arg, q = 40, ldb = 48;
    matrix m = make_matrix(n);
    float *b = floats(n * ldb), *room = floats(zo_solve_room(q));
    uint64_t seed = 5;
    draw_many(&seed, b, n * ldb, -1, 1);
    assert_int_equal(zo_cholesky(ctx, m.a, m.ld, n, 0.25, 0, m.room), n);
    for (size_t i = 0; i < n; i++, out += i) memcpy(out, m.a + i * m.ld, (i + 1) * sizeof *out);
    zo_cholesky_solve(ctx, m.a, m.ld, n, b, ldb, q, room);
    for (size_t i = 0; i < n; i++) memcpy(out + i * q, b + i * ldb, q * sizeof *out);
    free(b), free(room);
    free_matrix(&m);
}

static void threads_and_sets_do_not_matter(void **state)
{
    (void)state;
    size_t small = 530, large = 1300;
    same_everywhere(factor_and_solve, &small, small * (small + 1) / 2 + small * 40, false);
    same_everywhere(factor_and_solve, &large, large * (large + 1) / 2 + large * 40, true);
}

/* ---- not positive definite ---- */

/* With a_jj lower than the squares that L has before it, the pivot of column j is negative. */
static void the_column_is_told(void **state)
{
    (void)state;
    enum { N = 600 };
    static const size_t columns[] = {0, 1, 31, 32, 100, 255, 256, 300, 511, 512, 599};
    zo_context *ctx = make_context(2, NULL, NULL);
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        size_t j = columns[c];
        matrix m = make_matrix(N);
        long double *l = factor_of(&m, 0), pivot = l[j * N + j] * l[j * N + j];
        float *d = m.a + j * m.ld + j, whole = *d;
        *d -= (float)(1.001L * pivot);
        assert_int_equal(zo_cholesky(ctx, m.a, m.ld, N, 0, 0, m.room), j);
        free_matrix(&m);
        for (int strict = 0; strict < 2; strict++) { /* up to this column positive, but only just */
            m = make_matrix(N);
            m.a[j * m.ld + j] = whole - (float)(0.999L * pivot);
            size_t done = zo_cholesky(ctx, m.a, m.ld, j + 1, 0, strict ? 0.5f : 0, m.room);
            assert_int_equal(done, strict && j > 30 ? j : j + 1);
            free_matrix(&m);
        }
        m = make_matrix(N);
        m.a[j * m.ld + j] = c % 2 ? NAN : INFINITY;
        assert_int_equal(zo_cholesky(ctx, m.a, m.ld, N, 0, 0, m.room), j);
        free_matrix(&m);
        free(l);
    }
    zo_context_destroy(ctx);
}

static void float64_is_right_too(void **state)
{
    (void)state;
    enum { N = 90, Q = 3 };
    matrix m = make_matrix(N);
    double *a = calloc(N * N, sizeof *a), *b = calloc(N * Q, sizeof *b);
    long double *want = long_doubles(N * N), *x = long_doubles(N * Q);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j <= i; j++) {
            a[j * N + i] = (double)m.a[i * m.ld + j];
            want[i * N + j] = want[j * N + i] = (long double)a[j * N + i];
        }
        for (size_t j = 0; j < Q; j++) x[i * Q + j] = b[i * Q + j] = (double)(i * j) - 40;
    }
    assert_int_equal(zo_cholesky64(a, N), N);
    zo_cholesky64_solve(a, N, b, Q, Q);
    eliminate(want, x, N, Q);
    for (size_t i = 0; i < N * Q; i++)
        assert_near(b[i], (double)x[i], 1e-12, 1e-12, "a solution in float64");
    for (size_t i = 0; i < N; i++) a[i * N + i] = i == 70 ? 1e-20 : 1e9;
    assert_int_equal(zo_cholesky64(a, N), 70);
    free(a), free(b), free(want), free(x);
    free_matrix(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_are_right),  cmocka_unit_test(solves_are_right),
        cmocka_unit_test(halves_of_a_solve),  cmocka_unit_test(threads_and_sets_do_not_matter),
        cmocka_unit_test(the_column_is_told), cmocka_unit_test(float64_is_right_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

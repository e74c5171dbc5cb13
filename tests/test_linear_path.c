/* The ridge path: shifted systems of one factor against long double, solutions on the path against separate solves, the choice, what is refused.
 * labels: threads
 */
#include "linear_support.h"

#include "linear/cholesky.h"
#include "linear/krylov.h"
#include "linear/path.h"
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

/* ---- shifted systems ---- */

enum { N = 280, Q = 3, LD = 16, SHIFTS = 4 };

/* A matrix with eigenvalues from about 1e-2 to 1e2: a diagonal turned by reflections. */
static void make_spectrum(double *a)
{
    uint64_t seed = 9;
    memset(a, 0, N * N * sizeof *a);
    for (size_t i = 0; i < N; i++) a[i * N + i] = pow(10, 4 * (double)i / (N - 1) - 2);
    for (int turn = 0; turn < 3; turn++) {
        double v[N], av[N], length = 0, vav = 0;
        for (size_t i = 0; i < N; i++) v[i] = (double)draw(&seed, -1, 1), length += v[i] * v[i];
        for (size_t i = 0; i < N; i++) {
            v[i] /= sqrt(length), av[i] = 0;
        }
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N; j++) av[i] += a[i * N + j] * v[j];
            vav += v[i] * av[i];
        }
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N; j++)
                a[i * N + j] += 4 * vav * v[i] * v[j] - 2 * v[i] * av[j] - 2 * av[i] * v[j];
        }
    }
}

typedef struct space {
    float *memory, *factor, *room;
    double *numbers;
    zo_shift shift[SHIFTS];
    zo_krylov k;
} space;

/* F = a + mu I and right sides that hold every eigenvector; the third is 0. */
static space make_space(const zo_context *of, const double *a, double mu, double tolerance)
{
    size_t n = N * LD, ld = zo_square_ld(N);
    space s = {.memory = floats((3 + 2 * SHIFTS) * n),
               .factor = floats(zo_square_floats(N)),
               .room = floats(zo_cholesky_room(N) + zo_solve_room(Q)),
               .numbers = calloc((3 + 3 * SHIFTS + zo_krylov_chunks(N)) * Q, sizeof(double))};
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j <= i; j++) s.factor[i * ld + j] = (float)a[i * N + j];
        for (size_t j = 0; j < 2; j++) s.memory[i * LD + j] = (float)(1 + (i * (7 + j)) % 5);
    }
    assert_int_equal(zo_cholesky(of, s.factor, ld, N, mu, 0, s.room), N);
    double *d = s.numbers;
    s.k = (zo_krylov){.ctx = of,
                      .p = N,
                      .q = Q,
                      .ld = LD,
                      .l = s.factor,
                      .room = s.room + zo_cholesky_room(N),
                      .now = s.memory,
                      .before = s.memory + n,
                      .next = s.memory + 2 * n,
                      .first = d,
                      .alpha = d + Q,
                      .beta = d + 2 * Q,
                      .partial = d + (3 + 3 * SHIFTS) * Q,
                      .shifts = SHIFTS};
    for (size_t i = 0; i < SHIFTS; i++) {
        float *v = s.memory + (3 + 2 * i) * n;
        double *own = d + (3 + 3 * i) * Q;
        s.shift[i] = (zo_shift){0, tolerance, v, v + n, own, own + Q, own + 2 * Q, false};
    }
    return s;
}

static void free_space(space *s)
{
    free(s->memory), free(s->factor), free(s->room), free(s->numbers);
}

static const double lambdas[SHIFTS] = {0.2, 1, 3, 20};

static void set_shifts(space *s, double mu)
{
    for (size_t i = 0; i < SHIFTS; i++) s->shift[i].shift = lambdas[i] - mu;
    s->k.shift = s->shift;
}

static void one_space_serves_all_shifts(void **state)
{
    (void)state;
    double *a = calloc(N * N, sizeof *a);
    make_spectrum(a);
    space s = make_space(ctx, a, 1, 1e-5);
    set_shifts(&s, 1);
    int steps = zo_krylov_run(&s.k, 200);
    assert_in_range(steps, 5, 60);
    for (size_t i = 0; i < SHIFTS; i++) {
        assert_true(s.shift[i].done);
        long double *m = long_doubles(N * N), *x = long_doubles(N * 2);
        for (size_t j = 0; j < N * N; j++) m[j] = (long double)a[j];
        for (size_t j = 0; j < N; j++) {
            m[j * N + j] += (long double)lambdas[i];
            x[j * 2] = (long double)(1 + j * 7 % 5), x[j * 2 + 1] = (long double)(1 + j * 8 % 5);
            assert_true(s.shift[i].w[j * LD + 2] == 0); /* what begins with 0 stays there */
        }
        eliminate(m, x, N, 2);
        double error = distance(s.shift[i].w, LD, x, N, 2);
        if (!(error < 3e-4)) fail_msg("lambda %g: off by %.2g", lambdas[i], error);
        free(m), free(x);
    }
    free_space(&s);
    s = make_space(ctx, a, 1, 1e-5); /* too few steps are admitted */
    set_shifts(&s, 1);
    assert_int_equal(zo_krylov_run(&s.k, 3), 3);
    assert_true(s.shift[1].done && !s.shift[0].done && !s.shift[3].done);
    free_space(&s);
    free(a);
}

/* ---- a path ---- */

/* What a score is told: solutions are kept, and scored by `loss`. */
typedef struct scores {
    size_t p, q, calls, seen[20];
    float *w, *b;
    double lambda[20], *loss;
} scores;

static double keep(void *user, size_t index, double lambda, const float *w, size_t ldw,
                   const float *b)
{
    scores *s = user;
    s->calls++;
    s->seen[index]++;
    s->lambda[index] = lambda;
    for (size_t i = 0; s->w && i < s->p; i++)
        memcpy(s->w + (index * s->p + i) * s->q, w + i * ldw, s->q * sizeof *w);
    if (s->b) memcpy(s->b + index * s->q, b, s->q * sizeof *b);
    return s->loss[index];
}

static zo_moments moments_of(const table *t, zo_gram **g)
{
    *g = gram_of(ctx, t, 0);
    return zo_gram_close(*g);
}

/* Every solution of a path near that of a solve of its own. */
static void check_path(size_t m, size_t p, double factor, bool intercept, bool grouped)
{
    enum { COUNT = 8 };
    double lambda[COUNT], loss[COUNT] = {0}, got[COUNT];
    table t = make_table(m, p, 2, 1);
    zo_gram *g;
    zo_moments s = moments_of(&t, &g);
    scores kept = {p, 2, 0, {0}, floats(COUNT * p * 2), floats(COUNT * 2), {0}, loss};
    for (size_t i = 0; i < COUNT; i++) lambda[i * 3 % COUNT] = 0.01 * pow(factor, (double)i);
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = COUNT, def.score = keep, def.user = &kept;
    def.intercept = intercept;
    zo_path_result r;
    assert_int_equal(zo_ridge_path(ctx, &s, &def, got, &r), ZO_OK);
    assert_true(kept.calls == COUNT && r.failed == 0);
    assert_true(grouped ? r.factorisations < COUNT / 2 : r.factorisations == COUNT);
    double n = (double)p;
    assert_near(r.cost, r.factorisations * n * n * n / 6 + r.steps * n * n * 2, 0, 1e-9, "the cost");
    float *w = floats(p * 2), b[2];
    for (size_t i = 0; i < COUNT; i++) {
        zo_ridge_def one = {lambda[i], true, intercept, 5};
        zo_ridge_result of;
        long double *want = long_doubles(p * 2);
        assert_int_equal(zo_ridge_solve(ctx, &s, &one, w, 2, b, &of), ZO_OK);
        for (size_t k = 0; k < p * 2; k++) want[k] = (long double)w[k];
        double error = distance(kept.w + i * p * 2, 2, want, p, 2);
        if (!(error < 1e-3)) fail_msg("lambda %g: off by %.2g", lambda[i], error);
        assert_near(kept.lambda[i], of.lambda, 0, 1e-12, "an absolute lambda");
        assert_near((double)kept.b[i * 2], (double)b[0], 1e-2, 1e-3, "an intercept");
        assert_int_equal(kept.seen[i], 1);
        free(want);
    }
    zo_gram_destroy(g);
    free(w), free(kept.w), free(kept.b);
    free_table(&t);
}

static void a_path_equals_separate_solves(void **state)
{
    (void)state;
    check_path(100, 60, 10, true, false); /* small: a factor each is cheapest */
    check_path(40, 60, 2, false, false);
    check_path(1100, 1000, 1.25, true, true);
}

/* ---- the choice ---- */

static void check_choice(const double *loss, size_t n, size_t best)
{
    table t = make_table(50, 20, 2, 1);
    zo_gram *g;
    zo_moments s = moments_of(&t, &g);
    double lambda[20], scored[20], copy[20];
    memcpy(copy, loss, n * sizeof *copy);
    for (size_t i = 0; i < n; i++) lambda[i] = pow(3, (double)i);
    scores kept = {20, 2, 0, {0}, NULL, NULL, {0}, copy};
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = n, def.score = keep, def.user = &kept, def.relative = false;
    zo_path_result r;
    zo_status status = zo_ridge_path(ctx, &s, &def, scored, &r);
    if (best == n) {
        assert_int_equal(status, ZO_FORMAT);
        error_says(ctx, "no lambda", NULL);
    } else {
        assert_int_equal(status, ZO_OK);
        assert_int_equal(r.best, best);
        assert_true(r.lambda == lambda[best]);
        for (size_t i = 0; i < n; i++)
            assert_true(scored[i] == loss[i] || (isnan(loss[i]) && isinf(scored[i])));
    }
    zo_gram_destroy(g);
    free_table(&t);
}

static void the_least_loss_is_chosen(void **state)
{
    (void)state;
    check_choice((double[]){3, 2, 1, 2, 3}, 5, 2);
    check_choice((double[]){3, 1, 1, 2}, 4, 2); /* of equals the larger lambda */
    check_choice((double[]){NAN, 1, 4}, 3, 1);
    check_choice((double[]){INFINITY, NAN}, 2, 2);
    check_choice((double[]){7}, 1, 0);
}

/* Twins and hardly any lambda: what cannot be solved for is not chosen, and does not stop the others. */
static void lambdas_that_fail_are_left_out(void **state)
{
    (void)state;
    table t = make_table(300, 40, 2, 1);
    for (size_t i = 0; i < t.m; i++) t.h[i * 40 + 39] = t.h[i * 40];
    zo_gram *g;
    zo_moments s = moments_of(&t, &g);
    double lambda[] = {1e-12, 1e-3, 1e-11, 1e-2}, loss[] = {0, 2, 0, 1}, got[4];
    scores kept = {40, 2, 0, {0}, NULL, NULL, {0}, loss};
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = 4, def.score = keep, def.user = &kept;
    zo_path_result r;
    assert_int_equal(zo_ridge_path(ctx, &s, &def, got, &r), ZO_OK);
    assert_true(r.failed == 2 && r.best == 3 && isinf(got[0]) && isinf(got[2]) && kept.calls == 2);
    zo_gram_destroy(g);
    free_table(&t);
}

/* Equal lambdas of one group, of which none can be solved for: the middle between them is rounded to either side. */
static void equal_lambdas_end(void **state)
{
    (void)state;
    table t = make_table(40, 300, 2, 1);
    zo_gram *g;
    zo_moments s = moments_of(&t, &g);
    double lambda[2], loss[2] = {0}, got[2];
    scores kept = {300, 2, 0, {0}, NULL, NULL, {0}, loss};
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = 2, def.score = keep, def.user = &kept;
    for (int i = 0; i < 12; i++) {
        zo_path_result r;
        lambda[0] = lambda[1] = 1e-13 * (1 + 0.37 * i);
        assert_int_equal(zo_ridge_path(ctx, &s, &def, got, &r), ZO_FORMAT);
        assert_int_equal(r.failed, 2);
    }
    zo_gram_destroy(g);
    free_table(&t);
}

/* ---- refused, and the same everywhere ---- */

static void bad_paths_are_refused(void **state)
{
    (void)state;
    table t = make_table(30, 5, 1, 1);
    zo_gram *g;
    zo_moments s = moments_of(&t, &g);
    double lambda[] = {1, 2}, loss[2] = {0}, got[2];
    scores kept = {5, 1, 0, {0}, NULL, NULL, {0}, loss};
    zo_path_def good = zo_path_default_def(), def;
    zo_path_result r;
    good.lambda = lambda, good.n = 2, good.score = keep, good.user = &kept;
    def = good, def.n = 0;
    assert_int_equal(zo_ridge_path(ctx, &s, &def, got, &r), ZO_USAGE);
    def = good, def.score = NULL;
    assert_int_equal(zo_ridge_path(ctx, &s, &def, got, &r), ZO_USAGE);
    for (int i = 0; i < 3; i++) {
        lambda[1] = (double[]){0, NAN, -1}[i];
        assert_int_equal(zo_ridge_path(ctx, &s, &good, got, &r), ZO_USAGE);
        error_says(ctx, "above 0", NULL);
    }
    lambda[1] = 1e38, good.relative = false;
    assert_int_equal(zo_ridge_path(ctx, &s, &good, got, &r), ZO_USAGE);
    error_says(ctx, "too large", NULL);
    zo_gram_destroy(g);
    free_table(&t);
}

static zo_status run_path(zo_context *of, void *arg)
{
    const table *t = arg;
    double lambda[] = {1, 1.2, 1.4}, loss[3] = {0}, got[3];
    scores kept = {t->p, t->q, 0, {0}, NULL, NULL, {0}, loss};
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = 3, def.score = keep, def.user = &kept;
    zo_path_result r;
    zo_gram *g = NULL;
    zo_status status = zo_gram_create(of, t->p, t->q, 0, &g);
    if (!status) status = zo_gram_add(g, t->m, t->h, t->p, t->y, t->q, NULL);
    if (!status) {
        zo_moments s = zo_gram_close(g);
        status = zo_ridge_path(of, &s, &def, got, &r);
    }
    zo_gram_destroy(g);
    return status;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    table t = make_table(30, 40, 2, 1);
    assert_true(refuse_each(run_path, &t) > 20);
    free_table(&t);
}

static void bytes_are_known_before(void **state)
{
    (void)state;
    memory book = {.left = -1};
    zo_context *counted = make_context(1, NULL, &book);
    table t = make_table(400, 300, 20, 1);
    zo_gram *g = gram_of(counted, &t, 0);
    zo_moments m = zo_gram_close(g);
    double lambda[] = {1, 2, 3}, loss[3] = {0}, got[3];
    scores kept = {300, 20, 0, {0}, NULL, NULL, {0}, loss};
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = 3, def.score = keep, def.user = &kept;
    zo_path_result r;
    int64_t before = book.bytes;
    assert_int_equal(zo_ridge_path(counted, &m, &def, got, &r), ZO_OK);
    assert_near((double)(zo_context_memory(counted) - before), zo_path_bytes(300, 20, 3), 4096, 0,
                "bytes of a path");
    zo_gram_destroy(g);
    zo_context_destroy(counted);
    free_table(&t);
}

static void shifts_into(zo_context *of, void *arg, float *out)
{
    const double *a = arg;
    space s = make_space(of, a, 2, 1e-4);
    set_shifts(&s, 2);
    zo_krylov_run(&s.k, 200);
    for (size_t i = 0; i < SHIFTS; i++, out += N * LD)
        memcpy(out, s.shift[i].w, N * LD * sizeof *out);
    free_space(&s);
}

static void threads_and_sets_do_not_matter(void **state)
{
    (void)state;
    double *a = calloc(N * N, sizeof *a);
    make_spectrum(a);
    same_everywhere(shifts_into, a, SHIFTS * N * LD, false);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_space_serves_all_shifts),
        cmocka_unit_test(a_path_equals_separate_solves),
        cmocka_unit_test(the_least_loss_is_chosen),
        cmocka_unit_test(lambdas_that_fail_are_left_out),
        cmocka_unit_test(equal_lambdas_end),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(bytes_are_known_before),
        cmocka_unit_test(threads_and_sets_do_not_matter),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

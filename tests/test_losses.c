/* Losses and their slopes: every set like ref bit for bit, and ref against double precision where digits are easily lost. */
#include "support.h"

static uint64_t seed = 11;

/* m rows of outputs with labels and targets, in every layout the kernels take. */
typedef struct rows {
    size_t m, n, ld, ld_target;
    float *y, *target, *loss, *want, *e, *want_e;
    int32_t *label;
} rows;

static rows make_rows(size_t m, size_t n, double reach)
{
    rows r = {.m = m, .n = n, .ld = zo_round16(n) + 16 * (m % 2), .ld_target = n + m % 3};
    r.y = floats(m * r.ld), r.target = floats(m * r.ld_target);
    r.loss = floats(m), r.want = floats(m);
    r.e = floats(m * r.ld), r.want_e = floats(m * r.ld);
    r.label = calloc(m, sizeof *r.label);
    assert_non_null(r.label);
    draw_many(&seed, r.y, m * r.ld, -reach, reach);
    draw_many(&seed, r.target, m * r.ld_target, -reach, reach);
    for (size_t i = 0; i < m; i++) r.label[i] = (int32_t)((draw_bits(&seed) >> 33) % n);
    return r;
}

static void free_rows(rows *r)
{
    free(r->y), free(r->target), free(r->loss), free(r->want), free(r->e), free(r->want_e);
    free(r->label);
}

/* ---- every set like ref ---- */

static void compare(const rows *r, const zo_kernels *k, zo_loss_kind kind, bool targets)
{
    const int32_t *label = targets ? NULL : r->label;
    const float *target = targets ? r->target : NULL;
    zo_kernels_ref.loss[kind](r->want, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    k->loss[kind](r->loss, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    assert_same_floats(r->loss, r->want, r->m, k->info.name);
    zo_loss_slope own = k->loss_slope[kind], ref = zo_kernels_ref.loss_slope[kind];
    assert_true(!own == !ref);
    if (!own) return;
    ref(r->want_e, r->ld, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    own(r->e, r->ld, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    for (size_t i = 0; i < r->m; i++)
        assert_same_floats(r->e + i * r->ld, r->want_e + i * r->ld, zo_round16(r->n), k->info.name);
}

static void compare_all(const rows *r)
{
    for (int s = 0; kernel_set(s); s++) {
        for (int kind = 0; kind < ZO_LOSSES; kind++)
            compare(r, kernel_set(s), (zo_loss_kind)kind, false);
        compare(r, kernel_set(s), ZO_SQUARED_ERROR, true);
        compare(r, kernel_set(s), ZO_HUBER, true);
    }
}

static void sets_agree_on_losses(void **state)
{
    static const double reach[] = {1, 20, 300};
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        for (size_t m = 1; m <= 49; m += n % 4 == 1 ? 1 : 5) {
            rows r = make_rows(m, n, reach[(m + n) % 3]);
            compare_all(&r);
            free_rows(&r);
        }
    }
    rows r = make_rows(17, 1000, 20);
    compare_all(&r);
    free_rows(&r);
}

static void sets_agree_on_extreme_outputs(void **state)
{
    static const float extreme[] = {INFINITY, -INFINITY, NAN,   3e38f, -3e38f, 1e-45f,
                                    -1e-40f,  0.0f,      -0.0f, 88.7f, -87.4f, 1e20f};
    (void)state;
    for (size_t times = 0; times < 300; times++) {
        rows r = make_rows(1 + times % 20, 2 + times % 35, 2);
        for (size_t i = 0; i < r.m * r.n / 2; i++) {
            size_t at = (draw_bits(&seed) >> 33) % r.m * r.ld + (draw_bits(&seed) >> 33) % r.n;
            r.y[at] = extreme[(draw_bits(&seed) >> 33) % (sizeof extreme / sizeof *extreme)];
        }
        compare_all(&r);
        free_rows(&r);
    }
}

/* ---- ref against double precision ---- */

/* log(1 + sum of exp(y_k - y_label)), which keeps the digits of a small loss. */
static double cross_entropy(const float *y, size_t n, int32_t label)
{
    double most = 0, sum = 0;
    for (size_t k = 0; k < n; k++) most = fmax(most, (double)y[k] - (double)y[label]);
    for (size_t k = 0; k < n; k++)
        sum += (int32_t)k == label ? 0 : exp((double)y[k] - (double)y[label] - most);
    return most > 0 ? most + log(exp(-most) + sum) : log1p(sum);
}

static float loss_of(zo_loss_kind kind, const float *y, size_t n, int32_t label)
{
    float loss;
    zo_kernels_ref.loss[kind](&loss, y, zo_round16(n), 1, n, &label, NULL, 0);
    return loss;
}

static void cross_entropy_is_its_formula(void **state)
{
    static const double reach[] = {0.01, 1, 8, 30, 1e4, 1e30};
    (void)state;
    for (size_t n = 2; n <= 40; n += n < 20 ? 1 : 7) {
        for (size_t at = 0; at < sizeof reach / sizeof *reach; at++) {
            rows r = make_rows(33, n, reach[at]);
            zo_kernels_ref.loss[ZO_CROSS_ENTROPY](r.loss, r.y, r.ld, r.m, n, r.label, NULL, 0);
            for (size_t i = 0; i < r.m; i++) {
                double want = cross_entropy(r.y + i * r.ld, n, r.label[i]);
                assert_near(r.loss[i], want, 1e-38, 1e-6 + 3e-7 * fmin(reach[at], 90),
                            "cross-entropy");
            }
            free_rows(&r);
        }
    }
}

/* The difference of two losses when one output moves a little, at losses from 1 down to 1e-6. */
static void differences_of_small_losses_keep_their_digits(void **state)
{
    double worst = 0;
    (void)state;
    for (double size = 1; size > 0.9e-6; size /= 2) {
        for (int times = 0; times < 200; times++) {
            float *y = floats(16);
            int32_t label = times % 10;
            draw_many(&seed, y, 10, -1, 1);
            y[label] = (float)log(10 / expm1(size)); /* a loss near `size` */
            double want = cross_entropy(y, 10, label);
            float loss = loss_of(ZO_CROSS_ENTROPY, y, 10, label);
            y[times / 10 % 10] += 0.05f;
            double change = cross_entropy(y, 10, label) - want,
                   got = (double)(loss_of(ZO_CROSS_ENTROPY, y, 10, label) - loss);
            /* one output among ten may weigh little: the error counts against the change of the whole */
            worst = fmax(worst, fabs(got - change) / fmax(fabs(change), 0.05 * want));
            free(y);
        }
    }
    if (worst >= 5e-4) fail_msg("relative error %g", worst);
}

static void check_softmax(const rows *r, size_t i)
{
    const float *y = r->y + i * r->ld;
    double sum = 0, most = (double)y[0], own = 0;
    for (size_t k = 0; k < r->n; k++) most = fmax(most, (double)y[k]);
    for (size_t k = 0; k < r->n; k++) sum += exp((double)y[k] - most);
    for (size_t k = 0; k < r->n; k++) {
        double p = exp((double)y[k] - most) / sum;
        if ((int32_t)k == r->label[i]) continue;
        own += p;
        assert_near(r->e[i * r->ld + k], p, 2e-38, 1e-5, "slope of another class");
    }
    /* minus the sum of the others: digits stay also where the class is nearly certain */
    assert_near(r->e[i * r->ld + (size_t)r->label[i]], -own, 2e-38, 1e-5, "slope of the class");
    for (size_t k = r->n; k < zo_round16(r->n); k++) assert_true(r->e[i * r->ld + k] == 0);
}

static void cross_entropy_slope_is_softmax_minus_one(void **state)
{
    static const double reach[] = {0.1, 3, 15};
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        rows r = make_rows(19, n, reach[n % 3]);
        for (size_t i = 0; i < r.m; i += 3) r.y[i * r.ld + (size_t)r.label[i]] += 20;
        zo_kernels_ref.loss_slope[ZO_CROSS_ENTROPY](r.e, r.ld, r.y, r.ld, r.m, n, r.label, NULL, 0);
        for (size_t i = 0; i < r.m; i++) check_softmax(&r, i);
        free_rows(&r);
    }
}

static void check_squared(const rows *r, bool targets)
{
    const int32_t *label = targets ? NULL : r->label;
    const float *target = targets ? r->target : NULL;
    const zo_kernels *k = &zo_kernels_ref;
    k->loss[ZO_SQUARED_ERROR](r->loss, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    k->loss_slope[ZO_SQUARED_ERROR](r->e, r->ld, r->y, r->ld, r->m, r->n, label, target,
                                    r->ld_target);
    for (size_t i = 0; i < r->m; i++) {
        double sum = 0;
        for (size_t c = 0; c < r->n; c++) {
            double t = targets ? (double)r->target[i * r->ld_target + c]
                               : (double)(r->label[i] == (int32_t)c);
            double d = (double)r->y[i * r->ld + c] - t;
            sum += d * d / 2;
            assert_near(r->e[i * r->ld + c], d, 1e-7, 1e-6, "slope of the squared error");
        }
        assert_near(r->loss[i], sum, 0, 3e-6, "squared error");
    }
}

static void squared_error_is_its_formula(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 40; n++) {
        for (size_t m = 1; m <= 33; m += 4) {
            rows r = make_rows(m, n, 2);
            check_squared(&r, true);
            if (n > 1) check_squared(&r, false);
            free_rows(&r);
        }
    }
}

/* 0 where the class has the one largest output. */
static void zero_one_counts_errors(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        rows r = make_rows(50, n, 3);
        for (size_t i = 0; i < r.m * r.ld; i++) r.y[i] = roundf(r.y[i]); /* ties */
        zo_kernels_ref.loss[ZO_ZERO_ONE](r.loss, r.y, r.ld, r.m, n, r.label, NULL, 0);
        for (size_t i = 0; i < r.m; i++) {
            const float *y = r.y + i * r.ld;
            bool right = true;
            for (size_t k = 0; k < n; k++)
                right &= (int32_t)k == r.label[i] || y[k] < y[r.label[i]];
            assert_true(r.loss[i] == (right ? 0 : 1));
        }
        free_rows(&r);
    }
}

/* ---- huber and hinge ---- */

static double huber64(const double *y, const double *want, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        double d = fabs(y[k] - want[k]);
        sum += d <= 1 ? d * d / 2 : d - 0.5;
    }
    return sum;
}

static double hinge64(const double *y, const double *want, size_t n)
{
    size_t right = 0;
    double loss = 0;
    while (want[right] == 0) right++;
    for (size_t k = 0; k < n; k++) loss = k == right ? loss : fmax(loss, 1 + y[k] - y[right]);
    return loss;
}

/* Row i in double precision: its outputs, and its targets or the one-hot of its label. */
static void widen(const rows *r, size_t i, bool targets, double *y, double *want)
{
    for (size_t k = 0; k < r->n; k++) {
        y[k] = (double)r->y[i * r->ld + k];
        want[k] =
            targets ? (double)r->target[i * r->ld_target + k] : (double)(r->label[i] == (int32_t)k);
    }
}

/* (f(y + step) - f(y - step)) / 2 step for output k */
static double central(double (*f)(const double *, const double *, size_t), double *y,
                      const double *want, size_t n, size_t k, double step)
{
    double at = y[k], up, down;
    y[k] = at + step, up = f(y, want, n);
    y[k] = at - step, down = f(y, want, n);
    y[k] = at;
    return (up - down) / (2 * step);
}

/* Values against the formula, slopes against its central differences; next to a kink the two sides differ, and there the slope may be either.
 * Returns how many slopes were compared exactly. */
static long check_formula(const rows *r, zo_loss_kind kind, bool targets,
                          double (*f)(const double *, const double *, size_t))
{
    const double step = 1e-6;
    const int32_t *label = targets ? NULL : r->label;
    const float *target = targets ? r->target : NULL;
    double y[64], want[64];
    long exact = 0;
    zo_kernels_ref.loss[kind](r->loss, r->y, r->ld, r->m, r->n, label, target, r->ld_target);
    zo_kernels_ref.loss_slope[kind](r->e, r->ld, r->y, r->ld, r->m, r->n, label, target,
                                    r->ld_target);
    for (size_t i = 0; i < r->m; i++) {
        widen(r, i, targets, y, want);
        assert_near(r->loss[i], f(y, want, r->n), 1e-6, 3e-6, "loss");
        for (size_t k = 0; k < r->n; k++) {
            double slope = central(f, y, want, r->n, k, step), got = (double)r->e[i * r->ld + k];
            bool kink = fabs(slope - central(f, y, want, r->n, k, step / 8)) > 1e-3;
            if (!kink) assert_near(got, slope, 1e-5, 0, "slope");
            exact += !kink;
        }
        for (size_t k = r->n; k < zo_round16(r->n); k++) assert_true(r->e[i * r->ld + k] == 0);
    }
    return exact;
}

static void huber_and_hinge_are_their_formulas(void **state)
{
    static const double reach[] = {0.3, 1.5, 20};
    long exact = 0, all = 0;
    (void)state;
    for (size_t n = 1; n <= 40; n++) {
        for (size_t at = 0; at < 3; at++) {
            rows r = make_rows(33, n, reach[at]);
            exact += check_formula(&r, ZO_HUBER, true, huber64);
            all += (long)(r.m * n);
            if (n > 1) {
                exact += check_formula(&r, ZO_HUBER, false, huber64) +
                         check_formula(&r, ZO_HINGE, false, hinge64);
                all += 2 * (long)(r.m * n);
            }
            free_rows(&r);
        }
    }
    assert_true(exact > all - all / 100);
}

/* The largest others are equal: the slope is that of one of them, the first. */
static void hinge_at_a_tie_moves_one_rival(void **state)
{
    (void)state;
    float *y = floats(32), *e = floats(32), own[3] = {0, 2, 4};
    for (size_t n = 3; n <= 32; n++) {
        for (int k = 0; k < 3; k++) {
            int32_t label = (int32_t)(n / 2);
            for (size_t j = 0; j < n; j++) y[j] = j % 2 ? 2 : 1;
            y[label] = own[k];
            zo_kernels_ref.loss_slope[ZO_HINGE](e, 32, y, 32, 1, n, &label, NULL, 0);
            size_t first = label == 1 ? 3 : 1;
            bool lacks = own[k] < 3;
            for (size_t j = 0; j < n && first < n; j++) {
                double want = j == (size_t)label ? -1 : j == first;
                assert_true((double)e[j] == (lacks ? want : 0));
            }
        }
    }
    free(y);
    free(e);
}

/* ---- outputs that are no numbers ---- */

/* One NaN among the outputs, or nothing else: never a finite loss, never a right answer. */
static void a_nan_is_never_a_good_answer(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        float *y = floats(zo_round16(n));
        for (size_t at = 0; at <= n; at++) {
            for (int32_t label = 0; label < (int32_t)n; label++) {
                for (size_t k = 0; k < n; k++) y[k] = (int32_t)k == label ? 5 : 1;
                for (size_t k = 0; k < n; k++) {
                    if (at == n || k == at) y[k] = NAN;
                }
                float cross = loss_of(ZO_CROSS_ENTROPY, y, n, label),
                      squared = loss_of(ZO_SQUARED_ERROR, y, n, label),
                      near = loss_of(ZO_HUBER, y, n, label), margin = loss_of(ZO_HINGE, y, n, label),
                      wrong = loss_of(ZO_ZERO_ONE, y, n, label);
                if (isfinite(cross) || isfinite(squared) || isfinite(near) || isfinite(margin) ||
                    wrong != 1)
                    fail_msg("%zu classes, label %d, NaN at %zu: %g, %g, %g, %g, %g", n, (int)label,
                             at, (double)cross, (double)squared, (double)near, (double)margin,
                             (double)wrong);
            }
        }
        free(y);
    }
}

/* An answer that is infinitely wrong has no finite loss; rivals at minus infinity are no rivals. */
static void infinite_outputs_are_no_good_answers(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        float *y = floats(zo_round16(n));
        for (int32_t label = 0; label < (int32_t)n; label++) {
            for (size_t k = 0; k < n; k++) y[k] = (int32_t)k == label ? -INFINITY : 1;
            assert_true(!isfinite(loss_of(ZO_CROSS_ENTROPY, y, n, label)));
            assert_true(!isfinite(loss_of(ZO_HUBER, y, n, label)));
            assert_true(!isfinite(loss_of(ZO_HINGE, y, n, label)));
            for (size_t k = 0; k < n; k++) y[k] = (int32_t)k == label ? 1 : -INFINITY;
            assert_true(loss_of(ZO_HINGE, y, n, label) == 0);
            assert_true(!isfinite(loss_of(ZO_HUBER, y, n, label)));
        }
        free(y);
    }
}

static void losses_of_finite_outputs_are_finite(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 40; n++) {
        for (double reach = 1; reach < 1e18; reach *= 100) {
            rows r = make_rows(16, n, reach);
            for (int kind = 0; kind < ZO_LOSSES; kind++) {
                zo_kernels_ref.loss[kind](r.loss, r.y, r.ld, r.m, n, r.label, NULL, 0);
                for (size_t i = 0; i < r.m; i++) assert_true(r.loss[i] >= 0 && r.loss[i] <= 1e38f);
            }
            free_rows(&r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_agree_on_losses),
        cmocka_unit_test(sets_agree_on_extreme_outputs),
        cmocka_unit_test(cross_entropy_is_its_formula),
        cmocka_unit_test(differences_of_small_losses_keep_their_digits),
        cmocka_unit_test(cross_entropy_slope_is_softmax_minus_one),
        cmocka_unit_test(squared_error_is_its_formula),
        cmocka_unit_test(zero_one_counts_errors),
        cmocka_unit_test(huber_and_hinge_are_their_formulas),
        cmocka_unit_test(hinge_at_a_tie_moves_one_rival),
        cmocka_unit_test(a_nan_is_never_a_good_answer),
        cmocka_unit_test(infinite_outputs_are_no_good_answers),
        cmocka_unit_test(losses_of_finite_outputs_are_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

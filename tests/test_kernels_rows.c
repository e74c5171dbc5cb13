/* Rows that are moved, scaled and summed, in every kernel set: bit for bit against loops written here from the rules in kernels.h, and sums
 * against float64.
 */
#include "support.h"

static uint64_t seed = 3;

static size_t below(size_t n) { return (size_t)(draw_bits(&seed) >> 33) % n; }

static float *drawn(size_t n, double low, double high)
{
    float *p = floats(n);
    draw_many(&seed, p, n, low, high);
    return p;
}

static uint16_t *drawn_bits(size_t n)
{
    uint16_t *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (uint16_t)draw_bits(&seed);
    return p;
}

static float sign_at(const uint16_t *signs, size_t j)
{
    return signs[j / 16] >> j % 16 & 1 ? -1.0f : 1.0f;
}

static const size_t sizes[] = {1,  2,  3,  4,  5,  13, 14, 15,  16,  17, 18,
                               31, 32, 33, 34, 47, 64, 65, 100, 257, 300};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* m rows of n columns are `wanted`, and what lies between and behind them is untouched: `got` began as 7s. */
static void check_rows(const float *got, const float *wanted, size_t ld, size_t m, size_t n,
                       const char *what)
{
    for (size_t i = 0; i < m; i++) {
        assert_same_floats(got + i * ld, wanted + i * ld, n, what);
        for (size_t j = zo_round16(n); j < ld; j++) assert_true(got[i * ld + j] == 7);
    }
}

static void fill(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = 7;
}

/* What an activation makes of rows that were computed here. */
static void activate_rows(float *x, size_t ld, size_t m, size_t n, int activation, int number)
{
    if (activation >= 0) zo_kernels_ref.activation[activation].activate(x, ld, x, ld, m, n, number);
}

static zo_activate_fn activation_of(const zo_kernels *k, int activation)
{
    return activation < 0 ? NULL : k->activation[activation].activate;
}

/* ---- moved rows ---- */

static void naive_pack(float *packed, const float *b, size_t k, size_t n)
{
    for (size_t c = 0; c < n; c += 32) {
        size_t width = n - c > 16 ? 32 : 16;
        for (size_t l = 0; l < k; l++) {
            for (size_t j = c; j < c + width; j++) *packed++ = j < n ? b[l * n + j] : 0;
        }
    }
}

static void check_update(size_t m, size_t n, size_t k, int activation)
{
    enum { EXAMPLES = 5 };
    size_t ld = zo_round16(n) + 16 * below(2);
    int number = 1 + (int)below(8);
    float *w = drawn(k * n, -1, 1), *packed = floats(zo_packed_size(k, n)),
          *z = drawn(EXAMPLES * ld, -1, 1), *wanted = floats(m * ld), *got = floats(m * ld);
    zo_move *moves = calloc(m, sizeof *moves);
    assert_non_null(moves);
    naive_pack(packed, w, k, n);
    for (size_t r = 0; r < m; r++) {
        moves[r] = (zo_move){(int32_t)below(EXAMPLES), (int32_t)below(k), draw(&seed, -1, 1)};
        for (size_t j = 0; j < n; j++)
            wanted[r * ld + j] = fmaf(moves[r].change, w[(size_t)moves[r].unit * n + j],
                                      z[(size_t)moves[r].example * ld + j]);
    }
    activate_rows(wanted, ld, m, n, activation, number);
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ld);
        kernel_set(s)->column_update(got, ld, moves, m, z, ld, packed, k, n,
                                     activation_of(kernel_set(s), activation), number);
        check_rows(got, wanted, ld, m, n, "column update");
    }
    free(w), free(packed), free(z), free(wanted), free(got), free(moves);
}

static void column_updates_of_all_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (int a = -1; a < ZO_ACTIVATIONS; a++) /* those of several columns too: rows are whole */
            check_update(sizes[below(SIZES - 2)], sizes[i], sizes[below(SIZES)], a);
        check_update(1, sizes[i], 1, -1);
        check_update(0, sizes[i], 1, ZO_RELU);
    }
}

/* what: 0 nothing, 1 signs, 2 numbers; floored: no less than other numbers */
static void check_disturb(size_t m, size_t n, int what, int activation, bool floored)
{
    enum { EXAMPLES = 4 };
    size_t ld = zo_round16(n) + 16 * below(3), ldz = zo_round16(n), ldn = zo_round16(n) + 16;
    int number = 1 + (int)below(8);
    float *z = drawn(EXAMPLES * ldz, -1, 1), *floor = drawn(EXAMPLES * ldz, -1, 1),
          *noise = drawn(m * ldn, -2, 2), *wanted = floats(m * ld), *got = floats(m * ld),
          sigma = draw(&seed, -1, 1);
    uint16_t *signs = drawn_bits(m * ldn / 16);
    int32_t *example = calloc(m, sizeof *example);
    assert_non_null(example);
    for (size_t r = 0; r < m; r++) {
        example[r] = (int32_t)below(EXAMPLES);
        for (size_t j = 0; j < n; j++) {
            float x = z[(size_t)example[r] * ldz + j];
            if (what == 1) x += sign_at(signs + r * (ldn / 16), j) * sigma;
            if (what == 2) x = fmaf(sigma, noise[r * ldn + j], x);
            wanted[r * ld + j] = x;
        }
    }
    activate_rows(wanted, ld, m, n, activation, number);
    for (size_t r = 0; floored && r < m; r++) {
        for (size_t j = 0; j < n; j++)
            wanted[r * ld + j] = fmaxf(wanted[r * ld + j], floor[(size_t)example[r] * ldz + j]);
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ld);
        kernel_set(s)->disturb(got, ld, z, ldz, floored ? floor : NULL, example, m, n, sigma,
                               what == 1 ? signs : NULL, ldn / 16, what == 2 ? noise : NULL, ldn,
                               activation_of(kernel_set(s), activation), number);
        check_rows(got, wanted, ld, m, n, "disturbed rows");
    }
    free(z), free(floor), free(noise), free(wanted), free(got), free(signs), free(example);
}

static void rows_are_disturbed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (int a = -1; a < ZO_ACTIVATIONS; a++)
            check_disturb(1 + below(20), sizes[i], (int)below(3), a, below(2));
        for (int what = 0; what < 6; what++) {
            check_disturb(3, sizes[i], what % 3, -1, what / 3);
            check_disturb(3, sizes[i], what % 3, ZO_RELU, what / 3);
        }
        check_disturb(0, sizes[i], 1, ZO_RELU, true);
    }
}

/* ---- sums ---- */

/* The sixteen lanes of a sum, folded in halves. */
static float fold(float lane[16])
{
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    }
    return lane[0];
}

/* x begins anywhere in a cache line, its rows end where they may be read no further, and the pad holds NaNs. */
static void check_project(size_t m, size_t n, bool gaussian)
{
    size_t ldx = n + below(20), ldt = 1 + below(4), shift = below(16), padded = zo_round16(n);
    float *base = drawn(shift + (m - 1) * ldx + n, -1, 1), *x = base + shift,
          *noise = floats(padded), *got = floats(m * ldt), factor = draw(&seed, -2, 2);
    uint16_t *signs = drawn_bits(padded / 16);
    draw_many(&seed, noise, n, -2, 2);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = n; j < ldx && i + 1 < m; j++) x[i * ldx + j] = NAN;
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ldt);
        kernel_set(s)->project(got, ldt, x, ldx, m, n, gaussian ? NULL : signs,
                               gaussian ? noise : NULL, factor);
        for (size_t i = 0; i < m; i++) {
            float lane[16] = {0}, want;
            double sum = 0;
            for (size_t j = 0; j < n; j++) {
                float weight = gaussian ? noise[j] : sign_at(signs, j);
                lane[j % 16] = fmaf(x[i * ldx + j], weight, lane[j % 16]);
                sum += (double)x[i * ldx + j] * (double)weight;
            }
            want = factor * fold(lane);
            assert_same_floats(got + i * ldt, &want, 1, "projection");
            assert_near((double)want, (double)factor * sum, 1e-6 * (double)n, 1e-5, "float64");
            for (size_t j = 1; j < ldt; j++) assert_true(got[i * ldt + j] == 7);
        }
    }
    free(base), free(noise), free(got), free(signs);
}

static void rows_are_projected(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t m = 1; m < 40; m += 1 + m / 5) check_project(m, sizes[i], m % 2);
        check_project(16, sizes[i], true);
    }
}

/* A sum in one chain, or folded from the other side, is another number: the projections above would tell. */
static void other_ways_to_sum_would_be_seen(void **state)
{
    int chains = 0, neighbours = 0;
    (void)state;
    for (int times = 0; times < 64; times++) {
        float lane[2][16] = {{0}}, chain = 0;
        for (int j = 0; j < 100; j++) {
            float x = draw(&seed, -1, 1);
            lane[0][j % 16] += x, lane[1][j % 16] += x, chain += x;
        }
        float right = fold(lane[0]);
        for (int step = 1; step < 16; step *= 2) {
            for (int i = 0; i < 16; i += 2 * step) lane[1][i] += lane[1][i + step];
        }
        chains += right != chain, neighbours += right != lane[1][0];
    }
    assert_true(chains > 32 && neighbours > 32);
}

/* One image of m rows: mean, then squares of what is left of it, each in sixteen lanes row after row. */
static void naive_moments(const float *x, size_t ldx, size_t m, size_t n, float *mean, float *by)
{
    float lane[16] = {0}, count = (float)(m * n);
    for (size_t i = 0; i < m * n; i++) lane[i % n % 16] += x[i / n * ldx + i % n];
    *mean = fold(lane) / count;
    memset(lane, 0, sizeof lane);
    for (size_t i = 0; i < m * n; i++) {
        float d = x[i / n * ldx + i % n] - *mean;
        lane[i % n % 16] = fmaf(d, d, lane[i % n % 16]);
    }
    *by = 1 / sqrtf(fold(lane) / count + 1e-5f);
}

static void check_moments(const float *x, size_t ldx, size_t m, size_t n, float mean, float by)
{
    double sum = 0, squares = 0, count = (double)(m * n);
    for (size_t i = 0; i < m * n; i++) sum += (double)x[i / n * ldx + i % n];
    for (size_t i = 0; i < m * n; i++)
        squares += pow((double)x[i / n * ldx + i % n] - sum / count, 2);
    assert_near((double)mean, sum / count, 1e-6, 1e-6, "mean");
    assert_near((double)by, 1 / sqrt(squares / count + 1e-5), 0, 1e-5, "1 / deviation");
}

static void check_normalise(size_t m, size_t n, bool shifted)
{
    size_t ldx = zo_round16(n) + 16 * below(2), ld = zo_round16(n) + 16 * below(2);
    double middle = (double)draw(&seed, -3, 3);
    float *x = drawn(m * ldx, middle - 1, middle + 1), *gain = drawn(zo_round16(n), -2, 2),
          *shift = drawn(zo_round16(n), -1, 1), *wanted = floats(m * ld), *got = floats(m * ld),
          mean, by, moments[2];
    for (size_t i = 0; i < m; i++) {
        for (size_t j = n; j < ldx; j++) x[i * ldx + j] = NAN; /* no pad counts */
    }
    naive_moments(x, ldx, m, n, &mean, &by);
    check_moments(x, ldx, m, n, mean, by);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float y = (x[i * ldx + j] - mean) * by;
            wanted[i * ld + j] = shifted ? fmaf(y, gain[j], shift[j]) : y * gain[j];
        }
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ld);
        kernel_set(s)->normalise(got, ld, x, ldx, m, n, gain, shifted ? shift : NULL,
                                 s % 2 ? NULL : moments);
        check_rows(got, wanted, ld, m, n, "normalised rows");
        assert_true(s % 2 || (same_float(moments[0], mean) && same_float(moments[1], by)));
    }
    free(x), free(gain), free(shift), free(wanted), free(got);
}

static void rows_are_normalised(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t m = 1; m < 60; m += 1 + m / 3) check_normalise(m, sizes[i], m % 2);
        check_normalise(200, sizes[i], true);
    }
}

/* Numbers that are all the same have no deviation but the 1e-5; one that is no number makes all of them so. */
static void normalising_has_limits(void **state)
{
    enum { N = 32 };
    float *x = floats(N), *gain = floats(N), *got = floats(N);
    (void)state;
    for (int i = 0; i < N; i++) x[i] = 2, gain[i] = 1;
    for (int s = 0; kernel_set(s); s++) {
        kernel_set(s)->normalise(got, N, x, N, 1, N, gain, NULL, NULL);
        for (int i = 0; i < N; i++) assert_true(got[i] == 0);
    }
    x[5] = NAN;
    for (int s = 0; kernel_set(s); s++) {
        kernel_set(s)->normalise(got, N, x, N, 1, N, gain, NULL, NULL);
        for (int i = 0; i < N; i++) assert_true(isnan(got[i]));
    }
    free(x), free(gain), free(got);
}

/* ---- one number in, one out ---- */

static void check_add_noise(size_t n, int what)
{
    float *in = drawn(n, -1, 1), *noise = drawn(n, -2, 2), *wanted = floats(n),
          *got = floats(n + 16), sigma = draw(&seed, -1, 1);
    uint16_t *signs = drawn_bits(n / 16);
    bool gaussian = what & 1, from = what & 2;
    for (size_t i = 0; i < n; i++) {
        float x = from ? in[i] : 0;
        if (gaussian)
            wanted[i] = from ? fmaf(sigma, noise[i], x) : sigma * noise[i];
        else
            wanted[i] = from ? x + sign_at(signs, i) * sigma : sign_at(signs, i) * sigma;
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, n + 16);
        if (what & 4) memcpy(got, in, n * sizeof *got); /* in place */
        kernel_set(s)->add_noise(got, from ? what & 4 ? got : in : NULL, n, sigma,
                                 gaussian ? NULL : signs, gaussian ? noise : NULL);
        assert_same_floats(got, wanted, n, "noise");
        for (size_t i = n; i < n + 16; i++) assert_true(got[i] == 7);
        kernel_set(s)->add(got, in, noise, n);
        for (size_t i = 0; i < n; i++) assert_true(got[i] == in[i] + noise[i]);
        kernel_set(s)->add(got, got, noise, n); /* as errors add up */
        for (size_t i = 0; i < n; i++) assert_true(got[i] == in[i] + noise[i] + noise[i]);
        for (size_t i = n; i < n + 16; i++) assert_true(got[i] == 7);
    }
    free(in), free(noise), free(wanted), free(got), free(signs);
}

static void noise_is_added(void **state)
{
    (void)state;
    for (size_t n = 0; n < 400; n += 16) {
        for (int what = 0; what < 8; what++) check_add_noise(n, what);
    }
}

static void check_scale(size_t m, size_t n, bool shifted)
{
    size_t ldx = zo_round16(n) + 16 * below(2), ld = zo_round16(n) + 16 * below(2);
    float *x = drawn(m * ldx, -1, 1), *gain = drawn(zo_round16(n), -2, 2),
          *shift = drawn(zo_round16(n), -1, 1), *wanted = floats(m * ld), *got = floats(m * ld);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            wanted[i * ld + j] =
                shifted ? fmaf(x[i * ldx + j], gain[j], shift[j]) : x[i * ldx + j] * gain[j];
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ld);
        kernel_set(s)->scale(got, ld, x, ldx, m, n, gain, shifted ? shift : NULL);
        check_rows(got, wanted, ld, m, n, "scaled rows");
    }
    free(x), free(gain), free(shift), free(wanted), free(got);
}

static void rows_are_scaled(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        check_scale(1 + below(20), sizes[i], false);
        check_scale(1 + below(20), sizes[i], true);
    }
}

static void check_two_sided(size_t m, size_t n, float threshold)
{
    size_t ldx = zo_round16(n) + 16 * below(2), ld = zo_round16(2 * n) + 16 * below(2);
    float *x = drawn(m * ldx, -1, 1), *wanted = floats(m * ld), *got = floats(m * ld);
    x[0] = threshold, x[(n - 1) / 2] = -threshold;
    if (m > 1) x[ldx] = NAN;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float z = x[i * ldx + j];
            wanted[i * ld + j] = z - threshold < 0 ? 0 : z - threshold;
            wanted[i * ld + n + j] = -z - threshold < 0 ? 0 : -z - threshold;
        }
    }
    for (int s = 0; kernel_set(s); s++) {
        fill(got, m * ld);
        kernel_set(s)->two_sided(got, ld, x, ldx, m, n, threshold);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < 2 * n; j++) {
                float a = got[i * ld + j], b = wanted[i * ld + j];
                assert_true(a == b || (isnan(a) && isnan(b)));
            }
            for (size_t j = zo_round16(2 * n); j < ld; j++) assert_true(got[i * ld + j] == 7);
        }
    }
    free(x), free(wanted), free(got);
}

static void rows_have_two_sides(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        check_two_sided(1 + below(20), sizes[i], 0.25f);
        check_two_sided(1 + below(20), sizes[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(column_updates_of_all_sizes),
        cmocka_unit_test(rows_are_disturbed),
        cmocka_unit_test(rows_are_projected),
        cmocka_unit_test(other_ways_to_sum_would_be_seen),
        cmocka_unit_test(rows_are_normalised),
        cmocka_unit_test(normalising_has_limits),
        cmocka_unit_test(noise_is_added),
        cmocka_unit_test(rows_are_scaled),
        cmocka_unit_test(rows_have_two_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

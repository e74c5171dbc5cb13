/* Activations, slopes, rules and sums of noise: every set like ref bit for bit, and ref against double precision. */
#include "support.h"

static uint64_t seed = 7;

/* Numbers of every kind: any bits, ordinary ones, and the corners. */
static float any_float(void)
{
    static const float corner[] = {
        0.0f,  -0.0f,   1e-45f, -1e-45f, 1.1754944e-38f, 3.4e38f,  -3.4e38f,  88.02f, -87.3f,
        88.8f, -103.9f, 0.625f, -0.625f, 1.0f,           INFINITY, -INFINITY, NAN,    -NAN};
    uint64_t bits = draw_bits(&seed);
    switch (bits % 4) {
    case 0: return float_of((uint32_t)(bits >> 32));
    case 1: return corner[(bits >> 8) % (sizeof corner / sizeof *corner)];
    case 2: return draw(&seed, -100, 100);
    default: return draw(&seed, -4, 4);
    }
}

/* ---- every set like ref ---- */

/* A number for an activation's word: as a caller would give it, or 0 where there is none. */
static int any_number(int a)
{
    if (a == ZO_QUANT) return 1 + (int)(draw_bits(&seed) >> 40) % 8;
    return a == ZO_WTA ? 1 + (int)(draw_bits(&seed) >> 40) % 20 : 0;
}

/* m rows of n columns, as an activation or as a slope, out of place or in place. */
static void check_set(const zo_kernels *k, int a, bool slope, bool in_place, size_t m, size_t n)
{
    int number = any_number(a);
    size_t ldz = zo_round16(n) + 16, ldh = in_place ? ldz : zo_round16(n) + 32;
    float *z = floats(m * ldz), *h = floats(m * ldh), *want = floats(m * ldh);
    for (size_t i = 0; i < m * ldz; i++) z[i] = any_float();
    for (size_t i = 0; i < m * ldh; i++) h[i] = want[i] = in_place ? z[i] : any_float();
    const zo_activation_kernel *own = &k->activation[a], *ref = &zo_kernels_ref.activation[a];
    if (slope) {
        own->slope(h, ldh, z, ldz, m, n);
        ref->slope(want, ldh, z, ldz, m, n);
    } else {
        own->activate(h, ldh, in_place ? h : z, ldz, m, n, number);
        ref->activate(want, ldh, z, ldz, m, n, number);
    }
    for (size_t i = 0; i < m; i++) {
        assert_same_floats(h + i * ldh, want + i * ldh, n, k->info.name);
        for (size_t j = zo_round16(n); j < ldh; j++)
            assert_true(same_float(h[i * ldh + j], want[i * ldh + j]));
    }
    free(z), free(h), free(want);
}

static void sets_agree_on_activations(void **state)
{
    static const size_t widths[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 257};
    (void)state;
    for (int s = 0; kernel_set(s); s++) {
        for (int a = 0; a < ZO_ACTIVATIONS; a++) {
            bool smooth = a <= ZO_SQRT; /* the others have the straight-through rule */
            assert_true(kernel_set(s)->activation[a].smooth == smooth);
            assert_non_null(kernel_set(s)->activation[a].slope);
            for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
                check_set(kernel_set(s), a, false, false, 1 + i % 7, widths[i]);
                check_set(kernel_set(s), a, false, true, 1 + i % 5, widths[i]);
                check_set(kernel_set(s), a, true, false, 1 + i % 7, widths[i]);
            }
            check_set(kernel_set(s), a, false, false, 20, 1000);
            check_set(kernel_set(s), a, true, false, 20, 1000);
        }
    }
}

typedef enum flat {
    SGD,
    MOMENTUM,
    ADAM,
    ADD_SIGNS,
    ADD_SCALED,
    ADD_DRAWS,
    STANDARDISE,
    FLATS
} flat;

/* The kernels over flat arrays: x[0] and more are changed, g and signs are read. */
static void run_flat(const zo_kernels *k, flat f, float *const *x, const float *g,
                     const uint16_t *signs, size_t n)
{
    switch (f) {
    case SGD: k->sgd(x[0], g, n, 0.03f); break;
    case MOMENTUM: k->momentum(x[0], x[1], g, n, 0.03f, 0.9f); break;
    case ADAM: k->adam(x[0], x[1], x[2], g, n, 0.03f, 0.9f, 0.999f, 1e-8f); break;
    case ADD_SIGNS: k->add_signs(x[0], signs, n, 0.37f); break;
    case ADD_DRAWS:
        k->add_draws(x[0], signs, n / 16 + 1, 3, n, (const float[]){0.3f, -2, 5e-8f});
        break;
    case STANDARDISE: k->standardise(x[0], g, n, x[1], x[2]); break;
    default: k->add_scaled(x[0], g, n, -1.7f); break;
    }
}

/* Arrays that begin `shift` floats past an aligned place; what lies around them must stay. */
static void check_flat(const zo_kernels *k, flat f, size_t n, size_t shift, bool corners)
{
    float *base[6], *x[3], *want[3], *g = floats(n + shift);
    uint16_t *signs = calloc(3 * (n / 16 + 1), sizeof *signs);
    assert_non_null(signs);
    for (size_t i = 0; i < 3 * (n / 16 + 1); i++) signs[i] = (uint16_t)draw_bits(&seed);
    for (size_t i = 0; i < n + shift; i++) g[i] = corners ? any_float() : draw(&seed, -2, 2);
    for (int b = 0; b < 3; b++) {
        base[b] = floats(n + shift + 4), base[3 + b] = floats(n + shift + 4);
        for (size_t i = 0; i < n + shift + 4; i++)
            base[b][i] = base[3 + b][i] = corners ? any_float() : draw(&seed, b == 2 ? 0 : -2, 2);
        x[b] = base[b] + shift, want[b] = base[3 + b] + shift;
    }
    run_flat(k, f, x, g + shift, signs, n);
    run_flat(&zo_kernels_ref, f, want, g + shift, signs, n);
    for (int b = 0; b < 3; b++) {
        assert_same_floats(base[b], base[3 + b], n + shift + 4, k->info.name);
        free(base[b]), free(base[3 + b]);
    }
    free(g), free(signs);
}

static void sets_agree_on_flat_arrays(void **state)
{
    (void)state;
    for (int s = 0; kernel_set(s); s++) {
        for (flat f = SGD; f < FLATS; f++) {
            for (size_t n = 0; n < 70; n++) check_flat(kernel_set(s), f, n, n % 5, n % 2);
            check_flat(kernel_set(s), f, 1000, 3, true);
            check_flat(kernel_set(s), f, 1003, 1, false);
        }
    }
}

/* ---- ref against double precision ---- */

static double relu(double z) { return z > 0 ? z : 0; }
static double relu_slope(double z) { return z > 0; }
static double leaky(double z) { return z < 0 ? (double)0.01f * z : z; }
static double leaky_slope(double z) { return z < 0 ? (double)0.01f : 1; }
static double tanh_slope(double z) { return 1 / (cosh(z) * cosh(z)); }
static double sigmoid(double z) { return 1 / (1 + exp(-z)); }
static double sigmoid_slope(double z) { return sigmoid(z) * sigmoid(-z); }
static double gelu(double z) { return z * 0.5 * erfc(-z / sqrt(2)); }
static double gelu_slope(double z)
{
    return 0.5 * erfc(-z / sqrt(2)) + z * exp(-z * z / 2) / sqrt(2 * acos(-1));
}
static double root(double z) { return z > 0 ? sqrt(z) : 0; }
static double root_slope(double z) { return z > 0 ? 0.5 / sqrt(fmax(z, 1.0 / 1024)) : 0; }
static double step(double z) { return z > 0; }
static double sign(double z) { return z < 0 ? -1 : 1; }
static double within_one(double z)
{
    return fabs(z) <= 1;
} /* no slope: the straight-through rule */

/* Bounds: |error| <= absolute + relative |value|, for the function and its slope, for |z| <= reach. */
static const struct {
    zo_activation a;
    double (*f)(double), (*slope)(double);
    double absolute, relative, slope_absolute, reach;
} oracle[] = {
    {ZO_RELU, relu, relu_slope, 0, 0, 0, 1e30},
    {ZO_LEAKY_RELU, leaky, leaky_slope, 1e-45, 6e-8, 0, 1e30},
    {ZO_TANH, tanh, tanh_slope, 0, 4e-7, 5e-7, 100},
    {ZO_SIGMOID, sigmoid, sigmoid_slope, 1e-38, 4e-7, 2e-7, 87},
    {ZO_GELU, gelu, gelu_slope, 7e-7, 2e-7, 1e-6, 30},
    {ZO_SQRT, root, root_slope, 0, 6e-8, 2e-6, 1e30},
    {ZO_STEP, step, within_one, 0, 0, 0, 1e30},
    {ZO_SIGN, sign, within_one, 0, 0, 0, 1e30},
};

static void check_oracle(size_t o, const float *z, float *h, size_t n)
{
    const zo_activation_kernel *k = &zo_kernels_ref.activation[oracle[o].a];
    char what[100];
    k->activate(h, n, z, n, 1, n, 0);
    for (size_t i = 0; i < n; i++) {
        snprintf(what, sizeof what, "activation %d at %.9g", (int)oracle[o].a, (double)z[i]);
        assert_near(h[i], oracle[o].f(z[i]), oracle[o].absolute, oracle[o].relative, what);
    }
    for (size_t i = 0; i < n; i++) h[i] = -1.5f;
    k->slope(h, n, z, n, 1, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(what, sizeof what, "slope %d at %.9g", (int)oracle[o].a, (double)z[i]);
        assert_near(h[i], -1.5 * oracle[o].slope(z[i]), 1.5 * oracle[o].slope_absolute, 0, what);
    }
}

static void activations_are_their_formulas(void **state)
{
    enum { N = 4096 };
    float *z = floats(N), *h = floats(N);
    (void)state;
    for (size_t o = 0; o < sizeof oracle / sizeof *oracle; o++) {
        for (int round = 0; round < 12; round++) {
            double reach = round < 4 ? 1 : round < 8 ? fmin(10, oracle[o].reach) : oracle[o].reach;
            draw_many(&seed, z, N, -reach, reach);
            for (size_t i = 0; round == 0 && i < N; i++) /* every size down to the smallest */
                z[i] = ldexpf(z[i], -(int)(i % 120));
            z[0] = 0, z[1] = -0.0f, z[2] = 1e-40f, z[3] = (float)reach, z[4] = (float)-reach;
            z[5] = 1, z[6] = -1, z[7] = nextafterf(1, 2), z[8] = nextafterf(1, 0), z[9] = -z[7];
            check_oracle(o, z, h, N);
        }
    }
    free(z), free(h);
}

static void activations_have_limits(void **state)
{
    static const float far[] = {1e30f, INFINITY};
    static const float at_plus[] = {0, 0, 1, 1, 0, 0, 1, 1},
                       at_minus[] = {0, 0, -1, 0, 0, 0, 0, -1};
    float *z = floats(16), *h = floats(16);
    (void)state;
    for (int a = 0; a <= ZO_SIGN; a++) {
        zo_activate_fn f = zo_kernels_ref.activation[a].activate;
        for (int i = 0; i < 2; i++) z[i] = far[i], z[2 + i] = -far[i];
        z[4] = NAN;
        f(h, 16, z, 16, 1, 16, 0);
        bool grows = a == ZO_RELU || a == ZO_LEAKY_RELU || a == ZO_GELU;
        for (int i = 0; i < 2; i++)
            assert_true(h[i] == (a == ZO_SQRT ? sqrtf(far[i]) : grows ? far[i] : at_plus[a]));
        if (a == ZO_LEAKY_RELU)
            assert_true(h[2] < -9.9e27f && h[3] == -INFINITY);
        else
            for (int i = 2; i < (a == ZO_GELU ? 3 : 4); i++)
                assert_near(h[i], at_minus[a], 1e-38, 0, "limit");
        /* a NaN goes on, except through a comparison */
        assert_true(isnan(h[4]) || a == ZO_STEP || a == ZO_SIGN);
    }
    free(z), free(h);
}

/* ---- activations with a number ---- */

/* The straight-through rules at their edges: 1 is within, the float after it is not, and a NaN is nowhere. */
static void straight_slopes_have_edges(void **state)
{
    static const float at[16] = {-1.0000001f, -1, -0.5f, -1e-45f,  -0.0f,     0,   1e-45f, 0.5f, 1,
                                 1.0000001f,  2,  -2,    INFINITY, -INFINITY, NAN, -NAN};
    static const int jump[16] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
                     quant[16] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    float *z = floats(16), *e = floats(16);
    (void)state;
    memcpy(z, at, sizeof at);
    for (int s = 0; kernel_set(s); s++) {
        for (int a = ZO_STEP; a < ZO_ACTIVATIONS; a++) {
            for (int i = 0; i < 16; i++) e[i] = (float)i - 3.5f;
            kernel_set(s)->activation[a].slope(e, 16, z, 16, 1, 16);
            for (int i = 0; i < 16; i++) {
                int passes = a == ZO_WTA ? 1 : a == ZO_QUANT ? quant[i] : jump[i];
                assert_true(e[i] == ((float)i - 3.5f) * (float)passes);
            }
        }
    }
    free(z), free(e);
}

/* DoReFa-Net's eq. 5 of what is left of z between 0 and 1. */
static float quantised(float z, int number)
{
    float levels = (float)((1 << number) - 1), x = 0 > z ? 0 : z;
    if (x > 1) x = 1;
    return rintf(x * levels) / levels;
}

static void quant_rounds_to_levels(void **state)
{
    enum { N = 1024 };
    float *z = floats(N), *h = floats(N), *again = floats(N), want[N];
    (void)state;
    for (int number = 1; number <= 8; number++) {
        int levels = (1 << number) - 1;
        for (int i = 0; i < N; i++) z[i] = i % 3 ? draw(&seed, -0.5, 1.5) : any_float();
        for (int i = 0; i < levels; i++) z[i] = ((float)i + 0.5f) / (float)levels; /* halves */
        for (int i = 0; i < N; i++) want[i] = quantised(z[i], number);
        for (int s = 0; kernel_set(s); s++) {
            zo_activate_fn f = kernel_set(s)->activation[ZO_QUANT].activate;
            f(h, N, z, N, 1, N, number);
            assert_same_floats(h, want, N, kernel_set(s)->info.name);
            f(again, N, h, N, 1, N, number); /* a level stays what it is */
            assert_same_floats(again, h, N, kernel_set(s)->info.name);
            for (int i = 0; i < N; i++) {
                double level = (double)h[i] * levels;
                assert_true(isnan(z[i]) ? isnan(h[i]) : h[i] >= 0 && h[i] <= 1);
                assert_true(isnan(h[i]) || fabs(level - rint(level)) < 1e-5 * levels);
            }
        }
    }
    free(z), free(h), free(again);
}

/* h of one row: in each group of `number` columns 1 for the first of the largest, else 0; NaN where the group holds one. */
static void naive_wta(float *h, const float *z, size_t n, size_t number)
{
    for (size_t j = 0; j < n; j++) {
        size_t first = j / number * number, end = first + number < n ? first + number : n;
        bool wins = true, lost = false;
        for (size_t i = first; i < end; i++) {
            lost |= isnan(z[i]);
            if (i != j) wins &= i < j ? z[i] < z[j] : z[i] <= z[j];
        }
        h[j] = lost ? NAN : (float)wins;
    }
}

/* Few values, so that equals are common; NaN now and then; what pads a row has no part in its last group. */
static void check_wta(size_t m, size_t n, int number)
{
    static const float few[] = {0.0f, -0.0f, 1, 1, 2, -INFINITY, -3, INFINITY};
    size_t ld = zo_round16(n) + 16;
    float *z = floats(m * ld), *h = floats(m * ld), *want = floats(m * ld);
    for (size_t i = 0; i < m * ld; i++) {
        uint64_t bits = draw_bits(&seed) >> 30;
        z[i] = bits % 40 == 0 ? NAN : few[bits % (i % 3 ? 8 : 5)];
        if (i % ld >= n) z[i] = bits % 2 ? 1e30f : NAN;
    }
    for (size_t r = 0; r < m; r++) naive_wta(want + r * ld, z + r * ld, n, (size_t)number);
    for (int s = 0; kernel_set(s); s++) {
        zo_activate_fn f = kernel_set(s)->activation[ZO_WTA].activate;
        f(h, ld, z, ld, m, n, number);
        for (size_t r = 0; r < m; r++)
            assert_same_floats(h + r * ld, want + r * ld, n, kernel_set(s)->info.name);
        memcpy(h, z, m * ld * sizeof *z);
        f(h, ld, h, ld, m, n, number);
        for (size_t r = 0; r < m; r++)
            assert_same_floats(h + r * ld, want + r * ld, n, kernel_set(s)->info.name);
    }
    free(z), free(h), free(want);
}

static void of_a_group_one_wins(void **state)
{
    static const int numbers[] = {1, 2, 3, 4, 7, 16, 17, 100};
    static const size_t widths[] = {1, 2, 5, 15, 16, 17, 33, 64, 101};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++)
            check_wta(1 + i + j, widths[j], numbers[i]);
    }
}

/* ---- rules ---- */

enum { RULE_N = 37, RULE_STEPS = 20 };

static void rules_are_their_formulas(void **state)
{
    const double rate = 0.03, b1 = 0.9, b2 = 0.999, epsilon = 1e-3;
    float p[3][RULE_N], v[RULE_N], m[RULE_N] = {0}, s[RULE_N] = {0}, g[RULE_N];
    double p64[3][RULE_N], v64[RULE_N] = {0}, m64[RULE_N] = {0}, s64[RULE_N] = {0};
    (void)state;
    memset(v, 0, sizeof v);
    for (int i = 0; i < 3 * RULE_N; i++) p[i / RULE_N][i % RULE_N] = draw(&seed, -1, 1);
    for (int i = 0; i < 3 * RULE_N; i++)
        p64[i / RULE_N][i % RULE_N] = (double)p[i / RULE_N][i % RULE_N];
    for (int step_number = 0; step_number < RULE_STEPS; step_number++) {
        draw_many(&seed, g, RULE_N, -1, 1);
        zo_kernels_ref.sgd(p[0], g, RULE_N, (float)rate);
        zo_kernels_ref.momentum(p[1], v, g, RULE_N, (float)rate, (float)b1);
        zo_kernels_ref.adam(p[2], m, s, g, RULE_N, (float)rate, (float)b1, (float)b2,
                            (float)epsilon);
        for (int i = 0; i < RULE_N; i++) {
            double d = (double)g[i];
            p64[0][i] -= rate * d;
            v64[i] = b1 * v64[i] + d;
            p64[1][i] -= rate * v64[i];
            m64[i] = b1 * m64[i] + (1 - b1) * d;
            s64[i] = b2 * s64[i] + (1 - b2) * d * d;
            p64[2][i] -= rate * m64[i] / (sqrt(s64[i]) + epsilon);
        }
    }
    for (int i = 0; i < RULE_N; i++) {
        assert_near(p[0][i], p64[0][i], 2e-6, 0, "sgd");
        assert_near(p[1][i], p64[1][i], 1e-5, 0, "momentum");
        assert_near(v[i], v64[i], 1e-5, 0, "its memory");
        assert_near(p[2][i], p64[2][i], 2e-4, 0, "adam");
        assert_near(m[i], m64[i], 1e-6, 0, "its mean");
        assert_near(s[i], s64[i], 1e-7, 1e-4, "its mean square");
    }
}

static void sums_of_noise_are_their_formulas(void **state)
{
    float sum[100], scaled[100], drawn[100], standard[100], x[100], start[100];
    uint16_t signs[7];
    const float weight[] = {0.5f, 0.25f};
    (void)state;
    draw_many(&seed, start, 100, -1, 1);
    draw_many(&seed, x, 100, -1, 1);
    for (int i = 0; i < 7; i++) signs[i] = (uint16_t)draw_bits(&seed);
    memcpy(sum, start, sizeof sum);
    memcpy(scaled, start, sizeof sum);
    memcpy(drawn, start, sizeof sum);
    memcpy(standard, start, sizeof sum);
    zo_kernels_ref.add_signs(sum, signs, 99, 0.25f);
    zo_kernels_ref.add_scaled(scaled, x, 99, 0.3f);
    zo_kernels_ref.add_draws(drawn, signs, 3, 2, 33, weight); /* the second draw begins at word 3 */
    zo_kernels_ref.standardise(standard, x, 99, sum, scaled);
    for (int i = 0; i < 99; i++) {
        float change = signs[i / 16] >> i % 16 & 1 ? -0.25f : 0.25f;
        assert_true(sum[i] == start[i] + change);
        assert_true(scaled[i] == fmaf(0.3f, x[i], start[i]));
        assert_true(standard[i] == (x[i] - sum[i]) * scaled[i]);
        float both = start[i] + (signs[i / 16] >> i % 16 & 1 ? -weight[0] : weight[0]);
        if (i < 33) both += signs[3 + i / 16] >> i % 16 & 1 ? -weight[1] : weight[1];
        assert_true(drawn[i] == (i < 33 ? both : start[i]));
    }
    assert_true(standard[99] == start[99]);
    assert_true(sum[99] == start[99] && scaled[99] == start[99]);
}

/* spin() says how many multiply-adds it did: twice the rounds, twice the work. */
static void spinning_is_counted(void **state)
{
    (void)state;
    for (int s = 0; kernel_set(s); s++) {
        float sink = 0;
        double one = kernel_set(s)->spin(1, &sink), three = kernel_set(s)->spin(3, &sink);
        assert_true(three == 3 * one && one >= 1 << 17 && one <= 1 << 21);
        assert_true(isfinite(sink));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_agree_on_activations),
        cmocka_unit_test(sets_agree_on_flat_arrays),
        cmocka_unit_test(activations_are_their_formulas),
        cmocka_unit_test(activations_have_limits),
        cmocka_unit_test(straight_slopes_have_edges),
        cmocka_unit_test(quant_rounds_to_levels),
        cmocka_unit_test(of_a_group_one_wins),
        cmocka_unit_test(rules_are_their_formulas),
        cmocka_unit_test(sums_of_noise_are_their_formulas),
        cmocka_unit_test(spinning_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Activations, their slopes, rules and noise sums: one element in, one element out. */
#ifndef ZO_KERNELS_ELEMENTWISE_H
#define ZO_KERNELS_ELEMENTWISE_H

#include <math.h>

LANES v16 relu_f(v16 z) { return v_max(v_set(0), z); }
LANES v16 relu_d(v16 z) { return v_select(v_lt(v_set(0), z), v_set(1), v_set(0)); }
LANES v16 leaky_relu_f(v16 z) { return v_select(v_lt(z, v_set(0)), v_mul(z, v_set(0.01f)), z); }
LANES v16 leaky_relu_d(v16 z) { return v_select(v_lt(z, v_set(0)), v_set(0.01f), v_set(1)); }
LANES v16 tanh_f(v16 z) { return v_tanh(z); }
LANES v16 tanh_d(v16 z)
{
    v16 t = v_tanh(z);
    return v_fma(v_sub(v_set(0), t), t, v_set(1));
}
LANES v16 sigmoid_f(v16 z) { return v_sigmoid(z); }
LANES v16 sigmoid_d(v16 z)
{
    v16 s = v_sigmoid(z);
    return v_mul(s, v_sub(v_set(1), s));
}
LANES v16 gelu_f(v16 z) { return v_mul(z, v_normal_cdf(z)); }
LANES v16 gelu_d(v16 z)
{
    v16 density = v_mul(v_exp(v_mul(v_mul(z, z), v_set(-0.5f))), v_set(0.39894228f));
    return v_fma(z, density, v_normal_cdf(z));
}
/* Correctly rounded. The slope grows without bound towards 0: that of 2^-10, which is 16, stands for all below. */
LANES v16 sqrt_f(v16 z) { return v_sqrt(v_max(v_set(0), z)); }
LANES v16 sqrt_d(v16 z)
{
    v16 slope = v_div(v_set(0.5f), v_sqrt(v_max(v_set(0x1p-10f), z)));
    return v_select(v_lt(v_set(0), z), slope, v_set(0));
}
LANES v16 step_f(v16 z) { return v_select(v_lt(v_set(0), z), v_set(1), v_set(0)); }
LANES v16 sign_f(v16 z) { return v_select(v_lt(z, v_set(0)), v_set(-1), v_set(1)); }

/* The straight-through rules. One beyond the float after 1 is beyond 1; comparisons with a NaN give 0. */
LANES v16 within_one(v16 z) { return v_select(v_lt(z, v_set(0x1.000002p0f)), v_set(1), v_set(0)); }
LANES v16 step_d(v16 z) { return within_one(v_abs(z)); } /* Hubara et al. 2016, eq. 4 */
LANES v16 sign_d(v16 z) { return within_one(v_abs(z)); }
LANES v16 quant_d(v16 z) { return v_select(v_lt(z, v_set(0)), v_set(0), within_one(z)); }
LANES v16 wta_d(v16 z) { return (void)z, v_set(1); }

#define ACTIVATE(ID, name)                                                                         \
    static void name##_activate(float *h, size_t ldh, const float *z, size_t ldz, size_t m,        \
                                size_t n, int number)                                              \
    {                                                                                              \
        (void)number;                                                                              \
        for (size_t i = 0; i < m; i++) {                                                           \
            for (size_t j = 0; j < n; j += 16)                                                     \
                v_store(h + i * ldh + j, name##_f(v_load(z + i * ldz + j)));                       \
        }                                                                                          \
    }
#define SLOPE(ID, name)                                                                            \
    static void name##_slope(float *e, size_t lde, const float *z, size_t ldz, size_t m, size_t n) \
    {                                                                                              \
        for (size_t i = 0; i < m; i++) {                                                           \
            for (size_t j = 0; j < n; j += 16) {                                                   \
                float *at = e + i * lde + j;                                                       \
                v_store(at, v_mul(v_load(at), name##_d(v_load(z + i * ldz + j))));                 \
            }                                                                                      \
        }                                                                                          \
    }
ZO_SMOOTH_MAP(ACTIVATE)
ZO_JUMPING_MAP(ACTIVATE)
ZO_ACTIVATION_MAP(SLOPE)
#undef ACTIVATE
#undef SLOPE

/* number bits of the part of z between 0 and 1 (DoReFa-Net, Zhou et al. 2016, eq. 5), halves to even; a NaN stays. */
static void quant_activate(float *h, size_t ldh, const float *z, size_t ldz, size_t m, size_t n,
                           int number)
{
    v16 levels = v_set((float)((1 << number) - 1)), zero = v_set(0), one = v_set(1);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += 16) {
            v16 x = v_min(one, v_max(zero, v_load(z + i * ldz + j)));
            v_store(h + i * ldh + j, v_div(v_round(v_mul(x, levels)), levels));
        }
    }
}

/* One group of n: 1 for the first of its largest, 0 for the others; all NaN where one is, so that divergence is not hidden. */
static void wta_group(float *h, const float *z, size_t n)
{
    size_t winner = 0;
    bool lost = false;
    for (size_t j = 0; j < n; j++) {
        lost |= z[j] != z[j];
        if (z[j] > z[winner]) winner = j;
    }
    for (size_t j = 0; j < n; j++) h[j] = lost ? NAN : (float)(j == winner);
}

/* Local winner-take-all (Srivastava et al. 2013) in groups of `number` real columns; the winner gives 1, not its value. */
static void wta_activate(float *h, size_t ldh, const float *z, size_t ldz, size_t m, size_t n,
                         int number)
{
    size_t group = (size_t)number;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += group)
            wta_group(h + i * ldh + j, z + i * ldz + j, n - j < group ? n - j : group);
    }
}

/* lanes at i: all sixteen, or those that are left */
LANES size_t lanes_at(size_t i, size_t n) { return n - i < 16 ? n - i : 16; }
LANES v16 take(const float *p, size_t k) { return k == 16 ? v_load(p) : v_load_n(p, k); }
LANES void give(float *p, v16 x, size_t k)
{
    if (k == 16)
        v_store(p, x);
    else
        v_store_n(p, x, k);
}

static void standardise(float *out, const float *x, size_t n, const float *shift, const float *scale)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        give(out + i, v_mul(v_sub(take(x + i, k), take(shift + i, k)), take(scale + i, k)), k);
    }
}

static void sgd(float *p, const float *g, size_t n, float rate)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        give(p + i, v_fma(v_set(-rate), take(g + i, k), take(p + i, k)), k);
    }
}

static void momentum(float *p, float *v, const float *g, size_t n, float rate, float beta)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        v16 speed = v_fma(v_set(beta), take(v + i, k), take(g + i, k));
        give(v + i, speed, k);
        give(p + i, v_fma(v_set(-rate), speed, take(p + i, k)), k);
    }
}

static void adam(float *p, float *mean, float *square, const float *g, size_t n, float rate,
                 float beta1, float beta2, float epsilon)
{
    v16 a = v_set(1 - beta1), b = v_set(1 - beta2);
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        v16 d = take(g + i, k), m = take(mean + i, k), s = take(square + i, k);
        m = v_fma(a, v_sub(d, m), m);
        s = v_fma(b, v_sub(v_mul(d, d), s), s);
        give(mean + i, m, k);
        give(square + i, s, k);
        v16 step = v_div(v_mul(v_set(rate), m), v_add(v_sqrt(s), v_set(epsilon)));
        give(p + i, v_sub(take(p + i, k), step), k);
    }
}

static void add_signs(float *sum, const uint16_t *signs, size_t n, float weight)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        give(sum + i, v_add(take(sum + i, k), v_signed(weight, signs[i / 16])), k);
    }
}

static void add_draws(float *sum, const uint16_t *signs, size_t ld, size_t draws, size_t n,
                      const float *weight)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        v16 x = take(sum + i, k);
        for (size_t d = 0; d < draws; d++)
            x = v_add(x, v_signed(weight[d], signs[d * ld + i / 16]));
        give(sum + i, x, k);
    }
}

static void add_scaled(float *sum, const float *x, size_t n, float weight)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t k = lanes_at(i, n);
        give(sum + i, v_fma(v_set(weight), take(x + i, k), take(sum + i, k)), k);
    }
}

/* Enough independent chains to hide the latency, few enough to stay in registers. */
static double spin(int rounds, float *sink)
{
    enum { CHAINS = ZO_SPIN_CHAINS, TURNS = 1 << 13 };
    float lanes[16 * CHAINS]; /* all different, so that no lane can stand for another */
    for (int i = 0; i < 16 * CHAINS; i++) lanes[i] = (float)i + *sink;
    v16 acc[CHAINS], a = v_set(1.0000001f), b = v_set(1e-9f);
    for (int c = 0; c < CHAINS; c++) acc[c] = v_load(lanes + 16 * c);
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < TURNS; i++) {
#pragma GCC unroll 16
            for (int c = 0; c < CHAINS; c++) acc[c] = v_fma(acc[c], a, b);
        }
    }
    for (int c = 1; c < CHAINS; c++) acc[0] = v_add(acc[0], acc[c]);
    v_store(lanes, acc[0]);
    *sink = lanes[0] + lanes[15];
    return 16.0 * CHAINS * TURNS * rounds;
}
#endif

/* exp, log and what follows from them, over sixteen lanes. Included by each kernel set after its lanes.h, so that all sets do the same
 * operations in the same order. Coefficients: Cephes single precision (Moshier 1992). Errors are bounded in tests/test_kernels.c
 * against double precision.
 */
#ifndef ZO_KERNELS_MATH_H
#define ZO_KERNELS_MATH_H

/* a polynomial by Horner's rule, highest coefficient first */
LANES v16 v_poly(v16 x, const float *c, int n)
{
    v16 p = v_set(c[0]);
    for (int i = 1; i < n; i++) p = v_fma(p, x, v_set(c[i]));
    return p;
}

/* e^x; 0 below -87.3, e^88.02 above 88.02; NaN stays NaN */
LANES v16 v_exp(v16 x)
{
    static const float c[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                              4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
    m16 tiny = v_lt(x, v_set(-87.3f));
    x = v_min(v_set(88.02f), v_max(v_set(-87.3f), x)); /* bounds first: a NaN in x comes through */
    v16 n = v_round(v_mul(x, v_set(1.44269504f)));
    v16 r = v_fma(n, v_set(2.12194440e-4f), v_fma(n, v_set(-0.693359375f), x));
    v16 p = v_add(v_fma(v_mul(r, r), v_poly(r, c, 6), r), v_set(1));
    return v_select(tiny, v_set(0), v_mul(p, v_pow2(n)));
}

/* natural logarithm of a positive normal x */
LANES v16 v_log(v16 x)
{
    static const float c[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                              -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                              2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
    v16 e, m = v_split(x, &e);
    m16 low = v_lt(m, v_set(0.70710678f));
    e = v_select(low, v_sub(e, v_set(1)), e);
    m = v_sub(v_select(low, v_add(m, m), m), v_set(1));
    v16 q = v_mul(m, m);
    v16 y = v_mul(v_mul(v_poly(m, c, 9), m), q);
    y = v_fma(e, v_set(-2.12194440e-4f), y);
    y = v_fma(q, v_set(-0.5f), y);
    return v_fma(e, v_set(0.693359375f), v_add(m, y));
}

/* log(1 + u), 0 <= u <= 1, without losing a small u */
LANES v16 v_log1p(v16 u)
{
    v16 s = v_add(v_set(1), u);
    return v_add(v_log(s), v_div(v_sub(u, v_sub(s, v_set(1))), s));
}

/* log(1 + e^t) */
LANES v16 v_softplus(v16 t)
{
    return v_add(v_max(v_set(0), t), v_log1p(v_exp(v_sub(v_set(0), v_abs(t)))));
}

LANES v16 v_sigmoid(v16 x) { return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), x)))); }

LANES v16 v_tanh(v16 x)
{
    static const float c[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                              1.33314422036e-1f, -3.33332819422e-1f};
    v16 a = v_abs(x), q = v_mul(x, x);
    v16 small = v_fma(v_mul(v_poly(q, c, 5), q), x, x);
    v16 large = v_sub(v_set(1), v_div(v_set(2), v_add(v_exp(v_add(a, a)), v_set(1))));
    large = v_select(v_lt(x, v_set(0)), v_sub(v_set(0), large), large);
    return v_select(v_lt(a, v_set(0.625f)), small, large);
}

/* the standard normal distribution function, absolute error below 2e-7 (Abramowitz & Stegun 7.1.26) */
LANES v16 v_normal_cdf(v16 x)
{
    static const float c[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f,
                              0.254829592f};
    v16 a = v_mul(v_abs(x), v_set(0.70710678f));
    v16 t = v_div(v_set(1), v_fma(v_set(0.3275911f), a, v_set(1)));
    v16 tail =
        v_mul(v_mul(v_mul(v_poly(t, c, 5), t), v_exp(v_sub(v_set(0), v_mul(a, a)))), v_set(0.5f));
    return v_select(v_lt(x, v_set(0)), tail, v_sub(v_set(1), tail));
}
#endif

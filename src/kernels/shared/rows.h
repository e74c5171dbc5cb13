/* Rows changed by noise or scaled, and sums along rows. A sum runs in sixteen lanes, then lanes fold in halves. */
#ifndef ZO_KERNELS_ROWS_H
#define ZO_KERNELS_ROWS_H

static void disturb(float *h, size_t ldh, const float *z, size_t ldz, const float *floor,
                    const int32_t *example, size_t m, size_t n, float sigma, const uint16_t *signs,
                    size_t ld_signs, const float *noise, size_t ld_noise, zo_activate_fn activate,
                    int number)
{
    bool relu = activate == relu_activate, whole = activate && !relu;
    v16 weight = v_set(sigma), least = v_set(relu ? 0 : -INFINITY);
    for (size_t r = 0; r < m; r++) {
        const float *from = z + (size_t)example[r] * ldz,
                    *other = floor ? floor + (size_t)example[r] * ldz : NULL;
        float *to = h + r * ldh;
        for (size_t j = 0; j < n; j += 16) {
            v16 x = v_load(from + j);
            if (signs) x = v_add(x, v_signed(sigma, signs[r * ld_signs + j / 16]));
            if (noise) x = v_fma(weight, v_load(noise + r * ld_noise + j), x);
            x = v_max(least, x);
            v_store(to + j, other && !whole ? v_max(v_load(other + j), x) : x);
        }
        if (whole) activate(to, ldh, to, ldh, 1, n, number);
        for (size_t j = 0; whole && other && j < n; j += 16)
            v_store(to + j, v_max(v_load(other + j), v_load(to + j)));
    }
}

static void add_noise(float *out, const float *in, size_t n, float sigma, const uint16_t *signs,
                      const float *noise)
{
    v16 weight = v_set(sigma);
    for (size_t i = 0; i < n; i += 16) {
        v16 x = noise ? v_load(noise + i) : v_signed(sigma, signs[i / 16]);
        if (noise) x = in ? v_fma(weight, x, v_load(in + i)) : v_mul(weight, x);
        if (!noise && in) x = v_add(v_load(in + i), x);
        v_store(out + i, x);
    }
}

static void add(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += 16) v_store(out + i, v_add(v_load(a + i), v_load(b + i)));
}

static void scale(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                  const float *gain, const float *shift)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += 16) {
            v16 y = v_load(x + i * ldx + j), g = v_load(gain + j);
            v_store(out + i * ldo + j, shift ? v_fma(y, g, v_load(shift + j)) : v_mul(y, g));
        }
    }
}

/* The second half of a row may begin within a vector: it lies over the pad of the first. */
static void two_sided(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                      float threshold)
{
    v16 t = v_set(threshold), zero = v_set(0);
    for (size_t i = 0; i < m; i++, out += ldo, x += ldx) {
        for (size_t j = 0; j < n; j += 16) v_store(out + j, v_max(zero, v_sub(v_load(x + j), t)));
        for (size_t j = 0; j < n; j += 16)
            give(out + n + j, v_max(zero, v_sub(v_sub(zero, v_load(x + j)), t)), lanes_at(j, n));
    }
}

/* The sums of sixteen vectors, lane r that of x[r]: lane i of a vector meets lane i + 8, then i + 4, i + 2, i + 1. */
LANES v16 fold(v16 x[16])
{
    v_transpose(x);
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) x[i] = v_add(x[i], x[i + half]);
    }
    return x[0];
}

/* Sums of four rows, or of one, by lane; x read as far as column n. */
LANES void lane_sums(v16 *sum, const float *x, size_t ldx, size_t n, const uint16_t *signs,
                     const float *noise, const bool four)
{
    v16 a = v_set(0), b = a, c = a, d = a;
    for (size_t j = 0; j < n; j += 16, x += 16) {
        size_t left = lanes_at(j, n);
        v16 weight = noise ? v_load(noise + j) : v_signed(1, signs[j / 16]);
        a = v_fma(take(x, left), weight, a);
        if (!four) continue;
        b = v_fma(take(x + ldx, left), weight, b);
        c = v_fma(take(x + 2 * ldx, left), weight, c);
        d = v_fma(take(x + 3 * ldx, left), weight, d);
    }
    sum[0] = a;
    if (four) sum[1] = b, sum[2] = c, sum[3] = d;
}

static void project(float *t, size_t ldt, const float *x, size_t ldx, size_t m, size_t n,
                    const uint16_t *signs, const float *noise, float factor)
{
    for (size_t i = 0; i < m; i += 16) {
        size_t rows = lanes_at(i, m), r = 0;
        v16 sum[16];
        float got[16];
        for (; r + 4 <= rows; r += 4)
            lane_sums(sum + r, x + (i + r) * ldx, ldx, n, signs, noise, true);
        for (; r < rows; r++) lane_sums(sum + r, x + (i + r) * ldx, ldx, n, signs, noise, false);
        for (; r < 16; r++) sum[r] = v_set(0);
        v_store(got, v_mul(v_set(factor), fold(sum)));
        for (r = 0; r < rows; r++) t[(i + r) * ldt] = got[r];
    }
}

/* The sum over m rows of n columns of x - mean, or of its square. */
static float sum_of(const float *x, size_t ldx, size_t m, size_t n, float mean, bool square)
{
    v16 sum[16], centre = v_set(mean);
    for (size_t r = 0; r < 16; r++) sum[r] = v_set(0);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += 16) {
            size_t left = lanes_at(j, n);
            v16 d = v_sub(take(x + i * ldx + j, left), centre);
            if (left < 16) {
                float some[16];
                v_store(some, d);
                d = v_load_n(some, left);
            }
            sum[0] = square ? v_fma(d, d, sum[0]) : v_add(sum[0], d);
        }
    }
    float got[16];
    v_store(got, fold(sum));
    return got[0];
}

static void normalise(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                      const float *gain, const float *shift, float *moments)
{
    float count = (float)(m * n), mean = sum_of(x, ldx, m, n, 0, false) / count,
          variance = sum_of(x, ldx, m, n, mean, true) / count, one[16];
    v_store(one, v_div(v_set(1), v_sqrt(v_set(variance + 1e-5f))));
    v16 centre = v_set(mean), by = v_set(one[0]);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += 16) {
            v16 y = v_mul(v_sub(v_load(x + i * ldx + j), centre), by), g = v_load(gain + j);
            v_store(out + i * ldo + j, shift ? v_fma(y, g, v_load(shift + j)) : v_mul(y, g));
        }
    }
    if (moments) moments[0] = mean, moments[1] = one[0];
}
#endif

/* Random numbers sixteen blocks at a time: Philox4x32-10 (Salmon et al. 2011) as base/random.h names its streams, and normal numbers by
 * Box & Muller (1958) in float32, on our own logarithm and a sine and cosine without a table.
 */
#ifndef ZO_KERNELS_NOISE_H
#define ZO_KERNELS_NOISE_H

/* The words of blocks first .. first + 15: lane i of word[w] is word w of block first + i. */
LANES void philox(w16 word[4], const uint32_t key[2], const uint32_t counter[3], uint32_t first)
{
    w16 a = w_count(first), b = w_set(counter[0]), c = w_set(counter[1]), d = w_set(counter[2]);
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        w16 high_a, high_c, low_a = w_mul(a, 0xD2511F53u, &high_a),
                            low_c = w_mul(c, 0xCD9E8D57u, &high_c);
        a = w_xor(w_xor(high_c, b), w_set(k0));
        b = low_c;
        c = w_xor(w_xor(high_a, d), w_set(k1));
        d = low_a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    word[0] = a, word[1] = b, word[2] = c, word[3] = d;
}

static void blocks(uint32_t *out, const uint32_t key[2], const uint32_t counter[3], uint32_t first,
                   size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        w16 word[4];
        float four[64], *to = n - i < 16 ? four : (float *)(void *)(out + 4 * i);
        philox(word, key, counter, first + (uint32_t)i);
        v_store4(to, w_bits(word[0]), w_bits(word[1]), w_bits(word[2]), w_bits(word[3]));
        if (to == four) memcpy(out + 4 * i, four, 16 * (n - i));
    }
}

/* sin and cos of 2 pi u for u = 24 bits of word: a quarter turn at a time, Taylor's polynomials up to pi/4 (error below 1e-7). */
LANES void turn(w16 word, v16 *sine, v16 *cosine)
{
    v16 quarters = v_mul(w_float(w_shift_right(word, 8)), v_set(0x1p-22f)), q = v_round(quarters);
    v16 x = v_mul(v_sub(quarters, q), v_set(1.57079633f)), x2 = v_mul(x, x);
    v16 s = v_fma(x2, v_set(2.7557319e-6f), v_set(-1.9841270e-4f));
    s = v_fma(x2, s, v_set(8.3333333e-3f));
    s = v_fma(x2, s, v_set(-1.6666667e-1f));
    s = v_fma(v_mul(x2, x), s, x);
    v16 c = v_fma(x2, v_set(-2.7557319e-7f), v_set(2.4801587e-5f));
    c = v_fma(x2, c, v_set(-1.3888889e-3f));
    c = v_fma(x2, c, v_set(4.1666667e-2f));
    c = v_fma(x2, c, v_set(-0.5f));
    c = v_fma(x2, c, v_set(1));
    v16 minus_s = v_sub(v_set(0), s), minus_c = v_sub(v_set(0), c);
    m16 second = v_lt(q, v_set(1.5f)), third = v_lt(q, v_set(2.5f)), fourth = v_lt(q, v_set(3.5f)),
        one = v_lt(q, v_set(0.5f));
    *sine = v_select(one, s,
                     v_select(second, c, v_select(third, minus_s, v_select(fourth, minus_c, s))));
    *cosine = v_select(one, c,
                       v_select(second, minus_s, v_select(third, minus_c, v_select(fourth, s, c))));
}

/* sqrt(-2 log u), u = (word + 1/2) / 2^32: the radius of a pair, at most 6.8. */
LANES v16 radius(w16 word)
{
    v16 low = v_fma(w_float(w_and(word, 255)), v_set(0x1p-32f), v_set(0x1p-33f));
    v16 u = v_fma(w_float(w_shift_right(word, 8)), v_set(0x1p-24f), low);
    return v_sqrt(v_max(v_set(0), v_mul(v_set(-2), v_log(u))));
}

/* Numbers 4 first .. 4 first + n - 1 of the stream: each block gives four. */
static void normal(float *out, const uint32_t key[2], const uint32_t counter[3], uint32_t first,
                   size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        w16 word[4];
        v16 sine[2], cosine[2];
        float many[64], *to = n - i < 64 ? many : out + i;
        philox(word, key, counter, first + (uint32_t)(i / 4));
        for (int pair = 0; pair < 2; pair++) {
            v16 r = radius(word[2 * pair]);
            turn(word[2 * pair + 1], &sine[pair], &cosine[pair]);
            sine[pair] = v_mul(r, sine[pair]);
            cosine[pair] = v_mul(r, cosine[pair]);
        }
        v_store4(to, cosine[0], sine[0], cosine[1], sine[1]);
        if (to == many) memcpy(out + i, many, 4 * (n - i));
    }
}
#endif

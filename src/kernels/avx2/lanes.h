/* Sixteen lanes as two registers of eight. Semantics: ref/lanes.h. */
#ifndef ZO_KERNELS_LANES_H
#define ZO_KERNELS_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES static inline __attribute__((always_inline))

typedef struct v16 {
    __m256 a, b;
} v16;
typedef v16 m16;

#define BOTH(f, x, y) ((v16){f((x).a, (y).a), f((x).b, (y).b)})

LANES v16 v_set(float a) { return (v16){_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
LANES v16 v_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
/* Keeps what was loaded in registers, where a compiler would load it again for each use. */
LANES v16 v_hold(v16 x)
{
    __asm__("" : "+x"(x.a), "+x"(x.b));
    return x;
}
LANES void v_store(float *p, v16 x) { _mm256_storeu_ps(p, x.a), _mm256_storeu_ps(p + 8, x.b); }
LANES v16 v_load_n(const float *p, size_t n)
{
    float t[16] = {0};
    memcpy(t, p, n * 4);
    return v_load(t);
}
LANES void v_store_n(float *p, v16 x, size_t n)
{
    float t[16];
    v_store(t, x);
    memcpy(p, t, n * 4);
}
LANES v16 v_add(v16 x, v16 y) { return BOTH(_mm256_add_ps, x, y); }
LANES v16 v_sub(v16 x, v16 y) { return BOTH(_mm256_sub_ps, x, y); }
LANES v16 v_mul(v16 x, v16 y) { return BOTH(_mm256_mul_ps, x, y); }
LANES v16 v_div(v16 x, v16 y) { return BOTH(_mm256_div_ps, x, y); }
LANES v16 v_fma(v16 x, v16 y, v16 z)
{
    return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
LANES v16 v_sqrt(v16 x) { return (v16){_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
LANES v16 v_max(v16 x, v16 y) { return BOTH(_mm256_max_ps, x, y); }
LANES v16 v_min(v16 x, v16 y) { return BOTH(_mm256_min_ps, x, y); }
LANES v16 v_abs(v16 x)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
LANES v16 v_round(v16 x)
{
    return (v16){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
LANES m16 v_lt(v16 x, v16 y)
{
    return (v16){_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
LANES m16 v_nan(v16 x)
{
    return (v16){_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)};
}
LANES v16 v_select(m16 m, v16 yes, v16 no)
{
    return (v16){_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}
LANES v16 v_signed(float x, uint16_t bits)
{
    __m256i low = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24),
            high = _mm256_setr_epi32(23, 22, 21, 20, 19, 18, 17, 16);
    __m256i b = _mm256_set1_epi32(bits), sign = _mm256_set1_epi32(INT32_MIN);
    __m256 v = _mm256_set1_ps(x);
    return (v16){
        _mm256_xor_ps(v, _mm256_castsi256_ps(_mm256_and_si256(_mm256_sllv_epi32(b, low), sign))),
        _mm256_xor_ps(v, _mm256_castsi256_ps(_mm256_and_si256(_mm256_sllv_epi32(b, high), sign)))};
}
LANES __m256 pow2_half(__m256 e)
{
    __m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(e), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}
LANES v16 v_pow2(v16 e) { return (v16){pow2_half(e.a), pow2_half(e.b)}; }
LANES __m256 split_half(__m256 x, __m256 *e)
{
    __m256i bits = _mm256_castps_si256(x);
    *e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(126)));
    bits = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)),
                           _mm256_set1_epi32(0x3f000000));
    return _mm256_castsi256_ps(bits);
}
LANES v16 v_split(v16 x, v16 *e) { return (v16){split_half(x.a, &e->a), split_half(x.b, &e->b)}; }
LANES m16 v_equals(const int32_t *label, int32_t c)
{
    __m256i k = _mm256_set1_epi32(c);
    return (v16){
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_loadu_si256((const __m256i *)label), k)),
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_loadu_si256((const __m256i *)(label + 8)), k))};
}

/* 8 x 8 in place */
LANES void transpose8(__m256 r[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

LANES void v_transpose(v16 r[16])
{
    __m256 q[4][8]; /* top left, top right, bottom left, bottom right */
    for (int i = 0; i < 8; i++) {
        q[0][i] = r[i].a, q[1][i] = r[i].b;
        q[2][i] = r[i + 8].a, q[3][i] = r[i + 8].b;
    }
    for (int i = 0; i < 4; i++) transpose8(q[i]);
    for (int i = 0; i < 8; i++) {
        r[i] = (v16){q[0][i], q[2][i]};
        r[i + 8] = (v16){q[1][i], q[3][i]};
    }
}

typedef struct w16 {
    __m256i a, b;
} w16;

LANES w16 w_set(uint32_t x)
{
    return (w16){_mm256_set1_epi32((int32_t)x), _mm256_set1_epi32((int32_t)x)};
}
LANES w16 w_count(uint32_t first)
{
    __m256i from = _mm256_set1_epi32((int32_t)first), eight = _mm256_set1_epi32(8);
    __m256i a = _mm256_add_epi32(from, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return (w16){a, _mm256_add_epi32(a, eight)};
}
LANES w16 w_xor(w16 x, w16 y)
{
    return (w16){_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)};
}
LANES w16 w_and(w16 x, uint32_t y)
{
    __m256i mask = _mm256_set1_epi32((int32_t)y);
    return (w16){_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
LANES w16 w_shift_right(w16 x, const int by)
{
    return (w16){_mm256_srli_epi32(x.a, by), _mm256_srli_epi32(x.b, by)};
}
/* Products of the even and of the odd lanes, put together again. */
LANES __m256i mul_half(__m256i x, __m256i y, __m256i *high)
{
    __m256i even = _mm256_mul_epu32(x, y), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), y);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
LANES w16 w_mul(w16 x, uint32_t y, w16 *high)
{
    __m256i factor = _mm256_set1_epi32((int32_t)y);
    w16 low;
    low.a = mul_half(x.a, factor, &high->a);
    low.b = mul_half(x.b, factor, &high->b);
    return low;
}
LANES v16 w_float(w16 x) { return (v16){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
LANES v16 w_bits(w16 x) { return (v16){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
LANES void store4_half(float *p, __m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d); /* lanes 0 1 4 5 */
    __m256 xy = _mm256_unpackhi_ps(a, b), zw = _mm256_unpackhi_ps(c, d); /* lanes 2 3 6 7 */
    __m256 t0 = _mm256_shuffle_ps(ab, cd, 0x44), t1 = _mm256_shuffle_ps(ab, cd, 0xee),
           t2 = _mm256_shuffle_ps(xy, zw, 0x44), t3 = _mm256_shuffle_ps(xy, zw, 0xee);
    _mm256_storeu_ps(p, _mm256_permute2f128_ps(t0, t1, 0x20));
    _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(t2, t3, 0x20));
    _mm256_storeu_ps(p + 16, _mm256_permute2f128_ps(t0, t1, 0x31));
    _mm256_storeu_ps(p + 24, _mm256_permute2f128_ps(t2, t3, 0x31));
}
LANES void v_store4(float *p, v16 a, v16 b, v16 c, v16 d)
{
    store4_half(p, a.a, b.a, c.a, d.a);
    store4_half(p + 32, a.b, b.b, c.b, d.b);
}
#endif

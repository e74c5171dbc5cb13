/* Sixteen lanes in one register. Semantics: ref/lanes.h. */
#ifndef ZO_KERNELS_LANES_H
#define ZO_KERNELS_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES static inline __attribute__((always_inline))

typedef __m512 v16;
typedef __mmask16 m16;

LANES m16 first(size_t n) { return (m16)((1u << n) - 1); }

LANES v16 v_set(float a) { return _mm512_set1_ps(a); }
LANES v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
/* Keeps what was loaded in a register, where a compiler would load it again for each use. */
LANES v16 v_hold(v16 x)
{
    __asm__("" : "+v"(x));
    return x;
}
LANES void v_store(float *p, v16 x) { _mm512_storeu_ps(p, x); }
LANES v16 v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
LANES void v_store_n(float *p, v16 x, size_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
LANES v16 v_add(v16 x, v16 y) { return _mm512_add_ps(x, y); }
LANES v16 v_sub(v16 x, v16 y) { return _mm512_sub_ps(x, y); }
LANES v16 v_mul(v16 x, v16 y) { return _mm512_mul_ps(x, y); }
LANES v16 v_div(v16 x, v16 y) { return _mm512_div_ps(x, y); }
LANES v16 v_fma(v16 x, v16 y, v16 z) { return _mm512_fmadd_ps(x, y, z); }
LANES v16 v_sqrt(v16 x) { return _mm512_sqrt_ps(x); }
LANES v16 v_max(v16 x, v16 y) { return _mm512_max_ps(x, y); }
LANES v16 v_min(v16 x, v16 y) { return _mm512_min_ps(x, y); }
LANES v16 v_abs(v16 x) { return _mm512_abs_ps(x); }
LANES v16 v_round(v16 x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LANES m16 v_lt(v16 x, v16 y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ); }
LANES m16 v_nan(v16 x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }
LANES v16 v_select(m16 m, v16 yes, v16 no) { return _mm512_mask_blend_ps(m, no, yes); }
LANES v16 v_signed(float x, uint16_t bits)
{
    return _mm512_mask_blend_ps(bits, _mm512_set1_ps(x), _mm512_set1_ps(-x));
}
LANES v16 v_pow2(v16 e)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(e), _mm512_set1_epi32(127)), 23));
}
LANES v16 v_split(v16 x, v16 *e)
{
    __m512i bits = _mm512_castps_si512(x);
    *e = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(bits, 23), _mm512_set1_epi32(126)));
    bits = _mm512_or_si512(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffff)),
                           _mm512_set1_epi32(0x3f000000));
    return _mm512_castsi512_ps(bits);
}
LANES m16 v_equals(const int32_t *label, int32_t c)
{
    return _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(label), _mm512_set1_epi32(c));
}

LANES void v_transpose(v16 r[16])
{
    v16 t[16], u[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    /* u[4g + c]: 128-bit block b holds column 4b + c of rows 4g .. 4g + 3 */
    for (int c = 0; c < 4; c++) {
        v16 x = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x44),
            y = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x44);
        v16 z = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xee),
            w = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xee);
        r[c] = _mm512_shuffle_f32x4(x, y, 0x88);
        r[4 + c] = _mm512_shuffle_f32x4(x, y, 0xdd);
        r[8 + c] = _mm512_shuffle_f32x4(z, w, 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(z, w, 0xdd);
    }
}

typedef __m512i w16;

LANES w16 w_set(uint32_t x) { return _mm512_set1_epi32((int32_t)x); }
LANES w16 w_count(uint32_t first)
{
    return _mm512_add_epi32(
        w_set(first), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
LANES w16 w_xor(w16 x, w16 y) { return _mm512_xor_si512(x, y); }
LANES w16 w_and(w16 x, uint32_t y) { return _mm512_and_si512(x, w_set(y)); }
LANES w16 w_shift_right(w16 x, const int by) { return _mm512_srli_epi32(x, (unsigned)by); }
/* Products of the even and of the odd lanes, put together again. */
LANES w16 w_mul(w16 x, uint32_t y, w16 *high)
{
    __m512i factor = w_set(y), even = _mm512_mul_epu32(x, factor),
            odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), factor);
    *high = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
    return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
}
LANES v16 w_float(w16 x) { return _mm512_cvtepi32_ps(x); }
LANES v16 w_bits(w16 x) { return _mm512_castsi512_ps(x); }
LANES void v_store4(float *p, v16 a, v16 b, v16 c, v16 d)
{
    v16 ab = _mm512_unpacklo_ps(a, b), cd = _mm512_unpacklo_ps(c, d), xy = _mm512_unpackhi_ps(a, b),
        zw = _mm512_unpackhi_ps(c, d);
    /* tj: 128-bit block g holds the four of lane 4g + j */
    v16 t0 = _mm512_shuffle_ps(ab, cd, 0x44), t1 = _mm512_shuffle_ps(ab, cd, 0xee),
        t2 = _mm512_shuffle_ps(xy, zw, 0x44), t3 = _mm512_shuffle_ps(xy, zw, 0xee);
    v16 u0 = _mm512_shuffle_f32x4(t0, t1, 0x44), u1 = _mm512_shuffle_f32x4(t2, t3, 0x44),
        u2 = _mm512_shuffle_f32x4(t0, t1, 0xee), u3 = _mm512_shuffle_f32x4(t2, t3, 0xee);
    v_store(p, _mm512_shuffle_f32x4(u0, u1, 0x88));
    v_store(p + 16, _mm512_shuffle_f32x4(u0, u1, 0xdd));
    v_store(p + 32, _mm512_shuffle_f32x4(u2, u3, 0x88));
    v_store(p + 48, _mm512_shuffle_f32x4(u2, u3, 0xdd));
}
#endif

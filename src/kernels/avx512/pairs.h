/* Products of pairs of bfloat16 (kernels.h), by an instruction that does two multiply-adds where others do one. */
#ifndef ZO_KERNELS_PAIRS_H
#define ZO_KERNELS_PAIRS_H

#include <math.h>

#include "kernels/bfloat16.h"

#define PAIRS __attribute__((target("avx512bf16")))

/* Two steps of sixteen chains: those of the high halves, then those of the low ones. */
PAIRS LANES v16 v_pairs(__m512i x, __m512i y, v16 sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

/* The lines of a tile, once for each row, as in product.h. */
#define EACH_PAIR_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10)
#define BEGIN(r)                                                                                   \
    v16 low##r = v_set(0), high##r = v_set(0);                                                     \
    if (r < rows) {                                                                                \
        __builtin_prefetch(c + r * ldc, 1, 3);                                                     \
        __builtin_prefetch(c + r * ldc + 16, 1, 3);                                                \
    }
#define TERM(r)                                                                                    \
    if (r < rows) {                                                                                \
        __m512i x = _mm512_set1_epi32((int32_t)a[r]);                                              \
        low##r = v_pairs(x, y, low##r);                                                            \
        high##r = v_pairs(x, z, high##r);                                                          \
    }
#define END(r)                                                                                     \
    if (r < rows) {                                                                                \
        v_store(c + r * ldc, v_add(v_load(c + r * ldc), low##r));                                  \
        v_store(c + r * ldc + 16, v_add(v_load(c + r * ldc + 16), high##r));                       \
    }

/* Some rows of a panel against a panel. */
PAIRS LANES void pair_tile(float *c, size_t ldc, const uint32_t *a, const uint32_t *b, size_t pairs,
                           const size_t rows)
{
    EACH_PAIR_ROW(BEGIN)
    for (size_t l = pairs; l > 0; l--) {
        __m512i y = _mm512_loadu_si512(b), z = _mm512_loadu_si512(b + 16);
        EACH_PAIR_ROW(TERM)
        a += ZO_PANEL;
        b += ZO_PANEL;
    }
    EACH_PAIR_ROW(END)
}
#undef BEGIN
#undef TERM
#undef END

/* 32 rows are 11 + 11 + 10. A panel of b stays in the nearest cache while those of a pass. */
PAIRS static void add_pairs(float *c, size_t ldc, const uint32_t *a, size_t m, const uint32_t *b,
                            size_t n, size_t pairs)
{
    for (size_t j = 0; j < n; j += ZO_PANEL) {
        const uint32_t *with = b + j * pairs;
        for (size_t i = 0; i < m; i += ZO_PANEL) {
            const uint32_t *panel = a + i * pairs;
            float *to = c + i * ldc + j;
            pair_tile(to, ldc, panel, with, pairs, 11);
            pair_tile(to + 11 * ldc, ldc, panel + 11, with, pairs, 11);
            pair_tile(to + 22 * ldc, ldc, panel + 22, with, pairs, 10);
        }
    }
}

/* Whether the instruction does what kernels.h says of pairs: chains of numbers of all signs, near enough to each other that orders and
 * roundings show. */
static bool pairs_agree(void)
{
    enum { N = 8 };
    uint32_t word[N * ZO_PANEL], bits = 1;
    float c[ZO_PANEL * ZO_PANEL] = {0};
    for (size_t i = 0; i < N * ZO_PANEL; i++) {
        bits = bits * 1664525 + 1013904223;
        word[i] = ((bits ^ bits >> 15) & 0x87ff87ff) | 0x3c003c00; /* 2^-7 <= |x| < 2 */
    }
    add_pairs(c, ZO_PANEL, word, ZO_PANEL, word, ZO_PANEL, N);
    for (size_t i = 0; i < ZO_PANEL * ZO_PANEL; i++) {
        const uint32_t *x = word + i / ZO_PANEL, *y = word + i % ZO_PANEL;
        float sum = 0;
        for (size_t l = 0; l < N * ZO_PANEL; l += ZO_PANEL) {
            sum = fmaf(zo_bfloat16_first(x[l]), zo_bfloat16_first(y[l]), sum);
            sum = fmaf(zo_bfloat16_second(x[l]), zo_bfloat16_second(y[l]), sum);
        }
        if (memcmp(&sum, c + i, sizeof sum)) return false;
    }
    return true;
}
#endif

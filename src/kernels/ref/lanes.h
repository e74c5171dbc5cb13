/* Sixteen lanes in plain C: the definition of what the other sets compute. */
#ifndef ZO_KERNELS_LANES_H
#define ZO_KERNELS_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES static inline

typedef struct v16 {
    float x[16];
} v16;
typedef struct m16 {
    uint32_t x[16]; /* all ones or zero */
} m16;

#define EACH_LANE for (int i = 0; i < 16; i++)

LANES v16 v_set(float a)
{
    v16 r;
    EACH_LANE r.x[i] = a;
    return r;
}
LANES v16 v_load(const float *p)
{
    v16 r;
    memcpy(r.x, p, 64);
    return r;
}
LANES void v_store(float *p, v16 a) { memcpy(p, a.x, 64); }
LANES v16 v_load_n(const float *p, size_t n)
{
    v16 r = v_set(0);
    memcpy(r.x, p, n * 4);
    return r;
}
LANES void v_store_n(float *p, v16 a, size_t n) { memcpy(p, a.x, n * 4); }
LANES v16 v_add(v16 a, v16 b)
{
    EACH_LANE a.x[i] += b.x[i];
    return a;
}
LANES v16 v_sub(v16 a, v16 b)
{
    EACH_LANE a.x[i] -= b.x[i];
    return a;
}
LANES v16 v_mul(v16 a, v16 b)
{
    EACH_LANE a.x[i] *= b.x[i];
    return a;
}
LANES v16 v_div(v16 a, v16 b)
{
    EACH_LANE a.x[i] /= b.x[i];
    return a;
}
LANES v16 v_fma(v16 a, v16 b, v16 c)
{
    EACH_LANE c.x[i] = fmaf(a.x[i], b.x[i], c.x[i]);
    return c;
}
LANES v16 v_sqrt(v16 a)
{
    EACH_LANE a.x[i] = sqrtf(a.x[i]);
    return a;
}
/* a > b ? a : b, so a NaN in either gives b */
LANES v16 v_max(v16 a, v16 b)
{
    EACH_LANE a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
    return a;
}
LANES v16 v_min(v16 a, v16 b)
{
    EACH_LANE a.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i];
    return a;
}
LANES v16 v_abs(v16 a)
{
    EACH_LANE a.x[i] = fabsf(a.x[i]);
    return a;
}
LANES v16 v_round(v16 a)
{
    EACH_LANE a.x[i] = rintf(a.x[i]);
    return a;
}
LANES m16 v_lt(v16 a, v16 b)
{
    m16 r;
    EACH_LANE r.x[i] = a.x[i] < b.x[i] ? UINT32_MAX : 0;
    return r;
}
LANES m16 v_nan(v16 a)
{
    m16 r;
    EACH_LANE r.x[i] = isnan(a.x[i]) ? UINT32_MAX : 0;
    return r;
}
LANES v16 v_select(m16 m, v16 yes, v16 no)
{
    EACH_LANE no.x[i] = m.x[i] ? yes.x[i] : no.x[i];
    return no;
}
/* lane i: bit i of bits ? -a : a */
LANES v16 v_signed(float a, uint16_t bits)
{
    v16 r;
    EACH_LANE r.x[i] = bits >> i & 1 ? -a : a;
    return r;
}

/* 2^e for whole e in [-126, 127] */
LANES v16 v_pow2(v16 e)
{
    EACH_LANE
    {
        uint32_t bits = (uint32_t)((isnan(e.x[i]) ? 0 : (int32_t)e.x[i]) + 127) << 23;
        memcpy(&e.x[i], &bits, 4);
    }
    return e;
}

/* a = m 2^e with m in [1/2, 1), for positive normal a */
LANES v16 v_split(v16 a, v16 *e)
{
    EACH_LANE
    {
        uint32_t bits;
        memcpy(&bits, &a.x[i], 4);
        e->x[i] = (float)((int32_t)(bits >> 23) - 126);
        bits = (bits & 0x7fffffu) | 0x3f000000u;
        memcpy(&a.x[i], &bits, 4);
    }
    return a;
}

/* lanes i where label[i] == c */
LANES m16 v_equals(const int32_t *label, int32_t c)
{
    m16 r;
    EACH_LANE r.x[i] = label[i] == c ? UINT32_MAX : 0;
    return r;
}

/* rows become columns */
LANES void v_transpose(v16 r[16])
{
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            float t = r[i].x[j];
            r[i].x[j] = r[j].x[i];
            r[j].x[i] = t;
        }
    }
}

/* Sixteen words of 32 bits, for random numbers. */
typedef struct w16 {
    uint32_t x[16];
} w16;

LANES w16 w_set(uint32_t a)
{
    w16 r;
    EACH_LANE r.x[i] = a;
    return r;
}
/* first, first + 1, ... */
LANES w16 w_count(uint32_t first)
{
    w16 r;
    EACH_LANE r.x[i] = first + (uint32_t)i;
    return r;
}
LANES w16 w_xor(w16 a, w16 b)
{
    EACH_LANE a.x[i] ^= b.x[i];
    return a;
}
LANES w16 w_and(w16 a, uint32_t b)
{
    EACH_LANE a.x[i] &= b;
    return a;
}
LANES w16 w_shift_right(w16 a, const int by)
{
    EACH_LANE a.x[i] >>= by;
    return a;
}
/* the two halves of the product of 64 bits */
LANES w16 w_mul(w16 a, uint32_t b, w16 *high)
{
    EACH_LANE
    {
        uint64_t product = (uint64_t)a.x[i] * b;
        a.x[i] = (uint32_t)product;
        high->x[i] = (uint32_t)(product >> 32);
    }
    return a;
}
/* of words below 2^24: exact */
LANES v16 w_float(w16 a)
{
    v16 r;
    EACH_LANE r.x[i] = (float)(int32_t)a.x[i];
    return r;
}
/* the same bits */
LANES v16 w_bits(w16 a)
{
    v16 r;
    memcpy(r.x, a.x, sizeof r.x);
    return r;
}
/* p[4 i + 0 .. 3] = a, b, c, d of lane i */
LANES void v_store4(float *p, v16 a, v16 b, v16 c, v16 d)
{
    EACH_LANE
    {
        const float four[4] = {a.x[i], b.x[i], c.x[i], d.x[i]};
        memcpy(p + 4 * i, four, sizeof four);
    }
}
#endif

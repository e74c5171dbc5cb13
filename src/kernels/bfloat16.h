/* bfloat16: the high half of a float32, a sign, eight bits of exponent and seven of fraction. Products of two are exact in float32.
 *
 * Instructions for them take denormal numbers for zero, others do not. So numbers here are 0 or at least 2^-56 large: then they are multiples
 * of 2^-63, their products and all sums of products, rounded or not, are multiples of 2^-126, and none of them is ever denormal.
 */
#ifndef ZO_KERNELS_BFLOAT16_H
#define ZO_KERNELS_BFLOAT16_H

#include <stdint.h>
#include <string.h>

/* The nearest bfloat16, of two the even one, as a float; 0 for what is smaller than 2^-56, the largest one for what is larger still. x is no
 * NaN. In integers, which compilers turn into vectors. */
static inline float zo_bfloat16(float x)
{
    uint32_t bits, size;
    memcpy(&bits, &x, sizeof bits);
    size = bits & 0x7fffffff;
    bits ^= size; /* the sign */
    size = size < 0x7f7f7fff ? size : 0x7f7f7fff;
    size = size < 0x23800000 ? 0 : (size + 0x7fff + (size >> 16 & 1)) & 0xffff0000;
    bits |= size;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Two that follow each other, the first in the high half. */
static inline uint32_t zo_bfloat16_pair(float first, float second)
{
    uint32_t high, low;
    memcpy(&high, &first, sizeof high);
    memcpy(&low, &second, sizeof low);
    return (high & 0xffff0000) | low >> 16;
}
static inline float zo_bfloat16_first(uint32_t pair)
{
    float x;
    pair &= 0xffff0000;
    memcpy(&x, &pair, sizeof x);
    return x;
}
static inline float zo_bfloat16_second(uint32_t pair) { return zo_bfloat16_first(pair << 16); }

#endif

#include "base/random.h"

#include <math.h>
#include <string.h>

#include <Random123/philox.h>

zo_stream zo_stream_at(uint64_t seed, zo_purpose purpose, uint64_t step, uint32_t item)
{
    return (zo_stream){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {item, (uint32_t)step,
                    (uint32_t)purpose << 24 | (uint32_t)(step >> 32 & 0xffffff)},
    };
}

void zo_stream_block(const zo_stream *s, uint32_t block, uint32_t out[4])
{
    philox4x32_ctr_t c = {{block, s->counter[0], s->counter[1], s->counter[2]}};
    philox4x32_key_t k = {{s->key[0], s->key[1]}};
    c = philox4x32(c, k);
    memcpy(out, c.v, sizeof c.v);
}

void zo_stream_blocks(const zo_stream *s, uint32_t first, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) zo_stream_block(s, first + (uint32_t)i, out + 4 * i);
}

zo_random zo_random_at(uint64_t seed, zo_purpose purpose, uint64_t step, uint32_t item)
{
    return (zo_random){.stream = zo_stream_at(seed, purpose, step, item)};
}

uint32_t zo_random_word(zo_random *r)
{
    if (!r->left) {
        zo_stream_block(&r->stream, r->block++, r->word);
        r->left = 4;
    }
    return r->word[4 - r->left--];
}

double zo_random_uniform(zo_random *r)
{
    uint64_t high = zo_random_word(r), low = zo_random_word(r);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

uint32_t zo_random_below(zo_random *r, uint32_t n)
{
    uint32_t reject = (uint32_t)(-n) % n; /* 2^32 mod n: Lemire 2019 */
    for (;;) {
        uint64_t product = (uint64_t)zo_random_word(r) * n;
        if ((uint32_t)product >= reject) return (uint32_t)(product >> 32);
    }
}

double zo_random_normal(zo_random *r)
{
    double radius = sqrt(-2 * zo_log64(1 - zo_random_uniform(r)));
    double cosine, sine;
    zo_turn64(zo_random_uniform(r), &cosine, &sine);
    return radius * cosine;
}

void zo_random_shuffle(zo_random *r, uint32_t n, int32_t *order)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = zo_random_below(r, i);
        int32_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}

double zo_log64(double x)
{
    /* x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m-1)/(m+1), |s| < .172 */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1022;
    bits = (bits & 0xfffffffffffffu) | 0x3fe0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m < 0.70710678118654752) {
        m *= 2;
        e -= 1;
    }
    double s = (m - 1) / (m + 1), q = s * s, sum = 0;
    for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * q;
    return e * 0.69314718055994531 + (2 * s + 2 * s * sum);
}

void zo_turn64(double u, double *cosine, double *sine)
{
    int quarter = (int)(u * 4 + 0.5); /* nearest quarter turn, 0 to 4 */
    double t = (u - quarter * 0.25) * 6.283185307179586477, q = t * t;
    double c = 0, s = 0;
    for (int k = 18; k >= 2; k -= 2) c = (1 - c) * q / (k * (k - 1)); /* 1 - cos t, nested */
    for (int k = 19; k >= 3; k -= 2) s = (1 - s) * q / (k * (k - 1)); /* 1 - sin t / t */
    c = 1 - c;
    s = t * (1 - s);
    switch (quarter & 3) {
    case 0: *cosine = c, *sine = s; break;
    case 1: *cosine = -s, *sine = c; break;
    case 2: *cosine = -c, *sine = -s; break;
    default: *cosine = s, *sine = -c; break;
    }
}

/* A sketched solve: the last layer's inputs, `width` of them, are added into p sums before the solve sees them, each with a random sign into a
 * random place (count sketch: Charikar et al. 2002; Weinberger et al. 2009, arXiv 0902.2206):
 *     s[place(i)] += sign(i) h[i]   =>   w . s = sum_i sign(i) w[place(i)] h[i],
 * so that a solution w of the sketch is exactly a layer with W[i] = sign(i) w[place(i)], and prediction knows of no sketch. Inner products are kept
 * on average: E s . s' = h . h'. Places are dealt out evenly: of any two, one has an input more than the other at most.
 */
#include <string.h>

#include "base/random.h"
#include "learn/closed_sketch.h"

zo_status zo_closed_sketch_init(zo_closed *c)
{
    size_t m = (size_t)c->set.sketch;
    c->width = c->p;
    if (!m || m >= c->p) return ZO_OK;
    c->sketch = zo_alloc(c->ctx, c->width * sizeof *c->sketch);
    if (!c->sketch) return ZO_NO_MEMORY;
    for (size_t i = 0; i < c->width; i++) c->sketch[i] = (int32_t)i;
    zo_random r = zo_random_at(c->seed, ZO_FOR_FEATURES, 4000, 0);
    zo_random_shuffle(&r, (uint32_t)c->width, c->sketch);
    for (size_t i = 0; i < c->width; i++) {
        int32_t place = c->sketch[i] % (int32_t)m;
        c->sketch[i] = zo_random_below(&r, 2) ? place : ~place;
    }
    c->p = c->most = m;
    return ZO_OK;
}

/* Most inputs of histograms are 0: sixteen at a time are looked at. */
static bool all_zero(const float *h, size_t n)
{
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, h + i, sizeof bits);
        any |= bits;
    }
    return !(any & 0x7fffffff);
}

void zo_closed_sketch_row(const zo_closed *c, const float *h, float *to)
{
    memset(to, 0, c->p * sizeof *to);
    for (size_t first = 0; first < c->width; first += 16) {
        size_t end = first + 16 < c->width ? first + 16 : c->width;
        if (all_zero(h + first, end - first)) continue;
        for (size_t i = first; i < end; i++) {
            int32_t at = c->sketch[i];
            if (at >= 0)
                to[at] += h[i];
            else
                to[~at] -= h[i];
        }
    }
}

float zo_closed_sketch_weight(const zo_closed *c, size_t i, const float *w, size_t ldw, size_t j)
{
    if (!c->sketch) return w[i * ldw + j];
    int32_t at = c->sketch[i];
    return at >= 0 ? w[(size_t)at * ldw + j] : -w[(size_t)~at * ldw + j];
}

#include "learn/noise.h"

/* A block is eight words of sixteen signs as it lies (little-endian, as on every machine this runs on). */
void zo_noise_signs(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                    uint16_t *out)
{
    k->blocks((uint32_t *)(void *)out, s->key, s->counter, first_block, (n + 7) / 8);
}

void zo_noise_normal(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                     float *out)
{
    k->normal(out, s->key, s->counter, first_block, n);
}

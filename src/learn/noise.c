#include "learn/noise.h"

void zo_noise_signs(const zo_stream *s, uint32_t first_block, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 8) {
        uint32_t block[4];
        zo_stream_block(s, first_block + (uint32_t)(i / 8), block);
        for (size_t w = 0; w < 8; w++) out[i + w] = (uint16_t)(block[w / 2] >> w % 2 * 16);
    }
}

void zo_noise_normal(const zo_stream *s, uint32_t first_block, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        zo_random r = {.stream = *s, .block = first_block + (uint32_t)i};
        out[i] = (float)zo_random_normal(&r);
    }
}

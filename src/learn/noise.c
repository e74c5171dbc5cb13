#include "learn/noise.h"

#include <string.h>

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

void zo_hadamard_begin(zo_hadamard *h, const zo_kernels *k, const zo_stream *s, size_t draws,
                       size_t channels, size_t pitch, size_t words)
{
    uint32_t word[4];
    zo_stream_block(s, 0, word);
    h->words = words;
    for (h->bits = 0; (size_t)1 << h->bits < draws; h->bits++) continue;
    h->factor = word[0] | 1; /* odd: all rows in some order */
    h->offset = word[1];
    zo_noise_signs(k, s, 1, words, h->pattern);
    for (size_t i = 0; i < words; i++) {
        size_t first = i * 16 / pitch * channels + i * 16 % pitch;
        uint32_t column[16];
        for (uint32_t j = 0; j < 16; j++)
            column[j] = (word[2] | 1) * ((uint32_t)first + j) + word[3];
        for (int b = 0; b < h->bits; b++) {
            uint32_t bits = 0;
            for (uint32_t j = 0; j < 16; j++) bits |= (column[j] >> b & 1) << j;
            h->pattern[(size_t)(b + 1) * words + i] = (uint16_t)bits;
        }
    }
}

void zo_hadamard_draw(const zo_hadamard *h, size_t d, uint16_t *out)
{
    uint32_t row = h->factor * (uint32_t)d + h->offset;
    memcpy(out, h->pattern, h->words * sizeof *out);
    for (int b = 0; b < h->bits; b++) {
        const uint16_t *bits = h->pattern + (size_t)(b + 1) * h->words;
        if (!(row >> b & 1)) continue;
        for (size_t i = 0; i < h->words; i++) out[i] ^= bits[i];
    }
}

/* Noise for perturbations, regenerated from its stream wherever it is needed. */
#ifndef ZO_LEARN_NOISE_H
#define ZO_LEARN_NOISE_H

#include "base/random.h"
#include "kernels/kernels.h"

typedef enum zo_noise_kind { ZO_NOISE_RADEMACHER, ZO_NOISE_GAUSSIAN } zo_noise_kind;

/* The words for a parameter table, in the order of the enum. */
#define ZO_NOISE_CHOICES "rademacher|gaussian"

/* Sixteen signs a word; a block of the stream holds eight words. n words; room for n rounded up to 8. */
void zo_noise_signs(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                    uint16_t *out);

/* n standard normal numbers; a block of the stream holds four. */
void zo_noise_normal(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                     float *out);

#endif

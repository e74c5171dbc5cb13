/* Noise for perturbations, regenerated from its stream wherever it is needed. */
#ifndef ZO_LEARN_NOISE_H
#define ZO_LEARN_NOISE_H

#include "base/random.h"
#include "kernels/kernels.h"

typedef enum zo_noise_kind {
    ZO_NOISE_RADEMACHER,
    ZO_NOISE_GAUSSIAN,
    ZO_NOISE_HADAMARD
} zo_noise_kind;

/* The words for a parameter table, in the order of the enum. The last kind is for draws that are known to belong together. */
#define ZO_NOISE_CHOICES "rademacher|gaussian"
#define ZO_NOISE_ALL_CHOICES ZO_NOISE_CHOICES "|hadamard"

/* Sixteen signs a word; a block of the stream holds eight words. n words; room for n rounded up to 8. */
void zo_noise_signs(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                    uint16_t *out);

/* n standard normal numbers; a block of the stream holds four. */
void zo_noise_normal(const zo_kernels *k, const zo_stream *s, uint32_t first_block, size_t n,
                     float *out);

/* Draws that are orthogonal: rows of Sylvester's Hadamard matrix of order 2^bits, a column for each number, its sign at random. So draw d of
 * number j is parity(row d & column j) xor flip j. Rows and columns come in an order drawn at random, each once before any comes again. */
#define ZO_HADAMARD_MOST 12 /* bits */

typedef struct zo_hadamard {
    int bits;
    size_t words;
    uint32_t factor, offset; /* row d = factor d + offset */
    uint16_t *pattern;       /* [1 + bits][words]: flips, then each bit of the columns */
} zo_hadamard;

/* Words of a pattern for draws of n words. */
static inline size_t zo_hadamard_words(size_t n) { return (1 + ZO_HADAMARD_MOST) * n; }

/* Fills *h, and its pattern: `words` words, a multiple of 8, of pixels of so many channels, `pitch` apart. At least `draws` rows. */
void zo_hadamard_begin(zo_hadamard *h, const zo_kernels *k, const zo_stream *s, size_t draws,
                       size_t channels, size_t pitch, size_t words);

/* out[h->words] = draw d. */
void zo_hadamard_draw(const zo_hadamard *h, size_t d, uint16_t *out);

#endif

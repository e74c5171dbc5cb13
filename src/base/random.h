/* Counter-based random streams: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), from Random123.
 *
 * A stream is named by (seed, purpose, step, item); block `b` of a stream is 128 bits that depend on nothing else, so noise can be
 * regenerated anywhere instead of being stored.
 */
#ifndef ZO_BASE_RANDOM_H
#define ZO_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is for: no two purposes share numbers. New ones go to the end. */
typedef enum zo_purpose {
    ZO_FOR_INIT = 1, /* first weights */
    ZO_FOR_SPLIT,    /* held-out examples */
    ZO_FOR_BATCHES,  /* order of the examples */
    ZO_FOR_NOISE,    /* perturbations */
    ZO_FOR_DATA,     /* synthetic tasks */
    ZO_FOR_TESTS,
    ZO_FOR_RULES,    /* noise in steps */
    ZO_FOR_AUGMENT,  /* changes of images */
    ZO_FOR_FEATURES, /* fixed weights of closed forms */
    ZO_FOR_MEMBERS   /* seeds of an ensemble's members */
} zo_purpose;

typedef struct zo_stream {
    uint32_t key[2];
    uint32_t counter[3]; /* item, step, purpose; the block takes the fourth word */
} zo_stream;

/* step < 2^56, item < 2^32. */
zo_stream zo_stream_at(uint64_t seed, zo_purpose purpose, uint64_t step, uint32_t item);

/* 128 bits. */
void zo_stream_block(const zo_stream *s, uint32_t block, uint32_t out[4]);

/* Blocks first .. first + n - 1 as out[4 * n]. */
void zo_stream_blocks(const zo_stream *s, uint32_t first, size_t n, uint32_t *out);

/* A reader that walks along a stream, for sequential uses. */
typedef struct zo_random {
    zo_stream stream;
    uint32_t block, word[4];
    int left; /* unused words of the current block */
} zo_random;

zo_random zo_random_at(uint64_t seed, zo_purpose purpose, uint64_t step, uint32_t item);
uint32_t zo_random_word(zo_random *r);
/* Uniform in [0, 1), 53 bits. */
double zo_random_uniform(zo_random *r);
/* Uniform in {0, ..., n - 1}, n >= 1, without bias. */
uint32_t zo_random_below(zo_random *r, uint32_t n);
/* Standard normal (Box & Muller 1958), on our own logarithm and cosine: the same bits everywhere. */
double zo_random_normal(zo_random *r);
/* Puts order[0..n) into a random order (Fisher & Yates). */
void zo_random_shuffle(zo_random *r, uint32_t n, int32_t *order);

/* Natural logarithm of a positive normal number, error below 2 units in the last place; only + - * / on doubles. */
double zo_log64(double x);
/* cos and sin of 2 pi u, 0 <= u < 1. */
void zo_turn64(double u, double *cosine, double *sine);

#endif

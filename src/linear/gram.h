/* Sums of products over rows that come in any number of calls: what a ridge solve needs, at the cost of the new rows alone.
 *
 * Rows are cut into tiles of ZO_GRAM_TILE in the order in which they come; what is left over waits. Inside a tile each element of g and c is
 * one chain of fused multiply-adds, tile sums are added in order. So the sums depend on the sequence of rows (and of closes), and not on
 * how calls cut it, nor on threads or the kernel set.
 *
 * Rows are taken about a shift, the mean of the first tile rounded to float32. float32 sums about 0 would lose what is small beside the
 * square of the mean (ReLU features have means as large as their deviations); about the shift they lose nothing, and moments.h moves them to
 * the exact mean in float64. The shift stays for good, so that rows can be taken away again: weight -1.
 *
 * With ZO_GRAM_BFLOAT16 the features about the shift are rounded to bfloat16, relatively by 2^-9 at most, and the chains are then the same:
 * kernels that have an instruction for it do two multiply-adds in the time of one. It is the least squares problem of features that are
 * rounded so, exactly: g, c and sum_h are made of the same rounded numbers x, outputs stay float32. Of a row of weight w they are those of
 * r x, with r = sqrt(|w|) in float32, and the sign of w stands on one side; so g of positive weights is a sum of squares, and a row is taken away
 * as it was added. It counts as r^2. Features less than 2^-56 from the shift count as there (bfloat16.h).
 */
#ifndef ZO_LINEAR_GRAM_H
#define ZO_LINEAR_GRAM_H

#include "linear/moments.h"

/* Long enough that the sums, which may lie in main memory, are not what takes the time; short enough for the second cache. */
#define ZO_GRAM_TILE 256

enum {
    ZO_GRAM_WEIGHTED = 1, /* calls may give weights; it takes a second copy of a few tiles */
    ZO_GRAM_BFLOAT16 = 2  /* features are rounded to bfloat16 */
};

typedef struct zo_gram zo_gram;

/* Sums of no rows, for p features and q outputs (q may be 0), with flags as above.
 * Errors: USAGE (p = 0), NO_MEMORY. On failure *out is NULL. */
zo_status zo_gram_create(zo_context *ctx, size_t p, size_t q, unsigned flags, zo_gram **out);
/* NULL is legal. */
void zo_gram_destroy(zo_gram *g);

/* Bytes that create() allocates: about 4 p^2 + 4 p (2 q + 1300), and 4096 p for weights. */
double zo_gram_bytes(size_t p, size_t q, unsigned flags);

/* Adds m rows h [m][p] (ldh), y [m][q] (ldy), unpadded rows anywhere in memory, with weights [m] (NULL: all 1; a negative one takes a row
 * away). About m (p^2 / 2 + p q) multiply-adds.
 * Errors: USAGE (weights where none were announced), FORMAT (a number that is not finite: which row and column); then nothing was added. */
zo_status zo_gram_add(zo_gram *g, size_t m, const float *h, size_t ldh, const float *y, size_t ldy,
                      const float *weight);

/* Adds the rows that wait, as a tile of their own, and shows the sums: valid until the next add() or destroy(). More rows may follow. */
zo_moments zo_gram_close(zo_gram *g);

/* Rows so far, those that wait included. */
int64_t zo_gram_count(const zo_gram *g);

/* The state as plain arrays, to be written somewhere, or filled after a create() with the same p, q and flags: then sums go on bit for bit.
 * In this order: counters (32 bytes: three int64 and a double); g [zo_square_floats(p)]; c [zo_square_rows(p)][zo_round16(q)]; shifts [p], [q];
 * sums in double [p], [q]; the tile that waits, in float32: h [ZO_GRAM_TILE][p], y [ZO_GRAM_TILE][q], weights [ZO_GRAM_TILE]. */
enum { ZO_GRAM_ARRAYS = 10 };
typedef struct zo_gram_array {
    void *data;
    size_t bytes;
} zo_gram_array;
void zo_gram_state(zo_gram *g, zo_gram_array array[ZO_GRAM_ARRAYS]);
/* To be called after filling. Errors: FORMAT (counters that cannot be, shifts that are not finite); then no rows are left. */
zo_status zo_gram_loaded(zo_gram *g);

#endif

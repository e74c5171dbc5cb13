/* Numbers packed small without loss: where few values repeat, as places in a table of them; the bytes sorted by place; deflated (zlib). */
#ifndef ZO_BASE_DEFLATE_H
#define ZO_BASE_DEFLATE_H

#include "base/files.h"

/* Adds n numbers to out. Errors: NO_MEMORY (also in out->status). */
zo_status zo_deflate(zo_buffer *out, const double *numbers, size_t n);

/* Takes exactly n numbers. Errors: FORMAT, without a text (the bytes do not stand for n such numbers), NO_MEMORY. */
zo_status zo_inflate(const zo_context *ctx, zo_reader *in, double *numbers, size_t n);

/* The most bytes that `packed` bytes can stand for: what claims more is damaged. */
size_t zo_inflate_most(size_t packed);

#endif

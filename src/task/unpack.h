/* The bytes of a file, plain or gzip (told apart by the first two bytes), unpacked as they are taken. */
#ifndef ZO_TASK_UNPACK_H
#define ZO_TASK_UNPACK_H

#include <zlib.h>

#include "base/context.h"

typedef struct zo_unpack {
    const zo_context *ctx;
    const char *where; /* the file's name in messages */
    const uint8_t *at; /* what is left of the file */
    size_t left;
    bool gzip, ended; /* ended: the last gzip member is complete and its checksum holds */
    z_stream z;
} zo_unpack;

/* Begins with `size` bytes of a file, which stay the caller's. Errors: NO_MEMORY; nothing is then to be closed. */
zo_status zo_unpack_open(zo_unpack *u, const zo_context *ctx, const char *where,
                         const uint8_t *bytes, size_t size);
void zo_unpack_close(zo_unpack *u);

/* Takes `want` bytes, or fewer where the data end: *got. Errors: FORMAT (gzip data that are damaged or end early),
 * NO_MEMORY. */
zo_status zo_unpack_take(zo_unpack *u, uint8_t *out, size_t want, size_t *got);

#endif

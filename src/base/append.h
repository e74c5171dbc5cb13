/* Files that grow at their end, while the disk may be full or failing: what cannot be written waits in memory and is tried again.
 *
 * The file is always whole records followed, at most, by a part of one: a failed write is tried again at the same place.
 */
#ifndef ZO_BASE_APPEND_H
#define ZO_BASE_APPEND_H

#include "base/files.h"

typedef struct zo_append {
    const zo_context *ctx;
    char *path; /* owned */
    int fd;
    int64_t size;       /* where the next byte goes: all before is written */
    char *waiting;      /* [room] */
    size_t room, waits; /* bytes that wait */
} zo_append;

/* Opens or makes the file, locked for as long as it is open (the lock dies with the process), and appends after what it holds. `room`
 * bytes can wait. *fresh tells whether it is empty. Errors: BUSY (another process or handle has it), IO, NOT_FOUND (the folder, or, without
 * `make`, the file), NO_MEMORY. */
zo_status zo_append_open(zo_append *a, const zo_context *ctx, const char *path, bool make,
                         size_t room, bool *fresh);
/* Whether someone else has the file open for appending. */
bool zo_append_busy(const char *path);

/* Forgets what the file holds from `size` on. Errors: IO. */
zo_status zo_append_cut(zo_append *a, int64_t size);

/* Lets bytes wait: all of them, or false if there is no room and writing fails. */
bool zo_append_add(zo_append *a, const void *data, size_t size);
/* `size` bytes to fill in place of adding, or NULL; zo_append_add() of them follows with data NULL. */
char *zo_append_place(zo_append *a, size_t size);
/* Writes what waits. Errors: IO; it then goes on waiting. */
zo_status zo_append_push(zo_append *a);
/* The same, and to the disk itself. */
zo_status zo_append_sync(zo_append *a);

/* Closes without writing; legal on a zeroed struct. */
void zo_append_close(zo_append *a);

#endif

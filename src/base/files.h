/* Files: whole reads, atomic whole writes, appended lines, and the byte buffers that saved states are made of. */
#ifndef ZO_BASE_FILES_H
#define ZO_BASE_FILES_H

#include "base/context.h"

/* Reads a whole file. *data is zo_alloc'ed, with a zero byte after the end. Errors: NOT_FOUND, IO, FORMAT if it is larger than
 * `most` bytes, NO_MEMORY. */
zo_status zo_file_read(const zo_context *ctx, const char *path, size_t most, char **data,
                       size_t *size);

/* Writes a file that appears whole or not at all: temporary neighbour, fsync, rename, fsync of the folder. Errors: IO. */
zo_status zo_file_write(const zo_context *ctx, const char *path, const void *data, size_t size);

/* Makes a new file for appended lines. Errors: EXISTS, IO. */
zo_status zo_lines_open(const zo_context *ctx, const char *path, int *fd);
/* Appends `size` bytes, all of them or an error. */
zo_status zo_lines_add(const zo_context *ctx, const char *path, int fd, const void *data,
                       size_t size);
/* Syncs and closes; errors are reported. fd < 0 is legal. */
zo_status zo_lines_close(const zo_context *ctx, const char *path, int fd);

/* Makes a folder and its parents; an existing one is fine. *made is for zo_folder_unmake(), which removes again what was made, as far as
 * it is empty. On failure nothing stays. Errors: IO. */
zo_status zo_folder_make(const zo_context *ctx, const char *path, size_t *made);
void zo_folder_unmake(const char *path, size_t made);

/* "folder/name", zo_alloc'ed, or NULL. */
char *zo_path_join(const zo_context *ctx, const char *folder, const char *name);

/* A growing run of bytes. A failed allocation is remembered and shows in zo_buffer_status(). */
typedef struct zo_buffer {
    const zo_context *ctx;
    char *data;
    size_t size, room;
    zo_status status;
} zo_buffer;

void zo_buffer_add(zo_buffer *b, const void *data, size_t size);
void zo_buffer_free(zo_buffer *b);

/* Reads a run of bytes; past the end it gives zeros and remembers that it did. */
typedef struct zo_reader {
    const char *at, *end;
    bool failed;
} zo_reader;

void zo_reader_take(zo_reader *r, void *out, size_t size);

/* xxh3, 64 bits. */
uint64_t zo_checksum(const void *data, size_t size);
/* The same over several pieces: start with NULL; the sum comes with `out` given, which also frees the state. */
void *zo_checksum_add(void *state, const void *data, size_t size);
uint64_t zo_checksum_end(void *state);

#endif

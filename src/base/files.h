/* Files: whole reads, atomic whole writes, folders, and the byte buffers that saved states are made of. */
#ifndef ZO_BASE_FILES_H
#define ZO_BASE_FILES_H

#include "base/context.h"

/* Fails with "PATH: cannot DOING: reason", and what to do where that is known: NOT_FOUND for ENOENT, else IO. */
zo_status zo_fail_io(const zo_context *ctx, const char *doing, const char *path, int error);

/* Writes all bytes from offset `at` on, through short writes and interruptions; the errno, or 0. */
int zo_write_at(int fd, const char *data, size_t size, int64_t at);

/* Reads a whole file. *data is zo_alloc'ed, with a zero byte after the end. Errors: NOT_FOUND, IO, FORMAT if it is larger than
 * `most` bytes, NO_MEMORY. */
zo_status zo_file_read(const zo_context *ctx, const char *path, size_t most, char **data,
                       size_t *size);

/* Writes a file that appears whole or not at all: temporary neighbour, fsync, rename, fsync of the folder. Errors: IO. */
zo_status zo_file_write(const zo_context *ctx, const char *path, const void *data, size_t size);

/* The same piece by piece, with a checksum of all that was added. */
typedef struct zo_file_out {
    const zo_context *ctx;
    const char *path; /* borrowed */
    char temporary[4096];
    int fd, error; /* the first errno */
    void *sum;
    int64_t size; /* written so far */
    char *memory; /* where it goes instead of into a file; or NULL */
    char buffer[16384];
    size_t used;
} zo_file_out;

/* Writes nothing: for the checksum alone, which zo_file_out_digest() gives, as of zo_checksum(). */
void zo_file_out_sum_only(zo_file_out *f, const zo_context *ctx);
uint64_t zo_file_out_digest(zo_file_out *f);
/* Writes to memory, of as much room as will be needed, without a checksum. Nothing is allocated. */
void zo_file_out_to_memory(zo_file_out *f, const zo_context *ctx, char *memory);
/* Opens the temporary neighbour. Errors: IO, NO_MEMORY; the other calls are then legal and do nothing. */
zo_status zo_file_out_open(zo_file_out *f, const zo_context *ctx, const char *path);
/* Failures are remembered. */
void zo_file_out_add(zo_file_out *f, const void *data, size_t size);
/* Adds the checksum of what was added so far; nothing is added after it. */
void zo_file_out_add_sum(zo_file_out *f);
/* Makes it appear at `path`; what was there before lies at `previous` then, if that is given. If it fails, what was there is at one of the
 * two. Errors: IO. */
zo_status zo_file_out_close(zo_file_out *f, const char *previous);
/* Leaves nothing behind, unless it was closed. */
void zo_file_out_drop(zo_file_out *f);

/* Makes a folder and its parents; an existing one is fine. *made is for zo_folder_unmake(), which removes again what was made, as far as
 * it is empty. On failure nothing stays. Errors: IO. */
zo_status zo_folder_make(const zo_context *ctx, const char *path, size_t *made);
void zo_folder_unmake(const char *path, size_t made);

/* "folder/name", zo_alloc'ed, or NULL. */
char *zo_path_join(const zo_context *ctx, const char *folder, const char *name);

/* A growing run of bytes. A failed allocation is remembered and shows in its status. */
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

/* xxh3, 64 bits; the seed tells apart what has the same bytes. */
uint64_t zo_checksum(const void *data, size_t size);
uint64_t zo_checksum_seeded(const void *data, size_t size, uint64_t seed);
/* The same over several pieces: start with NULL; the sum comes with `out` given, which also frees the state. */
void *zo_checksum_add(void *state, const void *data, size_t size);
uint64_t zo_checksum_end(void *state);

#endif

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

zo_status zo_fail_io(const zo_context *ctx, const char *doing, const char *path, int error)
{
    const char *hint = error == ENOSPC || error == EDQUOT
                           ? "; free some space or choose another folder"
                       : error == EACCES || error == EROFS ? "; choose a folder you may write"
                                                           : "";
    char text[128];
    return zo_fail(ctx, error == ENOENT ? ZO_NOT_FOUND : ZO_IO, "%s: cannot %s: %s%s", path, doing,
                   strerror_r(error, text, sizeof text), hint);
}

zo_status zo_file_read(const zo_context *ctx, const char *path, size_t most, char **data,
                       size_t *size)
{
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return zo_fail_io(ctx, "open it", path, errno);
    struct stat st;
    if (fstat(fd, &st)) {
        int error = errno;
        close(fd);
        return zo_fail_io(ctx, "read it", path, error);
    }
    if (S_ISDIR(st.st_mode)) {
        close(fd);
        return zo_fail(ctx, ZO_FORMAT, "%s: a folder, where a file is expected", path);
    }
    zo_status status = ZO_OK;
    size_t room = S_ISREG(st.st_mode) ? (size_t)st.st_size : 65536, used = 0;
    if (room > most) room = most;
    char *buffer = zo_alloc(ctx, room + 1);
    if (!buffer) status = ZO_NO_MEMORY;
    while (!status) {
        if (used == room) { /* one more byte tells the end from a file that grew, or a pipe */
            char byte;
            ssize_t got = read(fd, &byte, 1);
            if (got == 0) break;
            if (got < 0 && errno != EINTR) status = zo_fail_io(ctx, "read it", path, errno);
            if (got <= 0) continue;
            if (used >= most) {
                status = zo_fail(ctx, ZO_FORMAT,
                                 "%s: larger than the %zu bytes that are accepted here", path, most);
                break;
            }
            size_t more = room < most / 2 ? 2 * room + 1 : most;
            char *larger = zo_alloc(ctx, more + 1);
            if (!larger) {
                status = ZO_NO_MEMORY;
                break;
            }
            memcpy(larger, buffer, used);
            zo_free(ctx, buffer);
            buffer = larger;
            room = more;
            buffer[used++] = byte;
            continue;
        }
        ssize_t got = read(fd, buffer + used, room - used);
        if (got == 0) break;
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            status = zo_fail_io(ctx, "read it", path, errno);
    }
    close(fd);
    if (status) {
        zo_free(ctx, buffer);
        return status;
    }
    buffer[used] = 0;
    *data = buffer;
    *size = used;
    return ZO_OK;
}

int zo_write_at(int fd, const char *data, size_t size, int64_t at)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return ENOSPC;
        data += n;
        size -= (size_t)n;
        at += n;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int error = fsync(fd) && errno != EINVAL && errno != ENOTSUP ? errno : 0;
    close(fd);
    return error;
}

zo_status zo_file_out_open(zo_file_out *f, const zo_context *ctx, const char *path)
{
    f->ctx = ctx;
    f->path = path;
    f->fd = -1;
    f->error = 0;
    f->size = 0;
    f->used = 0;
    f->sum = NULL;
    f->memory = NULL;
    size_t n =
        (size_t)snprintf(f->temporary, sizeof f->temporary, "%s.tmp.%ld", path, (long)getpid());
    if (n >= sizeof f->temporary)
        f->error = ENAMETOOLONG;
    else if ((f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        f->error = errno;
    if (!f->error) return ZO_OK;
    zo_status status = zo_fail_io(ctx, "write it", path, f->error);
    return status == ZO_NOT_FOUND ? ZO_IO : status;
}

void zo_file_out_sum_only(zo_file_out *f, const zo_context *ctx)
{
    f->ctx = ctx;
    f->path = NULL;
    f->fd = -1;
    f->error = 0;
    f->size = 0;
    f->used = 0;
    f->sum = NULL;
    f->memory = NULL;
}

void zo_file_out_to_memory(zo_file_out *f, const zo_context *ctx, char *memory)
{
    zo_file_out_sum_only(f, ctx);
    f->memory = memory;
}

uint64_t zo_file_out_digest(zo_file_out *f)
{
    uint64_t sum = zo_checksum_end(f->sum);
    f->sum = NULL;
    return sum;
}

static void put(zo_file_out *f, const char *data, size_t size)
{
    if (!f->error) f->error = zo_write_at(f->fd, data, size, f->size);
    f->size += (int64_t)size;
}

static void flush(zo_file_out *f)
{
    put(f, f->buffer, f->used);
    f->used = 0;
}

void zo_file_out_add(zo_file_out *f, const void *data, size_t size)
{
    const char *from = data;
    if (f->error || !size) return;
    if (f->memory) {
        memcpy(f->memory + f->size, data, size);
        f->size += (int64_t)size;
        return;
    }
    f->sum = zo_checksum_add(f->sum, data, size);
    if (!f->sum) f->error = ENOMEM;
    if (!f->path) return;
    if (size >= sizeof f->buffer) {
        flush(f);
        put(f, from, size);
        return;
    }
    if (size > sizeof f->buffer - f->used) flush(f);
    memcpy(f->buffer + f->used, from, size);
    f->used += size;
}

void zo_file_out_add_sum(zo_file_out *f)
{
    uint64_t sum = zo_checksum_end(f->sum);
    f->sum = NULL;
    zo_file_out_add(f, &sum, sizeof sum);
}

zo_status zo_file_out_close(zo_file_out *f, const char *previous)
{
    flush(f);
    if (!f->error && fsync(f->fd) && errno != EINVAL) f->error = errno;
    if (f->fd >= 0 && close(f->fd) && !f->error) f->error = errno;
    f->fd = -1;
    if (!f->error && previous && rename(f->path, previous) && errno != ENOENT) f->error = errno;
    if (!f->error && rename(f->temporary, f->path)) f->error = errno;
    if (f->error) {
        unlink(f->temporary);
        zo_status status = zo_fail_io(f->ctx, "write it", f->path, f->error);
        return status == ZO_NOT_FOUND ? ZO_IO : status;
    }
    int error = sync_folder_of(f->path);
    return error ? zo_fail_io(f->ctx, "sync its folder", f->path, error) : ZO_OK;
}

void zo_file_out_drop(zo_file_out *f)
{
    zo_checksum_end(f->sum);
    f->sum = NULL;
    if (f->fd < 0) return;
    close(f->fd);
    unlink(f->temporary);
    f->fd = -1;
}

zo_status zo_file_write(const zo_context *ctx, const char *path, const void *data, size_t size)
{
    zo_file_out f;
    zo_status status = zo_file_out_open(&f, ctx, path);
    if (status) return status;
    zo_file_out_add(&f, data, size);
    status = zo_file_out_close(&f, NULL);
    zo_file_out_drop(&f);
    return status;
}

void zo_folder_unmake(const char *path, size_t made)
{
    char part[4096];
    if (!made || (size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part) return;
    for (size_t n = strlen(part); n >= made; n--) {
        if (part[n] && part[n] != '/') continue;
        part[n] = 0;
        if (rmdir(part) && errno != ENOENT && errno != ENAMETOOLONG) return;
    }
}

zo_status zo_folder_make(const zo_context *ctx, const char *path, size_t *made)
{
    char part[4096];
    *made = 0;
    if (!*path || (size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
        return zo_fail_io(ctx, "make the folder", path, ENAMETOOLONG);
    int error = 0;
    for (char *p = part + 1; !error; p++) {
        if (*p && *p != '/') continue;
        char c = *p;
        *p = 0;
        if (!mkdir(part, 0777)) {
            if (!*made) *made = strlen(part);
            error = sync_folder_of(part);
        } else if (errno != EEXIST) {
            error = errno;
        }
        *p = c;
        if (!c) break;
    }
    struct stat st;
    if (!error && stat(path, &st)) error = errno;
    if (!error && !S_ISDIR(st.st_mode)) error = ENOTDIR;
    if (!error) return ZO_OK;
    zo_folder_unmake(path, *made);
    zo_status status = zo_fail_io(ctx, "make the folder", path, error);
    return status == ZO_NOT_FOUND ? ZO_IO : status;
}

char *zo_path_join(const zo_context *ctx, const char *folder, const char *name)
{
    size_t n = strlen(folder), size = n + strlen(name) + 2;
    char *path = zo_alloc(ctx, size);
    if (path) snprintf(path, size, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return path;
}

void zo_buffer_add(zo_buffer *b, const void *data, size_t size)
{
    if (b->status || !size) return;
    if (size > b->room - b->size) {
        size_t room = b->room ? b->room : 4096;
        while (room - b->size < size) {
            if (room > SIZE_MAX / 2) {
                b->status = ZO_NO_MEMORY;
                return;
            }
            room *= 2;
        }
        char *larger = zo_alloc(b->ctx, room);
        if (!larger) {
            b->status = ZO_NO_MEMORY;
            return;
        }
        if (b->size) memcpy(larger, b->data, b->size);
        zo_free(b->ctx, b->data);
        b->data = larger;
        b->room = room;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void zo_buffer_free(zo_buffer *b)
{
    zo_free(b->ctx, b->data);
    b->data = NULL;
    b->size = b->room = 0;
}

void zo_reader_take(zo_reader *r, void *out, size_t size)
{
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        memset(out, 0, size);
        return;
    }
    memcpy(out, r->at, size);
    r->at += size;
}

uint64_t zo_checksum(const void *data, size_t size) { return XXH3_64bits(data, size); }

uint64_t zo_checksum_seeded(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

void *zo_checksum_add(void *state, const void *data, size_t size)
{
    XXH3_state_t *s = state;
    if (!s) {
        s = XXH3_createState();
        if (!s) return NULL;
        XXH3_64bits_reset(s);
    }
    XXH3_64bits_update(s, data, size);
    return s;
}

uint64_t zo_checksum_end(void *state)
{
    if (!state) return 0;
    uint64_t sum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return sum;
}

#include "base/append.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Locks of open file descriptions: unlike those of POSIX they do not vanish when the host closes another descriptor of the file. */
static struct flock whole(void) { return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}; }

/* 0 also where the file system has no locks. */
static int lock(int fd)
{
    struct flock l = whole();
    if (!fcntl(fd, F_OFD_SETLK, &l)) return 0;
    return errno == ENOLCK || errno == EINVAL || errno == ENOSYS || errno == ENOTSUP ? 0 : errno;
}

bool zo_append_busy(const char *path)
{
    struct flock l = whole();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool busy = fd >= 0 && !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
    if (fd >= 0) close(fd);
    return busy;
}

/* A file that was removed between opening and locking is nobody's. */
static bool still_there(int fd, const char *path)
{
    struct stat held, named;
    return !fstat(fd, &held) && !stat(path, &named) && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static zo_status open_locked(zo_append *a, bool make)
{
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        a->fd = open(a->path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0666);
        if (a->fd < 0) return zo_fail_io(a->ctx, "write it", a->path, errno);
        int error = lock(a->fd);
        if (error == EAGAIN || error == EACCES) {
            return zo_fail(a->ctx, ZO_BUSY,
                           "%s: another process is at work there: wait for it, or stop it first",
                           a->path);
        }
        if (error) return zo_fail_io(a->ctx, "lock it", a->path, error);
        if (still_there(a->fd, a->path)) return ZO_OK;
        close(a->fd);
    }
    return zo_fail_io(a->ctx, "lock it", a->path, EAGAIN);
}

zo_status zo_append_open(zo_append *a, const zo_context *ctx, const char *path, bool make,
                         size_t room, bool *fresh)
{
    struct stat st;
    *a = (zo_append){.ctx = ctx,
                     .fd = -1,
                     .path = zo_strdup(ctx, path),
                     .waiting = zo_alloc(ctx, room),
                     .room = room};
    zo_status status = a->path && a->waiting ? open_locked(a, make) : ZO_NO_MEMORY;
    if (!status && fstat(a->fd, &st)) status = zo_fail_io(ctx, "read it", path, errno);
    if (!status && !S_ISREG(st.st_mode)) status = zo_fail(ctx, ZO_FORMAT, "%s: not a file", path);
    if (status) {
        zo_append_close(a);
        return status;
    }
    a->size = st.st_size;
    *fresh = st.st_size == 0;
    return ZO_OK;
}

zo_status zo_append_cut(zo_append *a, int64_t size)
{
    a->size = size;
    a->waits = 0;
    return ftruncate(a->fd, size) ? zo_fail_io(a->ctx, "cut it", a->path, errno) : ZO_OK;
}

char *zo_append_place(zo_append *a, size_t size)
{
    if (size > a->room - a->waits) zo_append_push(a);
    return size > a->room - a->waits ? NULL : a->waiting + a->waits;
}

bool zo_append_add(zo_append *a, const void *data, size_t size)
{
    char *to = zo_append_place(a, size);
    if (!to) return false;
    if (data) memcpy(to, data, size);
    a->waits += size;
    return true;
}

zo_status zo_append_push(zo_append *a)
{
    if (!a->waits) return ZO_OK;
    int error = zo_write_at(a->fd, a->waiting, a->waits, a->size);
    if (error) return zo_fail_io(a->ctx, "write it", a->path, error);
    a->size += (int64_t)a->waits;
    a->waits = 0;
    return ZO_OK;
}

zo_status zo_append_sync(zo_append *a)
{
    zo_status status = zo_append_push(a);
    if (!status && fdatasync(a->fd) && errno != EINVAL)
        status = zo_fail_io(a->ctx, "sync it", a->path, errno);
    return status;
}

void zo_append_close(zo_append *a)
{
    if (!a->ctx) return;
    if (a->fd >= 0) close(a->fd);
    zo_free(a->ctx, a->path);
    zo_free(a->ctx, a->waiting);
    *a = (zo_append){.fd = -1};
}

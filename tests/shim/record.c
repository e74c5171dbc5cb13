/* Records what a process does to the files below a folder, data included, in the order in which it is
 * done. tests/durable_disk.py makes of it what a power cut may leave.
 *
 *     ZO_RECORD_UNDER  the folder
 *     ZO_RECORD_LOG    the file that receives the records, outside of it
 *
 * What gets past the shim (stdio, mappings) is found by the reader: the records must lead to the files
 * that are there. */
#include "shim.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>

typedef enum kind { OPEN, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, LINK, MKDIR, RMDIR } kind;

/* A record; the bytes of both names and of the data follow. `size` counts the data of WRITE. */
typedef struct entry {
    uint32_t kind, truncates, name, other;
    uint64_t inode, offset, size;
} entry;

/* An operation under way. It holds the mutex if it is watched, so that it and its record are one. */
typedef struct operation {
    bool watched;
    uint64_t inode;
    shim_path path, other;
    const char *name, *other_name; /* below the root */
} operation;

static shim_path root;
static int log_file = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void)
{
    shim_root("ZO_RECORD_UNDER", &root);
    const char *log = getenv("ZO_RECORD_LOG");
    if (!log || !*root.text) return;
    int fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    log_file = fcntl(fd, F_DUPFD_CLOEXEC, 700); /* out of the way of the process's own numbers */
    REAL(close)(fd);
    if (log_file < 0) abort();
}

static void put(const void *data, size_t size)
{
    for (const char *p = data; size;) {
        ssize_t n = REAL(write)(log_file, p, size);
        if (n <= 0) abort();
        p += n;
        size -= (size_t)n;
    }
}

static void record(const operation *o, entry e, const void *data)
{
    e.inode = o->inode;
    e.name = o->name ? (uint32_t)strlen(o->name) : 0;
    e.other = o->other_name ? (uint32_t)strlen(o->other_name) : 0;
    put(&e, sizeof e);
    put(o->name, e.name);
    put(o->other_name, e.other);
    if (e.kind == WRITE) put(data, e.size);
}

static void end(const operation *o)
{
    int error = errno;
    if (o->watched) pthread_mutex_unlock(&mutex);
    errno = error;
}

/* ---- open files ---- */

static operation begin(int fd)
{
    operation o = {0};
    struct stat st;
    int error = errno;
    o.watched = log_file >= 0 && !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
                shim_path_of(fd, &o.path) && shim_below(&root, &o.path);
    if (o.watched) {
        o.inode = st.st_ino;
        pthread_mutex_lock(&mutex);
    }
    errno = error;
    return o;
}

/* `at` negative: where the file's position was. */
static ssize_t wrote(const operation *o, int fd, off_t at, const struct iovec *part, ssize_t n)
{
    if (o->watched && n > 0) {
        size_t left = (size_t)n;
        if (at < 0) at = lseek(fd, 0, SEEK_CUR) - n;
        for (; left; part++) {
            size_t size = part->iov_len < left ? part->iov_len : left;
            if (size)
                record(o, (entry){.kind = WRITE, .offset = (uint64_t)at, .size = size},
                       part->iov_base);
            at += (off_t)size;
            left -= size;
        }
    }
    end(o);
    return n;
}

static int did(const operation *o, entry e, int result)
{
    if (o->watched && !result) record(o, e, NULL);
    end(o);
    return result;
}

SHIM ssize_t write(int fd, const void *data, size_t size)
{
    operation o = begin(fd);
    struct iovec part = {(void *)(uintptr_t)data, size};
    return wrote(&o, fd, -1, &part, REAL(write)(fd, data, size));
}

SHIM ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    operation o = begin(fd);
    struct iovec part = {(void *)(uintptr_t)data, size};
    return wrote(&o, fd, at, &part, REAL(pwrite)(fd, data, size, at));
}

SHIM ssize_t writev(int fd, const struct iovec *part, int parts)
{
    operation o = begin(fd);
    return wrote(&o, fd, -1, part, REAL(writev)(fd, part, parts));
}

SHIM int ftruncate(int fd, off_t size)
{
    operation o = begin(fd);
    return did(&o, (entry){.kind = TRUNCATE, .offset = (uint64_t)size}, REAL(ftruncate)(fd, size));
}

SHIM int fsync(int fd)
{
    operation o = begin(fd);
    return did(&o, (entry){.kind = SYNC}, REAL(fsync)(fd));
}

SHIM int fdatasync(int fd)
{
    operation o = begin(fd);
    return did(&o, (entry){.kind = SYNC}, REAL(fdatasync)(fd));
}

/* ---- names ---- */

/* `to` is NULL where there is one name. A move across the root's border is nothing that the model of a
 * disk knows: it ends the process. */
static operation begin_names(int at, const char *path, int to_at, const char *to)
{
    operation o = {0};
    int error = errno;
    if (log_file >= 0 && shim_resolve(at, path, &o.path)) o.name = shim_below(&root, &o.path);
    if (log_file >= 0 && to && shim_resolve(to_at, to, &o.other))
        o.other_name = shim_below(&root, &o.other);
    if (to && !o.name != !o.other_name) abort();
    o.watched = o.name != NULL;
    if (o.watched) pthread_mutex_lock(&mutex);
    errno = error;
    return o;
}

static int opened(operation *o, int flags, int fd)
{
    struct stat st;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    int error = errno;
    if (o->watched && writes && fd >= 0 && !fstat(fd, &st)) {
        o->inode = st.st_ino;
        record(o, (entry){.kind = OPEN, .truncates = (flags & O_TRUNC) != 0}, NULL);
    }
    errno = error;
    end(o);
    return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    operation o = begin_names(at, path, 0, NULL);
    return opened(&o, flags, REAL(openat)(at, path, flags, mode));
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

SHIM int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_at(AT_FDCWD, path, flags, mode);
}

SHIM int openat(int at, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_at(at, path, flags, mode);
}

SHIM int creat(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

SHIM int rename(const char *from, const char *to)
{
    operation o = begin_names(AT_FDCWD, from, AT_FDCWD, to);
    return did(&o, (entry){.kind = RENAME}, REAL(rename)(from, to));
}

SHIM int renameat(int at, const char *from, int to_at, const char *to)
{
    operation o = begin_names(at, from, to_at, to);
    return did(&o, (entry){.kind = RENAME}, REAL(renameat)(at, from, to_at, to));
}

SHIM int link(const char *from, const char *to)
{
    operation o = begin_names(AT_FDCWD, from, AT_FDCWD, to);
    return did(&o, (entry){.kind = LINK}, REAL(link)(from, to));
}

SHIM int linkat(int at, const char *from, int to_at, const char *to, int flags)
{
    operation o = begin_names(at, from, to_at, to);
    return did(&o, (entry){.kind = LINK}, REAL(linkat)(at, from, to_at, to, flags));
}

SHIM int unlinkat(int at, const char *path, int flags)
{
    operation o = begin_names(at, path, 0, NULL);
    return did(&o, (entry){.kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK},
               REAL(unlinkat)(at, path, flags));
}

SHIM int mkdirat(int at, const char *path, mode_t mode)
{
    operation o = begin_names(at, path, 0, NULL);
    int result = REAL(mkdirat)(at, path, mode);
    struct stat st;
    if (!result && o.watched && !stat(o.path.text, &st)) o.inode = st.st_ino;
    return did(&o, (entry){.kind = MKDIR}, result);
}

SHIM int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
SHIM int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
SHIM int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

SHIM int remove(const char *path)
{
    struct stat st;
    return unlinkat(AT_FDCWD, path, !lstat(path, &st) && S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}

/* ---- other names: files of 64 bits, which all are here, and fortified callers ---- */

SHIM __typeof__(open) open64 __attribute__((alias("open")));
SHIM __typeof__(openat) openat64 __attribute__((alias("openat")));
SHIM __typeof__(creat) creat64 __attribute__((alias("creat")));
SHIM __typeof__(pwrite) pwrite64 __attribute__((alias("pwrite")));
SHIM __typeof__(ftruncate) ftruncate64 __attribute__((alias("ftruncate")));

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
SHIM int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
SHIM int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

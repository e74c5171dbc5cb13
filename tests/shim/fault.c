/* Makes calls fail that concern files below a folder.
 *
 *     ZO_FAULT_UNDER   the folder
 *     ZO_FAULT_CALL    what is counted and fails: open, create (an open that makes a file), read, write,
 *                      sync, rename, truncate, unlink, mkdir; space (create, write and mkdir); any
 *                      (all but read)
 *     ZO_FAULT_NAME    only files whose name begins with this
 *     ZO_FAULT_HOW     an errno; short: half is written; full: half of the first write, then ENOSPC; kill:
 *                      half is written, or nothing is done, and the process ends by SIGKILL
 *     ZO_FAULT_FIRST, ZO_FAULT_LAST    from which call to which, counted from 1; LAST may be missing
 *     ZO_FAULT_EVERY   of these only each so-manieth
 *     ZO_FAULT_COUNTS  a file of two 64-bit numbers: calls counted, and calls that failed */
#include "shim.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

typedef enum kind {
    OPEN = 1,
    CREATE = 2,
    WRITE = 4,
    SYNC = 8,
    RENAME = 16,
    TRUNCATE = 32,
    UNLINK = 64,
    MKDIR = 128,
    READ = 256,
} kind;

typedef enum fault { NONE, FAIL, HALF, KILL } fault;

static const struct {
    const char *name;
    unsigned kinds;
} calls[] = {
    {"open", OPEN | CREATE}, {"create", CREATE},       {"write", WRITE},
    {"sync", SYNC},          {"rename", RENAME},       {"truncate", TRUNCATE},
    {"unlink", UNLINK},      {"mkdir", MKDIR},         {"space", CREATE | WRITE | MKDIR},
    {"read", READ},          {"any", ~(unsigned)READ},
};

static shim_path root;
static const char *only, *how;
static unsigned kinds;
static int64_t first, last, every;
static int64_t own_counts[2], *counts = own_counts;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int64_t number(const char *variable, int64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? atoll(text) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    const char *call = getenv("ZO_FAULT_CALL"), *file = getenv("ZO_FAULT_COUNTS");
    shim_root("ZO_FAULT_UNDER", &root);
    only = getenv("ZO_FAULT_NAME");
    how = getenv("ZO_FAULT_HOW");
    first = number("ZO_FAULT_FIRST", INT64_MAX);
    last = number("ZO_FAULT_LAST", first);
    every = number("ZO_FAULT_EVERY", 1);
    for (size_t i = 0; call && i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(call, calls[i].name)) kinds = calls[i].kinds;
    if (*root.text && (!kinds || !how || every < 1)) abort();
    if (!file) return;
    int fd = REAL(openat)(AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || REAL(ftruncate)(fd, sizeof own_counts)) abort();
    counts = mmap(NULL, sizeof own_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counts == MAP_FAILED) abort();
}

/* What becomes of this call; errno is set where it fails. */
static fault fate(const shim_path *path, kind k)
{
    if (!(kinds & k) || !shim_below(&root, path)) return NONE;
    if (only && strncmp(strrchr(path->text, '/') + 1, only, strlen(only))) return NONE;
    pthread_mutex_lock(&mutex);
    int64_t n = ++counts[0];
    bool fails = n >= first && n <= last && (n - first) % every == 0;
    if (fails) counts[1]++;
    pthread_mutex_unlock(&mutex);
    if (!fails) return NONE;
    if (!strcmp(how, "kill")) return k == WRITE ? KILL : (raise(SIGKILL), FAIL);
    if (!strcmp(how, "short")) return HALF;
    if (!strcmp(how, "full")) {
        errno = ENOSPC;
        return n == first && k == WRITE ? HALF : FAIL;
    }
    errno = atoi(how);
    return FAIL;
}

static fault fate_of_file(int fd, kind k)
{
    shim_path path;
    int error = errno;
    if (!shim_path_of(fd, &path)) path.text[0] = 0;
    errno = error;
    return fate(&path, k);
}

static fault fate_of_name(int at, const char *name, kind k)
{
    shim_path path;
    int error = errno;
    if (!shim_resolve(at, name, &path)) path.text[0] = 0;
    errno = error;
    return fate(&path, k);
}

/* ---- open files ---- */

/* How much of a write is done; negative: it fails. */
static ssize_t share(int fd, size_t size, bool *kills)
{
    fault f = fate_of_file(fd, WRITE);
    *kills = f == KILL;
    return f == FAIL ? -1 : f == NONE || size < 2 ? (ssize_t)size : (ssize_t)(size / 2);
}

SHIM ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    bool kills;
    ssize_t most = share(fd, size, &kills);
    if (most >= 0) most = REAL(pwrite)(fd, data, (size_t)most, at);
    if (kills) raise(SIGKILL);
    return most;
}

SHIM ssize_t write(int fd, const void *data, size_t size)
{
    bool kills;
    ssize_t most = share(fd, size, &kills);
    if (most >= 0) most = REAL(write)(fd, data, (size_t)most);
    if (kills) raise(SIGKILL);
    return most;
}

SHIM ssize_t read(int fd, void *data, size_t size)
{
    return fate_of_file(fd, READ) ? -1 : REAL(read)(fd, data, size);
}

SHIM ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    return fate_of_file(fd, READ) ? -1 : REAL(pread)(fd, data, size, at);
}

/* A part in time: what a short write may do. */
SHIM ssize_t writev(int fd, const struct iovec *part, int parts)
{
    int error = errno;
    shim_path path;
    bool ours = shim_path_of(fd, &path) && shim_below(&root, &path);
    errno = error;
    if (!ours || parts < 1) return REAL(writev)(fd, part, parts);
    while (parts > 1 && !part->iov_len) part++, parts--;
    return write(fd, part->iov_base, part->iov_len);
}

SHIM int ftruncate(int fd, off_t size)
{
    return fate_of_file(fd, TRUNCATE) ? -1 : REAL(ftruncate)(fd, size);
}

SHIM int fsync(int fd) { return fate_of_file(fd, SYNC) ? -1 : REAL(fsync)(fd); }
SHIM int fdatasync(int fd) { return fate_of_file(fd, SYNC) ? -1 : REAL(fdatasync)(fd); }

/* ---- names ---- */

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    int error = errno;
    struct stat st;
    bool makes = flags & O_CREAT && fstatat(at, path, &st, 0);
    errno = error;
    if (fate_of_name(at, path, makes ? CREATE : OPEN)) return -1;
    return REAL(openat)(at, path, flags, mode);
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

SHIM int rename(const char *from, const char *to)
{
    return fate_of_name(AT_FDCWD, to, RENAME) ? -1 : REAL(rename)(from, to);
}

SHIM int renameat(int at, const char *from, int to_at, const char *to)
{
    return fate_of_name(to_at, to, RENAME) ? -1 : REAL(renameat)(at, from, to_at, to);
}

SHIM int link(const char *from, const char *to)
{
    return fate_of_name(AT_FDCWD, to, RENAME) ? -1 : REAL(link)(from, to);
}

SHIM int linkat(int at, const char *from, int to_at, const char *to, int flags)
{
    return fate_of_name(to_at, to, RENAME) ? -1 : REAL(linkat)(at, from, to_at, to, flags);
}

SHIM int unlinkat(int at, const char *path, int flags)
{
    return fate_of_name(at, path, UNLINK) ? -1 : REAL(unlinkat)(at, path, flags);
}

SHIM int mkdirat(int at, const char *path, mode_t mode)
{
    return fate_of_name(at, path, MKDIR) ? -1 : REAL(mkdirat)(at, path, mode);
}

SHIM int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
SHIM int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
SHIM int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- other names ---- */

SHIM __typeof__(open) open64 __attribute__((alias("open")));
SHIM __typeof__(openat) openat64 __attribute__((alias("openat")));
SHIM __typeof__(pread) pread64 __attribute__((alias("pread")));
SHIM __typeof__(pwrite) pwrite64 __attribute__((alias("pwrite")));
SHIM __typeof__(ftruncate) ftruncate64 __attribute__((alias("ftruncate")));

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
SHIM int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
SHIM int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

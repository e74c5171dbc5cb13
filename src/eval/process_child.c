/* One child process and its pipes.
 *
 * posix_spawn() instead of fork(): the host has threads, and much memory that fork() would have to promise twice. Pipes instead
 * of sockets: some programs take a socket on standard input for a remote login, or cannot reopen it.
 *
 * Limits of memory. posix_spawn() cannot set them, ours must not change even for a moment, and no helper program is there
 * to set them in between. So prlimit() limits the child right after it was started, while its loader is still at work. What the
 * child might have taken before that is seen afterwards: from then on the limit holds, and a child that holds more is ended.
 */
#include "eval/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t zo_process_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- starting ---- */

static void shut(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* The descriptor under a number above 2. If the host has closed its standard files, what it prints must not go to a child. */
static int above(int fd)
{
    if (fd < 0 || fd > 2) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = errno;
    close(fd);
    errno = error;
    return higher;
}

/* A pipe that no other child inherits. */
static int make_pipe(int end[2])
{
    int made[2];
    if (pipe2(made, O_CLOEXEC)) return errno;
    end[0] = above(made[0]);
    end[1] = above(made[1]);
    return end[0] < 0 || end[1] < 0 ? errno : 0;
}

static int set_actions(posix_spawn_file_actions_t *actions, const int end[3])
{
    int error = 0;
    for (int i = 0; i < 3 && !error; i++)
        error = posix_spawn_file_actions_adddup2(actions, end[i], i);
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 34)
    /* what the host has open without O_CLOEXEC is not the child's either */
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
    return error;
}

/* A process group of its own, so that what it starts can be ended with it; signals as a program expects them, whatever the host ignores
 * or blocks. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!error) error = posix_spawnattr_setpgroup(attributes, 0);
    if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
    return error;
}

static int spawn(pid_t *pid, const char *path, char *const *argv, const int end[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = set_actions(&actions, end);
        if (!error) error = set_attributes(&attributes);
        if (!error) error = posix_spawn(pid, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int zo_child_start(zo_child *c, const char *path, char *const *argv)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int error = make_pipe(in);
    if (!error) error = make_pipe(out);
    if (!error) error = make_pipe(err);
    int *const ours[3] = {&in[1], &out[0], &err[0]};
    for (int i = 0; i < 3 && !error; i++)
        if (fcntl(*ours[i], F_SETFL, O_NONBLOCK)) error = errno;
    if (!error) error = spawn(&c->pid, path, argv, (const int[]){in[0], out[1], err[1]});
    shut(&in[0]);
    shut(&out[1]);
    shut(&err[1]);
    if (error) {
        for (int i = 0; i < 3; i++) shut(ours[i]);
        c->pid = 0;
        return error;
    }
    c->in = in[1];
    c->out = out[0];
    c->err = err[0];
    c->handle = above((int)syscall(SYS_pidfd_open, c->pid, 0)); /* is closed on exec */
    c->fresh = true;
    c->line_size = 0;
    c->last[0] = 0;
    return 0;
}

static bool holds_more(pid_t pid, int64_t memory)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false; /* no /proc here */
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    int64_t pages = 0;
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        pages = 10 * pages + (text[i] - '0');
    return pages > memory / sysconf(_SC_PAGESIZE);
}

bool zo_child_limit(const zo_child *c, int64_t memory)
{
    struct rlimit before, limit;
    if (prlimit(c->pid, RLIMIT_AS, NULL, &before)) return errno == ESRCH;
    limit.rlim_cur = limit.rlim_max = (rlim_t)memory;
    if (before.rlim_max != RLIM_INFINITY && before.rlim_max < limit.rlim_max)
        limit.rlim_cur = limit.rlim_max = before.rlim_max;
    if (prlimit(c->pid, RLIMIT_AS, &limit, NULL)) return errno == ESRCH;
    return !holds_more(c->pid, memory);
}

/* ---- ending ---- */

bool zo_child_ended(const zo_child *c)
{
    siginfo_t info = {0};
    int result;
    do {
        result = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (result && errno == EINTR);
    return result ? errno == ECHILD : info.si_pid == c->pid;
}

void zo_child_signal(const zo_child *c, int signal) { kill(-c->pid, signal); }

void zo_child_forget(zo_child *c)
{
    shut(&c->in);
    shut(&c->out);
    shut(&c->err);
    shut(&c->handle);
    c->pid = 0;
}

int zo_child_reap(zo_child *c)
{
    /* the number of a process that is not reaped is not given to another, so this is still its group */
    int status = 0;
    zo_child_signal(c, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0) {
        if (errno == EINTR) continue;
        status = 0;
        break;
    }
    zo_child_forget(c);
    return status;
}

bool zo_child_waits(const zo_child *c)
{
    struct pollfd fd[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->in}};
    int ready;
    do {
        ready = poll(fd, 2, 0);
    } while (ready < 0 && errno == EINTR);
    return c->out >= 0 && c->in >= 0 && !ready;
}

void zo_child_close_input(zo_child *c) { shut(&c->in); }

/* ---- talking ---- */

/* writev() that gives EPIPE and no SIGPIPE, and leaves the thread's signals as they were. */
static ssize_t write_quietly(int fd, const struct iovec *parts, int n)
{
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (sigismember(&before, SIGPIPE))
        sigpending(&pending); /* the host's own is not ours to take */
    ssize_t wrote = writev(fd, parts, n);
    int error = errno;
    if (wrote < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR) continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return wrote;
}

bool zo_child_send(zo_child *c)
{
    while (c->sent < c->size && c->in >= 0) {
        size_t left = c->size - 1 - c->sent; /* of the text, without its line end */
        struct iovec parts[2] = {{.iov_base = (char *)c->text + c->sent, .iov_len = left},
                                 {.iov_base = (char[]){'\n'}, .iov_len = 1}};
        ssize_t wrote = write_quietly(c->in, left ? parts : parts + 1, left ? 2 : 1);
        if (wrote > 0) c->sent += (size_t)wrote;
        if (wrote < 0 && errno == EAGAIN) return true;
        if (wrote < 0 && errno != EINTR) return false;
    }
    return true;
}

ssize_t zo_child_receive(zo_child *c, size_t most)
{
    ssize_t got;
    do {
        got = read(c->out, c->reply + c->got, most - c->got);
    } while (got < 0 && errno == EINTR);
    if (got > 0) c->got += (size_t)got;
    if (!got) shut(&c->out);
    return got;
}

static void end_line(zo_child *c)
{
    c->line[c->line_size] = 0;
    if (strspn(c->line, " \t\r") < c->line_size) memcpy(c->last, c->line, c->line_size + 1);
    c->line_size = 0;
}

void zo_child_listen(zo_child *c)
{
    char text[4096];
    for (int turn = 0; turn < 16 && c->err >= 0; turn++) { /* it may never stop */
        ssize_t got = read(c->err, text, sizeof text);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) shut(&c->err);
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] == '\n')
                end_line(c);
            else if (c->line_size < sizeof c->line - 1)
                c->line[c->line_size++] =
                    (unsigned char)text[i] < 32 || text[i] == 127 ? ' ' : text[i];
        }
    }
}

const char *zo_child_last_words(zo_child *c)
{
    if (c->line_size) end_line(c);
    return c->last;
}

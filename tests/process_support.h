/* What the tests of process pools share: pools of tests/children/child.c, a log that is kept, and the check that
 * nothing stays behind: no descriptor, no child, no block of memory. */
#ifndef ZO_TESTS_PROCESS_SUPPORT_H
#define ZO_TESTS_PROCESS_SUPPORT_H

#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define CHILD ZO_BINARY_DIR "/tests/children/child"

/* ---- items ---- */

enum { MANY = 1000 };
static char item_text[MANY][32];
static const char *items[MANY];
static double answers[MANY], results[MANY];

/* Items that are eighths, so that twice them plus one is exact in text and in binary. */
static inline int make_items(void **state)
{
    uint64_t draws = 1;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        long eighths = (long)(draw_bits(&draws) % 2000000) - 1000000;
        snprintf(item_text[i], sizeof item_text[i], "%.3f", (double)eighths / 8);
        items[i] = item_text[i];
        answers[i] = (double)(eighths + 4) / 4;
    }
    return 0;
}

/* ---- pools ---- */

/* One pool with its context and what was there before it. */
typedef struct place {
    memory memory;
    zo_context *ctx;
    zo_process_pool *pool;
    zo_process_def def;
    const char *argv[8];
    char *folder;
    int files;
    int lines; /* logged */
    char log[40][512];
} place;

static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void keep_line(void *user, zo_log_level level, const char *line)
{
    place *at = user;
    assert_int_equal(level, ZO_LOG_WARNING);
    assert_true(at->lines < 40);
    snprintf(at->log[at->lines++], sizeof at->log[0], "%s", line);
}

/* `mode` of the child, with a folder that it may write to; the caller may change at->def before open_pool(). */
static inline void set_place(place *at, const char *mode, bool stays)
{
    memset(at, 0, sizeof *at);
    at->files = entries("/proc/self/fd");
    at->memory.left = -1;
    at->folder = make_folder();
    zo_context_def def = zo_context_default_def();
    def.allocator = (zo_allocator){memory_alloc, memory_free, &at->memory};
    def.log = keep_line;
    def.log_user = at;
    assert_int_equal(zo_context_create(&def, &at->ctx), ZO_OK);
    at->argv[0] = CHILD;
    at->argv[1] = mode;
    at->argv[2] = at->folder;
    at->def = zo_process_default_def();
    at->def.argv = at->argv;
    at->def.stays = stays;
    at->def.processes = 3;
}

static inline void open_pool(place *at)
{
    zo_status status = zo_process_create(at->ctx, &at->def, &at->pool);
    if (status) fail_msg("%s", zo_last_error(at->ctx));
}

static inline void assert_no_child_left(void)
{
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static inline void close_place(place *at)
{
    zo_process_destroy(at->pool);
    assert_no_child_left();
    zo_context_destroy(at->ctx);
    assert_int_equal(at->memory.live, 0);
    assert_int_equal(entries("/proc/self/fd"), at->files);
    remove_folder(at->folder);
}

/* Evaluates, and fails the test unless the status is OK. */
static inline void evaluate(place *at, int n, const char *const *lines, double *losses)
{
    zo_status status = zo_process_evaluate(at->pool, n, lines, losses);
    if (status) fail_msg("%s: %s", zo_status_name(status), zo_last_error(at->ctx));
}

/* All counts are these; prints what differs. */
static inline void assert_counts(const place *at, zo_process_counts want)
{
    zo_process_counts got = zo_process_counted(at->pool);
#define SAME(name)                                                                                 \
    if (got.name != want.name)                                                                     \
    fail_msg("%s: %s is %lld, not %lld", at->argv[1], #name, (long long)got.name,                  \
             (long long)want.name)
    SAME(items);
    SAME(failed);
    SAME(retried);
    SAME(not_finite);
    SAME(crashed);
    SAME(timed_out);
    SAME(garbage);
    SAME(too_much);
    SAME(not_started);
    SAME(started);
#undef SAME
}

/* The same number `n` times. */
static inline void assert_all(const double *x, int n, double want)
{
    for (int i = 0; i < n; i++)
        if (!(x[i] == want)) fail_msg("number %d is %.17g, not %.17g", i, x[i], want);
}

/* Grandchildren whose parent has gone become ours while this is on. */
static inline void adopt_orphans(bool on)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, on ? 1ul : 0ul, 0ul, 0ul, 0ul), 0);
}

/* Waits until `n` adopted processes have ended, each by SIGKILL, and no other is there. */
static inline void assert_killed_orphans(int n)
{
    int seen = 0, status;
    for (double until = seconds_now() + 10; seen < n && seconds_now() < until;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), SIGKILL);
            seen++;
        } else {
            usleep(1000);
        }
    }
    assert_int_equal(seen, n);
    assert_no_child_left();
}

#endif

/* Pools of processes: a host that may cancel, is interrupted, lacks this and that, and notices nothing.
 * labels: threads */
#include "process_support.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* ---- cancel ---- */

typedef struct canceller {
    zo_context *ctx;
    double after;
} canceller;

static void *cancel_later(void *arg)
{
    const canceller *c = arg;
    usleep((useconds_t)(c->after * 1e6));
    zo_cancel(c->ctx);
    return NULL;
}

static void another_thread_may_cancel(void **state)
{
    (void)state;
    const char *modes[] = {"hang-once", "hang-hard"};
    for (int i = 0; i < 4; i++) {
        place at;
        pthread_t thread;
        set_place(&at, modes[i / 2], i % 2);
        open_pool(&at);
        adopt_orphans(true);
        canceller c = {at.ctx, 0.2};
        double before = seconds_now();
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
        assert_int_equal(zo_process_evaluate(at.pool, 2, items, results), ZO_CANCELLED);
        assert_true(seconds_now() - before < 10);
        pthread_join(thread, NULL);
        assert_all(results, 2, HUGE_VAL);
        if (i / 2) assert_killed_orphans(2);
        adopt_orphans(false);
        assert_no_child_left();
        assert_int_equal(zo_process_evaluate(at.pool, 2, items, results), ZO_CANCELLED);
        assert_counts(&at, (zo_process_counts){.started = 2});
        zo_cancel_clear(at.ctx);
        if (!(i / 2)) { /* these hang the first time only */
            evaluate(&at, 2, items, results);
            assert_memory_equal(results, answers, 2 * sizeof *results);
            assert_counts(&at, (zo_process_counts){.items = 2, .started = 4});
        }
        close_place(&at);
    }
}

/* ---- the host ---- */

static void children_inherit_nothing(void **state)
{
    (void)state;
    place at;
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGPIPE);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    int leaky = fcntl(0, F_DUPFD, 100); /* without O_CLOEXEC */
    set_place(&at, "inherited", false);
    open_pool(&at);
    evaluate(&at, 3, items, results);
    assert_all(results, 3, 0);
    close_place(&at);
    close(leaky);
    set_place(&at, "good", true);
    bool open[256]; /* and what the host starts meanwhile does not inherit our pipes */
    for (int fd = 0; fd < 256; fd++) open[fd] = fcntl(fd, F_GETFD) >= 0;
    open_pool(&at);
    evaluate(&at, 3, items, results);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        assert_true(flags < 0 || open[fd] || flags & FD_CLOEXEC);
    }
    close_place(&at);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, handler);
}

static atomic_int alarms;

static void on_alarm(int signal)
{
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

static void signals_of_the_host_disturb_nothing(void **state)
{
    (void)state;
    place at;
    struct sigaction action = {.sa_handler = on_alarm}, before; /* no SA_RESTART */
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, &before);
    for (int stays = 0; stays < 2; stays++) {
        set_place(&at, "good", stays);
        open_pool(&at);
        setitimer(ITIMER_REAL, &often, NULL);
        evaluate(&at, stays ? MANY : 50, items, results);
        setitimer(ITIMER_REAL, &never, NULL);
        assert_memory_equal(results, answers, (stays ? MANY : 50) * sizeof *results);
        assert_counts(&at,
                      (zo_process_counts){.items = stays ? MANY : 50, .started = stays ? 3 : 50});
        close_place(&at);
    }
    sigaction(SIGALRM, &before, NULL);
    assert_true(atomic_load(&alarms) > 0);
}

/* A broken pipe neither ends the host nor leaves a trace in its signals, nor takes one that is there. */
static void broken_pipes_leave_no_trace(void **state)
{
    (void)state;
    enum { SIZE = 200000 };
    char *large = malloc(SIZE + 1);
    assert_non_null(large);
    memset(large, '1', SIZE);
    large[SIZE] = 0;
    assert_true(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
    for (int pending = 0; pending < 2; pending++) {
        place at;
        sigset_t pipe, mask, after;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(pending ? SIG_BLOCK : SIG_UNBLOCK, &pipe, NULL);
        if (pending) pthread_kill(pthread_self(), SIGPIPE);
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        set_place(&at, "close-input", true);
        open_pool(&at);
        evaluate(&at, 1, (const char *[]){large}, results);
        assert_counts(&at, (zo_process_counts){
                               .items = 1, .failed = 1, .retried = 1, .crashed = 2, .started = 2});
        close_place(&at);
        struct sigaction action;
        sigaction(SIGPIPE, NULL, &action);
        assert_true(action.sa_handler == SIG_DFL);
        pthread_sigmask(SIG_BLOCK, NULL, &after);
        for (int s = 1; s < 32; s++)
            assert_int_equal(sigismember(&mask, s), sigismember(&after, s));
        sigpending(&after);
        assert_int_equal(sigismember(&after, SIGPIPE), pending);
        if (!pending) continue;
        assert_int_equal(sigtimedwait(&pipe, NULL, &(struct timespec){0}), SIGPIPE);
        pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
    }
    free(large);
}

/* A host that has its children reaped for it gets its results all the same. */
static void children_may_be_reaped_by_others(void **state)
{
    (void)state;
    void (*handler)(int) = signal(SIGCHLD, SIG_IGN);
    for (int stays = 0; stays < 2; stays++) {
        place at;
        set_place(&at, "good", stays);
        open_pool(&at);
        evaluate(&at, 20, items, results);
        assert_memory_equal(results, answers, 20 * sizeof *results);
        close_place(&at);
        set_place(&at, "crash-abort", stays);
        open_pool(&at);
        evaluate(&at, 1, items, results);
        assert_int_equal(zo_process_counted(at.pool).crashed, 2);
        close_place(&at);
    }
    signal(SIGCHLD, handler);
}

static int standard_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 3; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Runs in a process of its own: 0, or what was wrong. It may not use cmocka. */
static int evaluates_well(bool stays, int64_t not_started)
{
    const char *argv[] = {CHILD, "good", NULL};
    zo_context *ctx;
    zo_process_pool *pool;
    int files = standard_files();
    zo_context_def none = zo_context_default_def();
    none.threads = 1;
    if (zo_context_create(&none, &ctx)) return 10;
    zo_process_def def = zo_process_default_def();
    def.argv = argv;
    def.stays = stays;
    def.processes = 2;
    if (zo_process_create(ctx, &def, &pool)) return 11;
    if (zo_process_evaluate(pool, 6, items, results)) return 12;
    zo_process_counts counts = zo_process_counted(pool);
    if (standard_files() != files) return 16; /* what the host prints must not go to a child */
    zo_process_destroy(pool);
    zo_context_destroy(ctx);
    if (counts.not_started != not_started) return 13;
    if (!not_started && memcmp(results, answers, 6 * sizeof *results)) return 14;
    return waitpid(-1, NULL, WNOHANG) == -1 ? 0 : 15;
}

static int without_standard_files(bool stays)
{
    for (int fd = 0; fd < 3; fd++) close(fd);
    return standard_files() ? 1 : evaluates_well(stays, 0);
}

/* A kernel or a container that has no pidfd_open(). */
static int without_pidfd(bool stays)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number of the call */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
    if (syscall(SYS_pidfd_open, getpid(), 0) >= 0 || errno != ENOSYS) return 1;
    return evaluates_well(stays, 0);
}

/* No descriptors for pipes: nothing can start, at any of the two attempts. */
static int without_descriptors(bool stays)
{
    struct rlimit few = {8, 8};
    for (int fd = 3; fd < 100; fd++) close(fd);
    if (setrlimit(RLIMIT_NOFILE, &few)) return 1;
    return evaluates_well(stays, 12);
}

static void hosts_may_lack_much(void **state)
{
    (void)state;
    int (*hosts[])(bool) = {without_standard_files, without_pidfd, without_descriptors};
    for (int i = 0; i < 6; i++) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) _exit(hosts[i / 2](i % 2));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status) fail_msg("host %d: status %x", i, (unsigned)status);
    }
}

/* When the host is killed, children see the end of their input. */
static void children_do_not_outlive_their_host(void **state)
{
    (void)state;
    char *folder = make_folder();
    int ready[2], status;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        const char *argv[] = {CHILD, "good", folder, NULL};
        zo_context *ctx;
        zo_process_pool *pool;
        zo_process_def def = zo_process_default_def();
        def.argv = argv;
        if (zo_context_create(NULL, &ctx) || zo_process_create(ctx, &def, &pool)) _exit(1);
        if (zo_process_evaluate(pool, 1, items, results)) _exit(1);
        if (write(ready[1], "", 1) == 1) pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(entries(folder), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ready[0]);
    for (int i = 0; i < 10000 && !entries(folder); i++) usleep(1000);
    assert_int_equal(entries(folder), 1);
    remove_folder(folder);
}

/* ---- memory ---- */

static zo_status make_and_evaluate(zo_context *ctx, void *arg)
{
    const char *argv[] = {CHILD, "good", *(bool *)arg ? "stays" : "{x}", NULL};
    zo_process_pool *pool;
    zo_process_def def = zo_process_default_def();
    def.argv = argv;
    def.stays = *(bool *)arg;
    zo_status status = zo_process_create(ctx, &def, &pool);
    if (!status) status = zo_process_evaluate(pool, 3, items, results);
    if (!status) assert_memory_equal(results, answers, 3 * sizeof *results);
    zo_process_destroy(pool);
    return status;
}

static void each_refused_allocation_is_reported(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        bool kind = stays;
        assert_true(refuse_each(make_and_evaluate, &kind) >= 10);
        assert_no_child_left();
    }
}

static void items_allocate_nothing(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        place at;
        set_place(&at, "good", stays);
        open_pool(&at);
        evaluate(&at, 50, items, results);
        long before = at.memory.calls;
        evaluate(&at, 50, items, results);
        assert_int_equal(at.memory.calls, before);
        close_place(&at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_inherit_nothing),
        cmocka_unit_test(another_thread_may_cancel),
        cmocka_unit_test(signals_of_the_host_disturb_nothing),
        cmocka_unit_test(broken_pipes_leave_no_trace),
        cmocka_unit_test(children_may_be_reaped_by_others),
        cmocka_unit_test(hosts_may_lack_much),
        cmocka_unit_test(children_do_not_outlive_their_host),
        cmocka_unit_test(each_refused_allocation_is_reported),
        cmocka_unit_test(items_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, make_items, NULL);
}

/* Parallel loops: our own pool of threads, the host's, nested ones, and both sides of a fork.
 * labels: threads */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/context.h"

typedef struct tally {
    atomic_int times[1000], busy[8], wrong;
    int workers;
} tally;

static void count_item(void *arg, int64_t item, int worker)
{
    tally *t = arg;
    if (worker < 0 || worker >= t->workers || item < 0 || item >= 1000) {
        atomic_fetch_add(&t->wrong, 1);
        return;
    }
    if (atomic_fetch_add(&t->busy[worker], 1)) atomic_fetch_add(&t->wrong, 1);
    atomic_fetch_add(&t->times[item], 1);
    atomic_fetch_sub(&t->busy[worker], 1);
}

static void assert_runs_once(const zo_context *ctx, int n)
{
    static tally t;
    memset(&t, 0, sizeof t);
    t.workers = zo_context_threads(ctx);
    zo_parallel(ctx, n, count_item, &t);
    assert_int_equal(t.wrong, 0);
    for (int i = 0; i < 1000; i++) assert_int_equal(t.times[i], i < n);
}

static void every_item_runs_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 8; threads++) {
        zo_context *ctx = make_context(threads, NULL, NULL);
        for (int n = 0; n <= 1000; n += n < 20 ? 1 : 140) assert_runs_once(ctx, n);
        for (int i = 0; i < 300; i++) assert_runs_once(ctx, threads);
        usleep(2000); /* the workers go to sleep, and must wake */
        assert_runs_once(ctx, 1000);
        zo_context_destroy(ctx);
    }
}

static void run_backwards(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    ++*(int *)user;
    for (int64_t i = n - 1; i >= 0; i--) fn(arg, i, (int)(i % 5));
}

static void host_may_bring_its_threads(void **state)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    int calls = 0;
    (void)state;
    def.executor = (zo_executor){run_backwards, 5, &calls};
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    assert_int_equal(zo_context_threads(ctx), 5);
    assert_runs_once(ctx, 0);
    assert_runs_once(ctx, 1);
    assert_int_equal(calls, 0); /* nothing to share */
    assert_runs_once(ctx, 2);
    assert_runs_once(ctx, 777);
    assert_int_equal(calls, 2);
    zo_context_destroy(ctx);
}

static void run_inner(void *arg, int64_t item, int worker)
{
    zo_context **inner = arg;
    tally *t = calloc(1, sizeof *t);
    if (!t) return;
    t->workers = 2;
    zo_parallel(inner[worker], 100 + item, count_item, t);
    for (int i = 0; i < 100 + item; i++) atomic_fetch_add(&t->wrong, t->times[i] != 1);
    inner[3 + item] = t->wrong ? NULL : inner[worker];
    free(t);
}

static void contexts_nest(void **state)
{
    zo_context *outer = make_context(3, NULL, NULL), *inner[3 + 40] = {NULL};
    (void)state;
    for (int i = 0; i < 3; i++) inner[i] = make_context(2, NULL, NULL);
    zo_parallel(outer, 40, run_inner, inner);
    for (int i = 0; i < 40; i++) assert_non_null(inner[3 + i]);
    for (int i = 0; i < 3; i++) zo_context_destroy(inner[i]);
    zo_context_destroy(outer);
}

static void see_mask(void *arg, int64_t item, int worker)
{
    atomic_int *seen = arg;
    sigset_t now;
    (void)item;
    usleep(1000);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    atomic_fetch_add(&seen[!worker ? 0 : sigismember(&now, SIGINT) ? 1 : 2], 1);
}

/* Signals are for the host's threads. */
static void workers_take_no_signals(void **state)
{
    atomic_int seen[3] = {0, 0, 0};
    zo_context *ctx = make_context(4, NULL, NULL);
    sigset_t now;
    (void)state;
    for (int i = 0; i < 500 && !seen[1] && !seen[2]; i++) zo_parallel(ctx, 8, see_mask, seen);
    assert_true(seen[1] > 0);
    assert_int_equal(seen[2], 0);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_false(sigismember(&now, SIGINT));
    zo_context_destroy(ctx);
}

/* ---- fork ---- */

/* Runs work in a child process; 0 if it returned true within 20 seconds. */
static int in_child(bool (*work)(zo_context *), zo_context *ctx)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(work(ctx) ? 0 : 1);
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Waits until another worker is here too, two seconds at most. */
static void meet(void *arg, int64_t item, int worker)
{
    atomic_int *here = arg;
    (void)item, (void)worker;
    atomic_fetch_add(here, 1);
    for (int i = 0; i < 2000 && *here < 2; i++) usleep(1000);
    if (*here >= 2) atomic_fetch_add(here, 10);
}

static bool has_threads(zo_context *ctx)
{
    atomic_int here = 0;
    zo_parallel(ctx, 2, meet, &here);
    return here == 22;
}

static bool use_pool(zo_context *ctx)
{
    static tally t;
    for (int round = 0; round < 50; round++) {
        memset(&t, 0, sizeof t);
        t.workers = zo_context_threads(ctx);
        zo_parallel(ctx, 500, count_item, &t);
        for (int i = 0; i < 500; i++) t.wrong += t.times[i] != 1;
        if (t.wrong) return false;
    }
    return has_threads(ctx);
}

static bool use_and_destroy(zo_context *ctx)
{
    bool fine = use_pool(ctx);
    zo_context_destroy(ctx);
    return fine;
}

static bool only_destroy(zo_context *ctx)
{
    zo_context_destroy(ctx);
    return true;
}

static void child_processes_have_their_own_threads(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("SKIPPED: ThreadSanitizer ends children that start threads\n");
    skip();
#endif
    zo_context *ctx = make_context(4, NULL, NULL);
    assert_int_equal(in_child(use_and_destroy, ctx), 0); /* before the first thread */
    assert_true(use_pool(ctx));
    assert_int_equal(in_child(use_and_destroy, ctx), 0);
    usleep(50000); /* the workers sleep on their condition now */
    assert_int_equal(in_child(use_and_destroy, ctx), 0);
    assert_int_equal(in_child(only_destroy, ctx), 0);
    assert_true(use_pool(ctx));
    zo_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once),
        cmocka_unit_test(host_may_bring_its_threads),
        cmocka_unit_test(contexts_nest),
        cmocka_unit_test(workers_take_no_signals),
        cmocka_unit_test(child_processes_have_their_own_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A small thread pool: one loop at a time, items handed out by a counter.
 *
 * Workers join a loop only while it is open, so a loop never waits for a thread that is still waking up. Between loops they watch
 * for a short while before they sleep: a training step is a few short loops, one after the other.
 */
#include "base/context.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WATCH 16000 /* looks before sleeping: some 40 to 200 microseconds */

typedef struct zo_pool {
    zo_allocator allocator;
    int capacity; /* threads asked for */
    int threads;  /* threads the machine gave, the caller included */
    int started;
    pid_t owner;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    atomic_uint generation;
    atomic_llong next;
    bool open, stop;
    atomic_int active; /* workers inside the loop; changed under the lock, watched without it */
    int64_t n;
    zo_work_fn fn;
    void *arg;
    pthread_t thread[]; /* [threads - 1]; thread[i] is worker i + 1 */
} zo_pool;

typedef struct worker {
    zo_pool *pool;
    int index;
} worker;

static size_t pool_size(int threads)
{
    size_t n = (size_t)threads;
    return sizeof(zo_pool) + n * (sizeof(pthread_t) + sizeof(worker));
}

static worker *workers(zo_pool *p) { return (worker *)(p->thread + p->capacity); }

static void init_locks(zo_pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
}

struct zo_pool *zo_pool_create(const zo_allocator *allocator, int threads)
{
    zo_pool *p = allocator->alloc(allocator->user, pool_size(threads), 64);
    if (!p) return NULL;
    memset(p, 0, pool_size(threads));
    p->allocator = *allocator;
    p->capacity = p->threads = threads;
    init_locks(p);
    return p;
}

static void take_items(zo_pool *p, int index)
{
    for (;;) {
        int64_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->n) return;
        p->fn(p->arg, i, index);
    }
}

/* Tells the processor that this is a waiting loop. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void watch(zo_pool *p, unsigned seen)
{
    for (int i = 0; i < WATCH && atomic_load_explicit(&p->generation, memory_order_relaxed) == seen;
         i++) {
        relax();
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    zo_pool *p = w->pool;
    unsigned seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && atomic_load(&p->generation) == seen) {
            pthread_cond_wait(&p->work, &p->lock);
        }
        if (p->stop) break;
        seen = atomic_load(&p->generation);
        if (p->open) {
            p->active++;
            pthread_mutex_unlock(&p->lock);
            take_items(p, w->index);
            pthread_mutex_lock(&p->lock);
            if (--p->active == 0) pthread_cond_signal(&p->done);
        }
        pthread_mutex_unlock(&p->lock);
        watch(p, seen);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Starts what is missing. A machine that refuses more threads is served with those it gave. */
static void start(zo_pool *p)
{
    if (p->owner != getpid()) { /* first use, or a child after fork: its threads did not come along */
        p->owner = getpid();
        p->threads = p->capacity;
        p->started = 0;
        p->active = 0;
        init_locks(p);
    }
    sigset_t all, before; /* the host's signals are for the host's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->started < p->threads - 1) {
        worker *w = workers(p) + p->started;
        *w = (worker){p, p->started + 1};
        if (pthread_create(&p->thread[p->started], NULL, worker_main, w)) {
            p->threads = p->started + 1;
            break;
        }
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void zo_pool_run(void *pool, int64_t n, zo_work_fn fn, void *arg)
{
    zo_pool *p = pool;
    if (p->threads == 1) {
        for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
        return;
    }
    if (p->owner != getpid()) start(p);
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->open = true;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);

    take_items(p, 0);

    pthread_mutex_lock(&p->lock);
    p->open = false;
    if (p->active) { /* the others are about to end: to sleep and be woken would take longer */
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < WATCH && atomic_load_explicit(&p->active, memory_order_acquire); i++)
            relax();
        pthread_mutex_lock(&p->lock);
    }
    while (p->active) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void zo_pool_destroy(struct zo_pool *p)
{
    if (!p) return;
    if (p->owner == getpid()) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->started; i++) pthread_join(p->thread[i], NULL);
    } else if (p->owner) {
        init_locks(p); /* a child after fork: the threads that sleep on this condition are not here */
    }
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    zo_allocator a = p->allocator;
    a.free(a.user, p, pool_size(p->capacity));
}

/* The inside of zo_context: allocation, errors, log and parallel loops for the library's own code. */
#ifndef ZO_BASE_CONTEXT_H
#define ZO_BASE_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <zeroth/context.h>

struct zo_kernels;
struct zo_pool;

struct zo_context {
    zo_allocator allocator;
    zo_executor executor; /* run is never NULL once the context is made */
    struct zo_pool *pool; /* ours, or NULL when the host brought its own executor */
    const struct zo_kernels *kernels;
    zo_log_fn log;
    void *log_user;
    atomic_bool cancelled, checkpoint; /* asked for by zo_cancel(), zo_checkpoint() */
    size_t held, peak,
        limit; /* bytes that zo_alloc gave out: now, at most so far, at most allowed (0: any) */
    char error[1024];
};

/* Makes a context without kernels. Errors as zo_context_create(). */
zo_status zo_context_open(const zo_context_def *def, zo_context **out);

/* Notes the error text and returns `status`, so that a failing function ends with `return zo_fail(...)`. Not from workers. */
zo_status zo_fail(const zo_context *ctx, zo_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* CANCELLED, with its text, once zo_cancel() was called; else OK. For work of many seconds, between its parts. Not from workers, which
 * ask zo_cancelled(). */
zo_status zo_check_cancelled(const zo_context *ctx);

/* Sends a line to the host's log, if there is one. Not from workers. */
void zo_log(const zo_context *ctx, zo_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `size` bytes aligned to 64, or NULL with the error noted. Size 0 gives a valid pointer. Not from workers. */
void *zo_alloc(const zo_context *ctx, size_t size);
/* The same for `n` elements, zeroed; overflow counts as out of memory. */
void *zo_alloc_zero(const zo_context *ctx, size_t n, size_t size);
/* Takes back what zo_alloc gave. NULL is legal. */
void zo_free(const zo_context *ctx, void *ptr);
/* Counts `size` bytes as held although nothing is allocated, so that later allocations of as much are sure to keep to the limit: give them
 * back right before. Errors: NO_MEMORY. */
zo_status zo_reserve(const zo_context *ctx, size_t size);
void zo_unreserve(const zo_context *ctx, size_t size);
/* A copy of a text. */
char *zo_strdup(const zo_context *ctx, const char *text);

/* fn(arg, item, worker) once for each item in [0, n); returns when all are done. Not from inside itself. */
void zo_parallel(const zo_context *ctx, int64_t n, zo_work_fn fn, void *arg);

/* The pool behind zo_parallel(): `threads` workers, the caller being worker 0. Threads start at the first run, and again in a
 * child process after fork(). */
struct zo_pool *zo_pool_create(const zo_allocator *allocator, int threads);
void zo_pool_destroy(struct zo_pool *pool);
void zo_pool_run(void *pool, int64_t n, zo_work_fn fn, void *arg);

#endif

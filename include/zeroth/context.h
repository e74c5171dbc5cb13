/* The context: the only place where the library meets its host.
 *
 * It holds the allocator, the log, the cancel flag, the executor, the chosen kernels and the last error.
 * The library has no other state: no globals, no environment, no printing, no exit, no signal handlers.
 * One context serves one user thread at a time; objects made with it must be destroyed before it.
 */
#ifndef ZEROTH_CONTEXT_H
#define ZEROTH_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zeroth/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque; made by zo_context_create(). */
typedef struct zo_context zo_context;

/** The host's memory functions. Both or neither are given. They may be called from any thread. */
typedef struct zo_allocator {
    /** Returns `size` > 0 bytes aligned to `align` (a power of two <= 64), or NULL. */
    void *(*alloc)(void *user, size_t size, size_t align);
    /** Takes back what alloc returned; `ptr` is never NULL, `size` is what was asked for. */
    void (*free)(void *user, void *ptr, size_t size);
    void *user; /**< handed to both */
} zo_allocator;

/** One piece of parallel work: item `item` of a loop, on worker `worker` (0 <= worker < workers).
 *  Two calls with the same worker never overlap. */
typedef void (*zo_work_fn)(void *arg, int64_t item, int worker);

/** The host's threads, with 1 MiB of stack or more. With `run` NULL the library starts a small pthread pool of its own. */
typedef struct zo_executor {
    /** Calls fn(arg, i, w) once for each i in [0, n), in any order, and returns when all are done. */
    void (*run)(void *user, int64_t n, zo_work_fn fn, void *arg);
    int workers; /**< how many values of `worker` there are, >= 1 */
    void *user;  /**< handed to run */
} zo_executor;

/** How serious a log line is. */
typedef enum zo_log_level { ZO_LOG_DEBUG, ZO_LOG_INFO, ZO_LOG_WARNING } zo_log_level;

/** Receives one line of text without a line end. Called on the thread that made the library call. */
typedef void (*zo_log_fn)(void *user, zo_log_level level, const char *text);

/** Start from zo_context_default_def() and change fields. */
typedef struct zo_context_def {
    zo_allocator allocator; /**< {NULL}: aligned_alloc and free */
    zo_executor executor;   /**< {NULL}: our own pool of `threads` threads */
    int threads;            /**< 1 to 1024; 0: one for each processor this process may use */
    const char *kernels; /**< "ref", "avx2", "avx512", "avx512bf16"; NULL: the best this CPU has. All give the same bits */
    int64_t memory; /**< most bytes that may be held at once, checked at each allocation; 0: no limit */
    zo_log_fn log;  /**< NULL: silence */
    void *log_user; /**< handed to log */
} zo_context_def;

/** Most threads a context may have. */
#define ZO_THREADS_MAX 1024

/** The defaults named at each field. */
ZO_API zo_context_def zo_context_default_def(void);

/** Makes a context. `def` NULL means the defaults. Threads start with the first parallel call.
 *  Errors: USAGE (threads outside 0..1024, a negative memory, half an allocator, an executor without workers, unknown
 *  kernels), UNSUPPORTED (kernels this CPU cannot run), NO_MEMORY. On failure *out is NULL. */
ZO_API zo_status zo_context_create(const zo_context_def *def, zo_context **out);

/** Ends the pool and frees the context. NULL is legal. */
ZO_API void zo_context_destroy(zo_context *ctx);

/** What went wrong in the last failing call on this context: one line, owned by the context, valid until the
 *  next call. Empty if nothing failed yet. With ctx NULL: a static text. */
ZO_API const char *zo_last_error(const zo_context *ctx);

/** Asks the running call to stop after its current step. May be called from any thread or a signal handler. */
ZO_API void zo_cancel(zo_context *ctx);

/** Whether zo_cancel() was called since the context was made or zo_cancel_clear(). */
ZO_API bool zo_cancelled(const zo_context *ctx);

/** Asks the running zo_train() to save its state after the current step and to go on. May be called from any thread or
 *  a signal handler. */
ZO_API void zo_checkpoint(zo_context *ctx);

/** Forgets an earlier zo_cancel(). */
ZO_API void zo_cancel_clear(zo_context *ctx);

/** How many workers share parallel work. */
ZO_API int zo_context_threads(const zo_context *ctx);

/** The most bytes that were held at once through this context since it was made: networks, data, trainers. */
ZO_API int64_t zo_context_memory(const zo_context *ctx);

/** The kernel set in use: "ref", "avx2", "avx512" or "avx512bf16". Static text. */
ZO_API const char *zo_context_kernels(const zo_context *ctx);

/** What the machine offers; see zo_machine(). */
typedef struct zo_machine_info {
    char cpu[96];        /**< the processor's own name */
    int processors;      /**< processors this process may use */
    int64_t memory;      /**< bytes of main memory; 0 if unknown */
    const char *kernels; /**< kernel set in use */
    double peak;         /**< measured multiply-adds per second of one core; 0 unless measured */
} zo_machine_info;

/** Describes the machine; with `measure` runs a chain-free multiply-add loop for about 0.2 s to fill `peak`. */
ZO_API zo_status zo_machine(zo_context *ctx, bool measure, zo_machine_info *out);

#ifdef __cplusplus
}
#endif
#endif

#include "base/context.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64

/* The size asked for lies in front of every block, so that the host's free() can be told. */
typedef struct header {
    size_t size;
    char pad[ALIGN - sizeof(size_t)];
} header;

static void *host_alloc(void *user, size_t size, size_t align)
{
    (void)user;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void host_free(void *user, void *ptr, size_t size)
{
    (void)user;
    (void)size;
    free(ptr);
}

static int processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > ZO_THREADS_MAX ? ZO_THREADS_MAX : n;
}

zo_context_def zo_context_default_def(void) { return (zo_context_def){.threads = 0}; }

zo_status zo_context_open(const zo_context_def *def, zo_context **out)
{
    zo_context_def d = def ? *def : zo_context_default_def();
    *out = NULL;
    if (!d.allocator.alloc != !d.allocator.free) return ZO_USAGE;
    if (d.threads < 0 || d.threads > ZO_THREADS_MAX) return ZO_USAGE;
    if (d.executor.run && d.executor.workers < 1) return ZO_USAGE;
    if (d.memory < 0) return ZO_USAGE;
    if (!d.allocator.alloc) d.allocator = (zo_allocator){host_alloc, host_free, NULL};

    zo_context *ctx = d.allocator.alloc(d.allocator.user, sizeof *ctx, ALIGN);
    if (!ctx) return ZO_NO_MEMORY;
    memset(ctx, 0, sizeof *ctx);
    ctx->allocator = d.allocator;
    ctx->executor = d.executor;
    ctx->limit = (size_t)d.memory;
    ctx->log = d.log;
    ctx->log_user = d.log_user;
    if (!ctx->executor.run) {
        int threads = d.threads ? d.threads : processors();
        ctx->pool = zo_pool_create(&ctx->allocator, threads);
        if (!ctx->pool) {
            zo_context_destroy(ctx);
            return ZO_NO_MEMORY;
        }
        ctx->executor = (zo_executor){zo_pool_run, threads, ctx->pool};
    }
    *out = ctx;
    return ZO_OK;
}

void zo_context_destroy(zo_context *ctx)
{
    if (!ctx) return;
    zo_pool_destroy(ctx->pool);
    zo_allocator a = ctx->allocator;
    a.free(a.user, ctx, sizeof *ctx);
}

const char *zo_last_error(const zo_context *ctx)
{
    return ctx ? ctx->error : "no context could be made";
}

void zo_cancel(zo_context *ctx) { atomic_store(&ctx->cancelled, true); }

bool zo_cancelled(const zo_context *ctx) { return atomic_load(&ctx->cancelled); }

void zo_cancel_clear(zo_context *ctx) { atomic_store(&ctx->cancelled, false); }

void zo_checkpoint(zo_context *ctx) { atomic_store(&ctx->checkpoint, true); }

int64_t zo_context_memory(const zo_context *ctx) { return (int64_t)ctx->peak; }

int zo_context_threads(const zo_context *ctx) { return ctx->executor.workers; }

zo_status zo_fail(const zo_context *ctx, zo_status status, const char *format, ...)
{
    /* The error text is the one thing a call on a const object may change: contexts serve one thread at a time. */
    zo_context *c = (zo_context *)ctx;
    va_list args;
    va_start(args, format);
    vsnprintf(c->error, sizeof c->error, format, args);
    va_end(args);
    for (char *p = c->error; *p; p++) { /* one line, whatever a file or a path brought along */
        if ((unsigned char)*p < 32) *p = '?';
    }
    return status;
}

zo_status zo_check_cancelled(const zo_context *ctx)
{
    return zo_cancelled(ctx) ? zo_fail(ctx, ZO_CANCELLED, "stopped on request") : ZO_OK;
}

void zo_log(const zo_context *ctx, zo_log_level level, const char *format, ...)
{
    if (!ctx->log) return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->log(ctx->log_user, level, text);
}

/* Like the error text, the count of bytes changes behind a const. */
static void count(const zo_context *ctx, size_t taken, size_t given)
{
    zo_context *c = (zo_context *)ctx;
    c->held += taken - given;
    if (c->held > c->peak) c->peak = c->held;
}

/* Whether the limit has room for `size` bytes; notes the error if not. */
static bool fits(const zo_context *ctx, size_t size)
{
    if (!ctx->limit || (size <= ctx->limit && ctx->held <= ctx->limit - size)) return true;
    zo_fail(ctx, ZO_NO_MEMORY,
            "out of memory: %zu bytes more were needed, %zu of the %zu allowed are in use; allow "
            "more, or use a smaller net, batch or data set",
            size, ctx->held, ctx->limit);
    return false;
}

zo_status zo_reserve(const zo_context *ctx, size_t size)
{
    if (!fits(ctx, size)) return ZO_NO_MEMORY;
    count(ctx, size, 0);
    return ZO_OK;
}

void zo_unreserve(const zo_context *ctx, size_t size) { count(ctx, 0, size); }

void *zo_alloc(const zo_context *ctx, size_t size)
{
    const zo_allocator *a = &ctx->allocator;
    if (!fits(ctx, size > SIZE_MAX - ALIGN ? size : size + ALIGN)) return NULL;
    header *h = size > SIZE_MAX - sizeof *h ? NULL : a->alloc(a->user, size + sizeof *h, ALIGN);
    if (!h) {
        zo_fail(ctx, ZO_NO_MEMORY,
                "out of memory: %zu bytes more were needed; use a smaller net, batch or data set",
                size);
        return NULL;
    }
    h->size = size + sizeof *h;
    count(ctx, h->size, 0);
    return h + 1;
}

void *zo_alloc_zero(const zo_context *ctx, size_t n, size_t size)
{
    size_t bytes = size && n > SIZE_MAX / size ? SIZE_MAX : n * size;
    void *p = zo_alloc(ctx, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void zo_free(const zo_context *ctx, void *ptr)
{
    if (!ptr) return;
    header *h = (header *)ptr - 1;
    count(ctx, 0, h->size);
    ctx->allocator.free(ctx->allocator.user, h, h->size);
}

char *zo_strdup(const zo_context *ctx, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = zo_alloc(ctx, n);
    if (copy) memcpy(copy, text, n);
    return copy;
}

void zo_parallel(const zo_context *ctx, int64_t n, zo_work_fn fn, void *arg)
{
    if (n == 1) {
        fn(arg, 0, 0);
    } else if (n > 1) {
        ctx->executor.run(ctx->executor.user, n, fn, arg);
    }
}

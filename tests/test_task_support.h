/* What the tests of tasks share: contexts that count and refuse memory, files that come and go. */
#ifndef ZO_TESTS_TEST_TASK_SUPPORT_H
#define ZO_TESTS_TEST_TASK_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/context.h"
#include "task/task.h"

/* Memory that is counted, and refused once `left` reaches 0 (negative: never). */
typedef struct ration {
    long left;
    long live;
} ration;

static inline void *ration_alloc(void *user, size_t size, size_t align)
{
    ration *r = user;
    if (r->left == 0) return NULL;
    if (r->left > 0) r->left--;
    r->live++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static inline void ration_free(void *user, void *ptr, size_t size)
{
    (void)size;
    ((ration *)user)->live--;
    free(ptr);
}

static inline zo_context *context_with(int threads, ration *r)
{
    zo_context *ctx;
    zo_context_def def = zo_context_default_def();
    def.threads = threads;
    if (r) def.allocator = (zo_allocator){ration_alloc, ration_free, r};
    assert_int_equal(zo_context_open(&def, &ctx), ZO_OK);
    return ctx;
}

/* Runs `work` with the k-th allocation refused, for every k until it succeeds: each failure must be
 * NO_MEMORY, and nothing may be left. Returns how many allocations there are. */
static inline long refuse_each(zo_status (*work)(zo_context *ctx, void *arg), void *arg)
{
    for (long k = 0;; k++) {
        ration r = {-1, 0};
        zo_context *ctx = context_with(1, &r);
        long before = r.live;
        r.left = k;
        zo_status status = work(ctx, arg);
        assert_int_equal(r.live, before);
        r.left = -1;
        if (status != ZO_OK) assert_int_equal(status, ZO_NO_MEMORY);
        zo_context_destroy(ctx);
        assert_int_equal(r.live, 0);
        if (status == ZO_OK) return k;
        assert_true(k < 100000);
    }
}

static inline void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* gzip of some bytes; *out is malloc'ed. */
static inline size_t gzip(const void *bytes, size_t size, uint8_t **out)
{
    z_stream z = {0};
    size_t room = size + size / 100 + 1000;
    *out = malloc(room);
    assert_non_null(*out);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)bytes;
    z.avail_in = (uInt)size;
    z.next_out = *out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    return n;
}

/* The last error is one line that holds each of these words (NULL-terminated). */
static inline void error_says(const zo_context *ctx, const char *first, ...)
{
    const char *error = zo_last_error(ctx);
    va_list args;
    assert_null(strchr(error, '\n'));
    va_start(args, first);
    for (const char *word = first; word; word = va_arg(args, const char *)) {
        if (!strstr(error, word)) fail_msg("\"%s\" is not in: %s", word, error);
    }
    va_end(args);
}

/* A data folder that holds `probe`, or NULL: the tests' own data, or the system's. */
static inline const char *data_folder(const char *probe)
{
    static char path[4096];
    const char *const folder[] = {ZO_SOURCE_DIR "/../shared/data", "/usr/share/datasets"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder[i], probe);
        if (!access(path, R_OK)) return folder[i];
    }
    return NULL;
}

#endif

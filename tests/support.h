/* What the C tests share: contexts whose memory is counted and can be refused, folders that come and go, comparisons bit for bit.
 *
 * Everything is static inline, so that a test includes what it needs and nothing is linked twice.
 */
#ifndef ZO_TESTS_SUPPORT_H
#define ZO_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zeroth/zeroth.h>

#include "kernels/kernels.h"

/* ---- contexts ---- */

/* An allocator's book: after `left` further blocks every request is refused (-1: never). */
typedef struct memory {
    long left;
    long live;       /* blocks given and not taken back */
    long calls;      /* blocks given so far */
    long long bytes; /* live bytes */
} memory;

static inline void *memory_alloc(void *user, size_t size, size_t align)
{
    memory *m = user;
    if (m->left == 0) return NULL;
    void *p = size > SIZE_MAX / 2 ? NULL : aligned_alloc(align, (size + align - 1) / align * align);
    if (!p) return NULL;
    if (m->left > 0) m->left--;
    m->live++;
    m->calls++;
    m->bytes += (long long)size;
    memset(p, 0xa5, size); /* nobody may count on zeros */
    return p;
}

static inline void memory_free(void *user, void *ptr, size_t size)
{
    memory *m = user;
    m->live--;
    m->bytes -= (long long)size;
    free(ptr);
}

/* A context of `threads` threads (0: all); kernels NULL: the best; m NULL: the standard allocator. */
static inline zo_context *make_context(int threads, const char *kernels, memory *m)
{
    zo_context *ctx = NULL;
    zo_context_def def = zo_context_default_def();
    def.threads = threads;
    def.kernels = kernels;
    if (m) def.allocator = (zo_allocator){memory_alloc, memory_free, m};
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    assert_non_null(ctx);
    return ctx;
}

/* Runs work(ctx, arg) with the k-th allocation refused, for k = 0, 1, ... until it succeeds. Each failure must be NO_MEMORY with an error
 * text, and must leave no block behind; so must the success: work() frees what it makes. Returns how many allocations there are. */
static inline long refuse_each(zo_status (*work)(zo_context *ctx, void *arg), void *arg)
{
    for (long k = 0; k < 100000; k++) {
        memory m = {.left = -1};
        zo_context *ctx = make_context(2, NULL, &m);
        long before = m.live;
        m.left = k;
        zo_status status = work(ctx, arg);
        m.left = -1;
        if (m.live != before)
            fail_msg("allocation %ld refused: %ld blocks are left behind", k, m.live - before);
        if (status != ZO_OK && status != ZO_NO_MEMORY)
            fail_msg("allocation %ld refused: %s: %s", k, zo_status_name(status),
                     zo_last_error(ctx));
        if (status) assert_int_not_equal(zo_last_error(ctx)[0], 0);
        zo_context_destroy(ctx);
        assert_int_equal(m.live, 0);
        assert_true(m.bytes == 0);
        if (status == ZO_OK) return k;
    }
    fail_msg("more than 100000 allocations");
    return -1;
}

/* The last error is one line that holds each of these words (NULL-terminated). */
static inline void error_says(const zo_context *ctx, ...)
{
    const char *error = zo_last_error(ctx), *word;
    va_list args;
    assert_null(strchr(error, '\n'));
    va_start(args, ctx);
    while ((word = va_arg(args, const char *))) {
        if (!strstr(error, word)) fail_msg("\"%s\" is not in: %s", word, error);
    }
    va_end(args);
}

/* The kernel sets that this CPU can run, ref included: set(0), set(1), ...; NULL past the last. */
static inline const zo_kernels *kernel_set(int index)
{
    for (int i = 0; zo_kernel_classes[i]; i++) {
        const zo_kernels *k = (const zo_kernels *)zo_kernel_classes[i];
        if (k->available() && index-- == 0) return k;
    }
    return NULL;
}

/* ---- folders and files ---- */

/* A fresh folder; remove_folder() frees the text too. */
static inline char *make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/zeroth-test-XXXXXX", parent && *parent ? parent : P_tmpdir);
    assert_non_null(mkdtemp(path));
    char *copy = strdup(path);
    assert_non_null(copy);
    return copy;
}

static inline int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *at)
{
    (void)info, (void)flag, (void)at;
    return remove(path);
}

static inline void remove_folder(char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

/* "folder/name" in one of four buffers that are used in turn. */
static inline const char *in_folder(const char *folder, const char *name)
{
    static char path[4][4096];
    static int turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

/* How many files and folders a folder holds. */
static inline int entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static inline void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* The bytes of a file, malloc'ed, with a zero behind them. */
static inline char *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *bytes = malloc((size_t)n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)n, f), (size_t)n);
    bytes[n] = 0;
    fclose(f);
    *size = (size_t)n;
    return bytes;
}

/* ---- numbers ---- */

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The same bits; any NaN equals any NaN, as IEEE 754 leaves its payload open. */
static inline int same_float(float a, float b)
{
    return float_bits(a) == float_bits(b) || (isnan(a) && isnan(b));
}

/* Fails at the first number that differs; `what` and `index` say which comparison it was. */
static inline void assert_same_floats(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (!same_float(a[i], b[i]))
            fail_msg("%s: number %zu is %.9g (%08x), not %.9g (%08x)", what, i, (double)a[i],
                     float_bits(a[i]), (double)b[i], float_bits(b[i]));
    }
}

/* |got - want| <= absolute + relative |want| */
static inline void assert_near(double got, double want, double absolute, double relative,
                               const char *what)
{
    if (!(fabs(got - want) <= absolute + relative * fabs(want)))
        fail_msg("%s: %.17g, not %.17g", what, got, want);
}

/* n zeros aligned to 64 bytes, never NULL, exactly as long as asked so that a sanitizer sees a step too far; free() takes them back. */
static inline float *floats(size_t n)
{
    size_t size = (n ? n : 1) * sizeof(float);
    float *p = memalign(64, size);
    assert_non_null(p);
    memset(p, 0, size);
    return p;
}

/* x with eight significant bits, by arithmetic: the nearest, of two the even one; 0 below 2^-56. */
static inline float nearest_bfloat16(float x)
{
    int e;
    double m = frexp((double)x, &e), most = 0x1.fep127, r = ldexp(nearbyint(ldexp(m, 8)), e - 8);
    if (fabs((double)x) < 0x1p-56) return 0;
    return (float)(fabs(r) > most ? copysign(most, r) : r);
}

/* A small generator that has nothing to do with the library's (xorshift64*, Vigna 2016): numbers for tests. */
static inline uint64_t draw_bits(uint64_t *state)
{
    uint64_t x = *state ? *state : 88172645463325252u;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717u;
}

/* Uniform in [low, high). */
static inline float draw(uint64_t *state, double low, double high)
{
    return (float)(low + (high - low) * (double)(draw_bits(state) >> 11) * 0x1p-53);
}

static inline void draw_many(uint64_t *state, float *out, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++) out[i] = draw(state, low, high);
}

#endif

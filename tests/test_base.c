/* Statuses, contexts, memory, errors, log and cancelling. */
#include "support.h"

#include <signal.h>

#include "base/context.h"

/* ---- statuses ---- */

static void statuses_have_names_and_texts(void **state)
{
    static const struct {
        int value;
        const char *name, *text;
    } wanted[] = {
        {0, "OK", "done"},
        {1, "CANCELLED", "stopped on request"},
        {2, "USAGE", "an argument, option or net spec that is not accepted"},
        {3, "NO_MEMORY", "out of memory"},
        {4, "NOT_FOUND", "a file or data set that is not there"},
        {5, "FORMAT", "a file that does not hold what it should"},
        {6, "IO", "reading or writing failed"},
        {7, "UNSUPPORTED", "not possible with this combination"},
        {8, "DIVERGED", "the losses are no longer finite"},
        {9, "EXISTS", "something is there already and is not overwritten"},
        {10, "BUSY", "another process is at work there"},
        {11, "CHANGED", "what a run was made with is no longer the same"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_string_equal(zo_status_name((zo_status)wanted[i].value), wanted[i].name);
        assert_string_equal(zo_status_text((zo_status)wanted[i].value), wanted[i].text);
    }
    assert_string_equal(zo_status_name((zo_status)12), "?");
    assert_string_equal(zo_status_text((zo_status)12), "unknown status");
    assert_string_equal(zo_status_name((zo_status)-1), "?");
}

/* ---- definitions ---- */

static void expect_context(const zo_context_def *def, zo_status wanted)
{
    zo_context *ctx = (zo_context *)&ctx;
    assert_int_equal(zo_context_create(def, &ctx), wanted);
    assert_true((ctx != NULL) == (wanted == ZO_OK));
    zo_context_destroy(ctx);
}

static void run_nothing(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    (void)user, (void)n, (void)fn, (void)arg;
}

static void definitions_are_checked(void **state)
{
    static const struct {
        int threads;
        zo_status wanted;
    } threads[] = {{-1, ZO_USAGE}, {0, ZO_OK},       {1, ZO_OK},
                   {1024, ZO_OK},  {1025, ZO_USAGE}, {10000, ZO_USAGE}};
    memory m = {.left = -1};
    zo_context_def def;
    (void)state;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        def = zo_context_default_def();
        def.threads = threads[i].threads;
        expect_context(&def, threads[i].wanted);
    }
    def = zo_context_default_def();
    def.allocator = (zo_allocator){memory_alloc, NULL, &m};
    expect_context(&def, ZO_USAGE);
    def.allocator = (zo_allocator){NULL, memory_free, &m};
    expect_context(&def, ZO_USAGE);
    def = zo_context_default_def();
    def.kernels = "avx3";
    expect_context(&def, ZO_USAGE);
    def = zo_context_default_def();
    def.executor = (zo_executor){run_nothing, 0, NULL};
    expect_context(&def, ZO_USAGE);
    def.executor.workers = 1;
    expect_context(&def, ZO_OK);
    expect_context(NULL, ZO_OK);
    assert_int_equal(m.calls, 0);
    zo_context_destroy(NULL);
}

static void every_kernel_set_is_there_or_unsupported(void **state)
{
    (void)state;
    for (int i = 0; zo_kernel_classes[i]; i++) {
        const zo_kernels *k = (const zo_kernels *)zo_kernel_classes[i];
        zo_context_def def = zo_context_default_def();
        def.kernels = k->info.name;
        expect_context(&def, k->available() ? ZO_OK : ZO_UNSUPPORTED);
    }
    zo_context *ctx = make_context(1, "ref", NULL);
    assert_string_equal(zo_context_kernels(ctx), "ref");
    zo_context_destroy(ctx);
    ctx = make_context(3, NULL, NULL);
    assert_string_equal(zo_context_kernels(ctx), kernel_set(0)->info.name);
    assert_int_equal(zo_context_threads(ctx), 3);
    zo_context_destroy(ctx);
}

static void machine_is_described(void **state)
{
    zo_context *ctx = make_context(1, "ref", NULL);
    zo_machine_info info;
    (void)state;
    assert_int_equal(zo_machine(ctx, false, &info), ZO_OK);
    assert_true(info.peak == 0);
    assert_int_equal(zo_machine(ctx, true, &info), ZO_OK);
    assert_true(info.peak > 1e6 && info.peak < 1e13);
    assert_true(info.processors >= 1 && info.processors <= sysconf(_SC_NPROCESSORS_CONF));
    assert_true(info.memory > 1 << 24);
    assert_int_not_equal(info.cpu[0], 0);
    assert_string_equal(info.kernels, "ref");
    zo_context_destroy(ctx);
}

/* ---- memory, errors, log ---- */

static void creation_survives_refused_memory(void **state)
{
    (void)state;
    for (long k = 0;; k++) {
        memory m = {.left = k};
        zo_context_def def = zo_context_default_def();
        zo_context *ctx;
        def.threads = 4;
        def.allocator = (zo_allocator){memory_alloc, memory_free, &m};
        zo_status status = zo_context_create(&def, &ctx);
        if (!status) {
            assert_true(k >= 2); /* the context and its pool */
            zo_context_destroy(ctx);
            assert_int_equal(m.live, 0);
            return;
        }
        assert_int_equal(status, ZO_NO_MEMORY);
        assert_null(ctx);
        assert_int_equal(m.live, 0);
    }
}

static void memory_is_aligned_and_counted(void **state)
{
    memory m = {.left = -1};
    zo_context *ctx = make_context(2, NULL, &m);
    long before = m.live;
    void *block[64];
    (void)state;
    for (size_t i = 0; i < 64; i++) {
        block[i] = i % 2 ? zo_alloc(ctx, i) : zo_alloc_zero(ctx, i, 7);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 64, 0);
        if (i % 2) memset(block[i], 255, i);
        for (size_t b = 0; i % 2 == 0 && b < 7 * i; b++) assert_int_equal(((char *)block[i])[b], 0);
    }
    assert_int_equal(m.live, before + 64);
    for (size_t i = 0; i < 64; i++) zo_free(ctx, block[i]);
    zo_free(ctx, NULL);
    char *copy = zo_strdup(ctx, "text");
    assert_string_equal(copy, "text");
    zo_free(ctx, copy);
    assert_int_equal(m.live, before);
    zo_context_destroy(ctx);
    assert_int_equal(m.live, 0);
    assert_true(m.bytes == 0);
}

static void impossible_sizes_are_out_of_memory(void **state)
{
    memory m = {.left = -1};
    zo_context *ctx = make_context(1, NULL, &m);
    (void)state;
    assert_null(zo_alloc(ctx, SIZE_MAX));
    error_says(ctx, "out of memory", NULL);
    assert_null(zo_alloc_zero(ctx, SIZE_MAX / 2 + 1, 2));
    assert_null(zo_alloc_zero(ctx, SIZE_MAX, SIZE_MAX));
    assert_null(zo_alloc_zero(ctx, 1u << 31, (size_t)1 << 33));
    m.left = 0;
    assert_null(zo_strdup(ctx, "text"));
    zo_context_destroy(ctx);
    assert_int_equal(m.live, 0);
}

static void last_error_stays_and_is_cut_to_fit(void **state)
{
    zo_context *ctx = make_context(1, NULL, NULL);
    (void)state;
    assert_string_not_equal(zo_last_error(NULL), "");
    assert_string_equal(zo_last_error(ctx), "");
    assert_int_equal(zo_fail(ctx, ZO_IO, "%s: %d", "a file", 7), ZO_IO);
    assert_string_equal(zo_last_error(ctx), "a file: 7");
    zo_fail(ctx, ZO_IO, "%s", "two\nlines\r\033[1m caf\xc3\xa9");
    assert_string_equal(zo_last_error(ctx), "two?lines??[1m caf\xc3\xa9"); /* one line, no escapes */
    char *text = malloc(5001);
    memset(text, 'x', 5000);
    text[5000] = 0;
    assert_int_equal(zo_fail(ctx, ZO_FORMAT, "%s", text), ZO_FORMAT);
    assert_int_equal(strspn(zo_last_error(ctx), "x"), sizeof ctx->error - 1);
    assert_int_equal(zo_last_error(ctx)[sizeof ctx->error - 1], 0);
    free(text);
    zo_context_destroy(ctx);
}

static char logged[64];

static void keep_log(void *user, zo_log_level level, const char *text)
{
    snprintf(logged, sizeof logged, "%s%d %s", (const char *)user, (int)level, text);
}

static void log_reaches_the_host(void **state)
{
    zo_context_def def = zo_context_default_def();
    zo_context *ctx;
    char user[] = "u";
    (void)state;
    def.threads = 1;
    def.log = keep_log;
    def.log_user = user;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    zo_log(ctx, ZO_LOG_WARNING, "%d of %s", 3, "four");
    assert_string_equal(logged, "u2 3 of four");
    zo_context_destroy(ctx);
    ctx = make_context(1, NULL, NULL);
    zo_log(ctx, ZO_LOG_WARNING, "silence");
    assert_string_equal(logged, "u2 3 of four");
    zo_context_destroy(ctx);
}

/* ---- cancel ---- */

static zo_context *interrupted;

static void on_signal(int number)
{
    (void)number;
    zo_cancel(interrupted);
}

static void signals_may_cancel(void **state)
{
    interrupted = make_context(1, NULL, NULL);
    struct sigaction act = {.sa_handler = on_signal}, before;
    (void)state;
    assert_false(zo_cancelled(interrupted));
    sigaction(SIGUSR1, &act, &before);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    assert_true(zo_cancelled(interrupted));
    assert_true(zo_cancelled(interrupted));
    zo_cancel_clear(interrupted);
    assert_false(zo_cancelled(interrupted));
    zo_context_destroy(interrupted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_names_and_texts),
        cmocka_unit_test(definitions_are_checked),
        cmocka_unit_test(every_kernel_set_is_there_or_unsupported),
        cmocka_unit_test(machine_is_described),
        cmocka_unit_test(creation_survives_refused_memory),
        cmocka_unit_test(memory_is_aligned_and_counted),
        cmocka_unit_test(impossible_sizes_are_out_of_memory),
        cmocka_unit_test(last_error_stays_and_is_cut_to_fit),
        cmocka_unit_test(log_reaches_the_host),
        cmocka_unit_test(signals_may_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

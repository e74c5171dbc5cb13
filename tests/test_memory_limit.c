/* The most memory a context may hold: never exceeded, said in one line, and given back; and what it held at most is told. */
#include "resume_support.h"

#include "base/context.h"

/* A book that knows the most bytes that were live at once. */
typedef struct ledger {
    long long live, most;
} ledger;

static void *ledger_alloc(void *user, size_t size, size_t align)
{
    ledger *l = user;
    l->live += (long long)size;
    if (l->live > l->most) l->most = l->live;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void ledger_free(void *user, void *ptr, size_t size)
{
    ((ledger *)user)->live -= (long long)size;
    free(ptr);
}

/* A context that may hold so many bytes; *held is what it holds from the start. */
static zo_context *limited(ledger *l, int64_t bytes, long long *held)
{
    zo_context *where;
    zo_context_def def = zo_context_default_def();
    def.threads = 1;
    def.memory = bytes;
    *l = (ledger){0};
    def.allocator = (zo_allocator){ledger_alloc, ledger_free, l};
    assert_int_equal(zo_context_create(&def, &where), ZO_OK);
    *held = l->live;
    l->most = l->live;
    return where;
}

static void negative_limits_are_refused(void **state)
{
    zo_context *where = (zo_context *)&where;
    zo_context_def def = zo_context_default_def();
    (void)state;
    def.memory = -1;
    assert_int_equal(zo_context_create(&def, &where), ZO_USAGE);
    assert_null(where);
}

/* Blocks of all sizes: what is held, and what was held at most, is what the host's allocator gave. */
static void what_is_held_is_counted(void **state)
{
    ledger l;
    long long held;
    void *block[40];
    (void)state;
    zo_context *where = limited(&l, 0, &held);
    assert_int_equal(zo_context_memory(where), 0);
    for (int i = 0; i < 40; i++) {
        block[i] = zo_alloc(where, (size_t)(i * i));
        assert_int_equal(zo_context_memory(where), l.live - held);
    }
    for (int i = 0; i < 40; i++) zo_free(where, block[i]);
    assert_int_equal(zo_context_memory(where), l.most - held);
    assert_int_equal(l.live, held);
    zo_free(where, zo_alloc(where, 10));
    assert_int_equal(zo_context_memory(where), l.most - held); /* the most since it was made */
    zo_context_destroy(where);
    assert_int_equal(l.live, 0);
}

/* Just what is allowed is given; one byte more is not, and is once something was given back. */
static void a_limit_is_kept_to_the_byte(void **state)
{
    ledger l;
    long long held;
    (void)state;
    zo_context *where = limited(&l, 10000, &held);
    char *a = zo_alloc(where, 4000);
    assert_non_null(a);
    size_t left = (size_t)(10000 - (l.live - held)), head = (size_t)(l.live - held) - 4000;
    assert_null(zo_alloc(where, left - head + 1));
    error_says(where, "out of memory", "10000", NULL);
    char *b = zo_alloc(where, left - head);
    assert_non_null(b);
    memset(b, 1, left - head);
    assert_null(zo_alloc(where, 1));
    assert_null(zo_alloc(where, SIZE_MAX));
    assert_null(zo_alloc(where, SIZE_MAX - 10000));
    assert_null(zo_alloc_zero(where, SIZE_MAX / 2, 3));
    zo_free(where, a);
    assert_non_null(a = zo_alloc(where, 4000));
    zo_free(where, a);
    zo_free(where, b);
    assert_int_equal(zo_context_memory(where), 10000);
    assert_true(l.most - held <= 10000);
    zo_context_destroy(where);
}

/* What is reserved counts as held, and is sure to be there when it is given back. */
static void what_is_reserved_is_held(void **state)
{
    ledger l;
    long long held;
    (void)state;
    zo_context *where = limited(&l, 10000, &held);
    assert_int_equal(zo_reserve(where, 6000), ZO_OK);
    assert_int_equal(zo_context_memory(where), 6000);
    assert_int_equal(zo_reserve(where, 4001), ZO_NO_MEMORY);
    error_says(where, "out of memory", "10000", NULL);
    assert_int_equal(zo_reserve(where, SIZE_MAX), ZO_NO_MEMORY);
    assert_null(zo_alloc(where, 4000)); /* with what is before each block it is more */
    char *a = zo_alloc(where, 3000);
    assert_non_null(a);
    zo_unreserve(where, 6000);
    char *b = zo_alloc(where, 5900);
    assert_non_null(b);
    zo_free(where, a);
    zo_free(where, b);
    assert_int_equal(l.live, held);
    zo_context_destroy(where);
}

/* Whole runs under ever tighter limits: as many bytes as they need give the same bits; any fewer are said, and nothing is left. */
static void runs_keep_to_their_limit(void **state)
{
    const char *const estimator[] = {"nodes", "weights", "backprop"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        char run[ROOM];
        ledger l;
        long long held;
        trial t = trial_of(estimator[i], "adam");
        course c = course_of(&t);
        c.epochs = 2;
        zo_context *where = limited(&l, 0, &held);
        outcome want = go_as(where, &c, fresh_in(folder, run, "free"), ZO_OK), got;
        int64_t need = zo_context_memory(where);
        assert_true(want.r.memory > 0 && want.r.memory <= need);
        assert_in_range(need - (l.most - held), 0, 1 << 18); /* some is reserved for the end */
        zo_context_destroy(where);
        for (int k = 0; k <= 20; k++) {
            int64_t bytes = k ? need - k * need / 21 : need + 1000; /* texts vary in length */
            where = limited(&l, bytes, &held);
            zo_status status = go(where, &c, fresh_in(folder, run, "tight"), &got);
            assert_int_equal(status, k ? ZO_NO_MEMORY : ZO_OK);
            if (k) error_says(where, "out of memory", NULL);
            if (k) assert_int_equal(access(run, F_OK), -1); /* refused before anything began */
            if (!k) assert_same_outcome(&got, &want, "just enough memory");
            assert_true(l.most - held <= bytes);
            assert_int_equal(l.live, held);
            free(got.params);
            zo_context_destroy(where);
        }
        free(want.params);
    }
}

/* A net of more numbers than its file has is refused before the tables of its windows, 8 MB here, are made. */
static void small_files_take_little(void **state)
{
    ledger l;
    long long held;
    (void)state;
    zo_context *where = limited(&l, 0, &held);
    zo_net *net = NULL;
    zo_shape in = {1000, 1000, 1, 0};
    assert_int_equal(zo_net_parse(where, "conv999x1", in, 0, 1000, &net), ZO_USAGE);
    error_says(where, "more numbers than are there", NULL);
    assert_null(net);
    assert_true(l.most - held < 2 * 4 * 1000000 + 100000); /* shift and scale of the inputs */
    assert_int_equal(l.live, held);
    zo_context_destroy(where);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negative_limits_are_refused), cmocka_unit_test(what_is_held_is_counted),
        cmocka_unit_test(a_limit_is_kept_to_the_byte), cmocka_unit_test(what_is_reserved_is_held),
        cmocka_unit_test(runs_keep_to_their_limit),    cmocka_unit_test(small_files_take_little),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

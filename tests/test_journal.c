/* Journals: every byte as their header says, and nothing believed that is torn, flipped or stale. The oracle is a writer of the test's own
 * that calls xxhash itself.
 */
#include "journal_support.h"

static zo_context *ctx;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

static void assert_is(const char *path, const journal_bytes *b)
{
    size_t size;
    char *got = get_file(path, &size);
    size_t n = size < b->size ? size : b->size;
    for (size_t i = 0; i < n; i++) {
        if (got[i] != b->at[i]) fail_msg("byte %zu is %02x, not %02x", i, got[i], b->at[i]);
    }
    assert_int_equal(size, b->size);
    free(got);
}

static bool same_double(double a, double b) { return !memcmp(&a, &b, sizeof a); }

/* ---- the bytes ---- */

/* What put_all_types() wrote, by the functions under test. */
static void add_all_types(zo_journal *j)
{
    zo_journal_add_text(j, ZO_ENTRY_START, "{\"net\":\"dense2\"}", 16);
    zo_journal_add_look(j, ZO_ENTRY_LOOK, 0, 0.75, 0.5, false);
    zo_journal_add_step(j, 1, 0, 0.125);
    zo_journal_add_losses(j, 1, (double[]){1, -2, 1e-300, NAN, INFINITY}, 5);
    zo_journal_add_step(j, 2, 0.25, 0.375);
    zo_journal_add_text(j, ZO_ENTRY_RESUME, "{\"net\":\"dense2\",\"seed\":\"7\"}", 27);
    zo_journal_add_text(j, ZO_ENTRY_FORCE, "{\"forced\":\"the seed\"}", 21);
    zo_journal_add_losses(j, 2, (double[]){3}, 1);
    zo_journal_add_look(j, ZO_ENTRY_LOOK, 2, NAN, 0.625, true);
    zo_journal_add_gap(j, 5);
    zo_journal_add_step(j, 5, 0.75, 1.5);
    zo_journal_add_look(j, ZO_ENTRY_LAST_LOOK, 5, 0.25, 0.875, true);
    zo_journal_add_end(j, 5, ZO_END_STOPPED);
}

static void the_bytes_are_those_of_the_header(void **state)
{
    static journal_bytes want;
    const char *path = in_folder(folder, "bytes");
    (void)state;
    put_all_types(&want);
    zo_journal j = write_journal(ctx, path, 64);
    assert_int_equal(j.entry.type, 0);
    assert_int_equal(zo_journal_turn(&j), ZO_OK);
    add_all_types(&j);
    size_t size;
    free(get_file(path, &size));
    assert_int_equal(size, 0); /* all of it waits */
    assert_int_equal(zo_journal_sync(&j), ZO_OK);
    assert_is(path, &want);
    zo_journal_close(&j);
    zo_journal_close(&j);
    assert_is(path, &want);
}

static void check_entry(zo_journal *j, zo_entry_type type, int64_t step, double a, double b)
{
    const zo_entry *e = &j->entry;
    assert_int_equal(e->type, type);
    assert_int_equal(e->step, step);
    assert_true(type == ZO_ENTRY_GAP || same_double(e->a, a));
    assert_true(type == ZO_ENTRY_GAP || same_double(e->b, b));
    take(ctx, j);
}

static void check_losses(zo_journal *j, int64_t step, const double *value, size_t n)
{
    assert_int_equal(j->entry.type, ZO_ENTRY_LOSSES);
    assert_int_equal(j->entry.step, step);
    assert_int_equal(j->entry.values, n);
    assert_int_equal((uintptr_t)j->entry.value % sizeof(double), 0);
    assert_memory_equal(j->entry.value, value, n * sizeof *value);
    take(ctx, j);
}

static void check_text(zo_journal *j, zo_entry_type type, const char *text)
{
    assert_int_equal(j->entry.type, type);
    assert_int_equal(j->entry.size, strlen(text));
    assert_string_equal(j->entry.data, text); /* a zero follows */
    take(ctx, j);
}

static void every_type_is_read_back(void **state)
{
    static journal_bytes b;
    const char *path = in_folder(folder, "types");
    (void)state;
    put_all_types(&b);
    save_bytes(&b, path);
    for (int writing = 0; writing < 2; writing++) {
        zo_journal j = writing ? write_journal(ctx, path, 64) : read_journal(ctx, path);
        check_text(&j, ZO_ENTRY_START, "{\"net\":\"dense2\"}");
        assert_false(j.entry.averaged);
        check_entry(&j, ZO_ENTRY_LOOK, 0, 0.75, 0.5);
        check_entry(&j, ZO_ENTRY_STEP, 1, 0, 0.125);
        check_losses(&j, 1, (double[]){1, -2, 1e-300, NAN, INFINITY}, 5);
        check_entry(&j, ZO_ENTRY_STEP, 2, 0.25, 0.375);
        check_text(&j, ZO_ENTRY_RESUME, "{\"net\":\"dense2\",\"seed\":\"7\"}");
        check_text(&j, ZO_ENTRY_FORCE, "{\"forced\":\"the seed\"}");
        check_losses(&j, 2, (double[]){3}, 1);
        assert_true(j.entry.averaged);
        check_entry(&j, ZO_ENTRY_LOOK, 2, NAN, 0.625);
        check_entry(&j, ZO_ENTRY_GAP, 5, 0, 0);
        check_entry(&j, ZO_ENTRY_STEP, 5, 0.75, 1.5);
        assert_true(j.entry.averaged);
        check_entry(&j, ZO_ENTRY_LAST_LOOK, 5, 0.25, 0.875);
        assert_int_equal(j.entry.type, ZO_ENTRY_END);
        assert_int_equal(j.entry.step, 5);
        assert_int_equal(j.entry.end, ZO_END_STOPPED);
        take(ctx, &j);
        assert_int_equal(j.entry.type, 0);
        take(ctx, &j); /* there is no further one, however often one asks */
        assert_int_equal(j.entry.type, 0);
        zo_journal_close(&j);
    }
    assert_is(path, &b);
}

/* ---- what is not believed ---- */

static int whole_entries(const journal_bytes *b, size_t size)
{
    int n = 0;
    while (n < b->entries && b->end[n] <= size) n++;
    return n;
}

/* Cut anywhere: the whole entries before the cut, and writing goes on behind them. */
static void torn_tails_are_dropped(void **state)
{
    static journal_bytes b, want;
    const char *path = in_folder(folder, "torn");
    (void)state;
    put_all_types(&b);
    for (size_t cut = 0; cut <= b.size; cut++) {
        put_file(path, b.at, cut);
        zo_journal j = read_journal(ctx, path);
        int n = whole_entries(&b, cut);
        zo_survey s;
        assert_int_equal(zo_journal_survey(&j, &s), ZO_OK);
        assert_int_equal(s.unsound, cut - (cut < 16 ? 0 : n ? b.end[n - 1] : 16));
        zo_buffer_free(&s.recipe);
        assert_int_equal(take_all(ctx, &j), n);
        zo_journal_close(&j);
        j = write_journal(ctx, path, 64);
        assert_int_equal(take_all(ctx, &j), n);
        assert_int_equal(zo_journal_turn(&j), ZO_OK);
        zo_journal_add_step(&j, 77, 0.5, 2);
        assert_int_equal(zo_journal_push(&j), ZO_OK);
        zo_journal_close(&j);
        want = b;
        want.size = n ? b.end[n - 1] : 16;
        want.sum = 0;
        if (n) memcpy(&want.sum, b.at + (n > 1 ? b.end[n - 2] : 16), 8);
        put_step(&want, 77, 0.5, 2);
        assert_is(path, &want);
    }
}

/* One bit flipped anywhere: that entry and all after it are gone; never is anything read that was not written. */
static void flipped_bits_are_never_believed(void **state)
{
    static journal_bytes b;
    const char *path = in_folder(folder, "flipped");
    zo_journal j;
    (void)state;
    put_all_types(&b);
    for (size_t i = 0; i < b.size; i++) {
        b.at[i] ^= (char)(1 << i % 8);
        save_bytes(&b, path);
        if (i < 16) {
            assert_int_equal(zo_journal_read(&j, ctx, path), ZO_FORMAT);
            error_says(ctx, path, "journal", NULL);
        } else {
            j = read_journal(ctx, path);
            assert_int_equal(take_all(ctx, &j), whole_entries(&b, i));
        }
        zo_journal_close(&j);
        b.at[i] ^= (char)(1 << i % 8);
    }
}

/* Entries of an older, longer journal behind the end: whole, and of the same sizes, but not of this chain. */
static void stale_entries_do_not_pass(void **state)
{
    static journal_bytes old, new;
    const char *path = in_folder(folder, "stale");
    (void)state;
    put_start(&old);
    put_start(&new);
    for (int i = 1; i <= 12; i++) put_step(&old, i, 0.01 * i, i);
    for (int i = 1; i <= 5; i++) put_step(&new, i, 0.02 * i, i);
    memcpy(new.at + new.size, old.at + new.size, old.size - new.size);
    put_file(path, new.at, old.size);
    zo_journal j = read_journal(ctx, path);
    assert_int_equal(take_all(ctx, &j), 5);
    zo_journal_close(&j);
}

static void strange_entries_end_a_journal(void **state)
{
    static journal_bytes b;
    const char *path = in_folder(folder, "strange");
    static const struct {
        uint16_t type, version;
        uint32_t size;
        int64_t step;
        double a, b;
    } strange[] = {
        {0, 1, 24, 1, 0.5, 1},  {10, 1, 24, 1, 0.5, 1},      {65535, 1, 24, 1, 0.5, 1},
        {3, 0, 24, 1, 0.5, 1},  {3, 2, 24, 1, 0.5, 1},       {3, 1, 23, 1, 0.5, 1},
        {3, 1, 25, 1, 0.5, 1},  {3, 1, 0, 1, 0.5, 1},        {3, 1, 24, -1, 0.5, 1},
        {3, 1, 24, 1, 1.01, 1}, {3, 1, 24, 1, -0.01, 1},     {3, 1, 24, 1, NAN, 1},
        {3, 1, 24, 1, 0.5, -1}, {3, 1, 24, 1, 0.5, NAN},     {4, 1, 4, 1, 0, 0},
        {4, 1, 20, 1, 0, 0},    {4, 1, 24, INT64_MIN, 0, 0}, {5, 1, 16, 1, 0, 0},
        {6, 1, 32, 1, 0, 0},    {7, 1, 16, 1, 0, 0},         {7, 1, 8, -5, 0, 0},
        {8, 1, 8, 1, 0, 0},     {8, 1, 16, -1, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        char data[64] = {0};
        memcpy(data, &strange[i].step, 8);
        memcpy(data + 8, &strange[i].a, 8);
        memcpy(data + 16, &strange[i].b, 8);
        put_start(&b);
        put_step(&b, 1, 0, 0);
        put_entry(&b, strange[i].type, strange[i].version, data, strange[i].size);
        put_step(&b, 2, 0.5, 1);
        save_bytes(&b, path);
        zo_journal j = read_journal(ctx, path);
        if (take_all(ctx, &j) != 1) fail_msg("strange entry %zu is believed", i);
        zo_journal_close(&j);
    }
}

/* A size that no file has is not allocated. */
static void impossible_sizes_are_not_believed(void **state)
{
    static journal_bytes b;
    const char *path = in_folder(folder, "huge");
    uint32_t huge = UINT32_MAX;
    memory m = {.left = -1};
    (void)state;
    put_start(&b);
    put_step(&b, 1, 0, 0);
    put_step(&b, 2, 0, 0);
    memcpy(b.at + b.end[0] + 8, &huge, 4);
    save_bytes(&b, path);
    zo_context *where = make_context(1, NULL, &m);
    long long before = m.bytes;
    zo_journal j = read_journal(where, path);
    assert_int_equal(take_all(where, &j), 1);
    assert_true(m.bytes - before < 1000);
    zo_journal_close(&j);
    zo_context_destroy(where);
}

static void other_files_are_refused(void **state)
{
    const char *path = in_folder(folder, "other");
    zo_journal j;
    bool fresh;
    (void)state;
    put_file(path, "{\"schema\": 1}\n", 14);
    assert_int_equal(zo_journal_read(&j, ctx, path), ZO_FORMAT);
    /* who writes may go on without what a power failure left */
    assert_int_equal(zo_journal_open(&j, ctx, path, true, 0, &fresh), ZO_OK);
    assert_false(fresh);
    assert_int_equal(j.entry.type, 0);
    zo_journal_close(&j);
    assert_int_equal(zo_journal_read(&j, ctx, folder), ZO_FORMAT);
    error_says(ctx, folder, NULL);
    assert_int_equal(zo_journal_read(&j, ctx, in_folder(folder, "none")), ZO_NOT_FOUND);
    assert_int_equal(zo_journal_open(&j, ctx, in_folder(folder, "none"), false, 0, &fresh),
                     ZO_NOT_FOUND);
    zo_journal_close(&j);
    zo_journal_close(&(zo_journal){0});
    zo_journal k = write_journal(ctx, in_folder(folder, "held"), 0);
    assert_int_equal(zo_journal_open(&j, ctx, in_folder(folder, "held"), true, 0, &fresh), ZO_BUSY);
    j = read_journal(ctx, in_folder(folder, "held")); /* reading needs no lock */
    zo_journal_close(&j);
    zo_journal_close(&k);
}

/* ---- going on ---- */

/* From every entry on: what was there is dropped, what is added is sound and reads back. */
static void writing_goes_on_from_any_entry(void **state)
{
    static journal_bytes b, want;
    const char *path = in_folder(folder, "turned");
    (void)state;
    put_all_types(&b);
    for (int keep = 0; keep <= b.entries; keep++) {
        save_bytes(&b, path);
        zo_journal j = write_journal(ctx, path, 64);
        for (int i = 0; i < keep; i++) take(ctx, &j);
        assert_int_equal(zo_journal_turn(&j), ZO_OK);
        assert_int_equal(j.entry.type, 0);
        zo_journal_add_text(&j, ZO_ENTRY_RESUME, "again", 5);
        zo_journal_add_losses(&j, 9, (double[]){1, 2, 3}, 3);
        assert_int_equal(zo_journal_push(&j), ZO_OK);
        zo_journal_add_end(&j, 9, ZO_END_DONE);
        assert_int_equal(zo_journal_push(&j), ZO_OK);
        zo_journal_close(&j);
        want = b;
        want.size = keep ? b.end[keep - 1] : 16;
        want.sum = 0;
        if (keep) memcpy(&want.sum, b.at + (keep > 1 ? b.end[keep - 2] : 16), 8);
        want.entries = keep;
        put_text(&want, 2, "again");
        put_numbers(&want, 4, 9, (double[]){1, 2, 3}, 3);
        put_end(&want, 9, 0);
        assert_is(path, &want);
    }
}

/* ---- memory ---- */

static zo_status read_and_write(zo_context *c, void *arg)
{
    zo_journal j = {0};
    zo_survey s = {.recipe.ctx = c};
    bool fresh;
    zo_status status = zo_journal_read(&j, c, arg);
    if (!status) status = zo_journal_survey(&j, &s);
    zo_buffer_free(&s.recipe);
    zo_journal_close(&j);
    if (status) return status;
    status = zo_journal_open(&j, c, arg, true, 64, &fresh);
    while (!status && j.entry.type) status = zo_journal_take(&j);
    if (!status) status = zo_journal_turn(&j);
    if (!status) status = zo_journal_push(&j);
    zo_journal_close(&j);
    return status;
}

static void refused_memory_is_survived(void **state)
{
    static journal_bytes b;
    char path[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/memory", folder);
    put_all_types(&b);
    save_bytes(&b, path);
    assert_true(refuse_each(read_and_write, path) >= 5);
    assert_is(path, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_of_the_header),
        cmocka_unit_test(every_type_is_read_back),
        cmocka_unit_test(torn_tails_are_dropped),
        cmocka_unit_test(flipped_bits_are_never_believed),
        cmocka_unit_test(stale_entries_do_not_pass),
        cmocka_unit_test(strange_entries_end_a_journal),
        cmocka_unit_test(impossible_sizes_are_not_believed),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(writing_goes_on_from_any_entry),
        cmocka_unit_test(refused_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Journals built by hand, from what journal.h says of their bytes and from xxhash itself. */
#ifndef ZO_TESTS_JOURNAL_SUPPORT_H
#define ZO_TESTS_JOURNAL_SUPPORT_H

#include "support.h"

#include <xxhash.h>

#include "run/journal.h"

enum { BYTES_MOST = 1 << 16, ENTRIES_MOST = 64 };

/* A journal's bytes, and where each of its entries ends. */
typedef struct journal_bytes {
    char at[BYTES_MOST];
    size_t size;
    uint64_t sum;
    size_t end[ENTRIES_MOST];
    int entries;
} journal_bytes;

static inline void put_bytes(journal_bytes *b, const void *data, size_t size)
{
    assert_true(b->size + size <= BYTES_MOST);
    if (size) memcpy(b->at + b->size, data, size);
    b->size += size;
}

static inline void put_start(journal_bytes *b)
{
    *b = (journal_bytes){.size = 0};
    put_bytes(b, "zeroth journal 1", 16);
}

static inline void put_entry(journal_bytes *b, uint16_t type, uint16_t version, const void *data,
                             uint32_t size)
{
    size_t from = b->size;
    put_bytes(b, &b->sum, 8); /* its own, below */
    put_bytes(b, &size, 4);
    put_bytes(b, &type, 2);
    put_bytes(b, &version, 2);
    put_bytes(b, data, size);
    b->sum = XXH3_64bits_withSeed(b->at + from + 8, b->size - from - 8, b->sum);
    memcpy(b->at + from, &b->sum, 8);
    assert_true(b->entries < ENTRIES_MOST);
    b->end[b->entries++] = b->size;
}

static inline void put_text(journal_bytes *b, uint16_t type, const char *text)
{
    put_entry(b, type, 1, text, (uint32_t)strlen(text));
}

/* A number and up to two others, as most entries have them. */
static inline void put_numbers(journal_bytes *b, uint16_t type, int64_t step, const double *value,
                               uint32_t n)
{
    char data[8 + 8 * 64];
    memcpy(data, &step, 8);
    if (n) memcpy(data + 8, value, 8 * (size_t)n);
    put_entry(b, type, 1, data, 8 + 8 * n);
}

static inline void put_step(journal_bytes *b, int64_t step, double progress, double seconds)
{
    put_numbers(b, 3, step, (double[]){progress, seconds}, 2);
}

static inline void put_end(journal_bytes *b, int64_t steps, int64_t how)
{
    int64_t both[2] = {steps, how};
    put_entry(b, 8, 1, both, sizeof both);
}

static inline void save_bytes(const journal_bytes *b, const char *path)
{
    put_file(path, b->at, b->size);
}

/* One of every type, as a run that was resumed, lost entries, and ended has them. */
static inline void put_all_types(journal_bytes *b)
{
    put_start(b);
    put_text(b, 1, "{\"net\":\"dense2\"}");
    put_numbers(b, 5, 0, (double[]){0.75, 0.5}, 2);
    put_step(b, 1, 0, 0.125);
    put_numbers(b, 4, 1, (double[]){1, -2, 1e-300, NAN, INFINITY}, 5);
    put_step(b, 2, 0.25, 0.375);
    put_text(b, 2, "{\"net\":\"dense2\",\"seed\":\"7\"}");
    put_text(b, 9, "{\"forced\":\"the seed\"}");
    put_numbers(b, 4, 2, (double[]){3}, 1);
    put_numbers(b, 5, 2, (double[]){NAN, 0.625, 0x1p-1074},
                3); /* the last one's bytes are an integer 1 */
    put_numbers(b, 7, 5, NULL, 0);
    put_step(b, 5, 0.75, 1.5);
    put_numbers(b, 6, 5, (double[]){0.25, 0.875, 0x1p-1074}, 3);
    put_end(b, 5, 1);
}

/* Opens for reading; fails the test if that fails. */
static inline zo_journal read_journal(zo_context *where, const char *path)
{
    zo_journal j;
    if (zo_journal_read(&j, where, path)) fail_msg("%s", zo_last_error(where));
    return j;
}

/* Opens for writing. */
static inline zo_journal write_journal(zo_context *where, const char *path, size_t most)
{
    zo_journal j;
    bool fresh;
    if (zo_journal_open(&j, where, path, true, most, &fresh)) fail_msg("%s", zo_last_error(where));
    return j;
}

static inline void take(zo_context *where, zo_journal *j)
{
    if (zo_journal_take(j)) fail_msg("%s", zo_last_error(where));
}

/* How many sound entries there are from the present one on; the journal is then at its end. */
static inline int take_all(zo_context *where, zo_journal *j)
{
    int n = 0;
    for (; j->entry.type; n++) take(where, j);
    return n;
}
/* Writes a run's journal again: edit() may change an entry, or say false to leave it out. */
static inline void rewrite_journal(zo_context *where, const char *run,
                                   bool (*edit)(zo_entry *e, void *user), void *user)
{
    char path[4096], other[4096 + 8];
    snprintf(path, sizeof path, "%s/journal", run);
    snprintf(other, sizeof other, "%s.edited", path);
    zo_journal from = read_journal(where, path), to = write_journal(where, other, 4096);
    assert_int_equal(zo_journal_turn(&to), ZO_OK);
    for (; from.entry.type; take(where, &from)) {
        zo_entry e = from.entry;
        if (!edit(&e, user)) continue;
        switch (e.type) {
        case ZO_ENTRY_START:
        case ZO_ENTRY_RESUME:
        case ZO_ENTRY_FORCE: zo_journal_add_text(&to, e.type, e.data, e.size); break;
        case ZO_ENTRY_STEP: zo_journal_add_step(&to, e.step, e.a, e.b); break;
        case ZO_ENTRY_LOSSES: zo_journal_add_losses(&to, e.step, e.value, e.values); break;
        case ZO_ENTRY_LOOK:
        case ZO_ENTRY_LAST_LOOK:
            zo_journal_add_look(&to, e.type, e.step, e.a, e.b, e.averaged);
            break;
        case ZO_ENTRY_GAP: zo_journal_add_gap(&to, e.step); break;
        case ZO_ENTRY_END: zo_journal_add_end(&to, e.step, (zo_end)e.end); break;
        case ZO_ENTRY_TYPES: break;
        }
    }
    assert_int_equal(zo_journal_sync(&to), ZO_OK);
    zo_journal_close(&from);
    zo_journal_close(&to);
    assert_int_equal(rename(other, path), 0);
}
#endif

#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 16 /* bytes before those of an entry: checksum, size, type, version */
#define VERSION 1
#define ROOM (1u << 20) /* bytes that may wait while the disk fails, beside the largest entries */

static const char magic[16] = "zeroth journal 1";

/* ---- reading ---- */

static zo_status read_at(zo_journal *j, char *out, size_t size, int64_t at, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(j->fd, out + *got, size - *got, at + (int64_t)*got);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return zo_fail_io(j->ctx, "read it", j->file.path, errno);
        *got += (size_t)n;
    }
    return ZO_OK;
}

static zo_status make_room(zo_journal *j, size_t size)
{
    if (size <= j->room) return ZO_OK;
    zo_free(j->ctx, j->buffer);
    j->room = 0;
    j->buffer = zo_alloc(j->ctx, size);
    if (!j->buffer) return ZO_NO_MEMORY;
    j->room = size;
    return ZO_OK;
}

static bool is_text(zo_entry_type type)
{
    return type == ZO_ENTRY_START || type == ZO_ENTRY_RESUME || type == ZO_ENTRY_FORCE;
}

/* Whether an entry's bytes are what its type says; fills the numbers. */
static bool take_apart(zo_entry *e)
{
    static const struct {
        size_t least, most;
    } sizes[ZO_ENTRY_TYPES] = {
        [ZO_ENTRY_START] = {0, SIZE_MAX}, [ZO_ENTRY_RESUME] = {0, SIZE_MAX},
        [ZO_ENTRY_STEP] = {24, 24},       [ZO_ENTRY_LOSSES] = {8, SIZE_MAX},
        [ZO_ENTRY_LOOK] = {24, 32},       [ZO_ENTRY_LAST_LOOK] = {24, 32},
        [ZO_ENTRY_FORCE] = {0, SIZE_MAX}, [ZO_ENTRY_GAP] = {8, 8},
        [ZO_ENTRY_END] = {16, 16},
    };
    if (e->type < ZO_ENTRY_START || e->type >= ZO_ENTRY_TYPES) return false;
    if (e->size < sizes[e->type].least || e->size > sizes[e->type].most) return false;
    if (is_text(e->type)) return true;
    memcpy(&e->step, e->data, 8);
    if (e->size >= 16) memcpy(&e->a, e->data + 8, 8);
    if (e->size >= 16) memcpy(&e->end, e->data + 8, 8);
    if (e->size >= 24) memcpy(&e->b, e->data + 16, 8);
    if (e->type == ZO_ENTRY_LOSSES) {
        e->value =
            (const double *)(const void *)(e->data +
                                           8); /* the buffer is aligned to 64, and 24 bytes lie before */
        e->values = e->size / 8 - 1;
        return e->size % 8 == 0 && e->step >= 0;
    }
    bool look = e->type == ZO_ENTRY_LOOK || e->type == ZO_ENTRY_LAST_LOOK;
    int64_t averaged = 0;
    if (look && e->size > 24 && e->size < 32) return false;
    if (look && e->size == 32) memcpy(&averaged, e->data + 24, 8);
    e->averaged = averaged == 1;
    if (look && e->size == 32 && !e->averaged) return false;
    if (e->type == ZO_ENTRY_STEP && !(e->a >= 0 && e->a <= 1 && e->b >= 0)) return false;
    return e->step >= 0;
}

/* Reads the entry at j->at into j->entry; type 0 if there is no sound one. */
static zo_status read_entry(zo_journal *j)
{
    char head[HEAD];
    uint64_t sum;
    uint32_t size;
    uint16_t type, version;
    size_t got;
    j->entry = (zo_entry){0};
    zo_status status = read_at(j, head, HEAD, j->at, &got);
    if (status || got < HEAD) return status;
    memcpy(&sum, head, 8);
    memcpy(&size, head + 8, 4);
    memcpy(&type, head + 12, 2);
    memcpy(&version, head + 14, 2);
    if (version != VERSION || size > j->length - j->at - HEAD) return ZO_OK;
    status = make_room(j, HEAD + (size_t)size + 1);
    if (!status) status = read_at(j, j->buffer, HEAD + (size_t)size, j->at, &got);
    if (status || got < HEAD + (size_t)size) return status;
    if (sum != zo_checksum_seeded(j->buffer + 8, HEAD - 8 + (size_t)size, j->sum)) return ZO_OK;
    zo_entry e = {.type = (zo_entry_type)type, .data = j->buffer + HEAD, .size = size};
    j->buffer[HEAD + (size_t)size] = 0;
    if (!take_apart(&e)) return ZO_OK;
    j->entry = e;
    j->sum = sum;
    j->at += HEAD + (int64_t)size;
    return ZO_OK;
}

/* From the first entry on. */
static zo_status begin(zo_journal *j)
{
    struct stat st;
    char start[sizeof magic];
    size_t got;
    if (fstat(j->fd, &st)) return zo_fail_io(j->ctx, "read it", j->file.path, errno);
    if (S_ISDIR(st.st_mode))
        return zo_fail(j->ctx, ZO_FORMAT, "%s: a folder, where a journal is expected", j->file.path);
    j->length = st.st_size;
    zo_status status = read_at(j, start, sizeof start, 0, &got);
    if (status) return status;
    bool begins = !memcmp(start, magic, got), whole = begins && got == sizeof magic;
    /* What was never synced may be anything after a power failure. Who writes goes on without it. */
    if (!begins && j->file.fd < 0)
        return zo_fail(j->ctx, ZO_FORMAT, "%s: not the journal of a run", j->file.path);
    j->at = j->taken = whole ? (int64_t)sizeof magic : 0;
    return whole ? read_entry(j) : ZO_OK;
}

zo_status zo_journal_take(zo_journal *j)
{
    j->taken = j->at;
    j->taken_sum = j->sum;
    if (j->entry.type == ZO_ENTRY_STEP) j->taken_step = j->entry.step;
    return read_entry(j);
}

zo_status zo_journal_read(zo_journal *j, const zo_context *ctx, const char *path)
{
    *j = (zo_journal){.ctx = ctx, .file.fd = -1, .file.ctx = ctx};
    j->file.path = zo_strdup(ctx, path);
    j->fd = open(path, O_RDONLY | O_CLOEXEC);
    zo_status status = j->fd < 0 ? zo_fail_io(ctx, "open it", path, errno) : ZO_OK;
    if (!status) status = j->file.path ? begin(j) : ZO_NO_MEMORY;
    if (status) zo_journal_close(j);
    return status;
}

static void note_done(zo_survey *s, int64_t step)
{
    if (step <= s->done) return;
    s->done = step;
    s->looked = false;
}

static void note_end(zo_survey *s, const zo_entry *e)
{
    note_done(s, e->step);
    s->end = e->end == ZO_END_DONE      ? ZO_END_DONE
             : e->end == ZO_END_STOPPED ? ZO_END_STOPPED
                                        : ZO_END_DIVERGED;
}

static void note(zo_survey *s, const zo_entry *e)
{
    s->ended = e->type == ZO_ENTRY_END;
    switch (e->type) {
    case ZO_ENTRY_FORCE:
        if (s->forced < 0) s->forced = s->done;
        /* fall through */
    case ZO_ENTRY_RESUME:
        s->resumed++;
        /* fall through */
    case ZO_ENTRY_START:
        s->recipe.size = 0;
        zo_buffer_add(&s->recipe, e->data, e->size);
        break;
    case ZO_ENTRY_STEP:
        s->named = e->step;
        s->seconds = e->b;
        note_done(s, e->step - 1);
        break;
    case ZO_ENTRY_LOSSES:
    case ZO_ENTRY_LOOK: note_done(s, e->step); break;
    case ZO_ENTRY_LAST_LOOK:
        note_done(s, e->step);
        s->looked = e->step == s->done;
        s->loss = e->a;
        s->accuracy = e->b;
        s->averaged = e->averaged;
        break;
    case ZO_ENTRY_GAP:
        if (s->gap < 0) s->gap = e->step;
        break;
    case ZO_ENTRY_END: note_end(s, e); break;
    case ZO_ENTRY_TYPES: break;
    }
}

static zo_status again(zo_journal *j)
{
    j->sum = j->taken_sum = 0;
    j->taken_step = 0;
    return begin(j);
}

zo_status zo_journal_survey(zo_journal *j, zo_survey *out)
{
    *out = (zo_survey){.recipe.ctx = j->ctx, .forced = -1, .gap = -1};
    zo_status status = again(j);
    while (!status && j->entry.type) {
        note(out, &j->entry);
        status = out->recipe.status ? out->recipe.status : zo_journal_take(j);
    }
    out->unsound = j->length - j->taken;
    return status ? status : again(j);
}

/* ---- writing ---- */

zo_status zo_journal_open(zo_journal *j, const zo_context *ctx, const char *path, bool make,
                          size_t most, bool *fresh)
{
    *j = (zo_journal){.ctx = ctx, .fd = -1};
    zo_status status = zo_append_open(&j->file, ctx, path, make, ROOM + 4 * (most + HEAD), fresh);
    if (status) return status;
    j->fd = j->file.fd;
    status = begin(j);
    if (status) zo_journal_close(j);
    return status;
}

void zo_journal_close(zo_journal *j)
{
    if (!j->ctx) return;
    if (j->fd >= 0 && j->fd != j->file.fd) close(j->fd);
    zo_append_close(&j->file);
    zo_free(j->ctx, j->buffer);
    *j = (zo_journal){.fd = -1};
}

zo_status zo_journal_turn(zo_journal *j)
{
    zo_status status = ZO_OK;
    j->entry = (zo_entry){0};
    j->sum = j->taken_sum;
    if (j->taken < j->length || !j->taken) status = zo_append_cut(&j->file, j->taken);
    if (!j->taken) zo_append_add(&j->file, magic, sizeof magic);
    return status;
}

/* Adds an entry of two pieces. False: there was no room, and nothing has changed. */
static bool add(zo_journal *j, zo_entry_type type, const void *a, size_t n, const void *b, size_t m)
{
    uint32_t size = (uint32_t)(n + m);
    uint16_t kind = (uint16_t)type, version = VERSION;
    char *to = zo_append_place(&j->file, HEAD + n + m);
    if (!to) return false;
    memcpy(to + 8, &size, 4);
    memcpy(to + 12, &kind, 2);
    memcpy(to + 14, &version, 2);
    memcpy(to + HEAD, a, n);
    if (m) memcpy(to + HEAD + n, b, m);
    j->sum = zo_checksum_seeded(to + 8, HEAD - 8 + n + m, j->sum);
    memcpy(to, &j->sum, 8);
    return zo_append_add(&j->file, NULL, HEAD + n + m);
}

static void add_or_miss(zo_journal *j, zo_entry_type type, const void *a, size_t n, const void *b,
                        size_t m)
{
    if (!j->missing && add(j, type, a, n, b, m)) return;
    j->missing = true;
}

/* What was missed is told before the next step, as soon as there is room. */
static void tell_gap(zo_journal *j, int64_t step)
{
    if (j->missing) j->missing = !add(j, ZO_ENTRY_GAP, &step, 8, NULL, 0);
}

void zo_journal_add_step(zo_journal *j, int64_t step, double progress, double seconds)
{
    const double both[2] = {progress, seconds};
    tell_gap(j, step);
    add_or_miss(j, ZO_ENTRY_STEP, &step, 8, both, sizeof both);
}

void zo_journal_add_losses(zo_journal *j, int64_t step, const double *value, size_t n)
{
    add_or_miss(j, ZO_ENTRY_LOSSES, &step, 8, value, 8 * n);
}

void zo_journal_add_look(zo_journal *j, zo_entry_type type, int64_t step, double loss,
                         double accuracy, bool averaged)
{
    const struct {
        double loss, accuracy;
        int64_t averaged;
    } look = {loss, accuracy, 1};
    add_or_miss(j, type, &step, 8, &look, averaged ? sizeof look : 2 * sizeof(double));
}

void zo_journal_add_text(zo_journal *j, zo_entry_type type, const char *text, size_t size)
{
    add_or_miss(j, type, text, size, NULL, 0);
}

void zo_journal_add_gap(zo_journal *j, int64_t step)
{
    add_or_miss(j, ZO_ENTRY_GAP, &step, 8, NULL, 0);
}

void zo_journal_add_end(zo_journal *j, int64_t steps, zo_end end)
{
    const int64_t how = end;
    tell_gap(j, steps + 1);
    add_or_miss(j, ZO_ENTRY_END, &steps, 8, &how, 8);
}

zo_status zo_journal_push(zo_journal *j) { return zo_append_push(&j->file); }

zo_status zo_journal_sync(zo_journal *j) { return zo_append_sync(&j->file); }

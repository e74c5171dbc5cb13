/* Journals of runs. The first byte says what is done to the rest: 1: the entries' sizes and checksums are made right; 2: the recipe in it
 * too; 4: the method is `weights`, whose losses are in the journal; 8: the rest is metrics.jsonl, beside a journal that is sound.
 *
 * It is read, surveyed, cut at some entry and added to; then a run goes on from it. What that ends with, verifies.
 */
#include "run_house.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MENDED = 1, OWN_RECIPE = 2, WEIGHTS = 4, LINES = 8, HEAD = 16, MOST = 1 << 20 };

static house_facts facts[2];

/* ---- mending ---- */

typedef struct text {
    char at[MOST];
    size_t size;
    uint64_t sum;
} text;

static void add_entry(text *t, const uint8_t *head, const void *data, uint32_t size)
{
    char *to = t->at + t->size;
    if (t->size + HEAD + size > MOST) return;
    memcpy(to + 8, &size, 4);
    memcpy(to + 12, head + 12, 4);
    memcpy(to + HEAD, data, size);
    t->sum = zo_checksum_seeded(to + 8, HEAD - 8 + size, t->sum);
    memcpy(to, &t->sum, 8);
    t->size += HEAD + size;
}

static void mend(text *t, const uint8_t *data, size_t size, uint8_t mode)
{
    const house_facts *f = &facts[!!(mode & WEIGHTS)];
    *t = (text){.size = 16};
    memcpy(t->at, "zeroth journal 1", 16);
    for (size_t at = 16; at + HEAD <= size;) {
        uint32_t n;
        uint16_t type;
        memcpy(&n, data + at + 8, 4);
        memcpy(&type, data + at + 12, 2);
        if (n > size - at - HEAD) n = (uint32_t)(size - at - HEAD);
        bool own = mode & OWN_RECIPE &&
                   (type == ZO_ENTRY_START || type == ZO_ENTRY_RESUME || type == ZO_ENTRY_FORCE);
        if (own)
            add_entry(t, data + at, f->recipe, (uint32_t)f->size);
        else
            add_entry(t, data + at, data + at + HEAD, n);
        at += HEAD + n;
    }
}

/* The journal that the input stands for. */
static void write_journal(const uint8_t *data, size_t size, uint8_t mode)
{
    static text t;
    static const uint8_t start[HEAD] = {[12] = ZO_ENTRY_START, [14] = 1};
    if (mode & LINES) {
        mend(&t, start, 0, mode);
        add_entry(&t, start, facts[!!(mode & WEIGHTS)].recipe,
                  (uint32_t)facts[!!(mode & WEIGHTS)].size);
        house_put(METRICS, data, size);
    } else if (mode & MENDED) {
        mend(&t, data, size, mode);
    }
    if (mode & (LINES | MENDED))
        house_put(JOURNAL, t.at, t.size);
    else
        house_put(JOURNAL, data, size);
}

/* ---- reading ---- */

/* How many entries there are; their bytes lie in the file. */
static int64_t walk(zo_journal *j, size_t size)
{
    int64_t n = 0, before = j->entry.type ? j->at - HEAD - (int64_t)j->entry.size : 0;
    for (; j->entry.type; n++) {
        require(j->entry.type < ZO_ENTRY_TYPES && j->entry.size <= size);
        require(j->at == before + HEAD + (int64_t)j->entry.size && (size_t)j->at <= size);
        require(j->entry.step >= 0 && j->entry.data[j->entry.size] == 0);
        if (j->entry.type == ZO_ENTRY_STEP) require(j->entry.a >= 0 && j->entry.a <= 1);
        before = j->at;
        require(!zo_journal_take(j));
    }
    return n;
}

/* Read only, in at most four times the file. */
static int64_t read_it(size_t size)
{
    zo_journal j;
    zo_survey s;
    zo_context *ctx;
    zo_context_def def = zo_context_default_def();
    def.threads = 1;
    require(!zo_context_create(&def, &ctx));
    zo_status status = zo_journal_read(&j, ctx, house_path[JOURNAL]);
    int64_t n = 0;
    if (!status) {
        require(!zo_journal_survey(&j, &s));
        require(s.done >= 0 && s.named >= 0 && s.recipe.size <= size);
        n = walk(&j, size);
        zo_buffer_free(&s.recipe);
    } else {
        require(status == ZO_FORMAT && *zo_last_error(ctx));
    }
    zo_journal_close(&j);
    require(zo_context_memory(ctx) <= 4 * (int64_t)size + 8192); /* a buffer begins with 4096 bytes */
    zo_context_destroy(ctx);
    return n;
}

/* Goes past `keep` entries, and adds two. */
static void turn_it(int64_t keep, int64_t n)
{
    zo_journal j;
    zo_context *ctx;
    zo_context_def def = zo_context_default_def();
    bool fresh;
    def.threads = 1;
    require(!zo_context_create(&def, &ctx));
    if (!zo_journal_open(&j, ctx, house_path[JOURNAL], true, 64, &fresh)) {
        for (int64_t i = 0; i < keep; i++) require(!zo_journal_take(&j));
        require(!zo_journal_turn(&j));
        zo_journal_add_step(&j, 12345, 0.5, 1);
        zo_journal_add_end(&j, 12345, ZO_END_STOPPED);
        require(!zo_journal_push(&j));
        zo_journal_close(&j);
        require(!zo_journal_read(&j, ctx, house_path[JOURNAL]));
        for (int64_t i = 0; i < keep; i++) require(!zo_journal_take(&j));
        require(j.entry.type == ZO_ENTRY_STEP && j.entry.step == 12345);
        require(walk(&j, SIZE_MAX) == 2 && keep <= n);
    }
    zo_journal_close(&j);
    zo_context_destroy(ctx);
}

/* ---- going on ---- */

static void go_on(uint8_t mode, size_t size)
{
    zo_train_result r;
    zo_verified v;
    house h = house_open(facts[!!(mode & WEIGHTS)].memory + 65536 + 4 * (int64_t)size);
    zo_train_def def = house_def(&h, mode & WEIGHTS);
    def.resume = true;
    zo_status status = zo_train(h.ctx, &def, &r, NULL);
    if (status) {
        require(status == ZO_FORMAT || status == ZO_CHANGED || status == ZO_EXISTS ||
                status == ZO_DIVERGED);
        house_says(&h);
    } else {
        require(r.steps > 0 && r.steps <= 5 + (int64_t)size / 40);
        status = zo_verify(h.ctx, house_folder, &def, &v);
        /* UNSUPPORTED: a gap, or force. FORMAT: a look or an end after more steps than there are. */
        require(status == ZO_OK || status == ZO_UNSUPPORTED || status == ZO_FORMAT);
        require(status || (v.different == 0 && v.model && v.steps == r.steps));
    }
    house_close(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) house_make_folder();
    for (int i = 0; i < 2 && !ready; i++) facts[i] = house_learn(i);
    ready = true;
    if (!size || size > MOST / 2) return 0;
    uint8_t mode = data[0];
    house_clear();
    write_journal(data + 1, size - 1, mode);
    FILE *f = fopen(house_path[JOURNAL], "r");
    require(f && !fseek(f, 0, SEEK_END));
    size_t bytes = (size_t)ftell(f);
    fclose(f);
    int64_t n = read_it(bytes);
    go_on(mode, size + bytes);
    house_clear();
    write_journal(data + 1, size - 1, mode);
    turn_it(n ? mode / 16 % (n + 1) : 0, n);
    return 0;
}

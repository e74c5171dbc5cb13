#include "linear/gram.h"

#include <math.h>
#include <string.h>

#include "kernels/bfloat16.h"

enum {
    TILE = ZO_GRAM_TILE,
    GROUP = 4,    /* tiles packed together: so often is a block of sums used while it is near */
    CHUNK = 256,  /* columns that one item packs */
    STRIP = 64,   /* rows of a product where the diagonal passes */
    CHECKED = 64, /* rows that one item looks through */
};

/* What zo_gram_state() calls counters. */
typedef struct counters {
    int64_t rows, waiting, shifted;
    double weight;
} counters;

struct zo_gram {
    zo_context *ctx;
    size_t p, q, wide, ld, ldq; /* wide: p in whole panels */
    unsigned flags;
    counters n;
    float *g, *c, *shift_h, *shift_y;
    double *sum_h, *sum_y;
    float *rows, *outputs, *weights; /* the tile that waits */
    void *left, *right;       /* [GROUP] packed tiles of x and w x (or x again): floats or pairs */
    float *packed_y, *scaled; /* [GROUP] packed tiles of w t; w t of one tile */
};

/* Rows of a tile, where they lie. */
typedef struct source {
    const float *h, *y, *weight;
    size_t ldh, ldy, rows;
} source;

static size_t tile_floats(const zo_gram *g) { return TILE * g->wide; }
/* Whether tiles are packed as pairs of bfloat16; else rounded or not, as floats. */
static bool in_pairs(const zo_gram *g)
{
    return g->flags & ZO_GRAM_BFLOAT16 && g->ctx->kernels->add_pairs;
}
static size_t outputs_floats(const zo_gram *g) { return TILE * g->ldq; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void set_sizes(zo_gram *g, size_t p, size_t q, unsigned flags)
{
    g->p = p, g->q = q, g->flags = flags;
    g->wide = zo_square_rows(p);
    g->ld = zo_square_ld(p);
    g->ldq = zo_round16(q);
}

void zo_gram_state(zo_gram *g, zo_gram_array array[ZO_GRAM_ARRAYS])
{
    size_t f = sizeof(float), d = sizeof(double);
    zo_gram_array all[ZO_GRAM_ARRAYS] = {
        {&g->n, sizeof g->n},          {g->g, zo_square_floats(g->p) * f},
        {g->c, g->wide * g->ldq * f},  {g->shift_h, g->p * f},
        {g->shift_y, g->q * f},        {g->sum_h, g->p * d},
        {g->sum_y, g->q * d},          {g->rows, TILE * g->p * f},
        {g->outputs, TILE * g->q * f}, {g->weights, TILE * f}};
    memcpy(array, all, sizeof all);
}

double zo_gram_bytes(size_t p, size_t q, unsigned flags)
{
    zo_gram g = {0};
    zo_gram_array array[ZO_GRAM_ARRAYS];
    set_sizes(&g, p, q, flags);
    zo_gram_state(&g, array);
    double sum = sizeof g;
    for (int i = 1; i < ZO_GRAM_ARRAYS; i++) sum += (double)array[i].bytes;
    double tiles = GROUP * (flags & ZO_GRAM_WEIGHTED ? 2.0 : 1.0) * (double)tile_floats(&g);
    return sum + 4 * (tiles + (GROUP + 1) * (double)outputs_floats(&g));
}

static zo_status allocate(zo_gram *g)
{
    const zo_context *ctx = g->ctx;
    float **floats[] = {&g->g, &g->c, &g->shift_h, &g->shift_y, &g->rows, &g->outputs, &g->weights};
    static const int array[] = {1, 2, 3, 4, 7, 8, 9};
    zo_gram_array all[ZO_GRAM_ARRAYS];
    zo_gram_state(g, all);
    for (size_t i = 0; i < sizeof array / sizeof *array; i++) {
        *floats[i] = zo_alloc_zero(ctx, all[array[i]].bytes, 1);
        if (!*floats[i]) return ZO_NO_MEMORY;
    }
    g->sum_h = zo_alloc_zero(ctx, g->p, sizeof *g->sum_h);
    g->sum_y = zo_alloc_zero(ctx, g->q, sizeof *g->sum_y);
    size_t tiles = GROUP * tile_floats(g);
    g->left = zo_alloc_zero(ctx, tiles, sizeof(float));
    g->right = g->flags & ZO_GRAM_WEIGHTED ? zo_alloc_zero(ctx, tiles, sizeof(float)) : g->left;
    g->packed_y = zo_alloc_zero(ctx, GROUP * outputs_floats(g), sizeof *g->packed_y);
    g->scaled = zo_alloc_zero(ctx, outputs_floats(g), sizeof *g->scaled);
    bool all_there = g->sum_h && g->sum_y && g->left && g->right && g->packed_y && g->scaled;
    return all_there ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_gram_create(zo_context *ctx, size_t p, size_t q, unsigned flags, zo_gram **out)
{
    *out = NULL;
    if (p == 0 || p > UINT32_MAX / 2 || q > UINT32_MAX / 2)
        return zo_fail(ctx, ZO_USAGE, "sums of products of %zu features and %zu outputs", p, q);
    zo_gram *g = zo_alloc_zero(ctx, 1, sizeof *g);
    if (!g) return ZO_NO_MEMORY;
    g->ctx = ctx;
    set_sizes(g, p, q, flags);
    zo_status status = allocate(g);
    if (status)
        zo_gram_destroy(g);
    else
        *out = g;
    return status;
}

void zo_gram_destroy(zo_gram *g)
{
    if (!g) return;
    if (g->right != g->left) zo_free(g->ctx, g->right);
    void *all[] = {g->g,    g->c,       g->shift_h, g->shift_y, g->sum_h,    g->sum_y,
                   g->rows, g->outputs, g->weights, g->left,    g->packed_y, g->scaled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(g->ctx, all[i]);
    zo_free(g->ctx, g);
}

int64_t zo_gram_count(const zo_gram *g) { return g->n.rows; }

zo_status zo_gram_loaded(zo_gram *g)
{
    const counters *n = &g->n;
    bool fine = n->rows >= n->waiting && n->waiting >= 0 && n->waiting < TILE &&
                n->shifted == (n->rows > n->waiting) && isfinite(n->weight) &&
                zo_all_finite(g->shift_h, g->p) && zo_all_finite(g->shift_y, g->q);
    if (fine) return ZO_OK;
    g->n = (counters){0};
    return zo_fail(g->ctx, ZO_FORMAT, "saved sums of products: impossible counters or shifts");
}

/* ---- packing ---- */

/* Tiles that are packed and multiplied together. */
typedef struct group {
    zo_gram *g;
    const source *tile;
    size_t tiles;
} group;

/* What the weight w of a row does: g gets (left x) (right left x)^T, c and the sums of x the `one` of it, and the row counts `both`. */
typedef struct share {
    float left, right, one;
    double both;
} share;

static share share_of(const zo_gram *g, const source *s, size_t i)
{
    float w = s->weight ? s->weight[i] : 1;
    if (!(g->flags & ZO_GRAM_BFLOAT16)) return (share){1, w, w, (double)w};
    float root = sqrtf(fabsf(w)), sign = w < 0 ? -1 : 1;
    return (share){root, sign, sign * root, (double)sign * (double)root * (double)root};
}

/* Means of the first tile: any fixed numbers near the data would do, so weights do not count. */
static void set_shift(float *shift, size_t n, const float *x, size_t ld, size_t rows)
{
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++) sum += (double)x[i * ld + j];
        shift[j] = (float)(sum / (double)rows);
    }
}

static void pack_outputs(zo_gram *g, const source *s, size_t t)
{
    memset(g->scaled, 0, outputs_floats(g) * sizeof *g->scaled);
    for (size_t i = 0; i < s->rows; i++) {
        share w = share_of(g, s, i);
        g->n.weight += w.both;
        for (size_t j = 0; j < g->q; j++) {
            float from = s->y[i * s->ldy + j] - g->shift_y[j];
            g->scaled[i * g->ldq + j] = w.one * from;
            g->sum_y[j] += w.both * (double)from;
        }
    }
    g->ctx->kernels->pack(g->packed_y + t * outputs_floats(g), g->scaled, g->ldq, TILE, g->q);
}

/* n <= ZO_PANEL columns of a row about the shift, and their sums. */
static void fill_row(float *restrict x, double *restrict sum, const float *restrict h,
                     const float *restrict shift, size_t n, const share *w, bool rounded)
{
    if (rounded) {
        for (size_t k = 0; k < n; k++) x[k] = zo_bfloat16(w->left * (h[k] - shift[k]));
    } else {
        for (size_t k = 0; k < n; k++) x[k] = w->left * (h[k] - shift[k]);
    }
    for (size_t k = 0; k < n; k++) sum[k] += (double)w->one * (double)x[k];
}

/* Rows of a panel that begins at column j, row after row. */
static void fill_panel(zo_gram *g, float *x, float *wx, const source *s, size_t j)
{
    size_t n = least(ZO_PANEL, g->p - j);
    for (size_t i = 0; i < s->rows; i++, x += ZO_PANEL, wx += ZO_PANEL) {
        share w = share_of(g, s, i);
        fill_row(x, g->sum_h + j, s->h + i * s->ldh + j, g->shift_h + j, n, &w,
                 g->flags & ZO_GRAM_BFLOAT16);
        for (size_t k = 0; k < n && x != wx; k++) wx[k] = w.right * x[k];
    }
}

static void pair_up(uint32_t *to, const float *x)
{
    for (size_t l = 0; l < TILE; l += 2, x += 2 * ZO_PANEL, to += ZO_PANEL) {
        for (size_t k = 0; k < ZO_PANEL; k++) to[k] = zo_bfloat16_pair(x[k], x[ZO_PANEL + k]);
    }
}

/* c += x^T w t of one panel, whose rows are the transposed operand as they lie. */
static void add_outputs(zo_gram *g, const float *x, size_t t, size_t j)
{
    zo_operand a = zo_transposed(x, ZO_PANEL, ZO_PANEL, TILE);
    g->ctx->kernels->product(g->c + j * g->ldq, g->ldq, 0, &a, g->packed_y + t * outputs_floats(g),
                             g->q, &(zo_epilogue){.accumulate = true});
}

/* Rows that are missing are zeros: they change no chain. So are columns, which floats keep from the start. */
static void pack_panel(zo_gram *g, const source *s, size_t t, size_t j)
{
    enum { FLOATS = TILE * ZO_PANEL };
    _Alignas(64) float room[2][FLOATS];
    size_t at = t * tile_floats(g) + j * TILE;
    bool pairs = in_pairs(g), twice = g->right != g->left,
         gaps = s->rows < TILE || (pairs && g->p - j < ZO_PANEL);
    float *x = pairs ? room[0] : (float *)g->left + at,
          *wx = pairs ? room[twice] : (float *)g->right + at;
    if (gaps) memset(x, 0, FLOATS * sizeof *x);
    if (gaps && twice) memset(wx, 0, FLOATS * sizeof *wx);
    fill_panel(g, x, wx, s, j);
    if (g->q) add_outputs(g, x, t, j);
    if (pairs) pair_up((uint32_t *)g->left + at / 2, x);
    if (pairs && twice) pair_up((uint32_t *)g->right + at / 2, wx);
}

static void pack_chunk(void *arg, int64_t item, int worker)
{
    (void)worker;
    const group *f = arg;
    size_t first = (size_t)item * CHUNK, end = least(first + CHUNK, f->g->p);
    for (size_t t = 0; t < f->tiles; t++) {
        for (size_t j = first; j < end; j += ZO_PANEL) pack_panel(f->g, f->tile + t, t, j);
    }
}

/* ---- products ---- */

/* Blocks of sums: most of a second cache for large matrices, enough blocks for all threads for small ones. No chain depends on it. */
static size_t block_rows(const zo_gram *g) { return g->wide >= 2048 ? 256 : 128; }
static size_t block_columns(const zo_gram *g) { return 2 * block_rows(g); }
static size_t row_blocks(const zo_gram *g) { return (g->wide + block_rows(g) - 1) / block_rows(g); }

static size_t columns_of(const zo_gram *g, size_t block)
{
    size_t end = least((block + 1) * block_rows(g), g->wide);
    return (end + block_columns(g) - 1) / block_columns(g);
}

/* Rows i .. end - 1 of g += x^T w x of tile t, columns j .. to - 1; all are whole panels. */
static void add_block(zo_gram *g, size_t t, size_t i, size_t end, size_t j, size_t to)
{
    const zo_kernels *kernels = g->ctx->kernels;
    float *sums = g->g + i * g->ld + j;
    size_t a = t * tile_floats(g) + i * TILE, b = t * tile_floats(g) + j * TILE;
    if (in_pairs(g)) {
        kernels->add_pairs(sums, g->ld, (const uint32_t *)g->left + a / 2, end - i,
                           (const uint32_t *)g->right + b / 2, to - j, TILE / 2);
        return;
    }
    zo_operand left = {.a = (const float *)g->left + a,
                       .rows = ZO_PANEL,
                       .lines = 1,
                       .images = (end - i) / ZO_PANEL,
                       .row = 1,
                       .image = TILE * ZO_PANEL,
                       .runs = 1,
                       .run = TILE,
                       .step = ZO_PANEL};
    kernels->product(sums, g->ld, ZO_PANEL * g->ld, &left, (const float *)g->right + b, to - j,
                     &(zo_epilogue){.accumulate = true});
}

static void add_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const group *f = arg;
    zo_gram *g = f->g;
    size_t left = (size_t)item, block = row_blocks(g) - 1; /* long rows first */
    for (; left >= columns_of(g, block); block--) left -= columns_of(g, block);
    size_t i = block * block_rows(g), end = least(i + block_rows(g), g->wide),
           j = left * block_columns(g), to = j + block_columns(g);
    for (size_t t = 0; t < f->tiles; t++) {
        if (to <= i) {
            add_block(g, t, i, end, j, to);
            continue;
        }
        for (size_t s = i; s < end; s += STRIP) {
            size_t last = least(s + STRIP, end);
            if (last > j) add_block(g, t, s, last, j, least(to, last));
        }
    }
}

static void absorb(zo_gram *g, const source *tile, size_t tiles)
{
    group f = {g, tile, tiles};
    if (!g->n.shifted) {
        set_shift(g->shift_h, g->p, tile->h, tile->ldh, tile->rows);
        set_shift(g->shift_y, g->q, tile->y, tile->ldy, tile->rows);
        g->n.shifted = 1;
    }
    for (size_t t = 0; t < tiles; t++) pack_outputs(g, tile + t, t);
    zo_parallel(g->ctx, (int64_t)((g->p + CHUNK - 1) / CHUNK), pack_chunk, &f);
    size_t items = 0;
    for (size_t b = 0; b < row_blocks(g); b++) items += columns_of(g, b);
    zo_parallel(g->ctx, (int64_t)items, add_item, &f);
}

/* ---- rows that come ---- */

typedef struct look {
    const float *x;
    size_t m, n, ld;
    unsigned char *bad; /* of each item */
} look;

static void look_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const look *l = arg;
    size_t first = (size_t)item * CHECKED, end = least(first + CHECKED, l->m);
    for (size_t i = first; i < end; i++) {
        if (!zo_all_finite(l->x + i * l->ld, l->n)) l->bad[item] = 1;
    }
}

static zo_status check(const zo_gram *g, const char *what, const float *x, size_t m, size_t n,
                       size_t ld)
{
    size_t items = (m + CHECKED - 1) / CHECKED;
    unsigned char *bad = zo_alloc_zero(g->ctx, items, 1);
    if (!bad) return ZO_NO_MEMORY;
    look l = {x, m, n, ld, bad};
    zo_parallel(g->ctx, (int64_t)items, look_item, &l);
    unsigned char *first = memchr(bad, 1, items);
    size_t at = first ? (size_t)(first - bad) * CHECKED * n : m * n;
    zo_free(g->ctx, bad);
    while (at < m * n && isfinite(x[at / n * ld + at % n])) at++;
    if (at == m * n) return ZO_OK;
    return zo_fail(g->ctx, ZO_FORMAT, "%s %zu of row %lld is not finite", what, at % n,
                   (long long)g->n.rows + (long long)(at / n));
}

static void wait_with(zo_gram *g, size_t n, const source *s, bool weighted)
{
    size_t at = (size_t)g->n.waiting;
    for (size_t i = 0; i < n; i++, at++) {
        memcpy(g->rows + at * g->p, s->h + i * s->ldh, g->p * sizeof *g->rows);
        if (g->q) memcpy(g->outputs + at * g->q, s->y + i * s->ldy, g->q * sizeof *g->outputs);
        g->weights[at] = weighted ? s->weight[i] : 1;
    }
    g->n.waiting += (int64_t)n;
}

static source waiting(const zo_gram *g)
{
    return (source){.h = g->rows,
                    .y = g->outputs,
                    .weight = g->weights,
                    .ldh = g->p,
                    .ldy = g->q,
                    .rows = (size_t)g->n.waiting};
}

static void move_on(source *s, size_t n)
{
    s->h += n * s->ldh;
    if (s->y) s->y += n * s->ldy;
    if (s->weight) s->weight += n;
    s->rows -= n;
}

static void add_rows(zo_gram *g, source s)
{
    source tile[GROUP];
    bool weighted = s.weight != NULL;
    while (s.rows > 0) {
        size_t tiles = 0;
        if (g->n.waiting > 0 || s.rows < TILE) {
            size_t n = least(s.rows, TILE - (size_t)g->n.waiting);
            wait_with(g, n, &s, weighted);
            move_on(&s, n);
            if (g->n.waiting < TILE) return;
            tile[tiles++] = waiting(g);
            g->n.waiting = 0;
        }
        for (; tiles < GROUP && s.rows >= TILE; move_on(&s, TILE)) {
            tile[tiles] = s;
            tile[tiles++].rows = TILE;
        }
        absorb(g, tile, tiles);
    }
}

zo_status zo_gram_add(zo_gram *g, size_t m, const float *h, size_t ldh, const float *y, size_t ldy,
                      const float *weight)
{
    if (weight && !(g->flags & ZO_GRAM_WEIGHTED))
        return zo_fail(g->ctx, ZO_USAGE, "weights of rows, where sums were made without weights");
    zo_status status = check(g, "feature", h, m, g->p, ldh);
    if (!status && g->q) status = check(g, "output", y, m, g->q, ldy);
    if (!status && weight) status = check(g, "weight", weight, m, 1, 1);
    if (status) return status;
    add_rows(g, (source){h, y, weight, ldh, ldy, m});
    g->n.rows += (int64_t)m;
    return ZO_OK;
}

zo_moments zo_gram_close(zo_gram *g)
{
    if (g->n.waiting > 0) {
        source s = waiting(g);
        absorb(g, &s, 1);
        g->n.waiting = 0;
    }
    return (zo_moments){.p = g->p,
                        .q = g->q,
                        .ld = g->ld,
                        .ldc = g->ldq,
                        .weight = g->n.weight,
                        .g = g->g,
                        .c = g->c,
                        .sum_h = g->sum_h,
                        .sum_y = g->sum_y,
                        .shift_h = g->shift_h,
                        .shift_y = g->shift_y};
}

/* Packing and column updates, the same for every set; and the blocked product of the sets that have vectors. */
#ifndef ZO_KERNELS_PANELS_H
#define ZO_KERNELS_PANELS_H

#include <string.h>

LANES size_t panel_width(size_t column, size_t n) { return n - column > 16 ? ZO_PANEL : 16; }

/* Rows of b go by in small groups, so that b is read along its rows and every panel is written in runs. */
static void pack(float *packed, const float *b, size_t ldb, size_t k, size_t n, float sigma,
                 const uint16_t *signs, size_t ld_signs, const float *noise, size_t ld_noise)
{
    enum { ROWS = 8 };
    for (size_t first = 0; first < k; first += ROWS) {
        size_t last = first + ROWS < k ? first + ROWS : k;
        for (size_t c = 0; c < n; c += ZO_PANEL) {
            size_t width = panel_width(c, n);
            float *to = packed + c * k + first * width;
            for (size_t l = first; l < last; l++) {
                for (size_t j = c; j < c + width; j += 16) {
                    size_t left = lanes_at(j, n);
                    v16 x = take(b + l * ldb + j, left);
                    if (signs) x = v_add(x, v_signed(sigma, signs[l * ld_signs + j / 16]));
                    if (noise) x = v_fma(v_set(sigma), take(noise + l * ld_noise + j, left), x);
                    v_store(to, x);
                    to += 16;
                }
            }
        }
    }
}

static void pack_transposed(float *packed, const float *b, size_t ldb, size_t k, size_t n)
{
    for (size_t c = 0; c < n; c += ZO_PANEL) {
        size_t width = panel_width(c, n);
        for (size_t l = 0; l < k; l++) {
            for (size_t j = 0; j < width; j++)
                packed[l * width + j] = c + j < n ? b[(c + j) * ldb + l] : 0;
        }
        packed += k * width;
    }
}

static void column_update(float *h, size_t ldh, const zo_move *moves, size_t m, const float *z,
                          size_t ldz, const float *packed, size_t k, size_t n,
                          zo_activate_fn activate)
{
    for (size_t r = 0; r < m; r++) {
        v16 change = v_set(moves[r].change);
        const float *from = z + (size_t)moves[r].example * ldz, *panel = packed;
        for (size_t c = 0; c < n; c += ZO_PANEL) {
            size_t width = panel_width(c, n);
            const float *row = panel + (size_t)moves[r].unit * width;
            for (size_t j = 0; j < width; j += 16)
                v_store(h + r * ldh + c + j, v_fma(change, v_load(row + j), v_load(from + c + j)));
            panel += k * width;
        }
    }
    if (activate) activate(h, ldh, h, ldh, m, n);
}

/* What is done to sixteen elements of row i from column j on, before they are stored. */
LANES v16 finish(v16 x, const zo_epilogue *e, const float *c, size_t i, size_t j)
{
    if (e->bias) x = v_add(x, v_load(e->bias + j));
    if (e->signs) x = v_add(x, v_signed(e->sigma, e->signs[i * e->ld_signs + j / 16]));
    if (e->noise) x = v_fma(v_set(e->sigma), v_load(e->noise + i * e->ld_noise + j), x);
    if (e->accumulate) x = v_add(v_load(c), x);
    return x;
}

#ifdef ZO_TILE_ROWS
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* A tile of the product: rows i.. and columns j.. of c, summed over k terms. `go_on` starts from the sums that an earlier part of the
 * same chain left in the output, `last` finishes them. */
typedef struct part {
    float *out; /* e->pre or c */
    size_t ld;
    const float *a;
    size_t a_row, a_k;
    const float *panel;
    size_t width, k, i, j;
    bool go_on, last;
} part;

/* ZO_TILE_ROWS x ZO_TILE_LANES vectors of sums stay in registers. `rows` and `wide` are constants in every call, so the loops
 * unroll. */
LANES void tile(const part *t, const zo_epilogue *e, const int rows, const int wide)
{
    v16 sum[ZO_TILE_ROWS][ZO_TILE_LANES];
    float *out = t->out + t->i * t->ld + t->j;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int w = 0; w < wide; w++)
            sum[r][w] = t->go_on ? v_load(out + (size_t)r * t->ld + 16 * (size_t)w) : v_set(0);
    }
    const float *row = t->a, *panel = t->panel;
    const size_t a_row = t->a_row, a_k = t->a_k, width = t->width;
    for (size_t l = t->k; l > 0; l--) {
        v16 b[ZO_TILE_LANES];
        UNROLL
        for (int w = 0; w < wide; w++) b[w] = v_load(panel + 16 * w);
        UNROLL
        for (int r = 0; r < rows; r++) {
            v16 x = v_set(row[(size_t)r * a_row]);
            UNROLL
            for (int w = 0; w < wide; w++) sum[r][w] = v_fma(x, b[w], sum[r][w]);
        }
        panel += width;
        row += a_k;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int w = 0; w < wide; w++) {
            float *at = out + (size_t)r * t->ld + 16 * (size_t)w;
            v_store(at, t->last ? finish(sum[r][w], e, at, t->i + (size_t)r, t->j + 16 * (size_t)w)
                                : sum[r][w]);
        }
    }
}

static void tile_rows(const part *t, const zo_epilogue *e, size_t rows, size_t wide)
{
#define CASE(r)                                                                                    \
    case r:                                                                                        \
        if (wide == ZO_TILE_LANES)                                                                 \
            tile(t, e, r, ZO_TILE_LANES);                                                          \
        else                                                                                       \
            tile(t, e, r, 1);                                                                      \
        break;
    switch (rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#if ZO_TILE_ROWS > 6
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
    }
#undef CASE
}

/* One block of rows against one panel, and what follows when its sums are complete. */
static void block_panel(part *t, const zo_epilogue *e, float *c, size_t ldc, size_t rows)
{
    size_t wide = t->width / 16 < ZO_TILE_LANES ? t->width / 16 : ZO_TILE_LANES, column = t->j;
    const float *panel = t->panel;
    for (size_t j = 0; j < t->width; j += 16 * wide) {
        t->panel = panel + j;
        t->j = column + j;
        tile_rows(t, e, rows, wide);
    }
    t->panel = panel;
    t->j = column;
    if (!t->last) return;
    float *h = c + t->i * ldc + column, *z = t->out + t->i * t->ld + column;
    if (e->activate)
        e->activate(h, ldc, z, t->ld, rows, t->width);
    else if (h != z) {
        for (size_t r = 0; r < rows; r++) memcpy(h + r * ldc, z + r * t->ld, t->width * sizeof *h);
    }
}

/* Panel by panel, so that a panel of b stays in the nearer cache while the rows go by; rows in blocks of nearly equal height. */
static void product_direct(float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                           const float *packed, size_t m, size_t n, size_t k, const zo_epilogue *e)
{
    size_t blocks = (m + ZO_TILE_ROWS - 1) / ZO_TILE_ROWS;
    part t = {.out = e->pre ? e->pre : c,
              .ld = e->pre ? e->ld_pre : ldc,
              .a_row = a_row,
              .a_k = a_k,
              .k = k,
              .last = true};
    for (size_t column = 0; column < n; column += ZO_PANEL) {
        t.width = panel_width(column, n);
        t.panel = packed + column * k;
        t.j = column;
        for (size_t b = 0; b < blocks; b++) {
            t.i = b * m / blocks;
            t.a = a + t.i * a_row;
            block_panel(&t, e, c, ldc, (b + 1) * m / blocks - t.i);
        }
    }
}

/* For long sums: k in parts of DEPTH, rows in groups whose part of a is copied so that a block's rows lie side by side. Chains go on
 * from part to part through the output, so the bits are those of product_direct(). */
static void product_deep(float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                         const float *packed, size_t m, size_t n, size_t k, const zo_epilogue *e)
{
    enum { DEPTH = 384, GROUP = 16 * ZO_TILE_ROWS };
    float copy[GROUP * DEPTH];
    part t = {.out = e->pre ? e->pre : c, .ld = e->pre ? e->ld_pre : ldc};
    size_t groups = (m + GROUP - 1) / GROUP;
    for (size_t g = 0; g < groups; g++) {
        size_t top = g * m / groups, height = (g + 1) * m / groups - top,
               blocks = (height + ZO_TILE_ROWS - 1) / ZO_TILE_ROWS;
        for (size_t l = 0; l < k; l += DEPTH) {
            t.k = k - l < DEPTH ? k - l : DEPTH;
            t.go_on = l > 0;
            t.last = l + t.k == k;
            for (size_t b = 0; b < blocks; b++) {
                size_t i = b * height / blocks, rows = (b + 1) * height / blocks - i;
                for (size_t r = 0; r < rows; r++) {
                    const float *from = a + (top + i + r) * a_row + l * a_k;
                    for (size_t x = 0; x < t.k; x++) copy[i * DEPTH + x * rows + r] = from[x * a_k];
                }
            }
            for (size_t column = 0; column < n; column += ZO_PANEL) {
                t.width = panel_width(column, n);
                t.panel = packed + column * k + l * t.width;
                t.j = column;
                for (size_t b = 0; b < blocks; b++) {
                    size_t i = b * height / blocks, rows = (b + 1) * height / blocks - i;
                    t.i = top + i;
                    t.a = copy + i * DEPTH;
                    t.a_row = 1;
                    t.a_k = rows;
                    block_panel(&t, e, c, ldc, rows);
                }
            }
        }
    }
}

static void product(float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                    const float *packed, size_t m, size_t n, size_t k, const zo_epilogue *e)
{
    /* Rows a power of two apart fall into few sets of the nearest cache. A sum that is added to c cannot use c for its parts. */
    bool crowded = a_k == 1 && a_row % 256 == 0 && k >= 256;
    if ((k > 1024 || crowded) && n > ZO_PANEL && !e->accumulate)
        product_deep(c, ldc, a, a_row, a_k, packed, m, n, k, e);
    else
        product_direct(c, ldc, a, a_row, a_k, packed, m, n, k, e);
}
#endif
#endif

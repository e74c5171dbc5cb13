#include "linear/cholesky.h"

#include <math.h>

#include "linear/triangle.h"

enum {
    BLOCK = 256, /* columns between two updates of the rest, which is read and written for each */
    INNER = 32,  /* the same inside the diagonal block, and where plain loops begin */
    STRIP = 64,  /* rows of a product where the diagonal passes */
};

/* Columns `first` to `first + width` of the matrix, being factored. */
typedef struct block {
    const zo_kernels *k;
    float *a;
    size_t ld, n, first, width;
    float *minus;         /* [panels of rows below][width][ZO_PANEL]: minus L^T there, packed */
    size_t rows, columns; /* of a tile of the update */
} block;

size_t zo_cholesky_room(size_t n) { return BLOCK * zo_square_rows(n) + n; }

static size_t below(const block *b) { return b->first + b->width; }

static float *at(const block *b, size_t i, size_t j) { return b->a + i * b->ld + j; }

/* ZO_PANEL rows below the block: their part of L is solved for as columns. */
static void solve_panel(void *arg, int64_t item, int worker)
{
    (void)worker;
    const block *b = arg;
    _Alignas(64) float x[BLOCK * ZO_PANEL];
    size_t i = below(b) + (size_t)item * ZO_PANEL, rows = zo_least(ZO_PANEL, b->n - i);
    for (size_t r = 0; r < ZO_PANEL; r++) {
        for (size_t c = 0; c < b->width; c++)
            x[c * ZO_PANEL + r] = r < rows ? *at(b, i + r, b->first + c) : 0;
    }
    zo_panel_lower(b->k, at(b, b->first, b->first), b->ld, b->width, x, ZO_PANEL, ZO_PANEL,
                   b->minus + (size_t)item * ZO_PANEL * b->width);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < b->width; c++) *at(b, i + r, b->first + c) = x[c * ZO_PANEL + r];
    }
}

/* Rows i.. and columns j.. of the rest, counted from below(b); in whole panels, as `minus` is. What is too much lies above the diagonal. */
static void update(const block *b, size_t i, size_t rows, size_t j, size_t columns)
{
    size_t from = below(b);
    columns = zo_square_rows(columns);
    zo_operand l = zo_matrix(at(b, from + i, b->first), b->ld, rows, b->width);
    b->k->product(at(b, from + i, from + j), b->ld, 0, &l, b->minus + j * b->width, columns,
                  &(zo_epilogue){.accumulate = true});
}

static size_t tiles_of(const block *b, size_t row)
{
    size_t end = zo_least((row + 1) * b->rows, b->n - below(b));
    return (end + b->columns - 1) / b->columns;
}

static size_t tile_rows(const block *b) { return (b->n - below(b) + b->rows - 1) / b->rows; }

static void update_tile(void *arg, int64_t item, int worker)
{
    (void)worker;
    const block *b = arg;
    size_t left = (size_t)item, row = tile_rows(b) - 1, rest = b->n - below(b);
    for (; left >= tiles_of(b, row); row--) left -= tiles_of(b, row);
    size_t i = row * b->rows, end = zo_least(i + b->rows, rest), j = left * b->columns,
           to = j + b->columns;
    if (to <= i) {
        update(b, i, end - i, j, b->columns);
        return;
    }
    for (size_t s = i; s < end; s += STRIP) {
        size_t last = zo_least(s + STRIP, end);
        if (last > j) update(b, s, last - s, j, zo_least(to, last) - j);
    }
}

/* On all threads, or, without a context, here. */
static void each(const zo_context *ctx, size_t n, zo_work_fn fn, void *arg)
{
    if (ctx) zo_parallel(ctx, (int64_t)n, fn, arg);
    for (size_t i = 0; !ctx && i < n; i++) fn(arg, (int64_t)i, 0);
}

static size_t factor_small(float *a, size_t ld, size_t n, const float *limit)
{
    for (size_t j = 0; j < n; j++) {
        float *row = a + j * ld, pivot = row[j];
        for (size_t c = 0; c < j; c++) pivot -= row[c] * row[c];
        if (!(pivot > limit[j]) || !isfinite(pivot)) return j;
        row[j] = sqrtf(pivot);
        for (size_t i = j + 1; i < n; i++) {
            float *other = a + i * ld, sum = other[j];
            for (size_t c = 0; c < j; c++) sum -= other[c] * row[c];
            other[j] = sum / row[j];
        }
    }
    return n;
}

/* Blocks of `width` columns: factor the diagonal block, solve for what is below it, update the rest. */
static size_t factor(const zo_context *ctx, const zo_kernels *k, float *a, size_t ld, size_t n,
                     size_t width, const float *limit, float *minus)
{
    _Alignas(64) float inner[INNER * BLOCK];
    size_t edge = n >= 3072 ? 256 : 128; /* of a tile; no chain depends on it */
    for (size_t j = 0; j < n; j += width) {
        if (ctx && zo_cancelled(ctx)) return j;
        block b = {k, a, ld, n, j, zo_least(width, n - j), minus, edge, 2 * edge};
        size_t done = width == INNER
                          ? factor_small(at(&b, j, j), ld, b.width, limit + j)
                          : factor(NULL, k, at(&b, j, j), ld, b.width, INNER, limit + j, inner);
        if (done < b.width) return j + done;
        size_t rest = n - below(&b), tiles = 0;
        if (rest == 0) break;
        each(ctx, (rest + ZO_PANEL - 1) / ZO_PANEL, solve_panel, &b);
        for (size_t row = 0; row < tile_rows(&b); row++) tiles += tiles_of(&b, row);
        each(ctx, tiles, update_tile, &b);
    }
    return n;
}

size_t zo_cholesky(const zo_context *ctx, float *a, size_t ld, size_t n, double ridge, float least,
                   float *room)
{
    float *limit = room + BLOCK * zo_square_rows(n);
    for (size_t i = 0; i < n; i++) {
        float *d = a + i * ld + i;
        *d = (float)((double)*d + ridge);
        limit[i] = least * *d;
    }
    return factor(ctx, ctx->kernels, a, ld, n, BLOCK, limit, room);
}

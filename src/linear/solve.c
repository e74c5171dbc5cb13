/* Triangular solves for many right sides, block by block: a block's rows are solved, then all other rows are updated with it. */
#include "linear/cholesky.h"
#include "linear/triangle.h"

enum {
    BLOCK = 128, /* rows solved at a time */
    ROWS = 256,  /* rows of an update */
};

typedef struct job {
    const zo_kernels *k;
    const float *l;
    size_t ld, n, first, m; /* the block's rows */
    float *b;
    size_t ldb, q;
    float *minus; /* minus the block's solution, packed [m][q] */
    bool upper;
} job;

size_t zo_solve_room(size_t q) { return BLOCK * zo_round16(q); }

static void solve_panel(void *arg, int64_t item, int worker)
{
    (void)worker;
    const job *s = arg;
    size_t column = (size_t)item * ZO_PANEL, n = zo_least(ZO_PANEL, s->q - column);
    (s->upper ? zo_panel_upper : zo_panel_lower)(s->k, s->l + s->first * s->ld + s->first, s->ld,
                                                 s->m, s->b + s->first * s->ldb + column, s->ldb, n,
                                                 s->minus + column * s->m);
}

/* Rows behind the block (lower), or before it (upper). */
static void update_rows(void *arg, int64_t item, int worker)
{
    (void)worker;
    const job *s = arg;
    size_t from = s->upper ? 0 : s->first + s->m, i = from + (size_t)item * ROWS,
           rows = zo_least(ROWS, (s->upper ? s->first : s->n) - i);
    zo_operand a = s->upper ? zo_transposed(s->l + s->first * s->ld + i, s->ld, rows, s->m)
                            : zo_matrix(s->l + i * s->ld + s->first, s->ld, rows, s->m);
    s->k->product(s->b + i * s->ldb, s->ldb, 0, &a, s->minus, s->q,
                  &(zo_epilogue){.accumulate = true});
}

static void solve_block(const zo_context *ctx, job *s, size_t first)
{
    s->first = first;
    s->m = zo_least(BLOCK, s->n - first);
    size_t others = s->upper ? first : s->n - first - s->m;
    zo_parallel(ctx, (int64_t)((s->q + ZO_PANEL - 1) / ZO_PANEL), solve_panel, s);
    zo_parallel(ctx, (int64_t)((others + ROWS - 1) / ROWS), update_rows, s);
}

void zo_solve_lower(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                    size_t ldb, size_t q, float *room)
{
    job s = {ctx->kernels, l, ld, n, 0, 0, b, ldb, q, room, false};
    for (size_t first = 0; first < n; first += BLOCK) solve_block(ctx, &s, first);
}

void zo_solve_upper(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                    size_t ldb, size_t q, float *room)
{
    job s = {ctx->kernels, l, ld, n, 0, 0, b, ldb, q, room, true};
    for (size_t first = (n + BLOCK - 1) / BLOCK * BLOCK; first > 0;) {
        first -= BLOCK;
        solve_block(ctx, &s, first);
    }
}

void zo_cholesky_solve(const zo_context *ctx, const float *l, size_t ld, size_t n, float *b,
                       size_t ldb, size_t q, float *room)
{
    zo_solve_lower(ctx, l, ld, n, b, ldb, q, room);
    zo_solve_upper(ctx, l, ld, n, b, ldb, q, room);
}

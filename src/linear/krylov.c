#include "linear/krylov.h"

#include <math.h>

#include "linear/cholesky.h"

enum { CHUNK = 256 }; /* rows of an item, and of a partial sum */

size_t zo_krylov_chunks(size_t p) { return (p + CHUNK - 1) / CHUNK; }

typedef struct rows {
    size_t first, end;
} rows;

static rows rows_of(const zo_krylov *k, int64_t item)
{
    size_t first = (size_t)item * CHUNK;
    return (rows){first, first + CHUNK < k->p ? first + CHUNK : k->p};
}

static void in_chunks(zo_krylov *k, zo_work_fn fn)
{
    zo_parallel(k->ctx, (int64_t)zo_krylov_chunks(k->p), fn, k);
}

/* sum[j] = the partial sums of column j. */
static void fold(const zo_krylov *k, double *sum)
{
    for (size_t j = 0; j < k->q; j++) {
        sum[j] = 0;
        for (size_t c = 0; c < zo_krylov_chunks(k->p); c++) sum[j] += k->partial[c * k->q + j];
    }
}

static void dots(zo_krylov *k, int64_t item, const float *x, const float *y)
{
    double *sum = k->partial + (size_t)item * k->q;
    rows r = rows_of(k, item);
    for (size_t j = 0; j < k->q; j++) sum[j] = 0;
    for (size_t i = r.first * k->ld; i < r.end * k->ld; i += k->ld) {
        for (size_t j = 0; j < k->q; j++) sum[j] += (double)x[i + j] * (double)y[i + j];
    }
}

static void square(void *arg, int64_t item, int worker)
{
    (void)worker;
    zo_krylov *k = arg;
    dots(k, item, k->next, k->next);
}

static void project(void *arg, int64_t item, int worker)
{
    (void)worker;
    zo_krylov *k = arg;
    dots(k, item, k->next, k->now);
}

/* next -= alpha now + beta before, and the squares of what is left. */
static void orthogonalise(void *arg, int64_t item, int worker)
{
    zo_krylov *k = arg;
    rows r = rows_of(k, item);
    for (size_t i = r.first * k->ld; i < r.end * k->ld; i += k->ld) {
        for (size_t j = 0; j < k->q; j++)
            k->next[i + j] = (float)((double)k->next[i + j] - k->alpha[j] * (double)k->now[i + j] -
                                     k->beta[j] * (double)k->before[i + j]);
    }
    square(k, item, worker);
}

/* now = next / beta, and what was now is before; a column that has ended stays 0. */
static void turn(void *arg, int64_t item, int worker)
{
    (void)worker;
    zo_krylov *k = arg;
    rows r = rows_of(k, item);
    for (size_t i = r.first * k->ld; i < r.end * k->ld; i += k->ld) {
        for (size_t j = 0; j < k->q; j++) {
            k->before[i + j] = k->now[i + j];
            k->now[i + j] = k->beta[j] > 0 ? (float)((double)k->next[i + j] / k->beta[j]) : 0;
        }
    }
}

/* Each shift goes on: along = now - ratio along, w += size / pivot along. */
static void move(void *arg, int64_t item, int worker)
{
    (void)worker;
    const zo_krylov *k = arg;
    rows r = rows_of(k, item);
    for (size_t s = 0; s < k->shifts; s++) {
        const zo_shift *f = k->shift + s;
        for (size_t i = r.first * k->ld; !f->done && i < r.end * k->ld; i += k->ld) {
            for (size_t j = 0; j < k->q; j++) {
                double along = (double)k->now[i + j] - f->ratio[j] * (double)f->along[i + j];
                f->along[i + j] = (float)along;
                f->w[i + j] += (float)(f->size[j] / f->pivot[j] * along);
            }
        }
    }
}

/* One more row of the factors of I + D T, T the tridiagonal matrix of alpha and beta. */
static void extend(const zo_krylov *k, zo_shift *f, bool first)
{
    for (size_t j = 0; j < k->q; j++) {
        double off = f->shift * k->beta[j];
        f->ratio[j] = first ? 0 : off / f->pivot[j];
        f->size[j] = first ? k->first[j] : -f->ratio[j] * f->size[j];
        f->pivot[j] = 1 + f->shift * k->alpha[j] - f->ratio[j] * off;
    }
}

/* The length of the residual is that of the next vector's share. */
static bool reached(const zo_krylov *k, const zo_shift *f)
{
    for (size_t j = 0; j < k->q; j++) {
        double left = fabs(f->shift * k->beta[j] * f->size[j] / f->pivot[j]);
        if (!(left <= f->tolerance * k->first[j])) return false;
    }
    return true;
}

static void solve(zo_krylov *k)
{
    memcpy(k->next, k->now, k->p * k->ld * sizeof *k->next);
    zo_cholesky_solve(k->ctx, k->l, zo_square_ld(k->p), k->p, k->next, k->ld, k->q, k->room);
}

static void roots(double *x, size_t n)
{
    for (size_t j = 0; j < n; j++) x[j] = sqrt(x[j]);
}

static void start(zo_krylov *k)
{
    size_t bytes = k->p * k->ld * sizeof *k->now;
    solve(k);
    in_chunks(k, square);
    fold(k, k->beta);
    roots(k->beta, k->q);
    memcpy(k->first, k->beta, k->q * sizeof *k->first);
    in_chunks(k, turn);
    memset(k->before, 0, bytes);
    memset(k->beta, 0, k->q * sizeof *k->beta);
    for (size_t s = 0; s < k->shifts; s++) {
        k->shift[s].done = false;
        memset(k->shift[s].w, 0, bytes);
        memset(k->shift[s].along, 0, bytes);
    }
}

/* Returns whether all shifts are done. */
static bool step(zo_krylov *k, bool first)
{
    bool all = true;
    solve(k);
    in_chunks(k, project);
    fold(k, k->alpha);
    for (size_t s = 0; s < k->shifts; s++) extend(k, k->shift + s, first);
    in_chunks(k, orthogonalise);
    fold(k, k->beta);
    roots(k->beta, k->q);
    in_chunks(k, move);
    for (size_t s = 0; s < k->shifts; s++) {
        zo_shift *f = k->shift + s;
        f->done = f->done || reached(k, f);
        all &= f->done;
    }
    if (!all) in_chunks(k, turn);
    return all;
}

int zo_krylov_run(zo_krylov *k, int most)
{
    start(k);
    int steps = 1;
    while (steps < most && !zo_cancelled(k->ctx) && !step(k, steps == 1)) steps++;
    return steps < most ? steps + 1 : steps;
}

/* (I + D F^-1) w = F^-1 B for several shifts D at once, F = L L^T: Lanczos vectors of F^-1, one sequence for each column of B, from which every
 * shift takes its own solution by short recurrences. */
#ifndef ZO_LINEAR_KRYLOV_H
#define ZO_LINEAR_KRYLOV_H

#include "linear/moments.h"

/* One shift. */
typedef struct zo_shift {
    double shift;                 /* D; F + D I is positive definite */
    double tolerance;             /* of the residual, relative to F^-1 B */
    float *w;                     /* [p][ld], the solution; owned by the caller, as all here */
    float *along;                 /* [p][ld] */
    double *pivot, *size, *ratio; /* [q] */
    bool done;                    /* the tolerance is met */
} zo_shift;

typedef struct zo_krylov {
    const zo_context *ctx;
    size_t p, q, ld;              /* ld = zo_round16(q) */
    const float *l;               /* the factor, as cholesky.h has it */
    float *room;                  /* [zo_solve_room(q)] */
    float *now, *before, *next;   /* [p][ld]; now: B at first */
    double *first, *alpha, *beta; /* [q] */
    double *partial;              /* [zo_krylov_chunks(p)][q] */
    zo_shift *shift;
    size_t shifts;
} zo_krylov;

size_t zo_krylov_chunks(size_t p);

/* Runs until all shifts are done, for `most` steps, or until zo_cancel(). Returns how many pairs of triangular solves it took. Sums are in float64 and in a
 * fixed order. */
int zo_krylov_run(zo_krylov *k, int most);

#endif

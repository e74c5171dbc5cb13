/* The ridge path: solutions for a list of lambdas, scored on held-out rows by the caller, at a fraction of one factorisation each.
 *
 * Neighbouring lambdas form a group with one Cholesky factor, F = A + mu I, mu between them. With D = lambda - mu a solution is
 *     (A + lambda I) w = B   <=>   (I + D F^-1) w = F^-1 B,
 * a polynomial in F^-1 of the same start for every lambda: one Krylov space serves the whole group (multi-shift conjugate gradients in
 * their Lanczos form; Frommer 2003; Simoncini 2003). A step is one pair of triangular solves, whatever the number of lambdas, and the
 * conditions are at most lambda / mu or mu / lambda: steps are few. How many groups there are follows from the cost,
 *     cost = groups p^3 / 6 + (steps + groups) p^2 q   multiply-adds,
 * steps estimated from the conditions. Reducing A to a band once (2/3 p^3, four factorisations) would cost more than this for the ten or
 * twenty lambdas that one tries, and one factorisation for each lambda p^3 / 6 times their number.
 *
 * Solutions here are good for choosing: to `tolerance` of themselves, and to what float32 leaves of a factor (nothing is refined). The one that
 * is kept is solved for again by zo_ridge_solve().
 */
#ifndef ZO_LINEAR_PATH_H
#define ZO_LINEAR_PATH_H

#include "linear/moments.h"

/* The loss on held-out rows of w [p][ldw] and b [q] (zeros without an intercept), for lambda `index` of the list, `lambda` in absolute size.
 * NaN is the worst. Called on the thread of zo_ridge_path(), each index once, in any order; w and b are valid during the call. */
typedef double (*zo_path_score)(void *user, size_t index, double lambda, const float *w, size_t ldw,
                                const float *b);

typedef struct zo_path_def {
    const double *lambda; /* [n], > 0, in any order; borrowed */
    size_t n;
    bool relative, intercept; /* as in zo_ridge_def */
    double tolerance;         /* of a solution, relative to itself */
    zo_path_score score;
    void *user;
} zo_path_def;

/* A tolerance of 1e-3, relative lambdas, an intercept; no list and no score yet. */
zo_path_def zo_path_default_def(void);

typedef struct zo_path_result {
    size_t best;        /* index of the least loss, the larger lambda of equals */
    double lambda;      /* its lambda, absolute */
    int factorisations; /* p^3 / 6 multiply-adds each */
    int steps;          /* pairs of triangular solves, p^2 q each */
    int failed;         /* lambdas that could not be solved for: too small for float32 */
    double cost;        /* multiply-adds of all of it */
} zo_path_result;

/* Bytes that a path of n lambdas allocates besides the moments: about 4 p^2 + 4 p q (2 n + 5) + 1000 p. */
double zo_path_bytes(size_t p, size_t q, size_t n);

/* Multiply-adds of a path, or what takes as long: what its plan goes by, and mostly more than it takes. Of lambda, ascending here, the ratios
 * matter alone. */
double zo_path_estimate(const zo_path_def *def, size_t p, size_t q);

/* loss [n] receives the scores, infinity for lambdas that failed. The moments are only read.
 * Errors: USAGE (no lambdas, one that is not positive and finite, or too large for float32, no score), FORMAT (as zo_ridge_solve(); or every lambda failed, or no loss is
 * finite), NO_MEMORY, CANCELLED. */
zo_status zo_ridge_path(const zo_context *ctx, const zo_moments *m, const zo_path_def *def,
                        double *loss, zo_path_result *out);

#endif

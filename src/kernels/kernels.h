/* The inner loops. A kernel set is one const zo_kernels; `ref` defines what is correct, `avx2` and `avx512` give the same bits.
 *
 * The rules behind "the same bits" (docs/design.md):
 *  - every element of a product is one chain of fused multiply-adds in the order of k, starting from 0;
 *  - every other sum runs in a fixed order that does not depend on the width of the machine's vectors;
 *  - exp, log, tanh are our own polynomials, written once over 16 lanes (lanes.h of each set, math.h).
 *
 * Matrices are row-major. `ld` is the distance of rows in floats. Unless said otherwise rows are padded: a matrix of n columns has
 * ld >= zo_round16(n), pointers are 64-byte aligned, and pad columns may be read and written. Sizes: m rows, n columns, k summed.
 */
#ifndef ZO_KERNELS_KERNELS_H
#define ZO_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zeroth/classes.h>

#include "base/context.h"
#include "base/params.h"

/* Columns of a packed panel. The last panel of a matrix is 16 wide when that is enough. */
#define ZO_PANEL 32

static inline size_t zo_round16(size_t n) { return (n + 15) / 16 * 16; }

/* Floats that zo_kernels.pack() fills for a [k][n] matrix: panel p holds rows of columns 32p..32p+31; what lies past column n
 * has no meaning. */
static inline size_t zo_packed_size(size_t k, size_t n) { return k * zo_round16(n); }

/* h = f(z) for m rows of n columns; h and z may be the same. */
typedef void (*zo_activate_fn)(float *h, size_t ldh, const float *z, size_t ldz, size_t m, size_t n);
/* e *= f'(z), for the reference backward pass only. */
typedef void (*zo_slope_fn)(float *e, size_t lde, const float *z, size_t ldz, size_t m, size_t n);

/* The one list of activations, X(ID, name): those with a useful slope, and those without. elementwise.h defines name_f and, for the
 * first list, name_d. */
#define ZO_SMOOTH_MAP(X)                                                                           \
    X(RELU, relu)                                                                                  \
    X(LEAKY_RELU, leaky_relu)                                                                      \
    X(TANH, tanh)                                                                                  \
    X(SIGMOID, sigmoid)                                                                            \
    X(GELU, gelu)
#define ZO_JUMPING_MAP(X)                                                                          \
    X(STEP, step)                                                                                  \
    X(SIGN, sign)
#define ZO_ACTIVATION_MAP(X) ZO_SMOOTH_MAP(X) ZO_JUMPING_MAP(X)

typedef enum zo_activation {
#define ZO_ACTIVATION_ENUM(ID, name) ZO_##ID,
    ZO_ACTIVATION_MAP(ZO_ACTIVATION_ENUM)
#undef ZO_ACTIVATION_ENUM
        ZO_ACTIVATIONS
} zo_activation;

typedef struct zo_activation_kernel {
    zo_activate_fn activate;
    zo_slope_fn slope; /* NULL where there is no useful derivative */
} zo_activation_kernel;

/* What happens to a product before it is stored. Zero-initialised: nothing. */
typedef struct zo_epilogue {
    const float *bias; /* [n] padded: added to every row */
    const uint16_t *signs; /* [m][ld_signs]: bit j of word w is column 16w + j; 1 adds -sigma, 0 adds +sigma */
    const float *noise; /* [m][ld_noise]: sigma * noise is added */
    size_t ld_signs, ld_noise;
    float sigma;
    float *pre; /* [m][ld_pre]: receives the sum before the activation */
    size_t ld_pre;
    zo_activate_fn activate; /* NULL: none */
    bool accumulate;         /* add to what is stored there; not together with `pre` */
} zo_epilogue;

/* One moved unit: row r of a column update starts from example `example` and moves unit `unit` by `change`. */
typedef struct zo_move {
    int32_t example, unit;
    float change;
} zo_move;

/* Per-example losses of m rows of y. label for classification, target [m][ld_target] (unpadded rows) for regression; the other is
 * NULL. Losses are finite while |y| < 1e18. */
typedef void (*zo_loss_kernel)(float *loss, const float *y, size_t ldy, size_t m, size_t n,
                               const int32_t *label, const float *target, size_t ld_target);
/* d loss / d y as e, for the reference only. */
typedef void (*zo_loss_slope)(float *e, size_t lde, const float *y, size_t ldy, size_t m, size_t n,
                              const int32_t *label, const float *target, size_t ld_target);

typedef enum zo_loss_kind {
    ZO_CROSS_ENTROPY,
    ZO_SQUARED_ERROR,
    ZO_ZERO_ONE,
    ZO_LOSSES
} zo_loss_kind;

typedef struct zo_kernels {
    zo_class_info info;
    bool (*available)(void);

    /* packed = b[k][n] (ldb, unpadded rows allowed), optionally + sigma * noise: signs as in zo_epilogue with one row per row of
     * b, or gaussian noise. */
    void (*pack)(float *packed, const float *b, size_t ldb, size_t k, size_t n, float sigma,
                 const uint16_t *signs, size_t ld_signs, const float *noise, size_t ld_noise);
    /* packed = transpose of b[n][k]. */
    void (*pack_transposed)(float *packed, const float *b, size_t ldb, size_t k, size_t n);
    /* c[m][n] = a * packed, then the epilogue. Element (i, l) of a lies at a[i * a_row + l * a_k]. c and e->pre must not overlap
     * the inputs; c may be e->pre. */
    void (*product)(float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                    const float *packed, size_t m, size_t n, size_t k, const zo_epilogue *e);
    /* h[r] = f(z[example_r] + change_r * (row unit_r of the packed [k][n] matrix)), r < m: what the next layer gives when one unit
     * before it moves. One fused multiply-add per element. */
    void (*column_update)(float *h, size_t ldh, const zo_move *moves, size_t m, const float *z,
                          size_t ldz, const float *packed, size_t k, size_t n,
                          zo_activate_fn activate);

    zo_activation_kernel activation[ZO_ACTIVATIONS];
    zo_loss_kernel loss[ZO_LOSSES];
    zo_loss_slope loss_slope[ZO_LOSSES]; /* NULL: no useful derivative */

    /* The rest works on n unpadded, possibly unaligned floats. */
    void (*sgd)(float *p, const float *g, size_t n, float rate); /* p -= rate g */
    void (*momentum)(float *p, float *v, const float *g, size_t n, float rate,
                     float beta); /* v = beta v + g; p -= rate v */
    void (*adam)(float *p, float *mean, float *square, const float *g, size_t n, float rate,
                 float beta1, float beta2, float epsilon); /* rate holds the bias correction */
    void (*add_signs)(float *sum, const uint16_t *signs, size_t n,
                      float weight); /* sum += weight * (+1 or -1) */
    void (*add_scaled)(float *sum, const float *x, size_t n,
                       float weight); /* sum = fma(weight, x, sum) */
    /* Blocks first .. first + n - 1 of a random stream (base/random.h: its key and counter) as out[4 n]. */
    void (*blocks)(uint32_t *out, const uint32_t key[2], const uint32_t counter[3], uint32_t first,
                   size_t n);
    /* n normal numbers, four from each block from block `first` on. */
    void (*normal)(float *out, const uint32_t key[2], const uint32_t counter[3], uint32_t first,
                   size_t n);
    /* For doctor and bench: about 2^20 * rounds independent multiply-adds; returns how many, and a value that depends on them. */
    double (*spin)(int rounds, float *sink);
} zo_kernels;

extern const zo_kernels zo_kernels_ref;
#ifdef ZO_HAVE_AVX2
extern const zo_kernels zo_kernels_avx2;
#endif
#ifdef ZO_HAVE_AVX512
extern const zo_kernels zo_kernels_avx512;
#endif

/* NULL-terminated, best first; each is the `info` of a zo_kernels. */
extern const zo_class_info *const zo_kernel_classes[];

#endif

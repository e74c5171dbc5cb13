/* The inner loops. A kernel set is one const zo_kernels; `ref` defines what is correct, `avx2`, `avx512` and `avx512bf16` give the same bits.
 *
 * The rules behind "the same bits" (docs/design.md):
 *  - every element of a product is one chain of fused multiply-adds in the order of k, starting from 0;
 *  - every other sum runs in a fixed order that does not depend on the width of the machine's vectors;
 *  - exp, log, tanh are our own polynomials, written once over 16 lanes (lanes.h of each set, math.h).
 *
 * Matrices are row-major. `ld` is the distance of rows in floats. Unless said otherwise rows are padded: a matrix of n columns has
 * ld >= zo_round16(n), pointers are 64-byte aligned, and pad columns may be read and written. What is only read (a, in, x) may lie anywhere:
 * zo_net_forward() hands on a caller's inputs. Sizes: m rows, n columns, k summed.
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

/* Floats that zo_kernels.pack() fills for a [k][n] matrix: panel p holds rows of columns 32p..32p+31. No product
 * depends on what lies past column n. */
static inline size_t zo_packed_size(size_t k, size_t n) { return k * zo_round16(n); }

/* h = f(z) for m rows of n columns; h and z may be the same. `number` is the number in the activation's word (quant4: 4), else 0. Elementwise
 * activations may also work on the pad. */
typedef void (*zo_activate_fn)(float *h, size_t ldh, const float *z, size_t ldz, size_t m, size_t n,
                               int number);
/* e *= f'(z), for the reference backward pass only. Where zo_activation_kernel.smooth is false it is no derivative but the straight-through
 * rule: step, sign: 1 where |z| <= 1, else 0 (Hubara et al. 2016); quant: 1 where 0 <= z <= 1; wta: 1. */
typedef void (*zo_slope_fn)(float *e, size_t lde, const float *z, size_t ldz, size_t m, size_t n);

/* The one list of activations, X(ID, name). elementwise.h defines name_f and name_d of the first two lists: those with a useful slope, and
 * those without, whose name_d is the straight-through rule. The third: functions of several numbers, or with a number in their word,
 * name_activate and name_slope. */
#define ZO_SMOOTH_MAP(X)                                                                           \
    X(RELU, relu)                                                                                  \
    X(LEAKY_RELU, leaky_relu)                                                                      \
    X(TANH, tanh)                                                                                  \
    X(SIGMOID, sigmoid)                                                                            \
    X(GELU, gelu)                                                                                  \
    X(SQRT, sqrt)
#define ZO_JUMPING_MAP(X)                                                                          \
    X(STEP, step)                                                                                  \
    X(SIGN, sign)
#define ZO_NUMBERED_MAP(X)                                                                         \
    X(QUANT, quant)                                                                                \
    X(WTA, wta)
#define ZO_ACTIVATION_MAP(X) ZO_SMOOTH_MAP(X) ZO_JUMPING_MAP(X) ZO_NUMBERED_MAP(X)

typedef enum zo_activation {
#define ZO_ACTIVATION_ENUM(ID, name) ZO_##ID,
    ZO_ACTIVATION_MAP(ZO_ACTIVATION_ENUM)
#undef ZO_ACTIVATION_ENUM
        ZO_ACTIVATIONS
} zo_activation;

typedef struct zo_activation_kernel {
    zo_activate_fn activate;
    zo_slope_fn slope;
    bool smooth; /* slope is the derivative; else the straight-through rule */
} zo_activation_kernel;

/* The left side of a product: the rows of a matrix, or the patches of images that are nowhere copied together. Rows come in lines, lines in
 * images: row r of line y of image g begins at a + g * image + y * line + r * row. Its k = runs * run terms lie behind its beginning:
 * term t of run s at start[s] + t * step. Nothing else is read: rows need no pad. */
typedef struct zo_operand {
    const float *a;
    size_t rows, lines, images; /* m = rows * lines * images */
    size_t row, line, image;
    size_t runs, run, step;
    const size_t *start; /* [runs]; NULL: one run, at 0 */
} zo_operand;

/* m rows of k numbers. */
static inline zo_operand zo_matrix(const float *a, size_t ld, size_t m, size_t k)
{
    return (zo_operand){
        .a = a, .rows = m, .lines = 1, .images = 1, .row = ld, .runs = 1, .run = k, .step = 1};
}

/* The transpose of k rows of m numbers. */
static inline zo_operand zo_transposed(const float *a, size_t ld, size_t m, size_t k)
{
    return (zo_operand){
        .a = a, .rows = m, .lines = 1, .images = 1, .row = 1, .runs = 1, .run = k, .step = ld};
}

/* What happens to a product before it is stored, in this order: bias, signs, noise, low-rank noise, what is stored there (`accumulate`), then
 * `pre` and the activation. Zero-initialised: nothing. Row i counts through lines and images. */
typedef struct zo_epilogue {
    const float *bias; /* [n] padded: added to every row */
    const uint16_t *signs; /* [m][ld_signs]: bit j of word w is column 16w + j; 1 adds -sigma, 0 adds +sigma */
    const float *noise; /* [m][ld_noise]: sigma * noise is added */
    size_t ld_signs, ld_noise;
    float sigma;
    /* Low-rank noise, one pattern for each image: for q < rank, in order, row i of image g gets lift[i * rank + q] times row g * rank + q of
     * the factor: signs, or numbers. */
    const float *lift;            /* [m][rank] */
    const uint16_t *factor_signs; /* [images * rank][ld_factor / 16] */
    const float *factor;          /* [images * rank][ld_factor]; exactly one of the two */
    size_t rank, ld_factor;
    float *pre;              /* receives the sum before the activation; strides as c */
    zo_activate_fn activate; /* elementwise; NULL: none */
    int number;              /* handed to it */
    bool accumulate;         /* add to what is stored there; not together with `pre` */
} zo_epilogue;

/* A window that moves over an image [in_height][in_width][channels], pixels `pitch` floats apart (padded, or `channels` and nothing behind
 * the last), and gives [out_height][out_width][channels] with pixels zo_round16(channels) apart. Terms outside the image are left out. */
typedef struct zo_window {
    size_t in_height, in_width, pitch, channels, out_height, out_width;
    size_t height, width; /* of the window */
    size_t stride, dilation;
    size_t top, left; /* how far the first window begins outside */
} zo_window;

/* Patches of an image whose planes lie one after the other: term t of the patch at column x of line y is image[y * line + x + start[t]].
 * Sixteen columns are read at once: all of zo_round16(columns) must be there to read. */
typedef struct zo_patches {
    const float *image;
    size_t lines, columns, line;
    const size_t *start; /* [terms] */
    size_t terms;
} zo_patches;

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
    ZO_HUBER,
    ZO_HINGE,
    ZO_LOSSES
} zo_loss_kind;

typedef struct zo_kernels {
    zo_class_info info;
    bool (*available)(void);

    /* packed = b[k][n] (ldb, unpadded rows allowed), zeros past column n. */
    void (*pack)(float *packed, const float *b, size_t ldb, size_t k, size_t n);
    /* packed_t [n][k] = transpose of packed [k][n], zeros in the pad: for the reference backward pass. */
    void (*repack)(float *packed_t, const float *packed, size_t k, size_t n);
    /* c = a * b, then the epilogue; b packed, n columns; without terms (runs * run = 0) the epilogue of zeros. Row i of image g of the result lies at c + g * c_image + i * ldc (i counts through the
     * lines of the image). c and e->pre must not overlap the inputs; c may be e->pre. ldc need not be a multiple of 16 floats. */
    void (*product)(float *c, size_t ldc, size_t c_image, const zo_operand *a, const float *packed,
                    size_t n, const zo_epilogue *e);
    /* c[i][j] += the products of columns i of a and j of b, m and n columns in whole panels as pack() makes them, but of `pairs` words, each
     * two rows' numbers in bfloat16 (bfloat16.h). One chain from 0 in the order of rows, then one addition. NULL where there is no such
     * instruction: product() of the numbers as floats gives the same bits. */
    void (*add_pairs)(float *c, size_t ldc, const uint32_t *a, size_t m, const uint32_t *b,
                      size_t n, size_t pairs);
    /* h[r] = f(z[example_r] + change_r * (row unit_r of the packed [k][n] matrix)), r < m: what the next layer gives when one unit
     * before it moves. One fused multiply-add per element. */
    void (*column_update)(float *h, size_t ldh, const zo_move *moves, size_t m, const float *z,
                          size_t ldz, const float *packed, size_t k, size_t n,
                          zo_activate_fn activate, int number);
    /* h[r] = f(z[example_r] + sigma * noise of row r), r < m: cached outputs, moved. signs and noise as in zo_epilogue, one or none. With a
     * floor (NULL: none), which lies as z does, h is no less than floor[example_r]. h may be z where example_r = r. */
    void (*disturb)(float *h, size_t ldh, const float *z, size_t ldz, const float *floor,
                    const int32_t *example, size_t m, size_t n, float sigma, const uint16_t *signs,
                    size_t ld_signs, const float *noise, size_t ld_noise, zo_activate_fn activate,
                    int number);
    /* t[i * ldt] = scale * sum over j < n of x[i][j] * (+1 or -1 by bit j of the signs, or noise[j]); a sum runs in 16 lanes, then lanes
     * fold in halves. noise is padded with zeros. */
    void (*project)(float *t, size_t ldt, const float *x, size_t ldx, size_t m, size_t n,
                    const uint16_t *signs, const float *noise, float scale);
    /* out = in + sigma * noise for n floats, a multiple of 16; in NULL: sigma * noise. signs [n / 16] or noise [n]. */
    void (*add_noise)(float *out, const float *in, size_t n, float sigma, const uint16_t *signs,
                      const float *noise);
    /* out = a + b for n floats, a multiple of 16. */
    void (*add)(float *out, const float *a, const float *b, size_t n);
    /* out = x * gain + shift for m rows of n columns; shift may be NULL. */
    void (*scale)(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                  const float *gain, const float *shift);
    /* out[m][2n] = max(x - threshold, 0), then max(-x - threshold, 0), for m rows of n columns. */
    void (*two_sided)(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                      float threshold);
    /* out = (x - mean) / sqrt(variance + 1e-5) * gain + shift, mean and variance over all m rows of n columns (Ba et al. 2016); moments[2]
     * receives mean and 1 / sqrt(variance + 1e-5) if not NULL. gain, shift [n] padded; shift may be NULL. */
    void (*normalise)(float *out, size_t ldo, const float *x, size_t ldx, size_t m, size_t n,
                      const float *gain, const float *shift, float *moments);
    /* One image: the largest of each window (the first of equals; a NaN comes through), or the mean of those in the image. 0 where the whole
     * window is outside. */
    void (*pool)(float *out, const float *in, const zo_window *w, bool largest);
    /* One image: sum over the window of in * weight[height * width][zo_round16(channels)], one chain, then + bias (or NULL). */
    void (*depthwise)(float *out, const float *in, const float *weight, const float *bias,
                      const zo_window *w);

    /* Terms [first, first + n) of every patch, (x - mean) / sqrt(variance + epsilon) over all terms of the patch, which are summed in their order:
     * term first + t of patch (y, x) at out[t * ldo + y * zo_round16(columns) + x]. The columns past the last hold anything. */
    void (*contrast)(float *out, size_t ldo, const zo_patches *p, size_t first, size_t n,
                     float epsilon);

    zo_activation_kernel activation[ZO_ACTIVATIONS];
    zo_loss_kernel loss[ZO_LOSSES];
    zo_loss_slope loss_slope[ZO_LOSSES]; /* NULL: no useful derivative */

    /* The rest works on n unpadded, possibly unaligned floats. */
    void (*standardise)(float *out, const float *x, size_t n, const float *shift,
                        const float *scale);                     /* out = (x - shift) * scale */
    void (*sgd)(float *p, const float *g, size_t n, float rate); /* p -= rate g */
    void (*momentum)(float *p, float *v, const float *g, size_t n, float rate,
                     float beta); /* v = beta v + g; p -= rate v */
    void (*adam)(float *p, float *mean, float *square, const float *g, size_t n, float rate,
                 float beta1, float beta2, float epsilon); /* rate holds the bias correction */
    void (*add_signs)(float *sum, const uint16_t *signs, size_t n,
                      float weight); /* sum += weight * (+1 or -1) */
    void (*add_draws)(float *sum, const uint16_t *signs, size_t ld, size_t draws, size_t n,
                      const float *weight); /* add_signs() of each draw in turn; signs [draws][ld] */
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
extern const zo_kernels zo_kernels_avx512, zo_kernels_avx512bf16;
#endif

/* NULL-terminated, best first; each is the `info` of a zo_kernels. */
extern const zo_class_info *const zo_kernel_classes[];

#endif

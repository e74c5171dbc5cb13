/* Losses of m rows, sixteen rows at a time: lanes are rows, so no sum ever runs across lanes.
 *
 * Cross-entropy is written softplus(log sum over k != y of exp(z_k - z_y)): a small loss keeps its digits, which a difference of two
 * losses needs (docs/decisions.md).
 */
#ifndef ZO_KERNELS_LOSSES_H
#define ZO_KERNELS_LOSSES_H

/* Sixteen rows from row i on (the last row again where there are none), columns c .. c + 15, as column vectors. */
LANES void columns(v16 out[16], const float *y, size_t ldy, size_t i, size_t m, size_t c)
{
    for (size_t r = 0; r < 16; r++) out[r] = v_load(y + (i + r < m ? i + r : m - 1) * ldy + c);
    v_transpose(out);
}

typedef struct answers {
    int32_t label[16];
    v16 own; /* output of the right class */
} answers;

LANES answers right_answers(const float *y, size_t ldy, size_t i, size_t m, const int32_t *label)
{
    answers a;
    float own[16];
    for (size_t r = 0; r < 16; r++) {
        size_t row = i + r < m ? i + r : m - 1;
        a.label[r] = label[row];
        own[r] = y[row * ldy + (size_t)label[row]];
    }
    a.own = v_load(own);
    return a;
}

#define EACH_BLOCK(c, n) for (size_t c = 0; c < (n); c += 16)
#define EACH_COLUMN(j, c, n) for (size_t j = 0; j < 16 && (c) + j < (n); j++)

/* max over k != y of z_k - z_y, and with it the sum of exp(z_k - z_y - max) */
LANES v16 margins(const float *y, size_t ldy, size_t i, size_t m, size_t n, const answers *a,
                  v16 *sum)
{
    v16 d[16], none = v_set(-3.0e38f), largest = none;
    EACH_BLOCK(c, n)
    {
        columns(d, y, ldy, i, m, c);
        EACH_COLUMN(j, c, n)
        {
            v16 x = v_select(v_equals(a->label, (int32_t)(c + j)), none, v_sub(d[j], a->own));
            largest = v_max(largest, x);
        }
    }
    *sum = v_set(0);
    EACH_BLOCK(c, n)
    {
        if (n > 16 || c > 0) columns(d, y, ldy, i, m, c);
        EACH_COLUMN(j, c, n)
        {
            v16 x = v_exp(v_sub(v_sub(d[j], a->own), largest));
            *sum = v_add(*sum, v_select(v_equals(a->label, (int32_t)(c + j)), v_set(0), x));
        }
    }
    return largest;
}

static void cross_entropy(float *loss, const float *y, size_t ldy, size_t m, size_t n,
                          const int32_t *label, const float *target, size_t ld_target)
{
    (void)target, (void)ld_target;
    for (size_t i = 0; i < m; i += 16) {
        answers a = right_answers(y, ldy, i, m, label);
        v16 sum, largest = margins(y, ldy, i, m, n, &a, &sum);
        v16 none = v_sub(sum, sum); /* 0, or the NaN that the logarithm would swallow */
        give(loss + i, v_softplus(v_add(largest, v_add(v_log(sum), none))), lanes_at(i, m));
    }
}

/* e = softmax(y) - onehot(label), written as 1 / sum over k of exp(y_k - y_c) through the margins */
static void cross_entropy_slope(float *e, size_t lde, const float *y, size_t ldy, size_t m, size_t n,
                                const int32_t *label, const float *target, size_t ld_target)
{
    (void)target, (void)ld_target;
    for (size_t i = 0; i < m; i += 16) {
        answers a = right_answers(y, ldy, i, m, label);
        v16 sum, d[16], largest = margins(y, ldy, i, m, n, &a, &sum);
        v16 top = v_max(largest, v_set(0)); /* the right class itself has margin 0 */
        v16 all = v_fma(sum, v_exp(v_sub(largest, top)), v_exp(v_sub(v_set(0), top)));
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            for (size_t j = 0; j < 16; j++) {
                v16 p = v_div(v_exp(v_sub(v_sub(d[j], a.own), top)), all);
                /* the right class gets -(sum of the others) without cancelling */
                v16 others = v_div(v_mul(sum, v_exp(v_sub(largest, top))), all);
                d[j] = c + j < n ? v_select(v_equals(a.label, (int32_t)(c + j)),
                                            v_sub(v_set(0), others), p)
                                 : v_set(0);
            }
            v_transpose(d);
            for (size_t r = 0; r < 16 && i + r < m; r++) v_store(e + (i + r) * lde + c, d[r]);
        }
    }
}

static void zero_one(float *loss, const float *y, size_t ldy, size_t m, size_t n,
                     const int32_t *label, const float *target, size_t ld_target)
{
    (void)target, (void)ld_target;
    for (size_t i = 0; i < m; i += 16) {
        answers a = right_answers(y, ldy, i, m, label);
        v16 d[16], wrong = v_set(0);
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            EACH_COLUMN(j, c, n)
            {
                v16 x = v_select(v_equals(a.label, (int32_t)(c + j)), v_set(-1), v_sub(d[j], a.own));
                wrong = v_select(v_lt(x, v_set(0)), wrong, v_set(1)); /* so is a tie, or a NaN */
            }
        }
        give(loss + i, wrong, lanes_at(i, m));
    }
}

/* column c of the targets of sixteen rows: given, or one-hot from the labels */
LANES v16 wanted(size_t i, size_t m, size_t c, const int32_t *label, const float *target,
                 size_t ld_target)
{
    float t[16];
    for (size_t r = 0; r < 16; r++) {
        size_t row = i + r < m ? i + r : m - 1;
        t[r] = label ? (float)(label[row] == (int32_t)c) : target[row * ld_target + c];
    }
    return v_load(t);
}

/* half the sum of squares */
static void squared_error(float *loss, const float *y, size_t ldy, size_t m, size_t n,
                          const int32_t *label, const float *target, size_t ld_target)
{
    for (size_t i = 0; i < m; i += 16) {
        v16 d[16], sum = v_set(0);
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            EACH_COLUMN(j, c, n)
            {
                v16 x = v_sub(d[j], wanted(i, m, c + j, label, target, ld_target));
                sum = v_fma(x, x, sum);
            }
        }
        give(loss + i, v_mul(sum, v_set(0.5f)), lanes_at(i, m));
    }
}

static void squared_error_slope(float *e, size_t lde, const float *y, size_t ldy, size_t m, size_t n,
                                const int32_t *label, const float *target, size_t ld_target)
{
    for (size_t i = 0; i < m; i += 16) {
        v16 d[16];
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            for (size_t j = 0; j < 16; j++) {
                d[j] = c + j < n ? v_sub(d[j], wanted(i, m, c + j, label, target, ld_target))
                                 : v_set(0);
            }
            v_transpose(d);
            for (size_t r = 0; r < 16 && i + r < m; r++) v_store(e + (i + r) * lde + c, d[r]);
        }
    }
}
/* Half the square within 1 of the target, |d| - 1/2 beyond (Huber 1964): c (|d| - c / 2), c = min(|d|, 1) */
static void huber(float *loss, const float *y, size_t ldy, size_t m, size_t n, const int32_t *label,
                  const float *target, size_t ld_target)
{
    for (size_t i = 0; i < m; i += 16) {
        v16 d[16], sum = v_set(0);
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            EACH_COLUMN(j, c, n)
            {
                v16 x = v_abs(v_sub(d[j], wanted(i, m, c + j, label, target, ld_target)));
                v16 near = v_min(x, v_set(1));
                sum = v_fma(near, v_sub(x, v_mul(near, v_set(0.5f))), sum);
            }
        }
        give(loss + i, sum, lanes_at(i, m));
    }
}

static void huber_slope(float *e, size_t lde, const float *y, size_t ldy, size_t m, size_t n,
                        const int32_t *label, const float *target, size_t ld_target)
{
    for (size_t i = 0; i < m; i += 16) {
        v16 d[16];
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            for (size_t j = 0; j < 16; j++) {
                v16 x = c + j < n ? v_sub(d[j], wanted(i, m, c + j, label, target, ld_target))
                                  : v_set(0);
                d[j] = v_max(v_set(-1), v_min(v_set(1), x)); /* in this order a NaN stays */
            }
            v_transpose(d);
            for (size_t r = 0; r < 16 && i + r < m; r++) v_store(e + (i + r) * lde + c, d[r]);
        }
    }
}

/* max over k != y of z_k - z_y; NaN if there is one among the outputs */
LANES v16 largest_margin(const float *y, size_t ldy, size_t i, size_t m, size_t n, const answers *a)
{
    v16 d[16], none = v_set(-3.0e38f), largest = none;
    EACH_BLOCK(c, n)
    {
        columns(d, y, ldy, i, m, c);
        EACH_COLUMN(j, c, n)
        {
            v16 x = v_select(v_equals(a->label, (int32_t)(c + j)), none, v_sub(d[j], a->own));
            largest = v_select(v_nan(x), x, v_max(x, largest)); /* in this order a NaN stays */
        }
    }
    return largest;
}

/* How far the right class is from leading all others by 1 (Crammer & Singer 2001). */
static void hinge(float *loss, const float *y, size_t ldy, size_t m, size_t n, const int32_t *label,
                  const float *target, size_t ld_target)
{
    (void)target, (void)ld_target;
    for (size_t i = 0; i < m; i += 16) {
        answers a = right_answers(y, ldy, i, m, label);
        v16 lack = v_add(v_set(1), largest_margin(y, ldy, i, m, n, &a));
        give(loss + i, v_max(v_set(0), lack), lanes_at(i, m));
    }
}

/* Where something lacks: 1 at the first of the largest others, -1 at the right class. */
static void hinge_slope(float *e, size_t lde, const float *y, size_t ldy, size_t m, size_t n,
                        const int32_t *label, const float *target, size_t ld_target)
{
    (void)target, (void)ld_target;
    for (size_t i = 0; i < m; i += 16) {
        answers a = right_answers(y, ldy, i, m, label);
        v16 d[16], zero = v_set(0), largest = largest_margin(y, ldy, i, m, n, &a),
                   own = v_select(v_lt(zero, v_add(v_set(1), largest)), v_set(-1), zero),
                   left = v_sub(zero, own); /* 1 until the rival is found */
        EACH_BLOCK(c, n)
        {
            columns(d, y, ldy, i, m, c);
            for (size_t j = 0; j < 16; j++) {
                m16 right = v_equals(a.label, (int32_t)(c + j));
                v16 rival = v_select(v_lt(v_sub(d[j], a.own), largest), zero, left);
                rival = c + j < n ? v_select(right, zero, rival) : zero;
                left = v_sub(left, rival);
                d[j] = v_select(right, own, rival);
            }
            v_transpose(d);
            for (size_t r = 0; r < 16 && i + r < m; r++) v_store(e + (i + r) * lde + c, d[r]);
        }
    }
}
#endif

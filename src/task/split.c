/* Which examples are held out: seeded, and stratified where there are classes.
 *
 * The test part is taken first, the validation part from what is left. A part of m examples takes
 * m n_c / n of class c, rounded by largest remainders, but never the last example of a class.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "task/task.h"

typedef struct quota {
    int class;
    int32_t have, take;
    double remainder;
} quota;

typedef struct splitter {
    const zo_context *ctx;
    uint64_t seed;
    int classes; /* 1 where there are none */
    const int32_t *label;
    int64_t n;
    uint8_t *part;
    quota *quota;    /* [classes] */
    int32_t *member; /* [n] examples not held out, class after class */
} splitter;

static int class_of(const splitter *s, int64_t i) { return s->label ? s->label[i] : 0; }

static int by_remainder(const void *a, const void *b)
{
    const quota *x = a, *y = b;
    if (x->remainder != y->remainder) return x->remainder < y->remainder ? 1 : -1;
    return (x->class > y->class) - (x->class < y->class);
}

static int by_class(const void *a, const void *b)
{
    const quota *x = a, *y = b;
    return (x->class > y->class) - (x->class < y->class);
}

static bool may_give(const quota *q) { return q->take + 1 < q->have; }

/* Shares `m` out among the classes. */
static void set_quotas(splitter *s, int64_t m, int64_t left)
{
    size_t classes = (size_t)s->classes;
    int64_t taken = 0;
    for (size_t c = 0; c < classes; c++) {
        quota *q = &s->quota[c];
        double exact = (double)m * q->have / (double)left;
        q->take = (int32_t)floor(exact);
        q->remainder = exact - q->take;
        taken += q->take;
    }
    qsort(s->quota, classes, sizeof *s->quota, by_remainder);
    for (size_t c = 0; c < classes && taken < m; c++) {
        if (s->quota[c].remainder > 0 && may_give(&s->quota[c])) {
            s->quota[c].take++;
            taken++;
        }
    }
    /* one of each class: a part must hold something all the same */
    for (size_t c = 0; c < classes && !taken; c++) {
        if (s->quota[c].have) {
            s->quota[c].take = 1;
            taken = 1;
        }
    }
    qsort(s->quota, classes, sizeof *s->quota, by_class);
}

/* Counts the classes of the examples not held out yet and lists them; returns how many there are. */
static int64_t list_members(splitter *s)
{
    int64_t left = 0, at = 0;
    for (int c = 0; c < s->classes; c++) s->quota[c] = (quota){.class = c};
    for (int64_t i = 0; i < s->n; i++) {
        if (s->part[i] == ZO_TRAIN) s->quota[class_of(s, i)].have++;
    }
    for (int c = 0; c < s->classes; c++) { /* take serves as the place to write to */
        s->quota[c].take = (int32_t)at;
        at += s->quota[c].have;
    }
    for (int64_t i = 0; i < s->n; i++) {
        if (s->part[i] != ZO_TRAIN) continue;
        s->member[s->quota[class_of(s, i)].take++] = (int32_t)i;
        left++;
    }
    return left;
}

static zo_status hold_out(splitter *s, zo_part part, double share)
{
    int64_t left = list_members(s), m = llround(share * (double)left);
    if (left < 2)
        return zo_fail(s->ctx, ZO_FORMAT,
                       "%lld examples are too few: training, validation and test need one each",
                       (long long)s->n);
    m = m < 1 ? 1 : m > left - 1 ? left - 1 : m;
    set_quotas(s, m, left);
    int32_t *member = s->member;
    for (int c = 0; c < s->classes; c++) {
        const quota *q = &s->quota[c];
        zo_random r = zo_random_at(s->seed, ZO_FOR_SPLIT, part, (uint32_t)c);
        zo_random_shuffle(&r, (uint32_t)q->have, member);
        for (int32_t i = 0; i < q->take; i++) s->part[member[i]] = (uint8_t)part;
        member += q->have;
    }
    return ZO_OK;
}

zo_status zo_split_parts(const zo_context *ctx, uint64_t seed, double validation, double test_share,
                         int classes, const int32_t *label, int64_t n, uint8_t *part)
{
    if (!(validation > 0 && validation <= 0.5))
        return zo_fail(ctx, ZO_USAGE, "validation=%g: a share above 0 and at most 0.5 is expected",
                       validation);
    if (!(test_share >= 0 && test_share <= 0.5))
        return zo_fail(ctx, ZO_USAGE, "test=%g: a share from 0 to 0.5 is expected", test_share);
    splitter s = {ctx, seed, label ? classes : 1, label, n, part, NULL, NULL};
    memset(part, ZO_TRAIN, (size_t)n);
    s.quota = zo_alloc_zero(ctx, (size_t)s.classes, sizeof *s.quota);
    s.member = zo_alloc(ctx, (size_t)n * sizeof *s.member);
    zo_status status = s.quota && s.member ? ZO_OK : ZO_NO_MEMORY;
    if (!status && test_share > 0) status = hold_out(&s, ZO_TEST, test_share);
    if (!status) status = hold_out(&s, ZO_VALIDATION, validation);
    zo_free(ctx, s.quota);
    zo_free(ctx, s.member);
    return status;
}

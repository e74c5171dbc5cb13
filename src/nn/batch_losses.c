/* Losses of a whole batch: what counts pairs or classes has no value for one example. */
#include <math.h>
#include <string.h>

#include "nn/loss.h"
#include "nn/net.h"

enum { COUNTS = 3 }; /* of a class: right answers, predictions, examples */

size_t zo_loss_room(size_t m, size_t n) { return 2 * m > COUNTS * n ? 2 * m : COUNTS * n; }

/* ---- f1 ---- */

/* 1 - mean over classes of 2 right / (predictions + examples). A class that is neither predicted nor there is left out (Opitz & Burst's
 * averaged F1); of equal outputs the first is the prediction, and an example with a NaN has none. */
static double f1(const zo_kernels *k, const float *y, size_t ldy, size_t m, size_t n,
                 const int32_t *label, const float *target, size_t ld_target, uint64_t *room)
{
    (void)k, (void)target, (void)ld_target;
    double sum = 0, classes = 0;
    for (size_t i = 0; i < COUNTS * n; i++) room[i] = 0;
    for (size_t i = 0; i < m; i++) {
        int at = zo_net_largest(y + i * ldy, (int)n);
        room[COUNTS * (size_t)label[i] + 2]++;
        if (at < 0) continue;
        room[COUNTS * (size_t)at] += at == label[i];
        room[COUNTS * (size_t)at + 1]++;
    }
    for (const uint64_t *of = room; of < room + COUNTS * n; of += COUNTS) {
        if (of[1] + of[2] == 0) continue;
        sum += 2 * (double)of[0] / (double)(of[1] + of[2]);
        classes++;
    }
    return 1 - sum / classes;
}

const zo_loss_class zo_loss_f1 = {
    .info = {"f1",
             "1 - F1 of the predicted classes of a whole batch, the mean over classes; for weights "
             "and lowrank",
             "van Rijsbergen 1979; Opitz & Burst 2019, arXiv 1911.03347", ZO_USES_NOTHING,
             zo_no_params},
    .batch = f1,
    .classification = true,
    .jumps = true,
};

/* ---- auc ---- */

/* A score and whether it is one of the class, so that the order of words is that of scores. */
static uint64_t word_of(float score, bool of)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return (uint64_t)(bits ^ (bits >> 31 ? UINT32_MAX : 0x80000000u)) << 32 | of;
}

/* Sorts words by their scores, a byte at a time: four passes, from one array to the other and back. */
static void sort(uint64_t *word, uint64_t *other, size_t m)
{
    for (int shift = 32; shift < 64; shift += 8) {
        size_t place[257] = {0};
        for (size_t i = 0; i < m; i++) place[(word[i] >> shift & 255) + 1]++;
        for (size_t b = 1; b < 256; b++) place[b] += place[b - 1];
        for (size_t i = 0; i < m; i++) other[place[word[i] >> shift & 255]++] = word[i];
        uint64_t *t = word;
        word = other;
        other = t;
    }
}

/* The share of pairs of one of the class and one of the rest in which the first has the larger score, ties by half; -1 if there is no
 * pair. Words are sorted. */
static double share(const uint64_t *word, size_t m)
{
    uint64_t of = 0, rest = 0, twice = 0;
    for (size_t i = 0; i < m;) {
        uint64_t score = word[i] >> 32, here[2] = {0, 0};
        for (; i < m && word[i] >> 32 == score; i++) here[word[i] & 1]++;
        twice += here[1] * (2 * rest + here[0]);
        of += here[1];
        rest += here[0];
    }
    return of && rest ? (double)twice / (2 * (double)of * (double)rest) : -1;
}

enum { SOME = 16 }; /* rows whose scores are made together */

/* How much rows are held to be of a class, in the order of its log-odds: with two outputs their difference, with more the logarithm of the
 * class's probability. */
static void scores(const zo_kernels *k, const float *y, size_t ldy, size_t m, size_t n, int of,
                   float *score)
{
    int32_t label[SOME];
    if (n > 2) {
        for (size_t i = 0; i < m; i++) label[i] = of;
        k->loss[ZO_CROSS_ENTROPY](score, y, ldy, m, n, label, NULL, 0);
    }
    for (size_t i = 0; i < m; i++) {
        const float *row = y + i * ldy;
        score[i] = n > 2 ? -score[i] : row[of] - row[1 - of];
    }
}

/* The area of a class against the rest: -1 if the batch has not both, NaN if a score is. */
static double area(const zo_kernels *k, const float *y, size_t ldy, size_t m, size_t n,
                   const int32_t *label, int of, uint64_t *room)
{
    float score[SOME];
    for (size_t i = 0; i < m; i += SOME) {
        size_t some = m - i < SOME ? m - i : SOME;
        scores(k, y + i * ldy, ldy, some, n, of, score);
        for (size_t r = 0; r < some; r++) {
            if (isnan(score[r])) return NAN;
            room[i + r] = word_of(score[r], label[i + r] == of);
        }
    }
    sort(room, room + m, m);
    return share(room, m);
}

/* Mann & Whitney's statistic: 1 - mean over classes of the area under the curve of one against the rest. Classes that have not both kinds
 * of examples are left out; where all are, nothing tells right from wrong: 1/2. */
static double auc(const zo_kernels *k, const float *y, size_t ldy, size_t m, size_t n,
                  const int32_t *label, const float *target, size_t ld_target, uint64_t *room)
{
    (void)target, (void)ld_target;
    double sum = 0, classes = 0;
    for (int of = n == 2; of < (int)n; of++) { /* of two, one tells all */
        double a = area(k, y, ldy, m, n, label, of, room);
        if (isnan(a)) return NAN;
        if (a < 0) continue;
        sum += a;
        classes++;
    }
    return classes > 0 ? 1 - sum / classes : 0.5;
}

const zo_loss_class zo_loss_auc = {
    .info = {"auc",
             "1 - area under the ROC curve of a whole batch, for several classes the mean of one "
             "against the rest; for weights and lowrank",
             "Mann & Whitney 1947; Fawcett 2006", ZO_USES_NOTHING, zo_no_params},
    .batch = auc,
    .classification = true,
    .jumps = true,
};

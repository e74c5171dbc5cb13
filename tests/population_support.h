/* What the definitions of `weights` and `lowrank` say of one step, from nothing but the numbers of the random streams: every member is made as a
 * network of its own, the losses are taken in float64, and the direction is the sum that the papers write.
 */
#ifndef ZO_TESTS_POPULATION_SUPPORT_H
#define ZO_TESTS_POPULATION_SUPPORT_H

#include "shaping_support.h"
#include "training_support.h"

#include "base/random.h"
#include "learn/batches.h"

/* What is put wrong on purpose: a test that does not see it is none. */
typedef enum twin {
    SOUND,
    OTHER_SIGN,
    NO_ROOT_OF_RANK,
    NO_BIAS,
    NO_SCALE,
    OTHER_MIDDLE,  /* shapes differences where losses are shaped, and the other way round */
    DROPPED_WORST, /* a dropped pair stands behind all others */
    DROPPED_APART  /* the mean is that of the other pairs */
} twin;

typedef struct definition {
    zo_context *ctx;
    zo_task *task;
    zo_net *net;
    uint64_t seed;
    int64_t population, examples; /* examples 0: all */
    int rank;                     /* 0: weights */
    bool one_sided, gaussian;
    double sigma;
    zo_shaping shaping;
    bool unsaid;        /* a step gets no setting `shaping` */
    const char *method; /* NULL: weights or lowrank; else one with one pair and no unperturbed pass */
    twin twin;
    zo_loss_fn loss;             /* or NULL: cross-entropy */
    zo_batch_loss_fn batch_loss; /* instead: of all examples that a member sees */
    void *loss_user;
} definition;

/* A task of images of `side` x `side` x `channels` with three classes, and a net whose biases and gains are drawn too. */
static inline zo_net *image_net(zo_context *ctx, const char *spec, int side, int channels)
{
    zo_net_def def = zo_net_default_def();
    def.spec = spec;
    def.height = def.width = side;
    def.channels = channels;
    def.inputs = side * side * channels;
    def.outputs = 3;
    def.seed = 7;
    zo_net *net = NULL;
    if (zo_net_create(ctx, &def, &net)) fail_msg("%s: %s", spec, zo_last_error(ctx));
    uint64_t state = 8;
    for (int i = 0; i < zo_net_segments(net); i++) {
        zo_segment t;
        assert_int_equal(zo_net_segment(net, i, &t), ZO_OK);
        if (t.rank != 1) continue;
        float *x = floats((size_t)t.shape[0]);
        assert_int_equal(zo_net_get(net, i, x), ZO_OK);
        for (int64_t j = 0; j < t.shape[0]; j++) x[j] += draw(&state, -0.3, 0.3);
        assert_int_equal(zo_net_set(net, i, x), ZO_OK);
        free(x);
    }
    return net;
}

/* ---- noise, number by number ---- */

static inline double number_at(const definition *d, uint32_t item, size_t index)
{
    zo_stream s = zo_stream_at(d->seed, ZO_FOR_NOISE, 0, item);
    uint32_t word[4];
    zo_stream_block(&s, (uint32_t)(index / (d->gaussian ? 4 : 128)), word);
    if (!d->gaussian) return word[index % 128 / 32] >> index % 32 & 1 ? -1 : 1;
    const uint32_t *pair = word + index % 4 / 2 * 2;
    double r = sqrt(-2 * log(((double)pair[0] + 0.5) * 0x1p-32)),
           turn = 8 * atan(1) * (double)(pair[1] >> 8) * 0x1p-24;
    return r * (index % 2 ? sin(turn) : cos(turn));
}

static inline size_t up16(size_t n) { return (n + 15) & ~(size_t)15; }

/* Where weight [l][j] of a stage lies: panels of 32 columns, the last of 16 where that is enough; or rows. */
static inline size_t place_of(const zo_stage *s, size_t l, size_t j)
{
    if (!s->layer->product) return l * up16(s->columns) + j;
    size_t width = s->columns - j / 32 * 32 > 16 ? 32 : 16;
    return j / 32 * 32 * s->rows + l * width + j % 32;
}

/* The numbers of a pair's noise before those of a stage: lowrank draws them in one stream. */
static inline size_t record_at(const definition *d, int stage)
{
    size_t at = 0, r = (size_t)d->rank;
    for (int i = 0; i < stage; i++) {
        const zo_stage *s = d->net->stage + i;
        size_t row = up16(s->columns);
        if (!s->rows) continue;
        at += s->layer->product ? r * up16(s->rows) + (r + s->has_bias) * row
                                : (s->rows + s->has_bias) * row;
    }
    return at;
}

/* The noise of weight [l][j] of a stage, or of bias j if l is its number of rows. */
static inline double noise_of(const definition *d, int64_t pair, int stage, size_t l, size_t j)
{
    const zo_stage *s = d->net->stage + stage;
    size_t floats_of = s->rows * up16(s->columns), r = (size_t)d->rank;
    bool bias = l == s->rows;
    if (bias && d->twin == NO_BIAS) return 0;
    if (!d->rank || !s->layer->product) {
        uint32_t item = d->rank ? (uint32_t)pair : (uint32_t)(pair * d->net->stages + stage);
        size_t at = d->rank ? record_at(d, stage) : 0;
        return number_at(d, item, at + (bias ? floats_of + j : place_of(s, l, j)));
    }
    size_t at = record_at(d, stage), a = at + r * up16(s->rows), row = up16(s->columns);
    if (bias) return number_at(d, (uint32_t)pair, a + r * row + j);
    double sum = 0;
    for (size_t q = 0; q < r; q++)
        sum += number_at(d, (uint32_t)pair, at + q * up16(s->rows) + l) *
               number_at(d, (uint32_t)pair, a + q * row + j);
    return d->twin == NO_ROOT_OF_RANK ? sum : sum / sqrt(d->rank);
}

/* ---- members ---- */

/* All numbers of a net in the order of its segments. */
static inline double *noise_of_pair(const definition *d, int64_t pair)
{
    double *out = calloc((size_t)d->net->parameters, sizeof *out), *to = out;
    assert_non_null(out);
    for (int i = 0; i < d->net->stages; i++) {
        const zo_stage *s = d->net->stage + i;
        for (size_t l = 0; l < s->rows + s->has_bias; l++) {
            for (size_t j = 0; j < s->columns; j++) *to++ = noise_of(d, pair, i, l, j);
        }
    }
    assert_true(to == out + d->net->parameters);
    return out;
}

static inline zo_net *member_of(const definition *d, const double *noise, double move)
{
    zo_net *net = NULL;
    assert_int_equal(zo_net_copy(d->net, &net), ZO_OK);
    for (int i = 0; i < zo_net_segments(net); i++) {
        zo_segment t;
        assert_int_equal(zo_net_segment(net, i, &t), ZO_OK);
        size_t n = (size_t)(t.shape[0] * (t.rank == 2 ? t.shape[1] : 1));
        float *x = floats(n);
        assert_int_equal(zo_net_get(net, i, x), ZO_OK);
        for (size_t j = 0; j < n; j++) x[j] = (float)((double)x[j] + move * *noise++);
        assert_int_equal(zo_net_set(net, i, x), ZO_OK);
        free(x);
    }
    return net;
}

static inline double cross_entropy64(const float *y, int n, int label)
{
    double largest = (double)y[0], sum = 0;
    for (int j = 1; j < n; j++) largest = fmax(largest, (double)y[j]);
    for (int j = 0; j < n; j++) sum += exp((double)y[j] - largest);
    return log(sum) + largest - (double)y[label];
}

/* loss[n] of a network on the training part's examples order[0 .. n); their loss together in all of them where it is such a one. */
static inline void losses_of(const definition *d, const zo_net *net, const int32_t *order, size_t n,
                             double *loss)
{
    const zo_examples *part = d->task->part + ZO_TRAIN;
    size_t inputs = (size_t)net->inputs, outputs = (size_t)net->outputs;
    float *x = floats(n * inputs), *y = floats(n * outputs), *own = floats(n);
    int32_t *label = calloc(n, sizeof *label);
    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * inputs, part->x + (size_t)order[i] * (size_t)d->task->stride,
               inputs * sizeof *x);
        label[i] = part->label[order[i]];
    }
    assert_int_equal(zo_net_forward(net, (int64_t)n, x, y), ZO_OK);
    if (d->loss) d->loss(d->loss_user, (int)n, (int)outputs, y, (int)outputs, label, NULL, own);
    for (size_t i = 0; i < n; i++)
        loss[i] =
            d->loss ? (double)own[i] : cross_entropy64(y + i * outputs, (int)outputs, label[i]);
    double whole = d->batch_loss ? d->batch_loss(d->loss_user, (int)n, (int)outputs, y,
                                                 (int)outputs, label, NULL)
                                 : 0;
    for (size_t i = 0; d->batch_loss && i < n; i++) loss[i] = whole;
    free(x);
    free(y);
    free(own);
    free(label);
}

/* The mean loss of a member on examples first, first + 1, ... of the batch, n of them, around its end; NaN if it loses others than the
 * unperturbed network, whose losses are `clean`. */
static inline double outcome_of(const definition *d, const zo_net *net, const int32_t *order,
                                size_t batch, size_t first, size_t n, const double *clean)
{
    double *loss = calloc(batch, sizeof *loss), sum = 0, count = 0;
    if (d->batch_loss) {
        int32_t *seen = calloc(n, sizeof *seen);
        for (size_t i = 0; i < n; i++) seen[i] = order[(first + i) % batch];
        losses_of(d, net, seen, n, loss);
        sum = loss[0];
        free(seen);
        free(loss);
        return sum;
    }
    losses_of(d, net, order, batch, loss);
    for (size_t i = 0; i < n; i++) {
        size_t b = (first + i) % batch;
        if (!isfinite(loss[b]) != !isfinite(clean[b])) sum = NAN;
        if (!isfinite(clean[b])) continue;
        sum += loss[b];
        count++;
    }
    free(loss);
    return sum / count;
}

/* ---- the step ---- */

/* all[2 n]: the losses that are shaped, the first of every pair and then the second. Those of a dropped pair are the clean loss. Draws of
 * lowrank see different examples, so each pair is taken from its middle. Returns how many are dropped. */
static inline int64_t line_up(const definition *d, const double *plus, const double *minus,
                              double clean, double *all)
{
    size_t n = (size_t)d->population;
    int64_t dropped = 0;
    bool middle = (d->rank > 0) != (d->twin == OTHER_MIDDLE);
    for (size_t i = 0; i < n; i++) {
        bool good = isfinite(plus[i]) && isfinite(minus[i]);
        double half = good ? (plus[i] - minus[i]) / 2 : 0, place = middle ? 0 : clean;
        if (d->twin == DROPPED_WORST) place = 1e3;
        all[i] = !good ? place : middle ? half : plus[i];
        all[n + i] = !good ? place : middle ? -half : minus[i];
        dropped += !good;
    }
    return dropped;
}

/* weight[i] of every pair, already over d sigma N; returns how many are dropped. */
static inline int64_t weigh(const definition *d, const double *plus, const double *minus,
                            double clean, double *weight)
{
    size_t n = (size_t)d->population;
    double *all = calloc(2 * n, sizeof *all), pairs = (double)n;
    assert_non_null(all);
    int64_t dropped = line_up(d, plus, minus, clean, all);
    if (d->twin == DROPPED_APART) pairs -= (double)dropped;
    double scale = (d->one_sided ? 1 : 2) * (d->twin == NO_SCALE ? 1 : d->sigma) * pairs;
    for (size_t i = 0; i < n; i++) weight[i] = shaped(d->shaping, all, n, i) / scale;
    free(all);
    return dropped;
}

/* The direction in the order of the segments, malloc'ed; *loss and *dropped as a step reports them. */
static inline double *direction_by_definition(const definition *d, double *loss, int64_t *dropped)
{
    size_t n = (size_t)d->population, batch = (size_t)d->task->part[ZO_TRAIN].n,
           all = (size_t)d->net->parameters, seen = d->examples ? (size_t)d->examples : batch;
    double *clean = calloc(batch, sizeof *clean), *plus = calloc(3 * n, sizeof *plus),
           *minus = plus + n, *weight = minus + n, *g = calloc(all, sizeof *g), finite = 0;
    zo_batches batches;
    assert_int_equal(zo_batches_init(&batches, d->ctx, d->seed, (int64_t)batch, (int)batch), ZO_OK);
    const int32_t *order = zo_batches_at(&batches, 0);
    losses_of(d, d->net, order, batch, clean);
    *loss = 0;
    for (size_t b = 0; b < batch; b++) {
        if (isfinite(clean[b])) *loss += clean[b], finite++;
    }
    *loss = d->batch_loss ? clean[0] : *loss / finite;
    for (size_t i = 0; i < n; i++) {
        double *noise = noise_of_pair(d, (int64_t)i);
        zo_net *up = member_of(d, noise, d->sigma),
               *down = member_of(d, noise, d->one_sided ? 0 : -d->sigma);
        plus[i] = outcome_of(d, up, order, batch, i * seen % batch, seen, clean);
        minus[i] = outcome_of(d, down, order, batch, i * seen % batch, seen, clean);
        zo_net_destroy(up);
        zo_net_destroy(down);
        free(noise);
    }
    *dropped = weigh(d, plus, minus, *loss, weight) + (int64_t)((double)batch - finite);
    for (size_t i = 0; i < n; i++) {
        double *noise = noise_of_pair(d, (int64_t)i);
        for (size_t j = 0; j < all; j++)
            g[j] += (d->twin == OTHER_SIGN && i % 2 ? -1 : 1) * weight[i] * noise[j];
        free(noise);
    }
    zo_batches_fini(&batches);
    free(clean);
    free(plus);
    return g;
}

/* What a step of the estimator takes away from the parameters, in the same order. */
static inline double *direction_by_step(const definition *d, zo_step_info *info)
{
    char text[8][40];
    snprintf(text[0], 40, "population=%lld", (long long)d->population);
    snprintf(text[1], 40, "sigma=%g", d->sigma);
    snprintf(text[2], 40, "sides=%s", d->one_sided ? "one" : "two");
    snprintf(text[3], 40, "noise=%s", d->gaussian ? "gaussian" : "rademacher");
    snprintf(text[4], 40, "rank=%d", d->rank);
    snprintf(text[5], 40, "examples=%lld", (long long)d->examples);
    snprintf(text[6], 40, "sigma_jump=%g", d->sigma);
    snprintf(text[7], 40, "shaping=%s", shapings[d->shaping]);
    const char *settings[12] = {"batch=65536", "lr=1", "schedule=constant", text[0], text[1],
                                text[2],       text[3]};
    size_t set = 7;
    if (d->method) settings[3] = text[1], settings[4] = text[6], set = 5;
    if (d->method) settings[5] = settings[6] = NULL;
    if (d->method && strstr(d->method, "mezo")) settings[set++] = text[3];
    if (d->rank) settings[set++] = text[4], settings[set++] = text[5], settings[set++] = text[6];
    if (!d->unsaid && !d->method) settings[set++] = text[7];
    zo_trainer_def def = zo_trainer_default_def();
    def.method = d->method ? d->method : d->rank ? "lowrank:sgd" : "weights:sgd";
    def.task = d->task;
    def.net = d->net;
    def.seed = d->seed;
    def.settings = settings;
    def.loss = d->loss;
    def.batch_loss = d->batch_loss;
    def.loss_user = d->loss_user;
    zo_trainer *trainer = NULL;
    if (zo_trainer_create(d->ctx, &def, &trainer) || zo_trainer_step(trainer, 0, info))
        fail_msg("%s: %s", d->net->spec, zo_last_error(d->ctx));
    double *g = calloc((size_t)d->net->parameters, sizeof *g), *to = g;
    for (int i = 0; i < zo_net_segments(d->net); i++) {
        zo_segment t;
        assert_int_equal(zo_net_segment(d->net, i, &t), ZO_OK);
        size_t n = (size_t)(t.shape[0] * (t.rank == 2 ? t.shape[1] : 1));
        float *before = floats(n), *after = floats(n);
        assert_int_equal(zo_net_get(d->net, i, before), ZO_OK);
        assert_int_equal(zo_net_get(zo_trainer_net(trainer), i, after), ZO_OK);
        for (size_t j = 0; j < n; j++) *to++ = (double)before[j] - (double)after[j];
        free(before);
        free(after);
    }
    zo_trainer_destroy(trainer);
    return g;
}

/* |a - b| / |b| */
static inline double distance64(const double *a, const double *b, size_t n)
{
    double dd = 0, bb = 0;
    for (size_t i = 0; i < n; i++) dd += (a[i] - b[i]) * (a[i] - b[i]), bb += b[i] * b[i];
    return sqrt(dd / bb);
}

/* How far a step is from the definition. */
static inline double error_of(const definition *d)
{
    double loss, *want, *got;
    int64_t dropped;
    zo_step_info info;
    want = direction_by_definition(d, &loss, &dropped);
    got = direction_by_step(d, &info);
    if (!d->method) assert_near(info.loss, loss, 1e-6, 1e-5, d->net->spec);
    assert_int_equal(info.dropped, dropped);
    double error = distance64(got, want, (size_t)d->net->parameters);
    free(want);
    free(got);
    return error;
}
#endif

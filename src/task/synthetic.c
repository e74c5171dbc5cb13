/* Made-up tasks whose best possible error is known. Example i comes from the random stream of item
 * i, so a task with more examples begins with those of a smaller one. A quarter of them is held
 * out for the test. */
#include <math.h>

#include "base/random.h"
#include "task/task.h"

#define TEST_SHARE 0.25
#define EXAMPLE_ROW(type, standard)                                                                \
    ZO_PARAM_INT_ROW(type, n, standard, 16, 100000000, "examples, held-out ones included")

/* Room for the examples: labels, or one target each if classes is 0. */
static zo_status prepare(const zo_context *ctx, int64_t n, int64_t inputs, int64_t classes,
                         zo_raw *raw)
{
    raw->n = n;
    raw->inputs = (int)inputs;
    raw->classes = (int)classes;
    raw->targets = classes ? 0 : 1;
    raw->test_share = TEST_SHARE;
    raw->net = "dense64 relu dense64 relu";
    raw->x = zo_alloc(ctx, (size_t)n * (size_t)inputs * sizeof *raw->x);
    if (classes)
        raw->label = zo_alloc(ctx, (size_t)n * sizeof *raw->label);
    else
        raw->target = zo_alloc(ctx, (size_t)n * sizeof *raw->target);
    return raw->x && (raw->label || raw->target) ? ZO_OK : ZO_NO_MEMORY;
}

static zo_random example(uint64_t seed, int64_t i)
{
    return zo_random_at(seed, ZO_FOR_DATA, 0, (uint32_t)i);
}

/* ---- blobs: Gaussian clusters ----
 *
 * Class c of k lies around radius (cos 2 pi c / k, sin 2 pi c / k, 0, ...), radius = 1 / sin(pi /
 * k), so that neighbours are 2 apart, with deviation `spread` in every direction. The least
 * possible error of two classes is Phi(-1 / spread), Phi being the normal distribution; of more,
 * between that and twice that. */

typedef struct blobs {
    double validation, spread;
    int64_t n, classes, inputs;
} blobs;

static zo_status load_blobs(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    const blobs *s = values;
    double cosine, sine;
    if (s->inputs < 2 && s->classes > 2)
        return zo_fail(ctx, ZO_USAGE, "inputs=1 has room for classes=2 only: give inputs=2 or more");
    zo_status status = prepare(ctx, s->n, s->inputs, s->classes, raw);
    if (status) return status;
    zo_turn64(0.5 / (double)s->classes, &cosine, &sine);
    double radius = 1 / sine;
    for (int64_t i = 0; i < s->n; i++) {
        zo_random r = example(def->seed, i);
        float *x = raw->x + i * s->inputs;
        raw->label[i] = (int32_t)(i % s->classes);
        zo_turn64((double)raw->label[i] / (double)s->classes, &cosine, &sine);
        for (int64_t f = 0; f < s->inputs; f++) {
            double centre = f == 0 ? radius * cosine : f == 1 ? radius * sine : 0;
            x[f] = (float)(centre + s->spread * zo_random_normal(&r));
        }
    }
    return ZO_OK;
}

static const zo_param blobs_params[] = {
    ZO_VALIDATION_ROW(blobs),
    EXAMPLE_ROW(blobs, 2000),
    ZO_PARAM_INT_ROW(blobs, classes, 3, 2, 1000, "clusters, 2 apart on a circle"),
    ZO_PARAM_INT_ROW(blobs, inputs, 2, 1, 100000, "features; past the second they are noise"),
    ZO_PARAM_REAL_ROW(blobs, spread, 0.5, 0, 1000, "deviation of a cluster"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_blobs = {
    .info = {"blobs", "synthetic: Gaussian clusters on a circle",
             "least error of two: Phi(-1 / spread)", ZO_USES_NOTHING, blobs_params},
    .settings_size = sizeof(blobs),
    .load = load_blobs,
};

/* ---- spirals ----
 *
 * Arm a of k: x = t (cos phi, sin phi) with phi / 2 pi = a / k + turns t, t uniform in [0.1, 1),
 * plus noise. Neighbouring arms are 1 / (k turns) apart along a ray, so without noise the least
 * error is 0. */

typedef struct spirals {
    double validation, spread, turns;
    int64_t n, arms;
} spirals;

static zo_status load_spirals(zo_context *ctx, const zo_task_def *def, const void *values,
                              zo_raw *raw)
{
    const spirals *s = values;
    zo_status status = prepare(ctx, s->n, 2, s->arms, raw);
    for (int64_t i = 0; i < s->n && !status; i++) {
        zo_random r = example(def->seed, i);
        double cosine, sine, t = 0.1 + 0.9 * zo_random_uniform(&r);
        raw->label[i] = (int32_t)(i % s->arms);
        double turn = (double)raw->label[i] / (double)s->arms + s->turns * t;
        zo_turn64(turn - floor(turn), &cosine, &sine);
        raw->x[2 * i] = (float)(t * cosine + s->spread * zo_random_normal(&r));
        raw->x[2 * i + 1] = (float)(t * sine + s->spread * zo_random_normal(&r));
    }
    return status;
}

static const zo_param spirals_params[] = {
    ZO_VALIDATION_ROW(spirals),
    EXAMPLE_ROW(spirals, 2000),
    ZO_PARAM_INT_ROW(spirals, arms, 2, 2, 5, "arms, one class each"),
    ZO_PARAM_REAL_ROW(spirals, turns, 1.5, 0, 20, "turns of an arm from centre to rim"),
    ZO_PARAM_REAL_ROW(spirals, spread, 0.02, 0, 10, "deviation of the points from their arm"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_spirals = {
    .info = {"spirals", "synthetic: 2 to 5 arms wound around each other",
             "after Lang & Witbrock 1988, Learning to tell two spirals apart", ZO_USES_NOTHING,
             spirals_params},
    .settings_size = sizeof(spirals),
    .load = load_spirals,
};

/* ---- xor: parity ----
 *
 * Features are -1 or 1, each bit fair; the label is the parity of the ones, flipped with
 * probability `flip`, which is the least possible error (flip <= 1/2). */

typedef struct parity {
    double validation, flip;
    int64_t n, bits;
} parity;

static zo_status load_xor(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    const parity *s = values;
    zo_status status = prepare(ctx, s->n, s->bits, 2, raw);
    for (int64_t i = 0; i < s->n && !status; i++) {
        zo_random r = example(def->seed, i);
        uint32_t word = zo_random_word(&r), odd = 0;
        for (int64_t b = 0; b < s->bits; b++) {
            uint32_t bit = word >> b & 1;
            raw->x[i * s->bits + b] = bit ? 1.0f : -1.0f;
            odd ^= bit;
        }
        raw->label[i] = (int32_t)(odd ^ (zo_random_uniform(&r) < s->flip));
    }
    return status;
}

static const zo_param xor_params[] = {
    ZO_VALIDATION_ROW(parity),
    EXAMPLE_ROW(parity, 1000),
    ZO_PARAM_INT_ROW(parity, bits, 2, 1, 32, "features; the label is their parity"),
    ZO_PARAM_REAL_ROW(parity, flip, 0, 0, 0.5, "probability of a wrong label: the least error"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_xor = {
    .info = {"xor", "synthetic: the parity of bits, two of them by default", "least error: flip",
             ZO_USES_NOTHING, xor_params},
    .settings_size = sizeof(parity),
    .load = load_xor,
};

/* ---- plane: linear regression ----
 *
 * y = 1/2 + sum_f (-1)^f (f + 1) / inputs x_f + spread e, with x and e standard normal: the least
 * possible mean squared error is spread^2, reached by a single linear layer. */

typedef struct plane {
    double validation, spread;
    int64_t n, inputs;
} plane;

static zo_status load_plane(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    const plane *s = values;
    zo_status status = prepare(ctx, s->n, s->inputs, 0, raw);
    for (int64_t i = 0; i < s->n && !status; i++) {
        zo_random r = example(def->seed, i);
        double y = 0.5 + s->spread * zo_random_normal(&r);
        for (int64_t f = 0; f < s->inputs; f++) {
            double x = zo_random_normal(&r), slope = (double)(f + 1) / (double)s->inputs;
            raw->x[i * s->inputs + f] = (float)x;
            y += f % 2 ? -slope * x : slope * x;
        }
        raw->target[i] = (float)y;
    }
    return status;
}

static const zo_param plane_params[] = {
    ZO_VALIDATION_ROW(plane),
    EXAMPLE_ROW(plane, 1000),
    ZO_PARAM_INT_ROW(plane, inputs, 4, 1, 100000, "features"),
    ZO_PARAM_REAL_ROW(plane, spread, 0.1, 0, 1000, "deviation of the targets from the plane"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_plane = {
    .info = {"plane", "synthetic: linear regression with known slopes",
             "least mean squared error: spread^2", ZO_USES_NOTHING, plane_params},
    .settings_size = sizeof(plane),
    .load = load_plane,
};

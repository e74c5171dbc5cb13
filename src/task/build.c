/* From raw features to a task: parts, standardised features, default net, checksum.
 *
 * Mean and variance of the training part are float64 sums over tiles of TILE examples, the tiles
 * added in order, so that no bit depends on the number of threads. Each feature gets shift = mean
 * and scale = 1 / deviation; images get one scale for all, 1 / sqrt(mean variance), because the
 * pixels that hardly change should stay small. A feature that does not change gets scale 1. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "task/task.h"

#define TILE 512
#define INPUTS_MOST (1 << 20)

/* Examples of raw data: floats, or pixels that become floats on the way. */
typedef struct source {
    const float *x;
    const uint8_t *pixels;
    const int32_t *index; /* NULL: 0, 1, ... */
    int64_t n;
    int inputs;
    float *buffer; /* [workers][inputs] */
} source;

static const float *row_at(const source *s, int64_t i, int worker)
{
    size_t inputs = (size_t)s->inputs, at = (size_t)(s->index ? s->index[i] : i) * inputs;
    if (s->x) return s->x + at;
    const uint8_t *pixel = s->pixels + at;
    float *row = s->buffer + (size_t)worker * inputs;
    for (size_t f = 0; f < inputs; f++) row[f] = (float)pixel[f] / 255.0f;
    return row;
}

static int64_t tiles_of(int64_t n) { return (n + TILE - 1) / TILE; }

static int64_t tile_end(int64_t tile, int64_t n)
{
    return (tile + 1) * TILE < n ? (tile + 1) * TILE : n;
}

typedef struct moment {
    const source *from;
    const double *mean; /* NULL: sums of x, else sums of (x - mean)^2 */
    double *sum;        /* [tiles][inputs] */
} moment;

static void moment_tile(void *arg, int64_t tile, int worker)
{
    const moment *m = arg;
    size_t inputs = (size_t)m->from->inputs;
    double *sum = m->sum + (size_t)tile * inputs;
    memset(sum, 0, inputs * sizeof *sum);
    for (int64_t i = tile * TILE; i < tile_end(tile, m->from->n); i++) {
        const float *x = row_at(m->from, i, worker);
        for (size_t f = 0; f < inputs && !m->mean; f++) sum[f] += (double)x[f];
        for (size_t f = 0; f < inputs && m->mean; f++) {
            double d = (double)x[f] - m->mean[f];
            sum[f] += d * d;
        }
    }
}

/* out[inputs] = mean of x, or of (x - mean)^2. `sum` is room for the tiles. */
static void average(const zo_context *ctx, const source *from, const double *mean, double *sum,
                    double *out)
{
    moment m = {from, mean, sum};
    size_t inputs = (size_t)from->inputs, tiles = (size_t)tiles_of(from->n);
    zo_parallel(ctx, (int64_t)tiles, moment_tile, &m);
    memset(out, 0, inputs * sizeof *out);
    for (size_t t = 0; t < tiles; t++) {
        for (size_t f = 0; f < inputs; f++) out[f] += sum[t * inputs + f];
    }
    for (size_t f = 0; f < inputs; f++) out[f] /= (double)from->n;
}

static float scale_of(double mean, double variance)
{
    double deviation = sqrt(variance);
    return deviation <= 1e-12 * fabs(mean) || deviation < 1e-30 ? 1.0f : (float)(1 / deviation);
}

static zo_status standardise(const zo_context *ctx, const source *from, bool one_scale,
                             zo_task *task)
{
    size_t inputs = (size_t)from->inputs;
    double *mean = zo_alloc_zero(ctx, inputs, sizeof *mean);
    double *variance = zo_alloc_zero(ctx, inputs, sizeof *variance);
    double *sum = zo_alloc(ctx, (size_t)tiles_of(from->n) * inputs * sizeof *sum), common = 0;
    zo_status status = mean && variance && sum ? ZO_OK : ZO_NO_MEMORY;
    if (!status) {
        average(ctx, from, NULL, sum, mean);
        average(ctx, from, mean, sum, variance);
        for (size_t f = 0; f < inputs; f++) common += variance[f];
        for (size_t f = 0; f < inputs; f++) {
            task->shift[f] = (float)mean[f];
            task->scale[f] =
                one_scale ? scale_of(0, common / (double)inputs) : scale_of(mean[f], variance[f]);
        }
    }
    zo_free(ctx, mean);
    zo_free(ctx, variance);
    zo_free(ctx, sum);
    return status;
}

typedef struct fill {
    const source *from;
    const zo_task *task;
    float *x; /* [n][stride] */
} fill;

static void fill_tile(void *arg, int64_t tile, int worker)
{
    const fill *job = arg;
    const zo_task *task = job->task;
    size_t inputs = (size_t)task->inputs, stride = (size_t)task->stride;
    const float *restrict shift = task->shift, *restrict scale = task->scale;
    for (int64_t i = tile * TILE; i < tile_end(tile, job->from->n); i++) {
        const float *restrict x = row_at(job->from, i, worker);
        float *restrict out = job->x + (size_t)i * stride;
        for (size_t f = 0; f < inputs; f++) out[f] = (x[f] - shift[f]) * scale[f];
        for (size_t f = inputs; f < stride; f++) out[f] = 0;
    }
}

/* Gathers one part; label and target are those of the whole source. */
static zo_status fill_part(const zo_context *ctx, const source *from, const int32_t *label,
                           const float *target, zo_task *task, zo_examples *out)
{
    size_t n = (size_t)from->n, outputs = (size_t)task->outputs;
    out->n = from->n;
    out->x = zo_alloc(ctx, n * (size_t)task->stride * sizeof *out->x);
    if (task->classes)
        out->label = zo_alloc(ctx, n * sizeof *out->label);
    else
        out->target = zo_alloc(ctx, n * outputs * sizeof *out->target);
    if (!out->x || !(out->label || out->target)) return ZO_NO_MEMORY;
    fill job = {from, task, out->x};
    zo_parallel(ctx, tiles_of(from->n), fill_tile, &job);
    for (size_t i = 0; i < n; i++) {
        size_t at = from->index ? (size_t)from->index[i] : i;
        if (out->label)
            out->label[i] = label[at];
        else
            memcpy(out->target + i * outputs, target + at * outputs, outputs * sizeof *target);
    }
    return ZO_OK;
}

/* Lists the examples of each part in `index` and sets from[part] accordingly. */
static zo_status list_parts(const zo_context *ctx, const zo_raw *raw, uint64_t seed,
                            double validation, int32_t *index, source from[ZO_PARTS])
{
    uint8_t *part = zo_alloc(ctx, (size_t)raw->n);
    if (!part) return ZO_NO_MEMORY;
    zo_status status = zo_split_parts(ctx, seed, validation, raw->n_test ? 0 : raw->test_share,
                                      raw->classes, raw->label, raw->n, part);
    for (int p = 0; p < ZO_PARTS && !status; p++) {
        from[p].index = index;
        for (int64_t i = 0; i < raw->n; i++) {
            if (part[i] == p) *index++ = (int32_t)i;
        }
        from[p].n = index - from[p].index;
    }
    zo_free(ctx, part);
    return status;
}

/* The network learns whatever the targets' unit, but it answers in float32. */
static void warn_of_steps(const zo_task *task, double mean, double deviation)
{
    float at = fabsf((float)mean);
    if (deviation <= 0 || deviation >= 1e-5 * fabs(mean)) return;
    zo_log(task->ctx, ZO_LOG_WARNING,
           "%s: the numbers to predict lie within about %.3g of %.9g, and predictions are float32, "
           "which has steps of %.3g there: subtract a constant from them",
           task->name, deviation, mean, (double)(nextafterf(at, INFINITY) - at));
}

/* Targets get mean 0 and deviation 1 on the training part, as features do: steps then fit whatever
 * their unit. What they were counted from is part of the shift that gives the unit back. */
static void standardise_target(double offset, zo_task *task, size_t column)
{
    size_t outputs = (size_t)task->outputs;
    const zo_examples *train = &task->part[ZO_TRAIN];
    double mean = 0, variance = 0, n = (double)train->n;
    for (int64_t i = 0; i < train->n; i++)
        mean += (double)train->target[(size_t)i * outputs + column];
    mean /= n;
    for (int64_t i = 0; i < train->n; i++) {
        double d = (double)train->target[(size_t)i * outputs + column] - mean;
        variance += d * d;
    }
    float shift = (float)mean, scale = scale_of(mean, variance / n);
    warn_of_steps(task, offset + mean, sqrt(variance / n));
    task->target_shift[column] = (float)(offset + (double)shift);
    task->target_scale[column] = 1 / scale;
    for (int p = 0; p < ZO_PARTS; p++) {
        for (int64_t i = 0; i < task->part[p].n; i++) {
            float *t = task->part[p].target + (size_t)i * outputs + column;
            *t = (*t - shift) * scale;
        }
    }
}

static zo_status standardise_targets(const zo_context *ctx, double offset, bool standard,
                                     zo_task *task)
{
    size_t outputs = (size_t)task->outputs;
    task->target_shift = zo_alloc_zero(ctx, outputs, sizeof(float));
    task->target_scale = zo_alloc_zero(ctx, outputs, sizeof(float));
    if (!task->target_shift || !task->target_scale) return ZO_NO_MEMORY;
    for (size_t j = 0; j < outputs; j++) {
        task->target_shift[j] = (float)offset;
        task->target_scale[j] = 1;
        if (standard) standardise_target(offset, task, j);
    }
    return ZO_OK;
}

static zo_status fill_parts(const zo_context *ctx, const zo_raw *raw, bool standard,
                            source from[ZO_PARTS], zo_task *task)
{
    zo_status status = ZO_OK;
    for (int f = 0; f < task->inputs; f++) {
        task->shift[f] = 0;
        task->scale[f] = 1;
    }
    if (standard) status = standardise(ctx, &from[ZO_TRAIN], raw->one_scale, task);
    for (int p = 0; p < ZO_PARTS && !status; p++) {
        bool own = p == ZO_TEST && raw->n_test;
        status = fill_part(ctx, &from[p], own ? raw->label_test : raw->label,
                           own ? raw->target_test : raw->target, task, &task->part[p]);
    }
    if (!status && !task->classes)
        status = standardise_targets(ctx, raw->target_offset, standard, task);
    return status;
}

static zo_status make_parts(const zo_context *ctx, const zo_raw *raw, uint64_t seed,
                            double validation, bool standard, zo_task *task)
{
    source from[ZO_PARTS];
    int32_t *index = zo_alloc(ctx, (size_t)raw->n * sizeof *index);
    float *buffer = zo_alloc_zero(ctx, (size_t)zo_context_threads(ctx) * (size_t)raw->inputs,
                                  raw->pixels ? sizeof *buffer : 0);
    zo_status status = index && buffer ? ZO_OK : ZO_NO_MEMORY;
    for (int p = 0; p < ZO_PARTS; p++)
        from[p] = (source){raw->x, raw->pixels, NULL, 0, raw->inputs, buffer};
    if (!status) status = list_parts(ctx, raw, seed, validation, index, from);
    if (raw->n_test)
        from[ZO_TEST] =
            (source){raw->x_test, raw->pixels_test, NULL, raw->n_test, raw->inputs, buffer};
    if (!status) status = fill_parts(ctx, raw, standard, from, task);
    zo_free(ctx, index);
    zo_free(ctx, buffer);
    return status;
}

static const char *number_name(const void *room, int i)
{
    snprintf((char *)room, 16, "%d", i);
    return room;
}

/* Name, class names, default net and the arrays of the scale. */
static zo_status make_face(const zo_context *ctx, const char *name, zo_raw *raw, zo_task *task)
{
    char number[16] = "", net[256];
    size_t inputs = (size_t)raw->inputs;
    task->class_name = raw->class_name;
    task->encoder = raw->encoder;
    raw->class_name = NULL;
    raw->encoder = NULL;
    if (task->classes && !task->class_name)
        task->class_name = zo_names(ctx, task->classes, number_name, number);
    snprintf(net, sizeof net, "%s dense%d", raw->net ? raw->net : "dense64 relu dense64 relu",
             task->outputs);
    task->name = zo_strdup(ctx, name);
    task->net = zo_strdup(ctx, net);
    task->shift = zo_alloc(ctx, inputs * sizeof *task->shift);
    task->scale = zo_alloc(ctx, inputs * sizeof *task->scale);
    bool named = task->class_name || !task->classes;
    return task->name && task->net && task->shift && task->scale && named ? ZO_OK : ZO_NO_MEMORY;
}

static zo_status checksum_of(const zo_context *ctx, const zo_raw *raw, uint64_t *out)
{
    size_t n = (size_t)raw->n, m = (size_t)raw->n_test, k = (size_t)raw->inputs;
    size_t t = (size_t)raw->targets;
    const struct {
        const void *data;
        size_t size;
    } piece[] = {
        {raw->x, n * k * sizeof *raw->x},
        {raw->pixels, n * k},
        {raw->label, n * sizeof *raw->label},
        {raw->target, n * t * sizeof *raw->target},
        {raw->x_test, m * k * sizeof *raw->x_test},
        {raw->pixels_test, m * k},
        {raw->label_test, m * sizeof *raw->label_test},
        {raw->target_test, m * t * sizeof *raw->target_test},
    };
    *out = raw->checksum;
    if (raw->checksum) return ZO_OK;
    void *state = zo_checksum_add(NULL, "", 0);
    if (!state) return zo_fail(ctx, ZO_NO_MEMORY, "out of memory: no checksum could be made");
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        if (piece[i].data) zo_checksum_add(state, piece[i].data, piece[i].size);
    }
    *out = zo_checksum_end(state);
    return ZO_OK;
}

static zo_status check_sizes(const zo_context *ctx, const char *name, const zo_raw *raw)
{
    if (raw->inputs < 1 || raw->inputs > INPUTS_MOST)
        return zo_fail(ctx, ZO_FORMAT, "%s: %d features per example; 1 to %d are expected", name,
                       raw->inputs, INPUTS_MOST);
    if (raw->n < 2 || raw->n > INT32_MAX || raw->n_test > INT32_MAX)
        return zo_fail(ctx, ZO_FORMAT, "%s: %lld examples; 2 to %d are expected", name,
                       (long long)raw->n, INT32_MAX);
    return ZO_OK;
}

zo_status zo_task_split(zo_context *ctx, const char *name, uint64_t seed, double validation,
                        bool standard, zo_raw *raw, zo_task **out)
{
    *out = NULL;
    zo_status status = check_sizes(ctx, name, raw);
    if (status) return status;
    zo_task *task = zo_alloc_zero(ctx, 1, sizeof *task);
    if (!task) return ZO_NO_MEMORY;
    task->ctx = ctx;
    task->inputs = raw->inputs;
    task->classes = raw->classes;
    task->outputs = raw->classes ? raw->classes : raw->targets;
    task->height = raw->height;
    task->width = raw->width;
    task->channels = raw->channels;
    task->stride = (raw->inputs + 15) / 16 * 16;
    status = make_face(ctx, name, raw, task);
    if (!status) status = checksum_of(ctx, raw, &task->checksum);
    if (!status) status = make_parts(ctx, raw, seed, validation, standard, task);
    if (status)
        zo_task_destroy(task);
    else
        *out = task;
    return status;
}

zo_status zo_task_build(zo_context *ctx, const char *name, uint64_t seed, double validation,
                        bool standard, zo_raw *raw, zo_task **out)
{
    zo_status status = zo_task_split(ctx, name, seed, validation, standard, raw, out);
    zo_raw_free(ctx, raw);
    return status;
}

void zo_raw_free(const zo_context *ctx, zo_raw *raw)
{
    void *all[] = {raw->x,          raw->pixels,      raw->label,      raw->target,
                   raw->x_test,     raw->pixels_test, raw->label_test, raw->target_test,
                   raw->class_name, raw->encoder};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(ctx, all[i]);
    *raw = (zo_raw){0};
}

/* What the tests of directions on images share: a task, a net and its oracle, what the oracle says of each parameter, and comparisons with
 * what a step did.
 */
#ifndef ZO_TESTS_IMAGES_TRAINING_H
#define ZO_TESTS_IMAGES_TRAINING_H

#include "images_support.h"

#define COMMON "batch=65536", "lr=1", "schedule=constant"
#define SMALL 1e-6 /* a move in double precision */

typedef struct images_scene {
    zo_task *task;
    zo_net *net;
    images64 *oracle;
    batch64 batch;
    int examples;
    char loss[32]; /* "loss=..." */
} images_scene;

/* A net on n images, of which 1/12 is held out. */
static inline images_scene set_images(zo_context *ctx, int n, const char *spec, size64 in,
                                      int classes, int outputs, const char *loss)
{
    images_scene s = {.task = make_images(ctx, n, in.h, in.w, in.c, classes, outputs),
                      .batch = {.loss = loss}};
    s.net = make_net(ctx, s.task, spec, 7);
    s.oracle = images64_of(s.net);
    s.batch.task = s.task;
    s.examples = (int)s.task->part[ZO_TRAIN].n;
    snprintf(s.loss, sizeof s.loss, "loss=%s", loss);
    return s;
}

static inline void clear_images(images_scene *s)
{
    free64(s->oracle);
    zo_net_destroy(s->net);
    zo_task_destroy(s->task);
}

static inline const float *example_at(const images_scene *s, int b)
{
    return s->task->part[ZO_TRAIN].x + (size_t)b * (size_t)s->task->stride;
}

/* The loss of example b, of a net that has been moved. */
static inline double example_loss(const images_scene *s, int b, moves64 moves)
{
    const double *y = run64(s->oracle, example_at(s, b), moves);
    return loss_of64(&s->batch, b, y, outputs64(s->oracle));
}

/* The same where nothing has changed before stage `from` since the last run of this example. */
static inline double loss_on(const images_scene *s, int b, int from, moves64 moves)
{
    return loss_of64(&s->batch, b, run_on64(s->oracle, from, moves), outputs64(s->oracle));
}

static inline int parameters64(const stage64 *s) { return s->weights + s->biases; }

/* Parameter i of a stage: weights, then biases. */
static inline double *parameter64(stage64 *s, int i)
{
    return i < s->weights ? s->w + i : s->b + (i - s->weights);
}

/* The direction of a stage from central differences of each parameter: its own for each example, g[examples][parameters]. With `rule` that
 * of the straight-through rule. malloc'ed. */
static inline double *differences64(const images_scene *s, int stage, bool rule)
{
    stage64 *of = s->oracle->stage + stage;
    int n = parameters64(of);
    double *g = calloc((size_t)(n * s->examples + 1), sizeof *g);
    for (int b = 0; b < s->examples; b++) {
        if (rule)
            hold64(s->oracle, example_at(s, b));
        else
            run64(s->oracle, example_at(s, b), still);
        for (int i = 0; i < n; i++) {
            double *p = parameter64(of, i), kept = *p;
            *p = kept + SMALL;
            double plus = loss_on(s, b, stage, still);
            *p = kept - SMALL;
            g[b * n + i] = (plus - loss_on(s, b, stage, still)) / (2 * SMALL);
            *p = kept;
        }
    }
    s->oracle->held = false;
    return g;
}

/* The mean over the examples. malloc'ed. */
static inline double *mean64(const images_scene *s, const double *g, int n)
{
    double *mean = calloc((size_t)n + 1, sizeof *mean);
    for (int i = 0; i < n * s->examples; i++) mean[i % n] += g[i] / s->examples;
    return mean;
}

static inline double *direction64(const images_scene *s, int stage, bool rule)
{
    double *each = differences64(s, stage, rule),
           *mean = mean64(s, each, parameters64(s->oracle->stage + stage));
    free(each);
    return mean;
}

/* The largest difference between two directions of n numbers, over the largest number of `want`. */
static inline double apart64(const double *got, const double *want, int n)
{
    double most = 0, largest = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fabs(got[i] - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    return most / fmax(largest, 1e-3);
}

/* What a step did to the stage of the oracle, in the order of its parameters. malloc'ed. */
static inline double *step_of(const images_scene *s, const float *arena, int stage)
{
    return layer_direction(s->net, arena, place64(s->oracle, stage, s->net));
}

/* Pads of the arena never move. */
static inline void check_pads(const zo_net *net, const float *arena)
{
    double all = 0, known = 0;
    for (size_t i = 0; i < net->arena; i++) all += fabs((double)arena[i]);
    for (int i = 0; i < net->stages; i++) {
        size_t n = net->stage[i].rows * net->stage[i].columns +
                   (net->stage[i].has_bias ? net->stage[i].columns : 0);
        double *g = layer_direction(net, arena, i);
        for (size_t j = 0; j < n; j++) known += fabs(g[j]);
        free(g);
    }
    assert_near(all, known, 1e-12, 1e-12, "what moved in all, and what moved of the parameters");
}
#endif

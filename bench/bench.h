/* What the benchmarks share: a clock, medians, and a learner on random images whose steps can be taken phase by phase. */
#ifndef ZO_BENCH_H
#define ZO_BENCH_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "learn/learner.h"
#include "learn/trainer.h"

typedef struct bench_net {
    const char *name, *spec;
} bench_net;

#define MLP "dense128 relu dense128 relu dense10"
#define CNN "conv5x8 relu pool2 conv5x16 relu pool2 dense64 relu dense10"
#define RESNET                                                                                     \
    "conv3x16,same relu { conv3x16,same relu conv3x16,same }+ relu "                               \
    "{ conv3x16,same relu conv3x16,same }+ relu pool2 conv3x32,same relu "                         \
    "{ conv3x32,same relu conv3x32,same }+ relu global-mean dense10"

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void bench_require(const zo_context *ctx, zo_status status)
{
    if (!status) return;
    fprintf(stderr, "bench: %s\n", ctx ? zo_last_error(ctx) : zo_status_text(status));
    exit(1);
}

static inline void *bench_room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}

static inline int bench_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, bench_ascending);
    return x[n / 2];
}

static inline zo_context *bench_context(int threads)
{
    zo_context *ctx = NULL;
    zo_context_def def = zo_context_default_def();
    def.threads = threads;
    bench_require(NULL, zo_context_create(&def, &ctx));
    return ctx;
}

/* n numbers in [-1, 1). */
static inline float *bench_numbers(size_t n)
{
    float *p = bench_room(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((uint32_t)(i * 2654435761u + 12345u) >> 8) * 0x1p-23f - 1;
    return p;
}

/* Random images of 28 x 28 with ten classes. */
static inline zo_task *bench_task(zo_context *ctx, int inputs, int64_t n)
{
    zo_task *task = NULL;
    float *x = bench_numbers((size_t)n * (size_t)inputs);
    int32_t *label = bench_room((size_t)n * sizeof *label);
    for (int64_t i = 0; i < n; i++) label[i] = (int32_t)(i % 10);
    zo_data_def d = zo_data_default_def();
    d.inputs = inputs;
    if (inputs == 784) d.height = d.width = 28, d.channels = 1;
    d.classes = 10;
    d.n = n;
    d.x = x;
    d.label = label;
    d.standardise = false;
    bench_require(ctx, zo_task_from_data(ctx, &d, &task));
    free(x);
    free(label);
    return task;
}

static inline zo_net *bench_create(const zo_task *task, const char *spec)
{
    zo_net *net = NULL;
    zo_net_def def = zo_net_default_def();
    def.spec = spec;
    def.inputs = task->inputs;
    def.height = task->height, def.width = task->width, def.channels = task->channels;
    def.outputs = task->outputs;
    bench_require(task->ctx, zo_net_create(task->ctx, &def, &net));
    return net;
}

static inline zo_trainer *bench_trainer(const zo_task *task, const zo_net *net, const char *method,
                                        const char *const *settings)
{
    zo_trainer *t = NULL;
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = task;
    def.net = net;
    def.settings = settings;
    bench_require(task->ctx, zo_trainer_create(task->ctx, &def, &t));
    return t;
}

/* An estimator on a batch of the task's first examples, with the rule sgd. */
typedef struct bench_learner {
    zo_learner l;
    const zo_estimator_class *estimator;
    void *settings, *state;
    double rule_settings[8];
    zo_update update;
    double *results;
} bench_learner;

static inline void bench_set_batch(zo_learner *l, int batch)
{
    const zo_examples *from = &l->task->part[ZO_TRAIN];
    size_t ld = l->net->stage[0].ld_in;
    int32_t *example = bench_room((size_t)batch * sizeof *example);
    for (int i = 0; i < batch; i++) example[i] = i;
    l->batch = batch;
    l->example = example;
    l->label = from->label;
    l->x = bench_room((size_t)batch * ld * sizeof *l->x);
    memcpy(l->x, from->x, (size_t)batch * ld * sizeof *l->x);
}

static inline bench_learner *bench_learner_create(const zo_task *task, zo_net *net, int batch,
                                                  const char *estimator, const char *const *settings)
{
    bench_learner *b = bench_room(sizeof *b);
    zo_context *ctx = task->ctx;
    b->l = (zo_learner){.ctx = ctx,
                        .k = ctx->kernels,
                        .task = task,
                        .net = net,
                        .loss = &zo_loss_cross_entropy,
                        .seed = 1};
    bench_set_batch(&b->l, batch);
    b->estimator = zo_find(zo_estimator_classes, estimator);
    b->settings = bench_room(b->estimator->settings_size);
    b->state = bench_room(b->estimator->state_size);
    zo_params_default(b->estimator->info.params, b->settings);
    zo_block block = {&b->estimator->info, b->settings};
    bench_require(ctx, zo_params_apply(ctx, settings, &block, 1));
    bench_require(ctx, b->estimator->init(b->state, b->settings, &b->l));
    b->update = (zo_update){
        .k = ctx->kernels, .rule = &zo_rule_sgd, .settings = b->rule_settings, .step = 1, .net = net};
    zo_job job = b->estimator->job(b->state, &b->update);
    b->results = bench_room((size_t)job.items * job.results * sizeof *b->results);
    return b;
}

static inline void bench_learner_destroy(bench_learner *b)
{
    b->estimator->fini(b->state);
    free((void *)b->l.example);
    free(b->l.x);
    free(b->settings);
    free(b->state);
    free(b->results);
    free(b);
}

typedef struct bench_phase {
    const zo_job *job;
    double *results;
} bench_phase;

static inline void bench_evaluate(void *arg, int64_t item, int worker)
{
    const bench_phase *p = arg;
    p->job->evaluate(p->job->state, item, 1, p->results + (size_t)item * p->job->results, worker);
}

/* One step with a step size of 0. Seconds of its passes (the first), and of what follows. */
static inline zo_step_info bench_step(bench_learner *b, double seconds[2])
{
    zo_step_info info = {0};
    double start = bench_now();
    zo_job job = b->estimator->job(b->state, &b->update);
    bench_phase phase = {&job, b->results};
    zo_parallel(b->l.ctx, job.items, bench_evaluate, &phase);
    double middle = bench_now();
    bench_require(b->l.ctx, zo_job_finish(b->l.ctx, &job, b->results));
    b->estimator->report(b->state, b->results, &info);
    b->l.step++;
    seconds[0] = middle - start;
    seconds[1] = bench_now() - middle;
    return info;
}
#endif

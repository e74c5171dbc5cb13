/* What the tests of training share: small tasks of the test's own data, nets, trainers, and the direction that one step took. */
#ifndef ZO_TESTS_TRAINING_SUPPORT_H
#define ZO_TESTS_TRAINING_SUPPORT_H

#include "support.h"

#include "learn/trainer.h"
#include "nn/net.h"
#include "task/task.h"

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* n examples of images, channels last, of features in [-1.5, 1.5): labels of `classes`, or with classes 0 `outputs` targets. Labels depend
 * on the features, so that there is something to learn. */
static inline zo_task *make_images(zo_context *ctx, int64_t n, int height, int width, int channels,
                                   int classes, int outputs)
{
    int inputs = height * width * channels;
    uint64_t state = 20 + (uint64_t)inputs;
    float *x = floats((size_t)n * (size_t)inputs), *target = floats((size_t)n * (size_t)outputs);
    int32_t *label = calloc((size_t)n, sizeof *label);
    assert_non_null(label);
    draw_many(&state, x, (size_t)n * (size_t)inputs, -1.5, 1.5);
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + i * inputs;
        for (int j = 0; j < outputs; j++)
            target[i * outputs + j] = row[0] * row[inputs - 1] - (float)j * row[inputs / 2];
        if (classes) label[i] = (int32_t)(fabsf(row[0] + row[1] * row[1]) * 2) % classes;
    }
    zo_data_def def = zo_data_default_def();
    def.inputs = inputs;
    if (height * width > 1) def.height = height, def.width = width, def.channels = channels;
    def.classes = classes;
    def.targets = classes ? 0 : outputs;
    def.n = n;
    def.x = x;
    def.label = classes ? label : NULL;
    def.target = classes ? NULL : target;
    zo_task *task = NULL;
    assert_int_equal(zo_task_from_data(ctx, &def, &task), ZO_OK);
    free(x);
    free(target);
    free(label);
    return task;
}

/* The same of rows of a table. */
static inline zo_task *make_task(zo_context *ctx, int64_t n, int inputs, int classes, int outputs)
{
    return make_images(ctx, n, 1, 1, inputs, classes, outputs);
}

/* A registered task with settings. */
static inline zo_task *named_task(zo_context *ctx, const char *name, uint64_t seed,
                                  const char *const *settings)
{
    zo_task_def def = zo_task_default_def();
    def.name = name;
    def.seed = seed;
    def.settings = settings;
    zo_task *task = NULL;
    if (zo_task_create(ctx, &def, &task)) fail_msg("%s: %s", name, zo_last_error(ctx));
    return task;
}

/* The biases are drawn too, and gains: at zero and one they would hide mistakes. */
static inline zo_net *make_net(zo_context *ctx, const zo_task *task, const char *spec, uint64_t seed)
{
    zo_net_def def = zo_net_default_def();
    def.spec = spec;
    def.inputs = task->inputs;
    def.height = task->height, def.width = task->width, def.channels = task->channels;
    def.outputs = task->outputs;
    def.seed = seed;
    zo_net *net = NULL;
    if (zo_net_create(ctx, &def, &net)) fail_msg("%s: %s", spec, zo_last_error(ctx));
    uint64_t state = seed + 1;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (s->has_bias) draw_many(&state, net->params + s->bias, s->columns, -0.3, 0.3);
        for (size_t j = 0; j < s->columns && s->layer->first_weight != 0; j++)
            net->params[s->weight + j] = draw(&state, 0.5, 1.5);
    }
    return net;
}

static inline zo_trainer *make_trainer(zo_context *ctx, const zo_task *task, const zo_net *net,
                                       const char *method, uint64_t seed,
                                       const char *const *settings)
{
    zo_trainer_def def = zo_trainer_default_def();
    def.method = method;
    def.task = task;
    def.net = net;
    def.seed = seed;
    def.settings = settings;
    zo_trainer *trainer = NULL;
    if (zo_trainer_create(ctx, &def, &trainer)) fail_msg("%s", zo_last_error(ctx));
    return trainer;
}

/* The direction of one step of plain sgd on the whole training part: parameters before - parameters after, in the layout of the
 * arena; malloc'ed. `settings` must hold lr=1, schedule=constant and batch=65536. */
static inline float *direction_of(zo_context *ctx, const zo_task *task, const zo_net *net,
                                  const char *method, uint64_t seed, const char *const *settings,
                                  zo_step_info *info)
{
    zo_trainer *trainer = make_trainer(ctx, task, net, method, seed, settings);
    if (zo_trainer_step(trainer, 0, info)) fail_msg("%s: %s", method, zo_last_error(ctx));
    const zo_net *after = zo_trainer_net(trainer);
    float *g = floats(net->arena);
    for (size_t i = 0; i < net->arena; i++) g[i] = net->params[i] - after->params[i];
    zo_trainer_destroy(trainer);
    return g;
}
#endif

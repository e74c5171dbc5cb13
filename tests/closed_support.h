/* For tests of closed forms. */
#ifndef CLOSED_SUPPORT_H
#define CLOSED_SUPPORT_H

#include "run_support.h"

#include "learn/closed.h"

#define IMAGE_NET "patch3x6,pad1 twosided0.25 cells2 sqrt flatten scale { dense30 relu }cat dense3"

typedef long double real;

/* n zeros, to be freed. */
static inline real *reals(size_t n)
{
    real *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Steps until it is done, and how many. */
static inline int solve(zo_trainer *t)
{
    zo_step_info info = {0};
    for (int i = 1; i < 100; i++) {
        if (zo_trainer_step(t, zo_trainer_progress(t) < 1 ? zo_trainer_progress(t) : 0.99, &info))
            fail_msg("step %d: %s", i, zo_last_error(ctx));
        assert_int_equal(info.step, i);
        assert_true(info.done || zo_trainer_progress(t) < 1);
        if (info.done) {
            assert_true(isfinite(info.loss) && info.cost > 0);
            return i;
        }
    }
    fail_msg("never done");
    return 0;
}

/* ---- the same bits ---- */

/* Runs on images of 3 classes, height x width pixels of one channel; of height 1 a row of numbers, for train_closed(). */
typedef struct closed_case {
    const char *method, *net;
    const char *const *settings;
    int n, height, width;
} closed_case;

/* The parameters after a run of `threads`, and its steps; stop: after so many a trainer of its own goes on from a saved state. malloc'ed. */
static inline float *closed_parameters(const closed_case *c, int threads, const char *kernels,
                                       int stop, size_t *n, int *steps)
{
    zo_context *own = make_context(threads, kernels, NULL), *before = ctx;
    ctx = own;
    zo_task *task = make_images(ctx, c->n, c->height, c->width, 1, 3, 3);
    zo_net *net = make_net(ctx, task, c->net, 1);
    zo_trainer *t = make_trainer(ctx, task, net, c->method, 7, c->settings);
    for (int i = 0; i < stop; i++) assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    if (stop) {
        const char *path = in_folder(folder, "state");
        assert_int_equal(zo_trainer_save(t, path), ZO_OK);
        zo_trainer_destroy(t);
        t = make_trainer(ctx, task, net, c->method, 7, c->settings);
        if (zo_trainer_load(t, path)) fail_msg("%s", zo_last_error(ctx));
    }
    zo_step_info info = {0};
    for (*steps = stop; !info.done;) {
        assert_true(*steps < 200 && zo_trainer_progress(t) < 1);
        assert_int_equal(zo_trainer_step(t, 0.5, &info), ZO_OK);
        assert_int_equal(info.step, ++*steps);
    }
    assert_true(isfinite(info.loss));
    const zo_net *now = zo_trainer_net(t);
    float *p = floats(*n = now->arena);
    memcpy(p, now->params, *n * sizeof *p);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(own);
    ctx = before;
    return p;
}

/* Threads, kernels, and a stop after each step from `first` on (0: none) change nothing. Returns the steps. */
static inline int check_bits(const closed_case *c, int first)
{
    size_t n, m;
    int steps, others;
    float *want = closed_parameters(c, 1, NULL, 0, &n, &steps);
    int sets = 0, stops = first ? steps - first : 0;
    while (kernel_set(sets)) sets++;
    for (int i = 0; i < 2 + sets + stops; i++) {
        int set = i - 2, stop = set < sets ? 0 : first + set - sets;
        const char *kernels = set >= 0 && set < sets ? kernel_set(set)->info.name : NULL;
        float *got = closed_parameters(c, set < 0 ? i + 2 : 2, kernels, stop, &m, &others);
        assert_int_equal(others, steps);
        assert_int_equal(m, n);
        assert_same_floats(got, want, n, set < 0 ? "threads" : stop ? "after a stop" : "kernels");
        free(got);
    }
    free(want);
    return steps;
}

/* ---- a whole run, everything of which is freed again: for refuse_each() ---- */

static inline zo_status train_closed(zo_context *own, void *arg)
{
    const closed_case *c = arg;
    zo_data_def data = zo_data_default_def();
    zo_net_def of_net = zo_net_default_def();
    zo_trainer_def def = zo_trainer_default_def();
    float x[60 * 36];
    int32_t label[60];
    uint64_t seed = 5;
    data.inputs = c->height * c->width, data.classes = 3, data.n = 60, data.x = x;
    draw_many(&seed, x, (size_t)(60 * data.inputs), -1, 1);
    for (int i = 0; i < 60; i++) label[i] = i % 3;
    data.label = label;
    if (c->height > 1) data.height = c->height, data.width = c->width, data.channels = 1;
    of_net.spec = c->net, of_net.inputs = data.inputs;
    of_net.height = data.height, of_net.width = data.width, of_net.channels = data.channels;
    zo_task *task = NULL;
    zo_net *net = NULL;
    zo_trainer *t = NULL;
    zo_status status = zo_task_from_data(own, &data, &task);
    if (!status) status = zo_net_create(own, &of_net, &net);
    def.method = c->method;
    def.task = task;
    def.net = net;
    def.settings = c->settings;
    if (!status) status = zo_trainer_create(own, &def, &t);
    zo_step_info info = {0};
    while (!status && !info.done) status = zo_trainer_step(t, 0, &info);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return status;
}

#endif

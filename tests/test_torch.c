/* Layers and nets on images against numbers from PyTorch: outputs, and the reference's gradients. oracles/layers.py made the numbers. */
#include "images_training.h"

typedef struct torch_case {
    const char *spec;
    int height, width, channels;
    const double *outputs;
    size_t n;
    const double *gradient; /* of the cross-entropy with label 1, all tensors one after the other; NULL: not asked for */
    size_t parameters;
} torch_case;

#include "oracles/layers.inc"

enum { CASES = sizeof cases / sizeof *cases };

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* number() of layers.py: stream 0 is the inputs, 1, 2, ... the tensors. */
static float number(size_t stream, size_t i)
{
    return (float)((int)((i * 7919 + stream * 10007) % 61) - 30) / 32;
}

static float *numbers(size_t stream, size_t n)
{
    float *x = floats(n);
    for (size_t i = 0; i < n; i++) x[i] = number(stream, i);
    return x;
}

static size_t size_of(const zo_net *net, int segment)
{
    zo_segment s;
    assert_int_equal(zo_net_segment(net, segment, &s), ZO_OK);
    return (size_t)(s.shape[0] * (s.rank == 2 ? s.shape[1] : 1));
}

static zo_net *net_of_case(const torch_case *c)
{
    zo_net *net = make_images_net(ctx, c->spec, (size64){c->height, c->width, c->channels}, 1);
    for (int i = 0; i < zo_net_segments(net); i++) {
        float *x = numbers((size_t)i + 1, size_of(net, i));
        assert_int_equal(zo_net_set(net, i, x), ZO_OK);
        free(x);
    }
    return net;
}

static void outputs_are_those_of_torch(void **state)
{
    (void)state;
    assert_true(CASES >= 25);
    for (int i = 0; i < CASES; i++) {
        const torch_case *c = cases + i;
        zo_net *net = net_of_case(c);
        float *x = numbers(0, (size_t)net->inputs), *y = answers_of(net, 1, x);
        assert_int_equal(zo_net_outputs(net), c->n);
        for (size_t j = 0; j < c->n; j++)
            assert_near((double)y[j], c->outputs[j], 3e-6, 3e-6, c->spec);
        free(x), free(y);
        zo_net_destroy(net);
    }
}

/* Four examples that are all the same: whichever of them are held out, the mean is that of one. */
static zo_task *task_of_case(const torch_case *c)
{
    enum { COPIES = 4 };
    static const int32_t label[COPIES] = {1, 1, 1, 1};
    zo_task *task;
    zo_data_def def = zo_data_default_def();
    def.height = c->height, def.width = c->width, def.channels = c->channels;
    def.inputs = c->height * c->width * c->channels;
    def.classes = 3;
    def.n = COPIES;
    def.standardise = false;
    float *x = floats(COPIES * (size_t)def.inputs);
    for (int i = 0; i < COPIES * def.inputs; i++) x[i] = number(0, (size_t)(i % def.inputs));
    def.x = x;
    def.label = label;
    assert_int_equal(zo_task_from_data(ctx, &def, &task), ZO_OK);
    free(x);
    return task;
}

/* The direction of a step, tensor by tensor; node perturbation agrees as far as its moves are small. */
static void check_gradient(const torch_case *c, const char *method, const char *const *settings,
                           double most)
{
    zo_task *task = task_of_case(c);
    zo_net *net = net_of_case(c), *moved;
    float *g = direction_of(ctx, task, net, method, 1, settings, NULL);
    assert_int_equal(zo_net_copy(net, &moved), ZO_OK);
    memcpy(moved->params, g, net->arena * sizeof *g);
    size_t at = 0;
    for (int i = 0; i < zo_net_segments(net); i++) {
        size_t n = size_of(net, i);
        float *x = floats(n);
        assert_int_equal(zo_net_get(moved, i, x), ZO_OK);
        for (size_t j = 0; j < n; j++, at++) {
            assert_true(at < c->parameters);
            assert_near((double)x[j], c->gradient[at], most, most, c->spec);
        }
        free(x);
    }
    assert_int_equal(at, c->parameters);
    free(g);
    zo_net_destroy(moved);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void gradients_are_those_of_torch(void **state)
{
    int trained = 0;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        if (!cases[i].gradient) continue;
        check_gradient(cases + i, "backprop:sgd", SETTINGS(COMMON), 3e-6);
        check_gradient(cases + i, "straight-through:sgd", SETTINGS(COMMON), 3e-6);
        check_gradient(cases + i, "nodes:sgd",
                       SETTINGS(COMMON, "set=complete", "sides=two", "sigma=0.01"), 2e-3);
        trained++;
    }
    assert_int_equal(trained, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_those_of_torch),
        cmocka_unit_test(gradients_are_those_of_torch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* auto: what it hears in two halves of a direction, against the exact expectation from each example's own gradient in double precision; that it
 * spends where there is noise; and that nothing of it depends on threads, kernels, or where a run was stopped.
 * labels: threads
 */
#include "images_training.h"

#include "learn/nodes.h"

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

enum { LISTEN = 8 }; /* every so many steps */

/* ---- halves ---- */

/* How the direction of a scene is estimated. */
typedef struct estimate {
    int batch, examples; /* of the batch, as many count */
    int first;           /* of these, so many are in the first half */
    double draws;        /* 0: complete sets */
    bool weights;        /* of draws */
    const char *setting[4];
} estimate;

/* What the products of halves must be in the mean. For examples drawn without putting back, two different ones have g_b.g_c = P in the mean
 * over pairs, (N^2 |mean|^2 - sum |g_b|^2) / (N (N - 1)); K draws of signs in d numbers make |g_b|^2 larger by (d - 1)/K of itself. */
static zo_halves expected(const images_scene *s, int i, const estimate *e)
{
    int parameters = parameters64(s->oracle->stage + i);
    double *each = differences64(s, i, false), *mean = mean64(s, each, parameters), square = 0,
           whole = 0, n = s->examples, first = e->first, second = e->examples - e->first,
           numbers = e->weights ? parameters : count64(s->oracle->stage[i].out);
    for (int k = 0; k < parameters * s->examples; k++) square += each[k] * each[k] / n;
    for (int k = 0; k < parameters; k++) whole += mean[k] * mean[k];
    double pair = (n * whole - square) / (n - 1), over = (double)e->examples * e->examples;
    if (e->draws > 0) square *= 1 + (numbers - 1) / e->draws;
    free(each), free(mean);
    return (zo_halves){(first * square + first * (first - 1) * pair) / over,
                       first * second * pair / over,
                       (second * square + second * (second - 1) * pair) / over};
}

/* Sums of what was seen and of its squares. */
typedef struct tally {
    double sum, squares;
    int n;
} tally;

static void count(tally *t, double x) { t->sum += x, t->squares += x * x, t->n++; }

/* Within four standard errors, which are small enough that another factor would be noticed. */
static void check_tally(const tally *t, double want, double most, const char *what)
{
    double mean = t->sum / t->n, error = sqrt(fmax(t->squares / t->n - mean * mean, 0) / t->n);
    print_message("    %s: %.5g, in theory %.5g, standard error %.2g\n", what, mean, want, error);
    assert_true(error < most);
    assert_near(mean, want, 4 * error, 0.003, what);
}

/* Step `k` of those that are listened to, from the first parameters. */
static void listen_at(const images_scene *s, zo_trainer *t, int64_t k)
{
    zo_learner *l = zo_perturb_parts_of(t).learner;
    memcpy(l->net->params, s->net->params, l->net->arena * sizeof(float));
    l->step = k * LISTEN;
    if (zo_trainer_step(t, 0, NULL)) fail_msg("%s", zo_last_error(ctx));
}

static zo_trainer *make_listener(const images_scene *s, const char *method, const estimate *e)
{
    char batch[24], examples[24];
    snprintf(batch, sizeof batch, "batch=%d", e->batch);
    snprintf(examples, sizeof examples, "examples=%d", e->examples);
    return make_trainer(ctx, s->task, s->net, method, 3,
                        SETTINGS(batch, examples, "lr=1", "schedule=constant", "sides=two",
                                 "sigma=0.003", "sigma_weights=0.003", e->setting[0], e->setting[1],
                                 e->setting[2]));
}

/* The direction that a step took, at one stage: its squared length is that of both halves together. */
static void check_sum(const images_scene *s, const zo_trainer *t, int i, zo_halves h)
{
    const zo_stage *st = s->net->stage + i;
    const float *now = zo_trainer_net(t)->params;
    double sum = 0;
    for (size_t j = st->weight; j < st->weight + st->weight_floats + st->bias_floats; j++)
        sum += pow((double)s->net->params[j] - (double)now[j], 2);
    assert_near(h.aa + 2 * h.ab + h.bb, sum, 1e-9, 1e-3, "squared length of both halves");
}

static void check_halves(const char *spec, size64 in, int images, const estimate *e)
{
    enum { STEPS = 1200 };
    images_scene s = set_images(ctx, images, spec, in, 3, 3, "cross-entropy");
    zo_trainer *t = make_listener(&s, "auto:sgd", e);
    const zo_nodes *nodes = zo_perturb_parts_of(t).state;
    tally seen[MOST_STAGES][3] = {0};
    assert_int_equal(s.examples % e->batch, 0); /* else a batch could meet an example twice */
    for (int k = 0; k < STEPS; k++) {
        listen_at(&s, t, k);
        for (int i = 0; i < s.net->stages; i++) {
            double first, second;
            if (!s.net->stage[i].parameters) continue;
            zo_halves h = zo_nodes_halves(nodes, i, &first, &second);
            assert_true(first == e->first && second == e->examples - e->first);
            check_sum(&s, t, i, h);
            count(seen[i], h.aa), count(seen[i] + 1, h.ab), count(seen[i] + 2, h.bb);
        }
    }
    for (int i = 0; i < s.oracle->stages; i++) {
        int at = place64(s.oracle, i, s.net);
        if (!parameters64(s.oracle->stage + i)) continue;
        zo_halves want = expected(&s, i, e);
        print_message("%s, stage %d, %d of %d examples\n", spec, i, e->first, e->examples);
        check_tally(seen[at], want.aa, 0.07 * want.aa, "a.a");
        check_tally(seen[at] + 1, want.ab, 0.05 * (want.aa + want.bb), "a.b");
        check_tally(seen[at] + 2, want.bb, 0.07 * want.bb, "b.b");
    }
    zo_trainer_destroy(t);
    clear_images(&s);
}

/* An odd number of examples, so that the halves differ; 11 of 22 a step. A swap of the halves, a factor of one of them, or examples counted with
 * putting back would each be ten standard errors away somewhere. */
static void halves_of_complete_sets(void **state)
{
    (void)state;
    estimate e = {.batch = 11, .examples = 9, .first = 4, .setting = {"set=complete"}};
    check_halves("dense6 tanh dense3", (size64){1, 1, 4}, 24, &e);
    check_halves("conv2x3 tanh norm meanpool2 dense3", (size64){5, 5, 1}, 24, &e);
    check_halves("conv2x2 tanh dwconv2 tanh scale dense3", (size64){4, 4, 2}, 24,
                 &(estimate){.batch = 22, .examples = 3, .first = 1, .setting = {"set=complete"}});
}

/* Draws count for all examples of the batch. Of moved weights the halves are items of work: 32 and 34 of 66. */
static void halves_of_draws(void **state)
{
    (void)state;
    estimate outputs = {.batch = 11, .examples = 11, .first = 5, .draws = 4};
    outputs.setting[0] = "set=random", outputs.setting[1] = "place=outputs";
    outputs.setting[2] = "draws=4";
    check_halves("dense6 tanh dense5 tanh dense3", (size64){1, 1, 4}, 24, &outputs);
    estimate weights = {.batch = 66, .examples = 66, .first = 32, .draws = 8, .weights = true};
    weights.setting[0] = "set=random", weights.setting[1] = "place=weights";
    weights.setting[2] = "draws=8";
    check_halves("dense4 tanh dense3", (size64){1, 1, 3}, 144, &weights);
    check_halves("conv2x2 tanh norm meanpool2 dense3", (size64){3, 3, 1}, 144, &weights);
}

/* With a plan that does not change auto is nodes: the same bits where nobody listens, else up to the order of addition. */
static void listening_changes_the_order_of_addition_alone(void **state)
{
    (void)state;
    static const char *const of[][3] = {
        {"set=complete"}, {"set=random", "place=outputs"}, {"set=random", "place=weights"}};
    images_scene s = set_images(ctx, 144, "conv3x40,same tanh { dwconv2,same norm }+ pool2 dense3",
                                (size64){4, 4, 2}, 3, 3, "cross-entropy");
    for (int k = 0; k < 3; k++) {
        estimate e = {.batch = 132, .examples = 101, .setting = {of[k][0], of[k][1]}};
        for (int64_t step = 0; step < 3; step++) {
            zo_trainer *t[] = {make_listener(&s, "auto:sgd", &e),
                               make_listener(&s, "nodes:sgd", &e)};
            double most = 0, size = 0;
            for (int i = 0; i < 2; i++) {
                zo_perturb_parts_of(t[i]).learner->step = step * 4;
                assert_int_equal(zo_trainer_step(t[i], 0, NULL), ZO_OK);
            }
            const float *a = zo_trainer_net(t[0])->params, *b = zo_trainer_net(t[1])->params;
            for (size_t i = 0; i < s.net->arena; i++) {
                most = fmax(most, fabs((double)a[i] - (double)b[i]));
                size = fmax(size, fabs((double)s.net->params[i] - (double)b[i]));
            }
            assert_true(size > 1e-3);
            if (step == 1) assert_same_floats(a, b, s.net->arena, "nobody listens");
            assert_true(most < 1e-5 * size + 1e-6);
            zo_trainer_destroy(t[0]), zo_trainer_destroy(t[1]);
        }
    }
    clear_images(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_of_complete_sets),
        cmocka_unit_test(halves_of_draws),
        cmocka_unit_test(listening_changes_the_order_of_addition_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

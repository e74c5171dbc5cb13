/* Methods learn: a level on held-out examples that seeds 1 to 10 all reach, and that deliberately broken twins of the same run do not: one
 * whose steps are too small to matter, one that is taught wrong answers, and for a user's loss one with its sign turned and one that is
 * constant. Levels: the tasks' least errors are known (`zeroth list tasks`).
 */
#include "run_support.h"

/* The figures are the same bits in every build: a build that is slow for the sake of finding other faults tries fewer seeds. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW_BUILD
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SLOW_BUILD)
enum { SEEDS = 2, TWIN_SEEDS = 1, MNIST_SEEDS = 1 };
#else
enum { SEEDS = 10, TWIN_SEEDS = 2, MNIST_SEEDS = 3 };
#endif

/* A run, and the level it must reach: test accuracy at least `level`, for regressions half the mean squared error at most `level`. */
typedef struct course {
    const char *task, *of, *method, *net, *set; /* `of` and `set`: settings between spaces */
    double epochs, level;
    zo_loss_fn loss;
} course;

typedef enum twin { SOUND, FROZEN, MISTAUGHT, TURNED, CONSTANT } twin;

/* Every training example gets the answer of another class; targets their opposite. */
static void teach_wrong(zo_task *task)
{
    zo_examples *part = task->part + ZO_TRAIN;
    for (int64_t i = 0; i < part->n; i++) {
        if (part->label)
            part->label[i] = (part->label[i] + 1) % task->classes;
        else
            part->target[i] = -part->target[i];
    }
}

/* Takes a text apart at its spaces, in place. */
static void split(char *text, const char *words[8])
{
    int n = 0;
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) words[n++] = w;
    words[n] = NULL;
}

/* Half the mean squared error on the test part, of one standardised target. */
static double square_error_of(zo_net *net, const zo_task *task)
{
    const zo_examples *part = task->part + ZO_TEST;
    float *y = outputs_of(net, task, ZO_TEST);
    double sum = 0;
    for (int64_t i = 0; i < part->n; i++) {
        double d = (double)y[i] - (double)part->target[i];
        sum += d * d / 2;
    }
    free(y);
    return sum / (double)part->n;
}

static bool reaches(const course *c, uint64_t seed, twin kind, double *figure)
{
    char of[80], set[80];
    const char *words[8];
    snprintf(of, sizeof of, "%s", c->of);
    snprintf(set, sizeof set, "%s%s", c->set, kind == FROZEN ? " lr=1e-9" : "");
    split(of, words);
    zo_task *task = named_task(ctx, c->task, seed, words);
    if (kind == MISTAUGHT) teach_wrong(task);
    split(set, words);
    double sign = kind == TURNED ? -1 : kind == CONSTANT ? 0 : 1;
    zo_train_def def = zo_train_default_def();
    def.task = task;
    def.net = c->net;
    def.method = c->method;
    def.settings = words;
    def.loss = c->loss;
    def.loss_user = &sign;
    def.seed = seed;
    def.epochs = c->epochs;
    zo_net *net;
    if (zo_train(ctx, &def, NULL, &net)) fail_msg("%s: %s", c->method, zo_last_error(ctx));
    bool classes = task->classes > 0;
    *figure = classes ? accuracy_of(net, task, ZO_TEST) : square_error_of(net, task);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return classes ? *figure >= c->level : *figure <= c->level;
}

static void learns(const course *c)
{
    double figure;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (!reaches(c, seed, SOUND, &figure))
            fail_msg("%s on %s, %s, seed %d: %.4f, not %.4f", c->method, c->task, c->net, (int)seed,
                     figure, c->level);
    }
    for (int kind = FROZEN; kind <= (c->loss ? CONSTANT : MISTAUGHT); kind++) {
        for (uint64_t seed = 1; seed <= TWIN_SEEDS; seed++) {
            if (reaches(c, seed, (twin)kind, &figure))
                fail_msg("%s on %s: its broken twin %d reaches %.4f too", c->method, c->task, kind,
                         figure);
        }
    }
}

static void learn_all(const course *courses, size_t n)
{
    for (size_t i = 0; i < n; i++) learns(courses + i);
}

#define LEARN(courses) learn_all(courses, sizeof courses / sizeof *courses)

static void classes_are_learned(void **state)
{
    (void)state;
    static const course courses[] = {
        {"blobs", "classes=5", "nodes:adam", "dense16 tanh dense5", "batch=50", 15, 0.9, NULL},
        {"blobs", "classes=5", "nodes:momentum", "dense16 tanh dense5", "batch=50", 15, 0.9, NULL},
        {"blobs", "classes=5", "nodes:sgd", "dense16 gelu dense5", "batch=50", 15, 0.9, NULL},
        {"blobs", "classes=5", "weights", "dense8 tanh dense5", "population=32", 20, 0.9, NULL},
        {"blobs", "classes=5", "coordinate", "dense16 tanh dense5", "batch=50", 5, 0.9, NULL},
        {"blobs", "classes=5", "coordinate:sgd", "dense8 tanh dense5", "batch=50 lr=0.1 block=60",
         15, 0.9, NULL},
        {"blobs", "classes=5", "spsa", "dense5", "batch=50 lr=0.02", 60, 0.9, NULL},
        {"blobs", "classes=5", "mezo:sgd", "dense5", "batch=50 lr=0.02", 60, 0.9, NULL},
        {"blobs", "classes=5", "backprop", "dense16 tanh dense5", "batch=50", 15, 0.9, NULL},
        {"xor", "", "nodes", "dense16 relu dense2", "batch=50", 20, 0.99, NULL},
        {"xor", "", "weights", "dense8 tanh dense2", "batch=50 population=32", 20, 0.99, NULL},
        {"xor", "", "backprop", "dense16 relu dense2", "batch=50", 20, 0.99, NULL},
    };
    LEARN(courses);
}

/* Two arms wound around each other: every layer must learn. */
/* By adam, here and where a plane is learned: the shrinking parameters of the default rule would add what they are off to the bound. */
static void spirals_are_learned(void **state)
{
    (void)state;
#define RELU "dense32 relu dense16 relu dense2"
#define TANH "dense16 tanh dense16 tanh dense2"
    static const course courses[] = {
        {"spirals", "", "nodes:adam", RELU, "batch=16 lr=0.01", 25, 0.97, NULL},
        {"spirals", "", "nodes:adam", RELU, "batch=16 lr=0.01 set=random", 20, 0.97, NULL},
        {"spirals", "", "weights:adam", TANH, "batch=200 lr=0.05", 40, 0.95, NULL},
        {"spirals", "", "backprop:adam", RELU, "batch=16 lr=0.01", 25, 0.97, NULL},
    };
    LEARN(courses);
}

static void nets_and_losses_that_jump_are_learned(void **state)
{
    (void)state;
    static const course courses[] = {
        {"blobs", "classes=5", "nodes", "dense24 sign dense16 step dense5", "batch=50 lr=0.005", 30,
         0.9, NULL},
        {"blobs", "classes=5", "nodes", "dense32 tanh dense5",
         "batch=50 lr=0.01 loss=zero-one sigma_jump=4", 20, 0.9, NULL},
        {"xor", "", "nodes", "dense32 step dense2", "batch=50 lr=0.01", 30, 0.99, NULL},
        {"xor", "", "nodes", "dense32 sign dense16 step dense2", "batch=50 lr=0.01", 30, 0.99, NULL},
    };
    LEARN(courses);
}

/* Half the noise's share of the variance is the least loss: 0.01 / 1.885 / 2 = 0.00265; a net that predicts the mean has 0.5. */
static void a_plane_is_learned(void **state)
{
    (void)state;
    static const course courses[] = {
        {"plane", "", "nodes:adam", "dense1", "batch=50 lr=0.02", 40, 0.0036, NULL},
        {"plane", "", "weights:adam", "dense1", "batch=50", 30, 0.0036, NULL},
        {"plane", "", "backprop:adam", "dense1", "batch=50 lr=0.02", 40, 0.0036, NULL},
    };
    LEARN(courses);
}

/* A loss that the library does not know: how far the right class is from leading by 1 (Crammer & Singer 2001), or the distance to the
 * target. */
static void margin(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                   const float *target, float *loss)
{
    float sign = (float)*(double *)user;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        float rival = -1e30f;
        for (int j = 0; label && j < outputs; j++)
            rival = j != label[i] && row[j] > rival ? row[j] : rival;
        float lack = label ? 1 + rival - row[label[i]] : fabsf(row[0] - target[i]);
        loss[i] = lack > 0 ? sign * lack : 0;
    }
}

static void a_loss_of_your_own_is_minimised(void **state)
{
    (void)state;
    static const course courses[] = {
        {"blobs", "classes=5", "nodes", "dense16 tanh dense5", "batch=50", 20, 0.9, margin},
        {"blobs", "classes=5", "weights", "dense8 tanh dense5", "batch=100", 25, 0.9, margin},
        {"plane", "", "nodes:adam", "dense1", "batch=50 lr=0.01", 40, 0.0036, margin},
        {"plane", "", "weights:adam", "dense1", "batch=50", 30, 0.0036, margin},
    };
    LEARN(courses);
}

static void losses_by_name_are_minimised(void **state)
{
    (void)state;
#define SMALL "dense16 tanh dense5"
    static const course courses[] = {
        {"blobs", "classes=5", "nodes", SMALL, "batch=50 loss=hinge", 15, 0.9, NULL},
        {"blobs", "classes=5", "lowrank", SMALL, "batch=50 loss=hinge", 25, 0.9, NULL},
        {"blobs", "classes=5", "backprop", SMALL, "batch=50 loss=hinge", 15, 0.9, NULL},
        {"blobs", "classes=5", "backprop", SMALL, "batch=50 loss=huber", 25, 0.9, NULL},
        {"plane", "", "nodes:adam", "dense1", "batch=50 lr=0.02 loss=huber", 40, 0.0036, NULL},
        {"plane", "", "weights:adam", "dense1", "batch=50 loss=huber", 30, 0.0036, NULL},
        {"plane", "", "backprop:adam", "dense1", "batch=50 lr=0.02 loss=huber", 40, 0.0036, NULL},
    };
    LEARN(courses);
}

/* A numpy prototype of complete sets passed 97 % validation after 5.6e5 forward-equivalents, about two epochs. */
static void mnist_is_learned_by_complete_sets(void **state)
{
    (void)state;
    const char *data = ZO_SOURCE_DIR "/../shared/data";
    if (access(ZO_SOURCE_DIR "/../shared/data/mnist/train-images-idx3-ubyte.gz", R_OK)) {
        print_message("SKIPPED: mnist is not at %s\n", data);
        skip();
    }
    zo_task_def task_def = zo_task_default_def();
    zo_task *task;
    task_def.name = "mnist";
    task_def.data = data;
    assert_int_equal(zo_task_create(ctx, &task_def, &task), ZO_OK);
    zo_train_def def = zo_train_default_def();
    def.task = task;
    def.net = "dense128 relu dense128 relu dense10";
    def.method = "nodes:adam";
    def.settings = SETTINGS("set=complete");
    def.epochs = 2;
    for (def.seed = 1; def.seed <= MNIST_SEEDS; def.seed++) {
        zo_train_result r;
        assert_int_equal(zo_train(ctx, &def, &r, NULL), ZO_OK);
        print_message(
            "mnist, seed %d: validation %.4f, test %.4f, %.3g forward-equivalents, %.1f s\n",
            (int)def.seed, r.validation_accuracy, r.test_accuracy, r.forwards, r.seconds_training);
        assert_true(r.validation_accuracy >= 0.965);
        assert_int_equal(r.uses, ZO_USES_LOSS);
    }
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_learned),
        cmocka_unit_test(spirals_are_learned),
        cmocka_unit_test(nets_and_losses_that_jump_are_learned),
        cmocka_unit_test(a_plane_is_learned),
        cmocka_unit_test(a_loss_of_your_own_is_minimised),
        cmocka_unit_test(losses_by_name_are_minimised),
        cmocka_unit_test(mnist_is_learned_by_complete_sets),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Losses of a whole batch: f1 and auc against counts of their own; who serves them and who refuses; training with them where few examples are
 * of one class. (What a member's loss then is: test_population.c.)
 * labels: threads
 */
#include "run_support.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW_BUILD
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SLOW_BUILD)
enum { SEEDS = 2 };
#else
enum { SEEDS = 10 };
#endif

static uint64_t seed = 5;

/* ---- the same in double precision ---- */

/* Mean over the classes that are there or predicted of the harmonic mean of precision and recall. */
static double f1_64(const float *y, size_t ld, size_t m, size_t n, const int32_t *label)
{
    double sum = 0, classes = 0;
    for (int32_t c = 0; c < (int32_t)n; c++) {
        double right = 0, predicted = 0, there = 0;
        for (size_t i = 0; i < m; i++) {
            const float *row = y + i * ld;
            bool first = true; /* c is the first of the largest outputs, and all are numbers */
            for (int32_t j = 0; j < (int32_t)n; j++)
                first &= j < c ? row[j] < row[c] : row[j] <= row[c];
            predicted += first;
            there += label[i] == c;
            right += first && label[i] == c;
        }
        if (predicted + there == 0) continue;
        classes++;
        if (right == 0) continue;
        double precision = right / predicted, recall = right / there;
        sum += 2 * precision * recall / (precision + recall);
    }
    return sum / classes;
}

static double log_odds(const float *row, size_t n, size_t of)
{
    double sum = 0, most = -INFINITY;
    for (size_t j = 0; j < n; j++) most = j == of ? most : fmax(most, (double)row[j]);
    for (size_t j = 0; j < n; j++) sum += j == of ? 0 : exp((double)row[j] - most);
    return (double)row[of] - most - log(sum);
}

/* Pair by pair; *near receives the share of pairs that are too close to tell. Two classes are one against the other. */
static double auc_64(const float *y, size_t ld, size_t m, size_t n, const int32_t *label,
                     double *near)
{
    double sum = 0, classes = 0;
    *near = 0;
    for (size_t c = 0; c < n; c++) {
        double above = 0, pairs = 0;
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < m; j++) {
                if (label[i] != (int32_t)c || label[j] == (int32_t)c) continue;
                double d = log_odds(y + i * ld, n, c) - log_odds(y + j * ld, n, c);
                bool close = fabs(d) < 1e-4;
                above += close ? 0.5 : d > 0;
                *near += n > 2 && close ? 1 / (double)m : 0;
                pairs++;
            }
        }
        if (pairs > 0) sum += above / pairs, classes++;
    }
    return classes > 0 ? sum / classes : 0.5;
}

static double value_of(const zo_loss_class *loss, const zo_kernels *k, const float *y, size_t ld,
                       size_t m, size_t n, const int32_t *label)
{
    uint64_t *room = malloc(zo_loss_room(m, n) * sizeof *room);
    assert_non_null(room);
    memset(room, 0xa5, zo_loss_room(m, n) * sizeof *room);
    double value = loss->batch(k, y, ld, m, n, label, NULL, n, room);
    free(room);
    return value;
}

static double ref_of(const zo_loss_class *loss, const float *y, size_t ld, size_t m, size_t n,
                     const int32_t *label)
{
    return value_of(loss, &zo_kernels_ref, y, ld, m, n, label);
}

/* A batch of outputs that are multiples of 1/8, so that many are equal, and of labels of `classes` of the n classes. */
typedef struct batch {
    size_t m, n, ld;
    float *y;
    int32_t *label;
} batch;

static batch make_batch(size_t m, size_t n, size_t classes)
{
    batch b = {m, n, zo_round16(n) + 16 * (m % 2), NULL, calloc(m, sizeof *b.label)};
    b.y = floats(m * b.ld);
    assert_non_null(b.label);
    draw_many(&seed, b.y, m * b.ld, -3, 3);
    for (size_t i = 0; i < m * b.ld; i++) b.y[i] = roundf(b.y[i] * 8) / 8;
    for (size_t i = 0; i < m; i++)
        b.label[i] = (int32_t)((draw_bits(&seed) >> 33) % classes * (n / classes));
    return b;
}

static void free_batch(batch *b)
{
    free(b->y);
    free(b->label);
}

static void each_batch(void (*check)(const batch *b))
{
    for (size_t n = 2; n <= 35; n += n < 6 ? 1 : 7) {
        for (size_t m = 1; m <= 130; m += m < 20 ? 1 : 27) {
            for (size_t classes = 1; classes <= n; classes += classes < 4 ? 1 : 9) {
                batch b = make_batch(m, n, classes);
                check(&b);
                free_batch(&b);
            }
        }
    }
}

static void check_f1(const batch *b)
{
    double got = ref_of(&zo_loss_f1, b->y, b->ld, b->m, b->n, b->label);
    assert_near(got, 1 - f1_64(b->y, b->ld, b->m, b->n, b->label), 1e-14, 0, "f1");
}

static void f1_is_its_formula(void **state)
{
    (void)state;
    each_batch(check_f1);
}

static void check_auc(const batch *b)
{
    double near, want = auc_64(b->y, b->ld, b->m, b->n, b->label, &near),
                 got = ref_of(&zo_loss_auc, b->y, b->ld, b->m, b->n, b->label);
    assert_near(got, 1 - want, 1e-14 + near, 0, "auc");
}

static void auc_counts_pairs(void **state)
{
    (void)state;
    each_batch(check_auc);
}

/* Scores that are nearly all different, so that nothing is too close to tell. */
static void auc_of_random_scores_counts_pairs(void **state)
{
    (void)state;
    double near, most = 0;
    for (size_t n = 2; n <= 12; n += 5) {
        for (size_t m = 2; m <= 700; m = m * 3 / 2 + 1) {
            batch b = make_batch(m, n, n);
            draw_many(&seed, b.y, m * b.ld, -4, 4);
            double want = 1 - auc_64(b.y, b.ld, m, n, b.label, &near);
            assert_near(ref_of(&zo_loss_auc, b.y, b.ld, m, n, b.label), want, 1e-3, 0, "auc");
            most = fmax(most, fabs(ref_of(&zo_loss_auc, b.y, b.ld, m, n, b.label) - want));
            free_batch(&b);
        }
    }
    if (most > 5e-4) fail_msg("off by %g", most);
}

/* The examples of scikit-learn's manual: f1_score(average="macro") and roc_auc_score(). */
static void published_values(void **state)
{
    (void)state;
    static const int32_t truth[] = {0, 1, 2, 0, 1, 2}, predicted[] = {0, 2, 1, 0, 0, 1},
                         labels[] = {0, 0, 1, 1};
    static const float score[] = {0.1f, 0.4f, 0.35f, 0.8f};
    float *y = floats(6 * 16);
    for (size_t i = 0; i < 6; i++) y[16 * i + (size_t)predicted[i]] = 1;
    assert_near(1 - ref_of(&zo_loss_f1, y, 16, 6, 3, truth), 0.26666666666666666, 1e-15, 0, "f1");
    for (size_t i = 0; i < 4; i++) y[16 * i] = -score[i], y[16 * i + 1] = score[i];
    assert_near(1 - ref_of(&zo_loss_auc, y, 16, 4, 2, labels), 0.75, 1e-15, 0, "auc");
    free(y);
}

/* What has one class only tells nothing apart; what knows every answer loses nothing, and its opposite everything. */
static void best_and_worst(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 20; n += 3) {
        batch b = make_batch(60, n, n);
        for (size_t i = 0; i < b.m; i++) {
            b.label[i] = (int32_t)(i % n);
            for (size_t j = 0; j < n; j++) b.y[i * b.ld + j] = (float)(j == i % n) * 9;
        }
        assert_true(ref_of(&zo_loss_f1, b.y, b.ld, b.m, n, b.label) == 0);
        assert_true(ref_of(&zo_loss_auc, b.y, b.ld, b.m, n, b.label) == 0);
        for (size_t i = 0; i < b.m * b.ld; i++) b.y[i] = -b.y[i];
        if (n == 2) assert_true(ref_of(&zo_loss_f1, b.y, b.ld, b.m, n, b.label) == 1);
        assert_true(ref_of(&zo_loss_auc, b.y, b.ld, b.m, n, b.label) == 1);
        for (size_t i = 0; i < b.m; i++) b.label[i] = 1;
        assert_true(ref_of(&zo_loss_auc, b.y, b.ld, b.m, n, b.label) == 0.5);
        free_batch(&b);
    }
}

/* An example with a NaN is predicted to be nothing; a score that is no number leaves the batch without an area. */
static void outputs_that_are_no_numbers(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 20; n += 3) {
        for (size_t at = 0; at < n; at++) {
            batch b = make_batch(40, n, n);
            b.y[17 * b.ld + at] = NAN;
            check_f1(&b);
            assert_true(isnan(ref_of(&zo_loss_auc, b.y, b.ld, b.m, n, b.label)));
            free_batch(&b);
        }
    }
    batch b = make_batch(30, 2, 2);
    for (size_t i = 0; i < b.m; i++) { /* as sure as can be, and right */
        b.label[i] = (int32_t)(i % 2);
        b.y[i * b.ld] = 1;
        b.y[i * b.ld + 1] = i % 2 ? INFINITY : -INFINITY;
    }
    assert_true(ref_of(&zo_loss_auc, b.y, b.ld, b.m, 2, b.label) == 0);
    assert_true(ref_of(&zo_loss_f1, b.y, b.ld, b.m, 2, b.label) == 0);
    free_batch(&b);
}

static void check_sets(const batch *b)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, -0.0f, 0.0f, 1e-45f};
    const zo_loss_class *const loss[] = {&zo_loss_f1, &zo_loss_auc};
    for (int turn = 0; turn < 3; turn++) {
        for (int l = 0; l < 2; l++) {
            double want = ref_of(loss[l], b->y, b->ld, b->m, b->n, b->label);
            for (int s = 0; kernel_set(s); s++) {
                double got = value_of(loss[l], kernel_set(s), b->y, b->ld, b->m, b->n, b->label);
                assert_true(!memcmp(&got, &want, sizeof got) || (isnan(got) && isnan(want)));
            }
        }
        if (turn == 0) draw_many(&seed, b->y, b->m * b->ld, -40, 40);
        b->y[(draw_bits(&seed) >> 33) % b->m * b->ld + (draw_bits(&seed) >> 33) % b->n] =
            odd[(draw_bits(&seed) >> 33) % 8];
    }
}

static void sets_agree(void **state)
{
    (void)state;
    each_batch(check_sets);
}

/* ---- callbacks ---- */

/* `user` times 1 - F1, or 1 - area; of their own counts. */
static double own_f1(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target)
{
    assert_null(target);
    return *(const double *)user * (1 - f1_64(y, (size_t)stride, (size_t)n, (size_t)outputs, label));
}

/* For two outputs: sums of ranks would be quicker, but this is plainly the definition. */
static double own_auc(void *user, int n, int outputs, const float *y, int stride,
                      const int32_t *label, const float *target)
{
    double above = 0, pairs = 0;
    assert_null(target);
    assert_int_equal(outputs, 2);
    for (int i = 0; i < n; i++) {
        for (int j = 0; label[i] && j < n; j++) {
            const float *a = y + (size_t)i * (size_t)stride, *b = y + (size_t)j * (size_t)stride;
            float d = (a[1] - a[0]) - (b[1] - b[0]);
            if (label[j]) continue;
            above += d > 0 ? 1 : d == 0 ? 0.5 : 0;
            pairs++;
        }
    }
    return *(const double *)user * (1 - above / pairs);
}

/* The logarithm of the mean squared distance to the targets: no mean of anything per example. */
static double own_log(void *user, int n, int outputs, const float *y, int stride,
                      const int32_t *label, const float *target)
{
    (void)user;
    double sum = 0;
    assert_null(label);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < outputs; j++) {
            double d = (double)y[i * stride + j] - (double)target[i * outputs + j];
            sum += d * d / n;
        }
    }
    return log(sum);
}

static double no_number(void *user, int n, int outputs, const float *y, int stride,
                        const int32_t *label, const float *target)
{
    (void)user, (void)n, (void)outputs, (void)y, (void)stride, (void)label, (void)target;
    return NAN;
}

static void each_loss_of_its_own(void *user, int n, int outputs, const float *y, int stride,
                                 const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)outputs, (void)stride, (void)label, (void)target;
    for (int i = 0; i < n; i++) loss[i] = y[0];
}

/* ---- who serves them ---- */

static zo_trainer_def define(const zo_task *task, const zo_net *net, const char *method)
{
    zo_trainer_def def = zo_trainer_default_def();
    def.task = task;
    def.net = net;
    def.method = method;
    return def;
}

static void is_refused(const zo_trainer_def *def, zo_status want, const char *one, const char *two)
{
    zo_trainer *trainer;
    assert_int_equal(zo_trainer_create(ctx, def, &trainer), want);
    assert_null(trainer);
    error_says(ctx, one, two, NULL);
}

static void who_needs_a_loss_of_each_example_refuses(void **state)
{
    (void)state;
    static const char *const methods[] = {"nodes", "backprop", "straight-through"};
    zo_task *task = make_task(ctx, 60, 4, 2, 2);
    zo_net *net = make_net(ctx, task, "dense5 tanh dense2", 1);
    for (int i = 0; i < 3; i++) {
        zo_trainer_def def = define(task, net, methods[i]);
        def.settings = SETTINGS("loss=f1");
        is_refused(&def, ZO_UNSUPPORTED, methods[i], "weights, lowrank");
        def.settings = SETTINGS("loss=auc");
        is_refused(&def, ZO_UNSUPPORTED, "auc", "weights, lowrank");
        def.settings = NULL;
        def.batch_loss = own_f1;
        is_refused(&def, ZO_UNSUPPORTED, methods[i], "weights, lowrank");
    }
    zo_trainer_def both = define(task, net, "weights");
    both.loss = each_loss_of_its_own;
    both.batch_loss = own_f1;
    is_refused(&both, ZO_USAGE, "loss", "batch_loss");
    zo_net_destroy(net);
    zo_task_destroy(task);
    task = make_task(ctx, 60, 4, 0, 2);
    net = make_net(ctx, task, "dense5 tanh dense2", 1);
    zo_trainer_def numbers = define(task, net, "weights");
    numbers.settings = SETTINGS("loss=f1");
    is_refused(&numbers, ZO_UNSUPPORTED, "f1", "squared-error");
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void a_batch_without_a_loss_changes_nothing(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 60, 4, 2, 2);
    zo_net *net = make_net(ctx, task, "dense5 tanh dense2", 1);
    const char *const methods[] = {"weights", "lowrank"};
    for (int i = 0; i < 2; i++) {
        zo_trainer *trainer;
        zo_trainer_def def = define(task, net, methods[i]);
        def.batch_loss = no_number;
        assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_OK);
        assert_int_equal(zo_trainer_step(trainer, 0, NULL), ZO_DIVERGED);
        assert_memory_equal(zo_trainer_net(trainer)->params, net->params,
                            net->arena * sizeof(float));
        zo_trainer_destroy(trainer);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- the same bits ---- */

typedef struct trial {
    const char *method, *spec, *loss;
    const char *examples; /* or NULL */
    zo_batch_loss_fn own;
    int classes;
} trial;

static float *bits_of(zo_context *where, const trial *t, size_t *n)
{
    static const double once = 1;
    zo_task *task = make_task(where, 330, 6, t->classes, 3);
    zo_net *net = make_net(where, task, t->spec, 2);
    char loss[32];
    snprintf(loss, sizeof loss, "loss=%s", t->loss ? t->loss : "auto");
    zo_trainer_def def = define(task, net, t->method);
    const char *const settings[] = {"batch=300", "population=6", loss, t->examples, NULL};
    zo_trainer *trainer;
    def.settings = settings;
    def.batch_loss = t->own;
    def.loss_user = (void *)(uintptr_t)&once;
    def.loss_jumps = t->own == own_f1;
    if (zo_trainer_create(where, &def, &trainer)) fail_msg("%s", zo_last_error(where));
    for (int i = 0; i < 3; i++) {
        zo_step_info info;
        assert_int_equal(zo_trainer_step(trainer, i / 4.0, &info), ZO_OK);
        assert_true(isfinite(info.loss) && info.dropped == 0);
    }
    *n = net->arena;
    float *p = floats(*n);
    memcpy(p, zo_trainer_net(trainer)->params, *n * sizeof *p);
    if (!memcmp(p, net->params, *n * sizeof *p)) fail_msg("%s: nothing moves", t->method);
    zo_trainer_destroy(trainer);
    zo_net_destroy(net);
    zo_task_destroy(task);
    return p;
}

/* Batches that are run at once, and in pieces: the widest layer decides. */
static void no_bits_depend_on_threads_or_kernels(void **state)
{
    (void)state;
#define NARROW "dense9 tanh dense3"
#define WIDE "dense1500 tanh dense3"
    static const trial trials[] = {
        {"weights", NARROW, "f1", NULL, NULL, 3},
        {"weights", WIDE, "auc", NULL, NULL, 3},
        {"lowrank", NARROW, "auc", "examples=70", NULL, 3},
        {"lowrank", WIDE, "f1", "examples=130", NULL, 3},
        {"lowrank", WIDE, NULL, "examples=0", own_f1, 3},
        {"lowrank", WIDE, NULL, "examples=130", own_log, 0},
        {"weights", WIDE, NULL, "sides=one", own_log, 0},
    };
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        size_t n, m;
        zo_context *one = make_context(1, "ref", NULL);
        float *want = bits_of(one, trials + i, &n);
        zo_context_destroy(one);
        for (int k = 0; kernel_set(k); k++) {
            zo_context *other = make_context(2 + k % 2, kernel_set(k)->info.name, NULL);
            float *got = bits_of(other, trials + i, &m);
            assert_same_floats(got, want, n, trials[i].spec);
            free(got);
            zo_context_destroy(other);
        }
        free(want);
    }
}

/* ---- training ---- */

/* A table in which few examples are of class 1, and none of them is alone: four features, of which two tell something. */
static zo_task *rare_class(uint64_t of)
{
    enum { N = 900, TEST = 600, INPUTS = 4 };
    static float x[N + TEST][INPUTS];
    static int32_t label[N + TEST];
    uint64_t state = of * 977 + 3;
    for (size_t i = 0; i < N + TEST; i++) {
        label[i] = draw(&state, 0, 1) < 0.08f;
        for (size_t j = 0; j < INPUTS; j++) {
            x[i][j] = j < 2 ? 2.4f * (float)label[i] : 0;
            for (int k = 0; k < 6; k++) x[i][j] += draw(&state, -1.2, 1.2);
        }
    }
    zo_data_def def = zo_data_default_def();
    def.inputs = INPUTS;
    def.classes = 2;
    def.n = N;
    def.x = x[0];
    def.label = label;
    def.n_test = TEST;
    def.x_test = x[N];
    def.label_test = label + N;
    def.validation = 0.3;
    zo_task *task;
    assert_int_equal(zo_task_from_data(ctx, &def, &task), ZO_OK);
    return task;
}

typedef struct course {
    const char *method, *setting, *loss; /* loss NULL: `own` */
    zo_batch_loss_fn own;
    bool area;
} course;

/* F1 or area of a network on the test part. */
static double figure_of(zo_net *net, const zo_task *task, bool area)
{
    const zo_examples *part = task->part + ZO_TEST;
    float *y = outputs_of(net, task, ZO_TEST);
    double sign = 1, loss = area ? own_auc(&sign, (int)part->n, 2, y, 2, part->label, NULL)
                                 : own_f1(&sign, (int)part->n, 2, y, 2, part->label, NULL);
    free(y);
    return 1 - loss;
}

/* Before and after. */
static void train(const course *c, uint64_t of, double sign, double *before, double *after)
{
    char loss[32];
    snprintf(loss, sizeof loss, "loss=%s", c->loss ? c->loss : "auto");
    zo_task *task = rare_class(of);
    zo_net *init = make_net(ctx, task, "dense8 tanh dense2", of), *net;
    zo_train_def def = zo_train_default_def();
    zo_train_result r;
    def.task = task;
    def.init = init;
    def.method = c->method;
    def.settings = SETTINGS(loss, "population=32", "batch=300", "lr=0.03", c->setting);
    def.batch_loss = c->own;
    def.loss_user = &sign;
    def.loss_jumps = true;
    def.seed = of;
    def.epochs = 40;
    if (zo_train(ctx, &def, &r, &net)) fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(r.uses, ZO_USES_LOSS);
    *before = figure_of(init, task, c->area);
    *after = figure_of(net, task, c->area);
    if (!c->own) /* of the whole test part: not a mean over pieces of it */
        assert_near(r.test_loss, 1 - *after, 1e-12, 0, "test loss");
    zo_net_destroy(net);
    zo_net_destroy(init);
    zo_task_destroy(task);
}

static void learns(const course *c, double level)
{
    double before, after;
    for (uint64_t of = 1; of <= SEEDS; of++) {
        train(c, of, 1, &before, &after);
        if (!(after > before + 0.05 && after > level))
            fail_msg("%s, %s, seed %d: from %.3f to %.3f", c->method, c->loss ? c->loss : "own",
                     (int)of, before, after);
    }
    if (!c->own) return;
    for (uint64_t of = 1; of <= SEEDS; of++) {
        train(c, of, -1, &before, &after); /* the twin */
        if (after > before + 0.05 || after > level)
            fail_msg("%s: its broken twin comes from %.3f to %.3f", c->method, before, after);
    }
}

/* The network kept is the one of least loss on the validation part, and that loss is of the whole part: of all looks none was lower. */
static void note_least(void *user, const zo_report *r)
{
    double *least = user;
    if (r->validation_loss < *least) *least = r->validation_loss;
}

static void the_best_by_the_loss_is_kept(void **state)
{
    (void)state;
    double sign = 1;
    zo_task *task = rare_class(3);
    const zo_examples *part = task->part + ZO_VALIDATION;
    for (int i = 0; i < 2; i++) {
        double least = INFINITY;
        zo_net *net;
        zo_train_result r;
        zo_train_def def = zo_train_default_def();
        def.task = task;
        def.net = "dense8 tanh dense2";
        def.method = "weights";
        def.settings = SETTINGS("batch=100", "lr=0.05", i ? "loss=auto" : "loss=f1");
        def.batch_loss = i ? own_f1 : NULL;
        def.loss_user = &sign;
        def.epochs = 30;
        def.report = note_least;
        def.report_user = &least;
        assert_int_equal(zo_train(ctx, &def, &r, &net), ZO_OK);
        assert_true(r.validation_loss == least && r.train_loss > 0 && r.train_loss < 1);
        float *y = outputs_of(net, task, ZO_VALIDATION);
        assert_near(own_f1(&sign, (int)part->n, 2, y, 2, part->label, NULL), least, 1e-12, 0,
                    "validation");
        free(y);
        zo_net_destroy(net);
    }
    zo_task_destroy(task);
}

/* Who always says 0 has an F1 of 0.48, and an area of 0.5. */
static void rare_classes_are_learned(void **state)
{
    (void)state;
    static const course courses[] = {
        {"weights", NULL, "f1", NULL, false},
        {"lowrank", "examples=0", "f1", NULL, false},
        {"weights", NULL, NULL, own_f1, false},
        {"weights", NULL, "auc", NULL, true},
        {"lowrank", "examples=60", "auc", NULL, true},
        {"lowrank", "examples=60", NULL, own_auc, true},
    };
    for (size_t i = 0; i < sizeof courses / sizeof *courses; i++)
        learns(courses + i, courses[i].area ? 0.85 : 0.68);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f1_is_its_formula),
        cmocka_unit_test(auc_counts_pairs),
        cmocka_unit_test(auc_of_random_scores_counts_pairs),
        cmocka_unit_test(published_values),
        cmocka_unit_test(best_and_worst),
        cmocka_unit_test(outputs_that_are_no_numbers),
        cmocka_unit_test(sets_agree),
        cmocka_unit_test(who_needs_a_loss_of_each_example_refuses),
        cmocka_unit_test(a_batch_without_a_loss_changes_nothing),
        cmocka_unit_test(no_bits_depend_on_threads_or_kernels),
        cmocka_unit_test(the_best_by_the_loss_is_kept),
        cmocka_unit_test(rare_classes_are_learned),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Ensembles of closed forms: their outputs against the mean of members that are trained on their own; the same bits for any threads and
 * kernels, and after a resumption; budgets that end early; what others do with the network.
 */
#include "closed_support.h"

#include "learn/closed_ensemble.h"

enum { MEMBERS = 3 };

/* A net as a run would begin with it. */
static zo_net *first_net(const zo_task *task, const char *spec, uint64_t seed)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net;
    def.spec = spec;
    def.inputs = task->inputs;
    def.height = task->height, def.width = task->width, def.channels = task->channels;
    def.outputs = task->outputs;
    def.seed = seed;
    if (zo_net_create(ctx, &def, &net)) fail_msg("%s", zo_last_error(ctx));
    return net;
}

static zo_trainer *begin(const zo_task *task, const char *spec, const char *method, uint64_t seed,
                         const char *const *settings)
{
    zo_net *net = first_net(task, spec, seed);
    zo_trainer *t = make_trainer(ctx, task, net, method, seed, settings);
    zo_net_destroy(net);
    return t;
}

static void take_steps(zo_trainer *t, int n)
{
    for (int i = 0; i < n; i++)
        if (zo_trainer_step(t, 0, NULL)) fail_msg("%s", zo_last_error(ctx));
}

/* What the trainer's network gives for the validation part. malloc'ed. */
static float *answers(const zo_trainer *t, const zo_task *task)
{
    zo_net *copy;
    assert_int_equal(zo_net_copy(zo_trainer_net(t), &copy), ZO_OK);
    float *y = outputs_of(copy, task, ZO_VALIDATION);
    zo_net_destroy(copy);
    return y;
}

static size_t answers_n(const zo_task *task)
{
    return (size_t)(task->part[ZO_VALIDATION].n * task->outputs);
}

/* Answers of member i, trained as a run of its own: it stops after `steps` of its steps where these are not 0, with the rows so far. */
static float *member_answers(const zo_task *task, const char *spec, const char *method,
                             uint64_t seed, int64_t i, const char *const *settings, int steps)
{
    zo_trainer *t = begin(task, spec, method, zo_closed_ensemble_seed(seed, i), settings);
    if (steps) {
        take_steps(t, steps);
        assert_int_equal(zo_trainer_step(t, 1, NULL), ZO_OK);
    } else {
        solve(t);
    }
    float *y = answers(t, task);
    zo_trainer_destroy(t);
    return y;
}

/* The largest difference of what the trainer's net gives from the mean of the members' answers. */
static double apart(const zo_trainer *t, const zo_task *task, float *const *member, int n)
{
    float *y = answers(t, task);
    double most = 0;
    for (size_t i = 0; i < answers_n(task); i++) {
        double mean = 0;
        for (int k = 0; k < n; k++) mean += (double)member[k][i] / n;
        most = fmax(most, fabs((double)y[i] - mean));
    }
    free(y);
    return most;
}

/* ---- what it gives ---- */

static void check_mean(const zo_task *task, const char *spec, const char *method, const char *whole,
                       const char *const *one, const char *const *all)
{
    float *member[MEMBERS];
    zo_trainer *t = begin(task, spec, method, 7, all);
    assert_int_equal(strcmp(zo_net_spec(zo_trainer_net(t)), whole), 0);
    solve(t);
    for (int i = 0; i < MEMBERS; i++) member[i] = member_answers(task, spec, method, 7, i, one, 0);
    double off = apart(t, task, member, MEMBERS);
    if (!(off < 1e-5)) fail_msg("%s: %g from the mean", spec, off);
    for (int n = 1; n < MEMBERS; n++) assert_true(apart(t, task, member, n) > 1e-2);
    assert_non_null(strstr(zo_trainer_plan(t, MEMBERS), "member 3 of 3, seed"));
    assert_null(zo_trainer_plan(t, MEMBERS + 1));
    for (int i = 0; i < MEMBERS; i++) free(member[i]);
    zo_trainer_destroy(t);
}

#define THREE(m) "{ { " m " | " m " }+ | " m " }+"

static void outputs_are_the_mean_of_the_members(void **state)
{
    (void)state;
    zo_task *rows = make_task(ctx, 700, 5, 3, 3), *numbers = make_task(ctx, 700, 5, 0, 2),
            *images = make_images(ctx, 500, 6, 6, 1, 3, 3);
    check_mean(rows, "dense30 relu dense3", "elm", THREE("dense30 relu dense3"), NULL,
               SETTINGS("ensemble=3"));
    check_mean(numbers, "dense30 relu dense2,nobias", "elm", THREE("dense30 relu dense2,nobias"),
               SETTINGS("lambda=0.01"), SETTINGS("lambda=0.01", "ensemble=3"));
    check_mean(rows, "dense96 relu dense3", "elm", THREE("dense96 relu dense3"),
               SETTINGS("module=32"), SETTINGS("module=32", "ensemble=3"));
    check_mean(images, "dense30 relu dense3", "elm", "flatten " THREE("dense30 relu dense3"), NULL,
               SETTINGS("ensemble=3"));
    check_mean(images, IMAGE_NET, "conv-elm", THREE(IMAGE_NET), SETTINGS("copies=1", "shift=1"),
               SETTINGS("copies=1", "shift=1", "ensemble=3"));
    check_mean(images, IMAGE_NET, "conv-elm", THREE(IMAGE_NET), SETTINGS("filters=random"),
               SETTINGS("filters=random", "ensemble=3"));
    zo_task_destroy(rows), zo_task_destroy(numbers), zo_task_destroy(images);
}

/* Seeds of runs and members are all different; the first member is what there is without an ensemble. */
static void members_have_seeds_of_their_own(void **state)
{
    (void)state;
    uint64_t seen[40];
    int n = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        assert_int_equal(zo_closed_ensemble_seed(seed, 0), seed);
        for (int64_t i = 0; i < 10; i++) seen[n++] = zo_closed_ensemble_seed(seed, i);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) assert_true(seen[i] != seen[j]);
}

/* As many members as there may be lie few blocks deep. */
static void large_ensembles_are_shallow(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 60, 3, 3, 3);
    zo_trainer *t = begin(task, "dense4 relu dense3", "elm", 1, SETTINGS("ensemble=64"));
    const char *spec = zo_net_spec(zo_trainer_net(t));
    int open = 0, deepest = 0, members = 0;
    for (const char *p = spec; *p; p++) {
        open += *p == '{', open -= *p == '}';
        deepest = open > deepest ? open : deepest;
        members += !strncmp(p, "dense4", 6);
    }
    assert_int_equal(members, 64);
    assert_int_equal(deepest, 6);
    zo_trainer_destroy(t);
    zo_task_destroy(task);
}

/* Squares are convex: the mean's squared error is at most the mean of the squared errors. Accuracy follows no such law, but noise averages out. */
static void a_mean_is_better_than_its_members(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_task *task = named_task(ctx, "spirals", seed, SETTINGS("n=1200"));
        zo_trainer *t = begin(task, "dense60 relu dense2", "elm", seed, SETTINGS("ensemble=8"));
        const zo_examples *part = &task->part[ZO_VALIDATION];
        double square[2] = {0}, right[2] = {0};
        solve(t);
        for (int i = 0; i < 9; i++) {
            float *y = i ? member_answers(task, "dense60 relu dense2", "elm", seed, i - 1, NULL, 0)
                         : answers(t, task);
            double share = i ? 1.0 / 8 : 1;
            for (int64_t r = 0; r < part->n; r++) {
                const float *of = y + 2 * r;
                right[i > 0] += share * ((of[1] > of[0]) == part->label[r]);
                for (int j = 0; j < 2; j++) {
                    double off = (double)of[j] - (part->label[r] == j ? 1 : -1);
                    square[i > 0] += share * off * off;
                }
            }
            free(y);
        }
        assert_true(square[0] < square[1] && right[0] >= right[1]);
        zo_trainer_destroy(t);
        zo_task_destroy(task);
    }
}

/* ---- bits ---- */

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    closed_case c = {"conv-elm", IMAGE_NET, SETTINGS("lambdas=4", "ensemble=3"), 2600, 6, 6};
    assert_int_equal(check_bits(&c, 1),
                     15); /* of each member fill, statistics, two tiles, the solve */
}

/* Another place than any trainer can be at, and a file that ends too soon: nothing changes. */
static void damaged_states_change_nothing(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 300, 5, 3, 3);
    zo_trainer *t = begin(task, "dense9 relu dense3", "elm", 7, SETTINGS("ensemble=3")),
               *other = begin(task, "dense9 relu dense3", "elm", 7, SETTINGS("ensemble=3"));
    take_steps(t, 7);
    size_t size = zo_trainer_state_size(t);
    char *good = malloc(size), *bad = malloc(size), *now = malloc(size);
    zo_file_out f;
    zo_file_out_to_memory(&f, ctx, good);
    zo_trainer_state_add(t, &f);
    zo_file_out_to_memory(&f, ctx, now);
    zo_trainer_state_add(other, &f);
    for (int field = 0; field < 4; field++) {
        memcpy(bad, good, size);
        int64_t wrong = field == 0 ? -1 : 3;
        if (field < 3) memcpy(bad + field * (int)sizeof wrong, &wrong, sizeof wrong);
        zo_reader in = {bad, bad + size - (field == 3 ? 8 : 0), false};
        assert_false(zo_trainer_state_take(other, &in));
        zo_file_out_to_memory(&f, ctx, bad);
        zo_trainer_state_add(other, &f);
        assert_memory_equal(bad, now, size);
    }
    zo_reader in = {good, good + size, false};
    assert_true(zo_trainer_state_take(other, &in) && in.at == in.end);
    free(good), free(bad), free(now);
    zo_trainer_destroy(t), zo_trainer_destroy(other);
    zo_task_destroy(task);
}

/* ---- budgets ---- */

/* `steps` whole steps, then one that must finish: the mean of the members so far, the last one with the rows so far; who has none is left out. */
static void check_budget(const zo_task *task, int steps, int own, int members)
{
    const char *spec = "dense30 relu dense3";
    float *member[MEMBERS];
    zo_step_info info;
    zo_trainer *t = begin(task, spec, "elm", 5, SETTINGS("ensemble=3"));
    take_steps(t, steps);
    assert_int_equal(zo_trainer_step(t, 1, &info), ZO_OK);
    assert_true(info.done);
    assert_int_equal(info.step, steps + 1);
    for (int i = 0; i < members; i++)
        member[i] = member_answers(task, spec, "elm", 5, i, NULL, i + 1 == members ? own : 0);
    assert_true(apart(t, task, member, members) < 1e-5);
    assert_true(zo_trainer_progress(t) == 1);
    for (int i = 0; i < members; i++) free(member[i]);
    zo_trainer_destroy(t);
}

/* Fill, no statistics but a step that finds this, two tiles and the solve make a member. */
static void budgets_end_with_the_mean_so_far(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 2800, 5, 3, 3);
    check_budget(task, 1, 1, 1);
    check_budget(task, 3, 3, 1);
    check_budget(task, 5, 0, 1);  /* the first member is done */
    check_budget(task, 7, 0, 1);  /* the second has no row yet */
    check_budget(task, 8, 3, 2);  /* it has a tile */
    check_budget(task, 10, 0, 2); /* it is done */
    check_budget(task, 13, 3, 3);
    zo_task_destroy(task);
}

/* ---- runs ---- */

static zo_train_def ensemble_run(const zo_task *task, const char *out, diary *d)
{
    static const char *const settings[] = {"units=20", "ensemble=3", NULL};
    zo_train_def def = zo_train_default_def();
    *d = (diary){.cancel_from = -1};
    def.task = task;
    def.method = "elm";
    def.settings = settings;
    def.seed = 3;
    def.out = out;
    def.report = note;
    def.report_user = d;
    return def;
}

/* The run is described by the member's net, from which it can be taken again; its model is the whole. */
static void runs_are_taken_again(void **state)
{
    (void)state;
    char path[PATH_ROOM];
    diary d;
    zo_net *want, *got;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=6000"));
    zo_train_def def = ensemble_run(task, place(path, folder, "run"), &d);
    zo_train_result r;
    zo_cancel(ctx);
    assert_int_equal(zo_train(ctx, &def, &r, NULL), ZO_CANCELLED);
    zo_cancel_clear(ctx);
    def.resume = true;
    if (zo_train(ctx, &def, &r, &got)) fail_msg("%s", zo_last_error(ctx));
    assert_true(d.in_order && d.last.progress == 1 && r.validation_accuracy > 0.85);
    assert_near(r.epochs, 3, 0, 1e-12, "epochs");
    zo_verified v;
    zo_train_def again = zo_train_default_def();
    again.task = task;
    if (zo_verify(ctx, path, &again, &v)) fail_msg("%s", zo_last_error(ctx));
    assert_true(v.model && v.different == 0);
    def = ensemble_run(task, NULL, &d);
    assert_int_equal(zo_train(ctx, &def, &r, &want), ZO_OK);
    assert_string_equal(zo_net_spec(got), zo_net_spec(want));
    assert_same_floats(got->params, want->params, want->arena, "a resumed run");
    zo_net_destroy(want);
    want = load_model(path);
    assert_same_floats(got->params, want->params, want->arena, "the model");
    zo_net_destroy(want), zo_net_destroy(got);
    zo_task_destroy(task);
}

/* `body` leaves the last layer of each member free. */
static void others_go_on_with_the_network(void **state)
{
    (void)state;
    diary d;
    zo_net *net, *later, *none;
    zo_task *task = named_task(ctx, "blobs", 1, NULL);
    zo_train_def def = ensemble_run(task, NULL, &d);
    zo_train_result first, r;
    assert_int_equal(zo_train(ctx, &def, &first, &net), ZO_OK);
    def.init = net;
    def.method = "nodes";
    def.settings = SETTINGS("freeze=body", "lr=0.0001");
    def.epochs = 1;
    if (zo_train(ctx, &def, &r, &later)) fail_msg("%s", zo_last_error(ctx));
    assert_true(r.validation_accuracy >= first.validation_accuracy);
    for (int i = 0, at = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (!s->parameters) continue;
        bool same = !memcmp(later->params + s->weight, net->params + s->weight,
                            s->weight_floats * sizeof(float));
        assert_true(same == (at++ % 2 == 0));
    }
    zo_net_destroy(later);
    def.method = "elm";
    def.settings = SETTINGS("body=keep");
    assert_int_equal(zo_train(ctx, &def, &r, &none), ZO_UNSUPPORTED);
    error_says(ctx, "elm", "end it with dense3", NULL);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    (void)state;
    static const char *const bad[][3] = {{"ensemble=0", "lambda=1", "ensemble"},
                                         {"ensemble=65", "lambda=1", "ensemble"},
                                         {"ensemble=2", "body=keep", "would be the same"}};
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    zo_net *net = make_net(ctx, task, "dense9 relu dense3", 1);
    for (int i = 0; i < 3; i++) {
        zo_trainer_def def = zo_trainer_default_def();
        zo_trainer *t;
        def.method = "elm";
        def.task = task;
        def.net = net;
        def.settings = SETTINGS(bad[i][0], bad[i][1]);
        assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_USAGE);
        error_says(ctx, bad[i][2], NULL);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    closed_case c = {"elm", "dense5 relu dense3", SETTINGS("ensemble=2", "lambdas=2"), 0, 1, 4};
    assert_true(refuse_each(train_closed, &c) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_the_mean_of_the_members),
        cmocka_unit_test(members_have_seeds_of_their_own),
        cmocka_unit_test(large_ensembles_are_shallow),
        cmocka_unit_test(a_mean_is_better_than_its_members),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(damaged_states_change_nothing),
        cmocka_unit_test(budgets_end_with_the_mean_so_far),
        cmocka_unit_test(runs_are_taken_again),
        cmocka_unit_test(others_go_on_with_the_network),
        cmocka_unit_test(what_cannot_be_is_refused_in_one_line),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* One contract for every registered class when something goes wrong: losses that are not finite are survived and counted; a step that is
 * cancelled or diverges changes nothing; a step allocates nothing; every refused allocation is reported and leaks nothing.
 * labels: threads
 */
#include <stdatomic.h>

#include "contract_support.h"

#include "base/context.h"
#include "nn/loss.h"

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

static int trials; /* that ran: a loop over nothing must not pass */

static void assert_finite(const trial *t, const zo_trainer *trainer)
{
    const zo_net *net = zo_trainer_net(trainer);
    for (size_t i = 0; i < net->arena; i++) {
        if (!isfinite(net->params[i])) fail_msg("%s: parameter %zu is not finite", t->name, i);
    }
}

/* ---- losses that are not finite ---- */

typedef enum mood { GOOD, SOME_NAN, ALL_NAN, MOVED_NAN } mood;

/* Half the squared distance to one-hot; by its mood NaN for label 0, for all, or infinite at places that depend on the outputs. */
static void moody_loss(void *user, int n, int outputs, const float *y, int stride,
                       const int32_t *label, const float *target, float *loss)
{
    (void)target;
    mood m = (mood)atomic_load((atomic_int *)user);
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) {
            float d = row[j] - (float)(label[i] == j);
            loss[i] += d * d / 2;
        }
        if (m == ALL_NAN || (m == SOME_NAN && label[i] == 0)) loss[i] = NAN;
        if (m == MOVED_NAN && float_bits(row[0]) % 4 == 0) loss[i] = i % 2 ? NAN : -INFINITY;
    }
}

static void check_mood(trial *t, house *h, atomic_int *now, mood m, double *mean_loss)
{
    zo_step_info info;
    atomic_store(now, m);
    for (int i = 0; i < 2; i++) {
        if (zo_trainer_step(h->trainer, 0.5, &info))
            fail_msg("%s: %s", t->name, zo_last_error(ctx));
        if (!isfinite(info.loss)) fail_msg("%s: the reported loss is not finite", t->name);
        if ((info.dropped > 0) != (m != GOOD))
            fail_msg("%s: %lld dropped in mood %d", t->name, (long long)info.dropped, m);
        assert_finite(t, h->trainer);
    }
    *mean_loss = info.loss;
}

/* Some rows without a loss: the others still teach. None: DIVERGED, and as if the step had never been tried. */
static void survives_a_moody_loss(trial *t)
{
    atomic_int now = GOOD;
    double first, last;
    house h, twin;
    t->loss = moody_loss;
    t->loss_user = &now;
    if (!build(ctx, t, 1, &h)) return;
    trials++;
    assert_true(build(ctx, t, 1, &twin));
    check_mood(t, &h, &now, GOOD, &first);
    check_mood(t, &twin, &now, GOOD, &first);
    atomic_store(&now, ALL_NAN);
    assert_int_equal(zo_trainer_step(h.trainer, 0.5, NULL), ZO_DIVERGED);
    error_says(ctx, "finite", "lr", NULL);
    assert_true(holds(h.trainer, zo_trainer_net(twin.trainer)->params));
    check_mood(t, &h, &now, SOME_NAN, &last);
    check_mood(t, &twin, &now, SOME_NAN, &last);
    assert_true(holds(h.trainer, zo_trainer_net(twin.trainer)->params));
    check_mood(t, &h, &now, MOVED_NAN, &last);
    pull_down(&h);
    pull_down(&twin);
}

static void odd_losses_of_a_user_are_survived(void **state)
{
    (void)state;
    trials = 0;
    each_rule(survives_a_moody_loss);
    each_choice(survives_a_moody_loss);
    each_layer(survives_a_moody_loss);
    assert_true(trials > 10);
}

/* Members of a population that lose other examples than the unperturbed network cannot be compared with it. */
static void members_that_lose_other_examples_are_dropped(void **state)
{
    (void)state;
    atomic_int now = MOVED_NAN;
    zo_step_info info;
    house h;
    trial t = trial_of("weights", "sgd");
    t.loss = moody_loss;
    t.loss_user = &now;
    put_setting(&t, 1, "population", "10");
    assert_true(build(ctx, &t, 1, &h));
    assert_int_equal(zo_trainer_step(h.trainer, 0, &info), ZO_OK);
    assert_true(info.dropped > 10); /* every pair, and the examples that were lost at once */
    assert_true(holds(h.trainer, h.net->params));
    pull_down(&h);
}

/* Examples so large that their activations overflow, and targets whose squared error does: the same for losses of our own, and for the
 * reference, which takes no user's loss. The examples that fit must move the network as they would alone. */
static void survives_outliers(trial *t)
{
    house h;
    zo_step_info info;
    t->regression = true;
    put_setting(t, 2, "lr", "0.0005");
    if (!t->images) snprintf(t->spec, sizeof t->spec, "dense9 relu dense20 leaky-relu dense3");
    if (strstr(t->spec, "sqrt")) return; /* the root of the largest number is an ordinary one */
    if (!build(ctx, t, 1, &h)) return;
    trials++;
    zo_examples *part = h.task->part + ZO_TRAIN;
    for (int64_t i = 0; i < part->n; i += 5) {
        for (int j = 0; j < h.task->inputs; j++) part->x[i * h.task->stride + j] = 3e38f;
        part->target[(i + 2) % part->n * 3] = 1e25f;
    }
    for (int i = 0; i < 6; i++) {
        if (zo_trainer_step(h.trainer, 0.5, &info)) fail_msg("%s: %s", t->name, zo_last_error(ctx));
        if (!isfinite(info.loss) || !info.dropped || info.loss > 1e6)
            fail_msg("%s: loss %g, %lld dropped", t->name, info.loss, (long long)info.dropped);
        assert_finite(t, h.trainer);
    }
    for (int64_t i = 0; i < part->n * 3; i++) part->target[i] = 1e25f;
    float *before = floats(h.net->arena);
    memcpy(before, zo_trainer_net(h.trainer)->params, h.net->arena * sizeof *before);
    assert_int_equal(zo_trainer_step(h.trainer, 0.5, &info), ZO_DIVERGED);
    assert_true(holds(h.trainer, before));
    free(before);
    pull_down(&h);
}

static void outliers_are_survived(void **state)
{
    (void)state;
    trials = 0;
    each_rule(survives_outliers);
    each_choice(survives_outliers);
    each_layer(survives_outliers);
    assert_true(trials > 12);
}

/* ---- cancelling ---- */

static char *folder;

static int make_place(void **state)
{
    (void)state;
    folder = make_folder();
    return 0;
}

static int clear_place(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

/* A host's executor that asks for a stop before its `left`-th item. */
typedef struct host {
    zo_context *ctx;
    long left, items;
} host;

static void run_items(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    host *h = user;
    for (int64_t i = 0; i < n; i++) {
        h->items++;
        if (h->left-- == 0) zo_cancel(h->ctx);
        fn(arg, i, (int)(i % 2));
    }
}

static zo_context *hosted(host *h)
{
    zo_context_def def = zo_context_default_def();
    def.executor = (zo_executor){run_items, 2, h};
    *h = (host){.left = -1};
    assert_int_equal(zo_context_create(&def, &h->ctx), ZO_OK);
    return h->ctx;
}

/* Cancelled before item k of a step, for each k: the step is either done, or never was. */
static void stops_cleanly(trial *t)
{
    host at;
    house h;
    zo_context *where = hosted(&at);
    if (!build(where, t, 1, &h)) {
        zo_context_destroy(where);
        return;
    }
    trials++;
    size_t n;
    int stopped = 0;
    walk(where, t, h.trainer, 0, 1);
    const char *path = in_folder(folder, "state");
    assert_int_equal(zo_trainer_save(h.trainer, path), ZO_OK);
    float *before = copy_of(h.trainer, &n);
    at.items = 0;
    walk(where, t, h.trainer, 1, 2);
    long items = at.items;
    float *after = copy_of(h.trainer, &n);
    for (long k = 0; k < items; k++) {
        assert_int_equal(zo_trainer_load(h.trainer, path), ZO_OK);
        at.left = k;
        zo_status status = zo_trainer_step(h.trainer, 1 / 8.0, NULL);
        if (status != ZO_OK && status != ZO_CANCELLED)
            fail_msg("%s: %s", t->name, zo_status_name(status));
        stopped += status == ZO_CANCELLED;
        assert_true(holds(h.trainer, status ? before : after));
        assert_int_equal(zo_trainer_step(h.trainer, 1 / 8.0, NULL), ZO_CANCELLED);
        zo_cancel_clear(where);
        if (!status) continue;
        walk(where, t, h.trainer, 1, 2); /* step 2: the stopped one was not counted */
        assert_true(holds(h.trainer, after));
    }
    assert_true(stopped > 1 && stopped < items);
    free(before);
    free(after);
    pull_down(&h);
    zo_context_destroy(where);
}

static void a_cancelled_step_changes_nothing(void **state)
{
    (void)state;
    trials = 0;
    each_rule(stops_cleanly);
    assert_true(trials > 5);
}

/* ---- memory ---- */

static void allocates_nothing(trial *t)
{
    memory m = {.left = -1};
    zo_context *where = make_context(2, NULL, &m);
    house h;
    if (build(where, t, 1, &h)) {
        trials++;
        long before = m.calls;
        m.left = 0;
        walk(where, t, h.trainer, 0, 4);
        m.left = -1;
        assert_int_equal(m.calls, before);
        pull_down(&h);
    }
    zo_context_destroy(where);
    assert_int_equal(m.live, 0);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    trials = 0;
    each_rule(allocates_nothing);
    each_choice(allocates_nothing);
    each_loss(allocates_nothing);
    each_layer(allocates_nothing);
    assert_true(trials > 20);
}

static zo_status make_all(zo_context *where, const trial *t, house *h)
{
    zo_task_def task = zo_task_default_def();
    task.name = t->task;
    task.settings = SETTINGS("n=60");
    zo_status status = zo_task_create(where, &task, &h->task);
    zo_net_def net = zo_net_default_def();
    net.spec = "dense5 tanh dense2";
    net.inputs = 2;
    if (!status) status = zo_net_create(where, &net, &h->net);
    trial u = *t;
    if (!status) status = create(where, &u, h->task, h->net, 1, &h->trainer);
    return status;
}

/* A life from task to trainer: two steps, saved and taken up again. */
static zo_status live(zo_context *where, void *arg)
{
    const char *path = in_folder(folder, "state");
    house h = {0};
    zo_status status = make_all(where, arg, &h);
    for (int i = 0; i < 2 && !status; i++) status = zo_trainer_step(h.trainer, i / 2.0, NULL);
    if (!status) status = zo_trainer_save(h.trainer, path);
    if (!status) status = zo_trainer_load(h.trainer, path);
    pull_down(&h);
    return status;
}

/* The first made-up task of two features and two classes. */
static const char *small_task(void)
{
    const zo_class_info *k;
    for (int i = 0; (k = zo_class_at("tasks", i)); i++) {
        if (!made_up(k)) continue;
        zo_task *task = named_task(ctx, k->name, 0, SETTINGS("n=60"));
        bool fits = task->inputs == 2 && task->classes == 2;
        zo_task_destroy(task);
        if (fits) return k->name;
    }
    fail_msg("no task of two features and two classes");
    return NULL;
}

static void leaks_nothing(trial *t)
{
    t->task = small_task();
    put_setting(t, 0, "batch", "8");
    put_setting(t, 1, "batch", "8");
    put_setting(t, 2, "batch", "8");
    trials += refuse_each(live, t) > 20;
}

static void each_refused_allocation_is_reported(void **state)
{
    (void)state;
    trials = 0;
    each_rule(leaks_nothing);
    assert_true(trials >= 9);
}

/* The same through a whole run with its directory. */
static zo_status run_all(zo_context *where, void *arg)
{
    const trial *t = arg;
    zo_task_def def = zo_task_default_def();
    def.name = t->task;
    def.settings = SETTINGS("n=60");
    zo_task *task = NULL;
    zo_status status = zo_task_create(where, &def, &task);
    zo_train_def run = zo_train_default_def();
    char *out = make_folder();
    run.task = task;
    run.net = "dense4 tanh dense2";
    run.method = t->method;
    run.settings = SETTINGS("batch=8");
    run.epochs = 2;
    run.out = in_folder(out, "run");
    zo_net *net = NULL;
    if (!status) status = zo_train(where, &run, NULL, &net);
    zo_net_destroy(net);
    zo_task_destroy(task);
    remove_folder(out);
    return status;
}

static void a_run_reports_each_refused_allocation(void **state)
{
    (void)state;
    const zo_class_info *e, *rule = zo_class_at("rules", 0);
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        trial t = trial_of(e->name, rule->name);
        t.task = small_task();
        assert_true(refuse_each(run_all, &t) > 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_losses_of_a_user_are_survived),
        cmocka_unit_test(members_that_lose_other_examples_are_dropped),
        cmocka_unit_test(outliers_are_survived),
        cmocka_unit_test_setup_teardown(a_cancelled_step_changes_nothing, make_place, clear_place),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test_setup_teardown(each_refused_allocation_is_reported, make_place, clear_place),
        cmocka_unit_test(a_run_reports_each_refused_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

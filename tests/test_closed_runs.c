/* Runs of closed forms: their end, budgets that are too short, stops, networks that others go on with; what is refused; failed allocations.
 * labels: threads
 */
#include "closed_support.h"

/* ---- runs ---- */

static zo_train_def closed_run(const zo_task *task, const char *out, diary *d)
{
    static const char *const settings[] = {"units=40", NULL};
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

static void runs_end_when_they_are_done(void **state)
{
    (void)state;
    char path[PATH_ROOM];
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=4000"));
    zo_train_def def = closed_run(task, place(path, folder, "done"), &d);
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.validation_accuracy > 0.85 && isfinite(r.train_loss) && isfinite(r.test_loss));
    assert_true(d.in_order && d.last.progress == 1);
    assert_near(r.epochs, 1, 0, 1e-12, "epochs");
    assert_int_equal(r.uses, ZO_USES_LOSS_DERIVATIVE);
    zo_verified v;
    zo_train_def again = zo_train_default_def();
    again.task = task;
    if (zo_verify(ctx, path, &again, &v)) fail_msg("%s", zo_last_error(ctx));
    assert_true(v.model && v.different == 0);
    zo_task_destroy(task);
}

/* A budget that ends before the rows do: solved with what there is. */
static void short_budgets_finish(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=20000"));
    zo_train_def def = closed_run(task, NULL, &d);
    def.epochs = 0.3;
    zo_train_result r = run(&def, ZO_OK);
    assert_true(r.epochs > 0.25 && r.epochs < 0.6 && r.validation_accuracy > 0.85);
    def.epochs = 0;
    def.forwards = 1e-9; /* not even one tile */
    r = run(&def, ZO_OK);
    assert_true(r.epochs > 0 && r.epochs < 0.5 && r.validation_accuracy > 0.85);
    zo_task_destroy(task);
}

/* Cancelled at each step; resumed, the same network. */
static void stopped_runs_go_on(void **state)
{
    (void)state;
    zo_task *task = named_task(ctx, "blobs", 1, SETTINGS("n=9000"));
    diary d;
    zo_net *want, *got;
    zo_train_def def = closed_run(task, NULL, &d);
    assert_int_equal(zo_train(ctx, &def, NULL, &want), ZO_OK);
    char path[PATH_ROOM];
    def = closed_run(task, place(path, folder, "stopped"), &d);
    zo_train_result r;
    zo_cancel(ctx);
    assert_int_equal(zo_train(ctx, &def, &r, NULL), ZO_CANCELLED);
    zo_cancel_clear(ctx);
    assert_true(isnan(r.validation_accuracy) && isnan(r.test_accuracy));
    assert_int_not_equal(access(in_folder(path, "model.safetensors"), F_OK), 0);
    def.resume = true;
    if (zo_train(ctx, &def, &r, &got)) fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(r.resumed, 1);
    assert_same_floats(got->params, want->params, want->arena, "a resumed run");
    zo_net_destroy(want);
    zo_net_destroy(got);
    zo_task_destroy(task);
}

/* The result is a network like any other: nodes goes on with it, also with the last layer alone. */
static void others_go_on_with_the_network(void **state)
{
    (void)state;
    diary d;
    zo_task *task = named_task(ctx, "blobs", 1, NULL);
    zo_net *net, *later;
    zo_train_def def = closed_run(task, NULL, &d);
    zo_train_result first, r;
    assert_int_equal(zo_train(ctx, &def, &first, &net), ZO_OK);
    def.init = net;
    def.method = "nodes";
    def.settings = SETTINGS("freeze=body", "lr=0.0001");
    def.epochs = 1;
    assert_int_equal(zo_train(ctx, &def, &r, &later), ZO_OK);
    assert_true(r.validation_accuracy >= first.validation_accuracy);
    const zo_stage *s = net->stage;
    assert_same_floats(later->params + s->weight, net->params + s->weight, s->weight_floats, "body");
    zo_net_destroy(later);
    def.method = "elm";
    def.settings = SETTINGS("body=keep");
    def.epochs = 0;
    assert_int_equal(zo_train(ctx, &def, &r, &later), ZO_OK);
    assert_same_floats(later->params, net->params, net->arena, "solved again");
    zo_net_destroy(later);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- what is refused, and what is not ---- */

static void refused(const zo_task *task, const char *spec, const char *method,
                    const char *const *settings, zo_status want, const char *says)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer_def def = zo_trainer_default_def();
    zo_trainer *t;
    def.method = method;
    def.task = task;
    def.net = net;
    def.settings = settings;
    zo_status status = zo_trainer_create(ctx, &def, &t);
    if (status != want) fail_msg("%s: %s: %s", says, zo_status_name(status), zo_last_error(ctx));
    assert_null(t);
    error_says(ctx, says, NULL);
    zo_net_destroy(net);
}

/* Nets for images of any size are nets: filters and both sides of them for each stage; two stages where they have room. */
static void default_nets_fit_the_images(void **state)
{
    (void)state;
    for (int side = 2; side <= 33; side++) {
        zo_task *task = make_images(ctx, 30, side, side + side % 3, 1, 3, 3);
        for (int stages = 1; stages <= 2; stages++) {
            char spec[200], setting[24];
            snprintf(setting, sizeof setting, "stages=%d", stages);
            zo_status status = zo_method_net(ctx, "conv-elm", task, SETTINGS(setting, "units=9"),
                                             spec, sizeof spec);
            assert_int_equal(status, stages == 2 && side < 5 ? ZO_USAGE : ZO_OK);
            if (status) {
                error_says(ctx, "5 x 5 and more", "stages=1", NULL);
                continue;
            }
            int words = 0;
            for (const char *at = spec; (at = strstr(at, "twosided")); at++) words++;
            assert_int_equal(words, stages);
            zo_net_destroy(make_net(ctx, task, spec, 1));
        }
        zo_task_destroy(task);
    }
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    (void)state;
    const char *const *none = NULL;
    zo_task *task = make_task(ctx, 100, 4, 3, 3), *numbers = make_task(ctx, 100, 4, 0, 1);
    refused(task, "dense9 relu dense3 relu", "elm", none, ZO_UNSUPPORTED, "end it with dense3");
    refused(task, "dense9 relu dense3", "elm:sgd", none, ZO_USAGE, "no rule");
    refused(task, "dense9 relu dense3", "elm", SETTINGS("fields=yes"), ZO_USAGE, "for images");
    refused(task, "dense9 relu dense3", "elm", SETTINGS("copies=2"), ZO_USAGE, "copies");
    refused(task, "dense3", "elm", SETTINGS("weights=class"), ZO_USAGE, "a dense layer before");
    refused(numbers, "dense9 relu dense1", "elm", SETTINGS("weights=class"), ZO_USAGE, "classes");
    refused(numbers, "dense9 relu dense1", "elm", SETTINGS("balance=yes"), ZO_USAGE, "classes");
    zo_task *images = make_images(ctx, 60, 12, 12, 1, 3, 3);
    refused(images, "patch3x10 flatten dense3", "conv-elm", SETTINGS("filters=pca"), ZO_USAGE,
            "9 filters");
    refused(images, "patch3x10 flatten dense3", "conv-elm", SETTINGS("weights=class"), ZO_USAGE,
            "a dense layer before");
    zo_task_destroy(images);
    char spec[64];
    assert_int_equal(zo_method_net(ctx, "conv-elm", task, NULL, spec, sizeof spec), ZO_USAGE);
    int64_t held = task->part[ZO_VALIDATION].n;
    task->part[ZO_VALIDATION].n = 0;
    refused(task, "dense9 relu dense3", "elm", none, ZO_USAGE, "no validation part");
    task->part[ZO_VALIDATION].n = held;
    for (int64_t i = 0; i < task->part[ZO_TRAIN].n; i++) task->part[ZO_TRAIN].label[i] = 1;
    refused(task, "dense9 relu dense3", "elm", none, ZO_USAGE, "one class only");
    zo_task_destroy(numbers);
    zo_task_destroy(task);
}

static void too_many_units_are_refused_before_allocation(void **state)
{
    (void)state;
    zo_context *before = ctx;
    zo_context_def def = zo_context_default_def();
    def.memory = 32 << 20;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    zo_task *task = make_task(ctx, 100, 4, 3, 3);
    refused(task, "dense6000 relu scale dense3", "elm", NULL, ZO_NO_MEMORY, "of the 6000 units fit");
    size_t fit = 0;
    assert_int_equal(sscanf(strstr(zo_last_error(ctx), "about "), "about %zu", &fit), 1);
    assert_true(fit > 100 && fit < 6000);
    char spec[64];
    snprintf(spec, sizeof spec, "dense%zu relu dense3", fit * 9 / 10);
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, NULL);
    solve(t);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    ctx = before;
}

static void check_finite(const zo_task *task, const char *spec, const char *method,
                         const char *const *settings)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, method, 1, settings);
    solve(t);
    const zo_net *now = zo_trainer_net(t);
    for (size_t i = 0; i < now->arena; i++) assert_true(isfinite(now->params[i]));
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

static void weights_are_always_finite(void **state)
{
    (void)state;
    zo_task *few = make_task(ctx, 40, 4, 3, 3), *images = make_images(ctx, 60, 12, 12, 1, 3, 3),
            *still = make_images(ctx, 60, 12, 12, 1, 3, 3);
    check_finite(few, "dense200 relu dense3", "elm", NULL); /* fewer examples than units */
    check_finite(few, "dense3", "elm", NULL);
    check_finite(images, "dense30 relu dense3", "elm", SETTINGS("weights=class", "fields=yes"));
    check_finite(images, "dense30 relu dense3", "elm", SETTINGS("weights=class-sums"));
    check_finite(images, "conv3x4 twosided cells2 flatten scale dense3", "conv-elm", NULL);
    check_finite(images, IMAGE_NET, "conv-elm", SETTINGS("filters=random"));
    check_finite(images, IMAGE_NET, "conv-elm", SETTINGS("filters=pca", "weights=class"));
    check_finite(images, IMAGE_NET, "conv-elm", SETTINGS("filters=kmeans", "weights=class-sums"));
    for (int part = 0; part < ZO_PARTS; part++)
        for (int64_t i = 0; i < still->part[part].n * still->stride; i++)
            still->part[part].x[i] = 0;
    check_finite(still, IMAGE_NET, "conv-elm", NULL);
    check_finite(still, IMAGE_NET, "conv-elm", SETTINGS("filters=kmeans", "weights=class"));
    check_finite(still, IMAGE_NET, "conv-elm", SETTINGS("filters=pca", "weights=class-sums"));
    check_finite(still, "dense30 relu dense3", "elm", SETTINGS("weights=class"));
    for (int i = 0; i < few->inputs; i++) few->part[ZO_TRAIN].x[i] = NAN;
    zo_net *net = make_net(ctx, few, "dense20 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, few, net, "elm", 1, NULL);
    assert_int_equal(zo_trainer_step(t, 1, NULL), ZO_FORMAT); /* never NaN weights */
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(few);
    zo_task_destroy(images);
    zo_task_destroy(still);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    closed_case c = {"conv-elm",
                     IMAGE_NET,
                     SETTINGS("balance=yes", "lambdas=2", "loss=logistic", "iterations=2",
                              "filters=kmeans", "weights=class"),
                     0,
                     6,
                     6};
    assert_true(refuse_each(train_closed, &c) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_end_when_they_are_done),
        cmocka_unit_test(short_budgets_finish),
        cmocka_unit_test(stopped_runs_go_on),
        cmocka_unit_test(others_go_on_with_the_network),
        cmocka_unit_test(default_nets_fit_the_images),
        cmocka_unit_test(what_cannot_be_is_refused_in_one_line),
        cmocka_unit_test(too_many_units_are_refused_before_allocation),
        cmocka_unit_test(weights_are_always_finite),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The files that runs leave, and what can be done with them: repeat the run from its config, read its metrics, predict with its model. */
#include "run_support.h"

/* ---- the files ---- (the journal: test_journal.c) */

static void config_describes_the_run(const json_t *config, const zo_train_def *def)
{
    json_t *settings = json_object_get(config, "settings"),
           *record = json_object_get(config, "record");
    assert_int_equal(json_integer_value(json_object_get(config, "schema")), 1);
    assert_string_equal(text_of(config, "task"), "spirals");
    assert_string_equal(text_of(config, "seed"),
                        "18446744073709551615"); /* JSON numbers are too small */
    assert_string_equal(text_of(config, "net"), def->net);
    assert_near(number_of(config, "epochs"), def->epochs, 0, 0, "epochs");
    assert_null(json_object_get(config, "seconds"));
    assert_string_equal(text_of(settings, "batch"), "20");
    assert_string_equal(text_of(settings, "estimator"), "nodes"); /* resolved, not as given */
    assert_string_equal(text_of(settings, "loss"), "cross-entropy");
    assert_string_equal(text_of(record, "kernels"), zo_context_kernels(ctx));
    assert_string_equal(text_of(record, "version"), zo_version());
    assert_string_equal(text_of(record, "uses"), "loss");
    assert_int_equal(strlen(text_of(record, "checksum")), 16);
}

static void metrics_tell_the_result(json_t **lines, int n, const zo_train_result *r, const char *net)
{
    const json_t *last = lines[n - 1];
    for (int i = 0; i + 1 < n; i++) {
        assert_string_equal(text_of(lines[i], "event"), "report");
        assert_true(number_of(lines[i], "progress") <= 1);
        assert_true(i == 0 || number_of(lines[i], "step") > number_of(lines[i - 1], "step"));
        assert_true(isnan(number_of(lines[i], "train_loss")) == (i == 0)); /* null: nothing is known */
    }
    assert_string_equal(text_of(last, "event"), "result");
    assert_string_equal(text_of(last, "state"), "done");
    assert_string_equal(text_of(last, "estimator"), r->estimator);
    assert_string_equal(text_of(last, "rule"), r->rule);
    assert_string_equal(text_of(last, "net"), net);
    assert_true(isnan(number_of(last, "seconds_target")));
    assert_int_equal(number_of(last, "steps"), r->steps);
    assert_int_equal(number_of(last, "parameters"), r->parameters);
    assert_near(number_of(last, "cost"), r->cost, 0, 1e-11, "cost");
    assert_near(number_of(last, "forwards"), r->forwards, 0, 1e-11, "forwards");
    assert_near(number_of(last, "test_accuracy"), r->test_accuracy, 0, 1e-11, "test_accuracy");
    assert_near(number_of(last, "validation_loss"), r->validation_loss, 0, 1e-11, "validation_loss");
}

static void a_run_leaves_four_files(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM];
    const char *out = place(path, folder, "deep/er/run");
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    zo_train_def def = small_run(task, out, NULL);
    zo_net *net;
    zo_train_result r;
    assert_int_equal(zo_train(ctx, &def, &r, &net), ZO_OK);
    assert_int_equal(entries(out), 4); /* the states that it could have gone on from are gone */
    json_t *config = json_load_file(place(file, out, "config.json"), JSON_REJECT_DUPLICATES, NULL);
    config_describes_the_run(config, &def);
    json_decref(config);
    json_t *lines[400];
    int n = read_metrics(out, lines, 400);
    metrics_tell_the_result(lines, n, &r, def.net);
    free_lines(lines, n);
    zo_net *saved = load_model(out);
    assert_string_equal(zo_net_spec(saved), def.net);
    assert_same_floats(saved->params, net->params, net->arena, "saved and returned");
    assert_same_floats(saved->shift, task->shift, (size_t)task->inputs, "shift");
    zo_net_destroy(saved);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- the same bits ---- */

static char *model_of(zo_context *where, const zo_train_def *like, const char *out, size_t *size)
{
    char path[PATH_ROOM];
    zo_task *task = named_task(where, "spirals", 1, NULL);
    zo_train_def def = *like;
    def.task = task;
    def.out = out;
    if (zo_train(where, &def, NULL, NULL)) fail_msg("%s", zo_last_error(where));
    zo_task_destroy(task);
    return get_file(place(path, out, "model.safetensors"), size);
}

static void check_model(zo_context *where, const zo_train_def *def, const char *name,
                        const char *want, size_t size)
{
    char path[PATH_ROOM];
    size_t n;
    char *got = model_of(where, def, place(path, folder, name), &n);
    assert_int_equal(n, size);
    assert_memory_equal(got, want, size);
    free(got);
}

/* Seed and budget decide every byte of the model, and so do the settings in config.json. */
static void runs_can_be_repeated(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM], text[64][96], name[32];
    const char *first = place(path, folder, "first"), *settings[65] = {NULL}, *key;
    zo_train_def def = small_run(named_task(ctx, "xor", 1, NULL), NULL, NULL);
    zo_task_destroy((zo_task *)def.task);
    def.epochs = 0;
    def.forwards = 40000;
    size_t size;
    char *want = model_of(ctx, &def, first, &size);
    for (int i = 0; i < 3 + 3; i++) {
        const zo_kernels *k = i < 3 ? NULL : kernel_set(i - 3);
        if (i >= 3 && !k) break;
        zo_context *where = make_context(i < 3 ? i + 1 : 2, k ? k->info.name : NULL, NULL);
        snprintf(name, sizeof name, "again-%d", i);
        check_model(where, &def, name, want, size);
        zo_context_destroy(where);
    }
    json_t *config = json_load_file(place(file, first, "config.json"), 0, NULL), *value;
    int n = 0;
    json_object_foreach(json_object_get(config, "settings"), key, value)
    {
        snprintf(text[n], sizeof text[n], "%s=%s", key, json_string_value(value));
        settings[n] = text[n];
        n++;
    }
    def.method = text_of(config, "method");
    def.net = text_of(config, "net");
    def.forwards = number_of(config, "forwards");
    def.settings = settings;
    check_model(ctx, &def, "from-config", want, size);
    json_decref(config);
    free(want);
}

/* ---- folders that cannot be used ---- */

static void a_folder_with_a_run_is_left_alone(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM];
    const char *out = place(path, folder, "taken");
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    zo_train_def def = small_run(task, out, NULL);
    def.epochs = 0.2;
    run(&def, ZO_OK);
    size_t size, n;
    char *model = get_file(place(file, out, "model.safetensors"), &size);
    def.seed = 3;
    run(&def, ZO_EXISTS);
    error_says(ctx, out, "another folder", NULL);
    char *after = get_file(file, &n);
    assert_int_equal(n, size);
    assert_memory_equal(after, model, size);
    assert_int_equal(entries(out), 4);
    free(model);
    free(after);
    zo_task_destroy(task);
}

static void a_folder_that_cannot_be_made_is_refused(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM];
    zo_task *task = named_task(ctx, "spirals", 1, NULL);
    put_file(place(file, folder, "plain"), "x", 1);
    const char *const bad[] = {place(path, folder, "plain/run"), file, "/proc/nowhere/run", ""};
    for (int i = 0; i < 4; i++) {
        zo_train_def def = small_run(task, bad[i], NULL);
        run(&def, ZO_IO);
        error_says(ctx, bad[i], NULL);
    }
    zo_train_def def = small_run(task, place(path, folder, "never"), NULL);
    def.settings = SETTINGS("batch=zero");
    run(&def, ZO_USAGE); /* refused before anything is made */
    def.settings = NULL;
    def.net = "dense5 relu dense7";
    run(&def, ZO_USAGE);
    assert_int_not_equal(access(path, F_OK), 0);
    zo_task_destroy(task);
}

/* ---- predictions ---- */

/* Rows of a table whose class can be told from its numbers. */
static void write_table(const char *path, int rows, bool answers)
{
    uint64_t draws = 3;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "width,height%s\n", answers ? ",kind" : "");
    for (int i = 0; i < rows; i++) {
        double x = (double)draw(&draws, -2, 2), y = (double)draw(&draws, 5, 9);
        fprintf(f, "%.6g,%.6g", x, y);
        fprintf(f, answers ? ",%s\n" : "\n", x + y > 7 ? "large" : "small");
    }
    fclose(f);
}

static void train_table(const char *table, const char *out, zo_train_result *r, zo_net **net)
{
    zo_task *task = named_task(ctx, table, 1, SETTINGS("label=kind"));
    zo_train_def def = small_run(task, out, NULL);
    def.epochs = 30;
    assert_int_equal(zo_train(ctx, &def, r, net), ZO_OK);
    zo_task_destroy(task);
}

/* What the numbers of a column are counted from, as the model's own text says. */
static double offset_of(const zo_net *net, size_t column)
{
    json_t *encoder = json_loads(zo_net_note(net, "task"), 0, NULL),
           *of = json_array_get(json_object_get(encoder, "columns"), column);
    double offset = json_number_value(json_object_get(of, "offset"));
    json_decref(encoder);
    return offset;
}

static void check_predictions(const zo_predictions *p, const zo_net *net, const char *table)
{
    FILE *f = fopen(table, "r");
    char line[200];
    int64_t right = 0;
    double first = offset_of(net, 0), second = offset_of(net, 1);
    assert_non_null(fgets(line, sizeof line, f));
    for (int64_t i = 0; i < p->n; i++) {
        float x[2], y[2];
        char *end;
        assert_non_null(fgets(line, sizeof line, f));
        x[0] = (float)(strtod(line, &end) - first);
        x[1] = (float)(strtod(end + 1, &end) - second);
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        assert_same_floats(p->y + 2 * i, y, 2, "outputs");
        assert_int_equal(p->label[i], y[1] > y[0]);
        right += *end == ',' && !strncmp(end + 1, p->class_name[p->label[i]], 5);
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    if (!isnan(p->accuracy))
        assert_near(p->accuracy, (double)right / (double)p->n, 1e-12, 0, "accuracy");
}

static void tables_are_predicted(void **state)
{
    (void)state;
    char path[PATH_ROOM], with[PATH_ROOM], without[PATH_ROOM], file[PATH_ROOM];
    const char *out = place(path, folder, "table");
    write_table(place(with, folder, "with.csv"), 240, true);
    write_table(place(without, folder, "without.csv"), 50, false);
    zo_train_result r;
    zo_net *net;
    train_table(with, out, &r, &net);
    assert_true(r.validation_accuracy > 0.9);
    const char *const model[] = {out, place(file, out, "model.safetensors")};
    for (int i = 0; i < 4; i++) {
        zo_predictions *p;
        const char *table = i / 2 ? without : with;
        if (zo_predict(ctx, model[i % 2], table, &p)) fail_msg("%s", zo_last_error(ctx));
        assert_int_equal(p->n, i / 2 ? 50 : 240);
        assert_int_equal(p->outputs, 2);
        assert_string_equal(p->class_name[0], "large");
        assert_true(i / 2 ? isnan(p->accuracy) : p->accuracy > 0.9);
        check_predictions(p, net, table);
        zo_predictions_destroy(ctx, p);
    }
    zo_net_destroy(net);
}

static void predictions_that_cannot_be(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM], other[PATH_ROOM];
    const char *out = place(path, folder, "table"); /* of the test before */
    zo_predictions *p = (zo_predictions *)&p;
    put_file(place(other, folder, "other.csv"), "width,colour\n1,red\n", 19);
    assert_int_not_equal(zo_predict(ctx, out, other, &p), ZO_OK);
    error_says(ctx, "height", NULL);
    assert_null(p);
    assert_int_equal(zo_predict(ctx, out, place(file, folder, "no.csv"), &p), ZO_NOT_FOUND);
    assert_int_equal(zo_predict(ctx, file, other, &p), ZO_NOT_FOUND);
    assert_int_equal(zo_predict(ctx, other, other, &p), ZO_FORMAT);
    assert_int_equal(zo_predict(ctx, NULL, other, &p), ZO_USAGE);
    zo_task *task = make_task(ctx, 60, 3, 2, 2);
    zo_net *net = make_net(ctx, task, "dense2", 1);
    assert_int_equal(zo_net_save(net, place(file, folder, "bare.safetensors")), ZO_OK);
    assert_int_equal(zo_predict(ctx, file, other, &p), ZO_UNSUPPORTED);
    error_says(ctx, "zo_net_forward", NULL);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_predictions_destroy(ctx, NULL);
}

/* n images of 4 x 3 whose class is where the light is; IDX as the MNIST page gives it. */
static void write_images(const char *part, int n, uint8_t *pixels)
{
    char path[PATH_ROOM], name[64];
    uint8_t images[16 + 12 * 250] = {0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, 4, 0, 0, 0, 3},
                             labels[8 + 250] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)n};
    for (int i = 0; i < n; i++) {
        labels[8 + i] = (uint8_t)(i % 10);
        for (int j = 0; j < 12; j++)
            pixels[12 * i + j] = images[16 + 12 * i + j] =
                (uint8_t)(j == i % 10 ? 200 + i % 50 : 3 * j);
    }
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", part);
    put_file(place(path, folder, name), images, 16 + 12 * (size_t)n);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", part);
    put_file(place(path, folder, name), labels, 8 + (size_t)n);
}

static void images_are_predicted(void **state)
{
    (void)state;
    char path[PATH_ROOM], file[PATH_ROOM];
    uint8_t pixels[12 * 250];
    const char *out = place(path, folder, "images");
    write_images("train", 200, pixels);
    write_images("t10k", 50, pixels);
    zo_task_def task_def = zo_task_default_def();
    zo_task *task;
    zo_net *net;
    task_def.name = "mnist";
    task_def.data = folder;
    assert_int_equal(zo_task_create(ctx, &task_def, &task), ZO_OK);
    zo_train_def def = small_run(task, out, NULL);
    def.net = "dense10";
    def.epochs = 60;
    def.settings = SETTINGS("batch=20", "lr=0.05");
    assert_int_equal(zo_train(ctx, &def, NULL, &net), ZO_OK);
    zo_predictions *p;
    assert_int_equal(zo_predict(ctx, out, place(file, folder, "t10k-images-idx3-ubyte"), &p), ZO_OK);
    assert_int_equal(p->n, 50);
    assert_string_equal(p->class_name[7], "7");
    for (int i = 0; i < 50; i++) {
        float x[12], y[10];
        for (int j = 0; j < 12; j++) x[j] = (float)pixels[12 * i + j] / 255;
        assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
        assert_same_floats(p->y + 10 * i, y, 10, "outputs");
        assert_int_equal(p->label[i], i % 10);
    }
    zo_predictions_destroy(ctx, p);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_leaves_four_files),
        cmocka_unit_test(runs_can_be_repeated),
        cmocka_unit_test(a_folder_with_a_run_is_left_alone),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_refused),
        cmocka_unit_test(tables_are_predicted),
        cmocka_unit_test(predictions_that_cannot_be),
        cmocka_unit_test(images_are_predicted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

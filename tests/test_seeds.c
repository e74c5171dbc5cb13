/* Seeds files: the same network as model.safetensors, to the bit, with all that it needs to predict. (What is refused: test_seeds_refused.c.) */
#include "resume_support.h"

#include <jansson.h>
#include <zlib.h>

#include "journal_support.h"

static int trials;

static course small(void)
{
    trial t = trial_of("weights", "adam");
    snprintf(t.name, sizeof t.name, "weights");
    put_setting(&t, 1, "population", "6");
    return course_of(&t);
}

/* ---- the same network ---- */

static zo_net *load(zo_context *where, const char *path)
{
    zo_net *net;
    if (zo_model_load(where, path, &net)) fail_msg("%s: %s", path, zo_last_error(where));
    return net;
}

static void same_text(const char *a, const char *b)
{
    assert_true(!a == !b);
    if (a) assert_string_equal(a, b);
}

static void assert_same_net(const zo_net *a, const zo_net *b, const char *what)
{
    assert_string_equal(zo_net_spec(a), zo_net_spec(b));
    assert_int_equal(a->arena, b->arena);
    assert_same_floats(a->params, b->params, a->arena, what);
    assert_same_floats(a->shift, b->shift, (size_t)a->inputs, what);
    assert_same_floats(a->scale, b->scale, (size_t)a->inputs, what);
    assert_same_floats(a->out_shift, b->out_shift, (size_t)a->outputs, what);
    assert_same_floats(a->out_scale, b->out_scale, (size_t)a->outputs, what);
    same_text(zo_net_note(a, "task"), zo_net_note(b, "task"));
    int n = 0;
    for (const zo_note *k = a->notes; k; k = k->next, n++)
        same_text(k->value, zo_net_note(b, k->key));
    for (const zo_note *k = b->notes; k; k = k->next) n--;
    assert_int_equal(n, 0);
}

/* Writes a run as seeds, and loads them in contexts of other threads and kernels. */
static zo_seeds_info check_seeds(const char *run, const char *what)
{
    char path[ROOM];
    zo_seeds_info info, told;
    struct stat st;
    if (zo_seeds_save(ctx, run, fresh(path, "seeds"), &info))
        fail_msg("%s: %s", what, zo_last_error(ctx));
    for (int i = 0; i < 3; i++) {
        zo_context *where = make_context(i + 1, i ? NULL : "ref", NULL);
        zo_net *seeds = load(where, path), *model = load(where, run);
        assert_same_net(seeds, model, what);
        zo_net_destroy(seeds);
        zo_net_destroy(model);
        zo_context_destroy(where);
    }
    assert_int_equal(zo_seeds_describe(ctx, path, &told), ZO_OK);
    assert_int_equal(told.steps, info.steps);
    assert_string_equal(told.method, info.method);
    assert_int_equal(stat(path, &st), 0);
    assert_true(info.bytes == st.st_size && told.bytes == st.st_size);
    assert_int_equal(stat(in_folder(run, "model.safetensors"), &st), 0);
    assert_true(info.model_bytes == st.st_size && told.model_bytes == st.st_size);
    trials++;
    return info;
}

static void is_written_as_seeds(const course *c)
{
    char run[ROOM], stopped[ROOM];
    long calls;
    if (!from_losses(c)) return;
    outcome o = go_as(ctx, c, fresh(run, "run"), ZO_OK);
    zo_seeds_info info = check_seeds(run, c->t.name);
    if (!(info.steps > 0 && info.steps <= o.r.steps))
        fail_msg("%s: %d steps of %d", c->t.name, (int)info.steps, (int)o.r.steps);
    assert_string_equal(info.method, c->t.method);
    free(o.params);
    o = undisturbed(c, &calls);
    free(o.params);
    interrupt(c, fresh(stopped, "stopped"), NULL, 1, calls / 2, NULL);
    check_seeds(stopped, c->t.name); /* as far as it came */
    o = resume_as(ctx, c, stopped, ZO_OK);
    free(o.params);
    check_seeds(stopped, c->t.name);
}

/* Steps short enough for every rule and choice: one that never learns has no steps to write. */
static void rules_are_written(trial *t)
{
    for (int regression = 0; regression < 2; regression++) {
        trial u = *t;
        u.regression = regression;
        put_setting(&u, 2, "lr", "0.01");
        course c = course_of(&u);
        is_written_as_seeds(&c);
    }
}

static void choices_are_written(trial *t)
{
    course c = course_of(t);
    put_setting(&c.t, 2, "lr", "0.01");
    is_written_as_seeds(&c);
}

static void seeds_give_the_same_network(void **state)
{
    (void)state;
    trials = 0;
    each_rule(rules_are_written);
    each_choice(choices_are_written);
    assert_true(trials >= 3 * (6 + 8));
}

/* The network of averaged parameters, where it was kept. */
static void averages_are_written(void **state)
{
    (void)state;
    trial t = trial_of("weights", "sgd");
    course c = course_of(&t);
    put_setting(&c.t, 1, "schedule", "constant");
    put_setting(&c.t, 2, "lr", "3");
    outcome without = undisturbed(&c, NULL);
    put_setting(&c.t, 3, "average", "0.4");
    outcome with = undisturbed(&c, NULL);
    assert_true(memcmp(with.params, without.params, with.n * sizeof *with.params) != 0);
    free(with.params), free(without.params);
    is_written_as_seeds(&c);
}

/* Seeds know the shape of the inputs. */
static void images_are_written(void **state)
{
    (void)state;
    const zo_class_info *e;
    trials = 0;
    for (int i = 0; (e = zo_class_at("estimators", i)); i++) {
        course c = plain_images(e->name, "adam");
        c.t.regression = true; /* which it learns soon */
        c.epochs = 12;
        put_setting(&c.t, 2, "lr", "0.03");
        is_written_as_seeds(&c);
    }
    assert_true(trials > 3);
}

/* Losses that are not finite, of the user's own: what they came to is in the file. */
static void odd_loss(void *user, int n, int outputs, const float *y, int stride,
                     const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)target;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = 0;
        for (int j = 0; j < outputs; j++) loss[i] += fabsf(row[j] - (float)(label[i] == j));
        if (float_bits(row[0]) % 64 == 0) loss[i] = NAN;
    }
}

static void own_losses_are_written(void **state)
{
    course c = small();
    (void)state;
    c.t.loss = odd_loss;
    outcome o = undisturbed(&c, NULL);
    assert_true(o.r.dropped > 0);
    free(o.params);
    is_written_as_seeds(&c);
}

/* A run whose first network stays the best: there is nothing but its seed. */
static void a_network_without_a_step_is_written(void **state)
{
    char run[ROOM];
    course c = small();
    (void)state;
    put_setting(&c.t, 1, "lr", "1e-9"); /* nothing becomes better; the first of equals is not kept, */
    c.t.loss = odd_loss;
    c.epochs = 0.01; /* so the run is one step */
    outcome o = go_as(ctx, &c, fresh(run, "one"), ZO_OK);
    assert_int_equal(o.r.steps, 1);
    zo_seeds_info info = check_seeds(run, "one step");
    assert_true(info.steps <= 1);
    free(o.params);
    put_setting(&c.t, 1, "lr", "1000");
    c.epochs = 9;
    zo_status status = go(ctx, &c, fresh(run, "none"), &o);
    assert_true(status == ZO_OK || status == ZO_DIVERGED);
    assert_int_equal(check_seeds(run, "no step").steps, 0);
    free(o.params);
}

/* ---- the bytes ---- */

/* One deflated block of n things of `width` bytes, sorted by byte place, at *at. */
static void unpack(const char **at, void *out, size_t n, size_t width)
{
    uint64_t size;
    uLongf got = (uLongf)(n * width);
    char *sorted = malloc(n * width + 1);
    memcpy(&size, *at, 8);
    assert_int_equal(uncompress((Bytef *)sorted, &got, (const Bytef *)*at + 8, (uLong)size), Z_OK);
    assert_int_equal(got, n * width);
    for (size_t i = 0; i < n * width; i++) ((char *)out)[i] = sorted[i % width * n + i / width];
    *at += 8 + size;
    free(sorted);
}

/* n numbers: as they are, or as places in a table. */
static void unpack_numbers(const char **at, double *out, size_t n)
{
    uint32_t count;
    double table[65536];
    memcpy(&count, *at, 4);
    *at += 4;
    if (!count) {
        unpack(at, out, n, 8);
        return;
    }
    uint16_t *place = malloc(2 * n + 1);
    unpack(at, table, count, 8);
    unpack(at, place, n, 2);
    for (size_t i = 0; i < n; i++) out[i] = table[place[i]];
    free(place);
}

/* The journal's progress, and the weights that its losses come to: raw differences over 2 sigma draws. */
static void check_numbers(const char *run, const double *progress, const double *weight,
                          int64_t steps, int draws)
{
    zo_journal j = read_journal(ctx, in_folder(run, "journal"));
    for (; j.entry.type; take(ctx, &j)) {
        const zo_entry *e = &j.entry;
        if (e->step > steps) continue;
        if (e->type == ZO_ENTRY_STEP) assert_true(progress[e->step - 1] == e->a);
        if (e->type != ZO_ENTRY_LOSSES) continue;
        assert_int_equal(e->values, 2 + 2 * draws);
        for (int i = 0; i < draws; i++) {
            double want = (e->value[2 + 2 * i] - e->value[3 + 2 * i]) / (2 * 0.25 * draws);
            assert_near(weight[(e->step - 1) * draws + i], want, 1e-300, 1e-14, "weight");
        }
    }
    zo_journal_close(&j);
}

/* What seeds.h and deflate.h say, read with jansson, xxhash and zlib alone. */
static void the_bytes_are_those_of_the_header(void **state)
{
    char run[ROOM], path[ROOM];
    course c = small();
    size_t size;
    uint64_t sum;
    uint32_t length;
    zo_seeds_info info;
    (void)state;
    put_setting(&c.t, 0, "sigma", "0.25");
    put_setting(&c.t, 2, "shaping", "raw");
    outcome o = go_as(ctx, &c, fresh(run, "frame"), ZO_OK);
    assert_int_equal(zo_seeds_save(ctx, run, fresh(path, "seeds"), &info), ZO_OK);
    char *data = get_file(path, &size);
    assert_memory_equal(data, "zeroth seeds 1\n", 16);
    memcpy(&sum, data + size - 8, 8);
    assert_true(sum == XXH3_64bits(data, size - 8));
    memcpy(&length, data + 16, 4);
    json_t *header = json_loadb(data + 20, length, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_integer_value(json_object_get(header, "steps")), info.steps);
    assert_int_equal(json_integer_value(json_object_get(header, "draws")), 6);
    json_t *recipe = json_object_get(header, "recipe");
    assert_string_equal(json_string_value(json_object_get(recipe, "seed")), "11");
    assert_string_equal(json_string_value(json_object_get(recipe, "version")), zo_version());
    json_decref(header);
    double *progress = malloc(8 * (size_t)info.steps), *weight = malloc(48 * (size_t)info.steps),
           transform[2 * (2 + 2)];
    const char *at = data + 20 + length;
    unpack_numbers(&at, progress, (size_t)info.steps);
    unpack_numbers(&at, weight, 6 * (size_t)info.steps);
    unpack_numbers(&at, transform, 8);
    assert_ptr_equal(at, data + size - 8);
    check_numbers(run, progress, weight, info.steps, 6);
    zo_net *net = load(ctx, run);
    for (int i = 0; i < 2; i++) {
        assert_true(transform[i] == (double)net->shift[i]);
        assert_true(transform[2 + i] == (double)net->scale[i]);
        assert_true(transform[4 + i] == (double)net->out_shift[i]);
        assert_true(transform[6 + i] == (double)net->out_scale[i]);
    }
    zo_net_destroy(net);
    free(progress);
    free(weight);
    free(data);
    free(o.params);
}

/* ---- predictions ---- */

static void write_table(const char *path, int rows)
{
    uint64_t draws = 3;
    FILE *f = fopen(path, "w");
    fprintf(f, "width,colour,kind\n");
    for (int i = 0; i < rows; i++) {
        double x = (double)draw(&draws, -2, 2), y = (double)draw(&draws, 0, 3);
        const char *colour = y < 1 ? "red" : y < 2 ? "green" : "\"a \"\"b\"\", c\"";
        fprintf(f, "%.6g,%s,%s\n", x, colour, x + y > 1 ? "large" : "small");
    }
    fclose(f);
}

static void seeds_predict_as_the_model_does(void **state)
{
    char table[ROOM], run[ROOM], path[ROOM];
    zo_predictions *a, *b;
    (void)state;
    write_table(fresh(table, "table"), 150);
    strcat(table, ".csv");
    write_table(table, 150);
    zo_task *task = named_task(ctx, table, 1, SETTINGS("label=kind"));
    zo_train_def def = zo_train_default_def();
    def.task = task;
    def.method = "weights";
    def.settings = SETTINGS("population=8", "batch=16");
    def.epochs = 10;
    def.out = fresh(run, "table");
    assert_int_equal(zo_train(ctx, &def, NULL, NULL), ZO_OK);
    zo_task_destroy(task);
    assert_int_equal(zo_seeds_save(ctx, run, fresh(path, "seeds"), NULL), ZO_OK);
    assert_int_equal(zo_predict(ctx, run, table, &a), ZO_OK);
    if (zo_predict(ctx, path, table, &b)) fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(a->n, b->n);
    assert_same_floats(a->y, b->y, (size_t)(a->n * a->outputs), "predictions");
    assert_memory_equal(a->label, b->label, (size_t)a->n * sizeof *a->label);
    assert_string_equal(a->class_name[1], b->class_name[1]);
    assert_true(a->accuracy == b->accuracy && a->accuracy > 0.5);
    zo_predictions_destroy(ctx, a);
    zo_predictions_destroy(ctx, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_give_the_same_network),
        cmocka_unit_test(averages_are_written),
        cmocka_unit_test(images_are_written),
        cmocka_unit_test(own_losses_are_written),
        cmocka_unit_test(a_network_without_a_step_is_written),
        cmocka_unit_test(the_bytes_are_those_of_the_header),
        cmocka_unit_test(seeds_predict_as_the_model_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

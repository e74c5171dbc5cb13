/* Saved states of runs: every byte as their header says, and nothing taken that is cut, flipped, or of another run. */
#include "training_support.h"

#include <xxhash.h>

#include "run/checkpoint.h"

static zo_context *ctx;
static char *folder;
static zo_task *task;
static zo_net *kept;
static zo_trainer *trainer;
static zo_course course;

enum { HEAD = 16 + 8 };

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    folder = make_folder();
    task = make_task(ctx, 40, 3, 2, 2);
    kept = make_net(ctx, task, "dense2 tanh dense2", 4);
    trainer = make_trainer(ctx, task, kept, "weights:adam", 7, SETTINGS("batch=8", "population=3"));
    for (int i = 0; i < 3; i++) zo_trainer_step(trainer, i / 4.0, NULL);
    zo_course_begin(&course);
    course.step = 3;
    course.dropped = 2;
    course.cost = 1234.5;
    course.examples = 24;
    course.any = course.sound = 1;
    course.best_loss = 0.25;
    course.best = 0.75;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_trainer_destroy(trainer);
    zo_net_destroy(kept);
    zo_task_destroy(task);
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

static void save(const char *path)
{
    assert_int_equal(zo_checkpoint_save(path, NULL, 0x1234567890abcdef, &course, kept, trainer),
                     ZO_OK);
}

/* Another trainer of the same definition, and what is loaded beside it. */
typedef struct other {
    zo_trainer *trainer;
    zo_net *kept;
    zo_course course;
} other;

static other other_one(void)
{
    other o = {.kept = make_net(ctx, task, "dense2 tanh dense2", 5)};
    o.trainer =
        make_trainer(ctx, task, o.kept, "weights:adam", 7, SETTINGS("batch=8", "population=3"));
    zo_course_begin(&o.course);
    return o;
}

static void end(other *o)
{
    zo_trainer_destroy(o->trainer);
    zo_net_destroy(o->kept);
}

static zo_status load(const char *path, uint64_t definition, bool any, other *o)
{
    return zo_checkpoint_load(path, definition, any, &o->course, o->kept, o->trainer);
}

static void assert_untouched(const other *o)
{
    other fresh = other_one();
    assert_memory_equal(&o->course, &fresh.course, sizeof o->course);
    assert_same_floats(o->kept->params, fresh.kept->params, kept->arena, "kept");
    assert_same_floats(zo_trainer_net(o->trainer)->params, zo_trainer_net(fresh.trainer)->params,
                       kept->arena, "trained");
    end(&fresh);
}

static void assert_loaded(const other *o)
{
    assert_memory_equal(&o->course, &course, sizeof course);
    assert_same_floats(o->kept->params, kept->params, kept->arena, "kept");
    assert_same_floats(zo_trainer_net(o->trainer)->params, zo_trainer_net(trainer)->params,
                       kept->arena, "trained");
    zo_step_info info;
    assert_int_equal(zo_trainer_step(o->trainer, 0.75, &info), ZO_OK);
    assert_int_equal(info.step, 4);
}

/* ---- what is written ---- */

static void the_bytes_are_those_of_the_header(void **state)
{
    const char *path = in_folder(folder, "bytes");
    size_t size, at = HEAD, net = kept->arena * sizeof(float);
    uint64_t definition, sum;
    int64_t steps;
    double share;
    (void)state;
    save(path);
    char *data = get_file(path, &size);
    assert_memory_equal(data, "zeroth state 2\n", 16);
    memcpy(&definition, data + 16, 8);
    assert_true(definition == 0x1234567890abcdef);
    assert_memory_equal(data + at, &course, sizeof course);
    at += sizeof course;
    assert_memory_equal(data + at, kept->params, net);
    at += net;
    memcpy(&steps, data + at, 8); /* the trainer: its step, its network, adam's two memories */
    assert_int_equal(steps, 3);
    memcpy(&steps, data + at + 8, 8); /* steps undone, and the factor on the step size */
    memcpy(&share, data + at + 16, 8);
    assert_true(steps == 0 && share == 1);
    assert_memory_equal(data + at + 24, zo_trainer_net(trainer)->params, net);
    at += 24 + 3 * net;
    assert_int_equal(size, at + 8);
    memcpy(&sum, data + at, 8);
    assert_true(sum == XXH3_64bits(data, at));
    free(data);
    assert_int_equal(sizeof(zo_course) % 8, 0);
}

static void states_are_read_back(void **state)
{
    const char *path = in_folder(folder, "back"), *previous = in_folder(folder, "previous");
    (void)state;
    save(path);
    for (int any = 0; any < 2; any++) {
        other o = other_one();
        assert_int_equal(load(path, any ? 0 : 0x1234567890abcdef, any, &o), ZO_OK);
        assert_loaded(&o);
        end(&o);
    }
    assert_int_equal(zo_checkpoint_save(path, previous, 1, &course, kept, trainer), ZO_OK);
    other o = other_one();
    assert_int_equal(load(previous, 0x1234567890abcdef, false, &o), ZO_OK);
    assert_int_equal(load(path, 1, false, &o), ZO_OK);
    end(&o);
}

/* ---- what is refused ---- */

static void refuse(const char *path, uint64_t definition, bool any, other *o, size_t at)
{
    zo_status status = load(path, definition, any, o);
    if (status != ZO_FORMAT) fail_msg("byte %zu: %s", at, zo_status_name(status));
    error_says(ctx, path, NULL);
    assert_untouched(o);
}

static void damaged_states_are_refused(void **state)
{
    const char *path = in_folder(folder, "damaged");
    size_t size;
    (void)state;
    save(path);
    char *data = get_file(path, &size);
    other o = other_one();
    for (size_t i = 0; i < size; i++) {
        put_file(path, data, i);
        refuse(path, 0x1234567890abcdef, i % 2, &o, i);
        data[i] ^= (char)(1 << i % 8);
        put_file(path, data, size);
        refuse(path, 0x1234567890abcdef, i % 2, &o, i);
        data[i] ^= (char)(1 << i % 8);
    }
    char *longer = calloc(size + 1, 1);
    memcpy(longer, data, size);
    put_file(path, longer, size + 1);
    refuse(path, 0x1234567890abcdef, true, &o, size);
    assert_int_equal(load(in_folder(folder, "none"), 1, true, &o), ZO_NOT_FOUND);
    assert_int_equal(load(folder, 1, true, &o), ZO_FORMAT);
    end(&o);
    free(longer);
    free(data);
}

static void other_runs_states_are_refused(void **state)
{
    const char *path = in_folder(folder, "others");
    (void)state;
    save(path);
    other o = other_one();
    refuse(path, 0x1234567890abcdee, false, &o, 0);
    error_says(ctx, "another", NULL);
    end(&o);
    const char *const method[] = {"weights:momentum", "weights:adam"};
    for (int i = 0; i < 2; i++) { /* fewer memories; a larger net */
        zo_net *net = make_net(ctx, task, i ? "dense20 tanh dense2" : "dense2 tanh dense2", 1);
        zo_trainer *t = make_trainer(ctx, task, net, method[i], 7, SETTINGS("batch=8"));
        zo_course c;
        assert_int_equal(zo_checkpoint_load(path, 0, true, &c, net, t), ZO_FORMAT);
        zo_trainer_destroy(t);
        zo_net_destroy(net);
    }
}

/* Numbers that no run can have, under a checksum that fits. */
static void impossible_courses_are_refused(void **state)
{
    const char *path = in_folder(folder, "impossible");
    const zo_course good = course;
    zo_course bad[16];
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < 16; i++) bad[i] = good;
    bad[n++].step = -1;
    bad[n++].step = INT64_MAX;
    bad[n++].dropped = -5;
    bad[n++].assessed = -1;
    bad[n++].assessed = 4; /* beyond the last step */
    bad[n++].since = 4;
    bad[n++].since = INT64_MIN;
    bad[n++].kept = INT64_MAX;
    bad[n++].cost = NAN;
    bad[n++].cost = -1;
    bad[n++].cost = INFINITY;
    bad[n++].examples = NAN;
    bad[n++].examples = -INFINITY;
    bad[n++].assessed_cost = -1;
    bad[n++].seconds = NAN;
    bad[n++].seconds = -0.5;
    assert_int_equal(n, 16);
    other o = other_one();
    for (size_t i = 0; i < n; i++) {
        course = bad[i];
        save(path);
        refuse(path, 0x1234567890abcdef, false, &o, i);
    }
    course = good;
    save(path);
    assert_int_equal(load(path, 0x1234567890abcdef, false, &o), ZO_OK);
    end(&o);
}

static zo_status load_it(zo_context *where, void *arg)
{
    zo_task *t = make_task(where, 40, 3, 2, 2);
    zo_net *net = make_net(where, t, "dense2 tanh dense2", 4);
    zo_trainer *m = make_trainer(where, t, net, "weights:adam", 7, SETTINGS("population=3"));
    zo_course c;
    memory *book = where->allocator.user;
    long left = *(long *)arg;
    book->left = left;
    zo_status status = zo_checkpoint_load(in_folder(folder, "memory"), 0, true, &c, net, m);
    book->left = -1;
    zo_trainer_destroy(m);
    zo_net_destroy(net);
    zo_task_destroy(t);
    return status;
}

static void refused_memory_is_survived(void **state)
{
    (void)state;
    save(in_folder(folder, "memory"));
    for (long left = 0;; left++) {
        memory m = {.left = -1};
        zo_context *where = make_context(1, NULL, &m);
        zo_status status = load_it(where, &left);
        zo_context_destroy(where);
        assert_int_equal(m.live, 0);
        if (!status) break;
        assert_int_equal(status, ZO_NO_MEMORY);
        assert_true(left < 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_of_the_header),
        cmocka_unit_test(states_are_read_back),
        cmocka_unit_test(damaged_states_are_refused),
        cmocka_unit_test(other_runs_states_are_refused),
        cmocka_unit_test(impossible_courses_are_refused),
        cmocka_unit_test(refused_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

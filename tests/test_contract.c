/* One contract for every registered class: the same seed gives the same bits for any threads and kernels; what is saved goes on bit for bit;
 * what is damaged or strange is refused. (What happens when something goes wrong: test_contract_failures.c.)
 * labels: threads
 */
#include "contract_support.h"

static zo_context *ctx; /* one thread, best kernels */
static zo_context *other[16];
static int others;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    for (int threads = 2; threads <= 3; threads++)
        other[others++] = make_context(threads, NULL, NULL);
    for (int i = 0; kernel_set(i); i++)
        other[others++] = make_context(i % 2 + 1, kernel_set(i)->info.name, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    while (others) zo_context_destroy(other[--others]);
    zo_context_destroy(ctx);
    return 0;
}

/* ---- the same bits ---- */

/* What is no parameter, between those of the arena, stays zero: passes may read it. */
static void check_pads(const trial *t, const zo_trainer *trainer)
{
    zo_net *copy;
    assert_int_equal(zo_net_copy(zo_trainer_net(trainer), &copy), ZO_OK);
    float *zeros = floats((size_t)copy->parameters);
    for (int i = 0; i < zo_net_segments(copy); i++)
        assert_int_equal(zo_net_set(copy, i, zeros), ZO_OK);
    for (size_t i = 0; i < copy->arena; i++) {
        if (copy->params[i] != 0)
            fail_msg("%s: pad %zu is %g", t->name, i, (double)copy->params[i]);
    }
    free(zeros);
    zo_net_destroy(copy);
}

/* The parameters after three steps, or NULL where the combination is not supported. */
static float *bits_of(zo_context *where, trial *t, uint64_t seed, size_t *n)
{
    house h;
    if (!build(where, t, seed, &h)) return NULL;
    walk(where, t, h.trainer, 0, 3);
    check_pads(t, h.trainer);
    float *p = copy_of(h.trainer, n);
    pull_down(&h);
    return p;
}

static int trials; /* that ran: a loop over nothing must not pass */

static void gives_the_same_bits(trial *t)
{
    size_t n, m;
    float *want = bits_of(ctx, t, 1, &n);
    if (!want) return;
    trials++;
    float *again = bits_of(ctx, t, 1, &m), *changed = bits_of(ctx, t, 2, &m);
    assert_same_floats(again, want, n, t->name);
    if (!memcmp(changed, want, n * sizeof *want)) fail_msg("%s: the seed does nothing", t->name);
    free(again);
    free(changed);
    for (int i = 0; i < others; i++) {
        char what[256];
        snprintf(what, sizeof what, "%s (%d threads, %s)", t->name, zo_context_threads(other[i]),
                 zo_context_kernels(other[i]));
        float *got = bits_of(other[i], t, 1, &m);
        assert_non_null(got);
        assert_same_floats(got, want, n, what);
        free(got);
    }
    free(want);
}

static void same_seed_same_bits(void **state)
{
    (void)state;
    trials = 0;
    each_method(gives_the_same_bits);
    each_choice(gives_the_same_bits);
    each_loss(gives_the_same_bits);
    each_layer(gives_the_same_bits);
    each_task(gives_the_same_bits);
    assert_true(trials > 60);
}

/* ---- saving ---- */

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

/* Three steps, save, five more; against load into a new trainer of another context, and five more. */
static void goes_on_after_loading(trial *t)
{
    house a, b;
    size_t n;
    const char *path = in_folder(folder, "state");
    if (!build(ctx, t, 1, &a)) return;
    trials++;
    walk(ctx, t, a.trainer, 0, 3);
    assert_int_equal(zo_trainer_save(a.trainer, path), ZO_OK);
    walk(ctx, t, a.trainer, 3, 8);
    float *want = copy_of(a.trainer, &n);
    for (int i = 0; i < others; i += 2) {
        assert_true(build(other[i], t, 1, &b));
        walk(other[i], t, b.trainer, 0, i); /* what it did before must not matter */
        assert_int_equal(zo_trainer_load(b.trainer, path), ZO_OK);
        walk(other[i], t, b.trainer, 3, 8);
        assert_same_floats(zo_trainer_net(b.trainer)->params, want, n, t->name);
        pull_down(&b);
    }
    pull_down(&a);
    free(want);
}

static void saved_states_go_on_bit_for_bit(void **state)
{
    (void)state;
    trials = 0;
    each_method(goes_on_after_loading);
    each_choice(goes_on_after_loading);
    assert_true(trials > 12);
}

static void refuses(zo_trainer *trainer, const char *path, zo_status want)
{
    size_t n;
    float *before = copy_of(trainer, &n);
    assert_int_equal(zo_trainer_load(trainer, path), want);
    error_says(ctx, path, NULL);
    assert_true(holds(trainer, before));
    free(before);
}

/* Every length and every byte of the file matters. */
static void refuses_damage(zo_trainer *trainer, const char *good)
{
    size_t size;
    char *bytes = get_file(good, &size);
    const char *bad = in_folder(folder, "bad");
    for (size_t cut = 0; cut < size; cut += 1 + size / 40) {
        put_file(bad, bytes, cut);
        refuses(trainer, bad, ZO_FORMAT);
    }
    for (size_t at = 0; at < size; at += 1 + size / 40) {
        bytes[at] ^= 4;
        put_file(bad, bytes, size);
        refuses(trainer, bad, ZO_FORMAT);
        bytes[at] ^= 4;
    }
    bytes[size] = 0;
    put_file(bad, bytes, size + 1);
    refuses(trainer, bad, ZO_FORMAT);
    refuses(trainer, in_folder(folder, "missing"), ZO_NOT_FOUND);
    refuses(trainer, folder, ZO_FORMAT);
    free(bytes);
}

/* A state of another seed, net, setting, or split of the data. */
static void refuses_strangers(const trial *t, zo_trainer *trainer)
{
    const char *path = in_folder(folder, "stranger");
    for (int i = 0; i < 4; i++) {
        house h;
        trial u = *t;
        if (i == 1) snprintf(u.spec, sizeof u.spec, "dense9 tanh dense19 leaky-relu dense3");
        if (i == 2) put_setting(&u, 2, "lr", "0.0123");
        if (i == 3) u.regression = true;
        assert_true(build(ctx, &u, i ? 1 : 2, &h));
        assert_int_equal(zo_trainer_save(h.trainer, path), ZO_OK);
        refuses(trainer, path, ZO_FORMAT);
        pull_down(&h);
    }
}

static void guards_its_state(trial *t)
{
    house h, twin;
    const char *path = in_folder(folder, "good");
    if (!build(ctx, t, 1, &h) || !build(ctx, t, 1, &twin)) return;
    trials++;
    walk(ctx, t, h.trainer, 0, 2);
    walk(ctx, t, twin.trainer, 0, 4);
    assert_int_equal(zo_trainer_save(h.trainer, path), ZO_OK);
    refuses_damage(h.trainer, path);
    refuses_strangers(t, h.trainer);
    walk(ctx, t, h.trainer, 2, 4); /* as if nothing had been tried */
    assert_true(holds(h.trainer, zo_trainer_net(twin.trainer)->params));
    pull_down(&h);
    pull_down(&twin);
}

static void bad_states_are_refused(void **state)
{
    (void)state;
    trials = 0;
    each_rule(guards_its_state);
    assert_true(trials >= 3);
}

/* The order of the examples is part of the definition even if the data are the same. */
static void another_split_is_another_definition(void **state)
{
    (void)state;
    float x[60];
    int32_t label[60];
    zo_task *task[2];
    zo_trainer *trainer[2];
    for (int i = 0; i < 60; i++) x[i] = (float)i, label[i] = i * 7 % 3;
    zo_data_def def = zo_data_default_def();
    def.inputs = 1, def.classes = 3, def.n = 60, def.x = x, def.label = label;
    for (int i = 0; i < 2; i++) {
        def.seed = (uint64_t)i;
        assert_int_equal(zo_task_from_data(ctx, &def, task + i), ZO_OK);
        zo_net *net = make_net(ctx, task[i], "dense3", 1);
        trainer[i] = make_trainer(ctx, task[i], net, NULL, 1, NULL);
        zo_net_destroy(net);
    }
    const char *path = in_folder(folder, "split");
    assert_int_equal(zo_trainer_save(trainer[0], path), ZO_OK);
    assert_int_equal(zo_trainer_load(trainer[0], path), ZO_OK);
    refuses(trainer[1], path, ZO_FORMAT);
    for (int i = 0; i < 2; i++) zo_trainer_destroy(trainer[i]), zo_task_destroy(task[i]);
}

/* So is the shape of the images, of which the same numbers are taken. */
static void another_shape_is_another_definition(void **state)
{
    (void)state;
    zo_task *task[2];
    zo_trainer *trainer[2];
    for (int i = 0; i < 2; i++) {
        task[i] = make_images(ctx, 30, 4 + i, 5 - i, 1, 3, 3);
        zo_net *net = make_net(ctx, task[i], "conv2x4 dense3", 1);
        trainer[i] = make_trainer(ctx, task[i], net, NULL, 1, NULL);
        zo_net_destroy(net);
    }
    const char *path = in_folder(folder, "shape");
    assert_int_equal(zo_trainer_save(trainer[0], path), ZO_OK);
    assert_int_equal(zo_trainer_load(trainer[0], path), ZO_OK);
    refuses(trainer[1], path, ZO_FORMAT);
    for (int i = 0; i < 2; i++) zo_trainer_destroy(trainer[i]), zo_task_destroy(task[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test_setup_teardown(saved_states_go_on_bit_for_bit, make_place, clear_place),
        cmocka_unit_test_setup_teardown(bad_states_are_refused, make_place, clear_place),
        cmocka_unit_test_setup_teardown(another_split_is_another_definition, make_place, clear_place),
        cmocka_unit_test_setup_teardown(another_shape_is_another_definition, make_place, clear_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

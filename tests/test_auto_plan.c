/* What auto chooses: much where there is noise, the least where there is none, and nothing where the settings say how much; the same on any
 * threads and kernels; and saved, resumed and gone back to with all that it has learned.
 * labels: threads
 */
#include "training_support.h"

#include "learn/measure.h"
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

static const zo_site_plan *site_of(zo_trainer *t, int stage)
{
    const zo_nodes *nodes = zo_perturb_parts_of(t).state;
    return nodes->site + stage;
}

static void take_steps(zo_trainer *t, int n)
{
    for (int i = 0; i < n; i++) {
        if (zo_trainer_step(t, 0.25, NULL)) fail_msg("%s", zo_last_error(ctx));
    }
}

/* ---- where the noise is ---- */

enum { BATCH = 64, EXAMPLES = 160, TOP = 2 };

/* "dense6 tanh dense2" whose gradient is noise in one layer and the same for each example in the other.
 * first: x is +-50 or so, its weights are 0: what they would do is all noise, and nothing behind them sees it.
 * else:  x is 1; the second output has a target of +-3 and weights 0, so that nothing of it goes down. */
typedef struct scene {
    zo_task *task;
    zo_net *net;
} scene;

static scene noisy_scene(bool first)
{
    float x[EXAMPLES], target[2 * EXAMPLES];
    uint64_t seed = 3;
    for (int i = 0; i < EXAMPLES; i++) {
        x[i] = first ? draw(&seed, -50, 50) : 1;
        target[2 * i] = 1;
        target[2 * i + 1] = first ? 1 : draw(&seed, -3, 3);
    }
    zo_data_def def = zo_data_default_def();
    def.inputs = 1;
    def.targets = 2;
    def.n = EXAMPLES;
    def.x = x;
    def.target = target;
    def.standardise = false;
    scene s;
    assert_int_equal(zo_task_from_data(ctx, &def, &s.task), ZO_OK);
    s.net = make_net(ctx, s.task, "dense6 tanh dense2", 4);
    const zo_stage *st = s.net->stage;
    for (size_t i = 0; i < st[0].weight_floats && first; i++) s.net->params[st[0].weight + i] = 0;
    for (size_t i = 0; i < 6 && !first; i++)
        s.net->params[st[1].weight + zo_stage_at(st + 1, i, 1)] = 0;
    return s;
}

static void clear(scene *s)
{
    zo_net_destroy(s->net);
    zo_task_destroy(s->task);
}

/* Steps that hardly move, with five choices among them. The caller's. */
static zo_trainer *listened(const scene *s, const char *const *more)
{
    const char *settings[12] = {"batch=64", "lr=1e-9", "schedule=constant"};
    for (int i = 0; more[i]; i++) settings[3 + i] = more[i];
    zo_trainer *t = make_trainer(ctx, s->task, s->net, "auto:sgd", 1, settings);
    take_steps(t, 321);
    return t;
}

static void says(const zo_trainer *t, int index, const char *what)
{
    const char *line = zo_trainer_plan(t, index);
    assert_non_null(line);
    if (!strstr(line, what)) fail_msg("\"%s\" is not in: %s", what, line);
}

/* No tolerance: variance must be bought off at once. A twin that took the wrong layer's signal, or none, would not tell the two apart. */
static void much_is_spent_where_there_is_noise(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        scene s = noisy_scene(first);
        zo_trainer *t = listened(&s, SETTINGS("tolerance=0.01", "place=outputs"));
        assert_int_equal(site_of(t, first ? 0 : 1)->examples, BATCH);
        assert_int_equal(site_of(t, first ? 1 : 0)->examples, 2); /* so that halves are heard */
        says(t, first ? 1 : 0, "for 2 of 64 examples");
        zo_trainer_destroy(t);
        clear(&s);
    }
}

/* What tolerates all noise pays for none. */
static void tolerance_spends_the_least(void **state)
{
    (void)state;
    scene s = noisy_scene(true);
    zo_trainer *t = listened(&s, SETTINGS("tolerance=1e6", "place=outputs"));
    for (int i = 0; i < 2; i++) assert_int_equal(site_of(t, i)->examples, 2);
    zo_trainer_destroy(t);
    clear(&s);
}

static void layers_with_settings_of_their_own_keep_them(void **state)
{
    (void)state;
    scene s = noisy_scene(true);
    zo_trainer *t =
        listened(&s, SETTINGS("tolerance=0.01", "place=outputs", "examples@0=7", "set@2=complete"));
    assert_int_equal(site_of(t, 0)->examples, 7);
    assert_int_equal(site_of(t, 1)->examples, BATCH);
    says(t, 0, "for 7 of 64 examples");
    zo_trainer_destroy(t);
    t = listened(&s, SETTINGS("tolerance=0.01", "place=outputs", "examples@2=64"));
    assert_int_equal(site_of(t, 0)->examples, BATCH); /* as if nothing had been said */
    assert_int_equal(site_of(t, 1)->examples, BATCH);
    zo_trainer_destroy(t);
    clear(&s);
}

/* Draws in d numbers have noise of their own, (d - 1)/K, also where the examples agree. */
static void draws_adapt_up_to_their_setting(void **state)
{
    (void)state;
    scene s = noisy_scene(false);
    zo_trainer *few = listened(&s, SETTINGS("tolerance=1e6", "draws=48", "place=weights")),
               *many = listened(&s, SETTINGS("tolerance=0.01", "draws=48", "place=weights")),
               *fixed = listened(&s, SETTINGS("tolerance=1e6", "draws=48", "set=random")),
               *limit = listened(&s, SETTINGS("tolerance=1e6", "draws=48", "limit=0"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(site_of(few, i)->count, 1);
        assert_true(site_of(many, i)->count > 1 && site_of(many, i)->count <= 48);
        assert_int_equal(site_of(fixed, i)->count, 48);
        assert_int_equal(site_of(limit, i)->count, i ? 48 : 1); /* they cost nothing at the top */
        assert_int_equal(site_of(few, i)->examples, BATCH);
    }
    says(few, 0, "1 random draws");
    zo_trainer_destroy(few), zo_trainer_destroy(many);
    zo_trainer_destroy(fixed), zo_trainer_destroy(limit);
    clear(&s);
}

/* ---- bits ---- */

#define SPEC "conv3x5,same tanh { dwconv2,same norm }+ pool2 dense20 relu dense3"
#define MIXED "batch=48", "place@0=weights", "tolerance=4", "examples@3=11"

/* A trainer on a task of its own, both of which live in a context. */
static scene mixed_scene(zo_context *in)
{
    scene s = {.task = make_images(in, 120, 6, 6, 1, 3, 3)};
    s.net = make_net(in, s.task, SPEC, 9);
    return s;
}

static char *plans_of(const zo_trainer *t)
{
    const char *line;
    char *all = calloc(2000, 1);
    for (int i = 0; (line = zo_trainer_plan(t, i)); i++) strcat(all, line);
    return all;
}

static void threads_and_kernels_do_not_matter(void **state)
{
    (void)state;
    float *want = NULL;
    char *plan = NULL;
    for (int k = 0; k < 5; k++) {
        int set = 0;
        while (k > 2 && kernel_set(set + 1) && set < k - 3) set++;
        zo_context *in =
            make_context(k < 3 ? k + 1 : 2, k < 3 ? NULL : kernel_set(set)->info.name, NULL);
        scene s = mixed_scene(in);
        zo_trainer *t = make_trainer(in, s.task, s.net, "auto:adam", 5, SETTINGS(MIXED));
        char *first = plans_of(t), *now;
        take_steps(t, 70);
        now = plans_of(t);
        assert_string_not_equal(first, now); /* else nothing was chosen */
        if (!want) {
            want = floats(s.net->arena);
            memcpy(want, zo_trainer_net(t)->params, s.net->arena * sizeof *want);
            plan = strdup(now);
        }
        assert_same_floats(zo_trainer_net(t)->params, want, s.net->arena, "parameters");
        assert_string_equal(now, plan);
        free(first), free(now);
        zo_trainer_destroy(t);
        clear(&s);
        zo_context_destroy(in);
    }
    free(want), free(plan);
}

/* ---- saved states ---- */

static char *state_of(const zo_trainer *t, size_t *size)
{
    zo_file_out f;
    *size = zo_trainer_state_size(t);
    char *bytes = malloc(*size);
    assert_non_null(bytes);
    zo_file_out_to_memory(&f, ctx, bytes);
    zo_trainer_state_add(t, &f);
    assert_int_equal(f.size, *size);
    return bytes;
}

static bool take_state(zo_trainer *t, const char *bytes, size_t size)
{
    zo_reader in = {bytes, bytes + size, false};
    return zo_trainer_state_take(t, &in);
}

static void assert_same_state(const zo_trainer *t, const char *want, size_t size)
{
    size_t n;
    char *now = state_of(t, &n);
    assert_int_equal(n, size);
    assert_memory_equal(now, want, n);
    free(now);
}

/* Before a choice, between choices, and where the next step is listened to. */
static void saved_states_go_on_to_the_same_bits(void **state)
{
    (void)state;
    static const int saved_at[] = {1, 57, 64, 65, 71, 72, 127};
    scene s = mixed_scene(ctx);
    size_t size;
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "auto:adamw", 5, SETTINGS(MIXED));
    take_steps(t, 140);
    char *want = state_of(t, &size), *plan = plans_of(t);
    zo_trainer_destroy(t);
    for (int i = 0; i < 7; i++) {
        zo_trainer *from = make_trainer(ctx, s.task, s.net, "auto:adamw", 5, SETTINGS(MIXED)),
                   *to = make_trainer(ctx, s.task, s.net, "auto:adamw", 5, SETTINGS(MIXED));
        take_steps(from, saved_at[i]);
        char *bytes = state_of(from, &size);
        assert_true(take_state(to, bytes, size));
        take_steps(to, 140 - saved_at[i]);
        assert_same_state(to, want, size);
        char *now = plans_of(to);
        assert_string_equal(now, plan);
        free(bytes), free(now);
        zo_trainer_destroy(from), zo_trainer_destroy(to);
    }
    free(want), free(plan);
    clear(&s);
}

/* What is learned lies behind steps, steps undone and share: for each stage, and once more, two means, examples and draws. */
enum { HEAD = 24, HEARD = 32, SIGNAL = 0, SQUARE = 8, AT_EXAMPLES = 16, AT_COUNT = 24 };

static void check_damage(zo_trainer *t, int stage, int at, int64_t number, double real)
{
    size_t size;
    char *before = state_of(t, &size), *bad = state_of(t, &size);
    int64_t steps = 9; /* would be seen */
    memcpy(bad, &steps, sizeof steps);
    bad[size - 1] ^= 1;
    if (at < AT_EXAMPLES)
        memcpy(bad + HEAD + HEARD * stage + at, &real, sizeof real);
    else
        memcpy(bad + HEAD + HEARD * stage + at, &number, sizeof number);
    char *plan = plans_of(t), *now;
    if (take_state(t, bad, size))
        fail_msg("stage %d, byte %d: %lld is taken", stage, at, (long long)number);
    assert_same_state(t, before, size);
    now = plans_of(t);
    assert_string_equal(now, plan);
    free(before), free(bad), free(plan), free(now);
}

static void impossible_states_are_refused(void **state)
{
    (void)state;
    scene s = mixed_scene(ctx);
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "auto:adam", 5, SETTINGS(MIXED));
    int stages = s.net->stages;
    take_steps(t, 70);
    for (int i = 0; i < stages; i++) {
        const zo_site_plan *p = site_of(t, i);
        check_damage(t, i, SIGNAL, 0, NAN);
        check_damage(t, i, SQUARE, 0, INFINITY);
        if (!p->count) continue;
        int64_t count = (int64_t)p->count, most = (int64_t)p->most_count;
        const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 32 | 1};
        for (int k = 0; k < 5; k++) check_damage(t, i, AT_EXAMPLES, bad[k], 0);
        for (int k = 0; k < 5; k++) check_damage(t, i, AT_COUNT, bad[k], 0);
        check_damage(t, i, AT_EXAMPLES, p->most_examples + 1, 0);
        check_damage(t, i, AT_COUNT, most + 1, 0);
        if (p->complete) check_damage(t, i, AT_COUNT, count - 1, 0); /* then it is not complete */
        if (!p->complete) check_damage(t, i, AT_EXAMPLES, p->examples - 1, 0);
        if (s.net->stage[i].word == 3) /* it has examples of its own */
            check_damage(t, i, AT_EXAMPLES, p->examples - 1, 0);
    }
    check_damage(t, stages, SIGNAL, 0, NAN);
    check_damage(t, stages, AT_COUNT, -1, 0);
    zo_trainer_destroy(t);
    clear(&s);
}

/* Kept after a choice and gone back to after others: what was learned, the plan and the parameters are those that were kept. */
static void going_back_unlearns(void **state)
{
    (void)state;
    scene s = mixed_scene(ctx);
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "auto:sgd", 5,
                                 SETTINGS("batch=48", "tolerance=4", "lr=0.5"));
    assert_int_equal(zo_trainer_keep_init(t), ZO_OK);
    take_steps(t, 6);
    zo_trainer_keep(t);
    size_t size;
    char *kept = state_of(t, &size), *plan = plans_of(t), *now;
    take_steps(t, 70);
    now = plans_of(t);
    assert_string_not_equal(now, plan);
    free(now);
    assert_true(zo_trainer_go_back(t, 76));
    char *back = state_of(t, &size);
    assert_memory_equal(back + HEAD, kept + HEAD, size - HEAD);
    now = plans_of(t);
    assert_string_equal(now, plan);
    free(now), free(back), free(kept), free(plan);
    take_steps(t, 70);
    zo_trainer_destroy(t);
    clear(&s);
}

/* ---- measuring ---- */

/* The largest difference of a step of lr=0.01 from what was measured before it. */
static double apart(const zo_measure *m, const float *before, const zo_net *now)
{
    double most = 0;
    for (size_t i = 0; i < now->arena; i++)
        most = fmax(most,
                    fabs(((double)before[i] - (double)now->params[i]) * 100 - (double)m->found[i]));
    return most;
}

/* What is measured is the next step, made with the plan that was chosen: a twin that has not learned it measures another. */
static void what_was_learned_is_measured(void **state)
{
    (void)state;
    scene s = mixed_scene(ctx);
    zo_trainer_def def = zo_trainer_default_def();
    def.method = "auto:sgd";
    def.task = s.task, def.net = s.net;
    def.settings = SETTINGS(MIXED, "lr=0.01", "schedule=constant");
    zo_measure *m[2];
    zo_trainer *t;
    assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(zo_measure_create(ctx, &def, "alignment", m + i), ZO_OK);
    take_steps(t, 71);
    for (int64_t step = 71; step < 74; step++) { /* the second is listened to */
        const zo_net *now = zo_trainer_net(t);
        float *before = floats(now->arena);
        memcpy(before, now->params, now->arena * sizeof *before);
        zo_measure_learn(m[0], t);
        for (int i = 0; i < 2; i++) assert_int_equal(zo_measure_at(m[i], now, step, 0), ZO_OK);
        take_steps(t, 1);
        assert_true(apart(m[0], before, now) < 1e-4);
        assert_true(apart(m[1], before, now) > 1e-2);
        free(before);
    }
    zo_measure_destroy(m[0]), zo_measure_destroy(m[1]);
    zo_trainer_destroy(t);
    clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_is_spent_where_there_is_noise),
        cmocka_unit_test(tolerance_spends_the_least),
        cmocka_unit_test(layers_with_settings_of_their_own_keep_them),
        cmocka_unit_test(draws_adapt_up_to_their_setting),
        cmocka_unit_test(threads_and_kernels_do_not_matter),
        cmocka_unit_test(saved_states_go_on_to_the_same_bits),
        cmocka_unit_test(impossible_states_are_refused),
        cmocka_unit_test(going_back_unlearns),
        cmocka_unit_test(what_was_learned_is_measured),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

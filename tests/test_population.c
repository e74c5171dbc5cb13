/* weights and lowrank against their definitions: each member made as a network of its own, its losses in float64, the direction as the papers
 * write it; for every kind of layer, both distributions, one and two sides, ranks, parts of the batch, and all shapings. And twins that
 * must fail.
 * labels: threads
 */
#include "population_support.h"

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

/* A definition on images of 6 x 6 x 2, of which 33 are for training. */
static definition define(const char *spec)
{
    definition d = {.ctx = ctx, .seed = 11, .population = 5, .sigma = 0.1};
    d.task = make_task(ctx, 36, 72, 3, 3);
    d.net = image_net(ctx, spec, 6, 2);
    return d;
}

static void clear(definition *d)
{
    zo_net_destroy(d->net);
    zo_task_destroy(d->task);
}

static void agrees(const definition *d)
{
    double error = error_of(d);
    if (!(error < 2e-4))
        fail_msg("%s, rank %d, %s, %s-sided, %lld examples, %s%s: off by %.2g of itself",
                 d->net->spec, d->rank, d->gaussian ? "gaussian" : "rademacher",
                 d->one_sided ? "one" : "two", (long long)d->examples, shapings[d->shaping],
                 d->unsaid ? " unsaid" : "", error);
}

/* Panels whole and broken, columns on either side of 16 and 32, the activations that look at several numbers, and every kind of stage, first
 * and later. */
static const char *const specs[] = {
    "dense3",
    "dense17 tanh dense3",
    "dense33 relu dense70 gelu dense3",
    "dense9,nobias tanh dense16 tanh dense3",
    "dense24 wta4 dense12 wta4 dense3",
    "conv3x5 tanh dense3",
    "conv3x40,same tanh pool2 conv3x18 tanh dense3",
    "pool2 conv2x7,nobias relu flatten dense11 tanh dense3",
    "norm conv3x5,same tanh scale meanpool2 dense3",
    "dwconv3,same tanh conv1x19 norm tanh global-mean dense3",
    "conv1x4 tanh { conv3x4,same tanh conv3x4,same }+ pool2 dense3",
    "dense12 tanh { dense12 tanh norm { dense12 }+ }+ tanh dense3",
    "{ scale }+ dense5 tanh dense3",
    "{ dense17 tanh dense5 | dense9 tanh dense5 }+ tanh dense3",
    "conv1x4 tanh { conv3x4,same tanh | { conv1x18 tanh | scale }cat conv1x4 }+ dense3",
    "patch2x20,pad1 twosided0.25 cells2 sqrt flatten scale { dense9 relu }cat dense3",
    "{ conv3x5,same tanh }cat conv1x4 { conv1x18 tanh }cat dense3",
    "conv2x5 tanh patch3x18,same,eps0.1 tanh dense3",
};
enum { SPECS = sizeof specs / sizeof *specs };

static void weights_follow_their_definition(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        definition d = define(specs[i]);
        for (int k = 0; k < 4; k++) {
            d.one_sided = k % 2;
            d.gaussian = k / 2;
            agrees(&d);
        }
        clear(&d);
    }
}

static void lowrank_follows_its_definition(void **state)
{
    (void)state;
    static const int rank[] = {1, 3, 2, 1, 1, 64};
    static const int64_t examples[] = {0, 0, 7, 16, 1, 0};
    for (int i = 0; i < SPECS; i++) {
        definition d = define(specs[i]);
        for (int k = 0; k < 12; k++) {
            d.rank = rank[k / 2];
            d.examples = examples[k / 2];
            d.gaussian = k % 2;
            d.one_sided = k % 3 == 1;
            agrees(&d);
        }
        clear(&d);
    }
}

/* Many pairs: sums over draws in several tiles, and several pairs that run together. */
static void many_pairs_follow_the_definition(void **state)
{
    (void)state;
    definition d = define("dense130 tanh dense8 tanh dense3");
    d.population = 150;
    agrees(&d);
    d.rank = 2;
    agrees(&d);
    d.rank = 1;
    d.examples = 5;
    agrees(&d);
    d.shaping = ZO_SHAPE_Z_SCORE;
    agrees(&d);
    d.population = 37;
    d.gaussian = true;
    agrees(&d);
    clear(&d);
}

/* More rows than run together, so that a pair's examples come in chunks. */
static void long_batches_follow_the_definition(void **state)
{
    (void)state;
    static const char *const spec[] = {"dense4096 tanh dense3",
                                       "conv3x3,same tanh conv1x200 dense3"};
    for (int i = 0; i < 2; i++) {
        definition d = define(spec[i]);
        d.population = 2;
        d.sigma = 0.02;
        for (d.rank = 0; d.rank < 2; d.rank++) agrees(&d);
        d.rank = 1;
        d.examples = 31; /* around the end of the batch */
        agrees(&d);
        clear(&d);
    }
}

/* ---- twins ---- */

static void differs(definition d, twin wrong)
{
    d.twin = wrong;
    double error = error_of(&d);
    if (!(error > 0.02))
        fail_msg("%s: twin %d is only %.2g off", shapings[d.shaping], wrong, error);
}

static void broken_twins_are_seen(void **state)
{
    (void)state;
    static const char *const spec[] = {"dense17 tanh dense3", "conv3x5 tanh dense3"};
    for (int i = 0; i < 2; i++) {
        definition d = define(spec[i]);
        for (int k = 0; k < 2; k++) {
            d.rank = 4 * k;
            d.gaussian = i == 1;
            agrees(&d);
            differs(d, OTHER_SIGN);
            differs(d, NO_BIAS);
            differs(d, NO_SCALE);
        }
        differs(d, NO_ROOT_OF_RANK);
        clear(&d);
    }
}

/* ---- shapings ---- */

/* Calls check() for every shaping that users can choose, and for what they get when they choose none. */
static void with_each_shaping(definition d, void (*check)(const definition *d))
{
    for (int i = 0; i < SHAPINGS; i++) {
        d.shaping = (zo_shaping)i;
        check(&d);
    }
    d.shaping = ZO_SHAPE_CENTRED_RANK;
    d.unsaid = true;
    check(&d);
}

/* Ranks show whether losses are shaped or differences: a middle far from the others' gives both members much the same rank. */
static void agrees_in_what_it_shapes(const definition *d)
{
    agrees(d);
    if (d->shaping == ZO_SHAPE_CENTRED_RANK) differs(*d, OTHER_MIDDLE);
}

static void shapings_follow_their_definitions(void **state)
{
    (void)state;
    static const int rank[] = {0, 1, 3, 1};
    static const int64_t examples[] = {0, 0, 7, 16};
    definition d = define("dense17 tanh dense3");
    d.population = 30;
    for (int k = 0; k < 8; k++) {
        d.rank = rank[k / 2];
        d.examples = examples[k / 2];
        d.one_sided = k % 2;
        with_each_shaping(d, agrees_in_what_it_shapes);
    }
    clear(&d);
}

/* ---- losses that are missing ---- */

/* No number where the first output is below what `user` says; `user` NULL: for label 2. */
static void holes(void *user, int n, int outputs, const float *y, int stride, const int32_t *label,
                  const float *target, float *loss)
{
    (void)outputs, (void)target;
    const float *below = user;
    for (int i = 0; i < n; i++) {
        const float *row = y + (size_t)i * (size_t)stride;
        loss[i] = row[0] * row[0] + row[1] * row[2];
        if (below ? row[0] < *below : label[i] == 2) loss[i] = NAN;
    }
}

/* A dropped pair weighs nothing, yet stays in the population: it stands where the unperturbed network does, and the mean counts it. */
static void agrees_on_dropped_pairs(const definition *d)
{
    int64_t dropped;
    double loss;
    free(direction_by_definition(d, &loss, &dropped));
    assert_true(dropped > 16 && dropped < 50); /* 15 examples, and some pairs of 40 */
    agrees(d);
    differs(*d, DROPPED_APART);
    if (d->shaping == ZO_SHAPE_CENTRED_RANK || d->shaping == ZO_SHAPE_Z_SCORE)
        differs(*d, DROPPED_WORST);
}

/* Examples that no network has a loss for are left out; a member that loses others than the unperturbed network takes its pair with it. */
static void missing_losses_follow_the_definition(void **state)
{
    (void)state;
    float below = 0.1f;
    definition d = define("dense17 tanh dense3");
    d.loss = holes;
    d.population = 40;
    for (int k = 0; k < 6; k++) {
        d.rank = k > 1;
        d.examples = k > 3 ? 4 : 0;
        d.one_sided = k % 2;
        d.sigma = 0.002;
        d.loss_user = NULL;
        agrees(&d);
        d.loss_user = &below;
        with_each_shaping(d, agrees_on_dropped_pairs);
    }
    clear(&d);
}

/* ---- losses of a whole batch ---- */

/* The root of the mean of squared cross-entropies, more for class 1: no mean of anything per example. With `user` there is none where the
 * outputs of the first example are near each other. */
static double whole(void *user, int n, int outputs, const float *y, int stride,
                    const int32_t *label, const float *target)
{
    (void)target;
    const double *near = user;
    double sum = 0, first = (double)y[0] - (double)y[1];
    for (int i = 0; i < n; i++) {
        double x = cross_entropy64(y + (size_t)i * (size_t)stride, outputs, label[i]);
        sum += (label[i] == 1 ? 3 : 1) * x * x / n;
    }
    return near && fabs(first - near[0]) < near[1] ? NAN : sqrt(sum);
}

/* What a mean of losses of parts of the batch would give is far off: so the parts are put together. */
static void losses_of_whole_batches_follow_the_definition(void **state)
{
    (void)state;
    static const char *const spec[] = {"dense17 tanh dense3", "conv3x5 tanh dense3",
                                       "dense4096 tanh dense3"};
    static const int64_t examples[] = {0, 7, 31};
    for (int i = 0; i < 3; i++) {
        definition d = define(spec[i]);
        d.batch_loss = whole;
        d.sigma = i == 2 ? 0.02 : 0.1;
        for (int k = 0; k < 8; k++) {
            d.rank = k / 2 > 0;
            d.examples = d.rank ? examples[k / 2 - 1] : 0;
            d.one_sided = k % 2;
            d.population = i == 2 ? 2 : 5;
            agrees(&d);
        }
        if (i == 0) differs(d, OTHER_SIGN);
        clear(&d);
    }
}

static void missing_losses_of_whole_batches_drop_the_pair(void **state)
{
    (void)state;
    definition d = define("dense17 tanh dense3");
    d.batch_loss = whole;
    d.population = 40;
    for (int k = 0; k < 4; k++) {
        d.rank = k / 2;
        d.one_sided = k % 2;
        double near[2] = {0}, loss;
        int64_t dropped;
        d.loss_user = NULL;
        agrees(&d);
        zo_batches batches;
        size_t batch = (size_t)d.task->part[ZO_TRAIN].n;
        assert_int_equal(zo_batches_init(&batches, ctx, d.seed, (int64_t)batch, (int)batch), ZO_OK);
        const zo_examples *part = d.task->part + ZO_TRAIN;
        float y[3];
        const float *x = part->x + (size_t)zo_batches_at(&batches, 0)[0] * (size_t)d.task->stride;
        assert_int_equal(zo_net_forward(d.net, 1, x, y), ZO_OK);
        zo_batches_fini(&batches);
        near[0] =
            (double)y[0] - (double)y[1] + 0.6; /* some members come there; the clean one does not */
        near[1] = 0.5;
        d.loss_user = near;
        free(direction_by_definition(&d, &loss, &dropped));
        assert_true(dropped > 2 && dropped < 35);
        with_each_shaping(d, agrees);
        differs(d, DROPPED_APART);
    }
    clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_follow_their_definition),
        cmocka_unit_test(lowrank_follows_its_definition),
        cmocka_unit_test(many_pairs_follow_the_definition),
        cmocka_unit_test(long_batches_follow_the_definition),
        cmocka_unit_test(broken_twins_are_seen),
        cmocka_unit_test(shapings_follow_their_definitions),
        cmocka_unit_test(missing_losses_follow_the_definition),
        cmocka_unit_test(losses_of_whole_batches_follow_the_definition),
        cmocka_unit_test(missing_losses_of_whole_batches_drop_the_pair),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

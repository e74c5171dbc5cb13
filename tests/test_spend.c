/* What is spent on each layer: against exhaustive search, and against closed forms where there is nothing but noise, or none. */
#include "support.h"

#include "learn/spend.h"

enum { MOST_LAYERS = 4, MOST_OPTIONS = 9 };

/* Layers whose options are 1, 2, 4, ... times as dear as the first, and as much less noisy. */
typedef struct shop {
    int n;
    double base, tolerance, variance[MOST_LAYERS][MOST_OPTIONS], cost[MOST_LAYERS][MOST_OPTIONS];
    zo_spend layer[MOST_LAYERS];
} shop;

static void add_layer(shop *s, int options, double noise, double cost)
{
    zo_spend *l = s->layer + s->n;
    *l = (zo_spend){.options = options, .variance = s->variance[s->n], .cost = s->cost[s->n]};
    for (int i = 0; i < options; i++) {
        s->variance[s->n][i] = noise / (1 << i);
        s->cost[s->n][i] = cost * (1 << i);
    }
    s->n++;
}

/* The product of how fast layers get on, for each multiply-add: not as a sum of logarithms. */
static double worth_of(const shop *s, const int *chosen)
{
    double product = 1, cost = s->base;
    for (int i = 0; i < s->n; i++) cost += s->cost[i][chosen[i]];
    for (int i = 0; i < s->n; i++)
        product *= s->tolerance / (s->tolerance + s->variance[i][chosen[i]]) / cost;
    return product;
}

static double best_worth(const shop *s, int *chosen, int layer)
{
    double best = 0;
    if (layer >= s->n || layer >= MOST_LAYERS) return worth_of(s, chosen);
    for (int o = 0; o < s->layer[layer].options; o++) {
        chosen[layer] = o;
        best = fmax(best, best_worth(s, chosen, layer + 1));
    }
    return best;
}

static void take_choice(const shop *s, int *chosen)
{
    for (int i = 0; i < s->n; i++) chosen[i] = s->layer[i].chosen;
}

/* No layer alone could be changed for the better. Returns what the choice is worth, of what the best one is. */
static double check_choice(shop *s)
{
    int chosen[MOST_LAYERS] = {0}, any[MOST_LAYERS] = {0};
    zo_spend_choose(s->layer, s->n, s->base, s->tolerance);
    take_choice(s, chosen);
    double worth = worth_of(s, chosen);
    assert_near(zo_spend_worth(s->layer, s->n, s->base, s->tolerance), log(worth), 1e-9, 1e-9,
                "what a choice is worth");
    for (int i = 0; i < s->n; i++) {
        int kept = chosen[i];
        assert_true(kept >= 0 && kept < s->layer[i].options);
        for (chosen[i] = 0; chosen[i] < s->layer[i].options; chosen[i]++)
            assert_true(worth_of(s, chosen) <= worth * (1 + 1e-9));
        chosen[i] = kept;
    }
    return worth / best_worth(s, any, 0);
}

static void random_shop(uint64_t *state, shop *s)
{
    static const double steps[] = {0.01, 1, 16, 1e6};
    *s = (shop){.base = pow(10, (double)draw(state, -1, 2)),
                .tolerance = steps[draw_bits(state) >> 62]};
    for (int n = 1 + (int)(draw_bits(state) >> 62); n > 0; n--) {
        int options = draw_bits(state) >> 62 ? 1 + (int)(draw_bits(state) >> 61) : 1;
        double noise = draw_bits(state) >> 61 ? pow(10, (double)draw(state, -3, 5)) : 0;
        add_layer(s, options, noise, pow(10, (double)draw(state, -3, 1)));
    }
}

/* One layer after the other is changed until none can be for the better, which is where exhaustive search ends too, or next to it. */
static void choices_are_the_best(void **state)
{
    (void)state;
    enum { SHOPS = 2000 };
    uint64_t seed = 5;
    double least = 1;
    int best = 0;
    for (int i = 0; i < SHOPS; i++) {
        shop s;
        random_shop(&seed, &s);
        double share = check_choice(&s);
        least = fmin(least, share);
        best += share > 1 - 1e-9;
    }
    print_message("%d of %d are the best, the others at least %.4f of it\n", best, SHOPS, least);
    assert_true(best > 0.97 * SHOPS && least > 0.9);
}

/* From wherever it begins. */
static void the_beginning_does_not_matter_much(void **state)
{
    (void)state;
    uint64_t seed = 6;
    for (int i = 0; i < 500; i++) {
        shop s;
        random_shop(&seed, &s);
        for (int k = 0; k < s.n; k++) s.layer[k].chosen = s.layer[k].options - 1;
        assert_true(check_choice(&s) > 0.9);
    }
}

/* All is noise: Σ log n_i - L log(fixed + Σ n_i c_i) is largest where each of the k layers that can be chosen for costs fixed / (L - k). */
static void noise_is_paid_for_in_equal_parts(void **state)
{
    (void)state;
    shop s = {.base = 3, .tolerance = 1e-6};
    add_layer(&s, 1, 1e9, 13); /* 16 in all: the other two layers get 16 each */
    add_layer(&s, MOST_OPTIONS, 1e9, 2);
    add_layer(&s, MOST_OPTIONS, 1e9, 0.25);
    check_choice(&s);
    assert_int_equal(s.layer[0].chosen, 0);
    assert_near(s.cost[1][s.layer[1].chosen], 16, 0, 0, "cost of a layer");
    assert_near(s.cost[2][s.layer[2].chosen], 16, 0, 0, "cost of the other");
}

/* Noise of one layer and tolerance of one step: n is largest in n / (n + q) / (base + c n), which is at n^2 = base q / c. */
static void one_layer_has_a_closed_form(void **state)
{
    (void)state;
    shop s = {.base = 8, .tolerance = 1};
    add_layer(&s, MOST_OPTIONS, 128, 4); /* n^2 = 256 */
    assert_near(check_choice(&s), 1, 1e-12, 0, "what it is worth");
    assert_int_equal(s.layer[0].chosen, 4);
    for (int i = 0; i < 3; i++) { /* tolerance m is noise q / m */
        shop m = {.base = 8, .tolerance = 4 << 2 * i};
        add_layer(&m, MOST_OPTIONS, 128, 4);
        check_choice(&m);
        assert_int_equal(m.layer[0].chosen, 3 - i);
    }
}

static void without_noise_the_least_is_best(void **state)
{
    (void)state;
    static const double noise[] = {0, 1, 1e300}, steps[] = {1, 1e6, 1e-6};
    static const int want[] = {0, 0, MOST_OPTIONS - 1};
    for (int i = 0; i < 3; i++) {
        shop s = {.base = 1000, .tolerance = steps[i]};
        add_layer(&s, MOST_OPTIONS, noise[i], 1);
        add_layer(&s, MOST_OPTIONS, noise[i], 0.01);
        for (int k = 0; k < 2; k++) s.layer[k].chosen = 3;
        zo_spend_choose(s.layer, s.n, s.base, s.tolerance);
        for (int k = 0; k < 2; k++) assert_int_equal(s.layer[k].chosen, want[i]);
    }
}

static void ties_go_to_the_first(void **state)
{
    (void)state;
    const double variance[] = {2, 2, 2}, cost[] = {1, 1, 1};
    for (int from = 0; from < 3; from++) {
        zo_spend l = {.options = 3, .chosen = from, .variance = variance, .cost = cost};
        zo_spend_choose(&l, 1, 1, 16);
        assert_int_equal(l.chosen, 0);
    }
    zo_spend_choose(NULL, 0, 1, 16); /* no layer at all */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_the_best),
        cmocka_unit_test(the_beginning_does_not_matter_much),
        cmocka_unit_test(noise_is_paid_for_in_equal_parts),
        cmocka_unit_test(one_layer_has_a_closed_form),
        cmocka_unit_test(without_noise_the_least_is_best),
        cmocka_unit_test(ties_go_to_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

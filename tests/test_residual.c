/* Blocks { ... }+ and { ... }cat, of one branch or two, and whole nets of random layers with blocks in blocks: forward passes against double precision; passes that begin at any
 * stage, from cached values of examples in any order, have the bits of the whole pass.
 */
#include "images_support.h"

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

/* ---- blocks ---- */

static const struct {
    const char *spec;
    size64 in;
} blocks[] = {
    {"dense5 { dense5 }+", {1, 1, 3}},
    {"{ dense7 }+", {1, 1, 7}}, /* begins at the inputs */
    {"{ scale }+", {3, 4, 5}},  /* the same, of pixels without pads */
    {"{ conv3x16,same relu }+ dense2", {4, 4, 16}},
    {"{ conv3x5,same relu conv1x5 }+ relu", {4, 3, 5}},
    {"{ { conv3x3,same }+ }+", {4, 3, 3}},
    {"{ conv1x8 tanh { conv3x8,same gelu norm }+ conv1x3 }+ dense4", {5, 4, 3}},
    {"conv2x6 { norm { scale }+ { dwconv3,same }+ tanh }+ pool2 { { { conv1x6 }+ }+ }+ dense3",
     {6, 6, 2}},
    {"dense9 tanh { dense4 tanh dense9 }+ { dense20 gelu dense9 }+ tanh dense3", {2, 3, 2}},
    {"dense6 { { { { { { dense6 tanh }+ tanh }+ tanh }+ tanh }+ tanh }+ tanh }+", {1, 1, 6}},
    {"flatten { dense12 }+ { norm }+ dense2", {2, 2, 3}},
    {"dense5 { dense4 tanh }cat tanh dense2", {1, 1, 3}},
    {"{ conv3x16,same relu }cat dense2", {4, 4, 16}}, /* begins at the inputs */
    {"{ conv3x3,same { conv1x5 tanh }cat }cat conv1x2", {4, 3, 3}},
    {"conv1x17 { { conv1x17 tanh }+ conv3x20,same }cat gelu { scale }cat cells2 dense3", {4, 5, 2}},
    {"{ conv3x2,same wta2 }+ { conv3x2,same quant3 }+ global-mean", {4, 4, 2}},
    {"{ dense7 | dense7 }+", {1, 1, 7}},
    {"{ scale | conv3x5,same relu }cat", {3, 4, 5}}, /* of pixels without pads */
    {"dense5 { dense4 tanh dense6 | dense6 }+ relu dense2", {1, 1, 3}},
    {"conv1x17 { { conv1x17 tanh | conv3x5,same }cat scale | conv1x3 }cat gelu dense3", {4, 5, 2}},
    {"{ { { conv3x3,same | conv1x3 tanh }+ | dwconv3,same }+ | norm }+ pool2", {4, 4, 3}},
    {"conv2x3 { flatten dense4 relu | { conv2x2 | pool2,stride1 conv1x2 }+ flatten }cat dense2",
     {5, 4, 3}},
    {"{ dense5 tanh | { dense4 | { dense3 tanh | dense3 }+ dense4 }+ dense5 }+", {1, 1, 4}},
};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

static void blocks_add_what_came_in(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCKS; i++) check_spec(ctx, blocks[i].spec, blocks[i].in, 3);
}

/* Of every pixel what came in, then what the block made of it. */
static void concatenation_keeps_the_order(void **state)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6}, want[12] = {1, 2, 3, 2, 4, 6, 4, 5, 6, 8, 10, 12};
    zo_net *net = make_images_net(ctx, "{ scale,nobias }cat", (size64){1, 2, 3}, 1);
    float y[12];
    (void)state;
    assert_int_equal(zo_net_set(net, 0, (const float[]){2, 2, 2}), ZO_OK);
    assert_int_equal(net->outputs, 12);
    assert_int_equal(zo_net_forward(net, 1, x, y), ZO_OK);
    assert_same_floats(y, want, 12, "{ scale }cat");
    zo_net_destroy(net);
}

static void forget_block(images64 *n)
{
    for (int i = 0; i < n->stages; i++) {
        if (!strcmp(n->stage[i].name, "}+")) memcpy(n->stage[i].name, "id", 3);
    }
}

static void forget_branch(images64 *n)
{
    for (int i = 0; i < n->stages; i++) {
        if (*n->stage[i].name == '|') n->stage[i].skip = i;
    }
}

static void add_what_came_in(images64 *n)
{
    for (int i = 0; i < n->stages; i++) {
        if (*n->stage[i].name == '}') n->stage[i].skip = n->stage[n->stage[i].skip].skip;
    }
}

static void add_from_inside(images64 *n)
{
    for (int i = 0; i < n->stages; i++) {
        if (*n->stage[i].name == '}') n->stage[i].skip++;
    }
}

static void broken_twins_are_noticed(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCKS; i++) {
        if (strstr(blocks[i].spec, "}+"))
            check_twin(ctx, blocks[i].spec, blocks[i].in, forget_block);
    }
    check_twin(ctx, "{ conv1x3 tanh conv1x3 }+", (size64){4, 3, 3}, add_from_inside);
    check_twin(ctx, "dense5 { dense5 tanh dense5 }+", (size64){1, 1, 3}, add_from_inside);
    check_twin(ctx, "dense5 { dense5 tanh dense7 }cat", (size64){1, 1, 3}, add_from_inside);
    check_twin(ctx, "{ conv1x3 tanh conv1x4 }cat", (size64){4, 3, 3}, add_from_inside);
    check_twin(ctx, "dense5 { dense5 | dense5 tanh }+", (size64){1, 1, 3}, forget_branch);
    check_twin(ctx, "dense5 { dense5 | dense5 tanh }+", (size64){1, 1, 3}, add_what_came_in);
    check_twin(ctx, "{ conv1x3 tanh | conv3x3,same }cat", (size64){4, 3, 3}, forget_branch);
    check_twin(ctx, "{ conv1x3 tanh | conv3x3,same }cat", (size64){4, 3, 3}, add_what_came_in);
}

/* ---- random nets ---- */

static void random_nets_are_nested_loops(void **state)
{
    uint64_t seed = 51;
    int with_blocks = 0, with_branches = 0, words = 0;
    (void)state;
    for (int i = 0; i < 300; i++) {
        char spec[1024];
        size64 in = {pick(&seed, 1, 7), pick(&seed, 1, 7), pick_channels(&seed)};
        random_spec(ctx, &seed, in, spec, sizeof spec);
        if (!*spec) continue;
        zo_net *net = make_images_net(ctx, spec, in, draw_bits(&seed));
        check_images(net, 1e-4);
        with_blocks += strchr(spec, '}') != NULL, words += zo_net_layers(net);
        with_branches += strchr(spec, '|') != NULL;
        zo_net_destroy(net);
    }
    print_message("%d words, %d nets with blocks, %d with branches\n", words, with_blocks,
                  with_branches);
    assert_true(with_blocks > 100 && with_branches > 30 && words > 1500);
}

/* ---- passes from the middle ---- */

enum { EXAMPLES = 5, COPIES = 12 };

/* From stage `from` on, copies of examples in a strange order: each gives what its example gives, to the bit. */
static void check_tail(const zo_net *net, float *const *tensor, const float *y, int from, bool all)
{
    size_t ld = net->stage[from].ld_in, last = net->stage[net->stages - 1].ld_out;
    float *scratch = floats(zo_net_scratch(net, COPIES)),
          *in = from ? zo_net_slot(net, scratch, COPIES, from - 1) : floats(COPIES * ld);
    int32_t example[COPIES];
    for (int r = 0; r < COPIES; r++) {
        example[r] = (r * 7 + from) % EXAMPLES;
        memcpy(in + (size_t)r * ld, tensor[from] + (size_t)example[r] * ld, ld * sizeof *in);
    }
    zo_tail tail = {.params = net->params,
                    .from = from,
                    .m = COPIES,
                    .in = in,
                    .ld = ld,
                    .cache = (const float *const *)tensor,
                    .all = all,
                    .example = example,
                    .scratch = scratch,
                    .most = COPIES};
    const float *got = zo_net_tail(net, &tail);
    for (int r = 0; r < COPIES; r++)
        assert_same_floats(got + (size_t)r * last, y + example[r] * net->outputs,
                           (size_t)net->outputs, net->spec);
    if (!from) free(in);
    free(scratch);
}

/* Multiply-adds of the stages that depend on tensor `from`. */
static double cost_from(const zo_net *net, int from)
{
    bool *moved = calloc((size_t)net->stages + 1, sizeof *moved);
    double cost = 0;
    assert_non_null(moved);
    moved[from] = true;
    for (int i = from; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        bool branches = !strcmp(s->layer->info.name, "|"),
             seen = (moved[i] && !branches) || (s->skip >= 0 && moved[s->skip]);
        moved[i + 1] = seen;
        cost += seen ? s->cost : 0;
    }
    free(moved);
    return cost;
}

static void check_tails(const char *spec, size64 in, uint64_t seed)
{
    zo_net *net = make_images_net(ctx, spec, in, seed);
    float *x = draw_examples(net, EXAMPLES, seed), *y = answers_of(net, EXAMPLES, x),
          **tensor = cache_of(net, EXAMPLES, x);
    for (int from = net->stages - 1; from >= 0; from--) {
        for (int all = 0; all < 2; all++) check_tail(net, tensor, y, from, all);
        assert_true(zo_net_tail_cost(net, from) == cost_from(net, from));
    }
    assert_true(zo_net_tail_cost(net, 0) == zo_net_cost(net));
    free_cache(net, tensor);
    free(x), free(y);
    zo_net_destroy(net);
}

static void passes_may_begin_anywhere(void **state)
{
    uint64_t seed = 52;
    (void)state;
    for (int i = 0; i < BLOCKS; i++) check_tails(blocks[i].spec, blocks[i].in, 3);
    for (int i = 0; i < 120; i++) {
        char spec[1024];
        size64 in = {pick(&seed, 1, 6), pick(&seed, 1, 6), pick_channels(&seed)};
        random_spec(ctx, &seed, in, spec, sizeof spec);
        if (*spec) check_tails(spec, in, draw_bits(&seed));
    }
}

/* A net without blocks holds two tensors at once, however deep it is; a block within a block one more each. */
static void passes_hold_few_tensors(void **state)
{
    static const struct {
        const char *spec;
        int slots;
    } held[] = {
        {"dense4", 1},
        {"dense4 dense4 dense4 dense4 dense4 dense4", 2},
        {"conv3x4,same relu pool2 conv3x4,same norm flatten dense9 dense2", 2},
        {"dense4 { dense4 dense4 }+ dense4", 3},
        {"dense4 { dense4 { dense4 dense4 }+ dense4 }+ dense4", 4},
        {"dense4 { dense4 dense4 }+ { dense4 dense4 }+ { dense4 dense4 }+", 3},
        {"dense4 { dense4 dense4 | dense4 dense4 }+ dense4", 3},
        {"{ { { dense4 | dense4 }+ | dense4 }+ | dense4 }+", 4},
    };
    (void)state;
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        zo_net *net = make_images_net(ctx, held[i].spec, (size64){4, 4, 2}, 1);
        assert_true(net->slots <= held[i].slots);
        zo_net_destroy(net);
    }
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCKS; i++) check_bits(blocks[i].spec, blocks[i].in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_add_what_came_in),
        cmocka_unit_test(concatenation_keeps_the_order),
        cmocka_unit_test(broken_twins_are_noticed),
        cmocka_unit_test(random_nets_are_nested_loops),
        cmocka_unit_test(passes_may_begin_anywhere),
        cmocka_unit_test(passes_hold_few_tensors),
        cmocka_unit_test(bits_depend_on_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

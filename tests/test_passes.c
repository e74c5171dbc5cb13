/* Perturbed passes against networks that are perturbed for good: with weights moved in one stage the pass that starts there has the bits of a
 * pass of the moved network, and outputs moved while they are summed have the bits of outputs moved afterwards.
 */
#include "images_support.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

enum { EXAMPLES = 5, SIGMA_SHIFT = 3 };

/* A net with what it gives for a few examples, and noise for anything of it. */
typedef struct bench {
    const zo_kernels *k;
    zo_net *net;
    float **tensor, *scratch, *noise;
    uint16_t *signs;
    int changed; /* nets whose outputs moved weights have changed */
} bench;

static bench lay_out(const char *spec, size64 in, uint64_t seed)
{
    bench b = {.k = ctx->kernels, .net = make_images_net(ctx, spec, in, seed)};
    float *x = draw_examples(b.net, EXAMPLES, seed);
    size_t n = b.net->arena + EXAMPLES * b.net->widest + 16;
    b.tensor = cache_of(b.net, EXAMPLES, x);
    b.scratch = floats(zo_net_scratch(b.net, EXAMPLES));
    b.noise = floats(n);
    b.signs = calloc(n / 16 + 1, sizeof *b.signs);
    draw_many(&seed, b.noise, n, -1, 1);
    for (size_t i = 0; i < n / 16; i++) b.signs[i] = (uint16_t)(draw_bits(&seed) >> 40);
    free(x);
    return b;
}

static void put_away(bench *b)
{
    free_cache(b->net, b->tensor);
    free(b->scratch), free(b->noise), free(b->signs);
    zo_net_destroy(b->net);
}

/* Outputs of all examples after the pass from `from` on, copied. */
static float *outputs_from(const bench *b, const float *params, int from, const float *in)
{
    const zo_net *net = b->net;
    size_t ld = net->stage[net->stages - 1].ld_out, outputs = (size_t)net->outputs;
    float *y = floats(EXAMPLES * outputs);
    zo_tail tail = {.params = params,
                    .from = from,
                    .m = EXAMPLES,
                    .in = in,
                    .ld = from < net->stages ? net->stage[from].ld_in : ld,
                    .cache = (const float *const *)b->tensor,
                    .all = from % 2,
                    .scratch = b->scratch,
                    .most = EXAMPLES};
    static const int32_t same[EXAMPLES] = {0, 1, 2, 3, 4};
    tail.example = same;
    const float *got = zo_net_tail(net, &tail);
    for (size_t i = 0; i < EXAMPLES; i++)
        memcpy(y + i * outputs, got + i * ld, outputs * sizeof *y);
    return y;
}

/* ---- weights ---- */

/* Stage i with its own numbers moved, the rest from what is cached; and the net with these numbers, from its inputs. */
static void check_weights(bench *b, int i, bool signs)
{
    const zo_net *net = b->net;
    const zo_stage *s = net->stage + i;
    size_t n = s->weight_floats + s->bias_floats;
    float *moved = floats(net->arena + 16);
    memcpy(moved, net->params, net->arena * sizeof *moved);
    b->k->add_noise(moved + s->weight, net->params + s->weight, n, 1.0f / (1 << SIGMA_SHIFT),
                    signs ? b->signs : NULL, signs ? NULL : b->noise);
    float *want = outputs_from(b, moved, 0, b->tensor[0]);
    zo_room room = zo_net_room(net, b->scratch);
    zo_rows rows = {.m = EXAMPLES,
                    .in = b->tensor[i],
                    .ld = s->ld_in,
                    .h = zo_net_slot(net, b->scratch, EXAMPLES, i)};
    zo_stage_forward(net, s, &room, moved + s->weight, s->has_bias ? moved + s->bias : NULL, &rows);
    float *got = outputs_from(b, net->params, i + 1, rows.h),
          *clean = outputs_from(b, net->params, 0, b->tensor[0]);
    assert_same_floats(got, want, (size_t)(EXAMPLES * net->outputs), net->spec);
    b->changed += memcmp(got, clean, (size_t)(EXAMPLES * net->outputs) * sizeof *got) != 0;
    free(got), free(want), free(clean), free(moved);
}

/* ---- outputs ---- */

/* Outputs of stage i moved by the product that sums them up, or when they lie there. */
static void check_outputs(const bench *b, int i, bool signs)
{
    const zo_net *net = b->net;
    const zo_stage *s = net->stage + i;
    zo_activate_fn f = zo_stage_activate(b->k, s);
    size_t pitch = s->out.pitch, pixels = zo_shape_pixels(&s->out), n = EXAMPLES * s->ld_out;
    float *z = floats(n), *h = floats(n), *summed = floats(n), *moved = floats(n);
    zo_epilogue noise = {.sigma = 0.25f, .ld_signs = pitch / 16, .ld_noise = pitch};
    if (signs)
        noise.signs = b->signs;
    else
        noise.noise = b->noise;
    zo_room room = zo_net_room(net, b->scratch);
    zo_rows rows = {.m = EXAMPLES, .in = b->tensor[i], .ld = s->ld_in, .z = z, .h = h};
    zo_stage_forward(net, s, &room, zo_stage_weight(s, net->params), zo_stage_bias(s, net->params),
                     &rows);
    rows.noise = &noise;
    rows.z = NULL, rows.h = summed;
    zo_stage_forward(net, s, &room, zo_stage_weight(s, net->params), zo_stage_bias(s, net->params),
                     &rows);
    /* z is not kept where there is no activation */
    const float *from = s->activation ? z : h;
    static const int32_t same[EXAMPLES] = {0, 1, 2, 3, 4};
    b->k->disturb(moved, s->ld_out, from, s->ld_out, NULL, same, EXAMPLES, s->ld_out, noise.sigma,
                  noise.signs, s->ld_out / 16, noise.noise, s->ld_out, NULL, 0);
    if (f) f(moved, pitch, moved, pitch, EXAMPLES * pixels, (size_t)s->out.channels, s->number);
    for (size_t p = 0; p < EXAMPLES * pixels; p++)
        assert_same_floats(summed + p * pitch, moved + p * pitch, (size_t)s->out.channels,
                           net->spec);
    float *got = outputs_from(b, net->params, i + 1, summed),
          *want = outputs_from(b, net->params, i + 1, moved);
    assert_same_floats(got, want, (size_t)(EXAMPLES * net->outputs), net->spec);
    free(z), free(h), free(summed), free(moved), free(got), free(want);
}

static void check_net(const char *spec, size64 in, uint64_t seed, bool change)
{
    bench b = lay_out(spec, in, seed);
    int moved = 0;
    for (int i = 0; i < b.net->stages; i++) {
        const zo_stage *s = b.net->stage + i;
        for (int signs = 0; signs < 2 && s->rows; signs++) {
            check_weights(&b, i, signs);
            moved++;
            if (s->layer->product) check_outputs(&b, i, signs);
        }
    }
    assert_true(!change || b.changed == moved);
    put_away(&b);
}

static void perturbed_passes_are_passes_of_perturbed_nets(void **state)
{
    static const struct {
        const char *spec;
        size64 in;
    } nets[] = {
        {"dense40 relu dense17 tanh dense3", {1, 1, 50}},
        {"conv3x5,same relu conv2x33 gelu dense20 tanh dense3", {5, 6, 3}},
        {"conv3x17,same,stride2 tanh conv1x4,nobias dense2", {7, 7, 1}},
        {"conv2x8 wta4 conv2x6 quant3 dense9 wta3 dense3 quant5", {5, 5, 2}},
        {"patch3x33,same,eps0.1 gelu twosided0.1 patch2x5,stride2 wta3 cells2 sqrt dense3",
         {7, 8, 3}},
        {"conv2x3 tanh eachconv3x6,same hashhist3x2,stride2 sqrt eachdense4x3 hashhist2x3,same "
         "dense3",
         {7, 8, 1}},
        {"{ conv3x3,same relu }cat { { conv1x5 tanh }cat norm }cat dense3", {4, 4, 3}},
        {"dwconv3,same tanh norm gelu scale dwconv2,nobias dense3", {5, 5, 17}},
        {"{ conv3x3,same relu { conv1x3 tanh norm }+ }+ conv2x5 { scale,nobias }+ dense3", {4, 4, 3}},
        {"dense9 { dense9 tanh { dense9 }+ tanh }+ { dense5 relu dense9 }+ dense3", {1, 1, 4}},
        {"conv5x8 relu pool2 conv3x16 relu meanpool2 dense10", {14, 14, 1}},
        {"{ { conv3x4,same tanh | conv1x4 }+ | { dwconv3,same | norm }cat conv1x3 }cat dense3",
         {4, 4, 3}},
        {"dense9 { dense5 tanh dense7 | { dense6 | dense6 tanh }+ dense7 }+ tanh dense3", {1, 1, 4}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        check_net(nets[i].spec, nets[i].in, i + 3, true);
}

/* Random nets: some give numbers that do not change with the first, such as the norm of a single one. */
static void random_nets_too(void **state)
{
    uint64_t seed = 61;
    (void)state;
    for (int i = 0; i < 60; i++) {
        char spec[1024], whole[1100];
        size64 in = {pick(&seed, 1, 6), pick(&seed, 1, 6), pick_channels(&seed)};
        random_spec(ctx, &seed, in, spec, sizeof spec);
        if (!*spec) continue;
        snprintf(whole, sizeof whole, "%s flatten dense7", spec);
        check_net(whole, in, draw_bits(&seed), false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perturbed_passes_are_passes_of_perturbed_nets),
        cmocka_unit_test(random_nets_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

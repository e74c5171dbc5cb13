/* Random draws of node perturbation, of a stage's outputs or of its weights: against brute force with the same noise in double precision, and
 * against the cosines and lengths that theory predicts. (Complete sets: test_nodes.c.)
 */
#include "images_training.h"

#include "learn/batches.h"
#include "learn/noise.h"

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

/* ---- where noise enters ---- */

static bool own_windows(const stage64 *s)
{
    return (s->stride >= s->height || s->out.h == 1) && (s->stride >= s->width || s->out.w == 1);
}

/* Whether noise enters at the largest outputs of stage i only: a pooling of these is all that is behind. */
static bool enters_at_largest(const images64 *n, int i)
{
    const stage64 *s = n->stage + i, *pool = s + 1;
    if (i + 1 == n->stages || !strcmp(s->activation, "wta")) return false;
    for (int k = 0; k < n->stages; k++) {
        if (!strcmp(n->stage[k].name, "}+") && n->stage[k].skip == i + 1) return false;
    }
    bool largest = !strcmp(pool->name, "pool") || !strcmp(pool->name, "global-max");
    return largest && !*pool->activation && own_windows(pool);
}

/* The outputs of a stage that noise moves, for one example. */
typedef struct moved64 {
    int n, *unit;
    double *others; /* [n]: the largest beside it in its window; -INFINITY: nothing */
    bool *acts;     /* [n]: whether a move changes what is behind */
} moved64;

static void free_moved(moved64 *m) { free(m->unit), free(m->others), free(m->acts); }

/* The first of the largest that a window sees, and the largest besides. */
static void find_largest(const stage64 *pool, const double *h, int at, moved64 *m)
{
    int c = pool->out.c, y = at / c / pool->out.w, x = at / c % pool->out.w, best = -1;
    for (int k = 0; k < pool->height * pool->width; k++) {
        const double *a = seen64(pool, h, y, x, k / pool->width, k % pool->width, at % c);
        if (a && (best < 0 || *a > h[best])) best = (int)(a - h);
    }
    m->unit[at] = best;
    for (int k = 0; k < pool->height * pool->width; k++) {
        const double *a = seen64(pool, h, y, x, k / pool->width, k % pool->width, at % c);
        if (a && a - h != best) m->others[at] = fmax(m->others[at], *a);
    }
}

/* Those of stage i for the example that ran last, unmoved; they act if a move by `by`, or its opposite, does. */
static moved64 moved_of(const images64 *n, int i, double by)
{
    const stage64 *s = n->stage + i;
    bool largest = enters_at_largest(n, i), grouped = !strcmp(s->activation, "wta");
    int count = count64(s->out);
    double *z = calloc((size_t)count, sizeof *z), *h = calloc((size_t)count, sizeof *h);
    moved64 m = {.n = count64(s[largest].out)};
    m.unit = calloc((size_t)m.n, sizeof *m.unit);
    m.others = calloc((size_t)m.n, sizeof *m.others);
    m.acts = calloc((size_t)m.n, sizeof *m.acts);
    for (int k = 0; k < m.n; k++) {
        m.unit[k] = k, m.others[k] = -INFINITY, m.acts[k] = grouped;
        if (largest) find_largest(s + 1, n->tensor[i + 1], k, &m);
    }
    for (int side = 0; side < 2; side++) {
        layer_forward64(n, i, z);
        for (int j = 0; j < count; j++) z[j] += side ? -by : by;
        activation64(s, z, h);
        for (int k = 0; k < m.n; k++) {
            double clean = n->tensor[i + 1][m.unit[k]], now = h[m.unit[k]];
            m.acts[k] |= fmax(now, m.others[k]) != fmax(clean, m.others[k]);
        }
    }
    free(z), free(h);
    return m;
}

/* ---- the same noise ---- */

enum { MOST_EXAMPLES = 64 };

/* How stages are moved. */
typedef struct way {
    bool weights, gaussian;
    int sides, draws;
    uint64_t seed;
    bool hadamard;
    bool blind; /* a twin, which takes all outputs that are moved for such that act */
} way;

#define SIGMAS "sigma=0.25", "sigma_weights=0.375", "sigma_jump=0.75"

/* Moves must be large where something from the stage on jumps; of weights they are smaller the more of them an output adds up. */
static double sigma_of(const images_scene *s, int i, const way *w)
{
    const stage64 *of = s->oracle->stage + i;
    int added = strcmp(of->name, "dense") ? of->height * of->width : count64(of->in);
    if (!strcmp(of->name, "conv")) added *= of->in.c;
    run64(s->oracle, example_at(s, 0), still);
    run_on64(s->oracle, i, still);
    if (isinf(s->oracle->nearest)) return w->weights ? 0.375 : 0.25;
    return w->weights ? 0.75 / sqrt(added + 1) : 0.75;
}

static bool parity(uint32_t x)
{
    uint32_t odd = 0;
    for (; x; x >>= 1) odd ^= x & 1;
    return odd > 0;
}

/* Sylvester's matrix: rows and columns by an odd factor and an offset, then flips. `shape`: of the numbers; NULL: all floats are numbers. */
static void hadamard64(const zo_stream *stream, int draws, const zo_shape *shape, size_t n,
                       float *noise)
{
    uint32_t word[4];
    uint16_t *flip = calloc(n / 16 + 8, sizeof *flip);
    zo_stream_block(stream, 0, word);
    zo_noise_signs(kernel_set(0), stream, 1, n / 16, flip);
    uint32_t order = 1;
    while (order < (uint32_t)draws) order *= 2;
    for (uint32_t f = 0; f < n; f++) {
        uint32_t number = f;
        if (shape) number = f / (uint32_t)shape->pitch * (uint32_t)shape->channels;
        if (shape) number += f % (uint32_t)shape->pitch;
        uint32_t column = (number * (word[2] | 1) + word[3]) % order;
        for (uint32_t d = 0; d < (uint32_t)draws; d++) {
            uint32_t row = (d * (word[0] | 1) + word[1]) % order;
            bool flipped = flip[f / 16] >> f % 16 & 1, minus = parity(row & column) != flipped;
            noise[d * n + f] = minus ? -1 : 1;
        }
    }
    free(flip);
}

/* Noise of all draws for a row of the batch, as the stream has it: [draws][floats], pads included. */
static float *noise_of(const images_scene *s, int stage, int row, const way *w,
                       size_t floats_of_draw)
{
    uint32_t item = (uint32_t)(row * s->net->stages + stage);
    zo_stream stream = zo_stream_at(w->seed, ZO_FOR_NOISE, 0, item);
    size_t blocks = w->gaussian ? floats_of_draw / 4 : (floats_of_draw / 16 + 7) / 8,
           draws = (size_t)w->draws;
    float *noise = floats(draws * floats_of_draw), *normal = floats(draws * 4 * blocks);
    uint16_t *signs = calloc(draws * 8 * blocks, sizeof *signs);
    if (w->hadamard) {
        const zo_stage *entry = s->net->stage + stage;
        if (!w->weights && floats_of_draw != entry->ld_out) entry++;
        hadamard64(&stream, w->draws, w->weights ? NULL : &entry->out, floats_of_draw, noise);
    } else if (w->gaussian)
        zo_noise_normal(kernel_set(0), &stream, 0, draws * 4 * blocks, normal);
    else
        zo_noise_signs(kernel_set(0), &stream, 0, draws * 8 * blocks, signs);
    for (size_t d = 0; d < draws && !w->hadamard; d++) {
        for (size_t f = 0; f < floats_of_draw; f++) {
            bool minus = signs[d * 8 * blocks + f / 16] >> f % 16 & 1;
            noise[d * floats_of_draw + f] = w->gaussian ? normal[d * 4 * blocks + f]
                                            : minus     ? -1
                                                        : 1;
        }
    }
    free(normal), free(signs);
    return noise;
}

/* A draw without pads: of the outputs that are moved, others 0; or of weights and biases in their order. */
static void take_draw(const zo_stage *st, const moved64 *moved, const float *from, double *to)
{
    size_t c = (size_t)st->out.channels, pitch = zo_round16(c);
    for (size_t k = 0; moved && k < (size_t)moved->n; k++)
        to[moved->unit[k]] = (double)from[k / c * pitch + k % c];
    if (moved) return;
    size_t n = st->rows * st->columns;
    for (size_t i = 0; i < n; i++)
        to[i] = (double)from[zo_stage_at(st, i / st->columns, i % st->columns)];
    for (size_t j = 0; j < st->columns && st->has_bias; j++)
        to[n + j] = (double)from[st->weight_floats + j];
}

/* The loss of example b, which was the last to run, after a move along a draw. *nearest is how near to a jump a number ever came. */
static double moved_loss(const images_scene *s, int i, int b, const way *w, const double *draw,
                         double by, double *nearest)
{
    stage64 *of = s->oracle->stage + i;
    double loss, *noise = calloc((size_t)count64(of->out), sizeof *noise);
    for (int j = 0; !w->weights && j < count64(of->out); j++) noise[j] = by * draw[j];
    for (int j = 0; w->weights && j < parameters64(of); j++) *parameter64(of, j) += by * draw[j];
    loss = loss_on(s, b, i, w->weights ? still : (moves64){i, 0, 0, noise});
    for (int j = 0; w->weights && j < parameters64(of); j++) *parameter64(of, j) -= by * draw[j];
    *nearest = fmin(*nearest, s->oracle->nearest);
    free(noise);
    return loss;
}

/* jacobian[outputs][parameters] of a stage at the inputs of example b: outputs are a sum over parameters. malloc'ed. */
static double *jacobian64(const images_scene *s, int i, int b)
{
    stage64 *of = s->oracle->stage + i;
    int n = parameters64(of), m = count64(of->out);
    double *jacobian = calloc((size_t)(m * n), sizeof *jacobian),
           *kept = calloc((size_t)n, sizeof *kept);
    run64(s->oracle, example_at(s, b), still);
    for (int j = 0; j < n; j++) kept[j] = *parameter64(of, j), *parameter64(of, j) = 0;
    for (int j = 0; j < n; j++) {
        *parameter64(of, j) = 1;
        layer_forward64(s->oracle, i, s->oracle->z);
        for (int r = 0; r < m; r++) jacobian[r * n + j] = s->oracle->z[r];
        *parameter64(of, j) = 0;
    }
    for (int j = 0; j < n; j++) *parameter64(of, j) = kept[j];
    free(kept);
    return jacobian;
}

/* The direction that these draws give, all examples of the batch in their order; *nearest as above. malloc'ed. */
static double *brute_force(const images_scene *s, int i, const way *w, const int32_t *example,
                           double *nearest)
{
    const zo_stage *st = s->net->stage + place64(s->oracle, i, s->net);
    size_t floats_of_draw = w->weights ? st->weight_floats + st->bias_floats
                                       : st[enters_at_largest(s->oracle, i)].ld_out;
    int n = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out),
        numbers = w->weights ? n : m;
    double *g = calloc((size_t)n, sizeof *g), *draw = calloc((size_t)numbers, sizeof *draw),
           by = sigma_of(s, i, w), scale = 1 / (w->sides * by * w->draws * s->examples);
    *nearest = INFINITY;
    for (int row = 0; row < s->examples; row++) {
        int b = example[row];
        float *noise = noise_of(s, (int)(st - s->net->stage), row, w, floats_of_draw);
        double *e = calloc((size_t)numbers, sizeof *e), clean = example_loss(s, b, still);
        *nearest = fmin(*nearest, s->oracle->nearest);
        moved64 moved = moved_of(s->oracle, i, w->gaussian ? 4 * by : by);
        for (size_t d = 0; d < (size_t)w->draws; d++) {
            take_draw(st, w->weights ? NULL : &moved, noise + d * floats_of_draw, draw);
            double plus = moved_loss(s, i, b, w, draw, by, nearest),
                   minus = w->sides == 1 ? clean : moved_loss(s, i, b, w, draw, -by, nearest);
            for (int j = 0; j < numbers; j++) e[j] += (plus - minus) * draw[j] * scale;
        }
        for (int k = 0; k < moved.n && !w->weights; k++) {
            if (!moved.acts[k] && !w->blind) e[moved.unit[k]] = 0;
            draw[moved.unit[k]] = 0;
        }
        free_moved(&moved);
        double *jacobian = w->weights ? NULL : jacobian64(s, i, b);
        for (int j = 0; j < n; j++) {
            for (int r = 0; jacobian && r < m; r++) g[j] += jacobian[r * n + j] * e[r];
            if (!jacobian) g[j] += e[j];
        }
        free(jacobian), free(e), free(noise);
    }
    free(draw);
    return g;
}

/* A step on all examples with random draws. malloc'ed. */
static float *drawn_step(const images_scene *s, const way *w)
{
    char draws[16];
    snprintf(draws, sizeof draws, "draws=%d", w->draws);
    return direction_of(ctx, s->task, s->net, "nodes:sgd", w->seed,
                        SETTINGS(COMMON, SIGMAS, "set=random", draws,
                                 w->weights ? "place=weights" : "place=outputs",
                                 w->hadamard   ? "noise=hadamard"
                                 : w->gaussian ? "noise=gaussian"
                                               : "noise=rademacher",
                                 w->sides == 1 ? "sides=one" : "sides=two"),
                        NULL);
}

/* Whether some moved output of the stage acts in no way, for some example. */
static bool some_are_dead(const images_scene *s, int i, const way *w)
{
    double by = sigma_of(s, i, w) * (w->gaussian ? 4 : 1);
    int dead = 0;
    for (int b = 0; b < s->examples && !w->weights; b++) {
        run64(s->oracle, example_at(s, b), still);
        moved64 moved = moved_of(s->oracle, i, by);
        for (int k = 0; k < moved.n; k++) dead += !moved.acts[k];
        free_moved(&moved);
    }
    return dead > 0;
}

/* Rounding in single precision must not decide on which side of a jump a number falls: `nearest` is far above it. */
static void check_stage(const images_scene *s, int i, const way *w, const float *arena,
                        const int32_t *example)
{
    int n = parameters64(s->oracle->stage + i);
    int32_t turned[MOST_EXAMPLES] = {0}; /* a twin: the noise of other examples */
    double nearest, *got = step_of(s, arena, i), *want = brute_force(s, i, w, example, &nearest),
                    apart = apart64(got, want, n);
    if (!(apart < 1e-4 && nearest > 1e-5))
        fail_msg("%s, %s, %s, %d draws, %d-sided, stage %d: %g apart, %g from a jump", s->net->spec,
                 w->weights ? "weights" : "outputs", w->gaussian ? "gaussian" : "signs", w->draws,
                 w->sides, i, apart, nearest);
    free(want);
    for (int row = 0; row < s->examples; row++) turned[row] = example[(row + 1) % s->examples];
    want = brute_force(s, i, w, turned, &nearest);
    /* Enough orthogonal draws give the same, whatever the noise. */
    bool exact = w->hadamard && w->draws >= count64(s->oracle->stage[i].out);
    if (!(exact || apart64(got, want, n) > 0.05))
        fail_msg("%s, stage %d: as the twin", s->net->spec, i);
    free(want);
    if (some_are_dead(s, i, w)) {
        way blind = *w;
        blind.blind = true;
        want = brute_force(s, i, &blind, example, &nearest);
        assert_true(apart64(got, want, n) > 0.005);
        free(want);
    }
    free(got);
}

static void check_noise(const char *spec, size64 in, int images, const way *w)
{
    images_scene s = set_images(ctx, images, spec, in, 3, 3, "cross-entropy");
    float *arena = drawn_step(&s, w);
    zo_batches batches = {0};
    assert_true(s.examples <= MOST_EXAMPLES);
    assert_int_equal(zo_batches_init(&batches, ctx, w->seed, s.examples, s.examples), ZO_OK);
    for (int i = 0; i < s.oracle->stages; i++) {
        if (parameters64(s.oracle->stage + i))
            check_stage(&s, i, w, arena, zo_batches_at(&batches, 0));
    }
    check_pads(s.net, arena);
    zo_batches_fini(&batches);
    free(arena);
    clear_images(&s);
}

static const struct {
    const char *spec;
    size64 in;
} nets[] = {
    {"conv3x4,same tanh conv2x17,stride2 gelu dense3", {4, 4, 2}},
    {"conv2x5,nobias relu pool2 dwconv2,same tanh norm dense3", {5, 5, 2}},
    {"{ conv3x2,same tanh { scale tanh }+ norm,nobias }+ conv1x33 global-mean dense3", {3, 4, 2}},
    {"dense9 tanh { dense9 gelu dense9 }+ meanpool1 dense3", {1, 1, 5}},
    {"dense40 tanh dense9 relu dense3", {1, 1, 20}},
    /* noise at the largest of each window */
    {"conv3x6,same relu pool2 conv2x17 tanh pool2,same dense3", {7, 6, 2}},
    {"conv2x18 leaky-relu global-max dense9 relu dense3", {4, 4, 2}},
    {"conv2x4,same pool1,stride2 dwconv2,same relu pool2,stride3 dense3", {8, 8, 2}},
    /* and everywhere: windows overlap, of a mean, an activation behind, an input that is added elsewhere */
    {"conv2x4 relu pool3,stride2 conv1x3 relu meanpool2 dense3", {6, 6, 2}},
    {"conv2x4 tanh pool2 relu conv1x5 relu { pool1 conv1x5 }+ dense3", {5, 5, 2}},
};

/* The k-th of eight ways. */
static way way_of(int k, int draws, uint64_t seed)
{
    return (way){k & 1, k >> 1 & 1, 1 + (k >> 2), draws, seed, false, false};
}

/* More draws than are made together. */
static void draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        for (int k = 0; k < 8; k++) {
            way w = way_of(k, 19, 5);
            check_noise(nets[i].spec, nets[i].in, 8, &w);
        }
    }
}

/* More draws than wait together, and more examples than an item has: noise that stays, for some rows at a time or all, and noise that is
 * made again. */
static void many_draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        way w = way_of(k, 67, 5);
        check_noise("dense40 tanh dense9 relu dense3", (size64){1, 1, 20}, 44, &w);
    }
}

/* Draws in groups too, fewer than rows and as many. */
static void orthogonal_draws_agree_with_brute_force(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        way w = way_of(k & 1, 19, 5);
        w.hadamard = true, w.sides = 1 + (k >> 1);
        for (size_t i = 0; i < 4; i++) check_noise(nets[i].spec, nets[i].in, 8, &w);
        w.draws = 70;
        check_noise("conv2x20 relu pool2 dense90 relu dense3", (size64){5, 5, 2}, 8, &w);
    }
}

/* Members do not share examples draw by draw: they have no such noise. */
static void only_nodes_have_orthogonal_draws(void **state)
{
    static const char *const method[] = {"weights", "lowrank", "mezo"};
    zo_task *task = make_images(ctx, 26, 2, 2, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "dense3", 1);
    zo_trainer_def def = zo_trainer_default_def();
    (void)state;
    def.task = task, def.net = net, def.settings = SETTINGS("noise=hadamard");
    for (int i = 0; i < 3; i++) {
        zo_trainer *trainer = NULL;
        def.method = method[i];
        assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_USAGE);
        error_says(ctx, "hadamard", NULL);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* As many draws as rows, and no fewer than outputs: small moves give the gradient. Other signs do not. */
static void enough_orthogonal_draws_are_exact(void **state)
{
    images_scene s = set_images(ctx, 26, "conv2x3 tanh dense16 tanh conv1x9 relu dense3",
                                (size64){3, 3, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int hadamard = 0; hadamard < 2; hadamard++) {
        float *arena =
            direction_of(ctx, s.task, s.net, "nodes:sgd", 3,
                         SETTINGS(COMMON, "sigma=0.002", "set=random", "place=outputs", "draws=16",
                                  "sides=one", hadamard ? "noise=hadamard" : "noise=rademacher"),
                         NULL);
        for (int i = 0; i < s.oracle->stages; i++) {
            int n = parameters64(s.oracle->stage + i);
            if (!n) continue;
            double *got = step_of(&s, arena, i), *want = direction64(&s, i, false),
                   apart = apart64(got, want, n);
            print_message("stage %d: %g apart\n", i, apart);
            assert_true(hadamard ? apart < 0.02 : apart > 0.05);
            free(got), free(want);
        }
        free(arena);
    }
    clear_images(&s);
}

/* Seeds with which no number comes near a jump. */
static const struct {
    const char *spec;
    size64 in;
    uint64_t seed;
} jumping[] = {
    {"conv2x6 wta3 dense8 quant2 dense3", {4, 4, 2}, 2},
    {"conv2x5 step { conv3x5,same sign }+ dense7 wta4 dense3", {3, 4, 2}, 1},
    {"conv2x4 tanh dwconv2 quant3 conv1x18 wta4 global-mean dense3", {4, 4, 2}, 7},
    {"dense20 wta7 dense33 step dense18 wta18 dense3", {1, 1, 5}, 13},
    {"conv2x5 step pool2 dense7 tanh dense3", {5, 5, 2}, 2},
    {"conv2x4 quant2 pool2,same dense6 relu dense3", {4, 4, 2}, 1},
    {"conv2x5 wta5 pool2 conv1x9 quant3 global-max dense3", {5, 5, 2}, 1},
};

static void draws_of_jumping_nets_agree_with_brute_force(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof jumping / sizeof *jumping; i++) {
        for (int k = 0; k < 8; k++) {
            way w = way_of(k, 19, jumping[i].seed);
            check_noise(jumping[i].spec, jumping[i].in, 8, &w);
        }
    }
}

/* One example, so that a unit's weights show its error: that of a dead one is 0, whatever the draws. */
static void errors_of_dead_outputs_are_zero(void **state)
{
    images_scene s =
        set_images(ctx, 2, "dense24 relu dense3", (size64){1, 1, 2}, 3, 3, "cross-entropy");
    const stage64 *dense = s.oracle->stage;
    float bias[24];
    (void)state;
    for (int j = 0; j < 24; j++) dense->b[j] = bias[j] = (float)(j % 3) - 1.5f;
    zo_net_write_segment(s.net, 1, bias);
    assert_int_equal(s.examples, 1);
    for (int k = 0; k < 4; k++) {
        way w = {.gaussian = k & 1, .sides = 1 + (k >> 1), .draws = 7, .seed = 3};
        float *arena = drawn_step(&s, &w);
        double *got = step_of(&s, arena, 0);
        run64(s.oracle, example_at(&s, 0), still);
        moved64 moved = moved_of(s.oracle, 0, w.gaussian ? 1 : 0.25);
        int dead = 0;
        for (int j = 0; j < 24; j++) {
            dead += !moved.acts[j];
            for (int l = 0; l < 2; l++) assert_true(got[l * 24 + j] == 0 || moved.acts[j]);
            assert_true((got[dense->weights + j] != 0) == moved.acts[j]);
        }
        assert_true(dead > 4 && dead < 20);
        free_moved(&moved);
        free(got), free(arena);
    }
    clear_images(&s);
}

/* ---- complete sets of a part of the batch ---- */

/* The examples of stage i's complete set, as the plan says. */
static int planned(zo_trainer *t, const images_scene *s, int i)
{
    int some = s->examples, nth = 0;
    for (int k = 0; k < i; k++) nth += parameters64(s->oracle->stage + k) > 0;
    const char *line = zo_trainer_plan(t, nth), *at = strstr(line, " for ");
    assert_non_null(strstr(line, "complete set"));
    if (at) assert_int_equal(sscanf(at, " for %d of", &some), 1);
    return some;
}

/* The mean over these examples of what moving every output of a stage alone gives. malloc'ed. */
static double *part_of_complete(const images_scene *s, int i, const int32_t *example, int n)
{
    const way w = {.sides = 1, .draws = 1};
    int parameters = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out);
    double *g = calloc((size_t)parameters, sizeof *g), *unit = calloc((size_t)m, sizeof *unit),
           nearest = INFINITY;
    for (int row = 0; row < n; row++) {
        double clean = example_loss(s, example[row], still), *e = calloc((size_t)m, sizeof *e);
        for (int j = 0; j < m; j++) {
            unit[j] = 1;
            e[j] = (moved_loss(s, i, example[row], &w, unit, 0.25, &nearest) - clean) / (0.25 * n);
            unit[j] = 0;
        }
        double *jacobian = jacobian64(s, i, example[row]);
        for (int j = 0; j < parameters; j++) {
            for (int r = 0; r < m; r++) g[j] += jacobian[r * parameters + j] * e[r];
        }
        free(jacobian), free(e);
    }
    free(unit);
    return g;
}

static void check_part(const char *spec, size64 in, int images, const char *limit)
{
    const uint64_t seed = 3;
    const char *const settings[] = {COMMON, SIGMAS, limit, "place=outputs", "sides=one", NULL};
    images_scene s = set_images(ctx, images, spec, in, 3, 3, "cross-entropy");
    zo_trainer *t = make_trainer(ctx, s.task, s.net, "nodes:sgd", seed, settings);
    float *arena = direction_of(ctx, s.task, s.net, "nodes:sgd", seed, settings, NULL);
    zo_batches batches = {0};
    int parts = 0;
    assert_int_equal(zo_batches_init(&batches, ctx, seed, s.examples, s.examples), ZO_OK);
    const int32_t *example = zo_batches_at(&batches, 0);
    for (int i = 0; i < s.oracle->stages; i++) {
        int n = parameters64(s.oracle->stage + i);
        if (!n) continue;
        int some = planned(t, &s, i), other = some < s.examples ? some : some / 2;
        double *got = step_of(&s, arena, i), *want = part_of_complete(&s, i, example, some),
               *twin = part_of_complete(&s, i, example + s.examples - other, other);
        if (!(apart64(got, want, n) < 1e-4))
            fail_msg("%s, stage %d, %d examples: %g apart", spec, i, some, apart64(got, want, n));
        assert_true(apart64(got, twin, n) > 0.02); /* a twin: other examples */
        parts += some < s.examples;
        free(got), free(want), free(twin);
    }
    assert_true(parts > 0);
    zo_batches_fini(&batches);
    zo_trainer_destroy(t);
    free(arena);
    clear_images(&s);
}

/* Fewer than an item of work has, and several items. */
static void parts_of_a_batch_agree_with_brute_force(void **state)
{
    (void)state;
    check_part("conv3x4,same tanh conv2x5 gelu dense3", (size64){5, 5, 2}, 12, "limit=1");
    check_part("conv2x3,nobias tanh meanpool2 dwconv2 tanh norm dense3", (size64){5, 5, 2}, 12,
               "limit=0.5");
    check_part("dense20 tanh dense40 tanh dense3", (size64){1, 1, 5}, 120, "limit=1");
}

/* ---- theory ---- */

static double squared(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* What one draw adds to the expected square of the estimate, over that of an example's direction g = J^T e. In the weights: (d - 1) |g|^2 for
 * d numbers. In the outputs, with A = J J^T of those that act: |e|^2 tr A + |g|^2 - 2 sum of e_i^2 A_ii. Normal numbers: (d + 1) |g|^2, |e|^2 tr A + |g|^2. */
static double variance_of(const images_scene *s, int i, int b, const way *w, const double *g)
{
    int n = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out);
    double gg = squared(g, n), *e, *jacobian, all = 0, own = 0;
    if (w->weights) return (w->gaussian ? n + 1 : n - 1) * gg;
    e = calloc((size_t)m, sizeof *e);
    run64(s->oracle, example_at(s, b), still);
    for (int j = 0; j < m; j++)
        e[j] = (loss_on(s, b, i, (moves64){i, j, SMALL, NULL}) -
                loss_on(s, b, i, (moves64){i, j, -SMALL, NULL})) /
               (2 * SMALL);
    jacobian = jacobian64(s, i, b);
    run64(s->oracle, example_at(s, b), still);
    moved64 moved = moved_of(s->oracle, i, w->gaussian ? 4 * 0.003 : 0.003);
    bool *acts = calloc((size_t)m, sizeof *acts);
    for (int k = 0; k < moved.n; k++) acts[moved.unit[k]] = moved.acts[k];
    for (int j = 0; j < m; j++) {
        double a = acts[j] || w->blind ? squared(jacobian + j * n, n) : 0;
        all += a, own += e[j] * e[j] * a;
    }
    free_moved(&moved);
    free(acts);
    double variance = squared(e, m) * all + gg - (w->gaussian ? 0 : 2 * own);
    free(e), free(jacobian);
    return variance;
}

/* What SEEDS estimates of a stage's direction are like. */
typedef struct likeness {
    double cosine; /* mean square of it */
    double part;   /* mean part of the direction that is found: 1 if none is lost */
    double square; /* mean squared length, over that of the direction */
} likeness;

enum { SEEDS = 40 };

static likeness measure(const images_scene *s, int i, const way *w, const double *want)
{
    likeness l = {0, 0, 0};
    char text[32];
    snprintf(text, sizeof text, "draws=%d", w->draws);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        float *arena = direction_of(ctx, s->task, s->net, "nodes:sgd", seed,
                                    SETTINGS(COMMON, s->loss, "set=random", "sigma=0.003",
                                             "sigma_weights=0.002", text,
                                             w->weights ? "place=weights" : "place=outputs",
                                             w->gaussian ? "noise=gaussian" : "noise=rademacher"),
                                    NULL);
        double *got = step_of(s, arena, i), ratio,
               cosine = cosine64(got, want, (size_t)parameters64(s->oracle->stage + i), &ratio);
        l.cosine += cosine * cosine / SEEDS;
        l.part += cosine * ratio / SEEDS;
        l.square += ratio * ratio / SEEDS;
        free(got), free(arena);
    }
    return l;
}

/* The squared length of an estimate, over that of the direction `want`, the mean of `each` example's. */
static double theory_of(const images_scene *s, int i, const way *w, const double *each,
                        const double *want)
{
    int n = parameters64(s->oracle->stage + i);
    double spread = 0;
    for (int b = 0; b < s->examples; b++)
        spread +=
            variance_of(s, i, b, w, each + b * n) / (w->draws * (double)s->examples * s->examples);
    return 1 + spread / squared(want, n);
}

/* The expectation is the direction, and the variance what theory says; what lies across is spread over many directions. Returns what theory
 * says of a twin that is blind to what acts. */
static double check_theory(const images_scene *s, int i, const way *w)
{
    int n = parameters64(s->oracle->stage + i);
    way blind = *w;
    blind.blind = true;
    double *each = differences64(s, i, false), *want = mean64(s, each, n),
           square = theory_of(s, i, w, each, want), other = theory_of(s, i, &blind, each, want);
    likeness l = measure(s, i, w, want);
    print_message("%s, %s, %2d draws, stage %d of %2d: square %5.2f, theory %5.2f; part %.2f\n",
                  w->weights ? "weights" : "outputs", w->gaussian ? "gaussian" : "signs", w->draws,
                  i, n, l.square, square, l.part);
    assert_near(l.square, square, 0, 0.25, "squared length");
    assert_near(l.part, 1, 4 * sqrt((square - 1) / SEEDS), 0, "length along the direction");
    free(each), free(want);
    return (other - 1) / (square - 1);
}

static void draws_follow_theory(void **state)
{
    static const int draws[] = {2, 16, 64};
    images_scene s = set_images(ctx, 26, "conv3x4 tanh conv2x5 tanh dwconv2 norm dense3",
                                (size64){5, 5, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int k = 0; k < 4; k++) {
        for (int d = 0; d < 3; d++) {
            way w = {.weights = k & 1, .gaussian = k >> 1 & 1, .draws = draws[d]};
            for (int i = 0; i < s.oracle->stages; i++) check_theory(&s, i, &w);
        }
    }
    clear_images(&s);
}

/* Half of relu's outputs are dead, and one in four is the largest of its window: the variance falls with what acts. */
static void variance_counts_what_acts(void **state)
{
    images_scene s = set_images(ctx, 26, "conv2x6 relu pool2 dense20 relu dense3",
                                (size64){5, 5, 2}, 3, 3, "cross-entropy");
    (void)state;
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        way w = {.gaussian = gaussian, .draws = 16};
        double conv = check_theory(&s, 0, &w), dense = check_theory(&s, 2, &w);
        print_message("a blind twin's variance: %.2f, %.2f times that\n", conv, dense);
        assert_true(conv > 3 && dense > 1.5);
    }
    clear_images(&s);
}

/* One example, so that nothing but K draws of d numbers is averaged: the squared cosine is K / (K + d - 1), of normal noise K / (K + d + 1). */
static void one_example_follows_theory(void **state)
{
    static const int draws[] = {4, 20, 100};
    images_scene s =
        set_images(ctx, 2, "conv2x3 tanh dense3", (size64){4, 4, 1}, 0, 3, "squared-error");
    double *want = direction64(&s, 0, false), d = parameters64(s.oracle->stage);
    (void)state;
    assert_int_equal(s.examples, 1);
    for (int i = 0; i < 3; i++) {
        for (int gaussian = 0; gaussian < 2; gaussian++) {
            way w = {.weights = true, .gaussian = gaussian, .draws = draws[i]};
            double k = draws[i], got = measure(&s, 0, &w, want).cosine,
                   theory = k / (k + d + (gaussian ? 1 : -1));
            print_message("%3d draws: cos^2 %.3f, theory %.3f\n", draws[i], got, theory);
            assert_near(got, theory, 0.07, 0, "squared cosine");
        }
    }
    free(want);
    clear_images(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_agree_with_brute_force),
        cmocka_unit_test(many_draws_agree_with_brute_force),
        cmocka_unit_test(orthogonal_draws_agree_with_brute_force),
        cmocka_unit_test(only_nodes_have_orthogonal_draws),
        cmocka_unit_test(enough_orthogonal_draws_are_exact),
        cmocka_unit_test(draws_of_jumping_nets_agree_with_brute_force),
        cmocka_unit_test(errors_of_dead_outputs_are_zero),
        cmocka_unit_test(parts_of_a_batch_agree_with_brute_force),
        cmocka_unit_test(draws_follow_theory),
        cmocka_unit_test(variance_counts_what_acts),
        cmocka_unit_test(one_example_follows_theory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

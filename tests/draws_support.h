/* What the tests of random draws of node perturbation share: where noise enters, the same noise in double precision, and what it comes to by
 * brute force.
 */
#ifndef ZO_TESTS_DRAWS_SUPPORT_H
#define ZO_TESTS_DRAWS_SUPPORT_H

#include "images_training.h"

#include "learn/batches.h"
#include "learn/noise.h"

static zo_context *ctx;

static inline int set_up(void **state)
{
    (void)state;
    ctx = make_context(2, NULL, NULL);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

/* ---- where noise enters ---- */

static inline bool own_windows(const stage64 *s)
{
    return (s->stride >= s->height || s->out.h == 1) && (s->stride >= s->width || s->out.w == 1);
}

/* Whether noise enters at the largest outputs of stage i only: a pooling of these is all that is behind. */
static inline bool enters_at_largest(const images64 *n, int i)
{
    const stage64 *s = n->stage + i, *pool = s + 1;
    if (i + 1 == n->stages || !strcmp(s->activation, "wta")) return false;
    for (int k = 0; k < n->stages; k++) {
        if (strchr("}|", *n->stage[k].name) && n->stage[k].skip == i + 1) return false;
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

static inline void free_moved(moved64 *m) { free(m->unit), free(m->others), free(m->acts); }

/* The first of the largest that a window sees, and the largest besides. */
static inline void find_largest(const stage64 *pool, const double *h, int at, moved64 *m)
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
static inline moved64 moved_of(const images64 *n, int i, double by)
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
    bool blind;    /* a twin, which takes all outputs that are moved for such that act */
    bool relative; /* moves of outputs are in units of their root mean square */
} way;

#define SIGMAS "sigma=0.25", "sigma_weights=0.375", "sigma_jump=0.75"

/* Moves must be large where something from the stage on jumps; of weights they are smaller the more of them an output adds up. */
static inline double sigma_of(const images_scene *s, int i, const way *w)
{
    const stage64 *of = s->oracle->stage + i;
    int added = strcmp(of->name, "dense") ? of->height * of->width : count64(of->in);
    if (!strcmp(of->name, "conv")) added *= of->in.c;
    double stride = stride64(s->oracle, i, strstr(s->loss, "zero-one") != NULL);
    if (stride == 0) return w->weights ? 0.375 : 0.25;
    return stride * (w->weights ? 0.75 / sqrt(added + 1) : 0.75);
}

/* The root mean square of what example b gives a stage before its activation. */
static inline double scale_of(const images_scene *s, int i, int b)
{
    int n = count64(s->oracle->stage[i].out);
    double *z = calloc((size_t)n, sizeof *z), sum = 0;
    run64(s->oracle, example_at(s, b), still);
    layer_forward64(s->oracle, i, z);
    for (int j = 0; j < n; j++) sum += z[j] * z[j];
    free(z);
    return sqrt(sum / n);
}

static inline bool parity(uint32_t x)
{
    uint32_t odd = 0;
    for (; x; x >>= 1) odd ^= x & 1;
    return odd > 0;
}

/* Sylvester's matrix: rows and columns by an odd factor and an offset, then flips. `shape`: of the numbers; NULL: all floats are numbers. */
static inline void hadamard64(const zo_stream *stream, int draws, const zo_shape *shape, size_t n,
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
static inline float *noise_of(const images_scene *s, int stage, int row, const way *w,
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
static inline void take_draw(const zo_stage *st, const moved64 *moved, const float *from, double *to)
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
static inline double moved_loss(const images_scene *s, int i, int b, const way *w,
                                const double *draw, double by, double *nearest)
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
static inline double *jacobian64(const images_scene *s, int i, int b)
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
static inline double *brute_force(const images_scene *s, int i, const way *w,
                                  const int32_t *example, double *nearest)
{
    const zo_stage *st = s->net->stage + place64(s->oracle, i, s->net);
    size_t floats_of_draw = w->weights ? st->weight_floats + st->bias_floats
                                       : st[enters_at_largest(s->oracle, i)].ld_out;
    int n = parameters64(s->oracle->stage + i), m = count64(s->oracle->stage[i].out),
        numbers = w->weights ? n : m;
    double *g = calloc((size_t)n, sizeof *g), *draw = calloc((size_t)numbers, sizeof *draw),
           sigma = sigma_of(s, i, w);
    bool jumps = stride64(s->oracle, i, strstr(s->loss, "zero-one") != NULL) > 0;
    *nearest = INFINITY;
    for (int row = 0; row < s->examples; row++) {
        int b = example[row];
        double by = sigma * (w->relative && !jumps ? scale_of(s, i, b) : 1),
               scale = 1 / (w->sides * by * w->draws * s->examples);
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
static inline float *drawn_step(const images_scene *s, const way *w)
{
    char draws[16];
    snprintf(draws, sizeof draws, "draws=%d", w->draws);
    return direction_of(ctx, s->task, s->net, "nodes:sgd", w->seed,
                        SETTINGS(COMMON, SIGMAS, "set=random", draws,
                                 w->weights ? "place=weights" : "place=outputs",
                                 w->relative ? "scale=relative" : "scale=absolute",
                                 w->hadamard   ? "noise=hadamard"
                                 : w->gaussian ? "noise=gaussian"
                                               : "noise=rademacher",
                                 w->sides == 1 ? "sides=one" : "sides=two"),
                        NULL);
}

/* Whether some moved output of the stage acts in no way, for some example. */
static inline bool some_are_dead(const images_scene *s, int i, const way *w)
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
static inline void check_stage(const images_scene *s, int i, const way *w, const float *arena,
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

static inline void check_noise(const char *spec, size64 in, int images, const way *w)
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
#endif

/* An independent network in double precision, written from the definitions: loops over units, the C library's functions, losses as the
 * textbook has them. It knows how to move one unit's output before its activation and run the whole network again; every oracle of the
 * direction tests is made of that.
 */
#ifndef ZO_TESTS_FLOAT64_NET_H
#define ZO_TESTS_FLOAT64_NET_H

#include "training_support.h"

enum { MOST_LAYERS = 8, MOST_WIDTH = 128 };

typedef struct layer64 {
    int in, out;
    char activation[16]; /* "" where there is none */
    double w[MOST_WIDTH][MOST_WIDTH], b[MOST_WIDTH];
} layer64;

typedef struct net64 {
    int layers;
    layer64 layer[MOST_LAYERS];
} net64;

/* A task's training part with a loss: "cross-entropy", "squared-error" or "zero-one". */
typedef struct batch64 {
    const zo_task *task;
    const char *loss;
} batch64;

/* A move of unit `unit` of layer `layer`; layer -1: none. */
typedef struct move64 {
    int layer, unit;
    double by;
} move64;

static const move64 no_move = {-1, 0, 0};

/* Reads the words and tensors of a network through the public interface. */
static inline net64 *net64_of(const zo_net *net)
{
    net64 *n = calloc(1, sizeof *n);
    assert_non_null(n);
    for (int i = 0; i < zo_net_layers(net); i++) {
        zo_layer_info info;
        assert_int_equal(zo_net_layer(net, i, &info), ZO_OK);
        if (!info.parameters) {
            snprintf(n->layer[n->layers - 1].activation, 16, "%s", info.name);
            continue;
        }
        layer64 *l = n->layer + n->layers;
        float *w = floats((size_t)info.parameters), *b = w + info.inputs * info.outputs;
        assert_int_equal(zo_net_get(net, 2 * n->layers, w), ZO_OK);
        assert_int_equal(zo_net_get(net, 2 * n->layers + 1, b), ZO_OK);
        l->in = info.inputs, l->out = info.outputs;
        assert_true(l->in <= MOST_WIDTH && l->out <= MOST_WIDTH && ++n->layers <= MOST_LAYERS);
        for (int r = 0; r < l->in; r++) {
            for (int c = 0; c < l->out; c++) l->w[r][c] = (double)w[r * l->out + c];
        }
        for (int c = 0; c < l->out; c++) l->b[c] = (double)b[c];
        free(w);
    }
    return n;
}

static inline double activate64(const char *name, double z)
{
    if (!*name) return z;
    if (!strcmp(name, "relu")) return z > 0 ? z : 0;
    if (!strcmp(name, "leaky-relu")) return z < 0 ? z / 100 : z;
    if (!strcmp(name, "tanh")) return tanh(z);
    if (!strcmp(name, "sigmoid")) return 1 / (1 + exp(-z));
    if (!strcmp(name, "gelu")) return z / 2 * erfc(-z / sqrt(2));
    if (!strcmp(name, "sqrt")) return z > 0 ? sqrt(z) : 0;
    if (!strcmp(name, "step")) return z > 0;
    if (!strcmp(name, "sign")) return z < 0 ? -1 : 1;
    fail_msg("no such activation here: %s", name);
    return NAN;
}

/* h = what goes into layer `upto` for example b: upto = layers gives the outputs. */
static inline void forward64(const net64 *n, const batch64 *batch, int64_t b, int upto, move64 move,
                             double h[MOST_WIDTH])
{
    const zo_examples *from = &batch->task->part[ZO_TRAIN];
    for (int i = 0; i < n->layer[0].in; i++) h[i] = (double)from->x[b * batch->task->stride + i];
    for (int i = 0; i < upto; i++) {
        const layer64 *l = n->layer + i;
        double z[MOST_WIDTH];
        for (int j = 0; j < l->out; j++) {
            z[j] = l->b[j] + (i == move.layer && j == move.unit ? move.by : 0);
            for (int r = 0; r < l->in; r++) z[j] += h[r] * l->w[r][j];
        }
        for (int j = 0; j < l->out; j++) h[j] = activate64(l->activation, z[j]);
    }
}

/* The loss of example b when the network gives y. */
static inline double loss_of64(const batch64 *batch, int64_t b, const double *y, int outputs)
{
    const zo_examples *from = &batch->task->part[ZO_TRAIN];
    int best = 0, ties = 0;
    double sum = 0;
    for (int j = 1; j < outputs; j++) best = y[j] > y[best] ? j : best;
    if (!strcmp(batch->loss, "cross-entropy")) {
        for (int j = 0; j < outputs; j++) sum += exp(y[j] - y[best]);
        return log(sum) + y[best] - y[from->label[b]];
    }
    if (!strcmp(batch->loss, "zero-one")) {
        for (int j = 0; j < outputs; j++) ties += y[j] == y[best];
        return best != from->label[b] || ties > 1;
    }
    for (int j = 0; j < outputs; j++) {
        double want = from->label ? from->label[b] == j : (double)from->target[b * outputs + j];
        sum += (y[j] - want) * (y[j] - want) / 2;
    }
    return sum;
}

static inline double loss64(const net64 *n, const batch64 *batch, int64_t b, move64 move)
{
    double y[MOST_WIDTH];
    forward64(n, batch, b, n->layers, move, y);
    return loss_of64(batch, b, y, n->layer[n->layers - 1].out);
}

static inline double mean_loss64(const net64 *n, const batch64 *batch)
{
    double sum = 0;
    int64_t count = batch->task->part[ZO_TRAIN].n;
    for (int64_t b = 0; b < count; b++) sum += loss64(n, batch, b, no_move);
    return sum / (double)count;
}

/* Differences of the loss of example b for each unit of a layer: (L(z + by) - L(z - by)) / 2 by. */
static inline void errors64(const net64 *n, const batch64 *batch, int64_t b, int layer, double by,
                            double e[MOST_WIDTH])
{
    for (int j = 0; j < n->layer[layer].out; j++) {
        double plus = loss64(n, batch, b, (move64){layer, j, by}),
               minus = loss64(n, batch, b, (move64){layer, j, -by});
        e[j] = (plus - minus) / (2 * by);
    }
}

/* What errors at a layer's outputs mean for its weights, as one matrix [in + 1][out] with the bias as its last row: mean of x e^T.
 * `rho` receives the mean squared norm of the examples' matrices over the squared norm of the mean. malloc'ed. */
static inline double *layer_direction64(const net64 *n, const batch64 *batch, int layer, double by,
                                        double *rho)
{
    const layer64 *l = n->layer + layer;
    int64_t count = batch->task->part[ZO_TRAIN].n;
    double *g = calloc((size_t)((l->in + 1) * l->out), sizeof *g), squares = 0, square = 0;
    assert_non_null(g);
    for (int64_t b = 0; b < count; b++) {
        double x[MOST_WIDTH + 1], e[MOST_WIDTH], xx = 0, ee = 0;
        forward64(n, batch, b, layer, no_move, x);
        x[l->in] = 1;
        errors64(n, batch, b, layer, by, e);
        for (int r = 0; r <= l->in; r++) {
            xx += x[r] * x[r];
            for (int c = 0; c < l->out; c++) g[r * l->out + c] += x[r] * e[c] / (double)count;
        }
        for (int c = 0; c < l->out; c++) ee += e[c] * e[c];
        squares += xx * ee / (double)count;
    }
    for (int i = 0; i < (l->in + 1) * l->out; i++) square += g[i] * g[i];
    if (rho) *rho = squares / square;
    return g;
}

/* The part of an arena-shaped direction that belongs to a stage, weights and then biases in the order of the tensors: the layout of
 * layer_direction64(). malloc'ed. */
static inline double *layer_direction(const zo_net *net, const float *arena, int stage)
{
    const zo_stage *s = net->stage + stage;
    size_t n = s->rows * s->columns;
    double *g = calloc(n + s->columns, sizeof *g);
    assert_non_null(g);
    for (size_t i = 0; i < n; i++)
        g[i] = (double)arena[s->weight + zo_stage_at(s, i / s->columns, i % s->columns)];
    for (size_t i = 0; i < s->columns && s->has_bias; i++) g[n + i] = (double)arena[s->bias + i];
    return g;
}

/* The cosine of two directions of n numbers, and the ratio |a| / |b|. */
static inline double cosine64(const double *a, const double *b, size_t n, double *ratio)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    if (ratio) *ratio = sqrt(aa / bb);
    return ab / sqrt(aa * bb);
}
#endif

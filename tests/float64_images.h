/* An independent network of images in double precision: nested loops written from the definitions, channels last, no pads anywhere. It reads
 * the spec and the tensors through the public interface, and can move one output of a stage, all of them, or any parameter, and run again.
 */
#ifndef ZO_TESTS_FLOAT64_IMAGES_H
#define ZO_TESTS_FLOAT64_IMAGES_H

#include "float64_net.h"

enum { MOST_STAGES = 40 };

typedef struct size64 {
    int h, w, c;
} size64;

static inline int count64(size64 s) { return s.h * s.w * s.c; }

/* A word of the spec that is not an activation, and the activation behind it. */
typedef struct stage64 {
    char name[16], activation[16]; /* the latter "" where there is none */
    int number;                    /* of the activation */
    double decimal;                /* of the layer's word */
    bool max;                      /* of cells: the largest */
    int word;                      /* place in the spec */
    int skip;                      /* of }+, }cat and |: the stage whose input they take */
    size64 in, out;
    int height, width, stride, dilation, top, left; /* of the window */
    int weights, biases;
    double *w, *b; /* in the order of the tensors */
} stage64;

typedef struct images64 {
    int stages;
    stage64 stage[MOST_STAGES];
    double *tensor[MOST_STAGES + 1]; /* of the last run: what came into each stage; the last: what came out */
    double *z;                       /* room for the outputs of a stage */
    double nearest; /* of the last run: how far the nearest number was from a place where its activation jumps */
    bool keep, held; /* see hold64() */
    double *held_z[MOST_STAGES], *held_h[MOST_STAGES];
} images64;

/* What is moved before its activation: outputs of stage `stage` (-1: none) by noise[], or output `unit` by `by`. */
typedef struct moves64 {
    int stage, unit;
    double by;
    const double *noise;
} moves64;

static const moves64 still = {-1, 0, 0, NULL};

/* The stage after stage i that sees what moved at stage `from`: of a first branch the end of its block, else the next. */
static inline int after64(const images64 *n, int from, int i)
{
    int next = i + 1, end = next;
    if (next >= n->stages || *n->stage[next].name != '|' || n->stage[next].skip > from) return next;
    while (*n->stage[end].name != '}' || n->stage[end].skip != next) end++;
    return end;
}

/* How far a move must go to be seen behind stage i: over the steps of what jumps there, 1 for the zero-one loss; 0: nothing jumps. */
static inline double stride64(const images64 *n, int i, bool zero_one)
{
    double most = zero_one ? 1 : 0;
    for (int from = i; i < n->stages; i = after64(n, from, i)) {
        const char *a = n->stage[i].activation;
        if (!strcmp(n->stage[i].name, "hashhist")) most = fmax(most, 1);
        double levels = (1 << n->stage[i].number) - 1;
        if (!strcmp(a, "step") || !strcmp(a, "sign") || !strcmp(a, "wta")) most = fmax(most, 1);
        if (!strcmp(a, "quant")) most = fmax(most, 1.5 / levels);
    }
    return most;
}

/* ---- reading ---- */

/* "conv3x5x8,same,stride2": the numbers, and what stands behind an option (0: it is not there). */
static inline int numbers64(const char *word, int number[3])
{
    int n = 0;
    for (const char *p = word; *p && *p != ','; p++) {
        if (*p < '0' || *p > '9' || (p > word && p[-1] >= '0' && p[-1] <= '9')) continue;
        number[n++] = atoi(p);
    }
    return n;
}

static inline int option64(const char *word, const char *name)
{
    const char *at = strstr(word, name);
    return at ? atoi(at + strlen(name)) : 0;
}

/* Outputs along one side, and how many pixels the first window begins before the image. */
static inline int side64(int size, int reach, int stride, bool same, int *before)
{
    *before = 0;
    if (!same) return (size - reach) / stride + 1;
    int n = (size + stride - 1) / stride, missing = (n - 1) * stride + reach - size;
    *before = missing > 0 ? missing / 2 : 0;
    return n;
}

static inline void window64(stage64 *s, const char *word, int height, int width, int stride)
{
    bool same = strstr(word, ",same") != NULL;
    int pad = option64(word, ",pad");
    s->height = height, s->width = width;
    s->dilation = option64(word, ",dilation");
    s->stride = option64(word, ",stride");
    if (!s->dilation) s->dilation = 1;
    if (!s->stride) s->stride = stride;
    s->out.h = side64(s->in.h + 2 * pad, (height - 1) * s->dilation + 1, s->stride, same, &s->top);
    s->out.w = side64(s->in.w + 2 * pad, (width - 1) * s->dilation + 1, s->stride, same, &s->left);
    s->top += pad, s->left += pad;
    s->out.c = s->in.c;
}

static inline void shape64(stage64 *s, const char *word)
{
    int number[3] = {0, 0, 0}, n = numbers64(word, number), c = s->in.c;
    bool bias = !strstr(word, ",nobias");
    s->out = s->in;
    if (!strcmp(s->name, "dense")) {
        s->out = (size64){1, 1, number[0]};
        s->weights = count64(s->in) * number[0];
    } else if (!strcmp(s->name, "conv")) {
        window64(s, word, number[0], number[n - 2], 1);
        s->out.c = number[n - 1];
        s->weights = s->height * s->width * c * s->out.c;
    } else if (!strcmp(s->name, "patch")) {
        window64(s, word, number[0], number[n - 2], 1);
        s->out.c = number[n - 1];
        s->weights = s->height * s->width * c * s->out.c;
        s->decimal = strstr(word, ",eps") ? strtod(strstr(word, ",eps") + 4, NULL) : 0.01;
    } else if (!strcmp(s->name, "dwconv")) {
        window64(s, word, number[0], number[n - 1], 1);
        s->weights = s->height * s->width * c;
    } else if (!strcmp(s->name, "eachconv")) {
        window64(s, word, number[0], number[n - 2], 1);
        s->out.c = c * number[n - 1];
        s->weights = s->height * s->width * number[n - 1];
        bias = false;
    } else if (!strcmp(s->name, "eachdense")) {
        s->decimal = number[1];
        s->out.c = c / number[0] * number[1];
        s->weights = number[0] * number[1];
        bias = false;
    } else if (!strcmp(s->name, "hashhist")) {
        window64(s, word, number[0], number[0], number[0]);
        s->decimal = number[1];
        s->out.c = c / number[1] * (1 << number[1]);
    } else if (!strcmp(s->name, "norm") || !strcmp(s->name, "scale")) {
        s->weights = c;
    } else if (!strcmp(s->name, "pool") || !strcmp(s->name, "meanpool")) {
        window64(s, word, number[0], number[0], number[0]);
    } else if (!strncmp(s->name, "global-", 7)) {
        window64(s, "", s->in.h, s->in.w, 1);
    } else if (!strcmp(s->name, "cells")) {
        s->out.h = s->out.w = number[0];
        s->max = strstr(word, ",max") != NULL;
    } else if (!strcmp(s->name, "twosided")) {
        s->out.c = 2 * c;
        s->decimal = strtod(word + strlen(s->name), NULL);
    } else if (!strcmp(s->name, "flatten")) {
        s->out = (size64){1, 1, count64(s->in)};
    } else if (!strcmp(s->name, "image")) {
        int height = number[0], width = number[n - 1];
        s->out = (size64){height, width, count64(s->in) / (height * width)};
    }
    s->biases = s->weights && bias ? s->out.c : 0;
}

static inline double *take64(const zo_net *net, int *segment, int n)
{
    double *out = calloc((size_t)n + 1, sizeof *out);
    float *x = floats((size_t)n);
    if (n) assert_int_equal(zo_net_get(net, (*segment)++, x), ZO_OK);
    for (int i = 0; i < n; i++) out[i] = (double)x[i];
    free(x);
    return out;
}

static inline images64 *images64_of(const zo_net *net)
{
    images64 *n = calloc(1, sizeof *n);
    int open[MOST_STAGES], opened = 0, segment = 0, most = 0;
    size64 now = {net->in.height, net->in.width, net->in.channels};
    for (int i = 0; i < zo_net_layers(net); i++) {
        zo_layer_info info;
        assert_int_equal(zo_net_layer(net, i, &info), ZO_OK);
        char name[16] = "";
        snprintf(name, sizeof name, "%.*s", (int)strcspn(info.name, "0123456789.,"), info.name);
        stage64 *s = n->stage + n->stages;
        const zo_layer_class *class = (const zo_layer_class *)zo_class_find("layers", name);
        if (!strcmp(name, "{")) {
            open[opened++] = n->stages;
        } else if (class->kind == ZO_LAYER_ACTIVATION) {
            memcpy(s[-1].activation, name, sizeof name);
            s[-1].number = atoi(info.name + strcspn(info.name, "0123456789"));
        } else {
            assert_true(n->stages < MOST_STAGES);
            *s = (stage64){.in = now, .word = i};
            memcpy(s->name, name, sizeof name);
            shape64(s, info.name);
            if (*name == '}') s->skip = open[--opened];
            if (*name == '|') {
                s->skip = open[opened - 1];
                s->out = n->stage[s->skip].in;
                open[opened - 1] = n->stages;
            }
            if (!strcmp(name, "}cat")) s->out.c += n->stage[s->skip].in.c;
            s->w = take64(net, &segment, s->weights);
            s->b = take64(net, &segment, s->biases);
            most = count64(s->out) > most ? count64(s->out) : most;
            now = s->out;
            n->stages++;
        }
    }
    assert_int_equal(segment, zo_net_segments(net));
    for (int i = 0; i <= n->stages; i++)
        n->tensor[i] =
            calloc((size_t)count64(i ? n->stage[i - 1].out : n->stage[0].in), sizeof(double));
    for (int i = 0; i < n->stages; i++) {
        n->held_z[i] = calloc((size_t)count64(n->stage[i].out), sizeof(double));
        n->held_h[i] = calloc((size_t)count64(n->stage[i].out), sizeof(double));
    }
    n->z = calloc((size_t)most, sizeof(double));
    return n;
}

static inline void free64(images64 *n)
{
    for (int i = 0; i < n->stages; i++) free(n->stage[i].w), free(n->stage[i].b);
    for (int i = 0; i < n->stages; i++) free(n->held_z[i]), free(n->held_h[i]);
    for (int i = 0; i <= n->stages; i++) free(n->tensor[i]);
    free(n->z);
    free(n);
}

/* ---- layers ---- */

/* The number of channel c that window (y, x) sees at its term (r, q); NULL outside the image. */
static inline const double *seen64(const stage64 *s, const double *in, int y, int x, int r, int q,
                                   int c)
{
    int row = y * s->stride + r * s->dilation - s->top,
        column = x * s->stride + q * s->dilation - s->left;
    if (row < 0 || row >= s->in.h || column < 0 || column >= s->in.w) return NULL;
    return in + (row * s->in.w + column) * s->in.c + c;
}

static inline double conv64(const stage64 *s, const double *in, int y, int x, int f)
{
    double sum = s->biases ? s->b[f] : 0;
    for (int r = 0; r < s->height; r++) {
        for (int q = 0; q < s->width; q++) {
            for (int c = 0; c < s->in.c; c++) {
                const double *a = seen64(s, in, y, x, r, q, c);
                if (a) sum += *a * s->w[((r * s->width + q) * s->in.c + c) * s->out.c + f];
            }
        }
    }
    return sum;
}

/* Patches, zeros outside included, made mean 0 and variance 1 before the filters see them. */
static inline void patch64(const stage64 *s, const double *in, double *z)
{
    int c = s->in.c, terms = s->height * s->width * c;
    double *p = calloc((size_t)terms, sizeof *p);
    for (int at = 0; at < s->out.h * s->out.w; at++, z += s->out.c) {
        double mean = 0, variance = 0;
        for (int t = 0; t < terms; t++) {
            const double *a = seen64(s, in, at / s->out.w, at % s->out.w, t / c / s->width,
                                     t / c % s->width, t % c);
            p[t] = a ? *a : 0;
            mean += p[t] / terms;
        }
        for (int t = 0; t < terms; t++) variance += (p[t] - mean) * (p[t] - mean) / terms;
        for (int f = 0; f < s->out.c; f++) {
            z[f] = s->biases ? s->b[f] : 0;
            for (int t = 0; t < terms; t++)
                z[f] += (p[t] - mean) / sqrt(variance + s->decimal) * s->w[t * s->out.c + f];
        }
    }
    free(p);
}

static inline double dwconv64(const stage64 *s, const double *in, int y, int x, int c)
{
    double sum = s->biases ? s->b[c] : 0;
    for (int r = 0; r < s->height; r++) {
        for (int q = 0; q < s->width; q++) {
            const double *a = seen64(s, in, y, x, r, q, c);
            if (a) sum += *a * s->w[(r * s->width + q) * s->in.c + c];
        }
    }
    return sum;
}

/* Output f: filter f % N of channel f / N. */
static inline double eachconv64(const stage64 *s, const double *in, int y, int x, int f)
{
    double sum = 0;
    int filters = s->out.c / s->in.c;
    for (int r = 0; r < s->height; r++) {
        for (int q = 0; q < s->width; q++) {
            const double *a = seen64(s, in, y, x, r, q, f / filters);
            if (a) sum += *a * s->w[(r * s->width + q) * filters + f % filters];
        }
    }
    return sum;
}

/* Output f: sum f % N of the channels of group f / N. */
static inline double eachdense64(const stage64 *s, const double *in, int y, int x, int f)
{
    int sums = (int)s->decimal, group = s->weights / sums;
    const double *at = in + (y * s->in.w + x) * s->in.c + f / sums * group;
    double sum = 0;
    for (int l = 0; l < group; l++) sum += at[l] * s->w[l * sums + f % sums];
    return sum;
}

/* Pixels of the block where each sign of a group of channels is the digit of the code. */
static inline double hashhist64(const stage64 *s, const double *in, int y, int x, int f)
{
    int digits = (int)s->decimal, codes = 1 << digits, count = 0;
    for (int r = 0; r < s->height; r++) {
        for (int q = 0; q < s->width; q++) {
            bool same = seen64(s, in, y, x, r, q, 0) != NULL;
            for (int i = 0; same && i < digits; i++) {
                double z = *seen64(s, in, y, x, r, q, f / codes * digits + i);
                same = (z > 0) == (f % codes / (1 << i) % 2 == 1);
            }
            count += same;
        }
    }
    return count;
}

static inline double pool64(const stage64 *s, const double *in, int y, int x, int c)
{
    double sum = 0, most = -INFINITY;
    int n = 0;
    for (int r = 0; r < s->height; r++) {
        for (int q = 0; q < s->width; q++) {
            const double *a = seen64(s, in, y, x, r, q, c);
            if (!a) continue;
            sum += *a, n++;
            most = *a > most ? *a : most;
        }
    }
    return strstr(s->name, "mean") ? sum / n : most;
}

/* Outputs of one kind of layer for each pixel and channel. */
static inline void each64(const stage64 *s, const double *in, double *z,
                          double (*f)(const stage64 *, const double *, int, int, int))
{
    for (int y = 0; y < s->out.h; y++) {
        for (int x = 0; x < s->out.w; x++) {
            for (int c = 0; c < s->out.c; c++) *z++ = f(s, in, y, x, c);
        }
    }
}

static inline void dense64(const stage64 *s, const double *in, double *z)
{
    for (int j = 0; j < s->out.c; j++) {
        z[j] = s->biases ? s->b[j] : 0;
        for (int l = 0; l < count64(s->in); l++) z[j] += in[l] * s->w[l * s->out.c + j];
    }
}

/* norm: (x - mean) / sqrt(variance + 1e-5), over all numbers of the example; then, as scale, gain and shift of the channel. */
static inline void scale64(const stage64 *s, const double *in, double *z)
{
    int n = count64(s->in), c = s->in.c;
    double mean = 0, variance = 0, by = 1;
    if (!strcmp(s->name, "norm")) {
        for (int i = 0; i < n; i++) mean += in[i] / n;
        for (int i = 0; i < n; i++) variance += (in[i] - mean) * (in[i] - mean) / n;
        by = 1 / sqrt(variance + 1e-5);
    }
    for (int i = 0; i < n; i++)
        z[i] = (in[i] - mean) * by * s->w[i % c] + (s->biases ? s->b[i % c] : 0);
}

/* The mean, or the largest, of the pixels whose cell this is: a pixel is in the last cell that begins at it or before. */
static inline double cells64(const stage64 *s, const double *in, int y, int x, int c)
{
    double sum = 0, largest = -INFINITY;
    int n = 0;
    for (int row = 0; row < s->in.h; row++) {
        for (int column = 0; column < s->in.w; column++) {
            int down = 0, across = 0;
            while (down + 1 < s->out.h && (down + 1) * s->in.h / s->out.h <= row) down++;
            while (across + 1 < s->out.w && (across + 1) * s->in.w / s->out.w <= column) across++;
            if (down != y || across != x) continue;
            double pixel = in[(row * s->in.w + column) * s->in.c + c];
            sum += pixel, largest = fmax(largest, pixel);
            n++;
        }
    }
    return s->max ? largest : sum / n;
}

/* Of each pixel what is above the threshold, then what is below its negative. */
static inline void twosided64(const stage64 *s, const double *in, double *z)
{
    int c = s->in.c;
    for (int p = 0; p < s->in.h * s->in.w; p++) {
        for (int j = 0; j < c; j++) {
            double x = in[p * c + j];
            z[p * 2 * c + j] = x > s->decimal ? x - s->decimal : 0;
            z[p * 2 * c + c + j] = x < -s->decimal ? -x - s->decimal : 0;
        }
    }
}

static inline void concatenate64(const stage64 *s, const double *in, const double *came, double *z)
{
    int c = s->out.c, before = c - s->in.c;
    for (int i = 0; i < count64(s->out); i++)
        z[i] = i % c < before ? came[i / c * before + i % c] : in[i / c * s->in.c + i % c - before];
}

static inline void layer_forward64(const images64 *n, int stage, double *z)
{
    const stage64 *s = n->stage + stage;
    const double *in = n->tensor[stage];
    if (!strcmp(s->name, "dense"))
        dense64(s, in, z);
    else if (!strcmp(s->name, "conv"))
        each64(s, in, z, conv64);
    else if (!strcmp(s->name, "dwconv"))
        each64(s, in, z, dwconv64);
    else if (!strcmp(s->name, "eachconv"))
        each64(s, in, z, eachconv64);
    else if (!strcmp(s->name, "eachdense"))
        each64(s, in, z, eachdense64);
    else if (!strcmp(s->name, "hashhist"))
        each64(s, in, z, hashhist64);
    else if (strstr(s->name, "pool") || !strncmp(s->name, "global-", 7))
        each64(s, in, z, pool64);
    else if (!strcmp(s->name, "norm") || !strcmp(s->name, "scale"))
        scale64(s, in, z);
    else if (!strcmp(s->name, "patch"))
        patch64(s, in, z);
    else if (!strcmp(s->name, "twosided"))
        twosided64(s, in, z);
    else if (!strcmp(s->name, "cells"))
        each64(s, in, z, cells64);
    else if (*s->name == '|')
        memcpy(z, n->tensor[s->skip], (size_t)count64(s->out) * sizeof *z);
    else if (!strcmp(s->name, "}cat"))
        concatenate64(s, in, n->tensor[s->skip], z);
    else
        for (int i = 0; i < count64(s->out); i++)
            z[i] = in[i] + (strcmp(s->name, "}+") ? 0 : n->tensor[s->skip][i]);
}

/* ---- activations ---- */

/* Winner takes all among n neighbours. Returns how far the winner is from the next. */
static inline double wta64(const double *z, int n, double *h)
{
    int best = 0;
    double next = -INFINITY;
    for (int j = 1; j < n; j++) best = z[j] > z[best] ? j : best;
    for (int j = 0; j < n; j++) {
        h[j] = j == best;
        if (j != best && z[j] > next) next = z[j];
    }
    return z[best] - next;
}

/* The nearest of `levels` equal steps from 0 to 1. Returns how far z is from where that changes. */
static inline double quant64(double z, int levels, double *h)
{
    double near = INFINITY;
    for (int k = 0; k < levels; k++) near = fmin(near, fabs(z - (k + 0.5) / levels));
    *h = rint(fmin(fmax(z, 0), 1) * levels) / levels;
    return near;
}

/* Returns how far the nearest number is from a jump, or from where rounding would grow too much. */
static inline double activation64(const stage64 *s, const double *z, double *h)
{
    double near = INFINITY;
    int c = s->out.c, pixels = s->out.h * s->out.w, group = s->number;
    if (!strcmp(s->activation, "wta")) {
        for (int p = 0; p < pixels; p++) {
            for (int j = 0; j < c; j += group)
                near =
                    fmin(near, wta64(z + p * c + j, c - j < group ? c - j : group, h + p * c + j));
        }
        return near;
    }
    bool quant = !strcmp(s->activation, "quant"),
         jumps = !strcmp(s->activation, "step") || !strcmp(s->activation, "sign"),
         steep = !strcmp(s->activation, "sqrt");
    for (int i = 0; i < pixels * c; i++) {
        if (quant) near = fmin(near, quant64(z[i], (1 << s->number) - 1, h + i));
        if (jumps) near = fmin(near, fabs(z[i]));
        if (steep) near = fmin(near, fabs(z[i]) / 16);
        if (!quant) h[i] = activate64(s->activation, z[i]);
    }
    return near;
}

/* The straight-through rule (Bengio et al. 2013; Hubara et al. 2016, eq. 4): what stands for the derivative of an activation that jumps. */
static inline double rule64(const char *name, double z)
{
    if (!strcmp(name, "quant")) return z >= 0 && z <= 1;
    return !strcmp(name, "wta") || fabs(z) <= 1;
}

/* The activation of stage i; where it jumps and values are held, h + rule x (z - held z). */
static inline double through64(const images64 *n, int i, const double *z, double *h)
{
    const stage64 *s = n->stage + i;
    double near = activation64(s, z, h);
    if (isinf(near) || !n->held || !strcmp(s->activation, "sqrt")) return near;
    for (int j = 0; j < count64(s->out); j++)
        h[j] = n->held_h[i][j] + rule64(s->activation, n->held_z[i][j]) * (z[j] - n->held_z[i][j]);
    return near;
}

/* ---- passes ---- */

/* How far the numbers that come into a stage are from where the stage itself jumps. What is 0 is 0 in every precision. */
static inline double layer_nearest64(const images64 *n, int stage)
{
    double near = INFINITY;
    const stage64 *s = n->stage + stage;
    if (strcmp(s->name, "hashhist") != 0) return near;
    for (int i = 0; i < count64(s->in); i++)
        if (n->tensor[stage][i] != 0) near = fmin(near, fabs(n->tensor[stage][i]));
    return near;
}

/* Runs the stages from `from` on, on what came into it in the last run; returns the outputs, which stay in n->tensor[n->stages]. */
static inline const double *run_on64(images64 *n, int from, moves64 m)
{
    n->nearest = INFINITY;
    for (int i = from; i < n->stages; i++) {
        layer_forward64(n, i, n->z);
        n->nearest = fmin(n->nearest, layer_nearest64(n, i));
        for (int j = 0; i == m.stage && m.noise && j < count64(n->stage[i].out); j++)
            n->z[j] += m.noise[j];
        if (i == m.stage && !m.noise) n->z[m.unit] += m.by;
        n->nearest = fmin(n->nearest, through64(n, i, n->z, n->tensor[i + 1]));
        for (int j = 0; n->keep && j < count64(n->stage[i].out); j++)
            n->held_z[i][j] = n->z[j], n->held_h[i][j] = n->tensor[i + 1][j];
    }
    return n->tensor[n->stages];
}

/* The same of all stages, on the example at x. */
static inline const double *run64(images64 *n, const float *x, moves64 m)
{
    for (int i = 0; i < count64(n->stage[0].in); i++) n->tensor[0][i] = (double)x[i];
    return run_on64(n, 0, m);
}

/* Holds the values of an example: from now on activations that jump are lines through them, and the network, moved, has the derivative that
 * the straight-through rule gives. */
static inline void hold64(images64 *n, const float *x)
{
    n->held = false;
    n->keep = true;
    run64(n, x, still);
    n->keep = false;
    n->held = true;
}

static inline int outputs64(const images64 *n) { return count64(n->stage[n->stages - 1].out); }

/* The place in the library's network of stage i. */
static inline int place64(const images64 *n, int i, const zo_net *net)
{
    for (int at = 0; at < net->stages; at++) {
        const zo_stage *s = net->stage + at;
        if (s->word == n->stage[i].word && !strcmp(s->layer->info.name, n->stage[i].name))
            return at;
    }
    fail_msg("no stage for word %d", n->stage[i].word);
    return -1;
}
#endif

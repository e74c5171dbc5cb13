/* What the tests of networks on images share: nets whose every parameter is drawn, random words of net specs, comparisons with the oracle of
 * float64_images.h, and runs whose bits must be the same.
 */
#ifndef ZO_TESTS_IMAGES_SUPPORT_H
#define ZO_TESTS_IMAGES_SUPPORT_H

#include "float64_images.h"

/* A net for images of a size whose biases and gains are drawn too; NULL where the spec does not fit. */
static inline zo_net *try_images(zo_context *ctx, const char *spec, size64 in, uint64_t seed)
{
    zo_net_def def = zo_net_default_def();
    zo_net *net = NULL;
    def.spec = spec;
    def.inputs = count64(in);
    def.height = in.h, def.width = in.w, def.channels = in.c;
    def.seed = seed;
    zo_status status = zo_net_create(ctx, &def, &net);
    assert_true(status == ZO_OK || status == ZO_USAGE);
    uint64_t state = seed + 1;
    for (int i = 0; net && i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (s->has_bias) draw_many(&state, net->params + s->bias, s->columns, -0.3, 0.3);
        for (size_t j = 0; j < s->columns && s->layer->first_weight != 0; j++)
            net->params[s->weight + j] = draw(&state, 0.5, 1.5);
    }
    return net;
}

static inline zo_net *make_images_net(zo_context *ctx, const char *spec, size64 in, uint64_t seed)
{
    zo_net *net = try_images(ctx, spec, in, seed);
    if (!net) fail_msg("%s: %s", spec, zo_last_error(ctx));
    return net;
}

/* n examples for a net; the caller's. */
static inline float *draw_examples(const zo_net *net, int n, uint64_t seed)
{
    float *x = floats((size_t)n * (size_t)net->inputs);
    draw_many(&seed, x, (size_t)n * (size_t)net->inputs, -2, 2);
    return x;
}

static inline float *answers_of(const zo_net *net, int n, const float *x)
{
    float *y = floats((size_t)n * (size_t)net->outputs);
    assert_int_equal(zo_net_forward(net, n, x, y), ZO_OK);
    return y;
}

/* The largest |got - want| / (1 + |want|) between what a net gives and what an oracle gives. Rows that came near to a jump may end on either
 * side of it: they are left out, and *compared is how many were not. */
static inline double worst64(const zo_net *net, images64 *oracle, int n, const float *x,
                             int *compared)
{
    double worst = 0;
    float *y = answers_of(net, n, x);
    for (int i = *compared = 0; i < n; i++) {
        const double *want = run64(oracle, x + i * net->inputs, still);
        if (oracle->nearest < 1e-4) continue;
        ++*compared;
        for (int j = 0; j < net->outputs; j++) {
            double error = fabs((double)y[i * net->outputs + j] - want[j]) / (1 + fabs(want[j]));
            if (!(error <= worst)) worst = error;
        }
    }
    free(y);
    return worst;
}

enum { ROWS = 6 };

/* The net gives what the oracle gives. */
static inline void check_images(const zo_net *net, double most)
{
    images64 *oracle = images64_of(net);
    float *x = draw_examples(net, ROWS, 3);
    int compared;
    assert_int_equal(outputs64(oracle), net->outputs);
    double worst = worst64(net, oracle, ROWS, x, &compared);
    if (!(worst < most))
        fail_msg("%s on %d x %d x %d: error %g", net->spec, net->in.height, net->in.width,
                 net->in.channels, worst);
    free(x);
    free64(oracle);
}

static inline void check_spec(zo_context *ctx, const char *spec, size64 in, uint64_t seed)
{
    zo_net *net = make_images_net(ctx, spec, in, seed);
    check_images(net, 2e-5);
    zo_net_destroy(net);
}

/* A twin of the oracle that does something else must not pass for the net. */
static inline void check_twin(zo_context *ctx, const char *spec, size64 in,
                              void (*breaks)(images64 *oracle))
{
    zo_net *net = make_images_net(ctx, spec, in, 5);
    images64 *oracle = images64_of(net);
    float *x = draw_examples(net, ROWS, 3);
    int compared;
    assert_true(worst64(net, oracle, ROWS, x, &compared) < 2e-5 && compared > 0);
    breaks(oracle);
    if (!(worst64(net, oracle, ROWS, x, &compared) > 1e-2))
        fail_msg("%s: a broken twin is not noticed", spec);
    free(x);
    free64(oracle);
    zo_net_destroy(net);
}

/* ---- words ---- */

static inline int pick(uint64_t *state, int least, int most)
{
    return least + (int)((draw_bits(state) >> 33) % (uint64_t)(most - least + 1));
}

static inline int pick_channels(uint64_t *state)
{
    static const int channels[] = {1, 2, 3, 5, 8, 16, 17, 33, 48};
    return channels[pick(state, 0, 8)];
}

/* ",same", ",stride2", ",dilation3", ",nobias" and what else a window takes. */
static inline void put_options(uint64_t *state, bool dilates, char *to, size_t room)
{
    char stride[16] = "", dilation[16] = "";
    if (pick(state, 0, 2) == 0) snprintf(stride, sizeof stride, ",stride%d", pick(state, 1, 3));
    if (dilates && pick(state, 0, 3) == 0)
        snprintf(dilation, sizeof dilation, ",dilation%d", pick(state, 2, 3));
    snprintf(to, room, "%s%s%s%s", pick(state, 0, 1) ? ",same" : "", stride, dilation,
             dilates && pick(state, 0, 3) == 0 ? ",nobias" : "");
}

static inline void put_word(uint64_t *state, char *to, size_t room, int channels, bool keeps)
{
    char options[48];
    put_options(state, true, options, sizeof options);
    int k = pick(state, 1, 4), c = pick_channels(state);
    if (keeps) memcpy(options, ",same", 6), c = channels;
    switch (pick(state, 0, keeps ? 3 : 12)) {
    case 0: snprintf(to, room, "conv%dx%dx%d%s", k, pick(state, 1, 4), c, options); break;
    case 1: snprintf(to, room, "dwconv%d%s", k, options); break;
    case 2: snprintf(to, room, "norm"); break;
    case 3: snprintf(to, room, "scale"); break;
    case 4: snprintf(to, room, "pool%d", pick(state, 1, 3)); break;
    case 5: snprintf(to, room, "meanpool%d,same,stride%d", k, pick(state, 1, 2)); break;
    case 6: snprintf(to, room, "conv%dx%d,same", k, c); break;
    case 7: snprintf(to, room, "conv%dx%d%s", k, c, options); break;
    case 8:
        snprintf(to, room, "patch%dx%d%s", k, c, pick(state, 0, 1) ? ",same" : ",pad1,stride2");
        break;
    case 9: snprintf(to, room, "twosided0.%d", pick(state, 0, 50)); break;
    case 10: snprintf(to, room, pick(state, 0, 1) ? "cells%d" : "cells%d,max", k); break;
    case 11: snprintf(to, room, "%s", pick(state, 0, 3) ? "conv1x7" : "global-mean"); break;
    default: snprintf(to, room, "%s", pick(state, 0, 2) ? "flatten dense33" : "dense48");
    }
}

static const char *const behind[] = {"", " tanh", " gelu", " relu", " sigmoid", " leaky-relu"};

/* Words that keep the shape of the net so far, some of them blocks again, sometimes in two branches, and what ends them. */
static inline void put_block(uint64_t *state, char *to, size_t room, int channels, int depth,
                             const char *end)
{
    size_t n = (size_t)snprintf(to, room, "{");
    int words = pick(state, 1, 3), branch = pick(state, 0, 2) ? 0 : words - 1;
    for (int i = words; i > 0; i--) {
        char word[96];
        if (depth && pick(state, 0, 2) == 0)
            put_block(state, word, sizeof word, channels, depth - 1, "}+");
        else
            put_word(state, word, sizeof word, channels, true);
        const char *then = behind[pick(state, 0, 5)], *next = branch && i == branch ? " |" : "";
        if (n + strlen(word) + strlen(then) + 10 > room) break; /* what ends the block still fits */
        n += (size_t)snprintf(to + n, room - n, "%s %s%s", next, word, then);
    }
    snprintf(to + n, room - n, " %s", end);
}

/* Up to five words and blocks that fit each other and the images. */
static inline void random_spec(zo_context *ctx, uint64_t *state, size64 in, char *spec, size_t room)
{
    int channels = in.c;
    size_t n = 0;
    *spec = 0;
    for (int i = 0; i < 5; i++) {
        char word[192];
        if (pick(state, 0, 2))
            put_word(state, word, sizeof word, channels, false);
        else
            put_block(state, word, sizeof word, channels, 2, pick(state, 0, 3) ? "}+" : "}cat");
        snprintf(spec + n, room - n, "%s%s%s", n ? " " : "", word, behind[pick(state, 0, 5)]);
        zo_net *net = try_images(ctx, spec, in, 1);
        if (net) n = strlen(spec), channels = net->stage[net->stages - 1].out.channels;
        if (net && zo_net_layers(net) > 18) i = 5;
        zo_net_destroy(net);
        spec[n] = 0;
    }
}

/* ---- passes that keep everything ---- */

/* What comes into each stage, as a pass that keeps everything has it: tensor i of n examples; free_cache() takes it back. */
static inline float **cache_of(const zo_net *net, int n, const float *x)
{
    float **tensor = calloc((size_t)net->stages + 1, sizeof *tensor);
    float *room = floats(net->padded + 16);
    tensor[0] = floats((size_t)n * net->stage[0].ld_in);
    for (int i = 0; i < n; i++)
        memcpy(tensor[0] + (size_t)i * net->stage[0].ld_in, x + i * net->inputs,
               (size_t)net->inputs * sizeof *x);
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        tensor[i + 1] = floats((size_t)n * s->ld_out);
        zo_rows rows = {.m = (size_t)n, .in = tensor[i], .ld = s->ld_in, .h = tensor[i + 1]};
        if (s->layer->residual) rows.other = tensor[s->skip];
        zo_stage_forward(net, s, &(zo_room){room}, zo_stage_weight(s, net->params),
                         zo_stage_bias(s, net->params), &rows);
    }
    free(room);
    return tensor;
}

static inline void free_cache(const zo_net *net, float **tensor)
{
    for (int i = 0; i <= net->stages; i++) free(tensor[i]);
    free(tensor);
}

/* ---- bits ---- */

/* The bits of a row do not depend on the rows beside it, on threads or on kernels. */
static inline void check_bits(const char *spec, size64 in)
{
    enum { MOST = 40 };
    float *want = NULL, *x = NULL;
    for (int k = 0; kernel_set(k); k++) {
        for (int threads = 1; threads <= 3; threads++) {
            zo_context *ctx = make_context(threads, kernel_set(k)->info.name, NULL);
            zo_net *net = make_images_net(ctx, spec, in, 5);
            size_t outputs = (size_t)net->outputs;
            if (!x) x = draw_examples(net, MOST, 8);
            if (!want) want = answers_of(net, MOST, x);
            for (int n = 1; n <= MOST; n = n == 1 ? 7 : n == 7 ? MOST : MOST + 1) {
                int first = MOST - n;
                float *y = answers_of(net, n, x + first * net->inputs);
                assert_same_floats(y, want + (size_t)first * outputs, (size_t)n * outputs, spec);
                free(y);
            }
            zo_net_destroy(net);
            zo_context_destroy(ctx);
        }
    }
    free(want);
    free(x);
}
#endif

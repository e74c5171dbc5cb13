/* Networks: layers and their parameters in one arena.
 *
 * A network is described by a net spec, words separated by spaces:
 *     conv5x8 relu pool2 conv5x16 relu pool2 dense64 relu dense10
 * A word is a layer, numbers joined by x, and options behind commas: `conv3x16,same,stride2,nobias` has 16 filters of 3 x 3.
 * Few words have a decimal instead, such as `twosided0.25`: at most six digits on either side of a point.
 * `denseN` multiplies by a weight matrix [inputs][N] and adds a bias [N]; an activation acts on the layer before it;
 * `{ B }+` adds what goes into the block to what comes out of it, `{ B }cat` puts the channels of both side by side. With two branches, which
 * both take what goes in, it is what comes out of these: `{ A | B }+`, `{ A | B }cat`; three nest: `{ { A | B }+ | C }+`.
 * `zeroth list layers` names all words.
 *
 * An example is an image, height x width x channels, channels last; a row of a table has one pixel. `dense` takes the numbers of an
 * image in that order.
 *
 * A network also holds an input shift and scale per feature: zo_net_forward() takes raw features and applies
 * (x - shift) * scale first, so that a saved model needs nothing but itself. A network of a regression likewise holds a shift and
 * scale per output, so that it answers in the targets' own units.
 * Raw features are what the task reads: of a table, each number minus the `offset` of its column, as the model's note "task" says;
 * zo_predict() does that for you.
 */
#ifndef ZEROTH_NET_H
#define ZEROTH_NET_H

#include <stdint.h>
#include <zeroth/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque; made by zo_net_create() or zo_net_load(). */
typedef struct zo_net zo_net;

/** Start from zo_net_default_def() and change fields. */
typedef struct zo_net_def {
    const char *spec; /**< net spec; required; borrowed until create returns */
    int inputs;       /**< features of an example, 1 to 1,048,576; required */
    int height; /**< of the features as an image, channels last; 0 (all three): one pixel of `inputs` channels */
    int width;        /**< of the image */
    int channels;     /**< of the image; height x width x channels = inputs */
    int outputs;      /**< what the last layer must give; 0: not checked */
    const char *init; /**< "auto" (He before relu and its kin, else Glorot), "he", "glorot", "zero" */
    uint64_t seed;    /**< the only source of randomness */
} zo_net_def;

/** Zero but init = "auto". */
ZO_API zo_net_def zo_net_default_def(void);

/** Reads the spec and draws the first weights (He et al. 2015; Glorot & Bengio 2010; biases are zero).
 *  Errors: USAGE with the place in the spec and what was expected, NO_MEMORY. On failure *out is NULL. */
ZO_API zo_status zo_net_create(zo_context *ctx, const zo_net_def *def, zo_net **out);

/** An independent copy. */
ZO_API zo_status zo_net_copy(const zo_net *net, zo_net **out);

/** Reads a safetensors file written by zo_net_save(). Errors: NOT_FOUND, IO, FORMAT (with the place), NO_MEMORY. */
ZO_API zo_status zo_net_load(zo_context *ctx, const char *path, zo_net **out);

/** Writes tensors "N.weight" [inputs][units], "N.bias" [units] (N: place of the layer in the spec, from 0; the segments),
 *  "input.shift", "input.scale" and, where they do something, "output.shift", "output.scale", with the spec, the shape of the inputs and the notes in the file's metadata. The file appears whole or
 *  not at all. Errors: IO (with path and reason), DIVERGED (a number that is not finite), NO_MEMORY. */
ZO_API zo_status zo_net_save(const zo_net *net, const char *path);

/** Frees the network. NULL is legal. */
ZO_API void zo_net_destroy(zo_net *net);

/** y[n][outputs] = network of raw features x[n][inputs]; rows of any number, shared by the context's threads.
 *  The bits of a row do not depend on n or on the number of threads. Keeps its room for the next call until the
 *  network is destroyed; calls with one network must not overlap. Errors: USAGE (n < 0, NULL), NO_MEMORY. */
ZO_API zo_status zo_net_forward(const zo_net *net, int64_t n, const float *x, float *y);

/** The spec in its canonical form, owned by the network. */
ZO_API const char *zo_net_spec(const zo_net *net);
/** Features of an example. */
ZO_API int zo_net_inputs(const zo_net *net);
/** Outputs of the last layer. */
ZO_API int zo_net_outputs(const zo_net *net);
/** How many numbers are learned. */
ZO_API int64_t zo_net_parameters(const zo_net *net);
/** Multiply-adds of one example through the whole network: one forward-equivalent. */
ZO_API double zo_net_cost(const zo_net *net);

/** A layer as `zeroth show` prints it. */
typedef struct zo_layer_info {
    const char *name;   /**< the word in the spec, e.g. "dense128"; owned by the network */
    int inputs;         /**< how many numbers come in */
    int outputs;        /**< how many numbers go out */
    int shape[3];       /**< of what goes out: height, width, channels */
    int64_t parameters; /**< numbers learned */
    double cost;        /**< multiply-adds per example */
    const char *sites;  /**< where noise can enter: "", "weights", "outputs" or "weights outputs" */
} zo_layer_info;

/** A layer that a spec can name, as `zeroth list layers` shows it; static texts. */
typedef struct zo_layer_form {
    const char *example; /**< of its word, or "" where it is the name alone */
    const char *options; /**< what may follow behind commas, such as ",same ,strideN"; or "" */
    const char *gives;   /**< the shape of what goes out, by that of what comes in */
    const char *cost;    /**< multiply-adds of an example, or "none" */
    const char *sites;  /**< where noise can enter: "", "weights", "outputs" or "weights outputs" */
    bool activation;    /**< acts on the layer before it */
    bool no_derivative; /**< an activation without a useful one */
} zo_layer_form;

/** Describes the layer of that name. False if there is none. */
ZO_API bool zo_layer_form_of(const char *name, zo_layer_form *out);

/** Number of words in the spec. */
ZO_API int zo_net_layers(const zo_net *net);
/** Describes layer `index`, 0 <= index < zo_net_layers(). Errors: USAGE. */
ZO_API zo_status zo_net_layer(const zo_net *net, int index, zo_layer_info *out);

/** One named tensor of the parameters. */
typedef struct zo_segment {
    char name[32]; /**< "0.weight" */
    int rank;      /**< 1 or 2 */
    int64_t shape[2]; /**< row-major. Weights: dense [inputs][units]; conv and patch [height x width x channels of
                           the window][filters]; dwconv [height x width of the window][channels]; norm and scale [channels], their
                           gains. Biases: [units], [filters] or [channels] */
} zo_segment;

/** Number of tensors. */
ZO_API int zo_net_segments(const zo_net *net);
/** Describes tensor `index`. Errors: USAGE. */
ZO_API zo_status zo_net_segment(const zo_net *net, int index, zo_segment *out);
/** Copies the numbers of tensor `index` to out[shape[0] x shape[1]] (rank 1: out[shape[0]]). Errors: USAGE. */
ZO_API zo_status zo_net_get(const zo_net *net, int index, float *out);
/** Replaces the numbers of tensor `index` by in[shape[0] x shape[1]] (rank 1: in[shape[0]]); no other call may use the network meanwhile. Errors: USAGE (also a number that is not finite). */
ZO_API zo_status zo_net_set(zo_net *net, int index, const float *in);

/** Sets the input transform: shift[inputs], scale[inputs], copied; NULL: zeros, ones. Errors: USAGE on non-finite. */
ZO_API zo_status zo_net_set_input(zo_net *net, const float *shift, const float *scale);

/** Sets the output transform of a regression: zo_net_forward() gives outputs * scale + shift; [outputs] each, copied;
 *  NULL: zeros, ones. Errors: USAGE on non-finite. */
ZO_API zo_status zo_net_set_output(zo_net *net, const float *shift, const float *scale);

/** Attaches a text to the model file under `key` (metadata). value NULL removes it. Errors: USAGE (reserved or
 *  empty key, a text that is not UTF-8), NO_MEMORY. */
ZO_API zo_status zo_net_set_note(zo_net *net, const char *key, const char *value);
/** The text under `key`, owned by the network, or NULL. */
ZO_API const char *zo_net_note(const zo_net *net, const char *key);

#ifdef __cplusplus
}
#endif
#endif

/* The inside of a network: stages over one parameter arena, and the passes that trainers are made of. */
#ifndef ZO_NN_NET_H
#define ZO_NN_NET_H

#include <zeroth/net.h>

#include "nn/layer.h"

typedef struct zo_note {
    char *key, *value;
    struct zo_note *next;
} zo_note;

struct zo_net {
    zo_context *ctx;
    char *spec;  /* canonical: words with one space between */
    char **word; /* [words] */
    const zo_layer_class **word_class;
    int words, stages, inputs, outputs;
    zo_stage *stage;
    float *params; /* the arena: segments start at multiples of 16 floats, pads are zero */
    size_t arena;  /* its size in floats */
    size_t image;  /* floats of a packed image */
    int64_t parameters;
    double cost;
    size_t widest;                /* largest padded width of a stage's outputs */
    float *shift, *scale;         /* [inputs] */
    float *out_shift, *out_scale; /* [outputs]: zo_net_forward() gives y * out_scale + out_shift */
    zo_note *notes;
};

/* Builds the network of a spec with zero parameters; refuses one with more than `most` numbers (0: any) before it allocates them.
 * Errors as zo_net_create(). */
zo_status zo_net_parse(zo_context *ctx, const char *spec, int inputs, int outputs, int64_t most,
                       zo_net **out);

/* An image is what passes run on: packed weights and padded biases of all stages, `net->image` floats, aligned. Packing is shared by the
 * context's threads, panel by panel. */
void zo_net_pack(const zo_net *net, const float *params, float *image);

/* The place of the largest of n outputs, the first of equals; -1 if one is not a number. */
int zo_net_largest(const float *y, int n);

/* Runs m rows through stage s: in [m][ld] -> z [m][ld_out] (NULL: not kept) -> h [m][ld_out]. */
void zo_stage_forward(const zo_net *net, const zo_stage *s, const float *image, size_t m,
                      const float *in, size_t ld, float *z, float *h, const zo_epilogue *noise);

/* Runs m rows from the outputs h of stage `from` - 1 (or raw inputs when from = 0) to the last outputs. `scratch` holds 2 * m * widest
 * floats; returns where the outputs lie: in scratch, or `h` itself when nothing was left to do. Row distance: the last stage's ld_out. */
const float *zo_net_tail(const zo_net *net, const float *image, int from, size_t m, const float *h,
                         size_t ld, float *scratch);

/* Multiply-adds of one row through stages from .. last. */
double zo_net_tail_cost(const zo_net *net, int from);

/* zo_net_load() from memory; `path` is for error texts. */
zo_status zo_net_from_bytes(zo_context *ctx, const char *path, const char *bytes, size_t size,
                            zo_net **out);

#endif

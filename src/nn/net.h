/* The inside of a network: stages over one parameter arena, and the passes that trainers are made of.
 *
 * Weights live packed as products read them, and nowhere else: a pass runs on the arena, or on perturbed copies of parts of it.
 */
#ifndef ZO_NN_NET_H
#define ZO_NN_NET_H

#include <zeroth/net.h>

#include "nn/layer.h"

enum { ZO_BLOCKS_MOST = 32 }; /* inside each other */

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
    zo_shape in; /* of the inputs */
    zo_stage *stage;
    float *params; /* the arena: segments start at multiples of 16 floats */
    size_t arena;  /* its size in floats */
    int64_t parameters;
    double cost;
    size_t widest;                /* the most floats of a stage's outputs */
    int slots;                    /* tensors that a pass must hold at once */
    size_t padded, spread;        /* floats of a zo_room; of the backward pass's */
    float *shift, *scale;         /* [inputs] */
    float *out_shift, *out_scale; /* [outputs]: zo_net_forward() gives y * out_scale + out_shift */
    zo_note *notes;
    float *room; /* of zo_net_forward(), kept for the next call: [room_floats] */
    size_t room_floats;
};

/* Builds the network of a spec with zero parameters (gains: 1); refuses one with more than `most` numbers (0: any) before it allocates
 * them. in: height, width and channels of the inputs; its pitch is ignored. Errors as zo_net_create(). */
zo_status zo_net_parse(zo_context *ctx, const char *spec, zo_shape in, int outputs, int64_t most,
                       zo_net **out);

/* The inputs of `def` as a shape: def->height x width x channels where given, else one pixel. Errors: USAGE. */
zo_status zo_net_input_shape(const zo_context *ctx, const zo_net_def *def, zo_shape *out);

/* Copies the numbers of segment `index`, in the order of its shape, from or to the arena. */
void zo_net_read_segment(const zo_net *net, int index, float *out);
void zo_net_write_segment(zo_net *net, int index, const float *in);

/* The place of the largest of n outputs, the first of equals; -1 if one is not a number. */
int zo_net_largest(const float *y, int n);

/* Parts of the arena `params`; bias NULL where the stage has none. */
static inline const float *zo_stage_weight(const zo_stage *s, const float *params)
{
    return params + s->weight;
}
static inline const float *zo_stage_bias(const zo_stage *s, const float *params)
{
    return s->has_bias ? params + s->bias : NULL;
}

/* Zeroes what stands for pads among g = numbers [at, at + n) of the stage's weights and bias, so that a step leaves pads at zero. */
void zo_stage_clear_pads(const zo_stage *s, size_t at, size_t n, float *g);

/* The same for g = numbers [at, at + n) of the arena. */
void zo_net_clear_pads(const zo_net *net, size_t at, size_t n, float *g);

/* Runs rows through stage s with the given weights and bias. */
void zo_stage_forward(const zo_net *net, const zo_stage *s, const zo_room *room,
                      const float *weight, const float *bias, const zo_rows *r);

/* h = activation of z for m rows of a stage's outputs; z may be h. Copies where there is none. */
void zo_stage_activation(const zo_net *net, const zo_stage *s, size_t m, const float *z, float *h);

/* A pass from the inputs of stage `from` to the last outputs. */
typedef struct zo_tail {
    const float *params;
    int from;
    int to; /* up to the outputs of the stage before it; 0: to the last */
    size_t m;
    const float *in; /* tensor `from`: [m][ld] */
    size_t ld;
    /* Where the clean values of earlier tensors lie that blocks around `from` take: tensor i of example b at cache[i] + b * its floats. NULL
     * when from = 0. */
    const float *const *cache;
    bool all; /* all tensors lie there: a second branch that does not depend on tensor `from` is not run again */
    const int32_t *example; /* [m] examples of the rows; NULL: row r is example r */
    float *scratch;         /* zo_net_scratch(net, most) floats */
    size_t most; /* rows that the scratch is for. More may run where stages from .. last are narrow: m x their ld_out <= most x net->widest */
} zo_tail;

/* Floats that a pass of up to `most` rows needs. */
size_t zo_net_scratch(const zo_net *net, size_t most);

/* The most rows that zo_net_forward() runs together. */
size_t zo_net_rows(const zo_net *net);

/* Where in that scratch the outputs of stage i go. A caller may put the rows of tensor i + 1 there. */
float *zo_net_slot(const zo_net *net, float *scratch, size_t most, int stage);

/* The padding room at the head of a scratch. */
zo_room zo_net_room(const zo_net *net, float *scratch);

/* Runs the tail; returns where the last outputs lie, rows the last stage's ld_out apart: in scratch, or `in` itself when nothing was left to
 * do. They lie without gaps. */
const float *zo_net_tail(const zo_net *net, const zo_tail *t);

/* Multiply-adds of one row of such a tail with `all`; and through stages from .. to - 1. */
double zo_net_tail_cost(const zo_net *net, int from);
double zo_net_stages_cost(const zo_net *net, int from, int to);

/* The stage after stage i, or i = from - 1, of those that see a change of tensor `from`: the one behind, but where the first branch of a block
 * around `from` ends, the end of the block. */
int zo_net_after(const zo_net *net, int from, int i);

/* zo_net_load() from memory; `path` is for error texts. */
zo_status zo_net_from_bytes(zo_context *ctx, const char *path, const char *bytes, size_t size,
                            zo_net **out);

#endif

/* The contract of a layer class.
 *
 * A network runs as stages: a layer, and the activation (if any) that acts on its outputs. z is what the layer gives, h what the
 * activation makes of it. Rows are examples, or perturbed copies of them. An example is an image of pixels, channels last; what is no image
 * has one pixel. Pixels lie `pitch` floats apart: the channels rounded up to 16, so that an image is a padded matrix of pixels (kernels.h);
 * only the inputs of a network have no pad between pixels.
 */
#ifndef ZO_NN_LAYER_H
#define ZO_NN_LAYER_H

#include "kernels/kernels.h"

struct zo_stage;

/* Where noise can enter. */
typedef enum zo_site { ZO_SITE_WEIGHTS = 1, ZO_SITE_OUTPUTS = 2 } zo_site;

typedef struct zo_shape {
    int height, width, channels;
    size_t pitch;
} zo_shape;

static inline size_t zo_shape_pixels(const zo_shape *s)
{
    return (size_t)s->height * (size_t)s->width;
}

/* Floats of an example. */
static inline size_t zo_shape_floats(const zo_shape *s)
{
    return zo_round16(zo_shape_pixels(s) * s->pitch);
}

/* A rectangle of pixels. */
typedef struct zo_patch {
    int y, x, height, width;
} zo_patch;

/* What an input of a layer acts on: all outputs; those of its pixel; those whose window sees it; those of its cell. */
typedef enum zo_reach { ZO_REACH_ALL, ZO_REACH_PIXEL, ZO_REACH_WINDOW, ZO_REACH_CELL } zo_reach;

/* An image of height x width cut into lines x columns cells: line i begins at the whole part of i height / lines. Of a stage that was cut
 * to a patch the first cell is (y, x). */
typedef struct zo_grid {
    int height, width, lines, columns, y, x;
} zo_grid;

/* What an output of a pooling layer is. */
typedef enum zo_pools { ZO_POOLS_NOT, ZO_POOLS_LARGEST, ZO_POOLS_MEAN } zo_pools;

/* A word of a net spec: a class, numbers joined by x, options behind commas: conv3x5x16,same,stride2,nobias. Or a class and one decimal:
 * twosided0.25. Decimals are kept in millionths, so that what is written is what was read. */
enum { ZO_WORD_NUMBERS = 3, ZO_MILLION = 1000000 };
enum {
    ZO_OPTION_SAME = 1,
    ZO_OPTION_STRIDE = 2,
    ZO_OPTION_DILATION = 4,
    ZO_OPTION_NOBIAS = 8,
    ZO_OPTION_PAD = 16,
    ZO_OPTION_EPS = 32,
    ZO_OPTION_MAX = 64
};

typedef struct zo_word {
    int64_t number[ZO_WORD_NUMBERS];
    int numbers;
    int64_t decimal;               /* in millionths; 0 too where it is not given */
    int64_t stride, pad, dilation; /* 0: not given */
    int64_t eps;                   /* in millionths; 0: not given */
    bool same, nobias, max;
} zo_word;

typedef enum zo_layer_kind {
    ZO_LAYER_STAGE,      /* a stage of its own */
    ZO_LAYER_ACTIVATION, /* acts on the stage before it */
    ZO_LAYER_OPEN        /* begins a block */
} zo_layer_kind;

/* Room for what a stage's passes need besides their operands, one for each thread: see zo_net_room(). */
typedef struct zo_room {
    float *padded; /* [net->padded]; in the backward pass [net->spread] at the least */
} zo_room;

/* Rows of a pass through one stage. */
typedef struct zo_rows {
    size_t m;
    const float *in; /* [m][ld] */
    size_t ld;
    const float *other; /* of a residual layer, tensor `skip`: [m][ld_other] unless `example`, then row r is other[example[r]] */
    const int32_t *example;
    float *z;                 /* [m][ld_out], NULL: not kept; may be h */
    float *h;                 /* [m][ld_out] */
    const zo_epilogue *noise; /* gives signs, noise, lift and factor; NULL: none; layers with .product only */
    size_t groups; /* of equally many rows, each with its own lift (the images of the epilogue), dense only; 0: one */
} zo_rows;

typedef struct zo_layer_class {
    zo_class_info info;
    zo_layer_kind kind;
    unsigned sites; /* zo_site bits */
    /* The word: how many numbers (the last one at most `most`), which options; `example` shows it in errors. */
    int least_numbers, most_numbers;
    int64_t most;
    bool decimal; /* no such numbers, but one from 0 to `most` that may have a point; 0 where it is left out */
    unsigned options;
    const char *example;
    const char *gives,
        *work; /* shape and multiply-adds of an example, for people; NULL: the shape that comes in, none */

    /* An activation. */
    zo_activation kernel;
    bool jumps; /* piecewise constant, of stages too: small moves change nothing, so perturbations must be large: */
    double (*stride)(int number); /* this far, for one with so many steps in its word; NULL: 1 */
    bool rectifier;               /* half of its inputs are lost: He initialisation before it */
    bool grouped; /* looks at several numbers of a pixel: is no part of a product, and a moved number may change others */

    /* A stage. */
    bool product; /* its weights are a packed matrix [rows][columns] that a product multiplies by; applies the activation itself unless grouped */
    bool residual; /* takes a second tensor, `other`: ends a block, or branches */
    bool branches; /* ends the first branch of a block and begins the second: gives what came into the block again */
    bool flat;          /* takes numbers without gaps */
    bool padded;        /* takes pixels with pads */
    float first_weight; /* what weights begin with where they are not drawn: a gain's 1 */
    /* Fills everything of *s that follows from s->in and the word, whose numbers are at least 1. Returns NULL, or what is wrong, in
     * s->why or static. */
    const char *(*shape)(struct zo_stage *s, const zo_word *w);
    /* Fills s->start, if shape() set s->starts. */
    void (*place)(struct zo_stage *s);
    /* Columns [column, column + n) of the outputs, from weights and bias (NULL: none) that begin there; layers without .product are asked
     * for all of them. Without .product z is what is written, and h may be NULL. */
    void (*forward)(const zo_kernels *k, const struct zo_stage *s, const zo_room *room,
                    const float *weight, const float *bias, size_t column, size_t n,
                    const zo_rows *r);

    /* Partial passes, see nn/partial.h. */
    zo_reach reach;
    zo_pools pools; /* windows of s->window, and the layer does nothing else */
    bool copies;    /* gives the numbers of its inputs in their order, and does nothing else */
    /* Fills again what follows from the window and the shapes of *s, which were cut to a patch; s->start is not filled. NULL: nothing does. */
    void (*refit)(struct zo_stage *s);
    bool cut_room; /* a stage that is cut needs room too, at most what the whole one needs */
    /* h of m rows after single moves of this stage's inputs, at the pixels `out` of the outputs only, from the cached z of the examples: exact,
     * at the cost of one column. A unit counts all inputs without pads. All moves are in pixel `at` of the inputs; where every input acts on
     * all outputs (ZO_REACH_ALL) they may be anywhere, and neither patch is read. NULL: there is no such. */
    void (*moved)(const zo_kernels *k, const struct zo_stage *s, const float *weight,
                  const zo_move *moves, size_t m, zo_patch at, zo_patch out, const float *z,
                  float *h);
    /* h[m][ld_out], where z of clean passes lies, after changes [m][ld] of some inputs: `runs` runs of `run` inputs, `apart` inputs from one to
     * the next, the first at input `first`. room: packed weights of so many inputs. NULL: there is no such. */
    void (*changed)(const zo_kernels *k, const struct zo_stage *s, const float *weight,
                    size_t first, size_t run, size_t runs, size_t apart, size_t m,
                    const float *change, size_t ld, float *room, float *h);

    /* g += what errors e = d / d z of m rows mean for the weights, g laid out as these; for layers without .product. */
    void (*direction)(const zo_kernels *k, const struct zo_stage *s, size_t m, const float *in,
                      size_t ld, const float *e, float *g);
    /* .product: the left side of the direction of weight rows [l, l + s->tile_rows) or what is left of them, l a multiple: terms are the m
     * examples, or, if s->tile_examples is 1, the pixels of one. Valid until the room is used again. */
    zo_operand (*inputs)(const zo_kernels *k, const struct zo_stage *s, const zo_room *room,
                         const float *in, size_t ld, size_t m, size_t l);

    /* Reference only, uses gradients: in_e = (or +=, if `add`) the errors of the inputs, from those of z. repacked: what repack() made
     * of the weights ([s->repacked] floats; NULL: nothing to make). backward NULL: no error comes through, what asks for one is refused. */
    void (*repack)(const zo_kernels *k, const struct zo_stage *s, const float *weight,
                   float *repacked);
    void (*backward)(const zo_kernels *k, const struct zo_stage *s, const zo_room *room,
                     const float *weight, const float *repacked, size_t m, const float *in,
                     size_t ld, const float *e, float *in_e, bool add);
    /* Of a residual layer the errors of its second tensor: other_e[m][ld_other] += those from e. */
    void (*past)(const zo_kernels *k, const struct zo_stage *s, size_t m, const float *e,
                 float *other_e);
} zo_layer_class;

typedef struct zo_stage {
    const zo_layer_class *layer, *activation; /* activation may be NULL */
    int number;                               /* of the activation */
    int word;                                 /* place of the layer's word in the spec */
    zo_shape in, out;
    int inputs, outputs;  /* numbers of an example, pads not counted */
    size_t ld_in, ld_out; /* floats of an example */
    zo_window window;     /* layers with one */
    zo_grid grid;         /* layers with cells */
    bool largest;         /* cells: the largest of each, not the mean */
    float decimal;        /* the word's, where it has one, or its eps */
    size_t digits;        /* of the codes, of layers that have some */

    /* Parameters: weights [rows][columns] (packed if layer->product, else rows of zo_round16(columns) floats), bias [columns]; 0: none. */
    size_t rows, columns;
    bool has_bias;
    size_t weight, weight_floats, bias, bias_floats; /* where in the arena, in floats */
    int64_t parameters;
    double fan_in, fan_out; /* for the first weights */

    size_t tile_rows, tile_examples; /* .product: of the sums that make a direction */

    double cost;      /* multiply-adds of one row */
    double move_cost; /* of one row when one input moved; layers with `moved` */
    double form_cost; /* of one row, a part of `cost`: what each call of forward() or inputs() takes anew, however few its columns or rows; 0: nothing */

    /* Tensor i is what comes into stage i. */
    int skip; /* residual: the second tensor, which came into the block; where a block of two branches ends, what came out of the first */
    bool branched;   /* residual: it ends a block of two branches */
    zo_shape other;  /* its shape */
    size_t ld_other; /* its floats of an example */
    bool shared;     /* the tensor that comes in is also taken by a residual stage */
    int slot;        /* of the outputs, among net->slots */
    size_t padded;   /* floats of zo_room.padded */
    size_t spread;   /* reference: floats of it that the backward pass takes */
    size_t repacked; /* reference: floats of the repacked weights */

    size_t *start, starts; /* [starts] owned: where the runs of an operand begin */
    char why[160];
} zo_stage;

/* Whether a moved output may change others of its pixel. */
static inline bool zo_stage_grouped(const zo_stage *s)
{
    return s->activation && s->activation->grouped;
}

static inline zo_activate_fn zo_stage_activate(const zo_kernels *k, const zo_stage *s)
{
    return s->activation ? k->activation[s->activation->kernel].activate : NULL;
}

/* Where weight [l][j] lies in the stage's weights. */
static inline size_t zo_stage_at(const zo_stage *s, size_t l, size_t j)
{
    if (!s->layer->product) return l * zo_round16(s->columns) + j;
    size_t panel = j / ZO_PANEL * ZO_PANEL, width = s->columns - panel > 16 ? ZO_PANEL : 16;
    return panel * s->rows + l * width + j - panel;
}

/* NULL-terminated; each is the `info` of a zo_layer_class. */
extern const zo_class_info *const zo_layer_classes[];

#endif

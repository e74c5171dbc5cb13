/* The contract of a layer class.
 *
 * A network runs as stages: a layer with parameters, and the activation (if any) that acts on its outputs. z is what the layer gives,
 * h what the activation makes of it. Rows are examples (or perturbed copies of them); matrices are padded as in kernels.h.
 */
#ifndef ZO_NN_LAYER_H
#define ZO_NN_LAYER_H

#include "kernels/kernels.h"

struct zo_stage;

/* Where noise can enter. */
typedef enum zo_site { ZO_SITE_WEIGHTS = 1, ZO_SITE_OUTPUTS = 2 } zo_site;

typedef struct zo_layer_class {
    zo_class_info info;
    unsigned sites; /* zo_site bits */

    /* An activation: acts on the layer before it, has no parameters and none of the operations below. */
    bool activation;
    zo_activation kernel;
    bool jumps; /* piecewise constant: small moves change nothing, so perturbations must be large */
    bool rectifier; /* half of its inputs are lost: He initialisation before it */

    /* A layer with parameters. Its word in a spec ends with a number, 1 to most, that sets the outputs. */
    int64_t most;
    /* Sizes of the weight segment as rows x columns, and the multiply-adds of one row through the stage. */
    void (*shape)(struct zo_stage *s);
    /* Fills panel `p` (of ZO_PANEL outputs) of the packed image from weights w, plus noise as in zo_kernels.pack. */
    void (*pack)(const zo_kernels *k, const struct zo_stage *s, float *packed, const float *w,
                 int64_t p, float sigma, const uint16_t *signs, size_t ld_signs, const float *noise,
                 size_t ld_noise);
    /* m rows in -> z (NULL: not kept) -> h. e gives noise and NULL elsewhere; bias, pre and activation are filled in. */
    void (*forward)(const zo_kernels *k, const struct zo_stage *s, const float *packed,
                    const float *bias, size_t m, const float *in, size_t ld, float *z, float *h,
                    const zo_epilogue *noise);
    /* h of m rows after single moves of this stage's inputs, from the cached z: exact, at the cost of one column. */
    void (*moved)(const zo_kernels *k, const struct zo_stage *s, const float *packed,
                  const zo_move *moves, size_t m, const float *z, float *h);
    /* Reference only: in_e = e W^T for m rows; packed_t is the packed transpose. */
    void (*backward)(const zo_kernels *k, const struct zo_stage *s, const float *packed_t, size_t m,
                     const float *e, float *in_e, size_t ld);
} zo_layer_class;

typedef struct zo_stage {
    const zo_layer_class *layer, *activation; /* activation may be NULL */
    int inputs, outputs;
    size_t ld_in, ld_out;     /* rounded up to 16 */
    size_t rows, columns;     /* of the weight segment */
    size_t weight, bias;      /* where the segments start in the parameter arena, in floats */
    size_t image, image_bias; /* where the packed weights and the padded bias start in an image */
    double cost;              /* multiply-adds of one row, all outputs */
    double move_cost;         /* multiply-adds of one row when one input moved */
    int word;                 /* place of the layer's word in the spec */
} zo_stage;

static inline zo_activate_fn zo_stage_activate(const zo_kernels *k, const zo_stage *s)
{
    return s->activation ? k->activation[s->activation->kernel].activate : NULL;
}

/* NULL-terminated; each is the `info` of a zo_layer_class. */
extern const zo_class_info *const zo_layer_classes[];

#endif

/* The reference backward pass: uses gradients. Nothing gradient-free may call it. */
#ifndef ZO_NN_BACKWARD_H
#define ZO_NN_BACKWARD_H

#include "nn/net.h"

/* Floats of the packed transposes of all stages, and what fills them, stage by stage. */
size_t zo_backward_image(const zo_net *net);
void zo_backward_pack(const zo_net *net, const float *params, float *image, int stage);

/* The name of a layer of the net that has no useful derivative, or NULL. */
const char *zo_backward_refuses(const zo_net *net);

/* Turns e[last] = d loss / d z of the last stage, m rows, into e[i] = d loss / d z of every stage, from the cached z[i]. All arrays are
 * [m][ld_out of the stage]. */
void zo_backward(const zo_net *net, const float *image, size_t m, float *const *z, float *const *e);

#endif

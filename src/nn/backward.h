/* The reference backward pass: USES GRADIENTS. Nothing gradient-free may call it. */
#ifndef ZO_NN_BACKWARD_H
#define ZO_NN_BACKWARD_H

#include "nn/net.h"

/* Floats of the repacked weights of all stages, and what fills them, stage by stage. */
size_t zo_backward_image(const zo_net *net);
void zo_backward_repack(const zo_net *net, float *image, int stage);

/* The name of an activation of the net that has no useful derivative, so that only the straight-through rule goes through it; or NULL. */
const char *zo_backward_jump(const zo_net *net);

/* The name of a layer above stage `lowest` that no error comes through, by no rule; or NULL. */
const char *zo_backward_end(const zo_net *net, int lowest);

/* Turns e[last] = d loss / d h of the last stage, m rows, into e[i] = d loss / d z of each stage, from the cached z[i] and the cached
 * inputs in[i] of stage i (rows ld_in apart), down to stage `lowest`. All other arrays are [m][ld_out of the stage]. `room` is a thread's own. */
void zo_backward(const zo_net *net, int lowest, const float *image, const zo_room *room, size_t m,
                 const float *const *in, float *const *z, float *const *e);

#endif

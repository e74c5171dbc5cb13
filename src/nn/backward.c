#include "nn/backward.h"

#include <string.h>

static size_t place(const zo_net *net, int stage)
{
    size_t n = 0;
    for (int i = 0; i < stage; i++) n += net->stage[i].repacked;
    return n;
}

size_t zo_backward_image(const zo_net *net) { return place(net, net->stages); }

void zo_backward_repack(const zo_net *net, float *image, int stage)
{
    const zo_stage *s = net->stage + stage;
    if (s->repacked)
        s->layer->repack(net->ctx->kernels, s, zo_stage_weight(s, net->params),
                         image + place(net, stage));
}

const char *zo_backward_jump(const zo_net *net)
{
    for (int i = 0; i < net->stages; i++) {
        const zo_layer_class *a = net->stage[i].activation;
        if (a && !net->ctx->kernels->activation[a->kernel].smooth) return a->info.name;
    }
    return NULL;
}

const char *zo_backward_end(const zo_net *net, int lowest)
{
    for (int i = lowest + 1; i < net->stages; i++)
        if (!net->stage[i].layer->backward) return net->stage[i].layer->info.name;
    return NULL;
}

/* e *= the slope of the stage's activation. */
static void through_activation(const zo_net *net, const zo_stage *s, size_t m, const float *z,
                               float *e)
{
    if (!s->activation) return;
    net->ctx->kernels->activation[s->activation->kernel].slope(
        e, s->out.pitch, z, s->out.pitch, m * zo_shape_pixels(&s->out), (size_t)s->out.channels);
}

void zo_backward(const zo_net *net, int lowest, const float *image, const zo_room *room, size_t m,
                 const float *const *in, float *const *z, float *const *e)
{
    const zo_kernels *k = net->ctx->kernels;
    /* A tensor that is added elsewhere collects errors from several places. */
    for (int i = 1; i < net->stages; i++) {
        const zo_stage *before = net->stage + i - 1;
        if (net->stage[i].shared) memset(e[i - 1], 0, m * before->ld_out * sizeof(float));
    }
    for (int i = net->stages - 1;; i--) {
        const zo_stage *s = net->stage + i;
        through_activation(net, s, m, z[i], e[i]);
        if (i == lowest) return;
        if (s->layer->residual && s->skip > lowest) s->layer->past(k, s, m, e[i], e[s->skip - 1]);
        s->layer->backward(k, s, room, zo_stage_weight(s, net->params), image + place(net, i), m,
                           in[i], s->ld_in, e[i], e[i - 1], s->shared);
    }
}

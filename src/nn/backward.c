#include "nn/backward.h"

size_t zo_backward_image(const zo_net *net)
{
    size_t n = 0;
    for (int i = 0; i < net->stages; i++)
        n += zo_packed_size(net->stage[i].columns, net->stage[i].rows);
    return n;
}

static size_t place(const zo_net *net, int stage)
{
    size_t n = 0;
    for (int i = 0; i < stage; i++) n += zo_packed_size(net->stage[i].columns, net->stage[i].rows);
    return n;
}

void zo_backward_pack(const zo_net *net, const float *params, float *image, int stage)
{
    const zo_stage *s = net->stage + stage;
    net->ctx->kernels->pack_transposed(image + place(net, stage), params + s->weight, s->columns,
                                       s->columns, s->rows);
}

const char *zo_backward_refuses(const zo_net *net)
{
    for (int i = 0; i < net->stages; i++) {
        const zo_layer_class *a = net->stage[i].activation;
        if (a && !net->ctx->kernels->activation[a->kernel].slope) return a->info.name;
    }
    return NULL;
}

void zo_backward(const zo_net *net, const float *image, size_t m, float *const *z, float *const *e)
{
    const zo_kernels *k = net->ctx->kernels;
    for (int i = net->stages - 1;; i--) {
        const zo_stage *s = net->stage + i;
        if (s->activation)
            k->activation[s->activation->kernel].slope(e[i], s->ld_out, z[i], s->ld_out, m,
                                                       (size_t)s->outputs);
        if (i == 0) return;
        s->layer->backward(k, s, image + place(net, i), m, e[i], e[i - 1], s->ld_in);
    }
}

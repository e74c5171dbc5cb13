#include "learn/learner.h"

#include <math.h>

void zo_learner_losses(const zo_learner *l, float *loss, const float *y, size_t m,
                       const int32_t *label, const float *target)
{
    const zo_net *net = l->net;
    size_t ld = net->stage[net->stages - 1].ld_out, n = (size_t)net->outputs;
    if (l->loss_fn)
        l->loss_fn(l->loss_user, (int)m, net->outputs, y, (int)ld, label, target, loss);
    else
        l->k->loss[l->loss->kind](loss, y, ld, m, n, label, target, n);
}

bool zo_learner_whole(const zo_learner *l)
{
    return l->batch_fn || (!l->loss_fn && l->loss->batch);
}

double zo_learner_batch_loss(const zo_learner *l, const float *y, size_t m, const int32_t *label,
                             const float *target, uint64_t *room)
{
    const zo_net *net = l->net;
    size_t ld = net->stage[net->stages - 1].ld_out, n = (size_t)net->outputs;
    if (l->batch_fn)
        return l->batch_fn(l->loss_user, (int)m, net->outputs, y, (int)ld, label, target);
    return l->loss->batch(l->k, y, ld, m, n, label, target, n, room);
}

double zo_learner_mean(const double *loss, size_t stride, int n, int64_t *left_out)
{
    double sum = 0;
    *left_out = 0;
    for (int i = 0; i < n; i++) {
        double x = loss[(size_t)i * stride];
        if (isfinite(x))
            sum += x;
        else
            ++*left_out;
    }
    return *left_out < n ? sum / (double)(n - *left_out) : NAN;
}

bool zo_learner_frozen(const zo_learner *l, int stage) { return l->frozen && l->frozen[stage]; }

int64_t zo_learner_moving(const zo_learner *l, int stage)
{
    return zo_learner_frozen(l, stage) ? 0 : l->net->stage[stage].parameters;
}

int64_t zo_learner_moving_all(const zo_learner *l)
{
    int64_t n = 0;
    for (int i = 0; i < l->net->stages; i++) n += zo_learner_moving(l, i);
    return n;
}

double zo_learner_stride(const zo_learner *l, int stage)
{
    double most = l->loss_jumps;
    const zo_net *net = l->net;
    for (int i = stage < 0 ? 0 : stage; i < net->stages; i = zo_net_after(net, stage + 1, i)) {
        const zo_layer_class *a = net->stage[i].activation;
        double stride = a && a->jumps ? a->stride ? a->stride(net->stage[i].number) : 1 : 0;
        if (net->stage[i].layer->jumps && stride < 1) stride = 1;
        if (stride > most) most = stride;
    }
    return most;
}

bool zo_learner_jumps(const zo_learner *l, int stage) { return zo_learner_stride(l, stage) > 0; }

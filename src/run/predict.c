#include <math.h>
#include <stdio.h>
#include <string.h>
#include <zeroth/run.h>

#include "base/files.h"
#include "nn/net.h"
#include "task/task.h"

static zo_status choose_labels(zo_context *ctx, zo_predictions *p, const char *encoder,
                               const int32_t *answer)
{
    int classes = 0;
    zo_status status = zo_task_encoder_classes(ctx, encoder, &classes, &p->class_name);
    if (status || !classes) return status;
    if (classes != p->outputs)
        return zo_fail(ctx, ZO_FORMAT, "the model gives %d outputs but names %d classes",
                       p->outputs, classes);
    p->label = zo_alloc(ctx, (size_t)(p->n ? p->n : 1) * sizeof *p->label);
    if (!p->label) return ZO_NO_MEMORY;
    int64_t right = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const float *y = p->y + i * p->outputs;
        int best = zo_net_largest(y, p->outputs);
        p->label[i] = best < 0 ? 0 : best;
        right += answer && best >= 0 && answer[i] == best;
    }
    if (answer && p->n) p->accuracy = (double)right / (double)p->n;
    return ZO_OK;
}

static zo_status run_rows(zo_context *ctx, const zo_net *net, const char *input, zo_predictions *p)
{
    const char *encoder = zo_net_note(net, "task");
    if (!encoder)
        return zo_fail(
            ctx, ZO_UNSUPPORTED,
            "the model does not say how its features are read from a file: use zo_net_forward()");
    float *x = NULL;
    int32_t *answer = NULL;
    zo_status status = zo_task_encode(ctx, encoder, input, net->inputs, net->in.height,
                                      net->in.width, &p->n, &x, &answer);
    p->outputs = zo_net_outputs(net);
    if (!status) {
        p->y = zo_alloc_zero(ctx, (size_t)p->n * (size_t)p->outputs + 1, sizeof *p->y);
        status = p->y ? zo_net_forward(net, p->n, x, p->y) : ZO_NO_MEMORY;
    }
    if (!status) status = choose_labels(ctx, p, encoder, answer);
    zo_free(ctx, x);
    zo_free(ctx, answer);
    return status;
}

zo_status zo_predict(zo_context *ctx, const char *model, const char *input, zo_predictions **out)
{
    *out = NULL;
    if (!model || !input) return zo_fail(ctx, ZO_USAGE, "predict needs a model and an input file");
    zo_net *net;
    zo_status status = zo_model_load(ctx, model, &net);
    if (status) return status;
    zo_predictions *p = zo_alloc_zero(ctx, 1, sizeof *p);
    if (p) {
        p->accuracy = NAN;
        status = run_rows(ctx, net, input, p);
    } else {
        status = ZO_NO_MEMORY;
    }
    zo_net_destroy(net);
    if (status)
        zo_predictions_destroy(ctx, p);
    else
        *out = p;
    return status;
}

void zo_predictions_destroy(zo_context *ctx, zo_predictions *p)
{
    if (!p) return;
    zo_free(ctx, p->y);
    zo_free(ctx, p->label);
    zo_free(ctx, p->class_name);
    zo_free(ctx, p);
}

/* elm: extreme learning machine, random units and one linear solve. */
#include <stdio.h>

#include "learn/closed_ensemble.h"

static const zo_param params[] = {
    ZO_CLOSED_ROWS_OF(15, 1e-6, 10),
    ZO_CLOSED_SKETCH_ROW(0),
    ZO_PARAM_INT_ROW(zo_closed_settings, units, 1000, 1, 1000000,
                     "units of the net, where none is given"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, weights, ZO_CLOSED_NORMAL, "normal|class|class-sums",
                        "units on the inputs: normal numbers, differences of examples of two "
                        "classes, sums of examples of one with random signs"),
    ZO_PARAM_BOOL_ROW(zo_closed_settings, fields, 0,
                      "images: each unit on the inputs sees a random rectangle, 10 pixels a side "
                      "or more"),
    ZO_PARAM_END,
};

static zo_status init(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net)
{
    return zo_closed_ensemble_init(state, ctx, def, method, net, &zo_trainer_elm.info);
}

static zo_status spec(const zo_task *task, const char *const *settings, char *out, size_t room)
{
    zo_closed_settings set;
    zo_status status = zo_closed_settings_read(task->ctx, &zo_trainer_elm.info, settings, &set);
    if (!status) snprintf(out, room, "dense%lld relu dense%d", (long long)set.units, task->outputs);
    return status;
}

const zo_trainer_class zo_trainer_elm = {
    .info = {"elm",
             "closed form: random units stay fixed, the last layer is solved for by least "
             "squares, ridge chosen on validation; no derivative through layers",
             "Huang et al. 2006; McDonnell et al. 2015, arXiv 1412.8307", ZO_USES_LOSS_DERIVATIVE,
             params},
    ZO_CLOSED_OPERATIONS,
    .init = init,
    .spec = spec,
};

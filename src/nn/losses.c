#include "nn/loss.h"

const zo_loss_class zo_loss_cross_entropy = {
    .info = {"cross-entropy", "minus the log-probability of the right class, from logits",
             "softplus form", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_CROSS_ENTROPY,
    .classification = true,
};

const zo_loss_class zo_loss_squared_error = {
    .info = {"squared-error",
             "half the sum of squared differences to the targets (one-hot for classes)", "",
             ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_SQUARED_ERROR,
    .classification = true,
    .regression = true,
};

const zo_loss_class zo_loss_zero_one = {
    .info = {"zero-one",
             "1 when the largest output is not the right class alone, else 0; no derivative", "",
             ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_ZERO_ONE,
    .classification = true,
    .jumps = true,
};

const zo_loss_class zo_loss_huber = {
    .info =
        {"huber",
         "squared-error within 1 of a target, the distance less 1/2 beyond: the sum over outputs "
         "(one-hot for classes)",
         "Huber 1964", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_HUBER,
    .classification = true,
    .regression = true,
};

const zo_loss_class zo_loss_hinge = {
    .info = {"hinge", "how far the right class's output is from leading every other by 1",
             "Crammer & Singer 2001", ZO_USES_NOTHING, zo_no_params},
    .kind = ZO_HINGE,
    .classification = true,
};

/* The activations: functions of one number, whose loops are kernels. */
#include "nn/layer.h"

#define ACTIVATION(id, name, summary, source, ...)                                                 \
    const zo_layer_class zo_layer_##id = {                                                         \
        .info = {name, summary, source, ZO_USES_NOTHING, zo_no_params},                            \
        .activation = true,                                                                        \
        __VA_ARGS__}

ACTIVATION(relu, "relu", "max(z, 0)", "", .kernel = ZO_RELU, .rectifier = true);
ACTIVATION(leaky_relu, "leaky-relu", "z, or z/100 where z < 0", "Maas et al. 2013",
           .kernel = ZO_LEAKY_RELU, .rectifier = true);
ACTIVATION(tanh, "tanh", "hyperbolic tangent", "", .kernel = ZO_TANH);
ACTIVATION(sigmoid, "sigmoid", "1 / (1 + exp(-z))", "", .kernel = ZO_SIGMOID);
ACTIVATION(gelu, "gelu", "z times the normal distribution function of z",
           "Hendrycks & Gimpel 2016, arXiv 1606.08415", .kernel = ZO_GELU, .rectifier = true);
ACTIVATION(step, "step", "1 where z > 0, else 0; no useful derivative", "Rosenblatt 1958",
           .kernel = ZO_STEP, .jumps = true);
ACTIVATION(sign, "sign", "-1 where z < 0, else 1; no useful derivative", "", .kernel = ZO_SIGN,
           .jumps = true);

/* The activations, whose loops are kernels. */
#include "nn/layer.h"

#define ACTIVATION(id, name, summary, source, ...)                                                 \
    const zo_layer_class zo_layer_##id = {                                                         \
        .info = {name, summary, source, ZO_USES_NOTHING, zo_no_params},                            \
        .kind = ZO_LAYER_ACTIVATION,                                                               \
        __VA_ARGS__}

ACTIVATION(relu, "relu", "max(z, 0)", "", .kernel = ZO_RELU, .rectifier = true);
ACTIVATION(leaky_relu, "leaky-relu", "z, or z/100 where z < 0", "Maas et al. 2013",
           .kernel = ZO_LEAKY_RELU, .rectifier = true);
ACTIVATION(tanh, "tanh", "hyperbolic tangent", "", .kernel = ZO_TANH);
ACTIVATION(sigmoid, "sigmoid", "1 / (1 + exp(-z))", "", .kernel = ZO_SIGMOID);
ACTIVATION(gelu, "gelu", "z times the normal distribution function of z",
           "Hendrycks & Gimpel 2016, arXiv 1606.08415", .kernel = ZO_GELU, .rectifier = true);
ACTIVATION(sqrt, "sqrt", "square root of max(z, 0); for its slope z is at least 1/1024", "",
           .kernel = ZO_SQRT);
ACTIVATION(step, "step", "1 where z > 0, else 0; no useful derivative", "Rosenblatt 1958",
           .kernel = ZO_STEP, .jumps = true);
ACTIVATION(sign, "sign", "-1 where z < 0, else 1; no useful derivative", "", .kernel = ZO_SIGN,
           .jumps = true);
/* One and a half of its steps. */
static double quant_stride(int bits) { return 1.5 / ((1 << bits) - 1); }

ACTIVATION(quant, "quant",
           "quantN: N bits; the nearest of 2^N - 1 equal steps from 0 to 1, what is outside is "
           "cut; no useful derivative",
           "Zhou et al. 2016, arXiv 1606.06160", .kernel = ZO_QUANT, .jumps = true,
           .stride = quant_stride, .least_numbers = 1, .most_numbers = 1, .most = 8,
           .example = "quant4");
ACTIVATION(wta, "wta",
           "wtaN: winner takes all; of each N neighbouring channels the largest gives 1, the "
           "others 0; no useful derivative",
           "Maass 2000", .kernel = ZO_WTA, .jumps = true, .grouped = true, .least_numbers = 1,
           .most_numbers = 1, .most = 1 << 16, .example = "wta8");

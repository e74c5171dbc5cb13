#include "nn/layer.h"
#include "nn/loss.h"

const zo_class_info *const zo_layer_classes[] = {
    &zo_layer_dense.info, &zo_layer_relu.info,    &zo_layer_leaky_relu.info,
    &zo_layer_tanh.info,  &zo_layer_sigmoid.info, &zo_layer_gelu.info,
    &zo_layer_step.info,  &zo_layer_sign.info,    NULL,
};

const zo_class_info *const zo_loss_classes[] = {
    &zo_loss_cross_entropy.info,
    &zo_loss_squared_error.info,
    &zo_loss_zero_one.info,
    NULL,
};

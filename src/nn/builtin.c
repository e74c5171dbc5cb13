#include "nn/layer.h"
#include "nn/loss.h"

extern const zo_layer_class zo_layer_dense;
#define DECLARE(ID, name) extern const zo_layer_class zo_layer_##name;
ZO_ACTIVATION_MAP(DECLARE)
#undef DECLARE

const zo_class_info *const zo_layer_classes[] = {
    &zo_layer_dense.info,
#define ENTRY(ID, name) &zo_layer_##name.info,
    ZO_ACTIVATION_MAP(ENTRY)
#undef ENTRY
        NULL,
};

const zo_class_info *const zo_loss_classes[] = {
    &zo_loss_cross_entropy.info,
    &zo_loss_squared_error.info,
    &zo_loss_zero_one.info,
    NULL,
};

#include "nn/layer.h"
#include "nn/loss.h"

extern const zo_layer_class zo_layer_dense, zo_layer_conv, zo_layer_dwconv, zo_layer_eachconv,
    zo_layer_eachdense, zo_layer_hashhist, zo_layer_patch, zo_layer_pool, zo_layer_meanpool,
    zo_layer_global_max, zo_layer_global_mean, zo_layer_flatten, zo_layer_image, zo_layer_norm,
    zo_layer_scale, zo_layer_twosided, zo_layer_cells, zo_layer_open, zo_layer_branch,
    zo_layer_residual, zo_layer_concatenate;
#define DECLARE(ID, name) extern const zo_layer_class zo_layer_##name;
ZO_ACTIVATION_MAP(DECLARE)
#undef DECLARE

const zo_class_info *const zo_layer_classes[] = {
    &zo_layer_dense.info,
    &zo_layer_conv.info,
    &zo_layer_dwconv.info,
    &zo_layer_eachconv.info,
    &zo_layer_patch.info,
    &zo_layer_pool.info,
    &zo_layer_meanpool.info,
    &zo_layer_global_max.info,
    &zo_layer_global_mean.info,
    &zo_layer_flatten.info,
    &zo_layer_image.info,
    &zo_layer_norm.info,
    &zo_layer_scale.info,
    &zo_layer_twosided.info,
    &zo_layer_cells.info,
    &zo_layer_hashhist.info,
    &zo_layer_eachdense.info,
    &zo_layer_open.info,
    &zo_layer_branch.info,
    &zo_layer_residual.info,
    &zo_layer_concatenate.info,
#define ENTRY(ID, name) &zo_layer_##name.info,
    ZO_ACTIVATION_MAP(ENTRY)
#undef ENTRY
        NULL,
};

const zo_class_info *const zo_loss_classes[] = {
    &zo_loss_cross_entropy.info, &zo_loss_squared_error.info,
    &zo_loss_zero_one.info,      &zo_loss_huber.info,
    &zo_loss_hinge.info,         &zo_loss_f1.info,
    &zo_loss_auc.info,           NULL,
};

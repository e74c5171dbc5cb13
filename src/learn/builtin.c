#include "learn/trainer.h"

const zo_class_info *const zo_trainer_classes[] = {&zo_trainer_perturb.info, &zo_trainer_elm.info,
                                                   &zo_trainer_conv_elm.info,
                                                   &zo_trainer_pcanet.info, NULL};

const zo_class_info *const zo_estimator_classes[] = {
    &zo_estimator_nodes.info,
    &zo_estimator_auto.info,
    &zo_estimator_weights.info,
    &zo_estimator_lowrank.info,
    &zo_estimator_spsa.info,
    &zo_estimator_mezo.info,
    &zo_estimator_coordinate.info,
    &zo_estimator_backprop.info,
    &zo_estimator_straight_through.info,
    NULL,
};

const zo_class_info *const zo_rule_classes[] = {
    &zo_rule_sgd.info,          &zo_rule_momentum.info,
    &zo_rule_nesterov.info,     &zo_rule_adam.info,
    &zo_rule_adamw.info,        &zo_rule_sign.info,
    &zo_rule_coolmomentum.info, &zo_rule_langevin.info,
    &zo_rule_clipup.info,       NULL,
};

const zo_class_info *const zo_schedule_classes[] = {
    &zo_schedule_constant.info,
    &zo_schedule_linear.info,
    &zo_schedule_cosine.info,
    NULL,
};

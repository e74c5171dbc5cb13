/* The last lines of every kernel set: its one const instance. SET, NAME, SUMMARY and `available` are defined before. */
const zo_kernels SET = {
    .info = {NAME, SUMMARY, "", ZO_USES_NOTHING, no_params},
    .available = available,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .product = product,
    .column_update = column_update,
    .activation =
        {
            [ZO_RELU] = {relu_activate, relu_slope},
            [ZO_LEAKY_RELU] = {leaky_relu_activate, leaky_relu_slope},
            [ZO_TANH] = {tanh_activate, tanh_slope},
            [ZO_SIGMOID] = {sigmoid_activate, sigmoid_slope},
            [ZO_GELU] = {gelu_activate, gelu_slope},
            [ZO_STEP] = {step_activate, NULL},
            [ZO_SIGN] = {sign_activate, NULL},
        },
    .loss =
        {[ZO_CROSS_ENTROPY] = cross_entropy, [ZO_SQUARED_ERROR] = squared_error, [ZO_ZERO_ONE] = zero_one},
    .loss_slope = {[ZO_CROSS_ENTROPY] = cross_entropy_slope, [ZO_SQUARED_ERROR] = squared_error_slope},
    .sgd = sgd,
    .momentum = momentum,
    .adam = adam,
    .add_signs = add_signs,
    .add_scaled = add_scaled,
    .spin = spin,
};

/* The last lines of every kernel set: its one const instance. SET, NAME, SUMMARY and `available` are defined before. */
const zo_kernels SET = {
    .info = {NAME, SUMMARY, "", ZO_USES_NOTHING, zo_no_params},
    .available = available,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .product = product,
    .column_update = column_update,
    .activation =
        {
#define WITH_SLOPE(ID, name) [ZO_##ID] = {name##_activate, name##_slope},
#define WITHOUT_SLOPE(ID, name) [ZO_##ID] = {name##_activate, NULL},
            ZO_SMOOTH_MAP(WITH_SLOPE) ZO_JUMPING_MAP(WITHOUT_SLOPE)
#undef WITH_SLOPE
#undef WITHOUT_SLOPE
        },
    .loss =
        {[ZO_CROSS_ENTROPY] = cross_entropy, [ZO_SQUARED_ERROR] = squared_error, [ZO_ZERO_ONE] = zero_one},
    .loss_slope = {[ZO_CROSS_ENTROPY] = cross_entropy_slope, [ZO_SQUARED_ERROR] = squared_error_slope},
    .sgd = sgd,
    .momentum = momentum,
    .adam = adam,
    .add_signs = add_signs,
    .add_scaled = add_scaled,
    .blocks = blocks,
    .normal = normal,
    .spin = spin,
};

/* The last lines of every kernel set: its one const instance. SET, NAME, SUMMARY and `available` are defined before; a set that is
 * another with more may define AVAILABLE, and ADD_PAIRS. */
#ifndef AVAILABLE
#define AVAILABLE available
#endif
#ifndef ADD_PAIRS
#define ADD_PAIRS NULL
#endif
const zo_kernels SET = {
    .info = {NAME, SUMMARY, "", ZO_USES_NOTHING, zo_no_params},
    .available = AVAILABLE,
    .pack = pack,
    .repack = repack,
    .product = product,
    .add_pairs = ADD_PAIRS,
    .column_update = column_update,
    .disturb = disturb,
    .project = project,
    .add_noise = add_noise,
    .add = add,
    .scale = scale,
    .two_sided = two_sided,
    .normalise = normalise,
    .pool = pool,
    .depthwise = depthwise,
    .contrast = contrast,
    .activation =
        {
#define SMOOTH(ID, name) [ZO_##ID] = {name##_activate, name##_slope, true},
#define STRAIGHT(ID, name) [ZO_##ID] = {name##_activate, name##_slope, false},
            ZO_SMOOTH_MAP(SMOOTH) ZO_JUMPING_MAP(STRAIGHT) ZO_NUMBERED_MAP(STRAIGHT)
#undef SMOOTH
#undef STRAIGHT
        },
    .loss = {[ZO_CROSS_ENTROPY] = cross_entropy,
             [ZO_SQUARED_ERROR] = squared_error,
             [ZO_ZERO_ONE] = zero_one,
             [ZO_HUBER] = huber,
             [ZO_HINGE] = hinge},
    .loss_slope = {[ZO_CROSS_ENTROPY] = cross_entropy_slope,
                   [ZO_SQUARED_ERROR] = squared_error_slope,
                   [ZO_HUBER] = huber_slope,
                   [ZO_HINGE] = hinge_slope},
    .standardise = standardise,
    .sgd = sgd,
    .momentum = momentum,
    .adam = adam,
    .add_signs = add_signs,
    .add_draws = add_draws,
    .add_scaled = add_scaled,
    .blocks = blocks,
    .normal = normal,
    .spin = spin,
};
#undef SET
#undef NAME
#undef SUMMARY
#undef AVAILABLE
#undef ADD_PAIRS

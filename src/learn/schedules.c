/* Schedules: the factor on the step size as a function of progress in [0, 1]. */
#include "base/random.h"
#include "learn/learner.h"

typedef struct settings {
    double final;
} settings;

static double constant(const void *s, double progress)
{
    (void)s, (void)progress;
    return 1;
}

static double linear(const void *s, double progress)
{
    double final = ((const settings *)s)->final;
    return 1 + (final - 1) * progress;
}

static double cosine(const void *s, double progress)
{
    double final = ((const settings *)s)->final, c, sine;
    zo_turn64(progress < 1 ? progress / 2 : 0.5, &c, &sine);
    return final + (1 - final) * 0.5 * (1 + c);
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, final, 0.02, 0, 1, "factor on the step size at the end of the run"),
    ZO_PARAM_END,
};

const zo_schedule_class zo_schedule_constant = {
    .info = {"constant", "the same step size from start to end", "", ZO_USES_NOTHING, zo_no_params},
    .settings_size = sizeof(settings),
    .at = constant,
};
const zo_schedule_class zo_schedule_linear = {
    .info = {"linear", "straight from 1 to `final`", "", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .at = linear,
};
const zo_schedule_class zo_schedule_cosine = {
    .info = {"cosine", "half a cosine from 1 to `final`",
             "Loshchilov & Hutter 2017, arXiv 1608.03983", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .at = cosine,
};

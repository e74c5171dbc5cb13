#include "learn/learner.h"

typedef struct settings {
    double lr;
} settings;

static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at, (void)slot;
    float rate = (float)u->rate;
    for (size_t i = 0; i < n; i++) p[i] -= rate * (float)((g[i] > 0) - (g[i] < 0));
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.001, 1e-9, 1e3, "step size"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_sign = {
    .info = {"sign", "step = lr x sign of each number of the direction",
             "Bernstein et al. 2018, arXiv 1802.04434", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .cost = 1,
    .apply = apply,
};

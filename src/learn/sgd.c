#include "learn/learner.h"

typedef struct settings {
    double lr;
} settings;

static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at, (void)slot;
    u->k->sgd(p, g, n, (float)u->rate);
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.1, 1e-9, 1e3, "step size"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_sgd = {
    .info = {"sgd", "step = lr x direction", "Robbins & Monro 1951", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .cost = 1,
    .apply = apply,
};

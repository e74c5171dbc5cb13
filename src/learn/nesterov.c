#include "learn/learner.h"

typedef struct settings {
    double lr, beta;
} settings;

/* Sutskever et al. 2013, eqs. 3 and 4: v' = beta v - lr g(p + beta v), p' = p + v'. The direction is that of the network as it is, so the
 * network is the point ahead, p + beta v: it moves by (1 + beta) v' - beta v.
 */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    float rate = (float)u->rate, beta = (float)((const settings *)u->settings)->beta, *v = slot[0];
    for (size_t i = 0; i < n; i++) {
        float next = beta * v[i] - rate * g[i];
        p[i] += (1 + beta) * next - beta * v[i];
        v[i] = next;
    }
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.02, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, beta, 0.9, 0, 0.9999, "share of the last speed that is kept"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_nesterov = {
    .info = {"nesterov", "momentum whose direction is taken where the speed leads",
             "Nesterov 1983; Sutskever et al. 2013", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .slots = 1,
    .cost = 4,
    .apply = apply,
};

#include <math.h>

#include "learn/learner.h"

typedef struct settings {
    double lr, rho0;
} settings;

/* x^share for share in [0, 1], of square roots: the same bits on every machine, which pow() does not promise */
static double root_power(double x, double share)
{
    double result = 1;
    for (int bit = 0; bit < 53 && share > 0; bit++) {
        x = sqrt(x);
        share *= 2;
        if (share < 1) continue;
        result *= x;
        share -= 1;
    }
    return result;
}

/* rho of step k is max(0, 1 - (1 - rho0) / alpha^k), alpha = (1 - rho0)^(1/S). A run knows no number of steps S, but its progress, which
 * is k/S: alpha^k = (1 - rho0)^progress.
 */
static double rho_at(double rho0, double progress)
{
    return fmax(0, 1 - root_power(1 - rho0, 1 - progress));
}

/* v' = rho v - lr (1 + rho) / 2 g; p += v' */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    double now = rho_at(((const settings *)u->settings)->rho0, u->progress);
    float rho = (float)now, move = (float)(u->rate * (1 + now) / 2), *v = slot[0];
    for (size_t i = 0; i < n; i++) {
        v[i] = rho * v[i] - move * g[i];
        p[i] += v[i];
    }
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.01, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, rho0, 0.99, 0, 0.9999, "share of the last step kept at the start"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_coolmomentum = {
    .info = {"coolmomentum", "momentum that cools down to none: rho = 1 - (1 - rho0)^(1 - progress)",
             "Borysenko & Byshkin 2021, arXiv 2005.14605", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .slots = 1,
    .cost = 3,
    .apply = apply,
};

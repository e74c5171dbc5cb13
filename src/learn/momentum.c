#include "learn/learner.h"

typedef struct settings {
    double lr, beta;
} settings;

/* v = beta v + g; p -= lr v */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    const settings *s = u->settings;
    u->k->momentum(p, slot[0], g, n, (float)u->rate, (float)s->beta);
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.02, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, beta, 0.9, 0, 0.9999, "share of the last speed that is kept"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_momentum = {
    .info = {"momentum", "heavy ball: directions add up to a speed", "Polyak 1964", ZO_USES_NOTHING,
             params},
    .settings_size = sizeof(settings),
    .slots = 1,
    .cost = 2,
    .apply = apply,
};

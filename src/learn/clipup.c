#include <math.h>

#include "learn/learner.h"

typedef struct settings {
    double lr, momentum, max_speed;
} settings;

/* Algorithm 1: v' = momentum v + lr g / |g|, shortened to max_speed; p -= v'. The length of v' follows from the sums. */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    const settings *s = u->settings;
    const zo_sums *sum = &u->sums;
    double keep = s->momentum, add = sum->gg > 0 ? u->rate / sqrt(sum->gg) : 0;
    double speed =
        sqrt(fmax(0, keep * keep * sum->vv + 2 * keep * add * sum->gv + add * add * sum->gg));
    double most = s->max_speed > 0 ? s->max_speed : 2 * u->rate;
    double shorter = speed > most ? most / speed : 1;
    keep *= shorter, add *= shorter;
    float *v = slot[0];
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)(keep * (double)v[i] + add * (double)g[i]);
        p[i] -= v[i];
    }
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.1, 1e-9, 1e3, "length that a direction is given"),
    ZO_PARAM_REAL_ROW(settings, momentum, 0.9, 0, 0.9999, "share of the last speed that is kept"),
    ZO_PARAM_REAL_ROW(settings, max_speed, 0, 0, 1e6, "length of the longest step; 0: twice lr"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_clipup = {
    .info = {"clipup", "directions of length lr add up to a speed of limited length",
             "Toklu et al. 2020, arXiv 2008.02387", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .slots = 1,
    .whole = true,
    .cost = 2,
    .apply = apply,
};

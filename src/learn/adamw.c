#include "learn/learner.h"

typedef struct settings {
    double lr, beta1, beta2, epsilon, decay;
} settings;

/* Algorithm 2, its lambda being lr x decay: then `decay` needs no change where lr is another. */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    const settings *s = u->settings;
    u->k->sgd(p, p, n, (float)(u->rate * s->decay));
    u->k->adam(p, slot[0], slot[1], g, n, (float)zo_adam_rate(u, s->beta1, s->beta2),
               (float)s->beta1, (float)s->beta2, (float)s->epsilon);
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.002, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, beta1, 0.9, 0, 0.9999, "memory of the mean"),
    ZO_PARAM_REAL_ROW(settings, beta2, 0.999, 0, 0.999999, "memory of the mean square"),
    ZO_PARAM_REAL_ROW(settings, epsilon, 1e-8, 1e-12, 1, "added to the root mean square"),
    ZO_PARAM_REAL_ROW(settings, decay, 0.15, 0, 1e3,
                      "each step takes this, times the step size, off all parameters"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_adamw = {
    .info = {"adamw", "adam, and parameters that shrink apart from the direction",
             "Loshchilov & Hutter 2019, arXiv 1711.05101", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .slots = 2,
    .cost = 9,
    .apply = apply,
};

#include <math.h>

#include "learn/learner.h"

typedef struct settings {
    double lr, beta1, beta2, epsilon;
} settings;

/* beta^n by squaring: the same bits on every machine, which pow() does not promise */
static double power(double beta, int64_t n)
{
    double result = 1;
    for (; n > 0; n >>= 1, beta *= beta) {
        if (n & 1) result *= beta;
    }
    return result;
}

/* Algorithm 1 in the efficient order of section 2: the bias corrections go into the step size. */
double zo_adam_rate(const zo_update *u, double beta1, double beta2)
{
    return u->rate * sqrt(1 - power(beta2, u->step)) / (1 - power(beta1, u->step));
}

static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)at;
    const settings *s = u->settings;
    u->k->adam(p, slot[0], slot[1], g, n, (float)zo_adam_rate(u, s->beta1, s->beta2),
               (float)s->beta1, (float)s->beta2, (float)s->epsilon);
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.002, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, beta1, 0.9, 0, 0.9999, "memory of the mean"),
    ZO_PARAM_REAL_ROW(settings, beta2, 0.999, 0, 0.999999, "memory of the mean square"),
    ZO_PARAM_REAL_ROW(settings, epsilon, 1e-8, 1e-12, 1, "added to the root mean square"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_adam = {
    .info = {"adam", "steps scaled by running mean and mean square of the direction",
             "Kingma & Ba 2015, arXiv 1412.6980", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .slots = 2,
    .cost = 8,
    .apply = apply,
};

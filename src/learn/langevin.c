#include <math.h>

#include "learn/learner.h"
#include "learn/noise.h"

typedef struct settings {
    double lr, temperature;
} settings;

enum { CHUNK = 1024 };

/* p += deviation x noise. A number's noise is named by its place in the arena, four to a block. */
static void disturb(const zo_update *u, size_t at, float *p, size_t n, float deviation)
{
    zo_stream stream = zo_stream_at(u->seed, ZO_FOR_RULES, (uint64_t)u->drawn, 0);
    float room[CHUNK + 4];
    for (size_t i = 0; i < n; i += CHUNK) {
        size_t place = at + i, skip = place % 4, m = n - i < CHUNK ? n - i : CHUNK;
        zo_noise_normal(u->k, &stream, (uint32_t)(place / 4), m + skip, room);
        zo_net_clear_pads(u->net, place, m, room + skip);
        u->k->add_scaled(p + i, room + skip, m, deviation);
    }
}

/* Eq. 4 with step size 2 lr: p - lr g + N(0, 2 lr T), T = temperature x (1 - progress). */
static void apply(const zo_update *u, size_t at, float *p, float *const *slot, const float *g,
                  size_t n)
{
    (void)slot;
    double t = ((const settings *)u->settings)->temperature * (1 - u->progress);
    u->k->sgd(p, g, n, (float)u->rate);
    if (t > 0) disturb(u, at, p, n, (float)sqrt(2 * u->rate * t));
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, lr, 0.1, 1e-9, 1e3, "step size"),
    ZO_PARAM_REAL_ROW(settings, temperature, 1e-6, 0, 1e3,
                      "of the noise, variance 2 lr temperature; falls to 0 over the run"),
    ZO_PARAM_END,
};

const zo_rule_class zo_rule_langevin = {
    .info = {"langevin", "sgd in a bath of noise that cools down over the run",
             "Welling & Teh 2011", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .cost = 3, /* making a number counts as one */
    .apply = apply,
};

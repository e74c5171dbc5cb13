/* spsa: simultaneous perturbation (Spall 1992, IEEE Trans. Automatic Control 37; gains: Spall 1998). One pair of signs in all weights on a
 * step's batch; the k-th step, from 0, moves by c_k = sigma / (k + 1)^gamma. The other gain, a_k, is the step size: the rule has it, and the
 * schedule how it falls.
 */
#include <stdio.h>

#include "learn/pair.h"

typedef struct settings {
    double sigma, sigma_jump, gamma;
} settings;

typedef struct state {
    zo_weights w;
    settings set;
} state;

/* x^-a, x >= 1: the same bits on every machine, which pow() does not promise. e^-y is (e^(-y / 1024))^1024. */
static double falling(double x, double a)
{
    double y = a * zo_log64(x) / 1024, e = 1;
    for (int i = 16; i >= 1; i--) e = 1 - e * y / i;
    for (int i = 0; i < 10; i++) e *= e;
    return e;
}

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->set = *(const settings *)set;
    if (zo_learner_jumps(l, -1)) s->set.sigma = s->set.sigma_jump;
    return zo_pair_init(&s->w, s->set.sigma, ZO_NOISE_RADEMACHER, l);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    double k = (double)s->w.p.l->step;
    return zo_pair_job(&s->w, s->set.sigma * falling(k + 1, s->set.gamma), update);
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    if (index) return false;
    snprintf(out, room,
             "all weights at once: 1 pair, sigma %g / step^%g, on one batch of %d examples",
             s->set.sigma, s->set.gamma, s->w.p.l->batch);
    return true;
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, sigma, 0.02, 1e-6, 100, "size of the first move of each weight"),
    ZO_PARAM_REAL_ROW(settings, sigma_jump, 0.1, 1e-6, 100,
                      "the same where an activation or the loss jumps"),
    ZO_PARAM_REAL_ROW(settings, gamma, 0.101, 0, 10,
                      "moves of step k = 1, 2, ... are sigma / k^gamma"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_spsa = {
    .info = {"spsa",
             "one pair of signs in all weights a step, by moves that get smaller; the step size is "
             "the rule's and the schedule's",
             "Spall 1992, 10.1109/9.119632", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 1,
    .init = init,
    .job = job,
    .report = zo_weights_report,
    .pack = zo_pair_pack,
    .unpack = zo_pair_unpack,
    .weights = zo_population_weights,
    .plan = plan,
    .theory = zo_weights_theory,
    .reseeds = true,
    .fini = zo_weights_fini,
};

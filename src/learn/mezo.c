/* mezo: training in the memory of inference (Malladi et al. 2023, arXiv 2305.17333, algorithm 1). One pair of members a step, whose noise is
 * made again for the second and for the step. The paper adds noise to the parameters and takes it away again, which rounding does not undo;
 * here they are never touched: weights get their noise on the way into a product (pair.h). With the rule sgd nothing else is held.
 */
#include <stdio.h>

#include "learn/pair.h"

typedef struct settings {
    double sigma, sigma_jump;
    int noise;
} settings;

typedef struct state {
    zo_weights w;
    settings set;
} state;

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->set = *(const settings *)set;
    if (zo_learner_jumps(l, -1)) s->set.sigma = s->set.sigma_jump;
    return zo_pair_init(&s->w, s->set.sigma, (zo_noise_kind)s->set.noise, l);
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    return zo_pair_job(&s->w, s->set.sigma, update);
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    if (index) return false;
    snprintf(
        out, room,
        "all weights at once, in the memory of inference: 1 pair, sigma %g, on one batch of %d "
        "examples, %zu at a time",
        s->set.sigma, s->w.p.l->batch, s->w.p.chunk);
    return true;
}

static const zo_param params[] = {
    ZO_PARAM_REAL_ROW(settings, sigma, 0.001, 1e-6, 100, "deviation of the noise in the weights"),
    ZO_PARAM_REAL_ROW(settings, sigma_jump, 0.1, 1e-6, 100,
                      "the same where an activation or the loss jumps"),
    ZO_PARAM_CHOICE_ROW(settings, noise, ZO_NOISE_GAUSSIAN, ZO_NOISE_CHOICES,
                        "distribution of the draws"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_mezo = {
    .info = {"mezo",
             "one pair of draws in all weights a step, in the memory of inference (with the rule "
             "sgd, which remembers nothing)",
             "Malladi et al. 2023, arXiv 2305.17333", ZO_USES_LOSS, params},
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

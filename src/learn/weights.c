/* weights: evolution strategies (Salimans et al. 2017, arXiv 1703.03864). A member is the network with noise in all its weights.
 *
 *   direction = 1/(d sigma N) sum over pairs i of w_i xi_i,  w_i the shaped difference of the pair, d = 2 two-sided, 1 one-sided
 */
#include "learn/weights.h"

#include <stdio.h>
#include <string.h>

#define TILE_FLOATS                                                                                \
    4096 /* of the direction: signs in whole groups of blocks, sums in the nearest cache */

typedef struct settings {
    int64_t population;
    double sigma;
    int sides, noise, shaping;
} settings;

static zo_stream noise_stream(const zo_population *p, int64_t pair, int stage)
{
    const zo_learner *l = p->l;
    return zo_stream_at(l->seed, ZO_FOR_NOISE, (uint64_t)l->step,
                        (uint32_t)(pair * l->net->stages + stage));
}

/* Numbers [at, at + n) of a pair's noise at a stage, made in the given room. Signs begin with the block that holds `at`. */
static zo_draw draw_into(const zo_population *p, int64_t pair, int stage, size_t at, size_t n,
                         uint16_t *signs, float *numbers)
{
    zo_stream stream = noise_stream(p, pair, stage);
    if (p->set.noise == ZO_NOISE_GAUSSIAN) {
        zo_noise_normal(p->l->k, &stream, (uint32_t)(at / 4), n, numbers);
        return (zo_draw){.numbers = numbers};
    }
    size_t before = at / 16 % 8;
    zo_noise_signs(p->l->k, &stream, (uint32_t)(at / 128), before + n / 16, signs);
    return (zo_draw){.signs = signs + before};
}

static zo_draw draw(const zo_population *p, zo_chunk *c, int64_t pair, int stage, size_t at,
                    size_t n)
{
    return draw_into(p, pair, stage, at, n, c->signs, c->numbers);
}

static const zo_population_kind kind = {.draw = draw};

zo_status zo_weights_init(zo_weights *s, const zo_population_settings *set, const zo_learner *l)
{
    if ((double)set->population * l->net->stages > UINT32_MAX)
        return zo_fail(l->ctx, ZO_USAGE, "population=%lld: too many for a network of %d layers",
                       (long long)set->population, l->net->stages);
    zo_status status = zo_population_init(&s->p, &kind, set, l, 1);
    if (status) return status;
    int workers = zo_context_threads(l->ctx);
    bool gaussian = set->noise == ZO_NOISE_GAUSSIAN;
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    for (int i = 0; s->worker && i < workers && !status; i++) {
        zo_weights_desk *w = s->worker + i;
        w->signs = zo_alloc(l->ctx, TILE_FLOATS / 16 * sizeof(uint16_t));
        w->numbers = zo_alloc(l->ctx, (gaussian ? TILE_FLOATS : 1) * sizeof(float));
        w->g = zo_alloc(l->ctx, TILE_FLOATS * sizeof(float));
        if (!w->signs || !w->numbers || !w->g) status = ZO_NO_MEMORY;
    }
    return s->worker ? status : ZO_NO_MEMORY;
}

static size_t stage_floats(const zo_stage *s) { return s->weight_floats + s->bias_floats; }

static int64_t stage_tiles(const zo_population *p, int stage)
{
    size_t floats = stage_floats(p->l->net->stage + stage);
    if (zo_learner_frozen(p->l, stage)) return 0;
    return ((int64_t)floats + TILE_FLOATS - 1) / TILE_FLOATS;
}

static void direction(void *st, const double *results, int64_t tile, int worker_index)
{
    (void)results;
    const zo_weights *s = st;
    const zo_population *p = &s->p;
    const zo_kernels *k = p->l->k;
    zo_weights_desk *w = s->worker + worker_index;
    int of = 0;
    while (tile >= stage_tiles(p, of)) tile -= stage_tiles(p, of++);
    const zo_stage *stage = p->l->net->stage + of;
    size_t at = (size_t)tile * TILE_FLOATS, left = stage_floats(stage) - at,
           n = left < TILE_FLOATS ? left : TILE_FLOATS;
    memset(w->g, 0, n * sizeof *w->g);
    for (size_t i = 0; i < p->pairs; i++) {
        float weight = (float)p->weight[i];
        zo_draw d = draw_into(p, (int64_t)i, of, at, n, w->signs, w->numbers);
        if (d.signs)
            k->add_signs(w->g, d.signs, n, weight);
        else
            k->add_scaled(w->g, d.numbers, n, weight);
    }
    zo_population_apply(p, stage, at, n, w->g);
}

void zo_weights_direct(const zo_weights *s, zo_job *job)
{
    const zo_net *net = s->p.l->net;
    job->tiles = 0;
    for (int i = 0; i < net->stages; i++) job->tiles += stage_tiles(&s->p, i);
    job->direction = direction;
}

void zo_weights_report(const void *st, const double *results, zo_step_info *out)
{
    const zo_population *p = st;
    zo_population_report(p, results, out);
    out->cost = zo_population_cost(p) + (double)p->pairs * (double)zo_learner_moving_all(p->l);
}

/* A draw d of the stage and of all: (g . d)^2 |d of the stage|^2 has the mean |g|^2 m for signs, and twice the stage's |g|^2 more for normal
 * numbers. */
bool zo_weights_theory(const void *st, int stage, zo_theory *out)
{
    const zo_population *p = st;
    double pairs = (double)p->pairs;
    out->rho = 0;
    out->all = (double)p->l->net->stage[stage].parameters / pairs;
    out->constant = (p->set.noise == ZO_NOISE_GAUSSIAN ? 1 : -1) / pairs;
    return p->set.shaping == ZO_SHAPE_RAW && p->seen == (size_t)p->l->batch;
}

void zo_weights_fini(void *st)
{
    zo_weights *s = st;
    if (!s->p.l) return;
    const zo_context *ctx = s->p.l->ctx;
    for (int i = 0; s->worker && i < zo_context_threads(ctx); i++) {
        zo_free(ctx, s->worker[i].signs);
        zo_free(ctx, s->worker[i].numbers);
        zo_free(ctx, s->worker[i].g);
    }
    zo_free(ctx, s->worker);
    zo_population_fini(&s->p);
}

/* ---- the class ---- */

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    const settings *given = set;
    zo_population_settings of = {.population = given->population,
                                 .sigma = given->sigma,
                                 .two_sided = given->sides,
                                 .noise = given->noise,
                                 .shaping = given->shaping};
    return zo_weights_init(st, &of, l);
}

static zo_job job(void *st, const zo_update *update)
{
    zo_job j = zo_population_job(st, update);
    zo_weights_direct(st, &j);
    return j;
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const zo_population *p = st;
    if (index) return false;
    snprintf(out, room, "all weights at once: %zu %s, sigma %g, on one batch of %d examples",
             p->pairs, p->sides == 2 ? "pairs" : "members against the clean loss", p->set.sigma,
             p->l->batch);
    return true;
}

static const zo_param params[] = {
    ZO_PARAM_INT_ROW(settings, population, 64, 1, 1 << 20,
                     "draws a step; each is a pair of members when two-sided"),
    ZO_PARAM_REAL_ROW(settings, sigma, 0.02, 1e-6, 100, "deviation of the noise in the weights"),
    ZO_PARAM_CHOICE_ROW(settings, sides, 1, "one|two",
                        "one: against the clean loss; two: against the opposite draw"),
    ZO_PARAM_CHOICE_ROW(settings, noise, ZO_NOISE_RADEMACHER, ZO_NOISE_CHOICES,
                        "distribution of the draws"),
    ZO_PARAM_CHOICE_ROW(settings, shaping, ZO_SHAPE_CENTRED_RANK, ZO_SHAPING_CHOICES,
                        "what becomes of the losses of the population"),
    ZO_PARAM_END,
};

const zo_estimator_class zo_estimator_weights = {
    .info =
        {"weights",
         "moves all weights at once, one draw for the whole batch (evolution strategies); rules "
         "begin with 5 times their lr",
         "Salimans et al. 2017, arXiv 1703.03864", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(zo_weights),
    .lr = 5,
    .whole = true,
    .init = init,
    .job = job,
    .report = zo_weights_report,
    .pack = zo_population_pack,
    .unpack = zo_population_unpack,
    .weights = zo_population_weights,
    .plan = plan,
    .theory = zo_weights_theory,
    .reseeds = true,
    .fini = zo_weights_fini,
};

/* weights: evolution strategies (Salimans et al. 2017, arXiv 1703.03864). A member is the network with noise in all its weights; its result
 * is the mean loss on the batch. Examples without a finite loss are left out; a member that loses others than the unperturbed network
 * does is dropped.
 *
 *   direction = 1/(d sigma N) sum over pairs i of w_i xi_i,  w_i the shaped difference of the pair, d = 2 two-sided, 1 one-sided
 *
 * A member's weights exist only as a packed image: the noise enters while packing.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/noise.h"
#include "learn/shaping.h"
#include "learn/learner.h"

#define ROWS 64      /* examples that run together */
#define TILE_ROWS 64 /* rows of weights in a direction tile */
#define RESULTS 4    /* numbers of an item */

typedef struct settings {
    int64_t population;
    double sigma;
    int sides, noise, shaping;
} settings;

typedef struct worker {
    float *image, *in, *scratch; /* packed member; [ROWS][ld_in]; [2][ROWS][widest] */
    uint16_t *signs;             /* [most words of a stage] */
    float *normal;               /* [most numbers of a stage], gaussian only */
    float *g;                    /* [TILE_ROWS][widest] */
} worker;

typedef struct state {
    settings set;
    const zo_learner *l;
    worker *worker;
    double *plus, *minus, *weight; /* [population] */
    int32_t *order;
    double clean; /* mean loss of the unperturbed network */
    int64_t dropped;
    const zo_update *update;
} state;

/* Words of signs a stage takes: its weight rows, then its bias, each padded to sixteen. */
static size_t stage_words(const zo_stage *s) { return (s->rows + 1) * (s->ld_out / 16); }

static zo_status init_worker(worker *w, const state *s)
{
    const zo_learner *l = s->l;
    size_t words = 0;
    for (int i = 0; i < l->net->stages; i++) {
        if (stage_words(l->net->stage + i) > words) words = stage_words(l->net->stage + i);
    }
    bool gaussian = s->set.noise == ZO_NOISE_GAUSSIAN;
    w->image = zo_alloc(l->ctx, l->net->image * sizeof(float));
    w->in = zo_alloc_zero(l->ctx, ROWS * l->net->stage[0].ld_in, sizeof(float));
    w->scratch = zo_alloc_zero(l->ctx, 2 * ROWS * l->net->widest, sizeof(float));
    w->signs = zo_alloc(l->ctx, (gaussian ? 16 : words + 16) * sizeof(uint16_t));
    w->normal = zo_alloc(l->ctx, (gaussian ? 16 * words : 1) * sizeof(float));
    w->g = zo_alloc(l->ctx, TILE_ROWS * l->net->widest * sizeof(float));
    return w->image && w->in && w->scratch && w->signs && w->normal && w->g ? ZO_OK : ZO_NO_MEMORY;
}

static zo_status init(void *st, const void *set, const zo_learner *l)
{
    state *s = st;
    s->l = l;
    s->set = *(const settings *)set;
    size_t n = (size_t)s->set.population;
    int workers = zo_context_threads(l->ctx);
    s->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *s->worker);
    s->plus = zo_alloc(l->ctx, n * sizeof(double));
    s->minus = zo_alloc(l->ctx, n * sizeof(double));
    s->weight = zo_alloc(l->ctx, n * sizeof(double));
    s->order = zo_alloc(l->ctx, 2 * n * sizeof(int32_t));
    if (!s->worker || !s->plus || !s->minus || !s->weight || !s->order) return ZO_NO_MEMORY;
    zo_status status = ZO_OK;
    for (int i = 0; i < workers && !status; i++) status = init_worker(s->worker + i, s);
    return status;
}

static zo_stream noise_stream(const state *s, int64_t member, int stage)
{
    return zo_stream_at(s->l->seed, ZO_FOR_NOISE, (uint64_t)s->l->step,
                        (uint32_t)(member * s->l->net->stages + stage));
}

/* Fills the worker's image with the parameters, moved by `move` along the member's draw. */
static void pack_member(const state *s, worker *w, int64_t member, float move)
{
    const zo_learner *l = s->l;
    for (int i = 0; i < l->net->stages; i++) {
        const zo_stage *st = l->net->stage + i;
        zo_stream stream = noise_stream(s, member, i);
        bool gaussian = s->set.noise == ZO_NOISE_GAUSSIAN;
        if (gaussian)
            zo_noise_normal(l->k, &stream, 0, 16 * stage_words(st), w->normal);
        else
            zo_noise_signs(l->k, &stream, 0, stage_words(st), w->signs);
        for (int64_t p = 0; p * ZO_PANEL < (int64_t)st->columns; p++) {
            st->layer->pack(l->k, st, w->image + st->image, l->net->params + st->weight, p, move,
                            gaussian ? NULL : w->signs, st->ld_out / 16,
                            gaussian ? w->normal : NULL, st->ld_out);
        }
        float *bias = w->image + st->image_bias;
        memcpy(bias, l->net->params + st->bias, st->ld_out * sizeof *bias);
        if (gaussian)
            l->k->add_scaled(bias, w->normal + st->rows * st->ld_out, (size_t)st->outputs, move);
        else
            l->k->add_signs(bias, w->signs + st->rows * (st->ld_out / 16), (size_t)st->outputs,
                            move);
    }
}

/* What a member gives: its mean loss over the examples that have a finite one, and which have not, as a number that differs for
 * different sets (0: all have). */
typedef struct outcome {
    double loss, missing;
} outcome;

static double add_missing(double missing, size_t example)
{
    uint64_t h = ((uint64_t)missing + example + 1) * 0x9e3779b97f4a7c15u;
    return (double)(h >> 11); /* 53 bits: exact */
}

static outcome batch_loss(const state *s, worker *w, const float *image, int64_t *left_out)
{
    const zo_learner *l = s->l;
    const zo_examples *from = &l->task->part[ZO_TRAIN];
    size_t ld = l->net->stage[0].ld_in, batch = (size_t)l->batch, outputs = (size_t)l->net->outputs;
    double sum = 0, missing = 0;
    *left_out = 0;
    for (size_t b = 0; b < batch; b += ROWS) {
        size_t m = batch - b < ROWS ? batch - b : ROWS;
        float loss[ROWS];
        for (size_t i = 0; i < m; i++)
            memcpy(w->in + i * ld, from->x + (size_t)l->example[b + i] * ld, ld * sizeof(float));
        const float *y = zo_net_tail(l->net, image, 0, m, w->in, ld, w->scratch);
        zo_learner_losses(l, loss, y, m, l->label ? l->label + b : NULL,
                          l->target ? l->target + b * outputs : NULL);
        for (size_t i = 0; i < m; i++) {
            bool finite = isfinite(loss[i]);
            sum += finite ? loss[i] : 0;
            *left_out += !finite;
            if (!finite) missing = add_missing(missing, b + i);
        }
    }
    double count = (double)((int64_t)batch - *left_out);
    return (outcome){count > 0 ? sum / count : NAN, missing};
}

/* Items are pairs; the item after the last pair is the unperturbed network. Two outcomes an item; the last item has its number of
 * examples left out in place of the second. */
static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker_index)
{
    state *s = st;
    worker *w = s->worker + worker_index;
    int64_t left_out;
    for (int64_t i = first; i < first + n; i++, results += RESULTS) {
        outcome *pair = (outcome *)results;
        if (i == s->set.population) {
            pair[0] = batch_loss(s, w, s->l->image, &left_out);
            pair[1] = (outcome){(double)left_out, 0};
            continue;
        }
        pack_member(s, w, i, (float)s->set.sigma);
        pair[0] = batch_loss(s, w, w->image, &left_out);
        if (!s->set.sides) continue;
        pack_member(s, w, i, -(float)s->set.sigma);
        pair[1] = batch_loss(s, w, w->image, &left_out);
    }
}

static zo_status check(void *st, const double *results)
{
    const state *s = st;
    if (isfinite(results[RESULTS * s->set.population])) return ZO_OK;
    return zo_fail(s->l->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

static bool comparable(outcome a, outcome clean)
{
    return isfinite(a.loss) && a.missing == clean.missing;
}

/* The weight of each pair; a dropped one weighs nothing. */
static void settle(void *st, const double *results, int64_t part, int worker_index)
{
    (void)part, (void)worker_index;
    state *s = st;
    size_t n = (size_t)s->set.population;
    const outcome *all = (const outcome *)results, clean = all[2 * n];
    s->clean = clean.loss;
    s->dropped = (int64_t)all[2 * n + 1].loss;
    for (size_t i = 0; i < n; i++) {
        outcome plus = all[2 * i], minus = s->set.sides ? all[2 * i + 1] : clean;
        s->plus[i] = plus.loss;
        s->minus[i] = minus.loss;
        if (comparable(plus, clean) && comparable(minus, clean)) continue;
        s->plus[i] = s->minus[i] = s->clean;
        s->dropped++;
    }
    zo_shape((zo_shaping)s->set.shaping, n, s->plus, s->minus, s->weight, s->order);
    double scale = 1 / ((s->set.sides ? 2 : 1) * s->set.sigma * (double)n);
    for (size_t i = 0; i < n; i++) s->weight[i] *= scale;
}

static int64_t stage_tiles(const zo_stage *s)
{
    return ((int64_t)s->rows + 1 + TILE_ROWS - 1) / TILE_ROWS; /* the bias is one more row */
}

static void direction(void *st, const double *results, int64_t tile, int worker_index)
{
    (void)results;
    state *s = st;
    worker *w = s->worker + worker_index;
    const zo_learner *l = s->l;
    int stage = 0;
    while (tile >= stage_tiles(l->net->stage + stage)) tile -= stage_tiles(l->net->stage + stage++);
    const zo_stage *p = l->net->stage + stage;
    size_t first = (size_t)tile * TILE_ROWS, last = p->rows + 1,
           m = last - first < TILE_ROWS ? last - first : TILE_ROWS;
    size_t words = p->ld_out / 16, n = m * p->ld_out;
    memset(w->g, 0, n * sizeof *w->g);
    for (int64_t i = 0; i < s->set.population; i++) {
        zo_stream stream = noise_stream(s, i, stage);
        if (s->set.noise == ZO_NOISE_GAUSSIAN) {
            zo_noise_normal(l->k, &stream, (uint32_t)(first * p->ld_out / 4), n, w->normal);
            l->k->add_scaled(w->g, w->normal, n, (float)s->weight[i]);
        } else { /* a tile begins with a whole block: TILE_ROWS is a multiple of 8 */
            zo_noise_signs(l->k, &stream, (uint32_t)(first * words / 8), m * words, w->signs);
            l->k->add_signs(w->g, w->signs, n, (float)s->weight[i]);
        }
    }
    for (size_t r = 0; r < m; r++) {
        size_t at = first + r < p->rows ? p->weight + (first + r) * p->columns : p->bias;
        zo_update_apply(s->update, at, w->g + r * p->ld_out, p->columns);
    }
}

static zo_job job(void *st, const zo_update *update)
{
    state *s = st;
    s->update = update;
    int64_t tiles = 0;
    for (int i = 0; i < s->l->net->stages; i++) tiles += stage_tiles(s->l->net->stage + i);
    return (zo_job){s,        s->set.population + 1, RESULTS, evaluate, check, 1, settle, tiles,
                    direction};
}

static void report(const void *st, const double *results, zo_step_info *out)
{
    (void)results;
    const state *s = st;
    const zo_learner *l = s->l;
    double passes = (double)s->set.population * (s->set.sides ? 2 : 1) + 1;
    out->loss = s->clean;
    out->cost =
        passes * l->batch * l->net->cost + (double)s->set.population * (double)l->net->parameters;
    out->dropped = s->dropped;
}

/* The clean loss and how many examples it lacks, the losses of the members, and, if one lacks examples, which: as many numbers again. */
static size_t pack(const void *st, const double *results, double *out)
{
    const state *s = st;
    const outcome *all = (const outcome *)results;
    size_t population = (size_t)s->set.population, sides = s->set.sides ? 2 : 1, n = 0;
    bool missing = false;
    out[n++] = all[2 * population].loss;
    out[n++] = all[2 * population + 1].loss;
    for (size_t i = 0; i < population; i++) {
        for (size_t side = 0; side < sides; side++) {
            out[n++] = all[2 * i + side].loss;
            missing |= all[2 * i + side].missing != 0;
        }
    }
    missing |= all[2 * population].missing != 0;
    if (!missing) return n;
    for (size_t i = 0; i < population; i++) {
        for (size_t side = 0; side < sides; side++) out[n++] = all[2 * i + side].missing;
    }
    out[n++] = all[2 * population].missing;
    return n;
}

static bool unpack(const void *st, const double *in, size_t n, double *results)
{
    const state *s = st;
    outcome *all = (outcome *)results;
    size_t population = (size_t)s->set.population, sides = s->set.sides ? 2 : 1,
           members = population * sides;
    bool missing = n == 2 * members + 3;
    if (!missing && n != members + 2) return false;
    const double *lacks = in + 2 + members;
    if (!(in[1] >= 0 && in[1] <= s->l->batch)) return false;
    all[2 * population] = (outcome){in[0], missing ? lacks[members] : 0};
    all[2 * population + 1] = (outcome){in[1], 0};
    for (size_t i = 0; i < members; i++)
        all[sides == 2 ? i : 2 * i] = (outcome){in[2 + i], missing ? lacks[i] : 0};
    return true;
}

static double *weights(void *st, size_t *n)
{
    state *s = st;
    *n = (size_t)s->set.population;
    return s->weight;
}

static bool plan(const void *st, int index, char *out, size_t room)
{
    const state *s = st;
    if (index) return false;
    snprintf(out, room, "all weights at once: %lld %s, sigma %g, on one batch of %d examples",
             (long long)s->set.population,
             s->set.sides ? "pairs" : "members against the clean loss", s->set.sigma, s->l->batch);
    return true;
}

static void fini(void *st)
{
    state *s = st;
    if (!s->l) return;
    const zo_context *ctx = s->l->ctx;
    for (int i = 0; s->worker && i < zo_context_threads(ctx); i++) {
        worker *w = s->worker + i;
        void *all[] = {w->image, w->in, w->scratch, w->signs, w->normal, w->g};
        for (int a = 0; a < 6; a++) zo_free(ctx, all[a]);
    }
    zo_free(ctx, s->worker);
    zo_free(ctx, s->plus);
    zo_free(ctx, s->minus);
    zo_free(ctx, s->weight);
    zo_free(ctx, s->order);
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
    .info = {"weights",
             "moves all weights at once, one draw for the whole batch (evolution strategies; "
             "population=1 is "
             "SPSA); rules begin with 5 times their lr",
             "Salimans et al. 2017, arXiv 1703.03864; Spall 1992", ZO_USES_LOSS, params},
    .settings_size = sizeof(settings),
    .state_size = sizeof(state),
    .lr = 5,
    .init = init,
    .job = job,
    .report = report,
    .pack = pack,
    .unpack = unpack,
    .weights = weights,
    .plan = plan,
    .fini = fini,
};

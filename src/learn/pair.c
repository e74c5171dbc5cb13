#include "learn/pair.h"

#include <math.h>
#include <string.h>

/* What an item gives: sums over its examples, so that those of items add up. */
enum {
    PLUS,  /* losses of the first member, where both have one */
    MINUS, /* of the second */
    BOTH,  /* how many these are */
    NONE,  /* examples without a loss */
    ANY,   /* all losses of both */
    COUNT, /* how many */
    RESULTS
};

zo_status zo_pair_init(zo_weights *w, double sigma, zo_noise_kind noise, const zo_learner *l)
{
    zo_population_settings set = {.population = 1,
                                  .sigma = sigma,
                                  .two_sided = 1,
                                  .noise = (int)noise,
                                  .shaping = ZO_SHAPE_RAW,
                                  .alone = true};
    return zo_weights_init(w, &set, l);
}

static void add_example(float plus, float minus, double *to)
{
    bool up = isfinite(plus), down = isfinite(minus);
    if (up) to[ANY] += plus;
    if (down) to[ANY] += minus;
    to[COUNT] += up + down;
    to[NONE] += !up && !down;
    if (!up || !down) return;
    to[PLUS] += plus;
    to[MINUS] += minus;
    to[BOTH]++;
}

static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    const zo_population *p = st;
    zo_chunk *c = p->worker + worker;
    memset(results, 0, (size_t)n * RESULTS * sizeof *results);
    for (int64_t i = first; i < first + n; i++, results += RESULTS) {
        size_t left = p->seen - (size_t)i * p->chunk;
        c->pair = 0;
        c->pairs = 1;
        c->first = (size_t)i * p->chunk;
        c->examples = left < p->chunk ? left : p->chunk;
        zo_population_run(p, c);
        for (size_t e = 0; e < c->examples; e++)
            add_example(c->loss[e], c->loss[c->examples + e], results);
    }
}

static void add_items(const zo_population *p, const double *results, double sum[RESULTS])
{
    memset(sum, 0, RESULTS * sizeof *sum);
    for (size_t i = 0; i < p->chunks; i++, results += RESULTS) {
        for (int k = 0; k < RESULTS; k++) sum[k] += results[k];
    }
}

static zo_status check(void *st, const double *results)
{
    const zo_population *p = st;
    double sum[RESULTS];
    add_items(p, results, sum);
    if (sum[COUNT] > 0) return ZO_OK;
    return zo_fail(p->l->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

static void settle(void *st, const double *results, int64_t part, int worker)
{
    (void)part, (void)worker;
    zo_population *p = st;
    double sum[RESULTS];
    add_items(p, results, sum);
    bool dropped = sum[BOTH] == 0 || sum[BOTH] + sum[NONE] < (double)p->seen;
    p->loss = sum[COUNT] > 0 ? sum[ANY] / sum[COUNT] : NAN;
    p->dropped = (int64_t)sum[NONE] + dropped;
    p->weight[0] = dropped ? 0 : (sum[PLUS] - sum[MINUS]) / sum[BOTH] / (2 * p->set.sigma);
}

zo_job zo_pair_job(zo_weights *w, double sigma, const zo_update *update)
{
    zo_population *p = &w->p;
    p->set.sigma = sigma;
    p->update = update;
    zo_job job = {.state = w,
                  .items = (int64_t)p->chunks,
                  .results = RESULTS,
                  .evaluate = evaluate,
                  .check = check,
                  .parts = 1,
                  .settle = settle};
    zo_weights_direct(w, &job);
    return job;
}

size_t zo_pair_pack(const void *st, const double *results, double *out)
{
    add_items(st, results, out);
    return RESULTS;
}

bool zo_pair_unpack(const void *st, const double *in, size_t n, double *results)
{
    const zo_population *p = st;
    double seen = (double)p->seen;
    if (n != RESULTS || !(in[BOTH] >= 0 && in[NONE] >= 0 && in[BOTH] + in[NONE] <= seen) ||
        !(in[COUNT] >= 2 * in[BOTH] && in[COUNT] <= 2 * seen))
        return false;
    memset(results, 0, p->chunks * RESULTS * sizeof *results);
    memcpy(results, in, RESULTS * sizeof *results);
    return true;
}

/* A rule at work: on tiles of the direction as they come, or, where the length of the whole direction must be known, on fixed tiles of what
 * was collected. The sums behind lengths run in a fixed order: sixteen lanes in each tile, then tile after tile.
 */
#include "learn/learner.h"

#include <math.h>
#include <string.h>

enum { TILE = 1 << 14, LANES = 16 };

static int64_t tiles(const zo_update *u) { return (int64_t)((u->net->arena + TILE - 1) / TILE); }

static size_t tile_floats(const zo_update *u, int64_t tile)
{
    size_t left = u->net->arena - (size_t)tile * TILE;
    return left < TILE ? left : TILE;
}

zo_status zo_update_init(zo_update *u)
{
    const zo_context *ctx = u->net->ctx;
    size_t n = u->net->arena;
    for (int i = 0; i < u->rule->slots; i++) {
        u->slot[i] = zo_alloc_zero(ctx, n, sizeof(float));
        if (!u->slot[i]) return ZO_NO_MEMORY;
    }
    if (!u->rule->whole && !(u->clip > 0)) return ZO_OK;
    u->direction = zo_alloc_zero(ctx, n, sizeof *u->direction);
    u->tile = zo_alloc_zero(ctx, (size_t)tiles(u), sizeof *u->tile);
    return u->direction && u->tile ? ZO_OK : ZO_NO_MEMORY;
}

void zo_update_fini(zo_update *u)
{
    if (!u->net) return; /* never begun */
    for (int i = 0; i < 4; i++) zo_free(u->net->ctx, u->slot[i]);
    zo_free(u->net->ctx, u->direction);
    zo_free(u->net->ctx, u->tile);
}

/* Whether a stage's weights shrink: gains do not, which begin at 1. */
static bool decays(const zo_stage *s) { return s->layer->first_weight == 0; }

static bool frozen(const zo_update *u, int stage) { return u->frozen && u->frozen[stage]; }

/* Loshchilov & Hutter 2019: apart from the direction. */
static void decay(const zo_update *u, size_t at, size_t n)
{
    for (int i = 0; i < u->net->stages; i++) {
        const zo_stage *s = u->net->stage + i;
        size_t first = at > s->weight ? at : s->weight, end = s->weight + s->weight_floats;
        if (end > at + n) end = at + n;
        if (first >= end || !decays(s) || frozen(u, i)) continue;
        float *p = u->net->params + first;
        u->k->sgd(p, p, end - first, (float)(u->rate * u->weight_decay));
    }
}

static void move(const zo_update *u, size_t at, const float *g, size_t n)
{
    float *slot[4] = {0};
    for (int i = 0; i < u->rule->slots; i++) slot[i] = u->slot[i] + at;
    if (u->weight_decay > 0) decay(u, at, n);
    u->rule->apply(u, at, u->net->params + at, slot, g, n);
}

/* The same of a range that may reach over stages: what is frozen is left out. */
static void move_moving(const zo_update *u, size_t at, const float *g, size_t n)
{
    size_t begin = at, to = at + n;
    for (int i = 0; i < u->net->stages && u->frozen; i++) {
        const zo_stage *s = u->net->stage + i;
        size_t first = s->weight, end = first + s->weight_floats + s->bias_floats;
        if (!frozen(u, i) || end <= begin || first >= to) continue;
        if (first > begin) move(u, begin, g + (begin - at), first - begin);
        begin = end < to ? end : to;
    }
    if (to > begin) move(u, begin, g + (begin - at), to - begin);
}

void zo_update_apply(const zo_update *u, size_t at, const float *g, size_t n)
{
    if (u->direction)
        memcpy(u->direction + at, g, n * sizeof *g);
    else
        move(u, at, g, n);
}

static double fold(const double lane[LANES])
{
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += lane[i];
    return sum;
}

static void sum_tile(void *arg, int64_t tile, int worker)
{
    (void)worker;
    const zo_update *u = arg;
    size_t at = (size_t)tile * TILE, n = tile_floats(u, tile);
    const float *g = u->direction + at, *v = u->rule->whole && u->slot[0] ? u->slot[0] + at : NULL;
    double gg[LANES] = {0}, gv[LANES] = {0}, vv[LANES] = {0};
    for (size_t i = 0; i < n; i++) gg[i % LANES] += (double)g[i] * (double)g[i];
    for (size_t i = 0; v && i < n; i++) {
        gv[i % LANES] += (double)g[i] * (double)v[i];
        vv[i % LANES] += (double)v[i] * (double)v[i];
    }
    u->tile[tile] = (zo_sums){fold(gg), fold(gv), fold(vv)};
}

static void move_tile(void *arg, int64_t tile, int worker)
{
    (void)worker;
    const zo_update *u = arg;
    size_t at = (size_t)tile * TILE, n = tile_floats(u, tile);
    float *g = u->direction + at;
    for (size_t i = 0; u->scale < 1 && i < n; i++) g[i] *= u->scale;
    move_moving(u, at, g, n);
}

void zo_update_finish(zo_update *u)
{
    if (!u->direction) return;
    const zo_context *ctx = u->net->ctx;
    zo_parallel(ctx, tiles(u), sum_tile, u);
    u->sums = (zo_sums){0};
    for (int64_t i = 0; i < tiles(u); i++) {
        u->sums.gg += u->tile[i].gg;
        u->sums.gv += u->tile[i].gv;
        u->sums.vv += u->tile[i].vv;
    }
    double length = sqrt(u->sums.gg), scale = u->clip > 0 && length > u->clip ? u->clip / length : 1;
    u->scale = (float)scale;
    u->sums.gg *= scale * scale;
    u->sums.gv *= scale;
    zo_parallel(ctx, tiles(u), move_tile, u);
}

double zo_update_cost(const zo_update *u)
{
    double each = u->rule->cost, weights = 0, parameters = 0;
    if (u->direction) each += u->rule->whole ? 3 : 1; /* the sums */
    if (u->clip > 0) each += 1;
    for (int i = 0; i < u->net->stages; i++) {
        const zo_stage *s = u->net->stage + i;
        if (frozen(u, i)) continue;
        parameters += (double)s->parameters;
        if (u->weight_decay > 0 && decays(s)) weights += (double)s->rows * (double)s->columns;
    }
    return each * parameters + weights;
}

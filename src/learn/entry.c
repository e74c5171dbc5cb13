#include "learn/entry.h"

#include <math.h>
#include <string.h>

#include "nn/partial.h"

static const zo_net *net_of(const zo_entry *e) { return e->trace->l->net; }

static bool pooled(const zo_net *net, int i) { return zo_entry_stage(net, i) > i; }

int zo_entry_stage(const zo_net *net, int i)
{
    return i + (zo_way_pools(net, i) && net->stage[i + 1].layer->pools == ZO_POOLS_LARGEST);
}

zo_status zo_entry_init(zo_entry *e, const zo_trace *trace, size_t most, size_t pooled)
{
    const zo_context *ctx = trace->l->ctx;
    *e = (zo_entry){.trace = trace};
    e->which = zo_alloc_zero(ctx, ZO_ITEM * pooled + 16, sizeof *e->which);
    e->z = zo_alloc_zero(ctx, ZO_ITEM * pooled + 16, sizeof *e->z);
    e->others = zo_alloc_zero(ctx, ZO_ITEM * pooled + 16, sizeof *e->others);
    e->moved = zo_alloc_zero(ctx, 2 * most, sizeof *e->moved);
    return e->which && e->z && e->others && e->moved ? ZO_OK : ZO_NO_MEMORY;
}

void zo_entry_fini(zo_entry *e)
{
    if (!e->trace) return;
    void *all[] = {e->which, e->z, e->others, e->moved};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(e->trace->l->ctx, all[i]);
}

/* ---- the largest of each window ---- */

/* Pixels of a window, n channels: the largest and the next. And, last to first, where it is. (Loops of their own: branches could not be
 * foreseen.) */
static void add_pixel(const float *restrict now, size_t n, float *restrict best,
                      float *restrict others)
{
    for (size_t j = 0; j < n; j++) {
        float lower = now[j] < best[j] ? now[j] : best[j];
        others[j] = lower > others[j] ? lower : others[j];
        best[j] = now[j] > best[j] ? now[j] : best[j];
    }
}

static void find_pixel(const float *restrict now, int32_t at, size_t n, const float *restrict best,
                       int32_t *restrict which)
{
    for (size_t j = 0; j < n; j++) which[j] = now[j] == best[j] ? at : which[j];
}

/* The largest of a window, the largest of the others, and its pixel: the first of equals. */
static void search_window(const float *h, const zo_shape *shape, zo_patch w, float *best,
                          float *others, int32_t *which)
{
    size_t n = shape->pitch, width = (size_t)shape->width, across = (size_t)w.width,
           pixels = (size_t)w.height * across, first = (size_t)w.y * width + (size_t)w.x;
    for (size_t j = 0; j < n; j++) {
        best[j] = others[j] = -INFINITY;
        which[j] = (int32_t)first;
    }
    for (size_t i = 0; i < pixels; i++)
        add_pixel(h + (first + i / across * width + i % across) * n, n, best, others);
    for (size_t i = pixels; i-- > 0;) {
        size_t at = first + i / across * width + i % across;
        find_pixel(h + at * n, (int32_t)at, n, best, which);
    }
}

/* A NaN, which a pooling lets through, stays one. */
static void find_row(zo_entry *e, int i, size_t first, size_t r, int worker)
{
    const zo_net *net = net_of(e);
    const zo_stage *st = net->stage + i, *pool = st + 1;
    const zo_way way = {.site = i, .pooled = true};
    const float *h = e->trace->h[i] + (first + r) * st->ld_out,
                *from = zo_trace_z(e->trace, i, first, worker) + r * st->ld_out,
                *clean = e->trace->h[i + 1] + (first + r) * pool->ld_out;
    size_t n = (size_t)st->out.channels, pitch = pool->out.pitch;
    float *z = e->z + r * pool->ld_out, *others = e->others + r * pool->ld_out;
    int32_t *which = e->which + r * pool->ld_out;
    for (int y = 0; y < pool->out.height; y++) {
        for (int x = 0; x < pool->out.width; x++) {
            search_window(h, &st->out, zo_way_window(&way, net, y, x), z, others, which);
            for (size_t j = 0; j < n; j++) {
                z[j] = isnan(clean[j]) ? clean[j] : from[(size_t)which[j] * pitch + j];
                which[j] = which[j] * (int32_t)n + (int32_t)j;
            }
            for (size_t j = n; j < pitch; j++) z[j] = others[j] = 0, which[j] = -1;
            z += pitch, others += pitch, which += pitch, clean += pitch;
        }
    }
}

void zo_entry_find(zo_entry *e, int i, size_t first, size_t m, int worker)
{
    for (size_t r = 0; r < m && pooled(net_of(e), i); r++) find_row(e, i, first, r, worker);
}

const float *zo_entry_z(const zo_entry *e, int i, size_t first, size_t r, int worker)
{
    const zo_stage *st = net_of(e)->stage + i;
    if (pooled(net_of(e), i)) return e->z + r * st[1].ld_out;
    return zo_trace_z(e->trace, i, first, worker) + r * st->ld_out;
}

const float *zo_entry_floor(const zo_entry *e, int i, size_t r)
{
    return pooled(net_of(e), i) ? e->others + r * net_of(e)->stage[i + 1].ld_out : NULL;
}

/* ---- errors ---- */

/* What the numbers of a draw become that move alone, all by `move`. */
static void move_alone(const zo_entry *e, int i, size_t r, const float *z, float move, size_t n,
                       float *moved)
{
    static const int32_t itself[1];
    const zo_stage *st = net_of(e)->stage + i;
    const zo_kernels *k = e->trace->l->k;
    for (size_t j = 0; j < n; j++) moved[j] = z[j] + move;
    k->disturb(moved, n, moved, n, zo_entry_floor(e, i, r), itself, 1, n, 0, NULL, 0, NULL, 0,
               zo_stage_activate(k, st), st->number);
}

void zo_entry_silence(zo_entry *e, int i, size_t first, size_t r, int worker, float move,
                      float *errors)
{
    const zo_net *net = net_of(e);
    if (!net->stage[i].activation || zo_stage_grouped(net->stage + i)) return;
    int at = zo_entry_stage(net, i);
    size_t n = net->stage[at].ld_out;
    const float *h = e->trace->h[at] + (first + r) * n, *z = zo_entry_z(e, i, first, r, worker);
    float *up = e->moved, *down = up + n;
    move_alone(e, i, r, z, move, n, up);
    move_alone(e, i, r, z, -move, n, down);
    for (size_t j = 0; j < n; j++) {
        bool acts = up[j] != h[j] || down[j] != h[j];
        errors[j] = acts ? errors[j] : 0;
    }
}

void zo_entry_take(const zo_entry *e, int i, size_t r, const double *from, float *errors)
{
    size_t n = net_of(e)->stage[i + 1].ld_out;
    const int32_t *which = e->which + r * n;
    for (size_t j = 0; j < n; j++) errors[j] = which[j] < 0 ? 0 : (float)from[which[j]];
}

void zo_entry_give(const zo_entry *e, int i, size_t r, const float *errors, double *to)
{
    const zo_stage *st = net_of(e)->stage + i;
    const int32_t *which = e->which + r * st[1].ld_out;
    memset(to, 0, (size_t)st->outputs * sizeof *to);
    for (size_t j = 0; j < st[1].ld_out; j++) {
        if (which[j] >= 0) to[which[j]] = errors[j];
    }
}

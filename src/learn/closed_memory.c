/* Whether what a closed form will hold fits, asked before it is allocated. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "learn/closed_modules.h"

/* The most features whose sums and factors keep to `room` bytes. */
static size_t features_that_fit(const zo_closed *c, double room)
{
    size_t low = 0, high = c->p;
    while (low < high) {
        size_t p = (low + high + 1) / 2;
        if (zo_closed_bytes(c, p) <= room)
            low = p;
        else
            high = p - 1;
    }
    return low;
}

/* About what a run around the trainer allocates: the network that is kept, looks at it, files. */
static double around(const zo_closed *c)
{
    const zo_net *net = c->net;
    double rows = (double)(c->task->part[ZO_VALIDATION].n + c->task->part[ZO_TEST].n),
           workers = zo_context_threads(c->ctx);
    size_t together = 128;
    while (together > 8 && together * net->widest > 131072) together /= 2;
    return 4 * ((double)net->arena + workers * (double)zo_net_scratch(net, together) +
                rows * (double)(net->stage[c->last].ld_out + 4)) +
           (1 << 20);
}

/* Bytes that are there for what is still to be allocated. */
static double room_of(const zo_context *ctx)
{
    double there = (double)zo_memory_available(), allowed = (double)ctx->limit - (double)ctx->held;
    if (!(there > 0)) there = INFINITY;
    return ctx->limit && allowed < there ? allowed : there;
}

static zo_status check_modules(const zo_closed *c, double need, double room)
{
    const double gib = 1024.0 * 1024 * 1024;
    size_t others = c->modules->others, fit = features_that_fit(c, room - zo_modules_bytes(c)),
           units = zo_modules_whole(fit > others ? fit - others : 0);
    if (units)
        return zo_fail(
            c->ctx, ZO_NO_MEMORY,
            "%s: a module of %zu units takes %.3g GiB, %.3g GiB are there: set module to "
            "%zu or less",
            c->info->name, c->modules->size, need / gib, room / gib, units);
    return zo_fail(c->ctx, ZO_NO_MEMORY,
                   "%s: the smallest module takes %.3g GiB, %.3g GiB are there: use a smaller net",
                   c->info->name,
                   (zo_closed_bytes(c, others + ZO_PANEL) + zo_modules_bytes(c)) / gib,
                   fmax(room, 0) / gib);
}

/* Units of the last fixed dense layer or convolution, and how many features each gives: a convolution's one for every pixel, unless these are
 * pooled. */
static size_t units_of(const zo_closed *c, size_t *each)
{
    size_t units = 0;
    for (int i = 0; i < c->last; i++) {
        const zo_stage *s = c->net->stage + i;
        bool conv = !strcmp(s->layer->info.name, "conv");
        if (!conv && strcmp(s->layer->info.name, "dense") != 0) continue;
        units = s->columns;
        *each = conv ? (size_t)zo_shape_pixels(&s->out) : 1;
    }
    return units * *each <= c->p ? units : 0;
}

/* No size of the problem fits. */
static zo_status nothing_fits(const zo_closed *c, double room)
{
    const double gib = 1024.0 * 1024 * 1024;
    return zo_fail(c->ctx, ZO_NO_MEMORY,
                   "%s: the smallest last layer takes %.3g GiB, %.3g GiB are there: use a smaller "
                   "net, or more memory",
                   c->info->name, zo_closed_bytes(c, 1) / gib, fmax(room, 0) / gib);
}

double zo_closed_room(const zo_closed *c) { return room_of(c->ctx) - around(c); }

zo_status zo_closed_memory(const zo_closed *c, double room)
{
    const zo_context *ctx = c->ctx;
    const double gib = 1024.0 * 1024 * 1024;
    double need = zo_closed_bytes(c, c->most);
    if (c->modules) need += zo_modules_bytes(c);
    if (need <= room) return ZO_OK;
    if (c->modules) return check_modules(c, need, room);
    size_t fit = features_that_fit(c, room), each = 1, units = units_of(c, &each);
    if (!fit) return nothing_fits(c, room);
    if (c->sketch)
        return zo_fail(ctx, ZO_NO_MEMORY,
                       "%s: %zu sums of inputs take %.3g GiB, %.3g GiB are there: set sketch=%zu",
                       c->info->name, c->p, need / gib, room / gib, fit);
    if (units * each + fit >= c->p + each)
        return zo_fail(ctx, ZO_NO_MEMORY,
                       "%s: %zu features take %.3g GiB, %.3g GiB are there: about %zu of the %zu "
                       "units fit",
                       c->info->name, c->p, need / gib, room / gib,
                       (units * each + fit - c->p) / each, units);
    return zo_fail(ctx, ZO_NO_MEMORY,
                   "%s: %zu features take %.3g GiB, %.3g GiB are there: about %zu features fit",
                   c->info->name, c->p, need / gib, room / gib, fit);
}

#include "nn/partial.h"

#include <string.h>

#include "nn/window.h"

#define ROOM_FLOATS 131072 /* of the rows that run together: half of what a core keeps near it */

/* ---- the way ---- */

/* Whether no pixel is in two windows of a pooling, which does nothing else. */
static bool side_by_side(const zo_stage *s)
{
    const zo_window *w = &s->window;
    return s->layer->pools && !s->activation && !s->shared &&
           (w->stride >= w->height || w->out_height == 1) &&
           (w->stride >= w->width || w->out_width == 1);
}

static bool copies(const zo_stage *s) { return s->layer->copies && !s->activation; }

/* The first stage from `last` on, or `last`, that takes all of the patch's numbers in by columns. */
static int sum_at(const zo_net *net, int last)
{
    int at = last < net->stages && copies(net->stage + last) ? last + 1 : last;
    if (at >= net->stages || !net->stage[at].layer->changed) return 0;
    return net->stage[at].shared || net->stage[last].shared ? 0 : at;
}

/* Blocks that begin among the patches must end among them, or patches end where the block begins. */
static int closed(const zo_net *net, int point, int last)
{
    for (int j = last; j < net->stages; j++) {
        int skip = net->stage[j].skip;
        if (net->stage[j].layer->residual && skip >= point && skip < last)
            return closed(net, point, skip);
    }
    return last;
}

static zo_patch reach(const zo_stage *s, zo_patch in)
{
    if (s->layer->reach == ZO_REACH_CELL) return zo_grid_reach(&s->grid, in);
    return s->layer->reach == ZO_REACH_WINDOW ? zo_window_reach(&s->window, in) : in;
}

static double pixels_of(zo_patch p) { return (double)p.height * p.width; }

/* ---- a stage cut to a patch ---- */

/* Stage s with the pixels `out` of its outputs only. *in receives the pixels that it then takes; of a product they may lie outside the
 * image, where zeros are. */
static zo_stage cut(const zo_stage *s, zo_patch out, zo_patch *in, size_t *start)
{
    zo_stage c = *s;
    *in = out;
    c.out.height = out.height, c.out.width = out.width;
    if (s->layer->reach == ZO_REACH_WINDOW) {
        zo_window *w = &c.window;
        *in = zo_window_extent(&s->window, out);
        w->top = w->left = 0;
        if (s->layer->product) {
            c.in.pitch = (size_t)c.in.channels;
        } else {
            if (in->y < 0) w->top = (size_t)-in->y;
            if (in->x < 0) w->left = (size_t)-in->x;
            *in = zo_patch_inside(*in, &s->in);
        }
        w->pitch = c.in.pitch;
        w->in_height = (size_t)in->height, w->in_width = (size_t)in->width;
        w->out_height = (size_t)out.height, w->out_width = (size_t)out.width;
    }
    if (s->layer->reach == ZO_REACH_CELL) {
        *in = zo_grid_extent(&s->grid, out);
        c.grid.y = out.y, c.grid.x = out.x;
    }
    c.in.height = in->height, c.in.width = in->width;
    c.other.height = out.height, c.other.width = out.width;
    c.ld_in = zo_shape_floats(&c.in);
    c.ld_out = zo_shape_floats(&c.out);
    c.ld_other = zo_shape_floats(&c.other);
    c.start = start;
    if (s->layer->refit) s->layer->refit(&c);
    if (s->layer->place) s->layer->place(&c);
    return c;
}

/* ---- room ---- */

/* Floats of a row: of its patches of tensors that blocks add, of the largest patch, of what a stage takes in at most, of what a block adds. And, of
 * all rows together: entries of a convolution's table, floats of weights, room of stages. In the room they lie in the opposite order. */
typedef struct layout {
    size_t kept, patch, gather, other, start, weights, padded;
} layout;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t floats_of(zo_patch p, size_t pitch)
{
    return zo_round16((size_t)p.height * (size_t)p.width * pitch);
}

/* Floats of what a stage takes in for the pixels `out` of its outputs. */
static size_t gathered(const zo_stage *s, zo_patch out)
{
    if (s->layer->reach == ZO_REACH_CELL)
        return floats_of(zo_grid_extent(&s->grid, out), s->in.pitch);
    if (s->layer->reach != ZO_REACH_WINDOW) return floats_of(out, s->in.pitch);
    zo_patch in = zo_window_extent(&s->window, out);
    return s->layer->product ? floats_of(in, (size_t)s->in.channels)
                             : floats_of(zo_patch_inside(in, &s->in), s->in.pitch);
}

/* What a tensor's patch takes. */
static void count_patch(const zo_way *way, const zo_net *net, int tensor, size_t floats, layout *l)
{
    bool kept = tensor < way->last && net->stage[tensor].shared;
    l->kept += kept ? floats : 0;
    l->patch = larger(l->patch, floats);
}

/* What a row at pixel (y, x) takes, in *l; and its multiply-adds up to the tail, -1 where nobody sees the pixel. */
static double measure(const zo_way *way, const zo_net *net, int y, int x, layout *l)
{
    zo_patch at = {y, x, 1, 1};
    double cost = 0;
    *l = (layout){0};
    if (way->whole) return net->stage[way->first].move_cost;
    count_patch(way, net, way->point, floats_of(at, net->stage[way->site].out.pitch), l);
    for (int i = way->point; i < way->last; i++) {
        const zo_stage *s = net->stage + i;
        at = reach(s, at);
        if (at.height <= 0 || at.width <= 0) return -1;
        size_t floats = floats_of(at, s->out.pitch);
        count_patch(way, net, i + 1, floats, l);
        bool column = i == way->first && way->column;
        if (!column) l->gather = larger(l->gather, gathered(s, at));
        if (s->layer->cut_room) l->padded = larger(l->padded, zo_round16(s->padded));
        if (s->layer->residual) l->other = larger(l->other, floats_of(at, s->other.pitch));
        if (s->layer->refit) /* at most: runs, lines, taps */
            l->start = larger(l->start, s->rows + (size_t)at.height + s->rows);
        cost += column ? pixels_of(at) * (double)s->columns
                       : s->cost * pixels_of(at) / (double)zo_shape_pixels(&s->out);
    }
    if (way->sum) {
        const zo_stage *dense = net->stage + way->sum;
        size_t numbers = (size_t)pixels_of(at) * (size_t)net->stage[way->last].in.channels;
        l->gather = larger(l->gather, zo_round16(numbers));
        l->weights = zo_packed_size(numbers, dense->columns);
        cost += (double)numbers * (double)dense->columns;
    }
    return cost;
}

/* The most of all places, and the cost of all moves. */
static layout plan_room(zo_way *way, const zo_net *net)
{
    layout most = {0}, l;
    const zo_stage *pool = net->stage + way->site + 1;
    const zo_shape *shape = way->pooled ? &pool->out : &net->stage[way->site].out;
    double tail = zo_net_tail_cost(net, way->tail);
    bool mean = way->pooled && pool->layer->pools == ZO_POOLS_MEAN;
    way->cost = 0;
    for (int y = 0; y < shape->height; y++) {
        for (int x = 0; x < shape->width; x++) {
            double cost = measure(way, net, y, x, &l),
                   moves = mean ? pixels_of(zo_way_window(way, net, y, x)) : 1;
            if (cost >= 0) way->cost += shape->channels * moves * (cost + tail);
            most = (layout){larger(most.kept, l.kept),     larger(most.patch, l.patch),
                            larger(most.gather, l.gather), larger(most.other, l.other),
                            larger(most.start, l.start),   larger(most.weights, l.weights),
                            larger(most.padded, l.padded)};
        }
    }
    return most;
}

static size_t row_floats(const layout *l) { return l->kept + 2 * l->patch + l->gather + l->other; }

static size_t start_floats(size_t entries)
{
    return zo_round16(entries * sizeof(size_t) / sizeof(float));
}

bool zo_way_pools(const zo_net *net, int site)
{
    const zo_stage *s = net->stage + site;
    return !zo_stage_grouped(s) && site + 1 < net->stages && side_by_side(s + 1);
}

void zo_way_plan(zo_way *way, const zo_net *net, int site, size_t most, size_t floats)
{
    const zo_stage *s = net->stage + site, *end = net->stage + net->stages;
    *way = (zo_way){.site = site, .pixels = zo_stage_grouped(s), .point = site + 1};
    way->pooled = zo_way_pools(net, site);
    way->point += way->pooled;
    int last = way->point, first = last < net->stages && copies(net->stage + last) ? last + 1 : last;
    const zo_stage *f = net->stage + first;
    bool alone = f < end && !f->shared && !net->stage[last].shared;
    way->first = first;
    way->column = f < end && f->layer->moved && !way->pixels;
    if (way->column && f->layer->reach == ZO_REACH_ALL && alone) {
        way->whole = true;
        way->last = last;
        way->tail = first + 1;
    } else {
        while (!way->pixels && last < net->stages && net->stage[last].layer->reach != ZO_REACH_ALL)
            last++;
        way->last = closed(net, way->point, last);
        way->column &= way->last > first;
        way->sum = way->pixels ? 0 : sum_at(net, way->last);
        way->tail = way->sum ? way->sum + 1 : way->last;
    }
    layout l = plan_room(way, net);
    if (way->pixels) way->cost = s->outputs * zo_net_tail_cost(net, site + 1);
    size_t row = row_floats(&l), widest = 0;
    for (int i = way->tail - 1; i < net->stages; i++) widest = larger(widest, net->stage[i].ld_out);
    way->rows = larger(row ? ROOM_FLOATS / row : most, 1);
    if (way->rows > floats / widest) way->rows = floats / widest;
    if (way->rows > most) way->rows = most;
    way->room = start_floats(l.start) + zo_round16(l.weights) + l.padded + way->rows * row + 16;
}

zo_patch zo_way_window(const zo_way *way, const zo_net *net, int y, int x)
{
    zo_patch at = {y, x, 1, 1};
    const zo_stage *s = net->stage + way->site;
    return way->pooled ? zo_patch_inside(zo_window_extent(&s[1].window, at), &s->out) : at;
}

/* ---- a run ---- */

/* n pixels of c numbers, or as they lie. */
static void copy_pixels(float *to, size_t pitch, const float *from, size_t pitch_from, size_t n,
                        size_t c)
{
    if (pitch == pitch_from) {
        memcpy(to, from, n * pitch * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i++, to += pitch, from += pitch_from)
        memcpy(to, from, c * sizeof *to);
}

/* The values of rows in a patch of a tensor. */
typedef struct patch_rows {
    zo_patch at;
    const float *values; /* [m][ld]; NULL: no row differs from the clean tensor */
    size_t ld;
} patch_rows;

/* Lays line y of the row's patch over the part [x, x + n) of that line of the tensor. */
static void lay_line(const patch_rows *p, const zo_shape *shape, size_t row, int y, int x, int n,
                     float *to, size_t pitch)
{
    if (!p->values || y < p->at.y || y >= p->at.y + p->at.height) return;
    int from = p->at.x > x ? p->at.x : x, end = p->at.x + p->at.width;
    if (end > x + n) end = x + n;
    if (end <= from) return;
    size_t at = (size_t)(y - p->at.y) * (size_t)p->at.width + (size_t)(from - p->at.x);
    copy_pixels(to + (size_t)(from - x) * pitch, pitch, p->values + row * p->ld + at * shape->pitch,
                shape->pitch, (size_t)(end - from), (size_t)shape->channels);
}

/* to[m][ld] = the pixels `want` of tensor i, `pitch` floats apart: clean, the rows' patches over them, zeros outside the image. */
static void gather(const zo_partial *r, int i, const patch_rows *p, zo_patch want, size_t pitch,
                   float *to, size_t ld)
{
    const zo_shape *shape = &r->net->stage[i].in;
    size_t floats = r->net->stage[i].ld_in, c = (size_t)shape->channels;
    int left = want.x < 0 ? -want.x : 0, right = want.x + want.width - shape->width,
        n = want.width - left - (right > 0 ? right : 0);
    if (n < 0) n = 0;
    for (size_t row = 0; row < r->m; row++, to += ld) {
        const float *clean = r->tensor[i] + (size_t)r->example[row] * floats;
        for (int y = 0; y < want.height; y++) {
            float *line = to + (size_t)y * (size_t)want.width * pitch;
            int from = want.y + y;
            bool outside = from < 0 || from >= shape->height || n == 0;
            if (outside || n < want.width)
                memset(line, 0, (size_t)want.width * pitch * sizeof *line);
            if (outside) continue;
            float *inside = line + (size_t)left * pitch;
            size_t at = (size_t)from * (size_t)shape->width + (size_t)(want.x + left);
            copy_pixels(inside, pitch, clean + at * shape->pitch, shape->pitch, (size_t)n, c);
            lay_line(p, shape, row, from, want.x + left, n, inside, pitch);
        }
    }
}

static bool same_patch(zo_patch a, zo_patch b)
{
    return a.y == b.y && a.x == b.x && a.height == b.height && a.width == b.width;
}

/* The moved pixels as patches. */
static void begin(const zo_partial *r, const zo_way *way, float *to, size_t ld)
{
    const zo_stage *s = r->net->stage + way->point - 1;
    size_t c = (size_t)s->out.channels, pixel = (size_t)r->y * (size_t)s->out.width + (size_t)r->x;
    for (size_t row = 0; row < r->m; row++, to += ld) {
        memcpy(to,
               r->tensor[way->point] + (size_t)r->example[row] * s->ld_out + pixel * s->out.pitch,
               s->out.pitch * sizeof *to);
        to[(size_t)r->move[row].unit % c] += r->move[row].change;
    }
}

/* Tensors that blocks which are not ended yet will add. */
typedef struct blocks {
    int open, tensor[ZO_BLOCKS_MOST + 1];
    patch_rows rows[ZO_BLOCKS_MOST + 1];
} blocks;

static bool is_added(const zo_net *net, int tensor, int from)
{
    for (int j = from; j < net->stages; j++) {
        if (net->stage[j].layer->residual && net->stage[j].skip == tensor) return true;
    }
    return false;
}

/* Those of blocks that have ended make room. */
static void remember(blocks *b, const zo_net *net, int tensor, const patch_rows *p)
{
    while (b->open && !is_added(net, b->tensor[b->open - 1], tensor)) b->open--;
    b->tensor[b->open] = tensor;
    b->rows[b->open++] = *p;
}

/* What is there of a tensor. One from before the move is clean. */
static patch_rows recall(const blocks *b, int tensor)
{
    for (int i = b->open; i > 0; i--) {
        if (b->tensor[i - 1] == tensor) return b->rows[i - 1];
    }
    return (patch_rows){0};
}

/* The parts of the room. */
typedef struct parts {
    size_t *start;
    float *weights, *padded, *gather, *other, *patch[2], *kept;
} parts;

static void lay_over(const zo_partial *r, const zo_way *way, const patch_rows *p, float *h)
{
    const zo_stage *before = r->net->stage + way->last - 1;
    for (size_t row = 0; row < r->m; row++, h += before->ld_out) {
        memcpy(h, r->tensor[way->last] + (size_t)r->example[row] * before->ld_out,
               before->ld_out * sizeof *h);
        for (int y = p->at.y; y < p->at.y + p->at.height; y++)
            lay_line(p, &before->out, row, y, 0, before->out.width,
                     h + (size_t)y * (size_t)before->out.width * before->out.pitch,
                     before->out.pitch);
    }
}

/* What changed in the patch goes into the next dense layer: one run of weight rows for each of its lines. */
static void add_up(const zo_partial *r, const zo_way *way, const patch_rows *p, const parts *room,
                   float *h)
{
    const zo_stage *before = r->net->stage + way->last - 1, *s = r->net->stage + way->sum;
    const zo_kernels *k = r->net->ctx->kernels;
    size_t c = (size_t)before->out.channels, pitch = before->out.pitch, width = (size_t)p->at.width,
           run = width * c, runs = (size_t)p->at.height, ld = zo_round16(runs * run);
    for (size_t row = 0; row < r->m; row++) {
        const float *clean = r->tensor[way->last] + (size_t)r->example[row] * before->ld_out;
        float *change = room->gather + row * ld;
        for (size_t i = 0; i < runs * width; i++, change += c) {
            size_t y = (size_t)p->at.y + i / width, x = (size_t)p->at.x + i % width;
            const float *from = clean + (y * (size_t)before->out.width + x) * pitch,
                        *now = p->values + row * p->ld + i * pitch;
            for (size_t j = 0; j < c; j++) change[j] = now[j] - from[j];
        }
        memcpy(h + row * s->ld_out, r->z[way->sum] + (size_t)r->move[row].example * s->ld_out,
               s->ld_out * sizeof *h);
    }
    size_t first = ((size_t)p->at.y * (size_t)before->out.width + (size_t)p->at.x) * c;
    s->layer->changed(k, s, zo_stage_weight(s, r->net->params), first, run, runs,
                      (size_t)before->out.width * c, r->m, room->gather, ld, room->weights, h);
}

/* One stage on the pixels `out`. */
static void step(const zo_partial *r, const zo_way *way, int i, const patch_rows *p,
                 const patch_rows *skip, zo_patch out, const parts *room, float *to)
{
    const zo_net *net = r->net;
    const zo_stage *s = net->stage + i;
    const float *weight = zo_stage_weight(s, net->params);
    if (i == way->first && way->column) {
        s->layer->moved(net->ctx->kernels, s, weight, r->move, r->m, p->at, out, r->z[i], to);
        return;
    }
    zo_patch in;
    zo_stage c = cut(s, out, &in, room->start);
    zo_rows rows = {.m = r->m, .in = p->values, .ld = p->ld, .h = to};
    if (!same_patch(in, p->at) || c.in.pitch != s->in.pitch) {
        gather(r, i, p, in, c.in.pitch, room->gather, c.ld_in);
        rows.in = room->gather, rows.ld = c.ld_in;
    }
    if (s->layer->residual) {
        gather(r, s->skip, skip, out, s->other.pitch, room->other, c.ld_other);
        rows.other = room->other;
    }
    zo_stage_forward(net, &c, &(zo_room){room->padded}, weight, zo_stage_bias(s, net->params),
                     &rows);
}

/* Where the patches of a tensor of `floats` a row go: where they stay until a block adds them, or in turn. */
static float *place_for(const zo_partial *r, const zo_way *way, int tensor, size_t floats,
                        parts *room)
{
    float *to = room->patch[tensor % 2];
    if (tensor == way->last || !r->net->stage[tensor].shared) return to;
    to = room->kept;
    room->kept += r->m * floats;
    return to;
}

double zo_partial_run(const zo_partial *r, const zo_way *way, float *h)
{
    const zo_net *net = r->net;
    const zo_stage *first = net->stage + way->first;
    layout l;
    double cost = measure(way, net, r->y, r->x, &l);
    if (cost < 0) return cost;
    if (way->whole) {
        const zo_patch all = {0, 0, 1, 1};
        first->layer->moved(net->ctx->kernels, first, zo_stage_weight(first, net->params), r->move,
                            r->m, all, all, r->z[way->first], h);
        return cost;
    }
    parts room = {.start = (size_t *)(void *)r->room, .weights = r->room + start_floats(l.start)};
    room.padded = room.weights + zo_round16(l.weights);
    room.gather = room.padded + l.padded;
    room.other = room.gather + r->m * l.gather;
    room.patch[0] = room.other + r->m * l.other;
    room.patch[1] = room.patch[0] + r->m * l.patch;
    room.kept = room.patch[1] + r->m * l.patch;
    patch_rows now = {{r->y, r->x, 1, 1}, NULL, net->stage[way->point - 1].out.pitch};
    float *to = place_for(r, way, way->point, now.ld, &room);
    now.values = to;
    begin(r, way, to, now.ld);
    blocks around = {.open = 0};
    for (int i = way->point; i < way->last; i++) {
        const zo_stage *s = net->stage + i;
        if (s->shared) remember(&around, net, i, &now);
        patch_rows skip = s->layer->residual ? recall(&around, s->skip) : now;
        zo_patch out = reach(s, now.at);
        size_t ld = floats_of(out, s->out.pitch);
        to = place_for(r, way, i + 1, ld, &room);
        step(r, way, i, &now, &skip, out, &room, to);
        now = (patch_rows){out, to, ld};
    }
    if (way->sum)
        add_up(r, way, &now, &room, h);
    else
        lay_over(r, way, &now, h);
    return cost;
}

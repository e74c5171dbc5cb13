#include "learn/complete.h"

#include <math.h>
#include <string.h>

static const zo_net *net_of(const zo_complete *c) { return c->moves->trace->l->net; }

/* Floats of the outputs that a line of windows sees. */
static size_t line_floats(const zo_net *net, const zo_way *way)
{
    const zo_shape *s = &net->stage[way->site].out;
    size_t lines = way->pooled ? net->stage[way->site + 1].window.height : 1;
    if (way->pixels) return s->pitch;
    if (lines > (size_t)s->height) lines = (size_t)s->height;
    return lines * (size_t)s->width * s->pitch;
}

void zo_complete_plan(zo_way *way, const zo_net *net, int i)
{
    zo_way_plan(way, net, i, ZO_MOVES_ROWS, zo_moves_rows(net) * net->widest);
}

zo_status zo_complete_init(zo_complete *c, zo_moves *moves, const zo_way *ways)
{
    const zo_learner *l = moves->trace->l;
    size_t stages = (size_t)l->net->stages, line = 0, pitch = 0, room = 0;
    *c = (zo_complete){.moves = moves};
    for (size_t i = 0; i < stages; i++) {
        if (!ways[i].rows) continue;
        size_t floats = line_floats(l->net, ways + i);
        if (floats > line) line = floats;
        if (l->net->stage[i].out.pitch > pitch) pitch = l->net->stage[i].out.pitch;
        if (ways[i].room > room) room = ways[i].room;
    }
    if (!line) return ZO_OK;
    c->move = zo_alloc_zero(l->ctx, ZO_COMPLETE_POINTS, sizeof *c->move);
    c->to = zo_alloc_zero(l->ctx, ZO_COMPLETE_POINTS, sizeof *c->to);
    c->line = zo_alloc_zero(l->ctx, ZO_ITEM * line, sizeof(float));
    c->pixel = zo_alloc_zero(l->ctx, 3 * pitch, sizeof(float));
    c->room = zo_alloc_zero(l->ctx, room, sizeof(float));
    c->z = zo_alloc_zero(l->ctx, stages, sizeof *c->z);
    return c->move && c->to && c->line && c->pixel && c->room && c->z ? ZO_OK : ZO_NO_MEMORY;
}

void zo_complete_fini(zo_complete *c)
{
    if (!c->moves) return;
    void *all[] = {c->move, c->to, c->line, c->pixel, c->room, (void *)c->z};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(c->moves->trace->l->ctx, all[i]);
}

/* ---- moves that wait ---- */

/* What the moves in pixel (y, x) of tensor `point` have in common. */
typedef struct spot {
    const zo_place *at;
    const zo_way *way;
    int y, x;
    double *to; /* of the set */
} spot;

void zo_complete_points(zo_complete *c, const zo_way *way, size_t first, int y, int x)
{
    zo_moves *m = c->moves;
    size_t parts = (c->n + way->rows - 1) / way->rows, done = 0;
    for (; parts > 0; parts--) {
        size_t n = (c->n - done) / parts;
        for (size_t i = done; i < done + n; i++)
            zo_moves_add_row(m, first + (size_t)c->move[i].example, c->to[i]);
        zo_partial p = {.net = net_of(c),
                        .m = n,
                        .y = y,
                        .x = x,
                        .move = c->move + done,
                        .example = m->example,
                        .tensor = m->trace->tensor,
                        .z = c->z,
                        .room = c->room};
        double cost = zo_partial_run(&p, way, zo_moves_waiting(m, way->tail - 1));
        m->cost += cost > 0 ? cost * (double)n : 0;
        if (cost < 0)
            m->n = 0; /* nobody sees them: their losses are the clean ones */
        else
            zo_moves_run(m, way->tail - 1);
        done += n;
    }
    c->n = 0;
}

static void run_points(zo_complete *c, const spot *s)
{
    zo_complete_points(c, s->way, s->at->first, s->y, s->x);
}

/* Outputs j .. j + n - 1 of row r move units `unit` .. of tensor `point` by change[n]. Not a branch for each, for it could not be foreseen: a
 * move that changes nothing is overwritten. */
static void add_points(zo_complete *c, const spot *s, size_t r, size_t j, int32_t unit,
                       const float *change, size_t n)
{
    double *to = s->to + r * (size_t)net_of(c)->stage[s->at->stage].outputs + j;
    for (size_t done = 0, some; done < n; done += some) {
        size_t at = c->n;
        some = n - done < ZO_COMPLETE_POINTS - at ? n - done : ZO_COMPLETE_POINTS - at;
        for (size_t i = done; i < done + some; i++) {
            c->move[at] = (zo_move){(int32_t)r, unit + (int32_t)i, change[i]};
            c->to[at] = to + i;
            at += change[i] != 0;
        }
        c->n = at;
        if (at == ZO_COMPLETE_POINTS) run_points(c, s);
    }
}

/* ---- what a move is at the point ---- */

/* The largest numbers of each channel among the pixels of a window, and the next. */
static void largest_two(const float *h, zo_patch w, size_t line, size_t pitch, float *restrict best,
                        float *restrict next)
{
    for (size_t j = 0; j < pitch; j++) best[j] = next[j] = -INFINITY;
    for (int y = w.y; y < w.y + w.height; y++) {
        for (int x = w.x; x < w.x + w.width; x++) {
            const float *restrict now = h + (size_t)y * line + (size_t)x * pitch;
            for (size_t j = 0; j < pitch; j++) {
                float lower = now[j] < best[j] ? now[j] : best[j];
                next[j] = lower > next[j] ? lower : next[j];
                best[j] = now[j] > best[j] ? now[j] : best[j];
            }
        }
    }
}

/* What a pooling makes of numbers of one pixel that move alone, n channels: of the largest, or of the mean of so many. */
static void change_largest(const float *restrict h, const float *restrict moved,
                           const float *restrict best, const float *restrict next, size_t n,
                           float *restrict change)
{
    for (size_t i = 0; i < n; i++) {
        float others = h[i] == best[i] ? next[i] : best[i];
        change[i] = (moved[i] > others ? moved[i] : others) - best[i];
    }
}

static void change_mean(const float *restrict h, const float *restrict moved, float parts, size_t n,
                        float *restrict change)
{
    for (size_t i = 0; i < n; i++) change[i] = (moved[i] - h[i]) / parts;
}

/* All moves that pass through pixel (y, x) of tensor `point`, of one row; `moved` begins with line `first` of the outputs. */
static void add_window(zo_complete *c, const spot *s, size_t r, const float *moved, int first)
{
    const zo_net *net = net_of(c);
    const zo_stage *st = net->stage + s->at->stage;
    const float *h = c->moves->trace->h[s->at->stage] + (s->at->first + r) * st->ld_out;
    size_t pitch = st->out.pitch, width = (size_t)st->out.width, n = (size_t)st->out.channels;
    int points = s->way->pooled ? st[1].out.width : st->out.width;
    int32_t unit = (s->y * points + s->x) * st->out.channels;
    bool largest = s->way->pooled && st[1].layer->pools == ZO_POOLS_LARGEST;
    float *best = c->pixel, *next = best + pitch, *change = next + pitch;
    zo_patch w = zo_way_window(s->way, net, s->y, s->x);
    if (largest) largest_two(h, w, width * pitch, pitch, best, next);
    for (int y = w.y; y < w.y + w.height; y++) {
        for (int x = w.x; x < w.x + w.width; x++) {
            size_t pixel = (size_t)y * width + (size_t)x, at = pixel * pitch;
            const float *now = moved + at - (size_t)first * width * pitch;
            if (largest)
                change_largest(h + at, now, best, next, n, change);
            else
                change_mean(h + at, now, (float)(w.height * w.width), n, change);
            add_points(c, s, r, pixel * n, unit, change, n);
        }
    }
}

/* Activations of the outputs that a line of windows sees, each moved: moved[n] of one row. */
static void move_line(const zo_complete *c, const zo_place *at, size_t r, size_t first, size_t n,
                      float move, float *moved)
{
    const zo_net *net = net_of(c);
    const zo_stage *s = net->stage + at->stage;
    const float *z = zo_moves_z(c->moves, at, r) + first;
    for (size_t j = 0; j < n; j++) moved[j] = z[j] + move;
    if (s->activation)
        zo_stage_activate(net->ctx->kernels, s)(moved, s->out.pitch, moved, s->out.pitch,
                                                n / s->out.pitch, (size_t)s->out.channels,
                                                s->number);
}

/* ---- pixels that move whole ---- */

/* Where a move changes several channels: passes of whole rows. */
static void complete_by_row(zo_complete *c, const zo_place *at, const float *move, double *to)
{
    zo_moves *m = c->moves;
    const zo_net *net = net_of(c);
    const zo_stage *st = net->stage + at->stage;
    size_t ld = st->ld_out, channels = (size_t)st->out.channels;
    zo_activate_fn f = zo_stage_activate(net->ctx->kernels, st);
    for (size_t r = 0; r < at->m; r++) {
        const float *h = m->trace->h[at->stage] + (at->first + r) * ld, *z = zo_moves_z(m, at, r);
        for (size_t j = 0; j < (size_t)st->outputs; j++) {
            size_t pixel = j / channels * st->out.pitch;
            memcpy(c->line, z + pixel, channels * sizeof *z);
            c->line[j % channels] += move[r];
            f(c->line, st->out.pitch, c->line, st->out.pitch, 1, channels, st->number);
            if (!memcmp(c->line, h + pixel, channels * sizeof *h)) continue;
            float *row = zo_moves_waiting(m, at->stage) + m->n * ld;
            memcpy(row, h, ld * sizeof *h);
            memcpy(row + pixel, c->line, channels * sizeof *row);
            zo_moves_add_row(m, at->first + r, to + r * (size_t)st->outputs + j);
            if (m->n == m->rows) zo_moves_run(m, at->stage);
        }
    }
    zo_moves_run(m, at->stage);
}

void zo_complete_run(zo_complete *c, const zo_place *at, const zo_way *way, const float *move,
                     double *to)
{
    const zo_net *net = net_of(c);
    const zo_stage *st = net->stage + at->stage;
    const zo_shape *points = way->pooled ? &st[1].out : &st->out;
    size_t line = (size_t)st->out.width * st->out.pitch, floats = line_floats(net, way);
    if (way->pixels) {
        complete_by_row(c, at, move, to);
        return;
    }
    for (int i = 0; i < net->stages; i++)
        c->z[i] = zo_trace_z(c->moves->trace, i, at->first, at->worker);
    spot s = {.at = at, .way = way, .to = to};
    for (s.y = 0; s.y < points->height; s.y++) {
        zo_patch w = zo_way_window(way, net, s.y, 0);
        for (size_t r = 0; r < at->m; r++)
            move_line(c, at, r, (size_t)w.y * line, (size_t)w.height * line, move[r],
                      c->line + r * floats);
        for (s.x = 0; s.x < points->width; s.x++) {
            for (size_t r = 0; r < at->m; r++) add_window(c, &s, r, c->line + r * floats, w.y);
            if (!way->whole) run_points(c, &s);
        }
    }
    run_points(c, &s);
}

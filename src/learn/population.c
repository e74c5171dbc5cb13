#include "learn/population.h"

#include <math.h>
#include <string.h>

#define ROOM_FLOATS 131072 /* of a tensor of a chunk: it stays in the nearer caches */
#define LEAST_ROWS 16
#define ROWS_ALONE 4
#define PIECE_FLOATS 4096 /* of noisy weights, unless one panel is larger */
#define RESULTS 2         /* numbers of a pair */

static size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }
static size_t parts_of(size_t n, size_t part) { return (n + part - 1) / part; }

static int index_of(const zo_population *p, const zo_stage *s)
{
    return (int)(s - p->l->net->stage);
}

static bool frozen(const zo_population *p, const zo_stage *s)
{
    return zo_learner_frozen(p->l, index_of(p, s));
}

static bool own(const zo_population *p, const zo_stage *s)
{
    return p->kind->own && !frozen(p, s) && p->kind->own(s);
}

/* Columns of a piece of noisy weights. */
static size_t piece_columns(const zo_stage *s)
{
    size_t panels = PIECE_FLOATS / (s->rows * ZO_PANEL);
    return size_min(ZO_PANEL * size_max(panels, 1), zo_round16(s->columns));
}

static size_t piece_floats(const zo_stage *s)
{
    return s->layer->product ? s->rows * piece_columns(s) : s->weight_floats;
}

/* Two-sided, z of the first stage is z0 + x (sigma xi) and z0 - x (sigma xi): one product serves both members. Not for convolutions: they have
 * few terms and many outputs, so that z0 would be read for longer than a second product takes. */
static bool shares_first(const zo_population *p)
{
    const zo_stage *s = p->l->net->stage;
    return p->sides == 2 && !p->set.alone && s->layer->flat && s->layer->product && !own(p, s) &&
           !frozen(p, s);
}

/* How far the outputs of two rows lie apart. */
static size_t ld_y(const zo_population *p)
{
    return p->l->net->stage[p->l->net->stages - 1].ld_out;
}

/* ---- sizes ---- */

/* Floats of the largest piece of noisy weights, and of the largest bias. */
static void largest_pieces(const zo_population *p, size_t *piece, size_t *bias)
{
    *piece = *bias = 16;
    for (int i = 0; i < p->l->net->stages; i++) {
        const zo_stage *s = p->l->net->stage + i;
        if (own(p, s) || frozen(p, s)) continue;
        *piece = size_max(*piece, piece_floats(s));
        *bias = size_max(*bias, s->bias_floats);
    }
}

/* As many rows as inference runs together, or fewer: with the noise they take its room and a 96th of the network. */
static size_t rows_alone(const zo_population *p)
{
    const zo_net *net = p->l->net;
    size_t piece, bias, width = (size_t)net->slots * net->widest, rows = zo_net_rows(net);
    largest_pieces(p, &piece, &bias);
    size_t room = rows * width + net->arena / 96, taken = 2 * (piece + bias);
    return size_min(size_max((room - size_min(taken, room)) / width, ROWS_ALONE), rows);
}

static void plan_rows(zo_population *p, size_t most)
{
    size_t rows = size_max(ROOM_FLOATS / p->l->net->widest, LEAST_ROWS), pair = p->sides * p->seen;
    if (p->set.alone)
        rows = size_min(rows_alone(p), 2 * ZO_ITEM) / 2 * 2; /* as many of both members */
    p->chunks = parts_of(pair, size_max(rows, p->sides));
    p->chunk = parts_of(p->seen, p->chunks);
    p->chunks = parts_of(p->seen, p->chunk);
    p->group = p->chunks > 1 ? 1 : size_max(size_min(rows / pair, most), 1);
    p->rows = p->group * p->sides * p->chunk;
}

static zo_status init_worker(zo_chunk *c, const zo_population *p)
{
    const zo_learner *l = p->l;
    const zo_net *net = l->net;
    size_t piece, bias, rows = p->rows;
    largest_pieces(p, &piece, &bias);
    bool signs = p->set.noise == ZO_NOISE_RADEMACHER, numbers = !signs || p->kind->numbers;
    size_t noise = size_max(piece, bias), moved = shares_first(p) ? net->stage->ld_out : 1;
    c->example = zo_alloc(l->ctx, rows * sizeof *c->example);
    c->scratch = zo_alloc_zero(l->ctx, zo_net_scratch(net, rows), sizeof(float));
    c->weight = zo_alloc(l->ctx, piece * sizeof(float));
    c->bias[0] = zo_alloc(l->ctx, bias * sizeof(float));
    c->bias[1] = zo_alloc(l->ctx, bias * sizeof(float));
    c->moved = zo_alloc_zero(l->ctx, p->chunk * moved, sizeof(float));
    c->signs = zo_alloc(l->ctx, (noise / 16 + 16) * sizeof(uint16_t));
    c->numbers = zo_alloc(l->ctx, (numbers ? noise : 1) * sizeof(float));
    size_t outputs = (size_t)net->outputs, answers = p->whole ? p->seen : rows;
    c->label = zo_alloc(l->ctx, answers * sizeof *c->label);
    c->loss = zo_alloc(l->ctx, rows * sizeof(float));
    c->target = zo_alloc(l->ctx, (l->target ? answers * outputs : 1) * sizeof(float));
    c->y = zo_alloc_zero(l->ctx, p->whole ? p->group * p->sides * p->seen * ld_y(p) : 1,
                         sizeof(float));
    c->loss_room = zo_alloc(l->ctx, (p->whole ? zo_loss_room((size_t)l->batch, outputs) : 1) *
                                        sizeof *c->loss_room);
    bool all = c->example && c->scratch && c->weight && c->bias[0] && c->bias[1] && c->moved &&
               c->signs && c->numbers && c->label && c->loss && c->target && c->y && c->loss_room;
    if (!all) return ZO_NO_MEMORY;
    c->room = zo_net_room(net, c->scratch);
    return ZO_OK;
}

zo_status zo_population_init(zo_population *p, const zo_population_kind *kind,
                             const zo_population_settings *set, const zo_learner *l, size_t most)
{
    p->l = l;
    p->kind = kind;
    p->set = *set;
    size_t batch = (size_t)l->batch, n = (size_t)set->population;
    p->pairs = n;
    p->sides = set->two_sided ? 2 : 1;
    p->seen = set->examples && set->examples < l->batch ? (size_t)set->examples : batch;
    p->whole = zo_learner_whole(l);
    plan_rows(p, most);
    const zo_stage *s = l->net->stage;
    bool keep = shares_first(p) || own(p, s);
    int workers = zo_context_threads(l->ctx);
    p->worker = zo_alloc_zero(l->ctx, (size_t)workers, sizeof *p->worker);
    p->clean = zo_alloc_zero(l->ctx, batch, sizeof(float));
    p->plus = zo_alloc(l->ctx, n * sizeof(double));
    p->minus = zo_alloc(l->ctx, n * sizeof(double));
    p->weight = zo_alloc(l->ctx, n * sizeof(double));
    p->order = zo_alloc(l->ctx, 2 * n * sizeof(int32_t));
    if (keep) p->z = zo_alloc_zero(l->ctx, batch * s->ld_out, sizeof(float));
    if (p->whole) p->y = zo_alloc_zero(l->ctx, batch * ld_y(p), sizeof(float));
    bool all = p->worker && p->clean && p->plus && p->minus && p->weight && p->order &&
               (p->z || !keep) && (p->y || !p->whole);
    zo_status status = all ? ZO_OK : ZO_NO_MEMORY;
    for (int i = 0; i < workers && !status; i++) status = init_worker(p->worker + i, p);
    return status;
}

void zo_population_fini(zo_population *p)
{
    if (!p->l) return;
    const zo_context *ctx = p->l->ctx;
    for (int i = 0; p->worker && i < zo_context_threads(ctx); i++) {
        zo_chunk *c = p->worker + i;
        void *all[] = {c->example, c->scratch, c->weight,   c->bias[0], c->bias[1],
                       c->moved,   c->signs,   c->numbers,  c->label,   c->loss,
                       c->target,  c->y,       c->loss_room};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++) zo_free(ctx, all[a]);
    }
    void *all[] = {p->worker, p->clean, p->plus, p->minus, p->weight, p->order, p->z, p->y};
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) zo_free(ctx, all[a]);
}

/* ---- the unperturbed network ---- */

/* Rows of the batch from `first` on, m of them, in the worker's room. */
static void run_clean(zo_population *p, zo_chunk *c, size_t first, size_t m)
{
    const zo_learner *l = p->l;
    const zo_net *net = l->net;
    const zo_stage *s = net->stage;
    const float *x = l->x + first * s->ld_in;
    float *h = zo_net_slot(net, c->scratch, p->rows, 0);
    zo_rows rows = {.m = m, .in = x, .ld = s->ld_in, .h = h};
    if (p->z) rows.z = p->z + first * s->ld_out;
    zo_stage_forward(net, s, &c->room, zo_stage_weight(s, net->params),
                     zo_stage_bias(s, net->params), &rows);
    zo_tail tail = {.params = net->params,
                    .from = 1,
                    .m = m,
                    .in = h,
                    .ld = s->ld_out,
                    .cache = &x,
                    .scratch = c->scratch,
                    .most = p->rows};
    size_t outputs = (size_t)net->outputs;
    const float *y = zo_net_tail(net, &tail);
    if (p->whole)
        memcpy(p->y + first * ld_y(p), y, m * ld_y(p) * sizeof *y);
    else
        zo_learner_losses(l, p->clean + first, y, m, l->label ? l->label + first : NULL,
                          l->target ? l->target + first * outputs : NULL);
}

static size_t clean_rows(const zo_population *p) { return size_min(p->rows, 64); }

static void clean_part(void *arg, int64_t part, int worker)
{
    zo_population *p = arg;
    size_t rows = clean_rows(p), first = (size_t)part * rows;
    run_clean(p, p->worker + worker, first, size_min(rows, (size_t)p->l->batch - first));
}

/* The mean of the finite clean losses of n examples, of which the first is row `first` of the batch; NaN if there is none. */
static double clean_mean(const zo_population *p, size_t first, size_t n, size_t *finite)
{
    double sum = 0;
    *finite = 0;
    for (size_t i = 0; i < n; i++) {
        float loss = p->clean[(first + i) % (size_t)p->l->batch];
        if (!isfinite(loss)) continue;
        sum += loss;
        ++*finite;
    }
    return *finite ? sum / (double)*finite : NAN;
}

/* ---- rows ---- */

float *zo_chunk_tensor(const zo_population *p, const zo_chunk *c, int tensor)
{
    return zo_net_slot(p->l->net, c->scratch, p->rows, tensor - 1);
}

size_t zo_chunk_run(const zo_population *p, const zo_chunk *c, size_t r)
{
    size_t left = c->examples - r % c->examples;
    return size_min(left, (size_t)(p->l->batch - c->example[r]));
}

/* Rows r, r + 1, ... of one member at stage i, as many as lie together, at most to the member's end. */
static zo_rows rows_at(const zo_population *p, const zo_chunk *c, int i, size_t r)
{
    const zo_learner *l = p->l;
    const zo_stage *s = l->net->stage + i;
    float *h = zo_chunk_tensor(p, c, i + 1) + r * s->ld_out;
    zo_rows rows = {.m = c->examples - r % c->examples, .ld = s->ld_in, .h = h};
    if (i == 0) {
        rows.m = zo_chunk_run(p, c, r);
        rows.in = l->x + (size_t)c->example[r] * s->ld_in;
    } else {
        rows.in = zo_chunk_tensor(p, c, i) + r * s->ld_in;
    }
    if (s->layer->residual && s->skip) {
        rows.other = zo_chunk_tensor(p, c, s->skip) + r * s->ld_other;
    } else if (s->layer->residual) {
        rows.other = l->x;
        rows.example = c->example + r;
    }
    if (!s->layer->product) rows.z = h;
    return rows;
}

/* One member's rows through columns of stage i. */
static void run_member(const zo_population *p, zo_chunk *c, int i, size_t row, const float *weight,
                       const float *bias, size_t column, size_t n)
{
    const zo_stage *s = p->l->net->stage + i;
    for (size_t e = 0; e < c->examples;) {
        zo_rows rows = rows_at(p, c, i, row + e);
        s->layer->forward(p->l->k, s, &c->room, weight, bias, column, n, &rows);
        e += rows.m;
    }
}

/* ---- noisy stages ---- */

/* out = in + move * the pair's noise of n parameters of stage i; in NULL: move * noise. Second sides take what draw() left. */
static void perturb(const zo_population *p, const zo_draw *d, const float *in, size_t n, float move,
                    float *out)
{
    p->l->k->add_noise(out, in, n, move, d->signs, d->numbers);
}

static float move_of(const zo_population *p, size_t side)
{
    return side ? -(float)p->set.sigma : (float)p->set.sigma;
}

/* Fills the biases of the pair's members at stage i. */
static void perturb_bias(const zo_population *p, zo_chunk *c, int64_t pair, int i)
{
    const zo_stage *s = p->l->net->stage + i;
    if (!s->has_bias) return;
    zo_draw d = p->kind->draw(p, c, pair, i, s->weight_floats, s->bias_floats);
    for (size_t side = 0; side < c->sides; side++)
        perturb(p, &d, p->l->net->params + s->bias, s->bias_floats, move_of(p, side), c->bias[side]);
}

/* The pair's members through stage i, piece by piece of their weights. */
static void run_pieces(const zo_population *p, zo_chunk *c, int i, size_t pair)
{
    const zo_stage *s = p->l->net->stage + i;
    const float *weight = p->l->net->params + s->weight;
    int64_t draw = c->pair + (int64_t)pair;
    size_t step = s->layer->product ? piece_columns(s) : s->columns;
    perturb_bias(p, c, draw, i);
    for (size_t column = 0; column < s->columns; column += step) {
        size_t n = size_min(s->columns - column, step),
               at = s->layer->product ? column * s->rows : 0,
               floats = s->layer->product ? s->rows * zo_round16(n) : s->weight_floats;
        zo_draw d = p->kind->draw(p, c, draw, i, at, floats);
        for (size_t side = 0; side < c->sides; side++) {
            perturb(p, &d, weight + at, floats, move_of(p, side), c->weight);
            run_member(p, c, i, zo_chunk_row(c, pair, side), c->weight,
                       s->has_bias ? c->bias[side] + column : NULL, column, n);
        }
    }
}

/* What the pair's noise adds to the outputs of the first stage, for all of its examples. */
static void move_first(const zo_population *p, zo_chunk *c, size_t pair)
{
    const zo_learner *l = p->l;
    zo_stage s = *l->net->stage;
    s.activation = NULL; /* of the sum only */
    int64_t draw = c->pair + (int64_t)pair;
    size_t step = piece_columns(&s), row = zo_chunk_row(c, pair, 0);
    if (s.has_bias) {
        zo_draw d = p->kind->draw(p, c, draw, 0, s.weight_floats, s.bias_floats);
        perturb(p, &d, NULL, s.bias_floats, move_of(p, 0), c->bias[0]);
    }
    for (size_t column = 0; column < s.columns; column += step) {
        size_t n = size_min(s.columns - column, step), floats = s.rows * zo_round16(n);
        zo_draw d = p->kind->draw(p, c, draw, 0, column * s.rows, floats);
        perturb(p, &d, NULL, floats, move_of(p, 0), c->weight);
        for (size_t e = 0; e < c->examples;) {
            zo_rows rows = rows_at(p, c, 0, row + e);
            rows.h = c->moved + e * s.ld_out;
            s.layer->forward(l->k, &s, &c->room, c->weight, s.has_bias ? c->bias[0] + column : NULL,
                             column, n, &rows);
            e += rows.m;
        }
    }
}

static void run_first(const zo_population *p, zo_chunk *c, size_t pair)
{
    const zo_learner *l = p->l;
    const zo_stage *s = l->net->stage;
    bool grouped = zo_stage_grouped(s);
    zo_activate_fn f = grouped ? NULL : zo_stage_activate(l->k, s);
    move_first(p, c, pair);
    for (size_t side = 0; side < 2; side++) {
        size_t row = zo_chunk_row(c, pair, side);
        l->k->disturb(zo_chunk_tensor(p, c, 1) + row * s->ld_out, s->ld_out, p->z, s->ld_out, NULL,
                      c->example + row, c->examples, s->ld_out, side ? -1 : 1, NULL, 0, c->moved,
                      s->ld_out, f, s->number);
    }
}

/* A member through a stage that has no noise. */
static void run_still(const zo_population *p, zo_chunk *c, int i, size_t pair)
{
    const zo_net *net = p->l->net;
    const zo_stage *s = net->stage + i;
    for (size_t side = 0; side < c->sides; side++)
        run_member(p, c, i, zo_chunk_row(c, pair, side), zo_stage_weight(s, net->params),
                   zo_stage_bias(s, net->params), 0, s->columns);
}

/* All rows of the chunk through stage i. */
static void run_stage(const zo_population *p, zo_chunk *c, int i)
{
    const zo_net *net = p->l->net;
    const zo_stage *s = net->stage + i;
    if (own(p, s)) {
        p->kind->run(p, c, i);
        return;
    }
    for (size_t pair = 0; pair < c->pairs; pair++) {
        if (i == 0 && shares_first(p))
            run_first(p, c, pair);
        else if (zo_learner_moving(p->l, i))
            run_pieces(p, c, i, pair);
        else
            run_still(p, c, i, pair);
    }
    float *h = zo_chunk_tensor(p, c, i + 1);
    if (s->activation && (!s->layer->product || s->activation->grouped))
        zo_stage_activation(net, s, c->m, h, h);
}

/* ---- outcomes ---- */

/* Where the examples of a pair begin in the batch. */
static size_t first_seen(const zo_population *p, int64_t pair)
{
    return (size_t)pair * p->seen % (size_t)p->l->batch;
}

/* The answers of n examples of the batch, from row `first` on and around its end, for rows r, r + 1, ... */
static void fill_answers(const zo_population *p, zo_chunk *c, size_t r, size_t first, size_t n)
{
    const zo_learner *l = p->l;
    size_t outputs = (size_t)l->net->outputs;
    for (size_t i = 0; i < n; i++, r++) {
        size_t b = (first + i) % (size_t)l->batch;
        if (l->label)
            c->label[r] = l->label[b];
        else
            memcpy(c->target + r * outputs, l->target + b * outputs, outputs * sizeof(float));
    }
}

static void fill_rows(const zo_population *p, zo_chunk *c)
{
    size_t batch = (size_t)p->l->batch, r = 0;
    c->m = c->pairs * c->sides * c->examples;
    for (size_t pair = 0; pair < c->pairs; pair++) {
        size_t first = first_seen(p, c->pair + (int64_t)pair) + c->first;
        for (size_t side = 0; side < c->sides; side++, r += c->examples) {
            for (size_t i = 0; i < c->examples; i++)
                c->example[r + i] = (int32_t)((first + i) % batch);
            if (!p->whole) fill_answers(p, c, r, first, c->examples);
        }
    }
}

void zo_population_run(const zo_population *p, zo_chunk *c)
{
    const zo_learner *l = p->l;
    c->sides = p->sides;
    fill_rows(p, c);
    for (int i = 0; i < l->net->stages; i++) run_stage(p, c, i);
    if (p->whole) return; /* losses come when all outputs are there */
    zo_learner_losses(l, c->loss, zo_chunk_tensor(p, c, l->net->stages), c->m,
                      l->label ? c->label : NULL, l->label ? NULL : c->target);
}

/* Adds the losses of the chunk's rows to the sums [pair][2]; a member that loses other examples than the unperturbed network gets NaN. */
static void add_losses(const zo_population *p, const zo_chunk *c, double *sum)
{
    for (size_t r = 0; r < c->m; r++) {
        size_t member = r / c->examples, at = 2 * (member / c->sides) + member % c->sides;
        bool finite = isfinite(c->loss[r]), wanted = isfinite(p->clean[c->example[r]]);
        if (finite != wanted)
            sum[at] = NAN;
        else if (finite)
            sum[at] += c->loss[r];
    }
}

/* The pairs' sums become means. */
static void take_means(const zo_population *p, const zo_chunk *c, double *results)
{
    for (size_t i = 0; i < c->pairs; i++) {
        size_t n;
        double clean = clean_mean(p, first_seen(p, c->pair + (int64_t)i), p->seen, &n);
        results[2 * i] = n ? results[2 * i] / (double)n : NAN;
        results[2 * i + 1] = p->sides == 1 ? clean : n ? results[2 * i + 1] / (double)n : NAN;
    }
}

/* Where the outputs of a member lie. */
static float *outputs_of(const zo_population *p, const zo_chunk *c, size_t pair, size_t side)
{
    return c->y + (pair * p->sides + side) * p->seen * ld_y(p);
}

/* Puts the outputs of the chunk's rows where the members' other ones are. */
static void keep_outputs(const zo_population *p, zo_chunk *c)
{
    size_t ld = ld_y(p);
    const float *y = zo_chunk_tensor(p, c, p->l->net->stages);
    for (size_t pair = 0; pair < c->pairs; pair++) {
        for (size_t side = 0; side < c->sides; side++)
            memcpy(outputs_of(p, c, pair, side) + c->first * ld,
                   y + zo_chunk_row(c, pair, side) * ld, c->examples * ld * sizeof *y);
    }
}

/* The unperturbed network's loss on the examples that a pair sees; writes over the outputs of its first member. */
static double clean_whole(const zo_population *p, zo_chunk *c, size_t pair, size_t first)
{
    const zo_learner *l = p->l;
    size_t batch = (size_t)l->batch, ld = ld_y(p);
    float *y = outputs_of(p, c, pair, 0);
    if (p->seen == batch) return p->clean_whole;
    for (size_t i = 0; i < p->seen; i++)
        memcpy(y + i * ld, p->y + (first + i) % batch * ld, ld * sizeof *y);
    return zo_learner_batch_loss(l, y, p->seen, l->label ? c->label : NULL,
                                 l->label ? NULL : c->target, c->loss_room);
}

/* The members' losses on all that they see. */
static void take_whole(const zo_population *p, zo_chunk *c, double *results)
{
    const zo_learner *l = p->l;
    for (size_t i = 0; i < c->pairs; i++) {
        size_t first = first_seen(p, c->pair + (int64_t)i);
        fill_answers(p, c, 0, first, p->seen);
        for (size_t side = 0; side < p->sides; side++)
            results[2 * i + side] = zo_learner_batch_loss(l, outputs_of(p, c, i, side), p->seen,
                                                          l->label ? c->label : NULL,
                                                          l->label ? NULL : c->target, c->loss_room);
        if (p->sides == 1) results[2 * i + 1] = clean_whole(p, c, i, first);
    }
}

static void run_group(zo_population *p, zo_chunk *c, int64_t item, double *results)
{
    c->pair = item * (int64_t)p->group;
    c->pairs = size_min(p->group, p->pairs - (size_t)c->pair);
    memset(results, 0, RESULTS * p->group * sizeof *results);
    for (c->first = 0; c->first < p->seen; c->first += p->chunk) {
        c->examples = size_min(p->chunk, p->seen - c->first);
        zo_population_run(p, c);
        if (p->whole)
            keep_outputs(p, c);
        else
            add_losses(p, c, results);
    }
    if (p->whole)
        take_whole(p, c, results);
    else
        take_means(p, c, results);
}

static size_t groups(const zo_population *p) { return parts_of(p->pairs, p->group); }

/* Items are groups of pairs; the item after the last is the unperturbed network: its loss, and how many examples have none. */
static void evaluate(void *st, int64_t first, int64_t n, double *results, int worker)
{
    zo_population *p = st;
    for (int64_t i = first; i < first + n; i++, results += RESULTS * p->group) {
        if (i < (int64_t)groups(p)) {
            run_group(p, p->worker + worker, i, results);
            continue;
        }
        size_t batch = (size_t)p->l->batch, finite = batch;
        results[0] = p->whole ? p->clean_whole : clean_mean(p, 0, batch, &finite);
        results[1] = (double)(batch - finite);
    }
}

static size_t clean_at(const zo_population *p) { return RESULTS * p->group * groups(p); }

static zo_status check(void *st, const double *results)
{
    const zo_population *p = st;
    if (isfinite(results[clean_at(p)])) return ZO_OK;
    return zo_fail(p->l->ctx, ZO_DIVERGED,
                   "no loss of the batch is finite any more; try a smaller lr or sigma");
}

/* The weight of each pair; a dropped one weighs nothing. */
static void settle(void *st, const double *results, int64_t part, int worker)
{
    (void)part, (void)worker;
    zo_population *p = st;
    const double *clean = results + clean_at(p);
    p->loss = clean[0];
    p->dropped = (int64_t)clean[1];
    for (size_t i = 0; i < p->pairs; i++) {
        double plus = results[2 * i], minus = results[2 * i + 1];
        bool good = isfinite(plus) && isfinite(minus);
        double middle = p->kind->centred && good ? plus / 2 + minus / 2 : 0;
        p->plus[i] = good ? plus - middle : p->kind->centred ? 0 : p->loss;
        p->minus[i] = good ? minus - middle : p->plus[i];
        p->dropped += !good;
    }
    zo_shaping_apply((zo_shaping)p->set.shaping, p->pairs, p->plus, p->minus, p->weight, p->order);
    double scale = 1 / ((double)p->sides * p->set.sigma * (double)p->pairs);
    for (size_t i = 0; i < p->pairs; i++) p->weight[i] *= scale;
}

static void run_unperturbed(zo_population *p)
{
    const zo_learner *l = p->l;
    zo_parallel(l->ctx, (int64_t)parts_of((size_t)l->batch, clean_rows(p)), clean_part, p);
    if (p->whole)
        p->clean_whole = zo_learner_batch_loss(l, p->y, (size_t)l->batch, l->label, l->target,
                                               p->worker->loss_room);
}

zo_job zo_population_job(zo_population *p, const zo_update *update)
{
    const zo_learner *l = p->l;
    p->update = update;
    if (l->example) /* else the results are known, or only their number is asked for */
        run_unperturbed(p);
    return (zo_job){.state = p,
                    .items = (int64_t)groups(p) + 1,
                    .results = RESULTS * p->group,
                    .evaluate = evaluate,
                    .check = check,
                    .parts = 1,
                    .settle = settle};
}

void zo_population_report(const void *st, const double *results, zo_step_info *out)
{
    (void)results;
    const zo_population *p = st;
    out->loss = p->loss;
    out->dropped = p->dropped;
}

/* Of a pair whose second loss is the clean one of the whole batch the first alone is written. */
static size_t written(const zo_population *p)
{
    return p->sides == 2 || p->seen < (size_t)p->l->batch ? 2 : 1;
}

size_t zo_population_pack(const void *st, const double *results, double *out)
{
    const zo_population *p = st;
    size_t each = written(p), n = 0;
    for (size_t i = 0; i < 2; i++) out[n++] = results[clean_at(p) + i];
    for (size_t i = 0; i < p->pairs; i++) {
        for (size_t side = 0; side < each; side++) out[n++] = results[2 * i + side];
    }
    return n;
}

bool zo_population_unpack(const void *st, const double *in, size_t n, double *results)
{
    const zo_population *p = st;
    size_t each = written(p);
    if (n != 2 + each * p->pairs || !(in[1] >= 0 && in[1] <= p->l->batch)) return false;
    for (size_t i = 0; i < 2; i++) results[clean_at(p) + i] = in[i];
    for (size_t i = 0; i < p->pairs; i++) {
        results[2 * i] = in[2 + each * i];
        results[2 * i + 1] = each == 2 ? in[3 + 2 * i] : in[0];
    }
    return true;
}

double *zo_population_weights(void *st, size_t *n)
{
    zo_population *p = st;
    *n = p->pairs;
    return p->weight;
}

/* What the pieces of a stage's noisy weights, after the first one, form anew. */
static double again_cost(const zo_population *p, int i)
{
    const zo_stage *s = p->l->net->stage + i;
    if (!s->layer->product || !zo_learner_moving(p->l, i)) return 0;
    return (double)(parts_of(s->columns, piece_columns(s)) - 1) * s->form_cost;
}

/* Noise in parameters is a multiply-add each, as often as they are made. */
double zo_population_cost(const zo_population *p)
{
    const zo_net *net = p->l->net;
    double seen = (double)p->seen, sides = (double)p->sides, chunks = (double)p->chunks, pair = 0;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (own(p, s)) continue;
        double noise = chunks * (double)zo_learner_moving(p->l, i),
               cost = s->cost + again_cost(p, i);
        if (i == 0 && shares_first(p))
            pair += seen * cost + noise + sides * seen * s->outputs;
        else
            pair += sides * (seen * cost + noise);
    }
    double clean = p->set.alone ? 0 : (double)p->l->batch * net->cost;
    return clean + (double)p->pairs * pair;
}

/* ---- the direction ---- */

void zo_population_apply(const zo_population *p, const zo_stage *s, size_t at, size_t n, float *g)
{
    zo_stage_clear_pads(s, at, n, g);
    size_t weights = at < s->weight_floats ? size_min(n, s->weight_floats - at) : 0;
    if (weights) zo_update_apply(p->update, s->weight + at, g, weights);
    if (n > weights)
        zo_update_apply(p->update, s->bias + at + weights - s->weight_floats, g + weights,
                        n - weights);
}

#include "learn/measure.h"

#include <math.h>
#include <string.h>

#include "nn/backward.h"

#define EXAMPLES 256 /* of the batch, whose gradients are looked at one by one */
#define OTHER_NOISE 0x9e3779b97f4a7c15ull /* makes another seed of one */

static const char *word_at(const void *of, int i)
{
    static const char *const words[] = {"alignment", "alignment-straight-through", NULL};
    (void)of;
    return words[i];
}

zo_status zo_measure_check(const zo_context *ctx, const char *what)
{
    for (int i = 0; word_at(NULL, i); i++) {
        if (!strcmp(what, word_at(NULL, i))) return ZO_OK;
    }
    const char *near = zo_nearest(what, word_at, NULL);
    if (near)
        return zo_fail(ctx, ZO_USAGE, "measure=%s is not known: did you mean %s?", what, near);
    return zo_fail(ctx, ZO_USAGE, "measure=%s is not known: one of %s, %s", what, word_at(NULL, 0),
                   word_at(NULL, 1));
}

/* ---- create ---- */

static zo_status refuse(const zo_measure *m, const char *what, const char *name, const char *more)
{
    return zo_fail(m->ctx, ZO_UNSUPPORTED,
                   "measure: the %s \"%s\" has no derivative to compare a direction with%s", what,
                   name, more);
}

static zo_status check_reference(zo_measure *m, bool straight_through)
{
    const zo_learner *l = m->learner;
    const char *jump = zo_backward_jump(l->net);
    if (l->loss_fn || l->batch_fn) return refuse(m, "loss", "user", "");
    if (zo_learner_whole(l) || !l->k->loss_slope[l->loss->kind])
        return refuse(m, "loss", l->loss->info.name, "");
    m->jumps = jump != NULL;
    if (jump && !straight_through)
        return refuse(m, "activation", jump, "; alignment-straight-through invents one");
    return ZO_OK;
}

static zo_status make_maker(zo_measure_maker *k, const zo_estimator_class *class,
                            const zo_learner *l)
{
    *k = (zo_measure_maker){.class = class, .l = l};
    k->state = zo_alloc_zero(l->ctx, 1, class->state_size);
    if (!k->state) return ZO_NO_MEMORY;
    char none = 0; /* references have no settings */
    zo_status status = class->init(k->state, &none, l);
    if (status) return status;
    zo_update unused = {0};
    zo_job job = class->job(k->state, &unused);
    k->results = zo_alloc_zero(l->ctx, (size_t)job.items * job.results, sizeof *k->results);
    return k->results ? ZO_OK : ZO_NO_MEMORY;
}

static void free_maker(zo_measure_maker *k)
{
    if (k->state) k->class->fini(k->state);
    if (k->l) zo_free(k->l->ctx, k->state);
    if (k->l) zo_free(k->l->ctx, k->results);
}

static zo_status make_layers(zo_measure *m)
{
    const zo_net *net = m->learner->net;
    size_t stages = (size_t)net->stages;
    m->stage = zo_alloc_zero(m->ctx, stages, sizeof *m->stage);
    m->layer = zo_alloc_zero(m->ctx, stages, sizeof *m->layer);
    m->squares = zo_alloc_zero(m->ctx, stages, sizeof *m->squares);
    if (!m->stage || !m->layer || !m->squares) return ZO_NO_MEMORY;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (!s->rows || zo_learner_frozen(m->learner, i)) continue;
        m->layer[m->layers] =
            (zo_measured){.layer = s->word, .word = net->word[s->word], .parameters = s->parameters};
        m->stage[m->layers++] = i;
    }
    return ZO_OK;
}

static zo_status allocate(zo_measure *m, size_t results)
{
    size_t arena = m->learner->net->arena;
    m->found = zo_alloc_zero(m->ctx, arena, sizeof(float));
    m->wanted = zo_alloc_zero(m->ctx, arena, sizeof(float));
    m->half = zo_alloc_zero(m->ctx, arena, sizeof(float));
    m->of = zo_alloc_zero(m->ctx, arena, sizeof(float));
    m->halves = zo_alloc_zero(m->ctx, results, sizeof *m->halves);
    m->one = *m->learner;
    m->one.batch = 1;
    m->one.x = zo_alloc_zero(m->ctx, m->one.net->stage[0].ld_in, sizeof(float));
    m->update = (zo_update){.k = m->one.k, .net = m->one.net};
    bool all = m->found && m->wanted && m->half && m->of && m->halves && m->one.x;
    return all ? make_layers(m) : ZO_NO_MEMORY;
}

static zo_status make(zo_measure *m, const zo_trainer_def *def, bool straight_through)
{
    zo_status status = zo_trainer_create(m->ctx, def, &m->twin);
    if (status) return status;
    if (m->twin->class != &zo_trainer_perturb)
        return zo_fail(m->ctx, ZO_UNSUPPORTED, "measure: %s has no direction to measure",
                       m->twin->class->info.name);
    zo_perturb_parts parts = zo_perturb_parts_of(m->twin);
    const zo_estimator_class *reference =
        straight_through ? &zo_estimator_straight_through : &zo_estimator_backprop;
    m->learner = parts.learner;
    m->own = (zo_measure_maker){parts.estimator, parts.learner, parts.state, parts.results};
    status = check_reference(m, straight_through);
    if (!status) status = allocate(m, parts.results_size);
    if (!status) status = make_maker(&m->reference, reference, m->learner);
    if (!status) status = make_maker(&m->of_one, reference, &m->one);
    return status;
}

zo_status zo_measure_create(zo_context *ctx, const zo_trainer_def *def, const char *what,
                            zo_measure **out)
{
    *out = NULL;
    zo_status status = zo_measure_check(ctx, what);
    if (status) return status;
    zo_measure *m = zo_alloc_zero(ctx, 1, sizeof *m);
    if (!m) return ZO_NO_MEMORY;
    m->ctx = ctx;
    status = make(m, def, strcmp(what, word_at(NULL, 0)) != 0);
    if (status)
        zo_measure_destroy(m);
    else
        *out = m;
    return status;
}

void zo_measure_destroy(zo_measure *m)
{
    if (!m) return;
    free_maker(&m->reference);
    free_maker(&m->of_one);
    void *all[] = {m->found, m->wanted, m->half,  m->of,     m->halves,
                   m->one.x, m->stage,  m->layer, m->squares};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(m->ctx, all[i]);
    zo_trainer_destroy(m->twin);
    zo_free(m->ctx, m);
}

/* ---- directions ---- */

/* The job of a maker whose direction is collected in g. */
static zo_job begin(zo_measure *m, const zo_measure_maker *k, float *g)
{
    memset(g, 0, m->learner->net->arena * sizeof *g);
    m->update.direction = g;
    m->update.step = m->update.drawn = m->learner->step + 1;
    return k->class->job(k->state, &m->update);
}

static zo_status direct(zo_measure *m, const zo_measure_maker *k, float *g)
{
    zo_job job = begin(m, k, g);
    return zo_evaluator_threads.run(m->ctx, &job, k->results);
}

static double product(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Of a layer's parts of two directions; their pads are zero. */
static double layer_product(const zo_measure *m, int layer, const float *a, const float *b)
{
    const zo_stage *s = m->learner->net->stage + m->stage[layer];
    double sum = product(a + s->weight, b + s->weight, s->weight_floats);
    return s->has_bias ? sum + product(a + s->bias, b + s->bias, s->bias_floats) : sum;
}

/* ---- what theory says ---- */

/* Mean squared lengths of the layers' gradients of single examples. */
static zo_status look_at_examples(zo_measure *m)
{
    const zo_learner *l = m->learner;
    int n = l->batch < EXAMPLES ? l->batch : EXAMPLES;
    size_t ld = l->net->stage[0].ld_in, outputs = (size_t)l->net->outputs;
    zo_status status = ZO_OK;
    memset(m->squares, 0, (size_t)m->layers * sizeof *m->squares);
    m->one.step = l->step;
    for (int b = 0; b < n && !status; b++) {
        memcpy(m->one.x, l->x + (size_t)b * ld, ld * sizeof *m->one.x);
        m->one.label = l->label ? l->label + b : NULL;
        m->one.target = l->target ? l->target + (size_t)b * outputs : NULL;
        status = direct(m, &m->of_one, m->of);
        if (status == ZO_DIVERGED) { /* of this example: it is left out everywhere */
            status = ZO_OK;
            continue;
        }
        for (int i = 0; i < m->layers && !status; i++)
            m->squares[i] += layer_product(m, i, m->of, m->of) / n;
    }
    return status;
}

static bool known(const zo_measure *m, int layer, zo_theory *out)
{
    bool (*theory)(const void *, int, zo_theory *) = m->own.class->theory;
    *out = (zo_theory){0};
    return theory && !m->jumps && theory(m->own.state, m->stage[layer], out);
}

/* From variances over squared lengths: cos^2 = 1 / (1 + variance). */
static zo_status predict(zo_measure *m)
{
    zo_theory t;
    double all = 0, sum = 0;
    bool examples = false;
    for (int i = 0; i < m->layers; i++) {
        examples |= known(m, i, &t) && t.rho > 0;
        all += layer_product(m, i, m->wanted, m->wanted);
    }
    zo_status status = examples ? look_at_examples(m) : ZO_OK;
    for (int i = 0; i < m->layers && !status; i++) {
        double g = layer_product(m, i, m->wanted, m->wanted),
               variance =
                   known(m, i, &t) ? t.constant * g + t.rho * m->squares[i] + t.all * all : NAN;
        if (variance < 0) variance = 0; /* rounding */
        m->layer[i].predicted = sqrt(g / (g + variance));
        sum += variance;
    }
    m->predicted = sqrt(all / (all + sum));
    return status;
}

/* ---- signal and noise ---- */

/* m->of and m->half: two independent parts, whose sum stands for the estimate. False where there are none. */
static zo_status take_apart(zo_measure *m, zo_job *job, bool *any)
{
    const zo_estimator_class *class = m->own.class;
    size_t arena = m->learner->net->arena, results = (size_t)job->items * job->results;
    zo_status status = ZO_OK;
    *any = class->halve || class->reseeds;
    if (class->halve) {
        memcpy(m->halves, m->own.results, results * sizeof *m->halves);
        class->halve(m->own.state, false, m->halves);
        memset(m->half, 0, arena * sizeof *m->half);
        m->update.direction = m->half;
        status = zo_job_finish(m->ctx, job, m->halves);
        for (size_t i = 0; i < arena && !status; i++) m->of[i] = m->found[i] - m->half[i];
    } else if (class->reseeds) {
        m->learner->seed ^= OTHER_NOISE;
        status = direct(m, &m->own, m->half);
        m->learner->seed ^= OTHER_NOISE;
        for (size_t i = 0; i < arena && !status; i++) m->of[i] = m->found[i];
    }
    return status;
}

/* Of halves a and b with noise of their own the sum has (a + b)^2 = signal + noise, and the difference (a - b)^2 = noise. Two estimates of the
 * whole have twice the noise of one in their difference, and signal in their product. */
static double signal_to_noise(const zo_measure *m, int layer)
{
    double aa = layer_product(m, layer, m->half, m->half),
           bb = layer_product(m, layer, m->of, m->of), ab = layer_product(m, layer, m->half, m->of);
    if (!(aa > 0) || !(bb > 0)) return NAN; /* all that there is lies in one half */
    return (m->own.class->halve ? 4 : 2) * ab / (aa + bb - 2 * ab);
}

/* ---- all of it ---- */

static zo_status estimate(zo_measure *m)
{
    bool any;
    zo_job job = begin(m, &m->own, m->found);
    zo_status status = zo_evaluator_threads.run(m->ctx, &job, m->own.results);
    if (!status) status = take_apart(m, &job, &any);
    for (int i = 0; i < m->layers && !status; i++)
        m->layer[i].snr = any ? signal_to_noise(m, i) : NAN;
    return status;
}

static void compare(zo_measure *m)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < m->layers; i++) {
        double fw = layer_product(m, i, m->found, m->wanted),
               ff = layer_product(m, i, m->found, m->found),
               ww = layer_product(m, i, m->wanted, m->wanted);
        m->layer[i].cosine = fw / sqrt(ff * ww);
        ab += fw, aa += ff, bb += ww;
    }
    m->cosine = ab / sqrt(aa * bb);
}

zo_status zo_measure_at(zo_measure *m, const zo_net *net, int64_t steps, double progress)
{
    zo_net *own = m->learner->net;
    memcpy(own->params, net->params, own->arena * sizeof *own->params);
    zo_perturb_take_batch(m->twin, steps);
    m->update.progress = progress;
    zo_status status = estimate(m);
    if (!status) status = direct(m, &m->reference, m->wanted);
    if (!status) status = predict(m);
    if (!status) compare(m);
    return status;
}

void zo_measure_learn(zo_measure *m, const zo_trainer *trainer)
{
    zo_perturb_learn(m->twin, trainer);
}

#include "learn/sites.h"

#include <math.h>
#include <stdio.h>

#define MOST_SPENT 8 /* forward-equivalents an example that a layer is ever worth */

int zo_site_examples(const zo_learner *l, double n)
{
    n = ceil(n);
    if (n > ZO_ITEM) n = ceil(n / ZO_ITEM) * ZO_ITEM;
    return n < l->batch ? (int)n : l->batch;
}

double zo_site_spread(const zo_site_plan *p, zo_noise_kind noise, size_t count)
{
    double draws = (double)count, own = noise == ZO_NOISE_GAUSSIAN ? 1 : -1;
    if (noise == ZO_NOISE_HADAMARD) own = -draws;
    return p->numbers + own > 0 ? (p->numbers + own) / draws : 0;
}

bool zo_site_is_free(const zo_site_plan *site, const zo_sites_settings *set)
{
    return site->count && set->set == ZO_SET_AUTO && (!site->complete || !set->examples);
}

/* Examples of a complete set that costs so many forward-equivalents. */
static int examples_of(const zo_learner *l, const zo_sites_settings *set, double cost)
{
    if (set->examples) return set->examples < l->batch ? (int)set->examples : l->batch;
    return set->set == ZO_SET_AUTO ? zo_site_examples(l, l->batch * set->limit / cost) : l->batch;
}

/* Moves of weights change what they are multiplied by, about one for each of the inputs. */
static float sigma_of(const zo_stage *st, const zo_sites_settings *set, bool weights, double stride)
{
    double jump = set->sigma_jump * stride;
    if (weights && jump > 0) return (float)(jump / sqrt(st->fan_in + 1));
    return (float)(jump > 0 ? jump : weights ? set->sigma_weights : set->sigma);
}

void zo_site_plan_make(zo_site_plan *p, zo_way *way, const zo_learner *l, int stage,
                       const zo_sites_settings *set, bool adapts)
{
    const zo_net *net = l->net;
    const zo_stage *st = net->stage + stage;
    double stride = zo_learner_stride(l, stage);
    bool jump = stride > 0, last = stage + 1 == net->stages;
    /* At the last stage a second side costs no multiply-add, and takes away the error of first order. */
    p->sides = set->sides == ZO_SIDES_AUTO ? 1 + (jump || last) : set->sides;
    bool complete = set->place != ZO_ENTER_WEIGHTS &&
                    (set->set == ZO_SET_COMPLETE ||
                     (set->set == ZO_SET_AUTO && (set->limit > 0 || set->examples > 0)));
    if (complete) zo_complete_plan(way, net, stage);
    /* Cost x variance, which is as many draws as there are numbers, of what is there to choose from. */
    double by_weights = (double)st->parameters * zo_moves_draw_cost(net, stage, true),
           by_outputs = (double)net->stage[zo_moves_entry(net, stage, false)].outputs *
                        zo_moves_draw_cost(net, stage, false);
    p->weights = set->place == ZO_ENTER_WEIGHTS ||
                 (set->place == ZO_ENTER_AUTO && set->set != ZO_SET_COMPLETE &&
                  by_weights < (complete ? way->cost : by_outputs));
    p->complete = complete && !p->weights;
    if (!p->complete) way->rows = 0;
    p->shaping = set->shaping;
    p->relative = set->scale && !p->weights && !jump;
    p->sigma = sigma_of(st, set, p->weights, stride);
    p->entry = zo_moves_entry(net, stage, p->weights);
    p->floats = zo_moves_floats(net, stage, p->weights);
    p->numbers = p->weights ? (double)st->parameters : net->stage[p->entry].outputs;
    p->set_cost = p->sides * (p->complete ? way->cost : zo_moves_draw_cost(net, stage, p->weights));
    p->count = p->most_count = p->complete ? (size_t)st->outputs : (size_t)set->draws;
    p->examples = p->complete ? examples_of(l, set, p->set_cost / net->cost) : l->batch;
    p->most_examples = p->examples;
    if (!adapts || !zo_site_is_free(p, set) || !p->complete) return;
    /* Two halves can be heard; and what is there to be chosen takes memory. */
    int most = zo_site_examples(l, l->batch * MOST_SPENT * net->cost / p->set_cost),
        least = l->batch < 2 ? l->batch : 2;
    p->examples = p->examples < least ? least : p->examples;
    p->most_examples = most < p->examples ? p->examples : most;
}

void zo_site_plan_show(const zo_site_plan *p, const zo_learner *l, int stage, char *out, size_t room)
{
    const zo_net *net = l->net;
    const zo_stage *st = net->stage + stage;
    char how[112], some[48] = "";
    double sets = p->complete ? 1 : (double)p->count,
           cost = sets * p->set_cost * p->examples / l->batch / net->cost;
    if (p->examples < l->batch)
        snprintf(some, sizeof some, " for %d of %d examples", p->examples, l->batch);
    if (p->complete)
        snprintf(how, sizeof how, "complete set of %zu outputs%s", p->count, some);
    else
        snprintf(how, sizeof how, "%zu random draws%s", p->count,
                 p->entry > stage ? " at the largest of each window" : "");
    snprintf(out, room,
             "%d %s %s: %s, %s-sided, sigma %g%s, about %.3g forward-equivalents an example",
             st->word, net->word[st->word], p->weights ? "weights" : "outputs", how,
             p->sides == 1 ? "one" : "two", (double)p->sigma,
             p->relative ? " of their root mean square" : "", cost);
}

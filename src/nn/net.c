#include "nn/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/random.h"

zo_net_def zo_net_default_def(void) { return (zo_net_def){.init = "auto"}; }

typedef enum init_kind { INIT_AUTO, INIT_HE, INIT_GLOROT, INIT_ZERO, INITS } init_kind;

static zo_status read_init(const zo_context *ctx, const char *name, init_kind *out)
{
    static const char *const names[INITS] = {"auto", "he", "glorot", "zero"};
    for (int i = 0; i < INITS; i++) {
        if (!strcmp(name, names[i])) return *out = (init_kind)i, ZO_OK;
    }
    return zo_fail(ctx, ZO_USAGE, "init \"%s\" is not known: one of auto, he, glorot, zero", name);
}

/* He et al. 2015: N(0, 2 / inputs). Glorot & Bengio 2010: uniform in +-sqrt(6 / (inputs + outputs)). */
static void draw_weights(const zo_net *net, const zo_stage *s, init_kind init, zo_random *r)
{
    bool he = init == INIT_HE || (init == INIT_AUTO && s->activation && s->activation->rectifier);
    double deviation = sqrt(2.0 / s->inputs), bound = sqrt(6.0 / (s->inputs + s->outputs));
    float *w = net->params + s->weight;
    for (size_t i = 0; i < s->rows * s->columns; i++) {
        w[i] =
            (float)(he ? deviation * zo_random_normal(r) : bound * (2 * zo_random_uniform(r) - 1));
    }
}

zo_status zo_net_create(zo_context *ctx, const zo_net_def *def, zo_net **out)
{
    *out = NULL;
    if (!def || !def->spec)
        return zo_fail(ctx, ZO_USAGE, "a net needs a spec, such as \"dense128 relu dense10\"");
    init_kind init = INIT_AUTO;
    zo_status status = read_init(ctx, def->init ? def->init : "auto", &init);
    if (!status) status = zo_net_parse(ctx, def->spec, def->inputs, def->outputs, 0, out);
    if (status || init == INIT_ZERO) return status;
    for (int i = 0; i < (*out)->stages; i++) {
        zo_random r = zo_random_at(def->seed, ZO_FOR_INIT, 0, (uint32_t)i);
        draw_weights(*out, (*out)->stage + i, init, &r);
    }
    return ZO_OK;
}

zo_status zo_net_copy(const zo_net *net, zo_net **out)
{
    zo_status status = zo_net_parse(net->ctx, net->spec, net->inputs, 0, 0, out);
    if (status) return status;
    memcpy((*out)->params, net->params, net->arena * sizeof(float));
    status = zo_net_set_input(*out, net->shift, net->scale);
    if (!status) status = zo_net_set_output(*out, net->out_shift, net->out_scale);
    for (const zo_note *n = net->notes; n && !status; n = n->next)
        status = zo_net_set_note(*out, n->key, n->value);
    if (status) {
        zo_net_destroy(*out);
        *out = NULL;
    }
    return status;
}

static void free_note(const zo_context *ctx, zo_note *n)
{
    zo_free(ctx, n->key);
    zo_free(ctx, n->value);
    zo_free(ctx, n);
}

void zo_net_destroy(zo_net *net)
{
    if (!net) return;
    const zo_context *ctx = net->ctx;
    for (zo_note *n = net->notes, *next; n; n = next) {
        next = n->next;
        free_note(ctx, n);
    }
    for (int i = 0; net->word && i < net->words; i++) zo_free(ctx, net->word[i]);
    zo_free(ctx, net->word);
    zo_free(ctx, (void *)net->word_class);
    zo_free(ctx, net->stage);
    zo_free(ctx, net->params);
    zo_free(ctx, net->shift);
    zo_free(ctx, net->scale);
    zo_free(ctx, net->out_shift);
    zo_free(ctx, net->out_scale);
    zo_free(ctx, net->spec);
    zo_free(ctx, net);
}

const char *zo_net_spec(const zo_net *net) { return net->spec; }

int zo_net_inputs(const zo_net *net) { return net->inputs; }

int zo_net_outputs(const zo_net *net) { return net->outputs; }

int64_t zo_net_parameters(const zo_net *net) { return net->parameters; }

double zo_net_cost(const zo_net *net) { return net->cost; }

int zo_net_layers(const zo_net *net) { return net->words; }

zo_status zo_net_layer(const zo_net *net, int index, zo_layer_info *out)
{
    if (index < 0 || index >= net->words)
        return zo_fail(net->ctx, ZO_USAGE, "layer %d: the net has layers 0 to %d", index,
                       net->words - 1);
    const zo_stage *s = net->stage;
    while (s + 1 < net->stage + net->stages && s[1].word <= index) s++;
    bool layer = s->word == index;
    static const char *const sites[] = {"", "weights", "outputs", "weights outputs"};
    *out = (zo_layer_info){
        .name = net->word[index],
        .inputs = layer ? s->inputs : s->outputs,
        .outputs = s->outputs,
        .parameters = layer ? (int64_t)(s->rows * s->columns) + s->outputs : 0,
        .cost = layer ? s->cost : 0,
        .sites = sites[net->word_class[index]->sites & 3],
    };
    return ZO_OK;
}

int zo_net_segments(const zo_net *net) { return 2 * net->stages; }

zo_status zo_net_segment(zo_net *net, int index, zo_segment *out)
{
    if (index < 0 || index >= 2 * net->stages) {
        return zo_fail(net->ctx, ZO_USAGE, "segment %d: the net has segments 0 to %d", index,
                       2 * net->stages - 1);
    }
    const zo_stage *s = net->stage + index / 2;
    bool bias = index % 2;
    *out = (zo_segment){.rank = bias ? 1 : 2, .data = net->params + (bias ? s->bias : s->weight)};
    if (bias)
        out->shape[0] = s->outputs;
    else
        out->shape[0] = (int64_t)s->rows, out->shape[1] = (int64_t)s->columns;
    snprintf(out->name, sizeof out->name, "%d.%s", s->word, bias ? "bias" : "weight");
    return ZO_OK;
}

static bool all_finite(const float *x, int n)
{
    for (int i = 0; x && i < n; i++) {
        if (!isfinite(x[i])) return false;
    }
    return true;
}

static zo_status set_transform(zo_net *net, const char *of, int n, const float *shift,
                               const float *scale, float *to_shift, float *to_scale)
{
    if (!all_finite(shift, n) || !all_finite(scale, n))
        return zo_fail(net->ctx, ZO_USAGE, "shift and scale of the %s must be finite", of);
    for (int i = 0; i < n; i++) {
        to_shift[i] = shift ? shift[i] : 0;
        to_scale[i] = scale ? scale[i] : 1;
    }
    return ZO_OK;
}

zo_status zo_net_set_input(zo_net *net, const float *shift, const float *scale)
{
    return set_transform(net, "inputs", net->inputs, shift, scale, net->shift, net->scale);
}

zo_status zo_net_set_output(zo_net *net, const float *shift, const float *scale)
{
    return set_transform(net, "outputs", net->outputs, shift, scale, net->out_shift, net->out_scale);
}

zo_status zo_net_set_note(zo_net *net, const char *key, const char *value)
{
    static const char *const reserved[] = {"", "format", "version", "net", "inputs"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (!strcmp(key, reserved[i]))
            return zo_fail(net->ctx, ZO_USAGE, "a note cannot be called \"%s\"", key);
    }
    if (!zo_json_holds(key) || (value && !zo_json_holds(value)))
        return zo_fail(net->ctx, ZO_USAGE, "a note must be UTF-8 text");
    zo_note **at = &net->notes;
    while (*at && strcmp((*at)->key, key)) at = &(*at)->next;
    zo_note *fresh = NULL;
    if (value) {
        fresh = zo_alloc_zero(net->ctx, 1, sizeof *fresh);
        if (!fresh) return ZO_NO_MEMORY;
        fresh->key = zo_strdup(net->ctx, key);
        fresh->value = zo_strdup(net->ctx, value);
        if (!fresh->key || !fresh->value) {
            free_note(net->ctx, fresh);
            return ZO_NO_MEMORY;
        }
    }
    zo_note *old = *at, *rest = old ? old->next : NULL;
    if (old) free_note(net->ctx, old);
    if (fresh) fresh->next = rest;
    *at = fresh ? fresh : rest;
    return ZO_OK;
}

const char *zo_net_note(const zo_net *net, const char *key)
{
    for (const zo_note *n = net->notes; n; n = n->next) {
        if (!strcmp(n->key, key)) return n->value;
    }
    return NULL;
}

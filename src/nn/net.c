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

/* He et al. 2015: N(0, 2 / inputs). Glorot & Bengio 2010: uniform in +-sqrt(6 / (inputs + outputs)). Drawn in the order of the rows. */
static void draw_weights(const zo_net *net, const zo_stage *s, init_kind init, zo_random *r)
{
    bool he = init == INIT_HE || (init == INIT_AUTO && s->activation && s->activation->rectifier);
    double deviation = sqrt(2.0 / s->fan_in), bound = sqrt(6.0 / (s->fan_in + s->fan_out));
    float *w = net->params + s->weight;
    for (size_t l = 0; l < s->rows; l++) {
        for (size_t j = 0; j < s->columns; j++) {
            double x = he ? deviation * zo_random_normal(r) : bound * (2 * zo_random_uniform(r) - 1);
            w[zo_stage_at(s, l, j)] = (float)x;
        }
    }
}

zo_status zo_net_create(zo_context *ctx, const zo_net_def *def, zo_net **out)
{
    *out = NULL;
    if (!def || !def->spec)
        return zo_fail(ctx, ZO_USAGE, "a net needs a spec, such as \"dense128 relu dense10\"");
    init_kind init = INIT_AUTO;
    zo_shape in;
    zo_status status = read_init(ctx, def->init ? def->init : "auto", &init);
    if (!status) status = zo_net_input_shape(ctx, def, &in);
    if (!status) status = zo_net_parse(ctx, def->spec, in, def->outputs, 0, out);
    if (status || init == INIT_ZERO) return status;
    for (int i = 0; i < (*out)->stages; i++) {
        const zo_stage *s = (*out)->stage + i;
        if (!s->rows || s->layer->first_weight != 0) continue;
        zo_random r = zo_random_at(def->seed, ZO_FOR_INIT, 0, (uint32_t)i);
        draw_weights(*out, s, init, &r);
    }
    return ZO_OK;
}

zo_status zo_net_copy(const zo_net *net, zo_net **out)
{
    zo_status status = zo_net_parse(net->ctx, net->spec, net->in, 0, 0, out);
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
    for (int i = 0; i < net->stages; i++) zo_free(ctx, net->stage[i].start);
    zo_free(ctx, net->word);
    zo_free(ctx, (void *)net->word_class);
    zo_free(ctx, net->stage);
    zo_free(ctx, net->params);
    zo_free(ctx, net->room);
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

static const char *const site_texts[] = {"", "weights", "outputs", "weights outputs"};

/* ",same" and so on for each set of options. */
static const char *option_text(unsigned options)
{
    if (options & ZO_OPTION_EPS) return ",same ,strideN ,padN ,epsE ,nobias";
    if (options & ZO_OPTION_DILATION)
        return options & ZO_OPTION_NOBIAS ? ",same ,strideN ,dilationN ,nobias"
                                          : ",same ,strideN ,dilationN";
    if (options & ZO_OPTION_STRIDE) return ",same ,strideN";
    if (options & ZO_OPTION_MAX) return ",max";
    return options & ZO_OPTION_NOBIAS ? ",nobias" : "";
}

bool zo_layer_form_of(const char *name, zo_layer_form *out)
{
    const zo_layer_class *c = zo_find(zo_layer_classes, name);
    if (!c) return false;
    *out = (zo_layer_form){
        .example = c->example ? c->example : "",
        .options = option_text(c->options),
        .gives = c->gives ? c->gives : "the shape that comes in",
        .cost = c->work ? c->work : "none",
        .sites = site_texts[c->sites & 3],
        .activation = c->kind == ZO_LAYER_ACTIVATION,
        .no_derivative = c->kind == ZO_LAYER_ACTIVATION && c->jumps,
    };
    return true;
}

/* The stage of word `index`, or the last one before it; NULL before the first. Stages without a word of their own count to the next. */
static const zo_stage *stage_of(const zo_net *net, int index, bool *own)
{
    const zo_stage *found = NULL;
    for (int i = 0; i < net->stages && net->stage[i].word <= index; i++) found = net->stage + i;
    *own = found && found->word == index && net->word_class[index] == found->layer;
    return found;
}

zo_status zo_net_layer(const zo_net *net, int index, zo_layer_info *out)
{
    if (index < 0 || index >= net->words)
        return zo_fail(net->ctx, ZO_USAGE, "layer %d: the net has layers 0 to %d", index,
                       net->words - 1);
    bool own;
    const zo_stage *s = stage_of(net, index, &own);
    const zo_stage *last = net->stage + net->stages - 1;
    /* a flattening stage behind the last word, a layer or its activation */
    if (!own && s == last && s > net->stage && s->word == index) {
        s--;
        own = s->word == index && s->layer == net->word_class[index];
    }
    const zo_shape *shape = s ? &s->out : &net->in;
    int outputs = shape->height * shape->width * shape->channels;
    *out = (zo_layer_info){
        .name = net->word[index],
        .inputs = own ? s->inputs : outputs,
        .outputs = outputs,
        .shape = {shape->height, shape->width, shape->channels},
        .parameters = own ? s->parameters : 0,
        .cost = own ? s->cost : 0,
        .sites = site_texts[net->word_class[index]->sites & 3],
    };
    return ZO_OK;
}

/* The stage of segment `index` and whether it is the bias; NULL past the last. */
static const zo_stage *segment_of(const zo_net *net, int index, bool *bias)
{
    *bias = false;
    for (int i = 0; index >= 0 && i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        int n = (s->rows > 0) + s->has_bias;
        if (index < n) return *bias = index == 1, s;
        index -= n;
    }
    return NULL;
}

int zo_net_segments(const zo_net *net)
{
    int n = 0;
    for (int i = 0; i < net->stages; i++) n += (net->stage[i].rows > 0) + net->stage[i].has_bias;
    return n;
}

zo_status zo_net_segment(const zo_net *net, int index, zo_segment *out)
{
    bool bias;
    const zo_stage *s = segment_of(net, index, &bias);
    if (!s)
        return zo_fail(net->ctx, ZO_USAGE, "segment %d: the net has segments 0 to %d", index,
                       zo_net_segments(net) - 1);
    bool row = bias || (s->rows == 1 && !s->layer->product);
    *out = (zo_segment){.rank = row ? 1 : 2};
    out->shape[0] = row ? (int64_t)s->columns : (int64_t)s->rows;
    out->shape[1] = row ? 0 : (int64_t)s->columns;
    snprintf(out->name, sizeof out->name, "%d.%s", s->word, bias ? "bias" : "weight");
    return ZO_OK;
}

void zo_net_read_segment(const zo_net *net, int index, float *out)
{
    bool bias;
    const zo_stage *s = segment_of(net, index, &bias);
    const float *from = net->params + (bias ? s->bias : s->weight);
    for (size_t l = 0; l < (bias ? 1 : s->rows); l++) {
        for (size_t j = 0; j < s->columns; j++) *out++ = from[bias ? j : zo_stage_at(s, l, j)];
    }
}

void zo_net_write_segment(zo_net *net, int index, const float *in)
{
    bool bias;
    const zo_stage *s = segment_of(net, index, &bias);
    float *to = net->params + (bias ? s->bias : s->weight);
    for (size_t l = 0; l < (bias ? 1 : s->rows); l++) {
        for (size_t j = 0; j < s->columns; j++) to[bias ? j : zo_stage_at(s, l, j)] = *in++;
    }
}

zo_status zo_net_get(const zo_net *net, int index, float *out)
{
    zo_segment t;
    zo_status status = zo_net_segment(net, index, &t);
    if (!status) zo_net_read_segment(net, index, out);
    return status;
}

zo_status zo_net_set(zo_net *net, int index, const float *in)
{
    zo_segment t;
    zo_status status = zo_net_segment(net, index, &t);
    if (status) return status;
    int64_t n = t.shape[0] * (t.rank == 2 ? t.shape[1] : 1);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(in[i]))
            return zo_fail(net->ctx, ZO_USAGE, "tensor \"%s\": number %lld is not finite", t.name,
                           (long long)i);
    }
    zo_net_write_segment(net, index, in);
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
    static const char *const reserved[] = {"", "format", "version", "net", "inputs", "shape"};
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

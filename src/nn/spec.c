/* Net specs: "dense128 relu dense10" becomes stages over one arena. */
#include <stdio.h>
#include <string.h>

#include "base/params.h"
#include "nn/net.h"

#define WORD_MAX 64
#define WORDS_MAX 4096

typedef struct word {
    char text[WORD_MAX];
    int column;     /* from 1 */
    int64_t number; /* -1: none */
    const zo_layer_class *class;
} word;

static zo_status bad_word(const zo_context *ctx, const word *w, int index, const char *what)
{
    return zo_fail(ctx, ZO_USAGE, "net spec, word %d \"%s\" (column %d): %s", index + 1, w->text,
                   w->column, what);
}

static const char *layer_name(const void *of, int i)
{
    (void)of;
    return zo_layer_classes[i] ? zo_layer_classes[i]->name : NULL;
}

/* A word is a registered name, then digits for layers that have units. */
static zo_status read_word(const zo_context *ctx, word *w, int index)
{
    size_t length = strcspn(w->text, "0123456789");
    char name[WORD_MAX], what[256];
    snprintf(name, sizeof name, "%.*s", (int)length, w->text);
    w->class = zo_find(zo_layer_classes, name);
    w->number = -1;
    if (!w->class) {
        const char *near = zo_nearest(name, layer_name, NULL);
        if (near)
            snprintf(what, sizeof what, "not a layer: did you mean %s%s?", near, w->text + length);
        else
            snprintf(what, sizeof what, "not a layer ('zeroth list layers' names them)");
        return bad_word(ctx, w, index, what);
    }
    const char *digits = w->text + length;
    if (w->class->activation)
        return *digits ? bad_word(ctx, w, index, "this activation takes no number") : ZO_OK;
    bool whole = strspn(digits, "0123456789") == strlen(digits) && strlen(digits) < 19;
    if (!*digits || !whole || !zo_read_int(digits, &w->number) || w->number < 1 ||
        w->number > w->class->most) {
        snprintf(what, sizeof what, "the number of units is written behind the name, %s1 to %s%lld",
                 name, name, (long long)w->class->most);
        return bad_word(ctx, w, index, what);
    }
    snprintf(w->text, sizeof w->text, "%s%lld", w->class->info.name,
             (long long)w->number); /* no leading zeros */
    return ZO_OK;
}

static zo_status split_words(zo_context *ctx, const char *spec, word **out, int *n)
{
    int room = 0;
    for (const char *p = spec; *p;) {
        p += strspn(p, " \t\n");
        room += *p != 0;
        p += strcspn(p, " \t\n");
    }
    if (room > WORDS_MAX) return zo_fail(ctx, ZO_USAGE, "net spec: more than %d words", WORDS_MAX);
    word *words = zo_alloc_zero(ctx, (size_t)room + 1, sizeof *words);
    if (!words) return ZO_NO_MEMORY;
    zo_status status = ZO_OK;
    *n = 0;
    for (const char *p = spec; !status;) {
        p += strspn(p, " \t\n");
        size_t length = strcspn(p, " \t\n");
        if (!length) break;
        word *w = words + *n;
        w->column = (int)(p - spec) + 1;
        snprintf(w->text, sizeof w->text, "%.*s", length < WORD_MAX ? (int)length : WORD_MAX - 1, p);
        if (length >= WORD_MAX)
            status = bad_word(ctx, w, *n, "too long for a layer");
        else
            status = read_word(ctx, w, *n);
        ++*n;
        p += length;
    }
    if (!status && !*n)
        status = zo_fail(ctx, ZO_USAGE,
                         "the net spec is empty: write for instance \"dense128 relu dense10\"");
    if (status) {
        zo_free(ctx, words);
        words = NULL;
    }
    *out = words;
    return status;
}

/* Sizes and places of one stage. */
static void place_stage(zo_net *net, zo_stage *s)
{
    s->layer->shape(s);
    s->ld_in = zo_round16((size_t)s->inputs);
    s->ld_out = zo_round16((size_t)s->outputs);
    s->weight = net->arena;
    s->bias = s->weight + zo_round16(s->rows * s->columns);
    net->arena = s->bias + s->ld_out;
    s->image = net->image;
    s->image_bias = s->image + zo_packed_size(s->rows, s->columns);
    net->image = s->image_bias + s->ld_out;
    net->parameters += (int64_t)(s->rows * s->columns) + s->outputs;
    net->cost += s->cost;
    if (s->ld_out > net->widest) net->widest = s->ld_out;
}

static zo_status build_stages(zo_net *net, const word *words)
{
    int width = net->inputs;
    for (int i = 0; i < net->words; i++) {
        const word *w = words + i;
        zo_stage *s = net->stage + net->stages;
        if (!w->class->activation) {
            *s =
                (zo_stage){.layer = w->class, .inputs = width, .outputs = (int)w->number, .word = i};
            place_stage(net, s);
            width = s->outputs;
            net->stages++;
        } else if (!net->stages || s[-1].activation) {
            return bad_word(net->ctx, w, i,
                            "an activation follows a layer with units, as in \"dense128 relu\"");
        } else {
            s[-1].activation = w->class;
        }
    }
    net->outputs = width;
    return ZO_OK;
}

static zo_status copy_words(zo_net *net, const word *words)
{
    size_t length = 1;
    for (int i = 0; i < net->words; i++) length += strlen(words[i].text) + 1;
    net->spec = zo_alloc_zero(net->ctx, length, 1);
    if (!net->spec) return ZO_NO_MEMORY;
    for (int i = 0; i < net->words; i++) {
        net->word[i] = zo_strdup(net->ctx, words[i].text);
        if (!net->word[i]) return ZO_NO_MEMORY;
        net->word_class[i] = words[i].class;
        snprintf(net->spec + strlen(net->spec), length - strlen(net->spec), "%s%s", i ? " " : "",
                 words[i].text);
    }
    return ZO_OK;
}

static zo_status check_outputs(const zo_net *net, const word *words, int outputs)
{
    if (!outputs || net->outputs == outputs) return ZO_OK;
    const word *w = words + net->stage[net->stages - 1].word;
    return zo_fail(
        net->ctx,
        ZO_USAGE, "net spec, word %d \"%s\" (column %d): gives %d outputs where the task needs %d: end the net with %s%d",
        net->stage[net->stages - 1].word + 1, w->text, w->column, net->outputs, outputs,
        w->class->info.name, outputs);
}

static zo_status fill(zo_net *net, const word *words, int outputs, int64_t most)
{
    const zo_context *ctx = net->ctx;
    size_t n = (size_t)net->words;
    net->word = zo_alloc_zero(ctx, n, sizeof *net->word);
    net->word_class = zo_alloc_zero(ctx, n, sizeof *net->word_class);
    net->stage = zo_alloc_zero(ctx, n + 1, sizeof *net->stage);
    net->shift = zo_alloc_zero(ctx, (size_t)net->inputs, sizeof(float));
    net->scale = zo_alloc_zero(ctx, (size_t)net->inputs, sizeof(float));
    if (!net->word || !net->word_class || !net->stage || !net->shift || !net->scale)
        return ZO_NO_MEMORY;
    zo_status status = copy_words(net, words);
    if (!status) status = build_stages(net, words);
    if (!status) status = check_outputs(net, words, outputs);
    if (!status) status = zo_net_set_input(net, NULL, NULL);
    if (status) return status;
    net->out_shift = zo_alloc_zero(ctx, (size_t)net->outputs, sizeof(float));
    net->out_scale = zo_alloc_zero(ctx, (size_t)net->outputs, sizeof(float));
    status = net->out_shift && net->out_scale ? zo_net_set_output(net, NULL, NULL) : ZO_NO_MEMORY;
    if (!status && most && net->parameters > most)
        status = zo_fail(ctx, ZO_USAGE, "the net spec means more numbers than are there");
    if (status) return status;
    net->params = zo_alloc_zero(ctx, net->arena, sizeof(float));
    return net->params ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_net_parse(zo_context *ctx, const char *spec, int inputs, int outputs, int64_t most,
                       zo_net **out)
{
    *out = NULL;
    if (inputs < 1 || inputs > 1 << 20)
        return zo_fail(ctx, ZO_USAGE, "a net takes 1 to 1048576 inputs, not %d", inputs);
    word *words = NULL;
    int n = 0;
    zo_status status = split_words(ctx, spec, &words, &n);
    if (status) return status;
    zo_net *net = zo_alloc_zero(ctx, 1, sizeof *net);
    if (net) {
        net->ctx = ctx;
        net->inputs = inputs;
        net->words = n;
        status = fill(net, words, outputs, most);
    } else {
        status = ZO_NO_MEMORY;
    }
    zo_free(ctx, words);
    if (status)
        zo_net_destroy(net);
    else
        *out = net;
    return status;
}

/* Net specs: "conv5x8 relu pool2 dense10" becomes stages over one arena. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/params.h"
#include "nn/net.h"

#define WORD_MAX 64
#define WORDS_MAX 4096
#define OUTPUTS_MAX ((size_t)1 << 22) /* numbers that a layer may give */
#define WEIGHTS_MAX 1e12

typedef struct word {
    char text[WORD_MAX + 8]; /* the canonical one may have zeros before a point that were left out */
    int column;              /* from 1 */
    zo_word read;
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

/* ---- words ---- */

static bool read_number(const char **p, int64_t *out)
{
    char digits[20];
    size_t n = strspn(*p, "0123456789");
    if (!n || n >= sizeof digits - 1) return false;
    snprintf(digits, sizeof digits, "%.*s", (int)n, *p);
    *p += n;
    return zo_read_int(digits, out) && *out >= 1;
}

/* "5x8": numbers joined by x; false if it is no such thing. */
static bool read_numbers(const char **p, zo_word *w)
{
    while (**p && **p != ',') {
        if (w->numbers == ZO_WORD_NUMBERS || (w->numbers && *(*p)++ != 'x')) return false;
        if (!read_number(p, &w->number[w->numbers++])) return false;
    }
    return true;
}

/* "0.25", ".25", "2": no sign, at most six digits before the point and behind it. In millionths. */
static bool read_decimal(const char **p, int64_t *out)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(*p, digits), point = (*p)[whole] == '.',
           part = point ? strspn(*p + whole + 1, digits) : 0;
    if (whole > 6 || part > 6 || (point ? !part : !whole)) return false;
    char text[16];
    snprintf(text, sizeof text, "0%.*s%.*s%.*s", (int)whole, *p, (int)part, *p + whole + point,
             (int)(6 - part), "000000");
    *p += whole + point + part;
    return zo_read_int(text, out);
}

static void put_decimal(char **to, const char *end, int64_t x)
{
    char part[24];
    snprintf(part, sizeof part, ".%06lld", (long long)(x % ZO_MILLION));
    size_t n = strlen(part);
    while (part[n - 1] == '0') n--;
    if (n == 1) n = 0; /* the point */
    *to += snprintf(*to, (size_t)(end - *to), "%lld%.*s", (long long)(x / ZO_MILLION), (int)n, part);
}

/* The options of words, in the order in which they are written. */
typedef enum option_form { OPTION_FLAG, OPTION_NUMBER, OPTION_DECIMAL } option_form;
static const struct {
    const char *name;
    unsigned bit;
    option_form form;
    size_t field; /* of zo_word: bool, or int64_t */
} option[] = {
    {"same", ZO_OPTION_SAME, OPTION_FLAG, offsetof(zo_word, same)},
    {"stride", ZO_OPTION_STRIDE, OPTION_NUMBER, offsetof(zo_word, stride)},
    {"pad", ZO_OPTION_PAD, OPTION_NUMBER, offsetof(zo_word, pad)},
    {"dilation", ZO_OPTION_DILATION, OPTION_NUMBER, offsetof(zo_word, dilation)},
    {"eps", ZO_OPTION_EPS, OPTION_DECIMAL, offsetof(zo_word, eps)},
    {"max", ZO_OPTION_MAX, OPTION_FLAG, offsetof(zo_word, max)},
    {"nobias", ZO_OPTION_NOBIAS, OPTION_FLAG, offsetof(zo_word, nobias)},
};
enum { OPTIONS = sizeof option / sizeof *option };

/* One option; false if it is none that the layer takes, or is there already. */
static bool read_option(const char **p, unsigned takes, zo_word *w)
{
    size_t n = strcspn(++*p, ",.0123456789");
    for (int i = 0; i < OPTIONS; i++) {
        if (!(option[i].bit & takes) || strlen(option[i].name) != n ||
            strncmp(*p, option[i].name, n))
            continue;
        *p += n;
        void *field = (char *)w + option[i].field;
        bool *flag = field;
        int64_t *to = field;
        if (option[i].form == OPTION_FLAG) return !*flag && (*flag = true);
        if (option[i].form == OPTION_DECIMAL) return !*to && read_decimal(p, to) && *to > 0;
        return !*to && read_number(p, to) && *to <= 1 << 20;
    }
    return false;
}

static zo_status bad_form(const zo_context *ctx, const word *w, int index)
{
    const zo_layer_class *c = w->class;
    const char *name = c->info.name;
    char what[256], options[96] = "";
    for (int i = 0; i < OPTIONS; i++) {
        size_t n = strlen(options);
        if (c->options & option[i].bit)
            snprintf(options + n, sizeof options - n, " ,%s%s", option[i].name,
                     option[i].form == OPTION_FLAG     ? ""
                     : option[i].form == OPTION_NUMBER ? "N"
                                                       : "E");
    }
    const char *also = *options ? "; options:" : "";
    if (c->decimal)
        snprintf(what, sizeof what,
                 "its number is a decimal, %s0 to %s%lld: it is written like %s%s%s", name, name,
                 (long long)c->most, c->example, also, options);
    else if (c->most_numbers == 1 && c->least_numbers == 1)
        snprintf(what, sizeof what, "its number is written behind the name, %s1 to %s%lld%s%s",
                 name, name, (long long)c->most, also, options);
    else if (c->most_numbers)
        snprintf(what, sizeof what, "it is written like %s%s%s", c->example, also, options);
    else
        snprintf(what, sizeof what, "%s takes no number%s%s", name, also, options);
    return bad_word(ctx, w, index, what);
}

/* The canonical text: no zeros that say nothing, options in one order. */
static void write_word(word *w)
{
    char *to = w->text, *end = to + sizeof w->text;
    const zo_word *r = &w->read;
    to += snprintf(to, (size_t)(end - to), "%s", w->class->info.name);
    for (int i = 0; i < r->numbers; i++)
        to += snprintf(to, (size_t)(end - to), "%s%lld", i ? "x" : "", (long long)r->number[i]);
    if (r->decimal) put_decimal(&to, end, r->decimal);
    for (int i = 0; i < OPTIONS; i++) {
        const void *field = (const char *)r + option[i].field;
        option_form form = option[i].form;
        if (form == OPTION_FLAG ? !*(const bool *)field : !*(const int64_t *)field) continue;
        to += snprintf(to, (size_t)(end - to), ",%s", option[i].name);
        if (form == OPTION_NUMBER)
            to += snprintf(to, (size_t)(end - to), "%lld", (long long)*(const int64_t *)field);
        if (form == OPTION_DECIMAL) put_decimal(&to, end, *(const int64_t *)field);
    }
}

static zo_status read_word(const zo_context *ctx, word *w, int index)
{
    size_t length = strcspn(w->text, "0123456789.,");
    char name[WORD_MAX], what[256];
    snprintf(name, sizeof name, "%.*s", (int)length, w->text);
    w->class = zo_find(zo_layer_classes, name);
    if (!w->class) {
        const char *near = zo_nearest(name, layer_name, NULL);
        if (near)
            snprintf(what, sizeof what, "not a layer: did you mean %s%s?", near, w->text + length);
        else
            snprintf(what, sizeof what, "not a layer ('zeroth list layers' names them)");
        return bad_word(ctx, w, index, what);
    }
    const zo_layer_class *c = w->class;
    const char *p = w->text + length;
    bool bare = !*p || *p == ',', good = !c->decimal ? read_numbers(&p, &w->read)
                                                     : bare || read_decimal(&p, &w->read.decimal);
    while (good && *p == ',') good = read_option(&p, c->options, &w->read);
    int n = w->read.numbers;
    good = good && !*p && n >= c->least_numbers && n <= c->most_numbers &&
           (!n || w->read.number[n - 1] <= c->most) &&
           (!c->decimal || w->read.decimal <= c->most * ZO_MILLION);
    for (int i = 0; i < n; i++) good = good && w->read.number[i] <= 1 << 20;
    if (!good) return bad_form(ctx, w, index);
    write_word(w);
    return strlen(w->text) < WORD_MAX ? ZO_OK : bad_word(ctx, w, index, "too long for a layer");
}

/* Splits at white space. *out is [*n]. */
static zo_status split_words(const zo_context *ctx, const char *spec, word **out, int *n)
{
    zo_status status = ZO_OK;
    int count = 0;
    for (const char *p = spec; *p;) {
        p += strspn(p, " \t\n");
        if (*p) count++;
        p += strcspn(p, " \t\n");
    }
    if (count > WORDS_MAX)
        return zo_fail(ctx, ZO_USAGE, "the net spec has %d words, the most is %d", count, WORDS_MAX);
    word *words = zo_alloc_zero(ctx, (size_t)count + 1, sizeof *words);
    if (!words) return ZO_NO_MEMORY;
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

/* ---- stages ---- */

/* What grows while stages are added. */
typedef struct building {
    zo_net *net;
    const word *words;
    int *open,
        *begun; /* [opened] of the blocks around: the tensor that their end takes; the place of the word that opened them */
    int opened;
    int64_t most; /* parameters; 0: any */
} building;

static const zo_shape *shape_now(const zo_net *net)
{
    return net->stages ? &net->stage[net->stages - 1].out : &net->in;
}

/* Places of the stage's parameters. */
static void place_stage(zo_net *net, zo_stage *s)
{
    s->weight = net->arena;
    s->weight_floats =
        s->layer->product ? zo_packed_size(s->rows, s->columns) : s->rows * zo_round16(s->columns);
    s->bias = s->weight + s->weight_floats;
    s->bias_floats = s->has_bias ? zo_round16(s->columns) : 0;
    s->parameters = (int64_t)(s->rows * s->columns) + (s->has_bias ? (int64_t)s->columns : 0);
    net->arena = s->bias + s->bias_floats;
    net->parameters += s->parameters;
    net->cost += s->cost;
    if (s->ld_out > net->widest) net->widest = s->ld_out;
    if (s->padded > net->padded) net->padded = s->padded;
    if (s->spread > net->spread) net->spread = s->spread;
}

static zo_status add_stage(building *b, const zo_layer_class *class, const zo_word *read, int at)
{
    zo_net *net = b->net;
    const word *w = b->words + at;
    zo_stage *s = net->stage + net->stages;
    const zo_shape *in = shape_now(net);
    *s = (zo_stage){.layer = class, .in = *in, .word = at, .skip = -1};
    net->stages++; /* from here on its start is freed with the net */
    s->inputs = (int)zo_shape_pixels(in) * in->channels;
    s->ld_in = zo_shape_floats(in);
    s->decimal = (float)((double)read->decimal / ZO_MILLION);
    if (class->residual) {
        s->skip = b->open[class->branches ? b->opened - 1 : b->opened];
        s->branched = !class->branches && net->stage[s->skip].layer->branches;
        s->other = net->stage[s->skip].in;
        s->ld_other = zo_shape_floats(&s->other);
    }
    const char *why = class->shape(s, read);
    if (why) return bad_word(net->ctx, w, at, why);
    if (zo_shape_pixels(&s->out) * s->out.pitch > OUTPUTS_MAX ||
        (double)s->rows * (double)s->columns > WEIGHTS_MAX)
        return bad_word(net->ctx, w, at, "too large for a layer");
    s->outputs = (int)zo_shape_pixels(&s->out) * s->out.channels;
    s->ld_out = zo_shape_floats(&s->out);
    if (class->residual) net->stage[s->skip].shared = true;
    place_stage(net, s);
    if (b->most && net->parameters > b->most)
        return zo_fail(net->ctx, ZO_USAGE, "the net spec means more numbers than are there");
    if (!s->starts) return ZO_OK;
    s->start = zo_alloc(net->ctx, s->starts * sizeof *s->start);
    if (!s->start) return ZO_NO_MEMORY;
    class->place(s);
    return ZO_OK;
}

extern const zo_layer_class zo_layer_flatten, zo_layer_spread;

static bool has_gaps(const zo_shape *s)
{
    return zo_shape_pixels(s) > 1 && s->pitch != (size_t)s->channels;
}

static bool lacks_pads(const zo_shape *s)
{
    return zo_shape_pixels(s) > 1 && s->pitch != zo_round16((size_t)s->channels);
}

/* A stage before the next that copies pixels together, or apart, where that is what it takes. */
static zo_status arrange(building *b, bool flat, bool padded, int at)
{
    const zo_word none = {0};
    const zo_shape *now = shape_now(b->net);
    if (flat && has_gaps(now)) return add_stage(b, &zo_layer_flatten, &none, at);
    if (padded && lacks_pads(now)) return add_stage(b, &zo_layer_spread, &none, at);
    return ZO_OK;
}

static bool begins(const zo_layer_class *c) { return c->kind == ZO_LAYER_OPEN || c->branches; }

static zo_status add_activation(building *b, int at)
{
    zo_net *net = b->net;
    const word *w = b->words + at;
    zo_stage *last = net->stages ? net->stage + net->stages - 1 : NULL;
    if (!last || last->activation || (at && begins(b->words[at - 1].class)))
        return bad_word(net->ctx, w, at, "an activation follows a layer, as in \"dense128 relu\"");
    last->activation = w->class;
    last->number = w->read.numbers ? (int)w->read.number[0] : 0;
    return ZO_OK;
}

static zo_status add_branch(building *b, int at)
{
    zo_net *net = b->net;
    const word *w = b->words + at;
    if (!b->opened) return bad_word(net->ctx, w, at, "stands in no block: { A | B }+ has branches");
    if (begins(b->words[at - 1].class) && !b->words[at - 1].class->branches)
        return bad_word(net->ctx, w, at,
                        "the first branch has no layer; without branches, { B }+ takes what came "
                        "into the block");
    int *open = b->open + b->opened - 1;
    if (net->stage[*open].layer->branches)
        return bad_word(net->ctx, w, at,
                        "a block has two branches: nest, as in { { A | B }+ | C }+");
    zo_status status = add_stage(b, w->class, &w->read, at);
    *open = net->stages - 1;
    return status;
}

/* NULL, or what is wrong. */
static const char *end_block(building *b, int at)
{
    if (!b->opened) return "ends a block that no { began";
    b->opened--;
    if (b->words[at - 1].class->kind == ZO_LAYER_OPEN) return "the block has no layer";
    if (b->words[at - 1].class->branches)
        return "the second branch has no layer; without branches, { A }+ takes what came into the "
               "block";
    return NULL;
}

static zo_status add_word(building *b, int at)
{
    zo_net *net = b->net;
    const word *w = b->words + at;
    if (w->class->kind == ZO_LAYER_ACTIVATION) return add_activation(b, at);
    if (w->class->kind == ZO_LAYER_OPEN) {
        zo_status status = arrange(b, false, true, at);
        b->begun[b->opened] = at;
        b->open[b->opened++] = net->stages;
        return status;
    }
    if (w->class->branches) return add_branch(b, at);
    const char *why = w->class->residual ? end_block(b, at) : NULL;
    if (why) return bad_word(net->ctx, w, at, why);
    zo_status status = arrange(b, w->class->flat, w->class->padded, at);
    return status ? status : add_stage(b, w->class, &w->read, at);
}

/* Where the outputs of each stage are kept while a pass needs them: the least place that no tensor which is needed later holds. */
static void place_outputs(zo_net *net)
{
    for (int i = 0; i < net->stages; i++) {
        unsigned long long taken = 0; /* by tensor i, and by those that later stages add */
        if (i) taken |= 1ull << net->stage[i - 1].slot;
        for (int j = i; j < net->stages; j++) {
            int skip = net->stage[j].skip;
            if (skip > 0 && skip <= i) taken |= 1ull << net->stage[skip - 1].slot;
        }
        int slot = 0;
        while (taken >> slot & 1) slot++;
        net->stage[i].slot = slot;
        if (slot >= net->slots) net->slots = slot + 1;
    }
}

static zo_status build_stages(zo_net *net, const word *words, int64_t most)
{
    int open[ZO_BLOCKS_MOST], begun[ZO_BLOCKS_MOST];
    building b = {net, words, open, begun, 0, most};
    zo_status status = ZO_OK;
    for (int i = 0; i < net->words && !status; i++) {
        if (words[i].class->kind == ZO_LAYER_OPEN && b.opened == ZO_BLOCKS_MOST)
            return bad_word(net->ctx, words + i, i, "too many blocks inside each other");
        status = add_word(&b, i);
    }
    if (status) return status;
    const word *last = words + net->words - 1;
    if (b.opened)
        return bad_word(net->ctx, words + begun[b.opened - 1], begun[b.opened - 1],
                        "begins a block that nothing ends: end it with }+ or }cat");
    if (!net->stages) return bad_word(net->ctx, last, net->words - 1, "no layer");
    status = arrange(&b, true, false, net->words - 1);
    net->outputs = net->stage[net->stages - 1].outputs;
    place_outputs(net);
    return status;
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
    int at = net->stage[net->stages - 1].word;
    const word *w = words + at;
    return zo_fail(net->ctx, ZO_USAGE,
                   "net spec, word %d \"%s\" (column %d): gives %d outputs where the task needs "
                   "%d: end the net with dense%d",
                   at + 1, w->text, w->column, net->outputs, outputs, outputs);
}

static zo_status fill(zo_net *net, const word *words, int outputs, int64_t most)
{
    const zo_context *ctx = net->ctx;
    size_t n = (size_t)net->words;
    net->word = zo_alloc_zero(ctx, n, sizeof *net->word);
    net->word_class = zo_alloc_zero(ctx, n, sizeof *net->word_class);
    net->stage = zo_alloc_zero(ctx, 2 * n + 2, sizeof *net->stage); /* flattening stages included */
    net->shift = zo_alloc_zero(ctx, (size_t)net->inputs, sizeof(float));
    net->scale = zo_alloc_zero(ctx, (size_t)net->inputs, sizeof(float));
    if (!net->word || !net->word_class || !net->stage || !net->shift || !net->scale)
        return ZO_NO_MEMORY;
    zo_status status = copy_words(net, words);
    if (!status) status = build_stages(net, words, most);
    if (!status) status = check_outputs(net, words, outputs);
    if (!status) status = zo_net_set_input(net, NULL, NULL);
    if (status) return status;
    net->out_shift = zo_alloc_zero(ctx, (size_t)net->outputs, sizeof(float));
    net->out_scale = zo_alloc_zero(ctx, (size_t)net->outputs, sizeof(float));
    status = net->out_shift && net->out_scale ? zo_net_set_output(net, NULL, NULL) : ZO_NO_MEMORY;
    if (status) return status;
    net->params = zo_alloc_zero(ctx, net->arena + 16, sizeof(float));
    for (int i = 0; net->params && i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        for (size_t j = 0; j < (s->layer->first_weight != 0 ? s->columns : 0); j++)
            net->params[s->weight + j] = s->layer->first_weight;
    }
    return net->params ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_net_input_shape(const zo_context *ctx, const zo_net_def *def, zo_shape *out)
{
    bool none = !def->height && !def->width && !def->channels;
    if (def->inputs < 1 || def->inputs > 1 << 20)
        return zo_fail(ctx, ZO_USAGE, "a net takes 1 to 1048576 inputs, not %d", def->inputs);
    *out = none ? (zo_shape){1, 1, def->inputs, 0}
                : (zo_shape){def->height, def->width, def->channels, 0};
    if (out->height < 1 || out->width < 1 || out->channels < 1 ||
        (double)out->height * out->width * out->channels != def->inputs)
        return zo_fail(ctx, ZO_USAGE, "%d inputs are no image of %d x %d x %d", def->inputs,
                       out->height, out->width, out->channels);
    return ZO_OK;
}

zo_status zo_net_parse(zo_context *ctx, const char *spec, zo_shape in, int outputs, int64_t most,
                       zo_net **out)
{
    *out = NULL;
    word *words = NULL;
    int n = 0;
    zo_status status = split_words(ctx, spec, &words, &n);
    if (status) return status;
    zo_net *net = zo_alloc_zero(ctx, 1, sizeof *net);
    if (net) {
        net->ctx = ctx;
        net->in = in;
        net->in.pitch =
            zo_shape_pixels(&in) == 1 ? zo_round16((size_t)in.channels) : (size_t)in.channels;
        net->inputs = in.height * in.width * in.channels;
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

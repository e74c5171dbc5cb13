#include "learn/layered.h"

#include <stdio.h>
#include <string.h>

/* ---- layers by the place of their word ---- */

/* The stage with parameters whose word has that place, or -1. */
static int stage_of(const zo_net *net, int64_t word)
{
    for (int i = 0; i < net->stages; i++) {
        if (net->stage[i].parameters && net->stage[i].word == word) return i;
    }
    return -1;
}

/* "0 dense128, 2 dense10", as much as there is room for. */
static void name_layers(const zo_net *net, char *out, size_t room)
{
    size_t n = 0;
    *out = 0;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (!s->parameters) continue;
        int more =
            snprintf(out + n, room - n, "%s%d %s", n ? ", " : "", s->word, net->word[s->word]);
        if (more < 0 || (size_t)more >= room - n) {
            if (room - n > 4) snprintf(out + n, room - n, "...");
            return;
        }
        n += (size_t)more;
    }
}

static zo_status no_layer(const zo_net *net, const char *setting, const char *place)
{
    char layers[200];
    name_layers(net, layers, sizeof layers);
    return zo_fail(net->ctx, ZO_USAGE,
                   "%s: \"%s\" is no layer with parameters; there are %s (place and word)", setting,
                   place, layers);
}

/* ---- settings ---- */

bool zo_layered_is(const char *setting) { return strcspn(setting, "@") < strcspn(setting, "="); }

static const zo_param *row_of(const zo_class_info *of, const char *key)
{
    const char *const one[] = {key, NULL};
    for (const zo_param *p = of->params; p->name; p++) {
        if (zo_settings_get(one, p->name)) return p;
    }
    return NULL;
}

static zo_status apply(zo_layered *l, const char *setting)
{
    zo_context *ctx = l->net->ctx;
    char key[ZO_TEXT_MAX + 64], place[16];
    size_t at = strcspn(setting, "@"), end = strcspn(setting, "=");
    if (!l->part)
        return zo_fail(ctx, ZO_USAGE, "%s: %s has no settings of single layers", setting,
                       l->of->name);
    if (strlen(setting) >= sizeof key || end - at > sizeof place)
        return zo_fail(ctx, ZO_USAGE, "%.40s...: too long", setting);
    snprintf(place, sizeof place, "%.*s", (int)(end - at - 1), setting + at + 1);
    snprintf(key, sizeof key, "%.*s%s", (int)at, setting, setting + end);
    int64_t word;
    int stage = zo_read_int(place, &word) ? stage_of(l->net, word) : -1;
    if (stage < 0) return no_layer(l->net, setting, place);
    const zo_param *p = row_of(l->of, key);
    if (p && p->offset >= l->part)
        return zo_fail(ctx, ZO_USAGE, "%s: %s is one for all layers", setting, p->name);
    const char *const one[] = {key, NULL};
    zo_block block = {l->of, l->sets + (size_t)stage * l->size};
    zo_status status = zo_params_apply(ctx, one, &block, 1);
    for (int i = 0; i < l->rows; i++) {
        if (l->row[i].stage == stage && l->row[i].param == p) return status; /* the last one wins */
    }
    if (!status) l->row[l->rows++] = (zo_layered_row){stage, p};
    return status;
}

zo_status zo_layered_init(zo_layered *l, const zo_net *net, const zo_class_info *of, size_t size,
                          size_t part, const void *base, const char *const *settings)
{
    size_t stages = (size_t)net->stages, given = 0;
    for (const char *const *s = settings; s && *s; s++) given += zo_layered_is(*s);
    *l = (zo_layered){.net = net, .of = of, .size = size, .part = part};
    l->sets = zo_alloc_zero(net->ctx, stages, size);
    l->row = zo_alloc_zero(net->ctx, given + 1, sizeof *l->row);
    if (!l->sets || !l->row) return ZO_NO_MEMORY;
    for (size_t i = 0; i < stages; i++) memcpy(l->sets + i * size, base, size);
    zo_status status = ZO_OK;
    for (; settings && *settings && !status; settings++) {
        if (zo_layered_is(*settings)) status = apply(l, *settings);
    }
    return status;
}

void zo_layered_fini(zo_layered *l)
{
    if (!l->net) return;
    zo_free(l->net->ctx, l->sets);
    zo_free(l->net->ctx, l->row);
}

bool zo_layered_show(const zo_layered *l, int index, char *out, size_t room)
{
    char line[ZO_TEXT_MAX + 64];
    if (index >= l->rows) return false;
    const zo_layered_row *r = l->row + index;
    zo_param_show(r->param, l->sets + (size_t)r->stage * l->size, line, sizeof line);
    size_t key = strcspn(line, "=");
    snprintf(out, room, "%.*s@%d%s", (int)key, line, l->net->stage[r->stage].word, line + key);
    return true;
}

/* ---- what stays ---- */

static zo_status freeze_places(const zo_net *net, const char *text, bool *frozen)
{
    char place[16];
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        int64_t word;
        snprintf(place, sizeof place, "%.*s", (int)(n < 15 ? n : 15), at);
        int stage = n < sizeof place && zo_read_int(place, &word) ? stage_of(net, word) : -1;
        if (stage < 0) return no_layer(net, "freeze", place);
        frozen[stage] = true;
        at += n;
        if (!*at) return ZO_OK;
    }
}

/* Frees the last layer with parameters before tensor `tensor`; where a block ends there, that of each branch. */
static void free_last(const zo_net *net, int tensor, bool *frozen)
{
    while (tensor > 0 && !net->stage[tensor - 1].parameters) {
        const zo_stage *s = net->stage + tensor - 1;
        if (s->branched) free_last(net, s->skip, frozen);
        tensor = s->layer->branches ? s->skip : tensor - 1;
    }
    if (tensor > 0) frozen[tensor - 1] = false;
}

zo_status zo_freeze_read(const zo_net *net, const char *text, bool *frozen)
{
    bool body = !strcmp(text, "body");
    int left = 0;
    for (int i = 0; i < net->stages; i++) frozen[i] = body && net->stage[i].parameters > 0;
    if (!strcmp(text, ZO_FREEZE_NONE)) return ZO_OK;
    zo_status status = ZO_OK;
    if (body)
        free_last(net, net->stages, frozen);
    else
        status = freeze_places(net, text, frozen);
    for (int i = 0; i < net->stages; i++) left += net->stage[i].parameters && !frozen[i];
    if (status || left) return status;
    return zo_fail(net->ctx, ZO_USAGE, "freeze=%s: no layer is left to train", text);
}

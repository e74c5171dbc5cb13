/* The setting class_weights: "class:weight,class:weight ...". */
#include <math.h>
#include <string.h>

#include "learn/closed.h"

#define WEIGHT_MOST 1e6

static const char *name_of(const void *of, int i)
{
    const zo_task *t = of;
    return i < t->classes && t->class_name ? t->class_name[i] : NULL;
}

/* By its name, else by its number from 0; -1: there is none. */
static int class_of(const zo_task *t, const char *word)
{
    int64_t number;
    for (int k = 0; name_of(t, k); k++)
        if (!strcmp(name_of(t, k), word)) return k;
    bool there = zo_read_int(word, &number) && number >= 0 && number < t->classes;
    return there ? (int)number : -1;
}

static zo_status unknown(const zo_closed *c, const char *word)
{
    const char *near = zo_nearest(word, name_of, c->task);
    return zo_fail(c->ctx, ZO_USAGE,
                   "%s: class_weights: \"%s\" is no class of \"%s\"%s%s%s: use its name, or its "
                   "number from 0 to %d",
                   c->info->name, word, c->task->name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"" : "", c->task->classes - 1);
}

/* "class:weight"; a name may hold colons itself. */
static zo_status take(const zo_closed *c, char *word)
{
    char *colon = strrchr(word, ':');
    double weight = 0;
    if (!colon || !zo_read_real(colon + 1, strlen(colon + 1), &weight) || !((float)weight > 0) ||
        weight > WEIGHT_MOST)
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: class_weights: \"%s\" is not class:weight, a weight above 0 and up to "
                       "%g",
                       c->info->name, word, WEIGHT_MOST);
    *colon = 0;
    int k = class_of(c->task, word);
    if (k < 0) return unknown(c, word);
    float all = c->class_weight[k] * (float)weight;
    if (!(all > 0) || !isfinite(all))
        return zo_fail(c->ctx, ZO_USAGE,
                       "%s: class_weights: all factors of class %d together are %g: choose "
                       "weights nearer to 1",
                       c->info->name, k, (double)all);
    c->class_weight[k] = all;
    return ZO_OK;
}

zo_status zo_closed_weigh_classes(const zo_closed *c)
{
    char text[ZO_TEXT_MAX];
    zo_status status = ZO_OK;
    memcpy(text, c->set.class_weights, sizeof text);
    for (char *at = text, *end; at && *at && !status; at = end) {
        end = strchr(at, ',');
        if (end) *end++ = 0;
        status = take(c, at);
    }
    return status;
}

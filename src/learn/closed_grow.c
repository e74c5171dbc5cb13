/* Closed forms that are done and go on from their sums: with more copies of the rows, or another lambda. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "learn/closed.h"

enum { SMALL = 256 << 20 }; /* bytes of a state that nobody minds in a folder */

/* Whether those of a run that is done are of all rows as they are: modules leave none, the logistic loss those of its last iteration. */
static bool has_sums(const zo_closed *c) { return !c->modules && !zo_closed_is_logistic(c); }

bool zo_closed_kept(const void *state)
{
    const zo_closed *c = state;
    if (!has_sums(c) || c->set.keep == ZO_CLOSED_KEEP_NONE) return false;
    return c->set.keep == ZO_CLOSED_KEEP_ALL || zo_closed_saved(c) <= SMALL;
}

/* Copies lie behind all rows, so that fewer of them are what more begin with; without any nothing is changed in a row. lambda is no part of
 * sums. */
static bool may_change(const char *const *began, const char *key, const char *now)
{
    const char *copies = zo_settings_get(began, "copies");
    if (!strcmp(key, "lambda") || !strcmp(key, "lambdas") || !strcmp(key, "lambda_least") ||
        !strcmp(key, "lambda_most") || !strcmp(key, "keep"))
        return true;
    if (!strcmp(key, "copies")) return copies && strtoll(now, NULL, 10) > strtoll(copies, NULL, 10);
    for (const zo_param *p = zo_augment_info.params; p->name; p++)
        if (!strcmp(key, p->name)) return copies && !strcmp(copies, "0");
    return false;
}

bool zo_closed_grows(const void *state, const char *const *began)
{
    const zo_closed *c = state;
    const char *line;
    if (!has_sums(c)) return false;
    for (int i = 0; (line = zo_closed_setting(state, i)); i++) {
        char key[64];
        size_t n = strcspn(line, "=");
        snprintf(key, sizeof key, "%.*s", (int)n, line);
        const char *before = zo_settings_get(began, key);
        if (!before || (strcmp(before, line + n + 1) && !may_change(began, key, line + n + 1)))
            return false;
    }
    return true;
}

void zo_closed_reopen(void *state)
{
    zo_closed *c = state;
    if (c->phase != ZO_CLOSED_DONE) return; /* it goes on already: a state saved on the way */
    c->phase = ZO_CLOSED_AT_ROWS;
    c->lambda = 0;
}

#include "base/params.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const zo_param zo_no_params[] = {ZO_PARAM_END};

static void *field(const zo_param *row, void *values) { return (char *)values + row->offset; }

static void set_text(char *to, const char *text) { snprintf(to, ZO_TEXT_MAX, "%s", text); }

void zo_params_default(const zo_param *table, void *values)
{
    for (const zo_param *p = table; p->name; p++) {
        void *f = field(p, values);
        switch (p->type) {
        case ZO_PARAM_INT: *(int64_t *)f = (int64_t)p->standard; break;
        case ZO_PARAM_REAL: *(double *)f = p->standard; break;
        case ZO_PARAM_BOOL: *(bool *)f = p->standard != 0; break;
        case ZO_PARAM_CHOICE: *(int *)f = (int)p->standard; break;
        case ZO_PARAM_TEXT: set_text(f, p->text); break;
        }
    }
}

/* Keys compare with '-' and '_' alike; `n` characters of b count. */
static bool same_key(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char x = a[i] == '-' ? '_' : a[i], y = b[i] == '-' ? '_' : b[i];
        if (!x || x != y) return false;
    }
    return !a[n];
}

const char *zo_settings_get(const char *const *settings, const char *key)
{
    const char *value = NULL;
    for (; settings && *settings; settings++) {
        const char *eq = strchr(*settings, '=');
        if (eq && same_key(key, *settings, (size_t)(eq - *settings))) value = eq + 1;
    }
    return value;
}

bool zo_choice(const char *choices, int index, char *out, size_t room)
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (!choices) return false;
        choices++;
    }
    snprintf(out, room, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

typedef struct choice_list {
    const char *choices;
    char word[64]; /* the one asked for last */
} choice_list;

static const char *choice_name(const void *of, int i)
{
    choice_list *list = (choice_list *)of; /* made by set_choice() */
    return zo_choice(list->choices, i, list->word, sizeof list->word) ? list->word : NULL;
}

static zo_status set_choice(const zo_context *ctx, const zo_param *p, const char *value, int *out)
{
    char word[64];
    for (int i = 0; zo_choice(p->choices, i, word, sizeof word); i++) {
        if (same_key(word, value, strlen(value))) {
            *out = i;
            return ZO_OK;
        }
    }
    choice_list list = {.choices = p->choices};
    const char *near = zo_nearest(value, choice_name, &list);
    if (near)
        return zo_fail(ctx, ZO_USAGE, "%s=%s is not known: did you mean %s? (one of %s)", p->name,
                       value, near, p->choices);
    return zo_fail(ctx, ZO_USAGE, "%s=%s is not known: one of %s", p->name, value, p->choices);
}

static zo_status set_value(const zo_context *ctx, const zo_param *p, const char *value, void *values)
{
    void *f = field(p, values);
    double real = 0;
    int64_t whole = 0;
    switch (p->type) {
    case ZO_PARAM_INT:
        if (!zo_read_int(value, &whole))
            return zo_fail(ctx, ZO_USAGE, "%s=%s: a whole number is expected", p->name, value);
        real = (double)whole;
        break;
    case ZO_PARAM_REAL:
        if (!zo_read_real(value, strlen(value), &real) || !isfinite(real)) {
            return zo_fail(ctx, ZO_USAGE, "%s=%s: a number is expected", p->name, value);
        }
        break;
    case ZO_PARAM_BOOL: {
        static const char *const yes[] = {"yes", "true", "1", "on"}, *const no[] = {"no", "false",
                                                                                    "0", "off"};
        for (int i = 0; i < 4; i++) {
            if (!strcmp(value, yes[i])) return *(bool *)f = true, ZO_OK;
            if (!strcmp(value, no[i])) return *(bool *)f = false, ZO_OK;
        }
        return zo_fail(ctx, ZO_USAGE, "%s=%s: yes or no is expected", p->name, value);
    }
    case ZO_PARAM_CHOICE: return set_choice(ctx, p, value, f);
    case ZO_PARAM_TEXT:
        if (strlen(value) >= ZO_TEXT_MAX)
            return zo_fail(ctx, ZO_USAGE, "%s: at most %d characters are accepted", p->name,
                           ZO_TEXT_MAX - 1);
        set_text(f, value);
        return ZO_OK;
    }
    if (real < p->min || real > p->max) {
        char low[32], high[32];
        zo_write_real(p->min, low, sizeof low);
        zo_write_real(p->max, high, sizeof high);
        return zo_fail(ctx, ZO_USAGE, "%s=%s is outside its range: %s to %s", p->name, value, low,
                       high);
    }
    if (p->type == ZO_PARAM_INT)
        *(int64_t *)f = whole;
    else
        *(double *)f = real;
    return ZO_OK;
}

typedef struct block_list {
    const zo_block *blocks;
    int n;
} block_list;

static const char *key_name(const void *of, int i)
{
    const block_list *list = of;
    for (int b = 0; b < list->n; b++) {
        for (const zo_param *p = list->blocks[b].of->params; p->name; p++) {
            if (i-- == 0) return p->name;
        }
    }
    return NULL;
}

static zo_status apply_one(const zo_context *ctx, const char *setting, const block_list *list)
{
    const char *eq = strchr(setting, '=');
    if (!eq || eq == setting)
        return zo_fail(ctx, ZO_USAGE, "\"%s\": a setting is written key=value", setting);
    size_t length = (size_t)(eq - setting);
    for (int b = 0; b < list->n; b++) {
        for (const zo_param *p = list->blocks[b].of->params; p->name; p++) {
            if (same_key(p->name, setting, length))
                return set_value(ctx, p, eq + 1, list->blocks[b].values);
        }
    }
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)length, setting);
    const char *near = zo_nearest(key, key_name, list);
    char of[256] = "";
    for (int b = 0; b < list->n; b++) {
        size_t used = strlen(of);
        snprintf(of + used, sizeof of - used, "%s%s", b ? ", " : "", list->blocks[b].of->name);
    }
    if (near)
        return zo_fail(ctx, ZO_USAGE,
                       "there is no setting \"%s\" here: did you mean %s? (settings of %s)", key,
                       near, of);
    return zo_fail(ctx, ZO_USAGE, "there is no setting \"%s\" in %s; 'zeroth list' shows them", key,
                   of);
}

zo_status zo_params_apply(const zo_context *ctx, const char *const *settings,
                          const zo_block *blocks, int n)
{
    block_list list = {blocks, n};
    zo_status status = ZO_OK;
    for (; settings && *settings && !status; settings++) status = apply_one(ctx, *settings, &list);
    return status;
}

void zo_param_show(const zo_param *p, const void *values, char *out, size_t room)
{
    const void *f = (const char *)values + p->offset;
    char text[64];
    switch (p->type) {
    case ZO_PARAM_INT:
        snprintf(out, room, "%s=%lld", p->name, (long long)*(const int64_t *)f);
        break;
    case ZO_PARAM_REAL:
        zo_write_real(*(const double *)f, text, sizeof text);
        snprintf(out, room, "%s=%s", p->name, text);
        break;
    case ZO_PARAM_BOOL:
        snprintf(out, room, "%s=%s", p->name, *(const bool *)f ? "yes" : "no");
        break;
    case ZO_PARAM_CHOICE:
        zo_choice(p->choices, *(const int *)f, text, sizeof text);
        snprintf(out, room, "%s=%s", p->name, text);
        break;
    case ZO_PARAM_TEXT: snprintf(out, room, "%s=%s", p->name, (const char *)f); break;
    }
}

/* Damerau's distance between short words: insertions, deletions, changes and swaps of neighbours. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    int n = (int)strnlen(a, MOST), m = (int)strnlen(b, MOST);
    int d[3][MOST + 1];
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = d[i % 3], *up = d[(i - 1) % 3], *up2 = d[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best) best = up[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *zo_nearest(const char *word, const char *(*next)(const void *of, int i), const void *of)
{
    int best = 1 << 20, at = -1;
    const char *name;
    for (int i = 0; (name = next(of, i)); i++) {
        int d = distance(word, name);
        size_t n = strlen(word);
        if (d > 0 && n >= 3 && !strncmp(word, name, n)) d = 1; /* a beginning */
        if (d < best) best = d, at = i;
    }
    if (at < 0) return NULL;
    name = next(of, at);
    size_t length = strlen(word) > strlen(name) ? strlen(word) : strlen(name);
    return best <= 1 + (int)length / 4 ? name : NULL;
}

static const char *class_name(const void *of, int i)
{
    const zo_class_info *const *classes = of;
    return classes[i] ? classes[i]->name : NULL;
}

zo_status zo_fail_unknown(const zo_context *ctx, const char *kind, const char *word,
                          const zo_class_info *const *classes)
{
    const char *near = zo_nearest(word, class_name, classes);
    if (near)
        return zo_fail(
            ctx, ZO_USAGE,
            "%s \"%s\" is not known: did you mean %s? ('zeroth list %ss' names them all)", kind,
            word, near, kind);
    char all[512] = "";
    for (int i = 0; classes[i]; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", classes[i]->name);
    }
    return zo_fail(ctx, ZO_USAGE, "%s \"%s\" is not known: one of %s", kind, word, all);
}

const void *zo_find(const zo_class_info *const *classes, const char *name)
{
    for (; *classes; classes++) {
        if (!strcmp((*classes)->name, name)) return *classes;
    }
    return NULL;
}

bool zo_read_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || !strchr("+-0123456789", *text)) return false;
    *out = v;
    return true;
}

/* The C locale, for numbers; made once, and the same whoever makes it. */
static locale_t c_locale(void)
{
    static _Atomic(locale_t) made;
    locale_t l = atomic_load(&made);
    if (!l) {
        l = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        if (!l)
            return LC_GLOBAL_LOCALE; /* out of memory: the host's, which is nearly always the same */
        locale_t none = (locale_t)0;
        if (!atomic_compare_exchange_strong(&made, &none, l)) {
            freelocale(l);
            l = none;
        }
    }
    return l;
}

bool zo_read_real(const char *text, size_t length, double *out)
{
    char copy[64], *end;
    if (!length || length >= sizeof copy) return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    if (!strchr("+-.0123456789niNI", copy[0]) || strpbrk(copy, "xXpP(")) return false;
    double v = strtod_l(copy, &end, c_locale());
    if (end != copy + length) return false;
    *out = v;
    return true;
}

void zo_write_real(double value, char *out, size_t room)
{
    if (isnan(value)) { /* printf() would show its sign */
        snprintf(out, room, "nan");
        return;
    }
    locale_t before = uselocale(c_locale()); /* this thread only, and put back */
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, room, "%.*g", digits, value);
        if (strtod_l(out, NULL, c_locale()) == value) break;
    }
    uselocale(before);
}

#include "options.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

/* ---- memory ---- */

void *cli_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p) exit(cli_fail(CLI_FAILED, "out of memory"));
    return p;
}

char *cli_strdup(const char *text) { return strcpy(cli_alloc(strlen(text) + 1), text); }

char *cli_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = cli_alloc((size_t)(n > 0 ? n : 0) + 1);
    vsnprintf(text, (size_t)(n > 0 ? n : 0) + 1, format, again);
    va_end(again);
    return text;
}

/* ---- lists ---- */

void cli_list_add(cli_list *list, const char *text)
{
    char **items = realloc(list->items, ((size_t)list->n + 2) * sizeof *items);
    if (!items) exit(cli_fail(CLI_FAILED, "out of memory"));
    list->items = items;
    items[list->n++] = cli_strdup(text);
    items[list->n] = NULL;
}

void cli_list_add_pair(cli_list *list, const char *key, const char *value)
{
    char *text = cli_format("%s=%s", key, value);
    cli_list_add(list, text);
    free(text);
}

void cli_list_remove(cli_list *list, int index)
{
    free(list->items[index]);
    memmove(list->items + index, list->items + index + 1,
            (size_t)(list->n - index) * sizeof *list->items);
    list->n--;
}

void cli_list_free(cli_list *list)
{
    for (int i = 0; i < list->n; i++) free(list->items[i]);
    free(list->items);
    *list = (cli_list){NULL, 0};
}

bool cli_key_is(const char *setting, const char *key)
{
    for (; *key; key++, setting++) {
        char a = *key == '-' ? '_' : *key, b = *setting == '-' ? '_' : *setting;
        if (a != b) return false;
    }
    return *setting == '=' || !*setting;
}

const char *cli_list_get(const cli_list *list, const char *key)
{
    for (int i = list->n - 1; i >= 0; i--) {
        if (cli_key_is(list->items[i], key)) return strchr(list->items[i], '=') + 1;
    }
    return NULL;
}

/* ---- spelling ---- */

enum { WORD_MAX = 40 };

/* Damerau's distance: insertions, deletions, changes and swaps of neighbours. */
static int distance(const char *a, const char *b)
{
    int n = (int)strnlen(a, WORD_MAX), m = (int)strnlen(b, WORD_MAX);
    int d[WORD_MAX + 1][WORD_MAX + 1];
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swap && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *(*next)(const void *of, int i), const void *of)
{
    const char *name, *best = NULL;
    int least = 1 + (int)strlen(word) / 3;
    for (int i = 0; (name = next(of, i)); i++) {
        int d = distance(word, name);
        bool beginning = strlen(word) >= 3 && !strncmp(word, name, strlen(word));
        if (beginning && d > 1) d = 1;
        if (d < least || (!best && d == least)) best = name, least = d;
    }
    return best;
}

const char *cli_option_name(const void *table, int i)
{
    return ((const cli_option *)table)[i].name;
}

const cli_option *cli_option_find(const cli_option *table, const char *name)
{
    for (; table->name; table++) {
        if (!strcmp(table->name, name)) return table;
    }
    return NULL;
}

/* ---- values ---- */

/* strtod alone would take " 1", "0x1p3", "inf" and "nan". */
bool cli_read_real(const char *text, double *out)
{
    if (!*text || text[strspn(text, "+-.0123456789eE")]) return false;
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool read_seed(const char *text, uint64_t *out)
{
    if (!*text || text[strspn(text, "0123456789")]) return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return !errno;
}

static bool set_real(const cli_option *o, double *to, const char *text, const char *where)
{
    double v;
    if (cli_read_real(text, &v) && v > o->min && v <= o->max) {
        *to = v;
        return true;
    }
    if (o->max >= DBL_MAX) {
        cli_fail(CLI_USAGE, "%s %s: a number above %g is expected", where, text, o->min);
    } else {
        cli_fail(CLI_USAGE, "%s %s: a number above %g and at most %g is expected", where, text,
                 o->min, o->max);
    }
    return false;
}

static bool set_int(const cli_option *o, int *to, const char *text, const char *where)
{
    uint64_t v;
    if (read_seed(text, &v) && (double)v >= o->min && (double)v <= o->max) {
        *to = (int)v;
        return true;
    }
    cli_fail(CLI_USAGE, "%s %s: a whole number from %.0f to %.0f is expected", where, text, o->min,
             o->max);
    return false;
}

/* "4096", "512M", "1.5GiB", "2GB": K, M, G, T are powers of 1024 unless B follows. */
static bool read_size(const char *text, int64_t *out)
{
    char digits[32];
    size_t n = strspn(text, "0123456789.");
    double value, unit = 1;
    if (!n || n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = 0;
    const char *letters = "KMGT", *end = text + n, *letter = NULL;
    if (*end) letter = strchr(letters, *end >= 'a' ? *end - 32 : *end);
    if (letter) end++;
    bool thousands = letter && !strcasecmp(end, "B");
    for (const char *l = letters; letter && l <= letter; l++) unit *= thousands ? 1000 : 1024;
    bool ended = !*end || !strcasecmp(end, "B") || (letter && !strcasecmp(end, "iB"));
    if (!ended || !cli_read_real(digits, &value)) return false;
    value *= unit;
    if (!(value >= 1 && value < 9e18)) return false;
    *out = (int64_t)value;
    return true;
}

static bool set_size(int64_t *to, const char *text, const char *where)
{
    if (read_size(text, to)) return true;
    cli_fail(CLI_USAGE, "%s %s: a size is expected, in bytes or such as 512M or 2GiB", where, text);
    return false;
}

static bool set_text(const char **to, const char *text, const char *where)
{
    if (!*text) {
        cli_fail(CLI_USAGE, "%s: the value is empty", where);
        return false;
    }
    *to = text;
    return true;
}

static bool add_setting(cli_list *to, const char *text, const char *where)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || *text == '-') {
        cli_fail(CLI_USAGE, "%s %s: a setting is written key=value", where, text);
        return false;
    }
    cli_list_add(to, text);
    return true;
}

/* The dashes tell what was typed so from what --set gave, and leave both in their order. */
static bool add_short(cli_list *to, const char *name, const char *text, const char *where)
{
    const char *value;
    if (!set_text(&value, text, where)) return false;
    char *key = cli_format("--%s", name);
    cli_list_add_pair(to, key, value);
    free(key);
    return true;
}

bool cli_option_set(const cli_option *o, void *values, const char *text, const char *where)
{
    void *field = (char *)values + o->offset;
    switch (o->kind) {
    case CLI_FLAG: *(bool *)field = true; return true;
    case CLI_TEXT: return set_text(field, text, where);
    case CLI_REAL: return set_real(o, field, text, where);
    case CLI_INT: return set_int(o, field, text, where);
    case CLI_SEED:
        if (read_seed(text, field)) return true;
        cli_fail(CLI_USAGE, "%s %s: a whole number from 0 to 18446744073709551615 is expected",
                 where, text);
        return false;
    case CLI_SIZE: return set_size(field, text, where);
    case CLI_LIST: return add_setting(field, text, where);
    case CLI_SHORT: return add_short(field, o->name, text, where);
    case CLI_TEXTS: cli_list_add(field, text); return true;
    }
    return false;
}

/* ---- the command line ---- */

/* Whether some class has a setting of that name, so that --lr can be answered with --set lr=... */
bool cli_is_setting(const char *name)
{
    for (int k = 0; zo_kind_name(k); k++) {
        const zo_class_info *c;
        for (int i = 0; (c = zo_class_at(zo_kind_name(k), i)); i++) {
            for (const zo_param *p = c->params; p && p->name; p++) {
                if (cli_key_is(name, p->name)) return true;
            }
        }
    }
    return false;
}

static bool unknown(const char *command, const cli_option *table, const char *name)
{
    const char *near = cli_nearest(name, cli_option_name, table);
    if (cli_option_find(table, "set") && cli_is_setting(name)) {
        cli_fail(CLI_USAGE, "unknown option --%s: did you mean --set %s=VALUE?", name, name);
    } else if (near) {
        cli_fail(CLI_USAGE, "unknown option --%s: did you mean --%s?", name, near);
    } else {
        cli_fail(CLI_USAGE, "unknown option --%s: 'zeroth help %s' lists the options", name,
                 command);
    }
    return false;
}

/* Reads the option at argv[*i] and leaves *i at the last argument it took. */
static bool read_option(const char *command, const cli_option *table, int argc, char **argv, int *i,
                        void *values)
{
    char name[WORD_MAX + 1], where[WORD_MAX + 3];
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", (int)(length < WORD_MAX ? length : WORD_MAX), text);
    snprintf(where, sizeof where, "--%s", name);
    const cli_option *o = cli_option_find(table, name);
    if (!o) return unknown(command, table, name);
    if (o->kind == CLI_FLAG) {
        if (!equals) return cli_option_set(o, values, "", where);
        cli_fail(CLI_USAGE, "%s takes no value", where);
        return false;
    }
    if (equals) return cli_option_set(o, values, equals + 1, where);
    if (*i + 1 >= argc || !strncmp(argv[*i + 1], "--", 2)) {
        cli_fail(CLI_USAGE, "%s needs a value: %s %s", where, where, o->value);
        return false;
    }
    return cli_option_set(o, values, argv[++*i], where);
}

static bool add_word(const char *command, cli_words *words, const char *word)
{
    if (words->n < words->most) {
        words->word[words->n++] = word;
        return true;
    }
    if (words->most) {
        cli_fail(CLI_USAGE, "unexpected \"%s\": %s takes %s", word, command, words->names);
    } else {
        cli_fail(CLI_USAGE, "unexpected \"%s\": %s takes only options", word, command);
    }
    return false;
}

bool cli_parse(const char *command, const cli_option *table, int argc, char **argv, void *values,
               cli_words *words)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        bool ok;
        if (options && !strcmp(a, "--")) {
            options = false;
            continue;
        }
        if (options && !strncmp(a, "--", 2)) {
            ok = read_option(command, table, argc, argv, &i, values);
        } else if (options && a[0] == '-' && a[1]) {
            ok = !cli_fail(CLI_USAGE, "unknown option %s: options begin with two dashes", a);
        } else {
            ok = add_word(command, words, a);
        }
        if (!ok) return false;
    }
    if (words->n >= words->least) return true;
    cli_fail(CLI_USAGE, "%s needs %s: 'zeroth help %s' shows how", command, words->names, command);
    return false;
}

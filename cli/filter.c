#include "filter.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Longer signs first: they begin with shorter ones. */
static const char *const signs[] = {"!=", "<=", ">=", "=", "<", ">"};
enum { SIGNS = sizeof signs / sizeof *signs };

bool cli_filter_read(const char *text, cli_filter *out)
{
    size_t n = strcspn(text, "!=<>");
    *out = (cli_filter){0};
    for (int i = 0; i < SIGNS && !out->sign; i++) {
        if (!strncmp(text + n, signs[i], strlen(signs[i]))) out->sign = signs[i];
    }
    while (n && text[n - 1] == ' ') n--;
    if (!n || !out->sign) {
        cli_fail(CLI_USAGE,
                 "--filter %s: a condition is written key=value, with = != < <= > or >=", text);
        return false;
    }
    out->value = strstr(text + n, out->sign) + strlen(out->sign);
    out->value += strspn(out->value, " ");
    out->key = cli_format("%.*s", (int)n, text);
    return true;
}

void cli_filter_free(cli_filter *filter) { free(filter->key); }

/* "90%" is 0.9 and "1.5M" 1.5e6, as the table shows them. */
static bool read_number(const char *text, double *out)
{
    static const struct {
        char letter;
        double factor;
    } units[] = {{'%', 0.01}, {'k', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}, {'P', 1e15}};
    char digits[64];
    size_t n = strlen(text);
    double factor = 1;
    for (size_t i = 0; n && i < sizeof units / sizeof *units; i++) {
        if (text[n - 1] != units[i].letter) continue;
        factor = units[i].factor;
        n--;
        break;
    }
    while (n && text[n - 1] == ' ') n--;
    if (n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = 0;
    if (!cli_read_real(digits, out)) return false;
    *out *= factor;
    return true;
}

bool cli_number(const json_t *value, double *out)
{
    if (json_is_string(value)) return cli_read_real(json_string_value(value), out);
    if (!json_is_number(value)) return false;
    *out = json_number_value(value);
    return true;
}

/* -1, 0, 1: before, equal, behind; 2: not comparable. */
static int compare(const json_t *value, const char *with)
{
    double a, b;
    const char *text = json_string_value(value);
    if (json_is_boolean(value)) text = json_is_true(value) ? "yes" : "no";
    bool exact = text && strlen(text) > 15; /* a seed has more digits than a double */
    if (!exact && cli_number(value, &a) && read_number(with, &b)) return (a > b) - (a < b);
    if (!text) return 2;
    int order = strcmp(text, with);
    return (order > 0) - (order < 0);
}

static bool equal(const cli_filter *f, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!compare(value, f->value) || (text && !fnmatch(f->value, text, 0))) return true;
    /* "nodes" is as good as "nodes:adam", as it is for train --method. */
    size_t n = text && !strcmp(f->key, "method") ? strcspn(text, ":") : 0;
    return n && text[n] && !strncmp(text, f->value, n) && !f->value[n];
}

bool cli_filter_meets(const cli_filter *f, const json_t *value)
{
    if (!strcmp(f->sign, "=")) return value && equal(f, value);
    if (!strcmp(f->sign, "!=")) return !value || !equal(f, value);
    int order = value ? compare(value, f->value) : 2;
    if (order == 2) return false;
    bool or_equal = f->sign[1] == '=';
    return (order == 0 && or_equal) || (order == (*f->sign == '<' ? -1 : 1));
}

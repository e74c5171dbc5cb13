#include "classes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "text.h"

static const char *type_name(zo_param_type type)
{
    switch (type) {
    case ZO_PARAM_INT: return "whole number";
    case ZO_PARAM_REAL: return "number";
    case ZO_PARAM_BOOL: return "yes or no";
    case ZO_PARAM_CHOICE: return "choice";
    case ZO_PARAM_TEXT: return "text";
    }
    return "?";
}

static const char *default_text(const zo_param *p, char *out)
{
    const char *word = p->choices;
    switch (p->type) {
    case ZO_PARAM_INT: snprintf(out, ZO_TEXT_MAX, "%.0f", p->standard); break;
    case ZO_PARAM_REAL: snprintf(out, ZO_TEXT_MAX, "%.9g", p->standard); break;
    case ZO_PARAM_BOOL: snprintf(out, ZO_TEXT_MAX, "%s", p->standard > 0 ? "yes" : "no"); break;
    case ZO_PARAM_CHOICE:
        for (int i = (int)p->standard; i > 0 && strchr(word, '|'); i--)
            word = strchr(word, '|') + 1;
        snprintf(out, ZO_TEXT_MAX, "%.*s", (int)strcspn(word, "|"), word);
        break;
    case ZO_PARAM_TEXT: snprintf(out, ZO_TEXT_MAX, "%s", p->text ? p->text : ""); break;
    }
    return out;
}

bool cli_class_has(const zo_class_info *of, const char *key)
{
    for (const zo_param *p = of ? of->params : NULL; p && p->name; p++) {
        if (cli_key_is(key, p->name)) return true;
    }
    return false;
}

/* A bound so large that it only says "finite" is none. */
static bool bounded(double limit) { return fabs(limit) < 1e15; }

static char *range_text(const zo_param *p)
{
    if (p->type == ZO_PARAM_CHOICE) {
        char *text = cli_strdup("one of");
        for (const char *at = p->choices; *at; at += strspn(at, "|")) {
            int n = (int)strcspn(at, "|");
            char *longer = cli_format("%s%s%.*s", text, at == p->choices ? " " : ", ", n, at);
            free(text);
            text = longer;
            at += n;
        }
        return text;
    }
    if (p->type != ZO_PARAM_INT && p->type != ZO_PARAM_REAL) return cli_strdup(type_name(p->type));
    const char *type = type_name(p->type);
    if (bounded(p->min) && bounded(p->max))
        return cli_format("%s, %.10g to %.10g", type, p->min, p->max);
    if (bounded(p->min)) return cli_format("%s, at least %.10g", type, p->min);
    if (bounded(p->max)) return cli_format("%s, at most %.10g", type, p->max);
    return cli_strdup(type);
}

static char *left_text(const zo_param *p)
{
    char value[ZO_TEXT_MAX];
    return cli_format("  %s=%s", p->name, default_text(p, value));
}

void cli_params_print(FILE *f, int width, const zo_class_info *of)
{
    enum { MOST = 26 };
    int column = 0;
    for (const zo_param *p = of->params; p && p->name; p++) {
        char *left = left_text(p);
        int n = cli_columns(left);
        if (n > column && n <= MOST) column = n;
        free(left);
    }
    for (const zo_param *p = of->params; p && p->name; p++) {
        char *left = left_text(p), *range = range_text(p);
        char *text = cli_format("%s (%s)", p->help ? p->help : "", range);
        cli_row(f, width, column > cli_columns(left) ? column : cli_columns(left), left, text);
        free(left);
        free(range);
        free(text);
    }
}

static json_t *choices_json(const char *choices)
{
    json_t *list = json_array();
    for (const char *at = choices; *at; at += strspn(at, "|")) {
        size_t n = strcspn(at, "|");
        json_array_append_new(list, json_stringn(at, n));
        at += n;
    }
    return list;
}

static json_t *param_json(const zo_param *p)
{
    static const char *const types[] = {"int", "real", "bool", "choice", "text"};
    char value[ZO_TEXT_MAX];
    json_t *json = json_object();
    cli_json_text(json, "name", p->name);
    cli_json_text(json, "type", types[p->type]);
    cli_json_text(json, "default", default_text(p, value));
    if (p->type == ZO_PARAM_INT || p->type == ZO_PARAM_REAL) {
        if (bounded(p->min)) cli_json_real(json, "min", p->min);
        if (bounded(p->max)) cli_json_real(json, "max", p->max);
    }
    if (p->type == ZO_PARAM_CHOICE) json_object_set_new(json, "choices", choices_json(p->choices));
    cli_json_text(json, "help", p->help ? p->help : "");
    return json;
}

json_t *cli_params_json(const zo_class_info *of)
{
    json_t *list = json_array();
    for (const zo_param *p = of->params; p && p->name; p++) {
        json_array_append_new(list, param_json(p));
    }
    return list;
}

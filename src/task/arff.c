#include "task/arff.h"

#include <stdlib.h>
#include <string.h>

/* A line on its way into words. */
typedef struct line {
    char *at;
    char held; /* what stood where the last word got its zero; 0: nothing */
} line;

typedef struct parser {
    const zo_context *ctx;
    const char *where;
    char *at, *end;
    int64_t number; /* of the line */
    zo_csv *out;
    char **value; /* [room] what nominal attributes may be, one after the other, each ascending */
    size_t values, room;
    size_t *last; /* [columns] where the values of each end */
} parser;

static bool is_space(char c) { return c == ' ' || c == '\t'; }

/* Whether text begins with a word of small letters, whatever its capitals; those of ASCII, in every locale. */
static bool begins_with(const char *text, const char *word)
{
    for (; *word; text++, word++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (c != *word) return false;
    }
    return true;
}

static bool is_word(const char *text, const char *word)
{
    return begins_with(text, word) && !text[strlen(word)];
}

/* The next line, which ends with a zero; NULL behind the last. */
static char *next_line(parser *p)
{
    if (p->at >= p->end) return NULL;
    char *start = p->at;
    while (p->at < p->end && *p->at != '\n' && *p->at != '\r') p->at++;
    bool both = p->at + 1 < p->end && p->at[0] == '\r' && p->at[1] == '\n';
    *p->at = 0;
    p->at += both ? 2 : 1;
    p->number++;
    return start;
}

static char peek(const line *l) { return l->held ? l->held : *l->at; }

static void skip(line *l)
{
    l->at++;
    l->held = 0;
}

static void skip_spaces(line *l, bool commas)
{
    while (is_space(peek(l)) || (commas && peek(l) == ',')) skip(l);
}

static bool at_end(const line *l) { return !peek(l) || peek(l) == '%'; }

static zo_status fault(const parser *p, const char *what, const char *remedy)
{
    return zo_fail(p->ctx, ZO_FORMAT, "%s: line %lld: %s: %s", p->where, (long long)p->number, what,
                   remedy);
}

/* Behind the opening quote; Weka's escapes. */
static zo_status quoted_word(const parser *p, line *l, char quote, char **word)
{
    static const char escapes[] = "nrt", meant[] = "\n\r\t";
    char *out = *word = l->at;
    for (; *l->at != quote; l->at++) {
        if (*l->at == '\\' && l->at[1]) {
            const char *known = strchr(escapes, *++l->at);
            *out++ = known ? meant[known - escapes] : *l->at;
        } else if (*l->at) {
            *out++ = *l->at;
        } else {
            return fault(p, "a quote that opens here is never closed", "close it in the same line");
        }
    }
    l->at++;
    *out = 0;
    return ZO_OK;
}

/* A word: up to a space, a comma, a comment, or one of `stops`. */
static zo_status take_word(const parser *p, line *l, const char *stops, char **word)
{
    char first = peek(l);
    if (first == '"' || first == '\'') {
        skip(l);
        return quoted_word(p, l, first, word);
    }
    if (l->held) *l->at = l->held; /* the word begins where the last one ended */
    *word = l->at;
    while (*l->at && !is_space(*l->at) && *l->at != ',' && *l->at != '%' && !strchr(stops, *l->at))
        l->at++;
    l->held = *l->at;
    *l->at = 0;
    return ZO_OK;
}

/* ---- the header ---- */

static zo_status room_for_value(parser *p)
{
    if (p->values < p->room) return ZO_OK;
    size_t room = 2 * p->room;
    char **value = zo_alloc(p->ctx, room * sizeof *value);
    if (!value) return ZO_NO_MEMORY;
    memcpy(value, p->value, p->values * sizeof *value);
    zo_free(p->ctx, p->value);
    p->value = value;
    p->room = room;
    return ZO_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The values between { and }, which follow one another in p->value. */
static zo_status take_values(parser *p, line *l)
{
    zo_status status = ZO_OK;
    size_t before = p->values;
    for (skip(l);; skip_spaces(l, true)) {
        skip_spaces(l, true);
        if (peek(l) == '}') break;
        if (at_end(l) || peek(l) == '{')
            return fault(p, "a list of values is not closed", "end it with }");
        status = room_for_value(p);
        if (!status) status = take_word(p, l, "{}", &p->value[p->values]);
        if (status) return status;
        p->values++;
    }
    skip(l);
    skip_spaces(l, false);
    if (!at_end(l)) return fault(p, "more follows a list of values", "end the line behind its }");
    if (p->values == before)
        return fault(p, "a list of values is empty", "{a, b, ...} is expected");
    return ZO_OK;
}

static zo_status take_type(parser *p, line *l, zo_cell_type *type)
{
    static const struct {
        const char *word;
        zo_cell_type type;
    } types[] = {{"numeric", ZO_CELL_NUMBER},
                 {"real", ZO_CELL_NUMBER},
                 {"integer", ZO_CELL_NUMBER},
                 {"string", ZO_CELL_TEXT},
                 {"date", ZO_CELL_TEXT}};
    char *word;
    if (peek(l) == '{') {
        *type = ZO_CELL_TEXT;
        return take_values(p, l);
    }
    zo_status status = take_word(p, l, "{}", &word);
    if (status) return status;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        *type = types[i].type;
        if (is_word(word, types[i].word)) return ZO_OK;
    }
    return fault(p, "the type of this attribute is not read",
                 "numeric, real, integer, {a,b,...}, string and date are");
}

static zo_status take_attribute(parser *p, line *l)
{
    zo_csv *out = p->out;
    skip_spaces(l, false);
    if (at_end(l) || peek(l) == '{')
        return fault(p, "an attribute has no name", "@attribute NAME TYPE is expected");
    if (out->columns == ZO_COLUMNS_MAX) return fault(p, "too many attributes", "2^20 are accepted");
    zo_status status = take_word(p, l, "{", &out->cell[out->columns]);
    skip_spaces(l, false);
    if (status) return status;
    if (at_end(l)) return fault(p, "an attribute has no type", "@attribute NAME TYPE is expected");
    size_t first = p->values;
    status = take_type(p, l, &out->type[out->columns]);
    p->last[out->columns++] = p->values;
    qsort(p->value + first, p->values - first, sizeof *p->value, by_text);
    return status;
}

/* Up to the line "@data". */
static zo_status read_header(parser *p)
{
    zo_status status = ZO_OK;
    for (char *text; !status && (text = next_line(p));) {
        line l = {text, 0};
        char *word;
        skip_spaces(&l, false);
        if (at_end(&l)) continue;
        status = take_word(p, &l, "{'\"", &word);
        if (status) return status;
        if (is_word(word, "@data")) break;
        if (is_word(word, "@attribute"))
            status = take_attribute(p, &l);
        else if (!is_word(word, "@relation"))
            status = fault(p, "this is no line of a header",
                           "@relation, @attribute or @data is expected");
    }
    if (!status && !p->out->columns)
        return fault(p, "no attribute is declared before the data", "@attribute NAME TYPE does it");
    return status;
}

/* ---- rows ---- */

/* Nominal attributes hold nothing but what they declare. */
static zo_status check_value(const parser *p, int column, const char *cell)
{
    char shown[ZO_SHOWN_MAX], name[ZO_SHOWN_MAX];
    size_t first = column ? p->last[column - 1] : 0, last = p->last[column];
    if (first == last || !strcmp(cell, "?") ||
        bsearch(&cell, p->value + first, last - first, sizeof *p->value, by_text))
        return ZO_OK;
    return zo_fail(p->ctx, ZO_FORMAT,
                   "%s: line %lld, attribute \"%s\": \"%s\" is not among the values that its "
                   "declaration lists: add it there or correct it",
                   p->where, (long long)p->number, zo_csv_shown(p->out->cell[column], name),
                   zo_csv_shown(cell, shown));
}

static zo_status read_row(parser *p, line *l)
{
    zo_csv *out = p->out;
    char **cell = out->cell + out->rows * out->columns, *surplus;
    int n = 0;
    zo_status status = ZO_OK;
    if (peek(l) == '{')
        return fault(p, "sparse rows ({index value, ...}) are not read",
                     "write all values of a row (Weka's filter SparseToNonSparse)");
    for (; !status && !at_end(l); skip_spaces(l, true), n++) {
        char **to = n < out->columns ? &cell[n] : &surplus;
        status = take_word(p, l, "", to);
        if (!status && n < out->columns) status = check_value(p, n, *to);
    }
    if (!status && n != out->columns)
        return zo_fail(p->ctx, ZO_FORMAT,
                       "%s: line %lld has %d value%s, where %d attributes are declared: check its "
                       "commas and quotes",
                       p->where, (long long)p->number, n, n == 1 ? "" : "s", out->columns);
    out->line[out->rows++] = p->number;
    return status;
}

static zo_status read_rows(parser *p)
{
    zo_status status = ZO_OK;
    p->out->line[0] = 1;
    p->out->rows = 1;
    for (char *text; !status && (text = next_line(p));) {
        line l = {text, 0};
        skip_spaces(&l, true);
        if (!at_end(&l)) status = read_row(p, &l);
    }
    return status;
}

/* ---- the file ---- */

/* Behind a UTF-8 mark, spaces, empty lines and comments. */
static const char *first_word(const char *at, const char *end)
{
    if (end - at >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3;
    while (at < end) {
        if (*at == '%')
            while (at < end && *at != '\n' && *at != '\r') at++;
        else if (is_space(*at) || *at == '\n' || *at == '\r')
            at++;
        else
            break;
    }
    return at;
}

bool zo_arff_is(const char *bytes, size_t size)
{
    static const char word[] = "@relation";
    const char *end = bytes + size, *at = first_word(bytes, end);
    size_t n = sizeof word - 1;
    if ((size_t)(end - at) < n || !begins_with(at, word)) return false;
    return (size_t)(end - at) == n || strchr(" \t\r\n'\"%", at[n]) != NULL;
}

/* No more words than this are in bytes[size]: each ends at a separator or has a quote. */
static size_t words_most(const char *bytes, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++) n += strchr(" \t,\n\r'\"{}", bytes[i]) != NULL;
    return n;
}

zo_status zo_arff_parse(const zo_context *ctx, const char *where, char *bytes, size_t size,
                        zo_csv *out)
{
    size_t breaks;
    *out = (zo_csv){.separator = ','};
    if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) bytes += 3, size -= 3;
    zo_status status = zo_csv_survey(ctx, where, bytes, size, &breaks);
    if (status) return status;
    size_t words = words_most(bytes, size);
    parser p = {.ctx = ctx, .where = where, .at = bytes, .end = bytes + size, .out = out, .room = 64};
    p.value = zo_alloc(ctx, p.room * sizeof *p.value);
    p.last = zo_alloc(ctx, (breaks + 1) * sizeof *p.last);
    out->cell = zo_alloc(ctx, (words + breaks + 1) * sizeof *out->cell);
    out->line = zo_alloc(ctx, (breaks + 2) * sizeof *out->line);
    out->type = zo_alloc(ctx, (breaks + 1) * sizeof *out->type);
    if (!p.value || !p.last || !out->cell || !out->line || !out->type) status = ZO_NO_MEMORY;
    if (!status) status = read_header(&p);
    if (!status) status = read_rows(&p);
    zo_free(ctx, p.value);
    zo_free(ctx, p.last);
    if (status) zo_csv_free(ctx, out);
    return status;
}

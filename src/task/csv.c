#include "task/csv.h"

#include <stdio.h>
#include <string.h>

typedef struct parser {
    const zo_context *ctx;
    const char *where;
    char *at, *end; /* *end may be written */
    char separator;
    int64_t line;
} parser;

static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (!n || s[0] > 0xf4 || n > left) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    /* too long a form, a surrogate, or past U+10FFFF: Unicode 15, table 3-7 */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

size_t zo_utf8_prefix(const char *text, size_t size)
{
    size_t at = 0, n = 1;
    while (at < size && n) {
        n = utf8_length((const unsigned char *)text + at, size - at);
        at += n;
    }
    return at;
}

const char *zo_csv_shown(const char *cell, char out[ZO_SHOWN_MAX])
{
    size_t n = strnlen(cell, ZO_SHOWN_MAX), most = ZO_SHOWN_MAX - 4;
    bool cut = n > most;
    if (cut) n = zo_utf8_prefix(cell, most);
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)cell[i] < ' ' || cell[i] == 0x7f ? ' ' : cell[i];
    strcpy(out + n, cut ? "..." : "");
    return out;
}

const char *zo_csv_name(const zo_csv *csv, int column, char room[32])
{
    const char *cell = zo_csv_cell(csv, 0, column);
    if (*cell) return cell;
    snprintf(room, 32, "column%d", column + 1);
    return room;
}

static bool stands_for_none(const char *cell)
{
    static const char *const words[] = {"?",   "NA",   "N/A",  "n/a",  "NaN",  "nan",
                                        "NAN", "-nan", "null", "NULL", "Null", "None"};
    if (!*cell || !strchr("?Nn-", *cell)) return !*cell;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(cell, words[i])) return true;
    }
    return false;
}

bool zo_csv_missing_at(const zo_csv *csv, int64_t row, int column)
{
    const char *cell = zo_csv_cell(csv, row, column);
    return zo_csv_type(csv, column) == ZO_CELL_TEXT ? !strcmp(cell, "?") : stands_for_none(cell);
}

static int64_t line_of(const char *bytes, size_t at)
{
    int64_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += bytes[i] == '\n' || (bytes[i] == '\r' && bytes[i + 1] != '\n');
    return line;
}

static zo_status check_start(const zo_context *ctx, const char *where, const char *bytes, size_t n)
{
    if (n >= 2 && !memcmp(bytes, "\x1f\x8b", 2))
        return zo_fail(ctx, ZO_FORMAT, "%s: a gzip file: unpack it first (gunzip)", where);
    if (n >= 2 && (!memcmp(bytes, "\xff\xfe", 2) || !memcmp(bytes, "\xfe\xff", 2)))
        return zo_fail(ctx, ZO_FORMAT, "%s: UTF-16 text: save the table as UTF-8", where);
    return ZO_OK;
}

zo_status zo_csv_survey(const zo_context *ctx, const char *where, const char *bytes, size_t size,
                        size_t *breaks)
{
    *breaks = 0;
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)bytes[i];
        size_t n =
            c >= ' ' && c < 0x7f ? 1 : utf8_length((const unsigned char *)bytes + i, size - i);
        bool breaking = c == '\n' || c == '\r';
        if ((c < ' ' && c != '\t' && !breaking) || c == 0x7f)
            return zo_fail(ctx, ZO_FORMAT,
                           "%s: line %lld: the byte 0x%02x does not belong in a table of text: is "
                           "this another kind of file?",
                           where, (long long)line_of(bytes, i), c);
        if (!n)
            return zo_fail(ctx, ZO_FORMAT,
                           "%s: line %lld: the byte 0x%02x is not UTF-8: save the table as UTF-8",
                           where, (long long)line_of(bytes, i), c);
        *breaks += breaking;
        i += n;
    }
    return ZO_OK;
}

static char guess_separator(const char *bytes, size_t size)
{
    static const char candidate[] = ",;\t";
    int count[3] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '"') quoted = !quoted;
        if (quoted) continue;
        if ((bytes[i] == '\n' || bytes[i] == '\r') && (count[0] || count[1] || count[2])) break;
        for (int c = 0; c < 3; c++) count[c] += bytes[i] == candidate[c];
    }
    for (int c = 1; c < 3; c++) best = count[c] > count[best] ? c : best;
    return candidate[best];
}

static bool at_break(const parser *p)
{
    return p->at < p->end && (*p->at == '\n' || *p->at == '\r');
}

static void skip_spaces(parser *p)
{
    while (p->at < p->end && *p->at == ' ') p->at++;
}

static void skip_break(parser *p)
{
    if (*p->at == '\r' && p->at + 1 < p->end && p->at[1] == '\n') p->at++;
    p->at++;
    p->line++;
}

/* p->at is at the opening quote; leaves it behind the closing one. */
static zo_status quoted_cell(parser *p, char **stop)
{
    int64_t opened = p->line;
    char *out = p->at++;
    for (;; p->at++) {
        if (p->at == p->end)
            return zo_fail(p->ctx, ZO_FORMAT,
                           "%s: line %lld: the quote that opens here is never closed", p->where,
                           (long long)opened);
        if (*p->at == '"' && (p->at + 1 == p->end || p->at[1] != '"')) break;
        if (*p->at == '"') p->at++;
        p->line += *p->at == '\n' || (*p->at == '\r' && p->at[1] != '\n');
        *out++ = *p->at;
    }
    p->at++;
    *stop = out;
    skip_spaces(p);
    if (p->at < p->end && !at_break(p) && *p->at != p->separator)
        return zo_fail(p->ctx, ZO_FORMAT,
                       "%s: line %lld: text follows a closing quote: a quote inside a quoted field "
                       "is written twice",
                       p->where, (long long)p->line);
    return ZO_OK;
}

/* One field; *more: another one follows in this row. */
static zo_status cell(parser *p, char **text, bool *more)
{
    char *stop = p->at;
    zo_status status = ZO_OK;
    skip_spaces(p);
    *text = p->at;
    if (p->at < p->end && *p->at == '"') {
        status = quoted_cell(p, &stop);
    } else {
        while (p->at < p->end && *p->at != p->separator && !at_break(p)) p->at++;
        for (stop = p->at; stop > *text && stop[-1] == ' ';) stop--;
    }
    if (status) return status;
    *more = p->at < p->end && *p->at == p->separator;
    if (*more)
        p->at++;
    else if (at_break(p))
        skip_break(p);
    *stop = 0;
    return ZO_OK;
}

static bool next_row(parser *p)
{
    for (;;) {
        skip_spaces(p);
        if (p->at == p->end) return false;
        if (!at_break(p)) return true;
        skip_break(p);
    }
}

static zo_status ragged(const parser *p, const zo_csv *out, int fields)
{
    return zo_fail(p->ctx, ZO_FORMAT,
                   "%s: line %lld has %d field%s, where line %lld has %d: check its separators and "
                   "quotes",
                   p->where, (long long)out->line[out->rows], fields, fields == 1 ? "" : "s",
                   (long long)out->line[0], out->columns);
}

/* Reads one row to the end of out->cell. */
static zo_status row(parser *p, zo_csv *out)
{
    bool more = true;
    int fields = 0;
    char *surplus, **to = out->cell + out->rows * out->columns;
    out->line[out->rows] = p->line;
    while (more) {
        bool fits = !out->rows || fields < out->columns;
        if (fields == ZO_COLUMNS_MAX)
            return zo_fail(p->ctx, ZO_FORMAT, "%s: line %lld has more than %d fields", p->where,
                           (long long)p->line, ZO_COLUMNS_MAX);
        zo_status status = cell(p, fits ? &to[fields] : &surplus, &more);
        if (status) return status;
        fields++;
    }
    if (out->rows && fields != out->columns) return ragged(p, out, fields);
    out->columns = fields;
    out->rows++;
    return ZO_OK;
}

static size_t count_byte(const char *bytes, size_t size, char byte)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) n += bytes[i] == byte;
    return n;
}

zo_status zo_csv_parse(const zo_context *ctx, const char *where, char *bytes, size_t size,
                       char separator, zo_csv *out)
{
    size_t breaks;
    *out = (zo_csv){0};
    zo_status status = check_start(ctx, where, bytes, size);
    if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
        bytes += 3;
        size -= 3;
    }
    if (!status) status = zo_csv_survey(ctx, where, bytes, size, &breaks);
    if (status) return status;
    out->separator = separator ? separator : guess_separator(bytes, size);
    size_t cells = count_byte(bytes, size, out->separator) + breaks + 1;
    out->cell = zo_alloc(ctx, cells * sizeof *out->cell);
    out->line = zo_alloc(ctx, (breaks + 1) * sizeof *out->line);
    if (!out->cell || !out->line) status = ZO_NO_MEMORY;
    parser p = {ctx, where, bytes, bytes + size, out->separator, 1};
    while (!status && next_row(&p)) status = row(&p, out);
    if (!status && !out->rows) status = zo_fail(ctx, ZO_FORMAT, "%s: the file is empty", where);
    if (status) zo_csv_free(ctx, out);
    return status;
}

void zo_csv_free(const zo_context *ctx, zo_csv *csv)
{
    zo_free(ctx, csv->cell);
    zo_free(ctx, csv->line);
    zo_free(ctx, csv->type);
    *csv = (zo_csv){0};
}

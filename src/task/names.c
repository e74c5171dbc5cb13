/* The names of a table's columns: header or none, which is the label, which are left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/columns.h"

static bool is_number(const char *cell)
{
    double value;
    return zo_read_real(cell, strlen(cell), &value);
}

static bool row_has(const zo_csv *csv, int64_t row, const char *text)
{
    for (int c = 0; c < csv->columns; c++) {
        if (!strcmp(zo_csv_cell(csv, row, c), text)) return true;
    }
    return false;
}

/* A first row is a header if it holds the label's name, or if it holds no number but the second
 * does, or if it is all text and none of it comes again in its column. */
static bool guess_header(const zo_survey *s)
{
    const zo_csv *csv = &s->csv;
    bool number_below = false;
    if (s->settings->label[0] && !is_number(s->settings->label) &&
        row_has(csv, 0, s->settings->label))
        return true;
    for (int c = 0; c < csv->columns; c++) {
        if (is_number(zo_csv_cell(csv, 0, c))) return false;
        number_below = number_below || (csv->rows > 1 && is_number(zo_csv_cell(csv, 1, c)));
    }
    if (number_below) return true;
    for (int c = 0; c < csv->columns; c++) {
        for (int64_t row = 1; row < csv->rows; row++) {
            if (!strcmp(zo_csv_cell(csv, row, c), zo_csv_cell(csv, 0, c))) return false;
        }
    }
    return true;
}

static const char *column_name(const void *of, int i)
{
    zo_survey *s = (zo_survey *)of;
    if (s->first) return zo_csv_name(&s->csv, i, s->scratch);
    snprintf(s->scratch, sizeof s->scratch, "column%d", i + 1);
    return s->scratch;
}

static int by_text(const void *a, const void *b)
{
    char *const *x = *(char *const *const *)a, *const *y = *(char *const *const *)b;
    int order = strcmp(*x, *y);
    return order ? order : (x > y) - (x < y);
}

static zo_status refuse_twins(const zo_survey *s)
{
    size_t n = (size_t)s->csv.columns;
    char ***sorted = zo_alloc(s->ctx, n * sizeof *sorted), shown[ZO_SHOWN_MAX];
    zo_status status = sorted ? ZO_OK : ZO_NO_MEMORY;
    for (size_t i = 0; i < n && !status; i++) sorted[i] = &s->name[i];
    if (!status) qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 1; i < n && !status; i++) {
        if (!strcmp(*sorted[i - 1], *sorted[i]))
            status = zo_fail(s->ctx, ZO_FORMAT,
                             "%s: line %lld: columns %d and %d are both called \"%s\": rename one",
                             s->where, (long long)s->csv.line[0], (int)(sorted[i - 1] - s->name) + 1,
                             (int)(sorted[i] - s->name) + 1, zo_csv_shown(*sorted[i], shown));
    }
    zo_free(s->ctx, sorted);
    return status;
}

static const char *name_at(const void *of, int i)
{
    const zo_survey *s = of;
    return i < s->csv.columns ? s->name[i] : NULL;
}

static void list_names(const zo_survey *s, char *out, size_t room)
{
    char shown[ZO_SHOWN_MAX];
    size_t used = 0;
    out[0] = 0;
    for (int c = 0; c < s->csv.columns && used + ZO_SHOWN_MAX + 8 < room; c++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", c ? ", " : "",
                                 zo_csv_shown(s->name[c], shown));
    if (used + ZO_SHOWN_MAX + 8 >= room) snprintf(out + used, room - used, " ...");
}

/* A column by its name, or by its number from 1. */
static zo_status find_column(const zo_survey *s, const char *word, int *out)
{
    char names[500], shown[ZO_SHOWN_MAX], near_shown[ZO_SHOWN_MAX];
    int64_t number;
    for (*out = 0; *out < s->csv.columns; (*out)++) {
        if (!strcmp(s->name[*out], word)) return ZO_OK;
    }
    bool place = zo_read_int(word, &number);
    if (place && number >= 1 && number <= s->csv.columns) {
        *out = (int)number - 1;
        return ZO_OK;
    }
    list_names(s, names, sizeof names);
    const char *near = place ? NULL : zo_nearest(word, name_at, s);
    if (near)
        return zo_fail(s->ctx, ZO_USAGE,
                       "%s: there is no column \"%s\": did you mean \"%s\"? (the columns are: %s)",
                       s->where, zo_csv_shown(word, shown), zo_csv_shown(near, near_shown), names);
    return zo_fail(s->ctx, ZO_USAGE, "%s: there is no column \"%s\"; the %d columns are: %s",
                   s->where, zo_csv_shown(word, shown), s->csv.columns, names);
}

static zo_status find_label(zo_survey *s)
{
    char names[500];
    if (!s->settings->label[0] && s->csv.type) { /* Weka's custom */
        s->label = s->csv.columns - 1;
        s->kind[s->label] = ZO_LABEL;
        return ZO_OK;
    }
    if (!s->settings->label[0]) {
        list_names(s, names, sizeof names);
        return zo_fail(s->ctx, ZO_USAGE,
                       "%s: which column is to be predicted? Set label to one of: %s", s->where,
                       names);
    }
    zo_status status = find_column(s, s->settings->label, &s->label);
    if (!status) s->kind[s->label] = ZO_LABEL;
    return status;
}

/* `ignore` is a list of columns with commas between them. */
static zo_status mark_ignored(zo_survey *s)
{
    const char *at = s->settings->ignore;
    while (*at) {
        char word[ZO_TEXT_MAX];
        int column;
        size_t n = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        at += n + (at[n] == ',');
        zo_status status = find_column(s, word, &column);
        if (status) return status;
        if (column == s->label)
            return zo_fail(s->ctx, ZO_USAGE, "ignore=%s: this column is the label", word);
        s->kind[column] = ZO_IGNORED;
    }
    return ZO_OK;
}

zo_status zo_survey_names(zo_survey *s)
{
    size_t n = (size_t)s->csv.columns;
    s->first = s->csv.type ? 1 : s->settings->header ? s->settings->header == 1 : guess_header(s);
    s->name = zo_names(s->ctx, s->csv.columns, column_name, s);
    s->kind = zo_alloc(s->ctx, n * sizeof *s->kind);
    if (!s->name || !s->kind) return ZO_NO_MEMORY;
    for (size_t c = 0; c < n; c++) s->kind[c] = ZO_NUMBER;
    zo_status status = refuse_twins(s);
    if (!status) status = find_label(s);
    return status ? status : mark_ignored(s);
}

/* What the columns of a table hold: numbers or texts, classes, categories, medians. */
#include "task/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AUTO_CLASSES 20 /* whole numbers with more values than this are a quantity, not classes */

/* Row numbers are -1 where there is no such row. */
typedef struct scan {
    int64_t numbers, texts;
    int64_t text, missing, infinite; /* the first row of that kind */
    bool whole;                      /* all numbers are whole */
} scan;

static bool read_number(const char *cell, double *value)
{
    return zo_read_real(cell, strlen(cell), value) && !isnan(*value);
}

static scan scan_column(const zo_survey *s, int column)
{
    scan r = {0, 0, -1, -1, -1, true};
    for (int64_t row = s->first; row < s->csv.rows; row++) {
        const char *cell = zo_csv_cell(&s->csv, row, column);
        double value;
        if (zo_csv_missing_at(&s->csv, row, column)) {
            r.missing = r.missing < 0 ? row : r.missing;
        } else if (read_number(cell, &value)) {
            r.numbers++;
            r.whole = r.whole && value == floor(value);
            if (isinf(value) && r.infinite < 0) r.infinite = row;
        } else if (!r.texts++) {
            r.text = row;
        }
    }
    return r;
}

/* The different values of a column, ascending; `n` stops one past `most`. */
typedef struct distinct {
    const char *text[ZO_CLASSES_MAX + 1];
    double number[ZO_CLASSES_MAX + 1];
    int n, most;
} distinct;

static void add_text(distinct *d, const char *text)
{
    int low = 0, high = d->n;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(d->text[middle], text);
        if (!order) return;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (d->n > d->most) return;
    memmove(d->text + low + 1, d->text + low, (size_t)(d->n++ - low) * sizeof *d->text);
    d->text[low] = text;
}

static void add_number(distinct *d, double number)
{
    int low = 0, high = d->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (d->number[middle] == number) return;
        if (d->number[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (d->n > d->most) return;
    memmove(d->number + low + 1, d->number + low, (size_t)(d->n++ - low) * sizeof *d->number);
    d->number[low] = number + 0.0; /* no -0 */
}

/* `part` NULL: all rows, else the training rows. A missing value counts as "" if `missing`. */
static void distinct_texts(const zo_survey *s, int column, const uint8_t *part, bool missing,
                           distinct *d)
{
    for (int64_t row = s->first; row < s->csv.rows; row++) {
        const char *cell = zo_csv_cell(&s->csv, row, column);
        if (part && part[row - s->first] != ZO_TRAIN) continue;
        if (!zo_csv_missing_at(&s->csv, row, column))
            add_text(d, cell);
        else if (missing)
            add_text(d, "");
    }
}

static void distinct_numbers(const zo_survey *s, int column, distinct *d)
{
    double value;
    for (int64_t row = s->first; row < s->csv.rows; row++) {
        if (read_number(zo_csv_cell(&s->csv, row, column), &value)) add_number(d, value);
    }
}

static zo_status cell_error(const zo_survey *s, int64_t row, int column, const char *what)
{
    char name[ZO_SHOWN_MAX], cell[ZO_SHOWN_MAX];
    return zo_fail(s->ctx, ZO_FORMAT, "%s: line %lld, column \"%s\": \"%s\" %s", s->where,
                   (long long)s->csv.line[row], zo_csv_shown(s->name[column], name),
                   zo_csv_shown(zo_csv_cell(&s->csv, row, column), cell), what);
}

static zo_status label_error(const zo_survey *s, const char *what)
{
    char name[ZO_SHOWN_MAX];
    return zo_fail(s->ctx, ZO_FORMAT, "%s: the label \"%s\" %s", s->where,
                   zo_csv_shown(s->name[s->label], name), what);
}

static json_t *classes_json(const zo_survey *s, const distinct *d, bool *failed)
{
    json_t *classes = json_array();
    for (int i = 0; i < d->n; i++) {
        char number[32];
        const char *name = d->text[i];
        if (s->answers == ZO_NUMBERS) {
            zo_write_real(d->number[i], number, sizeof number);
            name = number;
        }
        *failed |= json_array_append_new(classes, json_string(name)) != 0;
    }
    return classes;
}

static zo_status check_answers(const zo_survey *s, const scan *r)
{
    zo_cell_type type = zo_csv_type(&s->csv, s->label);
    if (type == ZO_CELL_NUMBER && r->texts)
        return cell_error(s, r->text, s->label, "is no number, as the file declares it to be");
    if (type == ZO_CELL_TEXT && s->settings->kind == 2)
        return label_error(s, "is declared as texts, and kind=regression needs numbers");
    if (r->missing >= 0)
        return cell_error(
            s, r->missing, s->label,
            "is a missing value, and this is the label: fill it in or remove the row");
    if (!r->texts && r->infinite >= 0)
        return cell_error(s, r->infinite, s->label, "is infinite: correct it or remove the row");
    if (s->settings->kind == 2 && r->texts)
        return cell_error(s, r->text, s->label, "is no number, and kind=regression needs numbers");
    return ZO_OK;
}

zo_status zo_survey_answers(zo_survey *s, json_t *json, bool *failed)
{
    scan r = scan_column(s, s->label);
    zo_status status = check_answers(s, &r);
    if (status) return status;
    distinct *d = zo_alloc(s->ctx, sizeof *d);
    if (!d) return ZO_NO_MEMORY;
    d->n = 0;
    d->most = ZO_CLASSES_MAX;
    zo_cell_type type = zo_csv_type(&s->csv, s->label);
    bool texts = r.texts || type == ZO_CELL_TEXT;
    s->answers = texts ? ZO_TEXTS : ZO_NUMBERS;
    if (texts)
        distinct_texts(s, s->label, NULL, false, d);
    else
        distinct_numbers(s, s->label, d);
    bool quantity = !texts && (!r.whole || d->n > AUTO_CLASSES || type == ZO_CELL_NUMBER);
    if (s->settings->kind == 2 || (s->settings->kind == 0 && quantity)) {
        s->answers = ZO_TARGETS;
        d->n = 0;
    } else if (d->n > d->most) {
        status = label_error(s, "has more than 1024 different values: is it the right column?");
    } else if (d->n < 2) {
        status = label_error(s, "has the same value in every row: there is nothing to tell apart");
    }
    if (!status) zo_json_set(json, "classes", classes_json(s, d, failed), failed);
    zo_free(s->ctx, d);
    return status;
}

static zo_status too_many(const zo_survey *s, int column, const scan *r)
{
    char name[ZO_SHOWN_MAX], cell[ZO_SHOWN_MAX];
    int64_t row = r->text < 0 ? s->first : r->text; /* declared texts may all look like numbers */
    return zo_fail(
        s->ctx, ZO_FORMAT,
        "%s: column \"%s\" holds more than %d different texts, such as \"%s\" in line %lld: "
        "leave it out (ignore=%s) or turn it into numbers",
        s->where, zo_csv_shown(s->name[column], name), ZO_CATEGORIES_MAX,
        zo_csv_shown(zo_csv_cell(&s->csv, row, column), cell), (long long)s->csv.line[row], name);
}

static zo_status survey_kind(zo_survey *s, int column, distinct *d)
{
    char name[ZO_SHOWN_MAX], cell[ZO_SHOWN_MAX];
    scan r = scan_column(s, column);
    zo_cell_type type = zo_csv_type(&s->csv, column);
    if (r.texts && type == ZO_CELL_NUMBER)
        return cell_error(s, r.text, column, "is no number, as the file declares it to be");
    s->kind[column] = r.texts || type == ZO_CELL_TEXT ? ZO_TEXT : ZO_NUMBER;
    if (s->kind[column] == ZO_NUMBER) return ZO_OK;
    d->n = 0;
    d->most = ZO_CATEGORIES_MAX;
    distinct_texts(s, column, NULL, false, d);
    if (d->n > d->most) return too_many(s, column, &r);
    if (r.numbers > r.texts && type == ZO_CELL_ANY)
        zo_log(s->ctx, ZO_LOG_WARNING,
               "%s: column \"%s\" is taken as text, because \"%s\" in line %lld is no number",
               s->where, zo_csv_shown(s->name[column], name),
               zo_csv_shown(zo_csv_cell(&s->csv, r.text, column), cell),
               (long long)s->csv.line[r.text]);
    return ZO_OK;
}

zo_status zo_survey_kinds(zo_survey *s)
{
    distinct *d = zo_alloc(s->ctx, sizeof *d);
    zo_status status = d ? ZO_OK : ZO_NO_MEMORY;
    int features = 0;
    for (int c = 0; c < s->csv.columns && !status; c++) {
        if (s->kind[c] != ZO_NUMBER) continue;
        features++;
        status = survey_kind(s, c, d);
    }
    if (!status && !features)
        status =
            zo_fail(s->ctx, ZO_FORMAT,
                    "%s: there is no column besides the label: is the separator right?", s->where);
    zo_free(s->ctx, d);
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of the training rows; 0 where all are missing. */
static zo_status median_of(const zo_survey *s, int column, const uint8_t *part, double *out)
{
    double *value = zo_alloc(s->ctx, (size_t)(s->csv.rows - s->first) * sizeof *value);
    size_t n = 0;
    if (!value) return ZO_NO_MEMORY;
    for (int64_t row = s->first; row < s->csv.rows; row++) {
        const char *cell = zo_csv_cell(&s->csv, row, column);
        double v;
        if (part[row - s->first] == ZO_TRAIN && !zo_csv_missing_at(&s->csv, row, column) &&
            read_number(cell, &v) && fabs(v) <= ZO_FEATURE_MOST)
            value[n++] = v;
    }
    qsort(value, n, sizeof *value, by_value);
    *out = n ? (value[(n - 1) / 2] + value[n / 2]) / 2 : 0;
    zo_free(s->ctx, value);
    return ZO_OK;
}

static zo_status categories_of(const zo_survey *s, int column, const uint8_t *part, json_t *json,
                               bool *failed)
{
    distinct *d = zo_alloc(s->ctx, sizeof *d);
    if (!d) return ZO_NO_MEMORY;
    json_t *list = json_array();
    d->n = 0;
    d->most = ZO_CATEGORIES_MAX;
    distinct_texts(s, column, part, s->settings->missing == 1, d);
    for (int i = 0; i < d->n; i++)
        *failed |= json_array_append_new(list, json_string(d->text[i])) != 0;
    zo_json_set(json, "categories", list, failed);
    zo_free(s->ctx, d);
    return ZO_OK;
}

/* Where the numbers of a column are counted from, and what fills its gaps. */
static zo_status numbers_of(const zo_survey *s, int column, const uint8_t *part, json_t *json,
                            bool *failed)
{
    double median;
    zo_status status = median_of(s, column, part, &median);
    if (status) return status;
    zo_json_set(json, "offset", json_real(median), failed);
    if (column != s->label && s->settings->missing == 1)
        zo_json_set(json, "median", json_real(median), failed);
    return ZO_OK;
}

zo_status zo_survey_column(const zo_survey *s, int column, const uint8_t *part, json_t **json)
{
    static const char *const kinds[] = {"ignored", "label", "number", "text"};
    /* before there are parts, only the label matters */
    zo_column_kind kind = part || column == s->label ? s->kind[column] : ZO_IGNORED;
    bool target = part && kind == ZO_LABEL && s->answers == ZO_TARGETS, failed = false;
    zo_status status = ZO_OK;
    *json = json_object();
    zo_json_set(*json, "name", json_string(s->name[column]), &failed);
    zo_json_set(*json, "kind", json_string(kinds[kind]), &failed);
    if (kind == ZO_NUMBER || target) status = numbers_of(s, column, part, *json, &failed);
    if (kind == ZO_TEXT) status = categories_of(s, column, part, *json, &failed);
    if (!status && failed)
        status = zo_fail(s->ctx, ZO_NO_MEMORY, "out of memory: a JSON text could not be made");
    if (status) {
        json_decref(*json);
        *json = NULL;
    }
    return status;
}

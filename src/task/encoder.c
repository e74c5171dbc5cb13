/* Rows of a table to features and answers. */
#include "task/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/params.h"
#include "task/arff.h"
#include "task/idx.h"
#include "task/task.h"

#define TABLE_MOST ((size_t)1 << 36)

static zo_status cell_error(const zo_rows *r, int64_t row, int column, const char *what,
                            const char *remedy)
{
    char name[ZO_SHOWN_MAX], cell[ZO_SHOWN_MAX];
    return zo_fail(r->ctx, ZO_FORMAT, "%s: line %lld, column \"%s\": \"%s\" %s: %s", r->where,
                   (long long)r->csv->line[row], zo_csv_shown(r->encoder->column[column].name, name),
                   zo_csv_shown(zo_csv_cell(r->csv, row, r->place[column]), cell), what, remedy);
}

static zo_status missing_error(const zo_rows *r, int64_t row, int column)
{
    bool label = r->encoder->column[column].kind == ZO_LABEL;
    return cell_error(r, row, column,
                      label ? "is a missing value, and this is the label" : "is a missing value",
                      label ? "fill it in or remove the row"
                            : "fill it in, remove the row, or train with missing=impute");
}

/* A cell less the column's offset; `missing` stands for a missing one, unless it is NaN. */
static zo_status read_number(const zo_rows *r, int64_t row, int column, double missing, float *out)
{
    const char *cell = zo_csv_cell(r->csv, row, r->place[column]);
    double value = missing;
    if (zo_csv_missing_at(r->csv, row, r->place[column])) {
        if (isnan(missing)) return missing_error(r, row, column);
    } else if (!zo_read_real(cell, strlen(cell), &value) || isnan(value))
        return cell_error(r, row, column, "is no number", "this column holds numbers");
    if (!(fabs(value) <= ZO_FEATURE_MOST))
        return cell_error(r, row, column, isinf(value) ? "is infinite" : "is beyond 1e30",
                          "correct it or remove the row");
    *out = (float)(value - r->encoder->column[column].offset);
    return ZO_OK;
}

/* Place of `text` among ascending texts, or -1. */
static int find_text(const char *const *texts, int n, const char *text)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(texts[middle], text);
        if (!order) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* One-hot; a category that training did not see is none of them. One that it saw is not missing, whatever it is called: "None" may have been
 * declared. */
static zo_status text_features(const zo_rows *r, int64_t row, int column, float *x, bool *unknown)
{
    const zo_column *c = &r->encoder->column[column];
    const char *cell = zo_csv_cell(r->csv, row, r->place[column]);
    int at = find_text(c->category, c->categories, cell);
    if (at < 0 && zo_csv_missing_at(r->csv, row, r->place[column])) {
        if (!r->encoder->impute) return missing_error(r, row, column);
        at = find_text(c->category, c->categories, "");
    }
    for (int i = 0; i < c->categories; i++) x[i] = i == at;
    *unknown = at < 0;
    return ZO_OK;
}

/* One column of all rows; x is its first feature. */
static zo_status column_features(const zo_rows *r, int column, float *x)
{
    const zo_column *c = &r->encoder->column[column];
    int64_t unknown = 0, example = 0, n = r->csv->rows - r->first;
    zo_status status = ZO_OK;
    for (int64_t i = 0; i < n && !status; i++) {
        float *to = x + i * r->encoder->inputs;
        bool none = false;
        status = c->kind == ZO_NUMBER ? read_number(r, r->first + i, column, c->median, to)
                                      : text_features(r, r->first + i, column, to, &none);
        if (none && !unknown++) example = r->first + i;
    }
    if (unknown) {
        char name[ZO_SHOWN_MAX], cell[ZO_SHOWN_MAX];
        zo_log(r->ctx, r->level,
               "%s: column \"%s\": %lld rows hold a category that training has not seen (\"%s\" in "
               "line %lld); they count as none of the known ones",
               r->where, zo_csv_shown(c->name, name), (long long)unknown,
               zo_csv_shown(zo_csv_cell(r->csv, example, r->place[column]), cell),
               (long long)r->csv->line[example]);
    }
    return status;
}

zo_status zo_rows_features(const zo_rows *r, float **x)
{
    const zo_encoder *e = r->encoder;
    size_t n = (size_t)(r->csv->rows - r->first), width = (size_t)e->inputs * sizeof **x;
    *x = zo_alloc(r->ctx, width && n > SIZE_MAX / width ? SIZE_MAX : n * width);
    zo_status status = *x ? ZO_OK : ZO_NO_MEMORY;
    float *to = *x;
    for (int c = 0; c < e->columns && !status; c++) {
        zo_column_kind kind = e->column[c].kind;
        if (kind != ZO_NUMBER && kind != ZO_TEXT) continue;
        status = column_features(r, c, to);
        to += kind == ZO_NUMBER ? 1 : e->column[c].categories;
    }
    if (status) {
        zo_free(r->ctx, *x);
        *x = NULL;
    }
    return status;
}

static int find_number(const char *const *texts, int n, double value)
{
    for (int low = 0, high = n; low < high;) {
        int middle = (low + high) / 2;
        double at = 0;
        zo_read_real(texts[middle], strlen(texts[middle]), &at);
        if (at == value) return middle;
        if (at < value)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int find_class(const zo_encoder *e, const char *cell)
{
    double value;
    if (e->answers == ZO_TEXTS) return find_text(e->class_name, e->classes, cell);
    if (!zo_read_real(cell, strlen(cell), &value)) return -1;
    return find_number(e->class_name, e->classes, value);
}

/* -1: a class that training did not see, or a missing one. */
static int class_at(const zo_rows *r, int64_t row, bool *missing)
{
    int place = r->place[r->encoder->label];
    int found = find_class(r->encoder, zo_csv_cell(r->csv, row, place));
    *missing = found < 0 && zo_csv_missing_at(r->csv, row, place);
    return found;
}

zo_status zo_rows_answers(const zo_rows *r, int32_t **label, float **target)
{
    const zo_encoder *e = r->encoder;
    size_t n = (size_t)(r->csv->rows - r->first);
    zo_status status = ZO_OK;
    *label = NULL;
    *target = NULL;
    if (e->classes)
        *label = zo_alloc(r->ctx, n * sizeof **label);
    else
        *target = zo_alloc(r->ctx, n * sizeof **target);
    if (!*label && !*target) return ZO_NO_MEMORY;
    for (size_t i = 0; i < n && !status; i++) {
        int64_t row = r->first + (int64_t)i;
        bool missing = false;
        if (*target)
            status = read_number(r, row, e->label, NAN, &(*target)[i]);
        else
            (*label)[i] = class_at(r, row, &missing);
        if (missing) status = missing_error(r, row, e->label);
    }
    if (status) {
        zo_free(r->ctx, *label);
        zo_free(r->ctx, *target);
        *label = NULL;
        *target = NULL;
    }
    return status;
}

/* Whether row 0 is a header that names a column of the model. */
static bool names_a_column(const zo_encoder *e, const int *place)
{
    for (int c = 0; c < e->columns; c++) {
        if (place[c] >= 0 && e->column[c].name[0]) return true;
    }
    return false;
}

static int find_header(const zo_csv *csv, const char *name, int guess)
{
    char room[32];
    if (guess < csv->columns && !strcmp(zo_csv_name(csv, guess, room), name)) return guess;
    for (int i = 0; i < csv->columns; i++) {
        if (!strcmp(zo_csv_name(csv, i, room), name)) return i;
    }
    return -1;
}

static zo_status places_by_name(const zo_rows *r, int *place)
{
    const zo_encoder *e = r->encoder;
    char list[400] = "", name[ZO_SHOWN_MAX];
    int absent = 0;
    for (int c = 0; c < e->columns; c++) {
        place[c] = find_header(r->csv, e->column[c].name, c);
        if (place[c] >= 0 || e->column[c].kind == ZO_LABEL || e->column[c].kind == ZO_IGNORED)
            continue;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s\"%s\"", absent++ ? ", " : "",
                 zo_csv_shown(e->column[c].name, name));
    }
    if (!absent) return ZO_OK;
    return zo_fail(r->ctx, ZO_USAGE, "%s: line %lld: %s not there: %s%s", r->where,
                   (long long)r->csv->line[0],
                   absent == 1 ? "a column that the model was trained on is"
                               : "columns that the model was trained on are",
                   list, names_a_column(e, place) ? "" : "; the first line must name the columns");
}

/* Without a header: all columns in their order, with or without the label. */
static zo_status places_in_order(const zo_rows *r, int *place)
{
    const zo_encoder *e = r->encoder;
    int without = e->label >= 0 ? e->columns - 1 : e->columns, given = r->csv->columns;
    if (given != e->columns && given != without)
        return zo_fail(r->ctx, ZO_USAGE,
                       "%s: the rows have %d fields; the model was trained on %d (%d without the "
                       "label)",
                       r->where, given, e->columns, without);
    for (int c = 0, at = 0; c < e->columns; c++)
        place[c] = c == e->label && given != e->columns ? -1 : at++;
    return ZO_OK;
}

/* Labels for the accuracy: only where every row has one. */
static zo_status optional_labels(const zo_rows *r, int32_t **label)
{
    const zo_encoder *e = r->encoder;
    float *target;
    bool missing;
    if (!e->classes || e->label < 0 || r->place[e->label] < 0) return ZO_OK;
    for (int64_t row = r->first; row < r->csv->rows; row++) {
        class_at(r, row, &missing);
        if (missing) return ZO_OK;
    }
    return zo_rows_answers(r, label, &target);
}

static zo_status encode_csv(const zo_context *ctx, const zo_encoder *e, const char *where,
                            const zo_csv *csv, int64_t *n, float **x, int32_t **label)
{
    int *place = zo_alloc(ctx, (size_t)e->columns * sizeof *place);
    if (!place) return ZO_NO_MEMORY;
    zo_rows rows = {ctx, e, where, csv, e->header, place, ZO_LOG_WARNING};
    zo_status status = e->header ? places_by_name(&rows, place) : places_in_order(&rows, place);
    *n = csv->rows - rows.first;
    if (!status && *n < 1) status = zo_fail(ctx, ZO_FORMAT, "%s: no row follows the header", where);
    if (!status) status = zo_rows_features(&rows, x);
    if (!status) status = optional_labels(&rows, label);
    zo_free(ctx, place);
    return status;
}

zo_status zo_encoder_table(const zo_context *ctx, const zo_encoder *e, const char *where,
                           char *bytes, size_t size, int64_t *n, float **x, int32_t **label)
{
    zo_csv csv;
    *n = 0;
    *x = NULL;
    *label = NULL;
    bool arff = zo_arff_is(bytes, size),
         same = memchr(bytes, e->separator, size) != NULL; /* else the file has another one */
    if (arff && !e->header)
        return zo_fail(ctx, ZO_USAGE,
                       "%s: an ARFF file names its columns, and the model's table did not", where);
    zo_status status = arff ? zo_arff_parse(ctx, where, bytes, size, &csv)
                            : zo_csv_parse(ctx, where, bytes, size, same ? e->separator : 0, &csv);
    if (status) return status;
    status = encode_csv(ctx, e, where, &csv, n, x, label);
    zo_csv_free(ctx, &csv);
    if (status) {
        zo_free(ctx, *x);
        *x = NULL;
    }
    return status;
}

static zo_status encode_table_file(const zo_context *ctx, const zo_encoder *e, const char *path,
                                   int64_t *n, float **x, int32_t **label)
{
    char *bytes;
    size_t size;
    zo_status status = zo_file_read(ctx, path, TABLE_MOST, &bytes, &size);
    if (!status) status = zo_encoder_table(ctx, e, path, bytes, size, n, x, label);
    zo_free(ctx, bytes);
    return status;
}

static zo_status encode_images(const zo_context *ctx, const zo_encoder *e, const char *path,
                               int height, int width, int64_t *n, float **x)
{
    zo_idx images;
    zo_status status = zo_idx_read(ctx, path, ZO_IDX_IMAGES, &images);
    if (status) return status;
    if (images.inputs != e->inputs)
        status = zo_fail(ctx, ZO_USAGE, "%s: images of %d pixels; the model was trained on %d",
                         path, images.inputs, e->inputs);
    else if (height * width == e->inputs && images.height != height)
        status =
            zo_fail(ctx, ZO_USAGE, "%s: images of %d x %d pixels; the model was trained on %d x %d",
                    path, images.height, images.width, height, width);
    size_t count = (size_t)images.n * (size_t)images.inputs;
    if (!status) {
        *x = zo_alloc(ctx, count * sizeof **x);
        status = *x ? ZO_OK : ZO_NO_MEMORY;
    }
    for (size_t i = 0; i < count && !status; i++) (*x)[i] = (float)images.data[i] / 255.0f;
    *n = images.n;
    zo_free(ctx, images.data);
    return status;
}

/* The records hold the right answers too. */
static zo_status encode_records(const zo_context *ctx, const zo_encoder *e, const char *path,
                                int height, int width, int64_t *n, float **x, int32_t **label)
{
    zo_cifar c = {0};
    if (height * width > 1 && (height != ZO_CIFAR_SIDE || width != ZO_CIFAR_SIDE))
        return zo_fail(ctx, ZO_USAGE,
                       "%s: images of %d x %d pixels; the model was trained on %d x %d", path,
                       ZO_CIFAR_SIDE, ZO_CIFAR_SIDE, height, width);
    zo_status status = zo_cifar_read(ctx, path, &e->records, &c);
    size_t count = (size_t)c.n * ZO_CIFAR_INPUTS;
    if (!status) {
        *x = zo_alloc(ctx, count * sizeof **x);
        status = *x ? ZO_OK : ZO_NO_MEMORY;
    }
    for (size_t i = 0; i < count && !status; i++) (*x)[i] = (float)c.pixels[i] / 255.0f;
    zo_free(ctx, c.pixels);
    if (status)
        zo_free(ctx, c.label);
    else
        *n = c.n, *label = c.label;
    return status;
}

zo_status zo_task_encode(zo_context *ctx, const char *encoder, const char *path, int inputs,
                         int height, int width, int64_t *n, float **x, int32_t **label)
{
    zo_encoder e;
    *n = 0;
    *x = NULL;
    *label = NULL;
    if (!encoder)
        return zo_fail(
            ctx, ZO_USAGE,
            "the model keeps no description of its input: only models trained on a table "
            "or on images can read files");
    zo_status status = zo_encoder_read(ctx, encoder, &e);
    if (status) return status;
    if (e.inputs != inputs)
        status = zo_fail(ctx, ZO_FORMAT,
                         "the model's description of its input gives %d features, but its network "
                         "takes %d: train it again",
                         e.inputs, inputs);
    else if (e.records.labels)
        status = encode_records(ctx, &e, path, height, width, n, x, label);
    else if (e.images)
        status = encode_images(ctx, &e, path, height, width, n, x);
    else
        status = encode_table_file(ctx, &e, path, n, x, label);
    zo_encoder_free(ctx, &e);
    return status;
}

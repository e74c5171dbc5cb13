/* The encoder: what turns a user's file into features, as a JSON text that is saved with the
 * model.
 *
 *     {"version":1, "kind":"images", "inputs":784, "classes":["0", ...]}
 *     {"version":1, "kind":"images", "inputs":3072, "labels":[20,100], "answer":1, "classes":["apple", ...]}
 *     {"version":1, "kind":"csv", "separator":",", "header":true, "missing":"impute",
 *      "columns":[{"name":"width", "kind":"number", "offset":1.5, "median":1.5},
 *                 {"name":"colour", "kind":"text", "categories":["", "blue", "red"]},
 *                 {"name":"species", "kind":"label"}, {"name":"id", "kind":"ignored"}],
 *      "answers":"texts", "classes":["setosa", ...]}
 *
 * Images come in IDX files, or, with "labels", in CIFAR's binary records: how many classes each label byte tells apart, and which of the
 * bytes ("answer") is the label that the classes are of.
 *
 * "columns" follow the file. A number gives one feature, (float)(value - offset): the difference is
 * taken in float64, so that large numbers that differ little keep their differences; no "offset"
 * means 0. The label has an offset where its numbers are to be predicted. A text gives one feature for each
 * category, in ascending order of bytes, "" being the missing value. "answers" are "texts",
 * "numbers" (classes that are numbers, ascending; they compare by value) or "targets" (regression:
 * no classes). Training and prediction encode with the same code. The text of a model file is not
 * trusted. */
#ifndef ZO_TASK_ENCODER_H
#define ZO_TASK_ENCODER_H

#include "base/json.h"
#include "task/cifar.h"
#include "task/csv.h"

typedef enum zo_column_kind { ZO_IGNORED, ZO_LABEL, ZO_NUMBER, ZO_TEXT } zo_column_kind;
typedef enum zo_answers { ZO_TARGETS, ZO_NUMBERS, ZO_TEXTS } zo_answers;

typedef struct zo_column {
    const char *name;
    zo_column_kind kind;
    int categories;
    const char **category; /* [categories], ascending */
    double offset;         /* of numbers: what a value is counted from */
    double median;         /* of a number; NaN: missing values are refused */
} zo_column;

typedef struct zo_encoder {
    json_t *json; /* holds the texts below */
    bool images;
    zo_cifar_layout records; /* of images; without labels: IDX files */
    int inputs;              /* features of a row */
    int classes;
    const char **class_name; /* [classes] */
    zo_answers answers;
    char separator;
    bool header;
    bool impute;
    int columns; /* of the table that was learned from */
    zo_column *column;
    int label;         /* which column holds the answers; -1: none */
    const char **text; /* all categories: what column[].category points into */
} zo_encoder;

/* Most categories of a text column, and most classes of a table. */
enum { ZO_CATEGORIES_MAX = 256, ZO_CLASSES_MAX = 1024 };

/* Reads an encoder text. Errors: FORMAT (what is wrong with it), NO_MEMORY; then *out holds
 * nothing. */
zo_status zo_encoder_read(const zo_context *ctx, const char *text, zo_encoder *out);

/* Frees what *encoder holds. */
void zo_encoder_free(const zo_context *ctx, zo_encoder *encoder);

/* Writes the encoder of images: *text is zo_alloc'ed. `records` NULL: in IDX files. */
zo_status zo_encoder_images(const zo_context *ctx, int inputs, int classes, char *const *class_name,
                            const zo_cifar_layout *records, char **text);

/* Dumps a JSON object as zo_alloc'ed text and lets go of it. NULL, or `failed`: NO_MEMORY. */
zo_status zo_encoder_dump(const zo_context *ctx, json_t *json, bool failed, char **text);

/* Rows of a table on their way through an encoder. */
typedef struct zo_rows {
    const zo_context *ctx;
    const zo_encoder *encoder;
    const char *where; /* the file's name in messages */
    const zo_csv *csv;
    int64_t first;      /* row of the first example */
    const int *place;   /* [encoder->columns] where each column is in this file; -1: not there */
    zo_log_level level; /* of the line about categories that are not known */
} zo_rows;

/* Features x[csv->rows - first][inputs], zo_alloc'ed. Errors, with line and column: FORMAT
 * (missing where that is refused, no number, infinite or too large for float32), NO_MEMORY. */
zo_status zo_rows_features(const zo_rows *rows, float **x);

/* The answers: label[n] (-1: not a known class) or target[n], less the label's offset, the other NULL.
 * Errors as above. */
zo_status zo_rows_answers(const zo_rows *rows, int32_t **label, float **target);

/* Finds the columns of the model in a table and encodes it. bytes[size + 1] are changed. *label
 * may come back NULL. Errors: FORMAT, USAGE (columns that are not there), NO_MEMORY. */
zo_status zo_encoder_table(const zo_context *ctx, const zo_encoder *encoder, const char *where,
                           char *bytes, size_t size, int64_t *n, float **x, int32_t **label);

#endif

/* Encoder texts: reading, with every type and size checked, and writing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"
#include "task/encoder.h"
#include "task/task.h"

#define TEXT_MOST ((size_t)1 << 28)

static zo_status bad(const zo_context *ctx, const char *what)
{
    return zo_fail(ctx, ZO_FORMAT,
                   "the model's description of its input is damaged (encoder: %s): train it again",
                   what);
}

/* The place of a text among `words`, or -1. */
static int word(const json_t *json, const char *const *words, int n)
{
    const char *text = json_string_value(json);
    for (int i = 0; text && i < n; i++) {
        if (!strcmp(text, words[i])) return i;
    }
    return -1;
}

static bool ascending(const char *before, const char *text, bool numbers)
{
    double a = 0, b = 0;
    if (!numbers) return strcmp(before, text) < 0;
    return zo_read_real(before, strlen(before), &a) && zo_read_real(text, strlen(text), &b) && a < b;
}

/* Texts of an array, strictly ascending (or just texts: `order` ZO_TARGETS). */
static bool read_texts(const json_t *array, zo_answers order, const char **out)
{
    size_t n = json_array_size(array);
    for (size_t i = 0; i < n; i++) {
        out[i] = json_string_value(json_array_get(array, i));
        if (!out[i]) return false;
        if (i && order != ZO_TARGETS && !ascending(out[i - 1], out[i], order == ZO_NUMBERS))
            return false;
    }
    return true;
}

static zo_status read_classes(const zo_context *ctx, zo_encoder *e, zo_answers order, int most)
{
    const json_t *classes = json_object_get(e->json, "classes");
    size_t n = json_array_size(classes);
    if (!json_is_array(classes) || n > (size_t)most || n == 1) return bad(ctx, "classes");
    e->classes = (int)n;
    e->class_name = zo_alloc(ctx, n * sizeof *e->class_name);
    if (!e->class_name) return ZO_NO_MEMORY;
    return read_texts(classes, order, e->class_name) ? ZO_OK : bad(ctx, "classes");
}

/* A whole number within low .. high, or -1. */
static int small(const json_t *json, int low, int high)
{
    json_int_t value = json_integer_value(json);
    return json_is_integer(json) && value >= low && value <= high ? (int)value : -1;
}

/* The layout of records, if the images come in such. */
static zo_status read_layout(const zo_context *ctx, zo_encoder *e)
{
    const json_t *labels = json_object_get(e->json, "labels");
    size_t n = json_array_size(labels);
    if (!labels) return ZO_OK;
    if (e->inputs != ZO_CIFAR_INPUTS || n < 1 || n > ZO_CIFAR_LABELS) return bad(ctx, "labels");
    e->records.labels = (int)n;
    for (size_t i = 0; i < n; i++) {
        e->records.classes[i] = small(json_array_get(labels, i), 1, 256);
        if (e->records.classes[i] < 0) return bad(ctx, "labels");
    }
    e->records.answer = small(json_object_get(e->json, "answer"), 0, (int)n - 1);
    return e->records.answer < 0 ? bad(ctx, "answer") : ZO_OK;
}

static zo_status read_images(const zo_context *ctx, zo_encoder *e)
{
    json_int_t inputs = json_integer_value(json_object_get(e->json, "inputs"));
    if (inputs < 1 || inputs > ZO_COLUMNS_MAX) return bad(ctx, "inputs");
    e->inputs = (int)inputs;
    e->images = true;
    e->label = -1;
    zo_status status = read_layout(ctx, e);
    if (!status) status = read_classes(ctx, e, ZO_TARGETS, 65536);
    if (!status && e->records.labels && e->classes != e->records.classes[e->records.answer])
        status = bad(ctx, "classes and labels disagree");
    return status;
}

/* A number that a cell may hold. */
static bool read_value(const json_t *json, double *out)
{
    *out = json_number_value(json);
    return json_is_number(json) && fabs(*out) <= (double)ZO_FEATURE_MOST;
}

static zo_status read_number(const zo_context *ctx, const zo_encoder *e, const json_t *json,
                             zo_column *c)
{
    const json_t *offset = json_object_get(json, "offset");
    c->median = NAN;
    if (offset && !read_value(offset, &c->offset)) return bad(ctx, "offset");
    if (c->kind == ZO_LABEL || !e->impute) return ZO_OK;
    return read_value(json_object_get(json, "median"), &c->median) ? ZO_OK : bad(ctx, "median");
}

/* `used` counts the categories of all columns so far. */
static zo_status read_column(const zo_context *ctx, zo_encoder *e, const json_t *json, int at,
                             size_t *used)
{
    static const char *const kinds[] = {"ignored", "label", "number", "text"};
    zo_column *c = &e->column[at];
    const json_t *categories = json_object_get(json, "categories");
    size_t n = json_array_size(categories);
    int kind = word(json_object_get(json, "kind"), kinds, 4);
    c->name = json_string_value(json_object_get(json, "name"));
    if (kind < 0 || !c->name) return bad(ctx, "a column's name or kind");
    c->kind = (zo_column_kind)kind;
    if (c->kind == ZO_NUMBER) {
        e->inputs++;
        return read_number(ctx, e, json, c);
    }
    if (c->kind == ZO_LABEL) {
        if (e->label >= 0) return bad(ctx, "two labels");
        e->label = at;
        return read_number(ctx, e, json, c);
    }
    if (c->kind != ZO_TEXT) return ZO_OK;
    if (n > ZO_CATEGORIES_MAX + 1 || !json_is_array(categories)) return bad(ctx, "categories");
    c->categories = (int)n;
    c->category = e->text + *used;
    *used += n;
    e->inputs += (int)n;
    return read_texts(categories, ZO_TEXTS, c->category) ? ZO_OK : bad(ctx, "categories");
}

static zo_status read_columns(const zo_context *ctx, zo_encoder *e)
{
    const json_t *columns = json_object_get(e->json, "columns");
    size_t n = json_array_size(columns), texts = 0, used = 0;
    if (n < 1 || n > ZO_COLUMNS_MAX) return bad(ctx, "columns");
    for (size_t i = 0; i < n; i++)
        texts += json_array_size(json_object_get(json_array_get(columns, i), "categories"));
    if (texts > ZO_COLUMNS_MAX) return bad(ctx, "too many categories");
    e->columns = (int)n;
    e->column = zo_alloc_zero(ctx, n, sizeof *e->column);
    e->text = zo_alloc_zero(ctx, texts, sizeof *e->text);
    zo_status status = e->column && e->text ? ZO_OK : ZO_NO_MEMORY;
    for (size_t i = 0; i < n && !status; i++)
        status = read_column(ctx, e, json_array_get(columns, i), (int)i, &used);
    if (!status && e->inputs > ZO_COLUMNS_MAX) status = bad(ctx, "too many inputs");
    return status;
}

static zo_status read_table(const zo_context *ctx, zo_encoder *e)
{
    static const char *const missing[] = {"refuse", "impute"};
    static const char *const answers[] = {"targets", "numbers", "texts"};
    static const char *const separators[] = {",", ";", "\t"};
    int separator = word(json_object_get(e->json, "separator"), separators, 3);
    int impute = word(json_object_get(e->json, "missing"), missing, 2);
    int kind = word(json_object_get(e->json, "answers"), answers, 3);
    const json_t *header = json_object_get(e->json, "header");
    if (separator < 0 || impute < 0 || kind < 0 || !json_is_boolean(header))
        return bad(ctx, "separator, missing, answers or header");
    e->separator = separators[separator][0];
    e->impute = impute;
    e->answers = (zo_answers)kind;
    e->header = json_is_true(header);
    e->label = -1;
    zo_status status = read_columns(ctx, e);
    if (!status) status = read_classes(ctx, e, e->answers, ZO_CLASSES_MAX);
    if (!status && (e->classes == 0) != (e->answers == ZO_TARGETS))
        status = bad(ctx, "classes and answers disagree");
    return status;
}

zo_status zo_encoder_read(const zo_context *ctx, const char *text, zo_encoder *out)
{
    static const char *const kinds[] = {"images", "csv"};
    *out = (zo_encoder){0};
    size_t size = strnlen(text, TEXT_MOST);
    if (size == TEXT_MOST) return bad(ctx, "too long");
    out->json = zo_json_parse(ctx, "the model's description of its input (encoder)", text, size);
    if (!out->json) return ZO_FORMAT;
    int kind = word(json_object_get(out->json, "kind"), kinds, 2);
    zo_status status;
    if (json_integer_value(json_object_get(out->json, "version")) != 1)
        status = bad(ctx, "version is not 1");
    else if (kind < 0)
        status = bad(ctx, "kind");
    else
        status = kind ? read_table(ctx, out) : read_images(ctx, out);
    if (status) zo_encoder_free(ctx, out);
    return status;
}

void zo_encoder_free(const zo_context *ctx, zo_encoder *e)
{
    zo_free(ctx, e->class_name);
    zo_free(ctx, e->column);
    zo_free(ctx, e->text);
    json_decref(e->json);
    *e = (zo_encoder){0};
}

zo_status zo_encoder_dump(const zo_context *ctx, json_t *json, bool failed, char **text)
{
    zo_buffer b = {.ctx = ctx};
    if (!json || failed) b.status = zo_fail(ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    if (!b.status) zo_json_text(json, JSON_COMPACT, &b);
    zo_buffer_add(&b, "", 1);
    json_decref(json);
    *text = b.status ? NULL : zo_strdup(ctx, b.data);
    zo_buffer_free(&b);
    return *text ? ZO_OK : ZO_NO_MEMORY;
}

static void set_layout(json_t *json, const zo_cifar_layout *records, bool *failed)
{
    json_t *labels = json_array();
    for (int i = 0; i < records->labels; i++)
        *failed |= json_array_append_new(labels, json_integer(records->classes[i])) != 0;
    zo_json_set(json, "labels", labels, failed);
    zo_json_set(json, "answer", json_integer(records->answer), failed);
}

zo_status zo_encoder_images(const zo_context *ctx, int inputs, int classes, char *const *class_name,
                            const zo_cifar_layout *records, char **text)
{
    bool failed = false;
    json_t *json = json_object(), *names = json_array();
    for (int i = 0; i < classes; i++)
        failed |= json_array_append_new(names, json_string(class_name[i])) != 0;
    zo_json_set(json, "version", json_integer(1), &failed);
    zo_json_set(json, "kind", json_string("images"), &failed);
    zo_json_set(json, "inputs", json_integer(inputs), &failed);
    if (records) set_layout(json, records, &failed);
    zo_json_set(json, "classes", names, &failed);
    return zo_encoder_dump(ctx, json, failed, text);
}

static const char *encoder_class(const void *encoder, int i)
{
    return ((const zo_encoder *)encoder)->class_name[i];
}

zo_status zo_task_encoder_classes(zo_context *ctx, const char *encoder, int *classes,
                                  char ***class_name)
{
    zo_encoder e;
    *classes = 0;
    *class_name = NULL;
    zo_status status = zo_encoder_read(ctx, encoder, &e);
    if (status) return status;
    if (e.classes) {
        *class_name = zo_names(ctx, e.classes, encoder_class, &e);
        *classes = e.classes;
    }
    if (e.classes && !*class_name) status = ZO_NO_MEMORY;
    zo_encoder_free(ctx, &e);
    return status;
}

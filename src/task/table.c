/* The task "csv": a table with a label column, in a CSV or an ARFF file.
 *
 * The classes are read first, because they decide which rows are training rows; categories, medians
 * and offsets are then learned from those rows alone, so that held-out rows meet the encoder as a
 * stranger's file would. */
#include "task/table.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "task/arff.h"
#include "task/columns.h"

#define TABLE_MOST ((size_t)1 << 36)
#define ROWS_LEAST 10

/* The encoder text: with `part` NULL only the label is described. */
static zo_status write_encoder(zo_survey *s, const uint8_t *part, char **text)
{
    static const char *const missing[] = {"refuse", "impute"};
    static const char *const answers[] = {"targets", "numbers", "texts"};
    const char separator[] = {s->csv.separator, 0};
    bool failed = false;
    json_t *json = json_object(), *columns = json_array(), *column;
    zo_json_set(json, "version", json_integer(1), &failed);
    zo_json_set(json, "kind", json_string("csv"), &failed);
    zo_json_set(json, "separator", json_string(separator), &failed);
    zo_json_set(json, "header", json_boolean(s->first), &failed);
    zo_json_set(json, "missing", json_string(missing[s->settings->missing]), &failed);
    zo_status status = zo_survey_answers(s, json, &failed);
    zo_json_set(json, "answers", json_string(answers[s->answers]), &failed);
    for (int c = 0; c < s->csv.columns && !status; c++) {
        status = zo_survey_column(s, c, part, &column);
        if (!status) failed |= json_array_append_new(columns, column) != 0;
    }
    zo_json_set(json, "columns", columns, &failed);
    if (!status) return zo_encoder_dump(s->ctx, json, failed, text);
    json_decref(json);
    return status;
}

static zo_status make_rows(const zo_survey *s, const char *text, zo_encoder *encoder, int **place,
                           zo_rows *rows)
{
    zo_status status = zo_encoder_read(s->ctx, text, encoder);
    if (status) return status;
    *place = zo_alloc(s->ctx, (size_t)s->csv.columns * sizeof **place);
    if (!*place) return ZO_NO_MEMORY;
    for (int c = 0; c < s->csv.columns; c++) (*place)[c] = c;
    *rows = (zo_rows){s->ctx, encoder, s->where, &s->csv, s->first, *place, ZO_LOG_INFO};
    return ZO_OK;
}

/* What the answers are; classes are read, numbers wait for their offset. */
static zo_status load_answers(zo_survey *s, zo_raw *raw)
{
    char *text = NULL;
    int *place = NULL;
    zo_encoder encoder = {0};
    zo_rows rows;
    zo_status status = write_encoder(s, NULL, &text);
    if (!status) status = make_rows(s, text, &encoder, &place, &rows);
    if (!status && encoder.classes) status = zo_rows_answers(&rows, &raw->label, &raw->target);
    raw->n = s->csv.rows - s->first;
    raw->classes = encoder.classes;
    raw->targets = encoder.classes ? 0 : 1;
    zo_encoder_free(s->ctx, &encoder);
    zo_free(s->ctx, place);
    zo_free(s->ctx, text);
    return status;
}

static const char *encoder_class(const void *encoder, int i)
{
    return ((const zo_encoder *)encoder)->class_name[i];
}

static zo_status load_features(zo_survey *s, const uint8_t *part, zo_raw *raw)
{
    int *place = NULL;
    zo_encoder encoder = {0};
    zo_rows rows;
    zo_status status = write_encoder(s, part, &raw->encoder);
    if (!status) status = make_rows(s, raw->encoder, &encoder, &place, &rows);
    if (!status) status = zo_rows_features(&rows, &raw->x);
    raw->inputs = encoder.inputs;
    if (!status && !encoder.classes) {
        status = zo_rows_answers(&rows, &raw->label, &raw->target);
        raw->target_offset = encoder.column[encoder.label].offset;
    } else if (!status) {
        raw->class_name = zo_names(s->ctx, encoder.classes, encoder_class, &encoder);
        status = raw->class_name ? ZO_OK : ZO_NO_MEMORY;
    }
    zo_encoder_free(s->ctx, &encoder);
    zo_free(s->ctx, place);
    return status;
}

/* The file and what is taken from it; not the features, whose offsets depend on the split. */
static zo_status mix_checksum(const zo_survey *s, uint64_t file, zo_raw *raw)
{
    void *sum = zo_checksum_add(NULL, &file, sizeof file);
    sum = zo_checksum_add(sum, s->kind, (size_t)s->csv.columns * sizeof *s->kind);
    sum = zo_checksum_add(sum, &s->first, sizeof s->first);
    if (!sum) return zo_fail(s->ctx, ZO_NO_MEMORY, "out of memory: no checksum could be made");
    raw->checksum = zo_checksum_end(sum);
    return ZO_OK;
}

/* "8x8" or "32x32x3". */
static bool read_shape(const char *text, zo_raw *raw)
{
    int end = 0, *to[] = {&raw->height, &raw->width, &raw->channels};
    raw->channels = 1;
    for (int i = 0; i < 3; i++) {
        char digits[8];
        int n = (int)strspn(text, "0123456789");
        if (n < 1 || n > 5) return false;
        snprintf(digits, sizeof digits, "%.*s", n, text);
        int64_t number = 0;
        if (!zo_read_int(digits, &number) || number < 1) return false;
        *to[i] = (int)number;
        text += n;
        end = i;
        if (*text != 'x' || i == 2) break;
        text++;
    }
    return end > 0 && !*text;
}

/* Features in their order are pixels, row after row, channels last; all are of one scale. */
static zo_status shape_features(const zo_survey *s, zo_raw *raw)
{
    const char *text = s->settings->shape;
    if (!*text) return ZO_OK;
    if (!read_shape(text, raw))
        return zo_fail(s->ctx, ZO_USAGE,
                       "shape=%s: height x width (x channels) is expected, such as 8x8", text);
    int64_t pixels = (int64_t)raw->height * raw->width * raw->channels;
    for (int i = 0; i < s->csv.columns; i++) {
        if (s->kind[i] == ZO_TEXT)
            return zo_fail(s->ctx, ZO_USAGE,
                           "%s: shape=%s: column %d has texts, which are no pixels", s->where, text,
                           i + 1);
    }
    if (pixels != raw->inputs)
        return zo_fail(s->ctx, ZO_USAGE,
                       "%s: shape=%s is of %lld numbers, and a row has %d features", s->where, text,
                       (long long)pixels, raw->inputs);
    raw->one_scale = true;
    return ZO_OK;
}

static zo_status learn_table(zo_survey *s, uint64_t seed, uint64_t file, zo_raw *raw)
{
    uint8_t *part = NULL;
    zo_status status = zo_survey_names(s);
    if (!status && s->csv.rows - s->first < ROWS_LEAST)
        status = zo_fail(s->ctx, ZO_FORMAT,
                         "%s: %lld rows of data are too few: training, validation and test need %d",
                         s->where, (long long)(s->csv.rows - s->first), ROWS_LEAST);
    if (!status) status = zo_survey_kinds(s);
    if (!status) status = mix_checksum(s, file, raw);
    if (!status) status = load_answers(s, raw);
    if (!status && !(part = zo_alloc(s->ctx, (size_t)raw->n))) status = ZO_NO_MEMORY;
    if (!status)
        status = zo_split_parts(s->ctx, seed, s->settings->validation, s->settings->test,
                                raw->classes, raw->label, raw->n, part);
    if (!status) status = load_features(s, part, raw);
    if (!status) status = shape_features(s, raw);
    zo_free(s->ctx, part);
    return status;
}

zo_status zo_table_load(const zo_context *ctx, const char *where, char *bytes, size_t size,
                        uint64_t seed, const zo_table_settings *settings, zo_raw *raw)
{
    static const char separators[] = {0, ',', ';', '\t', ',', ';'};
    zo_survey s = {.ctx = ctx, .where = where, .settings = settings, .label = -1};
    uint64_t file = zo_checksum(bytes, size);
    zo_status status =
        zo_arff_is(bytes, size)
            ? zo_arff_parse(ctx, where, bytes, size, &s.csv)
            : zo_csv_parse(ctx, where, bytes, size, separators[settings->separator], &s.csv);
    if (!status) status = learn_table(&s, seed, file, raw);
    zo_free(ctx, s.name);
    zo_free(ctx, s.kind);
    zo_csv_free(ctx, &s.csv);
    raw->test_share = settings->test;
    raw->net = "dense64 relu dense64 relu";
    return status;
}

static zo_status load(zo_context *ctx, const zo_task_def *def, const void *settings, zo_raw *raw)
{
    char *bytes;
    size_t size;
    zo_status status = zo_file_read(ctx, def->name, TABLE_MOST, &bytes, &size);
    if (!status) status = zo_table_load(ctx, def->name, bytes, size, def->seed, settings, raw);
    zo_free(ctx, bytes);
    return status;
}

static const zo_param params[] = {
    ZO_VALIDATION_ROW(zo_table_settings),
    ZO_PARAM_REAL_ROW(zo_table_settings, test, 0.2, 0, 0.5,
                      "share of the rows held out for the test; 0: none"),
    ZO_PARAM_TEXT_ROW(zo_table_settings, label, "",
                      "the column to predict: its name, or its number from 1 (ARFF: the last)"),
    ZO_PARAM_TEXT_ROW(zo_table_settings, ignore, "",
                      "columns to leave out, with commas between them"),
    ZO_PARAM_CHOICE_ROW(zo_table_settings, kind, 0, "auto|classification|regression",
                        "auto: texts, or at most 20 different whole numbers, are classes"),
    ZO_PARAM_CHOICE_ROW(zo_table_settings, missing, 0, "refuse|impute",
                        "impute: the median for a number, a category of its own for a text"),
    ZO_PARAM_CHOICE_ROW(zo_table_settings, separator, 0, "auto|comma|semicolon|tab|,|;",
                        "what stands between two fields"),
    ZO_PARAM_CHOICE_ROW(zo_table_settings, header, 0, "auto|yes|no",
                        "whether the first row names the columns"),
    ZO_PARAM_TEXT_ROW(zo_table_settings, shape, "",
                      "the features in their order are the pixels of an image: height x width, or "
                      "height x width x channels"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_csv = {
    .info = {"csv",
             "a table of numbers and texts with a label column, CSV or ARFF, named by its path",
             "RFC 4180", ZO_USES_NOTHING, params},
    .settings_size = sizeof(zo_table_settings),
    .load = load,
};

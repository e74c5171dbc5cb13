/* Tables as text: RFC 4180 with `,` `;` or tab, quotes (doubled quotes and line ends inside them),
 * any line end, a UTF-8 mark at the start, empty lines skipped, spaces around unquoted fields
 * dropped. */
#ifndef ZO_TASK_CSV_H
#define ZO_TASK_CSV_H

#include "base/context.h"

/* What a file says about a column; CSV files say nothing. */
typedef enum zo_cell_type { ZO_CELL_ANY, ZO_CELL_NUMBER, ZO_CELL_TEXT } zo_cell_type;

typedef struct zo_csv {
    char separator;
    int columns;  /* of every row */
    int64_t rows; /* the header, if there is one, is row 0 */
    char **cell; /* [rows][columns], each ends with a zero, all inside the bytes that were parsed */
    int64_t *line;      /* [rows] where a row begins in the file, from 1 */
    zo_cell_type *type; /* [columns], or NULL: all ANY */
} zo_csv;

/* Most columns of a table. */
#define ZO_COLUMNS_MAX (1 << 20)

/* Splits bytes[size + 1] into cells, in place; the bytes must outlive *out. `separator` 0: the one
 * that the first row has most of. Errors, with `where` and the line: FORMAT (empty, not UTF-8
 * text, rows of different lengths, an open quote), NO_MEMORY; then *out holds nothing. */
zo_status zo_csv_parse(const zo_context *ctx, const char *where, char *bytes, size_t size,
                       char separator, zo_csv *out);

/* Counts the line ends in a file, and refuses what is no UTF-8 text. Errors: FORMAT. */
zo_status zo_csv_survey(const zo_context *ctx, const char *where, const char *bytes, size_t size,
                        size_t *breaks);

/* Frees the arrays of *csv. */
void zo_csv_free(const zo_context *ctx, zo_csv *csv);

static inline const char *zo_csv_cell(const zo_csv *csv, int64_t row, int column)
{
    return csv->cell[row * csv->columns + column];
}

static inline zo_cell_type zo_csv_type(const zo_csv *csv, int column)
{
    return csv->type ? csv->type[column] : ZO_CELL_ANY;
}

/* What row 0 calls a column; "column3" where it has no name for the third. */
const char *zo_csv_name(const zo_csv *csv, int column, char room[32]);

/* Whether a cell stands for "not known": empty, ?, NA, N/A, NaN, null, None. Where the file says that a column holds texts only ? does:
 * the others are values there, which may be declared. */
bool zo_csv_missing_at(const zo_csv *csv, int64_t row, int column);

/* Room for a text as zo_csv_shown() gives it. */
#define ZO_SHOWN_MAX 64

/* A cell as it can stand in a message of one line: without line ends, cut where it is long. */
const char *zo_csv_shown(const char *cell, char out[ZO_SHOWN_MAX]);

/* The length of the longest beginning of text[size] that is UTF-8. */
size_t zo_utf8_prefix(const char *text, size_t size);

#endif

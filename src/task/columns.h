/* What the columns of a table are called and hold: the part of learning from a table that looks at
 * cells. */
#ifndef ZO_TASK_COLUMNS_H
#define ZO_TASK_COLUMNS_H

#include "task/encoder.h"
#include "task/table.h"

typedef struct zo_survey {
    const zo_context *ctx;
    const char *where;
    const zo_table_settings *settings;
    zo_csv csv;
    int64_t first;        /* row of the first example */
    char **name;          /* [csv.columns], of the header or "column1" ... */
    zo_column_kind *kind; /* [csv.columns] */
    int label;
    zo_answers answers;
    char scratch[32];
} zo_survey;

/* Decides about the header, names the columns, and finds the label and those to be ignored.
 * Errors: USAGE, FORMAT, NO_MEMORY. */
zo_status zo_survey_names(zo_survey *s);

/* Number or text, for every column that is neither label nor ignored; and what the answers are,
 * with "classes" set in `json` for a classification. Errors: FORMAT, USAGE. */
zo_status zo_survey_answers(zo_survey *s, json_t *json, bool *failed);
zo_status zo_survey_kinds(zo_survey *s);

/* The description of a column: part[] tells the training rows. *json is NULL on failure. */
zo_status zo_survey_column(const zo_survey *s, int column, const uint8_t *part, json_t **json);

#endif

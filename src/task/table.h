/* Learning from a table: which columns are numbers, texts, the label; what fills a gap. */
#ifndef ZO_TASK_TABLE_H
#define ZO_TASK_TABLE_H

#include "task/csv.h"
#include "task/task.h"

typedef struct zo_table_settings {
    double validation, test;
    char label[ZO_TEXT_MAX];
    char ignore[ZO_TEXT_MAX];
    int kind;                /* 0 auto, 1 classification, 2 regression */
    int missing;             /* 0 refuse, 1 impute */
    int separator;           /* index into its choices */
    int header;              /* 0 auto, 1 yes, 2 no */
    char shape[ZO_TEXT_MAX]; /* "": none; "8x8", "32x32x3": features are the pixels of an image */
} zo_table_settings;

/* Reads the table in bytes[size + 1], which are changed; `where` is its name in messages. What is
 * learned from the columns (categories, medians, offsets) is learned from the rows that the same seed and
 * shares make training rows. Errors, with line and column: FORMAT, USAGE (settings that do not
 * fit), NO_MEMORY; *raw is then to be freed all the same. */
zo_status zo_table_load(const zo_context *ctx, const char *where, char *bytes, size_t size,
                        uint64_t seed, const zo_table_settings *settings, zo_raw *raw);

#endif

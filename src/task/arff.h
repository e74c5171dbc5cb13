/* ARFF, the tables of Weka: "@relation name", an "@attribute name type" for each column, "@data", then a row a line. Words end at spaces and
 * commas, or stand in quotes, where a backslash takes the next character as it is; '%' begins a comment. Types: numeric, real, integer;
 * {a,b,c}; string, and date, which is read as one. Rows are dense: sparse ones are refused. */
#ifndef ZO_TASK_ARFF_H
#define ZO_TASK_ARFF_H

#include "task/csv.h"

/* Whether the first word of bytes[size] that is no comment is "@relation". */
bool zo_arff_is(const char *bytes, size_t size);

/* Splits bytes[size + 1] into cells, in place, as zo_csv_parse() does: row 0 is the names of the attributes, out->type tells what they hold.
 * Errors, with `where` and the line: FORMAT, NO_MEMORY; then *out holds nothing. */
zo_status zo_arff_parse(const zo_context *ctx, const char *where, char *bytes, size_t size,
                        zo_csv *out);

#endif

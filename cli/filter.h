/* Conditions on runs, as in --filter "accuracy>0.9". */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <jansson.h>
#include <stdbool.h>

typedef struct cli_filter {
    char *key;
    const char *sign;  /* one of = != < <= > >= */
    const char *value; /* borrowed from the text */
} cli_filter;

/* Reads KEY SIGN VALUE. False after printing what is wrong; cli_filter_free() is due if it is true. */
bool cli_filter_read(const char *text, cli_filter *out);
void cli_filter_free(cli_filter *filter);

/* Whether a value meets the condition; what is missing (NULL) meets only !=. Numbers are compared as numbers, texts by the pattern
 * (* ? [..]) or in the order of their characters. */
bool cli_filter_meets(const cli_filter *filter, const json_t *value);

/* A JSON number, or a text that is one. */
bool cli_number(const json_t *value, double *out);

#endif

/* Where results go: stdout, or a file that appears whole or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct cli_output {
    FILE *file;
    char *path;  /* NULL: stdout */
    char *draft; /* becomes `path` at the end; NULL when written in place (a device, a pipe) */
} cli_output;

/* `path` NULL: stdout. False after printing what is wrong. */
bool cli_output_open(cli_output *out, const char *path);
/* Puts the file in its place, or removes it if `keep` is false. False after printing what went
 * wrong. */
bool cli_output_close(cli_output *out, bool keep);

/* Closes stdout; `status`, or CLI_FAILED if what was printed did not arrive. A reader that left early
 * is no news. */
int cli_stdout_close(int status);

/* Prints `json` as one line and frees it. False if it is NULL or memory ran out. */
bool cli_json_print(FILE *f, json_t *json);
/* Sets object[key], leaving it out when the number is not finite. */
void cli_json_real(json_t *object, const char *key, double value);
void cli_json_text(json_t *object, const char *key, const char *value);
void cli_json_int(json_t *object, const char *key, long long value);

#endif

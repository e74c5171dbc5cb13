/* Text for people: widths, wrapping, tables, and numbers with few digits. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Room for one formatted number. */
enum { CLI_NUMBER = 40 };

/* Columns of the terminal behind `f`, at least 20; 100 where there is none. */
int cli_width(FILE *f);
/* Whether cursor moves may be written to `f`: a terminal, and not a dumb one. Colours are not used. */
bool cli_can_move(FILE *f);

/* Prints `text` broken at spaces, further lines indented, and a line end; the cursor stands at column
 * `indent`. */
void cli_wrap(FILE *f, const char *text, int indent, int width);

/* One "label   value" line of a table whose labels take `label_width` columns; long values wrap. */
void cli_row(FILE *f, int width, int label_width, const char *label, const char *value);

/* Columns a text takes (UTF-8). */
int cli_columns(const char *text);

/* All write into out[CLI_NUMBER] and return it. */
char *cli_count(double value, char *out);      /* 118,282 */
char *cli_unit(double value, char *out);       /* 1.23M */
char *cli_percent(double share, char *out);    /* 87.12 % */
char *cli_duration(double seconds, char *out); /* 42 s, 12 min, 3 h 5 min */
char *cli_bytes(double bytes, char *out);      /* 473 bytes, 8.21 KiB, 1.5 GiB */
char *cli_plain(double value, char *out);      /* shortest text, six digits */

/* "8.21 KiB, 56.2 times smaller than the 461.3 KiB of model.safetensors", or larger; to be freed. */
char *cli_smaller(double bytes, double model_bytes);

/* A grid of cells under titles. Columns without any text are left out, and those of least weight until it fits. */
typedef struct cli_column {
    const char *title;
    bool right; /* aligned right */
    int weight; /* the smaller, the sooner it goes; 0 never goes */
} cli_column;

/* cells[row * columns + column]; prints titles and rows. */
void cli_grid(FILE *f, int width, const cli_column *columns, int n_columns, char *const *cells,
              int n_rows);

#endif

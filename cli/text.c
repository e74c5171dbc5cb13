#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "options.h"

enum { PIPE_WIDTH = 100, UNKNOWN_WIDTH = 80, LEAST_WIDTH = 20 };

int cli_width(FILE *f)
{
    struct winsize size;
    int fd = fileno(f);
    if (!isatty(fd)) return PIPE_WIDTH;
    if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col) return UNKNOWN_WIDTH;
    return size.ws_col < LEAST_WIDTH ? LEAST_WIDTH : size.ws_col;
}

bool cli_can_move(FILE *f)
{
    const char *term = getenv("TERM");
    return isatty(fileno(f)) && term && *term && strcmp(term, "dumb") != 0;
}

int cli_columns(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void cli_wrap(FILE *f, const char *text, int indent, int width)
{
    int at = indent;
    bool first = true;
    while (*(text += strspn(text, " "))) {
        int bytes = (int)strcspn(text, " "), columns = 0;
        for (int i = 0; i < bytes; i++) columns += ((unsigned char)text[i] & 0xc0) != 0x80;
        if (!first && at + 1 + columns > width) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            fputc(' ', f);
            at++;
        }
        fwrite(text, 1, (size_t)bytes, f);
        text += bytes;
        at += columns;
        first = false;
    }
    fputc('\n', f);
}

void cli_row(FILE *f, int width, int label_width, const char *label, const char *value)
{
    enum { ROOMY = 24 };
    int at = label_width + 2, longest = 0, whole = cli_columns(value);
    for (const char *p = value; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
        int n = (int)strcspn(p, " ");
        if (n > longest) longest = n;
    }
    fprintf(f, "%s", label);
    bool cramped = width - at < ROOMY && at + whole > width && 2 + whole <= width;
    if (cramped || at + longest > width) {
        at = 2;
        fprintf(f, "\n%*s", at, "");
    } else {
        fprintf(f, "%*s", at - cli_columns(label), "");
    }
    cli_wrap(f, value, at, width);
}

/* ---- numbers ---- */

char *cli_count(double value, char *out)
{
    char digits[CLI_NUMBER];
    if (!(fabs(value) < 1e15)) return snprintf(out, CLI_NUMBER, "%.4g", value), out;
    int n = snprintf(digits, sizeof digits, "%.0f", value);
    char *to = out;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return out;
}

char *cli_unit(double value, char *out)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    int u = 0;
    while (fabs(value) >= 999.5 && u < 5) value /= 1000, u++;
    int decimals = (u == 0 && value == floor(value)) || fabs(value) >= 99.95 ? 0
                   : fabs(value) >= 9.995                                    ? 1
                                                                             : 2;
    snprintf(out, CLI_NUMBER, "%.*f%s", decimals, value, units[u]);
    return out;
}

char *cli_percent(double share, char *out)
{
    snprintf(out, CLI_NUMBER, "%.2f %%", 100 * share);
    return out;
}

char *cli_duration(double seconds, char *out)
{
    double s = seconds > 0 ? seconds : 0;
    if (s < 100) {
        snprintf(out, CLI_NUMBER, "%.0f s", s);
    } else if (s < 6000) {
        snprintf(out, CLI_NUMBER, "%.0f min", s / 60);
    } else {
        snprintf(out, CLI_NUMBER, "%.0f h", s / 3600);
    }
    return out;
}

char *cli_bytes(double bytes, char *out)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (bytes >= 1023.95 && u < 4) bytes /= 1024, u++;
    snprintf(out, CLI_NUMBER, "%.*f %s", u == 0 ? 0 : bytes >= 99.95 ? 1 : 2, bytes, units[u]);
    return out;
}

char *cli_plain(double value, char *out)
{
    snprintf(out, CLI_NUMBER, "%.6g", value);
    return out;
}

char *cli_smaller(double bytes, double model_bytes)
{
    char size[CLI_NUMBER], model[CLI_NUMBER];
    bool smaller = bytes <= model_bytes;
    double times = smaller ? model_bytes / bytes : bytes / model_bytes;
    return cli_format("%s, %.3g times %s than the %s of model.safetensors", cli_bytes(bytes, size),
                      times, smaller ? "smaller" : "larger", cli_bytes(model_bytes, model));
}

/* ---- grids ---- */

/* -1 for a column without any text. */
static int cell_width(char *const *cells, const cli_column *columns, int n_columns, int n_rows,
                      int c)
{
    int w = 0, title = cli_columns(columns[c].title);
    for (int r = 0; r < n_rows; r++) {
        int n = cli_columns(cells[r * n_columns + c]);
        if (n > w) w = n;
    }
    return w == 0 ? -1 : w > title ? w : title;
}

static void print_cell(FILE *f, const char *text, int width, bool right, bool last)
{
    int pad = width - cli_columns(text);
    if (right)
        fprintf(f, "%*s%s", pad, "", text);
    else
        fprintf(f, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", f);
}

/* Sets widths[c] to -1 for the columns that are left out. */
static void fit(int *widths, const cli_column *columns, int n, int width)
{
    for (;;) {
        int total = -2, worst = -1;
        for (int c = 0; c < n; c++) {
            if (widths[c] < 0) continue;
            total += widths[c] + 2;
            bool lighter = worst < 0 || columns[c].weight < columns[worst].weight;
            if (columns[c].weight && lighter) worst = c;
        }
        if (total <= width || worst < 0) return;
        widths[worst] = -1;
    }
}

void cli_grid(FILE *f, int width, const cli_column *columns, int n_columns, char *const *cells,
              int n_rows)
{
    int *widths = cli_alloc((size_t)n_columns * sizeof *widths), last = 0;
    for (int c = 0; c < n_columns; c++)
        widths[c] = cell_width(cells, columns, n_columns, n_rows, c);
    fit(widths, columns, n_columns, width);
    for (int c = 0; c < n_columns; c++) {
        if (widths[c] >= 0) last = c;
    }
    for (int r = -1; r < n_rows; r++) {
        for (int c = 0; c < n_columns; c++) {
            if (widths[c] < 0) continue;
            const char *text = r < 0 ? columns[c].title : cells[r * n_columns + c];
            print_cell(f, text, widths[c], columns[c].right, c == last);
        }
    }
    free(widths);
}

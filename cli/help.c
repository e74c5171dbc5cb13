/* zeroth help: generated from the commands' option tables. */
#include <stdlib.h>

#include "cli.h"
#include "text.h"

enum { OPTION_WIDTH = 20 };

static void option(FILE *f, int width, const char *name, const char *value, const char *text)
{
    char *left = cli_format("  --%s%s%s", name, value ? " " : "", value ? value : "");
    int n = cli_columns(left);
    cli_row(f, width, n > OPTION_WIDTH ? n : OPTION_WIDTH, left, text);
    free(left);
}

static void one(FILE *f, int width, const cli_command *c)
{
    fprintf(f, "usage: ");
    char *usage = cli_format("zeroth %s %s", c->name, c->usage);
    cli_wrap(f, usage, 7, width);
    free(usage);
    cli_wrap(f, c->summary, 0, width);
    fputc('\n', f);
    for (const cli_option *o = c->options; o->name; o++)
        option(f, width, o->name, o->value, o->help);
    option(f, width, "help", NULL, "this text");
    if (c->more) c->more(f, width);
}

static void all(FILE *f, int width)
{
    cli_wrap(f, "zeroth trains neural networks without gradients.", 0, width);
    fprintf(f, "\nusage: ");
    cli_wrap(f, "zeroth COMMAND [OPTION]...", 7, width);
    fputc('\n', f);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        char *left = cli_format("  %s", (*c)->name);
        cli_row(f, width, 9, left, (*c)->summary);
        free(left);
    }
    cli_row(f, width, 9, "  help", "the options of a command: zeroth help COMMAND");
    fputs("\nexamples:\n"
          "  zeroth train fashion-mnist --seconds 60\n"
          "  zeroth train table.csv --label species\n"
          "  zeroth predict runs/table-nodes-1 new.csv\n"
          "  zeroth resume runs/table-nodes-1\n"
          "  zeroth show runs --sort -accuracy\n"
          "\n",
          f);
    cli_wrap(f, "Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by the user.", 0, width);
}

void cli_help(FILE *f, const cli_command *command)
{
    if (command)
        one(f, cli_width(f), command);
    else
        all(f, cli_width(f));
}

void cli_help_short(FILE *f)
{
    int width = cli_width(f);
    fprintf(f, "usage: ");
    cli_wrap(f, "zeroth COMMAND [OPTION]...", 7, width);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        char *left = cli_format("  %s", (*c)->name);
        cli_row(f, width, 9, left, (*c)->summary);
        free(left);
    }
    cli_wrap(f, "'zeroth help' says more.", 0, width);
}

/* Command-line options: one table of options for each subcommand, one parser for all. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cli_kind {
    CLI_FLAG,  /* bool */
    CLI_TEXT,  /* const char *, not empty; borrowed */
    CLI_REAL,  /* double, min < value <= max */
    CLI_INT,   /* int, min <= value <= max */
    CLI_SEED,  /* uint64_t */
    CLI_SIZE,  /* int64_t, bytes, at least 1 */
    CLI_LIST,  /* cli_list of "key=value"; may be given many times */
    CLI_SHORT, /* the setting of that name: adds "--name=value" to such a list */
    CLI_TEXTS  /* cli_list of any texts; may be given many times */
} cli_kind;

typedef struct cli_option {
    const char *name;  /* without dashes */
    const char *value; /* the word for its value in the help; NULL for a flag */
    cli_kind kind;
    size_t offset;   /* where the value lies in the subcommand's struct */
    double min, max; /* REAL and INT */
    const char *help;
} cli_option;

#define CLI_OPTION_END                                                                             \
    {                                                                                              \
        NULL, NULL, CLI_FLAG, 0, 0, 0, NULL                                                        \
    }

/* Texts in the order given, NULL-terminated once there is one; owns copies. */
typedef struct cli_list {
    char **items;
    int n;
} cli_list;

void cli_list_add(cli_list *list, const char *text);
/* Adds "key=value". */
void cli_list_add_pair(cli_list *list, const char *key, const char *value);
void cli_list_remove(cli_list *list, int index);
void cli_list_free(cli_list *list);
/* The value of the last "key=value" with that key, or NULL. '-' and '_' are alike in keys. */
const char *cli_list_get(const cli_list *list, const char *key);
bool cli_key_is(const char *setting, const char *key);

/* Words that are no options: filled by cli_parse(). */
enum { CLI_WORDS = 64 };
typedef struct cli_words {
    const char *names; /* what they are, for messages, e.g. "RUN and INPUT" */
    int least, most;   /* at most CLI_WORDS */
    const char *word[CLI_WORDS];
    int n;
} cli_words;

/* Reads `argc` arguments into `values`. False after printing what is wrong. */
bool cli_parse(const char *command, const cli_option *table, int argc, char **argv, void *values,
               cli_words *words);

/* Sets one option from its text. `where` starts the message of a refusal: "--seconds",
 * "file.json:3: seconds". False after printing it. */
bool cli_option_set(const cli_option *option, void *values, const char *text, const char *where);

/* A finite number in decimal digits, and nothing else. */
bool cli_read_real(const char *text, double *out);

/* Whether a class has a setting of that name. */
bool cli_is_setting(const char *name);

const cli_option *cli_option_find(const cli_option *table, const char *name);

/* The candidate nearest to `word`, if near enough to be meant, else NULL. `next` gives candidate i,
 * NULL past the last. */
const char *cli_nearest(const char *word, const char *(*next)(const void *of, int i),
                        const void *of);
/* For cli_nearest(): the names of an option table. */
const char *cli_option_name(const void *table, int i);

/* Memory or the end of the command with status 1. */
void *cli_alloc(size_t size);
char *cli_strdup(const char *text);
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

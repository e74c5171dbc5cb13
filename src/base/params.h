/* Parameter tables: reading "key=value" texts into settings structs, and writing them out. */
#ifndef ZO_BASE_PARAMS_H
#define ZO_BASE_PARAMS_H

#include <zeroth/classes.h>

#include "base/context.h"

/* A settings struct and the table that describes it. */
typedef struct zo_block {
    const zo_class_info *of; /* whose settings these are */
    void *values;
} zo_block;

/* For rows of parameter tables: where a field lies. */
#define ZO_PARAM_INT_ROW(type, field, standard, min, max, help)                                    \
    {                                                                                              \
#field, ZO_PARAM_INT, offsetof(type, field), standard, min, max, NULL, NULL, help          \
    }
#define ZO_PARAM_REAL_ROW(type, field, standard, min, max, help)                                   \
    {                                                                                              \
#field, ZO_PARAM_REAL, offsetof(type, field), standard, min, max, NULL, NULL, help         \
    }
#define ZO_PARAM_BOOL_ROW(type, field, standard, help)                                             \
    {                                                                                              \
#field, ZO_PARAM_BOOL, offsetof(type, field), standard, 0, 1, NULL, NULL, help             \
    }
#define ZO_PARAM_CHOICE_ROW(type, field, standard, choices, help)                                  \
    {                                                                                              \
#field, ZO_PARAM_CHOICE, offsetof(type, field), standard, 0, 0, choices, NULL, help        \
    }
#define ZO_PARAM_TEXT_ROW(type, field, text, help)                                                 \
    {                                                                                              \
#field, ZO_PARAM_TEXT, offsetof(type, field), 0, 0, 0, NULL, text, help                    \
    }
#define ZO_PARAM_END                                                                               \
    {                                                                                              \
        NULL, ZO_PARAM_INT, 0, 0, 0, 0, NULL, NULL, NULL                                           \
    }

/* The table of a class without parameters. */
extern const zo_param zo_no_params[];

/* Fills a settings struct with its table's defaults. */
void zo_params_default(const zo_param *table, void *values);

/* Applies "key=value" texts to whichever block has the key. A key of none of them, a value of the wrong type or outside its range:
 * USAGE, with the nearest right spelling or the range. `settings` may be NULL. */
zo_status zo_params_apply(const zo_context *ctx, const char *const *settings,
                          const zo_block *blocks, int n);

/* The value of `key` among the settings (the last one wins), or NULL. Compares keys with '-' and '_' alike. */
const char *zo_settings_get(const char *const *settings, const char *key);

/* Writes "key=value" of one row; always ends with a zero. */
void zo_param_show(const zo_param *row, const void *values, char *out, size_t room);

/* Copies word `index` of "a|b|c" to out; false past the last. */
bool zo_choice(const char *choices, int index, char *out, size_t room);

/* The candidate nearest to `word` by edit distance if it is near enough to be meant, else NULL. `next` gives candidate i, NULL at
 * the end. */
const char *zo_nearest(const char *word, const char *(*next)(const void *of, int i), const void *of);

/* Fails with `what "word" is not known`, the nearest of the kind's names, and how to list them. `classes` as in zo_find. */
zo_status zo_fail_unknown(const zo_context *ctx, const char *kind, const char *word,
                          const zo_class_info *const *classes);

/* The class of that name in a NULL-terminated list, or NULL. Every class struct begins with its zo_class_info. */
const void *zo_find(const zo_class_info *const *classes, const char *name);

/* Reads a whole number or a decimal number that fills the text; false otherwise. Does not depend on the locale. */
bool zo_read_int(const char *text, int64_t *out);
bool zo_read_real(const char *text, size_t length, double *out);
/* Shortest decimal text that reads back to the same double, '.' as the point; "nan", "inf", "-inf". room >= 32. */
void zo_write_real(double value, char *out, size_t room);

#endif

/* What the tests of tables share: a context that keeps its log, tables from texts, encoders. */
#ifndef TEST_TASK_CSV_SUPPORT_H
#define TEST_TASK_CSV_SUPPORT_H

#include "test_task_support.h"

#include <locale.h>
#include <math.h>

#include "task/encoder.h"
#include "task/table.h"

static zo_context *ctx;
static char logged[2048];

static inline void keep_log(void *user, zo_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static inline int set_up(void **state)
{
    zo_context_def def = zo_context_default_def();
    (void)state;
    logged[0] = 0;
    def.threads = 1;
    def.log = keep_log;
    return zo_context_open(&def, &ctx) != ZO_OK;
}

static inline int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

#define TEN(row) row row row row row row row row row row

static inline zo_table_settings settings_for(const char *label)
{
    zo_table_settings s;
    const zo_task_class *class = zo_find(zo_task_classes, "csv");
    zo_params_default(class->info.params, &s);
    strcpy(s.label, label);
    return s;
}

/* Twelve rows; x of the n-th row is n, colour goes round, y is text. */
static const char flowers[] =
    "x,colour,y\n"
    "1,red,no\n2,blue,yes\n3,green,no\n4,red,yes\n5,blue,no\n6,green,yes\n"
    "7,red,no\n8,blue,yes\n9,green,no\n10,red,yes\n11,blue,no\n12,green,yes\n";

/* Rows with missing values. */
static const char gaps[] = "w,c,y\n1,a,0\n2,,1\n,b,0\n4,a,1\nNA,b,0\n6,?,1\n"
                           "7,a,0\n8,b,1\n9,a,0\n10,b,1\nnan,a,0\n12,b,1\n13,N/A,0\n14,b,1\n";

static inline zo_status load_text(zo_context *c, const char *text, const zo_table_settings *s,
                                  zo_raw *raw)
{
    char *bytes = copy_of(text);
    *raw = (zo_raw){0};
    zo_status status = zo_table_load(c, "t.csv", bytes, strlen(text), 1, s, raw);
    free(bytes);
    return status;
}

static inline zo_raw must_load(const char *text, const zo_table_settings *s)
{
    zo_raw raw;
    if (load_text(ctx, text, s, &raw)) fail_msg("%s", zo_last_error(ctx));
    return raw;
}

/* What the numbers of a column are counted from. */
static inline double offset_of(const char *encoder, int column)
{
    zo_encoder e;
    assert_int_equal(zo_encoder_read(ctx, encoder, &e), ZO_OK);
    double offset = e.column[column].offset;
    zo_encoder_free(ctx, &e);
    return offset;
}

/* The targets in the user's unit. */
static inline double target_at(const zo_raw *raw, int64_t i)
{
    return (double)raw->target[i] + raw->target_offset;
}

/* Features and labels of rows that a saved encoder reads. */
static inline void predict(const char *encoder, const char *text, int64_t *n, float **x,
                           int32_t **label)
{
    zo_encoder e;
    char *bytes = copy_of(text);
    if (zo_encoder_read(ctx, encoder, &e)) fail_msg("%s", zo_last_error(ctx));
    if (zo_encoder_table(ctx, &e, "p.csv", bytes, strlen(text), n, x, label))
        fail_msg("%s", zo_last_error(ctx));
    zo_encoder_free(ctx, &e);
    free(bytes);
}

#endif

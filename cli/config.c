#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

/* What a run records and a repeat does not need. */
static const char *const recorded[] = {
    "record",     "version", "kernels", "host",    "checksum",         "created",     "plan",
    "parameters", "uses",    "shapes",  "library", "seconds_training", "task_config", NULL};

/* Options that make no sense in a file. */
static const char *const line_only[] = {"config", "set", "help", NULL};

typedef struct reading {
    const char *path;
    char *text; /* the file, to find lines in */
    const cli_option *table;
    void *values;
    cli_config *out;
} reading;

static bool among(const char *const *words, const char *word)
{
    for (; *words; words++) {
        if (!strcmp(*words, word)) return true;
    }
    return false;
}

/* The line of the first "key", which in a file people write is the one meant; 1 if it is written with
 * escapes. */
static int line_of(const reading *r, const char *key)
{
    char *quoted = cli_format("\"%s\"", key);
    const char *at = strstr(r->text, quoted);
    int line = 1;
    for (const char *p = r->text; at && p < at; p++) line += *p == '\n';
    free(quoted);
    return line;
}

static bool refuse(const reading *r, const char *key, const char *fault)
{
    cli_fail(CLI_USAGE, "%s:%d: \"%s\" %s", r->path, line_of(r, key), key, fault);
    return false;
}

/* The value as someone would type it, owned by out->texts; NULL for what is no text, number or truth
 * value. */
static const char *value_text(const reading *r, const json_t *value)
{
    char number[64];
    const char *text = number;
    if (json_is_string(value))
        text = json_string_value(value);
    else if (json_is_boolean(value))
        text = json_is_true(value) ? "yes" : "no";
    else if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else
        return NULL;
    cli_list_add(&r->out->texts, text);
    return r->out->texts.items[r->out->texts.n - 1];
}

static bool read_settings(const reading *r, const char *name, const json_t *object, cli_list *to)
{
    const char *key;
    json_t *value;
    if (json_is_null(object)) return true;
    if (!json_is_object(object)) return refuse(r, name, "is not an object {\"key\": value}");
    json_object_foreach((json_t *)object, key, value)
    {
        const char *text = value_text(r, value);
        if (!text || !*key) return refuse(r, key, "is not a text, number, true or false");
        cli_list_add_pair(to, key, text);
    }
    return true;
}

static bool absent(const cli_option *o, const json_t *value)
{
    if (json_is_null(value)) return true;
    if (o->kind == CLI_FLAG) return json_is_false(value);
    if (json_is_string(value)) return !*json_string_value(value);
    bool number = o->kind == CLI_REAL || o->kind == CLI_INT || o->kind == CLI_SIZE;
    return number && json_is_number(value) && !(json_number_value(value) < 0) &&
           !(json_number_value(value) > 0);
}

static bool read_option(const reading *r, const cli_option *o, const json_t *value)
{
    if (absent(o, value)) return true;
    if (o->kind == CLI_FLAG && !json_is_true(value)) return refuse(r, o->name, "is true or false");
    const char *text = value_text(r, value);
    if (!text) return refuse(r, o->name, "is not a text, number, true or false");
    if (o->kind == CLI_SHORT) {
        cli_list_add_pair(&r->out->settings, o->name, text);
        return true;
    }
    char *where = cli_format("%s:%d: %s", r->path, line_of(r, o->name), o->name);
    bool ok = cli_option_set(o, r->values, text, where);
    free(where);
    return ok;
}

static const char *known_key(const void *table, int i)
{
    static const char *const more[] = {"task", "settings", "task_settings", NULL};
    int n = 0;
    while (cli_option_name(table, n)) n++;
    return i < n ? cli_option_name(table, i) : more[i - n];
}

static bool read_key(const reading *r, const char *key, const json_t *value)
{
    if (!strcmp(key, "settings")) return read_settings(r, key, value, &r->out->settings);
    if (!strcmp(key, "task_settings")) {
        r->out->split = true;
        return read_settings(r, key, value, &r->out->task_settings);
    }
    if (!strcmp(key, "task")) {
        r->out->task = json_is_string(value) ? value_text(r, value) : NULL;
        return r->out->task && *r->out->task ? true : refuse(r, key, "is not the name of a task");
    }
    if (!strcmp(key, "schema")) {
        if (json_integer_value(value) == 1) return true;
        return refuse(r, key, "is not 1: this file is of another version of zeroth");
    }
    if (among(recorded, key)) return true;
    const cli_option *o = among(line_only, key) ? NULL : cli_option_find(r->table, key);
    if (o) return read_option(r, o, value);
    const char *near = cli_nearest(key, known_key, r->table);
    char *fault = near ? cli_format("is not known: did you mean \"%s\"?", near)
                       : cli_format("is not known: parameters of classes belong in \"settings\"");
    refuse(r, key, fault);
    free(fault);
    return false;
}

/* The whole text, or NULL after printing why not. */
static char *read_file(const char *path)
{
    enum { MOST = 1 << 20 }; /* JSON takes many times its text */
    FILE *f = fopen(path, "r");
    char *text = cli_alloc(MOST + 1);
    size_t n = f ? fread(text, 1, MOST, f) : 0;
    bool ok = f && !ferror(f);
    if (!ok) cli_fail(CLI_FAILED, "%s: cannot be read: %s", path, strerror(errno));
    if (f) fclose(f);
    if (ok && n < MOST) return text;
    if (ok) cli_fail(CLI_FAILED, "%s: is too large for a config file", path);
    free(text);
    return NULL;
}

static bool read_object(const reading *r)
{
    json_error_t error;
    json_t *json = json_loads(r->text, JSON_REJECT_DUPLICATES, &error), *value;
    const char *key;
    bool ok = true;
    if (!json) {
        cli_fail(CLI_USAGE, "%s:%d: column %d: %s", r->path, error.line, error.column, error.text);
        return false;
    }
    if (!json_is_object(json)) {
        ok = !cli_fail(CLI_USAGE, "%s:1: a config file is one object {...}", r->path);
    }
    json_object_foreach(json, key, value)
    {
        if (ok) ok = read_key(r, key, value);
    }
    json_decref(json);
    return ok;
}

int cli_config_read(const char *path, const cli_option *table, void *values, cli_config *out)
{
    struct stat s;
    *out = (cli_config){0};
    bool folder = !stat(path, &s) && S_ISDIR(s.st_mode);
    char *file = folder ? cli_format("%s/config.json", path) : cli_strdup(path);
    reading r = {file, read_file(file), table, values, out};
    int status = !r.text ? CLI_FAILED : read_object(&r) ? CLI_DONE : CLI_USAGE;
    free(r.text);
    free(file);
    return status;
}

void cli_config_free(cli_config *config)
{
    cli_list_free(&config->settings);
    cli_list_free(&config->task_settings);
    cli_list_free(&config->texts);
}

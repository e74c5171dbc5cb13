#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *zo_json_parse(const zo_context *ctx, const char *where, const char *text, size_t size)
{
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        zo_fail(ctx, ZO_FORMAT, "%s: line %d, column %d: %s", where, error.line, error.column,
                error.text);
    return json;
}

bool zo_json_holds(const char *text)
{
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

json_t *zo_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

void zo_json_set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (!value || json_object_set_new(object, key, value)) *failed = true;
}

char *zo_json_line(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
    if (!text) return NULL;
    size_t n = strlen(text);
    char *line = realloc(text, n + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + n, "\n", 2);
    return line;
}

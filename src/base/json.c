#include "base/json.h"

#include <math.h>

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

int64_t zo_json_whole(const json_t *object, const char *key, int64_t least, int64_t most)
{
    const json_t *value = json_object_get(object, key);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    return n >= least && n <= most ? n : -1;
}

json_t *zo_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

void zo_json_set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (!value || json_object_set_new(object, key, value)) *failed = true;
}

static int add(const char *text, size_t size, void *out)
{
    zo_buffer *b = out;
    zo_buffer_add(b, text, size);
    return b->status ? -1 : 0;
}

void zo_json_text(const json_t *json, size_t flags, zo_buffer *out)
{
    if (json_dump_callback(json, add, out, flags) && !out->status)
        out->status = zo_fail(out->ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
}

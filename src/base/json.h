/* JSON through jansson: the one place that includes its header (the command has its own). */
#ifndef ZO_BASE_JSON_H
#define ZO_BASE_JSON_H

#include <jansson.h>

#include "base/context.h"
#include "base/files.h"

/* Parses `size` bytes. On an error: NULL, and FORMAT noted with `where`, line and column. Duplicate keys are errors. */
json_t *zo_json_parse(const zo_context *ctx, const char *where, const char *text, size_t size);

/* Whether JSON can hold this text: it is UTF-8. */
bool zo_json_holds(const char *text);

/* The whole number under a key, -1 if there is none from `least` (0 or more) to `most`. */
int64_t zo_json_whole(const json_t *object, const char *key, int64_t least, int64_t most);

/* A number, or null when it is not finite. */
json_t *zo_json_real(double value);

/* Sets key of `object`, taking `value` over; a NULL value (out of memory) is remembered as `*failed`. */
void zo_json_set(json_t *object, const char *key, json_t *value, bool *failed);

/* Adds the JSON as text to a buffer, by the library's own allocator; `flags` are jansson's. Out of memory shows in the buffer. */
void zo_json_text(const json_t *json, size_t flags, zo_buffer *out);

#endif

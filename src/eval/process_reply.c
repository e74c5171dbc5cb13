#include "eval/process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/params.h"

/* JSON has no word for what Python's json module writes as NaN and Infinity. Outside of texts they become "", in place, which
 * number() takes as no number. */
static void tame(char *line, size_t size)
{
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};
    bool text = false;
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '"') {
            text = !text;
        } else if (text) {
            i += line[i] == '\\';
        } else {
            for (int w = 0; w < 3; w++) {
                size_t n = strlen(words[w]);
                if (n > size - i || memcmp(line + i, words[w], n)) continue;
                memset(line + i, ' ', n);
                line[i] = line[i + 1] = '"';
                i += n - 1;
                break;
            }
        }
    }
}

static bool number(const json_t *json, double *out)
{
    bool none = json_is_null(json) || (json_is_string(json) && !json_string_length(json));
    *out = none ? (double)NAN : json_number_value(json);
    return none || json_is_number(json);
}

static bool numbers(const json_t *json, int n, double *out, char *why, size_t room)
{
    if (!json_is_array(json)) {
        if (n == 1 && number(json, out)) return true;
        snprintf(why, room, n == 1 ? "the loss is not a number" : "%d numbers are expected", n);
        return false;
    }
    if (json_array_size(json) != (size_t)n) {
        snprintf(why, room, "%zu numbers instead of %d", json_array_size(json), n);
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (number(json_array_get(json, (size_t)i), out + i)) continue;
        snprintf(why, room, "place %d of the array is not a number", i + 1);
        return false;
    }
    return true;
}

static bool read_json(const zo_context *ctx, char *line, size_t size, int n, double *out, char *why,
                      size_t room)
{
    tame(line, size);
    json_t *json = zo_json_parse(ctx, "its reply", line, size);
    if (!json) {
        snprintf(why, room, "%s", zo_last_error(ctx));
        return false;
    }
    const json_t *loss = json_is_object(json) ? json_object_get(json, "loss") : json;
    bool good = loss && numbers(loss, n, out, why, room);
    if (!loss) snprintf(why, room, "its reply is an object without \"loss\"");
    json_decref(json);
    return good;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

bool zo_reply_read(const zo_context *ctx, char *line, size_t size, int n, double *out, char *why,
                   size_t room)
{
    while (size && blank(line[size - 1])) size--;
    while (size && blank(*line)) line++, size--;
    if (!size) {
        snprintf(why, room, "an empty line instead of a loss");
        return false;
    }
    if (*line == '[' || *line == '{') return read_json(ctx, line, size, n, out, why, room);
    if (n != 1) {
        snprintf(why, room, "its reply is not a JSON array of %d numbers", n);
        return false;
    }
    if (zo_read_real(line, size, out)) return true;
    *out = (double)NAN;
    if (size == 4 && !memcmp(line, "null", 4)) return true;
    snprintf(why, room, "\"%.*s\"%s is not a number", (int)(size < 40 ? size : 40), line,
             size > 40 ? " ..." : "");
    return false;
}

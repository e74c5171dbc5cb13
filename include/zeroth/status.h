/* What a call can come back with. Every call that can fail returns a zo_status; the longer text, with
 * the file, line, field or value at fault and what to do about it, is zo_last_error(ctx). */
#ifndef ZEROTH_STATUS_H
#define ZEROTH_STATUS_H

#include <zeroth/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The one list of statuses: X(name, text). */
#define ZO_STATUS_MAP(X)                                                                           \
    X(OK, "done")                                                                                  \
    X(CANCELLED, "stopped on request")                                                             \
    X(USAGE, "an argument, option or net spec that is not accepted")                               \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(NOT_FOUND, "a file or data set that is not there")                                           \
    X(FORMAT, "a file that does not hold what it should")                                          \
    X(IO, "reading or writing failed")                                                             \
    X(UNSUPPORTED, "not possible with this combination")                                           \
    X(DIVERGED, "the losses are no longer finite")                                                 \
    X(EXISTS, "something is there already and is not overwritten")                                 \
    X(BUSY, "another process is at work there")                                                    \
    X(CHANGED, "what a run was made with is no longer the same")

/** Result of a call. ZO_OK is 0; test with `if (status)`. */
typedef enum zo_status {
#define ZO_STATUS_ENUM(name, text) ZO_##name,
    ZO_STATUS_MAP(ZO_STATUS_ENUM)
#undef ZO_STATUS_ENUM
} zo_status;

/** The status as one word, such as "FORMAT"; "?" for a value outside the list. Static text. */
ZO_API const char *zo_status_name(zo_status status);

/** The status in a few words; "unknown status" for a value outside the list. Static text. */
ZO_API const char *zo_status_text(zo_status status);

#ifdef __cplusplus
}
#endif
#endif

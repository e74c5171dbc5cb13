/* The version of the library, and the marks every public declaration carries. */
#ifndef ZEROTH_VERSION_H
#define ZEROTH_VERSION_H

/** Changes when programs must change. */
#define ZO_VERSION_MAJOR 0
/** Changes when something is added. */
#define ZO_VERSION_MINOR 1
/** Changes when something is mended. */
#define ZO_VERSION_PATCH 0
/** The version these headers belong to; zo_version() tells the library's. */
#define ZO_VERSION_STRING "0.1.0"

/** Marks what the shared library exports. */
#if defined(__GNUC__)
#define ZO_API __attribute__((visibility("default")))
#else
#define ZO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that is running, "major.minor.patch". Static text. */
ZO_API const char *zo_version(void);

#ifdef __cplusplus
}
#endif
#endif

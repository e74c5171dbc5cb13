/* What the preloaded shims share: the real functions, and which paths they watch. */
#ifndef ZO_TESTS_SHIM_H
#define ZO_TESTS_SHIM_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

/* The next definition of a function, with the type of ours. It is looked up at each call, which costs
 * little beside a file operation and needs no order of constructors. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

typedef struct shim_path {
    char text[PATH_MAX];
} shim_path;

/* The folder a shim watches, with links resolved; "" is none. */
static inline void shim_root(const char *variable, shim_path *root)
{
    const char *name = getenv(variable);
    if (!name || !realpath(name, root->text)) root->text[0] = 0;
}

/* The part of `path` below `root` ("" for the root itself), or NULL. */
static inline const char *shim_below(const shim_path *root, const shim_path *path)
{
    size_t n = strlen(root->text);
    if (!n || strncmp(path->text, root->text, n)) return NULL;
    return path->text[n] == '/' ? path->text + n + 1 : path->text[n] ? NULL : "";
}

/* The present path of an open file. */
static inline bool shim_path_of(int fd, shim_path *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path->text, sizeof path->text - 1);
    if (n >= 0) path->text[n] = 0;
    return n >= 0;
}

/* The absolute path of `path`, seen from the open folder `at`. It need not exist, but its folder must. */
static inline bool shim_resolve(int at, const char *path, shim_path *out)
{
    char whole[2 * PATH_MAX], folder[2 * PATH_MAX];
    shim_path base = {"."};
    if (path[0] != '/' && at != AT_FDCWD && !shim_path_of(at, &base)) return false;
    snprintf(whole, sizeof whole, "%s%s%s", path[0] == '/' ? "" : base.text,
             path[0] == '/' ? "" : "/", path);
    size_t n = strlen(whole);
    while (n > 1 && whole[n - 1] == '/') whole[--n] = 0;
    const char *name = strrchr(whole, '/') + 1;
    if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        return realpath(whole, out->text) != NULL;
    snprintf(folder, sizeof folder, "%.*s", (int)(name - whole), whole);
    if (!realpath(folder, out->text)) return false;
    n = strlen(out->text);
    return (size_t)snprintf(out->text + n, sizeof out->text - n, "%s%s", n == 1 ? "" : "/", name) <
           sizeof out->text - n;
}

#endif

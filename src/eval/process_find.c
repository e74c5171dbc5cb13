#include "eval/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/params.h"

/* 0, or the errno that running the file would give. */
static int fault_of(const char *path)
{
    struct stat st;
    if (stat(path, &st)) return errno;
    if (S_ISDIR(st.st_mode)) return EISDIR;
    return access(path, X_OK) ? errno : 0;
}

/* ---- the nearest name ---- */

/* Names, one behind the other, each with its zero. */
typedef struct name_list {
    zo_buffer names;
    size_t at; /* of name `index` */
    int index;
} name_list;

static void add_programs(name_list *list, const char *folder)
{
    DIR *dir = opendir(*folder ? folder : ".");
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        bool folder_entry = e->d_type == DT_DIR || e->d_name[0] == '.';
        if (!folder_entry && !faccessat(dirfd(dir), e->d_name, X_OK, 0))
            zo_buffer_add(&list->names, e->d_name, strlen(e->d_name) + 1);
    }
    closedir(dir);
}

static const char *name_at(const void *of, int i)
{
    name_list *list = (name_list *)of; /* made by fail_missing() */
    if (i < list->index) list->at = 0, list->index = 0;
    for (; list->index < i && list->at < list->names.size; list->index++)
        list->at += strlen(list->names.data + list->at) + 1;
    return list->at < list->names.size ? list->names.data + list->at : NULL;
}

/* The folders of the host's PATH, one after the other; false past the last. An empty one is the working folder. */
static bool next_folder(const char **path, char *out, size_t room)
{
    while (*path) {
        size_t n = strcspn(*path, ":");
        const char *folder = *path;
        *path = folder[n] ? folder + n + 1 : NULL;
        if (n >= room) continue; /* longer than any path can be */
        memcpy(out, folder, n);
        out[n] = 0;
        return true;
    }
    return false;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : "/bin:/usr/bin";
}

static zo_status fail_missing(const zo_context *ctx, const char *name)
{
    name_list list = {.names = {.ctx = ctx}};
    const char *slash = strrchr(name, '/'), *path = search_path();
    const char *base = slash ? slash + 1 : name;
    char folder[4096];
    int prefix = (int)(base - name);
    if (!slash && !fault_of(name))
        return zo_fail(ctx, ZO_NOT_FOUND, "%s: not in the folders of PATH; did you mean ./%s?",
                       name, name);
    if (slash) {
        snprintf(folder, sizeof folder, "%.*s", prefix, name);
        add_programs(&list, folder);
    }
    while (!slash && next_folder(&path, folder, sizeof folder)) add_programs(&list, folder);
    const char *near = zo_nearest(base, name_at, &list);
    zo_status status = near ? zo_fail(ctx, ZO_NOT_FOUND, "%s: no such program; did you mean %.*s%s?",
                                      name, prefix, name, near)
                            : zo_fail(ctx, ZO_NOT_FOUND, "%s: no such program%s", name,
                                      slash ? "" : " in the folders of PATH");
    zo_buffer_free(&list.names);
    return status;
}

/* ---- the program ---- */

static zo_status fail_fault(const zo_context *ctx, const char *path, int fault)
{
    char text[128];
    if (fault == EISDIR)
        return zo_fail(ctx, ZO_NOT_FOUND, "%s: a folder, where a program is expected", path);
    if (fault == EACCES)
        return zo_fail(ctx, ZO_NOT_FOUND, "%s: it may not be executed; try chmod +x %s", path, path);
    return zo_fail(ctx, ZO_NOT_FOUND, "%s: cannot be executed: %s", path,
                   strerror_r(fault, text, sizeof text));
}

/* Kept absolute: the host may change its folder before a child starts. */
static zo_status keep(const zo_context *ctx, const char *path, char **out)
{
    char folder[4096];
    if (*path == '/') {
        *out = zo_strdup(ctx, path);
    } else {
        if (!getcwd(folder, sizeof folder)) return fail_fault(ctx, path, errno);
        *out = zo_path_join(ctx, folder, path);
    }
    return *out ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_program_find(const zo_context *ctx, const char *name, char **path)
{
    *path = NULL;
    if (!*name) return zo_fail(ctx, ZO_USAGE, "the name of the program is empty");
    if (strchr(name, '/')) {
        int fault = fault_of(name);
        if (fault == ENOENT) return fail_missing(ctx, name);
        return fault ? fail_fault(ctx, name, fault) : keep(ctx, name, path);
    }
    char folder[4096], file[8192], blocked[8192] = "";
    for (const char *at = search_path(); next_folder(&at, folder, sizeof folder);) {
        snprintf(file, sizeof file, "%s/%s", *folder ? folder : ".", name);
        int fault = fault_of(file);
        if (!fault) return keep(ctx, file, path);
        if (fault == EACCES && !*blocked) snprintf(blocked, sizeof blocked, "%s", file);
    }
    return *blocked ? fail_fault(ctx, blocked, EACCES) : fail_missing(ctx, name);
}

#include "task/folder.h"

#include <stdio.h>
#include <string.h>
#include <zeroth/task.h>

/* How many of a set's files a folder holds; `missing` is the path of the first that it does not. */
static int count_files(const zo_file_set *set, const char *folder, char missing[PATH_MAX])
{
    char path[PATH_MAX];
    int n = 0;
    for (int i = 0; i < set->files; i++) {
        bool there = set->locate(set, folder, i, path);
        if (!there && n == i) memcpy(missing, path, sizeof path);
        n += there;
    }
    return n;
}

/* Whether the last part of a path is `name`. */
static bool is_called(const char *path, size_t length, const char *name)
{
    size_t n = strlen(name);
    return length >= n && !strncmp(path + length - n, name, n) &&
           (length == n || path[length - n - 1] == '/');
}

/* The folders to look in, best first; false past the last. A folder called as the other set is not
 * taken for this one. */
static bool candidate(const zo_file_set *set, const char *data, int i, char folder[PATH_MAX])
{
    const char *parent = data ? data : ZO_DATA_FOLDER;
    size_t length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/') length--;
    int names = 0;
    while (names < ZO_FOLDER_NAMES && set->folder[names]) names++;
    if (i < names) {
        snprintf(folder, PATH_MAX, "%.*s/%s", (int)length, parent, set->folder[i]);
        return true;
    }
    if (i > names || !data || (set->other && is_called(data, length, set->other))) return false;
    snprintf(folder, PATH_MAX, "%.*s", (int)length, data);
    return true;
}

zo_status zo_file_set_find(const zo_context *ctx, const zo_file_set *set, const char *data,
                           char folder[PATH_MAX])
{
    char looked[512] = "", path[PATH_MAX], missing[PATH_MAX] = "";
    for (int i = 0; candidate(set, data, i, folder); i++) {
        int n = count_files(set, folder, path);
        if (n == set->files) return ZO_OK;
        if (n && !missing[0]) memcpy(missing, path, sizeof path);
        size_t used = strlen(looked);
        snprintf(looked + used, sizeof looked - used, "%s%.160s", used ? ", " : "", folder);
    }
    if (missing[0])
        return zo_fail(ctx, ZO_NOT_FOUND, "%s is missing beside the other files of %s: %s", missing,
                       set->name, set->remedy);
    return zo_fail(ctx, ZO_NOT_FOUND, "%s is not there (looked in %s): %s", set->name, looked,
                   set->remedy);
}

#include "base/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PATH_ROOM = 4096, LINE_ROOM = 4352 };

/* What the kernel calls the numbers of a memory group. */
typedef struct names {
    const char *folder, *limit, *taken, *idle;
} names;

static const names version2 = {"", "memory.max", "memory.current", "inactive_file"},
                   version1 = {"/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                               "total_inactive_file"};

/* The number that a file holds, or in it the one behind `key`; -1 if there is none. */
static int64_t number_of(const char *path, const char *key)
{
    char line[LINE_ROOM];
    long long value = -1;
    size_t n = key ? strlen(key) : 0;
    FILE *f = fopen(path, "re");
    while (f && value < 0 && fgets(line, sizeof line, f)) {
        bool here = !key || (!strncmp(line, key, n) && strchr(" :", line[n]));
        if (!here || sscanf(line + n, key && line[n] == ':' ? ":%lld" : "%lld", &value) != 1)
            value = -1;
        if (!key) break;
    }
    if (f) fclose(f);
    return value;
}

static int64_t number_in(const char *folder, const char *name, const char *key)
{
    char path[LINE_ROOM];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length < (int)sizeof path ? number_of(path, key) : -1;
}

/* What one group leaves; INT64_MAX where it has no limit. */
static int64_t left_of_group(const char *folder, const names *n)
{
    int64_t limit = number_in(folder, n->limit, NULL), taken = number_in(folder, n->taken, NULL),
            idle = number_in(folder, "memory.stat", n->idle);
    if (limit < 0 || taken < 0) return INT64_MAX;
    if (idle > 0) taken -= idle < taken ? idle : taken;
    return limit > taken ? limit - taken : 0;
}

/* The least of a group and all that it lies in. Inside a container the own group may be shown as the root, whatever it is called outside. */
static int64_t left_of(const char *groups, const names *n, const char *group)
{
    char folder[PATH_ROOM];
    int length = snprintf(folder, sizeof folder, "%s%s%s", groups, n->folder, group);
    size_t root = strlen(groups) + strlen(n->folder);
    int64_t least = INT64_MAX;
    if (length >= (int)sizeof folder) folder[root] = 0;
    for (;;) {
        int64_t left = left_of_group(folder, n);
        if (left < least) least = left;
        char *slash = strrchr(folder, '/');
        if (!folder[root] || !slash) return least;
        *(slash - folder < (long)root ? folder + root : slash) = 0;
    }
}

/* Of a line of /proc/self/cgroup, "0::/group" or "9:cpu,memory:/group". */
static int64_t left_of_line(const char *groups, char *line)
{
    line[strcspn(line, "\n")] = 0;
    char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
    if (!group) return INT64_MAX;
    *group++ = 0;
    if (!kinds[1]) return left_of(groups, &version2, group);
    char *rest;
    for (char *kind = strtok_r(kinds + 1, ",", &rest); kind; kind = strtok_r(NULL, ",", &rest))
        if (!strcmp(kind, "memory")) return left_of(groups, &version1, group);
    return INT64_MAX;
}

int64_t zo_memory_available_of(const char *proc, const char *groups)
{
    char path[PATH_ROOM], line[LINE_ROOM];
    snprintf(path, sizeof path, "%s/meminfo", proc);
    int64_t available = number_of(path, "MemAvailable"), least = INT64_MAX;
    if (available >= 0 && available < INT64_MAX / 1024) least = available * 1024;
    snprintf(path, sizeof path, "%s/self/cgroup", proc);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        int64_t left = left_of_line(groups, line);
        if (left < least) least = left;
    }
    if (f) fclose(f);
    return least == INT64_MAX ? 0 : least > 0 ? least : 1;
}

int64_t zo_memory_available(void) { return zo_memory_available_of("/proc", "/sys/fs/cgroup"); }

/* Where the files of a data set lie: in a folder of its name below the data folder, or in the data folder itself. */
#ifndef ZO_TASK_FOLDER_H
#define ZO_TASK_FOLDER_H

#include <limits.h>

#include "base/context.h"

enum { ZO_FOLDER_NAMES = 3 };

typedef struct zo_file_set zo_file_set;
struct zo_file_set {
    const char *name;
    const char *remedy;                  /* what has the files, and what to do with them */
    const char *folder[ZO_FOLDER_NAMES]; /* what its folder may be called, best first; NULL: no more */
    const char *other; /* the folder of another set, whose files have the same names; or NULL */
    int files;
    /* The path of file i in a folder. Where it is not there: false, and `path` is where it should be. */
    bool (*locate)(const zo_file_set *set, const char *folder, int i, char path[PATH_MAX]);
};

/* The first folder that holds all files: in `data`, or with NULL in ZO_DATA_FOLDER. Errors: NOT_FOUND (the file that is missing beside
 * others, or where it looked; and the remedy). */
zo_status zo_file_set_find(const zo_context *ctx, const zo_file_set *set, const char *data,
                           char folder[PATH_MAX]);

#endif

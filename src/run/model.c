/* Networks from whatever holds one. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/files.h"
#include "nn/net.h"
#include "run/journal.h"
#include "run/seeds.h"

zo_status zo_model_load(zo_context *ctx, const char *path, zo_net **out)
{
    struct stat st;
    *out = NULL;
    if (!path) return zo_fail(ctx, ZO_USAGE, "no model is named");
    if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
        char *inside = zo_path_join(ctx, path, "model.safetensors");
        zo_status status = inside ? zo_net_load(ctx, inside, out) : ZO_NO_MEMORY;
        zo_free(ctx, inside);
        return status;
    }
    return zo_seeds_there(path) ? zo_seeds_load(ctx, path, out) : zo_net_load(ctx, path, out);
}

bool zo_run_busy(const char *run)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/journal", run ? run : "");
    return n > 0 && (size_t)n < sizeof path && zo_append_busy(path);
}

bool zo_run_lacks_end(zo_context *ctx, const char *run)
{
    if (!ctx || !run) return false;
    zo_journal journal = {.fd = -1, .file.fd = -1};
    zo_survey survey = {0};
    char *path = zo_path_join(ctx, run, "journal");
    bool read = path && !zo_journal_read(&journal, ctx, path) &&
                !zo_journal_survey(&journal, &survey) && survey.recipe.size > 0;
    zo_journal_close(&journal);
    zo_buffer_free(&survey.recipe);
    zo_free(ctx, path);
    return read && !survey.ended;
}

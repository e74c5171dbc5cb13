/* pcanet: two stages of PCA filters, signs hashed to codes, histograms of blocks, and one linear solve for a sketch of them. */
#include <stdio.h>

#include "learn/closed.h"

static const zo_param params[] = {
    ZO_CLOSED_ROWS,
    ZO_CLOSED_SKETCH_ROW(8192),
    ZO_PARAM_INT_ROW(zo_closed_settings, maps, 8, 1, 64,
                     "filters of the first stage of the net, where none is given"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, filters, ZO_CLOSED_PCA, "patches|random|pca",
                        "of conv layers: whitened patches of training images, or as drawn, or, of "
                        "eachconv layers too, leading eigenvectors of patches"),
    ZO_PARAM_REAL_ROW(zo_closed_settings, whiten, 0.05, 1e-6, 1e3,
                      "filters=patches: added to the variances of patches before whitening"),
    ZO_PARAM_END,
};

static zo_status init(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net)
{
    return zo_closed_init(state, ctx, def, method, net, &zo_trainer_pcanet.info);
}

/* Windows and blocks that fit the image; of 28 x 28: filters of 7 x 7, 8 x 8 blocks of 7 x 7 that overlap by half. */
static zo_status spec(const zo_task *task, const char *const *settings, char *out, size_t room)
{
    zo_closed_settings set;
    zo_status status = zo_closed_settings_read(task->ctx, &zo_trainer_pcanet.info, settings, &set);
    int side = task->height < task->width ? task->height : task->width;
    if (status) return status;
    if (task->height < 1)
        return zo_fail(task->ctx, ZO_USAGE,
                       "pcanet is for images, the task \"%s\" has none: use elm", task->name);
    if (side < 4)
        return zo_fail(task->ctx, ZO_USAGE,
                       "pcanet needs images of 4 x 4 pixels or more, those of \"%s\" are %d x %d",
                       task->name, task->height, task->width);
    int window = side >= 20 ? 7 : side >= 10 ? 5 : 3, block = side / 4 > 4 ? side / 4 : 4;
    snprintf(out, room,
             "conv%dx%lld,same,nobias eachconv%dx8,same hashhist%dx8,stride%d sqrt dense%d", window,
             (long long)set.maps, window, block, block / 2, task->outputs);
    return status;
}

const zo_trainer_class zo_trainer_pcanet = {
    .info = {"pcanet",
             "closed form for images: two stages of PCA filters, their signs hashed, histograms of "
             "blocks; the last layer is solved for by least squares on a sketch; no derivative "
             "through layers",
             "Chan et al. 2015, arXiv 1404.3606", ZO_USES_LOSS_DERIVATIVE, params},
    ZO_CLOSED_OPERATIONS,
    .init = init,
    .spec = spec,
};

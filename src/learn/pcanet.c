/* pcanet: two stages of PCA filters, signs hashed to codes, histograms of blocks, their principal components beside random units on them, and one linear
 * solve. */
#include <stdio.h>

#include "learn/closed_ensemble.h"

static const zo_param params[] = {
    ZO_CLOSED_ROWS,
    ZO_CLOSED_SKETCH_ROW(0),
    ZO_PARAM_INT_ROW(zo_closed_settings, maps, 8, 1, 64,
                     "the net, where none is given: filters of the first stage"),
    ZO_PARAM_INT_ROW(zo_closed_settings, components, 20, 0, 32,
                     "of that net: principal components that stand for the 256 counts of a "
                     "histogram; 0: the counts (then set sketch too)"),
    ZO_PARAM_INT_ROW(zo_closed_settings, units, 10000, 0, 1000000,
                     "of that net: random units beside them, those of a convolution over the "
                     "blocks; 0: none"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, filters, ZO_CLOSED_PCA, "patches|kmeans|pca|random",
                        "of conv layers: whitened patches of training images, or the centres of "
                        "k-means on them, or, of eachconv layers too, leading eigenvectors of "
                        "patches, or as drawn"),
    ZO_PARAM_REAL_ROW(
        zo_closed_settings, whiten, 0.05, 1e-6, 1e3,
        "filters=patches and kmeans: added to the variances of patches before whitening"),
    ZO_PARAM_END,
};

static zo_status init(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net)
{
    return zo_closed_ensemble_init(state, ctx, def, method, net, &zo_trainer_pcanet.info);
}

/* Windows and blocks that fit the image; of 28 x 28: filters of 7 x 7, 6 x 6 blocks of 7 x 7 that overlap by three pixels. */
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
    int window = side >= 20   ? 7
                 : side >= 10 ? 5
                              : 3,
        block = side / 4 > 4 ? side / 4 : 4, stride = (block + 1) / 2;
    int n =
        snprintf(out, room, "conv%dx%lld,same,nobias eachconv%dx8,same hashhist%dx8,stride%d sqrt ",
                 window, (long long)set.maps, window, block, stride);
    if (set.components)
        n += snprintf(out + n, room - (size_t)n, "eachdense256x%lld ", (long long)set.components);
    if (set.units) {
        n += snprintf(out + n, room - (size_t)n, "flatten scale ");
        n += zo_closed_unit_words(set.units, (task->height - block) / stride + 1,
                                  (task->width - block) / stride + 1, false, out + n,
                                  room - (size_t)n);
    }
    snprintf(out + n, room - (size_t)n, "%sdense%d", set.units ? " " : "", task->outputs);
    return ZO_OK;
}

const zo_trainer_class zo_trainer_pcanet = {
    .info = {"pcanet",
             "closed form for images: two stages of PCA filters, their signs hashed, histograms of "
             "blocks, random units on them; the last layer is solved for by least squares; no "
             "derivative through layers",
             "Chan et al. 2015, arXiv 1404.3606", ZO_USES_LOSS_DERIVATIVE, params},
    ZO_CLOSED_OPERATIONS,
    .init = init,
    .spec = spec,
};

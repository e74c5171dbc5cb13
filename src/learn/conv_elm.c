/* conv-elm: fixed filters of whitened patches, pooled, beside random units on them, and one linear solve. */
#include <stdio.h>

#include "learn/closed.h"

static const zo_param params[] = {
    ZO_CLOSED_ROWS,
    ZO_CLOSED_SKETCH_ROW(0),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, preset, ZO_CLOSED_FAST, "fast|best",
                        "the net, where none is given: 100 filters and 4,000 units, or 150 and "
                        "10,000"),
    ZO_PARAM_INT_ROW(zo_closed_settings, units, 0, 0, 1000000,
                     "units of that net instead; 0: as preset says"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, filters, ZO_CLOSED_PATCHES, "patches|random|pca",
                        "of conv and patch layers: whitened patches of training images, or as "
                        "drawn; pca: leading eigenvectors of patches, of conv and eachconv"),
    ZO_PARAM_REAL_ROW(zo_closed_settings, whiten, 0.05, 1e-6, 1e3,
                      "added to the variances of patches before whitening"),
    ZO_PARAM_END,
};

static zo_status init(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net)
{
    return zo_closed_init(state, ctx, def, method, net, &zo_trainer_conv_elm.info);
}

/* Windows and cells that fit the image; of 28 x 28: patch7 and pad 2, cells of 6 or so pixels. */
static zo_status spec(const zo_task *task, const char *const *settings, char *out, size_t room)
{
    zo_closed_settings set;
    zo_status status = zo_closed_settings_read(task->ctx, &zo_trainer_conv_elm.info, settings, &set);
    int side = task->height < task->width ? task->height : task->width;
    if (!status && side < 2)
        return zo_fail(task->ctx, ZO_USAGE,
                       "conv-elm is for images, the task \"%s\" has none: use elm", task->name);
    int window = side >= 20   ? 7
                 : side >= 10 ? 5
                 : side >= 3  ? 3
                              : 2,
        pad = (window - 1) / 3, filters = set.preset == ZO_CLOSED_BEST ? 150 : 100,
        cells = side + 2 * pad - window + 1 < 4 ? 1 : 4;
    int64_t units = set.units ? set.units : set.preset == ZO_CLOSED_BEST ? 10000 : 4000;
    char padding[16] = "";
    if (pad) snprintf(padding, sizeof padding, ",pad%d", pad);
    if (!status)
        snprintf(out, room,
                 "patch%dx%d%s twosided0.25 cells%d sqrt flatten scale { dense%lld relu }cat "
                 "dense%d",
                 window, filters, padding, cells, (long long)units, task->outputs);
    return status;
}

const zo_trainer_class zo_trainer_conv_elm = {
    .info = {"conv-elm",
             "closed form for images: whitened patches as filters and random units stay fixed, "
             "the last layer is solved for by least squares; no derivative through layers",
             "McDonnell & Vladusich 2015, arXiv 1503.04596; Coates & Ng 2011",
             ZO_USES_LOSS_DERIVATIVE, params},
    ZO_CLOSED_OPERATIONS,
    .init = init,
    .spec = spec,
};

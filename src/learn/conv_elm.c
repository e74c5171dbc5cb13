/* conv-elm: fixed filters from whitened patches, pooled, beside random units on them, and one linear solve. */
#include <stdio.h>

#include "learn/closed_ensemble.h"

enum { FIRST_FILTERS = 8 };

static const zo_param params[] = {
    ZO_CLOSED_ROWS,
    ZO_CLOSED_SKETCH_ROW(0),
    ZO_PARAM_CHOICE_ROW(
        zo_closed_settings, preset, ZO_CLOSED_FAST, "fast|best",
        "the net, where none is given: 64 filters in 4 x 4 cells and 6,000 units, or 100 in "
        "5 x 5 and 8,000"),
    ZO_PARAM_INT_ROW(zo_closed_settings, units, 0, 0, 1000000,
                     "units of that net instead; 0: as preset says"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, filters, ZO_CLOSED_KMEANS, "patches|kmeans|pca|random",
                        "of conv and patch layers: whitened patches of training images, centres of "
                        "their clusters, leading directions of their covariance, or as drawn"),
    ZO_PARAM_INT_ROW(
        zo_closed_settings, stages, 1, 1, 2,
        "of filters in that net; two: 8 filters on patches, the others on what these give"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, pooling, ZO_CLOSED_MEAN, "mean|max",
                        "of that net: the mean or the largest of each cell"),
    ZO_PARAM_CHOICE_ROW(zo_closed_settings, weights, ZO_CLOSED_NORMAL, "normal|class|class-sums",
                        "units on features: normal numbers, differences of the features of "
                        "examples of two classes, sums of those of one with random signs"),
    ZO_PARAM_REAL_ROW(zo_closed_settings, whiten, 0.05, 1e-6, 1e3,
                      "added to the variances of patches before whitening"),
    ZO_PARAM_END,
};

/* Of the default net: filters, cells along a side, units; units see all cells but one line and one column, as their weights serve all such parts. */
typedef struct preset {
    int filters, cells, units;
} preset;
static const preset presets[] = {
    [ZO_CLOSED_FAST] = {64, 4, 6000},
    [ZO_CLOSED_BEST] = {150, 4, 10000},
};

static zo_status init(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net)
{
    return zo_closed_ensemble_init(state, ctx, def, method, net, &zo_trainer_conv_elm.info);
}

/* Windows and cells that fit an image of `side`; of 28 x 28: patch7 and pad 2, cells of 6 or so pixels. */
static int window_of(int side) { return side >= 20 ? 7 : side >= 10 ? 5 : side >= 3 ? 3 : 2; }
static int pad_of(int side) { return (window_of(side) - 1) / 3; }
static int outputs_of(int side) { return side + 2 * pad_of(side) - window_of(side) + 1; }

/* Filters on patches of the image; or on those of a few filters, whose contrast says something and stays. */
static int filter_words(int side, int64_t stages, int filters, char *out, size_t room)
{
    char padding[16] = "";
    if (pad_of(side)) snprintf(padding, sizeof padding, ",pad%d", pad_of(side));
    int n = snprintf(out, room, "patch%dx%d%s twosided0.25 ", window_of(side),
                     stages == 2 ? FIRST_FILTERS : filters, padding);
    if (stages < 2) return n;
    return n + snprintf(out + n, room - (size_t)n, "conv3x%d,same twosided0.25 ", filters);
}

static zo_status spec(const zo_task *task, const char *const *settings, char *out, size_t room)
{
    zo_closed_settings set;
    zo_status status = zo_closed_settings_read(task->ctx, &zo_trainer_conv_elm.info, settings, &set);
    int side = task->height < task->width ? task->height : task->width;
    if (!status && side < 2)
        return zo_fail(task->ctx, ZO_USAGE,
                       "conv-elm is for images, the task \"%s\" has none: use elm", task->name);
    if (!status && set.stages == 2 && outputs_of(side) < 3)
        return zo_fail(
            task->ctx, ZO_USAGE,
            "conv-elm: stages=2 is for images of 5 x 5 and more, those of \"%s\" are %d x "
            "%d: use stages=1",
            task->name, task->height, task->width);
    if (status) return status;
    const preset *p = presets + set.preset;
    int cells = outputs_of(side) < 2 * p->cells ? 1 : p->cells;
    int n = filter_words(side, set.stages, p->filters, out, room);
    n += snprintf(out + n, room - (size_t)n, "cells%d%s sqrt flatten scale ", cells,
                  set.pooling == ZO_CLOSED_MAX ? ",max" : "");
    n += zo_closed_unit_words(set.units ? set.units : p->units, cells, cells,
                              set.weights != ZO_CLOSED_NORMAL, out + n, room - (size_t)n);
    snprintf(out + n, room - (size_t)n, " dense%d", task->outputs);
    return ZO_OK;
}

const zo_trainer_class zo_trainer_conv_elm = {
    .info = {"conv-elm",
             "closed form for images: filters from whitened patches and random units stay fixed, "
             "the last layer is solved for by least squares; no derivative through layers",
             "McDonnell & Vladusich 2015, arXiv 1503.04596; Coates & Ng 2011",
             ZO_USES_LOSS_DERIVATIVE, params},
    ZO_CLOSED_OPERATIONS,
    .init = init,
    .spec = spec,
};

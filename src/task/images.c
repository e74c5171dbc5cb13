/* Images in four IDX files: MNIST (LeCun et al. 1998), Fashion-MNIST (Xiao et al. 2017), and any
 * other set in their layout. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "task/encoder.h"
#include "task/folder.h"
#include "task/idx.h"
#include "task/task.h"

#define NAMES 10        /* classes of the sets known by name */
#define CLASSES_MAX 256 /* a label is a byte */

typedef struct settings {
    double validation;
} settings;

typedef struct image_set {
    zo_file_set files;
    const char *class_name[NAMES]; /* none: the numbers 0, 1, ... up to the highest label */
} image_set;

static bool name_file(const char *folder, const char *part, int rank, int spelling,
                      char path[PATH_MAX])
{
    const char *kind = rank == ZO_IDX_IMAGES ? "images" : "labels";
    return snprintf(path, PATH_MAX, "%s/%s-%s%cidx%d-ubyte%s", folder, part, kind,
                    spelling < 2 ? '-' : '.', rank, spelling % 2 ? "" : ".gz") < PATH_MAX;
}

/* Finds the file of a part ("train") and rank, plain or gzip, in either of the spellings in use:
 * train-images-idx3-ubyte, train-images.idx3-ubyte. If there is none, `path` is where it should be. */
static bool find_file(const char *folder, const char *part, int rank, char path[PATH_MAX])
{
    for (int i = 0; i < 4; i++) {
        if (name_file(folder, part, rank, i, path) && !access(path, F_OK)) return true;
    }
    name_file(folder, part, rank, 0, path);
    return false;
}

static const struct {
    const char *part;
    int rank;
} files[] = {
    {"train", ZO_IDX_IMAGES},
    {"train", ZO_IDX_LABELS},
    {"t10k", ZO_IDX_IMAGES},
    {"t10k", ZO_IDX_LABELS},
};
enum { FILES = sizeof files / sizeof *files };

static bool locate(const zo_file_set *set, const char *folder, int i, char path[PATH_MAX])
{
    (void)set;
    return find_file(folder, files[i].part, files[i].rank, path);
}

static const image_set mnist = {
    .files = {.name = "mnist",
              .remedy = "no Debian package has it: download its four IDX files and name their "
                        "folder by --data DIR or ZEROTH_DATA",
              .folder = {"mnist"},
              .other = "fashion-mnist",
              .files = FILES,
              .locate = locate},
    .class_name = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
};

static const image_set fashion = {
    .files = {.name = "fashion-mnist",
              .remedy = "install the Debian package dataset-fashion-mnist, or name the folder that "
                        "holds the four IDX files by --data DIR or ZEROTH_DATA",
              .folder = {"fashion-mnist"},
              .other = "mnist",
              .files = FILES,
              .locate = locate},
    .class_name = {"t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                   "sneaker", "bag", "ankle boot"},
};

static const image_set own = {
    .files = {.name = "images",
              .remedy = "name the folder that holds train-images-idx3-ubyte, "
                        "train-labels-idx1-ubyte and the same two of t10k, plain or .gz, by --data "
                        "DIR",
              .folder = {"images"},
              .files = FILES,
              .locate = locate},
};

static zo_status find_set(const zo_context *ctx, const image_set *set, const char *data,
                          char folder[PATH_MAX])
{
    if (!data && set == &own)
        return zo_fail(ctx, ZO_USAGE, "%s needs a folder: %s", set->files.name, set->files.remedy);
    return zo_file_set_find(ctx, &set->files, data, folder);
}

static zo_status read_one(const zo_context *ctx, const char *folder, const char *part, int rank,
                          char path[PATH_MAX], zo_idx *out)
{
    find_file(folder, part, rank, path);
    return zo_idx_read(ctx, path, rank, out);
}

/* Labels as int32, all below `classes`. */
static zo_status take_labels(const zo_context *ctx, const char *path, const zo_idx *labels,
                             int classes, int32_t **out)
{
    *out = zo_alloc(ctx, (size_t)labels->n * sizeof **out);
    if (!*out) return ZO_NO_MEMORY;
    for (int64_t i = 0; i < labels->n; i++) {
        (*out)[i] = labels->data[i];
        if (labels->data[i] >= classes)
            return zo_fail(ctx, ZO_FORMAT,
                           "%s: label %lld of %lld is %d, where 0 to %d are expected: download the "
                           "file again",
                           path, (long long)i + 1, (long long)labels->n, labels->data[i],
                           classes - 1);
    }
    return ZO_OK;
}

static zo_status read_part(const zo_context *ctx, const image_set *set, const char *folder,
                           const char *part, zo_idx *images, int32_t **label)
{
    char images_path[PATH_MAX], labels_path[PATH_MAX];
    zo_idx labels = {0};
    zo_status status = read_one(ctx, folder, part, ZO_IDX_IMAGES, images_path, images);
    if (!status) status = read_one(ctx, folder, part, ZO_IDX_LABELS, labels_path, &labels);
    if (!status && images->n != labels.n)
        status = zo_fail(ctx, ZO_FORMAT,
                         "%s holds %lld images, but %s holds %lld labels: download both again",
                         images_path, (long long)images->n, labels_path, (long long)labels.n);
    if (!status)
        status =
            take_labels(ctx, labels_path, &labels, set->class_name[0] ? NAMES : CLASSES_MAX, label);
    zo_free(ctx, labels.data);
    return status;
}

static const char *class_name(const void *set, int i)
{
    return ((const image_set *)set)->class_name[i];
}

static const char *number_name(const void *numbers, int i)
{
    return ((const char(*)[4])numbers)[i];
}

/* Classes by name, or as many numbers as the highest label of the training part asks for. */
static zo_status name_classes(const zo_context *ctx, const image_set *set, zo_raw *raw)
{
    char numbers[CLASSES_MAX][4];
    int classes = set->class_name[0] ? NAMES : 2;
    for (unsigned i = 0; i < CLASSES_MAX; i++)
        snprintf(numbers[i], sizeof numbers[i], "%u", i & 255u);
    for (int64_t i = 0; i < raw->n; i++) {
        if (raw->label[i] >= classes) classes = raw->label[i] + 1;
    }
    for (int64_t i = 0; i < raw->n_test; i++) {
        if (raw->label_test[i] >= classes)
            return zo_fail(
                ctx,
                ZO_FORMAT, "the test labels have class %d, which no training image has: the files do not belong together",
                raw->label_test[i]);
    }
    raw->classes = classes;
    raw->class_name = set->class_name[0] ? zo_names(ctx, classes, class_name, set)
                                         : zo_names(ctx, classes, number_name, numbers);
    return raw->class_name ? ZO_OK : ZO_NO_MEMORY;
}

static zo_status load_set(const zo_context *ctx, const image_set *set, const char *data, zo_raw *raw)
{
    char folder[PATH_MAX];
    zo_idx train = {0}, test = {0};
    zo_status status = find_set(ctx, set, data, folder);
    if (!status) status = read_part(ctx, set, folder, "train", &train, &raw->label);
    raw->pixels = train.data;
    if (!status) status = read_part(ctx, set, folder, "t10k", &test, &raw->label_test);
    raw->pixels_test = test.data;
    if (!status && (train.height != test.height || train.width != test.width))
        status =
            zo_fail(ctx, ZO_FORMAT,
                    "%s: training images have %d x %d pixels and test images %d x %d: the files do "
                    "not belong together",
                    folder, train.height, train.width, test.height, test.width);
    if (status) return status;
    raw->inputs = train.inputs;
    raw->height = train.height;
    raw->width = train.width;
    raw->channels = 1;
    raw->n = train.n;
    raw->n_test = test.n;
    raw->one_scale = true;
    raw->net = "dense128 relu dense128 relu";
    status = name_classes(ctx, set, raw);
    if (status) return status;
    return zo_encoder_images(ctx, train.inputs, raw->classes, raw->class_name, NULL, &raw->encoder);
}

static zo_status load_mnist(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    (void)values;
    return load_set(ctx, &mnist, def->data, raw);
}

static zo_status load_fashion(zo_context *ctx, const zo_task_def *def, const void *values,
                              zo_raw *raw)
{
    (void)values;
    return load_set(ctx, &fashion, def->data, raw);
}

static zo_status load_own(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    (void)values;
    return load_set(ctx, &own, def->data, raw);
}

static zo_status find_mnist(const zo_context *ctx, const char *data, char folder[PATH_MAX])
{
    return find_set(ctx, &mnist, data, folder);
}

static zo_status find_fashion(const zo_context *ctx, const char *data, char folder[PATH_MAX])
{
    return find_set(ctx, &fashion, data, folder);
}

static zo_status find_own(const zo_context *ctx, const char *data, char folder[PATH_MAX])
{
    return find_set(ctx, &own, data, folder);
}

static const zo_param params[] = {
    ZO_VALIDATION_ROW(settings),
    ZO_PARAM_END,
};

const zo_task_class zo_task_mnist = {
    .info = {"mnist", "handwritten digits: 60,000 and 10,000 images of 28 x 28, 10 classes",
             "LeCun, Bottou, Bengio & Haffner 1998", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .load = load_mnist,
    .find = find_mnist,
};

const zo_task_class zo_task_fashion_mnist = {
    .info = {"fashion-mnist", "clothes: 60,000 and 10,000 images of 28 x 28, 10 classes",
             "Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .load = load_fashion,
    .find = find_fashion,
};

const zo_task_class zo_task_images = {
    .info = {"images",
             "your own images: a folder of four IDX files named like MNIST's, any size, "
             "up to 256 classes",
             "", ZO_USES_NOTHING, params},
    .settings_size = sizeof(settings),
    .load = load_own,
    .find = find_own,
};

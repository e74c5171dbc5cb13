/* CIFAR-10 and CIFAR-100 in their binary files. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "task/cifar.h"
#include "task/csv.h"
#include "task/encoder.h"
#include "task/folder.h"
#include "task/task.h"

#define NAMES_MOST ((size_t)1 << 16) /* bytes of a file of class names */

enum { CLASSES_MOST = 100, FILES_MOST = 6 };

typedef struct settings {
    double validation;
    int labels;
} settings;

typedef struct cifar_set {
    zo_file_set files;
    const char *file[FILES_MOST]; /* the last one is the test set */
    zo_cifar_layout layout;
    const char *names[ZO_CIFAR_LABELS]; /* the files of class names */
} cifar_set;

/* Plain, or gzip with .gz behind its name. */
static bool locate(const zo_file_set *set, const char *folder, int i, char path[PATH_MAX])
{
    const char *name = ((const cifar_set *)set)->file[i];
    for (int gzip = 1; gzip >= 0; gzip--) {
        int n = snprintf(path, PATH_MAX, "%s/%s%s", folder, name, gzip ? ".gz" : "");
        if (n < PATH_MAX && !access(path, F_OK)) return true;
    }
    return false;
}

static const cifar_set cifar10 = {
    .files = {.name = "cifar10",
              .remedy = "no Debian package has it: unpack cifar-10-binary.tar.gz (\"CIFAR-10 "
                        "binary version\") and name the folder of data_batch_1.bin by --data DIR "
                        "or ZEROTH_DATA",
              .folder = {"cifar10", "cifar-10-batches-bin"},
              .files = 6,
              .locate = locate},
    .file = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin", "test_batch.bin"},
    .layout = {.labels = 1, .classes = {10}},
    .names = {"batches.meta.txt"},
};

static const cifar_set cifar100 = {
    .files = {.name = "cifar100",
              .remedy = "no Debian package has it: unpack cifar-100-binary.tar.gz (\"CIFAR-100 "
                        "binary version\") and name the folder of train.bin by --data DIR or "
                        "ZEROTH_DATA",
              .folder = {"cifar100", "cifar-100-binary"},
              .files = 2,
              .locate = locate},
    .file = {"train.bin", "test.bin"},
    .layout = {.labels = 2, .classes = {20, 100}},
    .names = {"coarse_label_names.txt", "fine_label_names.txt"},
};

/* ---- class names ---- */

/* Puts the lines that are not empty into name[], cutting `text` up, and counts them all. */
static int list_lines(char *text, char *name[CLASSES_MOST])
{
    int n = 0;
    for (char *at = text; *at;) {
        size_t length = strcspn(at, "\r\n");
        bool last = !at[length];
        at[length] = 0;
        if (length && n < CLASSES_MOST) name[n] = at;
        n += length > 0;
        at += length + !last;
    }
    return n;
}

static const char *name_at(const void *names, int i) { return ((char *const *)names)[i]; }

static zo_status read_names(const zo_context *ctx, const char *path, int classes, char ***out)
{
    char *text, *name[CLASSES_MOST];
    size_t size;
    zo_status status = zo_file_read(ctx, path, NAMES_MOST, &text, &size);
    if (status) return status;
    bool readable = strlen(text) == size && zo_utf8_prefix(text, size) == size;
    int n = readable ? list_lines(text, name) : 0;
    if (!readable)
        status =
            zo_fail(ctx, ZO_FORMAT, "%s: is no UTF-8 text of class names: download it again", path);
    else if (n != classes)
        status = zo_fail(ctx, ZO_FORMAT,
                         "%s: names %d classes, where %d are expected, one a line: download it "
                         "again",
                         path, n, classes);
    else
        *out = zo_names(ctx, classes, name_at, name);
    zo_free(ctx, text);
    return status || *out ? status : ZO_NO_MEMORY;
}

static const char *number_name(const void *room, int i)
{
    snprintf((char *)room, 16, "%d", i);
    return room;
}

/* From the file that names them; where there is none, their numbers. */
static zo_status name_classes(const zo_context *ctx, const cifar_set *set, const char *folder,
                              const zo_cifar_layout *layout, zo_raw *raw)
{
    char path[PATH_MAX], number[16];
    raw->classes = layout->classes[layout->answer];
    int n = snprintf(path, sizeof path, "%s/%s", folder, set->names[layout->answer]);
    if (n < PATH_MAX && !access(path, F_OK))
        return read_names(ctx, path, raw->classes, &raw->class_name);
    raw->class_name = zo_names(ctx, raw->classes, number_name, number);
    return raw->class_name ? ZO_OK : ZO_NO_MEMORY;
}

/* ---- loading ---- */

/* Files `first` to `end`, one after the other. */
static zo_status read_files(const zo_context *ctx, const cifar_set *set, const char *folder,
                            const zo_cifar_layout *layout, int first, int end, zo_cifar *out)
{
    char path[PATH_MAX];
    zo_status status = ZO_OK;
    for (int i = first; i < end && !status; i++) {
        locate(&set->files, folder, i, path);
        status = zo_cifar_read(ctx, path, layout, out);
    }
    return status;
}

static zo_status load_set(const zo_context *ctx, const cifar_set *set, const char *data, int answer,
                          zo_raw *raw)
{
    char folder[PATH_MAX];
    zo_cifar train = {0}, test = {0};
    zo_cifar_layout layout = set->layout;
    int last = set->files.files - 1;
    layout.answer = answer;
    zo_status status = zo_file_set_find(ctx, &set->files, data, folder);
    if (!status) status = name_classes(ctx, set, folder, &layout, raw);
    if (!status) status = read_files(ctx, set, folder, &layout, 0, last, &train);
    if (!status) status = read_files(ctx, set, folder, &layout, last, last + 1, &test);
    raw->pixels = train.pixels, raw->label = train.label, raw->n = train.n;
    raw->pixels_test = test.pixels, raw->label_test = test.label, raw->n_test = test.n;
    if (status) return status;
    raw->inputs = ZO_CIFAR_INPUTS;
    raw->height = raw->width = ZO_CIFAR_SIDE;
    raw->channels = ZO_CIFAR_CHANNELS;
    raw->one_scale = true;
    raw->net = "conv5x16 relu pool2 conv5x32 relu pool2 dense64 relu";
    return zo_encoder_images(ctx, raw->inputs, raw->classes, raw->class_name, &layout,
                             &raw->encoder);
}

static zo_status load_10(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    (void)values;
    return load_set(ctx, &cifar10, def->data, 0, raw);
}

static zo_status load_100(zo_context *ctx, const zo_task_def *def, const void *values, zo_raw *raw)
{
    int coarse = ((const settings *)values)->labels;
    return load_set(ctx, &cifar100, def->data, coarse ? 0 : 1, raw);
}

static zo_status find_10(const zo_context *ctx, const char *data, char folder[PATH_MAX])
{
    return zo_file_set_find(ctx, &cifar10.files, data, folder);
}

static zo_status find_100(const zo_context *ctx, const char *data, char folder[PATH_MAX])
{
    return zo_file_set_find(ctx, &cifar100.files, data, folder);
}

static const zo_param params_10[] = {
    ZO_VALIDATION_ROW(settings),
    ZO_PARAM_END,
};

static const zo_param params_100[] = {
    ZO_VALIDATION_ROW(settings),
    ZO_PARAM_CHOICE_ROW(settings, labels, 0, "fine|coarse",
                        "what is learned: the 100 classes, or the 20 that they are grouped into"),
    ZO_PARAM_END,
};

const zo_task_class zo_task_cifar10 = {
    .info = {"cifar10",
             "animals and vehicles: 50,000 and 10,000 images of 32 x 32 in colour, 10 classes",
             "Krizhevsky 2009", ZO_USES_NOTHING, params_10},
    .settings_size = sizeof(settings),
    .load = load_10,
    .find = find_10,
};

const zo_task_class zo_task_cifar100 = {
    .info = {"cifar100",
             "things of all kinds: 50,000 and 10,000 images of 32 x 32 in colour, 100 classes",
             "Krizhevsky 2009", ZO_USES_NOTHING, params_100},
    .settings_size = sizeof(settings),
    .load = load_100,
    .find = find_100,
};

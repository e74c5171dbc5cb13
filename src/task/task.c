/* The public face of tasks. */
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "task/encoder.h"

zo_task_def zo_task_default_def(void) { return (zo_task_def){0}; }

zo_data_def zo_data_default_def(void)
{
    return (zo_data_def){.standardise = true, .validation = 1.0 / 12};
}

char **zo_names(const zo_context *ctx, int n, const char *(*name)(const void *of, int i),
                const void *of)
{
    size_t head = (size_t)n * sizeof(char *), size = head;
    for (int i = 0; i < n; i++) size += strlen(name(of, i)) + 1;
    char **names = zo_alloc(ctx, size);
    if (!names) return NULL;
    char *at = (char *)names + head;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(name(of, i)) + 1;
        names[i] = memcpy(at, name(of, i), length);
        at += length;
    }
    return names;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static bool is_path(const char *name)
{
    return strchr(name, '/') || ends_in(name, ".csv") || ends_in(name, ".tsv") ||
           ends_in(name, ".txt") || ends_in(name, ".arff");
}

/* The class that serves `name`: a registered task, or that of tables if it is the path of a file. */
static const zo_task_class *class_of(const char *name)
{
    struct stat st;
    const zo_task_class *table = zo_find(zo_task_classes, "csv");
    const zo_task_class *named = is_path(name) ? NULL : zo_find(zo_task_classes, name);
    if (named && named != table) return named;
    return !stat(name, &st) && !S_ISDIR(st.st_mode) ? table : NULL;
}

const char *zo_task_class_of(const char *name)
{
    const zo_task_class *class = name ? class_of(name) : NULL;
    return class ? class->info.name : NULL;
}

static zo_status find_class(const zo_context *ctx, const char *name, const zo_task_class **out)
{
    struct stat st;
    if (!name || !name[0])
        return zo_fail(ctx, ZO_USAGE, "no task is named: 'zeroth list tasks' shows them");
    *out = class_of(name);
    if (*out) return ZO_OK;
    bool there = !stat(name, &st);
    if (!strcmp(name, "csv") && !there)
        return zo_fail(ctx, ZO_USAGE,
                       "\"csv\" stands for tables: give the path of one, such as table.csv");
    if (there)
        return zo_fail(ctx, ZO_USAGE, "%s is a folder: give the path of a table in it", name);
    if (is_path(name))
        return zo_fail(ctx, ZO_NOT_FOUND,
                       "%s: there is no such file: give the path of a table, or the name of a task "
                       "('zeroth list tasks')",
                       name);
    return zo_fail_unknown(ctx, "task", name, zo_task_classes);
}

zo_status zo_task_find(zo_context *ctx, const char *name, const char *data, char *folder,
                       size_t room)
{
    char found[PATH_MAX];
    const zo_task_class *class;
    zo_status status = find_class(ctx, name, &class);
    if (status) return status;
    if (!class->find)
        return zo_fail(ctx, ZO_UNSUPPORTED, "%s reads nothing from a data folder", name);
    status = class->find(ctx, data, found);
    if (status) return status;
    if (!folder || strlen(found) >= room)
        return zo_fail(ctx, ZO_USAGE, "%s: there is no room for this path", found);
    memcpy(folder, found, strlen(found) + 1);
    return ZO_OK;
}

/* Paths need not be UTF-8; JSON must be. */
static json_t *path_json(const char *path)
{
    char copy[4096];
    size_t n = strlen(path), at = 0;
    if (n >= sizeof copy) n = sizeof copy - 1;
    memcpy(copy, path, n);
    copy[n] = 0;
    while ((at += zo_utf8_prefix(copy + at, n - at)) < n) copy[at] = '?';
    return json_string(copy);
}

static void set_checksum(json_t *json, uint64_t checksum, bool *failed)
{
    char text[24];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
    zo_json_set(json, "checksum", json_string(text), failed);
}

static json_t *settings_json(const zo_param *row, const void *values, bool *failed)
{
    json_t *json = json_object();
    for (; row->name; row++) {
        char text[ZO_TEXT_MAX + 64];
        zo_param_show(row, values, text, sizeof text);
        zo_json_set(json, row->name, path_json(strchr(text, '=') + 1), failed);
    }
    return json;
}

static zo_status write_config(zo_task *task, const zo_task_def *def, const zo_param *params,
                              const void *values)
{
    char seed[24];
    bool failed = false;
    json_t *json = json_object();
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)def->seed);
    zo_json_set(json, "task", path_json(task->name), &failed);
    zo_json_set(json, "data", def->data ? path_json(def->data) : json_null(), &failed);
    zo_json_set(json, "seed", json_string(seed), &failed);
    zo_json_set(json, "settings", settings_json(params, values, &failed), &failed);
    set_checksum(json, task->checksum, &failed);
    return zo_encoder_dump(task->ctx, json, failed, &task->config);
}

/* Loads, splits, and notes how to do it again. */
static zo_status make_task(zo_context *ctx, const zo_task_class *class, const zo_task_def *def,
                           void *settings, zo_task **out)
{
    const zo_block block = {&class->info, settings};
    zo_raw raw = {0};
    zo_params_default(class->info.params, settings);
    zo_status status = zo_params_apply(ctx, def->settings, &block, 1);
    if (!status) status = class->load(ctx, def, settings, &raw);
    if (!status) /* every settings struct begins with the validation share */
        status = zo_task_build(ctx, def->name, def->seed, *(double *)settings, true, &raw, out);
    zo_raw_free(ctx, &raw);
    if (!status) status = write_config(*out, def, class->info.params, settings);
    if (status) {
        zo_task_destroy(*out);
        *out = NULL;
    }
    return status;
}

zo_status zo_task_create(zo_context *ctx, const zo_task_def *def, zo_task **out)
{
    const zo_task_class *class;
    *out = NULL;
    zo_status status = find_class(ctx, def ? def->name : NULL, &class);
    if (status) return status;
    void *settings = zo_alloc_zero(ctx, 1, class->settings_size);
    if (!settings) return ZO_NO_MEMORY;
    status = make_task(ctx, class, def, settings, out);
    zo_free(ctx, settings);
    return status;
}

static zo_status check_features(const zo_context *ctx, const char *what, const float *x, int64_t n,
                                int width)
{
    for (int64_t i = 0; i < n * width; i++) {
        if (!(fabsf(x[i]) <= ZO_FEATURE_MOST))
            return zo_fail(ctx, ZO_FORMAT,
                           "%s: example %lld, number %lld is not finite or beyond 1e30", what,
                           (long long)(i / width), (long long)(i % width));
    }
    return ZO_OK;
}

static zo_status check_labels(const zo_context *ctx, const char *what, const int32_t *label,
                              int64_t n, int classes)
{
    for (int64_t i = 0; i < n; i++) {
        if (label[i] < 0 || label[i] >= classes)
            return zo_fail(ctx, ZO_FORMAT, "%s: example %lld has label %d; 0 to %d are expected",
                           what, (long long)i, label[i], classes - 1);
    }
    return ZO_OK;
}

/* The arrays of one set: x, and label or target. */
static zo_status check_set(const zo_context *ctx, const zo_data_def *d, bool test)
{
    const float *x = test ? d->x_test : d->x, *target = test ? d->target_test : d->target;
    const int32_t *label = test ? d->label_test : d->label;
    int64_t n = test ? d->n_test : d->n;
    const char *suffix = test ? "_test" : "";
    char what[24];
    if (!x || (d->classes ? !label : !target))
        return zo_fail(ctx, ZO_USAGE, "%s%s is NULL: examples are missing",
                       !x           ? "x"
                       : d->classes ? "label"
                                    : "target",
                       suffix);
    snprintf(what, sizeof what, "x%s", suffix);
    zo_status status = check_features(ctx, what, x, n, d->inputs);
    snprintf(what, sizeof what, "%s%s", d->classes ? "label" : "target", suffix);
    if (!status && d->classes)
        status = check_labels(ctx, what, label, n, d->classes);
    else if (!status)
        status = check_features(ctx, what, target, n, d->targets);
    return status;
}

static zo_status check_data(const zo_context *ctx, const zo_data_def *d)
{
    if (d->inputs < 1 || d->inputs > ZO_COLUMNS_MAX)
        return zo_fail(ctx, ZO_USAGE, "inputs=%d: 1 to %d are expected", d->inputs, ZO_COLUMNS_MAX);
    bool image = d->height || d->width || d->channels;
    if (image && (d->height < 1 || d->width < 1 || d->channels < 1 ||
                  (double)d->height * d->width * d->channels != d->inputs))
        return zo_fail(ctx, ZO_USAGE, "inputs=%d: no image of %d x %d x %d", d->inputs, d->height,
                       d->width, d->channels);
    if (d->classes < 0 || d->classes == 1 || d->classes > 65536)
        return zo_fail(ctx, ZO_USAGE, "classes=%d: 2 to 65536 are expected, or 0 for regression",
                       d->classes);
    if (!d->classes && (d->targets < 1 || d->targets > 65536))
        return zo_fail(ctx, ZO_USAGE, "targets=%d: 1 to 65536 are expected for regression",
                       d->targets);
    if (d->n < 2 || d->n > INT32_MAX)
        return zo_fail(ctx, ZO_USAGE, "n=%lld: 2 to %d examples are expected", (long long)d->n,
                       INT32_MAX);
    if (d->n_test < 0 || d->n_test > INT32_MAX)
        return zo_fail(ctx, ZO_USAGE, "n_test=%lld: 0 to %d examples are expected",
                       (long long)d->n_test, INT32_MAX);
    zo_status status = check_set(ctx, d, false);
    return !status && d->n_test ? check_set(ctx, d, true) : status;
}

/* What the library does with the caller's arrays: reads them. */
static zo_raw borrow(const zo_data_def *d)
{
    zo_raw raw = {.inputs = d->inputs, .classes = d->classes, .n = d->n, .x = (float *)d->x};
    raw.height = d->height, raw.width = d->width, raw.channels = d->channels;
    raw.targets = d->classes ? 0 : d->targets;
    raw.label = d->classes ? (int32_t *)d->label : NULL;
    raw.target = d->classes ? NULL : (float *)d->target;
    if (d->n_test) {
        raw.n_test = d->n_test;
        raw.x_test = (float *)d->x_test;
        raw.label_test = d->classes ? (int32_t *)d->label_test : NULL;
        raw.target_test = d->classes ? NULL : (float *)d->target_test;
    }
    return raw;
}

typedef struct data_settings {
    double validation;
    bool standardise;
} data_settings;

zo_status zo_task_from_data(zo_context *ctx, const zo_data_def *def, zo_task **out)
{
    static const zo_param params[] = {
        ZO_VALIDATION_ROW(data_settings),
        ZO_PARAM_BOOL_ROW(data_settings, standardise, 1, "mean 0 and deviation 1"),
        ZO_PARAM_END,
    };
    *out = NULL;
    if (!def) return zo_fail(ctx, ZO_USAGE, "no data are given");
    zo_status status = check_data(ctx, def);
    if (status) return status;
    const char *name = def->name ? def->name : "data";
    const zo_task_def as = {.name = name, .seed = def->seed};
    const data_settings settings = {def->validation, def->standardise};
    zo_raw raw = borrow(def);
    status = zo_task_split(ctx, name, def->seed, def->validation, def->standardise, &raw, out);
    if (!status) status = write_config(*out, &as, params, &settings);
    if (status) {
        zo_task_destroy(*out);
        *out = NULL;
    }
    return status;
}

zo_status zo_task_hollow(zo_context *ctx, int inputs, int outputs, int classes, int64_t n,
                         zo_task **out)
{
    zo_task *task = *out = zo_alloc_zero(ctx, 1, sizeof *task);
    if (!task) return ZO_NO_MEMORY;
    *task = (zo_task){.ctx = ctx, .inputs = inputs, .outputs = outputs, .classes = classes};
    task->stride = (inputs + 15) / 16 * 16;
    task->part[ZO_TRAIN].n = n;
    task->name = zo_strdup(ctx, "hollow");
    if (task->name) return ZO_OK;
    zo_task_destroy(task);
    *out = NULL;
    return ZO_NO_MEMORY;
}

void zo_task_destroy(zo_task *task)
{
    if (!task) return;
    const zo_context *ctx = task->ctx;
    for (int p = 0; p < ZO_PARTS; p++) {
        zo_free(ctx, task->part[p].x);
        zo_free(ctx, task->part[p].label);
        zo_free(ctx, task->part[p].target);
    }
    zo_free(ctx, task->name);
    zo_free(ctx, task->shift);
    zo_free(ctx, task->scale);
    zo_free(ctx, task->target_shift);
    zo_free(ctx, task->target_scale);
    zo_free(ctx, task->class_name);
    zo_free(ctx, task->encoder);
    zo_free(ctx, task->net);
    zo_free(ctx, task->config);
    zo_free(ctx, task);
}

zo_task_info zo_task_describe(const zo_task *task)
{
    return (zo_task_info){
        .name = task->name,
        .inputs = task->inputs,
        .height = task->height,
        .width = task->width,
        .channels = task->channels,
        .outputs = task->outputs,
        .classes = task->classes,
        .n_train = task->part[ZO_TRAIN].n,
        .n_validation = task->part[ZO_VALIDATION].n,
        .n_test = task->part[ZO_TEST].n,
        .net = task->net,
        .checksum = task->checksum,
    };
}

const char *zo_task_class_name(const zo_task *task, int label)
{
    return label >= 0 && label < task->classes ? task->class_name[label] : "";
}

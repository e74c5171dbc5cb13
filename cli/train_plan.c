/* From the command line and --config to the settings of a training. */
#include <dirent.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "classes.h"
#include "cli.h"
#include "train.h"

#define TEXT(name, value, help)                                                                    \
    {                                                                                              \
#name, value, CLI_TEXT, offsetof(train_options, name), 0, 0, help                          \
    }
#define REAL(name, value, max, help)                                                               \
    {                                                                                              \
#name, value, CLI_REAL, offsetof(train_options, name), 0, max, help                        \
    }
#define SHORT(name, value, help)                                                                   \
    {                                                                                              \
#name, value, CLI_SHORT, offsetof(train_options, set), 0, 0, help                          \
    }
#define FLAG(name, help)                                                                           \
    {                                                                                              \
#name, NULL, CLI_FLAG, offsetof(train_options, name), 0, 0, help                           \
    }

const cli_option train_option_table[] = {
    TEXT(method, "M", "a trainer, an estimator, or estimator:rule (default: forward passes only)"),
    TEXT(estimator, "E", "how losses become a direction; 'zeroth list estimators'"),
    TEXT(rule, "R", "how a direction becomes a step; 'zeroth list rules'"),
    TEXT(schedule, "S", "how the step changes over the run; 'zeroth list schedules'"),
    TEXT(loss, "L", "what is minimised; 'zeroth list losses'"),
    TEXT(net, "SPEC",
         "the layers, e.g. \"dense128 relu dense10\" (default: the method's, or the task's own)"),
    REAL(seconds, "S", DBL_MAX,
         "train for S seconds (60 unless another budget is given, or the method ends by itself)"),
    REAL(epochs, "E", DBL_MAX, "train for E passes over the examples"),
    REAL(forwards, "N", DBL_MAX, "train for N forward-equivalents"),
    REAL(target, "A", 1, "stop when validation accuracy reaches A, above 0 and at most 1"),
    TEXT(data, "DIR",
         "where the data set is, and nowhere else (default: $ZEROTH_DATA, then the system's)"),
    TEXT(label, "COL", "the column of a table that holds the answers"),
    TEXT(missing, "HOW", "missing values of a table: refuse or impute"),
    SHORT(units, "N", "as --set units=N: random units of a closed form's net"),
    SHORT(preset, "P", "as --set preset=P: fast or best, a closed form's net"),
    SHORT(ensemble, "K",
          "as --set ensemble=K: closed forms of other seeds, whose outputs are averaged"),
    {"set", "KEY=VALUE", CLI_LIST, offsetof(train_options, set), 0, 0,
     "a setting of the chosen classes or of the task, as listed below; may be repeated"},
    TEXT(config, "FILE", "settings from a file or an earlier run; the command line goes first"),
    {"seed", "N", CLI_SEED, offsetof(train_options, seed), 0, 0,
     "of weights, splits, batches and noise (default: 0)"},
    {"threads", "N", CLI_INT, offsetof(train_options, threads), 1, ZO_THREADS_MAX,
     "1 to 1024 (default: one for each processor); the result does not depend on it"},
    TEXT(kernels, "K",
         "ref, avx2, avx512 or avx512bf16 (default: the best); the result does not depend on it"),
    TEXT(out, "DIR", "the run directory (default: runs/TASK-METHOD-N)"),
    TEXT(init, "RUN", "start from the network of a run, a model file or a seeds file"),
    TEXT(measure, "WHAT",
         "alignment: of each layer, how near its direction is to the gradient, at each look; uses "
         "gradients, to measure alone ('alignment-straight-through': also where there is none)"),
    REAL(checkpoint, "S", DBL_MAX,
         "save the state every S seconds (default: so that it costs less than 1 % of the time)"),
    {"memory", "SIZE", CLI_SIZE, offsetof(train_options, memory), 0, 0,
     "most memory to hold for data and training, such as 512M or 2GiB"},
    FLAG(quiet, "no progress"),
    FLAG(json, "the result as one JSON object on the last line"),
    CLI_OPTION_END,
};

/* Settings that name classes, the kinds they name, and the options that say the same. */
static const struct choice {
    const char *key, *kind;
    size_t offset;
} choices[] = {
    {"estimator", "estimators", offsetof(train_options, estimator)},
    {"rule", "rules", offsetof(train_options, rule)},
    {"schedule", "schedules", offsetof(train_options, schedule)},
    {"loss", "losses", offsetof(train_options, loss)},
};
enum { CHOICES = sizeof choices / sizeof *choices };

static const char *chosen(const train_options *o, const struct choice *c)
{
    return *(const char *const *)((const char *)o + c->offset);
}

/* ---- command line over file ---- */

static void remove_settings_of(const zo_class_info *of, cli_list *settings)
{
    for (int i = settings->n - 1; i >= 0; i--) {
        char *key = cli_format("%.*s", (int)strcspn(settings->items[i], "@="), settings->items[i]);
        if (cli_class_has(of, key)) cli_list_remove(settings, i);
        free(key);
    }
}

/* Drops settings that a run recorded for a class that is no longer used; those of the rule too when
 * the estimator changes, as its default step size depends on it. */
static void forget(cli_list *settings, const struct choice *c, const char *now)
{
    const char *before = cli_list_get(settings, c->key), *rule = cli_list_get(settings, "rule");
    if (!before || !strcmp(before, now)) return;
    bool estimator = !strcmp(c->key, "estimator");
    const zo_class_info *old = zo_class_find(c->kind, before);
    const zo_class_info *old_rule = estimator && rule ? zo_class_find("rules", rule) : NULL;
    remove_settings_of(old, settings);
    remove_settings_of(old_rule, settings);
}

/* The file's "nodes:adam" becomes two settings, so that --rule can change one of them. */
static void unfold_method(train_options *file, cli_list *settings)
{
    char name[64];
    size_t n = strcspn(file->method, ":");
    snprintf(name, sizeof name, "%.*s", (int)n, file->method);
    if (!zo_class_find("estimators", name)) return;
    if (!cli_list_get(settings, "estimator")) cli_list_add_pair(settings, "estimator", name);
    if (file->method[n] && !cli_list_get(settings, "rule"))
        cli_list_add_pair(settings, "rule", file->method + n + 1);
    file->method = NULL;
}

static void override_method(train_options *file, const train_options *line, cli_config *config)
{
    bool other = line->method && (!file->method || strcmp(line->method, file->method) != 0);
    if (other) {
        if (config->split) cli_list_free(&config->settings);
        file->estimator = file->rule = NULL;
    }
    if (!line->method && file->method && (line->estimator || line->rule))
        unfold_method(file, &config->settings);
    for (int i = 0; i < CHOICES && config->split; i++) {
        const char *now = chosen(line, &choices[i]);
        if (now) forget(&config->settings, &choices[i], now);
    }
}

static void override(train_options *file, const train_options *line, const char *task,
                     cli_config *config)
{
    if (line->seconds > 0 || line->epochs > 0 || line->forwards > 0)
        file->seconds = file->epochs = file->forwards = 0;
    if (line->init) file->net = NULL;
    if (line->net) file->init = NULL;
    if (task && config->task && strcmp(task, config->task) != 0) {
        cli_list_free(&config->task_settings);
        file->data = file->label = NULL;
    }
    override_method(file, line, config);
}

static bool read_line(int argc, char **argv, train_options *o, cli_words *words)
{
    *words = (cli_words){.names = "a TASK", .least = 0, .most = 1};
    return cli_parse("train", train_option_table, argc, argv, o, words);
}

/* Reads the file under the command line, which is read a second time over it. */
static int read_config(int argc, char **argv, train_plan *plan, const char *task)
{
    cli_words words;
    train_options line = plan->o, file = {0};
    int status = cli_config_read(line.config, train_option_table, &file, &plan->config);
    if (!status) {
        override(&file, &line, task, &plan->config);
        read_line(argc, argv, &file, &words);
    }
    cli_list_free(&line.set);
    plan->o = file;
    return status;
}

/* ---- settings ---- */

/* A setting without the dashes of an option that stands for it. */
static const char *plain(const char *setting) { return setting + strspn(setting, "-"); }

/* A key that the task has is the task's; the trainer answers for all others. */
static void route(train_plan *plan, const cli_list *from)
{
    const char *name = zo_task_class_of(plan->task);
    const zo_class_info *task = name ? zo_class_find("tasks", name) : NULL;
    for (int i = 0; i < from->n; i++) {
        const char *text = plain(from->items[i]);
        char *key = cli_format("%.*s", (int)strcspn(text, "="), text);
        cli_list_add(cli_class_has(task, key) ? &plan->task_settings : &plan->settings, text);
        free(key);
    }
}

static void add_all(cli_list *to, const cli_list *from)
{
    for (int i = 0; i < from->n; i++) cli_list_add(to, from->items[i]);
}

static void settle(train_plan *plan)
{
    const train_options *o = &plan->o;
    add_all(&plan->task_settings, &plan->config.task_settings);
    if (plan->config.split)
        add_all(&plan->settings, &plan->config.settings);
    else
        route(plan, &plan->config.settings);
    if (o->label) cli_list_add_pair(&plan->task_settings, "label", o->label);
    if (o->missing) cli_list_add_pair(&plan->task_settings, "missing", o->missing);
    for (int i = 0; i < CHOICES; i++) {
        const char *name = chosen(o, &choices[i]);
        if (name) cli_list_add_pair(&plan->settings, choices[i].key, name);
    }
    route(plan, &o->set);
}

int train_plan_make(int argc, char **argv, train_plan *plan)
{
    cli_words words;
    int status;
    *plan = (train_plan){0};
    if (!read_line(argc, argv, &plan->o, &words)) return CLI_USAGE;
    const char *task = words.n ? words.word[0] : NULL;
    if (plan->o.net && plan->o.init)
        return cli_fail(CLI_USAGE, "--net and --init exclude each other: RUN brings its own net");
    if (plan->o.config && (status = read_config(argc, argv, plan, task))) return status;
    if (plan->o.net && plan->o.init)
        return cli_fail(CLI_USAGE, "%s: \"net\" and \"init\" exclude each other: leave one out",
                        plan->o.config);
    plan->task = task ? task : plan->config.task;
    if (!plan->task || !*plan->task)
        return cli_fail(CLI_USAGE, "train needs a TASK: 'zeroth list tasks' names them");
    settle(plan);
    return CLI_DONE;
}

int train_plan_read(const char *run, train_plan *plan)
{
    *plan = (train_plan){0};
    if (cli_config_read(run, train_option_table, &plan->o, &plan->config)) return CLI_FAILED;
    plan->task = plan->config.task;
    if (!plan->task)
        return cli_fail(CLI_FAILED, "%s/config.json: does not say which task it is", run);
    settle(plan);
    return CLI_DONE;
}

void train_plan_free(train_plan *plan)
{
    cli_list_free(&plan->o.set);
    cli_list_free(&plan->task_settings);
    cli_list_free(&plan->settings);
    cli_config_free(&plan->config);
}

/* ---- spelling ---- */

/* The error in terms of --KEY VALUE, to be freed, if it is about this setting; else NULL. */
static char *respell(const char *error, const char *key, const char *value)
{
    char *pair = cli_format("%s=%s", key, value), *text = NULL;
    char *unknown = cli_format("there is no setting \"%s\"", key);
    size_t n = strlen(pair);
    if (!strncmp(error, pair, n) && (error[n] == ':' || error[n] == ' '))
        text = cli_format("--%s %s%s", key, value, error + n);
    else if (!strncmp(error, unknown, strlen(unknown)))
        text = cli_format("--%s: %s", key, error);
    free(pair);
    free(unknown);
    return text;
}

char *train_plan_respell(const train_plan *plan, const char *error)
{
    char *text = NULL;
    for (int i = 0; i < CHOICES && !text; i++) {
        const char *name = chosen(&plan->o, &choices[i]);
        if (name) text = respell(error, choices[i].key, name);
    }
    for (int i = 0; i < plan->o.set.n && !text; i++) {
        const char *typed = plan->o.set.items[i], *setting = plain(typed);
        if (typed == setting) continue;
        char *key = cli_format("%.*s", (int)strcspn(setting, "="), setting);
        text = respell(error, key, setting + strlen(key) + 1);
        free(key);
    }
    return text ? text : cli_strdup(error);
}

/* ---- names ---- */

char *train_plan_method(const train_plan *plan, const char *estimator, const char *rule)
{
    bool asked =
        cli_list_get(&plan->settings, "rule") || (plan->o.method && strchr(plan->o.method, ':'));
    return asked ? cli_format("%s:%s", estimator, rule) : cli_strdup(estimator);
}

/* One past the largest N of the entries "<stem>N" in runs/. */
static long next_number(const char *stem)
{
    long most = 0;
    DIR *folder = opendir("runs");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        const char *name = entry->d_name;
        if (strncmp(name, stem, strlen(stem)) != 0) continue;
        name += strlen(stem);
        if (!*name || strlen(name) > 9 || name[strspn(name, "0123456789")]) continue;
        long n = strtol(name, NULL, 10);
        if (n > most) most = n;
    }
    if (folder) closedir(folder);
    return most + 1;
}

/* How much of a file's name is not the ending of a table. */
static int stem_length(const char *name)
{
    static const char *const endings[] = {".csv", ".tsv", ".txt", ".arff"};
    size_t n = strlen(name);
    for (int i = 0; i < 4; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && !strcmp(name + n - m, endings[i])) return (int)(n - m);
    }
    return (int)n;
}

char *train_plan_folder(const train_plan *plan, const char *method)
{
    const char *slash = strrchr(plan->task, '/'), *name = slash ? slash + 1 : plan->task;
    char *stem = cli_format("%.*s-%s-", stem_length(name), name, method);
    for (char *p = stem; *p; p++) {
        if (strchr(":/ \t\\", *p)) *p = '-';
    }
    char *folder = cli_format("runs/%s%ld", stem, next_number(stem));
    free(stem);
    return folder;
}

/* zeroth train: a network learns a task. */
#include "classes.h"
#include "training.h"

static int run(int argc, char **argv)
{
    training t = {0};
    int status = train_plan_make(argc, argv, &t.plan);
    if (!status) return training_run(&t);
    train_plan_free(&t.plan);
    return status;
}

static void more(FILE *f, int width)
{
    static const char *const kinds[] = {"trainers", "estimators",   "rules", "schedules",
                                        "losses",   "augmentation", "tasks", NULL};
    for (int k = 0; kinds[k]; k++) {
        const zo_class_info *c;
        for (int i = 0; (c = zo_class_at(kinds[k], i)); i++) {
            if (!c->params || !c->params->name) continue;
            fprintf(f, "\nsettings of %s (%s):\n", c->name, kinds[k]);
            cli_params_print(f, width, c);
        }
    }
}

const cli_command cli_train = {
    .name = "train",
    .usage = "TASK [OPTION]...",
    .summary = "train a network on a data set or a table",
    .options = train_option_table,
    .more = more,
    .run = run,
};

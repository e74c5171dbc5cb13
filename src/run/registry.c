/* All that can be named, in one list of lists. */
#include <string.h>
#include <zeroth/classes.h>

#include "base/params.h"
#include "kernels/kernels.h"
#include "learn/augment.h"
#include "learn/trainer.h"
#include "nn/loss.h"
#include "task/task.h"

static const struct {
    const char *kind;
    const zo_class_info *const *classes;
} kinds[] = {
    {"trainers", zo_trainer_classes}, {"estimators", zo_estimator_classes},
    {"rules", zo_rule_classes},       {"schedules", zo_schedule_classes},
    {"losses", zo_loss_classes},      {"augmentation", zo_augment_classes},
    {"layers", zo_layer_classes},     {"tasks", zo_task_classes},
    {"kernels", zo_kernel_classes},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const char *zo_kind_name(int kind) { return kind >= 0 && kind < KINDS ? kinds[kind].kind : NULL; }

static const zo_class_info *const *classes_of(const char *kind)
{
    for (int i = 0; kind && i < KINDS; i++) {
        if (!strcmp(kinds[i].kind, kind)) return kinds[i].classes;
    }
    return NULL;
}

const zo_class_info *zo_class_at(const char *kind, int index)
{
    const zo_class_info *const *classes = classes_of(kind);
    if (!classes || index < 0) return NULL;
    for (int i = 0; i < index && *classes; i++) classes++;
    return *classes;
}

const zo_class_info *zo_class_find(const char *kind, const char *name)
{
    const zo_class_info *const *classes = classes_of(kind);
    return classes && name ? zo_find(classes, name) : NULL;
}

const char *zo_uses_text(zo_uses uses)
{
    static const char *const text[] = {"", "loss", "loss derivative", "straight-through",
                                       "gradients"};
    return uses >= ZO_USES_NOTHING && uses <= ZO_USES_GRADIENTS ? text[uses] : "";
}

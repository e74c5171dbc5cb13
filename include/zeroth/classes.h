/* What can be named: trainers, estimators, rules, schedules, layers, losses and tasks, and their parameters.
 *
 * Each is one const class in one source file. Everything that shows or reads options (the command's help,
 * `--set`, config files, range checks, the docs) comes from the parameter tables listed here.
 */
#ifndef ZEROTH_CLASSES_H
#define ZEROTH_CLASSES_H

#include <stddef.h>
#include <zeroth/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a method looks at, from least to most. A table never mixes ZO_USES_GRADIENTS with the others. */
typedef enum zo_uses {
    ZO_USES_NOTHING,          /**< does not apply (a layer, a task) */
    ZO_USES_LOSS,             /**< only loss values, per example or per batch */
    ZO_USES_LOSS_DERIVATIVE,  /**< also the derivative of the loss at the network's output */
    ZO_USES_STRAIGHT_THROUGH, /**< backward through layers with made-up derivatives */
    ZO_USES_GRADIENTS         /**< backward through layers */
} zo_uses;

/** "", "loss", "loss derivative", "straight-through" or "gradients". Static text. */
ZO_API const char *zo_uses_text(zo_uses uses);

/** Kind of a parameter's value. */
typedef enum zo_param_type {
    ZO_PARAM_INT,    /**< int64_t */
    ZO_PARAM_REAL,   /**< double */
    ZO_PARAM_BOOL,   /**< bool; yes/no, true/false, 1/0 */
    ZO_PARAM_CHOICE, /**< int: index into `choices` */
    ZO_PARAM_TEXT    /**< char[ZO_TEXT_MAX] */
} zo_param_type;

/** Room for a text parameter, final zero included. */
#define ZO_TEXT_MAX 256

/** One row of a parameter table; a table ends with a row whose name is NULL. */
typedef struct zo_param {
    const char *name;    /**< as in --set name=value */
    zo_param_type type;  /**< kind of value */
    size_t offset;       /**< where the value lies in the class's settings struct */
    double standard;     /**< default of INT, REAL, BOOL, and index of the default CHOICE */
    double min;          /**< least accepted value of INT and REAL */
    double max;          /**< largest accepted value of INT and REAL */
    const char *choices; /**< CHOICE: the words, separated by '|' */
    const char *text;    /**< TEXT: the default */
    const char *help;    /**< one line, with the unit */
} zo_param;

/** The public face of a class. */
typedef struct zo_class_info {
    const char *name;       /**< registered name */
    const char *summary;    /**< one line */
    const char *source;     /**< paper or equation; "" where there is none */
    zo_uses uses;           /**< what it looks at */
    const zo_param *params; /**< its table; never NULL, may be just the end row */
} zo_class_info;

/** The kinds in the order `zeroth list` shows them: kind 0, 1, ... ; NULL past the last. Static text such as "trainers". */
ZO_API const char *zo_kind_name(int kind);

/** The `index`-th class of a kind ("trainers", "estimators", "rules", "schedules", "losses", "augmentation",
 *  "layers", "tasks", "kernels"); NULL past the last, or for an unknown kind. Static data. */
ZO_API const zo_class_info *zo_class_at(const char *kind, int index);

/** The class of that name, or NULL. Static data. */
ZO_API const zo_class_info *zo_class_find(const char *kind, const char *name);

#ifdef __cplusplus
}
#endif
#endif

/* The contract of a trainer class. */
#ifndef ZO_LEARN_TRAINER_H
#define ZO_LEARN_TRAINER_H

#include "learn/learner.h"

/* "estimator:rule" taken apart; empty parts were not given. */
typedef struct zo_method {
    char trainer[64], estimator[64], rule[64];
} zo_method;

/* Reads a method text. Errors: USAGE with the nearest name. NULL means the default. */
zo_status zo_method_read(const zo_context *ctx, const char *text, zo_method *out);

typedef struct zo_trainer_class {
    zo_class_info info;
    size_t state_size;
    /* `net` is the trainer's own copy and becomes part of the state; it is freed by fini, which is called also after a failed init. */
    zo_status (*init)(void *state, zo_context *ctx, const zo_trainer_def *def,
                      const zo_method *method, zo_net *net);
    zo_status (*step)(void *state, double progress, zo_step_info *out);
    const zo_net *(*net)(const void *state);
    zo_uses (*uses)(const void *state);
    /* Everything the next step depends on, settings excluded. */
    void (*save)(const void *state, zo_buffer *out);
    /* The number of bytes save() writes; load() takes exactly these. False, and nothing has changed, if no trainer can have written them. */
    size_t (*saved)(const void *state);
    bool (*load)(void *state, zo_reader *in);
    const char *(*setting)(const void *state, int index);
    const char *(*plan)(const void *state, int index);
    /* The names of the chosen classes. */
    const char *(*estimator)(const void *state), *(*rule)(const void *state);
    void (*fini)(void *state);
} zo_trainer_class;

struct zo_trainer {
    zo_context *ctx;
    const zo_trainer_class *class;
    uint64_t definition; /* checksum of what a saved state must agree with */
    void *state;
};

extern const zo_trainer_class zo_trainer_perturb;

/* The name of the trainer's estimator and rule, "" where it has none. */
const char *zo_trainer_estimator(const zo_trainer *t);
const char *zo_trainer_rule(const zo_trainer *t);

#endif

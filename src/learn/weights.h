/* Noise in all weights, made again wherever it is needed, and the direction that follows from the weights of the draws. */
#ifndef ZO_LEARN_WEIGHTS_H
#define ZO_LEARN_WEIGHTS_H

#include "learn/population.h"

/* What a thread needs for a tile of the direction. */
typedef struct zo_weights_desk {
    uint16_t *signs;
    float *numbers; /* gaussian only */
    float *g;
} zo_weights_desk;

/* What the state of an estimator begins with. */
typedef struct zo_weights {
    zo_population p;
    zo_weights_desk *worker; /* [threads] */
} zo_weights;

/* Sizes everything. Errors: USAGE, NO_MEMORY; fini is due all the same. */
zo_status zo_weights_init(zo_weights *w, const zo_population_settings *set, const zo_learner *l);
void zo_weights_fini(void *st);

/* Gives a job the tiles of the direction. */
void zo_weights_direct(const zo_weights *w, zo_job *job);

/* Member of the class zo_estimator_class: with the cost of a step. */
void zo_weights_report(const void *st, const double *results, zo_step_info *out);
/* The same, of all its weights' draws. */
bool zo_weights_theory(const void *st, int stage, zo_theory *out);

#endif

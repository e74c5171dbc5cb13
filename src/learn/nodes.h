/* Node perturbation at work, for the estimators nodes and auto: passes at the sites of a plan, errors, the direction. The state of an estimator
 * begins with a zo_nodes, so that functions with `void *st` can stand in its class.
 */
#ifndef ZO_LEARN_NODES_H
#define ZO_LEARN_NODES_H

#include "learn/sites.h"

/* What a worker has to hand. */
typedef struct zo_nodes_desk {
    zo_moves moves;
    zo_complete complete;
    float *errors;        /* [most floats]: of an example, or of a stage's weights; and, */
    float *half;          /* of these, from half of the items */
    double *plus, *minus; /* [rows of an item][that wait together] losses */
    double *weight;       /* [most that wait together] */
    int32_t *order;       /* [2 x the same] */
} zo_nodes_desk;

typedef struct zo_nodes {
    zo_noise_kind noise;
    zo_trace trace;
    zo_site_plan *site; /* [stages]; count and examples may change between steps, up to the most */
    zo_way *way;        /* [stages] of complete sets; rows 0: none */
    size_t *begin; /* [stages] where its numbers begin: errors of an example, or a direction among the item's */
    size_t numbers;        /* results of an example: loss, dropped, errors */
    size_t of_item;        /* results of an item besides: directions of weights */
    zo_halves *halves;     /* [stages] of moved weights, while the trace listens */
    zo_nodes_desk *worker; /* [workers] */
    const zo_update *update;
} zo_nodes;

/* Sizes everything. settings: [stages] structs of `stride` bytes that each begin with a zo_sites_settings. adapts: the plan may change. Errors:
 * USAGE, NO_MEMORY; fini is due all the same. */
zo_status zo_nodes_init(zo_nodes *s, const void *settings, size_t stride, const zo_learner *l,
                        bool adapts);

/* After a direction that was listened to: its halves at a stage, and the examples that made each. */
zo_halves zo_nodes_halves(const zo_nodes *s, int stage, double *first, double *second);

/* Members of the class zo_estimator_class. */
zo_job zo_nodes_job(void *st, const zo_update *update);
void zo_nodes_report(const void *st, const double *results, zo_step_info *out);
bool zo_nodes_plan(const void *st, int index, char *out, size_t room);
bool zo_nodes_theory(const void *st, int stage, zo_theory *out);
void zo_nodes_halve(const void *st, bool odd, double *results);
void zo_nodes_fini(void *st);

#endif

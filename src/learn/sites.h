/* How nodes and auto treat each layer: where noise enters, along which directions, for how many examples.
 *
 * Which of the three it is does not depend on how noisy the layer's gradient is. For n of the batch's examples, rho = mean |g_b|^2 / |g|^2, and
 * K draws in d numbers, the variance of a direction over the squared length of its mean is
 *   complete   (rho - 1) / n                        at n times the cost of a set
 *   random     (rho (1 + (d - 1)/K) - 1) / n        at n K times the cost of a draw (zo_site_spread())
 * so that variance x cost is least for a complete set wherever it costs less than d draws, and for weights wherever d draws of them cost less than
 * d' of outputs. How many is another matter: learn/spend.h.
 */
#ifndef ZO_LEARN_SITES_H
#define ZO_LEARN_SITES_H

#include "learn/complete.h"
#include "learn/shaping.h"

typedef enum zo_set { ZO_SET_AUTO, ZO_SET_COMPLETE, ZO_SET_RANDOM } zo_set;
typedef enum zo_sides { ZO_SIDES_AUTO, ZO_SIDES_ONE, ZO_SIDES_TWO } zo_sides;
typedef enum zo_enter { ZO_ENTER_AUTO, ZO_ENTER_OUTPUTS, ZO_ENTER_WEIGHTS } zo_enter;

/* What the settings of nodes and auto begin with. */
typedef struct zo_sites_settings {
    /* Of a layer. */
    int set, place, sides, scale, shaping;
    int64_t draws, examples;
    double sigma, sigma_jump, sigma_weights, limit;
    /* Of all layers. */
    int noise; /* zo_noise_kind */
} zo_sites_settings;

/* Bytes of it that a layer may have of its own. */
#define ZO_SITES_LAYERED offsetof(zo_sites_settings, noise)

/* Rows of their parameter tables. */
#define ZO_SITES_ROWS(limit_help)                                                                  \
    ZO_PARAM_CHOICE_ROW(zo_sites_settings, set, ZO_SET_AUTO, "auto|complete|random",               \
                        "directions at a site; auto: the one with less variance x cost"),          \
        ZO_PARAM_CHOICE_ROW(                                                                       \
            zo_sites_settings, place, ZO_ENTER_AUTO, "auto|outputs|weights",                       \
            "where noise enters; auto: the weights of a layer where so many draws of them cost "   \
            "less than a complete set of its outputs"),                                            \
        ZO_PARAM_INT_ROW(zo_sites_settings, draws, 16, 1, 4096,                                    \
                         "random draws per example and site; auto: at most so many"),              \
        ZO_PARAM_INT_ROW(zo_sites_settings, examples, 0, 0, 65536,                                 \
                         "examples of the batch that a complete set is taken for; 0: as `limit` "  \
                         "says"),                                                                  \
        ZO_PARAM_CHOICE_ROW(zo_sites_settings, sides, ZO_SIDES_AUTO, "auto|one|two",               \
                            "one: against the clean loss; two: against the opposite draw; auto: "  \
                            "two where something jumps, and at the last layer"),                   \
        ZO_PARAM_REAL_ROW(zo_sites_settings, sigma, 0.01, 1e-6, 100,                               \
                          "size of a move of a layer's outputs"),                                  \
        ZO_PARAM_REAL_ROW(                                                                         \
            zo_sites_settings, sigma_jump, 1, 1e-6, 100,                                           \
            "the same where something behind it jumps, in units of what that takes: 1 for step, "  \
            "sign, wta and a loss, one and a half of its steps for quant; of weights, over the "   \
            "root of the inputs"),                                                                 \
        ZO_PARAM_REAL_ROW(zo_sites_settings, sigma_weights, 0.01, 1e-6, 100,                       \
                          "size of a move of a layer's weights"),                                  \
        ZO_PARAM_CHOICE_ROW(zo_sites_settings, scale, 0, "absolute|relative",                      \
                            "relative: `sigma` is in units of the root mean square of the "        \
                            "example's outputs of that layer"),                                    \
        ZO_PARAM_REAL_ROW(zo_sites_settings, limit, 0.3, 0, 1e9, limit_help),                      \
        ZO_PARAM_CHOICE_ROW(zo_sites_settings, shaping, ZO_SHAPE_RAW, ZO_SHAPING_CHOICES,          \
                            "what becomes of an example's losses at a site"),                      \
        ZO_PARAM_CHOICE_ROW(                                                                       \
            zo_sites_settings, noise, ZO_NOISE_RADEMACHER, ZO_NOISE_ALL_CHOICES,                   \
            "distribution of random draws; hadamard: signs, orthogonal over an example's draws")

/* How a stage is treated; count 0: it has no parameters that move. */
typedef struct zo_site_plan {
    bool complete, weights, relative;
    int entry; /* of draws, as in zo_place */
    int sides;
    int shaping;                 /* zo_shaping */
    int examples, most_examples; /* of the batch, now and at most */
    float sigma;
    size_t count, most_count; /* outputs or draws, now and at most */
    size_t floats;            /* of a draw, pads included */
    double numbers;           /* d: numbers that a draw moves */
    double set_cost; /* multiply-adds of an example: of a complete set, or of one draw; all sides */
} zo_site_plan;

/* Fills *site and, of complete sets, *way. adapts: examples and draws may grow up to the whole batch and `draws`. */
void zo_site_plan_make(zo_site_plan *site, zo_way *way, const zo_learner *l, int stage,
                       const zo_sites_settings *set, bool adapts);

/* Whether the settings leave to the plan how much is spent on a stage. */
bool zo_site_is_free(const zo_site_plan *site, const zo_sites_settings *set);

/* What `count` draws add to the variance of what an example says, over the square of that: (d - 1)/K of signs, (d + 1)/K of normal numbers,
 * (d - K)/K of orthogonal signs, which are complete when there are as many as numbers. */
double zo_site_spread(const zo_site_plan *site, zo_noise_kind noise, size_t count);

/* The examples that come near n and suit the work: whole items of it where they are several. */
int zo_site_examples(const zo_learner *l, double n);

/* A line about it. */
void zo_site_plan_show(const zo_site_plan *site, const zo_learner *l, int stage, char *out,
                       size_t room);

#endif

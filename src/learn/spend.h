/* How much to spend on each layer of a step.
 *
 * A direction with variance v, over the squared length of its mean, has cosine 1 / sqrt(1 + v) with it. A layer is taken to get on as fast as by
 * 1 / (1 + v / tolerance) of an exact step. No layer can stand for another; so what a choice is worth for the network is the geometric mean
 * over its layers, for each multiply-add of the step:
 *
 *   sum over layers log(1 / (1 + v / tolerance)) - layers log(base + sum over layers cost)
 *
 * is made as large as it can be by changing one layer after the other. Where all is noise that is the same cost for each layer; where there is
 * none, the least.
 */
#ifndef ZO_LEARN_SPEND_H
#define ZO_LEARN_SPEND_H

/* What there is to choose from for a layer: options in the order of their cost. */
typedef struct zo_spend {
    int options, chosen;
    const double *variance, *cost; /* [options] */
} zo_spend;

/* Sets layer[n].chosen, beginning with what it is. base > 0: what the step costs besides. */
void zo_spend_choose(zo_spend *layer, int n, double base, double tolerance);

/* What the present choice is worth. */
double zo_spend_worth(const zo_spend *layer, int n, double base, double tolerance);

#endif

#include "learn/spend.h"

#include <math.h>
#include <stdbool.h>

#define SWEEPS_MOST 100 /* each makes it better; a few are enough */

static double cost_of(const zo_spend *l) { return l->cost[l->chosen]; }

double zo_spend_worth(const zo_spend *layer, int n, double base, double tolerance)
{
    double worth = 0, cost = base;
    for (int i = 0; i < n; i++) {
        worth -= log1p(layer[i].variance[layer[i].chosen] / tolerance);
        cost += cost_of(layer + i);
    }
    return worth - n * log(cost);
}

/* The best option of layer l where `others` is the cost of all else; ties go to the cheapest. */
static int best_of(const zo_spend *l, int n, double others, double tolerance)
{
    int best = 0;
    double most = -INFINITY;
    for (int o = 0; o < l->options; o++) {
        double worth = -log1p(l->variance[o] / tolerance) - n * log(others + l->cost[o]);
        if (worth <= most) continue;
        most = worth;
        best = o;
    }
    return best;
}

void zo_spend_choose(zo_spend *layer, int n, double base, double tolerance)
{
    bool changed = true;
    for (int sweep = 0; changed && sweep < SWEEPS_MOST; sweep++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            double others = base;
            for (int k = 0; k < n; k++) others += k == i ? 0 : cost_of(layer + k);
            int best = best_of(layer + i, n, others, tolerance);
            changed |= best != layer[i].chosen;
            layer[i].chosen = best;
        }
    }
}

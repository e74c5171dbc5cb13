/* One pair of members on the whole batch of a step, and nothing else: no unperturbed pass, no copy of the parameters. Noise is added to one
 * piece of the weights after the other, for the rows that run through it: so the parameters themselves are never touched, and what is held is
 * what inference holds.
 *
 *   direction = (L(w + sigma xi) - L(w - sigma xi)) / (2 sigma) xi
 *
 * An item of work is a fixed number of examples. The loss of a step is the mean over both members. An example that neither has a finite loss
 * for is left out; if one has and the other has not, the pair is dropped. Both are counted.
 */
#ifndef ZO_LEARN_PAIR_H
#define ZO_LEARN_PAIR_H

#include "learn/weights.h"

/* The state of an estimator begins with a zo_weights. sigma: what the plan says, see zo_pair_job(). */
zo_status zo_pair_init(zo_weights *w, double sigma, zo_noise_kind noise, const zo_learner *l);

/* The job of a step with that sigma. */
zo_job zo_pair_job(zo_weights *w, double sigma, const zo_update *update);

/* Members of the class zo_estimator_class, beside those of weights.h and population.h. */
size_t zo_pair_pack(const void *st, const double *results, double *out);
bool zo_pair_unpack(const void *st, const double *in, size_t n, double *results);

#endif

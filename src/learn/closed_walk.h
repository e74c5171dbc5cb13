/* Which lambdas of a list are tried where each costs much: a few around the usual one, and more beyond an end as long as that end is the best. */
#ifndef ZO_LEARN_CLOSED_WALK_H
#define ZO_LEARN_CLOSED_WALK_H

#include <stdbool.h>
#include <stddef.h>

/* Those that are the best on images, in units of the mean variance of features times the rows, are mostly near it. */
#define ZO_WALK_USUAL 1e-3

typedef struct zo_walk {
    size_t listed;   /* lambdas of the list */
    size_t begin, n; /* those at hand */
    size_t from, to; /* those tried, those at hand among them: from <= i < to */
} zo_walk;

/* lambda [listed], ascending; `few` at a time, all where there are no more. */
zo_walk zo_walk_start(const double *lambda, size_t listed, size_t few);

/* The next ones, or false: that is all. best: of those tried, `listed` if none of them has a solution, which larger ones may have. better: it is so
 * much better than the middle of those at hand that what lies beyond may be better still. */
bool zo_walk_on(zo_walk *w, size_t best, bool better);

#endif

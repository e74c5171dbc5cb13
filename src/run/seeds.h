/* Seeds files: a network as the seed it began with and the weights of the draws of each step.
 *
 *     16 bytes "zeroth seeds 1\n", u32 size, JSON: {"recipe": see recipe.h, "notes": {...}, "steps", "draws",
 *              "model_bytes", "numbers": checksum of the network's}
 *     packed as in base/deflate.h: progress[steps]; weight[steps][draws]; input shift, scale [inputs] each, output shift, scale [outputs] each
 *     u64 xxh3 of all that
 */
#ifndef ZO_RUN_SEEDS_H
#define ZO_RUN_SEEDS_H

#include <zeroth/run.h>

/* Whether the file at `path` begins like one. */
bool zo_seeds_there(const char *path);

/* Takes the steps of a seeds file. Errors: NOT_FOUND, IO, FORMAT, CHANGED (another version of zeroth would come to
 * another network), NO_MEMORY. */
zo_status zo_seeds_load(zo_context *ctx, const char *path, zo_net **out);

#endif

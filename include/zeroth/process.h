/* Processes: items of work that programs evaluate.
 *
 * A pool starts a program of your own in child processes, hands them items, which are lines of text, and
 * reads a loss, or several, for each. What a child does wrong costs its item and nothing else: a crash, a
 * hang or an unreadable reply is a failed attempt; the item is tried once more, in a fresh process, and then
 * has the worst loss, +infinity. Failures are counted and logged. docs/processes.md has the protocol.
 *
 *     const char *argv[] = {"./simulate", "--fast", NULL};
 *     zo_process_def def = zo_process_default_def();
 *     def.argv = argv;
 *     zo_process_create(ctx, &def, &pool);
 *     zo_process_evaluate(pool, 2, (const char *[]){"0.5 1", "2 3"}, losses);
 *     zo_process_destroy(pool);
 *
 * A result depends on the program and the item alone, not on the number of children, the child that served
 * it, or the order in which they end; but a time limit depends on how busy the machine is.
 *
 * Children run in the folder and with the environment of the host, in process groups of their own. The
 * host's signal handlers are left alone, and its other children are not waited for.
 */
#ifndef ZEROTH_PROCESS_H
#define ZEROTH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <zeroth/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque; made by zo_process_create(). */
typedef struct zo_process_pool zo_process_pool;

/** Start from zo_process_default_def() and change fields. */
typedef struct zo_process_def {
    /** The program and its arguments, NULL-terminated; required. A program without a slash is looked for in
     *  the host's PATH. Unless the child stays, "{x}" in an argument stands for the item; no shell reads it. */
    const char *const *argv;
    /** true: a child serves many items, a line in and a line out for each. false: one process for each
     *  item, which has it on standard input (and where "{x}" stands), and must end with status 0. */
    bool stays;
    int processes;  /**< children at once, up to 1024; 0: as many as the context has threads */
    int results;    /**< numbers an item gives, 1 to 1,000,000 */
    double seconds; /**< for one item, from handing it over to the reply; infinite: no limit */
    double seconds_start; /**< more for the first item of a child that stays: it may have to load */
    int64_t memory; /**< bytes of address space of each process, at least 1 MiB; 0: no limit of ours */
    int64_t output; /**< bytes an item may write to standard output, up to 1 GiB; 0: 64 KiB and 32 a result */
} zo_process_def;

/** {NULL, true, 0, 1, 60, 10, 0, 0}. */
ZO_API zo_process_def zo_process_default_def(void);

/** What became of the items since the pool was made. Attempts that failed are counted by their cause:
 *  crashed + timed_out + garbage + too_much + not_started = retried + failed, unless a call was cancelled. */
typedef struct zo_process_counts {
    int64_t items;      /**< that have results, the worst loss included */
    int64_t failed;     /**< of these, whose second attempt failed too */
    int64_t retried;    /**< tried a second time */
    int64_t not_finite; /**< answered well, with a loss that is not finite */
    int64_t crashed; /**< attempts: ended by a signal, with a status other than 0, or without a reply */
    int64_t timed_out;   /**< attempts: past the time limit */
    int64_t garbage;     /**< attempts: a reply that is not what was asked for */
    int64_t too_much;    /**< attempts: more output than allowed */
    int64_t not_started; /**< attempts: the system could not start the program */
    int64_t started;     /**< child processes */
} zo_process_counts;

/** Makes a pool and finds the program; children start when there are items for them. `def` is not needed
 *  afterwards. Errors: USAGE (no program, a field outside its range, "{x}" in the arguments of a child that
 *  stays), NOT_FOUND (a program that is not there or cannot be executed; names the nearest one), NO_MEMORY.
 *  On failure *out is NULL. The pool must be destroyed before `ctx`. */
ZO_API zo_status zo_process_create(zo_context *ctx, const zo_process_def *def,
                                   zo_process_pool **out);

/** Evaluates items[n], single lines without a line end, into results[n][results of the definition]. Losses
 *  that are not finite become +infinity, and so do all results of an item that failed twice: that is no
 *  error. Each failed attempt is logged as a warning, after the tenth of a call only their number. Runs on the calling
 *  thread; no thread and nobody else's child is touched. Errors: USAGE (n < 0, NULL, an item of several lines;
 *  nothing is started), NO_MEMORY, CANCELLED (zo_cancel() was called, before or meanwhile: all children of the
 *  pool are ended within a second or so, and results not yet there are +infinity). The pool can be used again
 *  after each of them. */
ZO_API zo_status zo_process_evaluate(zo_process_pool *pool, int64_t n, const char *const *items,
                                     double *results);

/** The counts so far; all 0 for NULL. */
ZO_API zo_process_counts zo_process_counted(const zo_process_pool *pool);

/** Ends the children, frees the pool. A child that stays sees the end of its input and has half a second to
 *  leave; then SIGTERM, and a quarter of a second later SIGKILL, go to its process group. NULL is legal. */
ZO_API void zo_process_destroy(zo_process_pool *pool);

#ifdef __cplusplus
}
#endif
#endif

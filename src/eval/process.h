/* The inside of a pool of processes: its children, their pipes, and what they reply.
 *
 * process.c makes a pool, process_serve.c is the loop that serves items, process_child.c one child with its pipes, process_find.c
 * looks for the program, process_reply.c reads a line.
 *
 * A job (evaluator.h) whose items have texts would use a pool like this: on the calling thread, make the texts of all items, call
 * zo_process_evaluate(), whose results[n][results] lie as zo_evaluator_class.run has them, then check, settle and direction on the
 * context's threads as zo_evaluator_threads does. No job has texts yet, so there is no such class.
 */
#ifndef ZO_EVAL_PROCESS_H
#define ZO_EVAL_PROCESS_H

#include <poll.h>
#include <sys/types.h>
#include <zeroth/process.h>

#include "base/context.h"

/* Why an attempt failed. ZO_NO_CAUSE: it did not. */
typedef enum zo_cause {
    ZO_NO_CAUSE,
    ZO_CRASHED,
    ZO_TIMED_OUT,
    ZO_GARBAGE,
    ZO_TOO_MUCH,
    ZO_NOT_STARTED
} zo_cause;

typedef enum zo_child_state {
    ZO_CHILD_NONE,  /* no process */
    ZO_CHILD_IDLE,  /* a process without an item */
    ZO_CHILD_BUSY,  /* at work on `item` */
    ZO_CHILD_ENDING /* being ended; then `item`, if there is one, has failed or starts afresh */
} zo_child_state;

/* How urgently a child is asked to end. */
typedef enum zo_urgency { ZO_END_INPUT, ZO_END_TERM, ZO_END_KILL } zo_urgency;

typedef struct zo_child {
    zo_child_state state;
    pid_t pid;        /* also its process group; 0: none */
    int in, out, err; /* our ends of its pipes, which never block; -1: closed */
    int handle;       /* a pidfd: readable when the process has ended; -1: this kernel has none */
    int polled;       /* where its descriptors begin in the pool's list */
    bool fresh;       /* has served no item yet */

    int64_t item; /* -1: none */
    bool again;   /* this is the second attempt */
    const char *text;
    size_t size, sent;  /* of the text and its line end */
    char *reply;        /* [output + 1] */
    size_t got, looked; /* bytes read, and searched for a line end */
    int64_t deadline;   /* of the item, or of the present urgency */

    zo_urgency urgency;
    zo_cause cause;
    char why[192];             /* the cause in words */
    char line[160], last[160]; /* of its standard error: the unfinished line, the last whole one */
    size_t line_size;
} zo_child;

#define ZO_CHILD_POLLED 4 /* descriptors of a child that the loop waits for */

struct zo_process_pool {
    zo_context *ctx;
    zo_process_def def;                     /* without the host's argv */
    int64_t seconds, seconds_start, output; /* nanoseconds, bytes */
    char *path;                             /* of the program */
    char **argv, **args;                    /* as given; with the item for {x} */
    char *text;                             /* of args[] */
    size_t room;
    zo_child *child;                  /* [def.processes] */
    char *reply;                      /* [def.processes][output + 1] */
    struct pollfd *polls;             /* [def.processes][ZO_CHILD_POLLED] at most */
    zo_process_counts counts, before; /* before: the present call */
};

/* What a call is to do. */
typedef struct zo_process_work {
    const char *const *items;
    int64_t n, next;
    double *results;
} zo_process_work;

/* ---- process_serve.c ---- */

/* Serves all items, whose results are +infinity so far. OK or CANCELLED. */
zo_status zo_process_serve(zo_process_pool *p, zo_process_work *work);

/* Ends all children, and returns when none is left. */
void zo_process_end(zo_process_pool *p, zo_urgency urgency);

/* ---- process_child.c ---- */

/* Nanoseconds of a clock that nobody sets. */
int64_t zo_process_now(void);

/* Starts `path` with `argv` and gives the child its pipes. Returns 0 or an errno. */
int zo_child_start(zo_child *c, const char *path, char *const *argv);
/* Limits the address space of a child that was just started. False if it holds more already, or cannot be limited. */
bool zo_child_limit(const zo_child *c, int64_t memory);
/* Whether the process has ended, reaped or not. */
bool zo_child_ended(const zo_child *c);
/* Kills what is left of the group of a process that has ended, reaps it, closes the pipes. Returns its status as waitpid() gives it; 0 if
 * somebody else has taken it. */
int zo_child_reap(zo_child *c);
/* Closes the pipes and forgets the process. */
void zo_child_forget(zo_child *c);
/* Whether a child without an item still waits for one: it has not ended, closed its input, or written anything. */
bool zo_child_waits(const zo_child *c);
/* Tells the whole group. */
void zo_child_signal(const zo_child *c, int signal);
void zo_child_close_input(zo_child *c);

/* Writes as much of the item as fits now, without a SIGPIPE. False: the child has closed its input. */
bool zo_child_send(zo_child *c);
/* Reads once from standard output, up to `most` bytes in all: what read() returns, -1 also for "nothing there". */
ssize_t zo_child_receive(zo_child *c, size_t most);
/* Reads standard error and keeps its last line. */
void zo_child_listen(zo_child *c);
/* The last words on standard error, or "". */
const char *zo_child_last_words(zo_child *c);

/* ---- process_find.c ---- */

/* The absolute path of a program, zo_alloc'ed. Errors: USAGE (no name), NOT_FOUND with the nearest one, NO_MEMORY. */
zo_status zo_program_find(const zo_context *ctx, const char *name, char **path);

/* ---- process_reply.c ---- */

/* Reads `n` numbers from a line (without its end): a number if n is 1, a JSON array, or a JSON object with either as "loss"; null, NaN
 * and infinities are numbers. The line is changed. False: it is something else, and why[room] says what. */
bool zo_reply_read(const zo_context *ctx, char *line, size_t size, int n, double *out, char *why,
                   size_t room);

#endif

/* The journal: what a run cannot work out again. Append-only; each entry before what it tells of is used.
 *
 *     16 bytes  "zeroth journal 1"
 *     entries   u64 checksum | u32 bytes | u16 type | u16 version (1) | the bytes
 *
 * An entry's checksum is xxh3 of all that follows it, seeded with the checksum of the entry before, so that neither torn nor stale bytes
 * pass. Little-endian. What lies behind the last sound entry is dropped when the journal is opened for writing.
 */
#ifndef ZO_RUN_JOURNAL_H
#define ZO_RUN_JOURNAL_H

#include "base/append.h"

typedef enum zo_entry_type {
    ZO_ENTRY_START = 1, /* JSON: what the run is made of; see recipe.h */
    ZO_ENTRY_RESUME,    /* the same, of the process that goes on from here */
    ZO_ENTRY_STEP, /* i64 step (from 1), f64 progress, f64 seconds of training so far: this step is taken next */
    ZO_ENTRY_LOSSES, /* i64 step, f64 ...: what determines the step just named, besides the seed */
    ZO_ENTRY_LOOK, /* i64 step, f64 validation loss, f64 accuracy: what the look at the validation part gave after that step; then, if that is of
                      the averaged parameters, i64 1 */
    ZO_ENTRY_LAST_LOOK, /* the same, when a run ends or stops: no part of its course */
    ZO_ENTRY_GAP, /* i64 step: entries were lost while the disk failed; the next step is this one */
    ZO_ENTRY_END, /* i64 steps, i64 zo_end */
    ZO_ENTRY_FORCE, /* as RESUME, of a run that goes on although something has changed; "forced" tells what */
    ZO_ENTRY_TYPES
} zo_entry_type;

/* How a run ended. */
typedef enum zo_end { ZO_END_DONE, ZO_END_STOPPED, ZO_END_DIVERGED } zo_end;

typedef struct zo_entry {
    zo_entry_type type; /* 0: there is no further sound entry */
    const char *data;   /* valid until the next one is read */
    size_t size;
    int64_t step;        /* the number that most entries begin with */
    double a, b;         /* STEP: progress, seconds. LOOK, LAST_LOOK: loss, accuracy */
    int64_t end;         /* END */
    bool averaged;       /* LOOK, LAST_LOOK */
    const double *value; /* LOSSES: [values] */
    size_t values;
} zo_entry;

typedef struct zo_journal {
    zo_append file; /* fd -1 when only read */
    const zo_context *ctx;
    uint64_t sum; /* of the last entry read or added */
    bool missing; /* entries did not fit into memory while the disk failed: a GAP follows */
    /* reading */
    int fd;
    int64_t at, length; /* of the entry after the present one; of the file */
    int64_t taken;      /* where the last taken entry ends */
    uint64_t taken_sum;
    int64_t taken_step; /* the last step that a taken entry names */
    zo_entry entry;     /* the one zo_journal_take() goes past */
    char *buffer;
    size_t room;
} zo_journal;

/* Opens a run's journal, locked, to add to it and first to read what it holds: the present entry is the first. An entry of up to `most` bytes is
 * always written whole or kept. *fresh: it holds nothing. One that does not begin like a journal has no
 * sound entry. Errors: BUSY, NOT_FOUND, IO, FORMAT (not a file), NO_MEMORY. */
zo_status zo_journal_open(zo_journal *j, const zo_context *ctx, const char *path, bool make,
                          size_t most, bool *fresh);
/* The same to read only, without a lock. Errors: FORMAT also if it does not begin like a journal. */
zo_status zo_journal_read(zo_journal *j, const zo_context *ctx, const char *path);
/* Frees and closes, without writing; legal on a zeroed struct. */
void zo_journal_close(zo_journal *j);

/* What a journal tells as a whole. */
typedef struct zo_survey {
    zo_buffer recipe;      /* of the last START, RESUME or FORCE; empty: there is none */
    int64_t named;         /* the last step it names */
    int64_t done;          /* the last step that is known to have been taken */
    int64_t resumed;       /* RESUME and FORCE entries */
    int64_t forced;        /* steps done before the first of them that was forced, or -1 */
    int64_t gap;           /* the first step after a gap, or -1 */
    int64_t unsound;       /* bytes behind the last sound entry */
    bool ended;            /* nothing follows the last END */
    zo_end end;            /* how, then */
    bool looked;           /* a LAST_LOOK follows all steps that were taken; */
    bool averaged;         /* what it looked at; */
    double loss, accuracy; /* what it gave */
    double seconds;        /* of training, when the last step began */
} zo_survey;

/* Reads all entries, and is at the first again. zo_buffer_free(&out->recipe) is due also after a failure. Errors: IO, NO_MEMORY. */
zo_status zo_journal_survey(zo_journal *j, zo_survey *out);

/* Goes past the present entry to the next. Errors: NO_MEMORY, IO. */
zo_status zo_journal_take(zo_journal *j);
/* Drops the present entry and all after it; entries are added from here on. Errors: IO. */
zo_status zo_journal_turn(zo_journal *j);

/* Adds an entry; it waits in memory for the next push. `a` and `b` as in zo_entry. */
void zo_journal_add_step(zo_journal *j, int64_t step, double progress, double seconds);
void zo_journal_add_losses(zo_journal *j, int64_t step, const double *value, size_t n);
void zo_journal_add_look(zo_journal *j, zo_entry_type type, int64_t step, double loss,
                         double accuracy, bool averaged);
void zo_journal_add_text(zo_journal *j, zo_entry_type type, const char *text, size_t size);
void zo_journal_add_gap(zo_journal *j, int64_t step);
void zo_journal_add_end(zo_journal *j, int64_t steps, zo_end end);

/* Writes what waits; sync: to the disk itself. Errors: IO; nothing is lost then unless memory runs out. */
zo_status zo_journal_push(zo_journal *j);
zo_status zo_journal_sync(zo_journal *j);

#endif

/* Serving items: each child is idle, at work, or being ended, and one loop on the calling thread moves them all. */
#include "eval/process.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define SECOND 1000000000
#define TICK (SECOND / 20)        /* how long a cancellation may go unseen */
#define SHORT_TICK (SECOND / 200) /* where nothing wakes us when a process ends */
#define LOGGED 10                 /* failed attempts of a call that get a line each */

/* How long a child may take to end, by urgency; after the last it is given up. */
static const int64_t patience[] = {SECOND / 2, SECOND / 4, 2ll * SECOND};

/* ---- an attempt fails ---- */

static void end(zo_child *c, zo_urgency urgency)
{
    c->state = ZO_CHILD_ENDING;
    c->urgency = urgency;
    c->deadline = zo_process_now() + (c->pid ? patience[urgency] : 0);
    zo_child_close_input(c);
    if (c->pid && urgency == ZO_END_TERM) zo_child_signal(c, SIGTERM);
    if (c->pid && urgency == ZO_END_KILL) zo_child_signal(c, SIGKILL);
}

static void fail(zo_child *c, zo_cause cause, const char *why)
{
    c->cause = cause;
    snprintf(c->why, sizeof c->why, "%s", why);
    for (char *at = c->why; *at; at++) /* it may quote the child, and end on a terminal */
        if ((unsigned char)*at < 32 || *at == 127) *at = '?';
    end(c, ZO_END_TERM);
}

static void count(zo_process_counts *counts, zo_cause cause)
{
    counts->crashed += cause == ZO_CRASHED;
    counts->timed_out += cause == ZO_TIMED_OUT;
    counts->garbage += cause == ZO_GARBAGE;
    counts->too_much += cause == ZO_TOO_MUCH;
    counts->not_started += cause == ZO_NOT_STARTED;
}

static int64_t failures(const zo_process_counts *counts)
{
    return counts->crashed + counts->timed_out + counts->garbage + counts->too_much +
           counts->not_started;
}

static void complain(const zo_process_pool *p, zo_child *c)
{
    int64_t nth = failures(&p->counts) - failures(&p->before);
    if (nth > LOGGED) return;
    const char *words = zo_child_last_words(c);
    zo_log(p->ctx, ZO_LOG_WARNING, "%.120s: item %lld failed: %s%s%s%s; %s%s", p->argv[0],
           (long long)c->item, c->why, *words ? "; its last words: \"" : "", words,
           *words ? "\"" : "", c->again ? "it has the worst loss" : "it is tried again",
           nth == LOGGED ? "; further failures of this call are only counted" : "");
}

static void summarise(const zo_process_pool *p)
{
    const zo_process_counts *a = &p->before, *b = &p->counts;
    if (failures(b) - failures(a) <= LOGGED) return;
    zo_log(
        p->ctx, ZO_LOG_WARNING,
        "%.120s: %lld of %lld items failed; attempts: %lld crashed, %lld timed out, %lld garbage, "
        "%lld too much output, %lld not started",
        p->argv[0], (long long)(b->failed - a->failed), (long long)(b->items - a->items),
        (long long)(b->crashed - a->crashed), (long long)(b->timed_out - a->timed_out),
        (long long)(b->garbage - a->garbage), (long long)(b->too_much - a->too_much),
        (long long)(b->not_started - a->not_started));
}

/* ---- an attempt starts ---- */

static const char closed_input[] = "it closed its input without a reply";

/* False: the attempt is over. */
static bool feed(const zo_process_pool *p, zo_child *c)
{
    bool open = zo_child_send(c);
    if (!open && p->def.stays) return fail(c, ZO_CRASHED, closed_input), false;
    if (!open) c->sent = c->size; /* it need not read what it may have as an argument */
    if (c->sent == c->size && !p->def.stays) zo_child_close_input(c);
    return true;
}

static void hand_over(const zo_process_pool *p, zo_child *c)
{
    c->state = ZO_CHILD_BUSY;
    c->sent = c->got = c->looked = 0;
    c->cause = ZO_NO_CAUSE;
    c->deadline = zo_process_now() + p->seconds + (c->fresh ? p->seconds_start : 0);
    c->fresh = false;
    feed(p, c);
}

/* The arguments with the item where {x} stands; reserve() has made room. */
static char *const *arguments(zo_process_pool *p, const char *item)
{
    if (p->def.stays) return p->argv;
    char *to = p->text;
    for (int i = 0; p->argv[i]; i++) {
        const char *from = p->argv[i], *mark;
        p->args[i] = i ? to : p->argv[i];
        if (!i) continue;
        for (; (mark = strstr(from, "{x}")); from = mark + 3) {
            memcpy(to, from, (size_t)(mark - from));
            to = stpcpy(to + (mark - from), item);
        }
        to = stpcpy(to, from) + 1;
    }
    return p->args;
}

static void start(zo_process_pool *p, zo_child *c)
{
    char text[128], why[192];
    int error = zo_child_start(c, p->path, arguments(p, c->text));
    if (error) {
        snprintf(why, sizeof why, "it could not be started: %s%s",
                 strerror_r(error, text, sizeof text),
                 error == ENOEXEC ? " (a script needs a first line like #!/bin/sh)" : "");
        fail(c, ZO_NOT_STARTED, why);
        /* processes, descriptors or memory may come back */
        if (error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM)
            c->deadline += 2 * TICK;
        return;
    }
    p->counts.started++;
    if (!p->def.memory || zo_child_limit(c, p->def.memory)) {
        hand_over(p, c);
        return;
    }
    snprintf(why, sizeof why, "its memory could not be kept to %lld bytes",
             (long long)p->def.memory);
    fail(c, ZO_CRASHED, why);
}

static void take(zo_process_pool *p, zo_child *c, int64_t item, const char *text)
{
    c->item = item;
    c->again = false;
    c->text = text;
    c->size = strlen(text) + 1;
    c->cause = ZO_NO_CAUSE;
    if (c->state == ZO_CHILD_NONE) {
        start(p, c);
    } else if (zo_child_waits(c)) {
        hand_over(p, c);
    } else { /* it has left, or said more than it was asked for: no fault of this item's */
        c->got = 0;
        if (zo_child_receive(c, 1) > 0)
            zo_log(p->ctx, ZO_LOG_WARNING,
                   "%.120s: a child wrote a line that was not asked for, and is replaced; replies "
                   "before it may be those of other items",
                   p->argv[0]);
        end(c, ZO_END_TERM);
    }
}

/* ---- an attempt ends ---- */

/* Takes the reply in the first `size` bytes. */
static bool accept_reply(zo_process_pool *p, zo_child *c, size_t size, double *results)
{
    double *to = results + (size_t)c->item * (size_t)p->def.results;
    bool finite = true;
    if (!zo_reply_read(p->ctx, c->reply, size, p->def.results, to, c->why, sizeof c->why)) {
        for (int i = 0; i < p->def.results; i++) to[i] = HUGE_VAL;
        return false;
    }
    for (int i = 0; i < p->def.results; i++) {
        if (isfinite(to[i])) continue;
        to[i] = HUGE_VAL;
        finite = false;
    }
    p->counts.items++;
    p->counts.not_finite += !finite;
    c->item = -1;
    return true;
}

/* What is wrong with the reply so far, whose first line has `line` bytes; NULL: nothing. */
static const char *fault_of(const zo_process_pool *p, const zo_child *c, size_t line)
{
    if (line + 1 < c->got) return "more than one line for one item";
    if (p->def.stays && c->sent < c->size) return "it replied before it had read its item";
    return NULL;
}

/* Looks at what has been read; `last` says that nothing more will come. True: the attempt is over, and
 * the child idle if it was good. */
static bool judge(zo_process_pool *p, zo_child *c, bool last, double *results)
{
    char why[192];
    if (c->got > (size_t)p->output) {
        snprintf(why, sizeof why, "more than %lld bytes of output", (long long)p->output);
        return fail(c, ZO_TOO_MUCH, why), true;
    }
    if (!p->def.stays && !last) return false;
    const char *end_of_line = memchr(c->reply + c->looked, '\n', c->got - c->looked);
    c->looked = c->got;
    if (!end_of_line && (p->def.stays || !c->got)) return false;
    size_t line = end_of_line ? (size_t)(end_of_line - c->reply) : c->got;
    const char *fault = fault_of(p, c, line);
    if (!fault && accept_reply(p, c, line, results)) {
        c->state = ZO_CHILD_IDLE;
    } else {
        snprintf(why, sizeof why, "%s", fault ? fault : c->why);
        fail(c, ZO_GARBAGE, why);
    }
    return true;
}

static void describe(int status, char *why, size_t room)
{
    if (WIFSIGNALED(status)) {
        const char *name = NULL;
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 32)
        name = sigdescr_np(WTERMSIG(status));
#endif
        snprintf(why, room, "it was ended by signal %d%s%s%s", WTERMSIG(status), name ? " (" : "",
                 name ? name : "", name ? ")" : "");
    } else if (WEXITSTATUS(status)) {
        snprintf(why, room, "it ended with status %d", WEXITSTATUS(status));
    } else {
        snprintf(why, room, "it ended without a reply");
    }
}

/* The process has ended by itself: what it left in its pipes decides, and its status. */
static void conclude(zo_process_pool *p, zo_child *c, double *results)
{
    char why[192];
    while (c->out >= 0 && c->got <= (size_t)p->output)
        if (zo_child_receive(c, (size_t)p->output + 1) <= 0) break;
    zo_child_listen(c);
    int status = zo_child_reap(c);
    bool bad = !p->def.stays && status && c->got <= (size_t)p->output;
    if (bad || !judge(p, c, true, results)) {
        describe(status, why, sizeof why);
        fail(c, ZO_CRASHED, why);
    }
    if (c->state == ZO_CHILD_IDLE) c->state = ZO_CHILD_NONE;
}

/* After the end of a child: its item is tried again, or has failed. */
static void settle(zo_process_pool *p, zo_child *c)
{
    c->state = ZO_CHILD_NONE;
    if (c->item < 0) return;
    if (c->cause) {
        count(&p->counts, c->cause);
        complain(p, c);
        if (c->again) {
            p->counts.items++;
            p->counts.failed++;
            c->item = -1;
            return;
        }
        c->again = true;
        p->counts.retried++;
    }
    start(p, c);
}

/* One look at a child that is being ended. */
static void watch_end(zo_process_pool *p, zo_child *c)
{
    bool ours = c->urgency >= ZO_END_TERM; /* a signal we sent may be what ended it */
    if (c->pid && zo_child_ended(c)) {
        zo_child_listen(c);
        int status = zo_child_reap(c);
        bool by_us = ours && WIFSIGNALED(status) &&
                     (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGKILL);
        if (c->cause == ZO_CRASHED && status && !by_us) describe(status, c->why, sizeof c->why);
        settle(p, c);
        return;
    }
    zo_child_listen(c);
    if (zo_process_now() < c->deadline) return;
    if (!c->pid) {
        settle(p, c);
    } else if (c->urgency < ZO_END_KILL) {
        end(c, c->urgency + 1);
    } else { /* it hangs in the kernel, on a dead disk for instance: that must not hold us up */
        zo_log(p->ctx, ZO_LOG_WARNING, "%s: process %ld does not even end when killed", p->argv[0],
               (long)c->pid);
        zo_child_forget(c);
        settle(p, c);
    }
}

/* ---- the loop ---- */

static int add_poll(zo_process_pool *p, int n, int fd, short events)
{
    p->polls[n] = (struct pollfd){.fd = fd, .events = events};
    return n + 1;
}

/* Waits until a child has something to say, a time is up, or a moment has passed. */
static void wait_for_news(zo_process_pool *p)
{
    int n = 0;
    int64_t now = zo_process_now(), until = now + TICK;
    for (int i = 0; i < p->def.processes; i++) {
        zo_child *c = &p->child[i];
        c->polled = n;
        if (c->state != ZO_CHILD_BUSY && c->state != ZO_CHILD_ENDING) continue;
        bool busy = c->state == ZO_CHILD_BUSY;
        n = add_poll(p, n, busy ? c->out : -1, POLLIN);
        n = add_poll(p, n, c->err, POLLIN);
        n = add_poll(p, n, busy ? c->in : -1, c->sent < c->size ? POLLOUT : 0);
        n = add_poll(p, n, c->handle, POLLIN);
        if (c->deadline < until) until = c->deadline;
        if (c->pid && c->handle < 0 && now + SHORT_TICK < until) until = now + SHORT_TICK;
    }
    struct timespec left = {.tv_nsec = until > now ? (long)(until - now) : 0};
    if (ppoll(p->polls, (nfds_t)n, &left, NULL) >= 0) return;
    /* a signal came, or the kernel is short of memory: look at everything, nothing blocks */
    for (int i = 0; i < n; i++) p->polls[i].revents = p->polls[i].fd < 0 ? 0 : p->polls[i].events;
}

/* True when the attempt is over. */
static bool read_reply(zo_process_pool *p, zo_child *c, double *results)
{
    ssize_t got = zo_child_receive(c, (size_t)p->output + 1);
    if (got > 0) return judge(p, c, false, results);
    if (got < 0 || !p->def.stays) return false;
    if (zo_child_ended(c)) return conclude(p, c, results), true;
    return fail(c, ZO_CRASHED, "it closed its output without a reply"), true;
}

/* One look at a child at work. */
static void watch_work(zo_process_pool *p, zo_child *c, double *results)
{
    const struct pollfd *out = &p->polls[c->polled], *err = out + 1, *in = out + 2,
                        *handle = out + 3;
    if (err->revents) zo_child_listen(c);
    if (out->revents && c->out >= 0 && read_reply(p, c, results)) return;
    if ((handle->revents || c->handle < 0) && zo_child_ended(c)) {
        conclude(p, c, results);
        return;
    }
    /* a child that stays and closes its input serves no more, whether the item was still in the pipe or not */
    if (p->def.stays && in->revents & POLLERR) {
        fail(c, ZO_CRASHED, closed_input);
        return;
    }
    if (in->revents && !feed(p, c)) return;
    if (zo_process_now() < c->deadline) return;
    char why[64];
    snprintf(why, sizeof why, "no reply in time: an item has %g seconds", p->def.seconds);
    fail(c, ZO_TIMED_OUT, why);
}

void zo_process_end(zo_process_pool *p, zo_urgency urgency)
{
    int left = 0;
    for (int i = 0; p->child && i < p->def.processes; i++) {
        zo_child *c = &p->child[i];
        c->item = -1;
        if (c->pid && c->state != ZO_CHILD_ENDING) end(c, urgency);
        left += c->pid != 0;
        if (!c->pid) c->state = ZO_CHILD_NONE;
    }
    while (left) {
        wait_for_news(p);
        left = 0;
        for (int i = 0; i < p->def.processes; i++) {
            if (p->child[i].state == ZO_CHILD_ENDING) watch_end(p, &p->child[i]);
            left += p->child[i].state == ZO_CHILD_ENDING;
        }
    }
}

static zo_status serve(zo_process_pool *p, zo_process_work *work)
{
    for (;;) {
        int busy = 0;
        if (zo_cancelled(p->ctx)) {
            zo_process_end(p, ZO_END_TERM);
            return zo_fail(p->ctx, ZO_CANCELLED, "stopped on request");
        }
        for (int i = 0; i < p->def.processes; i++) {
            zo_child *c = &p->child[i];
            if (c->item < 0 && work->next < work->n) {
                take(p, c, work->next, work->items[work->next]);
                work->next++;
            }
            busy += c->item >= 0;
        }
        if (!busy) return ZO_OK;
        wait_for_news(p);
        for (int i = 0; i < p->def.processes; i++) {
            zo_child *c = &p->child[i];
            if (c->state == ZO_CHILD_BUSY)
                watch_work(p, c, work->results);
            else if (c->state == ZO_CHILD_ENDING)
                watch_end(p, c);
        }
    }
}

zo_status zo_process_serve(zo_process_pool *p, zo_process_work *work)
{
    p->before = p->counts;
    zo_status status = serve(p, work);
    summarise(p);
    return status;
}

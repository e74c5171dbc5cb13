#include "eval/process.h"

#include <math.h>
#include <string.h>

#define SECOND 1000000000

/* ---- create ---- */

zo_process_def zo_process_default_def(void)
{
    return (zo_process_def){.stays = true, .results = 1, .seconds = 60, .seconds_start = 10};
}

static int64_t nanoseconds(double seconds)
{
    return seconds < 1e9 ? (int64_t)(seconds * SECOND) : (int64_t)1e18;
}

static zo_status check(zo_context *ctx, const zo_process_def *def)
{
    if (!def || !def->argv || !def->argv[0])
        return zo_fail(ctx, ZO_USAGE, "a pool of processes needs a program in argv");
    if (def->processes < 0 || def->processes > ZO_THREADS_MAX)
        return zo_fail(ctx, ZO_USAGE, "processes=%d is outside its range: 0 to %d", def->processes,
                       ZO_THREADS_MAX);
    if (def->results < 1 || def->results > 1000000)
        return zo_fail(ctx, ZO_USAGE, "results=%d is outside its range: 1 to 1000000", def->results);
    if (!(def->seconds > 0) || !(def->seconds_start >= 0))
        return zo_fail(ctx, ZO_USAGE,
                       "the seconds of an item must be positive, those to start 0 or more");
    if (def->memory < 0 || (def->memory && def->memory < 1 << 20))
        return zo_fail(ctx, ZO_USAGE, "memory=%lld: 0 or at least 1048576 bytes are expected",
                       (long long)def->memory);
    if (def->output < 0 || def->output > 1 << 30)
        return zo_fail(ctx, ZO_USAGE, "output=%lld is outside its range: 0 to 1073741824 bytes",
                       (long long)def->output);
    for (int i = 1; def->argv[i]; i++) {
        if (def->stays && strstr(def->argv[i], "{x}"))
            return zo_fail(ctx, ZO_USAGE,
                           "argument %d holds {x}, but a child that stays reads its items from "
                           "standard input; set stays to false for one process an item",
                           i);
    }
    return ZO_OK;
}

static zo_status make(zo_process_pool *p, const char *const *argv)
{
    size_t n = 0, children = (size_t)p->def.processes;
    while (argv[n]) n++;
    p->argv = zo_alloc_zero(p->ctx, n + 1, sizeof *p->argv);
    p->args = zo_alloc_zero(p->ctx, n + 1, sizeof *p->args);
    p->child = zo_alloc_zero(p->ctx, children, sizeof *p->child);
    p->reply = zo_alloc(p->ctx, children * ((size_t)p->output + 1));
    p->polls = zo_alloc_zero(p->ctx, children * ZO_CHILD_POLLED, sizeof *p->polls);
    if (!p->argv || !p->args || !p->child || !p->reply || !p->polls) return ZO_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        p->argv[i] = zo_strdup(p->ctx, argv[i]);
        if (!p->argv[i]) return ZO_NO_MEMORY;
    }
    for (size_t i = 0; i < children; i++) {
        zo_child *c = &p->child[i];
        c->in = c->out = c->err = c->handle = -1;
        c->item = -1;
        c->reply = p->reply + i * ((size_t)p->output + 1);
    }
    return zo_program_find(p->ctx, p->argv[0], &p->path);
}

zo_status zo_process_create(zo_context *ctx, const zo_process_def *def, zo_process_pool **out)
{
    *out = NULL;
    zo_status status = check(ctx, def);
    if (status) return status;
    zo_process_pool *p = zo_alloc_zero(ctx, 1, sizeof *p);
    if (!p) return ZO_NO_MEMORY;
    p->ctx = ctx;
    p->def = *def;
    p->def.argv = NULL;
    if (!def->processes) p->def.processes = zo_context_threads(ctx);
    p->seconds = nanoseconds(def->seconds);
    p->seconds_start = def->stays ? nanoseconds(def->seconds_start) : 0;
    p->output = def->output ? def->output : 65536 + 32ll * def->results;
    status = make(p, def->argv);
    if (status)
        zo_process_destroy(p);
    else
        *out = p;
    return status;
}

zo_process_counts zo_process_counted(const zo_process_pool *p)
{
    return p ? p->counts : (zo_process_counts){0};
}

/* ---- evaluate and destroy ---- */

static zo_status check_items(zo_process_pool *p, const zo_process_work *work, size_t *longest)
{
    *longest = 0;
    if (work->n < 0 || (work->n && (!work->items || !work->results)))
        return zo_fail(p->ctx, ZO_USAGE, "items and room for their results are needed");
    for (int64_t i = 0; i < work->n; i++) {
        if (!work->items[i] || strchr(work->items[i], '\n'))
            return zo_fail(p->ctx, ZO_USAGE, "item %lld is not a single line", (long long)i);
        size_t size = strlen(work->items[i]);
        if (size > *longest) *longest = size;
    }
    return ZO_OK;
}

/* Room for the arguments of the longest item. */
static zo_status reserve(zo_process_pool *p, size_t longest)
{
    size_t room = 1;
    for (int i = 1; p->argv[i]; i++) {
        room += strlen(p->argv[i]) + 1;
        for (const char *at = p->argv[i]; (at = strstr(at, "{x}")); at += 3) room += longest;
    }
    if (p->def.stays || room <= p->room) return ZO_OK;
    zo_free(p->ctx, p->text);
    p->text = zo_alloc(p->ctx, room);
    p->room = p->text ? room : 0;
    return p->text ? ZO_OK : ZO_NO_MEMORY;
}

zo_status zo_process_evaluate(zo_process_pool *p, int64_t n, const char *const *items,
                              double *results)
{
    if (!p) return ZO_USAGE;
    zo_process_work work = {items, n, 0, results};
    size_t longest;
    zo_status status = check_items(p, &work, &longest);
    if (!status) status = reserve(p, longest);
    if (status) return status;
    for (int64_t i = 0; i < n * p->def.results; i++) results[i] = HUGE_VAL;
    return zo_process_serve(p, &work);
}

void zo_process_destroy(zo_process_pool *p)
{
    if (!p) return;
    zo_process_end(p, ZO_END_INPUT);
    zo_context *ctx = p->ctx;
    for (int i = 0; p->argv && p->argv[i]; i++) zo_free(ctx, p->argv[i]);
    zo_free(ctx, p->argv);
    zo_free(ctx, p->args);
    zo_free(ctx, p->text);
    zo_free(ctx, p->path);
    zo_free(ctx, p->child);
    zo_free(ctx, p->reply);
    zo_free(ctx, p->polls);
    zo_free(ctx, p);
}

/* The parts of zeroth show. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>

#include "cli.h"
#include "runs.h"

typedef struct show_options {
    const char *net, *sort;
    const char *inputs;
    cli_list filters;
    bool all, json;
} show_options;

/* The spec and the layers as a table; the same into an object. */
void show_print_net(const zo_net *net, int width);
void show_add_net(json_t *json, const zo_net *net);

/* Each gives the exit status. */
int show_run(zo_context *ctx, const show_options *o, const char *path);
int show_list(const show_options *o, const char *folder);
int show_compare(const show_options *o, const char *const *paths, int n);

/* Whether a folder one level below holds a run. */
bool show_holds_runs(const char *folder);

/* A scalar as people read it, in text[CLI_SHOWN] or elsewhere; NULL for null, objects and lists. */
enum { CLI_SHOWN = 64 };
const char *show_value(const char *key, const json_t *value, char *text);

#endif

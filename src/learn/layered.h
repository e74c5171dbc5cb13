/* What is said of single layers: settings of an estimator ("sigma@2=0.1"), and whose parameters stay ("freeze=0,2"). A layer is named by the
 * place of its word in the net spec, counted from 0, as plans and measurements do.
 */
#ifndef ZO_LEARN_LAYERED_H
#define ZO_LEARN_LAYERED_H

#include "base/params.h"
#include "nn/net.h"

typedef struct zo_layered_row {
    int stage;
    const zo_param *param;
} zo_layered_row;

/* The settings of a class, once for each stage. */
typedef struct zo_layered {
    const zo_net *net;
    const zo_class_info *of;
    size_t size, part;
    char *sets;          /* [stages][size]; allocated in any case */
    zo_layered_row *row; /* [rows] what was given, in order */
    int rows;
} zo_layered;

/* Whether a setting is one of a single layer. */
bool zo_layered_is(const char *setting);

/* Copies of `base` (size bytes), with those of `settings` that are of single layers applied. part: bytes of the struct whose settings a layer may
 * have of its own; 0: none. Errors: USAGE, NO_MEMORY; fini is due all the same. */
zo_status zo_layered_init(zo_layered *l, const zo_net *net, const zo_class_info *of, size_t size,
                          size_t part, const void *base, const char *const *settings);
void zo_layered_fini(zo_layered *l);

/* Writes "key@layer=value" of the index-th given setting; false past the last. */
bool zo_layered_show(const zo_layered *l, int index, char *out, size_t room);

/* The value of the setting `freeze`: "none", "body" (all layers with parameters but the last one, or the last of each branch) or places with commas between. */
#define ZO_FREEZE_NONE "none"
#define ZO_FREEZE_HELP                                                                             \
    "layers whose parameters stay: places of their words in the net, with commas between; body: "  \
    "all but the last one, of each branch where the net ends with branches; none"

/* frozen[stages] as that says. Errors: USAGE: no such layer, or nothing is left to train. */
zo_status zo_freeze_read(const zo_net *net, const char *text, bool *frozen);

#endif

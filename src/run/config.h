/* config.json: everything needed to start a run again, and what it was. */
#ifndef ZO_RUN_CONFIG_H
#define ZO_RUN_CONFIG_H

#include <zeroth/run.h>

#include "base/json.h"
#include "learn/trainer.h"

/* Writes it. Errors: IO, NO_MEMORY. */
zo_status zo_config_write(const zo_context *ctx, const char *path, const zo_train_def *def,
                          const zo_trainer *trainer);

/* The JSON as text and a line end, in *out, which is freed with zo_buffer_free() also on failure. Takes `json` over. */
zo_status zo_config_text(const zo_context *ctx, json_t *json, bool failed, size_t flags,
                         zo_buffer *out);

#endif

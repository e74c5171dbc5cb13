/* What the fuzz targets of runs share: a tiny task, a run directory in memory, and a definition that a few steps finish. */
#ifndef ZO_FUZZ_RUN_HOUSE_H
#define ZO_FUZZ_RUN_HOUSE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zeroth/run.h>

#include "base/files.h"
#include "learn/trainer.h"
#include "run/journal.h"

enum { HOUSE_N = 24, HOUSE_INPUTS = 2 };

static const char *const house_files[] = {
    "config.json", "metrics.jsonl",       "journal",
    "checkpoint",  "checkpoint.previous", "model.safetensors"};
enum { CONFIG, METRICS, JOURNAL, CHECKPOINT, PREVIOUS, MODEL, HOUSE_FILES };

static char house_folder[64], house_path[HOUSE_FILES][96];

typedef struct house {
    zo_context *ctx;
    zo_task *task;
} house;

static inline void require(int fine)
{
    if (!fine) abort();
}

static inline void house_put(int file, const void *data, size_t size)
{
    FILE *f = fopen(house_path[file], "w");
    require(f && (!size || fwrite(data, 1, size, f) == size) && !fclose(f));
}

/* An empty run directory: config.json is there, and nothing else. */
static inline void house_clear(void)
{
    for (int i = 0; i < HOUSE_FILES; i++) unlink(house_path[i]);
    house_put(CONFIG, "{}\n", 3);
}

static inline void house_remove(void)
{
    for (int i = 0; i < HOUSE_FILES; i++) unlink(house_path[i]);
    rmdir(house_folder);
}

static inline void house_make_folder(void)
{
    const char *parent = access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm";
    snprintf(house_folder, sizeof house_folder, "%s/zeroth-fuzz-XXXXXX", parent);
    require(mkdtemp(house_folder) != NULL);
    for (int i = 0; i < HOUSE_FILES; i++)
        snprintf(house_path[i], sizeof house_path[i], "%s/%s", house_folder, house_files[i]);
    atexit(house_remove);
}

static inline zo_task *house_task(zo_context *ctx)
{
    float x[HOUSE_N * HOUSE_INPUTS];
    int32_t label[HOUSE_N];
    zo_task *task;
    for (int i = 0; i < HOUSE_N * HOUSE_INPUTS; i++) x[i] = (float)(i * 37 % 19) / 9 - 1;
    for (int i = 0; i < HOUSE_N; i++) label[i] = i % 3;
    zo_data_def def = zo_data_default_def();
    def.inputs = HOUSE_INPUTS;
    def.classes = 3;
    def.n = HOUSE_N;
    def.x = x;
    def.label = label;
    def.validation = 0.25;
    require(!zo_task_from_data(ctx, &def, &task));
    return task;
}

/* `memory`: the most bytes it may hold; 0: any. */
static inline house house_open(int64_t memory)
{
    house h;
    zo_context_def def = zo_context_default_def();
    def.threads = 1;
    def.memory = memory;
    require(!zo_context_create(&def, &h.ctx));
    h.task = house_task(h.ctx);
    return h;
}

static inline void house_close(house *h)
{
    zo_task_destroy(h->task);
    zo_context_destroy(h->ctx);
}

/* Five steps. */
static inline zo_train_def house_def(const house *h, bool weights)
{
    static const char *const settings[] = {"batch=8", NULL, NULL}, *const of_weights[] = {
                                                                       "batch=8", "population=3",
                                                                       NULL};
    zo_train_def def = zo_train_default_def();
    def.task = h->task;
    def.net = "dense4 relu dense3";
    def.method = weights ? "weights:adam" : "nodes:momentum";
    def.settings = weights ? of_weights : settings;
    def.epochs = 2;
    def.seed = 5;
    def.out = house_folder;
    return def;
}

/* What a run of these begins its journal with, and the most memory that it takes. */
typedef struct house_facts {
    char recipe[4096];
    size_t size;
    int64_t memory;
} house_facts;

static inline house_facts house_learn(bool weights)
{
    house_facts facts;
    zo_journal j;
    house_clear();
    unlink(house_path[CONFIG]);
    house h = house_open(0);
    zo_train_def def = house_def(&h, weights);
    require(!zo_train(h.ctx, &def, NULL, NULL));
    facts.memory = zo_context_memory(h.ctx);
    require(!zo_journal_read(&j, h.ctx, house_path[JOURNAL]));
    require(j.entry.type == ZO_ENTRY_START && j.entry.size < sizeof facts.recipe);
    facts.size = j.entry.size;
    memcpy(facts.recipe, j.entry.data, facts.size);
    zo_journal_close(&j);
    house_close(&h);
    return facts;
}

/* One line says what went wrong. */
static inline void house_says(const house *h)
{
    const char *error = zo_last_error(h->ctx);
    require(*error && !strchr(error, '\n'));
}
#endif

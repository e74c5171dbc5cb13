#include "run/record.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/config.h"
#include "run/metrics.h"
#include "run/recipe.h"

#define LINES_ROOM (1u << 18) /* bytes of metrics.jsonl that may wait while the disk fails */

enum { JOURNAL = 1, METRICS = 2, STATE = 4 }; /* files that may fail */

/* ---- a disk that fails ---- */

/* One warning for a spell of failures, whichever files are hit, and one line when all can be written again. */
static void note(zo_record *r, unsigned file, zo_status status)
{
    unsigned before = r->failing;
    r->failing = status ? before | file : before & ~file;
    if (!before && status)
        zo_log(r->ctx, ZO_LOG_WARNING, "%s; training goes on, and it is tried again",
               zo_last_error(r->ctx));
    if (before && !r->failing) zo_log(r->ctx, ZO_LOG_INFO, "%s: can be written again", r->out);
}

/* ---- opening ---- */

/* Enough for the header of the model, the recipe and a line of metrics: what is allocated after training has begun. */
static size_t spare_for(const zo_net *net)
{
    size_t text = strlen(net->spec);
    for (const zo_note *n = net->notes; n; n = n->next) text += strlen(n->key) + strlen(n->value);
    return (1u << 16) + 8 * text + 1024 * (size_t)net->stages;
}

static uint64_t plan_sum(const zo_trainer *t)
{
    const char *line;
    void *sum = zo_checksum_add(NULL, "", 0);
    for (int i = 0; (line = zo_trainer_plan(t, i)); i++)
        sum = zo_checksum_add(sum, line, strlen(line));
    return zo_checksum_end(sum);
}

/* The same of the plan that a line tells. */
static uint64_t told_sum(const json_t *plan)
{
    size_t i;
    json_t *line;
    void *sum = zo_checksum_add(NULL, "", 0);
    json_array_foreach((json_t *)plan, i, line)
    {
        if (json_is_string(line))
            sum = zo_checksum_add(sum, json_string_value(line), json_string_length(line));
    }
    return zo_checksum_end(sum);
}

static zo_status name_files(zo_record *r, zo_context *ctx, const zo_train_def *def,
                            const zo_trainer *trainer)
{
    *r = (zo_record){.ctx = ctx, .out = def->out, .reported = -1, .measured = -1, .planned = -1};
    r->journal.fd = r->lines.fd = -1;
    r->config = zo_path_join(ctx, def->out, "config.json");
    r->metrics = zo_path_join(ctx, def->out, "metrics.jsonl");
    r->model = zo_path_join(ctx, def->out, "model.safetensors");
    r->checkpoint = zo_path_join(ctx, def->out, "checkpoint");
    r->previous = zo_path_join(ctx, def->out, "checkpoint.previous");
    r->numbers = zo_trainer_numbers(trainer);
    if (r->numbers) r->losses = zo_alloc(ctx, r->numbers * sizeof *r->losses);
    r->plan = plan_sum(trainer);
    size_t spare = spare_for(zo_trainer_net(trainer));
    if (zo_reserve(ctx, spare)) return ZO_NO_MEMORY;
    r->spare = spare;
    bool all = r->config && r->metrics && r->model && r->checkpoint && r->previous &&
               (r->losses || !r->numbers);
    return all ? ZO_OK : ZO_NO_MEMORY;
}

static zo_status open_journal(zo_record *r, bool *fresh)
{
    char *path = zo_path_join(r->ctx, r->out, "journal");
    zo_status status = path ? zo_journal_open(&r->journal, r->ctx, path, true,
                                              (r->numbers + 1) * sizeof(double), fresh)
                            : ZO_NO_MEMORY;
    zo_free(r->ctx, path);
    return status;
}

static bool there(const char *path) { return access(path, F_OK) == 0; }

static zo_status add_recipe(zo_record *r, zo_entry_type type, const zo_train_def *def,
                            const zo_trainer *trainer, const char *forced)
{
    zo_buffer text;
    zo_unreserve(r->ctx, r->spare);
    zo_status status =
        zo_recipe_write(r->ctx, def, trainer, *r->init ? r->init : NULL, forced, &text);
    if (!status) zo_journal_add_text(&r->journal, type, text.data, text.size);
    zo_buffer_free(&text);
    zo_reserve(r->ctx, r->spare);
    return status;
}

/* "checkpoint.tmp.123" and the like, of files of ours. */
static bool is_temporary(const char *name)
{
    static const char *const ours[] = {"config.json", "checkpoint", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(ours[i]);
        const char *end = name + n + 5;
        if (!strncmp(name, ours[i], n) && !strncmp(name + n, ".tmp.", 5) && *end &&
            !end[strspn(end, "0123456789")])
            return true;
    }
    return false;
}

/* Temporary files of a process that was killed while it wrote; the lock says that it is gone. */
static void sweep(const zo_record *r)
{
    DIR *folder = opendir(r->out);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (!is_temporary(entry->d_name)) continue;
        char *path = zo_path_join(r->ctx, r->out, entry->d_name);
        if (path) unlink(path);
        zo_free(r->ctx, path);
    }
    if (folder) closedir(folder);
}

/* A run that cannot keep its journal at all does not begin. */
static zo_status begin(zo_record *r, const zo_train_def *def, const zo_trainer *trainer)
{
    bool fresh;
    zo_status status = zo_journal_turn(&r->journal);
    if (!status) status = add_recipe(r, ZO_ENTRY_START, def, trainer, NULL);
    if (!status) status = zo_journal_sync(&r->journal);
    if (!status) status = zo_append_open(&r->lines, r->ctx, r->metrics, true, LINES_ROOM, &fresh);
    r->live = !status;
    return status;
}

static void remove_journal(const zo_record *r)
{
    char *journal = zo_path_join(r->ctx, r->out, "journal");
    if (journal) unlink(journal);
    zo_free(r->ctx, journal);
}

/* A folder that has an empty journal and nothing else was claimed by a process that died at once. */
static zo_status claim(zo_record *r)
{
    bool fresh;
    zo_status status = open_journal(r, &fresh);
    if (status) return status;
    bool taken = there(r->config) || there(r->model) || there(r->metrics);
    if (fresh && taken) remove_journal(r);
    if (fresh && !taken) {
        sweep(r);
        return ZO_OK;
    }
    return zo_fail(r->ctx, ZO_EXISTS,
                   "%s: holds a run already; choose another folder, or remove it", r->out);
}

zo_status zo_record_open(zo_record *r, zo_context *ctx, const zo_train_def *def,
                         const zo_trainer *trainer)
{
    size_t made;
    if (!def->out) return ZO_OK;
    zo_status status = name_files(r, ctx, def, trainer);
    if (!status) status = zo_folder_make(ctx, def->out, &made);
    if (status) return status;
    status = claim(r);
    if (status) {
        zo_folder_unmake(def->out, made);
        return status;
    }
    status = zo_config_write(ctx, r->config, def, trainer);
    if (!status) status = begin(r, def, trainer);
    if (!status) return ZO_OK;
    unlink(r->config);
    unlink(r->metrics);
    remove_journal(r);
    zo_folder_unmake(def->out, made);
    return status;
}

/* ---- taking up ---- */

static bool is_done(const zo_record *r)
{
    return r->survey.ended && r->survey.end == ZO_END_DONE && there(r->model);
}

static zo_status check_end(const zo_record *r)
{
    const zo_survey *s = &r->survey;
    if (!s->ended || !there(r->model) || r->grown) return ZO_OK;
    if (s->end == ZO_END_DONE)
        return zo_fail(r->ctx, ZO_EXISTS,
                       "%s: the run is done; a new one can begin with its network (--init)", r->out);
    if (s->end == ZO_END_DIVERGED)
        return zo_fail(
            r->ctx, ZO_EXISTS,
            "%s: the run has diverged and would do so again; begin a new one with a smaller lr",
            r->out);
    return ZO_OK;
}

static zo_status check_same(zo_record *r, const zo_train_def *def, const zo_trainer *trainer)
{
    zo_buffer text;
    char why[sizeof r->forced];
    bool fits = false, grows = false;
    json_t *began = zo_recipe_read(r->ctx, r->out, r->survey.recipe.data, r->survey.recipe.size),
           *now = NULL;
    const char *init = json_string_value(json_object_get(began, "init"));
    snprintf(r->init, sizeof r->init, "%s", init ? init : "");
    zo_status status = began ? zo_recipe_write(r->ctx, def, trainer, init, NULL, &text) : ZO_FORMAT;
    if (!status) {
        now = zo_recipe_read(r->ctx, r->out, text.data, text.size);
        status = now ? zo_recipe_compare(began, now, why, sizeof why) : ZO_NO_MEMORY;
        fits = zo_recipe_same(began, now, "net") && zo_recipe_same(began, now, "inputs") &&
               zo_recipe_same(began, now, "shape");
        grows = status == ZO_CHANGED && is_done(r) && zo_recipe_grows(began, now, trainer);
    }
    if (began) zo_buffer_free(&text);
    json_decref(began);
    json_decref(now);
    if (status != ZO_CHANGED) return status;
    if (grows) {
        r->grown = true;
        memcpy(r->forced, why, sizeof why);
        if (there(r->checkpoint)) return ZO_OK;
        return zo_fail(
            r->ctx, ZO_NOT_FOUND,
            "%s: its sums were not kept (keep=yes), so that nothing can be added: begin a new run",
            r->out);
    }
    if (is_done(r))
        return zo_fail(r->ctx, ZO_EXISTS,
                       "%s: the run is done, and what it holds does not serve another run than "
                       "itself; a new one can begin with its network (--init)",
                       r->out);
    if (!def->force || !fits) /* another net cannot take up the numbers of this one */
        return zo_fail(r->ctx, ZO_CHANGED, "%s: cannot go on to the same bits: %s%s", r->out, why,
                       fits ? " (--force goes on all the same)" : "");
    memcpy(r->forced, why, sizeof why);
    return ZO_OK;
}

/* Finds the last whole line of metrics.jsonl, the last step that was reported, and the last plan. */
static zo_status take_up_lines(zo_record *r)
{
    bool fresh;
    char *text;
    size_t size, sound = 0;
    zo_status status = zo_append_open(&r->lines, r->ctx, r->metrics, true, LINES_ROOM, &fresh);
    if (!status) status = zo_file_read(r->ctx, r->metrics, SIZE_MAX / 4, &text, &size);
    if (status) return status;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) + 1 - at : size - at;
        json_t *line = end ? json_loadb(text + at, length, 0, NULL) : NULL;
        const char *event = json_string_value(json_object_get(line, "event"));
        if (event && !strcmp(event, "report"))
            r->reported = json_integer_value(json_object_get(line, "step"));
        if (event && !strcmp(event, "measure"))
            r->measured = json_integer_value(json_object_get(line, "step"));
        if (event && !strcmp(event, "plan")) {
            r->planned = json_integer_value(json_object_get(line, "step"));
            r->plan = told_sum(json_object_get(line, "plan"));
        }
        if (event && !strcmp(event, "rolled back")) r->back = true;
        at += length;
        if (line) sound = at; /* what cannot be read is dropped at the end alone */
        json_decref(line);
    }
    zo_free(r->ctx, text);
    return sound < size ? zo_append_cut(&r->lines, (int64_t)sound) : ZO_OK;
}

/* The journal tells of nothing: nothing was done yet, or it was lost; a saved state may have outlived it. */
static zo_status take_up_state(zo_record *r)
{
    if (!there(r->checkpoint) && !there(r->previous) && there(r->model))
        return zo_fail(r->ctx, ZO_EXISTS,
                       "%s: there is a model, but neither journal nor state to go on from", r->out);
    return take_up_lines(r);
}

/* The end of a last write that was cut off is nothing to worry about; more is. */
static void tell_unsound(const zo_record *r)
{
    int64_t bytes = r->survey.unsound, torn = (int64_t)(r->numbers * sizeof(double)) + 256;
    if (!bytes) return;
    zo_log(r->ctx, bytes > torn ? ZO_LOG_WARNING : ZO_LOG_INFO,
           "%s: the journal is sound up to step %lld; %lld bytes behind that are dropped", r->out,
           (long long)r->survey.named, (long long)bytes);
}

zo_status zo_record_resume(zo_record *r, zo_context *ctx, const zo_train_def *def,
                           const zo_trainer *trainer)
{
    bool fresh;
    zo_status status = name_files(r, ctx, def, trainer);
    if (status) return status;
    if (!there(r->config))
        return zo_fail(ctx, ZO_NOT_FOUND, "%s: holds no run: config.json is not there", def->out);
    status = open_journal(r, &fresh);
    if (!status) status = zo_journal_survey(&r->journal, &r->survey);
    if (status) return status;
    sweep(r);
    tell_unsound(r);
    if (!r->survey.recipe.size) return take_up_state(r);
    status = check_same(r, def, trainer);
    if (!status) status = check_end(r);
    if (!status) status = take_up_lines(r);
    return status;
}

/* Whether the first network was given and is not at hand now. */
static zo_status check_first(const zo_record *r, const zo_train_def *def)
{
    bool missing = def->init_path && !def->init,
         other = *r->init && (!def->init || zo_recipe_hex(r->init) != zo_recipe_numbers(def->init));
    if (!missing && !other) return ZO_OK;
    return zo_fail(
        r->ctx, ZO_FORMAT,
        "%s: its saved states are missing or damaged, and it began with another network: "
        "begin a new run with --init",
        r->out);
}

zo_status zo_record_state(const zo_record *r, const zo_train_def *def, zo_course *course,
                          zo_net *kept, zo_trainer *trainer)
{
    bool any = *r->forced != 0;
    zo_status status =
        zo_checkpoint_load(r->checkpoint, trainer->definition, any, course, kept, trainer);
    if (!status || status == ZO_NO_MEMORY || r->grown) return status;
    if (status != ZO_NOT_FOUND)
        zo_log(r->ctx, ZO_LOG_WARNING, "%s; an earlier state is used", zo_last_error(r->ctx));
    if (status == ZO_FORMAT && !any)
        unlink(r->checkpoint); /* else it would become the previous one */
    status = zo_checkpoint_load(r->previous, trainer->definition, any, course, kept, trainer);
    if (!status || status == ZO_NO_MEMORY) return status;
    return check_first(r, def);
}

/* Takes the object over. What it allocates was reserved. */
static zo_status add_line(zo_record *r, json_t *object, const bool *failed)
{
    zo_buffer line;
    zo_unreserve(r->ctx, r->spare);
    zo_status status =
        zo_config_text(r->ctx, object, *failed, JSON_COMPACT | JSON_REAL_PRECISION(12), &line);
    if (!status)
        zo_append_add(&r->lines, line.data, line.size); /* beyond its room a line is lost */
    if (!status) status = zo_append_push(&r->lines);
    zo_buffer_free(&line);
    zo_reserve(r->ctx, r->spare);
    return status;
}

zo_status zo_record_go(zo_record *r, const zo_train_def *def, const zo_trainer *trainer,
                       const zo_course *course, const zo_net *kept)
{
    if (!r->ctx || r->live) return ZO_OK;
    zo_status status = ZO_OK;
    if (r->grown) /* before the recipe says so: with it an older state would serve no more */
        status = zo_checkpoint_save(r->checkpoint, r->previous, trainer->definition, course, kept,
                                    trainer);
    if (status) return status;
    status = zo_journal_turn(&r->journal);
    note(r, JOURNAL, status);
    bool first = !r->survey.recipe.size, forced = *r->forced;
    if (first) status = add_recipe(r, ZO_ENTRY_START, def, trainer, NULL);
    if (r->journal.taken_step < course->step) zo_journal_add_gap(&r->journal, course->step + 1);
    if (r->grown) status = zo_config_write(r->ctx, r->config, def, trainer);
    if (status) return status;
    if (!first)
        status = add_recipe(r, forced ? ZO_ENTRY_FORCE : ZO_ENTRY_RESUME, def, trainer,
                            forced ? r->forced : NULL);
    if (status) return status;
    if (forced)
        zo_log(r->ctx, r->grown ? ZO_LOG_INFO : ZO_LOG_WARNING, "%s: goes on%s: %s", r->out,
               r->grown ? " with its sums" : " by force", r->forced);
    r->live = true;
    note(r, JOURNAL, zo_journal_push(&r->journal));
    bool failed = false;
    note(r, METRICS,
         add_line(r, zo_metrics_resumed(r->ctx, course, forced ? r->forced : NULL, &failed),
                  &failed));
    return ZO_OK;
}

/* ---- while it runs ---- */

void zo_record_step(zo_record *r, int64_t step, double progress, double seconds)
{
    if (!r->ctx || !r->live) return;
    zo_journal_add_step(&r->journal, step, progress, seconds);
    note(r, JOURNAL, zo_journal_push(&r->journal));
}

/* Goes to the file with the next step: until then the step can be taken again instead. */
void zo_record_losses(zo_record *r, int64_t step, const zo_trainer *trainer)
{
    if (!r->ctx || !r->live || !r->losses) return;
    zo_journal_add_losses(&r->journal, step, r->losses, zo_trainer_losses(trainer, r->losses));
}

void zo_record_look(zo_record *r, zo_entry_type type, int64_t step, double loss, double accuracy,
                    bool averaged)
{
    if (!r->ctx || !r->live) return;
    zo_journal_add_look(&r->journal, type, step, loss, accuracy, averaged);
}

bool zo_record_state_save(zo_record *r, const zo_course *course, const zo_net *kept,
                          const zo_trainer *trainer)
{
    if (!r->ctx) return false;
    if (r->live) note(r, JOURNAL, zo_journal_sync(&r->journal));
    note(r, METRICS, zo_append_sync(&r->lines));
    zo_status status =
        zo_checkpoint_save(r->checkpoint, r->previous, trainer->definition, course, kept, trainer);
    note(r, STATE, status);
    return !status;
}

void zo_record_report(zo_record *r, const zo_report *p)
{
    if (!r->ctx || p->step <= r->reported) return;
    bool failed = false;
    r->reported = p->step;
    note(r, METRICS, add_line(r, zo_metrics_report(p, &failed), &failed));
}

void zo_record_measure(zo_record *r, int64_t step, const char *what, const zo_measure *m,
                       const zo_times *times)
{
    if (!r->ctx) return;
    bool failed = false;
    r->measured = step;
    note(r, METRICS, add_line(r, zo_metrics_measure(step, what, m, times, &failed), &failed));
}

void zo_record_plan(zo_record *r, int64_t step, const zo_trainer *trainer)
{
    if (!r->ctx) return;
    uint64_t plan = plan_sum(trainer);
    if (plan == r->plan) return;
    r->plan = plan;
    if (step <= r->planned) return;
    bool failed = false;
    r->planned = step;
    note(r, METRICS, add_line(r, zo_metrics_plan(step, trainer, &failed), &failed));
}

int64_t zo_record_measured(const zo_record *r) { return r->ctx ? r->measured : -1; }

void zo_record_back(zo_record *r, int64_t step, int64_t to, double loss)
{
    if (!r->ctx || r->back) return;
    bool failed = false;
    r->back = true;
    note(r, METRICS, add_line(r, zo_metrics_back(step, to, loss, &failed), &failed));
}

/* Only a run whose model lies there has ended. What a run that is done could go on from is removed last, unless it is to stay. */
zo_status zo_record_close(zo_record *r, zo_end end, const zo_train_result *result,
                          const zo_net *net, bool model, bool keep)
{
    if (!r->ctx) return ZO_OK;
    bool failed = false;
    zo_unreserve(r->ctx, r->spare);
    zo_status status = model ? zo_net_save(net, r->model) : ZO_OK;
    zo_reserve(r->ctx, r->spare);
    zo_status line = add_line(r, zo_metrics_result(end, result, net, &failed), &failed);
    if (!line) line = zo_append_sync(&r->lines);
    if (!status) status = line;
    if (!status) {
        zo_journal_add_end(&r->journal, result->steps, end);
        status = zo_journal_sync(&r->journal);
    }
    if (!status && end == ZO_END_DONE) {
        if (!keep) unlink(r->checkpoint);
        unlink(r->previous);
    }
    return status;
}

void zo_record_fini(zo_record *r)
{
    if (!r->ctx) return;
    zo_append_close(&r->lines);
    zo_journal_close(&r->journal);
    zo_buffer_free(&r->survey.recipe);
    char *all[] = {r->config, r->metrics, r->model, r->checkpoint, r->previous};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zo_free(r->ctx, all[i]);
    zo_free(r->ctx, r->losses);
    zo_unreserve(r->ctx, r->spare);
}

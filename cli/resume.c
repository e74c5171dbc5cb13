/* zeroth resume: a run that was stopped or killed goes on. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"
#include "training.h"

typedef struct resume_options {
    const char *data, *kernels;
    cli_list set;
    double checkpoint;
    int64_t memory;
    int threads;
    bool force, quiet, json;
} resume_options;

static const cli_option options[] = {
    {"threads", "N", CLI_INT, offsetof(resume_options, threads), 1, ZO_THREADS_MAX,
     "1 to 1024 (default: one for each processor); the result does not depend on it"},
    {"kernels", "K", CLI_TEXT, offsetof(resume_options, kernels), 0, 0,
     "ref, avx2, avx512 or avx512bf16 (default: the best); the result does not depend on it"},
    {"data", "DIR", CLI_TEXT, offsetof(resume_options, data), 0, 0,
     "where the data set is now (default: where the run found it)"},
    {"set", "KEY=VALUE", CLI_LIST, offsetof(resume_options, set), 0, 0,
     "of a closed form that is done: more copies, another lambda or lambdas; may be repeated"},
    {"force", NULL, CLI_FLAG, offsetof(resume_options, force), 0, 0,
     "go on although data, version or settings are others; the run says so from then on"},
    {"checkpoint", "S", CLI_REAL, offsetof(resume_options, checkpoint), 0, DBL_MAX,
     "save the state every S seconds (default: so that it costs less than 1 % of the time)"},
    {"memory", "SIZE", CLI_SIZE, offsetof(resume_options, memory), 0, 0,
     "most memory to hold for data and training, such as 512M or 2GiB"},
    {"quiet", NULL, CLI_FLAG, offsetof(resume_options, quiet), 0, 0, "no progress"},
    {"json", NULL, CLI_FLAG, offsetof(resume_options, json), 0, 0,
     "the result as one JSON object on the last line"},
    CLI_OPTION_END,
};

/* ---- a run that is done ---- */

/* Shows what the run came to as if it had just ended: whoever resumes a run until it is done, in a
 * script say, gets the same answer each time. */
static int show_recorded(const cli_run *run, const resume_options *o)
{
    zo_train_result result;
    cli_run_facts facts;
    cli_result_read(run, &result, &facts);
    if (!o->quiet) {
        char *word = cli_quote(run->path);
        fprintf(stderr, "%s: the run is done; 'zeroth train --config %s --init %s' trains on\n",
                run->path, word, word);
        free(word);
    }
    if (o->json)
        cli_json_print(stdout, cli_result_json(&result, &facts));
    else
        cli_result_print(stdout, cli_width(stdout), &result, &facts);
    return CLI_DONE;
}

/* ---- a run that is not ---- */

static void apply(const resume_options *o, train_options *to)
{
    to->threads = o->threads;
    to->kernels = o->kernels;
    to->memory = o->memory;
    to->checkpoint = o->checkpoint;
    to->quiet = o->quiet;
    to->json = o->json;
    if (o->data) to->data = o->data;
}

/* The setting of the run gives way to the new one. */
static void change(cli_list *settings, const char *pair)
{
    for (int i = settings->n - 1; i >= 0; i--) {
        size_t n = strcspn(pair, "=");
        if (!strncmp(settings->items[i], pair, n) && settings->items[i][n] == '=')
            cli_list_remove(settings, i);
    }
    cli_list_add(settings, pair);
}

static int go_on(const cli_run *run, const resume_options *o)
{
    training t = {.resume = true, .force = o->force};
    int status = training_read(&t, run);
    if (status) {
        train_plan_free(&t.plan);
        return status;
    }
    apply(o, &t.plan.o);
    for (int i = 0; i < o->set.n; i++) change(&t.plan.settings, o->set.items[i]);
    return training_run(&t);
}

/* A result was recorded; the journal, which decides, may have been left without an end by a kill. */
static int show_or_go_on(const cli_run *run, const resume_options *o)
{
    int status;
    zo_context *ctx = cli_context(&(cli_limits){.threads = 1}, NULL, NULL, &status);
    if (!ctx) return status;
    bool open = zo_run_lacks_end(ctx, run->path);
    zo_context_destroy(ctx);
    return open ? go_on(run, o) : show_recorded(run, o);
}

static int run(int argc, char **argv)
{
    resume_options o = {0};
    cli_words words = {.names = "a RUN", .least = 1, .most = 1};
    if (!cli_parse("resume", options, argc, argv, &o, &words)) return CLI_USAGE;
    cli_run r;
    int status;
    if (!cli_run_read(words.word[0], &r))
        status = cli_fail(CLI_FAILED, "%s", r.fault);
    else if (!strcmp(r.state, "done") && r.model && !o.set.n)
        status = show_or_go_on(&r, &o);
    else
        status = go_on(&r, &o);
    cli_run_free(&r);
    cli_list_free(&o.set);
    return status;
}

const cli_command cli_resume = {
    .name = "resume",
    .usage = "RUN [OPTION]...",
    .summary = "go on with a run that was stopped or killed",
    .options = options,
    .run = run,
};

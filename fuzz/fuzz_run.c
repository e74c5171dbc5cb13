/* The readers of a run's folder: `zeroth show` of the run, of the folder it lies in, and of two runs; `zeroth train --config
 * RUN/config.json`; and what `zeroth resume RUN` takes from it. The input is config.json, a zero byte, and metrics.jsonl. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "runs.h"
#include "train.h"
#include "training.h"

const cli_command *const cli_commands[] = {&cli_show, NULL};

static char folder[] = "/tmp/zeroth-fuzz-XXXXXX";
static char run[64], config[96], metrics[96];

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

static void remove_folder(void)
{
    unlink(config);
    unlink(metrics);
    rmdir(run);
    rmdir(folder);
}

static void set_up(void)
{
    if (!mkdtemp(folder)) abort();
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(config, sizeof config, "%s/config.json", run);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
    if (mkdir(run, 0777)) abort();
    atexit(remove_folder);
    stdout =
        fopen("/dev/null", "w"); /* the command's words; a sanitizer's own go to the descriptor */
    stderr = fopen("/dev/null", "w");
    if (!stdout || !stderr) abort();
}

static void show(void)
{
    cli_show.run(1, (char *[]){run, NULL});
    cli_show.run(2, (char *[]){run, "--json", NULL});
    cli_show.run(5, (char *[]){folder, "--sort", "accuracy", "--filter", "seed>1", NULL});
    cli_show.run(4, (char *[]){run, run, "--all", "--json", NULL});
}

/* As far as the run's own files go. */
static void resume(void)
{
    cli_run read;
    training t = {.resume = true};
    if (cli_run_read(run, &read)) {
        training_read(&t, &read);
        train_plan_free(&t.plan);
    } else if (!read.fault || strchr(read.fault, '\n')) {
        abort();
    }
    cli_run_free(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) set_up();
    ready = true;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t first = zero ? (size_t)(zero - data) : size;
    put(config, data, first);
    put(metrics, zero ? zero + 1 : data, zero ? size - first - 1 : 0);
    show();
    resume();
    train_options options = {0};
    cli_config read = {0};
    cli_config_read(config, train_option_table, &options, &read);
    cli_config_free(&read);
    return 0;
}

/* The readers of a run's folder: `zeroth show RUN` and `zeroth train --config RUN/config.json`. The input is config.json, a zero byte,
 * and metrics.jsonl. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "train.h"

const cli_command *const cli_commands[] = {&cli_show, NULL};

static char folder[] = "/tmp/zeroth-fuzz-XXXXXX";
static char config[64], metrics[64];

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

static void remove_folder(void)
{
    unlink(config);
    unlink(metrics);
    rmdir(folder);
}

static void set_up(void)
{
    if (!mkdtemp(folder)) abort();
    snprintf(config, sizeof config, "%s/config.json", folder);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    atexit(remove_folder);
    stdout =
        fopen("/dev/null", "w"); /* the command's words; a sanitizer's own go to the descriptor */
    stderr = fopen("/dev/null", "w");
    if (!stdout || !stderr) abort();
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
    cli_show.run(1, (char *[]){folder, NULL});
    train_options options = {0};
    cli_config read = {0};
    cli_config_read(config, train_option_table, &options, &read);
    cli_config_free(&read);
    return 0;
}

/* Saved states of a trainer. Bit 0 of the first byte: the checksum is made right, bit 1: the definition too, so that mutations reach what
 * lies behind them. A state that is refused changes nothing; one that is accepted can be stepped from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/files.h"
#include "learn/trainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAGIC = 16, N = 24, INPUTS = 2 };

typedef struct house {
    zo_context *ctx;
    zo_task *task;
    zo_trainer *trainer;
    char path[64];
    int fd;
} house;

static void require(int fine)
{
    if (!fine) abort();
}

static zo_task *make_task(zo_context *ctx)
{
    float x[N * INPUTS];
    int32_t label[N];
    zo_task *task;
    for (int i = 0; i < N * INPUTS; i++) x[i] = (float)(i * 37 % 19) / 9 - 1;
    for (int i = 0; i < N; i++) label[i] = i % 3;
    zo_data_def def = zo_data_default_def();
    def.inputs = INPUTS;
    def.classes = 3;
    def.n = N;
    def.x = x;
    def.label = label;
    def.validation = 0.25;
    require(!zo_task_from_data(ctx, &def, &task));
    return task;
}

static house open_house(void)
{
    static const char *const settings[] = {"batch=8", NULL};
    zo_context_def def = zo_context_default_def();
    house h = {.fd = memfd_create("state", 0)};
    zo_net *net;
    def.threads = 1;
    require(h.fd >= 0 && !zo_context_create(&def, &h.ctx));
    snprintf(h.path, sizeof h.path, "/proc/self/fd/%d", h.fd);
    h.task = make_task(h.ctx);
    zo_net_def shape = {.spec = "dense4 relu dense3", .inputs = INPUTS};
    require(!zo_net_create(h.ctx, &shape, &net));
    zo_trainer_def trainer = {
        .method = "nodes:adam", .task = h.task, .net = net, .settings = settings};
    require(!zo_trainer_create(h.ctx, &trainer, &h.trainer));
    zo_net_destroy(net);
    return h;
}

static void close_house(house *h)
{
    zo_trainer_destroy(h->trainer);
    zo_task_destroy(h->task);
    zo_context_destroy(h->ctx);
    close(h->fd);
}

/* The file that `data` stands for: what follows its first byte, mended as that says. */
static void write_state(const house *h, const uint8_t *data, size_t size)
{
    size_t n = size - 1;
    uint64_t sum;
    char *bytes = malloc(n + 1);
    require(bytes != NULL);
    memcpy(bytes, data + 1, n);
    if (data[0] & 2 && n >= MAGIC + sizeof h->trainer->definition)
        memcpy(bytes + MAGIC, &h->trainer->definition, sizeof h->trainer->definition);
    if (data[0] & 1 && n >= sizeof sum) {
        sum = zo_checksum(bytes, n - sizeof sum);
        memcpy(bytes + n - sizeof sum, &sum, sizeof sum);
    }
    require(write(h->fd, bytes, n) == (ssize_t)n);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    house h = open_house();
    const zo_net *net = zo_trainer_net(h.trainer);
    size_t bytes = net->arena * sizeof(float);
    float *before = malloc(bytes);
    require(before != NULL);
    memcpy(before, net->params, bytes);
    write_state(&h, data, size);
    zo_status status = zo_trainer_load(h.trainer, h.path);
    if (status) {
        require(status == ZO_FORMAT && *zo_last_error(h.ctx));
        require(!strchr(zo_last_error(h.ctx), '\n'));
        require(!memcmp(before, zo_trainer_net(h.trainer)->params, bytes));
    } else {
        status = zo_trainer_step(h.trainer, 0.5, NULL);
        require(status == ZO_OK || status == ZO_DIVERGED);
    }
    free(before);
    close_house(&h);
    return 0;
}

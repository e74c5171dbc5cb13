/* Seeds files. The first byte says what the rest is: 1: the checksum is made right; 2: behind the header lie two 16-bit counts and plain
 * numbers, which are packed here, so that mutations reach what lies behind zlib.
 *
 * A few bytes may stand for a large network and many steps: memory is limited, and what takes too many parallel calls is stopped.
 */
#include "run_house.h"

#include "base/deflate.h"
#include "nn/net.h"
#include "run/seeds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUM = 1, PLAIN = 2, START = 16 + 4, CALLS = 2000, MEMORY = 384 << 10 };

typedef struct host {
    zo_context *ctx;
    int calls;
} host;

static void run_items(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    host *h = user;
    if (++h->calls > CALLS) zo_cancel(h->ctx);
    for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

static void open_host(host *h, int64_t memory)
{
    zo_context_def def = zo_context_default_def();
    *h = (host){0};
    def.executor = (zo_executor){run_items, 1, h};
    def.memory = memory;
    require(!zo_context_create(&def, &h->ctx));
}

/* Packs up to n of the numbers at *at. */
static void pack(zo_buffer *out, const uint8_t **at, const uint8_t *end, size_t n)
{
    size_t most = (size_t)(end - *at) / sizeof(double);
    if (n > most) n = most;
    double *numbers = malloc(n * sizeof *numbers + 1);
    require(numbers != NULL);
    memcpy(numbers, *at, n * sizeof *numbers);
    require(!zo_deflate(out, numbers, n));
    *at += n * sizeof *numbers;
    free(numbers);
}

/* The file that `data` stands for. */
static void write_file(const zo_context *ctx, const uint8_t *data, size_t size, uint8_t mode)
{
    zo_buffer out = {.ctx = ctx};
    uint32_t length = 0;
    if (size >= START) memcpy(&length, data + 16, 4);
    size_t head = START + (size_t)length;
    if (mode & PLAIN && size >= START && head + 4 <= size) {
        const uint8_t *at = data + head + 4, *end = data + size;
        uint16_t n[2];
        memcpy(n, data + head, 4);
        zo_buffer_add(&out, data, head);
        pack(&out, &at, end, n[0]);
        pack(&out, &at, end, n[1]);
        pack(&out, &at, end, SIZE_MAX);
        zo_buffer_add(&out, data, 8); /* room for the sum */
    } else {
        zo_buffer_add(&out, data, size);
    }
    require(!out.status);
    if (mode & SUM && out.size >= 8) {
        uint64_t sum = zo_checksum(out.data, out.size - 8);
        memcpy(out.data + out.size - 8, &sum, 8);
    }
    house_put(CHECKPOINT, out.data, out.size);
    zo_buffer_free(&out);
}

static void use(const zo_net *net)
{
    size_t inputs = (size_t)zo_net_inputs(net), outputs = (size_t)zo_net_outputs(net);
    float *x = calloc(inputs, sizeof *x), *y = calloc(outputs, sizeof *y);
    require(x && y);
    zo_status status = zo_net_forward(net, 1, x, y);
    require(status == ZO_OK || status == ZO_NO_MEMORY);
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) house_make_folder();
    ready = true;
    if (!size) return 0;
    host h;
    zo_net *net;
    zo_seeds_info info;
    open_host(&h, 0);
    write_file(h.ctx, data + 1, size - 1, data[0]);
    zo_context_destroy(h.ctx);
    open_host(&h, MEMORY + 4 * (int64_t)size);
    zo_status told = zo_seeds_describe(h.ctx, house_path[CHECKPOINT], &info);
    require(told == ZO_OK || told == ZO_FORMAT);
    zo_status status = zo_seeds_load(h.ctx, house_path[CHECKPOINT], &net);
    require(status == ZO_OK || status == ZO_FORMAT || status == ZO_CHANGED ||
            status == ZO_NO_MEMORY || (status == ZO_CANCELLED && h.calls > CALLS));
    require((net != NULL) == (status == ZO_OK) && !(told && !status));
    if (status) require(*zo_last_error(h.ctx) && !strchr(zo_last_error(h.ctx), '\n'));
    if (net) use(net);
    zo_net_destroy(net);
    zo_context_destroy(h.ctx);
    return 0;
}

#include "task/cifar.h"

#include <string.h>

#include "base/files.h"
#include "task/unpack.h"

#define FILE_MOST ((size_t)1 << 36)

enum { PLANE = ZO_CIFAR_SIDE * ZO_CIFAR_SIDE, RECORD_MOST = ZO_CIFAR_LABELS + ZO_CIFAR_INPUTS };

/* Makes room for so many records in all. */
static zo_status reserve(const zo_context *ctx, zo_cifar *c, int64_t room)
{
    size_t n = (size_t)c->n;
    uint8_t *pixels = zo_alloc(ctx, (size_t)room * ZO_CIFAR_INPUTS);
    int32_t *label = zo_alloc(ctx, (size_t)room * sizeof *label);
    if (!pixels || !label) {
        zo_free(ctx, pixels);
        zo_free(ctx, label);
        return ZO_NO_MEMORY;
    }
    if (n) memcpy(pixels, c->pixels, n * ZO_CIFAR_INPUTS);
    if (n) memcpy(label, c->label, n * sizeof *label);
    zo_free(ctx, c->pixels);
    zo_free(ctx, c->label);
    *c = (zo_cifar){c->n, room, pixels, label};
    return ZO_OK;
}

/* Record i of the file (from 0) ends early. The other of the two layouts is the likely reason if the size is one of its. */
static zo_status cut_record(const zo_unpack *u, const zo_cifar_layout *layout, int64_t i, size_t got)
{
    int64_t record = layout->labels + ZO_CIFAR_INPUTS, size = i * record + (int64_t)got;
    int other = layout->labels == 1 ? 2 : 1;
    if (size % (other + ZO_CIFAR_INPUTS) == 0)
        return zo_fail(u->ctx, ZO_FORMAT,
                       "%s: %lld bytes are records of %d label byte%s, as CIFAR-%d has them, where "
                       "%d is expected: is this the right file?",
                       u->where, (long long)size, other, other == 1 ? "" : "s",
                       other == 1 ? 10 : 100, layout->labels);
    return zo_fail(u->ctx, ZO_FORMAT,
                   "%s: record %lld ends after %zu of its %lld bytes: download the file again",
                   u->where, (long long)i + 1, got, (long long)record);
}

static zo_status check_labels(const zo_unpack *u, const zo_cifar_layout *layout, int64_t i,
                              const uint8_t *record)
{
    static const char *const words[] = {"coarse label", "fine label"};
    for (int k = 0; k < layout->labels; k++) {
        if (record[k] >= layout->classes[k])
            return zo_fail(u->ctx, ZO_FORMAT,
                           "%s: record %lld has %s %d, where 0 to %d are expected: download the "
                           "file again",
                           u->where, (long long)i + 1, layout->labels == 1 ? "label" : words[k],
                           record[k], layout->classes[k] - 1);
    }
    return ZO_OK;
}

/* Planes to pixels of three channels. */
static void add_record(const zo_cifar_layout *layout, const uint8_t *record, zo_cifar *out)
{
    const uint8_t *plane = record + layout->labels;
    uint8_t *to = out->pixels + (size_t)out->n * ZO_CIFAR_INPUTS;
    for (size_t p = 0; p < PLANE; p++) {
        for (size_t k = 0; k < ZO_CIFAR_CHANNELS; k++)
            to[p * ZO_CIFAR_CHANNELS + k] = plane[k * PLANE + p];
    }
    out->label[out->n++] = record[layout->answer];
}

/* Record i of the file; *ended if there is none. */
static zo_status take_record(zo_unpack *u, const zo_cifar_layout *layout, int64_t i, zo_cifar *out,
                             bool *ended)
{
    uint8_t record[RECORD_MOST];
    size_t want = (size_t)layout->labels + ZO_CIFAR_INPUTS, got;
    zo_status status = zo_unpack_take(u, record, want, &got);
    *ended = !status && !got;
    if (status || *ended) return status;
    if (got < want) return cut_record(u, layout, i, got);
    status = check_labels(u, layout, i, record);
    if (!status && out->n == out->room)
        status = out->n < INT32_MAX / 2
                     ? reserve(u->ctx, out, out->n ? 2 * out->n : 64)
                     : zo_fail(u->ctx, ZO_FORMAT, "%s: more than %d images are not accepted",
                               u->where, INT32_MAX / 2);
    if (!status) add_record(layout, record, out);
    return status;
}

zo_status zo_cifar_parse(const zo_context *ctx, const char *where, const uint8_t *bytes,
                         size_t size, const zo_cifar_layout *layout, zo_cifar *out)
{
    zo_unpack u;
    bool ended = false;
    zo_status status = zo_unpack_open(&u, ctx, where, bytes, size);
    if (status) return status;
    size_t record = (size_t)layout->labels + ZO_CIFAR_INPUTS;
    int64_t records = (int64_t)(size / record), i = 0;
    if (!u.gzip && size % record)
        status = cut_record(&u, layout, records, size % record);
    else if (!u.gzip && records > out->room - out->n)
        status = reserve(ctx, out, out->n + records);
    for (; !status && !ended; i += !ended) status = take_record(&u, layout, i, out, &ended);
    zo_unpack_close(&u);
    if (status) return status;
    if (!i) return zo_fail(ctx, ZO_FORMAT, "%s: the file is empty: download it again", where);
    if (u.left)
        return zo_fail(ctx, ZO_FORMAT,
                       "%s: more bytes follow the gzip data: download the file again", where);
    return ZO_OK;
}

zo_status zo_cifar_read(const zo_context *ctx, const char *path, const zo_cifar_layout *layout,
                        zo_cifar *out)
{
    char *bytes;
    size_t size;
    zo_status status = zo_file_read(ctx, path, FILE_MOST, &bytes, &size);
    if (status) return status;
    status = zo_cifar_parse(ctx, path, (const uint8_t *)bytes, size, layout, out);
    zo_free(ctx, bytes);
    return status;
}

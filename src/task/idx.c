#include "task/idx.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "task/unpack.h"

#define FILE_MOST ((size_t)1 << 36)
#define DATA_MOST ((uint64_t)1 << 40)
#define INPUTS_MOST ((uint64_t)1 << 20)

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static const char *content(uint32_t magic)
{
    return magic == 0x801   ? ", which is a file of labels"
           : magic == 0x803 ? ", which is a file of images"
                            : "";
}

typedef struct header {
    char sizes[48]; /* "60000 x 28 x 28" */
    uint64_t n, inputs;
    uint32_t height, width;
} header;

static zo_status check_sizes(const zo_unpack *s, int rank, const uint32_t *size, header *h)
{
    if (rank == ZO_IDX_IMAGES)
        snprintf(h->sizes, sizeof h->sizes, "%u x %u x %u", size[0], size[1], size[2]);
    else
        snprintf(h->sizes, sizeof h->sizes, "%u", size[0]);
    h->n = size[0];
    h->inputs = 1;
    h->height = rank == ZO_IDX_IMAGES ? size[1] : 1;
    h->width = rank == ZO_IDX_IMAGES ? size[2] : 1;
    bool empty = !h->n;
    for (int i = 1; i < rank; i++) {
        empty = empty || !size[i];
        if (h->inputs <= INPUTS_MOST) h->inputs *= size[i]; /* <= 2^20 x 2^32 */
    }
    if (empty)
        return zo_fail(s->ctx, ZO_FORMAT,
                       "%s: its header names %s bytes: nothing is in it; download the file again",
                       s->where, h->sizes);
    if (h->n > INT32_MAX || h->inputs > INPUTS_MOST || h->n * h->inputs > DATA_MOST)
        return zo_fail(s->ctx, ZO_FORMAT,
                       "%s: its header names %s bytes, more than is accepted (%d of at most %d "
                       "each): is it damaged?",
                       s->where, h->sizes, INT32_MAX, (int)INPUTS_MOST);
    return ZO_OK;
}

static zo_status read_header(zo_unpack *s, int rank, header *h)
{
    uint8_t bytes[16];
    size_t need = 4 + 4 * (size_t)rank, got;
    uint32_t size[3], expected = 0x800 + (uint32_t)rank;
    zo_status status = zo_unpack_take(s, bytes, need, &got);
    if (status) return status;
    if (got >= 4 && big_endian(bytes) != expected)
        return zo_fail(s->ctx, ZO_FORMAT,
                       "%s: starts with %08x%s, where an IDX file of %s starts with %08x", s->where,
                       big_endian(bytes), content(big_endian(bytes)),
                       rank == ZO_IDX_IMAGES ? "images" : "labels", expected);
    if (got < need)
        return zo_fail(s->ctx, ZO_FORMAT,
                       "%s: %zu bytes are too few for an IDX file: download the file again",
                       s->where, got);
    for (int i = 0; i < rank; i++) size[i] = big_endian(bytes + 4 + 4 * i);
    return check_sizes(s, rank, size, h);
}

static zo_status short_data(const zo_unpack *s, const header *h, size_t got)
{
    return zo_fail(s->ctx, ZO_FORMAT,
                   "%s: its header names %s bytes of data, but %zu follow: download the file again",
                   s->where, h->sizes, got);
}

/* What is allocated doubles with what has really been there, up to what the header names. */
static zo_status read_data(zo_unpack *s, const header *h, uint8_t **data)
{
    size_t total = (size_t)(h->n * h->inputs), room = total, got = 0;
    if (!s->gzip && s->left < total) return short_data(s, h, s->left);
    if (s->gzip && total / 16 > s->left)
        room = 16 * s->left + 4096 < total ? 16 * s->left + 4096 : total;
    uint8_t *out = zo_alloc(s->ctx, room);
    zo_status status = out ? ZO_OK : ZO_NO_MEMORY;
    while (!status) {
        size_t more;
        status = zo_unpack_take(s, out + got, room - got, &more);
        got += more;
        if (!status && got < room) status = short_data(s, h, got);
        if (status || got == total) break;
        room = room < total / 2 ? 2 * room : total;
        uint8_t *larger = zo_alloc(s->ctx, room);
        if (larger)
            memcpy(larger, out, got);
        else
            status = ZO_NO_MEMORY;
        zo_free(s->ctx, larger ? out : NULL);
        out = larger ? larger : out;
    }
    if (status) {
        zo_free(s->ctx, out);
        out = NULL;
    }
    *data = out;
    return status;
}

/* Asking for one byte more also makes zlib check the last member's checksum. */
static zo_status check_end(zo_unpack *s, const header *h)
{
    uint8_t byte;
    size_t got;
    zo_status status = zo_unpack_take(s, &byte, 1, &got);
    if (!status && (got || s->left))
        status = zo_fail(s->ctx, ZO_FORMAT,
                         "%s: more bytes follow the %s that its header names: download the file "
                         "again",
                         s->where, h->sizes);
    return status;
}

zo_status zo_idx_parse(const zo_context *ctx, const char *where, const uint8_t *bytes, size_t size,
                       int rank, zo_idx *out)
{
    *out = (zo_idx){0};
    zo_unpack s;
    header h;
    if (!size) return zo_fail(ctx, ZO_FORMAT, "%s: the file is empty: download it again", where);
    zo_status status = zo_unpack_open(&s, ctx, where, bytes, size);
    if (status) return status;
    status = read_header(&s, rank, &h);
    if (!status) status = read_data(&s, &h, &out->data);
    if (!status) status = check_end(&s, &h);
    zo_unpack_close(&s);
    if (status) {
        zo_free(ctx, out->data);
        out->data = NULL;
        return status;
    }
    out->n = (int64_t)h.n;
    out->inputs = (int)h.inputs;
    out->height = (int)h.height;
    out->width = (int)h.width;
    return ZO_OK;
}

zo_status zo_idx_read(const zo_context *ctx, const char *path, int rank, zo_idx *out)
{
    char *bytes;
    size_t size;
    *out = (zo_idx){0};
    zo_status status = zo_file_read(ctx, path, FILE_MOST, &bytes, &size);
    if (status) return status;
    status = zo_idx_parse(ctx, path, (const uint8_t *)bytes, size, rank, out);
    zo_free(ctx, bytes);
    return status;
}

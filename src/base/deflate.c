#include "base/deflate.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#define MOST_RATIO 1032   /* of the deflate format */
#define TABLE_MOST 65536u /* values of a table */

/* Byte b of all numbers, then byte b + 1 of all: like bytes lie together. */
static void sort_bytes(uint8_t *to, const uint8_t *from, size_t n, size_t width)
{
    for (size_t b = 0; b < width; b++) {
        for (size_t i = 0; i < n; i++) to[b * n + i] = from[i * width + b];
    }
}

static void unsort_bytes(uint8_t *to, const uint8_t *from, size_t n, size_t width)
{
    for (size_t b = 0; b < width; b++) {
        for (size_t i = 0; i < n; i++) to[i * width + b] = from[b * n + i];
    }
}

/* Adds n numbers, sorted by byte place and deflated. */
static zo_status pack(zo_buffer *out, const void *numbers, size_t n, size_t width)
{
    size_t size = n * width;
    uLongf packed = compressBound((uLong)size);
    uint8_t *sorted = zo_alloc(out->ctx, size), *room = zo_alloc(out->ctx, packed);
    int error = sorted && room ? Z_OK : Z_MEM_ERROR;
    if (!error) {
        sort_bytes(sorted, numbers, n, width);
        error = compress2(room, &packed, sorted, (uLong)size, Z_BEST_COMPRESSION);
    }
    uint64_t length = packed;
    if (!error) zo_buffer_add(out, &length, sizeof length);
    if (!error) zo_buffer_add(out, room, packed);
    if (error && !out->status)
        out->status = zo_fail(out->ctx, ZO_NO_MEMORY, "out of memory while packing %zu bytes", size);
    zo_free(out->ctx, sorted);
    zo_free(out->ctx, room);
    return out->status;
}

static zo_status unpack(const zo_context *ctx, zo_reader *in, void *numbers, size_t n, size_t width)
{
    uint64_t size;
    zo_reader_take(in, &size, sizeof size);
    if (in->failed || size > (size_t)(in->end - in->at) || n > zo_inflate_most(size) / width)
        return ZO_FORMAT;
    uLongf got = (uLongf)(n * width);
    uLong used = (uLong)size;
    uint8_t *sorted = zo_alloc(ctx, n * width);
    if (!sorted) return ZO_NO_MEMORY;
    bool fine = uncompress2(sorted, &got, (const Bytef *)in->at, &used) == Z_OK &&
                got == n * width && used == size;
    if (fine) unsort_bytes(numbers, sorted, n, width);
    in->at += size;
    zo_free(ctx, sorted);
    return fine ? ZO_OK : ZO_FORMAT;
}

static int by_bits(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The different values among n, in order, in table[n]; how many. */
static size_t make_table(uint64_t *table, const uint64_t *value, size_t n)
{
    size_t count = 0;
    if (n) memcpy(table, value, n * sizeof *table);
    qsort(table, n, sizeof *table, by_bits);
    for (size_t i = 0; i < n; i++) {
        if (!count || table[count - 1] != table[i]) table[count++] = table[i];
    }
    return count;
}

zo_status zo_deflate(zo_buffer *out, const double *numbers, size_t n)
{
    const uint64_t *value = (const uint64_t *)(const void *)numbers;
    uint64_t *table = zo_alloc(out->ctx, n * sizeof *table);
    uint16_t *place = zo_alloc(out->ctx, n * sizeof *place);
    if (!table || !place) {
        out->status = ZO_NO_MEMORY;
    } else {
        size_t count = make_table(table, value, n);
        uint32_t used = count <= TABLE_MOST && count < n / 4 ? (uint32_t)count : 0;
        zo_buffer_add(out, &used, sizeof used);
        for (size_t i = 0; i < n && used; i++) {
            const uint64_t *at = bsearch(value + i, table, used, sizeof *table, by_bits);
            place[i] = (uint16_t)(at - table);
        }
        if (used) pack(out, table, used, sizeof *table);
        if (!out->status) pack(out, used ? (void *)place : (void *)value, n, used ? 2 : 8);
    }
    zo_free(out->ctx, table);
    zo_free(out->ctx, place);
    return out->status;
}

size_t zo_inflate_most(size_t packed)
{
    return packed > SIZE_MAX / MOST_RATIO ? SIZE_MAX : packed * MOST_RATIO;
}

/* Numbers of a table. */
static zo_status look_up(const zo_context *ctx, zo_reader *in, uint64_t *value, size_t n,
                         size_t count)
{
    uint64_t *table = zo_alloc(ctx, count * sizeof *table);
    uint16_t *place = zo_alloc(ctx, n * sizeof *place);
    zo_status status = table && place ? unpack(ctx, in, table, count, sizeof *table) : ZO_NO_MEMORY;
    if (!status) status = unpack(ctx, in, place, n, sizeof *place);
    for (size_t i = 0; i < n && !status; i++) {
        if (place[i] >= count) status = ZO_FORMAT;
        if (!status) value[i] = table[place[i]];
    }
    zo_free(ctx, table);
    zo_free(ctx, place);
    return status;
}

zo_status zo_inflate(const zo_context *ctx, zo_reader *in, double *numbers, size_t n)
{
    uint32_t count;
    zo_reader_take(in, &count, sizeof count);
    if (in->failed || count > TABLE_MOST || n > zo_inflate_most((size_t)(in->end - in->at)))
        return ZO_FORMAT;
    return count ? look_up(ctx, in, (uint64_t *)(void *)numbers, n, count)
                 : unpack(ctx, in, numbers, n, sizeof *numbers);
}

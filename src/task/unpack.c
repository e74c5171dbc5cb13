#include "task/unpack.h"

#include <string.h>

#define FEED_MOST ((size_t)1 << 30) /* zlib counts in 32 bits */

static voidpf zlib_alloc(voidpf ctx, uInt n, uInt size) { return zo_alloc(ctx, (size_t)n * size); }

static void zlib_free(voidpf ctx, voidpf ptr) { zo_free(ctx, ptr); }

static bool starts_gzip(const uint8_t *at, size_t left)
{
    return left >= 2 && at[0] == 0x1f && at[1] == 0x8b;
}

zo_status zo_unpack_open(zo_unpack *u, const zo_context *ctx, const char *where,
                         const uint8_t *bytes, size_t size)
{
    *u = (zo_unpack){.ctx = ctx, .where = where, .at = bytes, .left = size};
    u->gzip = starts_gzip(u->at, u->left);
    if (!u->gzip) return ZO_OK;
    u->z = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = (voidpf)u->ctx};
    return inflateInit2(&u->z, 16 + MAX_WBITS) == Z_OK ? ZO_OK : ZO_NO_MEMORY;
}

void zo_unpack_close(zo_unpack *u)
{
    if (u->gzip) inflateEnd(&u->z);
}

/* One call of inflate(): fills what it can of out[room]. */
static zo_status inflate_some(zo_unpack *u, uint8_t *out, size_t room, size_t *got)
{
    uInt feed = (uInt)(u->left < FEED_MOST ? u->left : FEED_MOST);
    uInt space = (uInt)(room < FEED_MOST ? room : FEED_MOST);
    u->z.next_in = (z_const Bytef *)u->at;
    u->z.avail_in = feed;
    u->z.next_out = out;
    u->z.avail_out = space;
    int result = inflate(&u->z, Z_NO_FLUSH);
    u->at += feed - u->z.avail_in;
    u->left -= feed - u->z.avail_in;
    *got = space - u->z.avail_out;
    switch (result) {
    case Z_OK: return ZO_OK;
    case Z_STREAM_END: /* another member may follow: RFC 1952, 2.2 */
        u->ended = !starts_gzip(u->at, u->left);
        if (!u->ended) inflateReset(&u->z);
        return ZO_OK;
    case Z_BUF_ERROR:
        return zo_fail(u->ctx, ZO_FORMAT, "%s: the gzip data end early: download the file again",
                       u->where);
    case Z_MEM_ERROR: return ZO_NO_MEMORY;
    default:
        return zo_fail(u->ctx, ZO_FORMAT,
                       "%s: the gzip data are damaged (%s): download the file again", u->where,
                       u->z.msg ? u->z.msg : "unknown method");
    }
}

zo_status zo_unpack_take(zo_unpack *u, uint8_t *out, size_t want, size_t *got)
{
    zo_status status = ZO_OK;
    *got = 0;
    if (!u->gzip) {
        *got = want < u->left ? want : u->left;
        memcpy(out, u->at, *got);
        u->at += *got;
        u->left -= *got;
    }
    while (u->gzip && !u->ended && *got < want && !status) {
        size_t more;
        status = inflate_some(u, out + *got, want - *got, &more);
        *got += more;
    }
    return status;
}

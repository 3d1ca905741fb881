/* The chunked coding: however the input is split, the same data, the same end, the same trailers;
   and what was decoded is what a plain, whole-buffer reading of RFC 9112 section 7.1 finds. The
   first two bytes of the input steer the splits. */
#include "codec/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA_MAX = 8192, TRAILER_MAX = 512 };
struct decoded {
    char data[DATA_MAX], trailer[TRAILER_MAX];
    size_t n, used;
    enum h1_chunk_event end;
    struct h1_chunked c;
};

static void decode(struct decoded *d, const char *p, size_t n, size_t step, bool keep)
{
    d->n = d->used = 0;
    d->end = CHUNK_MORE;
    d->c = (struct h1_chunked){ .trailer = keep ? d->trailer : NULL,
                                .trailer_cap = keep ? TRAILER_MAX : 0 };
    while (d->used < n) {
        struct str data;
        size_t used, piece = n - d->used < step ? n - d->used : step;
        enum h1_chunk_event e = h1_chunk_step(&d->c, p + d->used, piece, &used, &data);
        CHECK(used <= piece && (used > 0 || e == CHUNK_END));
        if (e == CHUNK_DATA) {
            CHECK(data.n > 0 && data.p + data.n == p + d->used + used);
            if (d->n + data.n <= DATA_MAX)
                memcpy(d->data + d->n, data.p, data.n);
            d->n += data.n;
        } else {
            CHECK(data.n == 0);
        }
        CHECK(e != CHUNK_MORE || used == piece);
        d->used += used;
        if (e != CHUNK_DATA && e != CHUNK_MORE) {
            d->end = e;
            return;
        }
    }
}

/* Sizes of a well-formed body without extensions, read at once: the oracle. False when it is not of
 * that plain kind. */
static bool plain_length(const char *p, size_t n, size_t *ret_data, size_t *ret_used)
{
    size_t at = 0, sum = 0;
    for (;;) {
        uint64_t len;
        size_t line = at;
        while (at < n && p[at] != '\r')
            at++;
        if (at - line > 16 || n - at < 2 || p[at + 1] != '\n' ||
            !str_to_hex_u64((struct str){ p + line, at - line }, &len))
            return false;
        at += 2;
        if (len > n || n - at < len + 2 || p[at + len] != '\r' || p[at + len + 1] != '\n')
            return false;
        at += len + 2;
        sum += len;
        if (len == 0) {
            *ret_data = sum;
            *ret_used = at;
            return true;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoded whole, split, dropped;
    if (size < 2)
        return 0;
    size_t step = 1 + (data[0] | (size_t)(data[1] & 3) << 8);
    const char *p = (const char *)data + 2;
    size -= 2;
    decode(&whole, p, size, size ? size : 1, true);
    decode(&split, p, size, step, true);
    decode(&dropped, p, size, 1, false);
    CHECK(whole.end == split.end && whole.used == split.used && whole.n == split.n);
    CHECK(memcmp(whole.data, split.data, whole.n < DATA_MAX ? whole.n : 0) == 0);
    CHECK(whole.c.trailer_n == split.c.trailer_n &&
          memcmp(whole.trailer, split.trailer, whole.c.trailer_n) == 0);
    CHECK(whole.n == dropped.n &&
          (whole.end == dropped.end || whole.end == CHUNK_TRAILERS_TOO_LARGE));
    size_t n, used;
    if (plain_length(p, size, &n, &used))
        CHECK(whole.end == CHUNK_END && whole.n == n && whole.used == used);
    if (whole.end == CHUNK_END) {
        struct header hv[8];
        struct headers h;
        (void)h1_parse_trailers((struct str){ whole.trailer, whole.c.trailer_n }, hv, 8, &h);
    }
    return 0;
}

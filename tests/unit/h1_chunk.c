/* The chunked coding: what it yields however it is split, one row for every malformed variant,
 * trailers. */
#include "../harness/harness.h"
#include "codec/h1.h"

struct decoded {
    enum h1_chunk_event end; /* CHUNK_MORE: it wants more */
    char data[1024], trailer[256];
    size_t n, used;
    struct h1_chunked c;
};

/* Decodes s, arriving in two pieces cut at split, or byte by byte when step is 1. */
static void decode(struct decoded *d, struct str s, size_t split, size_t step)
{
    *d = (struct decoded){ .end = CHUNK_MORE };
    d->c.trailer = d->trailer;
    d->c.trailer_cap = sizeof(d->trailer);
    while (d->used < s.n) {
        size_t stop = d->used < split ? split : s.n, used;
        struct str data;
        if (step && d->used + step < stop)
            stop = d->used + step;
        d->end = h1_chunk_step(&d->c, s.p + d->used, stop - d->used, &used, &data);
        CHECK(used <= stop - d->used);
        if (d->end == CHUNK_DATA) {
            CHECK(data.p >= s.p && data.p + data.n <= s.p + stop && data.n > 0);
            CHECK(d->n + data.n <= sizeof(d->data));
            memcpy(d->data + d->n, data.p, data.n);
            d->n += data.n;
        }
        d->used += used;
        if (d->end != CHUNK_DATA && d->end != CHUNK_MORE)
            return;
    }
    if (d->end == CHUNK_DATA)
        d->end = CHUNK_MORE;
}

#define ROW(name, bytes, want, data)                \
    {                                               \
        name, STR_INIT(bytes), want, STR_INIT(data) \
    }
static const struct {
    const char *name;
    struct str bytes;
    enum h1_chunk_event want;
    struct str data;
} rows[] = {
    ROW("one chunk", "3\r\nabc\r\n0\r\n\r\n", CHUNK_END, "abc"),
    ROW("two chunks and a pipelined rest", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET", CHUNK_END,
        "abc0123456789"),
    ROW("no data", "0\r\n\r\n", CHUNK_END, ""),
    ROW("several zeros", "000\r\n\r\n", CHUNK_END, ""),
    ROW("leading zeros", "0000000000000003\r\nabc\r\n0\r\n\r\n", CHUNK_END, "abc"),
    ROW("both cases of hex", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", CHUNK_END,
        "01234567890123456789"),
    ROW("extension", "3;a=b;c;d=\"e\\\"f; g\"\r\nabc\r\n0;x\r\n\r\n", CHUNK_END, "abc"),
    ROW("extension with blanks", "3 ; a = b\t;\tc = \"d\" \t;e\r\nabc\r\n0\r\n\r\n", CHUNK_END,
        "abc"),
    ROW("data with CRLF", "4\r\n\r\n\r\n\r\n0\r\n\r\n", CHUNK_END, "\r\n\r\n"),
    ROW("trailer", "0\r\nX: y\r\nZ:\r\n\r\n", CHUNK_END, ""),
    ROW("unfinished", "3\r\nab", CHUNK_MORE, "ab"),
    ROW("unfinished end", "0\r\n\r", CHUNK_MORE, ""),
    ROW("T4 no size", "\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 2^63", "8000000000000000\r\n", CHUNK_BAD, ""),
    ROW("T4 2^64", "FFFFFFFFFFFFFFFF\r\n", CHUNK_BAD, ""),
    ROW("T4 2^63-1 is a size", "7FFFFFFFFFFFFFFF\r\nabc", CHUNK_MORE, "abc"),
    ROW("T4 0x", "0x3\r\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 plus", "+3\r\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 minus", "-1\r\n", CHUNK_BAD, ""),
    ROW("T4 space before", " 3\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 space after", "3 \r\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 not hex", "3g\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 underscore", "1_0\r\n", CHUNK_BAD, ""),
    ROW("T4 NUL", "3\0\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 bare LF after the size", "3\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 bare CR after the size", "3\rabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 CR CR LF", "3\r\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 data too long", "3\r\nabcd\r\n0\r\n\r\n", CHUNK_BAD, "abc"),
    ROW("T4 data too short", "3\r\nab\r\n0\r\n\r\n", CHUNK_BAD, "ab\r"),
    ROW("T4 bare LF after data", "3\r\nabc\n0\r\n\r\n", CHUNK_BAD, "abc"),
    ROW("T4 bare CR after data", "3\r\nabc\r0\r\n\r\n", CHUNK_BAD, "abc"),
    ROW("T4 any two bytes after data", "3\r\nabcXX0\r\n\r\n", CHUNK_BAD, "abc"),
    ROW("T4 bare LF at the end", "0\r\n\n", CHUNK_BAD, ""),
    ROW("T4 bare CR at the end", "0\r\n\rX", CHUNK_BAD, ""),
    ROW("T4 bare LF after the last size", "0\n\r\n", CHUNK_BAD, ""),
    ROW("T4 bare CR in an extension", "3;a\rb\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 bare LF in a quoted extension", "3;a=\"\n\"\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 CRLF in a quoted extension", "3;a=\"\r\n\"\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 escaped CR in a quoted extension", "3;a=\"\\\r\"\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 extension without a name", "3;\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 extension without a value", "3;a=\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 blank after a name", "3;a \r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 blank after a value", "3;a=b \r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 two values", "3;a=b=c\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 text after a quoted string", "3;a=\"b\"c\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 extension without ';'", "3 a\r\nabc\r\n", CHUNK_BAD, ""),
    ROW("T4 folded trailer", "0\r\nX: y\r\n z\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 space before the colon in a trailer", "0\r\nX : y\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 trailer without a name", "0\r\n: y\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 trailer without a colon", "0\r\nX\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 bare LF in a trailer", "0\r\nX: y\n\r\n", CHUNK_BAD, ""),
    ROW("T4 bare CR in a trailer", "0\r\nX: y\rz\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 NUL in a trailer", "0\r\nX: \0\r\n\r\n", CHUNK_BAD, ""),
    ROW("T4 a request for a trailer", "0\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", CHUNK_BAD, ""),
};

static void judge(void)
{
    static struct decoded d;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CASE(rows[i].name);
        size_t used = 0;
        for (size_t split = 0; split <= rows[i].bytes.n + 1;
             split++) { /* the last round goes byte by byte */
            decode(&d, rows[i].bytes, split, split > rows[i].bytes.n ? 1 : 0);
            used = split ? used : d.used;
            test_result(d.end == rows[i].want, __FILE__, __LINE__, "%s cut at %zu: got %d, want %d",
                        rows[i].name, split, d.end, rows[i].want);
            EXPECT_STR(((struct str){ d.data, d.n }), rows[i].data);
            EXPECT_INT(d.used, used);
        }
    }
}

static void limits(void)
{
    static struct decoded d;
    static char line[400];
    CASE("extensions end at 256 bytes");
    for (size_t ext = 255; ext <= 258; ext++) {
        memset(line, 'x', sizeof(line));
        memcpy(line, "0000000000000003;", 17);
        memcpy(line + 16 + ext, "\r\nabc\r\n0\r\n\r\n", 12);
        decode(&d, (struct str){ line, 16 + ext + 12 }, 0, 0);
        EXPECT_INT(d.end, ext <= 256 ? CHUNK_END : CHUNK_BAD);
    }
    CASE("trailers end at the memory given for them");
    memset(line, 'x', sizeof(line));
    memcpy(line, "0\r\nA:", 5);
    memcpy(line + 3 + 254, "\r\n\r\n", 4);
    decode(&d, (struct str){ line, 3 + 258 }, 0, 0);
    EXPECT_INT(d.end, CHUNK_END);
    EXPECT_INT(d.c.trailer_n, 256);
    memset(line + 5, 'x', 300);
    memcpy(line + 3 + 255, "\r\n\r\n", 4);
    decode(&d, (struct str){ line, 3 + 259 }, 0, 0);
    EXPECT_INT(d.end, CHUNK_TRAILERS_TOO_LARGE);
    CASE("trailers that nobody wants are bounded, too");
    struct h1_chunked c = { 0 };
    struct str data;
    size_t used, fields = 0;
    EXPECT_INT(h1_chunk_step(&c, "0\r\n", 3, &used, &data), CHUNK_MORE);
    while (fields < 100000 && h1_chunk_step(&c, "A: b\r\n", 6, &used, &data) == CHUNK_MORE)
        fields++;
    EXPECT_INT(fields, 8192 / 6);
    EXPECT_INT(h1_chunk_step(&c, "\r\n", 2, &used, &data), CHUNK_BAD);
    CASE("after the end nothing is taken");
    c = (struct h1_chunked){ 0 };
    EXPECT_INT(h1_chunk_step(&c, "0\r\n\r\nX", 6, &used, &data), CHUNK_END);
    EXPECT_INT(used, 5);
    EXPECT_INT(h1_chunk_step(&c, "X", 1, &used, &data), CHUNK_END);
    EXPECT_INT(used, 0);
}

static void trailers(void)
{
    static const struct {
        const char *block;
        int n; /* -1: refused */
    } t[] = {
        { "", 0 },
        { "Grpc-Status: 0\r\nGrpc-Message: \r\nX-Checksum: abc\r\n", 3 },
        { "Server-Timing: a\r\n", 1 },
        { "Content-Length: 5\r\n", -1 },
        { "Transfer-Encoding: chunked\r\n", -1 },
        { "Host: h\r\n", -1 },
        { "Connection: close\r\n", -1 },
        { "Trailer: x\r\n", -1 },
        { "Upgrade: x\r\n", -1 },
        { "TE: x\r\n", -1 },
        { "Authorization: x\r\n", -1 },
        { "Proxy-Authorization: x\r\n", -1 },
        { "Cookie: x\r\n", -1 },
        { "Set-Cookie: x\r\n", -1 },
        { "Content-Type: x\r\n", -1 },
        { "Content-Encoding: x\r\n", -1 },
        { "Content-Range: x\r\n", -1 },
        { "Cache-Control: x\r\n", -1 },
        { "Content-MD5: x\r\n", 1 },
        { "Content-Digest: x\r\n", 1 },
        { "Content-Digests: x\r\n", -1 },
        { "If-Match: x\r\n", -1 },
        { "Range: x\r\n", -1 },
        { "Expect: x\r\n", -1 },
        { "Location: x\r\n", -1 },
        { "X-Forwarded-For: x\r\n", -1 },
        { "X-Forwarded-Whatever: x\r\n", -1 },
        { "X-Consumer-Id: x\r\n", -1 },
        { "Forwarded: x\r\n", -1 },
        { "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n", -1 }, /* more than there is room for */
        { "A: 1", -1 },
        { "A: 1\r", -1 },
        { "A: 1\n", -1 },
        { "A 1\r\n", -1 },
        { ": 1\r\n", -1 },
        { " A: 1\r\n", -1 },
    };
    CASE("trailers: those that would change what was decided are refused");
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct header hv[4];
        struct headers h;
        bool ok = h1_parse_trailers(str_from(t[i].block), hv, 4, &h);
        test_result(ok == (t[i].n >= 0), __FILE__, __LINE__, "'%s' accepted: %d", t[i].block, ok);
        if (ok)
            EXPECT_INT(h.n, t[i].n);
    }
    static struct decoded d;
    struct header hv[4];
    struct headers h;
    decode(&d, STR("0\r\nX-Sum:\t a b \r\nY:\r\n\r\n"), 0, 0);
    EXPECT(h1_parse_trailers((struct str){ d.trailer, d.c.trailer_n }, hv, 4, &h));
    EXPECT_INT(h.n, 2);
    EXPECT_STR(header_name(&h.v[0]), STR("X-Sum"));
    EXPECT_STR(header_value(&h.v[0]), STR("a b"));
    EXPECT_STR(header_value(&h.v[1]), STR(""));
}

void unit_h1_chunk(void);
void unit_h1_chunk(void)
{
    judge();
    limits();
    trailers();
}

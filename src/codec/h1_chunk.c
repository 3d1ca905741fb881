/* The chunked coding, RFC 9112 section 7.1, byte-exact: every CRLF is checked, sizes cannot
   overflow, extensions and trailers are bounded. Pure; any thread. */
#include "codec/h1_priv.h"

enum {
    SIZE_DIGITS = 16,     /* 64 bits */
    SIZE_LINE = 16 + 256, /* digits and extensions: nobody uses extensions, attackers do */
    TRAILER_BYTES =
        8192, /* of trailers that are checked and dropped; kept ones have their own cap */
};
enum state {
    SIZE_FIRST = 0, /* zeroed to start */
    SIZE,
    EXT_GAP,   /* blanks after a size, a token or a quoted string: only ';' may follow */
    EXT_NAME0, /* after ';', blanks, before the name */
    EXT_NAME,
    EXT_EQ,     /* blanks after a name: '=' or ';' */
    EXT_VALUE0, /* after '=' */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPE,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BROKEN,
};

static bool quotable(char c) /* what may stand in a quoted-string; '"' and '\' are handled before */
{
    return c == '\t' || ((uint8_t)c >= 0x20 && c != 0x7f);
}

/* One byte of chunk-ext, RFC 9112 section 7.1.1. Returns the next state. */
static enum state ext_byte(enum state s, char c)
{
    bool ows = scan_is(c, SCAN_OWS), token = scan_is(c, SCAN_TOKEN);
    bool may_end = s == EXT_NAME || s == EXT_TOKEN || s == EXT_QUOTED_END;
    if (may_end && c == '\r')
        return SIZE_LF;
    if ((may_end || s == EXT_GAP || s == EXT_EQ) && c == ';')
        return EXT_NAME0;
    switch (s) {
    case EXT_GAP:
        return ows ? EXT_GAP : BROKEN;
    case EXT_NAME0:
        return ows ? EXT_NAME0 : token ? EXT_NAME : BROKEN;
    case EXT_NAME:
        return token ? EXT_NAME : c == '=' ? EXT_VALUE0 : ows ? EXT_EQ : BROKEN;
    case EXT_EQ:
        return c == '=' ? EXT_VALUE0 : ows ? EXT_EQ : BROKEN;
    case EXT_VALUE0:
        return ows ? EXT_VALUE0 : c == '"' ? EXT_QUOTED : token ? EXT_TOKEN : BROKEN;
    case EXT_TOKEN:
        return token ? EXT_TOKEN : ows ? EXT_GAP : BROKEN;
    case EXT_QUOTED:
        return c == '"'      ? EXT_QUOTED_END
               : c == '\\'   ? EXT_ESCAPE
               : quotable(c) ? EXT_QUOTED
                             : BROKEN;
    case EXT_ESCAPE:
        return quotable(c) ? EXT_QUOTED : BROKEN;
    case EXT_QUOTED_END:
        return ows ? EXT_GAP : BROKEN;
    default:
        return BROKEN;
    }
}

/* One byte of a chunk's size line. */
static enum state size_byte(struct h1_chunked *c, enum state s, char b)
{
    if (++c->line > SIZE_LINE + 2) /* and CRLF */
        return BROKEN;
    if (s == SIZE_LF) {
        if (b != '\n')
            return BROKEN;
        c->line = 0;
        return c->left ? DATA : TRAILER_START;
    }
    if (s != SIZE_FIRST && s != SIZE)
        return ext_byte(s, b);
    if (scan_is(b, SCAN_HEX)) {
        if (c->line > SIZE_DIGITS || c->left >> 59) /* the result would not be below 2^63 */
            return BROKEN;
        c->left = c->left << 4 | scan_hex(b);
        return SIZE;
    }
    if (s == SIZE_FIRST)
        return BROKEN;
    return b == '\r' ? SIZE_LF : b == ';' ? EXT_NAME0 : scan_is(b, SCAN_OWS) ? EXT_GAP : BROKEN;
}

/* One byte of the trailer section. */
static enum state trailer_byte(enum state s, char b)
{
    switch (s) {
    case TRAILER_START:
        return b == '\r' ? END_LF : scan_is(b, SCAN_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_NAME:
        return b == ':' ? TRAILER_VALUE : scan_is(b, SCAN_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_VALUE:
        return b == '\r' ? TRAILER_LF : quotable(b) ? TRAILER_VALUE : BROKEN;
    case TRAILER_LF:
        return b == '\n' ? TRAILER_START : BROKEN;
    case END_LF:
        return b == '\n' ? DONE : BROKEN;
    default:
        return BROKEN;
    }
}

/* Counts a trailer byte and keeps it if there is room for it to be kept. The last CRLF is not part
 * of the block. */
static bool trailer_keep(struct h1_chunked *c, char b)
{
    uint16_t cap = c->trailer ? c->trailer_cap : TRAILER_BYTES;
    if (c->trailer_n >= cap)
        return false;
    if (c->trailer)
        c->trailer[c->trailer_n] = b;
    c->trailer_n++;
    return true;
}

static enum h1_chunk_event stop(struct h1_chunked *c, enum h1_chunk_event e)
{
    c->state = BROKEN;
    return e;
}

/* The bytes of the current chunk that are here. */
static struct str data_slice(struct h1_chunked *c, const char *p, const char *end)
{
    size_t here = (size_t)(end - p);
    size_t take = c->left < here ? (size_t)c->left : here;
    c->left -= take;
    if (c->left == 0)
        c->state = DATA_CR;
    return (struct str){ p, take };
}

enum h1_chunk_event h1_chunk_step(struct h1_chunked *c, const char *p, size_t n, size_t *ret_used,
                                  struct str *ret_data)
{
    const char *at = p, *end = n ? p + n : p;
    *ret_data = (struct str){ NULL, 0 };
    *ret_used = 0;
    if (c->state == DONE)
        return CHUNK_END;
    while (at < end) {
        enum state s = (enum state)c->state;
        if (s == DATA) {
            *ret_data = data_slice(c, at, end);
            *ret_used = (size_t)(at - p) + ret_data->n;
            return CHUNK_DATA;
        }
        char b = *at++;
        *ret_used = (size_t)(at - p);
        if (s <= SIZE_LF) {
            s = size_byte(c, s, b);
        } else if (s < TRAILER_START) {
            s = s == DATA_CR && b == '\r'   ? DATA_LF
                : s == DATA_LF && b == '\n' ? SIZE_FIRST
                                            : BROKEN;
        } else {
            s = trailer_byte(s, b);
            if (s != END_LF && s != DONE && s != BROKEN && !trailer_keep(c, b))
                return stop(c, CHUNK_TRAILERS_TOO_LARGE);
        }
        c->state = (uint8_t)s;
        if (s == BROKEN)
            return CHUNK_BAD;
        if (s == DONE)
            return CHUNK_END;
    }
    return c->state == BROKEN ? CHUNK_BAD : CHUNK_MORE;
}

/* ---- trailers ---- */

/* RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, content format. And
 * what proxies assert. */
bool h1_trailer_allowed(const struct header *h)
{
    static const uint64_t allowed = H1_BIT(HDR_OTHER) | H1_BIT(HDR_GRPC_STATUS) | H1_BIT(HDR_DATE) |
                                    H1_BIT(HDR_SERVER) | H1_BIT(HDR_X_REQUEST_ID) |
                                    H1_BIT(HDR_PROXY_STATUS);
    static const struct str prefix[] = { STR_INIT("content-"), STR_INIT("x-forwarded-"),
                                         STR_INIT("if-"), STR_INIT("client-cert-"),
                                         STR_INIT("sec-") };
    static const struct str whole[] = {
        STR_INIT("cache-control"),
        STR_INIT("max-forwards"),
        STR_INIT("range"),
        STR_INIT("accept-encoding"),
        STR_INIT("age"),
        STR_INIT("expires"),
        STR_INIT("vary"),
        STR_INIT("www-authenticate"),
        STR_INIT("authentication-info"),
        STR_INIT("pragma"),
        STR_INIT("warning"),
        STR_INIT("proxy-authentication-info"),
        STR_INIT("origin"),
        STR_INIT("referer"),
    };
    if (!(H1_BIT(h->id) & allowed))
        return false;
    /* Made for trailers: a digest is known when its content is over (RFC 9530 section 2). */
    static const struct str digest[] = { STR_INIT("content-digest"), STR_INIT("content-md5") };
    struct str name = header_name(h);
    for (size_t i = 0; i < ARRAY_LEN(digest); i++)
        if (str_ieq(name, digest[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(prefix); i++)
        if (str_ieq(str_sub(name, 0, prefix[i].n), prefix[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_ieq(name, whole[i]))
            return false;
    return !header_disguised(name);
}

bool h1_parse_trailers(struct str block, struct header *hv, uint32_t cap, struct headers *ret)
{
    const char *at = block.p, *end = block.p + block.n;
    *ret = (struct headers){ hv, 0, cap };
    while (at < end) {
        const char *line = at, *p = at;
        while (p < end && scan_is(*p, SCAN_TOKEN))
            p++;
        size_t name_n = (size_t)(p - line);
        if (p == end || *p != ':' || name_n == 0)
            return false;
        const char *stop = scan_value(p + 1, end);
        at = stop;
        if (h1_crlf(&at, end) != H1_OK)
            return false;
        struct str value = str_trim((struct str){ p + 1, (size_t)(stop - p) - 1 });
        if (!headers_add(ret, (struct str){ line, name_n }, value) ||
            !h1_trailer_allowed(&ret->v[ret->n - 1]))
            return false;
    }
    return true;
}

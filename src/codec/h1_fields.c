/* The field block of an HTTP/1 head (RFC 9112 section 5) and the fields that frame and steer:
   Connection, Content-Length, Transfer-Encoding, Upgrade. Pure; any thread. */
#include "codec/h1_priv.h"

/* Options beyond the known ones in all Connection fields of a message; each costs a walk over its
 * fields. */
enum { NOMINATED_MAX = 32 };

#define HOP HDR_F_HOP
static const uint8_t hop[HDR_COUNT] = {
    [HDR_CONNECTION] = HOP,
    [HDR_KEEP_ALIVE] = HOP,
    [HDR_PROXY_CONNECTION] = HOP,
    [HDR_TRANSFER_ENCODING] = HOP,
    [HDR_CONTENT_LENGTH] = HOP,
    [HDR_TE] = HOP,
    [HDR_UPGRADE] = HOP,
    [HDR_HTTP2_SETTINGS] = HOP,
    /* RFC 9110 section 11.7: these apply to the next proxy only, and we are it. */
    [HDR_PROXY_AUTHENTICATE] = HOP,
    [HDR_PROXY_AUTHORIZATION] = HOP,
};

/* Fields that no Connection option may take away: a client could hide them from the upstream, or
   strip what a proxy before us has added. Prefixes and names without an id are in end_to_end_name.
 */
static const uint64_t end_to_end =
    H1_BIT(HDR_HOST) | H1_BIT(HDR_CONTENT_LENGTH) | H1_BIT(HDR_TRANSFER_ENCODING) |
    H1_BIT(HDR_CONNECTION) | H1_BIT(HDR_CONTENT_TYPE) | H1_BIT(HDR_EXPECT) | H1_BIT(HDR_DATE) |
    H1_BIT(HDR_VIA) | H1_BIT(HDR_X_FORWARDED_FOR) | H1_BIT(HDR_X_FORWARDED_PROTO) |
    H1_BIT(HDR_X_FORWARDED_HOST) | H1_BIT(HDR_X_FORWARDED_PORT) | H1_BIT(HDR_FORWARDED) |
    H1_BIT(HDR_X_REAL_IP) | H1_BIT(HDR_X_REQUEST_ID) | H1_BIT(HDR_TRACEPARENT) |
    H1_BIT(HDR_TRACESTATE) | H1_BIT(HDR_PROXY_STATUS) | H1_BIT(HDR_GRPC_STATUS) |
    H1_BIT(HDR_GRPC_TIMEOUT) | H1_BIT(HDR_SEC_WEBSOCKET_KEY) | H1_BIT(HDR_SEC_WEBSOCKET_ACCEPT) |
    H1_BIT(HDR_COOKIE) | H1_BIT(HDR_SET_COOKIE) | H1_BIT(HDR_AUTHORIZATION) | H1_BIT(HDR_LOCATION) |
    H1_BIT(HDR_RETRY_AFTER) | H1_BIT(HDR_CLIENT_CERT) | H1_BIT(HDR_X_FORWARDED_CLIENT_CERT) |
    H1_BIT(HDR_X_CONSUMER);

static bool end_to_end_name(struct str name)
{
    static const struct str prefix[] = { STR_INIT("x-forwarded-"), STR_INIT("content-"),
                                         STR_INIT("client-cert-"), STR_INIT("if-") };
    static const struct str whole[] = { STR_INIT("cache-control"), STR_INIT("range"),
                                        STR_INIT("vary"), STR_INIT("origin"),
                                        STR_INIT("www-authenticate") };
    for (size_t i = 0; i < ARRAY_LEN(prefix); i++)
        if (str_ieq(str_sub(name, 0, prefix[i].n), prefix[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_ieq(name, whole[i]))
            return true;
    return false;
}

static enum h1_result fault(const char **why, const char *text)
{
    *why = text;
    return H1_BAD;
}

/* Why there is no "name:" at name; at is where the name scan stopped, before end. */
static enum h1_result name_fault(const char *name, const char *at, const char **why)
{
    if (at > name)
        *why = scan_is(*at, SCAN_OWS) ? "space before the colon"
                                      : "a byte that no field name can hold";
    else if (*at == ':')
        *why = "empty field name";
    else
        *why = scan_is(*at, SCAN_OWS) ? "folded field line" : "field line without a name";
    return H1_BAD;
}

/* Why there is no CRLF at p where a line should end. */
static enum h1_result line_end_fault(const char *p, const char *end, const char **why)
{
    if (p == end || (*p == '\r' && p + 1 == end))
        return H1_MORE;
    if (*p == '\r')
        return fault(why, "bare CR in a field");
    return fault(why, *p == '\n' ? "bare LF in a field" : "control byte in a field value");
}

static inline bool is_crlf(const char *p, const char *end)
{
    return LIKELY(end - p >= 2) && scan_word(p, 2) == scan_word("\r\n", 2);
}

/* "name: value CRLF" into h; name ends at p, where the colon is. *ret_next: the next line. */
static inline enum h1_result field_line(const char *name, const char *p, const char *end,
                                        struct header *h, const char **ret_next, const char *base)
{
    const char *colon = p++;
    uint8_t line = HDR_F_LINE;
    if (LIKELY(end - p >= 2 && p[0] == ' ' && (uint8_t)p[1] > ' ')) {
        p++;
    } else {
        line = 0;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
    }
    const char *value = p, *stop = p = scan_value_in(base, p, end);
    *ret_next = p;
    if (UNLIKELY(!is_crlf(p, end)))
        return H1_BAD;
    if (UNLIKELY((uint8_t)stop[-1] <= ' ')) { /* of such bytes only SP and HTAB can be there */
        line = 0;
        while (stop > value && (uint8_t)stop[-1] <= ' ')
            stop--;
    }
    *ret_next = p + 2;
    size_t name_n = (size_t)(colon - name);
    unsigned id = header_id_of((struct str){ name, name_n });
    *h = (struct header){ .name = name,
                          .value = value,
                          .value_n = (uint32_t)(stop - value),
                          .name_n = (uint16_t)name_n,
                          .id = (uint8_t)id,
                          .flags = (uint8_t)(hop[id] | line) };
    return H1_OK;
}

enum h1_result h1_fields_parse(const char **at, const char *end, uint32_t max,
                               struct http_message *m, struct h1_fields *f, const char **why)
{
    struct header *h = m->headers.v, *stop = h + max;
    const char *p = *at;
    bool huge = end - p > UINT16_MAX;
    for (;; h++) {
        const char *name = p;
        p = scan_token_in(f->base, name, end);
        if (UNLIKELY(p == end))
            return H1_MORE;
        if (UNLIKELY(*p != ':' || p == name)) {
            if (p != name || *p != '\r')
                return name_fault(name, p, why);
            if (!is_crlf(p, end))
                return line_end_fault(p, end, why);
            m->headers.n = (uint32_t)(h - m->headers.v);
            *at = p + 2;
            return H1_OK;
        }
        if (UNLIKELY(h == stop || (huge && p - name > UINT16_MAX))) {
            *why = h == stop ? "too many header fields" : "field name too long";
            return H1_TOO_LARGE;
        }
        if (UNLIKELY(field_line(name, p, end, h, &p, f->base) != H1_OK))
            return line_end_fault(p, end, why);
        f->dup |= f->seen & H1_BIT(h->id);
        f->seen |= H1_BIT(h->id);
        f->last[h->id] = h;
    }
}

/* ---- Connection, RFC 9110 section 7.6.1 ---- */

static bool nominate(struct http_message *m, struct str name)
{
    uint64_t bit = H1_BIT(header_id_of(name));
    if ((bit & end_to_end) || end_to_end_name(name))
        return false;
    for (uint32_t i = 0; i < m->headers.n; i++)
        if (str_ieq(header_name(&m->headers.v[i]), name))
            m->headers.v[i].flags |= HDR_F_HOP;
    return true;
}

static inline bool known_option(struct h1_fields *f, struct str item)
{
    if (item.n == 10 && scan_same(item.p, "keep-alive", 10))
        return f->keep_alive = true;
    if (item.n == 5 && scan_same(item.p, "close", 5))
        return f->close = true;
    if (item.n == 7 && scan_same(item.p, "upgrade", 7))
        return f->wants_upgrade = true;
    return false;
}

const char *h1_connection(struct http_message *m, struct h1_fields *f)
{
    unsigned nominated = 0;
    for (uint32_t i = 0; i < m->headers.n; i++) {
        if (m->headers.v[i].id != HDR_CONNECTION)
            continue;
        struct str list = header_value(&m->headers.v[i]), item;
        if (known_option(f, list))
            continue;
        while (scan_list(&list, &item)) {
            if (known_option(f, item))
                continue;
            if (item.n == 0)
                continue; /* RFC 9110 section 5.6.1.2: empty elements are to be skipped */
            if (!header_name_valid(item))
                return "malformed Connection";
            if (++nominated > NOMINATED_MAX)
                return "too many options in Connection";
            if (!nominate(m, item))
                return "Connection names an end-to-end field";
        }
    }
    return NULL;
}

/* ---- framing fields ---- */

bool h1_length(struct str value, uint64_t *ret)
{
    uint64_t v = 0;
    if (value.n == 0 || value.n > 19)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        unsigned d = (unsigned)(uint8_t)value.p[i] - '0';
        if (d > 9)
            return false;
        v = v * 10 + d; /* 19 digits cannot overflow 64 bits */
    }
    *ret = v;
    return v <= INT64_MAX;
}

/* A coding with its parameters: "gzip", "x;a=b". */
static bool coding_valid(struct str item, bool *ret_chunked)
{
    size_t n = str_find(item, ';');
    struct str name = str_trim(str_sub(item, 0, n));
    *ret_chunked = str_ieq(name, STR("chunked"));
    if (*ret_chunked && n < item.n)
        return false; /* chunked has no parameters */
    return header_name_valid(name);
}

enum h1_result h1_coding(struct str value, const char **why)
{
    if (LIKELY(value.n == 7 && scan_same(value.p, "chunked", 7)))
        return H1_OK;
    struct str item;
    bool chunked = false, other = false;
    while (scan_list(&value, &item)) {
        if (chunked) /* repeated, or not the last: RFC 9112 sections 6.1 and 6.3 */
            return fault(why, "chunked is not the last transfer coding");
        if (!coding_valid(item, &chunked))
            return fault(why, "malformed Transfer-Encoding");
        other |= !chunked;
    }
    if (!other)
        return fault(why, "malformed Transfer-Encoding");
    *why = "unknown transfer coding";
    return H1_UNSUPPORTED;
}

/* ---- Upgrade, RFC 9110 section 7.8 ---- */

static bool protocol_valid(struct str item)
{
    size_t slash = str_find(item, '/');
    return header_name_valid(str_sub(item, 0, slash)) &&
           (slash == item.n || header_name_valid(str_sub(item, slash + 1, item.n)));
}

const char *h1_upgrade(struct http_message *m, const struct h1_fields *f)
{
    if (f->dup & H1_BIT(HDR_UPGRADE))
        return "more than one Upgrade";
    const struct header *field = h1_field(f, HDR_UPGRADE);
    if (!f->wants_upgrade || !field || m->version != HTTP_11)
        return NULL; /* not nominated or HTTP/1.0: to be ignored */
    struct str value = header_value(field), list = value, item;
    if (value.n == 0)
        return "empty Upgrade";
    bool h2c = false;
    while (scan_list(&list, &item)) {
        if (!protocol_valid(item))
            return "malformed Upgrade";
        h2c |= str_ieq(item, STR("h2c"));
    }
    /* RFC 9113 section 3.1 withdrew the upgrade to h2c, and a tunnelled one would carry requests
     * past every rule: ignored. */
    if (!h2c)
        m->upgrade = value;
    return NULL;
}

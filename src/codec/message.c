/* What all HTTP versions share about a message head: methods, status texts, authorities, and
   copying a head into an arena. Pure but for the arena; any thread. */
#include "codec/message.h"
#include "codec/scan.h"

enum { AUTHORITY_MAX = 261 /* a 255-byte name, colon, five digits */ };

#define METHOD(lit, id)                         \
    if (memcmp(s.p, lit, sizeof(lit) - 1) == 0) \
    return id

enum http_method http_method_of(struct str s) /* RFC 9110 section 9.1: case-sensitive */
{
    switch (s.n) {
    case 3:
        METHOD("GET", METHOD_GET);
        METHOD("PUT", METHOD_PUT);
        break;
    case 4:
        METHOD("POST", METHOD_POST);
        METHOD("HEAD", METHOD_HEAD);
        break;
    case 5:
        METHOD("PATCH", METHOD_PATCH);
        METHOD("TRACE", METHOD_TRACE);
        break;
    case 6:
        METHOD("DELETE", METHOD_DELETE);
        break;
    case 7:
        METHOD("OPTIONS", METHOD_OPTIONS);
        METHOD("CONNECT", METHOD_CONNECT);
        break;
    default:
        break;
    }
    return METHOD_OTHER;
}

bool http_expectation_valid(struct str value)
{
    size_t n = 0;
    while (n < value.n && value.p[n] != '=' && value.p[n] != ',' && value.p[n] != ';')
        n++;
    return header_name_valid(str_sub(value, 0, n));
}

bool http_method_idempotent(uint8_t m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_PUT || m == METHOD_DELETE ||
           m == METHOD_OPTIONS || m == METHOD_TRACE;
}

static const struct {
    uint16_t status;
    struct str reason;
} reasons[] = {
    { 100, STR_INIT("Continue") },
    { 101, STR_INIT("Switching Protocols") },
    { 103, STR_INIT("Early Hints") },
    { 200, STR_INIT("OK") },
    { 201, STR_INIT("Created") },
    { 202, STR_INIT("Accepted") },
    { 203, STR_INIT("Non-Authoritative Information") },
    { 204, STR_INIT("No Content") },
    { 205, STR_INIT("Reset Content") },
    { 206, STR_INIT("Partial Content") },
    { 300, STR_INIT("Multiple Choices") },
    { 301, STR_INIT("Moved Permanently") },
    { 302, STR_INIT("Found") },
    { 303, STR_INIT("See Other") },
    { 304, STR_INIT("Not Modified") },
    { 307, STR_INIT("Temporary Redirect") },
    { 308, STR_INIT("Permanent Redirect") },
    { 400, STR_INIT("Bad Request") },
    { 401, STR_INIT("Unauthorized") },
    { 402, STR_INIT("Payment Required") },
    { 403, STR_INIT("Forbidden") },
    { 404, STR_INIT("Not Found") },
    { 405, STR_INIT("Method Not Allowed") },
    { 406, STR_INIT("Not Acceptable") },
    { 407, STR_INIT("Proxy Authentication Required") },
    { 408, STR_INIT("Request Timeout") },
    { 409, STR_INIT("Conflict") },
    { 410, STR_INIT("Gone") },
    { 411, STR_INIT("Length Required") },
    { 412, STR_INIT("Precondition Failed") },
    { 413, STR_INIT("Content Too Large") },
    { 414, STR_INIT("URI Too Long") },
    { 415, STR_INIT("Unsupported Media Type") },
    { 416, STR_INIT("Range Not Satisfiable") },
    { 417, STR_INIT("Expectation Failed") },
    { 421, STR_INIT("Misdirected Request") },
    { 422, STR_INIT("Unprocessable Content") },
    { 425, STR_INIT("Too Early") },
    { 426, STR_INIT("Upgrade Required") },
    { 428, STR_INIT("Precondition Required") },
    { 429, STR_INIT("Too Many Requests") },
    { 431, STR_INIT("Request Header Fields Too Large") },
    { 451, STR_INIT("Unavailable For Legal Reasons") },
    { 500, STR_INIT("Internal Server Error") },
    { 501, STR_INIT("Not Implemented") },
    { 502, STR_INIT("Bad Gateway") },
    { 503, STR_INIT("Service Unavailable") },
    { 504, STR_INIT("Gateway Timeout") },
    { 505, STR_INIT("HTTP Version Not Supported") },
    { 511, STR_INIT("Network Authentication Required") },
};

struct str http_status_reason(uint16_t status)
{
    if (status == 200)
        return STR("OK");
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return STR("");
}

void message_split_target(struct http_message *m)
{
    const char *q = m->target.n ? memchr(m->target.p, '?', m->target.n) : NULL;
    m->has_query = q != NULL;
    if (!q) {
        m->path = m->target;
        m->query = STR("");
        return;
    }
    m->path = (struct str){ m->target.p, (size_t)(q - m->target.p) };
    m->query = (struct str){ q + 1, m->target.n - m->path.n - 1 };
}

/* ---- authority ---- */

/* ":port" at p, or nothing. An empty port is legal in RFC 3986, but is read as "80", "none" or an
 * error: refused, as is port 0. */
static inline bool port_parse(const char *p, const char *end, uint16_t *ret)
{
    unsigned v = 0;
    *ret = 0;
    if (p == end)
        return true;
    if (end - p < 2 || end - p > 6 || *p != ':' || p[1] == '0')
        return false;
    while (++p < end) {
        unsigned d = (unsigned)(uint8_t)*p - '0';
        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    *ret = (uint16_t)v;
    return v <= 65535;
}

static bool ipv4_valid(const char *p, const char *end)
{
    int octets = 0;
    while (p < end) {
        unsigned v = 0;
        const char *start = p;
        while (p < end && *p >= '0' && *p <= '9' && p - start < 3)
            v = v * 10 + (unsigned)(*p++ - '0');
        if (p == start || v > 255 || (p - start > 1 && *start == '0'))
            return false;
        octets++;
        if (p == end)
            break;
        if (*p++ != '.' || p == end)
            return false;
    }
    return octets == 4;
}

/* The inside of [...], RFC 4291 section 2.2: at most one "::", groups of one to four hex digits,
   possibly an IPv4 tail. Zone identifiers mean nothing to another host and are refused. */
static bool ipv6_valid(const char *p, const char *end)
{
    int groups = 0;
    bool gap = false;
    if (end - p >= 2 && p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    }
    while (p < end) {
        const char *start = p;
        while (p < end && scan_is(*p, SCAN_HEX) && p - start < 4)
            p++;
        if (p == start)
            return false;
        if (p < end && *p == '.') {
            groups += 2;
            p = ipv4_valid(start, end) ? end : NULL;
            if (!p)
                return false;
            break;
        }
        groups++;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

#ifdef __SSE2__
/* Bits of x's bytes that may stand in a name, with ret_dots those that are dots. */
static inline __attribute__((always_inline)) unsigned name_bits(__m128i x, unsigned *ret_dots)
{
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0')),
            dot = _mm_cmpeq_epi8(x, _mm_set1_epi8('.'));
    __m128i ok =
        _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8('z' - 'a')), letter),
                     _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
    ok = _mm_or_si128(_mm_or_si128(ok, dot), _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('-')),
                                                          _mm_cmpeq_epi8(x, _mm_set1_epi8('_'))));
    *ret_dots = (unsigned)_mm_movemask_epi8(dot);
    return (unsigned)_mm_movemask_epi8(ok);
}

/* name_end for 8 to 32 bytes, without reading beyond them: two halves that overlap. */
static const char *name_end_short(const char *p, size_t n)
{
    uint64_t ok, dots;
    unsigned d, e = 0;
    if (n < 16) {
        __m128i lo = _mm_loadl_epi64((const __m128i *)(const void *)p);
        __m128i hi = _mm_loadl_epi64((const __m128i *)(const void *)(p + n - 8));
        unsigned both = name_bits(_mm_unpacklo_epi64(lo, hi), &d);
        ok = (both & 0xff) | (uint64_t)(both >> 8) << (n - 8);
        dots = (d & 0xff) | (uint64_t)(d >> 8) << (n - 8);
    } else {
        ok = name_bits(_mm_loadu_si128((const __m128i *)(const void *)p), &d);
        ok |= (uint64_t)name_bits(_mm_loadu_si128((const __m128i *)(const void *)(p + n - 16)), &e)
              << (n - 16);
        dots = d | (uint64_t)e << (n - 16);
    }
    size_t len = (size_t)__builtin_ctzll(~ok);
    dots &= (UINT64_C(1) << len) - 1;
    return dots & (dots << 1 | 1) ? NULL : p + len;
}
#endif

/* Where the name at p ends; NULL when a dot comes first or after a dot. */
static const char *name_end(const char *p, const char *end)
{
#ifdef __SSE2__
    if (LIKELY(end - p >= 8 && end - p <= 32))
        return name_end_short(p, (size_t)(end - p));
#endif
    for (;; p++) {
        const char *label = p;
        while (p < end && scan_is(*p, SCAN_LABEL))
            p++;
        if (p == end || *p != '.')
            return p;
        if (p == label)
            return NULL;
    }
}

/* Percent-encoding, sub-delims and non-ASCII are legal in RFC 3986's reg-name, yet mean nothing in
   DNS and something in other parsers; so a name is letters, digits, '-', '_' and single dots. One
   dot at the end is left out of ret_host. */
bool authority_parse(struct str authority, struct str *ret_host, uint16_t *ret_port)
{
    const char *p = authority.p, *end = p + authority.n;
    *ret_host = STR("");
    *ret_port = 0;
    if (authority.n == 0 || authority.n > AUTHORITY_MAX)
        return false;
    if (*p == '[') {
        const char *close = memchr(p, ']', authority.n);
        if (!close || !ipv6_valid(p + 1, close))
            return false;
        p = close + 1;
        *ret_host = (struct str){ authority.p, (size_t)(p - authority.p) };
        return port_parse(p, end, ret_port);
    }
    p = name_end(p, end);
    if (!p)
        return false;
    size_t n = (size_t)(p - authority.p);
    if (n == 0 || n > 255)
        return false;
    *ret_host = (struct str){ authority.p, p[-1] == '.' ? n - 1 : n };
    return port_parse(p, end, ret_port);
}

/* ---- message_own ---- */

struct mover {
    const char *lo, *hi; /* m->raw */
    char *base;          /* its copy */
    char *at;            /* where slices from elsewhere go */
    size_t extra;        /* pass 1: how much those need */
};

static bool inside(const struct mover *v, const char *p, size_t n)
{
    return (uintptr_t)p >= (uintptr_t)v->lo && (uintptr_t)p + n <= (uintptr_t)v->hi;
}

/* Every slice with bytes in it lies in m->raw, as in every head of HTTP/1 but for one of
 * absolute-form. */
static bool all_inside(const struct mover *v, struct str *const slices[], size_t n,
                       const struct headers *h)
{
    bool in = true;
    for (size_t i = 0; i < n; i++)
        in &= slices[i]->n == 0 || inside(v, slices[i]->p, slices[i]->n);
    for (const struct header *f = h->v, *end = headers_end(h); f < end; f++)
        in &= inside(v, f->name, f->name_n) && inside(v, f->value, f->value_n);
    return in;
}

/* All of them move by the same distance. */
static void move_all(const struct mover *v, struct str *const slices[], size_t n, struct headers *h)
{
    uintptr_t shift = (uintptr_t)v->base - (uintptr_t)v->lo;
    for (size_t i = 0; i < n; i++) {
        if (slices[i]->n)
            slices[i]->p = (const char *)((uintptr_t)slices[i]->p + shift);
        else if (slices[i]->p)
            slices[i]->p = ""; /* absent stays absent */
    }
    for (struct header *f = h->v, *end = headers_end(h); f < end; f++) {
        f->name = (const char *)((uintptr_t)f->name + shift);
        f->value = (const char *)((uintptr_t)f->value + shift);
    }
}

static void count(struct mover *v, const char *p, size_t n)
{
    if (n > 0 && !inside(v, p, n))
        v->extra += n;
}

static const char *move(struct mover *v, const char *p, size_t n)
{
    if (n == 0)
        return p ? "" : NULL; /* absent stays absent */
    if (inside(v, p, n))
        return v->base + ((uintptr_t)p - (uintptr_t)v->lo);
    char *to = v->at;
    memcpy(to, p, n);
    v->at += n;
    return to;
}

/* path and query are views of target when they can be, else slices of their own. */
static void move_target(struct mover *v, struct http_message *m)
{
    struct str old = m->target;
    struct mover t = { .lo = old.p, .hi = old.p + old.n };
    m->target.p = move(v, old.p, old.n);
    struct str *view[] = { &m->path, &m->query };
    for (size_t i = 0; i < ARRAY_LEN(view); i++) {
        if (view[i]->n > 0 && inside(&t, view[i]->p, view[i]->n))
            view[i]->p = m->target.p + ((uintptr_t)view[i]->p - (uintptr_t)old.p);
        else
            view[i]->p = move(v, view[i]->p, view[i]->n);
    }
}

/* path and query come last: they are views of target when they can be. */
enum { SLICES = 8, OWN_SLICES = 5 };

static void count_all(struct mover *v, struct str *const slices[], const struct headers *h)
{
    for (size_t i = 0; i < SLICES; i++)
        count(v, slices[i]->p, slices[i]->n);
    for (uint32_t i = 0; i < h->n; i++) {
        count(v, h->v[i].name, h->v[i].name_n);
        count(v, h->v[i].value, h->v[i].value_n);
    }
}

static void move_each(struct mover *v, struct str *const slices[], struct http_message *m)
{
    for (size_t i = 0; i < OWN_SLICES; i++)
        slices[i]->p = move(v, slices[i]->p, slices[i]->n);
    move_target(v, m);
    for (struct header *f = m->headers.v, *end = headers_end(&m->headers); f < end; f++) {
        if (!inside(v, f->name, f->name_n + (size_t)f->value_n + 4))
            f->flags &= (uint8_t)~HDR_F_LINE; /* name and value will be apart */
        f->name = move(v, f->name, f->name_n);
        f->value = move(v, f->value, f->value_n);
    }
}

bool message_own(struct http_message *m, struct arena *a, uint32_t extra)
{
    struct mover v = { .lo = m->raw.p, .hi = m->raw.p + m->raw.n };
    struct str *const slices[SLICES] = { &m->method_text, &m->authority, &m->host, &m->reason,
                                         &m->upgrade,     &m->target,    &m->path, &m->query };
    if (extra > UINT32_MAX - m->headers.n)
        return false;
    uint32_t cap = m->headers.n + extra;
    bool flat = all_inside(&v, slices, SLICES, &m->headers);
    if (UNLIKELY(!flat))
        count_all(&v, slices, &m->headers);
    struct header *hv = cap ? arena_try(a, cap * sizeof(*hv)) : NULL;
    char *bytes = m->raw.n + v.extra ? arena_try_bytes(a, m->raw.n + v.extra) : NULL;
    if ((cap && !hv) || (m->raw.n + v.extra && !bytes))
        return false;
    if (m->raw.n)
        memcpy(bytes, m->raw.p, m->raw.n);
    v.base = bytes;
    v.at = bytes ? bytes + m->raw.n : NULL;
    if (m->headers.n)
        memcpy(hv, m->headers.v, m->headers.n * sizeof(*hv));
    m->headers = (struct headers){ hv, m->headers.n, cap };
    if (LIKELY(flat))
        move_all(&v, slices, SLICES, &m->headers);
    else
        move_each(&v, slices, m);
    m->raw = (struct str){ bytes, m->raw.n };
    return true;
}

/* HTTP/1 request heads: request line, target forms, Host, body framing. Pure; any thread. */
#include "codec/h1_priv.h"

static enum h1_result fault(const char **why, const char *text)
{
    *why = text;
    return H1_BAD;
}

/* The method and the SP after it at *at. */
static inline enum h1_result method_parse(const char **at, const char *end, struct http_message *m,
                                          const char **why)
{
    const char *start = *at, *p = start;
    if (LIKELY(end - p >= 4 && scan_word(p, 4) == scan_word("GET ", 4))) {
        m->method_text = (struct str){ start, 3 };
        m->method = METHOD_GET;
        *at = p + 4;
        return H1_OK;
    }
    p = scan_token(p, end);
    if (p == end)
        return H1_MORE;
    if (*p != ' ' || p == start)
        return fault(why, "malformed method");
    m->method_text = (struct str){ start, (size_t)(p - start) };
    m->method = (uint8_t)http_method_of(m->method_text);
    *at = p + 1;
    return H1_OK;
}

/* method SP target SP version CRLF. m->target.p is set as soon as the target begins, m->version
   when it is over. ret_query: the target's first '?', or NULL. */
static inline enum h1_result request_line(const char **at, const char *end, struct http_message *m,
                                          const char **ret_query, const char **why)
{
    const char *p = *at;
    enum h1_result r = method_parse(&p, end, m, why);
    if (UNLIKELY(r != H1_OK))
        return r;
    const char *start = p;
    m->target.p = start;
    p = scan_target(p, end, ret_query);
    if (p == end)
        return H1_MORE;
    if (*p != ' ' || p == start)
        return fault(why,
                     *p == '#' ? "fragment in the request target" : "malformed request target");
    m->target.n = (size_t)(p - start);
    p++;
    r = h1_version(&p, end, m);
    if (r == H1_OK)
        r = h1_crlf(&p, end);
    *at = p;
    if (LIKELY(r == H1_OK))
        return r;
    if (r == H1_MORE)
        m->version = 0;
    else
        *why = r == H1_VERSION ? "HTTP version not supported" : "malformed request line";
    return r;
}

/* scheme://authority[/path][?query], RFC 9112 section 3.2.2 */
static const char *absolute_form(struct http_message *m)
{
    struct str t = m->target;
    size_t scheme;
    if (t.n > 7 && scan_same(t.p, "http://", 7))
        scheme = 7;
    else if (t.n > 8 && scan_same(t.p, "https://", 8))
        scheme = 8;
    else
        return "malformed request target";
    m->tls = scheme == 8;
    size_t i = scheme;
    while (i < t.n && t.p[i] != '/' && t.p[i] != '?')
        i++;
    m->authority = str_sub(t, scheme, i);
    if (m->authority.n == 0)
        return "no host in the request target";
    m->target = str_sub(t, i, t.n);
    if (m->target.n == 0)
        m->target = m->method == METHOD_OPTIONS ? STR("*") : STR("/");
    else if (m->target.p[0] != '/')
        return "request target without a path"; /* http://host?q: adding the '/' would be a repair
                                                 */
    return NULL;
}

static const char *authority_form(struct http_message *m)
{
    struct str host;
    uint16_t port;
    m->authority = m->target;
    if (!authority_parse(m->target, &host, &port) || port == 0)
        return "CONNECT needs host:port";
    m->path = m->query = STR("");
    return NULL;
}

static inline const char *target_form(struct http_message *m, const char *query)
{
    struct str t = m->target;
    if (UNLIKELY(m->method == METHOD_CONNECT))
        return authority_form(m);
    if (UNLIKELY(t.p[0] != '/')) {
        const char *bad =
            m->method == METHOD_OPTIONS && str_eq(t, STR("*")) ? NULL : absolute_form(m);
        if (!bad)
            message_split_target(m);
        return bad;
    }
    m->has_query = query != NULL;
    m->path = (struct str){ t.p, query ? (size_t)(query - t.p) : t.n };
    m->query = query ? (struct str){ query + 1, t.n - m->path.n - 1 } : STR("");
    return NULL;
}

/* Does Host say the same as the authority of the request target? A port left out is the scheme's;
   CONNECT has no scheme, so there Host must have the port or none. */
static bool same_authority(struct http_message *m, struct str host_field, bool *ret_valid)
{
    struct str b;
    uint16_t pa, pb;
    *ret_valid =
        authority_parse(m->authority, &m->host, &pa) && authority_parse(host_field, &b, &pb);
    if (!*ret_valid)
        return false;
    uint16_t dflt = m->method == METHOD_CONNECT ? pa : m->tls ? 443 : 80;
    return str_ieq(m->host, b) && (pa ? pa : dflt) == (pb ? pb : dflt);
}

static const char *host_field(struct http_message *m, const struct h1_fields *f)
{
    uint16_t port;
    if (f->dup & H1_BIT(HDR_HOST))
        return "more than one Host";
    const struct header *host = h1_field(f, HDR_HOST);
    if (!host) {
        if (m->version == HTTP_11)
            return "no Host";
        return m->authority.n == 0 || authority_parse(m->authority, &m->host, &port)
                   ? NULL
                   : "invalid authority";
    }
    struct str value = header_value(host);
    if (m->authority.n == 0) {
        if (!authority_parse(value, &m->host, &port))
            return "invalid Host";
        m->authority = value;
        return NULL;
    }
    bool valid;
    if (same_authority(m, value, &valid))
        return NULL;
    return valid ? "Host differs from the request target" : "invalid Host or authority";
}

/* RFC 9112 section 6.3, with every doubtful case refused. */
static enum h1_result framing(struct http_message *m, const struct h1_fields *f, const char **why)
{
    const struct header *coding = h1_field(f, HDR_TRANSFER_ENCODING);
    const struct header *length = h1_field(f, HDR_CONTENT_LENGTH);
    m->body = BODY_NONE;
    if (UNLIKELY(f->dup & (H1_BIT(HDR_CONTENT_LENGTH) | H1_BIT(HDR_TRANSFER_ENCODING))))
        return fault(why, "repeated Content-Length or Transfer-Encoding");
    if (coding) {
        if (length)
            return fault(why, "Content-Length with Transfer-Encoding");
        if (m->version != HTTP_11)
            return fault(why, "Transfer-Encoding in HTTP/1.0");
        enum h1_result r = h1_coding(header_value(coding), why);
        if (r != H1_OK)
            return r;
        m->body = BODY_CHUNKED;
    } else if (length) {
        if (!h1_length(header_value(length), &m->length))
            return fault(why, "invalid Content-Length");
        m->body = BODY_LENGTH;
    }
    if (m->method == METHOD_CONNECT || m->method == METHOD_TRACE) {
        /* RFC 9110 sections 9.3.6 and 9.3.8: neither has content */
        if (coding || m->length > 0)
            return fault(why, "content in CONNECT or TRACE");
        m->body = m->method == METHOD_CONNECT ? BODY_STREAM : BODY_NONE;
    }
    return H1_OK;
}

/* RFC 9110 section 10.1.1. An expectation that is not ours to meet is dropped, one of another name
 * is 417 by whoever answers. */
static const char *expectation(struct http_message *m, const struct h1_fields *f)
{
    struct header *expect = h1_field(f, HDR_EXPECT);
    if (f->dup & H1_BIT(HDR_EXPECT))
        return "more than one Expect";
    struct str value = header_value(expect);
    if (!str_ieq(value, STR("100-continue"))) {
        m->expect_unknown = true;
        return http_expectation_valid(value) ? NULL : "malformed Expect";
    }
    m->expect_continue = m->version == HTTP_11 &&
                         (m->body == BODY_CHUNKED || (m->body == BODY_LENGTH && m->length > 0));
    if (!m->expect_continue)
        expect->flags |= HDR_F_HOP;
    return NULL;
}

/* What the rarer fields say; most requests have none of them. */
static const char *rare_fields(struct http_message *m, struct h1_fields *f)
{
    const char *bad = NULL;
    if (f->dup & H1_BIT(HDR_AUTHORIZATION))
        return "more than one Authorization"; /* which of them counts would be everyone's own choice
                                               */
    if (f->seen & H1_BIT(HDR_CONNECTION))
        bad = h1_connection(m, f);
    if (!bad && (f->seen & H1_BIT(HDR_UPGRADE)))
        bad = h1_upgrade(m, f);
    if (!bad && (f->seen & H1_BIT(HDR_EXPECT)))
        bad = expectation(m, f);
    if (!bad && (f->seen & H1_BIT(HDR_TE)))
        for (uint32_t i = 0; i < m->headers.n; i++)
            m->te_trailers |= m->headers.v[i].id == HDR_TE &&
                              header_list_has(header_value(&m->headers.v[i]), STR("trailers"));
    return bad;
}

static enum h1_result finish(struct http_message *m, struct h1_fields *f, const char **why)
{
    const uint64_t rare = H1_BIT(HDR_CONNECTION) | H1_BIT(HDR_UPGRADE) | H1_BIT(HDR_EXPECT) |
                          H1_BIT(HDR_TE) | H1_BIT(HDR_AUTHORIZATION);
    const char *bad = host_field(m, f);
    if (UNLIKELY(bad))
        return fault(why, bad);
    enum h1_result r = framing(m, f, why);
    if (UNLIKELY(r != H1_OK))
        return r;
    if ((f->seen & rare) && (bad = rare_fields(m, f)))
        return fault(why, bad);
    m->keep_alive = !f->close && (m->version == HTTP_11 || f->keep_alive);
    return H1_OK;
}

enum h1_result h1_parse_request(const char *p, size_t n, const struct h1_limits *lim,
                                struct header *hv, uint32_t cap, struct http_message *m,
                                size_t *ret_used, const char **ret_why)
{
    size_t limit = lim->head_bytes;
    const char *at = p, *end = p + (n < limit ? n : limit), *query = NULL;
    struct h1_fields f;
    h1_fields_init(&f, p);
    *m = (struct http_message){ .headers = { hv, 0, cap } };
    *ret_why = "";
    *ret_used = 0;
    enum h1_result r = H1_OK;
    if (at < end &&
        UNLIKELY(*at == '\r')) { /* RFC 9112 section 2.2: an empty line before the request line */
        r = h1_crlf(&at, end);
        if (r == H1_BAD)
            *ret_why = "bare CR before the request line";
    }
    if (r == H1_OK)
        r = request_line(&at, end, m, &query, ret_why);
    if (r == H1_OK) {
        const char *bad = target_form(m, query);
        r = bad ? fault(ret_why, bad)
                : h1_fields_parse(&at, end, cap < lim->headers ? cap : lim->headers, m, &f,
                                  ret_why);
    }
    if (r == H1_OK)
        r = finish(m, &f, ret_why);
    if (r == H1_MORE && n >= limit) {
        bool in_target = m->target.p && m->version == 0;
        *ret_why = in_target ? "request target too long" : "request head too large";
        return in_target ? H1_URI_TOO_LONG : H1_TOO_LARGE;
    }
    if (r == H1_OK) {
        *ret_used = (size_t)(at - p);
        m->raw = (struct str){ p, *ret_used };
    }
    return r;
}

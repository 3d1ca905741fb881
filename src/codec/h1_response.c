/* HTTP/1 response heads: status line and body framing. Pure; any thread. */
#include "codec/h1_priv.h"

static enum h1_result fault(const char **why, const char *text)
{
    *why = text;
    return H1_BAD;
}

/* version SP 3DIGIT [SP reason] CRLF. The SP before a missing reason is forgiven: the line has one
 * reading either way. */
static enum h1_result status_line(const char **at, const char *end, struct http_message *m,
                                  const char **why)
{
    const char *p = *at;
    enum h1_result r = h1_version(&p, end, m);
    if (r == H1_MORE)
        return r;
    if (r != H1_OK)
        return fault(why,
                     r == H1_VERSION ? "HTTP version not supported" : "not an HTTP/1 response");
    if (p == end)
        return H1_MORE;
    if (*p++ != ' ')
        return fault(why, "malformed status line");
    for (int i = 0; i < 3; i++, p++) {
        if (p == end)
            return H1_MORE;
        if (*p < '0' || *p > '9')
            return fault(why, "malformed status code");
        m->status = (uint16_t)(m->status * 10 + (*p - '0'));
    }
    if (m->status < 100 || m->status > 599)
        return fault(why, "status code out of range");
    if (p == end)
        return H1_MORE;
    if (*p == ' ') {
        const char *start = ++p;
        p = scan_value(p, end);
        m->reason = (struct str){ start, (size_t)(p - start) };
    }
    r = h1_crlf(&p, end);
    *at = p;
    return r == H1_BAD ? fault(why, "malformed status line") : r;
}

/* Content-Length as information only: forwarded as it is. */
static void keep_length(const struct h1_fields *f)
{
    struct header *length = h1_field(f, HDR_CONTENT_LENGTH);
    if (length)
        length->flags &= (uint8_t)~HDR_F_HOP;
}

/* RFC 9112 section 6.3 */
static const char *framing(struct http_message *m, const struct h1_fields *f,
                           uint8_t request_method)
{
    const char *why = NULL;
    const struct header *coding = h1_field(f, HDR_TRANSFER_ENCODING);
    const struct header *length = h1_field(f, HDR_CONTENT_LENGTH);
    if (f->dup & (H1_BIT(HDR_CONTENT_LENGTH) | H1_BIT(HDR_TRANSFER_ENCODING)))
        return "repeated Content-Length or Transfer-Encoding";
    if (coding && length)
        return "Content-Length with Transfer-Encoding";
    if (coding && m->version != HTTP_11)
        return "Transfer-Encoding in HTTP/1.0";
    if (coding && h1_coding(header_value(coding), &why) != H1_OK)
        return why;
    if (length && !h1_length(header_value(length), &m->length))
        return "invalid Content-Length";
    bool tunnel = m->status == 101 ||
                  (request_method == METHOD_CONNECT && m->status >= 200 && m->status < 300);
    if (m->status < 200 || m->status == 204 || tunnel) {
        /* RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid both; a zero length does no harm and
         * is common with 204 */
        if (coding || m->length > 0)
            return "framing in an answer that has no content";
        m->body = tunnel ? BODY_STREAM : BODY_NONE;
    } else if (request_method == METHOD_HEAD || m->status == 304) {
        keep_length(f);
        m->length = 0;
        m->body = BODY_NONE;
    } else if (coding) {
        m->body = BODY_CHUNKED;
    } else {
        m->body = length ? BODY_LENGTH : BODY_STREAM;
    }
    return NULL;
}

static const char *finish(struct http_message *m, struct h1_fields *f, uint8_t request_method)
{
    const char *bad = framing(m, f, request_method);
    if (!bad && (f->seen & H1_BIT(HDR_CONNECTION)))
        bad = h1_connection(m, f);
    if (!bad && (f->seen & H1_BIT(HDR_UPGRADE)))
        bad = h1_upgrade(m, f);
    if (bad)
        return bad;
    if (m->status == 101 && m->upgrade.n == 0)
        return "101 without Upgrade";
    m->keep_alive = !f->close && (m->version == HTTP_11 || f->keep_alive) && m->body != BODY_STREAM;
    return NULL;
}

enum h1_result h1_parse_response(const char *p, size_t n, const struct h1_limits *lim,
                                 uint8_t request_method, struct header *hv, uint32_t cap,
                                 struct http_message *m, size_t *ret_used, const char **ret_why)
{
    size_t limit = lim->head_bytes;
    const char *at = p, *end = p + (n < limit ? n : limit);
    struct h1_fields f;
    h1_fields_init(&f, p);
    *m = (struct http_message){ .headers = { hv, 0, cap } };
    *ret_why = "";
    *ret_used = 0;
    enum h1_result r = status_line(&at, end, m, ret_why);
    if (r == H1_OK)
        r = h1_fields_parse(&at, end, cap < lim->headers ? cap : lim->headers, m, &f, ret_why);
    if (r == H1_MORE && n >= limit) {
        *ret_why = "response head too large";
        return H1_TOO_LARGE;
    }
    if (r != H1_OK)
        return r;
    const char *bad = finish(m, &f, request_method);
    if (bad)
        return fault(ret_why, bad);
    *ret_used = (size_t)(at - p);
    m->raw = (struct str){ p, *ret_used };
    return H1_OK;
}

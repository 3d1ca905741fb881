/* HTTP/2 heads: fields of a block gathered, checked and made a message; a message made into fields.
   nghttp2 has checked the grammar of names, values and pseudo-header order (RFC 9113 section 8.3);
   what follows is what it does not know. */
#include "codec/scan.h"
#include "http/h2_priv.h"

#define BIT(id) (UINT64_C(1) << (id))
/* RFC 9113 section 8.2.2, and what is written from the message itself. */
static const uint64_t never = BIT(HDR_CONNECTION) | BIT(HDR_KEEP_ALIVE) |
                              BIT(HDR_PROXY_CONNECTION) | BIT(HDR_TRANSFER_ENCODING) | BIT(HDR_TE) |
                              BIT(HDR_UPGRADE) | BIT(HDR_HTTP2_SETTINGS) | BIT(HDR_HOST);

void h2_head_begin(struct h2_head *hd)
{
    buf_clear(&hd->bytes);
    hd->n = 0;
    hd->total = 0;
    hd->method = hd->scheme = hd->authority = hd->path = hd->status = hd->protocol =
        (struct str){ NULL, 0 };
}

void h2_head_fini(struct h2_head *hd)
{
    buf_fini(&hd->bytes);
    mem_free(hd->v);
    *hd = (struct h2_head){ 0 };
}

static struct str *pseudo(struct h2_head *hd, struct str name)
{
    switch (name.n) {
    case 5:
        return str_eq(name, STR(":path")) ? &hd->path : NULL;
    case 7:
        if (str_eq(name, STR(":method")))
            return &hd->method;
        if (str_eq(name, STR(":scheme")))
            return &hd->scheme;
        return str_eq(name, STR(":status")) ? &hd->status : NULL;
    case 9:
        return str_eq(name, STR(":protocol")) ? &hd->protocol : NULL;
    case 10:
        return str_eq(name, STR(":authority")) ? &hd->authority : NULL;
    default:
        return NULL;
    }
}

static bool grow(struct h2_head *hd)
{
    uint32_t cap = hd->cap ? hd->cap * 2 : 32;
    struct header *v = mem_realloc(hd->v, cap * sizeof(*v));
    if (!v)
        return false;
    hd->v = v;
    hd->cap = cap;
    return true;
}

/* Offsets stand for pointers until the block is complete, since the buffer moves as it grows. */
static const char *offset(size_t n)
{
    return (const char *)(uintptr_t)(n + 1);
}

bool h2_head_add(struct h2_head *hd, uint32_t limit, struct str name, struct str value,
                 bool *ret_large)
{
    hd->total += name.n + value.n +
                 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts, cookies and Host included (T19) */
    *ret_large = hd->total > limit || name.n > UINT16_MAX;
    if (*ret_large)
        return hd->total <= H2_HEAD_TOTAL;
    size_t at = hd->bytes.n;
    char *to = buf_room(&hd->bytes, name.n + value.n);
    if (!to)
        return false;
    memcpy(to, name.p, name.n);
    memcpy(to + name.n, value.p, value.n);
    hd->bytes.n += name.n + value.n;
    struct str *p = name.n && name.p[0] == ':' ? pseudo(hd, name) : NULL;
    if (p) {
        *p = (struct str){ offset(at + name.n), value.n };
        return true;
    }
    if (hd->n == hd->cap && !grow(hd))
        return false;
    hd->v[hd->n++] = (struct header){ .name = offset(at),
                                      .name_n = (uint16_t)name.n,
                                      .value = offset(at + name.n),
                                      .value_n = (uint32_t)value.n,
                                      .id = (uint8_t)header_id_of(name) };
    return true;
}

static const char *resolve(const struct h2_head *hd, const char *p)
{
    return p ? hd->bytes.p + ((uintptr_t)p - 1) : NULL;
}

static void resolve_all(struct h2_head *hd)
{
    struct str *ps[] = { &hd->method, &hd->scheme, &hd->authority,
                         &hd->path,   &hd->status, &hd->protocol };
    for (size_t i = 0; i < ARRAY_LEN(ps); i++)
        ps[i]->p = resolve(hd, ps[i]->p);
    /* nghttp2 has seen to names and values; that nothing in the block can end a line of HTTP/1 we
     * see to ourselves (T7). */
    struct str all = buf_view(&hd->bytes);
    uint8_t checked = header_value_valid(all) ? HDR_F_CHECKED : 0;
    for (struct header *h = hd->v, *end = h ? h + hd->n : h; h < end; h++) {
        h->name = all.p + ((uintptr_t)h->name - 1);
        h->value = all.p + ((uintptr_t)h->value - 1);
        h->flags |= checked;
    }
}

uint8_t h2_head_method(const struct h2_head *hd)
{
    struct str method = { resolve(hd, hd->method.p), hd->method.n };
    return method.p ? (uint8_t)http_method_of(method) : METHOD_OTHER;
}

/* RFC 9113 section 8.2.3: crumbs become one field again before they leave HTTP/2. */
static bool join_cookies(struct h2_head *hd)
{
    struct header *first = NULL;
    size_t n = 0, total = 0;
    for (uint32_t i = 0; i < hd->n; i++) {
        if (hd->v[i].id != HDR_COOKIE)
            continue;
        first = first ? first : &hd->v[i];
        total += hd->v[i].value_n + 2;
        n++;
    }
    if (n < 2)
        return true;
    size_t at = hd->bytes.n;
    for (uint32_t i = 0; i < hd->n; i++) {
        struct header *h = &hd->v[i];
        if (h->id != HDR_COOKIE)
            continue;
        /* offsets are still offsets here */
        char *to = buf_room(&hd->bytes, h->value_n + 2);
        if (!to)
            return false;
        memcpy(to, resolve(hd, h->value), h->value_n);
        memcpy(to + h->value_n, "; ", 2);
        hd->bytes.n += h->value_n + 2;
        if (h != first)
            h->flags |= HDR_F_REMOVED;
    }
    first->value = offset(at);
    first->value_n = (uint32_t)(total - 2);
    return true;
}

/* Content-Length, and what only describes the connection. NULL or why not. */
static const char *common_fields(struct h2_head *hd, struct http_message *m, bool end,
                                 bool informational_length)
{
    bool length = false;
    for (uint32_t i = 0; i < hd->n; i++) {
        struct header *h = &hd->v[i];
        if (h->id == HDR_CONTENT_LENGTH) {
            if (length || !str_to_u64(header_value(h), &m->length))
                return "malformed content-length";
            length = true;
            if (!informational_length)
                h->flags |= HDR_F_HOP;
        } else if (h->id == HDR_TE) {
            m->te_trailers = str_ieq(header_value(h), STR("trailers"));
            h->flags |= HDR_F_HOP;
        } else if (never >> h->id & 1) {
            h->flags |= HDR_F_HOP;
        } else if (h->id == HDR_EXPECT) {
            struct str value = header_value(h);
            m->expect_unknown = !str_ieq(value, STR("100-continue"));
            if (m->expect_unknown && !http_expectation_valid(value))
                return "malformed expect";
            m->expect_continue = !end && !m->expect_unknown;
            if (end)
                h->flags |= HDR_F_HOP;
        }
    }
    /* What describes a body that does not follow promises none, also where END_STREAM comes in a
     * frame of its own. */
    m->body = end || informational_length ? BODY_NONE : length ? BODY_LENGTH : BODY_STREAM;
    return NULL;
}

/* Host, when there too, must say what :authority says: nobody downstream may choose another (T11).
 */
static const char *host_field(struct h2_head *hd, struct http_message *m)
{
    for (uint32_t i = 0; i < hd->n; i++) {
        struct header *h = &hd->v[i];
        if (h->id != HDR_HOST)
            continue;
        if (m->authority.p && !str_ieq(m->authority, header_value(h)))
            return "host differs from :authority";
        m->authority = header_value(h);
    }
    return m->authority.n ? NULL : "no :authority";
}

/* Which of several counts would be everyone's own choice. */
static const char *credentials(const struct h2_head *hd)
{
    bool seen = false;
    for (uint32_t i = 0; i < hd->n; i++) {
        if (hd->v[i].id == HDR_AUTHORIZATION && seen)
            return "more than one authorization";
        seen |= hd->v[i].id == HDR_AUTHORIZATION;
    }
    return NULL;
}

const char *h2_head_request(struct h2_head *hd, struct http_message *m, bool end)
{
    if (!join_cookies(hd))
        return "out of memory";
    resolve_all(hd);
    *m = (struct http_message){ .version = HTTP_2,
                                .keep_alive = true,
                                .raw = buf_view(&hd->bytes),
                                .headers = { hd->v, hd->n, hd->n } };
    m->method_text = hd->method;
    m->method = (uint8_t)http_method_of(hd->method);
    m->authority = hd->authority;
    m->target = hd->path;
    m->tls = str_eq(hd->scheme, STR("https"));
    if (m->method == METHOD_CONNECT)
        return NULL; /* refused by whoever routes; it has no path */
    if (!m->tls && !str_eq(hd->scheme, STR("http")))
        return "unknown scheme";
    if (!header_name_valid(hd->method))
        return "malformed method";
    const char *query, *target_end = hd->path.p + hd->path.n;
    if (hd->path.n == 0 || scan_target(hd->path.p, target_end, &query) != target_end)
        return "malformed :path";
    bool star = str_eq(hd->path, STR("*"));
    if (hd->path.p[0] != '/' && !(star && m->method == METHOD_OPTIONS))
        return "malformed :path";
    message_split_target(m);
    const char *bad = host_field(hd, m);
    uint16_t port;
    if (!bad && !authority_parse(m->authority, &m->host, &port))
        bad = "malformed :authority";
    if (!bad)
        bad = credentials(hd);
    return bad ? bad : common_fields(hd, m, end, false);
}

const char *h2_head_response(struct h2_head *hd, struct http_message *m, uint8_t request_method,
                             bool end)
{
    uint64_t status;
    while (hd->cap < hd->n + HTTP_SPARE_HEADERS)
        if (!grow(hd))
            return "out of memory";
    resolve_all(hd);
    *m = (struct http_message){ .version = HTTP_2,
                                .keep_alive = true,
                                .headers = { hd->v, hd->n, hd->cap } };
    if (hd->status.n != 3 || !str_to_u64(hd->status, &status) || status < 100 || status > 599)
        return "malformed :status";
    m->status = (uint16_t)status;
    if (status == 101)
        return "101 in HTTP/2"; /* RFC 9113 section 8.6 */
    bool informational = request_method == METHOD_HEAD || status == 304;
    return common_fields(hd, m, end, informational);
}

void h2_head_trailers(struct h2_head *hd, struct headers *ret)
{
    resolve_all(hd);
    *ret = (struct headers){ hd->v, hd->n, hd->n };
    for (uint32_t i = 0; i < hd->n; i++)
        if (!http_trailer_allowed(&hd->v[i]))
            hd->v[i].flags |= HDR_F_REMOVED;
}

static inline nghttp2_nv nv_of(struct str name, struct str value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
                         value.n, NGHTTP2_NV_FLAG_NONE };
}

static size_t put_length(uint64_t v, char out[24])
{
    char digits[20], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    size_t n = (size_t)(digits + sizeof(digits) - at);
    memcpy(out, at, n);
    return n;
}

size_t h2_head_nv(const struct http_message *m, const char *scheme, char length[24], nghttp2_nv *nv,
                  size_t cap)
{
    size_t n = 0;
    if (scheme) {
        nv[n++] = nv_of(STR(":method"), m->method_text);
        nv[n++] = nv_of(STR(":scheme"), str_from(scheme));
        nv[n++] = nv_of(STR(":authority"), m->authority);
        nv[n++] = nv_of(STR(":path"), m->target);
    } else {
        char *code = length + 20;
        code[0] = (char)('0' + m->status / 100 % 10);
        code[1] = (char)('0' + m->status / 10 % 10);
        code[2] = (char)('0' + m->status % 10);
        nv[n++] = nv_of(STR(":status"), (struct str){ code, 3 });
    }
    for (uint32_t i = 0; i < m->headers.n && n + 2 < cap; i++) {
        const struct header *h = &m->headers.v[i];
        if (!header_live(h) || (never >> h->id & 1) ||
            (h->id == HDR_CONTENT_LENGTH && m->body != BODY_NONE))
            continue;
        if (!(h->flags & (HDR_F_CHECKED | HDR_F_LINE)) &&
            (!header_name_valid(header_name(h)) || !header_value_valid(header_value(h))))
            continue; /* never let an edit become a second field (T7) */
        nv[n++] = nv_of(header_name(h), header_value(h));
    }
    if (m->te_trailers && scheme)
        nv[n++] = nv_of(STR("te"), STR("trailers"));
    if (m->body == BODY_LENGTH) {
        size_t digits = put_length(m->length, length);
        nv[n++] = nv_of(STR("content-length"), (struct str){ length, digits });
    }
    return n;
}

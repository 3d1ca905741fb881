/* Request heads: the verdict does not depend on how the bytes arrive, an accepted head is sane in
   every slice, and what is accepted is accepted again, with the same meaning, when written out. */
#include "codec/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = { 2048, 40 };
enum { FIELDS = 48 };

struct head {
    struct header hv[FIELDS];
    struct http_message m;
    size_t used;
    const char *why;
    enum h1_result r;
};

static void parse(struct head *h, const char *p, size_t n)
{
    h->r = h1_parse_request(p, n, &limits, h->hv, FIELDS, &h->m, &h->used, &h->why);
}

static void check_sane(const struct head *h, const char *p, size_t n)
{
    const struct http_message *m = &h->m;
    struct str host;
    uint16_t port;
    CHECK(h->used > 0 && h->used <= n && h->used <= limits.head_bytes);
    CHECK(memcmp(p + h->used - 4, "\r\n\r\n", 4) == 0);
    CHECK(!memchr(p, '\0', h->used));
    CHECK(header_name_valid(m->method_text));
    CHECK(m->target.n > 0 &&
          (m->target.p[0] == '/' || m->method == METHOD_CONNECT || m->method == METHOD_OPTIONS));
    CHECK(m->authority.n ? authority_parse(m->authority, &host, &port) : m->version == HTTP_10);
    uint32_t lengths = 0, codings = 0, hosts = 0;
    for (uint32_t i = 0; i < m->headers.n; i++) {
        const struct header *f = &m->headers.v[i];
        CHECK(f->name >= p && f->value + f->value_n + 2 <= p + h->used);
        CHECK(header_name_valid(header_name(f)) && header_value_valid(header_value(f)));
        CHECK(f->id == header_id_of(header_name(f)));
        CHECK(str_eq(str_trim(header_value(f)), header_value(f)));
        lengths += f->id == HDR_CONTENT_LENGTH;
        codings += f->id == HDR_TRANSFER_ENCODING;
        hosts += f->id == HDR_HOST;
    }
    CHECK(lengths + codings <= 1 && hosts <= 1 && (hosts == 1 || m->version == HTTP_10));
    CHECK(m->method == METHOD_CONNECT || codings == (m->body == BODY_CHUNKED));
}

static void check_same(struct str a, struct str b)
{
    CHECK(str_eq(a, b));
}

/* Owning changes where the bytes are and nothing else. */
static void check_owned(struct head *h)
{
    struct http_message m = h->m;
    struct arena a;
    arena_init(&a, 0, 0);
    CHECK(message_own(&m, &a, 1));
    check_same(m.method_text, h->m.method_text);
    check_same(m.authority, h->m.authority);
    check_same(m.target, h->m.target);
    check_same(m.path, h->m.path);
    check_same(m.query, h->m.query);
    check_same(m.upgrade, h->m.upgrade);
    for (uint32_t i = 0; i < m.headers.n; i++) {
        check_same(header_name(&m.headers.v[i]), header_name(&h->m.headers.v[i]));
        check_same(header_value(&m.headers.v[i]), header_value(&h->m.headers.v[i]));
    }
    arena_fini(&a);
}

static char *put(char *to, struct str s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

/* Live fields, framing anew: close to what is forwarded. It has to mean the same. */
static void check_rewritten(const struct head *h)
{
    static char out[8192];
    static struct head again;
    const struct http_message *m = &h->m;
    char *w = put(out, m->method_text);
    w = put(put(put(w, STR(" ")), m->target), STR(" HTTP/1.1\r\nHost: "));
    w = put(put(w, m->authority), STR("\r\n"));
    for (uint32_t i = 0; i < m->headers.n; i++) {
        const struct header *f = &m->headers.v[i];
        if (header_live(f) && f->id != HDR_HOST)
            w = put(put(put(put(w, header_name(f)), STR(": ")), header_value(f)), STR("\r\n"));
    }
    if (m->body == BODY_CHUNKED)
        w = put(w, STR("Transfer-Encoding: chunked\r\n"));
    if (m->body == BODY_LENGTH)
        w = put(w, m->length ? STR("Content-Length: 7\r\n") : STR("Content-Length: 0\r\n"));
    w = put(w, STR("\r\n"));
    again.r = h1_parse_request(out, (size_t)(w - out), &(struct h1_limits){ sizeof(out), FIELDS },
                               again.hv, FIELDS, &again.m, &again.used, &again.why);
    CHECK(again.r == H1_OK && again.used == (size_t)(w - out));
    check_same(again.m.path, m->path);
    check_same(again.m.query, m->query);
    check_same(again.m.authority, m->authority);
    CHECK(again.m.body == m->body && again.m.method == m->method &&
          again.m.expect_continue == m->expect_continue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head whole, part;
    const char *p = (const char *)data;
    parse(&whole, p, size);
    CHECK((whole.r == H1_OK || whole.r == H1_MORE) == (whole.why[0] == '\0'));
    size_t step = size / 64 + 1;
    for (size_t n = 0; n < size; n += step) {
        parse(&part, p, n);
        CHECK(part.r == H1_MORE || part.r == whole.r);
        CHECK(part.r != H1_OK || (n >= whole.used && part.used == whole.used));
    }
    if (whole.r != H1_OK)
        return 0;
    parse(&part, p, whole.used - 1);
    CHECK(part.r == H1_MORE);
    check_sane(&whole, p, size);
    check_owned(&whole);
    if (whole.m.authority.n > 0)
        check_rewritten(&whole);
    return 0;
}

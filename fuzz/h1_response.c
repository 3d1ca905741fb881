/* Response heads: the verdict does not depend on how the bytes arrive, and framing never
   contradicts itself. The first byte of the input chooses the request's method. */
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

static void parse(struct head *h, const char *p, size_t n, uint8_t method)
{
    h->r = h1_parse_response(p, n, &limits, method, h->hv, FIELDS, &h->m, &h->used, &h->why);
}

static void check_sane(const struct head *h, const char *p, size_t n, uint8_t method)
{
    const struct http_message *m = &h->m;
    CHECK(h->used > 0 && h->used <= n && h->used <= limits.head_bytes);
    CHECK(memcmp(p + h->used - 4, "\r\n\r\n", 4) == 0);
    CHECK(m->status >= 100 && m->status <= 599);
    CHECK(header_value_valid(m->reason));
    uint32_t lengths = 0, codings = 0;
    for (uint32_t i = 0; i < m->headers.n; i++) {
        const struct header *f = &m->headers.v[i];
        CHECK(f->name >= p && f->value + f->value_n + 2 <= p + h->used);
        CHECK(header_name_valid(header_name(f)) && header_value_valid(header_value(f)));
        lengths += f->id == HDR_CONTENT_LENGTH;
        codings += f->id == HDR_TRANSFER_ENCODING;
        CHECK(f->id != HDR_TRANSFER_ENCODING || !header_live(f));
        CHECK(f->id != HDR_CONTENT_LENGTH || !header_live(f) || m->body == BODY_NONE);
    }
    bool bare = m->status != 101 &&
                (method == METHOD_HEAD || m->status == 204 || m->status == 304 || m->status < 200);
    CHECK(lengths + codings <= 1);
    CHECK(!bare || m->body == BODY_NONE || (method == METHOD_CONNECT && m->status == 204));
    CHECK(m->body != BODY_STREAM || !m->keep_alive);
    CHECK(m->body != BODY_CHUNKED || (codings == 1 && m->version == HTTP_11));
    CHECK(m->body != BODY_LENGTH || lengths == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head whole, part;
    static const uint8_t methods[] = { METHOD_GET, METHOD_HEAD, METHOD_CONNECT, METHOD_POST };
    if (size == 0)
        return 0;
    uint8_t method = methods[data[0] & 3];
    const char *p = (const char *)data + 1;
    size--;
    parse(&whole, p, size, method);
    CHECK(whole.r == H1_OK || whole.r == H1_MORE || whole.r == H1_BAD || whole.r == H1_TOO_LARGE);
    CHECK((whole.r == H1_OK || whole.r == H1_MORE) == (whole.why[0] == '\0'));
    size_t step = size / 64 + 1;
    for (size_t n = 0; n < size; n += step) {
        parse(&part, p, n, method);
        CHECK(part.r == H1_MORE || part.r == whole.r);
        CHECK(part.r != H1_OK || (n >= whole.used && part.used == whole.used));
    }
    if (whole.r != H1_OK)
        return 0;
    parse(&part, p, whole.used - 1, method);
    CHECK(part.r == H1_MORE);
    check_sane(&whole, p, size, method);
    return 0;
}

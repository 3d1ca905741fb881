/* Writes HTTP/1 heads where they leave from, at the end of the connection's queue. Fields that
   stand in memory as "name: value CRLF" (HDR_F_LINE) are copied as they are, neighbours in one go.
   Nothing is written that could be read as more than one field. */
#include "codec/scan.h"
#include "http/http_priv.h"

struct head {
    char *base, *at, *end;
    struct conn *c;
};
#define BIT(id) (UINT64_C(1) << (id))
/* This connection's business; set from the message's framing, never copied. */
static const uint64_t never = BIT(HDR_CONNECTION) | BIT(HDR_KEEP_ALIVE) |
                              BIT(HDR_PROXY_CONNECTION) | BIT(HDR_TRANSFER_ENCODING) | BIT(HDR_TE) |
                              BIT(HDR_UPGRADE) | BIT(HDR_HTTP2_SETTINGS) | BIT(HDR_CONTENT_LENGTH);

static void head_begin(struct head *h, struct conn *c)
{
    static char nothing[1];
    size_t n;
    h->base = conn_room(c, &n);
    if (UNLIKELY(!h->base))
        h->base = nothing;
    h->at = h->base;
    h->end = h->base + n;
    h->c = c;
}

static void head_done(struct head *h)
{
    if (h->at > h->base)
        conn_wrote(h->c, (size_t)(h->at - h->base));
}

/* What does not fit is queued the long way, after what is there. */
static __attribute__((noinline)) void put_large(struct head *h, const char *p, size_t n)
{
    head_done(h);
    conn_write(h->c, p, n);
    head_begin(h, h->c);
}

static inline void put(struct head *h, const char *p, size_t n)
{
    if (UNLIKELY(n > (size_t)(h->end - h->at))) {
        put_large(h, p, n);
        return;
    }
    if (n)
        memcpy(h->at, p, n);
    h->at += n;
}
#define PUT(h, lit) put(h, "" lit, sizeof(lit) - 1)

/* "content-length: " v CRLF, made from its end: one copy. */
static void put_length(struct head *h, uint64_t v)
{
    static const char name[] = "content-length: ";
    enum { NAME = sizeof(name) - 1, DIGITS = 20 };
    char line[NAME + DIGITS + 2], *at = line + sizeof(line);
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    at -= NAME;
    memcpy(at, name, NAME);
    put(h, at, (size_t)(line + sizeof(line) - at));
}

/* A field made or changed by us, or one that came over HTTP/2: checked again, since a CR here would
   be a head of somebody else's choice (T7). */
static void put_field(struct head *h, const struct header *f)
{
    if (!(f->flags & HDR_F_CHECKED) &&
        (!header_name_valid(header_name(f)) || !header_value_valid(header_value(f))))
        return;
    put(h, f->name, f->name_n);
    PUT(h, ": ");
    put(h, f->value, f->value_n);
    PUT(h, "\r\n");
}

static void put_fields(struct head *h, const struct http_message *m, uint64_t skip)
{
    const char *run = NULL, *run_end = NULL;
    for (const struct header *f = m->headers.v, *end = headers_end(&m->headers); f < end; f++) {
        if (!header_live(f) || (skip >> f->id & 1))
            continue;
        if (LIKELY(f->flags & HDR_F_LINE)) {
            if (f->name != run_end) {
                put(h, run, (size_t)(run_end - run));
                run = f->name;
            }
            run_end = f->name + f->name_n + f->value_n + 4;
            continue;
        }
        put(h, run, (size_t)(run_end - run));
        run = run_end = NULL;
        put_field(h, f);
    }
    put(h, run, (size_t)(run_end - run));
}

static void put_framing(struct head *h, const struct h1_framing *f)
{
    if (f->how == FRAME_LENGTH) {
        put_length(h, f->length);
    } else if (f->how == FRAME_CHUNKED) {
        PUT(h, "transfer-encoding: chunked\r\n");
    }
    if (f->connection) {
        PUT(h, "connection: ");
        put(h, f->connection, strlen(f->connection));
        PUT(h, "\r\n");
    }
}

static void put_upgrade(struct head *h, struct str protocol)
{
    if (protocol.n == 0 || !header_value_valid(protocol))
        return;
    PUT(h, "upgrade: ");
    put(h, protocol.p, protocol.n);
    PUT(h, "\r\n");
}

bool h1_must_chunk(const struct http_message *m)
{
    return m->version == HTTP_2 && headers_find_id(&m->headers, HDR_TRAILER);
}

void h1_write_request(struct conn *c, const struct http_message *m, const struct h1_framing *f)
{
    struct head h;
    head_begin(&h, c);
    put(&h, m->method_text.p, m->method_text.n);
    PUT(&h, " ");
    put(&h, m->target.p, m->target.n);
    PUT(&h, " HTTP/1.1\r\nhost: ");
    put(&h, m->authority.p, m->authority.n);
    PUT(&h, "\r\n");
    put_fields(&h, m, never | BIT(HDR_HOST));
    if (m->te_trailers)
        PUT(&h, "te: trailers\r\n");
    put_upgrade(&h, m->upgrade);
    put_framing(&h, f);
    PUT(&h, "\r\n");
    head_done(&h);
}

static void put_status(struct head *h, const struct http_message *m)
{
    if (LIKELY(m->status == 200)) {
        PUT(h, "HTTP/1.1 200 OK\r\n");
        return;
    }
    char code[3] = { (char)('0' + m->status / 100 % 10), (char)('0' + m->status / 10 % 10),
                     (char)('0' + m->status % 10) };
    struct str reason =
        m->reason.n && header_value_valid(m->reason) ? m->reason : http_status_reason(m->status);
    PUT(h, "HTTP/1.1 ");
    put(h, code, 3);
    PUT(h, " ");
    put(h, reason.p, reason.n);
    PUT(h, "\r\n");
}

void h1_write_response(struct conn *c, const struct http_message *m, const struct h1_framing *f)
{
    struct head h;
    head_begin(&h, c);
    put_status(&h, m);
    put_fields(&h, m, f->keep_length ? never & ~BIT(HDR_CONTENT_LENGTH) : never);
    if (m->status == 101)
        put_upgrade(&h, m->upgrade);
    put_framing(&h, f);
    PUT(&h, "\r\n");
    head_done(&h);
}

void h1_write_trailers(struct conn *c, const struct headers *trailers)
{
    struct head h;
    head_begin(&h, c);
    PUT(&h, "0\r\n");
    for (uint32_t i = 0; i < trailers->n; i++)
        if (http_trailer_allowed(&trailers->v[i]))
            put_field(&h, &trailers->v[i]);
    PUT(&h, "\r\n");
    head_done(&h);
}

/* What weir echo answers. An answer is made when the request is whole; WebSockets echo frame by
 * frame. */
#include "cli/echo.h"
#include "base/mem.h"
#include "codec/node.h"
#include "codec/path.h"
#include "crypto/hash.h"
#include "crypto/ws_accept.h"

enum { HEADERS_MAX = 16, FRAME_MAX = 16 << 20, CHUNK = 16 * 1024, SIZE_LIMIT = 1 << 30 };
struct echoed { /* one request */
    struct echo *e;
    struct http_stream *s;
    struct arena arena;
    struct http_message m;
    struct sha256 sha;
    uint64_t body_n;
    struct node *trailers;
    struct timer timer;
    struct buf ws; /* bytes of a frame that is not whole */
    uint64_t size_left, chunks_left;
    struct dur interval;
    bool websocket, waiting, streaming;
    bool fragmented; /* a message has begun and not ended */
    bool ws_over;    /* closed by us: nothing more is read */
};

static struct str knob(const struct echoed *x, struct str name)
{
    struct str v;
    return x->m.has_query && query_find(x->m.query, name, &v) ? v : (struct str){ NULL, 0 };
}

static void set(struct arena *a, struct node *n, const char *key, struct str value)
{
    node_map_set(a, n, str_from(key), node_string(a, value));
}

static struct node *pairs(struct arena *a, const struct headers *h)
{
    struct node *l = node_new(a, NODE_LIST);
    for (uint32_t i = 0; h && i < h->n; i++) {
        if (h->v[i].flags & HDR_F_REMOVED)
            continue; /* a cookie's crumb: it is in the first one */
        struct node *p = node_new(a, NODE_LIST);
        node_list_add(a, p, node_string(a, header_name(&h->v[i])));
        node_list_add(a, p, node_string(a, header_value(&h->v[i])));
        node_list_add(a, l, p);
    }
    return l;
}

static struct node *describe_tls(struct echoed *x)
{
    struct arena *a = &x->arena;
    struct tls_info ti;
    struct node *n = node_new(a, NODE_NULL);
    if (!tls_info(http_stream_conn(x->s), &ti))
        return n;
    n = node_new(a, NODE_MAP);
    set(a, n, "version", ti.version);
    set(a, n, "cipher", ti.cipher);
    set(a, n, "alpn", ti.alpn);
    set(a, n, "sni", ti.sni);
    set(a, n, "client", ti.peer_subject);
    return n;
}

static void describe(struct echoed *x, struct buf *out)
{
    struct arena *a = &x->arena;
    struct node *n = node_new(a, NODE_MAP), *body = node_new(a, NODE_MAP);
    uint8_t hash[32];
    char hex[64], peer[ADDR_TEXT_MAX];
    sha256_end(&x->sha, hash);
    hex_lower(hash, sizeof(hash), hex);
    if (x->e->name)
        set(a, n, "name", str_from(x->e->name));
    set(a, n, "method", x->m.method_text);
    set(a, n, "target", x->m.target);
    set(a, n, "version",
        x->m.version == HTTP_2    ? STR("HTTP/2")
        : x->m.version == HTTP_10 ? STR("HTTP/1.0")
                                  : STR("HTTP/1.1"));
    set(a, n, "authority", x->m.authority);
    node_map_set(a, n, STR("headers"), pairs(a, &x->m.headers));
    node_map_set(a, body, STR("length"), node_int(a, (int64_t)x->body_n));
    set(a, body, "sha256", (struct str){ hex, sizeof(hex) });
    node_map_set(a, n, STR("body"), body);
    node_map_set(a, n, STR("trailers"), x->trailers ? x->trailers : pairs(a, NULL));
    node_map_set(a, n, STR("tls"), describe_tls(x));
    set(a, n, "peer", (struct str){ peer, addr_print(http_stream_peer(x->s), peer) });
    json_print(n, 2, out);
    buf_char(out, '\n');
}

static void add(struct http_message *m, struct str name, struct str value)
{
    bool fits = headers_add(&m->headers, name, value);
    (void)fits; /* one header more than there is room for is left out */
}

/* Sends of a large or chunked answer what there is room for. */
static void pump(struct echoed *x)
{
    static const char filler[CHUNK] = { 0 };
    while (x->size_left > 0) {
        size_t n = x->size_left < CHUNK ? (size_t)x->size_left : CHUNK;
        x->size_left -= n;
        if (!http_send_data(x->s, filler, n) && x->size_left)
            return; /* on_drain goes on */
    }
    http_send_end(x->s, NULL);
}

static void next_chunk(struct echoed *x)
{
    struct str line = arena_fmt(&x->arena, "data: %llu\n\n", (unsigned long long)x->chunks_left);
    (void)http_send_data(x->s, line.p, line.n);
    if (--x->chunks_left > 0)
        timer_set(x->e->loop, &x->timer, loop_now(x->e->loop) + x->interval.ns + 1);
    else
        http_send_end(x->s, NULL);
}

static void extra_header(struct echoed *x, struct http_message *m)
{
    struct str text = knob(x, STR("header")), name, value;
    char *out = text.n ? arena_alloc(&x->arena, text.n) : NULL;
    size_t n = 0;
    if (!out || !percent_decode(text, true, out, &n))
        return;
    if (str_cut((struct str){ out, n }, ':', &name, &value) && header_name_valid(name) &&
        header_value_valid(str_trim(value)))
        add(m, name, str_trim(value));
}

static void answer(struct echoed *x)
{
    struct header hv[HEADERS_MAX];
    struct http_message m = { .status = x->e->status,
                              .version = HTTP_11,
                              .headers = { hv, 0, HEADERS_MAX } };
    uint64_t v;
    struct buf b;
    x->waiting = false;
    if (str_to_u64(knob(x, STR("status")), &v) && v >= 200 && v <= 599)
        m.status = (uint16_t)v;
    m.close_after = knob(x, STR("close")).p != NULL;
    extra_header(x, &m);
    bool bodiless = x->m.method == METHOD_HEAD || m.status == 204 || m.status == 304;
    if (!bodiless && str_to_u64(knob(x, STR("chunks")), &x->chunks_left) && x->chunks_left) {
        (void)str_to_dur(knob(x, STR("interval")), &x->interval);
        add(&m, STR("content-type"), STR("text/event-stream"));
        m.body = BODY_CHUNKED;
        http_send_head(x->s, &m, false);
        next_chunk(x);
        return;
    }
    if (!bodiless && str_to_u64(knob(x, STR("size")), &v) && v <= SIZE_LIMIT) {
        m.body = BODY_LENGTH;
        m.length = x->size_left = v;
        add(&m, STR("content-type"), STR("application/octet-stream"));
        x->streaming = true;
        http_send_head(x->s, &m, v == 0);
        if (v)
            pump(x);
        return;
    }
    buf_init(&b, 4u << 20);
    describe(x, &b);
    add(&m, STR("content-type"), STR("application/json"));
    m.body = bodiless ? BODY_NONE : BODY_LENGTH;
    m.length = b.n;
    http_send_head(x->s, &m, bodiless);
    if (!bodiless && knob(x, STR("reset")).p) {
        (void)http_send_data(x->s, b.p, b.n / 2);
        http_stream_abort(x->s, HTTP_ERR_RESET);
        x->s->ev->on_close(x->s, HTTP_ERR_RESET, "");
    } else if (!bodiless) {
        (void)http_send_data(x->s, b.p, b.n);
        http_send_end(x->s, NULL);
    }
    buf_fini(&b);
}

static void request_whole(struct echoed *x)
{
    struct dur d = x->e->delay;
    (void)str_to_dur(knob(x, STR("delay")), &d);
    if (d.ns <= 0) {
        answer(x);
        return;
    }
    x->waiting = true;
    timer_set(x->e->loop, &x->timer, loop_now(x->e->loop) + d.ns);
}

static void on_timer(struct timer *t)
{
    struct echoed *x = CONTAINER_OF(t, struct echoed, timer);
    if (x->waiting)
        answer(x);
    else
        next_chunk(x);
}

/* ---- WebSocket: each frame goes back as it came, unmasked (RFC 6455 section 5) ---- */
static bool echo_frame(struct echoed *x)
{
    const uint8_t *p = (const uint8_t *)x->ws.p;
    size_t n = x->ws.n, head = 2;
    if (n < 2)
        return false;
    uint64_t len = p[1] & 127;
    unsigned extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    bool masked = p[1] & 128;
    head += extra + (masked ? 4 : 0);
    if (n < head)
        return false;
    if (extra)
        len = 0;
    for (unsigned i = 0; i < extra; i++)
        len = len << 8 | p[2 + i];
    uint8_t opcode = p[0] & 15;
    bool control = opcode >= 8, final = p[0] & 128;
    bool bad =
        !masked || (p[0] & 0x70) || (opcode > 2 && opcode < 8) || opcode > 10 || len > FRAME_MAX;
    bad |= control ? !final || len > 125 : x->fragmented != (opcode == 0);
    if (bad) { /* RFC 6455 section 7.4.1: 1002, protocol error */
        (void)http_send_data(x->s, "\x88\x02\x03\xea", 4);
        http_send_end(x->s, NULL);
        x->ws_over = true;
        return false;
    }
    if (n - head < len)
        return false;
    char *body = x->ws.p + head;
    for (uint64_t i = 0; masked && i < len; i++)
        body[i] = (char)(body[i] ^ (char)p[head - 4 + (i & 3)]);
    if (!control)
        x->fragmented = !final;
    uint8_t out[10] = { p[0], (uint8_t)(p[1] & 127) };
    if (opcode == 9)
        out[0] = (uint8_t)((p[0] & 0xf0) | 10); /* ping: pong */
    memcpy(out + 2, p + 2, extra);
    if (opcode != 10) {
        (void)http_send_data(x->s, out, 2 + extra);
        if (!http_send_data(x->s, body, (size_t)len))
            http_pause(x->s, true); /* until who sends so much also reads */
    }
    buf_drop_front(&x->ws, head + (size_t)len);
    if (opcode != 8)
        return true;
    http_send_end(x->s, NULL);
    return false;
}

static bool start_websocket(struct echoed *x)
{
    const struct header *key = headers_find_id(&x->m.headers, HDR_SEC_WEBSOCKET_KEY);
    char accept[28];
    struct header hv[2];
    struct http_message m = { .status = 101,
                              .version = HTTP_11,
                              .upgrade = STR("websocket"),
                              .body = BODY_STREAM,
                              .headers = { hv, 0, 2 } };
    if (!str_ieq(x->m.upgrade, STR("websocket")) || http_stream_is_h2(x->s) || !key ||
        !ws_accept(header_value(key), accept))
        return false;
    add(&m, STR("sec-websocket-accept"), (struct str){ accept, sizeof(accept) });
    buf_init(&x->ws, FRAME_MAX + CONN_RECV_MAX);
    x->websocket = true;
    http_send_head(x->s, &m, false);
    return true;
}

/* ---- events ---- */
static void on_data(struct http_stream *s, const char *p, size_t n)
{
    struct echoed *x = s->user;
    if (!x->websocket) {
        x->body_n += n;
        sha256_add(&x->sha, p, n);
        return;
    }
    if (x->ws_over)
        return;
    if (!buf_add(&x->ws, p, n)) {
        http_stream_abort(s, HTTP_ERR_MEMORY);
        s->ev->on_close(s, HTTP_ERR_MEMORY, "");
        return;
    }
    while (echo_frame(x))
        ;
}

static void on_end(struct http_stream *s, const struct headers *trailers)
{
    struct echoed *x = s->user;
    if (x->websocket) {
        http_send_end(s, NULL);
        return;
    }
    if (trailers && trailers->n)
        x->trailers = pairs(&x->arena, trailers);
    request_whole(x);
}

static void on_drain(struct http_stream *s)
{
    struct echoed *x = s->user;
    if (x->websocket)
        http_pause(s, false);
    if (x->streaming && x->size_left)
        pump(x);
}

static void on_close(struct http_stream *s, enum http_error e, const char *why)
{
    struct echoed *x = s->user;
    (void)e, (void)why;
    timer_fini(x->e->loop, &x->timer);
    buf_fini(&x->ws);
    arena_fini(&x->arena);
    mem_free(x);
}

static const struct http_events events = {
    .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_close = on_close
};

void echo_request(struct echo *e, struct http_stream *s, struct http_message *m, bool end)
{
    struct echoed *x = mem_need(sizeof(*x));
    x->e = e;
    x->s = s;
    arena_init(&x->arena, 0, 0);
    timer_init(&x->timer, on_timer);
    sha256_init(&x->sha);
    x->m = *m;
    bool owned = message_own(&x->m, &x->arena, 0);
    CHECK(owned);
    s->ev = &events;
    s->user = x;
    if (m->expect_continue)
        http_send_interim(s, &(struct http_message){ .status = 100, .version = HTTP_11 });
    if (m->upgrade.n && start_websocket(x))
        return;
    if (end)
        request_whole(x);
}

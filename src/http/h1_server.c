/* HTTP/1 on an accepted connection: one request at a time in, its answer out, pipelined ones wait
   their turn. Loop thread only.

   A stream ends in finish_task, which runs after the user's calls have returned: it tells the user,
   then reads on what has been kept. Nothing in here calls the user from inside a call of the
   user's. */
#include "http/http_priv.h"

enum { SPARE_STREAMS = 64, PIPELINE_MAX = CONN_RECV_MAX };
struct h1_server_stream {
    struct http_stream s;
    struct server_conn *sc; /* next spare when unused */
    struct h1_in in;
    struct h1_out out;
    uint8_t method;
    bool http10;
    bool silent;   /* its user is gone, or was told the end */
    bool keep;     /* the connection may serve another request */
    bool upgrade;  /* the client asked for one */
    bool expects;  /* 100-continue was not sent yet */
    bool rejected; /* no byte after this request is read */
    bool tunnel;
    bool paused;
};

static struct h1_server_stream *stream_of(struct http_stream *s)
{
    return CONTAINER_OF(s, struct h1_server_stream, s);
}

struct server_conn *h1_server_conn_of(struct http_stream *s)
{
    return stream_of(s)->sc;
}

/* ---- streams ---- */
static struct h1_server_stream *stream_new(struct server_conn *sc)
{
    struct http_server *srv = sc->srv;
    struct h1_server_stream *st = srv->spare;
    if (st) {
        srv->spare = st->sc;
        srv->n_spare--;
        memset(st, 0, sizeof(*st));
    } else if (!(st = mem_alloc(sizeof(*st)))) {
        return NULL;
    }
    st->s.ops = &h1_server_stream_ops;
    st->s.ev = &http_no_events;
    st->sc = sc;
    sc->h1 = st;
    return st;
}

static void stream_free(struct server_conn *sc)
{
    struct h1_server_stream *st = sc->h1;
    struct http_server *srv = sc->srv;
    sc->h1 = NULL;
    h1_in_fini(&st->in);
    if (srv->n_spare >= SPARE_STREAMS) {
        mem_free(st);
        return;
    }
    st->sc = srv->spare;
    srv->spare = st;
    srv->n_spare++;
}

void h1_server_free_spares(struct http_server *srv)
{
    while (srv->spare) {
        struct h1_server_stream *st = srv->spare;
        srv->spare = st->sc;
        mem_free(st);
    }
    srv->n_spare = 0;
}

/* ---- bytes that wait ---- */
bool h1_server_stash(struct server_conn *sc, const char *p, size_t n)
{
    if (n == 0)
        return true;
    if (!sc->in) {
        sc->in = mem_alloc(sizeof(*sc->in));
        if (sc->in)
            buf_init_metered(sc->in, sc->srv->conf.h1.head_bytes + 4u * CONN_RECV_MAX,
                             loop_meter(sc->c.loop));
    }
    if (!sc->in || !buf_add(sc->in, p, n)) {
        conn_abort(&sc->c, IO_MEMORY);
        return false;
    }
    if (sc->h1 && sc->in->n > PIPELINE_MAX && !sc->full) { /* of a head the parser says enough */
        sc->full = true;
        conn_read_pause(&sc->c);
    }
    return true;
}

void h1_server_unstash(struct server_conn *sc)
{
    if (!sc->in)
        return;
    buf_fini(sc->in);
    mem_free(sc->in);
    sc->in = NULL;
}

/* ---- requests ---- */
static void reject(struct server_conn *sc, struct http_message *m, uint16_t status, const char *why)
{
    struct h1_server_stream *st = stream_new(sc);
    if (!st) {
        conn_abort(&sc->c, IO_MEMORY);
        return;
    }
    st->rejected = true;
    st->method = m ? m->method : METHOD_OTHER;
    sc->requests++;
    sc->state = SC_STREAM;
    timer_off(&sc->timer);
    sc->srv->ev->on_reject(sc->srv, &st->s, m, status, why);
}

static void reject_parse(struct server_conn *sc, enum h1_result r, struct http_message *m,
                         const char *why)
{
    uint16_t status = 400;
    if (r == H1_TOO_LARGE)
        status = 431;
    else if (r == H1_URI_TOO_LONG)
        status = 414;
    else if (r == H1_VERSION)
        status = 505;
    else if (r == H1_UNSUPPORTED)
        status = 501;
    m->headers.n = 0;
    reject(sc, m, status, why);
}

static void wait_half_closed(struct server_conn *sc)
{
    server_arm(sc, (struct dur){ HTTP_HALF_CLOSED_SECONDS * NS_PER_S });
}

static void begin(struct server_conn *sc, struct http_message *m)
{
    struct http_server *srv = sc->srv;
    struct h1_server_stream *st = stream_new(sc);
    if (!st) {
        conn_abort(&sc->c, IO_MEMORY);
        return;
    }
    sc->requests++;
    sc->state = SC_STREAM;
    if (sc->eof)
        wait_half_closed(sc);
    else
        timer_off(&sc->timer);
    m->tls = sc->c.tls != NULL;
    h1_in_start(&st->in, m);
    st->method = m->method;
    st->http10 = m->version == HTTP_10;
    st->upgrade = m->upgrade.n > 0;
    st->expects = m->expect_continue;
    st->keep = m->keep_alive && (!srv->conf.requests || sc->requests < srv->conf.requests);
    srv->ev->on_request(srv, &st->s, m, st->in.state == H1_IN_DONE);
}

/* A first line with nothing of HTTP/1 in it, neither a target nor a version, where HTTP/2 is spoken
 * too: an invalid preface, and an answer in HTTP/1 would mean nothing to who sent it (RFC 9113
 * section 3.4). */
static bool invalid_preface(const struct server_conn *sc, const struct http_message *m,
                            const char *end)
{
    if (sc->requests || !sc->srv->conf.h2 || sc->c.tls || m->target.n == 0 ||
        str_find(m->target, '/') < m->target.n || str_find(m->target, ':') < m->target.n)
        return false;
    const char *version = m->target.p + m->target.n + 1;
    struct str rest = { version, (size_t)(end - version) };
    rest.n = str_find(rest, '\r');
    for (size_t i = 0; i + 4 <= rest.n; i++)
        if (str_ieq(str_sub(rest, i, i + 4), STR("HTTP")))
            return false; /* a request line after something else */
    return rest.n > 4 && m->target.p[0] != '*';
}

/* Reads a head. Returns the bytes used; 0 when it is not complete. */
static size_t read_head(struct server_conn *sc, const char *p, size_t n)
{
    struct header hv[H1_MAX_HEADERS];
    struct http_message m;
    size_t used;
    const char *why;
    enum h1_result r =
        h1_parse_request(p, n, &sc->srv->conf.h1, hv, H1_MAX_HEADERS, &m, &used, &why);
    if (LIKELY(r == H1_OK)) {
        begin(sc, &m);
        return used;
    }
    if (r == H1_MORE)
        return 0;
    if (r == H1_BAD && invalid_preface(sc, &m, p + n)) {
        server_conn_event(sc, HTTP_CONN_ABUSE, "neither HTTP/1 nor HTTP/2");
        conn_close(&sc->c, (struct dur){ 0 });
    } else {
        reject_parse(sc, r, &m, why);
    }
    return n;
}

/* The body broke its framing: the user is told, and the client too if nothing was answered yet. */
static void bad_body(struct server_conn *sc)
{
    struct h1_server_stream *st = sc->h1;
    bool unanswered = st && st->out.state == H1_OUT_HEAD;
    if (st && !st->silent) {
        st->silent = true;
        st->s.ev->on_close(&st->s, HTTP_ERR_PROTOCOL, "malformed request body");
    }
    if (conn_closing(&sc->c))
        return;
    if (!unanswered) {
        conn_close(&sc->c, HTTP_LINGER);
        return;
    }
    stream_free(sc);
    reject(sc, NULL, 400, "malformed request body");
}

static size_t read_body(struct server_conn *sc, const char *p, size_t n)
{
    struct h1_server_stream *st = sc->h1;
    size_t used = 0;
    st->expects = false;
    switch (h1_in_feed(&st->in, &sc->c, st->silent ? NULL : &st->s, (struct str){ p, n }, &used)) {
    case H1_FEED_END:
        if (sc->h1 == st && st->out.state == H1_OUT_DONE)
            loop_defer(sc->c.loop, &sc->task);
        break;
    case H1_FEED_BAD:
        bad_body(sc);
        return n;
    case H1_FEED_MORE:
    case H1_FEED_STOP:
        break;
    }
    return used;
}

/* Takes what it can of the bytes; returns how many. */
static size_t consume(struct server_conn *sc, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && !conn_closing(&sc->c)) {
        size_t used;
        struct h1_server_stream *st = sc->h1;
        if (!st)
            used = read_head(sc, p + at, n - at);
        else if (st->rejected)
            return n; /* whatever follows a request that was not understood is not a request */
        else if (st->in.state == H1_IN_DONE)
            return at;
        else
            used = read_body(sc, p + at, n - at);
        if (used == 0)
            return at;
        at += used;
    }
    return at;
}

/* A part of a head (or pipelined requests) is kept: time runs from its first byte. */
static void waiting(struct server_conn *sc)
{
    if (sc->state != SC_IDLE || conn_closing(&sc->c))
        return;
    sc->state = SC_HEAD;
    server_arm(sc, sc->srv->conf.header);
}

static void consume_stash(struct server_conn *sc)
{
    size_t used = consume(sc, sc->in->p, sc->in->n);
    if (conn_closing(&sc->c))
        return;
    if (used >= sc->in->n) {
        h1_server_unstash(sc);
    } else {
        buf_drop_front(sc->in, used);
        waiting(sc);
    }
    if (sc->full && (!sc->h1 || !sc->in || sc->in->n <= PIPELINE_MAX)) {
        sc->full = false;
        if (!sc->h1 || !sc->h1->paused)
            conn_read_resume(&sc->c);
    }
}

/* With less than a line more, or the limit reached, parsing again cannot help. */
static bool worth_parsing(const struct server_conn *sc, const char *p, size_t n)
{
    return sc->h1 || memchr(p, '\n', n) || sc->in->n >= sc->srv->conf.h1.head_bytes;
}

void h1_server_input(struct server_conn *sc, const char *p, size_t n)
{
    if (UNLIKELY(sc->in != NULL)) {
        bool tunnel = sc->h1 && sc->h1->tunnel;
        if (!h1_server_stash(sc, p, n) ||
            (sc->h1 && sc->h1->in.state == H1_IN_DONE && !sc->h1->rejected && !tunnel))
            return;
        if (worth_parsing(sc, p, n))
            consume_stash(sc);
        return;
    }
    size_t used = consume(sc, p, n);
    if (used < n && !conn_closing(&sc->c) && h1_server_stash(sc, p + used, n - used))
        waiting(sc);
}

/* ---- the end of a stream ---- */
static void next_request(struct server_conn *sc)
{
    stream_free(sc);
    sc->state = SC_IDLE;
    if (sc->eof && !sc->in) {
        conn_close(&sc->c, (struct dur){ 0 });
        return;
    }
    server_arm(sc, sc->srv->conf.keep_alive);
    if (sc->in)
        consume_stash(sc);
    if (sc->eof && sc->state == SC_HEAD && !conn_closing(&sc->c))
        conn_close(&sc->c, (struct dur){ 0 }); /* half a request, and no more will come */
}

static void finish_task(struct task *t)
{
    struct server_conn *sc = CONTAINER_OF(t, struct server_conn, task);
    struct h1_server_stream *st = sc->h1;
    if (!st || conn_closing(&sc->c))
        return;
    if (st->tunnel) {
        if (sc->in) { /* what came before the 101 */
            consume_stash(sc);
            if (conn_closing(&sc->c))
                return;
        }
        if (st->in.state == H1_IN_DONE && st->out.state == H1_OUT_DONE)
            conn_close(&sc->c, (struct dur){ 0 });
        return;
    }
    if (st->out.state != H1_OUT_DONE)
        return;
    if (!st->silent) {
        st->silent = true;
        st->s.ev->on_close(&st->s, HTTP_OK, "");
        if (conn_closing(&sc->c))
            return;
    }
    if (!st->keep || st->rejected) {
        conn_close(&sc->c, HTTP_LINGER);
        return;
    }
    if (st->in.state == H1_IN_DONE) {
        if (st->paused)
            conn_read_resume(&sc->c);
        next_request(sc);
        return;
    }
    if (sc->state == SC_DISCARD)
        return;
    sc->state = SC_DISCARD;
    if (st->paused)
        conn_read_resume(&sc->c);
    st->paused = false;
    server_arm(sc, (struct dur){ HTTP_DISCARD_SECONDS * NS_PER_S });
}

void h1_server_start(struct server_conn *sc)
{
    sc->task.fn = finish_task;
}

void h1_server_timeout(struct server_conn *sc)
{
    if (sc->state == SC_STREAM) { /* half closed */
        if (sc->h1->out.state == H1_OUT_HEAD)
            conn_abort(&sc->c, IO_EOF);
        return;
    }
    if (sc->state == SC_DISCARD) {
        conn_close(&sc->c, HTTP_LINGER);
        return;
    }
    server_conn_event(sc, HTTP_CONN_HEADER_TIMEOUT, "request head took too long");
    h1_server_unstash(sc);
    reject(sc, NULL, 408, "request head took too long");
}

void h1_server_eof(struct server_conn *sc)
{
    struct h1_server_stream *st = sc->h1;
    if (!st) {
        conn_close(&sc->c, (struct dur){ 0 });
        return;
    }
    if (st->tunnel && st->in.state == H1_IN_EOF) {
        st->in.state = H1_IN_DONE;
        if (!st->silent)
            st->s.ev->on_end(&st->s, NULL);
        loop_defer(sc->c.loop, &sc->task);
        return;
    }
    if (st->in.state != H1_IN_DONE)
        conn_abort(&sc->c, IO_EOF); /* the body will never be whole */
    else if (sc->state == SC_STREAM && !st->rejected)
        wait_half_closed(sc); /* a client that sends no more may still read its answers */
}

void h1_server_drain(struct server_conn *sc)
{
    (void)sc; /* the next head written says close */
}

void h1_server_closed(struct server_conn *sc, enum http_error e, const char *why)
{
    struct h1_server_stream *st = sc->h1;
    if (!st)
        return;
    if (!st->silent) {
        bool whole = st->out.state == H1_OUT_DONE && st->in.state == H1_IN_DONE;
        st->silent = true;
        st->s.ev->on_close(&st->s, whole ? HTTP_OK : e, why);
    }
    stream_free(sc);
}

/* ---- what the user calls ---- */
static bool stays_open(const struct h1_server_stream *st)
{
    const struct server_conn *sc = st->sc;
    if (!st->keep || st->rejected || sc->srv->draining)
        return false;
    if (st->in.state == H1_IN_DONE)
        return !sc->eof || sc->in;
    if (st->in.state == H1_IN_EOF)
        return false; /* a CONNECT that was refused: what follows is not a body */
    /* An answer before the end of the body: only a short rest is worth reading. After an unanswered
       Expect nobody knows whether the body will come (RFC 9110 section 10.1.1). */
    return !st->expects && (st->in.state == H1_IN_CHUNKED || st->in.left <= H1_DISCARD_MAX);
}

static void start_tunnel(struct h1_server_stream *st)
{
    st->tunnel = true;
    st->keep = false;
    st->in.state = H1_IN_EOF;
    st->out.state = H1_OUT_RAW;
}

static void choose_framing(struct h1_server_stream *st, const struct http_message *m, bool end,
                           struct h1_framing *f)
{
    bool bodiless = st->method == METHOD_HEAD || m->status == 204 || m->status == 304;
    st->out.state = H1_OUT_NONE;
    if (bodiless) {
        f->keep_length = m->body == BODY_NONE && m->status != 204;
        if (m->body == BODY_LENGTH && m->status != 204) {
            f->how = FRAME_LENGTH;
            f->length = m->length;
        }
        return;
    }
    if (m->body == BODY_NONE || (end && m->body != BODY_LENGTH)) {
        f->how = FRAME_LENGTH;
        st->out.state = H1_OUT_LENGTH;
    } else if (m->body == BODY_LENGTH && (end || st->http10 || !h1_must_chunk(m))) {
        f->how = FRAME_LENGTH;
        f->length = st->out.left = m->length;
        st->out.state = H1_OUT_LENGTH;
    } else if (st->http10) {
        st->keep = false;
        st->out.state = H1_OUT_RAW;
    } else {
        f->how = FRAME_CHUNKED;
        st->out.state = H1_OUT_CHUNKED;
    }
}

static void op_head(struct http_stream *s, const struct http_message *m, bool end)
{
    struct h1_server_stream *st = stream_of(s);
    struct server_conn *sc = st->sc;
    struct h1_framing f = { 0 };
    if (conn_closing(&sc->c))
        return;
    CHECK(st->out.state == H1_OUT_HEAD);
    if (m->status == 101) {
        CHECK(st->upgrade);
        start_tunnel(st);
        f.connection = "upgrade";
        h1_write_response(&sc->c, m, &f);
        loop_defer(sc->c.loop, &sc->task);
        return;
    }
    choose_framing(st, m, end, &f);
    st->keep = stays_open(st) && !m->close_after;
    if (!st->keep)
        f.connection = "close";
    else if (st->http10)
        f.connection = "keep-alive";
    h1_write_response(&sc->c, m, &f);
    if (end) {
        st->out.state = H1_OUT_DONE;
        loop_defer(sc->c.loop, &sc->task);
    }
}

static void op_interim(struct http_stream *s, const struct http_message *m)
{
    struct h1_server_stream *st = stream_of(s);
    if (conn_closing(&st->sc->c) || st->http10 || st->out.state != H1_OUT_HEAD)
        return;
    if (m->status == 100)
        st->expects = false;
    h1_write_response(&st->sc->c, m, &(struct h1_framing){ 0 });
}

static bool op_data(struct http_stream *s, const void *p, size_t n)
{
    struct h1_server_stream *st = stream_of(s);
    bool room = true;
    if (conn_closing(&st->sc->c) || st->out.state == H1_OUT_NONE)
        return true;
    if (!h1_out_data(&st->out, &st->sc->c, p, n, &room))
        conn_close(
            &st->sc->c,
            HTTP_LINGER); /* more than the head promised: the client gets what it was promised */
    return room;
}

static void op_end(struct http_stream *s, const struct headers *trailers)
{
    struct h1_server_stream *st = stream_of(s);
    struct server_conn *sc = st->sc;
    if (conn_closing(&sc->c) || st->out.state == H1_OUT_DONE)
        return;
    if (st->tunnel) {
        st->out.state = H1_OUT_DONE;
        conn_shutdown(&sc->c);
    } else if (!h1_out_end(&st->out, &sc->c, trailers)) {
        conn_close(&sc->c,
                   (struct dur){ 0 }); /* less than promised: the client must see the break */
        return;
    }
    loop_defer(sc->c.loop, &sc->task);
}

static void op_pause(struct http_stream *s, bool on)
{
    struct h1_server_stream *st = stream_of(s);
    if (conn_closing(&st->sc->c) || st->paused == on)
        return;
    st->paused = on;
    if (on)
        conn_read_pause(&st->sc->c);
    else if (!st->sc->full)
        conn_read_resume(&st->sc->c);
}

static void op_abort(struct http_stream *s, enum http_error why)
{
    struct h1_server_stream *st = stream_of(s);
    struct conn *c = &st->sc->c;
    st->silent = true;
    if (conn_closing(c))
        return;
    /* A framed answer that stops short is seen as such, one without content is whole with its head;
     * one that ends with the connection must be reset instead, and one that nobody reads cannot be
     * flushed. */
    bool framed = st->out.state == H1_OUT_LENGTH || st->out.state == H1_OUT_CHUNKED ||
                  st->out.state == H1_OUT_NONE;
    bool unread = why == HTTP_ERR_TIMEOUT && !conn_writable(c);
    if (st->out.state == H1_OUT_DONE && !unread)
        conn_close(c, HTTP_LINGER); /* all was said: the client may read it */
    else if (framed && !unread)
        conn_close(c, (struct dur){ 0 });
    else
        conn_abort(c, IO_OTHER);
}

static struct conn *op_conn(struct http_stream *s)
{
    return &stream_of(s)->sc->c;
}

const struct http_stream_ops h1_server_stream_ops = { op_head,  op_interim, op_data, op_end,
                                                      op_pause, op_abort,   op_conn };

/* HTTP/2 on an accepted connection: requests to the user, time limits, going away. Loop thread
 * only. */
#include "http/h2_priv.h"

enum {
    GOAWAY_PAUSE_MS = 500
}; /* between the announcement and the last word: a round trip for what is on its way */

bool h2_server_start(struct server_conn *sc)
{
    struct http_server *srv = sc->srv;
    struct h2 *h = mem_alloc(sizeof(*h));
    if (!h)
        return false;
    h->sc = sc;
    h->head_limit = srv->conf.h1.head_bytes;
    h->header_limit = srv->conf.h1.headers;
    if (!h2_open(h, &sc->c, true, srv->conf.streams ? srv->conf.streams : 128, H2_SERVER_WINDOW)) {
        h2_close(h);
        return false;
    }
    sc->h2 = h;
    server_arm(sc, srv->conf.header);
    if (srv->draining)
        h2_server_drain(sc);
    return true;
}

void h2_server_input(struct server_conn *sc, const char *p, size_t n)
{
    h2_input(sc->h2, p, n);
}

void h2_server_flush(struct server_conn *sc)
{
    h2_flush(sc->h2);
}

static void refuse(struct h2_stream *st, uint16_t status, const char *why)
{
    struct http_message m = { .version = HTTP_2, .method = st->method };
    struct http_server *srv = st->h->sc->srv;
    st->rejected = true;
    st->in_done = true; /* what follows is not read */
    srv->ev->on_reject(srv, &st->s, &m, status, why);
}

void h2_server_head(struct h2_stream *st, bool end)
{
    struct h2 *h = st->h;
    struct http_server *srv = h->sc->srv;
    struct http_message m;
    st->headed = true;
    st->in_done = end;
    st->method = h2_head_method(&h->head); /* what is refused is answered as its method wants */
    h->sc->requests++;
    if (st->too_large) {
        refuse(st, 431, "request head too large");
        return;
    }
    const char *bad = h2_head_request(&h->head, &m, end);
    if (bad) {
        refuse(st, 400, bad);
        return;
    }
    m.tls = h->c->tls != NULL;
    srv->ev->on_request(srv, &st->s, &m, end);
    if (srv->conf.requests && h->sc->requests >= srv->conf.requests)
        h2_server_drain(h->sc);
}

/* The last stream went: the idle time begins, or the end when we are going away. */
void h2_server_stream_closed(struct h2 *h)
{
    if (h->n_streams == 0 && !h->in_block && !conn_closing(h->c) && !h->going)
        server_arm(h->sc, h->sc->srv->conf.keep_alive);
    h2_wake(h);
}

static void last_word(struct h2 *h)
{
    if (!conn_writable(h->c)) {
        conn_abort(h->c, IO_OTHER); /* nobody reads: it would never be said */
        return;
    }
    (void)nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
                                NULL, 0);
    (void)nghttp2_session_terminate_session2(h->ng, nghttp2_session_get_last_proc_stream_id(h->ng),
                                             NGHTTP2_NO_ERROR);
    h2_wake(h);
}

/* RFC 9113 section 6.8: first the largest id, so that no request on its way is lost, then the real
 * one. */
void h2_server_drain(struct server_conn *sc)
{
    struct h2 *h = sc->h2;
    if (h->going || conn_closing(&sc->c))
        return;
    h->going = true;
    h->goaway_at = loop_now(sc->c.loop) + GOAWAY_PAUSE_MS * NS_PER_MS;
    (void)nghttp2_submit_shutdown_notice(h->ng);
    h2_wake(h);
    server_arm(sc, (struct dur){ GOAWAY_PAUSE_MS * NS_PER_MS });
}

/* The pause after the announcement is over. */
static void go(struct h2 *h)
{
    if (h->n_streams == 0) {
        last_word(h);
        return;
    }
    server_arm(h->sc, (struct dur){ GOAWAY_PAUSE_MS * NS_PER_MS });
    if (h->goaway_id)
        return;
    h->goaway_id = nghttp2_session_get_last_proc_stream_id(h->ng);
    (void)nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE, h->goaway_id, NGHTTP2_NO_ERROR, NULL, 0);
    h2_wake(h);
}

/* A header block ended: its time limit goes. A client that goes on asking does not put its end off.
 */
void h2_server_block_end(struct h2 *h)
{
    struct server_conn *sc = h->sc;
    int64_t left = h->goaway_at - loop_now(sc->c.loop);
    if (h->going && left <= 0)
        go(h);
    else if (h->going)
        server_arm(sc, (struct dur){ left });
    else
        server_arm(sc, h->n_streams ? (struct dur){ 0 } : sc->srv->conf.keep_alive);
}

void h2_server_timeout(struct server_conn *sc)
{
    struct h2 *h = sc->h2;
    if (h->in_block) {
        server_conn_event(sc, HTTP_CONN_HEADER_TIMEOUT, "request head took too long");
        conn_abort(&sc->c, IO_OTHER);
    } else if (h->going) {
        go(h);
    } else if (h->n_streams == 0) {
        server_conn_event(sc, HTTP_CONN_IDLE_TIMEOUT, "");
        last_word(h);
    }
}

void h2_server_closed(struct server_conn *sc, enum http_error e, const char *why)
{
    h2_streams_lost(sc->h2, e, why);
    h2_close(sc->h2);
    sc->h2 = NULL;
}

/* Accepted connections: TLS or clear, HTTP/1 or HTTP/2, time limits, draining. What is on them is
   h1_server.c's and h2_server.c's. Loop thread only. */
#include "http/http_priv.h"
#include "io/sys.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE = sizeof(preface) - 1 };

void server_arm(struct server_conn *sc, struct dur d)
{
    if (d.ns > 0)
        timer_set(sc->c.loop, &sc->timer, loop_now(sc->c.loop) + d.ns);
    else
        timer_off(&sc->timer);
}

void server_conn_event(struct server_conn *sc, enum http_conn_event e, const char *detail)
{
    sc->srv->ev->on_conn(sc->srv, &sc->c, (int)e, detail);
}

static void on_timer(struct timer *t)
{
    struct server_conn *sc = CONTAINER_OF(t, struct server_conn, timer);
    switch ((enum server_state)sc->state) {
    case SC_HANDSHAKE:
        server_conn_event(sc, HTTP_CONN_TLS_FAILED, "handshake timeout");
        conn_abort(&sc->c, IO_OTHER);
        return;
    case SC_IDLE:
        server_conn_event(sc, HTTP_CONN_IDLE_TIMEOUT, "");
        conn_close(&sc->c, (struct dur){ 0 });
        return;
    case SC_HEAD:
    case SC_STREAM:
    case SC_DISCARD:
        h1_server_timeout(sc);
        return;
    case SC_H2:
        h2_server_timeout(sc);
        return;
    }
}

static void start_h2(struct server_conn *sc)
{
    h1_server_unstash(sc);
    sc->state = SC_H2;
    if (!h2_server_start(sc)) {
        sc->state = SC_IDLE;
        conn_abort(&sc->c, IO_MEMORY);
    }
}

static void on_open(struct conn *c)
{
    struct server_conn *sc = server_conn_of(c);
    struct tls_info ti;
    if (tls_info(c, &ti) && str_eq(ti.alpn, STR("h2"))) {
        start_h2(sc);
        return;
    }
    sc->state = SC_IDLE;
    h1_server_start(sc);
    server_arm(sc, sc->srv->conf.keep_alive);
}

/* The first bytes of a clear connection say which version it speaks (RFC 9113 section 3.3). */
static void sniff(struct server_conn *sc, const char *p, size_t n)
{
    size_t had = sc->in ? sc->in->n : 0, take = n < PREFACE - had ? n : PREFACE - had;
    if (memcmp(p, preface + had, take) != 0) {
        if (had > 0)
            sc->state = SC_HEAD; /* asked once: what follows is not compared with a preface again */
        h1_server_input(sc, p, n);
        return;
    }
    if (had + n < PREFACE) {
        if (h1_server_stash(sc, p, n) && had == 0)
            server_arm(sc, sc->srv->conf.header);
        return;
    }
    start_h2(sc);
    if (conn_closing(&sc->c))
        return;
    h2_server_input(sc, preface, had);
    if (!conn_closing(&sc->c))
        h2_server_input(sc, p, n);
}

static void on_data(struct conn *c, const char *p, size_t n)
{
    struct server_conn *sc = server_conn_of(c);
    if (sc->state == SC_H2)
        h2_server_input(sc, p, n);
    else if (UNLIKELY(sc->requests == 0 && sc->state == SC_IDLE && sc->srv->conf.h2 && !c->tls &&
                      *p == 'P') ||
             UNLIKELY(sc->state == SC_IDLE && sc->in && sc->in->n))
        sniff(sc, p, n);
    else
        h1_server_input(sc, p, n);
}

static void on_eof(struct conn *c)
{
    struct server_conn *sc = server_conn_of(c);
    sc->eof = true;
    if (sc->state == SC_H2)
        conn_abort(c, IO_EOF);
    else if (sc->state == SC_HANDSHAKE)
        conn_close(c, (struct dur){ 0 });
    else
        h1_server_eof(sc);
}

static void on_drain(struct conn *c)
{
    struct server_conn *sc = server_conn_of(c);
    if (sc->state == SC_H2)
        h2_server_flush(sc);
    else if (sc->state == SC_STREAM && sc->h1) {
        struct http_stream *s = (struct http_stream *)(void *)sc->h1;
        s->ev->on_drain(s);
    }
}

static void on_close(struct conn *c, enum io_err why)
{
    struct server_conn *sc = server_conn_of(c);
    enum http_error e = http_error_of_io(why);
    const char *text = why == IO_TLS || why == IO_TLS_VERIFY ? conn_tls_error(c)
                                                             : "connection closed by the client";
    if (sc->state == SC_HANDSHAKE && (why == IO_TLS || why == IO_TLS_VERIFY))
        server_conn_event(sc, HTTP_CONN_TLS_FAILED, text);
    if (sc->state == SC_H2)
        h2_server_closed(sc, e, text);
    else
        h1_server_closed(sc, e, text);
    server_conn_gone(sc);
}

void server_conn_gone(struct server_conn *sc)
{
    struct http_server *srv = sc->srv;
    if (sc->state != SC_H2)
        h1_server_unstash(sc);
    timer_fini(sc->c.loop, &sc->timer);
    loop_cancel(sc->c.loop, &sc->task);
    list_del(&sc->link);
    srv->n_conns--;
    server_conn_event(sc, HTTP_CONN_CLOSED, "");
    mem_free(sc);
}

static const struct conn_ops server_conn_ops = { .on_open = on_open,
                                                 .on_data = on_data,
                                                 .on_eof = on_eof,
                                                 .on_drain = on_drain,
                                                 .on_close = on_close };

void http_server_init(struct http_server *srv, struct loop *l, const struct http_server_events *ev,
                      void *user)
{
    *srv = (struct http_server){ .ev = ev, .user = user, .loop = l };
    list_init(&srv->conns);
}

void http_server_fini(struct http_server *srv)
{
    CHECK(srv->n_conns == 0);
    h1_server_free_spares(srv);
}

bool http_server_accept(struct http_server *srv, int fd, const union addr *peer,
                        struct tls_ctx *tls)
{
    struct server_conn *sc = mem_alloc(sizeof(*sc));
    if (!sc) {
        (void)sys_close(fd);
        return false;
    }
    sc->srv = srv;
    sc->peer = *peer;
    timer_init(&sc->timer, on_timer);
    if (!conn_accept(&sc->c, srv->loop, fd, tls, &server_conn_ops)) {
        mem_free(sc);
        return false;
    }
    list_add_tail(&srv->conns, &sc->link);
    srv->n_conns++;
    server_conn_event(sc, HTTP_CONN_OPEN, "");
    h1_server_start(sc);
    sc->state = tls ? SC_HANDSHAKE : SC_IDLE;
    server_arm(sc, tls ? srv->conf.handshake : srv->conf.keep_alive);
    return true;
}

void http_server_drain(struct http_server *srv)
{
    srv->draining = true;
    LIST_FOR_SAFE(it, tmp, &srv->conns)
    {
        struct server_conn *sc = CONTAINER_OF(it, struct server_conn, link);
        if (sc->state == SC_H2)
            h2_server_drain(sc);
        else
            h1_server_drain(sc);
    }
}

void http_server_close_idle(struct http_server *srv)
{
    LIST_FOR_SAFE(it, tmp, &srv->conns)
    {
        struct server_conn *sc = CONTAINER_OF(it, struct server_conn, link);
        if (sc->state == SC_IDLE && !conn_closing(&sc->c))
            conn_close(&sc->c, HTTP_LINGER);
    }
}

void http_server_abort_all(struct http_server *srv)
{
    LIST_FOR_SAFE(it, tmp, &srv->conns)
    {
        conn_abort(&CONTAINER_OF(it, struct server_conn, link)->c,
                   IO_OTHER); /* lingering ones too */
    }
}

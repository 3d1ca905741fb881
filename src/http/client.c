/* Connections to upstreams: opening, choosing the version, telling the end. Loop thread only. */
#include "http/http_priv.h"

void client_end(struct client *cl, enum http_error e, const char *why)
{
    if (cl->ended)
        return;
    cl->ended = true;
    cl->pub.ready = false;
    cl->pub.ev->on_end(&cl->pub, false, e, why);
}

void client_fail(struct client *cl, enum http_error e, const char *why)
{
    if (cl->err == HTTP_OK && e != HTTP_OK) {
        cl->err = (uint8_t)e;
        cl->why = why;
    }
    if (!conn_closing(&cl->c))
        conn_abort(&cl->c, IO_OTHER);
}

enum http_error client_stream_error(const struct client *cl, enum io_err e, bool untouched,
                                    const char **ret_why)
{
    *ret_why = cl->why;
    if (cl->err != HTTP_OK)
        return (enum http_error)cl->err;
    if (e == IO_TLS || e == IO_TLS_VERIFY) {
        *ret_why = conn_tls_error(&cl->c);
        return http_error_of_io(e);
    }
    *ret_why =
        e == IO_RESET ? "connection reset by the upstream" : "connection closed by the upstream";
    if (untouched && cl->pub.requests > 1 && (e == IO_EOF || e == IO_RESET || e == IO_OK))
        return HTTP_ERR_STALE;
    return e == IO_MEMORY ? HTTP_ERR_MEMORY : HTTP_ERR_RESET;
}

void client_ready(struct client *cl)
{
    if (cl->opened)
        return;
    cl->opened = cl->pub.ready = true;
    cl->pub.ev->on_open(&cl->pub);
}

static void on_open(struct conn *c)
{
    struct client *cl = client_of_conn(c);
    struct tls_info ti;
    bool h2 = cl->conf.proto == PROTO_H2;
    if (tls_info(c, &ti) && cl->conf.proto != PROTO_H1) {
        h2 = str_eq(ti.alpn, STR("h2"));
        if (!h2 && cl->conf.proto == PROTO_H2) {
            client_fail(cl, HTTP_ERR_PROTOCOL, "the upstream does not offer HTTP/2");
            return;
        }
    }
    cl->pub.h2 = h2;
    cl->pub.opened = loop_now(c->loop);
    if (h2 && !h2_client_start(cl)) {
        client_fail(cl, HTTP_ERR_MEMORY, "out of memory");
        return;
    }
    if (h2)
        return; /* ready with the peer's SETTINGS */
    h1_client_start(cl);
    client_ready(cl);
}

static void on_data(struct conn *c, const char *p, size_t n)
{
    struct client *cl = client_of_conn(c);
    if (cl->h2)
        h2_client_input(cl, p, n);
    else
        h1_client_input(cl, p, n);
}

static void on_eof(struct conn *c)
{
    struct client *cl = client_of_conn(c);
    if (cl->h2 || !cl->opened)
        conn_abort(c, IO_EOF);
    else
        h1_client_eof(cl);
}

static void on_drain(struct conn *c)
{
    struct client *cl = client_of_conn(c);
    if (cl->h2)
        h2_client_flush(cl);
    else if (cl->h1.active && !cl->h1.silent)
        cl->h1.s.ev->on_drain(&cl->h1.s);
}

static void on_close(struct conn *c, enum io_err e)
{
    struct client *cl = client_of_conn(c);
    const char *why = cl->why;
    enum http_error he = cl->err ? (enum http_error)cl->err : http_error_of_io(e);
    if (cl->opened) /* out of every list before its streams hear of it: their retries must not come
                       back here */
        client_end(cl, he, why);
    if (cl->h2)
        h2_client_closed(cl, e);
    else
        h1_client_closed(cl, e);
    if (!cl->opened && !cl->err) {
        if (e != IO_TLS && e != IO_TLS_VERIFY && e != IO_MEMORY)
            he = c->tls ? HTTP_ERR_TLS : HTTP_ERR_CONNECT;
        if (e == IO_REFUSED)
            he = HTTP_ERR_CONNECT;
        why = c->tls && *conn_tls_error(c) ? conn_tls_error(c) : "connection refused";
    }
    cl->pub.ready = false;
    cl->pub.ev->on_end(&cl->pub, true, he, why);
    timer_fini(c->loop, &cl->pub.idle);
    loop_cancel(c->loop, &cl->task);
    buf_fini(&cl->in);
    mem_free(cl);
}

static const struct conn_ops client_conn_ops = { .on_open = on_open,
                                                 .on_data = on_data,
                                                 .on_eof = on_eof,
                                                 .on_drain = on_drain,
                                                 .on_close = on_close };

static void no_idle(struct timer *t)
{
    (void)t;
}

struct http_client *http_client_open(struct loop *l, const union addr *to, struct tls_ctx *tls,
                                     const char *sni, const struct http_client_conf *conf,
                                     const struct http_client_events *ev, void *user)
{
    struct client *cl = mem_alloc(sizeof(*cl));
    if (!cl)
        return NULL;
    cl->conf = *conf;
    if (!cl->conf.h1.head_bytes)
        cl->conf.h1 = (struct h1_limits){ .head_bytes = 64 * 1024, .headers = 200 };
    cl->why = "";
    cl->pub.ev = ev;
    cl->pub.user = user;
    cl->pub.max_streams = 1;
    list_init(&cl->pub.link);
    timer_init(&cl->pub.idle, no_idle);
    buf_init_metered(&cl->in, cl->conf.h1.head_bytes + CONN_RECV_MAX, loop_meter(l));
    if (!conn_connect(&cl->c, l, to, tls, sni, &client_conn_ops)) {
        mem_free(cl);
        return NULL;
    }
    return &cl->pub;
}

struct http_stream *http_client_request(struct http_client *c, const struct http_events *ev,
                                        void *user)
{
    struct client *cl = client_of(c);
    if (!c->ready || conn_closing(&cl->c) || c->streams >= c->max_streams)
        return NULL;
    struct http_stream *s = c->h2 ? h2_client_request(cl) : h1_client_request(cl);
    if (!s)
        return NULL;
    s->ev = ev;
    s->user = user;
    c->streams++;
    c->requests++;
    return s;
}

void http_client_close(struct http_client *c)
{
    struct client *cl = client_of(c);
    if (cl->err == HTTP_OK) {
        cl->err = HTTP_ERR_CANCEL;
        cl->why = "closed by us";
    }
    if (!conn_closing(&cl->c)) {
        if (c->streams || !cl->opened)
            conn_abort(&cl->c, IO_OK);
        else
            conn_close(&cl->c, (struct dur){ 0 });
    }
}

struct conn *http_client_conn(struct http_client *c)
{
    return &client_of(c)->c;
}

/* HTTP/2 to an upstream: many requests on one connection. Loop thread only. */
#include "http/h2_priv.h"

enum { CLIENT_STREAMS_MAX = 100, CLIENT_WINDOW = 256 * 1024 };

bool h2_client_start(struct client *cl)
{
    struct h2 *h = mem_alloc(sizeof(*h));
    if (!h)
        return false;
    h->cl = cl;
    h->head_limit = cl->conf.h1.head_bytes;
    h->header_limit = cl->conf.h1.headers;
    if (!h2_open(h, &cl->c, false, 0, cl->conf.window ? cl->conf.window : CLIENT_WINDOW)) {
        h2_close(h);
        return false;
    }
    cl->h2 = h;
    return true;
}

void h2_client_settings(struct h2 *h)
{
    uint32_t max =
        nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    struct client *cl = h->cl;
    cl->pub.max_streams = max < CLIENT_STREAMS_MAX ? max : CLIENT_STREAMS_MAX;
    if (cl->ended)
        return;
    if (cl->opened)
        cl->pub.ev->on_idle(&cl->pub); /* more, or fewer, may be open from now on */
    else
        client_ready(cl); /* only now is it known how many streams are allowed: none is refused for
                             want of that */
}

struct http_stream *h2_client_request(struct client *cl)
{
    struct h2 *h = cl->h2;
    if (cl->ended)
        return NULL;
    if (!nghttp2_session_check_request_allowed(h->ng)) {
        client_end(cl, HTTP_OK,
                   "no more stream ids"); /* RFC 9113 section 5.1.1: a new connection */
        if (h->n_streams == 0 && !conn_closing(h->c))
            conn_close(h->c, (struct dur){ 0 });
        return NULL;
    }
    struct h2_stream *st = h2_stream_new(h, 0);
    return st ? &st->s : NULL;
}

void h2_client_input(struct client *cl, const char *p, size_t n)
{
    h2_input(cl->h2, p, n);
}

void h2_client_flush(struct client *cl)
{
    h2_flush(cl->h2);
}

void h2_client_head(struct h2_stream *st, bool end)
{
    struct h2 *h = st->h;
    struct http_message m;
    if (st->too_large) {
        h2_break_stream(st, HTTP_ERR_TOO_LARGE, "response head too large");
        return;
    }
    const char *bad = h2_head_response(&h->head, &m, st->method, end);
    if (!bad && m.status < 200 && (end || ++st->interims > H1_INTERIM_MAX))
        bad = "too many interim answers";
    if (bad) {
        h2_break_stream(st, HTTP_ERR_PROTOCOL, bad);
        return;
    }
    if (m.status < 200) {
        if (!st->silent)
            st->s.ev->on_interim(&st->s, &m);
        return;
    }
    st->headed = true;
    st->in_done = end;
    if (!st->silent)
        st->s.ev->on_head(&st->s, &m, end);
}

void h2_client_goaway(struct h2 *h)
{
    client_end(h->cl, HTTP_OK, "upstream goes away");
    if (h->n_streams == 0 && !conn_closing(h->c))
        conn_close(h->c, (struct dur){ 0 });
}

void h2_client_stream_closed(struct h2 *h)
{
    struct client *cl = h->cl;
    cl->pub.streams--;
    if (cl->ended && h->n_streams == 0 && !conn_closing(h->c)) {
        conn_close(h->c, (struct dur){ 0 });
        return;
    }
    if (!cl->ended && !conn_closing(h->c))
        cl->pub.ev->on_idle(&cl->pub);
}

void h2_client_closed(struct client *cl, enum io_err e)
{
    const char *why;
    struct h2 *h = cl->h2;
    enum http_error whole = client_stream_error(cl, e, false, &why),
                    untouched = client_stream_error(cl, e, true, &why);
    LIST_FOR_SAFE(it, tmp, &h->streams)
    {
        struct h2_stream *st = CONTAINER_OF(it, struct h2_stream, link);
        if (st->silent)
            continue;
        st->silent = true;
        st->s.ev->on_close(&st->s, st->headed || st->interims ? whole : untouched, why);
    }
    cl->pub.streams = 0;
    h2_close(h);
    cl->h2 = NULL;
}

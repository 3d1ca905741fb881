/* What all kinds of streams share: names of errors, who is at the other end. Loop thread only. */
#include "http/http_priv.h"

const char *http_error_name(enum http_error e)
{
    switch (e) {
    case HTTP_OK:
        return "ok";
    case HTTP_ERR_STALE:
        return "stale";
    case HTTP_ERR_REFUSED:
        return "refused";
    case HTTP_ERR_RESET:
        return "reset";
    case HTTP_ERR_PROTOCOL:
        return "protocol";
    case HTTP_ERR_TOO_LARGE:
        return "too-large";
    case HTTP_ERR_CONNECT:
        return "connect";
    case HTTP_ERR_TLS:
        return "tls";
    case HTTP_ERR_TLS_VERIFY:
        return "tls-verify";
    case HTTP_ERR_MEMORY:
        return "memory";
    case HTTP_ERR_TIMEOUT:
        return "timeout";
    case HTTP_ERR_CANCEL:
        return "cancel";
    }
    return "unknown";
}

enum http_error http_error_of_io(enum io_err e)
{
    switch (e) {
    case IO_REFUSED:
        return HTTP_ERR_CONNECT;
    case IO_TLS:
        return HTTP_ERR_TLS;
    case IO_TLS_VERIFY:
        return HTTP_ERR_TLS_VERIFY;
    case IO_MEMORY:
        return HTTP_ERR_MEMORY;
    case IO_OK:
    case IO_EOF:
    case IO_RESET:
    case IO_OTHER:
        return HTTP_ERR_RESET;
    }
    return HTTP_ERR_RESET;
}

bool http_trailer_allowed(const struct header *h)
{
    return header_live(h) && h1_trailer_allowed(h);
}

static void no_head(struct http_stream *s, struct http_message *m, bool end)
{
    (void)s, (void)m, (void)end;
}
static void no_interim(struct http_stream *s, struct http_message *m)
{
    (void)s, (void)m;
}
static void no_data(struct http_stream *s, const char *p, size_t n)
{
    (void)s, (void)p, (void)n;
}
static void no_end(struct http_stream *s, const struct headers *trailers)
{
    (void)s, (void)trailers;
}
static void no_drain(struct http_stream *s)
{
    (void)s;
}
static void no_close(struct http_stream *s, enum http_error e, const char *why)
{
    (void)s, (void)e, (void)why;
}
const struct http_events http_no_events = {
    no_head, no_interim, no_data, no_end, no_drain, no_close
};

static struct server_conn *conn_of(struct http_stream *s)
{
    return s->ops == &h1_server_stream_ops ? h1_server_conn_of(s) : h2_server_conn_of(s);
}

const union addr *http_stream_peer(struct http_stream *s)
{
    return &conn_of(s)->peer;
}

bool http_stream_is_h2(struct http_stream *s)
{
    return s->ops == &h2_stream_ops;
}

uint32_t http_stream_id(struct http_stream *s)
{
    if (s->ops == &h1_server_stream_ops)
        return h1_server_conn_of(s)->requests;
    return s->ops == &h2_stream_ops ? h2_stream_id(s) : 0;
}

/* HTTP connections in both directions and both versions behind one stream interface. A stream is
   one request and its response on one connection; server and client streams look the same to their
   user (the proxy's exchange, echo, the status pages, health checks). Loop thread only. */
#pragma once
#include "codec/h1.h"
#include "io/conn.h"
#include "tls/tls.h"

enum http_error {
    HTTP_OK = 0,
    HTTP_ERR_STALE,     /* a reused client connection closed before a byte of the answer: safe for
                           idempotent methods */
    HTTP_ERR_REFUSED,   /* not processed by the peer (REFUSED_STREAM, beyond GOAWAY's last id): safe
                           to retry anything */
    HTTP_ERR_RESET,     /* stream reset or connection lost in the middle */
    HTTP_ERR_PROTOCOL,  /* malformed: framing, HPACK, headers; the connection is not reused */
    HTTP_ERR_TOO_LARGE, /* head over its limits */
    HTTP_ERR_CONNECT,   /* refused, unreachable */
    HTTP_ERR_TLS,
    HTTP_ERR_TLS_VERIFY,
    HTTP_ERR_MEMORY,
    HTTP_ERR_TIMEOUT, /* only given by users to http_stream_abort */
    HTTP_ERR_CANCEL,  /* the other side of an exchange went away; only given by users */
};
const char *http_error_name(enum http_error e); /* "stale" … for logs */

struct http_stream;
enum {
    HTTP_SPARE_HEADERS = 64,
    H2_FIELDS_MAX = H1_MAX_HEADERS + 256 + 32, /* written to HTTP/2: what came, 64 set and added by
                                                  a route and by a filter each, and ours */
};
/* What the user of a stream is told. Order: on_head (client: on_interim* before it), on_data*,
   on_end; on_close last, exactly once, after which s is invalid. on_close(HTTP_OK) comes when both
   directions are complete. No callback runs inside a call the user makes on the same stream, except
   that http_stream_abort silences everything at once. */
struct http_events {
    /* m's slices are valid during the call. m is the user's to change; its fields have room for
     * HTTP_SPARE_HEADERS more. */
    void (*on_head)(struct http_stream *s, struct http_message *m, bool end);
    void (*on_interim)(struct http_stream *s,
                       struct http_message *m); /* client side: 1xx but 101 */
    void (*on_data)(struct http_stream *s, const char *p, size_t n);
    void (*on_end)(
        struct http_stream *s,
        const struct headers *trailers); /* NULL or empty: none. Not called when on_head said end */
    void (*on_drain)(struct http_stream *s); /* http_send_data may go on */
    void (*on_close)(
        struct http_stream *s, enum http_error e,
        const char *why); /* why: static or connection-lived text for logs, may be "" */
};
struct http_stream_ops;
struct http_stream {
    const struct http_stream_ops *ops;
    const struct http_events *ev;
    void *user;
};
struct http_stream_ops {
    void (*head)(struct http_stream *s, const struct http_message *m, bool end);
    void (*interim)(struct http_stream *s, const struct http_message *m);
    bool (*data)(struct http_stream *s, const void *p, size_t n);
    void (*end)(struct http_stream *s, const struct headers *trailers);
    void (*pause)(struct http_stream *s, bool on);
    void (*abort)(struct http_stream *s, enum http_error why);
    struct conn *(*conn)(struct http_stream *s);
};
/* Sends the head: request (client side) or final response (server side). Only live headers (flags
   == 0) are written, in order, then framing by m->body: BODY_LENGTH → Content-Length, BODY_CHUNKED
   or BODY_STREAM → chunked in HTTP/1.1, close in 1.0, plain DATA in HTTP/2; a live Content-Length
   header is only legal with BODY_NONE (answers to HEAD, 304). te_trailers sends "te: trailers";
   upgrade sends Connection and Upgrade (h1). For HTTP/2 names are lower-cased and
   connection-specific ones dropped; :scheme from m->tls. end: no body follows. A server's h1 stream
   adds Connection: close when it will close. */
static inline void http_send_head(struct http_stream *s, const struct http_message *m, bool end)
{
    s->ops->head(s, m, end);
}
static inline void http_send_interim(struct http_stream *s,
                                     const struct http_message *m) /* server: 100, 103 */
{
    s->ops->interim(s, m);
}
/* False: the queue is over its high-water mark, stop until on_drain. The bytes were taken all the
 * same. */
static inline bool http_send_data(struct http_stream *s, const void *p, size_t n)
{
    return s->ops->data(s, p, n);
}
static inline void http_send_end(struct http_stream *s,
                                 const struct headers *trailers) /* trailers NULL: none */
{
    s->ops->end(s, trailers);
}
/* Stops (and resumes) the delivery of body bytes; pausing takes effect after what has been received
 * (≤ CONN_RECV_MAX in h1, ≤ the stream window in h2). */
static inline void http_pause(struct http_stream *s, bool on)
{
    s->ops->pause(s, on);
}
/* Gives the stream up: h2 RST_STREAM with a fitting code; h1 closes the connection. No callback
 * follows; s is invalid. */
static inline void http_stream_abort(struct http_stream *s, enum http_error why)
{
    s->ops->abort(s, why);
}
static inline struct conn *http_stream_conn(struct http_stream *s)
{
    return s->ops->conn(s);
}

/* ---- server ---- */
struct http_server_conf {
    struct h1_limits h1;
    uint32_t streams;  /* concurrent HTTP/2 streams a connection; default 128 */
    uint32_t requests; /* a connection, 0 = no limit: then GOAWAY / Connection: close */
    bool h2;           /* accept HTTP/2 (ALPN and prior knowledge) */
    struct dur header, keep_alive, handshake; /* time limits; 0 = none */
};
struct http_server;
struct http_server_events {
    /* A request: set s->ev and s->user, at the latest before returning. end: no body. */
    void (*on_request)(struct http_server *srv, struct http_stream *s, struct http_message *m,
                       bool end);
    /* A request that cannot be understood: answer with status on s (m holds what was parsed,
     * possibly nothing); the connection closes after it (h1). */
    void (*on_reject)(struct http_server *srv, struct http_stream *s, struct http_message *m,
                      uint16_t status, const char *why);
    /* For metrics: enum http_conn_event. detail is static text ("rapid reset", "header timeout",
     * TLS error…) or "". */
    void (*on_conn)(struct http_server *srv, struct conn *c, int event, const char *detail);
};
enum http_conn_event {
    HTTP_CONN_OPEN,
    HTTP_CONN_CLOSED,
    HTTP_CONN_TLS_FAILED,
    HTTP_CONN_ABUSE,
    HTTP_CONN_HEADER_TIMEOUT,
    HTTP_CONN_IDLE_TIMEOUT
};
/* One per (worker, listener); outlives its connections; conf may be changed at any time (applies
 * from the next request). */
struct http_server {
    struct http_server_conf conf;
    const struct http_server_events *ev;
    void *user;
    struct loop *loop;
    struct list conns;
    uint32_t n_conns;
    bool draining; /* set by http_server_drain */
    void *spare;   /* private: streams to use again */
    uint32_t n_spare;
};
void http_server_init(struct http_server *srv, struct loop *l, const struct http_server_events *ev,
                      void *user);
void http_server_fini(struct http_server *srv); /* when n_conns is 0 */
/* Takes the fd over. False (fd closed) when memory is out. */
bool http_server_accept(struct http_server *srv, int fd, const union addr *peer,
                        struct tls_ctx *tls);
/* Announces: GOAWAY in HTTP/2; in HTTP/1 the next answer of each connection says Connection: close,
   and an idle one waits for its next request: closing it would race with a request on its way.
   Returns at once; n_conns falls to 0 as clients leave. */
void http_server_drain(struct http_server *srv);
/* HTTP/1 connections that wait for a request are closed: when the end of a drain is near, and who
 * would use them has had time to. */
void http_server_close_idle(struct http_server *srv);
void http_server_abort_all(struct http_server *srv);       /* at the drain deadline */
const union addr *http_stream_peer(struct http_stream *s); /* server streams only */
uint32_t http_stream_id(
    struct http_stream *s); /* h2 stream id, or the h1 request's number on its connection */
bool http_stream_is_h2(struct http_stream *s);

/* ---- client ---- */
enum http_proto {
    PROTO_H1,
    PROTO_H2 /* prior knowledge, or ALPN h2 required under TLS */,
    PROTO_ALPN /* TLS: h2 if the peer wants, else h1 */
};
struct http_client;
struct http_client_events {
    void (*on_open)(struct http_client *c); /* connected: http_client_request may be called */
    void (*on_idle)(struct http_client *c); /* h1: usable again; h2: one stream fewer, or another
                                               max_streams. Called after the stream's on_close */
    /* The connection is gone or no more requests may start on it (GOAWAY, Connection: close): take
       it out of every list. When gone is true c is invalid after the call; else it will come again
       with gone. Streams on it get their own on_close first. */
    void (*on_end)(struct http_client *c, bool gone, enum http_error e, const char *why);
};
struct http_client_conf {
    struct h1_limits h1; /* of responses: 64 KiB, 200 headers */
    uint8_t proto;       /* enum http_proto */
    uint32_t window;     /* h2 receive window a stream; default 256 KiB */
};
struct http_client {
    const struct http_client_events *ev;
    void *user;
    struct list link;     /* the user's: pool list */
    struct timer idle;    /* the user's: pool idle time; http fini's it */
    int64_t opened;       /* loop_now when on_open came */
    uint32_t streams;     /* open now */
    uint32_t max_streams; /* 1 for h1; peer's setting for h2 (cap 100) */
    uint32_t requests;    /* started so far */
    bool h2, ready;
    bool opening, timed_out; /* the user's */
};
struct http_client *http_client_open(struct loop *l, const union addr *to, struct tls_ctx *tls,
                                     const char *sni, const struct http_client_conf *conf,
                                     const struct http_client_events *ev, void *user);
/* Starts a stream; ev and user are set. NULL when it cannot (not ready, busy, going away). Then
 * http_send_head. */
struct http_stream *http_client_request(struct http_client *c, const struct http_events *ev,
                                        void *user);
void http_client_close(struct http_client *c); /* aborts open streams (their on_close comes with
                                                  HTTP_ERR_CANCEL); on_end follows */
struct conn *http_client_conn(struct http_client *c);

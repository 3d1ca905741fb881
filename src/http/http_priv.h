/* What the files of src/http share: server connections, HTTP/1 bodies in and out, the head writer,
   error names. Nothing outside src/http includes it. Loop thread only. */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "http/http.h"

/* Limits that a peer can run into. Head limits are http_server_conf's and http_client_conf's. */
enum {
    H1_DISCARD_MAX =
        256 *
        1024, /* of a request body nobody wants: reading it is cheaper than a new connection */
    H1_TRAILER_BYTES = 8 * 1024, /* of a chunked body's trailer section */
    H1_TRAILER_FIELDS = 64,
    H1_INTERIM_MAX = 16,     /* 1xx answers before a final one */
    HTTP_LINGER_SECONDS = 5, /* for the peer to read our last answer before an RST can destroy it */
    /* For an answer to begin once the client has closed its side: it may only have half closed (RFC
     * 9112 section 9.6), but most who close are gone, and their requests must not go on for ever.
     */
    HTTP_HALF_CLOSED_SECONDS = 3,
    HTTP_DISCARD_SECONDS = 5, /* for the rest of an unwanted body to come */
};
#define HTTP_LINGER ((struct dur){ HTTP_LINGER_SECONDS * NS_PER_S })

extern const struct http_events
    http_no_events; /* until the user sets its own: every callback does nothing */
enum http_error http_error_of_io(enum io_err e);
/* Whether a trailer field may be passed on (RFC 9110 section 6.5.1). */
bool http_trailer_allowed(const struct header *h);

/* ---- HTTP/1 bodies ---- */
enum h1_in_state {
    H1_IN_DONE,
    H1_IN_LENGTH,
    H1_IN_CHUNKED,
    H1_IN_EOF /* until close, or a tunnel */
};
struct h1_in {
    uint64_t left; /* of H1_IN_LENGTH */
    struct h1_chunked chunked;
    char *trailer; /* a trailer section that came in pieces; NULL as a rule */
    uint8_t state;
};
enum h1_feed {
    H1_FEED_MORE, /* all taken, body goes on */
    H1_FEED_END,  /* on_end was called; ret_used may be less than n */
    H1_FEED_BAD,
    H1_FEED_STOP, /* a callback closed the connection */
};
void h1_in_start(struct h1_in *in, const struct http_message *m);
void h1_in_fini(struct h1_in *in);
/* Gives body bytes to s (NULL: drops them). */
enum h1_feed h1_in_feed(struct h1_in *in, struct conn *c, struct http_stream *s, struct str bytes,
                        size_t *ret_used);

enum h1_out_state {
    H1_OUT_HEAD,
    H1_OUT_NONE,
    H1_OUT_LENGTH,
    H1_OUT_CHUNKED,
    H1_OUT_RAW,
    H1_OUT_DONE
};
struct h1_out {
    uint64_t left; /* of H1_OUT_LENGTH */
    uint8_t state;
};
/* False: the body does not fit what the head said; the connection must be aborted. */
bool h1_out_data(struct h1_out *o, struct conn *c, const void *p, size_t n, bool *ret_room);
bool h1_out_end(struct h1_out *o, struct conn *c, const struct headers *trailers);

/* ---- HTTP/1 heads ---- */
struct h1_framing {
    enum { FRAME_NOTHING, FRAME_LENGTH, FRAME_CHUNKED } how;
    uint64_t length;
    bool keep_length;       /* a live Content-Length field is written: answers to HEAD, 304 */
    const char *connection; /* value of Connection, or NULL */
};
/* Whether a body of known length is chunked all the same: HTTP/2 announced trailers, which a length
 * has no room for. */
bool h1_must_chunk(const struct http_message *m);
void h1_write_request(struct conn *c, const struct http_message *m, const struct h1_framing *f);
void h1_write_response(struct conn *c, const struct http_message *m, const struct h1_framing *f);
void h1_write_trailers(struct conn *c,
                       const struct headers *trailers); /* with the last chunk before them */

/* ---- server connections ---- */
enum server_state {
    SC_HANDSHAKE, /* TLS not done */
    SC_IDLE,      /* no byte of the next request yet */
    SC_HEAD,      /* a part of a head is in sc->in */
    SC_STREAM,    /* HTTP/1: a request is being answered, or rejected */
    SC_DISCARD,   /* answered; the rest of its body is being dropped */
    SC_H2,
};
struct h1_server_stream;
struct h2;
struct server_conn {
    struct conn c;
    struct http_server *srv;
    struct list link; /* srv->conns */
    struct timer timer;
    struct task task;            /* HTTP/1: what must not run inside a call of the user's */
    struct h1_server_stream *h1; /* SC_STREAM, SC_DISCARD */
    union {
        struct buf *in; /* HTTP/1: bytes that wait to be parsed; NULL as a rule */
        struct h2 *h2;
    };
    union addr peer;
    uint32_t requests;
    uint8_t state; /* enum server_state */
    bool eof : 1;  /* peer sends no more */
    bool full : 1; /* reading is paused because sc->in is full */
};
static inline struct server_conn *server_conn_of(struct conn *c)
{
    return CONTAINER_OF(c, struct server_conn, c);
}
/* Sets the one timer to now + d; d 0 turns it off. */
void server_arm(struct server_conn *sc, struct dur d);
void server_conn_event(struct server_conn *sc, enum http_conn_event e, const char *detail);
/* The end of every server connection, from the version's on_close. */
void server_conn_gone(struct server_conn *sc);

/* h1_server.c */
void h1_server_start(struct server_conn *sc);
/* The first bytes of a connection; parsed as HTTP/1. */
void h1_server_input(struct server_conn *sc, const char *p, size_t n);
bool h1_server_stash(struct server_conn *sc, const char *p,
                     size_t n); /* to sc->in; false: connection aborted */
void h1_server_unstash(struct server_conn *sc);
void h1_server_timeout(struct server_conn *sc); /* in SC_HEAD, SC_STREAM, SC_DISCARD */
void h1_server_eof(struct server_conn *sc);
void h1_server_drain(struct server_conn *sc);
void h1_server_closed(struct server_conn *sc, enum http_error e,
                      const char *why); /* tells the stream's user */
void h1_server_free_spares(struct http_server *srv);
struct server_conn *h1_server_conn_of(struct http_stream *s);
extern const struct http_stream_ops h1_server_stream_ops;

/* h2_server.c */
bool h2_server_start(struct server_conn *sc); /* false: out of memory */
void h2_server_input(struct server_conn *sc, const char *p, size_t n);
void h2_server_timeout(struct server_conn *sc);
void h2_server_drain(struct server_conn *sc);
void h2_server_flush(struct server_conn *sc);
void h2_server_closed(struct server_conn *sc, enum http_error e, const char *why);
struct server_conn *h2_server_conn_of(struct http_stream *s);
uint32_t h2_stream_id(struct http_stream *s);
extern const struct http_stream_ops h2_stream_ops;

/* ---- client connections ---- */
struct h1_client_stream {
    struct http_stream s;
    struct h1_in in;
    struct h1_out out;
    int64_t asked; /* the turn of the loop in which the head was written: its loop_now */
    uint8_t method;
    uint8_t interims;
    bool active;      /* a request is under way */
    bool silent;      /* its user is gone */
    bool answered;    /* a byte of the answer came */
    bool headed;      /* on_head was called */
    bool upgrade;     /* we asked for one */
    char offered[64]; /* what we asked for; NUL-terminated */
    bool tunnel;
    bool keep; /* connection may serve another request */
    bool paused;
};
struct client {
    struct conn c;
    struct http_client pub;
    struct http_client_conf conf;
    struct task task;
    struct buf in; /* HTTP/1: a part of a response head */
    struct h1_client_stream h1;
    struct h2 *h2;
    const char *why; /* first reason for the end, "" */
    uint8_t err;     /* enum http_error of it */
    bool opened;
    bool ended; /* on_end(gone = false) was called */
};
static inline struct client *client_of(struct http_client *pub)
{
    return CONTAINER_OF(pub, struct client, pub);
}
static inline struct client *client_of_conn(struct conn *c)
{
    return CONTAINER_OF(c, struct client, c);
}
/* Requests may start: tells the user once. */
void client_ready(struct client *cl);
/* No more requests start on it: tells the user once. */
void client_end(struct client *cl, enum http_error e, const char *why);
/* Remembers why and drops the connection; streams and user are told at the end of the turn. */
void client_fail(struct client *cl, enum http_error e, const char *why);
/* The error for a stream that was not finished when the connection ended with e. */
enum http_error client_stream_error(const struct client *cl, enum io_err e, bool untouched,
                                    const char **ret_why);

void h1_client_start(struct client *cl);
struct http_stream *h1_client_request(struct client *cl);
void h1_client_input(struct client *cl, const char *p, size_t n);
void h1_client_eof(struct client *cl);
void h1_client_closed(struct client *cl, enum io_err e);
extern const struct http_stream_ops h1_client_stream_ops;
bool h2_client_start(struct client *cl);
struct http_stream *h2_client_request(struct client *cl);
void h2_client_input(struct client *cl, const char *p, size_t n);
void h2_client_flush(struct client *cl);
void h2_client_closed(struct client *cl, enum io_err e);

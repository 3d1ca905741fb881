/* What the HTTP/2 files share: a session over nghttp2 and its streams, the same for servers and
   clients. Loop thread only.

   Frames are only submitted from the user's calls; they leave in flush, a deferred task, so that
   what one turn produced for all streams goes out together, and nghttp2 never calls back inside a
   call of the user's. */
#pragma once
#include "http/http_priv.h"
#include <nghttp2/nghttp2.h>

enum {
    H2_STREAM_HIGH = 16 * 1024, /* queued body bytes of one stream before its source is paused */
    H2_STREAM_LOW = 4 * 1024,
    H2_QUEUE_HIGH = 1024 * 1024,  /* of all streams of a connection */
    H2_WINDOW_CONN = 1024 * 1024, /* what all uploads of a connection may have under way */
    H2_SERVER_WINDOW = 64 * 1024 - 1,
    H2_TRAILER_BYTES = 8 * 1024,
    H2_HEAD_TOTAL =
        256 *
        1024, /* header bytes of one head, decoded, before the connection is given up as abuse */
    H2_USEFUL_DATA = 256,  /* bytes of a DATA frame that are worth the frame */
    H2_SPARE = 16,         /* unused streams a connection keeps */
    H2_SPARE_CLIENT = 128, /* ... to an upstream: there are few of those, and busy ones */
    H2_OPENED = 32,
};
struct h2_budget { /* a bucket of tokens: what a peer may do without asking for anything */
    int64_t last;
    uint32_t spent;
};
struct h2_stream {
    struct http_stream s;
    struct h2 *h;
    struct list link; /* h->streams */
    int32_t id;
    struct buf out; /* body bytes not yet framed, from out_at */
    size_t out_at;
    struct buf trailer;  /* name NUL value NUL …, sent after the body */
    uint64_t left;       /* of a body with known length */
    uint32_t unconsumed; /* delivered while paused: window not yet given back */
    uint8_t method;
    uint8_t interims;
    bool headed : 1;    /* final head received */
    bool sent_head : 1; /* final head submitted */
    bool ended : 1;     /* http_send_end was called */
    bool end_known : 1; /* left counts down: the last DATA frame can carry END_STREAM */
    bool out_done : 1;  /* END_STREAM left */
    bool in_done : 1;   /* END_STREAM came */
    bool deferred : 1;  /* the data source waits for bytes */
    bool paused : 1;
    bool starved : 1; /* the user was told to wait */
    bool silent : 1;  /* its user is gone */
    bool head_request : 1;
    bool too_large : 1;
    bool rejected : 1;
    bool reset : 1;   /* by our own decision */
    bool left_us : 1; /* its head is on the wire */
};
struct h2_head { /* of the header block being received; blocks of a connection do not interleave */
    struct buf bytes;
    struct header *v;
    uint32_t n, cap;
    size_t total;
    struct str method, scheme, authority, path, status,
        protocol; /* p is an offset until the block is complete */
};
struct h2 {
    nghttp2_session *ng;
    struct conn *c;
    struct server_conn *sc; /* one of these two */
    struct client *cl;
    struct list streams;
    struct task flush;
    struct h2_stream *spare;
    uint32_t n_spare, n_streams;
    size_t queued; /* body bytes over all streams */
    struct h2_head head;
    struct h2_budget control, resets, noise;
    uint32_t head_limit, header_limit;
    int32_t goaway_id;
    int64_t goaway_at;         /* when the last word is due, once going: monotonic ns */
    int32_t opened[H2_OPENED]; /* a ring of the ids last opened, to know one that was passed over */
    uint32_t n_opened;
    int32_t newest;          /* highest id a peer has opened */
    struct h2_stream *block; /* whose header block is being received; NULL: nobody wants it */
    bool in_block;           /* a header block has begun and not ended */
    bool going;              /* GOAWAY sent */
    bool abused;
};

/* h2.c */
bool h2_open(struct h2 *h, struct conn *c, bool server, uint32_t streams, uint32_t window);
void h2_close(struct h2 *h); /* frees the session and all streams, which must be silent */
void h2_input(struct h2 *h, const char *p, size_t n);
void h2_flush(struct h2 *h);
void h2_wake(struct h2 *h); /* flush at the end of this turn */

/* h2_stream.c */
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id);
void h2_stream_drop(struct h2_stream *st);
void h2_streams_free(struct h2 *h); /* all, and the spare ones; they must be silent */
/* Resets a stream whose peer broke the rules, and tells its user. */
void h2_break_stream(struct h2_stream *st, enum http_error e, const char *why);
void h2_streams_lost(struct h2 *h, enum http_error e, const char *why); /* tells all users */

/* h2_abuse.c: what a peer may do. Only clients are judged. */
void h2_abuse(struct h2 *h, const char *what);         /* gives the connection up */
void h2_abuse_control(struct h2 *h, const char *what); /* a frame that asks for nothing */
void h2_abuse_reset(struct h2 *h, const char *what);   /* a stream ended without an answer */
void h2_abuse_noise(struct h2 *h, const char *what);   /* a frame that is fine beside useful ones */
void h2_abuse_useful(struct h2 *h);

nghttp2_mem h2_memory(struct loop *l); /* h2_memory.c */

/* h2_head.c: heads in and out */
bool h2_head_add(struct h2_head *hd, uint32_t limit, struct str name, struct str value,
                 bool *ret_large);
void h2_head_begin(struct h2_head *hd);
void h2_head_fini(struct h2_head *hd);
/* Of a block that has not been made a message yet: also of one that is refused. */
uint8_t h2_head_method(const struct h2_head *hd);
/* NULL, or why the head is refused. */
const char *h2_head_request(struct h2_head *hd, struct http_message *m, bool end);
const char *h2_head_response(struct h2_head *hd, struct http_message *m, uint8_t request_method,
                             bool end);
void h2_head_trailers(struct h2_head *hd, struct headers *ret);
/* scheme: of a request; NULL: m is a response. */
size_t h2_head_nv(const struct http_message *m, const char *scheme, char length[24], nghttp2_nv *nv,
                  size_t cap);

/* implemented by h2_server.c and h2_client.c */
void h2_server_head(struct h2_stream *st, bool end);
void h2_client_head(struct h2_stream *st, bool end);
void h2_server_stream_closed(struct h2 *h);
void h2_server_block_end(struct h2 *h);
void h2_client_stream_closed(struct h2 *h);
void h2_client_goaway(struct h2 *h);
void h2_client_settings(struct h2 *h);

/* A stream connection: TCP, with TLS above it or not, in completion style. Bytes arrive in a
   borrowed buffer; written bytes are queued and leave in one system call at the end of the loop
   turn. Owners embed struct conn first in their own struct.

   Lifetime: after conn_accept or conn_connect succeeds, on_close is called exactly once, at the end
   of a loop turn, never from inside a call of the owner's; the fd is closed by then and the owner
   frees its memory there. No other callback follows conn_close. */
#pragma once
#include "io/addr.h"
#include "io/loop.h"

struct conn;
enum io_err {
    IO_OK = 0,     /* closed by us, in order */
    IO_EOF,        /* peer closed */
    IO_RESET,      /* ECONNRESET, EPIPE */
    IO_REFUSED,    /* connect refused or unreachable */
    IO_TLS,        /* handshake or record failure; conn_tls_error has the text */
    IO_TLS_VERIFY, /* the peer's certificate was not accepted */
    IO_MEMORY,     /* chunk limit reached */
    IO_OTHER,
};
struct conn_ops {
    /* Connected and, with TLS, the handshake is done: ALPN, SNI and peer identity are known. For an
       accepted clear connection it is not called. */
    void (*on_open)(struct conn *c);
    /* n > 0 bytes in a borrowed buffer (valid during the call). The owner takes them all. After
       conn_read_pause up to CONN_RECV_MAX more bytes that had already been received can still be
       delivered, in this turn. */
    void (*on_data)(struct conn *c, const char *p, size_t n);
    /* on_open, on_eof and on_drain may be NULL; without on_eof the connection closes itself with
     * IO_EOF. */
    void (*on_eof)(struct conn *c); /* peer sends no more (FIN or close_notify; a TLS truncation is
                                       IO_RESET via on_close) */
    void (*on_drain)(struct conn *c); /* the queue was over CONN_HIGH and is below CONN_LOW now */
    void (*on_close)(struct conn *c, enum io_err why);
};
enum {
    CONN_RECV_MAX = 32768, /* one read; also the most delivered in one on_data */
    CONN_HIGH = 32 * 1024, /* queued output above this: the producer must pause its source */
    CONN_LOW = 8 * 1024,
    CONN_ROOM_MIN = 1024, /* most heads fit */
    CONN_FLUSH_TIME =
        5, /* seconds conn_close with linger 0 lets a slow reader take what is queued */
};
struct chunk;
struct chunk_queue {
    struct chunk *head, *tail;
};
struct conn_linger;
struct tls;
struct tls_ctx;
struct conn {
    const struct conn_ops *ops;
    struct loop *loop;
    struct tls *tls;   /* NULL: clear */
    struct list dirty; /* in the loop's flush list */
    struct chunk_queue out;
    union {
        int64_t time;              /* ns conn_close may wait */
        struct conn_linger *timed; /* it has to wait */
    } linger;
    uint32_t out_n; /* queued plaintext or ciphertext bytes not yet taken by the kernel */
    int fd;
    uint16_t flags; /* private to conn.c */
    uint8_t err;    /* enum io_err once closing */
    uint8_t events; /* what epoll watches */
};

/* Takes over an accepted, non-blocking fd. ctx NULL = clear. On false the fd is closed and on_close
 * is not called. */
NODISCARD bool conn_accept(struct conn *c, struct loop *l, int fd, struct tls_ctx *ctx,
                           const struct conn_ops *ops);
/* Starts connecting; on_open follows, or on_close. With TLS, ctx is a client context; sni NULL
 * takes the context's name. */
NODISCARD bool conn_connect(struct conn *c, struct loop *l, const union addr *to,
                            struct tls_ctx *ctx, const char *sni, const struct conn_ops *ops);
/* Queues a copy (or sends at once when nothing is queued and n is large). Never fails towards the
   caller: errors come through on_close. Returns true while the queue is at or below CONN_HIGH; on
   false stop producing until on_drain. */
bool conn_write(struct conn *c, const void *p, size_t n);
/* Room at the end of the queue, for bytes that are made where they leave from: CONN_ROOM_MIN at
   least; conn_wrote takes the first n > 0 of them, before anything else is done with c. NULL: they
   would not be sent, the connection ends or has no memory left. */
NODISCARD char *conn_room(struct conn *c, size_t *ret_n);
bool conn_wrote(struct conn *c, size_t n); /* as conn_write */
void conn_flush(struct conn *c);           /* now instead of at the end of the turn */
bool conn_writable(const struct conn *c);  /* queue at or below CONN_HIGH */
void conn_read_pause(struct conn *c);
void conn_read_resume(struct conn *c);
void conn_shutdown(struct conn *c); /* after the queue: close_notify and FIN; reading goes on */
/* Flush what is queued, then close; waits at most linger (lets the peer read a last answer:
   half-close and drain, RFC 9112 section 9.6). linger 0 closes right after the flush, which is
   given CONN_FLUSH_TIME when the peer does not read. */
void conn_close(struct conn *c, struct dur linger);
void conn_abort(struct conn *c, enum io_err why); /* drops the queue; RST for a clear connection */
bool conn_closing(const struct conn *c);
bool conn_peer(const struct conn *c, union addr *ret); /* false: not connected any more */
/* Hands the raw descriptor over for tunnelling by splice (clear connections with empty queues
 * only); -1 if not possible. */
int conn_peek_fd(const struct conn *c);

/* ---- listening ---- */
struct listen_opts {
    bool reuse_port, transparent;
    int backlog;
};
/* Bound, listening, non-blocking, TCP_NODELAY and SO_REUSEADDR set (inherited by accepted ones). -1
 * with errno. ret_bound gets the real port. */
int listen_open(const union addr *a, struct listen_opts o, union addr *ret_bound);

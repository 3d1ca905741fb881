/* The seam between a connection and its TLS: io stands below tls and knows it only through this
   table. struct tls_ctx and struct tls begin with a pointer to it. Only conn.c, chunk.c and src/tls
   include this header. Loop thread only. */
#pragma once
#include "io/conn.h"

struct conn_tls_ops {
    /* Sets c->tls. sni NULL: the context's own name. False: out of memory. */
    bool (*open)(struct tls_ctx *ctx, struct conn *c, const char *sni);
    void (*free)(struct tls *t);
    void (*start)(struct conn *c); /* connected: a client sends its hello */
    void (*input)(struct conn *c, const char *p, size_t n); /* ciphertext; takes all of it */
    bool (*write)(struct conn *c, const char *p, size_t n); /* plaintext; false: no chunk left */
    struct chunk_queue *(*queue)(struct tls *t); /* plaintext that waits; NULL: there is no use */
    void (*flush)(struct conn *c);               /* what write held back is encrypted now */
    void (*close_notify)(struct conn *c);        /* after flush */
    bool (*is_open)(const struct tls *t);        /* handshake done */
};
struct tls_head { /* the beginning of struct tls and of struct tls_ctx */
    const struct conn_tls_ops *ops;
};

/* What TLS calls back. Each may end the connection: look at conn_closing afterwards. */
bool conn_tls_queue(struct conn *c, const char *p,
                    size_t n); /* ciphertext for the peer; false: connection failed */
void conn_tls_opened(struct conn *c);
void conn_tls_deliver(struct conn *c, const char *p, size_t n);
void conn_tls_eof(struct conn *c); /* close_notify came */
/* Queued alerts leave first; with linger the peer is given that long to read them. */
void conn_tls_fail(struct conn *c, enum io_err why, struct dur linger);
char *conn_tls_buffer(struct conn *c); /* CONN_RECV_MAX bytes for plaintext, of the loop */

/* ---- queues of chunks ---- */
struct chunk {
    struct chunk *next;
    uint32_t from, to; /* live bytes of data */
    char data[];
};
enum { CHUNK_DATA = CHUNK_BYTES - sizeof(struct chunk) };
/* The last chunk, or a new one, with room for n <= CHUNK_DATA bytes; NULL when memory is out. */
NODISCARD struct chunk *chunk_room(struct loop *l, struct chunk_queue *q, size_t n);
NODISCARD bool chunk_append(struct loop *l, struct chunk_queue *q, const char *p, size_t n);
void chunk_drop(struct loop *l, struct chunk_queue *q);              /* all */
void chunk_consume(struct loop *l, struct chunk_queue *q, size_t n); /* from the front */

/* The inside of TLS: contexts (context.c), connections (stream.c), what is known of a peer
 * (info.c). */
#pragma once
#include "base/map.h"
#include "io/conn_tls.h"
#include "tls/tls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_names { /* of a server pair's leaf */
    str_list dns, ip;
};
struct tls_ctx {
    const struct conn_tls_ops *ops; /* first: struct tls_head */
    atomic_uint refs;
    bool server, verify, alpn_h2, or_address;
    size_t n;
    SSL_CTX **v;             /* server: one a pair, v[0] the default; client: one */
    struct tls_names *names; /* n of them; server only */
    struct map by_name;      /* DNS name or "*.name" → index + 1 */
    struct str name;         /* client */
    struct arena arena;
};
struct tls_cold;
struct tls {
    const struct conn_tls_ops *ops; /* first: struct tls_head */
    struct conn *c;
    struct loop *loop;
    SSL *ssl;
    struct tls_ctx *ctx;
    struct chunk_queue plain; /* written, not yet encrypted */
    const char *in;           /* borrowed ciphertext, only inside input() */
    size_t in_n;
    const char *error; /* static text */
    struct tls_cold *cold;
    int64_t started;  /* until open; then how long the handshake took */
    uint32_t control; /* bytes sent in answer to control records alone */
    uint16_t pair;
    bool open, failed;
    bool or_address; /* of the context, whose name this connection has */
};
extern const struct conn_tls_ops tls_conn_ops; /* stream.c */
const BIO_METHOD *tls_bio_method(void);        /* bio.c */
/* ret_lower: a copy in lower case with NUL. The pair for a server name; 0 is also the default. */
size_t tls_pair_of(const struct tls_ctx *ctx, struct str name);
void tls_cold_free(struct tls_cold *cold); /* info.c */
static inline struct tls *tls_of(const struct conn *c)
{
    return c->tls;
}

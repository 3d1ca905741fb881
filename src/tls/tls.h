/* TLS contexts and what is known about a connection's peer. OpenSSL stands only in this folder.
   Contexts are immutable and refcounted; algorithms are fetched once. Records go through own memory
   BIOs: one large receive feeds many records, all records of a turn leave in one send. */
#pragma once
#include "base/error.h"
#include "io/conn.h"

enum tls_version { TLS_V12, TLS_V13 };
enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };
struct tls_pair {
    struct str cert_pem, key_pem; /* leaf first, then chain */
};
typedef LIST_OF(struct tls_pair) tls_pair_list;
struct tls_server_conf {
    tls_pair_list pairs; /* chosen by SNI against the leaf's DNS names: exact, then wildcard, then
                            the first pair */
    uint8_t min_version; /* enum tls_version */
    uint8_t client_auth; /* enum tls_client_auth */
    struct str client_ca_pem;
    bool alpn_h2;   /* offer h2 then http/1.1; else http/1.1 only */
    bool alpn_none; /* raw TCP behind TLS: no ALPN */
    bool tickets;   /* stateless session tickets (keys are per process) */
};
struct tls_client_conf {
    bool verify;          /* default on; off only when the document says so */
    struct str ca_pem;    /* "" = the system's store */
    struct str name;      /* SNI, and the name the certificate must have */
    bool or_address;      /* where name is used: the certificate may have the peer's address */
    struct tls_pair pair; /* client certificate; "" = none */
    uint8_t min_version;
    bool alpn_h2, alpn_h1; /* offered in this order */
};
struct tls_ctx;
/* NULL with an error that names the file's role ("certificate", "key", "client CA") and OpenSSL's
   reason in plain words: unreadable PEM, key does not match, expired (a warning). */
struct tls_ctx *tls_server_new(const struct tls_server_conf *c, struct str where, struct errors *e);
struct tls_ctx *tls_client_new(const struct tls_client_conf *c, struct str where, struct errors *e);
struct tls_ctx *tls_ref(struct tls_ctx *c);
void tls_unref(struct tls_ctx *c);
/* The certificate's DNS names and expiry, for status pages and the 421 rule. */
bool tls_pair_names(struct arena *a, struct str cert_pem, str_list *ret_dns,
                    int64_t *ret_not_after_unix);

struct tls_info {
    struct str version; /* "TLSv1.3" */
    struct str cipher;
    struct str alpn; /* "h2", "http/1.1" or "" */
    struct str sni;  /* lower case, "" if none */
    unsigned pair;   /* index of the server pair chosen */
    bool resumed;
    bool peer_verified;      /* a client certificate was given and verified */
    struct str peer_subject; /* RFC 2253 text */
    struct str peer_uri;     /* first URI SAN: a SPIFFE ID; NUL inside a SAN fails verification */
    struct str peer_sha256;  /* hex of the leaf */
};
/* Strings live as long as the connection. False for a clear connection. */
bool tls_info(const struct conn *c, struct tls_info *ret);
/* Does the server certificate chosen on this connection cover host? For 421. True for a clear
 * connection. */
bool tls_covers_host(const struct conn *c, struct str host);
const char *conn_tls_error(const struct conn *c); /* "" or the reason of IO_TLS, IO_TLS_VERIFY */
struct dur tls_handshake_time(const struct conn *c);

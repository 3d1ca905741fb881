/* TLS contexts: made once from a document, then read by all workers. Everything that can be decided
 * before a handshake is. */
#include "base/mem.h"
#include "base/rand.h"
#include "crypto/cert.h"
#include "tls/tls_priv.h"
#include <openssl/err.h>
#include <pthread.h>
#include <time.h>

/* Forward secrecy and authenticated encryption only. AES-128 first: it is enough, and SHA-256 is
 * the cheaper transcript hash. */
static const char CIPHERS_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char CIPHERS_12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/* The larger curves are for peers that know or allow no other, or whose ECDSA key lies on one: in
   TLS 1.2 a client has to list that one too (RFC 8422 section 5.1). None is a client's first
   choice. */
static const char GROUPS[] = "X25519:P-256:P-384:P-521";
enum {
    TICKET_KEY_BYTES = 80, /* name 16, HMAC 32, AES 32 */
    TICKET_SECONDS = 3600,
    VERIFY_DEPTH = 8,
    SNI_MAX = 255,
};

static const char *reason(void)
{
    const char *s = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return s ? s : "out of memory";
}

static bool complain(struct errors *e, struct str where, const char *role, const char *why)
{
    return fail(e, (struct str){ NULL, 0 }, 0, 0, where, "%s: %s", role, why);
}

/* ---- shared by both sides ---- */

static SSL_CTX *ctx_basic(const SSL_METHOD *m, uint8_t min_version)
{
    SSL_CTX *x = SSL_CTX_new(m);
    if (!x)
        return NULL;
    SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* No automatic chain: OpenSSL would search and verify its own chain in every handshake. */
    SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify_depth(x, VERIFY_DEPTH);
    if (SSL_CTX_set_min_proto_version(x, min_version == TLS_V13 ? TLS1_3_VERSION
                                                                : TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(x, CIPHERS_12) == 1 &&
        SSL_CTX_set_ciphersuites(x, CIPHERS_13) == 1 && SSL_CTX_set1_groups_list(x, GROUPS) == 1)
        return x;
    SSL_CTX_free(x);
    return NULL;
}

static bool use_chain(SSL_CTX *x, const struct cert_list *certs)
{
    if (SSL_CTX_use_certificate(x, certs->v[0]) != 1)
        return false;
    for (size_t i = 1; i < certs->n; i++)
        if (SSL_CTX_add1_chain_cert(x, certs->v[i]) != 1)
            return false;
    return true;
}

static bool use_pair(SSL_CTX *x, const struct tls_pair *p, struct str where, struct errors *e)
{
    struct cert_list certs;
    const char *why;
    if (!cert_list_parse(p->cert_pem, &certs, &why)) {
        ERR_clear_error();
        return complain(e, where, "certificate", why);
    }
    EVP_PKEY *key = cert_key_parse(p->key_pem, &why);
    bool ok = false;
    if (!key)
        complain(e, where, "key", why);
    else if (!use_chain(x, &certs))
        complain(e, where, "certificate", reason());
    else if (X509_check_private_key(certs.v[0], key) != 1)
        complain(e, where, "key", "does not match the certificate");
    else if (SSL_CTX_use_PrivateKey(x, key) != 1)
        complain(e, where, "key", reason());
    else
        ok = true;
    if (ok && X509_cmp_current_time(X509_get0_notAfter(certs.v[0])) < 0)
        warn(e, (struct str){ NULL, 0 }, 0, 0, where, "certificate: has expired");
    ERR_clear_error();
    EVP_PKEY_free(key);
    cert_list_fini(&certs);
    return ok;
}

/* A certificate given as an anchor is trusted as it is, also when it is not a root. */
static bool use_anchors(SSL_CTX *x, struct str pem, const char *role, struct str where,
                        struct errors *e)
{
    struct cert_list certs;
    const char *why;
    if (!cert_list_parse(pem, &certs, &why)) {
        ERR_clear_error();
        return complain(e, where, role, why);
    }
    X509_STORE *store = SSL_CTX_get_cert_store(x);
    bool ok = X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
    for (size_t i = 0; ok && i < certs.n; i++)
        ok = X509_STORE_add_cert(store, certs.v[i]) == 1 &&
             (SSL_CTX_get_ssl_method(x) != TLS_server_method() ||
              SSL_CTX_add_client_CA(x, certs.v[i]) == 1);
    if (!ok)
        complain(e, where, role, reason());
    cert_list_fini(&certs);
    return ok;
}

/* The certificate has not the name that was looked for, but the address that was connected to,
   which is as good where the document says nothing but that address (RFC 9110 section 4.3.4). */
static bool covers_address(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    union addr a;
    if (!t->or_address || !conn_peer(t->c, &a))
        return false;
    bool v6 = a.sa.sa_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&a.v6.sin6_addr : (const void *)&a.v4.sin_addr;
    return cert_has_address(X509_STORE_CTX_get_current_cert(store), bytes, v6 ? 16 : 4);
}

/* A NUL inside a name: whoever reads it as a C string sees another name. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    if (!ok && X509_STORE_CTX_get_error(store) == X509_V_ERR_HOSTNAME_MISMATCH &&
        covers_address(store)) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        ok = 1;
    }
    if (!ok || X509_STORE_CTX_get_error_depth(store) != 0)
        return ok;
    if (cert_san_clean(X509_STORE_CTX_get_current_cert(store)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_EXTENSION);
    return 0;
}

static struct tls_ctx *ctx_new(bool server, size_t n)
{
    struct tls_ctx *c = mem_alloc(sizeof *c);
    if (!c)
        return NULL;
    c->ops = &tls_conn_ops;
    atomic_init(&c->refs, 1);
    c->server = server;
    arena_init(&c->arena, 1024, 0);
    c->v = ARENA_ARRAY(&c->arena, SSL_CTX *, n);
    c->n = n;
    tls_bio_method();
    return c;
}

struct tls_ctx *tls_ref(struct tls_ctx *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_unref(struct tls_ctx *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->n; i++)
        SSL_CTX_free(c->v[i]);
    map_fini(&c->by_name);
    arena_fini(&c->arena);
    mem_free(c);
}

/* ---- server ---- */

size_t tls_pair_of(const struct tls_ctx *ctx, struct str name)
{
    char lower[SNI_MAX + 1];
    if (name.n == 0 || name.n > SNI_MAX)
        return 0;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = ascii_lower(name.p[i]);
    struct str s = { lower, name.n };
    void *hit = map_get(&ctx->by_name, s);
    size_t dot = str_find(s, '.');
    if (!hit && dot > 0 && dot < s.n) {
        lower[dot - 1] = '*';
        hit = map_get(&ctx->by_name, str_sub(s, dot - 1, s.n));
    }
    return hit ? (size_t)(uintptr_t)hit - 1 : 0;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls *t = SSL_get_app_data(ssl);
    (void)alert, (void)arg;
    t->pair =
        (uint16_t)tls_pair_of(t->ctx, str_from(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)));
    if (t->pair != 0)
        SSL_set_SSL_CTX(ssl, t->ctx->v[t->pair]);
    return SSL_TLSEXT_ERR_OK;
}

static bool offers(const unsigned char *list, unsigned n, struct str want)
{
    for (unsigned i = 0; i < n && list[i] <= n - i - 1; i += 1U + list[i])
        if (str_eq((struct str){ (const char *)list + i + 1, list[i] }, want))
            return true;
    return false;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned n, void *arg)
{
    static const struct str h2 = STR_INIT("h2"), h1 = STR_INIT("http/1.1");
    const struct tls_ctx *ctx = arg;
    (void)ssl;
    struct str pick = ctx->alpn_h2 && offers(in, n, h2) ? h2
                      : offers(in, n, h1)               ? h1
                                                        : (struct str){ NULL, 0 };
    if (pick.n == 0)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 section 3.2 */
    *out = (const unsigned char *)pick.p;
    *out_n = (unsigned char)pick.n;
    return SSL_TLSEXT_ERR_OK;
}

/* One key set a process: a reload keeps tickets good. What may not be resumed is kept apart by the
 * session id context. */
static unsigned char ticket_keys[TICKET_KEY_BYTES];
static void make_ticket_keys(void)
{
    rand_secret(ticket_keys, sizeof ticket_keys);
}

static bool use_tickets(SSL_CTX *x, bool on)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!on) {
        SSL_CTX_set_options(x, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(x, 0) == 1;
    }
    CHECK(pthread_once(&once, make_ticket_keys) == 0);
    SSL_CTX_set_timeout(x, TICKET_SECONDS);
    return SSL_CTX_set_num_tickets(x, 1) == 1 &&
           SSL_CTX_set_tlsext_ticket_keys(x, ticket_keys, sizeof ticket_keys) == 1;
}

/* A session made under one set of certificates, client CAs and rules is nothing under another. */
static bool use_session_context(SSL_CTX *x, const struct tls_server_conf *c,
                                const struct tls_pair *p)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok =
        md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
        EVP_DigestUpdate(md, &c->min_version, 1) && EVP_DigestUpdate(md, &c->client_auth, 1) &&
        (c->client_ca_pem.n == 0 || EVP_DigestUpdate(md, c->client_ca_pem.p, c->client_ca_pem.n)) &&
        EVP_DigestUpdate(md, "", 1) && EVP_DigestUpdate(md, p->cert_pem.p, p->cert_pem.n) &&
        EVP_DigestFinal_ex(md, id, &n) && SSL_CTX_set_session_id_context(x, id, n) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static bool index_names(struct tls_ctx *t, size_t i, struct str cert_pem)
{
    struct cert_list certs;
    const char *why;
    if (!cert_list_parse(cert_pem, &certs, &why))
        return false;
    cert_names(certs.v[0], &t->arena, &t->names[i].dns, &t->names[i].ip);
    cert_list_fini(&certs);
    for (size_t k = 0; k < t->names[i].dns.n; k++) {
        struct str name = t->names[i].dns.v[k];
        if (!map_get(&t->by_name, name) && !map_put(&t->by_name, name, (void *)(uintptr_t)(i + 1)))
            return false;
    }
    return true;
}

static bool server_pair(struct tls_ctx *t, size_t i, const struct tls_server_conf *c,
                        struct str where, struct errors *e)
{
    SSL_CTX *x = t->v[i] = ctx_basic(TLS_server_method(), c->min_version);
    if (!x || !use_tickets(x, c->tickets) || !use_session_context(x, c, &c->pairs.v[i]))
        return complain(e, where, "TLS", reason());
    if (!use_pair(x, &c->pairs.v[i], where, e))
        return false;
    if (c->client_auth != TLS_CLIENT_NONE &&
        !use_anchors(x, c->client_ca_pem, "client CA", where, e))
        return false;
    if (c->client_auth != TLS_CLIENT_NONE)
        SSL_CTX_set_verify(
            x,
            SSL_VERIFY_PEER |
                (c->client_auth == TLS_CLIENT_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            on_verify);
    SSL_CTX_set_tlsext_servername_callback(x, on_server_name);
    if (!c->alpn_none)
        SSL_CTX_set_alpn_select_cb(x, on_alpn, t);
    return index_names(t, i, c->pairs.v[i].cert_pem) || complain(e, where, "TLS", "out of memory");
}

struct tls_ctx *tls_server_new(const struct tls_server_conf *c, struct str where, struct errors *e)
{
    if (c->pairs.n == 0 || c->pairs.n > UINT16_MAX) {
        complain(e, where, "certificate", c->pairs.n ? "too many" : "none given");
        return NULL;
    }
    struct tls_ctx *t = ctx_new(true, c->pairs.n);
    if (!t) {
        complain(e, where, "TLS", "out of memory");
        return NULL;
    }
    ERR_clear_error();
    t->alpn_h2 = c->alpn_h2;
    t->names = ARENA_ARRAY(&t->arena, struct tls_names, c->pairs.n);
    bool ok = true;
    for (size_t i = 0; i < c->pairs.n; i++)
        ok &= server_pair(t, i, c, where, e);
    if (ok)
        return t;
    tls_unref(t);
    return NULL;
}

/* ---- client ---- */

static bool client_fill(struct tls_ctx *t, const struct tls_client_conf *c, struct str where,
                        struct errors *e)
{
    static const unsigned char both[] = "\2h2\10http/1.1";
    SSL_CTX *x = t->v[0] = ctx_basic(TLS_client_method(), c->min_version);
    if (!x || !use_tickets(x, false))
        return complain(e, where, "TLS", reason());
    if (c->pair.cert_pem.n > 0 && !use_pair(x, &c->pair, where, e))
        return false;
    if (c->alpn_h2 || c->alpn_h1) {
        const unsigned char *p = c->alpn_h2 ? both : both + 3;
        unsigned n = (c->alpn_h2 ? 3U : 0U) + (c->alpn_h1 ? 9U : 0U);
        if (SSL_CTX_set_alpn_protos(x, p, n) != 0)
            return complain(e, where, "TLS", reason());
    }
    if (!c->verify)
        return true;
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, on_verify);
    if (c->ca_pem.n > 0)
        return use_anchors(x, c->ca_pem, "CA", where, e);
    return SSL_CTX_set_default_verify_paths(x) == 1 || complain(e, where, "CA", reason());
}

struct tls_ctx *tls_client_new(const struct tls_client_conf *c, struct str where, struct errors *e)
{
    struct tls_ctx *t = ctx_new(false, 1);
    if (!t) {
        complain(e, where, "TLS", "out of memory");
        return NULL;
    }
    ERR_clear_error();
    t->verify = c->verify;
    t->or_address = c->or_address;
    t->name = arena_str(&t->arena, c->name);
    if (client_fill(t, c, where, e))
        return t;
    tls_unref(t);
    return NULL;
}

bool tls_pair_names(struct arena *a, struct str cert_pem, str_list *ret_dns,
                    int64_t *ret_not_after_unix)
{
    struct cert_list certs;
    str_list ip;
    const char *why;
    if (!cert_list_parse(cert_pem, &certs, &why)) {
        ERR_clear_error();
        return false;
    }
    cert_names(certs.v[0], a, ret_dns, &ip);
    *ret_not_after_unix = cert_not_after(certs.v[0]);
    cert_list_fini(&certs);
    return true;
}

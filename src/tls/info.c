/* What is known about a TLS connection and its peer. Texts that OpenSSL does not keep are made at
 * the first question. */
#include "base/mem.h"
#include "crypto/cert.h"
#include "tls/tls_priv.h"

struct tls_cold {
    struct tls_info info;
    char sni[256];
    char sha256[CERT_SHA256_HEX + 1];
    char text[]; /* subject, then URI */
};

void tls_cold_free(struct tls_cold *cold)
{
    mem_free(cold);
}

static bool is_lower(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (ascii_lower(s.p[i]) != s.p[i])
            return false;
    return true;
}

static void info_of_ssl(const struct tls *t, struct tls_info *ret)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_n = 0;
    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
    *ret = (struct tls_info){
        .version = str_from(SSL_get_version(t->ssl)),
        .cipher = str_from(SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl))),
        .alpn = { (const char *)alpn, alpn_n },
        .sni = str_from(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)),
        .pair = t->pair,
        .resumed = SSL_session_reused(t->ssl) == 1,
    };
}

/* The peer's texts are read from its certificate once and copied into one allocation of the right
 * size. */
static void add_peer(struct tls *t, struct tls_info *ret, const X509 *peer)
{
    char subject[CERT_SUBJECT_MAX], uri[CERT_URI_MAX + 1];
    size_t subject_n = peer ? cert_subject(peer, subject) : 0,
           uri_n = peer ? cert_uri(peer, uri) : 0;
    struct tls_cold *cold = mem_alloc(sizeof *cold + subject_n + uri_n + 1);
    if (!cold)
        return;
    for (size_t i = 0; i < ret->sni.n && i < sizeof cold->sni; i++)
        cold->sni[i] = ascii_lower(ret->sni.p[i]);
    ret->sni = (struct str){ cold->sni, ret->sni.n < sizeof cold->sni ? ret->sni.n : 0 };
    if (peer) {
        memcpy(cold->text, subject, subject_n);
        memcpy(cold->text + subject_n, uri, uri_n);
        ret->peer_subject = (struct str){ cold->text, subject_n };
        ret->peer_uri = (struct str){ cold->text + subject_n, uri_n };
        ret->peer_sha256 = (struct str){ cold->sha256, cert_sha256(peer, cold->sha256) };
        ret->peer_verified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE &&
                             SSL_get_verify_result(t->ssl) == X509_V_OK;
    }
    cold->info = *ret;
    t->cold = cold;
}

bool tls_info(const struct conn *c, struct tls_info *ret)
{
    struct tls *t = tls_of(c);
    *ret = (struct tls_info){ 0 };
    if (!t)
        return false;
    if (t->cold) {
        *ret = t->cold->info;
        return true;
    }
    info_of_ssl(t, ret);
    if (!t->open)
        return true;
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    if (peer || !is_lower(ret->sni))
        add_peer(t, ret, peer);
    return true;
}

bool tls_covers_host(const struct conn *c, struct str host)
{
    const struct tls *t = tls_of(c);
    if (!t || !t->ctx->server)
        return true;
    const struct tls_names *names = &t->ctx->names[t->pair];
    for (size_t i = 0; i < names->dns.n; i++)
        if (cert_name_matches(names->dns.v[i], host))
            return true;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_sub(host, 1, host.n - 1);
    for (size_t i = 0; i < names->ip.n; i++)
        if (str_ieq(names->ip.v[i], host))
            return true;
    return false;
}

const char *conn_tls_error(const struct conn *c)
{
    return c->tls && tls_of(c)->error ? tls_of(c)->error : "";
}

struct dur tls_handshake_time(const struct conn *c)
{
    const struct tls *t = tls_of(c);
    return (struct dur){ t && t->open ? t->started : 0 };
}

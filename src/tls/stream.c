/* A connection's TLS: one receive feeds many records, plaintext of a turn is encrypted together and
   leaves in one send. Loop thread only. */
#include "base/mem.h"
#include "crypto/cert.h"
#include "tls/tls_priv.h"
#include <openssl/err.h>

enum {
    DIRECT_MIN = 4096, /* larger writes are encrypted where they stand */
    RECORD_MAX = 16384,
    CONTROL_MAX =
        64 *
        1024, /* answers to key updates and the like over a connection's life: 2,000 and more */
};
static const struct dur ALERT_LINGER = { NS_PER_S }; /* so that the peer can read why */

/* ---- failure ---- */

static bool verify_failed(const struct tls *t, unsigned long e)
{
    int r = ERR_GET_REASON(e);
    return ERR_GET_LIB(e) == ERR_LIB_SSL &&
           (r == SSL_R_CERTIFICATE_VERIFY_FAILED || r == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
            SSL_get_verify_result(t->ssl) != X509_V_OK);
}

/* OpenSSL's error queue becomes one static text. */
static void tls_failed(struct tls *t)
{
    unsigned long e = ERR_peek_error();
    enum io_err why = IO_TLS;
    long result = SSL_get_verify_result(t->ssl);
    t->failed = true;
    if (e != 0 && verify_failed(t, e)) {
        why = IO_TLS_VERIFY;
        t->error = result != X509_V_OK ? X509_verify_cert_error_string(result)
                                       : ERR_reason_error_string(e);
    } else {
        t->error = e ? ERR_reason_error_string(e) : "connection lost";
    }
    if (!t->error)
        t->error = "unknown TLS error";
    ERR_clear_error();
    conn_tls_fail(t->c, why, t->ctx->server ? ALERT_LINGER : (struct dur){ 0 });
}

/* ---- writing ---- */

static bool encrypt(struct tls *t, const char *p, size_t n)
{
    size_t written;
    if (t->failed)
        return false;
    if (SSL_write_ex(t->ssl, p, n, &written) == 1)
        return true;
    tls_failed(t);
    return false;
}

static void tls_flush(struct conn *c)
{
    struct tls *t = tls_of(c);
    while (t->open && !t->failed && t->plain.head) {
        struct chunk *k = t->plain.head;
        size_t n = k->to - k->from;
        t->plain.head = k->next;
        if (!k->next)
            t->plain.tail = NULL;
        c->out_n -= (uint32_t)n; /* its ciphertext is counted by conn_tls_queue */
        encrypt(t, k->data + k->from, n);
        loop_chunk_free(t->loop, k);
    }
}

static bool hold(struct tls *t, const char *p, size_t n)
{
    if (!chunk_append(t->loop, &t->plain, p, n))
        return false;
    t->c->out_n += (uint32_t)n;
    return true;
}

static bool tls_write(struct conn *c, const char *p, size_t n)
{
    struct tls *t = tls_of(c);
    if (t->failed)
        return true;
    if (!t->open || n < DIRECT_MIN)
        return hold(t, p, n);
    if (t->plain.tail) { /* a record is filled up before it is closed */
        size_t room = CHUNK_DATA - t->plain.tail->to, m = n < room ? n : room;
        if (m > 0 && !hold(t, p, m))
            return false;
        p += m;
        n -= m;
        if (n > 0)
            tls_flush(c);
    }
    size_t now = n >= DIRECT_MIN ? n : 0;
    if (now > 0 && !encrypt(t, p, now))
        return true; /* on_close says it */
    return now == n || hold(t, p + now, n - now);
}

static struct chunk_queue *tls_queue(struct tls *t)
{
    return t->failed ? NULL : &t->plain;
}

static void tls_close_notify(struct conn *c)
{
    struct tls *t = tls_of(c);
    if (!t->open || t->failed)
        return;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
}

/* ---- reading ---- */

static bool tls_handshake(struct tls *t)
{
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        t->open = true;
        t->started = loop_now(t->loop) - t->started;
        conn_tls_opened(t->c);
        return !conn_closing(t->c);
    }
    if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
        tls_failed(t);
    return false;
}

/* What SSL_read said at the end of the input. */
static void tls_read_end(struct tls *t, int error)
{
    switch (error) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        conn_tls_eof(t->c);
        break;
    default:
        tls_failed(t);
    }
}

/* A peer can ask for answers without sending data (key updates). They must not become a flood. */
static bool control_ok(struct tls *t, uint32_t queued_before)
{
    if (LIKELY(t->c->out_n <= queued_before))
        return true;
    t->control += t->c->out_n - queued_before;
    if (t->control <= CONTROL_MAX)
        return true;
    t->failed = true;
    t->error = "too many control records";
    conn_tls_fail(t->c, IO_TLS, (struct dur){ 0 });
    return false;
}

static void tls_read(struct tls *t)
{
    char *buf = conn_tls_buffer(t->c);
    size_t have = 0;
    int error = SSL_ERROR_NONE;
    do {
        size_t got = 0;
        uint32_t queued = t->c->out_n;
        /* The error is asked for at once: the owner may write, which changes the answer. */
        if (SSL_read_ex(t->ssl, buf + have, CONN_RECV_MAX - have, &got) != 1)
            error = SSL_get_error(t->ssl, 0);
        if (!control_ok(t, queued))
            return;
        have += got;
        if (CONN_RECV_MAX - have < RECORD_MAX) {
            conn_tls_deliver(t->c, buf, have);
            have = 0;
        }
    } while (error == SSL_ERROR_NONE && t->in_n > 0 && !conn_closing(t->c));
    if (have > 0)
        conn_tls_deliver(t->c, buf, have);
    if (!conn_closing(t->c))
        tls_read_end(t, error);
}

static void tls_input(struct conn *c, const char *p, size_t n)
{
    struct tls *t = tls_of(c);
    if (t->failed)
        return;
    t->in = p;
    t->in_n = n;
    ERR_clear_error();
    if ((t->open || tls_handshake(t)) && t->in_n > 0)
        tls_read(t);
    t->in = NULL;
    t->in_n = 0;
}

static void tls_start(struct conn *c)
{
    struct tls *t = tls_of(c);
    t->started = loop_now(t->loop);
    ERR_clear_error();
    tls_handshake(t);
}

/* ---- life ---- */

static void tls_free(struct tls *t)
{
    chunk_drop(t->loop, &t->plain);
    SSL_free(t->ssl);
    tls_cold_free(t->cold);
    tls_unref(t->ctx);
    mem_free(t);
}

/* The name to send and to find in the certificate. False without a name although one must be
 * verified: fail closed. */
static bool client_name(struct tls *t, const char *name)
{
    union addr ip;
    char text[ADDR_TEXT_MAX + 8];
    struct str s = str_from(name);
    if (s.n == 0)
        return !t->ctx->verify;
    bool v6 = memchr(s.p, ':', s.n) != NULL, fits = s.n < ADDR_TEXT_MAX;
    size_t at = 0;
    if (fits) { /* addr_parse wants a port */
        text[at] = '[';
        at += v6;
        memcpy(text + at, s.p, s.n);
        at += s.n;
        memcpy(text + at, v6 ? "]:0" : ":0", v6 ? 3 : 2);
        at += v6 ? 3 : 2;
    }
    if (fits && addr_parse((struct str){ text, at }, &ip))
        return !t->ctx->verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1;
    if (SSL_set_tlsext_host_name(t->ssl, name) != 1)
        return false;
    if (!t->ctx->verify)
        return true;
    SSL_set_hostflags(t->ssl, CERT_HOST_FLAGS);
    return SSL_set1_host(t->ssl, name) == 1;
}

static bool tls_open(struct tls_ctx *ctx, struct conn *c, const char *sni)
{
    struct tls *t = mem_alloc(sizeof *t);
    BIO *b = t ? BIO_new(tls_bio_method()) : NULL;
    SSL *ssl = b ? SSL_new(ctx->v[0]) : NULL;
    if (!ssl || SSL_set_app_data(ssl, t) != 1) {
        SSL_free(ssl);
        BIO_free(b);
        mem_free(t);
        return false;
    }
    BIO_set_data(b, t);
    SSL_set_bio(ssl, b, b);
    *t = (struct tls){
        .ops = &tls_conn_ops, .c = c, .loop = c->loop, .ssl = ssl, .ctx = tls_ref(ctx)
    };
    t->started = loop_now(c->loop);
    c->tls = t;
    if (ctx->server) {
        SSL_set_accept_state(ssl);
        return true;
    }
    SSL_set_connect_state(ssl);
    t->or_address = ctx->or_address && !sni;
    if (!client_name(t, sni ? sni : ctx->name.p)) {
        t->failed = true;
        t->error = "no usable server name to verify";
    }
    return true;
}

static void tls_begin(struct conn *c)
{
    struct tls *t = tls_of(c);
    if (t->failed)
        conn_tls_fail(c, IO_TLS_VERIFY, (struct dur){ 0 });
    else
        tls_start(c);
}

static bool tls_is_open(const struct tls *t)
{
    return t->open;
}

const struct conn_tls_ops tls_conn_ops = {
    .open = tls_open,
    .free = tls_free,
    .start = tls_begin,
    .input = tls_input,
    .write = tls_write,
    .queue = tls_queue,
    .flush = tls_flush,
    .close_notify = tls_close_notify,
    .is_open = tls_is_open,
};

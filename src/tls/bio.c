/* The BIO between OpenSSL and a connection: reads the borrowed slice of one receive, writes into
 * the connection's queue. */
#include "tls/tls_priv.h"
#include <openssl/bio.h>
#include <pthread.h>

static int bio_read(BIO *b, char *out, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (t->in_n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t m = (size_t)n < t->in_n ? (size_t)n : t->in_n;
    memcpy(out, t->in, m);
    t->in += m;
    t->in_n -= m;
    return (int)m;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    return conn_tls_queue(t->c, p, (size_t)n) ? n : -1;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p)
{
    (void)b, (void)n, (void)p;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *method;
static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    CHECK(method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
          BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create));
}

const BIO_METHOD *tls_bio_method(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, make_method) == 0);
    return method;
}

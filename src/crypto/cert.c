/* X.509 certificates read through OpenSSL. */
#define _GNU_SOURCE /* memmem */
#include "crypto/cert.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

static int no_password(char *buf, int n, int writing, void *arg)
{
    (void)buf, (void)n, (void)writing, (void)arg;
    return 0;
}

/* Broken PEM in the middle must not pass for its end: only "no start line" is the end. */
static X509 *next_cert(BIO *b, bool *ret_broken)
{
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long n = 0;
    X509 *x = NULL;
    *ret_broken = false;
    if (!PEM_read_bio(b, &name, &header, &data, &n)) {
        *ret_broken = BIO_ctrl_pending(b) > 0;
        return NULL;
    }
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0) {
        const unsigned char *at = data;
        x = d2i_X509(NULL, &at, n);
    }
    *ret_broken = !x;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    return x;
}

bool cert_list_parse(struct str pem, struct cert_list *ret, const char **ret_why)
{
    bool broken = false;
    X509 *x;
    *ret = (struct cert_list){ 0 };
    *ret_why = "no PEM certificate found";
    if (pem.n == 0 || pem.n > INT_MAX)
        return false;
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    while (b && (x = next_cert(b, &broken))) {
        struct x509_st **v =
            ret->n < CERT_PEM_MAX ? mem_realloc(ret->v, (ret->n + 1) * sizeof *v) : NULL;
        if (!v) {
            X509_free(x);
            broken = true;
            break;
        }
        ret->v = v;
        v[ret->n++] = x;
        /* what OpenSSL would else note down about it in the first handshake, on any thread */
        (void)X509_check_purpose(x, -1, 0);
    }
    BIO_free(b);
    if (broken)
        *ret_why = "unreadable PEM certificate";
    if (!broken && ret->n > 0)
        return true;
    cert_list_fini(ret);
    return false;
}

void cert_list_fini(struct cert_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        X509_free(l->v[i]);
    mem_free(l->v);
    *l = (struct cert_list){ 0 };
}

struct evp_pkey_st *cert_key_parse(struct str pem, const char **ret_why)
{
    *ret_why = "no PEM private key found";
    if (pem.n == 0 || pem.n > INT_MAX)
        return NULL;
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
    BIO_free(b);
    if (!k && memmem(pem.p, pem.n, "ENCRYPTED", 9))
        *ret_why = "the private key is encrypted";
    else if (!k && memmem(pem.p, pem.n, "PRIVATE KEY", 11))
        *ret_why = "unreadable PEM private key";
    return k;
}

bool cert_key_fits(struct str cert_pem, struct str key_pem, const char **ret_why)
{
    struct cert_list certs;
    EVP_PKEY *key = cert_key_parse(key_pem, ret_why);
    bool fits = false;
    if (key && cert_list_parse(cert_pem, &certs, ret_why)) {
        *ret_why = "does not match the certificate";
        fits = X509_check_private_key(certs.v[0], key) == 1;
        cert_list_fini(&certs);
    }
    EVP_PKEY_free(key);
    return fits;
}

static GENERAL_NAMES *san_of(const X509 *x)
{
    return X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
}

static struct str name_text(const GENERAL_NAME *g)
{
    const ASN1_STRING *s = g->d.ia5;
    return (struct str){ (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
}

static void add_lower(str_list *l, struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    l->v[l->n++] = (struct str){ p, s.n };
}

static void add_ip(str_list *l, struct arena *a, struct str raw)
{
    char text[INET6_ADDRSTRLEN];
    if ((raw.n == 4 || raw.n == 16) &&
        inet_ntop(raw.n == 4 ? AF_INET : AF_INET6, raw.p, text, sizeof text))
        l->v[l->n++] = arena_str(a, str_from(text));
}

static void add_common_name(const X509 *x, struct arena *a, str_list *ret)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    struct str cn = { (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
    if (cn.n == 0 || memchr(cn.p, 0, cn.n))
        return;
    ret->v = ARENA_ARRAY(a, struct str, 1);
    add_lower(ret, a, cn);
}

void cert_names(const struct x509_st *x, struct arena *a, str_list *ret_dns, str_list *ret_ip)
{
    GENERAL_NAMES *names = san_of(x);
    int n = names ? sk_GENERAL_NAME_num(names) : 0;
    *ret_dns = (str_list){ NULL, 0 };
    *ret_ip = (str_list){ NULL, 0 };
    if (n > 0) {
        ret_dns->v = ARENA_ARRAY(a, struct str, (size_t)n);
        ret_ip->v = ARENA_ARRAY(a, struct str, (size_t)n);
    }
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS && name_text(g).n > 0 && !memchr(name_text(g).p, 0, name_text(g).n))
            add_lower(ret_dns, a, name_text(g));
        else if (g->type == GEN_IPADD)
            add_ip(ret_ip, a, name_text(g));
    }
    if (!names)
        add_common_name(x, a, ret_dns);
    GENERAL_NAMES_free(names);
}

const unsigned CERT_HOST_FLAGS = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

bool cert_name_matches(struct str pattern, struct str host)
{
    if (pattern.n < 3 || pattern.p[0] != '*' || pattern.p[1] != '.')
        return str_ieq(pattern, host);
    size_t dot = str_find(host, '.');
    return dot > 0 && dot < host.n &&
           str_ieq(str_sub(pattern, 1, pattern.n), str_sub(host, dot, host.n));
}

bool cert_san_clean(const struct x509_st *x)
{
    GENERAL_NAMES *names = san_of(x);
    bool clean = names || X509_get_ext_by_NID(x, NID_subject_alt_name, -1) <
                              0; /* there, but unreadable: not clean */
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS || g->type == GEN_URI || g->type == GEN_EMAIL)
            clean &= !memchr(name_text(g).p, 0, name_text(g).n);
    }
    GENERAL_NAMES_free(names);
    return clean;
}

bool cert_has_address(const struct x509_st *x, const void *ip, size_t n)
{
    return X509_check_ip((X509 *)(uintptr_t)x, ip, n, 0) == 1;
}

int64_t cert_not_after(const struct x509_st *x)
{
    struct tm t;
    if (!ASN1_TIME_to_tm(X509_get0_notAfter(x), &t))
        return 0;
    return (int64_t)timegm(&t);
}

size_t cert_subject(const struct x509_st *x, char out[CERT_SUBJECT_MAX])
{
    out[0] = 0;
    BIO *b = BIO_new(BIO_s_mem());
    if (!b)
        return 0;
    char *text = NULL;
    long n = X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0
                 ? BIO_get_mem_data(b, &text)
                 : 0;
    if (n < 0 || n >= CERT_SUBJECT_MAX)
        n = 0;
    if (n > 0)
        memcpy(out, text, (size_t)n);
    out[n] = 0;
    BIO_free(b);
    return (size_t)n;
}

size_t cert_uri(const struct x509_st *x, char out[CERT_URI_MAX + 1])
{
    GENERAL_NAMES *names = san_of(x);
    struct str uri = { NULL, 0 };
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !uri.p; i++)
        if (sk_GENERAL_NAME_value(names, i)->type == GEN_URI)
            uri = name_text(sk_GENERAL_NAME_value(names, i));
    if (uri.n > CERT_URI_MAX || (uri.n > 0 && memchr(uri.p, 0, uri.n)))
        uri.n = 0;
    if (uri.n > 0)
        memcpy(out, uri.p, uri.n);
    out[uri.n] = 0;
    GENERAL_NAMES_free(names);
    return uri.n;
}

size_t cert_sha256(const struct x509_st *x, char out[CERT_SHA256_HEX + 1])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    out[0] = 0;
    if (!X509_digest(x, EVP_sha256(), md, &n) || n * 2 != CERT_SHA256_HEX)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[md[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
    }
    out[CERT_SHA256_HEX] = 0;
    return CERT_SHA256_HEX;
}

/* Certificates and keys: any PEM, and any DER in PEM, is read or refused with a reason; what is
   told about a certificate is bounded and has no hidden end. Input: an even first byte, PEM; an odd
   one, DER. */
#include "crypto/cert.h"
#include "crypto/hash.h"
#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(const struct x509_st *x)
{
    char subject[CERT_SUBJECT_MAX], uri[CERT_URI_MAX + 1], hex[CERT_SHA256_HEX + 1];
    size_t n = cert_subject(x, subject);
    CHECK(n < CERT_SUBJECT_MAX && subject[n] == 0);
    n = cert_uri(x, uri);
    CHECK(n <= CERT_URI_MAX && strlen(uri) == n);
    CHECK(cert_sha256(x, hex) == CERT_SHA256_HEX && strlen(hex) == CERT_SHA256_HEX);
    (void)cert_not_after(x);
}

static void check_names(const struct x509_st *x, struct arena *a)
{
    str_list dns, ip;
    cert_names(x, a, &dns, &ip);
    for (size_t i = 0; i < dns.n; i++) {
        struct str s = dns.v[i];
        CHECK(s.n > 0 && !memchr(s.p, 0, s.n));
        for (size_t k = 0; k < s.n; k++)
            CHECK(s.p[k] == ascii_lower(s.p[k]));
        CHECK(cert_name_matches(s, s) || s.p[0] == '*');
    }
    for (size_t i = 0; i < ip.n; i++)
        CHECK(ip.v[i].n >= 2 && ip.v[i].n < 46);
    (void)cert_san_clean(x);
}

static void check(struct str pem, struct arena *a)
{
    struct cert_list l;
    const char *why = NULL;
    bool ok = cert_list_parse(pem, &l, &why);
    CHECK(ok ? l.n > 0 && l.n <= CERT_PEM_MAX : l.n == 0 && why && *why);
    for (size_t i = 0; i < l.n; i++) {
        check_texts(l.v[i]);
        check_names(l.v[i], a);
    }
    cert_list_fini(&l);
    why = NULL;
    struct evp_pkey_st *k = cert_key_parse(pem, &why);
    CHECK(k || (why && *why));
    EVP_PKEY_free(k);
}

static struct str as_pem(const uint8_t *p, size_t n, const char *what, struct arena *a)
{
    char *text = arena_alloc(a, n * 4 / 3 + 8);
    int len = EVP_EncodeBlock((unsigned char *)text, p, (int)n);
    struct str body = { text, (size_t)len };
    char *lines = arena_alloc(a, body.n + body.n / 64 + 2);
    size_t at = 0;
    for (size_t i = 0; i < body.n; i += 64) {
        struct str line = str_sub(body, i, i + 64);
        memcpy(lines + at, line.p, line.n);
        at += line.n;
        lines[at++] = '\n';
    }
    return arena_fmt(a, "-----BEGIN %s-----\n%.*s-----END %s-----\n", what, (int)at, lines, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    if (size == 0)
        return 0;
    arena_init(&a, 0, 0);
    if (data[0] & 1)
        check(as_pem(data + 1, size - 1, data[0] & 2 ? "PRIVATE KEY" : "CERTIFICATE", &a), &a);
    else
        check((struct str){ (const char *)data + 1, size - 1 }, &a);
    arena_fini(&a);
    return 0;
}

/* Certificates made through OpenSSL. */
#include "crypto/cert_make.h"
#include "base/clock.h"
#include "base/rand.h"
#include "crypto/cert.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const int64_t DAY = 86400;

static bool add_name(GENERAL_NAMES *names, int type, struct str s)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *v = ASN1_STRING_type_new(V_ASN1_IA5STRING);
    if (g && v && ASN1_STRING_set(v, s.p, (int)s.n) && sk_GENERAL_NAME_push(names, g)) {
        GENERAL_NAME_set0_value(g, type, v);
        return true;
    }
    GENERAL_NAME_free(g);
    ASN1_STRING_free(v);
    return false;
}

static bool add_address(GENERAL_NAMES *names, struct str s)
{
    char text[64];
    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(text);
    GENERAL_NAME *g = GENERAL_NAME_new();
    if (g && ip && sk_GENERAL_NAME_push(names, g)) {
        GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
        return true;
    }
    GENERAL_NAME_free(g);
    ASN1_OCTET_STRING_free(ip);
    return false;
}

static bool add_san(X509 *x, const struct cert_request *r)
{
    if (r->dns.n + r->ips.n + r->uri.n == 0)
        return true;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < r->dns.n; i++)
        ok = add_name(names, GEN_DNS, r->dns.v[i]);
    for (size_t i = 0; ok && i < r->ips.n; i++)
        ok = add_address(names, r->ips.v[i]);
    if (ok && r->uri.n > 0)
        ok = add_name(names, GEN_URI, r->uri);
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool add_ext(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

static bool fill(X509 *x, const struct cert_request *r, EVP_PKEY *key)
{
    unsigned char serial[16];
    rand_secret(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, always 16 bytes */
    BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
    X509_NAME *name = X509_NAME_new();
    int64_t now = clock_wall() / NS_PER_S, end = r->not_after ? r->not_after : DAY;
    bool ok = bn && name && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) &&
              X509_set_version(x, 2) &&
              X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                         (const unsigned char *)r->common_name.p,
                                         (int)r->common_name.n, -1, 0) &&
              X509_set_subject_name(x, name) &&
              ASN1_TIME_set(X509_getm_notBefore(x), now + r->not_before) &&
              ASN1_TIME_set(X509_getm_notAfter(x), now + end) && X509_set_pubkey(x, key) &&
              add_ext(x, NID_basic_constraints, r->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
              add_ext(x, NID_key_usage,
                      r->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
              add_ext(x, NID_subject_key_identifier, "hash") && add_san(x, r);
    BN_free(bn);
    X509_NAME_free(name);
    return ok;
}

/* Issuer and signature: its own, or that of the request's issuer. */
static bool sign(X509 *x, const struct cert_request *r, EVP_PKEY *key)
{
    struct cert_list issuer = { 0 };
    EVP_PKEY *by = NULL;
    const char *why;
    bool ok;
    if (r->issuer_cert_pem.n == 0) {
        ok = X509_set_issuer_name(x, X509_get_subject_name(x)) &&
             X509_sign(x, key, EVP_sha256()) > 0;
    } else {
        ok = cert_list_parse(r->issuer_cert_pem, &issuer, &why) &&
             (by = cert_key_parse(r->issuer_key_pem, &why)) &&
             X509_set_issuer_name(x, X509_get_subject_name(issuer.v[0])) &&
             X509_sign(x, by, EVP_sha256()) > 0;
    }
    cert_list_fini(&issuer);
    EVP_PKEY_free(by);
    return ok;
}

static bool print(BIO *b, struct buf *out)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);
    bool ok = n > 0 && buf_add(out, p, (size_t)n);
    return ok;
}

bool cert_make(const struct cert_request *r, struct buf *ret_cert_pem, struct buf *ret_key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *cert = BIO_new(BIO_s_mem()), *pem = BIO_new(BIO_s_mem());
    bool ok = key && x && cert && pem && fill(x, r, key) && sign(x, r, key) &&
              PEM_write_bio_X509(cert, x) &&
              PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) &&
              print(cert, ret_cert_pem) && print(pem, ret_key_pem);
    BIO_free(cert);
    BIO_free(pem);
    X509_free(x);
    EVP_PKEY_free(key);
    return ok;
}

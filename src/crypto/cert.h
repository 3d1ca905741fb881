/* Reading X.509 certificates and keys: PEM in, what the proxy wants to know out. Pure; any thread.
   OpenSSL's types are only named here. */
#pragma once
#include "base/arena.h"

struct x509_st;
struct evp_pkey_st;
enum {
    CERT_PEM_MAX = 2048,     /* certificates in one PEM text: more than any system bundle */
    CERT_SUBJECT_MAX = 1024, /* longer subjects are not shown */
    CERT_URI_MAX = 2048,     /* SPIFFE: an ID is at most 2048 bytes */
    CERT_SHA256_HEX = 64,
};
struct cert_list {
    struct x509_st **v; /* each owned by the list */
    size_t n;
};
/* All certificates of a PEM text in order. False with static text when there is none, or one is
 * broken. */
bool cert_list_parse(struct str pem, struct cert_list *ret, const char **ret_why);
void cert_list_fini(struct cert_list *l);
/* NULL with static text. Encrypted keys are refused. */
struct evp_pkey_st *cert_key_parse(struct str pem, const char **ret_why);
/* Is it the key of the first certificate? */
bool cert_key_fits(struct str cert_pem, struct str key_pem, const char **ret_why);

/* Subject alternative names: DNS names in lower case, or the common name when there is no such
 * extension; addresses as text. */
void cert_names(const struct x509_st *x, struct arena *a, str_list *ret_dns, str_list *ret_ip);
bool cert_name_matches(
    struct str pattern,
    struct str host); /* "*.example.com" covers one label; ASCII case is ignored */
extern const unsigned
    CERT_HOST_FLAGS; /* how OpenSSL is to compare names: as cert_name_matches does */
bool cert_san_clean(
    const struct x509_st *x); /* no NUL inside a name: such a name reads differently elsewhere */
bool cert_has_address(const struct x509_st *x, const void *ip, size_t n); /* 4 or 16 bytes */
int64_t cert_not_after(const struct x509_st *x);                          /* seconds since 1970 */
/* Texts with NUL; their length, 0 when there is none or it is too long. */
size_t cert_subject(const struct x509_st *x, char out[CERT_SUBJECT_MAX]); /* RFC 2253 */
size_t cert_uri(const struct x509_st *x, char out[CERT_URI_MAX + 1]);     /* first URI name */
size_t cert_sha256(const struct x509_st *x, char out[CERT_SHA256_HEX + 1]);

/* SHA-256, hex, and the compare that secrets need. Pure; any thread.

   OpenSSL 3 deprecates these functions for EVP, which finds its algorithms in a provider: that
   loads the library's configuration and its tables of names, a third of the time until a proxy
   without TLS takes requests, and costs more than the hashing itself where the input is short. The
   code behind both is the same. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.h"
#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) == sizeof(struct sha256), "the state has the size of OpenSSL's");

void sha256_init(struct sha256 *h)
{
    CHECK(SHA256_Init((SHA256_CTX *)(void *)h->state) == 1);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    if (n)
        CHECK(SHA256_Update((SHA256_CTX *)(void *)h->state, p, n) == 1);
}

void sha256_end(struct sha256 *h, uint8_t out[32])
{
    CHECK(SHA256_Final(out, (SHA256_CTX *)(void *)h->state) == 1);
}

void sha256(struct str s, uint8_t out[32])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, s.p, s.n);
    sha256_end(&h, out);
}

void hex_lower(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
}

/* No early end, and volatile so that no compiler finds one. */
bool secret_equal(struct str a, struct str b)
{
    volatile uint8_t diff = a.n != b.n;
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        diff = (uint8_t)(diff | ((uint8_t)a.p[i] ^ (uint8_t)b.p[i]));
    return diff == 0;
}

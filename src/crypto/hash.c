/* SHA-256 through EVP with the algorithm fetched once, hex, and the compare that secrets need.
   Pure; any thread. */
#include "crypto/hash.h"
#include "base/mem.h"
#include <openssl/evp.h>
#include <pthread.h>

struct sha256 {
    EVP_MD_CTX *ctx;
};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *algorithm;

/* Part of every OpenSSL provider we can run with; without it nothing could be verified. */
static void fetch(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(algorithm);
}

struct sha256 *sha256_new(void)
{
    pthread_once(&once, fetch);
    struct sha256 *h = mem_alloc(sizeof(*h));
    if (!h)
        return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx && EVP_DigestInit_ex(h->ctx, algorithm, NULL) == 1)
        return h;
    EVP_MD_CTX_free(h->ctx);
    mem_free(h);
    return NULL;
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    if (n)
        CHECK(EVP_DigestUpdate(h->ctx, p, n) == 1);
}

void sha256_end(struct sha256 *h, uint8_t out[32])
{
    CHECK(EVP_DigestFinal_ex(h->ctx, out, NULL) == 1);
    EVP_MD_CTX_free(h->ctx);
    mem_free(h);
}

void sha256(struct str s, uint8_t out[32])
{
    pthread_once(&once, fetch);
    CHECK(EVP_Digest(s.n ? s.p : "", s.n, out, NULL, algorithm, NULL) == 1);
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

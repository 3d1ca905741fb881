/* Hashes and the WebSocket answer: in pieces as at once; texts are of their alphabet; two keys
   never share an answer. The first byte of the input steers the pieces. */
#include "crypto/hash.h"
#include "crypto/ws_accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accept(struct str key)
{
    char out[28], other[28], text[128];
    if (!ws_accept(key, out)) {
        CHECK(key.n > 24);
        return;
    }
    for (size_t i = 0; i < 27; i++)
        CHECK(out[i] &&
              strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", out[i]));
    CHECK(out[27] == '=');
    if (key.n == 0 || key.n > sizeof text)
        return;
    memcpy(text, key.p, key.n);
    text[key.n - 1] ^= 1;
    CHECK(ws_accept((struct str){ text, key.n }, other) && memcmp(out, other, 28) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t whole[32], pieces[32];
    char hex[64];
    if (size == 0)
        return 0;
    struct str s = { (const char *)data + 1, size - 1 };
    size_t step = 1u + data[0];
    sha256(s, whole);
    struct sha256 h;
    sha256_init(&h);
    for (size_t at = 0; at < s.n; at += step) {
        struct str piece = str_sub(s, at, at + step);
        sha256_add(&h, piece.p, piece.n);
    }
    sha256_end(&h, pieces);
    CHECK(memcmp(whole, pieces, 32) == 0);
    CHECK(secret_equal((struct str){ (char *)whole, 32 }, (struct str){ (char *)pieces, 32 }));
    pieces[data[0] & 31] ^= 4;
    CHECK(!secret_equal((struct str){ (char *)whole, 32 }, (struct str){ (char *)pieces, 32 }));
    hex_lower(whole, 32, hex);
    for (size_t i = 0; i < 4; i++) {
        uint64_t v;
        CHECK(str_to_hex_u64((struct str){ hex + 16 * i, 16 }, &v) && v >> 56 == whole[8 * i] &&
              (v & 255) == whole[8 * i + 7]);
    }
    check_accept(s);
    return 0;
}

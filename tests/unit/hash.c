/* SHA-256 against published vectors, pieces against the whole, hex, the compare of secrets. */
#include "crypto/hash.h"
#include "../harness/harness.h"

void unit_hash(void);

static struct str hex(struct str s, char out[64])
{
    uint8_t digest[32];
    sha256(s, digest);
    hex_lower(digest, 32, out);
    return (struct str){ out, 64 };
}

void unit_hash(void)
{
    char out[64];
    CASE("FIPS 180-2 vectors");
    EXPECT_STR(hex(STR(""), out),
               STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    EXPECT_STR(hex(STR("abc"), out),
               STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    EXPECT_STR(hex((struct str){ NULL, 0 }, out),
               STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));

    CASE("pieces give what the whole gives");
    struct sha256 h;
    uint8_t digest[32];
    sha256_init(&h);
    sha256_add(&h, "a", 1);
    sha256_add(&h, NULL, 0);
    sha256_add(&h, "bc", 2);
    sha256_end(&h, digest);
    hex_lower(digest, 32, out);
    EXPECT_STR(((struct str){ out, 64 }),
               STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));

    CASE("secrets are equal when length and every byte are");
    EXPECT(secret_equal(STR("token"), STR("token")));
    EXPECT(secret_equal(STR(""), STR("")));
    EXPECT(!secret_equal(STR("token"), STR("tokem")));
    EXPECT(!secret_equal(STR("token"), STR("toke")));
    EXPECT(!secret_equal(STR(""), STR("t")));
    EXPECT(!secret_equal(STR("Token"), STR("token")));
}

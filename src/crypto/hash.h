/* Hashes and the compare that secrets need. Pure; any thread. */
#pragma once
#include "base/base.h"

struct sha256 { /* OpenSSL's state, whose header stays in this folder */
    _Alignas(8) unsigned char state[112];
};
void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
void sha256_end(struct sha256 *h, uint8_t out[32]); /* and clears h */
void sha256(struct str s, uint8_t out[32]);
void hex_lower(const void *p, size_t n, char *out); /* 2n characters, no NUL */
/* Time depends on the lengths only. */
bool secret_equal(struct str a, struct str b);

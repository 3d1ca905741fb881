/* IP prefixes: 10.0.0.0/8, ::1, 192.0.2.7. Pure. */
#pragma once
#include "base/base.h"

struct cidr {
    uint8_t ip[16];
    uint8_t bits, len; /* len: 4 or 16 bytes */
};
/* Host bits must be zero; a bare address is a /32 or /128. */
bool cidr_parse(struct str s, struct cidr *ret);
/* ip is len bytes in network order; an IPv4-mapped IPv6 address counts as IPv4. */
bool cidr_has(const struct cidr *c, const void *ip, unsigned len);

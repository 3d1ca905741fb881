/* IP prefixes. */
#include "codec/cidr.h"

#include <arpa/inet.h>

static bool tail_zero(const struct cidr *c)
{
    for (unsigned i = c->bits; i < c->len * 8u; i++)
        if (c->ip[i / 8] >> (7 - i % 8) & 1)
            return false;
    return true;
}

bool cidr_parse(struct str s, struct cidr *ret)
{
    struct str ip = s, bits = { 0 };
    char text[64];
    bool given = str_cut(s, '/', &ip, &bits);
    if (ip.n == 0 || ip.n >= sizeof(text) || memchr(ip.p, 0, ip.n))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = 0;
    *ret = (struct cidr){ .len = 4 };
    if (inet_pton(AF_INET, text, ret->ip) != 1) {
        ret->len = 16;
        if (inet_pton(AF_INET6, text, ret->ip) != 1)
            return false;
    }
    uint64_t n = ret->len * 8u;
    if (given && (!str_to_u64(bits, &n) || n > ret->len * 8u))
        return false;
    ret->bits = (uint8_t)n;
    return tail_zero(ret);
}

bool cidr_has(const struct cidr *c, const void *ip, unsigned len)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    const uint8_t *p = ip;
    if (len == 16 && c->len == 4 && memcmp(p, mapped, 12) == 0) {
        p += 12;
        len = 4;
    }
    if (len != c->len)
        return false;
    unsigned whole = c->bits / 8u, rest = c->bits % 8u;
    if (memcmp(p, c->ip, whole) != 0)
        return false;
    return rest == 0 || ((p[whole] ^ c->ip[whole]) >> (8 - rest)) == 0;
}

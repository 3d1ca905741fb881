/* Socket addresses as text and back. Pure; any thread. */
#include "io/addr.h"
#include <arpa/inet.h>

static bool parse_ip(union addr *a, struct str ip, bool v6)
{
    char text[ADDR_TEXT_MAX];
    if (ip.n == 0 || ip.n >= sizeof text || memchr(ip.p, 0, ip.n))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = 0;
    memset(a, 0, sizeof *a);
    a->sa.sa_family = v6 ? AF_INET6 : AF_INET;
    return inet_pton(a->sa.sa_family, text,
                     v6 ? (void *)&a->v6.sin6_addr : (void *)&a->v4.sin_addr) == 1;
}

bool addr_parse(struct str s, union addr *ret)
{
    struct str ip, port;
    bool v6 = s.n > 0 && s.p[0] == '[';
    if (v6) {
        if (!str_cut(str_sub(s, 1, s.n), ']', &ip, &port) || port.n < 2 || port.p[0] != ':')
            return false;
        port = str_sub(port, 1, port.n);
    } else if (!str_cut(s, ':', &ip, &port)) {
        return false;
    }
    uint64_t n;
    if (port.n > 5 || !str_to_u64(port, &n) || n > UINT16_MAX || !parse_ip(ret, ip, v6))
        return false;
    addr_set_port(ret, (uint16_t)n);
    return true;
}

/* Every request says where it came from: inet_ntop goes through printf, a tenth of a request's
 * work. */
static inline char *print_octet(char *at, unsigned v)
{
    if (v >= 100) {
        unsigned hundreds = 1 + (v >= 200);
        *at++ = (char)('0' + hundreds);
        v -= hundreds * 100;
        *at++ = (char)('0' + v / 10);
        v %= 10;
    } else if (v >= 10) {
        *at++ = (char)('0' + v / 10);
        v %= 10;
    }
    *at++ = (char)('0' + v);
    return at;
}

static size_t print_v4(const uint8_t ip[4], char out[ADDR_TEXT_MAX])
{
    char *at = print_octet(out, ip[0]);
    for (int i = 1; i < 4; i++) {
        *at++ = '.';
        at = print_octet(at, ip[i]);
    }
    *at = 0;
    return (size_t)(at - out);
}

size_t addr_print_ip(const union addr *a, char out[ADDR_TEXT_MAX])
{
    out[0] = 0;
    if (a->sa.sa_family == AF_INET)
        return print_v4((const uint8_t *)&a->v4.sin_addr, out);
    if (a->sa.sa_family != AF_INET6)
        return 0;
    CHECK(inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDR_TEXT_MAX));
    return strlen(out);
}

size_t addr_print(const union addr *a, char out[ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX], digits[5];
    size_t n = addr_print_ip(a, ip), at = 0, d = 0;
    out[0] = 0;
    if (n == 0)
        return 0;
    bool v6 = a->sa.sa_family == AF_INET6;
    if (v6)
        out[at++] = '[';
    memcpy(out + at, ip, n);
    at += n;
    if (v6)
        out[at++] = ']';
    out[at++] = ':';
    unsigned port = addr_port(a);
    do
        digits[d++] = (char)('0' + port % 10);
    while (port /= 10);
    while (d)
        out[at++] = digits[--d];
    out[at] = 0;
    return at;
}

uint16_t addr_port(const union addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void addr_set_port(union addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

bool addr_equal(const union addr *a, const union addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
        return false;
    if (a->sa.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
               a->v6.sin6_scope_id == b->v6.sin6_scope_id;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

socklen_t addr_len(const union addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

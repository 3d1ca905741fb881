/* See forwarded.h. */
#include "proxy/forwarded.h"
#include "codec/cidr.h"

bool forwarded_trusts(const str_list *proxies, const union addr *a)
{
    for (size_t i = 0; i < proxies->n; i++) {
        struct cidr c;
        if (cidr_parse(proxies->v[i], &c) &&
            (a->sa.sa_family == AF_INET ? cidr_has(&c, &a->v4.sin_addr, 4)
                                        : cidr_has(&c, &a->v6.sin6_addr, 16)))
            return true;
    }
    return false;
}

/* An address with or without brackets; a port is none of ours to understand. */
static bool parse_member(struct str s, union addr *ret)
{
    char text[ADDR_TEXT_MAX + 8];
    size_t n = 0;
    if (s.n == 0 || s.n > ADDR_TEXT_MAX)
        return false;
    bool bare6 = s.p[0] != '[' && str_find(s, ':') < s.n;
    if (bare6)
        text[n++] = '[';
    memcpy(text + n, s.p, s.n);
    n += s.n;
    if (bare6)
        text[n++] = ']';
    memcpy(text + n, ":0", 2);
    return addr_parse((struct str){ text, n + 2 }, ret);
}

bool forwarded_client(struct str list, const str_list *proxies, union addr *ret)
{
    while (list.n) {
        size_t at = list.n;
        while (at > 0 && list.p[at - 1] != ',')
            at--;
        struct str one = str_trim(str_sub(list, at, list.n));
        union addr a;
        list.n = at ? at - 1 : 0;
        if (!parse_member(one, &a))
            return true;
        *ret = a;
        if (!forwarded_trusts(proxies, &a))
            return true;
    }
    return false;
}

bool forwarded_id_valid(struct str s)
{
    if (s.n < 8 || s.n > 128)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

bool forwarded_trace_valid(struct str s)
{
    if (s.n < 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    bool trace = false, span = false;
    for (size_t i = 0; i < 55; i++) {
        char c = s.p[i];
        if (i == 2 || i == 35 || i == 52)
            continue;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        trace |= i > 2 && i < 35 && c != '0';
        span |= i > 35 && i < 52 && c != '0';
    }
    if (s.p[0] == 'f' && s.p[1] == 'f')
        return false;
    return trace && span && (s.n == 55 || (s.p[55] == '-' && !(s.p[0] == '0' && s.p[1] == '0')));
}

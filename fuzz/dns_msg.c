/* DNS replies: hostile ones are bounded and never mistaken for the answer to another question; what
   a plain writer says in a reply is what is read. Input: a byte of choices, a name, NUL, then the
   records of the reply or a whole message. */
#include "codec/dns_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 0x1234, MESSAGE_MAX = 8192, ADDRESSES = DNS_ADDRESSES_MAX + 8 };

static void check_bounds(const struct dns_reply *r, uint16_t type)
{
    CHECK(r->n <= DNS_ADDRESSES_MAX && r->rcode < 16);
    for (size_t i = 0; i < r->n; i++)
        CHECK(r->v[i].len == (type == DNS_A ? 4 : 16));
}

static void hostile(struct str msg, struct str name, uint16_t type)
{
    struct dns_reply r, again;
    bool ok = dns_reply_parse(msg, ID, name, type, &r);
    if (!ok)
        return;
    check_bounds(&r, type);
    CHECK(msg.n >= 12 && (uint8_t)msg.p[0] << 8 | (uint8_t)msg.p[1]);
    CHECK(!dns_reply_parse(msg, ID + 1, name, type, &again));
    CHECK(!dns_reply_parse(msg, ID, name, type == DNS_A ? DNS_AAAA : DNS_A, &again));
    CHECK(!dns_reply_parse(msg, ID, STR("other.invalid"), type, &again) ||
          str_ieq(str_sub(name, 0, 13), STR("other.invalid")));
}

static char *put(char *at, unsigned v, unsigned bytes)
{
    while (bytes--)
        *at++ = (char)(v >> 8 * bytes);
    return at;
}

/* A reply of the name's addresses; every other byte of the seed is an address's last, and its time
 * to live. */
static void plain(struct str seed, struct str name, uint16_t type)
{
    static char msg[MESSAGE_MAX];
    struct dns_reply r;
    size_t n = dns_query_make(ID, name, type, msg), len = type == DNS_A ? 4 : 16, want = 0;
    CHECK((n > 0) == dns_name_valid(name));
    if (n == 0)
        return;
    CHECK(n <= DNS_QUERY_MAX);
    CHECK(!dns_reply_parse((struct str){ msg, n }, ID, name, type, &r)); /* a question */
    n -= 11;                                                             /* without EDNS */
    msg[2] = (char)0x81;
    msg[11] = 0;
    char *at = msg + n;
    uint32_t ttl = UINT32_MAX;
    for (size_t i = 0; i + 1 < seed.n && want < ADDRESSES; i += 2, want++) {
        uint32_t t = (uint8_t)seed.p[i + 1];
        ttl = want < DNS_ADDRESSES_MAX && t < ttl ? t : ttl;
        at = put(put(put(put(put(at, 0xc00c, 2), type, 2), 1, 2), t, 4), (unsigned)len, 2);
        memset(at, 7, len);
        at[len - 1] = seed.p[i];
        at += len;
    }
    put(msg + 6, (unsigned)want, 2);
    CHECK(dns_reply_parse((struct str){ msg, (size_t)(at - msg) }, ID, name, type, &r));
    check_bounds(&r, type);
    CHECK(r.rcode == 0 && !r.truncated);
    CHECK(r.n == (want < DNS_ADDRESSES_MAX ? want : DNS_ADDRESSES_MAX));
    for (size_t i = 0; i < r.n; i++)
        CHECK(r.v[i].ip[len - 1] == (uint8_t)seed.p[2 * i] && r.v[i].ip[0] == 7);
    CHECK(r.n == 0 || r.ttl == ttl);
    for (size_t cut = 1; want > 0 && cut < 12; cut++) /* what is promised has to be there */
        CHECK(!dns_reply_parse((struct str){ msg, (size_t)(at - msg) - cut }, ID, name, type, &r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint16_t type = data[0] & 1 ? DNS_A : DNS_AAAA;
    struct str rest = { (const char *)data + 1, size - 1 };
    size_t zero = str_find(rest, '\0');
    struct str name = str_sub(rest, 0, zero), body = str_sub(rest, zero + 1, rest.n);
    plain(body, name, type);
    hostile(body, name, type);
    return 0;
}

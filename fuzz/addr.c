/* Addresses and prefixes: what is taken is plain text, prints as something that is taken as the
   same, and a prefix holds exactly the addresses that share its bits. */
#include "io/addr.h"
#include "codec/cidr.h"
#include <arpa/inet.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c && strchr(more, c)));
    }
}

static void check_addr(struct str s)
{
    union addr a, b;
    char text[ADDR_TEXT_MAX];
    if (!addr_parse(s, &a))
        return;
    check_text(s, "[]:.");
    size_t n = addr_print(&a, text);
    CHECK(n > 0 && n < sizeof text && text[n] == 0);
    CHECK(addr_parse((struct str){ text, n }, &b) && addr_equal(&a, &b));
    CHECK(addr_port(&a) == addr_port(&b) && addr_len(&a) == addr_len(&b));
    n = addr_print_ip(&a, text);
    CHECK(n > 0 && text[n] == 0);
    addr_set_port(&b, (uint16_t)(addr_port(&a) + 1));
    CHECK(!addr_equal(&a, &b));
}

static void check_cidr(struct str s)
{
    struct cidr c, d;
    char text[64];
    if (!cidr_parse(s, &c))
        return;
    check_text(s, ":./");
    CHECK((c.len == 4 || c.len == 16) && c.bits <= c.len * 8);
    CHECK(cidr_has(&c, c.ip, c.len));
    CHECK(inet_ntop(c.len == 4 ? AF_INET : AF_INET6, c.ip, text, 50));
    size_t n = strlen(text);
    text[n++] = '/';
    if (c.bits >= 100)
        text[n++] = '1';
    if (c.bits >= 10)
        text[n++] = (char)('0' + c.bits / 10 % 10);
    text[n++] = (char)('0' + c.bits % 10);
    CHECK(cidr_parse((struct str){ text, n }, &d));
    CHECK(c.len == d.len && c.bits == d.bits && memcmp(c.ip, d.ip, c.len) == 0);
    for (unsigned i = 0; i < c.len * 8u; i++) {
        uint8_t ip[16];
        memcpy(ip, c.ip, 16);
        ip[i / 8] ^= (uint8_t)(0x80 >> i % 8);
        CHECK(cidr_has(&c, ip, c.len) == (i >= c.bits));
    }
    if (c.len == 4) {
        uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
        memcpy(mapped + 12, c.ip, 4);
        CHECK(cidr_has(&c, mapped, 16));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = { (const char *)data, size };
    check_addr(s);
    check_cidr(s);
    return 0;
}

/* Socket addresses: text and back. */
#include "io/addr.h"
#include "../harness/harness.h"
#include "codec/cidr.h"
#include <stdio.h>

static void round_trip(struct str in)
{
    union addr a, b;
    char out[ADDR_TEXT_MAX];
    EXPECT(addr_parse(in, &a));
    EXPECT_STR(((struct str){ out, addr_print(&a, out) }), in);
    EXPECT(addr_parse(in, &b) && addr_equal(&a, &b));
    addr_set_port(&b, (uint16_t)(addr_port(&b) + 1));
    EXPECT(!addr_equal(&a, &b));
}

void unit_addr(void);
void unit_addr(void)
{
    CASE("addresses with ports survive a round trip");
    round_trip(STR("127.0.0.1:80"));
    round_trip(STR("0.0.0.0:0"));
    round_trip(STR("255.255.255.255:65534"));
    round_trip(STR("[::1]:443"));
    round_trip(STR("[2001:db8::a:b]:8080"));

    CASE("every octet is printed as decimal");
    union addr a;
    char out[ADDR_TEXT_MAX], want[ADDR_TEXT_MAX];
    for (unsigned v = 0; v < 256; v++) {
        int n = snprintf(want, sizeof want, "%u.%u.%u.%u:1", v, 255 - v, v / 10, v);
        EXPECT(addr_parse((struct str){ want, (size_t)n }, &a));
        EXPECT_STR(((struct str){ out, addr_print_ip(&a, out) }),
                   ((struct str){ want, (size_t)n - 2 }));
    }

    CASE("the address alone is printed without its port");
    EXPECT(addr_parse(STR("[::1]:443"), &a));
    EXPECT_STR(((struct str){ out, addr_print_ip(&a, out) }), STR("::1"));
    EXPECT_INT(addr_port(&a), 443);
    EXPECT_INT(addr_len(&a), sizeof a.v6);

    CASE("everything else is refused");
    static const struct str bad[] = {
        STR_INIT(""),
        STR_INIT(":"),
        STR_INIT("127.0.0.1"),
        STR_INIT("127.0.0.1:"),
        STR_INIT("127.0.0.1:65536"),
        STR_INIT("127.0.0.1:-1"),
        STR_INIT("127.0.0.1:80x"),
        STR_INIT("127.0.0:80"),
        STR_INIT("1.2.3.4.5:80"),
        STR_INIT("::1:80"),
        STR_INIT("[::1]"),
        STR_INIT("[::1]80"),
        STR_INIT("[::1"),
        STR_INIT("[127.0.0.1]:80"),
        STR_INIT("localhost:80"),
        STR_INIT("127.0.0.1\0:80"),
        STR_INIT("127.0.0.1:000080"),
        STR_INIT(" 127.0.0.1:80"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        test_result(!addr_parse(bad[i], &a), __FILE__, __LINE__, "'%.*s' is refused",
                    STR_FMT(bad[i]));
    }

    CASE("prefixes: plain text and nothing after it");
    struct cidr c;
    EXPECT(cidr_parse(STR("10.0.0.0/8"), &c) && c.bits == 8 && c.len == 4);
    EXPECT(cidr_parse(STR("::1"), &c) && c.bits == 128 && c.len == 16);
    EXPECT(!cidr_parse(STR("10.0.0.1/8"), &c));
    EXPECT(!cidr_parse(STR("10.0.0.0/33"), &c));
    EXPECT(!cidr_parse(STR("192.0.2.1\0x"), &c));
    EXPECT(!cidr_parse(STR("::\0/0"), &c));
}

/* Who a request is from, when trusted proxies say so; ids and traces that may be passed on. */
#include "proxy/forwarded.h"
#include "../harness/harness.h"

static str_list proxies;

static struct str client_of(struct str list, bool *ret_found)
{
    static char text[ADDR_TEXT_MAX];
    union addr a;
    EXPECT(addr_parse(STR("192.0.2.99:1"), &a));
    *ret_found = forwarded_client(list, &proxies, &a);
    return (struct str){ text, addr_print_ip(&a, text) };
}

static void expect(struct str list, bool found, struct str client)
{
    bool got;
    EXPECT_STR(client_of(list, &got), client);
    EXPECT(got == found);
}

void unit_forwarded(void);
void unit_forwarded(void)
{
    static struct str trusted[] = { STR_INIT("10.0.0.0/8"), STR_INIT("::1") };
    proxies = (str_list){ trusted, 2 };

    CASE("the last address that is no trusted proxy is the client");
    expect(STR("192.0.2.1"), true, STR("192.0.2.1"));
    expect(STR("203.0.113.9, 192.0.2.1 ,10.0.0.1,10.0.0.2"), true, STR("192.0.2.1"));
    expect(STR("2001:db8::1, 10.0.0.1"), true, STR("2001:db8::1"));
    expect(STR("[2001:db8::1], ::1"), true, STR("2001:db8::1"));
    expect(STR("10.0.0.1, 10.0.0.2"), false, STR("10.0.0.1"));
    expect(STR(""), false, STR("192.0.2.99"));

    CASE("what is no address hides what stands before it");
    expect(STR("192.0.2.1, unknown"), true, STR("192.0.2.99"));
    expect(STR("192.0.2.1, unknown, 10.0.0.3"), true, STR("10.0.0.3"));
    expect(STR("192.0.2.1,"), true, STR("192.0.2.99"));
    expect(STR("192.0.2.1\0junk"), true, STR("192.0.2.99"));
    expect(STR("192.0.2.1:80"), true, STR("192.0.2.99"));

    CASE("ids that may stand in a log as they are");
    EXPECT(forwarded_id_valid(STR("0192d3f4-aaaa-7bbb-8ccc-0123456789ab")));
    EXPECT(!forwarded_id_valid(STR("short")));
    EXPECT(!forwarded_id_valid(STR("with \"quotes\"")));
    EXPECT(!forwarded_id_valid(STR("with blank")));

    CASE("traces of the W3C's shape");
    EXPECT(forwarded_trace_valid(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
    EXPECT(
        forwarded_trace_valid(STR("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")));
    EXPECT(!forwarded_trace_valid(
        STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")));
    EXPECT(!forwarded_trace_valid(STR("00-00000000000000000000000000000000-b7ad6b7169203331-01")));
    EXPECT(!forwarded_trace_valid(STR("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
}

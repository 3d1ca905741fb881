/* Methods, status texts, authorities, target splitting, and taking a message along. */
#include "../harness/harness.h"
#include "codec/h1.h"

static void methods(void)
{
    static const struct {
        const char *text;
        int method;
        bool idempotent;
    } rows[] = {
        { "GET", METHOD_GET, true },         { "HEAD", METHOD_HEAD, true },
        { "POST", METHOD_POST, false },      { "PUT", METHOD_PUT, true },
        { "DELETE", METHOD_DELETE, true },   { "CONNECT", METHOD_CONNECT, false },
        { "OPTIONS", METHOD_OPTIONS, true }, { "TRACE", METHOD_TRACE, true },
        { "PATCH", METHOD_PATCH, false },    { "get", METHOD_OTHER, false },
        { "GETS", METHOD_OTHER, false },     { "PROPFIND", METHOD_OTHER, false },
        { "", METHOD_OTHER, false },
    };
    CASE("methods are case-sensitive");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        EXPECT_INT(http_method_of(str_from(rows[i].text)), rows[i].method);
        EXPECT(http_method_idempotent((uint8_t)rows[i].method) == rows[i].idempotent);
    }
    CASE("status texts");
    EXPECT_STR(http_status_reason(200), STR("OK"));
    EXPECT_STR(http_status_reason(404), STR("Not Found"));
    EXPECT_STR(http_status_reason(599), STR(""));
}

static const struct {
    const char *text, *host; /* host NULL: refused */
    unsigned port;
} authority_rows[] = {
    { "example.com", "example.com", 0 },
    { "Example.COM:8080", "Example.COM", 8080 },
    { "a_b-c.example", "a_b-c.example", 0 },
    { "127.0.0.1:65535", "127.0.0.1", 65535 },
    { "example.com.", "example.com", 0 },
    { "example.com.:80", "example.com", 80 },
    { "[::1]:80", "[::1]", 80 },
    { "[::]", "[::]", 0 },
    { "[2001:db8::1]", "[2001:db8::1]", 0 },
    { "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", 0 },
    { "[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", 0 },
    { "[1:2:3:4:5:6:192.0.2.1]", "[1:2:3:4:5:6:192.0.2.1]", 0 },
    { "[1::]", "[1::]", 0 },
    { "", NULL, 0 },
    { ":80", NULL, 0 },
    { "example.com:", NULL, 0 },
    { "example.com:0", NULL, 0 },
    { "example.com:080", NULL, 0 },
    { "example.com:65536", NULL, 0 },
    { "example.com:+80", NULL, 0 },
    { "example.com:80:80", NULL, 0 },
    { "example.com:100000", NULL, 0 },
    { "user@example.com", NULL, 0 },
    { "user:pw@example.com", NULL, 0 },
    { "exa mple.com", NULL, 0 },
    { "example.com/", NULL, 0 },
    { "example.com?", NULL, 0 },
    { "example.com#", NULL, 0 },
    { "example.com\\", NULL, 0 },
    { "exa%6dple.com", NULL, 0 },
    { "ex\xc3\xa4mple.com", NULL, 0 },
    { "a,b", NULL, 0 },
    { "*", NULL, 0 },
    { ".", NULL, 0 },
    { ".example.com", NULL, 0 },
    { "a..b", NULL, 0 },
    { "a..", NULL, 0 },
    { "::1", NULL, 0 },
    { "[::1", NULL, 0 },
    { "[::1]x", NULL, 0 },
    { "[::1]80", NULL, 0 },
    { "[]", NULL, 0 },
    { "[:]", NULL, 0 },
    { "[:::]", NULL, 0 },
    { "[1::2::3]", NULL, 0 },
    { "[1:2:3:4:5:6:7]", NULL, 0 },
    { "[1:2:3:4:5:6:7:8:9]", NULL, 0 },
    { "[1:2:3:4:5:6:7::8]", NULL, 0 },
    { "[1:2:3:4:5:6::8]", "[1:2:3:4:5:6::8]", 0 },
    { "[1:2:3:4:5:6:7:8::]", NULL, 0 },
    { "[12345::]", NULL, 0 },
    { "[g::]", NULL, 0 },
    { "[::1:]", NULL, 0 },
    { "[fe80::1%25eth0]", NULL, 0 },
    { "[::192.0.2]", NULL, 0 },
    { "[::192.0.2.256]", NULL, 0 },
    { "[::192.0.2.01]", NULL, 0 },
    { "[v1.a]", NULL, 0 },
};

static void authorities(void)
{
    CASE("host[:port]");
    for (size_t i = 0; i < ARRAY_LEN(authority_rows); i++) {
        struct str host, text = str_from(authority_rows[i].text);
        uint16_t port;
        bool ok = authority_parse(text, &host, &port);
        test_result(ok == (authority_rows[i].host != NULL), __FILE__, __LINE__, "'%s' accepted: %d",
                    authority_rows[i].text, ok);
        if (ok && authority_rows[i].host) {
            EXPECT_STR(host, str_from(authority_rows[i].host));
            EXPECT_INT(port, authority_rows[i].port);
        }
    }
    CASE("NUL in an authority, and its length");
    struct str host;
    uint16_t port;
    EXPECT(!authority_parse(STR("a\0b"), &host, &port));
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    EXPECT(authority_parse((struct str){ longest, 255 }, &host, &port));
    EXPECT(!authority_parse((struct str){ longest, 256 }, &host, &port));
}

static void targets(void)
{
    struct http_message m = { .target = STR("/a/b?c=d?e") };
    CASE("targets are cut at the first question mark");
    message_split_target(&m);
    EXPECT_STR(m.path, STR("/a/b"));
    EXPECT_STR(m.query, STR("c=d?e"));
    EXPECT(m.has_query);
    m.target = STR("/a?");
    message_split_target(&m);
    EXPECT_STR(m.path, STR("/a"));
    EXPECT_STR(m.query, STR(""));
    EXPECT(m.has_query);
    m.target = STR("*");
    message_split_target(&m);
    EXPECT_STR(m.path, STR("*"));
    EXPECT(!m.has_query);
}

static void own(size_t limit, bool raw, bool want)
{
    char head[] = "GET /p?q HTTP/1.1\r\nHost: h\r\nX-A: one\r\n\r\n", added[] = "X-New",
         value[] = "new";
    struct h1_limits lim = { 16384, 100 };
    struct header hv[8];
    struct http_message m;
    struct arena a;
    size_t used;
    const char *why;
    EXPECT_INT(h1_parse_request(head, sizeof(head) - 1, &lim, hv, 8, &m, &used, &why), H1_OK);
    EXPECT(headers_add(&m.headers, str_from(added), str_from(value)));
    if (!raw)
        m.raw = (struct str){ NULL, 0 };
    arena_init(&a, 0, limit);
    bool ok = message_own(&m, &a, 2);
    EXPECT(ok == want);
    if (ok) {
        memset(head, '#', sizeof(head));
        memset(added, '#', sizeof(added));
        memset(value, '#', sizeof(value));
        memset(hv, 0, sizeof(hv));
    }
    EXPECT_STR(m.method_text, STR("GET"));
    EXPECT_STR(m.authority, STR("h"));
    EXPECT_STR(m.target, STR("/p?q"));
    EXPECT_STR(m.path, STR("/p"));
    EXPECT_STR(m.query, STR("q"));
    EXPECT(!ok || m.path.p == m.target.p);
    EXPECT_INT(m.headers.n, 3);
    EXPECT_STR(header_value(headers_find(&m.headers, STR("x-a"))), STR("one"));
    EXPECT_STR(header_value(headers_find(&m.headers, STR("x-new"))), STR("new"));
    const struct header *one = headers_find(&m.headers, STR("x-a"));
    bool line = (one->flags & HDR_F_LINE) != 0;
    EXPECT(line == (raw || !ok)); /* what moves piece by piece is a line no more */
    if (line)
        EXPECT_STR(((struct str){ one->name, 10 }), STR("X-A: one\r\n"));
    EXPECT(m.reason.p == NULL);
    if (ok) {
        EXPECT(headers_add(&m.headers, STR("a"), STR("b")));
        EXPECT(headers_add(&m.headers, STR("a"), STR("b")));
        EXPECT(!headers_add(&m.headers, STR("a"), STR("b")));
    }
    arena_fini(&a);
}

static void owning(void)
{
    CASE("an owned message no longer needs what it was parsed from");
    own(0, true, true);
    CASE("the same when its slices come from many places");
    own(0, false, true);
    CASE("over the arena's limit the message stays as it was");
    own(64, true, false);
    own(140, true, false);
    own(140, false, false);
    CASE("an empty message can be owned");
    struct http_message m = { 0 };
    struct arena a;
    arena_init(&a, 0, 0);
    EXPECT(message_own(&m, &a, 0));
    EXPECT_INT(m.headers.cap, 0);
    arena_fini(&a);
}

void unit_message(void);
void unit_message(void)
{
    methods();
    authorities();
    targets();
    owning();
}

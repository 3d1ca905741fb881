/* HTTP/1 heads: what is understood, and one row for every way of saying it that is refused. */
#include "codec/h1.h"
#include "../harness/harness.h"
#include "base/mem.h"
#include <stdio.h>

static const struct h1_limits limits = { 16384, 100 };
static struct header hv[H1_MAX_HEADERS];

struct parsed {
    struct http_message m;
    size_t used;
    const char *why;
    enum h1_result r;
};

static struct parsed request(struct str s)
{
    struct parsed p;
    p.r = h1_parse_request(s.p, s.n, &limits, hv, H1_MAX_HEADERS, &p.m, &p.used, &p.why);
    return p;
}

static struct parsed response(struct str s, uint8_t method)
{
    struct parsed p;
    p.r = h1_parse_response(s.p, s.n, &limits, method, hv, H1_MAX_HEADERS, &p.m, &p.used, &p.why);
    return p;
}

/* Every strict prefix is H1_MORE or has the verdict of the whole: what arrives in pieces is judged
 * the same. */
static bool prefixes_agree(struct str s, enum h1_result whole, int method)
{
    for (size_t n = 0; n < s.n; n++) {
        struct str part = { s.p, n };
        enum h1_result r = method < 0 ? request(part).r : response(part, (uint8_t)method).r;
        if (r != H1_MORE && r != whole)
            return false;
        if (r == H1_OK)
            return true; /* a pipelined rest follows */
    }
    return true;
}

struct row {
    const char *name;
    struct str bytes;
    enum h1_result want;
};
#define ROW(name, bytes, want)      \
    {                               \
        name, STR_INIT(bytes), want \
    }
#define G "GET / HTTP/1.1\r\n"
#define P "POST / HTTP/1.1\r\nHost: h\r\n"
#define H "Host: h\r\n"
#define E "\r\n"

static void judge(const struct row *rows, size_t n, int method)
{
    for (size_t i = 0; i < n; i++) {
        CASE(rows[i].name);
        struct parsed p =
            method < 0 ? request(rows[i].bytes) : response(rows[i].bytes, (uint8_t)method);
        test_result(p.r == rows[i].want, __FILE__, __LINE__, "%s: got %d (%s), want %d",
                    rows[i].name, p.r, p.why, rows[i].want);
        EXPECT((p.r == H1_OK || p.r == H1_MORE) == (p.why[0] == '\0'));
        EXPECT(prefixes_agree(rows[i].bytes, rows[i].want, method));
    }
}

static void request_lines(void)
{
    static const struct row rows[] = {
        ROW("plain", G H E, H1_OK),
        ROW("one empty line before", E G H E, H1_OK),
        ROW("two empty lines before", E E G H E, H1_BAD),
        ROW("bare LF before", "\n" G H E, H1_BAD),
        ROW("bare CR before", "\rGET / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("space before the method", " " G H E, H1_BAD),
        ROW("unknown method", "BREW / HTTP/1.1\r\n" H E, H1_OK),
        ROW("lower-case method is another method", "get / HTTP/1.1\r\n" H E, H1_OK),
        ROW("method with a separator", "GE/T / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("method with a NUL", "GE\0T / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("method with obs-text", "G\xc3\x89T / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("two spaces", "GET  / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("two spaces before the version", "GET /  HTTP/1.1\r\n" H E, H1_BAD),
        ROW("tab for a space", "GET\t/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("tab before the version", "GET /\tHTTP/1.1\r\n" H E, H1_BAD),
        ROW("space after the version", "GET / HTTP/1.1 \r\n" H E, H1_BAD),
        ROW("space in the target", "GET /a b HTTP/1.1\r\n" H E, H1_BAD),
        ROW("fragment", "GET /#x HTTP/1.1\r\n" H E, H1_BAD),
        ROW("non-ASCII target", "GET /\xc3\xa4 HTTP/1.1\r\n" H E, H1_BAD),
        ROW("non-ASCII far into the target",
            "GET /0123456789012345678901234567890\xff HTTP/1.1\r\n" H E, H1_BAD),
        ROW("NUL in the target", "GET /\0 HTTP/1.1\r\n" H E, H1_BAD),
        ROW("DEL in the target", "GET /\x7f HTTP/1.1\r\n" H E, H1_BAD),
        ROW("CR in the target", "GET /\rx HTTP/1.1\r\n" H E, H1_BAD),
        ROW("bare LF after the line", "GET / HTTP/1.1\n" H E, H1_BAD),
        ROW("bare CR after the line", "GET / HTTP/1.1\r" H E, H1_BAD),
        ROW("no target", "GET HTTP/1.1\r\n" H E, H1_BAD),
        ROW("HTTP/0.9", "GET /\r\n", H1_BAD),
        ROW("target without a slash", "GET x HTTP/1.1\r\n" H E, H1_BAD),
        ROW("target is a query", "GET ?x HTTP/1.1\r\n" H E, H1_BAD),
        ROW("asterisk for GET", "GET * HTTP/1.1\r\n" H E, H1_BAD),
        ROW("asterisk for OPTIONS", "OPTIONS * HTTP/1.1\r\n" H E, H1_OK),
        ROW("asterisk and more", "OPTIONS */ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("HTTP/1.2", "GET / HTTP/1.2\r\n" H E, H1_VERSION),
        ROW("HTTP/2.0", "GET / HTTP/2.0\r\n" H E, H1_VERSION),
        ROW("HTTP/0.9 said aloud", "GET / HTTP/0.9\r\n" H E, H1_VERSION),
        ROW("HTTP/11.1", "GET / HTTP/11.1\r\n" H E, H1_BAD),
        ROW("HTTP/1.10", "GET / HTTP/1.10\r\n" H E, H1_BAD),
        ROW("HTTP/1", "GET / HTTP/1\r\n" H E, H1_BAD),
        ROW("http/1.1", "GET / http/1.1\r\n" H E, H1_BAD),
        ROW("HTTP/1,1", "GET / HTTP/1,1\r\n" H E, H1_BAD),
        ROW("a TLS hello", "\x16\x03\x01\x02\x01", H1_BAD),
        ROW("nothing yet", "", H1_MORE),
        ROW("half a head", G H, H1_MORE),
        ROW("a CR too few", G H "\r", H1_MORE),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

static void hosts(void)
{
    static const struct row rows[] = {
        ROW("T11 no Host in 1.1", G E, H1_BAD),
        ROW("T11 no Host in 1.0", "GET / HTTP/1.0\r\n\r\n", H1_OK),
        ROW("T11 two Hosts", G H "Host: i\r\n" E, H1_BAD),
        ROW("T11 the same Host twice", G H H E, H1_BAD),
        ROW("T11 two Hosts in 1.0", "GET / HTTP/1.0\r\n" H H E, H1_BAD),
        ROW("T11 empty Host", G "Host:\r\n" E, H1_BAD),
        ROW("T11 Host with userinfo", G "Host: a@h\r\n" E, H1_BAD),
        ROW("T11 Host with a path", G "Host: h/x\r\n" E, H1_BAD),
        ROW("T11 list of Hosts", G "Host: h, i\r\n" E, H1_BAD),
        ROW("T11 Host with an empty port", G "Host: h:\r\n" E, H1_BAD),
        ROW("T11 Host port out of range", G "Host: h:99999\r\n" E, H1_BAD),
        ROW("T11 Host is a NUL", G "Host: \0\r\n" E, H1_BAD),
        ROW("T11 Host that fits the absolute-form", "GET http://h/ HTTP/1.1\r\n" H E, H1_OK),
        ROW("T11 ... in other letters", "GET http://H/ HTTP/1.1\r\n" H E, H1_OK),
        ROW("T11 ... with the default port", "GET http://h:80/ HTTP/1.1\r\n" H E, H1_OK),
        ROW("T11 ... with https's port", "GET https://h/ HTTP/1.1\r\nHost: h:443\r\n" E, H1_OK),
        ROW("T11 Host differs from absolute-form", "GET http://i/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 Host's port differs", "GET http://h:81/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 Host's port is another scheme's", "GET https://h/ HTTP/1.1\r\nHost: h:80\r\n" E,
            H1_BAD),
        ROW("T11 absolute-form without Host", "GET http://h/ HTTP/1.1\r\n" E, H1_BAD),
        ROW("T11 absolute-form without Host in 1.0", "GET http://h/ HTTP/1.0\r\n" E, H1_OK),
        ROW("T11 absolute-form, bad authority in 1.0", "GET http://h:x/ HTTP/1.0\r\n" E, H1_BAD),
        ROW("T11 absolute-form with userinfo", "GET http://h@h/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 absolute-form without authority", "GET http:///x HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 ... in 1.0", "GET http:///x HTTP/1.0\r\n" E, H1_BAD),
        ROW("T11 absolute-form without a path", "GET http://h HTTP/1.1\r\n" H E, H1_OK),
        ROW("T11 absolute-form, query without a path", "GET http://h?x HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 absolute-form of another scheme", "GET ftp://h/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T11 scheme-relative target is a path", "GET //h/ HTTP/1.1\r\n" H E, H1_OK),
        ROW("T8 CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n" E, H1_OK),
        ROW("T8 CONNECT, Host without the port", "CONNECT h:443 HTTP/1.1\r\n" H E, H1_OK),
        ROW("T8 CONNECT, another Host", "CONNECT h:443 HTTP/1.1\r\nHost: i\r\n" E, H1_BAD),
        ROW("T8 CONNECT, another port", "CONNECT h:443 HTTP/1.1\r\nHost: h:444\r\n" E, H1_BAD),
        ROW("T8 CONNECT without a port", "CONNECT h HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T8 CONNECT to a path", "CONNECT / HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T8 CONNECT to a URI", "CONNECT http://h:80/ HTTP/1.1\r\n" H E, H1_BAD),
        ROW("T8 CONNECT with a length", "CONNECT h:443 HTTP/1.1\r\n" H "Content-Length: 5\r\n" E,
            H1_BAD),
        ROW("T8 CONNECT chunked", "CONNECT h:443 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" E,
            H1_BAD),
        ROW("authority-form for GET", "GET h:443 HTTP/1.1\r\n" H E, H1_BAD),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

static void fields(void)
{
    static const struct row rows[] = {
        ROW("T6 obs-fold", G H "X: a\r\n b\r\n" E, H1_BAD),
        ROW("T6 obs-fold with a tab", G H "X: a\r\n\tb\r\n" E, H1_BAD),
        ROW("T6 folded before the first field", "GET / HTTP/1.1\r\n Host: h\r\n" E, H1_BAD),
        ROW("T6 TE.CL obs-fold", P "Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n" E,
            H1_BAD),
        ROW("T6 space before the colon", G H "X : a\r\n" E, H1_BAD),
        ROW("T6 tab before the colon", G H "X\t: a\r\n" E, H1_BAD),
        ROW("T6 Content-Length with a space before the colon", P "Content-Length : 4\r\n" E,
            H1_BAD),
        ROW("T6 empty name", G H ": a\r\n" E, H1_BAD),
        ROW("T6 no colon", G H "X\r\n" E, H1_BAD),
        ROW("T6 NUL in a name", G H "X\0: a\r\n" E, H1_BAD),
        ROW("T6 NUL in a value", G H "X: a\0b\r\n" E, H1_BAD),
        ROW("T6 control byte in a value", G H "X: a\x01\r\n" E, H1_BAD),
        ROW("T6 DEL in a value", G H "X: a\x7f\r\n" E, H1_BAD),
        ROW("T6 DEL far into a value", G H "X: 0123456789012345678901234567\x7f\r\n" E, H1_BAD),
        ROW("T6 bare CR in a value", G H "X: a\rb\r\n" E, H1_BAD),
        ROW("T6 bare LF in a value", G H "X: a\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T6 CR CR LF", G H "X: a\r\r\n" E, H1_BAD),
        ROW("T6 LF CR", G H "X: a\n\r" E, H1_BAD),
        ROW("T6 bare LF ends the head", G H "\n", H1_BAD),
        ROW("T6 bare CR ends the head", G H "\rX", H1_BAD),
        ROW("T6 quoted name", G H "\"X\": a\r\n" E, H1_BAD),
        ROW("T6 non-ASCII name", G H "X\xe4: a\r\n" E, H1_BAD),
        ROW("obs-text in a value", G H "X: \xe4\r\n" E, H1_OK),
        ROW("tab in a value", G H "X: a\tb\r\n" E, H1_OK),
        ROW("no value", G H "X:\r\n" E, H1_OK),
        ROW("only blanks", G H "X: \t \r\n" E, H1_OK),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

static void lengths(void)
{
    static const struct row rows[] = {
        ROW("length", P "Content-Length: 4\r\n" E, H1_OK),
        ROW("no length", P E, H1_OK),
        ROW("zero", P "Content-Length: 0\r\n" E, H1_OK),
        ROW("T2 the largest", P "Content-Length: 9223372036854775807\r\n" E, H1_OK),
        ROW("T2 one more", P "Content-Length: 9223372036854775808\r\n" E, H1_BAD),
        ROW("T2 overflow of 64 bits", P "Content-Length: 18446744073709551620\r\n" E, H1_BAD),
        ROW("T2 two lengths", P "Content-Length: 4\r\nContent-Length: 5\r\n" E, H1_BAD),
        ROW("T2 the same length twice", P "Content-Length: 4\r\nContent-Length: 4\r\n" E, H1_BAD),
        ROW("T2 the same length twice, names in other letters",
            P "content-length: 4\r\nCONTENT-LENGTH: 4\r\n" E, H1_BAD),
        ROW("T2 list of lengths", P "Content-Length: 4, 4\r\n" E, H1_BAD),
        ROW("T2 empty", P "Content-Length:\r\n" E, H1_BAD),
        ROW("T2 blank", P "Content-Length: \r\n" E, H1_BAD),
        ROW("T2 plus", P "Content-Length: +4\r\n" E, H1_BAD),
        ROW("T2 minus", P "Content-Length: -4\r\n" E, H1_BAD),
        ROW("T2 minus zero", P "Content-Length: -0\r\n" E, H1_BAD),
        ROW("T2 hexadecimal", P "Content-Length: 0x4\r\n" E, H1_BAD),
        ROW("T2 decimal point", P "Content-Length: 4.0\r\n" E, H1_BAD),
        ROW("T2 exponent", P "Content-Length: 4e0\r\n" E, H1_BAD),
        ROW("T2 space inside", P "Content-Length: 4 4\r\n" E, H1_BAD),
        ROW("T2 quoted", P "Content-Length: \"4\"\r\n" E, H1_BAD),
        ROW("T2 trailing comma", P "Content-Length: 4,\r\n" E, H1_BAD),
        ROW("T2 form feed", P "Content-Length: 4\f\r\n" E, H1_BAD),
        ROW("T2 TRACE with content", "TRACE / HTTP/1.1\r\n" H "Content-Length: 4\r\n" E, H1_BAD),
        ROW("GET may have content", G H "Content-Length: 4\r\n" E, H1_OK),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

static void codings(void)
{
    static const struct row rows[] = {
        ROW("chunked", P "Transfer-Encoding: chunked\r\n" E, H1_OK),
        ROW("CHUNKED", P "TRANSFER-ENCODING: CHUNKED \r\n" E, H1_OK),
        ROW("T1 CL.TE", P "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T1 TE.CL", P "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n" E, H1_BAD),
        ROW("T1 CL.0 with TE", P "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" E, H1_BAD),
        ROW("T1 CL with unknown TE", P "Transfer-Encoding: x\r\nContent-Length: 4\r\n" E, H1_BAD),
        ROW("T3 TE.TE", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" E, H1_BAD),
        ROW("T3 chunked in two fields",
            P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T3 gzip in one, chunked in another",
            P "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T3 chunked, chunked", P "Transfer-Encoding: chunked, chunked\r\n" E, H1_BAD),
        ROW("T3 chunked, gzip", P "Transfer-Encoding: chunked, gzip\r\n" E, H1_BAD),
        ROW("T3 gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n" E, H1_UNSUPPORTED),
        ROW("T3 identity", P "Transfer-Encoding: identity\r\n" E, H1_UNSUPPORTED),
        ROW("T3 unknown", P "Transfer-Encoding: xchunked\r\n" E, H1_UNSUPPORTED),
        ROW("T3 gzip with parameters", P "Transfer-Encoding: gzip;q=1, chunked\r\n" E,
            H1_UNSUPPORTED),
        ROW("T3 chunked with parameters", P "Transfer-Encoding: chunked;q=1\r\n" E, H1_BAD),
        ROW("T3 empty", P "Transfer-Encoding:\r\n" E, H1_BAD),
        ROW("T3 comma before", P "Transfer-Encoding: ,chunked\r\n" E, H1_BAD),
        ROW("T3 comma after", P "Transfer-Encoding: chunked,\r\n" E, H1_BAD),
        ROW("T3 quoted", P "Transfer-Encoding: \"chunked\"\r\n" E, H1_BAD),
        ROW("T3 space inside", P "Transfer-Encoding: chunk ed\r\n" E, H1_BAD),
        ROW("T3 vertical tab", P "Transfer-Encoding: \vchunked\r\n" E, H1_BAD),
        ROW("T3 NUL after", P "Transfer-Encoding: chunked\0\r\n" E, H1_BAD),
        ROW("T3 obs-text", P "Transfer-Encoding: chunked\xa0\r\n" E, H1_BAD),
        ROW("T3 tab is a blank", P "Transfer-Encoding:\tchunked\t\r\n" E, H1_OK),
        ROW("T3 underscore is another field", P "Transfer_Encoding: chunked\r\n" E, H1_OK),
        ROW("T3 chunked in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n" E,
            H1_BAD),
        ROW("T3 unknown in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: x\r\n" E, H1_BAD),
        ROW("T3 TRACE chunked", "TRACE / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" E,
            H1_BAD),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

static void connections(void)
{
    static const struct row rows[] = {
        ROW("T12 nominated Host", G H "Connection: host\r\n" E, H1_BAD),
        ROW("T12 nominated Content-Length",
            P "Content-Length: 3\r\nConnection: Content-Length\r\n" E, H1_BAD),
        ROW("T12 nominated Transfer-Encoding", P "Connection: transfer-encoding\r\n" E, H1_BAD),
        ROW("T12 nominated Authorization", G H "Connection: close, Authorization\r\n" E, H1_BAD),
        ROW("T12 nominated Cookie", G H "Connection: cookie\r\n" E, H1_BAD),
        ROW("T12 nominated X-Forwarded-For", G H "Connection: X-Forwarded-For\r\n" E, H1_BAD),
        ROW("T12 nominated X-Forwarded-Anything", G H "Connection: x-forwarded-user\r\n" E, H1_BAD),
        ROW("T12 nominated X-Real-IP", G H "Connection: x-real-ip\r\n" E, H1_BAD),
        ROW("T12 nominated X-Consumer-Id", G H "Connection: X-Consumer-Id\r\n" E, H1_BAD),
        ROW("T12 nominated Forwarded", G H "Connection: forwarded\r\n" E, H1_BAD),
        ROW("T12 nominated Content-Type", G H "Connection: content-type\r\n" E, H1_BAD),
        ROW("T12 nominated Range", G H "Connection: range\r\n" E, H1_BAD),
        ROW("T12 nominated in the second field", G H "Connection: x\r\nConnection: cookie\r\n" E,
            H1_BAD),
        ROW("nominated own field", G H "Connection: X-Mine\r\nX-Mine: 1\r\n" E, H1_OK),
        ROW("malformed option", G H "Connection: a b\r\n" E, H1_BAD),
        ROW("empty elements", G H "Connection: ,close,\r\n" E, H1_OK),
        ROW("too many options",
            G H "Connection: "
                "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,aa,bb,cc,dd,ee,ff,gg\r\n" E,
            H1_BAD),
        ROW("T8 two Upgrades", G H "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n" E, H1_BAD),
        ROW("T8 empty Upgrade", G H "Connection: upgrade\r\nUpgrade:\r\n" E, H1_BAD),
        ROW("T8 malformed Upgrade", G H "Connection: upgrade\r\nUpgrade: a b\r\n" E, H1_BAD),
        ROW("T1 unknown Expect", P "Content-Length: 3\r\nExpect: y 100-continue\r\n" E, H1_BAD),
        ROW("T1 two Expects",
            P "Content-Length: 3\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n" E, H1_BAD),
        ROW("two Authorizations", G H "Authorization: a\r\nAuthorization: b\r\n" E, H1_BAD),
    };
    judge(rows, ARRAY_LEN(rows), -1);
}

/* Heads in memory of exactly their size, so that a scanner that looks beyond is caught; the last
   field is where the vectors do not fit any more. */
static void short_rests(void)
{
    CASE("fields of every length at the end of a head");
    for (size_t name_n = 1; name_n < 20; name_n++) {
        for (size_t value_n = 0; value_n < 36; value_n++) {
            char text[128], *exact;
            int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%.*s: %.*s\r\n\r\n",
                             (int)name_n, "x-y9abcdefghijklmnopq", (int)value_n,
                             "0123456789 abcdefghi\xc3\xa4lmnopqrstuvwxyz");
            EXPECT((exact = mem_alloc((size_t)n)) != NULL);
            memcpy(exact, text, (size_t)n);
            struct parsed p = request((struct str){ exact, (size_t)n });
            EXPECT_INT(p.r, H1_OK);
            EXPECT_INT(p.m.headers.v[1].name_n, name_n);
            EXPECT_INT(p.m.headers.v[1].value_n, value_n - (value_n == 11));
            EXPECT(prefixes_agree((struct str){ exact, (size_t)n }, H1_OK, -1));
            for (size_t at = 0; at < value_n; at += 5) {
                exact[26 + name_n + 1 + at] = 1;
                EXPECT_INT(request((struct str){ exact, (size_t)n }).r, H1_BAD);
                exact[26 + name_n + 1 + at] = 'v';
            }
            exact[25] = ' ';
            EXPECT_INT(request((struct str){ exact, (size_t)n }).r, H1_BAD);
            mem_free(exact);
        }
    }
}

static void request_values(void)
{
    CASE("all of a request is found");
    struct parsed p =
        request(STR("POST /a/b?c=d HTTP/1.1\r\nHost:  Shop.Example:8000 \r\nContent-Length: "
                    "12\r\nX-A:\t1 2\t\r\n"
                    "TE: gzip, trailers\r\nConnection: TE, X-Hop\r\nx-hop: 1\r\nExpect: "
                    "100-Continue\r\n\r\nrest"));
    EXPECT_INT(p.r, H1_OK);
    EXPECT_STR(p.m.method_text, STR("POST"));
    EXPECT_INT(p.m.method, METHOD_POST);
    EXPECT_INT(p.m.version, HTTP_11);
    EXPECT_STR(p.m.target, STR("/a/b?c=d"));
    EXPECT_STR(p.m.path, STR("/a/b"));
    EXPECT_STR(p.m.query, STR("c=d"));
    EXPECT_STR(p.m.authority, STR("Shop.Example:8000"));
    EXPECT_INT(p.m.body, BODY_LENGTH);
    EXPECT_INT(p.m.length, 12);
    EXPECT(p.m.keep_alive && p.m.expect_continue && p.m.te_trailers && p.m.has_query && !p.m.tls);
    EXPECT_INT(p.m.upgrade.n, 0);
    EXPECT_INT(p.m.headers.n, 7);
    EXPECT_STR(header_value(&p.m.headers.v[2]), STR("1 2"));
    EXPECT_INT(p.m.raw.n, p.used);
    static const uint8_t hop[] = { 0, HDR_F_HOP, 0, HDR_F_HOP, HDR_F_HOP, HDR_F_HOP, 0 };
    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        EXPECT_INT(p.m.headers.v[i].flags & HDR_F_HOP, hop[i]);
    CASE("a field that stands as it would be written is known as a line");
    static const bool line[] = { false, true, false, true, true, true, true };
    for (size_t i = 0; i < ARRAY_LEN(line); i++)
        EXPECT_INT((p.m.headers.v[i].flags & HDR_F_LINE) != 0, line[i]);
    p = request(
        STR("GET / HTTP/1.1\r\nHost: h\r\nA:b\r\nA:\tb\r\nA: b \r\nA: \r\nA:\r\nA: \tb\r\n\r\n"));
    EXPECT_INT(p.m.headers.n, 7);
    EXPECT(p.m.headers.v[0].flags & HDR_F_LINE);
    for (size_t i = 1; i < p.m.headers.n; i++)
        EXPECT_INT(p.m.headers.v[i].flags, 0);
    CASE("the rest of a pipeline is left alone");
    EXPECT_INT(request(STR(G H E G H E)).used, strlen(G H E));
    EXPECT_INT(request(STR(E G H E)).used, strlen(E G H E));
    CASE("chunked bodies, expectations without content");
    p = request(STR(P "Transfer-Encoding: chunked\r\n" E));
    EXPECT_INT(p.m.body, BODY_CHUNKED);
    EXPECT(p.m.headers.v[1].flags & HDR_F_HOP);
    p = request(STR(G H "Expect: 100-continue\r\n" E));
    EXPECT(p.r == H1_OK && !p.m.expect_continue);
    EXPECT(p.m.headers.v[1].flags & HDR_F_HOP);
    CASE("target forms");
    p = request(STR("GET http://H:80/x?y HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_STR(p.m.authority, STR("H:80"));
    EXPECT_STR(p.m.target, STR("/x?y"));
    EXPECT_STR(p.m.path, STR("/x"));
    p = request(STR("GET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_STR(p.m.target, STR("/"));
    EXPECT(p.m.tls);
    p = request(STR("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_STR(p.m.target, STR("*"));
    p = request(STR("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_STR(p.m.authority, STR("h:443"));
    EXPECT_STR(p.m.target, STR("h:443"));
    EXPECT_STR(p.m.path, STR(""));
    EXPECT_INT(p.m.body, BODY_STREAM);
}

static void persistence(void)
{
    static const struct {
        const char *version, *field;
        bool keep;
    } rows[] = {
        { "1.1", "X: 1", true },
        { "1.1", "Connection: close", false },
        { "1.1", "Connection: keep-alive, Close", false },
        { "1.0", "X: 1", false },
        { "1.0", "Connection: Keep-Alive", true },
        { "1.0", "Connection: close, keep-alive", false },
        { "1.1", "Proxy-Connection: close", true },
    };
    CASE("which connections go on");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256] = "GET / HTTP/";
        size_t n = strlen(text), k = strlen(rows[i].field);
        memcpy(text + n, rows[i].version, 3);
        memcpy(text + n + 3, "\r\nHost: h\r\n", 11);
        memcpy(text + n + 14, rows[i].field, k);
        memcpy(text + n + 14 + k, "\r\n\r\n", 4);
        struct parsed p = request((struct str){ text, n + 18 + k });
        EXPECT_INT(p.r, H1_OK);
        EXPECT(p.m.keep_alive == rows[i].keep);
    }
}

static void upgrades(void)
{
    CASE("an upgrade needs the Connection option, HTTP/1.1, and is not h2c");
    struct parsed p = request(STR(G H "Connection: Upgrade\r\nUpgrade: websocket\r\n" E));
    EXPECT_STR(p.m.upgrade, STR("websocket"));
    EXPECT(p.m.headers.v[2].flags & HDR_F_HOP);
    EXPECT_INT(request(STR(G H "Upgrade: websocket\r\n" E)).m.upgrade.n, 0);
    EXPECT_INT(request(STR(G H "Connection: upgrade\r\n" E)).m.upgrade.n, 0);
    EXPECT_INT(
        request(STR("GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: x\r\n" E)).m.upgrade.n,
        0);
    p = request(STR(
        G H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n" E));
    EXPECT_INT(p.r, H1_OK);
    EXPECT_INT(p.m.upgrade.n, 0);
    EXPECT(p.m.headers.v[3].flags & HDR_F_HOP);
}

static void too_large(void)
{
    char big[600];
    struct http_message m;
    size_t used;
    const char *why;
    struct h1_limits lim = { 200, 3 };
    memset(big, 'a', sizeof(big));
    memcpy(big, "GET /", 5);
    CASE("limits of the head");
    EXPECT_INT(h1_parse_request(big, 199, &lim, hv, 8, &m, &used, &why), H1_MORE);
    EXPECT_INT(h1_parse_request(big, 200, &lim, hv, 8, &m, &used, &why), H1_URI_TOO_LONG);
    memcpy(big, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
    EXPECT_INT(h1_parse_request(big, 199, &lim, hv, 8, &m, &used, &why), H1_MORE);
    EXPECT_INT(h1_parse_request(big, sizeof(big), &lim, hv, 8, &m, &used, &why), H1_TOO_LARGE);
    memcpy(big + 196, "\r\n\r\n", 4);
    EXPECT_INT(h1_parse_request(big, sizeof(big), &lim, hv, 8, &m, &used, &why), H1_OK);
    EXPECT_INT(used, 200);
    lim.head_bytes = 199;
    EXPECT_INT(h1_parse_request(big, sizeof(big), &lim, hv, 8, &m, &used, &why), H1_TOO_LARGE);
    CASE("limits of the number of fields: the configured one and the array's");
    struct str four = STR(G H "A: 1\r\nB: 1\r\nC: 1\r\n" E), three = STR(G H "A: 1\r\nB: 1\r\n" E);
    lim.head_bytes = 16384;
    EXPECT_INT(h1_parse_request(four.p, four.n, &lim, hv, 8, &m, &used, &why), H1_TOO_LARGE);
    EXPECT_INT(h1_parse_request(three.p, three.n, &lim, hv, 8, &m, &used, &why), H1_OK);
    EXPECT_INT(h1_parse_request(three.p, three.n, &lim, hv, 2, &m, &used, &why), H1_TOO_LARGE);
    struct str answer = STR("HTTP/1.1 200 OK\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n");
    EXPECT_INT(h1_parse_response(answer.p, answer.n, &lim, METHOD_GET, hv, 8, &m, &used, &why),
               H1_TOO_LARGE);
    lim.head_bytes = 20;
    EXPECT_INT(h1_parse_response(answer.p, answer.n, &lim, METHOD_GET, hv, 8, &m, &used, &why),
               H1_TOO_LARGE);
}

#define OK200 "HTTP/1.1 200 OK\r\n"
static void responses(void)
{
    static const struct row rows[] = {
        ROW("plain", OK200 E, H1_OK),
        ROW("no reason", "HTTP/1.1 200 \r\n" E, H1_OK),
        ROW("no reason, no space", "HTTP/1.1 200\r\n" E, H1_OK),
        ROW("obs-text in the reason", "HTTP/1.1 200 \xe4\r\n" E, H1_OK),
        ROW("HTTP/1.0", "HTTP/1.0 200 OK\r\n" E, H1_OK),
        ROW("HTTP/1.2", "HTTP/1.2 200 OK\r\n" E, H1_BAD),
        ROW("HTTP/2.0", "HTTP/2.0 200 OK\r\n" E, H1_BAD),
        ROW("ICY", "ICY 200 OK\r\n" E, H1_BAD),
        ROW("empty line before", E OK200 E, H1_BAD),
        ROW("two digits", "HTTP/1.1 20 OK\r\n" E, H1_BAD),
        ROW("four digits", "HTTP/1.1 2000 OK\r\n" E, H1_BAD),
        ROW("signed", "HTTP/1.1 +20 OK\r\n" E, H1_BAD),
        ROW("099", "HTTP/1.1 099 OK\r\n" E, H1_BAD),
        ROW("600", "HTTP/1.1 600 OK\r\n" E, H1_BAD),
        ROW("599", "HTTP/1.1 599 OK\r\n" E, H1_OK),
        ROW("two spaces before the code", "HTTP/1.1  200 OK\r\n" E, H1_BAD),
        ROW("tab", "HTTP/1.1\t200 OK\r\n" E, H1_BAD),
        ROW("T9 CR in the reason", "HTTP/1.1 200 O\rK\r\n" E, H1_BAD),
        ROW("T9 bare LF after the line", "HTTP/1.1 200 OK\n" E, H1_BAD),
        ROW("T9 NUL in the reason", "HTTP/1.1 200 O\0K\r\n" E, H1_BAD),
        ROW("T6 obs-fold", OK200 "A: b\r\n c\r\n" E, H1_BAD),
        ROW("T6 space before the colon", OK200 "A : b\r\n" E, H1_BAD),
        ROW("T6 bare LF", OK200 "A: b\nC: d\r\n" E, H1_BAD),
        ROW("T1 both framings", OK200 "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" E,
            H1_BAD),
        ROW("T2 two lengths", OK200 "Content-Length: 3\r\nContent-Length: 3\r\n" E, H1_BAD),
        ROW("T2 empty length", OK200 "Content-Length:\r\n" E, H1_BAD),
        ROW("T2 list", OK200 "Content-Length: 3, 3\r\n" E, H1_BAD),
        ROW("T3 unknown coding", OK200 "Transfer-Encoding: gzip\r\n" E, H1_BAD),
        ROW("T3 chunked twice", OK200 "Transfer-Encoding: chunked, chunked\r\n" E, H1_BAD),
        ROW("T3 chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T3 coding in 100", "HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T3 coding in 204", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n" E, H1_BAD),
        ROW("T3 length in 204", "HTTP/1.1 204 x\r\nContent-Length: 5\r\n" E, H1_BAD),
        ROW("zero length in 204", "HTTP/1.1 204 x\r\nContent-Length: 0\r\n" E, H1_OK),
        ROW("T8 101 without Upgrade", "HTTP/1.1 101 x\r\n" E, H1_BAD),
        ROW("T8 101 with a coding",
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: "
            "chunked\r\n" E,
            H1_BAD),
        ROW("T12 nominated Set-Cookie", OK200 "Connection: set-cookie\r\n" E, H1_BAD),
        ROW("half", OK200, H1_MORE),
    };
    judge(rows, ARRAY_LEN(rows), METHOD_GET);
}

static void response_bodies(void)
{
    static const struct {
        const char *text;
        uint8_t method, body;
        unsigned length;
        bool keep;
    } rows[] = {
        { OK200 "Content-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, true },
        { OK200 "Content-Length: 0\r\n\r\n", METHOD_GET, BODY_LENGTH, 0, true },
        { OK200 "Transfer-Encoding: chunked\r\n\r\n", METHOD_GET, BODY_CHUNKED, 0, true },
        { OK200 "\r\n", METHOD_GET, BODY_STREAM, 0, false },
        { OK200 "Content-Length: 5\r\nConnection: close\r\n\r\n", METHOD_GET, BODY_LENGTH, 5,
          false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, 5, false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", METHOD_GET,
          BODY_LENGTH, 5, true },
        { OK200 "Content-Length: 5\r\n\r\n", METHOD_HEAD, BODY_NONE, 0, true },
        { OK200 "Transfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, BODY_NONE, 0, true },
        { OK200 "\r\n", METHOD_HEAD, BODY_NONE, 0, true },
        { "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_NONE, 0, true },
        { "HTTP/1.1 204 x\r\n\r\n", METHOD_GET, BODY_NONE, 0, true },
        { "HTTP/1.1 100 x\r\n\r\n", METHOD_POST, BODY_NONE, 0, true },
        { "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", METHOD_GET,
          BODY_STREAM, 0, false },
        { OK200 "\r\n", METHOD_CONNECT, BODY_STREAM, 0, false },
        { "HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\n", METHOD_CONNECT, BODY_LENGTH, 2, true },
    };
    CASE("how an answer ends");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed p = response(str_from(rows[i].text), rows[i].method);
        EXPECT_INT(p.r, H1_OK);
        EXPECT_INT(p.m.body, rows[i].body);
        EXPECT_INT(p.m.length, rows[i].length);
        EXPECT(p.m.keep_alive == rows[i].keep);
    }
    CASE("the length of an answer without content is kept as information");
    struct parsed p =
        response(STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), METHOD_GET);
    EXPECT_INT(p.m.status, 304);
    EXPECT_STR(p.m.reason, STR("Not Modified"));
    EXPECT(headers_find_id(&p.m.headers, HDR_CONTENT_LENGTH) != NULL);
    p = response(STR(OK200 "Content-Length: 5\r\n\r\n"), METHOD_GET);
    EXPECT(headers_find_id(&p.m.headers, HDR_CONTENT_LENGTH) == NULL);
    p = response(STR("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n"), METHOD_GET);
    EXPECT(headers_find_id(&p.m.headers, HDR_CONTENT_LENGTH) == NULL);
}

void unit_h1(void);
void unit_h1(void)
{
    request_lines();
    hosts();
    fields();
    lengths();
    codings();
    connections();
    request_values();
    short_rests();
    persistence();
    upgrades();
    too_large();
    responses();
    response_bodies();
}

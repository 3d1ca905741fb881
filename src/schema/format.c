/* The forms that strings can be required to have. Pure. */
#include "codec/cidr.h"
#include "codec/path.h"
#include "codec/regex.h"
#include "codec/scan.h"
#include "schema/schema.h"
#include <arpa/inet.h>

static bool labels(struct str s, bool underscore)
{
    size_t from = 0;
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != '.') {
            char c = s.p[i];
            bool inner = i > from && (i + 1 < s.n && s.p[i + 1] != '.');
            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(c == '-' && inner) &&
                !(c == '_' && underscore))
                return false;
            continue;
        }
        if (i == from || i - from > 63)
            return false;
        from = i + 1;
    }
    return true;
}

static bool is_ip(struct str s, int family)
{
    char text[64];
    unsigned char bytes[16];
    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, bytes) == 1;
}

static bool is_host(struct str s)
{
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return is_ip(str_sub(s, 1, s.n - 1), AF_INET6);
    if (str_starts(s, STR("*.")))
        s = str_sub(s, 2, s.n);
    return labels(s, true);
}

/* host:port with the port split off; the brackets stay on the host. */
static bool split_port(struct str s, struct str *ret_host, uint64_t *ret_port)
{
    size_t colon = s.n;
    for (size_t i = s.n; i > 0 && colon == s.n; i--)
        if (s.p[i - 1] == ':')
            colon = i - 1;
    struct str port = colon < s.n ? str_sub(s, colon + 1, s.n) : STR("");
    *ret_host = str_sub(s, 0, colon);
    return port.n > 0 && port.n <= 5 && str_to_u64(port, ret_port) && *ret_port <= 65535;
}

static bool is_address(struct str s, bool name_too)
{
    struct str host;
    uint64_t port;
    if (!split_port(s, &host, &port))
        return false;
    if (name_too && port == 0)
        return false;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        return is_ip(str_sub(host, 1, host.n - 1), AF_INET6);
    /* A name made of digits and dots alone is a mistyped address. */
    size_t letters = 0;
    for (size_t i = 0; i < host.n; i++)
        letters += !(host.p[i] >= '0' && host.p[i] <= '9') && host.p[i] != '.';
    return is_ip(host, AF_INET) || (name_too && letters && labels(host, true));
}

/* Printable ASCII without '#': what may stand in a request target. */
static bool target_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7F || s.p[i] == '#')
            return false;
    return true;
}

static bool is_path(struct str s)
{
    return s.n > 0 && s.p[0] == '/' && target_bytes(s) && !memchr(s.p, '?', s.n);
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!scan_is(s.p[i], SCAN_TOKEN))
            return false;
    return s.n > 0;
}

/* RFC 9110 section 5.5: no controls, no blanks at the ends. */
static bool is_value(struct str s)
{
    return scan_value(s.p, s.p + s.n) == s.p + s.n && str_trim(s).n == s.n;
}

static bool is_url(struct str s)
{
    struct str rest = s, host, path;
    uint64_t port;
    if (str_starts(s, STR("http://")))
        rest = str_sub(s, 7, s.n);
    else if (str_starts(s, STR("https://")))
        rest = str_sub(s, 8, s.n);
    else
        return false;
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    path = str_sub(rest, end, rest.n);
    rest = str_sub(rest, 0, end);
    if (!target_bytes(path))
        return false;
    if (split_port(rest, &host, &port) && port > 0)
        rest = host;
    return is_host(rest) && rest.p[0] != '*';
}

static bool is_regex(struct str s)
{
    char err[160];
    size_t offset;
    struct regex *r = regex_new(s, err, sizeof(err), &offset);
    if (r)
        regex_free(r);
    return r != NULL;
}

bool format_check(enum field_format f, struct str s, const char **ret_want)
{
    const char *why;
    struct cidr c;
    static const char *const want[] = {
        [FMT_ANY] = "a string",
        [FMT_NAME] = "a name of lower-case letters, digits, '-' and '.'",
        [FMT_HOST] = "a lower-case host name like shop.example or *.shop.example, without a port",
        [FMT_ADDRESS] = "an address like 127.0.0.1:8000 or [::1]:8000",
        [FMT_ENDPOINT] = "an address or name with a port like 127.0.0.1:9000 or shop.internal:9000",
        [FMT_PATH] = "a path like /api/v1, percent-encoded, without query or fragment",
        [FMT_TEMPLATE] = "a path template like /users/{id}/files/{rest...}",
        [FMT_REGEX] = "a regular expression",
        [FMT_HEADER] = "a header name like x-tenant",
        [FMT_HEADER_VALUE] = "a header value without control characters or blanks at its ends",
        [FMT_METHOD] = "a method like GET",
        [FMT_URL] = "a URL like https://id.example/keys",
        [FMT_CIDR] = "an address range like 10.0.0.0/8, host bits zero",
        [FMT_FILE] = "a file name",
    };
    *ret_want = want[f];
    switch (f) {
    case FMT_ANY:
        return true;
    case FMT_NAME:
        return labels(s, false);
    case FMT_HOST:
        return is_host(s);
    case FMT_ADDRESS:
        return is_address(s, false);
    case FMT_ENDPOINT:
        return is_address(s, true);
    case FMT_PATH:
        return is_path(s);
    case FMT_TEMPLATE:
        return path_template_valid(s, &why);
    case FMT_REGEX:
        return is_regex(s);
    case FMT_HEADER:
        return is_token(s);
    case FMT_HEADER_VALUE:
        return is_value(s);
    case FMT_METHOD:
        return is_token(s) && s.n <= 32;
    case FMT_URL:
        return is_url(s);
    case FMT_CIDR:
        return cidr_parse(s, &c);
    case FMT_FILE:
        return s.n > 0 && s.n < 4096 && !memchr(s.p, '\0', s.n);
    }
    return false;
}

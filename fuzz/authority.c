/* host[:port] against a second, plain reading; an accepted host survives being put together again.
 */
#include "codec/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The name form, byte by byte. */
static bool plain_name(struct str s, size_t *ret_host_n)
{
    size_t n = 0;
    for (; n < s.n && s.p[n] != ':'; n++) {
        char c = ascii_lower(s.p[n]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
        if (c == '.' && (n == 0 || s.p[n - 1] == '.'))
            return false;
    }
    if (n == 0 || n > 255)
        return false;
    *ret_host_n = s.p[n - 1] == '.' ? n - 1 : n;
    if (n == s.n)
        return true;
    uint64_t port;
    struct str digits = str_sub(s, n + 1, s.n);
    return digits.n > 0 && digits.n <= 5 && digits.p[0] != '0' && str_to_u64(digits, &port) &&
           port <= 65535;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = { (const char *)data, size }, host;
    uint16_t port;
    bool ok = authority_parse(s, &host, &port);
    if (size > 0 && data[0] != '[') {
        size_t n;
        CHECK(ok == plain_name(s, &n));
        CHECK(!ok || host.n == n);
    }
    if (!ok)
        return 0;
    CHECK(host.n > 0 && host.p == s.p && host.n <= s.n);
    for (size_t i = 0; i < host.n; i++)
        CHECK(host.p[i] > ' ' && host.p[i] < 0x7f && !strchr("/?#@\\%,;", host.p[i]));
    struct str again;
    uint16_t none;
    CHECK(authority_parse(host, &again, &none) && none == 0 && str_eq(again, host));
    CHECK((port == 0) == (memchr(s.p + host.n, ':', s.n - host.n) == NULL));
    return 0;
}

/* Fields about the sender: the client found in X-Forwarded-For is one that the list names and that
   no prefix trusts (or the first of all); ids that pass can stand in a log and a header as they
   are. Input: prefixes with commas between them, LF, the value. */
#include "proxy/forwarded.h"
#include "codec/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROXIES = 8, MEMBERS = 256 };
static size_t split(struct str list, struct str *v, size_t max)
{
    size_t n = 0;
    while (n < max) {
        size_t at = str_find(list, ',');
        v[n++] = str_sub(list, 0, at);
        if (at == list.n)
            break;
        list = str_sub(list, at + 1, list.n);
    }
    return n;
}

static bool parse_member(struct str s, union addr *ret)
{
    char text[ADDR_TEXT_MAX + 8];
    size_t n = 0;
    s = str_trim(s);
    if (s.n == 0 || s.n > ADDR_TEXT_MAX)
        return false;
    bool wrap = memchr(s.p, ':', s.n) && s.p[0] != '[';
    if (wrap)
        text[n++] = '[';
    memcpy(text + n, s.p, s.n);
    n += s.n;
    if (wrap)
        text[n++] = ']';
    memcpy(text + n, ":0", 2);
    return addr_parse((struct str){ text, n + 2 }, ret);
}

/* Members in an array, read from its end. */
static bool plain(struct str list, const str_list *proxies, union addr *ret)
{
    struct str v[MEMBERS];
    union addr a;
    size_t n = split(list, v, MEMBERS);
    while (n-- > 0) {
        if (!parse_member(v[n], &a))
            return true;
        *ret = a;
        if (!forwarded_trusts(proxies, &a))
            return true;
    }
    return false;
}

static void check_ids(struct str s)
{
    if (forwarded_id_valid(s)) {
        CHECK(s.n >= 8 && s.n <= 128 && header_value_valid(s));
        CHECK(!memchr(s.p, '"', s.n) && !memchr(s.p, '\\', s.n) && !memchr(s.p, ' ', s.n));
    }
    if (forwarded_trace_valid(s)) {
        uint64_t v;
        CHECK(s.n == 55 || s.p[55] == '-');
        CHECK(str_to_hex_u64(str_sub(s, 0, 2), &v) && v != 0xff);
        CHECK(str_to_hex_u64(str_sub(s, 36, 52), &v) && v != 0);
        CHECK(str_to_hex_u64(str_sub(s, 53, 55), &v));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = { (const char *)data, size }, v[PROXIES];
    size_t line = str_find(all, '\n');
    str_list proxies = { v, split(str_sub(all, 0, line), v, PROXIES) };
    struct str value = str_sub(all, line + 1, all.n);
    union addr none, a, b;
    CHECK(addr_parse(STR("192.0.2.99:9"), &none));
    a = b = none;
    bool found = forwarded_client(value, &proxies, &a);
    size_t commas = 0;
    for (size_t i = 0; i < value.n; i++)
        commas += value.p[i] == ',';
    /* An empty field is no list, an empty first member ends nothing that has not ended. */
    if (commas < MEMBERS - 1 && value.n && value.p[0] != ',')
        CHECK(plain(value, &proxies, &b) == found && addr_equal(&a, &b));
    check_ids(value);
    return 0;
}

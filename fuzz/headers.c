/* Field names, values and lists against plain loops; trailer blocks. Input: a name, LF, a value,
 * LF, a token, LF, a trailer block. */
#include "codec/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str next(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str s = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n + 1, rest->n);
    return s;
}

static enum header_id plain_id(struct str name)
{
    for (int id = 1; id < HDR_COUNT; id++)
        if (str_ieq(name, header_id_name[id]))
            return (enum header_id)id;
    if (str_ieq(str_sub(name, 0, 11), STR("x-consumer-")) ||
        str_ieq(str_sub(name, 0, 16), STR("x-authenticated-")) ||
        str_ieq(name, STR("x-credential-identifier")))
        return HDR_X_CONSUMER;
    if (str_ieq(str_sub(name, 0, 12), STR("x-forwarded-")) ||
        str_ieq(name, STR("x-original-url")) || str_ieq(name, STR("x-rewrite-url")))
        return HDR_X_FORWARDED_OTHER;
    return HDR_OTHER;
}

static bool plain_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((uint8_t)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool plain_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], l = ascii_lower(c);
        bool ok =
            (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
        if (!ok)
            return false;
    }
    return s.n > 0;
}

static bool plain_list_has(struct str list, struct str token)
{
    while (list.n > 0) {
        size_t n = str_find(list, ',');
        if (str_ieq(str_trim(str_sub(list, 0, n)), token))
            return true;
        list = str_sub(list, n + 1, list.n);
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size };
    struct str name = next(&rest), value = next(&rest), token = next(&rest);
    struct header hv[8];
    struct headers h = { hv, 0, 8 };
    CHECK(header_id_of(name) == plain_id(name));
    CHECK(header_name_valid(name) == plain_name(name));
    CHECK(header_value_valid(value) == plain_value(value));
    if (token.n > 0 && str_find(token, ',') == token.n && str_eq(str_trim(token), token))
        CHECK(header_list_has(value, token) == plain_list_has(value, token));
    if (headers_add(&h, name, value)) {
        CHECK(headers_find(&h, name) == &hv[0]);
        CHECK(headers_remove(&h, name) == 1 && headers_find(&h, name) == NULL);
    }
    if (h1_parse_trailers(rest, hv, 8, &h))
        for (uint32_t i = 0; i < h.n; i++) {
            CHECK(header_name_valid(header_name(&hv[i])) &&
                  header_value_valid(header_value(&hv[i])));
            CHECK(hv[i].id != HDR_CONTENT_LENGTH && hv[i].id != HDR_TRANSFER_ENCODING &&
                  hv[i].id != HDR_HOST);
        }
    return 0;
}

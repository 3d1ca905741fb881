/* Header fields: names to ids, validity, lookup in a field array. Pure; any thread. */
#include "codec/header.h"
#include "codec/scan.h"

const struct str header_id_name[HDR_COUNT] = {
    [HDR_OTHER] = STR_INIT(""),
    [HDR_HOST] = STR_INIT("host"),
    [HDR_CONNECTION] = STR_INIT("connection"),
    [HDR_KEEP_ALIVE] = STR_INIT("keep-alive"),
    [HDR_PROXY_CONNECTION] = STR_INIT("proxy-connection"),
    [HDR_TRANSFER_ENCODING] = STR_INIT("transfer-encoding"),
    [HDR_TE] = STR_INIT("te"),
    [HDR_TRAILER] = STR_INIT("trailer"),
    [HDR_UPGRADE] = STR_INIT("upgrade"),
    [HDR_CONTENT_LENGTH] = STR_INIT("content-length"),
    [HDR_CONTENT_TYPE] = STR_INIT("content-type"),
    [HDR_EXPECT] = STR_INIT("expect"),
    [HDR_DATE] = STR_INIT("date"),
    [HDR_SERVER] = STR_INIT("server"),
    [HDR_VIA] = STR_INIT("via"),
    [HDR_USER_AGENT] = STR_INIT("user-agent"),
    [HDR_ACCEPT] = STR_INIT("accept"),
    [HDR_X_FORWARDED_FOR] = STR_INIT("x-forwarded-for"),
    [HDR_X_FORWARDED_PROTO] = STR_INIT("x-forwarded-proto"),
    [HDR_X_FORWARDED_HOST] = STR_INIT("x-forwarded-host"),
    [HDR_X_FORWARDED_PORT] = STR_INIT("x-forwarded-port"),
    [HDR_FORWARDED] = STR_INIT("forwarded"),
    [HDR_X_REAL_IP] = STR_INIT("x-real-ip"),
    [HDR_X_REQUEST_ID] = STR_INIT("x-request-id"),
    [HDR_TRACEPARENT] = STR_INIT("traceparent"),
    [HDR_TRACESTATE] = STR_INIT("tracestate"),
    [HDR_PROXY_STATUS] = STR_INIT("proxy-status"),
    [HDR_GRPC_STATUS] = STR_INIT("grpc-status"),
    [HDR_GRPC_TIMEOUT] = STR_INIT("grpc-timeout"),
    [HDR_HTTP2_SETTINGS] = STR_INIT("http2-settings"),
    [HDR_SEC_WEBSOCKET_KEY] = STR_INIT("sec-websocket-key"),
    [HDR_SEC_WEBSOCKET_ACCEPT] = STR_INIT("sec-websocket-accept"),
    [HDR_COOKIE] = STR_INIT("cookie"),
    [HDR_SET_COOKIE] = STR_INIT("set-cookie"),
    [HDR_AUTHORIZATION] = STR_INIT("authorization"),
    [HDR_PROXY_AUTHENTICATE] = STR_INIT("proxy-authenticate"),
    [HDR_PROXY_AUTHORIZATION] = STR_INIT("proxy-authorization"),
    [HDR_RETRY_AFTER] = STR_INIT("retry-after"),
    [HDR_LOCATION] = STR_INIT("location"),
    [HDR_CLIENT_CERT] = STR_INIT("client-cert"),
    [HDR_X_FORWARDED_CLIENT_CERT] = STR_INIT("x-forwarded-client-cert"),
    [HDR_X_FORWARDED_OTHER] = STR_INIT("x-forwarded"),
    [HDR_X_CONSUMER] = STR_INIT("x-consumer"),
};

#define BIT(id) (UINT64_C(1) << (id))
#define NAME(lit, id)                       \
    if (scan_same(p, lit, sizeof(lit) - 1)) \
    return id

static enum header_id id_of_9_to_11(const char *p, size_t n)
{
    if (n == 9) {
        NAME("forwarded", HDR_FORWARDED);
        NAME("x-real-ip", HDR_X_REAL_IP);
    } else if (n == 10) {
        NAME("user-agent", HDR_USER_AGENT);
        NAME("connection", HDR_CONNECTION);
        NAME("keep-alive", HDR_KEEP_ALIVE);
        NAME("tracestate", HDR_TRACESTATE);
        NAME("set-cookie", HDR_SET_COOKIE);
        NAME("x-consumer", HDR_X_CONSUMER);
    } else {
        NAME("traceparent", HDR_TRACEPARENT);
        NAME("grpc-status", HDR_GRPC_STATUS);
        NAME("retry-after", HDR_RETRY_AFTER);
        NAME("client-cert", HDR_CLIENT_CERT);
    }
    return HDR_OTHER;
}

static enum header_id id_of_12_to_14(const char *p, size_t n)
{
    if (n == 12) {
        NAME("content-type", HDR_CONTENT_TYPE);
        NAME("x-request-id", HDR_X_REQUEST_ID);
        NAME("proxy-status", HDR_PROXY_STATUS);
        NAME("grpc-timeout", HDR_GRPC_TIMEOUT);
    } else if (n == 13) {
        NAME("authorization", HDR_AUTHORIZATION);
    } else {
        NAME("content-length", HDR_CONTENT_LENGTH);
        NAME("http2-settings", HDR_HTTP2_SETTINGS);
    }
    return HDR_OTHER;
}

static enum header_id id_of_15_to_17(const char *p, size_t n)
{
    if (n == 15) {
        NAME("x-forwarded-for", HDR_X_FORWARDED_FOR);
    } else if (n == 16) {
        NAME("x-forwarded-host", HDR_X_FORWARDED_HOST);
        NAME("x-forwarded-port", HDR_X_FORWARDED_PORT);
        NAME("proxy-connection", HDR_PROXY_CONNECTION);
    } else {
        NAME("transfer-encoding", HDR_TRANSFER_ENCODING);
        NAME("x-forwarded-proto", HDR_X_FORWARDED_PROTO);
        NAME("sec-websocket-key", HDR_SEC_WEBSOCKET_KEY);
    }
    return HDR_OTHER;
}

static enum header_id id_of_short(const char *p, size_t n)
{
    switch (n) {
    case 2:
        NAME("te", HDR_TE);
        break;
    case 3:
        NAME("via", HDR_VIA);
        break;
    case 4:
        NAME("host", HDR_HOST);
        NAME("date", HDR_DATE);
        break;
    case 6:
        NAME("accept", HDR_ACCEPT);
        NAME("cookie", HDR_COOKIE);
        NAME("server", HDR_SERVER);
        NAME("expect", HDR_EXPECT);
        break;
    case 7:
        NAME("upgrade", HDR_UPGRADE);
        NAME("trailer", HDR_TRAILER);
        break;
    case 8:
        NAME("location", HDR_LOCATION);
        break;
    default:
        break;
    }
    return HDR_OTHER;
}

/* The identity headers the gateway sets for upstreams, and what proxies tell, are families, not
 * single names. */
static enum header_id id_of_family(const char *p, size_t n)
{
    if (n >= 11 && scan_same(p, "x-forwarded", 11) && (n == 11 || p[11] == '-'))
        return HDR_X_FORWARDED_OTHER;
    if ((n == 14 && scan_same(p, "x-original-url", 14)) ||
        (n == 13 && scan_same(p, "x-rewrite-url", 13)))
        return HDR_X_FORWARDED_OTHER;
    if (n >= 11 && scan_same(p, "x-consumer-", 11))
        return HDR_X_CONSUMER;
    if (n >= 16 && scan_same(p, "x-authenticated-", 16))
        return HDR_X_CONSUMER;
    return HDR_OTHER;
}

static enum header_id id_of_long(const char *p, size_t n)
{
    switch (n) {
    case 18:
        NAME("proxy-authenticate", HDR_PROXY_AUTHENTICATE);
        break;
    case 19:
        NAME("proxy-authorization", HDR_PROXY_AUTHORIZATION);
        break;
    case 20:
        NAME("sec-websocket-accept", HDR_SEC_WEBSOCKET_ACCEPT);
        break;
    case 23:
        NAME("x-forwarded-client-cert", HDR_X_FORWARDED_CLIENT_CERT);
        NAME("x-credential-identifier", HDR_X_CONSUMER);
        break;
    default:
        break;
    }
    return HDR_OTHER;
}

enum header_id header_id_of(struct str name)
{
    const char *p = name.p;
    enum header_id id;
    if (name.n <= 8)
        return id_of_short(p, name.n);
    if (name.n <= 11)
        id = id_of_9_to_11(p, name.n);
    else if (name.n <= 14)
        id = id_of_12_to_14(p, name.n);
    else if (name.n <= 17)
        id = id_of_15_to_17(p, name.n);
    else
        id = id_of_long(p, name.n);
    if (id == HDR_OTHER && (p[0] | 0x20) == 'x')
        return id_of_family(p, name.n);
    return id;
}

bool header_disguised(struct str name)
{
    static const uint64_t asserted =
        BIT(HDR_X_FORWARDED_FOR) | BIT(HDR_X_FORWARDED_PROTO) | BIT(HDR_X_FORWARDED_HOST) |
        BIT(HDR_X_FORWARDED_PORT) | BIT(HDR_X_REAL_IP) | BIT(HDR_CLIENT_CERT) |
        BIT(HDR_X_FORWARDED_CLIENT_CERT) | BIT(HDR_X_FORWARDED_OTHER) | BIT(HDR_X_CONSUMER) |
        BIT(HDR_X_REQUEST_ID) | BIT(HDR_TRANSFER_ENCODING) | BIT(HDR_CONTENT_LENGTH) |
        BIT(HDR_PROXY_AUTHORIZATION) | BIT(HDR_PROXY_CONNECTION);
    char plain[32]; /* of a family the beginning is enough */
    char first = name.n ? (char)(name.p[0] | 0x20) : 0;
    if ((first != 'x' && first != 'c' && first != 't' && first != 'p') || name.n < 9 ||
        !memchr(name.p, '_', name.n))
        return false;
    size_t n = name.n < sizeof(plain) ? name.n : sizeof(plain);
    for (size_t i = 0; i < n; i++)
        plain[i] = name.p[i] == '_' ? '-' : name.p[i];
    return asserted >> header_id_of((struct str){ plain, n }) & 1;
}

bool header_name_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!scan_is(s.p[i], SCAN_TOKEN))
            return false;
    return s.n > 0;
}

bool header_value_valid(struct str s)
{
    return s.n == 0 || scan_value(s.p, s.p + s.n) == s.p + s.n;
}

const struct header *headers_find(const struct headers *h, struct str name)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (header_live(&h->v[i]) && str_ieq(header_name(&h->v[i]), name))
            return &h->v[i];
    return NULL;
}

const struct header *headers_find_id(const struct headers *h, enum header_id id)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->v[i].id == id && header_live(&h->v[i]))
            return &h->v[i];
    return NULL;
}

bool headers_add(struct headers *h, struct str name, struct str value)
{
    if (h->n >= h->cap || name.n > UINT16_MAX || value.n > UINT32_MAX)
        return false;
    h->v[h->n++] = (struct header){ .name = name.p,
                                    .value = value.p,
                                    .value_n = (uint32_t)value.n,
                                    .name_n = (uint16_t)name.n,
                                    .id = (uint8_t)header_id_of(name) };
    return true;
}

bool headers_add_own(struct headers *h, enum header_id id, struct str value)
{
    if (h->n >= h->cap || value.n > UINT32_MAX)
        return false;
    h->v[h->n++] = (struct header){ .name = header_id_name[id].p,
                                    .value = value.p,
                                    .value_n = (uint32_t)value.n,
                                    .name_n = (uint16_t)header_id_name[id].n,
                                    .id = (uint8_t)id,
                                    .flags = HDR_F_CHECKED };
    return true;
}

bool headers_add_line(struct headers *h, enum header_id id, struct str value, char *line)
{
    struct str name = header_id_name[id];
    if (!line || h->n >= h->cap || value.n > UINT32_MAX)
        return false;
    memcpy(line, name.p, name.n);
    memcpy(line + name.n, ": ", 2);
    memcpy(line + name.n + 2, value.p, value.n);
    memcpy(line + name.n + 2 + value.n, "\r\n", 2);
    h->v[h->n++] = (struct header){ .name = line,
                                    .value = line + name.n + 2,
                                    .value_n = (uint32_t)value.n,
                                    .name_n = (uint16_t)name.n,
                                    .id = (uint8_t)id,
                                    .flags = HDR_F_CHECKED | HDR_F_LINE };
    return true;
}

void headers_remove_id(struct headers *h, enum header_id id)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->v[i].id == id)
            h->v[i].flags |= HDR_F_REMOVED;
}

size_t headers_remove(struct headers *h, struct str name)
{
    size_t removed = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (!header_live(&h->v[i]) || !str_ieq(header_name(&h->v[i]), name))
            continue;
        h->v[i].flags |= HDR_F_REMOVED;
        removed++;
    }
    return removed;
}

bool header_fixed(struct str name)
{
    static const char *const names[] = { "connection", "content-length",    "host",
                                         "keep-alive", "proxy-connection",  "te",
                                         "trailer",    "transfer-encoding", "upgrade" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(name, str_from(names[i])))
            return true;
    return false;
}

static bool holds(struct str name, struct str part)
{
    for (size_t i = 0; i + part.n <= name.n; i++)
        if (str_ieq(str_sub(name, i, i + part.n), part))
            return true;
    return false;
}

bool header_credential(struct str name)
{
    static const char *const parts[] = { "authorization", "x-auth",    "cookie",  "token",
                                         "secret",        "passw",     "api-key", "apikey",
                                         "api_key",       "credential" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (holds(name, str_from(parts[i])))
            return true;
    return false;
}

bool header_list_has(struct str value, struct str token)
{
    struct str item;
    while (scan_list(&value, &item))
        if (item.n > 0 && str_ieq(item, token))
            return true;
    return false;
}

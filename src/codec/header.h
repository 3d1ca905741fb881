/* Header fields as slices, with small ids for the names the proxy treats specially. Pure; no
 * ownership. */
#pragma once
#include "base/base.h"

enum header_id {
    HDR_OTHER = 0,
    HDR_HOST,
    HDR_CONNECTION,
    HDR_KEEP_ALIVE,
    HDR_PROXY_CONNECTION,
    HDR_TRANSFER_ENCODING,
    HDR_TE,
    HDR_TRAILER,
    HDR_UPGRADE,
    HDR_CONTENT_LENGTH,
    HDR_CONTENT_TYPE,
    HDR_EXPECT,
    HDR_DATE,
    HDR_SERVER,
    HDR_VIA,
    HDR_USER_AGENT,
    HDR_ACCEPT,
    HDR_X_FORWARDED_FOR,
    HDR_X_FORWARDED_PROTO,
    HDR_X_FORWARDED_HOST,
    HDR_X_FORWARDED_PORT,
    HDR_FORWARDED,
    HDR_X_REAL_IP,
    HDR_X_REQUEST_ID,
    HDR_TRACEPARENT,
    HDR_TRACESTATE,
    HDR_PROXY_STATUS,
    HDR_GRPC_STATUS,
    HDR_GRPC_TIMEOUT,
    HDR_HTTP2_SETTINGS,
    HDR_SEC_WEBSOCKET_KEY,
    HDR_SEC_WEBSOCKET_ACCEPT,
    HDR_COOKIE,
    HDR_SET_COOKIE,
    HDR_AUTHORIZATION,
    HDR_PROXY_AUTHENTICATE,
    HDR_PROXY_AUTHORIZATION,
    HDR_RETRY_AFTER,
    HDR_LOCATION,
    HDR_CLIENT_CERT,
    HDR_X_FORWARDED_CLIENT_CERT,
    HDR_X_FORWARDED_OTHER, /* any other X-Forwarded-*, X-Original-URL, X-Rewrite-URL: what a proxy
                              tells, as the ones above */
    HDR_X_CONSUMER, /* any of X-Consumer-*, X-Credential-Identifier, X-Authenticated-*: stripped
                       from outside */
    HDR_COUNT
};
enum header_flags {
    HDR_F_HOP = 1, /* hop-by-hop, framing, or nominated by Connection: never forwarded as it is */
    HDR_F_REMOVED = 2, /* a filter or the proxy removed it */
    HDR_F_CHECKED =
        4, /* ours: nothing in it can be read as another field, so writers need not look */
    HDR_F_LINE =
        8, /* stands in memory as "name: value" CRLF, checked: a writer copies it at once */
};
struct header {
    const char *name, *value; /* name as received (h2: lower case) */
    uint32_t value_n;
    uint16_t name_n;
    uint8_t id, flags;
};
struct headers {
    struct header *v;
    uint32_t n, cap; /* v is the caller's memory; adding over cap fails */
};
/* Where the last one ends. v may be NULL when there are none. */
static inline struct header *headers_end(const struct headers *h)
{
    return h->n ? h->v + h->n : h->v;
}
enum header_id header_id_of(struct str name);      /* case-insensitive */
extern const struct str header_id_name[HDR_COUNT]; /* lower case */
/* A name that with '-' for '_' is one that a proxy asserts, or that frames: to what makes variables
 * of names (CGI, WSGI and their heirs) it is the same. */
bool header_disguised(struct str name);
/* Framing, the host and what ends with the connection: no edit by a user may touch them. */
bool header_fixed(struct str name);
/* A field or parameter that by its name carries a credential (Authorization, Cookie, X-Api-Key, a
 * token): its value is not shown. */
bool header_credential(struct str name);
bool header_name_valid(struct str s); /* RFC 9110 token, not empty */
bool header_value_valid(
    struct str s); /* no control characters but HTAB inside; no surrounding space needed */
const struct header *headers_find(const struct headers *h,
                                  struct str name); /* first live one, or NULL */
const struct header *headers_find_id(const struct headers *h, enum header_id id);
NODISCARD bool headers_add(struct headers *h, struct str name,
                           struct str value); /* slices kept; false when full */
/* A field of the proxy's own: the value must be a constant of the program, or checked already.
 * Kept, not copied; false when full. */
NODISCARD bool headers_add_own(struct headers *h, enum header_id id, struct str value);
/* The same, made a line "name: value" CRLF at line, which has room for header_line_n bytes; so
 * lines that follow each other in memory are one run for a writer. line NULL: false. */
NODISCARD bool headers_add_line(struct headers *h, enum header_id id, struct str value, char *line);
static inline size_t header_line_n(enum header_id id, struct str value)
{
    return header_id_name[id].n + value.n + 4;
}
void headers_remove_id(struct headers *h, enum header_id id);
size_t headers_remove(struct headers *h, struct str name); /* marks; returns how many */
/* Does the comma-separated list value hold token (case-insensitive)? */
bool header_list_has(struct str value, struct str token);
static inline struct str header_name(const struct header *h)
{
    return (struct str){ h->name, h->name_n };
}
static inline struct str header_value(const struct header *h)
{
    return (struct str){ h->value, h->value_n };
}
static inline bool header_live(const struct header *h)
{
    return (h->flags & (HDR_F_HOP | HDR_F_REMOVED)) == 0;
}

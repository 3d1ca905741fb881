/* A request or response head, the same for every protocol version. Slices point into the buffer it
   was parsed from, unless message_own copied it. */
#pragma once
#include "base/arena.h"
#include "codec/header.h"

enum http_method {
    METHOD_OTHER = 0,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH
};
enum http_version { HTTP_10 = 10, HTTP_11 = 11, HTTP_2 = 20 };
enum http_body {
    BODY_NONE,
    BODY_LENGTH,
    BODY_CHUNKED,
    BODY_STREAM /* until close (h1 response), until END_STREAM (h2), tunnel */
};
struct http_message {
    struct str method_text; /* requests */
    struct str authority;   /* host[:port], validated; "" only for HTTP/1.0 without Host */
    struct str host;        /* its host, as authority_parse gives it: set with the authority */
    struct str
        target; /* origin-form: path[?query]; "*" for OPTIONS *; authority-form for CONNECT */
    struct str path, query; /* views of target; query without the '?' */
    struct str reason;      /* responses */
    struct str upgrade;     /* Upgrade value when the connection asks for it, or h2's :protocol */
    struct str raw; /* the bytes the slices point into, when they are one block: message_own copies
                       them at once. {NULL, 0}: slice by slice */
    struct headers headers; /* all of them; hop-by-hop and framing ones flagged HDR_F_HOP */
    uint64_t length;        /* of BODY_LENGTH */
    uint16_t status;
    uint8_t method;  /* enum http_method */
    uint8_t version; /* enum http_version */
    uint8_t body;    /* enum http_body */
    bool tls;        /* scheme https */
    bool keep_alive; /* h1: the connection may serve another */
    bool expect_continue;
    bool expect_unknown; /* it expects what nobody here knows: 417 */
    bool te_trailers;    /* the sender accepts trailers */
    bool has_query;
    bool close_after; /* answers of a server: the HTTP/1 connection serves no other request */
};
enum http_method http_method_of(struct str s);
bool http_expectation_valid(struct str value);  /* begins like an expectation of any name */
bool http_method_idempotent(uint8_t m);         /* RFC 9110 section 9.2.2; METHOD_OTHER is not */
struct str http_status_reason(uint16_t status); /* "Not Found"; "" if unknown */
/* Copies every slice (and the header array with room for extra more headers) to a; false when the
 * arena's limit is reached. */
NODISCARD bool message_own(struct http_message *m, struct arena *a, uint32_t extra);
/* Splits target into path and query. */
void message_split_target(struct http_message *m);
/* host[:port] → host in lower case view is the caller's business; port 0 if none. False if
   malformed (userinfo, spaces, bad or empty port, port 0, empty labels, percent-encoding, zone
   ids). ret_host is without one trailing dot; IPv6 keeps its brackets. */
bool authority_parse(struct str authority, struct str *ret_host, uint16_t *ret_port);

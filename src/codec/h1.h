/* HTTP/1.x framing, RFC 9112, strict: what two parsers could read differently is refused, never
 * repaired. Pure: bytes in, values out. */
#pragma once
#include "codec/message.h"

struct h1_limits {
    uint32_t head_bytes; /* start line and fields; default 16384: what Debian's nginx allows by
                            default is 32 KiB, most sites need 8 */
    uint32_t headers;    /* default 100 */
};
enum { H1_MAX_HEADERS = 256 };
enum h1_result {
    H1_OK = 0,
    H1_MORE,         /* not complete yet: call again with more bytes from the same start */
    H1_BAD,          /* 400 (request) or 502 (response); connection must close */
    H1_TOO_LARGE,    /* 431 or 502 */
    H1_URI_TOO_LONG, /* 414 */
    H1_VERSION,      /* 505 */
    H1_UNSUPPORTED,  /* 501: a transfer coding that is not chunked */
};
/* Parses one head from p. After H1_MORE it is enough to call again when an LF has come or n has
   reached head_bytes: with the limit on fields that bounds the work a slow sender can cause to some
   hundred calls. hv has room for cap headers. On H1_OK ret_used is the length of the head, and m is
   filled incl. body, length, keep_alive, expect_continue, upgrade, authority (absolute-form wins
   over Host and must agree with it: RFC 9112 section 3.2.2 forbids trust in Host then; we refuse a
   mismatch). ret_why gets a static text for logs on failure. Empty lines before a request line: at
   most one CRLF is skipped. "Content-Length: 0" is BODY_LENGTH with length 0 (forwarded as such, no
   body follows). Content-Length is flagged HDR_F_HOP but where it is only information (answers to
   HEAD, 304). m->tls is set for an absolute-form https target only: the caller knows its
   connection. An Upgrade that offers h2c is ignored. */
enum h1_result h1_parse_request(const char *p, size_t n, const struct h1_limits *lim,
                                struct header *hv, uint32_t cap, struct http_message *m,
                                size_t *ret_used, const char **ret_why);
/* request_method is needed for the framing of HEAD and CONNECT; 1xx, 204, 304 have no body. A 101
   answer has body BODY_STREAM; whether it was asked for is the caller's business. Failures are
   H1_BAD or H1_TOO_LARGE. */
enum h1_result h1_parse_response(const char *p, size_t n, const struct h1_limits *lim,
                                 uint8_t request_method, struct header *hv, uint32_t cap,
                                 struct http_message *m, size_t *ret_used, const char **ret_why);

/* Chunked coding, incremental; zeroed to start. */
struct h1_chunked {
    uint64_t left; /* of the current chunk's data */
    uint16_t line; /* bytes of the current size line or trailer line, for limits */
    uint16_t
        trailer_n; /* bytes of trailers kept (of those dropped, at most 8192, without trailer) */
    uint8_t state;
    char *trailer; /* caller's memory for the trailer block, or NULL: trailers are checked and
                      dropped */
    uint16_t trailer_cap;
};
enum h1_chunk_event { CHUNK_MORE, CHUNK_DATA, CHUNK_END, CHUNK_BAD, CHUNK_TRAILERS_TOO_LARGE };
/* Consumes from p. CHUNK_DATA: ret_data is a slice of p. CHUNK_END: the last byte of the body was
   at ret_used; trailers (if kept) are in c->trailer, trailer_n bytes of complete field lines:
   h1_parse_trailers. Always sets ret_used. After CHUNK_END it answers CHUNK_END, after an error
   CHUNK_BAD. Size lines end at 16 digits and 256 bytes of extensions. */
enum h1_chunk_event h1_chunk_step(struct h1_chunked *c, const char *p, size_t n, size_t *ret_used,
                                  struct str *ret_data);
/* Whether a field may stand in trailers, in any version of HTTP. */
bool h1_trailer_allowed(const struct header *h);
/* Fields that trailers must not carry (framing, routing, authentication: RFC 9110 section 6.5.1)
 * are refused. */
bool h1_parse_trailers(struct str block, struct header *hv, uint32_t cap, struct headers *ret);

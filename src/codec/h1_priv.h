/* Inside of the HTTP/1 parsers: the field block and what its fields say about framing. Not for
 * users of h1.h. */
#pragma once
#include "codec/h1.h"
#include "codec/scan.h"

/* Which fields there are: a bit per id seen, and seen twice. */
struct h1_fields {
    const char *base; /* of the head: what stands before the fields may be read again */
    uint64_t seen, dup;
    bool close, keep_alive, wants_upgrade; /* Connection options */
    struct header *last[HDR_COUNT];        /* valid where seen */
};
#define H1_BIT(id) (UINT64_C(1) << (id))
static inline void h1_fields_init(struct h1_fields *f, const char *base)
{
    f->base = base;
    f->seen = f->dup = 0;
    f->close = f->keep_alive = f->wants_upgrade = false;
}
/* The last field of this id, or NULL. */
static inline struct header *h1_field(const struct h1_fields *f, enum header_id id)
{
    return f->seen & H1_BIT(id) ? f->last[id] : NULL;
}
_Static_assert(HDR_COUNT <= 64, "header ids are bits of a 64-bit set");

/* Reads field lines from *at up to and with the empty line. m->headers has its array set. *why on
 * failure. */
enum h1_result h1_fields_parse(const char **at, const char *end, uint32_t max,
                               struct http_message *m, struct h1_fields *f, const char **why);
/* Reads all Connection fields: options into f, nominated fields flagged. NULL, or what is wrong. */
const char *h1_connection(struct http_message *m, struct h1_fields *f);
/* Content-Length: digits only, below 2^63. */
bool h1_length(struct str value, uint64_t *ret);
/* H1_OK only for exactly "chunked". */
enum h1_result h1_coding(struct str value, const char **why);
/* Sets m->upgrade when the connection asks for it. NULL, or what is wrong. */
const char *h1_upgrade(struct http_message *m, const struct h1_fields *f);

/* "HTTP/1.1" at *at; H1_VERSION for another version that is well-formed. */
static inline enum h1_result h1_version(const char **at, const char *end, struct http_message *m)
{
    static const char form[] = "HTTP/";
    const char *p = *at;
    uint64_t w;
    if (LIKELY(end - p >= 8)) {
        memcpy(&w, p, 8);
        if (LIKELY(w == scan_word("HTTP/1.1", 8))) {
            *at = p + 8;
            m->version = HTTP_11;
            return H1_OK;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (p + i == end)
            return H1_MORE;
        bool ok = i < 5 ? p[i] == form[i] : i == 6 ? p[i] == '.' : p[i] >= '0' && p[i] <= '9';
        if (!ok)
            return H1_BAD;
    }
    if (p[5] != '1' || p[7] > '1')
        return H1_VERSION;
    m->version = p[7] == '1' ? HTTP_11 : HTTP_10;
    *at = p + 8;
    return H1_OK;
}

/* CRLF at *at. */
static inline enum h1_result h1_crlf(const char **at, const char *end)
{
    const char *p = *at;
    if (p == end)
        return H1_MORE;
    if (*p != '\r')
        return H1_BAD;
    if (p + 1 == end)
        return H1_MORE;
    if (p[1] != '\n')
        return H1_BAD;
    *at = p + 2;
    return H1_OK;
}

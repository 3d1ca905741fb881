/* HTTP/1 message bodies, the same for servers and clients: framing read into events, data written
   with framing. Loop thread only. */
#include "http/http_priv.h"

void h1_in_start(struct h1_in *in, const struct http_message *m)
{
    in->state = H1_IN_DONE;
    in->left = 0;
    switch ((enum http_body)m->body) {
    case BODY_NONE:
        return;
    case BODY_LENGTH:
        in->left = m->length;
        in->state = m->length ? H1_IN_LENGTH : H1_IN_DONE;
        return;
    case BODY_CHUNKED:
        in->state = H1_IN_CHUNKED;
        in->chunked = (struct h1_chunked){ 0 };
        return;
    case BODY_STREAM:
        in->state = H1_IN_EOF;
        return;
    }
}

void h1_in_fini(struct h1_in *in)
{
    mem_free(in->trailer);
    in->trailer = NULL;
    in->state = H1_IN_DONE;
}

static enum h1_feed ended(struct h1_in *in, struct conn *c, struct http_stream *s,
                          const struct headers *trailers)
{
    in->state = H1_IN_DONE;
    if (s)
        s->ev->on_end(s, trailers);
    return conn_closing(c) ? H1_FEED_STOP : H1_FEED_END;
}

/* The trailer section is complete. */
static enum h1_feed end_with_trailers(struct h1_in *in, struct conn *c, struct http_stream *s)
{
    struct header hv[H1_TRAILER_FIELDS];
    struct headers trailers = { hv, 0, H1_TRAILER_FIELDS };
    if (in->chunked.trailer_n == 0)
        return ended(in, c, s, NULL);
    if (!h1_parse_trailers((struct str){ in->chunked.trailer, in->chunked.trailer_n }, hv,
                           H1_TRAILER_FIELDS, &trailers))
        return H1_FEED_BAD;
    enum h1_feed r = ended(in, c, s, &trailers);
    mem_free(in->trailer);
    in->trailer = NULL;
    return r;
}

/* The bytes given end inside the trailer section: what is there moves to memory of its own. */
static bool keep_trailer(struct h1_in *in)
{
    if (in->chunked.trailer_n == 0 || in->trailer)
        return true;
    in->trailer = mem_alloc(H1_TRAILER_BYTES);
    if (!in->trailer)
        return false;
    memcpy(in->trailer, in->chunked.trailer, in->chunked.trailer_n);
    return true;
}

static enum h1_feed feed_chunked(struct h1_in *in, struct conn *c, struct http_stream *s,
                                 struct str bytes, size_t *ret_used)
{
    char here[H1_TRAILER_BYTES];
    in->chunked.trailer = in->trailer ? in->trailer : here;
    in->chunked.trailer_cap = H1_TRAILER_BYTES;
    for (size_t at = 0;;) {
        size_t used;
        struct str data;
        enum h1_chunk_event e =
            h1_chunk_step(&in->chunked, bytes.p + at, bytes.n - at, &used, &data);
        at += used;
        *ret_used = at;
        switch (e) {
        case CHUNK_DATA:
            if (s && data.n) {
                s->ev->on_data(s, data.p, data.n);
                if (conn_closing(c))
                    return H1_FEED_STOP;
            }
            break;
        case CHUNK_END:
            return end_with_trailers(in, c, s);
        case CHUNK_MORE:
            return keep_trailer(in) ? H1_FEED_MORE : H1_FEED_BAD;
        case CHUNK_BAD:
        case CHUNK_TRAILERS_TOO_LARGE:
            return H1_FEED_BAD;
        }
    }
}

enum h1_feed h1_in_feed(struct h1_in *in, struct conn *c, struct http_stream *s, struct str bytes,
                        size_t *ret_used)
{
    if (in->state == H1_IN_CHUNKED)
        return feed_chunked(in, c, s, bytes, ret_used);
    CHECK(in->state != H1_IN_DONE);
    size_t take = bytes.n;
    if (in->state == H1_IN_LENGTH) {
        take = in->left < bytes.n ? (size_t)in->left : bytes.n;
        in->left -= take;
    }
    *ret_used = take;
    if (s && take > 0) {
        s->ev->on_data(s, bytes.p, take);
        if (conn_closing(c))
            return H1_FEED_STOP;
    }
    if (in->state == H1_IN_LENGTH && in->left == 0)
        return ended(in, c, s, NULL);
    return H1_FEED_MORE;
}

/* ---- out ---- */

static bool chunk_write(struct conn *c, const void *p, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    char line[18], *at = line + sizeof(line);
    *--at = '\n';
    *--at = '\r';
    for (size_t v = n; v; v >>= 4)
        *--at = digit[v & 15];
    conn_write(c, at, (size_t)(line + sizeof(line) - at));
    conn_write(c, p, n);
    return conn_write(c, "\r\n", 2);
}

bool h1_out_data(struct h1_out *o, struct conn *c, const void *p, size_t n, bool *ret_room)
{
    *ret_room = true;
    if (n == 0)
        return true;
    switch ((enum h1_out_state)o->state) {
    case H1_OUT_LENGTH:
        if (n > o->left)
            return false;
        o->left -= n;
        *ret_room = conn_write(c, p, n);
        return true;
    case H1_OUT_CHUNKED:
        *ret_room = chunk_write(c, p, n);
        return true;
    case H1_OUT_RAW:
        *ret_room = conn_write(c, p, n);
        return true;
    case H1_OUT_HEAD:
    case H1_OUT_NONE:
    case H1_OUT_DONE:
        break;
    }
    return false;
}

bool h1_out_end(struct h1_out *o, struct conn *c, const struct headers *trailers)
{
    if (o->state == H1_OUT_HEAD || (o->state == H1_OUT_LENGTH && o->left > 0))
        return false;
    if (o->state == H1_OUT_CHUNKED && trailers && trailers->n > 0)
        h1_write_trailers(c, trailers);
    else if (o->state == H1_OUT_CHUNKED)
        conn_write(c, "0\r\n\r\n", 5);
    o->state = H1_OUT_DONE;
    return true;
}

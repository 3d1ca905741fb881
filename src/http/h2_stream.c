/* HTTP/2 streams: their memory, and what their users call; frames go out by h2.c's flush. Loop
   thread only. */
#include "http/h2_priv.h"

/* ---- memory ---- */
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
    struct h2_stream *st = h->spare;
    if (st) {
        h->spare = (struct h2_stream *)(void *)st->link.next;
        h->n_spare--;
        struct buf out = st->out, trailer = st->trailer;
        memset(st, 0, sizeof(*st));
        st->out = out;
        st->trailer = trailer;
    } else {
        st = mem_alloc(sizeof(*st));
        if (!st)
            return NULL;
        buf_init_metered(&st->out, 8u << 20, loop_meter(h->c->loop));
        buf_init_metered(&st->trailer, H2_TRAILER_BYTES, loop_meter(h->c->loop));
    }
    st->s = (struct http_stream){ .ops = &h2_stream_ops, .ev = &http_no_events };
    st->h = h;
    st->id = id;
    list_add_tail(&h->streams, &st->link);
    h->n_streams++;
    return st;
}

void h2_stream_drop(struct h2_stream *st)
{
    struct h2 *h = st->h;
    h->queued -= st->out.n - st->out_at;
    list_del(&st->link);
    h->n_streams--;
    if (h->n_spare < (h->sc ? H2_SPARE : H2_SPARE_CLIENT) && st->out.cap <= H2_STREAM_LOW) {
        buf_clear(&st->out);
        buf_clear(&st->trailer);
        st->link.next = (struct list *)(void *)h->spare;
        h->spare = st;
        h->n_spare++;
        return;
    }
    buf_fini(&st->out);
    buf_fini(&st->trailer);
    mem_free(st);
}

static void free_stream(struct h2_stream *st)
{
    buf_fini(&st->out);
    buf_fini(&st->trailer);
    mem_free(st);
}

void h2_streams_lost(struct h2 *h, enum http_error e, const char *why)
{
    LIST_FOR_SAFE(it, tmp, &h->streams)
    {
        struct h2_stream *st = CONTAINER_OF(it, struct h2_stream, link);
        if (st->silent)
            continue;
        st->silent = true;
        st->s.ev->on_close(&st->s, st->in_done && st->out_done ? HTTP_OK : e, why);
    }
}

static struct h2_stream *stream_of(struct http_stream *s)
{
    return CONTAINER_OF(s, struct h2_stream, s);
}

struct server_conn *h2_server_conn_of(struct http_stream *s)
{
    return stream_of(s)->h->sc;
}

uint32_t h2_stream_id(struct http_stream *s)
{
    return (uint32_t)stream_of(s)->id;
}

void h2_streams_free(struct h2 *h)
{
    LIST_FOR_SAFE(it, tmp, &h->streams)
    {
        struct h2_stream *st = CONTAINER_OF(it, struct h2_stream, link);
        CHECK(st->silent);
        list_del(&st->link);
        free_stream(st);
    }
    while (h->spare) {
        struct h2_stream *st = h->spare;
        h->spare = (struct h2_stream *)(void *)st->link.next;
        free_stream(st);
    }
}

static void fail_stream(struct h2_stream *st, uint32_t code)
{
    st->reset = true;
    nghttp2_submit_rst_stream(st->h->ng, NGHTTP2_FLAG_NONE, st->id, code);
    h2_wake(st->h);
}

void h2_break_stream(struct h2_stream *st, enum http_error e, const char *why)
{
    /* st->reset is not set: this is the peer's doing, and counts. */
    (void)nghttp2_submit_rst_stream(st->h->ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_PROTOCOL_ERROR);
    h2_wake(st->h);
    if (st->silent)
        return;
    st->silent = true;
    st->s.ev->on_close(&st->s, e, why);
}

/* ---- bodies on their way out ---- */
static int submit_trailer(struct h2_stream *st)
{
    nghttp2_nv nv[H1_TRAILER_FIELDS];
    size_t n = 0;
    const char *p = st->trailer.p, *end = p + st->trailer.n;
    while (p < end && n < H1_TRAILER_FIELDS) {
        size_t name_n = strlen(p), value_n = strlen(p + name_n + 1);
        nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)p, (uint8_t *)(uintptr_t)(p + name_n + 1),
                                name_n, value_n, NGHTTP2_NV_FLAG_NONE };
        p += name_n + value_n + 2;
    }
    return nghttp2_submit_trailer(st->h->ng, st->id, nv, n);
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                         nghttp2_data_source *src, void *user)
{
    struct h2_stream *st = src->ptr;
    size_t have = st->out.n - st->out_at;
    (void)ng, (void)id, (void)out, (void)user;
    if (have == 0 && !st->ended) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > have)
        n = have;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    bool last = n == have && (st->ended || (st->end_known && st->left == 0));
    if (!last)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->trailer.n) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailer(st) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

/* ---- what the user calls ---- */
static void op_head(struct http_stream *s, const struct http_message *m, bool end)
{
    struct h2_stream *st = stream_of(s);
    struct h2 *h = st->h;
    nghttp2_nv nv[H2_FIELDS_MAX];
    char length[24];
    nghttp2_data_provider body = { .source.ptr = st, .read_callback = read_body };
    if (conn_closing(h->c))
        return;
    CHECK(!st->sent_head && m->status != 101);
    const char *scheme = !h->cl ? NULL : h->c->tls ? "https" : "http"; /* this connection's */
    size_t n = h2_head_nv(m, scheme, length, nv, ARRAY_LEN(nv));
    st->sent_head = true;
    st->ended = end;
    if (m->body == BODY_LENGTH) {
        st->left = m->length;
        /* What came by HTTP/1 with a length has no trailers; else they may still come. */
        st->end_known = h->sc != NULL && m->version != HTTP_2;
    }
    int r;
    if (h->sc) {
        r = nghttp2_submit_response(h->ng, st->id, nv, n, end ? NULL : &body);
    } else {
        st->method = m->method;
        st->id = nghttp2_submit_request(h->ng, NULL, nv, n, end ? NULL : &body, st);
        r = st->id < 0 ? st->id : 0;
    }
    if (r != 0)
        conn_abort(h->c, r == NGHTTP2_ERR_NOMEM ? IO_MEMORY : IO_OTHER);
    else
        h2_wake(h);
}

static void op_interim(struct http_stream *s, const struct http_message *m)
{
    struct h2_stream *st = stream_of(s);
    nghttp2_nv nv[H2_FIELDS_MAX];
    char length[24];
    if (conn_closing(st->h->c) || st->sent_head)
        return;
    size_t n = h2_head_nv(m, NULL, length, nv, ARRAY_LEN(nv));
    (void)nghttp2_submit_headers(st->h->ng, NGHTTP2_FLAG_NONE, st->id, NULL, nv, n, NULL);
    h2_wake(st->h);
}

static void resume_source(struct h2_stream *st)
{
    if (st->deferred) {
        st->deferred = false;
        (void)nghttp2_session_resume_data(st->h->ng, st->id);
    }
    h2_wake(st->h);
}

static bool op_data(struct http_stream *s, const void *p, size_t n)
{
    struct h2_stream *st = stream_of(s);
    struct h2 *h = st->h;
    if (conn_closing(h->c) || st->out_done || n == 0)
        return true;
    if (st->end_known && n > st->left) {
        fail_stream(st, NGHTTP2_INTERNAL_ERROR); /* more than the head promised */
        return true;
    }
    if (st->out_at > 0 && st->out_at >= st->out.n / 2) {
        buf_drop_front(&st->out, st->out_at);
        st->out_at = 0;
    }
    if (!buf_add(&st->out, p, n)) {
        fail_stream(st, NGHTTP2_INTERNAL_ERROR);
        return true;
    }
    if (st->end_known)
        st->left -= n;
    h->queued += n;
    resume_source(st);
    if (st->out.n - st->out_at <= H2_STREAM_HIGH && h->queued <= H2_QUEUE_HIGH)
        return true;
    st->starved = true;
    return false;
}

static void op_end(struct http_stream *s, const struct headers *trailers)
{
    struct h2_stream *st = stream_of(s);
    if (conn_closing(st->h->c) || st->ended || st->out_done)
        return;
    if (st->end_known && st->left > 0) {
        fail_stream(st,
                    NGHTTP2_INTERNAL_ERROR); /* less than promised: the peer must see the break */
        return;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; trailers && i < trailers->n; i++) {
        const struct header *f = &trailers->v[i];
        if (!http_trailer_allowed(f) || !header_value_valid(header_value(f)))
            continue;
        buf_str(&st->trailer, header_name(f));
        buf_char(&st->trailer, 0);
        buf_str(&st->trailer, header_value(f));
        buf_char(&st->trailer, 0);
        n++;
    }
    if (st->trailer.failed || n > H1_TRAILER_FIELDS) {
        fail_stream(st, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    st->ended = true;
    resume_source(st);
}

static void op_pause(struct http_stream *s, bool on)
{
    struct h2_stream *st = stream_of(s);
    st->paused = on;
    if (on || !st->unconsumed || conn_closing(st->h->c))
        return;
    if (st->h->sc)
        (void)nghttp2_session_consume(st->h->ng, st->id, st->unconsumed);
    else
        (void)nghttp2_session_consume_stream(st->h->ng, st->id, st->unconsumed);
    st->unconsumed = 0;
    h2_wake(st->h);
}

static void op_abort(struct http_stream *s, enum http_error why)
{
    struct h2_stream *st = stream_of(s);
    st->silent = true;
    if (conn_closing(st->h->c))
        return;
    if (st->id == 0) { /* a request that never got a head: nghttp2 does not know it */
        struct h2 *h = st->h;
        h2_stream_drop(st);
        if (h->cl)
            h2_client_stream_closed(h);
        return;
    }
    if (why == HTTP_ERR_TIMEOUT && st->h->sc && !conn_writable(st->h->c)) {
        conn_abort(st->h->c,
                   IO_OTHER); /* the client reads nothing: no RST_STREAM would ever leave */
        return;
    }
    bool cancel = why == HTTP_ERR_CANCEL || why == HTTP_ERR_TIMEOUT;
    fail_stream(st, cancel ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
}

static struct conn *op_conn(struct http_stream *s)
{
    return stream_of(s)->h->c;
}

const struct http_stream_ops h2_stream_ops = { op_head,  op_interim, op_data, op_end,
                                               op_pause, op_abort,   op_conn };

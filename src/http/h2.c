/* The HTTP/2 session both sides share: frames in through nghttp2's callbacks, frames out in flush,
   flow control. Loop thread only. */
#include "http/h2_priv.h"

static struct h2_stream *find(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->ng, id);
}

/* ---- callbacks: reading ---- */
/* RFC 9113 section 5.1.1: ids only go up, and one that was passed over can never be opened. nghttp2
   takes it for a late frame of a closed stream; those have been opened lately. */
static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
    const struct h2 *h = user;
    uint32_t n = h->n_opened < H2_OPENED ? h->n_opened : H2_OPENED;
    int32_t oldest = INT32_MAX;
    if (h->sc && hd->type > NGHTTP2_CONTINUATION)
        h2_abuse_noise((struct h2 *)user, "frames of an unknown type");
    if (!h->sc || hd->type != NGHTTP2_HEADERS || hd->stream_id >= h->newest)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (h->opened[i] == hd->stream_id)
            return 0;
        oldest = h->opened[i] < oldest ? h->opened[i] : oldest;
    }
    bool known_past = h->n_opened > H2_OPENED && hd->stream_id < oldest;
    if (!known_past)
        nghttp2_session_terminate_session(ng, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct h2 *h = user;
    h->in_block = true;
    h->block = NULL;
    h2_head_begin(&h->head);
    if (h->sc) { /* limits of now: the connection may be older than the configuration */
        h->head_limit = h->sc->srv->conf.h1.head_bytes;
        h->header_limit = h->sc->srv->conf.h1.headers;
        server_arm(h->sc, h->sc->srv->conf.header);
    }
    if (f->headers.cat != NGHTTP2_HCAT_REQUEST) {
        h->block = find(h, f->hd.stream_id);
        return 0;
    }
    struct h2_stream *st = h2_stream_new(h, f->hd.stream_id);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h->block = st;
    nghttp2_session_set_stream_user_data(ng, f->hd.stream_id, st);
    h->opened[h->n_opened++ % H2_OPENED] = f->hd.stream_id;
    h->newest = f->hd.stream_id > h->newest ? f->hd.stream_id : h->newest;
    h2_abuse_useful(h);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct h2 *h = user;
    struct h2_stream *st = h->block;
    bool large = false;
    (void)ng, (void)flags, (void)f;
    if (!st)
        return 0;
    if (!h2_head_add(&h->head, h->head_limit + 32 * h->header_limit,
                     (struct str){ (const char *)name, name_n },
                     (struct str){ (const char *)value, value_n }, &large)) {
        h2_abuse(h, "header block too large");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (large || h->head.n > h->header_limit)
        st->too_large = true;
    return 0;
}

static void on_block_end(struct h2 *h, const nghttp2_frame *f)
{
    struct h2_stream *st = h->block;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h->in_block = false;
    h->block = NULL;
    if (h->sc)
        h2_server_block_end(h);
    if (!st)
        return;
    if (st->headed && st->too_large) { /* part of them would be taken for the whole */
        h2_break_stream(st, HTTP_ERR_TOO_LARGE, "trailers too large");
        return;
    }
    if (st->headed) { /* trailers; nghttp2 has seen to END_STREAM */
        struct headers trailers;
        h2_head_trailers(&h->head, &trailers);
        st->in_done = true;
        if (!st->silent)
            st->s.ev->on_end(&st->s, &trailers);
        return;
    }
    if (h->sc)
        h2_server_head(st, end);
    else
        h2_client_head(st, end);
}

static void on_data_end(struct h2 *h, const nghttp2_frame *f)
{
    struct h2_stream *st = find(h, f->hd.stream_id);
    if (f->hd.length == 0 && !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
        h2_abuse_control(h, "empty DATA frames");
    if (!st || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return;
    st->in_done = true;
    if (!st->silent)
        st->s.ev->on_end(&st->s, NULL);
}

/* Who has waited until its answer began, and lets go of it then, has asked for no more than who
   hears it to the end: calls that are cancelled after their first message are everyday gRPC. */
static void on_reset(struct h2 *h, const nghttp2_frame *f)
{
    const struct h2_stream *st = find(h, f->hd.stream_id);
    if (!st || !st->sent_head || !st->left_us)
        h2_abuse_reset(h, "rapid reset");
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct h2 *h = user;
    (void)ng;
    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
        on_block_end(h, f);
        break;
    case NGHTTP2_DATA:
        on_data_end(h, f);
        break;
    case NGHTTP2_SETTINGS:
        h2_abuse_control(h, "SETTINGS flood");
        if (h->cl && !(f->hd.flags & NGHTTP2_FLAG_ACK))
            h2_client_settings(h);
        break;
    case NGHTTP2_PING:
        h2_abuse_control(h, "PING flood");
        break;
    case NGHTTP2_PRIORITY:
        h2_abuse_control(h, "PRIORITY flood");
        break;
    case NGHTTP2_WINDOW_UPDATE:
        h2_abuse_noise(h, "WINDOW_UPDATE flood");
        break;
    case NGHTTP2_RST_STREAM:
        on_reset(h, f);
        break;
    case NGHTTP2_GOAWAY:
        if (h->cl)
            h2_client_goaway(h);
        break;
    default:
        break;
    }
    return 0;
}

/* A frame that broke the rules; nghttp2 answers it with RST_STREAM, which sent_reset counts, or
 * GOAWAY. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *f, int error, void *user)
{
    struct h2 *h = user;
    (void)ng, (void)error;
    h->in_block = f->hd.type == NGHTTP2_HEADERS ? false : h->in_block;
    return 0;
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                         void *user)
{
    struct h2 *h = user;
    struct h2_stream *st = find(h, id);
    (void)flags;
    /* What a client's paused upload has sent stays in the window of its connection too, so that all
     * its uploads together are bounded. An upstream's connection is shared by many clients: a slow
     * one must not hold it. */
    bool hold = st && h->sc;
    if (!hold)
        nghttp2_session_consume_connection(ng, n);
    if (st && !st->silent)
        st->s.ev->on_data(&st->s, (const char *)p, n);
    if (st && !st->silent && st->paused)
        st->unconsumed += (uint32_t)n;
    else if (hold)
        (void)nghttp2_session_consume(ng, id, n);
    else
        nghttp2_session_consume_stream(ng, id, n);
    return 0;
}

static enum http_error error_of(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return HTTP_ERR_REFUSED;
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_COMPRESSION_ERROR:
    case NGHTTP2_FRAME_SIZE_ERROR:
        return HTTP_ERR_PROTOCOL;
    default:
        return HTTP_ERR_RESET;
    }
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    struct h2 *h = user;
    struct h2_stream *st = find(h, id);
    if (!st)
        return 0;
    if (h->block == st)
        h->block = NULL;
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    if (st->unconsumed && h->sc)
        nghttp2_session_consume_connection(ng, st->unconsumed);
    bool whole = st->out_done && (st->in_done || (h->sc && code == NGHTTP2_NO_ERROR));
    bool silent = st->silent;
    st->silent = true;
    /* A request that a GOAWAY overtook was never sent: any may be sent elsewhere. */
    enum http_error e = h->cl && !st->left_us ? HTTP_ERR_REFUSED : error_of(code);
    if (!silent)
        st->s.ev->on_close(&st->s, whole ? HTTP_OK : e, whole ? "" : nghttp2_http2_strerror(code));
    h2_stream_drop(st);
    if (h->sc)
        h2_server_stream_closed(h);
    else
        h2_client_stream_closed(h);
    return 0;
}

/* ---- callbacks: writing ---- */
static ssize_t on_send(nghttp2_session *ng, const uint8_t *p, size_t n, int flags, void *user)
{
    struct h2 *h = user;
    (void)ng, (void)flags;
    if (!conn_writable(h->c))
        return NGHTTP2_ERR_WOULDBLOCK;
    conn_write(h->c, p, n);
    return (ssize_t)n;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head, size_t n,
                        nghttp2_data_source *src, void *user)
{
    struct h2 *h = user;
    struct h2_stream *st = src->ptr;
    (void)ng, (void)f;
    if (!conn_writable(h->c))
        return NGHTTP2_ERR_WOULDBLOCK;
    conn_write(h->c, head, 9);
    if (n > 0) /* an empty last frame: there may never have been a buffer */
        conn_write(h->c, st->out.p + st->out_at, n);
    st->out_at += n;
    h->queued -= n;
    if (n >= H2_USEFUL_DATA || st->out_at == st->out.n)
        h2_abuse_useful(h); /* not cut short by a window opened byte by byte */
    if (st->out_at == st->out.n) {
        buf_clear(&st->out);
        st->out_at = 0;
    }
    return 0;
}

/* What makes us reset streams counts as if the peer had reset them (MadeYouReset), whatever the
 * way: all but our own decisions. */
static void sent_reset(struct h2 *h, const nghttp2_frame *f)
{
    const struct h2_stream *st = find(h, f->hd.stream_id);
    if (f->rst_stream.error_code != NGHTTP2_NO_ERROR && !(st && st->reset))
        h2_abuse_reset(h, "streams broken on purpose");
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct h2 *h = user;
    if (f->hd.type == NGHTTP2_RST_STREAM && h->sc)
        sent_reset(h, f);
    if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_stream *st = find(h, f->hd.stream_id);
    if (!st)
        return 0;
    st->left_us = true;
    if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    st->out_done = true;
    /* Answered before the request was whole: the rest is not wanted (RFC 9113 section 8.1). */
    if (h->sc && !st->in_done)
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- the session ---- */
void h2_wake(struct h2 *h)
{
    loop_defer(h->c->loop, &h->flush);
}

/* The sources that were told to wait may go on. */
static void resume_sources(struct h2 *h)
{
    if (h->queued > H2_QUEUE_HIGH / 2)
        return;
    LIST_FOR_SAFE(it, tmp, &h->streams)
    {
        struct h2_stream *st = CONTAINER_OF(it, struct h2_stream, link);
        if (!st->starved || st->silent || st->out.n - st->out_at > H2_STREAM_LOW)
            continue;
        st->starved = false;
        st->s.ev->on_drain(&st->s);
    }
}

void h2_flush(struct h2 *h)
{
    if (conn_closing(h->c))
        return;
    int r = nghttp2_session_send(h->ng);
    if (conn_closing(h->c))
        return;
    if (r != 0) {
        conn_abort(h->c, r == NGHTTP2_ERR_NOMEM ? IO_MEMORY : IO_OTHER);
        return;
    }
    resume_sources(h);
    if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng) &&
        !conn_closing(h->c))
        conn_close(h->c, HTTP_LINGER);
}

static void flush_task(struct task *t)
{
    h2_flush(CONTAINER_OF(t, struct h2, flush));
}

void h2_input(struct h2 *h, const char *p, size_t n)
{
    ssize_t r = nghttp2_session_mem_recv(h->ng, (const uint8_t *)p, n);
    if (conn_closing(h->c))
        return;
    if (r < 0) {
        if (h->sc && r == NGHTTP2_ERR_FLOODED)
            server_conn_event(h->sc, HTTP_CONN_ABUSE, "frames that must be answered");
        nghttp2_session_terminate_session(
            h->ng, r == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
        (void)nghttp2_session_send(h->ng);
        if (!conn_closing(h->c))
            conn_close(h->c, HTTP_LINGER);
        return;
    }
    h2_wake(h);
}

static nghttp2_session_callbacks *callbacks_make(void)
{
    nghttp2_session_callbacks *cb;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    return cb;
}

bool h2_open(struct h2 *h, struct conn *c, bool server, uint32_t streams, uint32_t window)
{
    h->c = c;
    h->flush.fn = flush_task;
    list_init(&h->streams);
    buf_init_metered(&h->head.bytes, 2u * H2_HEAD_TOTAL, loop_meter(c->loop));
    h->control.last = h->resets.last = h->noise.last = loop_now(c->loop);
    nghttp2_session_callbacks *cb = callbacks_make();
    nghttp2_option *opt = NULL;
    if (!cb || nghttp2_option_new(&opt) != 0) {
        nghttp2_session_callbacks_del(cb);
        return false;
    }
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_max_outbound_ack(opt, 500);
    nghttp2_mem mem = h2_memory(c->loop); /* copied */
    int r = server ? nghttp2_session_server_new3(&h->ng, cb, h, opt, &mem)
                   : nghttp2_session_client_new3(&h->ng, cb, h, opt, &mem);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    if (r != 0)
        return false;
    nghttp2_settings_entry s[5];
    size_t n = 0;
    s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window };
    if (server) {
        s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams };
        s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->head_limit };
    } else {
        s[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    }
    if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, s, n) != 0 ||
        nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, H2_WINDOW_CONN) != 0)
        return false;
    h2_wake(h);
    return true;
}

void h2_close(struct h2 *h)
{
    loop_cancel(h->c->loop, &h->flush);
    nghttp2_session_del(h->ng);
    h2_streams_free(h);
    h2_head_fini(&h->head);
    mem_free(h);
}

/* HTTP/1 to an upstream: one request at a time. What follows an answer without having been asked
   for ends the connection (T9: nobody may be given bytes that were meant for, or made by, somebody
   else). Loop thread only. */
#include "http/http_priv.h"

static struct client *client_of_stream(struct http_stream *s)
{
    return CONTAINER_OF(s, struct client, h1.s);
}

static void finish_task(struct task *t)
{
    struct client *cl = CONTAINER_OF(t, struct client, task);
    struct h1_client_stream *st = &cl->h1;
    if (!st->active || st->in.state != H1_IN_DONE || st->out.state != H1_OUT_DONE || !st->headed ||
        conn_closing(&cl->c))
        return;
    bool silent = st->silent;
    st->active = false;
    st->silent = true;
    cl->pub.streams = 0;
    if (!silent)
        st->s.ev->on_close(&st->s, HTTP_OK, "");
    if (conn_closing(&cl->c))
        return;
    if (!st->keep || cl->in.n) {
        client_end(cl, HTTP_OK, "");
        conn_close(&cl->c, (struct dur){ 0 });
        return;
    }
    if (st->paused)
        conn_read_resume(&cl->c);
    st->paused = false;
    cl->pub.ev->on_idle(&cl->pub);
}

void h1_client_start(struct client *cl)
{
    cl->task.fn = finish_task;
    cl->pub.max_streams = 1;
}

struct http_stream *h1_client_request(struct client *cl)
{
    struct h1_client_stream *st = &cl->h1;
    if (st->active || cl->ended || cl->task.queued)
        return NULL;
    h1_in_fini(&st->in);
    *st = (struct h1_client_stream){ .s = { .ops = &h1_client_stream_ops, .ev = &http_no_events },
                                     .active = true };
    st->in.state = H1_IN_DONE; /* until the head is there */
    return &st->s;
}

/* ---- reading ---- */
/* The request has been written whole. */
static bool asked_whole(const struct h1_client_stream *st)
{
    return st->out.state == H1_OUT_DONE || (st->out.state == H1_OUT_LENGTH && st->out.left == 0);
}

/* The answer is complete. An upstream that answered before the end of a request may take the rest
   of it for another one: its connection is not used again (CL.0). */
static void answer_ends(struct client *cl)
{
    if (!asked_whole(&cl->h1))
        cl->h1.keep = false;
    loop_defer(cl->c.loop, &cl->task);
}

static void on_final_head(struct client *cl, struct http_message *m)
{
    struct h1_client_stream *st = &cl->h1;
    st->headed = true;
    if (m->status == 101) {
        st->tunnel = true;
        st->out.state = H1_OUT_RAW;
        m->body = BODY_STREAM;
    }
    h1_in_start(&st->in, m);
    st->keep = m->keep_alive && st->in.state != H1_IN_EOF;
    if (!st->silent)
        st->s.ev->on_head(&st->s, m, st->in.state == H1_IN_DONE);
    if (st->in.state == H1_IN_DONE)
        answer_ends(cl);
}

/* Bytes used of a head; 0 when there is not enough of it. */
static size_t read_head(struct client *cl, const char *p, size_t n)
{
    struct h1_client_stream *st = &cl->h1;
    struct header hv[H1_MAX_HEADERS + HTTP_SPARE_HEADERS];
    struct http_message m;
    size_t used;
    const char *why;
    enum h1_result r =
        h1_parse_response(p, n, &cl->conf.h1, st->method, hv, H1_MAX_HEADERS, &m, &used, &why);
    if (r == H1_MORE)
        return 0;
    if (r == H1_OK && m.status == 101 &&
        (!st->upgrade || !header_list_has(str_from(st->offered), m.upgrade))) {
        r = H1_BAD;
        why = "101 that was not asked for";
    }
    if (r == H1_OK && m.status == 101 && !asked_whole(st)) { /* RFC 9110 section 7.8 */
        r = H1_BAD;
        why = "101 before the end of the request";
    }
    if (r == H1_OK && m.status < 200 && m.status != 101 && ++st->interims > H1_INTERIM_MAX) {
        r = H1_BAD;
        why = "too many interim answers";
    }
    if (r != H1_OK) {
        client_fail(cl, r == H1_TOO_LARGE ? HTTP_ERR_TOO_LARGE : HTTP_ERR_PROTOCOL, why);
        return n;
    }
    m.headers.cap = ARRAY_LEN(hv);
    if (m.status >= 200 || m.status == 101)
        on_final_head(cl, &m);
    else if (!st->silent)
        st->s.ev->on_interim(&st->s, &m);
    return used;
}

static size_t read_body(struct client *cl, const char *p, size_t n)
{
    struct h1_client_stream *st = &cl->h1;
    size_t used = 0;
    switch (h1_in_feed(&st->in, &cl->c, st->silent ? NULL : &st->s, (struct str){ p, n }, &used)) {
    case H1_FEED_END:
        answer_ends(cl);
        break;
    case H1_FEED_BAD:
        client_fail(cl, HTTP_ERR_PROTOCOL, "malformed chunked body");
        return n;
    case H1_FEED_MORE:
    case H1_FEED_STOP:
        break;
    }
    return used;
}

static size_t consume(struct client *cl, const char *p, size_t n)
{
    struct h1_client_stream *st = &cl->h1;
    size_t at = 0;
    while (at < n && !conn_closing(&cl->c)) {
        size_t used;
        if (!st->active || st->out.state == H1_OUT_HEAD || st->asked == loop_now(cl->c.loop)) {
            /* Those of the turn in which the request was written came before it, and none of it
             * needs to be lost for that. */
            client_fail(cl, cl->pub.requests > 1 ? HTTP_ERR_STALE : HTTP_ERR_PROTOCOL,
                        "bytes that were not asked for");
            return n;
        }
        if (!st->headed)
            used = read_head(cl, p + at, n - at);
        else if (st->in.state != H1_IN_DONE)
            used = read_body(cl, p + at, n - at);
        else {
            st->keep = false; /* more than the answer */
            return n;
        }
        if (used == 0)
            return at;
        at += used;
    }
    return at;
}

void h1_client_input(struct client *cl, const char *p, size_t n)
{
    cl->h1.answered = true;
    if (cl->in.n) {
        if (!buf_add(&cl->in, p, n)) {
            client_fail(cl, HTTP_ERR_MEMORY, "out of memory");
            return;
        }
        if (!memchr(p, '\n', n) && cl->in.n < cl->conf.h1.head_bytes)
            return;
        size_t used = consume(cl, cl->in.p, cl->in.n);
        if (!conn_closing(&cl->c))
            buf_drop_front(&cl->in, used);
        if (cl->in.n == 0)
            buf_fini(&cl->in);
        return;
    }
    size_t used = consume(cl, p, n);
    if (used < n && !conn_closing(&cl->c) && !buf_add(&cl->in, p + used, n - used))
        client_fail(cl, HTTP_ERR_MEMORY, "out of memory");
}

void h1_client_eof(struct client *cl)
{
    struct h1_client_stream *st = &cl->h1;
    if (!st->active || st->in.state != H1_IN_EOF) {
        if (st->active && st->headed && st->in.state == H1_IN_DONE) {
            st->keep =
                false; /* answered already; the user may still be sending, or finish_task is due */
            if (st->out.state == H1_OUT_DONE)
                return;
        }
        client_end(cl, HTTP_OK, "");
        conn_abort(&cl->c, IO_EOF);
        return;
    }
    st->in.state = H1_IN_DONE;
    if (!st->silent)
        st->s.ev->on_end(&st->s, NULL);
    loop_defer(cl->c.loop, &cl->task);
}

void h1_client_closed(struct client *cl, enum io_err e)
{
    struct h1_client_stream *st = &cl->h1;
    h1_in_fini(&st->in);
    if (!st->active)
        return;
    st->active = false;
    cl->pub.streams = 0;
    if (st->silent)
        return;
    const char *why;
    enum http_error he = client_stream_error(cl, e, !st->answered, &why);
    st->s.ev->on_close(&st->s, he, why);
}

/* ---- writing ---- */
static void op_head(struct http_stream *s, const struct http_message *m, bool end)
{
    struct client *cl = client_of_stream(s);
    struct h1_client_stream *st = &cl->h1;
    struct h1_framing f = { 0 };
    st->asked = loop_now(cl->c.loop);
    st->method = m->method;
    st->upgrade = m->upgrade.n > 0 && m->upgrade.n < sizeof(st->offered);
    if (st->upgrade)
        memcpy(st->offered, m->upgrade.p, m->upgrade.n);
    if (conn_closing(&cl->c))
        return;
    if (m->body == BODY_LENGTH && (end || !h1_must_chunk(m))) {
        f.how = FRAME_LENGTH;
        f.length = st->out.left = m->length;
    } else if (!end) {
        f.how = FRAME_CHUNKED;
    } else if (m->method == METHOD_POST || m->method == METHOD_PUT || m->method == METHOD_PATCH) {
        f.how = FRAME_LENGTH; /* RFC 9110 section 8.6 */
    }
    if (m->upgrade.n)
        f.connection = m->te_trailers ? "upgrade, te" : "upgrade";
    else if (m->te_trailers)
        f.connection = "te";
    h1_write_request(&cl->c, m, &f);
    st->out.state = end ? H1_OUT_DONE : f.how == FRAME_CHUNKED ? H1_OUT_CHUNKED : H1_OUT_LENGTH;
}

static void op_interim(struct http_stream *s, const struct http_message *m)
{
    (void)s, (void)m;
    CHECK(false && "a client sends no interim answers");
}

static bool op_data(struct http_stream *s, const void *p, size_t n)
{
    struct client *cl = client_of_stream(s);
    bool room = true;
    if (conn_closing(&cl->c))
        return true;
    if (!h1_out_data(&cl->h1.out, &cl->c, p, n, &room))
        client_fail(cl, HTTP_ERR_PROTOCOL, "more request body than its length");
    return room;
}

static void op_end(struct http_stream *s, const struct headers *trailers)
{
    struct client *cl = client_of_stream(s);
    struct h1_client_stream *st = &cl->h1;
    if (conn_closing(&cl->c) || st->out.state == H1_OUT_DONE)
        return;
    if (st->tunnel) {
        st->out.state = H1_OUT_DONE;
        conn_shutdown(&cl->c);
    } else if (!h1_out_end(&st->out, &cl->c, trailers)) {
        client_fail(cl, HTTP_ERR_CANCEL, "less request body than its length");
        return;
    }
    loop_defer(cl->c.loop, &cl->task);
}

static void op_pause(struct http_stream *s, bool on)
{
    struct client *cl = client_of_stream(s);
    if (conn_closing(&cl->c) || cl->h1.paused == on)
        return;
    cl->h1.paused = on;
    if (on)
        conn_read_pause(&cl->c);
    else
        conn_read_resume(&cl->c);
}

static void op_abort(struct http_stream *s, enum http_error why)
{
    struct client *cl = client_of_stream(s);
    (void)why;
    cl->h1.silent = true;
    client_end(cl, HTTP_OK, "");
    if (!conn_closing(&cl->c))
        conn_abort(&cl->c, IO_OK);
}

static struct conn *op_conn(struct http_stream *s)
{
    return &client_of_stream(s)->c;
}

const struct http_stream_ops h1_client_stream_ops = { op_head,  op_interim, op_data, op_end,
                                                      op_pause, op_abort,   op_conn };

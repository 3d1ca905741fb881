/* What Weir itself answers: problem+json (RFC 9457) or grpc-status, redirects, fixed replies; and
 * the one door every response head goes through. Worker threads. */
#include "codec/node.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"

/* Of our own answers: what is written here, and the same room for filters and edits that an
 * upstream's answer has. */
enum { REPLY_HEADERS_MAX = 16 + HTTP_SPARE_HEADERS };

/* https://grpc.io: mapping of HTTP status to gRPC status; 429 and 504 as callers expect of a proxy
 * that sheds and times out. */
static const char *grpc_status(uint16_t http)
{
    static const struct {
        uint16_t http;
        const char *grpc;
    } map[] = { { 400, "13" }, { 401, "16" }, { 403, "7" },  { 404, "12" }, { 408, "4" },
                { 413, "8" },  { 429, "8" },  { 502, "14" }, { 503, "14" }, { 504, "4" } };
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].http == http)
            return map[i].grpc;
    return "2";
}

static bool add(struct http_message *m, struct str name, struct str value)
{
    return headers_add(&m->headers, name, value);
}

static bool add_own(struct http_message *m, enum header_id id, struct str value)
{
    return headers_add_own(&m->headers, id, value);
}

/* Response filters in reverse order, then the route's edits. A filter may replace the response by
 * exchange_reply. */
static bool run_response_filters(struct exchange *x, struct http_message *m)
{
    const struct policy_runtime *pr = x->policy->runtime;
    for (size_t i = pr ? x->filter_at : 0; i-- > 0;) {
        const struct filter *f = &pr->v[i];
        if (!f->type->on_response)
            continue;
        x->replied = false;
        x->filter_at = (uint8_t)i; /* a replacement runs only the filters before this one */
        f->type->on_response(x, f, x->filter_state[i], m);
        if (x->replied)
            return false;
    }
    return true;
}

void exchange_send_head(struct exchange *x, struct http_message *m, bool end)
{
    bool dated = false;
    m->close_after = x->close_after;
    for (struct header *h = m->headers.v, *stop = headers_end(&m->headers); h < stop; h++) {
        if (h->id == HDR_X_REQUEST_ID)
            h->flags |= HDR_F_REMOVED;
        dated |= h->id == HDR_DATE && header_live(h);
    }
    uint8_t ran = x->filter_at;
    bool kept = run_response_filters(x, m);
    x->filter_at = ran; /* on_done is owed to all that ran */
    if (!kept)
        return;
    exchange_apply_edits(x, m, true);
    /* One of each: that of a filter or an edit where there is one. */
    bool edited = ran || (x->match.action && x->match.action->edits.n);
    if (!dated && !(edited && headers_find_id(&m->headers, HDR_DATE)))
        (void)add_own(m, HDR_DATE, worker_date(x->w));
    if (x->request_id.n && !(edited && headers_find_id(&m->headers, HDR_X_REQUEST_ID)))
        (void)add_own(m, HDR_X_REQUEST_ID, x->request_id);
    for (uint8_t i = 0; i < x->n_resp_headers; i++)
        (void)add(m, header_name(&x->resp_headers[i]), header_value(&x->resp_headers[i]));
    x->status = m->status;
    x->resp_started = true;
    http_send_head(x->down, m, end);
}

/* Sends a whole response of ours. */
static void send_reply(struct exchange *x, struct http_message *m, struct str body)
{
    exchange_set_state(x, X_REPLY);
    x->wake_at = x->deadline_request = x->deadline_try = 0; /* they were the service's */
    x->last_activity = loop_now(x->w->loop);
    bool head_only = x->req.method == METHOD_HEAD;
    bool no_body = m->status == 204 || m->status == 304;
    m->version = HTTP_11;
    m->body = BODY_LENGTH;
    m->length = body.n;
    if (no_body)
        m->body = BODY_NONE;
    if (head_only && !no_body) {
        m->body = BODY_NONE;
        struct str n = arena_try_fmt(&x->arena, "%zu", body.n);
        if (n.n)
            (void)add(m, STR("content-length"), n);
    }
    bool end = m->body == BODY_NONE || body.n == 0;
    struct http_stream *down = x->down;
    exchange_send_head(x, m, end);
    if (x->down != down || !x->resp_started)
        return;
    x->resp_ended = true;
    if (!end) {
        x->bytes_out += body.n;
        http_send_data(x->down, body.p, body.n);
        http_send_end(x->down, NULL);
    }
    exchange_arm(x);
}

/* RFC 9209: who failed and why. */
static void add_proxy_status(struct exchange *x, struct http_message *m)
{
    if (x->fail == FAIL_NONE || !x->fail_why)
        return;
    struct str ps = arena_try_fmt(&x->arena, "weir; error=%s", x->fail_why);
    if (ps.n)
        (void)add(m, STR("proxy-status"), ps);
}

/* https://grpc.io, "Status-Message": a percent sign and what is not printable ASCII is
 * percent-encoded. */
static struct str grpc_message(struct exchange *x, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_try_bytes(&x->arena, 3 * s.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        bool plain = c >= ' ' && c <= '~' && c != '%';
        out[n++] = plain ? (char)c : '%';
        if (!plain) {
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    return (struct str){ out, n };
}

static void grpc_reply(struct exchange *x, const struct reply *r)
{
    struct header hv[REPLY_HEADERS_MAX];
    struct http_message m = { .status = 200,
                              .headers = { .v = hv, .cap = ARRAY_LEN(hv) },
                              .body = BODY_NONE,
                              .version = HTTP_2 };
    exchange_set_state(x, X_REPLY);
    (void)add(&m, STR("content-type"), STR("application/grpc"));
    (void)add(&m, STR("grpc-status"), str_from(grpc_status(r->status)));
    (void)add(&m, STR("grpc-message"), grpc_message(x, r->detail));
    add_proxy_status(x, &m);
    x->resp_ended = true;
    exchange_send_head(x, &m, true);
    exchange_arm(x);
}

void exchange_problem(struct exchange *x, const struct reply *r)
{
    if (x->grpc) {
        grpc_reply(x, r);
        return;
    }
    struct buf b;
    buf_init(&b, 4096);
    buf_fmt(&b, "{\"type\":\"https://weir.dev/problems/%s\",\"title\":", r->slug);
    json_escape(http_status_reason(r->status), &b);
    buf_fmt(&b, ",\"status\":%u,\"detail\":", r->status);
    json_escape(str_sub(r->detail, 0, 1024), &b);
    buf_str(&b, STR(",\"request_id\":"));
    json_escape(x->request_id, &b);
    buf_str(&b, STR("}\n"));
    struct header hv[REPLY_HEADERS_MAX];
    struct http_message m = { .status = r->status, .headers = { .v = hv, .cap = ARRAY_LEN(hv) } };
    (void)add(&m, STR("content-type"), STR("application/problem+json"));
    (void)add(&m, STR("server"), STR("weir"));
    add_proxy_status(x, &m);
    send_reply(x, &m, buf_view(&b));
    buf_fini(&b);
}

void exchange_fail(struct exchange *x, enum fail_side side, const char *why, const struct reply *r)
{
    x->fail = (uint8_t)side;
    x->fail_why = why;
    if (x->resp_started || !x->down) {
        if (x->down)
            http_stream_abort(x->down, HTTP_ERR_RESET);
        x->down = NULL;
        exchange_drop_upstream(x, HTTP_ERR_CANCEL);
        exchange_finish(x);
        return;
    }
    exchange_problem(x, r);
}

void exchange_reply(struct exchange *x, uint16_t status, const char *slug, struct str detail)
{
    struct reply r = { .status = status, .slug = slug, .detail = detail };
    CHECK(!x->resp_started);
    x->fail = FAIL_US;
    x->fail_why = "http_request_denied";
    exchange_drop_upstream(x, HTTP_ERR_CANCEL);
    exchange_problem(x, &r);
    x->replied = true;
}

/* ---- redirect and fixed reply ---- */
static struct str default_port(bool tls, uint16_t port)
{
    return (port == 0 || port == (tls ? 443 : 80)) ? STR("") : STR(":");
}

void exchange_redirect(struct exchange *x)
{
    const struct action *a = x->match.action;
    size_t cap = x->req.target.n + a->path.n + 1024;
    char *out = arena_try_bytes(&x->arena, cap);
    struct str path;
    if (!out || !decide_path(&x->match, &x->req, out, cap, &path)) {
        exchange_fail(x, FAIL_US, "proxy_internal_response",
                      &(struct reply){ 503, "overloaded", STR("No memory for this request.") });
        return;
    }
    struct str scheme = a->scheme.n ? a->scheme : x->req.tls ? STR("https") : STR("http");
    struct str host = a->host.n ? a->host : x->host;
    if (host.n == 0) { /* HTTP/1.0 without Host; "//x" alone would lead elsewhere */
        exchange_fail(x, FAIL_CLIENT, "http_request_error",
                      &(struct reply){ 400, "bad-host",
                                       STR("A redirect needs the host that was asked for.") });
        return;
    }
    bool tls = str_eq(scheme, STR("https"));
    uint16_t port = a->port;
    if (port == 0 && !a->scheme.n) { /* same scheme: the port the client used stays, Gateway API
                                        HTTPRequestRedirectFilter.port */
        struct str h;
        uint16_t came = 0;
        if (authority_parse(x->req.authority, &h, &came))
            port = came;
    }
    struct str colon = default_port(tls, port);
    struct str location = colon.n ? arena_try_fmt(&x->arena, "%.*s://%.*s:%u%.*s", STR_FMT(scheme),
                                                  STR_FMT(host), port, STR_FMT(path))
                                  : arena_try_fmt(&x->arena, "%.*s://%.*s%.*s", STR_FMT(scheme),
                                                  STR_FMT(host), STR_FMT(path));
    if (!location.p) {
        exchange_fail(x, FAIL_US, "proxy_internal_response",
                      &(struct reply){ 503, "overloaded", STR("No memory for this request.") });
        return;
    }
    struct header hv[REPLY_HEADERS_MAX];
    struct http_message m = { .status = a->status, .headers = { .v = hv, .cap = ARRAY_LEN(hv) } };
    (void)add(&m, STR("location"), location);
    (void)add(&m, STR("server"), STR("weir"));
    send_reply(x, &m, STR(""));
}

void exchange_options_reply(struct exchange *x)
{
    struct header hv[REPLY_HEADERS_MAX];
    struct http_message m = { .status = 200, .headers = { .v = hv, .cap = ARRAY_LEN(hv) } };
    (void)add(&m, STR("allow"), STR(EXCHANGE_METHODS));
    (void)add(&m, STR("server"), STR("weir"));
    send_reply(x, &m, STR(""));
}

void exchange_fixed_reply(struct exchange *x)
{
    const struct action *a = x->match.action;
    struct header hv[REPLY_HEADERS_MAX];
    struct http_message m = { .status = a->status, .headers = { .v = hv, .cap = ARRAY_LEN(hv) } };
    if (a->body.n)
        (void)add(&m, STR("content-type"),
                  a->content_type.n ? a->content_type : STR("text/plain; charset=utf-8"));
    (void)add(&m, STR("server"), STR("weir"));
    send_reply(x, &m, a->body);
}

/* The life of an exchange: start, route, filters, client side, end. What talks to the upstream is
 * exchange_upstream.c. Worker threads. */
#include "proxy/exchange.h"

#include "base/rand.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

enum { STATUS_CLIENT_CLOSED = 499 }; /* never sent: what logs and metrics call a client that left */

static void on_timer(struct timer *t);

void exchange_set_state(struct exchange *x, enum exchange_phase to)
{
    CHECK(x->state != X_DONE);
    x->state = (uint8_t)to;
}

static struct exchange *exchange_new(struct worker_listener *l, struct http_stream *s)
{
    struct exchange *x = worker_exchange(l->w);
    if (!x) {
        http_stream_abort(s, HTTP_ERR_MEMORY);
        return NULL;
    }
    x->w = l->w;
    x->l = l;
    x->pin = pin_ref(l->conf_pin);
    x->down = s;
    s->ev = &exchange_down_events;
    s->user = x;
    x->t_start = x->last_activity = loop_now(l->w->loop);
    x->policy = l->conf->policy_set;
    x->client = *http_stream_peer(s);
    x->match.action = NULL;
    x->avoid = SIZE_MAX;
    list_init(&x->wait);
    timer_init(&x->timer, on_timer);
    buf_init_metered(&x->body, EXCHANGE_BODY_MAX, loop_meter(l->w->loop));
    arena_init_with(&x->arena, x->inline_mem, sizeof(x->inline_mem), 16 * 1024, EXCHANGE_ARENA_MAX);
    l->w->active++;
    return x;
}

static bool grpc_content_type(const struct http_message *m)
{
    const struct str type = STR_INIT("application/grpc");
    const struct header *h = headers_find_id(&m->headers, HDR_CONTENT_TYPE);
    struct str v = h ? header_value(h) : STR("");
    if (!str_ieq(str_sub(v, 0, type.n), type))
        return false;
    return v.n == type.n || v.p[type.n] == '+' || v.p[type.n] == ';' || v.p[type.n] == ' ';
}

/* The host as routes see it: without port, lower case. */
static bool set_host(struct exchange *x)
{
    struct str host = x->req.host;
    if (x->req.authority.n == 0)
        return true; /* HTTP/1.0 without Host */
    if (host.n == 0)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] >= 'A' && host.p[i] <= 'Z') {
            char *low = arena_try_bytes(&x->arena, host.n);
            if (!low)
                return false;
            for (size_t k = 0; k < host.n; k++)
                low[k] = ascii_lower(host.p[k]);
            host.p = low;
            break;
        }
    }
    x->host = host;
    return true;
}

static bool normalise(struct exchange *x, const char **ret_why)
{
    if (str_eq(x->req.target, STR("*")))
        return true;
    char *out = arena_try_bytes(&x->arena, x->req.target.n);
    *ret_why = "target too long";
    if (!out)
        return false;
    struct str target;
    switch (path_normalise(x->req.target, out, x->req.target.n, &target, ret_why)) {
    case PATH_SAME:
        return true;
    case PATH_CHANGED:
        x->req.target = target;
        message_split_target(&x->req);
        return true;
    case PATH_BAD:
        return false;
    }
    return false;
}

static void note_tls(struct exchange *x)
{
    struct tls_info ti;
    if (!x->l->runtime->log || !http_stream_conn(x->down)->tls ||
        !tls_info(http_stream_conn(x->down), &ti))
        return;
    x->tls_version = arena_try_str(&x->arena, str_sub(ti.version, 0, 16));
    x->sni = arena_try_str(&x->arena, str_sub(ti.sni, 0, 255));
    x->peer_subject = arena_try_str(&x->arena, str_sub(ti.peer_subject, 0, 255));
}

/* RFC 9110 section 7.4: a request for a host that this TLS connection was not made for. */
static bool misdirected(struct exchange *x)
{
    struct tls_info ti;
    struct conn *c = http_stream_conn(x->down);
    if (!c->tls || !tls_info(c, &ti) || ti.sni.n == 0 || str_ieq(ti.sni, x->host))
        return false;
    return !tls_covers_host(c, x->host);
}

static void refuse(struct exchange *x, uint16_t status, const char *slug, const char *detail)
{
    x->close_after =
        status != 405; /* a client that sends such a thing gets no second try on this connection */
    exchange_fail(x, FAIL_CLIENT, "http_request_error",
                  &(struct reply){ .status = status, .slug = slug, .detail = str_from(detail) });
}

/* What can be wrong with a well-formed request; false when it was answered. */
static bool admit(struct exchange *x)
{
    const char *why = "";
    if (x->req.method == METHOD_CONNECT || x->req.method == METHOD_TRACE) {
        exchange_response_header(x, STR("allow"), STR(EXCHANGE_METHODS));
        refuse(x, 405, "method-not-allowed", "CONNECT and TRACE are not offered here.");
        return false;
    }
    if (x->req.expect_unknown) {
        refuse(x, 417, "expectation-failed", "Nothing but 100-continue can be expected here.");
        return false;
    }
    if (!set_host(x)) {
        refuse(x, 400, "bad-host", "The host is malformed.");
        return false;
    }
    if (!normalise(x, &why)) {
        refuse(x, 400, "bad-path", why);
        return false;
    }
    if (misdirected(x)) {
        refuse(x, 421, "misdirected-request",
               "This connection's certificate does not cover the requested host.");
        return false;
    }
    return true;
}

static void choose_route(struct exchange *x)
{
    const struct listener *conf = x->l->conf;
    if (!conf->hosts || !decide_host_allowed(conf, x->host) ||
        !decide_route(conf, x->host, &x->req, &x->match)) {
        x->match.action = NULL;
        return;
    }
    const struct action *a = x->match.action;
    x->policy = a->policy;
    if (a->type == ACTION_FORWARD && a->total_weight) {
        x->backend =
            a->backends.n == 1 ? &a->backends.v[0] : decide_backend(a, rand_below(a->total_weight));
        if (x->backend)
            x->policy = x->backend->policy;
    }
}

static bool body_allowed(struct exchange *x)
{
    int64_t max = x->policy->limits->body.n;
    if (max == 0 || (x->req.body == BODY_LENGTH ? x->req.length : x->bytes_in) <= (uint64_t)max)
        return true;
    exchange_fail(x, FAIL_CLIENT, "http_request_error",
                  &(struct reply){ 413, "body-too-large",
                                   STR("The request body is larger than this route allows.") });
    return false;
}

void exchange_start(struct worker_listener *l, struct http_stream *s, struct http_message *m,
                    bool end)
{
    struct exchange *x = exchange_new(l, s);
    if (!x)
        return;
    x->req_ended = end;
    x->req = *m;
    /* Everything is copied once, so that no slice depends on a connection's buffer: an exchange
     * outlives the call it began in. */
    if (!message_own(&x->req, &x->arena, EXCHANGE_EXTRA_HEADERS)) {
        x->req.headers.n = 0;
        exchange_fail(x, FAIL_US, "proxy_internal_response",
                      &(struct reply){ 503, "overloaded", STR("No memory for this request.") });
        return;
    }
    x->grpc = grpc_content_type(&x->req);
    note_tls(x);
    exchange_identify(x);
    if (worker_overloaded(l->w)) {
        atomic_fetch_add_explicit(&l->w->p->shed, 1, memory_order_relaxed);
        exchange_response_header(x, STR("retry-after"), STR("1"));
        exchange_fail(x, FAIL_US, "connection_limit_reached",
                      &(struct reply){ 503, "overloaded", STR("The gateway sheds load.") });
        return;
    }
    if (!admit(x))
        return;
    choose_route(x);
    if (body_allowed(x))
        exchange_run_filters(x);
}

void exchange_reject(struct worker_listener *l, struct http_stream *s, struct http_message *m,
                     uint16_t status, const char *why)
{
    struct exchange *x = exchange_new(l, s);
    if (!x)
        return;
    x->req_ended = true;
    x->req = (struct http_message){ .method = METHOD_OTHER, .version = m ? m->version : HTTP_11 };
    if (m) {
        x->req.method = m->method;
        x->req.method_text = arena_try_str(&x->arena, str_sub(m->method_text, 0, 32));
        x->req.target = arena_try_str(&x->arena, str_sub(m->target, 0, 256));
    }
    exchange_identify(x);
    static const struct {
        uint16_t status;
        const char *slug;
    } slugs[] = {
        { 400, "bad-request" },    { 408, "request-timeout" },         { 414, "uri-too-long" },
        { 431, "head-too-large" }, { 501, "unknown-transfer-coding" }, { 505, "http-version" },
        { 413, "body-too-large" }
    };
    const char *slug = "bad-request";
    for (size_t i = 0; i < ARRAY_LEN(slugs); i++)
        if (slugs[i].status == status)
            slug = slugs[i].slug;
    refuse(x, status, slug, why);
}

/* ---- filters ---- */
static void dispatch(struct exchange *x)
{
    const struct action *a = x->match.action;
    if (!a) {
        exchange_fail(
            x, FAIL_CLIENT, "http_request_denied",
            &(struct reply){ 404, "no-route", STR("No route matches this host and path.") });
        return;
    }
    switch ((enum action_type)a->type) {
    case ACTION_REDIRECT:
        exchange_redirect(x);
        return;
    case ACTION_REPLY:
        exchange_fixed_reply(x);
        return;
    case ACTION_FORWARD:
        if (x->backend) {
            exchange_forward(x);
            return;
        }
        exchange_fail(
            x, FAIL_US, "destination_unavailable",
            &(struct reply){ 503, "no-backend", STR("The route has no service with a weight.") });
        return;
    }
}

void exchange_run_filters(struct exchange *x)
{
    const struct policy_runtime *pr = x->policy->runtime;
    while (pr && x->filter_at < pr->n) {
        const struct filter *f = &pr->v[x->filter_at];
        void *state = NULL;
        if (f->type->state_size) {
            state = arena_try(&x->arena, f->type->state_size);
            if (!state) {
                exchange_fail(
                    x, FAIL_US, "proxy_internal_response",
                    &(struct reply){ 503, "overloaded", STR("No memory for this request.") });
                return;
            }
            memset(state, 0, f->type->state_size);
        }
        x->filter_state[x->filter_at++] = state;
        if (!f->type->on_request)
            continue;
        x->in_filters = true;
        enum filter_verdict v = f->type->on_request(x, f, state);
        x->in_filters = false;
        if (v == FILTER_NEXT)
            continue;
        if (v == FILTER_PAUSE) {
            if (x->backend) /* the pause is part of the time that the request has */
                exchange_set_deadline(x);
            exchange_arm(x);
            return;
        }
        CHECK(x->replied);
        return;
    }
    dispatch(x);
}

/* ---- timers ---- */
static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

/* Nothing but the service is waited for. */
static bool awaits_service(const struct exchange *x)
{
    return x->state == X_CONNECT || (x->state == X_UPSTREAM && x->req_ended);
}

static int64_t idle_deadline(const struct exchange *x)
{
    const struct timeout_section *t = x->policy->timeout;
    int64_t gap = 0;
    if (x->state == X_TUNNEL || x->state == X_RESPONSE)
        gap = t->idle.ns;
    else if (awaits_service(x)) /* a limit for all of it may be longer: then that counts */
        gap = t->request.ns ? 0 : t->idle.ns;
    else if (x->state == X_REPLY)
        gap = t->body_idle.ns;
    else if (x->state == X_UPSTREAM && !x->req_ended) /* paused: the upstream does not read */
        gap = x->down_paused ? t->idle.ns : t->body_idle.ns;
    return gap ? x->last_activity + gap : 0;
}

void exchange_arm(struct exchange *x)
{
    int64_t at = earlier(earlier(x->deadline_request, x->deadline_try),
                         earlier(x->wake_at, idle_deadline(x)));
    if (at)
        timer_set(x->w->loop, &x->timer, at);
    else
        timer_off(&x->timer);
}

/* The filter that paused has its say first. */
static void resume_filters(struct exchange *x)
{
    const struct policy_runtime *pr = x->policy->runtime;
    const struct filter *f = &pr->v[x->filter_at - 1];
    enum filter_verdict v = f->type->on_resume
                                ? f->type->on_resume(x, f, x->filter_state[x->filter_at - 1])
                                : FILTER_NEXT;
    if (v == FILTER_NEXT)
        exchange_run_filters(x);
    else if (v == FILTER_PAUSE)
        exchange_arm(x);
}

static void wake(struct exchange *x)
{
    x->wake_at = 0;
    if (x->state == X_FILTERS)
        resume_filters(x);
    else if (x->state == X_BACKOFF)
        exchange_retry_now(x);
}

void exchange_body_timeout(struct exchange *x)
{
    exchange_drop_upstream(x, HTTP_ERR_CANCEL);
    x->deadline_request = x->deadline_try = 0;
    exchange_fail(
        x, FAIL_CLIENT, "connection_read_timeout",
        &(struct reply){ 408, "body-timeout", STR("The request body did not arrive in time.") });
}

static void idle_expired(struct exchange *x)
{
    if (awaits_service(x)) {
        exchange_upstream_timeout(x, false);
        return;
    }
    if (x->state == X_UPSTREAM && x->down_paused) {
        exchange_upstream_timeout(x, true);
        return;
    }
    if (x->state == X_UPSTREAM) {
        exchange_body_timeout(x);
        return;
    }
    /* A response under way cannot be replaced: whoever is slow is named in the log. */
    x->fail = x->up_paused || x->state == X_REPLY ? FAIL_CLIENT : FAIL_UPSTREAM;
    x->fail_why = x->fail == FAIL_CLIENT ? "connection_write_timeout" : "connection_read_timeout";
    exchange_drop_upstream(x, HTTP_ERR_TIMEOUT);
    http_stream_abort(x->down, HTTP_ERR_TIMEOUT);
    x->down = NULL;
    exchange_finish(x);
}

static void on_timer(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    int64_t now = loop_now(x->w->loop);
    bool whole = x->deadline_request && now >= x->deadline_request;
    if (!whole && x->wake_at && now >= x->wake_at) {
        wake(x);
        return;
    }
    if (whole || (x->deadline_try && now >= x->deadline_try)) {
        exchange_upstream_timeout(x, whole);
        return;
    }
    int64_t idle = idle_deadline(x);
    if (idle && now >= idle) {
        idle_expired(x);
        return;
    }
    exchange_arm(x);
}

/* ---- the client's side ---- */
static void keep_body(struct exchange *x, const char *p, size_t n)
{
    if (!buf_add(&x->body, p, n)) {
        exchange_drop_upstream(x, HTTP_ERR_CANCEL);
        exchange_fail(x, FAIL_US, "proxy_internal_response",
                      &(struct reply){ 503, "overloaded", STR("No memory for the request body.") });
    }
}

static void down_data(struct http_stream *s, const char *p, size_t n)
{
    struct exchange *x = s->user;
    x->last_activity = loop_now(x->w->loop);
    x->bytes_in += n;
    if (x->state == X_TUNNEL && !x->up)
        return;
    if (x->state >= X_REPLY && x->state != X_TUNNEL)
        return; /* an answer is on its way: the rest of the request is not wanted */
    if (x->policy->limits->body.n && x->state != X_TUNNEL) {
        if (x->bytes_in > (uint64_t)x->policy->limits->body.n) {
            exchange_drop_upstream(x, HTTP_ERR_CANCEL);
            (void)body_allowed(x);
            return;
        }
    }
    bool sending =
        x->up && (x->state == X_UPSTREAM || x->state == X_RESPONSE || x->state == X_TUNNEL);
    if (!sending) {
        if (x->state == X_RESPONSE)
            return; /* the upstream answered and went: drained by the connection */
        keep_body(x, p, n);
        if (x->state < X_REPLY && !x->down_paused) {
            x->down_paused = true;
            http_pause(x->down, true);
        }
        return;
    }
    CHECK(x->body_sent == x->body.n);
    if (x->body_replay) {
        if (x->body.n + n <= (size_t)x->policy->retry->body_buffer.n && buf_add(&x->body, p, n)) {
            x->body_sent = x->body.n;
        } else {
            x->body_replay = false;
            buf_fini(&x->body);
            x->body_sent = 0;
        }
    }
    if (!http_send_data(x->up, p, n) && !x->down_paused) {
        x->down_paused = true;
        http_pause(x->down, true);
        exchange_arm(x); /* another one is waited for now, with another limit */
    }
}

/* The upstream may not be there yet, or there may be a second try: trailers outlive the call.
 * False: no memory. */
static bool keep_trailers(struct exchange *x, const struct headers *t)
{
    struct header *v = arena_try(&x->arena, t->n * sizeof(*v));
    if (!v)
        return false;
    x->req_trailers = (struct headers){ .v = v, .n = 0, .cap = t->n };
    for (uint32_t i = 0; i < t->n; i++) {
        struct str name = arena_try_str(&x->arena, header_name(&t->v[i]));
        struct str value = arena_try_str(&x->arena, header_value(&t->v[i]));
        if (!name.p || !value.p || !headers_add(&x->req_trailers, name, value))
            return false;
    }
    return true;
}

static void down_end(struct http_stream *s, const struct headers *trailers)
{
    struct exchange *x = s->user;
    x->req_ended = true;
    if (trailers && trailers->n && x->state < X_RESPONSE && !keep_trailers(x, trailers)) {
        exchange_drop_upstream(x, HTTP_ERR_CANCEL);
        exchange_fail(x, FAIL_US, "proxy_internal_response",
                      &(struct reply){ 503, "overloaded", STR("No memory for this request.") });
        return;
    }
    if (x->up && !x->req_sent && x->body_sent == x->body.n && x->state >= X_UPSTREAM) {
        x->req_sent = true;
        http_send_end(x->up, trailers);
    }
    if (x->state == X_UPSTREAM)
        exchange_arm(x); /* from here on it is the service that is waited for */
}

static void down_drain(struct http_stream *s)
{
    struct exchange *x = s->user;
    x->last_activity = loop_now(x->w->loop);
    if (x->up_paused && x->up) {
        x->up_paused = false;
        http_pause(x->up, false);
    }
}

static void down_close(struct http_stream *s, enum http_error e, const char *why)
{
    struct exchange *x = s->user;
    x->down = NULL;
    if (e != HTTP_OK && x->fail == FAIL_NONE) {
        x->fail = FAIL_CLIENT;
        x->fail_why = e == HTTP_ERR_PROTOCOL ? "http_request_error" : "client_closed";
        x->fail_detail = arena_try_str(&x->arena, str_sub(str_from(why), 0, 200));
    }
    /* An upstream that has said and heard everything closes its stream by itself, and keeps its
     * connection. */
    if (x->up && x->state == X_RESPONSE && x->resp_ended && x->req_sent) {
        timer_off(&x->timer);
        return;
    }
    exchange_drop_upstream(x, HTTP_ERR_CANCEL);
    exchange_finish(x);
}

const struct http_events exchange_down_events = {
    .on_data = down_data,
    .on_end = down_end,
    .on_drain = down_drain,
    .on_close = down_close,
};

void exchange_finish(struct exchange *x)
{
    struct worker *w = x->w;
    CHECK(!x->down && !x->up);
    exchange_set_state(x, X_DONE);
    pool_cancel(x);
    if (x->status == 0 && x->fail == FAIL_CLIENT)
        x->status = STATUS_CLIENT_CLOSED;
    const struct policy_runtime *pr = x->policy->runtime;
    for (size_t i = 0; pr && i < x->filter_at; i++)
        if (pr->v[i].type->on_done)
            pr->v[i].type->on_done(x, &pr->v[i], x->filter_state[i]);
    telemetry_exchange(x);
    if (x->l->runtime->log)
        access_log_exchange(x);
    timer_fini(w->loop, &x->timer);
    buf_fini(&x->body);
    arena_fini(&x->arena);
    pin_unref(w, x->pin);
    w->active--;
    worker_exchange_free(w, x);
}

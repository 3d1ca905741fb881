/* The upstream side of an exchange: tries, retries, the response. Worker threads. */
#include "base/rand.h"
#include "proxy/exchange.h"
#include "proxy/proxy_priv.h"
#include <stdatomic.h>

static const struct cluster_runtime *cluster_of(const struct exchange *x)
{
    return &x->pin->runtime->clusters[x->backend->cluster->index];
}

static void release_endpoint(struct exchange *x)
{
    if (!x->endpoint)
        return;
    x->last_endpoint = arena_try_str(&x->arena, x->endpoint->address);
    atomic_fetch_sub_explicit(&x->endpoint->active, 1, memory_order_release);
    x->endpoint = NULL; /* it may be gone next */
    x->t_up_total += loop_now(x->w->loop) - x->t_try;
}

static void release_cluster(struct exchange *x)
{
    if (!x->view)
        return;
    struct cluster_state *s = x->view->state;
    atomic_fetch_sub_explicit(&s->requests, 1, memory_order_relaxed);
    if (x->retry_counted)
        atomic_fetch_sub_explicit(&s->retries, 1, memory_order_relaxed);
    x->retry_counted = false;
    x->view = NULL;
}

static void report(struct exchange *x, bool failed)
{
    if (x->endpoint)
        endpoint_report(x->view->state, x->endpoint, x->backend->cluster->policy_set->health,
                        failed, loop_now(x->w->loop));
}

static void try_next(struct exchange *x);

static void unavailable(struct exchange *x, const char *why, const char *slug, const char *detail)
{
    release_endpoint(x);
    release_cluster(x);
    exchange_response_header(x, STR("retry-after"), STR("1"));
    exchange_fail(x, FAIL_US, why, &(struct reply){ 503, slug, str_from(detail) });
}

void exchange_set_deadline(struct exchange *x)
{
    int64_t ns = x->policy->timeout->request.ns;
    if (ns && !x->req.upgrade.n)
        x->deadline_request = x->t_start + ns;
}

void exchange_forward(struct exchange *x)
{
    const struct policy_set *p = x->policy;
    if (!exchange_may_forward(x)) {
        exchange_options_reply(x);
        return;
    }
    if (!exchange_prepare_request(x)) {
        exchange_fail(x, FAIL_US, "http_request_error",
                      &(struct reply){ 431, "head-too-large",
                                       STR("No room for the fields the gateway adds.") });
        return;
    }
    struct cluster_view *v = upstream_view(x->w, cluster_of(x));
    if (!v) {
        unavailable(x, "proxy_internal_response", "overloaded", "No memory for this request.");
        return;
    }
    const struct breaker_section *b = x->backend->cluster->policy_set->breaker;
    uint32_t running = atomic_fetch_add_explicit(&v->state->requests, 1, memory_order_relaxed);
    x->view = v;
    if (b->max_requests && running >= (uint64_t)b->max_requests) {
        unavailable(x, "connection_limit_reached", "circuit-open",
                    "The service has as many requests under way as it is allowed.");
        return;
    }
    /* Kept for retries, and for a peer that may refuse a stream unprocessed (RFC 9113 section 8.7),
     * whatever the method. */
    x->body_replay = p->retry->attempts > 0 || http_method_idempotent(x->req.method) ||
                     cluster_of(x)->proto != PROTO_H1;
    if (cluster_of(x)->proto != PROTO_H1)
        x->req.upgrade = STR(""); /* HTTP/2 has no Upgrade */
    exchange_set_deadline(x);
    try_next(x);
}

static void try_next(struct exchange *x)
{
    const struct policy_set *p = x->policy;
    int64_t now = loop_now(x->w->loop);
    /* endpoints are read afresh for every try */
    struct cluster_view *v = upstream_view(x->w, cluster_of(x));
    if (!v) {
        unavailable(x, "proxy_internal_response", "overloaded", "No memory for this request.");
        return;
    }
    x->view = v;
    size_t i = upstream_pick(x->w, x->view, x->avoid);
    if (i >= x->view->n) {
        const char *why = x->view->set ? x->view->set->error : NULL;
        unavailable(x, why ? "dns_error" : "destination_unavailable", "no-healthy-endpoint",
                    why ? why : "No endpoint of the service is available.");
        return;
    }
    x->endpoint_index = i;
    x->endpoint = x->view->set->v[i].state;
    atomic_fetch_add_explicit(&x->endpoint->active, 1, memory_order_relaxed);
    x->tries++;
    x->t_try = x->last_activity = now;
    x->up_status = 0;
    x->deadline_try = p->timeout->per_try.ns ? now + p->timeout->per_try.ns : 0;
    struct pool *pool = upstream_pool(x->w, x->view, i, p);
    bool wait = false;
    struct http_client *c = NULL;
    exchange_set_state(x, X_CONNECT);
    if (pool)
        c = pool_acquire(pool, x, p, &wait);
    if (c) {
        exchange_connected(x, c);
        return;
    }
    if (!wait) {
        unavailable(x, "connection_limit_reached", "circuit-open",
                    "The service has as many connections as it is allowed.");
        return;
    }
    exchange_arm(x);
}

void exchange_connected(struct exchange *x, struct http_client *c)
{
    x->reused = c->requests > 0;
    x->up = http_client_request(c, &exchange_up_events, x);
    if (!x->up) {
        exchange_connect_failed(x, HTTP_ERR_REFUSED, "connection not usable");
        return;
    }
    exchange_set_state(x, X_UPSTREAM);
    x->last_activity = loop_now(x->w->loop);
    x->body_sent = 0;
    x->req_sent = x->req_ended && x->body.n == 0 && x->req_trailers.n == 0;
    /* HTTP/1.0 without Host: what we send has one in any version (RFC 9113 section 8.3.1), and many
     * refuse an empty one. */
    struct str asked_for = x->req.authority;
    if (asked_for.n == 0)
        x->req.authority = x->endpoint->address;
    http_send_head(x->up, &x->req, x->req_sent);
    x->req.authority = asked_for;
    exchange_send_body(x);
    exchange_arm(x);
}

/* Sends what was kept while there was no connection, then lets the client go on. */
void exchange_send_body(struct exchange *x)
{
    bool room = true;
    if (x->body_sent < x->body.n) {
        room = http_send_data(x->up, x->body.p + x->body_sent, x->body.n - x->body_sent);
        x->body_sent = x->body.n;
    }
    if (!x->body_replay && x->body.n) {
        buf_fini(&x->body);
        x->body_sent = 0;
    }
    if (x->req_ended && !x->req_sent) {
        x->req_sent = true;
        http_send_end(x->up, x->req_trailers.n ? &x->req_trailers : NULL);
    }
    if (room && x->down_paused && x->down) {
        x->down_paused = false;
        http_pause(x->down, false);
    }
}

/* ---- retries ---- */
static bool retry_condition(const struct retry_section *r, const char *cause, uint16_t status)
{
    for (size_t i = 0; i < r->on.n; i++) {
        struct str on = r->on.v[i];
        uint64_t code;
        if (str_eq(on, str_from(cause)))
            return true;
        if (status && str_to_u64(on, &code) && code == status)
            return true;
        if (status && str_eq(on, STR("gateway-error")) && status >= 502 && status <= 504)
            return true;
        if (status && str_eq(on, STR("5xx")) && status >= 500)
            return true;
        if (!status && str_eq(on, STR("5xx")))
            return true;
    }
    return false;
}

static bool replayable(const struct exchange *x)
{
    return !x->resp_started && x->down && (x->body_replay || (x->body_sent == 0 && !x->req_sent));
}

/* untouched: no byte of this request reached a server that may have acted on it. */
static bool may_retry(struct exchange *x, const char *cause, uint16_t status, bool untouched)
{
    const struct retry_section *r = x->policy->retry;
    if (!replayable(x) || x->tries > r->attempts || !retry_condition(r, cause, status))
        return false;
    if (!untouched && !http_method_idempotent(x->req.method) && !r->non_idempotent)
        return false;
    struct cluster_state *s = x->view->state;
    if (x->retry_counted)
        return true;
    uint32_t retries = atomic_load_explicit(&s->retries, memory_order_relaxed);
    uint64_t budget = (uint64_t)atomic_load_explicit(&s->requests, memory_order_relaxed) *
                      r->budget.ppm / 1000000u;
    if (retries >= (budget > (uint64_t)r->budget_min ? budget : (uint64_t)r->budget_min))
        return false;
    atomic_fetch_add_explicit(&s->retries, 1, memory_order_relaxed);
    x->retry_counted = true;
    return true;
}

static void begin_retry(struct exchange *x, bool at_once)
{
    const struct retry_section *r = x->policy->retry;
    x->avoid = at_once ? SIZE_MAX : x->endpoint_index;
    release_endpoint(x);
    x->deadline_try = 0;
    if (x->body_replay)
        x->body_sent = 0;
    x->req_sent = false;
    if (at_once || r->backoff_base.ns == 0) {
        try_next(x);
        return;
    }
    int64_t cap = r->backoff_base.ns << (x->tries < 10 ? x->tries - 1 : 10);
    if (r->backoff_max.ns && cap > r->backoff_max.ns)
        cap = r->backoff_max.ns;
    exchange_set_state(x, X_BACKOFF);
    if (!x->req_ended && !x->down_paused) {
        x->down_paused = true;
        http_pause(x->down, true);
    }
    uint32_t us = (uint32_t)(cap / 1000);
    x->wake_at = loop_now(x->w->loop) + (int64_t)rand_below(us ? us : 1) * 1000 + 1;
    exchange_arm(x);
}

void exchange_retry_now(struct exchange *x)
{
    try_next(x);
}

/* ---- failures of a try ---- */
struct failure {
    const char *cause; /* retry condition */
    const char *why;   /* RFC 9209 error type */
    uint16_t status;
    const char *slug, *detail;
    bool untouched;
};
static struct failure classify(const struct exchange *x, enum http_error e)
{
    switch (e) {
    case HTTP_ERR_CONNECT:
        return (struct failure){ "connect-failure",
                                 "connection_refused",
                                 502,
                                 "connect-failure",
                                 "The service could not be reached.",
                                 true };
    case HTTP_ERR_TIMEOUT:
        return (struct failure){ "connect-failure",
                                 "connection_timeout",
                                 504,
                                 "connect-timeout",
                                 "The service did not accept a connection in time.",
                                 true };
    case HTTP_ERR_TLS:
        return (struct failure){ "connect-failure", "tls_protocol_error",         502,
                                 "upstream-tls",    "TLS to the service failed.", true };
    case HTTP_ERR_TLS_VERIFY:
        return (struct failure){ "",
                                 "tls_certificate_error",
                                 502,
                                 "upstream-certificate",
                                 "The service's certificate was not accepted.",
                                 true };
    case HTTP_ERR_REFUSED:
        return (struct failure){ "refused-stream",
                                 "connection_terminated",
                                 502,
                                 "upstream-refused",
                                 "The service refused the request.",
                                 true };
    case HTTP_ERR_PROTOCOL:
        return (struct failure){ "reset",
                                 "http_protocol_error",
                                 502,
                                 "upstream-protocol",
                                 "The service's answer was malformed.",
                                 false };
    case HTTP_ERR_TOO_LARGE:
        return (struct failure){ "",
                                 "http_response_header_section_size",
                                 502,
                                 "upstream-head-too-large",
                                 "The service's answer has too large a head.",
                                 false };
    case HTTP_ERR_MEMORY:
        return (struct failure){ "",           "proxy_internal_response",         503,
                                 "overloaded", "The gateway is short of memory.", false };
    default:
        return (struct failure){ "reset",
                                 x->up_status ? "http_response_incomplete"
                                              : "connection_terminated",
                                 502,
                                 "upstream-reset",
                                 "The service closed the connection before it answered.",
                                 false };
    }
}

/* Refused unprocessed: a server that ends its connections after some requests (GOAWAY) refuses
 * whatever came too late, and may do so again on the next one; one that refuses everything must not
 * be asked for ever. */
enum { REFUSED_MAX = 8 };
static void try_failed(struct exchange *x, enum http_error e, const char *why)
{
    if (e == HTTP_ERR_STALE && !x->stale_retried && replayable(x) &&
        http_method_idempotent(x->req.method)) {
        x->stale_retried =
            true; /* the connection died idle: says nothing about the endpoint, costs no retry */
        begin_retry(x, true);
        return;
    }
    if (e == HTTP_ERR_REFUSED && x->refused < REFUSED_MAX && replayable(x)) {
        x->refused++; /* not processed, RFC 9113 section 8.7 */
        begin_retry(x, true);
        return;
    }
    struct failure f = classify(x, e);
    report(x, e != HTTP_ERR_REFUSED && e != HTTP_ERR_MEMORY);
    if (may_retry(x, f.cause, 0, f.untouched)) {
        begin_retry(x, false);
        return;
    }
    release_endpoint(x);
    release_cluster(x);
    x->fail_detail = arena_try_str(&x->arena, str_sub(str_from(why), 0, 200));
    exchange_fail(x, FAIL_UPSTREAM, f.why, &(struct reply){ f.status, f.slug, str_from(f.detail) });
}

void exchange_connect_failed(struct exchange *x, enum http_error e, const char *why)
{
    x->up = NULL;
    try_failed(x, e, why);
}

void exchange_drop_upstream(struct exchange *x, enum http_error why)
{
    pool_cancel(x);
    if (x->up) {
        struct http_stream *up = x->up;
        x->up = NULL;
        http_stream_abort(up, why);
    }
    release_endpoint(x);
    release_cluster(x);
}

/* Whether the time went by while the client still owed its body, or did not take the answer. One
 * that expects a 100 owes nothing before it. */
static bool waits_for_client(const struct exchange *x)
{
    bool asked = !x->req.expect_continue || x->bytes_in > 0;
    bool owes = x->state == X_UPSTREAM && !x->req_ended && !x->down_paused && asked;
    return x->resp_started ? x->up_paused : owes;
}

static void cut_response(struct exchange *x)
{
    x->fail = waits_for_client(x) ? FAIL_CLIENT : FAIL_UPSTREAM;
    x->fail_why = x->fail == FAIL_CLIENT ? "connection_write_timeout" : "http_response_timeout";
    exchange_drop_upstream(x, HTTP_ERR_TIMEOUT);
    http_stream_abort(x->down, HTTP_ERR_TIMEOUT);
    x->down = NULL;
    exchange_finish(x);
}

/* What ran out of time, by where the request was. */
static void fail_late(struct exchange *x, enum exchange_phase at, bool unreached)
{
    struct reply r = { 504, "upstream-timeout", STR("The service did not answer in time.") };
    const char *why = "http_response_timeout";
    enum fail_side side = FAIL_UPSTREAM;
    if (unreached) {
        why = "connection_timeout";
        r.slug = "connect-timeout";
        r.detail = STR("The service did not accept a connection in time.");
    } else if (at == X_CONNECT) {
        side = FAIL_US;
        why = "connection_limit_reached";
        r.detail = STR("No connection to the service became free in time.");
    } else if (at == X_FILTERS) {
        side = FAIL_US;
        r.detail = STR("A policy held the request for longer than it may take.");
    }
    exchange_fail(x, side, why, &r);
}

static void drop_try(struct exchange *x)
{
    pool_cancel(x);
    if (x->up) {
        struct http_stream *up = x->up;
        x->up = NULL;
        http_stream_abort(up, HTTP_ERR_TIMEOUT);
    }
}

void exchange_upstream_timeout(struct exchange *x, bool whole_request)
{
    if (x->resp_started) {
        cut_response(x);
        return;
    }
    if (waits_for_client(x) && whole_request) {
        exchange_body_timeout(x);
        return;
    }
    if (waits_for_client(x)) { /* a try's time is the service's, which has no request yet */
        x->deadline_try = loop_now(x->w->loop) + x->policy->timeout->per_try.ns;
        exchange_arm(x);
        return;
    }
    enum exchange_phase at = x->state;
    bool unreached = at == X_CONNECT && x->pool && pool_unreached(x->pool);
    if (at == X_UPSTREAM || unreached)
        report(x, true); /* a queue of ours says nothing about the endpoint */
    drop_try(x);
    if (!whole_request && (may_retry(x, "timeout", 0, at == X_CONNECT) ||
                           (unreached && may_retry(x, "connect-failure", 0, true)))) {
        begin_retry(x, false);
        return;
    }
    release_endpoint(x);
    release_cluster(x);
    x->wake_at = x->deadline_request = x->deadline_try = 0;
    fail_late(x, at, unreached);
}

/* ---- the response ---- */
static bool gateway_failure(uint16_t status)
{
    return status == 502 || status == 503 || status == 504;
}

static void up_head(struct http_stream *s, struct http_message *m, bool end)
{
    struct exchange *x = s->user;
    x->last_activity = x->t_up_head = loop_now(x->w->loop);
    x->up_status = m->status;
    const struct health_section *h = x->backend->cluster->policy_set->health;
    report(x, h->passive.statuses && gateway_failure(m->status));
    if (m->status >= 400 && may_retry(x, "", m->status, false)) {
        x->up = NULL;
        http_stream_abort(s, HTTP_ERR_CANCEL);
        begin_retry(x, false);
        return;
    }
    x->deadline_try = 0;
    if (m->status == 101) {
        x->deadline_request = 0;
        x->req_ended = x->req_sent = false; /* from here on the two ends of a tunnel */
        exchange_set_state(x, X_TUNNEL);
    } else {
        exchange_set_state(x, X_RESPONSE);
    }
    if (x->body_replay) {
        x->body_replay = false; /* no retry from here on */
        buf_fini(&x->body);
        x->body_sent = 0;
    }
    exchange_send_head(x, m, end);
    if (x->state == X_RESPONSE && end)
        x->resp_ended = true;
    if (x->state == X_RESPONSE || x->state == X_TUNNEL)
        exchange_arm(x);
}

static void up_interim(struct http_stream *s, struct http_message *m)
{
    struct exchange *x = s->user;
    if (x->req.version == HTTP_10 || x->resp_started)
        return;
    if (m->status != 100 || x->req.expect_continue)
        http_send_interim(x->down, m);
}

static void up_data(struct http_stream *s, const char *p, size_t n)
{
    struct exchange *x = s->user;
    x->last_activity = loop_now(x->w->loop);
    x->bytes_out += n;
    if (!x->down || (x->state != X_RESPONSE && x->state != X_TUNNEL))
        return;
    if (!http_send_data(x->down, p, n) && !x->up_paused) {
        x->up_paused = true;
        http_pause(x->up, true);
    }
}

static void up_end(struct http_stream *s, const struct headers *trailers)
{
    struct exchange *x = s->user;
    x->resp_ended = true;
    if (x->down && (x->state == X_RESPONSE || x->state == X_TUNNEL))
        http_send_end(x->down, trailers);
}

static void up_drain(struct http_stream *s)
{
    struct exchange *x = s->user;
    x->last_activity = loop_now(x->w->loop);
    if (x->down_paused && x->down) {
        x->down_paused = false;
        http_pause(x->down, false);
    }
}

static void up_close(struct http_stream *s, enum http_error e, const char *why)
{
    struct exchange *x = s->user;
    x->up = NULL;
    if (x->state == X_UPSTREAM) {
        try_failed(x, e == HTTP_OK ? HTTP_ERR_PROTOCOL : e, why);
        return;
    }
    release_endpoint(x);
    release_cluster(x);
    bool cut = x->state == X_TUNNEL && e != HTTP_OK; /* nobody is there to hear the client */
    if (!cut && (x->resp_ended || x->state == X_REPLY)) {
        if (!x->down)
            exchange_finish(x);
        return; /* else the client's side ends the exchange */
    }
    x->fail = FAIL_UPSTREAM;
    x->fail_why = "http_response_incomplete";
    x->fail_detail = arena_try_str(&x->arena, str_sub(str_from(why), 0, 200));
    if (!x->down)
        return;
    /* Never end a cut response as if it were whole: the client must see the break. */
    http_stream_abort(x->down, HTTP_ERR_RESET);
    x->down = NULL;
    exchange_finish(x);
}

const struct http_events exchange_up_events = {
    .on_head = up_head,
    .on_interim = up_interim,
    .on_data = up_data,
    .on_end = up_end,
    .on_drain = up_drain,
    .on_close = up_close,
};

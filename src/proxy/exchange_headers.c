/* The head as it is forwarded: who the client is, the request id, what is stripped and added,
 * rewrites, a route's header edits. Worker threads. */
#include "base/clock.h"
#include "base/rand.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/proxy_priv.h"

/* What only a trusted proxy may say about the client; from anyone else it is removed (T12). */
static bool speaks_for_client(uint8_t id)
{
    switch (id) {
    case HDR_X_FORWARDED_FOR:
    case HDR_X_FORWARDED_PROTO:
    case HDR_X_FORWARDED_HOST:
    case HDR_X_FORWARDED_PORT:
    case HDR_FORWARDED:
    case HDR_X_REAL_IP:
    case HDR_CLIENT_CERT:
    case HDR_X_FORWARDED_CLIENT_CERT:
    case HDR_X_FORWARDED_OTHER:
    case HDR_X_CONSUMER:
        return true;
    default:
        return false;
    }
}

/* Several fields are one list: read from its end. */
static void client_from_forwarded(struct exchange *x)
{
    const struct headers *h = &x->req.headers;
    for (uint32_t i = h->n; i-- > 0;)
        if (h->v[i].id == HDR_X_FORWARDED_FOR && header_live(&h->v[i]) &&
            forwarded_client(header_value(&h->v[i]), &x->policy->trust->proxies, &x->client))
            return;
}

void exchange_identify(struct exchange *x)
{
    const struct trust_section *t = x->policy->trust;
    x->trusted = t->proxies.n && forwarded_trusts(&t->proxies, &x->client);
    bool bad_trace = false;
    for (uint32_t i = 0; i < x->req.headers.n; i++) {
        struct header *h = &x->req.headers.v[i];
        if (h->id == HDR_X_REQUEST_ID) {
            if (x->trusted && forwarded_id_valid(header_value(h)))
                x->request_id = header_value(h);
            h->flags |= HDR_F_REMOVED;
        } else if (h->id == HDR_TRACEPARENT && !forwarded_trace_valid(header_value(h))) {
            h->flags |= HDR_F_REMOVED;
            bad_trace = true;
        } else if (h->id == HDR_OTHER ? header_disguised(header_name(h))
                                      : !x->trusted && speaks_for_client(h->id)) {
            h->flags |= HDR_F_REMOVED;
        }
    }
    if (x->trusted)
        client_from_forwarded(x);
    if (bad_trace)
        headers_remove(&x->req.headers, STR("tracestate"));
    if (!x->request_id.n && x->l->conf->request_id) {
        char *id = arena_try_bytes(&x->arena, 36);
        if (id) {
            rand_uuid7(loop_wall(x->w->loop), id);
            x->request_id = (struct str){ id, 36 };
        }
    }
}

static bool set_forwarded(struct exchange *x)
{
    struct headers *h = &x->req.headers;
    struct str peer = exchange_peer_text(x);
    /* Such a field is live only when a trusted proxy or a filter set it. Proxies that append a line
     * of their own make several; together they are one list (RFC 9110 section 5.3). */
    for (uint32_t i = h->n; i-- > 0;) {
        struct header *f = &h->v[i];
        if (f->id != HDR_X_FORWARDED_FOR || !header_live(f))
            continue;
        peer = arena_try_fmt(&x->arena, "%.*s, %.*s", STR_FMT(header_value(f)), STR_FMT(peer));
        f->flags |= HDR_F_REMOVED;
    }
    if (!peer.p || !headers_add_own(h, HDR_X_FORWARDED_FOR, peer))
        return false;
    if (!headers_find_id(h, HDR_X_FORWARDED_PROTO) &&
        !headers_add_own(h, HDR_X_FORWARDED_PROTO, x->req.tls ? STR("https") : STR("http")))
        return false;
    /* set_host has checked the authority */
    return !x->req.authority.n || headers_find_id(h, HDR_X_FORWARDED_HOST) ||
           headers_add_own(h, HDR_X_FORWARDED_HOST, x->req.authority);
}

/* RFC 9110 section 7.6.2; TRACE, the other method it is for, is not offered. */
bool exchange_may_forward(struct exchange *x)
{
    const struct header *h =
        x->req.method == METHOD_OPTIONS ? headers_find(&x->req.headers, STR("max-forwards")) : NULL;
    uint64_t left;
    if (!h || !str_to_u64(header_value(h), &left))
        return true;
    if (left == 0)
        return false;
    struct str less = arena_try_fmt(&x->arena, "%llu", (unsigned long long)(left - 1));
    if (less.n)
        (void)exchange_set_header(&x->req, STR("max-forwards"), less);
    return true;
}

static bool rewrite(struct exchange *x)
{
    const struct action *a = x->match.action;
    if (a->host.n)
        x->req.authority = a->host;
    if (!a->path.n)
        return true;
    size_t cap = x->req.target.n + a->path.n + 1024;
    char *out = arena_try_bytes(&x->arena, cap);
    return out && decide_path(&x->match, &x->req, out, cap, &x->req.target);
}

bool exchange_prepare_request(struct exchange *x)
{
    struct headers *h = &x->req.headers;
    if (!set_forwarded(x))
        return false;
    if (x->request_id.n && !headers_add_own(h, HDR_X_REQUEST_ID, x->request_id))
        return false;
    if (!headers_add_own(h, HDR_VIA,
                         x->req.version == HTTP_2    ? STR("2 weir")
                         : x->req.version == HTTP_10 ? STR("1.0 weir")
                                                     : STR("1.1 weir")))
        return false;
    if (!rewrite(x))
        return false;
    if (x->match.action->edits.n)
        exchange_apply_edits(x, &x->req, false);
    return true;
}

void exchange_apply_edits(struct exchange *x, struct http_message *m, bool response)
{
    const struct action *a = x->match.action;
    for (size_t i = 0; a && i < a->edits.n; i++) {
        const struct header_edit *e = &a->edits.v[i];
        if (e->response != response)
            continue;
        if (e->op == EDIT_REMOVE)
            headers_remove(&m->headers, e->name);
        else if (e->op == EDIT_SET)
            (void)exchange_set_header(m, e->name, e->value);
        else
            (void)exchange_add_header(m, e->name, e->value);
    }
}
